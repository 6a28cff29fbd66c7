-- ---- stores -------------------------------------------------------------------------------------

CREATE FUNCTION newt.store_sql(schema_name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT pg_catalog.replace($newt_store$
@STORE_SQL@
$newt_store$, '@store@', pg_catalog.quote_ident(schema_name))
$newt_body$;
COMMENT ON FUNCTION newt.store_sql(text) IS 'the SQL that makes a store in an existing schema';

CREATE FUNCTION newt.store_version(schema_name text) RETURNS integer
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    version integer;
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.format('%I.newt_store', schema_name)) IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE pg_catalog.format('SELECT s.version FROM %I.newt_store s', schema_name) INTO version;
    RETURN version;
END
$newt_body$;
COMMENT ON FUNCTION newt.store_version(text) IS 'version of the store in a schema; null if there is none';

CREATE FUNCTION newt.stores() RETURNS SETOF text
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname IN ('newt_store', 'object_state') AND c.relkind = 'r'
 GROUP BY n.nspname HAVING pg_catalog.count(*) = 2 ORDER BY n.nspname
$newt_body$;
COMMENT ON FUNCTION newt.stores() IS 'the schemas of this database that have a store';

CREATE FUNCTION newt.check_store(store text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    IF store IS NULL OR newt.store_version(store) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object',
            MESSAGE = CASE WHEN store IS NULL THEN 'no store is named' ELSE pg_catalog.format('there is no Newt store in schema "%s"', store) END,
            DETAIL = coalesce((SELECT CASE WHEN count(*) <= 5 THEN pg_catalog.format('This database has these stores: %s.', string_agg(s, ', ' ORDER BY s))
                                           ELSE pg_catalog.format('This database has %s stores; newt.stores() lists them.', count(*)) END FROM newt.stores() s HAVING count(*) > 0),
                              'This database has no store; newt.create_store() makes one.'),
            HINT = 'The argument "store" is the schema of a store.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_store(text) IS 'raises an error if the schema has no store';

CREATE FUNCTION newt.check_no_block(name text) RETURNS void
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_check_no_block';
COMMENT ON FUNCTION newt.check_no_block(text) IS 'raises an error within a transaction block: the procedure of this name commits';

-- The store belongs to the caller, never to the extension: dropping that loses no object.
CREATE FUNCTION newt.create_store(schema_name text DEFAULT 'public') RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET standard_conforming_strings = on
    AS $newt_body$
DECLARE
    version integer;
BEGIN
    IF coalesce(schema_name, '') = '' OR pg_catalog.octet_length(schema_name) > 63 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_name',
            MESSAGE = pg_catalog.format('invalid schema name "%s"', schema_name),
            DETAIL = 'A schema name has 1 to 63 bytes.';
    ELSIF schema_name = 'newt' THEN
        RAISE EXCEPTION USING ERRCODE = 'reserved_name',
            MESSAGE = 'schema "newt" belongs to the extension',
            HINT = 'Choose another schema for the store.';
    ELSIF pg_catalog.left(schema_name, 3) = 'pg_' OR schema_name = 'information_schema' THEN
        RAISE EXCEPTION USING ERRCODE = 'reserved_name',
            MESSAGE = pg_catalog.format('schema "%s" is the system''s', schema_name),
            DETAIL = 'pg_dump leaves out what is in it.',
            HINT = 'Choose another schema for the store.';
    ELSIF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = pg_catalog.format('the database''s encoding is %s, but Newt needs UTF8', pg_catalog.getdatabaseencoding()),
            HINT = 'Create the database with ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    IF pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name)) IS NULL THEN
        EXECUTE pg_catalog.format('CREATE SCHEMA %I', schema_name);
    END IF;
    version := newt.store_version(schema_name);
    IF version IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
            MESSAGE = pg_catalog.format('schema "%s" already has a Newt store', schema_name),
            DETAIL = pg_catalog.format('It is of version %s.', version),
            HINT = 'Use the store as it is, or choose another schema.';
    END IF;
    EXECUTE newt.store_sql(schema_name);
    IF EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
                  AND d.objid = pg_catalog.to_regclass(
                          pg_catalog.format('%I.object_state', schema_name))) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'cannot create a store within the script of an extension',
            DETAIL = 'DROP EXTENSION would drop its objects.',
            HINT = 'Create the store after CREATE EXTENSION.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_store(text) IS 'makes an empty store in a schema, which is made if missing; its tables belong to the caller';
