-- ---- the writer ---------------------------------------------------------------------------------
-- What codec/write.c and extension/value.c do, in PL/pgSQL: values as bytes of a record. Each gives the bytes of one item,
-- or raises. who is the object and place the field, for messages; depth counts the containers that are open.

CREATE FUNCTION newt.refuse(who text, place text, state text, what text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    said text := CASE WHEN place = '' THEN '' ELSE 'field "' || place || '" of ' END || who || ' ' || what;
BEGIN
    IF detail IS NULL AND hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = said;
    ELSIF hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = said, DETAIL = detail;
    ELSIF detail IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = said, HINT = hint;
    END IF;
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = said, DETAIL = detail, HINT = hint;
END
$newt_body$;
COMMENT ON FUNCTION newt.refuse(text, text, text, text, text, text) IS 'raises an error about a field of an object; portable edition';

-- What the codec refuses to write.
CREATE FUNCTION newt.refuse_item(who text, place text, code text, reason text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    PERFORM newt.refuse(who, place, CASE code WHEN 'limit' THEN '54000' ELSE '22023' END, 'cannot be recorded', 'In its record, ' || reason || '.', NULL);
END
$newt_body$;
COMMENT ON FUNCTION newt.refuse_item(text, text, text, text) IS 'raises the error that an item cannot be written; portable edition';

-- A container is opened.
CREATE FUNCTION newt.check_depth(who text, place text, depth integer) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
BEGIN
    IF depth >= 500 THEN
        PERFORM newt.refuse_item(who, place, 'limit', 'nesting is too deep');
    END IF;
END
$newt_body$;
COMMENT ON FUNCTION newt.check_depth(text, text, integer) IS 'raises an error where an item would be nested too deep; portable edition';

-- As many characters as have 60 bytes.
CREATE FUNCTION newt.clipped(s text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    part text := left(s, 60);
BEGIN
    WHILE octet_length(part) > 60 LOOP
        part := left(part, -1);
    END LOOP;
    RETURN part;
END
$newt_body$;
COMMENT ON FUNCTION newt.clipped(text) IS 'the beginning of a text, for messages; portable edition';

CREATE FUNCTION newt.shown(v jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    s text := v #>> '{}';
BEGIN
    RETURN CASE jsonb_typeof(v)
        WHEN 'string' THEN '"' || newt.clipped(s) || CASE WHEN octet_length(s) > 60 THEN '...' ELSE '' END || '"'
        WHEN 'number' THEN newt.clipped(s) || CASE WHEN length(s) > 60 THEN '...' ELSE '' END
        WHEN 'array' THEN 'an array' WHEN 'object' THEN 'an object' ELSE v::text END;
END
$newt_body$;
COMMENT ON FUNCTION newt.shown(jsonb) IS 'a JSON value in a few words; portable edition';

-- Steps on the way to a value: once it is long, it is cut.
CREATE FUNCTION newt.place_of(up text, name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE WHEN octet_length(up) > 200 THEN up WHEN up = '' THEN name ELSE up || '.' || name END;
END
$newt_body$;
COMMENT ON FUNCTION newt.place_of(text, text) IS 'the place of a field in a struct, for messages; portable edition';

CREATE FUNCTION newt.place_of_key(up text, key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE WHEN octet_length(up) > 200 THEN up ELSE up || '["' || newt.clipped(key) || '"]' END;
END
$newt_body$;
COMMENT ON FUNCTION newt.place_of_key(text, text) IS 'the place of an entry in a map, for messages; portable edition';

CREATE FUNCTION newt.place_of_item(up text, n bigint) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE WHEN octet_length(up) > 200 THEN up ELSE up || '[' || n || ']' END;
END
$newt_body$;
COMMENT ON FUNCTION newt.place_of_item(text, bigint) IS 'the place of an item in a list, for messages; portable edition';

-- ---- heads, numbers, texts ------------------------------------------------------------------------

CREATE FUNCTION newt.write_head(major integer, u bigint) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    kind integer := major << 5;
BEGIN
    RETURN CASE WHEN u < 24 THEN substring(int4send(kind | u::integer) FROM 4)
                WHEN u < 256 THEN substring(int4send((kind | 24) << 8 | u::integer) FROM 3)
                WHEN u < 65536 THEN substring(int4send((kind | 25) << 16 | u::integer) FROM 2)
                WHEN u < 4294967296 THEN substring(int8send((kind | 26)::bigint << 32 | u) FROM 4)
                ELSE substring(int4send(kind | 27) FROM 4) || int8send(u) END;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_head(integer, bigint) IS 'the head of an item of a record, in its shortest form; portable edition';

-- A number that is not negative as big-endian bytes.
CREATE FUNCTION newt.bytes_of(number numeric) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    base CONSTANT numeric := 72057594037927936; -- 2^56
    rest numeric;
    pieces text[] := '{}';
    n integer := 0;
    hex text;
BEGIN
    WHILE number > 0 LOOP
        rest := div(number, base);
        n := n + 1;
        pieces[n] := lpad(to_hex((number - rest * base)::bigint), 14, '0');
        number := rest;
    END LOOP;
    hex := ltrim((SELECT string_agg(p.piece, '' ORDER BY p.n DESC) FROM unnest(pieces) WITH ORDINALITY p (piece, n)), '0');
    RETURN decode(CASE length(hex) % 2 WHEN 1 THEN '0' || hex ELSE coalesce(hex, '') END, 'hex');
END
$newt_body$;
COMMENT ON FUNCTION newt.bytes_of(numeric) IS 'a number as big-endian bytes; portable edition';

-- An integer of any size.
CREATE FUNCTION newt.write_integer(number numeric) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    major integer := (number < 0)::integer;
    u numeric := CASE WHEN number < 0 THEN -1 - number ELSE number END;
    magnitude bytea;
BEGIN
    IF u <= 9223372036854775807 THEN
        RETURN newt.write_head(major, u::bigint);
    ELSIF u <= 18446744073709551615 THEN
        RETURN CASE major WHEN 0 THEN '\x1b'::bytea ELSE '\x3b' END || int8send((u - 18446744073709551616)::bigint);
    END IF;
    magnitude := newt.bytes_of(u);
    RETURN CASE major WHEN 0 THEN '\xc2'::bytea ELSE '\xc3' END || newt.write_head(2, octet_length(magnitude)) || magnitude;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_integer(numeric) IS 'an integer or bignum of a record; portable edition';

-- A decimal by its text, with its scale. numeric holds 131,072 digits; the record could hold some more.
CREATE FUNCTION newt.write_decimal(number text, OUT item bytea, OUT code text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    mantissa text := split_part(lower(number), 'e', 1);
    tail text := ltrim(split_part(lower(number), 'e', 2), '+');
    digits text;
    exponent numeric;
BEGIN
    IF number !~ '^[-+]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][-+]?[0-9]+)?$' THEN
        code := 'malformed';
        RETURN;
    END IF;
    digits := ltrim(replace(mantissa, '.', ''), '-+0');
    tail := CASE WHEN tail LIKE '-%' THEN '-' ELSE '' END || coalesce(nullif(ltrim(tail, '-0'), ''), '0');
    IF length(tail) > 20 OR length(digits) > 131072 THEN
        code := 'limit';
        RETURN;
    END IF;
    exponent := tail::numeric - length(split_part(mantissa, '.', 2));
    IF exponent NOT BETWEEN -2147483648 AND 2147483647 THEN
        code := 'limit';
        RETURN;
    END IF;
    item := '\xc482'::bytea || newt.write_integer(exponent)
            || newt.write_integer((CASE WHEN mantissa LIKE '-%' AND digits <> '' THEN '-' ELSE '' END || coalesce(nullif(digits, ''), '0'))::numeric);
END
$newt_body$;
COMMENT ON FUNCTION newt.write_decimal(text) IS 'a decimal of a record by its text, or what is wrong with it; portable edition';

-- A number in a value of any shape: with a point it is a double if that is shown the same, and else a decimal.
CREATE FUNCTION newt.write_number(number text) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    bits bytea;
BEGIN
    IF position('.' IN number) = 0 THEN
        RETURN newt.write_integer(number::numeric);
    ELSIF length(ltrim(replace(number, '.', ''), '-0')) BETWEEN 1 AND 18 AND length(split_part(number, '.', 2)) <= 292 THEN
        bits := float8send(number::double precision);
        IF newt.float_text(('x' || encode(bits, 'hex'))::bit(64)::bigint, false)::numeric::text = number THEN
            RETURN '\xfb'::bytea || bits;
        END IF;
    END IF;
    RETURN (newt.write_decimal(number)).item;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_number(text) IS 'a number of JSON as an item of a record; portable edition';

CREATE FUNCTION newt.write_text(s bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN CASE newt.utf8_valid(s) WHEN octet_length(s) THEN newt.write_head(3, octet_length(s)) ELSE '\xd99602'::bytea || newt.write_head(2, octet_length(s)) END || s;
END
$newt_body$;
COMMENT ON FUNCTION newt.write_text(bytea) IS 'a text of a record, also one that is not UTF-8; portable edition';

CREATE FUNCTION newt.write_text(s text) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
BEGIN
    RETURN newt.write_head(3, octet_length(s)) || convert_to(s, 'UTF8');
END
$newt_body$;
COMMENT ON FUNCTION newt.write_text(text) IS 'a text of a record; portable edition';

-- A time (1001) or duration (1002).
CREATE FUNCTION newt.write_microseconds(tag integer, us bigint) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    rest bigint := (us % 1000000 + 1000000) % 1000000;
BEGIN
    RETURN newt.write_head(6, tag) || '\xa201' || newt.write_integer(us / 1000000 - (us % 1000000 < 0)::integer) || '\x25' || newt.write_head(0, rest);
END
$newt_body$;
COMMENT ON FUNCTION newt.write_microseconds(integer, bigint) IS 'a time or duration of a record; portable edition';

-- {"::b64": ..., "::text": ...}, or without the text: the bytes, or null if it is none.
CREATE FUNCTION newt.base64_of(v jsonb, with_text boolean, who text, place text) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    b64 text := v->>'::b64';
    s bytea;
BEGIN
    IF jsonb_typeof(v) <> 'object' THEN
        RETURN NULL;
    ELSIF v ? '::bin' THEN
        PERFORM newt.refuse(who, place, '22023', 'is given as {"::bin": ...}, which is only its length', 'The projection shows no more than 256 bytes.',
                            'Leave it out of the patch to keep it, or give all of it as {"::b64": base64}.');
    ELSIF coalesce(jsonb_typeof(v->'::b64'), '') <> 'string' OR v - '::b64' - '::text' <> '{}' OR v ? '::text' AND NOT with_text THEN
        RETURN NULL;
    END IF;
    IF length(b64) % 4 = 0 AND b64 ~ '^[A-Za-z0-9+/]*={0,2}$' THEN
        s := decode(b64, 'base64');
    END IF;
    IF s IS NULL OR replace(encode(s, 'base64'), E'\n', '') <> b64 THEN
        PERFORM newt.refuse(who, place, '22023', 'is no base64', 'It has no blanks, and ends with its padding.', NULL);
    ELSIF v ? '::text' AND v->'::text' <> to_jsonb(newt.utf8_lossy(s)) THEN
        PERFORM newt.refuse(who, place, '22023', 'has a "::text" that is not that of its "::b64"', 'The bytes are the value; the text is what can be read of them.',
                            'Change the bytes, and leave the text out.');
    END IF;
    RETURN s;
END
$newt_body$;
COMMENT ON FUNCTION newt.base64_of(jsonb, boolean, text, text) IS 'the bytes of a value that is given as base64; portable edition';

-- The digits of an integer; null: it is none. 1.0 is 1; a default may be {"::num": "1"}.
CREATE FUNCTION newt.integer_of(v jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    num jsonb;
    shown text := v #>> '{}';
BEGIN
    IF jsonb_typeof(v) = 'number' THEN
        RETURN CASE WHEN position('.' IN shown) = 0 THEN shown WHEN shown ~ '[.]0*$' THEN split_part(shown, '.', 1) END;
    END IF;
    num := newt.only(v, '::num');
    RETURN CASE WHEN jsonb_typeof(num) = 'string' AND num #>> '{}' ~ '^-?[0-9]+$' THEN num #>> '{}' END;
END
$newt_body$;
COMMENT ON FUNCTION newt.integer_of(jsonb) IS 'the digits of an integer that a document gives; portable edition';

-- The same within a range, of a number alone; null: it is beyond.
CREATE FUNCTION newt.integer_within(v jsonb, low bigint, high bigint) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $newt_body$
DECLARE
    digits text := CASE jsonb_typeof(v) WHEN 'number' THEN newt.integer_of(v) END;
BEGIN
    RETURN CASE WHEN length(digits) <= 20 AND digits::numeric BETWEEN low AND high THEN digits::bigint END;
END
$newt_body$;
COMMENT ON FUNCTION newt.integer_within(jsonb, bigint, bigint) IS 'an integer that a document gives as a number; portable edition';

-- ---- values of the kinds that fields have, but for json and structs -------------------------------------
-- t says which kind: a field of newt.class_table(), or the key of one. Null has been looked for.

CREATE FUNCTION newt.write_scalar(t jsonb, v jsonb, who text, place text, depth integer) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    kind text := t->>'kind';
    bits integer := t->'bits';
    given text := jsonb_typeof(v);
    shown text := v #>> '{}';
    time_parts text[];
    of_range jsonb;        -- what is out of range
    digits text;
    number numeric;
    n bigint;
    inner_value jsonb;
    s bytea;
    d record;
BEGIN
    CASE kind
    WHEN 'bool' THEN
        IF given = 'boolean' THEN
            RETURN CASE WHEN v = 'true' THEN '\xf5'::bytea ELSE '\xf4' END;
        END IF;
    WHEN 'int', 'uint' THEN
        digits := newt.integer_of(v);
        IF digits IS NOT NULL THEN
            -- a sign makes -0 no uint
            number := CASE WHEN length(ltrim(digits, '-0')) <= 20 THEN digits::numeric END;
            IF kind = 'int' AND number BETWEEN -(2::numeric ^ (bits - 1)) AND 2::numeric ^ (bits - 1) - 1
               OR kind = 'uint' AND digits NOT LIKE '-%' AND number < 2::numeric ^ bits THEN
                RETURN newt.write_integer(number);
            END IF;
            of_range := v;
        END IF;
    WHEN 'float' THEN
        IF given = 'number' OR given = 'string' AND shown IN ('NaN', 'Infinity', '-Infinity') THEN
            IF given = 'string' OR shown::numeric = 0 OR abs(shown::numeric) BETWEEN 1e-30 AND 1e30 THEN
                RETURN CASE bits WHEN 32 THEN '\xfa'::bytea || float4send(shown::real) ELSE '\xfb'::bytea || float8send(shown::double precision) END;
            END IF;
            BEGIN
                RETURN CASE bits WHEN 32 THEN '\xfa'::bytea || float4send(shown::real) ELSE '\xfb'::bytea || float8send(shown::double precision) END;
            EXCEPTION WHEN numeric_value_out_of_range THEN
                of_range := v;
            END;
        END IF;
    WHEN 'decimal' THEN
        IF given = 'string' AND shown IN ('NaN', 'Infinity', '-Infinity') THEN
            RETURN '\xfb'::bytea || float8send(shown::double precision);
        END IF;
        inner_value := newt.only(v, '::num');
        IF given = 'number' OR jsonb_typeof(inner_value) = 'string' THEN
            d := newt.write_decimal(CASE given WHEN 'number' THEN shown ELSE inner_value #>> '{}' END);
            IF d.code IS NULL THEN
                RETURN d.item;
            ELSIF d.code = 'limit' THEN
                of_range := v;
            END IF;
        END IF;
    WHEN 'duration' THEN
        IF newt.integer_of(v) IS NOT NULL THEN
            n := newt.integer_within(v, -9223372036854775808, 9223372036854775807);
            IF n IS NOT NULL THEN
                RETURN newt.write_microseconds(1002, n);
            END IF;
            of_range := v;
        END IF;
    WHEN 'time' THEN
        -- the least number stands for null in the library
        inner_value := newt.only(v, '::us');
        IF given = 'string' THEN
            -- as it is shown, or RFC 3339 otherwise: any zone, fewer digits
            time_parts := regexp_match(shown, '^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.]([0-9]{1,6}))?(?:Z|([-+])([01][0-9]|2[0-3]):([0-5][0-9]))$');
            n := extract(epoch FROM newt.ts(time_parts[1] || 'T' || time_parts[2] || '.' || rpad(coalesce(time_parts[3], ''), 6, '0') || 'Z')) * 1000000
                 - CASE time_parts[4] WHEN '+' THEN 1 WHEN '-' THEN -1 ELSE 0 END * coalesce(time_parts[5]::bigint * 60 + time_parts[6]::bigint, 0) * 60000000;
        ELSIF newt.integer_of(inner_value) IS NOT NULL THEN
            n := newt.integer_within(inner_value, -9223372036854775807, 9223372036854775807);
            of_range := CASE WHEN n IS NULL THEN inner_value END;
        END IF;
        IF n IS NOT NULL THEN
            RETURN newt.write_microseconds(1001, n);
        END IF;
    WHEN 'date' THEN
        inner_value := newt.only(v, '::days');
        IF given = 'string' THEN
            n := newt.date(shown) - '1970-01-01'::date;
        ELSIF newt.integer_of(inner_value) IS NOT NULL THEN
            n := newt.integer_within(inner_value, -2147483647, 2147483647);
            of_range := CASE WHEN n IS NULL THEN inner_value END;
        END IF;
        IF n IS NOT NULL THEN
            RETURN '\xd864'::bytea || newt.write_integer(n);
        END IF;
    WHEN 'text' THEN
        IF given = 'string' THEN
            RETURN newt.write_text(shown);
        END IF;
        s := newt.base64_of(v, true, who, place);
        IF s IS NOT NULL THEN
            RETURN newt.write_text(s);
        END IF;
    WHEN 'bytes' THEN
        s := newt.base64_of(v, false, who, place);
        IF s IS NOT NULL THEN
            RETURN newt.write_head(2, octet_length(s)) || s;
        END IF;
    WHEN 'uuid' THEN
        IF given = 'string' AND shown ~ '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$' THEN
            RETURN '\xd82550'::bytea || uuid_send(shown::uuid);
        END IF;
    WHEN 'enum' THEN
        IF given = 'string' AND t->'names' ? shown THEN
            RETURN newt.write_text(shown);
        END IF;
    WHEN 'ref', 'weak' THEN
        inner_value := newt.only(v, CASE kind WHEN 'ref' THEN '::=>' ELSE '::~>' END);
        IF jsonb_typeof(inner_value) = 'number' AND newt.integer_of(inner_value) IS NOT NULL THEN
            n := newt.integer_within(inner_value, 1, 9223372036854775807);
            IF n IS NOT NULL THEN
                RETURN CASE kind WHEN 'ref' THEN '\xd99601'::bytea ELSE '\xd99604' END || newt.write_head(0, n);
            END IF;
            of_range := inner_value;
        END IF;
    WHEN 'store_ref' THEN
        -- ["store", zoid]
        IF given = 'object' AND v - '::tag' - '::v' = '{}' AND newt.integer_within(v->'::tag', 38401, 38401) IS NOT NULL AND jsonb_typeof(v->'::v') = 'array' THEN
            inner_value := v->'::v';
            IF jsonb_array_length(inner_value) = 2 AND jsonb_typeof(inner_value->0) = 'string' AND inner_value->>0 <> ''
               AND jsonb_typeof(inner_value->1) = 'number' AND newt.integer_of(inner_value->1) IS NOT NULL THEN
                n := newt.integer_within(inner_value->1, 1, 9223372036854775807);
                IF n IS NOT NULL THEN
                    PERFORM newt.check_depth(who, place, depth + 1);
                    RETURN '\xd9960182'::bytea || newt.write_text(inner_value->>0) || newt.write_head(0, n);
                END IF;
                of_range := inner_value->1;
            END IF;
        END IF;
    END CASE;
    IF of_range IS NOT NULL THEN
        PERFORM newt.refuse(who, place, '22003', 'cannot be ' || newt.shown(of_range),
            CASE bits WHEN 0 THEN 'It is out of range for kind ' || kind || '.'
                 ELSE format('It is out of range: the field is %s %s of %s bits.', CASE kind WHEN 'int' THEN 'an' ELSE 'a' END, kind, bits) END, NULL);
    END IF;
    PERFORM newt.wrong_kind(t, v, who, place);
END
$newt_body$;
COMMENT ON FUNCTION newt.write_scalar(jsonb, jsonb, text, text, integer) IS 'a value of the kind of a field as an item of a record; portable edition';

CREATE FUNCTION newt.wrong_kind(t jsonb, v jsonb, who text, place text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    kind text := t->>'kind';
    names text := '';
    name text;
BEGIN
    IF kind = 'enum' THEN
        FOR name IN SELECT jsonb_array_elements_text(t->'names') LOOP
            EXIT WHEN octet_length(names) >= 200;
            names := names || CASE WHEN names = '' THEN '' ELSE ', ' END || '"' || name || '"';
        END LOOP;
    END IF;
    PERFORM newt.refuse(who, place, '22023', 'cannot be ' || newt.shown(v),
        CASE kind WHEN 'enum' THEN 'It is an enum: one of ' || names || '.'
             ELSE format('A value of kind %s is %s.', kind, CASE kind
                  WHEN 'bool' THEN 'true or false'
                  WHEN 'int' THEN 'an integer'
                  WHEN 'uint' THEN 'an integer that is not negative'
                  WHEN 'float' THEN 'a number, "NaN", "Infinity" or "-Infinity"'
                  WHEN 'text' THEN 'a string, or {"::b64": base64, "::text": what can be read of it}'
                  WHEN 'bytes' THEN '{"::b64": base64}'
                  WHEN 'time' THEN 'a string like "2024-05-01T09:30:00.000000Z", or {"::us": microseconds}'
                  WHEN 'duration' THEN 'an integer, the microseconds'
                  WHEN 'date' THEN 'a string like "2024-05-01", or {"::days": days since 1970}'
                  WHEN 'uuid' THEN 'a string like "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"'
                  WHEN 'decimal' THEN 'a number, {"::num": text}, "NaN", "Infinity" or "-Infinity"'
                  WHEN 'ref' THEN '{"::=>": zoid}'
                  WHEN 'struct' THEN 'an object'
                  WHEN 'store_ref' THEN '{"::tag": 38401, "::v": [store, zoid]}'
                  WHEN 'weak' THEN '{"::~>": zoid}' END) END, NULL);
END
$newt_body$;
COMMENT ON FUNCTION newt.wrong_kind(jsonb, jsonb, text, text) IS 'raises the error that a value is none of the kind of a field; portable edition';

-- ---- values of any shape ------------------------------------------------------------------------------

-- What a field of kind json can have. Nothing in it is sorted after it is written, so its bytes are those of its parts
-- one after another: all parts are found first, level by level, however deep it is nested.
CREATE FUNCTION newt.write_item(v jsonb, who text, place text, depth integer, shared bigint, OUT item bytea, OUT shared_after bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    AS $newt_body$
DECLARE
    own CONSTANT text := '^::([^:]|$)'; -- keys that the projection adds
    hint CONSTANT text := 'Keys that begin with "::" are the projection''s; one more colon in front makes it a key like any other.';
    n record;
    kind text;
    piece bytea;
    pieces bytea[] := '{}';
    count integer := 0;
    labels bigint[] := '{}';
    is_map boolean;
    s bytea;
    key text;
    inner_value jsonb;
    number bigint;
    wrong text;
BEGIN
    shared_after := shared;
    FOR n IN
        WITH RECURSIVE node (path, place, depth, front, is_store, v) AS (
            SELECT '{}'::integer[], write_item.place, write_item.depth, '\x'::bytea, false, write_item.v
            UNION ALL
            SELECT o.path || c.n::integer, c.place, o.depth + 1, c.front, c.is_store, c.v
              FROM node o, LATERAL (
                SELECT e.n, newt.place_of_item(o.place, e.n - 1) AS place, '\x'::bytea AS front, false AS is_store, e.v
                  FROM jsonb_array_elements(CASE jsonb_typeof(o.v) WHEN 'array' THEN o.v ELSE '[]' END) WITH ORDINALITY e (v, n)
                UNION ALL
                SELECT row_number() OVER (ORDER BY octet_length(k.key), convert_to(k.key, 'UTF8')), newt.place_of_key(o.place, k.key), newt.write_text(k.key), false, k.v
                  FROM (SELECT CASE WHEN e.key ~ '^:::' THEN substr(e.key, 2) ELSE e.key END AS key, e.value AS v
                          FROM jsonb_each(CASE WHEN jsonb_typeof(o.v) = 'object' AND NOT EXISTS (
                                   SELECT FROM jsonb_object_keys(CASE jsonb_typeof(o.v) WHEN 'object' THEN o.v ELSE '{}' END) k WHERE k ~ own AND k <> '::id') THEN o.v ELSE '{}' END) e
                         WHERE e.key !~ own) k
                UNION ALL
                SELECT 1, o.place, '\x'::bytea, o.v->>'::tag' = '38401', o.v->'::v'
                 WHERE jsonb_typeof(o.v) = 'object' AND o.v ? '::tag' AND o.v ? '::v') c
             WHERE o.depth < 500)
        SELECT * FROM node ORDER BY path
    LOOP
        kind := jsonb_typeof(n.v);
        piece := NULL;
        wrong := NULL;
        s := NULL;
        IF kind = 'null' THEN
            piece := '\xf6';
        ELSIF kind = 'boolean' THEN
            piece := CASE WHEN n.v = 'true' THEN '\xf5'::bytea ELSE '\xf4' END;
        ELSIF kind = 'number' THEN
            piece := newt.write_number(n.v #>> '{}');
        ELSIF kind = 'string' THEN
            piece := newt.write_text(n.v #>> '{}');
        ELSIF kind = 'array' THEN
            IF n.is_store AND jsonb_array_length(n.v) <> 2 THEN
                PERFORM newt.refuse_item(who, n.place, 'profile', 'reference to another store is not [store, oid]');
            END IF;
            PERFORM newt.check_depth(who, n.place, n.depth);
            piece := newt.write_head(4, jsonb_array_length(n.v));
        ELSE
            SELECT count(*) FILTER (WHERE k.key !~ own), (array_agg(k.key ORDER BY k.n) FILTER (WHERE k.key ~ own))[1], coalesce(bool_and(k.key = '::id') FILTER (WHERE k.key ~ own), true)
              INTO number, key, is_map FROM jsonb_object_keys(n.v) WITH ORDINALITY k (key, n);
            IF is_map THEN
                piece := '\x';
                IF n.v ? '::id' THEN
                    wrong := CASE WHEN newt.int8(n.v->'::id') IS NULL THEN '"::id" is a number.'
                                  WHEN newt.int8(n.v->'::id') = ANY (labels) THEN 'An "::id" stands twice.' END;
                    labels := labels || newt.int8(n.v->'::id');
                    shared_after := shared_after + 1;
                    piece := '\xd81c';
                END IF;
                piece := piece || newt.write_head(5, number);
            ELSE
                s := newt.base64_of(n.v, true, who, n.place);
                IF s IS NOT NULL THEN
                    piece := CASE WHEN n.v ? '::text' THEN newt.write_text(s) ELSE newt.write_head(2, octet_length(s)) || s END;
                ELSIF n.v ? '::tag' THEN
                    key := CASE jsonb_typeof(n.v->'::tag') WHEN 'number' THEN n.v->>'::tag' END;
                    IF key IS NULL OR NOT n.v ? '::v' OR n.v - '::tag' - '::v' <> '{}' THEN
                        wrong := 'An unknown tag is {"::tag": number, "::v": value}.';
                    ELSIF key !~ '^[0-9]+$' OR key::numeric > 18446744073709551615 THEN
                        wrong := 'The number of a tag is an integer from 0 to 2^64 - 1.';
                    ELSIF NOT n.is_store THEN
                        IF key::numeric IN (0, 1, 5, 25, 256, 55799, 2, 3, 4, 27, 28, 29, 37, 100, 258, 259, 1001, 1002, 38402, 38403, 38404) THEN
                            PERFORM newt.refuse_item(who, n.place, 'profile', 'tag is not allowed');
                        END IF;
                        PERFORM newt.check_depth(who, n.place, n.depth);
                        piece := newt.write_integer(key::numeric);
                        piece := set_byte(piece, 0, get_byte(piece, 0) | 192);
                    END IF;
                ELSE
                    inner_value := newt.only(n.v, key);
                    number := newt.int8(inner_value);
                    piece := CASE key
                        WHEN '::=>' THEN CASE WHEN number > 0 THEN '\xd99601'::bytea || newt.write_head(0, number) END
                        WHEN '::~>' THEN CASE WHEN number > 0 THEN '\xd99604'::bytea || newt.write_head(0, number) END
                        WHEN '::us' THEN newt.write_microseconds(1001, number)
                        WHEN '::days' THEN CASE WHEN number > -9223372036854775808 THEN '\xd864'::bytea || newt.write_integer(number) END
                        WHEN '::num' THEN CASE jsonb_typeof(inner_value) WHEN 'string' THEN (newt.write_decimal(inner_value #>> '{}')).item END
                        WHEN '::->' THEN '\xd81d'::bytea || newt.write_head(0, shared + array_position(labels, number) - 1) END;
                    wrong := CASE WHEN piece IS NULL THEN format('It has the key "%s", with which no value of this form can be given.', key) END;
                END IF;
            END IF;
        END IF;
        IF wrong IS NOT NULL THEN
            PERFORM newt.refuse(who, n.place, '22023', 'has a value of unknown form', wrong, hint);
        ELSIF n.is_store AND kind <> 'array' THEN
            PERFORM newt.refuse_item(who, n.place, 'profile', 'reference to another store is not followed by an array');
        ELSIF is_map AND kind = 'object' THEN
            PERFORM newt.check_depth(who, n.place, n.depth);
        END IF;
        count := count + 1;
        pieces[count] := n.front || piece;
    END LOOP;
    item := (SELECT string_agg(p.piece, '\x' ORDER BY p.n) FROM unnest(pieces) WITH ORDINALITY p (piece, n));
END
$newt_body$;
COMMENT ON FUNCTION newt.write_item(jsonb, text, text, integer, bigint) IS 'a value of any shape as an item of a record; portable edition';
