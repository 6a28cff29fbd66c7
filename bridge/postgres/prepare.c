/*
 * prepare.c - transactions that are prepared, and settled later: PREPARE TRANSACTION
 *
 * One of another store may be prepared under the same name, so the name that the server knows ends
 * with the database and the schema.
 */
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PATIENCE_MS = 30000, /* for a server to come back */
    SUFFIX = 48,
    GID = NEWT_RESOURCES_NAME + SUFFIX
};

/* FNV-1a: only tells schemas of one database apart. */
static uint64_t
hash(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h;
}

static void
suffix(const newt__session *c, char out[SUFFIX])
{
    snprintf(out, SUFFIX, ".%" PRId64 ".%016" PRIx64, c->database, hash(c->storage->schema));
}

/* The name is part of the statement, which takes no parameters: so only what newt_join makes. */
static bool
is_name(const char *name)
{
    size_t n = strspn(name, "newt-0123456789abcdef");

    return n > 0 && n < NEWT_RESOURCES_NAME && !name[n];
}

static void
send(newt__session *c, const char *verb, const char *name)
{
    char end[SUFFIX], sql[GID + 40];

    suffix(c, end);
    snprintf(sql, sizeof sql, "%s '%s%s'", verb, name, end);
    newt__send_query(c, sql, 0, NULL);
}

void
newt__prepare_send(newt__session *c, const char *name)
{
    send(c, "PREPARE TRANSACTION", name);
}

static int
fail_missing(newt__session *c, const char *name)
{
    newt__fail(&c->error, NEWT_EMISSING, 0, "nothing is prepared as \"%s\" in this store", name);
    return NEWT_EMISSING;
}

int
newt__session_settle(newt__session *c, const char *name, bool commit)
{
    int64_t until = newt__clock() + PATIENCE_MS * INT64_C(1000);
    bool again = false, busy = false;
    int status;

    if (!is_name(name))
        return fail_missing(c, name);
    for (;; busy = false) {
        /* whatever else has become of the server, the cache hears of when the session is next used
         */
        status = newt__session_alive(c) ? NEWT_OK : newt__session_open(c);
        if (status == NEWT_OK) {
            newt__talk_begin(c);
            send(c, commit ? "COMMIT PREPARED" : "ROLLBACK PREPARED", name);
            newt__sync(c);
            newt__take_done(c);
            newt__take_sync(c);
            /* the first attempt may be at it still: it has the transaction, or another process */
            busy = strcmp(c->talk->error.sqlstate, "55000") == 0;
            /* if the answer to a first attempt was lost, it had been done */
            if (strcmp(c->talk->error.sqlstate, "42704") == 0) {
                newt__error_clear(&c->talk->error);
                return again ? NEWT_OK : fail_missing(c, name);
            }
            again |= c->broken;
            status = newt__talk_end(c);
        }
        if ((status != NEWT_ELOST && !busy) || newt__clock() > until)
            return status;
        newt__error_clear(&c->error);
        newt__wait_a_little();
    }
}

/* Whether the server process is there; true if that cannot be told. */
static bool
is_running(newt__session *c, int backend)
{
    newt__params p = {0};
    bool running = true;
    PGresult *r;

    newt__param_int(&p, backend);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_IS_RUNNING, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    if (newt__talk_end(c) == NEWT_OK)
        running = newt__field_int(r, 0, 0) > 0;
    PQclear(r);
    return running;
}

void
newt__prepare_undo(newt__session *c, const char *name, int backend)
{
    int64_t until = newt__clock() + PATIENCE_MS * INT64_C(1000);
    bool gone = false;

    /* what the old process was at, it may have done between the look for it and the next attempt */
    while (newt__session_settle(c, name, false) == NEWT_EMISSING && !gone &&
           newt__clock() < until) {
        newt__error_clear(&c->error);
        gone = !is_running(c, backend);
        if (!gone)
            newt__wait_a_little();
    }
    newt__error_clear(&c->error);
}

int
newt__session_prepared(newt__session *c, newt__take_prepared *take, void *arg)
{
    newt__params p = {0};
    char end[SUFFIX], name[NEWT_RESOURCES_NAME];
    PGresult *r;
    int status = newt__session_server(c), taking = NEWT_OK;

    if (status != NEWT_OK)
        return status;
    suffix(c, end);
    newt__param_text(&p, end);
    newt__talk_begin(c);
    newt__send(c, NEWT__S_PREPARED, &p);
    newt__sync(c);
    r = newt__take(c);
    newt__take_sync(c);
    status = newt__talk_end(c);
    for (int i = 0; status == NEWT_OK && taking == NEWT_OK && i < PQntuples(r); i++) {
        snprintf(name, sizeof name, "%.*s", PQgetlength(r, i, 0), PQgetvalue(r, i, 0));
        taking = take(arg, name, newt__field_int(r, i, 1));
    }
    PQclear(r);
    return status == NEWT_OK ? taking : status;
}
