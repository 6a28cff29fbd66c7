/*
 * server.c - connections to a server, and the check of the store there
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONNECT_TIMEOUT = 10,             /* seconds */
    LOOK_AFTER_US = 60 * 1000 * 1000, /* one in use looks whether what it keeps has changed */
    SERVER_VERSION = 150000           /* the oldest we know */
};

/* ---- server connections --------------------------------------------------------------- */

/* A connection to uri, with time-outs so that a cut network is noticed. What uri says comes first.
 */
PGconn *
newt__connect_to(const char *uri, int timeout)
{
    char seconds[16];
    const char *keys[16], *values[16];
    int n = 0;

    snprintf(seconds, sizeof seconds, "%d", timeout > 0 ? timeout : CONNECT_TIMEOUT);
#define OPTION(k, v) (keys[n] = (k), values[n++] = (v))
    if (timeout > 0 || !getenv("PGCONNECT_TIMEOUT"))
        OPTION("connect_timeout", seconds);
    OPTION("keepalives_idle", "30");
    OPTION("keepalives_interval", "10");
    OPTION("keepalives_count", "3");
    OPTION("tcp_user_timeout", "30000");
    OPTION("fallback_application_name", "newt");
    if (!getenv("PGTARGETSESSIONATTRS"))
        OPTION("target_session_attrs", "primary");
    if (uri)
        OPTION("dbname", uri);
    OPTION("client_encoding", "UTF8");
    keys[n] = values[n] = NULL;
#undef OPTION
    return PQconnectdbParams(keys, values, 1);
}

int
newt__check_server(const PGconn *pg, newt_error *e)
{
    const char *encoding;

    if (!pg)
        return newt__fail_memory(e);
    if (PQstatus(pg) != CONNECTION_OK)
        return newt__fail_sql(e, pg, NULL, NULL);
    if (PQserverVersion(pg) < SERVER_VERSION)
        return newt__fail(e, NEWT_ESTORE, 0,
                          "the server is PostgreSQL %d, but Newt needs %d or newer",
                          PQserverVersion(pg) / 10000, SERVER_VERSION / 10000);
    encoding = PQparameterStatus(pg, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0) {
        newt__fail(e, NEWT_ESTORE, 0, "the database's encoding is %s, but Newt needs UTF8",
                   encoding ? encoding : "unknown");
        newt__fail_hint(e, "Create the database with ENCODING 'UTF8' TEMPLATE template0.");
        return NEWT_ESTORE;
    }
    return NEWT_OK;
}

/* A statement of the opening, outside pipeline mode; NULL: it failed, and e says why. */
PGresult *
newt__ask(PGconn *pg, newt_error *e, const char *sql, int n, const char *const *params)
{
    PGresult *r = PQexecParams(pg, sql, n, NULL, params, NULL, NULL, 0);

    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return r;
    newt__fail_sql(e, pg, r, NULL);
    PQclear(r);
    return NULL;
}

static int
no_store(newt_error *e, const char *schema)
{
    newt__fail(e, NEWT_ESTORE, 0, "there is no Newt store in schema \"%s\"", schema);
    newt__fail_hint(e,
                    "Name the schema of a store, in newt_options.schema or with newt-updater's "
                    "--schema, or create one with newt_store_create(), in SQL with "
                    "SELECT newt.create_store('%s').",
                    schema);
    return NEWT_ESTORE;
}

/* Whether the application's transactions may find another server session each. What is not ours has
 * another process number than the server said. */
static int
check_pooler(const newt__session *c, const char *backend, newt_error *e)
{
    if (c->storage->options->transaction_pooling || atoi(backend) == PQbackendPID(c->pg))
        return NEWT_OK;
    newt__fail(e, NEWT_EINVAL, 0, "the server is reached through a connection pooler");
    newt__fail_hint(e, "Set newt_options.transaction_pooling, or connect to the server itself.");
    return NEWT_EINVAL;
}

/* Sets all there is to set, and keeps what queries get back. Through a pooler each transaction does
 * so for itself, and here it ends with the statement. */
static int
set_session(newt__session *c, newt_error *e)
{
    const struct newt__sql *sql = c->storage->sql;
    const char *params[3] = {NULL, c->storage->options->transaction_pooling ? "true" : "false",
                             sql->schema};
    PGresult *r = newt__ask(c->pg, e, sql->text[c->standby][NEWT__S_SETTINGS], 3, params);
    int status = NEWT_OK;

    if (!r)
        return e->status;
    for (int i = 0; i < NEWT__N_PLAN_SETTINGS; i++) {
        free(c->plans[i]);
        c->plans[i] = strdup(PQgetvalue(r, 0, 1 + 2 * i));
        if (!c->plans[i])
            status = newt__fail_memory(e);
    }
    PQclear(r);
    return status;
}

/* Whether the store and the extension are there, and what kind of server it is. */
static int
open_session(newt__session *c, newt_error *e)
{
    const char *params[1] = {c->storage->sql->schema};
    PGresult *r = newt__ask(c->pg, e, c->storage->sql->text[0][NEWT__S_LOOK], 1, params);
    bool store;
    int status;

    if (!r)
        return e->status;
    store = *PQgetvalue(r, 0, 0) == 't';
    c->has_extension = *PQgetvalue(r, 0, 1) == 't';
    c->has_walk = *PQgetvalue(r, 0, 2) == 't';
    status = check_pooler(c, PQgetvalue(r, 0, 3), e);
    c->standby = *PQgetvalue(r, 0, 4) == 't';
    c->at_commit = *PQgetvalue(r, 0, 5) == 't' &&
                   c->storage->options->projector != NEWT_PROJECT_CLIENT &&
                   !c->storage->options->strict;
    c->has_project_new = *PQgetvalue(r, 0, 6) == 't';
    if (c->seen != strtoull(PQgetvalue(r, 0, 7), NULL, 10))
        newt__talk_forgive(c->talk);
    c->seen = strtoull(PQgetvalue(r, 0, 7), NULL, 10);
    c->looked_us = newt__clock();
    PQclear(r);
    if (status != NEWT_OK)
        return status;
    return store ? NEWT_OK : no_store(e, c->storage->schema);
}

static PGresult *
ask_store(newt__session *c, newt_error *e, const char *before, const char *after)
{
    PGresult *r = NULL;
    size_t n = strlen(before) + strlen(c->storage->sql->schema) + strlen(after) + 1;
    char *sql = malloc(n);

    if (sql) {
        snprintf(sql, n, "%s%s%s", before, c->storage->sql->schema, after);
        r = newt__ask(c->pg, e, sql, 0, NULL);
    } else {
        newt__fail_memory(e);
    }
    free(sql);
    return r;
}

static int
check_store(newt__session *c, newt_error *e)
{
    newt__storage *db = c->storage;
    PGresult *r;
    int version;

    r = ask_store(c, e, "SELECT version FROM ", ".newt_store WHERE one");
    if (!r)
        return e->status;
    version = PQntuples(r) == 1 ? atoi(PQgetvalue(r, 0, 0)) : 0;
    PQclear(r);
    if (version == 0)
        return no_store(e, db->schema);
    if (version != NEWT__STORE_VERSION) {
        newt__fail(e, NEWT_ESTORE, 0,
                   "the store in schema \"%s\" is of version %d, this library needs %d", db->schema,
                   version, NEWT__STORE_VERSION);
        newt__fail_hint(e, "%s",
                        version > NEWT__STORE_VERSION ? "Use a newer libnewtdb."
                                                      : "Upgrade the store.");
        return NEWT_ESTORE;
    }
    r = ask_store(c, e, "SELECT projection, oid_block, serial_block FROM ",
                  ".newt_store WHERE one");
    if (!r)
        return e->status;
    c->async = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), "inline") != 0;
    if (PQntuples(r) == 1 && db->oid_block == 0) { /* of the first connection, before others are */
        db->async = c->async;
        db->oid_block = atoll(PQgetvalue(r, 0, 1));
        db->serial_block = atoll(PQgetvalue(r, 0, 2));
    }
    PQclear(r);
    if (db->oid_block < 1 || db->serial_block < 1)
        return newt__fail(e, NEWT_ESTORE, 0, "the store in schema \"%s\" has blocks of no size",
                          db->schema);
    return NEWT_OK;
}

static bool
hex16(const char *s, uint8_t out[16])
{
    static const char digits[] = "0123456789abcdef";
    int n = 0;

    for (; *s && n < 32; s++) {
        const char *d = strchr(digits, *s);

        if (!d)
            continue; /* a hyphen */
        out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] | (d - digits) : (d - digits) << 4);
        n++;
    }
    return n == 32;
}

/* a restored dump brings the incarnation's row along, but not the database's oid */
#define LIFE                                                                                       \
    ", s.system_identifier, p.timeline_id, (SELECT d.oid FROM pg_database d "                      \
    "WHERE d.datname = current_database()) FROM pg_control_system() s, pg_control_checkpoint() p"

/* Which life of which server this is. What the connection holds from another one is dropped. */
static int
check_incarnation(newt__session *c, newt_error *e)
{
    uint8_t id[16] = {0};
    int64_t system, timeline, database;
    PGresult *r = NULL;

    for (int attempt = 0; attempt < 2; attempt++) {
        /* a standby has none: an UNLOGGED table cannot be read there */
        r = c->standby
                ? newt__ask(c->pg, e, "SELECT NULL" LIFE, 0, NULL)
                : ask_store(c, e, "SELECT (SELECT id FROM ", ".newt_incarnation WHERE one)" LIFE);
        if (!r)
            return e->status;
        if (!PQgetisnull(r, 0, 0) || c->standby || attempt == 1)
            break;
        PQclear(r);
        /* this server has crashed or was promoted, and nobody has come since */
        r = ask_store(c, e, "INSERT INTO ",
                      ".newt_incarnation DEFAULT VALUES ON CONFLICT DO NOTHING RETURNING id");
        PQclear(r);
        if (!r)
            return e->status;
    }
    system = atoll(PQgetvalue(r, 0, 1));
    timeline = atoll(PQgetvalue(r, 0, 2));
    database = atoll(PQgetvalue(r, 0, 3));
    if (!hex16(PQgetvalue(r, 0, 0), id))
        memset(id, 0, sizeof id);
    PQclear(r);
    if (memcmp(id, c->incarnation, sizeof id) == 0 && system == c->system &&
        timeline == c->timeline && database == c->database)
        return NEWT_OK;
    newt__blocks_drop(&c->oids);
    newt__blocks_drop(&c->serials);
    memcpy(c->incarnation, id, sizeof id);
    c->system = system;
    c->timeline = timeline;
    c->database = database;
    c->doubtful = true;
    return NEWT_OK;
}

/* The server's session has ended, and its locks with it. */
static void
unclaim(newt__session *c)
{
    for (int i = 0; i < NEWT__MOST_CLAIMS; i++) {
        free(c->claims[i]);
        c->claims[i] = NULL;
    }
}

void
newt__session_close(newt__session *c)
{
    if (c->pg)
        PQfinish(c->pg);
    c->pg = NULL;
    newt__talk_reset(c->talk);
    c->broken = true;
    c->reopen = false;
    c->in_transaction = false;
    unclaim(c);
    c->turns.turn = NEWT__NO_TURN;
}

/*
 * In a snapshot, numbers come through another connection, and in a small pool that may have to wait
 * for the very transactions that wait for it. So there is a block of each before the first
 * transaction; later ones come with the commits. Who may not write cannot have any.
 */
static void
stock_up(newt__session *c)
{
    newt_error kept = {0};

    newt__error_move(&kept, &c->error);
    if (newt__blocks_left(&c->oids, c->storage->oid_block) < c->storage->oid_block)
        (void)!newt__blocks_fetch(c, c->storage->oid_block, 1);
    newt__error_move(&c->error, &kept);
}

int
newt__session_open(newt__session *c)
{
    newt__storage *db = c->storage;
    newt_error e = {0};

    newt__session_close(c);
    c->pg = newt__connect_to(db->uri, db->options->connect_timeout);
    if (newt__check_server(c->pg, &e) != NEWT_OK)
        goto fail;
    PQsetNoticeReceiver(c->pg, newt__talk_notice, c->talk);
    if (!db->sql && !(db->sql = newt__sql_new(c->pg, db->schema))) {
        newt__fail_memory(&e);
        goto fail;
    }
    if (open_session(c, &e) != NEWT_OK || check_store(c, &e) != NEWT_OK ||
        set_session(c, &e) != NEWT_OK || check_incarnation(c, &e) != NEWT_OK)
        goto fail;
    if (db->options->projector == NEWT_PROJECT_SERVER && !c->has_extension) {
        newt__fail(&e, NEWT_ESTORE, 0, "the extension newt is not installed in this database");
        newt__fail_hint(&e, "Run CREATE EXTENSION newt, or let the client project "
                            "(NEWT_PROJECT_AUTO, NEWT_PROJECT_CLIENT).");
        goto fail;
    }
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg)) {
        newt__fail_sql(&e, c->pg, NULL, NULL);
        goto fail;
    }
    c->broken = false;
    c->opened_n++;
    if (db->options->transaction_pooling)
        stock_up(c);
    return NEWT_OK;
fail:
    newt__session_close(c);
    return newt__session_fail(c, &e);
}

/* Whether the server is there still, as far as can be seen without asking it. */
bool
newt__session_alive(newt__session *c)
{
    char byte;

    if (c->broken || c->reopen || !c->pg)
        return false;
    if (recv(PQsocket(c->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
        (errno == EAGAIN || errno == EWOULDBLOCK))
        return true; /* nothing has come */
    /* twice: a server that goes says so first, and only then comes the end of the stream */
    return PQconsumeInput(c->pg) && PQconsumeInput(c->pg) && PQstatus(c->pg) == CONNECTION_OK;
}

/* Another look at what the connection keeps of the server; it is reopened if that has changed. */
static void
look(newt__session *c)
{
    newt_error kept = {0};
    newt__params p = {0};
    PGresult *r;
    bool async = c->async;

    c->looked_us = newt__clock();
    newt__error_move(&kept, &c->error);
    newt__param_text(&p, c->storage->sql->schema);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_LOOK, &p);
    newt__send(c, NEWT__S_PROJECTION, NULL);
    newt__sync(c);
    r = newt__take(c);
    c->reopen |= r && (uint64_t)newt__field_int(r, 0, 7) != c->seen;
    PQclear(r);
    r = newt__take(c);
    if (r && PQntuples(r) == 1)
        async = PQgetlength(r, 0, 0) != 6 || memcmp(PQgetvalue(r, 0, 0), "inline", 6) != 0;
    PQclear(r);
    c->reopen |= async != c->async;
    newt__take_rest(c);
    (void)newt__talk_end(c); /* what is wrong will be met again */
    newt__error_clear(&c->error);
    newt__error_move(&c->error, &kept);
}

/* The server was restarted or replaced: nothing that is cached is known to be right. */
static int
drop_cached(newt__session *c)
{
    static const newt__changes all = {.all = true};
    int status = c->opened(c->opened_arg, &all);

    c->position = (newt__position){0};
    c->doubtful = status != NEWT_OK;
    return status;
}

int
newt__session_server(newt__session *c)
{
    bool alive;
    int status;

    if (c->in_transaction && !c->broken)
        return NEWT_OK;
    if (c->in_transaction)
        return newt__fail(&c->error, NEWT_ELOST, 0, "the server connection was lost");
    alive = newt__session_alive(c);
    if (alive && newt__clock() - c->looked_us > LOOK_AFTER_US) {
        look(c);
        alive = !c->reopen && !c->broken;
    }
    status = alive ? NEWT_OK : newt__session_open(c);
    return status == NEWT_OK && c->doubtful ? drop_cached(c) : status;
}

int
newt__ask_row(newt__session *c, newt__statement s, const newt__params *p, PGresult **out)
{
    int status = newt__session_server(c);

    *out = NULL;
    if (status != NEWT_OK)
        return status;
    newt__talk_begin(c);
    newt__send(c, s, p);
    newt__sync(c);
    *out = newt__take(c);
    newt__take_sync(c);
    if (*out && PQntuples(*out) == 0) {
        PQclear(*out);
        *out = NULL;
    }
    return newt__talk_end(c);
}
