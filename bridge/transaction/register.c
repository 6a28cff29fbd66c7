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
    bool *known;            /* the store has this version */
    size_t n;
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

/* What class.c cannot know: who writes the projection in this store. */
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

/* Compares what the store has of a class with ours. */
static int
compare_class(newt_error *e, const newt__class *k, const newt__registered *ours,
              const newt__registered *theirs)
{
    const char *our_projection = ours->projection ? ours->projection : "";
    const char *their_projection = theirs->projection ? theirs->projection : "";
    json_t *a = json_loads(ours->fields, 0, NULL), *b = json_loads(theirs->fields, 0, NULL);
    int status = NEWT_OK;

    if (!a || !b)
        status = newt__fail_memory(e);
    else if (!json_equal(a, b))
        status = newt__fail(
            e, NEWT_ECLASS, 0,
            "class \"%s\" version %d is registered with other fields: field \"%s\" differs",
            k->name, (int)k->version, differing_field(a, b));
    else if (!ours->projection && *their_projection && strcmp(their_projection, "client") != 0)
        adopt(k, their_projection);
    else if (strcmp(their_projection, our_projection) != 0)
        status = newt__fail(
            e, NEWT_ECLASS, 0,
            "class \"%s\" version %d is registered with projection \"%s\", not \"%s\"", k->name,
            (int)k->version, their_projection, our_projection);
    if (status == NEWT_ECLASS)
        newt__fail_hint(e, "Raise the class's version when its table changes.");
    json_decref(a);
    json_decref(b);
    return status;
}

/* A newt__take_class. */
static int
take(void *arg, const newt__registered *theirs)
{
    registration *g = arg;

    for (size_t i = 0; i < g->n; i++) {
        if (strcmp(theirs->name, g->list[i].name) != 0 || theirs->version != g->list[i].version)
            continue;
        g->known[i] = true;
        return compare_class(g->e, g->classes[i], &g->list[i], theirs);
    }
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
    g->known = calloc(n + 1, sizeof *g->known);
    if (!g->classes || !g->list || !g->known)
        return newt__fail_memory(g->e);
    for (size_t i = 0; (k = newt__class_at(g->db->classes, i)); i++) {
        json_t *fields;
        int status;

        if (!is_registered(k))
            continue;
        status = check_class(g->db, k, g->e);
        if (status != NEWT_OK)
            return status;
        fields = newt__class_fields(k);
        g->classes[g->n] = k;
        g->list[g->n] = (newt__registered){.name = k->name,
                                           .version = k->version,
                                           .fields = fields ? json_dumps(fields, JSON_COMPACT)
                                                            : NULL,
                                           .projection = registry_projection(k)};
        json_decref(fields);
        if (!g->list[g->n++].fields)
            return newt__fail_memory(g->e);
    }
    return NEWT_OK;
}

static int
look(registration *g, newt_conn *c)
{
    const char **names = malloc((g->n + 1) * sizeof *names);
    int status;

    if (!names)
        return newt__fail_memory(g->e);
    for (size_t i = 0; i < g->n; i++)
        names[i] = g->list[i].name;
    status = c->jar.storage->classes(c->jar.session, names, g->n, take, g, g->e);
    free(names);
    return status;
}

/* Registers those that the store lacks; *added: there were some. */
static int
add(registration *g, newt_conn *c, bool *added)
{
    newt__registered *list = malloc((g->n + 1) * sizeof *list);
    const newt__class *last = NULL;
    newt_error why = {0};
    size_t n = 0;
    int status = NEWT_OK;

    if (!list)
        return newt__fail_memory(g->e);
    for (size_t i = 0; i < g->n; i++) {
        if (g->known[i])
            continue;
        last = g->classes[i];
        list[n++] = g->list[i];
    }
    *added = n > 0;
    if (n > 0 && c->jar.storage->register_classes(c->jar.session, list, n, &why) != NEWT_OK) {
        status = newt__fail(g->e, why.status, 0, "cannot register class \"%s\" version %d: %s",
                            last->name, (int)last->version, newt_error_message(&why));
        memcpy(g->e->sqlstate, why.sqlstate, sizeof g->e->sqlstate);
        newt__fail_hint(g->e, "A role that may write to the store has to open the database once "
                              "with this class.");
    }
    newt__error_clear(&why);
    free(list);
    return status;
}

int
newt__register_classes(newt_conn *c, newt_error *e)
{
    registration g = {.db = c->db, .e = e};
    bool added = true;
    int status = prepare(&g);

    /* a second time, for those that another program may have registered just before us */
    for (int round = 0; status == NEWT_OK && g.n > 0 && added && round < 2; round++) {
        memset(g.known, 0, g.n * sizeof *g.known);
        status = look(&g, c);
        if (status == NEWT_OK)
            status = add(&g, c, &added);
    }
    for (size_t i = 0; i < g.n; i++)
        free((char *)(uintptr_t)g.list[i].fields);
    free(g.classes);
    free(g.list);
    free(g.known);
    return status;
}
