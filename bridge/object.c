/*
 * object.c - headers, states and pins; new, read, write, edit, done, delete; what the end of a
 * transaction does to its objects
 *
 * A header holds the loaded record only where something needs it: a changed object (to see at
 * commit whether it differs), one with fields that its table lacks, one of an older version, a
 * bag, and every object in debug mode. For the others it is made again from the struct when they
 * are marked changed; equal state gives equal bytes.
 */
#include "object.h"

#include <stdio.h>
#include <string.h>

/* ---- states ------------------------------------------------------------------------------ */

/* clang-format off */
static const uint8_t transitions[NEWT__N_STATES][NEWT__N_EVENTS] = {
    /*                   read             write            delete           commit           abort            invalidate       evict */
    [NEWT__UPTODATE]  = {NEWT__UPTODATE,  NEWT__CHANGED,   NEWT__DELETED,   NEWT__UPTODATE,  NEWT__UPTODATE,  NEWT__GHOST,     NEWT__GHOST},
    [NEWT__CHANGED]   = {NEWT__CHANGED,   NEWT__CHANGED,   NEWT__DELETED,   NEWT__UPTODATE,  NEWT__GHOST,     NEWT__CHANGED,   NEWT__SPILLED},
    [NEWT__NEW]       = {NEWT__NEW,       NEWT__NEW,       NEWT__FORGOTTEN, NEWT__UPTODATE,  NEWT__GHOST,     NEWT__NEW,       NEWT__SPILLED},
    [NEWT__DELETED]   = {NEWT__REFUSED,   NEWT__REFUSED,   NEWT__REFUSED,   NEWT__GHOST,     NEWT__GHOST,     NEWT__DELETED,   NEWT__SPILLED},
    [NEWT__FORGOTTEN] = {NEWT__REFUSED,   NEWT__REFUSED,   NEWT__REFUSED,   NEWT__GHOST,     NEWT__GHOST,     NEWT__FORGOTTEN, NEWT__GHOST},
    [NEWT__IMAGE]     = {NEWT__IMAGE,     NEWT__REFUSED,   NEWT__REFUSED,   NEWT__GHOST,     NEWT__GHOST,     NEWT__IMAGE,     NEWT__IMAGE},
};
/* clang-format on */

newt__state
newt__next_state(newt__state state, newt__event event)
{
    return (newt__state)transitions[state][event];
}

/* ---- memory ------------------------------------------------------------------------------ */

newt__header *
newt__object_make(newt_conn *c, uint32_t size)
{
    newt__header *h = c->env.realloc(c->env.arg, NULL, (size_t)NEWT__HEADER + size);

    if (h) {
        memset(h, 0, (size_t)NEWT__HEADER + size);
        h->conn = c;
        h->size = size;
        h->state = NEWT__IMAGE;
    }
    return h;
}

static void
forget_record(newt__header *h)
{
    newt__env *env = &h->conn->env;

    if (!h->record)
        return;
    if (h->state != NEWT__IMAGE)
        h->conn->cache.bytes -= NEWT__BLOCK + h->record_n;
    env->free(env->arg, h->record);
    h->record = NULL;
    h->record_n = 0;
}

bool
newt__object_keep(newt__header *h, const void *record, size_t n)
{
    newt__env *env = &h->conn->env;
    uint8_t *copy = n <= UINT32_MAX ? env->realloc(env->arg, NULL, n ? n : 1) : NULL;

    if (!copy)
        return false;
    memcpy(copy, record, n);
    forget_record(h);
    h->record = copy;
    h->record_n = (uint32_t)n;
    if (h->state != NEWT__IMAGE)
        h->conn->cache.bytes += NEWT__BLOCK + n;
    return true;
}

void
newt__object_free(newt__header *h)
{
    newt__env *env;

    if (!h)
        return;
    env = &h->conn->env;
    h->state = NEWT__IMAGE; /* the cache does not count it any more */
    if (h->bag)
        newt__bag_clear(h);
    for (newt__chunk *next; h->chunks; h->chunks = next) {
        next = h->chunks->next;
        env->free(env->arg, h->chunks);
    }
    env->free(env->arg, h->record);
    env->free(env->arg, h);
}

size_t
newt__object_bytes(const newt__header *h)
{
    size_t n = (size_t)NEWT__BLOCK + NEWT__HEADER + h->size;

    if (h->bag)
        n += ((const newt_bag *)(const void *)((const char *)h + NEWT__HEADER))->bytes;

    if (h->record)
        n += NEWT__BLOCK + h->record_n;
    for (const newt__chunk *chunk = h->chunks; chunk; chunk = chunk->next)
        n += NEWT__BLOCK + sizeof *chunk + chunk->n;
    return n;
}

void *
newt__object_alloc(newt__header *h, size_t n, bool aligned)
{
    enum {
        SMALLEST = 176,
        LARGEST = 4096 - sizeof(newt__chunk)
    };
    newt__env *env = &h->conn->env;
    newt__chunk *chunk = h->chunks;
    size_t want, at = chunk ? chunk->used : 0;

    if (aligned)
        at = (at + 15) & ~(size_t)15;
    if (!chunk || at > chunk->n || n > chunk->n - at) {
        want = chunk ? 2 * chunk->n : SMALLEST;
        want = want > LARGEST ? LARGEST : want;
        want = want < n ? n : want;
        if (want > NEWT__MAX_OBJECT)
            return NULL;
        chunk = env->realloc(env->arg, NULL, sizeof *chunk + want);
        if (!chunk)
            return NULL;
        chunk->n = want;
        chunk->next = h->chunks;
        h->chunks = chunk;
        at = 0;
        if (h->state != NEWT__IMAGE)
            h->conn->cache.bytes += NEWT__BLOCK + sizeof *chunk + want;
    }
    chunk->used = at + n;
    return chunk->data + at;
}

/* ---- errors ------------------------------------------------------------------------------ */

int
newt__conn_fail_with(newt_conn *c, newt_error *e)
{
    int status = e->status;

    if (c->phase == NEWT__DOOMED)
        newt__error_clear(e);
    else
        newt__error_move(&c->error, e);
    return status;
}

static const char *
class_name(const newt__header *h)
{
    const newt_bag *bag;

    if (h->class)
        return h->class->name;
    bag = newt__object_of((newt__header *)(uintptr_t)h);
    return bag->class_name ? bag->class_name : "object";
}

const char *
newt__object_name(const newt__header *h, char name[NEWT__NAME_SIZE])
{
    snprintf(name, NEWT__NAME_SIZE, "%s %lld", class_name(h), (long long)h->oid);
    return name;
}

/* ---- finding ----------------------------------------------------------------------------- */

static inline void
use(newt__header *h)
{
    if (h->epoch != h->conn->epoch) {
        h->epoch = h->conn->epoch;
        h->pins = 0;
    }
    if (h->tick != h->conn->tick)
        newt__cache_touch(h);
}

bool
newt__object_pinned(const newt__header *h)
{
    return h->epoch == h->conn->epoch && h->pins > 0;
}

newt__header *
newt__object_find(newt_conn *c, newt_ref r, newt__event event)
{
    newt__header *h;

    if (newt__conn_enter(c) != NEWT_OK)
        return NULL;
    h = newt__cache_find(&c->cache, r.oid);
    if (!h) {
        if (r.oid == 0)
            newt__conn_fail(c, NEWT_EINVAL, 0, "the reference is null");
        else if (r.oid < 0)
            newt__conn_fail(c, NEWT_EINVAL, 0, "a reference has a negative oid: %lld",
                            (long long)r.oid);
        if (r.oid <= 0)
            return NULL;
        if (newt__load(c, &r.oid, 1) != NEWT_OK)
            return NULL;
        h = newt__cache_find(&c->cache, r.oid);
        if (!h) {
            newt__conn_fail(c, NEWT_EMISSING, r.oid, "object %lld does not exist",
                            (long long)r.oid);
            return NULL;
        }
    }
    if (newt__next_state(h->state, event) == NEWT__REFUSED) {
        char name[NEWT__NAME_SIZE];

        newt__conn_fail(c, NEWT_EMISSING, r.oid, "%s has been deleted in this transaction",
                        newt__object_name(h, name));
        return NULL;
    }
    use(h);
    return h;
}

/* Why an object cannot be read as class k. A broken one is decoded once more, to hear the reason;
 * if it works by now (memory, an upgrade hook), the object takes its place. */
static newt__header *
explain(newt_conn *c, newt__header *h, const newt_class *table)
{
    const newt__class *k = newt__class_find(c->db->classes, table);
    const newt_bag *bag = h->bag ? newt__object_of(h) : NULL;
    newt_error e = {0};
    newt__header *image;

    if (!k) {
        newt__conn_fail(c, NEWT_ECLASS, h->oid, "class \"%s\" is not one of this database",
                        table && table->name ? table->name : "");
        return NULL;
    }
    if (!bag || (bag->class_name && strcmp(bag->class_name, k->name) != 0)) {
        newt__conn_fail(c, NEWT_ECLASS, h->oid, "object %lld is of class \"%s\", not \"%s\"",
                        (long long)h->oid, class_name(h), k->name);
        return NULL;
    }
    if (newt__decode(c, k, h->oid, h->record, h->record_n, &image, &e) != NEWT_OK) {
        newt__conn_fail_with(c, &e);
        return NULL;
    }
    image->serial = h->serial;
    image->state = NEWT__UPTODATE;
    if (newt__cache_put(c, image) != NEWT_OK) {
        newt__object_free(image);
        newt__fail_memory(&e);
        newt__conn_fail_with(c, &e);
        return NULL;
    }
    return image;
}

static newt__header *
find_as(newt_conn *c, newt_ref r, newt__event event, const newt_class *table)
{
    newt__header *h = newt__object_find(c, r, event);

    if (!h)
        return NULL;
    if (!h->class ||
        (h->class->table != table && newt__class_find(c->db->classes, table) != h->class)) {
        h = explain(c, h, table);
        if (!h)
            return NULL;
        use(h);
    }
    h->read_as = table;
    return h;
}

/* ---- changing ---------------------------------------------------------------------------- */

static void
list(newt__header *h)
{
    h->written = false;
    if (!h->listed)
        newt__cache_list(h, true);
}

int
newt__object_change(newt__header *h)
{
    newt_conn *c = h->conn;
    newt_error e = {0};

    if (h->state == NEWT__CHANGED || h->state == NEWT__NEW)
        return NEWT_OK;
    if (h->fixed) {
        char name[NEWT__NAME_SIZE];

        newt__conn_fail(c, NEWT_ECLASS, h->oid,
                        "%s can only be read: its record has fields that this program could not "
                        "keep",
                        newt__object_name(h, name));
        if (c->error.status == NEWT_ECLASS)
            newt__fail_hint(&c->error, "Update the program's class table.");
        return NEWT_ECLASS;
    }
    if (!h->record) {
        if (newt__encode(c, h, false, &e) == NEWT_OK &&
            !newt__object_keep(h, c->writer.buf.data, c->writer.buf.n))
            newt__fail_memory(&e);
        if (e.status != NEWT_OK)
            return newt__conn_fail_with(c, &e);
    }
    h->state = (uint8_t)newt__next_state(h->state, NEWT__ON_WRITE);
    list(h);
    return NEWT_OK;
}

int
newt__object_add(newt_conn *c, newt__header *h, int64_t oid)
{
    h->oid = oid;
    if (newt__cache_put(c, h) != NEWT_OK) {
        newt_error e = {0};

        newt__fail_memory(&e);
        return newt__conn_fail_with(c, &e);
    }
    h->state = NEWT__NEW;
    use(h);
    newt__object_pin(h);
    list(h);
    newt__cache_sweep(c);
    return NEWT_OK;
}

/* ---- the public functions ---------------------------------------------------------------- */

void *
newt_new(newt_conn *c, const newt_class *table)
{
    const newt__class *k;
    newt__header *h;
    newt_error e = {0};
    int64_t oid;

    if (newt__conn_enter(c) != NEWT_OK)
        return NULL;
    k = newt__class_find(c->db->classes, table);
    if (!k || !k->stored || table == &newt__root_class) {
        newt__conn_fail(c, NEWT_ECLASS, 0, "class \"%s\" is not one of this database%s",
                        table && table->name ? table->name : "",
                        k ? ", but only embedded in others" : "");
        return NULL;
    }
    if (newt__next_oid(c, &oid) != NEWT_OK)
        return NULL;
    h = newt__object_make(c, k->size);
    if (!h) {
        newt__fail_memory(&e);
        newt__conn_fail_with(c, &e);
        return NULL;
    }
    memcpy(newt__object_of(h), k->blank, k->size);
    h->class = k;
    if (newt__object_add(c, h, oid) != NEWT_OK) {
        newt__object_free(h);
        return NULL;
    }
    return newt__object_of(h);
}

/* What newt_read does not know, or not any more. */
static __attribute__((noinline)) const void *
read_slowly(newt_conn *c, newt_ref r, const newt_class *table)
{
    newt__header *h = find_as(c, r, NEWT__ON_READ, table);

    if (!h)
        return NULL;
    newt__object_pin(h);
    return newt__object_of(h);
}

const void *
newt_read(newt_conn *c, newt_ref r, const newt_class *table)
{
    const newt__slot *slots = c->quick;
    newt__header *h;
    size_t i;

    if (NEWT__SELDOM(!slots || !*c->here))
        return read_slowly(c, r, table);
    i = newt__cache_home(&c->cache, r.oid);
    while (NEWT__SELDOM(slots[i].oid != r.oid) && slots[i].h)
        i = newt__cache_next(&c->cache, i);
    h = slots[i].h;
    /* used before, in this transaction and of late, as this class: all has been looked at then */
    if (NEWT__SELDOM(!h || !table || h->used != c->now || h->read_as != table))
        return read_slowly(c, r, table);
    newt__object_pin(h);
    return newt__object_of(h);
}

void *
newt_write(newt_conn *c, newt_ref r, const newt_class *table)
{
    newt__header *h = find_as(c, r, NEWT__ON_WRITE, table);

    if (!h || newt__object_change(h) != NEWT_OK)
        return NULL;
    newt__object_pin(h);
    newt__cache_sweep(c);
    return newt__object_of(h);
}

void *
newt_edit(const newt_object *o)
{
    newt__header *h = o ? newt__header_of(o) : NULL;
    newt_conn *c;

    if (!h || newt__conn_enter(h->conn) != NEWT_OK)
        return NULL;
    c = h->conn;
    if (h->state == NEWT__IMAGE || h->epoch != c->epoch) {
        newt__conn_fail(c, NEWT_EINVAL, h->oid,
                        h->state == NEWT__IMAGE ? "a detached image cannot be edited"
                                                : "the pointer is of an earlier transaction");
        return NULL;
    }
    if (newt__next_state(h->state, NEWT__ON_WRITE) == NEWT__REFUSED) {
        newt__conn_fail(c, NEWT_EMISSING, h->oid, "%s %lld has been deleted in this transaction",
                        class_name(h), (long long)h->oid);
        return NULL;
    }
    return newt__object_change(h) == NEWT_OK ? newt__object_of(h) : NULL;
}

void
newt_done(const newt_object *o)
{
    newt__header *h = o ? newt__header_of(o) : NULL;

    if (h && h->pins > 0) /* of an earlier transaction: they count no more, this way or that */
        h->pins--;
}

newt_ref
newt_ref_of(const newt_object *o)
{
    newt_ref r = {o ? newt__header_of(o)->oid : 0};

    return r;
}

newt_conn *
newt_conn_of(const newt_object *o)
{
    const newt__header *h = o ? newt__header_of(o) : NULL;

    return h && h->state != NEWT__IMAGE ? h->conn : NULL;
}

int
newt_delete(newt_conn *c, newt_ref r)
{
    newt__header *h = newt__object_find(c, r, NEWT__ON_DELETE);

    if (!h) {
        if (c->error.status != NEWT_EMISSING)
            newt__doom(c);
        return c->error.status;
    }
    if (h->class && h->class->table == &newt__root_class) {
        newt__conn_fail(c, NEWT_EINVAL, h->oid, "the root cannot be deleted");
        return newt__doom(c);
    }
    h->state = (uint8_t)newt__next_state(h->state, NEWT__ON_DELETE);
    h->read_as = NULL; /* the next newt_read will see the state */
    list(h);
    return NEWT_OK;
}

const char *
newt_class_name(newt_conn *c, newt_ref r)
{
    newt__header *h = newt__object_find(c, r, NEWT__ON_READ);
    const newt_bag *bag;

    if (!h)
        return NULL;
    if (h->class)
        return h->class->name;
    bag = newt__object_of(h);
    if (!bag->class_name)
        newt__conn_fail(c, NEWT_EBROKEN, h->oid, "the record of object %lld is damaged",
                        (long long)h->oid);
    return bag->class_name;
}

/* ---- load and commit --------------------------------------------------------------------- */

int
newt__object_load(newt_conn *c, int64_t oid, int64_t serial, const void *record, size_t n,
                  newt__header **out)
{
    const newt__class *k = NULL;
    newt__header *h = NULL;
    newt__reader head;
    newt_error e = {0};
    int status = NEWT_OK;

    if (out)
        *out = NULL;
    if (newt__read_begin(&head, &c->env, record, n) == NEWT__OK)
        k = newt__class_named(c->db->classes, head.class_name, head.class_n);
    if (k && k->stored) {
        status = newt__decode(c, k, oid, record, n, &h, &e);
        newt__error_clear(&e);
        if (status == NEWT_ENOMEM)
            goto no_memory;
    }
    if (!h && newt__bag_load(c, oid, record, n, &h) != NEWT_OK)
        goto no_memory;
    h->serial = serial;
    if (newt__cache_put(c, h) != NEWT_OK)
        goto no_memory;
    h->state = NEWT__UPTODATE;
    if (out)
        *out = h;
    return NEWT_OK;

no_memory:
    newt__object_free(h);
    newt__fail_memory(&e);
    return newt__conn_fail_with(c, &e);
}

int
newt__object_encode(newt_conn *c, newt__header *h, bool *same)
{
    newt_error e = {0};
    int status = h->bag ? newt__bag_encode(c, h, &e) : newt__encode(c, h, true, &e);

    if (status != NEWT_OK)
        return newt__conn_fail_with(c, &e);
    if (same)
        *same = h->state == NEWT__CHANGED && h->record_n == c->writer.buf.n &&
                memcmp(h->record, c->writer.buf.data, h->record_n) == 0;
    return NEWT_OK;
}

/* What a transaction has used before it has asked the server must not have been changed by others
 * meanwhile: that it was used has to be known until then. */
static bool
must_stay(const newt__header *h)
{
    return newt__object_pinned(h) || h->current ||
           (h->conn->phase == NEWT__LAZY && h->epoch == h->conn->epoch && h->serial != 0);
}

bool
newt__object_evict(newt__header *h)
{
    newt_conn *c = h->conn;

    if (must_stay(h))
        return false;
    if (newt__next_state(h->state, NEWT__ON_EVICT) == NEWT__SPILLED)
        return newt__spill_put(c, h);
    if (newt__mark_check(h) == NEWT_OK)
        return true;
    newt__doom(c);
    return false;
}

bool
newt__object_used(const newt_conn *c, int64_t oid)
{
    const newt__header *h = newt__cache_find(&c->cache, oid);

    return h && h->epoch == c->epoch;
}

void
newt__object_invalidate(newt_conn *c, int64_t oid)
{
    const newt__header *h = newt__cache_find(&c->cache, oid);

    if (h && h->epoch != c->epoch && newt__next_state(h->state, NEWT__ON_INVALIDATE) == NEWT__GHOST)
        newt__cache_remove(c, oid);
}

/* ---- the end of a transaction ------------------------------------------------------------ */

/* After commit an object is as if it had been loaded: in one block, its replaced values gone. What
 * there is no memory for becomes a ghost. */
static void
load_again(newt_conn *c, newt__header *h)
{
    newt__header *fresh = NULL;
    newt_error e = {0};
    int status;

    if (h->bag) {
        if (newt__bag_encode(c, h, &e) == NEWT_OK &&
            newt__object_keep(h, c->writer.buf.data, c->writer.buf.n))
            newt__bag_clear(h);
        else
            newt__cache_remove(c, h->oid);
        newt__error_clear(&e);
        return;
    }
    if (!h->chunks && !h->extra && !c->db->options.debug) {
        forget_record(h);
        return;
    }
    status = newt__encode(c, h, false, &e);
    if (status == NEWT_OK) {
        /* the decoder reads what the writer holds, and writes elsewhere */
        status = newt__decode(c, h->class, h->oid, c->writer.buf.data, c->writer.buf.n, &fresh, &e);
    }
    newt__error_clear(&e);
    if (status == NEWT_OK) {
        fresh->serial = h->serial;
        fresh->epoch = h->epoch;
        if (newt__cache_put(c, fresh) == NEWT_OK) {
            fresh->state = NEWT__UPTODATE;
            return;
        }
        newt__object_free(fresh);
    }
    newt__cache_remove(c, h->oid);
}

static void
finish(newt_conn *c, newt__event event, int64_t serial)
{
    enum {
        KEPT_BUFFER = 1 << 20
    };
    newt__header *h, *next;

    newt__current_clear(c);
    newt__spill_clear(c);
    for (h = c->cache.changed.oldest; h; h = next) {
        newt__state state = newt__next_state(h->state, event);

        next = h->newer;
        newt__cache_list(h, false);
        if (state == NEWT__GHOST) {
            newt__cache_remove(c, h->oid);
            continue;
        }
        h->state = (uint8_t)state;
        if (h->written)
            h->serial = serial;
        h->written = false;
        load_again(c, h);
    }
    for (h = c->views; h; h = next) {
        next = h->newer;
        newt__object_free(h);
    }
    c->views = NULL;
    if (c->writer.buf.cap > KEPT_BUFFER)
        newt__buffer_free(&c->writer.buf);
    c->epoch++; /* pins and pointers end here; what others changed may be invalidated now */
    newt__cache_sweep(c);
}

void
newt__objects_committed(newt_conn *c, int64_t serial)
{
    finish(c, NEWT__ON_COMMIT, serial);
}

void
newt__objects_aborted(newt_conn *c)
{
    finish(c, NEWT__ON_ABORT, 0);
}
