/*
 * open.c - what a session asks when it begins, in one round trip
 *
 * Whether there is a store that the library knows, what kind of server this is and in which of its
 * lives, what queries of the application get back of their settings; and, when a database is
 * opened, how its classes are registered.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the answers, in their order ---------------------------------------------------------------
 */

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
check_pooler(const newt__session *c, int64_t backend, newt_error *e)
{
    if (c->storage->options->transaction_pooling || backend == PQbackendPID(c->pg))
        return NEWT_OK;
    newt__fail(e, NEWT_EINVAL, 0, "the server is reached through a connection pooler");
    newt__fail_hint(e, "Set newt_options.transaction_pooling, or connect to the server itself.");
    return NEWT_EINVAL;
}

/* Whether the store and the extension are there, and what kind of server it is. */
static int
take_look(newt__session *c, const PGresult *r, newt_error *e)
{
    uint64_t seen = (uint64_t)newt__field_int(r, 0, 7);
    int status;

    c->has_extension = newt__field_bool(r, 0, 1);
    c->has_walk = newt__field_bool(r, 0, 2);
    status = check_pooler(c, newt__field_int(r, 0, 3), e);
    c->standby = newt__field_bool(r, 0, 4);
    c->at_commit = newt__field_bool(r, 0, 5) &&
                   c->storage->options->projector != NEWT_PROJECT_CLIENT &&
                   !c->storage->options->strict;
    c->has_project_new = newt__field_bool(r, 0, 6);
    c->writes_plainly = newt__field_bool(r, 0, 8);
    if (c->seen != seen)
        newt__talk_forgive(c->talk);
    c->seen = seen;
    c->looked_us = newt__clock();
    if (status != NEWT_OK)
        return status;
    return newt__field_bool(r, 0, 0) ? NEWT_OK : no_store(e, c->storage->schema);
}

static int
take_version(newt__session *c, const PGresult *r, newt_error *e)
{
    int version = PQntuples(r) == 1 ? (int)newt__field_int(r, 0, 0) : 0;

    if (version == 0)
        return no_store(e, c->storage->schema);
    if (version == NEWT__STORE_VERSION)
        return NEWT_OK;
    newt__fail(e, NEWT_ESTORE, 0,
               "the store in schema \"%s\" is of version %d, this library needs %d",
               c->storage->schema, version, NEWT__STORE_VERSION);
    newt__fail_hint(
        e, "%s", version > NEWT__STORE_VERSION ? "Use a newer libnewtdb." : "Upgrade the store.");
    return NEWT_ESTORE;
}

static int
take_store(newt__session *c, const PGresult *r, newt_error *e)
{
    newt__storage *db = c->storage;

    c->may_number = PQntuples(r) == 1 && newt__field_bool(r, 0, 3) && !c->standby;
    c->async = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), "inline") != 0;
    if (PQntuples(r) == 1 && db->oid_block == 0) { /* of the first connection, before others are */
        db->async = c->async;
        db->oid_block = newt__field_int(r, 0, 1);
        db->serial_block = newt__field_int(r, 0, 2);
    }
    if (db->oid_block < 1 || db->serial_block < 1)
        return newt__fail(e, NEWT_ESTORE, 0, "the store in schema \"%s\" has blocks of no size",
                          db->schema);
    return NEWT_OK;
}

/* Keeps what queries get back. */
static int
take_settings(newt__session *c, const PGresult *r, newt_error *e)
{
    int status = NEWT_OK;

    for (int i = 0; i < NEWT__N_PLAN_SETTINGS; i++) {
        free(c->plans[i]);
        c->plans[i] = strdup(PQgetvalue(r, 0, 1 + 2 * i));
        if (!c->plans[i])
            status = newt__fail_memory(e);
    }
    return status;
}

/* Which life of which server this is. What the connection holds from another one is dropped. */
static int
take_life(newt__session *c, const PGresult *r, newt_error *e)
{
    int64_t system = newt__field_int(r, 0, 1), timeline = newt__field_int(r, 0, 2);
    int64_t database = newt__field_int(r, 0, 3);
    uint8_t id[16] = {0};

    (void)e;
    if (PQgetlength(r, 0, 0) == sizeof id)
        memcpy(id, PQgetvalue(r, 0, 0), sizeof id);
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

/* ---- the exchange ------------------------------------------------------------------------------
 */

/* The settings of the session. Through a pooler each transaction sets them for itself, and a
 * server's process that is not the one that was connected to keeps nothing of them either. */
static void
send_settings(newt__session *c)
{
    char backend[16] = "0";
    newt__params p = {0};

    if (!c->storage->options->transaction_pooling)
        snprintf(backend, sizeof backend, "%d", PQbackendPID(c->pg));
    newt__param_bytes(&p, NULL, 0);
    newt__param_text(&p, backend);
    newt__param_text(&p, c->storage->sql->schema);
    newt__send(c, NEWT__S_SETTINGS, &p);
}

typedef int take_answer(newt__session *c, const PGresult *r, newt_error *e);

/* Takes the next answer; false: it is missing, or *e says what is wrong with it. */
static bool
take(newt__session *c, take_answer *answer, newt_error *e)
{
    PGresult *r = newt__take(c);
    bool fine = r && answer(c, r, e) == NEWT_OK;

    PQclear(r);
    return fine;
}

/* The end of an exchange. Nothing has been learnt before that a failure could be blamed on, as
 * newt__talk_end would. */
static int
end(newt__session *c, newt_error *e)
{
    newt__take_rest(c);
    if (e->status == NEWT_OK)
        newt__error_move(e, &c->talk->error);
    newt__error_clear(&c->talk->error);
    return e->status;
}

/* This server has crashed or was promoted, and nobody has come since. */
static int
name_life(newt__session *c, newt_error *e)
{
    newt__talk_begin(c);
    newt__send(c, NEWT__S_NEW_LIFE, NULL);
    newt__sync(c);
    newt__take_done(c);
    if (end(c, e) != NEWT_OK)
        return e->status;
    newt__talk_begin(c);
    newt__send(c, NEWT__S_LIFE, NULL);
    newt__sync(c);
    (void)take(c, take_life, e);
    return end(c, e);
}

static int
has_name(newt__session *c, const PGresult *r, newt_error *e)
{
    if (!PQgetisnull(r, 0, 0))
        return take_life(c, r, e);
    c->nameless = true;
    return NEWT_OK;
}

/* All in one message. A failure ends the transaction that the statements are in: those after it do
 * not run. */
static int
ask(newt__session *c, bool standby, newt_error *e)
{
    newt__params look = {0};

    c->standby = standby;
    c->nameless = false;
    newt__param_text(&look, c->storage->sql->schema);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_LOOK, &look);
    newt__send(c, NEWT__S_VERSION, NULL);
    newt__send(c, NEWT__S_STORE, NULL);
    send_settings(c);
    newt__send(c, NEWT__S_LIFE, NULL);
    if (c->along)
        newt__send(c, NEWT__S_CLASSES, c->along);
    newt__sync(c);
    if (take(c, take_look, e) && c->standby == standby && take(c, take_version, e) &&
        take(c, take_store, e) && take(c, take_settings, e) && take(c, has_name, e) && c->along)
        c->brought = newt__take(c);
    return end(c, e);
}

/* Whether it is known before anything is asked that the server is a standby, or that it is none. */
static bool
is_known(const newt__session *c, bool *standby)
{
    const char *hot = PQparameterStatus(c->pg, "in_hot_standby"); /* poolers do not say */
    PQconninfoOption *options = hot ? NULL : PQconninfo(c->pg);
    bool primary = false;

    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, "target_session_attrs") == 0 && o->val)
            primary = strcmp(o->val, "primary") == 0 || strcmp(o->val, "read-write") == 0;
    PQconninfoFree(options);
    *standby = hot && strcmp(hot, "on") == 0;
    return hot || primary; /* what was asked for, libpq has checked */
}

/* Statements about lives are others on a standby, where the usual ones fail. */
static int
find_out(newt__session *c, bool *standby, newt_error *e)
{
    newt__params p = {0};

    newt__param_text(&p, c->storage->sql->schema);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_LOOK, &p);
    newt__sync(c);
    (void)take(c, take_look, e);
    *standby = c->standby;
    return end(c, e);
}

int
newt__session_learn(newt__session *c, newt_error *e)
{
    enum {
        ATTEMPTS = 3 /* of a server that is promoted just now */
    };
    newt_stats stats = *c->stats; /* this is not what the application does */
    bool standby;
    int status;

    c->talk->opening = true;
    status = is_known(c, &standby) ? NEWT_OK : find_out(c, &standby, e);
    if (status == NEWT_OK)
        status = ask(c, standby, e);
    for (int i = 1; i < ATTEMPTS && c->standby != standby && !c->broken; i++) {
        newt__error_clear(e);
        standby = c->standby;
        status = ask(c, standby, e);
    }
    if (status == NEWT_OK && c->nameless)
        status = name_life(c, e);
    c->talk->opening = false;
    *c->stats = stats;
    return status;
}
