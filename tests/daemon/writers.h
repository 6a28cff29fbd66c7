/*
 * writers.h - threads that make, change and remove objects, inline and asynchronously, all on the
 * same objects; an updater is tried beside them
 */
#ifndef NEWT_TESTS_WRITERS_H
#define NEWT_TESTS_WRITERS_H

#include "daemon.h"

#include "../generate.h"

/* A program may want others. */
#ifndef CROWD_WRITERS
#    define CROWD_WRITERS 3
#    define CROWD_INLINE  1 /* of them: they write the projection themselves */
#    define CROWD_OBJECTS 60
#endif

enum {
    WRITERS = CROWD_WRITERS,
    INLINE_WRITERS = CROWD_INLINE,
    OBJECTS = CROWD_OBJECTS,
    PER_TRANSACTION = 5,
    GONE = 1
};

typedef struct writer {
    pthread_t thread;
    newt_db *db;
    generate random;
    struct crowd *all;
    const char *_Atomic why; /* it gave up; NULL: it did not */
    char message[256];
} writer;

/* One object of a transaction. */
typedef struct change {
    size_t slot;
    uint64_t kind; /* 0: it is removed once it is changed */
    int64_t oid;   /* what the slot is to hold afterwards */
} change;

/* Changes the object, or makes it where the slot is empty, and says which it is. */
typedef int change_object(newt_conn *c, writer *w, change *x);

/* All of them work on the same objects; a slot of 0 is to be filled. */
typedef struct crowd {
    newt_db *db[2]; /* inline, async */
    change_object *change;
    writer w[WRITERS];
    atomic_bool stop;
    atomic_long committed;
    atomic_long lost; /* connections, and statements that were cancelled */
    _Atomic int64_t slots[OBJECTS];
} crowd;

static int
change_item(newt_conn *c, writer *w, change *x)
{
    newt_ref r = {x->oid};
    struct item *o = newt_is_null(r) ? item_new(c) : item_write(c, item_of(r));
    char name[48];
    (void)w;
    if (!o)
        return newt_status(c);
    snprintf(name, sizeof name, "item %zu kind %d", x->slot, (int)x->kind);
    newt_set(o, name, name);
    o->n++;
    x->oid = item_id(o).any.oid;
    item_done(o);
    return NEWT_OK;
}

typedef struct transaction {
    writer *w;
    change changes[PER_TRANSACTION];
} transaction;

/* Some objects are made, changed or removed. */
static int
change_some(newt_conn *c, void *arg)
{
    transaction *m = arg;
    for (int k = 0; k < PER_TRANSACTION; k++) {
        change *x = &m->changes[k];
        _Atomic int64_t *slot = &m->w->all->slots[x->slot];
        int64_t oid = x->oid = atomic_load(slot);
        int status = m->w->all->change(c, m->w, x);
        if (status == NEWT_EMISSING) {
            /* another has removed it, or a crash has taken it back */
            atomic_compare_exchange_strong(slot, &oid, 0);
            return GONE;
        }
        if (status == NEWT_OK && x->kind == 0) {
            status = newt_delete(c, (newt_ref){x->oid});
            x->oid = 0;
        }
        if (status != NEWT_OK)
            return status;
    }
    return NEWT_OK;
}

static void *
write_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = NULL;
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    /* what writes as fast as it can leaves the updater little of a small machine */
    const double rest = getenv("NEWT_SOAK") ? 0 : 3;
    while (!atomic_load(&w->all->stop) && !w->why) {
        transaction m = {.w = w};
        double begun = now();
        for (int k = 0; k < PER_TRANSACTION; k++) {
            const size_t share = OBJECTS / PER_TRANSACTION;
            m.changes[k].slot = (size_t)k * share + generate_below(&w->random, share);
            m.changes[k].kind = generate_below(&w->random, 8);
        }
        if (!c && newt_connect(w->db, &c) != NEWT_OK) {
            atomic_fetch_add(&w->all->lost, 1);
            newt_close(c); /* the server is not up yet */
            c = NULL;
            pause_ms(5);
            continue;
        }
        int rc = newt_transact(c, change_some, &m, &patient);
        if (rc == NEWT_OK) {
            for (int k = 0; k < PER_TRANSACTION; k++)
                atomic_store(&w->all->slots[m.changes[k].slot], m.changes[k].oid);
            atomic_fetch_add(&w->all->committed, 1);
        } else if (rc == NEWT_EUNKNOWN || rc == NEWT_ELOST) {
            atomic_fetch_add(&w->all->lost, 1);
            newt_close(c); /* the server is restarting */
            c = NULL;
        } else if (rc == NEWT_ESQL &&
                   strcmp(newt_error_sqlstate(newt_conn_error(c)), "57014") == 0) {
            atomic_fetch_add(&w->all->lost, 1);
            newt_abort(c); /* somebody has cancelled the statement */
        } else if (rc != GONE) {
            snprintf(w->message, sizeof w->message, "%s: %s", newt_status_text(rc),
                     newt_error_message(newt_conn_error(c)));
            w->why = w->message;
        }
        pause_ms((long)(rest * 1000 * (now() - begun)));
    }
    newt_close(c);
    return NULL;
}

/* seed: of what they choose. The databases are theirs from now on. */
UNUSED static void
crowd_start_with(crowd *all, newt_db *inline_db, newt_db *async_db, change_object *fn,
                 uint64_t seed)
{
    memset(all, 0, sizeof *all);
    all->db[0] = inline_db;
    all->db[1] = async_db;
    all->change = fn;
    for (int i = 0; i < WRITERS; i++) {
        writer *w = &all->w[i];
        w->all = all;
        w->db = all->db[i >= INLINE_WRITERS];
        generate_init(&w->random, seed + (uint64_t)i + 1);
        assert_int_equal(pthread_create(&w->thread, NULL, write_on, w), 0);
    }
}

/* Items. */
UNUSED static void
crowd_start(crowd *all, const char *conninfo, uint64_t seed)
{
    crowd_start_with(all, open_db(conninfo, NULL, false), open_db(conninfo, NULL, true),
                     change_item, seed);
}

UNUSED static void
crowd_stop(crowd *all)
{
    atomic_store(&all->stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(all->w[i].thread, NULL);
    for (int i = 0; i < 2; i++)
        newt_db_close(all->db[i]);
    for (int i = 0; i < WRITERS; i++)
        if (all->w[i].why)
            fail_msg("writer %d: %s", i, all->w[i].why);
}

/* A writer that has given up is reported by crowd_stop, and waits for nothing. */
UNUSED static bool
crowd_well(const crowd *all)
{
    for (int i = 0; i < WRITERS; i++)
        if (all->w[i].why)
            return false;
    return true;
}

/* So many transactions more. */
UNUSED static void
crowd_wait(const crowd *all, long n)
{
    long until = atomic_load(&all->committed) + n;
    wait_until(atomic_load(&all->committed) >= until || !crowd_well(all));
}

#endif
