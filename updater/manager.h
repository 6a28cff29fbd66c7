/*
 * manager.h - what the service manager is told: sd_notify(3), which is a datagram to the socket
 * that NOTIFY_SOCKET names
 */
#ifndef NEWT_UPDATER_MANAGER_H
#define NEWT_UPDATER_MANAGER_H

#include <stdbool.h>

typedef struct manager {
    int fd;            /* -1: nobody listens */
    double watchdog_s; /* half of what it waits; 0: there is no watchdog */
    double alive;      /* when it was last told */
    bool ready;        /* that has been told */
} manager;

void manager_init(manager *m);
/* It works, as a standby, too; the first time is the end of the start. */
void manager_status(manager *m, const char *status);
/* Called where the loop comes by: a loop that stands still is started again. */
void manager_alive(manager *m, double now);
void manager_stopping(manager *m);

#endif
