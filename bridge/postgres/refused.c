/*
 * refused.c - which object a row belongs to that the server has refused
 *
 * An index, a constraint or a trigger of the DBA's on the projection may refuse a row, and the
 * server's error does not say which of the statement's rows it was. So the commit's batches are
 * sent once more, in a transaction that is rolled back in any case: a batch that fails goes back to
 * a savepoint and is sent again with statements for one object each, in one round trip. The first
 * of them that fails with the same error names the object. A commit that is not refused pays
 * nothing for this, and one of a single object does not need it.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

typedef struct search {
    newt__session *c;
    newt__batch *batch;
    int64_t serial;
    newt_error *e; /* what is looked for */
} search;

static void
found(search *s, size_t i)
{
    const newt__entry *entry = &s->batch->entries[i];
    newt_error named = {0};
    const char *class_name = "object";
    size_t n = strlen(class_name);
    bool known = !newt__batch_removes(s->batch, i);

    if (known)
        class_name = newt__batch_class(s->batch, i, &n);
    newt__fail(&named, s->e->status, entry->oid, "%.*s %lld: %s", (int)n, class_name,
               (long long)entry->oid, newt_error_message(s->e));
    if (named.message) { /* else there is no memory for more than the server's words */
        free(s->e->message);
        s->e->message = named.message;
        named.message = NULL;
    }
    s->e->oid = entry->oid;
    if (known)
        newt__fail_class(s->e, class_name, n);
    newt__error_clear(&named);
}

/* Anything else that fails here says nothing about the first error. */
static bool
is_the_same(const search *s, const newt_error *e)
{
    return strcmp(e->sqlstate, s->e->sqlstate) == 0 &&
           strcmp(newt_error_constraint(e), newt_error_constraint(s->e)) == 0;
}

/* Back to before the batch, sends its objects one by one, in the order in which the batch wrote
 * their rows: a value that one gives up may be taken by one that comes later. The place of the
 * first that fails in this way, or n. */
static size_t
one_by_one(search *s)
{
    newt__session *c = s->c;
    newt__batch *b = s->batch;
    size_t *order = malloc((b->n + 1) * sizeof *order), n = 0, at = 0, failed = b->n;
    int64_t *ends = malloc((b->n + 1) * sizeof *ends);
    int64_t taken;

    if (!order || !ends)
        goto out;
    newt__send(c, NEWT__S_ROLLBACK_TO, NULL);
    taken = c->talk->asked;
    for (int step = 0; step < NEWT__N_STEPS; step++)
        for (size_t i = 0; i < b->n; i++)
            if ((int)newt__batch_step(b, i) == step)
                order[n++] = i;
    for (size_t i = 0; i < n; i++) {
        if (newt__batch_send_one(b, order[i], s->serial) != NEWT_OK)
            n = i; /* a to_json that worked before: those sent so far may do */
        ends[i] = c->talk->asked;
    }
    newt__sync(c);
    newt__take_done(c);
    for (; at < n && failed == b->n; at++)
        for (; taken < ends[at] && failed == b->n; taken++)
            if (!newt__take_done(c))
                failed = order[at];
    if (failed < b->n && !is_the_same(s, &c->talk->error))
        failed = b->n;
out:
    newt__take_rest(c);
    newt__error_clear(&c->talk->error);
    free(order);
    free(ends);
    return failed;
}

/* NEWT_OK: all batches were written, so there is nothing to be found any more. */
static int
batches(search *s)
{
    newt__session *c = s->c;
    newt__batch *b = s->batch;
    int status = newt__batch_begin(b, c, b->writes);
    size_t i;

    while (status == NEWT_OK && (status = newt__batch_next(b)) == NEWT_OK && b->n > 0) {
        newt__send(c, NEWT__S_SAVEPOINT, NULL);
        status = newt__batch_send(b, s->serial);
        newt__sync(c);
        newt__take_rest(c);
        if (status == NEWT_OK)
            status = c->talk->error.status;
        if (c->talk->error.status == NEWT_OK)
            continue;
        if (c->broken || !is_the_same(s, &c->talk->error))
            break;
        newt__error_clear(&c->talk->error);
        i = one_by_one(s);
        if (i < b->n)
            found(s, i);
    }
    return status;
}

void
newt__refused(newt__batch *b, int64_t serial, newt_error *e)
{
    newt__session *c = b->c;
    search s = {.c = c, .batch = b, .serial = serial, .e = e};
    newt_error kept = {0};

    if (b->made == 1 && b->last && b->n == 1) {
        found(&s, 0);
        return;
    }
    if (c->broken)
        return;
    newt__error_move(&kept, &c->error);
    newt__talk_begin(c);
    if (c->in_transaction)
        newt__send(c, NEWT__S_ROLLBACK, NULL);
    newt__send(c, NEWT__S_BEGIN_WRITE, NULL);
    c->in_transaction = true;
    (void)batches(&s);
    newt__take_rest(c);
    newt__error_clear(&c->talk->error);
    c->reopen |= c->talk->outdated; /* the next transaction is to look; this one has its error */
    c->talk->outdated = false;
    if (!c->broken) {
        newt__send(c, NEWT__S_ROLLBACK, NULL);
        newt__sync(c);
        newt__forget(c);
    }
    c->in_transaction = false;
    newt__error_move(&c->error, &kept);
}
