/*
 * db.c - databases, their connections and pool
 */
#include "transaction.h"
#include "../btree/btree.h"
#include "../demo/demo.h"
#include "../memory/memory.h"
#include "../postgres/postgres.h"
#include "../sqlite/sqlite.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- storages --------------------------------------------------------------------------- */

/* The storage that a URI means: PostgreSQL, whose URIs have many forms, if it is no other. NULL: it
 * is mistyped. */
static const newt__storage_type *
type_of(const char *uri, newt_error *e)
{
    static const newt__storage_type *const others[] = {&newt__memory, &newt__sqlite, &newt__demo};
    static const struct {
        const char *begins, *hint;
    } mistyped[] = {
        {":memory:", "A store in memory is \"memory:\" or \"memory:NAME\"."},
        {"memory:", "A store in memory is \"memory:\" or \"memory:NAME\"."},
        {"sqlite", "A store in SQLite is \"sqlite:PATH\"."},
        {"demo:", "A layer is \"demo:(BASE)\" or \"demo:(BASE)(CHANGES)\"."},
    };

    for (size_t i = 0; uri && i < sizeof others / sizeof *others; i++) {
        size_t n = strlen(others[i]->scheme);

        if (strncmp(uri, others[i]->scheme, n) == 0 && uri[n] == ':')
            return others[i];
    }
    for (size_t i = 0; uri && i < sizeof mistyped / sizeof *mistyped; i++) {
        if (strncasecmp(uri, mistyped[i].begins, strlen(mistyped[i].begins)) == 0) {
            newt__fail(e, NEWT_EINVAL, 0, "\"%s\" is not the URI of a store", uri);
            newt__fail_hint(e, "%s", mistyped[i].hint);
            return NULL;
        }
    }
    return &newt__postgres;
}

/* Opens the storage of side->uri, and those within it, which are `below` layers deep. It is closed
 * in any case. */
static int
open_storage(newt_db *db, newt__side *side, int below, newt_error *e)
{
    newt__side base = {0}, changes = {0};
    int status;

    side->type = type_of(side->uri, e);
    if (!side->type)
        return e->status;
    if (side->type != &newt__demo)
        return side->type->open(&side->storage, side->uri,
                                below > 0 && !side->type->has_schemas ? &db->without_schema
                                                                      : &db->options,
                                &db->process, e);
    if (below == NEWT__MOST_LAYERS)
        return newt__fail(e, NEWT_ELIMIT, 0, "more than %d layers on one store", NEWT__MOST_LAYERS);
    status = newt__demo_parts(side->uri, &base.uri, &changes.uri, e);
    if (status == NEWT_OK && !changes.uri && !(changes.uri = strdup("memory:")))
        status = newt__fail_memory(e);
    if (status == NEWT_OK)
        status = open_storage(db, &base, below + 1, e);
    if (status == NEWT_OK)
        status = open_storage(db, &changes, below + 1, e);
    if (status == NEWT_OK)
        status = newt__demo_over(&side->storage, &base, &changes, &db->process, e);
    if (status != NEWT_OK) {
        newt__side_close(&base);
        newt__side_close(&changes);
    }
    return status;
}

/* Schemas that a store must not be in: one goes with the extension, the others are the system's,
 * which pg_dump leaves out. */
static int
check_schema(const char *schema, newt_error *e)
{
    bool extension = strcmp(schema, "newt") == 0;

    if (!*schema) {
        newt__fail(e, NEWT_EINVAL, 0, "the name of the schema is empty");
        newt__fail_hint(e, "Name one, or give NULL for \"public\".");
        return NEWT_EINVAL;
    }
    if (!extension && strncmp(schema, "pg_", 3) != 0 && strcmp(schema, "information_schema") != 0)
        return NEWT_OK;
    newt__fail(e, NEWT_EINVAL, 0,
               extension ? "schema \"%s\" belongs to the extension"
                         : "schema \"%s\" is the system's",
               schema);
    if (!extension)
        newt__fail_detail(e, "pg_dump leaves out what is in it.");
    newt__fail_hint(e, "Choose another schema for the store.");
    return NEWT_EINVAL;
}

int
newt__no_sql(newt_conn *c, const char *what)
{
    bool layer = strcmp(c->jar.storage->scheme, "demo") == 0;
    newt_error e = {0};

    newt__fail(&e, NEWT_EINVAL, 0, "%s needs a store in PostgreSQL or SQLite", what);
    if (layer)
        newt__fail_detail(&e, "This one is a layer of changes, without SQL and JSONB of its own.");
    else
        newt__fail_detail(&e, "This one is in %s: it has no SQL and no JSONB.",
                          c->jar.storage->scheme);
    if (layer)
        newt__fail_hint(&e, "Open its base, or write the layer down (newt_db_commit_changes).");
    return newt__base_fail_with(&c->jar.base, &e);
}

int
newt_store_create(const char *uri, const char *schema, newt_error **out)
{
    newt_error *e = calloc(1, sizeof *e);
    const newt__storage_type *type;
    int status;

    if (out)
        *out = e;
    if (!e)
        return NEWT_ENOMEM;
    schema = schema ? schema : "public";
    status = check_schema(schema, e);
    type = status == NEWT_OK ? type_of(uri, e) : NULL;
    status = type ? type->create(uri, schema, e) : e->status;
    if (!out)
        newt_error_free(e);
    return status;
}

/* ---- connections and their pool ------------------------------------------------------- */

static newt_conn *
conn_new(newt_db *db)
{
    newt_conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->db = db;
    c->jar.base.process = &db->process;
    c->jar.base.here = db->process.here;
    c->jar.classes = db->classes;
    c->jar.options = &db->options;
    c->jar.storage = db->type;
    newt__jar_init(&c->jar, &newt__malloc_env);
    c->jar.session = db->type->connect(db->storage, newt__transaction_opened, c, &c->jar.stats);
    if (!c->jar.session) {
        free(c);
        return NULL;
    }
    if (getentropy(&c->random, sizeof c->random) != 0 || c->random == 0)
        c->random = (uint64_t)newt__clock() | 1;
    pthread_mutex_lock(&db->mutex);
    c->next_of_all = db->all;
    db->all = c;
    pthread_mutex_unlock(&db->mutex);
    return c;
}

/* The database's lock, unless this is a child: there it may be that of a thread that is not here.
 */
static bool
lock(newt_db *db)
{
    bool here = newt__process_is(&db->process);

    if (here)
        pthread_mutex_lock(&db->mutex);
    return here;
}

static void
conn_free(newt_conn *c)
{
    newt_conn **at = &c->db->all;
    bool here = lock(c->db);

    while (*at != c)
        at = &(*at)->next_of_all;
    *at = c->next_of_all;
    if (here)
        pthread_mutex_unlock(&c->db->mutex);
    else
        c->jar.storage->abandon(c->jar.session);
    newt_abort(c);
    if (c->rider)
        c->rider_close(c->rider);
    c->jar.storage->disconnect(c->jar.session);
    free(c->savepoints);
    newt__jar_free(&c->jar);
    free(c);
}

static int
make_ready(newt_conn *c)
{
    newt_error e = {0};
    int status = c->jar.storage->ready(c->jar.session, newt__clock() - c->checked_us, &e);

    c->connected = status == NEWT_OK;
    if (e.status != NEWT_OK)
        newt__base_fail_with(&c->jar.base, &e);
    return status;
}

static newt_conn *
pool_get(newt_db *db)
{
    bool here = lock(db);
    newt_conn *c = db->idle;

    if (c)
        db->idle = c->next_idle;
    if (here)
        pthread_mutex_unlock(&db->mutex);
    return c;
}

static void
pool_put(newt_db *db, newt_conn *c)
{
    pthread_mutex_lock(&db->mutex);
    c->next_idle = db->idle;
    db->idle = c;
    pthread_mutex_unlock(&db->mutex);
}

int
newt_connect(newt_db *db, newt_conn **out)
{
    newt_conn *c;

    *out = NULL;
    if (!db->opened)
        return db->error.status; /* newt_db_open has failed */
    if (!newt__process_is(&db->process))
        return newt__process_fail(&db->process, &db->error);
    c = pool_get(db);
    if (!c && !(c = conn_new(db)))
        return NEWT_ENOMEM;
    *out = c;
    c->jar.stats = (newt_stats){0};
    c->committed_tid = 0;
    newt__error_clear(&c->jar.base.error);
    return make_ready(c);
}

void
newt_close(newt_conn *c)
{
    if (!c)
        return;
    newt_abort(c);
    if (c->connected && newt__process_is(&c->db->process))
        pool_put(c->db, c);
    else
        conn_free(c);
}

void
newt_conn_stats(const newt_conn *c, newt_stats *out)
{
    newt_stats s = c->jar.stats;
    size_t n = out->size < sizeof s ? out->size : sizeof s;

    s.size = n;
    s.objects = (int64_t)c->jar.cache.n;
    s.bytes = (int64_t)c->jar.cache.bytes;
    memcpy(out, &s, n);
}

/* ---- databases ------------------------------------------------------------------------ */

static int
take_store_name(newt_db *db)
{
    const char *name = db->options.store_name;
    size_t n = name ? strlen(name) : 0;

    if (!name)
        return NEWT_OK;
    if (n == 0 || n > NEWT__MAX_NAME || newt__utf8_valid(name, n) != n) {
        newt__fail(&db->error, NEWT_EINVAL, 0, "newt_options.store_name is %s",
                   n == 0               ? "empty"
                   : n > NEWT__MAX_NAME ? "too long"
                                        : "not UTF-8");
        newt__fail_hint(&db->error, "A name has 1 to %d bytes; NULL stands for none.",
                        NEWT__MAX_NAME);
        return NEWT_EINVAL;
    }
    db->options.store_name = db->store_name = strdup(name);
    return db->store_name ? NEWT_OK : newt__fail_memory(&db->error);
}

static int
take_options(newt_db *db, const newt_options *opt)
{
    if (opt && newt__options_take(&db->options, sizeof db->options, opt, "newt_options",
                                  &db->error) != NEWT_OK)
        return db->error.status;
    if (db->options.projector > NEWT_PROJECT_SERVER)
        return newt__fail(&db->error, NEWT_EINVAL, 0, "newt_options.projector is %d",
                          (int)db->options.projector);
    return take_store_name(db);
}

int
newt_db_open(newt_db **out, const char *uri, const newt_class *const *classes,
             const newt_options *opt)
{
    newt_db *db = calloc(1, sizeof *db);
    newt_conn *c = NULL;
    newt__side side = {0};
    int rc;

    *out = db;
    if (!db)
        return NEWT_ENOMEM;
    pthread_mutex_init(&db->mutex, NULL);
    rc = newt__process_open(&db->process, &db->error);
    if (rc == NEWT_OK)
        rc = take_options(db, opt);
    if (rc != NEWT_OK)
        return rc;
    db->schema = strdup(db->options.schema ? db->options.schema : "public");
    db->uri = uri ? strdup(uri) : NULL;
    db->options.schema = db->schema;
    db->without_schema = db->options;
    db->without_schema.schema = "public";
    if (!db->schema || (uri && !db->uri))
        return newt__fail_memory(&db->error);
    rc = newt__classes_build(&db->classes, newt__builtin_classes, classes, &db->error);
    if (rc != NEWT_OK)
        return rc;
    rc = check_schema(db->schema, &db->error);
    if (rc != NEWT_OK)
        return rc;
    side.uri = db->uri;
    rc = open_storage(db, &side, 0, &db->error);
    db->type = side.type;
    db->storage = side.storage;
    if (rc != NEWT_OK)
        return rc;
    c = conn_new(db);
    if (!c)
        return newt__fail_memory(&db->error);
    rc = newt__register_classes(c, &db->error); /* which connects, if there are classes */
    if (rc == NEWT_OK && (rc = make_ready(c)) != NEWT_OK)
        newt__error_move(&db->error, &c->jar.base.error);
    db->opened = rc == NEWT_OK;
    if (db->opened)
        pool_put(db, c);
    else
        conn_free(c);
    return rc;
}

void
newt_db_close(newt_db *db)
{
    newt_conn *c;

    if (!db)
        return;
    while ((c = pool_get(db)))
        conn_free(c);
    if (db->storage)
        db->type->close(db->storage);
    if (newt__process_is(&db->process))
        pthread_mutex_destroy(&db->mutex);
    newt__process_close(&db->process);
    newt__classes_free(db->classes);
    free(db->uri);
    free(db->store_name);
    free(db->schema);
    newt__error_clear(&db->error);
    free(db);
}

/* ---- errors --------------------------------------------------------------------------- */

const newt_error *
newt_db_error(const newt_db *db)
{
    return db ? &db->error : &newt__no_memory;
}

const newt_error *
newt_conn_error(const newt_conn *c)
{
    return c ? &c->jar.base.error : &newt__no_memory;
}

const newt_error *
newt_last_error(const newt_db *db, const newt_conn *c)
{
    if (c && (c->jar.base.error.status != NEWT_OK || !db))
        return &c->jar.base.error;
    return newt_db_error(db);
}
