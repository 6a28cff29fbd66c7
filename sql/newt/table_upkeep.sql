-- ---- typed tables, later ---------------------------------------------------------------------------
-- They follow their class, are compared with the records, listed, dropped.

-- What a class has gained, lost or given another type since its tables were made; a field keeps its column
-- as long as any version of the class has it. Each statement is to be a transaction of its own.
CREATE FUNCTION newt.refresh_table_steps(store text, class_name text) RETURNS TABLE (statement text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    main regclass := newt.table_of(store, class_name);
    schema_name text;
    table_name text;
    mode text;
    numeric_columns text[];
    t record;
    c record;
    known record;
    renamed text[]; -- columns, by their old names
    was text;
BEGIN
    SELECT n.nspname, r.relname INTO schema_name, table_name FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = main;
    EXECUTE pg_catalog.format($sql$
        SELECT min(t.mode), coalesce(array_agg(coalesce(array_to_string(nullif(t.path, '{}'), '_') || '.', '') || (x.c->>'column_name'))
                                     FILTER (WHERE x.c->>'data_type' = 'numeric' AND x.c->>'kind' IN ('int', 'uint')), '{}')
          FROM %I.newt_table t, jsonb_array_elements(t.columns) x (c) WHERE t.class_name = $1$sql$, store)
        INTO mode, numeric_columns USING class_name;
    -- a column that a version has lost is no integer column any more
    numeric_columns := ARRAY(SELECT u.c FROM unnest(numeric_columns) u (c) WHERE EXISTS (
        SELECT FROM newt.class_layout(store, class_name) l
         WHERE coalesce(l.child || '.', '') || l.column_name = u.c AND l.role = 'value' AND l.data_type = 'bigint' AND l.kind <> 'ref'));
    FOR t IN EXECUTE pg_catalog.format($sql$
            WITH k AS MATERIALIZED (SELECT n.* FROM %I.newt_table n JOIN pg_class r ON r.oid = n.relation WHERE n.class_name = $2)
            SELECT l.number, l.name, l.qualified, l.path, l.columns, k.relation, k.columns AS before, k.path AS was
              FROM (SELECT t.*, coalesce((SELECT k.path FROM k WHERE k.path = t.path OR to_jsonb(k.path) IN (SELECT jsonb_array_elements(t.columns->0->'older_child_paths'))
                                           ORDER BY k.path <> t.path, k.path LIMIT 1), t.path) AS known FROM newt.table_layout($1, $2, $3, $4, $5) t) l
              FULL JOIN k ON k.path = l.known AND k.shape IS NOT DISTINCT FROM l.shape
             ORDER BY l.number NULLS FIRST$sql$, store) USING store, class_name, schema_name, table_name, numeric_columns LOOP
        IF t.number IS NULL THEN -- a collection that is not projected any more
            statement := pg_catalog.format('WITH d AS (DELETE FROM %I.newt_table WHERE relation = %L::regclass) SELECT newt.tables_changed(%L)', store, t.relation,
                                           pg_catalog.format('%I.newt_table', store));
            RETURN NEXT;
            statement := pg_catalog.format('DROP TABLE %s', t.relation);
            RETURN NEXT;
            CONTINUE;
        ELSIF t.relation IS NULL THEN
            FOR statement IN SELECT s.statement FROM newt.create_table_steps(store, class_name, schema_name, table_name, mode, numeric_columns, t.number) s LOOP
                RETURN NEXT;
            END LOOP;
            CONTINUE;
        END IF;
        renamed := '{}';
        FOR c IN SELECT x.c->>'column_name' AS name, x.c->>'data_type' AS type, x.c->>'comment' AS comment, x.c->>'role' AS role,
                        jsonb_build_array(x.c->'path') || coalesce(x.c->'older_paths', '[]') AS paths,
                        x.c->>'kind' = 'ref' AND x.c->>'role' = 'value' AS is_ref, a.attnum, a.atttypid
                   FROM jsonb_array_elements(t.columns) WITH ORDINALITY x (c, n)
                   LEFT JOIN pg_attribute a ON a.attrelid = t.relation AND a.attname = x.c->>'column_name' AND NOT a.attisdropped
                  ORDER BY x.n LOOP
            was := (SELECT b.c->>'column_name' FROM jsonb_array_elements(t.before) WITH ORDINALITY b (c, n)
                      JOIN pg_attribute a ON a.attrelid = t.relation AND a.attname = b.c->>'column_name' AND a.atttypid = c.type::regtype AND NOT a.attisdropped
                     WHERE c.attnum IS NULL AND b.c->>'role' = 'value' AND c.role = 'value' AND b.c->'path' IN (SELECT jsonb_array_elements(c.paths)) AND b.c->>'column_name' <> ALL (renamed)
                       AND NOT EXISTS (SELECT FROM jsonb_array_elements(t.columns) x (c) WHERE x.c->>'column_name' = b.c->>'column_name') ORDER BY b.n LIMIT 1);
            IF was IS NOT NULL THEN -- with its values and indexes
                renamed := renamed || was;
                statement := pg_catalog.format('ALTER TABLE %s RENAME %I TO %I', t.relation, was, c.name);
                c.is_ref := false; -- it has an index
            ELSIF c.attnum IS NULL THEN
                statement := pg_catalog.format('ALTER TABLE %s ADD %I %s', t.relation, c.name, c.type);
            ELSIF c.atttypid <> c.type::regtype AND c.role = 'value' THEN
                statement := pg_catalog.format('ALTER TABLE %1$s DROP %2$I, ADD %2$I %3$s', t.relation, c.name, c.type);
            ELSE
                CONTINUE;
            END IF;
            RETURN NEXT;
            statement := pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', t.relation, c.name, c.comment);
            RETURN NEXT;
            IF c.is_ref THEN
                statement := pg_catalog.format('CREATE INDEX ON %s ' || CASE WHEN c.type = 'bigint[]' THEN 'USING gin (%I)' ELSE '(%I)' END, t.relation, c.name);
                RETURN NEXT;
            END IF;
        END LOOP;
        FOR c IN SELECT b.c->>'column_name' AS name FROM jsonb_array_elements(t.before) WITH ORDINALITY b (c, n)
                   JOIN pg_attribute a ON a.attrelid = t.relation AND a.attname = b.c->>'column_name' AND NOT a.attisdropped
                  WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(t.columns) x (c) WHERE x.c->>'column_name' = b.c->>'column_name')
                    AND b.c->>'column_name' <> ALL (renamed)
                  ORDER BY b.n LOOP
            statement := pg_catalog.format('ALTER TABLE %s DROP %I', t.relation, c.name);
            RETURN NEXT;
        END LOOP;
        IF t.columns <> t.before OR t.path <> t.was THEN
            statement := pg_catalog.format('WITH u AS (UPDATE %I.newt_table SET columns = %L, path = %L WHERE relation = %L::regclass) SELECT newt.tables_changed(%L)', store, t.columns, t.path,
                                           t.relation, pg_catalog.format('%I.newt_table', store));
            RETURN NEXT;
        END IF;
        IF t.path <> t.was THEN -- a collection that was renamed; last, since the others call it by its name
            statement := pg_catalog.format('ALTER TABLE %s RENAME TO %I', t.relation, t.name);
            RETURN NEXT;
        END IF;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.refresh_table_steps(text, text) IS 'the statements of newt.refresh_table; none: the tables are as the class is';

CREATE PROCEDURE newt.refresh_table(store text, class_name text)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    statements text[];
    one text;
BEGIN
    PERFORM newt.check_no_block('newt.refresh_table');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    statements := ARRAY(SELECT s.statement FROM newt.refresh_table_steps(store, class_name) s);
    FOREACH one IN ARRAY statements LOOP
        EXECUTE one;
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END LOOP;
    IF statements <> '{}' OR EXISTS (SELECT FROM newt.tables(store) t WHERE t.class_name = refresh_table.class_name
                                        AND (NOT t.filled OR t.mode = 'inline' AND newt.keep_tables_sql(store) IS NOT NULL)) THEN
        CALL newt.fill_table(store, class_name);
    ELSE
        RAISE NOTICE '%', pg_catalog.format('typed table %s is as class "%s" is', newt.table_of(store, class_name), class_name);
    END IF;
END
$newt_body$;
COMMENT ON PROCEDURE newt.refresh_table(text, text) IS 'lets the typed tables of a class follow its newest version, and mends their rows';

CREATE FUNCTION newt.check_table(store text, class_name text)
    RETURNS TABLE (problem text, objects bigint, examples bigint[])
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 3
    SET search_path = pg_catalog, pg_temp SET row_security = off
    AS $newt_body$
DECLARE
    main regclass := newt.table_of(store, class_name);
    registry regclass := pg_catalog.format('%I.newt_table', store)::regclass;
    found record;
    t record;
BEGIN
    FOR problem IN EXECUTE pg_catalog.format($sql$
            SELECT format('%%s has no column "%%s": newt.refresh_table() adds it', r.relation, x.c->>'column_name')
              FROM %s r JOIN pg_class k ON k.oid = r.relation, jsonb_array_elements(r.columns) WITH ORDINALITY x (c, n)
             WHERE r.class_name = $1 AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.relation AND a.attname = x.c->>'column_name' AND NOT a.attisdropped)
             ORDER BY r.parent NULLS FIRST, r.relation, x.n$sql$, registry) USING class_name LOOP
        RETURN NEXT; -- renamed or dropped: nothing keeps it
    END LOOP;
    SELECT * INTO found FROM newt.sync_table(registry, class_name, 'look', 0, 9223372036854775807);
    IF found.missing > 0 THEN
        problem := 'missing'; objects := found.missing; examples := CASE found.different WHEN 0 THEN found.examples END;
        RETURN NEXT;
    END IF;
    IF found.different > 0 THEN
        problem := 'different'; objects := found.different; examples := CASE found.missing WHEN 0 THEN found.examples END;
        RETURN NEXT;
    END IF;
    FOR t IN EXECUTE pg_catalog.format('SELECT r.relation, r.columns->0->>''column_name'' AS id FROM %s r JOIN pg_class k ON k.oid = r.relation WHERE r.class_name = $1 ORDER BY r.parent NULLS FIRST, r.relation', registry) USING class_name LOOP
        EXECUTE pg_catalog.format($sql$
            SELECT count(*), (array_agg(x.id ORDER BY x.id))[:10] FROM (
                SELECT DISTINCT t.%1$I AS id FROM %2$s t WHERE NOT EXISTS (
                    SELECT FROM %3$I.object_state o WHERE o.zoid = t.%1$I AND newt.try_class_name(o.state) = ANY ($1))) x$sql$, t.id, t.relation, store)
            INTO objects, examples USING newt.class_names(store, class_name);
        IF objects > 0 THEN
            problem := pg_catalog.format('%s has rows of no such object', t.relation);
            RETURN NEXT;
        END IF;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_table(text, text) IS 'compares all rows of the typed tables of a class with the records: no row if they are the same';

-- First it is taken from the registry, and those are waited for who write to it. Then nobody waits for the
-- locks, and they for nobody.
CREATE PROCEDURE newt.drop_table(store text, class_name text)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    main regclass;
    relations text;
    tables regclass[];
    readers text;
    key record;
BEGIN
    PERFORM newt.check_no_block('newt.drop_table');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    main := newt.table_of(store, class_name);
    EXECUTE pg_catalog.format('WITH d AS (DELETE FROM %I.newt_table WHERE class_name = $1 RETURNING relation)
            SELECT string_agg(d.relation::text, '', '' ORDER BY d.relation), array_agg(d.relation) FROM d JOIN pg_class r ON r.oid = d.relation', store)
        INTO relations, tables USING class_name;
    PERFORM newt.refresh_class_views(store, class_name);
    SELECT string_agg(DISTINCT w.ev_class::regclass::text, ', ') INTO readers
      FROM pg_depend d JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid WHERE d.refobjid = ANY (tables);
    IF readers IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = pg_catalog.format('cannot drop typed table %s because views read it', main),
            DETAIL = pg_catalog.format('These are %s.', readers),
            HINT = 'Drop the views first.';
    END IF;
    PERFORM newt.tables_changed(pg_catalog.format('%I.newt_table', store)::regclass);
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM newt.wait_for_writers(pg_catalog.format('%I.object_state', store)::regclass);
    FOR key IN SELECT c.conrelid::regclass AS relation, c.conname FROM pg_catalog.pg_constraint c WHERE c.contype = 'f' AND c.confrelid = main LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', key.relation, key.conname);
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    END LOOP;
    EXECUTE pg_catalog.format('DROP TABLE %s', relations);
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    EXECUTE pg_catalog.format('SELECT string_agg(t.class_name, '', '') FROM %I.newt_table t WHERE t.mode = ''inline''', store) INTO relations;
    IF relations IS NULL THEN
        EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS newt_keep_tables ON %I.transaction', store);
    END IF;
END
$newt_body$;
COMMENT ON PROCEDURE newt.drop_table(text, text) IS 'drops the typed tables of a class';

CREATE FUNCTION newt.tables(store text DEFAULT 'public')
    RETURNS TABLE (class_name text, relation regclass, mode text, filled boolean, "columns" integer, "rows" bigint, size bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        SELECT t.class_name, t.relation, t.mode, t.filled, jsonb_array_length(t.columns),
               CASE WHEN r.reltuples >= 0 THEN r.reltuples::bigint END, pg_total_relation_size(r.oid)
          FROM %I.newt_table t JOIN pg_class r ON r.oid = t.relation
         ORDER BY t.class_name COLLATE "C", t.parent IS NOT NULL, t.relation::text COLLATE "C"$sql$, store);
END
$newt_body$;
COMMENT ON FUNCTION newt.tables(text) IS 'typed tables of a store: class, who keeps it, whether it is full, about how many rows, bytes with indexes';
