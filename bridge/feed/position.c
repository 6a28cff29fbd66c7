/*
 * position.c - where a feed stands: tokens, followers, commits
 */
#include "feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- tokens ---------------------------------------------------------------------------------- */

/* "1-TID-SERIAL": a version, and the numbers of the last transaction. */
void
newt__token_write(char *to, size_t n, newt__position at)
{
    snprintf(to, n, "1-%" PRId64 "-%" PRId64, at.tid, at.serial);
}

static const char *
read_number(const char *s, int64_t *out)
{
    const char *from = s;

    for (*out = 0; *s >= '0' && *s <= '9'; s++) {
        if (*out > (INT64_MAX - 9) / 10)
            return NULL;
        *out = 10 * *out + (*s - '0');
    }
    return s > from ? s : NULL;
}

bool
newt__token_read(const char *text, newt__position *out)
{
    const char *s = text;

    if (strncmp(s, "1-", 2) != 0)
        return false;
    s = read_number(s + 2, &out->tid);
    if (!s || *s != '-')
        return false;
    s = read_number(s + 1, &out->serial);
    return s && !*s;
}

/* ---- where it begins ------------------------------------------------------------------------ */

void
newt__feed_lose(newt_feed *f)
{
    const newt__feed_type *type = f->c->jar.storage->feed;

    if (newt__feed_executes(f)) {
        type->undo(f->c->jar.session);
        f->c->writer = NULL;
    }
    newt__feed_discard(f);
    if (f->follower && f->stands) {
        f->positioned = false;
        return;
    }
    /* nobody keeps the position: what was handed out is not handed out again */
    f->cursor = (newt__cursor){.after = f->handed.at};
    f->within = false;
}

static int
start(newt_feed *f, newt__standing *out, newt_error *e)
{
    const newt__feed_type *type = f->c->jar.storage->feed;

    *out = (newt__standing){.copied = -1};
    if (f->o.start == NEWT_FEED_OLDEST)
        return NEWT_OK;
    if (f->o.start == NEWT_FEED_COPY)
        out->copied = 0;
    return type->newest(f->c->jar.session, &out->at, e);
}

static int
find(newt_feed *f, newt__standing *out, newt_error *e)
{
    const newt__feed_type *type = f->c->jar.storage->feed;
    newt__session *x = f->c->jar.session;
    int status = NEWT_OK;

    f->stands = false;
    if (f->follower)
        status = type->follower(x, f->follower, f->kind, &f->committed, &f->stands, e);
    if (status != NEWT_OK)
        return status;
    if (f->given) {
        *out = (newt__standing){f->token, -1};
    } else if (f->stands) {
        *out = f->committed;
    } else {
        status = start(f, out, e);
        if (status != NEWT_OK)
            return status;
    }
    if (!f->follower || f->stands)
        return NEWT_OK;
    /* from now on transactions are kept for it */
    status = type->move(x, f->follower, f->kind, NULL, out, e);
    f->stands = status == NEWT_OK;
    f->committed = *out;
    return status;
}

int
newt__feed_position(newt_feed *f, newt_error *e)
{
    newt__standing place;
    newt__position newest;
    int status = find(f, &place, e);

    if (status == NEWT_OK && f->until < 0) {
        status = f->c->jar.storage->feed->newest(f->c->jar.session, &newest, e);
        if (status == NEWT_OK)
            f->until = newest.tid;
    }
    if (status != NEWT_OK)
        return status;
    newt__feed_discard(f);
    f->handed = place;
    f->cursor = (newt__cursor){.after = place.at};
    f->copying = place.copied >= 0;
    f->within = false;
    f->positioned = true;
    return NEWT_OK;
}

/* ---- who follows under the name -------------------------------------------------------------- */

int
newt__feed_claim(newt_feed *f, newt_error *e)
{
    bool mine = true;
    int status = NEWT_OK;

    if (f->follower && f->alone)
        status = f->c->jar.storage->feed->claim(f->c->jar.session, f->follower, &mine, e);
    if (status != NEWT_OK || mine)
        return status;
    f->positioned = false;
    newt__fail(e, NEWT_ECONFLICT, 0, "another process follows as \"%s\"", f->follower);
    newt__fail_hint(e, "Try again: the name is free when that process ends.");
    return NEWT_ECONFLICT;
}

/* ---- moving it -------------------------------------------------------------------------- */

/* A token given to a follower moves it at the first commit, from where the store has it. */
int
newt_feed_commit(newt_feed *f)
{
    newt_conn *c = f->c;
    newt__standing to = f->handed;
    newt_error e = {0};
    int status = newt__outside(c, f, "newt_feed_commit");

    if (status != NEWT_OK)
        return status;
    if (!f->follower) {
        newt__fail(&e, NEWT_EINVAL, 0, "the feed has no follower whose position could be moved");
        newt__fail_hint(&e, "Name one in newt_feed_options.follower, or keep the batch's token.");
        return newt__feed_fail(c, &e);
    }
    if (!f->positioned)
        return newt__feed_fail(c,
                               (newt__fail(&e, NEWT_EBUSY, 0, "there is no batch to commit"), &e));
    if (f->within && !newt__feed_executes(f))
        return NEWT_OK;
    if (f->within)
        to = f->committed;
    /* statements of the program's hold the follower's row already */
    status = newt__feed_executes(f) ? NEWT_OK : newt__feed_claim(f, &e);
    if (status == NEWT_OK)
        status = c->jar.storage->feed->move(c->jar.session, f->follower, f->kind, &f->committed,
                                            &to, &e);
    f->c->writer = NULL;
    /* until the follower has moved once, who fails begins at the token again */
    if ((status == NEWT_OK && !f->within) || status == NEWT_ECONFLICT)
        f->given = false;
    if (status != NEWT_OK) {
        newt__feed_lose(f);
        return newt__feed_fail(c, &e);
    }
    f->committed = to;
    return NEWT_OK;
}

const char *
newt_feed_token(const newt_feed *f)
{
    newt_feed *own = (newt_feed *)(uintptr_t)f; /* for the text alone */
    const newt__standing *at = f->follower ? &f->committed : &f->handed;

    if (!(f->follower ? f->stands : f->positioned) || at->copied >= 0)
        return NULL;
    newt__token_write(own->token_text[1], sizeof own->token_text[1], at->at);
    return f->token_text[1];
}

int
newt_feed_forget(newt_conn *c, const char *follower)
{
    newt_error e = {0};
    int status = newt__outside(c, NULL, "newt_feed_forget");

    if (status == NEWT_OK && (!follower || !*follower))
        newt__fail(&e, NEWT_EINVAL, 0, "newt_feed_forget without a name");
    else if (status == NEWT_OK)
        (void)!c->jar.storage->feed->forget(c->jar.session, follower, &e);
    return status != NEWT_OK || e.status == NEWT_OK ? status : newt__feed_fail(c, &e);
}

/* ---- statements of the program's -------------------------------------------------------- */

int
newt_feed_exec(newt_feed *f, const char *sql, int n, const char *const *params)
{
    newt_conn *c = f->c;
    newt_error e = {0};
    int status = newt__outside(c, f, "newt_feed_exec");

    if (status != NEWT_OK)
        return status;
    if (!c->jar.storage->feed->execute)
        return newt__no_sql(c, "newt_feed_exec");
    if (!sql || n < 0 || n > UINT16_MAX || !f->follower || !f->positioned)
        newt__fail(&e, NEWT_EINVAL, 0,
                   "newt_feed_exec without SQL, a follower or a batch, or with %d parameters", n);
    if (e.status != NEWT_OK)
        return newt__feed_fail(c, &e);
    status = c->jar.storage->feed->execute(c->jar.session, f->follower, &f->committed, sql, n,
                                           params, &e);
    c->writer = status == NEWT_OK ? f : NULL;
    if (status == NEWT_OK)
        return NEWT_OK;
    newt__feed_lose(f);
    return newt__feed_fail(c, &e);
}
