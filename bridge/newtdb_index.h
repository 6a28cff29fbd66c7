/*
 * newtdb_index.h - collections of the objects of a class, kept in order: indexes; a part of
 * newtdb.h
 *
 * A class says by which of its fields its objects are to be found. Each index is a tree in the
 * store; what a transaction makes, changes and deletes is put right there by the same commit, on
 * every storage, without SQL. Look-ups see the transaction's own changes.
 *
 *     NEWT_DECLARE_INDEX2(open_issues, issue, owner, priority);       in a header
 *     NEWT_INDEX2(open_issues, "issues.open", issue, owner, priority, in one .c file
 *                 NEWT_WHERE(is_open));
 *     static const newt_hooks issue_hooks = {.size = sizeof issue_hooks,
 *                                            .indexes = NEWT_INDEXES(&open_issues_index)};
 *     NEWT_CLASS(issue, "Issue", 1, &issue_hooks, ...);
 *
 *     at = open_issues_range(c, &(open_issues_range_of){
 *                                   .equal = &(open_issues_key){.owner = me}, .parts = 1,
 *                                   .offset = 2 * 20, .limit = 20});
 *     while (open_issues_next(&at) == 1)
 *         show(issue_read(c, at.ref));
 *
 * Keys are 1 to 3 fields of the struct itself: integers, bools, enums (as their numbers), texts and
 * bytes (bytewise), times, dates, UUIDs, references, weak ones too (by oid). An object with a null
 * in its key is not in the index, nor is one that `where` refuses. A key has at most NEWT_INDEX_KEY
 * bytes: 8 for a number, a time or a reference, 4 for a date, 1 for a bool, 16 for a UUID, and for
 * a text or bytes its length, one more for each byte that is 0, and 2. An object whose key is
 * longer fails with NEWT_ELIMIT.
 *
 * Before any object of the class is changed, newt_index_build has to have been called: it says in
 * the store that there is the index, and fills it. A program calls it when it starts; if there is
 * nothing to do it reads three objects.
 *
 * When the index is put right: by newt_commit (after NEWT_BEFORE_COMMIT), newt_savepoint, and every
 * look-up in an index of the class but _next. What fails then dooms the transaction, as a change
 * that has failed does: NEWT_EUNIQUE: two objects have a key that the index has once;
 * newt_error_constraint is the index's name, newt_error_oid one of the two, and the message names
 * both. NEWT_ELIMIT: see above. NEWT_EMISSING: the store does not have the index, call
 * newt_index_build. NEWT_ECLASS: the store has another definition under this name. So look-ups in
 * between may refuse what is put right later in the transaction: two keys that are swapped.
 *
 * Conflicts are those of trees (newtdb_btree.h): objects with different keys do not meet. Two
 * transactions that make the same unique key conflict, and the one that tries again gets
 * NEWT_EUNIQUE. A resolver merges objects of the class as long as at most one side has changed the
 * key, and the result has that side's key; else it is a conflict.
 *
 * What the library cannot know: a program that has the class without the index, or writes bags of
 * its name, makes the index wrong. Such programs must have ended before newt_index_build begins;
 * newt_index_check finds and mends what they have done. The same holds for a `where` that answers
 * differently while its name stays, and for an upgrade hook or a default that gives an older record
 * another key.
 */
#ifndef NEWTDB_INDEX_H
#define NEWTDB_INDEX_H

#ifndef NEWTDB_H
#    error "include newtdb.h"
#endif

enum {
    NEWT_INDEX_PARTS = 3,
    NEWT_INDEX_KEY = 1000 /* bytes of a key, see above */
};

typedef struct newt_index_part {
    const char *field; /* the member's name, as newt_field.name */
    uint16_t at, size; /* in the program's key: a struct of the parts */
} newt_index_part;

struct newt_index {
    size_t size;              /* sizeof(newt_index) */
    const char *name;         /* in the store: 1 to 255 bytes of UTF-8 */
    const newt_class *class_; /* whose newt_hooks.indexes lists it */
    /* Whether the object belongs to it; NULL: all do. It is given images, as hooks are, and must
     * look at nothing else. where_name: what the store remembers it by. */
    bool (*where)(const void *object);
    const char *where_name;
    bool unique; /* no two objects have the same key */
    uint8_t n_parts;
    newt_index_part parts[NEWT_INDEX_PARTS];
};

/* What is looked for; NULL or zero: all. Keys are read until the call returns. */
typedef struct newt_index_range {
    const void *equal;            /* the first parts are these ... */
    uint8_t parts;                /* how many of them; 0: all */
    const void *from, *to;        /* or, without equal: between these, which are in it, too */
    uint8_t from_parts, to_parts; /* of them that count; 0: all */
    bool after_from, before_to;   /* without those that are equal to from, or to */
    bool descending;              /* from `to` down to `from` */
    int64_t offset, limit;        /* the first ones left out; at most, 0: all */
} newt_index_range;

/* A place in an index. All members are the library's. */
typedef struct newt_index_cursor {
    newt_btree_cursor at_;
    newt_bytes key_, bounds_[2]; /* where it is; from, to */
    int64_t left_;               /* -1: any number */
    int status_;                 /* 1: it goes on */
    uint8_t bytes_[2][NEWT_INDEX_KEY + 8];
} newt_index_cursor;

/*
 * The typed functions below call these. get: the object with this key, of several the one with the
 * least oid: 1, 0 or a negative status. next: 1: *out is the next; 0: there are no more, the cursor
 * is closed. count: how many, limit and offset apart; it goes through all of them. page: the
 * objects of a range, at most n, in refs; they are loaded, in one round trip. What is said of keys
 * that are null: NEWT_EINVAL. NEWT_EBUSY: the index is not filled yet, see newt_index_build.
 */
NEWT_API int newt_index_get(newt_conn *c, const newt_index *x, const void *key, newt_ref *out);
NEWT_API newt_index_cursor newt_index_open(newt_conn *c, const newt_index *x,
                                           const newt_index_range *range);
NEWT_API int newt_index_next(newt_index_cursor *at, newt_ref *out);
NEWT_API void newt_index_close(newt_index_cursor *at);
NEWT_API int64_t newt_index_count(newt_conn *c, const newt_index *x, const newt_index_range *range);
NEWT_API int64_t newt_index_page(newt_conn *c, const newt_index *x, const newt_index_range *range,
                                 newt_ref *refs, size_t n);

typedef struct newt_index_building {
    size_t size;     /* sizeof(newt_index_building) */
    int64_t objects; /* of any class, looked at in one call; 0: 1,000 */
    bool rebuild;    /* begins anew, whatever there is; for the first call, which clears it */
    /* set by the calls; zero before the first */
    bool over;      /* the index is filled */
    int64_t after;  /* objects up to this oid are in it */
    int64_t looked; /* at objects, so far: of any class */
    int64_t added;  /* to the index */
    int64_t broken; /* that cannot be read as the class, and are not in it */
} newt_index_building;
/*
 * Makes the store have the index, and fills it with the next objects that there are, in
 * transactions of its own; nobody waits. Until `over` look-ups fail (NEWT_EBUSY), and what is
 * written is put in already. The position is kept in the store: a call goes on where the last one
 * came to, in whatever process. x NULL: all indexes of the database's classes, one after the other.
 *
 *     newt_index_building b = {.size = sizeof b};
 *     do
 *         status = newt_index_build(c, NULL, &b);
 *     while (status == NEWT_OK && !b.over);
 *
 * Must be called outside a transaction (NEWT_EBUSY). NEWT_ECLASS: the store has an index of this
 * name with another definition (class, fields, kinds, unique, where): call with `rebuild`, once no
 * program with the other one is left. Names that are added to the end of an enum are no other
 * definition. NEWT_EUNIQUE: two objects have the same key: change one, and call again.
 * NEWT_ECONFLICT: others were faster, ten times: call again.
 */
NEWT_API int newt_index_build(newt_conn *c, const newt_index *x, newt_index_building *b) NEWT_CHECK;
/*
 * Compares an index with all objects of the class, in transactions of its own: objects that are not
 * in it, or under a key that is not theirs, and entries whose object is not there. mend: they are
 * put right, too. *problems: how many there were; each is told to `tell` (NULL: nobody), problem is
 * valid until that returns; any result but NEWT_OK ends the check, which returns it. What is
 * changed meanwhile is looked at again. Must be called outside a transaction (NEWT_EBUSY).
 * NEWT_EBUSY, too: the index is not filled yet.
 */
typedef int newt_index_tell(void *arg, newt_ref object, const char *problem);
NEWT_API int newt_index_check(newt_conn *c, const newt_index *x, bool mend, newt_index_tell *tell,
                              void *arg, int64_t *problems) NEWT_CHECK;
/*
 * Removes an index from the store, in this transaction; the objects stay. A program that has it
 * can change no objects of the class then. NEWT_EMISSING: there is none of this name. A failure
 * dooms the transaction.
 */
NEWT_API int newt_index_forget(newt_conn *c, const char *name);

/* ---- declaring indexes --------------------------------------------------------------------- */

/* clang-format off */
/*
 * After NEWT_DECLARE_INDEX(t, c, f) there are, with t_key, a struct of the fields:
 *
 * int t_get(c, key, &ref)              ref is a c_ref and may be NULL
 * t_cursor t_range(c, &range)          a cursor; a t_range_of has the members of newt_index_range,
 *                                      its keys are t_key pointers; NULL: all
 * int t_next(&cursor)                  1: cursor.ref is the next object
 * void t_close(&cursor)                before its end; the end of the transaction closes it, too
 * int64_t t_count(c, &range)
 * int64_t t_page(c, &range, refs, n)
 *
 * A cursor goes through the index as it was when it was opened, and as later look-ups have put it
 * right: an object that is changed meanwhile may still come at its old place.
 */
#define NEWT__PART(c, f) __typeof__(((struct c *)0)->f) f;
#define NEWT_DECLARE_INDEX(t, c, f1)                                                               \
    typedef struct { NEWT__PART(c, f1) } t##_key;                                                  \
    NEWT__INDEX(t, c)
#define NEWT_DECLARE_INDEX2(t, c, f1, f2)                                                          \
    typedef struct { NEWT__PART(c, f1) NEWT__PART(c, f2) } t##_key;                                \
    NEWT__INDEX(t, c)
#define NEWT_DECLARE_INDEX3(t, c, f1, f2, f3)                                                      \
    typedef struct { NEWT__PART(c, f1) NEWT__PART(c, f2) NEWT__PART(c, f3) } t##_key;              \
    NEWT__INDEX(t, c)

#define NEWT__INDEX(t, c)                                                                          \
    extern const newt_index t##_index;                                                             \
    typedef struct {                                                                               \
        const t##_key *equal;                                                                      \
        uint8_t parts;                                                                             \
        const t##_key *from, *to;                                                                  \
        uint8_t from_parts, to_parts;                                                              \
        bool after_from, before_to, descending;                                                    \
        int64_t offset, limit;                                                                     \
    } t##_range_of;                                                                                \
    typedef struct {                                                                               \
        newt_index_cursor any;                                                                     \
        c##_ref ref;                                                                               \
    } t##_cursor;                                                                                  \
    NEWT__FN newt_index_range t##_bounds_(const t##_range_of *x_)                                  \
    {                                                                                              \
        newt_index_range r_;                                                                       \
        memset(&r_, 0, sizeof r_);                                                                 \
        if (x_) {                                                                                  \
            r_.equal = x_->equal;                                                                  \
            r_.parts = x_->parts;                                                                  \
            r_.from = x_->from;                                                                    \
            r_.to = x_->to;                                                                        \
            r_.from_parts = x_->from_parts;                                                        \
            r_.to_parts = x_->to_parts;                                                            \
            r_.after_from = x_->after_from;                                                        \
            r_.before_to = x_->before_to;                                                          \
            r_.descending = x_->descending;                                                        \
            r_.offset = x_->offset;                                                                \
            r_.limit = x_->limit;                                                                  \
        }                                                                                          \
        return r_;                                                                                 \
    }                                                                                              \
    NEWT__FN int t##_get(newt_conn *n_, t##_key k_, c##_ref *r_)                                   \
    {                                                                                              \
        return newt_index_get(n_, &t##_index, &k_, r_ ? &r_->any : NULL);                          \
    }                                                                                              \
    NEWT__FN t##_cursor t##_range(newt_conn *n_, const t##_range_of *x_)                           \
    {                                                                                              \
        newt_index_range b_ = t##_bounds_(x_);                                                     \
        t##_cursor c_;                                                                             \
        c_.any = newt_index_open(n_, &t##_index, &b_);                                             \
        c_.ref.any.oid = 0;                                                                        \
        return c_;                                                                                 \
    }                                                                                              \
    NEWT__FN int t##_next(t##_cursor *c_)                                                          \
    {                                                                                              \
        return newt_index_next(&c_->any, &c_->ref.any);                                            \
    }                                                                                              \
    NEWT__FN void t##_close(t##_cursor *c_)                                                        \
    {                                                                                              \
        newt_index_close(&c_->any);                                                                \
    }                                                                                              \
    NEWT__FN int64_t t##_count(newt_conn *n_, const t##_range_of *x_)                              \
    {                                                                                              \
        newt_index_range b_ = t##_bounds_(x_);                                                     \
        return newt_index_count(n_, &t##_index, &b_);                                              \
    }                                                                                              \
    NEWT__FN int64_t t##_page(newt_conn *n_, const t##_range_of *x_, c##_ref *r_, size_t m_)       \
    {                                                                                              \
        newt_index_range b_ = t##_bounds_(x_);                                                     \
        return newt_index_page(n_, &t##_index, &b_, &r_->any, m_);                                 \
    }                                                                                              \
    struct newt__semicolon_

/*
 * Defines t_index: NEWT_INDEX(t, name, c, f, ...), with the fields in the order in which they are
 * compared, and what else newt_index has: .unique = true, NEWT_WHERE(function).
 */
#define NEWT__INDEX_PART(t, f) {#f, offsetof(t##_key, f), sizeof(((t##_key *)0)->f)}
#define NEWT__INDEX_OF(t, nm, c, n, parts_, ...)                                                   \
    const newt_index t##_index = {.size = sizeof(newt_index),                                      \
                                  .name = nm,                                                      \
                                  .class_ = &c##_class,                                            \
                                  .n_parts = n,                                                    \
                                  .parts = {NEWT__BARE parts_},                                    \
                                  __VA_ARGS__}
#define NEWT_INDEX(t, nm, c, f1, ...)                                                              \
    NEWT__INDEX_OF(t, nm, c, 1, (NEWT__INDEX_PART(t, f1)), __VA_ARGS__)
#define NEWT_INDEX2(t, nm, c, f1, f2, ...)                                                         \
    NEWT__INDEX_OF(t, nm, c, 2, (NEWT__INDEX_PART(t, f1), NEWT__INDEX_PART(t, f2)), __VA_ARGS__)
#define NEWT_INDEX3(t, nm, c, f1, f2, f3, ...)                                                     \
    NEWT__INDEX_OF(t, nm, c, 3,                                                                    \
                   (NEWT__INDEX_PART(t, f1), NEWT__INDEX_PART(t, f2), NEWT__INDEX_PART(t, f3)),    \
                   __VA_ARGS__)
#define NEWT_WHERE(fn) .where = (fn), .where_name = #fn
/* For newt_hooks.indexes. */
#define NEWT_INDEXES(...) ((const newt_index *const[]){__VA_ARGS__, NULL})
/* clang-format on */

#endif
