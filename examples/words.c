/*
 * words.c - how often each word was given: a BTree and what it is good for
 *
 *   words add WORD...      counts words
 *   words list [PREFIX]    all, or those that begin with this, in their order
 *   words last N           the last N
 *   words drop PREFIX      forgets those that begin with this
 *
 * The store is that of $NEWT_URI, schema public.
 */
#include <newtdb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

NEWT_DECLARE_BTREE(counts, newt_text, int64_t);
NEWT_BTREE(counts, "WordCounts", NEWT_VALUES(counts));

typedef struct command {
    int argc;
    char **argv;
} command;

/* The tree, made by the first who adds a word. */
static counts_ref
words(newt_conn *c, bool make)
{
    counts_ref tree = counts_of(newt_root(c, "words"));

    if (newt_is_null(tree.any) && make) {
        tree = counts_create(c);
        newt_set_root(c, "words", tree.any);
    }
    return tree;
}

static int
add(newt_conn *c, void *arg)
{
    const command *x = arg;
    counts_ref tree = words(c, true);

    for (int i = 0; i < x->argc; i++) {
        newt_text word = newt_str(x->argv[i]);
        int64_t n = 0;

        if (counts_get(c, tree, word, &n) < 0)
            return newt_status(c);
        counts_put(c, tree, word, n + 1);
    }
    return NEWT_OK;
}

/* From PREFIX on, while words begin with it; drop: they are removed on the way. */
static int
each(newt_conn *c, const char *prefix, bool drop)
{
    counts_ref tree = words(c, false);
    counts_key from = newt_str(prefix);
    counts_cursor at;
    int more;

    if (newt_is_null(tree.any))
        return NEWT_OK;
    at = counts_range(c, tree, &(counts_range_of){.from = &from});
    while ((more = counts_next(&at)) == 1 && strncmp(at.key.s, prefix, from.n) == 0) {
        if (drop)
            counts_at_remove(&at);
        else
            printf("%6lld  %s\n", (long long)at.value, at.key.s);
    }
    counts_close(&at);
    return more < 0 ? more : NEWT_OK;
}

static int
list(newt_conn *c, void *arg)
{
    const command *x = arg;

    return each(c, x->argc > 0 ? x->argv[0] : "", false);
}

static int
drop(newt_conn *c, void *arg)
{
    return each(c, ((const command *)arg)->argv[0], true);
}

static int
last(newt_conn *c, void *arg)
{
    counts_ref tree = words(c, false);
    int n = atoi(((const command *)arg)->argv[0]), more = 1;

    if (newt_is_null(tree.any))
        return NEWT_OK;
    counts_cursor at = counts_range(c, tree, &(counts_range_of){.descending = true});
    while (n-- > 0 && (more = counts_next(&at)) == 1)
        printf("%6lld  %s\n", (long long)at.value, at.key.s);
    counts_close(&at);
    printf("of %lld words\n", (long long)counts_length(c, tree));
    return more < 0 ? more : NEWT_OK;
}

static const struct {
    const char *name;
    int least; /* arguments */
    newt_work *work;
} commands[] = {{"add", 1, add}, {"list", 0, list}, {"last", 1, last}, {"drop", 1, drop}};

int
main(int argc, char **argv)
{
    static const newt_class *const classes[] = {&counts_class, NULL};
    command x = {argc - 2, argv + 2};
    newt_work *work = NULL;
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int rc;

    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && x.argc >= commands[i].least)
            work = commands[i].work;
    if (!work) {
        fprintf(stderr, "usage: words add WORD... | list [PREFIX] | last N | drop PREFIX\n");
        return 2;
    }
    rc = newt_db_open(&db, getenv("NEWT_URI"), classes, NULL);
    rc = rc ? rc : newt_connect(db, &c);
    rc = rc ? rc : newt_transact(c, work, &x, NULL);
    if (rc)
        fprintf(stderr, "words: %s\n", newt_error_message(newt_last_error(db, c)));
    newt_close(c);
    newt_db_close(db);
    return rc != 0;
}
