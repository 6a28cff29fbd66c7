/*
 * emit.c - a projection's events, the count of their text, and its rejects
 */
#include "emit.h"

bool
newt__stop(struct newt__projection *p, enum newt__stop why)
{
    p->stop = why;
    return false;
}

bool
newt__stop_fault(struct newt__projection *p, newt__code code, const char *reason)
{
    p->fault = (newt__fault){code, reason, p->r->at};
    return newt__stop(p, NEWT__STOP_FAULT);
}

bool
newt__stop_memory(struct newt__projection *p)
{
    return newt__stop_fault(p, NEWT__NOMEM, "out of memory");
}

bool
newt__fits(struct newt__projection *p, const newt__json *e)
{
    char digits[NEWT__UINT_TEXT];
    uint64_t length;

    switch (e->kind) {
    case NEWT__JSON_OBJECT:
    case NEWT__JSON_ARRAY: length = 1; break;
    case NEWT__JSON_OBJECT_END:
    case NEWT__JSON_ARRAY_END: length = p->fresh ? 2 : 1; break;
    case NEWT__JSON_KEY:
    case NEWT__JSON_STRING:
        if (e->n > p->limit)
            return newt__stop(p, NEWT__STOP_TOO_LARGE);
        length = 3 + (e->plain ? e->n : newt__escaped_length(e->s, e->n));
        break;
    case NEWT__JSON_INT:
        length = 1 + (e->i < 0) +
                 newt__uint_text(e->i < 0 ? 0 - (uint64_t)e->i : (uint64_t)e->i, digits);
        break;
    case NEWT__JSON_NUMBER: length = e->n + 1; break;
    case NEWT__JSON_FALSE: length = 6; break;
    default: length = 5; break;
    }
    p->fresh = e->kind == NEWT__JSON_OBJECT || e->kind == NEWT__JSON_ARRAY;
    p->counted += length;
    return p->counted - 1 <= p->limit || newt__stop(p, NEWT__STOP_TOO_LARGE);
}

bool
newt__word(struct newt__projection *p, newt__json_kind kind)
{
    newt__json e = {.kind = kind};

    return newt__emit(p, &e);
}

bool
newt__text(struct newt__projection *p, newt__json_kind kind, const void *s, size_t n, bool plain)
{
    newt__json e = {.kind = kind, .s = s, .n = n, .plain = plain};

    return newt__emit(p, &e);
}

bool
newt__own_key(struct newt__projection *p, const char *s)
{
    return newt__text(p, NEWT__JSON_KEY, s, strlen(s), true);
}

bool
newt__unsigned(struct newt__projection *p, uint64_t u)
{
    char digits[NEWT__UINT_TEXT];

    if (u <= INT64_MAX)
        return newt__emit_int(p, (int64_t)u);
    return newt__text(p, NEWT__JSON_NUMBER, digits, newt__uint_text(u, digits), true);
}

/* ---- rejects ------------------------------------------------------------------------------ */

bool
newt__reject(struct newt__projection *p, const char *reason)
{
    newt__path_item path[2 * NEWT__MAX_DEPTH];
    newt__buffer keys = {.env = p->r->env};
    size_t n = 0, colons = 0;
    uint32_t i;
    int refused;

    if (p->sink == NULL || p->sink->reject == NULL)
        return true;
    for (i = 0; i < p->depth; i++) {
        if (p->frame[i].kind == NEWT__FRAME_FIELDS &&
            newt__is_wrapper(p->frame[i].key, p->frame[i].n))
            colons += p->frame[i].n + 1;
    }
    /* all the room at once: path points into it */
    if (!newt__room(&keys, colons))
        return newt__stop_memory(p);
    for (i = 0; i < p->depth; i++) {
        const struct newt__frame *f = &p->frame[i];

        if (f->kind == NEWT__FRAME_TAG || f->wrapped)
            path[n++] = (newt__path_item){"::v", 3, 0};
        switch (f->kind) {
        case NEWT__FRAME_FIELDS:
            path[n] = (newt__path_item){f->key, f->n, 0};
            if (newt__is_wrapper(f->key, f->n)) {
                path[n].key = (const char *)keys.data + keys.n;
                path[n].n++;
                newt__put_byte(&keys, ':');
                newt__buffer_append(&keys, f->key, f->n);
            }
            n++;
            break;
        case NEWT__FRAME_ITEMS: path[n++] = (newt__path_item){NULL, 0, f->index}; break;
        case NEWT__FRAME_PAIRS:
            path[n++] = (newt__path_item){NULL, 0, f->index};
            path[n++] = (newt__path_item){f->value ? "v" : "k", 1, 0};
            break;
        default: break;
        }
    }
    refused = p->sink->reject(p->sink->arg, path, n, reason);
    newt__buffer_free(&keys);
    return refused == 0 || newt__stop_fault(p, NEWT__SINK, "the sink stopped");
}
