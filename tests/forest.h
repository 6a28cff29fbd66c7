/*
 * forest.h - a tree of folders and documents with owners, comments and access lists, and who
 * changes all of it at random: for tests of derived columns
 *
 *     forest_open(&f, conninfo, schema, db, n, seed)    plants about n objects
 *     forest_start(&f, k) ... forest_join(&f)           k transactions; -1: until forest_stop
 *     forest_check(&f, "tree")                          nothing is stale, and who may see what
 *
 * Folders are moved, also below themselves; everything is removed, with things in it and with
 * references to it, and some of it comes back under its oid. Who may see an object is computed here
 * once more, from the documents.
 */
#ifndef NEWT_TESTS_FOREST_H
#define NEWT_TESTS_FOREST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <time.h>

#include "../bridge/newtdb.h"
#include "generate.h"

#ifndef UNUSED
#    define UNUSED __attribute__((unused))
#endif

struct entry;
struct company;
struct person;
struct page;
struct comment;
NEWT_DECLARE(entry);
NEWT_DECLARE(company);
NEWT_DECLARE(person);
NEWT_DECLARE(page);
NEWT_DECLARE(comment);
struct entry {
    newt_text principal, effect, role;
};
struct company {
    newt_text name;
    int64_t seats;
};
struct person {
    newt_text name;
    company_ref company;
    person_ref boss;
};
struct page { /* a folder, or a document */
    newt_text title;
    int64_t n;
    newt_ref within;
    person_ref owner;
    NEWT_ARRAY(person_ref) authors;
    NEWT_ARRAY(newt_text) readers;
    NEWT_ARRAY(newt_text) denied;
    NEWT_ARRAY(struct entry) acl;
    bool closed; /* nothing comes from above */
};
struct comment {
    newt_ref on;
    person_ref by;
    int64_t stars;
    newt_time at;
    newt_text said;
};
NEWT_CLASS(entry, "Entry", 1, NULL, NEWT_FIELD(struct entry, principal),
           NEWT_FIELD(struct entry, effect), NEWT_FIELD(struct entry, role));
NEWT_CLASS(company, "Company", 1, NULL, NEWT_FIELD(struct company, name),
           NEWT_FIELD(struct company, seats));
NEWT_CLASS(person, "Person", 1, NULL, NEWT_FIELD(struct person, name),
           NEWT_REF(struct person, company, company), NEWT_REF(struct person, boss, person));
NEWT_CLASS(page, "Page", 1, NULL, NEWT_FIELD(struct page, title), NEWT_FIELD(struct page, n),
           NEWT_FIELD(struct page, within), NEWT_REF(struct page, owner, person),
           NEWT_REFS(struct page, authors, person), NEWT_LIST(struct page, readers),
           NEWT_LIST(struct page, denied), NEWT_STRUCTS(struct page, acl, entry),
           NEWT_FIELD(struct page, closed));
NEWT_CLASS(comment, "Comment", 1, NULL, NEWT_FIELD(struct comment, on),
           NEWT_REF(struct comment, by, person), NEWT_FIELD(struct comment, stars),
           NEWT_FIELD(struct comment, at), NEWT_FIELD(struct comment, said));

/* The same struct under another name. */
static const newt_class folder_class = {.class_size = sizeof(newt_class),
                                        .field_size = sizeof(newt_field),
                                        .size = sizeof(struct page),
                                        .name = "Folder",
                                        .version = 1,
                                        .n_fields = sizeof page_fields_ / sizeof *page_fields_,
                                        .fields = page_fields_};

enum {
    COMPANY,
    PERSON,
    FOLDER,
    PAGE,
    COMMENT,
    KINDS,
    FORESTERS = 4,
    PRINCIPALS = 8,
    MOST_CHANGES = 4, /* of one transaction */
    PLANTED_AT_A_TIME = 200,
    ANOTHER_WAS_FASTER = 1
};

UNUSED static const newt_class *const forest_classes[] = {
    &company_class, &person_class, &folder_class, &page_class, &comment_class, NULL};

/* Every sort of column. */
#define FOREST_COLUMNS                                                                             \
    "[{\"name\": \"title\", \"value\": \"title\", \"type\": \"text\"},"                            \
    " {\"name\": \"n\", \"value\": \"n\", \"type\": \"bigint\"},"                                  \
    " {\"name\": \"readers\", \"value\": \"readers\", \"type\": \"text[]\"},"                      \
    " {\"name\": \"folder\", \"value\": \"within->title\", \"type\": \"text\"},"                   \
    " {\"name\": \"above\", \"value\": \"within->within->title\", \"type\": \"text\"},"            \
    " {\"name\": \"owner\", \"value\": \"owner->name\", \"type\": \"text\"},"                      \
    " {\"name\": \"company\", \"value\": \"owner->company->name\", \"type\": \"text\"},"           \
    " {\"name\": \"authors\", \"value\": \"authors->name\", \"type\": \"text[]\"},"                \
    " {\"name\": \"bosses\", \"value\": \"authors->boss->name\", \"type\": \"text[]\"},"           \
    " {\"name\": \"seats\", \"sum\": \"authors->company->seats\", \"type\": \"numeric\"},"         \
    " {\"name\": \"words\", \"text\": [\"title:A\", \"owner->name:B\", \"authors->name\"],"        \
    "  \"config\": \"english\"},"                                                                  \
    " {\"name\": \"said\", \"text\": \"said\", \"of\": \"Comment\", \"by\": \"on\"},"              \
    " {\"name\": \"comments\", \"count\": \"\", \"of\": \"Comment\", \"by\": \"on\"},"             \
    " {\"name\": \"writers\", \"count\": \"authors\"},"                                            \
    " {\"name\": \"stars\", \"sum\": \"stars\", \"of\": \"Comment\", \"by\": \"on\","              \
    "  \"type\": \"bigint\"},"                                                                     \
    " {\"name\": \"least\", \"min\": \"stars\", \"of\": \"Comment\", \"by\": \"on\","              \
    "  \"type\": \"bigint\"},"                                                                     \
    " {\"name\": \"last\", \"max\": \"at\", \"of\": \"Comment\", \"by\": \"on\","                  \
    "  \"type\": \"timestamptz\"},"                                                                \
    " {\"name\": \"commenters\", \"value\": \"by->name\", \"of\": \"Comment\", \"by\": \"on\","    \
    "  \"type\": \"text[]\"},"                                                                     \
    " {\"name\": \"things\", \"count\": \"title\", \"of\": \"Page\", \"by\": \"within\"},"         \
    " {\"name\": \"view\", \"access\": {\"allow\": [\"readers\", \"owner\"], \"deny\":"            \
    "  \"denied\", \"entries\": \"acl\", \"stop\": \"closed\"}},"                                  \
    " {\"name\": \"edit\", \"access\": {\"entries\": \"acl\", \"roles\": [\"editor\", \"chief\"]," \
    "  \"stop\": \"closed\"}}]"

typedef struct forester {
    pthread_t thread;
    struct forest *all;
    generate random;
    char message[512]; /* why it gave up; "": it did not */
} forester;

typedef struct forest {
    newt_db *db;
    PGconn *pg; /* its search path is the schema */
    char schema[64];
    size_t first[KINDS + 1];     /* slots of each kind */
    _Atomic int64_t *slots;      /* oids; 0: to be filled */
    forester who[FORESTERS + 1]; /* the last one brings back what it has removed */
    PGconn *reviver;             /* with which it does */
    atomic_bool stop;
    bool limited;
    atomic_long left; /* transactions to be begun, where they are limited */
    atomic_long committed, revived;
} forest;

/* ---- what they write --------------------------------------------------------------------- */

static newt_ref
forest_any(forest *f, generate *g, int kind)
{
    size_t n = f->first[kind + 1] - f->first[kind];
    return (newt_ref){atomic_load(&f->slots[f->first[kind] + generate_below(g, n)])};
}

static void
name_anew(void *o, newt_text *text, generate *g)
{
    static const char *const names[] = {"Ada", "Plans", "Bob's", "budgets", "running", "Zoé", ""};
    char name[64];
    snprintf(name, sizeof name, "%s %d", names[generate_below(g, sizeof names / sizeof *names)],
             (int)generate_below(g, 50));
    (void)!newt_text_set(o, text, name);
}

static void
principal(char *out, size_t n, generate *g)
{
    snprintf(out, n, "p%d", (int)generate_below(g, PRINCIPALS));
}

/* Mostly below folders that were there before, so that the tree is one and is not deep. */
static newt_ref
forest_place(forest *f, generate *g, size_t slot)
{
    size_t first = f->first[FOLDER], n = f->first[FOLDER + 1] - first;
    switch (generate_below(g, 24)) {
    case 0: return (newt_ref){0};
    case 1: return forest_any(f, g, FOLDER); /* perhaps below itself */
    case 2: return forest_any(f, g, PAGE);
    case 3: return forest_any(f, g, (int)generate_below(g, KINDS));
    default:
        if (slot >= first && slot < first + n)
            n = slot - first;
        return (newt_ref){n ? atomic_load(&f->slots[first + generate_below(g, n)]) : 0};
    }
}

static void
access_anew(struct page *p, generate *g)
{
    static const char *const effects[] = {NULL, "allow", "deny", "Deny", "perhaps"};
    static const char *const roles[] = {NULL, "reader", "editor", "chief"};
    newt_object *o = (newt_object *)p;
    char name[16];
    switch (generate_below(g, 4)) {
    case 0:
        (void)!newt_array_remove(o, &p->readers, sizeof *p->readers.items, 0, p->readers.n);
        for (uint64_t n = generate_below(g, 3); n > 0; n--)
            if (newt_append(p, readers, (newt_text){0}) == NEWT_OK) {
                principal(name, sizeof name, g);
                (void)!newt_text_set(o, &newt_items(p, readers)[p->readers.n - 1], name);
            }
        break;
    case 1:
        (void)!newt_array_remove(o, &p->denied, sizeof *p->denied.items, 0, p->denied.n);
        if (generate_below(g, 2) && newt_append(p, denied, (newt_text){0}) == NEWT_OK) {
            principal(name, sizeof name, g);
            (void)!newt_text_set(o, &newt_items(p, denied)[0], name);
        }
        break;
    case 2:
        (void)!newt_array_remove(o, &p->acl, sizeof *p->acl.items, 0, p->acl.n);
        for (uint64_t n = generate_below(g, 4); n > 0; n--) {
            struct entry *e = newt_array_grow(o, &p->acl, sizeof *e, 1);
            if (!e)
                break;
            principal(name, sizeof name, g);
            (void)!newt_text_set(o, &e->principal, name);
            (void)!newt_text_set(o, &e->effect, effects[generate_below(g, 5)]);
            (void)!newt_text_set(o, &e->role, roles[generate_below(g, 4)]);
        }
        break;
    default: p->closed = generate_below(g, 4) == 0;
    }
}

static void
change_page(forest *f, generate *g, struct page *p, size_t slot)
{
    newt_object *o = (newt_object *)p;
    switch (generate_below(g, 7)) {
    case 0: name_anew(p, &p->title, g); break;
    case 1: p->n++; break;
    case 2: p->owner = person_of(forest_any(f, g, PERSON)); break;
    case 3:
        (void)!newt_array_remove(o, &p->authors, sizeof *p->authors.items, 0, p->authors.n);
        for (uint64_t n = generate_below(g, 4); n > 0; n--)
            (void)!newt_append(p, authors, person_of(forest_any(f, g, PERSON)));
        break;
    case 4: p->within = forest_place(f, g, slot); break;
    default: access_anew(p, g);
    }
}

static void
change_comment(forest *f, generate *g, struct comment *o)
{
    switch (generate_below(g, 4)) {
    case 0: o->on = forest_any(f, g, generate_below(g, 4) ? PAGE : FOLDER); break;
    case 1: o->by = person_of(forest_any(f, g, PERSON)); break;
    case 2:
        o->stars = (int64_t)generate_below(g, 6);
        o->at.us = (int64_t)generate_below(g, 2000000000) * 1000000;
        break;
    default: name_anew(o, &o->said, g);
    }
}

static void
change_object(forest *f, generate *g, int kind, size_t slot, void *o)
{
    struct company *c = o;
    struct person *p = o;
    switch (kind) {
    case COMPANY:
        name_anew(c, &c->name, g);
        c->seats = (int64_t)generate_below(g, 100);
        break;
    case PERSON:
        switch (generate_below(g, 3)) {
        case 0: p->company = company_of(forest_any(f, g, COMPANY)); break;
        case 1: p->boss = person_of(forest_any(f, g, PERSON)); break;
        default: name_anew(p, &p->name, g);
        }
        break;
    case COMMENT: change_comment(f, g, o); break;
    default: change_page(f, g, o, slot);
    }
}

/* ---- transactions ------------------------------------------------------------------------ */

typedef struct felling {
    forest *all;
    generate *random;
    size_t from, to; /* slots to be filled; to 0: some changes anywhere */
    size_t n, slots[PLANTED_AT_A_TIME];
    int64_t oids[PLANTED_AT_A_TIME]; /* what the slots hold afterwards */
} felling;

static int
forest_kind(const forest *f, size_t slot)
{
    int kind = 0;
    while (slot >= f->first[kind + 1])
        kind++;
    return kind;
}

static int
change_slot(newt_conn *c, felling *w, size_t slot)
{
    forest *f = w->all;
    int kind = forest_kind(f, slot);
    const newt_class *k = forest_classes[kind];
    int64_t oid = atomic_load(&f->slots[slot]);
    bool is_new = oid == 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->slots[i] == slot)
            return NEWT_OK;
    void *o = is_new ? newt_new(c, k) : newt_write(c, (newt_ref){oid}, k);
    if (!o && newt_status(c) == NEWT_EMISSING) {
        (void)atomic_compare_exchange_strong(&f->slots[slot], &oid, 0);
        return ANOTHER_WAS_FASTER;
    }
    if (!o)
        return newt_status(c);
    for (int i = is_new ? 8 : 1; i > 0; i--)
        change_object(f, w->random, kind, slot, o);
    oid = newt_ref_of(o).oid;
    newt_done(o);
    if (!is_new && generate_below(w->random, 8) == 0) {
        int status = newt_delete(c, (newt_ref){oid});
        if (status != NEWT_OK)
            return status;
        oid = 0;
    }
    w->slots[w->n] = slot;
    w->oids[w->n++] = oid;
    return NEWT_OK;
}

static int
fell_some(newt_conn *c, void *arg)
{
    static const int often[] = {COMPANY, PERSON, PERSON, FOLDER,  FOLDER, FOLDER,
                                PAGE,    PAGE,   PAGE,   COMMENT, COMMENT};
    felling *w = arg;
    forest *f = w->all;
    int status = NEWT_OK;
    w->n = 0;
    for (size_t slot = w->from; slot < w->to && status == NEWT_OK; slot++)
        status = change_slot(c, w, slot);
    for (uint64_t n = w->to ? 0 : 1 + generate_below(w->random, MOST_CHANGES);
         n > 0 && status == NEWT_OK; n--) {
        int kind = often[generate_below(w->random, sizeof often / sizeof *often)];
        size_t of = f->first[kind + 1] - f->first[kind];
        status = change_slot(c, w, f->first[kind] + generate_below(w->random, of));
    }
    return status;
}

static int
forest_transact(newt_conn *c, felling *w)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 100000};
    int status = newt_transact(c, fell_some, w, &patient);
    for (size_t i = 0; status == NEWT_OK && i < w->n; i++)
        atomic_store(&w->all->slots[w->slots[i]], w->oids[i]);
    return status;
}

static bool
forest_is_felled(forest *f)
{
    return atomic_load(&f->stop) || (f->limited && atomic_load(&f->left) <= 0);
}

static void *
fell_on(void *arg)
{
    forester *who = arg;
    forest *f = who->all;
    newt_conn *c = NULL;
    int status = newt_connect(f->db, &c);
    while (status == NEWT_OK && !forest_is_felled(f)) {
        felling w = {.all = f, .random = &who->random};
        atomic_fetch_sub(&f->left, 1);
        status = forest_transact(c, &w);
        if (status == NEWT_OK)
            atomic_fetch_add(&f->committed, 1);
        else if (status == ANOTHER_WAS_FASTER)
            status = NEWT_OK;
    }
    if (status != NEWT_OK) {
        const newt_error *e = newt_conn_error(c);
        snprintf(who->message, sizeof who->message, "%s: %s %s (%s)", newt_status_text(status),
                 newt_error_message(e), newt_error_detail(e), newt_error_sqlstate(e));
        atomic_store(&f->stop, true);
    }
    newt_close(c);
    return NULL;
}

/* ---- what is removed, and comes back ----------------------------------------------------- */

/* In SQL: a program gives new objects new oids. */
#define FOREST_FUNCTIONS                                                                           \
    "CREATE FUNCTION take_away(z bigint) RETURNS bytea LANGUAGE plpgsql AS 'DECLARE s bytea; "     \
    "BEGIN DELETE FROM object_state WHERE zoid = z RETURNING state INTO s; "                       \
    "DELETE FROM newt_projection WHERE zoid = z; "                                                 \
    "IF s IS NOT NULL THEN PERFORM newt.at_commit(''transaction'', nextval(''newt_serial''), 7, "  \
    "''{}'', ARRAY[z], NULL, NULL, NULL); END IF; RETURN s; END';"                                 \
    "CREATE FUNCTION bring_back(z bigint, s bytea) RETURNS void LANGUAGE plpgsql AS 'DECLARE "     \
    "n bigint := nextval(''newt_serial''); "                                                       \
    "BEGIN INSERT INTO object_state (zoid, serial, state) VALUES (z, n, s); "                      \
    "INSERT INTO newt_projection (zoid, class_name, serial, state) "                               \
    "VALUES (z, newt.class_name(s), n, newt.to_jsonb(s)); "                                        \
    "PERFORM newt.at_commit(''transaction'', n, 7, ARRAY[z], ''{}'', NULL, NULL, NULL); END'"

/* NULL: it has failed; a conflict may, anything else is told. */
static PGresult *
revive_step(forester *who, PGconn *pg, const char *sql, const char *oid, const char *state)
{
    const char *params[] = {oid, state};
    PGresult *r = PQexecParams(pg, sql, state ? 2 : 1, NULL, params, NULL, NULL, 0);
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return r;
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (!sqlstate || strncmp(sqlstate, "40", 2) != 0) {
        snprintf(who->message, sizeof who->message, "%s", PQerrorMessage(pg));
        atomic_store(&who->all->stop, true);
    }
    PQclear(r);
    return NULL;
}

static void
revive_one(forester *who, PGconn *pg)
{
    forest *f = who->all;
    size_t slot = generate_below(&who->random, f->first[KINDS]);
    int64_t oid = atomic_load(&f->slots[slot]), gone = 0;
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, oid);
    PGresult *taken = oid ? revive_step(who, pg, "SELECT take_away($1)", text, NULL) : NULL;
    if (!taken || PQgetisnull(taken, 0, 0)) {
        PQclear(taken);
        return;
    }
    /* others go on without it */
    long until = atomic_load(&f->committed) + (long)generate_below(&who->random, 10);
    while (atomic_load(&f->committed) < until && !forest_is_felled(f)) {
        struct timespec little = {0, 1000000};
        nanosleep(&little, NULL);
    }
    PGresult *back = NULL;
    while (!*who->message && !back)
        back = revive_step(who, pg, "SELECT bring_back($1, $2)", text, PQgetvalue(taken, 0, 0));
    (void)atomic_compare_exchange_strong(&f->slots[slot], &gone, oid);
    atomic_fetch_add(&f->revived, back != NULL);
    PQclear(back);
    PQclear(taken);
}

static void *
revive_on(void *arg)
{
    forester *who = arg;
    while (!forest_is_felled(who->all))
        revive_one(who, who->all->reviver);
    return NULL;
}

/* ---- from beginning to end --------------------------------------------------------------- */

static PGconn *
forest_connect(const char *conninfo, const char *schema)
{
    PGconn *pg = PQconnectdb(conninfo);
    char sql[512];
    snprintf(sql, sizeof sql,
             "SET client_min_messages = warning; SET search_path = %s, public; SET jit = off; "
             "SET default_transaction_isolation = 'read committed'; SET bytea_output = hex; "
             "SET default_transaction_read_only = off; SET standard_conforming_strings = on; "
             "SET statement_timeout = 0; SET work_mem = '64MB'",
             schema);
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s", PQerrorMessage(pg));
    PQclear(r);
    return pg;
}

UNUSED static void
forest_do(forest *f, const char *sql)
{
    PGresult *r = PQexec(f->pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(f->pg));
    PQclear(r);
}

/* About n objects. The database has forest_classes, and is the caller's. */
UNUSED static void
forest_open(forest *f, const char *conninfo, const char *schema, newt_db *db, size_t n,
            uint64_t seed)
{
    const size_t share[KINDS] = {n / 100 + 3, n / 20 + 4, n / 8 + 4, n / 2, n / 3};
    newt_conn *c;
    generate g;
    memset(f, 0, sizeof *f);
    snprintf(f->schema, sizeof f->schema, "%s", schema);
    f->db = db;
    f->pg = forest_connect(conninfo, schema);
    f->reviver = forest_connect(conninfo, schema);
    for (int k = 0; k < KINDS; k++)
        f->first[k + 1] = f->first[k] + share[k];
    f->slots = calloc(f->first[KINDS], sizeof *f->slots);
    assert_non_null(f->slots);
    forest_do(f, FOREST_FUNCTIONS);
    generate_init(&g, seed);
    for (size_t i = 0; i <= FORESTERS; i++) {
        f->who[i].all = f;
        generate_init(&f->who[i].random, seed + i + 1);
    }
    assert_int_equal(newt_connect(db, &c), NEWT_OK);
    for (size_t i = 0; i < f->first[KINDS]; i += PLANTED_AT_A_TIME) {
        felling w = {.all = f, .random = &g, .from = i, .to = i + PLANTED_AT_A_TIME};
        if (w.to > f->first[KINDS])
            w.to = f->first[KINDS];
        if (forest_transact(c, &w) != NEWT_OK)
            fail_msg("%s", newt_error_message(newt_conn_error(c)));
    }
    newt_close(c);
}

UNUSED static void
forest_start(forest *f, long transactions)
{
    f->limited = transactions >= 0;
    atomic_store(&f->left, transactions);
    atomic_store(&f->stop, false);
    for (int i = 0; i <= FORESTERS; i++)
        assert_int_equal(pthread_create(&f->who[i].thread, NULL,
                                        i < FORESTERS ? fell_on : revive_on, &f->who[i]),
                         0);
}

UNUSED static void
forest_join(forest *f)
{
    for (int i = 0; i <= FORESTERS; i++)
        pthread_join(f->who[i].thread, NULL);
    for (int i = 0; i <= FORESTERS; i++)
        if (*f->who[i].message)
            fail_msg("%d: %s", i, f->who[i].message);
    printf("# %ld transactions, %ld objects came back\n", atomic_load(&f->committed),
           atomic_load(&f->revived));
}

UNUSED static void
forest_stop(forest *f)
{
    atomic_store(&f->stop, true);
    forest_join(f);
}

UNUSED static void
forest_close(forest *f)
{
    PQfinish(f->pg);
    PQfinish(f->reviver);
    free(f->slots);
}

/* ---- who may see what, from the documents alone ------------------------------------------ */

typedef struct place {
    int64_t oid, above; /* 0: nothing is */
    json_t *document;
    uint64_t seen; /* by which walk */
} place;

typedef struct places {
    size_t n;
    place *all; /* by oid */
} places;

static int64_t
ref_in(const json_t *document, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(document, key), "::=>"));
}

static place *
find_place(const places *p, int64_t oid)
{
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (p->all[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->n && p->all[low].oid == oid ? &p->all[low] : NULL;
}

/* Whoever comes back to where it began is in a loop; the oldest object of it has nothing above. */
static void
cut_loops(places *p)
{
    uint64_t walk = 0;
    for (size_t i = 0; i < p->n; i++) {
        place *x = &p->all[i];
        for (walk++; x && !x->seen; x = find_place(p, x->above))
            x->seen = walk;
        if (!x || x->seen != walk)
            continue;
        place *oldest = x;
        for (place *y = find_place(p, x->above); y != x; y = find_place(p, y->above))
            if (y->oid < oldest->oid)
                oldest = y;
        oldest->above = 0;
    }
}

static void
read_places(forest *f, places *p)
{
    PGresult *r = PQexec(f->pg, "SELECT o.zoid, newt.to_jsonb(o.state) FROM object_state o WHERE "
                                "newt.class_name(o.state) IN ('Folder', 'Page') ORDER BY o.zoid");
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    p->n = (size_t)PQntuples(r);
    p->all = calloc(p->n + 1, sizeof *p->all);
    assert_non_null(p->all);
    for (size_t i = 0; i < p->n; i++) {
        place *x = &p->all[i];
        x->oid = strtoll(PQgetvalue(r, (int)i, 0), NULL, 10);
        x->document = json_loads(PQgetvalue(r, (int)i, 1), 0, NULL);
        assert_non_null(x->document);
        x->above = ref_in(x->document, "within");
    }
    PQclear(r);
    cut_loops(p);
}

static void
free_places(places *p)
{
    for (size_t i = 0; i < p->n; i++)
        json_decref(p->all[i].document);
    free(p->all);
}

/* Somebody. */
typedef struct who {
    unsigned names; /* a bit for each principal */
    int64_t person; /* who is one, too; 0: none */
} who;

static bool
is_of(const who *w, const char *name)
{
    return name && name[0] == 'p' && w->names >> atoi(name + 1) & 1;
}

static bool
names_one(const who *w, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (is_of(w, json_string_value(item))) return true;
    return false;
}

/* What an object itself says about somebody: 1: yes, -1: no, 0: nothing. */
static int
own_answer(const json_t *document, const who *w, bool edits)
{
    bool yes = false, no = false;
    size_t i;
    json_t *e;
    if (!edits) {
        int64_t owner = ref_in(document, "owner");
        yes = names_one(w, json_object_get(document, "readers")) || (owner && owner == w->person);
        no = names_one(w, json_object_get(document, "denied"));
    }
    json_array_foreach(json_object_get(document, "acl"), i, e)
    {
        const char *effect = json_string_value(json_object_get(e, "effect"));
        const char *role = json_string_value(json_object_get(e, "role"));
        bool allows = !effect || strcmp(effect, "allow") == 0;
        if (!is_of(w, json_string_value(json_object_get(e, "principal"))))
            continue;
        if (edits && (role ? strcmp(role, "editor") != 0 && strcmp(role, "chief") != 0 : allows))
            continue;
        yes |= allows;
        no |= !allows;
    }
    return no ? -1 : yes;
}

static bool
may(const places *p, const place *x, const who *w, bool edits)
{
    int answer = 0;
    while (x && !(answer = own_answer(x->document, w, edits)) &&
           !json_is_true(json_object_get(x->document, "closed")))
        x = find_place(p, x->above);
    return answer > 0;
}

/* newt.can() answers what the documents say. */
static void
check_answer(forest *f, const places *p, const char *table, const who *w, bool edits)
{
    char column[80], principals[400] = "{";
    const char *params[] = {f->schema, column, principals};
    size_t at = 1;
    int found = 0;
    snprintf(column, sizeof column, "%s.%s", table, edits ? "edit" : "view");
    for (int i = 0; i < PRINCIPALS; i++)
        if (w->names >> i & 1)
            at += (size_t)snprintf(principals + at, sizeof principals - at, "p%d,", i);
    snprintf(principals + at, sizeof principals - at, "::=>%" PRId64 "}", w->person);
    PGresult *r = PQexecParams(f->pg, "SELECT newt.can($1, $2, $3::text[])", 3, NULL, params, NULL,
                               NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(f->pg));
    for (size_t i = 0; i < p->n; i++) {
        const place *x = &p->all[i];
        bool says = found < PQntuples(r) && strtoll(PQgetvalue(r, found, 0), NULL, 10) == x->oid;
        if (says != may(p, x, w, edits))
            fail_msg("newt.can(%s, %s) says %d of object %" PRId64, column, principals, says,
                     x->oid);
        found += says;
    }
    assert_int_equal(found, PQntuples(r));
    PQclear(r);
}

/* Nothing of a table is stale, and it knows who may see what. */
UNUSED static void
forest_check(forest *f, const char *table)
{
    const char *params[] = {f->schema, table};
    places p;
    PGresult *r = PQexecParams(f->pg, "SELECT * FROM newt.check_derived($1, $2)", 2, NULL, params,
                               NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(f->pg));
    for (int i = 0; i < PQntuples(r) && i < 20; i++)
        printf("# %s: object %s: %s\n", table, PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
    assert_int_equal(PQntuples(r), 0);
    PQclear(r);
    read_places(f, &p);
    assert_true(p.n > 0);
    for (int i = 0; i < 30; i++) {
        generate *g = &f->who[0].random;
        who w = {(unsigned)generate_below(g, 1u << PRINCIPALS), forest_any(f, g, PERSON).oid};
        if (i % 2)
            w.names = 1u << generate_below(g, PRINCIPALS);
        check_answer(f, &p, table, &w, generate_below(g, 2));
    }
    free_places(&p);
}

#endif
