/*
 * coder.c - memory for converting
 */
#include "record.h"

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
