/*
 * records.c - the extension and the portable edition of it, side by side
 *
 * Random records, damaged ones, and those of the codec's own tests go through both; what is said of
 * each must be the same, errors with their SQLSTATE and place. Two databases of the same server are
 * asked: one has the extension, the other what newt-portable.sql has made.
 */
#include "editions.h"

#include "../generate.h"

enum {
    SHOWN = 2 /* of the records that differ, for each query */
};

/* ---- databases ---------------------------------------------------------------------------- */

/* What a record gives, or its error; a hint may name the edition. */
static const char outcome[] =
    "CREATE FUNCTION pg_temp.outcome(query text, record bytea) RETURNS text LANGUAGE plpgsql AS $$ "
    "DECLARE result text; state text; message text; detail text; BEGIN "
    "EXECUTE query INTO result USING record; RETURN result; EXCEPTION WHEN OTHERS THEN "
    "GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, "
    "detail = PG_EXCEPTION_DETAIL; RETURN concat_ws(' | ', state, message, detail); END $$";

static const char *const queries[] = {
    "SELECT newt.to_jsonb($1)::text",
    "SELECT newt.try_to_jsonb($1)::text || octet_length(newt.try_to_jsonb($1)::text)",
    "SELECT newt.refs($1)::text",
    "SELECT concat_ws(' ', newt.class_name($1), newt.class_version($1))",
    "SELECT concat_ws(' ', newt.try_class_name($1), newt.try_refs($1))",
    "SELECT newt.ref_paths($1, newt.try_refs($1))::text",
    "SELECT (SELECT string_agg(r::text, ' ') FROM newt.rejects($1) r)",
    "SELECT newt.get($1, (SELECT min(k) FROM jsonb_object_keys(CASE "
    "jsonb_typeof(newt.to_jsonb($1)) "
    "WHEN 'object' THEN newt.to_jsonb($1) ELSE '{}' END) k))::text",
    "SELECT newt.text(newt.try_to_jsonb($1))",
    "SELECT newt.principals(newt.try_to_jsonb($1), 'a', 'owner', 'items.name')::text",
    "SELECT newt.tsvector('english', newt.try_to_jsonb($1))::text",
    /* each value of the document as each type */
    "SELECT string_agg(concat_ws(' ', newt.int8(v), newt.float8(v), newt.numeric(v), newt.bool(v), "
    "newt.ts(v) AT TIME ZONE 'UTC', newt.date(v), newt.duration(v), newt.uuid(v), newt.string(v), "
    "newt.bytes(v), newt.ref(v), newt.value_type(v), newt.int8_array(v), newt.string_array(v), "
    "(SELECT array_agg(i) FROM newt.items(v) i), (SELECT array_agg(e) FROM newt.entries(v) e)), "
    "',') FROM jsonb_path_query(newt.try_to_jsonb($1), 'strict $.**') v",
};

static int
connect_both(void **state)
{
    static PGconn *pg[EDITIONS];

    connect_editions(pg, "records");
    for (int i = 0; i < EDITIONS; i++) {
        run(pg[i], outcome);
        run(pg[i],
            "CREATE TEMP TABLE sample (n integer GENERATED ALWAYS AS IDENTITY, record bytea)");
    }
    *state = pg;
    return 0;
}

/* ---- records ------------------------------------------------------------------------------ */

static void
begin(PGconn **pg)
{
    for (int i = 0; i < EDITIONS; i++) {
        run(pg[i], "TRUNCATE sample RESTART IDENTITY");
        assert_int_equal(PQresultStatus(PQexec(pg[i], "COPY sample (record) FROM STDIN")),
                         PGRES_COPY_IN);
    }
}

static void
add(PGconn **pg, const uint8_t *record, size_t n)
{
    char *line = malloc(2 * n + 5), *p = line;

    p += sprintf(p, "\\\\x");
    for (size_t i = 0; i < n; i++)
        p += sprintf(p, "%02x", record[i]);
    *p++ = '\n';
    for (int i = 0; i < EDITIONS; i++)
        assert_int_equal(PQputCopyData(pg[i], line, (int)(p - line)), 1);
    free(line);
}

/* How many of the first query's answers are documents. */
static int
compare(PGconn **pg)
{
    char sql[2048];
    int differ = 0, documents = 0;

    for (int i = 0; i < EDITIONS; i++) {
        assert_int_equal(PQputCopyEnd(pg[i], NULL), 1);
        for (PGresult *r; (r = PQgetResult(pg[i])); PQclear(r))
            assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    }
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        PGresult *r[EDITIONS];
        char *quoted = PQescapeLiteral(pg[0], queries[q], strlen(queries[q]));
        int before = differ;

        snprintf(sql, sizeof sql,
                 "SELECT record, pg_temp.outcome(%s, record) FROM sample ORDER BY n", quoted);
        PQfreemem(quoted);
        for (int i = 0; i < EDITIONS; i++)
            assert_int_equal(PQsendQuery(pg[i], sql), 1);
        for (int i = 0; i < EDITIONS; i++) {
            r[i] = PQgetResult(pg[i]);
            if (PQresultStatus(r[i]) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", editions[i], PQerrorMessage(pg[i]));
            PQclear(PQgetResult(pg[i]));
        }
        for (int row = 0; row < PQntuples(r[0]); row++) {
            const char *a = PQgetvalue(r[0], row, 1), *b = PQgetvalue(r[1], row, 1);

            documents += q == 0 && strchr("{[\"", *a);
            if (PQgetisnull(r[0], row, 1) == PQgetisnull(r[1], row, 1) && strcmp(a, b) == 0)
                continue;
            if (differ++ < before + SHOWN)
                printf("# %s of %s\n#   extension: %s\n#   portable:  %s\n", queries[q],
                       PQgetvalue(r[0], row, 0), a, b);
        }
        for (int i = 0; i < EDITIONS; i++)
            PQclear(r[i]);
    }
    assert_int_equal(differ, 0);
    return documents;
}

/* ---- the tests ---------------------------------------------------------------------------- */

static void *
memory(void *arg, void *p, size_t n)
{
    (void)arg;
    return realloc(p, n ? n : 1);
}

static void
release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static const newt__env env = {.realloc = memory, .free = release};

static void
test_random(void **state)
{
    newt__writer w = {.buf.env = &env};
    generate g;

    generate_init(&g, generate_seed());
    begin(*state);
    for (int i = 0; i < 150; i++) {
        g.rarity = i % 3 ? 12 : 3;
        assert_int_equal(generate_record(&g, &w, NULL), NEWT__OK);
        add(*state, w.buf.data, w.buf.n);
    }
    assert_true(compare(*state) > 100);
    newt__writer_free(&w);
}

/* Bytes changed, left out, put in, and cut off. */
static void
test_damaged(void **state)
{
    newt__writer w = {.buf.env = &env};
    generate g;
    int documents;

    generate_init(&g, generate_seed());
    g.max_items = 12;
    begin(*state);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(generate_record(&g, &w, "T"), NEWT__OK);
        for (int k = (int)generate_below(&g, 3); k >= 0; k--) {
            size_t at = (size_t)generate_below(&g, w.buf.n);

            switch (generate_below(&g, 4)) {
            case 0: w.buf.n = at + 1; break;
            case 1: w.buf.data[at] ^= (uint8_t)(1u << generate_below(&g, 8)); break;
            case 2: memmove(w.buf.data + at, w.buf.data + at + 1, --w.buf.n - at); break;
            default: w.buf.data[at] = (uint8_t)generate_u64(&g);
            }
            if (w.buf.n == 0)
                break;
        }
        add(*state, w.buf.data, w.buf.n);
    }
    documents = compare(*state);
    printf("# %d of 400 are records still\n", documents);
    assert_true(documents > 15 && documents < 360);
    newt__writer_free(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_damaged)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, connect_both, disconnect_both);
}
