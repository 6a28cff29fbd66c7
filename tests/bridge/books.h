/*
 * books.h - what the tests of typed tables share: books, which have collections of every shape
 */
#ifndef NEWT_TESTS_BRIDGE_BOOKS_H
#define NEWT_TESTS_BRIDGE_BOOKS_H

#include "everything.h"
#include "server.h"

struct shelf;
struct book;
NEWT_DECLARE(shelf);
NEWT_DECLARE(book);
struct page {
    newt_text title;
    int32_t number;
    NEWT_ARRAY(book_ref) see;
};
NEWT_DECLARE(page);
struct book {
    newt_text name;
    uint64_t words;
    newt_time at;
    shelf_ref shelf;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(struct page) pages;
    NEWT_ARRAY(newt_ref) others; /* a set */
    NEWT_MAP(double) weights;
};
struct shelf {
    newt_text name;
};
/* clang-format off */
NEWT_CLASS(page, "Page", 0, NULL, NEWT_FIELD(struct page, title), NEWT_FIELD(struct page, number),
           NEWT_REFS(struct page, see, book));
NEWT_CLASS(shelf, "Shelf", 1, NULL, NEWT_FIELD(struct shelf, name));
NEWT_CLASS(book, "Book", 1, NULL, NEWT_FIELD(struct book, name), NEWT_FIELD(struct book, words),
           NEWT_FIELD(struct book, at), NEWT_REF(struct book, shelf, shelf),
           NEWT_LIST(struct book, tags), NEWT_STRUCTS(struct book, pages, page),
           NEWT_SET(struct book, others),
           NEWT_MAPOF(struct book, weights));
/* clang-format on */

static const newt_class *const books[] = {&book_class, &shelf_class, NULL};

/* ---- helpers ------------------------------------------------------------------------------- */

UNUSED static void
open_books(store *s, const char *name, newt_options o)
{
    use_database(true);
    store_make(s, name);
    s->db = store_db(s, books, o);
    s->a = connect_(s->db);
    s->b = connect_(s->db);
}

UNUSED static void
create_table(const store *s, const char *class_name)
{
    sql_do(s->pg, "CALL newt.create_table('%s', '%s')", s->schema, class_name);
}

UNUSED static void
assert_clean(const store *s, const char *class_name)
{
    assert_sql(s->pg, "",
               "SELECT problem || ' ' || objects || ' ' || coalesce(examples::text, '') "
               "FROM newt.check_table('%s', '%s')",
               s->schema, class_name);
}

/* A book with as many items of each collection as n says. */
static void
write_book(struct book *b, int64_t n, newt_ref other)
{
    char text[40];

    snprintf(text, sizeof text, "book %lld", (long long)n);
    newt_set(b, name, text);
    b->words = (uint64_t)n * 1000;
    b->at.us = 1700000000000000 + n;
    b->tags.n = b->pages.n = b->others.n = 0;
    for (int64_t i = 0; i < n % 4; i++) {
        newt_append(b, tags, (newt_text){0});
        snprintf(text, sizeof text, "tag %lld", (long long)i);
        newt_text_set((newt_object *)b, &newt_items(b, tags)[i], text);
    }
    for (int64_t i = 0; i < n % 5; i++) {
        newt_append(b, pages, (struct page){.number = (int32_t)i});
        snprintf(text, sizeof text, "page %lld", (long long)(n + i));
        newt_text_set((newt_object *)b, &newt_items(b, pages)[i].title, text);
    }
    if (other.oid)
        newt_append(b, others, other);
    for (int64_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "key %lld", (long long)i);
        if (i < n % 3)
            *newt_put(b, weights, text) = (double)n / 2;
        else
            newt_drop(b, weights, text);
    }
}

UNUSED static book_ref
make_book(newt_conn *c, int64_t n)
{
    struct book *b = book_new(c);

    assert_non_null(b);
    write_book(b, n, (newt_ref){0});
    return book_id(b);
}

UNUSED static void
change_book(newt_conn *c, book_ref r, int64_t n, newt_ref other)
{
    struct book *b = book_write(c, r);

    if (!b)
        fail_error("book_write", newt_conn_error(c));
    write_book(b, n, other);
    book_done(b);
}

UNUSED static void
assert_refused(newt_conn *c, const char *sqlstate, const char *const *words)
{
    const newt_error *e;

    assert_int_not_equal(newt_commit(c), NEWT_OK);
    e = newt_conn_error(c);
    assert_string_equal(newt_error_sqlstate(e), sqlstate);
    for (; *words; words++)
        if (!strstr(newt_error_message(e), *words))
            fail_msg("no \"%s\" in \"%s\"", *words, newt_error_message(e));
    newt_abort(c);
}

#endif
