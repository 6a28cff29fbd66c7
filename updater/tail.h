/* tail.h - the last mark of a file of lines, read from its end */
#ifndef NEWT_UPDATER_TAIL_H
#define NEWT_UPDATER_TAIL_H

#include "lines.h"

#include <sys/types.h>

/* The last complete mark within the first `size` bytes; false: there is none. *begin and *end: of
 * its line; either may be NULL. */
bool tail_last(int fd, off_t size, mark *m, off_t *begin, off_t *end);

#endif
