/*
 * tsvector.c - newt.tsvector: a document as a tsvector, with a weight for each path
 *
 * Between two strings the positions leave a gap, so that no phrase is found across fields. A
 * tsvector holds at most 1 MB: the text is parsed in pieces, and what no longer fits is left out
 * with a notice, since an index on this must never make a commit fail.
 */
#include "leaves.h"

#include "miscadmin.h"
#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(newt_pg_tsvector);

enum {
    GAP = 16,         /* positions between two strings */
    PIECE = 32 * 1024 /* bytes of text whose words are gathered before they are merged */
};

typedef struct gathering {
    Oid config;
    char weight;
    TSVector all;
    ParsedText parsed; /* words to be merged; their positions count from the last of `all` */
    size_t bytes;      /* of text after them */
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

/* The words that surely fit into one tsvector: dictionaries can make much of little text. */
static int
words_that_fit(const ParsedText *parsed)
{
    size_t size = 0;
    int n = 0;

    while (n < parsed->curwords) {
        size += parsed->words[n].len + 1 + sizeof(uint16) + sizeof(WordEntryPos);
        if (size > MAXSTRPOS)
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

/* Moves the gathered words to `all`. */
static void
merge(gathering *g)
{
    int last, n = words_that_fit(&g->parsed);
    TSVector words, joined;

    CHECK_FOR_INTERRUPTS();
    g->bytes = 0;
    if (n < g->parsed.curwords)
        g->full = true;
    if (n == 0)
        return;
    g->parsed.curwords = n;
    last = g->parsed.words[n - 1].pos.pos;
    words = make_tsvector(&g->parsed);
    no_words(&g->parsed);
    g->parsed.pos -= last;
    if (g->weight && g->weight != 'D')
        words = DatumGetTSVector(DirectFunctionCall2(tsvector_setweight, TSVectorGetDatum(words),
                                                     CharGetDatum(g->weight)));
    /* joining may add a byte of alignment for each word */
    if (data_size(g->all) + data_size(words) + (size_t)g->all->size + (size_t)words->size >
        MAXSTRPOS) {
        g->full = true;
        return;
    }
    joined = DatumGetTSVector(
        DirectFunctionCall2(tsvector_concat, TSVectorGetDatum(g->all), TSVectorGetDatum(words)));
    pfree(g->all);
    pfree(words);
    g->all = joined;
}

/* How much of a long string to parse next: up to a place that cannot be inside a word, looked for
 * before the limit, then after it. */
static size_t
piece_of(const char *s, size_t n)
{
    static const char between[] = " \t\n\r,;|\"";
    size_t cut = PIECE;

    if (n <= PIECE)
        return n;
    while (cut > 0 && !strchr(between, s[cut]))
        cut--;
    if (cut == 0)
        for (cut = PIECE; cut < n && !strchr(between, s[cut]);)
            cut++;
    return cut;
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

        parsetext(g->config, &g->parsed, unconstify(char *, s), (int)piece);
        s += piece;
        n -= piece;
        g->bytes += piece;
        if (g->bytes >= PIECE)
            merge(g);
    }
}

Datum
newt_pg_tsvector(PG_FUNCTION_ARGS)
{
    Jsonb *document = PG_GETARG_JSONB_P(1);
    int n;
    newt_pg_path *paths = newt_pg_paths(PG_GETARG_ARRAYTYPE_P(2), true, &n);
    gathering g = {.config = PG_GETARG_OID(0)};

    no_words(&g.parsed);
    g.all = palloc0(CALCDATASIZE(0, 0));
    SET_VARSIZE(g.all, CALCDATASIZE(0, 0));
    if (n == 0)
        newt_pg_leaves(document, &whole_document, gather, &g);
    for (int i = 0; i < n; i++) {
        merge(&g);
        g.weight = paths[i].weight;
        newt_pg_leaves(document, &paths[i], gather, &g);
    }
    merge(&g);
    if (g.full)
        ereport(NOTICE, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                         errmsg("document has more words than a tsvector holds"),
                         errdetail("Words beyond %d bytes are not indexed.", MAXSTRPOS)));
    PG_RETURN_TSVECTOR(g.all);
}
