/*
 * everything.h - a class that has every kind in every shape, and objects of it with random values
 */
#ifndef NEWT_TESTS_BRIDGE_EVERYTHING_H
#define NEWT_TESTS_BRIDGE_EVERYTHING_H

#include "offline.h"

struct point {
    double x, y;
    newt_time at;
};
struct leaf {
    newt_text name;
    newt_date day;
    NEWT_ARRAY(struct point) points;
    NEWT_MAP(newt_text) notes;
};
struct tree {
    newt_text label;
    NEWT_ARRAY(struct tree) below;
};
struct thing;
struct everything;
NEWT_DECLARE(point);
NEWT_DECLARE(leaf);
NEWT_DECLARE(tree);
NEWT_DECLARE(thing);
NEWT_DECLARE(everything);

enum color {
    RED,
    GREEN,
    BLUE
};

struct thing {
    newt_text name;
    int32_t n;
};

struct everything {
    bool flag;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    float f32;
    double f64;
    newt_text text;
    newt_bytes bytes;
    newt_time time;
    newt_duration duration;
    newt_date date;
    newt_uuid uuid;
    newt_decimal decimal;
    newt_json json;
    enum color color;
    newt_ref any;
    newt_store_ref far;
    newt_weak weak;
    thing_ref one;
    struct leaf leaf;
    struct point point;
    struct tree tree;
    NEWT_ARRAY(bool) flags;
    NEWT_ARRAY(int16_t) shorts;
    NEWT_ARRAY(uint64_t) longs;
    NEWT_ARRAY(float) floats;
    NEWT_ARRAY(newt_text) texts;
    NEWT_ARRAY(newt_bytes) blobs;
    NEWT_ARRAY(newt_time) times;
    NEWT_ARRAY(newt_date) dates;
    NEWT_ARRAY(newt_uuid) uuids;
    NEWT_ARRAY(newt_decimal) decimals;
    NEWT_ARRAY(newt_json) jsons;
    NEWT_ARRAY(enum color) colors;
    NEWT_ARRAY(newt_store_ref) distant;
    NEWT_ARRAY(newt_weak) watchers;
    NEWT_ARRAY(thing_ref) things;
    NEWT_ARRAY(struct leaf) leaves;
    NEWT_ARRAY(newt_text) words; /* a set */
    NEWT_ARRAY(int64_t) numbers; /* a set */
    NEWT_ARRAY(newt_weak) seen;  /* a set */
    NEWT_MAP(double) weights;
    NEWT_MAP(newt_text) names;
    NEWT_MAP(newt_store_ref) remote;
    NEWT_MAP(newt_weak) guests;
    NEWT_MAP(thing_ref) members;
    NEWT_MAP(struct point) places;
    NEWT_PAIRS(int32_t, newt_text) by_number;
    NEWT_PAIRS(newt_date, double) by_day;
    NEWT_PAIRS(newt_weak, newt_weak) by_object;
    newt_text kept;   /* null is written */
    newt_text hidden; /* not projected */
    int scratch;      /* not in the table */
};

/* clang-format off */
NEWT_CLASS(point, "Point", 0, NULL, NEWT_FIELD(struct point, x), NEWT_FIELD(struct point, y),
           NEWT_FIELD(struct point, at));
NEWT_CLASS(leaf, "Leaf", 0, NULL, NEWT_FIELD(struct leaf, name), NEWT_FIELD(struct leaf, day),
           NEWT_STRUCTS(struct leaf, points, point), NEWT_MAPOF(struct leaf, notes));
NEWT_CLASS(tree, "Tree", 0, NULL, NEWT_FIELD(struct tree, label),
           NEWT_STRUCTS(struct tree, below, tree));
NEWT_CLASS(thing, "Thing", 0, NULL, NEWT_FIELD(struct thing, name), NEWT_FIELD(struct thing, n));

static const char *const color_names[] = {"red", "green", "blue", NULL};
#define E struct everything
NEWT_CLASS(everything, "Everything", 3, NULL,
    NEWT_FIELD(E, flag), NEWT_FIELD(E, i8), NEWT_FIELD(E, i16), NEWT_FIELD(E, i32),
    NEWT_FIELD(E, i64), NEWT_FIELD(E, u8), NEWT_FIELD(E, u16), NEWT_FIELD(E, u32),
    NEWT_FIELD(E, u64), NEWT_FIELD(E, f32), NEWT_FIELD(E, f64), NEWT_FIELD(E, text),
    NEWT_FIELD(E, bytes), NEWT_FIELD(E, time), NEWT_FIELD(E, duration), NEWT_FIELD(E, date),
    NEWT_FIELD(E, uuid), NEWT_FIELD(E, decimal), NEWT_FIELD(E, json),
    NEWT_ENUM(E, color, color_names), NEWT_FIELD(E, any), NEWT_FIELD(E, far), NEWT_FIELD(E, weak), NEWT_REF(E, one, thing),
    NEWT_STRUCT(E, leaf, leaf), NEWT_STRUCT(E, point, point), NEWT_STRUCT(E, tree, tree),
    NEWT_LIST(E, flags), NEWT_LIST(E, shorts), NEWT_LIST(E, longs), NEWT_LIST(E, floats),
    NEWT_LIST(E, texts), NEWT_LIST(E, blobs), NEWT_LIST(E, times), NEWT_LIST(E, dates),
    NEWT_LIST(E, uuids), NEWT_LIST(E, decimals), NEWT_LIST(E, jsons),
    NEWT_ENUMS(E, colors, color_names), NEWT_LIST(E, distant), NEWT_LIST(E, watchers), NEWT_REFS(E, things, thing), NEWT_STRUCTS(E, leaves, leaf),
    NEWT_SET(E, words), NEWT_SET(E, numbers), NEWT_SET(E, seen), NEWT_MAPOF(E, weights), NEWT_MAPOF(E, names),
    NEWT_MAPOF(E, remote), NEWT_MAPOF(E, guests), NEWT_MAPOF_REFS(E, members, thing), NEWT_MAPOF_STRUCTS(E, places, point),
    NEWT_PAIRSOF(E, by_number), NEWT_PAIRSOF(E, by_day), NEWT_PAIRSOF(E, by_object),
    NEWT_FIELD(E, kept, .flags = NEWT_F_KEEP_NULL), NEWT_FIELD(E, hidden, .flags = NEWT_F_SKIP));
#undef E
/* clang-format on */

static const newt_class *const everything_classes[] = {&everything_class, &thing_class, NULL};

/* ---- random values ------------------------------------------------------------------------- */

typedef struct filler {
    generate *g;
    newt_object *o;
} filler;

static void
random_text(const filler *f, newt_text *t)
{
    static const char *const some[] = {"",     "a",      "naïve",  "::x", "two words", "\xff\xfe",
                                       "\xc3", "日本語", "\"\\\n", ":::", "k\x01"};
    char long_one[400];

    switch (generate_below(f->g, 6)) {
    case 0: newt_text_set(f->o, t, NULL); break;
    case 1: newt_text_setn(f->o, t, "a\0b", 3); break;
    case 2:
        memset(long_one, 'x', sizeof long_one);
        newt_text_setn(f->o, t, long_one, generate_below(f->g, sizeof long_one));
        break;
    default: newt_text_set(f->o, t, some[generate_below(f->g, LENGTH(some))]);
    }
}

static void
random_far(const filler *f, newt_store_ref *r)
{
    static const char *const some[] = {NULL, "s", "store", "ö", "a store with a name that is long"};

    newt_text_set(f->o, &r->store, some[generate_below(f->g, LENGTH(some))]);
    r->oid = r->store.s ? (int64_t)(generate_spread(f->g) >> 1 | 1) : 0;
}

static void
random_decimal(const filler *f, newt_decimal *d)
{
    static const char *const some[] = {"0",      "-1",       "1.50",
                                       "1E+10",  "-0.001",   "0E-3",
                                       "NaN",    "Infinity", "12345678901234567890123.000",
                                       "1E-400", "-Infinity"};

    newt_decimal_set(f->o, d,
                     generate_below(f->g, 4) ? some[generate_below(f->g, LENGTH(some))] : NULL);
}

/* Any value that the generator of the codec's tests makes. */
static void
random_json(const filler *f, newt_json *to)
{
    newt__jar *c = newt__header_of(f->o)->jar;
    newt__writer w = {.buf.env = &c->coder.env};
    json_t *json = NULL;
    newt__reader r;
    newt__token t;

    f->g->max_items = 12;
    if (generate_record(f->g, &w, NULL) == NEWT__OK &&
        newt__read_begin(&r, &c->coder.env, w.buf.data, w.buf.n) == NEWT__OK &&
        newt__read(&r, &t) == NEWT__OK)
        json = newt__json_read(&r, &t, 0);
    newt_json_set(f->o, to, json);
    json_decref(json);
    newt__writer_free(&w);
}

static double
random_double(const filler *f)
{
    uint64_t bits = generate_u64(f->g);
    double x;

    if (generate_below(f->g, 2))
        return (double)(int64_t)generate_spread(f->g) / 8;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int64_t
random_time(const filler *f)
{
    return generate_below(f->g, 5) ? (int64_t)generate_spread(f->g) : NEWT_TIME_NULL;
}

/* n new items of an array of the object; 0 to 3, seldom many. */
static uint32_t
random_items(const filler *f, void *array, size_t item_size, void **items)
{
    uint32_t n = (uint32_t)generate_below(f->g, generate_below(f->g, 20) ? 4 : 60);

    *items = newt_array_grow(f->o, array, item_size, n);
    assert_non_null(*items);
    return n;
}

#define EACH(f, field, item)                                                                       \
    void *items_;                                                                                  \
    uint32_t n_ = random_items((f), &(field), sizeof *(field).edit_, &items_);                     \
    item = items_;                                                                                 \
    for (uint32_t i_ = 0; i_ < n_; i_++, item++)

static void
random_point(const filler *f, struct point *p)
{
    p->x = random_double(f);
    p->y = random_double(f);
    if (generate_below(f->g, 2))
        p->at.us = random_time(f);
}

static const char *
random_key(const filler *f, char key[16])
{
    static const char *const some[] = {"", "::", "é", "\xff"};
    uint64_t pick = generate_below(f->g, 40);

    if (pick < LENGTH(some))
        return some[pick];
    snprintf(key, 16, "k%u", (unsigned)generate_below(f->g, 1000));
    return key;
}

static void *
random_put(const filler *f, void *map, size_t item_size, size_t value_at)
{
    char buffer[16];
    const char *key = random_key(f, buffer);

    return newt_map_put_(f->o, map, item_size, value_at, key, strlen(key));
}

#define RANDOM_PUT(f, map)                                                                         \
    random_put((f), &(map), sizeof *(map).edit_, offsetof(__typeof__(*(map).edit_), value))

static void
random_leaf(const filler *f, struct leaf *leaf)
{
    struct point *point;

    random_text(f, &leaf->name);
    if (generate_below(f->g, 2))
        leaf->day.days = (int32_t)generate_spread(f->g);
    {
        EACH(f, leaf->points, point)
        random_point(f, point);
    }
    for (uint64_t n = generate_below(f->g, 4); n > 0; n--) {
        newt_text *value = RANDOM_PUT(f, leaf->notes);

        random_text(f, value);
    }
}

static void
random_tree(const filler *f, struct tree *tree, int depth)
{
    struct tree *below;

    random_text(f, &tree->label);
    if (depth > 0) {
        EACH(f, tree->below, below)
        random_tree(f, below, n_ > 4 ? 0 : depth - 1);
    }
}

static void
random_scalars(const filler *f, struct everything *e)
{
    generate *g = f->g;

    e->flag = generate_below(g, 2);
    e->i8 = (int8_t)generate_spread(g);
    e->i16 = (int16_t)generate_spread(g);
    e->i32 = (int32_t)generate_spread(g);
    e->i64 = (int64_t)generate_spread(g);
    e->u8 = (uint8_t)generate_spread(g);
    e->u16 = (uint16_t)generate_spread(g);
    e->u32 = (uint32_t)generate_spread(g);
    e->u64 = generate_spread(g);
    e->f32 = generate_below(g, 3) ? (float)generate_below(g, 1000) / 8 : strtof("-inf", NULL);
    e->f64 = random_double(f);
    random_text(f, &e->text);
    newt_bytes_set(f->o, &e->bytes, "\0\1\2\xff", generate_below(g, 5));
    e->time.us = random_time(f);
    e->duration.us = (int64_t)generate_spread(g);
    e->date.days = generate_below(g, 4) ? (int32_t)generate_spread(g) : NEWT_DATE_NULL;
    if (generate_below(g, 2))
        memset(e->uuid.b, (int)generate_below(g, 256), sizeof e->uuid.b);
    random_decimal(f, &e->decimal);
    if (generate_below(g, 2))
        random_json(f, &e->json);
    e->color = (enum color)generate_below(g, 3);
    e->any.oid = (int64_t)(generate_spread(g) >> 1);
    random_far(f, &e->far);
    e->weak.oid = (int64_t)generate_below(g, 3);
    e->one.any.oid = (int64_t)generate_below(g, 3);
    random_leaf(f, &e->leaf);
    random_point(f, &e->point);
    random_tree(f, &e->tree, 4);
    random_text(f, &e->kept);
    random_text(f, &e->hidden);
}

static void
random_lists(const filler *f, struct everything *e)
{
    generate *g = f->g;

    {
        bool *x;
        EACH(f, e->flags, x) *x = generate_below(g, 2);
    }
    {
        int16_t *x;
        EACH(f, e->shorts, x) *x = (int16_t)generate_spread(g);
    }
    {
        uint64_t *x;
        EACH(f, e->longs, x) *x = generate_spread(g);
    }
    {
        float *x;
        EACH(f, e->floats, x) *x = (float)generate_below(g, 100) / 3;
    }
    {
        newt_text *x;
        EACH(f, e->texts, x) random_text(f, x);
    }
    {
        newt_bytes *x;
        EACH(f, e->blobs, x) newt_bytes_set(f->o, x, "bytes", generate_below(g, 6));
    }
    {
        newt_time *x;
        EACH(f, e->times, x) if (generate_below(g, 2)) x->us = random_time(f);
    }
    {
        newt_date *x;
        EACH(f, e->dates, x) if (generate_below(g, 2)) x->days = (int32_t)generate_spread(g);
    }
    {
        newt_uuid *x;
        EACH(f, e->uuids, x) memset(x->b, (int)generate_below(g, 3), sizeof x->b);
    }
    {
        newt_decimal *x;
        EACH(f, e->decimals, x) random_decimal(f, x);
    }
    {
        newt_json *x;
        EACH(f, e->jsons, x) if (generate_below(g, 3) == 0) random_json(f, x);
    }
    {
        enum color *x;
        EACH(f, e->colors, x) *x = (enum color)generate_below(g, 3);
    }
    {
        newt_store_ref *x;
        EACH(f, e->distant, x) random_far(f, x);
    }
    {
        newt_weak *x;
        EACH(f, e->watchers, x) x->oid = (int64_t)generate_below(g, 4);
    }
    {
        newt_weak *x;
        EACH(f, e->seen, x) x->oid = (int64_t)(generate_spread(g) >> 1);
    }
    {
        thing_ref *x;
        EACH(f, e->things, x) x->any.oid = (int64_t)generate_below(g, 4);
    }
    {
        struct leaf *x;
        EACH(f, e->leaves, x) random_leaf(f, x);
    }
    {
        newt_text *x;
        EACH(f, e->words, x) random_text(f, x);
    }
    {
        int64_t *x;
        EACH(f, e->numbers, x) *x = (int64_t)generate_spread(g);
    }
}

static void
random_maps(const filler *f, struct everything *e)
{
    generate *g = f->g;

    for (uint64_t n = generate_below(g, 6); n > 0; n--) {
        double *weight = RANDOM_PUT(f, e->weights);
        newt_text *name = RANDOM_PUT(f, e->names);
        newt_store_ref *far = RANDOM_PUT(f, e->remote);
        newt_weak *guest = RANDOM_PUT(f, e->guests);
        thing_ref *member = RANDOM_PUT(f, e->members);
        struct point *place = RANDOM_PUT(f, e->places);

        *weight = random_double(f);
        random_text(f, name);
        random_far(f, far);
        guest->oid = (int64_t)(generate_spread(g) >> 1);
        member->any.oid = (int64_t)generate_below(g, 3);
        random_point(f, place);
    }
    {
        __typeof__(e->by_number.edit_) x;
        EACH(f, e->by_number, x)
        {
            x->key = (int32_t)(i_ * 7919 ^ 12345);
            random_text(f, &x->value);
        }
    }
    {
        __typeof__(e->by_day.edit_) x;
        EACH(f, e->by_day, x)
        {
            x->key.days = -(int32_t)i_;
            x->value = random_double(f);
        }
    }
    {
        __typeof__(e->by_object.edit_) x;
        EACH(f, e->by_object, x)
        {
            x->key = newt_weak_to((newt_ref){(int64_t)(n_ - i_)});
            x->value.oid = (int64_t)generate_below(g, 3);
        }
    }
}

/* Random values in every field of an object that is being changed. */
UNUSED static void
everything_fill(generate *g, struct everything *e)
{
    filler f = {g, (newt_object *)e};

    random_scalars(&f, e);
    random_lists(&f, e);
    random_maps(&f, e);
}

#endif
