#!/usr/bin/env bash
# A store outlives the extension, and pg_dump carries it: into a database that has the extension,
# one that gets it from the dump, and one without it. Needs a private server.
set -uo pipefail
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
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
sql() { # DATABASE STATEMENT
    psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2"
}
is() { # DATABASE STATEMENT WANTED
    local got
    got=$(sql "$1" "$2") || { echo "$got" && return 1; }
    [ "$got" = "$3" ] || { printf 'got %s\nwant %s\n' "$got" "$3" && return 1; }
}
refused() { # DATABASE STATEMENT REGEX
    local out
    ! out=$(sql "$1" "$2" 2>&1) && grep -qE "$3" <<<"$out" || { echo "$out" && return 1; }
}
# The dump without its comments and settings, which name versions and keys of the session.
contents() { # DATABASE [OPTION]...
    pg_dump -d "$@" | grep -vE '^(--|SET|SELECT pg_catalog.set_config|\\(un)?restrict |$)'
}
same() { # DATABASE DATABASE [OPTION]...
    local a=$1 b=$2
    shift 2
    contents "$a" "$@" >"$tmp/a" && contents "$b" "$@" >"$tmp/b" && diff "$tmp/a" "$tmp/b"
}

createdb dump_from
sql dump_from "CREATE EXTENSION newt; SELECT newt.create_store('app'), newt.create_store('Other \"one\"')" >/dev/null
sql dump_from "
INSERT INTO app.object_state SELECT 2000 + i, 5, '\x83645461736b01a161740a'::bytea FROM generate_series(1, 500) i;
INSERT INTO app.newt_projection SELECT zoid, newt.class_name(state), serial, newt.to_jsonb(state) || jsonb_build_object('title', 'word' || zoid)
    FROM app.object_state WHERE zoid > 1;
INSERT INTO app.transaction (tid, serial, nonce, written) SELECT max(tid) + 1, 5, 7, '{2001,2002}' FROM app.transaction;
INSERT INTO app.transaction_object VALUES (5, 1, '{2003}', '{}');
INSERT INTO app.newt_class (name, version, fields) VALUES ('Task', 1, '[{\"name\": \"t\", \"kind\": \"int\", \"bits\": 32}]');
INSERT INTO app.newt_follower (name, tid) VALUES ('updater', 17);
INSERT INTO app.newt_reject_entry VALUES (2001, 5, 0, '{t}', 'number');
SELECT newt.create_search('app', 'words', 'Task', 'english', '{title:A}', build => false);
SELECT nextval('app.newt_oid'), nextval('app.newt_serial')" >/dev/null
# a store alone, before anything uses the extension
pg_dump -d dump_from -n app -Fc -f "$tmp/store.dump"
sql dump_from "
SELECT newt.create_text_index('app', 'Task', 'english', 'title:A');
SELECT newt.create_principals_index('app', NULL, 'acl');
SELECT newt.create_field_index('app', 'Task', 't');
CREATE INDEX ON app.object_state USING gin (newt.tsvector('simple', newt.try_to_jsonb(state)));
SELECT newt.create_view('app', 'Task');
SELECT newt.refresh_search('app', 'words');
SELECT newt.set_projection('Other \"one\"', NULL, 'virtual')" >/dev/null
pg_dump -d dump_from -Fc -f "$tmp/all.dump"

createdb dump_new
check "restores into an empty database, the extension with it" pg_restore --exit-on-error -j 2 -d dump_new "$tmp/all.dump"
check "everything is there again" same dump_from dump_new
check "and works: the projection is that of the records" is dump_new \
    "SELECT count(*) FROM app.object_state o JOIN app.newt n USING (zoid, serial) WHERE newt.to_jsonb(o.state)->'t' = n.state->'t'" 500
check "the text index is used" is dump_new "SET enable_seqscan = off;
    SELECT zoid FROM app.newt WHERE class_name = 'Task' AND newt.tsvector('english', state, 'title:A') @@ 'word2077'" 2077
check "indexes say what they are for" is dump_new "SELECT string_agg(purpose, '; ' ORDER BY purpose) FROM newt.indexes('app') WHERE class_name = 'Task'" \
    "text english title:A; value t"
check "so is a search, declared as it was" is dump_new "SELECT name, ready, words FROM newt.searches('app')" "words|t|0"
check "and finds" is dump_new "SELECT id FROM newt.search('app', 'words', 'word2077')" 2077
check "sequences go on where they were" is dump_new "SELECT nextval('app.newt_oid'), nextval('app.newt_serial')" "2048|2048"

check "so is a store whose rows are computed" is dump_new 'SELECT zoid, class_name FROM "Other ""one""".newt' "1|newt.Root"

createdb dump_bare
sql dump_bare 'DROP SCHEMA public'
check "also where there is no schema public" pg_restore --exit-on-error -d dump_bare "$tmp/all.dump"
check "everything is there" is dump_bare "SELECT count(*) FROM pg_indexes WHERE schemaname = 'app' AND indexdef ~ 'newt\.'" 5
sql dump_new 'DROP SCHEMA public CASCADE'
check "the schema public goes without the extension" is dump_new "SELECT count(*) FROM pg_indexes WHERE schemaname = 'app' AND indexdef ~ 'newt\.'" 5

createdb dump_have
sql dump_have "SET search_path = ''; CREATE EXTENSION newt"
check "restores into a database that has the extension" pg_restore --exit-on-error -d dump_have "$tmp/all.dump"
check "everything is there again" same dump_from dump_have

createdb dump_without
check "a store restores where there is no extension" pg_restore --exit-on-error -d dump_without "$tmp/store.dump"
check "its data are the same" same dump_from dump_without -n app --data-only
check "it is read as before" is dump_without "SELECT count(*), max(state->>'title') FROM app.newt" "501|word2500"
check "its view still refuses writes" refused dump_without "DELETE FROM app.newt" 'cannot write to app.newt'
check "the extension comes later and finds it" is dump_without "CREATE EXTENSION newt; SELECT newt.store_version('app')" 1

check "what uses the extension holds it back" refused dump_have 'DROP EXTENSION newt' 'other objects depend on it'
check "dropped with all that uses it" sql dump_have 'DROP EXTENSION newt CASCADE'
check "the data are the same without it" same dump_from dump_have -n app --data-only
check "only what used it is gone" is dump_have "SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'S', 'v')" 28

check "a search is declared still, and its index made anew" is dump_have "SET client_min_messages = warning; CREATE EXTENSION newt; SELECT ready FROM newt.searches('app');
    SELECT newt.refresh_search('app', 'words'); SELECT ready, (SELECT id FROM newt.search('app', 'words', 'word2077')) FROM newt.searches('app')" $'f\n\nt|2077'

# made within an extension's script, a store would be that extension's
dir=$NEWT_PG_ROOT$("$PG_CONFIG" --sharedir)/extension
printf "default_version = '1'\nrequires = 'newt'\n" >"$dir/newt_dump_test.control"
echo "SELECT newt.create_store('captive');" >"$dir/newt_dump_test--1.sql"
check "no store within the script of an extension" refused dump_from 'CREATE EXTENSION newt_dump_test' 'within the script of an extension'
check "nothing of it is left" is dump_from "SELECT to_regnamespace('captive') IS NULL" t
rm "$dir"/newt_dump_test*

# typed tables, views over them, indexes and statistics
sql dump_from "CALL newt.create_table('app', 'Task', 'reports')" 2>/dev/null
sql dump_from "CREATE INDEX ON reports.task (t) WHERE t > 5; CREATE STATISTICS reports.of_t ON (t % 10) FROM reports.task; ANALYZE reports.task"
pg_dump -d dump_from -Fc -f "$tmp/tables.dump"
createdb dump_tables
check "typed tables restore" pg_restore --exit-on-error -d dump_tables "$tmp/tables.dump"
check "with everything" same dump_from dump_tables
check "they are the records" is dump_tables "SELECT count(*), sum(t.t), (SELECT count(*) FROM newt.check_table('app', 'Task')) FROM reports.task t" "500|5000|0"
check "and are kept" is dump_tables "UPDATE app.object_state SET state = '\x83645461736b01a161740b' WHERE zoid = 2001;
    INSERT INTO app.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 9, 7, '{2001}', '{2002}' FROM app.transaction;
    DELETE FROM app.object_state WHERE zoid = 2003;
    INSERT INTO app.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, 10, 7, '{}', '{2003}' FROM app.transaction;
    SELECT count(*), sum(t.t), (SELECT count(*) FROM newt.check_table('app', 'Task')) FROM reports.task t" "499|4991|0"
createdb dump_bare_tables
pg_dump -d dump_from -n app -n reports -Fc -f "$tmp/bare.dump"
pg_restore -d dump_bare_tables "$tmp/bare.dump" 2>/dev/null || true # what calls the extension cannot be made
check "without the extension they are read as before" is dump_bare_tables "SELECT count(*), sum(t), pg_typeof(min(t)) FROM reports.task" "500|5000|bigint"
check "and refuse writes" refused dump_bare_tables "DELETE FROM reports.task" 'cannot write to reports.task'

for db in dump_from dump_new dump_bare dump_have dump_without dump_tables dump_bare_tables; do dropdb $db; done
echo "1..$n"
