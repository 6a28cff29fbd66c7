/*
 * sink_ndjson.c - all changes as lines of JSON
 *
 * A batch is put together in memory, written, made durable, and only then committed in the store;
 * its text is kept until then, so that it can be written once more. A file's last mark says where
 * the file stands, whatever the store says.
 */
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ndjson {
    sink base;
    const settings *set;
    output out;
    lines text;  /* of the batch that is being written */
    size_t done; /* bytes of it */
    bool full;   /* the whole batch is in there */
    bool fresh;  /* the output has no mark yet */
    bool warned; /* of another list of classes */
    bool told;   /* the transaction at hand has its line */
    bool copying;
    int64_t copied;         /* up to this oid */
    char token[MARK_TOKEN]; /* of the last mark; "": it has none */
} ndjson;

static sink *
ndjson_open(const settings *set, fault *f)
{
    ndjson *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->base = (sink){.type = &ndjson_sink, .fault = f};
    s->set = set;
    s->out = (output){.path = set->output[0], .fd = -1};
    return &s->base;
}

static void
empty(ndjson *s)
{
    s->text.n = s->done = 0;
    s->full = false;
}

/* The file was begun for other classes. */
static void
compare_classes(ndjson *s)
{
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(s->out.path, "r");
    ssize_t n = f ? getline(&line, &room, f) : -1;
    if (n > 0 && !lines_same_classes(line, (size_t)n, s->set->classes)) {
        s->warned = true;
        snprintf(s->base.trouble.message, sizeof s->base.trouble.message,
                 "\"%s\" was begun with another list of classes", s->out.path);
        s->base.trouble.detail = "What there was of an added class before now is not in it.";
        s->base.trouble.hint = "To have a copy, forget the follower and remove the file.";
    }
    free(line);
    if (f)
        fclose(f);
}

static sink_status
ndjson_begin(sink *base, bool anew, const char **token)
{
    ndjson *s = (ndjson *)base;
    mark last = {0};
    bool found;
    output_close(&s->out);
    empty(s);
    sink_status status = output_open(&s->out, &base->trouble, &last, &found);
    if (status != SINK_OK)
        return s->out.refused && s->set->once ? SINK_END : status;
    base->trouble.message[0] = 0;
    if (found && !s->warned)
        compare_classes(s);
    s->fresh = !found;
    s->copying = last.copying && !anew;
    s->copied = last.up_to;
    strcpy(s->token, last.token);
    *token = anew || s->copying || !*s->token ? NULL : s->token;
    return SINK_OK;
}

/* ---- a batch as text ------------------------------------------------------------------ */

static void
put_mark(ndjson *s, mark m, const char *token)
{
    if (token && strlen(token) < sizeof m.token)
        strcpy(m.token, token);
    strcpy(s->token, m.token);
    lines_mark(&s->text, &m);
}

/* A stream that broke may have ended within a line. */
static void
put_file_mark(ndjson *s, const char *token)
{
    mark m = {.kind = MARK_FILE,
              .schema = s->set->schema,
              .follower = s->set->name,
              .classes = s->set->classes,
              .copying = s->copying,
              .up_to = s->copied};
    if (!s->out.regular && !s->out.standard)
        lines_break(&s->text);
    put_mark(s, m, token);
    s->fresh = false;
}

/* What has to be said before a batch, or when there is none. */
static void
put_beginning(ndjson *s, const sink_source *from, const newt_batch *b)
{
    const char *token = newt_feed_token(from->feed);
    if (s->fresh)
        put_file_mark(s, token);
    if (b && b->copy) {
        bool goes_on = s->copying && (b->after == s->copied || output_back(&s->out, b->after));
        if (!goes_on)
            put_mark(s, (mark){.kind = MARK_COPY_BEGIN, .copying = true, .up_to = b->after}, NULL);
    } else if (s->copying && (b || token)) {
        put_mark(s, (mark){.kind = MARK_COPY_END}, token);
        s->copying = false;
    }
}

static void
put_batch(ndjson *s, const newt_batch *b)
{
    size_t i = 0;
    for (size_t k = 0; k < b->n_transactions; k++) {
        const newt_feed_transaction *t = &b->transactions[k];
        s->told &= t->begun;
        if (!s->told && (t->n_events > 0 || !s->set->classes[0])) {
            s->told = true;
            if (t->user || t->description || t->extension)
                lines_transaction(&s->text, t);
        }
        for (; i < t->first_event + t->n_events; i++)
            lines_event(&s->text, &b->events[i]);
    }
    for (; i < b->n_events; i++) /* a copy has no transactions */
        lines_event(&s->text, &b->events[i]);
    if (b->copy) {
        s->copying = true;
        s->copied = b->up_to;
        put_mark(s,
                 (mark){.kind = MARK_COPY, .copying = true, .after = b->after, .up_to = b->up_to},
                 NULL);
    }
    if (b->token)
        put_mark(s, (mark){.kind = b->copy ? MARK_COPY_END : MARK_BATCH, .tid = b->tid}, b->token);
    s->copying &= !b->token;
}

static void
count(const newt_batch *b, newt_progress *done)
{
    for (size_t i = 0; i < b->n_events; i++)
        if (b->events[i].kind == NEWT_EVENT_WRITTEN)
            done->written++;
        else
            done->removed++;
}

/* ---- writing -------------------------------------------------------------------------- */

static sink_status
no_memory(ndjson *s)
{
    snprintf(s->base.trouble.message, sizeof s->base.trouble.message, "out of memory");
    s->base.trouble.detail = "";
    s->base.trouble.hint = "Make --batch or --batch-bytes smaller.";
    return SINK_END;
}

/* A FIFO whose reader has gone is opened anew, and begun with what every opening begins with: the
 * next reader may find a line in front that was cut. */
static sink_status
push(ndjson *s)
{
    if (s->text.failed)
        return no_memory(s);
    while (s->done < s->text.n) {
        if (s->out.fd < 0)
            return SINK_BEGIN;
        sink_status status = output_write(&s->out, &s->base.trouble, s->text.p, s->text.n,
                                          &s->done);
        if (status != SINK_OK)
            return status;
        if (s->done < s->text.n)
            fault_at(s->base.fault, FAULT_WRITE);
    }
    return SINK_OK;
}

static sink_status
finish(ndjson *s, bool durable)
{
    sink_status status = push(s);
    if (status == SINK_OK)
        status = output_settle(&s->out, &s->base.trouble, s->text.n, durable, &s->done);
    if (status == SINK_OK)
        empty(s);
    return status;
}

static sink_status
ndjson_apply(sink *base, const sink_source *from, const newt_batch *b, newt_progress *done)
{
    ndjson *s = (ndjson *)base;
    if (!s->full) {
        if (output_moved(&s->out))
            return SINK_BEGIN;
        put_beginning(s, from, b);
        put_batch(s, b);
        count(b, done);
        s->full = true;
    }
    return push(s);
}

static sink_status
ndjson_commit(sink *base, const sink_source *from, const newt_batch *b)
{
    ndjson *s = (ndjson *)base;
    bool complete = b->token || b->copy;
    sink_status status = finish(s, complete);
    if (status != SINK_OK || !complete)
        return status;
    fault_at(base->fault, FAULT_SYNC);
    fault_at(base->fault, FAULT_COMMIT);
    return newt_feed_commit(from->feed) == NEWT_OK ? SINK_OK : SINK_STORE;
}

/* What a new output begins with is written at once. A process that was killed may have left the
 * position in the store short of that in the output. */
static sink_status
ndjson_idle(sink *base, const sink_source *from, newt_progress *done)
{
    ndjson *s = (ndjson *)base;
    (void)done;
    if (!s->full) {
        if (output_moved(&s->out))
            return SINK_BEGIN;
        put_beginning(s, from, NULL);
        s->full = s->text.n > 0;
    }
    sink_status status = s->full ? finish(s, true) : SINK_OK;
    const char *token = newt_feed_token(from->feed);
    if (status != SINK_OK || !*s->token || (token && strcmp(token, s->token) == 0))
        return status;
    return newt_feed_commit(from->feed) == NEWT_OK ? SINK_OK : SINK_STORE;
}

static void
ndjson_reopen(sink *base, const settings *set)
{
    ndjson *s = (ndjson *)base;
    output_close(&s->out);
    empty(s);
    s->warned = false;
    s->set = set;
    s->out.path = set->output[0];
}

static void
ndjson_close(sink *base)
{
    ndjson *s = (ndjson *)base;
    output_close(&s->out);
    lines_free(&s->text);
    free(s);
}

const sink_type ndjson_sink = {
    .name = "ndjson",
    .want = NEWT_FEED_JSON,
    .open = ndjson_open,
    .begin = ndjson_begin,
    .apply = ndjson_apply,
    .commit = ndjson_commit,
    .idle = ndjson_idle,
    .reopen = ndjson_reopen,
    .close = ndjson_close,
};
