/*
 * project.c - the projection: record bytes -> JSON events
 *
 * One pass over the reader's tokens with a frame for each open container. Two things cannot be
 * known in time and start the document again: that it is too large, and that a map holds a key with
 * NUL or a hidden value stands after a key that is a container. For the latter a look ahead over
 * the whole item notes, by the containers' numbers in reading order, where that is so.
 */
#include "emit.h"
#include "read.h"

/* what a look ahead notes of a container */
enum {
    HOLDS_NUL = 1,      /* one of its keys does */
    KEY_OF_HIDDEN = 2,  /* it is a key, and its value is hidden */
    NOTES_OF_A_BYTE = 4 /* two bits each */
};

NEWT__COLD static bool
reader_failed(struct newt__projection *p)
{
    p->fault = p->r->fault;
    return newt__stop(p, NEWT__STOP_FAULT);
}

static inline bool
next(struct newt__projection *p)
{
    return NEWT__LIKELY(newt__read_token(p->r, &p->token) == NEWT__OK) || reader_failed(p);
}

/* ---- scalars ------------------------------------------------------------------------------ */

static inline bool
show_ref(struct newt__projection *p, int64_t oid)
{
    return newt__emit_word(p, NEWT__JSON_OBJECT) && newt__emit_own_key(p, "::=>") &&
           newt__emit_int(p, oid) && newt__emit_word(p, NEWT__JSON_OBJECT_END);
}

static inline bool
scalar(struct newt__projection *p, const newt__token *t)
{
    switch (t->kind) {
    case NEWT__TEXT:
        if (NEWT__UNLIKELY(!t->plain) && newt__holds_nul(t->s, t->n) && !p->complete)
            break;
        return newt__emit_text(p, NEWT__JSON_STRING, t);
    case NEWT__INT:
        if (NEWT__UNLIKELY(t->u > INT64_MAX))
            break;
        return newt__emit_int(p, t->number.negative ? -1 - (int64_t)t->u : (int64_t)t->u);
    case NEWT__REF: return show_ref(p, t->i);
    default: break;
    }
    return newt__rare_scalar(p, t);
}

/* ---- containers --------------------------------------------------------------------------- */

static unsigned
notes_of(const struct newt__projection *p, uint64_t ordinal)
{
    size_t at = (size_t)(ordinal / NOTES_OF_A_BYTE);

    if (!p->looked || at >= p->notes.n)
        return 0;
    return p->notes.data[at] >> 2 * (ordinal % NOTES_OF_A_BYTE) & 3;
}

static inline void
push(struct newt__projection *p, enum newt__frame_kind kind, bool wrapped)
{
    struct newt__frame *f = &p->frame[p->depth++];

    f->kind = (uint8_t)kind;
    f->wrapped = wrapped;
    f->value = false;
    f->key = NULL;
    f->n = 0;
    f->index = UINT64_MAX;
}

/* A map of any sort that is shared, of a class or holds a key with NUL. */
NEWT__COLD static bool
enter_special(struct newt__projection *p, const newt__token *t, bool pairs)
{
    bool object = t->kind == NEWT__OBJECT || t->shared;

    if (object) {
        if (!newt__word(p, NEWT__JSON_OBJECT))
            return false;
        if (t->kind == NEWT__OBJECT &&
            (!newt__own_key(p, "::") || !newt__text(p, NEWT__JSON_STRING, t->s, t->n_name, false)))
            return false;
        if (t->shared && (!newt__own_key(p, "::id") || !newt__unsigned(p, t->share)))
            return false;
    }
    if (!pairs) {
        push(p, NEWT__FRAME_FIELDS, false);
        return true;
    }
    if ((object && !newt__own_key(p, "::v")) || !newt__word(p, NEWT__JSON_ARRAY))
        return false;
    push(p, NEWT__FRAME_PAIRS, object);
    return true;
}

static inline bool
enter(struct newt__projection *p, const newt__token *t)
{
    unsigned notes = NEWT__UNLIKELY(p->looked) ? notes_of(p, p->ordinal) : 0;

    p->ordinal++;
    switch (t->kind) {
    case NEWT__MAP:
    case NEWT__OBJECT:
        if (NEWT__UNLIKELY(t->kind == NEWT__OBJECT || t->shared || (notes & HOLDS_NUL)))
            return enter_special(p, t, notes & HOLDS_NUL);
        push(p, NEWT__FRAME_FIELDS, false);
        return newt__emit_word(p, NEWT__JSON_OBJECT);
    case NEWT__ARRAY:
    case NEWT__SET: push(p, NEWT__FRAME_ITEMS, false); return newt__emit_word(p, NEWT__JSON_ARRAY);
    case NEWT__PAIRS: push(p, NEWT__FRAME_PAIRS, false); return newt__word(p, NEWT__JSON_ARRAY);
    default:
        push(p, NEWT__FRAME_TAG, false);
        return newt__word(p, NEWT__JSON_OBJECT) && newt__own_key(p, "::tag") &&
               newt__unsigned(p, t->u);
    }
}

static inline bool
leave(struct newt__projection *p)
{
    const struct newt__frame *f = &p->frame[--p->depth];

    switch (f->kind) {
    case NEWT__FRAME_ITEMS: return newt__emit_word(p, NEWT__JSON_ARRAY_END);
    case NEWT__FRAME_PAIRS:
        return newt__word(p, NEWT__JSON_ARRAY_END) &&
               (!f->wrapped || newt__word(p, NEWT__JSON_OBJECT_END));
    default: return newt__emit_word(p, NEWT__JSON_OBJECT_END);
    }
}

/* Reads over the item that token t began, counting containers. */
static bool
skip(struct newt__projection *p, const newt__token *t)
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
skip_next(struct newt__projection *p)
{
    return next(p) && skip(p, &p->token);
}

/* Whether the next item is hidden. */
static inline bool
tagged_hidden(const newt__reader *r)
{
    return NEWT__UNLIKELY(r->n - r->at >= 3) && r->data[r->at] == 0xd9 &&
           newt__get16(r->data + r->at + 1) == NEWT__TAG_HIDDEN;
}

/* Whether the next item is left out. */
static inline bool
hidden_next(const struct newt__projection *p)
{
    return tagged_hidden(p->r) && !p->complete;
}

/* A key that begins with "::" gets one more colon. */
NEWT__COLD static bool
wrapper_key(struct newt__projection *p, const newt__token *t)
{
    p->scratch.n = 0;
    if (!newt__buffer_append(&p->scratch, ":", 1) || !newt__buffer_append(&p->scratch, t->s, t->n))
        return newt__stop_memory(p);
    return newt__text(p, NEWT__JSON_KEY, p->scratch.data, p->scratch.n, t->plain);
}

/* ---- where items stand -------------------------------------------------------------------- */

/* what to do with the token that has been placed */
enum placed {
    STOPPED,
    SHOW, /* p->token or what was given: the value */
    DONE  /* nothing to show; go on */
};

static inline enum placed
place_field(struct newt__projection *p, struct newt__frame *f, const newt__token *key)
{
    if (NEWT__UNLIKELY(hidden_next(p)))
        return skip_next(p) ? DONE : STOPPED;
    if (NEWT__UNLIKELY(!key->plain) && newt__holds_nul(key->s, key->n) && !p->complete) {
        newt__stop(p, NEWT__STOP_LOOK_AHEAD);
        return STOPPED;
    }
    f->key = key->s;
    f->n = key->n;
    if (NEWT__UNLIKELY(newt__is_wrapper(key->s, key->n) && !p->complete)
            ? !wrapper_key(p, key)
            : !newt__emit_text(p, NEWT__JSON_KEY, key))
        return STOPPED;
    return next(p) ? SHOW : STOPPED;
}

static enum placed
place_pair(struct newt__projection *p, struct newt__frame *f, const newt__token *t)
{
    if (!t->is_key) {
        if (t->hidden && !p->complete) {
            /* the key is a container and has been shown */
            newt__stop(p, NEWT__STOP_LOOK_AHEAD);
            return STOPPED;
        }
        f->value = true;
        return newt__own_key(p, "v") ? SHOW : STOPPED;
    }
    if ((t->hidden && !p->complete) ||
        (newt__is_container(t->kind) ? notes_of(p, p->ordinal) & KEY_OF_HIDDEN : hidden_next(p)))
        return skip(p, t) && skip_next(p) ? DONE : STOPPED;
    f->index++;
    f->value = false;
    return newt__word(p, NEWT__JSON_OBJECT) && newt__own_key(p, "k") ? SHOW : STOPPED;
}

static inline enum placed
place(struct newt__projection *p, const newt__token *t)
{
    struct newt__frame *f = &p->frame[p->depth - 1];

    switch (f->kind) {
    case NEWT__FRAME_FIELDS: return place_field(p, f, t);
    case NEWT__FRAME_PAIRS: return place_pair(p, f, t);
    default:
        if (NEWT__UNLIKELY(t->hidden && !p->complete))
            return skip(p, t) ? DONE : STOPPED;
        f->index++;
        return f->kind != NEWT__FRAME_TAG || newt__own_key(p, "::v") ? SHOW : STOPPED;
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
pass(struct newt__projection *p, const uint8_t *after, const char *key, size_t n)
{
    newt__reader *r = p->r;
    struct newt__level *level = &r->level[r->depth - 1];
    newt__json e = {.kind = NEWT__JSON_KEY, .s = key, .n = n, .in_record = true, .plain = true};

    r->at = (size_t)(after - r->data);
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
    return newt__emit(p, &e);
}

/*
 * Shows fields and items of the simplest forms, which most records mostly consist of, without
 * tokens. Anything else, and anything wrong, is left to the reader, at the beginning of its field
 * or item.
 */
NEWT__INLINE bool
straight(struct newt__projection *p, const bool fields)
{
    newt__reader *r = p->r;
    const struct newt__level *level = &r->level[r->depth - 1];
    const uint8_t *end = r->data + r->n, *at = r->data + r->at, *after;
    newt__json e = {.kind = NEWT__JSON_STRING, .in_record = true, .plain = true};
    const char *key = NULL;
    size_t n = 0;
    int64_t i;

    for (; level->left > 0 && r->ticks < NEWT__TICKS - 2; at = after) {
        if (fields) {
            at = newt__short_text(at, end, &key, &n);
            if (at == NULL || newt__is_wrapper(key, n) || !in_order(r, level, key, n))
                return true;
        }
        if ((after = newt__short_text(at, end, &e.s, &e.n)) != NULL) {
            if (!pass(p, after, key, n) || !newt__emit(p, &e))
                return false;
        } else if ((after = newt__short_uint(at, end, &i)) != NULL) {
            if (!pass(p, after, key, n) || !newt__emit_int(p, i))
                return false;
        } else if ((after = newt__short_ref(at, end, &i)) != NULL) {
            if (!pass(p, after, key, n) || !show_ref(p, i))
                return false;
        } else {
            return true;
        }
    }
    return true;
}

static inline bool
straight_on(struct newt__projection *p)
{
    switch (p->frame[p->depth - 1].kind) {
    case NEWT__FRAME_FIELDS: return straight(p, true);
    case NEWT__FRAME_ITEMS:
        return p->r->level[p->r->depth - 1].kind != NEWT__ARRAY || straight(p, false);
    default: return true;
    }
}

/* Projects the item that t begins, to its end. */
static bool
walk(struct newt__projection *p, const newt__token *t)
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
        if (p->depth > 0 && p->frame[p->depth - 1].kind == NEWT__FRAME_PAIRS &&
            p->frame[p->depth - 1].value) {
            p->frame[p->depth - 1].value = false;
            if (!newt__word(p, NEWT__JSON_OBJECT_END))
                return false;
        }
    }
    return true;
}

/* ---- the look ahead ----------------------------------------------------------------------- */

static bool
note(struct newt__projection *p, uint64_t ordinal, unsigned what)
{
    size_t at = (size_t)(ordinal / NOTES_OF_A_BYTE), more;

    if (at >= p->notes.n) {
        more = at + 1 - p->notes.n;
        if (!newt__room(&p->notes, more))
            return newt__stop_memory(p);
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
look_ahead(struct newt__projection *p, const newt__token *t)
{
    newt__reader *r = p->r;
    const uint32_t base = r->depth - 1;
    uint64_t ordinal = 1;
    struct newt__frame *f;

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
        } else if (t->is_key && !t->plain && newt__holds_nul(t->s, t->n) && !tagged_hidden(r)) {
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

/* Where the reader was when the item's first token had been read. Of its levels only the item's
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
begin(struct newt__projection *p, newt__reader *r, const newt__sink *sink, newt__buffer *out)
{
    p->r = r;
    p->sink = sink;
    p->out = out;
    p->start = out != NULL ? out->n : 0;
    p->complete = false;
    p->fault = (newt__fault){NEWT__OK, NULL, 0};
    p->limit = newt__max_json(r->env);
    p->counting = newt__may_be_too_large(r->env, r->n);
    p->looked = false;
    p->notes = (newt__buffer){.env = r->env};
    p->scratch = (newt__buffer){.env = r->env};
    p->fresh = false;
    p->counted = 0;
    p->ordinal = 0;
    p->depth = 0;
}

static void
restart(struct newt__projection *p)
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
too_large(struct newt__projection *p, uint64_t n)
{
    p->counting = false;
    p->depth = 0;
    return newt__reject(p, "too-large") && newt__word(p, NEWT__JSON_OBJECT) &&
           newt__own_key(p, "::err") && newt__text(p, NEWT__JSON_STRING, "too-large", 9, true) &&
           newt__own_key(p, "::bin") && newt__unsigned(p, n) &&
           newt__word(p, NEWT__JSON_OBJECT_END);
}

/* Whether what has been counted may have to be counted again: the value of a key that is a
 * container may turn out hidden. */
static bool
in_a_key(const struct newt__projection *p)
{
    uint32_t i;

    for (i = 0; i < p->depth && !p->looked; i++) {
        if (p->frame[i].kind == NEWT__FRAME_PAIRS && !p->frame[i].value)
            return true;
    }
    return false;
}

/* Projects the item that t began; whole: it stands for the record. */
static newt__code
item(struct newt__projection *p, const newt__token *t, bool whole)
{
    newt__reader *r = p->r;
    struct place_in_reader place;
    bool ok;

    remember(r, &place);
    ok = walk(p, t);
    if (!ok &&
        (p->stop == NEWT__STOP_LOOK_AHEAD || (p->stop == NEWT__STOP_TOO_LARGE && in_a_key(p)))) {
        restart(p);
        rewind_to(r, &place);
        ok = look_ahead(p, t);
        if (ok) {
            rewind_to(r, &place);
            p->depth = 0;
            ok = walk(p, t);
        }
    }
    if (!ok && p->stop == NEWT__STOP_TOO_LARGE) {
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
    struct newt__projection p;

    begin(&p, r, sink, NULL);
    item(&p, t, false);
    if (fault != NULL)
        *fault = p.fault;
    return p.fault.code;
}

static newt__code
record(struct newt__projection *p, const newt__env *env, const void *data, size_t n,
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

bool
newt__is_hidden(const newt__env *env, const void *record, size_t n)
{
    newt__reader r;
    newt__token t;

    return newt__read_begin(&r, env, record, n) == NEWT__OK && newt__read(&r, &t) == NEWT__OK &&
           t.hidden;
}

newt__code
newt__project(const newt__env *env, const void *data, size_t n, const newt__sink *sink,
              bool *hidden, newt__fault *fault)
{
    struct newt__projection p;

    record(&p, env, data, n, sink, NULL, hidden);
    if (fault != NULL)
        *fault = p.fault;
    return p.fault.code;
}

newt__code
newt__record_text(const newt__env *env, const void *data, size_t n, newt__buffer *out, bool *hidden,
                  newt__fault *fault)
{
    struct newt__projection p;
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

newt__code
newt__item_text(const newt__env *env, const void *data, size_t n, uint32_t max_depth,
                uint64_t shared, newt__buffer *out, newt__fault *fault)
{
    struct newt__projection p;
    newt__reader r;
    newt__token t;
    size_t start = out->n;

    newt__read_item_begin(&r, env, data, n, max_depth, shared);
    begin(&p, &r, NULL, out);
    p.complete = true;
    p.counting = false;
    if (newt__read(&r, &t) == NEWT__OK && item(&p, &t, true) == NEWT__OK)
        newt__read_rest(&r);
    if (p.fault.code == NEWT__OK)
        p.fault = r.fault;
    out->n = p.fault.code == NEWT__OK ? out->n - 1 /* the comma */ : start;
    *fault = p.fault;
    return fault->code;
}
