/*
 * number.c - numbers of a record as C has them: microseconds, the text of a decimal
 */
#include "record.h"

#include <stdio.h>

/* Seconds are floored: one is taken up first, so that the least int64 comes out without overflow.
 */
bool
newt__microseconds(const newt__token *t, int64_t *us)
{
    int64_t seconds = t->seconds, rest = t->us;

    if (seconds < 0) {
        seconds++;
        rest -= 1000000;
    }
    return !__builtin_mul_overflow(seconds, INT64_C(1000000), us) &&
           !__builtin_add_overflow(*us, rest, us);
}

newt__code
newt__decimal_text(newt__buffer *out, const newt__number *x)
{
    newt__number mantissa = *x;
    size_t start = out->n;
    newt__code code;
    bool positional;

    if (x->exponent <= 0)
        return newt__number_text(out, x, &positional);
    /* a positive exponent is not written out as zeros: "1E+10" reads back as it was */
    mantissa.exponent = 0;
    code = newt__number_text(out, &mantissa, &positional);
    if (code == NEWT__OK && positional) {
        char exponent[16];
        int n = snprintf(exponent, sizeof exponent, "E+%d", (int)x->exponent);

        return newt__buffer_append(out, exponent, (size_t)n) ? NEWT__OK : NEWT__NOMEM;
    }
    if (code == NEWT__OK) {
        out->n = start;
        code = newt__number_text(out, x, &positional);
    }
    return code;
}
