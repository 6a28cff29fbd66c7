/*
 * questions.c - the same objects, asked in SQL and walked in C
 */
#include "demo.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the SQL side: views with columns, and an index for each kind of question --------------- */

static const char *const views[] = {
    /* typed columns, from what the classes say of their fields */
    "SELECT newt.create_views(current_schema())",
    /* what three GIN indexes hold, under names to search by */
    "CREATE OR REPLACE VIEW package_search AS\n"
    "SELECT zoid AS id, newt.principals(state, 'acl') AS readers,\n"
    "       newt.tsvector('english', state, 'name:A', 'summary:B', 'description:C') AS words,\n"
    "       state->'relations' AS relations\n"
    "  FROM newt WHERE class_name = 'Package'",
};

/* an index on a column of the view package */
#define ON_COLUMN(column)                                                                          \
    "SELECT newt.create_field_index(current_schema(), 'Package', '" column "')\n"                  \
    " WHERE to_regclass('package_" column "_idx') IS NULL"

static const struct {
    const char *name, *purpose, *how, *sql;
} indexes[] = {
    {"package_text_idx", "full text", "newt.create_text_index",
     "SELECT newt.create_text_index(current_schema(), 'Package', 'english',\n"
     "                              'name:A', 'summary:B', 'description:C')\n"
     " WHERE to_regclass('package_text_idx') IS NULL"},
    {"package_principals_idx", "readers", "newt.create_principals_index",
     "SELECT newt.create_principals_index(current_schema(), 'Package', 'acl')\n"
     " WHERE to_regclass('package_principals_idx') IS NULL"},
    {"package_relations_path_idx", "dependents", "newt.create_path_index",
     "SELECT newt.create_path_index(current_schema(), 'Package', '{relations}')\n"
     " WHERE to_regclass('package_relations_path_idx') IS NULL"},
    {"package_tags_idx", "tags", "newt.create_field_index", ON_COLUMN("tags")},
    {"package_name_idx", "names", "newt.create_field_index", ON_COLUMN("name")},
    {"package_section_id_idx", "sections", "newt.create_field_index", ON_COLUMN("section_id")},
};

static bool
make_indexes(struct demo *d)
{
    struct table table;
    double seconds;
    json_int_t size;
    json_t *rows;

    heading(&d->page, "Indexes, for SQL");
    say(&d->page, "None is made unasked. These are ordinary PostgreSQL indexes on the JSONB:\n\n");
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        if (!demo_psql(d, views[i], NULL))
            return false;
    table_open(&table, "llrrl", "index", "for", "size", "time", "how");
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        if (!demo_psql(d, indexes[i].sql, &seconds) ||
            !demo_rows(d, &rows, "SELECT pg_relation_size($1::text::regclass) AS size", 1,
                       &indexes[i].name))
            goto fail;
        size = json_integer_value(json_object_get(json_array_get(rows, 0), "size"));
        json_decref(rows);
        table_row(&table, indexes[i].name, indexes[i].purpose, size_text((uint64_t)size).s,
                  time_text(seconds).s, indexes[i].how);
    }
    if (!demo_psql(d, "VACUUM (ANALYZE) newt_projection", &seconds))
        goto fail;
    table_row(&table, "", "statistics", "", time_text(seconds).s, "VACUUM (ANALYZE)");
    table_show(&table, &d->page);
    return true;
fail:
    table_close(&table);
    return false;
}

/* ---- asking --------------------------------------------------------------------------------- */

bool
demo_rows(const struct demo *d, json_t **rows, const char *sql, int n, const char *const *params)
{
    int rc = newt_begin(d->c);

    *rows = NULL;
    if (!rc)
        rc = newt_query(d->c, rows, sql, n, params);
    if (rc)
        demo_failed(d, d->c, "query");
    newt_abort(d->c); /* a query changes nothing */
    return !rc;
}

static void
cell(struct table *table, const json_t *value)
{
    char text[48];

    switch (json_typeof(value)) {
    case JSON_STRING: table_cell(table, json_string_value(value)); break;
    case JSON_INTEGER: table_cell(table, number((uint64_t)json_integer_value(value)).s); break;
    case JSON_REAL:
        snprintf(text, sizeof text, "%.1f", json_real_value(value));
        table_cell(table, text);
        break;
    case JSON_TRUE: table_cell(table, "yes"); break;
    case JSON_FALSE: table_cell(table, "no"); break;
    default: table_cell(table, ""); break;
    }
}

static void
show_rows(const struct demo *d, json_t *rows)
{
    json_t *first = json_array_get(rows, 0), *row, *value;
    char align[16] = "";
    struct table table;
    const char *name;
    size_t i, n = 0;

    if (!first) {
        say(&d->page, "(no rows)");
        return;
    }
    json_object_foreach(first, name, value) if (n + 1 < sizeof align)
        align[n++] = json_is_number(value) ? 'r' : 'l';
    table = (struct table){.align = align, .columns = n};
    json_object_foreach(first, name, value) table_cell(&table, name);
    json_array_foreach(rows, i, row) json_object_foreach(row, name, value) cell(&table, value);
    table_show(&table, &d->page);
}

/* The parameters as comments, with an empty line after them. */
static void
show_sql(const struct demo *d, const char *sql, int n, const char *const *params)
{
    char line[128];

    quote(&d->page, sql);
    for (int i = 0; i < n; i++) {
        snprintf(line, sizeof line, "-- $%d: %s", i + 1, params[i]);
        quote(&d->page, line);
    }
    say(&d->page, "\n");
}

/* The line of the plan that tells how the packages were found: that of the index meant for it, else
 * (few rows are read faster without it) the first scan. */
static void
show_plan(const struct demo *d, json_t *plan, const char *index, double seconds)
{
    const char *found = "";
    json_t *row;
    size_t i;

    json_array_foreach(plan, i, row)
    {
        const char *line = json_string_value(json_object_get(row, d->dialect->column));

        if (!line)
            continue;
        line += strspn(line, " ->");
        if (index && strstr(line, index)) {
            found = line;
            break;
        }
        if (!*found && strstr(line, d->dialect->scan))
            found = line;
    }
    aside(&d->page, "%s   %s", time_text(seconds).s, found);
}

bool
demo_show(const struct demo *d, const char *index, const char *sql, int n,
          const char *const *params)
{
    char explain[2048];
    json_t *rows = NULL, *plan = NULL;
    double started;
    bool ok;

    snprintf(explain, sizeof explain, "%s %s", d->dialect->explain, sql);
    show_sql(d, sql, n, params);
    ok = demo_rows(d, &plan, explain, n, params);
    started = now();
    ok = ok && demo_rows(d, &rows, sql, n, params);
    if (ok) {
        started = now() - started;
        show_rows(d, rows);
        show_plan(d, plan, index, started);
    }
    json_decref(rows);
    json_decref(plan);
    return ok;
}

bool
demo_pick(const struct demo *d, const char *const *names, char out[64])
{
    const char *name = NULL;
    json_t *rows;

    for (bool last = false; !name && !last; names++) {
        last = !*names;
        if (!demo_rows(d, &rows, last ? d->dialect->largest : d->dialect->find, !last, names))
            return false;
        name = json_string_value(json_object_get(json_array_get(rows, 0), "name"));
        if (name)
            snprintf(out, 64, "%s", name);
        json_decref(rows);
    }
    if (!name)
        complain(&d->page, "the archive has no packages");
    return name != NULL;
}

/* ---- SQL ------------------------------------------------------------------------------------ */

static const struct question questions[] = {
    {"SQL: full-text search",
     "text_idx",
     "SELECT name, priority, summary FROM package JOIN package_search USING (id)\n"
     " WHERE words @@ websearch_to_tsquery('english', $1)\n"
     " ORDER BY ts_rank(words, websearch_to_tsquery('english', $1)) DESC, name LIMIT 6",
     {"text editor -java"}},
    {"SQL: who may see what",
     "principals_idx",
     "SELECT s.name AS section, count(*) AS packages, sum(p.size)::bigint AS download\n"
     "  FROM package p JOIN package_search USING (id) JOIN section s ON s.id = p.section_id\n"
     " WHERE readers && $1::text[]\n"
     " GROUP BY s.name ORDER BY 2 DESC, 1",
     {"{group:dba,group:kernel}"}},
    {"SQL: what depends on it",
     "package_relations_path_idx",
     "SELECT name, priority, installed_size AS bytes, count(*) OVER () AS \"in all\"\n"
     "  FROM package JOIN package_search USING (id)\n"
     " WHERE relations @> format('[{\"kind\": \"depends\", \"any_of\": [{\"::=>\": %s}]}]',\n"
     "                           (SELECT id FROM package WHERE name = $1 LIMIT 1))::jsonb\n"
     " ORDER BY installed_size DESC, name LIMIT 6",
     {"?"}},
    {"SQL: a report, programs in C++ by section",
     "package_tags_idx",
     "SELECT s.name AS section, count(*) AS programs, sum(p.installed_size)::bigint AS bytes,\n"
     "       round(100.0 * sum(p.installed_size) / sum(sum(p.installed_size)) OVER (), 1)::float8"
     " AS \"%\"\n"
     "  FROM package p JOIN section s ON s.id = p.section_id\n"
     " WHERE p.tags @> ARRAY['implemented-in::c++', 'role::program']\n"
     " GROUP BY s.name ORDER BY 3 DESC LIMIT 6",
     {NULL}},
    {"SQL: a report over everything, sizes by section",
     NULL,
     "SELECT s.name AS section, p.packages, p.download, p.unpacked\n"
     "  FROM (SELECT section_id, count(*) AS packages, sum(size)::bigint AS download,\n"
     "               sum(installed_size)::bigint AS unpacked FROM package GROUP BY section_id) p\n"
     "  JOIN section s ON s.id = p.section_id\n"
     " ORDER BY p.download DESC LIMIT 6",
     {NULL}},
    {"SQL: the maintainers of most packages",
     NULL,
     "SELECT m.name, m.email, count(*) AS packages\n"
     "  FROM package p JOIN maintainer m ON m.id = p.maintainer_id\n"
     " GROUP BY m.id, m.name, m.email ORDER BY 3 DESC LIMIT 6",
     {NULL}},
};

static bool
ask_sql(struct demo *d)
{
    static const char *const libraries[] = {"libssl3", "zlib1g", "libc6", "bash", NULL};
    char library[64];

    if (!demo_pick(d, libraries, library))
        return false;
    for (size_t i = 0; i < d->dialect->n; i++) {
        const struct question *q = &d->dialect->questions[i];
        const char *params[3];
        int n = 0;

        for (; n < 3 && q->params[n]; n++)
            params[n] = strcmp(q->params[n], "?") == 0 ? library : q->params[n];
        heading(&d->page, "%s", q->title);
        if (!demo_show(d, q->index, q->sql, n, params))
            return false;
    }
    return true;
}

/* ---- C: everything a package needs ---------------------------------------------------------- */

enum {
    MOST_LEVELS = 64
};

struct walk {
    const struct dialect *dialect;
    const char *name;
    struct level {
        uint64_t packages, size, installed_size;
    } levels[MOST_LEVELS];
    int n_levels;
    struct level all;
    /* the oids seen, a hash set, and the packages to visit, level by level */
    int64_t *seen;
    size_t cap, n_seen;
    package_ref *queue;
};

static bool
insert(struct walk *w, package_ref ref)
{
    size_t i = (size_t)((uint64_t)ref.any.oid * 0x9E3779B97F4A7C15u >> 32) & (w->cap - 1);

    while (w->seen[i]) {
        if (w->seen[i] == ref.any.oid)
            return false;
        i = (i + 1) & (w->cap - 1);
    }
    w->seen[i] = ref.any.oid;
    w->queue[w->n_seen++] = ref;
    return true;
}

static bool
contains(const struct walk *w, package_ref ref)
{
    size_t i = (size_t)((uint64_t)ref.any.oid * 0x9E3779B97F4A7C15u >> 32) & (w->cap - 1);

    while (w->seen[i] && w->seen[i] != ref.any.oid)
        i = (i + 1) & (w->cap - 1);
    return w->seen[i] != 0;
}

/* What a package must have; of several that would do, one that is there already, else the first. */
static void
follow(struct walk *w, const struct package *p)
{
    for (uint32_t i = 0; i < p->relations.n; i++) {
        const struct relation *r = &p->relations.items[i];
        bool there = r->kind == RECOMMENDS || !r->any_of.n;

        for (uint32_t k = 0; k < r->any_of.n && !there; k++)
            there = contains(w, r->any_of.items[k]);
        if (!there)
            insert(w, r->any_of.items[0]);
    }
}

int
demo_find(const struct dialect *dialect, newt_conn *c, const char *name, package_ref *ref)
{
    newt_result *found = NULL;
    int rc = newt_search(c, &found, dialect->find, 1, &name);

    *ref = package_of(newt_result_ref(found, 0));
    newt_result_free(found);
    return rc;
}

static int
walk(newt_conn *c, void *arg)
{
    struct walk *w = arg;
    package_ref start;
    size_t from = 0, to;
    int rc = demo_find(w->dialect, c, w->name, &start);

    w->n_seen = 0;
    w->n_levels = 0;
    w->all = (struct level){0};
    memset(w->seen, 0, w->cap * sizeof *w->seen);
    if (!rc)
        insert(w, start);
    for (; from < w->n_seen && !rc; from = to) {
        struct level level = {0};

        to = w->n_seen;
        rc = newt_prefetch(c, &w->queue[from].any, to - from); /* a level in one round trip */
        for (size_t i = from; i < to && !rc; i++) {
            const struct package *p = package_read(c, w->queue[i]);

            if (!p) {
                rc = newt_status(c);
                break;
            }
            level.packages++;
            level.size += p->size;
            level.installed_size += p->installed_size;
            follow(w, p);
            package_done(p);
        }
        if (w->n_levels < MOST_LEVELS)
            w->levels[w->n_levels++] = level;
        w->all.packages += level.packages;
        w->all.size += level.size;
        w->all.installed_size += level.installed_size;
    }
    return rc;
}

static int
size_of_archive(newt_conn *c, void *arg)
{
    const struct archive *a = archive_read(c, archive_of(newt_root(c, ROOT_CURRENT)));

    if (!a)
        return newt_status(c);
    *(uint64_t *)arg = a->packages;
    archive_done(a);
    return NEWT_OK;
}

static void
show_walk(struct demo *d, const struct walk *w)
{
    struct table table;
    char level[32];
    int shown = w->n_levels > 6 ? 5 : w->n_levels;
    struct level rest = {0};

    table_open(&table, "lrrr", "level", "packages", "download", "unpacked");
    for (int i = 0; i < w->n_levels; i++) {
        const struct level *l = &w->levels[i];

        if (i >= shown) {
            rest.packages += l->packages;
            rest.size += l->size;
            rest.installed_size += l->installed_size;
            if (i + 1 < w->n_levels)
                continue;
            l = &rest;
            snprintf(level, sizeof level, "%d to %d", shown, i);
        } else {
            snprintf(level, sizeof level, "%d", i);
        }
        table_row(&table, level, number(l->packages).s, size_text(l->size).s,
                  size_text(l->installed_size).s);
    }
    table_row(&table, "all", number(w->all.packages).s, size_text(w->all.size).s,
              size_text(w->all.installed_size).s);
    table_show(&table, &d->page);
}

static bool
ask_walk(struct demo *d)
{
    static const char *const big[] = {"gnome", "task-gnome-desktop", "postgresql-15", "git", NULL};
    newt_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    struct walk w = {.cap = 1024};
    newt_conn *c = NULL;
    uint64_t packages = 0;
    double cold, warm;
    char name[64];
    bool ok = false;
    int rc;

    if (!demo_pick(d, big, name))
        return false;
    heading(&d->page, "C: everything that %s needs", name);
    w.dialect = d->dialect;
    w.name = name;
    /* a connection of its own, so that its cache is empty */
    rc = newt_connect(d->db, &c);
    if (!rc)
        rc = newt_transact(c, size_of_archive, &packages, NULL);
    while (w.cap < 2 * packages)
        w.cap *= 2;
    w.seen = malloc(w.cap * sizeof *w.seen);
    w.queue = malloc((packages + 1) * sizeof *w.queue);
    if (!w.seen || !w.queue) {
        complain(&d->page, "out of memory");
        goto out;
    }
    newt_conn_stats(c, &before);
    cold = now();
    if (!rc)
        rc = newt_transact(c, walk, &w, NULL);
    cold = now() - cold;
    newt_conn_stats(c, &after);
    warm = now();
    if (!rc)
        rc = newt_transact(c, walk, &w, NULL);
    warm = now() - warm;
    ok = !rc || demo_failed(d, c, "walk");
    if (!ok)
        goto out;
    show_walk(d, &w);
    aside(&d->page, "cold: %s, %s objects loaded in %s round trips; again, from the cache: %s",
          time_text(cold).s, number((uint64_t)(after.loads - before.loads)).s,
          number((uint64_t)(after.round_trips - before.round_trips)).s, time_text(warm).s);
out:
    free(w.seen);
    free(w.queue);
    newt_close(c);
    return ok;
}

/* ---- C and SQL: a search that gives objects ------------------------------------------------- */

struct search {
    const struct question *q;
    struct table table;
    size_t found;
    double search, load;
};

static int
search(newt_conn *c, void *arg)
{
    struct search *s = arg;
    newt_result *r = NULL;
    double started = now();
    int rc = newt_search(c, &r, s->q->sql, 2, s->q->params);

    table_close(&s->table);
    table_open(&s->table, "llrl", "package", "maintainer", "relations", "summary");
    s->search = now() - started;
    started = now();
    if (!rc)
        rc = newt_result_load(r);
    s->load = now() - started;
    s->found = newt_result_size(r);
    for (size_t i = 0; i < s->found && i < 5 && !rc; i++) {
        const struct package *p = package_read(c, package_of(newt_result_ref(r, i)));
        const struct maintainer *m = p ? maintainer_read(c, p->maintainer) : NULL;

        if (m)
            table_row(&s->table, p->name.s, m->name.s, number(p->relations.n).s,
                      p->summary.s ? p->summary.s : "");
        else
            rc = newt_status(c);
        maintainer_done(m);
        package_done(p);
    }
    newt_result_free(r);
    return rc;
}

static bool
ask_search(struct demo *d)
{
    struct search s = {.q = &d->dialect->search};
    newt_conn *c = NULL;
    int rc;

    heading(&d->page, "C: an SQL search that gives objects");
    show_sql(d, s.q->sql, 2, s.q->params);
    rc = newt_connect(d->db, &c); /* a connection of its own, so that its cache is empty */
    if (!rc)
        rc = newt_transact(c, search, &s, NULL);
    if (rc) {
        table_close(&s.table);
        demo_failed(d, c, "search");
    } else {
        table_show(&s.table, &d->page);
        aside(&d->page, "%s packages, in order: found in %s, loaded as structs in %s",
              number(s.found).s, time_text(s.search).s, time_text(s.load).s);
    }
    newt_close(c);
    return !rc;
}

bool
demo_ask(struct demo *d)
{
    return ask_walk(d) && ask_search(d) && ask_sql(d);
}

const struct dialect demo_postgresql = {
    .find = "SELECT id, name FROM package WHERE name = $1 LIMIT 1",
    .largest = "SELECT name FROM package ORDER BY installed_size DESC LIMIT 1",
    .explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF)",
    .column = "QUERY PLAN",
    .scan = "Scan",
    .search = {.sql = "SELECT id FROM package JOIN package_search USING (id)\n"
                      " WHERE words @@ websearch_to_tsquery('english', $1) AND readers && "
                      "$2::text[]\n"
                      " ORDER BY ts_rank(words, websearch_to_tsquery('english', $1)) DESC, name "
                      "LIMIT 100",
               .params = {"compression library", "{everyone}"}},
    .look = "SELECT CASE WHEN (state->>'held')::boolean THEN 'yes' ELSE 'no' END AS held,\n"
            "       state->>'priority' AS priority, state->>'summary' AS summary\n"
            "  FROM newt WHERE zoid = $1::bigint",
    .reviewed = "SELECT name, priority, summary FROM package JOIN package_search USING (id)\n"
                " WHERE words @@ websearch_to_tsquery('english', $1)",
    .readable = {.sql = "SELECT id FROM package_search WHERE readers && $1::text[]",
                 .params = {"{group:kernel}"}},
    .held = {.index = "principals_idx",
             .sql = "SELECT s.name AS section, count(*) AS packages,\n"
                    "       count(*) FILTER (WHERE p.held) AS held\n"
                    "  FROM package p JOIN package_search USING (id) JOIN section s ON s.id = "
                    "p.section_id\n"
                    " WHERE readers && $1::text[] GROUP BY s.name ORDER BY 1",
             .params = {"{group:kernel}"}},
    .visible =
        "SELECT count(*) AS uploads FROM desk WHERE class_name = 'Upload' AND\n"
        " view = ANY (newt.principal_sets(current_schema(),\n"
        "                                 ARRAY(SELECT jsonb_array_elements_text($1::jsonb))))",
    .derived =
        "CALL newt.create_derived(current_schema(), 'desk', '{Folder,Upload}', '[\n"
        "  {\"name\": \"title\", \"value\": \"title\", \"type\": \"text\"},\n"
        "  {\"name\": \"maintainer\", \"value\": \"package->maintainer->name\", \"type\": "
        "\"text\"},\n"
        "  {\"name\": \"uploads\", \"count\": \"\", \"of\": \"Upload\", \"by\": \"within\"},\n"
        "  {\"name\": \"view\", \"access\": {\"entries\": \"access\", \"principal\": \"who\"}}]',\n"
        " 'within')",
    .index = make_indexes,
    .questions = questions,
    .n = sizeof questions / sizeof *questions,
};
