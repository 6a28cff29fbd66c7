/*
 * sink.h - the seam: what the updater writes
 *
 * A sink is a struct that begins with a `sink`, and a constant table of functions. The updater
 * calls them in this order:
 *
 *   open                                  once
 *   begin                                 before the feed is opened, also after every trouble
 *   (apply, commit) or idle, ...          for each batch, or where there is none
 *   reopen                                SIGHUP: begin comes next, with other settings perhaps
 *   close
 *
 * What a sink cannot do now it says with SINK_WAIT, and the same call comes again.
 */
#ifndef NEWT_UPDATER_SINK_H
#define NEWT_UPDATER_SINK_H

#include "fault.h"
#include "settings.h"

#include <newtdb.h>

typedef enum sink_status {
    SINK_OK,
    SINK_STORE, /* the store's trouble: the connection's error says which */
    SINK_BEGIN, /* where the output stands is to be asked anew: begin, with another feed */
    SINK_TAKEN, /* another process writes there: to wait until it ends */
    SINK_WAIT,  /* trouble that may pass, or without a message a slow reader: to call again */
    SINK_END    /* waiting cannot help */
} sink_status;

/* With SINK_WAIT, SINK_TAKEN and SINK_END, and with SINK_OK of begin and idle, where it is a
 * warning; message "": nothing is wrong. */
typedef struct sink_trouble {
    char message[512];
    const char *detail, *hint;
} sink_trouble;

typedef struct sink_type sink_type;

typedef struct sink {
    const sink_type *type;
    sink_trouble trouble;
    newt_conn *culprit; /* with SINK_STORE: whose error it is; the updater closes it.
                         * NULL: the feed's */
    fault *fault;
    int64_t rest_ms; /* idle has more to do, after so long; 0: it has not */
} sink;

/* Where a batch comes from. */
typedef struct sink_source {
    const settings *set;
    newt_db *db;
    newt_conn *c;
    newt_feed *feed;
} sink_source;

struct sink_type {
    const char *name; /* of --sink, and newt_follower.kind */
    unsigned want;    /* NEWT_FEED_RECORDS ... */
    /* The sink, before anything is connected; NULL: no memory. */
    sink *(*open)(const settings *set, fault *f);
    /* Gets hold of the output. *token: where it stands, if it knows that better than the store;
     * else NULL. anew: that position is lost, and a copy comes. Valid until the next call. */
    sink_status (*begin)(sink *s, bool anew, const char **token);
    /* Writes a batch. What it did is added to *done. */
    sink_status (*apply)(sink *s, const sink_source *from, const newt_batch *b,
                         newt_progress *done);
    /* What was applied is durable; then the feed's position. */
    sink_status (*commit)(sink *s, const sink_source *from, const newt_batch *b);
    /* Nothing is waiting. */
    sink_status (*idle)(sink *s, const sink_source *from, newt_progress *done);
    void (*reopen)(sink *s, const settings *set);
    void (*close)(sink *s);
};

/* Adds what was done to objects. */
static inline void
sink_count(newt_progress *sum, const newt_progress *p)
{
    sum->written += p->written;
    sum->removed += p->removed;
    sum->rejects += p->rejects;
    sum->refused += p->refused;
}

extern const sink_type projection_sink, ndjson_sink, tables_sink, derived_sink;

#endif
