-- Typed views after classes and fields were renamed: old records and new ones under the new names.
BEGIN;
CREATE EXTENSION newt;
SELECT newt.create_store('s');
SELECT plan(30);

INSERT INTO s.newt_class (name, version, fields) VALUES ('Job', 1, '[
    {"name": "title", "kind": "text"}, {"name": "boss", "kind": "ref", "class": "Job"}, {"name": "tags", "kind": "text", "shape": "list"},
    {"name": "addr", "kind": "struct", "class": "Addr", "fields": [{"name": "street", "kind": "text"}, {"name": "no", "kind": "int", "bits": 32}]},
    {"name": "helpers", "kind": "ref", "shape": "list"}, {"name": "days", "kind": "int", "bits": 32, "shape": "map"},
    {"name": "steps", "kind": "struct", "shape": "list", "class": "Step", "fields": [{"name": "what", "kind": "text"}]}]');
SELECT newt.create_views('s');
CREATE VIEW s.report AS SELECT id, title, boss_id FROM s.job;
CREATE ROLE renames_reader;
GRANT SELECT ON s.job TO renames_reader;

-- the program is renamed, and what it has in it
INSERT INTO s.newt_class (name, version, fields) VALUES ('Task', 2, '[
    {"name": "name", "kind": "text", "was": ["title"]}, {"name": "owner", "kind": "ref", "class": "Task", "was": ["boss"]},
    {"name": "words", "kind": "text", "shape": "list", "was": ["tags"]},
    {"name": "address", "kind": "struct", "class": "Addr", "was": ["addr"], "fields":
        [{"name": "road", "kind": "text", "was": ["street"]}, {"name": "no", "kind": "int", "bits": 32}]},
    {"name": "crew", "kind": "ref", "shape": "list", "was": ["helpers"]},
    {"name": "dates", "kind": "int", "bits": 32, "shape": "map", "was": ["days"]},
    {"name": "steps", "kind": "struct", "shape": "list", "class": "Step", "fields": [{"name": "text", "kind": "text", "was": ["what"]}]},
    {"name": "", "kind": "class", "skip": true, "was": ["Job"]}]');
INSERT INTO s.newt_projection (zoid, class_name, serial, state) VALUES
    (10, 'Job', 1, '{"title": "old", "boss": {"::=>": 11}, "tags": ["a"], "addr": {"street": "Main", "no": 1},
                     "helpers": [{"::=>": 11}, {"::=>": 10}], "days": {"x": 1}, "steps": [{"what": "begin"}]}'),
    (11, 'Task', 1, '{"name": "new", "owner": {"::=>": 10}, "words": ["b", "c"], "address": {"road": "Side", "no": 2},
                      "crew": [{"::=>": 10}], "dates": {"y": 2}, "steps": [{"text": "end"}, {"what": "after"}]}'),
    (12, 'Task', 1, '{"name": "both", "title": "out of date", "crew": [{"::=>": 10}], "helpers": [{"::=>": 11}]}'),
    (13, 'Other', 1, '{"name": "another"}');

SELECT is(newt.class_names('s', 'Task'), '{Task,Job}', 'the names of a class');
SELECT is(newt.class_names('s', 'Job'), '{Task,Job}', 'asked by an old one');
SELECT is(newt.class_names('s', 'None'), '{None}', 'of one that is not there');
SELECT is((SELECT array_agg(column_name ORDER BY place) FROM newt.class_layout('s', 'Task') WHERE child IS NULL),
          '{id,name,owner_id,words,address_road,address_no}', 'no column by an old name');
SELECT is((SELECT older_paths FROM newt.class_layout('s', 'Task') WHERE column_name = 'address_road'),
          '[["address", "street"], ["addr", "road"], ["addr", "street"]]', 'ways to a field in a struct, both renamed');
SELECT is((SELECT count(*) FROM newt.class_layout('s', 'Task') WHERE comment LIKE '%older%'), 0::bigint, 'none is of older versions alone');
SELECT is(newt.create_views('s'), 1, 'there is one class without a view');
SELECT is((SELECT array_agg(t::text ORDER BY id) FROM s.task t),
          ARRAY['(10,old,11,{a},Main,1)', '(11,new,10,"{b,c}",Side,2)', '(12,both,,,,)'], 'its view has the objects of both names');
SELECT is((SELECT array_agg(t::text ORDER BY t) FROM s.task_crew t), ARRAY['(10,1,11)', '(10,2,10)', '(11,1,10)', '(12,1,10)'], 'a list of references');
SELECT is((SELECT array_agg(t::text ORDER BY t) FROM s.task_dates t), ARRAY['(10,x,1)', '(11,y,2)'], 'a map');
SELECT is((SELECT array_agg(t::text ORDER BY t) FROM s.task_steps t), ARRAY['(10,1,begin)', '(11,1,end)', '(11,2,after)'], 'a field of items');
SELECT is((SELECT array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 's' AND table_name = 'job'),
          '{id,title,boss_id,tags,addr_street,addr_no}', 'the view of the old name is what it was');
SELECT is((SELECT array_agg(title ORDER BY id) FROM s.report), '{old}', 'and so is what is built on it');

SELECT is((SELECT array_agg(relation || ' ' || what ORDER BY relation) FROM newt.refresh_views('s') WHERE relation LIKE 's.job%'),
          ARRAY['s.job replaced', 's.job_crew created', 's.job_dates created', 's.job_days dropped', 's.job_helpers dropped', 's.job_steps replaced'],
          'refreshed, its columns are renamed');
SELECT is((SELECT array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 's' AND table_name = 'job'),
          '{id,name,owner_id,words,address_road,address_no}', 'they stay in their places');
SELECT is((SELECT array_agg(name ORDER BY id) FROM s.job), '{old,new,both}', 'and it has the objects of both names');
SELECT is((SELECT array_agg(title || coalesce(boss_id::text, '') ORDER BY id) FROM s.report), '{old11,new10,both}', 'what is built on it goes on');
SELECT ok(has_table_privilege('renames_reader', 's.job', 'SELECT'), 'and so do rights');
SELECT is((SELECT array_agg(what) FROM newt.refresh_views('s')), array_fill('replaced'::text, ARRAY[8]), 'once more changes nothing');
SELECT is(newt.create_views('s'), 0, 'no view is missing');

-- a path of old records is no mistake
SELECT lives_ok($$SELECT newt.check_paths('s', 'Task', '{title,name}')$$, 'paths of both');
SELECT is((SELECT array_agg(name ORDER BY name) FROM newt.merged_fields(ARRAY['[{"name": "c", "kind": "int", "was": ["b"]}, {"name": "a", "kind": "int"}]',
          '[{"name": "b", "kind": "int", "was": ["a"]}]', '[{"name": "a", "kind": "text"}]']::jsonb[])), '{a,c}', 'a name that is used again');
SELECT is((SELECT was FROM newt.merged_fields(ARRAY['[{"name": "c", "kind": "int", "was": ["b", "a"]}]', '[{"name": "b", "kind": "int"}]',
          '[{"name": "a", "kind": "text"}]']::jsonb[])), '{b,a}', 'several old names');

-- of a virtual class, by the records
INSERT INTO s.object_state (zoid, serial, state) VALUES
    (20, 1, '\x83634a6f6201a1657469746c65656f6c646572'), (21, 1, '\x83645461736b02a1646e616d65656e65776572');
SELECT is((SELECT array_agg(newt.to_jsonb(state) ORDER BY zoid) FROM s.object_state WHERE zoid >= 20), ARRAY['{"title": "older"}', '{"name": "newer"}']::jsonb[], 'two records');
SELECT lives_ok($$SELECT newt.set_projection('s', 'Task', 'virtual')$$, 'a virtual class');
SELECT is((SELECT array_agg(name ORDER BY id) FROM s.task), '{older,newer}', 'by its records, of both names');

-- when the program says it no more, there are two classes
INSERT INTO s.newt_class (name, version, fields) VALUES ('Task', 3, '[{"name": "name", "kind": "text", "was": ["title"]}]');
SELECT is(newt.class_names('s', 'Job'), '{Job}', 'the newest version counts');
SELECT is(newt.class_names('s', 'Task'), '{Task}', 'for both');
-- and a circle comes to an end
UPDATE s.newt_class SET fields = fields || '{"name": "", "kind": "class", "skip": true, "was": ["Job"]}' WHERE name = 'Task';
UPDATE s.newt_class SET fields = fields || '{"name": "", "kind": "class", "skip": true, "was": ["Task"]}' WHERE name = 'Job';
SELECT is(newt.class_names('s', 'Job'), '{Task,Job}', 'two that claim each other');
SELECT is(newt.class_names('s', 'Task'), '{Job,Task}', 'by the other name');

SELECT * FROM finish();
ROLLBACK;
