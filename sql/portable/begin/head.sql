-- newt-portable.sql: Newt's functions for SQL, portable edition, version @VERSION@
--
-- For a PostgreSQL (15 to 18) where the extension newt cannot be installed. Any role that may create a schema in the
-- database runs it with psql, and again to have a newer version:
--
--     psql -d DATABASE -f newt-portable.sql
--
-- docs/portable.md says what is different. In a database that has the extension, this takes its place, and views, indexes
-- and whatever else uses its functions stay as they are; that is asked for with -v replace_extension=on.
\set ON_ERROR_STOP on
\if :{?replace_extension}
\else
\set replace_extension off
\endif
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;
SET LOCAL check_function_bodies = off;
SELECT set_config('newt.replace_extension', :'replace_extension', true) \g (format=unaligned tuples_only=on) /dev/null

DO $newt_body$
DECLARE
    extension pg_extension;
    store text;
    member regprocedure;
    class text;
BEGIN
    SELECT * INTO extension FROM pg_extension e WHERE e.extname = 'newt';
    IF NOT FOUND THEN
        IF to_regnamespace('newt') IS NULL THEN
            CREATE SCHEMA newt;
        ELSIF coalesce(obj_description(to_regnamespace('newt'), 'pg_namespace'), '') NOT LIKE 'Newt, portable edition%' THEN
            RAISE EXCEPTION USING ERRCODE = 'duplicate_schema', MESSAGE = 'schema "newt" already exists',
                DETAIL = 'It was not made by this script: its comment does not say so.';
        END IF;
        RETURN;
    END IF;
    IF NOT current_setting('newt.replace_extension')::boolean THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object', MESSAGE = 'this database has the extension newt',
            DETAIL = 'It has these functions already, and they are faster.',
            HINT = 'To replace it: psql -v replace_extension=on -f newt-portable.sql';
    END IF;
    FOR store IN SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'newt_table' AND c.relkind = 'r' LOOP
        EXECUTE format('SELECT t.class_name FROM %I.newt_table t JOIN pg_class c ON c.oid = t.relation LIMIT 1', store) INTO class;
        IF class IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format('class "%s" of store "%s" has a typed table', class, store),
                DETAIL = 'Only the extension keeps typed tables.',
                HINT = format('CALL newt.drop_table(%L, %L); newt.create_view() makes a typed view.', store, class);
        END IF;
    END LOOP;
    -- its functions become free, and keep their oids
    FOR member IN SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = extension.oid
                     AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' LOOP
        EXECUTE format('ALTER EXTENSION newt DROP ROUTINE %s', member);
    END LOOP;
    ALTER EXTENSION newt DROP SCHEMA newt;
    DROP EXTENSION newt;
END
$newt_body$;
COMMENT ON SCHEMA newt IS 'Newt, portable edition @VERSION@: the functions of the extension newt in SQL and PL/pgSQL';
GRANT USAGE ON SCHEMA newt TO PUBLIC;
