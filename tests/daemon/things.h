/*
 * things.h - objects with collections, which have typed tables of all shapes; writers of them
 */
#ifndef NEWT_TESTS_THINGS_H
#define NEWT_TESTS_THINGS_H

#define CROWD_WRITERS 3
#define CROWD_INLINE  0
#define CROWD_OBJECTS 60
#include "writers.h"

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

static int
change_some_thing(newt_conn *c, writer *w, change *x)
{
    newt_ref r = {x->oid};
    struct thing *t = newt_is_null(r) ? thing_new(c) : thing_write(c, thing_of(r));
    if (!t)
        return newt_status(c);
    change_thing(t, &w->random, atomic_load(&w->all->slots[generate_below(&w->random, OBJECTS)]));
    x->oid = thing_id(t).any.oid;
    thing_done(t);
    return NEWT_OK;
}

/* A crowd that works on things. */
UNUSED static void
things_start(crowd *all, const char *conninfo, uint64_t seed)
{
    crowd_start_with(all, NULL, open_things(conninfo), change_some_thing, seed);
}

/* Nobody had a reason to lose its connection. */
UNUSED static void
things_stop(crowd *all)
{
    crowd_stop(all);
    assert_int_equal(all->lost, 0);
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
