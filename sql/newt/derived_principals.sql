-- ---- principals of derived columns -----------------------------------------------------------------
-- The function that gives objects their lists, from the top down: of some objects (newt_todo), and of those below others
-- (newt_above; below the first those after newt_after, upto newt_upto). What is below an object is looked at if its list has changed. Beyond
-- newt_at_most rows, the others wait.
--
-- Rows are found once and written by their ctid. Under the lock nobody else writes them. newt_ahead works without it, and leaves to
-- its caller to take the lock then, and to call once more with what it says that it has looked at: nearly all is right then, and what others
-- have changed meanwhile is made right. Hence a row that has moved, or has other entries than those that were seen, is left as it is.
CREATE FUNCTION newt.derived_settle_sql(store text, number integer, relation regclass, has_parent boolean, accesses text[], tag text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    -- of each column its variables and its expressions, with its number for %s
    variables text := '';
    into_list text := '';
    gathered text := '';
    aggregated text := '';
    totals text := '';
    differs text := '';
    sums text := '';
    assigned text := '';
    given text := '';
    named text := '';
    changed text := '';
    same text := '';
    loops text := '';
    below text := '';
    a record;
BEGIN
    FOR a IN SELECT u.name, u.n FROM unnest(accesses) WITH ORDINALITY u (name, n) ORDER BY u.n LOOP
        variables := variables || format(E'\n    newt_own%1$s bigint[];\n    newt_up%1$s bigint[];\n    newt_total%1$s bigint[];', a.n);
        into_list := into_list || format(', newt_own%1$s, newt_up%1$s, newt_total%1$s', a.n);
        gathered := gathered || format(', t.%1$I AS own%3$s, t.%2$I AS is%3$s, %4$s AS up%3$s', a.name || '_own', a.name, a.n, CASE WHEN has_parent THEN format('coalesce(p.%I, 0)', a.name) ELSE '0::bigint' END);
        aggregated := aggregated || format(', array_agg(f.own%1$s) FILTER (WHERE f.changes), array_agg(f.up%1$s) FILTER (WHERE f.changes), array_agg(f.total%1$s) FILTER (WHERE f.changes)', a.n);
        totals := totals || format(', CASE WHEN g.own%1$s = 0 THEN g.up%1$s ELSE (SELECT s.total FROM %2$I.newt_principal_sum s WHERE s.own = g.own%1$s AND s.parent = g.up%1$s) END AS total%1$s', a.n, store);
        differs := differs || format('%1$sh.total%2$s IS DISTINCT FROM h.is%2$s', CASE a.n WHEN 1 THEN '' ELSE ' OR ' END, a.n);
        sums := sums || format($sql$
        IF array_position(newt_total%1$s, NULL) IS NOT NULL THEN -- lists that nobody has had
            INSERT INTO %2$I.newt_principal_sum (own, parent, total)
                SELECT u.own, u.up, %2$I.newt_principal_set(newt.inherit(o.entries, a.entries), true)
                  FROM (SELECT DISTINCT w.own, w.up FROM unnest(newt_own%1$s, newt_up%1$s, newt_total%1$s) w (own, up, total) WHERE w.total IS NULL) u
                  JOIN %2$I.newt_principal_set o ON o.id = u.own JOIN %2$I.newt_principal_set a ON a.id = u.up
                ON CONFLICT DO NOTHING;
            newt_total%1$s := ARRAY(SELECT coalesce(w.total, (SELECT s.total FROM %2$I.newt_principal_sum s WHERE s.own = w.own AND s.parent = w.up))
                                  FROM unnest(newt_own%1$s, newt_up%1$s, newt_total%1$s) WITH ORDINALITY w (own, up, total, n) ORDER BY w.n);
        END IF;$sql$, a.n, store);
        assigned := assigned || format('%s%I = u.total%s', CASE a.n WHEN 1 THEN '' ELSE ', ' END, a.name, a.n);
        given := given || format(', newt_own%1$s, newt_total%1$s', a.n);
        named := named || format(', own%1$s, total%1$s', a.n);
        changed := changed || format('%st.%I <> u.total%s', CASE a.n WHEN 1 THEN '' ELSE ' OR ' END, a.name, a.n);
        same := same || format(' AND t.%I = u.own%s', a.name || '_own', a.n);
    END LOOP;
    IF has_parent THEN
        variables := variables || E'\n    newt_parents bigint[];';
        into_list := into_list || ', newt_parents';
        gathered := gathered || ', t.parent_id';
        aggregated := aggregated || ', array_agg(f.parent_id) FILTER (WHERE f.changes)';
        given := given || ', newt_parents';
        named := named || ', parent_id';
        -- A loop is cut at its oldest object, by the sign of parent_id: for as long as it is a loop, and no older one is in it.
        loops := format($sql$
    IF newt_todo <> '{}' THEN
        IF EXISTS (SELECT FROM %1$s t WHERE t.parent_id < 0) THEN
            WITH RECURSIVE up (start, zoid) AS (
                SELECT t.zoid, -t.parent_id FROM %1$s t WHERE t.parent_id < 0
                UNION SELECT u.start, t.parent_id FROM up u JOIN %1$s t ON t.zoid = u.zoid WHERE t.parent_id > 0 AND u.zoid <> u.start
            ), whole AS (
                UPDATE %1$s t SET parent_id = -t.parent_id
                 WHERE t.parent_id < 0 AND t.zoid NOT IN (SELECT u.start FROM up u GROUP BY u.start HAVING bool_or(u.zoid = u.start) AND min(u.zoid) = u.start) RETURNING t.zoid
            )
            SELECT newt_todo || array_agg(w.zoid) INTO newt_todo FROM whole w;
        END IF;
        WITH RECURSIVE up (start, zoid) AS (
            SELECT t.zoid, t.parent_id FROM %1$s t
             WHERE t.zoid = ANY (newt_todo) AND t.parent_id > 0 AND EXISTS (SELECT FROM %1$s c WHERE c.parent_id = t.zoid)
            UNION SELECT u.start, t.parent_id FROM up u JOIN %1$s t ON t.zoid = u.zoid WHERE t.parent_id > 0 AND u.zoid <> u.start
        ), cut AS (
            UPDATE %1$s t SET parent_id = -t.parent_id
             WHERE t.zoid IN (SELECT min(u.zoid) FROM up u WHERE u.start IN (SELECT l.start FROM up l WHERE l.zoid = l.start) GROUP BY u.start) RETURNING t.zoid
        )
        SELECT newt_todo || array_agg(c.zoid) INTO newt_todo FROM cut c;
    END IF;$sql$, relation);
        -- Those below as many as there is room for. One that has too many comes first of its step, some of them at a time.
        below := format($sql$ELSIF newt_above <> '{}' THEN
            newt_room := newt_at_most - newt_n;
            SELECT array_agg(f.id) FILTER (WHERE f.changes)%1$s, coalesce(max(f.children) FILTER (WHERE f.fits), 0), min(f.n) FILTER (WHERE NOT f.fits), max(f.zoid)
              INTO newt_ids%2$s, newt_looked, newt_full, newt_last
              FROM (SELECT h.*, h.fits AND (%3$s) AS changes
                      FROM (SELECT g.*, g.children <= newt_room AS fits%4$s
                              FROM (SELECT a.n, t.ctid AS id, t.zoid, count(*) OVER (ORDER BY a.n) AS children%5$s
                                      FROM unnest(newt_above[:CASE WHEN newt_in_parts THEN 1 ELSE 200 END]) WITH ORDINALITY a (zoid, n) LEFT JOIN %6$s p ON p.zoid = a.zoid, LATERAL (
                                           SELECT c.ctid, c.zoid, c.parent_id%9$s FROM %6$s c WHERE c.parent_id = a.zoid AND c.zoid > CASE a.n WHEN 1 THEN newt_after ELSE 0 END
                                            ORDER BY c.parent_id, c.zoid LIMIT newt_room + (NOT newt_in_parts)::integer) t) g OFFSET 0) h OFFSET 0) f;
            newt_n := newt_n + newt_looked;
            IF newt_full = 1 THEN
                EXIT WHEN newt_n > 0;
                newt_in_parts := true;
                CONTINUE;
            ELSIF newt_in_parts THEN
                newt_upto := newt_last;
                newt_full := 2;
                newt_in_parts := false;
            END IF;
            IF newt_ahead THEN
                newt_looked_at := CASE WHEN newt_upto IS NULL THEN newt_looked_at || newt_above[:coalesce(newt_full, 201) - 1] ELSE newt_above[1] || newt_looked_at END;
            ELSIF newt_upto IS NOT NULL THEN
                INSERT INTO %7$I.newt_derived_pending AS q (derived, zoid, task, after) VALUES (%8$s, newt_above[1], 'below', newt_upto)
                    ON CONFLICT (derived, task, zoid) DO UPDATE SET after = least(q.after, newt_upto);
                newt_upto := NULL;
            END IF;
            newt_after := 0;
            newt_above := newt_above[coalesce(newt_full, 201):];
        $sql$, aggregated, into_list, differs, totals, gathered, relation, store, number,
            (SELECT string_agg(format(', c.%I, c.%I', u.name || '_own', u.name), '') FROM unnest(accesses) u (name)));
    END IF;
    RETURN format($sql$
CREATE OR REPLACE FUNCTION %1$I.newt_settle_%2$s(newt_todo bigint[], newt_at_most bigint, newt_above bigint[] DEFAULT '{}', newt_after bigint DEFAULT 0, newt_ahead boolean DEFAULT false,
        INOUT newt_upto bigint DEFAULT NULL, INOUT newt_rest bigint[] DEFAULT '{}', OUT newt_looked_at bigint[], OUT newt_n bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS %3$s
#variable_conflict use_variable
DECLARE
    newt_frontier bigint[];
    newt_ids tid[];%4$s
    newt_settled bigint[];
    newt_room bigint;
    newt_looked bigint;
    newt_full bigint;
    newt_last bigint;
    newt_in_parts boolean := false;
BEGIN
    newt_n := 0;
    newt_looked_at := '{}';%5$s
    LOOP
        EXIT WHEN newt_todo = '{}' AND newt_above = '{}' OR newt_n >= newt_at_most;
        IF newt_todo <> '{}' THEN
            newt_frontier := %7$s;
            IF newt_frontier = '{}' THEN -- no row is there any more
                newt_todo := '{}';
                CONTINUE;
            END IF;
            newt_n := newt_n + cardinality(newt_frontier);
            newt_todo := CASE WHEN cardinality(newt_todo) = cardinality(newt_frontier) THEN '{}'::bigint[] ELSE ARRAY(SELECT u.zoid FROM unnest(newt_todo) u (zoid) WHERE u.zoid NOT IN (SELECT f.zoid FROM unnest(newt_frontier) f (zoid))) END;
            SELECT array_agg(f.id) FILTER (WHERE f.changes)%8$s INTO newt_ids%9$s
              FROM (SELECT h.*, (%10$s) AS changes
                      FROM (SELECT g.*%11$s
                              FROM (SELECT t.ctid AS id%12$s FROM %13$s t%14$s WHERE t.zoid = ANY (newt_frontier)) g OFFSET 0) h OFFSET 0) f;
        %15$sEND IF;
        CONTINUE WHEN newt_ids IS NULL;%16$s
        WITH settled AS (
            UPDATE %13$s t SET %17$s FROM unnest(newt_ids%18$s) u (id%19$s) WHERE t.ctid = u.id%22$s AND (%20$s) RETURNING t.zoid
        )
        SELECT array_agg(s.zoid) INTO newt_settled FROM settled s;
        IF newt_at_most IS NULL THEN
            RETURN;
        END IF;%21$s
    END LOOP;
    newt_rest := newt_rest || newt_above;
    IF NOT newt_ahead AND (newt_todo <> '{}' OR newt_rest <> '{}') THEN
        INSERT INTO %1$I.newt_derived_pending AS q (derived, zoid, task)
            SELECT DISTINCT %2$s, u.zoid, 'own' FROM unnest(newt_todo) u (zoid) WHERE u.zoid IS NOT NULL%6$s
            ON CONFLICT (derived, task, zoid) DO UPDATE SET after = 0 WHERE q.after <> 0;
    END IF;
END
%3$s;
REVOKE ALL ON FUNCTION %1$I.newt_settle_%2$s(bigint[], bigint, bigint[], bigint, boolean, bigint, bigint[]) FROM PUBLIC;
$sql$, store, number, tag, variables, loops,
        -- most objects have none below them
        CASE WHEN has_parent THEN format(E'\n                UNION SELECT %s, u.zoid, ''below'' FROM unnest(newt_rest) u (zoid) WHERE (SELECT t.zoid FROM %s t WHERE t.parent_id = u.zoid LIMIT 1) IS NOT NULL', number, relation) ELSE '' END,
        CASE WHEN has_parent THEN format('CASE WHEN newt_at_most IS NULL OR cardinality(newt_todo) = 1 THEN newt_todo ELSE ARRAY(SELECT t.zoid FROM %1$s t WHERE t.zoid = ANY (newt_todo) AND (t.parent_id IS NULL OR t.parent_id NOT IN (SELECT p.zoid FROM %1$s p WHERE p.zoid = ANY (newt_todo))) LIMIT newt_at_most - newt_n) END', relation) ELSE 'newt_todo' END,
        aggregated, into_list, differs, totals, gathered, relation, CASE WHEN has_parent THEN format(' LEFT JOIN %s p ON p.zoid = t.parent_id', relation) ELSE '' END,
        below, sums, assigned, given, named, changed, CASE WHEN has_parent THEN E'\n        newt_above := newt_above || newt_settled;' ELSE '' END,
        same || CASE WHEN has_parent THEN ' AND t.parent_id IS NOT DISTINCT FROM u.parent_id' ELSE '' END);
END
$newt_body$;
COMMENT ON FUNCTION newt.derived_settle_sql(text, integer, regclass, boolean, text[], text) IS 'the SQL of the function that gives the objects of a table of derived columns their lists of principals';
