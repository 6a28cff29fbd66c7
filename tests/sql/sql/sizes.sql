-- records at and beyond the limits of size: an error, or a document that says so
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

-- 32 MiB of JSON text; two quotes are part of it
CREATE FUNCTION pg_temp.text_of(n integer) RETURNS bytea LANGUAGE sql AS
    $$SELECT '\x836154017a'::bytea || decode(lpad(to_hex(n), 8, '0'), 'hex') || convert_to(repeat('x', n), 'UTF8')$$;
SELECT n, length(j #>> '{}') AS length, CASE jsonb_typeof(j) WHEN 'object' THEN j END AS instead, r.*
FROM (SELECT n, pg_temp.text_of(n) AS record FROM unnest(ARRAY[33554430, 33554431]) n OFFSET 0) s
     CROSS JOIN LATERAL newt.to_jsonb(record) j LEFT JOIN LATERAL newt.rejects(record) r ON true;
-- items of a document that is too large as a whole
SELECT newt.to_jsonb(record), newt.get(record, 'b'), length(newt.get_text(record, 'a')), newt.get_text(record, 'c') = repeat('x', 16777216) AS c
FROM (SELECT '\x83615401a361617a01000000'::bytea || convert_to(repeat('x', 16777216), 'UTF8') || '\x616207'::bytea
          || '\x61637a01000000'::bytea || convert_to(repeat('x', 16777216), 'UTF8') OFFSET 0) s (record);
-- 256 MiB of record
SELECT newt.to_jsonb(pg_temp.text_of(268435447));
SELECT pg_temp.error_of('SELECT newt.to_jsonb(pg_temp.text_of(268435448))');
-- as many values as fit into 32 MiB of text: numbers, empty arrays
CREATE TEMP TABLE many AS
SELECT what, '\x836154019a'::bytea || decode(lpad(to_hex(n), 8, '0') || repeat(item, n), 'hex') AS record
FROM (VALUES ('numbers', 16777215, '00'), ('arrays', 11184810, '80')) v (what, n, item);
SELECT what, jsonb_array_length(d), pg_column_size(d) FROM (SELECT what, newt.to_jsonb(record) AS d FROM many OFFSET 0) s;
-- a long conversion can be cancelled
BEGIN;
SET LOCAL statement_timeout = '20ms'; -- which the end of the transaction does not fall under
SELECT pg_column_size(newt.to_jsonb(record)) FROM many;
ROLLBACK;
BEGIN;
SET LOCAL statement_timeout = '20ms';
SELECT newt.refs(record) FROM many, generate_series(1, 10);
ROLLBACK;
