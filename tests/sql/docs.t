#!/usr/bin/env bash
# Runs the SQL of docs/sql-reference.md and compares what it says behind "-->".
set -uo pipefail
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"; dropdb --if-exists newt_docs; psql -Xqc "DROP ROLE IF EXISTS newt_docs_reader"' EXIT
sed -n '/^```sql$/,/^```$/p' docs/sql-reference.md | grep -v '^```' >"$tmp/sql"
sed -n 's/^--> //p' "$tmp/sql" >"$tmp/want"
echo 1..1
createdb newt_docs
# functions that return void give empty lines
if PGOPTIONS='-c client_min_messages=warning' psql -XqAt -v ON_ERROR_STOP=1 -d newt_docs -f "$tmp/sql" >"$tmp/out" 2>"$tmp/err" &&
    grep -v '^$' "$tmp/out" | diff "$tmp/want" - >"$tmp/diff" && [ -s "$tmp/want" ]; then
    echo "ok 1 - $(wc -l <"$tmp/want") lines are as docs/sql-reference.md says"
else
    cat "$tmp/err" "$tmp/diff" | sed 's/^/# /'
    echo "not ok 1 - docs/sql-reference.md"
fi
