/*
 * walk.c - loads what can be reached along references: the server follows them, or we do, level by
 * level
 *
 * Both take the same steps (newt__walk of the codec), so they load the same objects.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

enum {
    OBJECTS = 10000 /* unless the options say otherwise */
};

typedef struct walk {
    newt_conn *c;
    newt_walk_options o;
    newt__name *fields;
    size_t n_fields;
    int status; /* the first failure of taking a row */
} walk;

static int
no_memory(newt_conn *c)
{
    newt_error e = {0};

    newt__fail_memory(&e);
    return newt__conn_fail_with(c, &e);
}

static int
read_options(walk *w, const newt_walk_options *opt)
{
    newt_conn *c = w->c;

    if (opt) {
        if (opt->size < sizeof opt->size || opt->size > sizeof w->o)
            return newt__conn_fail(c, NEWT_EINVAL, 0,
                                   "newt_walk_options.size is %zu, but must be at most %zu",
                                   opt->size, sizeof w->o);
        memcpy(&w->o, opt, opt->size);
    }
    if (w->o.depth < 0 || w->o.objects < 0)
        return newt__conn_fail(c, NEWT_EINVAL, 0, "a walk of negative depth or number of objects");
    if (w->o.objects > NEWT__MAX_WALK)
        return newt__conn_fail(c, NEWT_ELIMIT, 0, "a walk of %lld objects, but the limit is %d",
                               (long long)w->o.objects, NEWT__MAX_WALK);
    if (w->o.objects == 0)
        w->o.objects = OBJECTS;
    if (w->o.depth == 0 || w->o.depth > NEWT__MAX_WALK)
        w->o.depth = NEWT__MAX_WALK; /* no walk is longer than it has objects */
    while (w->o.fields && w->o.fields[w->n_fields])
        w->n_fields++;
    w->fields = malloc((w->n_fields + 1) * sizeof *w->fields);
    if (!w->fields)
        return no_memory(c);
    for (size_t i = 0; i < w->n_fields; i++)
        w->fields[i] = (newt__name){w->o.fields[i], strlen(w->o.fields[i])};
    return NEWT_OK;
}

/* ---- the server walks ---------------------------------------------------------------------- */

static void
take_rows(void *arg, const PGresult *r)
{
    walk *w = arg;

    for (int i = 0, n = PQntuples(r); i < n && w->status == NEWT_OK; i++)
        w->status = newt__load_row(w->c, r, i);
}

static int
server_walks(walk *w, const newt_ref *refs, size_t n)
{
    newt_conn *c = w->c;
    newt__array roots = {.buf.env = &c->env}, fields = {.buf.env = &c->env};
    newt__params p = {0};
    bool opening;

    newt__array_begin(&roots, NEWT__OID_INT8);
    for (size_t i = 0; i < n; i++)
        newt__array_int(&roots, refs[i].oid);
    newt__array_begin(&fields, NEWT__OID_TEXT);
    for (size_t i = 0; i < w->n_fields; i++)
        newt__array_bytes(&fields, w->fields[i].s, w->fields[i].n);
    newt__param_text(&p, c->db->schema);
    newt__param_array(&p, &roots);
    newt__param_int(&p, w->o.depth);
    newt__param_int(&p, w->o.objects);
    newt__param_array(&p, &fields);

    newt__talk_begin(c);
    opening = newt__snapshot_send(c);
    newt__send(c, NEWT__S_WALK, &p);
    newt__sync(c);
    if (opening)
        w->status = newt__snapshot_take(c);
    if (w->status == NEWT_OK)
        newt__take_rows(c, take_rows, w);
    newt__take_rest(c);
    newt__buffer_free(&roots.buf);
    newt__buffer_free(&fields.buf);
    if (newt__talk_end(c) != NEWT_OK)
        return newt__doom(c); /* the server's transaction cannot go on */
    return w->status;
}

/* ---- we walk ------------------------------------------------------------------------------- */

static int
client_walks(walk *w, const newt_ref *refs, size_t n)
{
    newt__walk steps = {.env = &w->c->env,
                        .fields = w->fields,
                        .n_fields = w->n_fields,
                        .max_depth = (uint64_t)w->o.depth,
                        .max_objects = (size_t)w->o.objects};
    int status = NEWT_OK;

    for (size_t i = 0; i < n && status == NEWT_OK; i++)
        if (newt__walk_add(&steps, refs[i].oid) != NEWT__OK)
            status = no_memory(w->c);
    while (status == NEWT_OK && newt__walk_level(&steps))
        status = newt__load_level(w->c, &steps);
    newt__walk_free(&steps);
    return status;
}

int
newt_prefetch_walk(newt_conn *c, const newt_ref *r, size_t n, const newt_walk_options *opt)
{
    walk w = {.c = c};
    int status = newt__conn_enter(c);

    if (status == NEWT_OK)
        status = read_options(&w, opt);
    while (n > 0 && r->oid <= 0) /* null, at first */
        r++, n--;
    if (status == NEWT_OK && n > 0)
        status = newt__conn_server(c);
    if (status == NEWT_OK && n > 0)
        status = (c->has_walk ? server_walks : client_walks)(&w, r, n);
    free(w.fields);
    return status;
}
