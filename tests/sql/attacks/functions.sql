-- report | the functions that maintain derived columns: newt_derive_1, newt_settle_1, newt_compute_derived, newt_follow_derived, newt_principal_set | 42501
SELECT shop.newt_derive_1('{12}', 10, true);
SELECT shop.newt_settle_1('{12}', 10);
SELECT shop.newt_compute_derived(1, 10);
SELECT shop.newt_follow_derived('{12}');
SELECT shop.newt_principal_set('{+staff}');
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | giving itself principals, keys, claims, rights | 42501
SELECT newt.grant_principals('shop', 'newt_attack_report', 'board');
SELECT newt.revoke_principals('shop', 'newt_attack_other', 'board');
SELECT newt.create_claim_key('shop');
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}');
SELECT newt.grant_visible('shop', 'view', 'newt_attack_report');
SELECT newt.grant_store('shop', 'newt_attack_report', 'reader');
SELECT newt.revoke_store('shop', 'newt_attack_other');
INSERT INTO shop.newt_role_principal VALUES ('newt_attack_report', 'board');
INSERT INTO shop.newt_claim_key (key) VALUES ('x');
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | declaring, filling, dropping derived columns, typed tables, views, indexes, searches | 42501
CALL newt.create_derived('shop', 'mine', '{Page}', '[{"name": "t", "value": "title", "type": "text"}]');
CALL newt.refresh_derived('shop', anew => true);
SELECT newt.drop_derived('shop', 'pages');
CALL newt.create_table('shop', 'Folder');
SELECT newt.create_views('shop');
SELECT newt.create_text_index('shop', 'Page', 'english', 'title');
SELECT newt.set_projection('shop', 'Page', 'virtual');
SELECT newt.prune('shop');
SELECT newt.set_retention('shop', keep_rows => 0);
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | every function that asks about the store: newt.can, principal_sets, derived, check_derived, walk, reachable, referrers, classes, paths, sample, health, freshness | 42501
SELECT newt.can('shop', 'view', '{board}');
SELECT newt.principal_sets('shop', '{board}');
SELECT * FROM newt.derived('shop');
SELECT * FROM newt.check_derived('shop');
SELECT * FROM newt.walk('shop', '{12}');
SELECT * FROM newt.reachable('shop', 12);
SELECT * FROM newt.referrers('shop', 13);
SELECT * FROM newt.classes('shop');
SELECT * FROM newt.paths('shop', 'Page');
SELECT * FROM newt.sample('shop', 'Page');
SELECT * FROM newt.health('shop');
SELECT * FROM newt.freshness('shop');
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | the functions in C with which programs write: newt.write, newt.commit, newt.at_commit, newt.project_new, newt.committed | 42501, or 0A000 where plain SQL would have to do it; they say nothing about objects
SELECT newt.write('shop.object_state', '{12}', '{0}', ARRAY['\x83615401a0'::bytea], 5, false);
SELECT newt.write('shop.pages', '{12}', '{0}', ARRAY['\x83615401a0'::bytea], 5, false);
SELECT newt.commit('shop.transaction', 5, 1, '{12}', '{0}', ARRAY['\x83615401a0'::bytea], false, 0, 0);
BEGIN;
SELECT newt.at_commit('shop.transaction', 5, 1, '{12}', '{}', NULL, NULL, NULL);
COMMIT;
SELECT newt.project_new('shop.newt_projection', '{12,777}', '{Page}');
SELECT newt.committed('shop.transaction', 1, 1) IS NULL;
--> ERROR 0A000
--> ERROR 42809
--> ERROR 0A000
--> ERROR 42501
--> (0,"{12,777}")
--> t

-- report | tables of the store that it was not granted, and all of them through the catalog | 42501; the catalog shows the text of the functions, and no values
SELECT count(*) FROM shop.object_state;
SELECT count(*) FROM shop.newt;
SELECT count(*) FROM shop.newt_projection;
SELECT count(*) FROM shop.newt_principal_set;
SELECT count(*) FROM shop.newt_dependency;
SELECT count(*) FROM shop.newt_role_principal;
SELECT count(*) FROM shop.newt_claim_key;
SELECT array_agg(c.relname ORDER BY c.relname) FROM pg_class c WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind IN ('r', 'v') AND has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES');
SELECT array_agg(p.proname ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'shop'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE') AND p.prosecdef;
SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace AND p.prosecdef;
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> {page,pages,pages_documents}
--> {newt_principals,newt_visible}
--> 0

-- report | writing what it may read; locks that would make commits wait | 42501
UPDATE shop.pages SET view = 1;
DELETE FROM shop.pages;
TRUNCATE shop.pages;
UPDATE shop.pages_documents SET state = '{}';
DELETE FROM shop.page;
BEGIN;
LOCK TABLE shop.pages IN ROW SHARE MODE;
ROLLBACK;
BEGIN;
LOCK TABLE shop.newt_commit_lock IN EXCLUSIVE MODE;
ROLLBACK;
SELECT nextval('shop.newt_oid');
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- reader | the lists of principals, roles and keys; writing; the functions that maintain derived columns | it reads the lists; 42501 for the rest
SELECT count(*) > 0 FROM shop.newt_principal_set;
SELECT count(*) FROM shop.newt_role_principal;
SELECT count(*) FROM shop.newt_claim_key;
SELECT newt.sign_claim('shop', 'newt_attack_report', '{board}');
UPDATE shop.pages SET view = 0;
INSERT INTO shop.newt_principal_set (digest, entries, allowed, denies) VALUES ('', '{}', '{}', false);
INSERT INTO shop.newt_dependency VALUES (1, 1, 0, 1);
SELECT shop.newt_compute_derived(1, 1);
SELECT shop.newt_visible('newt_attack_other');
SELECT newt.grant_store('shop', 'newt_attack_reader', 'application');
--> t
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- reader | newt.can without principals, with null ones, with a million, with odd pages | 22004 for nulls, 54000 for too many; otherwise rows or none
SELECT newt.can('shop', 'view', NULL);
SELECT newt.can('shop', 'view', '{staff,NULL}');
SELECT newt.can('shop', 'view', '{}');
SELECT count(*) FROM newt.can('shop', 'view', ARRAY(SELECT 'p' || g FROM generate_series(1, 1000000) g) || '{staff}');
SELECT count(*) FROM newt.can('shop', 'view', ARRAY(SELECT 'p' || g FROM generate_series(1, 9999) g) || '{staff}');
SELECT newt.can('shop', 'view', '{staff}', -5);
SELECT newt.can('shop', 'view', '{staff}', 9223372036854775807, -9223372036854775808);
SELECT newt.can('shop', 'view', '{staff}', NULL, 9223372036854775807);
SELECT newt.can('shop', 'view'' OR true --', '{staff}');
SELECT newt.can('shop"."x', 'view', '{staff}');
SELECT newt.can('shop', 'view', '{"+staff","!","{staff}","%"}');
--> ERROR 22004
--> ERROR 22004
--> ERROR 54000
--> 2
--> 10
--> 11
--> ERROR 42704
--> ERROR 42704

-- updater | derived columns, principals, roles and keys; the functions that maintain derived columns, with odd arguments | it may have rows computed from the records, which changes nothing; otherwise 42501
SELECT shop.newt_follow_derived(NULL), shop.newt_follow_derived('{NULL,12,-1,777}'), (shop.newt_compute_derived(1, 10)).newt_rows;
SELECT (shop.newt_compute_derived(99, 10)).newt_rows;
SELECT (shop.newt_compute_derived(NULL, NULL)).newt_rows;
SELECT shop.newt_derive_1('{12}', 10);
UPDATE shop.pages SET view = 1;
UPDATE shop.newt_principal_set SET allowed = '{updater}';
INSERT INTO shop.newt_role_principal VALUES ('newt_attack_updater', 'board');
SELECT count(*) FROM shop.newt_claim_key;
UPDATE shop.object_state SET state = 'x';
--> ||0
--> 0
--> 0
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- updater | the registry of typed tables, whose rows it may change, pointed at newt_role_principal and at a table of its own | nothing is written there
-- changes
CREATE TABLE trap (id bigint PRIMARY KEY, title text, within_id bigint, owner_id bigint);
BEGIN;
UPDATE shop.newt_table SET relation = 'mine_updater.trap';
SELECT newt.tables_changed('shop.newt_table');
SELECT newt.write_tables('shop.newt_table', '{11,12}', false);
SELECT count(*) FROM trap;
ROLLBACK;
BEGIN;
UPDATE shop.newt_table SET relation = 'shop.newt_role_principal', columns = jsonb_set(columns, '{0,column_name}', '"role"');
SELECT newt.tables_changed('shop.newt_table');
SELECT newt.write_tables('shop.newt_table', '{11,12}', false);
ROLLBACK;
DROP TABLE trap;
\connect - newt_attack_owner
SELECT role, principal FROM shop.newt_role_principal ORDER BY 2;
--> 0
--> 0
--> 0
--> newt_attack_other|board
--> newt_attack_report|staff
