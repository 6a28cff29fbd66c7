/*
 * indexes_random.c - indexes at random, beside an array of what the objects should be
 *
 * Objects are made, changed, deleted; there are savepoints, rollbacks, aborts and commits, and a
 * cache that holds a few of them. Every look-up is held to the model's.
 */
#include "indexed.h"
#include "../brief.h"

enum {
    THINGS = 120,
    SAVEPOINTS = 4
};

typedef struct entry {
    bool there;
    newt_ref r;
    int code;  /* -1: null */
    int owner; /* of these things; -1: null */
    int priority, number, status, urgent;
    int due, at, id, blob; /* -1: null */
} entry;

typedef struct model {
    entry list[THINGS];
} model;

typedef struct run {
    store s;
    newt_db *small;
    newt_conn *c, *beside;
    thing_ref owners[3];
    chance random;
    model committed, now, saved[SAVEPOINTS];
    int64_t savepoints[SAVEPOINTS];
    int n_savepoints;
    struct thing *held[THINGS]; /* pointers that are kept beyond an operation */
    int64_t operations, ranges, refused;
} run;

#define must(r, condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("operation %lld: %s (%s)", (long long)(r)->operations, #condition,            \
                     newt_error_message(newt_conn_error((r)->c)));                                 \
    } while (0)

/* ---- values -----------------------------------------------------------------------------------
 */

/* Code i is less than code i + 1; some have a NUL, or begin alike. */
static newt_text
code_text(int i, char memory[80])
{
    int n = snprintf(memory, 80, "code %04d", i / 3);

    if (i % 3 == 1)
        memory[n++] = 0;
    if (i % 3 == 2)
        memory[n++] = 'x';
    return newt_strn(memory, (size_t)n);
}

static newt_bytes
blob_bytes(int i, uint8_t memory[8])
{
    memory[0] = (uint8_t)(i / 2);
    memory[1] = 0;
    return (newt_bytes){memory, 1 + (uint32_t)(i % 2), 0};
}

static newt_uuid
uuid_of(int i)
{
    newt_uuid id = {{0}};

    id.b[0] = (uint8_t)(i + 1);
    id.b[15] = 0xff;
    return i < 0 ? (newt_uuid){{0}} : id;
}

static void
write_thing(run *r, struct thing *t, const entry *e)
{
    char memory[80];
    uint8_t bytes[8];
    newt_text code = code_text(e->code, memory);

    if (e->code < 0)
        newt_set(t, code, NULL);
    else
        newt_text_setn(thing_obj(t), &t->code, code.s, code.n);
    t->owner = e->owner < 0 ? (thing_ref){{0}} : r->owners[e->owner];
    t->priority = e->priority;
    t->number = (uint16_t)e->number;
    t->status = (thing_status)e->status;
    t->urgent = e->urgent != 0;
    t->due.days = e->due < 0 ? NEWT_DATE_NULL : e->due - 3;
    t->at.us = e->at < 0 ? NEWT_TIME_NULL : e->at - 2;
    t->id = uuid_of(e->id);
    if (e->blob < 0)
        newt_bytes_set(thing_obj(t), &t->blob, NULL, 0);
    else
        newt_bytes_set(thing_obj(t), &t->blob, blob_bytes(e->blob, bytes).p,
                       blob_bytes(e->blob, bytes).n);
}

static bool
has_code(const model *m, int code)
{
    for (int i = 0; i < THINGS; i++)
        if (m->list[i].there && m->list[i].code == code)
            return true;
    return false;
}

static void
draw_entry(run *r, entry *e)
{
    int code = pick(&r->random, 12) ? pick(&r->random, 1000) : -1;

    while (code >= 0 && has_code(&r->now, code))
        code = pick(&r->random, 1000);
    e->code = code;
    e->owner = pick(&r->random, 4) - 1;
    e->priority = pick(&r->random, 5) - 2;
    e->number = pick(&r->random, 4) * 20000;
    e->status = pick(&r->random, 3);
    e->urgent = pick(&r->random, 2);
    e->due = pick(&r->random, 6) - 1;
    e->at = pick(&r->random, 5) - 1;
    e->id = pick(&r->random, 4) - 1;
    e->blob = pick(&r->random, 6) - 1;
}

/* ---- the model's answers ----------------------------------------------------------------------
 */

enum {
    PARTS = 3
};

/* One of the indexes: its parts of an entry; false: it is not in it. */
typedef struct view {
    const newt_index *x;
    int parts;
    bool (*key)(const run *r, const entry *e, int64_t key[PARTS]);
    void (*given)(const run *r, const int64_t key[PARTS], void *out, char memory[80]);
} view;

static bool
code_key(const run *r, const entry *e, int64_t key[PARTS])
{
    (void)r;
    key[0] = e->code;
    return e->code >= 0;
}
static void
code_given(const run *r, const int64_t key[PARTS], void *out, char memory[80])
{
    (void)r;
    ((by_code_key *)out)->code = code_text((int)key[0], memory);
}
static bool
open_key(const run *r, const entry *e, int64_t key[PARTS])
{
    if (e->owner < 0 || e->status != OPEN_THING)
        return false;
    key[0] = r->owners[e->owner].any.oid;
    key[1] = e->priority;
    return true;
}
static void
open_given(const run *r, const int64_t key[PARTS], void *out, char memory[80])
{
    (void)r;
    (void)memory;
    *(open_things_key *)out = (open_things_key){.owner = {{key[0]}}, .priority = (int32_t)key[1]};
}
static bool
due_key(const run *r, const entry *e, int64_t key[PARTS])
{
    (void)r;
    key[0] = e->due;
    key[1] = e->code;
    return e->due >= 0 && e->code >= 0;
}
static void
due_given(const run *r, const int64_t key[PARTS], void *out, char memory[80])
{
    by_due_key *k = out;

    (void)r;
    k->due.days = (int32_t)key[0] - 3;
    k->code = code_text((int)key[1], memory);
}
static bool
state_key(const run *r, const entry *e, int64_t key[PARTS])
{
    (void)r;
    key[0] = e->status;
    key[1] = e->urgent;
    key[2] = e->number;
    return true;
}
static void
state_given(const run *r, const int64_t key[PARTS], void *out, char memory[80])
{
    by_state_key *k = out;

    (void)r;
    (void)memory;
    k->status = (thing_status)key[0];
    k->urgent = key[1] != 0;
    k->number = (uint16_t)key[2];
}
static bool
odd_key(const run *r, const entry *e, int64_t key[PARTS])
{
    (void)r;
    key[0] = e->at;
    key[1] = e->id;
    key[2] = e->blob;
    return e->at >= 0 && e->id >= 0 && e->blob >= 0;
}
static void
odd_given(const run *r, const int64_t key[PARTS], void *out, char memory[80])
{
    by_odd_key *k = out;

    (void)r;
    k->at.us = key[0] - 2;
    k->id = uuid_of((int)key[1]);
    k->blob = blob_bytes((int)key[2], (uint8_t *)memory);
}

static const view views[] = {{&by_code_index, 1, code_key, code_given},
                             {&open_things_index, 2, open_key, open_given},
                             {&by_due_index, 2, due_key, due_given},
                             {&by_state_index, 3, state_key, state_given},
                             {&by_odd_index, 3, odd_key, odd_given}};
enum {
    VIEWS = sizeof views / sizeof *views
};

typedef struct found {
    int64_t key[PARTS];
    newt_ref r;
} found;

static int
compare_keys(const int64_t *a, const int64_t *b, int parts)
{
    for (int i = 0; i < parts; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int
by_place(const void *pa, const void *pb)
{
    const found *a = pa, *b = pb;
    int order = compare_keys(a->key, b->key, PARTS);

    return order ? order : (a->r.oid > b->r.oid) - (a->r.oid < b->r.oid);
}

/* A range, at random, and what it has to give; out has room for all. */
static int
answer(const run *r, const view *v, const newt_index_range *range, const int64_t low[PARTS],
       const int64_t high[PARTS], found *out)
{
    found all[THINGS];
    int n = 0, m = 0;

    memset(all, 0, sizeof all);
    for (int i = 0; i < THINGS; i++)
        if (r->now.list[i].there && v->key(r, &r->now.list[i], all[n].key))
            all[n++].r = r->now.list[i].r;
    qsort(all, (size_t)n, sizeof *all, by_place);
    for (int j = 0; j < n; j++) {
        const found *x = &all[range->descending ? n - 1 - j : j];
        int equal_parts = range->parts ? range->parts : v->parts;
        int from_parts = range->from_parts ? range->from_parts : v->parts;
        int to_parts = range->to_parts ? range->to_parts : v->parts;
        int a, b;

        if (range->equal && compare_keys(x->key, low, equal_parts) != 0)
            continue;
        a = range->from ? compare_keys(x->key, low, from_parts) : 1;
        b = range->to ? compare_keys(x->key, high, to_parts) : -1;
        if (a < 0 || (a == 0 && range->after_from) || b > 0 || (b == 0 && range->before_to))
            continue;
        out[m++] = *x;
    }
    return m;
}

/* ---- operations ------------------------------------------------------------------------------ */

static int
any_there(run *r)
{
    for (int tries = 0; tries < 40; tries++) {
        int i = pick(&r->random, THINGS);

        if (r->now.list[i].there)
            return i;
    }
    return -1;
}

/* The key of one of the objects, or any. */
static void
draw_key(run *r, const view *v, int64_t key[PARTS])
{
    int i = any_there(r);
    entry e;

    if (i >= 0 && pick(&r->random, 3) && v->key(r, &r->now.list[i], key))
        return;
    do
        draw_entry(r, &e);
    while (!v->key(r, &e, key));
}

static void
do_range(run *r)
{
    const view *v = &views[pick(&r->random, VIEWS)];
    union {
        by_code_key code;
        open_things_key open;
        by_due_key due;
        by_state_key state;
        by_odd_key odd;
    } low, high;
    char memory[2][80];
    int64_t a[PARTS] = {0}, b[PARTS] = {0};
    newt_index_range range = {.descending = pick(&r->random, 2)};
    newt_index_cursor at;
    found expected[THINGS];
    newt_ref refs[THINGS], got;
    int n, i, to, status;

    r->ranges++;
    draw_key(r, v, a);
    draw_key(r, v, b);
    v->given(r, a, &low, memory[0]);
    v->given(r, b, &high, memory[1]);
    if (pick(&r->random, 2)) {
        range.equal = &low;
        range.parts = (uint8_t)pick(&r->random, v->parts + 1);
    } else {
        if (pick(&r->random, 4)) {
            range.from = &low;
            range.from_parts = (uint8_t)pick(&r->random, v->parts + 1);
            range.after_from = pick(&r->random, 2);
        }
        if (pick(&r->random, 4)) {
            range.to = &high;
            range.to_parts = (uint8_t)pick(&r->random, v->parts + 1);
            range.before_to = pick(&r->random, 2);
        }
    }
    n = answer(r, v, &range, a, b, expected);
    must(r, newt_index_count(r->c, v->x, &range) == n);
    if (pick(&r->random, 3) == 0)
        range.offset = pick(&r->random, 8);
    if (pick(&r->random, 3) == 0)
        range.limit = 1 + pick(&r->random, 8);
    i = range.offset < n ? (int)range.offset : n;
    to = range.limit && i + range.limit < n ? i + (int)range.limit : n;
    if (pick(&r->random, 4) == 0) {
        must(r, newt_index_page(r->c, v->x, &range, refs, THINGS) == to - i);
        for (int j = 0; i < to; i++, j++)
            must(r, refs[j].oid == expected[i].r.oid);
        return;
    }
    at = newt_index_open(r->c, v->x, &range);
    while ((status = newt_index_next(&at, &got)) == 1) {
        must(r, i < to && got.oid == expected[i].r.oid);
        i++;
        if (pick(&r->random, 30) == 0) {
            newt_index_close(&at);
            return;
        }
    }
    must(r, status == 0 && i == to);
}

static void
do_get(run *r)
{
    int64_t key[PARTS];
    char memory[80];
    by_code_key k;
    thing_ref got = {{0}};
    int there = -1;

    draw_key(r, &views[0], key);
    code_given(r, key, &k, memory);
    for (int i = 0; i < THINGS; i++)
        if (r->now.list[i].there && r->now.list[i].code == key[0])
            there = i;
    must(r, by_code_get(r->c, k, &got) == (there >= 0));
    must(r, there < 0 || got.any.oid == r->now.list[there].r.oid);
}

static void
let_go(run *r, int i)
{
    thing_done(r->held[i]);
    r->held[i] = NULL;
}

static void
let_go_of_all(run *r)
{
    for (int i = 0; i < THINGS; i++)
        r->held[i] = NULL;
}

static void
do_make(run *r, int i)
{
    struct thing *t = thing_new(r->c);
    entry *e = &r->now.list[i];

    must(r, t);
    draw_entry(r, e);
    write_thing(r, t, e);
    e->there = true;
    e->r = thing_id(t).any;
    if (pick(&r->random, 4))
        thing_done(t);
    else
        r->held[i] = t;
}

static void
do_change(run *r, int i)
{
    entry *e = &r->now.list[i];
    struct thing *t = r->held[i] ? r->held[i] : thing_write(r->c, thing_of(e->r));

    must(r, t);
    if (pick(&r->random, 4)) {
        draw_entry(r, e);
        write_thing(r, t, e);
    } else {
        t->other++;
    }
    r->held[i] = t;
    if (pick(&r->random, 4))
        let_go(r, i);
}

static void
do_delete(run *r, int i)
{
    if (r->held[i])
        let_go(r, i);
    ok(r->c, newt_delete(r->c, r->now.list[i].r));
    r->now.list[i].there = false;
}

/* Two objects get the same code: refused, and undone. */
static void
do_refused(run *r)
{
    int i = any_there(r), j = any_there(r);
    int64_t savepoint;
    struct thing *t;
    char memory[80];
    by_code_key k;
    newt_text code;
    int status;

    if (i < 0 || j < 0 || i == j || r->now.list[i].code < 0)
        return;
    ok(r->c, newt_savepoint(r->c, &savepoint));
    code = code_text(r->now.list[i].code, memory);
    t = thing_write(r->c, thing_of(r->now.list[j].r));
    must(r, t);
    newt_text_setn(thing_obj(t), &t->code, code.s, code.n);
    thing_done(t);
    k.code = code;
    status = by_code_get(r->c, k, NULL);
    must(r, status == NEWT_EUNIQUE);
    must(r, strcmp(newt_error_constraint(newt_conn_error(r->c)), "things.code") == 0);
    ok(r->c, newt_rollback_to(r->c, savepoint));
    ok(r->c, newt_release(r->c, savepoint));
    r->refused++;
}

/* Two objects swap theirs. */
static void
do_swap(run *r)
{
    int i = any_there(r), j = any_there(r), code;

    if (i < 0 || j < 0 || i == j)
        return;
    code = r->now.list[i].code;
    r->now.list[i].code = r->now.list[j].code;
    r->now.list[j].code = code;
    for (int at = i, n = 0; n < 2; at = j, n++) {
        struct thing *t = thing_write(r->c, thing_of(r->now.list[at].r));

        must(r, t);
        write_thing(r, t, &r->now.list[at]);
        thing_done(t);
    }
}

/* ---- transactions --------------------------------------------------------------------------- */

static void
do_savepoint(run *r)
{
    if (r->n_savepoints == SAVEPOINTS)
        return;
    ok(r->c, newt_savepoint(r->c, &r->savepoints[r->n_savepoints]));
    r->saved[r->n_savepoints++] = r->now;
}

static void
do_rollback(run *r)
{
    int to;

    if (r->n_savepoints == 0)
        return;
    to = pick(&r->random, r->n_savepoints);
    ok(r->c, newt_rollback_to(r->c, r->savepoints[to]));
    r->now = r->saved[to];
    r->n_savepoints = to + 1;
    /* what is still there may still be changed through pointers to it */
    for (int i = 0; i < THINGS; i++)
        if (r->held[i] &&
            (!r->now.list[i].there || thing_id(r->held[i]).any.oid != r->now.list[i].r.oid))
            r->held[i] = NULL;
}

static void
do_release(run *r)
{
    if (r->n_savepoints == 0)
        return;
    r->n_savepoints = pick(&r->random, r->n_savepoints);
    ok(r->c, newt_release(r->c, r->savepoints[r->n_savepoints]));
}

static void
do_finish(run *r, bool committed)
{
    if (committed) {
        ok(r->c, newt_commit(r->c));
        r->committed = r->now;
    } else {
        newt_abort(r->c);
        r->now = r->committed;
    }
    r->n_savepoints = 0;
    let_go_of_all(r);
    if (!pick(&r->random, 5)) { /* another connection, with a cache of its own */
        newt_conn *next = r->beside;

        r->beside = r->c;
        r->c = next;
    }
    begin(r->c);
}

static void
operate(run *r)
{
    int what = pick(&r->random, 100), i = pick(&r->random, THINGS);
    bool there = r->now.list[i].there;

    r->operations++;
    if (what < 45 && !there)
        do_make(r, i);
    else if (what < 35)
        do_change(r, i);
    else if (what < 45)
        do_delete(r, i);
    else if (what < 65)
        do_range(r);
    else if (what < 75)
        do_get(r);
    else if (what < 79)
        do_swap(r);
    else if (what < 82)
        do_refused(r);
    else if (what < 86)
        do_savepoint(r);
    else if (what < 89)
        do_rollback(r);
    else if (what < 91)
        do_release(r);
    else if (what < 97)
        do_finish(r, what > 91);
}

static void
test_model(void **state)
{
    newt_options few = {.cache_objects = 20};
    int64_t n = getenv("NEWT_SOAK") ? 300000 : on_memory() && !brief() ? 30000 : 4000;
    run *r = calloc(1, sizeof *r);

    (void)state;
    assert_non_null(r);
    r->random.state = take_seed();
    few.debug = pick(&r->random, 2);
    store_make(&r->s, "indexes");
    r->s.db = store_db(&r->s, things, (newt_options){0});
    r->s.a = connect_(r->s.db);
    r->s.b = connect_(r->s.db);
    r->small = store_db(&r->s, things, few);
    r->c = connect_(r->small);
    r->beside = connect_(r->small);
    build(r->c, NULL);
    begin(r->c);
    for (int i = 0; i < 3; i++) {
        struct thing *t = thing_new(r->c);

        must(r, t);
        t->number = 9;
        t->status = CLOSED_THING;
        r->owners[i] = thing_id(t);
    }
    commit(r->c);
    /* the owners are in one index, out of the way of what is looked for */
    begin(r->c);
    for (int i = 0; i < 3; i++)
        ok(r->c, newt_delete(r->c, r->owners[i].any));
    commit(r->c);
    begin(r->c);
    while (r->operations < n) {
        operate(r);
        if (r->operations % (n / 4) == 0) {
            do_finish(r, true);
            newt_abort(r->c);
            check_indexes(r->c);
            begin(r->c);
        }
    }
    do_finish(r, true);
    newt_abort(r->c);
    check_indexes(r->c);
    print_message("# %lld operations, %lld ranges, %lld refused\n", (long long)r->operations,
                  (long long)r->ranges, (long long)r->refused);
    assert_true(r->refused > 0);
    newt_close(r->c);
    newt_close(r->beside);
    newt_db_close(r->small);
    store_close(&r->s);
    free(r);
}

static const struct CMUnitTest indexes[] = {cmocka_unit_test(test_model)};

int
main(void)
{
    return run_all(indexes);
}
