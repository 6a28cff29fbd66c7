-- ---- trees ------------------------------------------------------------------------------------------
-- newt.btree_items and newt.btree_refs are one query each, neither strict nor with settings, so that the planner
-- takes them into the query around them: a limit then ends the reading. Their names are resolved now, not when they are called.

CREATE FUNCTION newt.btree_rows(store text, zoid bigint, from_key jsonb DEFAULT NULL, to_key jsonb DEFAULT NULL,
                                after_from boolean DEFAULT false, before_to boolean DEFAULT false, descending boolean DEFAULT false,
                                OUT key jsonb, OUT value jsonb) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 200 ROWS 1000
    AS 'MODULE_PATHNAME', 'newt_pg_btree_rows';
COMMENT ON FUNCTION newt.btree_rows(text, bigint, jsonb, jsonb, boolean, boolean, boolean) IS 'entries of a tree as newt.btree_items gives them, which calls it in a target list';

CREATE FUNCTION newt.btree_items(store text, zoid bigint, from_key jsonb DEFAULT NULL, to_key jsonb DEFAULT NULL,
                                 after_from boolean DEFAULT false, before_to boolean DEFAULT false, descending boolean DEFAULT false)
    RETURNS TABLE (key jsonb, value jsonb)
    LANGUAGE sql STABLE PARALLEL RESTRICTED COST 200 ROWS 1000
    BEGIN ATOMIC
        SELECT (r.entry).key, (r.entry).value FROM (SELECT newt.btree_rows(store, zoid, from_key, to_key, after_from, before_to, descending) AS entry) r;
    END;
COMMENT ON FUNCTION newt.btree_items(text, bigint, jsonb, jsonb, boolean, boolean, boolean) IS 'entries of a tree in the order of their keys, from one key to another, of a set with null values; read as far as they are wanted';

CREATE FUNCTION newt.btree_refs(store text, zoid bigint, from_key jsonb DEFAULT NULL, to_key jsonb DEFAULT NULL,
                                after_from boolean DEFAULT false, before_to boolean DEFAULT false, descending boolean DEFAULT false)
    RETURNS TABLE (key jsonb, value_id bigint)
    LANGUAGE sql STABLE PARALLEL RESTRICTED COST 200 ROWS 1000
    BEGIN ATOMIC
        SELECT (r.entry).key, newt.ref((r.entry).value) FROM (SELECT newt.btree_rows(store, zoid, from_key, to_key, after_from, before_to, descending) AS entry) r;
    END;
COMMENT ON FUNCTION newt.btree_refs(text, bigint, jsonb, jsonb, boolean, boolean, boolean) IS 'entries of a tree as newt.btree_items gives them, with the ids of the objects that the values refer to';

CREATE FUNCTION newt.btree_get(store text, zoid bigint, key jsonb) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 5000
    AS 'MODULE_PATHNAME', 'newt_pg_btree_get';
COMMENT ON FUNCTION newt.btree_get(text, bigint, jsonb) IS 'value that a tree has for a key, of a set true; null if the key is not there';

CREATE FUNCTION newt.btree_length(store text, zoid bigint) RETURNS bigint
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 5000
    AS 'MODULE_PATHNAME', 'newt_pg_btree_length';
COMMENT ON FUNCTION newt.btree_length(text, bigint) IS 'number of entries of a tree: by its counters, or where it has none by reading its leaves; null if there is no such object';
