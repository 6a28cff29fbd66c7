/*
 * patch.c - whole records: of a new object, and after a JSON merge patch (RFC 7396)
 *
 * As the library writes an object that was loaded and changed (bridge/record/encode.c): fields in
 * the order of their keys; between them what the record has besides its class. What the patch does
 * not name keeps its bytes.
 */
#include "recorder.h"

#include "values.h"

#include "miscadmin.h"

/* An entry of a map in the record. */
typedef struct entry {
    newt__name key;
    const newt_pg_member *field; /* NULL: of a map, or one that the class lacks */
    const uint8 *item;
    size_t n;
    newt__kind kind;
    uint64 shared; /* numbers that were given before it */
    bool shares;   /* it gives some */
} entry;

typedef struct entries {
    entry *list;
    int n, cap;
} entries;

static void merge_fields(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_struct *k,
                         const entries *old, const JsonbContainer *patch, bool top);

/* ---- what the record has ----------------------------------------------------------------------
 */

static void
damaged(newt_pg_recorder *r, const newt__reader *reader)
{
    newt_pg_refuse(
        r, NULL,
        reader->fault.code == NEWT__NEWER ? ERRCODE_FEATURE_NOT_SUPPORTED
                                          : ERRCODE_INVALID_BINARY_REPRESENTATION,
        "has a damaged record",
        psprintf("At byte %zu of %zu: %s.", reader->fault.offset, reader->n, reader->fault.reason),
        NULL);
}

static void
next(newt_pg_recorder *r, newt__reader *reader, newt__token *t)
{
    if (newt__read(reader, t) != NEWT__OK)
        damaged(r, reader);
}

/* A key has been read. */
static entry *
add_entry(newt_pg_recorder *r, entries *to, const newt__token *key, newt__reader *reader,
          newt__token *t)
{
    entry *e;

    if (to->n == to->cap) {
        to->cap = to->cap ? 2 * to->cap : 32;
        to->list = to->list ? repalloc(to->list, to->cap * sizeof *to->list)
                            : palloc(to->cap * sizeof *to->list);
    }
    e = &to->list[to->n++];
    *e = (entry){.key = {key->s, key->n}, .shared = reader->shared};
    next(r, reader, t);
    e->kind = t->kind;
    e->item = reader->data + t->offset;
    return e;
}

static void
end_entry(entry *e, const newt__reader *reader)
{
    e->n = (size_t)(reader->data + reader->at - e->item);
    e->shares = reader->shared > e->shared;
}

static void
gather_fields(newt_pg_recorder *r, const newt_pg_struct *k, newt__reader *reader, entries *to)
{
    newt__token key, t;

    for (next(r, reader, &key); key.kind != NEWT__END; next(r, reader, &key)) {
        entry *e = add_entry(r, to, &key, reader, &t);
        newt_pg_place place = {.name = e->key};

        e->field = newt_pg_member_named(k, e->key.s, e->key.n);
        if (e->field)
            newt_pg_check_fit(r, &place, e->field, reader, &t);
        else if (newt__read_skip(reader, &t) != NEWT__OK)
            damaged(r, reader);
        end_entry(e, reader);
        for (int i = 0; !e->field && i < k->n_was; i++)
            if (newt__key_order(k->was[i].s, k->was[i].n, e->key.s, e->key.n) == 0)
                newt_pg_refuse(r, &place, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                               "has another name now",
                               "The record has the older one beside fields of its version.",
                               "Have a program write the object first.");
    }
}

/* Those of an item that has been looked through before; its head is read again. */
static newt__kind
reopen(newt_pg_recorder *r, const entry *of, newt__reader *reader)
{
    newt__token t;

    newt__read_item_begin(reader, &newt_pg_env, of->item, of->n, NEWT__MAX_DEPTH, of->shared);
    next(r, reader, &t);
    return t.kind;
}

static int
by_key(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    return newt__key_order(x->key.s, x->key.n, y->key.s, y->key.n);
}

/* A map may be recorded as pairs, which are in another order. */
static void
gather_map(newt_pg_recorder *r, newt__reader *reader, entries *to)
{
    newt__token key, t;

    for (next(r, reader, &key); key.kind != NEWT__END; next(r, reader, &key)) {
        entry *e = add_entry(r, to, &key, reader, &t);

        if (newt__read_skip(reader, &t) != NEWT__OK)
            damaged(r, reader);
        end_entry(e, reader);
    }
    qsort(to->list, (size_t)to->n, sizeof *to->list, by_key);
}

static const entry *
entry_named(const entries *in, newt__name key)
{
    entry wanted = {.key = key};

    return in->n > 0 ? bsearch(&wanted, in->list, (size_t)in->n, sizeof *in->list, by_key) : NULL;
}

/* ---- merging ----------------------------------------------------------------------------------
 */

static bool
is_object(const JsonbValue *v)
{
    return v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data);
}

static void
keep(newt_pg_recorder *r, const newt_pg_place *place, const entry *e)
{
    newt__write_encoded(&r->w, e->item, e->n);
    newt_pg_check_writer(r, place);
}

static void
merge_struct(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_struct *k,
             const entry *old, const JsonbContainer *patch)
{
    newt__reader *reader = palloc(sizeof *reader); /* large, and this recurses */
    entries inner = {0};

    check_stack_depth();
    (void)reopen(r, old, reader);
    gather_fields(r, k, reader, &inner);
    merge_fields(r, place, k, &inner, patch, false);
    pfree(reader);
}

/* One entry of a map whose key has been written. */
static void
merge_value(newt_pg_recorder *r, const newt_pg_place *place, const newt_pg_member *f,
            const entry *old, const JsonbValue *v)
{
    if (old && old->kind == NEWT__MAP && f->value.kind == NEWT_PG_K_STRUCT && is_object(v)) {
        merge_struct(r, place, f->value.fields, old, v->val.binary.data);
        return;
    }
    r->lost_shared |= old && old->shares;
    newt_pg_write_value(r, place, &f->value, v);
}

/* The entry of a patch that has this key; a name that begins with two colons has one more there. */
static bool
in_patch(const JsonbContainer *patch, newt__name key, JsonbValue *v)
{
    newt_pg_member named = {.name = key};

    return newt_pg_given(&named, patch, v);
}

static void
merge_map(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_member *f, const entry *old,
          const JsonbContainer *patch)
{
    uint32 n = JsonContainerSize(patch);
    newt__reader *reader = palloc(sizeof *reader);
    newt_pg_place place = {.up = up, .is_key = true};
    entries inner = {0};
    JsonbValue key, v;

    if (old) {
        (void)reopen(r, old, reader);
        gather_map(r, reader, &inner);
    }
    newt__collect_map(&r->w);
    newt_pg_check_writer(r, up);
    for (int i = 0; i < inner.n; i++) {
        const entry *e = &inner.list[i];
        bool given = in_patch(patch, e->key, &v);

        place.name = e->key;
        if (given && v.type == jbvNull) { /* it goes */
            r->lost_shared |= e->shares;
            continue;
        }
        newt__write_text(&r->w, e->key.s, e->key.n);
        if (given)
            merge_value(r, &place, f, e, &v);
        else
            keep(r, &place, e);
    }
    for (uint32 i = 0; i < n; i++) {
        newt_pg_read_entry(patch, i, (const char *)&patch->children[2 * n], &key);
        newt_pg_read_entry(patch, n + i, (const char *)&patch->children[2 * n], &v);
        if (!newt_pg_plain_key(&key, &place.name))
            newt_pg_refuse(r, up, ERRCODE_INVALID_PARAMETER_VALUE,
                           psprintf("has the key \"%.*s\"", key.val.string.len, key.val.string.val),
                           "Keys that begin with \"::\" have one more colon in front.", NULL);
        if (v.type == jbvNull || entry_named(&inner, place.name))
            continue;
        newt__write_text(&r->w, place.name.s, place.name.n);
        merge_value(r, &place, f, NULL, &v);
    }
    newt__collected(&r->w);
    newt_pg_check_writer(r, up);
    pfree(reader);
}

/* What becomes of a field, or of what the record has besides. */
typedef struct outcome {
    newt__name key;
    const newt_pg_member *field;
    const entry *old; /* NULL: the record lacks it */
    bool given;
    JsonbValue v; /* if it is given */
} outcome;

/* False: the record is to be without it. */
static bool
decide(newt_pg_recorder *r, const newt_pg_place *up, const JsonbContainer *patch, bool top,
       outcome *o)
{
    const newt_pg_member *f = o->field;
    newt_pg_place place = {.up = up, .name = f->name};
    bool null;

    o->given = newt_pg_given(f, patch, &o->v);
    null = o->given ? newt_pg_is_null(&f->value, &o->v)
           : o->old ? o->old->kind == NEWT__NULL
                    : !f->initial;
    if (f->shape == NEWT_PG_ONE && f->required && null)
        newt_pg_refuse(r, &place, ERRCODE_NOT_NULL_VIOLATION, "is null, but required", NULL, NULL);
    if (o->given || o->old) {
        bool omitted = null && newt_pg_omits_null(f);

        r->lost_shared |= omitted && o->old && o->old->shares;
        return !omitted;
    }
    /* a struct inside is not completed: its record is as it was written */
    return top && (f->initial || !newt_pg_omits_null(f));
}

static void
write_outcome(newt_pg_recorder *r, const newt_pg_place *up, const outcome *o)
{
    const newt_pg_member *f = o->field;
    newt_pg_place place = {.up = up, .name = o->key};
    bool object = o->given && is_object(&o->v);

    newt__write_text(&r->w, o->key.s, o->key.n);
    if (o->old && !o->given) { /* with its tags */
        keep(r, &place, o->old);
        return;
    }
    if (f->skip)
        newt__write_hidden(&r->w);
    if (!o->given) {
        newt_pg_write_initial(r, &place, f);
    } else if (object && f->shape == NEWT_PG_MAP_OF) {
        merge_map(r, &place, f, o->old, o->v.val.binary.data);
    } else if (object && f->shape == NEWT_PG_ONE) {
        newt_pg_member *one = unconstify(newt_pg_member *, f);

        merge_value(r, &place, one, f->value.kind == NEWT_PG_K_STRUCT ? o->old : NULL, &o->v);
        r->lost_shared |= f->value.kind != NEWT_PG_K_STRUCT && o->old && o->old->shares;
    } else {
        r->lost_shared |= o->old && o->old->shares;
        newt_pg_write_member(r, &place, f, &o->v);
    }
}

/* Both fields and entries of the record are in the order of their keys. */
static void
merge_fields(newt_pg_recorder *r, const newt_pg_place *up, const newt_pg_struct *k,
             const entries *old, const JsonbContainer *patch, bool top)
{
    outcome *list = palloc((size_t)(k->n + old->n + 1) * sizeof *list);
    int n = 0, at = 0;

    newt_pg_check_keys(r, up, k, patch);
    for (int i = 0; i < k->n || at < old->n;) {
        const newt_pg_member *f = i < k->n ? &k->fields[i] : NULL;
        const entry *e = at < old->n ? &old->list[at] : NULL;
        int order = !f ? 1 : !e ? -1 : newt__key_order(f->name.s, f->name.n, e->key.s, e->key.n);
        outcome *o = &list[n];

        *o = (outcome){.key = order > 0 ? e->key : f->name,
                       .field = order > 0 ? NULL : f,
                       .old = order < 0 ? NULL : e};
        i += order <= 0;
        at += order >= 0;
        n += !o->field || decide(r, up, patch, top, o);
    }
    newt__write_map(&r->w, (size_t)n);
    newt_pg_check_writer(r, up);
    for (int i = 0; i < n; i++)
        write_outcome(r, up, &list[i]);
    pfree(list);
}

/* ---- records ----------------------------------------------------------------------------------
 */

static void
begin(newt_pg_recorder *r, const newt_pg_class *class, bool hidden)
{
    const char *name = class->state.class_name;

    r->w.buf.env = r->scratch.env = &newt_pg_env;
    newt__write_begin(&r->w, name, strlen(name), class->version);
    if (hidden)
        newt__write_hidden(&r->w);
}

static bytea *
finish(newt_pg_recorder *r)
{
    bytea *out;

    newt__write_end(&r->w);
    newt_pg_check_writer(r, NULL);
    out = palloc(VARHDRSZ + r->w.buf.n);
    SET_VARSIZE(out, VARHDRSZ + r->w.buf.n);
    memcpy(VARDATA(out), r->w.buf.data, r->w.buf.n);
    return out;
}

bytea *
newt_pg_new_record(newt_pg_recorder *r, const newt_pg_class *class, const JsonbContainer *document)
{
    JsonbValue v = {.type = jbvBinary};

    v.val.binary.data = unconstify(JsonbContainer *, document);
    begin(r, class, class->hidden);
    newt_pg_write_struct(r, NULL, &class->state, &v);
    return finish(r);
}

bytea *
newt_pg_patched_record(newt_pg_recorder *r, const newt_pg_class *class, const void *record,
                       size_t n, const JsonbContainer *patch)
{
    newt__reader *reader = palloc(sizeof *reader);
    entries old = {0};
    bool extra = false;
    newt__token t;

    if (newt__read_begin(reader, &newt_pg_env, record, n) != NEWT__OK)
        damaged(r, reader);
    next(r, reader, &t);
    if (t.kind != NEWT__MAP || t.shared)
        newt_pg_refuse(r, NULL, ERRCODE_DATA_CORRUPTED, "has a state that is no map of fields",
                       NULL, NULL);
    begin(r, class, t.hidden);
    gather_fields(r, &class->state, reader, &old);
    next(r, reader, &t); /* the record's end */
    merge_fields(r, NULL, &class->state, &old, patch, true);
    for (int i = 0; i < old.n; i++)
        extra |= !old.list[i].field;
    if (reader->shared > 0 && (extra || r->lost_shared || r->w.shared != reader->shared))
        newt_pg_refuse(r, NULL, ERRCODE_FEATURE_NOT_SUPPORTED,
                       "has values that are shared, which the patch would number anew",
                       "Values of kind json refer to each other by numbers.",
                       "Change it by a program.");
    pfree(reader);
    return finish(r);
}
