/*
 * buffer.c - bytes that grow
 */
#include "codec.h"

#include <string.h>

bool
newt__buffer_reserve(newt__buffer *b, size_t extra)
{
    size_t cap = b->cap;
    uint8_t *data;

    if (cap - b->n >= extra)
        return true;
    if (extra > SIZE_MAX / 2 - b->n)
        return false;
    cap = cap < 128 ? 256 : 2 * cap;
    if (cap < b->n + extra)
        cap = b->n + extra;
    data = b->env->realloc(b->env->arg, b->data, cap);
    if (data == NULL)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

bool
newt__buffer_append(newt__buffer *b, const void *p, size_t n)
{
    if (!newt__buffer_reserve(b, n))
        return false;
    if (n > 0)
        memcpy(b->data + b->n, p, n);
    b->n += n;
    return true;
}

void
newt__buffer_free(newt__buffer *b)
{
    if (b->data != NULL)
        b->env->free(b->env->arg, b->data);
    b->data = NULL;
    b->n = b->cap = 0;
}
