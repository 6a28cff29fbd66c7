/* signals.c - flags that signals set, and a sleep that they end */
#include "signals.h"

#include <stddef.h>
#include <sys/select.h>
#include <time.h>

volatile sig_atomic_t signal_stop, signal_reload;

static void
on_stop(int number)
{
    signal_stop = number;
}

static void
on_reload(int number)
{
    (void)number;
    signal_reload = 1;
}

void
signals_catch(void)
{
    /* a second request to stop, while the server keeps the first one waiting, is not caught */
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
    struct sigaction again = {.sa_handler = on_reload}, ignore = {.sa_handler = SIG_IGN}, was;
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a file that may not grow is an error like a full disk */
    if (sigaction(SIGHUP, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &again, NULL);
}

void
signals_sleep(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    sigset_t caught, before;
    sigemptyset(&caught);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &caught, &before);
    if (!signal_stop && !signal_reload)
        pselect(0, NULL, NULL, NULL, &time, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
