/*
 * json.c - JSON, where jansson (2.14) does not tell all that goes wrong
 */
#include "conn.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* json_dumps() does not notice if there is no memory for a key of an object, and
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

/* json_loads() does not always tell a lack of memory from what is no JSON. */
newt__code
newt__json_check(const char *text)
{
    newt__writer w = {.buf.env = &newt__malloc_env};
    newt__fault fault;
    newt__code code;

    newt__write_begin(&w, "x", 1, 0);
    code = newt__write_json(&w, text, strlen(text), &fault);
    newt__writer_free(&w);
    return code;
}
