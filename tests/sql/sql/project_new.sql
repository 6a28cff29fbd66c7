-- newt.project_new writes the first rows of objects that are plain, and hands back all others
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set records :srcdir '/record.sql'
\i :records

SELECT newt.create_store('fresh');
SET search_path = fresh, public;
INSERT INTO object_state SELECT 1000 + n, n, record FROM record;
INSERT INTO object_state SELECT 2000 + n, n, '\x8361543a01a0'::bytea || '\x00' FROM generate_series(1, 3) n; -- no records
CREATE FUNCTION project(first bigint, last bigint, classes text[] DEFAULT '{}', OUT written bigint, OUT rest bigint[])
    LANGUAGE sql AS $$ SELECT f.written, f.rest FROM newt.project_new('newt_projection', ARRAY(SELECT generate_series(first, last)), classes) f $$;

-- records of every kind: what JSON shows only in part is left, a hidden class has no row
CREATE TEMP TABLE done AS SELECT * FROM project(1, 3000);
SELECT written = (SELECT count(*) FROM newt_projection) - 1 AS counted, array_length(rest, 1) AS rest FROM done;
SELECT what FROM record WHERE 1000 + n = ANY (SELECT unnest(rest) FROM done) ORDER BY n;
SELECT count(*) AS objects, count(p.zoid) AS rows, count(*) FILTER (WHERE (p.zoid IS NULL) <> (newt.try_to_jsonb(o.state) IS NULL)) AS wrong,
       count(p.zoid) FILTER (WHERE NOT record_image_eq(ROW(p.serial, p.class_name, p.state), ROW(o.serial, newt.class_name(o.state), newt.to_jsonb(o.state)))) AS differ
FROM object_state o LEFT JOIN newt_projection p USING (zoid) WHERE zoid BETWEEN 2 AND 1999 AND zoid <> ALL (SELECT unnest(rest) FROM done);
SELECT count(*) AS no_records FROM newt_projection WHERE zoid > 2000;
SELECT count(*) AS by_index FROM newt_projection WHERE zoid = ANY (ARRAY(SELECT zoid FROM object_state));
-- a second time: all have their rows
SELECT written, array_length(rest, 1) AS rest FROM project(1000, 1010);
-- gaps, other objects in between, nothing at all
DELETE FROM newt_projection WHERE zoid % 10 = 4;
SELECT written, rest FROM newt.project_new('newt_projection', '{-9223372036854775808,1004,1005,1014,9223372036854775807}', '{}');
SELECT written, rest FROM newt.project_new('newt_projection', '{7000000000,8000000000}', '{}');

-- many objects, in several rounds; large ones
TRUNCATE newt_projection;
INSERT INTO object_state SELECT 10000 + i, i, '\x83615401a1616119'::bytea || set_byte(set_byte('\x0000', 0, i / 256), 1, i % 256) FROM generate_series(256, 2255) i;
INSERT INTO object_state SELECT 20000 + i, i, '\x83615401a161617a'::bytea || '\x00030d40' || convert_to(string_agg(md5((i * k)::text), ''), 'UTF8')
FROM generate_series(1, 5) i, generate_series(1, 6250) k GROUP BY i;
SELECT * FROM project(10000, 30000);
SELECT count(*), count(*) FILTER (WHERE NOT record_image_eq(ROW(p.state), ROW(newt.to_jsonb(o.state)))) AS differ
FROM newt_projection p JOIN object_state o USING (zoid, serial);

-- classes that clients project, and entries of newt_reject
TRUNCATE newt_projection;
SELECT * FROM project(10256, 10260, '{U,T}');
SELECT * FROM project(10256, 10260, '{U}');
SELECT pg_temp.error_of($$SELECT * FROM project(10256, 10260, '{NULL}')$$);
INSERT INTO newt_reject_entry (zoid, serial, n, path, reason) VALUES (10262, 1, 0, '{}', 'refused before');
SELECT * FROM project(10261, 10263);

-- zoids that do not rise, and none
SELECT * FROM newt.project_new('newt_projection', '{10271,10270}', '{}');
SELECT * FROM newt.project_new('newt_projection', '{10270,10270}', '{}');
SELECT * FROM newt.project_new('newt_projection', '{10270,NULL}', '{}');
SELECT * FROM newt.project_new('newt_projection', '{}', '{}');
SELECT * FROM newt.project_new('newt_projection', NULL, '{}');

-- indexes and constraints
CREATE INDEX by_value ON newt_projection ((state -> 'a'));
CREATE INDEX by_state ON newt_projection USING gin (state jsonb_path_ops);
CREATE INDEX even ON newt_projection (zoid) WHERE (state -> 'a')::int % 2 = 0;
ALTER TABLE newt_projection ADD CONSTRAINT small CHECK ((state -> 'a')::int < 400) NOT VALID;
SELECT * FROM project(10300, 10399);
SET enable_seqscan = off;
SELECT array_agg(zoid) FROM newt_projection WHERE state -> 'a' = '310';
SELECT array_agg(zoid) FROM newt_projection WHERE state @> '{"a": 311}';
SELECT count(*) FROM newt_projection WHERE (state -> 'a')::int % 2 = 0 AND zoid BETWEEN 10300 AND 10399;
RESET enable_seqscan;
SELECT pg_temp.error_of($$SELECT * FROM project(10399, 10401)$$);
ALTER TABLE newt_projection DROP CONSTRAINT small;
CREATE INDEX by_inverse ON newt_projection ((1 / ((state -> 'a')::int - 400)));
SELECT pg_temp.error_of($$SELECT * FROM project(10399, 10401)$$);
DROP INDEX by_inverse;
CREATE UNIQUE INDEX one ON newt_projection (((state -> 'a')::int % 1000));
SELECT * FROM project(10390, 10405);
SELECT * FROM project(10400, 10405);
SELECT pg_temp.error_of($$SELECT * FROM project(11300, 11300)$$);
DROP INDEX one;

-- what it leaves to others altogether
BEGIN;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER nothing AFTER INSERT ON newt_projection FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
ALTER TABLE newt_projection ADD more integer;
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
ALTER TABLE newt_projection ADD more integer GENERATED ALWAYS AS ((state -> 'a')::int) STORED;
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
CREATE RULE nothing AS ON INSERT TO newt_projection DO ALSO NOTHING;
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
CREATE TABLE child () INHERITS (newt_projection);
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
ALTER TABLE newt_projection DROP CONSTRAINT newt_projection_pkey;
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
ALTER TABLE object_state RENAME TO other;
CREATE VIEW object_state AS SELECT * FROM other;
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
SET LOCAL client_min_messages = warning;
DROP TABLE newt_reject_entry CASCADE;
SELECT * FROM project(10500, 10501);
ROLLBACK;
SELECT * FROM newt.project_new('object_state', '{10500}', '{}');
SELECT * FROM newt.project_new('newt', '{10500}', '{}');
SELECT * FROM newt.project_new(0, '{10500}', '{}');

-- rights: of the caller
CREATE ROLE regress_newt_projector;
GRANT USAGE ON SCHEMA fresh TO regress_newt_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON newt_projection TO regress_newt_projector;
GRANT SELECT, INSERT, DELETE ON newt_reject_entry TO regress_newt_projector;
SET ROLE regress_newt_projector;
SELECT * FROM project(10500, 10501);
RESET ROLE;
GRANT SELECT ON object_state TO regress_newt_projector;
BEGIN;
ALTER TABLE object_state ENABLE ROW LEVEL SECURITY;
SET ROLE regress_newt_projector;
SELECT * FROM project(10500, 10501);
ROLLBACK;
BEGIN;
REVOKE INSERT ON newt_projection FROM regress_newt_projector;
GRANT INSERT (zoid, class_name, serial, state) ON newt_projection TO regress_newt_projector;
SET ROLE regress_newt_projector;
SELECT * FROM project(10500, 10501);
ROLLBACK;
SET ROLE regress_newt_projector;
SELECT * FROM project(10500, 10501);
RESET ROLE;
BEGIN READ ONLY;
SELECT pg_temp.error_of($$SELECT * FROM project(10500, 10501)$$);
ROLLBACK;

RESET search_path;
SET client_min_messages = error;
DROP SCHEMA fresh CASCADE;
DROP ROLE regress_newt_projector;
