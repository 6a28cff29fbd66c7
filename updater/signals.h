/* signals.h - what the updater is asked by signals */
#ifndef NEWT_UPDATER_SIGNALS_H
#define NEWT_UPDATER_SIGNALS_H

#include <signal.h>
#include <stdint.h>

extern volatile sig_atomic_t signal_stop;   /* SIGTERM, SIGINT: its number */
extern volatile sig_atomic_t signal_reload; /* SIGHUP */

void signals_catch(void);
/* Sleeps; a signal that comes now or came before ends it. */
void signals_sleep(int64_t ms);

#endif
