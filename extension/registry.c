/*
 * registry.c - the classes of a store, as its registry has them
 *
 * The row is read each time, for it may have changed; only what was made of it is kept.
 */
#include "registry.h"

#include "statements.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

enum {
    KEPT = 16 /* classes */
};

typedef struct known {
    MemoryContext memory; /* NULL: none */
    Oid schema;
    const Jsonb *fields;
    const newt_pg_class *class;
} known;

static struct {
    known list[KEPT];
    int oldest;
} kept;

static bool
is_same(const known *k, Oid schema, const char *name, int32 version, const Jsonb *fields)
{
    return k->memory && k->schema == schema && k->class->version == version &&
           VARSIZE(k->fields) == VARSIZE(fields) && strcmp(k->class->state.class_name, name) == 0 &&
           memcmp(k->fields, fields, VARSIZE(fields)) == 0;
}

static const newt_pg_class *
keep(Oid schema, const char *name, int32 version, const Jsonb *fields)
{
    MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "newt class",
                                                 ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(memory);
    Jsonb *copy = palloc(VARSIZE(fields));
    const newt_pg_class *class;
    known *to;

    memcpy(copy, fields, VARSIZE(fields));
    class = newt_pg_read_class(name, version, copy);
    MemoryContextSwitchTo(before);
    /* nothing is kept of what cannot be read */
    MemoryContextSetParent(memory, CacheMemoryContext);
    to = &kept.list[kept.oldest];
    kept.oldest = (kept.oldest + 1) % KEPT;
    if (to->memory)
        MemoryContextDelete(to->memory);
    *to = (known){memory, schema, copy, class};
    return class;
}

static newt_pg_projector
projector_named(text *name)
{
    static const char *const names[] = {[NEWT_PG_INLINE] = "inline",
                                        [NEWT_PG_ASYNC] = "async",
                                        [NEWT_PG_VIRTUAL] = "virtual",
                                        [NEWT_PG_CLIENT] = "client"};
    char *s = text_to_cstring(name);

    for (int i = 0; i < NEWT_PG_N_PROJECTORS; i++)
        if (strcmp(names[i], s) == 0)
            return (newt_pg_projector)i;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("unknown way to project a class: \"%s\"", s)));
}

const newt_pg_class *
newt_pg_registered(Oid schema, const char *name, int32 version, newt_pg_projector *projector)
{
    Datum values[] = {CStringGetTextDatum(name), Int32GetDatum(version)};
    const Jsonb *fields;

    if (newt_pg_run(schema, version < 0 ? NEWT_PG_S_NEWEST_CLASS : NEWT_PG_S_CLASS, values) == 0)
        return NULL;
    version = DatumGetInt32(newt_pg_result(0, 1));
    fields = DatumGetJsonbP(newt_pg_result(0, 2));
    *projector = projector_named(DatumGetTextPP(newt_pg_result(0, 3)));
    for (int i = 0; i < KEPT; i++)
        if (is_same(&kept.list[i], schema, name, version, fields))
            return kept.list[i].class;
    return keep(schema, name, version, fields);
}
