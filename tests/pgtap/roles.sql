-- What each kind of role can do with a store, and nothing else. Every right on every relation of the
-- store is listed: a table without a line here fails.
BEGIN ISOLATION LEVEL READ COMMITTED;
CREATE EXTENSION newt;
SELECT newt.create_store('s');
SELECT newt.create_store('another');
CREATE ROLE newt_t_reader; CREATE ROLE newt_t_application; CREATE ROLE newt_t_updater; CREATE ROLE newt_t_owner;
CREATE ROLE "newt_t'""odd""' role";
CREATE ROLE newt_t_member LOGIN IN ROLE newt_t_reader;
CREATE VIEW s.typed WITH (security_invoker = true) AS SELECT zoid FROM s.newt_projection;
CREATE VIEW s.typed_twice WITH (security_invoker = true) AS SELECT zoid FROM s.newt;
CREATE TABLE s.other (a int);
SELECT newt.grant_store('s', 'newt_t_' || k, k) FROM unnest(ARRAY['reader', 'application', 'updater', 'owner']) k;

INSERT INTO s.newt_follower (name, tid) VALUES ('f', 1);
INSERT INTO s.transaction (tid, serial, nonce, written, removed) VALUES (1000, 1000, 0, '{}', '{}');

CREATE TEMP TABLE wanted (relation text, reader text, application text, updater text);
INSERT INTO wanted VALUES
    ('newt', 'SELECT', 'SELECT', 'SELECT'), ('newt_reject', 'SELECT', 'SELECT', 'SELECT'), ('typed', 'SELECT', 'SELECT', 'SELECT'),
    ('newt_store', 'SELECT', 'SELECT', 'SELECT'), ('newt_incarnation', 'SELECT', 'SELECT', 'SELECT'),
    ('object_state', 'SELECT', 'SELECT INSERT UPDATE DELETE', 'SELECT'),
    ('newt_projection', 'SELECT', 'SELECT INSERT UPDATE DELETE', 'SELECT INSERT UPDATE DELETE'),
    ('newt_reject_entry', 'SELECT', 'SELECT INSERT UPDATE DELETE', 'SELECT INSERT UPDATE DELETE'),
    ('transaction', 'SELECT', 'SELECT INSERT', 'SELECT DELETE'), ('transaction_object', 'SELECT', 'SELECT INSERT', 'SELECT DELETE'),
    ('newt_reprojection', 'SELECT', 'SELECT', 'SELECT INSERT UPDATE DELETE'), ('newt_reprojected', 'SELECT', 'SELECT', 'SELECT INSERT UPDATE DELETE'),
    ('newt_search', 'SELECT', 'SELECT', 'SELECT'), ('newt_search_word', 'SELECT', 'SELECT', 'SELECT'),
    ('newt_derived', 'SELECT', 'SELECT', 'SELECT'), ('newt_dependency', 'SELECT', 'SELECT', 'SELECT'), ('newt_derived_pending', 'SELECT', 'SELECT', 'SELECT'),
    ('newt_principal_set', 'SELECT', 'SELECT', 'SELECT'), ('newt_principal_sum', 'SELECT', 'SELECT', 'SELECT'),
    ('newt_role_principal', '', '', ''), ('newt_claim_key', '', '', ''), -- who can read these chooses what he sees
    ('typed_twice', 'SELECT', 'SELECT', 'SELECT'),
    ('newt_class', 'SELECT', 'SELECT INSERT', 'SELECT'), ('newt_table', 'SELECT', 'SELECT', 'SELECT UPDATE'), ('newt_commit_lock', 'SELECT', 'SELECT UPDATE', 'SELECT'),
    ('newt_follower', 'SELECT', 'SELECT INSERT UPDATE DELETE', 'SELECT INSERT UPDATE DELETE'), ('other', '', '', '');
CREATE TEMP VIEW has AS
    SELECT c.relname AS relation, k.kind, (SELECT coalesce(string_agg(p.right_of, ' ' ORDER BY p.n), '')
             FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY p(right_of, n)
            WHERE has_table_privilege('newt_t_' || k.kind, c.oid, p.right_of)) AS rights
      FROM pg_class c, unnest(ARRAY['reader', 'application', 'updater']) k(kind)
     WHERE c.relnamespace = 's'::regnamespace AND c.relkind IN ('r', 'v');

SELECT plan(59);
SELECT is_empty('SELECT relation FROM has EXCEPT SELECT relation FROM wanted', 'every relation of the store has been thought of');
SELECT set_eq(format('SELECT relation, rights FROM has WHERE kind = %L', k), format('SELECT relation, %I FROM wanted', k), k || ': rights on tables and views')
  FROM unnest(ARRAY['reader', 'application', 'updater']) k;
SELECT is_empty($$SELECT k, c.relname FROM pg_class c, unnest(ARRAY['reader', 'application', 'updater', 'owner']) k
    WHERE c.relnamespace = 'another'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('newt_t_' || k, c.oid, 'SELECT, INSERT, UPDATE, DELETE')$$,
    'nobody has rights in another store');
SELECT is(has_column_privilege('newt_t_reader', 's.newt_incarnation', 'one', 'INSERT') AND NOT has_column_privilege('newt_t_reader', 's.newt_incarnation', 'id', 'INSERT'),
    true, 'a reader can be the first after a crash, without choosing the name');
SELECT is(array(SELECT k FROM unnest(ARRAY['reader', 'application', 'updater']) k WHERE has_sequence_privilege('newt_t_' || k, 's.newt_oid', 'USAGE')
    AND has_sequence_privilege('newt_t_' || k, 's.newt_serial', 'USAGE')), ARRAY['application'], 'numbers are for applications');
SELECT is(array(SELECT k FROM unnest(ARRAY['reader', 'application', 'updater']) k WHERE has_sequence_privilege('newt_t_' || k, 's.newt_oid', 'UPDATE, SELECT')),
    '{}', 'nobody sets them back');
SELECT is(array(SELECT k FROM unnest(ARRAY['reader', 'application', 'updater', 'owner']) k WHERE has_schema_privilege('newt_t_' || k, 's', 'CREATE')),
    ARRAY['owner'], 'the owner alone makes tables in the schema');

-- by doing
SET ROLE newt_t_member;
SELECT lives_ok('SELECT count(*) FROM s.newt', 'a member of the reader reads');
SELECT lives_ok('SELECT count(*) FROM s.typed', 'also typed views');
SELECT lives_ok($$SELECT f FROM newt.freshness('s') f$$, 'also how far followers are');
SELECT lives_ok($$SELECT h FROM newt.health('s') h$$, 'and how the store is');
SELECT lives_ok($$SELECT r FROM newt.rejects_report('s') r$$, 'and what was refused');
SELECT lives_ok($$SELECT newt.prune_limit('s')$$, 'and what may go');
SELECT is(newt.wait_for(0, '0', 's', 'f'), true, 'and waits');
SELECT lives_ok(format('SELECT q FROM newt.%s q', q), 'and asks newt.' || q)
  FROM unnest(ARRAY[$$classes('s')$$, $$paths('s', 'newt.Root')$$, $$referrers('s', 1)$$, $$reachable('s', 1)$$, $$dangling('s')$$, $$object('s', 1)$$,
    $$advise('s', 'SELECT 1 FROM s.newt')$$]) q;
SELECT throws_ok($$SELECT newt.prune('s')$$, '42501', NULL, 'but removes no transaction');
SELECT throws_ok($$SELECT newt.set_retention('s', '1 h')$$, '42501', NULL, 'and sets nothing');
SELECT throws_ok($$SELECT newt.set_projection('s', NULL, 'virtual')$$, '42501', NULL, 'nor says who projects');
SELECT throws_ok('DELETE FROM s.object_state', '42501', NULL, 'and writes nothing');
SELECT throws_ok('LOCK TABLE s.newt_commit_lock IN EXCLUSIVE MODE', '42501', NULL, 'nor holds commits up');
SELECT throws_ok('SELECT * FROM another.newt', '42501', NULL, 'nor reads another store');
RESET ROLE;
SET ROLE newt_t_application;
SELECT lives_ok('LOCK TABLE s.newt_commit_lock IN EXCLUSIVE MODE', 'an application locks the commit lock');
SELECT throws_ok('DELETE FROM s.transaction', '42501', NULL, 'but rewrites no history');
SELECT throws_ok($$SELECT newt.prune('s')$$, '42501', NULL, 'nor prunes');
SELECT throws_ok('TRUNCATE s.object_state', '42501', NULL, 'and empties no table');
RESET ROLE;
SET ROLE newt_t_updater;
SELECT throws_ok('UPDATE s.object_state SET serial = 1', '42501', NULL, 'the updater changes no object');
SELECT is(newt.prune('s'), 1::bigint, 'it prunes');
SELECT throws_ok($$SELECT newt.set_retention('s', '1 h')$$, '42501', NULL, 'but does not say what may go');
SELECT lives_ok($$INSERT INTO s.newt_reprojection (classes, zoid) VALUES ('{}', 0); UPDATE s.newt_reprojection SET zoid = 1;
    INSERT INTO s.newt_reprojected (zoid, serial) VALUES (1, 1); UPDATE s.newt_reprojected SET serial = 2;
    DELETE FROM s.newt_reprojected; DELETE FROM s.newt_reprojection$$, 'and projects anew');
RESET ROLE;

-- ownership
SELECT is_empty($$SELECT relname FROM pg_class c WHERE relnamespace = 's'::regnamespace AND relname NOT IN ('other') AND relkind IN ('r', 'v', 'S')
    AND relowner <> 'newt_t_owner'::regrole$$, 'the owner owns all of the store');
SELECT isnt((SELECT relowner FROM pg_class WHERE oid = 's.other'::regclass), 'newt_t_owner'::regrole::oid, 'and nothing else');
SET ROLE newt_t_owner;
SELECT lives_ok('CREATE INDEX ON s.newt_projection (class_name)', 'it makes indexes');
SELECT lives_ok($$SELECT newt.set_retention('s', '1 h')$$, 'says how long transactions are kept');
SELECT lives_ok($$SELECT newt.set_projection('s', NULL, 'virtual')$$, 'and who projects');
RESET ROLE; SET ROLE newt_t_member;
SELECT is((SELECT count(*) FROM s.newt), 1::bigint, 'readers read a virtual store');
RESET ROLE; SET ROLE newt_t_owner;
SELECT lives_ok($$SELECT newt.set_projection('s', NULL, 'inline')$$, 'and back');
SELECT lives_ok($$SELECT newt.grant_store('s', 'newt_t_reader', 'reader')$$, 'and gives rights, again if need be');
RESET ROLE;

-- later tables, other names, mistakes, and the way back
SELECT newt.grant_store('s', 'newt_t''"odd"'' role', 'application');
SELECT ok(has_table_privilege('newt_t''"odd"'' role', 's.object_state', 'INSERT'), 'a role of any name');
SELECT newt.grant_store('s', 'newt_t_reader', 'reader');
SET ROLE newt_t_owner; CREATE TABLE s.later (a int); RESET ROLE;
SELECT ok(has_table_privilege('newt_t_reader', 's.later', 'SELECT') AND NOT has_table_privilege('newt_t_reader', 's.later', 'INSERT'), 'what the owner adds later can be read');
SELECT throws_ok($$SELECT newt.grant_store('s', 'newt_t_reader', 'king')$$, '22023', NULL, 'an unknown kind');
SELECT throws_ok($$SELECT newt.grant_store('s', 'nobody', 'reader')$$, '42704', NULL, 'an unknown role');
SELECT newt.revoke_store('s', 'newt_t_application');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind IN ('r', 'v') AND has_table_privilege('newt_t_application', oid, 'SELECT, INSERT, UPDATE, DELETE')$$,
    'revoked');

-- another owner: the readers stay readers, and nothing keeps a role that has lost its rights
CREATE ROLE newt_t_next; CREATE ROLE newt_t_other; CREATE ROLE newt_t_late;
INSERT INTO s.newt_class (name, version, fields) VALUES ('T', 1, '[{"name": "a", "kind": "text"}]');
DO $$BEGIN EXECUTE newt.create_table_sql('s', 'T', 'newt_t_reports', mode => 'updater'); END$$;
SELECT newt.grant_store('s', 'newt_t_late', 'reader');
SELECT ok(has_schema_privilege('newt_t_late', 'newt_t_reports', 'USAGE') AND has_table_privilege('newt_t_late', 'newt_t_reports.t', 'SELECT')
          AND NOT has_table_privilege('newt_t_late', 'newt_t_reports.t', 'INSERT, UPDATE, DELETE'), 'a reader reads typed tables, also in another schema');
SELECT newt.grant_store('s', 'newt_t_next', 'owner');
SELECT table_owner_is('newt_t_reports', 't', 'newt_t_next', 'they belong to the owner');
SET ROLE newt_t_next; CREATE TABLE s.of_next (a int); CREATE MATERIALIZED VIEW s.kept AS SELECT 1 AS one; RESET ROLE;
SELECT ok(has_table_privilege('newt_t_late', 's.of_next', 'SELECT'), 'a reader reads what the next owner makes');
SELECT ok(has_table_privilege('newt_t_late', 's.kept', 'SELECT'), 'materialized views as well');
SELECT newt.revoke_store('s', 'newt_t_late');
SELECT lives_ok('DROP ROLE newt_t_late', 'a reader can be dropped when its rights are gone');
SELECT is_empty($$SELECT a.grantee::regrole, d.defaclrole::regrole FROM pg_default_acl d, aclexplode(d.defaclacl) a
    WHERE d.defaclrole = 'newt_t_owner'::regrole AND a.grantee <> d.defaclrole$$, 'the old owner gives no rights any more');
-- a table of somebody else's beside the store holds nothing up
DROP TABLE s.later;
GRANT CREATE, USAGE ON SCHEMA s TO newt_t_other;
SET ROLE newt_t_other; CREATE TABLE s.of_other (a int); RESET ROLE;
SET ROLE newt_t_next;
SELECT lives_ok($$SELECT newt.revoke_store('s', 'newt_t_updater')$$, 'the owner takes rights back beside a table of somebody else''s');
RESET ROLE;
SELECT ok(NOT has_table_privilege('newt_t_updater', 's.newt_projection', 'SELECT, INSERT'), 'they are gone');
SELECT newt.revoke_store('s', 'newt_t_updater'); -- the right on the schema, by who has given it
SELECT lives_ok('DROP ROLE newt_t_updater', 'and so can be the role');
SELECT * FROM finish();
ROLLBACK;
