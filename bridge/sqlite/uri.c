/*
 * uri.c - what a URI says: "sqlite:PATH?OPTION=VALUE&..."
 */
#include "file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 5000, /* also in newtdb.h and docs/storages.md */
    MOST_MS = 24 * 3600 * 1000,
    LONGEST_PATH = 4096
};

static const char scheme[] = "sqlite:";

/* ---- the path -------------------------------------------------------------------------------- */

static int
digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Appends n bytes, in which %HH stands for a byte; false: a wrong one, or no room. */
static bool
unescape(char *out, size_t size, const char *s, size_t n)
{
    size_t at = strlen(out);

    for (size_t i = 0; i < n; i++, at++) {
        int byte = (unsigned char)s[i];

        if (s[i] == '%') {
            int high = i + 2 < n ? digit(s[i + 1]) : -1, low = high >= 0 ? digit(s[i + 2]) : -1;

            if (low < 0)
                return false;
            byte = 16 * high + low;
            i += 2;
        }
        if (at + 1 >= size || byte == 0)
            return false;
        out[at] = (char)byte;
        out[at + 1] = 0;
    }
    return true;
}

/* Absolute, since the program may go to another directory before the next connection is made. */
static int
read_path(newt__where *w, const char *uri, const char *s, size_t n, newt_error *e)
{
    char path[LONGEST_PATH] = "";

    if (n == 0 || (n == 8 && strncmp(s, ":memory:", n) == 0)) {
        newt__fail(e, NEWT_EINVAL, 0, "\"%s\" does not name a file", uri);
        newt__fail_hint(e, "A store in SQLite is \"sqlite:PATH\"; one in memory is \"memory:\".");
        return NEWT_EINVAL;
    }
    if (*s != '/' && (!getcwd(path, sizeof path - 1) || !strcat(path, "/")))
        return newt__fail(e, NEWT_EINVAL, 0, "the current directory of \"%s\" is not known", uri);
    if (!unescape(path, sizeof path, s, n)) {
        newt__fail(e, NEWT_EINVAL, 0, "the path of \"%s\" is too long, or has a wrong %%", uri);
        newt__fail_hint(e, "Write %%25 for %% and %%3F for ?.");
        return NEWT_EINVAL;
    }
    w->path = strdup(path);
    return w->path ? NEWT_OK : newt__fail_memory(e);
}

/* ---- options --------------------------------------------------------------------------------- */

static bool
take_timeout(newt__where *w, const char *value, size_t n)
{
    int ms = 0;

    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9' || ms > MOST_MS / 10)
            return false;
        ms = 10 * ms + value[i] - '0';
    }
    w->timeout_ms = ms;
    return n > 0 && ms <= MOST_MS;
}

static bool
take_synchronous(newt__where *w, const char *value, size_t n)
{
    static const char *const names[] = {"off", "normal", "full"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == n && strncmp(value, names[i], n) == 0) {
            w->synchronous = (newt__synchronous)i;
            return true;
        }
    }
    return false;
}

static const struct {
    const char *name;
    bool (*take)(newt__where *w, const char *value, size_t n);
    const char *hint;
} options[] = {
    {"timeout", take_timeout, "It is a number of milliseconds, at most 86400000."},
    {"synchronous", take_synchronous, "It is full, normal or off."},
};

static int
read_option(newt__where *w, const char *s, size_t n, newt_error *e)
{
    const char *equals = memchr(s, '=', n);
    size_t named = equals ? (size_t)(equals - s) : n;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        size_t name = strlen(options[i].name);

        if (name != named || strncmp(s, options[i].name, name) != 0)
            continue;
        if (n > name && options[i].take(w, s + name + 1, n - name - 1))
            return NEWT_OK;
        if (n > name)
            newt__fail(e, NEWT_EINVAL, 0, "\"%.*s\" is no value of the option \"%s\"",
                       (int)(n - name - 1), s + name + 1, options[i].name);
        else
            newt__fail(e, NEWT_EINVAL, 0, "the option \"%s\" has no value", options[i].name);
        newt__fail_hint(e, "%s", options[i].hint);
        return NEWT_EINVAL;
    }
    newt__fail(e, NEWT_EINVAL, 0, "a store in SQLite has no option \"%.*s\"", (int)named, s);
    newt__fail_hint(e, "There are timeout=MILLISECONDS and synchronous=full, normal or off. A ? in "
                       "the path is written %%3F.");
    return NEWT_EINVAL;
}

int
newt__where_read(newt__where *out, const char *uri, newt_error *e)
{
    const char *path = uri + strlen(scheme), *at = strchr(path, '?');
    int status;

    *out = (newt__where){.timeout_ms = TIMEOUT_MS, .synchronous = NEWT__SYNC_FULL};
    status = read_path(out, uri, path, at ? (size_t)(at - path) : strlen(path), e);
    while (at && status == NEWT_OK) {
        const char *option = at + 1;
        size_t n = strcspn(option, "&");

        status = read_option(out, option, n, e);
        at = option[n] ? option + n : NULL;
    }
    if (status != NEWT_OK)
        newt__where_free(out);
    return status;
}

void
newt__where_free(newt__where *w)
{
    free(w->path);
    w->path = NULL;
}
