/*
 * emit.h - a projection under way, and how it gives its events
 *
 * Straight into a buffer as text, or to a sink. Either way the same events, counted if the document
 * could be too large. Functions that return bool return false when the walk must end; `stop` says
 * why.
 */
#ifndef NEWT_EMIT_H
#define NEWT_EMIT_H

#include "json_text.h"
#include "simple.h"

enum newt__frame_kind {
    NEWT__FRAME_FIELDS, /* a map or an object: {key: value, ...} */
    NEWT__FRAME_ITEMS,  /* an array or a set: [item, ...] */
    NEWT__FRAME_PAIRS,  /* [{"k": key, "v": value}, ...] */
    NEWT__FRAME_TAG     /* {"::tag": n, "::v": item} */
};

struct newt__frame {
    uint8_t kind;
    bool wrapped;    /* pairs: in the "::v" of an object */
    bool value;      /* pairs: the value's turn */
    const char *key; /* fields: the current one */
    size_t n;
    uint64_t index; /* items, pairs: the current one; SIZE_MAX before the first */
};

/* why a walk ended early */
enum newt__stop {
    NEWT__STOP_FAULT,
    NEWT__STOP_TOO_LARGE,
    NEWT__STOP_LOOK_AHEAD
};

struct newt__projection {
    newt__reader *r;
    const newt__sink *sink; /* or */
    newt__buffer *out;      /* text, directly */
    size_t start;           /* in out */
    bool complete;          /* newt__item_text(): everything is shown, as it is */
    newt__fault fault;
    enum newt__stop stop;
    /* the text's length, if it could be too large */
    bool counting;
    bool fresh; /* a container has just been opened */
    uint64_t counted, limit;
    bool looked; /* notes are there */
    newt__buffer notes;
    uint64_t ordinal; /* containers read so far */
    newt__buffer scratch;
    uint32_t depth;
    struct newt__frame frame[NEWT__MAX_DEPTH];
    newt__token token;
};

NEWT__COLD bool newt__stop(struct newt__projection *p, enum newt__stop why);
NEWT__COLD bool newt__stop_fault(struct newt__projection *p, newt__code code, const char *reason);
NEWT__COLD bool newt__stop_memory(struct newt__projection *p);

/* Counts the event's text with its comma, as json_text.h writes it; whether the document can still
 * be small enough. */
NEWT__COLD bool newt__fits(struct newt__projection *p, const newt__json *e);

NEWT__INLINE bool
newt__emit(struct newt__projection *p, const newt__json *e)
{
    if (NEWT__UNLIKELY(p->counting) && !newt__fits(p, e))
        return false;
    if (p->out != NULL) {
        if (NEWT__UNLIKELY(!newt__put(p->out, e)))
            return newt__stop_memory(p);
    } else if (NEWT__UNLIKELY(p->sink->event(p->sink->arg, e) != 0)) {
        return newt__stop_fault(p, NEWT__SINK, "the sink stopped");
    }
    return true;
}

NEWT__INLINE bool
newt__emit_word(struct newt__projection *p, newt__json_kind kind)
{
    newt__json e = {.kind = kind};

    return newt__emit(p, &e);
}

NEWT__INLINE bool
newt__emit_text(struct newt__projection *p, newt__json_kind kind, const newt__token *t)
{
    newt__json e = {.kind = kind, .s = t->s, .n = t->n, .in_record = true, .plain = t->plain};

    return newt__emit(p, &e);
}

NEWT__INLINE bool
newt__emit_int(struct newt__projection *p, int64_t i)
{
    newt__json e = {.kind = NEWT__JSON_INT, .i = i};

    return newt__emit(p, &e);
}

/* a key of ours */
NEWT__INLINE bool
newt__emit_own_key(struct newt__projection *p, const char *s)
{
    newt__json e = {.kind = NEWT__JSON_KEY, .s = s, .n = strlen(s), .plain = true};

    return newt__emit(p, &e);
}

/* The same as functions, for what is rare. */
bool newt__word(struct newt__projection *p, newt__json_kind kind);
bool newt__text(struct newt__projection *p, newt__json_kind kind, const void *s, size_t n,
                bool plain);
bool newt__own_key(struct newt__projection *p, const char *s);
bool newt__unsigned(struct newt__projection *p, uint64_t u);

/* Tells the sink that the value that begins here is not shown as it is. */
bool newt__reject(struct newt__projection *p, const char *reason);

/* A scalar, with all of its events. */
bool newt__rare_scalar(struct newt__projection *p, const newt__token *t);

#endif
