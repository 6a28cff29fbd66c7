-- newt.at_commit and newt.barrier: what the library calls to commit
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
SELECT newt.create_store('store_m');
CREATE VIEW pg_temp.row_of AS SELECT serial, nonce, username = CURRENT_USER AS me, description, extension, written, removed
  FROM store_m.transaction WHERE serial > 1;

-- nothing committed yet
SELECT newt.barrier() IS NULL AS none;
-- the row is there with the commit, not before; the settings are as they were
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2048, -1, '{1024}', '{}', NULL, NULL, NULL);
SELECT count(*) FROM pg_temp.row_of;
SELECT count(*) AS locked FROM pg_locks WHERE relation = 'store_m.newt_commit_lock'::regclass;
COMMIT;
SELECT * FROM pg_temp.row_of;
SELECT newt.barrier() = max(tid) AS newest, max(tid) > min(tid) AS rising FROM store_m.transaction;
SHOW synchronous_commit;
-- alone in a transaction; what newt_describe says
SELECT newt.at_commit('store_m.transaction', 2049, 2, NULL, NULL, 'somebody', 'what', '{"a": 1}');
SELECT * FROM pg_temp.row_of WHERE serial = 2049;
-- rolled back: nothing
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2050, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
SELECT count(*) FROM pg_temp.row_of WHERE serial = 2050;
-- a serial that is taken: COMMIT fails, and so does all before it
BEGIN;
CREATE TABLE store_m.lost ();
SELECT newt.at_commit('store_m.transaction', 2049, 3, '{}', '{}', NULL, NULL, NULL);
\set VERBOSITY sqlstate
COMMIT;
\set VERBOSITY default
SELECT to_regclass('store_m.lost') IS NULL AS gone, newt.barrier() = (SELECT max(tid) FROM store_m.transaction) AS as_before;
-- the clock may stand still: tids rise all the same
UPDATE store_m.transaction SET tid = tid + 3600000000 WHERE serial = 2049;
SELECT newt.at_commit('store_m.transaction', 2051, 2, '{}', '{}', NULL, NULL, NULL);
SELECT (SELECT tid FROM store_m.transaction WHERE serial = 2051) - (SELECT tid FROM store_m.transaction WHERE serial = 2049) AS next;

-- what is refused, and how
\set ON_ERROR_STOP 0
SELECT newt.at_commit('store_m.transaction', 2052, NULL, '{}', '{}', NULL, NULL, NULL);
SELECT newt.at_commit('store_m.newt_class', 2052, 2, '{}', '{}', NULL, NULL, NULL);
SELECT newt.at_commit(0, 2052, 2, '{}', '{}', NULL, NULL, NULL);
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
SELECT newt.at_commit('store_m.transaction', 2053, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN;
SAVEPOINT one;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
PREPARE TRANSACTION 'newt';
-- with the caller's rights
CREATE ROLE newt_commit_nobody;
GRANT USAGE ON SCHEMA store_m TO newt_commit_nobody;
SET ROLE newt_commit_nobody;
\set VERBOSITY terse
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
\set VERBOSITY default
RESET ROLE;
SELECT max(serial) FROM pg_temp.row_of;
-- ... of who called, not of who happens to be there at the commit
BEGIN;
SET ROLE newt_commit_nobody;
SELECT newt.at_commit('store_m.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
RESET ROLE;
\set VERBOSITY terse
COMMIT;
\set VERBOSITY default
CREATE FUNCTION store_m.later(x bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN PERFORM newt.at_commit(''store_m.transaction'', 2052, 2, NULL, NULL, NULL, NULL, NULL); RETURN x; END';
CREATE TABLE store_m.trap AS SELECT 1::bigint AS x;
\set VERBOSITY terse
CREATE INDEX ON store_m.trap (store_m.later(x));
\set VERBOSITY default
-- a store that is dropped or renamed meanwhile
SELECT newt.create_store('store_n');
BEGIN;
SELECT newt.at_commit('store_n.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
SET LOCAL client_min_messages = warning;
DROP SCHEMA store_n CASCADE;
COMMIT;
SELECT newt.at_commit('store_n.transaction', 2052, 2, '{}', '{}', NULL, NULL, NULL);
ALTER SCHEMA store_n RENAME TO store_o;
SELECT newt.create_store('store_n');
SELECT newt.at_commit('store_o.transaction', 2053, 2, '{}', '{}', NULL, NULL, NULL);
SELECT (SELECT count(*) FROM store_n.transaction WHERE serial > 1) AS other, (SELECT count(*) FROM store_o.transaction WHERE serial > 1) AS this;
-- functions of that name in the search path are not called
CREATE SCHEMA store_evil;
CREATE FUNCTION store_evil.max(bigint) RETURNS bigint LANGUAGE sql RETURN 7;
SET search_path = store_evil, pg_catalog;
SELECT newt.at_commit('store_m.transaction', 2054, 2, '{}', '{}', NULL, NULL, NULL);
RESET search_path;
SELECT newt.barrier() = max(tid) AS newest FROM store_m.transaction;
SET client_min_messages = warning;
DROP SCHEMA store_m, store_n, store_o, store_evil CASCADE;
DROP ROLE newt_commit_nobody;
