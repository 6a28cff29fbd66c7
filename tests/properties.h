/*
 * properties.h - what holds for any bytes given to the codec
 *
 * Said once, for random records, for damaged ones, for the kept corpus and for the fuzzers. A
 * property that does not hold is printed with the bytes, and the program aborts.
 *
 *   - The reader, the projection and the writer say the same of a record, and an error's offset
 *     lies in it or just after it.
 *   - A record that is accepted comes back with the same bytes from its tokens, and as one item.
 *   - Its projection is JSON (jansson says so too), keeps the promises that a recorder checks, and
 *     is the same through both sinks; item by item it is the same as whole.
 *   - With a limit of exactly its size the JSON text is given, with one byte less it is not.
 *   - A record that the writer calls not lossy has no rejects.
 */
#ifndef NEWT_TESTS_PROPERTIES_H
#define NEWT_TESTS_PROPERTIES_H

#include "../codec/codec.h"

/* What the codec says of these bytes. */
newt__code properties_hold(const void *data, size_t n);

#endif
