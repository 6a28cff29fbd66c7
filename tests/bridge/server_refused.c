/*
 * server_refused.c - rows that indexes, constraints and triggers of the DBA's refuse: the error
 * says which object it was and what refused it, and nothing is written
 */
#include "../brief.h"
#include "server.h"

typedef struct how {
    newt_options o;
    bool extension;
} how;

static how client = {.o = {.projector = NEWT_PROJECT_CLIENT}, .extension = true},
           server = {.extension = true}, without = {.extension = false},
           pooled = {.o = {.transaction_pooling = true}, .extension = true},
           spilling = {.o = {.cache_bytes = 65536}, .extension = true};

static void
open_as(void **state, store *s)
{
    const how *h = *state;

    use_database(h->extension);
    store_open_as(s, "refused", h->o);
}

/* What refuses a name, and the name that it refuses. */
typedef struct obstacle {
    const char *name, *ddl, *sqlstate, *constraint, *message; /* NULL: not looked at */
    const char *bad;                                          /* "long": of many bytes */
    int status;
} obstacle;

static const obstacle obstacles[] = {
    {"a unique index", "CREATE UNIQUE INDEX one_name ON newt_projection ((state->>'name'))",
     "23505", "one_name", "duplicate key value violates unique constraint \"one_name\"", "taken",
     NEWT_EUNIQUE},
    {"an exclusion constraint",
     "ALTER TABLE newt_projection ADD CONSTRAINT apart EXCLUDE ((state->>'name') WITH =)", "23P01",
     "apart", "conflicting key value violates exclusion constraint \"apart\"", "taken",
     NEWT_EUNIQUE},
    {"a check constraint",
     "ALTER TABLE newt_projection ADD CONSTRAINT fine CHECK (state->>'name' IS DISTINCT FROM "
     "'bad')",
     "23514", "fine", "new row for relation \"newt_projection\" violates check constraint \"fine\"",
     "bad", NEWT_ESQL},
    {"an index row that is too large", "CREATE INDEX by_name ON newt_projection ((state->>'name'))",
     "54000", NULL, "index row", "long", NEWT_ESQL},
    {"a cast in an index",
     "CREATE INDEX by_number ON newt_projection (((nullif(state->>'name', 'taken'))::integer)) "
     "WHERE state->>'name' !~ '^(good|taken)'",
     "22P02", "", "invalid input syntax for type integer: \"bad\"", "bad", NEWT_ESQL},
    {"a trigger",
     "CREATE FUNCTION no_bad() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF "
     "new.state->>''name'' = ''bad'' THEN RAISE ''not this one'' USING ERRCODE = ''AP001''; END "
     "IF; RETURN new; END'; CREATE TRIGGER no_bad BEFORE INSERT OR UPDATE ON newt_projection FOR "
     "EACH ROW EXECUTE FUNCTION no_bad()",
     "AP001", "", "not this one", "bad", NEWT_ESQL},
};

static const char *
bad_name(const obstacle *x)
{
    static char text[200001];

    if (strcmp(x->bad, "long") != 0)
        return x->bad;
    for (size_t i = 0; i < sizeof text - 1; i++) /* nothing that compresses well */
        text[i] = (char)('a' + (i * i * 7 + i / 3 + (i * i * i) / 11) % 26);
    return text;
}

static void
assert_refused(newt_conn *c, const obstacle *x, int64_t oid)
{
    const newt_error *e = newt_conn_error(c);
    char name[64];

    assert_int_equal(newt_error_status(e), x->status);
    assert_string_equal(newt_error_sqlstate(e), x->sqlstate);
    assert_int_equal(newt_error_oid(e), oid);
    assert_string_equal(newt_error_class(e), "Item");
    if (x->constraint)
        assert_string_equal(newt_error_constraint(e), x->constraint);
    snprintf(name, sizeof name, "Item %lld: ", (long long)oid);
    if (strncmp(newt_error_message(e), name, strlen(name)) != 0 ||
        !strstr(newt_error_message(e), x->message))
        fail_msg("%s", newt_error_message(e));
    assert_false(newt_is_retryable(e));
}

static void
rename_item(newt_conn *c, item_ref r, const char *name)
{
    struct item *i = item_write(c, r);

    if (!i)
        fail_error("item_write", newt_conn_error(c));
    newt_set(i, name, name);
    item_done(i);
}

/* Of n objects, the one in the middle is refused: new ones, then changed ones. The next transaction
 * finds all as it was, and works. */
static void
refuse(store *s, const obstacle *x, int n)
{
    item_ref *r = calloc((size_t)n, sizeof *r);
    char name[40];
    int bad = n / 2;

    begin(s->a);
    for (int i = 0; i < n; i++) {
        struct item *o;

        snprintf(name, sizeof name, "good %d", i);
        o = new_item(s->a, i == bad ? bad_name(x) : name, i);
        r[i] = item_id(o);
        item_done(o);
    }
    assert_int_equal(newt_commit(s->a), x->status);
    assert_refused(s->a, x, r[bad].any.oid);
    assert_sql(s->pg, "1", "SELECT count(*) FROM newt WHERE class_name = 'Item'");
    assert_sql(s->pg, "2", "SELECT count(*) FROM object_state");

    begin(s->a);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "good %d", i);
        r[i] = item_id(new_item(s->a, name, i));
    }
    commit(s->a);
    begin(s->a);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "good %d", n + i);
        rename_item(s->a, r[i], i == bad ? bad_name(x) : name);
    }
    assert_int_equal(newt_commit(s->a), x->status);
    assert_refused(s->a, x, r[bad].any.oid);
    begin(s->a);
    rename_item(s->a, r[bad], "good after all");
    commit(s->a);
    assert_sql(s->pg, "good after all", "SELECT state->>'name' FROM newt WHERE zoid = %lld",
               (long long)r[bad].any.oid);
    assert_int_equal(
        sql_int(s->pg, "SELECT count(*) FROM newt WHERE state->>'name' LIKE 'good %%'"), n);
    begin(s->a);
    for (int i = 0; i < n; i++)
        ok(s->a, newt_delete(s->a, r[i].any));
    commit(s->a);
    free(r);
}

static void
test_refused(void **state)
{
    for (size_t i = 0; i < sizeof obstacles / sizeof *obstacles; i++) {
        store s;

        print_message("# %s\n", obstacles[i].name);
        open_as(state, &s);
        make_item(s.a, "taken", 0);
        sql_do(s.pg, "%s", obstacles[i].ddl);
        refuse(&s, &obstacles[i], 1);
        refuse(&s, &obstacles[i], 2);
        refuse(&s, &obstacles[i], 101);
        store_close(&s);
    }
}

/* In the middle of a batch, and after several. */
static void
test_many(void **state)
{
    store s;

    open_as(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    refuse(&s, &obstacles[0], 3000);
    if (!brief() || *state == &server)
        refuse(&s, &obstacles[0], 10100);
    store_close(&s);
}

/* The last batch has one object, which is fine: it is not blamed for another's. */
static void
test_last_batch(void **state)
{
    enum {
        N = 10001
    };
    char name[40];
    item_ref r = {{0}};
    store s;

    if (brief() && *state != &server)
        skip();
    open_as(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    begin(s.a);
    for (int i = 0; i < N; i++) {
        struct item *o;

        snprintf(name, sizeof name, "%d", i);
        o = new_item(s.a, i == 5000 ? "taken" : name, i);
        if (i == 5000)
            r = item_id(o);
        item_done(o);
    }
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_refused(s.a, &obstacles[0], r.any.oid);
    store_close(&s);
}

/* Two objects of one transaction that want the same value; the one that comes second is named. */
static void
test_among_themselves(void **state)
{
    item_ref r[2];
    store s;

    open_as(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    begin(s.a);
    for (int i = 0; i < 2; i++)
        r[i] = item_id(new_item(s.a, "same", i));
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r[1].any.oid);
    store_close(&s);
}

/* What one object gives up another may take in the same transaction: if it is removed, or comes
 * before the other in the order of oids. */
static void
test_handed_over(void **state)
{
    item_ref first, second;
    store s;

    open_as(state, &s);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    first = make_item(s.a, "a", 1);
    second = make_item(s.a, "b", 1);
    begin(s.a);
    rename_item(s.a, first, "c");
    rename_item(s.a, second, "a");
    commit(s.a);
    begin(s.a);
    rename_item(s.a, second, "d");
    rename_item(s.a, first, "a");
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), first.any.oid);
    begin(s.a);
    ok(s.a, newt_delete(s.a, second.any));
    item_done(new_item(s.a, "a", 2));
    commit(s.a);
    assert_sql(s.pg, "a c",
               "SELECT string_agg(state->>'name', ' ' ORDER BY state->>'name') "
               "FROM newt WHERE class_name = 'Item'");
    store_close(&s);
}

/* Deferred constraints are checked by COMMIT, which names the object if it was alone. */
static void
test_deferred(void **state)
{
    item_ref r[2];
    store s;

    open_as(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "ALTER TABLE newt_projection ADD CONSTRAINT apart EXCLUDE ((state->>'name') WITH "
                 "=) DEFERRABLE INITIALLY DEFERRED");
    begin(s.a);
    for (int i = 0; i < 2; i++)
        r[i] = item_id(new_item(s.a, i ? "two" : "one", i));
    commit(s.a);
    begin(s.a); /* a swap works */
    rename_item(s.a, r[0], "two");
    rename_item(s.a, r[1], "one");
    commit(s.a);
    begin(s.a);
    rename_item(s.a, r[0], "taken");
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r[0].any.oid);
    begin(s.a);
    rename_item(s.a, r[0], "taken");
    rename_item(s.a, r[1], "three");
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), 0);
    assert_string_equal(newt_error_constraint(newt_conn_error(s.a)), "apart");
    store_close(&s);
}

/* The other way to write, and another class of error: what is not about a row names none, and is
 * not searched for. */
static void
test_not_of_a_row(void **state)
{
    newt_stats before;
    store s;

    open_as(state, &s);
    sql_do(s.pg, "CREATE FUNCTION broken(jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT "
                 "$1->>''name'''");
    sql_do(s.pg,
           "CREATE FUNCTION outer_one(jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS "
           "'BEGIN RETURN %s.broken($1); END'",
           s.schema); /* since PostgreSQL 17 an index is made with no search_path */
    sql_do(s.pg, "CREATE INDEX by_function ON newt_projection (outer_one(state))");
    sql_do(s.pg, "DROP FUNCTION broken");
    begin(s.a);
    for (int i = 0; i < 2; i++)
        item_done(new_item(s.a, "x", i));
    before = stats_of(s.a);
    assert_int_equal(newt_commit(s.a), NEWT_ESQL);
    assert_string_equal(newt_error_sqlstate(newt_conn_error(s.a)), "42883");
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), 0);
    assert_true(stats_of(s.a).round_trips - before.round_trips <= 2);
    store_close(&s);
}

/* A changed object takes the value of a removed one, and another is refused. The library tries the
 * objects in the order in which the commit wrote their rows, so that it does not blame the first.
 */
static void
test_not_the_first(void **state)
{
    item_ref r[3];
    store s;

    open_as(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    begin(s.a);
    for (int i = 0; i < 3; i++)
        r[i] = item_id(new_item(s.a, i == 2 ? "gone" : i ? "two" : "one", i));
    commit(s.a);
    begin(s.a);
    rename_item(s.a, r[0], "gone");
    rename_item(s.a, r[1], "taken");
    ok(s.a, newt_delete(s.a, r[2].any));
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r[1].any.oid);
    store_close(&s);
}

/* A class whose rows the client makes, among others whose rows the server makes. */
static int shape_fails_after; /* calls; 0: never */

static int
shape(const void *object, json_t *json, void *arg)
{
    (void)object;
    (void)arg;
    json_object_set_new(json, "shaped", json_true());
    if (shape_fails_after > 0 && --shape_fails_after == 0)
        return 7;
    return 0;
}

static const newt_hooks shaping = {.size = sizeof shaping, .to_json = shape};

struct shaped;
NEWT_DECLARE(shaped);
struct shaped {
    newt_text name;
};
NEWT_CLASS(shaped, "Shaped", 1, &shaping, NEWT_FIELD(struct shaped, name));

static void
open_with_shaped(void **state, store *s)
{
    static const newt_class *const both[] = {&item_class, &shaped_class, NULL};

    shape_fails_after = 0;
    open_as(state, s);
    newt_close(s->b);
    newt_close(s->a);
    newt_db_close(s->db);
    s->db = store_db(s, both, ((how *)*state)->o);
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

static shaped_ref
new_shaped(newt_conn *c, const char *name)
{
    struct shaped *x = shaped_new(c);

    if (!x)
        fail_error("shaped_new", newt_conn_error(c));
    newt_set(x, name, name);
    return shaped_id(x);
}

static void
test_mixed(void **state)
{
    shaped_ref x;
    item_ref r[2];
    store s;

    open_with_shaped(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    begin(s.a);
    r[0] = item_id(new_item(s.a, "one", 0));
    x = new_shaped(s.a, "taken");
    r[1] = item_id(new_item(s.a, "two", 1));
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), x.any.oid);
    assert_string_equal(newt_error_class(newt_conn_error(s.a)), "Shaped");

    /* rows that the client makes come after those of the server's, whatever their oids; where it
     * makes all of them, in the order of the oids */
    begin(s.a);
    x = new_shaped(s.a, "free");
    r[0] = item_id(new_item(s.a, "one", 0));
    r[1] = item_id(new_item(s.a, "two", 0));
    commit(s.a);
    begin(s.a);
    newt_set(shaped_write(s.a, x), name, "one");
    rename_item(s.a, r[0], "other");
    rename_item(s.a, r[1], "taken");
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)),
                     *state == &server ? r[1].any.oid : x.any.oid);
    store_close(&s);
}

/* A to_json that does not do the second time what it did the first: the error stays. */
static void
test_fickle_hook(void **state)
{
    enum {
        N = 10
    };
    store s;

    open_with_shaped(state, &s);
    make_item(s.a, "taken", 0);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    for (int after = N + 1; after <= 3 * N; after++) {
        begin(s.a);
        for (int i = 0; i < N; i++) {
            char name[20];

            snprintf(name, sizeof name, "%d", i);
            new_shaped(s.a, i == N - 1 ? "taken" : name);
        }
        shape_fails_after = after;
        assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
        assert_string_equal(newt_error_constraint(newt_conn_error(s.a)), "one_name");
        assert_int_equal(newt_error_oid(newt_conn_error(s.a)), 0);
    }
    shape_fails_after = 0;
    make_item(s.a, "one more", 0);
    store_close(&s);
}

/* What fails otherwise, or not at all, when the objects are tried once more: the error is the first
 * one, without an object. The trigger counts in a sequence, which nothing rolls back. */
static void
test_not_again(void **state)
{
    static const char *const second[] = {
        "NULL",                                          /* not refused any more */
        "RAISE ''late'' USING ERRCODE = ''57014''",      /* statement_timeout */
        "RAISE ''late'' USING ERRCODE = ''40001''",      /* a conflict */
        "RAISE ''late'' USING ERRCODE = ''40P01''",      /* a deadlock */
        "RAISE ''late'' USING ERRCODE = ''42704''",      /* something was dropped */
        "RAISE ''late'' USING ERRCODE = ''23505''",      /* another refusal */
        "PERFORM pg_terminate_backend(pg_backend_pid())" /* the server is gone */
    };
    /* the second is in the batch; the third in the objects one by one */
    for (size_t i = 0; i < 2 * sizeof second / sizeof *second; i++) {
        int when = i % 2 ? 2 : 3;
        const newt_error *e;
        store s;

        print_message("# %s, attempt %d\n", second[i / 2], when);
        open_as(state, &s);
        sql_do(s.pg, "CREATE SEQUENCE attempts");
        sql_do(s.pg,
               "CREATE FUNCTION no_bad() RETURNS trigger LANGUAGE plpgsql SET search_path = %s "
               "AS 'BEGIN IF new.state->>''name'' <> ''bad'' THEN RETURN new; END IF; "
               "IF nextval(''attempts'') >= %d THEN %s; ELSE RAISE ''not this one'' USING ERRCODE "
               "= ''AP001'', HINT = ''Another.''; END IF; RETURN new; END'",
               s.schema, when, second[i / 2]);
        sql_do(s.pg, "CREATE TRIGGER no_bad BEFORE INSERT OR UPDATE ON newt_projection "
                     "FOR EACH ROW EXECUTE FUNCTION no_bad()");
        begin(s.a);
        for (int k = 0; k < 3; k++)
            item_done(new_item(s.a, k == 1 ? "bad" : "good", k));
        assert_int_equal(newt_commit(s.a), NEWT_ESQL);
        e = newt_conn_error(s.a);
        assert_string_equal(newt_error_message(e), "not this one");
        assert_string_equal(newt_error_hint(e), "Another.");
        assert_string_equal(newt_error_sqlstate(e), "AP001");
        assert_int_equal(newt_error_oid(e), 0);
        assert_string_equal(newt_error_class(e), "");
        assert_sql(s.pg, "1", "SELECT count(*) FROM object_state");
        make_item(s.a, "next", 0);
        store_close(&s);
    }
}

/* A constraint of somebody's table that is called like one of a store's own: what a trigger on the
 * projection writes there may be refused as well. */
static void
test_namesake(void **state)
{
    item_ref r[2];
    store s;

    open_as(state, &s);
    sql_do(s.pg, "CREATE SCHEMA billing_%s", s.schema);
    sql_do(s.pg, "CREATE TABLE billing_%s.transaction (name text PRIMARY KEY)", s.schema);
    sql_do(s.pg,
           "CREATE FUNCTION bill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO "
           "billing_%s.transaction VALUES (new.state->>''name''); RETURN new; END'",
           s.schema);
    sql_do(s.pg, "CREATE TRIGGER bill BEFORE INSERT ON newt_projection "
                 "FOR EACH ROW EXECUTE FUNCTION bill()");
    make_item(s.a, "taken", 0);
    begin(s.a);
    for (int i = 0; i < 2; i++)
        r[i] = item_id(new_item(s.a, i ? "taken" : "good", i));
    assert_int_equal(newt_commit(s.a), NEWT_EUNIQUE);
    assert_int_equal(newt_error_oid(newt_conn_error(s.a)), r[1].any.oid);
    assert_string_equal(newt_error_constraint(newt_conn_error(s.a)), "transaction_pkey");
    store_close(&s);
}

/* In an asynchronous store the commit succeeds: the projection is not there yet. */
static void
test_async(void **state)
{
    item_ref r;
    store s;

    open_as(state, &s);
    sql_do(s.pg, "UPDATE newt_store SET projection = 'async'");
    newt_close(s.a);
    newt_close(s.b);
    newt_db_close(s.db);
    s.db = store_db(&s, classes, ((how *)*state)->o);
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    sql_do(s.pg, "%s", obstacles[0].ddl);
    make_item(s.a, "taken", 0);
    r = make_item(s.a, "taken", 1);
    assert_true(r.any.oid != 0);
    store_close(&s);
}

#define EACH(test)                                                                                 \
    {#test " (client)", test, NULL, NULL, &client},                                                \
        {#test " (server)", test, NULL, NULL, &server},                                            \
    {                                                                                              \
#        test " (without the extension)", test, NULL, NULL, &without                               \
    }

static const struct CMUnitTest refused[] = {
    EACH(test_refused),
    {"test_refused (through a pooler)", test_refused, NULL, NULL, &pooled},
    {"test_many (through a pooler)", test_many, NULL, NULL, &pooled},
    {"test_many (more than the cache holds)", test_many, NULL, NULL, &spilling},
    {"test_many (server)", test_many, NULL, NULL, &server},
    {"test_many (without the extension)", test_many, NULL, NULL, &without},
    EACH(test_last_batch),
    EACH(test_among_themselves),
    EACH(test_handed_over),
    EACH(test_deferred),
    EACH(test_not_of_a_row),
    /* not in the server: there, one statement writes records and rows, before the removal */
    {"test_not_the_first (client)", test_not_the_first, NULL, NULL, &client},
    {"test_not_the_first (without the extension)", test_not_the_first, NULL, NULL, &without},
    EACH(test_mixed),
    EACH(test_fickle_hook),
    EACH(test_not_again),
    {"test_not_again (through a pooler)", test_not_again, NULL, NULL, &pooled},
    EACH(test_namesake),
    EACH(test_async),
};

int
main(void)
{
    return run_all(refused);
}
