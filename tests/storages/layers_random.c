/*
 * layers_random.c - layers at random beside a model, and readers of a layer while its base goes on
 *
 * The model is a pile of sheets: on each lies what a layer has written, with the version that the
 * object had below when the layer first wrote it. All that is read, every conflict of a commit and
 * every one of newt_db_commit_changes is held to it. The seed is printed; NEWT_SEED replays it.
 */
#include "../concurrency/concurrency.h"
#include "stored.h"
#include "../brief.h"

#include <stdatomic.h>

enum {
    PLACES = 3000, /* for objects; each is used once */
    DEPTH = 5,
    NEW = -1, /* a version: the sheets below do not have it */
    ACTIONS = 5
};

typedef struct cell {
    bool set, present;
    int64_t n, version;
    int64_t below; /* the version that it had there, or NEW */
} cell;

static struct {
    store s;
    other below;
    cell cells[DEPTH][PLACES]; /* of sheet 0: all that are set are the base's */
    int64_t oids[PLACES];
    int n, top;
    int64_t versions;
    chance random;
    int64_t commits, conflicts, several, written_down, refused; /* several: at once */
} g;

/* ---- the model ------------------------------------------------------------------------------ */

static const cell *
visible(int sheet, int p)
{
    static const cell none;

    for (; sheet >= 0; sheet--)
        if (g.cells[sheet][p].set)
            return &g.cells[sheet][p];
    return &none;
}

static void
put(int sheet, int p, bool present, int64_t n)
{
    cell *c = &g.cells[sheet][p];
    const cell *below = sheet > 0 ? visible(sheet - 1, p) : NULL;

    if (!c->set)
        c->below = below && below->set ? below->version : NEW;
    c->set = true;
    c->present = present;
    c->n = n;
    c->version = ++g.versions;
    if (sheet > 0 && !present && !below->present) /* there is nothing to hide */
        *c = (cell){0};
}

/* Whether newt_db_commit_changes must find this place changed below. */
static bool
clashes_below(int p)
{
    const cell *c = &g.cells[g.top][p], *below = visible(g.top - 1, p);

    return c->set && c->below != NEW && (!below->present || below->version != c->below);
}

/* How many conflicts newt_db_commit_changes must find; if none, it is done. */
static int
come_down(void)
{
    int n = 0;

    for (int p = 0; p < g.n; p++)
        n += clashes_below(p);
    for (int p = 0; p < g.n && n == 0; p++) {
        cell *c = &g.cells[g.top][p];

        if (c->set)
            put(g.top - 1, p, c->present, c->n);
        *c = (cell){0};
    }
    return n;
}

/* The place of an object. */
static int
place_of(newt_ref r)
{
    int p = 0;

    while (p < g.n && g.oids[p] != r.oid)
        p++;
    if (p == g.n)
        fail_msg("object %lld is none of the model's", (long long)r.oid);
    return p;
}

/* The conflicts that an error tells of are as many, each about an object of its own. */
static void
assert_conflicts(const newt_error *e, int n)
{
    for (int i = 0; i < n; i++) {
        assert_non_null(newt_error_conflict(e, (size_t)i));
        for (int k = 0; k < i; k++)
            assert_true(newt_error_conflict(e, (size_t)i)->object.oid !=
                        newt_error_conflict(e, (size_t)k)->object.oid);
    }
    assert_null(newt_error_conflict(e, (size_t)n));
}

/* ---- what is done ----------------------------------------------------------------------- */

/* A transaction's writes, to be put on a sheet if it is committed. */
typedef struct writes {
    int places[ACTIONS];
    int64_t n[ACTIONS];
    int64_t versions[ACTIONS]; /* that they were read with, or NEW */
    bool present[ACTIONS];
    int count;
} writes;

static bool
writes_to(const writes *w, int p)
{
    for (int i = 0; i < w->count; i++)
        if (w->places[i] == p)
            return true;
    return false;
}

/* Whether others have changed its i-th object since. */
static bool
clashes_at(const writes *w, int sheet, int i)
{
    const cell *now = visible(sheet, w->places[i]);

    return w->versions[i] != NEW && (!now->present || now->version != w->versions[i]);
}

static int
clashes(const writes *w, int sheet)
{
    int n = 0;

    for (int i = 0; i < w->count; i++)
        n += clashes_at(w, sheet, i);
    return n;
}

static void
put_all(const writes *w, int sheet)
{
    for (int i = 0; i < w->count; i++)
        put(sheet, w->places[i], w->present[i], w->n[i]);
}

/* What an open transaction does at random, to what its snapshot has on a sheet. */
static void
act(newt_conn *c, int sheet, writes *w)
{
    *w = (writes){0};
    for (int i = 1 + pick(&g.random, ACTIONS); i > 0; i--) {
        int p = g.n > 0 && pick(&g.random, 4) ? g.n - 1 - pick(&g.random, g.n < 30 ? g.n : 30)
                                              : g.n;
        int64_t n = (int64_t)(draw(&g.random) >> 1);
        bool present = pick(&g.random, 5) > 0;

        if (p == PLACES || writes_to(w, p) || (p < g.n && !visible(sheet, p)->present))
            continue;
        w->versions[w->count] = p == g.n ? NEW : visible(sheet, p)->version;
        if (p == g.n) {
            g.oids[g.n++] = item_id(new_item(c, "x", n)).any.oid;
            present = true;
        } else if (present) {
            write_n(c, item_of((newt_ref){g.oids[p]}), n);
        } else {
            ok(c, newt_delete(c, (newt_ref){g.oids[p]}));
        }
        w->places[w->count] = p;
        w->n[w->count] = n;
        w->present[w->count++] = present;
    }
}

static void
one(newt_conn *c, int sheet)
{
    writes w;

    begin(c);
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    act(c, sheet, &w);
    if (pick(&g.random, 8) == 0) {
        newt_abort(c);
        return;
    }
    commit(c);
    put_all(&w, sheet);
    g.commits++;
}

/* It is a conflict exactly if the model has one; all are told, and what they are about. */
static void
end(newt_conn *c, const writes *w)
{
    int n = clashes(w, g.top), status = newt_commit(c);
    const newt_error *e = newt_conn_error(c);

    assert_int_equal(status, n ? NEWT_ECONFLICT : NEWT_OK);
    g.conflicts += n > 0;
    g.several += n > 1;
    if (n == 0) {
        put_all(w, g.top);
        return;
    }
    assert_conflicts(e, n);
    for (int i = 0; i < n; i++) {
        const newt_conflict *k = newt_error_conflict(e, (size_t)i);
        int p = place_of(k->object), j = 0;

        while (j < w->count && w->places[j] != p)
            j++;
        assert_true(j < w->count && clashes_at(w, g.top, j));
        assert_true((k->committed != 0) == visible(g.top, p)->present);
    }
}

/* The newest layer's changes come down, or all that stands against that is told. */
static void
write_down(void)
{
    int n = come_down(), status = newt_db_commit_changes(g.s.db);
    const newt_error *e = newt_db_error(g.s.db);

    assert_int_equal(status, n ? NEWT_ECONFLICT : NEWT_OK);
    g.written_down += n == 0;
    g.refused += n > 0;
    if (n == 0)
        return;
    assert_conflicts(e, n);
    for (int i = 0; i < n; i++) {
        const newt_conflict *k = newt_error_conflict(e, (size_t)i);
        int p = place_of(k->object);

        assert_true(clashes_below(p));
        assert_true((k->committed != 0) == visible(g.top - 1, p)->present);
    }
    if (pick(&g.random, 2)) {
        assert_int_equal(newt_db_pop(g.s.db), NEWT_OK);
        memset(g.cells[g.top--], 0, sizeof g.cells[0]);
    }
}

static void
check(newt_conn *c, int sheet)
{
    static newt_ref refs[PLACES];

    begin(c);
    for (int p = 0; p < g.n; p++)
        refs[p].oid = g.oids[p];
    ok(c, newt_prefetch(c, &(newt_ref){INT64_MAX}, 1));
    ok(c, newt_prefetch(c, refs, (size_t)g.n));
    for (int p = 0; p < g.n; p++) {
        const struct item *i = item_read(c, item_of(refs[p]));
        const cell *v = visible(sheet, p);

        if ((i != NULL) != v->present || (i && i->n != v->n))
            fail_msg("place %d, object %lld: %s, %lld; should be %s, %lld", p, (long long)g.oids[p],
                     i ? "there" : "missing", i ? (long long)i->n : 0,
                     v->present ? "there" : "missing", (long long)v->n);
    }
    newt_abort(c);
}

/* Two at a time, and sometimes a third below. */
static void
two(void)
{
    writes a, b;

    begin(g.s.a);
    begin(g.s.b);
    ok(g.s.a, newt_prefetch(g.s.a, &(newt_ref){INT64_MAX}, 1));
    ok(g.s.b, newt_prefetch(g.s.b, &(newt_ref){INT64_MAX}, 1));
    act(g.s.a, g.top, &a);
    act(g.s.b, g.top, &b);
    if (pick(&g.random, 3) == 0)
        one(g.below.c, 0);
    end(g.s.a, &a);
    if (pick(&g.random, 3) == 0)
        one(g.below.c, 0);
    end(g.s.b, &b);
    check(pick(&g.random, 2) ? g.s.a : g.s.b, g.top);
}

static void
step(void)
{
    int what = pick(&g.random, 20);
    newt_conn *c = pick(&g.random, 2) ? g.s.a : g.s.b;

    if (what == 0 && g.top + 1 < DEPTH) {
        assert_int_equal(newt_db_push(g.s.db), NEWT_OK);
        g.top++;
    } else if (what == 1 && g.top > 0 && pick(&g.random, 2)) {
        assert_int_equal(newt_db_pop(g.s.db), NEWT_OK);
        memset(g.cells[g.top--], 0, sizeof g.cells[0]);
    } else if (what <= 3 && g.top > 0) {
        write_down();
    } else if (what == 4) {
        one(g.below.c, 0);
    } else if (what < 8) {
        two();
    } else {
        one(c, g.top);
    }
}

static void
test_model(void **state)
{
    int n = on_memory() && !over_server() && !brief() ? 6000 : 1000;

    (void)state;
    memset(&g, 0, sizeof g);
    g.random.state = take_seed();
    store_open(&g.s, "model");
    g.below = other_open(&g.s);
    for (int i = 0; i < n && g.n < PLACES - 2 * ACTIONS; i++) {
        step();
        if (i % 10 == 0) {
            check(pick(&g.random, 2) ? g.s.a : g.s.b, g.top);
            check(g.below.c, 0);
        }
    }
    print_message(
        "# %lld commits, %lld conflicts (%lld of several objects); %lld written down, %lld "
        "refused\n",
        (long long)g.commits, (long long)g.conflicts, (long long)g.several,
        (long long)g.written_down, (long long)g.refused);
    assert_true(g.conflicts > 0 && g.written_down > 0 && g.refused > 0);
    other_close(&g.below);
    store_close(&g.s);
}

/* ---- while the base goes on -------------------------------------------------------------------
 */

enum {
    ACCOUNTS = 8,
    EACH = 1000,
    WRITERS = 2 /* of the base, and as many of the layer */
};

static struct {
    newt_db *db, *below_db;
    item_ref below[ACCOUNTS], layer[ACCOUNTS]; /* whose accounts move */
    item_ref clock, noted;
    atomic_bool stop;
    atomic_int failed;
    atomic_long transfers[2], reads;
    uint64_t seed;
} world;

typedef struct moving {
    const item_ref *accounts;
    item_ref counter; /* of the transfers in the base; else where the layer notes it */
    int from, to;
    int64_t amount;
} moving;

static int
transfer(newt_conn *c, void *arg)
{
    const moving *m = arg;
    struct item *from = item_write(c, m->accounts[m->from]);
    struct item *to = item_write(c, m->accounts[m->to]);
    struct item *counter = item_write(c, m->counter);
    const struct item *clock = item_read(c, world.clock);

    if (!from || !to || !counter || !clock)
        return newt_status(c);
    from->n -= m->amount;
    to->n += m->amount;
    counter->n = counter == clock ? counter->n + 1 : clock->n;
    return 0;
}

static void *
move_money(void *arg)
{
    int who = (int)(intptr_t)arg;
    bool below = who < WRITERS;
    chance r = {world.seed + (uint64_t)who};
    moving m = {.accounts = below ? world.below : world.layer,
                .counter = below ? world.clock : world.noted};
    newt_transact_options o = {.size = sizeof o, .attempts = 1000};
    newt_conn *c = connect_(below ? world.below_db : world.db);

    while (!world.stop) {
        int status;

        m.from = pick(&r, ACCOUNTS);
        m.to = (m.from + 1 + pick(&r, ACCOUNTS - 1)) % ACCOUNTS;
        m.amount = pick(&r, 100);
        status = newt_transact(c, transfer, &m, &o);
        if (status != NEWT_OK) {
            print_message("# transfer: %s\n", newt_error_message(newt_conn_error(c)));
            world.failed++;
        }
        world.transfers[below]++;
    }
    newt_close(c);
    return NULL;
}

static int
add_up(newt_conn *c, void *arg)
{
    int64_t *out = arg;

    out[0] = out[1] = 0;
    for (int i = 0; i < ACCOUNTS; i++) {
        const struct item *a = item_read(c, world.layer[i]), *b = item_read(c, world.below[i]);

        if (!a || !b)
            return newt_status(c);
        out[0] += a->n;
        out[1] += b->n;
    }
    for (int i = 0; i < 2; i++) {
        const struct item *a = item_read(c, i ? world.noted : world.clock);

        if (!a)
            return newt_status(c);
        out[2 + i] = a->n;
    }
    return 0;
}

static void *
read_all(void *arg)
{
    newt_transact_options o = {.size = sizeof o, .attempts = 1000};
    newt_conn *c = connect_(world.db);

    (void)arg;
    while (!world.stop) {
        int64_t sums[4];
        int status = newt_transact(c, add_up, sums, &o);

        if (status != NEWT_OK || sums[0] != ACCOUNTS * EACH || sums[1] != ACCOUNTS * EACH ||
            sums[2] < sums[3]) {
            print_message("# %d: sums %lld and %lld, clock %lld, noted %lld\n", status,
                          (long long)sums[0], (long long)sums[1], (long long)sums[2],
                          (long long)sums[3]);
            world.failed++;
        }
        world.reads++;
    }
    newt_close(c);
    return NULL;
}

/* Transfers below and transfers in the layer, each of which notes how far the base was: readers of
 * the layer always see both sums, and never a note from a base that they do not see. */
static void
test_base_goes_on(void **state)
{
    pthread_t threads[2 * WRITERS + 2];
    other below;
    store s;
    double until;

    (void)state;
    memset(&world, 0, sizeof world);
    world.seed = take_seed();
    store_open(&s, "goes_on");
    below = other_open(&s);
    begin(below.c);
    for (int i = 0; i < ACCOUNTS; i++) {
        world.below[i] = item_id(new_item(below.c, "below", EACH));
        world.layer[i] = item_id(new_item(below.c, "layer", EACH));
    }
    world.clock = item_id(new_item(below.c, "clock", 0));
    world.noted = item_id(new_item(below.c, "noted", 0));
    commit(below.c);
    assert_int_equal(newt_db_push(s.db), NEWT_OK);
    world.db = s.db;
    world.below_db = below.db;
    for (int i = 0; i < 2 * WRITERS + 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 * WRITERS ? move_money : read_all,
                                        (void *)(intptr_t)i),
                         0);
    until = now() + duration(2, 60);
    while (now() < until && !world.failed)
        pause_ms(5);
    wait_until(world.failed || (world.transfers[0] && world.transfers[1] && world.reads));
    world.stop = true;
    for (int i = 0; i < 2 * WRITERS + 2; i++)
        pthread_join(threads[i], NULL);
    print_message("# %ld transfers below, %ld in the layer, %ld reads\n", world.transfers[1],
                  world.transfers[0], world.reads);
    assert_int_equal(world.failed, 0);
    /* the layer has touched nothing that was changed below */
    assert_int_equal(newt_db_commit_changes(s.db), NEWT_OK);
    begin(below.c);
    ok(below.c, newt_prefetch(below.c, &(newt_ref){INT64_MAX}, 1));
    {
        int64_t sums[4];

        assert_int_equal(add_up(below.c, sums), 0);
        assert_int_equal(sums[0], ACCOUNTS * EACH);
        assert_int_equal(sums[1], ACCOUNTS * EACH);
        assert_true(sums[2] >= sums[3]);
    }
    newt_abort(below.c);
    other_close(&below);
    store_close(&s);
}

static const struct CMUnitTest layers_random[] = {
    cmocka_unit_test(test_model),
    cmocka_unit_test(test_base_goes_on),
};

int
main(void)
{
    return run_all(layers_random);
}
