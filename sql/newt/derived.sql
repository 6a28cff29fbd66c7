-- ---- derived columns --------------------------------------------------------------------------------
-- Values that come from other records as well: of objects that one refers to, of those that refer to it, of the
-- principals above it in a tree. They stand in a table of their own, a row for each object. newt_dependency says from
-- which records a row was computed, so who changes one knows which rows to compute again.
--
-- Rows are written under the commit lock (or by one follower, in mode updater): whoever computes one sees all that was
-- committed before, so no two transactions can miss each other, and nothing rests on row locks.

-- Of a reference the number is the zoid.
CREATE FUNCTION newt.derived_value_sql(document text, path text, kind text, data_type text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT CASE WHEN data_type IN ('bigint', 'bigint[]') THEN format('coalesce(%s, %s)', newt.accessor_sql(document, newt.path_keys(path), 'ref', data_type), newt.accessor_sql(document, newt.path_keys(path), kind, data_type))
            ELSE newt.accessor_sql(document, newt.path_keys(path), kind, data_type) END
$newt_body$;
COMMENT ON FUNCTION newt.derived_value_sql(text, text, text, text) IS 'the SQL of a value of derived columns to which a path leads in a document';

-- A sum that its type cannot hold is null. An error would be that of all who write something that counts in, because of one
-- who wrote a huge value: so values whose sum could fail on its way are told from it beforehand.
CREATE FUNCTION newt.aggregate_sql(sort text, value text, data_type text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT format(CASE WHEN sort <> 'sum' THEN '%1$s(%2$s)'
                   WHEN data_type = 'bigint' THEN 'CASE WHEN sum(%2$s) BETWEEN -9223372036854775808 AND 9223372036854775807 THEN sum(%2$s)::bigint END'
                   WHEN data_type = 'interval' THEN 'CASE WHEN sum(abs(extract(epoch FROM %2$s))) < 9223372036854 THEN (sum(extract(epoch FROM %2$s)) || '' s'')::interval END'
                   ELSE 'CASE WHEN bool_or(abs(%2$s) > %3$s AND abs(%2$s) < ''Infinity'') THEN NULL ELSE sum(%2$s) FILTER (WHERE NOT (abs(%2$s) > %3$s AND abs(%2$s) < ''Infinity'')) END' END,
              sort, value, CASE data_type WHEN 'numeric' THEN '1e131000' ELSE '1e290' END)
$newt_body$;
COMMENT ON FUNCTION newt.aggregate_sql(text, text, text) IS 'the SQL of an aggregate of derived columns';

-- A query with the rows of some objects, those in $1, as they should be, and in "sources" whom they refer to on the way. Entries of
-- principals are numbers, or as they are. from_others: the columns alone that come from other objects as well.
CREATE FUNCTION newt.derived_query(store text, number integer, class_names text[], parent text, columns jsonb, with_entries boolean DEFAULT false,
                                   objects text DEFAULT 'o.zoid = ANY ($1)', from_others boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    s record;
    c record;
    listed text := '';
    joined text := '';
    refs text := '';
    inner_list text;
    chain text;
    deep text;
    in_order text;
    aggregates text;
    rest text;
    document text := newt.named_document_sql(store, 'o', newt.derived_keys(parent, columns));
    i integer;
    only_counted boolean;
BEGIN
    FOR s IN SELECT * FROM newt.derived_sources(columns) LOOP
        chain := '';
        rest := '';
        deep := 'b';
        i := 0;
        IF s.class_of IS NOT NULL THEN
            i := 1;
            deep := 'd1';
            chain := format('(SELECT x.source AS zoid FROM %I.newt_dependency x WHERE x.dependent = b.zoid AND x.derived = %s AND x.part = %s) r1', store, number, s.part);
        END IF;
        FOR c IN SELECT v.path, v.n FROM unnest(s.via) WITH ORDINALITY v (path, n) ORDER BY v.n LOOP
            IF i > 0 THEN
                chain := format('%s LEFT JOIN LATERAL (SELECT %s AS document FROM %I.object_state o WHERE o.zoid = r%s.zoid OFFSET 0) d%s ON true', chain, document, store, i, i);
            END IF;
            i := i + 1;
            chain := CASE WHEN i = 1 THEN '' ELSE chain || ' LEFT JOIN LATERAL ' END
                  || format('unnest(newt.refs_at(%s.document, %L)) r%s (zoid)', CASE WHEN i = 1 THEN 'b' ELSE 'd' || i - 1 END, c.path, i) || CASE WHEN i = 1 THEN '' ELSE ' ON true' END;
            rest := rest || CASE WHEN rest = '' THEN '' ELSE ' || ' END || format('array_agg(r%s.zoid)', i);
        END LOOP;
        -- to count who refers to an object, their records need not be read
        only_counted := s.class_of IS NOT NULL AND s.via = '{}' AND NOT EXISTS (SELECT FROM newt.derived_layout(columns) l
            WHERE l.class_of = s.class_of AND l.class_by = s.class_by AND l.via = '{}' AND (l.sort <> 'count' OR l.path <> ''));
        IF NOT only_counted THEN
            chain := format('%s LEFT JOIN LATERAL (SELECT %s AS document FROM %I.object_state o WHERE o.zoid = r%s.zoid OFFSET 0) d%s ON true', chain, document, store, i, i);
        END IF;
        deep := 'd' || i;
        -- the first step's come rising, and nothing but a loop can go through what depends on each of them
        in_order := CASE WHEN i = 1 AND s.class_of IS NULL THEN '' ELSE format(' ORDER BY r%s.zoid', i) END;
        aggregates := '';
        FOR c IN SELECT DISTINCT l.place, l.sort, l.path, l.is_array, l.data_type, t.kind
                   FROM newt.derived_layout(columns) l LEFT JOIN newt.derived_types() t ON t.data_type = l.data_type
                  WHERE l.class_of IS NOT DISTINCT FROM s.class_of AND l.class_by IS NOT DISTINCT FROM s.class_by AND l.via = s.via AND l.sort NOT IN ('text', 'access') ORDER BY 1 LOOP
            inner_list := CASE WHEN c.kind IS NULL THEN NULL WHEN c.sort = 'sum' THEN newt.accessor_sql(deep || '.document', newt.path_keys(c.path), c.kind, c.data_type)
                               ELSE newt.derived_value_sql(deep || '.document', c.path, c.kind, c.data_type) END;
            aggregates := aggregates || CASE c.sort
                WHEN 'count' THEN format('count(%s) AS v%s, ', CASE WHEN only_counted THEN 'r1.zoid' WHEN c.path = '' THEN deep || '.document' ELSE format('newt.json(%s)', newt.path_sql(deep || '.document', newt.path_keys(c.path))) END, c.place)
                WHEN 'value' THEN format(CASE WHEN c.is_array THEN 'array_agg(%1$s%2$s) FILTER (WHERE %1$s IS NOT NULL) AS v%3$s, '
                                              ELSE '(array_agg(%1$s%2$s) FILTER (WHERE %1$s IS NOT NULL))[1] AS v%3$s, ' END, inner_list, in_order, c.place)
                ELSE format('%s AS v%s, ', newt.aggregate_sql(c.sort, inner_list, c.data_type), c.place) END;
        END LOOP;
        -- what nobody asks for would be computed all the same
        IF EXISTS (SELECT FROM newt.derived_layout(columns) l WHERE l.class_of IS NOT DISTINCT FROM s.class_of AND l.class_by IS NOT DISTINCT FROM s.class_by AND l.via = s.via AND l.sort = 'text') THEN
            aggregates := aggregates || format('jsonb_agg(%s.document%s) AS documents, ', deep, in_order);
        END IF;
        IF rest <> '' AND NOT from_others THEN
            aggregates := aggregates || format('%s AS zoids, ', rest);
        END IF;
        joined := joined || format(E'\n  LEFT JOIN LATERAL (SELECT %s FROM %s) s%s ON true', CASE WHEN aggregates = '' THEN '1' ELSE rtrim(aggregates, ', ') END, chain, s.number);
        IF rest <> '' THEN
            refs := refs || CASE WHEN refs = '' THEN '' ELSE ' || ' END || format('s%s.zoids', s.number);
        END IF;
    END LOOP;
    FOR c IN SELECT l.place, l.name, l.sort, l.data_type, l.is_array, l.config, l.rules, min(l.path) AS path, min(t.kind) AS kind, bool_or(l.class_of IS NOT NULL OR l.via <> '{}') AS others,
                    min(u.number) AS source,
                    string_agg(DISTINCT format('%L, %s', coalesce(u.number, 0), CASE WHEN u.number IS NULL THEN 'b.document' ELSE format('s%s.documents', u.number) END), ', ') AS documents,
                    string_agg(format('%L', coalesce(u.number, 0) || CASE WHEN l.path = '' THEN '' ELSE '.' END || l.path || l.weight), ', ' ORDER BY l.n) AS paths
               FROM (SELECT l.*, row_number() OVER () AS n FROM newt.derived_layout(columns) l) l LEFT JOIN newt.derived_types() t ON t.data_type = l.data_type
               LEFT JOIN newt.derived_sources(columns) u ON u.class_of IS NOT DISTINCT FROM l.class_of AND u.class_by IS NOT DISTINCT FROM l.class_by AND u.via = l.via
              GROUP BY l.place, l.name, l.sort, l.data_type, l.is_array, l.config, l.rules ORDER BY l.place LOOP
        CONTINUE WHEN from_others AND NOT c.others;
        listed := listed || ', ' || CASE
            WHEN c.sort = 'access' AND with_entries THEN format('coalesce(newt.access_entries(b.document, %L::jsonb), ''{}'') AS %I', c.rules, c.name || '_own')
            -- most objects have none of their own, which is soon seen
            WHEN c.sort = 'access' THEN format('CASE WHEN newt.principals(b.document, VARIADIC %L::text[]) = ''{}''%s THEN 0 ELSE %I.newt_principal_set(coalesce(newt.access_entries(b.document, %L::jsonb), ''{}'')) END AS %I',
                ARRAY(SELECT p.path FROM jsonb_array_elements_text(coalesce(c.rules->'allow', '[]') || coalesce(c.rules->'deny', '[]')) p (path)
                      UNION ALL SELECT string_agg(newt.path_key(k.key), '.' ORDER BY k.n) FROM jsonb_array_elements_text(c.rules->'entries') WITH ORDINALITY k (key, n) HAVING count(*) > 0),
                CASE WHEN c.rules ? 'stop' THEN format(' AND coalesce(b.document #> %L IN (''false'', ''null''), true)', ARRAY(SELECT jsonb_array_elements_text(c.rules->'stop'))) ELSE '' END,
                store, c.rules, c.name || '_own')
            WHEN c.sort = 'text' THEN format('newt.%s(%sjsonb_build_object(%s), %s) AS %I', CASE c.data_type WHEN 'tsvector' THEN 'tsvector' ELSE 'text' END,
                                             CASE c.data_type WHEN 'tsvector' THEN format('%L::regconfig, ', c.config) ELSE '' END, c.documents, c.paths, c.name)
            WHEN c.others THEN format('s%s.v%s AS %I', c.source, c.place, c.name)
            WHEN c.sort = 'count' THEN format('CASE jsonb_typeof(%1$s) WHEN ''array'' THEN jsonb_array_length(%1$s) WHEN ''string'' THEN 1 WHEN ''number'' THEN 1 WHEN ''boolean'' THEN 1 ELSE cardinality(newt.refs_at(b.document, %2$L)) END::bigint AS %3$I',
                                              newt.accessor_sql('b.document', newt.path_keys(c.path), 'json', 'jsonb'), c.path, c.name)
            WHEN c.sort = 'value' THEN format('%s AS %I', newt.derived_value_sql('b.document', c.path, c.kind, c.data_type || CASE WHEN c.is_array THEN '[]' ELSE '' END), c.name)
            ELSE format('(SELECT %s FROM unnest(%s) v) AS %I', newt.aggregate_sql(c.sort, 'v', c.data_type), newt.accessor_sql('b.document', newt.path_keys(c.path), c.kind, c.data_type || '[]'), c.name) END;
    END LOOP;
    RETURN format(E'SELECT b.zoid%s%s%s\n  FROM (SELECT o.zoid%s, %s AS document\n          FROM %I.object_state o\n'
                  '         WHERE %s AND newt.try_class_name(o.state) = ANY (%L::text[]) OFFSET 0) b%s',
        CASE WHEN from_others THEN '' ELSE ', b.class_name' END
            || CASE WHEN parent IS NULL OR from_others THEN '' ELSE format(', newt.ref(%s) AS parent_id', newt.path_sql('b.document', newt.path_keys(parent))) END, listed,
        CASE WHEN refs = '' OR from_others THEN '' ELSE format(', %s AS sources', refs) END,
        CASE WHEN from_others THEN '' ELSE ', newt.class_name(o.state) AS class_name' END, document, store, objects, class_names, joined);
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_query(text, integer, text[], text, jsonb, boolean, text, boolean) IS 'the query that computes the rows of derived columns of the objects in $1';

-- Without a statement of SQL, which takes longer to start than the look.
CREATE FUNCTION newt.derived_affected(objects regclass, dependencies regclass, rows regclass, columns text[], derived integer, class_names text[], changed bigint[]) RETURNS bigint[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_derived_affected';
COMMENT ON FUNCTION newt.derived_affected(regclass, regclass, regclass, text[], integer, text[], bigint[]) IS 'how many of the changed objects have rows of derived columns, or are to have them; these; those whose rows are computed from theirs. Null: SQL has to find out';

-- The function of the store that keeps one table. It belongs to the store's owner: who writes objects
-- need not be able to write derived columns, nor to read the records that they come from.
CREATE FUNCTION newt.derived_function_sql(store text, name text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    d record;
    classes text[];
    query text;
    has_refs boolean;
    parts text := '';
    affected text;
    names text[];
    cols text[];
    p record;
    rows_sql text;
    others text[];
    others_sql text := '';
    accesses text[];
    settle text := '';
    tag text;
    kept text;
    owner name;
BEGIN
    EXECUTE format('SELECT * FROM %I.newt_derived d WHERE d.name = $1', store) INTO d USING name;
    SELECT pg_get_userbyid(c.relowner) INTO owner FROM pg_class c WHERE c.oid = to_regclass(format('%I.object_state', store));
    SELECT array_agg(DISTINCT n.name) INTO classes FROM unnest(d.class_names) c (name), unnest(newt.class_names(store, c.name)) n (name);
    query := newt.derived_query(store, d.number, classes, d.parent, d.columns, objects => 'o.zoid = ANY (newt_affected)');
    has_refs := EXISTS (SELECT FROM newt.derived_sources(d.columns) s WHERE s.via <> '{}');
    SELECT array_agg(quote_ident(c.name) ORDER BY c.place) INTO cols
      FROM (SELECT DISTINCT l.place, CASE l.sort WHEN 'access' THEN l.name || '_own' ELSE l.name END AS name FROM newt.derived_layout(d.columns) l) c;
    SELECT array_agg(l.name ORDER BY l.place) INTO accesses FROM newt.derived_layout(d.columns) l WHERE l.sort = 'access';
    cols := 'class_name'::text || CASE WHEN d.parent IS NULL THEN '{}'::text[] ELSE '{parent_id}' END || cols;

    -- Of columns that somebody has dropped an error tells, whatever is written.
    SELECT array_agg(l.name ORDER BY l.name) INTO names FROM newt.derived_table_columns(d.parent, d.columns) l (name);
    -- no EXISTS: a plan that hashes a table is made while that is small, and kept; one statement, as each takes its time to start
    affected := format($sql$newt_affected := newt.derived_affected(%5$L, %6$L, %7$L, %8$L, %4$s, %2$L, newt_changed);
        IF newt_affected IS NOT NULL THEN
            newt_own := newt_affected[2 : newt_affected[1] + 1];
            newt_affected := newt_affected[2:];
        ELSE
            newt_is_there := %9$s;
            SELECT coalesce(array_agg(DISTINCT a.zoid) FILTER (WHERE a.own), '{}'), coalesce(array_agg(DISTINCT a.zoid), '{}') INTO newt_own, newt_affected
              FROM (SELECT o.zoid, true AS own FROM %1$I.object_state o WHERE o.zoid = ANY (newt_changed) AND newt.try_class_name(o.state) = ANY (%2$L::text[])
                    UNION ALL SELECT t.zoid, true FROM %3$s t WHERE t.zoid = ANY (newt_changed)
                    UNION ALL SELECT x.dependent, false FROM %1$I.newt_dependency x WHERE x.source = ANY (newt_changed) AND x.derived = %4$s) a;
        END IF;$sql$, store, classes, d.relation, d.number, format('%I.object_state', store), format('%I.newt_dependency', store), d.relation::text, names,
        (SELECT string_agg(format('has_column_privilege(%L, %L, ''SELECT'') IS NOT NULL', d.relation, u.name), ' AND ' ORDER BY u.name) FROM unnest(names) u (name)));
    FOR p IN SELECT DISTINCT s.part, s.class_of, s.class_by FROM newt.derived_sources(d.columns) s WHERE s.part IS NOT NULL ORDER BY s.part LOOP
        parts := parts || format($sql$
    WITH now AS MATERIALIZED (
        SELECT DISTINCT o.zoid AS source, r.zoid AS dependent FROM %1$I.object_state o, unnest(newt.refs_at(%5$s, %3$L)) r (zoid)
         WHERE o.zoid = ANY (newt_changed) AND newt.try_class_name(o.state) = ANY (%2$L::text[])
    ), gone AS (
        DELETE FROM %1$I.newt_dependency x
         WHERE x.source = ANY (newt_changed) AND x.derived = %4$s AND x.part = %6$s AND (x.source, x.dependent) NOT IN (SELECT n.source, n.dependent FROM now n)
        RETURNING x.dependent
    ), found AS (
        INSERT INTO %1$I.newt_dependency (source, derived, part, dependent) SELECT n.source, %4$s, %6$s, n.dependent FROM now n ON CONFLICT DO NOTHING
    )
    SELECT array_agg(g.zoid) INTO newt_affected
      FROM (SELECT u.zoid FROM unnest(newt_affected) u (zoid) UNION SELECT g.dependent FROM gone g UNION SELECT n.dependent FROM now n) g;$sql$,
            store, newt.class_names(store, p.class_of), p.class_by, d.number, newt.named_document_sql(store, 'o', newt.derived_keys(d.parent, d.columns)), p.part);
    END LOOP;

    -- without references on the way there is nothing to remember of them
    kept := CASE WHEN NOT has_refs THEN '' ELSE format($sql$want AS MATERIALIZED (
        SELECT DISTINCT u.zoid AS source, n.zoid AS dependent FROM n, unnest(n.sources) u (zoid) WHERE u.zoid IS NOT NULL
    ), lost AS (
        DELETE FROM %1$I.newt_dependency x
         WHERE x.dependent = ANY (newt_affected) AND x.derived = %2$s AND x.part = 0 AND (x.source, x.dependent) NOT IN (SELECT w.source, w.dependent FROM want w)
    ), found AS (
        INSERT INTO %1$I.newt_dependency (source, derived, part, dependent) SELECT w.source, %2$s, 0, w.dependent FROM want w ON CONFLICT DO NOTHING
    ), $sql$, store, d.number) END;
    rows_sql := format($sql$
    WITH n AS MATERIALIZED (
%1$s
    ), gone AS (
        DELETE FROM %2$s t WHERE t.zoid = ANY (newt_affected) AND t.zoid NOT IN (SELECT n.zoid FROM n) RETURNING t.zoid
    ), %3$sput AS (
        INSERT INTO %2$s AS t (zoid, %4$s) SELECT n.zoid, %5$s FROM n
            ON CONFLICT (zoid) DO UPDATE SET (%4$s) = ROW(%6$s) WHERE (%7$s) IS DISTINCT FROM (%6$s)
        RETURNING t.zoid
    )
    SELECT ARRAY(%8$s) || ARRAY(SELECT g.zoid FROM gone g) INTO newt_todo;$sql$,
        query, d.relation, kept, array_to_string(cols, ', '), (SELECT string_agg('n.' || c, ', ' ORDER BY o) FROM unnest(cols) WITH ORDINALITY x (c, o)),
        (SELECT string_agg('excluded.' || c, ', ' ORDER BY o) FROM unnest(cols) WITH ORDINALITY x (c, o)), (SELECT string_agg('t.' || c, ', ' ORDER BY o) FROM unnest(cols) WITH ORDINALITY x (c, o)),
        -- of those that others may inherit from: the statement sees the rows as they were
        CASE WHEN accesses IS NULL THEN 'SELECT NULL::bigint WHERE false'
             ELSE format('SELECT n.zoid FROM n LEFT JOIN %s t ON t.zoid = n.zoid WHERE t.zoid IS NULL OR %s', d.relation,
                  (SELECT string_agg(format('t.%1$I IS DISTINCT FROM n.%1$I', u.name), ' OR ')
                     FROM (SELECT a.name || '_own' FROM unnest(accesses) a (name) UNION ALL SELECT 'parent_id' WHERE d.parent IS NOT NULL) u (name))) END);

    -- An object whose own record is as it was refers to the same ones, unless a way leads on through the one that has changed. Then
    -- the columns that come from others are all that can have changed.
    SELECT array_agg(quote_ident(c.name) ORDER BY c.place) INTO others
      FROM (SELECT l.place, l.name FROM newt.derived_layout(d.columns) l GROUP BY l.place, l.name HAVING bool_or(l.class_of IS NOT NULL OR l.via <> '{}')) c;
    IF others IS NOT NULL AND NOT EXISTS (SELECT FROM newt.derived_sources(d.columns) u WHERE cardinality(u.via) + (u.class_of IS NOT NULL)::integer > 1) THEN
        others_sql := format($sql$
    IF cardinality(newt_own) < cardinality(newt_affected) THEN
        IF newt_own = '{}' THEN
            newt_others := newt_affected;
            newt_affected := '{}';
        ELSE
            newt_others := ARRAY(SELECT u.zoid FROM unnest(newt_affected) u (zoid) WHERE u.zoid NOT IN (SELECT o.zoid FROM unnest(newt_own) o (zoid)));
            newt_affected := ARRAY(SELECT u.zoid FROM unnest(newt_affected) u (zoid) WHERE u.zoid IN (SELECT o.zoid FROM unnest(newt_own) o (zoid)));
        END IF;
        UPDATE %1$s t SET (%2$s) = ROW(%3$s) FROM (
%5$s
        ) n WHERE t.zoid = n.zoid AND (%4$s) IS DISTINCT FROM (%3$s);
        IF newt_affected = '{}' THEN
            RETURN;
        END IF;
    END IF;$sql$, d.relation, array_to_string(others, ', '), (SELECT string_agg('n.' || c, ', ' ORDER BY o) FROM unnest(others) WITH ORDINALITY x (c, o)),
            (SELECT string_agg('t.' || c, ', ' ORDER BY o) FROM unnest(others) WITH ORDINALITY x (c, o)),
            newt.derived_query(store, d.number, classes, d.parent, d.columns, objects => 'o.zoid = ANY (newt_others)', from_others => true));
    END IF;

    -- Whoever may register a class may name it: no name contains the digest of what it stands in, and so ends the text.
    tag := '$newt_' || encode(sha256(convert_to(concat_ws(' ', d, affected, parts, rows_sql, others_sql), 'UTF8')), 'hex') || '$';
    IF accesses IS NOT NULL THEN
        settle := newt.derived_settle_sql(store, d.number, d.relation, d.parent IS NOT NULL, accesses, tag);
    END IF;

    RETURN settle || format($sql$
CREATE OR REPLACE FUNCTION %1$I.newt_derive_%2$s(newt_changed bigint[], newt_at_most bigint, newt_settles boolean DEFAULT true, newt_waited boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS %7$s
#variable_conflict use_variable
DECLARE
    newt_is_there boolean;
    newt_own bigint[];
    newt_affected bigint[];
    newt_others bigint[];
    newt_todo bigint[];
BEGIN
    IF newt_waited THEN -- what comes from these was found when they were changed
        newt_affected := newt_changed;
        newt_own := newt_changed;
    ELSE
        %3$s
        IF NOT newt_settles THEN -- a table is filled: all come by themselves
            newt_affected := newt_own;
        END IF;%4$s%11$s
    END IF;
    IF coalesce(newt_affected, '{}') = '{}' THEN
        RETURN;
    ELSIF cardinality(newt_affected) > newt_at_most THEN
        INSERT INTO %1$I.newt_derived_pending (derived, zoid, task)
            SELECT DISTINCT %2$s, u.zoid, 'row' FROM unnest(newt_affected[newt_at_most + 1:]) u (zoid) ON CONFLICT DO NOTHING;
        newt_affected := newt_affected[:newt_at_most];
    END IF;
%8$s%6$s
    %5$s
END
%7$s;
REVOKE ALL ON FUNCTION %1$I.newt_derive_%2$s(bigint[], bigint, boolean, boolean) FROM PUBLIC;
ALTER FUNCTION %1$I.newt_derive_%2$s(bigint[], bigint, boolean, boolean) OWNER TO %9$I;%10$s
$sql$, store, d.number, affected, parts,
        CASE WHEN accesses IS NULL THEN '' ELSE format($sql$IF newt_settles AND newt_todo <> '{}' THEN
        PERFORM %1$I.newt_settle_%2$s(newt_todo, newt_at_most%3$s);
    END IF;$sql$, store, d.number, CASE WHEN d.parent IS NULL THEN '' -- below those that are gone
            ELSE format(', ARRAY(SELECT u.zoid FROM unnest(newt_todo) u (zoid) WHERE NOT EXISTS (SELECT FROM %s t WHERE t.zoid = u.zoid))', d.relation) END) END,
        rows_sql, tag, others_sql, owner,
        CASE WHEN accesses IS NOT NULL THEN format(E'\nALTER FUNCTION %I.newt_settle_%s(bigint[], bigint, bigint[], bigint, boolean, bigint, bigint[]) OWNER TO %I;', store, d.number, owner) END,
        -- those that others refer to are computed once, and not for each step in which some of these are
        CASE WHEN parts = '' THEN '' ELSE format($sql$
        IF NOT newt_settles AND cardinality(newt_affected) > cardinality(newt_own) THEN
            INSERT INTO %I.newt_derived_pending (derived, zoid, task)
                SELECT %s, u.zoid, 'row' FROM unnest(newt_affected) u (zoid) WHERE u.zoid NOT IN (SELECT o.zoid FROM unnest(newt_own) o (zoid)) ON CONFLICT DO NOTHING;
            newt_affected := newt_own;
        END IF;$sql$, store, d.number) END);
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_function_sql(text, text) IS 'the SQL of the functions that keep a table of derived columns';

-- One transaction at a time writes a table: those that commit do so under the commit lock; a follower locks the table
-- against others, and not against readers.
CREATE FUNCTION newt.derived_lock_sql(store text, number integer) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT CASE d.mode WHEN ''inline'' THEN $2 ELSE format(''LOCK TABLE %%s IN SHARE ROW EXCLUSIVE MODE'', d.relation) END '
                   'FROM %I.newt_derived d WHERE d.number = $1', store)
        INTO result USING number, format('LOCK TABLE %I.newt_commit_lock IN EXCLUSIVE MODE', store);
    RETURN result;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_lock_sql(text, integer) IS 'the SQL that locks a table of derived columns for who writes it';

CREATE FUNCTION newt.derived_trigger_sql(store text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    calls text;
    followed text;
    tag text;
    has_empty boolean;
BEGIN
    -- A table that somebody drops is no reason for commits to fail. Of a column that is gone they tell in one line, and not with the whole statement.
    EXECUTE format($sql$
        SELECT string_agg(c.call, '' ORDER BY c.number) FILTER (WHERE c.mode = 'inline'),
               -- all locks first: who waits for one has written no list of principals that another waits for
               string_agg(format(E'    IF to_regclass(%%L) IS NOT NULL THEN\n        LOCK TABLE %%s IN SHARE ROW EXCLUSIVE MODE;\n    END IF;\n', c.relation, c.relation), '' ORDER BY c.number) FILTER (WHERE c.mode = 'updater')
                   || string_agg(c.call, '' ORDER BY c.number) FILTER (WHERE c.mode = 'updater')
          FROM (SELECT d.number, d.mode, d.relation, format(E'    IF to_regclass(%%L) IS NOT NULL THEN\n        newt_done := %%I.newt_derive_%%s(newt_changed, %%s);\n    END IF;\n', d.relation, $1, d.number, d.commit_limit) AS call FROM %I.newt_derived d) c$sql$, store)
        INTO calls, followed USING store;
    tag := '$newt_' || encode(sha256(convert_to(concat_ws(' ', store, calls, followed), 'UTF8')), 'hex') || '$';
    -- who drops columns must not hold this table while it waits for theirs
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.newt_principal_set p WHERE p.id = 0)', store) INTO has_empty;
    RETURN format($sql$
CREATE OR REPLACE FUNCTION %1$I.newt_principal_set(entries text[], is_for_sum boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS %4$s
#variable_conflict use_column
DECLARE
    newt_digest bytea;
    newt_id bigint;
BEGIN
    -- Lists and sums are all tables' and those of mode updater are not written under the commit lock: two that
    -- write new ones would wait for each other, each for one that the other has written.
    IF is_for_sum THEN
        LOCK TABLE %1$I.newt_principal_set IN SHARE ROW EXCLUSIVE MODE;
    END IF;
    IF newt_principal_set.entries = '{}' THEN
        RETURN 0;
    END IF;
    newt_digest := sha256(convert_to(to_jsonb(newt_principal_set.entries)::text, 'UTF8'));
    SELECT p.id INTO newt_id FROM %1$I.newt_principal_set p WHERE p.digest = newt_digest;
    IF newt_id IS NULL THEN
        LOCK TABLE %1$I.newt_principal_set IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO %1$I.newt_principal_set AS p (digest, entries, allowed, denies)
            VALUES (newt_digest, newt_principal_set.entries, ARRAY(SELECT substr(e, 2) FROM unnest(newt_principal_set.entries) e WHERE e LIKE '+%%'),
                    EXISTS (SELECT FROM unnest(newt_principal_set.entries) e WHERE e NOT LIKE '+%%'))
            ON CONFLICT (digest) DO NOTHING RETURNING p.id INTO newt_id;
    END IF;
    IF newt_id IS NULL THEN
        SELECT p.id INTO STRICT newt_id FROM %1$I.newt_principal_set p WHERE p.digest = newt_digest;
    END IF;
    RETURN newt_id;
END
%4$s;
REVOKE ALL ON FUNCTION %1$I.newt_principal_set(text[], boolean) FROM PUBLIC;
%7$sCREATE OR REPLACE FUNCTION %1$I.newt_keep_derived() RETURNS trigger
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS %4$s
DECLARE
    newt_store CONSTANT text := %6$L;
    newt_changed bigint[];
    newt_done text; -- nothing, but to assign it starts no executor
BEGIN
    IF TG_TABLE_NAME = 'newt_class' THEN
        PERFORM newt.renew_derived(TG_TABLE_SCHEMA);
        RETURN NULL;
    END IF;
    IF TG_TABLE_SCHEMA <> newt_store THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('the derived columns of store "%%s" are those of store "%%s"', TG_TABLE_SCHEMA, newt_store),
            DETAIL = 'The schema was renamed, and the functions that keep them have its old name.',
            HINT = format('CALL newt.refresh_derived(%%L);', TG_TABLE_SCHEMA);
    END IF;
    newt_changed := NEW.written || NEW.removed;
    IF NEW.written IS NULL THEN
        SELECT array_agg(u.zoid) INTO newt_changed FROM %1$I.transaction_object x, unnest(x.written || x.removed) u (zoid) WHERE x.serial = NEW.serial;
    END IF;
%2$s    RETURN NEW;
END
%4$s;
REVOKE ALL ON FUNCTION %1$I.newt_keep_derived() FROM PUBLIC;
CREATE OR REPLACE FUNCTION %1$I.newt_compute_derived(newt_number integer, newt_at_most bigint, newt_ahead boolean DEFAULT false, OUT newt_rows bigint, OUT newt_since timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS %4$s
DECLARE
    newt_zoids bigint[];
    newt_after bigint;
    newt_task text;
    newt_tasks text[] := '{row,own,below,rest}'; -- the rest: some more below one that was begun
    newt_chunk bigint := 4;
    newt_room bigint := newt_at_most;
    newt_done bigint;
    newt_looked_at bigint[];
    newt_upto bigint;
    newt_rest bigint[];
    newt_timeout text := current_setting('lock_timeout');
BEGIN
    newt_rows := 0;
    IF newt_ahead AND (SELECT d.mode FROM %1$I.newt_derived d WHERE d.number = newt_number) = 'inline'
       AND (SELECT q.zoid FROM %1$I.newt_derived_pending q WHERE q.derived = newt_number AND q.task IN ('row', 'own') LIMIT 1) IS NULL THEN
        -- Who has the lock may wait for a row of ours while we wait for the lock: then all is done under it.
        BEGIN
            PERFORM set_config('lock_timeout', '20ms', true);
            newt_tasks := '{below,rest}';%5$s
            IF newt_zoids IS NULL THEN
                RAISE lock_not_available;
            END IF;
            EXECUTE format('SELECT * FROM %%I.newt_settle_%%s(''{}'', $2, $1, $3, true)', %1$L, newt_number)
                INTO newt_upto, newt_rest, newt_looked_at, newt_rows USING newt_zoids, newt_at_most, newt_after;
            EXECUTE newt.derived_lock_sql(%1$L, newt_number);
            newt_since := clock_timestamp();
            EXECUTE format('SELECT FROM %%I.newt_settle_%%s(''{}'', $2, $1, $3, false, $4, $5)', %1$L, newt_number)
                USING newt_looked_at, newt_at_most, newt_after, newt_upto, newt_rest;
            newt_rows := greatest(newt_rows, 1);
            PERFORM set_config('lock_timeout', newt_timeout, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected OR undefined_table OR undefined_function OR null_value_not_allowed THEN
            newt_rows := 0;
            newt_tasks := '{row,own,below,rest}';
        END;
    END IF;
    BEGIN
        EXECUTE newt.derived_lock_sql(%1$L, newt_number);
    EXCEPTION WHEN undefined_table OR null_value_not_allowed THEN
        RETURN; -- it was dropped
    END;
    newt_since := clock_timestamp();
    IF NOT EXISTS (SELECT FROM %1$I.newt_derived d JOIN pg_class c ON c.oid = d.relation WHERE d.number = newt_number) THEN
        RETURN;
    END IF;
    LOOP -- as many as fit in the time: a row may come from thousands of others, and what it takes to begin would be most of a step of few
        newt_room := least(newt_chunk * 16, newt_at_most - newt_rows);%5$s
        EXIT WHEN newt_zoids IS NULL;
        newt_done := 0;
        IF newt_task = 'row' THEN
            EXECUTE format('SELECT %%I.newt_derive_%%s($1, $2, true, true)', %1$L, newt_number) USING newt_zoids, newt_room;
        ELSIF newt_task = 'own' THEN
            EXECUTE format('SELECT s.newt_n FROM %%I.newt_settle_%%s($1, $2) s', %1$L, newt_number) INTO newt_done USING newt_zoids, newt_room;
        ELSE
            EXECUTE format('SELECT s.newt_n FROM %%I.newt_settle_%%s(''{}'', $2, $1, $3) s', %1$L, newt_number) INTO newt_done USING newt_zoids, newt_room, newt_after;
        END IF;
        newt_rows := newt_rows + greatest(newt_done, cardinality(newt_zoids));
        EXIT WHEN newt_rows >= newt_at_most OR clock_timestamp() > newt_since + interval '10 ms';
        newt_chunk := 2 * newt_chunk;
    END LOOP;
END
%4$s;
REVOKE ALL ON FUNCTION %1$I.newt_compute_derived(integer, bigint, boolean) FROM PUBLIC;
CREATE OR REPLACE FUNCTION %1$I.newt_follow_derived(newt_changed bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS %4$s
DECLARE
    newt_store CONSTANT text := %6$L;
    newt_done text;
BEGIN
%3$s    NULL;
END
%4$s;
REVOKE ALL ON FUNCTION %1$I.newt_follow_derived(bigint[]) FROM PUBLIC;
$sql$, store, coalesce(calls, ''), coalesce(followed, ''), tag,
        format($sql$
            FOREACH newt_task IN ARRAY newt_tasks LOOP
                WITH q AS (
                    SELECT q.ctid FROM %1$I.newt_derived_pending q
                     WHERE q.derived = newt_number AND q.task = CASE newt_task WHEN 'rest' THEN 'below' ELSE newt_task END AND (q.after = 0) = (newt_task <> 'rest')
                     LIMIT CASE newt_task WHEN 'row' THEN least(newt_chunk, newt_room) WHEN 'below' THEN greatest(newt_room / 10, 1) WHEN 'rest' THEN 1 ELSE newt_room END
                ), gone AS (
                    DELETE FROM %1$I.newt_derived_pending p USING q WHERE q.ctid = p.ctid RETURNING p.zoid, p.after
                )
                SELECT array_agg(g.zoid), max(g.after) INTO newt_zoids, newt_after FROM gone g;
                EXIT WHEN newt_zoids IS NOT NULL;
            END LOOP;$sql$, store), store,
        CASE WHEN has_empty THEN '' ELSE format(E'INSERT INTO %I.newt_principal_set (id, digest, entries, allowed, denies) OVERRIDING SYSTEM VALUE\n    VALUES (0, sha256(''[]''), ''{}'', ''{}'', false) ON CONFLICT DO NOTHING;\n', store) END)
    -- who makes them anew may be a superuser: they run with the rights of the store's owner
    || (SELECT string_agg(format(E'ALTER FUNCTION %I.%s OWNER TO %I;\n', store, f.name, pg_get_userbyid(c.relowner)), '' ORDER BY f.n)
          FROM pg_class c, unnest('{"newt_principal_set(text[], boolean)",newt_keep_derived(),"newt_compute_derived(integer, bigint, boolean)",newt_follow_derived(bigint[])}'::text[]) WITH ORDINALITY f (name, n)
         WHERE c.oid = to_regclass(format('%I.object_state', store)))
    -- newt-updater's role may have been given its rights before
    || coalesce((SELECT string_agg(format(E'GRANT EXECUTE ON FUNCTION %1$I.newt_compute_derived(integer, bigint, boolean), %1$I.newt_follow_derived(bigint[]) TO %2$I;\n', store, pg_get_userbyid(a.grantee)), '' ORDER BY a.grantee)
                   FROM pg_class c, aclexplode(c.relacl) a
                  WHERE c.oid = to_regclass(format('%I.newt_table', store)) AND a.privilege_type = 'UPDATE' AND a.grantee NOT IN (0, c.relowner)
                    AND to_regproc(format('%I.newt_follow_derived', store)) IS NULL), '')
    || coalesce((SELECT string_agg(format(CASE WHEN t.wanted THEN E'CREATE TRIGGER %1$I %2$s ON %3$I.%4$I %5$s EXECUTE FUNCTION %3$I.newt_keep_derived();\n' ELSE E'DROP TRIGGER %1$I ON %3$I.%4$I;\n' END,
                                           t.name, t.fires, store, t.relation, t.for_each), '')
                   FROM (VALUES ('newt_keep_derived', 'BEFORE INSERT', 'transaction', 'FOR EACH ROW', calls IS NOT NULL),
                                ('newt_renew_derived', 'AFTER INSERT OR UPDATE OR DELETE', 'newt_class', 'FOR EACH STATEMENT', calls IS NOT NULL OR followed IS NOT NULL)) t (name, fires, relation, for_each, wanted)
                  WHERE t.wanted <> EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = to_regclass(format('%I.%I', store, t.relation)) AND g.tgname = t.name)), '')
    -- without the extension its functions are missed: then the trigger goes, and not the commits
    || CASE WHEN EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'newt')
            THEN format(E'ALTER FUNCTION %I.newt_keep_derived() DEPENDS ON EXTENSION newt;\n', store) ELSE '' END;
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_trigger_sql(text) IS 'the SQL of the trigger by which commits keep derived columns, and of what it needs';

CREATE FUNCTION newt.derived_table_sql(store text, name text, class_names text[], columns jsonb, parent text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    listed text;
    indexed text;
BEGIN
    SELECT string_agg(CASE l.sort WHEN 'access' THEN format(E',\n    %I bigint NOT NULL DEFAULT 0,\n    %I bigint NOT NULL DEFAULT 0', l.name || '_own', l.name)
                                  ELSE format(E',\n    %I %s%s', l.name, l.data_type, CASE WHEN l.is_array THEN '[]' ELSE '' END) END, '' ORDER BY l.place),
           string_agg(CASE l.sort WHEN 'access' THEN format(E'CREATE INDEX ON %I.%I (%I, zoid);\n', store, derived_table_sql.name, l.name)
                                  WHEN 'text' THEN CASE l.data_type WHEN 'tsvector' THEN format(E'CREATE INDEX ON %I.%I USING gin (%I);\n', store, derived_table_sql.name, l.name) END END, '' ORDER BY l.place)
      INTO listed, indexed
      FROM (SELECT DISTINCT d.place, d.name, d.sort, d.data_type, d.is_array FROM newt.derived_layout(columns) d) l;
    RETURN format(E'CREATE TABLE %I.%I (\n    zoid bigint PRIMARY KEY,\n    class_name text NOT NULL%s%s\n) WITH (fillfactor = 85);\n', store, name,
                  CASE WHEN parent IS NULL THEN '' ELSE E',\n    parent_id bigint' END, listed)
        || CASE WHEN parent IS NULL THEN '' ELSE format(E'CREATE INDEX ON %I.%I (parent_id, zoid);\n', store, name) END || coalesce(indexed, '')
        || format(E'COMMENT ON TABLE %I.%I IS %L;\n', store, name, format('derived columns of %s in store %s, kept by newt.create_derived()', array_to_string(class_names, ', '), store))
        || coalesce((SELECT string_agg(format(E'GRANT SELECT ON %I.%I TO %s;\n', store, name, r.role), '' ORDER BY r.role)
              FROM (SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS role
                      FROM pg_class c, aclexplode(c.relacl) a
                     WHERE c.oid = to_regclass(format('%I.newt_projection', store)) AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner) r), '');
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_table_sql(text, text, text[], jsonb, text) IS 'the SQL of a table of derived columns';
