-- records of every kind: as jsonb, item by item, class, references, rejects
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

\set records :srcdir '/record.sql'
\i :records

\a
SELECT what, newt.to_jsonb(record) FROM record ORDER BY n;
\a

-- byte by byte what jsonb_in makes of the same text: also the scale of numbers
SELECT count(*), count(*) FILTER (WHERE NOT record_image_eq(ROW(newt.to_jsonb(record)), ROW(newt.to_jsonb(record)::text::jsonb))) AS differ
FROM record;
-- integers of every length and sign, with zeros at every place
CREATE FUNCTION pg_temp.int_record(i numeric) RETURNS bytea LANGUAGE sql AS $$
    SELECT '\x83615401'::bytea || decode(CASE WHEN n < 24 THEN lpad(to_hex(major + n::int), 2, '0')
        WHEN n < 256 THEN to_hex(major + 24) || lpad(to_hex(n::int), 2, '0')
        WHEN n < 65536 THEN to_hex(major + 25) || lpad(to_hex(n::int), 4, '0')
        WHEN n < 4294967296 THEN to_hex(major + 26) || lpad(to_hex(n::bigint), 8, '0')
        ELSE to_hex(major + 27) || lpad(to_hex(n::bigint), 16, '0') END, 'hex')
    FROM (SELECT CASE WHEN i < 0 THEN 32 ELSE 0 END, CASE WHEN i < 0 THEN -1 - i ELSE i END) s (major, n)
$$;
SELECT setseed(0.75);
SELECT count(*) > 3000 AS many, count(*) FILTER (WHERE NOT record_image_eq(ROW(newt.to_jsonb(pg_temp.int_record(i))), ROW(i::text::jsonb))) AS differ
FROM (SELECT sign * (digit * 10::numeric ^ e + more) FROM generate_series(0, 18) e, generate_series(1, 9) digit,
             unnest(ARRAY[-1, 0, 1, 10000, -10000]) more, unnest(ARRAY[1, -1]) sign
      UNION ALL SELECT trunc((random() - 0.5)::numeric * 2 * 10::numeric ^ e) FROM generate_series(0, 18) e, generate_series(1, 100)
      UNION ALL VALUES (0), (-1), (9223372036854775807), (-9223372036854775808), (9223372036854775806), (-9223372036854775807)) s (n),
     trunc(n) i
WHERE i BETWEEN -9223372036854775808 AND 9223372036854775807;
SELECT count(*) FILTER (WHERE newt.try_to_jsonb(record) IS DISTINCT FROM newt.to_jsonb(record)) AS differ FROM record;

-- what it says of itself
SELECT DISTINCT newt.class_name(record), newt.class_version(record) FROM record ORDER BY 2;
SELECT what, newt.refs(record) FROM record WHERE newt.refs(record) <> '{}' ORDER BY n;
SELECT newt.refs(record) = '{}' AS none, array_ndims(newt.refs(record)) FROM record WHERE what = 'empty map';
SELECT what, path, reason FROM record, newt.rejects(record) ORDER BY n, path, reason;

-- newt.get is newt.to_jsonb #> path, newt.get_text #>>, for every path that there is and some more
CREATE TEMP TABLE path AS
WITH RECURSIVE item (n, record, path, value) AS (
    SELECT n, record, '{}'::text[], newt.to_jsonb(record) FROM record
    UNION ALL
    SELECT i.n, i.record, i.path || c.key, c.value
    FROM item i CROSS JOIN LATERAL (
        SELECT key, value FROM jsonb_each(CASE jsonb_typeof(i.value) WHEN 'object' THEN i.value END)
        UNION ALL
        SELECT (k - 1)::text, e.value
        FROM jsonb_array_elements(CASE jsonb_typeof(i.value) WHEN 'array' THEN i.value END)
             WITH ORDINALITY e (value, k)) c (key, value)
)
SELECT n, record, path FROM item
UNION ALL SELECT n, record, path || more FROM item,
    unnest(ARRAY['', '0', '-1', '1', '99', '007', ' 1', '1x', '99999999999', 'a', 'x', 'missing', '::', '::=>', ':::', ':::x', ':x']) more
UNION ALL SELECT n, record, ARRAY['missing'] || path FROM item
UNION ALL SELECT n, record, path || NULL::text FROM item;
SELECT count(*) > 2000 AS many,
       count(*) FILTER (WHERE newt.get(record, VARIADIC path) IS DISTINCT FROM newt.to_jsonb(record) #> path) AS get_differs,
       count(*) FILTER (WHERE newt.get_text(record, VARIADIC path) IS DISTINCT FROM newt.to_jsonb(record) #>> path) AS get_text_differs
FROM path;
-- null for null
SELECT newt.to_jsonb(NULL) IS NULL AND newt.try_to_jsonb(NULL) IS NULL AND newt.class_name(NULL) IS NULL
   AND newt.class_version(NULL) IS NULL AND newt.refs(NULL) IS NULL AND newt.get(NULL, 'a') IS NULL
   AND newt.get_text(NULL, 'a') IS NULL AND newt.get('\x83615401a0', VARIADIC NULL) IS NULL AS all_null,
       (SELECT count(*) FROM newt.rejects(NULL)) AS no_rows;

-- compressed and out of line
CREATE TEMP TABLE large (record bytea);
INSERT INTO large SELECT '\x83615401a16161'::bytea || '\x7a000f4240'::bytea || convert_to(repeat('0123456789', 100000), 'UTF8');
ALTER TABLE large ALTER record SET STORAGE EXTERNAL;
INSERT INTO large SELECT '\x83615401a16161'::bytea || '\x7a000f4240'::bytea || convert_to(repeat('0123456789', 100000), 'UTF8');
SELECT pg_column_size(record) < 100000 AS compressed, length(newt.to_jsonb(record)->>'a'),
       newt.class_name(record), length(newt.get_text(record, 'a')), newt.refs(record)
FROM large;
