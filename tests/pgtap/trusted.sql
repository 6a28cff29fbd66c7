-- The extension is trusted: a role that may create objects in the database may create it, and
-- gains nothing else by that.
BEGIN;
SELECT plan(8);

CREATE ROLE newt_test_plain;
GRANT CREATE ON DATABASE pgtap_trusted TO newt_test_plain;
GRANT CREATE, USAGE ON SCHEMA public TO newt_test_plain;

SET ROLE newt_test_plain;
CREATE SCHEMA newt;
SELECT throws_ok('CREATE EXTENSION newt', '42P06', NULL, 'a schema prepared beforehand is refused');
DROP SCHEMA newt;
-- what a script that looked names up in public would pick up
CREATE FUNCTION public.replace(text, text, text) RETURNS text LANGUAGE sql AS $$SELECT 'mine'$$;
SELECT lives_ok('CREATE EXTENSION newt', 'a role with CREATE on the database may create it');
SELECT throws_ok('CREATE FUNCTION newt.mine() RETURNS int LANGUAGE sql AS ''SELECT 1''', '42501', NULL,
                 'but nothing else in its schema');
SELECT throws_ok($$CREATE OR REPLACE FUNCTION newt.to_jsonb(bytea) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'$$,
                 '42501', NULL, 'nor replace a function of it');
RESET ROLE;

SELECT is(nspowner::regrole::text, current_user::text, 'the schema is the superuser''s')
  FROM pg_namespace WHERE nspname = 'newt';
SELECT is_empty($$
    SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
     WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'newt') AND deptype = 'e'
       AND classid NOT IN ('pg_proc'::regclass, 'pg_namespace'::regclass)$$,
    'its members are functions and their schema');
SELECT is_empty($$
    SELECT oid::regprocedure FROM pg_proc
     WHERE pronamespace = 'newt'::regnamespace AND (prosecdef OR proowner::regrole::text <> current_user)$$,
    'no function runs with its owner''s rights');
SELECT is_empty($$
    SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = prolang
     WHERE pronamespace = 'newt'::regnamespace AND lanname <> 'c' AND prokind <> 'p' -- see tests/pgtap/functions
       AND prosqlbody IS NULL AND NOT coalesce(proconfig @> '{"search_path=pg_catalog, pg_temp"}', false)$$,
    'every function written in SQL has its search_path pinned, or its names resolved already');

SELECT * FROM finish();
ROLLBACK;
