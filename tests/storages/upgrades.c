/*
 * upgrades.c - newt_upgrade_all, while others write; newt_class_counts
 */
#include "stored.h"

#include <stdatomic.h>

/* ---- a class that has become another ------------------------------------------------------- */

struct note {
    newt_text text, junk;
    int64_t n;
};
struct memo {
    newt_text body;
    int64_t n;
    int32_t level;
};
NEWT_DECLARE(note);
NEWT_DECLARE(memo);
NEWT_CLASS(note, "Note", 1, NULL, NEWT_FIELD(struct note, text), NEWT_FIELD(struct note, junk),
           NEWT_FIELD(struct note, n));
NEWT_CLASS_PAST(memo, "Memo", 2, NULL, 0,
                (.was = NEWT_NAMES("Note"), .dropped = NEWT_NAMES("junk")),
                NEWT_FIELD(struct memo, body, .was = "text"), NEWT_FIELD(struct memo, n),
                NEWT_FIELD(struct memo, level, NEWT_INIT(int32_t, 3)));
static const newt_class *const old_classes[] = {&note_class, &item_class, NULL};
static const newt_class *const new_classes[] = {&memo_class, &item_class, NULL};

static void
make_notes(newt_conn *c, newt_ref *refs, int n)
{
    begin(c);
    for (int i = 0; i < n; i++) {
        struct note *o = note_new(c);

        assert_non_null(o);
        newt_set(o, text, "text");
        newt_set(o, junk, "junk");
        o->n = i;
        refs[i] = note_id(o).any;
        if (i % 5 == 0)
            new_item(c, "between", i);
        note_done(o);
    }
    commit(c);
}

/* How many objects of a class and version there are. */
static int64_t
count_of(newt_conn *c, const char *name, int version)
{
    newt_class_count *counts;
    int64_t found = 0;
    size_t n;

    ok(c, newt_class_counts(c, &counts, &n));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            assert_true(strcmp(counts[i - 1].class_name, counts[i].class_name) < 0 ||
                        (strcmp(counts[i - 1].class_name, counts[i].class_name) == 0 &&
                         counts[i - 1].version < counts[i].version));
        if (strcmp(counts[i].class_name, name) == 0 && counts[i].version == version)
            found = counts[i].objects;
    }
    free(counts);
    return found;
}

/* Calls it until it is over. */
static void
upgrade(newt_conn *c, const newt_class *k, newt_upgrade *u)
{
    u->size = sizeof *u;
    while (!u->over)
        ok(c, newt_upgrade_all(c, k, u));
}

static void
test_all(void **state)
{
    enum {
        N = 250
    };
    newt_upgrade u = {.size = sizeof u, .objects = 40, .dry_run = true}, v;
    static newt_ref refs[N];
    newt_conn *c;
    newt_db *db;
    int64_t after = 0, written = 0, serial;
    int calls = 0;
    store s;

    (void)state;
    store_make(&s, "all");
    s.db = store_db(&s, old_classes, (newt_options){0});
    s.a = connect_(s.db);
    make_notes(s.a, refs, N);
    db = store_db(&s, new_classes, (newt_options){0});
    c = connect_(db);
    assert_int_equal(count_of(c, "Note", 1), N);
    assert_int_equal(count_of(c, "Memo", 2), 0);
    assert_int_equal(count_of(c, "Item", 1), N / 5);
    assert_int_equal(count_of(c, "newt.Root", 1), 1);

    /* one is there already, as it is to be */
    begin(c);
    memo_write(c, memo_of(refs[7]))->n = 7;
    commit(c);
    serial = stored_serial(db, refs[7]);

    upgrade(c, &memo_class, &u);
    assert_int_equal(u.found, N);
    assert_int_equal(u.written, N - 1);
    assert_int_equal(u.looked, N + N / 5 + 1);
    assert_int_equal(count_of(c, "Note", 1), N - 1);

    /* by several, each of which knows no more than how far the one before came */
    do {
        newt_conn *next = connect_(db);

        v = (newt_upgrade){.size = sizeof v, .objects = 40, .after = after};
        ok(next, newt_upgrade_all(next, &memo_class, &v));
        assert_true(v.after > after || v.over);
        after = v.after;
        written += v.written;
        calls++;
        newt_close(next);
    } while (!v.over);
    assert_int_equal(written, N - 1);
    assert_int_equal(calls, (N + N / 5 + 1) / 40 + 1);
    assert_int_equal(count_of(c, "Note", 1), 0);
    assert_int_equal(count_of(c, "Memo", 2), N);
    assert_int_equal(stored_serial(db, refs[7]), serial);
    begin(c);
    for (int i = 0; i < N; i++) {
        const struct memo *m = memo_read(c, memo_of(refs[i]));

        assert_non_null(m);
        assert_string_equal(m->body.s, "text");
        assert_int_equal(m->n, i);
        assert_int_equal(m->level, 3);
    }
    newt_abort(c);
    assert_sql(s.pg, "{\"n\": 9, \"body\": \"text\", \"level\": 3}",
               "SELECT state FROM newt WHERE zoid = %lld", (long long)refs[9].oid);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt WHERE class_name = 'Note'");

    /* and there is nothing left to be done */
    u = (newt_upgrade){0};
    upgrade(c, &memo_class, &u);
    assert_int_equal(u.found, N);
    assert_int_equal(u.written, 0);
    ok(c, newt_upgrade_all(c, &memo_class, &u));
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* What is in the cache, and what does not fit into it. */
static void
test_caches(void **state)
{
    enum {
        N = 60
    };
    newt_upgrade u = {0};
    static newt_ref refs[N];
    newt_conn *c;
    newt_db *db;
    store s;

    (void)state;
    for (int small = 0; small < 2; small++) {
        store_make(&s, "caches");
        s.db = store_db(&s, old_classes, (newt_options){0});
        s.a = connect_(s.db);
        make_notes(s.a, refs, N);
        db = store_db(&s, new_classes,
                      (newt_options){.cache_objects = small ? 3 : 0, .debug = !small});
        c = connect_(db);
        begin(c);
        for (int i = 0; i < N; i++)
            assert_non_null(memo_read(c, memo_of(refs[i])));
        newt_abort(c);
        u = (newt_upgrade){0};
        upgrade(c, &memo_class, &u);
        assert_int_equal(u.written, N);
        assert_int_equal(count_of(c, "Memo", 2), N);
        newt_close(c);
        newt_db_close(db);
        store_close(&s);
    }
}

/* ---- beside writers ----------------------------------------------------------------------- */

enum {
    SHARED = 40, /* objects that are written */
    ALONE = 400, /* that nobody writes but the upgrade */
    ADDED = 30,
    ROUNDS = 10
};

typedef struct writer {
    const store *s;
    newt_db *db;
    const newt_ref *refs;
    atomic_bool *over;
    atomic_long done;
} writer;

static int
increment(newt_conn *c, void *arg)
{
    struct memo *m = memo_write(c, memo_of(*(newt_ref *)arg));

    if (!m)
        return newt_status(c);
    m->n++;
    return NEWT_OK;
}

/* A program that is of today. */
static void *
write_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = connect_(w->db);

    for (int i = 0; !*w->over; i++) {
        newt_ref r = w->refs[i * 7 % SHARED];
        newt_transact_options o = {.size = sizeof o, .attempts = 1000};

        ok(c, newt_transact(c, increment, &r, &o));
        w->done++;
    }
    newt_close(c);
    return NULL;
}

/* A program that is of yesterday still, and adds to what is to be upgraded. */
static void *
add_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = connect_(w->s->db);
    newt_ref r;

    while (w->done < ADDED) {
        make_notes(c, &r, 1);
        w->done++;
    }
    newt_close(c);
    return NULL;
}

static void
test_beside_writers(void **state)
{
    newt_ref refs[SHARED + ALONE];
    atomic_bool over = false;
    double until;
    writer w[3];
    pthread_t threads[3];
    long before[2];
    newt_upgrade u;
    int64_t sum = 0;
    newt_conn *c;
    newt_db *db;
    store s;

    (void)state;
    store_make(&s, "beside");
    s.db = store_db(&s, old_classes, (newt_options){0});
    s.a = connect_(s.db);
    make_notes(s.a, refs, SHARED + ALONE);
    db = store_db(&s, new_classes, (newt_options){0});
    c = connect_(db);
    for (int i = 0; i < 3; i++) {
        w[i] = (writer){.s = &s, .db = db, .refs = refs, .over = &over};
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? write_on : add_on, &w[i]), 0);
    }
    until = now() + PATIENCE_S;
    wait_until(w[0].done > 0 && w[1].done > 0);
    for (int i = 0; i < 2; i++)
        before[i] = w[i].done;
    for (int round = 0; round < ROUNDS || w[0].done == before[0] || w[1].done == before[1];
         round++) {
        assert_true(now() < until);
        u = (newt_upgrade){.objects = 20};
        upgrade(c, &memo_class, &u);
    }
    pthread_join(threads[2], NULL);
    do { /* whose objects are there now; the others write on */
        assert_true(now() < until);
        u = (newt_upgrade){.objects = 20};
        upgrade(c, &memo_class, &u);
    } while (u.written > 0 || u.busy > 0);
    assert_int_equal(count_of(c, "Note", 1), 0);
    assert_int_equal(count_of(c, "Memo", 2), SHARED + ALONE + ADDED);
    over = true;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    c->checked_us = 0;
    begin(c);
    for (int i = 0; i < SHARED; i++) {
        const struct memo *m = memo_read(c, memo_of(refs[i]));

        assert_non_null(m);
        sum += m->n - i;
    }
    newt_abort(c);
    assert_int_equal(sum, w[0].done + w[1].done);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* ---- what is left as it is ---------------------------------------------------------------- */

struct strict {
    newt_text must;
    newt_text body;
};
NEWT_DECLARE(strict);
static int
refuse_one(int32_t from, const newt_record *record, void *object, void *arg)
{
    (void)from, (void)record, (void)arg;
    return strcmp(((struct strict *)object)->body.s, "refused") == 0 ? 7 : 0;
}

static const newt_hooks refusing = {.size = sizeof refusing, .upgrade = refuse_one};
NEWT_CLASS(strict, "Strict", 2, &refusing,
           NEWT_FIELD(struct strict, must, .flags = NEWT_F_REQUIRED),
           NEWT_FIELD(struct strict, body));

/* An object of class Strict and this version. */
static newt_ref
make_strict(newt_conn *c, int version, const char *json)
{
    json_t *state = json_loads(json, 0, NULL);
    newt_bag *b;
    newt_ref r;

    begin(c);
    b = newt_bag_new(c, "Strict");
    assert_true(b && state);
    b->version = version;
    ok(c, newt_bag_replace(b, state));
    r = newt_bag_ref(b);
    commit(c);
    json_decref(state);
    return r;
}

typedef struct heard {
    int n;
    char text[8][200];
} heard;

static void
hear(const newt_error *e, void *arg)
{
    heard *h = arg;

    assert_int_equal(newt_error_status(e), NEWT_OK);
    assert_string_equal(newt_error_class(e), "Strict");
    assert_true(h->n < 8);
    snprintf(h->text[h->n++], sizeof *h->text, "%s", newt_error_message(e));
}

static void
test_left(void **state)
{
    static const newt_class *const list[] = {&strict_class, NULL};
    heard h = {0};
    newt_upgrade u = {0};
    newt_conn *c, *d;
    newt_db *without, *db;
    newt_ref good, refs[5];
    int64_t serials[5];
    store s;

    (void)state;
    store_make(&s, "left");
    without = store_db(&s, NULL, (newt_options){0});
    db = store_db(&s, list, (newt_options){.notice = hear, .notice_arg = &h});
    c = connect_(without);
    d = connect_(db);
    good = make_strict(c, 1, "{\"must\": \"m\", \"body\": \"good\"}");
    refs[0] = make_strict(c, 1, "{\"body\": \"without\"}");
    refs[1] = make_strict(c, 1, "{\"must\": \"m\", \"body\": \"refused\"}");
    refs[2] = make_strict(c, 2, "{\"must\": 1, \"body\": \"misfit\"}");
    refs[3] = make_strict(c, 2, "{\"must\": \"m\", \"body\": \"b\", \"shared\": {\"::id\": 0}}");
    refs[4] = make_strict(c, 3, "{\"must\": \"m\", \"body\": \"newer\"}");
    for (int i = 0; i < 5; i++)
        serials[i] = stored_serial(without, refs[i]);
    for (int dry = 1; dry >= 0; dry--) {
        h.n = 0;
        u = (newt_upgrade){.dry_run = dry};
        upgrade(d, &strict_class, &u);
        assert_int_equal(u.found, 6);
        assert_int_equal(u.written, 1);
        assert_int_equal(u.broken, 4);
        assert_int_equal(u.newer, 1);
        assert_int_equal(h.n, 4);
        assert_non_null(strstr(h.text[0], "field \"must\" of Strict"));
        assert_non_null(strstr(h.text[0], "is null, but required"));
        assert_non_null(strstr(h.text[1], "could not be upgraded from version 1 to 2"));
        assert_non_null(strstr(h.text[2], "field \"must\" of Strict"));
        assert_non_null(strstr(h.text[3], "fields that could not be kept"));
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(stored_serial(without, refs[i]), serials[i]);
    assert_int_equal(count_of(d, "Strict", 1), 2);
    assert_int_equal(count_of(d, "Strict", 2), 3);
    assert_int_equal(count_of(d, "Strict", 3), 1);
    begin(d);
    assert_string_equal(strict_read(d, strict_of(good))->body.s, "good");
    newt_abort(d);
    newt_close(c);
    newt_close(d);
    newt_db_close(without);
    newt_db_close(db);
    PQfinish(s.pg);
}

/* A row of the projection that the database does not take: the other objects are upgraded. */
static void
test_refused_rows(void **state)
{
    enum {
        N = 10
    };
    newt_upgrade u = {0};
    newt_ref refs[N];
    newt_conn *c;
    newt_db *db;
    store s;

    (void)state;
    needs_server();
    store_make(&s, "rows");
    s.db = store_db(&s, old_classes, (newt_options){0});
    s.a = connect_(s.db);
    make_notes(s.a, refs, N);
    sql_do(s.pg, "CREATE UNIQUE INDEX ON newt_projection (((state->>'n')::bigint / 4)) "
                 "WHERE class_name = 'Memo'");
    db = store_db(&s, new_classes, (newt_options){0});
    c = connect_(db);
    upgrade(c, &memo_class, &u);
    assert_int_equal(u.found, N);
    assert_int_equal(u.written, 3);
    assert_int_equal(u.broken, N - 3);
    assert_int_equal(newt_status(c), NEWT_OK);
    assert_int_equal(count_of(c, "Memo", 2), 3);
    assert_int_equal(count_of(c, "Note", 1), N - 3);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* ---- a class split in two ------------------------------------------------------------------- */

struct contact1 {
    newt_text name, street, city;
};
struct contact;
struct address {
    newt_text street, city;
};
NEWT_DECLARE(contact1);
NEWT_DECLARE(contact);
NEWT_DECLARE(address);
struct contact {
    newt_text name;
    address_ref address;
};
NEWT_CLASS(contact1, "Contact", 1, NULL, NEWT_FIELD(struct contact1, name),
           NEWT_FIELD(struct contact1, street), NEWT_FIELD(struct contact1, city));
NEWT_CLASS(address, "Address", 1, NULL, NEWT_FIELD(struct address, street),
           NEWT_FIELD(struct address, city));
NEWT_CLASS(contact, "Contact", 2, NULL, NEWT_FIELD(struct contact, name),
           NEWT_REF(struct contact, address, address));

typedef struct splitting {
    newt_ref failing; /* at this one it fails */
    newt_conn *disturber;
    newt_ref disturbed;
} splitting;

/* A field of the record as a text, or "". */
static void
take_text(const newt_record *record, const char *field, char *out, size_t n)
{
    json_t *json = newt_record_get(record, field);

    snprintf(out, n, "%s", json_is_string(json) ? json_string_value(json) : "");
    json_decref(json);
}

static int
split(newt_conn *c, void *object, const newt_record *record, void *arg)
{
    struct contact *p = object;
    splitting *s = arg;
    struct address *a;
    char street[50], city[50];
    int64_t savepoint;

    if (newt_ref_of(contact_obj(p)).oid == s->failing.oid)
        return 42;
    if (s->disturbed.oid && newt_ref_of(contact_obj(p)).oid == s->disturbed.oid) {
        struct contact *theirs;

        begin(s->disturber);
        theirs = contact_write(s->disturber, contact_of(s->disturbed));
        assert_non_null(theirs);
        newt_set(theirs, name, "disturbed");
        commit(s->disturber);
        s->disturbed.oid = 0;
    }
    if (!newt_is_null(p->address.any))
        return 0; /* it has been done */
    /* it may go back, and the record stays what it was */
    if (newt_savepoint(c, &savepoint) != NEWT_OK)
        return newt_status(c);
    newt_set(p, name, "for a moment");
    if (newt_rollback_to(c, savepoint) != NEWT_OK)
        return newt_status(c);
    take_text(record, "street", street, sizeof street);
    take_text(record, "city", city, sizeof city);
    a = address_new(c);
    if (!a)
        return newt_status(c);
    newt_set(a, street, street);
    newt_set(a, city, city);
    p->address = address_id(a);
    address_done(a);
    return 0;
}

static void
test_split(void **state)
{
    enum {
        N = 30
    };
    static const newt_class *const before[] = {&contact1_class, NULL};
    static const newt_class *const list[] = {&contact_class, &address_class, NULL};
    splitting work = {0};
    newt_upgrade u = {.size = sizeof u, .objects = 20, .work = split, .arg = &work};
    newt_ref refs[N];
    newt_conn *c;
    newt_db *db;
    int status;
    store s;

    (void)state;
    store_make(&s, "split");
    s.db = store_db(&s, before, (newt_options){0});
    s.a = connect_(s.db);
    begin(s.a);
    for (int i = 0; i < N; i++) {
        struct contact1 *p = contact1_new(s.a);
        char text[20];

        snprintf(text, sizeof text, "%d", i);
        newt_set(p, name, "name");
        newt_set(p, street, text);
        newt_set(p, city, "city");
        refs[i] = contact1_id(p).any;
    }
    commit(s.a);
    db = store_db(&s, list, (newt_options){0});
    c = connect_(db);
    work.disturber = connect_(db);
    work.disturbed = refs[3];
    work.failing = refs[25];
    /* changed by a program of today before its turn comes: the fields are still there */
    begin(c);
    newt_set(contact_write(c, contact_of(refs[5])), name, "changed");
    commit(c);

    while ((status = newt_upgrade_all(c, &contact_class, &u)) == NEWT_OK && !u.over)
        ;
    assert_int_equal(status, 42);
    assert_false(u.over);
    assert_int_equal(count_of(c, "Address", 1), 19); /* with the root: a batch of 20 */
    work.failing.oid = 0;
    while (!u.over)
        ok(c, newt_upgrade_all(c, &contact_class, &u));
    assert_int_equal(u.found, N);
    assert_int_equal(u.written, N);
    assert_int_equal(count_of(c, "Address", 1), N);
    assert_int_equal(count_of(c, "Contact", 2), N);
    begin(c);
    for (int i = 0; i < N; i++) {
        const struct contact *p = contact_read(c, contact_of(refs[i]));
        const struct address *a = p ? address_read(c, p->address) : NULL;

        assert_non_null(a);
        assert_int_equal(strtol(a->street.s, NULL, 10), i);
        assert_string_equal(a->city.s, "city");
        assert_string_equal(p->name.s, i == 3 ? "disturbed" : i == 5 ? "changed" : "name");
    }
    newt_abort(c);
    /* once more: nothing is made twice */
    u = (newt_upgrade){.work = split, .arg = &work};
    upgrade(c, &contact_class, &u);
    assert_int_equal(u.written, 0);
    assert_int_equal(count_of(c, "Address", 1), N);
    newt_close(work.disturber);
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static int
end_it(newt_conn *c, void *object, const newt_record *record, void *arg)
{
    (void)object, (void)record, (void)arg;
    newt_abort(c);
    return 0;
}

static void
assert_refused(newt_conn *c, int got, int status, const char *words)
{
    assert_int_equal(got, status);
    assert_int_equal(newt_status(c), status);
    if (!strstr(newt_error_message(newt_conn_error(c)), words))
        fail_msg("\"%s\", not \"%s\"", newt_error_message(newt_conn_error(c)), words);
}

static void
test_refused(void **state)
{
    newt_upgrade u = {.size = sizeof u};
    newt_class_count *counts;
    newt_conn *c;
    size_t n;
    store s;

    (void)state;
    store_open(&s, "refused");
    c = s.a;
    make_item(c, "a", 1);
    begin(c);
    assert_refused(c, newt_upgrade_all(c, &item_class, &u), NEWT_EBUSY,
                   "newt_upgrade_all is called inside a transaction");
    assert_refused(c, newt_class_counts(c, &counts, &n), NEWT_EBUSY,
                   "newt_class_counts is called inside a transaction");
    newt_abort(c);
    assert_null(counts);
    assert_refused(c, newt_upgrade_all(c, &item_class, NULL), NEWT_EINVAL,
                   "newt_upgrade_all needs a newt_upgrade");
    assert_refused(c, newt_upgrade_all(c, &memo_class, &u), NEWT_ECLASS,
                   "class \"Memo\" is not one of this database");
    u.objects = -1;
    assert_refused(c, newt_upgrade_all(c, &item_class, &u), NEWT_EINVAL, "out of its range");
    u = (newt_upgrade){.size = 3};
    assert_refused(c, newt_upgrade_all(c, &item_class, &u), NEWT_EINVAL, "newt_upgrade");
    u = (newt_upgrade){.size = sizeof u, .work = end_it};
    assert_refused(c, newt_upgrade_all(c, &item_class, &u), NEWT_EBUSY,
                   "newt_upgrade.work has ended the transaction itself");
    store_close(&s);
}

/* ---- counts ----------------------------------------------------------------------------- */

/* Class names and versions of every length in a record's head. */
static void
test_counts(void **state)
{
    static const int32_t versions[] = {0, 23, 24, 255, 256, 65535, 65536, INT32_MAX};
    static const size_t lengths[] = {1, 23, 24, 100, 255};
    char name[256];
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    store_make(&s, "counts");
    db = store_db(&s, NULL, (newt_options){0});
    c = connect_(db);
    begin(c);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(name, 'x', sizeof name);
        name[lengths[i]] = 0;
        for (size_t k = 0; k < sizeof versions / sizeof *versions; k++) {
            for (size_t times = 0; times <= i + k; times++) {
                newt_bag *b = newt_bag_new(c, name);

                assert_non_null(b);
                b->version = versions[k];
            }
        }
    }
    commit(c);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(name, 'x', sizeof name);
        name[lengths[i]] = 0;
        for (size_t k = 0; k < sizeof versions / sizeof *versions; k++)
            assert_int_equal(count_of(c, name, versions[k]), i + k + 1);
    }
    if (s.pg) {
        /* What is no record, or ends in its head; the last one has a class all the same. */
        static const char *const damaged[] = {
            "",      "00", "83", "8361", "83615800", "83187801", "836561", "8378ff414141414141",
            "836161"};

        for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
            sql_do(s.pg, "INSERT INTO object_state VALUES (%zu, 1, decode('%s', 'hex'))",
                   (size_t)5000000 + i, damaged[i]);
        assert_int_equal(count_of(c, "", 0), sizeof damaged / sizeof *damaged - 1);
    }
    newt_close(c);
    newt_db_close(db);
    PQfinish(s.pg);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_all),
        TWICE(test_caches),
        TWICE(test_beside_writers),
        TWICE(test_left),
        TWICE(test_refused_rows),
        TWICE(test_split),
        TWICE(test_counts),
        cmocka_unit_test(test_refused),
    };

    return run_all(tests);
}
