/*
 * turns.c - turns at objects, through the storage's own functions
 */
#include "stored.h"

#include "../../bridge/transaction/transaction.h"

/* A session, and what it was told at its last snapshot. */
typedef struct side {
    const newt__storage_type *type;
    newt__session *x;
    newt_stats stats;
    newt__changes told;
    int snapshots;
} side;

static int
told(void *arg, const newt__changes *changes)
{
    side *s = arg;

    s->told = *changes;
    s->snapshots++;
    return NEWT_OK;
}

static int
take_none(void *arg, const newt__found *found)
{
    (void)arg;
    (void)found;
    return NEWT_OK;
}

static void
side_open(side *s, newt_db *db)
{
    newt_error e = {0};

    *s = (side){.type = db->type};
    s->x = db->type->connect(db->storage, told, s, &s->stats);
    assert_non_null(s->x);
    assert_int_equal(s->type->ready(s->x, 0, &e), NEWT_OK);
}

static void
side_close(side *s)
{
    s->type->end(s->x);
    s->type->disconnect(s->x);
}

static int
rewind_none(void *arg)
{
    *(int *)arg = 0;
    return NEWT_OK;
}

/* One new object, which has no JSONB. */
static int
next_new(void *arg, newt__change *out)
{
    static const uint8_t record[] = {0x83, 0x61, 'x', 0x01, 0xa0};

    *out = (newt__change){.what = NEWT__ADD,
                          .projection = NEWT__PROJECT_NOT,
                          .oid = 5000,
                          .record = record,
                          .n = sizeof record};
    return ++*(int *)arg == 1;
}

static void
write_one(side *s)
{
    int n = 0;
    newt__writes w = {.arg = &n, .next = next_new, .rewind = rewind_none};
    newt__committed done;
    newt_error e = {0};

    assert_int_equal((s->type->commit)(s->x, &w, &done, &e), NEWT__DONE);
    assert_true(done.serial > 0);
}

/* Opens a snapshot after its turn at the objects. */
static void
snapshot(side *s, const int64_t *oids, size_t n, int ms)
{
    newt__position none = {0};
    int before = s->snapshots;
    newt_error e = {0};

    (s->type->begin)(s->x, none);
    s->type->ask_turn(s->x, oids, n, ms);
    if (s->type->load(s->x, NULL, 0, take_none, NULL, &e) != NEWT_OK)
        fail_error("load", &e);
    assert_int_equal(s->snapshots, before + 1);
}

/* It came in time; in memory at once: there the end of another turn is not on its way. */
static bool
had_turn(const side *s)
{
    return !s->told.in_vain && !(on_memory() && s->told.waited);
}

static void
test_turns(void **state)
{
    int64_t x = 1001, both[2] = {1000, 1001}, w = 1000;
    side a, b, c;
    store s;

    (void)state;
    if (on_sqlite() || on_storage("layer-file")) /* which has no turns */
        skip();
    store_open(&s, "sides");
    side_open(&a, s.db);
    side_open(&b, s.db);
    side_open(&c, s.db);
    snapshot(&a, &x, 1, 60000);
    assert_true(had_turn(&a));
    snapshot(&b, both, 2, 50); /* has the first, and waits for the second in vain */
    assert_true(b.told.in_vain);
    if (on_memory()) { /* PostgreSQL keeps the first until the end */
        snapshot(&c, &w, 1, 60000);
        assert_true(had_turn(&c));
        c.type->end(c.x);
    }
    b.type->end(b.x);
    snapshot(&c, &w, 1, 60000);
    assert_true(had_turn(&c));
    /* the order of asking is not that of the oids */
    both[0] = x;
    both[1] = w;
    a.type->end(a.x);
    snapshot(&b, both, 2, 50);
    assert_true(b.told.in_vain);
    c.type->end(c.x);
    b.type->end(b.x);
    snapshot(&b, both, 2, 60000);
    assert_true(had_turn(&b));
    side_close(&b); /* also ends its turns */
    snapshot(&a, both, 2, 60000);
    assert_true(had_turn(&a));
    a.type->end(a.x);
    /* asked for, but the snapshot never opened */
    (a.type->begin)(a.x, (newt__position){0});
    a.type->ask_turn(a.x, &x, 1, 60000);
    a.type->end(a.x);
    snapshot(&c, &x, 1, 60000);
    assert_true(had_turn(&c));
    /* and the next snapshot asks for nothing */
    {
        newt_error e = {0};

        (a.type->begin)(a.x, (newt__position){0});
        assert_int_equal(a.type->load(a.x, NULL, 0, take_none, NULL, &e), NEWT_OK);
        assert_true(had_turn(&a));
        a.type->end(a.x);
    }
    c.type->end(c.x);
    /* a commit ends them as well */
    snapshot(&a, both, 2, 60000);
    write_one(&a);
    snapshot(&c, both, 2, 60000);
    assert_true(had_turn(&c));
    side_close(&c);
    side_close(&a);
    store_close(&s);
}

static const struct CMUnitTest turns[] = {
    cmocka_unit_test(test_turns),
};

int
main(void)
{
    return run_all(turns);
}
