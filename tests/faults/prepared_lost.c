/*
 * prepared_lost.c - a store that has joined another one's transaction loses its connection, at each
 * message of both phases: both stores have all of it, or none, and nothing stays prepared
 */
#include "../bridge/proxy.h"
#include "resources.h"
#include "two.h"

#include <stdatomic.h>

typedef struct through {
    two t;
    proxy p;
    newt_db *db; /* of the second store */
    newt_conn *c;
} through;

static void
through_open(through *x)
{
    newt_options o = {.size = sizeof o};

    allow_prepared(5);
    proxy_start(&x->p);
    two_open(&x->t);
    o.schema = x->t.b.schema;
    if (newt_db_open(&x->db, x->p.uri, classes, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(x->db));
    x->c = connect_(x->db);
}

static void
through_close(through *x)
{
    newt_close(x->c);
    newt_db_close(x->db);
    two_close(&x->t);
    proxy_stop(&x->p);
}

static void
cut_everywhere(bool from_client)
{
    int committed = 0, lost = 0, status;
    int64_t n = 1;
    proxy counts;
    through x;

    through_open(&x);
    for (int at = 0;; at++) {
        change_both(&x.t, x.t.a.a, x.c, n + 1);
        proxy_arm(&x.p, -1, from_client ? at : -1, from_client ? -1 : at);
        status = newt_commit(x.t.a.a);
        counts = proxy_counts(&x.p);
        if (status == NEWT_OK) {
            committed++;
            n++;
        } else {
            assert_int_equal(status, NEWT_ELOST);
            assert_true(newt_is_retryable(newt_conn_error(x.t.a.a)));
            lost++;
        }
        check_both(&x.t, n);
        begin(x.c); /* the connection is good again by itself */
        assert_int_equal(read_n(x.c, x.t.in_b), n);
        commit(x.c);
        if (!counts.cut)
            break;
    }
    print_message("# cut %s: %d times committed, %d times not\n",
                  from_client ? "on the way out" : "on the way back", committed, lost);
    assert_true(committed > 1 && lost > 3);
    through_close(&x);
}

static void
test_cut_on_the_way_out(void **state)
{
    (void)state;
    cut_everywhere(true);
}

static void
test_cut_on_the_way_back(void **state)
{
    (void)state;
    cut_everywhere(false);
}

enum {
    SYNCS = 14 /* more than a client needs that looks once */
};

/* What stood still goes on once the client has a connection again, and has looked for a while. */
typedef struct straggler {
    proxy *p;
    atomic_bool over;
    bool late;
} straggler;

static void *
let_go_on(void *arg)
{
    straggler *x = arg;

    while (!x->over) {
        if (proxy_stalled(x->p) && proxy_counts(x->p).syncs > SYNCS) {
            proxy_go_on(x->p);
            x->late = true;
            break;
        }
        usleep(1000);
    }
    return NULL;
}

static int64_t
backends(const store *s)
{
    return sql_int(s->pg, "SELECT count(*) FROM pg_stat_activity "
                          "WHERE backend_type = 'client backend'");
}

/* The connection breaks with some of the first phase on the way, and the server gets the rest late:
 * it may prepare when the client has already looked for what is prepared. */
static void
test_late(void **state)
{
    int64_t n = 1, connections;
    int status = NEWT_ELOST, late = 0;
    pthread_t t;
    through x;

    (void)state;
    through_open(&x);
    change_both(&x.t, x.t.a.a, x.c, ++n);
    commit(x.t.a.a);
    for (int at = 0; status != NEWT_OK; at++) { /* up to what comes after the first phase */
        straggler y = {.p = &x.p};

        connections = backends(&x.t.b);
        change_both(&x.t, x.t.a.a, x.c, n + 1);
        proxy_stall(&x.p, at, -1, true);
        assert_int_equal(pthread_create(&t, NULL, let_go_on, &y), 0);
        status = newt_commit(x.t.a.a);
        y.over = true;
        pthread_join(t, NULL);
        assert_true(proxy_stalled(&x.p));
        proxy_go_on(&x.p);
        if (status == NEWT_OK)
            n++;
        else
            assert_int_equal(status, NEWT_ELOST);
        late += y.late;
        wait_until(backends(&x.t.b) <= connections);
        check_both(&x.t, n);
    }
    print_message("# %d times the rest came late\n", late);
    assert_true(late > 5);
    through_close(&x);
}

static const struct CMUnitTest lost_stores[] = {
    cmocka_unit_test(test_cut_on_the_way_out),
    cmocka_unit_test(test_cut_on_the_way_back),
    cmocka_unit_test(test_late),
};

int
main(void)
{
    return run_all(lost_stores);
}
