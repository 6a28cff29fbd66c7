/*
 * layers.c - loads through a layer against loads from its base alone, in turns
 *
 *     layers [URI [OBJECTS [ROUNDS]]]
 *
 * Makes a store of OBJECTS objects in schema "layers" and drops nothing. Each round loads them over
 * connections that have nothing in their cache, 2,000 one by one and all in hundreds: from the
 * base, through an empty layer, and through one that has changed a tenth of them. Printed are the
 * medians, and what they are of the base's.
 */
#include <newtdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SINGLY = 2000, /* of the objects */
    TOGETHER = 100,
    MOST_ROUNDS = 99
};

struct thing {
    newt_text title;
    int64_t n;
    NEWT_ARRAY(newt_text) tags;
};
NEWT_DECLARE(thing);
NEWT_CLASS(thing, "Thing", 1, NULL, NEWT_FIELD(struct thing, title), NEWT_FIELD(struct thing, n),
           NEWT_LIST(struct thing, tags));
static const newt_class *const classes[] = {&thing_class, NULL};

static newt_ref *refs;
static size_t n_refs;

static void
stop(const char *what, const newt_error *e)
{
    fprintf(stderr, "layers: %s: %s %s\n", what, newt_error_message(e), newt_error_detail(e));
    exit(1);
}

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static newt_db *
open_db(const char *uri)
{
    newt_options o = {.size = sizeof o, .schema = "layers"};
    newt_db *db;

    if (newt_db_open(&db, uri, classes, &o) != NEWT_OK)
        stop(uri, newt_db_error(db));
    return db;
}

static void
change(newt_conn *c, size_t from, size_t step)
{
    if (newt_begin(c) != NEWT_OK)
        stop("begin", newt_conn_error(c));
    for (size_t i = from; i < n_refs; i += step) {
        struct thing *t = refs[i].oid ? thing_write(c, thing_of(refs[i])) : thing_new(c);

        if (!t)
            stop("write", newt_conn_error(c));
        t->n++;
        newt_set(t, title, "a title of the usual length, as titles are");
        for (int k = 0; k < 3 && t->tags.n < 3; k++)
            if (newt_append(t, tags, (newt_text){0}) == NEWT_OK)
                newt_text_set(thing_obj(t), &newt_items(t, tags)[k], "tag");
        refs[i] = thing_id(t).any;
        thing_done(t);
    }
    if (newt_commit(c) != NEWT_OK)
        stop("commit", newt_conn_error(c));
}

/* Objects a second, over a connection that has none. */
static double
load(newt_conn *c, size_t together, size_t n)
{
    double began;

    if (newt_begin(c) != NEWT_OK)
        stop("begin", newt_conn_error(c));
    began = now();
    for (size_t i = 0; i < n; i += together)
        if (newt_prefetch(c, refs + i, n - i < together ? n - i : together) != NEWT_OK)
            stop("load", newt_conn_error(c));
    began = now() - began;
    newt_abort(c);
    return (double)n / began;
}

static int
compare(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    return (a > b) - (a < b);
}

static double
median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    return x[n / 2];
}

enum {
    BASE,
    EMPTY,
    TENTH,
    N_WAYS
};

/* One by one, and in hundreds. */
static void
measure(const char *uri, int way, double *singly, double *in_hundreds)
{
    newt_db *db = open_db(uri);
    newt_conn *c[3];

    for (int i = 0; i < 3; i++)
        if (newt_connect(db, &c[i]) != NEWT_OK)
            stop("connect", newt_conn_error(c[i]));
    if (way == TENTH)
        change(c[2], 0, 10);
    *singly = load(c[0], 1, n_refs < SINGLY ? n_refs : SINGLY);
    *in_hundreds = load(c[1], TOGETHER, n_refs);
    for (int i = 0; i < 3; i++)
        newt_close(c[i]);
    newt_db_close(db);
}

int
main(int argc, char **argv)
{
    static const char *const names[N_WAYS] = {"the base", "an empty layer", "a tenth is changed"};
    static double rates[2][N_WAYS][MOST_ROUNDS];
    const char *uri = argc > 1 ? argv[1] : getenv("NEWT_URI");
    int rounds = argc > 3 ? atoi(argv[3]) : 9;
    char layer[1000];
    newt_error *e = NULL;
    newt_conn *c;
    newt_db *db;

    if (rounds < 1 || rounds > MOST_ROUNDS || !uri) {
        fprintf(stderr, "usage: layers URI [OBJECTS [ROUNDS]]\n");
        return 2;
    }
    n_refs = argc > 2 ? strtoul(argv[2], NULL, 10) : 20000;
    refs = calloc(n_refs, sizeof *refs);
    snprintf(layer, sizeof layer, "demo:(%s)", uri);
    if (!refs || newt_store_create(uri, "layers", &e) != NEWT_OK)
        stop("newt_store_create", e);
    newt_error_free(e);
    db = open_db(uri);
    if (newt_connect(db, &c) != NEWT_OK)
        stop("connect", newt_conn_error(c));
    change(c, 0, 1);
    newt_close(c);
    newt_db_close(db);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < N_WAYS; i++) {
            int way = (i + round) % N_WAYS;

            measure(way == BASE ? uri : layer, way, &rates[0][way][round], &rates[1][way][round]);
        }
    for (int how = 0; how < 2; how++) {
        double base = median(rates[how][BASE], rounds);

        printf("%s:\n", how ? "100 objects at a time" : "one object at a time");
        for (int way = 0; way < N_WAYS; way++) {
            double rate = way == BASE ? base : median(rates[how][way], rounds);

            printf("  %-20s %9.0f objects/s %6.2f\n", names[way], rate, rate / base);
        }
    }
    free(refs);
    return 0;
}
