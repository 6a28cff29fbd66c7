/*
 * json.c - libFuzzer: any bytes as JSON text
 *
 * What is accepted becomes a valid record, whose text is accepted too and comes back the same.
 * What is refused says where.
 */
#include "tests/fuzz/memory.h"
#include "tests/properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const newt__env env = {.realloc = grow, .free = drop};

static void
holds(bool condition, const char *property)
{
    if (condition)
        return;
    fprintf(stderr, "property broken: %s\n", property);
    abort();
}

static bool
write(newt__writer *w, const void *text, size_t n)
{
    newt__fault fault;
    newt__code code;

    newt__write_begin(w, "T", 1, 1);
    code = newt__write_json(w, text, n, &fault);
    holds(code == fault.code && code == w->fault.code, "one fault");
    holds(code == NEWT__OK || (fault.offset <= n && fault.reason), "a fault is in the text");
    return code == NEWT__OK && newt__write_end(w) == NEWT__OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    newt__writer w = {.buf.env = &env}, again = {.buf.env = &env};
    newt__buffer text = {.env = &env};
    newt__fault fault;
    size_t first;

    if (write(&w, data, n)) {
        properties_hold(w.buf.data, w.buf.n);
        holds(newt__item_text(&env, w.buf.data + 4, w.buf.n - 4, NEWT__MAX_DEPTH, 0, &text,
                              &fault) == NEWT__OK,
              "what was accepted has a text");
        holds(write(&again, text.data, text.n), "its text is accepted");
        /* not the same record: 1e399 comes back with all of its zeros, as an integer */
        first = text.n;
        holds(newt__item_text(&env, again.buf.data + 4, again.buf.n - 4, NEWT__MAX_DEPTH, 0, &text,
                              &fault) == NEWT__OK &&
                  text.n == 2 * first && memcmp(text.data, text.data + first, first) == 0,
              "its text is the same text");
    }
    newt__buffer_free(&text);
    newt__writer_free(&w);
    newt__writer_free(&again);
    return 0;
}
