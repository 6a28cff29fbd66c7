/*
 * feed.c - feeds: opened, asked for the next batch, closed
 */
#include "feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    OBJECTS = 1000, /* of a batch; also in newtdb.h */
    BYTES = 16 << 20,
    MOST_OBJECTS = 1000000,
    LONGEST_NAME = 255,
    SLICE_MS = 1000,      /* of a wait: then it is looked who is in the way */
    LOOK_US = 990 * 1000, /* from one look to the next: a slice may end a little early */
    HELD_US = 1000 * 1000,
    FIRST_PAUSE_US = 10 * 1000,
    LONGEST_PAUSE_US = 250 * 1000
};

/* ---- open and close --------------------------------------------------------------------- */

static bool
copy_lists(newt_feed *f, const newt_feed_options *o)
{
    const newt__classes *cs = f->c->jar.classes;
    size_t n = 0;

    while (o->classes && o->classes[n])
        n++;
    f->classes = calloc(n + 1, sizeof *f->classes);
    for (size_t i = 0; f->classes && i < n; i++) {
        const newt__class *k = newt__class_named(cs, o->classes[i], strlen(o->classes[i]));

        if (!(f->classes[f->n_classes++] = strdup(k ? k->name : o->classes[i])))
            return false;
    }
    if (!f->classes)
        return false;
    if (o->objects) {
        f->objects = malloc((o->n_objects + 1) * sizeof *f->objects);
        for (size_t i = 0; f->objects && i < o->n_objects; i++)
            f->objects[i] = o->objects[i].oid;
        if (f->objects)
            qsort(f->objects, o->n_objects, sizeof *f->objects, newt__by_oid);
    }
    f->kind = strdup(o->kind ? o->kind : "feed");
    f->follower = o->follower ? strdup(o->follower) : NULL;
    return f->kind && (f->follower || !o->follower) && (f->objects || !o->objects);
}

/* NULL, or what is wrong. */
static const char *
wrong(const newt_feed_options *o)
{
    if (o->follower && (!*o->follower || strlen(o->follower) > LONGEST_NAME))
        return "follower is empty, or longer than 255 bytes";
    if (o->start > NEWT_FEED_COPY)
        return "start is not one of newt_feed_start";
    if (o->want &
        ~(unsigned)(NEWT_FEED_RECORDS | NEWT_FEED_JSON | NEWT_FEED_OIDS | NEWT_FEED_EARLY))
        return "want has flags that this library does not know";
    if ((o->want & NEWT_FEED_OIDS) && (o->want & (NEWT_FEED_RECORDS | NEWT_FEED_JSON)))
        return "want asks for oids alone, and for records or JSON";
    if (o->batch_objects < 0 || o->batch_objects > MOST_OBJECTS)
        return "batch_objects is not from 0 to 1,000,000";
    if (o->batch_bytes < 0)
        return "batch_bytes is negative";
    return o->until < -1 ? "until is neither a tid nor -1" : NULL;
}

static int
take_options(newt_feed *f, const newt_feed_options *options, newt_error *e)
{
    newt_feed_options *o = &f->o;
    const char *what;

    if (options && newt__options_take(o, sizeof *o, options, "newt_feed_options", e) != NEWT_OK)
        return e->status;
    what = wrong(o);
    if (what)
        return newt__fail(e, NEWT_EINVAL, 0, "newt_feed_options: %s", what);
    if (o->token && !newt__token_read(o->token, &f->token)) {
        newt__fail(e, NEWT_EINVAL, 0, "\"%.60s\" is not a token of a feed", o->token);
        newt__fail_hint(e, "Tokens come from newt_batch.token and newt_feed_token().");
        return NEWT_EINVAL;
    }
    f->given = o->token != NULL;
    if (o->batch_objects == 0)
        o->batch_objects = OBJECTS;
    if (o->batch_bytes == 0)
        o->batch_bytes = BYTES;
    f->until = o->until;
    return copy_lists(f, o) ? NEWT_OK : newt__fail_memory(e);
}

int
newt_feed_open(newt_conn *c, newt_feed **out, const newt_feed_options *options)
{
    int status = newt__outside(c, NULL, "newt_feed_open");
    newt_error e = {0};
    newt_feed *f;

    *out = NULL;
    if (status != NEWT_OK)
        return status;
    f = calloc(1, sizeof *f);
    if (!f)
        return newt__base_fail_memory(&c->jar.base);
    f->c = c;
    f->fd = -1;
    f->alone = true;
    f->looked.texts.env = &newt__malloc_env;
    status = take_options(f, options, &e);
    /* "from now on" is from this call on */
    if (status == NEWT_OK && !f->follower && !f->given && f->o.start == NEWT_FEED_NOW)
        status = newt__feed_position(f, &e);
    if (status != NEWT_OK) {
        newt_feed_close(f);
        return newt__feed_fail(c, &e);
    }
    *out = f;
    return NEWT_OK;
}

void
newt_feed_close(newt_feed *f)
{
    if (!f)
        return;
    if (newt__process_is(&f->c->db->process) && f->c->jar.base.phase == NEWT__IDLE) {
        const newt__feed_type *type = f->c->jar.storage->feed;

        if (newt__feed_executes(f)) {
            type->undo(f->c->jar.session);
            f->c->writer = NULL;
        }
        if (f->follower && f->alone)
            type->release(f->c->jar.session, f->follower);
    }
    newt__feed_batch_free(f);
    if (f->fd >= 0)
        close(f->fd);
    for (size_t i = 0; i < f->n_classes; i++)
        free(f->classes[i]);
    free(f->classes);
    free(f->objects);
    free(f->follower);
    free(f->kind);
    free(f);
}

/* ---- for event loops -------------------------------------------------------------------- */

/* Sets when it is time to ask again. */
static void
arm(newt_feed *f, bool at_once)
{
    struct itimerspec t = {0};
    int64_t us = f->pause_us * 2;

    if (f->fd < 0)
        return;
    us = us < FIRST_PAUSE_US ? FIRST_PAUSE_US : us > LONGEST_PAUSE_US ? LONGEST_PAUSE_US : us;
    f->pause_us = at_once ? 0 : us;
    t.it_value.tv_sec = f->pause_us / 1000000;
    t.it_value.tv_nsec = f->pause_us % 1000000 * 1000 + at_once;
    timerfd_settime(f->fd, 0, &t, NULL);
}

int
newt_feed_fd(newt_feed *f)
{
    if (f->fd < 0) {
        f->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        arm(f, true);
    }
    return f->fd;
}

/* ---- who is in the way ------------------------------------------------------------------ */

/* us: since its transaction began; 0: that is not shown to everybody. */
static void
tell_holder(newt_feed *f, int64_t held_us, int64_t us)
{
    const newt_options *o = &f->c->db->options;
    newt_error e = {0};

    if (!o->notice)
        return;
    if (f->holder < 0)
        newt__fail(&e, NEWT_OK, 0, "a prepared transaction has held the commit lock for %lld s",
                   (long long)(held_us / 1000000));
    else
        newt__fail(&e, NEWT_OK, 0,
                   "the server process with PID %d has held the commit lock for %lld s", f->holder,
                   (long long)(held_us / 1000000));
    if (us > 0)
        newt__fail_detail(
            &e, "All commits of this store wait for it. Its transaction began %lld s ago.",
            (long long)(us / 1000000));
    else
        newt__fail_detail(&e, "All commits of this store wait for it.");
    if (f->holder < 0)
        newt__fail_hint(&e,
                        "See newt_prepared() and pg_prepared_xacts: a program that was to settle "
                        "it may have crashed.");
    else
        newt__fail_hint(&e,
                        "See pg_stat_activity; pg_terminate_backend(%d) ends it, and its "
                        "transaction is rolled back.",
                        f->holder);
    o->notice(&e, o->notice_arg);
    newt__error_clear(&e);
}

/* Nothing has been committed for a while: perhaps since nobody can. Who holds the lock at two looks
 * in a row, and nothing was committed in between, has held it all the while; how old his
 * transaction is does not tell, as he may have taken the lock just now. */
static int
look_for_holder(newt_feed *f, newt_error *e)
{
    int64_t us, now = newt__clock();
    int pid, status;

    if (now < f->look_at_us)
        return NEWT_OK;
    f->look_at_us = now + LOOK_US;
    status = f->c->jar.storage->feed->holder(f->c->jar.session, &pid, &us, e);
    if (status != NEWT_OK)
        return status;
    if (pid != f->holder) {
        f->holder = pid;
        f->holder_since_us = now;
        f->holder_told = false;
    }
    if (pid == 0 || f->holder_told || now - f->holder_since_us < HELD_US)
        return NEWT_OK;
    f->holder_told = true;
    tell_holder(f, now - f->holder_since_us, us);
    return NEWT_OK;
}

/* ---- the next batch --------------------------------------------------------------------- */

/* Waits for a transaction: 1, 0 or a status. */
static int
wait_for_more(newt_feed *f, int64_t until_us, newt_error *e)
{
    const newt__feed_type *type = f->c->jar.storage->feed;
    int found = 0, status = NEWT_OK;

    while (found == 0 && status == NEWT_OK) {
        int64_t left = (until_us - newt__clock()) / 1000;

        if (left <= 0) { /* perhaps the program waits elsewhere, and always asks with time-out 0 */
            status = look_for_holder(f, e);
            break;
        }
        found = type->wait(f->c->jar.session, f->cursor.after,
                           (int)(left < SLICE_MS ? left : SLICE_MS), e);
        if (found == 0)
            status = look_for_holder(f, e);
    }
    return status != NEWT_OK ? status : found;
}

static bool
has_more(const newt_feed *f)
{
    return f->fetched.next_transaction < f->fetched.n_transactions;
}

static int
advance(newt_feed *f, int timeout_ms, bool *any, newt_error *e)
{
    int64_t until_us = newt__clock() + (int64_t)timeout_ms * 1000;
    int status = newt__feed_claim(f, e);

    *any = false;
    if (status == NEWT_OK && !f->positioned)
        status = newt__feed_position(f, e);
    if (status == NEWT_OK && f->copying) {
        *any = true;
        return newt__feed_copy(f, e);
    }
    while (status == NEWT_OK && !f->ended) {
        status = newt__feed_fetch(f, e);
        if (status == NEWT_OK && has_more(f)) {
            *any = true;
            f->holder = 0; /* nobody is in the way */
            return newt__feed_batch(f, e);
        }
        if (status != NEWT_OK || f->ended)
            break;
        status = wait_for_more(f, until_us, e);
        if (status <= 0)
            break;
        status = NEWT_OK;
    }
    return status;
}

int
newt_feed_next(newt_feed *f, int timeout_ms, const newt_batch **batch)
{
    newt_conn *c = f->c;
    newt_error e = {0};
    bool any;
    int status = newt__outside(c, f, "newt_feed_next");

    *batch = NULL;
    if (status != NEWT_OK)
        return status;
    if (newt__feed_executes(f))
        newt__fail(&e, NEWT_EBUSY, 0, "newt_feed_exec has written something for the last batch");
    if (timeout_ms < 0)
        newt__fail(&e, NEWT_EINVAL, 0, "newt_feed_next with a time-out of %d ms", timeout_ms);
    if (e.status != NEWT_OK) {
        if (newt__feed_executes(f))
            newt__fail_hint(&e, "Call newt_feed_commit() before the next batch is asked for.");
        return newt__feed_fail(c, &e);
    }
    status = advance(f, timeout_ms, &any, &e);
    if (status != NEWT_OK) {
        newt__feed_lose(f);
        arm(f, false);
        return newt__feed_fail(c, &e);
    }
    arm(f, any && (f->copying || has_more(f)));
    if (any)
        *batch = &f->batch;
    return NEWT_OK;
}

bool
newt_feed_ended(const newt_feed *f)
{
    return f->ended;
}
