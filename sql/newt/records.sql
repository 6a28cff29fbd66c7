-- ---- records ----------------------------------------------------------------------------------

CREATE FUNCTION newt.to_jsonb(record bytea) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_to_jsonb';
COMMENT ON FUNCTION newt.to_jsonb(bytea) IS 'state of a record as JSONB; null if its class is not projected; an error if it is no record';

CREATE FUNCTION newt.try_to_jsonb(record bytea) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
    AS 'MODULE_PATHNAME', 'newt_pg_try_to_jsonb';
COMMENT ON FUNCTION newt.try_to_jsonb(bytea) IS 'state of a record as JSONB; null if it is no record';

CREATE FUNCTION newt.get(record bytea, VARIADIC path text[]) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_get';
COMMENT ON FUNCTION newt.get(bytea, text[]) IS 'one item of a record as JSONB: newt.to_jsonb(record) #> path';

CREATE FUNCTION newt.get_text(record bytea, VARIADIC path text[]) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_get_text';
COMMENT ON FUNCTION newt.get_text(bytea, text[]) IS 'one item of a record as text: newt.to_jsonb(record) #>> path';

CREATE FUNCTION newt.class_name(record bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_class_name';
COMMENT ON FUNCTION newt.class_name(bytea) IS 'class of a record, from its head';

CREATE FUNCTION newt.try_class_name(record bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_try_class_name';
COMMENT ON FUNCTION newt.try_class_name(bytea) IS 'class of a record, from its head; null if it is no record';

CREATE FUNCTION newt.class_version(record bytea) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_class_version';
COMMENT ON FUNCTION newt.class_version(bytea) IS 'class version of a record, from its head';

CREATE FUNCTION newt.refs(record bytea) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_refs';
COMMENT ON FUNCTION newt.refs(bytea) IS 'oids of all objects that a record refers to, each once, rising; hidden fields included';

CREATE FUNCTION newt.try_refs(record bytea) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_try_refs';
COMMENT ON FUNCTION newt.try_refs(bytea) IS 'oids of all objects that a record refers to, as newt.refs; null if it is no record';

CREATE FUNCTION newt.ref_path(record bytea, zoid bigint) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_ref_path';
COMMENT ON FUNCTION newt.ref_path(bytea, bigint) IS 'where in a record the first reference to an object stands: items[3].owner; null if there is none';

CREATE FUNCTION newt.ref_paths(record bytea, zoids bigint[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_ref_paths';
COMMENT ON FUNCTION newt.ref_paths(bytea, bigint[]) IS 'newt.ref_path for each of several objects, in their order';

CREATE FUNCTION newt.rejects(record bytea, OUT path text[], OUT reason text) RETURNS SETOF record
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 1
    AS 'MODULE_PATHNAME', 'newt_pg_rejects';
COMMENT ON FUNCTION newt.rejects(bytea) IS 'what the JSONB of a record cannot show as it is: path and reason';

CREATE FUNCTION newt.walk(store text, roots bigint[], max_depth bigint DEFAULT 1000000,
                          max_objects bigint DEFAULT 10000, fields text[] DEFAULT '{}',
                          OUT zoid bigint, OUT serial bigint, OUT state bytea) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 200000 ROWS 1000
    AS 'MODULE_PATHNAME', 'newt_pg_walk';
COMMENT ON FUNCTION newt.walk(text, bigint[], bigint, bigint, text[]) IS 'records of a store that are reached from these objects along their references, breadth first';

CREATE FUNCTION newt.route(store text, zoid bigint, roots bigint[] DEFAULT '{1}', max_objects bigint DEFAULT 100000)
    RETURNS bigint[]
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 200000
    AS 'MODULE_PATHNAME', 'newt_pg_route';
COMMENT ON FUNCTION newt.route(text, bigint, bigint[], bigint) IS 'oids on a shortest way from the roots to an object along references, both ends included; null if none was found among so many objects';
