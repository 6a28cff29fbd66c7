/*
 * registry.c - the classes that programs have registered in a store, as rows
 */
#include "session.h"

#include <string.h>

int
newt__session_classes(newt__session *c, const char *const *names, size_t n, newt__take_class *take,
                      void *arg)
{
    newt__array list = {.buf.env = &newt__malloc_env};
    newt__params p = {0};
    int status = newt__session_server(c);
    PGresult *r;

    if (status != NEWT_OK)
        return status;
    newt__array_begin(&list, NEWT__OID_TEXT);
    for (size_t i = 0; i < n; i++)
        newt__array_bytes(&list, names[i], strlen(names[i]));
    newt__param_array(&p, &list);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_CLASSES, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    newt__buffer_free(&list.buf);
    status = newt__talk_end(c);
    for (int i = 0; r && status == NEWT_OK && i < PQntuples(r); i++) {
        newt__registered k = {.name = PQgetvalue(r, i, 0),
                              .version = (int32_t)newt__field_int(r, i, 1),
                              .fields = PQgetvalue(r, i, 2),
                              .projection = PQgetisnull(r, i, 3) ? NULL : PQgetvalue(r, i, 3)};

        status = take(arg, &k);
    }
    PQclear(r);
    return status;
}

int
newt__session_register(newt__session *c, const newt__registered *list, size_t n)
{
    newt__array names = {.buf.env = &newt__malloc_env}, versions = names, fields = names,
                projections = names;
    newt__params p = {0};
    int status = newt__session_server(c);

    if (status != NEWT_OK)
        return status;
    newt__array_begin(&names, NEWT__OID_TEXT);
    newt__array_begin(&versions, NEWT__OID_INT4);
    newt__array_begin(&fields, NEWT__OID_JSONB);
    newt__array_begin(&projections, NEWT__OID_TEXT);
    for (size_t i = 0; i < n; i++) {
        newt__array_bytes(&names, list[i].name, strlen(list[i].name));
        newt__array_int4(&versions, list[i].version);
        newt__array_json(&fields, list[i].fields, strlen(list[i].fields));
        if (list[i].projection)
            newt__array_bytes(&projections, list[i].projection, strlen(list[i].projection));
        else
            newt__array_null(&projections);
    }
    newt__param_array(&p, &names);
    newt__param_array(&p, &versions);
    newt__param_array(&p, &fields);
    newt__param_array(&p, &projections);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_REGISTER, &p);
    newt__sync(c);
    newt__take_done(c);
    newt__take_sync(c);
    newt__buffer_free(&names.buf);
    newt__buffer_free(&versions.buf);
    newt__buffer_free(&fields.buf);
    newt__buffer_free(&projections.buf);
    return newt__talk_end(c);
}
