-- ---- typed views --------------------------------------------------------------------------------
-- The layout of a class as views over the projection. Those of ours are known by the end of their comment.

CREATE FUNCTION newt.path_sql(document text, path text[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT document || coalesce((SELECT pg_catalog.string_agg(pg_catalog.format(', %L', CASE WHEN k.name LIKE '::%' THEN ':' ELSE '' END || k.name), '' ORDER BY k.place)
                               FROM pg_catalog.unnest(path) WITH ORDINALITY k (name, place)), '')
$newt_body$;
COMMENT ON FUNCTION newt.path_sql(text, text[]) IS 'the arguments of an accessor: a document, and its keys for the names of fields';

CREATE FUNCTION newt.accessor_sql(document text, path text[], kind text, data_type text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE WHEN data_type = 'jsonb' AND path = '{}' THEN document ELSE pg_catalog.format('newt.%I(%s)',
    CASE WHEN data_type = 'jsonb' THEN 'json'
         ELSE coalesce((SELECT a.name FROM (VALUES ('int', 'int8'), ('uint', 'int8'), ('float', 'float8'), ('decimal', 'numeric'),
                  ('text', 'string'), ('enum', 'string'), ('time', 'ts')) a (kind, name) WHERE a.kind = accessor_sql.kind), kind) END
        || CASE WHEN data_type LIKE '%[]' THEN '_array' ELSE '' END, newt.path_sql(document, path)) END
$newt_body$;
COMMENT ON FUNCTION newt.accessor_sql(text, text[], text, text) IS 'the SQL of a column: the value of this kind to which the names of the fields lead in a document';

-- A record has a field under one of its names.
CREATE FUNCTION newt.value_sql(document text, path text[], older_paths jsonb, kind text, data_type text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE WHEN older_paths = '[]' THEN newt.accessor_sql(document, path, kind, data_type)
       ELSE pg_catalog.format('coalesce(%s, %s)', newt.accessor_sql(document, path, kind, data_type),
           (SELECT pg_catalog.string_agg(newt.accessor_sql(document, ARRAY(SELECT pg_catalog.jsonb_array_elements_text(o.path)), kind, data_type), ', ' ORDER BY o.place)
              FROM pg_catalog.jsonb_array_elements(older_paths) WITH ORDINALITY o (path, place))) END
$newt_body$;
COMMENT ON FUNCTION newt.value_sql(text, text[], jsonb, text, text) IS 'the SQL of a column whose field had other names: by the newest under which the document has a value';

-- The items of a collection, as i; format is the function that gives them, with its alias.
CREATE FUNCTION newt.items_sql(format text, document text, path text[], older_paths jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE WHEN older_paths = '[]' THEN pg_catalog.format(format, newt.path_sql(document, path))
       ELSE pg_catalog.format('(SELECT i.* FROM %s%s) i', pg_catalog.format(format, newt.path_sql(document, path)),
           (SELECT pg_catalog.string_agg(pg_catalog.format(' UNION ALL SELECT i.* FROM %s WHERE %s IS NULL', pg_catalog.format(format, newt.path_sql(document, o.path)), o.newer), '' ORDER BY o.place)
              FROM (SELECT p.path, p.place, pg_catalog.string_agg(pg_catalog.format('newt.json(%s)', newt.path_sql(document, n.path)), ' IS NULL AND ' ORDER BY n.place) AS newer
                      FROM (SELECT ARRAY(SELECT pg_catalog.jsonb_array_elements_text(w.path)) AS path, w.place
                              FROM pg_catalog.jsonb_array_elements(older_paths) WITH ORDINALITY w (path, place)) p
                      JOIN (SELECT ARRAY(SELECT pg_catalog.jsonb_array_elements_text(w.path)) AS path, w.place
                              FROM pg_catalog.jsonb_array_elements(pg_catalog.jsonb_build_array(path) || older_paths) WITH ORDINALITY w (path, place)) n ON n.place <= p.place
                     GROUP BY p.path, p.place) o)) END
$newt_body$;
COMMENT ON FUNCTION newt.items_sql(text, text, text[], jsonb) IS 'the SQL of the items of a collection that had other names: those of the newest that the document has';

-- An object in the projection, or where the class is virtual in the records.
CREATE FUNCTION newt.view_source(store text, class_name text, OUT relation text, OUT document text, OUT class text, OUT is_virtual boolean)
    RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    is_virtual := newt.projection_of(store, class_name) = 'virtual';
    IF is_virtual THEN
        relation := pg_catalog.format('%I.object_state', store);
        document := 'newt.try_to_jsonb(p.state)';
        class := 'newt.try_class_name(p.state)';
    ELSE
        relation := pg_catalog.format('%I.newt_projection', store);
        document := 'p.state';
        class := 'p.class_name';
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.view_source(text, text) IS 'what a typed view of a class reads: a table, and in it the document and its class';

CREATE FUNCTION newt.class_table(store text, class_name text, child_path text[] DEFAULT NULL) RETURNS regclass
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result regclass;
BEGIN
    IF pg_catalog.to_regclass(pg_catalog.format('%I.newt_table', store)) IS NOT NULL THEN
        -- one that is mended has all its rows; one that is being filled has not, nor one that does not know of a new name
        EXECUTE pg_catalog.format('SELECT t.relation FROM %I.newt_table t JOIN pg_class r ON r.oid = t.relation WHERE t.class_name = $1 AND t.parent IS NULL = ($2 IS NULL) '
                                  'AND t.path = coalesce($2, ''{}'') AND (t.filled OR t.filled_to < 0) '
                                  'AND coalesce(t.columns->0->''class_names'', jsonb_build_array(t.class_name)) = to_jsonb($3) ORDER BY t.relation LIMIT 1', store)
            INTO result USING class_name, child_path, newt.class_names(store, class_name);
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.class_table(text, text, text[]) IS 'the typed table of a class, or of one of its collections; null if there is none that is full';

-- The columns in first come first, in that order. A planner takes a plain view into the query, and then computes
-- its columns late: whole documents go through joins and sorts. A member of UNION ALL computes them
-- where it is read. Conditions reach the member and its indexes, as long as it has none itself, and the other
-- member, which is empty, leaves no trace in the plan.
CREATE FUNCTION newt.view_query(store text, class_name text, child text DEFAULT NULL, first text[] DEFAULT '{}') RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    source record;
    shape text;
    child_path text[];
    older_child_paths jsonb;
    is_link boolean; -- its items are references
    typed_table regclass;
    items text;
    is_class text; -- of a class that was renamed, by any of its names
    result record;
    hidden text;
    shown text;
BEGIN
    SELECT l.shape, l.child_path, bool_or(l.role = 'value' AND l.kind = 'ref' AND l.path = '{}') AND l.shape IN ('list', 'set'), l.older_child_paths INTO shape, child_path, is_link, older_child_paths
      FROM newt.view_layout(store, class_name) l WHERE l.child IS NOT DISTINCT FROM view_query.child GROUP BY l.shape, l.child_path, l.older_child_paths;
    SELECT CASE WHEN cardinality(n.names) = 1 THEN pg_catalog.format('= %L', n.names[1]) ELSE pg_catalog.format('= ANY (%L)', n.names) END INTO is_class
      FROM (SELECT newt.class_names(store, class_name) AS names) n;
    typed_table := newt.class_table(store, class_name, child_path);
    SELECT * INTO source FROM newt.view_source(store, class_name);
    SELECT string_agg(c.name, ', ' ORDER BY c.rank) AS names, string_agg(c.value || ' AS ' || c.name, E',\n    ' ORDER BY c.rank) AS "values",
           string_agg(pg_catalog.format('NULL::%s AS %s', c.data_type, c.name), ', ' ORDER BY c.rank) AS nulls, string_agg('u.' || c.name, ', ' ORDER BY c.rank) AS outer_names,
           string_agg(CASE WHEN a.attname IS NULL THEN 'NULL::' || c.data_type ELSE 't.' || c.name
                           || CASE a.atttypid WHEN c.data_type::regtype THEN '' ELSE '::' || c.data_type END END
                      || ' AS ' || c.name, ', ' ORDER BY c.rank) AS of_table,
           array_agg(c.column_name) AS columns
      INTO result
      FROM (SELECT l.column_name, l.data_type, quote_ident(l.column_name) AS name,
                   row_number() OVER (ORDER BY array_position(first, l.column_name), l.place) AS rank,
                   CASE WHEN l.role IN ('id', 'parent') THEN 'p.zoid'
                        WHEN l.role = 'n' THEN CASE WHEN is_link THEN 'i.n::integer' ELSE 'i.n' END
                        WHEN l.role = 'key' THEN CASE l.shape WHEN 'map' THEN 'i.key'
                             WHEN 'tree' THEN newt.accessor_sql(CASE WHEN l.path = '{}' THEN 'i.key' ELSE pg_catalog.format('i.key->%s', l.path[1]) END, '{}', l.kind, l.data_type) ELSE newt.accessor_sql('i.item', '{k}', l.kind, l.data_type) END
                        WHEN is_link THEN 'i.item'
                        WHEN l.shape IN ('map', 'tree') THEN newt.value_sql('i.value', l.path, l.older_paths, l.kind, l.data_type)
                        WHEN l.shape = 'pairs' THEN newt.value_sql('i.item', ARRAY['v'] || l.path,
                            coalesce((SELECT jsonb_agg('["v"]'::jsonb || o.path ORDER BY o.place) FROM jsonb_array_elements(l.older_paths) WITH ORDINALITY o (path, place)), '[]'), l.kind, l.data_type)
                        WHEN l.shape IS NOT NULL THEN newt.value_sql('i.item', l.path, l.older_paths, l.kind, l.data_type)
                        ELSE newt.value_sql(source.document, l.path, l.older_paths, l.kind, l.data_type) END AS value
              FROM newt.view_layout(store, class_name) l WHERE l.child IS NOT DISTINCT FROM view_query.child) c
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = typed_table AND a.attname = c.column_name AND NOT a.attisdropped;
    IF typed_table IS NOT NULL THEN
        RETURN pg_catalog.format('SELECT %s FROM %s t', result.of_table, typed_table);
    ELSIF child IS NULL THEN
        hidden := newt.free_name('class_name', result.columns);
        shown := newt.free_name('is_shown', result.columns);
        RETURN pg_catalog.format(E'SELECT %1$s FROM (\n  SELECT %2$s,\n    %3$s AS %4$I%5$s FROM %6$s p\n  UNION ALL SELECT %7$s, NULL::text AS %4$I%8$s FROM %6$s p WHERE false) u\nWHERE u.%4$I %9$s%10$s',
            result.outer_names, result.values, source.class, hidden, CASE WHEN source.is_virtual THEN pg_catalog.format(', %s IS NOT NULL AS %I', source.document, shown) END,
            source.relation, result.nulls, CASE WHEN source.is_virtual THEN pg_catalog.format(', NULL::boolean AS %I', shown) END, is_class,
            CASE WHEN source.is_virtual THEN pg_catalog.format(' AND u.%I', shown) END);
    END IF;
    IF shape = 'tree' THEN
        items := pg_catalog.format('newt.btree_items(%L, %s) i', store, newt.value_sql(source.document, child_path, older_child_paths, 'ref', 'bigint'));
    ELSE
        items := CASE WHEN is_link AND shape = 'list' THEN 'pg_catalog.unnest(newt.ref_array(%s)) WITH ORDINALITY i (item, n)'
                      WHEN is_link THEN 'pg_catalog.unnest(newt.ref_array(%s)) i (item)'
                      WHEN shape = 'map' THEN 'newt.entries(%s) i' ELSE 'newt.items(%s) i' END;
        items := newt.items_sql(items, source.document, child_path, older_child_paths);
    END IF;
    RETURN pg_catalog.format(E'SELECT %s\nFROM %s p, LATERAL %s\nWHERE %s %s%s', result.values, source.relation, items, source.class, is_class,
        CASE WHEN is_link AND shape = 'set' THEN ' AND i.item IS NOT NULL' ELSE '' END);
END
$newt_body$;
COMMENT ON FUNCTION newt.view_query(text, text, text, text[]) IS 'the query of a typed view: of a class, or of one of its children';

CREATE FUNCTION newt.view_mark(store text, class_name text, child text DEFAULT NULL) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT pg_catalog.format('made by newt.create_view(%L, %L)', store, class_name) || coalesce(': ' || child, '')
$newt_body$;
COMMENT ON FUNCTION newt.view_mark(text, text, text) IS 'the end of the comment of a typed view: by this it is known';

CREATE FUNCTION newt.views(store text DEFAULT 'public')
    RETURNS TABLE (relation regclass, class_name text, child text, parent regclass)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_column
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        WITH v AS MATERIALIZED (
            SELECT c.oid, c.relnamespace, c.relname, d.description FROM pg_class c JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
             WHERE c.relkind = 'v' AND d.description LIKE '%%made by newt.create_view(%%'
        ), m AS (
            SELECT k.name, newt.view_mark($1, k.name) AS mark FROM (SELECT DISTINCT n.name FROM %I.newt_class n) k
        ), main AS (
            SELECT v.*, m.name FROM v JOIN m ON right(v.description, length(m.mark)) = m.mark
        )
        SELECT w.relation, w.name, w.child, w.parent FROM (
        SELECT main.oid::regclass AS relation, main.name, NULL::text AS child, NULL::regclass AS parent FROM main
        UNION ALL -- a child is in the schema of its parent, and its name begins with that
        SELECT c.oid::regclass, c.name, c.child, c.parent FROM (
            SELECT DISTINCT ON (v.oid) v.oid, m.name, split_part(v.description, m.mark || ': ', 2) AS child, main.oid::regclass AS parent
              FROM v JOIN m ON strpos(v.description, m.mark || ': ') > 0 JOIN main ON main.name = m.name AND main.relnamespace = v.relnamespace
             ORDER BY v.oid, left(v.relname, length(main.relname) + 1) = main.relname || '_' DESC, length(main.relname) DESC) c
) w ORDER BY w.name COLLATE "C", w.child COLLATE "C" NULLS FIRST, w.relation::text COLLATE "C"$sql$, store) USING store;
END
$newt_body$;
COMMENT ON FUNCTION newt.views(text) IS 'the typed views of a store: which class each is of, of a child also which and of which view';

-- first: columns that the view has already, which must stay where they are.
CREATE FUNCTION newt.one_view_sql(store text, class_name text, child text, relation text, first text[] DEFAULT '{}') RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    comments text;
    about text;
BEGIN
    SELECT string_agg(pg_catalog.format(E';\nCOMMENT ON COLUMN %s.%I IS %L', relation, l.column_name, l.comment), '' ORDER BY l.place),
           coalesce(max(l.shape || ' ' || pg_catalog.array_to_string(l.child_path, '.')) || ' of ', '')
      INTO comments, about FROM newt.view_layout(store, class_name) l WHERE l.child IS NOT DISTINCT FROM one_view_sql.child;
    RETURN pg_catalog.format(E'CREATE%s VIEW %s WITH (security_invoker = true) AS %s;\nCOMMENT ON VIEW %s IS %L%s',
        CASE WHEN first = '{}' THEN '' ELSE ' OR REPLACE' END, relation, newt.view_query(store, class_name, child, first),
        relation, pg_catalog.format('%sobjects of class %s, %s', about, class_name, newt.view_mark(store, class_name, child)), comments);
END
$newt_body$;
COMMENT ON FUNCTION newt.one_view_sql(text, text, text, text, text[]) IS 'the SQL of one typed view, with its comments';

CREATE FUNCTION newt.create_view_sql(store text, class_name text, view_name text DEFAULT NULL, schema_name text DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    relation text := newt.cut_name(coalesce(view_name, newt.relation_name(class_name)));
    taken text[] := ARRAY[relation];
    child text;
    result text := newt.one_view_sql(store, class_name, NULL, pg_catalog.format('%I.%I', coalesce(schema_name, store), relation));
BEGIN
    IF pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema_name)) IS NULL AND schema_name IS NOT NULL THEN
        result := pg_catalog.format(E'CREATE SCHEMA %I;\n', schema_name) || result;
    END IF;
    FOR child IN SELECT l.child FROM newt.view_layout(store, class_name) l WHERE l.role = 'parent' ORDER BY l.place LOOP
        taken := taken || newt.free_name(relation || '_' || child, taken);
        result := result || E';\n' || newt.one_view_sql(store, class_name, child, pg_catalog.format('%I.%I', coalesce(schema_name, store), taken[cardinality(taken)]));
    END LOOP;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_view_sql(text, text, text, text) IS 'the SQL of newt.create_view';

-- What the planner needs, over the whole table: an index by class, for classes of few objects, and
-- statistics on what the columns are computed by, which classes may share; documents and arrays get none. It does not
-- use the statistics of an index that is of one class. Each costs every ANALYZE and every planning over
-- the table, so there are at most a hundred.
CREATE FUNCTION newt.prepare_views_sql(store text, class_name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    projection regclass;
    classes text[];
    result text;
BEGIN
    PERFORM newt.check_store(store);
    projection := pg_catalog.format('%I.newt_projection', store)::regclass;
    SELECT array_agg(c.name ORDER BY c.name COLLATE "C") INTO classes
      FROM (SELECT prepare_views_sql.class_name AS name UNION SELECT v.class_name FROM newt.views(store) v WHERE prepare_views_sql.class_name IS NULL) c
     WHERE c.name IS NOT NULL AND newt.projection_of(store, c.name) <> 'virtual' AND newt.class_table(store, c.name) IS NULL;
    SELECT string_agg(s.command, E';\n' ORDER BY s.place) || pg_catalog.format(E';\nANALYZE %s', projection) INTO result FROM (
        SELECT row_number() OVER (ORDER BY min(n.class), min(n.place)) AS place, pg_catalog.format('CREATE STATISTICS %I.%I ON (%s) FROM %s', store, n.name, n.expression, projection) AS command
          FROM (SELECT e.class, e.place, e.expression, newt.cut_name('newt_' || pg_catalog.array_to_string(e.path, '_'), '_' || left(pg_catalog.md5(e.expression), 8)) AS name
                  FROM (SELECT c.place AS class, l.place, l.path, newt.accessor_sql('state', l.path, l.kind, l.data_type) AS expression
                          FROM unnest(classes) WITH ORDINALITY c (name, place), newt.class_layout(store, c.name) l
                         WHERE l.child IS NULL AND l.role = 'value' AND NOT l.is_array AND l.data_type NOT IN ('jsonb', 'bytea')) e) n
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext x WHERE x.stxrelid = projection AND x.stxname = n.name)
         GROUP BY n.name, n.expression
         ORDER BY 1
         LIMIT greatest(100 - (SELECT count(*) FROM pg_catalog.pg_statistic_ext x WHERE x.stxrelid = projection), 0)) s;
    -- last, for writers wait until the transaction ends
    IF classes IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                        WHERE i.indrelid = projection AND a.attname = 'class_name' AND i.indpred IS NULL AND i.indisvalid) THEN
        result := coalesce(result || E';\n', '') || pg_catalog.format('CREATE INDEX newt_projection_class ON %s (class_name)', projection);
    END IF;
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.prepare_views_sql(text, text) IS 'the SQL of newt.prepare_views; null if there is nothing to be made';

CREATE FUNCTION newt.prepare_views(store text, class_name text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    command text := newt.prepare_views_sql(store, class_name);
BEGIN
    IF command IS NULL THEN
        RETURN false;
    ELSIF NOT (SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.format('%I.newt_projection', store)::regclass) THEN
        RAISE NOTICE USING MESSAGE = pg_catalog.format('the projection of store "%s" lacks indexes or statistics for typed views', store),
            DETAIL = 'Plans are worse without them.',
            HINT = pg_catalog.format('Its owner may call newt.prepare_views(%L, %L).', store, class_name);
        RETURN false;
    END IF;
    EXECUTE command;
    RETURN true;
END
$newt_body$;
COMMENT ON FUNCTION newt.prepare_views(text, text) IS 'makes the index by class and the statistics that typed views of a class (null: of all that have views) need; false if all is there, or the caller does not own the projection';

CREATE FUNCTION newt.create_view(store text, class_name text, view_name text DEFAULT NULL, schema_name text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE newt.create_view_sql(store, class_name, view_name, schema_name);
    PERFORM newt.prepare_views(store, class_name);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_view(text, text, text, text) IS 'views with typed columns of a class and its children; by default in the store''s schema, called as the class in lower case';

CREATE FUNCTION newt.create_views(store text DEFAULT 'public', schema_name text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    n integer := 0;
    class text;
BEGIN
    PERFORM newt.check_store(store);
    FOR class IN EXECUTE pg_catalog.format('SELECT DISTINCT c.name COLLATE "C" FROM %I.newt_class c ORDER BY 1', store) LOOP
        IF class <> (newt.class_names(store, class))[1] THEN
            CONTINUE; -- the view of its present name shows its objects
        ELSIF newt.tree_fields(store, class) IS NOT NULL THEN
            CONTINUE; -- what refers to a tree has a view of its entries
        ELSIF newt.typed_table(store, class) = pg_catalog.to_regclass(pg_catalog.format('%I.%I', coalesce(schema_name, store), newt.relation_name(class))) THEN
            CONTINUE; -- under the name that the view would have is the table
        ELSIF NOT EXISTS (SELECT FROM newt.views(store) v JOIN pg_catalog.pg_class c ON c.oid = v.relation
                        WHERE v.class_name = class AND v.child IS NULL AND c.relnamespace = (SELECT s.oid FROM pg_catalog.pg_namespace s WHERE s.nspname = coalesce(schema_name, store))) THEN
            EXECUTE newt.create_view_sql(store, class, NULL, schema_name);
            n := n + 1;
        END IF;
    END LOOP;
    PERFORM newt.prepare_views(store);
    RETURN n;
EXCEPTION WHEN duplicate_table THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
        MESSAGE = pg_catalog.format('cannot create the view of class "%s": %s', class, SQLERRM),
        HINT = pg_catalog.format('Give it another name: SELECT newt.create_view(%L, %L, ''...'', %L), then call newt.create_views again.', store, class, coalesce(schema_name, store));
END
$newt_body$;
COMMENT ON FUNCTION newt.create_views(text, text) IS 'typed views of all classes that have none, and no typed table of that name, in a schema (default: the store''s): how many classes';

-- Replaced, a view keeps its rights and what is built on it: columns that it has stay where they are, new ones
-- come last. If a column is gone or of another type, the view is made anew, with the same rights.
CREATE FUNCTION newt.refresh_view(store text, class_name text, child text, relation regclass) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    before text[];
    lost text[];
    is_there boolean;
    grants text;
    renamed record;
BEGIN
    -- what is built on a column stays with it
    FOR renamed IN
        SELECT l.column_name, a.attname FROM newt.view_layout(store, class_name) l, jsonb_array_elements(l.older_paths) WITH ORDINALITY o (path, place),
               LATERAL (SELECT string_agg(w.name, '_' ORDER BY w.place) AS name FROM jsonb_array_elements_text(o.path) WITH ORDINALITY w (name, place)) w,
               pg_catalog.pg_attribute a
         WHERE l.child IS NOT DISTINCT FROM refresh_view.child AND l.role = 'value' AND a.attrelid = relation AND a.attnum > 0
           AND a.attname = CASE WHEN l.kind <> 'ref' OR l.data_type = 'jsonb' THEN w.name WHEN l.is_array THEN w.name || '_ids' ELSE newt.ref_name(w.name) END
           AND NOT EXISTS (SELECT FROM newt.view_layout(store, class_name) k WHERE k.child IS NOT DISTINCT FROM refresh_view.child AND k.column_name = a.attname)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute b WHERE b.attrelid = relation AND b.attname = l.column_name)
         ORDER BY l.place, o.place LOOP
        BEGIN
            EXECUTE pg_catalog.format('ALTER VIEW %s RENAME COLUMN %I TO %I', relation, renamed.attname, renamed.column_name);
        EXCEPTION WHEN duplicate_column THEN -- it had several of the names
            NULL;
        END;
    END LOOP;
    SELECT array_agg(a.attname::text ORDER BY a.attnum), array_agg(a.attname::text) FILTER (WHERE l.column_name IS NULL), count(l.column_name) > 0
      INTO before, lost, is_there
      FROM pg_catalog.pg_attribute a
      LEFT JOIN newt.view_layout(store, class_name) l ON l.column_name = a.attname AND l.data_type::regtype = a.atttypid
                                                      AND l.child IS NOT DISTINCT FROM refresh_view.child
     WHERE a.attrelid = relation AND a.attnum > 0;
    IF NOT is_there THEN -- the class has no such child any more
        EXECUTE pg_catalog.format('DROP VIEW %s', relation);
        RETURN 'dropped';
    ELSIF lost IS NULL THEN
        EXECUTE newt.one_view_sql(store, class_name, child, relation::text, before);
        RETURN 'replaced';
    END IF;
    SELECT string_agg(pg_catalog.format(E';\nGRANT %s ON %s TO %s%s', g.privilege_type, relation, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END,
                      CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), '')
      INTO grants
      FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) g WHERE c.oid = relation AND g.grantee <> c.relowner;
    EXECUTE pg_catalog.format('DROP VIEW %s', relation) || E';\n' || newt.one_view_sql(store, class_name, child, relation::text) || coalesce(grants, '');
    RETURN 'made anew';
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE EXCEPTION USING ERRCODE = 'dependent_objects_still_exist',
        MESSAGE = pg_catalog.format('cannot refresh view %s of class "%s"', relation, class_name),
        DETAIL = CASE WHEN lost IS NULL THEN 'The class has no such field any more' ELSE pg_catalog.format('Column "%s" is gone or of another type', lost[1]) END || ', and other views use it.',
        HINT = 'Drop those, call newt.refresh_views, and create them again.';
END
$newt_body$;
COMMENT ON FUNCTION newt.refresh_view(text, text, text, regclass) IS 'makes one typed view what its class is now: replaced, made anew or dropped';

CREATE FUNCTION newt.refresh_class_views(store text, class_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.refresh_view(store, w.class_name, w.child, w.relation)
       FROM newt.views(store) w JOIN pg_catalog.pg_class c ON c.oid = w.relation
      WHERE w.class_name = refresh_class_views.class_name AND pg_catalog.pg_has_role(c.relowner, 'USAGE');
END
$newt_body$;
COMMENT ON FUNCTION newt.refresh_class_views(text, text) IS 'lets the typed views of a class that the caller may replace read its typed tables, or no longer';

CREATE FUNCTION newt.refresh_views(store text DEFAULT 'public') RETURNS TABLE (relation text, what text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 20
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
#variable_conflict use_column
DECLARE
    v record;
    name text;
BEGIN
    FOR v IN SELECT w.*, c.relname, s.nspname, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_mine
               FROM newt.views(store) w JOIN pg_catalog.pg_class c ON c.oid = w.relation JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
              ORDER BY w.class_name COLLATE "C", w.child COLLATE "C" NULLS FIRST, w.relation::text COLLATE "C" LOOP
        relation := v.relation::text;
        what := CASE WHEN v.is_mine THEN newt.refresh_view(store, v.class_name, v.child, v.relation) ELSE 'left: it belongs to another role' END;
        RETURN NEXT;
        CONTINUE WHEN NOT v.is_mine OR v.child IS NOT NULL;
        FOR name IN SELECT l.child FROM newt.view_layout(store, v.class_name) l
                     WHERE l.role = 'parent' AND NOT EXISTS (SELECT FROM newt.views(store) w WHERE w.parent = v.relation AND w.child = l.child) ORDER BY l.place LOOP
            relation := pg_catalog.format('%I.%I', v.nspname, newt.free_name(v.relname || '_' || name, ARRAY(
                SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = v.nspname)));
            EXECUTE newt.one_view_sql(store, v.class_name, name, relation);
            what := 'created';
            RETURN NEXT;
        END LOOP;
    END LOOP;
    PERFORM newt.prepare_views(store);
END
$newt_body$;
COMMENT ON FUNCTION newt.refresh_views(text) IS 'makes the typed views of a store what their classes are now: each, and what was done to it';
