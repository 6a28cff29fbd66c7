-- newt.patch and its like beside newt.at_commit: a transaction is of one kind
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
SELECT newt.create_store('store_w');
INSERT INTO store_w.newt_class (name, version, fields) VALUES ('Must', 1, '[{"name": "n", "kind": "int", "bits": 8}]');
SELECT newt.insert('store_w', 'Must', '{}');
\set VERBOSITY terse
\set ON_ERROR_STOP 0
BEGIN;
SELECT newt.patch('store_w', 1024, '{"n": 9}') > 0;
SELECT newt.at_commit('store_w.transaction', 2, 2, '{}', '{}', NULL, NULL, NULL);
ROLLBACK;
BEGIN;
SELECT newt.at_commit('store_w.transaction', 2, 2, '{}', '{}', NULL, NULL, NULL);
SELECT newt.patch('store_w', 1024, '{"n": 1}');
ROLLBACK;
BEGIN;
SELECT newt.insert('store_w', 'Must', '{}');
ROLLBACK;
-- numbers of a block are not given again
BEGIN;
SELECT newt.insert('store_w', 'Must', '{}');
PREPARE TRANSACTION 'newt';
SELECT newt.to_jsonb(state) FROM store_w.object_state WHERE zoid > 1 ORDER BY zoid;
SET client_min_messages = warning;
DROP SCHEMA store_w CASCADE;
