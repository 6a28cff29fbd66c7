#!/usr/bin/env bash
# Runs the attacks in tests/sql/attacks/*.sql, each as a login role of its own, and compares the results; docs/security.md
# lists them: tests/sql/attacks.t --table prints its table. An attack begins with
#   -- as whom | what is tried | the result
# and ends with lines of output after "--> ". An error is its SQLSTATE. A line "-- changes" allows it to change the store.
set -uo pipefail
cd "$(dirname "$0")/../.."
table() {
    local topic name n=0
    for topic in tests/sql/attacks/*.sql; do
        name=$(basename "$topic" .sql)
        [ "$name" != setup ] || continue
        while IFS= read -r line; do
            n=$((n + 1))
            echo "| $n | ${line#-- } |"
        done < <(grep -h '^-- [a-z]* | ' "$topic")
    done
}
if [ "${1:-}" = --table ]; then
    table
    exit
fi

database=newt_attacks
roles='owner report other reporter narrow application reader updater nobody'
tmp=$(mktemp -d)
owner=${PGUSER:?}
finish() {
    dropdb --if-exists $database
    for r in $roles again; do echo "DROP ROLE IF EXISTS newt_attack_$r;"; done | psql -Xq
    rm -rf "$tmp"
}
trap finish EXIT
export PGOPTIONS='-c client_min_messages=error -c default_transaction_read_only=off -c lock_timeout=20s -c standard_conforming_strings=on'
createdb $database
# documents and transactions, as in the other tests, but for all roles
sed '/^\\set ECHO/d; s/pg_temp[.]/attack./g; s/CREATE TEMP SEQUENCE serial/CREATE SEQUENCE attack.serial/; /client_min_messages/d' \
    tests/sql/documents.sql >"$tmp/documents.sql"
if ! psql -Xq -v ON_ERROR_STOP=1 -v documents="$tmp/documents.sql" -d $database -f tests/sql/attacks/setup.sql >"$tmp/out" 2>&1; then
    sed 's/^/# /' "$tmp/out"
    echo "Bail out! the store was not made"
    exit 1
fi

awk -v tmp="$tmp" '/^-- [a-z]* [|] / { n++; print substr($0, 4) > (tmp "/titles") } n { print > (tmp "/" n) }' \
    $(ls tests/sql/attacks/*.sql | grep -v setup)
total=$(wc -l <"$tmp/titles")
echo "1..$((total + 1))"
# all that nobody but the application and the owner may change
state() {
    psql -XqAt -d $database -c "SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (
        SELECT 'o' || o::text FROM shop.object_state o UNION ALL SELECT 'p' || p::text FROM shop.newt_projection p
        UNION ALL SELECT 'd' || d::text FROM shop.pages d UNION ALL SELECT 't' || d::text FROM shop.page d
        UNION ALL SELECT 's' || s::text FROM shop.newt_principal_set s UNION ALL SELECT 'r' || r::text FROM shop.newt_role_principal r
        UNION ALL SELECT 'x' || x::text FROM shop.newt_dependency x UNION ALL SELECT 'm' || m::text FROM shop.newt_principal_sum m
        UNION ALL SELECT 'k' || k::text FROM shop.newt_claim_key k UNION ALL SELECT 'c' || c::text FROM shop.newt_class c
        UNION ALL SELECT 'e' || e::text FROM shop.newt_derived e UNION ALL SELECT 'w' || w::text FROM shop.transaction w
        UNION ALL SELECT 'l' || c.relname || c.relacl::text || c.relrowsecurity FROM pg_class c WHERE c.relnamespace = 'shop'::regnamespace AND c.relacl IS NOT NULL
        UNION ALL SELECT 'f' || f.oid::regprocedure || f.proacl::text FROM pg_proc f WHERE f.pronamespace = 'shop'::regnamespace AND f.proacl IS NOT NULL) u (t)"
}
before=$(state)
n=0 failed=0
while IFS='|' read -r who what _; do
    n=$((n + 1)) who=${who% }
    {
        echo '\set VERBOSITY sqlstate'
        cat "$tmp/$n"
    } | psql -XqAt -U "newt_attack_$who" -v su="$owner" -d $database 2>&1 | sed 's/^ERROR:  /ERROR /; s/^psql:[^ ]* ERROR:  /ERROR /' | grep -v '^$' >"$tmp/has"
    sed -n 's/^--> //p' "$tmp/$n" >"$tmp/want"
    after=$(state)
    if diff "$tmp/want" "$tmp/has" >"$tmp/diff" && { [ "$before" = "$after" ] || grep -q '^-- changes$' "$tmp/$n"; }; then
        echo "ok $n - $who:${what% }"
    else
        failed=1
        [ "$before" = "$after" ] || echo '# the store has changed' >>"$tmp/diff"
        sed 's/^/# /' "$tmp/diff"
        echo "not ok $n - $who:${what% }"
    fi
    before=$after
done <"$tmp/titles"
table >"$tmp/table"
n=$((total + 1))
if sed -n '/^| [0-9]/p' docs/security.md | diff - "$tmp/table" >"$tmp/diff"; then
    echo "ok $n - docs/security.md lists them"
else
    failed=1
    sed 's/^/# /' "$tmp/diff"
    echo "not ok $n - docs/security.md lists them: tests/sql/attacks.t --table"
fi
exit $failed
