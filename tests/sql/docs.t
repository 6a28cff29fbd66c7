#!/usr/bin/env bash
# Runs the SQL of docs/sql-reference.md and compares what it says after "-->".
set -uo pipefail
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"; dropdb --if-exists newt_docs; psql -Xqc "DROP ROLE IF EXISTS newt_docs_reader; DROP ROLE IF EXISTS newt_docs_report"' EXIT
# the portable edition has no examples of some sections, whose headings are listed with hyphens for spaces
awk -v kind="${NEWT_TEST_KIND:-}" '
    FILENAME ~ /left_out$/ { if (sub("^docs/", "")) out[$1] = kind == "portable"; next }
    /^##+ / { heading = $0; sub("^#+ ", "", heading); gsub(" ", "-", heading) }
    !out[heading]' tests/portable/left_out docs/sql-reference.md | sed -n '/^```sql$/,/^```$/p' | grep -v '^```' >"$tmp/sql"
sed -n 's/^--> //p' "$tmp/sql" >"$tmp/want"
echo 1..2
createdb newt_docs
if [ "${NEWT_TEST_KIND:-}" = portable ]; then # the examples are the same
    psql -Xq -d newt_docs -f build/sql/newt-portable.sql
    # a transaction has its row by a statement
    sed -i -e 's/^CREATE EXTENSION newt;/--/' -e 's/^SELECT newt.at_commit(.app.transaction., \([^{]*{[^}]*}.\), \(.{}.\),.*/INSERT INTO app.transaction (tid, serial, nonce, written, removed) SELECT max(tid) + 1, \1, \2 FROM app.transaction;/' "$tmp/sql"
fi
# functions that return void give empty lines
if PGOPTIONS='-c client_min_messages=warning' psql -XqAt -v ON_ERROR_STOP=1 -d newt_docs -f "$tmp/sql" >"$tmp/out" 2>"$tmp/err" &&
    grep -v '^$' "$tmp/out" | diff "$tmp/want" - >"$tmp/diff" && [ -s "$tmp/want" ]; then
    echo "ok 1 - $(wc -l <"$tmp/want") lines are as docs/sql-reference.md says"
else
    cat "$tmp/err" "$tmp/diff" | sed 's/^/# /'
    echo "not ok 1 - docs/sql-reference.md"
fi

# The SQL of docs/operations.md, in a store called "tracker": it runs.
sed -n '/^```sql$/,/^```$/p' docs/operations.md | grep -v '^```' >"$tmp/operations"
{
    echo "SELECT newt.create_store('tracker');"
    cat "$tmp/operations"
} >"$tmp/all"
if psql -Xq -v ON_ERROR_STOP=1 -d newt_docs --single-transaction -f "$tmp/all" -c ROLLBACK >"$tmp/out" 2>"$tmp/err" && [ -s "$tmp/operations" ]; then
    echo "ok 2 - the SQL of docs/operations.md runs"
else
    sed 's/^/# /' "$tmp/err"
    echo "not ok 2 - docs/operations.md"
fi
