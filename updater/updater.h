/*
 * updater.h - the updater as a whole: a state machine whose phases are in follow.c and tasks.c
 *
 * It keeps nothing but counters: what was done is in the store, and in the output.
 */
#ifndef NEWT_UPDATER_UPDATER_H
#define NEWT_UPDATER_UPDATER_H

#include "clock.h"
#include "manager.h"
#include "metrics.h"
#include "report.h"
#include "serve.h"
#include "sink.h"

enum {
    EXIT_DONE = 0,
    EXIT_PERMANENT = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3,
    EXIT_DIFFERENT = 4 /* --check has found something */
};

typedef enum phase {
    ATTACH,  /* connect */
    REJECTS, /* try the refused rows again */
    SWEEP,   /* --check, --compute-missing, --reproject: the next objects */
    COMPARE, /* --check of NDJSON */
    BEGIN,   /* ask the sink where it stands, open the feed */
    FOLLOW,  /* fetch a batch */
    APPLY,
    COMMIT,
    IDLE,
    END,
    N_PHASES
} phase;

typedef struct updater {
    settings set;
    int argc;
    char **argv;
    report report;
    fault fault;
    manager manager;
    serve *serve; /* or NULL */
    metrics metrics;

    newt_db *db;
    newt_conn *c;
    newt_feed *feed;
    sink *sink;
    const newt_batch *batch;

    phase phase;
    int64_t wait_ms; /* before the next phase */
    int status;      /* to exit with */
    int64_t pause_ms, back_off_ms;
    bool attached; /* once at least: from then on a lost server is waited for */
    bool active;   /* this process follows; it has been said */
    bool standby;  /* another one does; it has been said */
    bool stuck;    /* the output is in trouble; it has been said */
    bool anew;     /* the position is lost: a copy comes */
    bool copying;
    double copy_begun;
    int64_t copy_objects;
    bool no_prune, no_health;
    bool classes_seen; /* it has been said which of them there are not */

    newt_sweep sweep;
    double start, since, batch_begun;
    double publish_at, health_at, prune_at; /* when it is time to */
    newt_progress sum, all, batch_done;     /* since `since`; since `start`; of this batch */
    report_done progress;
    bool by_oid; /* progress is counted in oids; else in transactions */
    bool catching_up;
    bool
        tried_again; /* since the last commit, after an error that is not of the connection alone */
} updater;

/* newt-updater.c */
phase updater_fail(updater *u, const newt_error *e); /* ends it, or waits and connects again */
phase updater_wait(updater *u, int64_t ms, phase next);
phase updater_back_off(updater *u, phase next); /* waits, each time twice as long */
/* All objects are gone through in the order of their oids: up to this one. 0: it is not known. */
int64_t updater_greatest_oid(updater *u);

/* follow.c */
phase follow_begin(updater *u);
phase follow_next(updater *u);
phase follow_apply(updater *u);
phase follow_commit(updater *u);
phase follow_idle(updater *u);

/* tasks.c */
phase task_rejects(updater *u);
phase task_sweep(updater *u);
phase task_compare(updater *u);
/* Warns of those of these classes that are not registered and have no rows. False: there are some.
 */
bool task_classes(updater *u, const char *const *classes);

/* compare.c: the files of the sink ndjson against the store. False: the store's trouble. */
typedef struct comparison {
    int64_t looked, missing, wrong, extra, later; /* later: changed since the files end */
    bool whole;        /* the files begin with a copy: what is missing is known */
    char trouble[512]; /* with a file; "": none */
} comparison;
bool compare_files(updater *u, comparison *out);

/* care.c: metrics, retention, the service manager */
void care_start(updater *u);
void care(updater *u);       /* between two batches, where the connection has nothing else to do */
void care_pulse(updater *u); /* anywhere: the loop moves */
bool care_prune(updater *u); /* true: there may be more */
void care_end(updater *u);

/* say.c: log lines */
void say_error(updater *u, report_level level, const newt_error *e, int64_t pause_ms);
void say_notice(const newt_error *e, void *arg); /* newt_options.notice */
void say_trouble(updater *u, report_level level, const sink_trouble *t, int64_t pause_ms);
void say_work(updater *u, const char *message, const newt_progress *p, double seconds);
void say_end(updater *u, const char *message);
void say_following(updater *u, const newt_health *h);
void say_sweep(updater *u, const char *message);
void say_comparison(updater *u, const comparison *c);

/* nagios.c: the plugin's line on stdout; its exit status */
int nagios(const settings *set);

#endif
