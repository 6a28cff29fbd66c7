/*
 * bank.c - processes move money between accounts while others sum them, and a killer ends both
 * server processes and clients at random moments
 *
 * Every transfer has a number of its own. It is in the database as an object that is made in the
 * transaction which moves the money, and in a file in which each client notes what it tries ('?'),
 * what was acknowledged ('='), and what was said not to have happened ('!'). At the end the files
 * and the database are compared.
 */
#include "concurrency.h"

#include <errno.h>
#include <fcntl.h>

enum {
    ACCOUNTS = 1000,
    START = 1000, /* on each account at first */
    MOVERS = 8,
    READERS = 2,
    CLIENTS = MOVERS + READERS,
    POPULAR = 10, /* accounts in which every third transfer is interested, for conflicts */
    CLIENT_NUMBERS = 1 << 20 /* transfers of one client's life */
};

struct account;
NEWT_DECLARE(account);
struct account {
    int64_t balance, transfers;
};
NEWT_CLASS(account, "Account", 1, NULL, NEWT_FIELD(struct account, balance),
           NEWT_FIELD(struct account, transfers));

struct transfer;
NEWT_DECLARE(transfer);
struct transfer {
    int64_t number, amount;
    account_ref from, to;
};
NEWT_CLASS(transfer, "Transfer", 1, NULL, NEWT_FIELD(struct transfer, number),
           NEWT_FIELD(struct transfer, amount), NEWT_REF(struct transfer, from, account),
           NEWT_REF(struct transfer, to, account));

static const newt_class *const bank_classes[] = {&account_class, &transfer_class, NULL};

typedef struct bank {
    store s;
    char notes[64]; /* the directory of the files */
    account_ref accounts[ACCOUNTS];
    uint64_t seed;
    pid_t clients[CLIENTS];
    int lives;       /* clients started */
    int64_t numbers; /* ... and the numbers given to them */
} bank;

static newt_transact_options patient = {.size = sizeof patient, .attempts = 100000};

/* ---- those who move money ------------------------------------------------------------- */

typedef struct order {
    const bank *b;
    int64_t number, amount;
    int from, to;
} order;

static int
move_money(newt_conn *c, void *arg)
{
    order *o = arg;
    struct account *from = account_write(c, o->b->accounts[o->from]), *to;
    struct transfer *t;

    if (!from)
        return newt_status(c);
    to = account_write(c, o->b->accounts[o->to]);
    if (!to)
        return newt_status(c);
    t = transfer_new(c);
    if (!t)
        return newt_status(c);
    from->balance -= o->amount;
    from->transfers++;
    to->balance += o->amount;
    to->transfers++;
    t->number = o->number;
    t->amount = o->amount;
    t->from = account_id(from);
    t->to = account_id(to);
    return 0;
}

static void
note(int file, char what, int64_t number)
{
    char line[32];
    int n = snprintf(line, sizeof line, "%c%lld\n", what, (long long)number);

    if (write(file, line, (size_t)n) != n)
        child_fails("cannot note: %s", strerror(errno));
}

static void
move_for_ever(const bank *b, int64_t numbers, chance *random)
{
    newt_db *db = child_opens(b->s.schema, bank_classes);
    newt_conn *c = child_connects(db);
    char path[128];
    int file;

    snprintf(path, sizeof path, "%s/%lld", b->notes, (long long)numbers);
    file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0)
        child_fails("%s: %s", path, strerror(errno));
    for (int64_t i = 0; i < CLIENT_NUMBERS; i++) {
        order o = {.b = b, .number = numbers + i, .amount = 1 + pick(random, 100)};
        int most = pick(random, 3) ? ACCOUNTS : POPULAR, status;

        o.from = pick(random, most);
        do
            o.to = pick(random, most);
        while (o.to == o.from);
        note(file, '?', o.number);
        status = newt_transact(c, move_money, &o, &patient);
        if (status == NEWT_OK)
            note(file, '=', o.number);
        else if (newt_is_retryable(newt_conn_error(c)))
            note(file, '!', o.number);
        else /* no time-out, no crash of the server: everything can be known here */
            child_fails("transfer %lld: %s", (long long)o.number, error_text(newt_conn_error(c)));
    }
    child_fails("out of numbers");
}

/* ---- those who look ------------------------------------------------------------------- */

typedef struct sums {
    const bank *b;
    bool ask_server;
    int64_t done;
} sums;

static int
sum_up(newt_conn *c, void *arg)
{
    sums *x = arg;
    int64_t sum = 0, projected;
    json_t *rows;
    int status;

    if (newt_prefetch(c, &x->b->accounts[0].any, ACCOUNTS) != NEWT_OK)
        return newt_status(c);
    for (int i = 0; i < ACCOUNTS; i++) {
        const struct account *a = account_read(c, x->b->accounts[i]);

        if (!a)
            return newt_status(c);
        sum += a->balance;
        account_done(a);
    }
    if (sum != (int64_t)ACCOUNTS * START)
        child_fails("a snapshot at %lld whose accounts sum up to %lld", (long long)newt_tid(c),
                    (long long)sum);
    if (x->ask_server) {
        status = newt_query(c, &rows,
                            "SELECT sum((state->>'balance')::bigint)::bigint AS sum FROM newt "
                            "WHERE class_name = 'Account'",
                            0, NULL);
        if (status != NEWT_OK)
            return status;
        projected = json_integer_value(json_object_get(json_array_get(rows, 0), "sum"));
        json_decref(rows);
        if (projected != sum)
            child_fails("the projection sums up to %lld", (long long)projected);
    }
    x->done++;
    return 0;
}

static void
sum_for_ever(const bank *b, chance *random)
{
    newt_db *db = child_opens(b->s.schema, bank_classes);
    newt_conn *c = child_connects(db);
    sums x = {.b = b};

    for (;;) {
        x.ask_server = pick(random, 4) == 0;
        if (newt_transact(c, sum_up, &x, &patient) != NEWT_OK &&
            !newt_is_retryable(newt_conn_error(c)))
            child_fails("sum: %s", error_text(newt_conn_error(c)));
    }
}

/* ---- the killer ----------------------------------------------------------------------- */

static void
start_client(bank *b, int i)
{
    int life = b->lives++;
    int64_t numbers = (b->numbers += CLIENT_NUMBERS);
    pid_t pid = fork_child();

    if (pid == 0) {
        chance random = {b->seed ^ (uint64_t)(life + 1) << 32};

        if (i < MOVERS)
            move_for_ever(b, numbers, &random);
        else
            sum_for_ever(b, &random);
    }
    b->clients[i] = pid;
}

/* One that has failed has said why. */
static bool
all_alive(const bank *b)
{
    siginfo_t info;

    for (int i = 0; i < CLIENTS; i++) {
        info.si_pid = 0;
        if (waitid(P_PID, (id_t)b->clients[i], &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid != 0)
            return false;
    }
    return true;
}

static void
kill_client(const bank *b, int i)
{
    int status;

    kill(b->clients[i], SIGKILL);
    assert_int_equal(waitpid(b->clients[i], &status, 0), b->clients[i]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* and of nothing else */
}

static int64_t
transactions(const bank *b)
{
    return sql_int(b->s.pg, "SELECT count(*) FROM transaction");
}

static void
rule(bank *b, double seconds)
{
    chance random = {b->seed};
    double until = now() + seconds;
    int64_t first = transactions(b), last = first;
    int backends = 0, killed = 0;

    for (int i = 0; i < CLIENTS; i++)
        start_client(b, i);
    while (now() < until || last < first + 20 * MOVERS) {
        pause_ms(pick(&random, 150));
        /* not so often that nobody comes to anything */
        wait_until(transactions(b) > last + 2 || !all_alive(b));
        last = transactions(b);
        assert_true(all_alive(b));
        if (pick(&random, 3) == 0) {
            int i = pick(&random, CLIENTS);

            kill_client(b, i);
            start_client(b, i);
            killed++;
        } else {
            backends += (int)sql_int(
                b->s.pg,
                "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
                "WHERE application_name = 'newt' AND datname = current_database() "
                "ORDER BY md5(pid::text || '%d') LIMIT 1) k",
                pick(&random, 1 << 30));
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        kill_client(b, i);
    /* what these had sent already runs to its end */
    wait_until(sql_int(b->s.pg, "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                "'newt' AND datname = current_database()") == 0);
    print_message("# %d clients and %d server processes ended\n", killed, backends);
}

/* ---- the books ------------------------------------------------------------------------ */

static void
books_into_server(bank *b)
{
    PGresult *r;

    sql_do(b->s.pg, "CREATE TEMP TABLE note (what text, number bigint)");
    r = PQexec(b->s.pg, "COPY note FROM STDIN (DELIMITER ',')");
    assert_int_equal(PQresultStatus(r), PGRES_COPY_IN);
    PQclear(r);
    for (int64_t numbers = 0; numbers <= b->numbers; numbers += CLIENT_NUMBERS) {
        char path[128], line[64], copy[80];
        FILE *f;

        snprintf(path, sizeof path, "%s/%lld", b->notes, (long long)numbers);
        f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f)) {
            int n = snprintf(copy, sizeof copy, "%c,%s", *line, line + 1);

            assert_int_equal(PQputCopyData(b->s.pg, copy, n), 1);
        }
        if (f)
            fclose(f);
        unlink(path);
    }
    rmdir(b->notes);
    assert_int_equal(PQputCopyEnd(b->s.pg, NULL), 1);
    while ((r = PQgetResult(b->s.pg))) {
        assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
        PQclear(r);
    }
}

static void
check_books(bank *b)
{
    PGconn *pg = b->s.pg;

    books_into_server(b);
    sql_do(pg,
           "CREATE TEMP TABLE moved AS SELECT (state->>'number')::bigint AS number, "
           "(state->>'amount')::bigint AS amount, (state->'from'->>'::=>')::bigint AS sender, "
           "(state->'to'->>'::=>')::bigint AS receiver FROM newt WHERE class_name = 'Transfer'");
    print_message("# %d transfers, %d acknowledged, %d given up, of %d tried\n",
                  (int)sql_int(pg, "SELECT count(*) FROM moved"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = '='"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = '!'"),
                  (int)sql_int(pg, "SELECT count(*) FROM note WHERE what = '?'"));
    assert_true(sql_int(pg, "SELECT count(*) FROM note WHERE what = '='") > MOVERS);
    /* every acknowledged transfer is there, none twice, none that was not tried or was refused */
    assert_sql(pg, "0",
               "SELECT count(*) FROM note n LEFT JOIN moved m USING (number) "
               "WHERE n.what = '=' AND m.number IS NULL");
    assert_sql(pg, "0",
               "SELECT count(*) FROM (SELECT FROM moved GROUP BY number "
               "HAVING count(*) > 1) d");
    assert_sql(pg, "0",
               "SELECT count(*) FROM moved m LEFT JOIN note n "
               "ON n.number = m.number AND n.what = '?' WHERE n.number IS NULL");
    assert_sql(pg, "0",
               "SELECT count(*) FROM moved JOIN note USING (number) WHERE note.what = '!'");
    /* every account is what its transfers have made of it */
    assert_sql(pg, "0",
               "SELECT count(*) FROM newt a WHERE class_name = 'Account' AND "
               "((state->>'balance')::bigint, (state->>'transfers')::bigint) IS DISTINCT FROM "
               "(%d + (SELECT coalesce(sum(amount), 0) FROM moved WHERE receiver = a.zoid) "
               "- (SELECT coalesce(sum(amount), 0) FROM moved WHERE sender = a.zoid), "
               "(SELECT count(*) FROM moved WHERE a.zoid IN (sender, receiver)))",
               START);
    assert_sql(pg, "1000000",
               "SELECT sum((state->>'balance')::bigint) FROM newt "
               "WHERE class_name = 'Account'");
    assert_projection_follows(pg);
    assert_feed_is_whole(pg);
    /* a transfer's transaction has written it and its two accounts, and nothing else */
    assert_sql(pg, "0",
               "SELECT count(*) FROM newt p JOIN transaction t USING (serial) JOIN moved m "
               "ON m.number = (p.state->>'number')::bigint WHERE p.class_name = 'Transfer' "
               "AND NOT (t.written @> ARRAY[p.zoid, sender, receiver] "
               "AND cardinality(t.written) = 3)");
}

static void
test_bank(void **state)
{
    bank *b = calloc(1, sizeof *b);

    (void)state;
    b->seed = take_seed();
    use_database(true);
    store_make(&b->s, "bank");
    strcpy(b->notes, "/tmp/newt_bank_XXXXXX");
    assert_non_null(mkdtemp(b->notes));
    b->s.db = store_db(&b->s, bank_classes, (newt_options){0});
    b->s.a = connect_(b->s.db);
    begin(b->s.a);
    for (int i = 0; i < ACCOUNTS; i++) {
        struct account *a = account_new(b->s.a);

        assert_non_null(a);
        a->balance = START;
        b->accounts[i] = account_id(a);
    }
    commit(b->s.a);
    newt_close(b->s.a);
    newt_db_close(b->s.db);
    b->s.a = NULL;
    b->s.db = NULL;
    rule(b, duration(5, 60));
    check_books(b);
    store_close(&b->s);
    free(b);
}

static const struct CMUnitTest banks[] = {
    cmocka_unit_test(test_bank),
};

int
main(void)
{
    return run_all(banks);
}
