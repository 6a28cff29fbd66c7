/*
 * document.c - a jsonb argument, unpacked no further than is needed and no more often than it
 * changes
 *
 * A large document is stored compressed, often outside its row. A view calls one function for each
 * column, all with the same document, and each call would unpack it again. So the last few are
 * kept until the end of the transaction, as far as they have been unpacked: jsonb has its keys
 * first, and the values of short keys before those of long ones. What is stored tells whether two
 * are the same: the compressed bytes, or the pointer to where they lie.
 */
#include "document.h"

#include "access/detoast.h"
#include "utils/memutils.h"

#define SLOTS     4
#define FIRST     1024          /* bytes to begin with */
#define MOST_KEPT (1024 * 1024) /* of a document */

typedef struct buffer {
    char *data;
    Size cap;
} buffer;

typedef struct slot {
    buffer stored, document;
    Size n;    /* of stored; 0: nothing */
    Size have; /* of document */
} slot;

static slot slots[SLOTS];
static int last; /* the one that was used last */
static bool used;

/* The slots lie in the transaction's memory. */
static void
forget(void *arg)
{
    memset(slots, 0, sizeof slots);
    used = false;
}

static void
remember(void)
{
    static MemoryContextCallback at_end = {.func = forget};

    if (!used)
        MemoryContextRegisterResetCallback(TopTransactionContext, &at_end);
    used = true;
}

static void
fill(buffer *b, const void *data, Size n)
{
    if (b->cap < n) {
        if (b->data)
            pfree(b->data);
        b->data = NULL;
        b->cap = 0;
        b->data = MemoryContextAlloc(TopTransactionContext, n * 2);
        b->cap = n * 2;
    }
    memcpy(b->data, data, n);
}

static const Jsonb *
unpack(slot *s, struct varlena *stored, Size n, Size need, Size *have)
{
    Size size = toast_raw_datum_size(PointerGetDatum(stored)) - VARHDRSZ;
    struct varlena *document;

    if (s->n)
        need = Max(need, s->have * 2);
    need = Max(need, FIRST);
    *have = need >= size / 2 ? NEWT_PG_WHOLE : need;
    document = *have == NEWT_PG_WHOLE ? detoast_attr(stored)
                                      : detoast_attr_slice(stored, 0, (int32)need);
    if (VARSIZE(document) > MOST_KEPT)
        return (const Jsonb *)document;
    remember();
    s->n = 0; /* in case there is no memory */
    fill(&s->stored, stored, n);
    fill(&s->document, document, VARSIZE(document));
    pfree(document);
    s->n = n;
    s->have = *have;
    return (const Jsonb *)s->document.data;
}

const Jsonb *
newt_pg_document(Datum argument, Size need, Size *have)
{
    struct varlena *stored = (struct varlena *)DatumGetPointer(argument);
    Size n;

    *have = NEWT_PG_WHOLE;
    if (!VARATT_IS_COMPRESSED(stored) && !VARATT_IS_EXTERNAL_ONDISK(stored))
        return DatumGetJsonbP(argument);
    n = VARSIZE_ANY(stored);
    for (int i = 0; i < SLOTS; i++) {
        int at = (last + SLOTS - i) % SLOTS;

        if (slots[at].n != n || memcmp(slots[at].stored.data, stored, n) != 0)
            continue;
        last = at;
        if (slots[at].have < need)
            return unpack(&slots[at], stored, n, need, have);
        *have = slots[at].have;
        return (const Jsonb *)slots[at].document.data;
    }
    last = (last + 1) % SLOTS;
    slots[last].n = 0;
    return unpack(&slots[last], stored, n, need, have);
}
