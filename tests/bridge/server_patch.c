/*
 * server_patch.c - newt.patch, newt.insert and newt.remove beside programs: the same records to the
 * byte, and no change of either side is lost
 */
#include "everything.h"
#include "projectors.h"
#include "../../bridge/newtdb_index.h"
#include "../brief.h"

#include <pthread.h>

/* ---- stores ------------------------------------------------------------------------------------
 */

struct early;
NEWT_DECLARE(early);
/* A class that has a default of every kind, and a struct whose fields have some. */
struct inner {
    newt_text name;
    int16_t level;
    newt_date day;
};
struct early {
    bool yes;
    int8_t small;
    uint64_t large;
    float single;
    double real;
    newt_text text;
    newt_bytes bytes;
    newt_time time;
    newt_duration duration;
    newt_date date;
    newt_uuid uuid;
    newt_decimal decimal;
    enum color color;
    struct inner inner;
    NEWT_ARRAY(newt_text) none;
    int32_t zero;
    newt_text null;
};
NEWT_DECLARE(inner);
/* clang-format off */
NEWT_CLASS(inner, "Inner", 0, NULL, NEWT_FIELD(struct inner, name, NEWT_INIT_TEXT("inside")),
           NEWT_FIELD(struct inner, level, NEWT_INIT(int16_t, -7)),
           NEWT_FIELD(struct inner, day));
#define E struct early
NEWT_CLASS(early, "Early", 4, NULL, NEWT_FIELD(E, yes, NEWT_INIT(bool, true)),
           NEWT_FIELD(E, small, NEWT_INIT(int8_t, -3)),
           NEWT_FIELD(E, large, NEWT_INIT(uint64_t, UINT64_MAX)),
           NEWT_FIELD(E, single, NEWT_INIT(float, 0.1f)),
           NEWT_FIELD(E, real, NEWT_INIT(double, 0.1)),
           NEWT_FIELD(E, text, NEWT_INIT_TEXT("t\0u")),
           NEWT_FIELD(E, bytes, NEWT_INIT(newt_bytes, (const uint8_t *)"\1\2\3", 3, 0)),
           NEWT_FIELD(E, time, NEWT_INIT(newt_time, 1)),
           NEWT_FIELD(E, duration, NEWT_INIT(newt_duration, 1500000)),
           NEWT_FIELD(E, date, NEWT_INIT(newt_date, -719163)),
           NEWT_FIELD(E, uuid, NEWT_INIT(newt_uuid, {1})),
           NEWT_FIELD(E, decimal, NEWT_INIT(newt_decimal, {"1.50", 4, 0})),
           NEWT_ENUM(E, color, color_names, NEWT_INIT(enum color, BLUE)),
           NEWT_STRUCT(E, inner, inner), NEWT_LIST(E, none), NEWT_FIELD(E, zero),
           NEWT_FIELD(E, null));
#undef E
/* clang-format on */
struct secret {
    int64_t n;
};
NEWT_DECLARE(secret);
NEWT_CLASS_AS(secret, "Secret", 1, NULL, NEWT_C_SKIP, NEWT_FIELD(struct secret, n));

static const newt_class *const all_classes[] = {
    &everything_class, &thing_class, &item_class, &early_class, &later_class, &secret_class, NULL};

static void
open_store(store *s, const char *name)
{
    use_database(true);
    store_make(s, name);
    s->db = store_db(s, all_classes, (newt_options){0});
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

/* The SQLSTATE of a statement; "00000": it succeeded. */
static const char *sqlstate_of(PGconn *pg, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *
sqlstate_of(PGconn *pg, const char *format, ...)
{
    static _Thread_local char state[6];
    char sql[2000];
    PGresult *r;
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(sql, sizeof sql, format, args) < (int)sizeof sql);
    va_end(args);
    r = PQexec(pg, sql);
    strcpy(state, PQresultStatus(r) == PGRES_FATAL_ERROR ? PQresultErrorField(r, PG_DIAG_SQLSTATE)
                                                         : "00000");
    PQclear(r);
    return state;
}

#define assert_sqlstate(pg, state, ...)                                                            \
    do {                                                                                           \
        const char *got_ = sqlstate_of(pg, __VA_ARGS__);                                           \
        if (strcmp(got_, state) != 0)                                                              \
            fail_msg("%s, not %s: %s", got_, state, PQerrorMessage(pg));                           \
    } while (0)

/* ---- records -----------------------------------------------------------------------------------
 */

static everything_ref
make_everything(newt_conn *c, generate *g, bool tame)
{
    struct everything *e;
    everything_ref r;
    json_t *json;

    begin(c);
    e = everything_new(c);
    assert_non_null(e);
    everything_fill(g, e);
    /* values of classes cannot be given, since their version is not shown; what is hidden is not */
    json = json_pack("{s:[i,f,s,n,b],s:{s:I},s:s}", "list", 1, 2.5, "x", 1, "ref", "::=>",
                     (json_int_t)77, ":::x", "y");
    ok(c, newt_json_set(everything_obj(e), &e->json, generate_below(g, 2) ? json : NULL));
    json_decref(json);
    e->jsons.n = 0;
    if (tame) {
        newt_text_set(everything_obj(e), &e->hidden, NULL);
        newt_decimal_set(everything_obj(e), &e->decimal, "-1.50");
        e->decimals.n = 0;
    }
    r = everything_id(e);
    everything_done(e);
    commit(c);
    return r;
}

/* The library, asked to write an object that it has not changed, finds that its record is the one
 * that it would write. */
static void
assert_canonical(store *s, int64_t zoid)
{
    int64_t serial = sql_int(s->pg, "SELECT serial FROM object_state WHERE zoid = %lld",
                             (long long)zoid);
    struct everything *e;

    begin(s->b);
    e = everything_write(s->b, everything_of((newt_ref){zoid}));
    if (!e)
        fail_error("everything_write", newt_conn_error(s->b));
    everything_done(e);
    commit(s->b);
    assert_int_equal(serial, sql_int(s->pg, "SELECT serial FROM object_state WHERE zoid = %lld",
                                     (long long)zoid));
}

#define INSERT_COPY                                                                                \
    "SELECT newt.insert('%s', 'Everything', newt.to_jsonb(state)) FROM object_state WHERE zoid = " \
    "%lld"

/* What the library has written, given back as its JSON, is the same record, unless the JSON does
 * not show all of it; and from then on it is the same in any case. */
static void
test_round_trips(void **state)
{
    int n = brief() ? 30 : getenv("NEWT_SOAK") ? 3000 : 100, equal = 0;
    uint64_t seed = generate_seed();
    generate g;
    store s;

    (void)state;
    generate_init(&g, seed);
    open_store(&s, "round_trips");
    for (int i = 0; i < n; i++) {
        bool tame = i % 2 == 0;
        long long from = make_everything(s.a, &g, tame).any.oid, to, again;

        to = sql_int(s.pg, INSERT_COPY, s.schema, from);
        assert_sql(s.pg, "t",
                   "SELECT newt.to_jsonb(a.state)::text = newt.to_jsonb(b.state)::text "
                   "FROM object_state a, object_state b WHERE a.zoid = %lld AND b.zoid = %lld",
                   from, to);
        again = sql_int(s.pg, INSERT_COPY, s.schema, to);
        assert_sql(s.pg, "t",
                   "SELECT a.state = b.state FROM object_state a, object_state b "
                   "WHERE a.zoid = %lld AND b.zoid = %lld",
                   to, again);
        assert_canonical(&s, to);
        /* NaNs have bits that are not shown, and zero has a sign */
        if (tame)
            equal += (int)sql_int(s.pg,
                                  "SELECT (a.state = b.state)::int FROM object_state a, "
                                  "object_state b WHERE a.zoid = %lld AND b.zoid = %lld",
                                  from, to);
    }
    print_message("# %d of %d records are the same at once\n", equal, (n + 1) / 2);
    assert_true(equal > (n + 1) / 2 * 9 / 10);
    check_projection(&s);
    store_close(&s);
}

/* RFC 7396, but for values that are objects in JSON and no structs or maps: those have keys that
 * begin with "::". A map that is shown as an array is not compared. */
static const char model[] =
    "CREATE FUNCTION pg_temp.merge(target jsonb, patch jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ "
    "DECLARE k text; v jsonb; BEGIN "
    "IF jsonb_typeof(patch) <> 'object' OR EXISTS (SELECT FROM jsonb_object_keys(patch) o(k) "
    "WHERE o.k ~ '^::([^:]|$)') THEN RETURN patch; END IF; "
    "IF jsonb_typeof(target) = 'array' THEN RETURN '\"?\"'; END IF; "
    "IF target IS NULL OR jsonb_typeof(target) <> 'object' THEN target := '{}'; END IF; "
    "FOR k, v IN SELECT * FROM jsonb_each(patch) LOOP "
    "IF jsonb_typeof(v) = 'null' THEN target := target - k; "
    "ELSE target := target || jsonb_build_object(k, pg_temp.merge(target -> k, v)); END IF; "
    "END LOOP; RETURN target; END $$";

/* Some fields of one object, as a patch of another. */
static const char subset[] =
    "SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM object_state o, "
    "jsonb_each(newt.to_jsonb(o.state) || '{\"text\": null, \"time\": null, \"decimal\": null}') "
    "WHERE o.zoid = %lld AND key NOT IN ('json', 'kept') AND hashtext(key || '%llu') %% 4 = 0";

static void
test_patches(void **state)
{
    int n = brief() ? 30 : getenv("NEWT_SOAK") ? 3000 : 80;
    uint64_t seed = generate_seed();
    generate g;
    store s;

    (void)state;
    generate_init(&g, seed);
    open_store(&s, "patches");
    sql_do(s.pg, "%s", model);
    for (int i = 0; i < n; i++) {
        long long to = make_everything(s.a, &g, false).any.oid;
        long long from = make_everything(s.a, &g, false).any.oid;
        unsigned long long which = generate_u64(&g);
        const struct everything *e;
        newt_bytes json, hidden;
        char sql[1000];

        begin(s.a);
        e = everything_read(s.a, everything_of((newt_ref){to}));
        json = (newt_bytes){
            .p = e->json.item.p ? memcpy(malloc(e->json.item.n), e->json.item.p, e->json.item.n)
                                : NULL,
            .n = e->json.item.n};
        hidden = (newt_bytes){
            .p = e->hidden.s ? memcpy(malloc(e->hidden.n + 1), e->hidden.s, e->hidden.n) : NULL,
            .n = e->hidden.n};
        everything_done(e);
        newt_abort(s.a);

        snprintf(sql, sizeof sql, subset, from, which);
        sql_do(s.pg,
               "CREATE TEMP TABLE work AS SELECT p AS patch, pg_temp.merge((SELECT "
               "newt.to_jsonb(state) FROM object_state WHERE zoid = %lld), p) AS want "
               "FROM (%s) x (p)",
               to, sql);
        sql_do(s.pg, "SELECT newt.patch('%s', %lld, patch) FROM work", s.schema, to);
        assert_sql(s.pg, "",
                   "SELECT string_agg(key || ': ' || w.value || ' / ' || g.value, ', ') "
                   "FROM (SELECT e.* FROM work, jsonb_each(want) e) w FULL JOIN (SELECT e.* FROM "
                   "object_state, jsonb_each(newt.to_jsonb(state)) e WHERE zoid = %lld) g "
                   "USING (key) WHERE w.value IS DISTINCT FROM g.value "
                   "AND w.value::text NOT LIKE '%%\"?\"%%'",
                   to);
        sql_do(s.pg, "DROP TABLE work");
        assert_canonical(&s, to);
        begin(s.a); /* what is not named, or not shown, is as it was */
        e = everything_read(s.a, everything_of((newt_ref){to}));
        assert_int_equal(json.n, e->json.item.n);
        assert_memory_equal(json.p ? json.p : (const uint8_t *)"",
                            json.p ? e->json.item.p : (const uint8_t *)"", json.n);
        assert_int_equal(hidden.n, e->hidden.n);
        assert_memory_equal(hidden.p ? (const char *)hidden.p : "", hidden.p ? e->hidden.s : "",
                            hidden.n);
        everything_done(e);
        newt_abort(s.a);
        free((void *)(uintptr_t)json.p);
        free((void *)(uintptr_t)hidden.p);
    }
    check_projection(&s);
    store_close(&s);
}

/* A new object has the defaults that a program's has. */
static void
test_defaults(void **state)
{
    struct early *e;
    long long ours, theirs;
    store s;

    (void)state;
    open_store(&s, "defaults");
    begin(s.a);
    e = early_new(s.a);
    ours = early_id(e).any.oid;
    early_done(e);
    commit(s.a);
    theirs = sql_int(s.pg, "SELECT newt.insert('%s', 'Early', '{}')", s.schema);
    assert_sql(s.pg, "t",
               "SELECT a.state = b.state FROM object_state a, object_state b "
               "WHERE a.zoid = %lld AND b.zoid = %lld",
               ours, theirs);
    /* null in a field that has a default stays null */
    begin(s.a);
    e = early_write(s.a, early_of((newt_ref){ours}));
    newt_set(e, text, NULL);
    e->date.days = NEWT_DATE_NULL;
    early_done(e);
    commit(s.a);
    sql_do(s.pg, "SELECT newt.patch('%s', %lld, '{\"text\": null, \"date\": null}')", s.schema,
           theirs);
    assert_sql(s.pg, "t",
               "SELECT a.state = b.state FROM object_state a, object_state b "
               "WHERE a.zoid = %lld AND b.zoid = %lld",
               ours, theirs);
    store_close(&s);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

/* What a new transaction sees; INT64_MIN: no object. It may begin on what the server has confirmed
 * a moment ago. */
static int64_t
seen(newt_conn *c, item_ref r)
{
    const struct item *i;
    int64_t n;

    begin(c);
    i = item_read(c, r);
    if (!i && newt_status(c) != NEWT_EMISSING)
        fail_error("item_read", newt_conn_error(c));
    n = i ? i->n : INT64_MIN;
    newt_abort(c);
    return n;
}

/* Each side's conflict is seen by the other. */
static void
test_conflicts(void **state)
{
    item_ref r;
    int64_t serial;
    store s;

    (void)state;
    open_store(&s, "conflicts");
    r = make_item(s.a, "one", 1);
    begin(s.a);
    assert_int_equal(read_n(s.a, r), 1);
    serial = sql_int(s.pg, "SELECT newt.patch('%s', %lld, '{\"n\": 2}')", s.schema,
                     (long long)r.any.oid);
    write_n(s.a, r, 3);
    assert_int_equal(newt_commit(s.a), NEWT_ECONFLICT);
    newt_abort(s.a);
    wait_until(seen(s.a, r) == 2);
    begin(s.a);
    write_n(s.a, r, 4);
    commit(s.a);
    assert_sqlstate(s.pg, "40001", "SELECT newt.patch('%s', %lld, '{\"n\": 5}', %lld)", s.schema,
                    (long long)r.any.oid, (long long)serial);
    assert_sqlstate(s.pg, "40001", "SELECT newt.remove('%s', %lld, %lld)", s.schema,
                    (long long)r.any.oid, (long long)serial);
    assert_sqlstate(s.pg, "00000", "SELECT newt.remove('%s', %lld)", s.schema,
                    (long long)r.any.oid);
    wait_until(seen(s.a, r) == INT64_MIN);
    assert_sql(s.pg, "Item",
               "SELECT removed_classes[1] FROM transaction ORDER BY tid DESC LIMIT 1");
    store_close(&s);
}

/* A patch without a serial waits for who is changing the object, and changes what that has left. */
static void *
patch_name(void *arg)
{
    const store *s = arg;
    PGconn *pg = sql_open();
    char *done = sql_text(pg,
                          "SELECT newt.patch('%s', (SELECT min(zoid) FROM %s.object_state "
                          "WHERE zoid > 1), '{\"name\": \"waited\"}') > 0",
                          s->schema, s->schema);

    PQfinish(pg);
    return done;
}

static void
test_waiting(void **state)
{
    pthread_t thread;
    void *done;
    item_ref r;
    store s;

    (void)state;
    open_store(&s, "waiting");
    r = make_item(s.a, "one", 1);
    sql_do(s.pg, "BEGIN");
    sql_do(s.pg, "SELECT newt.patch('%s', %lld, '{\"n\": 2}')", s.schema, (long long)r.any.oid);
    assert_int_equal(pthread_create(&thread, NULL, patch_name, &s), 0);
    wait_until(sql_int(s.pg, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0);
    sql_do(s.pg, "COMMIT");
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_string_equal(done, "t");
    free(done);
    wait_until(seen(s.a, r) == 2);
    assert_sql(s.pg, "waited", "SELECT state->>'name' FROM newt WHERE class_name = 'Item'");
    store_close(&s);
}

/* Of a class that newt-updater projects, and of one that has no JSON, there is a record alone. */
static void
test_projectors(void **state)
{
    struct secret *x;
    struct later *l;
    long long secret, made, later;
    store s;

    (void)state;
    open_store(&s, "projectors");
    begin(s.a);
    x = secret_new(s.a);
    secret = secret_id(x).any.oid;
    secret_done(x);
    l = later_new(s.a);
    later = later_id(l).any.oid;
    later_done(l);
    commit(s.a);
    made = sql_int(s.pg, "SELECT newt.insert('%s', 'Secret', '{\"n\": 5}')", s.schema);
    sql_do(s.pg, "SELECT newt.patch('%s', %lld, '{\"n\": 5}')", s.schema, secret);
    sql_do(s.pg, "SELECT newt.patch('%s', %lld, '{\"n\": 5}')", s.schema, later);
    sql_do(s.pg, "SELECT newt.insert('%s', 'Later', '{}')", s.schema);
    assert_sql(s.pg, "t",
               "SELECT a.state = b.state FROM object_state a, object_state b "
               "WHERE a.zoid = %lld AND b.zoid = %lld",
               secret, made);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt_projection");
    begin(s.a);
    x = secret_write(s.a, secret_of((newt_ref){made}));
    assert_int_equal(x->n, 5);
    secret_done(x);
    l = later_write(s.a, later_of((newt_ref){later}));
    assert_int_equal(l->n, 5);
    later_done(l);
    newt_abort(s.a);
    store_close(&s);
}

/* ---- indexes that programs keep ----------------------------------------------------------------
 */

struct ticket {
    newt_text code;
};
NEWT_DECLARE(ticket);
NEWT_DECLARE_INDEX(ticket_codes, ticket, code);
NEWT_INDEX(ticket_codes, "tickets.codes", ticket, code);
static const newt_hooks ticket_hooks = {.size = sizeof ticket_hooks,
                                        .indexes = NEWT_INDEXES(&ticket_codes_index)};
NEWT_CLASS(ticket, "Ticket", 1, &ticket_hooks, NEWT_FIELD(struct ticket, code));

static int
build_index(newt_conn *c)
{
    newt_index_building b = {.size = sizeof b};
    int status = NEWT_OK;

    while (!b.over && status == NEWT_OK)
        status = newt_index_build(c, &ticket_codes_index, &b);
    return status;
}

static void
test_indexes(void **state)
{
    const newt_class *list[] = {&ticket_class, NULL};
    newt_db *db;
    newt_conn *c;
    long long one;
    item_ref other;
    store s;

    (void)state;
    open_store(&s, "indexes");
    db = store_db(&s, list, (newt_options){0});
    c = connect_(db);
    other = make_item(s.a, "other", 1);
    /* as long as the store does not have it, who fills it will see what was written */
    one = sql_int(s.pg, "SELECT newt.insert('%s', 'Ticket', '{\"code\": \"a\"}')", s.schema);
    sql_do(s.pg, "BEGIN");
    sql_do(s.pg, "SELECT newt.patch('%s', %lld, '{\"n\": 2}')", s.schema, (long long)other.any.oid);
    sql_do(s.pg, "SELECT newt.insert('%s', 'Ticket', '{\"code\": \"b\"}')", s.schema);
    ok(c, build_index(c));
    assert_sqlstate(s.pg, "40001", "COMMIT"); /* it was made meanwhile */
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt WHERE class_name = 'Ticket'");
    assert_sqlstate(s.pg, "0A000", "SELECT newt.patch('%s', %lld, '{\"code\": \"c\"}')", s.schema,
                    one);
    assert_sqlstate(s.pg, "0A000", "SELECT newt.remove('%s', %lld)", s.schema, one);
    assert_sqlstate(s.pg, "0A000", "SELECT newt.insert('%s', 'Ticket', '{}')", s.schema);
    /* other classes are not concerned, also where the list has changed meanwhile */
    assert_sqlstate(s.pg, "00000", "SELECT newt.patch('%s', %lld, '{\"n\": 3}')", s.schema,
                    (long long)other.any.oid);
    begin(c);
    assert_int_equal(ticket_codes_count(c, NULL), 1);
    newt_abort(c);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* ---- many at once ------------------------------------------------------------------------------
 */

enum {
    OBJECTS = 6,
    SIDE = 2 /* threads of programs, and as many of SQL */
};

typedef struct worker {
    store *s;
    const item_ref *refs;
    bool is_sql;
    int n; /* changes that it is to make */
    uint64_t seed;
    int64_t made, conflicts;
    char wrong[300];
} worker;

static int
increment(newt_conn *c, void *arg)
{
    struct item *i = item_write(c, *(const item_ref *)arg);

    if (!i)
        return newt_status(c);
    i->n++;
    item_done(i);
    return NEWT_OK;
}

/* newt_transact tries conflicts again by itself; here they are counted. */
static int
increment_once(worker *w, newt_conn *c, item_ref r)
{
    int status = newt_begin(c);

    if (status == NEWT_OK)
        status = increment(c, &r);
    if (status == NEWT_OK)
        status = newt_commit(c);
    if (status != NEWT_OK)
        newt_abort(c);
    w->conflicts += status == NEWT_ECONFLICT;
    w->made += status == NEWT_OK;
    return status == NEWT_ECONFLICT ? NEWT_OK : status;
}

static void
run_program(worker *w, generate *g)
{
    newt_conn *c;
    int status = newt_connect(w->s->db, &c);

    while (status == NEWT_OK && w->made < w->n) {
        item_ref r = w->refs[generate_below(g, OBJECTS)];

        status = increment_once(w, c, r);
        if (status == NEWT_OK && generate_below(g, 8) == 0) { /* one that comes and goes */
            item_ref made;

            status = newt_begin(c);
            made = item_id(item_new(c));
            status = status == NEWT_OK ? newt_commit(c) : status;
            status = status == NEWT_OK ? newt_begin(c) : status;
            status = status == NEWT_OK ? newt_delete(c, made.any) : status;
            status = status == NEWT_OK ? newt_commit(c) : status;
        }
    }
    if (status != NEWT_OK)
        snprintf(w->wrong, sizeof w->wrong, "%s", newt_error_message(newt_conn_error(c)));
    newt_close(c);
}

/* Whether it succeeded; a conflict is none of the failures. */
static bool run_sql(worker *w, PGconn *pg, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool
run_sql(worker *w, PGconn *pg, const char *format, ...)
{
    char sql[600];
    PGresult *r;
    const char *state;
    bool done;
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    r = PQexec(pg, sql);
    state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    done = !state;
    if (state && strcmp(state, "40001") == 0)
        w->conflicts++;
    else if (state && strcmp(state, "40P01") != 0 && strcmp(state, "25P02") != 0)
        snprintf(w->wrong, sizeof w->wrong, "%.100s: %.150s", sql, PQerrorMessage(pg));
    PQclear(r);
    return done;
}

/* Counts up by the serial that was read. */
#define COUNT_UP                                                                                   \
    "SELECT newt.patch('%s', zoid, jsonb_build_object('n', (state->>'n')::bigint + %d), serial) "  \
    "FROM %s.newt WHERE zoid = %lld"

static void
run_statements(worker *w, generate *g)
{
    const char *schema = w->s->schema;
    PGconn *pg = sql_open();

    while (!*w->wrong && w->made < w->n) {
        long long zoid = w->refs[generate_below(g, OBJECTS)].any.oid;
        bool done;

        switch (generate_below(g, 4)) {
        case 0: /* what a savepoint takes back, and something that comes and goes */
            done = run_sql(w, pg, "BEGIN") && run_sql(w, pg, "SAVEPOINT a") &&
                   run_sql(w, pg, COUNT_UP, schema, 1000, schema, zoid) &&
                   run_sql(w, pg, "SELECT newt.insert('%s', 'Item', '{}')", schema) &&
                   run_sql(w, pg, "ROLLBACK TO a") &&
                   run_sql(w, pg, COUNT_UP, schema, 1, schema, zoid) &&
                   run_sql(w, pg,
                           "SELECT newt.remove('%s', newt.insert('%s', 'Item', "
                           "'{\"name\": \"gone\"}'))",
                           schema, schema) &&
                   run_sql(w, pg, "COMMIT");
            if (!done)
                run_sql(w, pg, "ROLLBACK");
            w->made += done;
            break;
        case 1: /* rolled back: nothing has happened */
            run_sql(w, pg, "BEGIN");
            run_sql(w, pg, COUNT_UP, schema, 1000, schema, zoid);
            run_sql(w, pg, "ROLLBACK");
            break;
        default: w->made += run_sql(w, pg, COUNT_UP, schema, 1, schema, zoid);
        }
    }
    PQfinish(pg);
}

static void *
work(void *arg)
{
    worker *w = arg;
    generate g;

    generate_init(&g, w->seed);
    if (w->is_sql)
        run_statements(w, &g);
    else
        run_program(w, &g);
    return NULL;
}

/* Programs and SQL sessions count up the same objects: no step of either is lost, and whoever looks
 * sees the same. */
static void
test_writers(void **state)
{
    int n = brief() ? 50 : getenv("NEWT_SOAK") ? 25000 : 400;
    uint64_t seed = generate_seed();
    worker workers[2 * SIDE] = {{0}};
    pthread_t threads[2 * SIDE];
    int64_t steps = 0, conflicts[2] = {0}, sum = 0;
    item_ref refs[OBJECTS];
    store s;

    (void)state;
    open_store(&s, "writers");
    for (int i = 0; i < OBJECTS; i++)
        refs[i] = make_item(s.a, "counter", 0);
    if (!on_portable())
        sql_do(s.pg, "CALL newt.create_table('%s', 'Item')", s.schema);
    for (int i = 0; i < 2 * SIDE; i++) {
        workers[i] = (worker){
            .s = &s, .refs = refs, .is_sql = i % 2, .n = n, .seed = seed + (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 2 * SIDE; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        steps += workers[i].made;
        conflicts[workers[i].is_sql] += workers[i].conflicts;
    }
    for (int i = 0; i < 2 * SIDE; i++)
        if (*workers[i].wrong)
            fail_msg("%s", workers[i].wrong);
    print_message("# %lld steps, %lld conflicts of programs, %lld of SQL\n", (long long)steps,
                  (long long)conflicts[0], (long long)conflicts[1]);
    assert_true(conflicts[0] > 0 && conflicts[1] > 0);
    for (int i = 0; i < OBJECTS; i++) {
        int64_t want = sql_int(s.pg, "SELECT state->>'n' FROM newt WHERE zoid = %lld",
                               (long long)refs[i].any.oid);

        wait_until(seen(s.a, refs[i]) == want); /* the cache is that of before */
        sum += want;
    }
    assert_int_equal(sum, steps);
    assert_int_equal(sql_int(s.pg, "SELECT sum((state->>'n')::bigint) FROM newt WHERE class_name = "
                                   "'Item'"),
                     steps);
    assert_sql(s.pg, "6", "SELECT count(*) FROM object_state WHERE zoid > 1");
    check_projection(&s);
    if (!on_portable())
        assert_sql(s.pg, "t", "SELECT count(*) = 6 AND sum(i.n) = %lld FROM item i",
                   (long long)steps);
    /* every write is of a transaction that says so */
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM object_state o WHERE zoid > 1 AND NOT EXISTS (SELECT FROM "
               "transaction t WHERE t.serial = o.serial AND o.zoid = ANY (t.written))");
    /* those of SQL mention nothing that came and went */
    assert_sql(s.pg, "0",
               "SELECT count(*) FROM transaction WHERE description LIKE 'newt.%%' AND "
               "(cardinality(written) <> 1 OR cardinality(removed) <> 0)");
    store_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_patches),
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_waiting),     cmocka_unit_test(test_projectors),
        cmocka_unit_test(test_indexes),     cmocka_unit_test(test_writers),
    };

    return run_all(tests);
}
