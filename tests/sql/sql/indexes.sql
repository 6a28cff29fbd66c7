-- indexes over the projection and over records, and what the planner makes of them
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.create_store('store_i');
SET search_path = store_i;
INSERT INTO newt_projection (zoid, class_name, serial, state)
SELECT 2000 + i, CASE i % 10 WHEN 0 THEN 'Note' ELSE 'Task' END, i,
       jsonb_build_object('title', 'Task number' || i, 'body', 'the quick brown fox ' || md5(i::text),
           'acl', jsonb_build_array('group' || i % 500, jsonb_build_object('::=>', i % 300)),
           'due', to_char(timestamp '2024-01-01' + i * interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'parent', jsonb_build_object('::=>', 1999 + i))
FROM generate_series(1, 3000) i;
-- the same objects as records, for indexes without a stored projection: {"acl": ["group..."], "title": "Task number..."}
CREATE FUNCTION pg_temp.text_item(s text) RETURNS bytea LANGUAGE sql AS
    $$SELECT decode(to_hex(96 + octet_length(s)), 'hex') || convert_to(s, 'UTF8')$$;
INSERT INTO object_state (zoid, serial, state)
SELECT 2000 + i, i, '\x83'::bytea || pg_temp.text_item('Task') || '\x01a2'::bytea || pg_temp.text_item('acl') || '\x81'::bytea
       || pg_temp.text_item('group' || i % 500) || pg_temp.text_item('title') || pg_temp.text_item('Task number' || i)
FROM generate_series(1, 3000) i;
INSERT INTO object_state VALUES (9999, 1, 'no record');

-- full text and principals, by the helpers
SELECT newt.create_text_index_sql('store_i', 'Task', 'english', 'title:A', 'body');
SELECT newt.create_text_index_sql('Store "x"', NULL, 'simple');
SELECT newt.create_principals_index_sql('store_i', NULL, 'acl');
SELECT newt.create_principals_index_sql('s', 'It''s', 'a\.b', 'c d');
SELECT newt.create_text_index('store_i', 'Task', 'english', 'title:A', 'body');
SELECT newt.create_principals_index('store_i', NULL, 'acl');
CREATE INDEX ON newt_projection (newt.ts(state->'due'));
CREATE INDEX ON newt_projection (newt.ref(state->'parent'));
-- over records
CREATE INDEX ON object_state USING gin (newt.tsvector('english', newt.try_to_jsonb(state), 'title'));
CREATE INDEX ON object_state USING gin (newt.principals(newt.try_to_jsonb(state), 'acl'));
SELECT pg_temp.error_of('CREATE INDEX ON object_state (newt.get_text(state, ''title''))');
DELETE FROM object_state WHERE zoid = 9999;
CREATE INDEX ON object_state (newt.get_text(state, 'title'));
CREATE INDEX ON object_state USING gin (newt.refs(state));
SELECT pg_temp.error_of('INSERT INTO object_state VALUES (9999, 1, ''no record'')');
ANALYZE;

\set words 'SELECT zoid FROM newt WHERE class_name = ''Task'' AND newt.tsvector(''english'', state, ''title:A'', ''body'') @@ to_tsquery(''english'', ''number1234:A & fox'')'
\set acl 'SELECT zoid FROM newt WHERE newt.principals(state, ''acl'') && ARRAY[''group77'', ''::=>78''] ORDER BY zoid'
\set due 'SELECT zoid FROM newt WHERE newt.ts(state->''due'') BETWEEN ''2024-01-05 00:00+00'' AND ''2024-01-05 02:00+00'''
\set parent 'SELECT zoid FROM newt WHERE newt.ref(state->''parent'') = 2500'
\set record_words 'SELECT zoid FROM object_state WHERE newt.tsvector(''english'', newt.try_to_jsonb(state), ''title'') @@ ''number1234'''
\set record_acl 'SELECT zoid FROM object_state WHERE newt.principals(newt.try_to_jsonb(state), ''acl'') @> ARRAY[''group77''] ORDER BY zoid'
\set record_title 'SELECT zoid FROM object_state WHERE newt.get_text(state, ''title'') = ''Task number1234'''
\set record_refs 'SELECT zoid FROM object_state WHERE newt.refs(state) @> ARRAY[7]::bigint[]'
SELECT pg_temp.plan_of(:'words');
:words;
SELECT pg_temp.plan_of(:'acl');
:acl;
SELECT pg_temp.plan_of(:'due');
:due;
SELECT pg_temp.plan_of(:'parent');
:parent;
SELECT pg_temp.plan_of(:'record_words');
:record_words;
SELECT pg_temp.plan_of(:'record_acl');
:record_acl;
SELECT pg_temp.plan_of(:'record_title');
:record_title;
SELECT pg_temp.plan_of(:'record_refs');
:record_refs;

-- the index answers as a scan does
SET enable_bitmapscan = off;
SET enable_indexscan = off;
:words;
:acl;
:record_acl;
RESET enable_bitmapscan;
RESET enable_indexscan;
SELECT pg_temp.error_of('SELECT newt.create_text_index(''store_i'', ''Task'', ''english'', NULL::text)');
SELECT pg_temp.error_of('SELECT newt.create_principals_index(''no_store'', ''Task'', ''acl'')');

-- a document of any size never fails in an index
INSERT INTO newt_projection SELECT 10001, 'Task', 1, jsonb_build_object('title', string_agg('word' || i, ' '),
    'acl', jsonb_agg('principal' || i)) FROM generate_series(1, 200000) i;
INSERT INTO newt_projection SELECT 10002, 'Task', 1, jsonb_build_object('title', repeat('x', 5000000), 'acl', repeat('y', 5000000));

-- many workers
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT pg_temp.plan_of('SELECT count(newt.to_jsonb(state)), count(newt.get(state, ''acl'', ''0'')), sum(cardinality(newt.refs(state))) FROM object_state WHERE newt.class_name(state) = ''Task''');
SELECT count(newt.to_jsonb(state)), count(newt.get(state, 'acl', '0')), sum(cardinality(newt.refs(state))) FROM object_state WHERE newt.class_name(state) = 'Task';

SET client_min_messages = warning;
DROP SCHEMA store_i CASCADE;
