/*
 * interleavings.c - every order in which the steps of two or three small programs can happen
 *
 * A program is a text of steps for one connection: B begins, ra reads object a, wa writes it, da
 * deletes it, C commits, A aborts; a step outside a transaction begins one. Each order of the steps
 * of all programs is run, in one thread, and every single answer is compared with a model:
 *
 *   - a transaction has a position, a tid. It reads what was committed up to there, and its own
 *     writes, nothing else. Once it has a snapshot the position stays.
 *   - one that began without the server stands where its cache stood. At its first contact it
 *     moves to the newest transaction, unless one of the objects that it has used has changed in
 *     between: then, and only then, it fails with a read conflict.
 *   - what the same newt_db has committed or seen is never missed.
 *   - a commit succeeds if, and only if, nobody has changed or removed what it writes since its
 *     position: the first committer wins, no update is lost.
 *   - tids rise, and the tables say at the end what the model says.
 */
#include "../concurrency/concurrency.h"
#include "stored.h"

enum {
    OBJECTS = 3,
    MOST_CONNECTIONS = 3,
    MOST_STEPS = 12,
    GONE = -1 /* the value of an object that was deleted */
};

/* ---- the model ------------------------------------------------------------------------ */

typedef struct version {
    int64_t tid, value;
} version;

typedef struct object {
    item_ref r;
    version *versions;
    size_t n;
} object;

typedef struct player {
    newt_db *db;
    newt_conn *c;
    bool begun, contact, doomed;
    int64_t position, heard; /* heard: what this newt_db knew when the transaction began */
    bool used[OBJECTS], wrote[OBJECTS];
    int64_t own[OBJECTS]; /* where wrote */
} player;

typedef struct game {
    store s;
    player players[MOST_CONNECTIONS], outsider;
    int n_players;
    bool one_db;
    int stride, passed; /* one order of `stride` is played */
    object objects[OBJECTS];
    item_ref made[OBJECTS];          /* by the outsider, just now */
    int64_t newest, value;           /* the last tid, and the last value written */
    int64_t heard[MOST_CONNECTIONS]; /* by newt_db; the first alone when they share one */
    char played[256];                /* of this order, for messages */
    /* how often each thing has happened: all of them must */
    int orders, lazy, contacts, read_conflicts, conflicts, commits, missing, own_reads;
} game;

#define wrong(g, ...)                                                                              \
    do {                                                                                           \
        print_message("# after %s\n", (g)->played);                                                \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

static int64_t
value_at(const object *o, int64_t tid)
{
    size_t i = o->n;

    while (i > 0 && o->versions[i - 1].tid > tid)
        i--;
    return i > 0 ? o->versions[i - 1].value : GONE;
}

static void
add_version(object *o, int64_t tid, int64_t value)
{
    o->versions = realloc(o->versions, (o->n + 1) * sizeof *o->versions);
    o->versions[o->n++] = (version){tid, value};
}

static bool
changed_between(const object *o, int64_t after, int64_t upto)
{
    for (size_t i = o->n; i > 0 && o->versions[i - 1].tid > after; i--)
        if (o->versions[i - 1].tid <= upto)
            return true;
    return false;
}

static int64_t *
heard_by(game *g, const player *p)
{
    return &g->heard[g->one_db ? 0 : p - g->players];
}

static void
hears(game *g, const player *p, int64_t tid)
{
    int64_t *heard = heard_by(g, p);

    if (tid > *heard)
        *heard = tid;
}

/* Rises when the transaction has been in contact with the storage. */
static int64_t
contacts_of(newt_conn *c)
{
    newt__phase phase = c->jar.base.phase;

    return !on_server() ? phase == NEWT__OPEN || phase == NEWT__DOOMED : stats_of(c).round_trips;
}

/* ---- steps ---------------------------------------------------------------------------- */

static void
step_begin(game *g, player *p)
{
    int64_t trips = contacts_of(p->c);

    begin(p->c);
    p->begun = true;
    p->doomed = false;
    p->contact = contacts_of(p->c) > trips;
    p->position = newt_tid(p->c);
    p->heard = *heard_by(g, p);
    memset(p->used, 0, sizeof p->used);
    memset(p->wrote, 0, sizeof p->wrote);
    if (!p->contact)
        g->lazy++;
    else if (p->position != g->newest)
        wrong(g, "began at %lld, but %lld is the newest", (long long)p->position,
              (long long)g->newest);
    hears(g, p, p->position);
}

/* What a contact with the server may have done to a transaction that began without it; false: it
 * has ended in a read conflict. */
static bool
after_contact(game *g, player *p)
{
    int64_t oid = newt_error_oid(newt_conn_error(p->c));
    bool conflict = newt_status(p->c) == NEWT_ECONFLICT, must = false, named = false;

    if (p->contact) {
        if (newt_tid(p->c) != p->position)
            wrong(g, "the snapshot has moved to %lld", (long long)newt_tid(p->c));
        return true;
    }
    for (int i = 0; i < OBJECTS; i++)
        if (p->used[i] && changed_between(&g->objects[i], p->position, g->newest)) {
            must = true;
            named |= g->objects[i].r.any.oid == oid;
        }
    if (must != conflict)
        wrong(g, "%s read conflict at the first contact", conflict ? "a" : "no");
    g->contacts++;
    if (conflict) {
        if (!named)
            wrong(g, "a read conflict that names %lld", (long long)oid);
        p->doomed = true;
        g->read_conflicts++;
        return false;
    }
    p->contact = true;
    p->position = newt_tid(p->c);
    if (p->position != g->newest)
        wrong(g, "the contact led to %lld, but %lld is the newest", (long long)p->position,
              (long long)g->newest);
    hears(g, p, p->position);
    return true;
}

static void
step_use(game *g, player *p, char what, int o)
{
    object *x = &g->objects[o];
    int64_t trips = contacts_of(p->c), expected, got = GONE;
    const struct item *i = NULL;
    struct item *j;
    int status = NEWT_OK;

    if (what == 'd')
        status = newt_delete(p->c, x->r.any);
    else if (what == 'r')
        i = item_read(p->c, x->r);
    else
        i = item_write(p->c, x->r);
    if (what != 'd')
        status = i ? NEWT_OK : newt_status(p->c);
    if (p->doomed) {
        if (status != NEWT_ECONFLICT)
            wrong(g, "a doomed transaction goes on: %s", newt_status_text(status));
        return;
    }
    if (i) {
        got = i->n;
        item_done(i);
    }
    if (contacts_of(p->c) > trips && !after_contact(g, p))
        return;
    expected = p->wrote[o] ? p->own[o] : value_at(x, p->position);
    if (status != (expected == GONE ? NEWT_EMISSING : NEWT_OK))
        wrong(g, "%c%c: %s", what, 'a' + o, newt_status_text(status));
    if (status != NEWT_OK) {
        g->missing++;
        return;
    }
    if (i && got != expected)
        wrong(g, "%c%c: got %lld, at %lld it is %lld", what, 'a' + o, (long long)got,
              (long long)p->position, (long long)expected);
    if (!p->contact && p->position < p->heard)
        wrong(g, "uses %c as of %lld, but its newt_db knew %lld", 'a' + o, (long long)p->position,
              (long long)p->heard);
    g->own_reads += p->wrote[o];
    p->used[o] = true;
    if (what == 'r')
        return;
    p->wrote[o] = true;
    p->own[o] = GONE;
    if (what == 'w') {
        j = item_edit(i);
        assert_non_null(j);
        j->n = p->own[o] = ++g->value;
    }
}

static void
step_commit(game *g, player *p)
{
    int64_t first = 0, tid, oid;
    bool writes = false;
    int status;

    for (int i = 0; i < OBJECTS; i++) {
        object *o = &g->objects[i];

        writes |= p->wrote[i];
        if (p->wrote[i] && changed_between(o, p->position, g->newest) &&
            (first == 0 || o->r.any.oid < first))
            first = o->r.any.oid;
    }
    status = newt_commit(p->c);
    oid = newt_error_oid(newt_conn_error(p->c));
    p->begun = false;
    if (status != (first || p->doomed ? NEWT_ECONFLICT : NEWT_OK))
        wrong(g, "commit: %s", error_text(newt_conn_error(p->c)));
    if (p->doomed)
        return;
    if (status != NEWT_OK) {
        if (oid != first)
            wrong(g, "commit: the conflict is in %lld, not %lld", (long long)first, (long long)oid);
        g->conflicts++;
        return;
    }
    if (!writes)
        return;
    tid = newt_tid(p->c);
    if (tid <= g->newest)
        wrong(g, "committed as %lld after %lld", (long long)tid, (long long)g->newest);
    g->newest = tid;
    g->commits++;
    hears(g, p, tid);
    for (int i = 0; i < OBJECTS; i++)
        if (p->wrote[i])
            add_version(&g->objects[i], tid, p->own[i]);
}

/* The next step of a program; where the one after it begins. */
static const char *
step(game *g, player *p, const char *program)
{
    char what = *program++, *played = strchr(g->played, 0);

    if (what != 'B' && !p->begun)
        step_begin(g, p);
    snprintf(played, sizeof g->played - (size_t)(played - g->played), "%d%c%.*s ",
             (int)(p - g->players), what, strchr("rwd", what) ? 1 : 0, program);
    switch (what) {
    case 'B': step_begin(g, p); break;
    case 'C': step_commit(g, p); break;
    case 'A':
        newt_abort(p->c);
        p->begun = false;
        break;
    default: step_use(g, p, what, *program++ - 'a');
    }
    while (*program == ' ')
        program++;
    return program;
}

/* ---- orders --------------------------------------------------------------------------- */

/* Objects that were deleted are made anew; every second time all are changed from outside, so that
 * what the players have cached is stale. */
static int
make_or_disturb(newt_conn *c, void *arg)
{
    game *g = arg;
    struct item *x;

    for (int i = 0; i < OBJECTS; i++) {
        object *o = &g->objects[i];
        bool gone = value_at(o, g->newest) == GONE;

        g->outsider.wrote[i] = gone || g->orders % 2;
        if (!g->outsider.wrote[i])
            continue;
        x = gone ? item_new(c) : item_write(c, o->r);
        if (!x)
            return newt_status(c);
        g->outsider.own[i] = x->n = ++g->value;
        if (gone)
            g->made[i] = item_id(x);
    }
    return 0;
}

static void
prepare(game *g)
{
    ok(g->outsider.c, newt_transact(g->outsider.c, make_or_disturb, g, NULL));
    for (int i = 0; i < OBJECTS; i++) {
        object *o = &g->objects[i];

        if (!g->outsider.wrote[i])
            continue;
        g->newest = newt_tid(g->outsider.c);
        if (o->n == 0 || o->versions[o->n - 1].value == GONE) {
            o->r = g->made[i];
            o->n = 0;
        }
        add_version(o, g->newest, g->outsider.own[i]);
    }
    g->played[0] = 0;
}

/* What a connection finds, when it has heard of everything. */
static void
compare_objects(game *g)
{
    newt_conn *c = connect_(g->s.db);
    newt_ref missing = {INT64_MAX};

    begin(c);
    ok(c, newt_prefetch(c, &missing, 1)); /* which opens the snapshot */
    for (int i = 0; i < OBJECTS; i++) {
        const struct item *x = item_read(c, g->objects[i].r);
        int64_t got = x ? x->n : GONE, expected = value_at(&g->objects[i], g->newest);

        if (got != expected)
            wrong(g, "the store says %lld, the model says %lld", (long long)got,
                  (long long)expected);
    }
    if (newt_tid(c) != g->newest)
        wrong(g, "the newest transaction is another one");
    newt_close(c);
}

/* What the tables say now. */
static void
compare(game *g)
{
    char expected[128] = "", sql[512];
    size_t n = 0;

    if (!on_server()) {
        compare_objects(g);
        return;
    }

    for (int i = 0; i < OBJECTS; i++)
        n += (size_t)snprintf(expected + n, sizeof expected - n, "%s%lld", i ? "," : "",
                              (long long)value_at(&g->objects[i], g->newest));
    snprintf(sql, sizeof sql,
             "SELECT string_agg(coalesce(state->>'n', '%d'), ',' ORDER BY i) FROM "
             "unnest('{%lld,%lld,%lld}'::bigint[]) WITH ORDINALITY AS o(zoid, i) "
             "LEFT JOIN newt USING (zoid)",
             GONE, (long long)g->objects[0].r.any.oid, (long long)g->objects[1].r.any.oid,
             (long long)g->objects[2].r.any.oid);
    char *got = sql_text(g->s.pg, "%s", sql);
    if (strcmp(got, expected) != 0)
        wrong(g, "the tables say %s, the model says %s", got, expected);
    free(got);
    if (sql_int(g->s.pg, "SELECT max(tid) FROM transaction") != g->newest)
        wrong(g, "the newest transaction is another one");
}

static void
play(game *g, const char *const *programs, const uint8_t *order, int n)
{
    const char *at[MOST_CONNECTIONS];

    prepare(g);
    memcpy(at, programs, (size_t)g->n_players * sizeof *at);
    for (int i = 0; i < n; i++)
        at[order[i]] = step(g, &g->players[order[i]], at[order[i]]);
    for (int i = 0; i < g->n_players; i++)
        assert_true(*at[i] == 0 && !g->players[i].begun);
    compare(g);
    g->orders++;
}

static int
steps_of(const char *program)
{
    int n = *program != 0;

    for (; *program; program++)
        n += *program == ' ';
    return n;
}

/* All orders: order[0 .. n) stands, left[] says how many steps of each player are to come. */
static void
play_all(game *g, const char *const *programs, uint8_t *order, int n, int *left)
{
    bool over = true;

    for (int i = 0; i < g->n_players; i++) {
        if (left[i] == 0)
            continue;
        over = false;
        left[i]--;
        order[n] = (uint8_t)i;
        play_all(g, programs, order, n + 1, left);
        left[i]++;
    }
    if (over && g->passed++ % g->stride == 0)
        play(g, programs, order, n);
}

static void
play_every_order(game *g, const char *const *programs)
{
    uint8_t order[MOST_CONNECTIONS * MOST_STEPS];
    int left[MOST_CONNECTIONS];

    for (int i = 0; i < g->n_players; i++)
        left[i] = steps_of(programs[i]);
    play_all(g, programs, order, 0, left);
}

/* cache: objects it holds; 0: all */
static void
game_open(game *g, int n_players, bool one_db, int cache)
{
    newt_options o = {.cache_objects = (size_t)cache};

    *g = (game){.n_players = n_players, .one_db = one_db, .stride = 1};
    store_open(&g->s, one_db ? "one_db" : "own_db");
    g->outsider = (player){.db = g->s.db, .c = g->s.a};
    for (int i = 0; i < n_players; i++) {
        g->players[i].db = one_db && i > 0 ? g->players[0].db : store_db(&g->s, classes, o);
        g->players[i].c = connect_(g->players[i].db);
    }
    g->newest = stored_tid(g->s.db);
}

static void
game_close(game *g)
{
    print_message(
        "# %d orders: %d commits, %d conflicts; %d begun without the server, %d contacts, "
        "%d read conflicts; %d missing, %d own\n",
        g->orders, g->commits, g->conflicts, g->lazy, g->contacts, g->read_conflicts, g->missing,
        g->own_reads);
    for (int i = g->n_players - 1; i >= 0; i--) {
        newt_close(g->players[i].c);
        if (i == 0 || !g->one_db)
            newt_db_close(g->players[i].db);
    }
    for (int i = 0; i < OBJECTS; i++)
        free(g->objects[i].versions);
    store_close(&g->s);
}

/* ---- the tests ------------------------------------------------------------------------ */

static void
two_players(bool one_db)
{
    static const char *const pairs[][2] = {
        {"B ra wa C", "B ra wa C"},    /* both add to what they have read */
        {"B ra wb C", "B rb wa C"},    /* each writes what the other reads */
        {"B ra rb C", "B wa wb C"},    /* a reader beside a writer of both */
        {"ra ra rb C", "wa C wb C"},   /* ... of one after the other */
        {"wa wb C", "wb wa C"},        /* crossing */
        {"ra wa ra A", "ra wa C"},     /* what is aborted never was */
        {"da C", "ra wa C"},           /* removed and changed */
        {"da wb C", "da rb C"},        /* removed by both */
        {"ra C ra wa C", "wa C ra C"}, /* two transactions each */
        {"ra C ra rb C", "ra wa C"},   /* cached, begun without the server, then a contact */
        {"ra C ra rb C", "wb C wa C"}, /* ... that hears of a change to what was used */
        {"ra rb rc C", "wa wc C wb C"},
    };
    game *g = malloc(sizeof *g);

    game_open(g, 2, one_db, 0);
    g->stride = one_db && !getenv("NEWT_SOAK") ? 3 : 1;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        play_every_order(g, pairs[i]);
    assert_true(g->conflicts > 0 && g->lazy > 0 && g->contacts > 0 && g->missing > 0 &&
                g->own_reads > 0);
    assert_true(g->read_conflicts > 0 || g->stride > 1);
    game_close(g);
    free(g);
}

static void
test_two_programs(void **state)
{
    (void)state;
    two_players(false);
}

static void
test_two_threads_of_one(void **state)
{
    (void)state;
    two_players(true);
}

static void
test_three(void **state)
{
    static const char *const triples[][3] = {
        {"ra wb C", "rb wc C", "rc wa C"}, /* a circle of three */
        {"ra wa C", "ra wa C", "ra rb C"},
        {"wa wb C", "ra rb C", "da C"},
    };
    game *g = malloc(sizeof *g);

    (void)state;
    for (size_t i = 0; i < sizeof triples / sizeof *triples; i++) {
        game_open(g, 3, i, 0);
        g->stride = getenv("NEWT_SOAK") ? 1 : 7;
        play_every_order(g, triples[i]);
        game_close(g);
    }
    free(g);
}

/* Programs and orders at random, for as long as there is time. */
static void
test_random(void **state)
{
    static const char *const steps[] = {"ra", "rb", "rc", "ra", "rb", "wa", "wb",
                                        "wc", "wa", "da", "C",  "C",  "A"};
    chance random = {take_seed()};
    double until = now() + duration(2, 60);
    game *g = malloc(sizeof *g);

    (void)state;
    while (now() < until) {
        game_open(g, 2 + pick(&random, 2), pick(&random, 2), pick(&random, 3));
        for (double next = now() + 1; now() < next;) {
            char text[MOST_CONNECTIONS][MOST_STEPS * 4];
            const char *programs[MOST_CONNECTIONS];
            uint8_t order[MOST_CONNECTIONS * MOST_STEPS];
            int n = 0;

            for (int i = 0; i < g->n_players; i++) {
                int m = 1 + pick(&random, MOST_STEPS - 1);

                text[i][0] = 0;
                for (int j = 0; j < m; j++)
                    sprintf(strchr(text[i], 0), "%s ", steps[pick(&random, 13)]);
                strcat(text[i], "C");
                programs[i] = text[i];
                memset(order + n, i, (size_t)m + 1);
                n += m + 1;
            }
            for (int i = n - 1; i > 0; i--) {
                int j = pick(&random, i + 1);
                uint8_t x = order[i];

                order[i] = order[j];
                order[j] = x;
            }
            play(g, programs, order, n);
        }
        game_close(g);
    }
    free(g);
}

static const struct CMUnitTest interleavings[] = {
    cmocka_unit_test(test_two_programs),
    cmocka_unit_test(test_two_threads_of_one),
    cmocka_unit_test(test_three),
    cmocka_unit_test(test_random),
};

int
main(void)
{
    return run_all(interleavings);
}
