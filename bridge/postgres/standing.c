/*
 * standing.c - where followers stand, and the transactions that rest on it
 *
 * A follower's position is moved by compare-and-set: what comes after it was read before, and never
 * changes, for tid order is the order of visibility. What is written for a follower is written in
 * transactions that hold its row as long as they last: nobody can move it meanwhile.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* ---- where followers stand ------------------------------------------------------------------ */

int
newt__session_follower(newt__session *c, const char *name, const char *kind, newt__standing *out,
                       bool *found)
{
    newt__params p = {0};
    PGresult *r;
    int status;

    newt__param_text(&p, name);
    status = newt__ask_row(c, NEWT__S_FOLLOWER, &p, &r);
    *found = r != NULL;
    if (*found)
        *out = (newt__standing){.at = {newt__field_int(r, 0, 0), newt__field_int(r, 0, 1)},
                                .copied = newt__field_int(r, 0, 2)};
    if (status == NEWT_OK && *found && kind && !PQgetisnull(r, 0, 3) &&
        strcmp(PQgetvalue(r, 0, 3), kind) != 0)
        status = newt__fail_kind(&c->error, name, PQgetvalue(r, 0, 3), kind);
    PQclear(r);
    return status;
}

/* The place of a claim; NULL: it is not there. name NULL: a free one. */
static char **
claim_of(newt__session *c, const char *name)
{
    for (int i = 0; i < NEWT__MOST_CLAIMS; i++)
        if (name ? c->claims[i] && strcmp(c->claims[i], name) == 0 : !c->claims[i])
            return &c->claims[i];
    return NULL;
}

/* A lock of the server's session: when that ends, whatever the reason, another can have it. */
int
newt__session_claim(newt__session *c, const char *name, bool *mine)
{
    int status = newt__session_server(c);
    newt__params p = {0};
    char **free_claim;
    PGresult *r;

    *mine = c->storage->options->transaction_pooling || c->standby || claim_of(c, name);
    if (status != NEWT_OK || *mine)
        return status;
    free_claim = claim_of(c, NULL);
    if (!free_claim) {
        newt__fail(&c->error, NEWT_ELIMIT, 0,
                   "a connection can follow under %d names, and not also as \"%s\"",
                   NEWT__MOST_CLAIMS, name);
        newt__fail_hint(&c->error, "Use another connection for it.");
        return NEWT_ELIMIT;
    }
    *free_claim = strdup(name);
    if (!*free_claim)
        return newt__fail_memory(&c->error);
    newt__param_text(&p, name);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_CLAIM, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    *mine = r && newt__field_bool(r, 0, 0);
    PQclear(r);
    status = newt__talk_end(c);
    if ((status != NEWT_OK || !*mine) && (free_claim = claim_of(c, name))) {
        free(*free_claim);
        *free_claim = NULL;
    }
    return status;
}

void
newt__session_release(newt__session *c, const char *name)
{
    char **claim = claim_of(c, name);
    newt__params p = {0};

    if (!claim || c->broken || !c->pg)
        return;
    newt__param_text(&p, name);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_RELEASE_CLAIM, &p);
    newt__sync(c);
    newt__take_rest(c);
    (void)!newt__talk_end(c);
    newt__error_clear(&c->error);
    free(*claim);
    *claim = NULL;
}

/* ---- their transactions --------------------------------------------------------------------- */

void
newt__follower_begin(newt__session *c, bool durable)
{
    newt__params p = {0};

    newt__param_text(&p, durable ? NULL : "off");
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    newt__send(c, NEWT__S_FOLLOW_UNTIMED, &p);
    c->in_transaction = true;
}

void
newt__follower_begun(newt__session *c)
{
    newt__take_done(c);
    newt__take_done(c);
}

static void
add_place(newt__params *p, const newt__standing *place)
{
    newt__param_int(p, place->at.tid);
    newt__param_int(p, place->copied);
}

void
newt__follower_hold(newt__session *c, const char *name, const newt__standing *at,
                    newt__statement how)
{
    newt__params p = {0};

    newt__param_text(&p, name);
    add_place(&p, at);
    newt__send(c, how, &p);
}

static int
roll_back(newt__session *c)
{
    newt__take_rest(c);
    newt__send(c, NEWT__S_ROLLBACK, NULL);
    newt__sync(c);
    newt__forget(c);
    c->in_transaction = false;
    return newt__talk_end(c);
}

/* The answer to COMMIT: everything is there, or nothing. What failed before it, it was not run. */
static int
take_commit(newt__session *c)
{
    newt_error *e = &c->talk->error;
    PGresult *r = newt__take(c);

    if (r && strcmp(PQcmdStatus(r), "COMMIT") != 0)
        newt__fail(e, NEWT_ESQL, 0, "the server has rolled back instead of committing");
    PQclear(r);
    newt__take_sync(c);
    if (e->status != NEWT_OK)
        return roll_back(c);
    c->in_transaction = false;
    return newt__talk_end(c);
}

int
newt__follower_finish(newt__session *c, bool commit)
{
    newt__take_rest(c);
    if (!commit || c->talk->error.status != NEWT_OK || c->broken)
        return roll_back(c);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    return take_commit(c);
}

int
newt__follower_explain(newt__session *c, const char *name, int status)
{
    if (strcmp(c->error.sqlstate, "40001") == 0)
        newt__fail_hint(&c->error, "Only one process at a time can follow as \"%s\".", name);
    return status;
}

/* ---- moving them ---------------------------------------------------------------------------- */

int
newt__session_move(newt__session *c, const char *name, const char *kind, const newt__standing *from,
                   const newt__standing *to)
{
    bool begun = c->in_transaction;
    int status = newt__session_server(c);
    newt__params p = {0};

    if (status != NEWT_OK)
        return status;
    newt__param_text(&p, name);
    if (from)
        add_place(&p, from);
    newt__param_int(&p, to->at.tid);
    newt__param_int(&p, to->at.serial);
    newt__param_int(&p, to->copied);
    newt__param_text(&p, kind);
    newt__talk_begin(c);
    /* a position alone may be lost, and what comes after it is done once more */
    if (!begun)
        newt__follower_begin(c, false);
    newt__send(c, from ? NEWT__S_FOLLOW_MOVE : NEWT__S_FOLLOW_NEW, &p);
    newt__send(c, NEWT__S_COMMIT, NULL);
    newt__sync(c);
    if (!begun)
        newt__follower_begun(c);
    newt__take_done(c);
    return newt__follower_explain(c, name, take_commit(c));
}

int
newt__session_forget_follower(newt__session *c, const char *name)
{
    int status = newt__session_server(c);
    newt__params p = {0};

    if (status != NEWT_OK)
        return status;
    newt__param_text(&p, name);
    newt__talk_begin(c);
    newt__follower_begin(c, true);
    newt__send(c, NEWT__S_FOLLOW_FORGET, &p);
    newt__sync(c);
    newt__follower_begun(c);
    newt__take_done(c);
    newt__take_sync(c);
    return newt__follower_finish(c, true);
}

/* ---- statements of the program's -------------------------------------------------------- */

/* The savepoint is missed if the statement has ended the transaction. */
int
newt__session_execute(newt__session *c, const char *name, const newt__standing *from,
                      const char *sql, int n, const char *const *params)
{
    bool begun = c->in_transaction;
    int status = newt__session_server(c);

    if (status != NEWT_OK)
        return status;
    newt__talk_begin(c);
    if (!begun) {
        newt__follower_begin(c, true);
        newt__follower_hold(c, name, from, NEWT__S_FOLLOW_HOLD_ALONE);
        newt__plans_send(c);
    }
    newt__send(c, NEWT__S_SAVEPOINT, NULL);
    newt__send_query(c, sql, n, params);
    newt__send(c, NEWT__S_RELEASE, NULL);
    newt__sync(c);
    if (!begun) {
        newt__follower_begun(c);
        newt__take_done(c);
        newt__take_done(c);
    }
    newt__take_done(c);
    PQclear(newt__take(c));
    newt__take_done(c);
    newt__take_sync(c);
    if (c->talk->error.status == NEWT_OK && !c->broken)
        return newt__talk_end(c);
    return newt__follower_explain(c, name, newt__follower_finish(c, false));
}

void
newt__session_undo(newt__session *c)
{
    if (!c->in_transaction)
        return;
    if (!c->broken) {
        newt__talk_begin(c);
        (void)!newt__follower_finish(c, false);
        newt__error_clear(&c->error);
    }
    c->in_transaction = false;
}
