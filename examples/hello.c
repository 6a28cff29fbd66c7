#include <newtdb.h>
#include <stdio.h>
#include <stdlib.h>

struct note {
    newt_text text;
    int32_t seen;
};
NEWT_DECLARE(note);
NEWT_CLASS(note, "Note", 1, NULL, NEWT_FIELD(struct note, text), NEWT_FIELD(struct note, seen));

static int
hello(newt_conn *c, void *text) /* may run again, after a conflict */
{
    note_ref r = note_of(newt_root(c, "hello"));
    struct note *n = newt_is_null(r.any) ? note_new(c) : note_write(c, r);
    if (!n)
        return newt_status(c);
    newt_set(n, text, text ? text : "Hello");
    n->seen++;
    printf("%s (%d)\n", n->text.s, n->seen);
    return newt_set_root(c, "hello", note_id(n).any);
}

int
main(int argc, char **argv)
{
    const newt_class *classes[] = {&note_class, NULL};
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int rc = newt_db_open(&db, getenv("NEWT_URI"), classes, NULL);
    rc = rc ? rc : newt_connect(db, &c);
    rc = rc ? rc : newt_transact(c, hello, argc > 1 ? argv[1] : NULL, NULL);
    if (rc)
        fprintf(stderr, "hello: %s\n", newt_error_message(newt_last_error(db, c)));
    newt_close(c);
    newt_db_close(db);
    return rc != 0;
}
