/*
 * references.c - references from store to store, followed by connections whose transactions end
 * together
 */
#include "../storages/twins.h"
#include "resources.h"

enum {
    STORES = 3
};

typedef struct stores {
    store s[STORES];
    newt_db *db[STORES];
    newt_conn *c[STORES];
} stores;

static const char *const names[STORES] = {"left", "middle", "right"};

static void
stores_open(stores *x)
{
    for (int i = 0; i < STORES; i++) {
        store_open(&x->s[i], names[i]);
        x->db[i] = named_db(&x->s[i], names[i]);
        x->c[i] = connect_(x->db[i]);
    }
}

static void
stores_close(stores *x)
{
    for (int i = 0; i < STORES; i++) {
        newt_close(x->c[i]);
        newt_db_close(x->db[i]);
        store_close(&x->s[i]);
    }
}

static void
join_all(stores *x, int leader)
{
    for (int i = 0; i < STORES; i++)
        begin(x->c[i]);
    for (int i = 0; i < STORES; i++)
        if (i != leader)
            ok(x->c[leader], newt_join_conn(x->c[leader], x->c[i], names[i]));
}

/* A ring of objects, one a store, made in one transaction. */
static void
make_ring(stores *x, twin_ref r[STORES])
{
    struct twin *t[STORES];

    join_all(x, 0);
    for (int i = 0; i < STORES; i++) {
        t[i] = twin_new(x->c[i]);
        assert_non_null(t[i]);
        t[i]->n = i;
        r[i] = twin_id(t[i]);
    }
    for (int i = 0; i < STORES; i++)
        ok(x->c[i], newt_store_ref_set(twin_obj(t[i]), &t[i]->other, x->c[(i + 1) % STORES],
                                       r[(i + 1) % STORES].any));
    commit(x->c[0]);
}

static void
test_ring(void **state)
{
    twin_ref r[STORES];
    stores x;

    (void)state;
    allow_prepared(5);
    stores_open(&x);
    make_ring(&x, r);
    /* whoever leads, and wherever it begins */
    for (int leader = 0; leader < STORES; leader++) {
        join_all(&x, leader);
        for (int from = 0; from < STORES; from++) {
            newt_conn *c = x.c[from];
            newt_ref at = r[from].any;

            for (int step = 0; step < STORES; step++) {
                const struct twin *t = twin_read(c, (twin_ref){at});

                assert_non_null(t);
                assert_int_equal(t->n, (from + step) % STORES);
                at.oid = t->other.oid;
                c = newt_store_ref_conn(c, t->other);
                assert_ptr_equal(c, x.c[(from + step + 1) % STORES]);
            }
            assert_int_equal(at.oid, r[from].any.oid);
        }
        commit(x.c[leader]);
    }
    stores_close(&x);
}

/* Those that have left, or never came, are not found. */
static void
test_left(void **state)
{
    const struct twin *t;
    twin_ref r[STORES];
    stores x;

    (void)state;
    allow_prepared(5);
    stores_open(&x);
    make_ring(&x, r);
    for (int gone = 1; gone < STORES; gone++) {
        join_all(&x, 0);
        newt_abort(x.c[gone]);
        for (int i = 0; i < STORES; i++) {
            if (i == gone)
                continue;
            t = twin_read(x.c[i], r[i]);
            assert_non_null(t);
            if ((i + 1) % STORES != gone) {
                assert_ptr_equal(newt_store_ref_conn(x.c[i], t->other), x.c[(i + 1) % STORES]);
                continue;
            }
            assert_null(newt_store_ref_conn(x.c[i], t->other));
            assert_int_equal(newt_status(x.c[i]), NEWT_EMISSING);
        }
        assert_int_equal(newt_commit(x.c[0]), NEWT_EDOOMED);
    }
    /* it is over for all: nobody is joined */
    for (int i = 0; i < STORES; i++) {
        begin(x.c[i]);
        t = twin_read(x.c[i], r[i]);
        assert_non_null(t);
        assert_null(newt_store_ref_conn(x.c[i], t->other));
        newt_abort(x.c[i]);
    }
    stores_close(&x);
}

/* Two of one name cannot be told apart. */
static void
test_same_name(void **state)
{
    newt_conn *twin;
    newt_db *db;
    stores x;

    (void)state;
    allow_prepared(5);
    stores_open(&x);
    db = named_db(&x.s[2], "left");
    twin = connect_(db);
    join_all(&x, 1);
    begin(twin);
    assert_int_equal(newt_join_conn(x.c[1], twin, "another"), NEWT_EINVAL);
    assert_non_null(strstr(newt_error_message(newt_conn_error(x.c[1])), "\"left\""));
    newt_abort(twin);
    commit(x.c[1]);
    newt_close(twin);
    newt_db_close(db);
    stores_close(&x);
}

static const struct CMUnitTest references[] = {
    cmocka_unit_test(test_ring),
    cmocka_unit_test(test_left),
    cmocka_unit_test(test_same_name),
};

int
main(void)
{
    return run_all(references);
}
