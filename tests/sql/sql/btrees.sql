-- newt.btree_*: trees as they stand in records; the library's own are compared in tests/bridge/server_trees.c
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

-- Records of class T; lists of at most 23 items.
CREATE FUNCTION pg_temp.list(VARIADIC items bytea[]) RETURNS bytea LANGUAGE sql AS $$
    SELECT set_byte('\x00', 0, 128 + cardinality(items)) || coalesce(string_agg(i.item, '' ORDER BY i.n), '') FROM unnest(items) WITH ORDINALITY i (item, n) $$;
CREATE FUNCTION pg_temp.ref(oid int) RETURNS bytea LANGUAGE sql AS $$ SELECT '\xd9960119'::bytea || int2send(oid::int2) $$;
CREATE FUNCTION pg_temp.words(VARIADIC words text[]) RETURNS bytea LANGUAGE sql AS $$
    SELECT pg_temp.list(VARIADIC ARRAY(SELECT set_byte('\x00', 0, 96 + octet_length(w)) || convert_to(w, 'UTF8') FROM unnest(words) WITH ORDINALITY x (w, n) ORDER BY n)) $$;
CREATE FUNCTION pg_temp.refs(VARIADIC oids int[]) RETURNS bytea LANGUAGE sql AS $$
    SELECT pg_temp.list(VARIADIC ARRAY(SELECT pg_temp.ref(o) FROM unnest(oids) WITH ORDINALITY x (o, n) ORDER BY n)) $$;
-- fields by name, in the order of a record; null: left out
CREATE FUNCTION pg_temp.record(fields jsonb, hidden boolean DEFAULT true) RETURNS bytea LANGUAGE sql AS $$
    SELECT '\x83615401'::bytea || CASE WHEN hidden THEN '\xd99603'::bytea ELSE '' END || set_byte('\x00', 0, 160 + count(*)::int)
        || string_agg(set_byte('\x00', 0, 96 + length(key)) || convert_to(key, 'UTF8') || value::bytea, '' ORDER BY length(key), key COLLATE "C")
      FROM jsonb_each_text(fields) $$;
CREATE FUNCTION pg_temp.node(level int, root boolean, keys bytea, high bytea DEFAULT '\x80', children bytea DEFAULT '\x80', vals bytea DEFAULT NULL, counts bytea DEFAULT '\x80')
RETURNS bytea LANGUAGE sql AS $$
    SELECT pg_temp.record(jsonb_strip_nulls(jsonb_build_object('level', set_byte('\x00', 0, level), 'root', CASE WHEN root THEN '\xf5'::bytea ELSE '\xf4' END,
        'keys', keys, 'high', high, 'children', children, 'counts', counts, 'values', vals))) $$;

SELECT newt.create_store('newt_btrees');
SET search_path = newt_btrees;
-- a tree of two levels: values are integers, a text, null, a map
INSERT INTO object_state VALUES
    (1000, 1, pg_temp.node(1, true, pg_temp.words('d', 'g'), children => pg_temp.refs(1001, 1002, 1003), vals => '\x80', counts => pg_temp.refs(1010, 1011))),
    (1001, 1, pg_temp.node(0, false, pg_temp.words('a', 'b', 'c'), pg_temp.words('d'), vals => '\x8301617821')),
    (1002, 1, pg_temp.node(0, false, pg_temp.words('d', 'e', 'f'), pg_temp.words('g'), vals => '\x83f6a1616e03d99601182a')),
    (1003, 1, pg_temp.node(0, false, pg_temp.words('g', 'h'), vals => '\x8206d9960307')), -- the last is hidden
    (1010, 1, '\x836b6e6577742e4c656e67746801a16576616c75650a'),
    (1011, 1, '\x836b6e6577742e4c656e67746801a16576616c756521'),
    (1020, 1, pg_temp.node(0, true, '\x80')),                          -- an empty set
    (1021, 1, pg_temp.node(0, true, pg_temp.words('x', 'y'))),         -- a set
    (1022, 1, pg_temp.node(0, true, pg_temp.words('x'), vals => pg_temp.refs(1000))),
    (1030, 1, pg_temp.record(jsonb_build_object('level', '\x00'::bytea, 'root', '\xf5'::bytea, 'high', '\x80'::bytea, 'high2', '\x80'::bytea, 'counts', '\x80'::bytea, 'children', '\x80'::bytea,
        'keys', pg_temp.words('a', 'a', 'b', 'b', 'c'), 'keys2', '\x850102010300'::bytea, 'values', '\x850102030405'::bytea)));
SELECT * FROM newt.btree_items('newt_btrees', 1000);
SELECT * FROM newt.btree_items('newt_btrees', 1000, descending => true);
CREATE FUNCTION pg_temp.keys(from_key jsonb, to_key jsonb, after_from boolean, before_to boolean) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s | %s', (SELECT string_agg(key#>>'{}', ' ' ORDER BY n) FROM (SELECT row_number() OVER () AS n, key FROM newt.btree_items('newt_btrees', 1000, from_key, to_key, after_from, before_to)) i),
                             (SELECT string_agg(key#>>'{}', ' ' ORDER BY n) FROM (SELECT row_number() OVER () AS n, key FROM newt.btree_items('newt_btrees', 1000, from_key, to_key, after_from, before_to, true)) i)) $$;
SELECT f, t, a, b, pg_temp.keys(f, t, a, b) FROM (VALUES ('"c"'::jsonb, '"g"'::jsonb), ('"c1"', '"f1"'), (NULL, '"d"'), ('"g"', NULL), ('"d"', '"d"'), ('"g"', '"c"'), ('""', '"z"')) v (f, t),
       (VALUES (false, false), (true, false), (false, true), (true, true)) x (a, b);
-- composite keys, whole and their first part
SELECT * FROM newt.btree_items('newt_btrees', 1030, '["a"]', '["b", 1]');
SELECT key FROM newt.btree_items('newt_btrees', 1030, '["a"]', '["b"]', after_from => true);
SELECT key FROM newt.btree_items('newt_btrees', 1030, '["a", 2]', '["b"]', before_to => true);
-- one
SELECT k, newt.btree_get('newt_btrees', 1000, k), newt.btree_get('newt_btrees', 1021, k) FROM unnest('{"\"a\"","\"b\"","\"d\"","\"h\"","\"x\"","\"\""}'::jsonb[]) k;
SELECT newt.btree_get('newt_btrees', 1030, '["b", 3]'), newt.btree_get('newt_btrees', 1030, '["b", 2]');
-- counters count, right or wrong; leaves, and a leaf alone
SELECT z, newt.btree_length('newt_btrees', z) FROM unnest('{1000,1020,1021,1022,1030,7}'::bigint[]) z;
UPDATE object_state SET state = pg_temp.node(1, true, pg_temp.words('d', 'g'), children => pg_temp.refs(1001, 1002, 1003), vals => '\x80') WHERE zoid = 1000;
SELECT newt.btree_length('newt_btrees', 1000);
-- references as ids
SELECT * FROM newt.btree_refs('newt_btrees', 1022);
SELECT key, value_id FROM newt.btree_refs('newt_btrees', 1000, '"e"', '"g"');
-- sets, nothing, what is not there, null
SELECT * FROM newt.btree_items('newt_btrees', 1021);
SELECT z, (SELECT count(*) FROM newt.btree_items('newt_btrees', z)) FROM unnest('{1020,7,0,-1,NULL}'::bigint[]) z;
SELECT count(*) FROM newt.btree_items(NULL, 1000);
SELECT count(*) FROM newt.btree_items('newt_btrees', 1000, after_from => NULL, before_to => NULL, descending => NULL);
SELECT newt.btree_length('newt_btrees', NULL), newt.btree_get('newt_btrees', 1000, NULL);

-- it is part of the query, which ends it
SELECT pg_temp.plan_of('SELECT * FROM newt.btree_items(''newt_btrees'', 1000) LIMIT 2');
SELECT pg_temp.plan_of('SELECT o.zoid, i.value_id FROM newt_btrees.object_state o, newt.btree_refs(''newt_btrees'', o.zoid) i WHERE o.zoid = 1022');
SELECT o.zoid, i.key, i.value FROM object_state o CROSS JOIN LATERAL newt.btree_items('newt_btrees', o.zoid) i WHERE o.zoid IN (1021, 1022) ORDER BY 1, 2;
SELECT o.zoid, (SELECT i.key FROM newt.btree_items('newt_btrees', o.zoid, descending => true) i LIMIT 1) FROM object_state o WHERE o.zoid IN (1000, 1021, 1022) ORDER BY 1;
BEGIN;
DECLARE closed CURSOR FOR SELECT key FROM newt.btree_items('newt_btrees', 1000);
FETCH 2 FROM closed;
CLOSE closed;
DECLARE held CURSOR WITH HOLD FOR SELECT key FROM newt.btree_items('newt_btrees', 1000);
FETCH 1 FROM held;
COMMIT;
FETCH 2 FROM held;
CLOSE held;
-- own changes are seen, by statement
BEGIN;
UPDATE object_state SET state = pg_temp.node(0, true, pg_temp.words('z')) WHERE zoid = 1021;
SELECT key FROM newt.btree_items('newt_btrees', 1021);
ROLLBACK;
-- under a view, and without index scans
CREATE SCHEMA newt_btrees_view;
CREATE VIEW newt_btrees_view.object_state AS SELECT * FROM newt_btrees.object_state WHERE zoid <> 1003;
SELECT key FROM newt.btree_items('newt_btrees_view', 1000, NULL, '"b"');
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM newt.btree_items('newt_btrees', 1000);
RESET enable_indexscan;
RESET enable_bitmapscan;

-- keys of other kinds, and what is no key
INSERT INTO object_state VALUES
    (1100, 1, pg_temp.node(0, true, '\x833903e7001bffffffffffffffff')),
    (1101, 1, pg_temp.node(0, true, '\x8240430102ff')),
    (1102, 1, pg_temp.node(0, true, '\x83d903e9a20120251a000f423fd903e9a2011a66320b982500d903e9a2011b0000003afff441802500')),
    (1103, 1, pg_temp.node(0, true, '\x83d8643a000af93ad86400d864194d7b')),
    (1104, 1, pg_temp.node(0, true, '\x82d8255000112233445566778899aabbccddeeffd82550f81d4fae7dec11d0a76500a0c91e6bf6')),
    (1105, 1, pg_temp.node(0, true, '\x82d9960105d996011903e8')),
    (1106, 1, pg_temp.node(0, true, '\x83616163610062d996024262ff')),
    (1107, 1, pg_temp.node(0, true, '\x825901010000'::bytea || decode(repeat('aa', 255), 'hex') || '\x590101'::bytea || decode(repeat('ff', 257), 'hex')));
SELECT t.z, left(i.key::text, 80) AS key, newt.btree_get('newt_btrees', t.z, i.key) AS is_there, (SELECT count(*) FROM newt.btree_items('newt_btrees', t.z, i.key)) AS from_here
  FROM unnest('{1100,1101,1102,1103,1104,1105,1106,1107}'::bigint[]) t (z), newt.btree_items('newt_btrees', t.z) i;
SELECT count(*) FROM newt.btree_items('newt_btrees', 1102, to_jsonb(timestamptz '2024-05-01 11:30:00+02'), to_jsonb(timestamptz '2024-05-01 09:30:00Z'));
CREATE FUNCTION pg_temp.bound_error(zoid bigint, bound text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.error_of(format('SELECT count(*) FROM newt.btree_items(''newt_btrees'', %s, %L)', zoid, bound)) $$;
SELECT z, b, pg_temp.bound_error(z, b) FROM (VALUES (1000, '1'), (1000, 'null'), (1000, '["a"]'), (1000, '{}'), (1000, '{"::text": "a"}'), (1000, '{"::b64": 1}'), (1100, '1.5'), (1100, '"1"'), (1100, '18446744073709551616'),
    (1100, '-9223372036854775809'), (1101, '"a"'), (1101, '{"::bin": 300}'), (1102, '"yesterday or so"'), (1102, '"infinity"'), (1102, '0'), (1103, '"2024-02-30"'), (1104, '"x"'), (1105, '5'), (1030, '"a"'), (1030, '[]'),
    (1030, '["a", 1, 2]'), (1030, '["a", "b"]'), (1030, '{"a": 1}')) v (z, b);
SELECT pg_temp.error_of('SELECT newt.btree_get(''newt_btrees'', 1030, ''["a"]'')');
SELECT pg_temp.bound_error(1020, '[]'); -- of an empty tree no kind is known

-- no trees, damaged ones, hostile ones
CREATE FUNCTION pg_temp.with_root(record bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE newt_btrees.object_state SET state = record WHERE zoid = 1000;
    RETURN pg_temp.error_of('SELECT key, value FROM newt.btree_items(''newt_btrees'', 1000)');
END
$$;
CREATE FUNCTION pg_temp.with_leaf(record bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bytea := (SELECT state FROM newt_btrees.object_state WHERE zoid = 1002);
    result text;
BEGIN
    UPDATE newt_btrees.object_state SET state = record WHERE zoid = 1002;
    result := pg_temp.error_of('SELECT key, value FROM newt.btree_items(''newt_btrees'', 1000)');
    IF result <> coalesce(pg_temp.error_of('SELECT key, value FROM newt.btree_items(''newt_btrees'', 1000, descending => true)'), '') THEN
        result := result || ', but not both ways';
    END IF;
    UPDATE newt_btrees.object_state SET state = before WHERE zoid = 1002;
    RETURN result;
END
$$;
SELECT pg_temp.bound_error(1001, NULL), pg_temp.bound_error(1010, NULL);
SELECT what, pg_temp.with_leaf(record) FROM (VALUES
    ('cut short', '\x83615401d99603a7'::bytea),
    ('no record', '\xff00ff'),
    ('empty', '\x'),
    ('newer', '\x84'),
    ('no node', '\x8361540105'),
    ('bytes after it', pg_temp.node(0, false, '\x80', vals => '\x80') || '\x00'),
    ('another level', pg_temp.node(1, false, '\x80', children => pg_temp.refs(1001), vals => '\x80')),
    ('a level that no tree has', pg_temp.node(48, false, '\x80', vals => '\x80')),
    ('a level that is none', pg_temp.record(jsonb_build_object('level', '\x6161'::bytea, 'root', '\xf4'::bytea, 'keys', '\x80'::bytea, 'high', '\x80'::bytea))),
    ('a root that is none', pg_temp.record(jsonb_build_object('level', '\x00'::bytea, 'root', '\xa0'::bytea, 'keys', '\x80'::bytea, 'high', '\x80'::bytea))),
    ('a list that is none', pg_temp.node(0, false, '\xa0', vals => '\x80')),
    ('keys of two kinds', pg_temp.node(0, false, '\x82616501', vals => '\x820102')),
    ('keys of another kind', pg_temp.node(0, false, '\x8101', vals => '\x8101')),
    ('keys of no kind', pg_temp.node(0, false, '\x8180', vals => '\x8101')),
    ('a hidden key', pg_temp.node(0, false, '\x81d996036164', vals => '\x8101')),
    ('a null key', pg_temp.node(0, false, '\x81f6', vals => '\x8101')),
    ('out of order', pg_temp.node(0, false, pg_temp.words('f', 'e'), vals => '\x820102')),
    ('a key twice', pg_temp.node(0, false, pg_temp.words('e', 'e'), vals => '\x820102')),
    ('before its place', pg_temp.node(0, false, pg_temp.words('c'), vals => '\x8101')),
    ('beyond its place', pg_temp.node(0, false, pg_temp.words('g'), vals => '\x8101')),
    ('too few values', pg_temp.node(0, false, pg_temp.words('d', 'e'), vals => '\x8101')),
    ('no values', pg_temp.node(0, false, pg_temp.words('d', 'e'))),
    ('children', pg_temp.node(0, false, pg_temp.words('d'), children => pg_temp.refs(1001), vals => '\x8101')),
    ('two ends', pg_temp.node(0, false, pg_temp.words('d'), pg_temp.words('f', 'g'), vals => '\x8101')),
    ('children that are none', pg_temp.node(0, false, pg_temp.words('d'), children => '\x8105', vals => '\x8101')),
    ('a huge list', '\x83615401d99603a4646869676880646b6579739affffffff'),
    ('sound', pg_temp.node(0, false, pg_temp.words('d'), vals => '\x8101'))) v (what, record);
SELECT what, pg_temp.with_root(record) FROM (VALUES
    ('to itself', pg_temp.node(1, true, pg_temp.words('d'), children => pg_temp.refs(1000, 1000), vals => '\x80')),
    ('a leaf twice', pg_temp.node(1, true, pg_temp.words('d'), children => pg_temp.refs(1001, 1001), vals => '\x80')),
    ('a leaf that is gone', pg_temp.node(1, true, pg_temp.words('d'), children => pg_temp.refs(1001, 1099), vals => '\x80')),
    ('no leaf', pg_temp.node(1, true, '\x80', vals => '\x80')),
    ('more children', pg_temp.node(1, true, '\x80', children => pg_temp.refs(1001, 1002), vals => '\x80')),
    ('composite', pg_temp.node(1, true, pg_temp.words('d'), children => pg_temp.refs(1001, 1030), vals => '\x80')),
    ('a field that no node has', '\x83615401d99603a7'::bytea || '\x6178a0' || substr(pg_temp.node(0, true, pg_temp.words('x')), 9)),
    ('shown', pg_temp.record(jsonb_build_object('level', '\x00'::bytea, 'root', '\xf5'::bytea, 'keys', '\x8101'::bytea, 'high', '\x80'::bytea), hidden => false))) v (what, record);
SELECT pg_temp.with_root(pg_temp.node(1, true, pg_temp.words('d'), children => pg_temp.refs(1001, 1002), vals => '\x80', counts => pg_temp.refs(1001)));
SELECT pg_temp.error_of('SELECT newt.btree_length(''newt_btrees'', 1000)');
SELECT pg_temp.with_root(pg_temp.node(1, true, pg_temp.words('d'), children => pg_temp.refs(1001, 1002), vals => '\x80', counts => pg_temp.refs(1099)));
SELECT pg_temp.error_of('SELECT newt.btree_length(''newt_btrees'', 1000)');
-- what comes before the damage is there
UPDATE object_state SET state = pg_temp.node(1, true, pg_temp.words('d', 'g'), children => pg_temp.refs(1001, 1099, 1003), vals => '\x80') WHERE zoid = 1000;
SELECT key FROM newt.btree_items('newt_btrees', 1000) LIMIT 3;
SELECT key FROM newt.btree_items('newt_btrees', 1000, '"g"');
SELECT pg_temp.error_of('SELECT newt.btree_items(''nowhere'', 1000)');
-- where the nodes two levels above end a leaf, or begin it
INSERT INTO object_state (zoid, serial, state) VALUES
    (1051, 1, pg_temp.node(1, false, '\x80', children => pg_temp.refs(1001), vals => '\x80')),
    (1052, 1, pg_temp.node(1, false, '\x80', children => pg_temp.refs(1002), vals => '\x80'));
SELECT word, pg_temp.with_root(pg_temp.node(2, true, pg_temp.words(word), children => pg_temp.refs(1051, 1052), vals => '\x80'))
FROM unnest('{c,d,e}'::text[]) word;
-- a hidden list of values
UPDATE object_state SET state = pg_temp.node(0, true, pg_temp.words('d', 'e'), vals => '\xd99603820102') WHERE zoid = 1000;
SELECT * FROM newt.btree_items('newt_btrees', 1000);
SELECT newt.btree_get('newt_btrees', 1000, '"d"') IS NULL AS hidden;

SET client_min_messages = warning;
DROP SCHEMA newt_btrees, newt_btrees_view CASCADE;
