/*
 * limit.c - the bare libpq program that Newt is measured against
 *
 * Writes and reads the same bytes in the same two tables with the same indexes: prepared
 * statements, binary parameters, pipeline mode, compare-and-set on the serial in the statement,
 * COPY BINARY for new rows, zoid = ANY($1) for reads. No objects, no cache, no conversion: records
 * and JSON are made before the clock starts. No transaction rows either, so no order of
 * commits, no followers and no invalidation: what those cost, the ratio shows.
 *
 *     limit OPERATION SCHEMA N [ARGUMENT]      the database: libpq's environment
 */
#include "cas.h"
#include "copy.h"

#include <pthread.h>
#include <signal.h>

static const char *schema;
static int64_t tx1; /* transactions of it, and of clients */
static int64_t first_rev;

/* ---- writing -------------------------------------------------------------------------- */

static void
copy_projection(PGconn *pg, bytes *b, const task_bytes *t, int64_t first, int64_t n, int64_t serial)
{
    copy_begin(pg, b, "COPY newt_projection (zoid, class_name, serial, state) FROM STDIN BINARY");
    for (int64_t i = 0; i < n; i++) {
        put_number(b, 4, 2);
        put_bigint(b, FIRST_OID + first + i);
        put_field(b, "Task", 4);
        put_bigint(b, serial);
        put_field(b, t[i].json, (size_t)t[i].json_n);
    }
    copy_end(pg, b);
}

/* One transaction: n new Tasks, and the root. */
static void
insert_tasks(PGconn *pg, bytes *b, const task_bytes *t, int64_t first, int64_t n, int64_t serial,
             bool project)
{
    task_bytes root;
    root_bytes_of(&root, first + n - 1);
    uint8_t number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)((uint64_t)serial >> (8 * (7 - i)));
    run(pg, "BEGIN");
    copy_begin(pg, b, "COPY object_state (zoid, serial, state) FROM STDIN BINARY");
    for (int64_t i = 0; i < n; i++) {
        put_number(b, 3, 2);
        put_bigint(b, FIRST_OID + first + i);
        put_bigint(b, serial);
        put_field(b, t[i].record, (size_t)t[i].record_n);
    }
    copy_end(pg, b);
    if (project)
        copy_projection(pg, b, t, first, n, serial);
    check(pg, PQenterPipelineMode(pg), "pipeline");
    parameter record[] = {{number, 8}, {root.record, (size_t)root.record_n}};
    parameter json[] = {{number, 8}, {root.json, (size_t)root.json_n}};
    queue(pg, "root", 2, record);
    if (project)
        queue(pg, "root_json", 2, json);
    queue(pg, "commit", 0, NULL);
    check(pg, PQpipelineSync(pg), "sync");
    for (int i = 0; i < (project ? 3 : 2); i++)
        collect(pg, PGRES_COMMAND_OK);
    collect(pg, PGRES_PIPELINE_SYNC);
    check(pg, PQexitPipelineMode(pg), "pipeline");
}

static void
prepare_bulk(PGconn *pg)
{
    prepare(pg, "root", "UPDATE object_state SET serial = $1, state = $2 WHERE zoid = 1");
    prepare(pg, "root_json", "UPDATE newt_projection SET serial = $1, state = $2 WHERE zoid = 1");
    prepare(pg, "commit", "COMMIT");
}

static void
insert_many(PGconn *pg, int64_t first, int64_t n, bool project, const char *operation)
{
    bytes b = {NULL, 0, 0};
    task_bytes *t = allocate((size_t)n, sizeof *t);
    for (int64_t i = 0; i < n; i++)
        task_bytes_of(&t[i], first + i, 0);
    double start = now();
    for (int64_t done = 0; done < n; done += PER_BULK)
        insert_tasks(pg, &b, t + done, first + done, n - done < PER_BULK ? n - done : PER_BULK,
                     2 + (first + done) / PER_BULK, project);
    if (operation)
        report(operation, (double)n / (now() - start), "objects/s");
    free(b.data);
    free(t);
}

/* The n Tasks that are there before anything is measured, also for Newt's store; "async": without
 * their JSON. */
static void
fill(PGconn *pg, int64_t n, const char *argument)
{
    char sql[128];
    bool async = argument && strcmp(argument, "async") == 0;
    prepare_bulk(pg);
    for (int64_t at = 0; at < n; at += BULK)
        insert_many(pg, at, n - at < BULK ? n - at : BULK, !async, NULL);
    snprintf(sql, sizeof sql, "SELECT setval('newt_oid', %lld, false)",
             (long long)(FIRST_OID + n)); /* Newt's next Task is ours */
    run(pg, sql);
}

static void
bulk(PGconn *pg, int64_t n, const char *argument)
{
    bool async = argument && strcmp(argument, "async") == 0;
    prepare_bulk(pg);
    insert_many(pg, n - BULK, BULK, !async, async ? NULL : "bulk");
}

/* ---- changing ------------------------------------------------------------------------- */

/* The serials of the Tasks that are changed first, as a program that has read them knows them. */
static int64_t *
serials_of(PGconn *pg, int64_t n, int64_t changed)
{
    int64_t *serials = allocate((size_t)n, sizeof *serials);
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT zoid, serial FROM object_state WHERE zoid IN "
             "(SELECT %d + k * %d %% %lld FROM generate_series(0, %lld) k)",
             FIRST_OID, STEP, (long long)n, (long long)changed);
    PGresult *r = PQexecParams(pg, sql, 0, NULL, NULL, NULL, NULL, 1);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK, "serials");
    for (int row = 0; row < PQntuples(r); row++)
        serials[number_at(PQgetvalue(r, row, 0), 8) - FIRST_OID] = number_at(PQgetvalue(r, row, 1),
                                                                             8);
    PQclear(r);
    return serials;
}

static both_forms
forms_of(const task_bytes *t)
{
    return (both_forms){{t->record, (size_t)t->record_n}, {t->json, (size_t)t->json_n}};
}

static void
change_task(PGconn *pg, const task_bytes *t, int64_t i, int64_t *serial_of, int64_t serial)
{
    change_one(pg, forms_of(t), FIRST_OID + i, &serial_of[i], serial);
}

typedef struct arrays {
    bytes zoids, serials, records, jsons;
} arrays;

static void
change_many(PGconn *pg, arrays *a, const task_bytes *t, int64_t k, int64_t n, int64_t *serial_of,
            int64_t serial)
{
    begin_array(&a->zoids, INT8_OID, PER_TX100);
    begin_array(&a->serials, INT8_OID, PER_TX100);
    begin_array(&a->records, BYTEA_OID, PER_TX100);
    begin_array(&a->jsons, JSONB_OID, PER_TX100);
    for (int j = 0; j < PER_TX100; j++) {
        int64_t i = (k * PER_TX100 + j) * STEP % n;
        put_bigint(&a->zoids, FIRST_OID + i);
        put_bigint(&a->serials, serial_of[i]);
        put_field(&a->records, t[j].record, (size_t)t[j].record_n);
        put_field(&a->jsons, t[j].json, (size_t)t[j].json_n);
        serial_of[i] = serial;
    }
    uint8_t number[8];
    for (int j = 0; j < 8; j++)
        number[j] = (uint8_t)((uint64_t)serial >> (8 * (7 - j)));
    parameter record[] = {{a->zoids.data, a->zoids.n},
                          {a->serials.data, a->serials.n},
                          {number, 8},
                          {a->records.data, a->records.n}};
    parameter json[] = {{a->zoids.data, a->zoids.n}, {number, 8}, {a->jsons.data, a->jsons.n}};
    queue(pg, "cas_many", 4, record);
    queue(pg, "project_many", 3, json);
    check(pg, PQpipelineSync(pg), "sync");
    if (collect(pg, PGRES_COMMAND_OK) != PER_TX100 || collect(pg, PGRES_COMMAND_OK) != PER_TX100)
        give_up("tx100", "another serial");
    collect(pg, PGRES_PIPELINE_SYNC);
}

static void
tx(PGconn *pg, int64_t n, const char *argument)
{
    (void)argument;
    int64_t *serial_of = serials_of(pg, n, tx_changes()), serial = 1 << 20;
    task_bytes *t = allocate((size_t)(WARM_UP + tx1), sizeof *t);
    for (int64_t k = 0; k < WARM_UP + tx1; k++)
        task_bytes_of(&t[k], k * STEP % n, first_rev + k + 1);
    prepare_cas(pg);
    int64_t wal = 0, tx100 = tx100_transactions();
    wire before = on_wire;
    double start = 0;
    check(pg, PQenterPipelineMode(pg), "pipeline");
    for (int64_t k = 0; k < WARM_UP + tx1; k++) {
        if (k == WARM_UP) {
            check(pg, PQexitPipelineMode(pg), "pipeline");
            wal = wal_position(pg);
            check(pg, PQenterPipelineMode(pg), "pipeline");
            before = on_wire;
            start = now();
        }
        change_task(pg, &t[k], k * STEP % n, serial_of, serial++);
    }
    report("tx1", (double)tx1 / (now() - start), "tx/s");
    report_wire("tx1", &before, tx1);
    check(pg, PQexitPipelineMode(pg), "pipeline");
    report("tx1_wal", (double)(wal_position(pg) - wal) / (double)tx1, "bytes per tx");
    free(t);

    arrays a = {{NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0}};
    t = allocate((size_t)tx100 * PER_TX100, sizeof *t);
    for (int64_t k = 0; k < tx100 * PER_TX100; k++)
        task_bytes_of(&t[k], k * STEP % n, first_rev + k / PER_TX100 + 1);
    run(pg, "SET enable_hashjoin = off");
    run(pg, "SET enable_mergejoin = off");
    prepare(pg, "cas_many", CAS_MANY);
    prepare(pg, "project_many", PROJECT_MANY);
    check(pg, PQenterPipelineMode(pg), "pipeline");
    start = now();
    for (int64_t k = 0; k < tx100; k++)
        change_many(pg, &a, t + k * PER_TX100, k, n, serial_of, serial++);
    report("tx100", (double)tx100 * PER_TX100 / (now() - start), "objects/s");
    free(t);
    free(serial_of);
}

/* ---- clients -------------------------------------------------------------------------- */

typedef struct client {
    pthread_t thread;
    pthread_barrier_t *ready;
    PGconn *pg;
    task_bytes *t;
    int64_t *serial_of;
    int64_t n;
    int number, of;
} client;

static void *
disjoint(void *arg)
{
    client *c = arg;
    pthread_barrier_wait(c->ready);
    for (int64_t k = c->number; k < tx1; k += c->of)
        change_task(c->pg, &c->t[k], k * STEP % c->n, c->serial_of, (2 << 20) + k * 512 + c->of);
    return NULL;
}

/* The row is locked, read, and written: what is read does not change meanwhile, and nobody works in
 * vain. Its serial counts the revisions. Two round trips, the lock held through the commit. */
static void *
hot_object(void *arg)
{
    enum {
        FIRST = 3 << 20
    };
    client *c = arg;
    uint8_t key[8];
    parameter p = {key, 8};
    for (int j = 0; j < 8; j++)
        key[j] = (uint8_t)((uint64_t)FIRST_OID >> (8 * (7 - j)));
    pthread_barrier_wait(c->ready);
    for (int64_t k = c->number; k < tx1; k += c->of) {
        int64_t serial, rev;
        queue(c->pg, "begin", 0, NULL);
        queue(c->pg, "lock", 1, &p);
        check(c->pg, PQpipelineSync(c->pg), "sync");
        collect(c->pg, PGRES_COMMAND_OK);
        PGresult *r = PQgetResult(c->pg);
        check(c->pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1, "lock");
        serial = number_at(PQgetvalue(r, 0, 0), 8);
        PQclear(r);
        check(c->pg, PQgetResult(c->pg) == NULL, "one result a statement");
        collect(c->pg, PGRES_PIPELINE_SYNC);
        rev = serial < FIRST ? 1 : serial - FIRST + 1;
        queue_cas(c->pg, forms_of(&c->t[rev]), FIRST_OID, serial, FIRST + rev);
        queue(c->pg, "commit", 0, NULL);
        check(c->pg, PQpipelineSync(c->pg), "sync");
        if (collect(c->pg, PGRES_COMMAND_OK) != 1)
            give_up("hot", "another serial");
        collect(c->pg, PGRES_COMMAND_OK);
        collect(c->pg, PGRES_PIPELINE_SYNC);
    }
    return NULL;
}

/* `of` clients together, each a thread with its own connection. */
static void
together(const char *name, int of, void *(*work)(void *), const client *like)
{
    client c[MAX_CLIENTS];
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, (unsigned)of + 1);
    for (int i = 0; i < of; i++) {
        c[i] = *like;
        c[i].ready = &ready;
        c[i].pg = dial(schema);
        c[i].number = i;
        c[i].of = of;
        prepare_cas(c[i].pg);
        if (work == hot_object) {
            prepare(c[i].pg, "begin", "BEGIN");
            prepare(c[i].pg, "lock", "SELECT serial FROM object_state WHERE zoid = $1 FOR UPDATE");
            prepare(c[i].pg, "commit", "COMMIT");
        }
        check(c[i].pg, PQenterPipelineMode(c[i].pg), "pipeline");
        if (pthread_create(&c[i].thread, NULL, work, &c[i]) != 0)
            give_up(name, "no thread");
    }
    pthread_barrier_wait(&ready);
    double start = now();
    for (int i = 0; i < of; i++)
        pthread_join(c[i].thread, NULL);
    report(name, (double)tx1 / (now() - start), "tx/s");
    for (int i = 0; i < of; i++)
        PQfinish(c[i].pg);
    pthread_barrier_destroy(&ready);
}

/* As many as ARGUMENT says; without, 1 to 8. */
static void
clients(PGconn *pg, int64_t n, const char *argument)
{
    int64_t *serial_of = serials_of(pg, n, tx1);
    int only = clients_asked(argument);
    for (int of = only ? only : 1; of <= (only ? only : 8); of *= 2) {
        char name[24];
        task_bytes *t = allocate((size_t)tx1, sizeof *t);
        for (int64_t k = 0; k < tx1; k++)
            task_bytes_of(&t[k], k * STEP % n, first_rev + k + 10 + of);
        snprintf(name, sizeof name, "clients%d", of);
        together(name, of, disjoint, &(client){.t = t, .serial_of = serial_of, .n = n});
        free(t);
    }
    free(serial_of);
}

static void
hot(PGconn *pg, int64_t n, const char *argument)
{
    (void)argument;
    char sql[128];
    task_bytes *t = allocate((size_t)tx1 + 1, sizeof *t);
    for (int64_t rev = 0; rev <= tx1; rev++)
        task_bytes_of(&t[rev], 0, first_rev + rev);
    snprintf(sql, sizeof sql, "UPDATE object_state SET serial = 2 WHERE zoid = %d", FIRST_OID);
    run(pg, sql);
    together("hot", 8, hot_object, &(client){.t = t, .n = n});
    free(t);
}

/* ---- the commit lock of Newt ---------------------------------------------------------- */

static volatile sig_atomic_t stopped;

static void
stop(int signal)
{
    (void)signal;
    stopped = 1;
}

/*
 * Takes the lock every 0.2 ms, until a signal ends it, and looks each time whether there is a new
 * transaction. If there is, the one before has held the lock at some time since it was taken here
 * the last time, and no longer.
 */
static void
watch(PGconn *pg, int64_t n, const char *argument)
{
    (void)n;
    (void)argument;
    double longest = 0, free_at = now();
    int64_t newest = 0;
    prepare(pg, "begin", "BEGIN");
    prepare(pg, "lock", "LOCK TABLE newt_commit_lock IN EXCLUSIVE MODE");
    prepare(pg, "newest", "SELECT max(tid) FROM transaction");
    prepare(pg, "rollback", "ROLLBACK");
    check(pg, PQenterPipelineMode(pg), "pipeline");
    signal(SIGTERM, stop);
    while (!stopped) {
        queue(pg, "begin", 0, NULL);
        queue(pg, "lock", 0, NULL);
        queue(pg, "newest", 0, NULL);
        queue(pg, "rollback", 0, NULL);
        check(pg, PQpipelineSync(pg), "sync");
        collect(pg, PGRES_COMMAND_OK);
        collect(pg, PGRES_COMMAND_OK);
        PGresult *r = PQgetResult(pg);
        check(pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1, "newest");
        int64_t tid = number_at(PQgetvalue(r, 0, 0), 8);
        PQclear(r);
        check(pg, PQgetResult(pg) == NULL, "one result a statement");
        collect(pg, PGRES_COMMAND_OK);
        collect(pg, PGRES_PIPELINE_SYNC);
        if (newest != 0 && tid != newest && now() - free_at > longest)
            longest = now() - free_at;
        newest = tid;
        free_at = now();
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    report("lock", longest * 1000, "ms");
}

/* ---- reading -------------------------------------------------------------------------- */

static volatile uint8_t touched; /* so that a compiler cannot leave the reading out */

static void
touch(PGresult *r, int column)
{
    for (int row = 0; row < PQntuples(r); row++)
        touched ^= ((uint8_t *)PQgetvalue(r, row, column))[PQgetlength(r, row, column) / 2];
}

static void
cold(PGconn *pg, int64_t n, const char *argument)
{
    (void)argument;
    prepare(pg, "one", "SELECT serial, state FROM object_state WHERE zoid = $1");
    double start = now();
    run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    int64_t seen = 0;
    for (int64_t oid = FIRST_OID + n - 1; oid != 0; seen++) {
        uint8_t key[8];
        for (int j = 0; j < 8; j++)
            key[j] = (uint8_t)((uint64_t)oid >> (8 * (7 - j)));
        PGresult *r = fetch(pg, "one", key, 8);
        if (PQntuples(r) != 1)
            give_up("cold", "an object is missing");
        touch(r, 1);
        oid = parent_in((uint8_t *)PQgetvalue(r, 0, 1), PQgetlength(r, 0, 1));
        PQclear(r);
    }
    run(pg, "COMMIT");
    if (seen != n)
        give_up("cold", "the chain is broken");
    report("cold", (double)n / (now() - start), "objects/s");
}

static void
walk_server(PGconn *pg, int64_t n, const char *argument)
{
    int64_t seen = 0;
    uint8_t key[8];
    char sql[256];
    (void)argument;
    snprintf(sql, sizeof sql,
             "SELECT (w.row).zoid, (w.row).serial, (w.row).state FROM "
             "(SELECT newt.walk('%s', ARRAY[$1::bigint], max_objects => %lld) AS row) w",
             schema, (long long)n);
    prepare(pg, "walk", sql);
    for (int j = 0; j < 8; j++)
        key[j] = (uint8_t)((uint64_t)(FIRST_OID + n - 1) >> (8 * (7 - j)));
    run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    double start = now();
    for (int pass = 0; pass < LOADS; pass++) {
        PGresult *r = fetch(pg, "walk", key, 8);
        touch(r, 2);
        seen += PQntuples(r);
        PQclear(r);
    }
    double seconds = now() - start;
    run(pg, "COMMIT");
    if (seen != n * LOADS)
        give_up("walk", "objects are missing");
    report("walk", (double)n * LOADS / seconds, "objects/s");
}

static void
load_batches(PGconn *pg, int64_t n, int64_t batch)
{
    char name[24];
    bytes zoids = {NULL, 0, 0};
    int64_t seen = 0, among = setting("BENCH_AMONG", 0);
    double start = now();
    run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    for (int pass = 0; pass < LOADS; pass++)
        for (int64_t i = 0; i < n; i += batch) {
            int64_t here = n - i < batch ? n - i : batch;
            begin_array(&zoids, INT8_OID, (size_t)here);
            for (int64_t k = 0; k < here; k++)
                put_bigint(&zoids, FIRST_OID + task_to_load(i + k, among));
            PGresult *r = fetch(pg, "many", zoids.data, zoids.n);
            touch(r, 2);
            seen += PQntuples(r);
            PQclear(r);
        }
    run(pg, "COMMIT");
    if (seen != n * LOADS)
        give_up("load", "objects are missing");
    snprintf(name, sizeof name, "load%d", (int)batch);
    report(name, (double)n * LOADS / (now() - start), "objects/s");
    free(zoids.data);
}

static void
prepare_many(PGconn *pg)
{
    prepare(pg, "many",
            "SELECT zoid, serial, state FROM object_state WHERE zoid = ANY ($1::bigint[])");
}

static void
load(PGconn *pg, int64_t n, const char *argument)
{
    prepare_many(pg);
    load_batches(pg, n, argument ? atoll(argument) : 100);
}

static void
search_once(PGconn *pg, const char *json, int found, bool loaded)
{
    bytes zoids = {NULL, 0, 0};
    PGresult *r = fetch(pg, "search", json, strlen(json));
    if (PQntuples(r) != found)
        give_up("search", "not as many objects as there should be");
    if (loaded) {
        begin_array(&zoids, INT8_OID, (size_t)found);
        for (int row = 0; row < found; row++)
            put_field(&zoids, PQgetvalue(r, row, 0), 8);
        PQclear(r);
        r = fetch(pg, "many", zoids.data, zoids.n);
        touch(r, 2);
    }
    PQclear(r);
    free(zoids.data);
}

static void
search(PGconn *pg, int64_t n, const char *argument)
{
    (void)argument;
    char json[64] = "\001";
    prepare_many(pg);
    prepare(pg, "search", "SELECT zoid FROM newt_projection WHERE state @> $1 LIMIT 100");
    run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    for (int kind = 0; kind < SEARCH_KINDS; kind++) {
        double start = 0;
        for (int k = -1; k < SEARCHES; k++) {
            if (k == 0)
                start = now();
            int found = search_of(json + 1, sizeof json - 1, kind, k, n);
            search_once(pg, json, found, kind != SEARCH_GHOSTS);
        }
        report(search_names[kind], (now() - start) * 1000 / SEARCHES, "ms");
    }
    run(pg, "COMMIT");
}

/* Records are read in batches as the updater reads them, and JSON is written that was made before.
 */
static void
drain(PGconn *pg, int64_t n, const char *argument)
{
    (void)argument;
    int64_t first = n - BULK;
    bytes b = {NULL, 0, 0};
    task_bytes *t = allocate(BULK, sizeof *t);
    for (int64_t i = 0; i < BULK; i++)
        task_bytes_of(&t[i], first + i, 0);
    prepare_many(pg);
    double start = now();
    for (int64_t done = 0; done < BULK; done += PER_BULK) {
        run(pg, "BEGIN");
        begin_array(&b, INT8_OID, PER_BULK);
        for (int64_t k = 0; k < PER_BULK; k++)
            put_bigint(&b, FIRST_OID + first + done + k);
        PGresult *r = fetch(pg, "many", b.data, b.n);
        touch(r, 2);
        PQclear(r);
        copy_projection(pg, &b, t + done, first + done, PER_BULK, 2 + (first + done) / PER_BULK);
        run(pg, "COMMIT");
    }
    report("drain", BULK / (now() - start), "objects/s");
    free(b.data);
    free(t);
}

/* Rows that were made before, in a table like the projection: the server's own limit. */
static void
drain_large(PGconn *pg, int64_t n, const char *argument)
{
    double start = now();
    run(pg, "INSERT INTO bare SELECT * FROM made");
    report(argument ? argument : "drain_large", (double)n / (now() - start), "objects/s");
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(PGconn *pg, int64_t n, const char *argument);
    } operations[] = {{"fill", fill},       {"bulk", bulk},   {"tx", tx},
                      {"clients", clients}, {"hot", hot},     {"watch", watch},
                      {"cold", cold},       {"load", load},   {"walk", walk_server},
                      {"search", search},   {"drain", drain}, {"drain_large", drain_large},
                      {NULL, NULL}};
    if (argc < 4)
        give_up("usage", "limit OPERATION SCHEMA N [ARGUMENT]");
    schema = argv[2];
    tx1 = tx1_transactions();
    first_rev = first_revision();
    for (int i = 0; operations[i].name; i++)
        if (strcmp(operations[i].name, argv[1]) == 0) {
            PGconn *pg = dial(schema);
            operations[i].run(pg, atoll(argv[3]), argc > 4 ? argv[4] : NULL);
            PQfinish(pg);
            return 0;
        }
    give_up(argv[1], "no such operation");
}
