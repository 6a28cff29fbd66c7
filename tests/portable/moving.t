#!/usr/bin/env bash
# A store in a database with the portable edition, and how the extension takes its place there, and
# the other way round: views, indexes and a role's own objects stay. Needs a private server.
set -uo pipefail
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"; dropdb --if-exists moving; dropdb --if-exists moving_dump; psql -Xqc "DROP ROLE IF EXISTS newt_moving"' EXIT
portable=build/sql/newt-portable.sql
n=0
check() { # NAME COMMAND...
    local name=$1 out
    shift
    n=$((n + 1))
    if out=$("$@" 2>&1); then
        echo "ok $n - $name"
    else
        sed 's/^/# /' <<<"$out"
        echo "not ok $n - $name"
    fi
}
sql() { psql -XqAt -v ON_ERROR_STOP=1 -d moving -c "$1"; }
as_role() { psql -XqAt -v ON_ERROR_STOP=1 -d moving -U newt_moving "$@"; }
is() { # STATEMENT WANTED
    local got
    got=$(sql "$1") || { echo "$got" && return 1; }
    [ "$got" = "$2" ] || { printf 'got %s\nwant %s\n' "$got" "$2" && return 1; }
}
refused() { # REGEX COMMAND...
    local regex=$1 out
    shift
    ! out=$("$@" 2>&1) && grep -qE "$regex" <<<"$out" || { echo "$out" && return 1; }
}
script() { psql -Xq -d moving "$@"; }
# What uses the functions, by their oids, and what it gives.
uses="SELECT string_agg(d.classid::regclass || ' ' || d.objid || ' ' || p.proname, ', ' ORDER BY d.classid, d.objid, p.proname)
        FROM pg_depend d JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
       WHERE p.pronamespace = 'newt'::regnamespace AND d.deptype = 'n' AND d.classid <> 'pg_proc'::regclass"
answers="SET enable_seqscan = off; SELECT count(*), sum(points), max(title) FROM app.task;
    SELECT zoid FROM app.newt WHERE class_name = 'Task' AND newt.tsvector('english', state, 'title:A') @@ 'word2077';
    SELECT count(*) FROM app.object_state WHERE newt.try_class_name(state) = 'Task'"
stays() { is "$uses" "$used" && is "$answers" $'500|2500|word2500\n2077\n500'; }
languages="SELECT string_agg(DISTINCT l.lanname, ' ' ORDER BY l.lanname) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'newt'::regnamespace"

createdb moving
psql -Xqc 'CREATE ROLE newt_moving LOGIN; GRANT CREATE ON DATABASE moving TO newt_moving' moving
check "a role without rights but to create runs the script" as_role -f "$portable"
check "and again" as_role -f "$portable"
check "no function is in C" is "$languages" "plpgsql sql"
check "the role makes a store" as_role -c "SELECT newt.create_store('app')"
as_role -c "
INSERT INTO app.object_state SELECT 2000 + i, 5, '\x83645461736b01a2657469746c6568'::bytea || convert_to('word' || 2000 + i, 'UTF8') || '\x66706f696e747305'::bytea FROM generate_series(1, 500) i;
INSERT INTO app.newt_projection SELECT zoid, newt.class_name(state), serial, newt.to_jsonb(state) FROM app.object_state WHERE zoid > 1;
INSERT INTO app.newt_class (name, version, fields) VALUES ('Task', 1, '[{\"name\": \"title\", \"kind\": \"text\"}, {\"name\": \"points\", \"kind\": \"int\", \"bits\": 32}]');
SELECT newt.create_view('app', 'Task'), newt.create_text_index('app', 'Task', 'english', 'title:A'), newt.create_field_index('app', 'Task', 'points')" >/dev/null
used=$(sql "$uses")
check "views and indexes use its functions" test -n "$used"
check "they give what is there" stays
check "typed tables are refused" refused 'typed tables need the extension newt' as_role -c "CALL newt.create_table('app', 'Task')"

# with pg_dump, to a server that has the portable edition as well
createdb moving_dump
pg_dump -d moving -Fc -f "$tmp/dump"
check "a dump has it all" pg_restore --exit-on-error --no-owner -d moving_dump "$tmp/dump"
restored() { [ "$(psql -XqAt -d moving_dump -c "SELECT count(*), sum(points) FROM app.task")" = '500|2500' ]; }
check "and restores" restored

check "the extension does not take its place by itself" refused 'schema "newt" already exists' sql 'CREATE EXTENSION newt'
# a session that stays: what it has written needed a temporary table
coproc session { psql -XqAt -d moving -U newt_moving 2>&1; }
say() { echo "$1" >&"${session[1]}" && read -r -t 60 said <&"${session[0]}" && [ "$said" = t ] || { echo "$said" && return 1; }; }
check "a session writes an object" say "SELECT newt.patch('app', 2001, '{\"points\": 6}') > 5;"
check "its script does" script -f sql/newt-from-portable.sql
check "the session goes on with the extension" say "SELECT newt.patch('app', 2001, '{\"points\": 5}') > 5;"
check "each is a transaction" is "SELECT count(*), count(DISTINCT serial) FROM app.transaction WHERE written = '{2001}'" '2|2'
exec {session[1]}>&-
wait
check "the functions are the extension's" is "$languages" "c plpgsql sql"
check "every one belongs to it" is "SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')" 0
check "nobody but a superuser may replace them" refused "must be owner|permission denied" as_role -c \
    "CREATE OR REPLACE FUNCTION newt.class_name(record bytea) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'"
check "nothing else is left of the portable edition" is "SELECT to_regnamespace('newt_portable') IS NULL" t
check "views and indexes are as before" stays
sql 'CREATE TEMP TABLE was AS SELECT 1' # a session of its own
psql -XqAt -d moving -c "SELECT p.oid::regprocedure, p.prosrc, p.provolatile, p.proleakproof, p.proconfig, obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace ORDER BY p.oid::regprocedure::text" >"$tmp/moved"
psql -Xqc 'CREATE DATABASE moving_new' -c '\c moving_new' -c 'CREATE EXTENSION newt'
psql -XqAt -d moving_new -c "SELECT p.oid::regprocedure, p.prosrc, p.provolatile, p.proleakproof, p.proconfig, obj_description(p.oid, 'pg_proc') FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace ORDER BY p.oid::regprocedure::text" >"$tmp/made"
check "it is as CREATE EXTENSION makes it" diff "$tmp/made" "$tmp/moved"
dropdb moving_new
# with pg_dump, to a server that has no extension: what fails is CREATE EXTENSION
pg_dump -d moving -Fc -f "$tmp/dump"
dropdb moving_dump && createdb moving_dump && psql -Xq -d moving_dump -f "$portable"
pg_restore -d moving_dump "$tmp/dump" 2>"$tmp/err"
check "a dump of a database with the extension restores beside the portable edition" restored
check "but for the extension itself" diff <(grep -c 'error: could not execute query' "$tmp/err") <(grep -cE '^Command was: (CREATE|COMMENT ON) EXTENSION' "$tmp/err")
indexes() { [ "$(psql -XqAt -d moving_dump -c "SELECT count(*) FROM pg_indexes WHERE schemaname = 'app' AND indexdef ~ 'newt[.]'")" = "$(sql "SELECT count(*) FROM pg_indexes WHERE schemaname = 'app' AND indexdef ~ 'newt[.]'")" ]; }
check "its indexes are there" indexes
check "it does nothing twice" refused 'does not have the portable edition' script -f sql/newt-from-portable.sql

check "the portable edition does not take its place unasked" refused 'has the extension newt' script -f "$portable"
psql -XqAt -d moving -c "CALL newt.create_table('app', 'Task', 'reports')" 2>/dev/null
check "nor where there are typed tables" refused 'has a typed table' script -v replace_extension=on -f "$portable"
check "which are dropped" sql "CALL newt.drop_table('app', 'Task')"
check "asked for, it does" script -v replace_extension=on -f "$portable"
check "there is no extension" is "SELECT count(*) FROM pg_extension WHERE extname = 'newt'" 0
check "and nothing in C" is "$languages" "plpgsql sql"
check "views and indexes are still as before" stays
sql 'CREATE SCHEMA other; ALTER SCHEMA newt RENAME TO was_newt; ALTER SCHEMA other RENAME TO newt'
check "a schema newt of somebody else is left alone" refused 'was not made by this script' script -f "$portable"
echo "1..$n"
