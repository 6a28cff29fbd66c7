/*
 * describe.c - what a transaction says about itself: user, description, extension
 */
#include "transaction.h"

#include <stdlib.h>
#include <string.h>

enum {
    LONGEST = 65535 /* bytes of each: they travel under the commit lock */
};

enum {
    USER,
    DESCRIPTION,
    EXTENSION,
    N_PARTS
};

struct newt__description {
    char *parts[N_PARTS]; /* NULL: not given; the extension as JSON text */
};

static const char *const names[N_PARTS] = {"user", "description", "extension"};

static void
description_free(struct newt__description *d)
{
    for (int i = 0; d && i < N_PARTS; i++)
        free(d->parts[i]);
    free(d);
}

void
newt__description_clear(newt_conn *c)
{
    description_free(c->description);
    c->description = NULL;
}

void
newt__description_get(const newt_conn *c, newt__writes *w)
{
    if (!c->description)
        return;
    w->user = c->description->parts[USER];
    w->description = c->description->parts[DESCRIPTION];
    w->extension = c->description->parts[EXTENSION];
}

/* jsonb cannot hold what JSON writes as \u0000. */
static bool
has_nul(const char *json)
{
    for (; *json; json++) {
        if (*json != '\\')
            continue;
        if (strncmp(json, "\\u0000", 6) == 0)
            return true;
        json++; /* what is escaped, which may be a backslash */
    }
    return false;
}

static int
check_part(newt_conn *c, int part, const char *s)
{
    size_t n = strlen(s);

    if (n > LONGEST)
        return newt__base_fail(&c->jar.base, NEWT_ELIMIT, 0,
                               "the transaction's %s is longer than %d bytes", names[part],
                               LONGEST);
    if (newt__utf8_valid(s, n) != n)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0, "the transaction's %s is not UTF-8",
                               names[part]);
    if (part == EXTENSION && has_nul(s))
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "the transaction's %s has a text with a NUL", names[part]);
    return NEWT_OK;
}

static int
take_parts(newt_conn *c, struct newt__description *d, const char *const texts[EXTENSION],
           const json_t *extension)
{
    int status = NEWT_OK;

    if (extension && !json_is_object(extension))
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "the transaction's extension is not a JSON object");
    for (int i = 0; i < N_PARTS && status == NEWT_OK; i++) {
        if (i == EXTENSION ? !extension : !texts[i])
            continue;
        if (i != EXTENSION)
            status = check_part(c, i, texts[i]); /* before a copy of whatever size */
        if (status != NEWT_OK)
            break;
        d->parts[i] = i == EXTENSION ? newt__json_dump(extension, JSON_COMPACT) : strdup(texts[i]);
        if (!d->parts[i])
            status = newt__base_fail_memory(&c->jar.base);
        else if (i == EXTENSION)
            status = check_part(c, i, d->parts[i]);
    }
    return status;
}

int
newt_describe(newt_conn *c, const char *user, const char *description, const json_t *extension)
{
    const char *const texts[EXTENSION] = {user, description};
    struct newt__description *d;
    int status = newt__base_enter(&c->jar.base);

    if (status != NEWT_OK)
        return status;
    d = calloc(1, sizeof *d);
    status = d ? take_parts(c, d, texts, extension) : newt__base_fail_memory(&c->jar.base);
    if (status != NEWT_OK) {
        description_free(d);
        return newt__base_break(&c->jar.base);
    }
    newt__description_clear(c);
    c->description = d;
    return NEWT_OK;
}
