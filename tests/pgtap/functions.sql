-- What PostgreSQL is told of each function of the extension, and that every one is described.
BEGIN;
CREATE EXTENSION newt;
CREATE TEMP TABLE want (signature text, result text, volatile "char", strict boolean, parallel "char", leakproof boolean, language text);
INSERT INTO want VALUES
    ('to_jsonb(bytea)', 'jsonb', 'i', true, 's', false, 'c'),
    ('try_to_jsonb(bytea)', 'jsonb', 'i', true, 's', false, 'c'),
    ('get(bytea,text[])', 'jsonb', 'i', true, 's', false, 'c'),
    ('get_text(bytea,text[])', 'text', 'i', true, 's', false, 'c'),
    ('class_name(bytea)', 'text', 'i', true, 's', false, 'c'), ('try_class_name(bytea)', 'text', 'i', true, 's', false, 'c'),
    ('class_version(bytea)', 'integer', 'i', true, 's', false, 'c'),
    ('refs(bytea)', 'bigint[]', 'i', true, 's', false, 'c'),
    ('walk(text,bigint[],bigint,bigint,text[])', 'record', 's', true, 'r', false, 'c'),
    ('at_commit(regclass,bigint,bigint,bigint[],bigint[],text,text,text,text[])', 'void', 'v', false, 'u', false, 'c'),
    ('committed(regclass,bigint,bigint)', 'bigint[]', 'v', false, 'u', false, 'c'),
    ('project_new(regclass,bigint[],text[])', 'record', 'v', true, 'u', false, 'c'),
    ('rejects(bytea)', 'record', 'i', true, 's', false, 'c'),
    ('ts(text)', 'timestamp with time zone', 'i', true, 's', true, 'c'),
    ('ts(jsonb)', 'timestamp with time zone', 'i', true, 's', true, 'c'),
    ('date(text)', 'date', 'i', true, 's', true, 'c'),
    ('date(jsonb)', 'date', 'i', true, 's', true, 'c'),
    ('duration(bigint)', 'interval', 'i', true, 's', true, 'c'),
    ('duration(jsonb)', 'interval', 'i', true, 's', true, 'c'),
    ('ref(jsonb)', 'bigint', 'i', true, 's', true, 'c'),
    ('int8(jsonb)', 'bigint', 'i', true, 's', true, 'c'),
    ('float8(jsonb)', 'double precision', 'i', true, 's', true, 'c'),
    ('"numeric"(jsonb)', 'numeric', 'i', true, 's', true, 'c'),
    ('bool(jsonb)', 'boolean', 'i', true, 's', true, 'c'),
    ('uuid(jsonb)', 'uuid', 'i', true, 's', true, 'c'),
    ('text(jsonb,text[])', 'text', 'i', true, 's', false, 'c'),
    ('tsvector(regconfig,jsonb,text[])', 'tsvector', 'i', true, 's', false, 'c'),
    ('principals(jsonb,text[])', 'text[]', 'i', true, 's', false, 'c'),
    ('store_sql(text)', 'text', 'i', true, 's', false, 'sql'),
    ('store_version(text)', 'integer', 's', true, 's', false, 'plpgsql'),
    ('create_store(text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('index_name(text,text,text)', 'text', 's', false, 's', false, 'plpgsql'),
    ('index_class(oid)', 'text', 's', true, 's', false, 'sql'),
    ('index_statements(text,text,text,text,text,text,text,boolean,boolean,regclass)', 'text', 's', false, 's', false, 'plpgsql'),
    ('create_field_index_sql(text,text,text,text,text[],boolean,boolean)', 'text', 's', false, 's', false, 'plpgsql'),
    ('create_field_index(text,text,text,text,text[],boolean)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('create_expression_index_sql(text,text,text,text,boolean,boolean)', 'text', 's', false, 's', false, 'sql'),
    ('create_expression_index(text,text,text,text,boolean)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('create_path_index_sql(text,text,text[],boolean)', 'text', 's', false, 's', false, 'plpgsql'),
    ('create_path_index(text,text,text[])', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('create_text_index_sql(text,text,regconfig,text[])', 'text', 's', false, 's', false, 'sql'),
    ('create_text_index_sql(text,text,regconfig,text[],boolean)', 'text', 's', false, 's', false, 'plpgsql'),
    ('create_text_index(text,text,regconfig,text[])', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('create_principals_index_sql(text,text,text[])', 'text', 's', false, 's', false, 'sql'),
    ('create_principals_index_sql(text,text,text[],boolean)', 'text', 's', false, 's', false, 'plpgsql'),
    ('create_principals_index(text,text,text[])', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('indexes(text)', 'record', 'v', false, 'u', false, 'plpgsql'),
    ('index_cost(regclass,integer)', 'record', 'v', false, 'u', false, 'plpgsql'),
    ('cut_name(text,text)', 'text', 'i', true, 's', false, 'plpgsql'),
    ('free_name(text,text[])', 'text', 'i', true, 's', false, 'plpgsql'),
    ('relation_name(text)', 'text', 's', true, 's', false, 'sql'),
    ('ref_name(text)', 'text', 'i', true, 's', false, 'sql'),
    ('column_type(text)', 'text', 'i', false, 's', false, 'sql'),
    ('merged_fields(jsonb[])', 'record', 'i', false, 's', false, 'sql'),
    ('field_comment(text[],jsonb,boolean)', 'text', 'i', false, 's', false, 'sql'),
    ('class_layout(text,text)', 'record', 's', false, 's', false, 'plpgsql'),
    ('ts(jsonb,text[])', 'timestamp with time zone', 'i', true, 's', true, 'c'), ('ts_array(jsonb,text[])', 'timestamp with time zone[]', 'i', true, 's', true, 'c'),
    ('date(jsonb,text[])', 'date', 'i', true, 's', true, 'c'), ('date_array(jsonb,text[])', 'date[]', 'i', true, 's', true, 'c'),
    ('duration(jsonb,text[])', 'interval', 'i', true, 's', true, 'c'), ('duration_array(jsonb,text[])', 'interval[]', 'i', true, 's', true, 'c'),
    ('ref(jsonb,text[])', 'bigint', 'i', true, 's', true, 'c'), ('ref_array(jsonb,text[])', 'bigint[]', 'i', true, 's', true, 'c'),
    ('int8(jsonb,text[])', 'bigint', 'i', true, 's', true, 'c'), ('int8_array(jsonb,text[])', 'bigint[]', 'i', true, 's', true, 'c'),
    ('float8(jsonb,text[])', 'double precision', 'i', true, 's', true, 'c'), ('float8_array(jsonb,text[])', 'double precision[]', 'i', true, 's', true, 'c'),
    ('"numeric"(jsonb,text[])', 'numeric', 'i', true, 's', true, 'c'), ('numeric_array(jsonb,text[])', 'numeric[]', 'i', true, 's', true, 'c'),
    ('bool(jsonb,text[])', 'boolean', 'i', true, 's', true, 'c'), ('bool_array(jsonb,text[])', 'boolean[]', 'i', true, 's', true, 'c'),
    ('uuid(jsonb,text[])', 'uuid', 'i', true, 's', true, 'c'), ('uuid_array(jsonb,text[])', 'uuid[]', 'i', true, 's', true, 'c'),
    ('string(jsonb)', 'text', 'i', true, 's', true, 'c'),
    ('string(jsonb,text[])', 'text', 'i', true, 's', true, 'c'), ('string_array(jsonb,text[])', 'text[]', 'i', true, 's', true, 'c'),
    ('bytes(jsonb)', 'bytea', 'i', true, 's', true, 'c'),
    ('bytes(jsonb,text[])', 'bytea', 'i', true, 's', true, 'c'), ('bytes_array(jsonb,text[])', 'bytea[]', 'i', true, 's', true, 'c'),
    ('json(jsonb,text[])', 'jsonb', 'i', true, 's', true, 'c'), ('json_array(jsonb,text[])', 'jsonb[]', 'i', true, 's', true, 'c'),
    ('items(jsonb,text[])', 'record', 'i', true, 's', true, 'c'), ('entries(jsonb,text[])', 'record', 'i', true, 's', true, 'c'),
    ('path_sql(text,text[])', 'text', 'i', true, 's', false, 'sql'),
    ('accessor_sql(text,text[],text,text)', 'text', 'i', true, 's', false, 'sql'),
    ('view_source(text,text)', 'record', 's', false, 's', false, 'plpgsql'),
    ('class_table(text,text,text[])', 'regclass', 's', false, 's', false, 'plpgsql'),
    ('view_query(text,text,text,text[])', 'text', 's', false, 's', false, 'plpgsql'),
    ('views(text)', 'record', 's', false, 's', false, 'plpgsql'),
    ('one_view_sql(text,text,text,text,text[])', 'text', 's', false, 's', false, 'plpgsql'),
    ('prepare_views_sql(text,text)', 'text', 's', false, 's', false, 'plpgsql'),
    ('prepare_views(text,text)', 'boolean', 'v', false, 'u', false, 'plpgsql'),
    ('create_views(text,text)', 'integer', 'v', false, 'u', false, 'plpgsql'),
    ('refresh_view(text,text,text,regclass)', 'text', 'v', false, 'u', false, 'plpgsql'),
    ('refresh_views(text)', 'record', 'v', false, 'u', false, 'plpgsql'),
    ('view_mark(text,text,text)', 'text', 'i', false, 's', false, 'sql'),
    ('create_view_sql(text,text,text,text)', 'text', 's', false, 's', false, 'plpgsql'),
    ('create_view(text,text,text,text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('grant_store_sql(text,text,text)', 'text', 's', false, 's', false, 'plpgsql'),
    ('grant_store(text,text,text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('revoke_store(text,text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('projection_of(text,text)', 'text', 's', false, 's', false, 'plpgsql'),
    ('projection_split(text)', 'record', 's', false, 's', false, 'plpgsql'),
    ('projection_view_sql(text)', 'text', 's', false, 's', false, 'plpgsql'),
    ('set_projection(text,text,text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('check_store(text)', 'void', 's', false, 's', false, 'plpgsql'),
    ('write_tables(regclass,bigint[],boolean)', 'bigint', 'v', true, 'u', false, 'c'),
    ('sync_table(regclass,text,text,bigint,bigint)', 'record', 'v', true, 'u', false, 'c'),
    ('tables_changed(regclass)', 'void', 'v', true, 'u', false, 'c'), ('wait_for_writers(regclass)', 'void', 'v', true, 'u', false, 'c'),
    ('keep_tables()', 'trigger', 'v', false, 'u', false, 'c'),
    ('table_of(text,text)', 'regclass', 's', false, 's', false, 'plpgsql'), ('typed_table(text,text)', 'regclass', 's', false, 's', false, 'plpgsql'),
    ('table_layout(text,text,text,text,text[])', 'record', 's', false, 's', false, 'plpgsql'),
    ('table_key(jsonb)', 'text', 'i', true, 's', false, 'sql'),
    ('create_table_steps(text,text,text,text,text,text[],bigint)', 'record', 's', false, 's', false, 'plpgsql'),
    ('create_table_sql(text,text,text,text,text,text[])', 'text', 's', false, 's', false, 'sql'),
    ('create_table(text,text,text,text,text,text[])', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('fill_table(text,text,bigint)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('refresh_table_steps(text,text)', 'text', 's', false, 's', false, 'plpgsql'), ('refresh_table(text,text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('check_table(text,text)', 'record', 'v', false, 'u', false, 'plpgsql'), ('drop_table(text,text)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('tables(text)', 'record', 's', false, 's', false, 'plpgsql'),
    ('set_retention(text,interval,bigint,interval)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('prune_limit(text)', 'bigint', 's', false, 's', false, 'plpgsql'),
    ('prune_batch(text,bigint,bigint,bigint)', 'record', 'v', false, 'u', false, 'plpgsql'),
    ('prune(text,bigint)', 'bigint', 'v', false, 'u', false, 'plpgsql'),
    ('prune_all(text,bigint)', 'void', 'v', false, 'u', false, 'plpgsql'),
    ('wait_for(bigint,interval,text,text)', 'boolean', 'v', false, 'u', false, 'plpgsql'),
    ('freshness(text)', 'record', 's', false, 'u', false, 'plpgsql'),
    ('health(text)', 'record', 's', false, 'r', false, 'plpgsql'),
    ('rejects_report(text)', 'record', 's', false, 's', false, 'plpgsql');
CREATE TEMP VIEW have AS
SELECT p.oid, p.oid::regprocedure::text AS signature, format_type(p.prorettype, NULL) AS result, p.provolatile AS volatile,
       p.proisstrict AS strict, p.proparallel AS parallel, p.proleakproof AS leakproof, l.lanname AS language,
       p.procost, p.prosecdef, p.proconfig, p.proacl, p.prorows, p.proretset, p.provariadic, p.prokind
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'newt'::regnamespace;

SELECT plan((SELECT count(*)::integer FROM want) + 14);
SELECT is((SELECT to_jsonb(h) - ARRAY['oid', 'procost', 'prosecdef', 'proconfig', 'proacl', 'prorows', 'proretset', 'provariadic', 'prokind'] FROM have h
           WHERE h.signature = 'newt.' || w.signature), to_jsonb(w) || jsonb_build_object('signature', 'newt.' || w.signature),
          w.signature || ' is labelled right')
FROM (SELECT * FROM want ORDER BY signature OFFSET 0) w;
SELECT bag_eq($$SELECT signature FROM have$$, $$SELECT 'newt.' || signature FROM want$$, 'these functions and no others');
SELECT is_empty($$SELECT signature FROM have WHERE obj_description(oid, 'pg_proc') IS NULL$$, 'every function has a comment');
SELECT is_empty($$SELECT signature FROM have WHERE prosecdef$$, 'none runs with its owner''s rights');
SELECT is_empty($$SELECT signature FROM have WHERE language <> 'c' AND prokind <> 'p' AND NOT proconfig @> ARRAY['search_path=pg_catalog, pg_temp']$$,
                'what is not C has its own search path');
-- a procedure that commits cannot have one
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace AND prokind = 'p'
                    AND prosrc !~ '^\s*DECLARE( |\w|\[|\]|;|\n)+BEGIN\s+COMMIT;\s+SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;\s+PERFORM pg_catalog.set_config\(''search_path'', ''pg_catalog, pg_temp'', true\);'$$,
                'a procedure sets its own before anything else');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace AND prokind = 'p'
                    AND regexp_count(prosrc, '\mCOMMIT;') <> regexp_count(prosrc, '\mset_config\(''search_path''')$$, 'and again in every transaction');
-- 0.1 s for each of their statements, once a plan's cost is above jit_above_cost
SELECT set_eq($$SELECT signature FROM have WHERE proconfig @> ARRAY['jit=off']$$, ARRAY['newt.freshness(text)', 'newt.health(text)', 'newt.index_cost(regclass,integer)', 'newt.indexes(text)', 'newt.rejects_report(text)'], 'these look into large tables, and are not compiled');
SELECT is_empty($$SELECT signature FROM have WHERE NOT has_function_privilege('public', oid, 'EXECUTE')$$, 'everybody may call them');
SELECT ok(has_schema_privilege('public', 'newt', 'USAGE') AND NOT has_schema_privilege('public', 'newt', 'CREATE'),
          'everybody may look into the schema, nobody make things there');
SELECT is_empty($$SELECT signature FROM have WHERE language = 'c' AND procost = 1 AND signature <> 'newt.duration(bigint)'$$, 'costs are set');
SELECT results_eq($$SELECT signature, prorows FROM have WHERE proretset ORDER BY signature COLLATE "C"$$,
                  $$VALUES ('newt.check_table(text,text)', 3::real),
                           ('newt.class_layout(text,text)', 50::real),
                           ('newt.create_expression_index_sql(text,text,text,text,boolean,boolean)', 2::real),
                           ('newt.create_field_index_sql(text,text,text,text,text[],boolean,boolean)', 2::real),
                           ('newt.create_path_index_sql(text,text,text[],boolean)', 2::real),
                           ('newt.create_principals_index_sql(text,text,text[])', 2::real),
                           ('newt.create_principals_index_sql(text,text,text[],boolean)', 2::real),
                           ('newt.create_table_steps(text,text,text,text,text,text[],bigint)', 50::real),
                           ('newt.create_text_index_sql(text,text,regconfig,text[])', 2::real),
                           ('newt.create_text_index_sql(text,text,regconfig,text[],boolean)', 2::real),
                           ('newt.entries(jsonb,text[])', 5::real),
                           ('newt.freshness(text)', 10::real),
                           ('newt.index_statements(text,text,text,text,text,text,text,boolean,boolean,regclass)', 2::real),
                           ('newt.indexes(text)', 20::real),
                           ('newt.items(jsonb,text[])', 5::real),
                           ('newt.merged_fields(jsonb[])', 20::real),
                           ('newt.refresh_table_steps(text,text)', 10::real),
                           ('newt.refresh_views(text)', 20::real),
                           ('newt.rejects(bytea)', 1::real),
                           ('newt.rejects_report(text)', 10::real),
                           ('newt.table_layout(text,text,text,text,text[])', 5::real),
                           ('newt.tables(text)', 10::real),
                           ('newt.views(text)', 20::real),
                           ('newt.walk(text,bigint[],bigint,bigint,text[])', 1000::real)$$, 'these functions return sets');
SELECT is_empty($$SELECT signature FROM have h WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = h.oid
                    AND d.deptype = 'e')$$, 'all belong to the extension');
SELECT results_eq($$SELECT DISTINCT c.relkind::text FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE d.classid = 'pg_class'::regclass
                    AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'newt')$$, ARRAY[]::text[],
                  'the extension owns no relation');
SELECT is((SELECT count(*)::int FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = 'newt'::regnamespace AND deptype = 'e'), 1,
          'so does its schema');
SELECT * FROM finish();
ROLLBACK;
