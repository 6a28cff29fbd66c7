/*
 * object_setters.c - texts, bytes, decimals, arrays, maps, collections; limits and refusals
 */
#include "everything.h"

static offline o;
static struct everything *e;

static int
start(void **state)
{
    (void)state;
    offline_open(&o, everything_classes);
    e = everything_new(&o.c);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    offline_close(&o);
    return 0;
}

/* The failed setter named object and field, and doomed the transaction. */
static void
assert_doomed(int status, const char *words)
{
    assert_error(newt_conn_error(&o.c), status, words);
    assert_true(newt__base_is_over(&o.c.jar.base));
    /* the first failure stays; later ones do nothing */
    assert_int_equal(newt_text_set(everything_obj(e), &e->text, "more"), status);
    assert_null(e->text.s);
    assert_null(newt_array_grow(everything_obj(e), &e->flags, sizeof(bool), 1));
    assert_null(everything_new(&o.c));
    assert_error(newt_conn_error(&o.c), status, words);
}

#define OBJ everything_obj(e)

/* ---- texts --------------------------------------------------------------------------------- */

static void
texts(void **state)
{
    const char *first;

    (void)state;
    assert_null(e->text.s);
    assert_int_equal(newt_set(e, text, "one"), NEWT_OK);
    first = e->text.s;
    assert_string_equal(e->text.s, "one");
    assert_int_equal(e->text.n, 3);
    newt_set(e, text, "two");
    assert_string_equal(first, "one");           /* what was replaced can still be read */
    newt_text_set(OBJ, &e->text, e->text.s + 1); /* from itself */
    assert_string_equal(e->text.s, "wo");
    newt_set(e, text, "");
    assert_non_null(e->text.s);
    assert_int_equal(e->text.n, 0);
    newt_set(e, text, NULL);
    assert_null(e->text.s);
    newt_text_setn(OBJ, &e->text, "a\0b", 3);
    assert_memory_equal(e->text.s, "a\0b", 4); /* and a NUL after it */
    newt_bytes_set(OBJ, &e->bytes, "\0\1", 2);
    assert_memory_equal(e->bytes.p, "\0\1", 2);
    newt_bytes_set(OBJ, &e->bytes, "", 0);
    assert_non_null(e->bytes.p);
    newt_bytes_set(OBJ, &e->bytes, NULL, 0);
    assert_null(e->bytes.p);
    newt_set(e, leaf.name, "in a struct");
    assert_string_equal(e->leaf.name.s, "in a struct");
    assert_int_equal(newt_status(&o.c), NEWT_OK);
}

static void
text_without_bytes(void **state)
{
    (void)state;
    assert_int_equal(newt_text_setn(OBJ, &e->leaf.name, NULL, 5), NEWT_EINVAL);
    assert_doomed(NEWT_EINVAL, "field \"name\" of Everything 1024 was given no bytes");
}

/* 300 MB are refused before they are copied. */
static void
text_too_long(void **state)
{
    size_t n = 300u * 1024 * 1024;
    long calls = o.calls;
    char *s = malloc(n);

    (void)state;
    assert_non_null(s);
    assert_int_equal(newt_text_setn(OBJ, &e->text, s, n), NEWT_ELIMIT);
    assert_int_equal(o.calls, calls);
    free(s);
    assert_doomed(NEWT_ELIMIT, "field \"text\" of Everything 1024");
}

/* At the record's limit, here a smaller one, and one byte above it. */
static void
record_limit(void **state)
{
    newt_error error = {0};
    size_t n, spare;
    char text[400];

    (void)state;
    memset(text, 'x', sizeof text);
    newt_text_setn(OBJ, &e->text, text, 300);
    free(record_of(&o, e, &n));
    o.c.jar.coder.env.max_record = n;
    free(record_of(&o, e, &n));
    spare = n;
    o.c.jar.coder.env.max_record = spare - 1;
    assert_int_equal(newt__image_encode(&o.c.jar, newt__header_of(e), true, &error), NEWT_ELIMIT);
    assert_error(&error, NEWT_ELIMIT, "Everything 1024");
    assert_error(&error, NEWT_ELIMIT, "record is too large");
    newt__error_clear(&error);

    o.c.jar.coder.env.max_record = 100;
    assert_int_equal(newt_text_setn(OBJ, &e->text, text, 100), NEWT_OK);
    assert_int_equal(newt_text_setn(OBJ, &e->text, text, 101), NEWT_ELIMIT);
}

static void
decimals(void **state)
{
    static const char *const good[] = {"-12.50", "1E+10", "NaN", "Infinity", "-Infinity", "0.000"};

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        uint8_t *record;
        size_t n;
        newt__header *h;

        assert_int_equal(newt_decimal_set(OBJ, &e->decimal, good[i]), NEWT_OK);
        record = record_of(&o, e, &n);
        h = load(&o, 7, record, n);
        assert_string_equal(((struct everything *)newt__object_of(h))->decimal.digits.s, good[i]);
        free(record);
    }
    newt_decimal_set(OBJ, &e->decimal, NULL);
    assert_null(e->decimal.digits.s);
    newt_array_grow(OBJ, &e->decimals, sizeof *e->decimals.edit_, 2);
    assert_int_equal(newt_decimal_set(OBJ, &e->decimals.edit_[1], "12,5"), NEWT_EINVAL);
    assert_doomed(NEWT_EINVAL, "field \"decimals\" of Everything 1024");
}

static void
decimal_too_long(void **state)
{
    (void)state;
    assert_int_equal(newt_decimal_set(OBJ, &e->decimal, "1E+99999999999"), NEWT_ELIMIT);
    assert_doomed(NEWT_ELIMIT, "field \"decimal\" of Everything 1024");
}

/* ---- arrays -------------------------------------------------------------------------------- */

static void
arrays(void **state)
{
    struct leaf *leaves;
    newt_time *times;
    const int16_t *old;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(newt_append(e, shorts, (int16_t)i), NEWT_OK);
    assert_int_equal(e->shorts.n, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(e->shorts.items[i], i);
    old = e->shorts.items;
    assert_int_equal(newt_array_remove(OBJ, &e->shorts, sizeof(int16_t), 10, 980), NEWT_OK);
    assert_int_equal(e->shorts.n, 20);
    assert_int_equal(e->shorts.items[10], 990);
    assert_ptr_equal(e->shorts.items, old);
    assert_int_equal(newt_array_remove(OBJ, &e->shorts, sizeof(int16_t), 20, 0), NEWT_OK);

    /* new items are zero; times and dates null, in structs too, also where others were */
    leaves = newt_array_grow(OBJ, &e->leaves, sizeof *leaves, 2);
    leaves[1].day.days = 5;
    newt_text_set(OBJ, &leaves[1].name, "x");
    newt_array_remove(OBJ, &e->leaves, sizeof *leaves, 1, 1);
    leaves = newt_array_grow(OBJ, &e->leaves, sizeof *leaves, 1);
    assert_true(leaves[0].day.days == NEWT_DATE_NULL);
    assert_null(leaves[0].name.s);
    times = newt_array_grow(OBJ, &e->times, sizeof *times, 3);
    assert_true(times[2].us == NEWT_TIME_NULL);

    /* an array in a struct in an array, which moves when its own array grows */
    leaves = newt_items(e, leaves);
    assert_non_null(newt_array_grow(OBJ, &leaves[0].points, sizeof(struct point), 1));
    assert_true(leaves[0].points.items[0].at.us == NEWT_TIME_NULL);
    newt_array_grow(OBJ, &e->leaves, sizeof *leaves, 100);
    leaves = newt_items(e, leaves);
    assert_non_null(newt_array_grow(OBJ, &leaves[0].points, sizeof(struct point), 1));
    assert_int_equal(leaves[0].points.n, 2);
    assert_non_null(newt_array_grow(OBJ, &e->leaf.points, sizeof(struct point), 1));
    assert_int_equal(newt_status(&o.c), NEWT_OK);
}

static void
array_too_long(void **state)
{
    (void)state;
    assert_null(newt_array_grow(OBJ, &e->longs, sizeof(uint64_t), SIZE_MAX / 4));
    assert_doomed(NEWT_ELIMIT, "field \"longs\" of Everything 1024 would have too many items");
}

static void
array_one_too_long(void **state)
{
    (void)state;
    assert_null(
        newt_array_grow(OBJ, &e->longs, sizeof(uint64_t), NEWT__MAX_OBJECT / sizeof(uint64_t) + 1));
    assert_doomed(NEWT_ELIMIT, "field \"longs\" of Everything 1024 would have too many items");
}

static void
no_such_items(void **state)
{
    (void)state;
    newt_append(e, shorts, 1);
    assert_int_equal(newt_array_remove(OBJ, &e->shorts, sizeof(int16_t), 1, 1), NEWT_EINVAL);
    assert_doomed(NEWT_EINVAL, "field \"shorts\" of Everything 1024 has no such items");
}

static void
items_of_another_size(void **state)
{
    (void)state;
    assert_null(newt_array_grow(OBJ, &e->shorts, sizeof(int32_t), 1));
    assert_doomed(NEWT_EINVAL, "field \"shorts\" of Everything 1024 has no array");
}

/* A struct of the program is no part of the object yet. */
static void
array_elsewhere(void **state)
{
    struct leaf mine = {0};

    (void)state;
    assert_null(newt_array_grow(OBJ, &mine.points, sizeof(struct point), 1));
    assert_doomed(NEWT_EINVAL, "Everything 1024 has no array");
}

/* ---- maps ---------------------------------------------------------------------------------- */

#define PUT(map, key)                                                                              \
    newt_map_put_(OBJ, &e->map, sizeof *e->map.edit_, offsetof(__typeof__(*e->map.edit_), value),  \
                  (key), strlen(key))
#define FIND(map, key)                                                                             \
    newt_map_find_(&e->map, sizeof *e->map.edit_, offsetof(__typeof__(*e->map.edit_), value),      \
                   (key), strlen(key))

static void
maps(void **state)
{
    static const char *const order[] = {"", "b", "z", "aa", "ab", "naïve"};
    static const size_t put[] = {3, 0, 5, 1, 4, 2};
    struct point *p;

    (void)state;
    for (size_t i = 0; i < LENGTH(put); i++) {
        double *w = PUT(weights, order[put[i]]);

        assert_true(*w == 0);
        *w = (double)put[i];
    }
    assert_ptr_equal(PUT(weights, "aa"), FIND(weights, "aa")); /* no second entry */
    assert_int_equal(e->weights.n, LENGTH(order));
    for (size_t i = 0; i < LENGTH(order); i++) {
        assert_string_equal(e->weights.items[i].key.s, order[i]);
        assert_true(*(const double *)FIND(weights, order[i]) == (double)i);
    }
    assert_null(FIND(weights, "nobody"));
    assert_null(newt_map_find_(&e->weights, sizeof *e->weights.edit_, 0, NULL, 0));
    assert_true(newt_map_remove_(OBJ, &e->weights, sizeof *e->weights.edit_, "z", 1));
    assert_false(newt_map_remove_(OBJ, &e->weights, sizeof *e->weights.edit_, "z", 1));
    assert_null(FIND(weights, "z"));
    assert_int_equal(e->weights.n, 5);
    p = newt_put(e, places, "here");
    assert_ptr_equal(newt_find(e, places, "here"), p);
    assert_null(newt_find(e, places, "there"));
    assert_false(newt_drop(e, places, "there"));
    assert_true(p->at.us == NEWT_TIME_NULL);
    assert_int_equal(newt_status(&o.c), NEWT_OK);
}

static void
map_without_key(void **state)
{
    (void)state;
    assert_null(newt_map_put_(OBJ, &e->weights, sizeof *e->weights.edit_,
                              offsetof(__typeof__(*e->weights.edit_), value), NULL, 0));
    assert_doomed(NEWT_EINVAL, "field \"weights\" of Everything 1024 cannot have a null key");
}

static void
map_of_another_layout(void **state)
{
    (void)state;
    assert_null(newt_map_put_(OBJ, &e->weights, sizeof *e->weights.edit_, 8, "a", 1));
    assert_doomed(NEWT_EINVAL, "field \"weights\" of Everything 1024 is no map of this layout");
}

/* Entries that the program appended by itself are sorted when they are saved. */
static void
map_out_of_order(void **state)
{
    static const char *const keys[] = {"zz", "b", "a"};
    uint8_t *record;
    const struct everything *again;
    size_t n;

    (void)state;
    for (size_t i = 0; i < LENGTH(keys); i++) {
        __typeof__(e->weights.edit_) item = newt_array_grow(OBJ, &e->weights,
                                                            sizeof *e->weights.edit_, 1);

        newt_text_set(OBJ, &item->key, keys[i]);
    }
    record = record_of(&o, e, &n);
    again = newt__object_of(load(&o, 7, record, n));
    assert_string_equal(again->weights.items[0].key.s, "a");
    assert_string_equal(again->weights.items[2].key.s, "zz");
    free(record);
}

/* ---- values that cannot be saved ----------------------------------------------------------- */

/* At commit: the error names the way to the value. */
static void
assert_not_saved(int status, const char *words)
{
    bool same;

    assert_int_equal(newt__object_encode(&o.c.jar, newt__header_of(e), &same), status);
    assert_error(newt_conn_error(&o.c), status, words);
    offline_begin(&o);
}

static void
unsavable(void **state)
{
    struct leaf *leaves;

    (void)state;
    e->color = (enum color)7;
    assert_not_saved(NEWT_EINVAL, "field \"color\" of Everything 1024 has the value 7");
    e->color = (enum color) - 1;
    assert_not_saved(NEWT_EINVAL, "The names stand for 0 to 2.");
    e->color = RED;
    e->one.any.oid = -9;
    assert_not_saved(NEWT_EINVAL, "field \"one\" of Everything 1024 refers to the negative oid -9");
    e->one.any.oid = 0;
    newt_append(e, colors, BLUE);
    newt_append(e, colors, (enum color)9);
    assert_not_saved(NEWT_EINVAL, "field \"colors[1]\" of Everything 1024");
    e->colors.n = 0;

    newt_array_grow(OBJ, &e->by_number, sizeof *e->by_number.edit_, 2);
    assert_not_saved(NEWT_EINVAL, "field \"by_number\" of Everything 1024: map key stands twice");
    e->by_number.n = 0;
    newt_array_grow(OBJ, &e->by_day, sizeof *e->by_day.edit_, 1);
    e->by_day.edit_[0].key.days = NEWT_DATE_NULL;
    assert_not_saved(NEWT_EINVAL, "field \"by_day[0]\" of Everything 1024 has a null key");
    e->by_day.n = 0;
    newt_array_grow(OBJ, &e->names, sizeof *e->names.edit_, 1);
    assert_not_saved(NEWT_EINVAL, "field \"names[0]\" of Everything 1024 has a null key");
    e->names.n = 0;

    leaves = newt_array_grow(OBJ, &e->leaves, sizeof *leaves, 3);
    newt_array_grow(OBJ, &leaves[2].notes, sizeof *leaves[2].notes.edit_, 1);
    assert_not_saved(NEWT_EINVAL, "field \"leaves[2].notes[0]\" of Everything 1024");
    e->leaves.n = 0;
    ((thing_ref *)PUT(members, "fred"))->any.oid = -1;
    assert_not_saved(NEWT_EINVAL, "field \"members[\"fred\"]\" of Everything 1024");
    e->members.n = 0;
    e->decimal.digits = (newt_text){"12x", 3, 0};
    assert_not_saved(NEWT_EINVAL,
                     "field \"decimal\" of Everything 1024 is no decimal number: \"12x\"");
    e->decimal.digits.s = NULL;
    e->flags.n = 3;
    assert_not_saved(NEWT_EINVAL, "field \"flags\" of Everything 1024 has 3 items, but no memory");
    e->flags.n = 0;
    free(record_of(&o, e, &(size_t){0}));
}

/* A tree as deep as is allowed, and one level deeper: a node takes two, its map and its array. */
static void
nesting(void **state)
{
    newt_error error = {0};
    struct tree *t = &e->tree;

    (void)state;
    /* state 1; tree 2, its list 3; ...; the k-th node's map 2k, at most 500 */
    for (int k = 1; k < 250; k++)
        t = newt_array_grow(OBJ, &t->below, sizeof *t, 1);
    assert_non_null(t);
    /* the innermost empty list is the 501st container */
    assert_int_equal(newt__image_encode(&o.c.jar, newt__header_of(e), true, &error), NEWT_ELIMIT);
    assert_error(&error, NEWT_ELIMIT, "nesting is too deep");
    assert_error(&error, NEWT_ELIMIT, "below");
    newt__error_clear(&error);
    t = &e->tree;
    for (int k = 1; k < 249; k++)
        t = &t->below.edit_[0];
    newt_array_remove(OBJ, &t->below, sizeof *t, 0, 1);
    {
        uint8_t *record;
        size_t n;

        record = record_of(&o, e, &n);
        assert_false(load(&o, 7, record, n)->bag);
        free(record);
    }
    /* one that holds itself has no end, but it is found out */
    t = newt_array_grow(OBJ, &e->tree.below, sizeof *t, 1);
    t->below.edit_ = e->tree.below.edit_;
    t->below.n = e->tree.below.n;
    assert_int_equal(newt__image_encode(&o.c.jar, newt__header_of(e), true, &error), NEWT_ELIMIT);
    newt__error_clear(&error);
    assert_null(newt_array_grow(OBJ, &error, 1, 1));
}

/* ---- not for writing ----------------------------------------------------------------------- */

static void
only_read(void **state)
{
    struct thing *t;
    newt_ref r;

    (void)state;
    t = thing_new(&o.c);
    r = thing_id(t).any;
    offline_commit(&o, 1);
    t = (struct thing *)(uintptr_t)thing_read(&o.c, thing_of(r));
    assert_int_equal(newt_set(t, name, "x"), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "field \"name\" of Thing 1025 was not asked for writing");
    assert_true(newt__base_is_over(&o.c.jar.base));
    assert_int_equal(newt_text_set(NULL, &t->name, "x"), NEWT_EINVAL);
}

/* ---- lists, maps, roots -------------------------------------------------------------------- */

static void
lists(void **state)
{
    struct newt_list *l = newt_list_new(&o.c);

    (void)state;
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(newt_list_append(l, (newt_ref){i}), NEWT_OK);
    assert_int_equal(newt_list_insert(l, 0, (newt_ref){10}), NEWT_OK);
    assert_int_equal(newt_list_insert(l, 6, (newt_ref){11}), NEWT_OK);
    assert_int_equal(newt_list_remove(l, 1), NEWT_OK);
    assert_json_text(
        &o, l,
        "{\"items\":[{\"::=>\":10},{\"::=>\":1},{\"::=>\":2},{\"::=>\":3},{\"::=>\":4},"
        "{\"::=>\":11}]}");
    assert_int_equal(newt_list_get(l, 0).oid, 10);
    assert_int_equal(newt_list_get(l, 5).oid, 11);
    assert_int_equal(newt_list_get(l, 6).oid, 0);
    assert_int_equal(newt_list_get(l, SIZE_MAX).oid, 0);
    assert_int_equal(newt_list_set(l, 5, (newt_ref){10}), NEWT_OK);
    assert_true(newt_list_find(l, (newt_ref){10}) == 0); /* the first */
    assert_true(newt_list_find(l, (newt_ref){4}) == 4);
    assert_true(newt_list_find(l, (newt_ref){11}) == SIZE_MAX);
    assert_int_equal(newt_list_clear(l), NEWT_OK);
    assert_int_equal(newt_list_clear(l), NEWT_OK);
    assert_int_equal(l->items.n, 0);
    assert_true(newt_list_find(l, (newt_ref){0}) == SIZE_MAX);
    assert_false(newt__base_is_over(&o.c.jar.base));
    assert_int_equal(newt_list_insert(l, 1, (newt_ref){1}), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "field \"items\" of newt.List 1025 has no such items");
}

static void
sets(void **state)
{
    static const int64_t oids[] = {300, 1, 24, INT64_MAX, 23, 65536, 255};
    struct newt_set *s = newt_set_new(&o.c);
    newt__header *h;
    uint8_t *record;
    size_t n;

    (void)state;
    assert_false(newt_set_has(s, (newt_ref){1}));
    for (size_t i = 0; i < LENGTH(oids); i++)
        assert_true(newt_set_add(s, (newt_ref){oids[i]}));
    for (size_t i = 0; i < LENGTH(oids); i++) {
        assert_true(newt_set_has(s, (newt_ref){oids[i]}));
        assert_false(newt_set_add(s, (newt_ref){oids[i]}));
    }
    assert_int_equal(s->items.n, LENGTH(oids));
    assert_false(newt_set_has(s, (newt_ref){2}));
    assert_false(newt_set_has(s, (newt_ref){0}));
    assert_true(newt_set_remove(s, (newt_ref){65536}));
    assert_false(newt_set_remove(s, (newt_ref){65536}));
    assert_json_text(&o, s,
                     "{\"items\":[{\"::=>\":1},{\"::=>\":23},{\"::=>\":24},{\"::=>\":255},"
                     "{\"::=>\":300},{\"::=>\":9223372036854775807}]}");
    /* the order in memory is that of the record */
    record = record_of(&o, s, &n);
    h = load(&o, 7, record, n);
    assert_false(h->bag);
    assert_memory_equal(((struct newt_set *)newt__object_of(h))->items.items, s->items.items,
                        s->items.n * sizeof *s->items.items);
    free(record);
    assert_int_equal(newt_set_clear(s), NEWT_OK);
    assert_int_equal(s->items.n, 0);
    assert_false(newt__base_is_over(&o.c.jar.base));
    assert_false(newt_set_add(s, (newt_ref){0}));
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "field \"items\" of newt.Set 1025 cannot have a null reference");
    assert_true(newt__base_is_over(&o.c.jar.base));
}

/* What a transaction of another program may have left: a null, which is recorded as the last. */
static void
set_with_null(void **state)
{
    static const uint8_t record[] = "\x83\x68newt.Set\x01\xa1\x65items\xd9\x01\x02\x83"
                                    "\xd9\x96\x01\x05\xd9\x96\x01\x07\xf6";
    struct newt_set *s;

    (void)state;
    load(&o, 7, record, sizeof record - 1);
    s = newt_set_write(&o.c, newt_set_of((newt_ref){7}));
    assert_non_null(s);
    assert_int_equal(s->items.n, 3);
    assert_true(newt_set_has(s, (newt_ref){5}));
    assert_true(newt_set_has(s, (newt_ref){7}));
    assert_true(newt_set_has(s, (newt_ref){0}));
    assert_true(newt_set_add(s, (newt_ref){9}));
    assert_true(newt_set_remove(s, (newt_ref){0}));
    assert_json_text(&o, s, "{\"items\":[{\"::=>\":5},{\"::=>\":7},{\"::=>\":9}]}");
}

static void
maps_of_references(void **state)
{
    struct newt_map *m = newt_map_new(&o.c);

    (void)state;
    assert_int_equal(newt_map_put(m, "b", (newt_ref){2}), NEWT_OK);
    assert_int_equal(newt_map_put(m, "a", (newt_ref){1}), NEWT_OK);
    assert_int_equal(newt_map_put(m, "b", (newt_ref){3}), NEWT_OK);
    assert_int_equal(newt_map_get(m, "b").oid, 3);
    assert_int_equal(newt_map_get(m, "c").oid, 0);
    assert_int_equal(newt_map_get(m, NULL).oid, 0);
    assert_true(newt_map_has(m, "a"));
    assert_false(newt_map_has(m, "c"));
    assert_false(newt_map_has(m, NULL));
    assert_int_equal(newt_map_put(m, "none", (newt_ref){0}), NEWT_OK);
    assert_true(newt_map_has(m, "none"));
    assert_int_equal(newt_map_get(m, "none").oid, 0);
    assert_true(newt_map_remove(m, "none"));
    assert_true(newt_map_remove(m, "a"));
    assert_false(newt_map_remove(m, "a"));
    assert_json_text(&o, m, "{\"items\":{\"b\":{\"::=>\":3}}}");
    assert_int_equal(newt_map_clear(m), NEWT_OK);
    assert_int_equal(m->items.n, 0);
    assert_int_equal(newt_map_put(m, NULL, (newt_ref){1}), NEWT_EINVAL);
}

/* Of a collection that could not be had, and of one that was only read. */
static void
refused_collections(void **state)
{
    struct newt_list *l = newt_list_new(&o.c);
    struct newt_set *s = newt_set_new(&o.c);
    struct newt_map *m = newt_map_new(&o.c);
    newt_ref r = {5}, list = newt_list_id(l).any, set = newt_set_id(s).any,
             map = newt_map_id(m).any;

    (void)state;
    assert_int_equal(newt_list_append(NULL, r), NEWT_EINVAL);
    assert_int_equal(newt_list_insert(NULL, 0, r), NEWT_EINVAL);
    assert_int_equal(newt_list_set(NULL, 0, r), NEWT_EINVAL);
    assert_int_equal(newt_list_remove(NULL, 0), NEWT_EINVAL);
    assert_int_equal(newt_list_clear(NULL), NEWT_EINVAL);
    assert_int_equal(newt_list_get(NULL, 0).oid, 0);
    assert_true(newt_list_find(NULL, r) == SIZE_MAX);
    assert_false(newt_set_add(NULL, r));
    assert_false(newt_set_has(NULL, r));
    assert_false(newt_set_remove(NULL, r));
    assert_int_equal(newt_set_clear(NULL), NEWT_EINVAL);
    assert_int_equal(newt_map_put(NULL, "a", r), NEWT_EINVAL);
    assert_int_equal(newt_map_get(NULL, "a").oid, 0);
    assert_false(newt_map_has(NULL, "a"));
    assert_false(newt_map_remove(NULL, "a"));
    assert_int_equal(newt_map_clear(NULL), NEWT_EINVAL);
    assert_true(newt_set_add(s, r));
    assert_int_equal(newt_list_append(l, r), NEWT_OK);
    assert_int_equal(newt_map_put(m, "a", r), NEWT_OK);
    offline_commit(&o, 1);
    l = (struct newt_list *)(uintptr_t)newt_list_read(&o.c, newt_list_of(list));
    s = (struct newt_set *)(uintptr_t)newt_set_read(&o.c, newt_set_of(set));
    m = (struct newt_map *)(uintptr_t)newt_map_read(&o.c, newt_map_of(map));
    assert_true(l && s && m);
    assert_int_equal(newt_list_set(l, 0, r), NEWT_EINVAL);
    assert_int_equal(newt_list_clear(l), NEWT_EINVAL);
    assert_false(newt_set_add(s, (newt_ref){6}));
    assert_false(newt_set_remove(s, r));
    assert_int_equal(newt_set_clear(s), NEWT_EINVAL);
    assert_int_equal(newt_map_clear(m), NEWT_EINVAL);
    assert_false(newt_map_remove(m, "a"));
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL,
                 "field \"items\" of newt.List 1025 was not asked for writing");
    assert_int_equal(l->items.n + s->items.n + m->items.n, 3);
}

static void
roots(void **state)
{
    static const uint8_t empty[] = "\x83\x69newt.Root\x00\xa1\x65items\xa0";
    newt_ref r = everything_id(e).any;

    (void)state;
    load(&o, 1, empty, sizeof empty - 1);
    assert_int_equal(newt_root(&o.c, "start").oid, 0);
    assert_int_equal(newt_status(&o.c), NEWT_OK);
    assert_int_equal(newt_set_root(&o.c, "start", r), NEWT_OK);
    assert_int_equal(newt_root(&o.c, "start").oid, r.oid);
    offline_commit(&o, 9);
    assert_int_equal(newt_root(&o.c, "start").oid, r.oid);
    assert_int_equal(newt__cache_find(&o.c.jar.cache, 1)->serial, 9);
    assert_int_equal(newt_set_root(&o.c, "start", (newt_ref){0}), NEWT_OK);
    assert_int_equal(newt_set_root(&o.c, "never", (newt_ref){0}), NEWT_OK);
    assert_int_equal(newt_root(&o.c, "start").oid, 0);
    assert_int_equal(newt_delete(&o.c, (newt_ref){1}), NEWT_EINVAL);
    assert_error(newt_conn_error(&o.c), NEWT_EINVAL, "the root cannot be deleted");
    offline_abort(&o);
    load(&o, 1, empty, sizeof empty - 1);
    assert_int_equal(newt_set_root(&o.c, "", (newt_ref){5}), NEWT_EINVAL);
    assert_true(newt__base_is_over(&o.c.jar.base));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts),
        TEST(text_without_bytes),
        TEST(text_too_long),
        TEST(record_limit),
        TEST(decimals),
        TEST(decimal_too_long),
        TEST(arrays),
        TEST(array_too_long),
        TEST(array_one_too_long),
        TEST(no_such_items),
        TEST(items_of_another_size),
        TEST(array_elsewhere),
        TEST(maps),
        TEST(map_without_key),
        TEST(map_of_another_layout),
        TEST(map_out_of_order),
        TEST(unsavable),
        TEST(nesting),
        TEST(only_read),
        TEST(lists),
        TEST(sets),
        TEST(set_with_null),
        TEST(maps_of_references),
        TEST(refused_collections),
        TEST(roots),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("object_setters", tests, NULL, NULL);
}
