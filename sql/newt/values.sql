-- ---- values of the projection -------------------------------------------------------------------
-- Null for what is not such a value, so it is leakproof, and safe in indexes and views. The keys of a path
-- are those of the document, where a name that begins with two colons has three.

CREATE FUNCTION newt.ts(value text) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_ts_text';
COMMENT ON FUNCTION newt.ts(text) IS 'time as the projection writes it, YYYY-MM-DDTHH:MM:SS.ffffffZ; null for anything else';

CREATE FUNCTION newt.date(value text) RETURNS date
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_date_text';
COMMENT ON FUNCTION newt.date(text) IS 'date as the projection writes it, YYYY-MM-DD; null for anything else';

CREATE FUNCTION newt.duration(microseconds bigint) RETURNS interval
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 1
    AS 'MODULE_PATHNAME', 'newt_pg_duration_int8';
COMMENT ON FUNCTION newt.duration(bigint) IS 'microseconds as an interval';

CREATE FUNCTION newt.ts(value jsonb) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_ts';
COMMENT ON FUNCTION newt.ts(jsonb) IS 'time as the projection writes it, also outside the years 1 to 9999; null for anything else';

CREATE FUNCTION newt.ts(document jsonb, VARIADIC path text[]) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_ts';
COMMENT ON FUNCTION newt.ts(jsonb, text[]) IS 'time as the projection writes it, also outside the years 1 to 9999, where the keys lead; null for anything else';

CREATE FUNCTION newt.ts_array(document jsonb, VARIADIC path text[]) RETURNS timestamptz[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_ts_array';
COMMENT ON FUNCTION newt.ts_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.ts reads it; null for anything else';

CREATE FUNCTION newt.date(value jsonb) RETURNS date
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_date';
COMMENT ON FUNCTION newt.date(jsonb) IS 'date as the projection writes it, also outside the years 1 to 9999; null for anything else';

CREATE FUNCTION newt.date(document jsonb, VARIADIC path text[]) RETURNS date
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_date';
COMMENT ON FUNCTION newt.date(jsonb, text[]) IS 'date as the projection writes it, also outside the years 1 to 9999, where the keys lead; null for anything else';

CREATE FUNCTION newt.date_array(document jsonb, VARIADIC path text[]) RETURNS date[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_date_array';
COMMENT ON FUNCTION newt.date_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.date reads it; null for anything else';

CREATE FUNCTION newt.duration(value jsonb) RETURNS interval
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_duration';
COMMENT ON FUNCTION newt.duration(jsonb) IS 'duration as the projection writes it; null for anything else';

CREATE FUNCTION newt.duration(document jsonb, VARIADIC path text[]) RETURNS interval
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_duration';
COMMENT ON FUNCTION newt.duration(jsonb, text[]) IS 'duration as the projection writes it, where the keys lead; null for anything else';

CREATE FUNCTION newt.duration_array(document jsonb, VARIADIC path text[]) RETURNS interval[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_duration_array';
COMMENT ON FUNCTION newt.duration_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.duration reads it; null for anything else';

CREATE FUNCTION newt.ref(value jsonb) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_ref';
COMMENT ON FUNCTION newt.ref(jsonb) IS 'oid of a persistent reference {"::=>": oid} or {"::~>": oid}; null for anything else';

CREATE FUNCTION newt.ref(document jsonb, VARIADIC path text[]) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_ref';
COMMENT ON FUNCTION newt.ref(jsonb, text[]) IS 'oid of a persistent reference {"::=>": oid} or {"::~>": oid}, where the keys lead; null for anything else';

CREATE FUNCTION newt.ref_array(document jsonb, VARIADIC path text[]) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_ref_array';
COMMENT ON FUNCTION newt.ref_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.ref reads it; null for anything else';

CREATE FUNCTION newt.int8(value jsonb) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_int8';
COMMENT ON FUNCTION newt.int8(jsonb) IS 'integer that the type can hold; null for anything else';

CREATE FUNCTION newt.int8(document jsonb, VARIADIC path text[]) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_int8';
COMMENT ON FUNCTION newt.int8(jsonb, text[]) IS 'integer that the type can hold, where the keys lead; null for anything else';

CREATE FUNCTION newt.int8_array(document jsonb, VARIADIC path text[]) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_int8_array';
COMMENT ON FUNCTION newt.int8_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.int8 reads it; null for anything else';

CREATE FUNCTION newt.float8(value jsonb) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_float8';
COMMENT ON FUNCTION newt.float8(jsonb) IS 'number, "NaN", "Infinity" or "-Infinity"; null for anything else';

CREATE FUNCTION newt.float8(document jsonb, VARIADIC path text[]) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_float8';
COMMENT ON FUNCTION newt.float8(jsonb, text[]) IS 'number, "NaN", "Infinity" or "-Infinity", where the keys lead; null for anything else';

CREATE FUNCTION newt.float8_array(document jsonb, VARIADIC path text[]) RETURNS double precision[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_float8_array';
COMMENT ON FUNCTION newt.float8_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.float8 reads it; null for anything else';

CREATE FUNCTION newt.numeric(value jsonb) RETURNS numeric
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_numeric';
COMMENT ON FUNCTION newt.numeric(jsonb) IS 'number, also as {"::num": ...} if the type can hold it; null for anything else';

CREATE FUNCTION newt.numeric(document jsonb, VARIADIC path text[]) RETURNS numeric
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_numeric';
COMMENT ON FUNCTION newt.numeric(jsonb, text[]) IS 'number, also as {"::num": ...} if the type can hold it, where the keys lead; null for anything else';

CREATE FUNCTION newt.numeric_array(document jsonb, VARIADIC path text[]) RETURNS numeric[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_numeric_array';
COMMENT ON FUNCTION newt.numeric_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.numeric reads it; null for anything else';

CREATE FUNCTION newt.bool(value jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_bool';
COMMENT ON FUNCTION newt.bool(jsonb) IS 'true or false; null for anything else';

CREATE FUNCTION newt.bool(document jsonb, VARIADIC path text[]) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_bool';
COMMENT ON FUNCTION newt.bool(jsonb, text[]) IS 'true or false, where the keys lead; null for anything else';

CREATE FUNCTION newt.bool_array(document jsonb, VARIADIC path text[]) RETURNS boolean[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_bool_array';
COMMENT ON FUNCTION newt.bool_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.bool reads it; null for anything else';

CREATE FUNCTION newt.uuid(value jsonb) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_uuid';
COMMENT ON FUNCTION newt.uuid(jsonb) IS 'UUID as the projection writes it; null for anything else';

CREATE FUNCTION newt.uuid(document jsonb, VARIADIC path text[]) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_uuid';
COMMENT ON FUNCTION newt.uuid(jsonb, text[]) IS 'UUID as the projection writes it, where the keys lead; null for anything else';

CREATE FUNCTION newt.uuid_array(document jsonb, VARIADIC path text[]) RETURNS uuid[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_uuid_array';
COMMENT ON FUNCTION newt.uuid_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.uuid reads it; null for anything else';

CREATE FUNCTION newt.string(value jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_string';
COMMENT ON FUNCTION newt.string(jsonb) IS 'text; of text that is shown only in part, what is shown; null for anything else';

CREATE FUNCTION newt.string(document jsonb, VARIADIC path text[]) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_string';
COMMENT ON FUNCTION newt.string(jsonb, text[]) IS 'text; of text that is shown only in part, what is shown, where the keys lead; null for anything else';

CREATE FUNCTION newt.string_array(document jsonb, VARIADIC path text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_string_array';
COMMENT ON FUNCTION newt.string_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.string reads it; null for anything else';

CREATE FUNCTION newt.bytes(value jsonb) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 5
    AS 'MODULE_PATHNAME', 'newt_pg_bytes';
COMMENT ON FUNCTION newt.bytes(jsonb) IS 'bytes, of which the projection has no more than 256; null for anything else';

CREATE FUNCTION newt.bytes(document jsonb, VARIADIC path text[]) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_bytes';
COMMENT ON FUNCTION newt.bytes(jsonb, text[]) IS 'bytes, of which the projection has no more than 256, where the keys lead; null for anything else';

CREATE FUNCTION newt.bytes_array(document jsonb, VARIADIC path text[]) RETURNS bytea[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_bytes_array';
COMMENT ON FUNCTION newt.bytes_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.bytes reads it; null for anything else';

CREATE FUNCTION newt.json(document jsonb, VARIADIC path text[]) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 15
    AS 'MODULE_PATHNAME', 'newt_pg_json';
COMMENT ON FUNCTION newt.json(jsonb, text[]) IS 'value of any kind, where the keys lead; null for anything else';

CREATE FUNCTION newt.json_array(document jsonb, VARIADIC path text[]) RETURNS jsonb[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 50
    AS 'MODULE_PATHNAME', 'newt_pg_json_array';
COMMENT ON FUNCTION newt.json_array(jsonb, text[]) IS 'array where the keys lead, each item as newt.json reads it; null for anything else';

CREATE FUNCTION newt.items(document jsonb, VARIADIC path text[]) RETURNS TABLE (n integer, item jsonb)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 200 ROWS 5
    AS 'MODULE_PATHNAME', 'newt_pg_items';
COMMENT ON FUNCTION newt.items(jsonb, text[]) IS 'items of the array where the keys lead, counted from 1; none for anything else';

CREATE FUNCTION newt.entries(document jsonb, VARIADIC path text[]) RETURNS TABLE (key text, value jsonb)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 200 ROWS 5
    AS 'MODULE_PATHNAME', 'newt_pg_entries';
COMMENT ON FUNCTION newt.entries(jsonb, text[]) IS 'names and values of the object where the keys lead, but for what the projection added; none for anything else';
