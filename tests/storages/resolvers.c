/*
 * resolvers.c - the ready-made resolvers: newt_length, newt_resolve_fields,
 * newt_resolve_last_writer
 */
#include "stored.h"

/* Eight threads change one counter; nobody has a conflict that the application would see. */
enum {
    COUNTERS = 8,
    CHANGES = 25
};

typedef struct counting {
    pthread_t thread;
    newt_db *db;
    newt_length_ref r;
    int64_t merges, retries;
    int status;
} counting;

static int
count_up(newt_conn *c, void *arg)
{
    struct newt_length *l = newt_length_write(c, ((counting *)arg)->r);

    return l ? newt_length_change(l, 3) : newt_status(c);
}

static void *
count(void *arg)
{
    newt_transact_options patient = {.size = sizeof patient, .attempts = 1000};
    counting *x = arg;
    newt_conn *c;
    newt_stats s;

    x->status = newt_connect(x->db, &c);
    for (int i = 0; i < CHANGES && x->status == NEWT_OK; i++)
        x->status = newt_transact(c, count_up, x, &patient);
    s = stats_of(c);
    x->merges = s.merges;
    x->retries = s.retries;
    newt_close(c);
    return NULL;
}

static void
test_length(void **state)
{
    int64_t merges = 0, retries = 0;
    counting all[COUNTERS];
    struct newt_length *l;
    newt_length_ref r;
    store s;

    (void)state;
    store_open(&s, "length");
    begin(s.a);
    l = newt_length_new(s.a);
    assert_non_null(l);
    r = newt_length_id(l);
    ok(s.a, newt_set_root(s.a, "counter", r.any));
    commit(s.a);
    for (int i = 0; i < COUNTERS; i++) {
        all[i] = (counting){.db = s.db, .r = r};
        assert_int_equal(pthread_create(&all[i].thread, NULL, count, &all[i]), 0);
    }
    for (int i = 0; i < COUNTERS; i++) {
        pthread_join(all[i].thread, NULL);
        assert_int_equal(all[i].status, NEWT_OK);
        merges += all[i].merges;
        retries += all[i].retries;
    }
    print_message("# %lld merges, %lld retries\n", (long long)merges, (long long)retries);
    assert_sql(s.pg, "{\"value\": 600}", "SELECT state FROM newt WHERE class_name = 'newt.Length'");
    /* what is too large is a conflict, not a wrong number */
    begin(s.a);
    begin(s.b);
    ok(s.a, newt_length_change(newt_length_write(s.a, r), INT64_MAX - 600));
    ok(s.b, newt_length_change(newt_length_write(s.b, r), 1));
    commit(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    assert_string_equal(newt_error_conflict(newt_conn_error(s.b), 0)->class_name, "newt.Length");
    begin(s.b);
    assert_int_equal(newt_length_change(newt_length_write(s.b, r), 1), NEWT_EINVAL);
    assert_int_equal(newt_commit(s.b), NEWT_EINVAL);
    store_close(&s);
}

struct page {
    newt_text title, body;
    int64_t views;
    NEWT_ARRAY(newt_text) tags;
};
NEWT_DECLARE(page);
static const newt_hooks by_fields = {.size = sizeof by_fields, .resolve = newt_resolve_fields};
NEWT_CLASS(page, "Page", 1, &by_fields, NEWT_FIELD(struct page, title),
           NEWT_FIELD(struct page, body), NEWT_FIELD(struct page, views),
           NEWT_LIST(struct page, tags));
struct note {
    newt_text text;
    int64_t n;
};
NEWT_DECLARE(note);
static const newt_hooks by_time = {.size = sizeof by_time, .resolve = newt_resolve_last_writer};
NEWT_CLASS(note, "Note", 1, &by_time, NEWT_FIELD(struct note, text), NEWT_FIELD(struct note, n));

static void
test_ready_made(void **state)
{
    static const newt_class *const list[] = {&page_class, &note_class, NULL};
    const struct page *seen;
    struct page *p;
    struct note *n;
    page_ref page;
    note_ref note;
    store s;

    (void)state;
    store_make(&s, "ready");
    s.db = store_db(&s, list, (newt_options){0});
    s.a = connect_(s.db);
    s.b = connect_(s.db);
    begin(s.a);
    page = page_id(page_new(s.a));
    note = note_id(note_new(s.a));
    commit(s.a);
    begin(s.a);
    begin(s.b);
    p = page_write(s.a, page);
    assert_non_null(p);
    newt_set(p, title, "of a");
    p->views = 7;
    newt_set(p, body, "both alike");
    n = note_write(s.a, note);
    assert_non_null(n);
    newt_set(n, text, "of a");
    n->n = 1;
    p = page_write(s.b, page);
    assert_non_null(p);
    ok(s.b, newt_append(p, tags, (newt_text){0}));
    ok(s.b, newt_text_set(page_obj(p), newt_items(p, tags), "of b"));
    newt_set(p, body, "both alike");
    n = note_write(s.b, note);
    assert_non_null(n);
    newt_set(n, text, "of b");
    commit(s.a);
    commit(s.b);
    assert_int_equal(stats_of(s.b).merges, 2);
    assert_sql(
        s.pg, "{\"body\": \"both alike\", \"tags\": [\"of b\"], \"title\": \"of a\", \"views\": 7}",
        "SELECT state FROM newt WHERE class_name = 'Page'");
    assert_sql(s.pg, "{\"n\": 0, \"text\": \"of b\"}",
               "SELECT state FROM newt WHERE class_name = 'Note'");
    begin(s.b);
    seen = page_read(s.b, page);
    assert_non_null(seen);
    assert_string_equal(seen->title.s, "of a");
    assert_string_equal(seen->tags.items[0].s, "of b");
    commit(s.b);

    /* one field changed by both, and not alike */
    begin(s.a);
    begin(s.b);
    page_write(s.a, page)->views = 8;
    page_write(s.b, page)->views = 9;
    commit(s.a);
    assert_int_equal(newt_commit(s.b), NEWT_ECONFLICT);
    assert_int_equal(newt_error_oid(newt_conn_error(s.b)), page.any.oid);
    store_close(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TWICE(test_length),
        TWICE(test_ready_made),
    };

    return run_all(tests);
}
