-- newt.advise: what a query lacks. It is planned and never run, whatever it says.
BEGIN ISOLATION LEVEL READ COMMITTED;
CREATE EXTENSION newt;
SELECT newt.create_store('s');
INSERT INTO s.newt_projection SELECT i, CASE WHEN i % 10 = 0 THEN 'O''Hara' ELSE 'Task' END, 1,
    jsonb_build_object('title', 't' || i, 'kind', 'k' || i % 20, 'n', i, 'tags', jsonb_build_array('x' || i), 'owner', jsonb_build_object('::=>', i + 1)) FROM generate_series(1000, 21000) i;
INSERT INTO s.newt_class (name, version, fields) VALUES ('Task', 1, '[]');
CREATE ROLE newt_t_reader;
SELECT newt.grant_store('s', 'newt_t_reader', 'reader');
CREATE FUNCTION public.note() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN RAISE EXCEPTION 'it was run'; END $$;
CREATE FUNCTION public.advice(q text) RETURNS TABLE (advice text, relation regclass, class_name text, statement text) LANGUAGE sql VOLATILE AS
    $$ SELECT a.advice, a.relation, a.class_name, a.statement FROM newt.advise('s', q, 'public') a $$;

SELECT plan(84);
SET LOCAL ROLE newt_t_reader;
-- what is a query
SELECT throws_ok(format('SELECT newt.plan_of(%L)', q), state, message, q) FROM (VALUES
    ('SELECT 1; SELECT 2', '42601', 'query must be one statement, but has 2'), ('', '42601', 'query must be one statement, but has 0'), (';;', '42601', 'query must be one statement, but has 0'),
    ('DELETE FROM s.newt', '0A000', 'query must be a SELECT'), ('WITH d AS (DELETE FROM s.newt_projection RETURNING 1) SELECT 1', '0A000', 'query must be a SELECT'),
    ('SELECT 1 INTO x', '0A000', 'query must be a SELECT'), ('SELECT 1 INTO x UNION SELECT 2', '0A000', 'query must be a SELECT'), ('EXPLAIN ANALYZE SELECT public.note()', '0A000', 'query must be a SELECT'),
    ('DO $x$ BEGIN END $x$', '0A000', 'query must be a SELECT'), ('SELECT 1) ; DROP SCHEMA s CASCADE; --', '42601', 'syntax error at or near ")"'), ('SELECT ''', '42601', NULL),
    ('SELECT 1 FROM nowhere', '42P01', 'relation "nowhere" does not exist'), ('SELECT 1 FROM s.newt_store FOR UPDATE', '42501', NULL)) v (q, state, message);
SELECT lives_ok(format('SELECT newt.plan_of(%L)', q), q) FROM unnest(ARRAY['SELECT 1', 'SELECT 1 -- x', '(SELECT 1);', 'VALUES (1)', 'TABLE s.newt', 'WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2',
    'SELECT public.note()', 'SELECT pg_catalog.pg_sleep(1000)', 'SELECT $2::int FROM s.newt WHERE zoid = $1']) q;
SELECT is_empty('SELECT name FROM pg_prepared_statements', 'nothing stays prepared');
SELECT is(current_setting('transaction_read_only'), 'off', 'the transaction still may write');
SELECT throws_ok('SELECT newt.plan_of(''SELECT 1 FROM newt'', ''public'')', '42P01', NULL, 'names are found along the path that is given');
SELECT lives_ok('SELECT newt.plan_of(''SELECT 1 FROM newt'', ''s'')', 'here too');
SELECT throws_ok('SELECT newt.advise(''nowhere'', ''SELECT 1'')', '42704', NULL, 'no store');
SELECT throws_ok('SELECT newt.advise(''s'', NULL)', '22004', 'no query is given', 'no query');

-- conditions
SELECT is(newt.mask($$a = 'it''s (' AND (b > 1) AND "c(" = x[1]$$), $$a = xxxxxxxxx AND (xxxxx) AND xxxx = x[x]$$, 'what is within');
SELECT is(array(SELECT newt.conjuncts($$((a = ' AND ') AND ((b > 1) AND (c OR (d AND e))))$$)), ARRAY[$$a = ' AND '$$, 'b > 1', 'c OR (d AND e)'], 'conditions joined by AND');
SELECT is(newt.without_alias($$(p.a = 'p.b') AND xp.c AND "x p.y".z AND f(p.d)$$, 'p'), $$(a = 'p.b') AND xp.c AND "x p.y".z AND f(d)$$, 'without an alias');
SELECT is(newt.without_alias($$"P q".a = "P q"."B c"$$, 'P q'), 'a = "B c"', 'without an odd one');
SELECT results_eq($$SELECT c.* FROM newt.comparisons('((p.a = 1) AND (q.b < p.c) AND (p.d > p.e) AND ((p.f = 1) OR (p.g = 2)) AND (p.h @@ ''x = y''::tsquery))', 'p') c$$,
    $$VALUES ('a', '=', '1'), ('h', '@@', '''x = y''::tsquery'), ('c', '>', 'q.b')$$, 'what is compared');

-- statistics of the tables; GIN indexes, that hypopg does not know
SELECT results_eq($$SELECT * FROM advice('SELECT 1 FROM s.newt WHERE zoid = 5')$$, $$VALUES ('analyze', 's.newt_projection'::regclass, NULL, 'ANALYZE s.newt_projection')$$, 'a table that was never analyzed');
RESET ROLE;
ANALYZE s.newt_projection, s.object_state;
SET LOCAL ROLE newt_t_reader;
SELECT is_empty($$SELECT * FROM advice('SELECT 1 FROM s.newt WHERE zoid = 5')$$, 'nothing is amiss');
SELECT results_eq(format('SELECT statement FROM advice(%L) WHERE advice = ''index''', q), ARRAY[s], q) FROM (VALUES
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND newt.tsvector('english', state, 'title:A', 'x''y') @@ 'x'$$, $$SELECT newt.create_text_index('s', 'Task', 'english', 'title:A', 'x''y')$$),
    ($$SELECT 1 FROM s.newt WHERE newt.tsvector('simple', state) @@ 'x'$$, $$SELECT newt.create_text_index('s', NULL, 'simple')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'O''Hara' AND newt.principals(state, 'owner') && '{x}'$$, $$SELECT newt.create_principals_index('s', 'O''Hara', 'owner')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state @> '{"n": 1}'$$, $$SELECT newt.create_expression_index('s', 'Task', '(%s)', 'gin')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state->'tags' ? 'x5000'$$, $$SELECT newt.create_expression_index('s', 'Task', '(%s -> ''tags''::text)', 'gin')$$),
    ($$SELECT 1 FROM s.newt WHERE state->'50%' @> '1'$$, $$SELECT newt.create_expression_index('s', NULL, '(%s -> ''50%%''::text)', 'gin')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state->'state' @> '1'$$, $$SELECT newt.create_expression_index('s', 'Task', '(%s -> ''state''::text)', 'gin')$$)) v (q, s);
-- B-tree indexes, as it is without hypopg
SELECT results_eq(format('SELECT statement FROM advice(%L) WHERE advice = ''index''', q), ARRAY[s], q) FROM (VALUES
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state->>'title' = 't5'$$, $$SELECT newt.create_expression_index('s', 'Task', '(%s ->> ''title''::text)')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND 5 = newt.int8(state->'n')$$, $$SELECT newt.create_expression_index('s', 'Task', '(newt.int8((%s -> ''n''::text)))')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state->>'title' LIKE 't5%'$$, $$SELECT newt.create_expression_index('s', 'Task', '(%s ->> ''title''::text) text_pattern_ops')$$),
    ($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state->>'title' IN ('t5', 't6')$$, $$SELECT newt.create_expression_index('s', 'Task', '(%s ->> ''title''::text)')$$)) v (q, s);
SELECT is_empty($$SELECT * FROM advice('SELECT 1 FROM s.newt WHERE class_name = ''Task'' AND state->>''title'' LIKE ''%5''') WHERE advice = 'index'$$, 'substrings need pg_trgm');
SELECT results_eq($$SELECT advice, statement FROM advice('SELECT 1 FROM s.newt WHERE state->>$1 = $2')$$, $$VALUES ('query', NULL::text)$$, 'a key that is a parameter');
SELECT results_eq($$SELECT advice, statement FROM advice('SELECT 1 FROM s.newt WHERE (state->>''due'')::timestamptz > now()')$$, $$VALUES ('query', NULL::text)$$, 'a cast that no index can have');
SELECT results_eq($$SELECT advice, statement FROM advice('SELECT 1 FROM s.newt WHERE to_tsvector(state->>''title'') @@ ''x''')$$, $$VALUES ('query', NULL::text)$$, 'text by the settings');
SELECT results_eq($$SELECT advice, statement FROM advice('SELECT 1 FROM s.newt WHERE to_tsvector(''simple'', state->>''title'') @@ ''x''')$$,
    $$VALUES ('index', 'SELECT newt.create_expression_index(''s'', NULL, ''(to_tsvector(''''simple''''::regconfig, (%s ->> ''''title''''::text)))'', ''gin'')')$$, 'text by a configuration');
SELECT is((SELECT writes FROM newt.advise('s', $$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND state @> '{"n": 1}'$$)), 'an entry for each object of class "Task" that is written', 'what writes pay');

SELECT lives_ok(format('SELECT newt.advise(''s'', %L)', 'SELECT 1 FROM s.newt WHERE ' || string_agg('state->>''a'' = ''x' || i || '''', ' OR ')), 'a long condition') FROM generate_series(1, 3000) i;
SELECT lives_ok(format('SELECT newt.advise(''s'', %L)', 'SELECT 1 FROM s.newt WHERE zoid IN (' || string_agg(i::text, ', ') || ')'), 'a long list') FROM generate_series(1, 20000) i;
SELECT results_eq($$SELECT class_name, statement FROM advice('SELECT 1 FROM s.newt_projection AS "P; --" WHERE "P; --".class_name = ''O''''Hara'' AND "P; --".state @> ''{"a": "''''); --"}''') WHERE advice = 'index'$$,
    $$VALUES ('O''Hara', 'SELECT newt.create_expression_index(''s'', ''O''''Hara'', ''(%s)'', ''gin'')')$$, 'odd names');

-- groups, sorts
SELECT set_eq($$SELECT advice, class_name, statement FROM advice('SELECT state->>''kind'', count(*) FROM s.newt WHERE class_name = ''Task'' GROUP BY 1')$$,
    $$SELECT 'statistics' AS a, 'Task' AS c, newt.statistics_sql('s', 's.newt_projection', 'state ->> ''kind''::text') AS s UNION VALUES ('table', 'Task', 'CALL newt.create_table(''s'', ''Task'')')$$, 'a report');
SELECT results_eq($$SELECT advice, class_name FROM advice('SELECT state FROM s.newt WHERE class_name = ''O''''Hara'' ORDER BY serial')$$, $$SELECT 'x', 'x' LIMIT 0$$, 'a class that is not registered gets no table');
SELECT is_empty($$SELECT * FROM advice('SELECT state FROM s.newt WHERE class_name = ''Task''')$$, 'nor does who only reads');
RESET ROLE;
SELECT lives_ok(split_part(s, ';', 1), 'the statistics are made') FROM newt.statistics_sql('s', 's.newt_projection', 'state ->> ''kind''::text') s;
ANALYZE s.newt_projection;
SELECT lives_ok(statement, 'the index is made') FROM advice($$SELECT 1 FROM s.newt WHERE class_name = 'Task' AND newt.tsvector('english', state, 'title:A') @@ 'x'$$);
SET LOCAL ROLE newt_t_reader;
SELECT is_empty($$SELECT * FROM advice('SELECT state->>''kind'', count(*) FROM s.newt WHERE class_name = ''Task'' GROUP BY 1') WHERE advice = 'statistics'$$, 'and then are there');
SELECT is_empty($$SELECT * FROM advice('SELECT 1 FROM s.newt WHERE class_name = ''Task'' AND newt.tsvector(''english'', state, ''title:A'') @@ ''x''')$$, 'no more is said of it');
RESET ROLE;
CREATE INDEX ON s.newt_projection ((state->>'title'));
CREATE INDEX ON s.newt_projection ((state->>'n')) WHERE class_name = 'O''Hara';
SET LOCAL ROLE newt_t_reader;
SELECT is(newt.has_index('s.newt_projection', i, c, m, o), w, concat_ws(' ', 'has_index', i, c, m, o)) FROM (VALUES
    ('state ->> ''title''::text', NULL, NULL, NULL, true), ('state ->> ''title''::text', 'Task', 'btree', NULL, true), ('(state ->> ''title''::text)', NULL, 'gin', NULL, false),
    ('state ->> ''title''::text', NULL, 'btree', 'gin_trgm_ops', false), ('state ->> ''n''::text', NULL, NULL, NULL, true), ('state ->> ''n''::text', 'O''Hara', NULL, NULL, true),
    ('state ->> ''n''::text', 'Task', NULL, NULL, false), ('zoid', 'Task', 'btree', NULL, true)) v (i, c, m, o, w);
SELECT is(newt.cost_with('SELECT 1', 'CREATE INDEX ON s.newt_projection (serial)'), NULL, 'without hypopg no cost is known');
SELECT throws_ok('SELECT newt.advise_workload(''s'')', '55000', 'pg_stat_statements is not installed in this database', 'no statistics of statements');

-- a virtual class; a typed table
RESET ROLE;
INSERT INTO s.object_state SELECT i, 1, '\x83645461736b01a1616e19'::bytea || substr(int4send(i), 3) FROM generate_series(1000, 3000) i;
ANALYZE s.object_state;
SELECT newt.set_projection('s', NULL, 'virtual');
CREATE TABLE s.task (id bigint PRIMARY KEY, title text, "O""dd" integer);
CREATE TABLE s.task_items (task_id bigint, n integer);
INSERT INTO s.newt_table (relation, class_name, parent, path, filled, columns) VALUES ('s.task', 'Task', NULL, '{}', true, '[]'), ('s.task_items', 'Task', 's.task', '{items}', true, '[]');
INSERT INTO s.task SELECT i, 't' || i FROM generate_series(1, 20000) i;
INSERT INTO s.task_items SELECT i, 1 FROM generate_series(1, 20000) i;
ANALYZE s.task, s.task_items;
GRANT SELECT ON s.newt_table, s.task, s.task_items TO newt_t_reader;
SET LOCAL ROLE newt_t_reader;
SELECT results_eq($$SELECT advice, relation, class_name, statement FROM advice('SELECT 1 FROM s.newt WHERE class_name = ''Task'' AND state->>''title'' = ''t5''')$$,
    $$VALUES ('index', 's.object_state'::regclass, 'Task', 'SELECT newt.create_expression_index(''s'', ''Task'', ''(%s ->> ''''title''''::text)'')')$$, 'a virtual class');
SELECT results_eq($$SELECT advice, relation, class_name, statement FROM advice('SELECT 1 FROM s.task WHERE title = ''t5''')$$,
    $$VALUES ('index', 's.task'::regclass, 'Task', 'SELECT newt.create_field_index(''s'', ''Task'', ''title'')')$$, 'a typed table');
SELECT results_eq(format('SELECT statement FROM advice(%L) WHERE advice = ''index''', 'SELECT 1 FROM s.task WHERE ' || q), ARRAY[s], q) FROM (VALUES
    ('lower(title) = ''x''', $$SELECT newt.create_field_index('s', 'Task', 'title', 'nocase')$$), ('title LIKE ''x%''', $$SELECT newt.create_field_index('s', 'Task', 'title', 'prefix')$$),
    ('lower(title) LIKE ''x%''', $$SELECT newt.create_field_index('s', 'Task', 'title', 'nocase_prefix')$$), ('upper(title) = ''X''', $$CREATE INDEX ON s.task USING btree ((upper(title)))$$),
    ('"O""dd" = 3', $$SELECT newt.create_field_index('s', 'Task', 'O"dd')$$)) v (q, s);
SELECT results_eq($$SELECT statement FROM advice('SELECT 1 FROM s.task_items WHERE n = 3')$$, $$VALUES ('CREATE INDEX ON s.task_items USING btree ((n))')$$, 'a table of items');
RESET ROLE;

-- with hypopg
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hypopg') AS hypopg \gset
\if :hypopg
CREATE EXTENSION hypopg SCHEMA public;
SET LOCAL ROLE newt_t_reader;
SELECT results_eq($$SELECT advice, statement, cost_after < cost / 2 FROM newt.advise('s', 'SELECT 1 FROM s.task WHERE title = ''t5''', 'public')$$,
    $$VALUES ('index', 'SELECT newt.create_field_index(''s'', ''Task'', ''title'')', true)$$, 'an index that helps');
SELECT is_empty($$SELECT * FROM advice('SELECT 1 FROM s.task WHERE title > ''a''')$$, 'one that does not');
SELECT results_eq($$SELECT advice, cost_after < cost / 2 FROM newt.advise('s', 'SELECT 1 FROM s.newt_projection p WHERE class_name = ''Task'' AND state->''owner''->>''::=>'' = ''5''', 'public')$$, $$VALUES ('index', true)$$, 'one on an expression');
SELECT is_empty('SELECT * FROM public.hypopg()', 'none stays');
RESET ROLE;
\else
SELECT skip('there is no hypopg', 4);
\endif
SELECT * FROM finish();
ROLLBACK;
