/*
 * server.c - connections to a server
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
    PQclear(c->brought);
    c->brought = NULL;
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
 * transaction; later ones come with the commits. Who may not write cannot have any: to ask for them
 * would cost the connection, for the transaction in which that fails stays open.
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
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg)) {
        newt__fail_sql(&e, c->pg, NULL, NULL);
        goto fail;
    }
    c->broken = false;
    if (newt__session_learn(c, &e) != NEWT_OK)
        goto fail;
    if (db->options->projector == NEWT_PROJECT_SERVER && !c->has_extension) {
        newt__fail(&e, NEWT_ESTORE, 0, "the extension newt is not installed in this database");
        newt__fail_hint(&e, "Run CREATE EXTENSION newt, or let the client project "
                            "(NEWT_PROJECT_AUTO, NEWT_PROJECT_CLIENT).");
        goto fail;
    }
    c->opened_n++;
    if (db->options->transaction_pooling && c->may_number)
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
    newt__send(c, NEWT__S_STORE, NULL);
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
