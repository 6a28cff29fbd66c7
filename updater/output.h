/*
 * output.h - where lines go: a regular file, a FIFO, or standard output
 *
 * A file belongs to one process (flock), and is cut back to what is complete. A pipe has what was
 * settled once its reader has taken it: what is in it when it breaks is written again.
 */
#ifndef NEWT_UPDATER_OUTPUT_H
#define NEWT_UPDATER_OUTPUT_H

#include "lines.h"
#include "sink.h"

#include <sys/types.h>

typedef struct output {
    const char *path;
    int fd;       /* -1: not open */
    bool regular; /* a file that is read again, cut, and synced */
    bool standard;
    bool refused; /* opening it is, and time alone does not change that */
    dev_t device;
    ino_t inode;
    off_t settled; /* of a regular file: what follows this is not complete */
} output;

/* Opens it. Of a regular file *last is the last mark, after which all has been cut off, and *found
 * tells whether there is one. */
sink_status output_open(output *o, sink_trouble *t, mark *last, bool *found);
void output_close(output *o);
/* The path leads to another file than that which is open, or that was cut by someone else. */
bool output_moved(const output *o);
/* Writes at least some of n bytes from *done on, and says how far it is in *done. In trouble the
 * output is as it was when it was settled last, and *done is 0. */
sink_status output_write(output *o, sink_trouble *t, const char *p, size_t n, size_t *done);
/* n bytes were written, and stay: they are durable (of a file, if that is wanted), or have been
 * read. In trouble *done is 0: they are to be written again. */
sink_status output_settle(output *o, sink_trouble *t, size_t n, bool durable, size_t *done);
/* Takes the last mark and what belongs to it away, if the one before it is of a copy that had come
 * to this oid. */
bool output_back(output *o, int64_t up_to);

#endif
