/*
 * newtdb_btree.h - collections of any size: B-trees and queues; a part of newtdb.h
 *
 * A BTree holds entries, key and value, in the order of the keys; a TreeSet holds keys alone. Both
 * are for any number of entries: they are kept in nodes, objects of their own, of which an
 * operation loads one a level. A tree that fits one node is one object. Transactions that change
 * different keys do not conflict, also when they meet in one node: see "conflicts" below.
 *
 *     NEWT_DECLARE_BTREE(by_name, newt_text, task_ref);               in a header
 *     NEWT_BTREE(by_name, "ByName", NEWT_VALUES_OF_REFS(by_name, task)); in one .c file
 *
 *     by_name_ref tree = by_name_create(c);
 *     by_name_put(c, tree, newt_str("first"), task_id(t));
 *     if (by_name_get(c, tree, newt_str("first"), &ref) == 1)
 *         ...
 *     by_name_cursor at = by_name_range(c, tree, NULL);
 *     while (by_name_next(&at) == 1)
 *         use(at.key, at.value);
 *
 * Keys: int64_t, uint64_t, newt_text, newt_bytes, newt_time, newt_date, newt_uuid, newt_ref. They
 * are ordered as numbers, texts and bytes bytewise (so texts by code points), UUIDs bytewise,
 * references by oid. NEWT_DECLARE_BTREE2 and _BTREE3 are for keys of two and three of these,
 * compared in this order: a by_day_key is a struct { K1 a; K2 b; }. A key is never null
 * (NEWT_EINVAL); a text or bytes in a key has at most NEWT_BTREE_KEY bytes (NEWT_ELIMIT).
 * Values: what a NEWT_LIST can hold, the _ref of a class (NEWT_VALUES_OF_REFS), or a struct that
 * has a class table (NEWT_VALUES_OF_STRUCTS); null is a value. Keys that are references are
 * newt_ref.
 *
 * What is given is copied. What a function gives is borrowed where it points somewhere (texts,
 * bytes, JSON, arrays in a struct): it is valid until the end of the transaction, and keeps its
 * node in the cache so long; of a cursor, until the cursor leaves the node.
 *
 * Functions that look up return 1 (it is there), 0 (it is not), or a negative status. Functions
 * that change return NEWT_OK, or 1 and 0 where that says whether anything was there; a negative
 * status dooms the transaction, as with the setters, so it may be ignored. NEWT_EBROKEN: a node is
 * damaged, missing, or not what its neighbours say; see newt_btree_check.
 *
 * Conflicts. What others have put, changed and removed in a node is merged with what this
 * transaction has: both sides stay, unless both have put, changed or removed the same key, which is
 * a conflict (as in ZODB, also if they did the same). A node that others have split is merged as
 * long as this transaction's keys are in the half that stayed in it; two transactions that both
 * split, or emptied, one node conflict. That a tree is empty is merged away, too: what one side
 * empties and the other fills has what was put. A look-up is no change: to rely on a key that is
 * not there, or on all of a range, call newt_read_current for the tree's nodes by
 * newt_btree_read_current.
 *
 * docs/collections.md has the whole story, with figures.
 */
#ifndef NEWTDB_BTREE_H
#define NEWTDB_BTREE_H

#ifndef NEWTDB_H
#    error "include newtdb.h"
#endif

enum {
    NEWT_BTREE_KEY = 2000,     /* bytes of a text or bytes in a key, at most */
    NEWT_BTREE_NODE = 1750,    /* bytes of a node's entries, unless the class says otherwise */
    NEWT_BTREE_SMALLEST = 200, /* the least and the most that it may say */
    NEWT_BTREE_LARGEST = 1 << 20
};

/* What a class's newt_class.tree says; made by the macros below. */
struct newt_tree {
    uint16_t size; /* sizeof(newt_tree) */
    uint8_t n_keys;
    bool not_counted;    /* no counters are kept: newt_btree_length reads all leaves */
    uint32_t node_bytes; /* a node whose entries take more in its record is split; 0:
                          * NEWT_BTREE_NODE */
    int32_t version;     /* of the class, as newt_class.version, which is not looked at: raised when
                          * the struct of its values changes */
};

typedef struct newt_btree_range {
    const void *from, *to;      /* the first key and the last; NULL: of all. They are read until the
                                 * cursor is closed */
    bool after_from, before_to; /* without these keys themselves */
    bool descending;            /* from `to` down to `from` */
    uint8_t parts;              /* of a composite key that are compared with from and to, the first
                                 * ones; 0: all */
} newt_btree_range;

/* A place in a tree. All members are the library's. */
typedef struct newt_btree_cursor {
    newt_conn *c;
    const newt_class *class_;
    newt_ref tree;
    newt_btree_range range;
    newt_ref node_;
    const void *leaf_; /* that node, pinned; or NULL */
    uint32_t at_, ahead_, epoch_;
    uint8_t state_;
    bool moved_;
    int status_;
} newt_btree_cursor;

/* The typed functions below call these; key and value point to what the class has. A binding may
 * call them, too. */
NEWT_API newt_ref newt_btree_create(newt_conn *c, const newt_class *k) NEWT_CHECK;
NEWT_API int newt_btree_get(newt_conn *c, newt_ref tree, const newt_class *k, const void *key,
                            void *value);
NEWT_API int newt_btree_get_many(newt_conn *c, newt_ref tree, const newt_class *k, const void *keys,
                                 size_t n, void *values, bool *found);
NEWT_API int newt_btree_put(newt_conn *c, newt_ref tree, const newt_class *k, const void *key,
                            const void *value);
NEWT_API int newt_btree_insert(newt_conn *c, newt_ref tree, const newt_class *k, const void *key,
                               const void *value);
NEWT_API int newt_btree_pop(newt_conn *c, newt_ref tree, const newt_class *k, const void *key,
                            void *value);
/* The first entry (last: the last one); take: it is removed. */
NEWT_API int newt_btree_end(newt_conn *c, newt_ref tree, const newt_class *k, bool last, bool take,
                            void *key, void *value);
NEWT_API int newt_btree_clear(newt_conn *c, newt_ref tree, const newt_class *k);
NEWT_API int64_t newt_btree_length(newt_conn *c, newt_ref tree, const newt_class *k);
NEWT_API newt_btree_cursor newt_btree_open(newt_conn *c, newt_ref tree, const newt_class *k,
                                           const newt_btree_range *range);
NEWT_API int newt_btree_next(newt_btree_cursor *at, void *key, void *value);
NEWT_API int newt_btree_cursor_put(newt_btree_cursor *at, const void *key, const void *value);
NEWT_API int newt_btree_cursor_remove(newt_btree_cursor *at, const void *key);
NEWT_API void newt_btree_close(newt_btree_cursor *at);
typedef int newt_btree_source(void *arg, void *key, void *value);
NEWT_API int newt_btree_load(newt_conn *c, newt_ref tree, const newt_class *k,
                             newt_btree_source *next, void *arg);

/*
 * Removes the tree and all its nodes; the objects that its values refer to stay. newt_delete of a
 * tree would leave the nodes.
 */
NEWT_API int newt_btree_delete(newt_conn *c, newt_ref tree, const newt_class *k);
/*
 * Calls newt_read_current for all nodes that a look-up of the key passes: the commit, if it writes,
 * fails with NEWT_ECONFLICT if others have changed one of them. For what a transaction decides
 * because a key is or is not there.
 */
NEWT_API int newt_btree_read_current(newt_conn *c, newt_ref tree, const newt_class *k,
                                     const void *key);

/*
 * New trees of the same class, which a commit saves (newt_btree_delete those that were only to be
 * looked at), made of two others that stay as they are, in time that depends on
 * their entries: union: what is in a or b, with a's value where it is in both; intersection: what
 * is in both, with a's value; difference: what is in a, but not in b. A null reference is an empty
 * tree. The result is null on failure, which dooms the transaction.
 */
typedef enum newt_btree_op {
    NEWT_UNION,
    NEWT_INTERSECTION,
    NEWT_DIFFERENCE
} newt_btree_op;
NEWT_API newt_ref newt_btree_combine(newt_conn *c, newt_btree_op op, newt_ref a, newt_ref b,
                                     const newt_class *k) NEWT_CHECK;
/*
 * The union of n trees, where a key is in several with the value of the first of them.
 */
NEWT_API newt_ref newt_btree_union_of(newt_conn *c, const newt_ref *trees, size_t n,
                                      const newt_class *k) NEWT_CHECK;
/*
 * Union or intersection with values of both, for values that are numbers: weight_a * a + weight_b *
 * b; in a union what is in one alone has its value times its weight. As search engines combine
 * scores. NEWT_EINVAL: the values are no numbers, a sum is out of their range, or op is
 * NEWT_DIFFERENCE.
 */
NEWT_API newt_ref newt_btree_weigh(newt_conn *c, newt_btree_op op, newt_ref a, double weight_a,
                                   newt_ref b, double weight_b, const newt_class *k) NEWT_CHECK;

/*
 * Looks at every node of a tree: whether its keys are in order and within what the nodes above say,
 * whether all leaves are linked in their order, whether the counters are right. *problems: how many
 * it has found; each is told to `tell` (NULL: nobody), with the oid of the node. problem is valid
 * until it returns; any result but NEWT_OK ends the check, which returns it. NEWT_OK: all was
 * looked at, whatever was found.
 */
typedef int newt_btree_tell(void *arg, newt_ref node, const char *problem);
NEWT_API int newt_btree_check(newt_conn *c, newt_ref tree, const newt_class *k,
                              newt_btree_tell *tell, void *arg, int64_t *problems) NEWT_CHECK;
/*
 * Makes a tree anew, under its oid, of all leaves that can be found: from the nodes above, and from
 * leaf to leaf. Where a key is found twice the entry found first stays. Needs memory for all
 * entries. *entries: how many there are now. The commit makes it so; what is lost (leaves that are
 * damaged, or that nothing leads to) newt_btree_check cannot tell afterwards.
 */
NEWT_API int newt_btree_repair(newt_conn *c, newt_ref tree, const newt_class *k,
                               int64_t *entries) NEWT_CHECK;

/* A text of a C string, and one of n bytes; they point to it. */
NEWT__FN newt_text
newt_strn(const char *s_, size_t n_)
{
    newt_text t_;

    t_.s = s_;
    t_.n = (uint32_t)n_;
    t_.priv_ = 0;
    return t_;
}
NEWT__FN newt_text
newt_str(const char *s_)
{
    size_t n_ = 0;

    while (s_ && s_[n_])
        n_++;
    return newt_strn(s_, n_);
}

/* ---- declaring a class of trees ---------------------------------------------------------- */

/* clang-format off */
#define NEWT__TREE_NODE                                                                            \
    uint8_t level_;                                                                                \
    bool root_;                                                                                    \
    bool sound_;                                                                                   \
    uint8_t looked_;                                                                               \
    uint32_t bytes_;                                                                               \
    uint32_t skip_, heads_n_;                                                                      \
    const uint32_t *heads_;                                                                               \
    newt_ref next_;                                                                                \
    NEWT_ARRAY(newt_ref) children_;                                                                \
    NEWT_ARRAY(newt_ref) counts_

/*
 * After NEWT_DECLARE_BTREE(t, K, V) there are, besides t_ref, t_key and t_value:
 *
 * t_ref t_create(c)                   a new, empty tree; null: failed, which does not doom the
 *                                     transaction
 * int t_get(c, tree, key, &value)     value may be NULL
 * int t_has(c, tree, key)
 * int t_put(c, tree, key, value)      puts the entry, or gives the one that is there this value
 * int t_insert(c, tree, key, value)   1: it is new; 0: there is one, which stays as it is
 * int t_remove(c, tree, key)          1: it was there
 * int t_pop(c, tree, key, &value)     the same; value is what it had
 * int t_first(c, tree, &key, &value)  the entry of the least key; both may be NULL
 * int t_last(...)                     of the greatest
 * int t_pop_first(...), t_pop_last(...)  the same, and removes it
 * int64_t t_length(c, tree)           how many entries there are; see newt_tree.not_counted
 * int t_clear(c, tree)                removes all of them
 * int t_get_many(c, tree, keys, n, values, found)
 *                                     n look-ups, in one round trip for each level of the tree; the
 *                                     result is how many were found
 * int t_load(c, tree, next, arg)      fills an empty tree from sorted entries, which next(arg, &key,
 *                                     &value) gives: 1, 0 at the end, or a negative status. Nodes
 *                                     become full. NEWT_EINVAL: not empty, or not sorted
 *
 * t_cursor t_range(c, tree, &range)   a cursor; NULL: over all. A t_range_of has the members of
 *                                     newt_btree_range; from and to are t_key pointers
 * int t_next(&cursor)                 1: cursor.key and cursor.value are the next entry. 0: there are
 *                                     no more, the cursor is closed
 * int t_at_put(&cursor, value)        changes the entry at which the cursor is (NEWT_EINVAL, which
 *                                     dooms: it is at none, or that has been removed)
 * int t_at_remove(&cursor)            removes it; t_next goes on after it
 * void t_close(&cursor)               before its end; the end of the transaction ends it, too
 *
 * The tree may be changed while a cursor is open, also otherwise than through it: it goes on at the
 * next key there is then, and says so in cursor.moved.
 *
 * t_ref t_combine(c, op, a, b), t_ref t_union_of(c, trees, n), t_ref t_weigh(c, op, a, wa, b, wb)
 *
 * A TreeSet has the same without values, and t_has_many for t_get_many. What is rarer is called by
 * its untyped name, with tree.any and &t_class: newt_btree_delete, newt_btree_check,
 * newt_btree_repair, newt_btree_read_current.
 *
 * Page 3: begin after the last key of page 2.
 */
#define NEWT_DECLARE_BTREE(t, K, V)                                                                \
    typedef K t##_key;                                                                             \
    typedef V t##_value;                                                                           \
    struct t {                                                                                     \
        NEWT__TREE_NODE;                                                                           \
        NEWT_ARRAY(K) keys_;                                                                       \
        NEWT_ARRAY(K) high_;                                                                       \
        NEWT_ARRAY(V) values_;                                                                     \
    };                                                                                             \
    NEWT__TREE(t) NEWT__TREE_OF_VALUES(t) struct newt__semicolon_
#define NEWT_DECLARE_BTREE2(t, K1, K2, V)                                                          \
    typedef struct {                                                                               \
        K1 a;                                                                                      \
        K2 b;                                                                                      \
    } t##_key;                                                                                     \
    typedef V t##_value;                                                                           \
    struct t {                                                                                     \
        NEWT__TREE_NODE;                                                                           \
        NEWT_ARRAY(K1) keys_;                                                                      \
        NEWT_ARRAY(K1) high_;                                                                      \
        NEWT_ARRAY(K2) keys2_;                                                                     \
        NEWT_ARRAY(K2) high2_;                                                                     \
        NEWT_ARRAY(V) values_;                                                                     \
    };                                                                                             \
    NEWT__TREE(t) NEWT__TREE_OF_VALUES(t) struct newt__semicolon_
#define NEWT_DECLARE_BTREE3(t, K1, K2, K3, V)                                                      \
    typedef struct {                                                                               \
        K1 a;                                                                                      \
        K2 b;                                                                                      \
        K3 c;                                                                                      \
    } t##_key;                                                                                     \
    typedef V t##_value;                                                                           \
    struct t {                                                                                     \
        NEWT__TREE_NODE;                                                                           \
        NEWT_ARRAY(K1) keys_;                                                                      \
        NEWT_ARRAY(K1) high_;                                                                      \
        NEWT_ARRAY(K2) keys2_;                                                                     \
        NEWT_ARRAY(K2) high2_;                                                                     \
        NEWT_ARRAY(K3) keys3_;                                                                     \
        NEWT_ARRAY(K3) high3_;                                                                     \
        NEWT_ARRAY(V) values_;                                                                     \
    };                                                                                             \
    NEWT__TREE(t) NEWT__TREE_OF_VALUES(t) struct newt__semicolon_
#define NEWT_DECLARE_TREESET(t, K)                                                                 \
    typedef K t##_key;                                                                             \
    struct t {                                                                                     \
        NEWT__TREE_NODE;                                                                           \
        NEWT_ARRAY(K) keys_;                                                                       \
        NEWT_ARRAY(K) high_;                                                                       \
    };                                                                                             \
    NEWT__TREE(t) NEWT__TREE_OF_KEYS(t) struct newt__semicolon_
#define NEWT_DECLARE_TREESET2(t, K1, K2)                                                           \
    typedef struct {                                                                               \
        K1 a;                                                                                      \
        K2 b;                                                                                      \
    } t##_key;                                                                                     \
    struct t {                                                                                     \
        NEWT__TREE_NODE;                                                                           \
        NEWT_ARRAY(K1) keys_;                                                                      \
        NEWT_ARRAY(K1) high_;                                                                      \
        NEWT_ARRAY(K2) keys2_;                                                                     \
        NEWT_ARRAY(K2) high2_;                                                                     \
    };                                                                                             \
    NEWT__TREE(t) NEWT__TREE_OF_KEYS(t) struct newt__semicolon_
#define NEWT_DECLARE_TREESET3(t, K1, K2, K3)                                                       \
    typedef struct {                                                                               \
        K1 a;                                                                                      \
        K2 b;                                                                                      \
        K3 c;                                                                                      \
    } t##_key;                                                                                     \
    struct t {                                                                                     \
        NEWT__TREE_NODE;                                                                           \
        NEWT_ARRAY(K1) keys_;                                                                      \
        NEWT_ARRAY(K1) high_;                                                                      \
        NEWT_ARRAY(K2) keys2_;                                                                     \
        NEWT_ARRAY(K2) high2_;                                                                     \
        NEWT_ARRAY(K3) keys3_;                                                                     \
        NEWT_ARRAY(K3) high3_;                                                                     \
    };                                                                                             \
    NEWT__TREE(t) NEWT__TREE_OF_KEYS(t) struct newt__semicolon_

#define NEWT__TREE(t)                                                                              \
    extern const newt_class t##_class;                                                             \
    typedef struct {                                                                               \
        newt_ref any;                                                                              \
    } t##_ref;                                                                                     \
    typedef struct {                                                                               \
        const t##_key *from, *to;                                                                  \
        bool after_from, before_to, descending;                                                    \
        uint8_t parts;                                                                             \
    } t##_range_of;                                                                                \
    NEWT__FN t##_ref t##_of(newt_ref a_)                                                           \
    {                                                                                              \
        t##_ref r_;                                                                                \
        r_.any = a_;                                                                               \
        return r_;                                                                                 \
    }                                                                                              \
    NEWT__FN t##_ref t##_create(newt_conn *n_)                                                     \
    {                                                                                              \
        return t##_of(newt_btree_create(n_, &t##_class));                                          \
    }                                                                                              \
    NEWT__FN int t##_has(newt_conn *n_, t##_ref r_, t##_key k_)                                    \
    {                                                                                              \
        return newt_btree_get(n_, r_.any, &t##_class, &k_, NULL);                                  \
    }                                                                                              \
    NEWT__FN int t##_remove(newt_conn *n_, t##_ref r_, t##_key k_)                                 \
    {                                                                                              \
        return newt_btree_pop(n_, r_.any, &t##_class, &k_, NULL);                                  \
    }                                                                                              \
    NEWT__FN int64_t t##_length(newt_conn *n_, t##_ref r_)                                         \
    {                                                                                              \
        return newt_btree_length(n_, r_.any, &t##_class);                                          \
    }                                                                                              \
    NEWT__FN int t##_clear(newt_conn *n_, t##_ref r_)                                              \
    {                                                                                              \
        return newt_btree_clear(n_, r_.any, &t##_class);                                           \
    }                                                                                              \
    NEWT__FN newt_btree_range t##_bounds_(const t##_range_of *x_)                                  \
    {                                                                                              \
        newt_btree_range r_ = {NULL, NULL, false, false, false, 0};                                \
        if (x_) {                                                                                  \
            r_.from = x_->from;                                                                    \
            r_.to = x_->to;                                                                        \
            r_.after_from = x_->after_from;                                                        \
            r_.before_to = x_->before_to;                                                          \
            r_.descending = x_->descending;                                                        \
            r_.parts = x_->parts;                                                                  \
        }                                                                                          \
        return r_;                                                                                 \
    }                                                                                              \
    NEWT__FN t##_ref t##_combine(newt_conn *n_, newt_btree_op o_, t##_ref a_, t##_ref b_)          \
    {                                                                                              \
        return t##_of(newt_btree_combine(n_, o_, a_.any, b_.any, &t##_class));                     \
    }                                                                                              \
    NEWT__FN t##_ref t##_union_of(newt_conn *n_, const t##_ref *r_, size_t c_)                     \
    {                                                                                              \
        return t##_of(newt_btree_union_of(n_, &r_->any, c_, &t##_class));                          \
    }

#define NEWT__TREE_CURSOR(t)                                                                       \
    NEWT__FN t##_cursor t##_range(newt_conn *n_, t##_ref r_, const t##_range_of *x_)               \
    {                                                                                              \
        newt_btree_range b_ = t##_bounds_(x_);                                                     \
        t##_cursor c_;                                                                             \
        memset(&c_, 0, sizeof c_);                                                                 \
        c_.any = newt_btree_open(n_, r_.any, &t##_class, &b_);                                     \
        return c_;                                                                                 \
    }                                                                                              \
    NEWT__FN int t##_at_remove(t##_cursor *c_)                                                     \
    {                                                                                              \
        return newt_btree_cursor_remove(&c_->any, &c_->key);                                       \
    }                                                                                              \
    NEWT__FN void t##_close(t##_cursor *c_)                                                        \
    {                                                                                              \
        newt_btree_close(&c_->any);                                                                \
    }

#define NEWT__TREE_OF_VALUES(t)                                                                    \
    typedef struct {                                                                               \
        newt_btree_cursor any;                                                                     \
        t##_key key;                                                                               \
        t##_value value;                                                                           \
        bool moved;                                                                                \
    } t##_cursor;                                                                                  \
    typedef int t##_source(void *arg, t##_key *key, t##_value *value);                             \
    NEWT__TREE_CURSOR(t)                                                                           \
    NEWT__FN int t##_next(t##_cursor *c_)                                                          \
    {                                                                                              \
        int s_ = newt_btree_next(&c_->any, &c_->key, &c_->value);                                  \
        c_->moved = c_->any.moved_;                                                                \
        return s_;                                                                                 \
    }                                                                                              \
    NEWT__FN int t##_at_put(t##_cursor *c_, t##_value v_)                                          \
    {                                                                                              \
        return newt_btree_cursor_put(&c_->any, &c_->key, &v_);                                     \
    }                                                                                              \
    NEWT__FN int t##_get(newt_conn *n_, t##_ref r_, t##_key k_, t##_value *v_)                     \
    {                                                                                              \
        return newt_btree_get(n_, r_.any, &t##_class, &k_, v_);                                    \
    }                                                                                              \
    NEWT__FN int t##_get_many(newt_conn *n_, t##_ref r_, const t##_key *k_, size_t c_,             \
                              t##_value *v_, bool *f_)                                             \
    {                                                                                              \
        return newt_btree_get_many(n_, r_.any, &t##_class, k_, c_, v_, f_);                        \
    }                                                                                              \
    NEWT__FN int t##_put(newt_conn *n_, t##_ref r_, t##_key k_, t##_value v_)                      \
    {                                                                                              \
        return newt_btree_put(n_, r_.any, &t##_class, &k_, &v_);                                   \
    }                                                                                              \
    NEWT__FN int t##_insert(newt_conn *n_, t##_ref r_, t##_key k_, t##_value v_)                   \
    {                                                                                              \
        return newt_btree_insert(n_, r_.any, &t##_class, &k_, &v_);                                \
    }                                                                                              \
    NEWT__FN int t##_pop(newt_conn *n_, t##_ref r_, t##_key k_, t##_value *v_)                     \
    {                                                                                              \
        return newt_btree_pop(n_, r_.any, &t##_class, &k_, v_);                                    \
    }                                                                                              \
    NEWT__FN int t##_first(newt_conn *n_, t##_ref r_, t##_key *k_, t##_value *v_)                  \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, false, false, k_, v_);                       \
    }                                                                                              \
    NEWT__FN int t##_last(newt_conn *n_, t##_ref r_, t##_key *k_, t##_value *v_)                   \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, true, false, k_, v_);                        \
    }                                                                                              \
    NEWT__FN int t##_pop_first(newt_conn *n_, t##_ref r_, t##_key *k_, t##_value *v_)              \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, false, true, k_, v_);                        \
    }                                                                                              \
    NEWT__FN int t##_pop_last(newt_conn *n_, t##_ref r_, t##_key *k_, t##_value *v_)               \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, true, true, k_, v_);                         \
    }                                                                                              \
    NEWT__FN int t##_take_(void *a_, void *k_, void *v_)                                           \
    {                                                                                              \
        void **x_ = (void **)a_;                                                                   \
        return (*(t##_source **)x_[0])(x_[1], (t##_key *)k_, (t##_value *)v_);                     \
    }                                                                                              \
    NEWT__FN int t##_load(newt_conn *n_, t##_ref r_, t##_source *f_, void *a_)                     \
    {                                                                                              \
        void *x_[2];                                                                               \
        x_[0] = (void *)&f_;                                                                       \
        x_[1] = a_;                                                                                \
        return newt_btree_load(n_, r_.any, &t##_class, t##_take_, x_);                             \
    }                                                                                              \
    NEWT__FN t##_ref t##_weigh(newt_conn *n_, newt_btree_op o_, t##_ref a_, double x_, t##_ref b_, \
                               double y_)                                                          \
    {                                                                                              \
        return t##_of(newt_btree_weigh(n_, o_, a_.any, x_, b_.any, y_, &t##_class));               \
    }

#define NEWT__TREE_OF_KEYS(t)                                                                      \
    typedef struct {                                                                               \
        newt_btree_cursor any;                                                                     \
        t##_key key;                                                                               \
        bool moved;                                                                                \
    } t##_cursor;                                                                                  \
    typedef int t##_source(void *arg, t##_key *key);                                               \
    NEWT__TREE_CURSOR(t)                                                                           \
    NEWT__FN int t##_next(t##_cursor *c_)                                                          \
    {                                                                                              \
        int s_ = newt_btree_next(&c_->any, &c_->key, NULL);                                        \
        c_->moved = c_->any.moved_;                                                                \
        return s_;                                                                                 \
    }                                                                                              \
    NEWT__FN int t##_insert(newt_conn *n_, t##_ref r_, t##_key k_)                                 \
    {                                                                                              \
        return newt_btree_insert(n_, r_.any, &t##_class, &k_, NULL);                               \
    }                                                                                              \
    NEWT__FN int t##_has_many(newt_conn *n_, t##_ref r_, const t##_key *k_, size_t c_, bool *f_)   \
    {                                                                                              \
        return newt_btree_get_many(n_, r_.any, &t##_class, k_, c_, NULL, f_);                      \
    }                                                                                              \
    NEWT__FN int t##_first(newt_conn *n_, t##_ref r_, t##_key *k_)                                 \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, false, false, k_, NULL);                     \
    }                                                                                              \
    NEWT__FN int t##_last(newt_conn *n_, t##_ref r_, t##_key *k_)                                  \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, true, false, k_, NULL);                      \
    }                                                                                              \
    NEWT__FN int t##_pop_first(newt_conn *n_, t##_ref r_, t##_key *k_)                             \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, false, true, k_, NULL);                      \
    }                                                                                              \
    NEWT__FN int t##_pop_last(newt_conn *n_, t##_ref r_, t##_key *k_)                              \
    {                                                                                              \
        return newt_btree_end(n_, r_.any, &t##_class, true, true, k_, NULL);                       \
    }                                                                                              \
    NEWT__FN int t##_take_(void *a_, void *k_, void *v_)                                           \
    {                                                                                              \
        void **x_ = (void **)a_;                                                                   \
        (void)v_;                                                                                  \
        return (*(t##_source **)x_[0])(x_[1], (t##_key *)k_);                                      \
    }                                                                                              \
    NEWT__FN int t##_load(newt_conn *n_, t##_ref r_, t##_source *f_, void *a_)                     \
    {                                                                                              \
        void *x_[2];                                                                               \
        x_[0] = (void *)&f_;                                                                       \
        x_[1] = a_;                                                                                \
        return newt_btree_load(n_, r_.any, &t##_class, t##_take_, x_);                             \
    }

/*
 * Defines the table t##_class, to be listed in newt_db_open: NEWT_BTREE(t, name, values, ...), where
 * values is NEWT_VALUES(t), NEWT_VALUES_OF_REFS(t, c) if V is the _ref of class c, or
 * NEWT_VALUES_OF_STRUCTS(t, c) if it is its struct; and what else newt_tree has, as in
 * .node_bytes = 2000. _BTREE2, _BTREE3, _TREESET2, _TREESET3 for composite keys. Nodes have no
 * JSONB; NEWT_BTREE_AS has the flags of a class, 0 for nodes that have.
 */
#define NEWT_VALUES(t) NEWT_LIST(struct t, values_, .as = "values")
#define NEWT_VALUES_OF_REFS(t, c) NEWT_REFS(struct t, values_, c, .as = "values")
#define NEWT_VALUES_OF_STRUCTS(t, c) NEWT_STRUCTS(struct t, values_, c, .as = "values")
#define NEWT_KEYS_1(t)                                                                             \
    NEWT_LIST(struct t, keys_, .as = "keys"), NEWT_LIST(struct t, high_, .as = "high")
#define NEWT_KEYS_2(t)                                                                             \
    NEWT_KEYS_1(t), NEWT_LIST(struct t, keys2_, .as = "keys2"),                                    \
        NEWT_LIST(struct t, high2_, .as = "high2")
#define NEWT_KEYS_3(t)                                                                             \
    NEWT_KEYS_2(t), NEWT_LIST(struct t, keys3_, .as = "keys3"),                                    \
        NEWT_LIST(struct t, high3_, .as = "high3")
#define NEWT__TREE_FIELDS(t)                                                                       \
    NEWT_FIELD(struct t, level_, .as = "level"), NEWT_FIELD(struct t, root_, .as = "root"),        \
        NEWT_FIELD(struct t, next_, .as = "next"),                                                 \
        NEWT_LIST(struct t, children_, .as = "children"),                                          \
        NEWT_LIST(struct t, counts_, .as = "counts")
#define NEWT__TREE_CLASS(t, nm, flg, keys_n, opts, ...)                                            \
    static const newt_field t##_fields_[] = {NEWT__TREE_FIELDS(t), __VA_ARGS__};                   \
    static const struct newt_tree t##_tree_ = {                                                    \
        .size = sizeof(struct newt_tree), .n_keys = keys_n, NEWT__BARE opts};                      \
    const newt_class t##_class = {.class_size = sizeof(newt_class),                                \
                                  .field_size = sizeof(newt_field),                                \
                                  .size = sizeof(struct t),                                        \
                                  .name = nm,                                                      \
                                  .n_fields = sizeof t##_fields_ / sizeof *t##_fields_,            \
                                  .fields = t##_fields_,                                           \
                                  .hooks = &newt_btree_hooks,                                      \
                                  .flags = flg,                                                    \
                                  .tree = &t##_tree_}
#define NEWT_BTREE(t, nm, values, ...)                                                             \
    NEWT__TREE_CLASS(t, nm, NEWT_C_SKIP, 1, (__VA_ARGS__), NEWT_KEYS_1(t), values)
#define NEWT_BTREE2(t, nm, values, ...)                                                            \
    NEWT__TREE_CLASS(t, nm, NEWT_C_SKIP, 2, (__VA_ARGS__), NEWT_KEYS_2(t), values)
#define NEWT_BTREE3(t, nm, values, ...)                                                            \
    NEWT__TREE_CLASS(t, nm, NEWT_C_SKIP, 3, (__VA_ARGS__), NEWT_KEYS_3(t), values)
#define NEWT_BTREE_AS(t, nm, flg, values, ...)                                                     \
    NEWT__TREE_CLASS(t, nm, flg, 1, (__VA_ARGS__), NEWT_KEYS_1(t), values)
#define NEWT_TREESET(t, nm, ...)                                                                   \
    NEWT__TREE_CLASS(t, nm, NEWT_C_SKIP, 1, (__VA_ARGS__), NEWT_KEYS_1(t))
#define NEWT_TREESET2(t, nm, ...)                                                                  \
    NEWT__TREE_CLASS(t, nm, NEWT_C_SKIP, 2, (__VA_ARGS__), NEWT_KEYS_2(t))
#define NEWT_TREESET3(t, nm, ...)                                                                  \
    NEWT__TREE_CLASS(t, nm, NEWT_C_SKIP, 3, (__VA_ARGS__), NEWT_KEYS_3(t))
/* clang-format on */

extern NEWT_API const newt_hooks newt_btree_hooks; /* that merge nodes */

/* ---- queues -------------------------------------------------------------------------------- */

/*
 * Items that are put by some and pulled by others, as references. Who puts conflicts neither with
 * who pulls nor with others who put. With one lane items leave in the order in which they came, and
 * of two that pull at the same time one conflicts and is tried again (newt_transact). With several
 * lanes they do not, but for a few: each connection keeps to one lane for half a second, then to
 * the next, and takes from another what comes after the first items there, or has waited for 20 ms
 * a lane between them. So items leave about in the order in which they came, and newt_queue_pull
 * may give nothing for some time (64 lanes: 1.3 s at most) though something is there.
 *
 * An item is pulled by the transaction that is committed; if that one is aborted it stays, where it
 * was.
 */
enum {
    NEWT_QUEUE_LANES = 64 /* at most */
};
typedef struct newt_queue_options {
    size_t size;      /* sizeof(newt_queue_options) */
    int lanes;        /* 1 to NEWT_QUEUE_LANES; about eight for each consumer. 0: 1 */
    bool by_priority; /* the least priority first, of all lanes; equal ones about as they came. Who
                         pulls conflicts then, whatever the lanes: all want the same item */
} newt_queue_options;

struct newt_queue { /* its members are the library's */
    NEWT_ARRAY(newt_ref) lanes_;
    bool by_priority_;
};
extern NEWT_API const newt_class newt_queue_class;
NEWT_DECLARE(newt_queue);

/* opt NULL: defaults. Null: failed. */
NEWT_API newt_queue_ref newt_queue_create(newt_conn *c, const newt_queue_options *opt) NEWT_CHECK;
/* priority counts only in a queue by priority. Failure dooms the transaction (NEWT_EINVAL: item is
 * null). */
NEWT_API int newt_queue_put(newt_conn *c, newt_queue_ref q, newt_ref item, int64_t priority);
/* 1: *item is the next, and no longer in the queue; 0: there is none, *item is null; or a status,
 * which dooms the transaction. peek leaves it there, and its failure does not doom. */
NEWT_API int newt_queue_pull(newt_conn *c, newt_queue_ref q, newt_ref *item);
NEWT_API int newt_queue_peek(newt_conn *c, newt_queue_ref q, newt_ref *item);
NEWT_API int64_t newt_queue_length(newt_conn *c, newt_queue_ref q); /* negative: a status */
/* Removes the queue with its lanes; the objects that were in it stay. */
NEWT_API int newt_queue_delete(newt_conn *c, newt_queue_ref q);
/* As newt_btree_check, for all lanes. */
NEWT_API int newt_queue_check(newt_conn *c, newt_queue_ref q, newt_btree_tell *tell, void *arg,
                              int64_t *problems) NEWT_CHECK;

#endif
