/*
 * main.c - the demo's command line, and its way into the store
 */
#include "demo.h"

#include "child.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_FILES = 16
};

struct settings {
    const char *uri, *schema, *updater;
    const char *files[MOST_FILES];
    size_t n_files;
    size_t limit;
    bool sample;
    const char *how, *what; /* to arrange a folder */
    unsigned parts;
    char home[512]; /* the directory of this program */
};

/* ---- parts ---------------------------------------------------------------------------------- */

enum {
    LOAD = 1,
    INDEX = 2,
    ASK = 4,
    CHANGE = 8,
    FOLDERS = 16,
    PUBLISH = 32,
    FOLLOW = 64,
    ALL = 127
};

static const struct {
    const char *name;
    unsigned bit;
    const char *what;
} parts[] = {
    {"load", LOAD, "the package index becomes objects"},
    {"index", INDEX, "views and indexes for SQL; the next parts use them"},
    {"ask", ASK, "questions, in C and in SQL"},
    {"change", CHANGE, "changes, and who sees them"},
    {"folders", FOLDERS, "folders with access lists, and uploads in them"},
    {"publish", PUBLISH, "one of them is moved: who sees what, before and after"},
    {"follow", FOLLOW, "a second store, whose JSONB newt-updater writes"},
};

static void
help(void)
{
    puts("demo - a Debian package index as objects in PostgreSQL or SQLite, for C and for SQL\n"
         "\n"
         "usage: debian [OPTION]... [PART]...\n"
         "\n"
         "Parts, in this order; without any, all of them:");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        printf("  %-8s %s\n", parts[i].name, parts[i].what);
    puts("\n"
         "Options:\n"
         "  -i, --index FILE      read this Packages or Translation file (may be repeated)\n"
         "  -s, --sample          read the small index that comes with the demo\n"
         "                        (default: what apt keeps on this machine, else the sample)\n"
         "  -n, --limit N         only the first N packages\n"
         "  -u, --uri URI         the database, as libpq takes it (default: $NEWT_URI, else\n"
         "                        PGHOST and friends); or sqlite:FILE\n"
         "      --schema NAME     of the store (default: debian); `follow` uses NAME_async\n"
         "      --updater FILE    newt-updater (default: beside this program's directory)\n"
         "      --move FOLDER=FOLDER  moves the first of the folders below the other, and that is\n"
         "                        all; --allow FOLDER=WHO and --deny FOLDER=WHO likewise\n"
         "  -h, --help            show this help, then exit\n"
         "\n"
         "Killed at any moment and run again, it goes on where it stopped. NO_COLOR turns colours\n"
         "off. Exit status: 0 all went well, 1 something did not, 2 wrong usage.");
}

/* -1: go on; else the exit status. */
static int
parse(struct settings *s, int argc, char **argv)
{
    static const struct option options[] = {{"index", required_argument, NULL, 'i'},
                                            {"sample", no_argument, NULL, 's'},
                                            {"limit", required_argument, NULL, 'n'},
                                            {"uri", required_argument, NULL, 'u'},
                                            {"schema", required_argument, NULL, 'S'},
                                            {"updater", required_argument, NULL, 'U'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"move", required_argument, NULL, 'F'},
                                            {"allow", required_argument, NULL, 'F'},
                                            {"deny", required_argument, NULL, 'F'},
                                            {NULL, 0, NULL, 0}};
    char *end;
    int o, at = 0;

    while ((o = getopt_long(argc, argv, "i:sn:u:h", options, &at)) != -1)
        switch (o) {
        case 'i':
            if (s->n_files == MOST_FILES) {
                fprintf(stderr, "demo: more than %d files\n", MOST_FILES);
                return 2;
            }
            s->files[s->n_files++] = optarg;
            break;
        case 's': s->sample = true; break;
        case 'n':
            s->limit = strtoul(optarg, &end, 10);
            if (!s->limit || *end || *optarg == '-') {
                fprintf(stderr, "demo: --limit needs a number above 0, not \"%s\"\n", optarg);
                return 2;
            }
            break;
        case 'u': s->uri = optarg; break;
        case 'S': s->schema = optarg; break;
        case 'U': s->updater = optarg; break;
        case 'F':
            s->how = options[at].name;
            s->what = optarg;
            break;
        case 'h': help(); return 0;
        default: fputs("Try \"debian --help\".\n", stderr); return 2;
        }
    for (; optind < argc; optind++) {
        size_t i = 0, n = sizeof parts / sizeof *parts;

        while (i < n && strcmp(argv[optind], parts[i].name) != 0)
            i++;
        if (i == n) {
            fprintf(stderr, "demo: there is no part \"%s\"; try \"debian --help\"\n", argv[optind]);
            return 2;
        }
        s->parts |= parts[i].bit;
    }
    if (s->how && s->parts) {
        fprintf(stderr, "demo: --%s goes with no part\n", s->how);
        return 2;
    }
    if (!s->parts && !s->how)
        s->parts = ALL;
    return -1;
}

/* ---- the store ------------------------------------------------------------------------------ */

bool
demo_failed(const struct demo *d, const newt_conn *c, const char *what)
{
    const newt_error *e = newt_last_error(d->db, c);

    complain(&d->page, "%s: %s (%s)", what, newt_error_message(e),
             newt_status_text(newt_error_status(e)));
    if (*newt_error_detail(e))
        fprintf(stderr, "DETAIL:  %s\n", newt_error_detail(e));
    if (*newt_error_hint(e))
        fprintf(stderr, "HINT:  %s\n", newt_error_hint(e));
    return false;
}

/* A schema name, quoted for SQL. */
static const char *
quoted(const char *name, char out[160])
{
    char *to = out;

    *to++ = '"';
    for (; *name && to < out + 156; name++) {
        if (*name == '"')
            *to++ = '"';
        *to++ = *name;
    }
    *to++ = '"';
    *to = 0;
    return out;
}

bool
demo_psql(const struct demo *d, const char *sql, double *seconds)
{
    char path[256], schema[160];
    const char *const argv[] = {"psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", d->uri,
                                "-c",   path,  "-c", "\\timing on",     "-c", sql,
                                NULL};
    struct child child;
    char *out, *time, *unit;
    size_t n;
    int status;

    snprintf(path, sizeof path, "SET search_path = %s, public; SET client_min_messages = warning",
             quoted(d->schema, schema));
    if (!child_start(&child, argv, false)) {
        complain(&d->page, "cannot start psql: %s", strerror(errno));
        return false;
    }
    out = child_read(&child, &n);
    status = child_end(&child);
    if (!out || status) {
        complain(&d->page, "psql ended with status %d on:\n%s", status, sql);
        free(out);
        return false;
    }
    /* "Time: 12.345 ms", in whatever language */
    unit = strstr(out, " ms");
    for (time = unit; time && time > out && time[-1] != ' ';)
        time--;
    if (seconds)
        *seconds = time ? strtod(time, NULL) / 1000 : 0;
    free(out);
    return true;
}

static int
open_database(struct demo *d, bool no_inline)
{
    newt_options options = {.size = sizeof options, .no_inline = no_inline};

    if (d->dialect == &demo_postgresql)
        options.schema = d->schema;

    return newt_db_open(&d->db, d->uri, demo_classes, &options);
}

bool
demo_open(struct demo *d, bool no_inline)
{
    newt_error *e = NULL;
    int rc = open_database(d, no_inline);

    if (rc == NEWT_ESTORE) { /* there is none yet */
        newt_db_close(d->db);
        d->db = NULL;
        if (d->dialect == &demo_postgresql &&
            !demo_psql(d, "CREATE EXTENSION IF NOT EXISTS newt", NULL))
            return false;
        rc = newt_store_create(d->uri, d->dialect == &demo_postgresql ? d->schema : NULL, &e);
        if (rc)
            complain(&d->page, "%s", newt_error_message(e));
        newt_error_free(e);
        if (rc)
            return false;
        rc = open_database(d, no_inline);
    }
    if (!rc)
        rc = newt_connect(d->db, &d->c);
    return !rc || demo_failed(d, d->c, "opening the store");
}

void
demo_close(struct demo *d)
{
    newt_close(d->c);
    newt_db_close(d->db);
    d->c = NULL;
    d->db = NULL;
}

/* ---- the index ------------------------------------------------------------------------------ */

static bool
read_index(const struct settings *s, const struct page *page, struct index *x)
{
    char path[1024];
    bool ok = true;
    double started = now();

    for (size_t i = 0; i < s->n_files && ok; i++)
        ok = index_read_file(x, s->files[i]);
    if (!s->n_files && !s->sample)
        ok = index_read_apt(x);
    if (ok && !s->n_files && !x->n) {
        if (!s->sample)
            say(page, "apt has no package lists here (`apt-get update` fetches them): this is the "
                      "small\nindex that comes with the demo.");
        *x = (struct index){0};
        snprintf(path, sizeof path, "%s/../../examples/debian/sample/Packages", s->home);
        ok = index_read_file(x, path);
        snprintf(x->source, sizeof x->source, "the sample that comes with the demo");
    }
    ok = ok && index_finish(x) && (!s->limit || index_limit(x, s->limit));
    if (!ok) {
        complain(page, "%s", x->error);
        return false;
    }
    say(page, "%s packages from %s", number(x->n).s, x->source);
    aside(page, "%s read in %s", size_text(x->bytes).s, time_text(now() - started).s);
    return true;
}

static bool
run(struct demo *d, const struct settings *s, struct index *x)
{
    char updater[1024];

    if (s->parts & LOAD) {
        heading(&d->page, "The package index becomes objects, in the store \"%s\"",
                d->dialect == &demo_sqlite ? d->uri : d->schema);
        if (!read_index(s, &d->page, x))
            return false;
    }
    if (!demo_open(d, false) || (s->parts & LOAD && !demo_load(d, x)))
        return false;
    if ((s->parts & INDEX && !d->dialect->index(d)) || (s->parts & ASK && !demo_ask(d)) ||
        (s->parts & CHANGE && !demo_change(d)) || (s->parts & FOLDERS && !demo_folders(d)) ||
        (s->parts & PUBLISH && !demo_publish(d)) || (s->how && !demo_arrange(d, s->how, s->what)))
        return false;
    if (s->parts & FOLLOW && d->dialect == &demo_sqlite) {
        say(&d->page,
            "\nIn SQLite each commit writes the JSON: newt-updater has nothing to follow.");
        return true;
    }
    if (s->parts & FOLLOW) {
        heading(&d->page, "Asynchronous: another store, \"%s_async\"", d->schema);
        snprintf(updater, sizeof updater, "%s/../newt-updater", s->home);
        return (x->n || read_index(s, &d->page, x)) &&
               demo_follow(d, x, s->updater ? s->updater : updater);
    }
    return true;
}

int
main(int argc, char **argv)
{
    struct settings s = {.uri = getenv("NEWT_URI"), .schema = "debian"};
    struct demo d = {0};
    struct index x = {0};
    ssize_t n = readlink("/proc/self/exe", s.home, sizeof s.home - 1);
    int status = parse(&s, argc, argv);
    bool ok;

    if (status >= 0)
        return status;
    s.home[n > 0 ? n : 0] = 0;
    if (strrchr(s.home, '/'))
        *strrchr(s.home, '/') = 0;
    d.uri = s.uri ? s.uri : ""; /* libpq's environment */
    d.schema = s.schema;
    d.dialect = strncmp(d.uri, "sqlite:", 7) == 0 ? &demo_sqlite : &demo_postgresql;
    page_open(&d.page);
    ok = run(&d, &s, &x);
    demo_close(&d);
    index_free(&x);
    return !ok;
}
