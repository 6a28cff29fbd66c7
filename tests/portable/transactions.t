#!/usr/bin/env bash
# Transactions of newt.patch, newt.insert and newt.remove in the portable edition: whose they are, what
# they lock, and what the session keeps of them. Needs a private server.
set -uo pipefail
roles="newt_owner, newt_app, newt_stranger, newt_bare"
trap 'dropdb --if-exists transactions; psql -Xqc "DROP ROLE IF EXISTS $roles"' EXIT
n=0
db=transactions
# Runs SQL as a user, and compares what comes out; an error is its SQLSTATE and message.
is() { # NAME USER WANTED; the SQL is the standard input
    local got
    n=$((n + 1))
    got=$(psql -XqAt -d $db -U "$2" -v VERBOSITY=verbose -v SHOW_CONTEXT=never 2>&1 | sed -n 's/^psql:.*ERROR: */ERROR:  /; s/^LOCATION:.*//; /./p')
    if [ "$got" = "$3" ]; then
        echo "ok $n - $1"
    else
        printf 'got:\n%s\nwant:\n%s\n' "$got" "$3" | sed 's/^/# /'
        echo "not ok $n - $1"
    fi
}
# The user, role, description and objects of the newest transactions, the newest first.
newest() { # HOW MANY
    echo "SELECT username, extension->>'role', description, written, removed FROM s.transaction ORDER BY tid DESC LIMIT $1;"
}
locked="SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'newt_commit_lock' AND l.granted;"

createdb $db && psql -Xq -d $db -f build/sql/newt-portable.sql
psql -XqAt -v ON_ERROR_STOP=1 -d $db <<'END' | grep -v '^$'
CREATE ROLE newt_owner LOGIN;
CREATE ROLE newt_app LOGIN;
CREATE ROLE newt_stranger LOGIN;
CREATE ROLE newt_bare LOGIN;
GRANT CREATE ON DATABASE transactions TO newt_owner;
GRANT newt_app TO newt_bare;
SET SESSION AUTHORIZATION newt_owner;
SELECT newt.create_store('s');
INSERT INTO s.newt_class (name, version, fields) VALUES
    ('C', 1, '[{"name": "n", "kind": "int", "bits": 32}, {"name": "of", "kind": "ref", "class": "C"}]');
SELECT newt.grant_store('s', 'newt_app', 'application');
SELECT newt.create_store('other');
INSERT INTO other.newt_class SELECT * FROM s.newt_class;
SELECT newt.grant_store('other', 'newt_bare', 'application');
CREATE SCHEMA f;
GRANT USAGE ON SCHEMA f TO PUBLIC;
CREATE FUNCTION f.set(n integer) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT newt.patch('s', 1024, jsonb_build_object('n', n)) $$;
END

is "an object is made" newt_app '1024' <<'END'
SELECT newt.insert('s', 'C', '{"n": 1}');
END
is "the commit lock is not taken before COMMIT" newt_app '0
newt_app||newt.patch, newt.insert|{1024,2048}|{}' <<END
BEGIN;
SELECT FROM newt.patch('s', 1024, '{"n": 2}'), newt.insert('s', 'C', '{}');
$locked
COMMIT;
$(newest 1)
END
is "SET CONSTRAINTS makes the row at once; what comes later has another" newt_app '1
newt_app||newt.patch|{2048}|{}
newt_app||newt.patch|{1024}|{}' <<END
BEGIN;
SELECT FROM newt.patch('s', 1024, '{"n": 3}');
SET CONSTRAINTS ALL IMMEDIATE;
$locked
SELECT FROM newt.patch('s', 2048, '{"n": 3}');
SAVEPOINT a;
SELECT FROM newt.patch('s', 2048, '{"n": 4}');
ROLLBACK TO a;
COMMIT;
$(newest 2)
END
is "a role that was taken, and given back" newt_bare 'newt_bare|newt_app|newt.patch|{1024}|{}' <<END
BEGIN;
SET ROLE newt_app;
SELECT FROM newt.patch('s', 1024, '{"n": 4}');
RESET ROLE;
COMMIT;
SET ROLE newt_app;
$(newest 1)
END
# a deferred trigger has the rights of who queued it since PostgreSQL 18
by_owner='newt_stranger|newt_owner|newt.patch|{1024}|{}' at_once=1
[ "$(psql -XqAt -d $db -c 'SHOW server_version_num')" -lt 180000 ] || at_once=0
is "a function with its owner's rights: the row is made at once before PostgreSQL 18, as that of its owner" newt_stranger "$at_once
t" <<END
BEGIN;
SELECT FROM f.set(5) a, f.set(6) b;
$locked
COMMIT;
SELECT f.set(7) > 1;
END
# of two changes in a transaction there are two rows then
is "... and is there" newt_owner "$(for i in $(seq $((2 + at_once))); do echo "$by_owner"; done)" <<<"$(newest $((2 + at_once)))"
owner=$(psql -XqAt -d $db -c "SELECT 'newt_owner'::regrole::oid")
is "a table of that name that somebody else has made is not used" newt_stranger "ERROR:  42501: temporary relation \"newt_change_$owner\" belongs to another role
DETAIL:  newt.patch(), newt.insert() and newt.remove() keep there what they have changed.
HINT:  DROP it in this session." <<END
CREATE TEMP TABLE newt_change_$owner (serial bigint, store text);
SELECT f.set(8);
END
is "the session may forget all" newt_app '3072
newt_app||newt.insert|{3072}|{}' <<END
SELECT FROM newt.patch('s', 1024, '{"n": 8}');
DISCARD ALL;
SELECT newt.insert('s', 'C', '{}');
$(newest 1)
END
is "it is made also where triggers do not fire" postgres 't|{1024}' <<'END'
SET session_replication_role = replica;
SELECT FROM newt.patch('s', 1024, '{"n": 9}');
SELECT o.serial = t.serial, t.written FROM s.object_state o, s.transaction t WHERE o.zoid = 1024 ORDER BY t.tid DESC LIMIT 1;
END
is "not with PREPARE TRANSACTION" newt_app 'ERROR:  0A000: cannot PREPARE a transaction that has operated on temporary objects' <<'END'
BEGIN;
SELECT FROM newt.patch('s', 1024, '{"n": 10}');
PREPARE TRANSACTION 'x';
END
is "each transaction names what it has written" newt_owner '0' <<'END'
SELECT count(*) FROM s.object_state o WHERE o.zoid > 1 AND NOT EXISTS (SELECT FROM s.transaction t WHERE t.serial = o.serial AND o.zoid = ANY (t.written));
END
is "derived columns follow" newt_owner '1
2' <<'END'
SET client_min_messages = error;
CALL newt.create_derived('s', 'd', '{C}', '[{"name": "others", "count": "", "of": "C", "by": "of"}]');
SELECT FROM newt.patch('s', 2048, '{"of": {"::=>": 1024}}');
SELECT others FROM s.d WHERE zoid = 1024;
SELECT FROM newt.insert('s', 'C', '{"of": {"::=>": 1024}}');
SELECT others FROM s.d WHERE zoid = 1024;
END
is "one store in a transaction of each role" newt_bare '1024
ERROR:  0A000: newt.insert() cannot write to a second store in one transaction
DETAIL:  The transaction has written to the store "other".' <<'END'
BEGIN;
SET ROLE newt_app;
SELECT FROM newt.patch('s', 1024, '{"n": 20}');
RESET ROLE;
SELECT newt.insert('other', 'C', '{}');
COMMIT;
BEGIN;
SELECT FROM newt.insert('other', 'C', '{}');
SELECT newt.insert('s', 'C', '{}');
END
is "triggers run with a search_path of their own" newt_owner 'NOTICE:  00000: pg_catalog, pg_temp' <<'END'
CREATE FUNCTION f.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', current_setting('search_path'); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE UPDATE ON s.object_state FOR EACH ROW EXECUTE FUNCTION f.note();
SELECT FROM newt.patch('s', 1024, '{"n": 9}');
END
is "a decimal of as many digits as numeric has" newt_owner 't
ERROR:  22003: field "d" of the new D cannot be an object
DETAIL:  It is out of range for kind decimal.' <<'END'
INSERT INTO s.newt_class (name, version, fields) VALUES ('D', 1, '[{"name": "d", "kind": "decimal"}]');
SELECT newt.insert('s', 'D', jsonb_build_object('d', jsonb_build_object('::num', repeat('9', 131072)))) > 1024;
SELECT newt.insert('s', 'D', jsonb_build_object('d', jsonb_build_object('::num', repeat('9', 131073))));
END
psql -Xqc 'REVOKE TEMPORARY ON DATABASE transactions FROM PUBLIC'
is "who may not make temporary tables changes nothing" newt_app 'ERROR:  42501: permission denied to create temporary tables in database "transactions"
9' <<'END'
SELECT FROM newt.patch('s', 1024, '{"n": 10}');
SELECT state->'n' FROM s.newt WHERE zoid = 1024;
END
echo "1..$n"
