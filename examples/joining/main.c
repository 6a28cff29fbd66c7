/*
 * main.c - an order is taken: an object, a file with the invoice, and a row in the books, which are
 * another database: all of them or none
 *
 *     NEWT_URI=STORE joining BOOKS DIRECTORY CENTS
 *
 * BOOKS is a connection string; its server needs max_prepared_transactions, and it has a table
 * booking (number bigint, cents bigint).
 */
#include "joining.h"

#include <stdio.h>
#include <stdlib.h>

struct order {
    int64_t number, cents;
};
NEWT_DECLARE(order);
NEWT_CLASS(order, "Order", 1, NULL, NEWT_FIELD(struct order, number),
           NEWT_FIELD(struct order, cents));

struct sale {
    PGconn *books;
    const char *directory;
    int64_t cents;
};

static int
take_order(newt_conn *c, void *arg) /* may run again, after a conflict */
{
    const struct sale *s = arg;
    newt_length_ref last = newt_length_of(newt_root(c, "orders"));
    struct newt_length *n = newt_is_null(last.any) ? newt_length_new(c)
                                                   : newt_length_write(c, last);
    struct order *o = order_new(c);
    char path[4096], invoice[100], number[24], cents[24];
    const char *values[] = {number, cents};
    PGresult *r;
    int size, rc;

    if (!n || !o)
        return newt_status(c);
    newt_length_change(n, 1);
    o->number = n->value;
    o->cents = s->cents;
    rc = newt_set_root(c, "orders", newt_length_id(n).any);

    snprintf(path, sizeof path, "%s/invoice-%lld", s->directory, (long long)o->number);
    size = snprintf(invoice, sizeof invoice, "Order %lld: %lld cents\n", (long long)o->number,
                    (long long)o->cents);
    rc = rc ? rc : file_join(c, path, invoice, (size_t)size);

    rc = rc ? rc : database_join(c, s->books);
    if (rc)
        return rc;
    snprintf(number, sizeof number, "%lld", (long long)o->number);
    snprintf(cents, sizeof cents, "%lld", (long long)o->cents);
    r = PQexecParams(s->books, "INSERT INTO booking VALUES ($1, $2)", 2, NULL, values, NULL, NULL,
                     0);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        rc = NEWT_ESQL; /* all of it is undone */
    PQclear(r);
    return rc;
}

int
main(int argc, char **argv)
{
    const newt_class *classes[] = {&order_class, NULL};
    struct sale s = {0};
    newt_db *db = NULL;
    newt_conn *c = NULL;
    int files = 0, bookings = 0, rc;

    if (argc != 4) {
        fputs("usage: NEWT_URI=STORE joining BOOKS DIRECTORY CENTS\n", stderr);
        return 2;
    }
    s.directory = argv[2];
    s.cents = atoll(argv[3]);
    s.books = PQconnectdb(argv[1]);
    if (PQstatus(s.books) != CONNECTION_OK)
        fprintf(stderr, "joining: %s", PQerrorMessage(s.books));
    rc = newt_db_open(&db, getenv("NEWT_URI"), classes, NULL);
    rc = rc ? rc : newt_connect(db, &c);
    /* what a crash has left is settled first */
    rc = rc ? rc : file_recover(c, s.directory, &files);
    rc = rc ? rc : database_recover(c, s.books, &bookings);
    rc = rc ? rc : newt_transact(c, take_order, &s, NULL);
    if (rc)
        fprintf(stderr, "joining: %s: %s\n", newt_status_text(rc),
                newt_error_message(newt_last_error(db, c)));
    else
        printf("taken; %d files and %d bookings were settled\n", files, bookings);
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.books);
    return rc != 0;
}
