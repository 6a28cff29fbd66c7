/*
 * offline.h - what the bridge's tests without a server share: a connection that is in a
 * transaction as if a server were there, and memory that counts and fails
 */
#ifndef NEWT_TESTS_BRIDGE_OFFLINE_H
#define NEWT_TESTS_BRIDGE_OFFLINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef stop /* a macro of cmocka 2 */

#include "../../bridge/btree/btree.h"
#include "../../bridge/transaction/transaction.h"
#include "../generate.h"

#define UNUSED    __attribute__((unused))
#define LENGTH(a) (sizeof(a) / sizeof *(a))

struct newt__session {
    int64_t next_oid;
};

typedef struct offline {
    newt_db db;
    newt_conn c;
    newt__session session;
    long calls;   /* to realloc */
    long fail_at; /* this call fails, and all after it; 0: none does */
    long live;    /* blocks not freed */
} offline;

static void *
offline_realloc(void *arg, void *p, size_t n)
{
    offline *o = arg;
    void *q;

    o->calls++;
    if (o->fail_at && o->calls >= o->fail_at)
        return NULL;
    q = realloc(p, n ? n : 1);
    if (q && !p) {
        o->live++;
        memset(q, 0x5a, n); /* what is not written is not zero by chance */
    }
    return q;
}

static void
offline_free(void *arg, void *p)
{
    offline *o = arg;

    if (p)
        o->live--;
    free(p);
}

/* ---- a storage that holds nothing and gives oids from 1024 on ------------------------------- */

static int
offline_next_oid(newt__session *x, int64_t *oid, newt_error *e)
{
    (void)e;
    *oid = x->next_oid++;
    return NEWT_OK;
}

static int
offline_load(newt__session *x, const int64_t *oids, size_t n, newt__take_record *take, void *arg,
             newt_error *e)
{
    (void)x, (void)oids, (void)n, (void)take, (void)arg, (void)e;
    return NEWT_OK;
}

static const newt__storage_type offline_storage = {
    .scheme = "offline", .next_oid = offline_next_oid, .load = offline_load};

/* ---- connections ----------------------------------------------------------------------------- */

/* Begins a transaction. */
UNUSED static void
offline_begin(offline *o)
{
    newt__error_clear(&o->c.jar.base.error);
    o->c.jar.base.phase = NEWT__OPEN;
    newt__cache_quicken(&o->c.jar);
}

UNUSED static void
offline_open(offline *o, const newt_class *const *classes)
{
    static bool here = true;
    newt__jar *jar = &o->c.jar;
    newt__env env = {.realloc = offline_realloc, .free = offline_free, .arg = o};

    memset(o, 0, sizeof *o);
    o->db.process = (newt__process){.here = &here, .wiped = true};
    if (newt__classes_build(&o->db.classes, newt__builtin_classes, classes, &o->db.error) !=
        NEWT_OK)
        fail_msg("%s", newt_error_message(&o->db.error));
    o->c.db = &o->db;
    jar->base.process = &o->db.process;
    jar->base.here = &here;
    jar->base.owner = pthread_self();
    jar->classes = o->db.classes;
    jar->options = &o->db.options;
    jar->storage = &offline_storage;
    jar->session = &o->session;
    o->session.next_oid = 1024;
    newt__jar_init(jar, &env);
    offline_begin(o);
}

UNUSED static void
offline_abort(offline *o)
{
    newt__objects_aborted(&o->c.jar);
    offline_begin(o);
}

/* As commit.c does it, but for the server. Nothing must fail. */
UNUSED static void
offline_commit(offline *o, int64_t serial)
{
    for (newt__header *h = o->c.jar.cache.changed.oldest; h; h = h->newer) {
        bool same = false;

        if (h->state != NEWT__CHANGED && h->state != NEWT__NEW)
            continue;
        if (newt__object_encode(&o->c.jar, h, &same) != NEWT_OK)
            fail_msg("%s", newt_error_message(&o->c.jar.base.error));
        h->written = !same;
    }
    newt__objects_committed(&o->c.jar, serial);
    offline_begin(o);
}

UNUSED static void
offline_close(offline *o)
{
    newt__objects_aborted(&o->c.jar);
    newt__jar_free(&o->c.jar);
    newt__error_clear(&o->db.error);
    newt__classes_free(o->db.classes);
    assert_int_equal(o->live, 0);
}

/* ---- errors -------------------------------------------------------------------------------- */

/* The connection's error has this status and these words in its message, detail or hint. */
UNUSED static void
assert_error(const newt_error *e, int status, const char *words)
{
    if (newt_error_status(e) != status ||
        (!strstr(newt_error_message(e), words) && !strstr(newt_error_detail(e), words) &&
         !strstr(newt_error_hint(e), words)))
        fail_msg("got %s \"%s\" (%s; %s), want %s \"%s\"", newt_status_text(newt_error_status(e)),
                 newt_error_message(e), newt_error_detail(e), newt_error_hint(e),
                 newt_status_text(status), words);
}

/* ---- documentation ------------------------------------------------------------------------- */

/* A page as text, for free(); tests run in the repository's root. */
UNUSED static char *
page_text(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    long n = 0;

    if (!f || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0)
        fail_msg("cannot read %s", path);
    rewind(f);
    text = calloc(1, (size_t)n + 1);
    assert_int_equal(fread(text, 1, (size_t)n, f), n);
    fclose(f);
    return text;
}

/* The cells of a table's row, without blanks around them and without backquotes; row is cut up.
 * Returns how many, 0 if it is no row. */
UNUSED static size_t
row_cells(char *row, char **cells, size_t most)
{
    size_t n = 0;

    if (*row != '|')
        return 0;
    for (char *at = row + 1, *end; n < most && (end = strstr(at, " |")) != NULL; at = end + 2) {
        *end = 0;
        at += strspn(at, " `");
        for (char *last = at + strlen(at); last > at && strchr(" `", last[-1]);)
            *--last = 0;
        cells[n++] = at;
    }
    return n;
}

/* ---- records ------------------------------------------------------------------------------- */

/* The record of the struct as it is, for free(). */
UNUSED static uint8_t *
record_of(offline *o, const void *object, size_t *n)
{
    newt_error e = {0};
    uint8_t *copy;

    if (newt__image_encode(&o->c.jar, newt__header_of(object), false, &e) != NEWT_OK)
        fail_msg("%s", newt_error_message(&e));
    *n = o->c.jar.coder.writer.buf.n;
    copy = malloc(*n);
    memcpy(copy, o->c.jar.coder.writer.buf.data, *n);
    return copy;
}

/* Loads a record as an object of this oid. */
UNUSED static newt__header *
load(offline *o, int64_t oid, const void *record, size_t n)
{
    newt__header *h = NULL;
    /* just its size, so that the sanitizers see a read beyond it */
    uint8_t *copy = malloc(n ? n : 1);

    memcpy(copy, record, n);
    if (newt__object_load(&o->c.jar, oid, oid * 10, copy, n, &h) != NEWT_OK)
        fail_msg("%s", newt_error_message(&o->c.jar.base.error));
    free(copy);
    return h;
}

UNUSED static void
assert_bytes(const void *got, size_t n_got, const void *want, size_t n_want, const char *what)
{
    if (n_got == n_want && (n_got == 0 || memcmp(got, want, n_got) == 0))
        return;
    print_message("# %s\n# got ", what);
    for (size_t i = 0; i < n_got && i < 400; i++)
        print_message("%02x", ((const uint8_t *)got)[i]);
    print_message("\n# want ");
    for (size_t i = 0; i < n_want && i < 400; i++)
        print_message("%02x", ((const uint8_t *)want)[i]);
    print_message("\n");
    fail_msg("%s: %zu bytes, want %zu", what, n_got, n_want);
}

/* The object's JSON, for free(). */
UNUSED static char *
json_of(offline *o, const void *object)
{
    size_t n;
    uint8_t *record = record_of(o, object, &n);
    newt__buffer out = {.env = &o->c.jar.coder.env};
    bool hidden;
    char *text;

    if (newt__object_project(&o->c.jar, 1, record, n, &out, &hidden, NULL) != NEWT_OK)
        fail_msg("%s", newt_error_message(&o->c.jar.base.error));
    text = hidden ? strdup("(hidden)") : strndup((char *)out.data, out.n);
    newt__buffer_free(&out);
    free(record);
    return text;
}

UNUSED static void
assert_json_text(offline *o, const void *object, const char *want)
{
    char *got = json_of(o, object);

    assert_string_equal(got, want);
    free(got);
}

#endif
