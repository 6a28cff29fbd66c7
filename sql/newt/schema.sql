-- ---- questions about what is in a store -----------------------------------------------------------

-- TABLESAMPLE reads whole pages. Of a table with few rows all are read: what is counted then is exact.
CREATE FUNCTION newt.sample_percent(store text, relation text, at_most bigint) RETURNS double precision
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
DECLARE
    n bigint;
    pages double precision;
    density double precision;
BEGIN
    PERFORM newt.check_store(store);
    IF at_most < 1 OR at_most > 100000000 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'at_most must be between 1 and 100000000';
    END IF;
    EXECUTE pg_catalog.format('SELECT count(*) FROM (SELECT FROM %I.%I LIMIT $1 + 1) x', store, relation) INTO n USING at_most;
    IF n <= at_most THEN
        RETURN 100;
    END IF;
    SELECT pg_catalog.pg_relation_size(c.oid)::double precision / pg_catalog.current_setting('block_size')::integer,
           CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples::double precision / c.relpages ELSE 20 END
      INTO pages, density
      FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', store, relation));
    RETURN least(100, 100 * at_most / greatest(density * pages, n));
END
$newt_body$;
COMMENT ON FUNCTION newt.sample_percent(text, text, bigint) IS 'percent of the pages of a table of a store in which about so many rows are; 100 if it has no more';

-- A table that is read whole is named without TABLESAMPLE. The same pages each time: so a report is steady.
CREATE FUNCTION newt.sampled_table(store text, relation text, percent double precision, alias text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
    AS $newt_body$
    SELECT pg_catalog.format('%I.%I %I', store, relation, alias)
        || CASE WHEN percent < 100 THEN pg_catalog.format(' TABLESAMPLE system (%s) REPEATABLE (0)', percent) ELSE '' END
$newt_body$;
COMMENT ON FUNCTION newt.sampled_table(text, text, double precision, text) IS 'the SQL that reads so much percent of a table of a store, in FROM';

-- The head of a record has at most 270 bytes: of large records no more is read.
CREATE FUNCTION newt.classes(store text DEFAULT 'public', at_most bigint DEFAULT 100000)
    RETURNS TABLE (class_name text, versions integer[], count bigint, exact boolean, record_bytes bigint, jsonb_bytes bigint,
                   projection text, example bigint)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
DECLARE
    records double precision := newt.sample_percent(store, 'object_state', at_most);
    rows double precision := newt.sample_percent(store, 'newt_projection', at_most);
BEGIN
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        SELECT g.name, coalesce(g.versions, '{}'), round(g.n * 100 / $2)::bigint, $2 = 100, round(g.record_bytes * 100 / $2)::bigint,
               round(g.jsonb_bytes * 100 / $3)::bigint, CASE WHEN g.name IS NOT NULL THEN newt.projection_of($1, g.name) END, g.example
          FROM (
            SELECT u.name, min(u.versions) AS versions, coalesce(sum(u.n), 0) AS n, coalesce(sum(u.record_bytes), 0) AS record_bytes,
                   coalesce(sum(u.jsonb_bytes), 0) AS jsonb_bytes, min(u.example) AS example
              FROM (
                SELECT newt.try_class_name(substr(o.state, 1, 300)) AS name, NULL::integer[] AS versions, count(*) AS n,
                       sum(pg_column_size(o.state)) AS record_bytes, NULL::bigint AS jsonb_bytes, min(o.zoid) AS example
                  FROM %2$s GROUP BY 1
                UNION ALL
                SELECT p.class_name, NULL, NULL, NULL, sum(pg_column_size(p.state)), NULL FROM %3$s GROUP BY 1
                UNION ALL
                SELECT c.name, array_agg(c.version ORDER BY c.version), NULL, NULL, NULL, NULL FROM %1$I.newt_class c GROUP BY 1) u
             GROUP BY u.name) g
         ORDER BY 3 DESC, g.name COLLATE "C"$sql$, store,
            newt.sampled_table(store, 'object_state', records, 'o'), newt.sampled_table(store, 'newt_projection', rows, 'p'))
        USING store, records, rows;
END
$newt_body$;
COMMENT ON FUNCTION newt.classes(text, bigint) IS 'classes of a store: registered versions, how many objects, bytes of their records and of their JSONB, who computes that, the oid of an example. Exact where the store has no more than at_most objects, else from a sample; class null: what is no record';

-- Objects of a rare class may all be old: where a sample has too few, the first of the store are looked at, too.
CREATE FUNCTION newt.sample(store text, class_name text, at_most integer DEFAULT 1000, max_bytes bigint DEFAULT 67108864,
                            OUT zoids bigint[], OUT count bigint, OUT exact boolean) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
DECLARE
    looked_at CONSTANT bigint := 100000;
    relation text;
    is_of_class text;
    percent double precision;
    more bigint[];
BEGIN
    IF class_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'no class is named', HINT = 'newt.classes() shows the classes of a store.';
    ELSIF at_most IS NULL OR at_most NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'at_most must be between 1 and 100000';
    END IF;
    IF newt.projection_of(store, class_name) = 'virtual' THEN
        relation := 'object_state';
        is_of_class := 'newt.try_class_name(substr(r.state, 1, 300)) = $1';
    ELSE
        relation := 'newt_projection';
        is_of_class := 'r.class_name = $1';
    END IF;
    percent := newt.sample_percent(store, relation, looked_at);
    IF percent < 100 AND relation = 'newt_projection' AND EXISTS (
        SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = pg_catalog.to_regclass(pg_catalog.format('%I.newt_projection', store)) AND i.indisvalid AND i.indpred IS NULL AND a.attname = 'class_name')
    THEN -- by the index a rare class is read whole
        EXECUTE pg_catalog.format('SELECT count(*) FROM (SELECT FROM %I.newt_projection r WHERE r.class_name = $1 LIMIT $2 + 1) x', store)
            INTO count USING class_name, looked_at;
        percent := CASE WHEN count <= looked_at THEN 100 ELSE percent END;
    END IF;
    EXECUTE pg_catalog.format($sql$
        WITH r AS (
            SELECT r.zoid, pg_column_size(r.state) AS bytes, row_number() OVER (ORDER BY r.zoid) AS i, count(*) OVER () AS n
              FROM %s WHERE %s
        ), even AS ( -- as far apart as they can be
            SELECT r.zoid, r.n, sum(r.bytes) OVER (ORDER BY r.zoid) - r.bytes AS before FROM r
             WHERE r.n <= $2 OR r.i * $2 / r.n > (r.i - 1) * $2 / r.n
        )
        SELECT coalesce(array_agg(e.zoid ORDER BY e.zoid) FILTER (WHERE e.before < $3), '{}'), coalesce(max(e.n), 0) FROM even e$sql$,
            newt.sampled_table(store, relation, percent, 'r'), is_of_class)
        INTO zoids, count USING class_name, at_most, max_bytes;
    exact := percent = 100;
    IF exact THEN
        RETURN;
    END IF;
    count := round(count * 100 / percent);
    IF pg_catalog.cardinality(zoids) < at_most THEN
        EXECUTE pg_catalog.format($sql$
            SELECT array_agg(s.zoid ORDER BY s.zoid) FROM (
                SELECT b.zoid, sum(b.bytes) OVER (ORDER BY b.zoid) - b.bytes AS before FROM (
                    SELECT r.zoid, pg_column_size(r.state) AS bytes
                      FROM (SELECT x.* FROM %I.%I x ORDER BY x.zoid LIMIT $5) r
                     WHERE %s AND r.zoid <> ALL ($4) LIMIT $2) b) s
             WHERE s.before < $3$sql$, store, relation, is_of_class)
            INTO more USING class_name, at_most - pg_catalog.cardinality(zoids), max_bytes, zoids, looked_at;
        zoids := zoids || coalesce(more, '{}');
        count := greatest(count, pg_catalog.cardinality(zoids));
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.sample(text, text, integer, bigint) IS 'oids of at most so many projected objects of a class, spread evenly, as far as their documents or records have no more than max_bytes together; and how many the class has: counted (exact) or estimated';

CREATE FUNCTION newt.path_key(key text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 2
    AS 'MODULE_PATHNAME', 'newt_pg_path_key';
COMMENT ON FUNCTION newt.path_key(text) IS 'a key as it is written in a path: a backslash precedes characters that have a meaning there';

CREATE FUNCTION newt.value_type(value jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_value_type';
COMMENT ON FUNCTION newt.value_type(jsonb) IS 'type of a value in a document: as JSON has it, or reference, bytes, time, date and others that a document writes as objects';

-- The registry tells maps from structs; where it does not know, what has more than 100 keys is a map.
CREATE FUNCTION newt.paths(store text, class_name text, at_most integer DEFAULT 1000)
    RETURNS TABLE (path text, types text[], objects bigint, frequency double precision, "values" bigint, distinct_values bigint, example text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
DECLARE
    maps text[];
    structs text[];
    s record;
BEGIN
    SELECT * INTO s FROM newt.sample(store, class_name, at_most);
    EXECUTE pg_catalog.format($sql$
        WITH RECURSIVE f AS (
            SELECT newt.path_key(x.value->>'name') AS path, x.value AS field
              FROM %I.newt_class c, jsonb_array_elements(c.fields) x WHERE c.name = $1
            UNION ALL
            SELECT f.path || CASE f.field->>'shape' WHEN 'map' THEN '.*.' WHEN 'pairs' THEN '.v.' ELSE '.' END || newt.path_key(x.value->>'name'), x.value
              FROM f, jsonb_array_elements(CASE WHEN jsonb_typeof(f.field->'fields') = 'array' THEN f.field->'fields' ELSE '[]' END) x
        )
        SELECT coalesce(array_agg(DISTINCT f.path) FILTER (WHERE f.field->>'shape' = 'map'), '{}'),
               coalesce(array_agg(DISTINCT f.path || CASE f.field->>'shape' WHEN 'map' THEN '.*' WHEN 'pairs' THEN '.v' ELSE '' END)
                        FILTER (WHERE f.field->>'kind' = 'struct'), '{}')
               || CASE WHEN EXISTS (SELECT FROM f) THEN '{""}'::text[] ELSE '{}' END FROM f$sql$, store)
        INTO maps, structs USING class_name;
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        WITH RECURSIVE t AS (
            SELECT n.zoid, NULL AS path, n.state AS value, 0 AS depth FROM %I.newt n WHERE n.zoid = ANY ($1) AND n.class_name = $2
            UNION ALL
            SELECT t.zoid, CASE WHEN e.key IS NULL THEN t.path ELSE concat_ws('.', t.path, CASE WHEN e.is_map THEN '*' ELSE newt.path_key(e.key) END) END,
                   e.value, t.depth + 1
              FROM t CROSS JOIN LATERAL (
                SELECT NULL AS key, a.value, false AS is_map
                  FROM jsonb_array_elements(CASE WHEN jsonb_typeof(t.value) = 'array' THEN t.value ELSE '[]' END) a
                UNION ALL
                SELECT o.key, o.value, m.is_map
                  FROM (SELECT coalesce(t.path, '') = ANY ($3) OR coalesce(t.path, '') <> ALL ($4)
                               AND (SELECT count(*) FROM jsonb_object_keys(CASE WHEN jsonb_typeof(t.value) = 'object' THEN t.value ELSE '{}' END)) > 100 AS is_map) m,
                       jsonb_each(CASE WHEN newt.value_type(t.value) = 'object' THEN t.value ELSE '{}' END) o
                 WHERE o.key NOT IN ('::', '::id')) e
             WHERE t.depth < 20 AND jsonb_typeof(t.value) IN ('array', 'object')
        ), v AS MATERIALIZED (
            SELECT t.zoid, t.path, y.type, CASE WHEN y.is_scalar THEN hashtextextended(t.value #>> '{}', 0) END AS hash,
                   CASE WHEN y.is_scalar THEN left(t.value #>> '{}', 80) END AS shown
              FROM t CROSS JOIN LATERAL (SELECT newt.value_type(t.value), newt.value_type(t.value) NOT IN ('object', 'array', 'null', 'shared', 'too large')) y (type, is_scalar)
             WHERE t.path IS NOT NULL
        ), d AS (
            SELECT h.path, count(*) AS d, count(*) FILTER (WHERE h.n = 1) AS once, sum(h.n) AS n
              FROM (SELECT v.path, v.hash, count(*) AS n FROM v WHERE v.hash IS NOT NULL GROUP BY v.path, v.hash) h GROUP BY h.path
        ), p AS (
            SELECT v.path, array_agg(DISTINCT v.type ORDER BY v.type) AS types, count(DISTINCT v.zoid) AS objects,
                   count(*) FILTER (WHERE v.type <> 'array') AS n, min(v.shown COLLATE "C") AS shown
              FROM v GROUP BY v.path
        )
        SELECT p.path, p.types, p.objects, p.objects::double precision / $5, p.n,
               -- of values that were seen once, as many more are not in the sample as it is smaller than the class
               coalesce(round(d.n * d.d / greatest(d.n - d.once + d.once * least($5 / $6, 1), 1)), 0)::bigint, p.shown
          FROM p LEFT JOIN d ON d.path = p.path
         ORDER BY p.path COLLATE "C"$sql$, store)
        USING s.zoids, class_name, maps, structs, pg_catalog.cardinality(s.zoids)::double precision, greatest(s.count, 1)::double precision;
END
$newt_body$;
COMMENT ON FUNCTION newt.paths(text, text, integer) IS 'paths in the documents of a class, from a sample of at most so many: types, in how many objects of the sample, how many values there, distinct values of the class (about), the least value as an example. Keys of maps are *';

-- ---- who refers to what ---------------------------------------------------------------------------

CREATE FUNCTION newt.create_referrers_index_sql(store text DEFAULT 'public') RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN pg_catalog.format('CREATE INDEX ON %I.object_state USING gin (newt.try_refs(state))', store);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_referrers_index_sql(text) IS 'the SQL of newt.create_referrers_index';

CREATE FUNCTION newt.create_referrers_index(store text DEFAULT 'public') RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    EXECUTE newt.create_referrers_index_sql(store);
END
$newt_body$;
COMMENT ON FUNCTION newt.create_referrers_index(text) IS 'GIN index over the references of all records, for newt.referrers and newt.object';

CREATE FUNCTION newt.referrers_index(store text DEFAULT 'public') RETURNS regclass
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS $newt_body$
BEGIN
    RETURN (SELECT min(i.indexrelid) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am a ON a.oid = c.relam
             WHERE i.indrelid = pg_catalog.to_regclass(pg_catalog.format('%I.object_state', store)) AND i.indisvalid AND i.indpred IS NULL
               AND a.amname = 'gin' AND pg_catalog.pg_get_indexdef(i.indexrelid, 1, true) = 'newt.try_refs(state)');
END
$newt_body$;
COMMENT ON FUNCTION newt.referrers_index(text) IS 'the index that newt.create_referrers_index has made; null if there is none that is valid';

CREATE FUNCTION newt.referrers(store text, zoid bigint, at_most bigint DEFAULT 1000)
    RETURNS TABLE (referrer bigint, class_name text, path text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    IF newt.referrers_index(store) IS NULL THEN
        RAISE NOTICE USING MESSAGE = pg_catalog.format('all records of store "%s" are read', store),
            HINT = pg_catalog.format('newt.create_referrers_index(%L) makes an index over their references.', store);
    END IF;
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        SELECT r.zoid, newt.try_class_name(r.state), newt.ref_path(r.state, $1)
          FROM (SELECT o.zoid, o.state FROM %I.object_state o WHERE newt.try_refs(o.state) @> ARRAY[$1] ORDER BY o.zoid LIMIT $2) r$sql$, store)
        USING zoid, at_most;
END
$newt_body$;
COMMENT ON FUNCTION newt.referrers(text, bigint, bigint) IS 'objects whose records refer to an object, and where in the record the first such reference is';

CREATE FUNCTION newt.reachable(store text, zoid bigint, max_depth bigint DEFAULT 1000000, max_objects bigint DEFAULT 10000)
    RETURNS TABLE (object bigint, class_name text, serial bigint)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 1000
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY SELECT (w.r).zoid, newt.try_class_name((w.r).state), (w.r).serial
      FROM (SELECT newt.walk(store, ARRAY[zoid], max_depth, max_objects) AS r OFFSET 0) w;
END
$newt_body$;
COMMENT ON FUNCTION newt.reachable(text, bigint, bigint, bigint) IS 'objects that can be reached from an object along references, itself the first: newt.walk, without the records';

-- One object after another in the order of the key, each reference looked for in the index: it ends at the limit.
CREATE FUNCTION newt.dangling(store text DEFAULT 'public', at_most bigint DEFAULT 1000, after bigint DEFAULT 0)
    RETURNS TABLE (referrer bigint, class_name text, missing bigint, path text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS $newt_body$
BEGIN
    PERFORM newt.check_store(store);
    RETURN QUERY EXECUTE pg_catalog.format($sql$
        WITH g AS MATERIALIZED (
            SELECT d.zoid, array_agg(d.ref ORDER BY d.ref) AS missing
              FROM (SELECT o.zoid, r.ref FROM %1$I.object_state o, unnest(newt.try_refs(o.state)) r (ref)
                     WHERE o.zoid > $2 AND NOT EXISTS (SELECT FROM %1$I.object_state x WHERE x.zoid = r.ref)
                     ORDER BY o.zoid, r.ref LIMIT $1) d
             GROUP BY d.zoid
        )
        SELECT g.zoid, p.class, m.ref, m.path
          FROM g
          CROSS JOIN LATERAL (SELECT newt.try_class_name(o.state), newt.ref_paths(o.state, g.missing)
                                FROM %1$I.object_state o WHERE o.zoid = g.zoid OFFSET 0) p (class, paths)
          CROSS JOIN LATERAL unnest(g.missing, p.paths) m (ref, path)
         ORDER BY g.zoid, m.ref$sql$, store) USING at_most, after;
END
$newt_body$;
COMMENT ON FUNCTION newt.dangling(text, bigint, bigint) IS 'references to objects that do not exist, in the order of the objects that have them: at most so many, of objects after an oid';

-- ---- one object, for people -----------------------------------------------------------------------

-- The names of the root's own objects stand in front, as programs call them.
CREATE FUNCTION newt.route_path(store text, route bigint[]) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET jit = off
    AS $newt_body$
DECLARE
    result text;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE pg_catalog.format($sql$
        SELECT string_agg(CASE WHEN newt.try_class_name(o.state) = 'newt.Root' AND r.i = 1 AND starts_with(p.path, 'items.') THEN substr(p.path, 7)
                               ELSE coalesce(p.path, '?') END, '.' ORDER BY r.i)
          FROM unnest($1) WITH ORDINALITY r (zoid, i)
          LEFT JOIN %I.object_state o ON o.zoid = r.zoid
          CROSS JOIN LATERAL (SELECT newt.ref_path(o.state, ($1)[r.i + 1])) p (path)
         WHERE r.i < cardinality($1)$sql$, store) INTO result USING route;
    RETURN coalesce(result, '');
END
$newt_body$;
COMMENT ON FUNCTION newt.route_path(text, bigint[]) IS 'a way along references as a path: tasks.items[3].owner; empty for the root itself';

-- From the object back to the roots: few levels (200 at most, each is a query), where a walk from the roots would come to all objects of a large store.
CREATE FUNCTION newt.route_back(store text, zoid bigint, roots bigint[] DEFAULT '{1}', max_objects bigint DEFAULT 10000) RETURNS bigint[]
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
    AS $newt_body$
DECLARE
    seen bigint[] := ARRAY[zoid]; -- and what each of them refers to, one step nearer
    leads_to bigint[] := ARRAY[NULL::bigint];
    level bigint[] := seen;
    nearer bigint[];
    way bigint[];
BEGIN
    IF newt.referrers_index(store) IS NULL THEN
        RETURN NULL;
    END IF;
    FOR step IN 0 .. 200 LOOP
        EXIT WHEN seen && roots;
        EXECUTE pg_catalog.format($sql$
            SELECT array_agg(d.zoid), array_agg(d.nearer) FROM (
                SELECT DISTINCT ON (r.zoid) r.zoid, l.zoid AS nearer
                  FROM unnest($1) l (zoid)
                  CROSS JOIN LATERAL (SELECT o.zoid FROM %I.object_state o WHERE newt.try_refs(o.state) @> ARRAY[l.zoid] LIMIT $3) r
                 WHERE r.zoid <> ALL ($2)
                 ORDER BY r.zoid, l.zoid LIMIT $3) d$sql$, store)
            INTO level, nearer USING level, seen, max_objects - pg_catalog.cardinality(seen);
        IF level IS NULL OR step = 200 THEN
            RETURN NULL;
        END IF;
        seen := seen || level;
        leads_to := leads_to || nearer;
    END LOOP;
    SELECT r.zoid INTO STRICT zoid FROM pg_catalog.unnest(roots) WITH ORDINALITY r (zoid, i) WHERE r.zoid = ANY (seen) ORDER BY r.i LIMIT 1;
    WHILE zoid IS NOT NULL LOOP
        way := way || zoid;
        zoid := leads_to[pg_catalog.array_position(seen, zoid)];
    END LOOP;
    RETURN way;
END
$newt_body$;
COMMENT ON FUNCTION newt.route_back(text, bigint, bigint[], bigint) IS 'as newt.route, but from the object along its referrers: fast in a large store; null without the index of newt.create_referrers_index';

CREATE FUNCTION newt.object(store text, zoid bigint, max_objects bigint DEFAULT 100000)
    RETURNS TABLE (object bigint, class_name text, version integer, serial bigint, tid bigint, written_at timestamptz, username text, description text,
                   state jsonb, damage text, refs bigint[], ref_count bigint, referrer_count bigint, path text)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 1
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
    AS $newt_body$
DECLARE
    record bytea;
BEGIN
    PERFORM newt.check_store(store);
    object := zoid;
    EXECUTE pg_catalog.format($sql$
        SELECT o.serial, o.state, n.class_name, n.state, t.tid, t.committed_at, t.username, t.description
          FROM %1$I.object_state o LEFT JOIN %1$I.newt n ON n.zoid = o.zoid LEFT JOIN %1$I.transaction t ON t.serial = o.serial
         WHERE o.zoid = $1$sql$, store)
        INTO serial, record, class_name, state, tid, written_at, username, description USING zoid;
    IF serial IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        class_name := newt.class_name(record);
        version := newt.class_version(record);
        refs := newt.refs(record);
        ref_count := pg_catalog.cardinality(refs);
        refs := refs[1:1000];
    EXCEPTION WHEN invalid_binary_representation OR feature_not_supported OR program_limit_exceeded THEN
        GET STACKED DIAGNOSTICS damage = PG_EXCEPTION_DETAIL;
        damage := pg_catalog.concat_ws(': ', SQLERRM, nullif(damage, ''));
    END;
    state := coalesce(state, newt.try_to_jsonb(record)); -- a row may be a moment behind
    -- without the index only a small store is read through
    IF newt.referrers_index(store) IS NOT NULL
       OR pg_catalog.pg_table_size(pg_catalog.to_regclass(pg_catalog.format('%I.object_state', store))) <= 67108864 THEN
        EXECUTE pg_catalog.format('SELECT count(*) FROM %I.object_state o WHERE newt.try_refs(o.state) @> ARRAY[$1]', store)
            INTO referrer_count USING zoid;
    ELSE
        RAISE NOTICE USING MESSAGE = pg_catalog.format('the referrers of object %s are not counted', zoid),
            HINT = pg_catalog.format('newt.create_referrers_index(%L) makes an index over the references of all records.', store);
    END IF;
    path := newt.route_path(store, coalesce(newt.route_back(store, zoid), newt.route(store, zoid, max_objects => max_objects)));
    RETURN NEXT;
END
$newt_body$;
COMMENT ON FUNCTION newt.object(text, bigint, bigint) IS 'one object for people: who wrote it and when, its state, what it refers to (the first 1,000), how many refer to it, and its path from the root if one was found among max_objects objects';
