# Makes the table of bench/reports/run: awk -f bench/reports/table.awk PLANS
# PLANS are of EXPLAIN (ANALYZE): each report's first one is passed over, the second comes after a line
# "@, run, report, side". The time is the median of the runs; the ratio is the median of the ratios within each run, of the
# twin's time to that of the side: 1 is as fast, and more is better. An estimate is off by the worst factor of all
# nodes of the plan.

function median(v, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = v[i]
        for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
        v[j + 1] = x
    }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

function time_of(report, side,    i, v) {
    for (i = 1; i <= runs; i++) v[i] = time[report, side, i]
    return median(v, runs)
}

function ratio_of(report, side,    i, v) {
    for (i = 1; i <= runs; i++) v[i] = time[report, "twin", i] / (time[report, side, i] > 0 ? time[report, side, i] : 0.001)
    return median(v, runs)
}

/^@\t/ {
    split($0, head, "\t")
    run = head[2]; report = head[3]; side = head[4]
    if (run > runs) runs = run
    if (!(report in known)) { known[report] = 1; reports[++n] = report }
    if (!(side in has)) { has[side] = 1; if (side != "twin") sides[++n_sides] = side }
    next
}
report == "" { next } # before the first that counts
match($0, / rows=[0-9]+ width=[0-9]+\) \(actual rows=[0-9.]+/) {
    split(substr($0, RSTART, RLENGTH), part, /rows=/)
    estimate = part[2] + 0 < 1 ? 1 : part[2] + 0
    actual = part[3] + 0 < 1 ? 1 : part[3] + 0
    factor = actual > estimate ? actual / estimate : estimate / actual
    if (factor > off[report, side]) off[report, side] = factor
}
match($0, /(Index[A-Za-z ]* using|Bitmap Index Scan on|Seq Scan on) [^ ]+/) {
    name = substr($0, RSTART, RLENGTH)
    sub(/.* /, "", name)
    if (index(" " read[report, side] " ", " " name " ") == 0)
        read[report, side] = read[report, side] (read[report, side] == "" ? "" : " ") name
}
match($0, /Execution Time: [0-9.]+/) {
    time[report, side, run] = substr($0, RSTART + 16, RLENGTH - 16) + 0
    report = ""
}

END {
    for (s = 1; s <= n_sides; s++) {
        side = sides[s]
        printf "\n%-32s %10s %10s %6s  %-14s %s\n", "report, ms", side, "twin", "ratio", "estimates off", "read"
        worst = ""
        for (k = 1; k <= n; k++) {
            ratio[k] = ratio_of(reports[k], side)
            if (worst == "" || ratio[k] < worst) { worst = ratio[k]; which = reports[k] }
            printf "%-32s %10.3f %10.3f %6.2f  %-14s %s\n", reports[k], time_of(reports[k], side), time_of(reports[k], "twin"),
                ratio[k], sprintf("%.0f, twin %.0f", off[reports[k], side], off[reports[k], "twin"]), read[reports[k], side]
        }
        middle = median(ratio, n)
        printf "%d reports on %s: median ratio %.2f, worst %.2f (%s)\n", n, side, middle, worst, which
        if (figures != "") {
            printf "reports_%s_median\t%.4g\tof the twin\n", side, middle >>figures
            printf "reports_%s_worst\t%.4g\tof the twin\n", side, worst >>figures
        }
    }
}
