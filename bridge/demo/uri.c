/*
 * uri.c - how the URIs of layers nest: demo:(BASE)(CHANGES)
 */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

static int
wrong(newt_error *e, const char *uri, const char *why)
{
    newt__fail(e, NEWT_EINVAL, 0, "\"%.200s\" is not the URI of a store: %s", uri, why);
    newt__fail_hint(e, "Write demo:(BASE) or demo:(BASE)(CHANGES). Within a URI of libpq, %%28 and "
                       "%%29 are parentheses.");
    return NEWT_EINVAL;
}

/* What is in the parentheses at *at, which goes past them; NULL: they do not end, or *memory
 * false. */
static char *
part(const char **at, bool *memory)
{
    const char *from = *at + 1, *to = from;
    int depth = 1;
    char *out;

    *memory = true;
    for (; *to; to++) {
        depth += (*to == '(') - (*to == ')');
        if (depth == 0)
            break;
    }
    if (depth > 0)
        return NULL;
    *at = to + 1;
    out = malloc((size_t)(to - from) + 1);
    *memory = out != NULL;
    if (!out)
        return NULL;
    memcpy(out, from, (size_t)(to - from));
    out[to - from] = 0;
    return out;
}

int
newt__demo_parts(const char *uri, char **base, char **changes, newt_error *e)
{
    const char *at = uri + strlen("demo:");
    char **parts[] = {base, changes};
    bool memory = true;
    int status = NEWT_OK;

    *base = *changes = NULL;
    if (*at != '(')
        status = wrong(e, uri, "its base is not in parentheses");
    for (int i = 0; i < 2 && status == NEWT_OK && *at == '('; i++) {
        *parts[i] = part(&at, &memory);
        if (!memory)
            status = newt__fail_memory(e);
        else if (!*parts[i])
            status = wrong(e, uri, "a parenthesis is not closed");
    }
    if (status == NEWT_OK && !**base)
        status = wrong(e, uri, "its base is empty");
    if (status == NEWT_OK && *at)
        status = wrong(e, uri, "there is text after its last parenthesis");
    if (status == NEWT_OK && *changes && strncmp(*changes, "demo:", 5) == 0)
        status = wrong(e, uri, "CHANGES cannot be a demo storage");
    if (status == NEWT_OK && *changes && **changes && strcmp(*changes, "memory:") != 0 &&
        strcmp(*changes, *base) == 0)
        status = wrong(e, uri, "CHANGES cannot be the base");
    if (status != NEWT_OK) {
        free(*base);
        free(*changes);
        *base = *changes = NULL;
    }
    return status;
}
