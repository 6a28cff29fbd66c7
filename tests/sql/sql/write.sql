-- newt.write and newt.commit: objects of a commit, written without statements of SQL
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set records :srcdir '/record.sql'
\i :records

SELECT newt.create_store('w');
SET search_path = w, public;
-- ["W", 1, {"a": n}]
CREATE FUNCTION rec(n integer) RETURNS bytea LANGUAGE sql AS $$ SELECT '\x83615701a16161'::bytea || set_byte('\x1800', 1, n) $$;
CREATE VIEW faults AS SELECT o.zoid FROM object_state o FULL JOIN newt_projection p USING (zoid)
  WHERE record_image_eq(ROW(p.serial, p.class_name, p.state), ROW(o.serial, newt.class_name(o.state), newt.to_jsonb(o.state))) IS NOT TRUE
  AND (p.zoid IS NOT NULL OR newt.to_jsonb(o.state) IS NOT NULL);
CREATE VIEW objects AS SELECT zoid, o.serial, p.state->>'a' AS a FROM object_state o LEFT JOIN newt_projection p USING (zoid) WHERE zoid > 1 ORDER BY zoid;

-- new ones; changed ones, close together and far apart; both at once
SELECT newt.write('object_state', '{10,11,12}', '{0,0,0}', ARRAY[rec(30), rec(31), rec(32)], 100, true);
SELECT newt.write('object_state', '{10,12,100000,100001}', '{100,100,0,0}', ARRAY[rec(40), rec(42), rec(50), rec(51)], 101, true);
SELECT newt.write('object_state', '{11,100000}', '{100,101}', ARRAY[rec(61), rec(62)], 102, true);
SELECT * FROM objects;
SELECT * FROM faults;
-- without rows; a row that is missing is made by who projects
SELECT newt.write('object_state', '{11,200}', '{102,0}', ARRAY[rec(71), rec(72)], 103, false);
SELECT zoid, state->>'a' AS a, serial FROM newt_projection WHERE zoid IN (11, 200);
SELECT newt.write('object_state', '{11,200}', '{103,103}', ARRAY[rec(81), rec(82)], 104, true);
SELECT * FROM faults;
-- records of every kind that have a projection
SELECT count(newt.write('object_state', ARRAY[1000 + n], '{0}', ARRAY[record], 105, true)) > 20 AS many FROM record WHERE newt.try_to_jsonb(record) IS NOT NULL;
SELECT * FROM faults;
-- indexes of the DBA's own
CREATE INDEX by_a ON newt_projection (((state->>'a')::integer)) WHERE class_name = 'W' AND zoid < 400;
CREATE INDEX ON newt_projection USING gin (state jsonb_path_ops);
CREATE UNIQUE INDEX one_a ON newt_projection ((state->>'a')) WHERE class_name = 'W' AND zoid < 400 OR zoid = 501;
SELECT newt.write('object_state', '{10,11,300}', '{101,104,0}', ARRAY[rec(90), rec(91), rec(92)], 106, true);
SET enable_seqscan = off;
SELECT zoid FROM newt_projection WHERE class_name = 'W' AND zoid < 400 AND (state->>'a')::integer BETWEEN 90 AND 92 ORDER BY 1;
SELECT zoid FROM newt_projection WHERE state @> '{"a": 91}';
SELECT count(*) FROM newt_projection WHERE state @> '{"a": 81}';
RESET enable_seqscan;
-- bytes that are many
SELECT newt.write('object_state', ARRAY[400], '{0}', ARRAY[('\x83615701a161617a000f4240'::bytea || convert_to(repeat('x', 1000000), 'UTF8'))], 107, true);
SELECT newt.write('object_state', ARRAY[400], '{107}', ARRAY[('\x83615701a161617a000f4240'::bytea || convert_to(repeat('y', 1000000), 'UTF8'))], 108, true);
SELECT octet_length(o.state), length(p.state->>'a') FROM object_state o JOIN newt_projection p USING (zoid) WHERE zoid = 400;
-- hidden ones have no row, and keep none; shown again they have one
CREATE FUNCTION hid(n integer) RETURNS bytea LANGUAGE sql AS $$ SELECT '\x83615701d99603a16161'::bytea || set_byte('\x1800', 1, n) $$;
SELECT newt.write('object_state', '{700,701,702}', '{0,0,0}', ARRAY[rec(43), hid(44), rec(45)], 1070, true);
SELECT newt.write('object_state', '{700,701,702,703}', '{1070,1070,1070,0}', ARRAY[hid(46), rec(47), hid(48), hid(49)], 1071, true);
SELECT o.zoid, o.serial, newt.to_jsonb(o.state) IS NULL AS hidden, p.serial AS row FROM object_state o LEFT JOIN newt_projection p USING (zoid) WHERE zoid BETWEEN 700 AND 703 ORDER BY 1;
SELECT newt.write('object_state', '{700,702}', '{1071,1071}', ARRAY[hid(50), rec(51)], 1072, true);
SELECT o.zoid, o.serial, p.serial AS row FROM object_state o LEFT JOIN newt_projection p USING (zoid) WHERE zoid BETWEEN 700 AND 703 ORDER BY 1;
CREATE TABLE before AS SELECT * FROM objects;

-- what is refused, and that nothing is written then
\set ON_ERROR_STOP 0
SELECT newt.write('object_state', '{10,11}', '{106,104}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('object_state', '{10,500}', '{106,106}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('object_state', '{10,10}', '{106,106}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('object_state', '{11,10}', '{106,106}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('object_state', '{10,501}', '{106,0}', ARRAY[rec(31), rec(92)], 109, true);
SELECT newt.write('object_state', '{10}', '{0}', ARRAY[rec(31)], 109, true);
SELECT newt.write('object_state', '{501,10}', '{0,106}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('object_state', '{10}', '{106}', ARRAY['\x00'::bytea], 109, true);
SELECT newt.write('object_state', '{10,11}', '{106}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('object_state', '{10}', '{106}', ARRAY[NULL::bytea], 109, true);
SELECT newt.write('object_state', '{NULL}', '{106}', ARRAY[rec(31)], 109, true);
SELECT newt.write('object_state', '{{10},{11}}', '{106,106}', ARRAY[rec(31), rec(32)], 109, true);
SELECT newt.write('newt_projection', '{10}', '{106}', ARRAY[rec(31)], 109, true);
SELECT newt.write('newt', '{10}', '{106}', ARRAY[rec(31)], 109, true);
SELECT newt.write(0, '{10}', '{106}', ARRAY[rec(31)], 109, true);
SELECT newt.write(NULL, '{10}', '{106}', ARRAY[rec(31)], 109, true) IS NULL AS null;
SELECT newt.write('object_state', '{}', '{}', '{}', 109, true);
BEGIN READ ONLY;
SELECT newt.write('object_state', '{10}', '{106}', ARRAY[rec(31)], 109, true);
ROLLBACK;
TABLE before EXCEPT TABLE objects;

-- tables that are not as they were created are for statements of SQL
CREATE FUNCTION refused() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM newt.write('object_state', '{10}', '{106}', ARRAY[rec(31)], 109, true);
    RETURN 'written';
EXCEPTION WHEN feature_not_supported THEN
    RETURN SQLERRM;
END $$;
BEGIN; SELECT refused(); ROLLBACK;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
BEGIN; CREATE TRIGGER t BEFORE UPDATE ON newt_projection FOR EACH ROW EXECUTE FUNCTION nothing(); SELECT refused(); ROLLBACK;
BEGIN; CREATE TRIGGER t AFTER UPDATE ON object_state FOR EACH STATEMENT EXECUTE FUNCTION nothing(); SELECT refused(); ROLLBACK;
BEGIN; CREATE RULE r AS ON UPDATE TO newt_projection DO ALSO NOTHING; SELECT refused(); ROLLBACK;
BEGIN; ALTER TABLE newt_projection ADD extra text; SELECT refused(); ROLLBACK;
BEGIN; ALTER TABLE object_state ADD extra text GENERATED ALWAYS AS ('x') STORED; SELECT refused(); ROLLBACK;
BEGIN; ALTER TABLE object_state DROP CONSTRAINT object_state_pkey; SELECT refused(); ROLLBACK;
BEGIN; ALTER TABLE newt_projection ADD CONSTRAINT small CHECK (zoid <> 10 OR state->>'a' <> '31'); SELECT refused(); ROLLBACK;
BEGIN; CREATE TABLE child () INHERITS (newt_projection); SELECT refused(); ROLLBACK;
-- checks of new rows, and what an update would not tell a subscriber
BEGIN; ALTER TABLE newt_projection ADD CONSTRAINT small CHECK (zoid <> 502 OR state->>'a' <> '31');
SELECT newt.write('object_state', '{502}', '{0}', ARRAY[rec(31)], 109, true);
ROLLBACK;
BEGIN; ALTER TABLE object_state ADD CONSTRAINT small CHECK (zoid <> 502);
SELECT newt.write('object_state', '{502}', '{0}', ARRAY[rec(31)], 109, true);
ROLLBACK;
SET client_min_messages = error;
BEGIN; ALTER TABLE newt_projection REPLICA IDENTITY NOTHING; CREATE PUBLICATION newt_write FOR TABLE newt_projection;
SAVEPOINT published;
SELECT newt.write('object_state', '{10}', '{106}', ARRAY[rec(31)], 109, true);
ROLLBACK TO published;
SELECT newt.write('object_state', '{10}', '{106}', ARRAY[hid(31)], 109, true);
ROLLBACK;
RESET client_min_messages;
CREATE ROLE newt_write_some;
GRANT USAGE ON SCHEMA w TO newt_write_some;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA w TO newt_write_some;
SET ROLE newt_write_some;
SELECT refused();
RESET ROLE;
GRANT UPDATE ON ALL TABLES IN SCHEMA w TO newt_write_some;
BEGIN;
ALTER TABLE newt_projection ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE newt_write_some;
SELECT refused();
ROLLBACK;
BEGIN;
SET LOCAL ROLE newt_write_some;
SELECT refused();
ROLLBACK;
-- to remove a row takes a right of its own; where there is none to be removed, it does not
CREATE FUNCTION hide(zoid bigint, serial bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM newt.write('object_state', ARRAY[zoid], ARRAY[serial], ARRAY[hid(31)], 1073, true);
    RETURN 'written';
EXCEPTION WHEN feature_not_supported THEN
    RETURN SQLERRM;
END $$;
BEGIN;
SET LOCAL ROLE newt_write_some;
SELECT hide(702, 1072), hide(700, 1072);
ROLLBACK;
BEGIN;
GRANT DELETE ON newt_projection TO newt_write_some;
SET LOCAL ROLE newt_write_some;
SELECT hide(702, 1072), hide(700, 1072);
RESET ROLE;
SELECT count(*) FROM newt_projection WHERE zoid = 702;
ROLLBACK;

-- all of a commit: its tid, the newest tid and serial, whether the oids follow, the oids
SELECT tid AS at, serial AS at_serial FROM transaction ORDER BY tid DESC LIMIT 1 \gset
CREATE FUNCTION told(answer bigint[], OUT own bigint, OUT serial bigint, OUT is_newest boolean, OUT follows bigint, OUT oids bigint[]) LANGUAGE sql AS $$
  SELECT (SELECT count(*) FROM w.transaction WHERE tid <= answer[1]), answer[3], answer[2] = answer[1], answer[4], answer[5:] $$;
SELECT newt.commit('transaction', 200, -7, '{10,600}', '{106,0}', ARRAY[rec(100), rec(101)], true, :at, :at_serial) AS answer \gset
SELECT * FROM told(:'answer');
SELECT * FROM objects WHERE serial = 200;
SELECT serial, nonce, username = CURRENT_USER AS me, description, extension, written, removed, removed_classes, committed_at > now() - interval '1 minute' AS now FROM transaction WHERE serial = 200;
SELECT newt.committed('transaction', NULL, NULL) = (:'answer'::bigint[])[:4] AS the_same;
SELECT newt.commit('transaction', 201, -7, '{10}', '{200}', ARRAY[rec(102)], true, NULL, NULL) AS answer \gset
SELECT * FROM told(:'answer');
-- what others have committed since: some, many oids, a large transaction; a position that is not there
SELECT newt.commit('transaction', 202, -7, '{11}', '{106}', ARRAY[rec(103)], true, :at, :at_serial) AS answer \gset
SELECT * FROM told(:'answer');
INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 210, 1, '{1,2}', '{3}' FROM transaction;
INSERT INTO transaction (tid, serial, nonce) SELECT max(tid) + 1, 211, 1 FROM transaction;
INSERT INTO transaction_object VALUES (211, 0, '{4}', '{5,6}'), (211, 1, '{7}', '{}');
SELECT newt.commit('transaction', 203, -7, '{11}', '{202}', ARRAY[rec(104)], true, :at, :at_serial) AS answer \gset
SELECT * FROM told(:'answer');
SELECT newt.commit('transaction', 204, -7, '{11}', '{203}', ARRAY[rec(105)], true, :at, :at_serial + 1) AS answer \gset
SELECT * FROM told(:'answer');
SELECT newt.commit('transaction', 205, -7, '{11}', '{204}', ARRAY[rec(106)], true, 17, 17) AS answer \gset
SELECT * FROM told(:'answer');
INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 212, 1, ARRAY(SELECT generate_series(1, 9970)), '{}' FROM transaction;
SELECT newt.commit('transaction', 206, -7, '{11}', '{205}', ARRAY[rec(107)], true, :at, :at_serial) AS answer \gset
SELECT follows, cardinality(oids) FROM told(:'answer');
INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 213, 1, ARRAY(SELECT generate_series(1, 30)), '{}' FROM transaction;
SELECT newt.commit('transaction', 207, -7, '{11}', '{206}', ARRAY[rec(108)], true, :at, :at_serial) AS answer \gset
SELECT follows, cardinality(oids) FROM told(:'answer');
-- a position with another tid
SELECT serial AS at_serial FROM transaction ORDER BY tid DESC LIMIT 1 \gset
SELECT newt.commit('transaction', 214, -7, '{600}', '{200}', ARRAY[rec(110)], true, tid - 1, serial) AS answer FROM transaction WHERE serial = :at_serial \gset
SELECT * FROM told(:'answer');
SELECT newt.commit('transaction', 215, -7, '{600}', '{214}', ARRAY[rec(111)], true, tid, serial) AS answer FROM transaction WHERE serial = :at_serial \gset
SELECT * FROM told(:'answer');
-- refused: nothing is written, and the lock is free
SELECT newt.commit('transaction', 208, -7, '{11}', '{206}', ARRAY[rec(109)], true, NULL, NULL);
SELECT newt.commit('transaction', 207, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL);
SELECT newt.commit('object_state', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL);
SELECT newt.commit('transaction', NULL, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL);
BEGIN;
SELECT newt.commit('transaction', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL);
ROLLBACK;
BEGIN READ ONLY;
SELECT newt.commit('transaction', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL);
ROLLBACK;
SELECT newt.commit('transaction', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL), newt.commit('transaction', 209, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL);
SELECT newt.commit('transaction', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL), 1 / (SELECT count(*) - count(*) FROM transaction);
SELECT count(*) AS locked FROM pg_locks WHERE relation = 'newt_commit_lock'::regclass;
SELECT * FROM objects WHERE zoid = 11;
-- what the DBA wants to be there
UPDATE transaction SET description = '' WHERE description IS NULL;
ALTER TABLE transaction ALTER description SET NOT NULL;
\set VERBOSITY terse
SELECT count(newt.commit('transaction', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL)) AS "not";
\set VERBOSITY default
ALTER TABLE transaction ALTER description DROP NOT NULL;
-- a table "transaction" with another column: its row comes by a statement, and so do defaults
ALTER TABLE transaction ADD note text DEFAULT 'noted';
SELECT newt.commit('transaction', 208, -7, '{11}', '{207}', ARRAY[rec(109)], true, NULL, NULL) IS NOT NULL AS done;
SELECT serial, nonce, note, written FROM transaction WHERE serial = 208;
SHOW synchronous_commit;
SELECT * FROM faults;
-- many at once, new and changed: each has its entries in all indexes
SELECT newt.write('object_state', array_agg(n ORDER BY n), array_agg(0), array_agg(rec(n % 100 + 24) ORDER BY n), 300, true) FROM generate_series(2000, 2999) n;
SELECT newt.write('object_state', array_agg(n ORDER BY n), array_agg(300), array_agg(rec(n % 90 + 24) ORDER BY n), 301, true) FROM generate_series(2000, 2999, 3) n;
SET enable_seqscan = off;
SELECT count(*) FROM generate_series(2000, 2999) n JOIN LATERAL (SELECT FROM object_state WHERE zoid = n OFFSET 0) o ON true JOIN LATERAL (SELECT FROM newt_projection WHERE zoid = n OFFSET 0) p ON true;
RESET enable_seqscan;
SELECT serial, count(*) FROM object_state WHERE zoid BETWEEN 2000 AND 2999 GROUP BY 1 ORDER BY 1;
SELECT * FROM faults;
-- with policies there may be rows that the role does not see, so nothing follows
SELECT serial AS at_serial FROM transaction ORDER BY tid DESC LIMIT 1 \gset
CREATE POLICY not_all ON transaction USING (serial <> 302);
INSERT INTO transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 302, 1, '{1}', '{}' FROM transaction;
ALTER TABLE transaction ENABLE ROW LEVEL SECURITY;
SET ROLE newt_write_some;
SELECT newt.commit('transaction', 303, -7, '{600}', '{215}', ARRAY[rec(112)], true, tid, serial) AS answer FROM transaction WHERE serial = :at_serial \gset
RESET ROLE;
SELECT * FROM told(:'answer');
ALTER TABLE transaction DISABLE ROW LEVEL SECURITY;
-- who may not read the transactions is told nothing of them
REVOKE SELECT ON transaction FROM newt_write_some;
SET ROLE newt_write_some;
SELECT newt.commit('transaction', 304, -7, '{600}', '{303}', ARRAY[rec(113)], true, NULL, NULL);
RESET ROLE;
DROP OWNED BY newt_write_some;
DROP ROLE newt_write_some;
