-- Trees give nobody an entry whose node a SELECT would not give. (How records are looked up, both ways of it,
-- is the same as for newt.walk: see walk.sql.)
BEGIN;
SELECT plan(16);
CREATE EXTENSION newt;
SELECT newt.create_store('trees');
-- a set of two leaves: "a" in 20, "b" in 30
INSERT INTO trees.object_state VALUES
    (10, 1, '\x83615401d99603a6646869676880646b65797381616264726f6f74f5656c6576656c0166636f756e747380686368696c6472656e82d9960114d99601181e'),
    (20, 1, '\x83615401d99603a66468696768816162646b65797381616164726f6f74f4656c6576656c0066636f756e747380686368696c6472656e80'),
    (30, 1, '\x83615401d99603a6646869676880646b65797381616264726f6f74f4656c6576656c0066636f756e747380686368696c6472656e80');
CREATE ROLE newt_tree_reader;
CREATE FUNCTION public.keys() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(key #>> '{}', ' ' ORDER BY key) FROM newt.btree_items('trees', 10)$$;
SELECT is(keys(), 'a b', 'all of it');
SELECT is(newt.btree_length('trees', 10), 2::bigint, 'the length');

SET ROLE newt_tree_reader;
SELECT throws_ok('SELECT keys()', '42501', 'permission denied for schema trees', 'no right to the schema');
RESET ROLE;
GRANT USAGE ON SCHEMA trees TO newt_tree_reader;
SET ROLE newt_tree_reader;
SELECT throws_ok('SELECT keys()', '42501', 'permission denied for table object_state', 'no right to the table');
SELECT throws_ok($$SELECT newt.btree_length('trees', 10)$$, '42501', NULL, 'nor to count');
SELECT throws_ok($$SELECT newt.btree_get('trees', 10, '"a"')$$, '42501', NULL, 'nor to look up');
RESET ROLE;
SELECT newt.grant_store('trees', 'newt_tree_reader', 'reader');
SET ROLE newt_tree_reader;
SELECT is(keys(), 'a b', 'a reader of the store');
RESET ROLE;

ALTER TABLE trees.object_state ENABLE ROW LEVEL SECURITY;
SET ROLE newt_tree_reader;
SELECT is(keys(), NULL, 'no policy, no tree');
SELECT is(newt.btree_length('trees', 10), NULL, 'and no length');
RESET ROLE;
CREATE POLICY one ON trees.object_state USING (zoid <> 30);
SET ROLE newt_tree_reader;
SELECT throws_ok('SELECT keys()', 'XX001', 'node 30 of the tree T 10 does not exist', 'a node that is hidden is missing: it is not passed over');
SELECT results_eq($$SELECT key FROM newt.btree_items('trees', 10, NULL, '"a"')$$, $$VALUES ('"a"'::jsonb)$$, 'where it is not needed it is not missed');
SELECT is(newt.btree_get('trees', 10, '"a"'), 'true', 'nor by a look-up');
RESET ROLE;
SELECT is(keys(), 'a b', 'a superuser passes it by');
DROP POLICY one ON trees.object_state;
ALTER TABLE trees.object_state DISABLE ROW LEVEL SECURITY;

REVOKE EXECUTE ON FUNCTION newt.btree_items FROM PUBLIC;
SET ROLE newt_tree_reader;
SELECT throws_ok('SELECT keys()', '42501', 'permission denied for function btree_items', 'the function can be taken away');
RESET ROLE;
GRANT EXECUTE ON FUNCTION newt.btree_items TO PUBLIC;
REVOKE EXECUTE ON FUNCTION newt.btree_rows FROM PUBLIC;
SET ROLE newt_tree_reader;
SELECT throws_ok('SELECT keys()', '42501', 'permission denied for function btree_rows', 'and the one in it');
RESET ROLE;
GRANT EXECUTE ON FUNCTION newt.btree_rows TO PUBLIC;
CREATE FUNCTION pg_temp.btree_rows(text, bigint, jsonb, jsonb, boolean, boolean, boolean) RETURNS int LANGUAGE sql AS 'SELECT 1';
SET search_path = pg_temp, public;
SELECT is(keys(), 'a b', 'a search path leads nowhere else');
SELECT * FROM finish();
ROLLBACK;
