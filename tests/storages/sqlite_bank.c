/*
 * sqlite_bank.c - processes move money between accounts in one file while others sum them up, and
 * are killed at random moments
 *
 * Each transfer has a number, and leaves an object that has it. What was acknowledged is noted in a
 * file of each process, and at the end found in the store. Nobody waits for longer than the
 * time-out.
 */
#include "../concurrency/concurrency.h"

#include <fcntl.h>
#include <sys/mman.h>

enum {
    ACCOUNTS = 20,
    START = 1000,
    MOVERS = 4,
    CLIENTS = MOVERS + 1, /* and one who sums up */
    TIMEOUT_MS = 20000
};

static newt_transact_options patient = {.size = sizeof patient, .attempts = 1000000};

typedef struct bank {
    char path[128], uri[200];
    item_ref accounts[ACCOUNTS];
    uint64_t seed;
    pid_t clients[CLIENTS];
    int lives;
    volatile int64_t *progress; /* of each client, shared */
    volatile int64_t *longest_us;
} bank;

/* ---- the clients ----------------------------------------------------------------------------- */

typedef struct order {
    const bank *b;
    int64_t number;
    int from, to, amount;
} order;

static int
move(newt_conn *c, void *arg)
{
    const order *o = arg;
    struct item *from = item_write(c, o->b->accounts[o->from]), *to, *transfer;

    if (!from || !(to = item_write(c, o->b->accounts[o->to])) || !(transfer = item_new(c)))
        return newt_status(c);
    from->n -= o->amount;
    to->n += o->amount;
    transfer->n = o->number;
    newt_set(transfer, name, "transfer");
    return 0;
}

static int
sum_up(newt_conn *c, void *arg)
{
    const order *o = arg;
    int64_t sum = 0;

    for (int i = 0; i < ACCOUNTS; i++) {
        const struct item *x = item_read(c, o->b->accounts[i]);

        if (!x)
            return newt_status(c);
        sum += x->n;
    }
    if (sum != ACCOUNTS * START)
        child_fails("a snapshot with %lld in all", (long long)sum);
    return 0;
}

static void
work(const bank *b, int me, chance *random)
{
    char path[160];
    order o = {.b = b};
    newt_db *db;
    newt_conn *c;
    int notes;

    snprintf(path, sizeof path, "%s-notes-%d", b->path, me);
    notes = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (notes < 0 || newt_db_open(&db, b->uri, classes, NULL) != NEWT_OK ||
        newt_connect(db, &c) != NEWT_OK)
        child_fails("cannot begin: %s", error_text(newt_db_error(db)));
    for (;; b->progress[me]++) {
        double start = now();
        int64_t us;
        int status;

        o.number = (int64_t)getpid() << 32 | (b->progress[me] + 1);
        o.from = pick(random, ACCOUNTS);
        o.to = (o.from + 1 + pick(random, ACCOUNTS - 1)) % ACCOUNTS;
        o.amount = pick(random, 100);
        status = newt_transact(c, me < MOVERS ? move : sum_up, &o, &patient);
        if (status != NEWT_OK)
            child_fails("%s", error_text(newt_conn_error(c)));
        us = (int64_t)((now() - start) * 1e6);
        if (us > b->longest_us[me])
            b->longest_us[me] = us;
        if (me < MOVERS)
            dprintf(notes, "%lld\n", (long long)o.number);
    }
}

static void
start_one(bank *b, int me)
{
    pid_t pid = fork_child();

    if (pid == 0) {
        chance random = {b->seed ^ (uint64_t)++b->lives << 32};

        work(b, me, &random);
        _exit(0);
    }
    b->lives++;
    b->clients[me] = pid;
}

static void
kill_one(bank *b, int who)
{
    int status;

    kill(b->clients[who], SIGKILL);
    assert_int_equal(waitpid(b->clients[who], &status, 0), b->clients[who]);
    assert_true(WIFSIGNALED(status)); /* else it has ended by itself, and said why */
}

/* ---- the books ------------------------------------------------------------------------------- */

static void
open_books(bank *b)
{
    newt_error *e;
    newt_db *db;
    newt_conn *c;

    *b = (bank){.seed = take_seed()};
    snprintf(b->path, sizeof b->path, "%s/bank", files());
    snprintf(b->uri, sizeof b->uri, "sqlite:%s?synchronous=normal&timeout=%d", b->path, TIMEOUT_MS);
    b->progress = mmap(NULL, 2 * CLIENTS * sizeof *b->progress, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(b->progress != MAP_FAILED);
    b->longest_us = b->progress + CLIENTS;
    if (newt_store_create(b->uri, NULL, &e) != NEWT_OK)
        fail_error("newt_store_create", e);
    newt_error_free(e);
    assert_int_equal(newt_db_open(&db, b->uri, classes, NULL), NEWT_OK);
    c = connect_(db);
    begin(c);
    for (int i = 0; i < ACCOUNTS; i++)
        b->accounts[i] = item_id(new_item(c, "account", START));
    commit(c);
    newt_close(c);
    newt_db_close(db); /* before anybody is forked */
}

static int
compare_numbers(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The numbers of all transfers in the store, in order; none is there twice. */
static int64_t *
find_transfers(const bank *b, size_t *n)
{
    json_t *rows, *row;
    int64_t *numbers;
    newt_db *db;
    newt_conn *c;
    size_t i;

    assert_int_equal(newt_db_open(&db, b->uri, classes, NULL), NEWT_OK);
    c = connect_(db);
    begin(c);
    ok(c,
       newt_query(c, &rows, "SELECT state->>'n' AS n FROM newt WHERE state->>'name' = 'transfer'",
                  0, NULL));
    *n = json_array_size(rows);
    numbers = malloc((*n + 1) * sizeof *numbers);
    assert_non_null(numbers);
    json_array_foreach(rows, i, row) numbers[i] = json_integer_value(json_object_get(row, "n"));
    json_decref(rows);
    newt_close(c);
    newt_db_close(db);
    qsort(numbers, *n, sizeof *numbers, compare_numbers);
    for (i = 1; i < *n; i++)
        assert_true(numbers[i] != numbers[i - 1]);
    return numbers;
}

static void
check_books(const bank *b)
{
    size_t n, acknowledged = 0;
    int64_t longest_us = 0;
    int64_t *numbers = find_transfers(b, &n);
    char path[160], line[64];

    for (int i = 0; i < MOVERS; i++) {
        FILE *notes;

        snprintf(path, sizeof path, "%s-notes-%d", b->path, i);
        notes = fopen(path, "r");
        assert_non_null(notes);
        while (fgets(line, sizeof line, notes)) {
            int64_t number = strtoll(line, NULL, 10);

            if (!strchr(line, '\n')) /* killed in the middle of it */
                break;
            acknowledged++;
            if (!bsearch(&number, numbers, n, sizeof *numbers, compare_numbers))
                fail_msg("transfer %lld was acknowledged, and is not there", (long long)number);
        }
        fclose(notes);
    }
    free(numbers);
    assert_file(b->path, "20000",
                "SELECT sum(state->>'n') FROM newt WHERE state->>'name' = 'account'");
    assert_sound(b->path);
    for (int i = 0; i < CLIENTS; i++)
        longest_us = b->longest_us[i] > longest_us ? b->longest_us[i] : longest_us;
    print_message("# %d lives, %zu transfers, %zu of them acknowledged; the longest took %.2f s\n",
                  b->lives, n, acknowledged, (double)longest_us / 1e6);
    assert_true(longest_us < TIMEOUT_MS * INT64_C(1000));
    /* of each life one was perhaps done, and not noted */
    assert_true(acknowledged <= n && n - acknowledged <= (size_t)b->lives);
    assert_true(acknowledged > 0);
}

static void
test_killed(void **state)
{
    chance random;
    double until;
    bank b;

    (void)state;
    needs_storage("sqlite");
    open_books(&b);
    random.state = b.seed;
    for (int i = 0; i < CLIENTS; i++)
        start_one(&b, i);
    until = now() + duration(5, 120);
    do {
        int who = pick(&random, CLIENTS);

        pause_ms(pick(&random, 60));
        wait_until(b.progress[who] > 0);
        if (pick(&random, 8) == 0) { /* all at once: the next has to recover the file */
            for (int i = 0; i < CLIENTS; i++)
                kill_one(&b, i);
            for (int i = 0; i < CLIENTS; i++)
                start_one(&b, i);
        } else {
            kill_one(&b, who);
            start_one(&b, who);
        }
    } while (now() < until);
    for (int i = 0; i < CLIENTS; i++)
        kill_one(&b, i);
    check_books(&b);
    munmap((void *)(uintptr_t)b.progress, 2 * CLIENTS * sizeof *b.progress);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_killed),
};

int
main(void)
{
    return run_all(tests);
}
