-- ---- values of the projection -------------------------------------------------------------------
-- Null for what is not such a value, so it is leakproof, and safe in indexes and views.

CREATE FUNCTION newt.ts(value text) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_ts_text';
COMMENT ON FUNCTION newt.ts(text) IS 'time as the projection writes it, YYYY-MM-DDTHH:MM:SS.ffffffZ; null for anything else';

CREATE FUNCTION newt.ts(value jsonb) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_ts_jsonb';
COMMENT ON FUNCTION newt.ts(jsonb) IS 'time as the projection writes it, also outside the years 1 to 9999; null for anything else';

CREATE FUNCTION newt.date(value text) RETURNS date
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_date_text';
COMMENT ON FUNCTION newt.date(text) IS 'date as the projection writes it, YYYY-MM-DD; null for anything else';

CREATE FUNCTION newt.date(value jsonb) RETURNS date
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_date_jsonb';
COMMENT ON FUNCTION newt.date(jsonb) IS 'date as the projection writes it, also outside the years 1 to 9999; null for anything else';

CREATE FUNCTION newt.duration(microseconds bigint) RETURNS interval
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
    AS 'MODULE_PATHNAME', 'newt_pg_duration_int8';
COMMENT ON FUNCTION newt.duration(bigint) IS 'microseconds as an interval';

CREATE FUNCTION newt.duration(value jsonb) RETURNS interval
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_duration_jsonb';
COMMENT ON FUNCTION newt.duration(jsonb) IS 'duration as the projection writes it; null for anything else';

CREATE FUNCTION newt.ref(value jsonb) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_ref';
COMMENT ON FUNCTION newt.ref(jsonb) IS 'oid of a persistent reference {"::=>": oid}; null for anything else';

CREATE FUNCTION newt.int8(value jsonb) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_int8';
COMMENT ON FUNCTION newt.int8(jsonb) IS 'integer; null for anything else, and for one beyond the type';

CREATE FUNCTION newt.float8(value jsonb) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_float8';
COMMENT ON FUNCTION newt.float8(jsonb) IS 'number, "NaN", "Infinity" or "-Infinity"; null for anything else';

CREATE FUNCTION newt.numeric(value jsonb) RETURNS numeric
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 10
    AS 'MODULE_PATHNAME', 'newt_pg_numeric';
COMMENT ON FUNCTION newt.numeric(jsonb) IS 'number, also as {"::num": ...} if the type can hold it; null for anything else';

CREATE FUNCTION newt.bool(value jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_bool';
COMMENT ON FUNCTION newt.bool(jsonb) IS 'true or false; null for anything else';

CREATE FUNCTION newt.uuid(value jsonb) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_uuid';
COMMENT ON FUNCTION newt.uuid(jsonb) IS 'UUID as the projection writes it; null for anything else';
