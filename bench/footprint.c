/*
 * footprint.c - the memory of a process that uses Newt: what an object takes, whether it grows
 * while objects come and go, and how much a walk through more objects than the cache may hold takes
 *
 *     footprint object SCHEMA N          N Tasks in a cache without a limit
 *     footprint parcels SCHEMA 1         makes objects of 16 bytes to 64 KiB
 *     footprint soak SCHEMA SECONDS      reads these at random and changes some
 *     footprint soak_threads ...         the same by four threads, with a quarter of the cache each
 *     footprint walk SCHEMA N            N Tasks, by batches, with a limit of 64 MiB
 *     footprint walk_server SCHEMA N     the same by newt_prefetch_walk
 *
 * Figures go to standard output; the soak's table goes to standard error. Memory is the growth of
 * the process since it was connected.
 */
#include "newt_task.h"
#include "memory.h"

#include <malloc.h>
#include <pthread.h>

enum {
    MIB = 1024 * 1024,
    LIMIT = 64,      /* MiB of the cache in the walks */
    SOAK_LIMIT = 32, /* ... and in the soak */
    SOAK_OBJECTS = 20000,
    SOAK_THREADS = 4,
    AT_A_TIME = 50, /* objects of a transaction of the soak */
    BATCH = 1000,
};

/* ---- the process --------------------------------------------------------------------------- */

static newt_cache
cache_of(const newt_conn *c)
{
    newt_cache x = {.size = sizeof x};
    newt_cache_stats(c, &x);
    return x;
}

/* ---- objects of many sizes ----------------------------------------------------------------- */

struct parcel {
    newt_text name, content;
    NEWT_ARRAY(newt_text) notes;
};
NEWT_DECLARE(parcel);
NEWT_CLASS(parcel, "Parcel", 1, NULL, NEWT_FIELD(struct parcel, name),
           NEWT_FIELD(struct parcel, content), NEWT_LIST(struct parcel, notes));

static _Thread_local uint64_t seed = 88172645463325252u;

static uint64_t
any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* 16 bytes to 64 KiB, each doubling as likely as another. */
static size_t
any_size(void)
{
    size_t n = (size_t)16 << any(12);
    return n + any(n);
}

static char letters[128 * 1024];

static void
fill_parcel(struct parcel *p)
{
    size_t notes = any(4);
    newt_text_setn(parcel_obj(p), &p->content, letters, any_size());
    newt_array_remove(parcel_obj(p), &p->notes, sizeof *p->notes.items, 0, p->notes.n);
    newt_text *t = newt_array_grow(parcel_obj(p), &p->notes, sizeof *t, notes);
    for (size_t i = 0; t && i < notes; i++)
        newt_text_setn(parcel_obj(p), &t[i], letters, 8 + any(64));
}

static void
open_limited(int mib)
{
    static const newt_class *const classes[] = {&task_class, &parcel_class, NULL};
    newt_options options = {.size = sizeof options,
                            .schema = schema,
                            .cache_bytes = mib ? (size_t)mib * MIB : SIZE_MAX};
    check(NULL, newt_db_open(&db, NULL, classes, &options) == NEWT_OK, "open");
}

/* ---- what an object takes ------------------------------------------------------------------- */

static void
object(int64_t n)
{
    open_limited(0);
    newt_conn *c = dial();
    newt_ref *refs = allocate((size_t)n, sizeof *refs);
    for (int64_t i = 0; i < n; i++)
        refs[i].oid = FIRST_OID + i;
    begin(c);
    check(c, newt_prefetch(c, refs, 1) == NEWT_OK, "prefetch"); /* what there is once */
    double before = resident(), counted = (double)cache_of(c).bytes, content = 0;
    for (int64_t i = 0; i < n; i += BATCH) {
        check(c, newt_prefetch(c, refs + i, (size_t)(n - i < BATCH ? n - i : BATCH)) == NEWT_OK,
              "prefetch");
        for (int64_t k = i; k < n && k < i + BATCH; k++) {
            const struct task *t = task_read(c, task_of(refs[k]));
            check(c, t != NULL, "read");
            content += (double)(sizeof *t + t->title.n + t->tags.n * sizeof *t->tags.items);
            for (size_t j = 0; j < t->tags.n; j++)
                content += (double)t->tags.items[j].n;
            task_done(t);
        }
    }
    double took = resident() - before;
    counted = (double)cache_of(c).bytes - counted;
    report("object_content", content / (double)n, "bytes per Task");
    report("object_counted", counted / (double)n, "bytes per Task");
    report("object_resident", took / (double)n, "bytes per Task");
    report("object_beyond", (took - content) / (double)n, "bytes per Task");
    newt_abort(c);
    newt_close(c);
    free(refs);
}

/* ---- objects that come and go --------------------------------------------------------------- */

/* By a process of its own: what it has freed would be in its memory still. */
static void
parcels(void)
{
    open_limited(SOAK_LIMIT);
    newt_conn *c = dial();
    for (int i = 0; i < SOAK_OBJECTS; i += 500) {
        begin(c);
        for (int k = 0; k < 500; k++) {
            struct parcel *p = parcel_new(c);
            check(c, p != NULL, "new");
            newt_set(p, name, "parcel");
            fill_parcel(p);
            parcel_done(p);
        }
        commit(c);
    }
    newt_close(c);
}

/* A transaction; one in ten changes a tenth of what it reads. */
static void
soak_once(newt_conn *c, const newt_ref *refs)
{
    newt_ref mine[AT_A_TIME];
    bool writes = any(10) == 0;
    for (int i = 0; i < AT_A_TIME; i++)
        mine[i] = refs[any(SOAK_OBJECTS)];
    begin(c);
    check(c, newt_prefetch(c, mine, AT_A_TIME) == NEWT_OK, "prefetch");
    for (int i = 0; i < AT_A_TIME; i++) {
        const struct parcel *p = parcel_read(c, (parcel_ref){.any = mine[i]});
        check(c, p != NULL, "read");
        parcel_done(p);
    }
    for (int i = 0; i < AT_A_TIME / 10 && writes; i++) {
        struct parcel *p = parcel_write(c, (parcel_ref){.any = mine[i]});
        check(c, p != NULL, "write");
        fill_parcel(p);
        parcel_done(p);
    }
    if (!writes || newt_commit(c) != NEWT_OK) /* perhaps another thread was first */
        newt_abort(c);
}

/* Who works on the connections: one thread, or several that take one from the pool, work a while
 * and give it back, so that what one has allocated another frees. */
typedef struct soaking {
    const newt_ref *refs;
    pthread_mutex_t lock; /* guards what follows */
    double until;
    int64_t transactions, evicted, bytes;
    uint64_t threads; /* so far */
} soaking;

static void *
soak_thread(void *arg)
{
    enum {
        IN_A_ROW = 20
    };
    soaking *s = arg;
    int64_t n = 0;
    pthread_mutex_lock(&s->lock);
    seed = ++s->threads * UINT64_C(0x9E3779B97F4A7C15); /* far from one another */
    pthread_mutex_unlock(&s->lock);
    while (now() < s->until) {
        newt_conn *c = dial();
        for (int i = 0; i < IN_A_ROW; i++, n++)
            soak_once(c, s->refs);
        newt_close(c);
    }
    pthread_mutex_lock(&s->lock);
    s->transactions += n;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Runs the threads until then; after that, all connections are idle and looked at. */
static void
soak_for(soaking *s, double until, int threads)
{
    pthread_t thread[SOAK_THREADS];
    newt_conn *c[SOAK_THREADS];
    s->until = until;
    for (int i = 1; i < threads; i++)
        if (pthread_create(&thread[i], NULL, soak_thread, s) != 0)
            give_up("soak", "no thread");
    soak_thread(s);
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], NULL);
    s->evicted = s->bytes = 0;
    for (int i = 0; i < threads; i++) {
        c[i] = dial();
        newt_cache x = cache_of(c[i]);
        s->evicted += x.evicted;
        s->bytes += x.bytes;
    }
    for (int i = 0; i < threads; i++)
        newt_close(c[i]);
}

/* Returns whole pages that are free in the middle, too. False: that cannot be asked for. */
static bool
give_pages_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
    return true;
#else
    return false;
#endif
}

/* What malloc has given out, and what it holds beside that; 0 where it cannot be asked. */
static void
malloc_says(double *given, double *free_)
{
    *given = *free_ = 0;
#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 m = mallinfo2();
    *given = (double)(m.uordblks + m.hblkhd);
    *free_ = (double)m.fordblks;
#endif
}

static void
soak(int64_t seconds, int threads)
{
    open_limited(SOAK_LIMIT / threads);
    newt_conn *c = dial();
    newt_result *r;
    begin(c);
    check(c, newt_where(c, &r, "class_name = 'Parcel' ORDER BY zoid", 0, NULL) == NEWT_OK, "where");
    newt_ref *refs = allocate(SOAK_OBJECTS, sizeof *refs);
    if (newt_result_size(r) != SOAK_OBJECTS)
        give_up("soak", "not as many objects as there should be");
    for (int i = 0; i < SOAK_OBJECTS; i++)
        refs[i] = newt_result_ref(r, (size_t)i);
    newt_result_free(r);
    newt_abort(c);
    newt_close(c);
    double before = resident(), begun = now(), worst = 0, last = 0, given, idle;
    soaking s = {.refs = refs, .lock = PTHREAD_MUTEX_INITIALIZER};
    fprintf(stderr, "| s | transactions | evicted | cache, MiB | process, MiB | ratio | "
                    "given by malloc | free in it |\n"
                    "|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int step = 1; step <= 10; step++) {
        soak_for(&s, begun + (double)seconds * step / 10, threads);
        double took = resident() - before;
        last = took / (double)s.bytes;
        worst = last > worst ? last : worst;
        malloc_says(&given, &idle);
        fprintf(stderr, "| %.0f | %lld | %lld | %.1f | %.1f | %.2f | %.1f | %.1f |\n",
                now() - begun, (long long)s.transactions, (long long)s.evicted,
                (double)s.bytes / MIB, took / MIB, last, given / MIB, idle / MIB);
    }
    if (give_pages_back())
        fprintf(stderr, "| malloc_trim(0) | | | %.1f | %.1f | %.2f | | |\n", (double)s.bytes / MIB,
                (resident() - before) / MIB, (resident() - before) / (double)s.bytes);
    report(threads > 1 ? "soak_threads_worst" : "soak_worst", worst, "of the cache");
    report(threads > 1 ? "soak_threads_last" : "soak_last", last, "of the cache");
    free(refs);
}

/* ---- more than the cache may hold ------------------------------------------------------------ */

static volatile char touched; /* so that a compiler cannot leave the reading out */

static void
touch(newt_conn *c, newt_ref r)
{
    const struct task *t = task_read(c, task_of(r));
    check(c, t != NULL, "read");
    touched ^= t->title.s[20];
    task_done(t);
}

static void
walk(int64_t n, bool by_server)
{
    enum {
        MOST = 1000000 /* of newt_prefetch_walk */
    };
    n = by_server && n > MOST ? MOST : n;
    open_limited(LIMIT);
    newt_conn *c = dial();
    newt_ref refs[BATCH] = {{FIRST_OID}};
    begin(c);
    check(c, newt_prefetch(c, refs, 1) == NEWT_OK, "prefetch");
    double before = resident(), begun = now();
    if (by_server) { /* all of the chain on one way, from its end; the last ones stay */
        newt_walk_options o = {.size = sizeof o, .objects = n};
        refs[0].oid = FIRST_OID + n - 1;
        check(c, newt_prefetch_walk(c, refs, 1, &o) == NEWT_OK, "walk");
        touch(c, (newt_ref){FIRST_OID}); /* the end of the chain */
    }
    for (int64_t i = 0; i < n && !by_server; i += BATCH) {
        int64_t here = n - i < BATCH ? n - i : BATCH;
        for (int64_t k = 0; k < here; k++)
            refs[k].oid = FIRST_OID + i + k;
        check(c, newt_prefetch(c, refs, (size_t)here) == NEWT_OK, "prefetch");
        for (int64_t k = 0; k < here; k++)
            touch(c, refs[k]);
    }
    double took = now() - begun, counted = (double)cache_of(c).bytes;
    const char *name = by_server ? "walk64_server" : "walk64";
    char figure[64];
    report(name, (double)n / took, "objects/s");
    snprintf(figure, sizeof figure, "%s_memory", name);
    report(figure, (peak() - before) / MIB, "MiB");
    snprintf(figure, sizeof figure, "%s_ratio", name);
    report(figure, (peak() - before) / counted, "of the cache");
    newt_abort(c);
    newt_close(c);
}

int
main(int argc, char **argv)
{
    if (argc != 4 || atoll(argv[3]) < 1)
        give_up("usage", "footprint object|parcels|soak|soak_threads|walk|walk_server SCHEMA N");
    schema = argv[2];
    memset(letters, 'x', sizeof letters);
    if (strcmp(argv[1], "object") == 0)
        object(atoll(argv[3]));
    else if (strcmp(argv[1], "parcels") == 0)
        parcels();
    else if (strcmp(argv[1], "soak") == 0)
        soak(atoll(argv[3]), 1);
    else if (strcmp(argv[1], "soak_threads") == 0)
        soak(atoll(argv[3]), SOAK_THREADS);
    else
        walk(atoll(argv[3]), strcmp(argv[1], "walk_server") == 0);
    newt_db_close(db);
    return 0;
}
