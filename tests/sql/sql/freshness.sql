-- how far followers are behind, what the projection lacks, and the state of a store in one row
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/setup.sql'
\i :setup

SELECT newt.create_store('store_f');
SELECT follower FROM newt.freshness('store_f');
INSERT INTO store_f.object_state VALUES (2001, 5, '\x83645461736b01a161740a'), (2002, 6, '\x83645461736b01a161740a'),
    (2003, 6, '\x83644e6f746501a0');
INSERT INTO store_f.newt_follower (name, tid, kind) SELECT 'newt-updater', tid, 'projection' FROM store_f.transaction;
INSERT INTO store_f.newt_follower (name, tid) SELECT 'mirror', tid FROM store_f.transaction;
SELECT follower, kind, class_name, transactions, waiting, oldest, lag, complete FROM newt.freshness('store_f');

-- ten and five minutes ago: written, written again, removed with and without its class; a large one
INSERT INTO store_f.transaction (tid, serial, nonce, written, removed, removed_classes)
SELECT (extract(epoch FROM clock_timestamp() - age) * 1000000)::bigint, serial, serial, written, removed, classes
  FROM (VALUES (interval '10 min', 5, '{2001,2002}'::bigint[], '{3001,3002}'::bigint[], '{Task,Old}'::text[]),
               (interval '5 min', 6, '{2002,2003}', '{3003}', NULL), (interval '4 min', 7, NULL, NULL, NULL)) v (age, serial, written, removed, classes);
INSERT INTO store_f.transaction_object VALUES (7, 1, '{1,2001}', '{3004}', '{Old}');
UPDATE store_f.transaction SET tid = 1000 WHERE serial = 1;
UPDATE store_f.newt_follower SET tid = 1000;
UPDATE store_f.newt_follower SET tid = (SELECT tid FROM store_f.transaction WHERE serial = 6) WHERE name = 'mirror';
SELECT follower, kind, class_name, transactions, waiting, date_trunc('minute', lag) AS lag,
       abs(extract(epoch FROM clock_timestamp() - oldest - lag)) < 10 AS oldest, complete FROM newt.freshness('store_f');
-- what is no record has no class, and holds nothing up
UPDATE store_f.object_state SET state = 'no record' WHERE zoid = 2003;
SELECT follower, class_name, waiting FROM newt.freshness('store_f') WHERE follower = 'newt-updater';

-- the work is bounded
INSERT INTO store_f.transaction (tid, serial, nonce, written, removed)
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 9, 9, array_agg(i), '{}' FROM generate_series(1, 150000) i;
SELECT follower, class_name, transactions, waiting, complete FROM newt.freshness('store_f') WHERE class_name IS NULL;

-- wait_for: seen, not seen, without an end to wait for
SELECT newt.wait_for(1000, store => 'store_f'), newt.wait_for(1001, '60 ms', 'store_f'), newt.wait_for(1001, '0', 'store_f'),
       newt.wait_for(1001, '-1 s', 'store_f', 'mirror');
-- a follower that still copies what was there before it has not seen all
UPDATE store_f.newt_follower SET copied = 2001 WHERE name = 'mirror';
SELECT newt.wait_for(1000, '10 ms', 'store_f', 'mirror');
SELECT DISTINCT follower, complete FROM newt.freshness('store_f') ORDER BY 1;
UPDATE store_f.newt_follower SET copied = NULL WHERE name = 'mirror';
SELECT newt.wait_for(1000, '10 ms', 'store_f', 'mirror');
SELECT pg_temp.error_of('SELECT newt.wait_for(1, ''1 s'', ''store_f'', ''nobody'')');
DELETE FROM store_f.newt_follower WHERE name = 'newt-updater';
SELECT pg_temp.error_of('SELECT newt.wait_for(1, ''1 s'', ''store_f'')');
SELECT pg_temp.error_of('SELECT newt.wait_for(NULL, ''1 s'', ''store_f'')');
SELECT pg_temp.error_of('SELECT newt.wait_for(1, NULL, ''store_f'')');
SELECT pg_temp.error_of('SELECT newt.wait_for(1, ''1 s'', ''no_store'')');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_temp.error_of('SELECT newt.wait_for(1, ''1 s'', ''store_f'')');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT pg_temp.error_of('SELECT newt.wait_for(1, ''1 s'', ''store_f'')');
COMMIT;

-- rejects, for people
UPDATE store_f.object_state SET state = '\x83644e6f746501a0' WHERE zoid = 2003;
UPDATE store_f.transaction SET tid = 1700000000000000 + serial WHERE serial IN (5, 6);
INSERT INTO store_f.newt_reject_entry VALUES (2001, 5, 1, '{a}', 'text'), (2001, 5, 2, '{b}', 'text'), (2002, 6, 1, '{n}', 'number'),
    (2002, 6, 2, '{}', 'too-large');
INSERT INTO store_f.newt_reject_entry VALUES (2003, 6, 0, '{}', 'duplicate key', '23505', 'titles'), (2001, 4, 0, '{}', 'superseded', '23505', 'titles');
SELECT * FROM newt.rejects_report('store_f') \gx
INSERT INTO store_f.object_state SELECT 4000 + i, 90, '\x83644e6f746501a0' FROM generate_series(1, 4) i;
INSERT INTO store_f.newt_reject_entry VALUES (4001, 90, 0, '{}', 'm', '23514', 'positive'), (4002, 90, 0, '{}', 'm', '54000', 'big'),
    (4003, 90, 0, '{}', 'm', '22P02', NULL), (4004, 90, 0, '{}', 'm', 'P0001', NULL);
SELECT sqlstate, what_to_do FROM newt.rejects_report('store_f') WHERE sqlstate IS NOT NULL;

-- health
SELECT newest_tid = (SELECT max(tid) FROM store_f.transaction) AS newest, newest_at <= clock_timestamp() AS at, transactions, oldest_tid, oldest_at,
       lock_pid, lock_since, lock_waiters, followers, slowest_follower, slowest_lag > '4 min' AS lag, rejects, refused FROM newt.health('store_f');
BEGIN;
LOCK TABLE store_f.newt_commit_lock IN EXCLUSIVE MODE;
SELECT lock_pid = pg_backend_pid() AS held, lock_since = now() AS since, lock_waiters, longest_pid = pg_backend_pid() AS longest FROM newt.health('store_f');
COMMIT;
-- a copy that is not complete, although no transaction is waiting
UPDATE store_f.newt_follower SET tid = (SELECT max(tid) FROM store_f.transaction);
SELECT followers, copying, slowest_follower, slowest_lag FROM newt.health('store_f');
UPDATE store_f.newt_follower SET copied = 7;
SELECT followers, copying, slowest_follower,
       abs(extract(epoch FROM slowest_lag - (clock_timestamp() - to_timestamp(tid / 1000000.0)))) < 60 AS since_it_began
  FROM newt.health('store_f'), store_f.newt_follower;
UPDATE store_f.newt_follower SET tid = 0, updated_at = clock_timestamp() - interval '1 hour';
SELECT copying, slowest_lag BETWEEN '1 hour' AND '2 hours' AS since_it_moved FROM newt.health('store_f');
DELETE FROM store_f.newt_follower;
SELECT followers, copying, slowest_follower, slowest_lag FROM newt.health('store_f');

SELECT pg_temp.error_of('SELECT newt.freshness(''no_store'')');
SELECT pg_temp.error_of('SELECT newt.health(''no_store'')');
SELECT pg_temp.error_of('SELECT newt.health(NULL)');
SELECT pg_temp.error_of('SELECT newt.rejects_report(''no_store'')');

-- a name of any kind
SELECT newt.create_store(E'a"b''\\ %1$s %');
INSERT INTO "a""b'\ %1$s %".newt_follower (name, tid) VALUES (E'f"''\\%', 5);
SELECT follower, class_name, transactions, waiting FROM newt.freshness(E'a"b''\\ %1$s %');
SELECT newt.wait_for(5, '1 s', E'a"b''\\ %1$s %', E'f"''\\%');
SELECT pg_temp.error_of(format('SELECT newt.wait_for(5, ''1 s'', %L, ''%%'')', E'a"b''\\ %1$s %'));
SELECT transactions, followers, slowest_follower FROM newt.health(E'a"b''\\ %1$s %');
SELECT count(*) FROM newt.rejects_report(E'a"b''\\ %1$s %');

SET client_min_messages = warning;
DROP SCHEMA store_f, "a""b'\ %1$s %" CASCADE;
