/*
 * jsonb_direct.c - a record's state becomes a jsonb value, without events
 *
 * Most states are maps of short ASCII text, integers, references, and arrays and maps of these. A
 * record has their counts in front and a map's keys in jsonb's order: so such a state is written as
 * it is read, from front to back, into the form that jsonb.c explains. jsonb has the keys of an
 * object before its values, so a map is gone through twice. Scalars of other kinds are shown by the
 * codec. Whatever else stands there, and anything wrong, is left to the codec altogether: the
 * document starts again.
 */
#include "jsonb.h"

#include "miscadmin.h"

enum {
    DEPTH = 16,       /* containers nested: maps are gone through twice at each level */
    FIELDS = 64,      /* of a map, at most */
    ROOM = 3,         /* bytes of jsonb for each of the record, to begin with */
    INTERRUPTS = 4096 /* values between two looks for interrupts */
};

typedef struct direct {
    newt_pg_output out;
    const uint8 *end;      /* of the record */
    uint32 values;         /* so far */
    newt_pg_jsonb *scalar; /* what the codec shows; NULL: not needed yet */
} direct;

static const uint8 *put_value(direct *d, newt_pg_entries *entries, const uint8 *at, int depth);

/* ---- containers ----------------------------------------------------------------------------- */

static const uint8 *
put_array(direct *d, const uint8 *at, int depth)
{
    newt_pg_entries entries;
    uint32 n;

    at = newt__short_count(at, d->end, &n);
    if (!at || n > (size_t)(d->end - at))
        return NULL;
    newt_pg_put_header(&d->out, &entries, n | JB_FARRAY, n);
    for (uint32 i = 0; i < n && at; i++)
        at = put_value(d, &entries, at, depth + 1);
    return at;
}

static const uint8 *
put_map(direct *d, const uint8 *at, int depth)
{
    const uint8 *values[FIELDS];
    newt_pg_entries entries;
    const char *key = NULL;
    size_t length = 0;
    uint32 n;

    at = newt__short_count(at, d->end, &n);
    if (!at || n > FIELDS)
        return NULL;
    newt_pg_put_header(&d->out, &entries, n | JB_FOBJECT, 2 * n);
    for (uint32 i = 0; i < n; i++) {
        values[i] = newt__short_key(at, d->end, &key, &length);
        if (!values[i])
            return NULL;
        newt_pg_put_text(&d->out, &entries, key, length);
        at = newt__skip_item(values[i], d->end);
        if (!at)
            return NULL;
    }
    for (uint32 i = 0; i < n; i++)
        if (!put_value(d, &entries, values[i], depth + 1))
            return NULL;
    return at;
}

static const uint8 *
put_container(direct *d, newt_pg_entries *entries, const uint8 *at, int depth)
{
    uint32 start = d->out.n;

    if (depth >= DEPTH)
        return NULL;
    at = (*at >> 5 == NEWT__ARRAY_TYPE ? put_array : put_map)(d, at, depth);
    if (at)
        newt_pg_put_entry(&d->out, entries, JENTRY_ISCONTAINER, d->out.n - start);
    return at;
}

/* ---- scalars -------------------------------------------------------------------------------- */

/* {"::=>": oid} */
static void
put_ref(newt_pg_output *out, newt_pg_entries *entries, int64 oid)
{
    newt_pg_entries own;
    uint32 start = out->n;

    newt_pg_put_header(out, &own, 1 | JB_FOBJECT, 2);
    newt_pg_put_text(out, &own, "::=>", 4);
    newt_pg_put_int(out, &own, oid);
    newt_pg_put_entry(out, entries, JENTRY_ISCONTAINER, out->n - start);
}

static int
refuse(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    return 1;
}

/* Any other one, as the codec shows it. */
static const uint8 *
put_shown(direct *d, newt_pg_entries *entries, const uint8 *at)
{
    newt__reader r;
    newt__token t;
    newt__sink sink;

    newt__read_item_begin(&r, &newt_pg_env, at, (size_t)(d->end - at), 0, 0);
    if (newt__read(&r, &t) != NEWT__OK || t.hidden)
        return NULL;
    if (t.kind == NEWT__TEXT && (t.plain || !newt__holds_nul(t.s, t.n))) {
        newt_pg_put_text(&d->out, entries, t.s, t.n);
        return r.data + r.at;
    }
    if (t.kind == NEWT__INT && t.u <= INT64_MAX) {
        newt_pg_put_int(&d->out, entries, t.number.negative ? -1 - (int64)t.u : (int64)t.u);
        return r.data + r.at;
    }
    if (!d->scalar)
        d->scalar = palloc(sizeof *d->scalar);
    newt_pg_jsonb_sink(&sink, d->scalar);
    sink.reject = refuse;
    if (newt__project_item(&r, &t, &sink, NULL) != NEWT__OK)
        return NULL;
    newt_pg_jsonb_put(d->scalar, &d->out, entries);
    return r.data + r.at;
}

static const uint8 *
put_value(direct *d, newt_pg_entries *entries, const uint8 *at, int depth)
{
    static const uint32 words[] = {JENTRY_ISBOOL_FALSE, JENTRY_ISBOOL_TRUE, JENTRY_ISNULL};
    const uint8 *after = NULL;
    const char *s;
    size_t n;
    int64 i;

    if (at == d->end)
        return NULL;
    if (++d->values % INTERRUPTS == 0)
        CHECK_FOR_INTERRUPTS();
    switch (*at >> 5) {
    case NEWT__TEXT_TYPE:
        after = newt__short_text(at, d->end, &s, &n);
        if (after)
            newt_pg_put_text(&d->out, entries, s, n);
        break;
    case NEWT__UINT_TYPE:
        after = newt__short_uint(at, d->end, &i);
        if (after)
            newt_pg_put_int(&d->out, entries, i);
        break;
    case NEWT__TAG_TYPE:
        after = newt__short_ref(at, d->end, &i);
        if (after)
            put_ref(&d->out, entries, i);
        break;
    case NEWT__SIMPLE_TYPE:
        if (*at < 0xf4 || *at > 0xf6)
            break;
        newt_pg_put_entry(&d->out, entries, words[*at - 0xf4], 0);
        after = at + 1;
        break;
    case NEWT__ARRAY_TYPE:
    case NEWT__MAP_TYPE: return put_container(d, entries, at, depth);
    default: break;
    }
    return after ? after : put_shown(d, entries, at);
}

/* ---- the state ------------------------------------------------------------------------------ */

Jsonb *
newt_pg_jsonb_direct(const newt__reader *head)
{
    const uint8 *at = head->data + head->at;
    direct d = {.end = head->data + head->n};

    if (at == d.end || *at >> 5 != NEWT__MAP_TYPE || newt__may_be_too_large(head->env, head->n))
        return NULL;
    newt_pg_output_begin(&d.out, ROOM * (Size)(d.end - at));
    at = put_map(&d, at, 0);
    if (d.scalar)
        pfree(d.scalar);
    if (at == d.end)
        return newt_pg_output_end(&d.out);
    pfree(d.out.data);
    return NULL;
}
