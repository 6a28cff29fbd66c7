-- ---- indexes of a store ---------------------------------------------------------------------------
-- Each builder has a twin that only returns the statements: to read, to change, or to run CONCURRENTLY,
-- which no function can. The comment on an index says what it is for.

-- Of a name that is too long the longer part is cut, so that both can be read.
CREATE FUNCTION newt.index_name(schema_name text, base text, suffix text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    a text := btrim(regexp_replace(newt.relation_name(base), '_+', '_', 'g'), '_');
    b text := btrim(regexp_replace(newt.relation_name(suffix), '_+', '_', 'g'), '_');
    ending text := '_idx';
    number integer := 1;
BEGIN
    LOOP
        WHILE octet_length(a) + 1 + octet_length(b) + octet_length(ending) > 63 LOOP
            IF octet_length(a) > octet_length(b) THEN
                a := left(a, -1);
            ELSE
                b := left(b, -1);
            END IF;
        END LOOP;
        EXIT WHEN to_regclass(format('%I.%I', schema_name, a || '_' || b || ending)) IS NULL;
        number := number + 1;
        ending := '_idx_' || number;
    END LOOP;
    RETURN a || '_' || b || ending;
END
$newt_body$;
COMMENT ON FUNCTION newt.index_name(text, text, text) IS 'a free name for an index, base_suffix_idx';

-- What is behind AND does not matter: such an index is of that class alone.
CREATE FUNCTION newt.index_class(index_oid oid) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS $newt_body$
SELECT CASE WHEN l.text LIKE 'E%' THEN replace(replace(substr(l.text, 3, length(l.text) - 3), '''''', ''''), E'\\\\', E'\\')
            ELSE replace(substr(l.text, 2, length(l.text) - 2), '''''', '''') END
  FROM pg_index i, pg_get_expr(i.indpred, i.indrelid) p (text),
       substring(p.text, '^[(][(]?(?:class_name|newt[.]try_class_name[(]state[)]) = (E?''(?:[^'']|'''')*'')::text[)](?:$| AND )') l (text)
 WHERE i.indexrelid = index_oid
$newt_body$;
COMMENT ON FUNCTION newt.index_class(oid) IS 'the class to which a partial index is limited; null: it is of all';

-- Over the rows of the projection; where a class has none, over its records, as the view computes it.
-- All classes of a store that has both need two indexes. Or over a table that the class has.
CREATE FUNCTION newt.index_statements(store text, class_name text, purpose text, suffix text, stored text, computed text,
                                      method text DEFAULT 'gin', is_unique boolean DEFAULT false, concurrently boolean DEFAULT false,
                                      relation regclass DEFAULT NULL) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    mode text := 'inline';
    others text[] := '{}';
    mark text := 'newt: ' || purpose;
    t record;
    name text;
    present text;
    missing boolean := false;
BEGIN
    IF newt.store_version(store) IS NOT NULL THEN -- else the SQL for a store to come
        mode := newt.projection_of(store, class_name);
        SELECT s.others INTO others FROM newt.projection_split(store) s;
    END IF;
    FOR t IN
        SELECT n.nspname::text AS schema, c.relname::text AS name, c.relname::text AS base, stored AS keys, '' AS condition
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.oid = relation
        UNION ALL
        SELECT store, d.name, coalesce(class_name, d.name), d.keys,
               CASE WHEN class_name IS NULL THEN '' ELSE pg_catalog.format(' WHERE %s = %L', d.class, class_name) END
          FROM (VALUES ('newt_projection', stored, 'class_name', mode <> 'virtual'),
                       ('object_state', computed, 'newt.try_class_name(state)', mode = 'virtual')) d (name, keys, class, needed)
         WHERE relation IS NULL AND (d.needed OR class_name IS NULL AND others <> '{}')
    LOOP
        SELECT i.indexrelid::pg_catalog.regclass INTO name FROM pg_catalog.pg_index i
         WHERE i.indrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schema, t.name))
           AND pg_catalog.obj_description(i.indexrelid, 'pg_class') = mark
           AND (relation IS NOT NULL OR newt.index_class(i.indexrelid) IS NOT DISTINCT FROM class_name);
        IF FOUND THEN
            present := name;
            CONTINUE;
        END IF;
        missing := true;
        name := newt.index_name(t.schema, t.base, suffix);
        RETURN NEXT pg_catalog.format('CREATE %sINDEX %s%I ON %I.%I USING %I (%s)%s', CASE WHEN is_unique THEN 'UNIQUE ' ELSE '' END,
            CASE WHEN "concurrently" THEN 'CONCURRENTLY ' ELSE '' END, name, t.schema, t.name, method, t.keys, t.condition);
        RETURN NEXT pg_catalog.format('COMMENT ON INDEX %I.%I IS %L', t.schema, name, mark);
    END LOOP;
    IF NOT missing THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
            MESSAGE = pg_catalog.format('index %s is there already', present),
            DETAIL = pg_catalog.format('Its comment is "%s".', mark),
            HINT = pg_catalog.format('Drop it first, or REINDEX INDEX CONCURRENTLY %s if newt.indexes() says that it is not valid.', present);
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.index_statements(text, text, text, text, text, text, text, boolean, boolean, regclass) IS 'the statements of an index: its keys over newt_projection or a table, and over object_state where the class is virtual';

-- ---- builders: of fields --------------------------------------------------------------------------

-- A key is the expression that the typed view has, so that a filter on the view's column uses the index;
-- where the class has a typed table, the column itself.
CREATE FUNCTION newt.create_field_index_sql(store text, class_name text, field text, kind text DEFAULT 'value',
                                            more text[] DEFAULT '{}', is_unique boolean DEFAULT false, concurrently boolean DEFAULT false)
    RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    way record;
    f record;
    relation regclass;
    trigrams text;
    method text := 'btree';
    stored text := '';
    computed text := '';
    names text := '';
    columns text := '';
    keys text;
    present regclass;
BEGIN
    PERFORM newt.check_store(store);
    SELECT * INTO way FROM (VALUES
        ('value',         '',               '(%s)',                          NULL),
        ('nocase',        '_nocase',        '(lower(%s))',                   'btree'),
        ('prefix',        '_prefix',        '(%s) text_pattern_ops',         'btree'),
        ('nocase_prefix', '_nocase_prefix', '(lower(%s)) text_pattern_ops',  'btree'),
        ('substring',     '_substring',     '(%s) %2$s',                     'gin')) w (kind, suffix, key, method)
     WHERE w.kind = create_field_index_sql.kind;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = pg_catalog.format('unknown kind of index "%s"', kind),
            HINT = 'There are value, nocase, prefix, nocase_prefix and substring.';
    ELSIF kind = 'substring' THEN
        SELECT pg_catalog.format('%I.gin_trgm_ops', n.nspname) INTO trigrams
          FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm';
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
                MESSAGE = pg_catalog.format('cannot index field "%s" of class "%s" for substrings without the extension pg_trgm', field, class_name),
                HINT = 'CREATE EXTENSION pg_trgm; it is one of those that PostgreSQL comes with.';
        END IF;
    END IF;
    FOR f IN
        SELECT n.name, n.place, c.* FROM pg_catalog.unnest(field || more) WITH ORDINALITY n (name, place)
          LEFT JOIN LATERAL (
            SELECT l.child, l.child_path, l.column_name, l.data_type, l.kind AS of_kind, l.path, l.is_array
              FROM newt.class_layout(store, class_name) l
             WHERE l.role = 'value' AND n.name = ANY (ARRAY[concat_ws('.', l.child, l.column_name), array_to_string(l.child_path || l.path, '.')])
             ORDER BY l.child IS NULL DESC, l.column_name = n.name DESC, l.place LIMIT 1) c ON true
         ORDER BY n.place
    LOOP
        IF f.column_name IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'undefined_column',
                MESSAGE = pg_catalog.format('class "%s" has no field "%s" to index', class_name, f.name),
                HINT = coalesce(
                    (SELECT pg_catalog.format('It is a collection; its items have columns: %s.', string_agg(concat_ws('.', l.child, l.column_name), ', ' ORDER BY l.place))
                       FROM newt.class_layout(store, class_name) l WHERE l.child = f.name AND l.role = 'value' HAVING count(*) BETWEEN 1 AND 10),
                    pg_catalog.format('SELECT child, column_name, path FROM newt.class_layout(%L, %L) shows its fields.', store, class_name));
        ELSIF f.place = 1 THEN
            relation := newt.class_table(store, class_name, f.child_path);
        ELSIF relation IS DISTINCT FROM newt.class_table(store, class_name, f.child_path) THEN
            RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
                MESSAGE = pg_catalog.format('fields "%s" and "%s" of class "%s" are in different tables', field, f.name, class_name),
                HINT = 'Make two indexes.';
        END IF;
        IF f.child IS NOT NULL AND relation IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
                MESSAGE = pg_catalog.format('field "%s" of class "%s" has many values in an object', f.name, class_name),
                DETAIL = 'An index of such a field needs a table with a row for each.',
                HINT = pg_catalog.format('CALL newt.create_table(%L, %L) makes typed tables; newt.create_path_index() finds objects by what is in the list or map.', store, class_name);
        ELSIF f.data_type <> 'text' AND way.method IS NOT NULL AND f.place = 1 THEN
            RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
                MESSAGE = pg_catalog.format('field "%s" of class "%s" is no text', f.name, class_name),
                DETAIL = pg_catalog.format('Its column is of type %s, and an index of kind %s is for text.', f.data_type, kind),
                HINT = 'The kind "value" is for all types.';
        ELSIF f.place = 1 THEN
            method := coalesce(way.method, CASE WHEN f.is_array OR f.data_type = 'jsonb' THEN 'gin' ELSE 'btree' END);
            IF f.data_type = 'jsonb' THEN
                way.key := '(%s) jsonb_path_ops';
            END IF;
        END IF;
        IF method = 'gin' AND (is_unique OR more <> '{}') OR f.place > 1 AND (f.is_array OR f.data_type = 'jsonb') THEN
            RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
                MESSAGE = pg_catalog.format('an index on field "%s" of class "%s" cannot be unique or have more fields', f.name, class_name),
                DETAIL = 'It is a GIN index, which finds what is within a value.';
        END IF;
        names := pg_catalog.concat_ws(', ', nullif(names, ''), pg_catalog.concat_ws('.', f.child, f.column_name));
        columns := pg_catalog.concat_ws('_', nullif(columns, ''), f.column_name);
        keys := pg_catalog.concat_ws(', ', keys, CASE WHEN f.data_type = 'jsonb' THEN quote_ident(f.column_name) || ' jsonb_path_ops' ELSE quote_ident(f.column_name) END);
        stored := pg_catalog.concat_ws(', ', nullif(stored, ''), pg_catalog.format(CASE f.place WHEN 1 THEN way.key ELSE '(%s)' END,
            CASE WHEN relation IS NULL THEN newt.accessor_sql('state', f.path, f.of_kind, f.data_type) ELSE pg_catalog.quote_ident(f.column_name) END, trigrams));
        computed := pg_catalog.concat_ws(', ', nullif(computed, ''), pg_catalog.format(CASE f.place WHEN 1 THEN way.key ELSE '(%s)' END,
            newt.accessor_sql('newt.try_to_jsonb(state)', f.path, f.of_kind, f.data_type), trigrams));
    END LOOP;
    -- those that a typed table has from the beginning, and those made by hand, have no comment to be known by
    SELECT i.indexrelid::pg_catalog.regclass INTO present
      FROM pg_catalog.pg_index i, LATERAL (SELECT pg_catalog.format(' USING %I (%s', method, keys) AS wanted, pg_catalog.pg_get_indexdef(i.indexrelid) AS made) d
     WHERE i.indrelid = relation AND kind = 'value' AND NOT is_unique AND i.indisvalid AND i.indpred IS NULL
       AND coalesce(pg_catalog.obj_description(i.indexrelid, 'pg_class'), '') NOT LIKE 'newt: %'
       AND (pg_catalog.strpos(d.made, d.wanted || ')') > 0 OR method = 'btree' AND pg_catalog.strpos(d.made, d.wanted || ', ') > 0)
     ORDER BY i.indexrelid::pg_catalog.regclass::text COLLATE "C" LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
            MESSAGE = pg_catalog.format('index %s is there already', present),
            DETAIL = pg_catalog.format('It begins with the same columns: %s. Keys and references have an index from the beginning.', keys);
    END IF;
    RETURN QUERY SELECT newt.index_statements(store, class_name,
        pg_catalog.format('%s%s %s', CASE WHEN is_unique THEN 'unique ' ELSE '' END, kind, names), columns || way.suffix,
        stored, computed, method, is_unique, "concurrently", relation);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_field_index_sql(text, text, text, text, text[], boolean, boolean) IS 'the statements of newt.create_field_index';

CREATE FUNCTION newt.create_field_index(store text, class_name text, field text, kind text DEFAULT 'value',
                                        more text[] DEFAULT '{}', is_unique boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT newt.create_field_index_sql(store, class_name, field, kind, more, is_unique) LOOP
        EXECUTE statement;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_field_index(text, text, text, text, text[], boolean) IS 'index on a field with its proper type (kind value), or for nocase, prefix, nocase_prefix or substring; with more fields behind it, or unique';

-- ---- builders: of documents -----------------------------------------------------------------------

-- The expression is SQL of who calls, and runs with the rights of the table's owner alone, as in CREATE INDEX.
CREATE FUNCTION newt.create_expression_index_sql(store text, class_name text, expression text, method text DEFAULT 'btree',
                                                 is_unique boolean DEFAULT false, concurrently boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT newt.index_statements(store, class_name, CASE WHEN is_unique THEN 'unique ' ELSE '' END || 'expression ' || expression, 'expr',
                             format(expression, 'state'), format(expression, 'newt.try_to_jsonb(state)'), method, is_unique, "concurrently")
$newt_body$;
COMMENT ON FUNCTION newt.create_expression_index_sql(text, text, text, text, boolean, boolean) IS 'the statements of newt.create_expression_index';

CREATE FUNCTION newt.create_expression_index(store text, class_name text, expression text, method text DEFAULT 'btree',
                                             is_unique boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT newt.create_expression_index_sql(store, class_name, expression, method, is_unique) LOOP
        EXECUTE statement;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_expression_index(text, text, text, text, boolean) IS 'index on any expressions, in which %s stands for the document: store, class (null: all)';

CREATE FUNCTION newt.create_path_index_sql(store text, class_name text, path text[], concurrently boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    key text;
BEGIN
    IF coalesce(pg_catalog.cardinality(path), 0) = 0 OR pg_catalog.array_position(path, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = CASE WHEN pg_catalog.cardinality(path) = 0 THEN 'invalid_parameter_value' ELSE 'null_value_not_allowed' END,
            MESSAGE = 'a path needs one key at least, and none may be null',
            HINT = 'newt.create_expression_index(store, class, ''%s'', ''gin'') indexes whole documents.';
    END IF;
    PERFORM newt.check_paths(store, class_name, ARRAY[regexp_replace(path[1], '([.:\\])', '\\\1', 'g')]);
    key := CASE pg_catalog.cardinality(path) WHEN 1 THEN pg_catalog.format('->%L', path[1]) ELSE pg_catalog.format(' #> %L', path) END;
    RETURN QUERY SELECT newt.index_statements(store, class_name, 'path ' || path::text, pg_catalog.array_to_string(path, '_') || '_path',
        pg_catalog.format('(state%s) jsonb_path_ops', key), pg_catalog.format('(newt.try_to_jsonb(state)%s) jsonb_path_ops', key), 'gin', false, "concurrently");
END
$newt_body$;
COMMENT ON FUNCTION newt.create_path_index_sql(text, text, text[], boolean) IS 'the statements of newt.create_path_index';

CREATE FUNCTION newt.create_path_index(store text, class_name text, path text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT newt.create_path_index_sql(store, class_name, path) LOOP
        EXECUTE statement;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_path_index(text, text, text[]) IS 'GIN index on one item of the documents, state->key or state #> path: store, class (null: all), keys';

-- Two forms, since nothing can come after paths that are given one by one.
CREATE FUNCTION newt.create_text_index_sql(schema_name text, class_name text, config regconfig, paths text[], concurrently boolean)
    RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    key text := CASE WHEN paths = '{}' THEN '' ELSE pg_catalog.format(', VARIADIC %L::text[]', paths) END;
BEGIN
    PERFORM newt.tsvector(config, '{}', VARIADIC paths); -- refuses what it would refuse later
    PERFORM newt.check_paths(schema_name, class_name, paths);
    RETURN QUERY SELECT newt.index_statements(schema_name, class_name,
        pg_catalog.concat_ws(' ', 'text', config, nullif(pg_catalog.array_to_string(paths, ', '), '')), 'text',
        pg_catalog.format('newt.tsvector(%L::regconfig, state%s)', config, key),
        pg_catalog.format('newt.tsvector(%L::regconfig, newt.try_to_jsonb(state)%s)', config, key), 'gin', false, "concurrently");
END
$newt_body$;
COMMENT ON FUNCTION newt.create_text_index_sql(text, text, regconfig, text[], boolean) IS 'the statements of newt.create_text_index, or to make the index concurrently';

CREATE FUNCTION newt.create_text_index_sql(schema_name text, class_name text, config regconfig, VARIADIC paths text[] DEFAULT '{}')
    RETURNS SETOF text
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT newt.create_text_index_sql(schema_name, class_name, config, paths, false)
$newt_body$;
COMMENT ON FUNCTION newt.create_text_index_sql(text, text, regconfig, text[]) IS 'the statements of newt.create_text_index';

CREATE FUNCTION newt.create_text_index(schema_name text, class_name text, config regconfig, VARIADIC paths text[] DEFAULT '{}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT newt.create_text_index_sql(schema_name, class_name, config, paths, false) LOOP
        EXECUTE statement;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_text_index(text, text, regconfig, text[]) IS 'GIN index for full-text search: store, class (null: all), configuration, paths with weights as for newt.tsvector';

CREATE FUNCTION newt.create_principals_index_sql(schema_name text, class_name text, paths text[], concurrently boolean)
    RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.principals('{}', VARIADIC paths);
    PERFORM newt.check_paths(schema_name, class_name, paths);
    RETURN QUERY SELECT newt.index_statements(schema_name, class_name,
        pg_catalog.concat_ws(' ', 'principals', nullif(pg_catalog.array_to_string(paths, ', '), '')), 'principals',
        pg_catalog.format('newt.principals(state, VARIADIC %L::text[])', paths),
        pg_catalog.format('newt.principals(newt.try_to_jsonb(state), VARIADIC %L::text[])', paths), 'gin', false, "concurrently");
END
$newt_body$;
COMMENT ON FUNCTION newt.create_principals_index_sql(text, text, text[], boolean) IS 'the statements of newt.create_principals_index, or to make the index concurrently';

CREATE FUNCTION newt.create_principals_index_sql(schema_name text, class_name text, VARIADIC paths text[])
    RETURNS SETOF text
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT newt.create_principals_index_sql(schema_name, class_name, paths, false)
$newt_body$;
COMMENT ON FUNCTION newt.create_principals_index_sql(text, text, text[]) IS 'the statements of newt.create_principals_index';

CREATE FUNCTION newt.create_principals_index(schema_name text, class_name text, VARIADIC paths text[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT newt.create_principals_index_sql(schema_name, class_name, paths, false) LOOP
        EXECUTE statement;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.create_principals_index(text, text, text[]) IS 'GIN index for "who may see this": store, class (null: all), paths as for newt.principals';

-- ---- what indexes there are -----------------------------------------------------------------------

-- How many rows an index has is not kept for all sorts of index: the planner's estimate is asked for. That
-- makes it volatile.
CREATE FUNCTION newt.indexes(store text DEFAULT 'public')
    RETURNS TABLE (index_name regclass, relation regclass, class_name text, purpose text, definition text, size bigint,
                   rows bigint, bytes_per_row numeric, scans bigint, since timestamptz, is_valid boolean, is_unique boolean, advice text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 20
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
    AS $newt_body$
#variable_conflict use_column
DECLARE
    tables jsonb := '{}'; -- typed tables: oid and class
    plan json;
    predicate text;
BEGIN
    PERFORM newt.check_store(store);
    IF pg_catalog.to_regclass(pg_catalog.format('%I.newt_table', store)) IS NOT NULL THEN
        EXECUTE pg_catalog.format('SELECT coalesce(jsonb_object_agg(t.relation::oid, t.class_name), ''{}'') FROM %I.newt_table t', store) INTO tables;
    END IF;
    FOR index_name, relation, class_name, purpose, definition, predicate, size, scans, since, is_valid, is_unique, advice IN
        WITH x AS MATERIALIZED (
            SELECT i.*, c.relname, a.amname, pg_get_expr(i.indpred, i.indrelid) AS predicate,
                   i.indisvalid AND i.indisready AND i.indislive AS valid, newt.index_class(i.indexrelid) AS class,
                   ARRAY(SELECT concat_ws(' ', pg_get_indexdef(i.indexrelid, k, false), i.indclass[k - 1], i.indcollation[k - 1], i.indoption[k - 1])
                           FROM generate_series(1, i.indnkeyatts) k ORDER BY k) AS keys,
                   pg_stat_get_numscans(i.indexrelid) AS scans
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
             WHERE i.indrelid IN (to_regclass(format('%I.newt_projection', store)), to_regclass(format('%I.object_state', store)))
                OR tables ? i.indrelid::text
        )
        SELECT x.indexrelid::regclass, x.indrelid::regclass, coalesce(tables->>x.indrelid::text, x.class),
               coalesce(substring(obj_description(x.indexrelid, 'pg_class'), '^newt: (.*)'), CASE WHEN x.indisprimary THEN 'key' END),
               pg_get_indexdef(x.indexrelid), x.predicate, pg_relation_size(x.indexrelid), x.scans,
               pg_stat_get_db_stat_reset_time((SELECT d.oid FROM pg_database d WHERE d.datname = current_database())),
               x.valid, x.indisunique,
               CASE WHEN EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.indexrelid) THEN 'is being built'
                    WHEN NOT x.valid THEN format('invalid: every write pays for it, no query uses it. REINDEX INDEX CONCURRENTLY %1$s or DROP INDEX %1$s', x.indexrelid::regclass)
                    WHEN x.class IS NOT NULL AND NOT tables ? x.indrelid::text
                         AND (newt.projection_of(store, x.class) = 'virtual') <> (x.indrelid = to_regclass(format('%I.object_state', store)))
                        THEN format('misplaced: objects of class "%s" are read from %I.%I. Create it anew, and DROP INDEX %s', x.class, store,
                                    CASE newt.projection_of(store, x.class) WHEN 'virtual' THEN 'object_state' ELSE 'newt_projection' END, x.indexrelid::regclass)
                    WHEN o.same THEN format('duplicate of %s: DROP INDEX %s', o.other, x.indexrelid::regclass)
                    WHEN o.other IS NOT NULL THEN format('redundant: %s begins with the same columns. DROP INDEX %s', o.other, x.indexrelid::regclass)
                    WHEN x.scans = 0 AND NOT x.indisunique THEN format('unused so far: DROP INDEX %s if standbys do not use it either', x.indexrelid::regclass) END
          FROM x LEFT JOIN LATERAL (
            SELECT y.indexrelid::regclass AS other, cardinality(y.keys) = cardinality(x.keys) AS same FROM x y
             WHERE y.indexrelid <> x.indexrelid AND y.indrelid = x.indrelid AND y.amname = x.amname AND y.valid
               AND y.predicate IS NOT DISTINCT FROM x.predicate AND x.indnatts = x.indnkeyatts
               -- of two that are the same the one goes that checks less, else the later
               AND CASE WHEN y.keys = x.keys THEN (y.indisprimary, y.indisunique, x.indexrelid) > (x.indisprimary, x.indisunique, y.indexrelid)
                        ELSE x.amname = 'btree' AND NOT x.indisunique AND y.keys[1:cardinality(x.keys)] = x.keys END
             ORDER BY 2 DESC, y.indexrelid LIMIT 1) o ON true
         ORDER BY x.indrelid, x.relname COLLATE "C"
    LOOP
        rows := NULL;
        IF pg_catalog.has_any_column_privilege(relation, 'SELECT') THEN
            EXECUTE pg_catalog.format('EXPLAIN (FORMAT JSON) SELECT FROM %s%s', relation, ' WHERE ' || predicate) INTO plan;
            rows := (plan->0->'Plan'->>'Plan Rows')::numeric;
        END IF;
        bytes_per_row := pg_catalog.round(size::numeric / nullif(rows, 0), 1);
        RETURN NEXT;
    END LOOP;
END
$newt_body$;
COMMENT ON FUNCTION newt.indexes(text) IS 'indexes over the objects of a store: what each is for, size, use, and what had better be done about it';

-- The rows are taken once, then written to a table like theirs, without the index and with it, three times each;
-- the fastest counts. Only a table that is logged says what it costs, so it is one, for as long as this runs.
CREATE FUNCTION newt.index_cost(index_name regclass, at_most integer DEFAULT 1000,
                                OUT rows bigint, OUT wal_bytes numeric, OUT microseconds numeric) RETURNS record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
    AS $newt_body$
DECLARE
    x record;
    unsafe record;
    copy text;
    plan json;
    wal numeric[]; -- without the index, with it
    ms numeric[];
BEGIN
    SELECT i.indrelid::regclass AS relation, coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') AS condition, n.nspname, a.amname,
           substr(pg_get_indexdef(i.indexrelid), 1 + length(format('CREATE %sINDEX %I ON %I.%I',
               CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname, n.nspname, t.relname))) AS definition
      INTO x
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
      JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE i.indexrelid = index_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = CASE WHEN index_name IS NULL THEN 'no index is named' ELSE format('%s is no index', index_name) END,
            HINT = 'newt.indexes() shows those of a store.';
    END IF;
    -- Whoever may give the table an index chooses what runs here, with the rights of who calls.
    SELECT p.oid::regprocedure AS function, t.relowner::regrole AS owner INTO unsafe
      FROM pg_depend d LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
      JOIN pg_proc p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
      JOIN pg_roles r ON r.oid = p.proowner
      JOIN pg_class t ON t.oid = x.relation
     WHERE d.classid = 'pg_class'::regclass AND d.objid = index_name
       AND NOT r.rolsuper AND r.rolname <> current_user AND t.relowner <> current_user::regrole LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('index %s calls function %s, which would run with your rights', index_name, unsafe.function),
            HINT = format('SET ROLE %s first, the table''s owner.', unsafe.owner);
    END IF;
    copy := format('newt_index_cost_%s', pg_backend_pid());
    EXECUTE format('CREATE TABLE %I.%s_rows (LIKE %s)', x.nspname, copy, x.relation);
    EXECUTE format('INSERT INTO %I.%s_rows SELECT * FROM %s%s LIMIT %s', x.nspname, copy, x.relation, x.condition, coalesce(at_most::text, 'ALL'));
    GET DIAGNOSTICS rows = ROW_COUNT;
    FOR run IN 0 .. 5 LOOP
        EXECUTE format('CREATE TABLE %I.%I (LIKE %s)', x.nspname, copy, x.relation);
        IF run % 2 = 1 THEN
            EXECUTE format('CREATE INDEX %2$s_idx ON %1$I.%2$I%3$s', x.nspname, copy, x.definition);
            IF x.amname = 'gin' THEN -- what it puts off has to be paid later
                EXECUTE format('ALTER INDEX %I.%s_idx SET (fastupdate = off)', x.nspname, copy);
            END IF;
        END IF;
        EXECUTE format('EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) INSERT INTO %1$I.%2$I SELECT * FROM %1$I.%2$s_rows', x.nspname, copy) INTO plan;
        wal[run % 2 + 1] := least(wal[run % 2 + 1], (plan->0->'Plan'->>'WAL Bytes')::numeric);
        ms[run % 2 + 1] := least(ms[run % 2 + 1], (plan->0->>'Execution Time')::numeric);
        EXECUTE format('DROP TABLE %I.%I', x.nspname, copy);
    END LOOP;
    EXECUTE format('DROP TABLE %I.%s_rows', x.nspname, copy);
    wal_bytes := round((wal[2] - wal[1]) / nullif(rows, 0), 1);
    microseconds := greatest(round((ms[2] - ms[1]) * 1000 / nullif(rows, 0), 3), 0);
END
$newt_body$;
COMMENT ON FUNCTION newt.index_cost(regclass, integer) IS 'what an index adds to a row''s writing, measured with some of its rows: bytes of WAL, microseconds';
