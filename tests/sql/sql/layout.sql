-- how classes look as relations
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.create_store('store_y');
INSERT INTO store_y.newt_class (name, version, fields) VALUES
    ('Shop', 1, '[{"name": "title", "kind": "int", "bits": 8}, {"name": "old", "kind": "ref", "class": "Old"},
                  {"name": "home", "kind": "struct", "class": "Address", "fields": [{"name": "zip", "kind": "text"}, {"name": "city", "kind": "bool"}]}]'),
    ('Shop', 2, '[{"name": "title", "kind": "text"}, {"name": "flag", "kind": "bool"}, {"name": "small", "kind": "int", "bits": 8},
                  {"name": "big", "kind": "uint", "bits": 64}, {"name": "weight", "kind": "float", "bits": 32},
                  {"name": "color", "kind": "enum", "names": ["red", "green"]}, {"name": "raw", "kind": "bytes"},
                  {"name": "at", "kind": "time"}, {"name": "took", "kind": "duration"}, {"name": "day", "kind": "date"},
                  {"name": "key", "kind": "uuid"}, {"name": "price", "kind": "decimal"}, {"name": "any", "kind": "json"},
                  {"name": "owner", "kind": "ref", "class": "Person"}, {"name": "boss_id", "kind": "ref"},
                  {"name": "home", "kind": "struct", "class": "Address", "fields": [
                      {"name": "city", "kind": "text"}, {"name": "country", "kind": "ref", "class": "Country"},
                      {"name": "at", "kind": "struct", "class": "Point", "fields": [{"name": "x", "kind": "float", "bits": 64}]},
                      {"name": "phones", "kind": "text", "shape": "list"}, {"name": "owners", "kind": "ref", "shape": "set", "class": "Person"}]},
                  {"name": "tags", "kind": "text", "shape": "set"}, {"name": "colors", "kind": "enum", "shape": "list", "names": ["red", "green"]},
                  {"name": "documents", "kind": "json", "shape": "list"},
                  {"name": "tree", "kind": "struct", "shape": "list", "class": "Tree", "recursive": true},
                  {"name": "staff", "kind": "ref", "shape": "list", "class": "Person"},
                  {"name": "readers", "kind": "ref", "shape": "set", "class": "Person"},
                  {"name": "rows", "kind": "struct", "shape": "list", "class": "Row", "fields": [
                      {"name": "what", "kind": "text"}, {"name": "n", "kind": "int", "bits": 64}, {"name": "item", "kind": "ref", "class": "Item"},
                      {"name": "at", "kind": "struct", "class": "Point", "fields": [{"name": "x", "kind": "float", "bits": 64}]},
                      {"name": "sizes", "kind": "int", "shape": "list", "bits": 16}, {"name": "any_of", "kind": "ref", "shape": "list", "class": "Item"},
                      {"name": "parts", "kind": "struct", "shape": "list", "class": "Part", "fields": [{"name": "a", "kind": "text"}]},
                      {"name": "notes", "kind": "text", "shape": "map"}]},
                  {"name": "labels", "kind": "text", "shape": "map"}, {"name": "rooms", "kind": "ref", "shape": "map", "class": "Room"},
                  {"name": "points", "kind": "struct", "shape": "map", "class": "Point", "fields": [{"name": "x", "kind": "float", "bits": 64}, {"name": "key", "kind": "text"}]},
                  {"name": "days", "kind": "date", "shape": "pairs", "key": {"kind": "int", "bits": 16}},
                  {"name": "secret", "kind": "text", "skip": true}]'),
    ('Names', 1, '[{"name": "id", "kind": "int", "bits": 8}, {"name": "a", "kind": "struct", "fields": [{"name": "b", "kind": "text"}]}, {"name": "a_b", "kind": "text"},
                   {"name": "a_b_2", "kind": "text"}, {"name": "names_id", "kind": "ref"}, {"name": "names", "kind": "ref"}, {"name": "", "kind": "text"}, {"name": "xmin", "kind": "text"},
                   {"name": "::odd \"name''", "kind": "text"}, {"name": "names", "kind": "ref"}, {"name": "l", "kind": "ref", "shape": "list"},
                   {"name": "c", "kind": "struct", "fields": [{"name": "d", "kind": "ref", "shape": "set"}]}, {"name": "c_d", "kind": "ref", "shape": "set"},
                   {"name": "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc1", "kind": "text"},
                   {"name": "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc2", "kind": "text"},
                   {"name": "ééééééééééééééééééééééééééééééééé", "kind": "text"}]'),
    ('Empty', 1, '[]');
INSERT INTO store_y.newt_class (name, version, fields)
SELECT 'Wide', 1, jsonb_agg(jsonb_build_object('name', 'f' || i, 'kind', 'bool')) FROM generate_series(1, 1600) i;
SELECT child, shape, column_name, data_type, role, child_path, path, kind, class FROM newt.class_layout('store_y', 'Shop') ORDER BY place;
SELECT column_name, field_names, comment FROM newt.class_layout('store_y', 'Shop') WHERE is_array OR field_names IS NOT NULL OR comment LIKE '%older%' OR class IS NOT NULL ORDER BY place;
SELECT child, column_name, path, is_array FROM newt.class_layout('store_y', 'Names') ORDER BY place;
SELECT place, column_name FROM newt.class_layout('store_y', 'Empty');
SELECT newt.relation_name('app.My-Task1'), newt.relation_name(repeat('X', 70)), newt.free_name('a', '{a,a_2}');
SELECT pg_temp.error_of('SELECT newt.class_layout(''store_y'', ''Wide'')');
SELECT pg_temp.error_of('SELECT newt.class_layout(''store_y'', ''Missing'')');
SELECT pg_temp.error_of('SELECT newt.class_layout(''no_store'', ''Shop'')');

-- paths that lead to a field of any version, and those that do not
INSERT INTO store_y.newt_class (name, version, fields, projection) VALUES
    ('Paths', 1, '[{"name": "a.b", "kind": "text"}, {"name": "c:A", "kind": "text"}, {"name": "d\\e", "kind": "text"}, {"name": "x:y", "kind": "text"}]', NULL),
    ('Client', 1, '[{"name": "a", "kind": "text"}]', 'client');
SELECT newt.check_paths('store_y', 'Shop', '{title,title:A,home.city:B,home.none,old}');
SELECT newt.check_paths('store_y', 'Paths', ARRAY['a\.b', 'a\.b.c:D', 'c\:A', 'c\:A:A', 'd\\e', 'x:y', 'x:y.z']);
SELECT newt.check_paths('store_y', 'Names', ARRAY[':::odd "name''']);
SELECT newt.check_paths('store_y', 'Client', '{any}'), newt.check_paths('store_y', 'Missing', '{any}'), newt.check_paths('store_y', NULL, '{any}'),
       newt.check_paths('no_store', 'Shop', '{any}'), newt.check_paths('store_y', 'Empty', '{any}'), newt.check_paths('store_y', 'Shop', '{}');
SELECT newt.check_paths('store_y', 'Shop', '{secret}');
SELECT newt.check_paths('store_y', 'Shop', '{title,owner_id:A}');
SELECT newt.check_paths('store_y', 'Paths', ARRAY['a.b']);
SELECT newt.check_paths('store_y', 'Paths', ARRAY['c:A']);
SELECT newt.check_paths('store_y', 'Names', ARRAY['::odd "name''']);

SET client_min_messages = warning;
DROP SCHEMA store_y CASCADE;
