/*
 * codec.h - state records and their JSON projection, in pure C
 *
 * One source, compiled into the PostgreSQL extension and into libnewtdb. What differs between the
 * two is passed in: memory, limits and an interrupt check come in through a newt__env, results
 * leave through a sink. The codec never prints, exits, aborts, recurses or keeps static state. A
 * longjmp out of a callback (PostgreSQL's ereport) leaks nothing but what the environment's
 * allocator handed out.
 *
 *   writer      values            -> record bytes              (write.c)
 *   json parse  JSON text         -> record bytes              (json_parse.c)
 *   reader      record bytes      -> validated tokens          (read.c)
 *   projection  record bytes      -> JSON events for a sink    (project.c)
 *   json text   JSON events       -> UTF-8 text                (json_text.c)
 *   walk        record bytes      -> references, followed      (walk.c)
 *   text values texts in JSON     -> dates, times, UUIDs, bytes (text_value.c)
 *   text        UTF-8, buffers                                 (text.c)
 *   numbers     decimal text, shortest floats                  (number.c)
 *
 * The format is specified in docs/state-record.md.
 */
#ifndef NEWT_CODEC_H
#define NEWT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- limits (defaults; each has a test at N and N+1) ---------------------------------- */

enum {
    NEWT__MAX_DEPTH = 500,                /* containers open at once; `state` itself is the first */
    NEWT__MAX_JSON = 32 * 1024 * 1024,    /* bytes of JSON text of one document */
    NEWT__MAX_RECORD = 256 * 1024 * 1024, /* bytes of one record */
    NEWT__MAX_NAME = 255,                 /* bytes of a class name (1 .. 255), no NUL, UTF-8 */
    NEWT__MAX_DIGITS = 400,               /* characters of a number that is written positionally */
    NEWT__MAX_INLINE = 256,   /* bytes shown as base64; of longer values only the length is shown */
    NEWT__MAX_WALK = 1000000, /* objects of a walk, and references in a chain */
    NEWT__MAX_MAGNITUDE = 65536 /* bytes of a bignum or a mantissa (157,826 digits: all that
                                   PostgreSQL's numeric can hold); reading one as decimal
                                   text takes time that grows with the square */
};

/* ---- tags of the profile -------------------------------------------------------------- */

enum {
    NEWT__TAG_BIGNUM = 2,
    NEWT__TAG_NEGATIVE_BIGNUM = 3,
    NEWT__TAG_DECIMAL = 4,
    NEWT__TAG_OBJECT = 27, /* [class, version, map] */
    NEWT__TAG_SHARED = 28, /* marks a map or an object that is referred to again */
    NEWT__TAG_SHAREDREF = 29,
    NEWT__TAG_UUID = 37,
    NEWT__TAG_DATE = 100,
    NEWT__TAG_SET = 258,
    NEWT__TAG_PAIRS = 259, /* a map with keys other than text */
    NEWT__TAG_TIME = 1001,
    NEWT__TAG_DURATION = 1002,
    NEWT__TAG_REF = 38401,
    NEWT__TAG_RAW_TEXT = 38402, /* text that is not UTF-8 */
    NEWT__TAG_HIDDEN = 38403,   /* not projected */
    NEWT__TAG_WEAK = 38404      /* a reference that keeps nothing */
};

/* ---- results and environment ---------------------------------------------------------- */

typedef enum newt__code {
    NEWT__OK = 0,
    NEWT__MALFORMED, /* cut short, trailing bytes, or not CBOR at all */
    NEWT__PROFILE,   /* CBOR, but not of the Newt profile */
    NEWT__NEWER,     /* a record format of a later Newt (first byte 84 .. 97) */
    NEWT__FOREIGN,   /* a Python pickle, zlib-wrapped or encrypted: reason says which */
    NEWT__LIMIT,     /* depth, record size, name length, magnitude, exponent */
    NEWT__NOMEM,
    NEWT__INTERRUPTED, /* env->interrupt said so */
    NEWT__SINK         /* a sink's callback returned non-zero; it keeps its own reason */
} newt__code;

/* What went wrong and where. reason is a static string in PostgreSQL's style ("map keys are not
 * in order"); offset counts bytes from the start of the record and is that of the item at fault (in
 * text that is not UTF-8: of the first bad byte; in trailing bytes: of the first of them). */
typedef struct newt__fault {
    newt__code code;
    const char *reason;
    size_t offset;
} newt__fault;

/*
 * What a caller lends to the codec. Every callback may longjmp.
 *   realloc(arg, NULL, n)  allocates; realloc(arg, p, n) grows or shrinks; NULL: no memory
 *   free(arg, p)           p may be NULL
 *   interrupt(arg)         called at least every 4,096 tokens; non-zero stops the work; may be NULL
 * A limit of 0 stands for its default above; max_depth above NEWT__MAX_DEPTH is cut to it.
 */
typedef struct newt__env {
    void *(*realloc)(void *arg, void *p, size_t n);
    void (*free)(void *arg, void *p);
    int (*interrupt)(void *arg);
    void *arg;
    uint32_t max_depth;
    size_t max_json;
    size_t max_record;
} newt__env;

/* A growing array of bytes. Zero-initialise with env set; free with newt__buffer_free. */
typedef struct newt__buffer {
    const newt__env *env;
    uint8_t *data;
    size_t n, cap;
} newt__buffer;

bool newt__buffer_reserve(newt__buffer *b, size_t extra); /* false: no memory; b unchanged */
bool newt__buffer_append(newt__buffer *b, const void *p, size_t n);
void newt__buffer_free(newt__buffer *b);

/* ---- text ------------------------------------------------------------------------------ */

/* Length in bytes of the longest prefix of s that is valid UTF-8 (RFC 3629: no surrogates, no
 * overlong forms, at most U+10FFFF; NUL is valid here). == n: all of it is. */
size_t newt__utf8_valid(const void *s, size_t n);

/* Appends s with every NUL and every maximal invalid part replaced by U+FFFD (Unicode's "maximal
 * subpart" practice, Python's errors="replace"); never shorter than s. false: no memory. */
bool newt__utf8_lossy(newt__buffer *out, const void *s, size_t n);

/* jsonb's order of keys: shorter first, then bytewise. It is also the order of the encodings. */
int newt__key_order(const void *a, size_t na, const void *b, size_t nb);

/* ---- numbers --------------------------------------------------------------------------- */

enum {
    NEWT__FLOAT_TEXT = 32
};
/* Shortest decimal that reads back as the same bits, as JSON: no ".0", -0 as 0, exponent form
 * only where positional would need more than 17 digits or 5 leading zeros. x must be finite.
 * Returns the length; out holds NEWT__FLOAT_TEXT bytes, NUL-terminated. Independent of the locale.
 */
size_t newt__double_text(double x, char *out);
size_t newt__float_text(float x, char *out);
/* A double near digits * 10^exponent: the nearest one if digits are below 2^53 and the exponent is
 * between -22 and 22, otherwise nearly always. 0 if there is none, or none that is known to be
 * near: with exponents below -292 or above 308, and for subnormals. */
double newt__near_double(uint64_t digits, int exponent);

/*
 * A number: (negative ? -1 - magnitude : magnitude) * 10^exponent, the magnitude as big-endian
 * bytes without leading zeros (n == 0 is zero), just as CBOR counts integers and bignums.
 */
typedef struct newt__number {
    bool negative;
    const uint8_t *magnitude;
    size_t n;
    int32_t exponent; /* 0 for integers */
} newt__number;

/*
 * Text of a number: digits, positional, scale kept ("1.50"). Longer than NEWT__MAX_DIGITS
 * characters (sign and point counted): scientific ("1E+999999", "1.50E-500"), *positional false;
 * both read back to the same mantissa and exponent, except for a positive exponent written out as
 * zeros. Appends to out.
 */
newt__code newt__number_text(newt__buffer *out, const newt__number *x, bool *positional);

/* The reverse: parses "-12.50" or "1E+10", keeping the scale; the magnitude's bytes are appended to
 * `magnitude`, which out points into (until it grows again). -0 is 0. NaN, infinities, blanks and
 * empty text are NEWT__MALFORMED; numbers beyond the limits are NEWT__LIMIT. */
newt__code newt__number_parse(const char *s, size_t n, newt__buffer *magnitude, newt__number *out);

/* ---- values that JSON has as texts ------------------------------------------------------ */

/* "2024-05-01" as days since 1970-01-01, "2024-05-01T09:30:00.000000Z" as microseconds since then,
 * years 0001 to 9999; a UUID, its digits in lower case or, with capitals, in any. false: it is
 * none. */
bool newt__parse_date(const char *s, size_t n, int64_t *days);
bool newt__parse_time(const char *s, size_t n, int64_t *us);
bool newt__parse_uuid(const char *s, size_t n, bool capitals, uint8_t out[16]);
/* Strict: with padding, without blanks, spare bits zero. Appends. NEWT__MALFORMED: no base64. */
newt__code newt__parse_base64(newt__buffer *out, const char *s, size_t n);

/* ---- writer: values -> record ----------------------------------------------------------- */

/*
 * A writer appends items to its buffer in the order they are given; the first failure sticks and
 * later calls do nothing, so only the result of newt__write_end must be checked. Zero-initialise
 * with buf.env set; buf may be kept and reset (buf.n = 0 through newt__write_begin) for the next
 * record.
 *
 * Maps and sets come in two forms. With a count (newt__write_map): the entries follow exactly in
 * encoded order, which the caller knows (a class table sorted once); the writer trusts the order
 * in release builds and asserts it nowhere: newt__write_end does not re-validate. Collected
 * (newt__collect_map, _pairs, _set ... newt__collected): any order; the writer sorts the entries,
 * counts them and refuses duplicate keys; duplicate set elements are dropped. A collected map that
 * holds a key that is not UTF-8 becomes tag 259 by itself; in a map with a count such a key is a
 * fault. Shared values are numbered by their place in the record: inside a collected map or set
 * that has to be reordered they are a fault (write those in order).
 *
 * Checked always: nesting, record size, that exactly the announced items were written, that map
 * keys are text, that tags stand where they may, that names, oids and numbers are in range.
 */
typedef struct newt__writer {
    newt__buffer buf;
    newt__fault fault; /* code != NEWT__OK: failed; offset is buf.n at the time */
    bool lossy;        /* something in this record may give a reject: text with NUL or not UTF-8,
                          a number over NEWT__MAX_DIGITS, or JSON that may be too large */
    /* the rest is write.c's own */
    uint8_t pending;         /* a tag has been written that its item must follow */
    uint8_t kind;            /* of the innermost open container */
    uint64_t left;           /* items still to come in it */
    uint32_t depth;          /* containers open */
    struct newt__open *open; /* those around it, from env */
    size_t n_open, cap_open;
    size_t *marks; /* where the items of the collected ones begin */
    size_t n_marks, cap_marks;
    uint64_t shared; /* numbers given by tag 28 so far */
    size_t max_record;
    uint32_t max_depth;
} newt__writer;

void newt__write_begin(newt__writer *w, const char *class_name, size_t n, int32_t version);
newt__code newt__write_end(newt__writer *w); /* exactly one state item must have been written */
void newt__writer_free(newt__writer *w);

void newt__write_null(newt__writer *w);
void newt__write_bool(newt__writer *w, bool x);
void newt__write_int(newt__writer *w, int64_t x);
void newt__write_uint(newt__writer *w, uint64_t x);
void newt__write_float(newt__writer *w, float x);
void newt__write_double(newt__writer *w, double x);
/* The same by their bits (newt__token's `bits`): the payload of a NaN outlives every FPU. */
void newt__write_float_bits(newt__writer *w, uint32_t bits);
void newt__write_double_bits(newt__writer *w, uint64_t bits);
void newt__write_text(newt__writer *w, const void *s, size_t n); /* tag 38402 if not UTF-8 */
void newt__write_bytes(newt__writer *w, const void *p, size_t n);
/* decimal: tag 4; otherwise an int where it fits 64 bits, else a bignum (the exponent must be 0).
 */
void newt__write_number(newt__writer *w, const newt__number *x, bool decimal);
void newt__write_time(newt__writer *w, int64_t us);
void newt__write_duration(newt__writer *w, int64_t us);
void newt__write_date(newt__writer *w, int64_t days);
void newt__write_uuid(newt__writer *w, const uint8_t uuid[16]);
void newt__write_ref(newt__writer *w, int64_t oid); /* oid > 0 */
void newt__write_weak(newt__writer *w, int64_t oid);

void newt__write_array(newt__writer *w, size_t n); /* n items follow */
void newt__write_map(newt__writer *w, size_t n);   /* n keys and values follow, in order */
void newt__write_object(newt__writer *w, const char *class_name, size_t n, int32_t version);
/* tag 27 array; one map must follow */
void newt__write_hidden(newt__writer *w); /* tag 38403; one item must follow */
void newt__write_shared(newt__writer *w); /* tag 28; a map or object must follow */
void newt__write_sharedref(newt__writer *w, uint64_t number); /* tag 29 */
/* An unknown tag kept; one item must follow. Of the profile's own tags only NEWT__TAG_REF is taken
 * here, for the reserved [store, oid]: an array of two must follow. */
void newt__write_tag(newt__writer *w, uint64_t tag);
/* One whole item as it stands in a record (a token's offset to its end, or to that of its END). It
 * is read through: what is not of the profile here (nesting, a sharedref without its shared) is a
 * fault, with the offset in the record being written. */
void newt__write_encoded(newt__writer *w, const void *p, size_t n);

void newt__collect_map(newt__writer *w);
/* A map whose keys may be repeated: the last value counts, as in jsonb. */
void newt__collect_fields(newt__writer *w);
void newt__collect_pairs(newt__writer *w); /* tag 259 whatever the keys */
void newt__collect_set(newt__writer *w);
void newt__collect_array(newt__writer *w); /* keeps the order; the count is not needed */
void newt__collected(newt__writer *w);

/*
 * JSON text as one item. It is accepted and refused as by PostgreSQL's jsonb: of fields with the
 * same key the last counts, \\u0000 and half a surrogate pair are refused, so is a number beyond
 * numeric; only nesting has the record's own limit. A key is a key, "::" is nothing special.
 * Integers are integers of any size. A number with a point or an exponent is a double if the
 * projection shows that double as the same number with the same scale, else a decimal. On failure w
 * has failed as well; fault->offset counts the bytes in front of what is wrong in the text.
 */
newt__code newt__write_json(newt__writer *w, const char *s, size_t n, newt__fault *fault);

/* ---- reader: record -> tokens ------------------------------------------------------------ */

typedef enum newt__kind {
    NEWT__END, /* of the innermost container; after the last one: of the record */
    NEWT__NULL,
    NEWT__BOOL,      /* boolean */
    NEWT__INT,       /* major type 0 or 1: number.negative, u (value is u, or -1 - u) */
    NEWT__BIGNUM,    /* number */
    NEWT__DECIMAL,   /* number, always by magnitude bytes; mantissa as CBOR has it */
    NEWT__FLOAT,     /* real, single width */
    NEWT__DOUBLE,    /* real */
    NEWT__TEXT,      /* s, n: valid UTF-8, may hold NUL */
    NEWT__RAW_TEXT,  /* s, n: not UTF-8 */
    NEWT__BYTES,     /* s, n */
    NEWT__TIME,      /* seconds, us (0 .. 999999) */
    NEWT__DURATION,  /* seconds, us */
    NEWT__DATE,      /* i: days since 1970-01-01 */
    NEWT__UUID,      /* s: 16 bytes */
    NEWT__REF,       /* i: oid > 0 */
    NEWT__WEAK,      /* the same; newt__refs and walks pass it by */
    NEWT__STORE_REF, /* reserved [store, oid]: kept, read and projected as an unknown tag: u is
                        NEWT__TAG_REF, an ARRAY of 2 and its END follow, then END */
    NEWT__SHAREDREF, /* u */
    NEWT__ARRAY,     /* n items follow, then END */
    NEWT__MAP,       /* n text keys, each with its value; then END */
    NEWT__PAIRS,     /* tag 259: n keys of any kind, each with its value; then END */
    NEWT__SET,       /* n items follow, then END */
    NEWT__OBJECT,    /* s, n_name: class; i: version; n entries of its map follow, then END */
    NEWT__TAG        /* u: an unknown tag; exactly one item follows, then END */
} newt__kind;

/* kind, is_key, hidden, shared, offset and end are always set; the others where kind says so. */
typedef struct newt__token {
    newt__kind kind;
    bool is_key; /* stands where a key stands in a map or pairs (an END: its container did) */
    bool hidden; /* tag 38403 stood in front: the value is not projected */
    bool shared; /* tag 28 stood in front of this MAP or OBJECT; its number is `share` */
    bool boolean;
    bool plain; /* TEXT: no NUL, control character, quote or backslash in it */
    uint64_t share;
    const char *s; /* into the record */
    size_t n;      /* bytes of s; entries of a container */
    size_t n_name; /* bytes of s of an OBJECT */
    uint64_t u;
    int64_t i;
    int64_t seconds;
    int32_t us;
    double real;   /* FLOAT, DOUBLE; of a NaN only bits is exact */
    uint64_t bits; /* FLOAT, DOUBLE: as in the record (a FLOAT's 32) */
    newt__number number;
    uint8_t magnitude[8]; /* number.magnitude points here (so do not copy the token) when the
                             mantissa is a plain integer */
    size_t offset;        /* of the item's first byte, its tags included */
    size_t end;   /* offset after it; of a container: after its head; of its END: after the whole */
    size_t start; /* END only: the container's offset, so that [start, end) is the whole item */
} newt__token;

/*
 * A pull parser over one record. It validates as it goes: what it has handed out so far was
 * well-formed and of the profile; newt__read returns NEWT__OK with kind NEWT__END at depth 0 only
 * when the record has been seen to its last byte. Iterative; its stack lives in the struct.
 */
typedef struct newt__reader {
    const newt__env *env;
    const uint8_t *data;
    size_t n, at;
    newt__fault fault;
    const char *class_name; /* valid after newt__read_begin; into the record */
    size_t class_n;
    int64_t version;
    uint32_t depth; /* containers open; level[depth - 1] is the innermost */
    uint32_t max_depth;
    uint32_t ticks;
    uint64_t shared; /* numbers given by tag 28 so far */
    bool done;       /* the state item has begun */
    struct newt__level {
        uint8_t kind;        /* newt__kind of the container */
        bool is_key;         /* it stands where a key stands */
        uint64_t left;       /* items still to come (maps: keys and values) */
        size_t offset;       /* of the item, tags included */
        size_t last, last_n; /* the previous key (maps: its text; pairs, sets: its encoding); before
                                the first last_n is SIZE_MAX */
    } level[NEWT__MAX_DEPTH];
} newt__reader;

/* Reads the head: format byte, class, version. Then newt__read gives the state item first. */
newt__code newt__read_begin(newt__reader *r, const newt__env *env, const void *record, size_t n);
/* The reader at one item that was cut out of a record: `shared` numbers had been given before it,
 * and max_depth containers may be open in it. */
void newt__read_item_begin(newt__reader *r, const newt__env *env, const void *item, size_t n,
                           uint32_t max_depth, uint64_t shared);
newt__code newt__read(newt__reader *r, newt__token *t);
/* Skips past the END of the container that token t, the last one read, opened (nothing to do
 * for a scalar); all of it is validated. */
newt__code newt__read_skip(newt__reader *r, const newt__token *t);
/* Reads to the end, validating. */
newt__code newt__read_rest(newt__reader *r);
/* The whole record is valid, or why not. */
newt__code newt__validate(const newt__env *env, const void *record, size_t n, newt__fault *fault);

/* ---- references ------------------------------------------------------------------------- */

typedef struct newt__name {
    const char *s;
    size_t n;
} newt__name;

/* Calls found for every reference in the record as it is read, so also before a fault after it;
 * non-zero stops with NEWT__SINK. With fields: only for those inside these fields of the state
 * (with the names they have in the record). */
typedef int newt__ref_found(void *arg, int64_t oid);
newt__code newt__refs(const newt__env *env, const void *record, size_t n, const newt__name *fields,
                      size_t n_fields, newt__ref_found *found, void *arg, newt__fault *fault);

/*
 * A walk from some objects along the references in their records, level by level. The caller looks
 * the records up:
 *
 *     newt__walk w = {.env = env, .max_depth = 3, .max_objects = 1000};
 *     newt__walk_add(&w, root);
 *     while (newt__walk_level(&w))
 *         for (i = w.from; i < w.to; i++)
 *             newt__walk_record(&w, the record of w.queue[i]);
 *     newt__walk_free(&w);
 *
 * Every object comes once, those of a level in the order of their oids, so that the same records
 * give the same walk everywhere. At most max_objects of them come, whether they exist or not;
 * records at max_depth (the first level is 0) are not followed, nor is one that is damaged, not
 * even up to the damage.
 */
typedef struct newt__walk {
    const newt__env *env;
    const newt__name *fields; /* followed are the references in these; none: all */
    size_t n_fields;
    uint64_t max_depth;
    size_t max_objects;
    /* the rest is zero at first */
    uint64_t depth;
    size_t from, to; /* the level under way, in queue */
    int64_t *queue;  /* the objects; moves when some are added */
    size_t n;
    int64_t *slots; /* the same, to be found: open addressing, power of two */
    size_t n_slots;
} newt__walk;

newt__code newt__walk_add(newt__walk *w, int64_t oid); /* or NEWT__NOMEM */
bool newt__walk_level(newt__walk *w);                  /* false: that was all */
/* NEWT__OK, NEWT__NOMEM or NEWT__INTERRUPTED. */
newt__code newt__walk_record(newt__walk *w, const void *record, size_t n);
void newt__walk_free(newt__walk *w);

/* ---- projection: record -> JSON events ---------------------------------------------------- */

typedef enum newt__json_kind {
    NEWT__JSON_OBJECT,
    NEWT__JSON_OBJECT_END,
    NEWT__JSON_ARRAY,
    NEWT__JSON_ARRAY_END,
    NEWT__JSON_KEY,    /* s, n: valid UTF-8 without NUL, not escaped */
    NEWT__JSON_STRING, /* s, n: the same */
    NEWT__JSON_INT,    /* i */
    NEWT__JSON_NUMBER, /* s, n: JSON's grammar */
    NEWT__JSON_TRUE,
    NEWT__JSON_FALSE,
    NEWT__JSON_NULL
} newt__json_kind;

typedef struct newt__json {
    newt__json_kind kind;
    const char
        *s; /* valid until the callback returns, unless in_record: then as long as the record */
    size_t n;
    int64_t i;
    bool in_record;
    bool plain; /* KEY, STRING: known to need no escapes (false says nothing) */
} newt__json;

/*
 * Where a projection goes. event: one JSON event; non-zero stops with NEWT__SINK. restart: forget
 * everything so far, rejects too; the document starts again (it turned out too large, or held what
 * only a look ahead can show: a map key with NUL, a hidden value after a key that is a container).
 * reject (may be NULL): something could not be shown as it is; path is the way to it in the JSON
 * document (keys as they stand there, and array indexes; valid until the callback returns; none:
 * the whole document), reason a static word: "too-large", "number", "text". It is called where the
 * value begins, before its events; non-zero stops with NEWT__SINK.
 *
 * Keys come in the record's order, that is jsonb's, except for those that begin with "::"; no key
 * comes twice in an object. A map whose keys hold NUL is an array of {"k", "v"}; if it is shared or
 * of a class, that array is the "::v" of an object that has "::id" and "::".
 */
typedef struct newt__path_item {
    const char *key; /* NULL: an array index */
    size_t n;
    uint64_t index;
} newt__path_item;

typedef struct newt__sink {
    int (*event)(void *arg, const newt__json *e);
    void (*restart)(void *arg);
    int (*reject)(void *arg, const newt__path_item *path, size_t n, const char *reason);
    void *arg;
} newt__sink;

/* Whether the class of a record is not projected at all: tag 38403 is around its state. False for
 * what is no record. */
bool newt__is_hidden(const newt__env *env, const void *record, size_t n);

/* Projects the record's state. *hidden: the class is not projected at all (tag 38403 around
 * state); no event was given. The record is validated to its end in every case. */
newt__code newt__project(const newt__env *env, const void *record, size_t n, const newt__sink *sink,
                         bool *hidden, newt__fault *fault);

/* Projects one item inside a record (for newt.get): token t has just been read from r, which stands
 * after it (scalar) or after its head; afterwards r stands after the item. t->hidden is the
 * caller's to look at: the item itself is projected. */
newt__code newt__project_item(newt__reader *r, const newt__token *t, const newt__sink *sink,
                              newt__fault *fault);

/* The record's projection as compact JSON text, appended to out: no spaces, keys in the order of
 * the events. On failure and for a hidden class nothing is appended. */
newt__code newt__project_text(const newt__env *env, const void *record, size_t n, newt__buffer *out,
                              bool *hidden, newt__fault *fault);

/* One item that was cut out of a record, as newt__read_item_begin has it, as compact JSON text,
 * appended to out. It is for the owner of the data: unlike in the projection, keys are unchanged,
 * text may hold NUL, hidden values are shown, numbers have all of their digits, bytes are given
 * whole, and the text may be of any size. What newt__write_json wrote gives the same JSON again. */
newt__code newt__item_text(const newt__env *env, const void *item, size_t n, uint32_t max_depth,
                           uint64_t shared, newt__buffer *out, newt__fault *fault);

/* A sink that appends compact JSON text to a buffer. text is its state; it and out live as long as
 * the sink is used. event fails only when memory runs out. */
typedef struct newt__json_text {
    newt__buffer *out;
    size_t start; /* where the document began */
    uint32_t depth;
} newt__json_text;

void newt__json_text_sink(newt__sink *sink, newt__json_text *text, newt__buffer *out);

#endif
