-- Whoever owns a store, or makes tables that look like one, can give its columns other types, and nulls. Functions in C read
-- them: each is called with each column changed. What it says is its own matter, if the server goes on.
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set documents :srcdir '/documents.sql'
\i :documents
\set VERBOSITY terse
SET client_min_messages = error;
SELECT newt.create_store('o');
INSERT INTO o.newt_class (name, version, fields) VALUES
 ('Note', 1, '[{"name":"title","kind":"text"},{"name":"tags","kind":"text","shape":"list"},{"name":"on","kind":"ref","class":"Note"},
              {"name":"marks","kind":"struct","shape":"list","fields":[{"name":"by","kind":"text"}]}]');
SELECT newt.insert('o', 'Note', '{"title":"a","tags":["x","y"],"marks":[{"by":"z"}]}') AS note \gset
SELECT newt.insert('o', 'Note', jsonb_build_object('title', 'b', 'on', jsonb_build_object('::=>', :note))) AS other \gset
CALL newt.create_table('o', 'Note', 'notes');
SELECT count(*) AS tables FROM o.newt_table;
CALL newt.create_derived('o', 'columns', '{Note}', '[{"name":"title","value":"title","type":"text"},{"name":"above","value":"on->title","type":"text"}]');
ALTER TABLE o.transaction DISABLE TRIGGER newt_keep_derived; -- it would find what is wrong before others do
-- a large transaction, whose oids are elsewhere
SELECT max(serial) AS serial FROM o.transaction \gset
INSERT INTO o.transaction_object (serial, n, written, removed) VALUES (:serial, 1, ARRAY[:note, :other], '{}');
UPDATE o.transaction SET written = NULL, removed = NULL WHERE serial = :serial;
SELECT tid AS first, serial AS first_serial FROM o.transaction ORDER BY tid LIMIT 1 \gset
CREATE TEMP TABLE calls (n integer GENERATED ALWAYS AS IDENTITY, statement text NOT NULL);
INSERT INTO calls (statement) VALUES
 (format($$SELECT newt.patch('o', %s, '{"title":"c"}')$$, :note)),
 (format($$SELECT newt.insert('o', 'Note', '{"title":"d"}')$$)),
 (format($$SELECT newt.remove('o', %s)$$, :other)),
 (format($$SELECT newt.write('o.object_state', '{%s}', ARRAY[(SELECT serial FROM o.object_state WHERE zoid = %1$s)::text::bigint], ARRAY[pg_temp.record('Note', '{"title":"e"}')], 700001, true)$$, :note)),
 (format($$SELECT newt.committed('o.transaction', %s, %s)$$, :first, :first_serial)),
 ('INSERT INTO o.transaction SELECT * FROM o.transaction ORDER BY 1 LIMIT 1'), -- the trigger comes before the key
 (format($$SELECT newt.project_new('o.newt_projection', '{%s,%s}', '{}')$$, :note, :other)),
 (format($$SELECT newt.write_tables('o.newt_table', '{%s}', true)$$, :note)),
 (format($$SELECT newt.copy_tables('o.newt_table', 0, 1000000)$$)),
 (format($$SELECT newt.sync_table('o.newt_table', 'Note', 'look', 0, 1000000)$$)),
 (format($$SELECT newt.walk('o', '{%s}')$$, :other)),
 (format($$SELECT newt.route('o', %s, '{%s}')$$, :note, :other)),
 (format($$SELECT newt.btree_length('o', %s)$$, :note)),
 (format($$SELECT newt.derived_affected('o.object_state', 'o.newt_dependency', 'o.columns', '{title}', 1, '{Note}', '{%s}')$$, :note));
CREATE FUNCTION pg_temp.call(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION SQLSTATE 'ZZ001';
EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
    RETURN 'done';
WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
-- as it is: what needs a tree says so
SELECT pg_temp.call(statement), substr(statement, 1, 40) AS statement FROM calls ORDER BY n;
CREATE PROCEDURE pg_temp.vary() LANGUAGE plpgsql AS $$
DECLARE
    c record;
    v text;
    tried integer := 0;
    results text;
BEGIN
    FOR c IN SELECT a.attrelid::regclass AS relation, a.attname AS name FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
              WHERE r.relnamespace = 'o'::regnamespace AND r.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
                AND r.relname IN ('object_state', 'newt_projection', 'transaction', 'transaction_object', 'newt_class', 'newt_store', 'newt_table', 'newt_reject_entry', 'newt_dependency', 'columns', 'notes')
              ORDER BY r.relname, a.attnum LOOP
        FOREACH v IN ARRAY '{nulls,bigint,text,bytea,jsonb,"text[]","bigint[]",boolean}'::text[] LOOP
            BEGIN
                IF v = 'nulls' THEN
                    EXECUTE format('ALTER TABLE %s ALTER %I DROP NOT NULL', c.relation, c.name);
                    EXECUTE format('UPDATE %s SET %I = NULL', c.relation, c.name);
                ELSE
                    EXECUTE format('ALTER TABLE %s ALTER %2$I DROP DEFAULT, ALTER %2$I TYPE %3$s USING %4$s', c.relation, c.name, v, format(CASE v
                        WHEN 'bigint' THEN 'hashtext(%I::text)' WHEN 'text' THEN '%I::text' WHEN 'bytea' THEN 'convert_to(%I::text, ''UTF8'')'
                        WHEN 'jsonb' THEN 'jsonb_build_object(''a'', %I::text)' WHEN 'text[]' THEN 'ARRAY[%I::text, NULL]' WHEN 'bigint[]' THEN 'ARRAY[hashtext(%I::text), NULL]::bigint[]'
                        ELSE '%I IS NOT NULL' END, c.name));
                END IF;
                SELECT string_agg(pg_temp.call(s.statement), ' ' ORDER BY s.n) INTO results FROM calls s;
                tried := tried + 1;
                RAISE LOG 'column % of %, %: %', c.name, c.relation, v, results;
                RAISE EXCEPTION SQLSTATE 'ZZ002';
            EXCEPTION WHEN OTHERS THEN -- it is undone; some cannot be changed so
                NULL;
            END;
            COMMIT;
        END LOOP;
    END LOOP;
    RAISE WARNING 'more than 300 variants: %', tried > 300;
END
$$;
-- views and constraints would keep a column from being changed
DO $$
DECLARE what text;
BEGIN
    FOR what IN SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'o'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('DROP VIEW IF EXISTS %s CASCADE', what);
    END LOOP;
    FOR what IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', n.conrelid::regclass, n.conname) FROM pg_constraint n WHERE n.connamespace = 'o'::regnamespace AND n.contype = 'c' LOOP
        EXECUTE what;
    END LOOP;
END
$$;
SET client_min_messages = warning;
CALL pg_temp.vary();
-- functions of the store that are not its own: newt.commit asks one for the oids of a large transaction
\set VERBOSITY sqlstate
DROP FUNCTION o.newt_large(bigint, bigint);
CREATE FUNCTION o.newt_large(serial bigint, at_most bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint';
SELECT newt.commit('o.transaction', 9001, 1, '{}', '{}', '{}', true, :first, :first_serial);
DROP FUNCTION o.newt_large(bigint, bigint);
CREATE FUNCTION o.newt_large(serial bigint, at_most bigint) RETURNS text[] LANGUAGE sql AS $$SELECT '{a,b}'::text[]$$;
SELECT newt.commit('o.transaction', 9001, 1, '{}', '{}', '{}', true, :first, :first_serial);
\set VERBOSITY terse
-- paths of typed tables with nulls
UPDATE o.newt_table SET path = '{NULL}', columns = (SELECT jsonb_agg(e || '{"path":[null],"class_names":[null,"Note"],"older_paths":[[null],null]}') FROM jsonb_array_elements(columns) e);
SELECT pg_temp.call(statement) FROM calls ORDER BY n;
UPDATE o.newt_table SET columns = '[{"column_name":"title"},{}]';
SELECT pg_temp.call(statement) FROM calls ORDER BY n;
SET client_min_messages = error;
DROP SCHEMA o, notes CASCADE;
