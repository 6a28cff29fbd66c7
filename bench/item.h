/*
 * item.h - an object of any size, with any number of references, of one of many classes
 *
 * Shared by both sides of bench/scale/run beyond Tasks: scale.c makes Items through Newt,
 * scale_limit.c writes the same bytes.
 */
#ifndef NEWT_BENCH_ITEM_H
#define NEWT_BENCH_ITEM_H

#include "workload.h"

/* N Items, each with a text of SIZE bytes and REFS references; Item i is of class i % CLASSES. */
typedef struct items {
    int64_t n, size, refs, classes;
} items;

enum {
    ITEM_NAME = 16, /* bytes for a class's name */
    BATCH_BYTES =
        8 << 20,     /* of a transaction of new Items, and of a round trip of loads; at most ... */
    PER_BATCH = 100, /* ... this many Items loaded */
    TX_BYTES = 128 << 20,  /* of all changes, at most ... */
    LEAST_TX = 50,         /* ... unless these are fewer transactions */
    LOAD_BYTES = 64 << 20, /* of all loads, at most ... */
    LOAD_ITEMS = 50000     /* ... or this many Items; each at least once */
};

static inline items
items_asked(char **argument)
{
    items s = {atoll(argument[0]), atoll(argument[1]), atoll(argument[2]), atoll(argument[3])};
    if (s.n < 1 || s.size < 0 || s.refs < 0 || s.classes < 1)
        give_up("usage", "N SIZE REFS CLASSES");
    return s;
}

static inline void
item_class_name(char *name, int64_t k)
{
    snprintf(name, ITEM_NAME, "Item%04d", (int)k);
}

/* About what a record takes. */
static inline int64_t
item_bytes(const items *s)
{
    return 40 + s->size + 8 * s->refs;
}

static inline int64_t
at_most(int64_t n, int64_t most)
{
    return n < 1 ? 1 : n < most ? n : most;
}

/* Items of a transaction of new ones, of a batch that is loaded; transactions; times all are
 * loaded. */
static inline int64_t
per_bulk(const items *s)
{
    return at_most(BATCH_BYTES / item_bytes(s), PER_BULK);
}
static inline int64_t
per_batch(const items *s)
{
    return at_most(BATCH_BYTES / item_bytes(s), PER_BATCH);
}
static inline int64_t
item_transactions(const items *s)
{
    int64_t n = at_most(TX_BYTES / item_bytes(s), tx1_transactions());
    return n < LEAST_TX ? LEAST_TX : n;
}
static inline int64_t
load_passes(const items *s)
{
    int64_t all = at_most(LOAD_BYTES / item_bytes(s), LOAD_ITEMS);
    return at_most(all / s->n, LOAD_ITEMS);
}

/* Text that does not compress, the same each time; terminated. */
static inline void
item_text(char *text, const items *s, int64_t i)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    uint64_t x = (uint64_t)i + 1;
    for (int64_t k = 0; k < s->size; k++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        text[k] = letters[x >> 58];
    }
    text[s->size] = 0;
}

static inline int64_t
item_ref(const items *s, int64_t i, int64_t k)
{
    return FIRST_OID + (i + (k + 1) * STEP) % s->n;
}

#endif
