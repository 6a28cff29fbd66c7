/*
 * joining.h - two resources that join a transaction of Newt's: a file, and another database
 *
 * Each keeps what it has prepared under the transaction's name until it is told what became of it;
 * what a crash has left asks newt_was_committed().
 */
#ifndef JOINING_H
#define JOINING_H

#include <newtdb.h>

#include <libpq-fe.h>

/* The file path will hold this when the transaction is committed, and be as it is now otherwise.
 * The bytes are copied. */
int file_join(newt_conn *c, const char *path, const void *data, size_t n);
/* Settles what a crash left in a directory. settled: how many files. */
int file_recover(newt_conn *c, const char *directory, int *settled);

/* Begins a transaction of another database, which ends with that of c. pg is the caller's, who runs
 * statements over it, and closes it after the end of the transaction. Its server needs
 * max_prepared_transactions. */
int database_join(newt_conn *c, PGconn *pg);
/* Settles what a crash left prepared in that database. */
int database_recover(newt_conn *c, PGconn *pg, int *settled);

#endif
