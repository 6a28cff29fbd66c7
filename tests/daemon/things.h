/*
 * things.h - objects with collections, which have typed tables of all shapes; threads that make,
 * change and remove them
 */
#ifndef NEWT_TESTS_THINGS_H
#define NEWT_TESTS_THINGS_H

#include "daemon.h"

#include "../generate.h"

struct part;
struct thing;
NEWT_DECLARE(part);
NEWT_DECLARE(thing);
struct part {
    newt_text what;
    int64_t n;
};
struct thing {
    newt_text name;
    int64_t n;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(struct part) parts;
    NEWT_ARRAY(thing_ref) near;
    NEWT_MAP(int64_t) counts;
};
NEWT_CLASS(part, "Part", 1, NULL, NEWT_FIELD(struct part, what), NEWT_FIELD(struct part, n));
NEWT_CLASS(thing, "Thing", 1, NULL, NEWT_FIELD(struct thing, name), NEWT_FIELD(struct thing, n),
           NEWT_LIST(struct thing, tags), NEWT_STRUCTS(struct thing, parts, part),
           NEWT_REFS(struct thing, near, thing), NEWT_MAPOF(struct thing, counts));

UNUSED static newt_db *
open_things(const char *conninfo)
{
    static const newt_class *const classes[] = {&thing_class, NULL};
    newt_options options = {.size = sizeof options, .no_inline = true};
    newt_db *db = NULL;
    if (newt_db_open(&db, conninfo, classes, &options) != NEWT_OK)
        fail_msg("%s", newt_error_message(newt_db_error(db)));
    return db;
}

/* Gives it collections of other sizes and with other items than before. */
static void
change_thing(struct thing *t, generate *g, int64_t near)
{
    newt_object *o = thing_obj(t);
    char text[32];
    t->n++;
    if (t->tags.n > 3 || (t->tags.n > 0 && generate_below(g, 3) == 0))
        (void)!newt_array_remove(o, &t->tags, sizeof *t->tags.items, 0, t->tags.n);
    else
        (void)!newt_append(t, tags, (newt_text){0});
    if (t->parts.n > 4) {
        (void)!newt_array_remove(o, &t->parts, sizeof *t->parts.items, 1, 3);
    } else {
        struct part *p = newt_array_grow(o, &t->parts, sizeof *p, 1);
        snprintf(text, sizeof text, "part %d", (int)generate_below(g, 100));
        if (p) {
            newt_text_set(o, &p->what, text);
            p->n = t->n;
        }
    }
    if (t->near.n > 2)
        (void)!newt_array_remove(o, &t->near, sizeof *t->near.items, 0, 2);
    else if (near)
        (void)!newt_append(t, near, thing_of((newt_ref){near}));
    snprintf(text, sizeof text, "key %d", (int)generate_below(g, 6));
    if (!newt_drop(t, counts, text)) {
        int64_t *n = newt_put(t, counts, text);
        if (n)
            *n = t->n;
    }
}

enum {
    THINGS = 60,
    THING_WRITERS = 3,
    THINGS_CHANGED = 4 /* in a transaction */
};

typedef struct throng {
    newt_db *db;
    pthread_t threads[THING_WRITERS];
    uint64_t seed;
    atomic_int started;
    atomic_bool stop;
    atomic_long committed;
    _Atomic int64_t things[THINGS]; /* 0: to be made */
    const char *_Atomic why;        /* one gave up */
    char message[256];
} throng;

typedef struct change_of_things {
    throng *all;
    generate *g;
    size_t slot[THINGS_CHANGED];
    int64_t oid[THINGS_CHANGED];
} change_of_things;

static int
change_things(newt_conn *c, void *arg)
{
    change_of_things *m = arg;
    for (int k = 0; k < THINGS_CHANGED; k++) {
        newt_ref r = {atomic_load(&m->all->things[m->slot[k]])};
        struct thing *t = newt_is_null(r) ? thing_new(c) : thing_write(c, thing_of(r));
        m->oid[k] = r.oid;
        if (!t && newt_status(c) == NEWT_EMISSING) {
            atomic_compare_exchange_strong(&m->all->things[m->slot[k]], &r.oid, 0);
            return 1;
        }
        if (!t)
            return newt_status(c);
        change_thing(t, m->g, atomic_load(&m->all->things[generate_below(m->g, THINGS)]));
        m->oid[k] = thing_id(t).any.oid;
        thing_done(t);
        if (generate_below(m->g, 8) == 0) {
            if (newt_delete(c, (newt_ref){m->oid[k]}) != NEWT_OK)
                return newt_status(c);
            m->oid[k] = 0;
        }
    }
    return NEWT_OK;
}

static void *
write_things(void *arg)
{
    throng *all = arg;
    newt_conn *c = NULL;
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    generate g;
    generate_init(&g, all->seed + (uint64_t)atomic_fetch_add(&all->started, 1));
    if (newt_connect(all->db, &c) != NEWT_OK)
        all->why = "no connection";
    while (!atomic_load(&all->stop) && !all->why) {
        change_of_things m = {.all = all, .g = &g};
        for (size_t k = 0; k < THINGS_CHANGED; k++) {
            const size_t share = THINGS / THINGS_CHANGED;
            m.slot[k] = k * share + generate_below(&g, share);
        }
        int rc = newt_transact(c, change_things, &m, &patient);
        if (rc == NEWT_OK) {
            for (int k = 0; k < THINGS_CHANGED; k++)
                atomic_store(&all->things[m.slot[k]], m.oid[k]);
            atomic_fetch_add(&all->committed, 1);
        } else if (rc != 1) {
            snprintf(all->message, sizeof all->message, "%s: %s", newt_status_text(rc),
                     newt_error_message(newt_conn_error(c)));
            all->why = all->message;
        }
    }
    newt_close(c);
    return NULL;
}

UNUSED static void
throng_start(throng *all, const char *conninfo, uint64_t seed)
{
    memset(all, 0, sizeof *all);
    all->db = open_things(conninfo);
    all->seed = seed;
    for (int i = 0; i < THING_WRITERS; i++)
        assert_int_equal(pthread_create(&all->threads[i], NULL, write_things, all), 0);
}

UNUSED static void
throng_wait(throng *all, long transactions)
{
    long until = atomic_load(&all->committed) + transactions;
    wait_until(atomic_load(&all->committed) >= until || all->why);
}

UNUSED static void
throng_stop(throng *all)
{
    atomic_store(&all->stop, true);
    for (int i = 0; i < THING_WRITERS; i++)
        pthread_join(all->threads[i], NULL);
    newt_db_close(all->db);
    if (all->why)
        fail_msg("%s", all->why);
}

/* n things in one transaction; their references in refs. */
UNUSED static void
make_things(newt_conn *c, thing_ref *refs, int n)
{
    generate g;
    generate_init(&g, 1);
    assert_newt(c, newt_begin(c));
    for (int i = 0; i < n; i++) {
        char name[32];
        struct thing *t = thing_new(c);
        assert_non_null(t);
        snprintf(name, sizeof name, "thing %d", i);
        newt_set(t, name, name);
        change_thing(t, &g, i > 0 ? refs[i - 1].any.oid : 0);
        refs[i] = thing_id(t);
        thing_done(t);
    }
    assert_newt(c, newt_commit(c));
}

#endif
