-- ---- derived columns -----------------------------------------------------------------------------

-- PL/pgSQL cannot look into tables without a statement of SQL: there it is null.
CREATE FUNCTION newt.derived_affected(objects regclass, dependencies regclass, rows regclass, columns text[], derived integer, class_names text[], changed bigint[]) RETURNS bigint[]
    LANGUAGE sql STABLE STRICT PARALLEL SAFE COST 100
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
SELECT NULL::bigint[]
$newt_body$;
