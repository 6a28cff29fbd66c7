-- classes without stored rows: the view computes them from the records
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.create_store('store_p');
CREATE FUNCTION pg_temp.text_item(s text) RETURNS bytea LANGUAGE sql AS
    $$SELECT decode(to_hex(96 + octet_length(s)), 'hex') || convert_to(s, 'UTF8')$$;
-- records {"acl": ["group..."], "title": "... number..."} of two classes, as many of each
INSERT INTO store_p.object_state (zoid, serial, state)
SELECT 2000 + i, i, '\x83'::bytea || pg_temp.text_item(CASE i % 2 WHEN 0 THEN 'Task' ELSE 'Note' END) || '\x01a2'::bytea || pg_temp.text_item('acl')
       || '\x81'::bytea || pg_temp.text_item('group' || i % 500) || pg_temp.text_item('title') || pg_temp.text_item('Number' || i)
FROM generate_series(1, 3000) i;
-- one that is hidden: it has no row
INSERT INTO store_p.object_state VALUES (9001, 1, '\x83645461736bd99603a0'::bytea), (9002, 1, '\x83645461736b01d99603a0');
DELETE FROM store_p.object_state WHERE newt.try_to_jsonb(state) IS NULL AND zoid = 9001;
INSERT INTO store_p.newt_projection SELECT zoid, newt.class_name(state), serial, newt.to_jsonb(state) FROM store_p.object_state
 WHERE zoid > 1 AND newt.to_jsonb(state) IS NOT NULL;
INSERT INTO store_p.newt_class (name, version, fields, projection) VALUES
    ('Task', 1, '[{"name": "title", "kind": "text"}]', NULL), ('Task', 2, '[{"name": "title", "kind": "text"}]', 'async'),
    ('Note', 1, '[{"name": "title", "kind": "text"}]', NULL), ('Own', 1, '[]', 'client');
-- what is as it was before
CREATE TABLE store_p.before AS SELECT * FROM store_p.newt;
CREATE FUNCTION pg_temp.differ() RETURNS SETOF store_p.before LANGUAGE sql AS
    $$(TABLE store_p.before EXCEPT TABLE store_p.newt) UNION ALL (TABLE store_p.newt EXCEPT TABLE store_p.before)$$;
CREATE ROLE regress_newt_viewer;
SELECT newt.grant_store('store_p', 'regress_newt_viewer', 'reader');
SELECT newt.create_view('store_p', 'Task');
-- without the filters: a later server knows that a column is never null
CREATE FUNCTION pg_temp.nodes_of(statement text) RETURNS SETOF text LANGUAGE sql AS
    $$SELECT p FROM pg_temp.plan_of(statement) p WHERE p !~ '^ *(Filter|Recheck Cond)'$$;
ANALYZE;

-- nothing is virtual: the plans are those of the table
SELECT newt.projection_of('store_p'), newt.projection_of('store_p', 'Task'), newt.projection_of('store_p', 'Note'),
       newt.projection_of('store_p', 'Own'), newt.projection_of('store_p', 'Unknown');
SELECT newt.projection_view_sql('store_p');
\set one 'SELECT * FROM store_p.newt WHERE zoid = 2001'
\set join 'SELECT * FROM store_p.newt a JOIN store_p.newt b ON b.zoid = newt.ref(a.state->''x'') WHERE a.zoid = 2001'
\set words 'SELECT zoid FROM store_p.newt WHERE class_name = ''Task'' AND newt.tsvector(''english'', state, ''title:A'') @@ ''number1234:A'''
\set acl 'SELECT zoid FROM store_p.newt WHERE newt.principals(state, ''acl'') @> ARRAY[''group77''] ORDER BY zoid'
\set task_acl 'SELECT zoid FROM store_p.newt WHERE class_name = ''Task'' AND newt.principals(state, ''acl'') @> ARRAY[''group78''] ORDER BY zoid'
SELECT pg_temp.nodes_of(:'one');
SELECT pg_temp.nodes_of(:'join');
CREATE INDEX ON store_p.newt_projection USING gin (newt.tsvector('english', state, 'title:A')) WHERE class_name = 'Task';
SELECT pg_temp.nodes_of(:'words');
SELECT newt.set_projection('store_p', NULL, 'async');
SELECT newt.set_projection('store_p', NULL, 'inline');
SELECT newt.set_projection('store_p', 'Task', 'inline');
SELECT pg_temp.nodes_of(:'one');
SELECT pg_temp.nodes_of(:'words');

-- one class is: its rows go, the view has them still
SELECT newt.set_projection('store_p', 'Task', 'virtual');
SELECT name, version, projection FROM store_p.newt_class ORDER BY 1, 2;
SELECT newt.projection_view_sql('store_p');
SELECT class_name, count(*) FROM store_p.newt_projection GROUP BY 1 ORDER BY 1;
SELECT class_name, count(*) FROM store_p.newt GROUP BY 1 ORDER BY 1;
SELECT pg_temp.differ();
SELECT count(*) FROM store_p.task;
SELECT newt.create_text_index_sql('store_p', 'Task', 'english', 'title:A'), newt.create_text_index_sql('store_p', 'Note', 'english', '100%');
SELECT newt.create_principals_index_sql('store_p', 'Task', 'acl'), newt.create_principals_index_sql('store_p', NULL, 'acl', 'a%s');
SELECT newt.create_text_index('store_p', 'Task', 'english', 'title:A');
SELECT newt.create_principals_index('store_p', 'Task', 'acl');
SELECT newt.create_principals_index('store_p', NULL, 'acl');
ANALYZE;
SELECT pg_temp.nodes_of(:'one');
SELECT pg_temp.nodes_of(:'join');
SELECT pg_temp.nodes_of(:'words');
:words;
SELECT pg_temp.nodes_of(:'task_acl');
:task_acl;
SELECT pg_temp.nodes_of(:'acl');
:acl;
SELECT pg_temp.nodes_of('SELECT id FROM store_p.task WHERE id = 2002');
SELECT title FROM store_p.task WHERE id = 2002;
SELECT pg_temp.nodes_of('SELECT zoid FROM store_p.newt WHERE class_name = ''Note'' AND zoid = 2003');
-- rights, comment, trigger and options are the view's still
SET ROLE regress_newt_viewer;
SELECT count(*) FROM store_p.newt;
SELECT count(*) FROM store_p.task;
RESET ROLE;
SELECT pg_temp.error_of('DELETE FROM store_p.newt');
SELECT reloptions, obj_description(oid) FROM pg_class WHERE oid = 'store_p.newt'::regclass;

-- the store is, but for one class
SELECT newt.set_projection('store_p', NULL, 'virtual');
SELECT newt.set_projection('store_p', 'Note', 'async');
SELECT newt.projection_split('store_p');
SELECT newt.projection_view_sql('store_p');
SELECT pg_temp.nodes_of(:'words');
SELECT pg_temp.nodes_of('SELECT zoid FROM store_p.newt WHERE class_name = ''Note'' AND zoid = 2003');
INSERT INTO store_p.newt_projection SELECT * FROM store_p.before WHERE class_name = 'Note'; -- as the updater does
SELECT pg_temp.differ();
-- all is
DELETE FROM store_p.newt_class WHERE name = 'Own';
SELECT newt.set_projection('store_p', 'Note', NULL);
SELECT newt.projection_view_sql('store_p');
SELECT count(*) FROM store_p.newt_projection;
SELECT pg_temp.differ();
SELECT newt.create_principals_index_sql('store_p', NULL, 'readers');
SELECT pg_temp.error_of('SELECT newt.create_principals_index(''store_p'', NULL, ''acl'')');
SELECT pg_temp.nodes_of(:'one');
SELECT pg_temp.nodes_of(:'join');
SELECT pg_temp.nodes_of(:'words');
SELECT pg_temp.nodes_of(:'acl');
:acl;
-- damaged records have no row, and are in nobody's way
BEGIN;
INSERT INTO store_p.object_state VALUES (9003, 1, '\x83645461736b01a1');
SELECT pg_temp.differ();
SELECT count(*) FROM store_p.newt WHERE class_name = 'Task';
SELECT pg_temp.error_of('INSERT INTO store_p.object_state VALUES (9004, 1, ''no record'')');
ROLLBACK;
BEGIN;
DROP INDEX store_p.task_text_idx, store_p.task_principals_idx;
INSERT INTO store_p.object_state VALUES (9004, 1, 'no record');
SELECT pg_temp.differ();
SELECT pg_temp.error_of('SELECT count(*) FROM store_p.newt WHERE class_name = ''Task''');
SELECT pg_temp.error_of('SELECT newt.create_text_index(''store_p'', ''Task'', ''english'')');
SELECT newt.create_text_index('store_p', NULL, 'english');
ROLLBACK;
-- no object is lost without the extension, and the view is made again with it
BEGIN;
SELECT split_part(pg_temp.error_of('DROP EXTENSION newt'), ' | ', 2);
SET LOCAL client_min_messages = warning;
DROP EXTENSION newt CASCADE;
SELECT to_regclass('store_p.newt') AS view, (SELECT count(*) FROM store_p.object_state) AS objects;
CREATE EXTENSION newt;
SELECT newt.set_projection('store_p', NULL, 'virtual');
SELECT pg_temp.differ();
SELECT pg_temp.error_of('DELETE FROM store_p.newt');
SELECT reloptions, obj_description(oid) FROM pg_class WHERE oid = 'store_p.newt'::regclass;
ROLLBACK;
-- and back
SELECT newt.set_projection('store_p', 'Task', NULL);
SELECT newt.set_projection('store_p', NULL, 'inline');
SELECT newt.projection_view_sql('store_p');
SELECT count(*) FROM store_p.newt;

-- many rows are left to the updater
INSERT INTO store_p.newt_projection SELECT 20000 + i, 'Task', 1, jsonb_build_object('a', repeat(md5(i::text), 30)) FROM generate_series(1, 10000) i;
SELECT newt.set_projection('store_p', 'Task', 'virtual');
SELECT newt.set_projection('store_p', 'Task', 'virtual');
SELECT count(*) FROM store_p.newt_projection;
SELECT count(*) FROM store_p.newt WHERE class_name = 'Task';

-- what is refused, and how
INSERT INTO store_p.newt_class (name, version, fields, projection) VALUES ('Own', 1, '[]', NULL), ('Own', 2, '[]', 'client');
SELECT pg_temp.error_of('SELECT newt.set_projection(''store_p'', ''Own'', ''virtual'')');
SELECT pg_temp.error_of('SELECT newt.set_projection(''store_p'', ''None'', ''virtual'')');
SELECT pg_temp.error_of('SELECT newt.set_projection(''store_p'', ''Task'', ''client'')');
SELECT pg_temp.error_of('SELECT newt.set_projection(''store_p'', NULL, ''sometimes'')');
SELECT pg_temp.error_of('SELECT newt.set_projection(''store_p'', NULL, NULL)');
SELECT pg_temp.error_of('SELECT newt.set_projection(''no_store'', NULL, ''inline'')');
SELECT pg_temp.error_of('SELECT newt.projection_of(''no_store'')');
SELECT pg_temp.error_of('SELECT newt.projection_view_sql(''no_store'')');
SET ROLE regress_newt_viewer;
SELECT pg_temp.error_of('SELECT newt.set_projection(''store_p'', ''Note'', ''virtual'')');
RESET ROLE;

-- names of any kind
SELECT newt.create_store(E'a"b''\\ %1$s %');
INSERT INTO "a""b'\ %1$s %".newt_class VALUES (E'C"''\\%2$L,{}', 1, '[]'), ('Plain', 1, '[]');
SELECT newt.set_projection(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}', 'virtual');
SELECT newt.projection_view_sql(E'a"b''\\ %1$s %');
SELECT newt.create_text_index_sql(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}', 'simple', E'p%s\\\\q'':A');
SELECT newt.create_text_index(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}', 'simple', E'p%s\\\\q'':A');
SELECT newt.create_view(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}');
SELECT newt.set_projection(E'a"b''\\ %1$s %', NULL, 'virtual');
SELECT zoid, class_name, state FROM "a""b'\ %1$s %".newt;

SET client_min_messages = warning;
SELECT newt.revoke_store('store_p', 'regress_newt_viewer');
DROP SCHEMA store_p, "a""b'\ %1$s %" CASCADE;
DROP ROLE regress_newt_viewer;
