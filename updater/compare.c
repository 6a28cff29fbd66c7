/*
 * compare.c - the files of the sink ndjson against the store: the last state of each object
 *
 * Of each object there is a line in memory: hashes of its state in the files and in the store. What
 * was changed after the files' end is not compared.
 */
#include "lines.h"
#include "signals.h"
#include "updater.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BY_NAME = 10 /* differences that are told one by one */
};

typedef struct entry {
    int64_t oid;                /* 0: free */
    uint64_t in_file, in_store; /* hashes of the state; 0: it is not there */
    uint32_t copy;              /* of the copies in the files, the last that had it */
    bool later;                 /* changed after the files' end */
} entry;

typedef struct table {
    entry *entries;
    size_t n, room; /* a power of two */
} table;

typedef struct reader {
    updater *u;
    comparison *out;
    table t;
    uint32_t copies;
    bool copying;
    int64_t after, copied; /* the oids that the copy has gone through, in these files */
    char token[MARK_TOKEN];
} reader;

/* ---- the table ------------------------------------------------------------------------ */

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

/* Of a text; never 0. */
static uint64_t
hash(const char *p, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, word;
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        h = mix(h ^ word);
    }
    word = 0;
    memcpy(&word, p, n);
    h = mix(h ^ word);
    return h ? h : 1;
}

static entry *
slot(const table *t, int64_t oid)
{
    size_t i = (size_t)mix((uint64_t)oid) & (t->room - 1);
    while (t->entries[i].oid && t->entries[i].oid != oid)
        i = (i + 1) & (t->room - 1);
    return &t->entries[i];
}

/* The entry of an object, new if need be; NULL: no memory. */
static entry *
entry_of(table *t, int64_t oid)
{
    if (2 * (t->n + 1) > t->room) {
        table more = {.room = t->room ? 2 * t->room : 4096, .n = t->n};
        more.entries = calloc(more.room, sizeof *more.entries);
        if (!more.entries)
            return NULL;
        for (size_t i = 0; i < t->room; i++)
            if (t->entries[i].oid)
                *slot(&more, t->entries[i].oid) = t->entries[i];
        free(t->entries);
        *t = more;
    }
    entry *e = slot(t, oid);
    t->n += !e->oid;
    e->oid = oid;
    return e;
}

/* ---- the files ------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static bool
trouble(reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->out->trouble, sizeof r->out->trouble, format, args);
    va_end(args);
    return false;
}

/* After a copy: what it did not have, of the oids that it went through, is gone. */
static void
end_copy(reader *r)
{
    for (size_t i = 0; r->copying && i < r->t.room; i++) {
        entry *e = &r->t.entries[i];
        if (e->oid > r->after && e->oid <= r->copied && e->copy < r->copies)
            e->in_file = 0;
    }
    r->copying = false;
}

/* A copy begins, or goes on after an oid: what it had before that still takes part in it, what it
 * had behind that comes again. */
static void
begin_copy(reader *r, int64_t up_to)
{
    bool goes_on = up_to > 0 && r->copying;
    for (size_t i = 0; goes_on && i < r->t.room; i++)
        if (r->t.entries[i].oid > up_to && r->t.entries[i].copy == r->copies)
            r->t.entries[i].copy--;
    if (!goes_on) {
        end_copy(r);
        r->copies++;
        r->after = up_to;
    }
    r->copying = true;
    r->copied = up_to;
    r->out->whole |= up_to == 0;
}

static void
take_mark(reader *r, const mark *m)
{
    if (m->kind == MARK_COPY_BEGIN) {
        begin_copy(r, m->up_to);
    } else if (m->kind == MARK_COPY) {
        r->copied = m->up_to;
    } else if (m->kind == MARK_COPY_END) {
        end_copy(r);
    }
    if (*m->token)
        memcpy(r->token, m->token, sizeof r->token);
}

static const char *
after(const char *line, const char *what)
{
    const char *p = strstr(line, what);
    return p ? p + strlen(what) : NULL;
}

/* The class of a line is one of those that are to be compared. */
static bool
wanted(const settings *set, const char *line)
{
    const char *name = after(line, ",\"class\":\"");
    for (size_t i = 0; name && set->classes[i]; i++) {
        size_t n = strlen(set->classes[i]);
        if (strncmp(name, set->classes[i], n) == 0 && name[n] == '"')
            return true;
    }
    return !set->classes[0] || !name;
}

static bool
take_line(reader *r, char *line, size_t n, const char *path, int64_t number)
{
    static const char begin[] = "{\"oid\":";
    mark m;
    if (n == 0 || mark_read(line, n, &m)) {
        if (n > 0)
            take_mark(r, &m);
        return true;
    }
    if (strncmp(line, MARK_PREFIX, sizeof MARK_PREFIX - 1) == 0)
        return true; /* of a transaction */
    if (strncmp(line, begin, sizeof begin - 1) != 0 || line[n - 1] != '}')
        return trouble(r, "\"%s\", line %" PRId64 ": not a line of newt-updater", path, number);
    if (!wanted(&r->u->set, line))
        return true;
    entry *e = entry_of(&r->t, strtoll(line + sizeof begin - 1, NULL, 10));
    if (!e)
        return trouble(r, "out of memory");
    const char *state = after(line, ",\"state\":");
    e->copy = r->copies;
    e->in_file = state ? hash(state, (size_t)(line + n - 1 - state)) : 0;
    return true;
}

static bool
read_file(reader *r, const char *path)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool fine = true;
    FILE *f = fopen(path, "r");
    if (!f)
        return trouble(r, "cannot open \"%s\": %s", path, strerror(errno));
    for (int64_t number = 1; fine && (n = getline(&line, &room, f)) > 0; number++) {
        if (line[n - 1] != '\n')
            break; /* what is being written */
        line[--n] = 0;
        fine = take_line(r, line, (size_t)n, path, number);
        if (fine && signal_stop)
            fine = trouble(r, "stopped by a signal");
    }
    if (ferror(f))
        fine = trouble(r, "cannot read \"%s\": %s", path, strerror(errno));
    free(line);
    fclose(f);
    return fine;
}

/* ---- the store ------------------------------------------------------------------------ */

static bool
take_events(reader *r, const newt_batch *b, bool later)
{
    for (size_t i = 0; i < b->n_events; i++) {
        const newt_event *v = &b->events[i];
        entry *e = entry_of(&r->t, v->oid);
        if (!e)
            return trouble(r, "out of memory");
        e->later |= later;
        if (!later && !v->superseded)
            e->in_store = v->kind == NEWT_EVENT_REMOVED || !v->serial ? 0
                          : v->json                                   ? hash(v->json, v->json_n)
                                                                      : hash("null", 4);
    }
    return true;
}

/* All batches of a feed that ends. */
static bool
read_feed(reader *r, const newt_feed_options *options, bool later)
{
    enum {
        PATIENCE_MS = 250
    };
    newt_feed *f = NULL;
    const newt_batch *b;
    int rc = newt_feed_open(r->u->c, &f, options);
    bool fine = true;
    while (rc == NEWT_OK && fine && !newt_feed_ended(f)) {
        rc = newt_feed_next(f, PATIENCE_MS, &b);
        if (rc == NEWT_OK && b)
            fine = take_events(r, b, later);
        if (signal_stop)
            fine = trouble(r, "stopped by a signal");
        care_pulse(r->u);
    }
    newt_feed_close(f);
    return rc == NEWT_OK && fine;
}

static void
judge(reader *r)
{
    comparison *c = r->out;
    char text[128];
    for (size_t i = 0, told = 0; i < r->t.room; i++) {
        const entry *e = &r->t.entries[i];
        if (!e->oid || (!e->in_store && !e->in_file))
            continue;
        if (!e->in_file && !c->whole)
            continue;
        if (e->in_file != e->in_store && e->later) {
            c->later++;
            continue;
        }
        c->looked++;
        if (e->in_file == e->in_store)
            continue;
        const char *what = !e->in_file ? "is missing" : !e->in_store ? "does not exist" : "differs";
        c->missing += !e->in_file;
        c->extra += !e->in_store;
        c->wrong += e->in_file && e->in_store;
        snprintf(text, sizeof text, "object %" PRId64 " %s", e->oid, what);
        report_field fields[] = {{"oid", NULL, e->oid}, {NULL, NULL, 0}};
        if (told++ < BY_NAME)
            report_line(&r->u->report, REPORT_WARNING, text, fields);
    }
}

bool
compare_files(updater *u, comparison *out)
{
    reader r = {.u = u, .out = out};
    const settings *s = &u->set;
    newt_feed_options all = {.size = sizeof all,
                             .start = NEWT_FEED_COPY,
                             .want = NEWT_FEED_JSON,
                             .classes = s->classes[0] ? s->classes : NULL,
                             .batch_objects = s->batch,
                             .batch_bytes = s->batch_bytes,
                             .until = -1};
    newt_feed_options rest = all;
    rest.want = NEWT_FEED_OIDS;
    rest.classes = NULL;
    *out = (comparison){.trouble = ""};
    bool fine = true;
    for (size_t i = 0; fine && s->output[i]; i++)
        fine = read_file(&r, s->output[i]);
    end_copy(&r);
    if (fine && !*r.token)
        fine = trouble(&r, "the files have no position: nothing is complete in them");
    rest.token = r.token;
    fine = fine && read_feed(&r, &all, false) && read_feed(&r, &rest, true);
    if (fine)
        judge(&r);
    free(r.t.entries);
    return fine || *out->trouble;
}
