/*
 * tables_full.c - a disk that is full under typed tables: a commit is refused as a whole
 *
 * Needs root, for a disk that is small.
 */
#include "../bridge/books.h"

#include "disk.h"

#include <sys/statvfs.h>

enum {
    OLD = 200, /* books that are changed */
    NEW = 600  /* and made, in each round */
};

/* Books with other collections than before, and more of them. */
static void
write_books(newt_conn *c, const book_ref *old, int round)
{
    begin(c);
    for (int i = 0; i < OLD; i++)
        change_book(c, old[i], i + round, old[0].any);
    for (int i = 0; i < NEW; i++) {
        book_ref r = make_book(c, i + round);

        change_book(c, r, i + round, old[0].any);
    }
}

/* All that a commit writes. */
static char *
written(const store *s)
{
    return sql_text(s->pg, "SELECT concat_ws(' ', "
                           "(SELECT max(tid) || ' ' || count(*) FROM transaction), "
                           "(SELECT count(*) || ' ' || sum(serial) FROM object_state), "
                           "(SELECT count(*) || ' ' || sum(serial) FROM newt_projection), "
                           "(SELECT count(*) FROM book), (SELECT count(*) FROM book_pages), "
                           "(SELECT count(*) FROM book_others), (SELECT sum(value) FROM "
                           "book_weights))");
}

/* All that the filler took is free again: the commit needs 0.5 MB. */
static bool
has_room(void)
{
    struct statvfs v;

    return statvfs(small, &v) == 0 && (double)v.f_bavail * (double)v.f_frsize > 3 << 20;
}

/* Each table of a class in turn has no room: what was written before it in the same commit is not
 * there, and the connection goes on. */
static void
test_full(void **state)
{
    static const char *const tables[] = {"book", "book_pages", "book_others", "book_weights"},
                             *const words[] = {"No space left on device", NULL};
    static book_ref old[OLD];
    char *before, *after;
    store s;

    (void)state;
    if (!make_disk()) {
        print_message("# a small file system needs root\n");
        skip();
    }
    open_books(&s, "full", (newt_options){0});
    begin(s.a);
    for (int i = 0; i < OLD; i++)
        old[i] = make_book(s.a, i);
    commit(s.a);
    create_table(&s, "Book");
    sql_do(s.pg, "CREATE TABLESPACE newt_small LOCATION '%s'", small);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        int round = (int)i + 1;

        sql_do(s.pg, "VACUUM (FULL) %s", tables[i]); /* no room within it either */
        sql_do(s.pg, "ALTER TABLE %s SET TABLESPACE newt_small", tables[i]);
        fill_disk(s.pg);
        before = written(&s);
        for (int again = 0; again < 2; again++) {
            write_books(s.a, old, round);
            assert_refused(s.a, "53100", words);
            after = written(&s);
            assert_string_equal(after, before);
            assert_clean(&s, "Book");
            free(after);
        }
        /* what needs none of it goes on */
        begin(s.b);
        assert_non_null(shelf_new(s.b));
        commit(s.b);
        sql_do(s.pg, "DROP TABLE filler");
        sql_do(s.pg, "CHECKPOINT"); /* whoever has its file open lets it go */
        wait_until(has_room());
        write_books(s.a, old, round);
        commit(s.a);
        assert_clean(&s, "Book");
        assert_int_equal(sql_int(s.pg, "SELECT count(*) FROM book"), OLD + NEW * round);
        sql_do(s.pg, "ALTER TABLE %s SET TABLESPACE pg_default", tables[i]);
        free(before);
    }
    store_close(&s);
}

static int
remove_small(void **state)
{
    (void)state;
    remove_disk(test_database);
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(test_full, remove_small),
};

int
main(void)
{
    return run_all(tests);
}
