/*
 * json.c - the text of a value of jansson's
 */
#include "conn.h"

#include <jansson.h>
#include <stdlib.h>

/* json_dumps() does not notice if there is no memory for a key of an object (jansson 2.14), and
 * gives a text without it. */
char *
newt__json_dump(const json_t *json, size_t flags)
{
    size_t n = json_dumpb(json, NULL, 0, flags);
    char *text = n > 0 ? malloc(n + 1) : NULL;

    if (!text)
        return NULL;
    if (json_dumpb(json, text, n, flags) != n) {
        free(text);
        return NULL;
    }
    text[n] = 0;
    return text;
}
