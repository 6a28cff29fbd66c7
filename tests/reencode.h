/*
 * reencode.h - a record read token by token and written again
 *
 * The profile is deterministic: every record that the reader accepts comes back with the same
 * bytes when its tokens are given to the writer. One function, so that unit tests, properties and
 * the fuzzers all hold the codec to it.
 */
#ifndef NEWT_TESTS_REENCODE_H
#define NEWT_TESTS_REENCODE_H

#include "../codec/codec.h"

/* Reads the record and writes it into w (new, or used before). If the reader refuses, *fault says
 * why; if the writer does, w->fault. */
newt__code reencode_record(const newt__env *env, const void *record, size_t n, newt__writer *w,
                           newt__fault *fault);

#endif
