/* clock.h - what time it is, in seconds */
#ifndef NEWT_UPDATER_CLOCK_H
#define NEWT_UPDATER_CLOCK_H

double clock_now(void);  /* of a clock that is never set */
double clock_time(void); /* since 1970 */

#endif
