/* reencode.c - a record read token by token and written again */
#include "reencode.h"

/* Below -2^63 an int has no C type: it goes the way of the bignums. */
static void
integer(newt__writer *w, const newt__token *t)
{
    uint8_t magnitude[8];
    newt__number x = {.negative = true, .magnitude = magnitude, .n = sizeof magnitude};
    if (!t->number.negative) {
        newt__write_uint(w, t->u);
        return;
    }
    if (t->u <= INT64_MAX) {
        newt__write_int(w, -1 - (int64_t)t->u);
        return;
    }
    for (int i = 0; i < 8; i++)
        magnitude[i] = (uint8_t)(t->u >> (56 - 8 * i));
    newt__write_number(w, &x, false);
}

/* Whether int64 can hold the token's time in microseconds, as the writer takes them. A record may
 * say more. */
static bool
microseconds(const newt__token *t, int64_t *us)
{
    const int64_t most = INT64_MAX / 1000000, least = INT64_MIN / 1000000 - 1;
    if (t->seconds > most || (t->seconds == most && t->us > INT64_MAX % 1000000) ||
        t->seconds < least || (t->seconds == least && t->us < 1000000 + (int)(INT64_MIN % 1000000)))
        return false;
    *us = t->seconds < 0 ? (t->seconds + 1) * 1000000 + (t->us - 1000000)
                         : t->seconds * 1000000 + t->us;
    return true;
}

static void
token(newt__writer *w, const newt__token *t, const uint8_t *record)
{
    int64_t us = 0;
    if ((t->kind == NEWT__TIME || t->kind == NEWT__DURATION) && !microseconds(t, &us)) {
        newt__write_encoded(w, record + t->offset, t->end - t->offset);
        return;
    }
    if (t->hidden)
        newt__write_hidden(w);
    if (t->shared)
        newt__write_shared(w);
    switch (t->kind) {
    case NEWT__END: break;
    case NEWT__NULL: newt__write_null(w); break;
    case NEWT__BOOL: newt__write_bool(w, t->boolean); break;
    case NEWT__INT: integer(w, t); break;
    case NEWT__BIGNUM: newt__write_number(w, &t->number, false); break;
    case NEWT__DECIMAL: newt__write_number(w, &t->number, true); break;
    case NEWT__FLOAT: newt__write_float_bits(w, (uint32_t)t->bits); break;
    case NEWT__DOUBLE: newt__write_double_bits(w, t->bits); break;
    case NEWT__TEXT:
    case NEWT__RAW_TEXT: newt__write_text(w, t->s, t->n); break;
    case NEWT__BYTES: newt__write_bytes(w, t->s, t->n); break;
    case NEWT__TIME: newt__write_time(w, us); break;
    case NEWT__DURATION: newt__write_duration(w, us); break;
    case NEWT__DATE: newt__write_date(w, t->i); break;
    case NEWT__UUID: newt__write_uuid(w, (const uint8_t *)t->s); break;
    case NEWT__REF: newt__write_ref(w, t->i); break;
    case NEWT__WEAK: newt__write_weak(w, t->i); break;
    case NEWT__SHAREDREF: newt__write_sharedref(w, t->u); break;
    case NEWT__ARRAY: newt__write_array(w, t->n); break;
    case NEWT__MAP: newt__write_map(w, t->n); break;
    case NEWT__PAIRS: newt__collect_pairs(w); break;
    case NEWT__SET: newt__collect_set(w); break;
    case NEWT__OBJECT:
        newt__write_object(w, t->s, t->n_name, (int32_t)t->i);
        newt__write_map(w, t->n);
        break;
    case NEWT__STORE_REF:
    case NEWT__TAG: newt__write_tag(w, t->u); break;
    }
}

newt__code
reencode_record(const newt__env *env, const void *record, size_t n, newt__writer *w,
                newt__fault *fault)
{
    newt__kind open[NEWT__MAX_DEPTH];
    uint32_t depth = 0;
    newt__reader r;
    newt__token t;
    newt__code code = newt__read_begin(&r, env, record, n);
    if (code == NEWT__OK)
        newt__write_begin(w, r.class_name, r.class_n, (int32_t)r.version);
    while (code == NEWT__OK && (code = newt__read(&r, &t)) == NEWT__OK) {
        if (t.kind != NEWT__END) {
            token(w, &t, record);
            if (r.depth > depth)
                open[depth++] = t.kind;
            continue;
        }
        if (depth == 0)
            return newt__write_end(w);
        depth--;
        if (open[depth] == NEWT__PAIRS || open[depth] == NEWT__SET)
            newt__collected(w);
    }
    *fault = r.fault;
    return code;
}
