-- The tables of a store: columns, keys, what is checked, and what the write path must not meet.
BEGIN;
CREATE EXTENSION newt;
SELECT newt.create_store('s');
SET search_path = s, public;
SELECT no_plan();

SELECT tables_are('s', ARRAY['newt_store', 'object_state', 'newt_projection', 'newt_reject_entry', 'transaction', 'transaction_object',
                             'newt_commit_lock', 'newt_incarnation', 'newt_class', 'newt_table', 'newt_follower', 'newt_reprojection', 'newt_reprojected',
                             'newt_search', 'newt_search_word', 'newt_derived', 'newt_dependency', 'newt_derived_pending', 'newt_principal_set', 'newt_principal_sum',
                             'newt_role_principal', 'newt_claim_key']);
SELECT views_are('s', ARRAY['newt', 'newt_reject']);
SELECT sequences_are('s', ARRAY['newt_oid', 'newt_serial', 'newt_principal_set_id_seq', 'newt_claim_key_id_seq']);
SELECT functions_are('s', ARRAY['newt_read_only', 'newt_raise', 'newt_project_one', 'newt_large', 'newt_prune_limit', 'newt_prune']);

SELECT columns_are('s', t, c, t || ' has its columns') FROM (VALUES
    ('object_state'::name, ARRAY['zoid', 'serial', 'state']::name[]), ('newt_projection', ARRAY['zoid', 'class_name', 'serial', 'state']),
    ('newt', ARRAY['zoid', 'class_name', 'serial', 'state']), ('newt_reject', ARRAY['zoid', 'tid', 'path', 'reason', 'sqlstate', 'constraint_name']),
    ('transaction', ARRAY['tid', 'serial', 'nonce', 'committed_at', 'username', 'description', 'extension', 'written', 'removed', 'removed_classes']),
    ('transaction_object', ARRAY['serial', 'n', 'written', 'removed', 'removed_classes']), ('newt_commit_lock', ARRAY[]::name[]),
    ('newt_incarnation', ARRAY['one', 'id']), ('newt_follower', ARRAY['name', 'tid', 'serial', 'copied', 'kind', 'updated_at']),
    ('newt_reprojection', ARRAY['one', 'classes', 'zoid', 'started']), ('newt_reprojected', ARRAY['zoid', 'serial', 'class_name', 'state']),
    ('newt_search', ARRAY['name', 'class_name', 'config', 'paths', 'language_path', 'languages', 'configs', 'synonyms']), ('newt_search_word', ARRAY['search', 'word', 'objects']),
    ('newt_derived', ARRAY['name', 'number', 'relation', 'class_names', 'parent', 'columns', 'mode', 'commit_limit', 'stage', 'filled_to']),
    ('newt_dependency', ARRAY['source', 'derived', 'part', 'dependent']), ('newt_derived_pending', ARRAY['derived', 'zoid', 'task', 'after', 'since']),
    ('newt_principal_set', ARRAY['id', 'digest', 'entries', 'allowed', 'denies']), ('newt_principal_sum', ARRAY['own', 'parent', 'total']),
    ('newt_role_principal', ARRAY['role', 'principal']), ('newt_claim_key', ARRAY['id', 'key', 'created_at']),
    ('newt_store', ARRAY['one', 'version', 'projection', 'oid_block', 'serial_block', 'keep_age', 'keep_rows', 'wait_for', 'created_at']),
    ('newt_class', ARRAY['name', 'version', 'fields', 'projection', 'registered_at']),
    ('newt_table', ARRAY['relation', 'class_name', 'parent', 'path', 'shape', 'mode', 'filled', 'filled_to', 'columns'])) v (t, c);
SELECT col_type_is('s', t, c, k, t || '.' || c) FROM (VALUES
    ('object_state'::name, 'zoid'::name, 'bigint'), ('object_state', 'serial', 'bigint'), ('object_state', 'state', 'bytea'),
    ('newt_projection', 'zoid', 'bigint'), ('newt_projection', 'class_name', 'text'), ('newt_projection', 'serial', 'bigint'),
    ('newt_projection', 'state', 'jsonb'), ('transaction', 'tid', 'bigint'), ('transaction', 'serial', 'bigint'),
    ('transaction', 'written', 'bigint[]'), ('transaction', 'removed', 'bigint[]'), ('newt_class', 'fields', 'jsonb')) v (t, c, k);
SELECT col_is_pk('s', t, c, t || ' has its key') FROM (VALUES ('object_state'::name, ARRAY['zoid']::name[]), ('newt_projection', ARRAY['zoid']),
    ('transaction', ARRAY['tid']), ('transaction_object', ARRAY['serial', 'n']), ('newt_reject_entry', ARRAY['zoid', 'serial', 'n']),
    ('newt_class', ARRAY['name', 'version']), ('newt_follower', ARRAY['name']), ('newt_table', ARRAY['relation']), ('newt_reprojection', ARRAY['one']), ('newt_reprojected', ARRAY['zoid']),
    ('newt_search', ARRAY['name']), ('newt_search_word', ARRAY['search', 'word']), ('newt_derived', ARRAY['name']), ('newt_dependency', ARRAY['source', 'derived', 'part', 'dependent']),
    ('newt_derived_pending', ARRAY['derived', 'task', 'zoid']), ('newt_principal_set', ARRAY['id']), ('newt_principal_sum', ARRAY['own', 'parent']), ('newt_role_principal', ARRAY['role', 'principal']),
    ('newt_claim_key', ARRAY['id'])) v (t, c);
SELECT col_is_unique('s', 'transaction', ARRAY['serial']::name[], 'serials are unique');
SELECT indexes_are('s', t, i, t || ' has no second index') FROM (VALUES ('object_state'::name, ARRAY['object_state_pkey']::name[]),
    ('newt_projection', ARRAY['newt_projection_pkey'])) v (t, i);

-- the write path meets no trigger, no rule, no foreign key; updates have room on their page
SELECT is_empty($$SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 's'::regnamespace AND relkind = 'r'$$,
                'no trigger on a table');
SELECT is_empty($$SELECT conname FROM pg_constraint WHERE connamespace = 's'::regnamespace AND contype = 'f'$$, 'no foreign key');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind = 'r' AND relname IN ('object_state', 'newt_projection')
                  AND NOT coalesce(reloptions::text LIKE '%fillfactor=%', false)$$, 'a fillfactor on tables that are updated');
SELECT results_eq($$SELECT relname::text COLLATE "C" FROM pg_class WHERE relnamespace = 's'::regnamespace AND relpersistence = 'u' AND relkind = 'r' ORDER BY 1$$,
                  $$VALUES ('newt_incarnation'::text COLLATE "C"), ('newt_reprojected'), ('newt_reprojection')$$, 'three unlogged tables');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind IN ('r', 'v')
                  AND obj_description(oid, 'pg_class') IS NULL$$, 'tables are described');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind = 'v'
                  AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)$$, 'views read with the reader''s rights');

-- rights: nothing is granted to everybody
SELECT is_empty($$SELECT relname FROM pg_class c, aclexplode(c.relacl) a WHERE relnamespace = 's'::regnamespace AND a.grantee = 0$$, 'no table for everybody');
SELECT ok(NOT has_schema_privilege('public', 's', 'USAGE'), 'the schema is its maker''s');

-- how it begins
SELECT results_eq('SELECT version, projection, oid_block, serial_block FROM s.newt_store', $$VALUES (1, 'inline', 1024, 1024)$$, 'one row says what it is');
SELECT results_eq('SELECT zoid, serial, newt.class_name(state), newt.to_jsonb(state) FROM s.object_state',
                  'SELECT zoid, serial, class_name, state FROM s.newt', 'the root is projected as it is');
SELECT results_eq('SELECT serial, written, removed FROM s.transaction', $$VALUES (1::bigint, '{1}'::bigint[], '{}'::bigint[])$$, 'by a transaction');
SELECT ok(nextval('s.newt_oid') = 1024 AND nextval('s.newt_oid') = 2048 AND nextval('s.newt_serial') = 1024, 'blocks begin at 1024');
SELECT throws_ok($$INSERT INTO s.newt VALUES (5, 'X', 5, '{}')$$, '55000', 'cannot write to s.newt', 'the view refuses writes');
SELECT throws_ok($$INSERT INTO s.newt_store (one, version, oid_block, serial_block) VALUES (false, 1, 1, 1)$$, '23514', NULL, 'there is one newt_store row');
SELECT throws_ok($$INSERT INTO s.newt_incarnation (one) VALUES (true)$$, '23505', NULL, 'and one incarnation');
SELECT results_eq('SELECT keep_age, keep_rows, wait_for FROM s.newt_store', $$VALUES (interval '1 day', NULL::bigint, interval '7 days')$$, 'transactions are kept for a day');
SELECT throws_ok($$UPDATE s.newt_store SET keep_age = '-1 s'$$, '23514', NULL, 'no age below 0');
SELECT throws_ok($$UPDATE s.newt_store SET keep_rows = 0$$, '23514', NULL, 'nor number below 1');
SELECT throws_ok($$UPDATE s.newt_store SET wait_for = '-1 s'$$, '23514', NULL, 'nor wait below 0');
SELECT throws_ok($$UPDATE s.newt_store SET projection = 'sometimes'$$, '23514', NULL, 'modes are known');
SELECT throws_ok($$SELECT s.newt_raise('40001', 'message', 'detail')$$, '40001', 'message', 'newt_raise raises');
SELECT lives_ok($$INSERT INTO s.newt_reject_entry VALUES (1, 1, 0, '{a}', 'text'), (1, 7, 0, '{b}', 'text'), (9, 1, 0, '{c}', 'text')$$);
SELECT results_eq('SELECT zoid, path, reason FROM s.newt_reject', $$VALUES (1::bigint, '{a}'::text[], 'text'::text)$$,
                  'newt_reject shows entries of current records alone');
SELECT * FROM finish();
ROLLBACK;
