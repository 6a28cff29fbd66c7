/*
 * folder.c - folders and uploads: their classes, how they are made, moved, opened and closed
 */
#include "folder.h"

#include "demo.h"

#include <stdio.h>
#include <string.h>

enum {
    LATEST = 10, /* uploads of a section */
    DEEPEST = 100
};

static const char *const effect_names[] = {"allow", "deny", NULL};

NEWT_CLASS(rule, "Rule", 1, NULL, NEWT_FIELD(struct rule, who, .flags = NEWT_F_REQUIRED),
           NEWT_ENUM(struct rule, effect, effect_names));

NEWT_CLASS(folder, "Folder", 1, NULL, NEWT_FIELD(struct folder, title, .flags = NEWT_F_REQUIRED),
           NEWT_REF(struct folder, within, folder), NEWT_STRUCTS(struct folder, access, rule),
           NEWT_REFS(struct folder, uploads, upload));

NEWT_CLASS(upload, "Upload", 1, NULL, NEWT_FIELD(struct upload, title, .flags = NEWT_F_REQUIRED),
           NEWT_REF(struct upload, within, folder), NEWT_STRUCTS(struct upload, access, rule),
           NEWT_REF(struct upload, package, package));

/* The release team sees everything below the archive, but for security fixes before they are
 * published: a folder for each, with those who work on it. Below "stable" are the sections. */
static const struct {
    const char *title, *within;
    struct {
        const char *who;
        enum effect effect;
    } access[3];
    const char *packages; /* those of which it has uploads */
} plan[] = {
    {"archive", NULL, {{"team:release", ALLOW}}, NULL},
    {"stable", "archive", {{"everyone", ALLOW}}, NULL},
    {"security", "archive", {{"team:security", ALLOW}, {"team:release", DENY}}, NULL},
    {"postgresql-fix", "security", {{"user:ada", ALLOW}}, "postgresql-1%"},
    {"zlib-fix", "security", {{NULL, ALLOW}}, "zlib1g%"},
};

/* ---- rules ---------------------------------------------------------------------------------- */

bool
rules_decide(const rules *access, const char *const *principals, enum effect *effect)
{
    bool decides = false;

    for (uint32_t i = 0; i < access->n; i++)
        for (const char *const *who = principals; *who; who++)
            if (strcmp(access->items[i].who.s, *who) == 0 && (!decides || *effect == ALLOW)) {
                *effect = access->items[i].effect;
                decides = true;
            }
    return decides;
}

/* One rule about a principal: that of before is changed. */
static void
set_rule(newt_object *o, rules *access, const char *who, enum effect effect)
{
    struct rule *r = NULL;

    for (uint32_t i = 0; i < access->n && !r; i++)
        if (strcmp(access->items[i].who.s, who) == 0)
            r = &access->edit_[i];
    if (!r && (r = newt_array_grow(o, access, sizeof *r, 1)))
        newt_text_set(o, &r->who, who);
    if (r)
        r->effect = effect;
}

/* ---- made ----------------------------------------------------------------------------------- */

static struct folder *
new_folder(newt_conn *c, struct newt_map *folders, const char *title, const char *within)
{
    struct folder *f = folder_new(c);

    if (!f)
        return NULL;
    newt_set(f, title, title);
    f->within = folder_of(within ? newt_map_get(folders, within) : (newt_ref){0});
    newt_map_put(folders, title, folder_id(f).any);
    return f;
}

static int
add_upload(newt_conn *c, struct folder *f, package_ref ref)
{
    const struct package *p = package_read(c, ref);
    const struct maintainer *m = p ? maintainer_read(c, p->maintainer) : NULL;
    struct upload *u = m ? upload_new(c) : NULL;
    char title[512];

    if (!u)
        return newt_status(c);
    snprintf(title, sizeof title, "%s %s", p->name.s, p->version.s);
    newt_set(u, title, title);
    u->within = folder_id(f);
    u->package = ref;
    if (m->email.s)
        set_rule(upload_obj(u), &u->access, m->email.s, ALLOW);
    newt_append(f, uploads, upload_id(u));
    upload_done(u);
    maintainer_done(m);
    package_done(p);
    return NEWT_OK;
}

static int
add_packages(newt_conn *c, struct folder *f, const char *names)
{
    newt_result *found = NULL;
    int rc = newt_search(c, &found,
                         "SELECT zoid FROM newt WHERE class_name = 'Package' AND\n"
                         " state->>'name' LIKE $1 ORDER BY state->>'name' LIMIT 4",
                         1, &names);

    for (size_t i = 0; i < newt_result_size(found) && !rc; i++)
        rc = add_upload(c, f, package_of(newt_result_ref(found, i)));
    newt_result_free(found);
    return rc;
}

static int
add_section(newt_conn *c, struct newt_map *folders, section_ref ref)
{
    const struct section *s = section_read(c, ref);
    struct folder *f = s ? new_folder(c, folders, s->name.s, "stable") : NULL;
    uint32_t n = s && s->packages.n < LATEST ? s->packages.n : LATEST;
    int rc;

    if (!f)
        return newt_status(c);
    rc = newt_prefetch(c, &s->packages.items->any, n);
    for (uint32_t i = 0; i < n && !rc; i++)
        rc = add_upload(c, f, s->packages.items[i]);
    folder_done(f);
    section_done(s);
    return rc;
}

/* What an earlier run has made. */
static int
remove_all(newt_conn *c, struct newt_map *folders)
{
    int rc = NEWT_OK;

    for (uint32_t i = 0; i < folders->items.n && !rc; i++) {
        const struct folder *f = folder_read(c, folder_of(folders->items.items[i].value));

        if (!f)
            return newt_status(c);
        for (uint32_t k = 0; k < f->uploads.n && !rc; k++)
            rc = newt_delete(c, f->uploads.items[k].any);
        folder_done(f);
        rc = rc ? rc : newt_delete(c, folders->items.items[i].value);
    }
    return rc ? rc : newt_map_clear(folders);
}

/* Those of before may be about packages that a later load has replaced. */
int
folders_make(newt_conn *c, void *nothing)
{
    const struct archive *a = archive_read(c, archive_of(newt_root(c, ROOT_CURRENT)));
    newt_map_ref root = newt_map_of(newt_root(c, ROOT_FOLDERS));
    struct newt_map *folders = newt_is_null(root.any) ? newt_map_new(c) : newt_map_write(c, root);
    int rc = a && folders ? remove_all(c, folders) : newt_status(c);

    for (size_t i = 0; i < sizeof plan / sizeof *plan && !rc; i++) {
        struct folder *f = new_folder(c, folders, plan[i].title, plan[i].within);

        for (size_t k = 0; f && k < 3 && plan[i].access[k].who; k++)
            set_rule(folder_obj(f), &f->access, plan[i].access[k].who, plan[i].access[k].effect);
        if (f && plan[i].packages)
            rc = add_packages(c, f, plan[i].packages);
        folder_done(f);
        rc = rc ? rc : newt_status(c);
    }
    for (uint32_t i = 0; !rc && i < a->sections.n; i++)
        rc = add_section(c, folders, a->sections.items[i]);
    if (!rc)
        rc = newt_set_root(c, ROOT_FOLDERS, newt_map_id(folders).any);
    newt_map_done(folders);
    archive_done(a);
    (void)nothing;
    return rc;
}

/* ---- moved, opened, closed ------------------------------------------------------------------ */

/* A folder of that title, null if there is none: then `why` says so. */
static folder_ref
find_folder(newt_conn *c, struct arrangement *a, const char *title)
{
    newt_map_ref root = newt_map_of(newt_root(c, ROOT_FOLDERS));
    const struct newt_map *folders = newt_is_null(root.any) ? NULL : newt_map_read(c, root);
    folder_ref found = folder_of(newt_map_get(folders, title));

    newt_map_done(folders);
    if (newt_is_null(found.any))
        snprintf(a->why, sizeof a->why, "there is no folder \"%.80s\"", title);
    return found;
}

int
folder_move(newt_conn *c, void *arg)
{
    struct arrangement *a = arg;
    folder_ref ref = find_folder(c, a, a->folder), to = find_folder(c, a, a->value), up = to;
    struct folder *f;

    if (newt_is_null(ref.any) || newt_is_null(to.any))
        return newt_status(c) ? newt_status(c) : CANNOT;
    for (int depth = 0; !newt_is_null(up.any); depth++) {
        const struct folder *above = folder_read(c, up);

        if (!above)
            return newt_status(c);
        if (up.any.oid == ref.any.oid || depth == DEEPEST) {
            snprintf(a->why, sizeof a->why, "\"%.50s\" would be in itself", a->folder);
            return CANNOT;
        }
        /* nobody else may move these meanwhile */
        if (newt_read_current(c, up.any))
            return newt_status(c);
        up = above->within;
        folder_done(above);
    }
    f = folder_write(c, ref);
    if (!f)
        return newt_status(c);
    f->within = to; /* its uploads, and the folders in it, are not touched */
    folder_done(f);
    return NEWT_OK;
}

static int
set_access(newt_conn *c, struct arrangement *a, enum effect effect)
{
    folder_ref ref = find_folder(c, a, a->folder);
    struct folder *f;

    if (newt_is_null(ref.any))
        return newt_status(c) ? newt_status(c) : CANNOT;
    f = folder_write(c, ref);
    if (!f)
        return newt_status(c);
    set_rule(folder_obj(f), &f->access, a->value, effect);
    folder_done(f);
    return NEWT_OK;
}

int
folder_allow(newt_conn *c, void *arg)
{
    return set_access(c, arg, ALLOW);
}

int
folder_deny(newt_conn *c, void *arg)
{
    return set_access(c, arg, DENY);
}
