/*
 * read.c - the reader: record bytes -> validated tokens
 *
 * Every length and count is checked against the bytes left before it is used. A failure is kept in
 * the reader and given again by every later call.
 */
#include "read.h"

NEWT__COLD newt__code
newt__read_fail(newt__reader *r, newt__code code, const char *reason, size_t offset)
{
    if (r->fault.code == NEWT__OK)
        r->fault = (newt__fault){code, reason, offset};
    return r->fault.code;
}

/* ---- heads -------------------------------------------------------------------------------- */

/* The argument of an item's head that is longer than a byte. */
bool
newt__read_long_argument(newt__reader *r, uint64_t *u)
{
    size_t at = r->at;
    unsigned info = r->data[at] & 31, width;
    uint64_t least;

    if (info > 27) {
        if (info == 31 && r->data[at] >= 0x40 && r->data[at] < 0xc0)
            newt__read_fail(r, NEWT__PROFILE, "indefinite lengths are not allowed", at);
        else
            newt__read_fail(r, NEWT__MALFORMED, "reserved CBOR head", at);
        return false;
    }
    width = 1u << (info - 24);
    if (r->n - at - 1 < width) {
        newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
        return false;
    }
    switch (width) {
    case 1:
        *u = r->data[at + 1];
        least = 24;
        break;
    case 2:
        *u = newt__get16(r->data + at + 1);
        least = 0x100;
        break;
    case 4:
        *u = newt__get32(r->data + at + 1);
        least = 0x10000;
        break;
    default:
        *u = newt__get64(r->data + at + 1);
        least = UINT64_C(0x100000000);
        break;
    }
    if (*u < least) {
        newt__read_fail(r, NEWT__PROFILE, "number or length is not in its shortest form", at);
        return false;
    }
    r->at = at + 1 + width;
    return true;
}

/* A head of the major type that must stand here. */
static bool
expect(newt__reader *r, unsigned want, uint64_t *u, const char *reason)
{
    size_t at = r->at;
    unsigned major;

    if (at < r->n && r->data[at] >> 5 == NEWT__SIMPLE_TYPE) {
        newt__read_fail(r, NEWT__PROFILE, reason, at);
        return false;
    }
    if (!newt__read_head(r, &major, u))
        return false;
    if (major != want) {
        newt__read_fail(r, NEWT__PROFILE, reason, at);
        return false;
    }
    return true;
}

bool
newt__read_utf8(newt__reader *r, const char *s, size_t n)
{
    size_t valid = newt__utf8_valid(s, n);

    if (valid < n)
        newt__read_fail(r, NEWT__PROFILE, "text is not valid UTF-8",
                        (size_t)((const uint8_t *)s - r->data) + valid);
    return valid == n;
}

static bool
class_name(newt__reader *r, const char **s, size_t *n)
{
    size_t at = r->at;
    uint64_t u;
    unsigned found;

    if (!expect(r, NEWT__TEXT_TYPE, &u, "class name is not text") || !newt__read_take(r, at, u, s))
        return false;
    *n = (size_t)u;
    if (u > NEWT__MAX_NAME) {
        newt__read_fail(r, NEWT__LIMIT, "class name is too long", at);
        return false;
    }
    found = newt__scan((const uint8_t *)*s, *n);
    if (u == 0 || ((found & NEWT__SCAN_SPECIAL) && newt__holds_nul(*s, *n))) {
        newt__read_fail(r, NEWT__PROFILE, u == 0 ? "class name is empty" : "class name holds a NUL",
                        at);
        return false;
    }
    return !(found & NEWT__SCAN_HIGH) || newt__read_utf8(r, *s, *n);
}

static bool
class_version(newt__reader *r, int64_t *version)
{
    size_t at = r->at;
    uint64_t u;

    if (!expect(r, NEWT__UINT_TYPE, &u, "class version is not a small integer"))
        return false;
    if (u > INT32_MAX) {
        newt__read_fail(r, NEWT__PROFILE, "class version is not a small integer", at);
        return false;
    }
    *version = (int64_t)u;
    return true;
}

/* ---- the beginning of a record ------------------------------------------------------------ */

/* Which format the first bytes tell, if not ours. */
static newt__code
other_format(newt__reader *r)
{
    const uint8_t *p = r->data;
    size_t n = r->n;

    if (n == 0)
        return newt__read_fail(r, NEWT__MALFORMED, "record is empty", 0);
    if (p[0] >= 0x84 && p[0] <= 0x97)
        return newt__read_fail(r, NEWT__NEWER, "record is of a newer format", 0);
    if (p[0] == '(' || p[0] == 'c' || (n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5))
        return newt__read_fail(r, NEWT__FOREIGN, "record is a Python pickle", 0);
    if (n >= 2 && p[0] == '.' && p[1] == 'z')
        return newt__read_fail(r, NEWT__FOREIGN, "record is compressed with zlib", 0);
    if (n >= 2 && p[0] == '.' && p[1] == 'e')
        return newt__read_fail(r, NEWT__FOREIGN, "record is encrypted", 0);
    return newt__read_fail(r, NEWT__MALFORMED, "not a state record", 0);
}

void
newt__read_item_begin(newt__reader *r, const newt__env *env, const void *data, size_t n,
                      uint32_t max_depth, uint64_t shared)
{
    r->env = env;
    r->data = data;
    r->n = n;
    r->at = 0;
    r->fault = (newt__fault){NEWT__OK, NULL, 0};
    r->class_name = NULL;
    r->class_n = 0;
    r->version = 0;
    r->depth = 0;
    r->max_depth = max_depth < NEWT__MAX_DEPTH ? max_depth : NEWT__MAX_DEPTH;
    r->ticks = 0;
    r->shared = shared;
    r->done = false;
}

newt__code
newt__read_begin(newt__reader *r, const newt__env *env, const void *record, size_t n)
{
    newt__read_item_begin(r, env, record, n, newt__max_depth(env), 0);
    if (n > newt__max_record(env))
        return newt__read_fail(r, NEWT__LIMIT, "record is too large", 0);
    if (n == 0 || r->data[0] != 0x83)
        return other_format(r);
    r->at = 1;
    if (!class_name(r, &r->class_name, &r->class_n) || !class_version(r, &r->version))
        return r->fault.code;
    return NEWT__OK;
}

/* ---- order -------------------------------------------------------------------------------- */

NEWT__COLD newt__code
newt__read_disorder(newt__reader *r, const struct newt__level *level, bool twice, size_t at)
{
    if (level->kind == NEWT__SET)
        return newt__read_fail(r, NEWT__PROFILE,
                               twice ? "set element stands twice" : "set elements are not in order",
                               at);
    return newt__read_fail(r, NEWT__PROFILE,
                           twice ? "map key stands twice" : "map keys are not in order", at);
}

/* The encoding of a key of pairs, or of a set's element. */
newt__code
newt__read_order(newt__reader *r, struct newt__level *level, size_t start, size_t end)
{
    size_t n = end - start, last_n = level->last_n;
    int order;

    if (last_n != NEWT__FIRST) {
        order = memcmp(r->data + level->last, r->data + start, n < last_n ? n : last_n);
        if (order == 0)
            order = last_n < n ? -1 : last_n > n;
        if (order >= 0)
            return newt__read_disorder(r, level, order == 0, start);
    }
    level->last = start;
    level->last_n = n;
    return NEWT__OK;
}

/* ---- items -------------------------------------------------------------------------------- */

newt__code
newt__read_simple(newt__reader *r, newt__token *t)
{
    size_t at = r->at;
    uint8_t b = r->data[at];
    uint32_t single;
    float x;

    switch (b) {
    case 0xf4:
    case 0xf5:
        t->kind = NEWT__BOOL;
        t->boolean = b & 1;
        r->at++;
        return NEWT__OK;
    case 0xf6:
        t->kind = NEWT__NULL;
        r->at++;
        return NEWT__OK;
    case 0xf7: return newt__read_fail(r, NEWT__PROFILE, "undefined is not allowed", at);
    case 0xf9:
        return newt__read_fail(r, NEWT__PROFILE, "half-precision floats are not allowed", at);
    case 0xfa:
        if (r->n - at < 5)
            return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
        single = newt__get32(r->data + at + 1);
        memcpy(&x, &single, sizeof x);
        t->kind = NEWT__FLOAT;
        t->bits = single;
        t->real = (double)x;
        r->at += 5;
        return NEWT__OK;
    case 0xfb:
        if (r->n - at < 9)
            return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
        t->kind = NEWT__DOUBLE;
        t->bits = newt__get64(r->data + at + 1);
        memcpy(&t->real, &t->bits, sizeof t->real);
        r->at += 9;
        return NEWT__OK;
    case 0xf8:
        if (r->n - at < 2)
            return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
        if (r->data[at + 1] < 32)
            return newt__read_fail(r, NEWT__MALFORMED, "reserved CBOR head", at);
        return newt__read_fail(r, NEWT__PROFILE, "unknown simple value", at);
    case 0xff: return newt__read_fail(r, NEWT__MALFORMED, "break without an indefinite length", at);
    default:
        if (b >= 0xfc)
            return newt__read_fail(r, NEWT__MALFORMED, "reserved CBOR head", at);
        return newt__read_fail(r, NEWT__PROFILE, "unknown simple value", at);
    }
}

/* ---- tagged items ------------------------------------------------------------------------- */

/* The magnitude of a bignum, after its tag. */
static bool
magnitude(newt__reader *r, newt__number *x)
{
    size_t at = r->at;
    const char *s;
    uint64_t u;

    if (!expect(r, NEWT__BYTES_TYPE, &u, "bignum is not bytes") || !newt__read_take(r, at, u, &s))
        return false;
    if (u > NEWT__MAX_MAGNITUDE) {
        newt__read_fail(r, NEWT__LIMIT, "bignum is too long", at);
        return false;
    }
    if (u <= 8 || *s == 0) {
        newt__read_fail(r, NEWT__PROFILE,
                        u > 0 && *s == 0 ? "bignum has leading zeros" : "bignum fits an integer",
                        at);
        return false;
    }
    x->magnitude = (const uint8_t *)s;
    x->n = (size_t)u;
    return true;
}

static newt__code
bignum(newt__reader *r, newt__token *t, bool negative)
{
    t->kind = NEWT__BIGNUM;
    t->number.negative = negative;
    t->number.exponent = 0;
    magnitude(r, &t->number);
    return r->fault.code;
}

static newt__code
decimal(newt__reader *r, newt__token *t)
{
    static const char *const shape = "decimal is not [exponent, mantissa]";
    newt__number *x = &t->number;
    size_t at = r->at, skip;
    uint64_t u;
    unsigned major;

    t->kind = NEWT__DECIMAL;
    if (!expect(r, NEWT__ARRAY_TYPE, &u, shape))
        return r->fault.code;
    if (u != 2)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);

    at = r->at;
    if (at < r->n && r->data[at] >> 5 > NEWT__NINT_TYPE)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);
    if (!newt__read_head(r, &major, &u))
        return r->fault.code;
    if (u > INT32_MAX)
        return newt__read_fail(r, NEWT__PROFILE, "decimal exponent is out of range", at);
    x->exponent = major == NEWT__NINT_TYPE ? -1 - (int32_t)u : (int32_t)u;

    at = r->at;
    if (at < r->n && (r->data[at] == 0xc2 || r->data[at] == 0xc3)) {
        x->negative = r->data[at] == 0xc3;
        r->at++;
        magnitude(r, x);
        return r->fault.code;
    }
    if (at < r->n && r->data[at] >> 5 > NEWT__NINT_TYPE)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);
    if (!newt__read_head(r, &major, &u))
        return r->fault.code;
    x->negative = major == NEWT__NINT_TYPE;
    newt__put64(t->magnitude, u);
    for (skip = 0; skip < 8 && t->magnitude[skip] == 0; skip++)
        ;
    x->magnitude = t->magnitude + skip;
    x->n = 8 - skip;
    return NEWT__OK;
}

/* {1: seconds, -6: microseconds} after its tag */
static newt__code
seconds(newt__reader *r, newt__token *t, newt__kind kind)
{
    static const char *const shape = "time or duration is not {1: seconds, -6: microseconds}";
    size_t at = r->at;
    unsigned major;
    uint64_t u;

    t->kind = kind;
    if (at < r->n && r->data[at] != 0xa2)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);
    if (r->n - at < 2)
        return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
    if (r->data[at + 1] != 0x01)
        return newt__read_fail(r, NEWT__PROFILE, shape, at + 1);
    r->at = at += 2;
    if (at < r->n && r->data[at] >> 5 > NEWT__NINT_TYPE)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);
    if (!newt__read_head(r, &major, &u))
        return r->fault.code;
    if (u > INT64_MAX)
        return newt__read_fail(r, NEWT__PROFILE, "time or duration is out of range", at);
    t->seconds = major == NEWT__NINT_TYPE ? -1 - (int64_t)u : (int64_t)u;
    at = r->at;
    if (at >= r->n)
        return newt__read_fail(r, NEWT__MALFORMED, newt__cut_short, at);
    if (r->data[at] != 0x25)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);
    r->at = ++at;
    if (!expect(r, NEWT__UINT_TYPE, &u, shape))
        return r->fault.code;
    if (u > 999999)
        return newt__read_fail(r, NEWT__PROFILE, "microseconds are out of range", at);
    t->us = (int32_t)u;
    return NEWT__OK;
}

static newt__code
date(newt__reader *r, newt__token *t)
{
    size_t at = r->at;
    unsigned major;
    uint64_t u;

    t->kind = NEWT__DATE;
    if (at < r->n && r->data[at] >> 5 > NEWT__NINT_TYPE)
        return newt__read_fail(r, NEWT__PROFILE, "date is not a number of days", at);
    if (!newt__read_head(r, &major, &u))
        return r->fault.code;
    if (u > INT64_MAX)
        return newt__read_fail(r, NEWT__PROFILE, "date is out of range", at);
    t->i = major == NEWT__NINT_TYPE ? -1 - (int64_t)u : (int64_t)u;
    return NEWT__OK;
}

static newt__code
uuid(newt__reader *r, newt__token *t)
{
    size_t at = r->at;
    uint64_t u;

    t->kind = NEWT__UUID;
    t->n = 16;
    if (!expect(r, NEWT__BYTES_TYPE, &u, "UUID is not 16 bytes"))
        return r->fault.code;
    if (u != 16)
        return newt__read_fail(r, NEWT__PROFILE, "UUID is not 16 bytes", at);
    newt__read_take(r, at, u, &t->s);
    return r->fault.code;
}

static newt__code
ref(newt__reader *r, newt__token *t, newt__kind kind)
{
    size_t at = r->at;
    uint64_t u;

    if (kind == NEWT__REF && at < r->n && r->data[at] == 0x82) {
        t->u = NEWT__TAG_REF;
        return newt__open_level(r, t, NEWT__STORE_REF, 1);
    }
    t->kind = kind;
    if (!expect(r, NEWT__UINT_TYPE, &u, "reference is not an object id"))
        return r->fault.code;
    if (u == 0 || u > INT64_MAX)
        return newt__read_fail(r, NEWT__PROFILE, "object id is out of range", at);
    t->i = (int64_t)u;
    return NEWT__OK;
}

static newt__code
raw_text(newt__reader *r, newt__token *t)
{
    size_t at = r->at;
    uint64_t u;

    t->kind = NEWT__RAW_TEXT;
    if (!expect(r, NEWT__BYTES_TYPE, &u, "raw text is not bytes") ||
        !newt__read_take(r, at, u, &t->s))
        return r->fault.code;
    t->n = (size_t)u;
    if (newt__utf8_valid(t->s, t->n) == t->n)
        return newt__read_fail(r, NEWT__PROFILE, "raw text is valid UTF-8", at);
    return NEWT__OK;
}

static newt__code
sharedref(newt__reader *r, newt__token *t)
{
    size_t at = r->at;

    t->kind = NEWT__SHAREDREF;
    if (!expect(r, NEWT__UINT_TYPE, &t->u, "shared reference is not a number"))
        return r->fault.code;
    if (t->u >= r->shared)
        return newt__read_fail(r, NEWT__PROFILE,
                               "shared reference to a value that is not there yet", at);
    return NEWT__OK;
}

/* [class, version, map] */
static newt__code
object(newt__reader *r, newt__token *t)
{
    static const char *const shape = "object is not [class, version, map]";
    size_t at = r->at;
    uint64_t u;

    if (!expect(r, NEWT__ARRAY_TYPE, &u, shape))
        return r->fault.code;
    if (u != 3)
        return newt__read_fail(r, NEWT__PROFILE, shape, at);
    if (!class_name(r, &t->s, &t->n_name) || !class_version(r, &t->i) ||
        !expect(r, NEWT__MAP_TYPE, &u, shape))
        return r->fault.code;
    return newt__open_map(r, t, NEWT__OBJECT, u);
}

/* An item with at least one tag in front. Hidden comes first, shared next, then at most one of the
 * others. */
newt__code
newt__read_tagged(newt__reader *r, newt__token *t)
{
    size_t at = r->at;
    unsigned major;
    uint64_t tag, u;

    if (!newt__read_head(r, &major, &tag))
        return r->fault.code;
    if (tag == NEWT__TAG_HIDDEN) {
        t->hidden = true;
        at = r->at;
        if (at >= r->n || r->data[at] >> 5 != NEWT__TAG_TYPE)
            return newt__read_untagged(r, t);
        if (!newt__read_head(r, &major, &tag))
            return r->fault.code;
    }
    if (tag == NEWT__TAG_SHARED) {
        t->shared = true;
        t->share = r->shared++;
        at = r->at;
        if (at < r->n && r->data[at] >> 5 == NEWT__MAP_TYPE)
            return newt__read_untagged(r, t);
        if (!expect(r, NEWT__TAG_TYPE, &tag, "shared value is no map and no object"))
            return r->fault.code;
        if (tag != NEWT__TAG_OBJECT)
            return newt__read_fail(r, NEWT__PROFILE, "shared value is no map and no object", at);
    }
    switch (tag) {
    case NEWT__TAG_REF: return ref(r, t, NEWT__REF);
    case NEWT__TAG_WEAK: return ref(r, t, NEWT__WEAK);
    case NEWT__TAG_BIGNUM: return bignum(r, t, false);
    case NEWT__TAG_NEGATIVE_BIGNUM: return bignum(r, t, true);
    case NEWT__TAG_DECIMAL: return decimal(r, t);
    case NEWT__TAG_TIME: return seconds(r, t, NEWT__TIME);
    case NEWT__TAG_DURATION: return seconds(r, t, NEWT__DURATION);
    case NEWT__TAG_DATE: return date(r, t);
    case NEWT__TAG_UUID: return uuid(r, t);
    case NEWT__TAG_OBJECT: return object(r, t);
    case NEWT__TAG_SHAREDREF: return sharedref(r, t);
    case NEWT__TAG_RAW_TEXT: return raw_text(r, t);
    case NEWT__TAG_SET:
        if (!expect(r, NEWT__ARRAY_TYPE, &u, "set is not an array"))
            return r->fault.code;
        return newt__open_list(r, t, NEWT__SET, u);
    case NEWT__TAG_PAIRS:
        if (!expect(r, NEWT__MAP_TYPE, &u, "pairs are not a map"))
            return r->fault.code;
        return newt__open_map(r, t, NEWT__PAIRS, u);
    case NEWT__TAG_HIDDEN: return newt__read_fail(r, NEWT__PROFILE, "value is hidden twice", at);
    case 0:
    case 1:
    case 5:
    case 25:
    case 256:
    case 55799: return newt__read_fail(r, NEWT__PROFILE, "tag is not allowed", at);
    default: t->u = tag; return newt__open_level(r, t, NEWT__TAG, 1);
    }
}

/* ---- tokens ------------------------------------------------------------------------------- */

newt__code
newt__read_close(newt__reader *r, newt__token *t, const struct newt__level *level)
{
    struct newt__level *outer;

    t->kind = NEWT__END;
    t->is_key = level->is_key;
    t->hidden = t->shared = false;
    t->start = level->offset;
    t->offset = t->end = r->at;
    if (--r->depth > 0) {
        outer = &r->level[r->depth - 1];
        if (outer->kind == NEWT__SET || (outer->kind == NEWT__PAIRS && level->is_key))
            return newt__read_order(r, outer, t->start, t->end);
    }
    return NEWT__OK;
}

newt__code
newt__read_end(newt__reader *r, newt__token *t)
{
    if (r->at < r->n)
        return newt__read_fail(r, NEWT__MALFORMED, "bytes after the record's end", r->at);
    t->kind = NEWT__END;
    t->is_key = t->hidden = t->shared = false;
    t->start = 0;
    t->offset = t->end = r->at;
    return NEWT__OK;
}

newt__code
newt__read(newt__reader *r, newt__token *t)
{
    return newt__read_token(r, t);
}

newt__code
newt__read_skip(newt__reader *r, const newt__token *t)
{
    newt__token inner;
    uint32_t outside;

    if (!newt__is_container(t->kind))
        return r->fault.code;
    outside = r->depth - 1;
    while (r->depth > outside && newt__read(r, &inner) == NEWT__OK)
        ;
    return r->fault.code;
}

newt__code
newt__read_rest(newt__reader *r)
{
    newt__token t;

    do {
        if (newt__read_token(r, &t) != NEWT__OK)
            break;
    } while (t.kind != NEWT__END || r->depth > 0 || r->at < r->n);
    return r->fault.code;
}

newt__code
newt__validate(const newt__env *env, const void *record, size_t n, newt__fault *fault)
{
    newt__reader r;

    if (newt__read_begin(&r, env, record, n) == NEWT__OK)
        newt__read_rest(&r);
    if (fault != NULL)
        *fault = r.fault;
    return r.fault.code;
}
