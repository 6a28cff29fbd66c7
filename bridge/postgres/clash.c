/*
 * clash.c - which objects others have changed, when a comparison of the commit has failed
 *
 * The server compares serials, and raises without saying where. So it is asked, in one round trip
 * after the rollback. Nothing is locked meanwhile: another commit in between is another clash.
 */
#include "batch.h"

enum {
    MOST_ASKED = 10000 /* objects, at once */
};

/* What is asked about objects: their oids, the serials they were read with, and which records are
 * wanted. */
typedef struct question {
    newt__array oids, serials, wanted;
} question;

static void
question_begin(question *a)
{
    newt__array *arrays[] = {&a->oids, &a->serials, &a->wanted};

    for (int i = 0; i < 3; i++) {
        arrays[i]->buf.env = &newt__malloc_env;
        newt__array_begin(arrays[i], NEWT__OID_INT8);
    }
}

static void
question_add(question *a, int64_t oid, int64_t serial, bool wanted)
{
    newt__array_int(&a->oids, oid);
    newt__array_int(&a->serials, serial);
    newt__array_int(&a->wanted, wanted);
}

static void
question_send(question *a, newt__session *c)
{
    newt__params p = {0};

    newt__param_array(&p, &a->oids);
    newt__param_array(&p, &a->serials);
    newt__param_array(&p, &a->wanted);
    newt__send(c, NEWT__S_CONFLICTS, &p);
    newt__buffer_free(&a->oids.buf);
    newt__buffer_free(&a->serials.buf);
    newt__buffer_free(&a->wanted.buf);
}

/* Without an answer there are none. */
static int
hand_over(const newt__writes *w, const PGresult *r, bool only_read)
{
    int status = 0;

    for (int i = 0; r && status == 0 && i < PQntuples(r); i++) {
        newt__found x = {.oid = newt__field_int(r, i, 0),
                         .serial = newt__field_int(r, i, 1),
                         .record = PQgetisnull(r, i, 2) ? NULL : PQgetvalue(r, i, 2),
                         .n = (size_t)PQgetlength(r, i, 2)};

        status = w->clash(w->arg, &x, only_read);
    }
    return status;
}

/* Asks about objects that were written, and (read not NULL) that were only read. */
static int
ask(newt__batch *b, question *written, question *read)
{
    newt__session *c = b->c;
    PGresult *r, *current = NULL;
    int status;

    newt__talk_begin(c);
    if (c->in_transaction)
        newt__send(c, NEWT__S_ROLLBACK, NULL);
    question_send(written, c);
    if (read)
        question_send(read, c);
    newt__sync(c);
    if (c->in_transaction)
        newt__take_done(c);
    c->in_transaction = false;
    r = newt__take(c);
    if (read)
        current = newt__take(c);
    newt__take_rest(c);
    newt__error_clear(&c->talk->error);
    status = hand_over(b->writes, r, false);
    if (status == 0)
        status = hand_over(b->writes, current, true);
    PQclear(r);
    PQclear(current);
    return status;
}

/* The stored objects of the present batch; false: new ones follow, so there are no more. */
static bool
add_batch(question *a, const newt__batch *b)
{
    for (size_t i = 0; i < b->n_stored; i++)
        question_add(a, b->entries[i].oid, b->entries[i].serial, b->entries[i].wants_record);
    return b->n_stored == b->n;
}

/* Of a commit of many batches, of which the present one is not the first. Not 0: a status, or the
 * callback has heard enough. */
static int
ask_from_the_first(newt__batch *b)
{
    int status = newt__batch_begin(b, b->c, b->writes);
    bool more = true;

    while (status == NEWT_OK && more) {
        question a = {0};

        question_begin(&a);
        while (status == NEWT_OK && more && a.oids.n < MOST_ASKED) {
            status = newt__batch_next(b);
            if (status == NEWT_OK)
                more = add_batch(&a, b) && !b->last;
        }
        if (ask(b, &a, NULL) != 0)
            return 1;
    }
    return status;
}

int
newt__clashes(newt__batch *b)
{
    const newt__writes *w = b->writes;
    question written = {0}, read = {0};
    int64_t oid, serial;
    int status = NEWT_OK;

    if (!(b->made == 1 && b->last))
        status = ask_from_the_first(b);
    if (status != NEWT_OK || (w->n_current == 0 && !(b->made == 1 && b->last)))
        return status;
    question_begin(&written);
    question_begin(&read);
    if (b->made == 1 && b->last)
        add_batch(&written, b);
    for (size_t i = 0; i < w->n_current; i++)
        if (w->current(w->arg, i, &oid, &serial))
            question_add(&read, oid, serial, false);
    ask(b, &written, &read);
    return NEWT_OK;
}
