/*
 * fit.c - whether a record is one of its class, as the library writes it
 *
 * The library would not load what is refused here, or would write it otherwise. (The few forms that
 * it reads and does not write are no loss: nobody has them.)
 */
#include "recorder.h"

#include <math.h>

#include "miscadmin.h"

static void
misfit(newt_pg_recorder *r, const newt_pg_place *place)
{
    newt_pg_refuse(r, place, ERRCODE_DATA_CORRUPTED, "does not fit its class in the record",
                   "It is of another kind or range there than the class registry says.",
                   "Only a program that knows the class can change the object.");
}

static void
next(newt_pg_recorder *r, newt__reader *reader, newt__token *t)
{
    if (newt__read(reader, t) != NEWT__OK)
        newt_pg_refuse(r, NULL,
                       reader->fault.code == NEWT__LIMIT ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
                                                         : ERRCODE_INVALID_BINARY_REPRESENTATION,
                       "has a damaged record",
                       psprintf("At byte %zu of %zu: %s.", reader->fault.offset, reader->n,
                                reader->fault.reason),
                       NULL);
}

static bool
is_open(newt__kind kind)
{
    return kind == NEWT__STORE_REF || kind >= NEWT__ARRAY;
}

/* To the end of what a token has opened; what it shares is its own. */
static void
pass(newt_pg_recorder *r, const newt_pg_place *place, newt__reader *reader, newt__token *t)
{
    uint64 first = t->shared ? t->share : reader->shared;
    uint32 depth = reader->depth - is_open(t->kind);

    for (;;) {
        if (t->kind == NEWT__SHAREDREF && t->u < first)
            misfit(r, place);
        if (reader->depth == depth)
            return;
        next(r, reader, t);
    }
}

static bool
fits_integer(const newt_pg_value_type *t, const newt__token *x)
{
    uint64 most = UINT64_MAX >> (64 - t->bits);

    return x->kind == NEWT__INT && x->u <= (t->kind == NEWT_PG_K_INT ? most >> 1 : most) &&
           (t->kind == NEWT_PG_K_INT || !x->number.negative);
}

/* As the library's int64 holds it; the least is no time there. Seconds are floored, and of the
 * least numbers alone they would not fit. */
static bool
fits_microseconds(const newt__token *x, bool least)
{
    int64 seconds = x->seconds, rest = x->us, us;

    if (seconds < 0) {
        seconds++;
        rest -= INT64CONST(1000000);
    }
    return !__builtin_mul_overflow(seconds, INT64CONST(1000000), &us) &&
           !__builtin_add_overflow(us, rest, &us) && (least || us > PG_INT64_MIN);
}

static bool
fits_enum(const newt_pg_value_type *t, const newt__token *x)
{
    for (int i = 0; x->kind == NEWT__TEXT && i < t->n_names; i++)
        if (t->names[i].n == x->n && memcmp(t->names[i].s, x->s, x->n) == 0)
            return true;
    return false;
}

/* A value that is not in parts. */
static bool
fits_scalar(const newt_pg_value_type *t, const newt__token *x)
{
    static const newt__kind tokens[NEWT_PG_N_KINDS] = {
        [NEWT_PG_K_BOOL] = NEWT__BOOL,           [NEWT_PG_K_BYTES] = NEWT__BYTES,
        [NEWT_PG_K_TIME] = NEWT__TIME,           [NEWT_PG_K_DURATION] = NEWT__DURATION,
        [NEWT_PG_K_DATE] = NEWT__DATE,           [NEWT_PG_K_UUID] = NEWT__UUID,
        [NEWT_PG_K_DECIMAL] = NEWT__DECIMAL,     [NEWT_PG_K_REF] = NEWT__REF,
        [NEWT_PG_K_STORE_REF] = NEWT__STORE_REF, [NEWT_PG_K_WEAK] = NEWT__WEAK,
    };

    switch (t->kind) {
    case NEWT_PG_K_INT:
    case NEWT_PG_K_UINT: return fits_integer(t, x);
    case NEWT_PG_K_FLOAT: return x->kind == (t->bits == 32 ? NEWT__FLOAT : NEWT__DOUBLE);
    case NEWT_PG_K_TEXT: return x->kind == NEWT__TEXT || x->kind == NEWT__RAW_TEXT;
    case NEWT_PG_K_ENUM: return fits_enum(t, x);
    case NEWT_PG_K_JSON: return true;
    default: break;
    }
    if (t->kind == NEWT_PG_K_DECIMAL && x->kind == NEWT__DOUBLE)
        return !isfinite(x->real);
    if (x->kind != tokens[t->kind])
        return false;
    switch (t->kind) {
    case NEWT_PG_K_TIME: return fits_microseconds(x, false);
    case NEWT_PG_K_DURATION: return fits_microseconds(x, true);
    case NEWT_PG_K_DATE: return x->i > PG_INT32_MIN && x->i <= PG_INT32_MAX;
    default: return true;
    }
}

static void
check_struct(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_struct *k,
             newt__reader *reader, newt__token *t)
{
    newt_pg_place place = {.up = up};

    check_stack_depth();
    if (t->kind != NEWT__MAP || t->shared)
        misfit(r, up);
    for (;;) {
        const newt_pg_member *f;

        next(r, reader, t);
        if (t->kind == NEWT__END)
            return;
        f = newt_pg_member_named(k, t->s, t->n);
        place.name = (newt__name){t->s, t->n};
        if (!f)
            misfit(r, &place);
        next(r, reader, t);
        newt_pg_check_fit(r, &place, f, reader, t);
    }
}

static void
check_value(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_value_type *type,
            newt__reader *reader, newt__token *t)
{
    if (t->kind == NEWT__NULL && type->nullable)
        return;
    if (type->kind == NEWT_PG_K_STRUCT) {
        check_struct(r, place, type->fields, reader, t);
        return;
    }
    if (!fits_scalar(type, t))
        misfit(r, place);
    pass(r, place, reader, t);
}

void
newt_pg_check_fit(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_member *f,
                  newt__reader *reader, newt__token *t)
{
    static const newt__kind containers[] = {[NEWT_PG_LIST_OF] = NEWT__ARRAY,
                                            [NEWT_PG_SET_OF] = NEWT__SET,
                                            [NEWT_PG_MAP_OF] = NEWT__MAP,
                                            [NEWT_PG_PAIRS_OF] = NEWT__PAIRS};
    newt_pg_place place = {.up = up};
    newt__kind kind = t->kind;
    size_t n = t->n;

    if (f->shape == NEWT_PG_ONE) {
        check_value(r, up, &f->value, reader, t);
        return;
    }
    /* a map with a key that is not UTF-8 is recorded as pairs */
    if (t->shared ||
        (kind != containers[f->shape] && !(f->shape == NEWT_PG_MAP_OF && kind == NEWT__PAIRS)))
        misfit(r, up);
    for (size_t i = 0; i < n; i++) {
        place.index = (uint32)i;
        next(r, reader, t);
        if (f->shape >= NEWT_PG_MAP_OF) {
            if (t->kind == NEWT__NULL)
                misfit(r, &place);
            check_value(r, &place, &f->key, reader, t);
            next(r, reader, t);
        }
        check_value(r, &place, &f->value, reader, t);
    }
    next(r, reader, t); /* the END */
}
