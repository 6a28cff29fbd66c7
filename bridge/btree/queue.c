/*
 * queue.c - queues: items in the order in which they were put, or by priority
 *
 * A queue has lanes, each a tree by priority, time and oid. Consumers that take the first item of
 * one lane conflict, so each connection keeps to a lane of its own: it begins with any, and moves
 * to another when it has met a conflict. All of them go on to the next lane at the same moments, so
 * that nobody's lane is forgotten. The order is that of each lane; with one lane it is strict.
 */
#include "btree.h"

NEWT_DECLARE_BTREE3(newt__lane, int64_t, int64_t, int64_t, newt_ref);
NEWT_BTREE3(newt__lane, "newt.QueueLane", NEWT_VALUES(newt__lane));
NEWT_CLASS_AS(newt_queue, "newt.Queue", 1, NULL, NEWT_C_SKIP, NEWT_LIST(struct newt_queue, lanes_),
              NEWT_FIELD(struct newt_queue, by_priority_));

enum {
    TURN_US = 500000, /* in which a connection keeps to one lane */
    WAIT_US = 20000,  /* of an item for those from the next lane */
    MOST_PASSED = 8   /* items that are left to those who are nearer */
};

/* The lane with which this connection begins now. */
static uint32_t
home_of(newt__jar *c, uint32_t n)
{
    if (c->lane_seed == 0 || c->lane_conflicts != c->stats.conflicts) {
        c->lane_seed = (c->lane_seed ^ (uint64_t)newt__clock() ^ (uint64_t)(uintptr_t)c) *
                           UINT64_C(0x9E3779B97F4A7C15) |
                       1;
        c->lane_conflicts = c->stats.conflicts;
    }
    return (uint32_t)(((c->lane_seed >> 32) + (uint64_t)(newt__time() / TURN_US)) % n);
}

/* A queue that has lanes. */
static const struct newt_queue *
open_queue(newt_conn *c, newt_queue_ref q)
{
    const struct newt_queue *queue = newt_queue_read(c, q);
    newt__jar *jar = newt__jar_of(c);
    newt_error e = {0};

    if (!queue || queue->lanes_.n > 0)
        return queue;
    newt_queue_done(queue);
    newt__fail(&e, NEWT_EBROKEN, q.any.oid, "the queue %lld has no lanes", (long long)q.any.oid);
    newt__base_fail_with(&jar->base, &e);
    return NULL;
}

newt_queue_ref
newt_queue_create(newt_conn *c, const newt_queue_options *opt)
{
    newt_queue_options o = {.size = sizeof o};
    newt_queue_ref none = {{0}}, q;
    struct newt_queue *queue;
    newt_error e = {0};
    bool whole = true;

    if (opt && newt__options_take(&o, sizeof o, opt, "newt_queue_options", &e) != NEWT_OK) {
        newt__base_fail_with(&newt__jar_of(c)->base, &e);
        return none;
    }
    if (o.lanes < 0 || o.lanes > NEWT_QUEUE_LANES) {
        newt__base_fail(&newt__jar_of(c)->base, NEWT_EINVAL, 0,
                        "a queue of %d lanes: 1 to %d are possible", o.lanes, NEWT_QUEUE_LANES);
        return none;
    }
    queue = newt_queue_new(c);
    if (!queue)
        return none;
    q = newt_queue_id(queue);
    queue->by_priority_ = o.by_priority;
    for (int i = 0; i < (o.lanes ? o.lanes : 1) && whole; i++) {
        newt_ref tree = newt_btree_create(c, &newt__lane_class);

        whole = !newt_is_null(tree) && newt_append(queue, lanes_, tree) == NEWT_OK;
    }
    newt_queue_done(queue);
    return whole ? q : none;
}

int
newt_queue_put(newt_conn *c, newt_queue_ref q, newt_ref item, int64_t priority)
{
    newt__jar *jar = newt__jar_of(c);
    const struct newt_queue *queue = open_queue(c, q);
    newt__lane_key key = {.c = item.oid}, last;
    newt__lane_ref lane;
    int status;

    if (queue && newt_is_null(item))
        newt__base_fail(&jar->base, NEWT_EINVAL, q.any.oid,
                        "the queue %lld was given a null reference", (long long)q.any.oid);
    if (!queue || newt_is_null(item)) {
        newt_queue_done(queue);
        return newt__base_break(&jar->base);
    }
    /* each transaction puts into another lane: all of them are to have something */
    lane.any = queue->lanes_.items[(home_of(jar, queue->lanes_.n) + jar->epoch) % queue->lanes_.n];
    key.a = queue->by_priority_ ? priority : 0;
    newt_queue_done(queue);
    key.b = newt__time();
    if (key.b <= jar->lane_us)
        key.b = jar->lane_us + 1; /* what one connection puts stays in its order */
    status = newt__lane_last(c, lane, &last, NULL);
    if (status == 1 && last.a == key.a && last.b >= key.b)
        key.b = last.b + 1; /* also if the clock went back */
    jar->lane_us = key.b;
    if (status >= 0)
        status = newt__lane_insert(c, lane, key, item);
    return status < 0 ? newt__base_break(&jar->base) : NEWT_OK;
}

/* What is in the cache may be of some time ago, as long as the storage has not been asked: then
 * others have taken what lies in their lanes. And the item is going to be loaded, at which moment
 * what was read of the queue must not be found changed. */
static int
look_afresh(newt__jar *c)
{
    int64_t none = INT64_MAX;

    return c->base.phase == NEWT__LAZY ? newt__load(c, &none, 1) : NEWT_OK;
}

/* What a connection finds in a lane at a distance, in lanes, from its own. One from far away
 * does not take the first item, which others are about to take, unless it has waited for long. */
static int
look_into(newt_conn *c, newt__lane_ref lane, uint32_t distance, newt__lane_cursor *found)
{
    uint32_t passed = 0, wanted = distance < MOST_PASSED ? distance : MOST_PASSED;
    newt__lane_cursor at = newt__lane_range(c, lane, NULL);
    int status;

    while ((status = newt__lane_next(&at)) == 1) {
        *found = at;
        if (passed++ == wanted)
            break;
    }
    newt__lane_close(&at);
    if (status < 0 || passed == 0)
        return status;
    return passed > wanted || newt__time() - found->key.b >= (int64_t)distance * WAIT_US;
}

/* An item to take: of the first lane from home on that has one for this connection; by priority,
 * the most urgent of all lanes. 1, 0 or a status. */
static int
choose(newt_conn *c, const struct newt_queue *queue, newt__lane_ref *lane, newt__lane_cursor *item)
{
    uint32_t n = queue->lanes_.n, home = home_of(newt__jar_of(c), n);
    int found = 0, status = NEWT_OK;

    if (queue->by_priority_)
        status = newt_prefetch(c, queue->lanes_.items, n);
    for (uint32_t i = 0; i < n && status >= 0; i++) {
        newt__lane_ref other = {queue->lanes_.items[(home + i) % n]};
        newt__lane_cursor at;

        status = look_into(c, other, queue->by_priority_ ? 0 : i, &at);
        if (status != 1 || (found && at.key.a >= item->key.a))
            continue;
        *lane = other;
        *item = at;
        found = 1;
        if (!queue->by_priority_)
            break;
    }
    return status < 0 ? status : found;
}

int
newt_queue_peek(newt_conn *c, newt_queue_ref q, newt_ref *item)
{
    const struct newt_queue *queue = open_queue(c, q);
    newt__lane_cursor at;
    newt__lane_ref lane;
    int found;

    *item = (newt_ref){0};
    if (!queue)
        return newt__jar_of(c)->base.error.status;
    found = choose(c, queue, &lane, &at);
    newt_queue_done(queue);
    if (found == 1)
        *item = at.value;
    return found;
}

int
newt_queue_pull(newt_conn *c, newt_queue_ref q, newt_ref *item)
{
    newt__jar *jar = newt__jar_of(c);
    const struct newt_queue *queue = NULL;
    newt__lane_cursor at;
    newt__lane_ref lane;
    int found;

    *item = (newt_ref){0};
    if (newt__base_enter(&jar->base) == NEWT_OK && look_afresh(jar) == NEWT_OK)
        queue = open_queue(c, q);
    if (!queue)
        return newt__base_break(&jar->base);
    found = choose(c, queue, &lane, &at);
    newt_queue_done(queue);
    if (found == 1)
        return newt__lane_pop(c, lane, at.key, item);
    return found < 0 ? newt__base_break(&jar->base) : 0;
}

int64_t
newt_queue_length(newt_conn *c, newt_queue_ref q)
{
    const struct newt_queue *queue = open_queue(c, q);
    int64_t length = 0;

    if (!queue)
        return newt__jar_of(c)->base.error.status;
    for (uint32_t i = 0; i < queue->lanes_.n && length >= 0; i++) {
        int64_t n = newt_btree_length(c, queue->lanes_.items[i], &newt__lane_class);

        length = n < 0 ? n : length + n;
    }
    newt_queue_done(queue);
    return length;
}

int
newt_queue_delete(newt_conn *c, newt_queue_ref q)
{
    const struct newt_queue *queue = open_queue(c, q);
    int status = NEWT_OK;

    if (!queue)
        return newt__base_break(&newt__jar_of(c)->base);
    for (uint32_t i = 0; i < queue->lanes_.n && status == NEWT_OK; i++)
        status = newt_btree_delete(c, queue->lanes_.items[i], &newt__lane_class);
    newt_queue_done(queue);
    return status == NEWT_OK ? newt_delete(c, q.any) : status;
}

int
newt_queue_check(newt_conn *c, newt_queue_ref q, newt_btree_tell *tell, void *arg,
                 int64_t *problems)
{
    const struct newt_queue *queue = open_queue(c, q);
    int status = NEWT_OK;

    *problems = 0;
    if (!queue)
        return newt__jar_of(c)->base.error.status;
    for (uint32_t i = 0; i < queue->lanes_.n && status == NEWT_OK; i++) {
        int64_t n;

        status = newt_btree_check(c, queue->lanes_.items[i], &newt__lane_class, tell, arg, &n);
        *problems += n;
    }
    newt_queue_done(queue);
    return status;
}
