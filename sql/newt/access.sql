-- ---- principals ------------------------------------------------------------------------------------
-- Who may see an object is a list of entries, +principal or -principal, the nearest first: those of the
-- object, then those of the object above it, and so on. The first entry that is about one of a user's
-- principals decides. (Pyramid's and ZODB applications' access lists are read so, too.)

-- The entries of an object's own. A denial stands before what the same object allows. '!' at the end: nothing comes from above.
CREATE FUNCTION newt.access_entries(document jsonb, rules jsonb) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 500
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    allowed text[] := '{}';
    denied text[] := '{}';
    listed jsonb;
    stops boolean := false;
BEGIN
    IF rules ? 'allow' THEN
        allowed := newt.principals(document, VARIADIC ARRAY(SELECT jsonb_array_elements_text(rules->'allow')));
    END IF;
    IF rules ? 'deny' THEN
        denied := newt.principals(document, VARIADIC ARRAY(SELECT jsonb_array_elements_text(rules->'deny')));
    END IF;
    IF rules ? 'entries' THEN
        listed := document #> ARRAY(SELECT jsonb_array_elements_text(rules->'entries'));
        IF jsonb_typeof(listed) = 'array' THEN
            -- What cannot be understood denies: an entry must not give more than it says.
            SELECT allowed || newt.principals(jsonb_build_object('p', jsonb_agg(e.principal) FILTER (WHERE e.allows AND e.counts)), 'p'),
                   denied || newt.principals(jsonb_build_object('p', jsonb_agg(e.principal) FILTER (WHERE NOT e.allows AND coalesce(e.counts, true))), 'p')
              INTO allowed, denied
              FROM (SELECT i.item->(rules->>'principal') AS principal,
                           coalesce(lower(nullif(i.item->(rules->>'effect'), 'null')#>>'{}'), 'allow') IN ('allow', 'true') AS allows,
                           CASE WHEN NOT rules ? 'roles' THEN true
                                WHEN jsonb_typeof(i.item->(rules->>'role')) IN ('string', 'array') THEN newt.principals(i.item, newt.path_key(rules->>'role')) && ARRAY(SELECT jsonb_array_elements_text(rules->'roles'))
                           END AS counts
                      FROM jsonb_array_elements(listed) i (item)) e;
        END IF;
    END IF;
    IF rules ? 'stop' THEN
        stops := coalesce(document #> ARRAY(SELECT jsonb_array_elements_text(rules->'stop')) NOT IN ('false', 'null'), false);
    END IF;
    IF cardinality(denied) >= 10000 THEN -- newt.principals() may have left some out
        RETURN '{!}';
    END IF;
    RETURN ARRAY(SELECT DISTINCT '-' || d COLLATE "C" FROM unnest(denied) d ORDER BY 1)
        || ARRAY(SELECT DISTINCT '+' || a COLLATE "C" FROM unnest(allowed) a WHERE a <> ALL (denied) ORDER BY 1)
        || CASE WHEN stops THEN '{!}'::text[] ELSE '{}' END;
END
$newt_body$;
COMMENT ON FUNCTION newt.access_entries(jsonb, jsonb) IS 'the entries that a document itself has for its principals, by the rules of a derived column';

-- Equal lists are to be equal arrays: an entry that another about the same principal precedes decides nothing, those of one
-- sign that stand together may have any order, and a denial after which nothing is allowed says nothing. What is cut off at
-- the end can only allow less.
CREATE FUNCTION newt.inherit(own text[], above text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
WITH listed AS (
    SELECT DISTINCT ON (substr(u.entry, 2)) u.entry, u.n
      FROM unnest(CASE WHEN own[cardinality(own)] = '!' THEN own ELSE own || above END) WITH ORDINALITY u (entry, n)
     WHERE u.entry <> '!'
     ORDER BY substr(u.entry, 2), u.n
), turn AS (
    SELECT l.entry, l.n, l.entry LIKE '+%' AS allows, l.entry LIKE '+%' IS DISTINCT FROM lag(l.entry LIKE '+%') OVER (ORDER BY l.n) AS turns FROM listed l
), run AS (
    SELECT t.entry, t.n, t.allows, sum(t.turns::integer) OVER (ORDER BY t.n) AS run FROM turn t
), kept AS (
    SELECT r.entry, r.allows, row_number() OVER (ORDER BY r.run, r.entry COLLATE "C") AS n FROM run r
     WHERE r.run <= (SELECT max(l.run) FROM run l WHERE l.allows)
)
SELECT coalesce((array_agg(k.entry ORDER BY k.n))[1:10000], '{}') FROM kept k
$newt_body$;
COMMENT ON FUNCTION newt.inherit(text[], text[]) IS 'the entries of an object with entries of its own below one with others, each list in its only form';

CREATE FUNCTION newt.allows(entries text[], principals text[]) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_allows';
COMMENT ON FUNCTION newt.allows(text[], text[]) IS 'whether a list of entries allows it to somebody who has these principals: the first entry about one of them decides';

-- Where a column of principals is: by its name, or as table.column where several have that.
CREATE FUNCTION newt.access_column(store text, name text, OUT relation regclass, OUT column_name text, OUT parent text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    n bigint;
BEGIN
    PERFORM newt.check_store(store);
    EXECUTE format($sql$
        SELECT count(*) OVER (), d.relation, c.spec->>'name', d.parent FROM %I.newt_derived d, jsonb_array_elements(d.columns) c (spec)
         WHERE c.spec ? 'access' AND $1 IN (c.spec->>'name', d.name || '.' || (c.spec->>'name')) LIMIT 1$sql$, store) INTO n, relation, column_name, parent USING name;
    IF n IS NULL OR n > 1 THEN
        RAISE EXCEPTION USING ERRCODE = CASE WHEN n IS NULL THEN 'undefined_object' ELSE 'ambiguous_column' END,
            MESSAGE = format(CASE WHEN n IS NULL THEN 'there are no principals "%s" in store "%s"' ELSE 'several tables of store "%2$s" have principals "%1$s"' END, name, store),
            HINT = CASE WHEN n IS NULL THEN 'CALL newt.create_derived() makes them: a column with "access".' ELSE 'Name the table as well: table.column.' END;
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.access_column(text, text) IS 'the table and the column in which a store has principals of this name';

-- Few of the lists deny anything; the others are decided by the index: to compare two long lists takes a minute.
CREATE FUNCTION newt.principal_sets(store text, principals text[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
    AS $newt_body$
DECLARE
    result bigint[];
BEGIN
    EXECUTE format('SELECT array_agg(s.id) FROM %I.newt_principal_set s WHERE s.allowed && $1 AND (NOT s.denies OR newt.allows(s.entries, $1))', store)
        INTO result USING principals;
    RETURN coalesce(result, '{}');
END
$newt_body$;
COMMENT ON FUNCTION newt.principal_sets(text, text[]) IS 'the numbers of the lists that allow it to somebody who has these principals';

-- In the order of the zoids, so that a page goes on after the last of the one before. Where much is allowed the page is soon
-- full if objects are looked at in their order; else each list has the beginning of its own objects, in the index.
CREATE FUNCTION newt.can(store text, name text, principals text[], at_most bigint DEFAULT NULL, after bigint DEFAULT 0) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
    AS $newt_body$
DECLARE
    where_is record;
    sets bigint[];
    found bigint[];
    at bigint := coalesce(after, 0);
BEGIN
    SELECT * INTO where_is FROM newt.access_column(store, name);
    IF principals IS NULL OR array_position(principals, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'a principal must not be null',
            HINT = 'Without principals, {}, nothing may be seen.';
    ELSIF cardinality(principals) > 10000 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('%s principals are too many', cardinality(principals)), DETAIL = 'The limit is 10000.';
    END IF;
    sets := newt.principal_sets(store, principals);
    IF sets = '{}' OR at_most <= 0 THEN
        RETURN;
    ELSIF at_most IS NULL THEN
        RETURN QUERY EXECUTE format('SELECT t.zoid FROM %s t WHERE t.%I = ANY ($1) AND t.zoid > $2 ORDER BY t.zoid', where_is.relation, where_is.column_name) USING sets, at;
        RETURN;
    END IF;
    IF cardinality(sets) > 50 THEN
        -- as many objects as are read in the time that the lists take; IS TRUE, or lists are made distinct first, to be joined
        EXECUTE format('SELECT array_agg(f.zoid) FROM (SELECT l.zoid FROM (SELECT t.zoid, t.%I AS id FROM %s t WHERE t.zoid > $2 ORDER BY t.zoid LIMIT $3) l '
                       'WHERE (l.id IN (SELECT s.id FROM unnest($1) s (id))) IS TRUE LIMIT $4) f', where_is.column_name, where_is.relation)
            INTO found USING sets, at, 10 * cardinality(sets), at_most;
        RETURN QUERY SELECT u.zoid FROM unnest(found) u (zoid);
        at_most := at_most - coalesce(cardinality(found), 0);
        IF at_most = 0 THEN
            RETURN;
        END IF;
        at := coalesce(found[cardinality(found)], at);
    END IF;
    RETURN QUERY EXECUTE format('SELECT z.zoid FROM unnest($1) s (id), LATERAL (SELECT t.zoid FROM %s t WHERE t.%I = s.id AND t.zoid > $2 ORDER BY t.zoid LIMIT $3) z ORDER BY z.zoid LIMIT $3',
                                where_is.relation, where_is.column_name) USING sets, at, at_most;
END
$newt_body$;
COMMENT ON FUNCTION newt.can(text, text, text[], bigint, bigint) IS 'the objects that somebody with these principals may see, in the order of their zoids: at most at_most, after a zoid';

-- What newt.can() goes by, entry by entry: those of the object, then those above it, from the same rows. Above the object at
-- which a loop is cut is none: its parent_id is negative.
CREATE FUNCTION newt.why(store text, name text, object bigint, principals text[] DEFAULT NULL)
    RETURNS TABLE (n bigint, depth integer, zoid bigint, class_name text, entry text, decides boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
    AS $newt_body$
DECLARE
    where_is record;
    has_row boolean;
BEGIN
    SELECT * INTO where_is FROM newt.access_column(store, name);
    EXECUTE format('SELECT EXISTS (SELECT FROM %s t WHERE t.zoid = $1)', where_is.relation) INTO has_row USING object;
    IF NOT has_row THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('object %s has no row in %s', coalesce(object::text, 'null'), where_is.relation),
            HINT = 'It is not there, or of another class, or has not been computed yet: newt.check_derived() says.';
    END IF;
    RETURN QUERY EXECUTE format($sql$
        WITH RECURSIVE up AS (
            SELECT 0 AS depth, t.zoid, t.class_name, %2$s AS parent_id, s.entries
              FROM %1$s t JOIN %3$I.newt_principal_set s ON s.id = t.%4$I WHERE t.zoid = $1
            UNION ALL
            SELECT u.depth + 1, t.zoid, t.class_name, %2$s, s.entries
              FROM up u JOIN %1$s t ON t.zoid = u.parent_id JOIN %3$I.newt_principal_set s ON s.id = t.%4$I
             WHERE u.entries[cardinality(u.entries)] IS DISTINCT FROM '!'
        ), listed AS (
            SELECT u.depth, u.zoid, u.class_name, e.entry, row_number() OVER (ORDER BY u.depth, e.n) AS n
              FROM up u LEFT JOIN LATERAL unnest(u.entries) WITH ORDINALITY e (entry, n) ON true
        ), first AS ( -- of more entries than a list has, those after its end allow nothing
            SELECT min(l.n) AS n FROM listed l WHERE substr(l.entry, 2) = ANY ($2)
        )
        SELECT l.n, l.depth, l.zoid, l.class_name, l.entry,
               CASE WHEN $2 IS NOT NULL THEN l.n IS NOT DISTINCT FROM f.n
                     AND (l.entry LIKE '-%%' OR l.entry IN (SELECT unnest(s.entries) FROM %1$s t JOIN %3$I.newt_principal_set s ON s.id = t.%5$I WHERE t.zoid = $1)) END
          FROM listed l, first f ORDER BY l.n$sql$,
        where_is.relation, CASE WHEN where_is.parent IS NULL THEN 'NULL::bigint' ELSE 't.parent_id' END, store, where_is.column_name || '_own', where_is.column_name)
        USING object, principals;
END
$newt_body$;
COMMENT ON FUNCTION newt.why(text, text, bigint, text[]) IS 'the entries of an object and of those above it, in the order in which they are looked at, and which decides for these principals';
