/*
 * project.c - the projection: record bytes -> JSON events
 *
 * One pass over the reader's tokens with a frame for each open container. Two things cannot be
 * known in time and begin the document anew: that it is too large, and that a map holds a key with
 * NUL or a hidden value stands behind a key that is a container. For the latter a look ahead over
 * the whole item notes, by the containers' numbers in reading order, where that is so.
 */
#include "json_text.h"
#include "read.h"

enum frame_kind {
    FIELDS, /* a map or an object: {key: value, ...} */
    ITEMS,  /* an array or a set: [item, ...] */
    PAIRS,  /* [{"k": key, "v": value}, ...] */
    TAG     /* {"::tag": n, "::v": item} */
};

struct frame {
    uint8_t kind;
    bool wrapped;    /* pairs: in the "::v" of an object */
    bool value;      /* pairs: the value's turn */
    const char *key; /* fields: the current one */
    size_t n;
    uint64_t index; /* items, pairs: the current one; SIZE_MAX before the first */
};

/* why a walk ended early */
enum stop {
    FAULT,
    TOO_LARGE,
    LOOK_AHEAD
};

/* what a look ahead notes of a container */
enum {
    HOLDS_NUL = 1,       /* one of its keys does */
    KEY_OF_HIDDEN = 2,   /* it is a key, and its value is hidden */
    NOTES_OF_A_BYTE = 4, /* two bits each */
    NO_KEY = -1
};

struct projection {
    newt__reader *r;
    const newt__sink *sink; /* or */
    newt__buffer *out;      /* text, directly */
    size_t start;           /* in out */
    newt__fault fault;
    enum stop stop;
    /* the text's length, if it could be too large */
    bool counting;
    bool fresh; /* a container has just been opened */
    uint64_t counted, limit;
    bool looked; /* notes are there */
    newt__buffer notes;
    uint64_t ordinal; /* containers read so far */
    newt__buffer scratch;
    uint32_t depth;
    struct frame frame[NEWT__MAX_DEPTH];
    newt__token token;
};

NEWT__COLD static bool
stop(struct projection *p, enum stop why)
{
    p->stop = why;
    return false;
}

NEWT__COLD static bool
fail(struct projection *p, newt__code code, const char *reason)
{
    p->fault = (newt__fault){code, reason, p->r->at};
    return stop(p, FAULT);
}

NEWT__COLD static bool
reader_failed(struct projection *p)
{
    p->fault = p->r->fault;
    return stop(p, FAULT);
}

NEWT__COLD static bool
no_memory(struct projection *p)
{
    return fail(p, NEWT__NOMEM, "out of memory");
}

static inline bool
next(struct projection *p)
{
    return NEWT__LIKELY(newt__read_token(p->r, &p->token) == NEWT__OK) || reader_failed(p);
}

/* ---- events ------------------------------------------------------------------------------- */

/* Counts the event's text with its comma, as json_text.h writes it; whether the document can still
 * be small enough. */
NEWT__COLD static bool
fits(struct projection *p, const newt__json *e)
{
    char digits[NEWT__UINT_TEXT];
    uint64_t length;

    switch (e->kind) {
    case NEWT__JSON_OBJECT:
    case NEWT__JSON_ARRAY: length = 1; break;
    case NEWT__JSON_OBJECT_END:
    case NEWT__JSON_ARRAY_END: length = p->fresh ? 2 : 1; break;
    case NEWT__JSON_KEY:
    case NEWT__JSON_STRING:
        if (e->n > p->limit)
            return stop(p, TOO_LARGE);
        length = 3 + (e->plain ? e->n : newt__escaped_length(e->s, e->n));
        break;
    case NEWT__JSON_INT:
        length = 1 + (e->i < 0) +
                 newt__uint_text(e->i < 0 ? 0 - (uint64_t)e->i : (uint64_t)e->i, digits);
        break;
    case NEWT__JSON_NUMBER: length = e->n + 1; break;
    case NEWT__JSON_FALSE: length = 6; break;
    default: length = 5; break;
    }
    p->fresh = e->kind == NEWT__JSON_OBJECT || e->kind == NEWT__JSON_ARRAY;
    p->counted += length;
    return p->counted - 1 <= p->limit || stop(p, TOO_LARGE);
}

NEWT__INLINE bool
emit(struct projection *p, const newt__json *e)
{
    if (NEWT__UNLIKELY(p->counting) && !fits(p, e))
        return false;
    if (p->out != NULL) {
        if (NEWT__UNLIKELY(!newt__put(p->out, e)))
            return no_memory(p);
    } else if (NEWT__UNLIKELY(p->sink->event(p->sink->arg, e) != 0)) {
        return fail(p, NEWT__SINK, "the sink stopped");
    }
    return true;
}

NEWT__INLINE bool
emit_word(struct projection *p, newt__json_kind kind)
{
    newt__json e = {.kind = kind};

    return emit(p, &e);
}

NEWT__INLINE bool
emit_text(struct projection *p, newt__json_kind kind, const newt__token *t)
{
    newt__json e = {.kind = kind, .s = t->s, .n = t->n, .in_record = true, .plain = t->plain};

    return emit(p, &e);
}

NEWT__INLINE bool
emit_int(struct projection *p, int64_t i)
{
    newt__json e = {.kind = NEWT__JSON_INT, .i = i};

    return emit(p, &e);
}

/* a key of ours */
NEWT__INLINE bool
emit_own_key(struct projection *p, const char *s)
{
    newt__json e = {.kind = NEWT__JSON_KEY, .s = s, .n = strlen(s), .plain = true};

    return emit(p, &e);
}

/* The same as functions, for what is rare. */
static bool
word(struct projection *p, newt__json_kind kind)
{
    newt__json e = {.kind = kind};

    return emit(p, &e);
}

static bool
text(struct projection *p, newt__json_kind kind, const void *s, size_t n, bool plain)
{
    newt__json e = {.kind = kind, .s = s, .n = n, .plain = plain};

    return emit(p, &e);
}

static bool
own_key(struct projection *p, const char *s)
{
    return text(p, NEWT__JSON_KEY, s, strlen(s), true);
}

static bool
integer(struct projection *p, int64_t i)
{
    return emit_int(p, i);
}

static bool
unsigned_integer(struct projection *p, uint64_t u)
{
    char digits[NEWT__UINT_TEXT];

    if (u <= INT64_MAX)
        return emit_int(p, (int64_t)u);
    return text(p, NEWT__JSON_NUMBER, digits, newt__uint_text(u, digits), true);
}

/* {"key": integer} */
static bool
wrapped_uint(struct projection *p, const char *key, uint64_t u)
{
    return word(p, NEWT__JSON_OBJECT) && own_key(p, key) && unsigned_integer(p, u) &&
           word(p, NEWT__JSON_OBJECT_END);
}

/* ---- rejects ------------------------------------------------------------------------------ */

static inline bool
is_wrapper(const char *s, size_t n)
{
    return n >= 2 && s[0] == ':' && s[1] == ':';
}

/* Tells the sink that the value that begins here is not shown as it is. */
NEWT__COLD static bool
reject(struct projection *p, const char *reason)
{
    newt__path_item path[2 * NEWT__MAX_DEPTH];
    size_t n = 0, colons = 0;
    uint32_t i;
    newt__buffer *b = &p->scratch;

    if (p->sink == NULL || p->sink->reject == NULL)
        return true;
    for (i = 0; i < p->depth; i++) {
        if (p->frame[i].kind == FIELDS && is_wrapper(p->frame[i].key, p->frame[i].n))
            colons += p->frame[i].n + 1;
    }
    /* all the room at once: path points into it */
    b->n = 0;
    if (!newt__room(b, colons))
        return no_memory(p);
    for (i = 0; i < p->depth; i++) {
        const struct frame *f = &p->frame[i];

        if (f->kind == TAG || f->wrapped)
            path[n++] = (newt__path_item){"::v", 3, 0};
        switch (f->kind) {
        case FIELDS:
            path[n] = (newt__path_item){f->key, f->n, 0};
            if (is_wrapper(f->key, f->n)) {
                path[n].key = (const char *)b->data + b->n;
                path[n].n++;
                newt__put_byte(b, ':');
                newt__buffer_append(b, f->key, f->n);
            }
            n++;
            break;
        case ITEMS: path[n++] = (newt__path_item){NULL, 0, f->index}; break;
        case PAIRS:
            path[n++] = (newt__path_item){NULL, 0, f->index};
            path[n++] = (newt__path_item){f->value ? "v" : "k", 1, 0};
            break;
        default: break;
        }
    }
    return p->sink->reject(p->sink->arg, path, n, reason) == 0 ||
           fail(p, NEWT__SINK, "the sink stopped");
}

/* ---- scalars that are rare ---------------------------------------------------------------- */

/* "::b64", or if there are too many bytes "::bin" */
static bool
bytes_entry(struct projection *p, const char *s, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char out[(NEWT__MAX_INLINE + 2) / 3 * 4];
    size_t at, k = 0;

    if (n > NEWT__MAX_INLINE)
        return own_key(p, "::bin") && unsigned_integer(p, n);
    for (at = 0; at < n; at += 3) {
        size_t left = n - at;
        uint32_t x = (uint32_t)(uint8_t)s[at] << 16;

        if (left > 1)
            x |= (uint32_t)(uint8_t)s[at + 1] << 8;
        if (left > 2)
            x |= (uint8_t)s[at + 2];
        out[k++] = alphabet[x >> 18];
        out[k++] = alphabet[x >> 12 & 63];
        out[k++] = left > 1 ? alphabet[x >> 6 & 63] : '=';
        out[k++] = left > 2 ? alphabet[x & 63] : '=';
    }
    return own_key(p, "::b64") && text(p, NEWT__JSON_STRING, out, k, true);
}

static bool
bytes(struct projection *p, const newt__token *t)
{
    return word(p, NEWT__JSON_OBJECT) && bytes_entry(p, t->s, t->n) &&
           word(p, NEWT__JSON_OBJECT_END);
}

/* Text with NUL or not UTF-8: its bytes, and what can be read of it. */
static bool
lossy(struct projection *p, const newt__token *t)
{
    if (p->counting && t->n > p->limit)
        return stop(p, TOO_LARGE);
    if (!reject(p, "text") || !word(p, NEWT__JSON_OBJECT) || !bytes_entry(p, t->s, t->n) ||
        !own_key(p, "::text"))
        return false;
    p->scratch.n = 0;
    if (!newt__utf8_lossy(&p->scratch, t->s, t->n))
        return no_memory(p);
    return text(p, NEWT__JSON_STRING, p->scratch.data, p->scratch.n, false) &&
           word(p, NEWT__JSON_OBJECT_END);
}

static bool
number(struct projection *p, const newt__number *x)
{
    bool positional;
    newt__code code;

    p->scratch.n = 0;
    code = newt__number_text(&p->scratch, x, &positional);
    if (code != NEWT__OK)
        return fail(p, code, code == NEWT__NOMEM ? "out of memory" : "interrupted");
    if (positional)
        return text(p, NEWT__JSON_NUMBER, p->scratch.data, p->scratch.n, true);
    if (p->sink != NULL && p->sink->reject != NULL) {
        /* the path needs the scratch */
        newt__buffer digits = p->scratch;
        bool ok;

        p->scratch = (newt__buffer){.env = digits.env};
        ok = reject(p, "number");
        newt__buffer_free(&p->scratch);
        p->scratch = digits;
        if (!ok)
            return false;
    }
    return word(p, NEWT__JSON_OBJECT) && own_key(p, "::num") &&
           text(p, NEWT__JSON_STRING, p->scratch.data, p->scratch.n, true) &&
           word(p, NEWT__JSON_OBJECT_END);
}

/* An integer that int64 does not hold. */
static bool
large_integer(struct projection *p, const newt__token *t)
{
    uint8_t magnitude[8];
    newt__number x = {t->number.negative, magnitude, sizeof magnitude, 0};

    newt__put64(magnitude, t->u);
    return number(p, &x);
}

static bool
real(struct projection *p, const newt__token *t)
{
    char out[NEWT__FLOAT_TEXT];
    bool single = t->kind == NEWT__FLOAT;
    uint64_t exponent = single ? UINT64_C(0xff) << 23 : UINT64_C(0x7ff) << 52;
    uint64_t fraction = single ? (UINT64_C(1) << 23) - 1 : (UINT64_C(1) << 52) - 1;

    if ((t->bits & exponent) != exponent) {
        size_t n = single ? newt__float_text((float)t->real, out) : newt__double_text(t->real, out);

        return text(p, NEWT__JSON_NUMBER, out, n, true);
    }
    if (t->bits & fraction)
        return text(p, NEWT__JSON_STRING, "NaN", 3, true);
    if (t->bits >> (single ? 31 : 63))
        return text(p, NEWT__JSON_STRING, "-Infinity", 9, true);
    return text(p, NEWT__JSON_STRING, "Infinity", 8, true);
}

/* ---- times -------------------------------------------------------------------------------- */

enum {
    FIRST_DAY = -719162, /* 0001-01-01 */
    LAST_DAY = 2932896,  /* 9999-12-31 */
    DAY = 86400
};

/* n digits of x, zeros in front */
static void
digits(char *out, size_t n, uint32_t x)
{
    while (n-- > 0) {
        out[n] = (char)('0' + x % 10);
        x /= 10;
    }
}

/* YYYY-MM-DD: the calendar is computed in years that begin with March. */
static void
date_text(char *out, int32_t day)
{
    /* days since 0000-03-01, of the 400-year cycle, of the year */
    uint32_t since = (uint32_t)(day + 719468), cycle = since / 146097, of_cycle = since % 146097;
    uint32_t of_400 = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    uint32_t of_year = of_cycle - (365 * of_400 + of_400 / 4 - of_400 / 100);
    uint32_t march = (5 * of_year + 2) / 153;
    uint32_t month = march < 10 ? march + 3 : march - 9;

    digits(out, 4, 400 * cycle + of_400 + (month <= 2));
    out[4] = '-';
    digits(out + 5, 2, month);
    out[7] = '-';
    digits(out + 8, 2, of_year - (153 * march + 2) / 5 + 1);
}

static bool
date(struct projection *p, const newt__token *t)
{
    char out[10];

    if (t->i < FIRST_DAY || t->i > LAST_DAY)
        return word(p, NEWT__JSON_OBJECT) && own_key(p, "::days") && integer(p, t->i) &&
               word(p, NEWT__JSON_OBJECT_END);
    date_text(out, (int32_t)t->i);
    return text(p, NEWT__JSON_STRING, out, sizeof out, true);
}

/* All of a time or duration in microseconds; int64 may not hold it. */
static bool
microseconds(struct projection *p, const newt__token *t)
{
    char out[NEWT__UINT_TEXT + 8];
    uint64_t seconds;
    uint32_t us = (uint32_t)t->us;
    size_t n = 0;

    if (t->seconds > INT64_MIN / 1000000 && t->seconds < INT64_MAX / 1000000)
        return integer(p, t->seconds * 1000000 + t->us);
    if (t->seconds < 0) {
        out[n++] = '-';
        seconds = 0 - (uint64_t)t->seconds - (us > 0);
        us = us > 0 ? 1000000 - us : 0;
    } else {
        seconds = (uint64_t)t->seconds;
    }
    n += newt__uint_text(seconds, out + n);
    digits(out + n, 6, us);
    return text(p, NEWT__JSON_NUMBER, out, n + 6, true);
}

static bool
time_of_day(struct projection *p, const newt__token *t)
{
    char out[27];
    int32_t day;
    uint32_t s;

    if (t->seconds < (int64_t)FIRST_DAY * DAY || t->seconds >= ((int64_t)LAST_DAY + 1) * DAY)
        return word(p, NEWT__JSON_OBJECT) && own_key(p, "::us") && microseconds(p, t) &&
               word(p, NEWT__JSON_OBJECT_END);
    day = (int32_t)((t->seconds - (int64_t)FIRST_DAY * DAY) / DAY) + FIRST_DAY;
    s = (uint32_t)(t->seconds - (int64_t)day * DAY);
    date_text(out, day);
    out[10] = 'T';
    digits(out + 11, 2, s / 3600);
    out[13] = ':';
    digits(out + 14, 2, s / 60 % 60);
    out[16] = ':';
    digits(out + 17, 2, s % 60);
    out[19] = '.';
    digits(out + 20, 6, (uint32_t)t->us);
    out[26] = 'Z';
    return text(p, NEWT__JSON_STRING, out, sizeof out, true);
}

static bool
uuid(struct projection *p, const newt__token *t)
{
    static const char hex[] = "0123456789abcdef";
    char out[36];
    size_t i, k = 0;

    for (i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[k++] = '-';
        out[k++] = hex[(uint8_t)t->s[i] >> 4];
        out[k++] = hex[(uint8_t)t->s[i] & 15];
    }
    return text(p, NEWT__JSON_STRING, out, sizeof out, true);
}

/* ---- scalars ------------------------------------------------------------------------------ */

static inline bool
show_ref(struct projection *p, int64_t oid)
{
    return emit_word(p, NEWT__JSON_OBJECT) && emit_own_key(p, "::=>") && emit_int(p, oid) &&
           emit_word(p, NEWT__JSON_OBJECT_END);
}

static inline bool
scalar(struct projection *p, const newt__token *t)
{
    switch (t->kind) {
    case NEWT__TEXT:
        if (NEWT__UNLIKELY(!t->plain) && newt__holds_nul(t->s, t->n))
            return lossy(p, t);
        return emit_text(p, NEWT__JSON_STRING, t);
    case NEWT__INT:
        if (NEWT__UNLIKELY(t->u > INT64_MAX))
            return large_integer(p, t);
        return emit_int(p, t->number.negative ? -1 - (int64_t)t->u : (int64_t)t->u);
    case NEWT__REF: return show_ref(p, t->i);
    case NEWT__NULL: return word(p, NEWT__JSON_NULL);
    case NEWT__BOOL: return word(p, t->boolean ? NEWT__JSON_TRUE : NEWT__JSON_FALSE);
    case NEWT__FLOAT:
    case NEWT__DOUBLE: return real(p, t);
    case NEWT__BIGNUM:
    case NEWT__DECIMAL: return number(p, &t->number);
    case NEWT__RAW_TEXT: return lossy(p, t);
    case NEWT__BYTES: return bytes(p, t);
    case NEWT__TIME: return time_of_day(p, t);
    case NEWT__DURATION: return microseconds(p, t);
    case NEWT__DATE: return date(p, t);
    case NEWT__UUID: return uuid(p, t);
    default: return wrapped_uint(p, "::->", t->u);
    }
}

/* ---- containers --------------------------------------------------------------------------- */

static unsigned
notes_of(const struct projection *p, uint64_t ordinal)
{
    size_t at = (size_t)(ordinal / NOTES_OF_A_BYTE);

    if (!p->looked || at >= p->notes.n)
        return 0;
    return p->notes.data[at] >> 2 * (ordinal % NOTES_OF_A_BYTE) & 3;
}

static inline void
push(struct projection *p, enum frame_kind kind, bool wrapped)
{
    struct frame *f = &p->frame[p->depth++];

    f->kind = (uint8_t)kind;
    f->wrapped = wrapped;
    f->value = false;
    f->key = NULL;
    f->n = 0;
    f->index = UINT64_MAX;
}

/* A map of any sort that is shared, of a class or holds a key with NUL. */
NEWT__COLD static bool
enter_special(struct projection *p, const newt__token *t, bool pairs)
{
    bool object = t->kind == NEWT__OBJECT || t->shared;

    if (object) {
        if (!word(p, NEWT__JSON_OBJECT))
            return false;
        if (t->kind == NEWT__OBJECT &&
            (!own_key(p, "::") || !text(p, NEWT__JSON_STRING, t->s, t->n_name, false)))
            return false;
        if (t->shared && (!own_key(p, "::id") || !unsigned_integer(p, t->share)))
            return false;
    }
    if (!pairs) {
        push(p, FIELDS, false);
        return true;
    }
    if ((object && !own_key(p, "::v")) || !word(p, NEWT__JSON_ARRAY))
        return false;
    push(p, PAIRS, object);
    return true;
}

static inline bool
enter(struct projection *p, const newt__token *t)
{
    unsigned notes = NEWT__UNLIKELY(p->looked) ? notes_of(p, p->ordinal) : 0;

    p->ordinal++;
    switch (t->kind) {
    case NEWT__MAP:
    case NEWT__OBJECT:
        if (NEWT__UNLIKELY(t->kind == NEWT__OBJECT || t->shared || (notes & HOLDS_NUL)))
            return enter_special(p, t, notes & HOLDS_NUL);
        push(p, FIELDS, false);
        return emit_word(p, NEWT__JSON_OBJECT);
    case NEWT__ARRAY:
    case NEWT__SET: push(p, ITEMS, false); return emit_word(p, NEWT__JSON_ARRAY);
    case NEWT__PAIRS: push(p, PAIRS, false); return word(p, NEWT__JSON_ARRAY);
    default:
        push(p, TAG, false);
        return word(p, NEWT__JSON_OBJECT) && own_key(p, "::tag") && unsigned_integer(p, t->u);
    }
}

static inline bool
leave(struct projection *p)
{
    const struct frame *f = &p->frame[--p->depth];

    switch (f->kind) {
    case ITEMS: return emit_word(p, NEWT__JSON_ARRAY_END);
    case PAIRS:
        return word(p, NEWT__JSON_ARRAY_END) && (!f->wrapped || word(p, NEWT__JSON_OBJECT_END));
    default: return emit_word(p, NEWT__JSON_OBJECT_END);
    }
}

/* Reads over the item that token t began, counting containers. */
static bool
skip(struct projection *p, const newt__token *t)
{
    uint32_t outside = p->r->depth - 1;

    if (!newt__is_container(t->kind))
        return true;
    p->ordinal++;
    while (p->r->depth > outside) {
        if (!next(p))
            return false;
        p->ordinal += newt__is_container(p->token.kind);
    }
    return true;
}

static inline bool
skip_next(struct projection *p)
{
    return next(p) && skip(p, &p->token);
}

/* Whether the next item is hidden. */
static inline bool
hidden_next(const newt__reader *r)
{
    return NEWT__UNLIKELY(r->n - r->at >= 3) && r->data[r->at] == 0xd9 &&
           newt__get16(r->data + r->at + 1) == NEWT__TAG_HIDDEN;
}

/* A key that begins with "::" gets one more colon. */
NEWT__COLD static bool
wrapper_key(struct projection *p, const newt__token *t)
{
    p->scratch.n = 0;
    if (!newt__buffer_append(&p->scratch, ":", 1) || !newt__buffer_append(&p->scratch, t->s, t->n))
        return no_memory(p);
    return text(p, NEWT__JSON_KEY, p->scratch.data, p->scratch.n, t->plain);
}

/* ---- where items stand -------------------------------------------------------------------- */

/* what to do with the token that has been placed */
enum placed {
    STOPPED,
    SHOW, /* p->token or what was given: the value */
    DONE  /* nothing to show; go on */
};

static inline enum placed
place_field(struct projection *p, struct frame *f, const newt__token *key)
{
    if (NEWT__UNLIKELY(hidden_next(p->r)))
        return skip_next(p) ? DONE : STOPPED;
    if (NEWT__UNLIKELY(!key->plain) && newt__holds_nul(key->s, key->n)) {
        stop(p, LOOK_AHEAD);
        return STOPPED;
    }
    f->key = key->s;
    f->n = key->n;
    if (NEWT__UNLIKELY(is_wrapper(key->s, key->n)) ? !wrapper_key(p, key)
                                                   : !emit_text(p, NEWT__JSON_KEY, key))
        return STOPPED;
    return next(p) ? SHOW : STOPPED;
}

static enum placed
place_pair(struct projection *p, struct frame *f, const newt__token *t)
{
    if (!t->is_key) {
        if (t->hidden) {
            /* the key is a container and has been shown */
            stop(p, LOOK_AHEAD);
            return STOPPED;
        }
        f->value = true;
        return own_key(p, "v") ? SHOW : STOPPED;
    }
    if (t->hidden ||
        (newt__is_container(t->kind) ? notes_of(p, p->ordinal) & KEY_OF_HIDDEN : hidden_next(p->r)))
        return skip(p, t) && skip_next(p) ? DONE : STOPPED;
    f->index++;
    f->value = false;
    return word(p, NEWT__JSON_OBJECT) && own_key(p, "k") ? SHOW : STOPPED;
}

static inline enum placed
place(struct projection *p, const newt__token *t)
{
    struct frame *f = &p->frame[p->depth - 1];

    switch (f->kind) {
    case FIELDS: return place_field(p, f, t);
    case PAIRS: return place_pair(p, f, t);
    default:
        if (NEWT__UNLIKELY(t->hidden))
            return skip(p, t) ? DONE : STOPPED;
        f->index++;
        return f->kind != TAG || own_key(p, "::v") ? SHOW : STOPPED;
    }
}

/* ---- the straight path --------------------------------------------------------------------- */

/* The order of keys, as the reader has it; whether this one may follow. */
static inline bool
in_order(const newt__reader *r, const struct newt__level *level, const char *key, size_t n)
{
    if (level->last_n == NEWT__FIRST || n > level->last_n)
        return true;
    return n == level->last_n && newt__compare(r->data + level->last, (const uint8_t *)key, n) < 0;
}

/* Takes a simple field or item as read, and shows the key. */
static bool
pass(struct projection *p, const uint8_t *behind, const char *key, size_t n)
{
    newt__reader *r = p->r;
    struct newt__level *level = &r->level[r->depth - 1];
    newt__json e = {.kind = NEWT__JSON_KEY, .s = key, .n = n, .in_record = true, .plain = true};

    r->at = (size_t)(behind - r->data);
    if (key == NULL) {
        r->ticks++;
        level->left--;
        p->frame[p->depth - 1].index++;
        return true;
    }
    r->ticks += 2;
    level->left -= 2;
    level->last = (size_t)((const uint8_t *)key - r->data);
    level->last_n = n;
    return emit(p, &e);
}

/*
 * Shows what most of most records is, fields and items of the simplest forms, without tokens: as
 * far as it goes. Whatever else stands there, and whatever is wrong, is left to the reader, at the
 * beginning of its field or item.
 */
NEWT__INLINE bool
straight(struct projection *p, const bool fields)
{
    newt__reader *r = p->r;
    const struct newt__level *level = &r->level[r->depth - 1];
    const uint8_t *end = r->data + r->n, *at = r->data + r->at, *behind;
    newt__json e = {.kind = NEWT__JSON_STRING, .in_record = true, .plain = true};
    const char *key = NULL;
    size_t n = 0;
    int64_t i;

    for (; level->left > 0 && r->ticks < NEWT__TICKS - 2; at = behind) {
        if (fields) {
            at = newt__short_text(at, end, &key, &n);
            if (at == NULL || is_wrapper(key, n) || !in_order(r, level, key, n))
                return true;
        }
        if ((behind = newt__short_text(at, end, &e.s, &e.n)) != NULL) {
            if (!pass(p, behind, key, n) || !emit(p, &e))
                return false;
        } else if ((behind = newt__short_uint(at, end, &i)) != NULL) {
            if (!pass(p, behind, key, n) || !emit_int(p, i))
                return false;
        } else if ((behind = newt__short_ref(at, end, &i)) != NULL) {
            if (!pass(p, behind, key, n) || !show_ref(p, i))
                return false;
        } else {
            return true;
        }
    }
    return true;
}

static inline bool
straight_on(struct projection *p)
{
    switch (p->frame[p->depth - 1].kind) {
    case FIELDS: return straight(p, true);
    case ITEMS: return p->r->level[p->r->depth - 1].kind != NEWT__ARRAY || straight(p, false);
    default: return true;
    }
}

/* Projects the item that t begins, to its end. */
static bool
walk(struct projection *p, const newt__token *t)
{
    if (newt__is_container(t->kind) ? !enter(p, t) : !scalar(p, t))
        return false;
    t = &p->token;
    while (p->depth > 0) {
        if (!straight_on(p) || !next(p))
            return false;
        if (t->kind != NEWT__END) {
            switch (place(p, t)) {
            case STOPPED: return false;
            case DONE: continue;
            default: break;
            }
            if (newt__is_container(t->kind)) {
                if (!enter(p, t))
                    return false;
                continue;
            }
            if (!scalar(p, t))
                return false;
        } else if (!leave(p)) {
            return false;
        }
        /* the value of a pair was the last of it */
        if (p->depth > 0 && p->frame[p->depth - 1].kind == PAIRS && p->frame[p->depth - 1].value) {
            p->frame[p->depth - 1].value = false;
            if (!word(p, NEWT__JSON_OBJECT_END))
                return false;
        }
    }
    return true;
}

/* ---- the look ahead ----------------------------------------------------------------------- */

static bool
note(struct projection *p, uint64_t ordinal, unsigned what)
{
    size_t at = (size_t)(ordinal / NOTES_OF_A_BYTE), more;

    if (at >= p->notes.n) {
        more = at + 1 - p->notes.n;
        if (!newt__room(&p->notes, more))
            return no_memory(p);
        memset(p->notes.data + p->notes.n, 0, more);
        p->notes.n += more;
    }
    p->notes.data[at] |= (uint8_t)(what << 2 * (ordinal % NOTES_OF_A_BYTE));
    return true;
}

/* Reads through the container that t began. Frames serve as its stack: index is the container's
 * number, n that of the current key of pairs, if that is a container. Hidden containers are gone
 * through as well, what is noted there is never asked for. */
static bool
look_ahead(struct projection *p, const newt__token *t)
{
    newt__reader *r = p->r;
    const uint32_t base = r->depth - 1;
    uint64_t ordinal = 1;
    struct frame *f;

    p->frame[0].kind = (uint8_t)t->kind;
    p->frame[0].index = 0;
    p->frame[0].n = SIZE_MAX;
    t = &p->token;
    while (r->depth > base) {
        bool container;

        if (!next(p))
            return false;
        if (t->kind == NEWT__END)
            continue;
        container = newt__is_container(t->kind);
        f = &p->frame[r->depth - base - 1 - container];
        if (f->kind == NEWT__PAIRS && t->is_key) {
            f->n = container && !t->hidden ? (size_t)ordinal : SIZE_MAX;
        } else if (f->kind == NEWT__PAIRS) {
            if (t->hidden && f->n != SIZE_MAX && !note(p, f->n, KEY_OF_HIDDEN))
                return false;
        } else if (t->is_key && !t->plain && newt__holds_nul(t->s, t->n) && !hidden_next(r)) {
            if (!note(p, f->index, HOLDS_NUL))
                return false;
        }
        if (container) {
            f = &p->frame[r->depth - base - 1];
            f->kind = (uint8_t)t->kind;
            f->index = ordinal++;
            f->n = SIZE_MAX;
        }
    }
    p->looked = true;
    return true;
}

/* ---- a whole item ------------------------------------------------------------------------- */

/* Where the reader stood when the item's first token had been read. Of its levels only the item's
 * own and the one around it change meanwhile. */
struct place_in_reader {
    size_t at;
    uint32_t depth;
    uint64_t shared;
    struct newt__level own, outer;
};

static void
remember(const newt__reader *r, struct place_in_reader *place)
{
    place->at = r->at;
    place->depth = r->depth;
    place->shared = r->shared;
    if (r->depth > 0)
        place->own = r->level[r->depth - 1];
    if (r->depth > 1)
        place->outer = r->level[r->depth - 2];
}

static void
rewind_to(newt__reader *r, const struct place_in_reader *place)
{
    r->at = place->at;
    r->depth = place->depth;
    r->shared = place->shared;
    if (r->depth > 0)
        r->level[r->depth - 1] = place->own;
    if (r->depth > 1)
        r->level[r->depth - 2] = place->outer;
}

static void
begin(struct projection *p, newt__reader *r, const newt__sink *sink, newt__buffer *out)
{
    p->r = r;
    p->sink = sink;
    p->out = out;
    p->start = out != NULL ? out->n : 0;
    p->fault = (newt__fault){NEWT__OK, NULL, 0};
    p->limit = newt__max_json(r->env);
    p->counting = r->n > p->limit / NEWT__EXPANSION;
    p->looked = false;
    p->notes = (newt__buffer){.env = r->env};
    p->scratch = (newt__buffer){.env = r->env};
    p->fresh = false;
    p->counted = 0;
    p->ordinal = 0;
    p->depth = 0;
}

static void
restart(struct projection *p)
{
    if (p->out != NULL)
        p->out->n = p->start;
    else
        p->sink->restart(p->sink->arg);
    p->fresh = false;
    p->counted = 0;
    p->ordinal = 0;
    p->depth = 0;
}

/* {"::err": "too-large", "::bin": n} */
static bool
too_large(struct projection *p, uint64_t n)
{
    p->counting = false;
    p->depth = 0;
    return reject(p, "too-large") && word(p, NEWT__JSON_OBJECT) && own_key(p, "::err") &&
           text(p, NEWT__JSON_STRING, "too-large", 9, true) && own_key(p, "::bin") &&
           unsigned_integer(p, n) && word(p, NEWT__JSON_OBJECT_END);
}

/* Whether what has been counted may be in vain: the value of a key that is a container may turn out
 * hidden. */
static bool
in_a_key(const struct projection *p)
{
    uint32_t i;

    for (i = 0; i < p->depth && !p->looked; i++) {
        if (p->frame[i].kind == PAIRS && !p->frame[i].value)
            return true;
    }
    return false;
}

/* Projects the item that t began; whole: it stands for the record. */
static newt__code
item(struct projection *p, const newt__token *t, bool whole)
{
    newt__reader *r = p->r;
    struct place_in_reader place;
    bool ok;

    remember(r, &place);
    ok = walk(p, t);
    if (!ok && (p->stop == LOOK_AHEAD || (p->stop == TOO_LARGE && in_a_key(p)))) {
        restart(p);
        rewind_to(r, &place);
        ok = look_ahead(p, t);
        if (ok) {
            rewind_to(r, &place);
            p->depth = 0;
            ok = walk(p, t);
        }
    }
    if (!ok && p->stop == TOO_LARGE) {
        restart(p);
        rewind_to(r, &place);
        if (newt__read_skip(r, t) == NEWT__OK)
            ok = too_large(p, whole ? r->n : r->at - t->offset);
        else
            reader_failed(p);
    }
    newt__buffer_free(&p->scratch);
    newt__buffer_free(&p->notes);
    return ok ? NEWT__OK : p->fault.code;
}

newt__code
newt__project_item(newt__reader *r, const newt__token *t, const newt__sink *sink,
                   newt__fault *fault)
{
    struct projection p;

    begin(&p, r, sink, NULL);
    item(&p, t, false);
    if (fault != NULL)
        *fault = p.fault;
    return p.fault.code;
}

static newt__code
record(struct projection *p, const newt__env *env, const void *data, size_t n,
       const newt__sink *sink, newt__buffer *out, bool *hidden)
{
    newt__reader r;
    newt__token t;

    *hidden = false;
    newt__read_begin(&r, env, data, n);
    begin(p, &r, sink, out);
    if (r.fault.code == NEWT__OK && newt__read(&r, &t) == NEWT__OK) {
        if (t.hidden)
            *hidden = true;
        else
            item(p, &t, true);
        if (p->fault.code == NEWT__OK)
            newt__read_rest(&r);
    }
    if (p->fault.code == NEWT__OK)
        p->fault = r.fault;
    return p->fault.code;
}

newt__code
newt__project(const newt__env *env, const void *data, size_t n, const newt__sink *sink,
              bool *hidden, newt__fault *fault)
{
    struct projection p;

    record(&p, env, data, n, sink, NULL, hidden);
    if (fault != NULL)
        *fault = p.fault;
    return p.fault.code;
}

newt__code
newt__project_text(const newt__env *env, const void *data, size_t n, newt__buffer *out,
                   bool *hidden, newt__fault *fault)
{
    struct projection p;
    size_t start = out->n;

    record(&p, env, data, n, NULL, out, hidden);
    if (p.fault.code != NEWT__OK)
        out->n = start;
    else if (!*hidden)
        out->n--; /* the comma */
    if (fault != NULL)
        *fault = p.fault;
    return p.fault.code;
}
