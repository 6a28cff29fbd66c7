/*
 * register.c - the classes that programs have registered in a store
 *
 * Each version of a class once. The same version with other fields, or with another projector,
 * is refused: both programs could not be right.
 */
#include "transaction.h"

#include <stdlib.h>
#include <string.h>

/* The classes of a database, as they are to be registered. */
typedef struct registration {
    newt_db *db;
    newt_error *e;
    const newt__class **classes;
    newt__registered *list; /* of the same places */
    size_t n;
    size_t *missing; /* places of those that the store lacks */
    size_t n_missing;
    const size_t *at; /* places that are being registered; NULL: all are looked at */
    bool checked;     /* against what the store says */
} registration;

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

/* What class.c cannot know: who writes the projection in this store, which the first answer
 * tells. */
static int
check_class(newt_db *db, const newt__class *k, newt_error *e)
{
    if (k->hooks.to_json && (db->type->features(db->storage) & NEWT__ASYNC) &&
        !(k->flags & (NEWT_C_INLINE | NEWT_C_SKIP))) {
        newt__fail(e, NEWT_ECLASS, 0, "class \"%s\" has to_json, which newt-updater cannot call",
                   k->name);
        newt__fail_hint(e, "This store's projection is asynchronous: give the class "
                           "NEWT_C_INLINE, or reshape its fields with flags.");
        return NEWT_ECLASS;
    }
    return NEWT_OK;
}

static int
check_classes(registration *g)
{
    int status = NEWT_OK;

    for (size_t i = 0; i < g->n && status == NEWT_OK && !g->checked; i++)
        status = check_class(g->db, g->classes[i], g->e);
    g->checked = true;
    return status;
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

/* What the DBA has said of a class (newt.set_projection) whose program says nothing. The database
 * is being opened: nobody else uses its classes yet. */
static void
adopt(const newt__class *k, const char *projection)
{
    newt__class *own = (newt__class *)(uintptr_t)k;

    own->flags |= strcmp(projection, "inline") == 0 ? NEWT_C_INLINE : NEWT_C_ASYNC;
}

/* NEWT_OK: they are the same but for the writing. */
static int
compare_fields(newt_error *e, const newt__class *k, const char *ours, const char *theirs)
{
    json_t *a = json_loads(ours, 0, NULL), *b = json_loads(theirs, 0, NULL);
    int status = NEWT_OK;
    const char *field;

    if (!a || !b) {
        status = newt__fail_memory(e);
    } else if (!json_equal(a, b)) {
        field = differing_field(a, b);
        if (*field)
            status = newt__fail(
                e, NEWT_ECLASS, 0,
                "class \"%s\" version %d is registered with other fields: field \"%s\" differs",
                k->name, (int)k->version, field);
        else /* what says so is no field, see class/registry.c */
            status = newt__fail(
                e, NEWT_ECLASS, 0,
                "class \"%s\" version %d is registered with other names that it had; raise its "
                "version",
                k->name, (int)k->version);
    }
    json_decref(a);
    json_decref(b);
    return status;
}

/* Compares what the store has of a class with ours. */
static int
compare_class(newt_error *e, const newt__class *k, const newt__registered *ours,
              const newt__registered *theirs)
{
    const char *our_projection = ours->projection ? ours->projection : "";
    const char *their_projection = theirs->projection ? theirs->projection : "";
    int status = theirs->fields ? compare_fields(e, k, ours->fields, theirs->fields) : NEWT_OK;

    if (status == NEWT_OK && !ours->projection && *their_projection &&
        strcmp(their_projection, "client") != 0)
        adopt(k, their_projection);
    else if (status == NEWT_OK && strcmp(their_projection, our_projection) != 0)
        status = newt__fail(
            e, NEWT_ECLASS, 0,
            "class \"%s\" version %d is registered with projection \"%s\", not \"%s\"", k->name,
            (int)k->version, their_projection, our_projection);
    if (status == NEWT_ECLASS)
        newt__fail_hint(e, "Raise the class's version when its table changes.");
    return status;
}

/* A newt__take_class. */
static int
take(void *arg, size_t i, const newt__registered *theirs)
{
    registration *g = arg;
    int status = check_classes(g);
    size_t place = g->at ? g->at[i] : i;

    if (status != NEWT_OK)
        return status;
    if (theirs)
        return compare_class(g->e, g->classes[place], &g->list[place], theirs);
    if (!g->at)
        g->missing[g->n_missing++] = place;
    return NEWT_OK;
}

static int
prepare(registration *g)
{
    const newt__class *k;
    size_t n = 0;

    while (newt__class_at(g->db->classes, n))
        n++;
    g->classes = calloc(n + 1, sizeof *g->classes);
    g->list = calloc(n + 1, sizeof *g->list);
    g->missing = calloc(n + 1, sizeof *g->missing);
    if (!g->classes || !g->list || !g->missing)
        return newt__fail_memory(g->e);
    for (size_t i = 0; (k = newt__class_at(g->db->classes, i)); i++) {
        if (!is_registered(k))
            continue;
        g->classes[g->n] = k;
        g->list[g->n] = (newt__registered){.name = k->name,
                                           .version = k->version,
                                           .fields = newt__class_fields(k),
                                           .projection = registry_projection(k)};
        if (!g->list[g->n++].fields)
            return newt__fail_memory(g->e);
    }
    return NEWT_OK;
}

/* Registers those that the store lacks, and looks whether others have just done so before us. */
static int
add(registration *g, newt_conn *c)
{
    newt__registered *list = malloc(g->n_missing * sizeof *list);
    const newt__class *last = g->classes[g->missing[g->n_missing - 1]];
    newt_error why = {0};
    int status;

    if (!list)
        return newt__fail_memory(g->e);
    for (size_t i = 0; i < g->n_missing; i++)
        list[i] = g->list[g->missing[i]];
    g->at = g->missing;
    status = c->jar.storage->register_classes(c->jar.session, list, g->n_missing, take, g, &why);
    free(list);
    if (why.status == NEWT_OK)
        return status; /* or *g->e says why */
    status = newt__fail(g->e, why.status, 0, "cannot register class \"%s\" version %d: %s",
                        last->name, (int)last->version, newt_error_message(&why));
    memcpy(g->e->sqlstate, why.sqlstate, sizeof g->e->sqlstate);
    newt__fail_hint(g->e, "A role that may write to the store has to open the database once "
                          "with this class.");
    newt__error_clear(&why);
    return status;
}

int
newt__register_classes(newt_conn *c, newt_error *e)
{
    registration g = {.db = c->db, .e = e};
    int status = prepare(&g);

    if (status == NEWT_OK && g.n > 0)
        status = c->jar.storage->classes(c->jar.session, g.list, g.n, take, &g, e);
    if (status == NEWT_OK && g.n > 0)
        status = check_classes(&g);
    if (status == NEWT_OK && g.n_missing > 0)
        status = add(&g, c);
    for (size_t i = 0; i < g.n; i++)
        free((char *)(uintptr_t)g.list[i].fields);
    free(g.classes);
    free(g.list);
    free(g.missing);
    return status;
}
