/*
 * outputs.h - newt-updater with the sink ndjson and an output of the test
 */
#ifndef NEWT_TESTS_OUTPUTS_H
#define NEWT_TESTS_OUTPUTS_H

#include "lines.h"
#include "writers.h"

static uint64_t seed;
static char output[64], output_option[96];

static int
make_output(void **state)
{
    (void)state;
    strcpy(output, "/tmp/newt-sinks.XXXXXX");
    close(mkstemp(output));
    unlink(output);
    snprintf(output_option, sizeof output_option, "--output=%s", output);
    return 0;
}

static int
remove_output(void **state)
{
    (void)state;
    unlink(output);
    unsetenv("NEWT_UPDATER_FAULT");
    return 0;
}

static int64_t
position(PGconn *pg, const char *name)
{
    return sql_number(pg, "SELECT tid FROM newt_follower WHERE name = '%s'", name);
}

#define WITH_OUTPUT(test) cmocka_unit_test_setup_teardown(test, make_output, remove_output)

#endif
