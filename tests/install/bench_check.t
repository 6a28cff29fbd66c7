#!/usr/bin/env bash
# bench/check: what fell, rose, came and went between two tables of ratios, made up here.
set -u
cd "$(dirname "$0")/../.."
n=0 status=0
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
is() { # NAME GOT WANTED
    n=$((n + 1))
    if [ "$2" != "$3" ]; then
        printf '%s\n' "got:    $2" "wanted: $3" | sed 's/^/# /' && printf 'not ' && status=1
    fi
    echo "ok $n - $1"
}
# Results as bench/table.awk writes them, of "OPERATION RATIO" lines; a time and a memory have no ratio.
results() {
    echo '{'
    while read -r operation ratio; do
        echo "  \"$operation\": {\"newt\": 100, \"limit\": 50, \"ratio\": $ratio, \"low\": 0.5, \"high\": 1.25, \"unit\": \"tx/s\"},"
    done
    echo '  "read_hot": {"newt": 4.65, "limit": null, "ratio": null, "low": null, "high": null, "unit": "ns"},'
    echo '  "reports_views_worst": {"newt": 0.1, "limit": null, "ratio": null, "low": null, "high": null, "unit": "of the twin"}'
    echo '}'
}
check() { # OPTION... <RESULTS: "STATUS: last line but one of what it says, words one blank apart"
    results >"$work/results"
    bench/check "$@" "$work/results" "$work/reference" >"$work/out" 2>&1
    local ended=$?
    tr -s ' ' <"$work/out" >"$work/words"
    echo "$ended: $(grep 'ratios compared' "$work/words")"
}

printf 'tx1 0.74\nbulk 0.91\nhot_1ms 3.6\n' | results >"$work/results"
bench/check --write "$work/results" "$work/reference" >"$work/out"
is 'the reference is written in the order of the benchmark' "$(grep -v '^#' "$work/reference" | tr '\t\n' ' ;')" \
    'bulk 0.91;tx1 0.74;hot_1ms 3.6;reports_views_worst 0.1;'

is 'equal' "$(printf 'bulk 0.91\ntx1 0.74\nhot_1ms 3.6\n' | check)" \
    '0: 4 ratios compared: 0 fell below 0.9 of the reference, 0 rose above 1.1; 0 new, 0 missing'
is 'and nothing else is said' "$(wc -l <"$work/out")" 1
is 'a little less or more' "$(printf 'bulk 0.82\ntx1 0.81\nhot_1ms 3.6\n' | check)" \
    '0: 4 ratios compared: 0 fell below 0.9 of the reference, 0 rose above 1.1; 0 new, 0 missing'
is 'fallen' "$(printf 'bulk 0.91\ntx1 0.37\nhot_1ms 3.6\n' | check)" \
    '1: 4 ratios compared: 1 fell below 0.9 of the reference, 0 rose above 1.1; 0 new, 0 missing'
is 'what fell, from what to what' "$(grep FELL "$work/words")" 'FELL tx1 0.74 0.37 0.50 0.50 to 1.25'
is 'risen' "$(printf 'bulk 0.91\ntx1 0.74\nhot_1ms 4.5\n' | check)" \
    '0: 4 ratios compared: 0 fell below 0.9 of the reference, 1 rose above 1.1; 0 new, 0 missing'
is 'what rose' "$(grep '^rose' "$work/words")" 'rose hot_1ms 3.6 4.5 1.25 0.50 to 1.25'
is 'missing' "$(printf 'bulk 0.91\nhot_1ms 3.6\n' | check)" \
    '1: 3 ratios compared: 0 fell below 0.9 of the reference, 0 rose above 1.1; 0 new, 1 missing'
is 'which' "$(grep '^MISSING' "$work/words")" 'MISSING tx1 0.74 - - '
is 'missing, of some stages' "$(printf 'bulk 0.91\nhot_1ms 3.6\n' | check --part)" \
    '0: 3 ratios compared: 0 fell below 0.9 of the reference, 0 rose above 1.1; 0 new, 1 not measured'
is 'new' "$(printf 'bulk 0.91\ntx1 0.74\nhot_1ms 3.6\ncold 0.9\n' | check)" \
    '0: 4 ratios compared: 0 fell below 0.9 of the reference, 0 rose above 1.1; 1 new, 0 missing'
is 'which' "$(grep '^new' "$work/words")" 'new cold - 0.9 - 0.50 to 1.25'

printf 'tx1 0.8\n' | results >"$work/results"
bench/check --write --part "$work/results" "$work/reference" >"$work/out"
is 'of some stages, the others stay' "$(grep -v '^#' "$work/reference" | tr '\t\n' ' ;')" \
    'bulk 0.91;tx1 0.8;hot_1ms 3.6;reports_views_worst 0.1;'
bench/check "$work/nothing" "$work/reference" >"$work/out" 2>&1
is 'no results' "$?" 2
echo '{}' >"$work/results"
bench/check "$work/results" "$work/reference" >"$work/out" 2>&1
is 'results without ratios' "$?" 2
printf 'tx1 0.8\n' | results >"$work/results"
bench/check "$work/results" "$work/nothing" >"$work/out" 2>&1
is 'no reference' "$?" 2
is 'the reference that is committed names operations of the benchmark' \
    "$(awk -F '\t' 'NR == FNR { known[$1] = 1; next } !/^#/ && !($1 in known)' bench/operations bench/reference)" ''
echo "1..$n"
exit $status
