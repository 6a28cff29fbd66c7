/*
 * load.c - the index becomes objects
 *
 * In batches of a thousand, each a transaction. The archive object holds how far the load is, and
 * moves on in the same transaction as the objects: killed at any moment, the store is at the end
 * of some batch, and the next run goes on from there. A new archive is loaded beside the one that
 * is in use, takes its place in one transaction, and then the old one is removed, in batches too.
 *
 * The packages come by section. So a section is complete when its last package is, objects that
 * belong together lie together, and the section lists give back the references of a load that is
 * taken up again: they are in the order of the index.
 */
#include "demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BATCH = 1000,
    OTHER_LOADER = 1,
    MOST_KEY = 512
};

struct loader {
    struct demo *demo;
    struct index *x;
    struct span *maintainers; /* each once, sorted */
    size_t n_maintainers;
    package_ref *refs; /* of the entries loaded so far */
    char digest[17];
    archive_ref archive;
    /* where the archive stands, known from its object, and where the running transaction brings it
     */
    struct place {
        enum phase phase;
        uint64_t position;
    } at, next;
    uint64_t removed; /* by the running transaction */
    struct table table;
};

/* Who may see a section; the others everybody. */
static const struct {
    const char *section;
    const char *readers[3];
} acls[] = {
    {"admin", {"group:ops"}},
    {"database", {"group:dba", "group:ops"}},
    {"debug", {"group:developers", "group:kernel"}},
    {"kernel", {"group:kernel", "group:ops"}},
};
static const char *const everyone[] = {"everyone", NULL};

static const char *const *
readers_of(struct span section)
{
    for (size_t i = section.n; i-- > 0;)
        if (section.s[i] == '/') { /* "contrib/net" */
            section = (struct span){section.s + i + 1, section.n - i - 1};
            break;
        }
    for (size_t i = 0; i < sizeof acls / sizeof *acls; i++)
        if (strlen(acls[i].section) == section.n &&
            memcmp(acls[i].section, section.s, section.n) == 0)
            return acls[i].readers;
    return everyone;
}

/* ---- values: a setter that fails dooms the transaction, so there is nothing to check here --- */

static void
set(newt_object *o, newt_text *field, struct span value)
{
    if (value.s)
        newt_text_setn(o, field, value.s, value.n);
}

static void
append(newt_object *o, void *texts, struct span value)
{
    newt_text *item = newt_array_grow(o, texts, sizeof *item, 1);

    if (item)
        set(o, item, value);
}

static void
append_readers(newt_object *o, void *texts, struct span section)
{
    for (const char *const *reader = readers_of(section); *reader; reader++)
        append(o, texts, (struct span){*reader, strlen(*reader)});
}

static const char *
key_of(struct span s, char key[MOST_KEY])
{
    snprintf(key, MOST_KEY, "%.*s", (int)(s.n < MOST_KEY ? s.n : MOST_KEY), s.s);
    return key;
}

/* ---- the phases: each brings [from, to) into the archive, inside a transaction -------------- */

static int
load_maintainers(newt_conn *c, struct loader *l, struct archive *a, size_t from, size_t to)
{
    struct newt_map *map;
    char key[MOST_KEY];

    map = from ? newt_map_write(c, a->maintainers) : newt_map_new(c);
    if (!map)
        return newt_status(c);
    a->maintainers = newt_map_id(map);
    for (size_t i = from; i < to; i++) {
        struct maintainer *m = maintainer_new(c);
        struct span name = l->maintainers[i], email = {NULL, 0};
        const char *open = memchr(name.s, '<', name.n);

        if (!m)
            return newt_status(c);
        if (open && name.s[name.n - 1] == '>') {
            email = (struct span){open + 1, name.n - (size_t)(open - name.s) - 2};
            name.n = (size_t)(open - name.s);
            while (name.n && name.s[name.n - 1] == ' ')
                name.n--;
        }
        set(maintainer_obj(m), &m->name, name);
        set(maintainer_obj(m), &m->email, email);
        newt_map_put(map, key_of(l->maintainers[i], key), maintainer_id(m).any);
        maintainer_done(m);
    }
    newt_map_done(map);
    return NEWT_OK;
}

static enum priority
priority_of(struct span s)
{
    for (int i = 0; priority_names[i]; i++)
        if (strlen(priority_names[i]) == s.n && memcmp(priority_names[i], s.s, s.n) == 0)
            return (enum priority)i;
    return OPTIONAL;
}

static void
fill_package(struct package *p, const struct entry *e)
{
    newt_object *o = package_obj(p);
    struct span tags = e->tags, tag;

    set(o, &p->name, e->name);
    set(o, &p->version, e->version);
    set(o, &p->architecture, e->architecture);
    set(o, &p->summary, e->summary);
    set(o, &p->description, e->description);
    set(o, &p->homepage, e->homepage);
    p->priority = priority_of(e->priority);
    p->essential = e->essential.n == 3 && memcmp(e->essential.s, "yes", 3) == 0;
    p->size = e->size;
    p->installed_size = e->installed_size;
    while (next_item(&tags, &tag))
        append(o, &p->tags, tag);
    append_readers(o, &p->acl, e->section);
}

/* The section of an entry: the archive's last one, or a new one after it. */
static struct section *
section_for(newt_conn *c, struct archive *a, const struct entry *e, struct section *last)
{
    if (!last && a->sections.n)
        last = section_write(c, a->sections.items[a->sections.n - 1]);
    else if (!last)
        last = section_new(c);
    if (!last)
        return NULL;
    if (last->name.s && e->section.n == last->name.n &&
        memcmp(e->section.s, last->name.s, last->name.n) == 0)
        return last;
    if (last->name.s) {
        section_done(last);
        last = section_new(c);
        if (!last)
            return NULL;
    }
    set(section_obj(last), &last->name, e->section);
    append_readers(section_obj(last), &last->acl, e->section);
    newt_append(a, sections, section_id(last));
    return last;
}

static int
load_packages(newt_conn *c, struct loader *l, struct archive *a, size_t from, size_t to)
{
    const struct newt_map *maintainers = newt_map_read(c, a->maintainers);
    struct section *section = NULL;
    char key[MOST_KEY];

    if (!maintainers)
        return newt_status(c);
    for (size_t i = from; i < to; i++) {
        const struct entry *e = &l->x->entries[i];
        struct package *p = package_new(c);

        section = section_for(c, a, e, section);
        if (!p || !section)
            return newt_status(c);
        fill_package(p, e);
        p->section = section_id(section);
        p->maintainer = maintainer_of(newt_map_get(maintainers, key_of(e->maintainer, key)));
        l->refs[i] = package_id(p);
        newt_append(section, packages, l->refs[i]);
        package_done(p);
    }
    section_done(section);
    newt_map_done(maintainers);
    return NEWT_OK;
}

static void
append_once(newt_object *o, struct relation *r, package_ref target)
{
    for (uint32_t i = 0; i < r->any_of.n; i++)
        if (r->any_of.items[i].any.oid == target.any.oid)
            return;
    package_ref *item = newt_array_grow(o, &r->any_of, sizeof *item, 1);

    if (item)
        *item = target;
}

/* One field, "libc6 (>= 2.34), default-mta | mail-transport-agent". Returns how many relations no
 * package of the index satisfies. */
static size_t
fill_relations(const struct loader *l, struct package *p, enum relation_kind kind,
               struct span field)
{
    newt_object *o = package_obj(p);
    struct span item, name;
    size_t unresolved = 0;

    while (next_item(&field, &item)) {
        struct relation *r = newt_array_grow(o, &p->relations, sizeof *r, 1);

        if (!r)
            return 0;
        r->kind = kind;
        set(o, &r->spec, item);
        while (next_alternative(&item, &name)) {
            const struct provision *first;
            size_t n = index_resolve(l->x, name, &first);

            for (size_t i = 0; i < n; i++)
                append_once(o, r, l->refs[first[i].entry]);
        }
        unresolved += !r->any_of.n;
    }
    return unresolved;
}

static int
load_relations(newt_conn *c, struct loader *l, struct archive *a, size_t from, size_t to)
{
    int rc = newt_prefetch(c, &l->refs[from].any, to - from);

    for (size_t i = from; i < to && !rc; i++) {
        const struct entry *e = &l->x->entries[i];
        struct package *p;

        if (!e->depends.n && !e->pre_depends.n && !e->recommends.n)
            continue;
        p = package_write(c, l->refs[i]);
        if (!p)
            return newt_status(c);
        a->unresolved += fill_relations(l, p, PRE_DEPENDS, e->pre_depends);
        a->unresolved += fill_relations(l, p, DEPENDS, e->depends);
        fill_relations(l, p, RECOMMENDS, e->recommends);
        package_done(p);
    }
    return rc;
}

static const struct stage {
    const char *what;
    int (*load)(newt_conn *, struct loader *, struct archive *, size_t from, size_t to);
} stages[] = {
    [MAINTAINERS] = {"maintainers", load_maintainers},
    [PACKAGES] = {"packages", load_packages},
    [RELATIONS] = {"relations", load_relations},
};

static size_t
total_of(const struct loader *l, enum phase phase)
{
    return phase == MAINTAINERS ? l->n_maintainers : l->x->n;
}

/* The complete archive takes the place of the one before. */
static int
publish(newt_conn *c, struct loader *l, struct archive *a)
{
    newt_ref old = newt_root(c, ROOT_CURRENT);
    int rc = newt_set_root(c, ROOT_CURRENT, l->archive.any);

    a->loaded.us = (int64_t)time(NULL) * 1000000;
    a->packages = l->x->n;
    if (!rc)
        rc = newt_set_root(c, ROOT_LOADING, (newt_ref){0});
    if (!rc && !newt_is_null(old))
        rc = newt_set_root(c, ROOT_OLD, old);
    return rc;
}

/* One batch: a transaction. */
static int
load_batch(newt_conn *c, void *arg)
{
    struct loader *l = arg;
    struct archive *a = archive_write(c, l->archive);
    size_t total = total_of(l, l->at.phase), from = (size_t)l->at.position, to;
    int rc;

    if (!a)
        return newt_status(c);
    if (a->phase != l->at.phase || a->position != from)
        return OTHER_LOADER;
    to = total - from < BATCH ? total : from + BATCH;
    rc = stages[a->phase].load(c, l, a, from, to);
    if (rc)
        return rc;
    a->position = to == total ? 0 : to;
    if (to == total && ++a->phase == COMPLETE)
        rc = publish(c, l, a);
    l->next = (struct place){a->phase, a->position};
    archive_done(a);
    return rc;
}

static bool
failed(const struct loader *l, int rc, const char *what)
{
    if (rc != OTHER_LOADER)
        return demo_failed(l->demo, l->demo->c, what);
    complain(&l->demo->page, "%s: another process loads into this store", what);
    return false;
}

static bool
run_phase(struct loader *l)
{
    enum phase phase = l->at.phase;
    uint64_t from = l->at.position, transactions = 0, n;
    double started = now();
    struct progress progress;
    int rc;

    progress_open(&progress, &l->demo->page, stages[phase].what, from, total_of(l, phase));
    while (l->at.phase == phase) {
        rc = newt_transact(l->demo->c, load_batch, l, NULL);
        if (rc) {
            progress_close(&progress);
            return failed(l, rc, stages[phase].what);
        }
        transactions++;
        l->at = l->next;
        progress_to(&progress, l->at.phase == phase ? l->at.position : total_of(l, phase));
    }
    progress_close(&progress);
    n = total_of(l, phase) - from;
    started = now() - started;
    table_row(&l->table, stages[phase].what, number(n).s, number(transactions).s,
              time_text(started).s, rate_text(n, started).s);
    return true;
}

/* ---- removing an archive that is out of use ------------------------------------------------- */

/* One batch, from the end: whatever is still there can be reached from the root. */
static int
remove_batch(newt_conn *c, void *arg)
{
    struct loader *l = arg;
    archive_ref ref = archive_of(newt_root(c, ROOT_OLD));
    struct archive *a;
    struct section *s;
    uint32_t n;
    int rc = NEWT_OK;

    l->removed = 0;
    if (newt_is_null(ref.any))
        return newt_status(c);
    a = archive_write(c, ref);
    if (!a)
        return newt_status(c);
    if (a->sections.n) {
        s = section_write(c, a->sections.items[a->sections.n - 1]);
        if (!s)
            return newt_status(c);
        n = s->packages.n < BATCH ? s->packages.n : BATCH;
        rc = newt_prefetch(c, &s->packages.items[s->packages.n - n].any, n);
        for (uint32_t i = s->packages.n - n; i < s->packages.n && !rc; i++)
            rc = newt_delete(c, s->packages.items[i].any);
        l->removed = n;
        if (n < s->packages.n) {
            newt_array_remove(section_obj(s), &s->packages, sizeof *s->packages.items,
                              s->packages.n - n, n);
            section_done(s);
        } else {
            section_done(s);
            if (!rc)
                rc = newt_delete(c, a->sections.items[a->sections.n - 1].any);
            newt_array_remove(archive_obj(a), &a->sections, sizeof *a->sections.items,
                              a->sections.n - 1, 1);
            l->removed++;
        }
    } else if (!newt_is_null(a->maintainers.any)) {
        const struct newt_map *map = newt_map_read(c, a->maintainers);

        if (!map)
            return newt_status(c);
        l->removed = map->items.n + 1;
        for (uint32_t i = 0; i < map->items.n && !rc; i++)
            rc = newt_delete(c, map->items.items[i].value);
        newt_map_done(map);
        if (!rc)
            rc = newt_delete(c, a->maintainers.any);
        a->maintainers = newt_map_of((newt_ref){0});
    } else {
        archive_done(a);
        l->removed = 1;
        rc = newt_delete(c, ref.any);
        return rc ? rc : newt_set_root(c, ROOT_OLD, (newt_ref){0});
    }
    archive_done(a);
    return rc;
}

static bool
remove_old(struct loader *l)
{
    double started = now();
    uint64_t n = 0, transactions = 0;

    do {
        int rc = newt_transact(l->demo->c, remove_batch, l, NULL);

        if (rc)
            return failed(l, rc, "removing the old archive");
        n += l->removed;
        transactions += l->removed > 0;
    } while (l->removed);
    if (n)
        table_row(&l->table, "removed", number(n).s, number(transactions).s,
                  time_text(now() - started).s, rate_text(n, now() - started).s);
    return true;
}

/* ---- where the load begins ------------------------------------------------------------------ */

/* Finds the archive to go on with, or makes one. */
static int
find_archive(newt_conn *c, void *arg)
{
    struct loader *l = arg;
    static const char *const names[] = {ROOT_LOADING, ROOT_CURRENT};
    struct archive *made;
    int rc = NEWT_OK;

    for (size_t i = 0; i < 2; i++) {
        archive_ref ref = archive_of(newt_root(c, names[i]));
        const struct archive *a;

        if (newt_is_null(ref.any))
            continue;
        a = archive_read(c, ref);
        if (!a)
            return newt_status(c);
        if (strcmp(a->digest.s, l->digest) == 0) {
            l->archive = ref;
            l->at = (struct place){a->phase, a->position};
            archive_done(a);
            return NEWT_OK;
        }
        archive_done(a);
        if (i == 0) /* half of another index */
            rc = newt_set_root(c, ROOT_OLD, ref.any);
        if (i == 0 && !rc)
            rc = newt_set_root(c, ROOT_LOADING, (newt_ref){0});
        if (rc)
            return rc;
    }
    made = archive_new(c);
    if (!made)
        return newt_status(c);
    newt_set(made, source, l->x->source);
    newt_set(made, digest, l->digest);
    l->archive = archive_id(made);
    l->at = (struct place){MAINTAINERS, 0};
    archive_done(made);
    return newt_set_root(c, ROOT_LOADING, l->archive.any);
}

/* The references of what an earlier run has loaded. */
static int
recall_packages(newt_conn *c, void *arg)
{
    struct loader *l = arg;
    const struct archive *a = archive_read(c, l->archive);
    size_t n = 0;
    int rc;

    if (!a)
        return newt_status(c);
    rc = a->sections.n ? newt_prefetch(c, &a->sections.items->any, a->sections.n) : NEWT_OK;
    for (uint32_t i = 0; i < a->sections.n && !rc; i++) {
        const struct section *s = section_read(c, a->sections.items[i]);

        if (!s)
            return newt_status(c);
        if (s->packages.n > l->x->n - n)
            return OTHER_LOADER;
        memcpy(l->refs + n, s->packages.items, s->packages.n * sizeof *l->refs);
        n += s->packages.n;
        section_done(s);
    }
    archive_done(a);
    return rc;
}

static int
compare(const void *a, const void *b)
{
    return compare_spans(*(const struct span *)a, *(const struct span *)b);
}

static bool
collect_maintainers(struct loader *l)
{
    size_t n = 0;

    l->maintainers = calloc(l->x->n, sizeof *l->maintainers);
    l->refs = calloc(l->x->n, sizeof *l->refs);
    if (!l->maintainers || !l->refs) {
        complain(&l->demo->page, "out of memory");
        return false;
    }
    for (size_t i = 0; i < l->x->n; i++)
        l->maintainers[i] = l->x->entries[i].maintainer;
    qsort(l->maintainers, l->x->n, sizeof *l->maintainers, compare);
    for (size_t i = 0; i < l->x->n; i++)
        if (i == 0 || compare(&l->maintainers[i], &l->maintainers[n - 1]) != 0)
            l->maintainers[n++] = l->maintainers[i];
    l->n_maintainers = n;
    return true;
}

bool
demo_load(struct demo *d, struct index *x)
{
    struct loader l = {.demo = d, .x = x};
    bool ok, begun;
    int rc;

    snprintf(l.digest, sizeof l.digest, "%016llx", (unsigned long long)x->digest);
    table_open(&l.table, "lrrrr", "", "objects", "transactions", "time", "objects/s");
    ok = collect_maintainers(&l) && remove_old(&l);
    if (ok && (rc = newt_transact(d->c, find_archive, &l, NULL)))
        ok = failed(&l, rc, "looking for the archive");
    begun = l.at.phase != COMPLETE;
    ok = ok && remove_old(&l);
    if (ok && begun && (l.at.phase != MAINTAINERS || l.at.position)) {
        say(&d->page, "An earlier load was interrupted; it goes on with the %s, at %s.",
            stages[l.at.phase].what, number(l.at.position).s);
        if ((rc = newt_transact(d->c, recall_packages, &l, NULL)))
            ok = failed(&l, rc, "reading what was loaded");
    }
    while (ok && l.at.phase != COMPLETE)
        ok = run_phase(&l);
    ok = ok && remove_old(&l);
    if (ok && !begun)
        say(&d->page, "This index is in the store already; nothing to load.");
    if (ok && l.table.n > l.table.columns) {
        say(&d->page, "\n");
        table_show(&l.table, &d->page);
    }
    table_close(&l.table);
    free(l.maintainers);
    free(l.refs);
    return ok;
}
