/*
 * tables.c - commits into a store with a typed table, and into one without
 *
 *     tables create SCHEMA       a store
 *     tables bulk SCHEMA N       N new orders, 1,000 a transaction
 *     tables tx SCHEMA N         transactions that change one of them
 *
 * An order has 16 fields, so its table has 17 columns.
 */
#include "workload.h"

#include <newtdb.h>

struct order;
NEWT_DECLARE(order);
struct order {
    newt_text number, customer, city, note;
    int state;
    int32_t quantity, discount;
    uint64_t total;
    double weight, volume;
    newt_time placed, sent;
    newt_date due;
    bool paid;
    order_ref previous;
    NEWT_ARRAY(newt_text) tags;
};
/* clang-format off */
NEWT_CLASS(order, "Order", 1, NULL, NEWT_FIELD(struct order, number),
           NEWT_FIELD(struct order, customer), NEWT_FIELD(struct order, city),
           NEWT_FIELD(struct order, note), NEWT_ENUM(struct order, state, state_names),
           NEWT_FIELD(struct order, quantity), NEWT_FIELD(struct order, discount),
           NEWT_FIELD(struct order, total), NEWT_FIELD(struct order, weight),
           NEWT_FIELD(struct order, volume), NEWT_FIELD(struct order, placed),
           NEWT_FIELD(struct order, sent), NEWT_FIELD(struct order, due),
           NEWT_FIELD(struct order, paid), NEWT_REF(struct order, previous, order),
           NEWT_LIST(struct order, tags));
/* clang-format on */

static newt_db *db;
static newt_conn *c;

static void
check(bool fine, const char *what)
{
    if (!fine)
        give_up(what, newt_error_message(newt_last_error(db, c)));
}

static void
set_order(struct order *o, int64_t i, int64_t rev)
{
    task_values t;
    task_values_of(&t, i, rev);
    newt_set(o, number, t.title);
    newt_set(o, customer, t.tags[0]);
    newt_set(o, city, t.tags[1]);
    newt_set(o, note, t.title + 10);
    o->state = t.state;
    o->quantity = t.points;
    o->discount = (int)(i % 7);
    o->total = (uint64_t)(i * 100 + rev);
    o->weight = (double)i / 8;
    o->volume = (double)rev / 4;
    o->placed.us = 1700000000000000 + i * 1000003;
    o->sent.us = o->placed.us + rev;
    o->due.days = (int32_t)(19000 + i % 1000);
    o->paid = rev % 2;
    o->tags.n = 0;
    for (int k = 0; k < 3; k++)
        if (newt_append(o, tags, (newt_text){0}) != NEWT_OK ||
            newt_text_set((newt_object *)o, &newt_items(o, tags)[k], t.tags[k]) != NEWT_OK)
            check(false, "tags");
}

static void
bulk(int64_t n)
{
    newt_ref last = {0};
    double start = now();
    for (int64_t i = 0; i < n; i += PER_BULK) {
        check(newt_begin(c) == NEWT_OK, "begin");
        for (int64_t k = i; k < i + PER_BULK; k++) {
            struct order *o = order_new(c);
            check(o, "new");
            set_order(o, k, 0);
            o->previous.any = last;
            last = order_id(o).any;
            order_done(o);
        }
        check(newt_commit(c) == NEWT_OK, "commit");
    }
    report("typed_bulk", (double)n / (now() - start), "objects/s");
}

static void
tx(int64_t n)
{
    int64_t tx1 = tx1_transactions();
    double start = 0;
    for (int64_t k = 0; k < WARM_UP + tx1; k++) {
        order_ref r = {.any = {FIRST_OID + k * STEP % n}};
        struct order *o;
        if (k == WARM_UP)
            start = now();
        check(newt_begin(c) == NEWT_OK, "begin");
        o = order_write(c, r);
        check(o, "write");
        set_order(o, k * STEP % n, first_revision() + k + 1);
        order_done(o);
        check(newt_commit(c) == NEWT_OK, "commit");
    }
    report("typed_tx1", (double)tx1 / (now() - start), "tx/s");
}

int
main(int argc, char **argv)
{
    static const newt_class *const classes[] = {&order_class, NULL};
    if (argc == 3 && strcmp(argv[1], "create") == 0) {
        newt_error *e = NULL;
        if (newt_store_create(NULL, argv[2], &e) != NEWT_OK)
            give_up("create", e ? newt_error_message(e) : "out of memory");
        newt_error_free(e);
    } else if (argc != 4 || (strcmp(argv[1], "bulk") != 0 && strcmp(argv[1], "tx") != 0)) {
        give_up("usage", "tables create SCHEMA | tables bulk|tx SCHEMA N");
    }
    newt_options options = {.size = sizeof options, .schema = argv[2]};
    check(newt_db_open(&db, NULL, classes, &options) == NEWT_OK, "open");
    check(newt_connect(db, &c) == NEWT_OK, "connect");
    if (argc == 4)
        (*argv[1] == 'b' ? bulk : tx)(atoll(argv[3]));
    newt_close(c);
    newt_db_close(db);
}
