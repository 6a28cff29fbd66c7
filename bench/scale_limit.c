/*
 * scale_limit.c - Items by the bare libpq program: the same bytes as scale.c makes
 *
 *     scale_limit OPERATION SCHEMA N SIZE REFS CLASSES     the database: libpq's environment
 *
 * Records and JSON are made while the clock stands still.
 */
#include "cas.h"
#include "copy.h"
#include "item.h"

static const char *schema;

/* ---- an Item as record and as JSON -------------------------------------------------------- */

typedef struct item {
    bytes record, json; /* JSON as jsonb's binary format: a version byte, then text */
} item;

static void
put_head(bytes *b, int major, uint64_t x)
{
    uint8_t head[9];
    put(b, head, (size_t)(cbor_head(head, major, x) - head));
}

static void
put_text(bytes *b, const char *s)
{
    put_head(b, 3, strlen(s));
    put(b, s, strlen(s));
}

static void
put_string(bytes *b, const char *s)
{
    put(b, s, strlen(s));
}

static void
item_of(item *to, const items *s, int64_t i, int64_t rev)
{
    char name[ITEM_NAME], number[64], *text = allocate((size_t)s->size + 1, 1);
    bytes *b = &to->record, *j = &to->json;
    b->n = j->n = 0;
    item_class_name(name, i % s->classes);
    item_text(text, s, i);
    put_head(b, 4, 3);
    put_text(b, name);
    put_head(b, 0, 1);
    put_head(b, 5, 3);
    put_text(b, "rev");
    put_head(b, 0, (uint64_t)rev);
    put_text(b, "refs");
    put_head(b, 4, (uint64_t)s->refs);
    snprintf(number, sizeof number, "\001{\"rev\":%lld,\"refs\":[", (long long)rev);
    put_string(j, number);
    for (int64_t k = 0; k < s->refs; k++) {
        put_head(b, 6, 38401);
        put_head(b, 0, (uint64_t)item_ref(s, i, k));
        snprintf(number, sizeof number, "%s{\"::=>\":%lld}", k ? "," : "",
                 (long long)item_ref(s, i, k));
        put_string(j, number);
    }
    put_text(b, "text");
    put_text(b, text);
    put_string(j, "],\"text\":\"");
    put_string(j, text);
    put_string(j, "\"}");
    free(text);
}

static void
item_free(item *t)
{
    free(t->record.data);
    free(t->json.data);
}

/* ---- operations ---------------------------------------------------------------------------- */

/* A program's start: a connection, and the rows of its classes, which are written, then read. */
static void
register_classes(PGconn *pg, const items *s)
{
    bytes names = {NULL, 0, 0}, fields = {NULL, 0, 0};
    PGresult *r = PQexecParams(pg, "SELECT name, fields FROM newt_class WHERE name LIKE 'Item%'", 0,
                               NULL, NULL, NULL, NULL, 1);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == s->classes, "classes");
    begin_array(&names, TEXT_OID, (size_t)s->classes);
    begin_array(&fields, JSONB_OID, (size_t)s->classes);
    for (int i = 0; i < s->classes; i++) {
        put_field(&names, PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0));
        put_field(&fields, PQgetvalue(r, i, 1), (size_t)PQgetlength(r, i, 1));
    }
    PQclear(r);
    run(pg, "DROP TABLE IF EXISTS bare_class");
    run(pg, "CREATE TABLE bare_class (LIKE newt_class INCLUDING ALL)");
    for (int again = 0; again < 2; again++) {
        double start = now();
        PGconn *own = dial(schema);
        if (again) {
            prepare(own, "classes", "SELECT name, version, fields, projection FROM bare_class");
            check(own, PQsendQueryPrepared(own, "classes", 0, NULL, NULL, NULL, 1), "classes");
            collect(own, PGRES_TUPLES_OK);
        } else {
            prepare(
                own, "register",
                "INSERT INTO bare_class (name, version, fields)"
                " SELECT name, 1, fields FROM unnest($1::text[], $2::jsonb[]) u (name, fields)");
            queue(own, "register", 2,
                  (parameter[]){{names.data, names.n}, {fields.data, fields.n}});
            collect(own, PGRES_COMMAND_OK);
        }
        report(again ? "open" : "register", (now() - start) * 1000, "ms");
        PQfinish(own);
    }
    free(names.data);
    free(fields.data);
}

static void
copy_items(PGconn *pg, bytes *b, const items *s, const item *t, int64_t first, int64_t n, bool json)
{
    char name[ITEM_NAME];
    copy_begin(pg, b,
               json ? "COPY newt_projection (zoid, class_name, serial, state) FROM STDIN BINARY"
                    : "COPY object_state (zoid, serial, state) FROM STDIN BINARY");
    for (int64_t i = 0; i < n; i++) {
        put_number(b, json ? 4 : 3, 2);
        put_bigint(b, FIRST_OID + first + i);
        item_class_name(name, (first + i) % s->classes);
        if (json)
            put_field(b, name, strlen(name));
        put_bigint(b, 1);
        const bytes *form = json ? &t[i].json : &t[i].record;
        put_field(b, form->data, form->n);
    }
    copy_end(pg, b);
}

static void
bulk(PGconn *pg, const items *s)
{
    bytes b = {NULL, 0, 0};
    double seconds = 0;
    item *t = allocate((size_t)per_bulk(s), sizeof *t);
    for (int64_t i = 0; i < s->n;) {
        int64_t here = at_most(s->n - i, per_bulk(s));
        for (int64_t k = 0; k < here; k++)
            item_of(&t[k], s, i + k, 0);
        double start = now();
        run(pg, "BEGIN");
        copy_items(pg, &b, s, t, i, here, false);
        copy_items(pg, &b, s, t, i, here, true);
        run(pg, "COMMIT");
        seconds += now() - start;
        i += here;
    }
    report("bulk", (double)s->n / seconds, "objects/s");
    for (int64_t k = 0; k < per_bulk(s); k++)
        item_free(&t[k]);
    free(t);
    free(b.data);
}

static void
tx(PGconn *pg, const items *s)
{
    item t = {0};
    int64_t n = item_transactions(s), *serials = allocate((size_t)s->n, sizeof *serials);
    int64_t serial = first_revision() + 2;
    double seconds = 0;
    PGresult *r = PQexecParams(pg, "SELECT zoid, serial FROM object_state WHERE zoid >= 1024", 0,
                               NULL, NULL, NULL, NULL, 1);
    check(pg, PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == s->n, "serials");
    for (int row = 0; row < PQntuples(r); row++)
        serials[number_at(PQgetvalue(r, row, 0), 8) - FIRST_OID] = number_at(PQgetvalue(r, row, 1),
                                                                             8);
    PQclear(r);
    prepare_cas(pg);
    check(pg, PQenterPipelineMode(pg), "pipeline");
    for (int64_t k = 0; k < WARM_UP + n; k++) {
        int64_t i = k * STEP % s->n;
        item_of(&t, s, i, first_revision() + k + 1);
        both_forms to = {{t.record.data, t.record.n}, {t.json.data, t.json.n}};
        double start = now();
        change_one(pg, to, FIRST_OID + i, &serials[i], serial++);
        seconds += k < WARM_UP ? 0 : now() - start;
    }
    report("tx1", (double)n / seconds, "tx/s");
    item_free(&t);
    free(serials);
}

static volatile uint8_t touched; /* so that a compiler cannot leave the reading out */

static void
load(PGconn *pg, const items *s)
{
    bytes zoids = {NULL, 0, 0};
    int64_t seen = 0, passes = load_passes(s);
    prepare(pg, "many",
            "SELECT zoid, serial, state FROM object_state WHERE zoid = ANY ($1::bigint[])");
    double start = now();
    run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    for (int64_t pass = 0; pass < passes; pass++)
        for (int64_t i = 0; i < s->n;) {
            int64_t here = at_most(s->n - i, per_batch(s));
            begin_array(&zoids, INT8_OID, (size_t)here);
            for (int64_t k = 0; k < here; k++)
                put_bigint(&zoids, FIRST_OID + i++);
            PGresult *r = fetch(pg, "many", zoids.data, zoids.n);
            for (int row = 0; row < PQntuples(r); row++)
                touched ^= ((uint8_t *)PQgetvalue(r, row, 2))[PQgetlength(r, row, 2) / 2];
            seen += PQntuples(r);
            PQclear(r);
        }
    run(pg, "COMMIT");
    if (seen != s->n * passes)
        give_up("load", "objects are missing");
    report("load", (double)seen / (now() - start), "objects/s");
    free(zoids.data);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(PGconn *pg, const items *s);
    } operations[] = {
        {"register", register_classes}, {"bulk", bulk}, {"tx", tx}, {"load", load}, {NULL, NULL}};
    if (argc != 7)
        give_up("usage", "scale_limit OPERATION SCHEMA N SIZE REFS CLASSES");
    items s = items_asked(argv + 3);
    schema = argv[2];
    for (int i = 0; operations[i].name; i++)
        if (strcmp(operations[i].name, argv[1]) == 0) {
            PGconn *pg = dial(schema);
            operations[i].run(pg, &s);
            PQfinish(pg);
            return 0;
        }
    give_up(argv[1], "no such operation");
}
