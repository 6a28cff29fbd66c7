-- Builders of indexes: a filter on a typed view's column uses the index, by its name; what newt.indexes()
-- says of them; who may make them. Not in one transaction, since CONCURRENTLY cannot be.
CREATE EXTENSION newt;
CREATE EXTENSION pg_trgm;
SET client_min_messages = warning;
SELECT no_plan();
SET jit = off; -- on a hostile server each of these plans would be compiled
SELECT newt.create_store('s');
INSERT INTO s.newt_class (name, version, fields, projection) VALUES
    ('Task', 1, '[{"name": "title", "kind": "text"}, {"name": "state", "kind": "enum", "names": ["todo", "done"]},
                  {"name": "points", "kind": "uint", "bits": 8}, {"name": "hours", "kind": "float", "bits": 64},
                  {"name": "price", "kind": "decimal"}, {"name": "due", "kind": "time"}, {"name": "born", "kind": "date"},
                  {"name": "took", "kind": "duration"}, {"name": "key", "kind": "uuid"}, {"name": "done", "kind": "bool"},
                  {"name": "owner", "kind": "ref", "class": "Person"}, {"name": "tags", "kind": "text", "shape": "list"},
                  {"name": "any", "kind": "json"}, {"name": "subs", "kind": "ref", "shape": "list"},
                  {"name": "home", "kind": "struct", "class": "Address", "fields": [{"name": "city", "kind": "text"}]},
                  {"name": "::odd \"name'' %s 100%", "kind": "int", "bits": 32}]', NULL),
    ('Light', 1, '[{"name": "title", "kind": "text"}, {"name": "points", "kind": "int", "bits": 32}]', 'virtual'),
    ('A very long name of a class, which has "quotes", %s and ''more'' ö', 1,
                 '[{"name": "a field whose name has more bytes than an identifier of PostgreSQL may have, ö", "kind": "int", "bits": 32}]', NULL);
SELECT newt.set_projection('s', 'Light', 'virtual');
INSERT INTO s.newt_projection (zoid, class_name, serial, state)
SELECT 2000 + i, CASE i % 10 WHEN 0 THEN 'Note' ELSE 'Task' END, i, jsonb_build_object(
    'title', 'Title ' || md5(i::text), 'state', CASE i % 100 WHEN 1 THEN 'done' ELSE 'todo' END, 'points', i % 256, 'hours', i / 10.0,
    'price', i * 0.01, 'due', to_char(timestamp '2024-01-01' + i * interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'born', to_char(date '2000-01-01' + i, 'YYYY-MM-DD'), 'took', i * 1000000::bigint, 'key', md5(i::text)::uuid, 'done', i % 50 = 1,
    'owner', jsonb_build_object('::=>', i % 300), 'tags', jsonb_build_array('tag' || i % 200, 'all'), 'any', jsonb_build_object('x', i),
    'subs', jsonb_build_array(jsonb_build_object('::=>', i)), 'home', jsonb_build_object('city', 'City' || i % 400),
    ':::odd "name'' %s 100%', i)
FROM generate_series(1, 4000) i;
-- {"title": "Title <i>"}
INSERT INTO s.object_state (zoid, serial, state)
SELECT 9000 + i, i, '\x83654c6967687401a1657469746c65'::bytea || decode(to_hex(96 + length(t)), 'hex') || convert_to(t, 'UTF8')
FROM generate_series(1, 3000) i, LATERAL (SELECT 'Title ' || i) l (t);
SELECT newt.create_view('s', 'Task'), newt.create_view('s', 'Light');

CREATE FUNCTION public.uses(query text, index_name text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text; plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        plan := plan || E'\n' || line;
    END LOOP;
    RETURN ok(plan ~ ('(Index Scan on|Scan using) ' || index_name || '\M'), what || ' uses ' || index_name) || CASE WHEN plan ~ index_name THEN '' ELSE E'\n' || diag(plan) END;
END
$$;
-- what it finds is what a scan finds
CREATE FUNCTION public.found(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    by_index bigint[]; by_scan bigint[];
BEGIN
    EXECUTE format('SELECT array_agg(f.id ORDER BY f.id) FROM (%s) f (id)', query) INTO by_index;
    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('enable_indexonlyscan', 'off', true);
    EXECUTE format('SELECT array_agg(f.id ORDER BY f.id) FROM (%s) f (id)', query) INTO by_scan;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true), set_config('enable_indexonlyscan', 'on', true);
    RETURN ok(by_index = by_scan, 'it finds ' || coalesce(cardinality(by_scan), 0) || ' as a scan does: ' || query);
END
$$;

-- ---- of fields ----
CREATE TABLE public.builder (place serial, call text, index_name text, query text);
INSERT INTO public.builder (call, index_name, query) VALUES
    ($$'points'$$, 'task_points_idx', 'points = 77'),
    ($$'hours'$$, 'task_hours_idx', 'hours BETWEEN 7 AND 8'),
    ($$'price'$$, 'task_price_idx', 'price < 0.5'),
    ($$'due'$$, 'task_due_idx', $$due BETWEEN '2024-01-05 00:00+00' AND '2024-01-05 02:00+00'$$),
    ($$'born'$$, 'task_born_idx', $$born = '2000-02-07'$$),
    ($$'took'$$, 'task_took_idx', $$took < '30 s'$$),
    ($$'key'$$, 'task_key_idx', $$key = md5('77')::uuid$$),
    ($$'done'$$, 'task_done_idx', 'done'),
    ($$'state'$$, 'task_state_idx', $$state = 'done'$$),
    ($$'owner_id'$$, 'task_owner_id_idx', 'owner_id = 77'),
    ($$'owner', more => '{due}'$$, 'task_owner_id_due_idx', $$owner_id = 77 AND due > '2024-03-05 00:00+00'$$),
    ($$'title'$$, 'task_title_idx', $$title = 'Title ' || md5('77')$$),
    ($$'title', 'nocase'$$, 'task_title_nocase_idx', $$lower(title) = lower('TitLE ' || md5('77'))$$),
    ($$'title', 'prefix'$$, 'task_title_prefix_idx', $$title LIKE 'Title ab%'$$),
    ($$'title', 'nocase_prefix'$$, 'task_title_nocase_prefix_idx', $$lower(title) LIKE 'title ab%'$$),
    ($$'title', 'substring'$$, 'task_title_substring_idx', $$title ILIKE '%28DD2C%'$$),
    ($$'home_city'$$, 'task_home_city_idx', $$home_city = 'City77'$$),
    ($$'tags'$$, 'task_tags_idx', $$tags @> '{tag77}'$$),
    ($$'any'$$, 'task_any_idx', $$"any" @> '{"x": 77}'$$),
    ($$'::odd "name'' %s 100%'$$, 'task_odd_name_s_100_idx', $$"::odd ""name' %s 100%" = 77$$);
SELECT lives_ok(format('SELECT newt.create_field_index(%L, %L, %s)', 's', 'Task', call), 'an index on ' || call) FROM public.builder ORDER BY place;
ANALYZE s.newt_projection;
-- where two would do, that with less in it is asked for
SELECT uses('SELECT id FROM s.task WHERE ' || query, index_name, query) FROM public.builder
 WHERE index_name NOT IN ('task_owner_id_idx', 'task_title_idx', 'task_title_prefix_idx', 'task_title_nocase_idx') ORDER BY place;
SELECT found('SELECT id FROM s.task WHERE ' || query) FROM public.builder ORDER BY place;
DROP INDEX s.task_title_prefix_idx, s.task_title_nocase_prefix_idx, s.task_title_substring_idx, s.task_owner_id_due_idx;
SELECT uses('SELECT id FROM s.task WHERE ' || query, index_name, query) FROM public.builder WHERE index_name IN ('task_owner_id_idx', 'task_title_idx', 'task_title_nocase_idx');
DROP INDEX s.task_title_idx;
SELECT newt.create_field_index('s', 'Task', 'title', 'prefix');
SELECT uses('SELECT id FROM s.task WHERE ' || query, index_name, query) FROM public.builder WHERE index_name = 'task_title_prefix_idx';
SELECT uses('SELECT t.id FROM generate_series(77, 79) g JOIN s.task t ON t.owner_id = g', 'task_owner_id_idx', 'a join along a reference');
SELECT uses('SELECT due FROM s.task ORDER BY due LIMIT 3', 'task_due_idx', 'an order');

-- of a virtual class, over its records
SELECT newt.create_field_index('s', 'Light', 'title');
ANALYZE s.object_state;
SELECT uses($$SELECT id FROM s.light WHERE title = 'Title 77'$$, 'light_title_idx', 'a virtual class');
SELECT found($$SELECT id FROM s.light WHERE title = 'Title 77'$$);
SELECT is((SELECT i.relation FROM newt.indexes('s') i WHERE i.index_name = 's.light_title_idx'::regclass), 's.object_state'::regclass, 'it is over the records');

-- names that are cut
SELECT newt.create_field_index('s', 'A very long name of a class, which has "quotes", %s and ''more'' ö',
    'a field whose name has more bytes than an identifier of PostgreSQL may have, ö');
SELECT newt.create_path_index('s', 'A very long name of a class, which has "quotes", %s and ''more'' ö', '{a,b}');
SELECT newt.create_path_index('s', 'A very long name of a class, which has "quotes", %s and ''more'' ö', '{a.b}');
SELECT set_eq($$SELECT c.relname::text, octet_length(c.relname), i.purpose FROM newt.indexes('s') i JOIN pg_class c ON c.oid = i.index_name WHERE i.class_name LIKE 'A very%'$$,
    $$VALUES ('a_very_long_name_of_a_class_w_a_field_whose_name_has_more_b_idx', 63, 'value a field whose name has more bytes than an identifier of Postgre'),
             ('a_very_long_name_of_a_class_which_has_quotes_s_and_a_b_path_idx', 63, 'path {a,b}'),
             ('a_very_long_name_of_a_class_which_has_quotes_s_a_a_b_path_idx_2', 63, 'path {a.b}')$$, 'names are cut, and differ');

-- ---- typed tables, in a schema of their own ----
CREATE SCHEMA "Reports";
CREATE TABLE "Reports".done_task (id bigint PRIMARY KEY, title text, tags text[], due timestamptz);
CREATE TABLE "Reports".done_task_subs (done_task_id bigint, n integer, subs_id bigint);
INSERT INTO s.newt_table (relation, class_name, parent, path, filled, columns) VALUES
    ('"Reports".done_task', 'Task', NULL, '{}', true, '[]'), ('"Reports".done_task_subs', 'Task', '"Reports".done_task', '{subs}', true, '[]');
INSERT INTO "Reports".done_task SELECT i, 'Title ' || i, ARRAY['tag' || i % 200], '2024-01-01'::timestamptz + i * interval '1 h' FROM generate_series(1, 3000) i;
INSERT INTO "Reports".done_task_subs SELECT i, 1, i FROM generate_series(1, 3000) i;
SELECT is(newt.class_table('s', 'Task'), '"Reports".done_task'::regclass, 'the class has a table');
SELECT is(newt.class_table('s', 'Task', '{subs}'), '"Reports".done_task_subs'::regclass, 'and one for a list');
SELECT is(newt.class_table('s', 'Light'), NULL, 'another has none');
SELECT newt.create_field_index('s', 'Task', 'due');
SELECT newt.create_field_index('s', 'Task', 'tags');
SELECT newt.create_field_index('s', 'Task', 'title', 'substring', is_unique => false);
SELECT newt.create_field_index('s', 'Task', 'subs.subs_id');
SELECT newt.create_field_index('s', 'Task', 'title', is_unique => true);
ANALYZE "Reports".done_task, "Reports".done_task_subs;
SELECT uses($$SELECT id FROM "Reports".done_task WHERE due = '2024-01-05 00:00+00'$$, 'done_task_due_idx', 'a typed table');
SELECT uses($$SELECT id FROM "Reports".done_task WHERE tags @> '{tag77}'$$, 'done_task_tags_idx', 'an array');
SELECT uses($$SELECT id FROM "Reports".done_task WHERE title ILIKE '%le 77%'$$, 'done_task_title_substring_idx', 'a substring');
SELECT uses($$SELECT id FROM "Reports".done_task WHERE title = 'Title 77'$$, 'done_task_title_idx', 'a unique field');
SELECT uses($$SELECT done_task_id FROM "Reports".done_task_subs WHERE subs_id = 77$$, 'done_task_subs_subs_id_idx', 'a list');
SELECT throws_ok($$INSERT INTO "Reports".done_task VALUES (5000, 'Title 77')$$, '23505', NULL, 'and it is unique');
SELECT set_eq($$SELECT relation::text, purpose FROM newt.indexes('s') WHERE class_name = 'Task' AND relation IN ('"Reports".done_task'::regclass, '"Reports".done_task_subs'::regclass)$$,
    $$VALUES ('"Reports".done_task', 'key'), ('"Reports".done_task', 'value due'), ('"Reports".done_task', 'value tags'), ('"Reports".done_task', 'substring title'),
             ('"Reports".done_task', 'unique value title'), ('"Reports".done_task_subs', 'value subs.subs_id')$$, 'newt.indexes() has those of the tables');
SELECT throws_ok($$SELECT newt.create_field_index('s', 'Task', 'title', more => '{subs.subs_id}')$$, '0A000',
    'fields "title" and "subs.subs_id" of class "Task" are in different tables', 'no index is over two tables');
DELETE FROM s.newt_table;

-- ---- of documents ----
SELECT newt.create_expression_index('s', 'Task', '(length(%s->>''title'')), zoid');
SELECT newt.create_expression_index('s', NULL, '%s jsonb_path_ops', 'gin');
SELECT newt.create_expression_index('s', 'Task', '((%s->>''points'')::int %% 7 ), zoid', is_unique => true);
SELECT newt.create_path_index('s', 'Task', '{subs}');
SELECT newt.create_path_index('s', 'Task', '{home,city}');
SELECT newt.create_text_index('s', 'Task', 'english', 'title:A', 'home.city');
SELECT newt.create_principals_index('s', NULL, 'subs');
ANALYZE s.newt_projection;
SELECT uses($$SELECT zoid FROM s.newt WHERE class_name = 'Task' AND length(state->>'title') = 7$$, 'task_expr_idx', 'an expression');
SELECT uses($$SELECT zoid FROM s.newt_projection WHERE state @> '{"points": 77, "any": {"x": 77}}'$$, 'newt_projection_expr_idx', 'a whole document');
SELECT uses($$SELECT zoid FROM s.newt WHERE class_name = 'Task' AND state->'subs' @> '[{"::=>": 77}]'$$, 'task_subs_path_idx', 'a path');
SELECT found($$SELECT zoid FROM s.newt WHERE class_name = 'Task' AND state->'subs' @> '[{"::=>": 77}]'$$);
SELECT uses($$SELECT zoid FROM s.newt WHERE class_name = 'Task' AND state #> '{home,city}' @> '"City77"'$$, 'task_home_city_path_idx', 'a longer path');
SELECT uses($$SELECT zoid FROM s.newt WHERE class_name = 'Task' AND newt.tsvector('english', state, 'title:A', 'home.city') @@ 'city77'$$, 'task_text_idx', 'text');
SELECT uses($$SELECT zoid FROM s.newt_projection WHERE newt.principals(state, 'subs') @> '{::=>77}'$$, 'newt_projection_principals_idx', 'principals');
SELECT throws_ok($$INSERT INTO s.newt_projection SELECT 2077, class_name, serial, state FROM s.newt_projection WHERE zoid = 2077$$, '23505', NULL, 'a unique expression is checked');

-- ---- concurrently, and what newt.indexes() says ----
SELECT newt.create_field_index_sql('s', 'Task', 'price', 'value', '{due}', concurrently => true) \gexec
SELECT newt.create_text_index_sql('s', NULL, 'simple', '{title}', true) \gexec
SELECT newt.create_principals_index_sql('s', 'Task', '{owner}', true) \gexec
SELECT newt.create_path_index_sql('s', 'Task', '{any,x}', true) \gexec
SELECT newt.create_expression_index_sql('s', 'Task', '(%s->>''nothing'')', concurrently => true) \gexec
SELECT set_eq($$SELECT index_name::text, purpose, is_valid FROM newt.indexes('s') WHERE index_name IN ('s.task_price_due_idx'::regclass, 's.newt_projection_text_idx'::regclass, 's.object_state_text_idx'::regclass,
                   's.task_principals_idx'::regclass, 's.task_any_x_path_idx'::regclass, 's.task_expr_idx_3'::regclass)$$,
    $$VALUES ('s.task_price_due_idx', 'value price, due', true), ('s.newt_projection_text_idx', 'text simple title', true), ('s.object_state_text_idx', 'text simple title', true),
             ('s.task_principals_idx', 'principals owner', true), ('s.task_any_x_path_idx', 'path {any,x}', true),
             ('s.task_expr_idx_3', 'expression (%s->>''nothing'')', true)$$, 'made concurrently, each with its comment');
\set ON_ERROR_STOP off
SELECT newt.create_field_index_sql('s', 'Task', 'points', is_unique => true, concurrently => true) \gexec
\set ON_ERROR_STOP on
CREATE INDEX by_hand ON s.newt_projection (newt.ts(state->'due'));
CREATE INDEX by_hand_too ON s.newt_projection (newt.ts(state->'due'), zoid);
CREATE INDEX by_hand_again ON s.newt_projection (newt.ts(state->'due'), zoid);
CREATE INDEX by_hand_desc ON s.newt_projection (newt.ts(state->'due') DESC);
CREATE UNIQUE INDEX by_hand_unique ON s.newt_projection (zoid);
CREATE INDEX by_hand_partial ON s.newt_projection (newt.ts(state->'due')) WHERE class_name = E'It''s \\ "so"' AND zoid > 5;
CREATE INDEX by_hand_light ON s.newt_projection (zoid) WHERE class_name = 'Light';
CREATE INDEX by_hand_task ON s.object_state (zoid) WHERE newt.try_class_name(state) = 'Task';
CREATE TEMP VIEW listed AS SELECT (SELECT c.relname FROM pg_class c WHERE c.oid = i.index_name)::text AS name, i.* FROM newt.indexes('s') i;
SELECT set_eq($$SELECT name, advice FROM listed WHERE name LIKE 'by\_hand%' OR NOT is_valid OR name = 'newt_projection_pkey'$$, $$VALUES
    ('by_hand', 'redundant: s.by_hand_too begins with the same columns. DROP INDEX s.by_hand'),
    ('by_hand_too', 'unused so far: DROP INDEX s.by_hand_too if standbys do not use it either'),
    ('by_hand_again', 'duplicate of s.by_hand_too: DROP INDEX s.by_hand_again'),
    ('by_hand_desc', 'unused so far: DROP INDEX s.by_hand_desc if standbys do not use it either'),
    ('by_hand_light', 'misplaced: objects of class "Light" are read from s.object_state. Create it anew, and DROP INDEX s.by_hand_light'),
    ('by_hand_task', 'misplaced: objects of class "Task" are read from s.newt_projection. Create it anew, and DROP INDEX s.by_hand_task'),
    ('by_hand_unique', 'duplicate of s.newt_projection_pkey: DROP INDEX s.by_hand_unique'),
    ('by_hand_partial', 'unused so far: DROP INDEX s.by_hand_partial if standbys do not use it either'),
    ('newt_projection_pkey', NULL),
    ('task_points_idx_2', 'invalid: every write pays for it, no query uses it. REINDEX INDEX CONCURRENTLY s.task_points_idx_2 or DROP INDEX s.task_points_idx_2')$$,
    'what had better be done');
SELECT results_eq($$SELECT class_name, purpose, is_unique, is_valid, rows FROM listed WHERE name = 'by_hand_partial'$$,
    $$VALUES (E'It''s \\ "so"', NULL::text, false, true, 1::bigint)$$, 'an index made by hand');
SELECT results_eq($$SELECT class_name, purpose, is_unique, is_valid, size > 8192, rows BETWEEN 3000 AND 4200, bytes_per_row > 1, definition FROM listed WHERE name = 'task_owner_id_idx'$$,
    $$VALUES ('Task', 'value owner_id', false, true, true, true, true, pg_get_indexdef('s.task_owner_id_idx'::regclass))$$, 'and one by a builder');
SELECT results_eq($$SELECT class_name, is_unique, is_valid FROM listed WHERE name = 'task_points_idx_2'$$, $$VALUES ('Task', true, false)$$, 'one that failed');
SELECT throws_ok($$SELECT newt.create_field_index('s', 'Task', 'due')$$, '42710', 'index s.task_due_idx is there already', 'none is made twice');
-- scans are counted
CREATE FUNCTION public.wait_for_scans() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL enable_seqscan = off;
    PERFORM FROM s.task WHERE owner_id = 77;
    RETURN true;
END
$$;
SELECT wait_for_scans();
SELECT pg_stat_force_next_flush();
SELECT results_eq($$SELECT scans > 0, advice FROM listed WHERE name = 'task_owner_id_idx'$$, $$VALUES (true, NULL::text)$$, 'one that is used');
SELECT ok(pg_stat_reset() IS NOT NULL, 'reset');
SELECT ok((SELECT bool_and(since > now() - interval '1 min') FROM listed), 'and since when');

-- ---- the parts ----
SELECT is(newt.index_class('s.task_due_idx'::regclass), 'Task', 'an index of a class');
SELECT is(newt.index_class('s.light_title_idx'::regclass), 'Light', 'of a virtual one');
SELECT is(newt.index_class('s.newt_projection_pkey'::regclass), NULL, 'of all');
SELECT is(newt.index_class(0), NULL, 'no index');
CREATE INDEX by_hand_or ON s.newt_projection (zoid) WHERE class_name = 'Task' OR zoid < 5;
SELECT is(newt.index_class('s.by_hand_or'::regclass), NULL, 'a condition that others fulfil, too');
SELECT is(newt.index_name('s', 'Task', 'due'), 'task_due_idx_2', 'a name that is taken gets a number');
SELECT is(newt.index_name('s', 'app.Task', ' a  b__'), 'app_task_a_b_idx', 'what is no letter is one _');
SELECT is(newt.index_name('s', repeat('x', 100), repeat('ö', 100)), repeat('x', 30) || '_' || repeat('ö', 14) || '_idx', 'both parts are cut, between characters');
SELECT results_eq($$SELECT newt.index_statements('s', 'Task', 'p', 'a', 'stored', 'computed')$$, $$VALUES
    ('CREATE INDEX task_a_idx ON s.newt_projection USING gin (stored) WHERE class_name = ''Task'''), ('COMMENT ON INDEX s.task_a_idx IS ''newt: p''')$$, 'stored');
SELECT results_eq($$SELECT newt.index_statements('s', 'Light', 'p', 'a', 'stored', 'computed')$$, $$VALUES
    ('CREATE INDEX light_a_idx ON s.object_state USING gin (computed) WHERE newt.try_class_name(state) = ''Light'''), ('COMMENT ON INDEX s.light_a_idx IS ''newt: p''')$$, 'computed');
SELECT results_eq($$SELECT newt.index_statements('s', NULL, 'p', 'a', 'stored', 'computed', 'btree', true, true)$$, $$VALUES
    ('CREATE UNIQUE INDEX CONCURRENTLY newt_projection_a_idx ON s.newt_projection USING btree (stored)'), ('COMMENT ON INDEX s.newt_projection_a_idx IS ''newt: p'''),
    ('CREATE UNIQUE INDEX CONCURRENTLY object_state_a_idx ON s.object_state USING btree (computed)'), ('COMMENT ON INDEX s.object_state_a_idx IS ''newt: p''')$$, 'both');

-- ---- what it costs ----
SELECT results_eq($$SELECT c.rows, c.wal_bytes > 20, c.microseconds >= 0 FROM newt.index_cost('s.task_text_idx', 200) c$$, $$VALUES (200::bigint, true, true)$$, 'measured');
SELECT ok(c.wal_bytes > d.wal_bytes, 'words cost more than a number') FROM newt.index_cost('s.task_text_idx', 500) c, newt.index_cost('s.task_owner_id_idx', 500) d;
SELECT results_eq($$SELECT c.rows, c.wal_bytes FROM newt.index_cost('s.by_hand_partial') c$$, $$VALUES (0::bigint, NULL::numeric)$$, 'no rows, nothing known');
SELECT ok(c.rows BETWEEN 1000 AND 1000 AND c.wal_bytes > 0, 'of records') FROM newt.index_cost('s.light_title_idx') c;
SELECT throws_ok($$SELECT newt.index_cost('s.task')$$, '42809', 's.task is no index', 'a view is no index');
-- it does not run somebody else's function with the caller's rights
CREATE ROLE newt_t_maker;
CREATE FUNCTION public.newt_t_made(state jsonb) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN current_user; END $$;
ALTER FUNCTION public.newt_t_made(jsonb) OWNER TO newt_t_maker;
CREATE TABLE public.newt_t_things AS SELECT '{}'::jsonb AS state;
CREATE INDEX newt_t_made_idx ON public.newt_t_things (public.newt_t_made(state));
CREATE INDEX newt_t_made_where ON public.newt_t_things ((1)) WHERE public.newt_t_made(state) > '';
ALTER TABLE public.newt_t_things OWNER TO newt_t_maker;
SELECT throws_ok(format('SELECT newt.index_cost(%L)', 'public.' || i), '42501', 'index public.' || i || ' calls function public.newt_t_made(jsonb), which would run with your rights', i)
  FROM unnest(ARRAY['newt_t_made_idx', 'newt_t_made_where']) i;
GRANT CREATE ON SCHEMA public TO newt_t_maker;
SET ROLE newt_t_maker;
SELECT ok(c.rows = 1, 'its owner may') FROM newt.index_cost('public.newt_t_made_idx') c;
RESET ROLE;
ALTER FUNCTION public.newt_t_made(jsonb) OWNER TO CURRENT_USER;
SELECT ok(c.rows = 1, 'so may all with a superuser''s') FROM newt.index_cost('public.newt_t_made_idx') c;
DROP TABLE public.newt_t_things;
DROP OWNED BY newt_t_maker;
DROP ROLE newt_t_maker;
SELECT is_empty($$SELECT FROM pg_class WHERE relname LIKE 'newt_index_cost%'$$, 'nothing stays');

-- ---- while one is being built ----
CREATE EXTENSION dblink;
SET default_transaction_isolation = 'read committed';
SELECT dblink_connect(c, format('host=%s port=%s dbname=%s user=%s options=-cdefault_transaction_read_only=off', split_part(current_setting('unix_socket_directories'), ',', 1),
                                current_setting('port'), current_database(), session_user)) FROM unnest('{writer,builder}'::text[]) c;
SELECT dblink_exec('writer', 'BEGIN; UPDATE s.newt_projection SET serial = serial WHERE zoid = 2001');
SELECT dblink_send_query('builder', statement) FROM newt.create_path_index_sql('s', 'Task', '{slow}', true) statement WHERE statement LIKE 'CREATE%';
CREATE FUNCTION public.wait_for(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + interval '30 s';
    met boolean;
BEGIN
    LOOP
        PERFORM pg_stat_clear_snapshot(); -- what others do is looked at once in a transaction
        EXECUTE 'SELECT ' || condition INTO met;
        EXIT WHEN met OR clock_timestamp() > until;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN met;
END
$$;
SELECT ok(wait_for($$EXISTS (SELECT FROM listed WHERE name = 'task_slow_path_idx' AND NOT is_valid AND advice = 'is being built')$$), 'while a writer is waited for');
-- (to its end it would wait for us, too)
SELECT dblink_cancel_query('builder');
SELECT is_empty($$SELECT FROM dblink_get_result('builder', false) d (r text)$$, 'it is given up');
SELECT ok((SELECT NOT is_valid AND advice LIKE 'invalid: %' FROM listed WHERE name = 'task_slow_path_idx'), 'and is no more being built');
SELECT dblink_disconnect(c) FROM unnest('{writer,builder}'::text[]) c;

-- ---- names of any kind ----
SELECT newt.create_store(E'a"b''\\ %1$s %');
INSERT INTO "a""b'\ %1$s %".newt_class (name, version, fields) VALUES
    (E'C"''\\%2$L,{}', 1, jsonb_build_array(jsonb_build_object('name', E'f"''\\%s.{}', 'kind', 'text'), '{"name": "n", "kind": "int", "bits": 32}'::jsonb));
INSERT INTO "a""b'\ %1$s %".newt_projection SELECT i, E'C"''\\%2$L,{}', 1, jsonb_build_object(E'f"''\\%s.{}', 'text ' || i, 'n', i) FROM generate_series(10, 3000) i;
SELECT newt.create_field_index(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}', E'f"''\\%s.{}', kind) FROM unnest('{value,nocase,prefix,nocase_prefix,substring}'::text[]) kind;
SELECT newt.create_path_index(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}', ARRAY[E'f"''\\%s.{}', E'\\']);
SELECT newt.create_text_index(E'a"b''\\ %1$s %', E'C"''\\%2$L,{}', 'simple', E'f"''\\\\%s\\.{}');
CREATE INDEX "by ""hand"" %s '\ USING x" ON "a""b'\ %1$s %".newt_projection (zoid) WHERE class_name = E'C"''\\%2$L,{}' AND zoid > 20;
SELECT set_eq($$SELECT i.index_name::text, i.class_name, i.purpose FROM newt.indexes(E'a"b''\\ %1$s %') i WHERE i.class_name IS NOT NULL$$, $$VALUES
    (E'"a""b''\\ %1$s %".c_2_l_f_s_idx', E'C"''\\%2$L,{}', E'value f"''\\%s.{}'), (E'"a""b''\\ %1$s %".c_2_l_f_s_nocase_idx', E'C"''\\%2$L,{}', E'nocase f"''\\%s.{}'),
    (E'"a""b''\\ %1$s %".c_2_l_f_s_prefix_idx', E'C"''\\%2$L,{}', E'prefix f"''\\%s.{}'), (E'"a""b''\\ %1$s %".c_2_l_f_s_nocase_prefix_idx', E'C"''\\%2$L,{}', E'nocase_prefix f"''\\%s.{}'),
    (E'"a""b''\\ %1$s %".c_2_l_f_s_substring_idx', E'C"''\\%2$L,{}', E'substring f"''\\%s.{}'), (E'"a""b''\\ %1$s %".c_2_l_f_s_path_idx', E'C"''\\%2$L,{}', E'path ' || ARRAY[E'f"''\\%s.{}', E'\\']::text),
    (E'"a""b''\\ %1$s %".c_2_l_text_idx', E'C"''\\%2$L,{}', E'text simple f"''\\\\%s\\.{}'), (E'"a""b''\\ %1$s %"."by ""hand"" %s ''\\ USING x"', E'C"''\\%2$L,{}', NULL)$$, 'names of any kind');
SELECT ok(bool_and(c.rows = 1000 AND c.wal_bytes > 0), 'and measured') FROM newt.indexes(E'a"b''\\ %1$s %') i, newt.index_cost(i.index_name) c WHERE i.class_name IS NOT NULL;
ANALYZE "a""b'\ %1$s %".newt_projection;
SELECT uses(format('SELECT zoid FROM "a""b''\ %%1$s %%".newt WHERE class_name = %L AND %s = %L', class, newt.accessor_sql('state', ARRAY[E'f"''\\%s.{}'], 'text', 'text'), 'text 77'),
            'c_2_l_f_s_(prefix_|)idx', 'a query that says such names') FROM (VALUES (E'C"''\\%2$L,{}')) v (class);
DROP SCHEMA "a""b'\ %1$s %" CASCADE;

-- ---- who may ----
CREATE ROLE newt_test_reader;
SELECT newt.grant_store('s', 'newt_test_reader', 'reader');
GRANT SELECT ON s.newt_table TO newt_test_reader;
SET ROLE newt_test_reader;
SELECT ok((SELECT count(*) > 20 AND bool_and(rows IS NOT NULL) FROM newt.indexes('s')), 'a reader sees the indexes');
SELECT ok((SELECT count(*) FROM newt.create_field_index_sql('s', 'Task', 'hours', more => '{price}')) = 2, 'and the statements that would make one');
SELECT throws_ok($$SELECT newt.create_field_index('s', 'Task', 'hours', more => '{price}')$$, '42501', NULL, 'but makes none');
SELECT throws_ok($$SELECT newt.create_path_index('s', 'Task', '{new}')$$, '42501', NULL, 'of any');
SELECT throws_ok($$SELECT newt.create_expression_index('s', 'Task', '(1)')$$, '42501', NULL, 'sort');
SELECT throws_ok($$SELECT newt.create_text_index('s', 'Task', 'simple')$$, '42501', NULL, 'whatsoever');
SELECT throws_ok($$SELECT newt.create_principals_index('s', 'Task', 'new')$$, '42501', NULL, 'not one');
SELECT throws_ok($$SELECT newt.index_cost('s.task_owner_id_idx')$$, '42501', NULL, 'nor measures one');
RESET ROLE;
REVOKE SELECT ON s.newt_projection FROM newt_test_reader;
SET ROLE newt_test_reader;
SELECT is((SELECT count(*) > 10 AND bool_and(rows IS NULL AND size >= 0) FROM newt.indexes('s') WHERE relation = 's.newt_projection'::regclass), true, 'who may not read a table is not told of its rows');
RESET ROLE;

-- ---- what is refused ----
SELECT throws_ok(query, code, message, message) FROM (VALUES
    ($$SELECT newt.indexes('none')$$, '42704', 'there is no Newt store in schema "none"'),
    ($$SELECT newt.create_field_index('none', 'Task', 'due')$$, '42704', 'there is no Newt store in schema "none"'),
    ($$SELECT newt.create_field_index('s', 'Nothing', 'due')$$, '42704', 'class "Nothing" is not registered in store "s"'),
    ($$SELECT newt.create_field_index('s', 'Task', 'nothing')$$, '42703', 'class "Task" has no field "nothing" to index'),
    ($$SELECT newt.create_field_index('s', 'Task', 'id')$$, '42703', 'class "Task" has no field "id" to index'),
    ($$SELECT newt.create_field_index('s', 'Task', 'due', more => '{nothing}')$$, '42703', 'class "Task" has no field "nothing" to index'),
    ($$SELECT newt.create_field_index('s', 'Task', 'due', 'soundex')$$, '22023', 'unknown kind of index "soundex"'),
    ($$SELECT newt.create_field_index('s', 'Task', 'due', NULL)$$, '22023', 'unknown kind of index ""'),
    ($$SELECT newt.create_field_index('s', 'Task', 'due', 'prefix')$$, '42804', 'field "due" of class "Task" is no text'),
    ($$SELECT newt.create_field_index('s', 'Task', 'tags', is_unique => true)$$, '0A000', 'an index on field "tags" of class "Task" cannot be unique or have more fields'),
    ($$SELECT newt.create_field_index('s', 'Task', 'title', 'substring', '{due}')$$, '0A000', 'an index on field "title" of class "Task" cannot be unique or have more fields'),
    ($$SELECT newt.create_field_index('s', 'Task', 'due', more => '{tags}')$$, '0A000', 'an index on field "tags" of class "Task" cannot be unique or have more fields'),
    ($$SELECT newt.create_field_index('s', 'Task', 'subs.subs_id')$$, '0A000', 'field "subs.subs_id" of class "Task" has many values in an object'),
    ($$SELECT newt.create_path_index('s', 'Task', '{}')$$, '22023', 'a path needs one key at least, and none may be null'),
    ($$SELECT newt.create_path_index('s', 'Task', NULL)$$, '22004', 'a path needs one key at least, and none may be null'),
    ($$SELECT newt.create_path_index('s', 'Task', ARRAY['a', NULL])$$, '22004', 'a path needs one key at least, and none may be null'),
    ($$SELECT newt.create_expression_index('s', 'Task', '(%x)')$$, '22023', 'unrecognized format() type specifier "x"'),
    ($$SELECT newt.index_cost(NULL)$$, '42809', 'no index is named')) v (query, code, message);
DROP EXTENSION pg_trgm CASCADE;
SELECT throws_ok($$SELECT newt.create_field_index('s', 'Task', 'title', 'substring')$$, '0A000', 'cannot index field "title" of class "Task" for substrings without the extension pg_trgm', 'no trigrams');
SELECT * FROM finish();
SELECT newt.revoke_store('s', 'newt_test_reader');
DROP SCHEMA s, "Reports" CASCADE;
DROP ROLE newt_test_reader;
