/*
 * tables.c - typed tables beside four writers: the server crashes in the midst of commits and of
 * fillings, and the class gains and loses fields
 *
 * Needs dev/private-server's verbs, and a server that no other test uses meanwhile.
 */
#include "../bridge/server.h"

#include "../generate.h"

struct note;
NEWT_DECLARE(note);
struct line {
    newt_text text;
    int64_t n;
};
NEWT_DECLARE(line);
struct note {
    newt_text name;
    int64_t n;
    NEWT_ARRAY(struct line) lines;
    NEWT_MAP(int64_t) marks;
};
/* clang-format off */
NEWT_CLASS(line, "Line", 0, NULL, NEWT_FIELD(struct line, text), NEWT_FIELD(struct line, n));
NEWT_CLASS(note, "Note", 1, NULL, NEWT_FIELD(struct note, name), NEWT_FIELD(struct note, n),
           NEWT_STRUCTS(struct note, lines, line), NEWT_MAPOF(struct note, marks));
/* clang-format on */

static const newt_class *const notes[] = {&note_class, NULL};

enum {
    N = 2000, /* notes at first */
    WRITERS = 4
};

typedef struct writer {
    pthread_t thread;
    const store *s;
    const note_ref *refs;
    generate g;
    bool stop, failed;
    int64_t commits;
    note_ref own[20];
    int slot;
} writer;

static void
set_note(struct note *o, generate *g)
{
    uint64_t n = generate_below(g, 4);
    char key[16];

    newt_set(o, name, "note");
    o->n = (int64_t)generate_below(g, 100000);
    o->lines.n = 0;
    for (uint64_t i = 0; i < n; i++) {
        newt_append(o, lines, (struct line){.n = (int64_t)generate_below(g, 100)});
        newt_text_set((newt_object *)o, &newt_items(o, lines)[i].text, "a line");
    }
    snprintf(key, sizeof key, "key %u", (unsigned)n);
    *newt_put(o, marks, key) = o->n;
}

/* One note of all changes; one of its own is made, changed or removed. */
static int
change(newt_conn *c, void *arg)
{
    writer *w = arg;
    note_ref *own = &w->own[w->slot];
    struct note *o = note_write(c, w->refs[generate_below(&w->g, N)]);

    if (!o)
        return newt_status(c);
    set_note(o, &w->g);
    note_done(o);
    if (own->any.oid && generate_below(&w->g, 2)) {
        int status = newt_delete(c, own->any);

        return status == NEWT_EMISSING ? NEWT_OK : status;
    }
    o = note_new(c);
    if (!o)
        return newt_status(c);
    set_note(o, &w->g);
    *own = note_id(o);
    note_done(o);
    return NEWT_OK;
}

static void *
write_on(void *arg)
{
    writer *w = arg;
    newt_conn *c = NULL;

    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        int status = c ? NEWT_OK : newt_connect(w->s->db, &c);

        w->slot = (int)generate_below(&w->g, 20);
        if (status == NEWT_OK)
            status = newt_transact(c, change, w, NULL);
        if (status == NEWT_OK) {
            __atomic_fetch_add(&w->commits, 1, __ATOMIC_RELAXED);
            continue;
        }
        w->own[w->slot] = (note_ref){.any = {0}}; /* it is not known whether there is one */
        if (status != NEWT_ELOST && status != NEWT_EUNKNOWN && status != NEWT_ECONFLICT &&
            status != NEWT_EBUSY) {
            print_error("%s\n", newt_error_message(newt_last_error(w->s->db, c)));
            w->failed = true;
            break;
        }
        newt_close(c);
        c = NULL;
    }
    newt_close(c);
    return NULL;
}

static int64_t
commits(const writer *w)
{
    int64_t n = 0;

    for (int i = 0; i < WRITERS; i++)
        n += __atomic_load_n(&w[i].commits, __ATOMIC_RELAXED);
    return n;
}

static void
wait_for_commits(const writer *w, int64_t more)
{
    int64_t before = commits(w);

    wait_until(commits(w) >= before + more || w[0].failed || w[1].failed || w[2].failed ||
               w[3].failed);
}

static PGconn *
reopen(const store *s)
{
    PGconn *pg = sql_open();

    sql_do(pg, "SET search_path = %s, public", s->schema);
    return pg;
}

static void
crash(store *s)
{
    PQfinish(s->pg);
    server_do("crash");
    server_do("start");
    s->pg = reopen(s);
}

/* Sends a statement and crashes while it runs, or after it. */
static void
crash_within(store *s, const char *sql, writer *w)
{
    PGconn *pg = reopen(s);

    assert_int_equal(PQsendQuery(pg, sql), 1);
    wait_for_commits(w, 5);
    crash(s);
    PQfinish(pg);
}

static void
assert_clean(const store *s)
{
    assert_sql(
        s->pg, "",
        "SELECT string_agg(problem || ' ' || objects, ', ') FROM newt.check_table('%s', 'Note')",
        s->schema);
}

static void
test_crashes(void **state)
{
    static const char base[] =
        "{\"name\": \"name\", \"kind\": \"text\"}, {\"name\": \"n\", \"kind\": \"int\", \"bits\": "
        "64}, "
        "{\"name\": \"marks\", \"kind\": \"int\", \"bits\": 64, \"shape\": \"map\"}";
    static note_ref refs[N];
    int rounds = getenv("NEWT_SOAK") ? 20 : 2;
    uint64_t seed = generate_seed();
    writer w[WRITERS];
    char call[200];
    store s;

    (void)state;
    use_database(true);
    store_make(&s, "tables");
    s.db = store_db(&s, notes, (newt_options){0});
    s.a = connect_(s.db);
    begin(s.a);
    for (int i = 0; i < N; i++) {
        struct note *o = note_new(s.a);

        newt_set(o, name, "first");
        refs[i] = note_id(o);
        note_done(o);
    }
    commit(s.a);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (writer){.s = &s, .refs = refs};
        generate_init(&w[i].g, seed + (uint64_t)i);
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
    }
    for (int round = 0; round < rounds; round++) {
        /* in the midst of the filling: it goes on where it was, or begins */
        snprintf(call, sizeof call, "CALL newt.create_table('%s', 'Note')", s.schema);
        crash_within(&s, call, w);
        sql_do(s.pg,
               "DO $$ BEGIN IF newt.typed_table('%s', 'Note') IS NULL THEN "
               "DROP TABLE IF EXISTS note_lines, note_marks, note; END IF; END $$",
               s.schema);
        if (sql_int(s.pg, "SELECT count(*) FROM newt_table") == 0)
            sql_do(s.pg, "%s", call);
        else
            sql_do(s.pg, "CALL newt.fill_table('%s', 'Note', 100)", s.schema);
        assert_clean(&s);
        wait_for_commits(w, 50);
        crash(&s); /* in the midst of commits */
        assert_clean(&s);
        wait_for_commits(w, 20);
        /* the class gains a field and one of another kind, and shows its lines no longer; or has
         * them again */
        sql_do(
            s.pg,
            "INSERT INTO newt_class (name, version, fields) VALUES ('Note', %d, '[%s, "
            "{\"name\": \"more%d\", \"kind\": \"%s\"}, {\"name\": \"lines\", \"kind\": \"struct\", "
            "\"class\": \"Line\", \"shape\": \"list\", \"skip\": %s, \"fields\": [{\"name\": "
            "\"n\", \"kind\": "
            "\"int\", \"bits\": 64}]}]')",
            round + 10, base, round % 2, round % 2 ? "date" : "text", round % 2 ? "false" : "true");
        snprintf(call, sizeof call, "CALL newt.refresh_table('%s', 'Note')", s.schema);
        crash_within(&s, call, w);
        sql_do(s.pg, "%s", call);
        sql_do(s.pg, "CALL newt.fill_table('%s', 'Note')", s.schema);
        assert_clean(&s);
        wait_for_commits(w, 50);
        assert_clean(&s);
        sql_do(s.pg, "CALL newt.drop_table('%s', 'Note')", s.schema);
    }
    for (int i = 0; i < WRITERS; i++) {
        __atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
        pthread_join(w[i].thread, NULL);
        assert_false(w[i].failed);
    }
    newt_close(s.a);
    newt_db_close(s.db);
    PQfinish(s.pg);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_crashes),
};

int
main(void)
{
    return run_all(tests);
}
