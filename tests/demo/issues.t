#!/usr/bin/env bash
# examples/issues.c: pages of 75 open issues, by priority, in memory; and what docs/collections.md shows of it.
. "$(dirname "$0")/tap.sh"

unset NEWT_URI
issues=build/examples/issues
"$issues" 3 >"$work/third"
is 'a page has 20' "$(wc -l <"$work/third")" 20
is 'in the order of priority' "$(sort -n "$work/third")" "$(cat "$work/third")"
is 'the fourth page has the rest' "$("$issues" 4 | wc -l)" 15
while IFS= read -r line; do
    ok "it has: $line" grep -qF -- "$line" examples/issues.c
done < <(sed -n '/^<!-- examples\/issues.c -->$/,/^```$/p' docs/collections.md | sed -n 's/^ *//; /^[^`<]/p')
done_testing
