-- Derived columns and principals: made, kept by commits, checked, seen by roles
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set documents :srcdir '/documents.sql'
\i :documents
SELECT newt.create_store('d');
SET test.store = 'd';
INSERT INTO d.newt_class (name, version, fields) VALUES
 ('Folder', 1, '[{"name":"title","kind":"text"},{"name":"parent","kind":"ref","class":"Folder"},{"name":"acl","kind":"struct","shape":"list","fields":[]},{"name":"readers","kind":"text","shape":"list"},{"name":"blocked","kind":"text","shape":"list"}]'),
 ('Doc', 1, '[{"name":"title","kind":"text"},{"name":"parent","kind":"ref","class":"Folder"},{"name":"owner","kind":"ref","class":"Person"},{"name":"readers","kind":"text","shape":"list"}]'),
 ('Person', 1, '[{"name":"name","kind":"text"},{"name":"company","kind":"ref","class":"Company"}]'),
 ('Company', 1, '[{"name":"name","kind":"text"}]'),
 ('Note', 1, '[{"name":"body","kind":"text"},{"name":"size","kind":"int","bits":32},{"name":"on","kind":"ref","class":"Doc"},{"name":"by","kind":"ref","class":"Person"}]');
CALL pg_temp.put(2000, 'Folder', '{"title":"top","readers":["all"]}');
CALL pg_temp.put(2001, 'Folder', '{"title":"sub","parent":{"::=>":2000},"blocked":["bob"],"readers":["ann"]}');
CALL pg_temp.put(2100, 'Person', '{"name":"Ada","company":{"::=>":2200}}');
CALL pg_temp.put(2200, 'Company', '{"name":"Acme"}');
CALL pg_temp.put(2500, 'Doc', '{"title":"one","parent":{"::=>":2001},"owner":{"::=>":2100}}');
CALL pg_temp.put(2501, 'Doc', '{"title":"two","parent":{"::=>":2001},"owner":{"::=>":2100},"readers":["bob"]}');
CALL newt.create_derived('d', 'docs', '{Folder,Doc}', '[
 {"name":"title","value":"title","type":"text"},
 {"name":"owner","value":"owner->name","type":"text"},
 {"name":"company","value":"owner->company->name","type":"text"},
 {"name":"words","text":["title:A","owner->name:B"],"config":"english"},
 {"name":"notes","count":"","of":"Note","by":"on"},
 {"name":"size","sum":"size","of":"Note","by":"on","type":"bigint"},
 {"name":"view","access":{"allow":"readers","deny":"blocked"}}]', 'parent');
CREATE TEMP VIEW seen AS SELECT d.zoid, d.class_name, d.parent_id, d.title, d.owner, d.company, d.words, d.notes, d.size, s.entries FROM d.docs d JOIN d.newt_principal_set s ON s.id = d.view ORDER BY 1;
SELECT * FROM seen;
CALL pg_temp.put(2600, 'Note', '{"body":"hm","size":7,"on":{"::=>":2500}}');
CALL pg_temp.put(2601, 'Note', '{"body":"hm","size":5,"on":{"::=>":2500}}');
CALL pg_temp.put(2200, 'Company', '{"name":"Acme Inc"}');
SELECT * FROM seen;
CALL pg_temp.put(2601, 'Note', '{"body":"hm","size":5,"on":{"::=>":2501}}');
CALL pg_temp.put(2001, 'Folder', '{"title":"sub","blocked":["bob"],"readers":["ann"]}');
CALL pg_temp.del(2100);
SELECT * FROM seen;
CALL pg_temp.put(2000, 'Folder', '{"title":"top","parent":{"::=>":2001},"readers":["all"]}');
CALL pg_temp.put(2001, 'Folder', '{"title":"sub","parent":{"::=>":2000},"blocked":["bob"],"readers":["ann"]}');
SELECT * FROM seen;
-- an older one comes into the loop, and goes
CALL pg_temp.put(1999, 'Folder', '{"title":"old","parent":{"::=>":2000},"readers":["eve"]}');
CALL pg_temp.put(2001, 'Folder', '{"title":"sub","parent":{"::=>":1999},"blocked":["bob"],"readers":["ann"]}');
SELECT zoid, parent_id, entries FROM seen;
SELECT * FROM newt.check_derived('d') ORDER BY zoid, problem;
CALL pg_temp.del(1999);
SELECT zoid, parent_id, entries FROM seen;
SELECT * FROM newt.check_derived('d') ORDER BY zoid, problem;
CALL pg_temp.put(2001, 'Folder', '{"title":"sub","parent":{"::=>":2000},"blocked":["bob"],"readers":["ann"]}');
CALL pg_temp.put(2000, 'Folder', '{"title":"top","readers":["all"]}');
CALL pg_temp.del(2501);
SELECT * FROM seen;
SELECT * FROM d.newt_dependency ORDER BY source;
SELECT * FROM newt.check_derived('d') ORDER BY zoid, problem;
UPDATE d.docs SET notes = 5, view = 2, parent_id = 7 WHERE zoid = 2500;
DELETE FROM d.newt_dependency WHERE source=2601;
SELECT * FROM newt.check_derived('d') ORDER BY zoid, problem;
CALL newt.refresh_derived('d', anew => true);
SELECT * FROM newt.check_derived('d') ORDER BY zoid, problem;
CALL pg_temp.put(2000, 'Folder', '{"title":"top","parent":{"::=>":2001},"readers":["all"]}');
SELECT * FROM newt.check_derived('d') ORDER BY zoid, problem;
SELECT * FROM seen;
SELECT newt.can('d', 'view', '{all}');
SELECT newt.can('d', 'view', '{all,bob}', 1);
SELECT newt.can('d', 'view', '{all,bob}', 1, 2000);
SELECT n, depth, zoid, entry, decides FROM newt.why('d', 'view', 2500, '{all,bob}');
SELECT n, depth, zoid, entry, decides FROM newt.why('d', 'docs.view', 2000);
-- a page with the principals of each list, and of nobody: what decides is what newt.can() says
SELECT count(*), count(*) FILTER (WHERE w.allows) AS allowed,
       count(*) FILTER (WHERE w.allows IS DISTINCT FROM (d.zoid IN (SELECT newt.can('d', 'view', p.principals)))) AS different
  FROM d.docs d, (VALUES ('{all}'::text[]), ('{bob}'), ('{ann}'), ('{all,bob}'), ('{ann,bob}'), ('{}'), ('{x}')) p (principals),
       LATERAL (SELECT coalesce(bool_or(y.entry LIKE '+%') FILTER (WHERE y.decides), false) AS allows FROM newt.why('d', 'view', d.zoid, p.principals) y) w;
-- of more entries than a list has, the last allow nothing
SELECT jsonb_build_object('readers', jsonb_agg('r' || lpad(i::text, 5, '0'))) AS wide FROM generate_series(1, 9999) i \gset
CALL pg_temp.put(2002, 'Folder', :'wide');
CALL pg_temp.put(2502, 'Doc', '{"title":"deep","parent":{"::=>":2002},"readers":["a","b"]}');
SELECT p, newt.can('d', 'view', ARRAY[p]) AS may_see, (SELECT count(*) FROM newt.why('d', 'view', 2502, ARRAY[p]) y WHERE y.decides) AS decide
  FROM (VALUES ('r09998'), ('r09999')) v (p);
CALL pg_temp.del(2502);
CALL pg_temp.del(2002);
-- many that have nothing below them, fewer than a commit may compute: none waits
DO $$
DECLARE many bigint[] := ARRAY(SELECT generate_series(3001, 3650));
BEGIN
    INSERT INTO d.object_state SELECT z, 90000, pg_temp.record('Folder', '{"parent":{"::=>":2000}}') FROM unnest(many) z;
    CALL pg_temp.transact(many, '{}', 90000);
END
$$;
CALL pg_temp.put(2000, 'Folder', '{"title":"top","parent":{"::=>":2001},"readers":["all","new"]}');
SELECT waiting FROM newt.derived('d');
SELECT count(*) FROM newt.can('d', 'view', '{new}') z WHERE z BETWEEN 3001 AND 3650;
DO $$
DECLARE many bigint[] := ARRAY(SELECT generate_series(3001, 3650));
BEGIN
    DELETE FROM d.object_state WHERE zoid = ANY (many);
    CALL pg_temp.transact('{}', many, 90001);
END
$$;
CALL pg_temp.put(2000, 'Folder', '{"title":"top","parent":{"::=>":2001},"readers":["all"]}');

-- roles
CREATE ROLE newt_test_report; CREATE ROLE newt_regr_other; CREATE ROLE newt_regr_reader;
SELECT newt.grant_store('d', 'newt_regr_reader', 'reader');
SELECT newt.grant_visible('d', 'view', 'newt_test_report');
SELECT newt.grant_visible('d', 'docs.view', 'newt_regr_other');
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_regr_reader')$$);
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'nobody_such')$$), pg_temp.error_of($$SELECT newt.grant_principals('d', 'nobody_such', 'x')$$), pg_temp.error_of($$SELECT newt.revoke_principals('d', 'nobody_such', 'x')$$);
SELECT pg_temp.error_of($$SELECT newt.grant_principals('d', 'newt_test_report', 'x', NULL)$$), pg_temp.error_of($$SELECT newt.grant_principals('d', 'newt_test_report', VARIADIC NULL)$$), pg_temp.error_of($$SELECT newt.grant_principals('d', 'newt_test_report', '')$$);
-- each is told what helps
CREATE ROLE newt_test_strong SUPERUSER BYPASSRLS;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
ALTER ROLE newt_test_strong NOSUPERUSER;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
ALTER ROLE newt_test_strong NOBYPASSRLS;
GRANT newt_regr_reader TO newt_regr_other;
GRANT newt_regr_other TO newt_test_strong;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
REVOKE newt_regr_reader FROM newt_regr_other;
GRANT SELECT ON d.object_state TO PUBLIC;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
REVOKE ALL ON d.object_state FROM PUBLIC;
GRANT SELECT (state) ON d.newt_projection TO newt_test_strong;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
REVOKE ALL (state) ON d.newt_projection FROM newt_test_strong;
GRANT UPDATE (principal) ON d.newt_role_principal TO newt_test_strong;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
REVOKE ALL (principal) ON d.newt_role_principal FROM newt_test_strong;
GRANT pg_read_all_data TO newt_test_strong;
SELECT pg_temp.error_of($$SELECT newt.grant_visible('d', 'view', 'newt_test_strong')$$);
DROP ROLE newt_test_strong;
SELECT newt.create_store('e');
SELECT replace(pg_temp.error_of($$SELECT newt.my_principals('e')$$), current_user, 'superuser'), pg_temp.error_of($$SELECT newt.my_principals('nowhere')$$), pg_temp.error_of($$SELECT newt.my_principals(NULL)$$);
SELECT newt.grant_principals('d', 'newt_test_report', 'ann');
SELECT newt.create_claim_key('d');
SELECT newt.sign_claim('d', 'newt_regr_other', '{all}') AS claim, newt.sign_claim('d', 'newt_regr_other', '{all}', '-1 s') AS late, newt.sign_claim('d', 'newt_test_report', '{all}') AS others \gset
SET ROLE newt_test_report;
SELECT zoid, title FROM d.docs ORDER BY zoid;
SELECT zoid, state->>'title' FROM d.docs_documents ORDER BY zoid;
SELECT newt.my_principals('d');
SELECT pg_temp.error_of('SELECT key FROM d.newt_claim_key'), pg_temp.error_of('SELECT FROM d.newt'), pg_temp.error_of('SELECT FROM d.newt_role_principal');
RESET ROLE;
-- the lists are found by their index
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT count(*) FROM d.newt_visible('newt_test_report');
SELECT seq_scan, idx_scan > 0 AS by_index FROM pg_stat_xact_user_tables WHERE relid = 'd.newt_principal_set'::regclass;
COMMIT;
SET ROLE newt_regr_other;
SELECT zoid, title FROM d.docs ORDER BY zoid;
SET newt.claim = :'claim';
SELECT zoid, title FROM d.docs ORDER BY zoid;
SET newt.claim = :'late';
SELECT pg_temp.error_of('SELECT FROM d.docs');
SET newt.claim = :'others';
SELECT pg_temp.error_of('SELECT FROM d.docs');
SELECT set_config('newt.claim', overlay(:'claim' PLACING 'ff' FROM 3), false) IS NOT NULL;
SELECT pg_temp.error_of('SELECT FROM d.docs');
RESET newt.claim;
RESET ROLE;
SET ROLE newt_regr_reader;
SELECT count(*) FROM d.docs;
RESET ROLE;
SELECT newt.revoke_store('d', 'newt_regr_reader');

-- kept by newt-updater: it is called for what has changed, or for everything
CALL newt.create_derived('d', 'later', '{Doc}', '[{"name":"notes","count":"","of":"Note","by":"on"}]', mode => 'updater');
CALL pg_temp.put(2610, 'Note', '{"body":"hm","size":7,"on":{"::=>":2500}}');
SELECT zoid, notes FROM d.later ORDER BY zoid;
SELECT newt.follow_derived('d', '{2610}');
SELECT zoid, notes FROM d.later ORDER BY zoid;
CALL pg_temp.del(2610);
SELECT newt.copy_derived('d', 0, 2609);
SELECT problem FROM newt.check_derived('d', 'later');
SELECT newt.copy_derived('d', 2609, 9223372036854775807);
SELECT zoid, notes FROM d.later ORDER BY zoid;
SELECT problem FROM newt.check_derived('d', 'later');
SELECT newt.drop_derived('d', 'later');
-- what another object refers to is remembered when that one alone has changed
CALL newt.create_derived('d', 'said', '{Doc}', '[{"name":"writers","value":"by->name","type":"text[]","of":"Note","by":"on"}]');
CALL pg_temp.put(2101, 'Person', '{"name":"Bob"}');
CALL pg_temp.put(2610, 'Note', '{"on":{"::=>":2500},"by":{"::=>":2101}}');
CALL pg_temp.put(2101, 'Person', '{"name":"Bo"}');
SELECT zoid, writers FROM d.said WHERE zoid = 2500;
SELECT problem FROM newt.check_derived('d', 'said');
CALL pg_temp.del(2610);
CALL pg_temp.del(2101);
SELECT newt.drop_derived('d', 'said');
DROP VIEW seen;
SELECT newt.drop_derived('d', 'docs');
-- pages: of many lists, by the objects in their order, and by the beginnings of each list
INSERT INTO d.object_state SELECT 5000 + i, 1, pg_temp.record('Doc', jsonb_build_object('title', 'd' || i, 'readers', jsonb_build_array(CASE WHEN i BETWEEN 200 AND 1500 THEN 'nobody' ELSE 'g' || i % 120 END)))
  FROM generate_series(1, 2000) i;
CALL newt.create_derived('d', 'many', '{Doc}', '[{"name": "view", "access": {"allow": "readers"}}]');
CREATE FUNCTION pg_temp.pages(at_most bigint, principals text[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    result bigint[] := '{}';
    page bigint[];
BEGIN
    LOOP
        page := ARRAY(SELECT newt.can('d', 'many.view', principals, at_most, coalesce(result[cardinality(result)], 0)));
        EXIT WHEN page = '{}';
        result := result || page;
    END LOOP;
    RETURN result;
END
$$;
SELECT p.at_most, g.lists, cardinality(p.zoids), p.zoids = ARRAY(SELECT t.zoid FROM d.many t WHERE t.view IN (SELECT unnest(newt.principal_sets('d', g.principals))) ORDER BY 1) AS right
  FROM (SELECT n AS lists, array_agg('g' || i) AS principals FROM (VALUES (3), (120)) l (n), generate_series(0, 119) i WHERE i < n GROUP BY n) g,
       LATERAL (SELECT m AS at_most, pg_temp.pages(m, g.principals) AS zoids FROM (VALUES (1), (7), (50)) v (m)) p ORDER BY 2, 1;
-- a transaction whose objects are in chunks
INSERT INTO d.transaction_object (serial, n, written, removed) VALUES (990001, 1, '{5001}', '{5002}');
DELETE FROM d.object_state WHERE zoid = 5002;
UPDATE d.object_state SET state = pg_temp.record('Doc', '{"readers": ["zoe"]}') WHERE zoid = 5001;
CALL pg_temp.transact(NULL, NULL, 990001);
SELECT newt.can('d', 'many.view', '{zoe}'), (SELECT count(*) FROM newt.check_derived('d'));
-- wrong arguments
SELECT pg_temp.error_of($$SELECT newt.can('d', 'view', '{a}')$$), pg_temp.error_of($$SELECT newt.can('d', 'many.view', '{a,NULL}')$$), pg_temp.error_of($$SELECT newt.drop_derived('d', 'other')$$);
\set VERBOSITY terse
CALL newt.refresh_derived('d', share => 2);
CALL newt.create_derived('d', 'newt_x', '{Doc}', '[{"name": "view", "access": {"allow": "readers"}}]');
CALL newt.create_derived('d', 'many', '{Doc}', '[{"name": "view", "access": {"allow": "readers"}}]');
CALL newt.create_derived('d', 'x', '{Other}', '[{"name": "view", "access": {"allow": "readers"}}]');
CALL newt.create_derived('d', 'x', '{Doc}', '[{"name": "view", "access": {"deny": "readers"}}]');
-- a table that somebody has dropped does not make commits fail
DROP TABLE d.many;
CALL pg_temp.put(5003, 'Doc', '{"readers": ["ann"]}');
SELECT problem FROM newt.check_derived('d');
CALL newt.refresh_derived('d');
CALL newt.create_derived('d', 'many', '{Doc}', '[{"name": "view", "access": {"allow": "readers"}}]');
SELECT newt.can('d', 'view', '{ann}') = 5003, (SELECT count(*) FROM newt.check_derived('d'));
SELECT newt.drop_derived('d', 'many');
SELECT newt.path_keys('a.b'), newt.path_keys(E'a\\.b.c\\\\'), newt.path_keys(E'a\\'), newt.path_keys('');
-- a superuser makes nothing that runs with its own rights
CREATE ROLE newt_regr_owner;
SELECT newt.grant_store('d', 'newt_regr_owner', 'owner');
CALL newt.create_derived('d', 'mine', '{Doc}', '[{"name": "view", "access": {"allow": "readers"}}]');
SELECT newt.grant_visible('d', 'mine.view', 'newt_test_report');
SELECT DISTINCT pg_get_userbyid(p.proowner) FROM pg_proc p WHERE p.pronamespace = 'd'::regnamespace AND p.prosecdef;
SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.relnamespace = 'd'::regnamespace AND c.relname LIKE 'mine%' AND c.relkind IN ('r', 'v') ORDER BY 1;
SET ROLE newt_test_report;
SELECT array_agg(zoid) FROM d.mine_documents;
RESET ROLE;
SELECT newt.drop_derived('d', 'mine');
SELECT count(*) FROM d.newt_dependency;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA d CASCADE; DROP SCHEMA e CASCADE;
DROP ROLE newt_test_report; DROP ROLE newt_regr_other; DROP ROLE newt_regr_reader; DROP OWNED BY newt_regr_owner; DROP ROLE newt_regr_owner;
