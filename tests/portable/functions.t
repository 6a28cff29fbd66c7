#!/usr/bin/env bash
# Both editions have the same functions, with the same arguments, results and attributes, but for
# what the tables of docs/portable.md say. Needs a private server.
set -uo pipefail
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"; dropdb --if-exists functions_c; dropdb --if-exists functions_sql' EXIT
n=0
report() { # NAME OUTPUT: fine when there is no output
    n=$((n + 1))
    if [ -n "$2" ]; then sed 's/^/# /' <<<"$2" | head -n 40 && printf 'not '; fi
    echo "ok $n - $1"
}
createdb functions_c && psql -Xqc 'CREATE EXTENSION newt' functions_c
createdb functions_sql && psql -Xq -d functions_sql -f build/sql/newt-portable.sql
for edition in c sql; do
    psql -XqAt -d functions_$edition -c "
        SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.prokind, p.provolatile, p.proisstrict, p.proparallel, p.prosecdef, p.proretset,
               p.procost, p.prorows, p.proacl, obj_description(p.oid, 'pg_proc')
          FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace" | LC_ALL=C sort >"$tmp/$edition"
done
# The names in the first column of a table below a heading.
listed() { # HEADING
    sed -n "/^## $1\$/,/^## /p" docs/portable.md | sed -n 's/^| `newt\.\([a-z0-9_]*\)[`(].*/\1/p' | LC_ALL=C sort -u
}
names() { cut -d'|' -f1 | LC_ALL=C sort -u; }
LC_ALL=C comm -23 "$tmp/c" "$tmp/sql" >"$tmp/only_c"
LC_ALL=C comm -13 "$tmp/c" "$tmp/sql" >"$tmp/only_sql"
report 'what the portable edition lacks is what docs/portable.md says' "$(diff <(listed 'What is missing') <(names <"$tmp/only_c"))"
report 'what it has besides is what docs/portable.md says' "$(diff <(listed 'What it has besides') <(names <"$tmp/only_sql"))"
report 'no function differs in its arguments, result or attributes' "$(comm -12 <(names <"$tmp/only_c") <(names <"$tmp/only_sql"))"
report 'there are more than 150 in both' "$([ "$(LC_ALL=C comm -12 "$tmp/c" "$tmp/sql" | wc -l)" -gt 150 ] || echo few)"
query() { psql -XqAt -d functions_sql -c "$1"; }
report 'no function of it is in C, leakproof, or runs with the rights of another' "$(query "
    SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
     WHERE p.pronamespace = 'newt'::regnamespace AND (l.lanname NOT IN ('sql', 'plpgsql') OR p.proleakproof OR p.prosecdef)")"
# those that are called by others alone have the search_path of these
report 'those that others call have their search_path pinned, or their names resolved' "$(query "
    SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace AND p.prokind <> 'p' AND p.prosqlbody IS NULL
       AND NOT coalesce(p.proconfig @> '{\"search_path=pg_catalog, pg_temp\"}', false)" | LC_ALL=C sort -u | grep -vxFf <(listed 'What it has besides'))"
report 'every function is described' "$(query "SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL")"
report 'every function compiles: all that it calls is there' "$(psql -XqAt -v ON_ERROR_STOP=1 -d functions_sql -f build/sql/newt-portable.sql 2>&1
    psql -XqAt -d functions_sql 2>&1 <<'END'
SET check_function_bodies = on;
SELECT pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'newt'::regnamespace \gexec
END
)"
echo "1..$n"
