-- the projection's forms of values, read back as SQL types
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

-- newt.ts: exactly the form that the projection writes
SELECT value, newt.ts(value) AS ts, newt.ts(to_jsonb(value)) IS NOT DISTINCT FROM newt.ts(value) AS same
FROM (VALUES
    ('2024-02-29T23:59:59.123456Z'), ('0001-01-01T00:00:00.000000Z'),
    ('9999-12-31T23:59:59.999999Z'), ('1969-12-31T23:59:59.999999Z'),
    ('2000-02-29T00:00:00.000000Z'),
    ('1900-02-29T00:00:00.000000Z'), ('0000-01-01T00:00:00.000000Z'),
    ('2024-13-01T00:00:00.000000Z'), ('2024-00-01T00:00:00.000000Z'),
    ('2024-01-32T00:00:00.000000Z'), ('2024-01-00T00:00:00.000000Z'),
    ('2024-01-01T24:00:00.000000Z'), ('2024-01-01T00:60:00.000000Z'),
    ('2024-01-01T00:00:60.000000Z'), ('2024-01-01T00:00:00.00000Z'),
    ('2024-01-01T00:00:00.0000000Z'), ('2024-01-01T00:00:00.000000z'),
    ('2024-01-01 00:00:00.000000Z'), ('2024-01-01T00:00:00.000000+'),
    ('2024-01-01T00:00:00Z'), ('2024-01-01'), ('now'), ('infinity'), (''),
    ('-024-01-01T00:00:00.000000Z'), ('2024-01-01T00:00:00.-00001Z')) v (value);

-- it depends on no setting
SET datestyle = 'German, DMY';
SET timezone = 'Asia/Tokyo';
SELECT newt.ts('2024-03-04T05:06:07.000008Z') = timestamptz '2024-03-04 05:06:07.000008+00' AS same_instant,
       newt.date('2024-03-04') = make_date(2024, 3, 4) AS same_day;
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';

-- outside the years 1 to 9999, as far as the type goes
SELECT value, newt.ts(value::jsonb) FROM (VALUES
    ('{"::us": 0}'), ('{"::us": -1}'), ('{"::us": 253402300800000000}'),
    ('{"::us": -210866803200000000}'), ('{"::us": -210866803200000001}'),
    ('{"::us": 9224318015999999999}'), ('{"::us": 9223371331200000000}'),
    ('{"::us": 9223372036854775807}'), ('{"::us": -9223372036854775808}'),
    ('{"::us": 99999999999999999999999}'), ('{"::us": 1.5}'), ('{"::us": "1"}'),
    ('{"::us": 1, "x": 2}'), ('{}'), ('[]'), ('[{"::us": 1}]'), ('1'), ('null'), ('true')) v (value);

SELECT value, newt.date(value) AS date FROM (VALUES
    ('2024-02-29'), ('0001-01-01'), ('9999-12-31'), ('1970-01-01'), ('2023-02-29'), ('2024-04-31'),
    ('0000-12-31'), ('2024-1-1'), ('2024-01-01 '), ('20240101'), ('today')) v (value);
SELECT value, newt.date(value::jsonb) FROM (VALUES
    ('"2024-02-29"'), ('{"::days": 0}'), ('{"::days": -719163}'), ('{"::days": 2932897}'),
    ('{"::days": -2440588}'), ('{"::days": -2440589}'), ('{"::days": 2145031948}'),
    ('{"::days": 2145042541}'), ('{"::days": 2147483647}'), ('{"::days": 99999999999}'),
    ('{"::days": 0.5}'), ('7'), ('null')) v (value);

SELECT newt.duration(0) AS zero, newt.duration(-1) AS minus, newt.duration(3723000004) AS some,
       newt.duration(9223372036854775807) AS longest;
SELECT value, newt.duration(value::jsonb) FROM (VALUES
    ('3723000004'), ('-1'), ('1.0'), ('1.5'), ('9223372036854775808'), ('"1"'), ('{}')) v (value);

SELECT value, newt.ref(value::jsonb), newt.int8(value::jsonb), newt.float8(value::jsonb),
       left(newt.numeric(value::jsonb)::text, 24) AS numeric, newt.bool(value::jsonb)
FROM (VALUES
    ('{"::=>": 42}'), ('{"::=>": 9223372036854775807}'), ('{"::=>": 9223372036854775808}'),
    ('{"::~>": 42}'), ('{"::~>": "42"}'), ('{"::~>": 42, "more": 1}'),
    ('{"::=>": "42"}'), ('{"::=>": 42, "more": 1}'), ('{":::=>": 42}'), ('[{"::=>": 42}]'),
    ('0'), ('-9223372036854775808'), ('9223372036854775807'), ('9223372036854775808'),
    ('1.50'), ('7.000'), ('0.1'), ('1e300'), ('1e-310'), ('1e400'), ('-1e400'), ('1e-400'),
    ('"NaN"'), ('"Infinity"'), ('"-Infinity"'), ('"infinity"'), ('"1"'), ('""'),
    ('true'), ('false'), ('null'), ('{}'), ('[]'), ('[1]'), ('[true]')) v (value);
SELECT value, left(newt.numeric(value::jsonb)::text, 12), length(newt.numeric(value::jsonb)::text)
FROM (VALUES
    ('{"::num": "1E+500"}'), ('{"::num": "-1.5E+500"}'), ('{"::num": "1.25E-500"}'),
    ('{"::num": "1E+100000"}'), ('{"::num": "1E-15000"}'), ('{"::num": "1E+999999"}'),
    ('{"::num": "1E-999999"}'), ('{"::num": "1E+99999999999999999999"}'), ('{"::num": "1E"}'),
    ('{"::num": "E+1"}'), ('{"::num": "abc"}'), ('{"::num": ""}'), ('{"::num": 1}')) v (value);

-- every bit of a double comes back
SELECT count(*), count(*) FILTER (WHERE newt.float8(to_jsonb(x)) = x) AS same
FROM (SELECT setseed(0.25)) s,
     LATERAL (SELECT (random() * power(10, 300 * random() - 150))::float8 AS x FROM generate_series(1, 1000)) r;

-- null for null
SELECT newt.ts(NULL::text) IS NULL AND newt.ts(NULL::jsonb) IS NULL AND newt.date(NULL::text) IS NULL
   AND newt.date(NULL::jsonb) IS NULL AND newt.duration(NULL::bigint) IS NULL
   AND newt.duration(NULL::jsonb) IS NULL AND newt.ref(NULL) IS NULL AND newt.int8(NULL) IS NULL
   AND newt.float8(NULL) IS NULL AND newt.numeric(NULL) IS NULL AND newt.bool(NULL) IS NULL AS all_null;
