-- Row-level security: who sees which rows when columns are declared anew, of several columns and tables, beside policies of the DBA's own
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set documents :srcdir '/documents.sql'
\i :documents
SET client_min_messages = warning; -- notices of typed tables have times
SELECT newt.create_store('d');
SET test.store = 'd';
INSERT INTO d.newt_class (name, version, fields) VALUES
 ('Issue', 1, '[{"name":"title","kind":"text"},{"name":"readers","kind":"text","shape":"list"},{"name":"editors","kind":"text","shape":"list"},{"name":"steps","kind":"struct","shape":"list","fields":[{"name":"note","kind":"text"}]}]');
CALL pg_temp.put(2001, 'Issue', '{"title":"one","readers":["hr"],"editors":["hr"],"steps":[{"note":"a"}]}');
CALL pg_temp.put(2002, 'Issue', '{"title":"two","readers":["hr","staff"],"editors":["hr"],"steps":[{"note":"a"}]}');
CALL pg_temp.put(2003, 'Issue', '{"title":"three","readers":["hr","staff"],"editors":["staff"],"steps":[{"note":"a"}]}');
CALL pg_temp.put(2004, 'Issue', '{"title":"four","readers":["hr"],"editors":["staff"],"steps":[{"note":"a"}]}');
CALL newt.create_table('d', 'Issue');
CREATE PROCEDURE pg_temp.declare(name text DEFAULT 'issues') LANGUAGE plpgsql AS $$
BEGIN
    COMMIT;
    CALL newt.create_derived('d', name, '{Issue}', '[{"name":"title","value":"title","type":"text"},{"name":"view","access":{"allow":"readers"}},{"name":"edit","access":{"allow":"editors"}}]');
END
$$;
-- what a role sees of the derived columns, of the typed table with its child, and of the documents; - is refused
CREATE FUNCTION pg_temp.seen(role_name text, VARIADIC relations text[] DEFAULT '{issues.zoid,issue.id,issue_steps.issue_id,issues_documents.zoid}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    relation text;
    zoids text;
    result text := '';
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role_name);
    FOREACH relation IN ARRAY relations LOOP
        BEGIN
            EXECUTE format('SELECT coalesce(string_agg(DISTINCT (z %% 10)::text, '''' ORDER BY (z %% 10)::text), '''') FROM (SELECT %I AS z FROM d.%I) x', split_part(relation, '.', 2), split_part(relation, '.', 1)) INTO zoids;
        EXCEPTION WHEN insufficient_privilege OR undefined_table THEN
            zoids := '-';
        END;
        result := concat_ws(' ', nullif(result, ''), split_part(relation, '.', 1) || ':' || zoids);
    END LOOP;
    RESET ROLE;
    RETURN result;
END
$$;
CALL pg_temp.declare();
CREATE ROLE newt_test_hr; CREATE ROLE newt_test_staff; CREATE ROLE newt_regr_reader; CREATE ROLE newt_test_late;
SELECT newt.grant_store('d', 'newt_regr_reader', 'reader');
SELECT newt.grant_principals('d', 'newt_test_hr', 'hr'), newt.grant_principals('d', 'newt_test_staff', 'staff'), newt.grant_principals('d', 'newt_test_late', 'staff');
SELECT newt.grant_visible('d', 'view', 'newt_test_hr'), newt.grant_visible('d', 'view', 'newt_test_staff');
CREATE TEMP VIEW sight AS SELECT substr(r.name, 11) AS role, pg_temp.seen(r.name) FROM unnest('{newt_test_hr,newt_test_staff,newt_regr_reader,newt_test_late}'::text[]) WITH ORDINALITY r (name, n) ORDER BY n;
CREATE TEMP VIEW policies AS SELECT p.polrelid::regclass AS relation, p.polname, (SELECT array_agg(CASE u.oid WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(u.oid)::text END ORDER BY 1) FROM unnest(p.polroles) u (oid)) AS roles, pg_get_expr(p.polqual, p.polrelid) = 'false' AS hides
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'd'::regnamespace ORDER BY p.polrelid::regclass::text COLLATE "C", p.polname;
SELECT * FROM sight;
-- the columns are declared anew: nobody sees more, and who is granted them again sees what it saw
SELECT newt.drop_derived('d', 'issues');
SELECT * FROM sight;
SELECT * FROM policies;
CALL pg_temp.declare();
SELECT * FROM sight;
SELECT newt.grant_visible('d', 'view', 'newt_test_hr');
SELECT * FROM sight;
SELECT newt.grant_visible('d', 'view', 'newt_test_staff');
SELECT * FROM sight;
SELECT * FROM policies;
-- meanwhile readers come and go; a role that has left sees no more than its principals afterwards
SELECT newt.drop_derived('d', 'issues');
SELECT newt.grant_store('d', 'newt_test_late', 'reader');
SELECT newt.revoke_store('d', 'newt_regr_reader');
SELECT * FROM sight;
CALL pg_temp.declare();
SELECT newt.grant_visible('d', 'view', 'newt_test_hr');
SELECT newt.revoke_store('d', 'newt_test_late');
SELECT newt.grant_visible('d', 'view', 'newt_test_late');
SELECT newt.grant_store('d', 'newt_regr_reader', 'reader');
SELECT * FROM sight;
-- several columns: each role sees by its own; one that has two, what either shows
SELECT newt.grant_visible('d', 'edit', 'newt_test_staff');
SELECT * FROM sight;
SELECT array_agg(z % 10) FROM newt.can('d', 'edit', '{staff}') z;
SELECT newt.grant_visible('d', 'view', 'newt_test_staff');
SELECT * FROM sight;
SELECT * FROM policies;
-- what was granted is taken back, so that the role can be dropped; or what it owns is
SELECT newt.revoke_store('d', 'newt_test_staff');
DROP OWNED BY newt_test_late;
SELECT * FROM sight;
DROP ROLE newt_test_staff;
CREATE ROLE newt_test_staff;
SELECT newt.grant_principals('d', 'newt_test_staff', 'staff');
-- the other order, and two tables of one class
SELECT newt.drop_derived('d', 'issues');
CALL pg_temp.declare();
CALL pg_temp.declare('others');
SELECT newt.grant_visible('d', 'issues.edit', 'newt_test_staff');
SELECT newt.grant_visible('d', 'others.view', 'newt_test_late');
SELECT r, pg_temp.seen(r, 'issues.zoid', 'others.zoid', 'issue.id', 'issues_documents.zoid', 'others_documents.zoid') FROM unnest('{newt_test_staff,newt_test_late}'::text[]) r;
CREATE ROLE newt_test_both;
GRANT newt_test_staff, newt_test_late TO newt_test_both;
SELECT pg_temp.seen('newt_test_both', 'issues.zoid', 'others.zoid', 'issue.id', 'issues_documents.zoid', 'others_documents.zoid');
SELECT newt.drop_derived('d', 'issues');
SELECT r, pg_temp.seen(r, 'others.zoid', 'issue.id', 'others_documents.zoid') FROM unnest('{newt_test_staff,newt_test_late}'::text[]) r;
-- a role that could read a table before is to see less now: not by another one of which it is a member
CALL pg_temp.declare();
CREATE ROLE newt_test_group;
GRANT USAGE ON SCHEMA d TO newt_test_group;
GRANT SELECT ON d.issues TO newt_test_group;
GRANT newt_test_group TO newt_test_both;
SELECT newt.revoke_store('d', 'newt_test_staff'), newt.revoke_store('d', 'newt_test_late');
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'issues.view', 'newt_test_both')$$);
SELECT newt.grant_visible('d', 'issues.view', 'newt_test_hr');
SELECT pg_temp.seen('newt_test_group', 'issues.zoid');
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'issues.view', 'newt_test_both')$$);
SELECT newt.revoke_store('d', 'newt_test_late');
SELECT newt.drop_derived('d', 'others');
SELECT newt.grant_visible('d', 'issues.view', 'newt_test_group');
SELECT newt.grant_principals('d', 'newt_test_group', 'staff');
SELECT pg_temp.seen('newt_test_group', 'issues.zoid', 'issue.id', 'issues_documents.zoid');
-- a role that the DBA lets read a typed table too early does not see all of it later
CALL newt.drop_table('d', 'Issue');
CALL newt.create_table('d', 'Issue');
GRANT SELECT ON d.issue TO newt_test_group;
SELECT newt.grant_visible('d', 'issues.view', 'newt_test_hr');
SELECT pg_temp.seen('newt_test_group', 'issue.id');
SELECT newt.revoke_store('d', 'newt_test_group'), newt.revoke_store('d', 'newt_test_hr');
-- what policies of the DBA's own hide from readers stays hidden
CALL newt.drop_table('d', 'Issue');
CALL newt.create_table('d', 'Issue');
ALTER TABLE d.issue ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON d.issue USING (id % 2 = 0);
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'issues.view', 'newt_test_hr')$$);
ALTER POLICY even ON d.issue TO newt_regr_reader;
SELECT newt.grant_visible('d', 'issues.view', 'newt_test_hr');
SELECT pg_temp.seen('newt_regr_reader', 'issue.id', 'issues.zoid');
SELECT newt.grant_store('d', 'newt_regr_reader', 'reader');
SELECT pg_temp.seen('newt_regr_reader', 'issue.id', 'issues.zoid');
SELECT newt.revoke_store('d', 'newt_test_hr'), newt.revoke_store('d', 'newt_regr_reader');
SELECT * FROM policies;
-- switched off by hand, it is on again when a role is to see a part
SELECT newt.grant_store('d', 'newt_regr_reader', 'reader');
ALTER TABLE d.issue DISABLE ROW LEVEL SECURITY;
SELECT pg_temp.seen('newt_regr_reader', 'issue.id');
SELECT newt.grant_visible('d', 'issues.view', 'newt_test_late');
SELECT pg_temp.seen('newt_test_late', 'issue.id'), c.relrowsecurity FROM pg_class c WHERE c.oid = 'd.issue'::regclass;
SELECT newt.revoke_store('d', 'newt_test_late'), newt.revoke_store('d', 'newt_regr_reader');
-- a role has the principals of those whose rights it has without SET ROLE
CREATE ROLE newt_test_idle NOINHERIT;
GRANT newt_test_hr TO newt_test_idle;
SELECT d.newt_principals('newt_test_hr'), d.newt_principals('newt_test_idle');
DROP ROLE newt_test_idle;
DROP SCHEMA d CASCADE;
DROP ROLE newt_test_hr; DROP ROLE newt_test_staff; DROP ROLE newt_regr_reader; DROP ROLE newt_test_late; DROP ROLE newt_test_both; DROP ROLE newt_test_group;
