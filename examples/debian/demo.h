/*
 * demo.h - the parts of the demo, in the order in which they run
 */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include "index.h"
#include "package.h"
#include "page.h"

struct json_t;
struct demo;

/* SQL to show: what it asks, the index that is meant for it or NULL, the parameters ("?": the
 * package that was picked). */
struct question {
    const char *title, *index, *sql;
    const char *params[3];
};

/* How a storage is asked. */
struct dialect {
    const char *find;             /* the package of a name: its zoid, and "name" */
    const char *largest;          /* the name of the largest package */
    const char *explain, *column; /* in front of a query; where the answer has the plan's lines */
    const char *scan;             /* a word in the line of a plan that finds rows */
    struct question search;       /* zoids, by words */
    const char *look;             /* held, priority and summary of the package $1 */
    const char *reviewed;         /* packages with the words $1 */
    struct question readable;     /* zoids of packages that a group may see */
    struct question held;         /* how many of them are held */
    const char *visible;          /* how many uploads the principals $1, a JSON array, may see */
    const char *derived;          /* makes the columns by which that is looked up */
    bool (*index)(struct demo *d);
    const struct question *questions;
    size_t n;
};
extern const struct dialect demo_postgresql, demo_sqlite;

struct demo {
    const char *uri, *schema; /* of the store */
    const struct dialect *dialect;
    newt_db *db;
    newt_conn *c;
    struct page page;
};

/* Each is true if all went well; else it has said what did not. */
bool demo_open(struct demo *d, bool no_inline); /* the store is made if there is none */
void demo_close(struct demo *d);
bool demo_load(struct demo *d, struct index *x);
bool demo_ask(struct demo *d);
bool demo_change(struct demo *d);
bool demo_folders(struct demo *d);
bool demo_publish(struct demo *d);
bool demo_follow(struct demo *d, struct index *x, const char *updater);
/* Moves a folder, or lets somebody into it, or not: "move", "zlib-fix=stable". */
bool demo_arrange(struct demo *d, const char *how, const char *what);

/* Says what went wrong on the connection, or on the database. False, for `return`. */
bool demo_failed(const struct demo *d, const newt_conn *c, const char *what);
/* Runs one SQL statement in psql, in the store's schema, as an administrator would; *seconds is
 * what psql says it took. */
bool demo_psql(const struct demo *d, const char *sql, double *seconds);
/* Rows of SQL, in a transaction of their own. */
bool demo_rows(const struct demo *d, struct json_t **rows, const char *sql, int n,
               const char *const *params);
/* Shows SQL, its rows, the time, and the plan's line with the index, or that says how they were
 * found without one. */
bool demo_show(const struct demo *d, const char *index, const char *sql, int n,
               const char *const *params);
/* The package of that name, in the running transaction; null if there is none. */
int demo_find(const struct dialect *dialect, newt_conn *c, const char *name, package_ref *ref);
/* Some package to look at: the first of these that the archive has, else its largest. */
bool demo_pick(const struct demo *d, const char *const *names, char out[64]);

/* ---- where the graph begins: names of roots ------------------------------------------------- */

#define ROOT_CURRENT "debian"         /* the archive that everybody reads */
#define ROOT_LOADING "debian.loading" /* the next one, not complete yet */
#define ROOT_OLD     "debian.old"     /* the last one, being removed */

#endif
