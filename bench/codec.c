/*
 * codec.c - how fast the codec is on one core
 *
 *   codec [-j] [records]      -j: figures alone, as JSON
 *
 * The records are WORKLOAD's Tasks. Each figure is the median of five runs over all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/codec.h"

enum {
    RUNS = 5,
    ROUNDS = 20, /* over all records in a run */
    TITLE = 40
};

typedef struct task {
    char title[TITLE];
    const char *state;
    int64_t points;
    char tag[3][8];
    int64_t parent;
} task;

typedef struct record {
    uint8_t *data;
    size_t n;
} record;

typedef struct bench {
    newt__env env;
    newt__writer writer;
    newt__buffer text;
    size_t n;
    task *task;
    record *record;
    size_t record_bytes, text_bytes; /* of one round */
} bench;

static void *
grow(void *arg, void *p, size_t n)
{
    (void)arg;
    return realloc(p, n);
}

static void
release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static void *
must(void *p)
{
    if (p == NULL) {
        fputs("codec: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static void
check(newt__code code, const newt__fault *fault)
{
    if (code != NEWT__OK) {
        fprintf(stderr, "codec: %s at %zu\n", fault->reason, fault->offset);
        exit(1);
    }
}

static void
make_task(task *t, int i, int revision)
{
    static const char *const states[] = {"todo",   "ready", "in progress",
                                         "review", "done",  "blocked"};
    char title[128];

    snprintf(title, sizeof title, "Task %06d r%04d the quick brown fox jumps over the lazy dog", i,
             revision);
    memcpy(t->title, title, TITLE);
    t->state = states[(i + revision) % 6];
    t->points = i + revision;
    snprintf(t->tag[0], sizeof t->tag[0], "tag%03d", i % 200);
    snprintf(t->tag[1], sizeof t->tag[1], "area%02d", i % 20);
    snprintf(t->tag[2], sizeof t->tag[2], "prio%d", i % 5);
    t->parent = 1000000 + i;
}

/* As the library writes a class: the keys' order is known. */
static void
write_task(newt__writer *w, const task *t)
{
    int i;

    newt__write_begin(w, "Task", 4, 1);
    newt__write_map(w, 5);
    newt__write_text(w, "tags", 4);
    newt__write_array(w, 3);
    for (i = 0; i < 3; i++)
        newt__write_text(w, t->tag[i], strlen(t->tag[i]));
    newt__write_text(w, "state", 5);
    newt__write_text(w, t->state, strlen(t->state));
    newt__write_text(w, "title", 5);
    newt__write_text(w, t->title, TITLE);
    newt__write_text(w, "parent", 6);
    newt__write_ref(w, t->parent);
    newt__write_text(w, "points", 6);
    newt__write_int(w, t->points);
    check(newt__write_end(w), &w->fault);
}

static void
make_records(bench *b)
{
    size_t i;

    b->task = must(calloc(b->n, sizeof *b->task));
    b->record = must(calloc(b->n, sizeof *b->record));
    for (i = 0; i < b->n; i++) {
        make_task(&b->task[i], (int)i, (int)(i % 7));
        write_task(&b->writer, &b->task[i]);
        b->record[i].n = b->writer.buf.n;
        b->record[i].data = must(malloc(b->writer.buf.n));
        memcpy(b->record[i].data, b->writer.buf.data, b->writer.buf.n);
        b->record_bytes += b->writer.buf.n;
    }
}

static void
encode(bench *b)
{
    size_t i;

    for (i = 0; i < b->n; i++)
        write_task(&b->writer, &b->task[i]);
}

static void
to_json(bench *b)
{
    newt__fault fault;
    bool hidden;
    size_t i;

    b->text_bytes = 0;
    for (i = 0; i < b->n; i++) {
        b->text.n = 0;
        check(newt__project_text(&b->env, b->record[i].data, b->record[i].n, &b->text, &hidden,
                                 &fault),
              &fault);
        b->text_bytes += b->text.n;
    }
}

static void
validate(bench *b)
{
    newt__fault fault;
    size_t i;

    for (i = 0; i < b->n; i++)
        check(newt__validate(&b->env, b->record[i].data, b->record[i].n, &fault), &fault);
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Tasks a second: the median. */
static double
measure(bench *b, void (*work)(bench *b))
{
    double rate[RUNS];
    int run, round;

    for (run = 0; run < RUNS; run++) {
        struct timespec from, to;

        clock_gettime(CLOCK_MONOTONIC, &from);
        for (round = 0; round < ROUNDS; round++)
            work(b);
        clock_gettime(CLOCK_MONOTONIC, &to);
        rate[run] = (double)b->n * ROUNDS /
                    ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    }
    qsort(rate, RUNS, sizeof *rate, by_size);
    return rate[RUNS / 2];
}

int
main(int argc, char **argv)
{
    bench b = {.env = {.realloc = grow, .free = release}, .n = 20000};
    bool json = argc > 1 && strcmp(argv[1], "-j") == 0;
    double encodes, conversions, validations;
    size_t i;

    if (argc > 1 + json)
        b.n = strtoul(argv[1 + json], NULL, 10);
    if (argc > 2 + json || b.n == 0 || b.n > 1000000) {
        fputs("usage: codec [-j] [records, 1 to 1000000]\n", stderr);
        return 2;
    }
    b.writer.buf.env = b.text.env = &b.env;
    make_records(&b);
    encodes = measure(&b, encode);
    conversions = measure(&b, to_json);
    validations = measure(&b, validate);
    if (json) {
        printf("{\"encode_per_s\": %.0f, \"json_per_s\": %.0f, \"validate_per_s\": %.0f}\n",
               encodes, conversions, validations);
    } else {
        printf("a Task: %.1f bytes of record, %.1f of JSON text\n",
               (double)b.record_bytes / (double)b.n, (double)b.text_bytes / (double)b.n);
        printf("values to record      %7.2f million/s\n", encodes / 1e6);
        printf("record to JSON text   %7.2f million/s\n", conversions / 1e6);
        printf("record validated      %7.2f million/s\n", validations / 1e6);
    }
    for (i = 0; i < b.n; i++)
        free(b.record[i].data);
    free(b.record);
    free(b.task);
    newt__writer_free(&b.writer);
    newt__buffer_free(&b.text);
    return 0;
}
