-- Which rows of derived columns changed objects have to do with: by C where the tables are plain, and as SQL would say
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set documents :srcdir '/documents.sql'
\i :documents
\set VERBOSITY terse
SELECT newt.create_store('d');
SET test.store = 'd';
INSERT INTO d.newt_class (name, version, fields) VALUES
 ('Doc', 1, '[{"name":"title","kind":"text"},{"name":"owner","kind":"ref","class":"Person"}]'),
 ('Docs', 1, '[{"name":"title","kind":"text"}]'),
 ('Person', 1, '[{"name":"name","kind":"text"}]');
DO $$ BEGIN
    FOR i IN 1 .. 5 LOOP CALL pg_temp.put(i, 'Person', jsonb_build_object('name', 'p' || i)); END LOOP;
    FOR i IN 11 .. 40 LOOP CALL pg_temp.put(i, 'Doc', jsonb_build_object('title', 't' || i, 'owner', jsonb_build_object('::=>', i % 4 + 1))); END LOOP;
    CALL pg_temp.put(41, 'Docs', '{"title":"of another class, whose name begins like it"}');
END $$;
CALL newt.create_derived('d', 'docs', '{Doc}', '[{"name":"title","value":"title","type":"text"},{"name":"owner","value":"owner->name","type":"text"}]');
CALL newt.create_derived('d', 'others', '{Docs,Doc}', '[{"name":"owner","value":"owner->name","type":"text"}]');
-- a record that is damaged, an object that is none any more and has a row, one that has none yet
UPDATE d.object_state SET state = '\x8366' WHERE zoid = 12;
UPDATE d.object_state SET state = '\x8366' WHERE zoid = 5;
DELETE FROM d.object_state WHERE zoid = 13;
INSERT INTO d.object_state (zoid, serial, state) SELECT 50, 1, o.state FROM d.object_state o WHERE o.zoid = 14;
CREATE FUNCTION pg_temp.affected(changed bigint[], number integer DEFAULT 1, relation regclass DEFAULT NULL, class_names text[] DEFAULT '{Doc}', columns text[] DEFAULT '{zoid}') RETURNS bigint[] LANGUAGE sql AS
 $$SELECT newt.derived_affected('d.object_state', 'd.newt_dependency', coalesce(relation, to_regclass('d.docs')), columns, number, class_names, changed)$$;
CREATE FUNCTION pg_temp.by_sql(changed bigint[]) RETURNS bigint[] LANGUAGE sql AS $$
    WITH own AS (
        SELECT o.zoid FROM d.object_state o WHERE o.zoid = ANY (changed) AND newt.try_class_name(o.state) = 'Doc'
        UNION SELECT t.zoid FROM d.docs t WHERE t.zoid = ANY (changed)
    ), others AS (
        SELECT x.dependent FROM d.newt_dependency x WHERE x.source = ANY (changed) AND x.derived = 1
        EXCEPT SELECT o.zoid FROM own o
    )
    SELECT ARRAY[(SELECT count(*) FROM own)] || ARRAY(SELECT o.zoid FROM own o ORDER BY 1) || ARRAY(SELECT o.dependent FROM others o ORDER BY 1)
$$;
-- C is the extension's; the portable edition always leaves it to SQL
SELECT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'newt') AS has_c \gset
SELECT v.changed, CASE WHEN :'has_c' THEN pg_temp.affected(v.changed) IS NOT DISTINCT FROM CASE WHEN v.changed IS NOT NULL THEN pg_temp.by_sql(v.changed) END ELSE pg_temp.affected(v.changed) IS NULL END AS right, pg_temp.by_sql(v.changed) AS by_sql
  FROM (VALUES ('{}'::bigint[]), ('{1}'), ('{11}'), ('{1,11,16,2}'), ('{16,1,1,16}'), ('{12}'), ('{13}'), ('{50}'), ('{41,5}'), ('{NULL,3,NULL}'), ('{-1,0,9223372036854775807,-9223372036854775808}'), (NULL)) v (changed);
SELECT count(*) FILTER (WHERE pg_temp.affected(r.changed) IS DISTINCT FROM CASE WHEN :'has_c' THEN pg_temp.by_sql(r.changed) END) AS wrong
  FROM (SELECT n, array_agg((random() * 55)::bigint) AS changed FROM generate_series(1, 300) n, generate_series(1, 1 + (random() * 12)::integer + n * 0) GROUP BY n) r;
-- another table's dependencies are not its own
SELECT coalesce(pg_temp.affected('{1}', 2, 'd.others', '{Docs,Doc}') = pg_temp.affected('{1}') AND pg_temp.affected('{1}', 3) = '{0}', NOT :'has_c') AS right;
SELECT coalesce(pg_temp.affected('{11,50}', class_names => '{Docs,Do,doc}') = '{1,11}', NOT :'has_c') AS longer;
SELECT coalesce(pg_temp.affected('{11,50}', class_names => '{NULL,Doc,NULL}', columns => '{NULL,owner}') = '{2,11,50}', NOT :'has_c') AS right, coalesce(pg_temp.affected('{50,1}', class_names => '{}', columns => '{}') = pg_temp.affected('{1}'), NOT :'has_c') AS none;
-- what a session has written itself
BEGIN;
INSERT INTO d.newt_dependency (source, derived, part, dependent) VALUES (77, 1, 0, 16), (77, 1, 1, 16), (77, 2, 0, 17);
SELECT coalesce(pg_temp.affected('{77}') = '{0,16}', NOT :'has_c') AS right;
ROLLBACK;
-- what is no plain table of these columns, and what the role may not read, is left to SQL
CREATE VIEW d.seen AS SELECT * FROM d.docs;
CREATE TABLE d.keyless AS SELECT * FROM d.docs;
SELECT pg_temp.affected('{1}', relation => r.oid) FROM (VALUES ('d.seen'::regclass), ('d.keyless'), ('d.docs_pkey'), (987654321)) r (oid);
DROP VIEW d.seen;
SELECT newt.derived_affected('d.docs', 'd.newt_dependency', 'd.docs', '{zoid}', 1, '{Doc}', '{1}'), newt.derived_affected('d.object_state', 'd.docs', 'd.docs', '{zoid}', 1, '{Doc}', '{1}');
CREATE ROLE newt_test_affected;
GRANT USAGE ON SCHEMA d TO newt_test_affected;
GRANT SELECT ON d.object_state, d.newt_dependency TO newt_test_affected;
SELECT newt.derived_affected('d.object_state', 'd.newt_dependency', 'd.docs', '{zoid}', 1, '{Doc}', '{1}') IS NOT NULL = :'has_c' AS there;
SET ROLE newt_test_affected;
SELECT newt.derived_affected('d.object_state', 'd.newt_dependency', 'd.docs', '{none}', 1, '{Doc}', '{1}');
RESET ROLE;
GRANT SELECT ON d.docs TO newt_test_affected;
ALTER TABLE d.docs ENABLE ROW LEVEL SECURITY;
SET ROLE newt_test_affected;
SELECT newt.derived_affected('d.object_state', 'd.newt_dependency', 'd.docs', '{zoid}', 1, '{Doc}', '{1}');
RESET ROLE;
ALTER TABLE d.docs DISABLE ROW LEVEL SECURITY;
-- and columns are right there, too
CALL newt.refresh_derived('d', 'docs', anew => true, share => 1);
CALL newt.refresh_derived('d', 'others', anew => true, share => 1);
SELECT count(*) FROM newt.check_derived('d');
CREATE RULE nothing AS ON DELETE TO d.docs DO ALSO NOTHING;
SELECT pg_temp.affected('{1}');
CALL pg_temp.put(1, 'Person', '{"name":"another"}');
CALL pg_temp.put(16, 'Doc', '{"title":"another","owner":{"::=>":2}}');
CALL pg_temp.put(60, 'Doc', '{"title":"new","owner":{"::=>":1}}');
SELECT t.owner, count(*) FROM d.docs t GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM newt.check_derived('d');
DROP RULE nothing ON d.docs;
CALL pg_temp.put(1, 'Person', '{"name":"a third"}');
SELECT t.owner, count(*) FROM d.docs t GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM newt.check_derived('d');
-- of a column that was dropped both tell
ALTER TABLE d.docs DROP COLUMN owner;
CALL pg_temp.put(1, 'Person', '{"name":"a fourth"}');
CREATE RULE nothing AS ON DELETE TO d.docs DO ALSO NOTHING;
CALL pg_temp.put(1, 'Person', '{"name":"a fourth"}');
DROP RULE nothing ON d.docs;
-- several references: the first whose object has a value, in the order of zoids
CALL newt.refresh_derived('d');
SELECT newt.drop_derived('d', 'docs'), newt.drop_derived('d', 'others');
INSERT INTO d.newt_class (name, version, fields) VALUES ('Team', 1, '[{"name":"members","kind":"ref","class":"Person","shape":"list"}]');
DO $$ BEGIN
    CALL pg_temp.put(2, 'Person', '{}');
    CALL pg_temp.put(70, 'Team', '{"members":[{"::=>":4},{"::=>":3},{"::=>":2},{"::=>":99},{"::=>":4}]}');
    CALL pg_temp.put(71, 'Team', '{"members":[{"::=>":2},{"::=>":99}]}');
    CALL pg_temp.put(72, 'Team', '{}');
END $$;
CALL newt.create_derived('d', 'teams', '{Team}', '[{"name":"first","value":"members->name","type":"text"},{"name":"names","value":"members->name","type":"text[]"},{"name":"n","count":"members->"},{"name":"words","text":["members->name"],"config":"simple"}]');
SELECT * FROM d.teams ORDER BY zoid;
DO $$ BEGIN CALL pg_temp.put(3, 'Person', '{}'); END $$;
SELECT * FROM d.teams ORDER BY zoid;
SELECT count(*) FROM newt.check_derived('d');
SELECT newt.drop_derived('d', 'teams');
-- ... at the end of the way, whatever order it leads through
INSERT INTO d.newt_class (name, version, fields) VALUES ('Person', 2, '[{"name":"name","kind":"text"},{"name":"boss","kind":"ref","class":"Person"}]');
DO $$ BEGIN
    CALL pg_temp.put(3, 'Person', '{"name":"c","boss":{"::=>":5}}');
    CALL pg_temp.put(4, 'Person', '{"name":"d","boss":{"::=>":1}}');
    CALL pg_temp.put(5, 'Person', '{"name":"e"}');
    CALL pg_temp.put(1, 'Person', '{"name":"a"}');
END $$;
CALL newt.create_derived('d', 'teams', '{Team}', '[{"name":"first","value":"members->boss->name","type":"text"},{"name":"names","value":"members->boss->name","type":"text[]"}]');
SELECT * FROM d.teams WHERE zoid = 70;
DO $$ BEGIN CALL pg_temp.put(1, 'Person', '{"name":"A"}'); END $$;
SELECT * FROM d.teams WHERE zoid = 70;
SELECT count(*) FROM newt.check_derived('d');
SET client_min_messages = warning;
DROP SCHEMA d CASCADE;
DROP OWNED BY newt_test_affected;
DROP ROLE newt_test_affected;
