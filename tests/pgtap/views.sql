-- What tools and other roles see of typed views.
BEGIN;
CREATE EXTENSION newt;
SELECT newt.create_store('v');
INSERT INTO v.newt_class (name, version, fields) VALUES
    ('Task', 1, '[{"name": "title", "kind": "text"}, {"name": "points", "kind": "int", "bits": 32}, {"name": "due", "kind": "time"},
                  {"name": "price", "kind": "decimal"}, {"name": "state", "kind": "enum", "names": ["todo", "done"]},
                  {"name": "owner", "kind": "ref", "class": "Person"}, {"name": "tags", "kind": "text", "shape": "set"},
                  {"name": "watchers", "kind": "ref", "shape": "list", "class": "Person"}]'),
    ('Person', 1, '[{"name": "name", "kind": "text"}]');
INSERT INTO v.newt_projection VALUES (2001, 'Task', 1, '{"title": "First", "points": 3, "owner": {"::=>": 2002}, "tags": ["a"], "watchers": [{"::=>": 2002}]}'),
    (2002, 'Person', 1, '{"name": "Ada"}');
CREATE SCHEMA reports;
SELECT plan(37);
SELECT is(newt.create_views('v', 'reports'), 2, 'views of all classes');
SELECT is(newt.create_views('v', 'reports'), 0, 'made once');
SELECT views_are('reports', ARRAY['person', 'task', 'task_watchers'], 'a class, and its list');
SELECT columns_are('reports', 'task', ARRAY['id', 'title', 'points', 'due', 'price', 'state', 'owner_id', 'tags'], 'columns of a class');
SELECT columns_are('reports', 'task_watchers', ARRAY['task_id', 'n', 'watchers_id'], 'of a list');
SELECT results_eq('SELECT t.title, p.name, t.tags FROM reports.task t JOIN reports.person p ON p.id = t.owner_id', $$VALUES ('First', 'Ada', '{a}'::text[])$$, 'joined along a reference');
SELECT results_eq('SELECT t.title, w.n, p.name FROM reports.task t JOIN reports.task_watchers w ON w.task_id = t.id JOIN reports.person p ON p.id = w.watchers_id',
                  $$VALUES ('First', 1, 'Ada')$$, 'and along a list');

-- information_schema, as Metabase and notebooks ask it
SELECT is(string_agg(concat_ws(' ', column_name, data_type, is_nullable), ', ' ORDER BY ordinal_position),
          'id bigint YES, title text YES, points bigint YES, due timestamp with time zone YES, price numeric YES, state text YES, owner_id bigint YES, tags ARRAY YES',
          'information_schema.columns: the types are proper ones')
  FROM information_schema.columns WHERE table_schema = 'reports' AND table_name = 'task';
SELECT is(string_agg(concat_ws(' ', table_name, table_type, is_insertable_into), ', ' ORDER BY table_name), 'person VIEW NO, task VIEW NO', 'information_schema.tables: views, read-only')
  FROM information_schema.tables WHERE table_schema = 'reports' AND table_name IN ('task', 'person');
SELECT is(string_agg(DISTINCT concat_ws('.', table_schema, table_name), ', '), 'v.newt_projection', 'information_schema.view_table_usage: what it reads')
  FROM information_schema.view_table_usage WHERE view_schema = 'reports' AND view_name = 'task';
-- pg_catalog, as the JDBC driver's getColumns and the ODBC driver's SQLColumns ask it
SELECT is(string_agg(concat_ws(' ', a.attname, t.typname, a.attnotnull, '(' || d.description || ')'), ', ' ORDER BY a.attnum),
          'task_id int8 f (id of the object of class Task), n int4 f (place of the item, from 1), watchers_id int8 f (watchers: reference to Person)',
          'pg_attribute: names, types and comments')
  FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum AND d.classoid = 'pg_class'::regclass
 WHERE c.relkind IN ('r', 'p', 'v', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname = 'reports' AND c.relname = 'task_watchers';
SELECT is(string_agg(obj_description(c.oid, 'pg_class'), E'\n' ORDER BY c.relname COLLATE "C"),
          E'objects of class Person, made by newt.create_view(''v'', ''Person'')\nobjects of class Task, made by newt.create_view(''v'', ''Task'')\nlist watchers of objects of class Task, made by newt.create_view(''v'', ''Task''): watchers',
          'every view has a comment')
  FROM pg_class c WHERE c.relnamespace = 'reports'::regnamespace;
SELECT is_empty($$SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'reports'::regnamespace
                   AND col_description(c.oid, a.attnum) IS NULL$$, 'every column too');
-- ODBC's SQLForeignKeys and SQLPrimaryKeys: a view has none; the comment of a reference names its class
SELECT is_empty($$SELECT FROM information_schema.table_constraints WHERE table_schema = 'reports'$$, 'no keys');
SELECT is(col_description('reports.task'::regclass, 7), 'owner: reference to Person', 'a reference names its class in its comment');
SELECT is(col_description('reports.task'::regclass, 6), 'state: enum (todo, done)', 'an enum its names');

-- rights
CREATE ROLE newt_view_reader;
CREATE ROLE newt_test_other;
SELECT newt.grant_store('v', 'newt_view_reader', 'reader');
GRANT USAGE ON SCHEMA reports TO newt_view_reader, newt_test_other;
GRANT USAGE ON SCHEMA v TO newt_test_other;
GRANT SELECT ON ALL TABLES IN SCHEMA reports TO newt_view_reader, newt_test_other;
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'reports'::regnamespace AND reloptions IS DISTINCT FROM '{security_invoker=true}'$$, 'all read with the reader''s rights');
SET ROLE newt_view_reader;
SELECT is(count(*), 1::bigint, 'a reader of the store reads them') FROM reports.task;
SELECT is(count(*), 1::bigint, 'children, too') FROM reports.task_watchers;
SELECT throws_ok('UPDATE reports.task SET points = 4', '55000', NULL, 'nobody writes');
SELECT is(newt.prepare_views_sql('v', 'Task'), NULL, 'the index and the statistics are there');
SELECT bag_eq('SELECT what FROM newt.refresh_views(''v'')', ARRAY['left: it belongs to another role', 'left: it belongs to another role', 'left: it belongs to another role'], 'another role''s views are left alone');
RESET ROLE;
SET ROLE newt_test_other;
SELECT throws_ok('SELECT * FROM reports.task', '42501', 'permission denied for table newt_projection', 'rights on a view alone let nobody read');
RESET ROLE;

-- row security holds: accessors are leakproof, and no function of a stranger's sees a hidden row
ALTER TABLE v.newt_projection ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON v.newt_projection FOR SELECT TO newt_view_reader USING (newt.int8(state, 'points') > 5);
SET ROLE newt_view_reader;
SELECT is(count(*), 0::bigint, 'row security holds in views') FROM reports.task;
CREATE FUNCTION pg_temp.tells(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE EXCEPTION 'seen: %', t; END $$;
SELECT lives_ok('SELECT FROM reports.task WHERE pg_temp.tells(title)', 'a function that tells sees no hidden row');
RESET ROLE;
DROP POLICY p ON v.newt_projection;
ALTER TABLE v.newt_projection DISABLE ROW LEVEL SECURITY;

-- a virtual class
SELECT lives_ok($$SELECT newt.set_projection('v', 'Task', 'virtual')$$, 'a class becomes virtual');
INSERT INTO v.object_state VALUES (3001, 1, decode('83645461736b01a1657469746c6563546f70', 'hex')), (3002, 1, decode('83645461736b01ff', 'hex'));
SELECT results_eq('SELECT id, title FROM reports.task', $$VALUES (3001::bigint, 'Top')$$, 'its views read the records, and no damaged one');
SELECT is(newt.create_views('v'), 2, 'also where the views are in the store''s schema');
SELECT lives_ok($$SELECT newt.set_projection('v', 'Task', 'inline')$$, 'and back');

-- references to other stores
INSERT INTO v.newt_class (name, version, fields) VALUES
    ('Purchase', 1, '[{"name": "customer", "kind": "store_ref"}, {"name": "others", "kind": "store_ref", "shape": "list"}]');
INSERT INTO v.newt_projection VALUES (4001, 'Purchase', 1, '{"customer": {"::tag": 38401, "::v": ["people", 12]}, "others": [{"::tag": 38401, "::v": ["people", 13]}]}');
SELECT lives_ok($$SELECT newt.create_view('v', 'Purchase', schema_name => 'reports')$$, 'a class with references to other stores');
SELECT columns_are('reports', 'purchase', ARRAY['id', 'customer', 'others'], 'has them as columns');
SELECT results_eq($$SELECT customer #>> '{::v,0}', (customer #>> '{::v,1}')::bigint, (others #>> '{0,::v,1}')::bigint FROM reports.purchase$$,
                  $$VALUES ('people', 12::bigint, 13::bigint)$$, 'whose store and oid are found');

-- weak references
INSERT INTO v.newt_class (name, version, fields) VALUES
    ('Guest', 1, '[{"name": "host", "kind": "ref"}, {"name": "friends", "kind": "weak", "shape": "list"}, {"name": "named", "kind": "weak", "shape": "map"},
                   {"name": "between", "kind": "weak", "shape": "pairs", "key": {"kind": "weak"}}]'),
    ('Guest', 2, '[{"name": "host", "kind": "weak"}, {"name": "friends", "kind": "weak", "shape": "list"}, {"name": "named", "kind": "weak", "shape": "map"},
                   {"name": "between", "kind": "weak", "shape": "pairs", "key": {"kind": "weak"}}]');
INSERT INTO v.newt_projection VALUES (5001, 'Guest', 1, '{"host": {"::=>": 7}}'),
    (5002, 'Guest', 1, '{"host": {"::~>": 8}, "friends": [{"::~>": 9}, {"::~>": 10}], "named": {"k": {"::~>": 11}}, "between": [{"k": {"::~>": 12}, "v": {"::~>": 13}}]}');
SELECT lives_ok($$SELECT newt.create_view('v', 'Guest', schema_name => 'reports')$$, 'a class with weak references');
SELECT is(col_description('reports.guest'::regclass, 2), 'host: weak reference', 'which their comments tell');
SELECT results_eq('SELECT id, host_id FROM reports.guest ORDER BY id', $$VALUES (5001::bigint, 7::bigint), (5002, 8)$$, 'the column is that of a reference, also where it was one');
SELECT results_eq('SELECT n, friends_id FROM reports.guest_friends ORDER BY n', $$VALUES (1, 9::bigint), (2, 10)$$, 'a list is a child');
SELECT results_eq('SELECT m.key, m.value_id, b.key, b.value_id FROM reports.guest_named m, reports.guest_between b', $$VALUES ('k', 11::bigint, 12::bigint, 13::bigint)$$,
                  'so are maps');
SELECT * FROM finish();
ROLLBACK;
