/*
 * block.c - the memory of a set of classes, which lives and ends with it
 */
#include "build.h"

#include <stdlib.h>
#include <string.h>

struct newt__block {
    newt__block *next;
    _Alignas(16) char data[];
};

void *
newt__block_take(newt__block **list, size_t n, newt_error *e)
{
    newt__block *block = n <= SIZE_MAX - sizeof *block ? malloc(sizeof *block + n) : NULL;

    if (!block) {
        newt__fail_memory(e);
        return NULL;
    }
    memset(block->data, 0, n);
    block->next = *list;
    *list = block;
    return block->data;
}

char *
newt__block_text(newt__block **list, const char *s, size_t n, newt_error *e)
{
    char *copy = newt__block_take(list, n + 1, e);

    return copy ? memcpy(copy, s, n) : NULL;
}

void
newt__block_free(newt__block *list)
{
    for (newt__block *next; list; list = next) {
        next = list->next;
        free(list);
    }
}
