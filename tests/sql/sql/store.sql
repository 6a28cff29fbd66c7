-- stores: made on request, several in a database, owned by the caller and not by the extension
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.store_version('store_a') IS NULL AS none;
SELECT newt.create_store('store_a');
SELECT newt.create_store('Store "B"');
SELECT newt.store_version('store_a'), newt.store_version('Store "B"');
SELECT count(*) AS tables FROM pg_class WHERE relnamespace = 'store_a'::regnamespace AND relkind = 'r';
-- in a schema that exists
CREATE SCHEMA store_c;
SELECT newt.create_store('store_c');
-- the root is there, and its projection is that of its record
SELECT o.zoid, o.serial, newt.class_name(o.state) = p.class_name AS class, newt.to_jsonb(o.state) = p.state AS state, p.state
FROM store_a.object_state o JOIN store_a.newt p USING (zoid, serial);
SELECT oid_block, serial_block, projection FROM store_a.newt_store;

-- what is refused, and how
SELECT pg_temp.error_of('SELECT newt.create_store(''store_a'')');
SELECT pg_temp.error_of('SELECT newt.create_store(''newt'')');
SELECT pg_temp.error_of('SELECT newt.create_store('''')');
SELECT pg_temp.error_of('SELECT newt.create_store(NULL)');
SELECT pg_temp.error_of(format('SELECT newt.create_store(%L)', repeat('x', 64)));
SELECT pg_temp.error_of('SELECT newt.create_store(''pg_store'')');
SELECT pg_temp.error_of('SELECT newt.create_store(''information_schema'')');
-- nothing is left of a store that could not be made
CREATE SCHEMA store_d;
CREATE TABLE store_d.newt_class ();
SELECT pg_temp.error_of('SELECT newt.create_store(''store_d'')');
SELECT relname FROM pg_class WHERE relnamespace = 'store_d'::regnamespace;

-- the settings of a session do not matter
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET search_path = 'Store "B"';
SET default_transaction_isolation = 'serializable';
SELECT newt.create_store('store_e');
RESET ALL;
SET timezone = 'UTC';
SELECT state FROM store_e.object_state;

-- people read the view; a direct write says why it is refused
SELECT pg_temp.error_of('INSERT INTO store_a.newt VALUES (7, ''X'', 7, ''{}'')');
SELECT pg_temp.error_of('UPDATE store_a.newt SET state = ''{}''');
SELECT pg_temp.error_of('DELETE FROM "Store ""B""".newt');
-- its plans are those of the table
SELECT * FROM pg_temp.plan_of('SELECT state FROM store_a.newt WHERE zoid = 1');

-- two stores do not see each other
INSERT INTO store_a.newt_projection VALUES (2000, 'T', 1, '{"in": "a"}');
SELECT (SELECT count(*) FROM store_a.newt), (SELECT count(*) FROM store_c.newt), (SELECT count(*) FROM "Store ""B""".newt);

-- nothing of a store belongs to the extension: it can be dropped
SELECT count(*) AS members FROM pg_depend d WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
   AND (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT oid FROM pg_class WHERE relnamespace = 'store_a'::regnamespace)
        OR d.classid = 'pg_namespace'::regclass AND d.objid <> 'newt'::regnamespace);
BEGIN;
DROP EXTENSION newt;
SELECT count(*) FROM store_a.newt;
SELECT count(*) FROM store_a.object_state;
CREATE EXTENSION newt;
SELECT newt.store_version('store_a');
ROLLBACK;
-- an index that uses the extension holds it back; CASCADE takes the index, never a table
BEGIN;
CREATE INDEX words ON store_a.newt_projection USING gin (newt.tsvector('english', state));
SAVEPOINT before;
SELECT pg_temp.error_of('DROP EXTENSION newt');
SET LOCAL client_min_messages = warning;
DROP EXTENSION newt CASCADE;
SELECT to_regclass('store_a.words') AS index, (SELECT count(*) FROM store_a.newt) AS rows;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA store_a, "Store ""B""", store_c, store_d, store_e CASCADE;
