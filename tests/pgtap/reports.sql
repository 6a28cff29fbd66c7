-- Typed tables and views as analysts and administrators meet them: all classes in one call, who may read
-- them, mistakes and what is said of them, and the way back. Not in one transaction, since procedures commit.
CREATE EXTENSION newt;
SET client_min_messages = warning;
SELECT plan(28);
SELECT newt.create_store('s');
INSERT INTO s.newt_class (name, version, fields, projection) VALUES
    ('Task', 1, '[{"name": "title", "kind": "text"}, {"name": "owner", "kind": "ref", "class": "Person"}, {"name": "::odd:x", "kind": "int", "bits": 32},
                  {"name": "a.b", "kind": "int", "bits": 32}, {"name": "steps", "kind": "struct", "shape": "list", "fields": [{"name": "what", "kind": "text"}]}]', NULL),
    ('Person', 1, '[{"name": "name", "kind": "text"}]', NULL), ('Light', 1, '[{"name": "title", "kind": "text"}]', 'virtual');
SELECT newt.set_projection('s', 'Light', 'virtual');
INSERT INTO s.object_state VALUES (2001, 1, '\x83645461736b01a1657469746c656a4669727374207461736b');

CREATE FUNCTION public.said(query text, OUT code text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE query;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END
$$;

-- a role gets views made before and after
SELECT newt.create_views('s');
SELECT newt.create_views('s', 'Own views');
SELECT is(array(SELECT v.relation::text FROM newt.views('s') v WHERE v.relation::text LIKE '"Own views"%' ORDER BY v.relation::text COLLATE "C"),
    '{"\"Own views\".light","\"Own views\".person","\"Own views\".task","\"Own views\".task_steps"}', 'newt.create_views makes the schema');
CALL newt.create_tables('s', 'reports');
SELECT is(array(SELECT t.relation::text FROM newt.tables('s') t WHERE t.filled AND t.mode = 'inline'), '{reports.light,reports.person,reports.task,reports.task_steps}',
    'newt.create_tables makes those of all classes');
SELECT is((SELECT title FROM reports.task), 'First task', 'and fills them');
SELECT is(newt.create_views('s', 'reports'), 0, 'a table is instead of a view');
CALL newt.drop_table('s', 'Light');
CREATE ROLE newt_t_analyst;
SELECT newt.grant_store('s', 'newt_t_analyst', 'reader');
SET ROLE newt_t_analyst;
SELECT lives_ok('SELECT FROM s.task', 'a reader reads a view over a typed table');
SELECT lives_ok('SELECT FROM s.light', 'one over records');
SELECT lives_ok('SELECT FROM "Own views".task, "Own views".light, "Own views".task_steps', 'those in another schema');
SELECT lives_ok('SELECT FROM reports.task, reports.task_steps', 'and the tables');
RESET ROLE;
CREATE ROLE newt_t_guest;
CREATE SCHEMA guest AUTHORIZATION newt_t_guest;
SELECT newt.create_view('s', 'Person', 'guest_view', 'guest');
ALTER VIEW guest.guest_view OWNER TO newt_t_guest;
SELECT newt.revoke_store('s', 'newt_t_analyst');
SELECT is(has_table_privilege('newt_t_analyst', 's.task', 'SELECT') OR has_schema_privilege('newt_t_analyst', 'Own views', 'USAGE')
    OR has_table_privilege('newt_t_analyst', '"Own views".task', 'SELECT') OR has_table_privilege('newt_t_analyst', 'reports.task', 'SELECT'), false, 'all is taken back');
SELECT lives_ok('DROP ROLE newt_t_analyst', 'and the role can go');
SELECT is('guest.guest_view'::regclass = ANY (newt.readable_relations('s')), false, 'views of other roles are theirs');

-- mistakes
SELECT is((SELECT (code, hint)::text FROM said($$SELECT newt.create_view('s', 'TASK')$$)), '(42704,"Perhaps you mean class ""Task"".")', 'a class in other letters');
SELECT is((SELECT hint FROM said($$SELECT newt.create_view('s', 'Tusk')$$)), 'SELECT name FROM s.newt_class shows the classes that are; a program registers its classes when it opens the store.', 'another name');
SELECT is((SELECT detail FROM said($$SELECT newt.classes('reports')$$)), 'This database has these stores: s.', 'a schema that is no store');
SELECT is(array(SELECT newt.stores()), '{s}', 'newt.stores');
SELECT is((SELECT hint FROM said($$SELECT newt.create_field_index('s', 'Task', 'steps')$$)), 'It is a collection; its items have columns: steps.what.', 'a collection as a field');
SELECT is((SELECT (code, message)::text FROM said($$SELECT newt.create_field_index('s', 'Task', 'owner')$$)), '(42710,"index reports.task_owner_id_idx is there already")',
    'an index that the table has from the beginning');
SELECT lives_ok($$SELECT newt.create_field_index('s', 'Task', 'owner', more => '{title}')$$, 'one of more columns is another');
SELECT is((SELECT (code, message)::text FROM said($$SELECT newt.create_field_index('s', 'Task', 'id_2')$$)), '(42703,"class ""Task"" has no field ""id_2"" to index")', 'no such field');
BEGIN;
SELECT throws_ok($$DO 'BEGIN CALL newt.create_table(''s'', ''Light''); END'$$, '25001', 'newt.create_table cannot be called within a transaction block', 'within a block');
ROLLBACK;
-- newt.fill_derived is called by such
SELECT is((SELECT array_agg(p.proname ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace AND p.prokind = 'p' AND p.proname <> 'fill_derived' AND p.prosrc NOT LIKE format('%%check_no_block(''newt.%s'')%%', p.proname)),
    NULL, 'all procedures say so');

-- paths that lead to nothing
CREATE FUNCTION public.warns(paths text[]) RETURNS text LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
    known text[] := (SELECT array_agg(p) FROM unnest(paths) p);
BEGIN
    PERFORM newt.check_paths('s', 'Task', known);
    RETURN 'no error';
END
$$;
SELECT is(warns('{title:A,owner.name,:::odd:x,a\\.b:D,steps.what,nothing}'), 'no error', 'a path to nothing is no error');

-- a column that is renamed is no longer kept, and that is said
ALTER TABLE reports.task RENAME title TO headline;
SELECT is((SELECT array_agg(problem) FROM newt.check_table('s', 'Task')), '{"reports.task has no column \"title\": newt.refresh_table() adds it"}', 'a column is missing');
CALL newt.refresh_table('s', 'Task');
SELECT is((SELECT (title, headline)::text FROM reports.task), '("First task","First task")', 'it is there again');
SELECT is_empty($$SELECT newt.check_table('s', 'Task')$$, 'and nothing is missing');

-- what is not full
UPDATE s.newt_table SET filled = false, filled_to = 0 WHERE class_name = 'Task';
SELECT newt.tables_changed('s.newt_table');
SELECT is((SELECT t.filled FROM newt.tables('s') t WHERE t.relation = 'reports.task'::regclass), false, 'a table is not full');
CALL newt.create_tables('s', 'reports');
SELECT is((SELECT bool_and(t.filled) AND count(*) = 4 FROM newt.tables('s') t), true, 'newt.create_tables goes on with it, and makes what is missing');

-- what DROP EXTENSION took
DROP TRIGGER newt_keep_tables ON s.transaction;
CALL newt.fill_table('s', 'Task');
SELECT is(newt.keep_tables_sql('s'), NULL, 'newt.fill_table makes the trigger again');
SELECT * FROM finish();
DROP SCHEMA guest CASCADE;
DROP ROLE newt_t_guest;
