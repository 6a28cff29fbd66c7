/*
 * server_renamed.c - typed tables and views of a class that is renamed, and its fields, while an
 * old program and a new one write
 */
#include "server.h"

struct place {
    newt_text street;
    int32_t no;
};
struct spot {
    newt_text road;
    int32_t no;
};
struct job {
    newt_text title;
    int32_t n;
    newt_ref boss;
    struct place addr;
    NEWT_ARRAY(newt_text) tags;
    NEWT_ARRAY(newt_ref) helpers;
    NEWT_ARRAY(struct place) stops;
    NEWT_MAP(int32_t) days;
};
struct task {
    newt_text name;
    int32_t n;
    newt_ref owner;
    struct spot address;
    NEWT_ARRAY(newt_text) words;
    NEWT_ARRAY(newt_ref) crew;
    NEWT_ARRAY(struct spot) halts;
    NEWT_MAP(int32_t) dates;
};
NEWT_DECLARE(place);
NEWT_DECLARE(spot);
NEWT_DECLARE(job);
NEWT_DECLARE(task);
#define J struct job
#define T struct task
NEWT_CLASS(place, "Place", 1, NULL, NEWT_FIELD(struct place, street), NEWT_FIELD(struct place, no));
NEWT_CLASS(spot, "Spot", 1, NULL, NEWT_FIELD(struct spot, road, .was = "street"),
           NEWT_FIELD(struct spot, no));
NEWT_CLASS(job, "Job", 1, NULL, NEWT_FIELD(J, title), NEWT_FIELD(J, n), NEWT_FIELD(J, boss),
           NEWT_STRUCT(J, addr, place), NEWT_LIST(J, tags), NEWT_LIST(J, helpers),
           NEWT_STRUCTS(J, stops, place), NEWT_MAPOF(J, days));
NEWT_CLASS_PAST(task, "Task", 2, NULL, 0, (.was = NEWT_NAMES("Job")),
                NEWT_FIELD(T, name, .was = "title"), NEWT_FIELD(T, n),
                NEWT_FIELD(T, owner, .was = "boss"), NEWT_STRUCT(T, address, spot, .was = "addr"),
                NEWT_LIST(T, words, .was = "tags"), NEWT_LIST(T, crew, .was = "helpers"),
                NEWT_STRUCTS(T, halts, spot, .was = "stops"), NEWT_MAPOF(T, dates, .was = "days"));
static const newt_class *const old_classes[] = {&job_class, NULL};
static const newt_class *const new_classes[] = {&task_class, NULL};

/* Objects of an old program, each of its own. */
static void
make_jobs(newt_conn *c, newt_ref *refs, int n)
{
    char text[20];

    begin(c);
    for (int i = 0; i < n; i++) {
        struct job *j = job_new(c);

        assert_non_null(j);
        snprintf(text, sizeof text, "%d", i);
        newt_set(j, title, i % 5 ? text : NULL);
        newt_set(j, addr.street, i % 3 ? text : NULL);
        j->n = i;
        j->addr.no = -i;
        j->boss = i ? refs[i / 2] : (newt_ref){0};
        refs[i] = job_id(j).any;
        for (int k = 0; k < i % 4; k++) {
            struct place *p = newt_array_grow(job_obj(j), &j->stops, sizeof *p, 1);
            newt_text *tag = newt_array_grow(job_obj(j), &j->tags, sizeof *tag, 1);

            assert_true(p && tag);
            newt_text_set(job_obj(j), &p->street, k ? text : NULL);
            p->no = k;
            newt_text_set(job_obj(j), tag, text);
            newt_append(j, helpers, refs[k]);
            snprintf(text, sizeof text, "key%d", k);
            *newt_put(j, days, text) = k;
        }
    }
    commit(c);
}

/* The table has what a view over the projection shows, in every relation. */
static void
check_tables(const store *s)
{
    static const char *const relations[][2] = {{"job", "NULL"},
                                               {"job_crew", "'crew'"},
                                               {"job_halts", "'halts'"},
                                               {"job_dates", "'dates'"}};
    char *query;

    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) {
        query = sql_text(s->pg, "SELECT newt.view_query('%s', 'Task', %s)", s->schema,
                         relations[i][1]);
        assert_sql(
            s->pg, "0 0",
            "WITH t AS (SELECT to_jsonb(t) - 'job_id' || jsonb_build_object('of', "
            "coalesce(to_jsonb(t)->'job_id', 'null')) AS r FROM %s t), v AS (SELECT "
            "to_jsonb(v) - 'task_id' || jsonb_build_object('of', coalesce(to_jsonb(v)->"
            "'task_id', 'null')) AS r FROM (%s) v) "
            "SELECT (SELECT count(*) FROM (SELECT * FROM t EXCEPT ALL SELECT * FROM v) x) "
            "|| ' ' || (SELECT count(*) FROM (SELECT * FROM v EXCEPT ALL SELECT * FROM t) x)",
            relations[i][0], query);
        free(query);
    }
    assert_sql(s->pg, "", "SELECT problem FROM newt.check_table('%s', 'Job')", s->schema);
}

static void
test_tables_follow(void **state)
{
    enum {
        N = 40
    };
    newt_upgrade u = {.size = sizeof u};
    newt_ref refs[N], more[N];
    newt_db *db;
    newt_conn *c;
    store s;

    (void)state;
    use_database(true);
    store_make(&s, "follow");
    s.db = store_db(&s, old_classes, (newt_options){0});
    s.a = connect_(s.db);
    make_jobs(s.a, refs, N);
    sql_do(s.pg, "CALL newt.create_table('%s', 'Job')", s.schema);
    sql_do(s.pg, "SELECT newt.create_views('%s', '%s_reports')", s.schema, s.schema);
    sql_do(s.pg, "CREATE VIEW report AS SELECT id, title FROM %s_reports.job", s.schema);
    assert_sql(s.pg, "40", "SELECT count(*) FROM job");

    /* a program of today comes, and writes some of them */
    db = store_db(&s, new_classes, (newt_options){0});
    c = connect_(db);
    begin(c);
    for (int i = 0; i < N; i += 3) {
        struct task *t = task_write(c, task_of(refs[i]));

        assert_non_null(t);
        newt_set(t, name, "of today");
        t->crew.n = t->crew.n > 1 ? 1 : t->crew.n;
    }
    commit(c);
    /* the table knows of one name alone, so views do not read it */
    sql_do(s.pg, "SELECT newt.refresh_views('%s')", s.schema);
    assert_sql(s.pg, "40", "SELECT count(*) FROM %s_reports.job", s.schema);
    assert_sql(s.pg, "14", "SELECT count(*) FROM report WHERE title = 'of today'");

    sql_do(s.pg, "CALL newt.refresh_table('%s', 'Job')", s.schema);
    check_tables(&s);
    assert_sql(s.pg, "14", "SELECT count(*) FROM report WHERE title = 'of today'");
    assert_sql(s.pg, "t", "SELECT newt.class_table('%s', 'Job') = 'job'::regclass", s.schema);
    assert_sql(s.pg, "",
               "SELECT string_agg(statement, ';') FROM newt.refresh_table_steps('%s', "
               "'Job')",
               s.schema);

    /* from now on commits keep it, whoever writes */
    make_jobs(s.a, more, N);
    begin(c);
    for (int i = 0; i < N; i += 2) {
        struct task *t = task_write(c, task_of(more[i]));

        assert_non_null(t);
        newt_set(t, address.road, "Side");
        if (t->halts.n > 0)
            newt_items(t, halts)[0].no = 77;
    }
    ok(c, newt_delete(c, refs[1]));
    commit(c);
    check_tables(&s);
    while (!u.over)
        ok(c, newt_upgrade_all(c, &task_class, &u));
    assert_true(u.written > 0);
    check_tables(&s);
    assert_sql(s.pg, "79 79",
               "SELECT (SELECT count(*) FROM job) || ' ' || (SELECT count(*) FROM "
               "newt WHERE class_name = 'Task')");
    newt_close(c);
    newt_db_close(db);
    store_close(&s);
}

/* Two tables of one class there are not. */
static void
test_one_table(void **state)
{
    newt_db *db;
    PGresult *r;
    store s;

    (void)state;
    use_database(true);
    store_make(&s, "one");
    s.db = store_db(&s, old_classes, (newt_options){0});
    s.a = connect_(s.db);
    sql_do(s.pg, "CALL newt.create_table('%s', 'Job')", s.schema);
    db = store_db(&s, new_classes, (newt_options){0});
    r = PQexec(s.pg, "DO $$BEGIN PERFORM newt.table_of(current_schema, 'Task'); END$$");
    assert_non_null(strstr(PQresultErrorMessage(r), "made under the name 'Job'"));
    PQclear(r);
    sql_do(s.pg, "CALL newt.create_tables('%s', 'tables_of_%s')", s.schema, s.schema);
    assert_sql(s.pg, "1", "SELECT count(*) FROM newt.tables('%s') WHERE relation = 'job'::regclass",
               s.schema);
    assert_sql(s.pg, "0", "SELECT count(*) FROM newt.tables('%s') WHERE class_name = 'Task'",
               s.schema);
    newt_db_close(db);
    store_close(&s);
}

int
main(void)
{
    static const struct CMUnitTest renamed[] = {
        cmocka_unit_test(test_tables_follow),
        cmocka_unit_test(test_one_table),
    };

    return run_all(renamed);
}
