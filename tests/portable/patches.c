/*
 * patches.c - newt.patch, newt.insert and newt.remove of the extension and of the portable edition,
 * side by side
 *
 * The same documents and patches, good ones and bad ones, are given to both; what they answer must
 * be the same, errors with their SQLSTATE, message, detail and hint, and so must be what is in the
 * store then: records to the byte, rows of the projection, rejects, transactions.
 */
#include "../bridge/everything.h"
#include "editions.h"

/* ---- texts ------------------------------------------------------------------------------------
 */

typedef struct text {
    char s[60000];
    size_t n;
} text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void
put(text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    t->n += (size_t)vsnprintf(t->s + t->n, sizeof t->s - t->n, format, args);
    va_end(args);
    assert_true(t->n < sizeof t->s);
}

/* ---- a class of every kind in every shape -----------------------------------------------------
 */

typedef struct kind {
    const char *name, *more; /* of the registry's entry */
    const char *key;         /* the same of a key; NULL: it is none */
    const char *some[24];    /* good values and bad ones */
} kind;

static const kind kinds[] = {
    {"bool", "", "{\"kind\": \"bool\"}", {"true", "false", "1", "\"true\""}},
    {"int",
     ", \"bits\": 8",
     "{\"kind\": \"int\", \"bits\": 8}",
     {"0", "23", "24", "-24", "-25", "127", "-128", "128", "5.0", "5.5", "{\"::num\": \"-7\"}",
      "\"5\"", "1e30", "-0"}},
    {"int",
     ", \"bits\": 64",
     "{\"kind\": \"int\", \"bits\": 64}",
     {"255", "256", "65536", "4294967295", "4294967296", "-9223372036854775808",
      "9223372036854775807", "9223372036854775808", "-4294967297", "{\"::num\": \"00012\"}"}},
    {"uint",
     ", \"bits\": 16",
     "{\"kind\": \"uint\", \"bits\": 16}",
     {"0", "65535", "65536", "-1", "{\"::num\": \"-0\"}", "{\"::num\": \"x\"}"}},
    {"uint",
     ", \"bits\": 64",
     NULL,
     {"18446744073709551615", "9223372036854775808", "18446744073709551616", "1.0"}},
    {"float",
     ", \"bits\": 32",
     NULL,
     {"0", "0.1", "-1.5", "3.4028235e38", "3.4028236e38", "3.5e38", "1e-45", "7e-46", "1e-46",
      "16777217", "\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "\"inf\"", "1.17549435e-38"}},
    {"float",
     ", \"bits\": 64",
     "{\"kind\": \"float\", \"bits\": 64}",
     {"0", "0.1", "-2.5e-10", "1.7976931348623157e308", "1.7976931348623159e308", "5e-324",
      "2e-324", "9007199254740993", "\"NaN\"", "\"-Infinity\"", "true", "1e22", "1e23"}},
    {"text",
     "",
     "{\"kind\": \"text\"}",
     {"\"\"", "\"a\"", "\"naïve\"", "\"::x\"", "{\"::b64\": \"YQBi\", \"::text\": \"a�b\"}",
      "{\"::b64\": \"YQBi\"}", "{\"::b64\": \"Yf8=\"}", "{\"::b64\": \"Yf9=\"}",
      "{\"::b64\": \"\"}", "{\"::b64\": \"YQBi\", \"::text\": \"b\"}", "{\"::bin\": 300}",
      "{\"::b64\": 5}", "{\"::text\": \"a\"}", "5",
      "\"日本語日本語日本語日本語日本語日本語日本語日本語\"", "{\"::b64\": \"Y Q=\"}"}},
    {"bytes",
     "",
     "{\"kind\": \"bytes\"}",
     {"{\"::b64\": \"AQID\"}", "{\"::b64\": \"\"}", "{\"::b64\": \"AQ==\"}",
      "{\"::b64\": \"AR==\"}", "{\"::b64\": \"A===\"}", "{\"::b64\": \"AQID\", \"::text\": \"\"}",
      "\"AQID\"", "{\"::bin\": 3}"}},
    {"time",
     "",
     "{\"kind\": \"time\"}",
     {"\"2024-05-01T09:30:00.000001Z\"",
      "\"0001-01-01T00:00:00.000000Z\"",
      "\"9999-12-31T23:59:59.999999Z\"",
      "\"1969-12-31T23:59:59.999999Z\"",
      "\"2024-02-30T00:00:00.000000Z\"",
      "\"2024-05-01T24:00:00.000000Z\"",
      "\"now\"",
      "{\"::us\": -1}",
      "{\"::us\": 9223372036854775807}",
      "{\"::us\": -9223372036854775808}",
      "{\"::us\": 1.5}",
      "{\"::us\": {\"::num\": \"5\"}}",
      "{\"::us\": 253402300800000000}",
      "\"2024-05-01T09:30:00+02:00\"",
      "\"2024-05-01 09:30:00.5-00:30\"",
      "\"0001-01-01T00:00:00+23:59\"",
      "\"2024-05-01T09:30:00.Z\"",
      "\"2024-05-01T09:30:00\"",
      "\"2024-05-01T09:30:00.1234567Z\"",
      "\"2024-05-01T09:30:00+24:00\"",
      "\"2024-05-01T09:30:00+0200\""}},
    {"duration",
     "",
     "{\"kind\": \"duration\"}",
     {"0", "-1", "1000000", "-9223372036854775808", "9223372036854775808", "1.5",
      "{\"::num\": \"5\"}", "\"1 s\""}},
    {"date",
     "",
     "{\"kind\": \"date\"}",
     {"\"2024-02-29\"", "\"2023-02-29\"", "\"0001-01-01\"", "\"0000-01-01\"",
      "{\"::days\": -719163}", "{\"::days\": 2147483647}", "{\"::days\": 2147483648}",
      "{\"::days\": -2147483648}", "{\"::days\": \"x\"}", "\"today\"", "1"}},
    {"uuid",
     "",
     "{\"kind\": \"uuid\"}",
     {"\"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"", "\"F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6\"",
      "\"00000000-0000-0000-0000-000000000000\"", "\"f81d4fae7dec11d0a76500a0c91e6bf6\"", "1"}},
    {"decimal",
     "",
     "{\"kind\": \"decimal\"}",
     {"0",
      "1.50",
      "-0.001",
      "0.000",
      "123456789012345678901234567890.123",
      "1e30",
      "{\"::num\": \"1E+999999\"}",
      "{\"::num\": \"-2.5e-400\"}",
      "{\"::num\": \"+.5\"}",
      "{\"::num\": \"5.\"}",
      "{\"::num\": \"1E+2147483648\"}",
      "{\"::num\": \"1E-2147483649\"}",
      "{\"::num\": \"0E+5\"}",
      "{\"::num\": \"-0\"}",
      "{\"::num\": \"1e\"}",
      "{\"::num\": \"1E+99999999999999999999999\"}",
      "\"NaN\"",
      "\"Infinity\"",
      "\"1\"",
      "-18446744073709551616",
      "-18446744073709551617",
      "{\"::num\": \"\"}",
      "{\"::num\": \"-00012.50E+1\"}"}},
    {"json",
     "",
     NULL,
     {"null",
      "true",
      "5",
      "2.50",
      "0.10",
      "\"x\"",
      "[]",
      "{}",
      "[1, [2, {\"a\": []}]]",
      "{\"b\": 1, \"aa\": 2, \":::x\": 3}",
      "{\"::x\": 1}",
      "{\"::=>\": 7}",
      "{\"::=>\": 0}",
      "{\"::~>\": 7}",
      "[{\"::id\": 4, \"x\": 1}, {\"::->\": 4}]",
      "{\"::->\": 0}",
      "{\"::id\": 0, \"b\": {\"::id\": 1}, \"a\": {\"::id\": 2}}",
      "{\"::tag\": 7, \"::v\": 1}",
      "{\"::tag\": 28, \"::v\": 1}",
      "{\"::tag\": 38401, \"::v\": [\"s\", 1]}",
      "{\"::tag\": 38401, \"::v\": [1]}",
      "{\"::tag\": 38401, \"::v\": 1}",
      "{\"::tag\": 18446744073709551615, \"::v\": {\"::us\": 5}}",
      "{\"::id\": 0, \"m\": {\"::->\": 0}}"}},
    {"json",
     "",
     NULL,
     {"{\"::num\": \"1E+500\"}",
      "{\"::num\": \"x\"}",
      "{\"::days\": -5}",
      "{\"::us\": 1}",
      "{\"::b64\": \"AQ==\"}",
      "{\"::b64\": \"YQBi\", \"::text\": \"a�b\"}",
      "{\"::tag\": 5.0, \"::v\": 1}",
      "{\"::id\": 1, \"a\": {\"::id\": 1}}",
      "{\"::\": \"C\"}",
      "1e-5",
      "123456789.123456789012",
      "0.1234567890123456789",
      "1e200",
      "-0.5",
      "{\"::bin\": 1}",
      "0.30000000000000004",
      "18446744073709551616",
      "{\"::id\": \"x\"}",
      "{\"::tag\": 38401, \"::v\": {\"::tag\": 7, \"::v\": 1}}",
      "100.0",
      "1e-300"}},
    {"enum",
     ", \"names\": [\"red\", \"green\", \"blue\"]",
     NULL,
     {"\"red\"", "\"blue\"", "\"\"", "1"}},
    {"ref",
     "",
     NULL,
     {"{\"::=>\": 77}", "{\"::=>\": 9223372036854775807}", "{\"::=>\": 0}", "{\"::~>\": 77}",
      "77"}},
    {"weak",
     "",
     "{\"kind\": \"weak\"}",
     {"{\"::~>\": 77}", "{\"::~>\": 1.0}", "{\"::~>\": -1}", "{\"::=>\": 77}"}},
    {"store_ref",
     "",
     NULL,
     {"{\"::tag\": 38401, \"::v\": [\"s\", 7]}", "{\"::tag\": 38401, \"::v\": [\"\", 7]}",
      "{\"::tag\": 38401, \"::v\": [\"s\", 0]}", "{\"::tag\": 38402, \"::v\": [\"s\", 7]}", "7"}},
};

/* Values that are shared, and refer to each other by numbers: few fields of them, so that they
 * meet. */
static const kind sharing[] = {
    {"json",
     "",
     NULL,
     {"{\"::id\": 1}", "[{\"::id\": 4, \"x\": 1}, {\"::->\": 4}]",
      "{\"::id\": 0, \"a\": [{\"::->\": 0}]}", "5", "[]",
      "{\"b\": {\"::id\": 7}, \"a\": {\"::id\": 8}, \"c\": {\"::->\": 7}}", "{\"::->\": 1}"}},
    {"text", "", "{\"kind\": \"text\"}", {"\"a\"", "\"b\"", "{\"::b64\": \"Yf8=\"}"}},
};

/* A class has these kinds in every shape, and a struct. */
typedef struct table {
    const kind *kinds;
    size_t n;
} table;

static const char *const shapes[] = {"", "list", "set", "map", "pairs"};

static const char inside[] =
    ", \"class\": \"In\", \"fields\": [{\"name\": \"city\", \"kind\": \"text\", \"required\": "
    "true}, "
    "{\"name\": \"zip\", \"kind\": \"uint\", \"bits\": 16}, {\"name\": \"any\", \"kind\": "
    "\"json\"}, "
    "{\"name\": \"day\", \"kind\": \"date\", \"default\": \"2024-02-29\", \"keep_null\": true}, "
    "{\"name\": \"in\", \"kind\": \"struct\", \"shape\": \"list\", \"class\": \"In\", "
    "\"recursive\": true}, "
    "{\"name\": \"notes\", \"kind\": \"text\", \"shape\": \"map\"}]";

/* A field is named after its kind and shape. */
static void
field_name(char name[32], const table *x, size_t k, size_t shape)
{
    snprintf(name, 32, "%.*s%zu%s", (int)(1 + k % 5), k < x->n ? x->kinds[k].name : "struct", k,
             shapes[shape]);
}

static void
put_fields(text *t, const table *x)
{
    char name[32];

    put(t, "[");
    for (size_t k = 0; k <= x->n; k++) {
        bool is_struct = k == x->n;

        for (size_t shape = 0; shape < LENGTH(shapes); shape++) {
            field_name(name, x, k, shape);
            put(t, "%s{\"name\": \"%s\", \"kind\": \"%s\"%s", t->n > 1 ? ", " : "", name,
                is_struct ? "struct" : x->kinds[k].name, is_struct ? inside : x->kinds[k].more);
            if (shape > 0)
                put(t, ", \"shape\": \"%s\"", shapes[shape]);
            if (shape == 4)
                put(t, ", \"key\": %s",
                    is_struct || !x->kinds[k].key ? "{\"kind\": \"int\", \"bits\": 16}"
                                                  : x->kinds[k].key);
            if (shape == 0 && k % 3 == 1 && !is_struct)
                put(t, ", \"default\": %s, \"keep_null\": true", x->kinds[k].some[0]);
            put(t, "%s}", (k + shape) % 11 == 5 ? ", \"skip\": true" : "");
        }
    }
    put(t, "]");
}

/* ---- random documents --------------------------------------------------------------------------
 */

static void
put_scalar(text *t, generate *g, const kind *k)
{
    size_t n = 0;

    while (n < LENGTH(k->some) && k->some[n])
        n++;
    switch (generate_below(g, 14)) {
    case 0: put(t, "null"); break;
    case 1: put(t, "%lld", (long long)generate_spread(g)); break;
    case 2:
        put(t, "-%llu.%llu", (unsigned long long)generate_spread(g),
            (unsigned long long)generate_below(g, 10000));
        break;
    case 3:
        put(t, "%llue-%u", (unsigned long long)generate_spread(g),
            (unsigned)generate_below(g, 330));
        break;
    /* the first ones are good */
    case 4:
    case 5:
    case 6: put(t, "%s", k->some[generate_below(g, n)]); break;
    default: put(t, "%s", k->some[generate_below(g, (n + 2) / 3)]);
    }
}

static void
put_struct(text *t, generate *g, int depth)
{
    static const char *const keys[] = {"\"city\": \"Rome\"",
                                       "\"zip\": 5",
                                       "\"zip\": 70000",
                                       "\"any\": [1, 2.50]",
                                       "\"city\": null",
                                       "\"notes\": {\"b\": \"x\", \"a\": null, \":::c\": \"y\"}",
                                       "\"town\": 1",
                                       "\"day\": null",
                                       "\"any\": {\"::id\": 3}",
                                       "\"notes\": {\"::x\": \"y\"}"};

    put(t, "{%s", generate_below(g, 5) ? "\"city\": \"Graz\"" : "\"zip\": 1");
    for (uint64_t n = generate_below(g, 3); n > 0; n--)
        put(t, ", %s", keys[generate_below(g, generate_below(g, 4) ? 4 : LENGTH(keys))]);
    if (depth > 0 && generate_below(g, 2)) {
        put(t, ", \"in\": [");
        for (uint64_t n = generate_below(g, 3), i = 0; i < n; i++) {
            put(t, "%s", i ? ", " : "");
            put_struct(t, g, depth - 1);
        }
        put(t, "]");
    }
    put(t, "}");
}

static void
put_value(text *t, generate *g, const table *x, size_t k)
{
    if (k < x->n)
        put_scalar(t, g, &x->kinds[k]);
    else if (generate_below(g, 20) == 0)
        put(t, "%s", generate_below(g, 2) ? "null" : "[]");
    else
        put_struct(t, g, 2);
}

static void
put_member(text *t, generate *g, const table *x, size_t k, size_t shape)
{
    static const kind numbers = {.some = {"1", "2", "3", "-4", "500", "null", "70000", "\"x\""}};
    static const char *const names[] = {"a", "b", "cc", ":::d", "é", "", "::bad"};
    bool pairs = shape == 4 || (shape == 3 && generate_below(g, 3) == 0);
    uint64_t n = generate_below(g, 4);

    if (shape == 0 || generate_below(g, 25) == 0) {
        put_value(t, g, x, k);
        return;
    }
    put(t, shape == 3 && !pairs ? "{" : "[");
    for (uint64_t i = 0; i < n; i++) {
        put(t, "%s", i ? ", " : "");
        if (shape == 3 && !pairs) {
            put(t, "\"%s\": ",
                names[generate_below(g, generate_below(g, 8) ? LENGTH(names) - 1 : LENGTH(names))]);
        } else if (pairs) {
            put(t, "{\"k\": ");
            put_scalar(t, g,
                       shape == 3                    ? &kinds[7]
                       : k < x->n && x->kinds[k].key ? &x->kinds[k]
                                                     : &numbers);
            put(t, ", \"v\": ");
        }
        put_value(t, g, x, k);
        put(t, "%s", pairs ? "}" : "");
    }
    put(t, shape == 3 && !pairs ? "}" : "]");
}

/* Values of few fields, so that a bad one does not hide many others. A new object nearly always has
 * what it must have. */
static void
put_document(text *t, generate *g, const table *x, bool is_new)
{
    char name[32];

    t->n = 0;
    put(t, "{");
    if (is_new && generate_below(g, 20)) {
        field_name(name, x, x->n, 0);
        put(t, "\"%s\": {\"city\": \"Rome\"}", name);
    }
    for (uint64_t n = generate_below(g, 5); n > 0; n--) {
        size_t k = (size_t)generate_below(g, x->n + 1);
        size_t shape = (size_t)generate_below(g, LENGTH(shapes));

        field_name(name, x, k, shape);
        put(t, "%s\"%s\": ", t->n > 1 ? ", " : "", name);
        put_member(t, g, x, k, shape);
    }
    if (generate_below(g, 60) == 0)
        put(t, "%s\"unknown\": 1", t->n > 1 ? ", " : "");
    put(t, "}");
}

/* ---- both ---------------------------------------------------------------------------------------
 */

/* What a statement answers, or its error. */
static const char outcome[] =
    "CREATE FUNCTION pg_temp.outcome(query text, zoid bigint, document text) RETURNS text LANGUAGE "
    "plpgsql AS $$ "
    "DECLARE result text; state text; message text; detail text; hint text; BEGIN "
    "EXECUTE query INTO result USING zoid, document; RETURN result; EXCEPTION WHEN OTHERS THEN "
    "GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = "
    "PG_EXCEPTION_DETAIL, "
    "hint = PG_EXCEPTION_HINT; RETURN concat_ws(' | ', state, message, detail, hint); END $$";

static int
connect_both(void **state)
{
    static PGconn *pg[EDITIONS];

    connect_editions(pg, "patches");
    for (int i = 0; i < EDITIONS; i++)
        run(pg[i], outcome);
    *state = pg;
    return 0;
}

/* Of a record that is damaged and does not fit its class, the portable edition says the one, and
 * the extension what comes first. */
static bool
is_other_fault(const char *extension, const char *portable)
{
    return strncmp(extension, "XX001", 5) == 0 && strstr(portable, "has a damaged record");
}

/* Its answer in both, which must be the same; for free(). */
static char *
ask(PGconn **pg, const char *query, long long zoid, const char *document)
{
    char number[32];
    const char *values[] = {query, number, document};
    char *answers[EDITIONS];

    snprintf(number, sizeof number, "%lld", zoid);
    for (int i = 0; i < EDITIONS; i++) {
        PGresult *r = PQexecParams(pg[i], "SELECT pg_temp.outcome($1, $2, $3)", 3, NULL, values,
                                   NULL, NULL, 0);

        if (PQresultStatus(r) != PGRES_TUPLES_OK)
            fail_msg("%s: %s", editions[i], PQerrorMessage(pg[i]));
        answers[i] = strdup(PQgetvalue(r, 0, 0));
        PQclear(r);
    }
    if (strcmp(answers[0], answers[1]) != 0 && !is_other_fault(answers[0], answers[1]))
        fail_msg("%s of %lld and %s:\n  extension: %s\n  portable:  %s", query, zoid, document,
                 answers[0], answers[1]);
    free(answers[1]);
    return answers[0];
}

static bool
done(PGconn **pg, const char *query, long long zoid, const char *document)
{
    char *answer = ask(pg, query, zoid, document);
    bool is_error = strchr(answer, '|') != NULL;

    free(answer);
    return !is_error;
}

/* All that is in the stores. Serials are given by each. */
static void
compare_stores(PGconn **pg)
{
    static const char *const queries[] = {
        "SELECT string_agg(zoid || ' ' || state::text, chr(10) ORDER BY zoid) FROM s.object_state "
        "WHERE zoid > 1",
        "SELECT string_agg(zoid || ' ' || class_name || ' ' || state, chr(10) ORDER BY zoid) FROM "
        "s.newt_projection",
        "SELECT string_agg(concat_ws(' ', zoid, path, reason, sqlstate), chr(10) ORDER BY zoid, "
        "path) FROM s.newt_reject",
        "SELECT string_agg(concat_ws(' ', username, description, extension, written, removed, "
        "removed_classes), "
        "chr(10) ORDER BY tid) FROM s.transaction",
        "SELECT count(*) FROM s.object_state o LEFT JOIN s.newt_projection p USING (zoid) LEFT "
        "JOIN s.transaction t "
        "ON t.serial = o.serial WHERE zoid > 1000 AND (p.serial <> o.serial OR p.state <> "
        "newt.to_jsonb(o.state) "
        "OR o.zoid <> ALL (t.written))",
    };

    for (size_t q = 0; q < LENGTH(queries); q++)
        free(ask(pg, queries[q], 0, ""));
}

static void
make_stores(PGconn **pg, const char *class_name, const char *fields)
{
    const char *values[] = {class_name, fields};

    for (int i = 0; i < EDITIONS; i++) {
        PGresult *r;

        run(pg[i], "DROP SCHEMA IF EXISTS s CASCADE");
        run(pg[i], "SELECT newt.create_store('s')");
        r = PQexecParams(pg[i],
                         "INSERT INTO s.newt_class (name, version, fields) VALUES ($1, 3, $2)", 2,
                         NULL, values, NULL, NULL, 0);
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            fail_msg("%s", PQerrorMessage(pg[i]));
        PQclear(r);
    }
}

#define INSERT "SELECT newt.insert('s', 'Kinds', $2::jsonb) WHERE $1 >= 0"
#define PATCH  "SELECT newt.patch('s', $1, $2::jsonb) > 0"

/* ---- the tests
 * ------------------------------------------------------------------------------------
 */

static void
write_documents(PGconn **pg, const table *x)
{
    int n = getenv("NEWT_SOAK") ? 20000 : 600, good = 0;
    long long last = 0;
    static text t;
    generate g;

    generate_init(&g, generate_seed());
    t.n = 0;
    put_fields(&t, x);
    make_stores(pg, "Kinds", t.s);
    for (int i = 0; i < n; i++) {
        long long zoid = last > 0 ? 1024 + (long long)generate_below(&g, (uint64_t)(last - 1023))
                                  : 0;

        bool is_new = last == 0 || generate_below(&g, 3) == 0;

        put_document(&t, &g, x, is_new);
        if (is_new) {
            char *made = ask(pg, INSERT, 0, t.s);

            if (!strchr(made, '|')) {
                last = strtoll(made, NULL, 10);
                good++;
            }
            free(made);
        } else if (generate_below(&g, 40) == 0) {
            good += done(pg, "SELECT newt.remove('s', $1) > 0 WHERE $2 <> ''", zoid, t.s);
        } else {
            good += done(pg, PATCH, zoid, t.s);
        }
        if (i % 100 == 99)
            compare_stores(pg);
    }
    compare_stores(pg);
    print_message("# %d of %d were written\n", good, n);
    assert_true(good > n / 5 && good < n * 9 / 10);
}

static void
test_documents(void **state)
{
    write_documents(*state, &(table){kinds, LENGTH(kinds)});
}

static void
test_sharing(void **state)
{
    write_documents(*state, &(table){sharing, LENGTH(sharing)});
}

enum {
    BASE = 100000 /* oids of records of programs, beyond those that are given here */
};

static void
put_record(PGconn **pg, long long zoid, const uint8_t *record, size_t n)
{
    char *hex = malloc(2 * n + 3);

    strcpy(hex, "\\x");
    for (size_t at = 0; at < n; at++)
        sprintf(hex + 2 + 2 * at, "%02x", record[at]);
    free(ask(pg,
             "INSERT INTO s.object_state VALUES ($1, 1, $2::bytea) ON CONFLICT (zoid) DO UPDATE "
             "SET state = excluded.state, serial = 1 RETURNING zoid",
             zoid, hex));
    free(hex);
}

static uint8_t *
random_record(offline *o, generate *g, size_t *n)
{
    struct everything *e = newt_new(&o->c, &everything_class);
    uint8_t *record;

    everything_fill(g, e);
    record = record_of(o, e, n);
    offline_abort(o);
    return record;
}

static void
open_both(offline *o, PGconn **pg)
{
    char *fields;

    offline_open(o, everything_classes);
    fields = newt__class_fields(newt__class_find(o->db.classes, &everything_class));
    make_stores(pg, "Everything", fields);
    free(fields);
}

/* Objects of programs: fields of one become those of another. */
static void
test_objects(void **state)
{
    static const char subset[] =
        "SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM s.object_state o, "
        "jsonb_each(newt.to_jsonb(o.state) || '{\"text\": null, \"time\": null, \"json\": null}') "
        "WHERE o.zoid = $1 AND hashtext(key || $2) % 4 = 0";
    int n = getenv("NEWT_SOAK") ? 2000 : 60, good = 0;
    PGconn **pg = *state;
    generate g;
    offline o;

    generate_init(&g, generate_seed());
    open_both(&o, pg);
    for (int i = 0; i < n; i++) {
        char which[32], *patch;
        size_t size;
        uint8_t *record = random_record(&o, &g, &size);

        put_record(pg, BASE + i, record, size);
        free(record);
        snprintf(which, sizeof which, "%llu", (unsigned long long)generate_u64(&g));
        patch = ask(pg, subset, BASE + i, which);
        good += done(pg, PATCH, BASE + (long long)generate_below(&g, (uint64_t)i + 1), patch);
        free(patch);
        patch = ask(pg,
                    "SELECT newt.to_jsonb(state) FROM s.object_state WHERE zoid = $1 AND $2 = ''",
                    BASE + i, "");
        good += done(pg, "SELECT newt.insert('s', 'Everything', $2::jsonb) WHERE $1 >= 0", 0,
                     patch);
        free(patch);
    }
    compare_stores(pg);
    offline_close(&o);
    print_message("# %d of %d were written\n", good, 2 * n);
    assert_true(good > n / 2);
}

/* Bytes changed, left out, put in, and cut off. */
static void
test_damaged(void **state)
{
    int n = getenv("NEWT_SOAK") ? 20000 : 600, good = 0;
    PGconn **pg = *state;
    generate g;
    offline o;

    generate_init(&g, generate_seed());
    open_both(&o, pg);
    for (int i = 0; i < n; i++) {
        size_t size;
        uint8_t *record = random_record(&o, &g, &size);

        for (int k = (int)generate_below(&g, 2); k >= 0 && size > 0; k--) {
            size_t at = (size_t)generate_below(&g, size);

            switch (generate_below(&g, 5)) {
            case 0: size = at; break;
            case 1: record[at] ^= (uint8_t)(1u << generate_below(&g, 8)); break;
            case 2: memmove(record + at, record + at + 1, --size - at); break;
            case 3: record[at]++; break;
            default: record[at] = (uint8_t)generate_u64(&g);
            }
        }
        put_record(pg, BASE, record, size);
        free(record);
        good += done(pg, PATCH, BASE,
                     generate_below(&g, 2) ? "{\"i8\": 5}" : "{\"leaf\": {\"name\": \"x\"}}");
        free(ask(pg, "SELECT encode(state, 'hex') FROM s.object_state WHERE zoid = $1 AND $2 = ''",
                 BASE, ""));
    }
    offline_close(&o);
    print_message("# %d of %d could be changed still\n", good, n);
    assert_true(good > n / 20 && good < n * 9 / 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents), cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_objects), cmocka_unit_test(test_damaged)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (getenv("NEWT_TEST"))
        cmocka_set_test_filter(getenv("NEWT_TEST"));
    return cmocka_run_group_tests(tests, connect_both, disconnect_both);
}
