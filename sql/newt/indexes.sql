-- ---- indexes of a store ---------------------------------------------------------------------------
-- Each has a twin that only returns the SQL: to read, to change, or to run CONCURRENTLY.

-- Over the rows of the projection; where a class has none, over its records, as the view computes it.
-- All classes of a store that has both need two indexes.
CREATE FUNCTION newt.create_index_sql(store text, class_name text, expression text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    mode text := 'inline';
    others text[] := '{}';
    stored text;
    computed text;
BEGIN
    IF newt.store_version(store) IS NOT NULL THEN -- else the SQL for a store to come
        mode := newt.projection_of(store, class_name);
        SELECT s.others INTO others FROM newt.projection_split(store) s;
    END IF;
    stored := pg_catalog.format('CREATE INDEX ON %I.newt_projection USING gin (', store) || pg_catalog.format(expression, 'state') || ')'
        || CASE WHEN class_name IS NULL THEN '' ELSE pg_catalog.format(' WHERE class_name = %L', class_name) END;
    computed := pg_catalog.format('CREATE INDEX ON %I.object_state USING gin (', store) || pg_catalog.format(expression, 'newt.try_to_jsonb(state)') || ')'
        || CASE WHEN class_name IS NULL THEN '' ELSE pg_catalog.format(' WHERE newt.try_class_name(state) = %L', class_name) END;
    RETURN CASE WHEN class_name IS NULL AND others <> '{}' THEN stored || E';\n' || computed
                WHEN mode = 'virtual' THEN computed ELSE stored END;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_index_sql(text, text, text) IS 'the SQL of a GIN index over an expression, in which %s stands for the document: over newt_projection, or over object_state where the class is virtual';

CREATE FUNCTION newt.create_text_index_sql(schema_name text, class_name text, config regconfig, VARIADIC paths text[] DEFAULT '{}')
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.tsvector(config, '{}', VARIADIC paths); -- refuses what it would refuse later
    RETURN newt.create_index_sql(schema_name, class_name, pg_catalog.format('newt.tsvector(%L::regconfig, %%s%s)',
        config, CASE WHEN paths = '{}' THEN '' ELSE pg_catalog.replace(pg_catalog.format(', VARIADIC %L::text[]', paths), '%', '%%') END));
END
$newt_body$;
COMMENT ON FUNCTION newt.create_text_index_sql(text, text, regconfig, text[]) IS 'the SQL of newt.create_text_index';

CREATE FUNCTION newt.create_text_index(schema_name text, class_name text, config regconfig, VARIADIC paths text[] DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE newt.create_text_index_sql(schema_name, class_name, config, VARIADIC paths);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_text_index(text, text, regconfig, text[]) IS 'GIN index for full-text search: store, class (null: all), configuration, paths with weights as for newt.tsvector';

CREATE FUNCTION newt.create_principals_index_sql(schema_name text, class_name text, VARIADIC paths text[])
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.principals('{}', VARIADIC paths);
    RETURN newt.create_index_sql(schema_name, class_name, pg_catalog.format('newt.principals(%%s, VARIADIC %s::text[])',
        pg_catalog.replace(pg_catalog.quote_literal(paths), '%', '%%')));
END
$newt_body$;
COMMENT ON FUNCTION newt.create_principals_index_sql(text, text, text[]) IS 'the SQL of newt.create_principals_index';

CREATE FUNCTION newt.create_principals_index(schema_name text, class_name text, VARIADIC paths text[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE newt.create_principals_index_sql(schema_name, class_name, VARIADIC paths);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_principals_index(text, text, text[]) IS 'GIN index for "who may see this": store, class (null: all), paths as for newt.principals';
