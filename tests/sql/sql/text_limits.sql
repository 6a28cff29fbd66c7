-- newt.tsvector at and beyond the limits of a tsvector: nothing fails, and what was cut says so
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
SET client_min_messages = warning;

-- the longest word; one that its dictionary makes longer than a tsvector holds (Ⱥ has 2 bytes, ⱥ 3)
SELECT n, (SELECT array_agg(octet_length(l.lexeme) ORDER BY l.lexeme) FROM unnest(newt.tsvector('simple', jsonb_build_object('t', repeat('x', n) || ' after'))) l) AS words
  FROM (VALUES (2045), (2046), (2047), (2048)) v (n);
SELECT n, (SELECT array_agg(octet_length(l.lexeme) ORDER BY l.lexeme) FROM unnest(newt.tsvector('simple', jsonb_build_object('t', repeat('Ⱥ', n) || ' after'))) l) AS words
  FROM (VALUES (682), (683), (1000)) v (n);

-- 16,383 positions, and 255 of one word: those behind are at the last, and the word is found
SELECT n, (SELECT max(l.positions[1]) FROM unnest(v.words) l) AS last, v.words @@ 'last' AS found
  FROM (SELECT n, newt.tsvector('simple', jsonb_build_object('t', (SELECT string_agg('w' || i % 7000, ' ') FROM generate_series(1, n) i) || ' last')) AS words
          FROM (VALUES (16381), (16382), (16383), (20000), (70000)) v (n)) v;
SELECT cardinality(l.positions) FROM unnest(newt.tsvector('simple', jsonb_build_object('t', repeat('again ', 1000)))) l;
-- also over many strings, with gaps
SELECT newt.tsvector('simple', jsonb_build_object('t', (SELECT jsonb_agg('a' || i) FROM generate_series(1, 3000) i), 'u', 'end'), 't', 'u:A') @@ 'end:A' AS found;

-- 1 MB of words: the mark
SELECT n, words @@ '''::cut''' AS cut, words @@ 'word1' AS first, words @@ to_tsquery('simple', 'word' || n) AS last, octet_length(words::text) > 500000 AS many
  FROM (SELECT n, newt.tsvector('simple', jsonb_build_object('t', (SELECT string_agg('word' || i, ' ') FROM generate_series(1, n) i))) AS words
          FROM (VALUES (60000), (100000)) v (n)) v;
-- 16 MB of text
SELECT n, words @@ '''::cut''' AS cut, length(words)
  FROM (SELECT n, newt.tsvector('simple', jsonb_build_object('t', repeat('hello world ', n))) AS words FROM (VALUES (140000), (1400000)) v (n)) v;
SELECT newt.tsvector('simple', jsonb_build_object('t', repeat('x', 17000000), 'u', 'after'), 't', 'u') AS too_long;
SELECT newt.tsvector_by_language('simple', 'l', '{de}', '{german}', jsonb_build_object('l', 'de', 't', (SELECT string_agg('word' || i, ' ') FROM generate_series(1, 100000) i)), 't')
       @@ '''::cut'' & ''::lang=de'' & word1' AS both_marks;

-- What PostgreSQL's parser looks ahead for again and again, in time that grows with the square: hours for 1 MB.
SET statement_timeout = '200s';
SELECT count(newt.tsvector('english', jsonb_build_object('t', repeat(u, 60000 / length(u)))))
  FROM unnest(ARRAY['~/', '<!--', '<!-- ', 'a@1', 'a_1', '_a', './', '/.', 'a-', '!', '<a ', '&#', repeat('a@1', 600) || ' ', '漢', 'é-']) u;
RESET statement_timeout;
-- where nothing of the kind is, the words are those of to_tsvector
SELECT strip(newt.tsvector('english', jsonb_build_object('t', t))) = strip(to_tsvector('english', t)) AS same
  FROM (VALUES (repeat('one two, three; "four" a_b_c user@example.org /usr/share/doc/x.y http://example.org/a/b?c=d <b>five</b> <!-- six --> ', 2000)),
               (repeat('a', 2000) || ' ' || repeat('漢字', 900)), ('a@b.c ~/.config ../up ./here !!! ' || repeat('x_y', 60))) v (t);

-- newt.text: whole strings, up to 64 MiB
SELECT length(newt.text(jsonb_build_object('a', repeat('x', 30000000), 'b', 'short'), VARIADIC array_fill('a'::text, ARRAY[n]) || 'b'::text)) AS length
  FROM (VALUES (1), (2), (3)) v (n);

-- a commit that has such a text does not fail, and an index tells which have been cut
CREATE TEMP TABLE doc (id int, state jsonb);
CREATE INDEX ON doc USING gin (newt.tsvector('simple', state));
INSERT INTO doc SELECT 1, jsonb_build_object('t', string_agg('word' || i, ' ')) FROM generate_series(1, 100000) i;
INSERT INTO doc VALUES (2, jsonb_build_object('t', repeat('Ⱥ', 1000) || ' short')), (3, '{"t": "short"}'), (4, jsonb_build_object('t', repeat('x', 20000000)));
SET enable_seqscan = off;
SELECT id FROM doc WHERE newt.tsvector('simple', state) @@ '''::cut''' ORDER BY id;
SELECT id FROM doc WHERE newt.tsvector('simple', state) @@ 'short' ORDER BY id;

-- the language of a document
SELECT l, newt.language(jsonb_build_object('l', l), 'l', '{de,en,pt-br}') AS language,
       newt.tsvector_by_language('simple', 'l', '{de,en,pt-br}', '{german,english,portuguese}', jsonb_build_object('t', 'Häuser houses', 'l', l), 't:A') AS words
  FROM unnest(ARRAY['de', 'DE-at', 'de_CH', 'en', 'pt-BR', 'pt', 'fr', '', '-', 'deutsch', repeat('d', 70), NULL]) l;
SELECT newt.language(d::jsonb, 'l', '{de}') FROM unnest(ARRAY['{}', '{"l": 1}', '{"l": ["de", "en"]}', '{"l": {"x": "de"}}', '{"l": null}', '[{"l": "de"}]', '"de"']) d;
SELECT newt.language('{"l": "de"}', 'l', '{}') = '' AND newt.language('{"l": "de"}', 'l', '{NULL}') = '' AND newt.language(NULL, 'l', '{}') IS NULL AS none;
SELECT pg_temp.error_of($$SELECT newt.tsvector_by_language('simple', 'l', '{de,en}', '{german}', '{}')$$);
