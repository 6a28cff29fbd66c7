/*
 * index.c - indexes over the projection, where the library makes them
 */
#include "transaction.h"

#include <string.h>
#include <strings.h>

enum {
    LONGEST_NAME = 63
};

/* An identifier that needs no quotes. */
static bool
is_name(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t n = strlen(s);

    return n > 0 && n <= LONGEST_NAME && strspn(s, first) > 0 && strspn(s, rest) == n;
}

/* Of the tables of a store, or of the database's own. */
static bool
is_taken(const char *s)
{
    static const char *const begins[] = {"newt", "object_state", "transaction", "sqlite_"};

    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncasecmp(s, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static int
check(newt_conn *c, const newt__index *x, const char *function, newt_error *e)
{
    if (!c->jar.storage->index) {
        newt__fail(e, NEWT_EINVAL, 0, "%s needs a store in SQLite", function);
        newt__fail_detail(e, "This one is in %s.", c->jar.storage->scheme);
        if (c->jar.storage->query)
            newt__fail_hint(e, "Create the index on newt_projection in SQL.");
        return NEWT_EINVAL;
    }
    if (!x->name || !is_name(x->name) || is_taken(x->name)) {
        newt__fail(e, NEWT_EINVAL, 0, "\"%.80s\" cannot be the name of an index",
                   x->name ? x->name : "");
        newt__fail_hint(
            e,
            "A name has letters, digits and _, begins with no digit, has at most %d "
            "bytes, and does not begin with newt, object_state, transaction or sqlite_.",
            LONGEST_NAME);
        return NEWT_EINVAL;
    }
    if (x->flags & ~(unsigned)(NEWT_INDEX_UNIQUE | NEWT_INDEX_TEXT) ||
        x->flags == (NEWT_INDEX_UNIQUE | NEWT_INDEX_TEXT)) {
        newt__fail(e, NEWT_EINVAL, 0, "the flags of index \"%s\" are %u", x->name, x->flags);
        newt__fail_hint(e, "They are 0, NEWT_INDEX_UNIQUE or NEWT_INDEX_TEXT.");
        return NEWT_EINVAL;
    }
    if (x->what && !*x->what && !(x->flags & NEWT_INDEX_TEXT)) {
        newt__fail(e, NEWT_EINVAL, 0, "index \"%s\" is of nothing", x->name);
        newt__fail_hint(e, "Give a list of expressions, such as state->>'title'.");
        return NEWT_EINVAL;
    }
    return NEWT_OK;
}

static int
run(newt_conn *c, const newt__index *x, const char *function)
{
    newt_error e = {0};
    int status = newt__outside(c, NULL, function);

    if (status != NEWT_OK)
        return status;
    status = check(c, x, function, &e);
    if (status == NEWT_OK)
        status = c->jar.storage->index(c->jar.session, x, &e);
    return status == NEWT_OK ? NEWT_OK : newt__base_fail_with(&c->jar.base, &e);
}

int
newt_index_create(newt_conn *c, const char *name, const char *class_name, const char *what,
                  unsigned flags)
{
    newt__index x = {name, class_name, what ? what : "", flags};

    return run(c, &x, "newt_index_create");
}

int
newt_index_drop(newt_conn *c, const char *name)
{
    newt__index x = {.name = name};

    return run(c, &x, "newt_index_drop");
}
