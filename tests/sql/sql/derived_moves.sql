-- Subtrees that move: what is below them is computed in steps, also of a folder that has more below it than a step takes
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
SELECT newt.create_store('m');
INSERT INTO m.newt_class (name, version, fields) VALUES
 ('Folder', 1, '[{"name":"parent","kind":"ref","class":"Folder"},{"name":"readers","kind":"text","shape":"list"}]');
CREATE FUNCTION pg_temp.folder(parent bigint, readers text[] DEFAULT '{}') RETURNS bigint LANGUAGE sql AS
 $$SELECT newt.insert('m', 'Folder', jsonb_strip_nulls(jsonb_build_object('parent', jsonb_build_object('::=>', nullif(parent, 0)), 'readers', readers) - CASE parent WHEN 0 THEN 'parent' ELSE '' END))$$;
SELECT pg_temp.folder(0, '{ann}') AS ann, pg_temp.folder(0, '{bob}') AS bob \gset
SELECT pg_temp.folder(:ann) AS big, pg_temp.folder(:ann) AS deep \gset
CREATE TEMP TABLE made AS SELECT n, pg_temp.folder(:big, CASE WHEN n % 10 = 0 THEN '{eve}'::text[] ELSE '{}' END) AS zoid FROM generate_series(1, 130) n;
CREATE TEMP TABLE below AS SELECT m.n, pg_temp.folder(m.zoid) AS zoid FROM made m WHERE m.n % 5 = 0;
SELECT pg_temp.folder(:deep) AS deep \gset
SELECT pg_temp.folder(:deep) AS deep \gset
CALL newt.create_derived('m', 'tree', '{Folder}', '[{"name":"view","access":{"allow":"readers"}}]', 'parent', commit_limit => 20);
SELECT s.entries, count(*) FROM m.tree t JOIN m.newt_principal_set s ON s.id = t.view GROUP BY 1 ORDER BY 1;

-- a commit computes 20 rows, and what waits are folders with something below them
SELECT newt.patch('m', :big, jsonb_build_object('parent', jsonb_build_object('::=>', :bob))) > 0 AS moved;
SELECT count(*) > 0 AS some, bool_and(EXISTS (SELECT FROM m.tree t WHERE t.parent_id = q.zoid)) AS have_some FROM m.newt_derived_pending q;
SELECT task, zoid = :big AS big, after > 0 AS begun FROM m.newt_derived_pending WHERE zoid = :big;
-- under the lock, and first without it; never more than the step has
SELECT newt_rows, newt_since IS NOT NULL AS locked FROM m.newt_compute_derived(1, 7);
SELECT newt_rows, newt_since IS NOT NULL AS locked FROM m.newt_compute_derived(1, 7, true);
SELECT current_setting('lock_timeout');
-- nor longer than some 10 ms, whatever a step may have
BEGIN;
INSERT INTO m.newt_derived_pending (derived, zoid, task) SELECT 1, 1000000 + i, 'row' FROM generate_series(1, 30000) i;
SELECT newt_rows BETWEEN 5 AND 29999 AS some FROM m.newt_compute_derived(1, 1000000);
ROLLBACK;
-- how many steps there are, and that none is too long
CREATE PROCEDURE pg_temp.finish(at_most bigint, ahead boolean) LANGUAGE plpgsql AS $$
DECLARE n bigint; most bigint := 0; steps bigint := 0;
BEGIN
    LOOP
        SELECT c.newt_rows INTO n FROM m.newt_compute_derived(1, at_most, ahead) c;
        EXIT WHEN n = 0;
        most := greatest(most, n);
        steps := steps + 1;
        IF steps > 1000 THEN RAISE 'there is no end'; END IF;
    END LOOP;
    RAISE NOTICE 'steps of at most % rows; some: %', at_most, CASE WHEN most <= at_most THEN steps > 1 ELSE false END;
END $$;
CALL pg_temp.finish(7, true);
SELECT count(*) FROM newt.check_derived('m');
SELECT newt.patch('m', :big, jsonb_build_object('parent', jsonb_build_object('::=>', :deep))) > 0 AS moved;
CALL pg_temp.finish(7, false);
SELECT count(*) FROM newt.check_derived('m');
SELECT s.entries, count(*) FROM m.tree t JOIN m.newt_principal_set s ON s.id = t.view GROUP BY 1 ORDER BY 1;
-- of one whose list changes again, all below it are looked at again
SELECT newt.patch('m', :big, jsonb_build_object('parent', jsonb_build_object('::=>', :bob))) > 0 AS moved;
DO $$ BEGIN FOR i IN 1 .. 1000 LOOP EXIT WHEN EXISTS (SELECT FROM m.newt_derived_pending q WHERE q.after > 0); PERFORM m.newt_compute_derived(1, 7); END LOOP; END $$;
SELECT newt.patch('m', :big, jsonb_build_object('parent', jsonb_build_object('::=>', :ann))) > 0 AS moved;
CALL pg_temp.finish(7, false);
SELECT count(*) FROM newt.check_derived('m');

-- what others have written between the two looks, without seeing what the first has written, is made right by the second
SELECT newt.patch('m', :big, jsonb_build_object('parent', jsonb_build_object('::=>', :bob))) > 0 AS moved;
CALL pg_temp.finish(1000, true);
DELETE FROM m.newt_derived_pending;
UPDATE m.tree SET view = 0 WHERE zoid IN (SELECT zoid FROM made) OR zoid IN (SELECT zoid FROM below);
SELECT newt_n AS n, newt_looked_at AS looked_at, newt_rest AS rest, newt_upto AS upto FROM m.newt_settle_1('{}', 40, ARRAY[:big], 0, true) \gset
SELECT :n AS rows, cardinality(:'looked_at'::bigint[]) AS looked_at, cardinality(:'rest'::bigint[]) AS rest, :upto > 0 AS in_parts;
SELECT count(*) FROM m.newt_derived_pending;
UPDATE m.tree SET view = 0 WHERE zoid = (SELECT zoid FROM made WHERE n = 3);
SELECT newt_n FROM m.newt_settle_1('{}', 40, :'looked_at', 0, false, :upto, :'rest');
SELECT count(*) FILTER (WHERE t.view = 0) AS wrong FROM m.tree t JOIN made USING (zoid) WHERE made.n <= 40;
SELECT count(*) FILTER (WHERE q.zoid = :big AND q.after = :upto) AS big, count(*) AS waiting FROM m.newt_derived_pending q;
CALL pg_temp.finish(50, true);
SELECT count(*) FROM newt.check_derived('m');
-- the same of one below which was nothing at the first look
UPDATE m.tree SET view = 0 WHERE zoid IN (SELECT zoid FROM made WHERE n <= 5) OR zoid IN (SELECT zoid FROM below WHERE n = 5);
SELECT newt_n AS n, newt_looked_at AS looked_at, newt_rest AS rest FROM m.newt_settle_1('{}', 1000, ARRAY[:big], 0, true) \gset
SELECT :n AS rows, cardinality(:'looked_at'::bigint[]) AS looked_at, cardinality(:'rest'::bigint[]) AS rest;
INSERT INTO m.tree (zoid, class_name, parent_id, view) SELECT 1, 'Folder', zoid, 0 FROM made WHERE n = 1;
SELECT newt_n FROM m.newt_settle_1('{}', 1000, :'looked_at', 0, false, NULL, :'rest');
SELECT s.entries FROM m.tree t JOIN m.newt_principal_set s ON s.id = t.view WHERE t.zoid = 1;
DELETE FROM m.tree WHERE zoid = 1;
CALL pg_temp.finish(1000, true);
SELECT * FROM newt.check_derived('m');
SET client_min_messages = warning;
DROP SCHEMA m CASCADE;
