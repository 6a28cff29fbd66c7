/*
 * projection.c - the JSON of a record, byte for byte what the server computes
 */
#include "record.h"

/* ---- what could not be shown ------------------------------------------------------------- */

bool
newt__reject_add(json_t *rejects, const newt__path_item *path, size_t n, const char *reason)
{
    json_t *entry = json_object(), *steps = json_array();
    int failed = 0;

    for (size_t i = 0; i < n; i++)
        failed |= json_array_append_new(steps, path[i].key
                                                   ? json_stringn(path[i].key, path[i].n)
                                                   : json_integer((json_int_t)path[i].index));
    failed |= json_object_set_new(entry, "path", steps);
    failed |= json_object_set_new(entry, "reason", json_string(reason));
    failed |= json_array_append_new(rejects, entry);
    return !failed;
}

/* ---- plain: the codec's text ------------------------------------------------------------- */

typedef struct plain {
    newt__json_text text;
    newt__sink to_text;
    json_t *rejects;
    size_t n_rejects; /* before this object */
} plain;

static int
plain_event(void *arg, const newt__json *e)
{
    plain *p = arg;

    return p->to_text.event(&p->text, e);
}

void
newt__reject_truncate(json_t *rejects, size_t n)
{
    while (json_array_size(rejects) > n)
        json_array_remove(rejects, json_array_size(rejects) - 1);
}

static void
plain_restart(void *arg)
{
    plain *p = arg;

    p->to_text.restart(&p->text);
    newt__reject_truncate(p->rejects, p->n_rejects);
}

static int
plain_reject(void *arg, const newt__path_item *path, size_t n, const char *reason)
{
    plain *p = arg;

    return newt__reject_add(p->rejects, path, n, reason) ? 0 : -1;
}

newt__code
newt__record_project(const newt__env *env, const void *record, size_t n, newt__buffer *out,
                     bool *hidden, json_t *rejects, newt__fault *fault)
{
    plain p = {.rejects = rejects, .n_rejects = json_array_size(rejects)};
    newt__sink sink = {plain_event, plain_restart, plain_reject, &p};
    size_t start = out->n;
    newt__code code;

    if (!rejects)
        return newt__project_text(env, record, n, out, hidden, fault);
    newt__json_text_sink(&p.to_text, &p.text, out);
    code = newt__project(env, record, n, &sink, hidden, fault);
    if (code != NEWT__OK || *hidden) { /* there is no row that they would be about */
        out->n = start;
        newt__reject_truncate(rejects, p.n_rejects);
    }
    return code == NEWT__SINK ? NEWT__NOMEM : code; /* our callbacks fail for nothing else */
}
