/*
 * buckets.c - what ZODB's BTrees merge, and what trees here merge
 *
 * buckets.py makes states of a bucket at random, old and as two transactions left it, and asks
 * BTrees what becomes of them. Here the same is done by two transactions that overlap, in a tree of
 * one node and in a node between others. What BTrees merge must be merged to the same. What they
 * refuse may be merged for the reasons of a closed list (see merge.c), and then to what both
 * changes give one after the other; whether it is merged follows from the keys that both have
 * touched, and from where the node ends.
 */
#include "../concurrency/concurrency.h"

#include "../../bridge/btree/btree.h"

#include <ctype.h>

enum {
    HALF = 4, /* of the keys that are changed; between both halves are others, which come with a
               * split */
    FILLERS = 40,
    RIGHT = 1 + HALF + FILLERS + HALF, /* the one key of the node to the right */
    LAST,                              /* of the one after it */
    N_KEYS,
    ABSENT = -1,
    N_REASONS = 20,
    AT_ONCE = 500 /* trees in one store */
};

NEWT_DECLARE_BTREE(int_tree, int64_t, int64_t);
NEWT_DECLARE_BTREE(text_tree, newt_text, int64_t);
NEWT_DECLARE_TREESET(int_set, int64_t);
NEWT_BTREE(int_tree, "IntTree", NEWT_VALUES(int_tree), .node_bytes = NEWT_BTREE_SMALLEST);
NEWT_BTREE(text_tree, "TextTree", NEWT_VALUES(text_tree), .node_bytes = NEWT_BTREE_SMALLEST);
NEWT_TREESET(int_set, "IntSet", .node_bytes = NEWT_BTREE_SMALLEST);

static const newt_class *const trees[] = {&int_tree_class, &text_tree_class, &int_set_class, NULL};

typedef union key {
    int64_t i;
    newt_text text;
} key;

typedef struct kind {
    const char *name;
    const newt_class *k;
    bool text, values;
    key keys[N_KEYS];
} kind;

static kind kinds[] = {{"int", &int_tree_class, false, true, {{0}}},
                       {"text", &text_tree_class, true, true, {{0}}},
                       {"set", &int_set_class, false, false, {{0}}}};

typedef enum shape {
    ROOT,
    LEAF,
    UNLINK_1, /* the first to commit removes the node to the right */
    UNLINK_2, /* the second does */
    SPLIT_1,  /* the first to commit puts all fillers, which splits the node */
    SPLIT_2,
    INNER, /* several nodes, of two keys each */
    N_SHAPES
} shape;

static const char *const shapes[N_SHAPES] = {"root",   "leaf",   "unlink1", "unlink2",
                                             "split1", "split2", "inner"};

/* Why BTrees refuse what is merged here, and what it is called there. */
static const struct {
    int reason;
    bool merged; /* it may be merged here */
    const char *what;
} reasons[] = {
    {0, true, "`next` was changed, by a split or a removal beside it"},
    {1, false, "a value was changed twice"},
    {2, false, "removed here, changed there"},
    {3, false, "removed there, changed here"},
    {4, false, "one key inserted twice, or removed twice"},
    {5, false, "one key removed twice"},
    {6, false, "one key inserted twice, behind the others"},
    {7, false, "one key removed twice, or removed and changed, behind the others"},
    {8, false, "the same with both sides exchanged"},
    {9, false, "one key removed twice, behind all others"},
    {10, false, "the result is empty, which 13 comes before"},
    {11, true, "a node above buckets"},
    {12, true, "one side is empty"},
    {13, true, "the first key was removed"},
};

static bool
is_filler(int i)
{
    return i > HALF && i <= HALF + FILLERS;
}

typedef struct state {
    int64_t v[N_KEYS]; /* ABSENT */
} state;

typedef struct triple {
    kind *x;
    shape shape;
    state old, by[2]; /* by: what each of the two leaves */
    char line[2048];
    int reason; /* of BTrees; -1: they have merged it to this */
    state merged;
} triple;

static struct {
    newt_db *db;
    newt_conn *c[3];
    newt_ref tree, node; /* of a triple; the node that is changed */
    int64_t n, agreed, tally[N_SHAPES][N_REASONS][2];
} g;

#define must(t, condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s: %s", (t)->line, #condition);                                             \
    } while (0)

/* ---- what buckets.py says -------------------------------------------------------------------- */

static newt_text
read_hex(const char *word)
{
    size_t n = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;
    char *s = calloc(1, n + 1);

    assert_non_null(s);
    for (size_t i = 0; i < n; i++) {
        char byte[3] = {word[2 * i], word[2 * i + 1], 0};

        s[i] = (char)strtol(byte, NULL, 16);
    }
    return newt_strn(s, n);
}

static kind *
kind_named(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    fail_msg("no kind %s", name);
    return NULL;
}

static void
read_keys(char *line)
{
    char *rest = NULL, *word = strtok_r(line, " \n", &rest);
    kind *x = kind_named(strtok_r(NULL, " \n", &rest));

    assert_string_equal(word, "keys");
    for (int i = 0; i < N_KEYS; i++) {
        word = strtok_r(NULL, " \n", &rest);
        assert_non_null(word);
        if (x->text)
            x->keys[i].text = read_hex(word);
        else
            x->keys[i].i = strtoll(word, NULL, 10);
    }
}

static void
read_state(const char *word, state *s)
{
    char *end;

    for (int i = 0; i < N_KEYS; i++)
        s->v[i] = ABSENT;
    while (isdigit((unsigned char)*word)) {
        long i = strtol(word, &end, 10);

        assert_true(*end == ':' && i > 0 && i < RIGHT && !is_filler((int)i));
        s->v[i] = strtol(end + 1, &end, 10);
        word = *end == ',' ? end + 1 : end;
    }
}

static void
read_triple(char *line, triple *t)
{
    char *rest = NULL, *word, *c, *python;

    line[strcspn(line, "\n")] = 0;
    snprintf(t->line, sizeof t->line, "%s", line);
    t->x = kind_named(strtok_r(line, " ", &rest));
    word = strtok_r(NULL, " ", &rest);
    for (t->shape = ROOT; strcmp(shapes[t->shape], word) != 0; t->shape++)
        must(t, t->shape < INNER);
    read_state(strtok_r(NULL, " ", &rest), &t->old);
    read_state(strtok_r(NULL, " ", &rest), &t->by[0]);
    read_state(strtok_r(NULL, " ", &rest), &t->by[1]);
    c = strtok_r(NULL, " ", &rest);
    python = strtok_r(NULL, " ", &rest);
    must(t, c && python && strcmp(c, python) == 0);
    t->reason = *c == '!' ? atoi(c + 1) : -1;
    must(t, t->reason < (int)(sizeof reasons / sizeof *reasons));
    read_state(*c == '=' ? c + 1 : "-", &t->merged);
}

/* ---- trees ----------------------------------------------------------------------------------- */

static void
put(const triple *t, newt_conn *c, int i, int64_t v)
{
    ok(c, newt_btree_put(c, g.tree, t->x->k, &t->x->keys[i], t->x->values ? &v : NULL));
}

/* A leaf of the tree as it was, of the tested keys from `from` on. */
static newt_ref
make_leaf(const triple *t, newt_conn *c, int from, int to)
{
    newt__btree b;
    newt__node *leaf;
    newt_ref r;

    ok(c, newt__btree_open(&b, c, g.tree, t->x->k));
    leaf = newt__node_new(&b, 0);
    must(t, leaf != NULL);
    for (int i = from; i <= to; i++) {
        int64_t v = i >= 1 && i < RIGHT ? t->old.v[i] : 0;

        if (v != ABSENT)
            ok(c, newt__item_insert(&b, leaf, newt__node_n(b.t, leaf), &t->x->keys[i], &v,
                                    (newt_ref){0}));
    }
    r = newt__node_ref(leaf);
    newt__node_done(leaf);
    return r;
}

/* The tree as it was: g.node has the tested keys, with neighbours (INNER: those of every two). */
static void
make_tree(const triple *t, newt_conn *c)
{
    struct {
        newt_ref leaf;
        int from;
    } made[16];
    newt__btree b;
    newt__node *root, *leaf;
    int n = 0, step = t->shape == INNER ? 2 : RIGHT - 1;

    begin(c);
    g.tree = newt_btree_create(c, t->x->k);
    if (t->shape == ROOT) {
        g.node = g.tree;
        for (int i = 1; i < RIGHT; i++)
            if (t->old.v[i] != ABSENT)
                put(t, c, i, t->old.v[i]);
        commit(c);
        return;
    }
    ok(c, newt__btree_open(&b, c, g.tree, t->x->k));
    made[n].from = 0;
    made[n++].leaf = make_leaf(t, c, 0, 0);
    for (int from = 1; from < RIGHT; from += step) {
        bool any = false;

        for (int i = from; i < from + step; i++)
            any |= t->old.v[i] != ABSENT;
        if (!any)
            continue;
        made[n].from = from;
        made[n++].leaf = g.node = make_leaf(t, c, from, from + step - 1);
    }
    made[n].from = RIGHT;
    made[n++].leaf = make_leaf(t, c, RIGHT, RIGHT);
    made[n].from = LAST;
    made[n++].leaf = make_leaf(t, c, LAST, LAST);
    root = newt__node_write(&b, g.tree, 0);
    must(t, root != NULL);
    root->level_ = 1;
    ok(c, newt__child_append(&b, root, made[0].leaf));
    for (int i = 1; i < n; i++)
        ok(c, newt__item_insert(&b, root, newt__node_n(b.t, root), &t->x->keys[made[i].from], NULL,
                                made[i].leaf));
    newt__node_done(root);
    for (int i = 0; i + 1 < n; i++) {
        leaf = newt__node_write(&b, made[i].leaf, 0);
        must(t, leaf != NULL);
        leaf->next_ = made[i + 1].leaf;
        ok(c, newt__node_end(&b, leaf, &t->x->keys[made[i + 1].from]));
        newt__node_done(leaf);
    }
    commit(c);
}

/* What one of the two does; s becomes what is there then. */
static void
change(const triple *t, newt_conn *c, int side, state *s)
{
    const state *to = &t->by[side];

    *s = t->old;
    if (t->shape != ROOT)
        s->v[0] = s->v[RIGHT] = s->v[LAST] = 0;
    if (t->shape == (side == 0 ? SPLIT_1 : SPLIT_2))
        for (int i = HALF + 1; i <= HALF + FILLERS; i++)
            put(t, c, i, s->v[i] = 0);
    if (t->shape == (side == 0 ? UNLINK_1 : UNLINK_2)) {
        must(t, newt_btree_pop(c, g.tree, t->x->k, &t->x->keys[RIGHT], NULL) == 1);
        s->v[RIGHT] = ABSENT;
    }
    for (int i = 1; i < RIGHT; i++) {
        if (is_filler(i) || to->v[i] == s->v[i])
            continue;
        if (to->v[i] == ABSENT)
            must(t, newt_btree_pop(c, g.tree, t->x->k, &t->x->keys[i], NULL) == 1);
        else
            put(t, c, i, to->v[i]);
        s->v[i] = to->v[i];
    }
}

/* How many of the keys are in the node as one side has it: those before this one; 0: the node is
 * not there any more. */
static int
end_of(const triple *t, newt_conn *c)
{
    newt__btree b;
    const newt__node *node;
    int i = 0;

    ok(c, newt__btree_open(&b, c, g.tree, t->x->k));
    node = newt_read(c, g.node, t->x->k);
    if (!node)
        return 0;
    while (i < N_KEYS && (!newt__node_has_high(b.t, node) ||
                          newt__key_compare(b.t, b.t->high, node, 0, &t->x->keys[i], 1) > 0))
        i++;
    newt_done((const newt_object *)(const void *)node);
    return i;
}

static int
print_problem(void *arg, newt_ref node, const char *problem)
{
    (void)arg;
    print_message("# node %lld %s\n", (long long)node.oid, problem);
    return NEWT_OK;
}

static void
check(const triple *t, newt_conn *c, const state *should)
{
    int64_t problems, v = 0;
    newt_btree_cursor at;
    key k;
    int i = -1;

    begin(c);
    ok(c, newt_btree_check(c, g.tree, t->x->k, print_problem, NULL, &problems));
    must(t, problems == 0);
    at = newt_btree_open(c, g.tree, t->x->k, NULL);
    while (newt_btree_next(&at, &k, &v) == 1) {
        do
            i++;
        while (i < N_KEYS && should->v[i] == ABSENT);
        must(t, i < N_KEYS && (!t->x->values || v == should->v[i]));
        if (t->x->text)
            must(t, k.text.n == t->x->keys[i].text.n &&
                        memcmp(k.text.s, t->x->keys[i].text.s, k.text.n) == 0);
        else
            must(t, k.i == t->x->keys[i].i);
    }
    do
        i++;
    while (i < N_KEYS && should->v[i] == ABSENT);
    must(t, i == N_KEYS);
    newt_abort(c);
}

/* ---- what should come out -------------------------------------------------------------------- */

/* The changes of both, one after the other; false: both have changed the same key. */
static bool
add_up(const triple *t, const state by[2], state *sum)
{
    state old = t->old;

    if (t->shape != ROOT)
        old.v[0] = old.v[RIGHT] = old.v[LAST] = 0;
    for (int i = 0; i < N_KEYS; i++) {
        bool first = by[0].v[i] != old.v[i], second = by[1].v[i] != old.v[i];

        if (first && second)
            return false;
        sum->v[i] = first ? by[0].v[i] : by[1].v[i];
    }
    return true;
}

/* Whether the changes of both to the one node can be merged; end: where each has left it. */
static bool
fits(const triple *t, const state by[2], const state *sum, const int end[2])
{
    int least = end[0] < end[1] ? end[0] : end[1], n = 0;

    if (t->shape == ROOT)
        return true;
    if (least == 0) /* one of them has emptied it */
        return false;
    for (int i = 1; i < RIGHT; i++) {
        for (int side = 0; side < 2; side++)
            if (by[side].v[i] != t->old.v[i] && i >= end[!side])
                return false; /* it is not in the node any more */
        n += i < least && sum->v[i] != ABSENT;
    }
    return n > 0;
}

static void
try(const triple *t)
{
    newt_conn *a = g.c[0], *b = g.c[1];
    bool apart, merged;
    state by[2], sum;
    int end[2], status;

    make_tree(t, g.c[2]);
    begin(a);
    begin(b);
    change(t, a, 0, &by[0]);
    change(t, b, 1, &by[1]);
    end[0] = end_of(t, a);
    end[1] = end_of(t, b);
    commit(a);
    status = newt_commit(b);
    merged = status == NEWT_OK;
    must(t, merged || status == NEWT_ECONFLICT);
    apart = add_up(t, by, &sum);
    must(t, apart || !merged);
    if (t->shape != INNER)
        must(t, merged == (apart && fits(t, by, &sum, end)));
    check(t, g.c[2], merged ? &sum : &by[0]);
    if (t->reason < 0) {
        must(t, merged);
        for (int i = 1; i < RIGHT; i++)
            must(t, sum.v[i] == t->merged.v[i]);
    } else {
        must(t, !merged || reasons[t->reason].merged);
        g.tally[t->shape][t->reason][merged]++;
    }
    g.agreed += merged == (t->reason < 0);
    g.n++;
    begin(g.c[2]);
    ok(g.c[2], newt_btree_delete(g.c[2], g.tree, t->x->k));
    commit(g.c[2]);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void
open_store(void)
{
    newt_options o = {.size = sizeof o};

    if (newt_db_open(&g.db, "memory:", trees, &o) != NEWT_OK)
        fail_error("newt_db_open", newt_db_error(g.db));
    for (int i = 0; i < 3; i++)
        g.c[i] = connect_(g.db);
}

static void
close_store(void)
{
    for (int i = 0; i < 3; i++)
        newt_close(g.c[i]);
    newt_db_close(g.db);
}

static bool
was_merged(int reason)
{
    bool any = false;

    for (shape s = ROOT; s < N_SHAPES; s++)
        any |= g.tally[s][reason][1] > 0;
    return any;
}

static void
print_tally(void)
{
    print_message("# %lld triples, %lld of which both merge or both refuse. Refused by BTrees:\n",
                  (long long)g.n, (long long)g.agreed);
    print_message("# %-8s %6s %8s %8s\n", "bucket", "reason", "merged", "refused");
    for (shape s = ROOT; s < N_SHAPES; s++)
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
            if (g.tally[s][i][0] || g.tally[s][i][1])
                print_message("# %-8s %6d %8lld %8lld  %s\n", shapes[s], reasons[i].reason,
                              (long long)g.tally[s][i][1], (long long)g.tally[s][i][0],
                              reasons[i].what);
}

static void
test_buckets(void **state_)
{
    int n = getenv("NEWT_SOAK") ? 120000 : 8000;
    /* Debian's modules are Debian's Python's, which need not be the first one */
    const char *python = system("python3 -c 'import BTrees' 2>/dev/null") == 0 ? "python3"
                                                                               : "/usr/bin/python3";
    char command[256], line[2048];
    triple t;
    FILE *f;

    (void)state_;
    snprintf(command, sizeof command, "%s tests/zodb/buckets.py %llu %d", python,
             (unsigned long long)take_seed(), n);
    f = popen(command, "r");
    assert_non_null(f);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        read_keys(line);
    }
    open_store();
    while (fgets(line, sizeof line, f)) {
        if (g.n % AT_ONCE == AT_ONCE - 1) {
            close_store();
            open_store();
        }
        read_triple(line, &t);
        try(&t);
    }
    close_store();
    assert_int_equal(pclose(f), 0);
    assert_int_equal(g.n, n);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int j = 0; kinds[i].text && j < N_KEYS; j++)
            free((char *)(uintptr_t)kinds[i].keys[j].text.s);
    print_tally();
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        assert_true(was_merged((int)i) == reasons[i].merged); /* none that is not needed */
}

static const struct CMUnitTest buckets[] = {cmocka_unit_test(test_buckets)};

int
main(void)
{
    return run_all(buckets);
}
