/*
 * scale.c - Items through Newt: how cost grows with an object's size, its references, its classes
 *
 *     scale OPERATION SCHEMA N SIZE REFS CLASSES     the database: libpq's environment
 *
 * Operations: register, bulk, tx, load. See item.h, and bench/scale/run, which calls it.
 */
#include "item.h"

#include <newtdb.h>

struct item {
    int64_t rev;
    newt_text text;
    NEWT_ARRAY(newt_ref) refs;
};
static const newt_field item_fields[] = {
    NEWT_FIELD(struct item, rev), NEWT_FIELD(struct item, text), NEWT_LIST(struct item, refs)};

static newt_db *db;
static const char *schema;
static newt_class *tables;         /* one a class */
static const newt_class **classes; /* their addresses, and NULL */

static void
check(newt_conn *c, bool fine, const char *what)
{
    if (!fine)
        give_up(what, newt_error_message(newt_last_error(db, c)));
}

static void
make_classes(int64_t n)
{
    tables = allocate((size_t)n, sizeof *tables);
    classes = allocate((size_t)n + 1, sizeof(newt_class *));
    char *names = allocate((size_t)n, ITEM_NAME);
    for (int64_t k = 0; k < n; k++) {
        item_class_name(names + k * ITEM_NAME, k);
        tables[k] = (newt_class){.class_size = sizeof(newt_class),
                                 .field_size = sizeof(newt_field),
                                 .size = sizeof(struct item),
                                 .name = names + k * ITEM_NAME,
                                 .version = 1,
                                 .n_fields = 3,
                                 .fields = item_fields};
        classes[k] = &tables[k];
    }
}

static newt_conn *
dial(void)
{
    newt_options options = {.size = sizeof options, .schema = schema};
    newt_conn *c = NULL;
    check(NULL, newt_db_open(&db, NULL, classes, &options) == NEWT_OK, "open");
    check(c, newt_connect(db, &c) == NEWT_OK, "connect");
    return c;
}

static void
hang_up(newt_conn *c)
{
    newt_close(c);
    newt_db_close(db);
}

static newt_ref
item_number(int64_t i)
{
    return (newt_ref){.oid = FIRST_OID + i};
}

static void
begin(newt_conn *c)
{
    check(c, newt_begin(c) == NEWT_OK, "begin");
}

static void
commit(newt_conn *c)
{
    check(c, newt_commit(c) == NEWT_OK, "commit");
}

/* A program's start: it opens the store, and gets a connection. The first time its classes are new.
 */
static void
register_classes(const items *s)
{
    (void)s;
    for (int again = 0; again < 2; again++) {
        double start = now();
        newt_conn *c = dial();
        report(again ? "open" : "register", (now() - start) * 1000, "ms");
        hang_up(c);
    }
}

static void
bulk(const items *s)
{
    newt_conn *c = dial();
    char *text = allocate((size_t)s->size + 1, 1);
    double seconds = 0;
    for (int64_t i = 0; i < s->n;) {
        begin(c);
        for (int64_t k = per_bulk(s); k > 0 && i < s->n; k--, i++) {
            item_text(text, s, i);
            double start = now();
            newt_object *o = newt_new(c, &tables[i % s->classes]);
            check(c, o != NULL, "new");
            struct item *t = (struct item *)o;
            newt_text_set(o, &t->text, text);
            newt_ref *refs = newt_array_grow(o, &t->refs, sizeof *refs, (size_t)s->refs);
            for (int64_t r = 0; r < s->refs; r++)
                refs[r].oid = item_ref(s, i, r);
            if (newt_ref_of(o).oid != FIRST_OID + i)
                give_up("bulk", "another oid");
            newt_done(o);
            seconds += now() - start;
        }
        double start = now();
        commit(c);
        seconds += now() - start;
    }
    report("bulk", (double)s->n / seconds, "objects/s");
    free(text);
    hang_up(c);
}

static void
load_all(newt_conn *c, const items *s)
{
    newt_ref refs[PER_BATCH];
    for (int64_t i = 0; i < s->n;) {
        size_t here = 0;
        for (int64_t k = per_batch(s); k > 0 && i < s->n; k--)
            refs[here++] = item_number(i++);
        check(c, newt_prefetch(c, refs, here) == NEWT_OK, "prefetch");
    }
}

static volatile char touched; /* so that a compiler cannot leave the reading out */

static void
tx(const items *s)
{
    newt_conn *c = dial();
    int64_t n = item_transactions(s);
    double start = 0;
    begin(c);
    load_all(c, s);
    newt_abort(c);
    for (int64_t k = 0; k < WARM_UP + n; k++) {
        int64_t i = k * STEP % s->n;
        if (k == WARM_UP)
            start = now();
        begin(c);
        newt_object *o = newt_write(c, item_number(i), &tables[i % s->classes]);
        check(c, o != NULL, "write");
        ((struct item *)o)->rev = first_revision() + k + 1;
        newt_done(o);
        commit(c);
    }
    report("tx1", (double)n / (now() - start), "tx/s");
    hang_up(c);
}

static void
load(const items *s)
{
    double seconds = 0;
    for (int64_t pass = load_passes(s); pass > 0; pass--) {
        newt_conn *c = dial();
        begin(c);
        (void)newt_root(c, "last");
        double start = now();
        load_all(c, s);
        for (int64_t i = 0; i < s->n; i++) {
            const newt_object *o = newt_read(c, item_number(i), &tables[i % s->classes]);
            check(c, o != NULL, "read");
            const struct item *t = (const struct item *)o;
            touched ^= t->text.s[t->text.n / 2];
            newt_done(o);
        }
        seconds += now() - start;
        newt_abort(c);
        hang_up(c);
    }
    report("load", (double)(s->n * load_passes(s)) / seconds, "objects/s");
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(const items *s);
    } operations[] = {
        {"register", register_classes}, {"bulk", bulk}, {"tx", tx}, {"load", load}, {NULL, NULL}};
    if (argc != 7)
        give_up("usage", "scale OPERATION SCHEMA N SIZE REFS CLASSES");
    items s = items_asked(argv + 3);
    schema = argv[2];
    make_classes(s.classes);
    for (int i = 0; operations[i].name; i++)
        if (strcmp(operations[i].name, argv[1]) == 0) {
            operations[i].run(&s);
            return 0;
        }
    give_up(argv[1], "no such operation");
}
