/*
 * session.c - sessions from beginning to end
 */
#include "session.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

newt__session *
newt__session_new(newt__storage *s, newt__opened *opened, void *arg, newt_stats *stats)
{
    newt__session *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->talk = calloc(1, sizeof *c->talk);
    if (!c->talk) {
        free(c);
        return NULL;
    }
    c->storage = s;
    c->opened = opened;
    c->opened_arg = arg;
    c->stats = stats;
    c->broken = true; /* until connected */
    if (getentropy(&c->nonce, sizeof c->nonce) != 0)
        c->nonce = (uint64_t)newt__clock();
    return c;
}

void
newt__session_end(newt__session *c)
{
    newt__snapshot_end(c, NEWT__S_ROLLBACK);
    newt__turn_over(c);
    c->snapshot = NEWT__NO_SNAPSHOT;
    c->turns.patience_ms = 0;
    c->oids.used = c->serials.used = 0;
}

/* Not a byte of what libpq says at its end may reach the server. */
void
newt__session_abandon(newt__session *c)
{
    int nowhere, fd = c->pg ? PQsocket(c->pg) : -1;

    c->broken = true;
    if (fd < 0)
        return;
    nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, fd);
        close(nowhere);
    } else {
        close(fd); /* libpq will find it closed */
    }
}

void
newt__session_free(newt__session *c)
{
    newt__session_end(c);
    newt__take_rest(c); /* else the server would complain of a client that does not listen */
    newt__session_close(c);
    free(c->oids.starts);
    free(c->serials.starts);
    newt__oids_free(&c->others);
    for (int i = 0; i < NEWT__N_PLAN_SETTINGS; i++)
        free(c->plans[i]);
    newt__error_clear(&c->talk->error);
    newt__error_clear(&c->talk->warning);
    free(c->talk->queue);
    free(c->talk->answers);
    free(c->talk);
    newt__error_clear(&c->error);
    free(c);
}
