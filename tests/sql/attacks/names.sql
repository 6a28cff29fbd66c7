-- report | functions and operators of its own before pg_catalog on the search path, named like those that policies use | they are not called
CREATE FUNCTION pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION pg_has_role(name, name, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$SELECT '1.00.00'$$;
CREATE FUNCTION sha256(bytea) RETURNS bytea LANGUAGE sql AS $$SELECT '\x00'::bytea$$;
CREATE FUNCTION overlaps_all(text[], text[]) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR && (LEFTARG = text[], RIGHTARG = text[], FUNCTION = overlaps_all);
CREATE FUNCTION equals_all(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR = (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = equals_all);
SET search_path = mine_report, pg_catalog;
SELECT zoid FROM shop.pages ORDER BY zoid;
SELECT zoid FROM shop.pages_documents ORDER BY zoid;
SELECT id FROM shop.page ORDER BY id;
SELECT newt.my_principals('shop');
DROP OPERATOR = (bigint, bigint); DROP OPERATOR && (text[], text[]);
DROP FUNCTION pg_has_role(name, oid, text), pg_has_role(name, name, text), current_setting(text, boolean), sha256(bytea), overlaps_all(text[], text[]), equals_all(bigint, bigint);
--> 10
--> 11
--> 10
--> 11
--> 11
--> {staff}

-- report | temporary tables and types named like ours: newt_role_principal, newt_principal_set, pg_roles, text, bigint | they are not read
CREATE TEMP TABLE newt_role_principal AS SELECT 'newt_attack_report'::regrole AS role, 'board'::text AS principal;
CREATE TEMP TABLE newt_principal_set AS SELECT g::bigint AS id, '{+board}'::text[] AS entries, '{staff}'::text[] AS allowed, false AS denies FROM generate_series(0, 50) g;
CREATE TEMP TABLE pg_roles AS SELECT oid, 'newt_attack_report'::name AS rolname, true AS rolsuper FROM pg_catalog.pg_roles;
CREATE TEMP TABLE newt_claim_key AS SELECT 1 AS id, '\x00'::bytea AS key;
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (VALUE = 'board');
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (VALUE IS NULL);
SET search_path = pg_temp, pg_catalog;
SELECT zoid FROM shop.pages ORDER BY zoid;
SELECT newt.my_principals('shop');
--> 10
--> 11
--> {staff}

-- report | a cast, an operator class, an aggregate or a collation of its own for the types of the columns | 42501 for the cast and the class; the others are not used
CREATE FUNCTION to_text(bigint) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
CREATE CAST (bigint AS text) WITH FUNCTION to_text(bigint) AS IMPLICIT;
CREATE OPERATOR CLASS mine DEFAULT FOR TYPE bigint USING btree AS STORAGE bigint;
CREATE COLLATION "C" (provider = libc, locale = 'C');
SELECT zoid FROM shop.pages ORDER BY zoid;
--> ERROR 42501
--> ERROR 42501
--> 10
--> 11

-- report | objects in the schemas of the store and of the extension | 42501
CREATE FUNCTION shop.newt_visible(text) RETURNS SETOF bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE OR REPLACE VIEW shop.pages_documents AS SELECT 1;
CREATE TABLE shop.mine ();
CREATE OR REPLACE FUNCTION newt.allows(entries text[], principals text[]) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION newt.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- report | a rule, a trigger, a policy, an event trigger; rights and owners; row-level security switched off | 42501
CREATE RULE r AS ON SELECT TO shop.pages DO INSTEAD SELECT 1;
CREATE TRIGGER t BEFORE INSERT ON shop.pages EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER t BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION shop.newt_keep_derived();
CREATE POLICY mine ON shop.pages USING (true);
ALTER POLICY newt_principals ON shop.pages USING (true);
ALTER TABLE shop.pages DISABLE ROW LEVEL SECURITY;
ALTER TABLE shop.pages OWNER TO newt_attack_report;
GRANT SELECT ON shop.object_state TO newt_attack_report;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger();
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- nobody | a schema of its own whose tables have the names of a store's and other types, passed to every function that takes a store | 22P02, 42883, 42703, 0A000; nothing is written, and the server goes on
CREATE TABLE newt_store (version text); INSERT INTO newt_store VALUES ('x');
CREATE TABLE object_state (zoid text, serial int, state text); INSERT INTO object_state VALUES ('1', 1, 'x');
CREATE TABLE newt_projection (zoid bigint PRIMARY KEY, class_name int, serial bigint, state text);
CREATE TABLE transaction (tid int PRIMARY KEY, serial text, nonce int, written text, removed int);
CREATE TABLE newt_table (relation int, columns text, class_name int); CREATE TABLE newt_commit_lock (); CREATE TABLE newt_class (name int, fields text);
SELECT newt.check_store('mine_nobody');
SELECT newt.walk('mine_nobody', '{1}');
SELECT newt.project_new('mine_nobody.newt_projection', '{1,2}', '{}');
SELECT newt.write('mine_nobody.object_state', '{1}', '{0}', ARRAY['\x83615401a0'::bytea], 5, false);
SELECT newt.commit('mine_nobody.transaction', 5, 1, '{1}', '{0}', ARRAY['\x83615401a0'::bytea], false, 0, 0);
SELECT newt.at_commit('mine_nobody.transaction', 5, 1, '{1}', '{}', NULL, NULL, NULL);
SELECT newt.committed('mine_nobody.transaction', 1, 1);
DROP TABLE newt_store, object_state, newt_projection, transaction, newt_table, newt_commit_lock, newt_class;
SELECT 1;
--> ERROR 22P02
--> ERROR 42883
--> (0,"{1,2}")
--> ERROR 0A000
--> ERROR 0A000
--> ERROR 42703
--> 1
