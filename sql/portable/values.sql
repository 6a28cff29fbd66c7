-- ---- values of the projection ---------------------------------------------------------------------
-- Null for what is not such a value, and never an error. No cast that depends on a setting is used.

CREATE FUNCTION newt.only(value jsonb, key text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN CASE WHEN value ? key AND jsonb_typeof(value) = 'object' AND value - key = '{}' THEN value->key END;
END
$newt_body$;
COMMENT ON FUNCTION newt.only(jsonb, text) IS 'the value of an object''s only key, if it is this; portable edition';

-- Keys lead through objects alone.
CREATE FUNCTION newt.at_path(document jsonb, path text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    key text;
BEGIN
    FOREACH key IN ARRAY path LOOP
        document := document->key;
    END LOOP;
    RETURN document;
END
$newt_body$;
COMMENT ON FUNCTION newt.at_path(jsonb, text[]) IS 'value of a document where the keys lead; portable edition';

CREATE FUNCTION newt.ts(value text) RETURNS timestamptz
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    day date;
BEGIN
    IF value ~ '^.{10}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{6}Z$' THEN
        day := newt.date(left(value, 10));
        RETURN timezone('UTC', day + make_time(substr(value, 12, 2)::integer, substr(value, 15, 2)::integer, 0)
                               + substr(value, 18, 2)::integer * '1 second'::interval + substr(value, 21, 6)::integer * '1 microsecond'::interval);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.date(value text) RETURNS date
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    year integer;
    month integer;
    day integer;
BEGIN
    IF value ~ '^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$' THEN
        year := left(value, 4);
        month := substr(value, 6, 2);
        day := right(value, 2);
        IF year > 0 AND (day < 29 OR day <= CASE WHEN month IN (4, 6, 9, 11) THEN 30 WHEN month <> 2 THEN 31
                                                 WHEN year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0) THEN 29 ELSE 28 END) THEN
            RETURN make_date(year, month, day);
        END IF;
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.duration(microseconds bigint) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    -- by parts, since an interval is multiplied as a double
    RETURN microseconds / 3600000000 * '1 hour'::interval + microseconds % 3600000000 * '1 microsecond'::interval;
END
$newt_body$;

CREATE FUNCTION newt.ts(value jsonb) RETURNS timestamptz
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    us numeric;
BEGIN
    IF jsonb_typeof(value) = 'string' THEN
        RETURN newt.ts(value #>> '{}');
    END IF;
    us := newt.int8(newt.only(value, '::us'));
    -- from 4713 BC to 294276
    IF us >= -210866803200000000 AND us < 9224318016000000000 THEN
        RETURN timezone('UTC', '1970-01-01'::timestamp + div(us, 86400000000)::integer * '1 day'::interval + us % 86400000000 * '1 microsecond'::interval);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.ts(document jsonb, VARIADIC path text[]) RETURNS timestamptz
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.ts(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.ts_array(document jsonb, VARIADIC path text[]) RETURNS timestamptz[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.ts(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.date(value jsonb) RETURNS date
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    days bigint;
BEGIN
    IF jsonb_typeof(value) = 'string' THEN
        RETURN newt.date(value #>> '{}');
    END IF;
    days := newt.int8(newt.only(value, '::days'));
    IF days >= -2440588 AND days < 2145042906 THEN
        RETURN '1970-01-01'::date + days::integer;
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.date(document jsonb, VARIADIC path text[]) RETURNS date
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.date(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.date_array(document jsonb, VARIADIC path text[]) RETURNS date[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.date(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.duration(value jsonb) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.duration(newt.int8(value));
END
$newt_body$;

CREATE FUNCTION newt.duration(document jsonb, VARIADIC path text[]) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.duration(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.duration_array(document jsonb, VARIADIC path text[]) RETURNS interval[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.duration(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.ref(value jsonb) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.int8(coalesce(newt.only(value, '::=>'), newt.only(value, '::~>')));
END
$newt_body$;

CREATE FUNCTION newt.ref(document jsonb, VARIADIC path text[]) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.ref(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.ref_array(document jsonb, VARIADIC path text[]) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.ref(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.int8(value jsonb) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    number numeric;
BEGIN
    IF jsonb_typeof(value) = 'number' THEN
        number := value;
        IF number BETWEEN -9223372036854775808 AND 9223372036854775807 AND number = trunc(number) THEN
            RETURN number;
        END IF;
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.int8(document jsonb, VARIADIC path text[]) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.int8(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.int8_array(document jsonb, VARIADIC path text[]) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.int8(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.float8(value jsonb) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    -- 2^1024 - 2^970: what rounds to infinity
    too_large CONSTANT numeric := 179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792;
    number numeric;
BEGIN
    CASE jsonb_typeof(value)
    WHEN 'number' THEN
        number := value;
        IF abs(number) < 2.4703282292062328e-324 THEN
            RETURN 0;
        ELSIF abs(number) < too_large THEN
            RETURN number;
        END IF;
    WHEN 'string' THEN
        IF value #>> '{}' IN ('NaN', 'Infinity', '-Infinity') THEN
            RETURN value #>> '{}';
        END IF;
    ELSE
    END CASE;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.float8(document jsonb, VARIADIC path text[]) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.float8(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.float8_array(document jsonb, VARIADIC path text[]) RETURNS double precision[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.float8(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.numeric(value jsonb) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    shown text;
    parts text[];
BEGIN
    IF jsonb_typeof(value) = 'number' THEN
        RETURN value;
    ELSIF jsonb_typeof(value) = 'string' AND value #>> '{}' IN ('NaN', 'Infinity', '-Infinity') THEN
        RETURN value #>> '{}';
    ELSIF jsonb_typeof(newt.only(value, '::num')) = 'string' THEN
        shown := value->>'::num';
        parts := regexp_match(shown, '^-?([0-9]+)(?:[.]([0-9]*))?E([+-][0-9]{1,18})$');
        IF length(parts[1]) <= 30000 AND length(coalesce(parts[2], '')) <= 1000 AND parts[3]::bigint BETWEEN -15000 AND 100000 THEN
            RETURN shown;
        END IF;
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.numeric(document jsonb, VARIADIC path text[]) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.numeric(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.numeric_array(document jsonb, VARIADIC path text[]) RETURNS numeric[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.numeric(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.bool(value jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN CASE WHEN jsonb_typeof(value) = 'boolean' THEN value::boolean END;
END
$newt_body$;

CREATE FUNCTION newt.bool(document jsonb, VARIADIC path text[]) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.bool(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.bool_array(document jsonb, VARIADIC path text[]) RETURNS boolean[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.bool(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.uuid(value jsonb) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN CASE WHEN jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (value #>> '{}')::uuid END;
END
$newt_body$;

CREATE FUNCTION newt.uuid(document jsonb, VARIADIC path text[]) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.uuid(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.uuid_array(document jsonb, VARIADIC path text[]) RETURNS uuid[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.uuid(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.string(value jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN CASE jsonb_typeof(coalesce(value->'::text', value)) WHEN 'string' THEN coalesce(value->'::text', value) #>> '{}' END;
END
$newt_body$;

CREATE FUNCTION newt.string(document jsonb, VARIADIC path text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.string(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.string_array(document jsonb, VARIADIC path text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.string(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.bytes(value jsonb) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    shown text;
BEGIN
    IF jsonb_typeof(newt.only(value, '::b64')) = 'string' THEN
        shown := value->>'::b64';
        IF shown ~ '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' THEN
            RETURN decode(shown, 'base64');
        END IF;
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.bytes(document jsonb, VARIADIC path text[]) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN newt.bytes(newt.at_path(document, path));
END
$newt_body$;

CREATE FUNCTION newt.bytes_array(document jsonb, VARIADIC path text[]) RETURNS bytea[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT newt.bytes(e.item) FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.json(document jsonb, VARIADIC path text[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 15
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
BEGIN
    RETURN nullif(newt.at_path(document, path), 'null');
END
$newt_body$;

CREATE FUNCTION newt.json_array(document jsonb, VARIADIC path text[]) RETURNS jsonb[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 50
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    items jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(items) = 'array' THEN
        RETURN ARRAY(SELECT nullif(e.item, 'null') FROM jsonb_array_elements(items) WITH ORDINALITY e (item, n) ORDER BY e.n);
    END IF;
    RETURN NULL;
END
$newt_body$;

CREATE FUNCTION newt.items(document jsonb, VARIADIC path text[]) RETURNS TABLE (n integer, item jsonb)
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    found jsonb := newt.at_path(document, path);
BEGIN
    IF jsonb_typeof(found) = 'array' THEN
        RETURN QUERY SELECT e.n::integer, nullif(e.item, 'null') FROM jsonb_array_elements(found) WITH ORDINALITY e (item, n) ORDER BY e.n;
    END IF;
END
$newt_body$;

-- A map with a key that is no text is shown as pairs: of such a key it is what JSON has.
CREATE FUNCTION newt.entries(document jsonb, VARIADIC path text[]) RETURNS TABLE (key text, value jsonb)
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 200 ROWS 5
    SET search_path = pg_catalog, pg_temp
    AS $newt_body$
DECLARE
    found jsonb := newt.at_path(document, path);
BEGIN
    CASE jsonb_typeof(found)
    WHEN 'object' THEN
        RETURN QUERY
        SELECT CASE WHEN left(e.name, 2) = '::' THEN substr(e.name, 2) ELSE e.name END, nullif(e.item, 'null')
          FROM jsonb_each(found) WITH ORDINALITY e (name, item, n) WHERE left(e.name, 2) <> '::' OR left(e.name, 3) = ':::' ORDER BY e.n;
    WHEN 'array' THEN
        RETURN QUERY
        SELECT CASE jsonb_typeof(e.pair->'k') WHEN 'string' THEN e.pair->>'k' ELSE (e.pair->'k')::text END, nullif(e.pair->'v', 'null')
          FROM jsonb_array_elements(found) WITH ORDINALITY e (pair, n)
         WHERE jsonb_typeof(e.pair->'k') IN ('string', 'object') AND e.pair ? 'v' ORDER BY e.n;
    ELSE
    END CASE;
END
$newt_body$;
