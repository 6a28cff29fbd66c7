/* settings.c - the table of options; the command line and the configuration file */
#include "settings.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_kind {
    TEXT,
    CHOICE, /* one of the words in `choices` */
    NUMBER,
    ON,  /* a bool that the option sets */
    OFF, /* ... clears; no key of the file, where ON's key is given the value off */
    LIST /* text, may be repeated */
} option_kind;

enum {
    NOT_IN_FILE = 1 /* flags: no key of the file */
};

typedef struct option_row {
    const char *name;
    char letter; /* 0: none */
    option_kind kind;
    size_t at;            /* in settings */
    const char *argument; /* as the help calls it */
    int64_t least, most, usual;
    const char *choices; /* separated by spaces */
    unsigned flags;
    const char *help;
} option_row;

#define AT(member) offsetof(settings, member)
#define MIB(n)     ((int64_t)(n)*1024 * 1024)

/* clang-format off */
static const option_row rows[] = {
    {"schema", 's', TEXT, AT(schema), "NAME", .help = "schema of the store (default: public)"},
    {"name", 'n', TEXT, AT(name), "NAME",
     .help = "follower whose position is used (default: newt-updater,\nwith --sink=ndjson newt-ndjson, with --sink=tables\nnewt-tables, with --sink=derived newt-derived)"},
    {"config", 'f', TEXT, AT(config), "FILE", .flags = NOT_IN_FILE,
     .help = "read options from a file, lines of NAME = VALUE; the\ncommand line wins"},
    {"connection", 0, TEXT, AT(connection), "STRING", .help = "the same as the argument CONNECTION"},
    {"sink", 0, CHOICE, AT(sink), "KIND", .choices = "projection ndjson tables derived",
     .help = "what is written: projection, ndjson, tables or derived\n(default: projection)"},
    {"output", 'o', LIST, AT(output), "PATH",
     .help = "of ndjson: a file, a FIFO, or - for standard output; for\n--check it may be repeated, the oldest file first"},
    {"workers", 'w', NUMBER, AT(workers), "N", 1, 64, 1,
     .help = "connections that write a backlog of rows (default: 1)"},
    {"batch", 'b', NUMBER, AT(batch), "N", 1, 1000000, 20000,
     .help = "objects in one batch, about (default: 20000)"},
    {"batch-bytes", 0, NUMBER, AT(batch_bytes), "N", 1, MIB(1024), MIB(16),
     .help = "bytes of JSON in a batch, about (default: 16777216)"},
    {"class", 'c', LIST, AT(classes), "NAME",
     .help = "objects of this class alone (ndjson, --check,\n--compute-missing); may be repeated"},
    {"once", '1', ON, AT(once), .help = "write all that is committed, then exit"},
    {"retry-rejects", 'r', ON, AT(retry_rejects),
     .help = "first try all objects again whose JSONB the database refused"},
    {"check", 0, ON, AT(check), .flags = NOT_IN_FILE,
     .help = "compare every row with its record, or with --sink=ndjson the\nfiles with the store; write nothing, then exit"},
    {"compute-missing", 0, ON, AT(compute_missing), .flags = NOT_IN_FILE,
     .help = "write the rows that are missing or out of date, then exit"},
    {"reproject", 0, LIST, AT(reproject), "CLASS", .flags = NOT_IN_FILE,
     .help = "compute the rows of this class again, seen all at once at\nthe end, then exit; may be repeated"},
    {"throttle", 0, NUMBER, AT(throttle), "PERCENT", 1, 100, 15,
     .help = "of the time that --reproject may work (default: 15)"},
    {"dry-run", 0, ON, AT(dry_run), .flags = NOT_IN_FILE,
     .help = "count what --compute-missing or --reproject would write"},
    {"transaction-pooling", 0, ON, AT(transaction_pooling),
     .help = "connect through PgBouncer or the like in transaction mode"},
    {"retention", 0, ON, AT(retention), .usual = 1,
     .help = "remove transactions that need not be kept (the default)"},
    {"no-retention", 0, OFF, AT(retention), .flags = NOT_IN_FILE, .help = "leave them alone"},
    {"interval", 'i', NUMBER, AT(interval_ms), "MS", 1, 60000, 10,
     .help = "shortest pause between two looks (default: 10)"},
    {"max-pause", 'm', NUMBER, AT(max_pause_ms), "MS", 1, 600000, 250,
     .help = "longest pause, when nothing happens (default: 250)"},
    {"summary", 'S', NUMBER, AT(summary_s), "SECONDS", 0, 86400, 60,
     .help = "time between two lines about the work done, 0: none\n(default: 60)"},
    {"log-format", 'l', CHOICE, AT(log_format), "FORMAT", .choices = "text json",
     .help = "text or json (default: text)"},
    {"status-file", 0, TEXT, AT(status_file), "FILE",
     .help = "keep Prometheus's metrics in this file"},
    {"listen", 0, TEXT, AT(listen), "[HOST:]PORT",
     .help = "serve them by HTTP as /metrics; unix:PATH for a socket"},
    {"nagios", 0, TEXT, AT(nagios), "WARN,CRIT", .flags = NOT_IN_FILE,
     .help = "say in one line how far behind the follower is, judged by\nthese seconds, and exit as a Nagios plugin"},
    {"version", 'V', ON, AT(version), .flags = NOT_IN_FILE, .help = "show the version, then exit"},
    {"help", 'h', ON, AT(help), .flags = NOT_IN_FILE, .help = "show this help, then exit"},
};
/* clang-format on */

enum {
    N_ROWS = sizeof rows / sizeof *rows
};

/* Where a value comes from: the command line, or a line of a file. */
typedef struct origin {
    const char *file;
    int line;
    bool given[N_ROWS]; /* on the command line: the file's value does not count */
    complaint *why;
} origin;

__attribute__((format(printf, 3, 4))) static bool
refuse(origin *from, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(from->why->message, sizeof from->why->message, format, args);
    va_end(args);
    if (from->file && n >= 0 && (size_t)n < sizeof from->why->message)
        snprintf(from->why->message + n, sizeof from->why->message - (size_t)n,
                 " (file \"%s\", line %d)", from->file, from->line);
    snprintf(from->why->hint, sizeof from->why->hint, "%s", hint);
    return false;
}

/* ---- values --------------------------------------------------------------------------- */

static bool
one_of(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *w = words; *w;) {
        size_t length = strcspn(w, " ");
        if (length == n && memcmp(w, word, n) == 0)
            return true;
        w += length + (w[length] == ' ');
    }
    return false;
}

static bool
set_number(const option_row *row, int64_t *out, const char *text, origin *from)
{
    char *end, hint[128];
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == 0 && x >= row->least && x <= row->most) {
        *out = x;
        return true;
    }
    snprintf(hint, sizeof hint, "It must be a whole number from %" PRId64 " to %" PRId64 ".",
             row->least, row->most);
    return refuse(from, hint, "invalid value for %s%s: \"%s\"", from->file ? "" : "--", row->name,
                  text);
}

static bool
set_choice(const option_row *row, const char **out, const char *text, origin *from)
{
    char hint[128] = "It must be ", *h = hint + strlen(hint);
    if (one_of(row->choices, text)) {
        *out = text;
        return true;
    }
    for (const char *w = row->choices; *w; w++)
        h += snprintf(h, (size_t)(hint + sizeof hint - h), *w == ' ' ? " or " : "%c", *w);
    snprintf(h, (size_t)(hint + sizeof hint - h), ".");
    return refuse(from, hint, "invalid value for %s%s: \"%s\"", from->file ? "" : "--", row->name,
                  text);
}

static bool
set_switch(const option_row *row, bool *out, const char *text, origin *from)
{
    bool on = !text || one_of("on true yes 1", text);
    if (!on && !one_of("off false no 0", text))
        return refuse(from, "It must be on or off.", "invalid value for %s: \"%s\"", row->name,
                      text);
    *out = on == (row->kind == ON);
    return true;
}

static bool
set_list(const option_row *row, const char **list, const char *text, origin *from)
{
    int n = 0;
    while (list[n])
        n++;
    if (n == SETTINGS_LIST)
        return refuse(from, "At most 64 can be given.", "too many values for %s", row->name);
    list[n] = text;
    return true;
}

static bool
set(settings *s, const option_row *row, const char *text, origin *from)
{
    void *at = (char *)s + row->at;
    switch (row->kind) {
    case TEXT: *(const char **)at = text; return true;
    case CHOICE: return set_choice(row, at, text, from);
    case NUMBER: return set_number(row, at, text, from);
    case ON:
    case OFF: return set_switch(row, at, text, from);
    case LIST: return set_list(row, at, text, from);
    }
    return true;
}

static void
set_defaults(settings *s)
{
    *s = (settings){.schema = "public", .sink = "projection", .log_format = "text"};
    for (int i = 0; i < N_ROWS; i++) {
        if (rows[i].kind == NUMBER)
            *(int64_t *)(void *)((char *)s + rows[i].at) = rows[i].usual;
        else if (rows[i].kind == ON)
            *(bool *)((char *)s + rows[i].at) = rows[i].usual;
    }
}

/* ---- the file ------------------------------------------------------------------------- */

static bool
read_text(const char *path, char **out, origin *from)
{
    enum {
        MOST = 1 << 20
    };
    size_t n = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return refuse(from, "", "cannot open the configuration file \"%s\": %s", path,
                      strerror(errno));
    *out = malloc(MOST);
    if (*out)
        n = fread(*out, 1, MOST, f);
    bool fine = *out && !ferror(f) && n < MOST;
    fclose(f);
    if (!fine) {
        free(*out);
        *out = NULL;
        return refuse(from, "", "cannot read the configuration file \"%s\"", path);
    }
    (*out)[n] = 0;
    return true;
}

/* Without the white space at both ends. */
static char *
trim(char *text)
{
    text += strspn(text, " \t\r");
    for (size_t n = strlen(text); n > 0 && strchr(" \t\r", text[n - 1]);)
        text[--n] = 0;
    return text;
}

static bool
take_line(settings *s, char *line, origin *from)
{
    line = trim(line);
    if (!*line || *line == '#')
        return true;
    char *equals = strchr(line, '=');
    if (!equals)
        return refuse(from, "A line is NAME = VALUE, or a comment that begins with #.",
                      "no value in \"%s\"", line);
    *equals = 0;
    const char *name = trim(line), *value = trim(equals + 1);
    for (int i = 0; i < N_ROWS; i++)
        if (!(rows[i].flags & NOT_IN_FILE) && strcmp(rows[i].name, name) == 0)
            return from->given[i] || set(s, &rows[i], value, from);
    return refuse(from, "Names are those of the long options, without --.", "unknown name \"%s\"",
                  name);
}

static bool
read_file(settings *s, origin *from)
{
    if (!read_text(s->config, &s->text, from))
        return false;
    from->file = s->config;
    for (char *line = s->text; line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        from->line++;
        if (!take_line(s, line, from))
            return false;
        line = end;
    }
    from->file = NULL;
    return true;
}

/* ---- the command line ----------------------------------------------------------------- */

static bool
read_arguments(settings *s, int argc, char **argv, origin *from)
{
    struct option options[N_ROWS + 1];
    char letters[2 * N_ROWS + 1], *l = letters;
    for (int i = 0; i < N_ROWS; i++) {
        bool argument = rows[i].kind != ON && rows[i].kind != OFF;
        options[i] = (struct option){rows[i].name, argument, NULL, 256 + i};
        if (rows[i].letter)
            *l++ = rows[i].letter;
        if (rows[i].letter && argument)
            *l++ = ':';
    }
    options[N_ROWS] = (struct option){0};
    *l = 0;
    optind = 0; /* from the beginning, also when it is read again */
    for (int o; (o = getopt_long(argc, argv, letters, options, NULL)) != -1;) {
        int i = o - 256;
        if (o == '?')
            return refuse(from, "Try \"newt-updater --help\".", "wrong usage");
        if (i < 0)
            for (i = 0; rows[i].letter != o;)
                i++;
        from->given[i] = true;
        if (!set(s, &rows[i], optarg, from))
            return false;
        if (rows[i].kind == OFF) /* the file's key is that of the option that sets it */
            for (int k = 0; k < N_ROWS; k++)
                from->given[k] |= rows[k].at == rows[i].at;
    }
    if (argc - optind > 1)
        return refuse(from, "Try \"newt-updater --help\".",
                      "too many arguments, the second is \"%s\"", argv[optind + 1]);
    if (optind < argc) {
        s->connection = argv[optind];
        for (int i = 0; i < N_ROWS; i++)
            from->given[i] |= rows[i].at == AT(connection);
    }
    return true;
}

/* ---- all together --------------------------------------------------------------------- */

/* What must not be together; `set` tells whether it is. */
static bool
agree(settings *s, origin *from)
{
    bool ndjson = strcmp(s->sink, "ndjson") == 0, tables = strcmp(s->sink, "tables") == 0,
         derived = strcmp(s->sink, "derived") == 0;
    int tasks = s->check + s->compute_missing + (s->reproject[0] != NULL) + (s->nagios != NULL);
    const struct {
        bool wrong;
        const char *message, *hint;
    } rules[] = {
        {tasks > 1, "only one of --check, --compute-missing, --reproject and --nagios can be given",
         ""},
        {s->dry_run && !s->compute_missing && !s->reproject[0],
         "--dry-run is for --compute-missing and --reproject", ""},
        {ndjson && !s->output[0] && !s->nagios, "the sink ndjson has no output",
         "Name a file with --output, or - for standard output."},
        {!ndjson && s->output[0], "an output is of the sink ndjson alone", "Add --sink=ndjson."},
        {s->output[0] && s->output[1] && !s->check, "more than one output is for --check alone",
         ""},
        {ndjson && (s->compute_missing || s->reproject[0] || s->retry_rejects),
         "--compute-missing, --reproject and --retry-rejects are about the projection",
         "Leave --sink=ndjson out."},
        {tables && s->connection && strncmp(s->connection, "sqlite:", 7) == 0,
         "typed tables need a store in PostgreSQL",
         "Views can be made in SQLite; --sink=ndjson writes lines of JSON."},
        {tables && s->check, "--check is about the projection, and lines of JSON",
         "newt.check_table() compares typed tables in SQL."},
        {tables && (s->compute_missing || s->reproject[0] || s->retry_rejects),
         "--compute-missing, --reproject and --retry-rejects are about the projection",
         "newt.fill_table() mends typed tables in SQL; what was refused is tried again anyway."},
        {tables && s->classes[0], "typed tables cannot be written for some classes alone",
         "newt.set_table_mode() says who keeps those of a class."},
        {derived && s->connection && strncmp(s->connection, "sqlite:", 7) == 0,
         "derived columns need a store in PostgreSQL", "--sink=ndjson writes lines of JSON."},
        {derived && s->check, "--check is about the projection, and lines of JSON",
         "newt.check_derived() compares derived columns in SQL."},
        {derived && (s->compute_missing || s->reproject[0] || s->retry_rejects),
         "--compute-missing, --reproject and --retry-rejects are about the projection",
         "newt.refresh_derived() computes derived columns again in SQL."},
        {derived && s->classes[0], "derived columns cannot be written for some classes alone",
         "newt.create_derived() says who keeps those of a table."},
        {!ndjson && s->classes[0] && !s->check && !s->compute_missing,
         "the projection cannot be written for some classes alone",
         "Whether a class has a projection is in its class table."},
        {s->nagios &&
             (sscanf(s->nagios, "%" SCNd64 ",%" SCNd64, &s->warning_s, &s->critical_s) != 2 ||
              s->warning_s < 0 || s->critical_s < s->warning_s),
         "--nagios wants two numbers of seconds, the smaller first",
         "For example --nagios=60,300."},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return refuse(from, rules[i].hint, "%s", rules[i].message);
    if (!s->name)
        s->name = ndjson    ? "newt-ndjson"
                  : tables  ? "newt-tables"
                  : derived ? "newt-derived"
                            : "newt-updater";
    return true;
}

bool
settings_read(settings *s, int argc, char **argv, complaint *why)
{
    origin from = {.why = why};
    set_defaults(s);
    bool fine = read_arguments(s, argc, argv, &from) && (!s->config || read_file(s, &from)) &&
                (s->help || s->version || agree(s, &from));
    if (!fine)
        settings_free(s);
    return fine;
}

void
settings_free(settings *s)
{
    free(s->text);
    s->text = NULL;
}

/* ---- the help ------------------------------------------------------------------------- */

static void
help_row(const option_row *row)
{
    char left[64];
    snprintf(left, sizeof left, "  %c%c%c --%s%s%s", row->letter ? '-' : ' ',
             row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
             row->argument ? "=" : "", row->argument ? row->argument : "");
    for (const char *line = row->help; line;) {
        size_t n = strcspn(line, "\n");
        printf("%-28s %.*s\n", left, (int)n, line);
        left[0] = 0;
        line = line[n] ? line + n + 1 : NULL;
    }
}

void
settings_help(void)
{
    fputs("newt-updater follows the transactions of a Newt store. It keeps the JSONB projection,\n"
          "typed tables or derived columns up to date, or writes all changes as lines of JSON.\n"
          "\n"
          "usage: newt-updater [OPTION]... [CONNECTION]\n"
          "\n"
          "CONNECTION is a connection string or URI as libpq takes it; what it does not say comes\n"
          "from libpq's environment (PGHOST, PGDATABASE, PGSERVICE, ...) and password file.\n"
          "A store in a file is sqlite:PATH.\n"
          "\n",
          stdout);
    for (int i = 0; i < N_ROWS; i++)
        help_row(&rows[i]);
    fputs("\n"
          "An object whose JSONB the database refuses (an index, a constraint, a trigger) is left\n"
          "out: the log names it, and it is found in the view newt_reject.\n"
          "\n"
          "SIGTERM and SIGINT end it after the batch, SIGHUP makes it read its configuration\n"
          "again, connect again and open its output again.\n"
          "\n"
          "Exit status: 0 done, or stopped by SIGTERM or SIGINT; 1 intervention is needed (no\n"
          "store, another version, missing rights); 2 wrong usage; 3 the server could not be\n"
          "reached at the start, or was lost with --once; 4 --check has found differences.\n",
          stdout);
}
