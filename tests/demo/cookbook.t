#!/usr/bin/env bash
# The SQL of docs/cookbook.md, on the demo's sample: the answers are as it says, and the planner is nowhere off by more than ten.
. "$(dirname "$0")/tap.sh"

case ${1:-} in
--inside) # in the server: SQL, answers, and plans are left in the directory $2
    build/examples/debian --sample load >/dev/null &&
        psql -XqAt -v ON_ERROR_STOP=1 -f "$2/cookbook.sql" >"$2/answers" &&
        psql -XqAt -v ON_ERROR_STOP=1 -f "$2/plans.sql" >"$2/plans"
    exit
    ;;
esac

sed -n '/^```sql$/,/^```$/p' docs/cookbook.md | grep -v '^```' >"$work/cookbook.sql"
sed -n 's/^--> //p' "$work/cookbook.sql" >"$work/wanted"
is 'there are 30 questions' "$(grep -cE '^### [0-9]+\.' docs/cookbook.md)" 30

# each question once more, to be explained
{
    echo 'SET search_path = report;'
    awk '/^-->/ { next }
         !inside && /^(SELECT|WITH) / { inside = 1; printf "\\echo @ %d\nEXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) ", ++n }
         inside
         /;$/ { inside = 0 }' "$work/cookbook.sql"
} >"$work/plans.sql"
ok 'the SQL of docs/cookbook.md runs' dev/private-server --no-fsync --env TZ=UTC -- env PGOPTIONS='-c client_min_messages=warning' "$0" --inside "$work"
is 'the answers are as it says' "$(cat "$work/answers")" "$(cat "$work/wanted")"
is 'each question has a plan' "$(grep -c '^@' "$work/plans")" 30

# Nodes that ran to their end: what is just below a Limit is stopped early.
estimates() {
    awk '
        /^@/ { question = $2; limit = -1; next }
        match($0, / rows=[0-9]+ width=[0-9]+\) \(actual rows=[0-9.]+/) {
            split(substr($0, RSTART, RLENGTH), part, /rows=/)
            match($0, /^ *(->)? */)
            depth = RLENGTH
            stopped = limit >= 0 && depth > limit && !below
            if (limit >= 0) below = 1
            if (/^ *(-> +)?Limit /) { limit = depth; below = 0 }
            estimate = part[2] + 0 < 1 ? 1 : part[2] + 0
            actual = part[3] + 0 < 1 ? 1 : part[3] + 0
            factor = actual > estimate ? actual / estimate : estimate / actual
            if (!stopped && factor > 10) printf "question %d: %s\n", question, $0
        }' "$1"
}
is 'estimates are within ten times the truth' "$(estimates "$work/plans")" ''
has 'a bad estimate is found' "$(printf '@ 1\nSeq Scan on x  (cost=0.00..1.00 rows=1 width=8) (actual rows=11 loops=1)\n' >"$work/bad" && estimates "$work/bad")" '^question 1'
done_testing
