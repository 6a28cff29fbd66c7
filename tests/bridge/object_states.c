/*
 * object_states.c - the table of docs/c-api-states.md, cell by cell, and the cache under it
 */
#include "everything.h"

/* ---- every state meets every event --------------------------------------------------------- */

typedef enum start {
    GHOST,
    UPTODATE,
    CHANGED,
    NEW,
    DELETED,
    FORGOTTEN,
    N_STARTS,
    SPILLED = N_STARTS /* what becomes of an object, too */
} start;
typedef enum event {
    READ,
    WRITE,
    EDIT,
    DELETE,
    COMMIT,
    ABORT,
    INVALIDATE,
    EVICT,
    N_EVENTS
} event;

/* What newt_class of state an object of the cache is in; GHOST: none. */
static start
state_now(offline *o, int64_t oid)
{
    static const start starts[] = {[NEWT__UPTODATE] = UPTODATE,
                                   [NEWT__CHANGED] = CHANGED,
                                   [NEWT__NEW] = NEW,
                                   [NEWT__DELETED] = DELETED,
                                   [NEWT__FORGOTTEN] = FORGOTTEN};
    newt__header *h = newt__cache_find(&o->c.jar.cache, oid);

    if (h) /* one that is in the file as well is as it is there */
        assert_int_equal(h->saved, newt__is_spilled(&o->c.jar, oid));
    return h ? starts[h->state] : newt__is_spilled(&o->c.jar, oid) ? SPILLED : GHOST;
}

/* Brings object *oid into a state, in a transaction of its own; *p points to its struct. */
static void
bring(offline *o, start from, const uint8_t *record, size_t n, int64_t *oid, struct thing **p)
{
    newt__header *h;

    *oid = 7;
    *p = NULL;
    if (from == NEW || from == FORGOTTEN) {
        *p = thing_new(&o->c);
        *oid = thing_id(*p).any.oid;
        if (from == FORGOTTEN)
            assert_int_equal(newt_delete(&o->c, (newt_ref){*oid}), NEWT_OK);
        assert_int_equal(state_now(o, *oid), from);
        return;
    }
    if (from == GHOST)
        return;
    h = load(o, *oid, record, n);
    *p = newt__object_of(h);
    if (from == UPTODATE)
        assert_ptr_equal(thing_read(&o->c, thing_of((newt_ref){7})), *p);
    if (from == CHANGED) {
        assert_ptr_equal(thing_write(&o->c, thing_of((newt_ref){7})), *p);
        (*p)->n++; /* else there is nothing to spill */
    }
    if (from == DELETED)
        assert_int_equal(newt_delete(&o->c, (newt_ref){7}), NEWT_OK);
    assert_int_equal(state_now(o, *oid), from);
}

/* As a sweep does it, with nobody using the object. */
static void
evict(offline *o, int64_t oid)
{
    newt__header *h = newt__cache_find(&o->c.jar.cache, oid);

    if (!h)
        return;
    h->pins = 0;
    assert_true(newt__object_evict(h));
    newt__cache_remove(&o->c.jar, oid);
}

/* A spilled object is as it was when it is looked for again. */
static void
comes_back(offline *o, int64_t oid, start as)
{
    assert_int_equal(state_now(o, oid), SPILLED);
    assert_int_equal(newt__unspill(&o->c.jar, oid), NEWT_OK);
    assert_int_equal(state_now(o, oid), as);
}

/* -1: NEWT_EMISSING and the state it was in; -2: newt_edit has no pointer to be given */
static const int cells[N_STARTS][N_EVENTS] = {
    /* INVALIDATE and EVICT: not what is in use, see pins and eviction */
    /*              READ      WRITE    EDIT     DELETE     COMMIT    ABORT     INVALIDATE EVICT */
    [GHOST] = {-2, -2, -2, -2, GHOST, GHOST, GHOST, GHOST},
    [UPTODATE] = {UPTODATE, CHANGED, CHANGED, DELETED, UPTODATE, UPTODATE, UPTODATE, GHOST},
    [CHANGED] = {CHANGED, CHANGED, CHANGED, DELETED, UPTODATE, GHOST, CHANGED, SPILLED},
    [NEW] = {NEW, NEW, NEW, FORGOTTEN, UPTODATE, GHOST, NEW, SPILLED},
    [DELETED] = {-1, -1, -1, -1, GHOST, GHOST, DELETED, SPILLED},
    [FORGOTTEN] = {-1, -1, -1, -1, GHOST, GHOST, FORGOTTEN, GHOST},
};

static void
every_cell(void **state)
{
    generate g;
    offline o;
    size_t n;
    uint8_t *record;
    struct thing *first;

    (void)state;
    generate_init(&g, 1);
    offline_open(&o, everything_classes);
    first = thing_new(&o.c);
    newt_set(first, name, "thing");
    record = record_of(&o, first, &n);
    offline_abort(&o);
    for (start s = 0; s < N_STARTS; s++) {
        for (event v = 0; v < N_EVENTS; v++) {
            int want = cells[s][v];
            int64_t oid;
            struct thing *p;
            bool failed = false;
            newt_ref r;

            if (want == -2) /* the server is asked, in storages/objects.c */
                continue;
            bring(&o, s, record, n, &oid, &p);
            r.oid = oid;
            switch (v) {
            case READ: failed = !thing_read(&o.c, thing_of(r)); break;
            case WRITE: failed = !thing_write(&o.c, thing_of(r)); break;
            case EDIT: failed = !thing_edit(p); break;
            case DELETE: failed = newt_delete(&o.c, r) != NEWT_OK; break;
            case COMMIT: offline_commit(&o, 99); break;
            case ABORT: offline_abort(&o); break;
            case INVALIDATE: newt__object_invalidate(&o.c.jar, oid); break;
            default: evict(&o, oid);
            }
            if (want == SPILLED)
                comes_back(&o, oid, s);
            else if (failed != (want == -1) || (want >= 0 && (int)state_now(&o, oid) != want) ||
                     (failed && state_now(&o, oid) != s))
                fail_msg("state %d, event %d: %s, state %d", s, v, failed ? "failed" : "done",
                         state_now(&o, oid));
            if (failed)
                assert_error(newt_conn_error(&o.c), NEWT_EMISSING, "has been deleted");
            assert_int_equal(o.c.jar.base.phase, NEWT__OPEN); /* none of these dooms */
            offline_abort(&o);
            newt__cache_clear(&o.c.jar);
        }
    }
    free(record);
    offline_close(&o);
}

/* The table of the page is that of the code. */
static void
documented(void **state)
{
    static const struct {
        const char *name;
        newt__state state;
    } names[] = {
        {"up to date", NEWT__UPTODATE}, {"changed", NEWT__CHANGED},     {"new", NEWT__NEW},
        {"deleted", NEWT__DELETED},     {"forgotten", NEWT__FORGOTTEN}, {"image", NEWT__IMAGE},
        {"ghost", NEWT__GHOST},         {"refused", NEWT__REFUSED},     {"spilled", NEWT__SPILLED}};
    char *page = page_text("docs/c-api-states.md"), *rest = NULL;
    size_t rows = 0;

    (void)state;
    for (char *line = strtok_r(page, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *row[1 + NEWT__N_EVENTS];

        if (row_cells(line, row, LENGTH(row)) != LENGTH(row))
            continue;
        for (size_t i = 0; i < LENGTH(names); i++) {
            if (names[i].state >= NEWT__N_STATES || strcmp(row[0], names[i].name) != 0)
                continue;
            rows++;
            for (newt__event v = 0; v < NEWT__N_EVENTS; v++) {
                newt__state next = newt__next_state(names[i].state, v);

                for (size_t j = 0; j < LENGTH(names); j++)
                    if (names[j].state == next && strcmp(row[1 + v], names[j].name) != 0)
                        fail_msg("%s, event %d: the page says %s, the code %s", row[0], (int)v,
                                 row[1 + v], names[j].name);
            }
        }
    }
    assert_int_equal(rows, NEWT__N_STATES);
    free(page);
}

/* ---- pins and epochs ----------------------------------------------------------------------- */

static void
pins(void **state)
{
    offline o;
    struct thing *t;
    newt__header *h;
    thing_ref r;

    (void)state;
    offline_open(&o, everything_classes);
    t = thing_new(&o.c);
    r = thing_id(t);
    h = newt__header_of(t);
    assert_int_equal(h->pins, 1);
    assert_ptr_equal(thing_read(&o.c, r), t); /* one struct for an oid */
    assert_ptr_equal(thing_write(&o.c, r), t);
    assert_ptr_equal(thing_edit(t), t); /* adds no pin */
    assert_int_equal(h->pins, 3);
    for (int i = 0; i < 5; i++) /* too many are harmless */
        thing_done(t);
    assert_int_equal(h->pins, 0);
    thing_done(NULL);
    offline_commit(&o, 5);

    /* the transaction ended them */
    assert_false(newt__object_used(&o.c.jar, r.any.oid));
    assert_non_null(thing_read(&o.c, r));
    h = newt__cache_find(&o.c.jar.cache, r.any.oid);
    assert_int_equal(h->pins, 1);
    assert_true(newt__object_used(&o.c.jar, r.any.oid));
    offline_abort(&o);
    assert_false(newt__object_used(&o.c.jar, r.any.oid));
    h = newt__cache_find(&o.c.jar.cache, r.any.oid);
    assert_null(newt_edit(newt__object_of(h)));
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "earlier transaction");

    /* what a transaction uses is not invalidated under it, but then at its end */
    assert_non_null(thing_read(&o.c, r));
    newt__object_invalidate(&o.c.jar, r.any.oid);
    assert_non_null(newt__cache_find(&o.c.jar.cache, r.any.oid));
    offline_commit(&o, 6);
    newt__object_invalidate(&o.c.jar, r.any.oid);
    assert_null(newt__cache_find(&o.c.jar.cache, r.any.oid));
    newt__object_invalidate(&o.c.jar, 4711);
    offline_close(&o);
}

/* ---- what commit writes -------------------------------------------------------------------- */

static size_t
listed(offline *o)
{
    return o->c.jar.cache.changed.n;
}

static void
unchanged_is_not_written(void **state)
{
    offline o;
    struct thing *t;
    newt__header *h;
    thing_ref r;
    bool same;

    (void)state;
    offline_open(&o, everything_classes);
    t = thing_new(&o.c);
    newt_set(t, name, "one");
    t->n = 5;
    r = thing_id(t);
    h = newt__header_of(t);
    assert_int_equal(newt__object_encode(&o.c.jar, h, &same), NEWT_OK);
    assert_false(same); /* new: always written */
    offline_commit(&o, 50);
    assert_int_equal(listed(&o), 0);

    t = thing_write(&o.c, r);
    h = newt__header_of(t);
    assert_int_equal(h->serial, 50);
    newt_set(t, name, "one");
    t->n = 5;
    assert_int_equal(newt__object_encode(&o.c.jar, h, &same), NEWT_OK);
    assert_true(same);
    offline_commit(&o, 51);
    h = newt__cache_find(&o.c.jar.cache, r.any.oid);
    assert_int_equal(h->serial, 50); /* not written: the old serial */
    assert_null(h->record);

    t = thing_write(&o.c, r);
    t->n = 6;
    assert_ptr_equal(thing_write(&o.c, r), t); /* listed once */
    assert_int_equal(listed(&o), 1);
    assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(t), &same), NEWT_OK);
    assert_false(same);
    offline_commit(&o, 52);
    h = newt__cache_find(&o.c.jar.cache, r.any.oid);
    assert_int_equal(h->serial, 52);
    assert_int_equal(thing_read(&o.c, r)->n, 6);
    assert_string_equal(thing_read(&o.c, r)->name.s, "one");
    offline_close(&o);
}

/* Replaced values are gone after commit: the object is one block again. */
static void
compact_after_commit(void **state)
{
    generate g;
    offline o;
    struct everything *e;
    everything_ref r;
    newt__header *h;
    size_t bytes;

    (void)state;
    generate_init(&g, 3);
    offline_open(&o, everything_classes);
    e = everything_new(&o.c);
    everything_fill(&g, e);
    r = everything_id(e);
    assert_non_null(newt__header_of(e)->chunks);
    offline_commit(&o, 1);
    h = newt__cache_find(&o.c.jar.cache, r.any.oid);
    assert_null(h->chunks);
    bytes = o.c.jar.cache.bytes;
    assert_int_equal(bytes, newt__header_bytes(h));
    for (int i = 0; i < 100; i++) {
        e = everything_write(&o.c, r);
        for (int j = 0; j < 10; j++)
            newt_set(e, text, i % 2 ? "some longer text than before, to take memory" : "a");
        offline_commit(&o, 2 + i);
        assert_true(o.c.jar.cache.bytes < bytes + 100);
    }
    offline_close(&o);
}

/* A cast can take const away; debug mode finds what was changed so. */
static void
forgotten_marks(void **state)
{
    /* an explicit null that this class would not write: no change */
    static const uint8_t odd[] = "\x83\x65Thing\x00\xa2\x61n\x05\x64name\xf6";
    offline o;
    const struct thing *t;

    (void)state;
    offline_open(&o, everything_classes);
    o.db.options.debug = true;
    load(&o, 7, odd, sizeof odd - 1);
    t = thing_read(&o.c, thing_of((newt_ref){7}));
    assert_int_equal(newt__marks_check(&o.c.jar), NEWT_OK);
    ((struct thing *)(uintptr_t)t)->n = 6;
    assert_int_equal(newt__marks_check(&o.c.jar), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "Thing 7 was changed without being asked for writing: field \"n\"");
    offline_begin(&o);
    assert_non_null(thing_edit(t)); /* too late, but now it is marked */
    assert_int_equal(newt__marks_check(&o.c.jar), NEWT_OK);
    offline_abort(&o);
    load(&o, 7, odd, sizeof odd - 1);
    ((struct thing *)newt__object_of(newt__cache_find(&o.c.jar.cache, 7)))->n = 9;
    assert_int_equal(newt__marks_check(&o.c.jar), NEWT_OK); /* not this transaction's */
    offline_close(&o);
}

/* ---- wrong uses ---------------------------------------------------------------------------- */

struct stranger {
    int32_t n;
};
NEWT_DECLARE(stranger);
NEWT_CLASS(stranger, "Stranger", 0, NULL, NEWT_FIELD(struct stranger, n));

static void
wrong_uses(void **state)
{
    offline o;
    struct thing *t;
    newt_ref r;

    (void)state;
    offline_open(&o, everything_classes);
    t = thing_new(&o.c);
    r = thing_id(t).any;
    assert_null(everything_read(&o.c, everything_of(r)));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS,
                 "object 1024 is of class \"Thing\", not \"Everything\"");
    assert_null(everything_write(&o.c, everything_of(r)));
    assert_null(stranger_read(&o.c, stranger_of(r)));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "\"Stranger\" is not one of this database");
    assert_null(stranger_new(&o.c));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "\"Stranger\"");
    assert_null(point_new(&o.c));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "only embedded");
    assert_null(newt_read(&o.c, r, NULL));
    assert_int_equal(newt_status(&o.c), NEWT_ECLASS);
    assert_null(newt_new(&o.c, NULL));

    assert_null(thing_read(&o.c, (thing_ref){{0}}));
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "the reference is null");
    assert_null(thing_read(&o.c, (thing_ref){{-3}}));
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "negative oid: -3");
    assert_int_equal(newt_ref_of(NULL).oid, 0);
    assert_null(newt_conn_of(NULL));
    assert_ptr_equal(newt_conn_of((newt_object *)t), &o.c);
    assert_null(newt_edit(NULL));
    assert_string_equal(newt_class_name(&o.c, r), "Thing");
    assert_int_equal(o.c.jar.base.phase, NEWT__OPEN);

    o.c.jar.base.phase = NEWT__IDLE;
    newt__cache_quicken(&o.c.jar);
    assert_null(thing_read(&o.c, thing_of(r)));
    assert_error(newt_conn_error(&o.c), NEWT_EBUSY, "no transaction");
    assert_null(thing_new(&o.c));
    assert_null(thing_edit(t));
    assert_int_equal(newt_text_set(thing_obj(t), &t->name, "x"), NEWT_EBUSY);
    assert_int_equal(newt_delete(&o.c, r), NEWT_EBUSY);
    offline_begin(&o);
    offline_close(&o);
}

/* ---- reading what has been read ------------------------------------------------------------ */

static void
refuses(offline *o, thing_ref r, int status, const char *words)
{
    assert_null(thing_read(&o->c, r));
    assert_error(newt_conn_error(&o->c), status, words);
    newt__error_clear(&o->c.jar.base.error);
}

/* An object that was read is read again by the short way through newt_read. It ends where something
 * has happened since. */
static void
read_again(void **state)
{
    offline o;
    struct thing *t;
    thing_ref r[2];

    (void)state;
    offline_open(&o, everything_classes);
    for (int i = 0; i < 2; i++)
        r[i] = thing_id(thing_new(&o.c));
    offline_commit(&o, 1);
    t = newt__object_of(newt__cache_find(&o.c.jar.cache, r[0].any.oid));
    for (uint32_t i = 1; i <= 3; i++) {
        assert_ptr_equal(thing_read(&o.c, r[0]), t);
        assert_int_equal(newt__header_of(t)->pins, i);
        assert_ptr_equal(newt__header_of(t)->read_as, &thing_class);
    }
    /* another class, or none */
    assert_null(everything_read(&o.c, everything_of(r[0].any)));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "is of class \"Thing\"");
    assert_null(newt_read(&o.c, r[0].any, NULL));
    assert_error(newt_conn_error(&o.c), NEWT_ECLASS, "is not one of this database");
    assert_ptr_equal(thing_read(&o.c, r[0]), t);
    /* as a bag it is something else */
    const newt_bag *b = newt_bag_read(&o.c, r[0].any);
    assert_ptr_not_equal(b, t);
    newt_bag_done(b);
    assert_ptr_equal(thing_read(&o.c, r[0]), t);
    /* changed, which lets it be read */
    assert_ptr_equal(thing_write(&o.c, r[0]), t);
    assert_ptr_equal(thing_read(&o.c, r[0]), t);
    assert_int_equal(newt__header_of(t)->pins, 7);
    /* deleted */
    assert_int_equal(newt_delete(&o.c, r[0].any), NEWT_OK);
    for (int i = 0; i < 2; i++)
        refuses(&o, r[0], NEWT_EMISSING, "has been deleted");
    t = thing_new(&o.c);
    r[0] = thing_id(t);
    assert_ptr_equal(thing_read(&o.c, r[0]), t);
    assert_ptr_equal(thing_read(&o.c, r[0]), t);
    assert_int_equal(newt_delete(&o.c, r[0].any), NEWT_OK);
    refuses(&o, r[0], NEWT_EMISSING, "has been deleted");
    /* doomed; and in no transaction */
    assert_non_null(thing_read(&o.c, r[1]));
    assert_non_null(thing_read(&o.c, r[1]));
    newt__base_fail(&o.c.jar.base, NEWT_ESQL, 0, "doomed");
    newt__base_doom(&o.c.jar.base);
    assert_null(thing_read(&o.c, r[1]));
    assert_int_equal(newt_status(&o.c), NEWT_ESQL);
    offline_abort(&o);
    assert_non_null(thing_read(&o.c, r[1]));
    o.c.jar.base.phase = NEWT__IDLE;
    newt__cache_quicken(&o.c.jar);
    refuses(&o, r[1], NEWT_EBUSY, "no transaction");
    /* in debug mode there is no short way */
    o.db.options.debug = true;
    offline_begin(&o);
    assert_null(o.c.jar.quick);
    assert_non_null(thing_read(&o.c, r[1]));
    /* nor with an empty cache */
    o.db.options.debug = false;
    offline_abort(&o);
    assert_non_null(o.c.jar.quick);
    newt__cache_clear(&o.c.jar);
    assert_null(o.c.jar.quick);
    refuses(&o, (thing_ref){{0}}, NEWT_EINVAL, "null");
    r[1] = thing_id(thing_new(&o.c));
    assert_non_null(o.c.jar.quick);
    assert_non_null(thing_read(&o.c, r[1]));
    offline_close(&o);
}

/* ---- the cache ----------------------------------------------------------------------------- */

/* Of oids that come one after another, a search hardly ever meets others, of those in steps a few,
 * whatever the number of objects. */
static void
homes(void **state)
{
    static const int64_t steps[] = {1, 3, 64, 1024, 4096};
    enum {
        N = 12000
    };

    (void)state;
    for (size_t k = 0; k < LENGTH(steps); k++) {
        offline o;
        const newt__cache *cache = &o.c.jar.cache;

        offline_open(&o, everything_classes);
        for (size_t n = 1; n <= N; n++) {
            newt__header *h = newt__header_make(&o.c.jar, 8);
            size_t met = 0;

            h->oid = 1024 + steps[k] * (int64_t)n;
            assert_int_equal(newt__cache_put(&o.c.jar, h), NEWT_OK);
            if (n % 1000 != 0)
                continue;
            for (size_t i = 0; i < cache->cap; i++)
                if (cache->slots[i].h)
                    for (size_t at = newt__cache_home(cache, cache->slots[i].oid); at != i;
                         at = newt__cache_next(cache, at))
                        met++;
            if (met > (steps[k] == 1 ? n / 10 : 6 * n))
                fail_msg("%zu oids in steps of %d: %zu others met", n, (int)steps[k], met);
        }
        offline_close(&o);
    }
}

/* Against a plain array, with oids that collide. */
static void
cache_model(void **state)
{
    enum {
        N = 700
    };
    static newt__header *model[N];
    generate g;
    offline o;
    size_t n = 0;

    (void)state;
    generate_init(&g, generate_seed());
    offline_open(&o, everything_classes);
    memset(model, 0, sizeof model);
    for (int step = 0; step < 60000; step++) {
        size_t i = generate_below(&g, N);
        int64_t oid = i % 3 == 0 ? (int64_t)i + 1 : ((int64_t)i << 40) + 1;

        switch (generate_below(&g, 3)) {
        case 0: {
            newt__header *h = newt__header_make(&o.c.jar, 8);

            h->oid = oid;
            assert_int_equal(newt__cache_put(&o.c.jar, h), NEWT_OK);
            assert_int_equal(newt__cache_put(&o.c.jar, h), NEWT_OK); /* there already */
            n += model[i] == NULL;
            model[i] = h;
            break;
        }
        case 1:
            newt__cache_remove(&o.c.jar, oid);
            n -= model[i] != NULL;
            model[i] = NULL;
            break;
        default: assert_ptr_equal(newt__cache_find(&o.c.jar.cache, oid), model[i]);
        }
        assert_int_equal(o.c.jar.cache.n, n);
        assert_int_equal(o.c.jar.cache.bytes, n * (NEWT__BLOCK + NEWT__HEADER + 8));
    }
    for (size_t i = 0; i < N; i++)
        assert_ptr_equal(
            newt__cache_find(&o.c.jar.cache, i % 3 == 0 ? (int64_t)i + 1 : ((int64_t)i << 40) + 1),
            model[i]);
    offline_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented),
        cmocka_unit_test(every_cell),
        cmocka_unit_test(pins),
        cmocka_unit_test(unchanged_is_not_written),
        cmocka_unit_test(compact_after_commit),
        cmocka_unit_test(forgotten_marks),
        cmocka_unit_test(wrong_uses),
        cmocka_unit_test(read_again),
        cmocka_unit_test(homes),
        cmocka_unit_test(cache_model),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_states", tests, NULL, NULL);
}
