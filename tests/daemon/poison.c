/*
 * poison.c - objects that the database refuses while writers and followers are at work, and a pipe
 * whose reader goes away: the rest flows, and what is mended clears itself
 *
 * tests/daemon/refusals has each way to refuse a row by itself. NEWT_SEED replays what is random.
 */
#define CROWD_WRITERS 3
#define CROWD_INLINE  0 /* an inline writer's commit would fail */
#define CROWD_OBJECTS 60
#include "followers.h"
#include "writers.h"

#include <jansson.h>

static uint64_t seed;

static int64_t
refused(PGconn *pg)
{
    return sql_number(pg,
                      "SELECT count(DISTINCT zoid) FROM newt_reject WHERE sqlstate IS NOT NULL");
}

/* Of the objects that have no row, those that are not refused; of those refused, the ones that have
 * a row or do not exist. */
static int64_t
wrong_refused(PGconn *pg)
{
    return sql_number(pg,
                      "SELECT count(*) FROM object_state o FULL JOIN (SELECT DISTINCT zoid FROM"
                      " newt_reject WHERE sqlstate IS NOT NULL) r USING (zoid) LEFT JOIN newt n"
                      " USING (zoid) WHERE o.zoid IS NULL OR (r.zoid IS NULL) = (n.zoid IS NULL)"
                      " OR n.serial <> o.serial");
}

/* Each of these refuses some of what the writers write. */
static const struct {
    const char *ddl, *end;
} poisons[] = {
    {"ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK (state->>'name' NOT LIKE '%kind 3')"
     " NOT VALID",
     "ALTER TABLE newt_projection DROP CONSTRAINT fine"},
    {"CREATE FUNCTION no_five() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.state->>''name''"
     " LIKE ''%kind 5'' THEN RAISE ''not this one''; END IF; RETURN new; END';"
     "CREATE TRIGGER no_five BEFORE INSERT OR UPDATE ON newt_projection FOR EACH ROW EXECUTE"
     " FUNCTION no_five()",
     "DROP TRIGGER no_five ON newt_projection"},
    /* made while there are no rows: those would be in its way */
    {"CREATE INDEX by_tail ON newt_projection ((1 / (right(state->>'name', 1) <> '4')::int))"
     " WHERE state->>'name' LIKE '%kind 4'",
     "DROP INDEX by_tail"},
};

/* Writers go on changing what is refused: it clears itself, and others take its place. At the end
 * each object has either its row or an entry; then the obstacles go, and so do the entries. */
static void
test_poisoned(void **state)
{
    (void)state;
    enum {
        N = sizeof poisons / sizeof *poisons
    };
    int rounds = getenv("NEWT_SOAK") ? 8 : 2;
    followers f;
    crowd all;
    generate g;
    generate_init(&g, seed);
    open_followers(&f, "poison");
    start_followers(&f);
    for (int i = 0; i < rounds; i++) {
        const int n = i == 0 ? N : N - 1;
        for (int k = 0; k < n; k++)
            sql_do(f.pg, "%s", poisons[k].ddl);
        if (i == 0)
            crowd_start(&all, f.conninfo, seed);
        wait_until(refused(f.pg) > 0 || !crowd_well(&all));
        crowd_wait(&all, 50);
        wait_for_position(&f);
        follower k = generate_below(&g, 2) ? ROWS : LINES;
        kill_follower(&f, k);
        start_follower(&f, k, NULL);
        crowd_wait(&all, 20);
        for (int j = 0; j < n; j++)
            sql_do(f.pg, "%s", poisons[j].end);
        sql_do(f.pg, "DROP FUNCTION no_five");
    }
    sql_do(f.pg, "%s", poisons[0].ddl);
    crowd_wait(&all, 50);
    crowd_stop(&all);
    wait_for_followers(&f);
    printf("# %ld transactions, %lld objects refused\n", atomic_load(&all.committed),
           (long long)refused(f.pg));
    assert_int_equal(wrong_refused(f.pg), 0);
    /* what is mended by a writer, object by object */
    newt_db *db = open_db(f.conninfo, NULL, true);
    newt_conn *c = open_conn(db);
    PGresult *r = sql_result(f.pg, "SELECT zoid FROM newt_reject WHERE sqlstate = '23514'");
    int n = PQntuples(r);
    for (int i = 0; i < n / 2; i++) {
        assert_newt(c, newt_begin(c));
        struct item *o = item_write(c, item_of((newt_ref){atoll(PQgetvalue(r, i, 0))}));
        assert_non_null(o);
        newt_set(o, name, "mended");
        assert_newt(c, newt_commit(c));
    }
    PQclear(r);
    wait_for_followers(&f);
    stop_followers(&f);
    assert_int_equal(sql_number(f.pg, "SELECT count(*) FROM newt_reject WHERE sqlstate = '23514'"),
                     n - n / 2);
    sql_do(f.pg, "%s", poisons[0].end);
    updater u;
    updater_start(&u, "--once", "--retry-rejects", f.conninfo, NULL);
    int status = updater_wait(&u);
    updater_forget(&u, status != 0);
    assert_int_equal(status, 0);
    assert_int_equal(refused(f.pg), 0);
    assert_int_equal(wrong_refused(f.pg), 0);
    assert_followed(&f, true);
    newt_close(c);
    newt_db_close(db);
    close_followers(&f);
}

/* ---- a pipe whose reader goes away ------------------------------------------------------- */

/* Takes so many bytes out of the FIFO, or all up to its end, and adds them to the copy. */
static void
take_bytes(const char *fifo, int copy, int64_t n)
{
    char text[4096];
    int fd = open(fifo, O_RDONLY);
    assert_true(fd >= 0);
    for (ssize_t got = 1; n > 0 && got > 0; n -= got) {
        got = read(fd, text, n < (int64_t)sizeof text ? (size_t)n : sizeof text);
        if (got > 0)
            assert_int_equal(write(copy, text, (size_t)got), got);
    }
    close(fd);
}

typedef struct reader {
    pthread_t thread;
    const char *fifo;
    int copy;
} reader;

static void *
take_all(void *arg)
{
    reader *r = arg;
    take_bytes(r->fifo, r->copy, INT64_MAX);
    return NULL;
}

/* Passes over empty lines, and those that were cut. How many were. A line that was glued to one is
 * lost by this, and missed. */
static int64_t
keep_whole(const char *from, const char *to)
{
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    char *line = NULL;
    size_t cap = 0;
    int64_t cut = 0;
    assert_true(in && out);
    for (ssize_t n; (n = getline(&line, &cap, in)) > 0;) {
        json_t *json = json_loadb(line, (size_t)n, 0, NULL);
        if (json)
            assert_int_equal(fwrite(line, 1, (size_t)n, out), n);
        cut += !json && n > 1;
        json_decref(json);
    }
    free(line);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    return cut;
}

/* The reader ends at any byte, again and again: nothing is missed, and the other followers do not
 * wait. */
static void
test_pipe_closes(void **state)
{
    (void)state;
    int rounds = getenv("NEWT_SOAK") ? 200 : 12;
    char copy[96], whole[96];
    reader last;
    followers f;
    crowd all;
    generate g;
    generate_init(&g, seed);
    open_followers(&f, "poison_pipe");
    assert_int_equal(mkfifo(f.output, 0600), 0);
    snprintf(copy, sizeof copy, "%s.copy", f.output);
    last.fifo = f.output;
    last.copy = open(copy, O_CREAT | O_WRONLY | O_APPEND, 0600);
    start_followers(&f);
    crowd_start(&all, f.conninfo, seed);
    for (int i = 0; i < rounds; i++) {
        take_bytes(f.output, last.copy, 1 + (int64_t)generate_spread(&g) % 20000);
        if (generate_below(&g, 2))
            crowd_wait(&all, 5);
        expect_alive(&f);
    }
    crowd_stop(&all);
    int64_t newest = sql_number(f.pg, "SELECT max(tid) FROM transaction");
    wait_until(stands_at(f.pg, ROWS, newest) && stands_at(f.pg, OWN, newest));
    assert_int_equal(pthread_create(&last.thread, NULL, take_all, &last), 0);
    wait_for_followers(&f);
    stop_followers(&f);
    pthread_join(last.thread, NULL); /* it ends with the writer */
    close(last.copy);
    snprintf(whole, sizeof whole, "%s.whole", f.output);
    int64_t cut = keep_whole(copy, whole);
    load_lines(f.pg, whole, true);
    unlink(copy);
    unlink(whole);
    int64_t openings = sql_number(f.pg, "SELECT count(*) FROM lines WHERE line->>'type' = 'file'");
    printf("# %lld openings, %lld lines cut\n", (long long)openings, (long long)cut);
    assert_true(cut <= rounds);
    assert_int_equal(wrong_states(f.pg), 0);
    assert_int_equal(missed_events(f.pg), 0);
    assert_exact(f.pg, "public");
    assert_int_equal(wrong_own(f.pg, true), 0);
    close_followers(&f);
}

int
main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poisoned),
        cmocka_unit_test(test_pipe_closes),
    };
    follower_main(argc, argv);
    seed = generate_seed();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("poison", tests, NULL, NULL);
}
