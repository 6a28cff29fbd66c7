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
                      {"name": "home", "kind": "struct", "class": "Address", "fields": [{"name": "city", "kind": "text"}]},
                      {"name": "secret", "kind": "text", "skip": true}, {"name": "zoid", "kind": "int", "bits": 32},
                      {"name": "::odd \"name''", "kind": "int", "bits": 32}]'),
    ('Empty', 1, '[]');
SELECT newt.create_view_sql('store_v', 'app.Task');
SELECT newt.create_view('store_v', 'app.Task');
SELECT newt.create_view('store_v', 'Empty', 'Nothing "at all"');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'store_v.app_task'::regclass AND attnum > 0 ORDER BY attnum;
INSERT INTO store_v.newt_projection VALUES
    (2001, 'app.Task', 5, '{"title": "First", "state": "todo", "points": 5, "size": 18446744073709551615, "estimate": -7,
        "hours": 1.5, "price": 12.50, "due": "2024-05-06T07:08:09.000010Z", "born": "1999-12-31", "took": 90000000,
        "key": "00112233-4455-6677-8899-aabbccddeeff", "done": true, "owner": {"::=>": 42}, "raw": {"::b64": "AAE="},
        "any": {"x": [1]}, "tags": ["a", "b"], "home": {"city": "Oslo"}, "zoid": 3, ":::odd \"name''": 9}'),
    (2002, 'app.Task', 6, '{"title": {"::b64": "YQBi", "::text": "lossy"}, "points": "many", "old": 7, "hours": "NaN",
        "price": {"::num": "1E+999999"}, "due": {"::us": 253402300800000000}, "done": null}'),
    (2003, 'app.Task', 6, '{"title": 1, "points": [], "size": "x", "estimate": 1.5, "hours": {}, "price": "dear", "due": 5, "born": "soon",
        "took": "long", "key": "none", "done": "yes", "owner": 42}'),
    (2004, 'Empty', 6, '{}'), (2005, 'Other', 7, '{}');
\x
SELECT * FROM store_v.app_task ORDER BY zoid;
\x
SELECT * FROM store_v."Nothing ""at all""";
SELECT pg_temp.plan_of('SELECT title FROM store_v.app_task WHERE zoid = 2001');
SELECT pg_temp.error_of('SELECT newt.create_view(''store_v'', ''Missing'')');
SELECT pg_temp.error_of('SELECT newt.create_view(''store_v'', ''app.Task'')');
SELECT pg_temp.error_of('SELECT newt.create_view(''no_store'', ''app.Task'')');
SELECT newt.uuid('"00112233-4455-6677-8899-AABBCCDDEEFF"') IS NULL AND newt.uuid('"0011223344556677-8899-aabbccddeeff--"') IS NULL
   AND newt.uuid('"00112233-4455-6677-8899-aabbccddeef"') IS NULL AND newt.uuid('1') IS NULL AND newt.uuid(NULL) IS NULL AS no_uuid;

SET client_min_messages = warning;
DROP SCHEMA store_v CASCADE;
