-- newt.walk: the records reached from some objects
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

-- [ "T", 1, { "next": reference, "others": [references] } ]; oids below 24 are one byte
CREATE FUNCTION pg_temp.node(next int, VARIADIC others int[] DEFAULT '{}') RETURNS bytea LANGUAGE sql AS $$
    SELECT '\x83615401a2646e657874'::bytea || coalesce('\xd99601' || set_byte('\x00', 0, next), '\xf6')
        || '\x666f7468657273' || set_byte('\x80', 0, 128 + cardinality(others))
        || coalesce((SELECT string_agg('\xd99601' || set_byte('\x00', 0, o), '') FROM unnest(others) o), '')
$$;
SELECT newt.create_store('newt_walk');
SET search_path = newt_walk;
INSERT INTO object_state VALUES
    (2, 102, pg_temp.node(3, 6, 5)),
    (3, 103, pg_temp.node(4)),
    (4, 104, pg_temp.node(2, 4)),             -- back to the first, and to itself
    (5, 105, pg_temp.node(NULL, 7, 8, 9)),    -- 8 is missing
    (6, 106, pg_temp.node(7, 3, 3)),
    (7, 107, pg_temp.node(NULL)),
    (9, 109, pg_temp.node(10, 11) || '\x00'), -- damaged, behind all of its references
    (10, 110, pg_temp.node(11)),
    (11, 111, '\x'),
    (12, 112, '\x8028636e'),                  -- a pickle
    (13, 113, pg_temp.node(12, 11));
CREATE FUNCTION pg_temp.walked(roots bigint[], max_depth bigint DEFAULT 1000000, max_objects bigint DEFAULT 10000, fields text[] DEFAULT '{}')
RETURNS text LANGUAGE sql AS 'SELECT string_agg(w.zoid::text, '' '') FROM newt.walk(''newt_walk'', $1, $2, $3, $4) w';

-- breadth first, those of a level by oid; each once; what is missing is not there, what is damaged leads nowhere
SELECT zoid, serial, newt.try_to_jsonb(state) FROM newt.walk('newt_walk', '{2}');
SELECT pg_temp.walked('{4}'), pg_temp.walked('{7}'), pg_temp.walked('{8}'), pg_temp.walked('{}');
SELECT pg_temp.walked('{9}'), pg_temp.walked('{13,10}'), pg_temp.walked('{10,9,13}');
SELECT pg_temp.walked('{7,7,3,0,-1,9223372036854775807,-9223372036854775808}');
SELECT pg_temp.walked('{{7,3},{10,10}}') AS two_dimensions;
-- depth
SELECT d, pg_temp.walked('{2}', d) FROM unnest(ARRAY[0, 1, 2, 3, 4, 1000000]::bigint[]) d;
-- objects: missing ones count; the nearest are there
SELECT n, pg_temp.walked('{2}', max_objects => n) FROM unnest(ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 9, 1000000]::bigint[]) n;
SELECT pg_temp.walked('{8,7,6}', max_objects => 2);
-- fields
SELECT f, pg_temp.walked('{2}', fields => f) AS reached FROM (VALUES ('{next}'::text[]), ('{others}'), ('{others,next}'), ('{nothing}'), ('{""}'), ('{Next}')) v (f);
-- in the target list, cut short, in a join, by a plan made once
SELECT newt.walk('newt_walk', '{3}', 0);
SELECT zoid FROM newt.walk('newt_walk', '{2}') LIMIT 2;
SELECT o.zoid, w.zoid FROM object_state o, newt.walk('newt_walk', ARRAY[o.zoid], 1) w WHERE o.zoid IN (3, 10) ORDER BY 1, 2;
PREPARE walk(bigint) AS SELECT zoid FROM newt.walk('newt_walk', ARRAY[$1]);
SET plan_cache_mode = force_generic_plan;
EXECUTE walk(6);
EXECUTE walk(10);
RESET plan_cache_mode;
SELECT pg_temp.plan_of('SELECT * FROM newt.walk(''newt_walk'', ''{2}'')');

-- rows that are not wanted to their end: a limit, a cursor that is closed, that outlives a savepoint or its transaction, a loop that is left
SELECT (w.row).zoid FROM (SELECT newt.walk('newt_walk', '{2}') AS row) w LIMIT 2;
SELECT o.zoid, (SELECT (w.row).zoid FROM (SELECT newt.walk('newt_walk', ARRAY[o.zoid]) AS row OFFSET 1 LIMIT 1) w) FROM object_state o ORDER BY 1;
BEGIN;
DECLARE closed CURSOR FOR SELECT (newt.walk('newt_walk', '{2}')).zoid;
FETCH 2 FROM closed;
CLOSE closed;
DECLARE outlives CURSOR FOR SELECT (w.row).zoid FROM (SELECT newt.walk('newt_walk', '{2}') AS row) w;
SAVEPOINT a;
FETCH 1 FROM outlives;
SELECT 1 / 0;
ROLLBACK TO a;
FETCH 1 FROM outlives;
ROLLBACK TO a;
DECLARE held CURSOR WITH HOLD FOR SELECT (w.row).zoid FROM (SELECT newt.walk('newt_walk', '{2}') AS row) w;
FETCH 1 FROM held;
COMMIT;
FETCH 2 FROM held;
CLOSE held;
DO $$
DECLARE
    z bigint;
BEGIN
    FOR z IN SELECT (w.row).zoid FROM (SELECT newt.walk('newt_walk', '{2}') AS row) w LOOP
        RAISE NOTICE '%', z;
        EXIT WHEN z = 5;
    END LOOP;
END
$$;
SELECT g, (w.row).zoid FROM generate_series(6, 7) g, LATERAL (SELECT newt.walk('newt_walk', ARRAY[g], 1) AS row) w;
SELECT (w.row).zoid, 10 / ((w.row).zoid - 5) FROM (SELECT newt.walk('newt_walk', '{2}') AS row) w;

-- null for null
SELECT count(*) FROM newt.walk(NULL, '{2}');
SELECT count(*) FROM newt.walk('newt_walk', NULL);
SELECT count(*) FROM newt.walk('newt_walk', '{2}', NULL);
SELECT count(*) FROM newt.walk('newt_walk', '{2}', 1, NULL);
SELECT count(*) FROM newt.walk('newt_walk', '{2}', 1, 1, NULL);

-- bad input
SELECT pg_temp.error_of('SELECT newt.walk(''newt_walk'', ''{2,NULL}'')');
SELECT pg_temp.error_of('SELECT newt.walk(''newt_walk'', ''{2}'', fields => ''{next,NULL}'')');
SELECT d, pg_temp.error_of(format('SELECT newt.walk(''newt_walk'', ''{2}'', %s)', d)) FROM unnest(ARRAY[-1, 0, 1000000, 1000001]) d;
SELECT n, pg_temp.error_of(format('SELECT newt.walk(''newt_walk'', ''{2}'', max_objects => %s)', n)) FROM unnest(ARRAY[-1, 0, 1, 1000000, 1000001]) n;
SELECT pg_temp.error_of('SELECT newt.walk(''nowhere'', ''{2}'')');
SELECT pg_temp.error_of('SELECT newt.walk('''', ''{2}'')');
SELECT pg_temp.error_of('SELECT newt.walk(''newt_walk.object_state; DROP TABLE x; --'', ''{2}'')');
SELECT pg_temp.error_of('SELECT newt.walk(repeat(''x'', 100), ''{2}'')');

-- in the caller's snapshot; own changes are in it
BEGIN;
UPDATE object_state SET state = pg_temp.node(10), serial = 999 WHERE zoid = 3;
SELECT zoid, serial FROM newt.walk('newt_walk', '{3}');
ROLLBACK;
SELECT pg_temp.walked('{3}');
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
DECLARE c CURSOR FOR SELECT zoid FROM newt.walk('newt_walk', '{6}');
FETCH 2 FROM c;
FETCH 5 FROM c;
COMMIT;

-- whatever answers to the name: without the index, without index scans, a view, a join, partitions, other columns
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT pg_temp.walked('{2}');
RESET enable_indexscan;
RESET enable_bitmapscan;
SET enable_seqscan = off;
SELECT pg_temp.walked('{2}');
CREATE SCHEMA newt_walk_view;
CREATE VIEW newt_walk_view.object_state AS SELECT o.* FROM newt_walk.object_state o WHERE zoid <> 6 AND EXISTS (SELECT FROM newt_walk.object_state x WHERE x.zoid = o.zoid);
SELECT string_agg(zoid::text, ' ') FROM newt.walk('newt_walk_view', '{2}');
CREATE SCHEMA newt_walk_twice;
CREATE VIEW newt_walk_twice.object_state AS SELECT zoid, serial, state FROM newt_walk.object_state UNION ALL SELECT zoid, -serial, state FROM newt_walk.object_state;
SELECT zoid, serial FROM newt.walk('newt_walk_twice', '{6}', 1);
CREATE SCHEMA newt_walk_parts;
CREATE TABLE newt_walk_parts.object_state (zoid bigint PRIMARY KEY, serial bigint, state bytea) PARTITION BY RANGE (zoid);
CREATE TABLE newt_walk_parts.few PARTITION OF newt_walk_parts.object_state FOR VALUES FROM (0) TO (4);
CREATE TABLE newt_walk_parts.more PARTITION OF newt_walk_parts.object_state FOR VALUES FROM (4) TO (100);
INSERT INTO newt_walk_parts.object_state SELECT * FROM newt_walk.object_state;
SELECT string_agg(zoid::text, ' ') FROM newt.walk('newt_walk_parts', '{2}');
RESET enable_seqscan;
SELECT string_agg(zoid::text, ' ') FROM newt.walk('newt_walk_parts', '{2}');
CREATE SCHEMA newt_walk_other;
CREATE TABLE newt_walk_other.object_state (gone text, state bytea, zoid int PRIMARY KEY, more text DEFAULT 'x', serial smallint);
ALTER TABLE newt_walk_other.object_state DROP gone;
INSERT INTO newt_walk_other.object_state SELECT state, zoid, 'x', serial FROM newt_walk.object_state WHERE zoid <> 3;
INSERT INTO newt_walk_other.object_state VALUES (NULL, 3, 'x', NULL);
SELECT zoid, serial, state IS NULL AS is_null FROM newt.walk('newt_walk_other', '{2}');
SET enable_seqscan = off;
SELECT string_agg(zoid::text, ' ') FROM newt.walk('newt_walk_other', '{2}');
RESET enable_seqscan;
CREATE SCHEMA newt_walk_wrong;
CREATE TABLE newt_walk_wrong.object_state (zoid bigint PRIMARY KEY, state bytea);
SELECT pg_temp.error_of('SELECT newt.walk(''newt_walk_wrong'', ''{2}'')');

-- a record that is stored out of line, one that is compressed, and many references
INSERT INTO object_state SELECT 20, 120, '\x83615401a2616181d99601151861626279'::bytea || '\x0000';
UPDATE object_state SET state = '\x83615401a26161d9960115'::bytea || '\x61627a000f4240' || convert_to(repeat('0123456789', 100000), 'UTF8') WHERE zoid = 20;
ALTER TABLE object_state ALTER state SET STORAGE EXTERNAL;
INSERT INTO object_state SELECT 21, 121, '\x83615401a26161d9960116'::bytea || '\x61627a000f4240' || convert_to(repeat('0123456789', 100000), 'UTF8');
INSERT INTO object_state SELECT 22, 122, '\x836154019a000186a0'::bytea || (SELECT string_agg('\xd996011a'::bytea || int4send(i), '' ORDER BY i DESC) FROM generate_series(1000001, 1100000) i);
INSERT INTO object_state SELECT i, 1, pg_temp.node(NULL) FROM generate_series(1000001, 1100000) i;
SELECT zoid, length(state) FROM newt.walk('newt_walk', '{20}', 2) WHERE zoid < 1000;
SELECT (w.row).zoid, length((w.row).state) FROM (SELECT newt.walk('newt_walk', '{20}', 2) AS row) w LIMIT 3;
SELECT count(*), count(DISTINCT zoid), min(zoid), max(zoid) FROM newt.walk('newt_walk', '{20}');
SELECT count(*), count(DISTINCT zoid), min(zoid), max(zoid) FROM newt.walk('newt_walk', '{20}', max_objects => 1000000);

-- it can be stopped
\set VERBOSITY sqlstate
BEGIN;
SET LOCAL statement_timeout = '5ms';
SELECT count(*) FROM newt.walk('newt_walk', '{20}', max_objects => 1000000), generate_series(1, 100);
ROLLBACK;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA newt_walk, newt_walk_view, newt_walk_twice, newt_walk_parts, newt_walk_other, newt_walk_wrong CASCADE;
