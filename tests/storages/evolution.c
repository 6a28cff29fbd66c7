/*
 * evolution.c - programs with four versions of one class over one store: every writer before every
 * reader, on records of each; renamed classes; objects of unknown classes
 */
#include "stored.h"

/* ---- four versions of a class ---------------------------------------------------------------- */

struct person0 {
    newt_text name, phone, fax;
    int32_t age;
};
struct person1 { /* with a city and a level */
    newt_text name, phone, fax, city;
    int32_t age, level;
};
struct person2 { /* a name has become a full name; there is no fax any more */
    newt_text full_name, phone, city;
    int32_t age, level;
};
struct person3 { /* the age is a text; faxes are not kept */
    newt_text full_name, phone, city, age;
    int32_t level;
};
NEWT_DECLARE(person0);
NEWT_DECLARE(person1);
NEWT_DECLARE(person2);
NEWT_DECLARE(person3);

static int
age_as_text(int32_t from, const newt_record *record, void *object, void *arg)
{
    struct person3 *p = object;
    json_t *age = newt_record_get(record, "age");
    char text[32] = "";

    (void)arg;
    if (from < 3 && json_is_integer(age)) {
        snprintf(text, sizeof text, "%d", (int)json_integer_value(age));
        newt_set(p, age, text);
    }
    json_decref(age);
    return 0;
}

static const newt_hooks to_3 = {.size = sizeof to_3, .upgrade = age_as_text};
#define F NEWT_FIELD
NEWT_CLASS(person0, "Person", 0, NULL, F(struct person0, name), F(struct person0, phone),
           F(struct person0, fax), F(struct person0, age));
NEWT_CLASS(person1, "Person", 1, NULL, F(struct person1, name), F(struct person1, phone),
           F(struct person1, fax), F(struct person1, age),
           F(struct person1, city, NEWT_INIT_TEXT("Nowhere")),
           F(struct person1, level, NEWT_INIT(int32_t, 3)));
NEWT_CLASS(person2, "Person", 2, NULL, F(struct person2, full_name, .was = "name"),
           F(struct person2, phone), F(struct person2, age),
           F(struct person2, city, NEWT_INIT_TEXT("Nowhere")),
           F(struct person2, level, NEWT_INIT(int32_t, 3)));
NEWT_CLASS_PAST(person3, "Person", 3, &to_3, 0, (.dropped = NEWT_NAMES("fax")),
                F(struct person3, full_name, .was = "name"), F(struct person3, phone),
                F(struct person3, age), F(struct person3, city, NEWT_INIT_TEXT("Nowhere")),
                F(struct person3, level, NEWT_INIT(int32_t, 3)));

enum {
    VERSIONS = 4
};
static const newt_class *const tables[VERSIONS] = {&person0_class, &person1_class, &person2_class,
                                                   &person3_class};

/* A program of each version. */
typedef struct programs {
    store s;
    newt_db *db[VERSIONS];
    newt_conn *c[VERSIONS];
} programs;

static void
programs_open(programs *p, const char *name)
{
    store_make(&p->s, name);
    for (int v = 0; v < VERSIONS; v++) {
        p->db[v] = store_db(&p->s, (const newt_class *const[]){tables[v], NULL}, (newt_options){0});
        p->c[v] = connect_(p->db[v]);
    }
}

static void
programs_close(programs *p)
{
    for (int v = 0; v < VERSIONS; v++) {
        newt_close(p->c[v]);
        newt_db_close(p->db[v]);
    }
    PQfinish(p->s.pg);
}

/* Sees what other programs have just committed. */
static void
begin_now(newt_conn *c)
{
    c->checked_us = 0;
    begin(c);
}

/* The record as it is stored, as a program without the class has it. */
typedef struct bytes {
    uint8_t p[400];
    size_t n;
} bytes;

static bytes
stored_bytes(newt_db *db, newt_ref r)
{
    newt_conn *c;
    const newt_bag *b = stored(db, r, &c);
    bytes x = {.n = b ? newt__header_of(b)->record_n : 0};

    assert_true(b && x.n <= sizeof x.p);
    memcpy(x.p, newt__header_of(b)->record, x.n);
    newt_close(c);
    return x;
}

static newt_ref
make_person(newt_conn *c, int v)
{
    newt_object *o;
    newt_ref r;

    begin(c);
    o = newt_new(c, tables[v]);
    assert_non_null(o);
    r = newt_ref_of(o);
    if (v == 0) {
        struct person0 *p = (void *)o;

        newt_set(p, name, "Ann");
        newt_set(p, phone, "0");
        newt_set(p, fax, "fax");
        p->age = 40;
    } else if (v == 1) {
        struct person1 *p = (void *)o;

        assert_string_equal(p->city.s, "Nowhere");
        newt_set(p, name, "Ann");
        newt_set(p, phone, "0");
        newt_set(p, fax, "fax");
        newt_set(p, city, "Town");
        p->age = 40;
        p->level = 7;
    } else if (v == 2) {
        struct person2 *p = (void *)o;

        newt_set(p, full_name, "Ann");
        newt_set(p, phone, "0");
        newt_set(p, city, "Town");
        p->age = 40;
        p->level = 7;
    } else {
        struct person3 *p = (void *)o;

        newt_set(p, full_name, "Ann");
        newt_set(p, phone, "0");
        newt_set(p, city, "Town");
        newt_set(p, age, "40");
        p->level = 7;
    }
    commit(c);
    return r;
}

/* The version that a record has been written with last, and by whom it may be changed. */
typedef struct record_state {
    int origin;  /* its first version */
    int version; /* now */
    bool has_fax;
    const char *phone;
} record_state;

static void
check_text(const newt_text *got, const char *want, const char *what, int reader)
{
    if (!got->s || !want ? got->s != want : strcmp(got->s, want) != 0)
        fail_msg("reader %d: %s is %s, not %s", reader, what, got->s ? got->s : "null",
                 want ? want : "null");
}

/* What a program of version v sees of it. */
static void
check_person(const programs *x, int v, newt_ref r, const record_state *s)
{
    newt_conn *c = x->c[v];
    const char *name = v < 2 && s->version >= 2 ? NULL : "Ann";
    const char *city = s->origin == 0 ? "Nowhere" : "Town", *fax = s->has_fax ? "fax" : NULL;
    int age = s->version == 3 ? 0 : 40, level = s->origin == 0 ? 3 : 7;
    const void *o;

    begin_now(c);
    o = newt_read(c, r, tables[v]);
    if (!o)
        fail_error("newt_read", newt_conn_error(c));
    if (v == 0) {
        const struct person0 *p = o;

        check_text(&p->name, name, "name", v);
        check_text(&p->phone, s->phone, "phone", v);
        check_text(&p->fax, fax, "fax", v);
        assert_int_equal(p->age, age);
    } else if (v == 1) {
        const struct person1 *p = o;

        check_text(&p->name, name, "name", v);
        check_text(&p->phone, s->phone, "phone", v);
        check_text(&p->fax, fax, "fax", v);
        check_text(&p->city, city, "city", v);
        assert_int_equal(p->age, age);
        assert_int_equal(p->level, level);
    } else if (v == 2) {
        const struct person2 *p = o;

        check_text(&p->full_name, name, "full_name", v);
        check_text(&p->phone, s->phone, "phone", v);
        check_text(&p->city, city, "city", v);
        assert_int_equal(p->age, age);
        assert_int_equal(p->level, level);
    } else {
        const struct person3 *p = o;

        check_text(&p->full_name, name, "full_name", v);
        check_text(&p->phone, s->phone, "phone", v);
        check_text(&p->city, city, "city", v);
        check_text(&p->age, "40", "age", v);
        assert_int_equal(p->level, level);
    }
    newt_abort(c);
}

/* A program of version v changes it, if it may. */
static void
write_person(const programs *x, int v, newt_ref r, record_state *s)
{
    static const char *const phones[VERSIONS] = {"by 0", "by 1", "by 2", "by 3"};
    newt_conn *c = x->c[v];
    newt_object *o;
    char words[200];

    begin_now(c);
    o = newt_write(c, r, tables[v]);
    if (v < s->version) {
        assert_null(o);
        snprintf(words, sizeof words,
                 "Person %lld can only be read: it was written with version %d of its class, which "
                 "is newer than this program's version %d",
                 (long long)r.oid, s->version, v);
        assert_int_equal(newt_status(c), NEWT_ECLASS);
        assert_string_equal(newt_error_message(newt_conn_error(c)), words);
        commit(c);
        return;
    }
    if (!o)
        fail_error("newt_write", newt_conn_error(c));
    newt_text_set(o,
                  v == 0   ? &((struct person0 *)(void *)o)->phone
                  : v == 1 ? &((struct person1 *)(void *)o)->phone
                  : v == 2 ? &((struct person2 *)(void *)o)->phone
                           : &((struct person3 *)(void *)o)->phone,
                  phones[v]);
    commit(c);
    s->version = v;
    s->phone = phones[v];
    s->has_fax &= v < 3;
}

/* Written by one, changed by another, read and changed by a third. */
static void
test_matrix(void **state)
{
    programs x;

    (void)state;
    programs_open(&x, "matrix");
    for (int i = 0; i < VERSIONS * VERSIONS * VERSIONS; i++) {
        int origin = i % VERSIONS, writer = i / VERSIONS % VERSIONS,
            reader = i / VERSIONS / VERSIONS;
        newt_ref r = make_person(x.c[origin], origin);
        record_state s = {origin, origin, origin < 2, "0"};
        bytes before = stored_bytes(x.db[0], r), after;

        check_person(&x, reader, r, &s);
        write_person(&x, writer, r, &s);
        if (writer < origin) {
            after = stored_bytes(x.db[0], r);
            assert_int_equal(after.n, before.n);
            assert_memory_equal(after.p, before.p, before.n);
        }
        check_person(&x, reader, r, &s);
        write_person(&x, reader, r, &s);
        check_person(&x, writer, r, &s);
    }
    programs_close(&x);
}

/* Records go from version to version, by whoever may write them. */
static void
test_chains(void **state)
{
    programs x;

    (void)state;
    programs_open(&x, "chains");
    for (int order = 0; order < 256; order++) {
        int origin = order % 4;
        record_state s = {origin, origin, origin < 2, "0"};
        newt_ref r = make_person(x.c[origin], origin);

        for (int step = 0, bits = order / 4; step < 3; step++, bits /= 4) {
            write_person(&x, bits % 4, r, &s);
            check_person(&x, (bits + step) % 4, r, &s);
        }
    }
    programs_close(&x);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_matrix),
        TWICE(test_chains),
    };

    return run_all(tests);
}
