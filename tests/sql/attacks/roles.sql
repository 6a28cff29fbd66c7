-- reporter | cursors that are open when the role changes, WITH HOLD too | rows that are held stay; the next query sees what the new role may
SET ROLE newt_attack_report;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT zoid FROM shop.pages ORDER BY zoid;
DECLARE d CURSOR FOR SELECT zoid FROM shop.pages_documents ORDER BY zoid;
FETCH 1 FROM d;
COMMIT;
SET ROLE newt_attack_other;
FETCH ALL FROM c;
SELECT zoid FROM shop.pages ORDER BY zoid;
--> 10
--> 10
--> 11
--> 12
--> 13

-- reporter | a generic plan that one role prepared, executed as another | it shows what the role that executes it may see
SET plan_cache_mode = force_generic_plan;
SET ROLE newt_attack_report;
PREPARE p AS SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
PREPARE d AS SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages_documents;
PREPARE t AS SELECT array_agg(id ORDER BY id) FROM shop.page;
EXECUTE p; EXECUTE d; EXECUTE t;
SET ROLE newt_attack_other;
EXECUTE p; EXECUTE d; EXECUTE t;
SET ROLE newt_attack_report;
EXECUTE p; EXECUTE d; EXECUTE t;
--> {10,11}
--> {10,11}
--> {11}
--> {12,13}
--> {12,13}
--> {12}
--> {10,11}
--> {10,11}
--> {11}

-- report | SET ROLE and SET SESSION AUTHORIZATION to roles that it is not a member of | 42501
SET ROLE newt_attack_other;
SET ROLE newt_attack_owner;
SET SESSION AUTHORIZATION newt_attack_other;
SELECT set_config('role', 'newt_attack_other', false);
GRANT newt_attack_other TO newt_attack_report;
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- narrow | a member with NOINHERIT, before and after SET ROLE | 42501 before; afterwards what the role may see
SELECT count(*) FROM shop.pages;
SET ROLE newt_attack_report;
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
SELECT newt.my_principals('shop');
--> ERROR 42501
--> {10,11}
--> {staff}

-- reporter | as a member of two roles, which inherits both | the principals of both
SELECT newt.my_principals('shop');
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
--> {board,staff}
--> {10,11,12,13}

-- report | asking for what another role has, or sees | 42501
SELECT shop.newt_principals('newt_attack_other');
SELECT shop.newt_visible('newt_attack_other');
SELECT shop.newt_principals('newt_attack_owner');
SELECT shop.newt_principals('no such role');
SELECT shop.newt_principals(NULL);
SELECT count(*) FROM shop.newt_visible(NULL);
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42704
--> {}
--> 0

-- report | a view of its own over what it sees, and a function with its rights, used by nobody | 42501
CREATE VIEW lent AS SELECT zoid, title FROM shop.pages;
CREATE VIEW lent_documents AS SELECT zoid FROM shop.pages_documents;
CREATE FUNCTION lent() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT zoid FROM shop.pages';
GRANT USAGE ON SCHEMA mine_report TO PUBLIC;
GRANT SELECT ON lent, lent_documents TO PUBLIC;
\connect - newt_attack_nobody
SELECT * FROM mine_report.lent;
SELECT * FROM mine_report.lent_documents;
SELECT mine_report.lent();
\connect - newt_attack_report
DROP VIEW lent, lent_documents; DROP FUNCTION lent();
REVOKE USAGE ON SCHEMA mine_report FROM PUBLIC;
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- owner | a role that is dropped and created again with the same name; a claim for the old one; a role that is renamed | nothing passes to the new one: no principals, 28000; the renamed one keeps its own
-- changes
\connect - :su
CREATE ROLE newt_attack_again;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again'), newt.grant_principals('shop', 'newt_attack_again', 'board');
SELECT newt.sign_claim('shop', 'newt_attack_again', '{board}') AS claim \gset
DROP OWNED BY newt_attack_again;
DROP ROLE newt_attack_again;
CREATE ROLE newt_attack_again LOGIN;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
\connect - newt_attack_again
SELECT newt.my_principals('shop'), (SELECT count(*) FROM shop.pages);
SET newt.claim = :'claim';
SELECT count(*) FROM shop.pages;
\connect - :su
SELECT newt.grant_principals('shop', 'newt_attack_again', 'staff');
SELECT count(*) FROM shop.newt_role_principal WHERE role NOT IN (SELECT oid FROM pg_roles);
SELECT newt.sign_claim('shop', 'newt_attack_again', '{board}') AS claim \gset
ALTER ROLE newt_attack_again RENAME TO newt_attack_new;
SET SESSION AUTHORIZATION newt_attack_new;
SELECT newt.my_principals('shop');
SET newt.claim = :'claim';
SELECT count(*) FROM shop.pages;
RESET SESSION AUTHORIZATION;
RESET newt.claim;
DROP OWNED BY newt_attack_new;
DROP ROLE newt_attack_new;
SELECT newt.grant_principals('shop', 'newt_attack_report', 'staff');
--> |
--> {}|0
--> ERROR 28000
--> 0
--> {staff}
--> ERROR 28000

-- owner | newt.grant_visible for a role that sees more, or decides what it sees, itself or by a role that it can SET: a reader, a member of pg_read_all_data, one that may write principals | 55000
-- changes
\connect - :su
CREATE ROLE newt_attack_again NOINHERIT;
GRANT newt_attack_reader TO newt_attack_again;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
REVOKE newt_attack_reader FROM newt_attack_again;
GRANT pg_read_all_data TO newt_attack_again;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
REVOKE pg_read_all_data FROM newt_attack_again;
GRANT newt_attack_owner TO newt_attack_again;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
REVOKE newt_attack_owner FROM newt_attack_again;
GRANT INSERT ON shop.newt_role_principal TO newt_attack_again;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
REVOKE ALL ON shop.newt_role_principal FROM newt_attack_again;
GRANT UPDATE (view) ON shop.pages TO newt_attack_again;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
REVOKE ALL (view) ON shop.pages FROM newt_attack_again;
ALTER ROLE newt_attack_again BYPASSRLS;
SELECT newt.grant_visible('shop', 'view', 'newt_attack_again');
DROP ROLE newt_attack_again;
--> ERROR 55000
--> ERROR 55000
--> ERROR 55000
--> ERROR 55000
--> ERROR 55000
--> ERROR 55000

-- owner | columns of principals that are dropped and declared anew, and granted again to one of two roles; then another column, granted to the other role | the first role sees what it saw; the second sees nothing, and then what its own column shows, in derived columns, typed table and documents
SELECT newt.create_store('shop3');
SET test.store = 'shop3';
INSERT INTO shop3.newt_class (name, version, fields) VALUES ('Note', 1, '[{"name": "title", "kind": "text"}, {"name": "readers", "kind": "text", "shape": "list"}, {"name": "writers", "kind": "text", "shape": "list"}]');
CALL attack.put(31, 'Note', '{"title": "open", "readers": ["staff", "board"], "writers": ["board"]}');
CALL attack.put(32, 'Note', '{"title": "secret", "readers": ["board"], "writers": ["board"]}');
CALL attack.put(33, 'Note', '{"title": "draft", "readers": ["board"], "writers": ["staff"]}');
CALL newt.create_table('shop3', 'Note');
\set declare 'CALL newt.create_derived(''shop3'', ''notes'', ''{Note}'', ''[{"name": "view", "access": {"allow": "readers"}}, {"name": "edit", "access": {"allow": "writers"}}]'');'
:declare
SELECT newt.grant_visible('shop3', 'view', 'newt_attack_report'), newt.grant_visible('shop3', 'view', 'newt_attack_other');
SELECT newt.grant_principals('shop3', 'newt_attack_report', 'staff'), newt.grant_principals('shop3', 'newt_attack_other', 'board');
SELECT newt.drop_derived('shop3', 'notes');
:declare
SELECT newt.grant_visible('shop3', 'view', 'newt_attack_other');
\connect - newt_attack_report
SELECT count(*) FROM shop3.note;
SELECT count(*) FROM shop3.notes;
\connect - newt_attack_owner
SELECT newt.grant_visible('shop3', 'edit', 'newt_attack_report');
\connect - newt_attack_report
SELECT array_agg(id) FROM shop3.note;
SELECT array_agg(zoid) FROM shop3.notes;
SELECT array_agg(zoid) FROM shop3.notes_documents;
\connect - newt_attack_other
SELECT array_agg(id ORDER BY id) FROM shop3.note;
\connect - newt_attack_owner
DROP SCHEMA shop3 CASCADE;
--> |
--> |
--> 0
--> ERROR 42501
--> {33}
--> {33}
--> {33}
--> {31,32,33}

-- nobody | the store, its tables, views and functions, by name and by oid | 42501; functions that take an oid show nothing
SELECT count(*) FROM shop.pages;
SELECT count(*) FROM shop.pages_documents;
SELECT shop.newt_visible('newt_attack_nobody');
SELECT newt.my_principals('shop');
SELECT newt.can('shop', 'view', '{board}');
SELECT newt.project_new((SELECT c.oid FROM pg_class c WHERE c.relname = 'newt_projection' ORDER BY 1 LIMIT 1)::regclass, '{12}', '{}');
SELECT newt.wait_for_writers((SELECT c.oid FROM pg_class c WHERE c.relname = 'pages')::regclass);
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> (0,{12})
--> ERROR 42501
