-- application | writing derived columns, lists, dependencies, principals, keys, declarations; calling the functions that maintain them | 42501
UPDATE shop.pages SET view = 1;
INSERT INTO shop.newt_principal_set (digest, entries, allowed, denies) VALUES ('', '{+x}', '{x}', false);
DELETE FROM shop.newt_dependency;
INSERT INTO shop.newt_derived_pending VALUES (1, 12, true);
UPDATE shop.newt_derived SET commit_limit = 1;
INSERT INTO shop.newt_role_principal VALUES ('newt_attack_application', 'board');
SELECT count(*) FROM shop.newt_claim_key;
SELECT shop.newt_derive_1('{12}', 10);
SELECT shop.newt_compute_derived(1, 10);
CREATE TRIGGER t BEFORE INSERT ON shop.transaction EXECUTE FUNCTION suppress_redundant_updates_trigger();
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- application | a class name that tries to break out of our SQL: dollar quotes, quotes, formats, backslashes, our own words, 20,000 bytes | the owner can create and fill columns, none of that SQL runs, commits go on
-- changes
INSERT INTO shop.newt_class (name, version, fields) SELECT 'Page', 2, fields || jsonb_build_array(jsonb_build_object('kind', 'class', 'was', ARRAY[
    'a$newt_derived$; CREATE TABLE shop.broken(); SELECT $newt_derived$', 'b$sql$; CREATE TABLE shop.broken(); --', 'c'' || (SELECT 1/0) || ''', 'd%I%s%1$L%%', E'e\\'' OR true --',
    E'f\n-- \r\n', 'unnest($1) z', '    ), want AS g', '    ), put AS h', 'AS sources', '"', '{x,"y', repeat('k', 20000)])) FROM shop.newt_class WHERE name = 'Page';
\connect - newt_attack_owner
CALL newt.refresh_derived('shop', anew => true);
CALL newt.create_derived('shop', 'more', '{Page}', '[{"name": "t", "value": "title", "type": "text"}, {"name": "n", "count": "", "of": "Page", "by": "within"}]');
SELECT zoid, t FROM shop.more ORDER BY 1;
SELECT * FROM newt.check_derived('shop');
SELECT newt.drop_derived('shop', 'more');
SELECT to_regclass('shop.broken') IS NULL;
\connect - newt_attack_application
CALL attack.put(11, 'Page', '{"title": "open", "within": {"::=>": 10}, "owner": {"::=>": 20}}');
\connect - newt_attack_owner
DELETE FROM shop.newt_class WHERE name = 'Page' AND version = 2;
CALL newt.refresh_derived('shop', anew => true);
--> 11|open
--> 12|secret
--> t

-- owner | derived columns whose table, columns, paths and principals have hostile names: quotes, dollar quotes, formats, backslashes, newlines, 48 and 59 bytes | they are created, maintained, shown and dropped under exactly these names
-- changes
CALL newt.create_derived('shop', E'a"b''c$newt_derived$%I\\\nd', '{Page}', $$[{"name": "x\"y'z$sql$%s\\\n", "value": "ti\\\\.t'l$newt_derived$e%I", "type": "text"},
    {"name": "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefg", "value": "title", "type": "text"}, {"name": "AS sources", "value": "a\nb'", "type": "bigint"},
    {"name": "v'\"", "access": {"allow": "re'ad\"ers$newt_derived$"}}]$$, E'with''in\n$newt_derived$');
CALL newt.create_derived('shop', 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv', '{Page}', '[{"name": "select", "value": "title", "type": "text"}]');
SELECT "select" FROM shop.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv ORDER BY 1;
CALL attack.put(14, 'Page', $$ {"title": "hostile", "ti.t'l$newt_derived$e%I": "found", "re'ad\"ers$newt_derived$": ["staff"]} $$);
SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop' AND table_name LIKE 'a"b%' AND ordinal_position = 5;
SELECT count(*) FROM newt.check_derived('shop');
SELECT newt.can('shop', E'v''"', '{staff}');
\connect - :su
SELECT newt.grant_visible('shop', E'v''"', 'newt_attack_nobody'), newt.grant_principals('shop', 'newt_attack_nobody', 'staff');
\connect - newt_attack_nobody
SELECT zoid, state->>'title' FROM shop."a""b'c$newt_derived$%I\
d_documents";
\connect - :su
DROP OWNED BY newt_attack_nobody;
CREATE SCHEMA mine_nobody AUTHORIZATION newt_attack_nobody;
SELECT newt.revoke_principals('shop', 'newt_attack_nobody', 'staff');
\connect - newt_attack_owner
SELECT newt.drop_derived('shop', E'a"b''c$newt_derived$%I\\\nd'), newt.drop_derived('shop', 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv');
CALL attack.del(14);
--> open
--> secret
--> abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefg
--> 0
--> 14
--> |
--> 14|hostile
--> |

-- owner | a store whose name has a quote, a dollar quote, a format and a backslash in it | its derived columns are created, filled and maintained; no other SQL runs
-- changes
\connect - :su
SET SESSION AUTHORIZATION newt_attack_owner;
SELECT newt.create_store(E's''$newt_derived$"%s\\');
SET test.store = E's''$newt_derived$"%s\\';
INSERT INTO "s'$newt_derived$""%s\".newt_class (name, version, fields) VALUES ('Page', 1, '[{"name": "title", "kind": "text"}]');
CALL newt.create_derived(E's''$newt_derived$"%s\\', 'p', '{Page}', '[{"name": "t", "value": "title", "type": "text"}, {"name": "v", "access": {"allow": "readers"}}]', 'within');
CALL attack.put(10, 'Page', '{"title": "x", "readers": ["staff"]}');
CALL newt.refresh_derived(E's''$newt_derived$"%s\\', anew => true);
SELECT t FROM "s'$newt_derived$""%s\".p;
SELECT count(*) FROM newt.check_derived(E's''$newt_derived$"%s\\');
RESET SESSION AUTHORIZATION;
SELECT newt.grant_visible(E's''$newt_derived$"%s\\', 'v', 'newt_attack_report'), newt.grant_principals(E's''$newt_derived$"%s\\', 'newt_attack_report', 'staff');
SET SESSION AUTHORIZATION newt_attack_report;
SELECT zoid FROM "s'$newt_derived$""%s\".p_documents;
RESET SESSION AUTHORIZATION;
SET client_min_messages = error;
DROP SCHEMA "s'$newt_derived$""%s\" CASCADE;
--> x
--> 0
--> |
--> 10

-- application | invalid records: empty, truncated, text, nested too deeply; as a page, as a parent, as an owner | no row, or one without values; other commits go on
-- changes
CREATE PROCEDURE raw(zoid bigint, state bytea) LANGUAGE plpgsql AS $$
DECLARE s bigint := nextval('attack.serial');
BEGIN
    INSERT INTO shop.object_state VALUES ($1, s, $2) ON CONFLICT ON CONSTRAINT object_state_pkey DO UPDATE SET serial = excluded.serial, state = excluded.state;
    CALL attack.transact(ARRAY[$1], '{}', s);
END $$;
CALL raw(15, '');
CALL raw(16, '\x836450616765');
CALL raw(17, 'text');
CALL raw(18, ('\x83645061676501a1657469746c65' || repeat('81', 5000) || '00')::bytea);
CALL raw(18, ('\x83645061676501a1657469746c65' || repeat('81', 100000) || '00')::bytea);
CALL attack.put(30, 'Page', '{"title": "child", "within": {"::=>": 16}, "owner": {"::=>": 17}}');
CALL raw(30, '\x8364506167650118');
CALL attack.put(11, 'Page', '{"title": "open", "within": {"::=>": 10}, "owner": {"::=>": 20}}');
SELECT zoid, title FROM shop.pages ORDER BY zoid;
CALL attack.del(15); CALL attack.del(16); CALL attack.del(17); CALL attack.del(18); CALL attack.del(30);
DROP PROCEDURE raw;
--> 10|top
--> 11|open
--> 12|secret
--> 13|closed
--> 18|
--> 30|

-- application | principals that look like entries: "+board", "-staff", "!", "", "::=>13", with NUL-like and quote characters | each stands for itself; nobody else sees more
-- changes
CALL attack.put(31, 'Page', '{"title": "x", "readers": ["+staff", "-staff", "!", "+", "::=>13", "{staff}", "staff,board", "\"staff\"", " staff", "STAFF", "%", "sta\\ff"]}');
CALL attack.put(32, 'Page', '{"title": "y", "readers": ["staff"], "denied": ["-staff", "+staff", "!"]}');
SELECT s.allowed FROM shop.pages p JOIN shop.newt_principal_set s ON s.id = p.view WHERE p.zoid = 31;
SELECT newt.can('shop', 'view', '{+staff}', 10, 30);
\connect - newt_attack_report
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
\connect - newt_attack_application
CALL attack.del(31); CALL attack.del(32);
--> {" staff",!,"\"staff\"",%,+,+staff,-staff,::=>13,STAFF,"sta\\ff","staff,board","{staff}"}
--> 31
--> {10,11,32}

-- application | 10,001 denials; 100,000 readers; a reader of 1001 bytes; a denial of one | nobody may see the first object; 10,000 readers may see the second; principals of 1001 bytes are left out, and no claim can have them
-- changes
DO $$ BEGIN
    INSERT INTO shop.object_state VALUES (33, 7000001, attack.record('Page', jsonb_build_object('readers', '["staff"]'::jsonb, 'denied', (SELECT jsonb_agg('d' || g) FROM generate_series(1, 10001) g)))),
        (34, 7000001, attack.record('Page', jsonb_build_object('readers', (SELECT jsonb_agg('a' || g) FROM generate_series(1, 100000) g)))),
        (35, 7000001, attack.record('Page', jsonb_build_object('readers', jsonb_build_array(repeat('x', 1001), 'staff'), 'denied', jsonb_build_array(repeat('y', 1001)))));
END $$;
CALL attack.transact('{33,34,35}', '{}', 7000001);
SELECT p.zoid, cardinality(s.entries), cardinality(s.allowed), s.denies FROM shop.pages p JOIN shop.newt_principal_set s ON s.id = p.view WHERE p.zoid BETWEEN 33 AND 35 ORDER BY 1;
\connect - newt_attack_report
SELECT array_agg(zoid ORDER BY zoid) FROM shop.pages;
\connect - newt_attack_application
CALL attack.del(33); CALL attack.del(34); CALL attack.del(35);
--> 33|0|0|f
--> 34|10000|10000|f
--> 35|1|1|f
--> {10,11,35}

-- application | a loop of three folders; a folder that is its own parent; a parent that is a text or an object of another class | nothing is inherited there; once the loop is mended, everything is inherited again
-- changes
CALL attack.put(36, 'Folder', '{"within": {"::=>": 38}}');
CALL attack.put(37, 'Folder', '{"within": {"::=>": 36}}');
CALL attack.put(38, 'Folder', '{"within": {"::=>": 37}}');
CALL attack.put(39, 'Folder', '{"within": {"::=>": 39}, "readers": ["staff"]}');
CALL attack.put(40, 'Page', '{"within": "::=>10"}');
CALL attack.put(41, 'Page', '{"within": {"::=>": 20}}');
SELECT zoid, parent_id, view FROM shop.pages WHERE zoid BETWEEN 36 AND 41 AND zoid <> 39 ORDER BY zoid;
SELECT newt.can('shop', 'view', '{staff}', 10, 30);
CALL attack.put(36, 'Folder', '{"within": {"::=>": 10}}');
SELECT newt.can('shop', 'view', '{staff}', 10, 30);
CALL attack.del(36); CALL attack.del(37); CALL attack.del(38); CALL attack.del(39); CALL attack.del(40); CALL attack.del(41);
--> 36|-38|0
--> 37|36|0
--> 38|37|0
--> 40||0
--> 41|20|0
--> 39
--> 36
--> 37
--> 38
--> 39

-- application | values whose sum does not fit its type, so that anyone who adds to it later would fail | the sum is null, later commits go on, and the sum is back when the value is gone
-- changes
CALL attack.put(42, 'Comment', '{"page": {"::=>": 11}, "stars": 9223372036854775807}');
CALL attack.put(43, 'Comment', '{"page": {"::=>": 11}, "stars": 5}');
SELECT stars IS NULL FROM shop.pages WHERE zoid = 11;
CALL attack.del(42);
SELECT stars FROM shop.pages WHERE zoid = 11;
CALL attack.del(43);
--> t
--> 5

-- application | the same with double precision, numeric and interval | null; sums that fit are right
\connect - newt_attack_owner
SELECT newt.aggregate_sql('sum', 'v', 'double precision') AS f, newt.aggregate_sql('sum', 'v', 'numeric') AS n, newt.aggregate_sql('sum', 'v', 'interval') AS i \gset
SELECT :f FROM unnest('{1e308,1e308}'::float8[]) v;
SELECT :f FROM unnest('{1.5,-0.25,NULL}'::float8[]) v;
SELECT :f FROM unnest('{1,Infinity}'::float8[]) v;
SELECT (:n) IS NULL FROM unnest('{9e131071,9e131071}'::numeric[]) v;
SELECT :n FROM unnest('{1.5,-0.25}'::numeric[]) v;
SELECT (:i) IS NULL FROM unnest('{2500000000 hours,2500000000 hours}'::interval[]) v;
SELECT :i FROM unnest('{0.000001 s,-1 s,2 hours}'::interval[]) v;
--> 1.25
--> Infinity
--> t
--> 1.25
--> t
--> 01:59:59.000001

-- application | a name of 2 MB, from which columns of other objects are computed | a text has all of it, a tsvector the words that fit; later commits go on
-- changes
DO $$ BEGIN
    INSERT INTO shop.object_state VALUES (44, 7000002, attack.record('Person', jsonb_build_object('name', (SELECT string_agg(md5(g::text), ' ') FROM generate_series(1, 60000) g))));
END $$;
CALL attack.transact('{44}', '{}', 7000002);
CALL attack.put(45, 'Page', '{"title": "famous", "owner": {"::=>": 44}}');
SELECT length(title), length(owner), length(words) > 20000 FROM shop.pages WHERE zoid = 45;
CALL attack.put(45, 'Page', '{"title": "later", "owner": {"::=>": 44}}');
SELECT title FROM shop.pages WHERE zoid = 45;
CALL attack.del(45); CALL attack.del(44);
--> 6|1979999|t
--> later

-- application | a value that is too long for an index of the owner's | the commit that writes it fails with 54000; nobody else's fails later
-- changes
DO $$ BEGIN
    INSERT INTO shop.object_state VALUES (46, 7000003, attack.record('Page', jsonb_build_object('title', (SELECT string_agg(md5(g::text), ' ') FROM generate_series(1, 2000) g))));
    CALL attack.transact('{46}', '{}', 7000003);
END $$;
SELECT count(*) FROM shop.object_state WHERE zoid = 46;
CALL attack.put(11, 'Page', '{"title": "open", "within": {"::=>": 10}, "owner": {"::=>": 20}}');
--> ERROR 54000
--> 0

-- application | other readers for a folder with 300 pages, where commit_limit is 50 | the commit computes at most 50 rows; the others wait for newt.refresh_derived()
-- changes
DO $$ BEGIN
    INSERT INTO shop.object_state SELECT 1000 + g, 7000004, attack.record('Page', '{"within": {"::=>": 10}}') FROM generate_series(1, 300) g;
END $$;
CALL attack.transact(ARRAY[1001], '{}', 7000004);
\connect - newt_attack_owner
CALL newt.refresh_derived('shop', anew => true, share => 1);
\connect - newt_attack_application
CALL attack.put(10, 'Folder', '{"title": "top", "readers": ["staff", "guests"]}');
SELECT count(*) > 0 FROM shop.newt_derived_pending;
SELECT count(*) <= 50 FROM newt.can('shop', 'view', '{guests}');
\connect - newt_attack_owner
CALL newt.refresh_derived('shop', share => 1);
SELECT count(*) FROM newt.can('shop', 'view', '{guests}');
SELECT count(*) FROM newt.check_derived('shop');
DELETE FROM shop.object_state WHERE zoid > 1000;
CALL attack.put(10, 'Folder', '{"title": "top", "readers": ["staff"]}');
CALL newt.refresh_derived('shop', anew => true, share => 1);
--> t
--> t
--> 302
--> 0

-- application | rows of the table transaction that name objects which nobody has changed, that do not exist, that are null or negative, 10,000 times the same | 22004 for null; the others are computed from their records, and nothing changes
-- changes
CALL attack.transact('{12,13,777,-5,9223372036854775807}', '{11}', 7000005);
CALL attack.transact('{12,NULL}', '{}', 7000007);
DO $$ BEGIN INSERT INTO shop.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 7000006, 0, array_fill(12::bigint, '{10000}'), '{}' FROM shop.transaction; END $$;
SELECT zoid, title, parent_id FROM shop.pages ORDER BY zoid;
--> ERROR 22004
--> 10|top|
--> 11|open|10
--> 12|secret|13
--> 13|closed|
