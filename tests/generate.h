/*
 * generate.h - random state records over every kind, from a seed
 *
 * Depends on the codec alone, so that the codec's own tests and the comparison of the three
 * producers of JSON draw from one source. The same seed and knobs give the same records on every
 * machine.
 *
 *     generate g;
 *     generate_init(&g, generate_seed());        prints "# NEWT_SEED=..." on stdout
 *     generate_record(&g, &w, NULL);             w.buf.data, w.buf.n: a valid record
 */
#ifndef NEWT_TESTS_GENERATE_H
#define NEWT_TESTS_GENERATE_H

#include "../codec/codec.h"

typedef struct generate {
    uint64_t state;     /* of the random numbers */
    uint32_t max_depth; /* containers open at once, `state` included */
    uint32_t max_items; /* items of one record, about */
    uint32_t max_bytes; /* of one text or bytes */
    uint32_t rarity;    /* one value in this many is one of the rare: hostile text, huge numbers */
    uint32_t left;      /* of max_items, while a record is made */
    uint32_t open;      /* containers open now */
    uint32_t reordered; /* of these, how many the writer will sort: no sharing inside */
    uint64_t shared;    /* numbers given by tag 28 in this record */
} generate;

/* NEWT_SEED from the environment, else a new one; printed either way, as a TAP comment. */
uint64_t generate_seed(void);

/* Default knobs: depth 6, 60 items, 64 bytes, rarity 12. They may be changed afterwards. */
void generate_init(generate *g, uint64_t seed);

uint64_t generate_u64(generate *g);
uint64_t generate_below(generate *g, uint64_t n); /* 0 .. n - 1; n > 0 */
uint64_t generate_spread(generate *g);            /* every number of bits is equally likely */

/* Writes one whole record, begin and end included. class_name NULL: a random one. What the writer
 * reports is handed back; with the default limits that is only ever NEWT__OK or NEWT__NOMEM. */
newt__code generate_record(generate *g, newt__writer *w, const char *class_name);

#endif
