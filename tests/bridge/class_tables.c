/*
 * class_tables.c - what newt__classes_build refuses, and what it makes of a good table
 */
#include "everything.h"

#include <math.h>

/* ---- refusals ------------------------------------------------------------------------------ */

/* A struct with room for whatever a table says of it. */
struct sample {
    int64_t a, b;
    newt_text text;
    NEWT_ARRAY(int32_t) list;
    NEWT_MAP(int32_t) map;
    NEWT_PAIRS(int32_t, int32_t) pairs;
};
NEWT_DECLARE(sample);
#define S struct sample

static const char *const ab[] = {"a", "b", NULL}, *const twice[] = {"a", "a", NULL};
static const char *const with_empty[] = {"", NULL}, *const none[] = {NULL};
static const char *const not_utf8[] = {"\xff", NULL};
static char long_name[300];

static const newt_field good_fields[] = {NEWT_FIELD(S, a), NEWT_FIELD(S, b)};
static const newt_class good = {.class_size = sizeof(newt_class),
                                .field_size = sizeof(newt_field),
                                .size = sizeof(S),
                                .name = "Sample",
                                .n_fields = 2,
                                .fields = good_fields};
static const newt_field other_fields[] = {NEWT_FIELD(S, a), NEWT_FIELD(S, text)};
static const newt_hooks bad_hooks = {.size = 3};
static const newt_text no_text;
static const newt_decimal no_number = {{"1x", 2, 0}};
static const int beyond = 2;

static int
any_to_json(const void *object, struct json_t *json, void *arg)
{
    (void)object, (void)json, (void)arg;
    return 0;
}
static const newt_hooks json_hooks = {.size = sizeof json_hooks, .to_json = any_to_json};

static void
assert_refused(const newt_class *const *classes, const char *words)
{
    newt__classes *cs;
    newt_error e = {0};

    if (newt__classes_build(&cs, newt__builtin_classes, classes, &e) != NEWT_ECLASS || cs)
        fail_msg("not refused: %s", words);
    assert_error(&e, NEWT_ECLASS, words);
    newt__error_clear(&e);
}

static void
assert_class_refused(const newt_class *k, const char *words)
{
    const newt_class *classes[] = {k, NULL};

    assert_refused(classes, words);
}

static void
classes(void **state)
{
    static const struct newt_tree some_tree = {.size = sizeof some_tree, .n_keys = 1};
    newt_class k;

    (void)state;
    memset(long_name, 'x', 256);
#define REFUSE(words, ...)                                                                         \
    k = good;                                                                                      \
    __VA_ARGS__;                                                                                   \
    assert_class_refused(&k, words)
    REFUSE("another version of newtdb.h", k.class_size--);
    REFUSE("another version of newtdb.h", k.field_size++);
    REFUSE("no name", k.name = NULL);
    REFUSE("empty name", k.name = "");
    REFUSE("longer than 255", k.name = long_name);
    REFUSE("not UTF-8", k.name = "caf\xe9");
    REFUSE("\"newt.X\" begins with \"newt.\"", k.name = "newt.X");
    REFUSE("\"::X\" begins with \"::\"", k.name = "::X");
    REFUSE("\"Sample\" has the negative version -1", k.version = -1);
    REFUSE("size 0", k.size = 0);
    REFUSE("no table of fields", k.fields = NULL);
    REFUSE("lacks the field \"level\"", k.tree = &some_tree);
    REFUSE("unknown flags: 0x80", k.flags = 0x80);
    REFUSE("contradict", k.flags = NEWT_C_ASYNC | NEWT_C_INLINE);
    REFUSE("contradict", k.flags = NEWT_C_SKIP | NEWT_C_INLINE);
    REFUSE("hooks of class \"Sample\"", k.hooks = &bad_hooks);
    REFUSE("newt-updater cannot call", k.hooks = &json_hooks; k.flags = NEWT_C_ASYNC);
    REFUSE("have no JSONB", k.hooks = &json_hooks; k.flags = NEWT_C_SKIP);
    REFUSE("empty name", k.was = NEWT_NAMES(""));
    REFUSE("begins with \"newt.\"", k.was = NEWT_NAMES("newt.Job"));
    REFUSE("class \"Sample\" was \"Sample\", which is its name", k.was = NEWT_NAMES("Sample"));
    REFUSE("class \"Sample\" was \"Job\", which is listed twice", k.was = NEWT_NAMES("Job", "Job"));
    REFUSE("class \"Sample\" drops a field whose name is empty", k.dropped = NEWT_NAMES(""));
    REFUSE("drops a field whose name is too long", k.dropped = NEWT_NAMES(long_name));
    REFUSE("drops a field whose name is not UTF-8", k.dropped = NEWT_NAMES("\xff"));
    REFUSE("class \"Sample\" drops \"a\", but has a field of this name",
           k.dropped = NEWT_NAMES("old", "a"));
    REFUSE("class \"Sample\" drops \"old\" twice", k.dropped = NEWT_NAMES("old", "old"));
#undef REFUSE
}

NEWT_DECLARE_BTREE2(good_tree, int64_t, newt_date, newt_text);
NEWT_BTREE2(good_tree, "GoodTree", NEWT_VALUES(good_tree));
NEWT_DECLARE_BTREE(real_tree, double, int64_t);
NEWT_BTREE(real_tree, "RealTree", NEWT_VALUES(real_tree));
NEWT_DECLARE_BTREE(narrow_tree, int32_t, int64_t);
NEWT_BTREE(narrow_tree, "NarrowTree", NEWT_VALUES(narrow_tree));

/* Declared with two parts, defined with one. */
NEWT_DECLARE_BTREE2(half_tree, newt_text, newt_text, int64_t);
NEWT_BTREE(half_tree, "HalfTree", NEWT_VALUES(half_tree));

/* Tables that say that they are of trees, and have not the fields of a node. */
static void
trees(void **state)
{
    newt_field f[16];
    struct newt_tree t;
    newt_error e = {0};
    newt_class k;

    (void)state;
    assert_class_refused(&real_tree_class,
                         "field \"keys\" of class \"RealTree\" cannot be the key");
    assert_class_refused(&half_tree_class, "keys of 1 parts, but its struct has others");
    assert_class_refused(&narrow_tree_class, "of kind int with 4 bytes");
#define REFUSE(words, ...)                                                                         \
    k = good_tree_class;                                                                           \
    memcpy(f, k.fields, k.n_fields * sizeof *f);                                                   \
    t = *k.tree;                                                                                   \
    k.fields = f;                                                                                  \
    k.tree = &t;                                                                                   \
    __VA_ARGS__;                                                                                   \
    assert_class_refused(&k, words)
    REFUSE("newt_class.tree of class \"GoodTree\" has the wrong size", t.size--);
    REFUSE("\"GoodTree\" has the negative version -1", t.version = -1);
    REFUSE("keys of 0 parts, not of 1 to 3", t.n_keys = 0);
    REFUSE("keys of 4 parts, not of 1 to 3", t.n_keys = 4);
    REFUSE("nodes of 199 bytes, not of 200 to 1048576", t.node_bytes = 199);
    REFUSE("nodes of 1048577 bytes", t.node_bytes = 1048577);
    REFUSE("cannot be the key of a tree: it is of kind weak", f[5].kind = f[6].kind = NEWT_K_WEAK);
    REFUSE("lacks fields \"keys3\" and \"high3\" of one kind", t.n_keys = 3);
    REFUSE("has fields that no node has", t.n_keys = 1);
    REFUSE("lacks the field \"level\" of a node", f[0].as = "height");
    REFUSE("lacks the field \"next\" of a node", f[2].as = "right");
    REFUSE("lacks fields \"keys\" and \"high\" of one kind", f[6].as = "end");
    REFUSE("field \"values\" of class \"GoodTree\" is no list",
           f[k.n_fields - 1].shape = NEWT_SET_OF);
#undef REFUSE
    for (int i = 0; i < 2; i++) { /* the smallest nodes and the largest */
        const newt_class *limit[] = {&k, NULL};
        newt__classes *cs;

        k = good_tree_class;
        t = *k.tree;
        t.node_bytes = i ? NEWT_BTREE_LARGEST : NEWT_BTREE_SMALLEST;
        k.tree = &t;
        assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, limit, &e), NEWT_OK);
        newt__classes_free(cs);
    }
}

/* The first field of a class "Sample" is as given; the second is fine. */
static void
assert_field_refused(newt_field f, const char *words)
{
    newt_field fields[2] = {f, NEWT_FIELD(S, text)};
    newt_class k = good;

    k.fields = fields;
    assert_class_refused(&k, words);
}

static void
fields(void **state)
{
    static const int word;
    newt_field f;

    (void)state;
#define REFUSE(words, base, ...)                                                                   \
    f = (newt_field)base;                                                                          \
    __VA_ARGS__;                                                                                   \
    assert_field_refused(f, words)
#define A     NEWT_FIELD(S, a)
#define LIST  NEWT_LIST(S, list)
#define MAP   NEWT_MAPOF(S, map)
#define PAIRS NEWT_PAIRSOF(S, pairs)
#define IN    "field \"a\" of class \"Sample\""
    REFUSE("field 1 of class \"Sample\" has no name", A, f.name = NULL);
    REFUSE("field 1 of class \"Sample\" has no name", A, f.as = "");
    REFUSE("the name of field 1 of class \"Sample\" is too long", A, f.as = long_name);
    REFUSE("is not UTF-8", A, f.as = "\xff");
    REFUSE("two fields named \"text\"", A, f.as = "text");
    REFUSE(IN " is of unknown kind 0", A, f.kind = 0);
    REFUSE(IN " is of unknown kind 77", A, f.kind = 77);
    REFUSE(IN " is no enum", A, f.kind = 0; f.names = ab);
    REFUSE(IN " is of unknown shape 9", A, f.shape = 9);
    REFUSE("reserved", A, f.reserved_[0] = (void *)(uintptr_t)&word);
    REFUSE(IN " has unknown flags: 0x40", A, f.flags = 0x40);
    REFUSE("is never null, so that NEWT_F_REQUIRED", A, f.flags = NEWT_F_REQUIRED);
    REFUSE("is never null, so that NEWT_F_KEEP_NULL", LIST, f.flags = NEWT_F_KEEP_NULL);
    REFUSE("cannot both keep null and refuse it", NEWT_FIELD(S, text), f.as = "t";
           f.flags = NEWT_F_REQUIRED | NEWT_F_KEEP_NULL);
    REFUSE(IN " has 3 bytes, which is not the size of int", A, f.size = 3);
    REFUSE("not the size of bool", A, f.kind = NEWT_K_BOOL);
    REFUSE("not the size of float", A, f.kind = NEWT_K_FLOAT; f.size = 2);
    REFUSE("not the size of text", A, f.kind = NEWT_K_TEXT);
    REFUSE("not the size of uuid", A, f.kind = NEWT_K_UUID);
    REFUSE("has 0 bytes", A, f.size = 0);
    REFUSE(IN " lies outside its struct", A, f.offset = sizeof(S) - 4);
    REFUSE(IN " lies outside its struct", A, f.offset = UINT32_MAX);
    REFUSE("layout of an array", A, f.stride = 8);
    REFUSE("layout of an array", A, f.key_kind = NEWT_K_TEXT);
    REFUSE("items are not 4 bytes", LIST, f.stride = 8);
    REFUSE("items are not 4 bytes", LIST, f.value_at = 4);
    REFUSE("cannot have keys of kind int", MAP, f.key_kind = NEWT_K_INT; f.key_size = 4);
    REFUSE("cannot have keys of kind unknown", PAIRS, f.key_kind = 0);
    REFUSE("cannot have keys of kind json", PAIRS, f.key_kind = NEWT_K_JSON);
    REFUSE("cannot have keys of kind struct", PAIRS, f.key_kind = NEWT_K_STRUCT);
    REFUSE("has keys of 3 bytes", PAIRS, f.key_size = 3);
    REFUSE("too small for key and value", PAIRS, f.value_at = 2);
    REFUSE("too small for key and value", PAIRS, f.stride = 7);
    REFUSE("field \"list\" of class \"Sample\" lies outside", LIST, f.offset = sizeof(S) - 8);
    REFUSE("fields \"a\" and \"text\" of class \"Sample\" overlap", A,
           f.offset = offsetof(S, text) - 4;
           f.kind = NEWT_K_INT);
    REFUSE("overlap", A, f.offset = offsetof(S, text));
    REFUSE("is not aligned", A, f.offset = 4);
    REFUSE("has no names for its enum", A, f.kind = NEWT_K_ENUM; f.size = 4);
    REFUSE("has no names for its enum", A, f.kind = NEWT_K_ENUM; f.size = 4; f.names = none);
    REFUSE("has the name \"a\" twice", A, f.kind = NEWT_K_ENUM; f.size = 4; f.names = twice);
    REFUSE("has an empty name for 0", A, f.kind = NEWT_K_ENUM; f.size = 4; f.names = with_empty);
    REFUSE("that is not UTF-8", A, f.kind = NEWT_K_ENUM; f.size = 4; f.names = not_utf8);
    REFUSE("has names, but is no enum", A, f.names = ab);
    REFUSE("is a struct without a class table", A, f.kind = NEWT_K_STRUCT);
    REFUSE("has a class table, but is of kind int", A, f.type = &good);
    REFUSE("has 8 bytes, but its class \"Thing\" has 24", A, f.kind = NEWT_K_STRUCT;
           f.type = &thing_class);
    REFUSE("refers to class \"Thing\", which is not given", A, f.kind = NEWT_K_REF;
           f.type = &thing_class);
    assert_field_refused(f, "List its table");
    /* what was */
    REFUSE(IN " has an older name that is empty", A, f.was = "");
    REFUSE(IN " has an older name that is too long", A, f.was = long_name);
    REFUSE(IN " has an older name that is not UTF-8", A, f.were = NEWT_NAMES("old", "\xff"));
    REFUSE(IN " was \"a\", which is its name", A, f.was = "a");
    REFUSE(IN " was \"text\", which is the name of another field", A, f.were = NEWT_NAMES("text"));
    REFUSE(IN " was \"old\" twice", A, f.was = "old"; f.were = NEWT_NAMES("older", "old"));
    /* what is at first */
    REFUSE(IN " has the size of a default, but none", A, f.init_size = 8);
    REFUSE(IN " has 8 bytes, but a default of 4", A, f.init = &word; f.init_size = sizeof word);
    REFUSE("cannot have a default: it is no single value", LIST, f.init = &word);
    REFUSE(IN " cannot have a default: it is ref", A, f.kind = NEWT_K_REF; f.init = &word);
    REFUSE(IN " cannot have a default: it is weak", A, f.kind = NEWT_K_WEAK; f.init = &word);
    REFUSE("has null as its default", NEWT_FIELD(S, text), f.as = "t"; f.init = &no_text;
           f.init_size = sizeof no_text);
    REFUSE(IN " has the default 2, which its enum has no name for", A, f.kind = NEWT_K_ENUM;
           f.size = 4; f.names = ab; f.init = &beyond; f.init_size = sizeof beyond);
    REFUSE(" has a default that is no decimal number", NEWT_FIELD(S, text), f.as = "t";
           f.kind = NEWT_K_DECIMAL; f.init = &no_number; f.init_size = sizeof no_number);
#undef REFUSE
}

/* Names of older records against each other. */
static void
past_names(void **state)
{
    newt_field f[2] = {NEWT_FIELD(S, a), NEWT_FIELD(S, b)};
    newt_class k = good, other = good, third = good;
    const newt_class *list[] = {&k, &other, NULL};

    (void)state;
    k.fields = f;
    f[0].was = f[1].was = "old";
    assert_class_refused(&k, "fields \"a\" and \"b\" of class \"Sample\" both were \"old\"");
    f[1].was = "older";
    k.dropped = NEWT_NAMES("older");
    assert_class_refused(&k, "class \"Sample\" drops \"older\", which its field \"b\" was");
    k.dropped = NULL;
    /* of classes */
    other.name = "Other";
    k.was = NEWT_NAMES("Job", "Other");
    assert_refused(list, "class \"Sample\" was \"Other\", which is another class of this program");
    other.name = "Else";
    other.was = NEWT_NAMES("Work", "Job");
    assert_refused(list, "both were \"Job\"");
    assert_refused(list, "can be read as one class alone");
    /* and of the same class from elsewhere */
    third = k;
    third.was = NEWT_NAMES("Job");
    list[1] = &third;
    assert_refused(list, "given twice with different definitions");
    third.was = k.was;
    third.dropped = NEWT_NAMES("x");
    assert_refused(list, "given twice with different definitions");
}

static void
names_of_classes(void **state)
{
    newt_class k = good;
    const newt_class *list[] = {&k, NULL};
    const newt__class *built;
    newt__classes *cs;
    newt_error e = {0};
    char *text;

    (void)state;
    k.was = NEWT_NAMES("Job", "Task");
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, list, &e), NEWT_OK);
    built = newt__class_find(cs, &k);
    assert_ptr_equal(newt__class_named(cs, "Job", 3), built);
    assert_ptr_equal(newt__class_named(cs, "Task", 4), built);
    assert_ptr_equal(newt__class_named(cs, "Sample", 6), built);
    assert_null(newt__class_named(cs, "Jo", 2));
    assert_string_equal(newt__class_intern(cs, "Job", 3), "Job");
    assert_string_equal(newt__class_present(cs, "Job", 3), "Sample");
    assert_string_equal(newt__class_present(cs, "None", 4), "None");
    text = newt__class_fields(built);
    assert_non_null(strstr(text, "{\"was\": [\"Job\", \"Task\"], \"kind\": \"class\", "
                                 "\"name\": \"\", \"skip\": true}]"));
    free(text);
    newt__classes_free(cs);
}

/* At the limits, and one above. */
static void
limits(void **state)
{
    enum {
        N = NEWT__MAX_FIELDS
    };
    newt_field *many = calloc(N, sizeof *many);
    char(*names)[8] = calloc(N, sizeof *names);
    newt_field f = NEWT_FIELD(S, a);
    newt_class k = good;
    const newt_class *list[] = {&k, NULL};
    newt__classes *cs;
    newt_error e = {0};
    json_t *described;
    char *text;

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        many[i] = (newt_field){
            .name = names[i], .offset = (uint32_t)i, .size = 1, .kind = NEWT_K_BOOL};
    }
    k.fields = many;
    k.size = N;
    k.n_fields = N + 1;
    assert_class_refused(&k, "class \"Sample\" has more than 65535 fields");
    k.n_fields = N;
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, list, &e), NEWT_OK);
    text = newt__class_fields(newt__class_find(cs, &k));
    described = json_loads(text, 0, NULL);
    free(text);
    assert_int_equal(json_array_size(described), N);
    json_decref(described);
    newt__classes_free(cs);
    free(many);
    free(names);

    k = good;
    k.fields = &f;
    k.n_fields = 1;
    long_name[255] = 0; /* 256 are refused elsewhere */
    k.name = f.as = long_name;
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, list, &e), NEWT_OK);
    newt__classes_free(cs);
}

/* ---- several classes ----------------------------------------------------------------------- */

static void
given_twice(void **state)
{
    newt_class same = good, other = good;
    const newt_class *one[] = {&good, &good, &same, NULL}, *two[] = {&good, &other, NULL};
    newt__classes *cs;
    newt_error e = {0};

    (void)state;
    /* the same table, and the same definition from elsewhere */
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, one, &e), NEWT_OK);
    assert_ptr_equal(newt__class_find(cs, &good), newt__class_find(cs, &same));
    assert_non_null(newt__class_find(cs, &same));
    assert_null(newt__class_find(cs, &other));
    newt__classes_free(cs);

    other.fields = other_fields;
    assert_refused(two, "class \"Sample\" is given twice with different definitions");
    other = good;
    other.version = 7;
    assert_refused(two, "given twice");
    other = good;
    other.n_fields = 1;
    assert_refused(two, "given twice");
    other = good;
    other.hooks = &json_hooks;
    assert_refused(two, "given twice");
}

/* By hand, a struct can be made to hold itself. */
static void
endless_struct(void **state)
{
    newt_class a = good, b = good, c = good;
    newt_field fa[1] = {{.name = "x", .size = sizeof(S), .kind = NEWT_K_STRUCT, .type = &a}};
    newt_field fb[1] = {{.name = "x", .size = sizeof(S), .kind = NEWT_K_STRUCT, .type = &c}};
    newt_field fc[1] = {{.name = "x", .size = sizeof(S), .kind = NEWT_K_STRUCT, .type = &b}};

    (void)state;
    a.fields = fa;
    b.fields = fb;
    c.fields = fc;
    a.n_fields = b.n_fields = c.n_fields = 1;
    assert_class_refused(&a, "holds itself");
    b.name = "B";
    c.name = "C";
    assert_class_refused(&b, "holds itself");
}

static void
built_in(void **state)
{
    const newt_class *no_classes[] = {NULL};
    newt__classes *cs;
    newt_error e = {0};
    size_t n = 0;

    (void)state;
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, no_classes, &e), NEWT_OK);
    assert_string_equal(newt__class_find(cs, &newt_list_class)->name, "newt.List");
    assert_string_equal(newt__class_find(cs, &newt_set_class)->name, "newt.Set");
    assert_string_equal(newt__class_find(cs, &newt_map_class)->name, "newt.Map");
    assert_string_equal(newt__class_find(cs, &newt_length_class)->name, "newt.Length");
    assert_string_equal(newt__class_named(cs, "newt.Root", 9)->name, "newt.Root");
    assert_null(newt__class_named(cs, "newt.Roo", 8));
    assert_null(newt__class_named(cs, "", 0));
    while (newt__class_at(cs, n))
        n++;
    assert_string_equal(newt__class_find(cs, &newt_queue_class)->name, "newt.Queue");
    assert_non_null(newt__class_named(cs, "newt.QueueLane", 14)->tree);
    assert_int_equal(n, 10);
    assert_ptr_equal(newt__class_intern(cs, "Foo", 3), newt__class_intern(cs, "Food", 3));
    assert_string_equal(newt__class_intern(cs, "Food", 4), "Food");
    newt__classes_free(cs);
    newt__classes_free(NULL);
}

/* Nothing of the program's tables is needed once they are built. */
static void
copied(void **state)
{
    newt_class *k = malloc(sizeof *k);
    newt_field *f = malloc(2 * sizeof *f);
    char *name = strdup("Gone"), *field = strdup("a"), *as = strdup("z");
    const char **names = malloc(2 * sizeof *names);
    const newt_class *list[] = {k, NULL};
    const newt__class *built;
    newt__classes *cs;
    newt_error e = {0};

    (void)state;
    *k = good;
    k->name = name;
    k->fields = f;
    f[0] = (newt_field)NEWT_FIELD(S, a);
    f[0].name = field;
    f[0].as = as;
    f[1] = (newt_field)NEWT_FIELD(S, b);
    f[1].kind = NEWT_K_ENUM;
    f[1].size = sizeof(int);
    f[1].names = names;
    names[0] = strdup("red");
    names[1] = NULL;
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, list, &e), NEWT_OK);
    free((char *)(uintptr_t)names[0]);
    free(names);
    free(as);
    free(field);
    free(name);
    free(f);
    built = newt__class_find(cs, k);
    free(k);
    assert_string_equal(built->name, "Gone");
    assert_string_equal(built->fields[0].as, "b"); /* in encoded order */
    assert_string_equal(built->fields[1].as, "z");
    assert_string_equal(built->fields[0].f.names[0], "red");
    newt__classes_free(cs);
}

/* Every kind in every shape, with embedded and recursive structs, is fine. */
static void
order_and_blanks(void **state)
{
    newt__classes *cs;
    newt_error e = {0};
    const newt__class *k;
    const struct everything *blank;

    (void)state;
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, everything_classes, &e),
                     NEWT_OK);
    k = newt__class_find(cs, &everything_class);
    for (uint32_t i = 1; i < k->n_fields; i++)
        assert_true(newt__key_order(k->fields[i - 1].as, k->fields[i - 1].as_n, k->fields[i].as,
                                    k->fields[i].as_n) < 0);
    blank = (const void *)k->blank;
    assert_true(blank->time.us == NEWT_TIME_NULL);
    assert_true(blank->date.days == NEWT_DATE_NULL);
    assert_true(blank->leaf.day.days == NEWT_DATE_NULL);
    assert_true(blank->point.at.us == NEWT_TIME_NULL);
    assert_true(blank->duration.us == 0);
    assert_true(k->stored);
    assert_false(newt__class_find(cs, &tree_class)->stored);
    newt__classes_free(cs);
}

/* ---- the registry -------------------------------------------------------------------------- */

struct registered {
    newt_text title;
    uint8_t shelf;
    double weight;
    float score;
    enum color color;
    thing_ref owner;
    newt_ref any;
    struct point at;
    NEWT_ARRAY(struct tree) trees;
    NEWT_ARRAY(newt_text) words;
    NEWT_MAP(thing_ref) members;
    NEWT_PAIRS(int16_t, newt_date) days;
    newt_json extras;
    newt_text city;
};
NEWT_DECLARE(registered);
#define R struct registered
NEWT_CLASS(registered, "Registered", 1, NULL,
           NEWT_FIELD(R, title, .as = "name", .flags = NEWT_F_REQUIRED), NEWT_FIELD(R, shelf),
           NEWT_FIELD(R, weight), NEWT_FIELD(R, score), NEWT_ENUM(R, color, color_names),
           NEWT_REF(R, owner, thing), NEWT_FIELD(R, any, .flags = NEWT_F_KEEP_NULL),
           NEWT_STRUCT(R, at, point), NEWT_STRUCTS(R, trees, tree), NEWT_SET(R, words),
           NEWT_MAPOF_REFS(R, members, thing), NEWT_PAIRSOF(R, days),
           NEWT_FIELD(R, extras, .flags = NEWT_F_SKIP),
           NEWT_FIELD(R, city, .was = "town", .were = NEWT_NAMES("place"),
                      NEWT_INIT_TEXT("Nowhere")));

static void
registry(void **state)
{
    const newt_class *list[] = {&registered_class, &thing_class, NULL};
    newt__classes *cs;
    newt_error e = {0};
    char *page = page_text("docs/class-registry.md"), *from = strstr(page, "```json"), *to;
    json_t *wanted, *got;
    char *text;

    (void)state;
    assert_non_null(from);
    from += strlen("```json");
    to = strstr(from, "```");
    assert_non_null(to);
    wanted = json_loadb(from, (size_t)(to - from), 0, NULL);
    assert_non_null(wanted);
    free(page);
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, list, &e), NEWT_OK);
    text = newt__class_fields(newt__class_find(cs, &registered_class));
    got = json_loads(text, 0, NULL);
    if (!json_equal(got, wanted))
        fail_msg("got %s", text);
    free(text);
    json_decref(got);
    json_decref(wanted);
    newt__classes_free(cs);
}

struct initial {
    bool b;
    int8_t i;
    uint64_t u;
    float f;
    double d, nan;
    newt_text text;
    newt_bytes bytes;
    newt_time time;
    newt_duration duration;
    newt_date date;
    newt_uuid uuid;
    newt_decimal decimal, infinite;
    enum color color;
};
NEWT_DECLARE(initial);
#define I struct initial
NEWT_CLASS_AS(initial, "Initial", 1, NULL, NEWT_C_SKIP, NEWT_FIELD(I, b, NEWT_INIT(bool, true)),
              NEWT_FIELD(I, i, NEWT_INIT(int8_t, -3)),
              NEWT_FIELD(I, u, NEWT_INIT(uint64_t, UINT64_MAX)),
              NEWT_FIELD(I, f, NEWT_INIT(float, 0.5f)), NEWT_FIELD(I, d, NEWT_INIT(double, -2.25)),
              NEWT_FIELD(I, nan, NEWT_INIT(double, NAN)),
              NEWT_FIELD(I, text, NEWT_INIT_TEXT("a\0b")),
              NEWT_FIELD(I, bytes, NEWT_INIT(newt_bytes, (const uint8_t *)"\1\2\3", 3, 0)),
              NEWT_FIELD(I, time, NEWT_INIT(newt_time, 1)),
              NEWT_FIELD(I, duration, NEWT_INIT(newt_duration, 1500000)),
              NEWT_FIELD(I, date, NEWT_INIT(newt_date, -719163)),
              NEWT_FIELD(I, uuid, NEWT_INIT(newt_uuid, {1})),
              NEWT_FIELD(I, decimal, NEWT_INIT(newt_decimal, {"1.50", 4, 0})),
              NEWT_FIELD(I, infinite, NEWT_INIT(newt_decimal, {"-Infinity", 9, 0})),
              NEWT_ENUM(I, color, color_names, NEWT_INIT(enum color, BLUE)));

/* In the form that the projection shows, of every kind that can have one; and a hidden class. */
static void
defaults(void **state)
{
    static const char wanted[] =
        "[true, -3, {\"::num\": \"18446744073709551615\"}, 0.5, -2.25, \"NaN\", "
        "{\"::b64\": \"YQBi\", \"::text\": \"a\xef\xbf\xbd"
        "b\"}, {\"::b64\": \"AQID\"}, "
        "\"1970-01-01T00:00:00.000001Z\", 1500000, {\"::days\": -719163}, "
        "\"01000000-0000-0000-0000-000000000000\", {\"::num\": \"1.50\"}, \"-Infinity\", "
        "\"blue\"]";
    const newt_class *list[] = {&initial_class, NULL};
    newt__classes *cs;
    newt_error e = {0};
    json_t *values = json_loads(wanted, 0, NULL), *got;
    char *text;
    size_t n = json_array_size(values);

    (void)state;
    assert_int_equal(newt__classes_build(&cs, newt__builtin_classes, list, &e), NEWT_OK);
    text = newt__class_fields(newt__class_find(cs, &initial_class));
    got = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(got), n + 1);
    for (size_t i = 0; i < n; i++)
        if (!json_equal(json_object_get(json_array_get(got, i), "default"),
                        json_array_get(values, i)))
            fail_msg("default %zu in %s", i, text);
    assert_true(json_is_true(json_object_get(json_array_get(got, n), "hidden")));
    free(text);
    json_decref(got);
    json_decref(values);
    newt__classes_free(cs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),          cmocka_unit_test(fields),
        cmocka_unit_test(limits),           cmocka_unit_test(given_twice),
        cmocka_unit_test(endless_struct),   cmocka_unit_test(built_in),
        cmocka_unit_test(copied),           cmocka_unit_test(order_and_blanks),
        cmocka_unit_test(registry),         cmocka_unit_test(past_names),
        cmocka_unit_test(names_of_classes), cmocka_unit_test(trees),
        cmocka_unit_test(defaults),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("class_tables", tests, NULL, NULL);
}
