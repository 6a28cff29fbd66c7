/*
 * fault.h - places where a test ends the process as kill -9 does
 *
 * NEWT_UPDATER_FAULT=STEP[:N] in the environment: the N-th time (default: 1) that the process comes
 * to this step it kills itself. Without it a step is one comparison.
 */
#ifndef NEWT_UPDATER_FAULT_H
#define NEWT_UPDATER_FAULT_H

#include <stdbool.h>

typedef enum fault_step {
    FAULT_FETCH = 1, /* a batch is there */
    FAULT_WRITE,     /* between two writes of a batch; of the projection: between two parts */
    FAULT_APPLY,     /* the batch is written */
    FAULT_SYNC,      /* ... and durable */
    FAULT_COMMIT,    /* all that the position's transaction has is sent, but COMMIT */
    FAULT_COMMITTED
} fault_step;

typedef struct fault {
    fault_step step; /* 0: none */
    long left;
} fault;

/* False: the variable is not as it should be. */
bool fault_init(fault *f);
void fault_at(fault *f, fault_step step);

#endif
