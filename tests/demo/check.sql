-- Is the store whole? One row a fault: none is what there should be. Run with psql, -v schema=NAME
-- and -v whole=1 if nothing may be half done (no load or removal under way).
SET search_path = :"schema";

-- every record can be read, and its row of the projection is that of this record
SELECT 'projection of ' || coalesce(o.zoid, p.zoid) || ' is ' || CASE
           WHEN o.zoid IS NULL THEN 'of no object'
           WHEN p.zoid IS NULL THEN 'missing'
           WHEN p.serial <> o.serial THEN 'stale'
           ELSE 'other than its record' END
  FROM object_state o FULL JOIN newt_projection p ON p.zoid = o.zoid
 WHERE p.serial IS DISTINCT FROM o.serial
    OR p.class_name IS DISTINCT FROM newt.class_name(o.state)
    OR p.state IS DISTINCT FROM newt.to_jsonb(o.state);

-- every write has its transaction, and every object of a transaction's is there or was removed
SELECT 'object ' || o.zoid || ' was written by an unknown transaction' FROM object_state o
 WHERE NOT EXISTS (SELECT FROM transaction t WHERE t.serial = o.serial);

-- references lead somewhere. While an old archive is being removed, what is left of it may refer
-- to what is gone.
SELECT 'object ' || o.zoid || ' refers to ' || r || ', which is not there'
  FROM object_state o, unnest(newt.refs(o.state)) r
 WHERE NOT EXISTS (SELECT FROM object_state t WHERE t.zoid = r)
   AND (:whole = 1 OR NOT (SELECT state->'items' ? 'debian.old' FROM newt WHERE zoid = 1));

-- every object can be reached from the root
WITH RECURSIVE reached(zoid) AS (
    SELECT 1::bigint
    UNION
    SELECT r FROM reached JOIN object_state o USING (zoid), unnest(newt.refs(o.state)) r
)
SELECT 'object ' || zoid || ' cannot be reached' FROM object_state
 WHERE zoid NOT IN (SELECT zoid FROM reached);

-- a section lists the packages that name it, each once
WITH listed AS MATERIALIZED (
    SELECT s.zoid AS section, newt.ref(r) AS package, count(*) AS times
      FROM newt s, jsonb_array_elements(s.state->'packages') r
     WHERE s.class_name = 'Section' GROUP BY 1, 2
), named AS MATERIALIZED (
    SELECT newt.ref(state->'section') AS section, zoid AS package
      FROM newt WHERE class_name = 'Package'
)
SELECT 'package ' || package || ' names section ' || coalesce(n.section::text, '-') || ', section '
       || coalesce(l.section::text, '-') || ' lists it ' || coalesce(l.times, 0) || ' times'
  FROM listed l FULL JOIN named n USING (package)
 WHERE l.section IS DISTINCT FROM n.section OR l.times <> 1;

-- the archive that is being loaded is as far as it says
SELECT 'archive ' || a.zoid || ' says ' || (a.state->>'phase') || ' ' || (a.state->>'position')
       || ' and has ' || n || ' packages'
  FROM newt a, LATERAL (SELECT coalesce(sum(jsonb_array_length(t.state->'packages')), 0) AS n
                          FROM jsonb_array_elements(a.state->'sections') s
                          JOIN newt t ON t.zoid = newt.ref(s)) c
 WHERE a.class_name = 'Archive'
   AND a.zoid = newt.ref((SELECT state->'items'->'debian.loading' FROM newt WHERE zoid = 1))
   AND a.state->>'phase' IN ('maintainers', 'packages')
   AND n <> CASE a.state->>'phase' WHEN 'packages' THEN (a.state->>'position')::bigint ELSE 0 END;

-- when all is done: one archive, complete, and nothing else
SELECT 'the roots are ' || (state->'items')::text FROM newt
 WHERE zoid = 1 AND :whole = 1
   AND (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(state->'items') k) <> '{debian}';
SELECT 'the archive is ' || (state->>'phase') || ' with ' || (state->>'packages') || ' packages, there are '
       || (SELECT count(*) FROM newt WHERE class_name = 'Package')
  FROM newt
 WHERE class_name = 'Archive' AND :whole = 1
   AND (state->>'phase' <> 'complete'
        OR (state->>'packages')::bigint <> (SELECT count(*) FROM newt WHERE class_name = 'Package'));
