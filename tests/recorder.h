/*
 * recorder.h - a sink that believes nothing
 *
 * It writes down the document as JSON text and the rejects as lines, with code of its own, and
 * checks on the way that the events are in the order of a JSON document, that strings are what
 * codec.h promises, that keys are in order and none is twice, and that a reject's path is the way
 * to where the document stands. A broken promise is in `broken`, and stops the projection.
 */
#ifndef NEWT_TESTS_RECORDER_H
#define NEWT_TESTS_RECORDER_H

#include "../codec/codec.h"

enum {
    RECORDER_DEPTH = 4 * NEWT__MAX_DEPTH /* a level of a record is at most three in JSON */
};

typedef struct recorder {
    const char *broken; /* the first promise not kept */
    char *json;         /* NUL-terminated once there is anything */
    size_t n, cap;
    char *rejects; /* "path,to,0: reason\n" each; "" if there was none */
    size_t n_rejects, cap_rejects;
    long events, restarts, n_reject;
    long stop_at; /* this event returns non-zero; 0: none */
    long stop_at_reject;
    const char *record; /* where in_record strings must lie */
    size_t n_record;
    bool done;
    size_t depth;
    struct recorder_level {
        bool object, value_next;
        uint64_t index;
        char *key; /* the current one, as it stands in JSON */
        size_t n_key;
        char *last; /* the last one that is in jsonb's order */
        size_t n_last;
        unsigned own; /* of the keys that only the codec makes: which there were */
    } level[RECORDER_DEPTH];
} recorder;

/* Zero-initialise, or free, before the first use. */
void recorder_begin(recorder *r, newt__sink *sink, const void *record, size_t n);
void recorder_end(recorder *r); /* a document that did not end is a broken promise */
void recorder_free(recorder *r);

#endif
