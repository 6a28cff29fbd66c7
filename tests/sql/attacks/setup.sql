-- The store that is attacked: an open and a closed folder, a page in each. A report sees what "staff" may, another one what "board" may.
CREATE EXTENSION newt;
CREATE ROLE newt_attack_owner LOGIN;
CREATE ROLE newt_attack_report LOGIN;
CREATE ROLE newt_attack_other LOGIN;
CREATE ROLE newt_attack_reporter LOGIN;
CREATE ROLE newt_attack_narrow LOGIN NOINHERIT;
CREATE ROLE newt_attack_application LOGIN;
CREATE ROLE newt_attack_reader LOGIN;
CREATE ROLE newt_attack_updater LOGIN;
CREATE ROLE newt_attack_nobody LOGIN;
GRANT newt_attack_report, newt_attack_other TO newt_attack_reporter;
GRANT newt_attack_report TO newt_attack_narrow;
GRANT CREATE ON DATABASE newt_attacks TO newt_attack_owner;
ALTER DATABASE newt_attacks SET test.store = 'shop';
SET test.store = 'shop';
CREATE SCHEMA attack;
\i :documents
GRANT USAGE ON SCHEMA attack TO PUBLIC;
GRANT USAGE ON SEQUENCE attack.serial TO PUBLIC;
-- where each may make what it likes
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY '{report,reporter,application,reader,updater,nobody}'::text[] LOOP
        EXECUTE format('CREATE SCHEMA mine_%1$s AUTHORIZATION newt_attack_%1$s', r);
        EXECUTE format('ALTER ROLE newt_attack_%1$s IN DATABASE newt_attacks SET search_path = mine_%1$s, public', r);
    END LOOP;
END
$$;
-- a table that takes down what a function was shown, and a function that does so and costs nothing
CREATE TABLE mine_report.seen (value text);
ALTER TABLE mine_report.seen OWNER TO newt_attack_report;
CREATE FUNCTION mine_report.leak(anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO mine_report.seen VALUES ($1::text); RETURN true; END $$;
CREATE FUNCTION mine_report.leaks(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN INSERT INTO mine_report.seen VALUES ($1); RETURN true; END $$;
CREATE OPERATOR mine_report.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = mine_report.leaks);
CREATE FUNCTION attack.plan_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement; END $$;

SET SESSION AUTHORIZATION newt_attack_owner;
SELECT newt.create_store('shop');
INSERT INTO shop.newt_class (name, version, fields) VALUES
    ('Folder', 1, '[{"name": "title", "kind": "text"}, {"name": "within", "kind": "ref", "class": "Folder"}, {"name": "readers", "kind": "text", "shape": "list"}]'),
    ('Page', 1, '[{"name": "title", "kind": "text"}, {"name": "within", "kind": "ref", "class": "Folder"}, {"name": "owner", "kind": "ref"}]'),
    ('Person', 1, '[{"name": "name", "kind": "text"}]'),
    ('Comment', 1, '[{"name": "page", "kind": "ref", "class": "Page"}, {"name": "stars", "kind": "int", "bits": 64}]');
CALL attack.put(10, 'Folder', '{"title": "top", "readers": ["staff"]}');
CALL attack.put(11, 'Page', '{"title": "open", "within": {"::=>": 10}, "owner": {"::=>": 20}}');
CALL attack.put(12, 'Page', '{"title": "secret", "within": {"::=>": 13}, "owner": {"::=>": 20}}');
CALL attack.put(13, 'Folder', '{"title": "closed", "readers": ["board"]}');
CALL attack.put(20, 'Person', '{"name": "Ada"}');
CALL newt.create_table('shop', 'Page');
CALL newt.create_derived('shop', 'pages', '{Folder,Page}', '[
    {"name": "title", "value": "title", "type": "text"},
    {"name": "owner", "value": "owner->name", "type": "text"},
    {"name": "words", "text": ["title:A", "owner->name:B"], "config": "english"},
    {"name": "stars", "sum": "stars", "of": "Comment", "by": "page", "type": "bigint"},
    {"name": "view", "access": {"allow": "readers", "deny": "denied"}}]', 'within', commit_limit => 50);
CREATE INDEX ON shop.pages (title);
SELECT newt.grant_store('shop', 'newt_attack_application', 'application'), newt.grant_store('shop', 'newt_attack_reader', 'reader'), newt.grant_store('shop', 'newt_attack_updater', 'updater');
SELECT newt.grant_visible('shop', 'view', 'newt_attack_report'), newt.grant_visible('shop', 'view', 'newt_attack_other');
SELECT newt.grant_principals('shop', 'newt_attack_report', 'staff'), newt.grant_principals('shop', 'newt_attack_other', 'board');
SELECT newt.create_claim_key('shop');
SELECT newt.create_store('shop2'), newt.create_claim_key('shop2');
RESET SESSION AUTHORIZATION;
ANALYZE;
