-- one value of a document as an SQL type
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

\x
SELECT newt.bool(d, 'b') AS bool, newt.int8(d, 'i') AS int8, newt.int8(d, 'in', 'side') AS deep, newt.float8(d, 'f') AS float8, newt.numeric(d, 'n') AS "numeric",
       newt.string(d, 's') AS string, newt.string(d, 'lossy') AS lossy, newt.bytes(d, 'bytes') AS bytes, newt.bytes(d, 'many') AS many, newt.ts(d, 't') AS ts,
       newt.ts(d, 'late') AS late, newt.date(d, 'day') AS date, newt.duration(d, 'took') AS duration, newt.uuid(d, 'u') AS uuid, newt.ref(d, 'r') AS ref, newt.json(d, 'in') AS json
  FROM (SELECT jsonb '{"b": false, "i": -12, "in": {"side": 7}, "f": 0.1, "n": 1.50, "s": "text", "lossy": {"::b64": "YQBi", "::text": "lo"},
       "bytes": {"::b64": "AAH/"}, "many": {"::bin": 1000}, "t": "2024-05-06T07:08:09.000010Z", "late": {"::us": 253402300800000000}, "day": {"::days": 1},
       "took": 1500000, "u": "00112233-4455-6677-8899-aabbccddeeff", "r": {"::=>": 42}}') x (d);
SELECT newt.bool_array(d, 'v') AS bool, newt.int8_array(d, 'v') AS int8, newt.float8_array(d, 'v') AS float8, newt.numeric_array(d, 'v') AS "numeric",
       newt.string_array(d, 'v') AS string, newt.bytes_array(d, 'v') AS bytes, newt.ts_array(d, 'v') AS ts, newt.date_array(d, 'v') AS date,
       newt.duration_array(d, 'v') AS duration, newt.uuid_array(d, 'v') AS uuid, newt.ref_array(d, 'v') AS ref, newt.json_array(d, 'v') AS json
  FROM (SELECT jsonb '{"v": [true, 3, 0.5, "x", null, {"::b64": "AA=="}, "2024-05-06T07:08:09.000010Z", "2024-05-06", {"::=>": 5},
       "00112233-4455-6677-8899-aabbccddeeff", [], {}]}') x (d);
\x
-- whole values: numbers at the ends of the types
SELECT v, newt.int8(v::jsonb), newt.float8(v::jsonb), newt.numeric(v::jsonb) = v::numeric AS "numeric", newt.duration(v::jsonb) IS NULL AS no_duration
  FROM unnest('{0,-0.0,1.0,-1.50,9999,10000,10001,99999999,1e8,123456789012345678,9223372036854775807,-9223372036854775808,9223372036854775808,1e18,1e19,1e22,1e23,1e-4,1e-20,1.7976931348623157e308,1e309,0.1,2.675,9007199254740993,9007199254740992.5,100000000000000000000000000000000000000000}'::text[]) v;
SELECT bool_and(newt.float8(to_jsonb(v)) = v) AS same, count(*) FROM (SELECT (random() * 10 ^ (i % 60 - 30))::float8 AS v FROM generate_series(1, 5000) i) x;
SELECT bool_and(newt.int8(to_jsonb(v)) = v) AS same FROM (SELECT (random() * 10 ^ (i % 19) - random() * 10 ^ (i % 17))::bigint AS v FROM generate_series(1, 5000) i) x;
-- what is not there, or not such a value; no path, null in a path, scalars and arrays on the way
SELECT newt.int8('{"a": 1}', 'b'), newt.int8('{"a": "1"}', 'a'), newt.int8('{"a": [1]}', 'a', '0'), newt.int8('5', 'a'), newt.int8('[5]', 'a'), newt.int8('{}', 'a'),
       newt.int8('7', VARIADIC '{}'), newt.int8('{"a": 1}', VARIADIC ARRAY['a', NULL]), newt.int8('{"a": 1}', VARIADIC NULL), newt.json('{"a": null}', 'a'),
       newt.int8('{"": 8}', ''), newt.bytes('{"::b64": "?"}'), newt.string('{"::b64": "AA=="}'), newt.ref('{"::=>": 1, "x": 2}'), newt.ref('{"::->": 1}');
SELECT newt.int8_array('{"a": {}}', 'a'), newt.int8_array('{"a": 1}', 'a'), newt.int8_array('{"a": []}', 'a'), newt.int8_array('[1, 2]', VARIADIC '{}'), newt.int8_array('5', VARIADIC '{}');
-- documents of other shapes, one after the other; a path that changes
SELECT newt.int8(d::jsonb, 'x'), newt.int8(d::jsonb, VARIADIC p) FROM (VALUES (1, '{"x": 1}', '{x}'::text[]), (2, '{"a": 0, "b": 0, "c": 0, "x": 2, "y": 3}', '{y}'),
    (3, '{}', '{x}'), (4, '{"x": 4, "xx": 5}', '{xx}'), (5, '{"w": 0, "x": {"y": 6}}', '{x,y}'), (6, '{"v": 0}', '{v,y}')) x (i, d, p) ORDER BY i;
SELECT * FROM newt.items('{"a": {"b": [1, {"x": 2}, null, []]}}', 'a', 'b');
SELECT * FROM newt.items('[3]', VARIADIC '{}');
SELECT * FROM newt.entries('{"a": {"one": 1, "": null, "::": "Class", ":::odd": 2, "::err": 3}}', 'a');
SELECT count(*) FROM (SELECT newt.items('{"a": 1}', 'a') UNION ALL SELECT newt.items('{}', 'a')) x;
SELECT count(*) FROM (SELECT newt.entries('{"a": []}', 'a') UNION ALL SELECT newt.entries('5', VARIADIC '{}')) x;
SELECT i, n, item FROM generate_series(1, 3) i, newt.items(jsonb_build_object('a', to_jsonb(array_fill(i, ARRAY[i]))), 'a') ORDER BY 1, 2;

-- documents of many sizes, stored as they are, compressed, outside of their row; unpacked only in part
CREATE TEMP TABLE doc (i integer PRIMARY KEY, state jsonb);
INSERT INTO doc SELECT i, (SELECT jsonb_object_agg(repeat('k', k % 13) || k, CASE k % 4 WHEN 0 THEN to_jsonb(k * i) WHEN 1 THEN to_jsonb(repeat('x', i % 50) || repeat(md5(k || ' ' || i), i % 5)) WHEN 2 THEN to_jsonb(ARRAY[k, i]) ELSE jsonb_build_object('in', k) END)
                             FROM generate_series(1, 1 + i % 97) k) FROM generate_series(1, 400) i;
ALTER TABLE doc ADD plain jsonb;
ALTER TABLE doc ALTER plain SET STORAGE EXTERNAL;
UPDATE doc SET plain = state;
SELECT count(DISTINCT coalesce(pg_column_compression(state), 'none')) AS kinds, max(pg_column_size(state)) > 2000 AS large FROM doc;
SELECT count(*) FROM doc, jsonb_object_keys(state) k
 WHERE newt.json(state, k) IS DISTINCT FROM state->k OR newt.json(plain, k) IS DISTINCT FROM state->k
    OR newt.json(state, k, 'in') IS DISTINCT FROM state->k->'in' OR newt.json(state, k || 'not') IS NOT NULL
    OR newt.int8_array(state, k) IS DISTINCT FROM CASE jsonb_typeof(state->k) WHEN 'array' THEN ARRAY(SELECT newt.int8(e) FROM jsonb_array_elements(state->k) e) END;
SELECT count(*) FROM doc WHERE newt.int8(state, 'kkkk4') IS DISTINCT FROM (state->>'kkkk4')::bigint OR newt.string(state, 'k1') IS DISTINCT FROM state->>'k1'
    OR newt.int8(plain, 'kkkk4') IS DISTINCT FROM (state->>'kkkk4')::bigint OR newt.json(state, VARIADIC '{}') <> state;
-- a value of more than a megabyte is not kept; a changed one is not taken for the old one
INSERT INTO doc SELECT 1000, jsonb_build_object('a', 1, 'b', repeat('b', 2000000), 'cc', 3);
SELECT newt.int8(state, 'a'), length(newt.string(state, 'b')), newt.int8(state, 'cc'), length(newt.string(state, 'b')) FROM doc WHERE i = 1000;
BEGIN;
SELECT newt.int8(state, 'a') FROM doc WHERE i = 1000;
UPDATE doc SET state = state || '{"a": 2}' WHERE i = 1000;
SELECT newt.int8(state, 'a'), newt.int8(state, 'cc') FROM doc WHERE i = 1000;
SAVEPOINT s;
UPDATE doc SET state = state || '{"cc": 4}' WHERE i = 1000;
SELECT newt.int8(state, 'a'), newt.int8(state, 'cc') FROM doc WHERE i = 1000;
ROLLBACK TO s;
SELECT newt.int8(state, 'a'), newt.int8(state, 'cc') FROM doc WHERE i = 1000;
COMMIT;
SELECT newt.int8(state, 'a'), newt.int8(state, 'cc') FROM doc WHERE i = 1000;
-- an index over a path
CREATE INDEX doc_k ON doc (newt.int8(state, 'kkkk4'));
SET enable_seqscan = off;
SELECT pg_temp.plan_of('SELECT i FROM doc WHERE newt.int8(state, ''kkkk4'') = 12');
