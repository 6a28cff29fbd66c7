-- views with typed columns, from the class registry
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.create_store('store_v');
INSERT INTO store_v.newt_class (name, version, fields) VALUES
    ('app.Task', 1, '[{"name": "title", "kind": "text"}, {"name": "old", "kind": "int", "bits": 32},
                      {"name": "points", "kind": "text"}]'),
    ('app.Task', 2, '[{"name": "title", "kind": "text"}, {"name": "state", "kind": "enum", "names": ["todo", "done"]},
                      {"name": "points", "kind": "uint", "bits": 8}, {"name": "size", "kind": "uint", "bits": 64},
                      {"name": "estimate", "kind": "int", "bits": 64}, {"name": "hours", "kind": "float", "bits": 64},
                      {"name": "price", "kind": "decimal"}, {"name": "due", "kind": "time"}, {"name": "born", "kind": "date"},
                      {"name": "took", "kind": "duration"}, {"name": "key", "kind": "uuid"}, {"name": "done", "kind": "bool"},
                      {"name": "owner", "kind": "ref", "class": "Person"}, {"name": "raw", "kind": "bytes"},
                      {"name": "any", "kind": "json"}, {"name": "tags", "kind": "text", "shape": "list"},
                      {"name": "home", "kind": "struct", "class": "Address", "fields": [{"name": "city", "kind": "text"}, {"name": "owner", "kind": "ref", "class": "Person"}]},
                      {"name": "secret", "kind": "text", "skip": true}, {"name": "id", "kind": "int", "bits": 32},
                      {"name": "::odd \"name''", "kind": "int", "bits": 32}]'),
    ('Team', 1, '[{"name": "staff", "kind": "ref", "shape": "list", "class": "Person"}, {"name": "readers", "kind": "ref", "shape": "set", "class": "Person"},
                  {"name": "rows", "kind": "struct", "shape": "list", "class": "Row", "fields": [
                      {"name": "what", "kind": "text"}, {"name": "item", "kind": "ref", "class": "Item"},
                      {"name": "sizes", "kind": "int", "shape": "list", "bits": 16}, {"name": "any_of", "kind": "ref", "shape": "list", "class": "Item"},
                      {"name": "parts", "kind": "struct", "shape": "list", "class": "Part", "fields": [{"name": "a", "kind": "text"}]}]},
                  {"name": "labels", "kind": "text", "shape": "map"}, {"name": "rooms", "kind": "ref", "shape": "map", "class": "Room"},
                  {"name": "points", "kind": "struct", "shape": "map", "class": "Point", "fields": [{"name": "x", "kind": "float", "bits": 64}]},
                  {"name": "days", "kind": "date", "shape": "pairs", "key": {"kind": "int", "bits": 16}}]'),
    ('Empty', 1, '[]');
\a\t
-- since PostgreSQL 17 json is a word that has quotes
SELECT replace(newt.create_view_sql('store_v', 'app.Task', 'task', 'reports'), 'newt."json"', 'newt.json');
SELECT replace(newt.create_view_sql('store_v', 'Team'), 'newt."json"', 'newt.json');
\a\t
SELECT newt.create_view('store_v', 'app.Task');
SELECT newt.create_view('store_v', 'Empty', 'Nothing "at all"');
CREATE SCHEMA reports;
SELECT newt.create_views('store_v', 'reports'), newt.create_views('store_v', 'reports') AS again;
SELECT * FROM newt.views('store_v');
INSERT INTO store_v.newt_projection VALUES
    (2001, 'app.Task', 5, '{"title": "First", "state": "todo", "points": 5, "size": 18446744073709551615, "estimate": -7,
        "hours": 1.5, "price": 12.50, "due": "2024-05-06T07:08:09.000010Z", "born": "1999-12-31", "took": 90000000,
        "key": "00112233-4455-6677-8899-aabbccddeeff", "done": true, "owner": {"::=>": 42}, "raw": {"::b64": "AAE="},
        "any": {"x": [1]}, "tags": ["a", "b"], "home": {"city": "Oslo", "owner": {"::=>": 43}}, "id": 3, ":::odd \"name''": 9}'),
    (2002, 'app.Task', 6, '{"title": {"::b64": "YQBi", "::text": "lossy"}, "points": "many", "old": 7, "hours": "NaN",
        "price": {"::num": "1E+999999"}, "due": {"::us": 253402300800000000}, "done": null, "raw": {"::bin": 1000}, "any": null, "tags": []}'),
    (2003, 'app.Task', 6, '{"title": 1, "points": [], "size": "x", "estimate": 1.5, "hours": {}, "price": "dear", "due": 5, "born": "soon",
        "took": "long", "key": "none", "done": "yes", "owner": 42, "tags": "a", "home": [], "raw": {"::b64": "?"}}'),
    (2004, 'Empty', 6, '{}'), (2005, 'Other', 7, '{}'),
    (2006, 'Team', 7, '{"staff": [{"::=>": 5}, null, {"::=>": 5}], "readers": [{"::=>": 7}, {"::=>": 6}, 1],
        "rows": [{"what": "x", "item": {"::=>": 9}, "sizes": [3, "y"], "any_of": [{"::=>": 1}], "parts": [{"a": "b"}]}, null],
        "labels": {"b": "two", "": "none", ":::c": "colons", "::": "Class"}, "rooms": {"r": {"::=>": 4}}, "points": {"p": {"x": 0.5}},
        "days": [{"k": 3, "v": "2024-05-06"}, {"k": -1, "v": null}]}'),
    (2007, 'Team', 7, '{"staff": {}, "rows": [], "labels": [], "days": 1}');
\x
SELECT * FROM store_v.app_task ORDER BY id;
\x
SELECT * FROM store_v."Nothing ""at all""";
TABLE reports.team;
TABLE reports.team_staff;
TABLE reports.team_readers;
TABLE reports.team_rows;
TABLE reports.team_labels;
TABLE reports.team_rooms;
TABLE reports.team_points;
TABLE reports.team_days;

-- what tools ask
SELECT table_name, column_name, data_type, udt_name FROM information_schema.columns WHERE table_schema = 'store_v' AND table_name = 'app_task' ORDER BY ordinal_position;
SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relnamespace = 'reports'::regnamespace AND c.relname LIKE 'team%' ORDER BY 1, a.attnum;
SELECT relname, obj_description(oid, 'pg_class'), reloptions FROM pg_class WHERE relnamespace = 'reports'::regnamespace ORDER BY relname COLLATE "C";
SELECT bool_or(is_insertable_into::boolean) AS insertable FROM information_schema.tables WHERE table_schema = 'reports' AND table_name NOT LIKE 'team_%';
SELECT pg_temp.error_of('UPDATE store_v.app_task SET points = 1');

-- plans: conditions and joins reach the indexes, columns are computed where they are read
CREATE INDEX task_title ON store_v.newt_projection (newt.string(state, 'title')) WHERE class_name = 'app.Task';
CREATE INDEX task_tags ON store_v.newt_projection USING gin (newt.string_array(state, 'tags')) WHERE class_name = 'app.Task';
CREATE INDEX task_owner ON store_v.newt_projection (newt.ref(state, 'owner')) WHERE class_name = 'app.Task';
INSERT INTO store_v.newt_projection
SELECT 10000 + i, CASE WHEN i % 10 = 0 THEN 'app.Task' ELSE 'Other' END, 8,
       jsonb_build_object('title', 'Task ' || i, 'owner', jsonb_build_object('::=>', i % 1000), 'tags', jsonb_build_array('tag' || i % 500), 'done', i % 100 = 0)
  FROM generate_series(1, 20000) i;
ANALYZE store_v.newt_projection;
SELECT pg_temp.plan_of('SELECT title FROM store_v.app_task WHERE id = 2001');
SELECT pg_temp.plan_of('SELECT id FROM store_v.app_task WHERE title = ''First''');
SELECT pg_temp.plan_of('SELECT id FROM store_v.app_task WHERE tags @> ''{tag10}''');
SELECT pg_temp.plan_of('SELECT id FROM reports.empty');
SELECT pg_temp.plan_of('SELECT t.title FROM generate_series(1, 2) g JOIN store_v.app_task t ON t.id = g');
-- what is rechecked of a join, PostgreSQL 17 says the other way round
SELECT regexp_replace(plan_of, '(Recheck Cond:).*', '\1 ...') AS plan_of
  FROM pg_temp.plan_of('SELECT t.title FROM unnest(''{1,2}''::bigint[]) g JOIN store_v.app_task t ON t.owner_id = g');
SELECT pg_temp.plan_of('SELECT what FROM reports.team_rows WHERE team_id = 2006');
EXPLAIN (VERBOSE, COSTS OFF) SELECT title FROM store_v.app_task ORDER BY points;
-- estimates by the statistics: one of the tasks, and some of them
CREATE FUNCTION pg_temp.estimate(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan->0->'Plan'->>'Plan Rows';
END
$$;
SELECT pg_temp.estimate('SELECT FROM store_v.app_task WHERE title = ''Task 10''') BETWEEN 1 AND 2 AS one,
       pg_temp.estimate('SELECT FROM store_v.app_task WHERE owner_id < 100') BETWEEN 100 AND 400 AS some;
SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = 'store_v.newt_projection'::regclass;
SELECT stxname, pg_get_statisticsobjdef_expressions(oid) FROM pg_statistic_ext WHERE stxrelid = 'store_v.newt_projection'::regclass AND stxname LIKE 'newt_home%' ORDER BY 1;
SELECT newt.prepare_views_sql('store_v', 'app.Task') IS NULL AS all_there;

-- a class changes: columns stay where they are, what is new comes last, also a child
CREATE VIEW store_v.titles AS SELECT title FROM store_v.app_task;
GRANT SELECT ON store_v.app_task TO PUBLIC;
INSERT INTO store_v.newt_class (name, version, fields) VALUES
    ('app.Task', 3, '[{"name": "first", "kind": "text"}, {"name": "title", "kind": "text"}, {"name": "watchers", "kind": "ref", "shape": "set"}]');
SELECT * FROM newt.refresh_views('store_v') WHERE relation LIKE '%task%';
SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'store_v.app_task'::regclass AND attnum > 0;
-- a column of another type: the view is made anew, with its rights
INSERT INTO store_v.newt_class (name, version, fields) VALUES
    ('app.Task', 4, '[{"name": "title", "kind": "int", "bits": 8}, {"name": "watchers", "kind": "text", "shape": "set"}]');
SELECT pg_temp.error_of('SELECT newt.refresh_views(''store_v'')');
DROP VIEW store_v.titles;
SELECT * FROM newt.refresh_views('store_v') WHERE relation LIKE '%task%';
SELECT pg_typeof(title), has_table_privilege('public', 'store_v.app_task', 'SELECT') FROM store_v.app_task LIMIT 1;
SELECT count(*) FROM newt.views('store_v') WHERE class_name = 'app.Task';

-- a typed table takes the place of the documents
CREATE TABLE reports.team_table (id bigint PRIMARY KEY);
CREATE DOMAIN reports.label AS text;
CREATE TABLE reports.team_table_labels (team_id bigint, value reports.label);
INSERT INTO store_v.newt_table (relation, class_name, parent, path, shape, filled, columns) VALUES ('reports.team_table', 'Team', NULL, '{}', NULL, true, '[]'),
    ('reports.team_table_labels', 'Team', 'reports.team_table', '{labels}', 'map', true, '[]');
INSERT INTO reports.team_table VALUES (7);
INSERT INTO reports.team_table_labels VALUES (7, 'b');
SELECT count(*) FROM newt.refresh_views('store_v');
TABLE reports.team;
TABLE reports.team_labels;
SELECT newt.view_query('store_v', 'Team', 'labels');
SELECT newt.class_table('store_v', 'Team'), newt.class_table('store_v', 'Team', '{labels}'), newt.class_table('store_v', 'Team', '{days}');
TABLE reports.team_days;

-- two classes of one name; a role that does not own the store
INSERT INTO store_v.newt_class (name, version, fields) VALUES ('team', 1, '[{"name": "size", "kind": "int", "bits": 8}]');
SELECT pg_temp.error_of('SELECT newt.create_views(''store_v'', ''reports'')');
SELECT newt.create_view('store_v', 'team', 'small_team', 'reports');
CREATE ROLE newt_view_reader;
SELECT newt.grant_store('store_v', 'newt_view_reader', 'reader');
GRANT SELECT ON store_v.newt_table TO newt_view_reader;
CREATE SCHEMA own AUTHORIZATION newt_view_reader;
DROP INDEX store_v.newt_projection_class;
SET ROLE newt_view_reader;
SELECT newt.create_view('store_v', 'Empty', NULL, 'own');
TABLE own.empty;
SELECT what, count(*) FROM newt.refresh_views('store_v') GROUP BY 1 ORDER BY 1;
RESET ROLE;
SELECT newt.prepare_views_sql('store_v', 'Empty');

SELECT pg_temp.error_of('SELECT newt.create_view(''store_v'', ''Missing'')');
SELECT pg_temp.error_of('SELECT newt.create_view(''store_v'', ''Empty'', NULL, ''reports'')');
SELECT pg_temp.error_of('SELECT newt.create_view(''no_store'', ''app.Task'')');
SELECT newt.uuid('"00112233-4455-6677-8899-AABBCCDDEEFF"') IS NULL AND newt.uuid('"0011223344556677-8899-aabbccddeeff--"') IS NULL
   AND newt.uuid('"00112233-4455-6677-8899-aabbccddeef"') IS NULL AND newt.uuid('1') IS NULL AND newt.uuid(NULL) IS NULL AS no_uuid;

SET client_min_messages = warning;
DROP SCHEMA own, reports, store_v CASCADE;
DROP ROLE newt_view_reader;
