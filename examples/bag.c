/*
 * bag.c - objects without a C struct: property bags over jansson, which may hold references
 *
 *   bag put NAME CLASS JSON     makes the object, or replaces its state
 *   bag set NAME KEY JSON       one property; @OTHER is a reference to the object named OTHER
 *   bag get NAME                shows it, and what it refers to
 *   bag find JSON               the names' objects whose state contains this
 *
 * The store is that of $NEWT_URI, schema public. Names are those of roots.
 */
#include <newtdb.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOT_FOUND = 1,
    NO_JSON = 2,
    USAGE = 3
}; /* handed back by newt_transact */

/* JSON, or @NAME: a new reference, or NULL. */
static json_t *
value_of(newt_conn *c, const char *text)
{
    json_error_t e;
    json_t *value;

    if (*text == '@')
        return newt_json_ref(newt_root(c, text + 1));
    value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!value)
        fprintf(stderr, "bag: %s, at character %d of %s\n", e.text, e.position, text);
    return value;
}

static int
put(newt_conn *c, void *arg)
{
    char **argv = arg;
    newt_ref r = newt_root(c, argv[0]);
    newt_bag *b = newt_is_null(r) ? newt_bag_new(c, argv[1]) : newt_bag_write(c, r);
    json_t *state;
    int rc;

    if (!b)
        return newt_status(c);
    state = value_of(c, argv[2]);
    if (!state)
        return NO_JSON;
    rc = newt_bag_replace(b, state);
    json_decref(state);
    if (!rc)
        rc = newt_set_root(c, argv[0], newt_bag_ref(b));
    newt_bag_done(b);
    return rc;
}

static int
not_found(newt_conn *c, const char *name)
{
    if (newt_status(c))
        return newt_status(c);
    fprintf(stderr, "bag: no object \"%s\"\n", name);
    return NOT_FOUND;
}

static int
set(newt_conn *c, void *arg)
{
    char **argv = arg;
    newt_ref r = newt_root(c, argv[0]);
    newt_bag *b;
    json_t *value;
    int rc;

    if (newt_is_null(r))
        return not_found(c, argv[0]);
    if (argv[2][0] == '@' && newt_is_null(newt_root(c, argv[2] + 1)))
        return not_found(c, argv[2] + 1);
    b = newt_bag_write(c, r);
    if (!b)
        return newt_status(c);
    value = value_of(c, argv[2]);
    if (!value)
        return NO_JSON;
    rc = newt_bag_set(b, argv[1], value);
    json_decref(value);
    newt_bag_done(b);
    return rc;
}

/* Prints the object; those it refers to directly, one step in. */
static int
show(newt_conn *c, newt_ref r, int depth)
{
    const newt_bag *b = newt_bag_read(c, r);
    json_t *state = b ? newt_bag_state(b) : NULL, *value;
    const char *key;
    int rc = NEWT_OK;

    if (!state)
        return newt_status(c);
    printf("%s {\n", newt_bag_class(b));
    json_object_foreach(state, key, value)
    {
        newt_ref to = newt_json_to_ref(value);
        char *text;

        printf("%*s%s: ", depth * 2 + 2, "", key);
        if (!newt_is_null(to) && depth == 0) {
            rc = show(c, to, depth + 1);
            if (rc)
                break;
            continue;
        }
        text = newt_is_null(to) ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))
                                : NULL;
        printf("%s\n", text ? text : "-> an object");
        free(text);
    }
    printf("%*s}\n", depth * 2, "");
    json_decref(state);
    newt_bag_done(b);
    return rc;
}

static int
get(newt_conn *c, void *arg)
{
    char **argv = arg;
    newt_ref r = newt_root(c, argv[0]);

    return newt_is_null(r) ? not_found(c, argv[0]) : show(c, r, 0);
}

static int
find(newt_conn *c, void *arg)
{
    char **argv = arg;
    const char *params[] = {argv[0]};
    newt_result *r = NULL;
    int rc = newt_where(c, &r, "state @> $1::jsonb ORDER BY class_name, zoid", 1, params);

    for (size_t i = 0; i < newt_result_size(r) && !rc; i++)
        rc = show(c, newt_result_ref(r, i), 1);
    newt_result_free(r);
    return rc;
}

static const struct {
    const char *name;
    newt_work *work;
    int arguments;
} commands[] = {{"put", put, 3}, {"set", set, 3}, {"get", get, 1}, {"find", find, 1}};

int
main(int argc, char **argv)
{
    static const newt_class *const classes[] = {NULL}; /* none: everything is a bag here */
    newt_work *work = NULL;
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int rc;

    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 == commands[i].arguments)
            work = commands[i].work;
    if (!work) {
        fputs("usage: bag put NAME CLASS JSON | set NAME KEY JSON | get NAME | find JSON\n",
              stderr);
        return USAGE;
    }
    rc = newt_db_open(&db, getenv("NEWT_URI"), classes, NULL);
    if (!rc)
        rc = newt_connect(db, &c);
    if (!rc)
        rc = newt_transact(c, work, argv + 2, NULL);
    if (rc < 0)
        fprintf(stderr, "bag: %s\n", newt_error_message(newt_last_error(db, c)));
    newt_close(c);
    newt_db_close(db);
    return rc < 0 ? 1 : rc;
}
