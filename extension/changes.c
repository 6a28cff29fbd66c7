/*
 * changes.c - what SQL functions have written in the transaction under way
 *
 * A list of what was done, one after another. The changes of a subtransaction are the last ones
 * while it lasts, so rolling back to a savepoint cuts the list.
 */
#include "changes.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static const char *const functions[NEWT_PG_N_CHANGES] = {
    [NEWT_PG_PATCHED] = "newt.patch",
    [NEWT_PG_ADDED] = "newt.insert",
    [NEWT_PG_DELETED] = "newt.remove",
};

typedef struct change {
    int64 zoid;
    newt_pg_change deed;
    int level;         /* of the subtransaction; 1: the transaction's own */
    int place;         /* in the list */
    const char *class; /* one of `classes` */
} change;

/* In TopTransactionContext. */
static struct {
    change *list;
    int n, cap;
    char **classes; /* names, each once */
    int n_classes;
} changes;

static const char *
intern(const char *class_name)
{
    for (int i = 0; i < changes.n_classes; i++)
        if (strcmp(changes.classes[i], class_name) == 0)
            return changes.classes[i];
    changes.classes = changes.classes
                          ? repalloc(changes.classes,
                                     (changes.n_classes + 1) * sizeof *changes.classes)
                          : MemoryContextAlloc(TopTransactionContext, sizeof *changes.classes);
    changes.classes[changes.n_classes] = MemoryContextStrdup(TopTransactionContext, class_name);
    return changes.classes[changes.n_classes++];
}

void
newt_pg_add_change(newt_pg_change deed, int64 zoid, const char *class_name)
{
    if (changes.n == changes.cap) {
        int cap = changes.cap ? 2 * changes.cap : 16;

        changes.list = changes.list ? repalloc_huge(changes.list, (Size)cap * sizeof *changes.list)
                                    : MemoryContextAlloc(TopTransactionContext,
                                                         (Size)cap * sizeof *changes.list);
        changes.cap = cap;
    }
    changes.list[changes.n] = (change){.zoid = zoid,
                                       .deed = deed,
                                       .level = GetCurrentTransactionNestLevel(),
                                       .place = changes.n,
                                       .class = intern(class_name)};
    changes.n++;
}

void
newt_pg_undo_changes(int level)
{
    while (changes.n > 0 && changes.list[changes.n - 1].level >= level)
        changes.n--;
}

void
newt_pg_merge_changes(int level)
{
    for (int i = changes.n; i > 0 && changes.list[i - 1].level >= level; i--)
        changes.list[i - 1].level = level - 1;
}

void
newt_pg_forget_changes(void)
{
    memset(&changes, 0, sizeof changes);
}

void
newt_pg_changed_classes(void (*visit)(void *arg, const char *class_name), void *arg)
{
    for (int i = 0; i < changes.n_classes; i++)
        visit(arg, changes.classes[i]);
}

/* ---- what they come to ------------------------------------------------------------------------
 */

static int
by_zoid(const void *a, const void *b)
{
    const change *x = a, *y = b;

    if (x->zoid != y->zoid)
        return x->zoid < y->zoid ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static char *
functions_of(const bool *used)
{
    StringInfoData out;

    initStringInfo(&out);
    for (int i = 0; i < NEWT_PG_N_CHANGES; i++)
        if (used[i])
            appendStringInfo(&out, "%s%s", out.len ? ", " : "", functions[i]);
    return out.data;
}

bool
newt_pg_sum_changes(newt_pg_sum *sum)
{
    change *sorted;
    bool used[NEWT_PG_N_CHANGES] = {false};
    Size room = (Size)changes.n * sizeof(int64);

    *sum = (newt_pg_sum){0};
    if (changes.n == 0)
        return false;
    sorted = MemoryContextAllocHuge(CurrentMemoryContext, (Size)changes.n * sizeof *sorted);
    memcpy(sorted, changes.list, (Size)changes.n * sizeof *sorted);
    qsort(sorted, (size_t)changes.n, sizeof *sorted, by_zoid);
    sum->written = MemoryContextAllocHuge(CurrentMemoryContext, room);
    sum->removed = MemoryContextAllocHuge(CurrentMemoryContext, room);
    sum->classes = MemoryContextAllocHuge(CurrentMemoryContext,
                                          (Size)changes.n * sizeof *sum->classes);
    for (int i = 0, end; i < changes.n; i = end) {
        const change *first = &sorted[i], *last;

        for (end = i + 1; end < changes.n && sorted[end].zoid == first->zoid;)
            end++;
        last = &sorted[end - 1];
        if (first->deed == NEWT_PG_ADDED && last->deed == NEWT_PG_DELETED)
            continue; /* nobody has seen it */
        for (int j = i; j < end; j++)
            used[sorted[j].deed] = true;
        if (last->deed == NEWT_PG_DELETED) {
            sum->classes[sum->n_removed] = CStringGetTextDatum(last->class);
            sum->removed[sum->n_removed++] = last->zoid;
        } else {
            sum->written[sum->n_written++] = last->zoid;
        }
    }
    pfree(sorted);
    sum->functions = functions_of(used);
    return sum->n_written + sum->n_removed > 0;
}
