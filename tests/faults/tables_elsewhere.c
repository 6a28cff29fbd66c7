/*
 * tables_elsewhere.c - typed tables as the server's others: decoded for a subscription, read on a
 * standby, empty after a crash if they were unlogged
 *
 * Needs dev/private-server's verbs, and a server that no other test uses meanwhile.
 */
#include "../bridge/server.h"

struct paper;
NEWT_DECLARE(paper);
struct paper {
    newt_text name, body;
    int64_t n;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(paper_ref) near;
    NEWT_MAP(int64_t) counts;
};
NEWT_CLASS(paper, "Paper", 1, NULL, NEWT_FIELD(struct paper, name), NEWT_FIELD(struct paper, body),
           NEWT_FIELD(struct paper, n), NEWT_LIST(struct paper, tags),
           NEWT_REFS(struct paper, near, paper), NEWT_MAPOF(struct paper, counts));

static const newt_class *const papers[] = {&paper_class, NULL};

enum {
    N = 300
};

static paper_ref refs[N];

static void
write_paper(struct paper *p, int64_t n)
{
    newt_object *o = paper_obj(p);
    char text[40];

    p->n = n;
    snprintf(text, sizeof text, "paper %lld", (long long)n);
    newt_set(p, name, text);
    (void)!newt_array_remove(o, &p->tags, sizeof *p->tags.items, 0, p->tags.n);
    (void)!newt_array_remove(o, &p->near, sizeof *p->near.items, 0, p->near.n);
    for (int64_t i = 0; i < n % 4; i++) {
        newt_append(p, tags, (newt_text){0});
        newt_text_set(o, &newt_items(p, tags)[i], text);
        newt_append(p, near, refs[i]);
    }
    *newt_put(p, counts, text) = n;
    if (n % 3 == 0)
        *newt_put(p, counts, "third") = n;
    else
        newt_drop(p, counts, "third");
}

static void
change(newt_conn *c, int i, int64_t n)
{
    struct paper *p = paper_write(c, refs[i]);

    if (!p)
        fail_error("paper_write", newt_conn_error(c));
    write_paper(p, n);
    paper_done(p);
}

/* Bodies of a length that is kept elsewhere, and that does not change later. */
static void
open_papers(store *s, const char *name)
{
    use_database(true);
    store_make(s, name);
    s->db = store_db(s, papers, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
    sql_do(s->pg, "CALL newt.create_table('%s', 'Paper')", s->schema);
    begin(s->a);
    for (int i = 0; i < N; i++) {
        struct paper *p = paper_new(s->a);
        size_t length = i % 10 == 0 ? 20000 : 10;
        char *body = malloc(length + 1);

        assert_non_null(p);
        refs[i] = paper_id(p);
        for (size_t k = 0; k < length; k++)
            body[k] = (char)('!' + (k * k * 7 + k * (size_t)i) % 90);
        body[length] = 0;
        newt_set(p, body, body);
        free(body);
        write_paper(p, i);
    }
    commit(s->a);
}

static void
assert_clean(PGconn *pg, const store *s)
{
    assert_sql(pg, "", "SELECT problem || ' ' || objects FROM newt.check_table('%s', 'Paper')",
               s->schema);
}

/* What the tables hold. */
static char *
sum_of(PGconn *pg)
{
    return sql_text(pg, "SELECT concat_ws(' ', (SELECT count(*) || md5(string_agg(p::text, ';' "
                        "ORDER BY id)) FROM paper p), (SELECT count(*) || md5(string_agg(p::text, "
                        "';' ORDER BY p)) FROM paper_near p), (SELECT count(*) || "
                        "md5(string_agg(p::text, ';' ORDER BY p)) FROM paper_counts p))");
}

static bool
are_equal(PGconn *a, PGconn *b)
{
    char *x = sum_of(a), *y = sum_of(b);
    bool equal = strcmp(x, y) == 0;

    free(x);
    free(y);
    return equal;
}

/* ---- logical replication ------------------------------------------------------------------- */

/* A database with the same tables, empty. */
static PGconn *
open_subscriber(const store *s)
{
    char address[400];
    char *tables;
    PGconn *pg;

    sql_do(s->pg, "CREATE DATABASE subscriber");
    snprintf(address, sizeof address, "postgresql:///subscriber?host=%s&port=%s&user=%s",
             getenv("PGHOST"), getenv("PGPORT"), getenv("PGUSER"));
    pg = PQconnectdb(address);
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    sql_do(pg, "CREATE SCHEMA %s", s->schema);
    sql_do(pg, "SET search_path = %s", s->schema);
    sql_do(pg, "SET default_transaction_read_only = off");
    tables = sql_text(
        s->pg, "SELECT string_agg(format('CREATE TABLE %%s (%%s, PRIMARY KEY (%%s))', t.relation, "
               "(SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, NULL)), ', ' "
               "ORDER BY attnum) FROM pg_attribute WHERE attrelid = t.relation AND attnum > 0), "
               "newt.table_key(t.columns)), ';') FROM newt_table t");
    sql_do(pg, "%s", tables);
    free(tables);
    return pg;
}

static void
test_decoded(void **state)
{
    PGconn *pg;
    store s;

    (void)state;
    pg = sql_open();
    sql_do(pg, "ALTER SYSTEM SET wal_level = logical");
    PQfinish(pg);
    server_do("restart");
    open_papers(&s, "decoded");
    pg = open_subscriber(&s);
    sql_do(s.pg, "CREATE PUBLICATION reports FOR TABLE paper, paper_near, paper_counts");
    sql_do(s.pg, "SELECT pg_create_logical_replication_slot('reports', 'pgoutput')");
    sql_do(pg,
           "CREATE SUBSCRIPTION reports CONNECTION '%s' PUBLICATION reports WITH (create_slot "
           "= false)",
           uri());
    wait_until(are_equal(s.pg, pg));
    for (int round = 0; round < 5; round++) {
        if (round == 3)
            sql_do(s.pg, "ALTER TABLE paper REPLICA IDENTITY FULL");
        begin(s.a);
        for (int i = round; i < N; i += 2)
            if (i % 10 == 9)
                change(s.a, i, 1000 * round + i);
            else if (i % 2)
                change(s.a, i, i);
            else
                change(s.a, i, 2000 * round + i);
        commit(s.a);
        begin(s.b);
        for (int i = round; i < 40 + 10 * round; i += 13) { /* anew, with the same body */
            ok(s.b, newt_delete(s.b, refs[N - 1 - i].any));
            struct paper *p = paper_new(s.b);

            assert_non_null(p);
            refs[N - 1 - i] = paper_id(p);
            write_paper(p, i);
        }
        commit(s.b);
        assert_clean(s.pg, &s);
        wait_until(are_equal(s.pg, pg));
    }
    /* as the server has it with its own UPDATE: what could not be applied is refused */
    sql_do(s.pg, "ALTER TABLE paper REPLICA IDENTITY NOTHING");
    begin(s.a);
    change(s.a, 100, 5);
    assert_int_not_equal(newt_commit(s.a), NEWT_OK);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.a)), "55000");
    assert_non_null(strstr(newt_error_message(newt_conn_error(s.a)), "replica identity"));
    newt_abort(s.a);
    sql_do(s.pg, "ALTER TABLE paper REPLICA IDENTITY DEFAULT");
    begin(s.a);
    change(s.a, 100, 6);
    commit(s.a);
    wait_until(are_equal(s.pg, pg));
    sql_do(pg, "DROP SUBSCRIPTION reports");
    PQfinish(pg);
    store_close(&s);
}

/* ---- another server ------------------------------------------------------------------------ */

static void
test_standby(void **state)
{
    char address[400];
    PGconn *pg;
    store s;

    (void)state;
    open_papers(&s, "standby_tables");
    server_do("standby");
    snprintf(address, sizeof address, "postgresql:///%s?host=%s&port=5433&user=%s", test_database,
             getenv("PGHOST"), getenv("PGUSER"));
    pg = PQconnectdb(address);
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    sql_do(pg, "SET search_path = %s, public", s.schema);
    for (int round = 0; round < 3; round++) {
        begin(s.a);
        for (int i = 0; i < N; i += 3)
            change(s.a, i, i + 100 * round);
        commit(s.a);
        wait_until(are_equal(s.pg, pg));
        assert_clean(pg, &s);
        assert_sql(pg, "3", "SELECT count(*) FROM newt.tables('%s') WHERE filled", s.schema);
    }
    PQfinish(pg);
    store_close(&s);
}

/* ---- a crash ------------------------------------------------------------------------------- */

static void
test_unlogged(void **state)
{
    store s;

    (void)state;
    open_papers(&s, "unlogged");
    sql_do(s.pg, "ALTER TABLE paper_near SET UNLOGGED");
    sql_do(s.pg, "ALTER TABLE paper_counts SET UNLOGGED");
    sql_do(s.pg, "ALTER TABLE paper SET UNLOGGED");
    begin(s.a);
    change(s.a, 1, 7);
    commit(s.a);
    assert_clean(s.pg, &s);
    PQfinish(s.pg);
    server_do("crash");
    server_do("start");
    s.pg = sql_open();
    sql_do(s.pg, "SET search_path = %s, public", s.schema);
    assert_sql(s.pg, "0", "SELECT count(*) FROM paper");
    wait_until(newt_begin(s.b) == NEWT_OK);
    change(s.b, 1, 8);
    commit(s.b);
    assert_sql(s.pg, "1", "SELECT count(*) FROM paper");
    sql_do(s.pg, "CALL newt.fill_table('%s', 'Paper')", s.schema);
    assert_clean(s.pg, &s);
    assert_sql(s.pg, "300", "SELECT count(*) FROM paper");
    store_close(&s);
}

static const struct CMUnitTest typed[] = {
    cmocka_unit_test(test_decoded),
    cmocka_unit_test(test_standby),
    cmocka_unit_test(test_unlogged),
};

int
main(void)
{
    return run_all(typed);
}
