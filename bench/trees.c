/*
 * trees.c - trees of many entries: Newt's side
 *
 *     trees bulk SCHEMA N      a tree of N sorted text keys, in one transaction; in a new store
 *     trees scan SCHEMA N      all of them, with an empty cache
 *     trees lookup SCHEMA N    at random, all nodes in the cache
 *     trees insert SCHEMA N    into a tree of N entries, at random, 1,000 a transaction: the time
 *                              until the commit, and that of the commit
 *     trees size SCHEMA N      memory and record bytes of an entry
 *
 * Keys are texts with references, and (lookup, insert) numbers with numbers. bench/trees_limit has
 * the other side.
 */
#include "newt_task.h"
#include "tree_keys.h"

NEWT_DECLARE_BTREE(names, newt_text, newt_ref);
NEWT_DECLARE_BTREE(numbers, int64_t, int64_t);
NEWT_BTREE(names, "Names", NEWT_VALUES(names));
NEWT_BTREE(numbers, "Numbers", NEWT_VALUES(numbers));
/* Nodes that PostgreSQL moves out of their rows. */
NEWT_DECLARE_BTREE(large, newt_text, newt_ref);
NEWT_BTREE(large, "Large", NEWT_VALUES(large), .node_bytes = 4000);

static void
open_trees(void)
{
    static const newt_class *const classes[] = {&names_class, &numbers_class, &large_class, NULL};
    newt_options options = {.size = sizeof options, .schema = schema, .cache_bytes = SIZE_MAX};

    check(NULL, newt_db_open(&db, uri, classes, &options) == NEWT_OK, "open");
}

static void
create(void)
{
    newt_error *e = NULL;

    if (newt_store_create(NULL, schema, &e) != NEWT_OK)
        give_up("create", e ? newt_error_message(e) : "out of memory");
    newt_error_free(e);
}

/* ---- bulk --------------------------------------------------------------------------------- */

typedef struct entries {
    int64_t i, n;
    char key[TREE_KEY];
} entries;

static int
next_name(void *arg, newt_text *key, newt_ref *value)
{
    entries *e = arg;

    if (e->i == e->n)
        return 0;
    *key = newt_strn(e->key, tree_key_of(e->key, e->i));
    value->oid = ++e->i;
    return 1;
}

static int
next_number(void *arg, int64_t *key, int64_t *value)
{
    entries *e = arg;

    if (e->i == e->n)
        return 0;
    *key = *value = e->i++;
    return 1;
}

static void
bulk(int64_t n)
{
    entries e = {.n = n};
    newt_conn *c = dial();
    double began = now();

    begin(c);
    names_ref tree = names_create(c);
    check(c, names_load(c, tree, next_name, &e) == NEWT_OK, "load");
    check(c, newt_set_root(c, "names", tree.any) == NEWT_OK, "root");
    commit(c);
    report("tree_bulk", (double)n / (now() - began), "entries/s");
    e = (entries){.n = n};
    began = now();
    begin(c);
    large_ref nodes = large_create(c);
    check(c, large_load(c, nodes, next_name, &e) == NEWT_OK, "load");
    check(c, newt_set_root(c, "large", nodes.any) == NEWT_OK, "root");
    commit(c);
    report("tree_bulk_4000", (double)n / (now() - began), "entries/s");
    e = (entries){.n = n};
    begin(c);
    numbers_ref other = numbers_create(c);
    check(c, numbers_load(c, other, next_number, &e) == NEWT_OK, "load");
    check(c, newt_set_root(c, "numbers", other.any) == NEWT_OK, "root");
    commit(c);
    newt_close(c);
}

/* ---- scan --------------------------------------------------------------------------------- */

static void
scan(int64_t n)
{
    newt_conn *c = dial();
    newt_stats before, after;
    int64_t found = 0, sum = 0;

    before.size = after.size = sizeof before;
    begin(c);
    names_ref tree = names_of(newt_root(c, "names"));
    newt_conn_stats(c, &before);
    double began = now();
    names_cursor at = names_range(c, tree, NULL);
    while (names_next(&at) == 1) {
        found++;
        sum += at.value.oid + at.key.n;
    }
    report("tree_scan", (double)n / (now() - began), "entries/s");
    newt_conn_stats(c, &after);
    report("tree_scan_round_trips", (double)(after.round_trips - before.round_trips), "");
    check(c, found == n && sum > 0, "scan");
    newt_abort(c);
    newt_close(c);
}

/* Brings all nodes into the cache: a walk would follow the values, too. */
static void
load_all(newt_conn *c, newt_ref r, bool texts)
{
    if (texts) {
        names_cursor at = names_range(c, names_of(r), NULL);
        while (names_next(&at) == 1)
            ;
    } else {
        numbers_cursor at = numbers_range(c, numbers_of(r), NULL);
        while (numbers_next(&at) == 1)
            ;
    }
}

/* ---- look-ups ------------------------------------------------------------------------------- */

static void
lookup(int64_t n)
{
    newt_conn *c = dial();
    int64_t found = 0, times = n;
    double began;

    begin(c);
    names_ref tree = names_of(newt_root(c, "names"));
    numbers_ref other = numbers_of(newt_root(c, "numbers"));
    char(*keys)[TREE_KEY] = allocate((size_t)n, sizeof *keys);
    for (int64_t i = 0; i < n; i++)
        tree_key_of(keys[i], tree_random(i, n));
    for (int turn = 0; turn < 2; turn++) { /* the first loads */
        began = now();
        found = 0;
        for (int64_t i = 0; i < times; i++) {
            newt_ref r;
            found += names_get(c, tree, newt_strn(keys[i], 16), &r) == 1;
        }
    }
    report("tree_lookup", (double)times / (now() - began), "per s");
    check(c, found == times, "look-ups");
    for (int turn = 0; turn < 2; turn++) {
        began = now();
        found = 0;
        for (int64_t i = 0; i < times; i++) {
            int64_t v;
            found += numbers_get(c, other, tree_random(i, n), &v) == 1;
        }
    }
    report("tree_lookup_int", (double)times / (now() - began), "per s");
    check(c, found == times, "look-ups");
    newt_abort(c);
    newt_close(c);
}

/* ---- inserts ------------------------------------------------------------------------------- */

/* Keys between those that are there. */
static void
insert(int64_t n)
{
    newt_conn *c = dial();
    int64_t times = n / 5;
    double put = 0, committed = 0, began;

    for (int what = 0; what < 2; what++) {
        begin(c);
        newt_ref r = newt_root(c, what ? "numbers" : "names");
        load_all(c, r, what == 0);
        newt_abort(c);
        put = committed = 0;
        for (int64_t i = 0; i < times;) {
            begin(c);
            began = now();
            for (int k = 0; k < TREE_PER_COMMIT; k++, i++) {
                int64_t at = tree_random(i, n);
                int done;
                if (what) {
                    done = numbers_put(c, numbers_of(r), at + n, i);
                } else {
                    char key[TREE_KEY];
                    size_t length = tree_key_of(key, at);
                    key[length++] = 'x';
                    done = names_put(c, names_of(r), newt_strn(key, length), (newt_ref){i + 1});
                }
                check(c, done == NEWT_OK, "put");
            }
            put += now() - began;
            began = now();
            commit(c);
            committed += now() - began;
        }
        report(what ? "tree_insert_int" : "tree_insert", (double)times / put, "per s");
        report(what ? "tree_insert_int_commit" : "tree_insert_commit",
               (double)times / (put + committed), "per s");
    }
    newt_close(c);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void
size(int64_t n)
{
    newt_conn *c = dial();
    newt_stats before, after;
    double bytes;

    bytes = (double)number(c, "SELECT sum(octet_length(state))::bigint FROM object_state"
                              " WHERE state BETWEEN '\\x83654e616d6573' AND '\\x83654e616d657400'");
    report("tree_record", bytes / (double)n, "bytes");
    bytes = (double)number(c, "SELECT avg(octet_length(state))::bigint FROM object_state"
                              " WHERE state BETWEEN '\\x83654e616d6573' AND '\\x83654e616d657400'");
    report("tree_node", bytes, "bytes");
    before.size = after.size = sizeof before;
    begin(c);
    newt_ref r = newt_root(c, "names");
    newt_conn_stats(c, &before);
    load_all(c, r, true);
    newt_conn_stats(c, &after);
    report("tree_memory", (double)(after.bytes - before.bytes) / (double)n, "bytes");
    newt_abort(c);
    newt_close(c);
}

int
main(int argc, char **argv)
{
    int64_t n = argc == 4 ? atoll(argv[3]) : 0;
    const char *what = argc == 4 ? argv[1] : "";

    if (n < TREE_PER_COMMIT)
        give_up("usage", "trees bulk|scan|lookup|insert|size SCHEMA N");
    schema = argv[2];
    if (strcmp(what, "bulk") == 0)
        create();
    open_trees();
    if (strcmp(what, "bulk") == 0)
        bulk(n);
    else if (strcmp(what, "scan") == 0)
        scan(n);
    else if (strcmp(what, "lookup") == 0)
        lookup(n);
    else if (strcmp(what, "insert") == 0)
        insert(n);
    else
        size(n);
    newt_db_close(db);
    return 0;
}
