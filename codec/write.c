/*
 * write.c - the writer: values -> record
 *
 * Each item asks newt__item first, which refuses what may not stand here and makes room, and tells
 * written() last, which closes the containers that are full.
 */
#include "write.h"

enum {
    RECORD_SLACK = 64 /* more room is asked for than needed; newt__write_end is exact */
};

bool
newt__write_fail(newt__writer *w, newt__code code, const char *reason)
{
    if (w->fault.code == NEWT__OK)
        w->fault = (newt__fault){code, reason, w->buf.n};
    return false;
}

bool
newt__write_grow(newt__writer *w, size_t extra)
{
    size_t limit = w->max_record + RECORD_SLACK;

    if (extra > limit || w->buf.n > limit - extra)
        return newt__write_fail(w, NEWT__LIMIT, "record is too large");
    return newt__buffer_reserve(&w->buf, extra) ||
           newt__write_fail(w, NEWT__NOMEM, "out of memory");
}

/* One more element in a stack from env. */
NEWT__COLD static bool
grow_stack(newt__writer *w, void **stack, size_t *cap, size_t size)
{
    const newt__env *env = w->buf.env;
    size_t more = *cap ? 2 * *cap : 16;
    void *p;

    if (more > SIZE_MAX / 2 / size)
        return newt__write_fail(w, NEWT__NOMEM, "out of memory");
    p = env->realloc(env->arg, *stack, more * size);
    if (p == NULL)
        return newt__write_fail(w, NEWT__NOMEM, "out of memory");
    *stack = p;
    *cap = more;
    return true;
}

bool
newt__write_mark(newt__writer *w)
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

/* The item after a tag. */
bool
newt__may_follow(newt__writer *w, enum newt__what what)
{
    switch (w->pending) {
    case NEWT__PENDING_HIDDEN: return true;
    case NEWT__PENDING_SHARED:
        return what == NEWT__WRITE_FIELDS || what == NEWT__WRITE_OBJECT ||
               newt__write_fail(w, NEWT__PROFILE, "shared value is no map and no object");
    case NEWT__PENDING_OBJECT:
        return what == NEWT__WRITE_FIELDS ||
               newt__write_fail(w, NEWT__PROFILE, "object is not followed by a map");
    default:
        return what == NEWT__WRITE_LIST ||
               newt__write_fail(w, NEWT__PROFILE,
                                "reference to another store is not followed by an array");
    }
}

/* In a map or in what is collected. */
bool
newt__may_stand(newt__writer *w, enum newt__what what)
{
    bool is_key = (w->left & 1) == 0;

    switch (w->kind) {
    case NEWT__OPEN_MAP:
        if (is_key && what != NEWT__WRITE_TEXT)
            return newt__write_fail(w, NEWT__PROFILE,
                                    what == NEWT__WRITE_RAW_TEXT
                                        ? "key of a map with a count is not UTF-8"
                                        : "map key is not text");
        return true;
    case NEWT__OPEN_COLLECTED_MAP:
        if (is_key && what == NEWT__WRITE_RAW_TEXT) {
            struct newt__open *open = &w->open[w->n_open - 1];

            if (open->fields)
                return newt__write_fail(w, NEWT__PROFILE,
                                        "key of a shared map or an object is not UTF-8");
            open->raw = true;
        } else if (is_key && what != NEWT__WRITE_TEXT) {
            return newt__write_fail(w, NEWT__PROFILE, "map key is not text");
        }
        return newt__write_mark(w);
    case NEWT__OPEN_COLLECTED_PAIRS:
    case NEWT__OPEN_COLLECTED_SET: return newt__write_mark(w);
    default: return true;
    }
}

void
newt__close_full(newt__writer *w)
{
    while (w->left == 0 && w->kind != NEWT__OPEN_ROOT && w->kind < NEWT__OPEN_COLLECTED_ARRAY) {
        struct newt__open *open = &w->open[--w->n_open];

        w->kind = open->outer_kind;
        w->left = open->outer_left;
        w->depth--;
    }
}

static inline void
written(newt__writer *w)
{
    w->pending = NEWT__PENDING_NOTHING;
    if (--w->left == 0)
        newt__close_full(w);
}

bool
newt__enter(newt__writer *w, uint8_t kind, uint64_t left)
{
    struct newt__open *open;
    void *stack = w->open;

    if (w->depth >= w->max_depth)
        return newt__write_fail(w, NEWT__LIMIT, "nesting is too deep");
    if (w->n_open == w->cap_open) {
        if (!grow_stack(w, &stack, &w->cap_open, sizeof *w->open))
            return false;
        w->open = stack;
    }
    open = &w->open[w->n_open++];
    open->kind = kind;
    open->fields = w->pending == NEWT__PENDING_SHARED || w->pending == NEWT__PENDING_OBJECT;
    open->raw = false;
    open->last = false;
    open->outer_kind = w->kind;
    open->outer_left = w->left - 1;
    open->begin = w->buf.n;
    open->marks = w->n_marks;
    open->shared = w->shared;
    w->pending = NEWT__PENDING_NOTHING;
    w->kind = kind;
    w->left = left;
    w->depth++;
    if (left == 0)
        newt__close_full(w);
    return true;
}

/* ---- bytes; newt__write_room() has been asked
 * ---------------------------------------------------------- */

static inline void
head(newt__writer *w, unsigned major, uint64_t u)
{
    w->buf.n = (size_t)(newt__put_head(w->buf.data + w->buf.n, major, u) - w->buf.data);
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
        return newt__write_fail(w, n ? NEWT__LIMIT : NEWT__PROFILE,
                                n ? "class name is too long" : "class name is empty");
    if (newt__utf8_valid(name, n) < n)
        return newt__write_fail(w, NEWT__PROFILE, "class name is not valid UTF-8");
    if (newt__holds_nul(name, n))
        return newt__write_fail(w, NEWT__PROFILE, "class name holds a NUL");
    if (version < 0)
        return newt__write_fail(w, NEWT__PROFILE, "class version is negative");
    if (!newt__write_room(w, n + 3 * NEWT__HEAD))
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
    w->pending = NEWT__PENDING_NOTHING;
    w->kind = NEWT__OPEN_ROOT;
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
    if (w->buf.n == 0 || w->kind != NEWT__OPEN_ROOT || w->left != 0)
        newt__write_fail(w, NEWT__PROFILE, "record is not complete");
    else if (w->buf.n > w->max_record)
        newt__write_fail(w, NEWT__LIMIT, "record is too large");
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
    if (!newt__item(w, NEWT__WRITE_SCALAR, 1))
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
    if (!newt__item(w, NEWT__WRITE_SCALAR, NEWT__HEAD))
        return;
    signed_head(w, x);
    written(w);
}

void
newt__write_uint(newt__writer *w, uint64_t x)
{
    if (!newt__item(w, NEWT__WRITE_SCALAR, NEWT__HEAD))
        return;
    head(w, NEWT__UINT_TYPE, x);
    written(w);
}

void
newt__write_float_bits(newt__writer *w, uint32_t bits)
{
    if (!newt__item(w, NEWT__WRITE_SCALAR, 5))
        return;
    byte(w, 0xfa);
    newt__put32(w->buf.data + w->buf.n, bits);
    w->buf.n += 4;
    written(w);
}

void
newt__write_double_bits(newt__writer *w, uint64_t bits)
{
    if (!newt__item(w, NEWT__WRITE_SCALAR, 9))
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
long_item(newt__writer *w, enum newt__what what, size_t n)
{
    return newt__item(w, what, n <= SIZE_MAX - 2 * NEWT__HEAD ? n + 2 * NEWT__HEAD : n);
}

NEWT__COLD static void
raw_text(newt__writer *w, const void *s, size_t n)
{
    if (!long_item(w, NEWT__WRITE_RAW_TEXT, n))
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
    if (!long_item(w, NEWT__WRITE_TEXT, n))
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
    if (!long_item(w, NEWT__WRITE_SCALAR, n))
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
    if (!newt__item(w, NEWT__WRITE_SCALAR, 4 * NEWT__HEAD + (x.n <= NEWT__MAX_MAGNITUDE ? x.n : 0)))
        return;
    if (x.n > NEWT__MAX_MAGNITUDE) {
        newt__write_fail(w, NEWT__LIMIT, "number is too long");
        return;
    }
    if (!decimal && x.exponent != 0) {
        newt__write_fail(w, NEWT__PROFILE, "integer has an exponent");
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
    if (!newt__item(w, NEWT__WRITE_SCALAR, 4 * NEWT__HEAD))
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
    if (!newt__item(w, NEWT__WRITE_SCALAR, 2 * NEWT__HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_DATE);
    signed_head(w, days);
    written(w);
}

void
newt__write_uuid(newt__writer *w, const uint8_t uuid[16])
{
    if (!newt__item(w, NEWT__WRITE_SCALAR, 2 * NEWT__HEAD + 16))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_UUID);
    head(w, NEWT__BYTES_TYPE, 16);
    bytes(w, uuid, 16);
    written(w);
}

static void
ref(newt__writer *w, uint64_t tag, int64_t oid)
{
    if (!newt__item(w, NEWT__WRITE_SCALAR, 2 * NEWT__HEAD))
        return;
    if (oid <= 0) {
        newt__write_fail(w, NEWT__PROFILE, "object id is out of range");
        return;
    }
    head(w, NEWT__TAG_TYPE, tag);
    head(w, NEWT__UINT_TYPE, (uint64_t)oid);
    written(w);
}

void
newt__write_ref(newt__writer *w, int64_t oid)
{
    ref(w, NEWT__TAG_REF, oid);
}

void
newt__write_weak(newt__writer *w, int64_t oid)
{
    ref(w, NEWT__TAG_WEAK, oid);
}

void
newt__write_sharedref(newt__writer *w, uint64_t number)
{
    if (!newt__item(w, NEWT__WRITE_SCALAR, 2 * NEWT__HEAD))
        return;
    if (number >= w->shared) {
        newt__write_fail(w, NEWT__PROFILE, "shared reference to a value that is not there yet");
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
    bool store = w->pending == NEWT__PENDING_STORE;

    if (!newt__item(w, NEWT__WRITE_LIST, NEWT__HEAD))
        return;
    if (store && n != 2) {
        newt__write_fail(w, NEWT__PROFILE, "reference to another store is not [store, oid]");
        return;
    }
    head(w, NEWT__ARRAY_TYPE, n);
    newt__enter(w, NEWT__OPEN_ARRAY, n);
}

void
newt__write_map(newt__writer *w, size_t n)
{
    if (!newt__item(w, NEWT__WRITE_FIELDS, NEWT__HEAD))
        return;
    if (n > SIZE_MAX / 2) {
        newt__write_fail(w, NEWT__LIMIT, "record is too large");
        return;
    }
    head(w, NEWT__MAP_TYPE, n);
    newt__enter(w, NEWT__OPEN_MAP, 2 * (uint64_t)n);
}

void
newt__write_object(newt__writer *w, const char *class_name, size_t n, int32_t version)
{
    if (!newt__item(w, NEWT__WRITE_OBJECT, NEWT__HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_OBJECT);
    if (class_head(w, class_name, n, version))
        w->pending = NEWT__PENDING_OBJECT;
}

void
newt__write_hidden(newt__writer *w)
{
    if (w->pending != NEWT__PENDING_NOTHING && w->fault.code == NEWT__OK) {
        newt__write_fail(w, NEWT__PROFILE,
                         w->pending == NEWT__PENDING_HIDDEN ? "value is hidden twice"
                                                            : "tag 38403 does not stand first");
        return;
    }
    if (!newt__item(w, NEWT__WRITE_TAG, NEWT__HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_HIDDEN);
    w->pending = NEWT__PENDING_HIDDEN;
}

void
newt__write_shared(newt__writer *w)
{
    if (!newt__item(w, NEWT__WRITE_TAG, NEWT__HEAD))
        return;
    head(w, NEWT__TAG_TYPE, NEWT__TAG_SHARED);
    w->pending = NEWT__PENDING_SHARED;
    w->shared++;
}

void
newt__write_tag(newt__writer *w, uint64_t tag)
{
    if (!newt__item(w, NEWT__WRITE_TAG, NEWT__HEAD))
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
    case NEWT__TAG_HIDDEN:
    case NEWT__TAG_WEAK: newt__write_fail(w, NEWT__PROFILE, "tag is not allowed"); return;
    default: break;
    }
    head(w, NEWT__TAG_TYPE, tag);
    if (newt__enter(w, NEWT__OPEN_TAG, 1) && tag == NEWT__TAG_REF)
        w->pending = NEWT__PENDING_STORE;
}

/* ---- items from other records ------------------------------------------------------------- */

/* Whether the item's first token may stand here, as newt__item() sees it. */
static bool
encoded_item(newt__writer *w, const newt__token *t, size_t n)
{
    enum newt__what what = NEWT__WRITE_SCALAR;

    if (w->pending != NEWT__PENDING_NOTHING &&
        (t->hidden || (t->shared && w->pending != NEWT__PENDING_HIDDEN) ||
         (w->pending == NEWT__PENDING_STORE && (t->kind != NEWT__ARRAY || t->n != 2))))
        return newt__write_fail(w, NEWT__PROFILE, "tag is not followed by its item");
    if (t->hidden)
        what = NEWT__WRITE_TAG;
    else if (t->kind == NEWT__TEXT)
        what = NEWT__WRITE_TEXT;
    else if (t->kind == NEWT__RAW_TEXT)
        what = NEWT__WRITE_RAW_TEXT;
    else if (t->kind == NEWT__ARRAY)
        what = NEWT__WRITE_LIST;
    else if (t->kind == NEWT__MAP)
        what = NEWT__WRITE_FIELDS;
    else if (t->kind == NEWT__OBJECT)
        what = NEWT__WRITE_OBJECT;
    return newt__item(w, what, n);
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
        newt__write_fail(w, r.fault.code, r.fault.reason);
        w->fault.offset += r.fault.offset;
        return;
    }
    bytes(w, p, n);
    w->shared = r.shared;
    w->lossy |= lossy;
    written(w);
}
