-- ---- typed tables: only what drops them -----------------------------------------------------------

CREATE FUNCTION newt.refuse_tables() RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
        MESSAGE = 'typed tables need the extension newt',
        DETAIL = 'This database has the portable edition of its functions.',
        HINT = 'newt.create_view() makes a typed view, which has the same columns.';
END
$newt_body$;
COMMENT ON FUNCTION newt.refuse_tables() IS 'raises the error that there are no typed tables; portable edition';

-- No session keeps what it has read of that table.
CREATE FUNCTION newt.tables_changed(newt_table regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE COST 100
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM;
END
$newt_body$;

CREATE FUNCTION newt.wait_for_writers(relation regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE COST 10000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    writers text[] := ARRAY(SELECT l.virtualtransaction FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                             WHERE l.relation = wait_for_writers.relation AND l.granted AND l.pid <> pg_backend_pid() AND d.datname = current_database()
                               AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'));
BEGIN
    WHILE EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'virtualxid' AND l.virtualtransaction = ANY (writers)) LOOP
        PERFORM pg_sleep(0.02);
    END LOOP;
END
$newt_body$;

CREATE PROCEDURE newt.create_table(store text, class_name text, table_schema text DEFAULT NULL, table_name text DEFAULT NULL,
                                   mode text DEFAULT 'inline', numeric_columns text[] DEFAULT '{}')
    LANGUAGE plpgsql
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;

CREATE PROCEDURE newt.create_tables(store text DEFAULT 'public', table_schema text DEFAULT NULL, mode text DEFAULT 'inline')
    LANGUAGE plpgsql
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;

CREATE PROCEDURE newt.fill_table(store text, class_name text, batch bigint DEFAULT 20000)
    LANGUAGE plpgsql
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;

CREATE PROCEDURE newt.set_table_mode(store text, class_name text, mode text)
    LANGUAGE plpgsql
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;

CREATE PROCEDURE newt.refresh_table(store text, class_name text)
    LANGUAGE plpgsql
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;

CREATE FUNCTION newt.check_table(store text, class_name text)
    RETURNS TABLE (problem text, objects bigint, examples bigint[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 3
    SET search_path = pg_catalog, pg_temp SET row_security = off
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;

CREATE FUNCTION newt.create_table_steps(store text, class_name text, table_schema text, table_name text, mode text, numeric_columns text[],
                                        one_table bigint DEFAULT NULL)
    RETURNS TABLE (step integer, statement text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.refuse_tables();
END
$newt_body$;
