-- newt.walk gives nobody a record that a SELECT would not give: both ways of it, by rescans of one
-- plan (with index scans) and by one query for each object (without).
BEGIN;
SELECT plan(2 * 12 + 3);
CREATE EXTENSION newt;
SELECT newt.create_store('walked');
-- 2 refers to 3, 3 to 4, and so on
INSERT INTO walked.object_state
SELECT i, i, '\x83615401d99601'::bytea || set_byte('\x00', 0, i + 1) FROM generate_series(2, 9) i;
CREATE TABLE walked.shown (zoid bigint PRIMARY KEY);
INSERT INTO walked.shown SELECT generate_series(2, 9);
CREATE ROLE newt_test_walker;
CREATE ROLE newt_test_owner;
GRANT USAGE, CREATE ON SCHEMA public TO newt_test_walker;
CREATE FUNCTION public.walked() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(zoid::text, ' ' ORDER BY zoid) FROM newt.walk('walked', '{2}')$$;

CREATE FUNCTION public.rights(way text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('enable_seqscan', CASE way WHEN 'rescans' THEN 'off' ELSE 'on' END, true),
            set_config('enable_bitmapscan', 'off', true),
            set_config('enable_indexscan', CASE way WHEN 'rescans' THEN 'on' ELSE 'off' END, true);
    RETURN NEXT is(walked(), '2 3 4 5 6 7 8 9', way || ': all of it');

    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT throws_ok('SELECT walked()', '42501', 'permission denied for schema walked', way || ': no right to the schema');
    RESET ROLE;
    GRANT USAGE ON SCHEMA walked TO newt_test_walker;
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT throws_ok('SELECT walked()', '42501', 'permission denied for table object_state', way || ': no right to the table');
    RESET ROLE;
    GRANT SELECT (zoid, state) ON walked.object_state TO newt_test_walker;
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT throws_ok('SELECT walked()', '42501', 'permission denied for table object_state', way || ': a column is missing');
    RESET ROLE;
    GRANT SELECT (serial) ON walked.object_state TO newt_test_walker;
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT is(walked(), '2 3 4 5 6 7 8 9', way || ': the columns are enough');
    RESET ROLE;

    ALTER TABLE walked.object_state ENABLE ROW LEVEL SECURITY;
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT is(walked(), NULL, way || ': no policy, no row');
    RESET ROLE;
    CREATE POLICY constant ON walked.object_state USING (zoid <> 5);
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT is(walked(), '2 3 4', way || ': what is hidden is not followed');
    SET LOCAL row_security = off;
    RETURN NEXT throws_ok('SELECT walked()', '42501', NULL, way || ': row security is not to be had off');
    RESET row_security;
    RESET ROLE;
    RETURN NEXT is(walked(), '2 3 4 5 6 7 8 9', way || ': a superuser passes it by');
    DROP POLICY constant ON walked.object_state;
    CREATE POLICY other_table ON walked.object_state
        USING (EXISTS (SELECT FROM walked.shown s WHERE s.zoid = object_state.zoid) AND pg_has_role(current_user, 'newt_test_walker', 'member'));
    GRANT SELECT ON walked.shown TO newt_test_walker;
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT is(walked(), '2 3 4 5 6 7 8 9', way || ': a policy that looks elsewhere, for each object');
    RESET ROLE;
    DELETE FROM walked.shown WHERE zoid = 7;
    SET LOCAL ROLE newt_test_walker;
    RETURN NEXT is(walked(), '2 3 4 5 6', way || ': and hides one');
    RESET ROLE;
    INSERT INTO walked.shown VALUES (7);
    DROP POLICY other_table ON walked.object_state;
    ALTER TABLE walked.object_state OWNER TO newt_test_owner;
    GRANT USAGE ON SCHEMA walked TO newt_test_owner;
    ALTER TABLE walked.object_state FORCE ROW LEVEL SECURITY;
    SET LOCAL ROLE newt_test_owner;
    RETURN NEXT is(walked(), NULL, way || ': forced, it holds for the owner too');
    RESET ROLE;
    ALTER TABLE walked.object_state OWNER TO CURRENT_USER;
    ALTER TABLE walked.object_state NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE walked.object_state DISABLE ROW LEVEL SECURITY;
    REVOKE ALL ON walked.object_state FROM newt_test_walker, newt_test_owner;
    REVOKE ALL (zoid, serial, state) ON walked.object_state FROM newt_test_walker;
    REVOKE ALL ON SCHEMA walked FROM newt_test_walker, newt_test_owner;
END
$$;
SELECT rights('rescans');
SELECT rights('queries');

-- within a function of another role it is that role's right that counts
CREATE FUNCTION public.lent() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT walked()';
SET ROLE newt_test_walker;
SELECT throws_ok('SELECT walked()', '42501', NULL, 'not by oneself');
SELECT is(lent(), '2 3 4 5 6 7 8 9', 'but through who may');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION newt.walk FROM PUBLIC;
SET ROLE newt_test_walker;
SELECT throws_ok('SELECT walked()', '42501', 'permission denied for function walk', 'the function itself can be taken away');
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
