-- newt.classes, newt.paths, newt.referrers and the other questions about what is in a store.
BEGIN ISOLATION LEVEL READ COMMITTED;
CREATE EXTENSION newt;
SELECT newt.create_store('s');

-- CBOR of a document; jsonb has its keys in the order that records want
CREATE FUNCTION head(major int, n bigint) RETURNS bytea LANGUAGE sql AS $$
    SELECT CASE WHEN n < 24 THEN substr(int4send(major * 32 + n::int), 4) WHEN n < 256 THEN substr(int4send((major * 32 + 24) * 256 + n::int), 3)
                WHEN n < 65536 THEN substr(int4send((major * 32 + 25) * 65536 + n::int), 2) ELSE substr(int4send(major * 32 + 26), 4) || int4send(n::int) END $$;
CREATE FUNCTION cbor(v jsonb) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE jsonb_typeof(v)
        WHEN 'object' THEN CASE WHEN v ? '::=>' THEN '\xd99601'::bytea || head(0, (v->>'::=>')::bigint)
            ELSE head(5, (SELECT count(*) FROM jsonb_object_keys(v))) || coalesce((SELECT string_agg(cbor(to_jsonb(k)) || cbor(x), '' ORDER BY i) FROM jsonb_each(v) WITH ORDINALITY e (k, x, i)), '') END
        WHEN 'array' THEN head(4, jsonb_array_length(v)) || coalesce((SELECT string_agg(cbor(x), '' ORDER BY i) FROM jsonb_array_elements(v) WITH ORDINALITY e (x, i)), '')
        WHEN 'string' THEN head(3, octet_length(v #>> '{}')) || convert_to(v #>> '{}', 'UTF8')
        WHEN 'number' THEN head(0, (v #>> '{}')::bigint)
        WHEN 'boolean' THEN CASE WHEN v = 'true' THEN '\xf5'::bytea ELSE '\xf4' END
        ELSE '\xf6' END;
END $$;
CREATE FUNCTION object(zoid bigint, class text, state jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO s.object_state VALUES (zoid, zoid, '\x83'::bytea || cbor(to_jsonb(class)) || '\x01' || cbor(state))
        ON CONFLICT ON CONSTRAINT object_state_pkey DO UPDATE SET state = excluded.state;
    INSERT INTO s.newt_projection SELECT o.zoid, class, o.serial, newt.to_jsonb(o.state) FROM s.object_state o WHERE o.zoid = object.zoid
        ON CONFLICT ON CONSTRAINT newt_projection_pkey DO UPDATE SET state = excluded.state;
END $$;
SELECT object(1, 'newt.Root', '{"items": {"tasks": {"::=>": 10}, "a.b": {"::=>": 11}}}');
SELECT object(10, 'List', '{"items": [1, 2, 3, {"owner": {"::=>": 20}}, {"owner": {"::=>": 20}}], "gone": {"::=>": 99}}');
SELECT object(11, 'List', '{"items": [[{"::=>": 10}, {"::=>": 11}, {"::=>": 97}, {"::=>": 98}]]}'); -- a cycle
SELECT object(20, 'Person', '{"name": "Ada", "born": null, "tags": ["x", "y"], "by": {"a": 1, "b": "two"}, "at": {"x:y": true}}');
SELECT object(21, 'Person', '{"name": "Bob", "tags": ["x"], "by": {"c": 3}, "at": {}, "friend": {"::=>": 20}}');
SELECT object(22, 'Person', '{"name": "Bob", "tags": []}'); -- nothing refers to it
INSERT INTO s.newt_class (name, version, fields) VALUES
    ('Person', 1, '[{"name": "name", "kind": "text"}]'),
    ('Person', 3, '[{"name": "name", "kind": "text"}, {"name": "by", "kind": "json", "shape": "map"},
                    {"name": "at", "kind": "struct", "fields": [{"name": "x:y", "kind": "bool"}]}]'),
    ('Unused', 1, '[]');
INSERT INTO s.object_state VALUES (30, 30, '\x8028636e'), (31, 31, substr((SELECT state FROM s.object_state WHERE zoid = 10), 1, 40)), (32, 32, '\x');
CREATE ROLE newt_t_reader;
SELECT newt.grant_store('s', 'newt_t_reader', 'reader');

SELECT plan(110);
SET LOCAL ROLE newt_t_reader;

-- classes
SELECT results_eq($$SELECT class_name, versions, count, exact, projection, example FROM newt.classes('s')$$,
    $$VALUES ('List', '{}'::int[], 3::bigint, true, 'inline', 10::bigint), ('Person', '{1,3}', 3, true, 'inline', 20), (NULL, '{}', 2, true, NULL, 30),
             ('newt.Root', '{}', 1, true, 'inline', 1), ('Unused', '{1}', 0, true, 'inline', NULL)$$, 'the classes of a store, registered or not, and what is no record');
SELECT is((SELECT c.record_bytes FROM newt.classes('s') c WHERE c.class_name = 'Person'),
    (SELECT sum(pg_column_size(state)) FROM s.object_state WHERE zoid BETWEEN 20 AND 22)::bigint, 'bytes of records');
SELECT is((SELECT c.jsonb_bytes FROM newt.classes('s') c WHERE c.class_name = 'Person'),
    (SELECT sum(pg_column_size(state)) FROM s.newt_projection WHERE class_name = 'Person')::bigint, 'bytes of JSONB');
SELECT throws_ok($$SELECT newt.classes('nowhere')$$, '42704', 'there is no Newt store in schema "nowhere"', 'not a store');
SELECT throws_ok($$SELECT newt.classes(NULL)$$, '42704', 'no store is named', 'no store');
SELECT throws_ok($$SELECT newt.classes('s', 0)$$, '22023', 'at_most must be between 1 and 100000000', 'a sample of nothing');

-- samples
SELECT is(newt.sample_percent('s', 'object_state', 9), 100::float8, 'few rows are all read');
SELECT is(newt.sampled_table('s', 'a b', 100, 'x'), 's."a b" x', 'a table that is read whole');
SELECT is(newt.sampled_table('s', 'a b', 0.125, 'x'), 's."a b" x TABLESAMPLE system (0.125) REPEATABLE (0)', 'a sample of one');
SELECT is(s, ROW('{20,21,22}'::bigint[], 3::bigint, true)::record, 'a sample of all') FROM newt.sample('s', 'Person') s;
SELECT is(s.zoids, '{21,22}', 'spread evenly') FROM newt.sample('s', 'Person', 2) s;
SELECT is(s.zoids, '{20}', 'but no more than so many bytes') FROM newt.sample('s', 'Person', max_bytes => 1) s;
SELECT is(s.zoids, '{}', 'of no class there is none') FROM newt.sample('s', 'Nothing') s;
SELECT throws_ok($$SELECT newt.sample('s', NULL)$$, '22004', 'no class is named', 'no class');
SELECT throws_ok($$SELECT newt.sample('s', 'Person', 100001)$$, '22023', 'at_most must be between 1 and 100000', 'too large a sample');

-- paths
SELECT results_eq($$SELECT path, types, objects, round(frequency::numeric, 2), "values", distinct_values, example FROM newt.paths('s', 'Person')$$,
    $$VALUES ('at', '{object}'::text[], 2::bigint, 0.67, 2::bigint, 0::bigint, NULL), ('at.x\:y', '{boolean}', 1, 0.33, 1, 1, 'true'),
             ('born', '{"null"}', 1, 0.33, 1, 0, NULL), ('by', '{object}', 2, 0.67, 2, 0, NULL), ('by.*', '{number,string}', 2, 0.67, 3, 3, '1'),
             ('friend', '{reference}', 1, 0.33, 1, 1, '{"::=>": 20}'), ('name', '{string}', 3, 1.00, 3, 2, 'Ada'),
             ('tags', '{array,string}', 3, 1.00, 3, 2, 'x')$$, 'paths of a class: those of arrays are their items'', those of maps have *');
SELECT is_empty($$SELECT p FROM newt.paths('s', 'Nothing') p$$, 'of no class');
SELECT throws_ok($$SELECT newt.paths('s', NULL)$$, '22004', 'no class is named', 'no class is no class');
SELECT is(newt.path_key('a.b:c\d'), 'a\.b\:c\\d', 'keys in paths');
SELECT is(array(SELECT newt.value_type(v) FROM unnest(ARRAY['1', '"x"', 'null', 'true', '[]', '{}', '{"::=>": 5}', '{"::~>": 5}', '{"::b64": ""}', '{"::bin": 300}',
        '{"::b64": "", "::text": ""}', '{"::num": "1E+999"}', '{"::us": 1}', '{"::days": 1}', '{"::err": "too-large", "::bin": 1}', '{"::->": 0}', '{"::tag": 60000, "::v": 1}', '{"::": "C", "::id": 1}']::jsonb[]) v),
    '{number,string,"null",boolean,array,object,reference,"weak reference",bytes,bytes,string,number,time,date,"too large",shared,"unknown tag",object}', 'types of values');

-- references
SELECT is(newt.try_refs(o.state), newt.refs(o.state), 'references of a record') FROM s.object_state o WHERE zoid = 11;
SELECT is(array(SELECT newt.try_refs(state) IS NULL FROM s.object_state WHERE zoid >= 30 ORDER BY zoid), '{t,t,t}', 'and of none');
SELECT is(newt.ref_path(o.state, r), p, 'the place of ' || r) FROM s.object_state o,
    (VALUES (1, 10, 'items.tasks'), (1, 11, 'items.a\.b'), (10, 20, 'items[3].owner'), (10, 99, 'gone'), (11, 98, 'items[0][3]'), (11, 20, NULL), (32, 20, NULL)) v (zoid, r, p) WHERE v.zoid = o.zoid;
-- pairs {ref: ref, [ref]: 1}, a set, an object, an unknown tag, a value that is hidden
SELECT is(newt.ref_path(decode('83615401' || item, 'hex'), 5), p, 'the place in ' || what) FROM (VALUES
    ('pairs, a value', 'd90103a200d9960106' || '01d9960105', '[1].v'), ('pairs, a key', 'd90103a1d996010500', '[0].k'), ('pairs, within a key', 'd90103a18201d996010500', '[0].k[1]'),
    ('a set', 'd901028201d9960105', '[1]'), ('an object', 'd81b83615301a16161d9960105', 'a'), ('an unknown tag', 'd9ea60d9960105', '::v'),
    ('what is hidden', 'a16161d99603d9960105', 'a'), ('the state itself', 'd9960105', ''), ('a key with colons', 'a1633a3a78d9960105', '\:\:\:x')) v (what, item, p);
SELECT is(newt.ref_paths(state, ARRAY[99, NULL, 20, 21, 20, 0]), ARRAY['gone', NULL, 'items[3].owner', NULL, 'items[3].owner', NULL], 'the places of several') FROM s.object_state WHERE zoid = 10;
SELECT is(newt.ref_paths(state, '{}'), '{}', 'of none') FROM s.object_state WHERE zoid = 10;
SELECT results_eq($$SELECT r.* FROM newt.referrers('s', 20) r$$, $$VALUES (10::bigint, 'List', 'items[3].owner'), (21, 'Person', 'friend')$$, 'who refers to an object, by reading all');
SELECT results_eq($$SELECT referrer FROM newt.referrers('s', 20, 1)$$, $$VALUES (10::bigint)$$, 'the first of them');
SELECT is_empty($$SELECT r FROM newt.referrers('s', 22) r$$, 'nobody refers to this one');
SELECT throws_ok($$SELECT newt.create_referrers_index('s')$$, '42501', NULL, 'a reader makes no index');
SELECT is(newt.referrers_index('s'), NULL, 'there is none');
RESET ROLE;
SELECT is(newt.create_referrers_index_sql('s'), 'CREATE INDEX ON s.object_state USING gin (newt.try_refs(state))', 'the index');
SELECT lives_ok($$SELECT newt.create_referrers_index('s')$$, 'is made, whatever the records');
SELECT lives_ok($$INSERT INTO s.object_state VALUES (33, 33, 'rubbish')$$, 'and hinders none');
SET LOCAL ROLE newt_t_reader;
SELECT is(newt.referrers_index('s')::text, 's.object_state_try_refs_idx', 'it is found');
SELECT results_eq($$SELECT referrer FROM newt.referrers('s', 20)$$, $$VALUES (10::bigint), (21)$$, 'who refers to an object, by the index');
SELECT results_eq($$SELECT d.* FROM newt.dangling('s') d$$, $$VALUES (10::bigint, 'List', 99::bigint, 'gone'), (11, 'List', 97, 'items[0][2]'), (11, 'List', 98, 'items[0][3]')$$, 'references to nothing');
SELECT results_eq($$SELECT missing FROM newt.dangling('s', 1)$$, $$VALUES (99::bigint)$$, 'the first');
SELECT results_eq($$SELECT missing FROM newt.dangling('s', 1, after => 10)$$, $$VALUES (97::bigint)$$, 'the first after an object');
SELECT results_eq($$SELECT r.* FROM newt.reachable('s', 10) r$$, $$VALUES (10::bigint, 'List', 10::bigint), (20, 'Person', 20)$$, 'what can be reached');
SELECT results_eq($$SELECT object FROM newt.reachable('s', 1, 1)$$, $$VALUES (1::bigint), (10), (11)$$, 'not far');
SELECT results_eq($$SELECT object FROM newt.reachable('s', 1, max_objects => 2)$$, $$VALUES (1::bigint), (11)$$, 'few');
SELECT is_empty($$SELECT r FROM newt.reachable('s', 77) r$$, 'from nothing');

-- ways and objects
SELECT is(newt.route('s', 20), '{1,10,20}', 'the way to an object');
SELECT is(newt.route('s', 1), '{1}', 'to the root');
SELECT is(newt.route('s', 99), '{1,10,99}', 'to one that is gone');
SELECT is(newt.route('s', 22), NULL, 'to one that nobody refers to');
SELECT is(newt.route('s', 10, '{20,11}'), '{11,10}', 'from other objects');
SELECT is(newt.route('s', 20, max_objects => 3), NULL, 'not within three');
SELECT throws_ok($$SELECT newt.route('s', 20, ARRAY[NULL::bigint])$$, '22004', 'element 1 of roots must not be null', 'no root');
SELECT throws_ok($$SELECT newt.route('s', 20, max_objects => 1000001)$$, '22023', NULL, 'too far');
SELECT is(newt.route_path('s', '{1,10,20}'), 'tasks.items[3].owner', 'as a path');
SELECT is(newt.route_path('s', '{1,77,20}'), '?.?', 'as a path, if it is none');
RESET ROLE;
INSERT INTO s.transaction (tid, serial, nonce, username, description, committed_at) VALUES (5000000, 20, 0, 'ada', 'her own', '2024-05-06 07:08:09Z');
SET LOCAL ROLE newt_t_reader;
SELECT results_eq($$SELECT object, class_name, version, serial, tid, written_at, username, description, state->>'name', damage, refs, ref_count, referrer_count, path FROM newt.object('s', 20)$$,
    $$VALUES (20::bigint, 'Person', 1, 20::bigint, 5000000::bigint, '2024-05-06 07:08:09Z'::timestamptz, 'ada', 'her own', 'Ada', NULL, '{}'::bigint[], 0::bigint, 2::bigint, 'tasks.items[3].owner')$$, 'one object');
SELECT results_eq($$SELECT class_name, state, damage, referrer_count, path FROM newt.object('s', 31)$$,
    $$VALUES ('List', NULL::jsonb, 'invalid state record: At byte 39 of 40: record is cut short.', 0::bigint, NULL)$$, 'a damaged one');
SELECT is_empty($$SELECT o FROM newt.object('s', 77) o$$, 'none');
SELECT results_eq($$SELECT refs, ref_count FROM newt.object('s', 10)$$, $$VALUES ('{20,99}'::bigint[], 2::bigint)$$, 'what it refers to');

-- many objects, and large ones
RESET ROLE;
CREATE TEMP TABLE many AS SELECT i, '\x83'::bytea || cbor(to_jsonb(CASE WHEN i % 4 = 0 THEN 'Rare' ELSE 'Many' END)) || '\x01a1616e' || head(0, i) AS state FROM generate_series(1000, 1999) i;
INSERT INTO s.object_state SELECT m.i + 1000 * g, 7, m.state FROM many m, generate_series(1, 10) g;
INSERT INTO s.newt_projection SELECT o.zoid, newt.class_name(o.state), o.serial, newt.to_jsonb(o.state) FROM s.object_state o WHERE o.zoid >= 2000;
ANALYZE s.object_state, s.newt_projection;
SET LOCAL ROLE newt_t_reader;
SELECT cmp_ok(newt.sample_percent('s', 'object_state', 2000), '<', 25::float8, 'of many rows not all are read');
SELECT is(c.exact, false, 'then it is no count') FROM newt.classes('s', 2000) c WHERE class_name = 'Many';
SELECT ok(c.count BETWEEN 3750 AND 15000, 'but near: ' || c.count) FROM newt.classes('s', 2000) c WHERE class_name = 'Many';
SELECT is(c.count, 7500::bigint, 'all of them, if they are counted') FROM newt.classes('s') c WHERE class_name = 'Many';
SELECT is(ROW(cardinality(s.zoids), s.zoids[1], s.zoids[10], s.count, s.exact)::text, '(10,2996,11996,2500,t)', 'evenly among many') FROM newt.sample('s', 'Rare', 10) s;
SELECT is(p.distinct_values, 250::bigint, 'distinct values of a class, from all') FROM newt.paths('s', 'Rare', 2500) p;
SELECT ok(p.distinct_values BETWEEN 150 AND 500 AND p.objects = 333 AND p.frequency = 1, 'distinct values of a class, from a part: about ' || p.distinct_values) FROM newt.paths('s', 'Rare', 333) p;
RESET ROLE;
SELECT object(40, 'Deep', (SELECT (repeat('[', 400) || '{"::=>": 41}' || repeat(']', 400))::jsonb));
INSERT INTO s.object_state SELECT 41, 41, '\x836457696465' || '\x01ba000186a0'::bytea || string_agg('\x67'::bytea || convert_to('k' || i, 'UTF8') || '\xd996011a' || int4send(i), '' ORDER BY i)
  FROM generate_series(100001, 200000) i;
INSERT INTO s.newt_projection SELECT zoid, 'Wide', serial, newt.to_jsonb(state) FROM s.object_state WHERE zoid = 41;
INSERT INTO s.object_state SELECT 200000 + i, 1, '\x8365436861696e01a1646e657874d996011a' || int4send(200001 + i) FROM generate_series(1, 3000) i;
SELECT gin_clean_pending_list(newt.referrers_index('s')) > 0;
SET LOCAL ROLE newt_t_reader;
SELECT is(newt.ref_path(state, 41), repeat('[0]', 400), 'deep within a record') FROM s.object_state WHERE zoid = 40;
SELECT results_eq($$SELECT path, types FROM newt.paths('s', 'Deep')$$, $$VALUES (NULL, '{}'::text[]) LIMIT 0$$, 'what has no keys has no paths');
SELECT results_eq($$SELECT path, types, objects, "values", distinct_values FROM newt.paths('s', 'Wide')$$, $$VALUES ('*', '{reference}'::text[], 1::bigint, 100000::bigint, 100000::bigint)$$, 'a class that nobody registered, with many keys, is a map');
SELECT is(ROW(cardinality(refs), ref_count, referrer_count)::text, '(1000,100000,1)', 'an object with many references') FROM newt.object('s', 41);
SELECT is(newt.route('s', 200000, '{40}', 1000000), '{40,41,200000}', 'the way through it');
SELECT is(cardinality(newt.route('s', 203001, '{200001}')), 3001, 'a long way');
SELECT is((SELECT count(*) FROM newt.dangling('s', 1000000) d WHERE d.referrer = 41), 100000::bigint, 'much is gone');
SELECT is(newt.route_back('s', 20), '{1,10,20}', 'the way back') ;
SELECT is(newt.route_back('s', 1), '{1}', 'from the root');
SELECT is(newt.route_back('s', 10, '{20,11}'), '{11,10}', 'to other objects');
SELECT is(newt.route_back('s', 99), '{1,10,99}', 'from one that is gone');
SELECT is(newt.route_back('s', 22), NULL, 'from one that nobody refers to');
SELECT is(newt.route_back('s', 200000, '{40}'), '{40,41,200000}', 'through one with many references');
SELECT is(cardinality(newt.route_back('s', 200201, '{200001}')), 201, 'a long way back');
SELECT is(newt.route_back('s', 200202, '{200001}'), NULL, 'too long');
SELECT is(newt.route_back('s', 200101, '{200001}', 100), NULL, 'too many');
SELECT is(newt.route_back('s', 11, '{22}'), NULL, 'a cycle ends');
RESET ROLE;
-- more objects than are looked at
INSERT INTO s.newt_projection SELECT i, CASE WHEN i > 400999 THEN 'Late' ELSE 'Filler' END, 1, '{"a": 1}' FROM generate_series(300001, 401000) i;
ANALYZE s.newt_projection;
SELECT ok(NOT s.exact AND s.count < 3000, 'a rare class in a large store') FROM newt.sample('s', 'Late') s;
SELECT ok(NOT s.exact AND s.zoids @> '{20,21,22}' AND s.count >= 3, 'an old one') FROM newt.sample('s', 'Person') s;
CREATE INDEX ON s.newt_projection (class_name);
SELECT is(s, ROW('{401000}'::bigint[], 1::bigint, true)::record, 'by an index it is found') FROM newt.sample('s', 'Late') s;
DELETE FROM s.newt_projection WHERE zoid > 300000;
-- a virtual class
SELECT newt.set_projection('s', 'Person', 'virtual');
SET LOCAL ROLE newt_t_reader;
SELECT is(c.projection, 'virtual', 'who computes it') FROM newt.classes('s') c WHERE class_name = 'Person';
SELECT is(s, ROW('{20,21,22}'::bigint[], 3::bigint, true)::record, 'a sample of records') FROM newt.sample('s', 'Person') s;
SELECT is(array_agg(path), '{at,"at.x\\:y",born,by,by.*,friend,name,tags}', 'paths in records') FROM newt.paths('s', 'Person');
SELECT is(state->>'name', 'Ada', 'the state of a virtual object') FROM newt.object('s', 20);
RESET ROLE;
-- with rights that are missing
REVOKE SELECT ON s.object_state FROM newt_t_reader;
SET LOCAL ROLE newt_t_reader;
SELECT throws_ok(q, '42501', 'permission denied for table object_state', q) FROM unnest(ARRAY['SELECT newt.classes(''s'')', 'SELECT newt.referrers(''s'', 1)', 'SELECT newt.reachable(''s'', 1)',
    'SELECT newt.dangling(''s'')', 'SELECT newt.object(''s'', 1)', 'SELECT newt.route(''s'', 20)', 'SELECT newt.route_path(''s'', ''{1,10}'')', 'SELECT newt.sample_percent(''s'', ''object_state'', 1)']) q;
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
