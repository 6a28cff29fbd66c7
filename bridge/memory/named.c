/*
 * named.c - the list of the process's named stores
 *
 * Threads that know nothing of each other must find the same store by its name. So there is one
 * list for the whole process, with a lock. After fork() the child begins with an empty one: another
 * thread may have been changing the list or a store at that moment.
 */
#include "named.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    char *name, *schema;
    size_t users; /* newt_dbs that have opened it */
    newt__heap *heap;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry *first;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin_in_child(void)
{
    first = NULL;
    pthread_mutex_init(&lock, NULL);
}

static void
watch_forks(void)
{
    pthread_atfork(NULL, NULL, begin_in_child);
}

static void
entry_free(entry *x)
{
    if (x->heap)
        newt__heap_free(x->heap);
    free(x->name);
    free(x->schema);
    free(x);
}

static entry *
find(const char *name, const char *schema)
{
    entry *x = first;

    while (x && (strcmp(x->name, name) != 0 || strcmp(x->schema, schema) != 0))
        x = x->next;
    return x;
}

/* NULL: *e says why. */
static entry *
add(const char *name, const char *schema, newt_error *e)
{
    entry *x = calloc(1, sizeof *x);

    if (!x) {
        newt__fail_memory(e);
        return NULL;
    }
    x->name = strdup(name);
    x->schema = strdup(schema);
    if (!x->name || !x->schema)
        newt__fail_memory(e);
    else
        newt__heap_new(&x->heap, e);
    if (!x->heap) {
        entry_free(x);
        return NULL;
    }
    x->next = first;
    first = x;
    return x;
}

int
newt__named_create(const char *name, const char *schema, newt_error *e)
{
    int status = NEWT_OK;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    if (find(name, schema))
        status = newt__fail(e, NEWT_ESTORE, 0,
                            "there is a Newt store \"memory:%s\" in schema \"%s\" already", name,
                            schema);
    else if (!add(name, schema, e))
        status = e->status;
    pthread_mutex_unlock(&lock);
    return status;
}

int
newt__named_open(newt__heap **out, const char *name, const char *schema, newt_error *e)
{
    entry *x;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
    x = find(name, schema);
    if (!x)
        x = add(name, schema, e);
    if (x)
        x->users++;
    *out = x ? x->heap : NULL;
    pthread_mutex_unlock(&lock);
    return x ? NEWT_OK : e->status;
}

void
newt__named_close(newt__heap *heap)
{
    entry **at = &first, *ended = NULL;

    pthread_mutex_lock(&lock);
    while ((*at)->heap != heap)
        at = &(*at)->next;
    if (--(*at)->users == 0) {
        ended = *at;
        *at = ended->next;
    }
    pthread_mutex_unlock(&lock);
    if (ended)
        entry_free(ended);
}
