-- newt.patch, newt.insert, newt.remove: objects written from SQL
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
SELECT newt.create_store('store_u');
INSERT INTO store_u.newt_class (name, version, fields) VALUES
    ('Kinds', 1, '[{"name": "bool", "kind": "bool"}, {"name": "i8", "kind": "int", "bits": 8}, {"name": "i64", "kind": "int", "bits": 64},
      {"name": "u8", "kind": "uint", "bits": 8}, {"name": "u64", "kind": "uint", "bits": 64}, {"name": "f32", "kind": "float", "bits": 32},
      {"name": "f64", "kind": "float", "bits": 64}, {"name": "text", "kind": "text"}, {"name": "bytes", "kind": "bytes"}, {"name": "time", "kind": "time"},
      {"name": "took", "kind": "duration"}, {"name": "date", "kind": "date"}, {"name": "uuid", "kind": "uuid"}, {"name": "decimal", "kind": "decimal"},
      {"name": "json", "kind": "json"}, {"name": "color", "kind": "enum", "names": ["red", "green"]}, {"name": "ref", "kind": "ref"}, {"name": "weak", "kind": "weak"},
      {"name": "far", "kind": "store_ref"}, {"name": "home", "kind": "struct", "class": "Home", "fields": [{"name": "city", "kind": "text", "required": true},
      {"name": "zip", "kind": "uint", "bits": 16}, {"name": "rooms", "kind": "text", "shape": "list"}]},
      {"name": "list", "kind": "int", "bits": 16, "shape": "list"}, {"name": "texts", "kind": "text", "shape": "list"}, {"name": "set", "kind": "text", "shape": "set"},
      {"name": "map", "kind": "text", "shape": "map"}, {"name": "homes", "kind": "struct", "shape": "map", "class": "Home", "fields": [{"name": "city", "kind": "text"}, {"name": "zip", "kind": "uint", "bits": 16}]},
      {"name": "pairs", "kind": "text", "shape": "pairs", "key": {"kind": "int", "bits": 8}}, {"name": "kept", "kind": "text", "keep_null": true},
      {"name": "secret", "kind": "text", "skip": true}]'),
    ('Must', 1, '[{"name": "title", "kind": "text", "required": true}, {"name": "n", "kind": "int", "bits": 8}]');
CREATE FUNCTION pg_temp.change(patch jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM newt.patch('store_u', 1024, patch);
    RETURN (SELECT string_agg(key || ': ' || coalesce((newt.to_jsonb(state) -> key)::text, '-'), ', ' ORDER BY key) FROM store_u.object_state, jsonb_object_keys(patch) key WHERE zoid = 1024);
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || sqlerrm;
END
$$;

-- a new object is as one of a program; every kind, given as it is shown
SELECT newt.insert('store_u', 'Kinds', '{"home": {"city": "Rome"}}') AS zoid;
SELECT encode(state, 'hex') FROM store_u.object_state WHERE zoid = 1024;
SELECT state FROM store_u.newt WHERE zoid = 1024;
SELECT patch, pg_temp.change(patch::jsonb) FROM (VALUES
    ('{"bool": true}'), ('{"bool": 1}'), ('{"bool": null}'),
    ('{"i8": -128}'), ('{"i8": 128}'), ('{"i8": 1.0}'), ('{"i8": 1.5}'), ('{"i8": "1"}'), ('{"i8": null}'), ('{"i8": 1e400}'),
    ('{"i64": -9223372036854775808}'), ('{"i64": 9223372036854775808}'),
    ('{"u8": 255}'), ('{"u8": 256}'), ('{"u8": -1}'), ('{"u64": 18446744073709551615}'), ('{"u64": 18446744073709551616}'),
    ('{"f32": 0.1}'), ('{"f32": 3.5e38}'), ('{"f32": 1e-60}'), ('{"f32": "NaN"}'), ('{"f64": 0.1}'), ('{"f64": "-Infinity"}'), ('{"f64": 1e400}'), ('{"f64": "x"}'),
    ('{"text": "naïve"}'), ('{"text": 5}'), ('{"text": {"::b64": "YQBi", "::text": "a�b"}}'), ('{"text": {"::b64": "Yf8="}}'),
    ('{"text": {"::b64": "YQBi", "::text": "a�c"}}'), ('{"text": {"::b64": "YQ"}}'), ('{"text": {"::bin": 300, "::text": "x"}}'), ('{"text": null}'),
    ('{"bytes": {"::b64": "AQID"}}'), ('{"bytes": {"::bin": 300}}'), ('{"bytes": "AQID"}'), ('{"bytes": {"::b64": "AQID", "::text": ""}}'), ('{"bytes": null}'),
    ('{"time": "2024-05-01T09:30:00.000000Z"}'), ('{"time": "2024-05-01"}'), ('{"time": {"::us": 253402300800000000}}'), ('{"time": {"::us": -9223372036854775808}}'), ('{"time": null}'),
    ('{"took": -5}'), ('{"took": 1.5}'), ('{"took": 9223372036854775808}'), ('{"took": null}'),
    ('{"date": "2024-02-29"}'), ('{"date": "2023-02-29"}'), ('{"date": {"::days": -719163}}'), ('{"date": {"::days": 2147483648}}'), ('{"date": {"::days": -2147483647}}'), ('{"date": {"::days": -2147483648}}'),
    ('{"uuid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}'), ('{"uuid": "00000000-0000-0000-0000-000000000000"}'), ('{"uuid": "f81d4fae"}'),
    ('{"decimal": 1.50}'), ('{"decimal": {"::num": "1E+999999"}}'), ('{"decimal": "NaN"}'), ('{"decimal": {"::num": "x"}}'), ('{"decimal": "1"}'),
    ('{"json": {"a": [1, 2.50, 2.5, 1e-9, null, {"::=>": 5}, {"::~>": 6}, {"::b64": "AQ=="}, {"::b64": "YQBi", "::text": "a�b"}, {"::us": 253402300800000000}, {"::days": -719163}, {"::num": "1E+500"}, {"::tag": 60000, "::v": [1]}], ":::b": {}}}'),
    ('{"json": {"x": {"::id": 0, "a": 1}, "y": {"::->": 0}}}'), ('{"json": {"y": {"::->": 0}}}'), ('{"json": {"::": "Step", "n": 1}}'), ('{"json": {"::bin": 300}}'), ('{"json": {"::days": "x"}}'), ('{"json": {"::tag": 5}}'),
    ('{"json": {"::id": 0, "z": {"::id": 0}}}'), ('{"json": null}'),
    ('{"color": "green"}'), ('{"color": "blue"}'), ('{"color": 1}'),
    ('{"ref": {"::=>": 77}}'), ('{"ref": {"::~>": 77}}'), ('{"ref": 77}'), ('{"ref": {"::=>": 0}}'), ('{"ref": null}'), ('{"weak": {"::~>": 77}}'), ('{"weak": {"::=>": 77}}'),
    ('{"far": {"::tag": 38401, "::v": ["s", 7]}}'), ('{"far": {"::tag": 38401, "::v": ["", 7]}}'), ('{"far": {"::=>": 7}}'),
    ('{"kept": "x"}'), ('{"kept": null}'),
    ('{"unknown": 1}'), ('{"::=>": 1}'), ('{}')) p (patch);

-- tags that mean something in a record are not given as unknown ones
SELECT array_agg(tag ORDER BY tag) FILTER (WHERE pg_temp.change(jsonb_build_object('json', jsonb_build_object('::tag', tag, '::v', 1))) LIKE '22023 %') AS refused
  FROM unnest('{0,1,2,3,4,5,6,24,25,26,27,28,29,30,37,100,256,258,259,1001,1002,38400,38401,38402,38403,38404,38405,55799}'::bigint[]) tag;

-- times as RFC 3339 has them, such as those of PostgreSQL in JSON
SELECT given, pg_temp.change(jsonb_build_object('time', given)) FROM (VALUES
    ('2030-01-02T03:04:05Z'), ('2030-01-02T03:04:05.5Z'), ('2030-01-02 03:04:05.123456+00:00'), ('2030-01-02T03:04:05+05:30'), ('2030-01-02T00:00:00-23:59'), ('2030-01-02T03:04:05.'), ('2030-01-02T03:04:05.Z'),
    ('2030-01-02T03:04:05.1234567Z'), ('2030-01-02T03:04:05'), ('2030-01-02T03:04:05+24:00'), ('2030-01-02T03:04:05+00:60'), ('2030-01-02T03:04:05+0100'), ('2030-02-30T03:04:05Z'), ('2030-01-02T24:00:00Z'),
    ('2030-01-02T03:04:05+1a:00'), ('2030-01-02T03:04:05ZZ'), ('2030-01-02T03:04'), ('')) t (given);
SET timezone = 'Asia/Kolkata';
SELECT newt.patch('store_u', 1024, jsonb_build_object('time', '2030-01-02 03:04:05.25+00'::timestamptz)) > 0, (SELECT newt.try_to_jsonb(state)->>'time' FROM store_u.object_state WHERE zoid = 1024) AS before;
SELECT newt.try_to_jsonb(state)->>'time' AS time FROM store_u.object_state WHERE zoid = 1024;
RESET timezone;
SELECT pg_temp.change('{"time": null}');

-- the least duration is floored to seconds that alone would be too few
SELECT pg_temp.change('{"took": -9223372036854775808}');
SELECT pg_temp.change('{"i8": 5}');
SELECT pg_temp.change('{"took": null}');

-- structs and maps are merged, all else is replaced
SELECT patch, pg_temp.change(patch::jsonb) FROM (VALUES
    ('{"home": {"zip": 5}}'), ('{"home": {"rooms": ["a", null]}}'), ('{"home": {"city": null}}'), ('{"home": {"zip": "a"}}'), ('{"home": {"rooms": [1]}}'), ('{"home": {"town": "x"}}'), ('{"home": null}'), ('{"home": []}'), ('{"home": {"zip": null}}'),
    ('{"list": [3, 1, 2]}'), ('{"list": [1, 70000]}'), ('{"list": [1, null]}'), ('{"list": {}}'), ('{"list": null}'), ('{"texts": ["a", null]}'),
    ('{"set": ["b", "a", "b", null]}'), ('{"set": "a"}'),
    ('{"map": {"b": "1", "a": "2", ":::x": "3"}}'), ('{"map": {"b": null, "c": "4"}}'), ('{"map": {"::x": "5"}}'), ('{"map": {"d": 5}}'), ('{"map": [{"k": "z", "v": null}, {"k": {"::b64": "/w=="}, "v": "raw"}]}'), ('{"map": {"z": "1", "y": "2"}}'), ('{"map": [{"k": null, "v": "1"}]}'), ('{"map": [{"k": "a"}]}'), ('{"map": 5}'),
    ('{"map": [{"k": "a", "v": "1"}, {"k": "a", "v": "2"}]}'), ('{"map": []}'),
    ('{"homes": {"x": {"city": "Rome", "zip": 1}}}'), ('{"homes": {"x": {"zip": 2}, "y": {}}}'), ('{"homes": {"x": null}}'), ('{"homes": {"y": {"zip": 70000}}}'),
    ('{"pairs": [{"k": 2, "v": "b"}, {"k": -1, "v": null}]}'), ('{"pairs": [{"k": 200, "v": "b"}]}'), ('{"pairs": {"a": "b"}}'), ('{"pairs": [{"k": 2, "v": "b"}, {"k": 2, "v": "c"}]}')) p (patch);
SELECT encode(state, 'hex') FROM store_u.object_state WHERE zoid = 1024;
SELECT pg_temp.change('{"secret": "hidden"}');
SELECT position('\x66736563726574d9960366'::bytea IN state) > 0 AS hidden FROM store_u.object_state WHERE zoid = 1024;

-- required fields
SELECT pg_temp.error_of($$SELECT newt.insert('store_u', 'Must', '{}')$$);
SELECT pg_temp.error_of($$SELECT newt.insert('store_u', 'Must', '{"title": null}')$$);
SELECT newt.insert('store_u', 'Must', '{"title": "x"}') AS must \gset
SELECT pg_temp.error_of(format($$SELECT newt.patch('store_u', %s, '{"title": null}')$$, :must));
SELECT pg_temp.error_of(format($$SELECT newt.patch('store_u', %s, '{"n": 1000}')$$, :must));

-- what the record has besides stays, at its place; an older version is changed by its own table; damaged records
INSERT INTO store_u.newt_class (name, version, fields) VALUES
    ('Old', 1, '[{"name": "aa", "kind": "int", "bits": 8}, {"name": "cc", "kind": "text"}]'),
    ('Old', 2, '[{"name": "dd", "kind": "text", "was": ["cc"], "default": "new", "keep_null": true}, {"name": "aa", "kind": "int", "bits": 8}]');
INSERT INTO store_u.object_state VALUES
    (501, 1, '\x83634f6c6401a362616101626262820102626363617a'),            -- version 1: aa 1, bb [1, 2], cc z
    (502, 1, '\x83634f6c6402a162616101'),                                  -- version 2, without dd
    (503, 1, '\x83634f6c6402a262616101626363617a'),                        -- the same, and an older name
    (504, 1, '\x83634f6c6401a162616161'),                                  -- cut short
    (505, 1, '\x83634f6c6401a16261616161'),                                -- aa is a text
    (506, 1, '\x83634f6c6403a0'),                                          -- a version that is not registered
    (507, 1, '\x7b7d'),
    (508, 1, '\x83634f6c6401d99603a162616101'),                            -- without JSONB
    (509, 1, '\x83634f6c6401a262616101626262d81ca0'),                      -- shared values besides
    (510, 1, '\x83654f7264657201a0');                                      -- no class that is registered
SELECT newt.patch('store_u', 501, '{"aa": 2, "cc": null}') > 1, newt.patch('store_u', 502, '{"aa": 3}') > 1, newt.patch('store_u', 508, '{"aa": 3}') > 1;
SELECT zoid, state FROM store_u.object_state WHERE zoid IN (501, 502, 508) ORDER BY zoid;
SELECT zoid, state FROM store_u.newt WHERE zoid BETWEEN 501 AND 510 ORDER BY zoid;
SELECT zoid, pg_temp.error_of(format('SELECT newt.patch(''store_u'', %s, ''{"aa": 3}'')', zoid)) FROM generate_series(503, 510) zoid WHERE zoid <> 508;

-- a field that refers to what another one has; an entry goes whose number those after it count on, and another one comes
INSERT INTO store_u.newt_class (name, version, fields) VALUES ('Two', 1, '[{"name": "aa", "kind": "json"}, {"name": "bb", "kind": "json"}, {"name": "cc", "kind": "text"}, {"name": "dd", "kind": "json", "shape": "map"}]');
INSERT INTO store_u.object_state VALUES (511, 1, '\x836354776f01a2626161d81ca0626262d81d00'), (512, 1, '\x836354776f01a1626464a26161d81ca0616383d81ca0d81ca0d81d01');
SELECT pg_temp.error_of($$SELECT newt.patch('store_u', 511, '{"cc": "x"}')$$);
SELECT newt.to_jsonb(state)->'dd' AS dd, pg_temp.error_of($$SELECT newt.patch('store_u', 512, '{"dd": {"a": null, "d": {"::id": 0}}}')$$) FROM store_u.object_state WHERE zoid = 512;

-- classes that are not for SQL
INSERT INTO store_u.newt_class (name, version, fields, projection) VALUES ('Client', 1, '[]', 'client'), ('Lazy', 1, '[]', 'virtual'),
    ('Tree', 1, '[{"kind": "class", "name": "", "skip": true, "was": [], "tree": true}]', NULL), ('Broken', 1, '[{"kind": "thing", "name": "x"}]', NULL);
SELECT class, pg_temp.error_of(format('SELECT newt.insert(''store_u'', %L, ''{}'')', class)) FROM (VALUES ('Client'), ('Tree'), ('Broken'), ('newt.Map'), ('Nothing'), ('')) c (class);
SELECT pg_temp.error_of($$SELECT newt.patch('store_u', 1, '{"items": {}}')$$);
SELECT pg_temp.error_of($$SELECT newt.remove('store_u', 1)$$);
SELECT newt.insert('store_u', 'Lazy', '{}') AS lazy \gset
SELECT count(*) FROM store_u.newt_projection WHERE zoid = :lazy;

-- arguments
SELECT pg_temp.error_of($$SELECT newt.patch('nowhere', 1, '{}')$$);
SELECT pg_temp.error_of($$SELECT newt.patch('public', 1, '{}')$$);
SELECT pg_temp.error_of($$SELECT newt.patch('store_u', NULL, '{}')$$);
SELECT pg_temp.error_of($$SELECT newt.patch('store_u', 1024, '[1]')$$);
SELECT pg_temp.error_of($$SELECT newt.insert('store_u', 'Must', '5')$$);
SELECT pg_temp.error_of($$SELECT newt.patch('store_u', 999, '{}')$$);
SELECT pg_temp.error_of($$SELECT newt.patch('store_u', 1024, '{}', 17)$$) ~ '^40001 \| Kinds 1024 was changed by another transaction \| Its serial is \d+, not 17\.';

-- what JSON cannot show as it is
SELECT newt.patch('store_u', 1024, '{"text": {"::b64": "YQBi"}}') > 0;
SELECT zoid, path, reason FROM store_u.newt_reject;
BEGIN;
SELECT newt.patch('store_u', 1024, '{"text": {"::b64": "YQBj"}}') = newt.patch('store_u', 1024, '{"text": "good"}');
COMMIT;
SELECT zoid, path, reason FROM store_u.newt_reject;

-- transactions: one row for all
CREATE VIEW pg_temp.last AS SELECT username = session_user AS me, description, extension, written, removed, removed_classes FROM store_u.transaction ORDER BY tid DESC LIMIT 1;
BEGIN;
SELECT newt.insert('store_u', 'Must', '{"title": "a"}') AS a \gset
SAVEPOINT one;
SELECT newt.patch('store_u', :a, '{"title": "b"}') > 0;
SELECT newt.insert('store_u', 'Must', '{"title": "lost"}') > 0;
SAVEPOINT two;
SELECT newt.remove('store_u', :must) > 0;
RELEASE two;
ROLLBACK TO one;
SELECT newt.patch('store_u', :must, '{"n": 5}') = newt.patch('store_u', :must, '{"n": 6}');
DO $$ BEGIN PERFORM newt.insert('store_u', 'Must', '{"title": "also lost"}'); RAISE EXCEPTION 'x'; EXCEPTION WHEN OTHERS THEN NULL; END $$;
SELECT newt.remove('store_u', newt.insert('store_u', 'Must', '{"title": "gone"}')) > 0;
COMMIT;
SELECT written = ARRAY[:must, :a]::bigint[] AS both, description, removed FROM pg_temp.last;
SELECT state FROM store_u.newt WHERE zoid IN (:must, :a) ORDER BY zoid;
SELECT newt.remove('store_u', :a) > 0;
SELECT me, description, extension, removed = ARRAY[:a]::bigint[] AS removed, removed_classes FROM pg_temp.last;
-- nothing is left: no row
SELECT count(*) AS before FROM store_u.transaction \gset
BEGIN;
SELECT newt.remove('store_u', newt.insert('store_u', 'Must', '{"title": "gone"}')) > 0;
COMMIT;
SELECT newt.patch('store_u', :must, '{"n": 6}') > 0;
SELECT count(*) = :before AS none FROM store_u.transaction;
-- many
SELECT count(newt.insert('store_u', 'Must', jsonb_build_object('title', i::text))) FROM generate_series(1, 6001) i;
SELECT t.written IS NULL AS in_parts, string_agg(cardinality(o.written) || '/' || cardinality(o.removed), ' ' ORDER BY n) FROM store_u.transaction t JOIN store_u.transaction_object o USING (serial) GROUP BY 1, t.tid ORDER BY tid DESC LIMIT 1;
-- what was done last to each counts, in whatever order; each part has the classes of what it lists
SELECT newt.insert('store_u', 'Lazy', '{}') AS last \gset
BEGIN;
SELECT count(newt.patch('store_u', zoid, '{"n": 1}')) FROM (SELECT zoid FROM store_u.newt WHERE class_name = 'Must' AND zoid <> :must ORDER BY zoid LIMIT 500) m;
SELECT count(newt.remove('store_u', zoid)) FROM (SELECT zoid FROM store_u.newt WHERE class_name = 'Must' AND zoid <> :must ORDER BY zoid DESC) m;
SELECT newt.remove('store_u', :last) > 0;
COMMIT;
SELECT string_agg(cardinality(written) || '/' || cardinality(removed) || '/' || cardinality(removed_classes) || ' ' || removed_classes[cardinality(removed_classes)], ' ' ORDER BY n) FROM store_u.transaction_object o WHERE serial = (SELECT serial FROM store_u.transaction ORDER BY tid DESC LIMIT 1);

-- where it cannot be done
\set VERBOSITY terse
\set ON_ERROR_STOP 0
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT newt.patch('store_u', 1024, '{"i8": 1}');
ROLLBACK;
BEGIN READ ONLY;
SELECT newt.patch('store_u', 1024, '{"i8": 1}');
ROLLBACK;
SELECT newt.create_store('store_v');
INSERT INTO store_v.newt_class (name, version, fields) VALUES ('Must', 1, '[]');
BEGIN;
SELECT newt.insert('store_v', 'Must', '{}');
SELECT newt.patch('store_u', 1024, '{"i8": 1}');
ROLLBACK;

-- rights, and what others say of the transaction
CREATE ROLE newt_patch_reader;
CREATE ROLE newt_patch_writer;
SELECT newt.grant_store('store_u', 'newt_patch_reader', 'reader'), newt.grant_store('store_u', 'newt_patch_writer', 'application');
SET ROLE newt_patch_reader;
SELECT newt.patch('store_u', 1024, '{"i8": 1}');
SELECT newt.insert('store_u', 'Must', '{"title": "x"}');
SET ROLE newt_patch_writer;
SET newt.description = 'a correction';
SELECT newt.patch('store_u', 1024, '{"i8": 10}') > 0;
SELECT newt.remove('store_u', newt.insert('store_u', 'Must', '{"title": "x"}')) > 0;
RESET newt.description;
RESET ROLE;
SELECT me, description, extension FROM pg_temp.last;
-- tables that are not plain: by statements, with triggers and row security
CREATE FUNCTION store_u.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% of %', TG_OP, coalesce(NEW.zoid, OLD.zoid) = 1024; RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE OR DELETE ON store_u.object_state FOR EACH ROW EXECUTE FUNCTION store_u.note();
SELECT newt.patch('store_u', 1024, '{"i8": 2}') > 0;
SELECT newt.patch('store_u', 1024, '{"i8": 3}') = newt.patch('store_u', 1024, '{"i8": 4}');
SELECT newt.insert('store_u', 'Must', '{"title": "by statement"}') AS made \gset
SELECT zoid = :made AS made, state FROM store_u.newt WHERE zoid IN (1024, :made) AND class_name = 'Must';
SELECT newt.remove('store_u', :made) > 0;
CREATE OR REPLACE FUNCTION store_u.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
SELECT newt.patch('store_u', 1024, '{"i8": 5}') > 0;
DROP TRIGGER note ON store_u.object_state;
-- ... and where the projection alone is not
CREATE OR REPLACE FUNCTION store_u.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% of %', TG_OP, TG_TABLE_NAME; RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON store_u.newt_projection FOR EACH ROW EXECUTE FUNCTION store_u.note();
SELECT newt.patch('store_u', 1024, '{"i8": 7}') = newt.patch('store_u', 1024, '{"i8": 8}');
SELECT newt.insert('store_u', 'Must', '{"title": "y"}') > 0;
DROP TRIGGER note ON store_u.newt_projection;
ALTER TABLE store_u.object_state ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON store_u.object_state FOR SELECT USING (zoid <> 1024);
CREATE POLICY change ON store_u.object_state FOR UPDATE USING (zoid <> 502);
SET ROLE newt_patch_writer;
SELECT newt.patch('store_u', 1024, '{"i8": 6}');
SELECT newt.patch('store_u', 502, '{"aa": 6}');
SELECT newt.insert('store_u', 'Must', '{"title": "x"}');
SELECT newt.patch('store_u', 501, '{"aa": 6}') > 0;
SELECT newt.remove('store_u', 501);
RESET ROLE;
DROP POLICY see ON store_u.object_state;
CREATE POLICY see ON store_u.object_state FOR SELECT USING (zoid <> 1);
SET ROLE newt_patch_writer;
SELECT newt.patch('store_u', 501, '{"aa": 7}');
RESET ROLE;
SELECT zoid, newt.to_jsonb(state) -> 'aa' AS aa FROM store_u.object_state WHERE zoid IN (501, 502) ORDER BY zoid;
SELECT newt.to_jsonb(o.state) = p.state AND o.serial = p.serial AS sound FROM store_u.object_state o JOIN store_u.newt_projection p USING (zoid) WHERE zoid = 1024;
SET client_min_messages = warning;
DROP SCHEMA store_u, store_v CASCADE;
DISCARD TEMP; -- the portable edition keeps some relations of each role in the session
DROP ROLE newt_patch_reader, newt_patch_writer;
