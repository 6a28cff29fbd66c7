/*
 * start.c - a process that connects, reads one object and ends: Newt's side
 *
 *     start create SCHEMA CLASSES    makes the store, with these classes and the object
 *     start read SCHEMA CLASSES      the process; BENCH_URI: another way to the database
 *     start classes SCHEMA CLASSES   registers them, no more
 *
 * CLASSES 100: class tables as a program of 100 classes has them. bench/start_limit measures it.
 */
#include "newt_task.h"

struct thing;
NEWT_DECLARE(thing);
struct thing {
    newt_text name, owner;
    int state, amount;
    double weight;
    newt_time since;
    NEWT_ARRAY(newt_text) tags;
    thing_ref parent;
};
NEWT_CLASS(thing, "Class0000", 1, NULL, NEWT_FIELD(struct thing, name),
           NEWT_FIELD(struct thing, owner), NEWT_ENUM(struct thing, state, state_names),
           NEWT_FIELD(struct thing, amount), NEWT_FIELD(struct thing, weight),
           NEWT_FIELD(struct thing, since), NEWT_LIST(struct thing, tags),
           NEWT_REF(struct thing, parent, thing));

/* The first class and others that differ in their names. */
static const newt_class *const *
make_classes(int n)
{
    const newt_class **list = allocate((size_t)n + 1, sizeof *list);
    newt_class *tables = allocate((size_t)n, sizeof *tables);
    char(*names)[16] = allocate((size_t)n, sizeof *names);
    for (int i = 0; i < n; i++) {
        tables[i] = thing_class;
        snprintf(names[i], sizeof names[i], "Class%04d", i % 10000);
        tables[i].name = names[i];
        list[i] = i == 0 ? &thing_class : &tables[i];
    }
    return list;
}

static void
open_with(const char *name, int n_classes)
{
    newt_options options = {.size = sizeof options, .schema = name};
    options.transaction_pooling = getenv("BENCH_POOLED") != NULL;
    uri = getenv("BENCH_URI");
    check(NULL, newt_db_open(&db, uri, make_classes(n_classes), &options) == NEWT_OK, "open");
}

static void
create(const char *name, int n_classes)
{
    newt_error *e = NULL;
    if (newt_store_create(NULL, name, &e) != NEWT_OK)
        give_up("create", e ? newt_error_message(e) : "out of memory");
    newt_error_free(e);
    open_with(name, n_classes);
    newt_conn *c = dial();
    begin(c);
    struct thing *t = thing_new(c);
    check(c, t != NULL, "new");
    newt_set(t, name, "the quick brown fox jumps over the lazy dog");
    check(c, newt_set_root(c, "first", thing_id(t).any) == NEWT_OK, "root");
    if (thing_id(t).any.oid != FIRST_OID)
        give_up("create", "the object is another one");
    thing_done(t);
    commit(c);
    newt_close(c);
}

static void
read_one(const char *name, int n_classes)
{
    open_with(name, n_classes);
    newt_conn *c = dial();
    begin(c);
    const struct thing *t = thing_read(c, (thing_ref){.any = {.oid = FIRST_OID}});
    check(c, t != NULL, "read");
    if (t->name.n != 43)
        give_up("read", "another object");
    thing_done(t);
    newt_abort(c);
    newt_close(c);
}

int
main(int argc, char **argv)
{
    int n = argc == 4 ? atoi(argv[3]) : 0;
    if (n < 1)
        give_up("usage", "start create|read|classes SCHEMA CLASSES");
    schema = argv[2];
    if (strcmp(argv[1], "create") == 0)
        create(schema, n);
    else if (strcmp(argv[1], "read") == 0)
        read_one(schema, n);
    else
        open_with(schema, n);
    newt_db_close(db);
    printf("%lld %lld\n", (long long)on_wire.round_trips, (long long)on_wire.flushes);
    return 0;
}
