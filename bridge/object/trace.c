/*
 * trace.c - tells the program of each call to the storage
 */
#include "object.h"

newt__call
newt__call_traced(newt__jar *c)
{
    c->handed = c->handed_bytes = 0;
    return (newt__call){.began_us = newt__clock(),
                        .round_trips = c->stats.round_trips,
                        .statements = c->stats.statements};
}

void
newt__call_tell(newt__jar *c, const newt__call *x, const char *name, const char *sql, int status)
{
    newt_call told = {.size = sizeof told,
                      .name = name,
                      .sql = sql,
                      .status = status,
                      .us = newt__clock() - x->began_us,
                      .objects = c->handed,
                      .bytes = c->handed_bytes,
                      .round_trips = c->stats.round_trips - x->round_trips,
                      .statements = c->stats.statements - x->statements};

    c->options->trace(&told, c->options->trace_arg);
}
