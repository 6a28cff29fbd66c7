/*
 * register.c - the classes that programs have registered in a store
 *
 * Each version of a class once, as plain rows. The same version with other fields, or projected by
 * somebody else, is refused: both programs could not be right.
 */
#include "store.h"

#include <stdlib.h>
#include <string.h>

static const char *
registry_projection(const newt__class *k)
{
    if (k->hooks.to_json)
        return "client";
    if (k->flags & NEWT_C_ASYNC)
        return "async";
    return k->flags & NEWT_C_INLINE ? "inline" : NULL;
}

/* Classes of objects that are the program's own. */
static bool
is_registered(const newt__class *k)
{
    return k->stored && strncmp(k->name, "newt.", 5) != 0;
}

/* What class.c cannot know: who writes the projection in this store. */
static int
check_class(const newt_db *db, const newt__class *k, newt_error *e)
{
    if (k->hooks.to_json && db->async && !(k->flags & (NEWT_C_INLINE | NEWT_C_SKIP))) {
        newt__fail(e, NEWT_ECLASS, 0, "class \"%s\" has to_json, which newt-updater cannot call",
                   k->name);
        newt__fail_hint(e, "This store's projection is asynchronous: give the class "
                           "NEWT_C_INLINE, or reshape its fields with flags.");
        return NEWT_ECLASS;
    }
    return NEWT_OK;
}

static const char *
field_name(const json_t *field)
{
    const char *name = json_string_value(json_object_get(field, "name"));

    return name ? name : "?";
}

/* The first field that two versions of a field list do not share. */
static const char *
differing_field(const json_t *ours, const json_t *theirs)
{
    size_t n = json_array_size(ours), m = json_array_size(theirs);

    for (size_t i = 0; i < n || i < m; i++) {
        const json_t *a = json_array_get(ours, i), *b = json_array_get(theirs, i);

        if (!a || !b || !json_equal(a, b))
            return field_name(a ? a : b);
    }
    return "?";
}

/* Compares what the store has of a class with ours; *found: it has this version. */
static int
compare_class(const newt__class *k, const PGresult *r, bool *found, newt_error *e)
{
    const char *ours_projection = registry_projection(k);
    json_t *ours, *theirs;
    int rc = NEWT_OK;

    *found = false;
    for (int i = 0; i < PQntuples(r) && !*found; i++) {
        if (strcmp(PQgetvalue(r, i, 0), k->name) != 0 || newt__field_int(r, i, 1) != k->version)
            continue;
        *found = true;
        ours = newt__class_fields(k);
        theirs = json_loads(PQgetvalue(r, i, 2), 0, NULL);
        if (!ours || !theirs) {
            rc = newt__fail_memory(e);
        } else if (!json_equal(ours, theirs)) {
            rc = newt__fail(
                e, NEWT_ECLASS, 0,
                "class \"%s\" version %d is registered with other fields: field \"%s\" differs",
                k->name, (int)k->version, differing_field(ours, theirs));
        } else if (strcmp(PQgetvalue(r, i, 3), ours_projection ? ours_projection : "") != 0) {
            rc = newt__fail(
                e, NEWT_ECLASS, 0,
                "class \"%s\" version %d is registered with projection \"%s\", not \"%s\"", k->name,
                (int)k->version, PQgetvalue(r, i, 3), ours_projection ? ours_projection : "");
        }
        if (rc == NEWT_ECLASS)
            newt__fail_hint(e, "Raise the class's version when its table changes.");
        json_decref(ours);
        json_decref(theirs);
    }
    return rc;
}

/* Registers the classes that r lacks; *n of them. */
static int
add_classes(newt_conn *c, const PGresult *r, int *n, newt_error *e)
{
    newt__array names = {.buf.env = &c->env}, versions = names, fields = names, projections = names;
    newt__params p = {0};
    const newt__class *k, *last = NULL;
    json_t *json;
    char *text;
    int rc = NEWT_OK;
    bool found;

    newt__array_begin(&names, NEWT__OID_TEXT);
    newt__array_begin(&versions, NEWT__OID_INT4);
    newt__array_begin(&fields, NEWT__OID_JSONB);
    newt__array_begin(&projections, NEWT__OID_TEXT);
    for (size_t i = 0; rc == NEWT_OK && (k = newt__class_at(c->db->classes, i)); i++) {
        if (!is_registered(k))
            continue;
        rc = compare_class(k, r, &found, e);
        if (rc != NEWT_OK || found)
            continue;
        json = newt__class_fields(k);
        text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        json_decref(json);
        if (!text) {
            rc = newt__fail_memory(e);
            continue;
        }
        newt__array_bytes(&names, k->name, k->name_n);
        newt__array_int4(&versions, k->version);
        newt__array_json(&fields, text, strlen(text));
        free(text);
        if (registry_projection(k))
            newt__array_bytes(&projections, registry_projection(k), strlen(registry_projection(k)));
        else
            newt__array_null(&projections);
        last = k;
    }
    *n = (int)names.n;
    if (rc == NEWT_OK && *n > 0) {
        newt__param_array(&p, &names);
        newt__param_array(&p, &versions);
        newt__param_array(&p, &fields);
        newt__param_array(&p, &projections);
        newt__talk_begin(c);
        newt__send(c, NEWT__S_REGISTER, &p);
        newt__sync(c);
        newt__take_done(c);
        if (!newt__take_sync(c)) {
            newt_error *why = &c->talk->error;

            rc = newt__fail(e, why->status, 0, "cannot register class \"%s\" version %d: %s",
                            last->name, (int)last->version, newt_error_message(why));
            memcpy(e->sqlstate, why->sqlstate, sizeof e->sqlstate);
            newt__fail_hint(e, "A role that may write to the store has to open the database once "
                               "with this class.");
        }
    }
    newt__buffer_free(&names.buf);
    newt__buffer_free(&versions.buf);
    newt__buffer_free(&fields.buf);
    newt__buffer_free(&projections.buf);
    return rc;
}

int
newt__register_classes(newt_conn *c, newt_error *e)
{
    newt__array names = {.buf.env = &c->env};
    const newt__class *k;
    PGresult *r;
    int rc = NEWT_OK, added = 1;

    newt__array_begin(&names, NEWT__OID_TEXT);
    for (size_t i = 0; rc == NEWT_OK && (k = newt__class_at(c->db->classes, i)); i++) {
        if (!is_registered(k))
            continue;
        newt__array_bytes(&names, k->name, k->name_n);
        rc = check_class(c->db, k, e);
    }
    /* a second time, for those that another program may have registered just before us */
    for (int round = 0; rc == NEWT_OK && names.n > 0 && added > 0 && round < 2; round++) {
        newt__params p = {0};

        newt__param_array(&p, &names);
        newt__talk_begin(c);
        newt__send(c, NEWT__S_CLASSES, &p);
        newt__sync(c);
        r = newt__take(c);
        newt__take_sync(c);
        if (r) {
            rc = add_classes(c, r, &added, e);
        } else {
            rc = c->talk->error.status;
            newt__error_move(e, &c->talk->error);
        }
        PQclear(r);
    }
    newt__buffer_free(&names.buf);
    return rc;
}
