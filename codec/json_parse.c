/*
 * json_parse.c - JSON text -> an item of a record
 *
 * One pass over the text (RFC 8259), a stack of a byte for each open container. What is accepted is
 * what PostgreSQL's jsonb accepts; tests/bridge/server_json.c holds the two beside each other.
 */
#include "write.h"

/* what may come next */
enum expect {
    VALUE,
    FIRST_ITEM, /* or the array's end */
    FIRST_KEY,  /* or the object's end */
    KEY,
    COLON,
    AFTER_VALUE
};

struct parser {
    newt__writer *w;
    const char *s;
    size_t n, at;
    newt__fault *fault;
    newt__buffer scratch; /* a string without its escapes, a number's magnitude */
    uint32_t ticks, depth;
    uint8_t closes[NEWT__MAX_DEPTH]; /* what the open containers end with */
};

NEWT__COLD static bool
fail(struct parser *p, newt__code code, const char *reason, size_t at)
{
    *p->fault = (newt__fault){code, reason, at};
    newt__write_fail(p->w, code, reason);
    return false;
}

NEWT__COLD static bool
wrong(struct parser *p, const char *reason, size_t at)
{
    return fail(p, NEWT__MALFORMED, reason, at);
}

/* Whether the writer took the item that begins at `at`. */
static inline bool
taken(struct parser *p, size_t at)
{
    const newt__fault *f = &p->w->fault;

    return NEWT__LIKELY(f->code == NEWT__OK) || fail(p, f->code, f->reason, at);
}

/* ---- strings ------------------------------------------------------------------------------ */

/* The four hexadecimal digits at s; -1: there are none. */
static int32_t
four_digits(const struct parser *p, size_t at)
{
    int32_t x = 0;

    if (p->n - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = p->s[at + i];

        if (c >= '0' && c <= '9')
            x = x << 4 | (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            x = x << 4 | ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return x;
}

static size_t
utf8_of(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* The escape sequence that begins at p->at. */
static bool
escape(struct parser *p)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    size_t at = p->at;
    const char *letter;
    uint8_t utf8[4];
    size_t n = 1;
    int32_t c, low;

    letter = memchr(letters, p->s[at + 1], sizeof letters - 1);
    p->at += 2;
    if (letter != NULL) {
        utf8[0] = (uint8_t)bytes[letter - letters];
    } else if (p->s[at + 1] == 'u') {
        c = four_digits(p, p->at);
        p->at += 4;
        if (c < 0)
            return wrong(p, "\\u is not followed by four hexadecimal digits", at);
        if (c == 0)
            return wrong(p, "\\u0000 cannot be held by a jsonb", at);
        if (c >= 0xd800 && c < 0xe000) {
            low = p->n - p->at >= 2 && p->s[p->at] == '\\' && p->s[p->at + 1] == 'u'
                      ? four_digits(p, p->at + 2)
                      : -1;
            if (c >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
                return wrong(p, "half of a surrogate pair", at);
            p->at += 6;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
        n = utf8_of((uint32_t)c, utf8);
    } else {
        return wrong(p, "unknown escape sequence", at);
    }
    return newt__buffer_append(&p->scratch, utf8, n) || fail(p, NEWT__NOMEM, "out of memory", at);
}

/* The string that begins at p->at: a value or a key. */
static bool
string(struct parser *p)
{
    size_t begin = p->at++, from = p->at;
    bool escaped = false;

    p->scratch.n = 0;
    for (;;) {
        p->at += newt__plain_run(p->s + p->at, p->n - p->at);
        if (p->at == p->n || p->s[p->at] == '"')
            break;
        if (p->s[p->at] != '\\')
            return wrong(p, "control character in a string", p->at);
        escaped = true;
        if (!newt__buffer_append(&p->scratch, p->s + from, p->at - from))
            return fail(p, NEWT__NOMEM, "out of memory", p->at);
        if (p->n - p->at < 2)
            return wrong(p, "string is not closed", begin);
        if (!escape(p))
            return false;
        from = p->at;
    }
    if (p->at == p->n)
        return wrong(p, "string is not closed", begin);
    if (!escaped) {
        newt__write_text(p->w, p->s + from, p->at - from);
    } else if (newt__buffer_append(&p->scratch, p->s + from, p->at - from)) {
        newt__write_text(p->w, p->scratch.data, p->scratch.n);
    } else {
        return fail(p, NEWT__NOMEM, "out of memory", begin);
    }
    p->at++;
    return taken(p, begin);
}

/* ---- numbers ------------------------------------------------------------------------------ */

enum {
    /* of PostgreSQL's numeric */
    MOST_DIGITS = 131072,       /* in front of the point */
    MOST_SCALE = 16383,         /* after it */
    MOST_EXPONENT = 1073741822, /* PostgreSQL 15's; since 16 it is one more */
    /* of the digits kept as one integer */
    KEPT = 18
};

struct number {
    bool negative, real; /* real: with a point or an exponent */
    size_t n;            /* bytes */
    size_t significant;  /* digits from the first one that is not zero */
    uint64_t digits;     /* these, if they are at most KEPT */
    int64_t exponent;    /* of the last digit */
};

static inline bool
digit(const char *s, const char *end)
{
    return s < end && *s >= '0' && *s <= '9';
}

static const char *
take_digits(struct number *x, const char *s, const char *end)
{
    for (; digit(s, end); s++) {
        if (x->significant < KEPT)
            x->digits = x->digits * 10 + (uint64_t)(*s - '0');
        x->significant += x->significant > 0 || *s != '0';
    }
    return s;
}

/* A number in JSON's grammar; false: it is none. */
static bool
scan(const char *s, const char *end, struct number *x)
{
    const char *begin = s, *from;
    int64_t exponent = 0;
    bool minus;

    memset(x, 0, sizeof *x);
    x->negative = *s == '-';
    s += x->negative;
    from = s;
    s = take_digits(x, s, end);
    if (s == from || (s - from > 1 && *from == '0'))
        return false;
    if (s < end && *s == '.') {
        x->real = true;
        from = ++s;
        s = take_digits(x, s, end);
        if (s == from)
            return false;
        x->exponent = from - s;
    }
    if (s < end && (*s | 0x20) == 'e') {
        x->real = true;
        s++;
        minus = s < end && *s == '-';
        s += s < end && (*s == '-' || *s == '+');
        if (!digit(s, end))
            return false;
        for (; digit(s, end); s++)
            if (exponent <= MOST_EXPONENT)
                exponent = exponent * 10 + (*s - '0');
        if (exponent > MOST_EXPONENT)
            x->significant = SIZE_MAX; /* whatever the digits are */
        x->exponent += minus ? -exponent : exponent;
    }
    x->n = (size_t)(s - begin);
    return true;
}

static bool
fits_numeric(const struct number *x)
{
    if (x->significant > SIZE_MAX / 4 || x->exponent < -MOST_SCALE)
        return false;
    return x->significant == 0 || (int64_t)x->significant + x->exponent <= MOST_DIGITS;
}

static void
strip(struct number *x)
{
    for (; x->digits > 0 && x->digits % 10 == 0; x->digits /= 10)
        x->exponent++;
}

/* Whether the projection shows some double as this number with this scale. */
static bool
has_double(struct number x, double *out)
{
    char text[NEWT__FLOAT_TEXT];
    struct number y;
    int64_t scale = x.exponent < 0 ? x.exponent : 0;
    size_t n;

    if (x.significant > KEPT)
        return false;
    strip(&x);
    if (x.digits == 0)
        x.exponent = 0;
    if (x.exponent < -400 || x.exponent > 400)
        return false;
    *out = newt__near_double(x.digits, (int)x.exponent);
    n = newt__double_text(*out, text);
    if (!scan(text, text + n, &y) || scale != (y.exponent < 0 ? y.exponent : 0))
        return false;
    strip(&y);
    if (x.negative)
        *out = -*out;
    return x.digits == y.digits && (x.digits == 0 || x.exponent == y.exponent);
}

static bool
exact_number(struct parser *p, const struct number *x, size_t begin)
{
    newt__number exact;
    newt__code code;

    p->scratch.n = 0;
    code = newt__number_parse(p->s + begin, x->n, &p->scratch, &exact);
    if (code != NEWT__OK)
        return fail(p, code, code == NEWT__NOMEM ? "out of memory" : "number is too long", begin);
    newt__write_number(p->w, &exact, x->real);
    return taken(p, begin);
}

static bool
number(struct parser *p)
{
    size_t begin = p->at;
    struct number x;
    double real;

    if (!scan(p->s + begin, p->s + p->n, &x))
        return wrong(p, "not a number as JSON writes it", begin);
    p->at += x.n;
    if (!fits_numeric(&x))
        return fail(p, NEWT__LIMIT, "number is beyond what a numeric can hold", begin);
    if (!x.real && x.significant <= KEPT)
        newt__write_int(p->w, x.negative ? -(int64_t)x.digits : (int64_t)x.digits);
    else if (x.real && has_double(x, &real))
        newt__write_double(p->w, real);
    else
        return exact_number(p, &x, begin);
    return taken(p, begin);
}

/* ---- the grammar -------------------------------------------------------------------------- */

static bool
word(struct parser *p, const char *text)
{
    size_t n = strlen(text), begin = p->at;

    if (p->n - begin < n || memcmp(p->s + begin, text, n) != 0)
        return wrong(p, "expected a value", begin);
    p->at += n;
    if (*text == 'n')
        newt__write_null(p->w);
    else
        newt__write_bool(p->w, *text == 't');
    return taken(p, begin);
}

static bool
enter(struct parser *p, char bracket, enum expect *expect)
{
    if (bracket == '{')
        newt__collect_fields(p->w);
    else
        newt__collect_array(p->w);
    if (!taken(p, p->at))
        return false;
    p->closes[p->depth++] = bracket == '{' ? '}' : ']';
    p->at++;
    *expect = bracket == '{' ? FIRST_KEY : FIRST_ITEM;
    return true;
}

static bool
leave(struct parser *p, enum expect *expect)
{
    size_t at = p->at++;

    p->depth--;
    newt__collected(p->w);
    *expect = AFTER_VALUE;
    return taken(p, at);
}

static bool
value(struct parser *p, enum expect *expect)
{
    char c = p->s[p->at];

    *expect = AFTER_VALUE;
    switch (c) {
    case '{':
    case '[': return enter(p, c, expect);
    case '"': return string(p);
    case 't': return word(p, "true");
    case 'f': return word(p, "false");
    case 'n': return word(p, "null");
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return number(p);
        return wrong(p, "expected a value", p->at);
    }
}

/* Takes what comes next, which is no blank. */
static bool
step(struct parser *p, enum expect *expect)
{
    char c = p->s[p->at], closes = p->depth > 0 ? (char)p->closes[p->depth - 1] : 0;

    switch (*expect) {
    case FIRST_ITEM:
        if (c == ']')
            return leave(p, expect);
        return value(p, expect);
    case FIRST_KEY:
    case KEY:
        if (c == '}' && *expect == FIRST_KEY)
            return leave(p, expect);
        *expect = COLON;
        return c == '"' ? string(p) : wrong(p, "expected a key in quotes", p->at);
    case COLON: *expect = VALUE; return c == ':' ? ++p->at : wrong(p, "expected \":\"", p->at);
    case AFTER_VALUE:
        if (c == closes && closes != 0)
            return leave(p, expect);
        *expect = closes == '}' ? KEY : VALUE;
        if (c == ',' && closes != 0)
            return ++p->at;
        return wrong(p,
                     closes == 0     ? "expected the end of the text"
                     : closes == '}' ? "expected \",\" or \"}\""
                                     : "expected \",\" or \"]\"",
                     p->at);
    default: return value(p, expect);
    }
}

static bool
blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void
parse(struct parser *p)
{
    const newt__env *env = p->w->buf.env;
    enum expect expect = VALUE;

    for (;;) {
        while (p->at < p->n && blank(p->s[p->at]))
            p->at++;
        if (p->at == p->n)
            break;
        if (++p->ticks % 4096 == 0 && env->interrupt != NULL && env->interrupt(env->arg)) {
            fail(p, NEWT__INTERRUPTED, "interrupted", p->at);
            return;
        }
        if (!step(p, &expect))
            return;
    }
    if (p->depth > 0 || expect != AFTER_VALUE)
        wrong(p, p->depth > 0 ? "the text ends too early" : "there is no value", p->n);
}

newt__code
newt__write_json(newt__writer *w, const char *s, size_t n, newt__fault *fault)
{
    struct parser p = {.w = w, .s = s, .n = n, .fault = fault, .scratch.env = w->buf.env};
    size_t valid;

    *fault = w->fault;
    if (fault->code != NEWT__OK)
        return fault->code;
    valid = newt__utf8_valid(s, n);
    if (valid < n)
        wrong(&p, "the text is not UTF-8", valid);
    else
        parse(&p);
    newt__buffer_free(&p.scratch);
    return fault->code;
}
