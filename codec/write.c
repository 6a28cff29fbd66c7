/*
 * write.c - the writer: values -> record
 *
 * Each item asks item() first, which refuses what may not stand here and makes room, and tells
 * written() last, which closes the containers that are full. Collected containers are written
 * without a head, with a mark at each item; newt__collected sorts them and puts the head in front.
 */
#include "item.h"

/* what is open; the counted ones close by themselves */
enum {
    ROOT,
    ARRAY,
    MAP,
    TAG,
    COLLECTED_ARRAY,
    COLLECTED_MAP,
    COLLECTED_PAIRS,
    COLLECTED_SET
};

/* what has been written and waits for its item */
enum {
    NOTHING,
    HIDDEN,
    SHARED, /* a map or an object */
    OBJECT, /* a map */
    STORE   /* an array of two */
};

/* what is to be written, as far as it matters to where it may stand */
enum what {
    SCALAR,
    TEXT,
    RAW_TEXT,
    LIST,
    PAIR,
    FIELDS,
    AN_OBJECT,
    A_TAG
};

#define COLLECTED_LEFT (UINT64_MAX - 1) /* even, as a map's at a key */

enum {
    HEAD = 9,         /* bytes of the longest head */
    RECORD_SLACK = 64 /* more room is asked for than needed; newt__write_end is exact */
};

/* An open container, and what it will give way to when it closes. */
struct newt__open {
    uint8_t kind;
    bool fields; /* collected map: must be one, tag 28 or 27 stands in front */
    bool raw;    /* collected map: a key is not UTF-8 */
    uint8_t outer_kind;
    uint64_t outer_left;
    size_t begin;    /* collected: where the items begin */
    size_t marks;    /* and their marks */
    uint64_t shared; /* numbers given before */
};

NEWT__COLD static bool
fail(newt__writer *w, newt__code code, const char *reason)
{
    if (w->fault.code == NEWT__OK)
        w->fault = (newt__fault){code, reason, w->buf.n};
    return false;
}

NEWT__COLD static bool
grow(newt__writer *w, size_t extra)
{
    size_t limit = w->max_record + RECORD_SLACK;

    if (extra > limit || w->buf.n > limit - extra)
        return fail(w, NEWT__LIMIT, "record is too large");
    return newt__buffer_reserve(&w->buf, extra) || fail(w, NEWT__NOMEM, "out of memory");
}

static inline bool
room(newt__writer *w, size_t extra)
{
    return NEWT__LIKELY(w->buf.cap - w->buf.n >= extra) || grow(w, extra);
}

/* One more element in a stack from env. */
NEWT__COLD static bool
grow_stack(newt__writer *w, void **stack, size_t *cap, size_t size)
{
    const newt__env *env = w->buf.env;
    size_t more = *cap ? 2 * *cap : 16;
    void *p;

    if (more > SIZE_MAX / 2 / size)
        return fail(w, NEWT__NOMEM, "out of memory");
    p = env->realloc(env->arg, *stack, more * size);
    if (p == NULL)
        return fail(w, NEWT__NOMEM, "out of memory");
    *stack = p;
    *cap = more;
    return true;
}

static bool
mark(newt__writer *w)
{
    void *marks = w->marks;

    if (w->n_marks == w->cap_marks) {
        if (!grow_stack(w, &marks, &w->cap_marks, sizeof *w->marks))
            return false;
        w->marks = marks;
    }
    w->marks[w->n_marks++] = w->buf.n;
    return true;
}

/* ---- where items may stand ---------------------------------------------------------------- */

/* The item behind a tag. */
static bool
may_follow(newt__writer *w, enum what what)
{
    switch (w->pending) {
    case HIDDEN: return true;
    case SHARED:
        return what == FIELDS || what == AN_OBJECT ||
               fail(w, NEWT__PROFILE, "shared value is no map and no object");
    case OBJECT: return what == FIELDS || fail(w, NEWT__PROFILE, "object is not followed by a map");
    default:
        return what == LIST ||
               fail(w, NEWT__PROFILE, "reference to another store is not followed by an array");
    }
}

/* In a map or in what is collected. */
static bool
may_stand(newt__writer *w, enum what what)
{
    bool is_key = (w->left & 1) == 0;

    switch (w->kind) {
    case MAP:
        if (is_key && what != TEXT)
            return fail(w, NEWT__PROFILE,
                        what == RAW_TEXT ? "key of a map with a count is not UTF-8"
                                         : "map key is not text");
        return true;
    case COLLECTED_MAP:
        if (is_key && what == RAW_TEXT) {
            struct newt__open *open = &w->open[w->n_open - 1];

            if (open->fields)
                return fail(w, NEWT__PROFILE, "key of a shared map or an object is not UTF-8");
            open->raw = true;
        } else if (is_key && what != TEXT) {
            return fail(w, NEWT__PROFILE, "map key is not text");
        }
        return mark(w);
    case COLLECTED_PAIRS:
    case COLLECTED_SET: return mark(w);
    default: return true;
    }
}

/* Whether an item may be written now; makes room for `extra` bytes. */
static inline bool
item(newt__writer *w, enum what what, size_t extra)
{
    if (NEWT__UNLIKELY(w->fault.code != NEWT__OK))
        return false;
    if (NEWT__UNLIKELY(w->left == 0))
        return fail(w, NEWT__PROFILE, "one item too many");
    if (NEWT__UNLIKELY(w->pending != NOTHING)) {
        if (!may_follow(w, what))
            return false;
    } else if (w->kind != ARRAY && !may_stand(w, what)) {
        return false;
    }
    return room(w, extra);
}

/* Closes what is full. */
static void
close_full(newt__writer *w)
{
    while (w->left == 0 && w->kind != ROOT && w->kind < COLLECTED_ARRAY) {
        struct newt__open *open = &w->open[--w->n_open];

        w->kind = open->outer_kind;
        w->left = open->outer_left;
        w->depth--;
    }
}

static inline void
written(newt__writer *w)
{
    w->pending = NOTHING;
    if (--w->left == 0)
        close_full(w);
}

/* Enters a container whose head has just been written (or will be put in front). */
static bool
enter(newt__writer *w, uint8_t kind, uint64_t left)
{
    struct newt__open *open;
    void *stack = w->open;

    if (w->depth >= w->max_depth)
        return fail(w, NEWT__LIMIT, "nesting is too deep");
    if (w->n_open == w->cap_open) {
        if (!grow_stack(w, &stack, &w->cap_open, sizeof *w->open))
            return false;
        w->open = stack;
    }
    open = &w->open[w->n_open++];
    open->kind = kind;
    open->fields = w->pending == SHARED || w->pending == OBJECT;
    open->raw = false;
    open->outer_kind = w->kind;
    open->outer_left = w->left - 1;
    open->begin = w->buf.n;
    open->marks = w->n_marks;
    open->shared = w->shared;
    w->pending = NOTHING;
    w->kind = kind;
    w->left = left;
    w->depth++;
    if (left == 0)
        close_full(w);
    return true;
}

/* ---- bytes; room() has been asked ---------------------------------------------------------- */

static inline uint8_t *
put_head(uint8_t *p, unsigned major, uint64_t u)
{
    uint8_t type = (uint8_t)(major << 5);

    if (NEWT__LIKELY(u < 24)) {
        p[0] = (uint8_t)(type | u);
        return p + 1;
    }
    if (u < 0x100) {
        p[0] = type | 24;
        p[1] = (uint8_t)u;
        return p + 2;
    }
    if (u < 0x10000) {
        p[0] = type | 25;
        newt__put16(p + 1, (uint16_t)u);
        return p + 3;
    }
    if (u < UINT64_C(0x100000000)) {
        p[0] = type | 26;
        newt__put32(p + 1, (uint32_t)u);
        return p + 5;
    }
    p[0] = type | 27;
    newt__put64(p + 1, u);
    return p + 9;
}

static inline void
head(newt__writer *w, unsigned major, uint64_t u)
{
    w->buf.n = (size_t)(put_head(w->buf.data + w->buf.n, major, u) - w->buf.data);
}

static inline void
byte(newt__writer *w, uint8_t b)
{
    w->buf.data[w->buf.n++] = b;
}

static inline void
bytes(newt__writer *w, const void *p, size_t n)
{
    newt__copy(w->buf.data + w->buf.n, p, n);
    w->buf.n += n;
}

static inline void
signed_head(newt__writer *w, int64_t x)
{
    if (x >= 0)
        head(w, NEWT__UINT_TYPE, (uint64_t)x);
    else
        head(w, NEWT__NINT_TYPE, ~(uint64_t)x);
}

/* ---- the record --------------------------------------------------------------------------- */

static bool
class_head(newt__writer *w, const char *name, size_t n, int32_t version)
{
    if (n == 0 || n > NEWT__MAX_NAME)
        return fail(w, n ? NEWT__LIMIT : NEWT__PROFILE,
                    n ? "class name is too long" : "class name is empty");
    if (newt__utf8_valid(name, n) < n)
        return fail(w, NEWT__PROFILE, "class name is not valid UTF-8");
    if (newt__holds_nul(name, n))
        return fail(w, NEWT__PROFILE, "class name holds a NUL");
    if (version < 0)
        return fail(w, NEWT__PROFILE, "class version is negative");
    if (!room(w, n + 3 * HEAD))
        return false;
    byte(w, 0x83);
    head(w, NEWT__TEXT_TYPE, n);
    bytes(w, name, n);
    head(w, NEWT__UINT_TYPE, (uint64_t)version);
    return true;
}

void
newt__write_begin(newt__writer *w, const char *class_name, size_t n, int32_t version)
{
    w->buf.n = 0;
    w->fault = (newt__fault){NEWT__OK, NULL, 0};
    w->lossy = false;
    w->pending = NOTHING;
    w->kind = ROOT;
    w->left = 1;
    w->depth = 0;
    w->n_open = 0;
    w->n_marks = 0;
    w->shared = 0;
    w->max_record = newt__max_record(w->buf.env);
    if (w->max_record > SIZE_MAX / 4)
        w->max_record = SIZE_MAX / 4;
    w->max_depth = newt__max_depth(w->buf.env);
    class_head(w, class_name, n, version);
}

newt__code
newt__write_end(newt__writer *w)
{
    if (w->fault.code != NEWT__OK)
        return w->fault.code;
    if (w->buf.n == 0 || w->kind != ROOT || w->left != 0)
        fail(w, NEWT__PROFILE, "record is not complete");
    else if (w->buf.n > w->max_record)
        fail(w, NEWT__LIMIT, "record is too large");
    else if (w->buf.n > newt__max_json(w->buf.env) / NEWT__EXPANSION)
        w->lossy = true;
    return w->fault.code;
}

void
newt__writer_free(newt__writer *w)
{
    const newt__env *env = w->buf.env;

    newt__buffer_free(&w->buf);
    if (w->open != NULL)
        env->free(env->arg, w->open);
    if (w->marks != NULL)
        env->free(env->arg, w->marks);
    w->open = NULL;
    w->marks = NULL;
    w->n_open = w->cap_open = w->n_marks = w->cap_marks = 0;
    w->left = 0;
}

/* ---- scalars ------------------------------------------------------------------------------ */

static inline void
simple(newt__writer *w, uint8_t b)
{
    if (!item(w, SCALAR, 1))
        return;
    byte(w, b);
    written(w);
}

void
newt__write_null(newt__writer *w)
{
    simple(w, 0xf6);
}

void
newt__write_bool(newt__writer *w, bool x)
{
    simple(w, x ? 0xf5 : 0xf4);
}

void
newt__write_int(newt__writer *w, int64_t x)
{
    if (!item(w, SCALAR, HEAD))
        return;
    signed_head(w, x);
    written(w);
}

void
newt__write_uint(newt__writer *w, uint64_t x)
{
    if (!item(w, SCALAR, HEAD))
        return;
    head(w, NEWT__UINT_TYPE, x);
    written(w);
}

void
newt__write_float_bits(newt__writer *w, uint32_t bits)
{
    if (!item(w, SCALAR, 5))
        return;
    byte(w, 0xfa);
    newt__put32(w->buf.data + w->buf.n, bits);
    w->buf.n += 4;
    written(w);
}

void
newt__write_double_bits(newt__writer *w, uint64_t bits)
{
    if (!item(w, SCALAR, 9))
        return;
    byte(w, 0xfb);
    newt__put64(w->buf.data + w->buf.n, bits);
    w->buf.n += 8;
    written(w);
}

void
newt__write_float(newt__writer *w, float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    newt__write_float_bits(w, bits);
}

void
newt__write_double(newt__writer *w, double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    newt__write_double_bits(w, bits);
}

/* Sizes that would overflow are refused before they are added to. */
static inline bool
long_item(newt__writer *w, enum what what, size_t n)
{
    return item(w, what, n <= SIZE_MAX - 2 * HEAD ? n + 2 * HEAD : n);
}

NEWT__COLD static void
raw_text(newt__writer *w, const void *s, size_t n)
{
    if (!long_item(w, RAW_TEXT, n))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_RAW_TEXT);
    head(w, NEWT__BYTES_TYPE, n);
    bytes(w, s, n);
    w->lossy = true;
    written(w);
}

void
newt__write_text(newt__writer *w, const void *s, size_t n)
{
    unsigned found = newt__scan(s, n);

    if (NEWT__UNLIKELY(found & NEWT__SCAN_HIGH) && newt__utf8_valid(s, n) < n) {
        raw_text(w, s, n);
        return;
    }
    if (!long_item(w, TEXT, n))
        return;
    if (NEWT__UNLIKELY(found & NEWT__SCAN_SPECIAL) && newt__holds_nul(s, n))
        w->lossy = true;
    head(w, NEWT__TEXT_TYPE, n);
    bytes(w, s, n);
    written(w);
}

void
newt__write_bytes(newt__writer *w, const void *p, size_t n)
{
    if (!long_item(w, SCALAR, n))
        return;
    head(w, NEWT__BYTES_TYPE, n);
    bytes(w, p, n);
    written(w);
}

void
newt__write_number(newt__writer *w, const newt__number *number, bool decimal)
{
    newt__number x = *number;
    uint64_t u = 0;
    size_t i;

    for (; x.n > 0 && x.magnitude[0] == 0; x.n--)
        x.magnitude++;
    if (!item(w, SCALAR, 4 * HEAD + (x.n <= NEWT__MAX_MAGNITUDE ? x.n : 0)))
        return;
    if (x.n > NEWT__MAX_MAGNITUDE) {
        fail(w, NEWT__LIMIT, "number is too long");
        return;
    }
    if (!decimal && x.exponent != 0) {
        fail(w, NEWT__PROFILE, "integer has an exponent");
        return;
    }
    if (newt__number_may_be_long(&x))
        w->lossy = true;
    if (decimal) {
        head(w, NEWT__TAG_TYPE, NEWT__TAG_DECIMAL);
        head(w, NEWT__ARRAY_TYPE, 2);
        signed_head(w, x.exponent);
    }
    if (x.n <= 8) {
        for (i = 0; i < x.n; i++)
            u = u << 8 | x.magnitude[i];
        head(w, x.negative ? NEWT__NINT_TYPE : NEWT__UINT_TYPE, u);
    } else {
        head(w, NEWT__TAG_TYPE, x.negative ? NEWT__TAG_NEGATIVE_BIGNUM : NEWT__TAG_BIGNUM);
        head(w, NEWT__BYTES_TYPE, x.n);
        bytes(w, x.magnitude, x.n);
    }
    written(w);
}

static void
microseconds(newt__writer *w, uint64_t tag, int64_t us)
{
    int64_t seconds = us / 1000000, rest = us % 1000000;

    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    if (!item(w, SCALAR, 4 * HEAD))
        return;
    head(w, NEWT__TAG_TYPE, tag);
    head(w, NEWT__MAP_TYPE, 2);
    byte(w, 0x01);
    signed_head(w, seconds);
    byte(w, 0x25);
    head(w, NEWT__UINT_TYPE, (uint64_t)rest);
    written(w);
}

void
newt__write_time(newt__writer *w, int64_t us)
{
    microseconds(w, NEWT__TAG_TIME, us);
}

void
newt__write_duration(newt__writer *w, int64_t us)
{
    microseconds(w, NEWT__TAG_DURATION, us);
}

void
newt__write_date(newt__writer *w, int64_t days)
{
    if (!item(w, SCALAR, 2 * HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_DATE);
    signed_head(w, days);
    written(w);
}

void
newt__write_uuid(newt__writer *w, const uint8_t uuid[16])
{
    if (!item(w, SCALAR, 2 * HEAD + 16))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_UUID);
    head(w, NEWT__BYTES_TYPE, 16);
    bytes(w, uuid, 16);
    written(w);
}

void
newt__write_ref(newt__writer *w, int64_t oid)
{
    if (!item(w, SCALAR, 2 * HEAD))
        return;
    if (oid <= 0) {
        fail(w, NEWT__PROFILE, "object id is out of range");
        return;
    }
    head(w, NEWT__TAG_TYPE, NEWT__TAG_REF);
    head(w, NEWT__UINT_TYPE, (uint64_t)oid);
    written(w);
}

void
newt__write_sharedref(newt__writer *w, uint64_t number)
{
    if (!item(w, SCALAR, 2 * HEAD))
        return;
    if (number >= w->shared) {
        fail(w, NEWT__PROFILE, "shared reference to a value that is not there yet");
        return;
    }
    head(w, NEWT__TAG_TYPE, NEWT__TAG_SHAREDREF);
    head(w, NEWT__UINT_TYPE, number);
    written(w);
}

/* ---- counted containers and tags ---------------------------------------------------------- */

void
newt__write_array(newt__writer *w, size_t n)
{
    bool store = w->pending == STORE;

    if (!item(w, LIST, HEAD))
        return;
    if (store && n != 2) {
        fail(w, NEWT__PROFILE, "reference to another store is not [store, oid]");
        return;
    }
    head(w, NEWT__ARRAY_TYPE, n);
    enter(w, ARRAY, n);
}

void
newt__write_map(newt__writer *w, size_t n)
{
    if (!item(w, FIELDS, HEAD))
        return;
    if (n > SIZE_MAX / 2) {
        fail(w, NEWT__LIMIT, "record is too large");
        return;
    }
    head(w, NEWT__MAP_TYPE, n);
    enter(w, MAP, 2 * (uint64_t)n);
}

void
newt__write_object(newt__writer *w, const char *class_name, size_t n, int32_t version)
{
    if (!item(w, AN_OBJECT, HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_OBJECT);
    if (class_head(w, class_name, n, version))
        w->pending = OBJECT;
}

void
newt__write_hidden(newt__writer *w)
{
    if (w->pending != NOTHING && w->fault.code == NEWT__OK) {
        fail(w, NEWT__PROFILE,
             w->pending == HIDDEN ? "value is hidden twice" : "tag 38403 does not stand first");
        return;
    }
    if (!item(w, A_TAG, HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_HIDDEN);
    w->pending = HIDDEN;
}

void
newt__write_shared(newt__writer *w)
{
    if (!item(w, A_TAG, HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_SHARED);
    w->pending = SHARED;
    w->shared++;
}

void
newt__write_tag(newt__writer *w, uint64_t tag)
{
    if (!item(w, A_TAG, HEAD))
        return;
    switch (tag) {
    case 0:
    case 1:
    case 5:
    case 25:
    case 256:
    case 55799:
    case NEWT__TAG_BIGNUM:
    case NEWT__TAG_NEGATIVE_BIGNUM:
    case NEWT__TAG_DECIMAL:
    case NEWT__TAG_OBJECT:
    case NEWT__TAG_SHARED:
    case NEWT__TAG_SHAREDREF:
    case NEWT__TAG_UUID:
    case NEWT__TAG_DATE:
    case NEWT__TAG_SET:
    case NEWT__TAG_PAIRS:
    case NEWT__TAG_TIME:
    case NEWT__TAG_DURATION:
    case NEWT__TAG_RAW_TEXT:
    case NEWT__TAG_HIDDEN: fail(w, NEWT__PROFILE, "tag is not allowed"); return;
    default: break;
    }
    head(w, NEWT__TAG_TYPE, tag);
    if (enter(w, TAG, 1) && tag == NEWT__TAG_REF)
        w->pending = STORE;
}

/* ---- items from other records ------------------------------------------------------------- */

/* Whether the item's first token may stand here, as item() sees it. */
static bool
encoded_item(newt__writer *w, const newt__token *t, size_t n)
{
    enum what what = SCALAR;

    if (w->pending != NOTHING && (t->hidden || (t->shared && w->pending != HIDDEN) ||
                                  (w->pending == STORE && (t->kind != NEWT__ARRAY || t->n != 2))))
        return fail(w, NEWT__PROFILE, "tag is not followed by its item");
    if (t->hidden)
        what = A_TAG;
    else if (t->kind == NEWT__TEXT)
        what = TEXT;
    else if (t->kind == NEWT__RAW_TEXT)
        what = RAW_TEXT;
    else if (t->kind == NEWT__ARRAY)
        what = LIST;
    else if (t->kind == NEWT__MAP)
        what = FIELDS;
    else if (t->kind == NEWT__OBJECT)
        what = AN_OBJECT;
    return item(w, what, n);
}

void
newt__write_encoded(newt__writer *w, const void *p, size_t n)
{
    newt__reader r;
    newt__token t;
    bool lossy = false;

    if (w->fault.code != NEWT__OK)
        return;
    newt__read_item_begin(&r, w->buf.env, p, n, w->max_depth - w->depth, w->shared);
    if (newt__read(&r, &t) == NEWT__OK) {
        if (!encoded_item(w, &t, n))
            return;
        do {
            if (t.kind == NEWT__RAW_TEXT ||
                (t.kind == NEWT__TEXT && !t.plain && newt__holds_nul(t.s, t.n)) ||
                ((t.kind == NEWT__BIGNUM || t.kind == NEWT__DECIMAL) &&
                 newt__number_may_be_long(&t.number)))
                lossy = true;
        } while ((t.kind != NEWT__END || r.depth > 0) && newt__read(&r, &t) == NEWT__OK);
        if (r.fault.code == NEWT__OK)
            newt__read_rest(&r);
    }
    if (r.fault.code != NEWT__OK) {
        fail(w, r.fault.code, r.fault.reason);
        w->fault.offset += r.fault.offset;
        return;
    }
    bytes(w, p, n);
    w->shared = r.shared;
    w->lossy |= lossy;
    written(w);
}

/* ---- collected containers ----------------------------------------------------------------- */

static void
collect(newt__writer *w, enum what what, uint8_t kind)
{
    if (item(w, what, 0))
        enter(w, kind, COLLECTED_LEFT);
}

void
newt__collect_map(newt__writer *w)
{
    collect(w, FIELDS, COLLECTED_MAP);
}

void
newt__collect_pairs(newt__writer *w)
{
    collect(w, PAIR, COLLECTED_PAIRS);
}

void
newt__collect_set(newt__writer *w)
{
    collect(w, PAIR, COLLECTED_SET);
}

void
newt__collect_array(newt__writer *w)
{
    if (w->pending == STORE) {
        fail(w, NEWT__PROFILE, "reference to another store is not [store, oid]");
        return;
    }
    collect(w, LIST, COLLECTED_ARRAY);
}

/* The marks of one container as entries: each begins at mark[i * stride], its key ends where the
 * next mark is. */
typedef struct entries {
    const uint8_t *data;
    const size_t *mark; /* one more than there are items */
    size_t n, stride;
} entries;

static int
compare(const entries *e, size_t a, size_t b)
{
    const size_t *x = e->mark + a * e->stride, *y = e->mark + b * e->stride;
    size_t nx = x[1] - x[0], ny = y[1] - y[0];
    int order = memcmp(e->data + x[0], e->data + y[0], nx < ny ? nx : ny);

    return order ? order : (nx > ny) - (nx < ny);
}

/* Merges upwards; stable. The result is in what is returned, order or spare. */
static size_t *
sort(const entries *e, size_t *order, size_t *spare)
{
    size_t width, from, i, j, k, middle, end;

    for (width = 1; width < e->n; width *= 2) {
        size_t *swap = order;

        for (from = 0; from < e->n; from = end) {
            middle = e->n - from > width ? from + width : e->n;
            end = e->n - middle > width ? middle + width : e->n;
            for (i = from, j = middle, k = from; k < end; k++) {
                if (i < middle && (j == end || compare(e, order[i], order[j]) <= 0))
                    spare[k] = order[i++];
                else
                    spare[k] = order[j++];
            }
        }
        order = spare;
        spare = swap;
    }
    return order;
}

/* Brings the entries into order; drops elements that are there twice. *n is what is left. */
static bool
reorder(newt__writer *w, const struct newt__open *open, entries *e, size_t *n)
{
    const newt__env *env = w->buf.env;
    size_t *memory, *order;
    size_t size = w->buf.n - open->begin, i;
    uint8_t *to;
    bool ok = false;

    if (w->shared != open->shared)
        return fail(w, NEWT__PROFILE, "shared values are not written in order");
    if (e->n > SIZE_MAX / 2 / sizeof *order)
        return fail(w, NEWT__NOMEM, "out of memory");
    memory = env->realloc(env->arg, NULL, 2 * e->n * sizeof *order);
    if (memory == NULL)
        return fail(w, NEWT__NOMEM, "out of memory");
    if (!newt__buffer_reserve(&w->buf, size)) {
        fail(w, NEWT__NOMEM, "out of memory");
        goto out;
    }
    e->data = w->buf.data;
    for (i = 0; i < e->n; i++)
        memory[i] = i;
    order = sort(e, memory, memory + e->n);

    /* a sorted copy behind, and back */
    to = w->buf.data + w->buf.n;
    *n = 0;
    for (i = 0; i < e->n; i++) {
        const size_t *x = e->mark + order[i] * e->stride;
        size_t length = x[e->stride] - x[0];

        if (i > 0 && compare(e, order[i - 1], order[i]) == 0) {
            if (open->kind == COLLECTED_SET)
                continue;
            fail(w, NEWT__PROFILE, "map key stands twice");
            goto out;
        }
        memcpy(to, e->data + x[0], length);
        to += length;
        ++*n;
    }
    size = (size_t)(to - (w->buf.data + w->buf.n));
    memcpy(w->buf.data + open->begin, w->buf.data + w->buf.n, size);
    w->buf.n = open->begin + size;
    ok = true;
out:
    env->free(env->arg, memory);
    return ok;
}

/* Sorts a collected map, pairs or set; *n is how many entries it has in the end. */
static bool
put_in_order(newt__writer *w, const struct newt__open *open, size_t *n)
{
    entries e;
    size_t i;
    int order = -1;

    e.stride = open->kind == COLLECTED_SET ? 1 : 2;
    e.n = (w->n_marks - open->marks) / e.stride;
    if (!mark(w)) /* the end */
        return false;
    e.data = w->buf.data;
    e.mark = w->marks + open->marks;
    for (i = 1; i < e.n && order < 0; i++)
        order = compare(&e, i - 1, i);
    *n = e.n;
    return order < 0 || reorder(w, open, &e, n);
}

void
newt__collected(newt__writer *w)
{
    struct newt__open *open;
    uint8_t front[2 * HEAD];
    uint8_t *p = front;
    size_t n;

    if (w->fault.code != NEWT__OK)
        return;
    if (w->kind < COLLECTED_ARRAY || w->n_open == 0 || w->pending != NOTHING) {
        fail(w, NEWT__PROFILE, "nothing is being collected here");
        return;
    }
    open = &w->open[w->n_open - 1];
    n = (size_t)(COLLECTED_LEFT - w->left);
    if ((w->kind == COLLECTED_MAP || w->kind == COLLECTED_PAIRS) && n % 2 != 0) {
        fail(w, NEWT__PROFILE, "map key has no value");
        return;
    }
    if (w->kind != COLLECTED_ARRAY && !put_in_order(w, open, &n))
        return;

    if (w->kind == COLLECTED_SET)
        p = put_head(p, NEWT__TAG_TYPE, NEWT__TAG_SET);
    else if (w->kind == COLLECTED_PAIRS || open->raw)
        p = put_head(p, NEWT__TAG_TYPE, NEWT__TAG_PAIRS);
    p = put_head(p,
                 w->kind == COLLECTED_MAP || w->kind == COLLECTED_PAIRS ? NEWT__MAP_TYPE
                                                                        : NEWT__ARRAY_TYPE,
                 n);
    if (!room(w, (size_t)(p - front)))
        return;
    memmove(w->buf.data + open->begin + (p - front), w->buf.data + open->begin,
            w->buf.n - open->begin);
    memcpy(w->buf.data + open->begin, front, (size_t)(p - front));
    w->buf.n += (size_t)(p - front);

    w->n_marks = open->marks;
    w->kind = open->outer_kind;
    w->left = open->outer_left;
    w->n_open--;
    w->depth--;
    if (w->left == 0)
        close_full(w);
}
