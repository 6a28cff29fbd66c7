/*
 * trees.h - classes of trees of every kind of key and value, and what numbers they stand for
 *
 * Key i is less than key i + 1, so a plain array of numbers is the model of any of them.
 */
#ifndef NEWT_TESTS_TREES_H
#define NEWT_TESTS_TREES_H

#include "../concurrency/concurrency.h"
#include "stored.h"

struct part;
NEWT_DECLARE(part);
struct part {
    newt_text name;
    int64_t n;
    NEWT_ARRAY(newt_text) words;
};
NEWT_CLASS(part, "Part", 1, NULL, NEWT_FIELD(struct part, name), NEWT_FIELD(struct part, n),
           NEWT_LIST(struct part, words));

NEWT_DECLARE_BTREE(int_tree, int64_t, int64_t);
NEWT_DECLARE_BTREE(uint_tree, uint64_t, uint64_t);
NEWT_DECLARE_BTREE(text_tree, newt_text, part_ref);
NEWT_DECLARE_BTREE(bytes_tree, newt_bytes, newt_bytes);
NEWT_DECLARE_BTREE(time_tree, newt_time, double);
NEWT_DECLARE_BTREE(date_tree, newt_date, newt_text);
NEWT_DECLARE_BTREE(uuid_tree, newt_uuid, newt_json);
NEWT_DECLARE_BTREE(ref_tree, newt_ref, struct part);
NEWT_DECLARE_BTREE2(pair_tree, newt_text, int64_t, newt_ref);
NEWT_DECLARE_BTREE3(triple_tree, newt_date, newt_uuid, uint64_t, int64_t);
NEWT_DECLARE_TREESET(text_set, newt_text);
NEWT_DECLARE_TREESET2(pair_set, int64_t, newt_ref);
NEWT_DECLARE_BTREE2(padded_tree, int64_t, newt_date, int64_t); /* its keys end with padding */

/* Small nodes: trees of few entries have all that large ones have. */
#define SMALL .node_bytes = 250
NEWT_BTREE(int_tree, "IntTree", NEWT_VALUES(int_tree), SMALL);
NEWT_BTREE(uint_tree, "UintTree", NEWT_VALUES(uint_tree), SMALL);
NEWT_BTREE(text_tree, "TextTree", NEWT_VALUES_OF_REFS(text_tree, part), SMALL);
NEWT_BTREE(bytes_tree, "BytesTree", NEWT_VALUES(bytes_tree), SMALL, .not_counted = true);
NEWT_BTREE(time_tree, "TimeTree", NEWT_VALUES(time_tree), SMALL);
NEWT_BTREE(date_tree, "DateTree", NEWT_VALUES(date_tree), SMALL);
NEWT_BTREE(uuid_tree, "UuidTree", NEWT_VALUES(uuid_tree), SMALL);
NEWT_BTREE(ref_tree, "RefTree", NEWT_VALUES_OF_STRUCTS(ref_tree, part), .node_bytes = 700);
NEWT_BTREE2(pair_tree, "PairTree", NEWT_VALUES(pair_tree), SMALL);
NEWT_BTREE3(triple_tree, "TripleTree", NEWT_VALUES(triple_tree), SMALL);
NEWT_TREESET(text_set, "TextSet", SMALL);
NEWT_TREESET2(pair_set, "PairSet", SMALL);
NEWT_BTREE2(padded_tree, "PaddedTree", NEWT_VALUES(padded_tree), SMALL);

static const newt_class *const trees[] = {
    &part_class,        &int_tree_class,  &uint_tree_class, &text_tree_class,   &bytes_tree_class,
    &time_tree_class,   &date_tree_class, &uuid_tree_class, &ref_tree_class,    &pair_tree_class,
    &triple_tree_class, &text_set_class,  &pair_set_class,  &padded_tree_class, NULL};

/* A key or a value of any of them, with what it points to. */
typedef struct any {
    union {
        int64_t i;
        uint64_t u;
        double d;
        newt_text text;
        newt_bytes bytes;
        newt_time time;
        newt_date date;
        newt_uuid uuid;
        newt_ref ref;
        newt_json json;
        struct part part;
        pair_tree_key pair;
        triple_tree_key triple;
        pair_set_key refs;
    };
    char memory[200];
    newt_text words[2];
} any;

/* ---- keys ----------------------------------------------------------------------------------- */

static void
int_key(any *k, int64_t i)
{
    k->i = (i - 500) * INT64_C(9007199254740993);
}
static void
uint_key(any *k, int64_t i)
{
    k->u = (uint64_t)i * UINT64_C(9223372036854775) + 3;
}
/* Of different lengths, some with a NUL or the same beginnings. */
static void
text_key(any *k, int64_t i)
{
    int n = snprintf(k->memory, sizeof k->memory, "%s%04d", "key of this tree ", (int)(i / 4));

    for (int64_t more = i % 4; more > 0; more--)
        k->memory[n++] = more == 1 ? 0 : 'x';
    k->text = newt_strn(k->memory, (size_t)n);
}
static void
bytes_key(any *k, int64_t i)
{
    k->memory[0] = (char)(i >> 8);
    k->memory[1] = (char)i;
    k->memory[2] = 0;
    k->bytes = (newt_bytes){(const uint8_t *)k->memory, 2 + (i & 1), 0};
}
static void
time_key(any *k, int64_t i)
{
    k->time.us = (i - 300) * 1234567;
}
static void
date_key(any *k, int64_t i)
{
    k->date.days = (int32_t)((i - 500) * 101);
}
static void
uuid_key(any *k, int64_t i)
{
    memset(&k->uuid, 7, sizeof k->uuid);
    k->uuid.b[0] = (uint8_t)(i >> 8);
    k->uuid.b[1] = (uint8_t)i;
}
static void
ref_key(any *k, int64_t i)
{
    k->ref.oid = (i + 1) * 1000000;
}
static void
pair_key(any *k, int64_t i)
{
    int n = snprintf(k->memory, sizeof k->memory, "%04d", (int)(i / 7));

    k->pair.a = newt_strn(k->memory, (size_t)n);
    k->pair.b = i % 7 - 3;
}
static void
triple_key(any *k, int64_t i)
{
    k->triple.a.days = (int32_t)(i / 25) - 20;
    memset(&k->triple.b, 0, sizeof k->triple.b);
    k->triple.b.b[15] = (uint8_t)(i / 5 % 5 + 1);
    k->triple.c = (uint64_t)(i % 5) << 62;
    if (i % 5 == 4)
        k->triple.c = UINT64_MAX;
}
static void
pair_set_key_of(any *k, int64_t i)
{
    k->refs.a = i / 3 - 100;
    k->refs.b.oid = i % 3 + 1;
}

/* ---- values --------------------------------------------------------------------------------- */

static void
int_value(any *v, int64_t i)
{
    v->i = i;
}
static void
uint_value(any *v, int64_t i)
{
    v->u = UINT64_MAX - (uint64_t)i;
}
static void
ref_value(any *v, int64_t i)
{
    v->ref.oid = i; /* 0 is null */
}
static void
bytes_value(any *v, int64_t i)
{
    memcpy(v->memory, &i, sizeof i);
    v->bytes = (newt_bytes){i ? (const uint8_t *)v->memory : NULL, i ? sizeof i : 0, 0};
}
static void
double_value(any *v, int64_t i)
{
    v->d = (double)i / 3;
}
static void
text_value(any *v, int64_t i)
{
    int n = snprintf(v->memory, sizeof v->memory, "%*s%lld", (int)(i % 40), "", (long long)i);

    v->text = i ? newt_strn(v->memory, (size_t)n) : (newt_text){0};
}
/* CBOR: [i] */
static void
json_value(any *v, int64_t i)
{
    uint8_t *p = (uint8_t *)v->memory;
    int n = 0;

    p[n++] = 0x81;
    if (i < 24) {
        p[n++] = (uint8_t)i;
    } else if (i < 256) {
        p[n++] = 0x18;
        p[n++] = (uint8_t)i;
    } else {
        p[n++] = 0x19;
        p[n++] = (uint8_t)(i >> 8);
        p[n++] = (uint8_t)i;
    }
    v->json.item = (newt_bytes){p, (uint32_t)n, 0};
}
static void
part_value(any *v, int64_t i)
{
    int n = snprintf(v->memory, sizeof v->memory, "part %lld", (long long)i);

    memset(&v->part, 0, sizeof v->part);
    v->part.name = newt_strn(v->memory, (size_t)n);
    v->part.n = i;
    v->words[0] = newt_strn(v->memory, 4);
    v->words[1] = newt_strn(v->memory + 5, (size_t)n - 5);
    v->part.words.items = v->words;
    v->part.words.n = (uint32_t)(i % 3);
}

static bool
same_bytes(const void *a, uint32_t n, const void *b, uint32_t m)
{
    return n == m && !a == !b && (n == 0 || memcmp(a, b, n) == 0);
}

enum {
    BY_VALUE, /* its memory says what it is */
    AS_BYTES,
    AS_PART
};

/* ---- all of them ------------------------------------------------------------------------------
 */

typedef struct kind {
    const newt_class *k;
    void (*key)(any *, int64_t);
    void (*value)(any *, int64_t); /* NULL: a set */
    size_t value_size;
    int compared;
} kind;

static const kind kinds[] = {
    {&int_tree_class, int_key, int_value, 8, BY_VALUE},
    {&uint_tree_class, uint_key, uint_value, 8, BY_VALUE},
    {&text_tree_class, text_key, ref_value, 8, BY_VALUE},
    {&bytes_tree_class, bytes_key, bytes_value, sizeof(newt_bytes), AS_BYTES},
    {&time_tree_class, time_key, double_value, 8, BY_VALUE},
    {&date_tree_class, date_key, text_value, sizeof(newt_text), AS_BYTES},
    {&uuid_tree_class, uuid_key, json_value, sizeof(newt_json), AS_BYTES},
    {&ref_tree_class, ref_key, part_value, sizeof(struct part), AS_PART},
    {&pair_tree_class, pair_key, ref_value, 8, BY_VALUE},
    {&triple_tree_class, triple_key, int_value, 8, BY_VALUE},
    {&text_set_class, text_key, NULL, 0, BY_VALUE},
    {&pair_set_class, pair_set_key_of, NULL, 0, BY_VALUE},
};
enum {
    N_KINDS = sizeof kinds / sizeof *kinds
};

/* Whether a key or value that was read is the one of this number. */
UNUSED static bool
is_key(const kind *x, const any *k, int64_t i)
{
    any should;

    memset(&should, 0, sizeof should);
    x->key(&should, i);
    if (x->key == text_key)
        return same_bytes(k->text.s, k->text.n, should.text.s, should.text.n);
    if (x->key == bytes_key)
        return same_bytes(k->bytes.p, k->bytes.n, should.bytes.p, should.bytes.n);
    if (x->key == pair_key)
        return k->pair.b == should.pair.b &&
               same_bytes(k->pair.a.s, k->pair.a.n, should.pair.a.s, should.pair.a.n);
    if (x->key == triple_key)
        return k->triple.a.days == should.triple.a.days && k->triple.c == should.triple.c &&
               memcmp(&k->triple.b, &should.triple.b, sizeof should.triple.b) == 0;
    if (x->key == pair_set_key_of)
        return k->refs.a == should.refs.a && k->refs.b.oid == should.refs.b.oid;
    if (x->key == uuid_key)
        return memcmp(&k->uuid, &should.uuid, sizeof should.uuid) == 0;
    return x->key == date_key ? k->date.days == should.date.days : k->i == should.i;
}

UNUSED static bool
is_value(const kind *x, const any *v, int64_t i)
{
    any should;

    if (!x->value)
        return true;
    memset(&should, 0, sizeof should);
    x->value(&should, i);
    switch (x->compared) {
    case AS_BYTES: return same_bytes(v->bytes.p, v->bytes.n, should.bytes.p, should.bytes.n);
    case AS_PART:
        if (v->part.n != i || v->part.words.n != should.part.words.n ||
            !same_bytes(v->part.name.s, v->part.name.n, should.part.name.s, should.part.name.n))
            return false;
        for (uint32_t w = 0; w < v->part.words.n; w++)
            if (!same_bytes(v->part.words.items[w].s, v->part.words.items[w].n, should.words[w].s,
                            should.words[w].n))
                return false;
        return true;
    default: return v->i == should.i;
    }
}

UNUSED static int
print_problem(void *arg, newt_ref node, const char *problem)
{
    (void)arg;
    print_message("# node %lld %s\n", (long long)node.oid, problem);
    return NEWT_OK;
}

/* The tree has no fault. */
UNUSED static void
check_tree(newt_conn *c, newt_ref tree, const newt_class *k)
{
    int64_t problems;

    ok(c, newt_btree_check(c, tree, k, print_problem, NULL, &problems));
    assert_int_equal(problems, 0);
}

#endif
