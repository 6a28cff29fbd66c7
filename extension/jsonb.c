/*
 * jsonb.c - JSON events of the codec become a jsonb value
 *
 * Written in the form of utils/jsonb.h directly, since pushJsonbValue and JsonbValueToJsonb cost
 * twice the whole conversion, and gigabytes for millions of small containers. Events are gathered
 * as nodes, 16 bytes each, until every count is known; then the value is written from front to
 * back, each byte once.
 *
 * An object is its header, the entries of its keys, the entries of its values, and the data of all
 * of them in the same order; an array has one entry for each element. An entry is the length of
 * its data, or for every 32nd the end of it. Containers and numbers are aligned.
 */
#include "newt_pg.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

enum {
    FRAMES = 32,       /* containers nested before more memory is asked for */
    INTERRUPTS = 4096, /* values of a container between two looks for interrupts */
    INT_DIGITS = 5     /* of an int64, to the base 10,000 */
};

/* Of an integer of n digits, as numeric. */
#define INT_SIZE(digits) (VARHDRSZ + sizeof(uint16) + (size_t)(digits) * sizeof(int16))

/* ---- gathering ---------------------------------------------------------------------------------
 */

static void
grow(newt_pg_jsonb *out)
{
    newt_pg_node *more = palloc((size_t)out->cap * 2 * sizeof *more);

    memcpy(more, out->nodes, out->n * sizeof *more);
    if (out->nodes != out->few)
        pfree(out->nodes);
    out->nodes = more;
    out->cap *= 2;
}

static pg_attribute_always_inline newt_pg_node *
add(newt_pg_jsonb *out, newt__json_kind kind, uint32 n)
{
    newt_pg_node *node;

    if (unlikely(out->n == out->cap))
        grow(out);
    node = &out->nodes[out->n++];
    node->kind = kind;
    node->unsorted = false;
    node->n = n;
    return node;
}

static char *
copy_text(newt_pg_jsonb *out, const char *s, size_t n)
{
    char *copy;

    if (n <= sizeof out->text - out->n_text) {
        copy = out->text + out->n_text;
        out->n_text += n;
    } else
        copy = palloc(n);
    return memcpy(copy, s, n);
}

static pg_attribute_always_inline void
add_string(newt_pg_jsonb *out, const newt__json *e)
{
    newt_pg_node *node = add(out, NEWT__JSON_STRING, (uint32)e->n);

    node->u.s = e->in_record ? e->s : copy_text(out, e->s, e->n);
    out->size += sizeof(JEntry) + e->n;
}

/* The reader has seen to the order of a record's own keys; what the projection added or changed
 * begins with a colon. */
static void
add_key(newt_pg_jsonb *out, const newt__json *e)
{
    newt_pg_node *object;

    add_string(out, e);
    object = &out->nodes[out->open];
    object->unsorted |= e->n > 1 && e->s[0] == ':' && e->s[1] == ':';
    object->n++;
}

static void
add_number(newt_pg_jsonb *out, Numeric number)
{
    add(out, NEWT__JSON_NUMBER, 0)->u.number = number;
    out->size += sizeof(JEntry) + sizeof(int32) - 1 + VARSIZE_ANY(number);
}

/* As jsonb_in does it, so that the scale is the text's. */
static Numeric
number_of_text(const char *s, size_t n)
{
    char buf[64];
    char *text = n < sizeof buf ? buf : palloc(n + 1);
    Datum d;

    memcpy(text, s, n);
    text[n] = '\0';
    d = DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
                            Int32GetDatum(-1));
    if (text != buf)
        pfree(text);
    return DatumGetNumeric(d);
}

/* An object counts its keys, an array what begins in it. The first node is in no container. */
static pg_attribute_always_inline void
count_element(newt_pg_jsonb *out)
{
    newt_pg_node *around = &out->nodes[out->open];

    if (out->n > 0)
        around->n += around->kind == NEWT__JSON_ARRAY;
}

static int
event(void *arg, const newt__json *e)
{
    newt_pg_jsonb *out = arg;
    newt_pg_node *node;

    switch (e->kind) {
    case NEWT__JSON_KEY: add_key(out, e); return 0;
    case NEWT__JSON_OBJECT_END:
    case NEWT__JSON_ARRAY_END:
        node = &out->nodes[out->open];
        out->open = node->u.link;
        node->u.link = out->n;
        return 0;
    default: count_element(out);
    }
    switch (e->kind) {
    case NEWT__JSON_STRING: add_string(out, e); break;
    case NEWT__JSON_INT:
        add(out, e->kind, 0)->u.i = e->i;
        out->size += sizeof(JEntry) + sizeof(int32) - 1 +
                     INT_SIZE(-10000 < e->i && e->i < 10000 ? 1 : INT_DIGITS);
        break;
    case NEWT__JSON_NUMBER: add_number(out, number_of_text(e->s, e->n)); break;
    case NEWT__JSON_OBJECT:
    case NEWT__JSON_ARRAY:
        add(out, e->kind, 0)->u.link = out->open;
        out->open = out->n - 1;
        out->size += sizeof(JEntry) + sizeof(int32) - 1 + sizeof(uint32);
        break;
    default: add(out, e->kind, 0); out->size += sizeof(JEntry);
    }
    return 0;
}

static void
restart(void *arg)
{
    newt_pg_jsonb *out = arg;

    out->n = out->open = out->n_text = 0;
    out->size = VARHDRSZ + sizeof(uint32) + sizeof(JEntry); /* a scalar is wrapped in an array */
}

void
newt_pg_jsonb_sink(newt__sink *sink, newt_pg_jsonb *out)
{
    *sink = (newt__sink){.event = event, .restart = restart, .arg = out};
    out->nodes = out->few;
    out->cap = lengthof(out->few);
    restart(out);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* A container that is being written. */
typedef struct frame {
    const uint32 *keys; /* of an object whose keys had to be sorted; else NULL */
    bool object;
    uint32 next;      /* node of the next value (of an object: of its key) */
    uint32 n, i;      /* values, and how many of them are written */
    uint32 start;     /* where its data begins, alignment included */
    JEntry *entry;    /* where its next entry goes */
    uint32 n_entries; /* that have been written */
    uint32 length;    /* of the data of all entries so far */
} frame;

typedef struct writing {
    const newt_pg_node *nodes;
    char *data;
    uint32 n; /* bytes written */
    frame *frames;
    uint32 depth, cap;
    frame few[FRAMES];
} writing;

static pg_attribute_always_inline void
align(writing *w)
{
    while (w->n % sizeof(int32) != 0)
        w->data[w->n++] = 0;
}

static pg_attribute_always_inline void
write_entry(frame *f, uint32 type, uint32 length)
{
    f->length += length;
    *f->entry++ = f->n_entries++ % JB_OFFSET_STRIDE == 0 ? type | f->length | JENTRY_HAS_OFF
                                                         : type | length;
}

static pg_attribute_always_inline void
write_string(writing *w, frame *f, const newt_pg_node *node)
{
    memcpy(w->data + w->n, node->u.s, node->n);
    w->n += node->n;
    write_entry(f, JENTRY_ISSTRING, node->n);
}

static void
write_number(writing *w, frame *f, Numeric number)
{
    uint32 start = w->n, size = VARSIZE_ANY(number);

    align(w);
    memcpy(w->data + w->n, number, size);
    w->n += size;
    write_entry(f, JENTRY_ISNUMERIC, w->n - start);
}

/*
 * The numeric that int64_to_numeric would make, in numeric's short form on disk: a header of sign,
 * scale (none) and weight, then digits to the base 10,000 without zeros at either end. Made in
 * place it takes a tenth of the time, and most numbers are integers.
 */
static void
write_int(writing *w, frame *f, int64 i)
{
    uint64 rest = i < 0 ? -(uint64)i : (uint64)i;
    int16 digits[INT_DIGITS];
    int n = 0, weight;
    uint32 start = w->n;
    uint16 header;

    while (rest > 0) {
        digits[INT_DIGITS - ++n] = (int16)(rest % 10000);
        rest /= 10000;
    }
    weight = Max(n - 1, 0);
    align(w);
    header = (uint16)(0x8000 | (i < 0 ? 0x2000 : 0) | weight);
    memcpy(w->data + w->n + VARHDRSZ, &header, sizeof header);
    for (int last = INT_DIGITS - 1; n > 0 && digits[last] == 0; last--)
        n--;
    memcpy(w->data + w->n + VARHDRSZ + sizeof header, digits + INT_DIGITS - 1 - weight,
           (size_t)n * sizeof *digits);
    SET_VARSIZE(w->data + w->n, INT_SIZE(n));
    w->n += INT_SIZE(n);
    write_entry(f, JENTRY_ISNUMERIC, w->n - start);
}

static pg_attribute_always_inline void
write_scalar(writing *w, frame *f, const newt_pg_node *node)
{
    switch (node->kind) {
    case NEWT__JSON_STRING: write_string(w, f, node); break;
    case NEWT__JSON_INT: write_int(w, f, node->u.i); break;
    case NEWT__JSON_NUMBER: write_number(w, f, node->u.number); break;
    case NEWT__JSON_TRUE: write_entry(f, JENTRY_ISBOOL_TRUE, 0); break;
    case NEWT__JSON_FALSE: write_entry(f, JENTRY_ISBOOL_FALSE, 0); break;
    default: write_entry(f, JENTRY_ISNULL, 0);
    }
}

static bool
is_container(const newt_pg_node *node)
{
    return node->kind == NEWT__JSON_OBJECT || node->kind == NEWT__JSON_ARRAY;
}

/* The node after a value. */
static uint32
after(const newt_pg_node *nodes, uint32 value)
{
    return is_container(&nodes[value]) ? nodes[value].u.link : value + 1;
}

static int
compare_keys(const void *a, const void *b, void *nodes)
{
    const newt_pg_node *x = (const newt_pg_node *)nodes + *(const uint32 *)a;
    const newt_pg_node *y = (const newt_pg_node *)nodes + *(const uint32 *)b;

    return newt__key_order(x->u.s, x->n, y->u.s, y->n);
}

static const uint32 *
sorted_keys(const newt_pg_node *nodes, uint32 object)
{
    uint32 n = nodes[object].n, key = object + 1;
    uint32 *keys = palloc(n * sizeof *keys);

    for (uint32 i = 0; i < n; i++) {
        keys[i] = key;
        key = after(nodes, key + 1);
    }
    qsort_arg(keys, n, sizeof *keys, compare_keys, unconstify(newt_pg_node *, nodes));
    return keys;
}

static frame *
push_frame(writing *w)
{
    if (w->depth == w->cap) {
        frame *more = palloc((size_t)w->cap * 2 * sizeof *more);

        memcpy(more, w->frames, w->cap * sizeof *more);
        w->frames = more;
        w->cap *= 2;
    }
    return &w->frames[w->depth++];
}

/* Header, room for the entries, and the keys. */
static void
begin_container(writing *w, uint32 flags, uint32 n, uint32 first, const uint32 *keys)
{
    frame *f = push_frame(w);
    bool object = (flags & JB_FOBJECT) != 0;
    uint32 header = n | flags;

    *f = (frame){.keys = keys, .object = object, .next = first, .n = n, .start = w->n};
    align(w);
    memcpy(w->data + w->n, &header, sizeof header);
    f->entry = (JEntry *)(w->data + w->n + sizeof header);
    w->n += sizeof header + (object ? 2 * n : n) * sizeof(JEntry);
    if (!object)
        return;
    for (uint32 i = 0, key = first; i < n; i++) {
        if (keys)
            key = keys[i];
        write_string(w, f, &w->nodes[key]);
        if (!keys && i + 1 < n)
            key = after(w->nodes, key + 1);
    }
}

static void
begin_node(writing *w, uint32 i)
{
    const newt_pg_node *node = &w->nodes[i];

    if (node->kind == NEWT__JSON_OBJECT)
        begin_container(w, JB_FOBJECT, node->n, i + 1,
                        node->unsorted && node->n > 1 ? sorted_keys(w->nodes, i) : NULL);
    else
        begin_container(w, JB_FARRAY, node->n, i + 1, NULL);
}

/* The next value of the innermost container. */
static uint32
next_value(writing *w, frame *f)
{
    uint32 value = f->object ? f->next + 1 : f->next;

    if (f->keys)
        value = f->keys[f->i] + 1;
    else
        f->next = after(w->nodes, value);
    f->i++;
    return value;
}

Jsonb *
newt_pg_jsonb_finish(newt_pg_jsonb *out)
{
    Jsonb *result;
    writing w = {.nodes = out->nodes, .n = VARHDRSZ, .cap = FRAMES};

    if (out->size > JENTRY_OFFLENMASK)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("document is too large for jsonb"),
                 errdetail("It needs %zu bytes of at most %u.", out->size, JENTRY_OFFLENMASK)));
    result = palloc(out->size);
    w.data = (char *)result;
    w.frames = w.few;
    if (is_container(&w.nodes[0]))
        begin_node(&w, 0);
    else
        begin_container(&w, JB_FARRAY | JB_FSCALAR, 1, 0, NULL);
    while (w.depth > 0) {
        frame *f = &w.frames[w.depth - 1];

        if (f->i < f->n) {
            uint32 value = next_value(&w, f);

            if (f->i % INTERRUPTS == 0)
                CHECK_FOR_INTERRUPTS();
            if (is_container(&w.nodes[value]))
                begin_node(&w, value);
            else
                write_scalar(&w, f, &w.nodes[value]);
        } else if (--w.depth > 0)
            write_entry(f - 1, JENTRY_ISCONTAINER, w.n - f->start);
    }
    Assert(w.n <= out->size);
    SET_VARSIZE(result, w.n);
    return result;
}
