-- ---- typed tables ---------------------------------------------------------------------------------
-- A class as real tables: kept by each commit in the same transaction, or by newt-updater a moment later.

CREATE FUNCTION newt.write_tables(newt_table regclass, zoids bigint[], inline boolean) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000
    AS 'MODULE_PATHNAME', 'newt_pg_write_tables';
COMMENT ON FUNCTION newt.write_tables(regclass, bigint[], boolean) IS 'writes the rows of these objects into the typed tables that commits keep, or into the others, as the objects are now: of how many they differed';

CREATE FUNCTION newt.copy_tables(newt_table regclass, after bigint, upto bigint) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000
    AS 'MODULE_PATHNAME', 'newt_pg_copy_tables';
COMMENT ON FUNCTION newt.copy_tables(regclass, bigint, bigint) IS 'the same with all objects from after one zoid up to another, in the typed tables that newt-updater keeps; rows without an object go';

CREATE FUNCTION newt.sync_table(newt_table regclass, class_name text, task text, after bigint, upto bigint,
                                OUT same bigint, OUT missing bigint, OUT different bigint, OUT examples bigint[])
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000
    AS 'MODULE_PATHNAME', 'newt_pg_sync_table';
COMMENT ON FUNCTION newt.sync_table(regclass, text, text, bigint, bigint) IS 'compares typed tables with the objects of their class from one zoid to another: look; adds what is missing: fill; or mends what differs: repair';

CREATE FUNCTION newt.tables_changed(newt_table regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_tables_changed';
COMMENT ON FUNCTION newt.tables_changed(regclass) IS 'makes all sessions read newt_table anew';

CREATE FUNCTION newt.wait_for_writers(relation regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000
    AS 'MODULE_PATHNAME', 'newt_pg_wait_for_writers';
COMMENT ON FUNCTION newt.wait_for_writers(regclass) IS 'waits for the transactions that have written to a table, and holds nobody up';

CREATE FUNCTION newt.keep_tables() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 10000
    AS 'MODULE_PATHNAME', 'newt_pg_keep_tables';
COMMENT ON FUNCTION newt.keep_tables() IS 'trigger on the table transaction of a store with inline typed tables: keeps them for commits that do without newt.at_commit()';

CREATE FUNCTION newt.keep_tables_sql(store text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT pg_catalog.format('CREATE TRIGGER newt_keep_tables BEFORE INSERT ON %I.transaction FOR EACH ROW EXECUTE FUNCTION newt.keep_tables()', store)
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g
                    WHERE g.tgrelid = pg_catalog.to_regclass(pg_catalog.format('%I.transaction', store)) AND g.tgname = 'newt_keep_tables')
$newt_body$;
COMMENT ON FUNCTION newt.keep_tables_sql(text) IS 'the SQL of the trigger that inline typed tables need; null if it is there';

-- The store's table for a class; an error where there is none.
CREATE FUNCTION newt.table_of(store text, class_name text) RETURNS regclass
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result regclass;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format('SELECT t.relation FROM %I.newt_table t JOIN pg_class r ON r.oid = t.relation WHERE t.class_name = $1 AND t.parent IS NULL', store)
        INTO result USING class_name;
    IF result IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_table',
            MESSAGE = pg_catalog.format('class "%s" has no typed table in store "%s"', class_name, store),
            HINT = coalesce((SELECT pg_catalog.format('It has one that was made under the name %L.', n.name) FROM unnest(newt.class_names(store, class_name)) n (name)
                              WHERE newt.typed_table(store, n.name) IS NOT NULL LIMIT 1),
                            pg_catalog.format('CALL newt.create_table(%L, %L) makes one.', store, class_name));
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.table_of(text, text) IS 'the typed table of a class; an error if there is none';

-- The relations of a class and their columns, named as they will be.
CREATE FUNCTION newt.table_layout(store text, class_name text, table_schema text, table_name text, numeric_columns text[])
    RETURNS TABLE (number bigint, name text, qualified text, shape text, path text[], columns jsonb)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_column
DECLARE
    unknown text;
BEGIN
    SELECT u.c INTO unknown FROM unnest(numeric_columns) u (c)
     WHERE NOT EXISTS (SELECT FROM newt.class_layout(store, class_name) l
                        WHERE coalesce(l.child || '.', '') || l.column_name = u.c AND l.role = 'value' AND l.data_type = 'bigint' AND l.kind <> 'ref');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_column',
            MESSAGE = pg_catalog.format('class "%s" has no integer column "%s"', class_name, unknown),
            HINT = 'newt.class_layout() shows the columns; one of a collection is named with it: items.count.';
    END IF;
    RETURN QUERY
    SELECT g.number, g.name, pg_catalog.format('%I.%I', table_schema, g.name), g.shape, g.path, g.columns
      FROM (SELECT row_number() OVER (ORDER BY min(l.place)) AS number,
                   newt.cut_name(table_name, coalesce('_' || l.child, '')) AS name, l.shape, coalesce(l.child_path, '{}') AS path,
                   jsonb_agg(jsonb_build_object('column_name', l.column_name, 'role', l.role, 'path', l.path, 'kind', l.kind,
                       'data_type', CASE WHEN coalesce(l.child || '.', '') || l.column_name = ANY (numeric_columns) THEN 'numeric' ELSE l.data_type END,
                       'is_array', l.is_array, 'class', l.class, 'comment', l.comment)
                       -- what was renamed, where anything was
                       || CASE WHEN l.older_paths <> '[]' THEN jsonb_build_object('older_paths', l.older_paths) ELSE '{}' END
                       || CASE WHEN l.role = 'parent' AND l.older_child_paths <> '[]' THEN jsonb_build_object('older_child_paths', l.older_child_paths) ELSE '{}' END
                       || CASE WHEN l.role IN ('id', 'parent') AND cardinality(n.names) > 1 THEN jsonb_build_object('class_names', n.names) ELSE '{}' END ORDER BY l.place) AS columns
              FROM newt.class_layout(store, class_name) l, (SELECT newt.class_names(store, class_name) AS names) n
             GROUP BY l.child, l.shape, l.child_path) g;
END
$newt_body$;
COMMENT ON FUNCTION newt.table_layout(text, text, text, text, text[]) IS 'the tables that newt.create_table makes of a class, the first of its objects, the others of its collections';

-- Columns that make the primary key of a table of this layout.
CREATE FUNCTION newt.table_key(columns jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT pg_catalog.string_agg(pg_catalog.quote_ident(c->>'column_name'), ', ' ORDER BY n)
  FROM pg_catalog.jsonb_array_elements(columns) WITH ORDINALITY x (c, n)
 WHERE c->>'role' IN ('id', 'parent', 'n', 'key')
    OR c->>'role' = 'value' AND NOT EXISTS (SELECT FROM pg_catalog.jsonb_array_elements(columns) o (c) WHERE o.c->>'role' IN ('id', 'n', 'key'))
$newt_body$;
COMMENT ON FUNCTION newt.table_key(jsonb) IS 'the primary key of a typed table with these columns';

-- In the order in which they are to run. Steps 1 and 4 may be one transaction each; those of 2 and 3 take a lock
-- on a table that commits write to, so each is to be one of its own: commits lock tables in the order of
-- their objects, and whoever holds one lock and waits for another may be waited for.
CREATE FUNCTION newt.create_table_steps(store text, class_name text, table_schema text, table_name text, mode text, numeric_columns text[],
                                        one_table bigint DEFAULT NULL)
    RETURNS TABLE (step integer, statement text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    schema_name text := coalesce(table_schema, store);
    main_name text := coalesce(table_name, newt.relation_name(class_name));
    owner name;
    main text;
    t record;
    other record;
    registry text[] := '{}';
BEGIN
    PERFORM newt.check_store(store);
    IF mode IS NULL OR mode NOT IN ('inline', 'updater') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('unknown mode "%s"', mode),
            HINT = 'There are inline and updater.';
    ELSIF schema_name = 'newt' OR pg_catalog.left(schema_name, 3) = 'pg_' OR schema_name = 'information_schema' THEN
        RAISE EXCEPTION USING ERRCODE = 'reserved_name',
            MESSAGE = pg_catalog.format('schema "%s" is not for typed tables', schema_name),
            HINT = 'Choose the store''s schema, or one for reports.';
    END IF;
    SELECT pg_catalog.pg_get_userbyid(c.relowner) INTO owner FROM pg_catalog.pg_class c
     WHERE c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.object_state', store));
    IF pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name)) IS NULL THEN
        step := 1;
        statement := pg_catalog.format('CREATE SCHEMA %I AUTHORIZATION %I', schema_name, owner);
        RETURN NEXT;
    END IF;
    FOR t IN SELECT * FROM newt.table_layout(store, class_name, schema_name, main_name, coalesce(numeric_columns, '{}')) l ORDER BY l.number LOOP
        main := coalesce(main, t.qualified);
        CONTINUE WHEN one_table <> t.number; -- a collection that the class has gained
        IF pg_catalog.to_regclass(t.qualified) IS NOT NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
                MESSAGE = pg_catalog.format('relation %s already exists', t.qualified),
                HINT = CASE WHEN pg_catalog.to_regclass(t.qualified) = ANY (newt.typed_relations(store))
                       THEN pg_catalog.format('It belongs to another class. Choose a name: CALL newt.create_table(%L, %L, table_name => %L).', store, class_name, main_name || '_2')
                       WHEN (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(t.qualified)) = 'v'
                       THEN pg_catalog.format('Drop the view first, or name another schema: CALL newt.create_table(%L, %L, ''reports''); newt.refresh_views(%L) then lets the view read the table.', store, class_name, store)
                       ELSE pg_catalog.format('Drop it, or name another schema: CALL newt.create_table(%L, %L, ''reports'').', store, class_name) END;
        END IF;
        step := 1;
        FOREACH statement IN ARRAY ARRAY[
            pg_catalog.format(E'CREATE TABLE %s (\n%s,\n    PRIMARY KEY (%s)%s\n) WITH (fillfactor = %s)', t.qualified,
                -- behind the key what is of one length, so that it is found without a walk along texts, and unpadded
                (SELECT pg_catalog.string_agg(pg_catalog.format('    %I %s', c->>'column_name', c->>'data_type'), E',\n'
                            ORDER BY c->>'role' = 'value', y.typlen < 0, CASE WHEN y.typlen > 0 THEN pg_catalog.strpos('disc', y.typalign::text) END, n)
                   FROM pg_catalog.jsonb_array_elements(t.columns) WITH ORDINALITY x (c, n)
                   JOIN pg_catalog.pg_type y ON y.oid = (c->>'data_type')::regtype),
                newt.table_key(t.columns),
                CASE WHEN t.number > 1 THEN pg_catalog.format(E',\n    FOREIGN KEY (%I) REFERENCES %s DEFERRABLE INITIALLY DEFERRED',
                    t.columns->0->>'column_name', main) ELSE '' END,
                CASE WHEN t.number > 1 THEN 100 ELSE 90 END),
            pg_catalog.format('ALTER TABLE %s OWNER TO %I', t.qualified, owner),
            pg_catalog.format('COMMENT ON TABLE %s IS %L', t.qualified, CASE WHEN t.number > 1
                THEN pg_catalog.format('%s of class %s in store %s: a row for each item', pg_catalog.array_to_string(t.path, '.'), class_name, store)
                ELSE pg_catalog.format('objects of class %s in store %s', class_name, store) END)]
            || ARRAY(SELECT pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', t.qualified, c->>'column_name', c->>'comment')
                       FROM pg_catalog.jsonb_array_elements(t.columns) WITH ORDINALITY x (c, n) ORDER BY n)
            -- what refers to something is asked for it
            || ARRAY(SELECT pg_catalog.format(CASE WHEN (c->>'is_array')::boolean THEN 'CREATE INDEX ON %1$s USING gin (%2$I)'
                                                   WHEN t.shape = 'set' THEN 'CREATE INDEX ON %1$s (%2$I, %3$I)'
                                                   ELSE 'CREATE INDEX ON %1$s (%2$I)' END, t.qualified, c->>'column_name', t.columns->0->>'column_name')
                       FROM pg_catalog.jsonb_array_elements(t.columns) WITH ORDINALITY x (c, n)
                      WHERE c->>'role' = 'value' AND c->>'kind' = 'ref' ORDER BY n)
            || pg_catalog.format('CREATE TRIGGER newt_read_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %I.newt_read_only()', t.qualified, store)
            -- who reads the store reads its tables
            || ARRAY(SELECT pg_catalog.format(g.statement, t.qualified, r.role, schema_name)
                       FROM (SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS role
                               FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
                              WHERE c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.newt_projection', store))
                                AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner) r,
                            (VALUES (1, 'GRANT USAGE ON SCHEMA %3$I TO %2$s'), (2, 'GRANT SELECT ON %1$s TO %2$s')) g (n, statement)
                      WHERE g.n = 2 OR t.number = 1 ORDER BY r.role, g.n) LOOP
            RETURN NEXT;
        END LOOP;
        registry := registry || pg_catalog.format('INSERT INTO %I.newt_table (relation, class_name, parent, path, shape, mode, columns) VALUES (%L, %L, %L, %L, %L, %L, %L)',
                store, t.qualified, class_name, CASE WHEN t.number > 1 THEN main END, t.path, t.shape, mode, t.columns);
    END LOOP;
    -- Foreign keys of references are not enforced: an object may refer to one that is gone. NOT VALID, so that
    -- a dump can be restored all the same; our rows pass by the triggers.
    FOR t IN SELECT l.qualified AS relation, x.c, main AS target, c2.relation AS known
               FROM newt.table_layout(store, class_name, schema_name, main_name, coalesce(numeric_columns, '{}')) l,
                    pg_catalog.jsonb_array_elements(l.columns) WITH ORDINALITY x (c, n)
                    LEFT JOIN LATERAL (SELECT newt.typed_table(store, x.c->>'class') AS relation) c2 ON true
              WHERE x.c->>'role' = 'value' AND x.c->>'kind' = 'ref' AND NOT (x.c->>'is_array')::boolean
                AND coalesce(l.number = one_table, true) AND (c2.relation IS NOT NULL OR x.c->>'class' = class_name) ORDER BY l.number, x.n LOOP
        step := 2;
        statement := pg_catalog.format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s DEFERRABLE INITIALLY DEFERRED NOT VALID',
            t.relation, t.c->>'column_name', CASE WHEN t.c->>'class' = class_name THEN main ELSE t.known::text END);
        RETURN NEXT;
    END LOOP;
    FOR other IN EXECUTE pg_catalog.format($sql$
            SELECT t.relation, x.c->>'column_name' AS column_name FROM %I.newt_table t, jsonb_array_elements(t.columns) x (c)
             WHERE t.class_name <> $1 AND $2 IS NULL AND x.c->>'role' = 'value' AND x.c->>'kind' = 'ref' AND NOT (x.c->>'is_array')::boolean AND x.c->>'class' = $1
               AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.relation AND a.attname = x.c->>'column_name')
             ORDER BY t.relation::text COLLATE "C", 2$sql$, store) USING class_name, one_table LOOP
        step := 2;
        statement := pg_catalog.format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s DEFERRABLE INITIALLY DEFERRED NOT VALID',
            other.relation, other.column_name, main);
        RETURN NEXT;
    END LOOP;
    IF mode = 'inline' AND newt.keep_tables_sql(store) IS NOT NULL THEN
        step := 3;
        statement := newt.keep_tables_sql(store);
        RETURN NEXT;
    END IF;
    step := 4;
    FOREACH statement IN ARRAY registry || pg_catalog.format('SELECT newt.tables_changed(%L)', pg_catalog.format('%I.newt_table', store)) LOOP
        RETURN NEXT;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_table_steps(text, text, text, text, text, text[], bigint) IS 'the statements of newt.create_table, by steps';

CREATE FUNCTION newt.create_table_sql(store text, class_name text, table_schema text DEFAULT NULL, table_name text DEFAULT NULL,
                                      mode text DEFAULT 'inline', numeric_columns text[] DEFAULT '{}') RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT pg_catalog.string_agg(s.statement || ';', E'\n' ORDER BY s.n)
  FROM newt.create_table_steps(store, class_name, table_schema, table_name, mode, numeric_columns) WITH ORDINALITY s (step, statement, n)
$newt_body$;
COMMENT ON FUNCTION newt.create_table_sql(text, text, text, text, text, text[]) IS 'the SQL of newt.create_table, but for the filling';

CREATE FUNCTION newt.typed_table(store text, class_name text) RETURNS regclass
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result regclass;
BEGIN
    EXECUTE pg_catalog.format('SELECT t.relation FROM %I.newt_table t JOIN pg_class r ON r.oid = t.relation WHERE t.class_name = $1 AND t.parent IS NULL', store)
        INTO result USING class_name;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.typed_table(text, text) IS 'the typed table of a class; null if there is none';

CREATE PROCEDURE newt.create_table(store text, class_name text, table_schema text DEFAULT NULL, table_name text DEFAULT NULL,
                                   mode text DEFAULT 'inline', numeric_columns text[] DEFAULT '{}')
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    known regclass;
    made_as text;
    s record;
    done integer;
BEGIN
    PERFORM newt.check_no_block('newt.create_table');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM newt.check_store(store);
    PERFORM newt.check_class(store, class_name);
    SELECT newt.typed_table(store, n.name), n.name INTO known, made_as FROM unnest(newt.class_names(store, class_name)) n (name)
     WHERE newt.typed_table(store, n.name) IS NOT NULL ORDER BY n.name <> class_name LIMIT 1;
    IF known IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
            MESSAGE = pg_catalog.format('class "%s" has a typed table already', class_name),
            DETAIL = pg_catalog.format(CASE WHEN made_as = class_name THEN 'It is %s.' ELSE 'It is %s, made under the name "%s".' END, known, made_as),
            HINT = CASE WHEN EXISTS (SELECT FROM newt.tables(store) t WHERE t.relation = known AND NOT t.filled)
                   THEN pg_catalog.format('It is not full yet: CALL newt.fill_table(%L, %L) goes on with it. ', store, made_as) ELSE '' END
                || pg_catalog.format('CALL newt.refresh_table(%L, %L) follows the class; newt.drop_table(%L, %L) drops the table.', store, made_as, store, made_as);
    END IF;
    EXECUTE pg_catalog.format('DELETE FROM %I.newt_table WHERE class_name = $1', store) USING class_name; -- of tables that were dropped
    FOR s IN SELECT * FROM newt.create_table_steps(store, class_name, table_schema, table_name, mode, numeric_columns) LOOP
        IF s.step IN (2, 3) OR s.step > done THEN
            COMMIT;
            SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
            PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        END IF;
        done := s.step;
        EXECUTE s.statement;
    END LOOP;
    CALL newt.fill_table(store, class_name);
END
$newt_body$;
COMMENT ON PROCEDURE newt.create_table(text, text, text, text, text, text[]) IS 'makes tables with typed columns of a class and fills them, while others go on writing; kept by each commit (inline) or by newt-updater';

CREATE FUNCTION newt.miss_follower(store text, newt_table regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    missing boolean;
BEGIN
    EXECUTE pg_catalog.format($sql$
        SELECT EXISTS (SELECT FROM %1$I.newt_table t WHERE t.relation = $1 AND t.mode = 'updater')
               AND NOT EXISTS (SELECT FROM %1$I.newt_follower f WHERE f.kind = 'tables')$sql$, store) INTO missing USING newt_table;
    IF missing THEN
        RAISE NOTICE USING
            MESSAGE = pg_catalog.format('typed table %s is kept by newt-updater, which has not run with --sink=tables yet', newt_table),
            DETAIL = 'When it does it begins with all objects.';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.miss_follower(text, regclass) IS 'a notice if newt-updater is to keep a typed table and has never run for that';

CREATE PROCEDURE newt.create_tables(store text DEFAULT 'public', table_schema text DEFAULT NULL, mode text DEFAULT 'inline')
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    classes text[];
    class text;
BEGIN
    PERFORM newt.check_no_block('newt.create_tables');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format('SELECT array_agg(DISTINCT c.name COLLATE "C") FROM %I.newt_class c', store) INTO classes;
    FOREACH class IN ARRAY coalesce(classes, '{}') LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF class <> (newt.class_names(store, class))[1] AND newt.typed_table(store, class) IS NULL THEN
            CONTINUE; -- the table of its present name has its objects
        ELSIF newt.tree_fields(store, class) IS NOT NULL THEN
            CONTINUE; -- its objects are nodes
        ELSIF NOT EXISTS (SELECT FROM unnest(newt.class_names(store, class)) n (name) WHERE newt.typed_table(store, n.name) IS NOT NULL) THEN
            CALL newt.create_table(store, class, table_schema, NULL, mode);
        ELSIF EXISTS (SELECT FROM newt.tables(store) t WHERE t.class_name = class AND NOT t.filled) THEN
            CALL newt.fill_table(store, class);
        END IF;
    END LOOP;
END
$newt_body$;
COMMENT ON PROCEDURE newt.create_tables(text, text, text) IS 'makes typed tables of all classes that have none, and goes on with fillings that were interrupted';

-- Whoever has written objects before the table was known is waited for. Then objects are added in
-- batches, each a transaction of its own; what commits keep meanwhile is newer, and stays. At last, rows are
-- removed whose objects went in between. What policies of the DBA's hide is an error, not overlooked.
CREATE PROCEDURE newt.fill_table(store text, class_name text, batch bigint DEFAULT 20000)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    registry regclass;
    main regclass;
    task text;
    is_inline boolean;
    at bigint;
    upto bigint;
    found record;
    added bigint;
    mended bigint;
    started timestamptz;
    told timestamptz;
    child regclass;
BEGIN
    PERFORM newt.check_no_block('newt.fill_table');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM pg_catalog.set_config('row_security', 'off', true);
    added := 0;
    mended := 0;
    started := clock_timestamp();
    told := started;
    IF batch IS NULL OR batch < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'batch is a number of objects, 1 or more',
            DETAIL = pg_catalog.format('It is %s.', coalesce(batch::text, 'null'));
    END IF;
    main := newt.table_of(store, class_name);
    registry := pg_catalog.format('%I.newt_table', store)::regclass;
    -- a table that has been filled before is compared with its objects, and mended; who goes on with
    -- that has to know it
    EXECUTE pg_catalog.format('SELECT CASE WHEN t.filled OR t.filled_to < 0 THEN ''repair'' ELSE ''fill'' END,
            CASE WHEN t.filled THEN 0 WHEN t.filled_to < 0 THEN -1 - t.filled_to ELSE t.filled_to END, t.mode = ''inline'' FROM %s t WHERE t.relation = $1', registry)
        INTO task, at, is_inline USING main;
    IF task = 'repair' THEN
        EXECUTE pg_catalog.format('UPDATE %s SET filled = false, filled_to = -1 - $2 WHERE class_name = $1', registry) USING class_name, at;
        PERFORM newt.tables_changed(registry);
    END IF;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF is_inline AND newt.keep_tables_sql(store) IS NOT NULL THEN -- DROP EXTENSION took it
        EXECUTE newt.keep_tables_sql(store);
    END IF;
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM pg_catalog.set_config('row_security', 'off', true);
    PERFORM newt.wait_for_writers(pg_catalog.format('%I.object_state', store)::regclass);
    PERFORM newt.wait_for_writers(main); -- a follower that does not know it yet
    LOOP
        COMMIT;
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        PERFORM pg_catalog.set_config('row_security', 'off', true);
        EXECUTE pg_catalog.format('SELECT max(o.zoid) FROM (SELECT zoid FROM %I.object_state WHERE zoid > $1 ORDER BY zoid LIMIT $2) o', store)
            INTO upto USING at, batch;
        EXIT WHEN upto IS NULL;
        IF task = 'repair' THEN -- nobody changes a row while it is compared; commits lock in this order, too
            EXECUTE pg_catalog.format('SELECT count(*) FROM (SELECT FROM %s WHERE id > $1 AND id <= $2 ORDER BY id FOR UPDATE) l', main) USING at, upto;
        END IF;
        SELECT * INTO found FROM newt.sync_table(registry, class_name, task, at + 1, upto);
        added := added + found.missing;
        mended := mended + found.different;
        at := upto;
        EXECUTE pg_catalog.format('UPDATE %s SET filled_to = $2 WHERE relation = $1', registry) USING main, CASE task WHEN 'repair' THEN -1 - at ELSE at END;
        IF clock_timestamp() > told + interval '10 s' THEN
            told := clock_timestamp();
            RAISE NOTICE 'typed table %: % rows so far, up to object %', main, added, at;
        END IF;
    END LOOP;
    PERFORM newt.wait_for_writers(main);
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM pg_catalog.set_config('row_security', 'off', true);
    EXECUTE pg_catalog.format('SELECT newt.write_tables($1, coalesce(array_agg(t.id), ''{}''), (SELECT r.mode = ''inline'' FROM %s r WHERE r.relation = $2)) FROM %s t WHERE NOT EXISTS (SELECT FROM %I.object_state o WHERE o.zoid = t.id)', registry, main, store)
        INTO upto USING registry, main;
    mended := mended + upto;
    EXECUTE pg_catalog.format('UPDATE %s SET filled = true, filled_to = 0 WHERE class_name = $1', registry) USING class_name;
    PERFORM newt.tables_changed(registry);
    PERFORM newt.refresh_class_views(store, class_name);
    FOR child IN EXECUTE pg_catalog.format('SELECT t.relation FROM %s t JOIN pg_class r ON r.oid = t.relation WHERE t.class_name = $1', registry) USING class_name LOOP
        EXECUTE pg_catalog.format('ANALYZE %s', child);
    END LOOP;
    PERFORM newt.miss_follower(store, main);
    RAISE NOTICE '%', pg_catalog.format('typed table %s: %s objects added, %s mended, in %s s', main, added, mended,
        pg_catalog.round(extract(epoch FROM clock_timestamp() - started), 1));
END
$newt_body$;
COMMENT ON PROCEDURE newt.fill_table(text, text, bigint) IS 'goes on with the filling of a typed table; one that is full is compared with its objects, and mended';

-- A commit that finds the table in mode updater has the commit lock later than the change, so its follower
-- finds it so, too. What a follower is at meanwhile ends before commits alone keep the table; then it is
-- compared with its objects.
CREATE PROCEDURE newt.set_table_mode(store text, class_name text, mode text)
    LANGUAGE plpgsql
    AS $newt_body$
DECLARE
    main regclass;
    known text;
    others bigint;
BEGIN
    PERFORM newt.check_no_block('newt.set_table_mode');
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    main := newt.table_of(store, class_name);
    IF mode IS NULL OR mode NOT IN ('inline', 'updater') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('unknown mode "%s"', mode),
            HINT = 'There are inline and updater.';
    END IF;
    EXECUTE pg_catalog.format('SELECT t.mode FROM %I.newt_table t WHERE t.relation = $1', store) INTO known USING main;
    IF known = mode THEN
        RETURN;
    ELSIF mode = 'updater' THEN
        EXECUTE pg_catalog.format('LOCK TABLE %I.newt_commit_lock IN EXCLUSIVE MODE', store);
    ELSIF newt.keep_tables_sql(store) IS NOT NULL THEN
        EXECUTE newt.keep_tables_sql(store);
    END IF;
    -- a follower and a commit may both insert the row of an object
    EXECUTE pg_catalog.format('UPDATE %I.newt_table SET mode = $1 %s WHERE class_name = $2', store,
                              CASE mode WHEN 'inline' THEN ', filled = false, filled_to = -1' ELSE '' END) USING mode, class_name;
    PERFORM newt.tables_changed(pg_catalog.format('%I.newt_table', store)::regclass);
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF mode = 'updater' THEN
        PERFORM newt.miss_follower(store, main);
        EXECUTE pg_catalog.format('SELECT count(*) FROM %I.newt_table t WHERE t.mode = ''inline''', store) INTO others;
        IF others = 0 THEN
            EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS newt_keep_tables ON %I.transaction', store);
        END IF;
    ELSE
        EXECUTE pg_catalog.format('SELECT count(*) FROM (SELECT FROM %I.newt_follower f WHERE f.kind = ''tables'' FOR UPDATE) l', store) INTO others;
        EXECUTE pg_catalog.format('DELETE FROM %1$I.newt_reject_entry e USING %1$I.object_state o WHERE e.n < 0 AND o.zoid = e.zoid AND newt.try_class_name(o.state) = ANY ($1)', store) USING newt.class_names(store, class_name);
        CALL newt.fill_table(store, class_name);
    END IF;
END
$newt_body$;
COMMENT ON PROCEDURE newt.set_table_mode(text, text, text) IS 'has a typed table kept by each commit (inline) from now on, and mends it, or by newt-updater (updater)';
