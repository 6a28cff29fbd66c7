/*
 * property.c - operations at random, by several connections of two databases, beside a plain model
 *
 * The model is what the store should hold: for each object its fields and how often it was changed.
 * A transaction takes a copy of that when its snapshot opens, and changes its copy. Commit
 * compares: an object that was written, or has to be current, and whose number of changes is
 * another now, is a conflict; a counter is merged, and so is the root by its names. A savepoint is
 * a copy of the transaction's copy, and pointers are held while all this happens. Every answer of
 * every call is held to the model's: values, what is missing, whether a commit succeeds, which
 * objects its conflicts name.
 *
 * All is done in one thread, so the model knows the order. The seed is printed; NEWT_SEED replays
 * it.
 */
#include "../concurrency/concurrency.h"
#include "stored.h"
#include "../brief.h"

enum {
    OBJECTS = 40, /* places for objects; some are counters */
    COUNTERS = 8, /* the first of them */
    ROOTS = 3,    /* names of the root, which is one more object */
    ROOT = OBJECTS,
    PLACES = OBJECTS + 1,
    CONNECTIONS = 4,
    SAVEPOINTS = 6, /* within each other, at most */
    HELD = 3,       /* pointers that are kept for long */
    LISTED = 4      /* references in a list, at most */
};

struct thing;
NEWT_DECLARE(thing);
struct thing {
    newt_text name;
    int64_t n;
    thing_ref next;
    NEWT_ARRAY(newt_ref) others;
};
NEWT_CLASS(thing, "Thing", 1, NULL, NEWT_FIELD(struct thing, name), NEWT_FIELD(struct thing, n),
           NEWT_REF(struct thing, next, thing), NEWT_LIST(struct thing, others));
static const newt_class *const things[] = {&thing_class, NULL};

/* ---- the model ------------------------------------------------------------------------------ */

typedef struct value {
    int64_t oid; /* 0: there is none */
    int64_t n;
    int64_t next;
    int name;               /* "name 7" */
    int64_t others[LISTED]; /* of the root: what its names stand for */
    int n_others;
} value;

typedef struct object {
    value v;
    int64_t changes; /* how often it was changed; removing is one */
    bool taken;      /* by an object that is not committed yet */
} object;

typedef struct savepoint {
    int64_t number;
    value now[PLACES];
} savepoint;

/* A pointer to a Thing that the program keeps. */
typedef struct held {
    int i;
    struct thing *t; /* NULL: none */
    bool writable;
} held;

typedef struct player {
    newt_db *db;
    newt_conn *c;
    bool open;
    value loaded[PLACES], now[PLACES];
    int64_t changes[PLACES];
    bool made[PLACES], current[PLACES];
    savepoint savepoints[SAVEPOINTS];
    int n_savepoints;
    int64_t gone; /* the number of a savepoint that is over; 0: none */
    held held[HELD];
} player;

static struct {
    store s;
    newt_db *small; /* a second database, whose cache holds few objects */
    object objects[PLACES];
    player players[CONNECTIONS];
    chance random;
    int64_t newest;
    char last[200]; /* what was done last, for messages */
    int64_t operations, commits, conflicts, merges, missing, spilled, rolled_back, through;
} g;

#define wrong(...)                                                                                 \
    do {                                                                                           \
        print_message("# operation %lld: %s\n", (long long)g.operations, g.last);                  \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

static bool
same(const value *a, const value *b)
{
    return a->oid == b->oid && a->n == b->n && a->next == b->next && a->name == b->name &&
           a->n_others == b->n_others && memcmp(a->others, b->others, sizeof a->others) == 0;
}

static bool
is_counter(int i)
{
    return i < COUNTERS;
}

/* ---- what is read -----------------------------------------------------------------------------
 */

static void
check_thing(const struct thing *t, const value *v)
{
    char name[32];

    snprintf(name, sizeof name, "name %d", v->name);
    if (t->n != v->n || t->next.any.oid != v->next || strcmp(t->name.s, name) != 0 ||
        (int)t->others.n != v->n_others)
        wrong("Thing %lld: n %lld (%lld), next %lld (%lld), \"%s\" (\"%s\"), %u others (%d)",
              (long long)v->oid, (long long)t->n, (long long)v->n, (long long)t->next.any.oid,
              (long long)v->next, t->name.s, name, (unsigned)t->others.n, v->n_others);
    for (int i = 0; i < v->n_others; i++)
        if (t->others.items[i].oid != v->others[i])
            wrong("Thing %lld: others[%d] is %lld, not %lld", (long long)v->oid, i,
                  (long long)t->others.items[i].oid, (long long)v->others[i]);
}

static void
check_missing(newt_conn *c, const void *found)
{
    if (found || newt_status(c) != NEWT_EMISSING)
        wrong("%s, where an object is missing: %s", found ? "found" : "not found",
              newt_error_message(newt_conn_error(c)));
    g.missing++;
}

/* An object that was there once: its oid, for those that are gone. */
static int64_t
oid_of(const player *p, int i)
{
    return p->now[i].oid ? p->now[i].oid : p->loaded[i].oid ? p->loaded[i].oid : INT64_MAX - i;
}

static void
read_root(player *p, int i)
{
    char name[8];

    snprintf(name, sizeof name, "r%d", i % ROOTS);
    if (newt_root(p->c, name).oid != p->now[ROOT].others[i % ROOTS])
        wrong("root %s is another one", name);
}

static void
do_read(player *p, int i)
{
    newt_ref r = {oid_of(p, i)};
    const value *v = &p->now[i];

    if (i == ROOT) {
        read_root(p, pick(&g.random, ROOTS));
    } else if (is_counter(i)) {
        const struct newt_length *l = newt_length_read(p->c, newt_length_of(r));

        if (v->oid == 0)
            check_missing(p->c, l);
        else if (!l || l->value != v->n)
            wrong("counter %lld: %lld, not %lld (%s)", (long long)r.oid,
                  l ? (long long)l->value : -1, (long long)v->n,
                  newt_error_message(newt_conn_error(p->c)));
        newt_length_done(l);
    } else {
        const struct thing *t = thing_read(p->c, thing_of(r));

        if (v->oid == 0)
            check_missing(p->c, t);
        else if (!t)
            wrong("Thing %lld: %s", (long long)r.oid, newt_error_message(newt_conn_error(p->c)));
        else
            check_thing(t, v);
        thing_done(t);
    }
}

/* ---- what is changed ---------------------------------------------------------------------------
 */

static void
change_thing(player *p, struct thing *t, value *v)
{
    char name[32];
    int peer = COUNTERS + pick(&g.random, OBJECTS - COUNTERS);

    switch (pick(&g.random, 6)) {
    case 0:
        v->name = pick(&g.random, 1000);
        snprintf(name, sizeof name, "name %d", v->name);
        newt_set(t, name, name);
        break;
    case 1:
        v->next = p->now[peer].oid;
        t->next.any.oid = v->next;
        break;
    case 2:
        if (v->n_others < LISTED && p->now[peer].oid) {
            ok(p->c, newt_append(t, others, ((newt_ref){p->now[peer].oid})));
            v->others[v->n_others++] = p->now[peer].oid;
        }
        break;
    case 3:
        if (v->n_others > 0) {
            ok(p->c, newt_array_remove(thing_obj(t), &t->others, sizeof(newt_ref), 0, 1));
            v->n_others--;
            memmove(v->others, v->others + 1, (size_t)v->n_others * sizeof *v->others);
            v->others[v->n_others] = 0;
        }
        break;
    case 4: break; /* asked for, and left as it is */
    default: t->n = ++v->n;
    }
}

static void
do_write(player *p, int i)
{
    newt_ref r = {oid_of(p, i)};
    value *v = &p->now[i];

    if (i == ROOT) {
        int k = pick(&g.random, ROOTS), peer = pick(&g.random, OBJECTS);
        newt_ref to = {p->now[peer].oid};
        char name[8];

        snprintf(name, sizeof name, "r%d", k);
        ok(p->c, newt_set_root(p->c, name, to));
        v->others[k] = to.oid;
    } else if (is_counter(i)) {
        struct newt_length *l = newt_length_write(p->c, newt_length_of(r));
        int change = pick(&g.random, 7) - 3;

        if (v->oid == 0) {
            check_missing(p->c, l);
            return;
        }
        assert_non_null(l);
        ok(p->c, newt_length_change(l, change));
        v->n += change;
        newt_length_done(l);
    } else {
        struct thing *t = thing_write(p->c, thing_of(r));

        if (v->oid == 0) {
            check_missing(p->c, t);
            return;
        }
        assert_non_null(t);
        change_thing(p, t, v);
        thing_done(t);
    }
}

/* In a place where nobody has an object, as far as anybody can see. */
static void
do_new(player *p, int i)
{
    value *v = &p->now[i];

    for (int k = 0; k < CONNECTIONS; k++)
        if (i == ROOT || g.players[k].loaded[i].oid || g.objects[i].v.oid || g.objects[i].taken)
            return;
    *v = (value){.n = pick(&g.random, 100)};
    if (is_counter(i)) {
        struct newt_length *l = newt_length_new(p->c);

        assert_non_null(l);
        l->value = v->n;
        v->oid = newt_length_id(l).any.oid;
        newt_length_done(l);
    } else {
        struct thing *t = thing_new(p->c);

        assert_non_null(t);
        t->n = v->n;
        newt_set(t, name, "name 0");
        v->oid = thing_id(t).any.oid;
        thing_done(t);
    }
    p->made[i] = g.objects[i].taken = true;
}

/* ---- pointers that are held ---------------------------------------------------------------- */

static void
let_go(held *x)
{
    thing_done(x->t);
    x->t = NULL;
}

static void
do_hold(player *p, int i)
{
    held *x = &p->held[pick(&g.random, HELD)];
    thing_ref r = thing_of((newt_ref){p->now[i].oid});

    if (x->t)
        let_go(x);
    if (is_counter(i) || i == ROOT || p->now[i].oid == 0)
        return;
    x->i = i;
    x->writable = pick(&g.random, 2) == 0;
    x->t = x->writable ? thing_write(p->c, r) : (struct thing *)(uintptr_t)thing_read(p->c, r);
    if (!x->t)
        wrong("Thing %lld: %s", (long long)r.any.oid, newt_error_message(newt_conn_error(p->c)));
}

/* Looks, and writes, through a pointer without a call. */
static void
do_use(player *p, int i)
{
    held *x = &p->held[i % HELD];

    if (!x->t)
        return;
    check_thing(x->t, &p->now[x->i]);
    if (x->writable)
        x->t->n = ++p->now[x->i].n;
    g.through++;
}

/* ---- savepoints ------------------------------------------------------------------------------ */

static void
do_savepoint(player *p, int i)
{
    savepoint *x = &p->savepoints[p->n_savepoints];

    (void)i;
    if (p->n_savepoints == SAVEPOINTS)
        return;
    ok(p->c, newt_savepoint(p->c, &x->number));
    memcpy(x->now, p->now, sizeof x->now);
    p->n_savepoints++;
}

static void
check_gone(player *p)
{
    if (p->gone && newt_rollback_to(p->c, p->gone) != NEWT_EINVAL)
        wrong("savepoint %lld is still there", (long long)p->gone);
}

/* Objects that were made since do not exist any more; pointers to the others show what they were.
 */
static void
look_back(player *p, const value *before)
{
    for (int i = 0; i < PLACES; i++) {
        if (i != ROOT && before[i].oid && before[i].oid != p->now[i].oid) {
            const newt_bag *b = newt_bag_read(p->c, (newt_ref){before[i].oid});

            check_missing(p->c, b);
        }
    }
    for (int k = 0; k < HELD; k++) {
        held *x = &p->held[k];

        if (x->t && p->now[x->i].oid == 0)
            let_go(x);
        if (x->t)
            check_thing(x->t, &p->now[x->i]);
    }
}

static void
do_rollback(player *p, int i)
{
    value before[PLACES];
    int to;

    if (p->n_savepoints == 0)
        return;
    memcpy(before, p->now, sizeof before);
    to = i % p->n_savepoints;
    if (pick(&g.random, 4) == 0 && newt_set_root(p->c, "", (newt_ref){0}) != NEWT_EINVAL)
        wrong("a root without a name");
    ok(p->c, newt_rollback_to(p->c, p->savepoints[to].number));
    memcpy(p->now, p->savepoints[to].now, sizeof p->now);
    if (to + 1 < p->n_savepoints)
        p->gone = p->savepoints[to + 1].number;
    p->n_savepoints = to + 1;
    look_back(p, before);
    check_gone(p);
    g.rolled_back++;
}

static void
do_release(player *p, int i)
{
    int to;

    if (p->n_savepoints == 0)
        return;
    to = i % p->n_savepoints;
    ok(p->c, newt_release(p->c, p->savepoints[to].number));
    p->gone = p->savepoints[to].number;
    p->n_savepoints = to;
    check_gone(p);
}

static void
do_delete(player *p, int i)
{
    newt_ref r = {oid_of(p, i)};
    int status;

    if (i == ROOT)
        return;
    for (int k = 0; k < HELD; k++)
        if (p->held[k].t && p->held[k].i == i)
            let_go(&p->held[k]);
    status = newt_delete(p->c, r);
    if (p->now[i].oid == 0) {
        check_missing(p->c, status == NEWT_OK ? "" : NULL);
        return;
    }
    ok(p->c, status);
    p->now[i] = (value){0};
}

static void
do_read_current(player *p, int i)
{
    newt_ref r = {i == ROOT ? 1 : p->now[i].oid};

    if (r.oid == 0)
        return; /* it would doom the transaction */
    ok(p->c, newt_read_current(p->c, r));
    if (!p->made[i])
        p->current[i] = true;
}

static void
do_walk(player *p, int i)
{
    newt_ref r = {p->now[i].oid};

    if (i != ROOT && r.oid)
        ok(p->c, newt_prefetch_walk(p->c, &r, 1, NULL));
}

/* ---- transactions
 * -------------------------------------------------------------------------------- */

/* With a snapshot of now, so that the model knows what is in it. */
static void
do_begin(player *p)
{
    newt_ref missing = {INT64_MAX};

    begin(p->c);
    ok(p->c, newt_prefetch(p->c, &missing, 1));
    if (newt_tid(p->c) != g.newest)
        wrong("begun at %lld, not %lld", (long long)newt_tid(p->c), (long long)g.newest);
    p->open = true;
    for (int i = 0; i < PLACES; i++) {
        p->loaded[i] = p->now[i] = g.objects[i].v;
        p->changes[i] = g.objects[i].changes;
        p->made[i] = p->current[i] = false;
    }
}

static void
over(player *p)
{
    newt_cache x = {.size = sizeof x};

    newt_cache_stats(p->c, &x);
    memset(p->held, 0, sizeof p->held);
    p->n_savepoints = 0;
    p->gone = 0;
    for (int i = 0; i < PLACES; i++) {
        if (p->made[i])
            g.objects[i].taken = false;
        p->loaded[i] = (value){0};
        p->made[i] = false;
    }
    p->open = false;
}

static void
do_abort(player *p)
{
    newt_abort(p->c);
    over(p);
}

/* What the model says of the object at commit. */
typedef struct verdict {
    bool written, clash, mergeable;
} verdict;

/* Nobody else has set the names that were set here. */
static bool
names_merge(const value *before, const value *now, const value *theirs)
{
    for (int k = 0; k < ROOTS; k++)
        if (now->others[k] != before->others[k] && theirs->others[k] != before->others[k])
            return false;
    return true;
}

static verdict
judge(const player *p, int i)
{
    verdict x = {.written = p->made[i] ? p->now[i].oid != 0 : !same(&p->now[i], &p->loaded[i])};
    bool changed = !p->made[i] && p->changes[i] != g.objects[i].changes;

    x.clash = changed && (x.written || p->current[i]);
    x.mergeable = x.written && !p->current[i] &&
                  (i == ROOT ? names_merge(&p->loaded[i], &p->now[i], &g.objects[i].v)
                             : is_counter(i) && p->now[i].oid && g.objects[i].v.oid);
    return x;
}

static void
check_conflicts(const player *p, const bool *clash, int n)
{
    const newt_error *e = newt_conn_error(p->c);
    bool named = false;
    int told = 0;

    for (const newt_conflict *x; (x = newt_error_conflict(e, (size_t)told)); told++) {
        int i = 0;

        while (i < PLACES && (i == ROOT ? 1 : p->loaded[i].oid) != x->object.oid)
            i++;
        if (i == PLACES || !clash[i])
            wrong("%lld is no conflict", (long long)x->object.oid);
        if ((x->committed == 0) != (i != ROOT && g.objects[i].v.oid == 0))
            wrong("%lld has serial %lld now", (long long)x->object.oid, (long long)x->committed);
        named |= x->object.oid == newt_error_oid(e);
    }
    if (told != n)
        wrong("%d conflicts are told of, not %d: %s", told, n, newt_error_message(e));
    if (!named)
        wrong("the error names %lld", (long long)newt_error_oid(e));
}

static void
apply(const player *p)
{
    for (int i = 0; i < PLACES; i++) {
        verdict x = judge(p, i);
        object *o = &g.objects[i];

        if (!x.written)
            continue;
        if (x.clash) { /* merged */
            o->v.n += p->now[i].n - p->loaded[i].n;
            for (int k = 0; i == ROOT && k < ROOTS; k++)
                if (p->now[i].others[k] != p->loaded[i].others[k])
                    o->v.others[k] = p->now[i].others[k];
            g.merges++;
        } else {
            o->v = p->now[i];
        }
        o->changes++;
    }
}

static void
do_commit(player *p)
{
    bool clash[PLACES], all_merge = true, writes = false;
    int n = 0, status;

    for (int i = 0; i < PLACES; i++) {
        verdict x = judge(p, i);

        writes |= x.written;
        clash[i] = x.clash;
        n += x.clash;
        all_merge &= !x.clash || x.mergeable;
    }
    status = newt_commit(p->c);
    if (!writes || n == 0 || all_merge) {
        if (status != NEWT_OK)
            wrong("commit: %s %s", newt_error_message(newt_conn_error(p->c)),
                  newt_error_detail(newt_conn_error(p->c)));
        if (writes) {
            apply(p);
            if (newt_tid(p->c) <= g.newest)
                wrong("committed as %lld after %lld", (long long)newt_tid(p->c),
                      (long long)g.newest);
            g.newest = newt_tid(p->c);
            g.commits++;
        }
    } else {
        if (status != NEWT_ECONFLICT)
            wrong("commit: %s, where %d conflict", newt_status_text(status), n);
        check_conflicts(p, clash, n);
        g.conflicts++;
    }
    over(p);
}

static void
do_reconnect(player *p)
{
    if (p->open)
        do_abort(p);
    newt_close(p->c);
    p->c = connect_(p->db);
}

/* ---- operations
 * ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*run)(player *p, int i);
    int weight;
} operations[] = {
    {"read", do_read, 40},
    {"write", do_write, 30},
    {"new", do_new, 10},
    {"delete", do_delete, 3},
    {"read_current", do_read_current, 3},
    {"walk", do_walk, 2},
    {"hold", do_hold, 8},
    {"use", do_use, 10},
    {"savepoint", do_savepoint, 10},
    {"rollback", do_rollback, 8},
    {"release", do_release, 1},
};

static const struct {
    const char *name;
    void (*run)(player *p);
    int weight;
} endings[] = {{"commit", do_commit, 12}, {"abort", do_abort, 2}, {"reconnect", do_reconnect, 1}};

static void
operate(void)
{
    int who = pick(&g.random, CONNECTIONS), i = pick(&g.random, PLACES), w;
    player *p = &g.players[who];
    newt_cache x = {.size = sizeof x};

    g.operations++;
    if (!p->open) {
        snprintf(g.last, sizeof g.last, "%d begins", who);
        do_begin(p);
        return;
    }
    w = pick(&g.random, 140);
    for (size_t k = 0; k < sizeof operations / sizeof *operations; w -= operations[k++].weight) {
        if (w >= operations[k].weight)
            continue;
        snprintf(g.last, sizeof g.last, "%d: %s %d (%lld)", who, operations[k].name, i,
                 (long long)p->now[i].oid);
        operations[k].run(p, i);
        newt_cache_stats(p->c, &x);
        g.spilled += x.spilled;
        return;
    }
    for (size_t k = 0; k < sizeof endings / sizeof *endings; w -= endings[k++].weight) {
        if (w >= endings[k].weight)
            continue;
        snprintf(g.last, sizeof g.last, "%d: %s", who, endings[k].name);
        endings[k].run(p);
        return;
    }
}

/* What a connection that has nothing in its cache finds. */
static void
compare_all(void)
{
    player fresh = {.db = g.s.db, .c = connect_(g.s.db)};

    snprintf(g.last, sizeof g.last, "at the end");
    do_begin(&fresh);
    for (int i = 0; i < PLACES; i++)
        if (fresh.now[i].oid || i == ROOT)
            do_read(&fresh, i);
    newt_close(fresh.c);
}

static void
test_model(void **state)
{
    newt_options few = {.cache_objects = 6};
    bool many = getenv("NEWT_SOAK") || (on_memory() && !over_server() && !brief());
    int64_t n = many ? 1000000 : 30000;

    (void)state;
    memset(&g, 0, sizeof g);
    g.random.state = take_seed();
    store_make(&g.s, "model");
    g.s.db = store_db(&g.s, things, (newt_options){0});
    g.s.a = connect_(g.s.db);
    g.s.b = connect_(g.s.db);
    g.small = store_db(&g.s, things, few);
    for (int i = 0; i < CONNECTIONS; i++) {
        g.players[i].db = i < CONNECTIONS / 2 ? g.s.db : g.small;
        g.players[i].c = connect_(g.players[i].db);
    }
    g.newest = stored_tid(g.s.db);
    while (g.operations < n)
        operate();
    for (int i = 0; i < CONNECTIONS; i++)
        if (g.players[i].open)
            do_abort(&g.players[i]);
    compare_all();
    print_message("# %lld operations: %lld commits, %lld conflicts, %lld merged, %lld missing, "
                  "%lld rolled back, %lld looks through pointers\n",
                  (long long)g.operations, (long long)g.commits, (long long)g.conflicts,
                  (long long)g.merges, (long long)g.missing, (long long)g.rolled_back,
                  (long long)g.through);
    assert_true(g.commits > 0 && g.conflicts > 0 && g.merges > 0 && g.missing > 0 && g.spilled > 0);
    assert_true(g.rolled_back > 0 && g.through > 0);
    for (int i = 0; i < CONNECTIONS; i++)
        newt_close(g.players[i].c);
    newt_db_close(g.small);
    store_close(&g.s);
}

static const struct CMUnitTest property[] = {cmocka_unit_test(test_model)};

int
main(void)
{
    return run_all(property);
}
