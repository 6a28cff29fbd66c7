-- bytes that are no record: one error for each fault, with SQLSTATE and offset
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

CREATE TEMP TABLE bad (n integer GENERATED ALWAYS AS IDENTITY, what text, record bytea);
INSERT INTO bad (what, record) VALUES
    ('empty', ''),
    ('text', 'hello'),
    ('newer', '\x84615401a0f6'), ('newer still', '\x97615401a0f6'),
    ('pickle 2', '\x80025d71002e'), ('pickle 5', '\x80055d942e'), ('pickle 0', '(dp0'), ('pickle 1', 'cfoo'),
    ('zlib', '.z789c'), ('encrypted', '.e0000'),
    ('head only', '\x83'), ('no state', '\x83615401'),
    ('class is a number', '\x830101a0'), ('class is empty', '\x836001a0'),
    ('class not UTF-8', '\x8361ff01a0'), ('class with NUL', '\x83610001a0'),
    ('version is text', '\x8361546131a0'), ('version negative', '\x83615420a0'),
    ('version too large', '\x8361541a80000000a0'),
    ('bytes after', '\x83615401a000'), ('cut short', '\x83615401a16161'),
    ('integer not shortest', '\x83615401a16161180a'), ('length not shortest', '\x83615401a1616178016b'),
    ('indefinite array', '\x83615401a161619fff'), ('break', '\x83615401ff'),
    ('reserved head', '\x83615401a161611c'), ('undefined', '\x83615401a16161f7'),
    ('simple value', '\x83615401a16161f820'), ('half float', '\x83615401a16161f93c00'),
    ('keys out of order', '\x83615401a2616201616101'), ('key twice', '\x83615401a2616101616102'),
    ('key not text', '\x83615401a10101'), ('key not UTF-8', '\x83615401a161ff01'),
    ('text not UTF-8', '\x83615401a1616162c328'),
    ('raw text that is UTF-8', '\x83615401a16161d996024161'),
    ('tag 0', '\x83615401a16161c06161'), ('self-described', '\x83d9d9f7615401a0'),
    ('set out of order', '\x83615401a16161d90102820201'), ('set element twice', '\x83615401a16161d90102820101'),
    ('reference to 0', '\x83615401a16161d9960100'), ('negative reference', '\x83615401a16161d9960120'),
    ('reference to text', '\x83615401a16161d996016161'),
    ('time without microseconds', '\x83615401a16161d903e9a10100'),
    ('microseconds too many', '\x83615401a16161d903e9a20100251a000f4240'),
    ('UUID too short', '\x83615401a16161d8254100'),
    ('bignum with leading zero', '\x83615401a16161c24900ffffffffffffffff'),
    ('bignum that is small', '\x83615401a16161c24101'),
    ('shared scalar', '\x83615401a16161d81c01'), ('shared before', '\x83615401a16161d81d00'),
    ('hidden twice', '\x83615401a16161d99603d9960301'),
    ('array of 4 billion', '\x83615401a161619affffffff'), ('text of 2^63', '\x83615401a161617b8000000000000000'),
    ('map of 2^64 - 1', '\x83615401bbffffffffffffffff');
SELECT what, pg_temp.error_of(format('SELECT newt.to_jsonb(%L)', record)) AS error FROM bad ORDER BY n;
-- every function refuses them alike; those that need no more than the head look no further
SELECT f, count(*) FILTER (WHERE e <> t) AS differ, array_agg(what ORDER BY n) FILTER (WHERE e <> t AND f NOT LIKE '%class%') AS which
FROM (SELECT n, what, f, pg_temp.error_of(format('SELECT newt.to_jsonb(%L)', record)) AS t,
             pg_temp.error_of(format('SELECT newt.' || f, record)) AS e
      FROM bad, unnest(ARRAY['refs(%L)', 'get(%L, ''a'')', 'get(%L, ''a'', ''-1'')', 'get_text(%L, ''b'')',
                             'rejects(%L)', 'class_name(%L)', 'class_version(%L)']) f) s
GROUP BY f ORDER BY f;
SELECT count(*) FILTER (WHERE newt.try_to_jsonb(record) IS NOT NULL) AS not_null FROM bad;

-- limits, at N and N + 1
CREATE FUNCTION pg_temp.nested(n integer) RETURNS bytea LANGUAGE sql AS
    $$SELECT '\x83615401'::bytea || decode(repeat('81', n - 1) || '80', 'hex')$$;
SELECT n, left(pg_temp.error_of(format('SELECT newt.to_jsonb(%L)', pg_temp.nested(n))), 80) AS error,
       length(newt.try_to_jsonb(pg_temp.nested(n))::text) AS length
FROM unnest(ARRAY[1, 499, 500, 501, 10000]) n;
SELECT n, newt.class_name(decode('8378' || to_hex(n) || repeat('41', n) || '01a0', 'hex')) = repeat('A', n) AS class_name
FROM unnest(ARRAY[255]) n;
SELECT pg_temp.error_of(format('SELECT newt.class_name(%L)', decode('83790100' || repeat('41', 256) || '01a0', 'hex')));
