-- rights: who may call what, and names that lie in wait on the search path
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

CREATE ROLE regress_newt_user;
CREATE ROLE regress_newt_maker;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_newt_maker', current_database()); END $$;

-- everybody may read records and extract; the functions act with the caller's rights
SET ROLE regress_newt_user;
SELECT newt.to_jsonb('\x83615401a0'), newt.text('{"a": "b"}'), newt.refs('\x83615401d9960105'),
       newt.principals('{"a": "b"}', 'a'), newt.tsvector('simple', '{"a": "b"}'), newt.ts('1');
SELECT pg_temp.error_of('SELECT newt.create_store(''not_mine'')');
SELECT pg_temp.error_of('SELECT newt.create_store(''newt_test_other'')');
SELECT pg_temp.error_of('CREATE FUNCTION newt.mine() RETURNS int LANGUAGE sql RETURN 1');
RESET ROLE;
SELECT count(*) AS security_definer FROM pg_proc WHERE pronamespace = 'newt'::regnamespace AND prosecdef;

-- the store is its maker's alone, until the maker grants
SET ROLE regress_newt_maker;
SELECT newt.create_store('newt_test_store');
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'newt_test_store'::regnamespace;
SET ROLE regress_newt_user;
SELECT pg_temp.error_of('SELECT * FROM newt_test_store.newt');
SET ROLE regress_newt_maker;
GRANT USAGE ON SCHEMA newt_test_store TO regress_newt_user;
GRANT SELECT ON newt_test_store.newt TO regress_newt_user;
SET ROLE regress_newt_user;
SELECT pg_temp.error_of('SELECT * FROM newt_test_store.newt');
SELECT pg_temp.error_of('SELECT newt.store_version(''newt_test_store'')');
SET ROLE regress_newt_maker;
GRANT SELECT ON newt_test_store.newt_projection TO regress_newt_user;
SET ROLE regress_newt_user;
SELECT zoid, class_name FROM newt_test_store.newt;
SELECT pg_temp.error_of('UPDATE newt_test_store.newt_projection SET state = ''{}''');
SELECT pg_temp.error_of('DELETE FROM newt_test_store.object_state');
RESET ROLE;

-- an attacker's functions, operators and types stand first on the path and are never called
CREATE SCHEMA attack;
GRANT USAGE ON SCHEMA attack TO PUBLIC;
CREATE FUNCTION attack.fired() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'attacked'; END $$;
CREATE FUNCTION attack.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT attack.fired(); SELECT $1';
CREATE FUNCTION attack.quote_ident(text) RETURNS text LANGUAGE sql AS 'SELECT attack.fired(); SELECT $1';
CREATE FUNCTION attack.replace(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT attack.fired(); SELECT $1';
CREATE FUNCTION attack.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT attack.fired(); SELECT 1';
CREATE FUNCTION attack.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT attack.fired(); SELECT NULL::regclass';
CREATE FUNCTION attack.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT attack.fired(); SELECT true';
CREATE OPERATOR attack.= (LEFTARG = text, RIGHTARG = text, FUNCTION = attack.yes);
CREATE OPERATOR attack.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = attack.yes);
CREATE FUNCTION attack.yes(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT attack.fired(); SELECT true';
CREATE OPERATOR attack.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = attack.yes);
CREATE DOMAIN attack.int8 AS pg_catalog.int8 CHECK (VALUE < 0);
CREATE DOMAIN attack.bytea AS pg_catalog.bytea CHECK (VALUE = 'x');
CREATE DOMAIN attack.bigint AS pg_catalog.int8 CHECK (VALUE < 0);
CREATE DOMAIN attack.text AS pg_catalog.text CHECK (VALUE = 'x');
CREATE TABLE attack.newt_store (version int);
INSERT INTO attack.newt_store VALUES (666);
SET search_path = attack, pg_catalog;
SELECT newt.create_store('newt_test_attacked');
SELECT newt.store_version('newt_test_attacked');
SELECT attacked.zoid FROM newt_test_attacked.newt attacked;
SELECT walked.zoid FROM newt.walk('newt_test_attacked', '{1}') walked;
CREATE TEMP TABLE newt_store AS SELECT 666 AS version;
SELECT newt.store_version('newt_test_attacked');
RESET search_path;

-- a schema prepared for the extension is not taken
BEGIN;
DROP EXTENSION newt;
CREATE SCHEMA newt;
SELECT pg_temp.error_of('CREATE EXTENSION newt');
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA attack, newt_test_attacked, newt_test_store CASCADE;
DROP OWNED BY regress_newt_maker, regress_newt_user;
DROP ROLE regress_newt_maker, regress_newt_user;
