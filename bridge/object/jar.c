/*
 * jar.c - the part of a connection that the objects know
 */
#include "object.h"

#include <stdlib.h>

static void
moved(newt__base *b)
{
    newt__cache_quicken((newt__jar *)(void *)b);
}

_Static_assert(offsetof(newt__jar, base) == 0, "a newt__jar begins with its newt__base");

void
newt__jar_init(newt__jar *c, const newt__env *env)
{
    c->base.moved = moved;
    c->epoch = 1;
    newt__coder_init(&c->coder, env);
}

void
newt__jar_free(newt__jar *c)
{
    newt__cache_clear(c);
    if (newt__process_is(
            c->base.process)) /* SQLite's locks may be those of a thread that is not here */
        newt__spill_free(&c->spill);
    newt__oids_free(&c->as_loaded);
    newt__oids_free(&c->to_index);
    newt__coder_free(&c->coder);
    free(c->current);
    newt__error_clear(&c->base.error);
}
