/*
 * newt.c - the operations of the benchmark through Newt
 *
 *     newt create SCHEMA                       makes a store
 *     newt OPERATION SCHEMA N [ARGUMENT]       the database: libpq's environment
 *     newt memory SCHEMA N                     what the library alone costs: a store in memory
 *
 * ARGUMENT is who computes the JSONB (client, server, async; without: whom the library chooses), or
 * the number of objects in a batch.
 */
#include "newt_task.h"
#include "memory.h"

#include <pthread.h>

static int64_t tx1; /* transactions of it, and of clients */
static int64_t first_rev;

/* Task number i, in a store on a server. */
static task_ref
task_number(int64_t i)
{
    return task_of((newt_ref){.oid = FIRST_OID + i});
}

/* Loads the n Tasks that are changed first: all of them, unless there are more. */
static void
load_tasks(newt_conn *c, int64_t n, int64_t changed)
{
    newt_ref refs[PER_BULK];
    begin(c);
    for (int64_t k = 0; k < changed && k < n;) {
        size_t here = 0;
        for (; here < PER_BULK && k < changed && k < n; k++)
            refs[here++] = task_number(k * STEP % n).any;
        check(c, newt_prefetch(c, refs, here) == NEWT_OK, "prefetch");
    }
    newt_abort(c);
}

/* ---- writing -------------------------------------------------------------------------- */

/* BULK Tasks, from number i on. */
static void
make_tasks(newt_conn *c, int64_t i, const char *name)
{
    begin(c);
    task_ref last = task_of(newt_root(c, "last"));
    newt_abort(c);
    double start = now();
    for (int64_t done = 0; done < BULK; done += PER_BULK) {
        begin(c);
        for (int k = 0; k < PER_BULK; k++, i++) {
            struct task *t = new_task(c, i, last);
            last = task_id(t);
            task_done(t);
        }
        check(c, newt_set_root(c, "last", last.any) == NEWT_OK, "root");
        commit(c);
    }
    report(name, BULK / (now() - start), "objects/s");
}

static void
bulk(int64_t n, const char *argument)
{
    (void)argument;
    newt_conn *c = dial();
    make_tasks(c, n - BULK, "bulk");
    newt_close(c);
}

static void
tx(int64_t n, const char *argument)
{
    (void)argument;
    static const char position[] = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
    newt_conn *c = dial();
    load_tasks(c, n, tx_changes());
    newt_stats stats_before = {.size = sizeof(newt_stats)}, stats = {.size = sizeof stats};
    wire before = on_wire;
    double start = 0;
    int64_t wal = 0, tx100 = tx100_transactions();
    for (int64_t k = 0; k < WARM_UP + tx1; k++) {
        if (k == WARM_UP) {
            wal = number(c, position);
            newt_conn_stats(c, &stats_before);
            before = on_wire;
            start = now();
        }
        int64_t i = k * STEP % n;
        begin(c);
        change(c, task_number(i), i, first_rev + k + 1);
        commit(c);
    }
    report("tx1", (double)tx1 / (now() - start), "tx/s");
    report_wire("tx1", &before, tx1);
    newt_conn_stats(c, &stats);
    report("tx1_statements", (double)(stats.statements - stats_before.statements) / (double)tx1,
           "per tx");
    report("tx1_wal", (double)(number(c, position) - wal) / (double)tx1, "bytes per tx");

    start = now();
    for (int64_t k = 0; k < tx100; k++) {
        begin(c);
        for (int j = 0; j < PER_TX100; j++) {
            int64_t i = (k * PER_TX100 + j) * STEP % n;
            change(c, task_number(i), i, first_rev + k + 1);
        }
        commit(c);
    }
    report("tx100", (double)tx100 * PER_TX100 / (now() - start), "objects/s");
    newt_close(c);
}

/* ---- clients -------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    pthread_barrier_t *ready;
    void (*work)(newt_conn *c, const struct client *m);
    int64_t n;
    int number, of;
    newt_stats stats; /* of the work */
} client;

/* Its part of the Tasks, loaded before the clock starts. */
static void
prefetch(newt_conn *c, const client *m)
{
    newt_ref *mine = allocate((size_t)tx1, sizeof *mine);
    size_t n_mine = 0;
    for (int64_t k = m->number; k < tx1; k += m->of)
        mine[n_mine++] = task_number(k * STEP % m->n).any;
    begin(c);
    check(c, newt_prefetch(c, mine, n_mine) == NEWT_OK, "prefetch");
    newt_abort(c);
    free(mine);
}

static void
disjoint(newt_conn *c, const client *m)
{
    for (int64_t k = m->number; k < tx1; k += m->of) {
        int64_t i = k * STEP % m->n;
        begin(c);
        change(c, task_number(i), i, first_rev + k + 10 + m->of);
        commit(c);
    }
}

static void *
client_main(void *arg)
{
    client *m = arg;
    newt_conn *c = dial();
    newt_stats before = {.size = sizeof before};
    prefetch(c, m);
    newt_conn_stats(c, &before);
    pthread_barrier_wait(m->ready);
    m->work(c, m);
    pthread_barrier_wait(m->ready);
    m->stats.size = sizeof m->stats;
    newt_conn_stats(c, &m->stats);
    m->stats.round_trips -= before.round_trips;
    m->stats.conflicts -= before.conflicts;
    newt_close(c);
    return NULL;
}

/* `of` clients together, each a thread with its own connection. */
static void
together(const char *name, int of, const client *like)
{
    char figure[64];
    client m[MAX_CLIENTS];
    pthread_barrier_t ready;
    double round_trips = 0, conflicts = 0;
    pthread_barrier_init(&ready, NULL, (unsigned)of + 1);
    for (int i = 0; i < of; i++) {
        m[i] = *like;
        m[i].ready = &ready;
        m[i].number = i;
        m[i].of = of;
        if (pthread_create(&m[i].thread, NULL, client_main, &m[i]) != 0)
            give_up(name, "no thread");
    }
    pthread_barrier_wait(&ready);
    double start = now();
    pthread_barrier_wait(&ready);
    report(name, (double)tx1 / (now() - start), "tx/s");
    for (int i = 0; i < of; i++) {
        pthread_join(m[i].thread, NULL);
        round_trips += (double)m[i].stats.round_trips;
        conflicts += (double)m[i].stats.conflicts;
    }
    snprintf(figure, sizeof figure, "%s_round_trips", name);
    report(figure, round_trips / (double)tx1, "per tx");
    snprintf(figure, sizeof figure, "%s_conflicts", name);
    report(figure, conflicts / (double)tx1, "per tx");
    pthread_barrier_destroy(&ready);
}

/* As many as ARGUMENT says; without, 1 to 8. */
static void
clients(int64_t n, const char *argument)
{
    client like = {.work = disjoint, .n = n};
    int only = clients_asked(argument);
    for (int of = only ? only : 1; of <= (only ? only : 8); of *= 2) {
        char name[24];
        snprintf(name, sizeof name, "clients%d", of);
        together(name, of, &like);
    }
}

/* Its next revision. */
static int
revise(newt_conn *c, void *arg)
{
    const task_ref *r = arg;
    const struct task *t = task_read(c, *r);
    if (!t)
        return newt_status(c);
    int64_t rev = t->points + 1;
    task_done(t);
    change(c, *r, 0, rev);
    return NEWT_OK;
}

static void
hot_object(newt_conn *c, const client *m)
{
    newt_transact_options options = {.size = sizeof options, .attempts = 100000};
    task_ref r = task_number(0);
    for (int64_t k = m->number; k < tx1; k += m->of)
        check(c, newt_transact(c, revise, &r, &options) == NEWT_OK, "hot");
}

/* Every client takes the same Task, the first, to its next revision: read, then written. */
static void
hot(int64_t n, const char *argument)
{
    (void)argument;
    newt_conn *c = dial();
    begin(c);
    change(c, task_number(0), 0, first_rev);
    commit(c);
    together("hot", 8, &(client){.work = hot_object, .n = n});
    begin(c);
    const struct task *t = task_read(c, task_number(0));
    check(c, t != NULL, "read");
    if (t->points != first_rev + tx1)
        give_up("hot", "updates were lost");
    newt_abort(c);
    newt_close(c);
}

/* As many Tasks as asked for in one transaction; bench/run watches the commit lock meanwhile. */
static void
large(int64_t n, const char *argument)
{
    (void)argument;
    newt_conn *c = dial();
    double before = peak(), start = now();
    begin(c);
    task_ref last = {.any = {0}};
    for (int64_t i = 0; i < n; i++) {
        struct task *t = new_task(c, i, last);
        last = task_id(t);
        task_done(t);
    }
    check(c, newt_set_root(c, "last", last.any) == NEWT_OK, "root");
    double filled = now();
    commit(c);
    report("large", (double)n / (now() - start), "objects/s");
    report("large_commit", now() - filled, "s");
    report("large_memory", (peak() - before) / 1e6, "MB");
    newt_close(c);
}

/* ---- reading -------------------------------------------------------------------------- */

static volatile char touched; /* so that a compiler cannot leave the reading out */

/* From a Task to the first, which makes n. */
static void
walk(newt_conn *c, task_ref at, int64_t n, const char *name)
{
    double start = now();
    int64_t seen = 0;
    begin(c);
    while (!newt_is_null(at.any)) {
        const struct task *t = task_read(c, at);
        check(c, t != NULL, name);
        touched ^= t->title.s[20];
        at = t->parent;
        task_done(t);
        seen++;
    }
    newt_abort(c);
    if (seen != n)
        give_up(name, "the chain is broken");
    report(name, (double)n / (now() - start), "objects/s");
}

static void
cold(int64_t n, const char *argument)
{
    (void)argument;
    enum {
        HOT = 10000000,
        ROUNDS = 50
    };
    newt_conn *c = dial();
    begin(c);
    (void)newt_root(c, "last");
    newt_abort(c);
    double before = resident();
    walk(c, task_number(n - 1), n, "cold");
    report("memory", (resident() - before) / (double)n, "bytes per Task");
    walk(c, task_number(n - 1), n, "warm");

    begin(c);
    double start = now();
    for (int k = 0; k < HOT; k++) {
        const struct task *t = task_read(c, task_number(0));
        touched ^= (char)t->points;
        task_done(t);
    }
    report("read_hot", (now() - start) * 1e9 / HOT, "ns");
    start = now();
    for (int k = 0; k < ROUNDS; k++)
        for (int64_t i = 0; i < n; i++) {
            const struct task *t = task_read(c, task_number(i));
            touched ^= (char)t->points;
            task_done(t);
        }
    report("read_walk", (now() - start) * 1e9 / ((double)n * ROUNDS), "ns");
    newt_abort(c);
    newt_close(c);
}

/* All Tasks, in batches, into a cache without a limit; "limited": with the library's. */
static void
all(int64_t n, const char *argument)
{
    newt_ref refs[PER_BULK];
    newt_conn *c = dial();
    begin(c);
    (void)newt_root(c, "last");
    double before = resident();
    for (int64_t i = 0; i < n;) {
        size_t here = 0;
        for (; here < PER_BULK && i < n; i++)
            refs[here++] = task_number(i).any;
        check(c, newt_prefetch(c, refs, here) == NEWT_OK, "prefetch");
    }
    if (argument)
        report("cache_limited", (resident() - before) / 1e6, "MB");
    else
        report("cache", (resident() - before) / (double)n, "bytes per Task");
    newt_abort(c);
    newt_close(c);
}

/* The chain again, loaded by the server in one go, by connections that have nothing. */
static void
walk_server(int64_t n, const char *argument)
{
    newt_walk_options o = {.size = sizeof o, .objects = n};
    double seconds = 0;
    (void)argument;
    for (int pass = 0; pass < LOADS; pass++) {
        if (pass > 0) { /* the pool's connection keeps its cache */
            newt_db_close(db);
            open_store(schema, NULL);
        }
        newt_conn *c = dial();
        int64_t seen = 0;
        begin(c);
        task_ref at = task_number(n - 1);
        double start = now();
        check(c, newt_prefetch_walk(c, &at.any, 1, &o) == NEWT_OK, "walk");
        for (; !newt_is_null(at.any); seen++) {
            const struct task *t = task_read(c, at);
            check(c, t != NULL, "walk");
            touched ^= t->title.s[20];
            at = t->parent;
            task_done(t);
        }
        seconds += now() - start;
        newt_abort(c);
        newt_close(c);
        if (seen != n)
            give_up("walk", "the chain is broken");
    }
    report("walk", (double)n * LOADS / seconds, "objects/s");
}

/* All Tasks in batches, by a connection that has none of them. Seconds. */
static double
load_once(const newt_ref *refs, int64_t n, int64_t batch)
{
    newt_conn *c = dial();
    begin(c);
    (void)newt_root(c, "last");
    double start = now();
    for (int64_t i = 0; i < n; i += batch) {
        int64_t here = n - i < batch ? n - i : batch;
        check(c, newt_prefetch(c, refs + i, (size_t)here) == NEWT_OK, "prefetch");
        for (int64_t k = 0; k < here; k++) {
            const struct task *t = task_read(c, task_of(refs[i + k]));
            check(c, t != NULL, "read");
            touched ^= t->title.s[20];
            task_done(t);
        }
    }
    double seconds = now() - start;
    newt_abort(c);
    newt_close(c);
    return seconds;
}

static void
load(int64_t n, const char *argument)
{
    char name[24];
    double seconds = 0;
    int64_t batch = argument ? atoll(argument) : 100, among = setting("BENCH_AMONG", 0);
    newt_ref *refs = allocate((size_t)n, sizeof *refs);
    for (int64_t i = 0; i < n; i++)
        refs[i] = task_number(task_to_load(i, among)).any;
    for (int pass = 0; pass < LOADS; pass++) {
        if (pass > 0) { /* the pool's connection keeps its cache */
            newt_db_close(db);
            open_store(schema, NULL);
        }
        seconds += load_once(refs, n, batch);
    }
    snprintf(name, sizeof name, "load%d", (int)batch);
    report(name, (double)n * LOADS / seconds, "objects/s");
    free(refs);
}

static void
search_once(newt_conn *c, const char *json, size_t found, bool loaded)
{
    newt_result *r;
    check(c, newt_where(c, &r, "state @> $1::jsonb LIMIT 100", 1, &json) == NEWT_OK, "search");
    if (newt_result_size(r) != found)
        give_up("search", "not as many objects as there should be");
    if (loaded)
        check(c, newt_result_load(r) == NEWT_OK, "load what was found");
    for (size_t i = 0; i < found; i++) {
        task_ref ref = task_of(newt_result_ref(r, i));
        touched ^= (char)ref.any.oid;
        if (loaded) {
            const struct task *t = task_read(c, ref);
            check(c, t != NULL, "read");
            touched ^= t->title.s[20];
            task_done(t);
        }
    }
    newt_result_free(r);
}

static void
search(int64_t n, const char *argument)
{
    (void)argument;
    newt_conn *c = dial();
    char json[64];
    begin(c);
    for (int kind = 0; kind < SEARCH_KINDS; kind++) {
        double start = 0;
        for (int k = -1; k < SEARCHES; k++) {
            if (k == 0)
                start = now();
            int found = search_of(json, sizeof json, kind, k, n);
            search_once(c, json, (size_t)found, kind != SEARCH_GHOSTS);
        }
        report(search_names[kind], (now() - start) * 1000 / SEARCHES, "ms");
    }
    newt_abort(c);
    newt_close(c);
}

/* ---- a store in memory ------------------------------------------------------------------ */

/* The same without a server: what objects, cache and transactions cost by themselves. */
static void
in_memory(int64_t n, const char *argument)
{
    (void)argument;
    enum {
        TRANSACTIONS = 300000
    };
    newt_db *first = db; /* the store ends with the last of its databases */
    newt_conn *c = dial();
    newt_ref *refs = allocate(BULK, sizeof *refs);
    double start, seconds = 0;

    (void)n;
    make_tasks(c, 0, "memory_bulk");
    begin(c);
    task_ref at = task_of(newt_root(c, "last"));
    for (int64_t i = BULK - 1; i >= 0; i--) {
        const struct task *t = task_read(c, at);
        check(c, t != NULL, "read");
        refs[i] = at.any;
        at = t->parent;
        task_done(t);
    }
    newt_abort(c);
    start = now();
    for (int64_t k = 0; k < TRANSACTIONS; k++) {
        int64_t i = k * STEP % BULK;
        begin(c);
        change(c, task_of(refs[i]), i, k + 1);
        commit(c);
    }
    report("memory_tx1", TRANSACTIONS / (now() - start), "tx/s");
    newt_close(c);
    open_store(schema, NULL);
    c = dial();
    begin(c);
    at = task_of(newt_root(c, "last"));
    newt_abort(c);
    walk(c, at, BULK, "memory_cold");
    newt_close(c);
    for (int pass = 0; pass < LOADS; pass++) {
        newt_db_close(db);
        open_store(schema, NULL);
        seconds += load_once(refs, BULK, 100);
    }
    report("memory_load", (double)BULK * LOADS / seconds, "objects/s");
    newt_db_close(first);
    free(refs);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(int64_t n, const char *argument);
    } operations[] = {{"bulk", bulk},       {"tx", tx},
                      {"clients", clients}, {"hot", hot},
                      {"large", large},     {"cold", cold},
                      {"load", load},       {"walk", walk_server},
                      {"search", search},   {"memory", in_memory},
                      {"all", all},         {NULL, NULL}};
    if (argc == 3 && strcmp(argv[1], "create") == 0) {
        newt_error *e = NULL;
        if (newt_store_create(NULL, argv[2], &e) != NEWT_OK)
            give_up("create", e ? newt_error_message(e) : "out of memory");
        newt_error_free(e);
        return 0;
    }
    if (argc < 4)
        give_up("usage", "newt OPERATION SCHEMA N [ARGUMENT]");
    tx1 = tx1_transactions();
    first_rev = first_revision();
    for (int i = 0; operations[i].name; i++)
        if (strcmp(operations[i].name, argv[1]) == 0) {
            const char *argument = argc > 4 ? argv[4] : NULL;
            schema = argv[2];
            uri = operations[i].run == in_memory ? "memory:bench" : NULL;
            if ((operations[i].run == all && !argument) || operations[i].run == walk_server)
                cache_bytes = SIZE_MAX;
            open_store(schema, argument);
            operations[i].run(atoll(argv[3]), argument);
            newt_db_close(db);
            return 0;
        }
    give_up(argv[1], "no such operation");
}
