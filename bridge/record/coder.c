/*
 * coder.c - memory for converting
 */
#include "record.h"

#include <stdlib.h>

static void *
plain_realloc(void *arg, void *p, size_t n)
{
    (void)arg;
    return realloc(p, n);
}

static void
plain_free(void *arg, void *p)
{
    (void)arg;
    free(p);
}

const newt__env newt__malloc_env = {.realloc = plain_realloc, .free = plain_free};

void
newt__coder_init(newt__coder *cd, const newt__env *env)
{
    *cd = (newt__coder){.env = *env};
    cd->writer.buf.env = cd->scratch.env = cd->image.env = cd->fixups.env = &cd->env;
}

void
newt__coder_free(newt__coder *cd)
{
    newt__writer_free(&cd->writer);
    newt__buffer_free(&cd->scratch);
    newt__buffer_free(&cd->image);
    newt__buffer_free(&cd->fixups);
}
