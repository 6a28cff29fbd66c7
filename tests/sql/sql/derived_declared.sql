-- Derived columns: what a declaration may say, and what becomes of it when its classes, its table or its store change
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup
\set documents :srcdir '/documents.sql'
\i :documents
\set VERBOSITY terse
SELECT newt.create_store('d');
SET test.store = 'd';
INSERT INTO d.newt_class (name, version, fields) VALUES
 ('Doc', 1, '[{"name":"title","kind":"text"},{"name":"tags","kind":"text","shape":"list"},{"name":"parent","kind":"ref","class":"Doc"},
              {"name":"acl","kind":"struct","shape":"list","fields":[{"name":"who","kind":"text"},{"name":"effect","kind":"text"}]},
              {"name":"private","kind":"bool"},{"name":"readers","kind":"text","shape":"list"}]'),
 ('Note', 1, '[{"name":"on","kind":"ref","class":"Doc"},{"name":"n","kind":"int"}]');
CALL pg_temp.put(1, 'Doc', '{"title":"a","readers":["ann"]}');
CALL pg_temp.put(2, 'Doc', '{"title":"b","parent":{"::=>":1},"private":true,"readers":["eve"],"tags":["x"],"acl":[{"who":"bob","effect":"deny"},{"who":"bob","effect":"allow"}]}');
CALL pg_temp.put(3, 'Note', '{"on":{"::=>":2},"n":3}');

-- a declaration that cannot be filled leaves nothing behind that commits would fail for
CALL newt.create_derived('d', 'bad', '{Doc}', '[{"name":"words","text":"title","config":"englisch"}]');
CREATE FUNCTION public.newt_test_strict() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE d.bad ADD CHECK (title <> 'b'); END $$;
CREATE EVENT TRIGGER newt_test_strict ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.newt_test_strict();
\set VERBOSITY default
\set SHOW_CONTEXT never
CALL newt.create_derived('d', 'bad', '{Doc}', '[{"name":"title","value":"title","type":"text"}]');
DROP EVENT TRIGGER newt_test_strict;
DROP FUNCTION public.newt_test_strict();
SELECT count(*), to_regclass('d.bad') FROM newt.derived('d');
CALL pg_temp.put(2, 'Doc', '{"title":"b","parent":{"::=>":1},"private":true,"readers":["eve"],"tags":["x"],"acl":[{"who":"bob","effect":"deny"},{"who":"bob","effect":"allow"}]}');

CALL newt.create_derived('d', 'docs', '{Doc}', '[
 {"name":"title","value":"title","type":"text"},
 {"name":"up","value":"parent->title","type":"text"},
 {"name":"tags","value":"tags","type":"text[]"},
 {"name":"n","sum":"n","of":"Note","by":"on","type":"bigint"},
 {"name":"view","access":{"allow":"readers","entries":"acl","principal":"who","stop":"private"}}]', 'parent');
CREATE TEMP VIEW seen AS SELECT t.zoid, t.parent_id, t.title, t.up, t.tags, t.n, s.entries FROM d.docs t JOIN d.newt_principal_set s ON s.id = t.view ORDER BY 1;
SELECT * FROM seen;

-- programs of the next versions write some objects: every field has another name, those of a struct as well
INSERT INTO d.newt_class (name, version, fields) VALUES
 ('Doc', 2, '[{"name":"caption","kind":"text","was":["title"]},{"name":"labels","kind":"text","shape":"list","was":["tags"]},{"name":"above","kind":"ref","class":"Doc","was":["parent"]},
              {"name":"rules","was":["acl"],"kind":"struct","shape":"list","fields":[{"name":"principal","kind":"text","was":["who"]},{"name":"kind","kind":"text","was":["effect"]}]},
              {"name":"confidential","kind":"bool","was":["private"]},{"name":"may_read","kind":"text","shape":"list","was":["readers"]}]'),
 ('Note', 2, '[{"name":"about","kind":"ref","class":"Doc","was":["on"]},{"name":"number","kind":"int","was":["n"]}]');
CALL pg_temp.put(2, 'Doc', '{"caption":"b2","above":{"::=>":1},"confidential":true,"may_read":["eve"],"labels":["x"],"rules":[{"principal":"bob","kind":"deny"},{"principal":"bob","kind":"allow"}]}');
CALL pg_temp.put(4, 'Note', '{"about":{"::=>":2},"number":5}');
SELECT * FROM seen;
CALL pg_temp.put(1, 'Doc', '{"caption":"a2","may_read":["ann"]}');
SELECT * FROM seen;
SELECT * FROM newt.check_derived('d');
-- and again, which the third version does not say of the first
INSERT INTO d.newt_class (name, version, fields) VALUES
 ('Doc', 3, '[{"name":"headline","kind":"text","was":["caption"]},{"name":"above","kind":"ref","class":"Doc"},{"name":"secret","kind":"bool","was":["confidential"]},{"name":"grants","was":["rules"],"kind":"struct","shape":"list","fields":[{"name":"principal","kind":"text"},{"name":"sort","kind":"text","was":["kind"]}]}]');
CALL pg_temp.put(2, 'Doc', '{"headline":"b3","above":{"::=>":1},"secret":true,"grants":[{"principal":"bob","sort":"deny"},{"principal":"amy","sort":"allow"}]}');
SELECT * FROM seen;
-- declared by the new names
CALL newt.create_derived('d', 'newer', '{Doc}', '[{"name":"title","value":"headline","type":"text"},{"name":"n","sum":"number","of":"Note","by":"about","type":"bigint"}]', 'above');
SELECT * FROM d.newer ORDER BY zoid;
CALL newt.refresh_derived('d', anew => true);
SELECT * FROM seen;
SELECT * FROM newt.check_derived('d');
SELECT newt.drop_derived('d', 'newer');
SELECT newt.field_names(ARRAY['[{"name":"a","was":["b"],"fields":[{"name":"c","was":["d"]}]},{"name":"e","was":["f"]}]', '[{"name":"b","fields":[{"name":"d"}]}]']::jsonb[], '{b,d}');
SELECT newt.with_names('{"a":{"c":1},"b":2,"g":[{"c":1},2]}', '[{"names":["a","b"],"used":["b"],"inner":[{"names":["c","d"],"used":["d"]}]},{"names":["g"],"used":["g"],"inner":[{"names":["c","d"],"used":["d"]}]}]');

-- columns that somebody drops or renames
ALTER TABLE d.docs RENAME COLUMN title TO heading;
CALL pg_temp.put(1, 'Doc', '{"headline":"a4"}');
CALL newt.refresh_derived('d', anew => true);
SELECT problem FROM newt.check_derived('d');
SELECT stage FROM newt.derived('d');
ALTER TABLE d.docs RENAME COLUMN heading TO title;
CALL pg_temp.put(1, 'Doc', '{"headline":"a4","may_read":["ann"]}');
SELECT * FROM newt.check_derived('d');

-- a store that gets another name
CREATE ROLE newt_test_report;
SELECT newt.grant_visible('d', 'view', 'newt_test_report');
SELECT newt.grant_principals('d', 'newt_test_report', 'ann');
ALTER SCHEMA d RENAME TO e;
SET test.store = 'e';
CALL pg_temp.put(1, 'Doc', '{"headline":"a5"}');
SELECT problem FROM newt.check_derived('e');
CALL newt.refresh_derived('e');
CALL pg_temp.put(1, 'Doc', '{"headline":"a5","may_read":["ann"]}');
SET ROLE newt_test_report;
SELECT zoid, title FROM e.docs;
RESET ROLE;
SELECT * FROM newt.check_derived('e');
CALL newt.create_derived('e', 'later', '{Doc}', '[{"name":"title","value":"title","type":"text"}]', mode => 'updater');
ALTER SCHEMA e RENAME TO d;
SELECT newt.follow_derived('d', '{1}');
CALL newt.refresh_derived('d');
SELECT newt.follow_derived('d', '{1}');
SELECT newt.drop_derived('d', 'later');
SET test.store = 'd';

DROP VIEW seen;
SELECT newt.drop_derived('d', 'docs');
SELECT tgname FROM pg_trigger WHERE tgname IN ('newt_keep_derived', 'newt_renew_derived');
SET client_min_messages = warning;
DROP SCHEMA d CASCADE;
DROP OWNED BY newt_test_report; DROP ROLE newt_test_report;
