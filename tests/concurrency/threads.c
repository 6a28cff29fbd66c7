/*
 * threads.c - one newt_db, each connection in a thread of its own, everything at once
 *
 * The kind "threads" runs this and all other programs with threads under ThreadSanitizer. What
 * connections have in common is small: the pool, the newest tid, the names of unknown classes, what
 * the first connection has found out about the store. Every thread here touches all of it: what it
 * does next is drawn from a table.
 */
#include "concurrency.h"

enum {
    THREADS = 4,
    ACCOUNTS = 6,
    BALANCE = 100
};

/* Its JSONB is made by a hook, and two that change it at once are merged. */
struct tally {
    int64_t a, b;
    newt_text last;
};
NEWT_DECLARE(tally);

static int
tally_to_json(const void *object, struct json_t *json, void *arg)
{
    const struct tally *t = object;

    (void)arg;
    return json_object_set_new(json, "sum", json_integer(t->a + t->b)) == 0 ? 0 : 1;
}

static const newt_hooks tally_hooks = {
    .size = sizeof tally_hooks, .to_json = tally_to_json, .resolve = newt_resolve_fields};
NEWT_CLASS(tally, "Tally", 1, &tally_hooks, NEWT_FIELD(struct tally, a),
           NEWT_FIELD(struct tally, b), NEWT_FIELD(struct tally, last));

static const newt_class *const all_classes[] = {&item_class, &tally_class, NULL};

typedef struct shared {
    store s;
    item_ref accounts[ACCOUNTS];
    newt_length_ref length;
    tally_ref tally;
} shared;

typedef struct worker {
    const shared *w;
    newt_conn *c;
    pthread_t thread;
    chance random;
    double until;
    int me, done;
    int64_t counted, made, ended; /* acknowledged */
    newt_ref own;
    char failure[1000];
} worker;

static newt_transact_options patient = {.size = sizeof patient, .attempts = 100000};

/* ---- what a thread does --------------------------------------------------------------- */

static int
move_money(newt_conn *c, void *arg)
{
    worker *x = arg;
    int from = pick(&x->random, ACCOUNTS), to = pick(&x->random, ACCOUNTS);
    struct item *a = item_write(c, x->w->accounts[from]), *b;

    if (!a || !(b = item_write(c, x->w->accounts[to])))
        return newt_status(c);
    a->n--;
    b->n++;
    return NEWT_OK;
}

static int
transfer(worker *x)
{
    return newt_transact(x->c, move_money, x, &patient);
}

static int
sum_up(newt_conn *c, void *arg)
{
    worker *x = arg;
    newt_ref all[ACCOUNTS];
    int64_t sum = 0;
    int status;

    for (int i = 0; i < ACCOUNTS; i++)
        all[i] = x->w->accounts[i].any;
    status = newt_prefetch(c, all, ACCOUNTS);
    for (int i = 0; i < ACCOUNTS && status == NEWT_OK; i++) {
        const struct item *o = item_read(c, x->w->accounts[i]);

        if (!o)
            return newt_status(c);
        sum += o->n;
        item_done(o);
    }
    return status ? status : sum == ACCOUNTS * BALANCE ? NEWT_OK : 1;
}

static int
sum_up_all(worker *x)
{
    return newt_transact(x->c, sum_up, x, &patient);
}

static int
count_up(newt_conn *c, void *arg)
{
    struct newt_length *l = newt_length_write(c, ((worker *)arg)->w->length);

    return l ? newt_length_change(l, 1) : newt_status(c);
}

static int
count(worker *x)
{
    int status = newt_transact(x->c, count_up, x, &patient);

    x->counted += status == NEWT_OK;
    return status;
}

static int
change_tally(newt_conn *c, void *arg)
{
    worker *x = arg;
    struct tally *t = tally_write(c, x->w->tally);

    if (!t)
        return newt_status(c);
    if (x->me % 2)
        t->a++;
    else
        t->b++;
    newt_set(t, last, x->me % 2 ? "a" : "b");
    return newt_read_current(c, x->w->accounts[pick(&x->random, ACCOUNTS)].any);
}

static int
tell(worker *x)
{
    return newt_transact(x->c, change_tally, x, &patient);
}

/* New objects, one of them of a class that has no table here, under a root of the thread's own. */
static int
make_some(newt_conn *c, void *arg)
{
    worker *x = arg;
    json_t *state = json_pack("{s:i}", "n", x->done);
    char name[32];
    newt_bag *b;
    int status;

    snprintf(name, sizeof name, "Class%d", pick(&x->random, 40));
    b = newt_bag_new(c, name);
    status = b ? newt_bag_replace(b, state) : newt_status(c);
    json_decref(state);
    if (status != NEWT_OK)
        return status;
    x->own = newt_bag_ref(b);
    for (int i = 0; i < 3; i++)
        item_done(item_new(c));
    snprintf(name, sizeof name, "thread %d", x->me);
    return newt_set_root(c, name, x->own);
}

static int
make(worker *x)
{
    int status = newt_transact(x->c, make_some, x, &patient);

    x->made += status == NEWT_OK;
    return status;
}

static int
look_at_others(newt_conn *c, void *arg)
{
    worker *x = arg;
    newt_ref r;
    const newt_bag *b;
    char name[32];

    snprintf(name, sizeof name, "thread %d", pick(&x->random, THREADS));
    r = newt_root(c, name);
    if (newt_is_null(r))
        return newt_status(c);
    b = newt_bag_read(c, r);
    if (!b || !newt_class_name(c, r))
        return newt_status(c);
    json_decref(newt_bag_state(b));
    newt_bag_done(b);
    return NEWT_OK;
}

static int
look(worker *x)
{
    return newt_transact(x->c, look_at_others, x, &patient);
}

static int
query(newt_conn *c, void *arg)
{
    newt_result *found = NULL;
    json_t *rows = NULL;
    int status = newt_where(c, &found, "class_name = 'Item' ORDER BY zoid LIMIT 20", 0, NULL);

    (void)arg;
    if (status == NEWT_OK)
        status = newt_result_load(found);
    newt_result_free(found);
    if (status == NEWT_OK)
        status = newt_query(c, &rows, "SELECT state FROM newt WHERE class_name = 'Tally'", 0, NULL);
    json_decref(rows);
    return status;
}

static int
search(worker *x)
{
    return newt_transact(x->c, query, x, &patient);
}

static int
give_up(worker *x)
{
    int status = newt_begin(x->c);

    if (status == NEWT_OK && item_write(x->c, x->w->accounts[0]))
        item_done(item_new(x->c));
    newt_abort(x->c);
    return status;
}

static int
miss(worker *x)
{
    int status = newt_begin(x->c);

    if (status == NEWT_OK &&
        (item_read(x->c, item_of((newt_ref){1000000000})) ||
         newt_error_status(newt_last_error(x->w->s.db, x->c)) != NEWT_EMISSING))
        status = 1;
    newt_abort(x->c);
    return status;
}

/* Back to the pool, and another one, with the cache of who had it before. */
static int
change_places(worker *x)
{
    newt_close(x->c);
    return newt_connect(x->w->s.db, &x->c);
}

/* The server process goes; the next begin connects anew. */
static int
be_cut_off(worker *x)
{
    json_t *rows = NULL;
    int status;

    if (pick(&x->random, 10) != 0)
        return NEWT_OK;
    status = newt_begin(x->c);
    if (status != NEWT_OK)
        return status;
    status = newt_query(x->c, &rows, "SELECT pg_terminate_backend(pg_backend_pid())", 0, NULL);
    json_decref(rows);
    newt_abort(x->c);
    x->ended++;
    return status == NEWT_ELOST || status == NEWT_ESQL ? NEWT_OK : 1;
}

/* Another database on the same store beside it all. */
static int
open_another(worker *x)
{
    newt_options o = {.size = sizeof o, .schema = x->w->s.schema};
    newt_conn *c = NULL;
    newt_db *db;
    int status;

    if (pick(&x->random, 10) != 0)
        return NEWT_OK;
    status = newt_db_open(&db, uri(), all_classes, &o);
    if (status == NEWT_OK)
        status = newt_connect(db, &c);
    if (status == NEWT_OK)
        status = newt_transact(c, sum_up, x, &patient);
    newt_close(c);
    newt_db_close(db);
    return status;
}

static const struct {
    const char *name;
    int (*run)(worker *x);
} actions[] = {
    {"transfer", transfer},
    {"sum_up_all", sum_up_all},
    {"count", count},
    {"tell", tell},
    {"make", make},
    {"look", look},
    {"search", search},
    {"give_up", give_up},
    {"miss", miss},
    {"change_places", change_places},
    {"be_cut_off", be_cut_off},
    {"open_another", open_another},
};

enum {
    N_ACTIONS = sizeof actions / sizeof *actions
};

static void *
work(void *arg)
{
    worker *x = arg;
    int status = newt_connect(x->w->s.db, &x->c), action = 0;

    /* each of them at least once, and then for as long as there is time */
    while (status == NEWT_OK && (x->done < 2 * N_ACTIONS || now() < x->until)) {
        action = x->done < N_ACTIONS ? x->done : pick(&x->random, N_ACTIONS);
        status = actions[action].run(x);
        x->done++;
    }
    if (status != NEWT_OK)
        snprintf(x->failure, sizeof x->failure, "thread %d, %s: status %d, %s", x->me,
                 actions[action].name, status,
                 x->c ? error_text(newt_conn_error(x->c)) : "no connection");
    newt_close(x->c);
    return NULL;
}

static void
test_everything_at_once(void **state)
{
    int64_t counted = 0, made = 0, ended = 0, done = 0;
    uint64_t seed = take_seed();
    worker x[THREADS];
    shared w;

    (void)state;
    use_database(true);
    store_make(&w.s, "threads");
    w.s.db = store_db(&w.s, all_classes, (newt_options){0});
    w.s.a = connect_(w.s.db);
    begin(w.s.a);
    for (int i = 0; i < ACCOUNTS; i++)
        w.accounts[i] = item_id(new_item(w.s.a, "account", BALANCE));
    w.length = newt_length_id(newt_length_new(w.s.a));
    w.tally = tally_id(tally_new(w.s.a));
    commit(w.s.a);
    for (int i = 0; i < THREADS; i++) {
        x[i] = (worker){.w = &w, .me = i, .random = {seed + (uint64_t)i}};
        x[i].until = now() + duration(3, 60);
        assert_int_equal(pthread_create(&x[i].thread, NULL, work, &x[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(x[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        if (*x[i].failure)
            fail_msg("%s", x[i].failure);
        counted += x[i].counted;
        made += x[i].made;
        ended += x[i].ended;
        done += x[i].done;
    }
    print_message("# %lld actions, %lld server processes ended\n", (long long)done,
                  (long long)ended);
    begin(w.s.a);
    assert_int_equal(newt_length_read(w.s.a, w.length)->value, counted);
    commit(w.s.a);
    assert_sql(w.s.pg, "t", "SELECT count(*) = %lld FROM newt WHERE class_name LIKE 'Class%%'",
               (long long)made);
    assert_sql(w.s.pg, "t", "SELECT count(*) = %lld FROM newt WHERE class_name = 'Item'",
               (long long)(3 * made + ACCOUNTS));
    assert_sql(w.s.pg, "t",
               "SELECT bool_and((state->>'sum')::bigint = (state->>'a')::bigint + "
               "(state->>'b')::bigint) FROM newt WHERE class_name = 'Tally'");
    assert_feed_is_whole(w.s.pg);
    newt_close(w.s.a);
    newt_db_close(w.s.db);
    PQfinish(w.s.pg);
}

int
main(void)
{
    static const struct CMUnitTest threads[] = {
        cmocka_unit_test(test_everything_at_once),
    };

    return run_all(threads);
}
