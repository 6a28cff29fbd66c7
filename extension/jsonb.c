/*
 * jsonb.c - JSON events of the codec become a jsonb value
 *
 * Events are gathered as nodes, 16 bytes each, until every count is known; then the value is
 * written from front to back, each byte once.
 */
#include "jsonb.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

enum {
    FRAMES = 32,      /* containers nested before more memory is asked for */
    INTERRUPTS = 4096 /* values of a container between two looks for interrupts */
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
                     INT_SIZE(-10000 < e->i && e->i < 10000 ? 1 : NEWT_PG_INT_DIGITS);
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
    uint32 next;  /* node of the next value (of an object: of its key) */
    uint32 n, i;  /* values, and how many of them are written */
    uint32 start; /* where its data begins, alignment included */
    newt_pg_entries entries;
} frame;

typedef struct writing {
    const newt_pg_node *nodes;
    newt_pg_output *out;
    frame *frames;
    uint32 depth, cap;
    frame few[FRAMES];
} writing;

static void
write_number(newt_pg_output *out, newt_pg_entries *entries, Numeric number)
{
    uint32 start = out->n, size = VARSIZE_ANY(number);

    newt_pg_output_room(out, sizeof(int32) + size);
    newt_pg_output_align(out);
    memcpy(out->data + out->n, number, size);
    out->n += size;
    newt_pg_put_entry(out, entries, JENTRY_ISNUMERIC, out->n - start);
}

static pg_attribute_always_inline void
write_scalar(newt_pg_output *out, newt_pg_entries *entries, const newt_pg_node *node)
{
    switch (node->kind) {
    case NEWT__JSON_STRING: newt_pg_put_text(out, entries, node->u.s, node->n); break;
    case NEWT__JSON_INT: newt_pg_put_int(out, entries, node->u.i); break;
    case NEWT__JSON_NUMBER: write_number(out, entries, node->u.number); break;
    case NEWT__JSON_TRUE: newt_pg_put_entry(out, entries, JENTRY_ISBOOL_TRUE, 0); break;
    case NEWT__JSON_FALSE: newt_pg_put_entry(out, entries, JENTRY_ISBOOL_FALSE, 0); break;
    default: newt_pg_put_entry(out, entries, JENTRY_ISNULL, 0);
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
begin_container(writing *w, uint32 i)
{
    const newt_pg_node *node = &w->nodes[i];
    bool object = node->kind == NEWT__JSON_OBJECT;
    uint32 n = node->n, key = i + 1;
    frame *f = push_frame(w);

    *f = (frame){.object = object, .next = key, .n = n, .start = w->out->n};
    if (!object) {
        newt_pg_put_header(w->out, &f->entries, n | JB_FARRAY, n);
        return;
    }
    if (node->unsorted && n > 1)
        f->keys = sorted_keys(w->nodes, i);
    newt_pg_put_header(w->out, &f->entries, n | JB_FOBJECT, 2 * (Size)n);
    for (uint32 k = 0; k < n; k++) {
        if (f->keys)
            key = f->keys[k];
        newt_pg_put_text(w->out, &f->entries, w->nodes[key].u.s, w->nodes[key].n);
        if (!f->keys && k + 1 < n)
            key = after(w->nodes, key + 1);
    }
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

/* The container at a node, to its end. */
static void
write_container(const newt_pg_node *nodes, newt_pg_output *out, uint32 i)
{
    writing w = {.nodes = nodes, .out = out, .cap = FRAMES};

    w.frames = w.few;
    begin_container(&w, i);
    while (w.depth > 0) {
        frame *f = &w.frames[w.depth - 1];

        if (f->i < f->n) {
            uint32 value = next_value(&w, f);

            if (f->i % INTERRUPTS == 0)
                CHECK_FOR_INTERRUPTS();
            if (is_container(&nodes[value]))
                begin_container(&w, value);
            else
                write_scalar(out, &f->entries, &nodes[value]);
        } else if (--w.depth > 0)
            newt_pg_put_entry(out, &f[-1].entries, JENTRY_ISCONTAINER, out->n - f->start);
    }
}

void
newt_pg_jsonb_put(const newt_pg_jsonb *nodes, newt_pg_output *out, newt_pg_entries *entries)
{
    uint32 start = out->n;

    if (!is_container(&nodes->nodes[0]))
        write_scalar(out, entries, &nodes->nodes[0]);
    else {
        write_container(nodes->nodes, out, 0);
        newt_pg_put_entry(out, entries, JENTRY_ISCONTAINER, out->n - start);
    }
}

Jsonb *
newt_pg_jsonb_finish(newt_pg_jsonb *nodes)
{
    newt_pg_output out;
    newt_pg_entries entries;

    if (nodes->size > JENTRY_OFFLENMASK)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("document is too large for jsonb"),
                 errdetail("It needs %zu bytes of at most %u.", nodes->size, JENTRY_OFFLENMASK)));
    newt_pg_output_begin(&out, nodes->size);
    if (is_container(&nodes->nodes[0]))
        write_container(nodes->nodes, &out, 0);
    else {
        newt_pg_put_header(&out, &entries, 1 | JB_FARRAY | JB_FSCALAR, 1);
        write_scalar(&out, &entries, &nodes->nodes[0]);
    }
    return newt_pg_output_end(&out);
}

/* ---- the bytes ---------------------------------------------------------------------------------
 */

void
newt_pg_output_begin(newt_pg_output *out, Size size)
{
    out->cap = (uint32)(size + NEWT_PG_INT_ROOM); /* room is asked for in round figures */
    out->data = palloc(out->cap);
    out->n = VARHDRSZ;
}

void
newt_pg_output_grow(newt_pg_output *out, Size room)
{
    Size cap = Max(2 * (Size)out->cap, out->n + room);

    out->data = repalloc(out->data, cap);
    out->cap = (uint32)cap;
}

Jsonb *
newt_pg_output_end(newt_pg_output *out)
{
    SET_VARSIZE(out->data, out->n);
    return (Jsonb *)out->data;
}
