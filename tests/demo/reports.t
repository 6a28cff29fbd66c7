#!/usr/bin/env bash
# The benchmark's reports give the same rows on tables made by hand and on typed tables, with the demo's sample.
. "$(dirname "$0")/tap.sh"

ok 'the reports answer alike' dev/private-server --no-fsync -- bench/reports/run --sample --check

sed "s/d.kind IN ('depends', 'pre-depends')/d.kind IN ('depends')/" bench/reports/reports.sql >"$work/other.sql"
has 'another answer is noticed' "$(dev/private-server --no-fsync -- bench/reports/run --sample --check --reports="$work/other.sql" 2>&1; echo "status $?")" \
    '^bench/reports: report "recursive closure" on tables: .*, on the twin: '

# The table of their times, of plans made up here.
plans() {
    printf 'a plan that does not count\nExecution Time: 900.0 ms\n'
    printf '@\t1\ta report\ttwin\n Seq Scan on x  (cost=0.00..1.00 rows=10 width=8) (actual rows=20 loops=1)\nExecution Time: 3.0 ms\n'
    printf '@\t1\ta report\ttables\n Index Scan using y on x  (cost=0.00..1.00 rows=1 width=8) (actual rows=20 loops=1)\nExecution Time: 4.0 ms\n'
}
plans >"$work/plans"
has 'a table' "$(awk -v figures="$work/figures" -f bench/reports/table.awk "$work/plans")" \
    '^a report +4\.000 +3\.000 +0\.75  20, twin 2 +y$'
is 'figures for bench/run' "$(cat "$work/figures")" "$(printf 'reports_tables_median\t0.75\tof the twin\nreports_tables_worst\t0.75\tof the twin')"
done_testing
