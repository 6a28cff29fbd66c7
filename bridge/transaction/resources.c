/*
 * resources.c - what else a transaction commits: two-phase commit
 *
 * All resources are prepared, in the order of their keys; then the store commits, and with that all
 * is decided; then they are told. The transaction's row in the store keeps the name under which
 * they were prepared, so that after a crash each can find out what became of it.
 */
#include "transaction.h"

#include "../feed_storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The key of a transaction's extension that holds the name. */
static const char name_key[] = "newt.resources";

typedef struct joined {
    newt_resource r;
    char *sort_key;
    uint16_t since; /* savepoints that there were when it joined */
} joined;

struct newt__resources {
    size_t n, cap;
    char name[NEWT_RESOURCES_NAME];
    char *extension; /* of the transaction, with the name; or NULL */
    joined list[];
};

/* ---- joining ----------------------------------------------------------------------------- */

static int
compare(const void *pa, const void *pb)
{
    return strcmp(((const joined *)pa)->sort_key, ((const joined *)pb)->sort_key);
}

static int
fail_resource(newt_conn *c, int status, const char *sort_key, const char *what)
{
    return newt__base_fail(&c->jar.base, status, 0, "resource \"%s\" %s", sort_key, what);
}

/* What its own function has returned. */
static void
fail_call(newt_conn *c, int status, const char *sort_key, const char *what)
{
    fail_resource(c, status, sort_key, what);
    newt__fail_detail(&c->jar.base.error, "Its function returned %d (%s).", status,
                      newt_status_text(status));
}

static struct newt__resources *
make_room(newt_conn *c)
{
    struct newt__resources *x = c->resources;
    size_t cap = x ? 2 * x->cap : 4;

    if (x && x->n < x->cap)
        return x;
    x = cap < SIZE_MAX / 2 / sizeof *x->list ? realloc(x, sizeof *x + cap * sizeof *x->list) : NULL;
    if (!x)
        return NULL;
    if (!c->resources)
        *x = (struct newt__resources){0};
    x->cap = cap;
    return c->resources = x;
}

int
newt_join(newt_conn *c, const newt_resource *resource)
{
    newt_resource r = {.size = sizeof r};
    struct newt__resources *x;
    newt_error e = {0};
    char *key;
    int status = newt__base_enter(&c->jar.base);

    if (status != NEWT_OK)
        return status;
    if (newt__options_take(&r, sizeof r, resource, "newt_resource", &e) != NEWT_OK)
        return newt__base_fail_with(&c->jar.base, &e);
    if (c->leader) {
        status = newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                                 "the transaction has joined another one");
        newt__fail_hint(&c->jar.base.error, "Let the resource join that one.");
        return status;
    }
    if (!r.sort_key || !r.prepare || !r.commit || !r.abort)
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0,
                               "a resource needs sort_key, prepare, commit and abort");
    if (!r.savepoint != !r.rollback)
        return fail_resource(c, NEWT_EINVAL, r.sort_key, "has one of savepoint and rollback alone");
    if (!r.savepoint && c->jar.savepoints > 0)
        return fail_resource(c, NEWT_EINVAL, r.sort_key,
                             "has no savepoints, but the transaction has");
    x = make_room(c);
    key = x ? strdup(r.sort_key) : NULL;
    if (!key)
        return newt__base_fail_memory(&c->jar.base);
    r.sort_key = key;
    x->list[x->n++] = (joined){.r = r, .sort_key = key, .since = c->jar.savepoints};
    qsort(x->list, x->n, sizeof *x->list, compare);
    return NEWT_OK;
}

void
newt__resources_free(newt_conn *c)
{
    struct newt__resources *x = c->resources;

    for (size_t i = 0; x && i < x->n; i++)
        free(x->list[i].sort_key);
    if (x)
        free(x->extension);
    free(x);
    c->resources = NULL;
}

/* ---- savepoints ---------------------------------------------------------------------------- */

int
newt__resources_savepoint(newt_conn *c, int64_t savepoint)
{
    struct newt__resources *x = c->resources;
    int status = NEWT_OK;

    for (size_t i = 0; x && i < x->n && status == NEWT_OK; i++) {
        const joined *j = &x->list[i];

        if (!j->r.savepoint)
            return fail_resource(c, NEWT_EINVAL, j->sort_key, "has no savepoints");
        status = j->r.savepoint(j->r.arg, savepoint);
        if (status != NEWT_OK)
            fail_call(c, status, j->sort_key, "has refused a savepoint");
    }
    return status;
}

/* Those that joined later leave. */
int
newt__resources_rollback(newt_conn *c, uint16_t place, int64_t savepoint)
{
    struct newt__resources *x = c->resources;
    size_t n = 0;
    int status = NEWT_OK;

    for (size_t i = 0; x && i < x->n; i++) {
        joined j = x->list[i];

        if (j.since >= place) {
            j.r.abort(j.r.arg);
            free(j.sort_key);
            continue;
        }
        x->list[n++] = j;
        if (status != NEWT_OK)
            continue;
        status = j.r.rollback(j.r.arg, savepoint);
        if (status != NEWT_OK)
            fail_call(c, status, j.sort_key, "could not be rolled back to a savepoint");
    }
    if (x)
        x->n = n;
    return status == NEWT_OK ? NEWT_OK : newt__base_doom(&c->jar.base);
}

void
newt__resources_release(newt_conn *c, uint16_t place)
{
    struct newt__resources *x = c->resources;

    for (size_t i = 0; x && i < x->n; i++)
        if (x->list[i].since >= place)
            x->list[i].since = (uint16_t)(place - 1);
}

/* ---- the name ------------------------------------------------------------------------------ */

static bool
make_name(char name[NEWT_RESOURCES_NAME])
{
    unsigned char b[16];
    int at;

    if (getentropy(b, sizeof b) != 0)
        return false;
    at = snprintf(name, NEWT_RESOURCES_NAME, "newt-%016llx-", (unsigned long long)newt__time());
    for (size_t i = 0; i < sizeof b; i++)
        at += snprintf(name + at, NEWT_RESOURCES_NAME - (size_t)at, "%02x", b[i]);
    return true;
}

/* The transaction's own extension, the text of an object, and the name. */
static char *
extend(const char *extension, const char *name)
{
    size_t kept = extension ? (size_t)(strrchr(extension, '}') - extension) : 1;
    size_t size = kept + sizeof name_key + NEWT_RESOURCES_NAME + 16;
    bool empty = !extension || extension[1] == '}';
    char *text = malloc(size);

    if (text)
        snprintf(text, size, "%.*s%s\"%s\":\"%s\"}", (int)kept, extension ? extension : "{",
                 empty ? "" : ",", name_key, name);
    return text;
}

void
newt__resources_describe(const newt_conn *c, newt__writes *w)
{
    if (!c->resources || !c->resources->extension)
        return;
    w->extension = c->resources->extension;
    w->wants_row = true;
}

/* ---- the end of the transaction ---------------------------------------------------------------
 */

int
newt__resources_prepare(newt_conn *c, const char *extension)
{
    struct newt__resources *x = c->resources;
    int status;

    if (!x || x->n == 0)
        return NEWT_OK;
    if (!make_name(x->name))
        return newt__base_fail(&c->jar.base, NEWT_EINVAL, 0, "no random numbers: %s",
                               strerror(errno));
    x->extension = extend(extension, x->name);
    if (!x->extension)
        return newt__base_fail_memory(&c->jar.base);
    newt__error_clear(&c->jar.base.error);
    for (size_t i = 0; i < x->n; i++) {
        const joined *j = &x->list[i];

        status = j->r.prepare(j->r.arg, x->name);
        if (status != NEWT_OK && c->jar.base.error.status == NEWT_OK)
            fail_call(c, status, j->sort_key, "could not be prepared");
        if (status != NEWT_OK)
            return status;
    }
    return NEWT_OK;
}

void
newt__resources_abort(newt_conn *c)
{
    struct newt__resources *x = c->resources;

    for (size_t i = 0; x && i < x->n; i++)
        x->list[i].r.abort(x->list[i].r.arg);
    newt__resources_free(c);
}

int
newt__resources_commit(newt_conn *c)
{
    struct newt__resources *x = c->resources;
    newt_error e = {0};

    for (size_t i = 0; x && i < x->n; i++) {
        const joined *j = &x->list[i];
        int status = j->r.commit(j->r.arg);

        if (status == NEWT_OK || e.status != NEWT_OK)
            continue;
        newt__fail(&e, NEWT_EUNKNOWN, 0, "the transaction is committed, but resource \"%s\" is not",
                   j->sort_key);
        newt__fail_detail(&e, "It was prepared as \"%s\"; its commit returned %d.", x->name,
                          status);
        newt__fail_hint(&e, "Commit there what was prepared under that name.");
    }
    newt__resources_free(c);
    return e.status == NEWT_OK ? NEWT_OK : newt__base_fail_with(&c->jar.base, &e);
}

void
newt__resources_leave(newt_conn *c)
{
    struct newt__resources *x = c->resources;

    for (size_t i = 0; x && i < x->n; i++)
        if (x->list[i].r.leave)
            x->list[i].r.leave(x->list[i].r.arg);
    newt__resources_free(c);
}

/* ---- after a crash ------------------------------------------------------------------------------
 */

typedef struct question {
    const char *name;
    bool found;
} question;

static int
look(void *arg, const newt__transaction *t)
{
    question *q = arg;
    json_t *json;
    const char *name;

    if (!t->extension || !strstr(t->extension, q->name))
        return NEWT_OK;
    json = json_loads(t->extension, 0, NULL);
    name = json_string_value(json_object_get(json, name_key));
    q->found = name && strcmp(name, q->name) == 0;
    json_decref(json);
    return q->found ? 1 : NEWT_OK;
}

int
newt_was_committed(newt_conn *c, const char *name, bool *committed)
{
    enum {
        OBJECTS = 10000
    };
    const newt__feed_type *feed = c->jar.storage->feed;
    question q = {.name = name};
    newt__cursor at = {0};
    newt_error e = {0};
    int64_t before;
    int status = newt__outside(c, NULL, "newt_was_committed");

    *committed = false;
    if (status != NEWT_OK)
        return status;
    status = c->jar.storage->ready(c->jar.session, 0, &e);
    do {
        before = at.after.tid + at.parts;
        if (status == NEWT_OK)
            status = feed->next(c->jar.session, &at, OBJECTS, look, &q, &e);
    } while (status == NEWT_OK && at.after.tid + at.parts != before);
    *committed = q.found;
    return status == NEWT_OK || q.found ? NEWT_OK : newt__base_fail_with(&c->jar.base, &e);
}
