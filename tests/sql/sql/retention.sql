-- transactions that may go, and those that stay: by age, by number, for followers
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.create_store('store_r');
-- one each hour for 100 hours, the newest a minute ago; serials are not in the order of tids
CREATE PROCEDURE pg_temp.fill() LANGUAGE sql AS $$
    DELETE FROM store_r.transaction;
    DELETE FROM store_r.transaction_object;
    INSERT INTO store_r.transaction (tid, serial, nonce, committed_at, description, written, removed)
    SELECT (extract(epoch FROM at) * 1000000)::bigint, 5000 - h, h, at, h, CASE WHEN h % 10 > 0 THEN '{1}'::bigint[] END, CASE WHEN h % 10 > 0 THEN '{}'::bigint[] END
      FROM generate_series(0, 99) h, LATERAL (SELECT clock_timestamp() - interval '1 min' - h * interval '1 hour') t (at);
    INSERT INTO store_r.transaction_object SELECT serial, n, '{1,2}', '{}' FROM store_r.transaction, generate_series(1, 3) n WHERE written IS NULL;
$$;
-- ages in hours of the oldest and the newest, how many, and of the large ones the chunks
CREATE VIEW pg_temp.kept AS SELECT max(description::int) AS oldest, min(description::int) AS newest, count(*),
    (SELECT count(*) FROM store_r.transaction_object) AS chunks FROM store_r.transaction;
CREATE FUNCTION pg_temp.tid(hours int) RETURNS bigint LANGUAGE sql AS $$SELECT tid FROM store_r.transaction WHERE description = hours::text$$;

-- a day, as it is at first
CALL pg_temp.fill();
SELECT newt.prune_limit('store_r') BETWEEN pg_temp.tid(24) AND pg_temp.tid(23) AS a_day;
SELECT newt.prune('store_r', 10), (SELECT oldest FROM pg_temp.kept);
SELECT newt.prune('store_r');
TABLE pg_temp.kept;
SELECT newt.prune('store_r');
-- the chunks are those of rows that are there
SELECT count(*) FROM store_r.transaction_object x WHERE NOT EXISTS (SELECT FROM store_r.transaction t WHERE t.serial = x.serial);

-- a number, whatever the age
SELECT newt.set_retention('store_r', keep_rows => 5);
SELECT newt.prune('store_r');
TABLE pg_temp.kept;
CALL pg_temp.fill();
SELECT newt.set_retention('store_r', keep_rows => 0, keep_age => '50 hours', wait_for => '80 hours');
SELECT keep_age, keep_rows, wait_for FROM store_r.newt_store;

-- a follower that has not seen the last 60 hours holds them, and its own row
INSERT INTO store_r.newt_follower (name, tid) VALUES ('slow', pg_temp.tid(60)), ('fast', pg_temp.tid(1));
SELECT newt.prune('store_r');
TABLE pg_temp.kept;
-- not for ever
SELECT newt.set_retention('store_r', wait_for => '58 hours');
SELECT newt.prune('store_r');
TABLE pg_temp.kept;
-- nor one whose place is gone, or which is of another life of the store: they start over
CALL pg_temp.fill();
SELECT newt.set_retention('store_r', wait_for => '1000 years');
UPDATE store_r.newt_follower SET tid = 17 WHERE name = 'slow';
SELECT newt.prune('store_r', 20), oldest FROM pg_temp.kept;
UPDATE store_r.newt_follower SET tid = pg_temp.tid(70), serial = 1 WHERE name = 'slow';
SELECT newt.prune('store_r', 20);
TABLE pg_temp.kept;
-- one that has seen all but for long nothing: the newest stays
DELETE FROM store_r.newt_follower;
DELETE FROM store_r.transaction WHERE description::int < 55;
SELECT newt.prune('store_r');
TABLE pg_temp.kept;

-- a client may still ask for what is of the last five minutes
CALL pg_temp.fill();
INSERT INTO store_r.transaction (tid, serial, nonce, description, written, removed)
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + i, 10000 + i, i, -1, '{1}', '{}' FROM generate_series(1, 10) i;
SELECT newt.set_retention('store_r', keep_age => '0', keep_rows => 1, wait_for => '0');
SET client_min_messages = warning;
CALL newt.prune_all('store_r', 7);
RESET client_min_messages;
TABLE pg_temp.kept;
CALL newt.prune_all('store_r');

-- what is refused, and how
SELECT pg_temp.error_of('SELECT newt.prune(''no_store'')');
SELECT pg_temp.error_of('SELECT newt.prune(NULL)');
SELECT pg_temp.error_of('SELECT newt.prune(''store_r'', 0)');
SELECT pg_temp.error_of('SELECT newt.set_retention(''store_r'')');
SELECT pg_temp.error_of('SELECT newt.set_retention(''store_r'', ''-1 s'')');
SELECT pg_temp.error_of('SELECT newt.set_retention(''store_r'', wait_for => ''2000 years'')');
SELECT pg_temp.error_of('SELECT newt.set_retention(''store_r'', keep_rows => -1)');
SELECT pg_temp.error_of('SELECT newt.prune_limit(''no_store'')');
\set VERBOSITY terse
CALL newt.prune_all('no_store');
CALL newt.prune_all('store_r', 0);
BEGIN;
CALL newt.prune_all('store_r');
ROLLBACK;
\set VERBOSITY default

-- a name of any kind; the settings of a session do not matter, nor what lies on its search path
SELECT newt.create_store(E'a"b''\\ %1$s %');
CREATE SCHEMA attack;
CREATE FUNCTION attack.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'attacked'; END $$;
CREATE FUNCTION attack.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'attacked'; END $$;
CREATE FUNCTION attack.add(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'attacked'; END $$;
CREATE OPERATOR attack.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = attack.add);
SET search_path = attack, pg_catalog;
SET default_transaction_isolation = 'serializable';
SET default_transaction_read_only = on;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
BEGIN READ WRITE;
INSERT INTO "a""b'\ %1$s %".transaction (tid, serial, nonce, written, removed) SELECT 1000 + i, 10000 + i, i, '{1}', '{}' FROM generate_series(1, 100) i;
SELECT newt.set_retention(E'a"b''\\ %1$s %', keep_rows => 3);
SELECT newt.prune(E'a"b''\\ %1$s %', 50);
COMMIT;
CALL newt.prune_all(E'a"b''\\ %1$s %', 10);
SELECT count(*) FROM "a""b'\ %1$s %".transaction;
RESET ALL;

SET client_min_messages = warning;
DROP SCHEMA store_r, attack, "a""b'\ %1$s %" CASCADE;
