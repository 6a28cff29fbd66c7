-- text, tsvector and principals: what indexes take from a document
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

CREATE TEMP TABLE doc AS SELECT '{
    "title": "First task", "body": "Explain the tasks",
    "tags": ["red", "green"], "n": 12, "done": true, "none": null,
    "owner": {"name": "Ada", "address": {"city": "London"}},
    "steps": [{"what": "think", "who": ["eve", "mallory"]}, {"what": "write"}, [{"what": "nested"}]],
    "parent": {"::=>": 42},
    "a.b": "dotted", "a": {"b": "path"}, "b:A": "colon", "back\\slash": "slash",
    "raw": {"::b64": "AP8=", "::text": "lossy text"},
    "bytes": {"::b64": "AAECAw=="}, "big": {"::num": "1E+999999"}, "us": {"::us": 99},
    "unknown": {"::tag": 4711, "::v": "in a tag"},
    "part": {"::": "Part", "::id": 1, "label": "dynamic"}, "again": {"::->": 1},
    ":::mine": "key with colons", "::err": "too-large",
    "pairs": [{"k": "key", "v": "value"}]
}'::jsonb AS state;

-- all strings, but nothing that the projection added
SELECT regexp_split_to_table(newt.text(state), '\n') AS line FROM doc;
-- by path: arrays are walked through; what is not there gives nothing
SELECT path, regexp_split_to_array(newt.text(state, path), '\n') AS texts FROM doc, unnest(ARRAY[
    'title', 'tags', 'owner', 'owner.name', 'owner.address.city', 'owner.address', 'steps',
    'steps.what', 'steps.who', 'steps.what.more', 'n', 'done', 'none', 'parent', 'parent.::=>',
    'missing', 'missing.too', 'title.deeper', '', '.', 'title.', '.title', 'a.b', 'a\.b', 'b:A',
    'b\:A', 'back\\slash', 'back\slash', 'raw', 'raw.::text', 'bytes', 'unknown', 'part',
    'part.label', ':::mine', 'pairs.k', 'title\']) path;
SELECT newt.text(state, 'tags', 'title', 'tags') = E'red\ngreen\nFirst task\nred\ngreen' AS in_order,
       newt.text(state, VARIADIC ARRAY['title', 'n']) = 'First task' AS as_array,
       newt.text(state, VARIADIC '{}') = newt.text(state) AS no_paths
FROM doc;
-- documents that are no objects
SELECT document, newt.text(document::jsonb), newt.text(document::jsonb, 'a'),
       newt.principals(document::jsonb, 'a'), newt.tsvector('simple', document::jsonb)
FROM (VALUES ('"text"'), ('1'), ('null'), ('[]'), ('{}'), ('["x", ["y"]]'), ('[{"a": "z"}]'),
    ('[[[{"a": ["deep"]}]]]'), ('""')) v (document);
SELECT pg_temp.error_of($$SELECT newt.text('{}', 'a', NULL)$$);
SELECT pg_temp.error_of($$SELECT newt.principals('{}', NULL, 'a')$$);
SELECT pg_temp.error_of($$SELECT newt.tsvector('simple', '{}', NULL::text)$$);
SELECT newt.text(NULL) IS NULL AND newt.tsvector(NULL, '{}') IS NULL
   AND newt.principals('{}', VARIADIC NULL) IS NULL AS null_for_null;

-- tsvector: words never glue, phrases do not cross fields, weights
SELECT newt.tsvector('english', state, 'title:A', 'body:B', 'tags') FROM doc;
SELECT newt.tsvector('english', state, 'tags:c', 'owner.name:d', 'b\:A', 'b:A', 'b\:A:A') FROM doc;
SELECT newt.tsvector('english', state) = newt.tsvector('english', state, VARIADIC '{}') AS no_paths,
       newt.tsvector('english', state) @@ to_tsquery('english', 'lossy & ada & key & value & dynamic') AS words,
       newt.tsvector('english', state) @@ to_tsquery('english', 'b64 | large | part') AS wrappers
FROM doc;
SELECT newt.tsvector('english', state, 'title', 'body') @@ to_tsquery('english', 'first <-> task') AS phrase,
       newt.tsvector('english', state, 'title', 'body') @@ to_tsquery('english', 'task <-> explain') AS across,
       newt.tsvector('english', state, 'title', 'body') @@ to_tsquery('english', 'task <2> explain') AS across_2,
       newt.tsvector('english', state, 'tags') @@ to_tsquery('english', 'red <-> green') AS across_items,
       newt.tsvector('english', state, 'title:A', 'body') @@ to_tsquery('english', 'explain:A') AS wrong_weight,
       newt.tsvector('english', state, 'title:A', 'body') @@ to_tsquery('english', 'first:A') AS weight
FROM doc;
SELECT newt.tsvector('english', '{"t": "the of a", "u": "running"}', 't', 'u') AS stop_words,
       newt.tsvector('german', '{"t": "Häuser"}', 't') AS other_config,
       newt.tsvector('simple', '{}') AS empty;
-- the words of a field are those of to_tsvector
SELECT strip(newt.tsvector('english', jsonb_build_object('t', t))) = strip(to_tsvector('english', t)) AS same
FROM (VALUES ('The quick brown fox jumps over the lazy dog'), (''), ('user@example.org http://a.b/c?d=e well-known 1.5e3'),
    ('Ünïcödé ß 漢字')) v (t);

-- 1 MB is all a tsvector holds: the rest is left out, and nothing fails
SELECT length(v) BETWEEN 60000 AND 90000 AS most_words
FROM (SELECT newt.tsvector('simple', jsonb_build_object('t', string_agg('word' || i, ' ')))
      FROM generate_series(1, 200000) i OFFSET 0) s (v);
SELECT length(newt.tsvector('simple', jsonb_build_object('t', string_agg('word' || i % 1000, ',')))) AS all_words
FROM generate_series(1, 200000) i;
SELECT newt.tsvector('simple', d, 'b', 'a') @@ 'first' AS first_path, newt.tsvector('simple', d, 'a', 'b') @@ 'first' AS beyond
FROM (SELECT jsonb_build_object('a', string_agg('word' || i, ' '), 'b', 'first') FROM generate_series(1, 200000) i) s (d);
-- words of pieces are not cut
SELECT length(newt.tsvector('simple', jsonb_build_object('t', string_agg('abcdefghij', s)))) AS one_word
FROM generate_series(1, 20000), unnest(ARRAY[' ', E'\n', ',']) s GROUP BY s;
SELECT newt.tsvector('simple', jsonb_build_object('t', repeat('ä', 100000) || ' after')) AS long_word;

-- principals: strings, numbers, references; once each, in order
SELECT newt.principals('{"acl": ["bob", "alice", {"::=>": 7}, 12, "bob", ["carol"], true, null],
                         "owner": {"::=>": 3}, "roles": {"read": ["staff"], "write": "Staff"}}',
                       'acl', 'owner', 'roles', 'missing');
SELECT newt.principals('{"acl": []}', 'acl') AS none, newt.principals('{"acl": "x"}', VARIADIC '{}') AS no_path,
       newt.principals('{"acl": {"::=>": 1, "x": 2}}', 'acl') AS like_a_reference,
       newt.principals('{"acl": [{"::~>": 7}, {"::=>": 7}, {"::~>": 8}]}', 'acl') AS weak,
       newt.principals('{"acl": ["a", "aa", "B", "ä", "", "z"]}', 'acl') AS bytewise;
-- limits: 10,000 of them, 1,000 bytes each
SELECT n, cardinality(newt.principals(jsonb_build_object('acl', jsonb_agg('p' || i)), 'acl'))
FROM (VALUES (9999), (10000), (10001)) v (n), generate_series(1, n) i GROUP BY n ORDER BY n;
SELECT n, cardinality(newt.principals(jsonb_build_object('acl', repeat('x', n)), 'acl'))
FROM (VALUES (1000), (1001)) v (n);
-- a principal as long as allowed fits in a GIN index
CREATE TEMP TABLE acl AS SELECT jsonb_build_object('acl', string_agg(md5(i::text), '')) AS state FROM generate_series(1, 31) i;
UPDATE acl SET state = jsonb_build_object('acl', (state->>'acl') || 'abcdefgh');
CREATE INDEX ON acl USING gin (newt.principals(state, 'acl'));
SELECT octet_length(state->>'acl'), newt.principals(state, 'acl') && ARRAY[state->>'acl'] AS found FROM acl;
-- references are whole numbers, each once, in their order
SELECT newt.refs_at('{"a": [{"::=>": 70}, {"::=>": 9}, {"::=>": 70}, {"::=>": 1.5}, {"::=>": -2}, {"::=>": 1e30}, {"::=>": "8"}, 6], "b": {"::=>": 5}}', 'a') AS several,
       newt.refs_at('{"a": {"b": [{"c": {"::=>": 5}}, {"c": {"::=>": 4}}]}}', 'a.b.c') AS deep, newt.refs_at('{"a": 1}', 'a') AS none;
SELECT newt.refs_at('{"a": [{"::=>": 0}, {"::=>": 9223372036854775807}, {"::=>": 9223372036854775808}, {"::=>": 7}, {"::=>": -7}, {"::=>": 7}]}', 'a');
