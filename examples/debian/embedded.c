/*
 * embedded.c - how the objects are asked in a file of SQLite's
 */
#include "demo.h"

#include <stdio.h>

/* The oid of a reference in JSON. */
#define REF(json) json "->>'$.\"::=>\"'"

static const struct {
    const char *name, *purpose, *what;
    unsigned flags;
} indexes[] = {
    {"package_words", "full text", "name, summary, description", NEWT_INDEX_TEXT},
    {"package_name", "names", "state->>'name'", 0},
    {"package_section", "sections", REF("state->'section'"), 0},
};

static bool
make_indexes(struct demo *d)
{
    struct table table;

    heading(&d->page, "Indexes, for SQL");
    say(&d->page, "None is made unasked. Each commit keeps them right:\n\n");
    table_open(&table, "llrl", "index", "for", "time", "over");
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        double started = now();

        if (newt_index_create(d->c, indexes[i].name, "Package", indexes[i].what,
                              indexes[i].flags)) {
            table_close(&table);
            return demo_failed(d, d->c, "index");
        }
        table_row(&table, indexes[i].name, indexes[i].purpose, time_text(now() - started).s,
                  indexes[i].what);
    }
    table_show(&table, &d->page);
    return true;
}

#define READABLE(groups)                                                                           \
    "EXISTS (SELECT 1 FROM json_each(p.state->'acl') WHERE value IN (" groups "))"

static const struct question questions[] = {
    {"SQL: full-text search",
     "package_words",
     "SELECT p.state->>'name' AS name, p.state->>'priority' AS priority,\n"
     "       p.state->>'summary' AS summary\n"
     "  FROM package_words($1) w JOIN newt p ON p.zoid = w.rowid\n"
     " ORDER BY w.rank LIMIT 6",
     {"text editor NOT java"}},
    {"SQL: who may see what",
     NULL,
     "SELECT s.state->>'name' AS section, count(*) AS packages,\n"
     "       sum(p.state->>'size') AS download\n"
     "  FROM newt p JOIN newt s ON s.zoid = " REF(
         "p.state->'section'") "\n"
                               " WHERE p.class_name = 'Package'\n"
                               "   AND " READABLE("$1, $2") "\n"
                                                            " GROUP BY 1 ORDER BY 2 DESC, 1",
     {"group:dba", "group:kernel"}},
    {"SQL: what depends on it",
     "package_name",
     "SELECT p.state->>'name' AS name, p.state->>'priority' AS priority,\n"
     "       p.state->>'installed_size' AS bytes, count(*) OVER () AS \"in all\"\n"
     "  FROM newt p\n"
     " WHERE p.class_name = 'Package' AND EXISTS (\n"
     "       SELECT 1 FROM json_each(p.state->'relations') r, json_each(r.value->'any_of') a\n"
     "        WHERE r.value->>'kind' = 'depends' AND " REF(
         "a.value") " =\n"
                    "              (SELECT zoid FROM newt WHERE class_name = 'Package' AND "
                    "state->>'name' = $1))\n"
                    " ORDER BY bytes DESC, name LIMIT 6",
     {"?"}},
    {"SQL: a report over everything, sizes by section",
     NULL,
     "SELECT s.state->>'name' AS section, count(*) AS packages,\n"
     "       sum(p.state->>'size') AS download, sum(p.state->>'installed_size') AS unpacked\n"
     "  FROM newt p JOIN newt s ON s.zoid = " REF(
         "p.state->'section'") "\n"
                               " WHERE p.class_name = 'Package'\n"
                               " GROUP BY 1 ORDER BY download DESC LIMIT 6",
     {NULL}},
    {"SQL: the maintainers of most packages",
     NULL,
     "SELECT m.state->>'name' AS name, m.state->>'email' AS email, count(*) AS packages\n"
     "  FROM newt p JOIN newt m ON m.zoid = " REF(
         "p.state->'maintainer'") "\n"
                                  " WHERE p.class_name = 'Package'\n"
                                  " GROUP BY m.zoid ORDER BY 3 DESC LIMIT 6",
     {NULL}},
};

/* nothing is kept: all is walked up for each question */
static const char visible[] =
    "WITH RECURSIVE up (upload, object, depth) AS (\n"
    "    SELECT zoid, zoid, 0 FROM newt WHERE class_name = 'Upload'\n"
    "    UNION ALL\n"
    "    SELECT u.upload, o.state->'within'->>'$.\"::=>\"', u.depth + 1\n"
    "      FROM up u JOIN newt o ON o.zoid = u.object WHERE u.depth < 100\n"
    ")\n"
    "SELECT count(*) AS uploads FROM (\n"
    "    SELECT r.value->>'effect' AS effect,\n"
    "           row_number() OVER (PARTITION BY u.upload\n"
    "                              ORDER BY u.depth, r.value->>'effect' DESC) AS n\n"
    "      FROM up u JOIN newt o ON o.zoid = u.object, json_each(o.state->'access') r\n"
    "     WHERE r.value->>'who' IN (SELECT value FROM json_each($1)))\n"
    " WHERE n = 1 AND effect = 'allow'";

const struct dialect demo_sqlite = {
    .find = "SELECT zoid, state->>'name' AS name FROM newt\n"
            " WHERE class_name = 'Package' AND state->>'name' = $1 LIMIT 1",
    .largest = "SELECT state->>'name' AS name FROM newt WHERE class_name = 'Package'\n"
               " ORDER BY state->>'installed_size' DESC LIMIT 1",
    .explain = "EXPLAIN QUERY PLAN",
    .column = "detail",
    .scan = "S", /* SEARCH, SCAN */
    .search = {.sql = "SELECT w.rowid FROM package_words($1) w JOIN newt p ON p.zoid = w.rowid\n"
                      " WHERE " READABLE("$2") "\n"
                                               " ORDER BY w.rank LIMIT 100",
               .params = {"compression library", "everyone"}},
    .look = "SELECT CASE WHEN state->>'held' THEN 'yes' ELSE 'no' END AS held,\n"
            "       state->>'priority' AS priority, state->>'summary' AS summary\n"
            "  FROM newt WHERE zoid = $1",
    .reviewed = "SELECT p.state->>'name' AS name, p.state->>'priority' AS priority,\n"
                "       p.state->>'summary' AS summary\n"
                "  FROM package_words('\"' || replace($1, ' ', '\" \"') || '\"') w\n"
                "  JOIN newt p ON p.zoid = w.rowid",
    .readable = {.sql = "SELECT zoid FROM newt p WHERE class_name = 'Package' AND " READABLE("$1"),
                 .params = {"group:kernel"}},
    .held = {.sql = "SELECT s.state->>'name' AS section, count(*) AS packages,\n"
                    "       count(*) FILTER (WHERE p.state->>'held') AS held\n"
                    "  FROM newt p JOIN newt s ON s.zoid = " REF(
                        "p.state->'section'") "\n"
                                              " WHERE p.class_name = 'Package' AND " READABLE(
                                                  "$1") "\n"
                                                        " GROUP BY 1 ORDER BY 1",
             .params = {"group:kernel"}},
    .visible = visible,
    .index = make_indexes,
    .questions = questions,
    .n = sizeof questions / sizeof *questions,
};
