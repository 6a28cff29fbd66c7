/*
 * registry.c - the classes that programs have registered in a store, as rows
 */
#include "session.h"

#include <string.h>

/* A list of them as arrays. */
typedef struct columns {
    newt__array names, versions, texts, fields, projections;
} columns;

static void
columns_make(columns *a, const newt__registered *list, size_t n)
{
    const newt__array empty = {.buf.env = &newt__malloc_env};

    *a = (columns){empty, empty, empty, empty, empty};
    newt__array_begin(&a->names, NEWT__OID_TEXT);
    newt__array_begin(&a->versions, NEWT__OID_INT4);
    newt__array_begin(&a->texts, NEWT__OID_TEXT);
    newt__array_begin(&a->fields, NEWT__OID_JSONB);
    newt__array_begin(&a->projections, NEWT__OID_TEXT);
    for (size_t i = 0; i < n; i++) {
        newt__array_bytes(&a->names, list[i].name, strlen(list[i].name));
        newt__array_int4(&a->versions, list[i].version);
        newt__array_bytes(&a->texts, list[i].fields, strlen(list[i].fields));
        newt__array_json(&a->fields, list[i].fields, strlen(list[i].fields));
        if (list[i].projection)
            newt__array_bytes(&a->projections, list[i].projection, strlen(list[i].projection));
        else
            newt__array_null(&a->projections);
    }
}

static void
columns_free(columns *a)
{
    newt__buffer_free(&a->names.buf);
    newt__buffer_free(&a->versions.buf);
    newt__buffer_free(&a->texts.buf);
    newt__buffer_free(&a->fields.buf);
    newt__buffer_free(&a->projections.buf);
}

static void
columns_bind(columns *a, newt__params *p, newt__array *fields)
{
    newt__param_array(p, &a->names);
    newt__param_array(p, &a->versions);
    newt__param_array(p, fields);
    newt__param_array(p, &a->projections);
}

static int
hand_over(const PGresult *r, size_t n, newt__take_class *take, void *arg)
{
    int status = NEWT_OK;

    for (int row = 0; r && status == NEWT_OK && row < PQntuples(r); row++) {
        size_t i = (size_t)newt__field_int(r, row, 0) - 1;
        newt__registered theirs = {.version = (int32_t)newt__field_int(r, row, 1),
                                   .fields = PQgetisnull(r, row, 2) ? NULL : PQgetvalue(r, row, 2),
                                   .projection = PQgetisnull(r, row, 3) ? NULL
                                                                        : PQgetvalue(r, row, 3)};

        if (i < n)
            status = take(arg, i, PQgetisnull(r, row, 1) ? NULL : &theirs);
    }
    return status;
}

int
newt__session_classes(newt__session *c, const newt__registered *list, size_t n,
                      newt__take_class *take, void *arg)
{
    newt__params p = {0};
    columns a;
    PGresult *r;
    int status;

    columns_make(&a, list, n);
    columns_bind(&a, &p, &a.texts);
    c->along = &p; /* if this opens the connection, the answer comes with it */
    status = newt__session_server(c);
    c->along = NULL;
    r = c->brought;
    c->brought = NULL;
    if (status == NEWT_OK && !r) {
        newt__talk_begin(c);
        newt__send(c, NEWT__S_CLASSES, &p);
        newt__sync(c);
        r = newt__take(c);
        newt__take_sync(c);
        status = newt__talk_end(c);
    }
    columns_free(&a);
    if (status == NEWT_OK)
        status = hand_over(r, n, take, arg);
    PQclear(r);
    return status;
}

int
newt__session_registered(newt__session *c, newt__take_registered *take, void *arg)
{
    int status = newt__session_server(c), taking = NEWT_OK;
    PGresult *r;

    if (status != NEWT_OK)
        return status;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_REGISTERED, NULL);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    status = newt__talk_end(c);
    for (int i = 0; status == NEWT_OK && taking == NEWT_OK && i < PQntuples(r); i++) {
        newt__registered k = {.name = PQgetvalue(r, i, 0),
                              .version = (int32_t)newt__field_int(r, i, 1),
                              .fields = PQgetvalue(r, i, 2),
                              .projection = PQgetisnull(r, i, 3) ? NULL : PQgetvalue(r, i, 3)};

        taking = take(arg, &k);
    }
    PQclear(r);
    return status == NEWT_OK ? taking : status;
}

int
newt__session_register(newt__session *c, const newt__registered *list, size_t n,
                       newt__take_class *take, void *arg)
{
    newt__params p = {0}, q = {0};
    int status = newt__session_server(c);
    columns a;
    PGresult *r;

    if (status != NEWT_OK)
        return status;
    columns_make(&a, list, n);
    columns_bind(&a, &p, &a.fields);
    columns_bind(&a, &q, &a.texts);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_REGISTER, &p);
    newt__send(c, NEWT__S_CLASSES, &q); /* another program may have been first */
    newt__sync(c);
    newt__take_done(c);
    r = newt__take(c);
    newt__take_sync(c);
    columns_free(&a);
    status = newt__talk_end(c);
    if (status == NEWT_OK)
        status = hand_over(r, n, take, arg);
    PQclear(r);
    return status;
}
