/* tail.c - finds a mark from the end of a file */
#define _GNU_SOURCE /* memrchr */
#include "tail.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK = 1 << 18
};

/* The line at `at`, if it is a complete mark; *length with its end. */
static bool
mark_at(int fd, off_t at, off_t size, mark *m, size_t *length)
{
    char line[MARK_LONGEST];
    size_t want = size - at < (off_t)sizeof line ? (size_t)(size - at) : sizeof line;
    ssize_t got = pread(fd, line, want, at);
    const char *end = got > 0 ? memchr(line, '\n', (size_t)got) : NULL;
    if (!end || !mark_read(line, (size_t)(end - line), m))
        return false;
    *length = (size_t)(end - line) + 1;
    return true;
}

/* Blocks from the end; a line that is cut by a block's beginning is looked at with the next one. */
bool
tail_last(int fd, off_t size, mark *m, off_t *begin, off_t *end)
{
    const size_t prefix = sizeof MARK_PREFIX - 1;
    char *block = malloc(BLOCK + prefix);
    bool found = false;
    for (off_t at = size; block && !found && at > 0;) {
        off_t from = at > BLOCK ? at - BLOCK : 0;
        /* with enough bytes more that a prefix on the block's edge is whole */
        size_t want = (size_t)(at - from) + prefix;
        ssize_t got = pread(fd, block, want, from);
        if (got < (ssize_t)(at - from))
            break;
        for (size_t n = (size_t)(at - from); !found;) {
            const char *before = n > 0 ? memrchr(block, '\n', n) : NULL;
            if (!before && from > 0)
                break;
            size_t line = before ? (size_t)(before - block) + 1 : 0, length;
            if ((size_t)got >= line + prefix && memcmp(block + line, MARK_PREFIX, prefix) == 0 &&
                mark_at(fd, from + (off_t)line, size, m, &length)) {
                found = true;
                if (begin)
                    *begin = from + (off_t)line;
                if (end)
                    *end = from + (off_t)(line + length);
            }
            if (!before)
                break;
            n = line - 1;
        }
        at = from;
    }
    free(block);
    return found;
}
