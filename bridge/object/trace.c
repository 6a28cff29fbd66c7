/*
 * trace.c - tells the program of each call to the storage
 */
#include "object.h"

newt__call
newt__call_begin(newt__jar *c)
{
    if (!c->options->trace)
        return (newt__call){0};
    c->handed = c->handed_bytes = 0;
    return (newt__call){.began_us = newt__clock(),
                        .round_trips = c->stats.round_trips,
                        .statements = c->stats.statements};
}

int
newt__call_end(newt__jar *c, const newt__call *x, const char *name, const char *sql, int status)
{
    newt_call told = {.size = sizeof told, .name = name, .sql = sql, .status = status};

    if (!c->options->trace)
        return status;
    told.us = newt__clock() - x->began_us;
    told.objects = c->handed;
    told.bytes = c->handed_bytes;
    told.round_trips = c->stats.round_trips - x->round_trips;
    told.statements = c->stats.statements - x->statements;
    c->options->trace(&told, c->options->trace_arg);
    return status;
}
