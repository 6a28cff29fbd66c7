/*
 * settings.h - what the command line and the configuration file ask for
 *
 * One table (settings.c) has every option: how it is written, what it may be, where it is kept and
 * what the help says of it. A key of the configuration file is an option's long name.
 */
#ifndef NEWT_UPDATER_SETTINGS_H
#define NEWT_UPDATER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SETTINGS_LIST = 64 /* most values of an option that may be repeated */
};

typedef struct settings {
    const char *connection, *schema, *name, *config, *sink, *log_format;
    const char *status_file, *listen, *nagios;
    const char *output[SETTINGS_LIST + 1]; /* lists end with NULL */
    const char *classes[SETTINGS_LIST + 1], *reproject[SETTINGS_LIST + 1];
    int64_t batch, batch_bytes, interval_ms, max_pause_ms, summary_s, workers, throttle;
    int64_t warning_s, critical_s; /* of nagios */
    bool once, retry_rejects, compute_missing, check, dry_run;
    bool transaction_pooling, retention, help, version;
    char *text; /* of the configuration file: values point into it */
} settings;

/* Why settings are refused. */
typedef struct complaint {
    char message[512], hint[256];
} complaint;

/* Reads the command line, then the file that it names; the command line wins. Values point into
 * argv and the file's text. False: *why says what is wrong, and there is nothing to free. */
bool settings_read(settings *s, int argc, char **argv, complaint *why);
void settings_free(settings *s);

void settings_help(void); /* on stdout */

#endif
