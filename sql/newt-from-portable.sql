-- newt-from-portable.sql: the extension newt takes the place of the portable edition
--
-- Where the extension can be installed, a superuser runs this with psql in a database that newt-portable.sql was run in:
--
--     psql -d DATABASE -f newt-from-portable.sql
--
-- Functions keep their oids: views, indexes, constraints and whatever else uses them stay as they are. What only the
-- portable edition has goes. All of it is one transaction. Run newt-portable.sql of the same version first.
\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;
SET LOCAL check_function_bodies = off;

DO $newt_body$
DECLARE
    definitions text[];
    names text[];
    own regprocedure[];
    theirs regprocedure;
    name text;
    left_over text;
    trigger text;
BEGIN
    IF coalesce(obj_description(to_regnamespace('newt'), 'pg_namespace'), '') NOT LIKE 'Newt, portable edition%' THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'this database does not have the portable edition', HINT = 'CREATE EXTENSION newt installs the extension.';
    END IF;
    ALTER SCHEMA newt RENAME TO newt_portable;
    CREATE EXTENSION newt;
    -- what the extension has made says how its functions are to be; then they make room for those that are used
    SELECT array_agg(p.oid::regprocedure ORDER BY p.oid), array_agg(pg_get_functiondef(p.oid) ORDER BY p.oid),
           array_agg(substr(p.oid::regprocedure::text, length('newt.') + 1) ORDER BY p.oid)
      INTO own, definitions, names
      FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_proc p ON p.oid = d.objid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'newt';
    DROP TABLE IF EXISTS pg_temp.newt_comment;
    CREATE TEMP TABLE newt_comment ON COMMIT DROP AS
        SELECT n.n, obj_description(f.f, 'pg_proc') AS comment FROM unnest(own) WITH ORDINALITY f (f, n) JOIN unnest(names) WITH ORDINALITY n (name, n) USING (n);
    FOR i IN 1 .. cardinality(own) LOOP
        IF to_regprocedure('newt_portable.' || names[i]) IS NOT NULL THEN
            EXECUTE format('ALTER EXTENSION newt DROP ROUTINE %s', own[i]);
        END IF;
    END LOOP;
    EXECUTE 'DROP ROUTINE ' || (SELECT string_agg(own[i]::text, ', ') FROM generate_subscripts(own, 1) i WHERE to_regprocedure('newt_portable.' || names[i]) IS NOT NULL);
    FOR i IN 1 .. cardinality(own) LOOP
        theirs := to_regprocedure('newt_portable.' || names[i]);
        IF theirs IS NOT NULL THEN
            EXECUTE format('ALTER ROUTINE %s SET SCHEMA newt', theirs);
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(own) LOOP
        name := 'newt.' || names[i];
        CONTINUE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = to_regprocedure(name) AND d.deptype = 'e');
        EXECUTE definitions[i];
        EXECUTE format('ALTER ROUTINE %s OWNER TO CURRENT_USER', name);
        EXECUTE format('ALTER EXTENSION newt ADD ROUTINE %s', name);
        EXECUTE format('COMMENT ON ROUTINE %s IS %L', name, (SELECT c.comment FROM pg_temp.newt_comment c WHERE c.n = i));
    END LOOP;
    -- sessions that have written objects keep temporary tables with such a trigger
    FOR trigger IN SELECT format('DROP TRIGGER %I ON %s', g.tgname, g.tgrelid::regclass) FROM pg_trigger g
                    WHERE g.tgfoid = to_regprocedure('newt_portable.end_changes()') LOOP
        EXECUTE trigger;
    END LOOP;
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO left_over FROM pg_proc p WHERE p.pronamespace = 'newt_portable'::regnamespace;
    IF left_over IS NOT NULL THEN
        EXECUTE 'DROP ROUTINE ' || left_over;
    END IF;
    DROP SCHEMA newt_portable;
END
$newt_body$;
COMMIT;
