/*
 * tsvector.c - newt.tsvector: a document as a tsvector, with a weight for each path
 *
 * Between two strings the positions leave a gap, so that no phrase is found across fields. A
 * tsvector holds at most 1 MB: the text is parsed in pieces, and what no longer fits is left out
 * with a notice, since an index on this must never make a commit fail. A mark among the words
 * says so, too: an index on this can be asked which documents were cut.
 *
 * The time of PostgreSQL's parser may grow with the square of what it is given: it looks ahead for
 * the end of an address, a path or a comment, and again from the next place. So nothing long is
 * given to it at once.
 */
#include "leaves.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_tsvector);
PG_FUNCTION_INFO_V1(newt_pg_tsvector_by_language);
PG_FUNCTION_INFO_V1(newt_pg_language);

enum {
    GAP = 16,                 /* positions between two strings */
    PIECE = 32 * 1024,        /* bytes of text whose words are gathered before they are merged */
    SHORT_PIECE = 1024,       /* where the parser looks far ahead often */
    FEW = 8,                  /* times it may do so in a piece or a run */
    PART = 256,               /* of a run without a space that makes it do so */
    TEXT = 16 * 1024 * 1024,  /* bytes of a document that are looked at */
    MARKS = 512,              /* bytes of a tsvector that are kept free for marks */
    ROOM = MAXSTRPOS - MARKS, /* for words */
    MAX_LANGUAGE = 63         /* bytes of its name */
};

/* Positions rise from path to path, so those of one path are a range. */
typedef struct weight_range {
    int last;
    int weight; /* 0 .. 3 */
} weight_range;

typedef struct gathering {
    Oid config;
    char weight;
    weight_range *ranges; /* of the gathered words, by path; room for all paths */
    int n_ranges;
    TSVector all;
    ParsedText parsed; /* words to be merged; their positions count from the last of `all` */
    size_t bytes;      /* of text after them */
    size_t text;       /* bytes of all text so far */
    bool full;
} gathering;

static const newt_pg_path whole_document; /* no keys */

static void
no_words(ParsedText *parsed)
{
    parsed->lenwords = 64;
    parsed->curwords = 0;
    parsed->words = palloc((size_t)parsed->lenwords * sizeof *parsed->words);
}

/* A dictionary may make a word longer than a tsvector holds: it turns lower case, or a synonym. */
static void
drop_long_words(ParsedText *parsed)
{
    int n = 0;

    for (int i = 0; i < parsed->curwords; i++)
        if (parsed->words[i].len < MAXSTRLEN)
            parsed->words[n++] = parsed->words[i];
    parsed->curwords = n;
}

/* The words that surely fit into one tsvector: dictionaries can make much of little text. */
static int
words_that_fit(const ParsedText *parsed)
{
    size_t size = 0;
    int n = 0;

    while (n < parsed->curwords) {
        size += parsed->words[n].len + 1 + sizeof(uint16) + sizeof(WordEntryPos);
        if (size > ROOM)
            break;
        n++;
    }
    return n;
}

static size_t
data_size(TSVector v)
{
    return VARSIZE(v) - CALCDATASIZE(v->size, 0);
}

static void
end_range(gathering *g)
{
    g->ranges[g->n_ranges++] = (weight_range){Min(g->parsed.pos, MAXENTRYPOS - 1),
                                              g->weight ? 'D' - g->weight : 0};
}

/* The last range ends with the last position. */
static void
set_weights(TSVector words, const weight_range *ranges)
{
    WordEntry *entry = ARRPTR(words);

    for (int i = 0; i < words->size; i++, entry++) {
        WordEntryPos *pos = POSDATAPTR(words, entry);
        const weight_range *range = ranges;

        for (int n = POSDATALEN(words, entry); n > 0; n--, pos++) {
            while (WEP_GETPOS(*pos) > range->last)
                range++;
            WEP_SETWEIGHT(*pos, range->weight);
        }
    }
}

/* Moves the gathered words to `all`. */
static void
merge(gathering *g)
{
    int last, n;
    TSVector words, joined;

    g->bytes = 0;
    drop_long_words(&g->parsed);
    n = words_that_fit(&g->parsed);
    if (n < g->parsed.curwords)
        g->full = true;
    if (n == 0) {
        g->n_ranges = 0;
        return;
    }
    g->parsed.curwords = n;
    last = g->parsed.words[n - 1].pos.pos;
    end_range(g);
    words = make_tsvector(&g->parsed);
    set_weights(words, g->ranges);
    no_words(&g->parsed);
    g->parsed.pos -= last;
    g->n_ranges = 0;
    if (g->all->size == 0) {
        g->all = words;
        return;
    }
    /* joining may add a byte of alignment for each word */
    if (data_size(g->all) + data_size(words) + (size_t)g->all->size + (size_t)words->size > ROOM) {
        g->full = true;
        return;
    }
    joined = DatumGetTSVector(
        DirectFunctionCall2(tsvector_concat, TSVectorGetDatum(g->all), TSVectorGetDatum(words)));
    pfree(g->all);
    pfree(words);
    g->all = joined;
}

/* or the like: what cannot be inside a word */
static bool
is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ',' || c == ';' || c == '|' ||
           c == '"';
}

/* The number of bytes up to the last space, and that itself; 0: there is none. */
static size_t
last_space(const char *s, size_t n)
{
    while (n > 0 && !is_space(s[n - 1]))
        n--;
    return n;
}

/* Where such a run is cut: after a sign if there is one, else between two characters. */
static size_t
cut_run(const char *s, size_t n)
{
    size_t cut = PART;

    while (cut > PART / 2 && (IS_HIGHBIT_SET(s[cut - 1]) || isalnum((unsigned char)s[cut - 1])))
        cut--;
    return cut > PART / 2 ? cut : (size_t)pg_mbcliplen(s, (int)n, PART);
}

/* The parser looks for the end of a comment at many places. */
static bool
many_comments(const char *s, size_t n)
{
    int comments = 0;

    for (const char *end = s + n; (s = memchr(s, '<', (size_t)(end - s))) != NULL; s++)
        if (s + 1 < end && s[1] == '!' && ++comments > FEW)
            return true;
    return false;
}

/* It looks for the end of an address, a path or a comment at many places. run: up to the next
 * space; it is not counted further than is needed. */
static bool
many_signs(const char *s, size_t n, size_t *run)
{
    int signs = 0;
    size_t i;

    for (i = 0; i < n && !is_space(s[i]) && (signs <= FEW || i <= PART); i++)
        signs += s[i] == '@' || s[i] == '~' || s[i] == '_' || s[i] == '!' ||
                 (s[i] == '/' && i > 0 && s[i - 1] == '.');
    *run = i;
    return signs > FEW && i > PART;
}

/* How much of a text to parse next: up to a place that cannot be inside a word, looked for before
 * the limit, then after it. */
static size_t
piece_of(const char *s, size_t n)
{
    size_t limit, piece, run;

    if (n <= PART)
        return n;
    limit = many_comments(s, Min(n, PIECE)) ? SHORT_PIECE : PIECE;
    piece = n <= limit ? n : last_space(s, limit);
    n = Min(n, TEXT + 1);
    if (piece == 0)
        piece = n; /* which the run then ends */
    for (size_t at = 0; at < piece; at += run + 1) {
        if (many_signs(s + at, n - at, &run))
            return at ? at : cut_run(s, n);
        if (at + run >= limit)
            return at + run;
    }
    return piece;
}

static void
gather(void *arg, newt_pg_leaf_kind kind, const char *s, size_t n)
{
    gathering *g = arg;

    if (kind != NEWT_PG_STRING || g->full)
        return;
    if (g->parsed.pos > 0 || g->all->size > 0)
        g->parsed.pos += GAP;
    while (n > 0 && !g->full) {
        size_t piece = piece_of(s, n);

        CHECK_FOR_INTERRUPTS();
        g->text += piece;
        if (g->text > TEXT) {
            g->full = true;
            break;
        }
        parsetext(g->config, &g->parsed, unconstify(char *, s), (int)piece);
        s += piece;
        n -= piece;
        g->bytes += piece;
        if (g->bytes >= PIECE)
            merge(g);
    }
}

/* A word without a position: it is found, and counts for no rank. There is room for it. */
static void
add_mark(gathering *g, const char *name, const char *value)
{
    size_t a = strlen(name), b = strlen(value);
    TSVector mark = palloc0(CALCDATASIZE(1, a + b));

    SET_VARSIZE(mark, CALCDATASIZE(1, a + b));
    mark->size = 1;
    ARRPTR(mark)->len = (uint32)(a + b);
    memcpy(STRPTR(mark), name, a);
    memcpy(STRPTR(mark) + a, value, b);
    g->all = DatumGetTSVector(
        DirectFunctionCall2(tsvector_concat, TSVectorGetDatum(g->all), TSVectorGetDatum(mark)));
}

static void
gather_paths(gathering *g, Jsonb *document, ArrayType *array)
{
    int n;
    newt_pg_path *paths = newt_pg_paths(array, true, &n);

    g->ranges = palloc((size_t)(n + 1) * sizeof *g->ranges);
    no_words(&g->parsed);
    g->all = palloc0(CALCDATASIZE(0, 0));
    SET_VARSIZE(g->all, CALCDATASIZE(0, 0));
    if (n == 0)
        newt_pg_leaves(document, &whole_document, gather, g);
    for (int i = 0; i < n; i++) {
        /* positions that are all the last one do not tell paths apart */
        if (g->parsed.pos >= MAXENTRYPOS - 1)
            merge(g);
        else if (i > 0)
            end_range(g);
        g->weight = paths[i].weight;
        newt_pg_leaves(document, &paths[i], gather, g);
    }
    merge(g);
    if (g->full) {
        add_mark(g, "::cut", "");
        ereport(NOTICE, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                         errmsg("document has more words than a tsvector holds"),
                         errdetail("Words beyond %d bytes, and text beyond %d MB, are not indexed.",
                                   ROOM, TEXT / 1024 / 1024)));
    }
}

Datum
newt_pg_tsvector(PG_FUNCTION_ARGS)
{
    gathering g = {.config = PG_GETARG_OID(0)};

    gather_paths(&g, PG_GETARG_JSONB_P(1), PG_GETARG_ARRAYTYPE_P(2));
    PG_RETURN_TSVECTOR(g.all);
}

/* ---- a language for each document ------------------------------------------------------------ */

typedef struct named_language {
    bool found;
    char name[MAX_LANGUAGE + 1]; /* in lower case; what is longer is no language */
} named_language;

static void
first_string(void *arg, newt_pg_leaf_kind kind, const char *s, size_t n)
{
    named_language *l = arg;

    if (kind != NEWT_PG_STRING || l->found)
        return;
    l->found = true;
    for (size_t i = 0; n <= MAX_LANGUAGE && i < n; i++)
        l->name[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 'a' - 'A') : s[i];
}

static int
place_of(const char *name, ArrayType *known)
{
    Datum *items;
    bool *nulls;
    int n;

    deconstruct_array(known, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
    for (int i = 0; i < n; i++)
        if (!nulls[i] && strcmp(TextDatumGetCString(items[i]), name) == 0)
            return i;
    return -1;
}

/* The place of the document's language among those known, and its name; -1 and "": another, or none
 * is named. Where "de-at" is not known, it is "de". */
static int
language_of(Jsonb *document, text *path, ArrayType *known, named_language *l)
{
    Datum item = PointerGetDatum(path);
    int n, place;
    newt_pg_path *paths = newt_pg_paths(construct_array(&item, 1, TEXTOID, -1, false, TYPALIGN_INT),
                                        false, &n);

    memset(l, 0, sizeof *l);
    newt_pg_leaves(document, paths, first_string, l);
    place = *l->name ? place_of(l->name, known) : -1;
    if (place < 0) {
        l->name[strcspn(l->name, "-_")] = '\0';
        place = *l->name ? place_of(l->name, known) : -1;
    }
    if (place < 0)
        *l->name = '\0';
    return place;
}

Datum
newt_pg_language(PG_FUNCTION_ARGS)
{
    named_language l;

    language_of(PG_GETARG_JSONB_P(0), PG_GETARG_TEXT_PP(1), PG_GETARG_ARRAYTYPE_P(2), &l);
    PG_RETURN_TEXT_P(cstring_to_text(l.name));
}

/* A mark names the language: a word of another language that looks the same is another word. */
Datum
newt_pg_tsvector_by_language(PG_FUNCTION_ARGS)
{
    ArrayType *known = PG_GETARG_ARRAYTYPE_P(2);
    ArrayType *configs = PG_GETARG_ARRAYTYPE_P(3);
    Jsonb *document = PG_GETARG_JSONB_P(4);
    gathering g = {.config = PG_GETARG_OID(0)};
    named_language l;
    int place = language_of(document, PG_GETARG_TEXT_PP(1), known, &l);
    Datum *items;
    bool *nulls;
    int n;

    deconstruct_array(configs, REGCONFIGOID, sizeof(Oid), true, TYPALIGN_INT, &items, &nulls, &n);
    if (n != ArrayGetNItems(ARR_NDIM(known), ARR_DIMS(known)))
        ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                        errmsg("each language needs one text search configuration")));
    if (place >= 0 && !nulls[place])
        g.config = DatumGetObjectId(items[place]);
    gather_paths(&g, document, PG_GETARG_ARRAYTYPE_P(5));
    add_mark(&g, "::lang=", l.name);
    PG_RETURN_TSVECTOR(g.all);
}
