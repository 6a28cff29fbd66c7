# Makes the table and results.json from the figures: awk -f bench/table.awk bench/operations FIGURES
# Figures: run, side, operation, value, unit. The figure of an operation is the median of its runs; a
# ratio is the median of the ratios within each run, 1 is as good as the limit, and more is better.
# Beside it stand the lowest and the highest of them.

BEGIN { FS = "\t"; split("client server async newt", sides, " ") }

FNR == NR {
    if ($0 !~ /^#/) {
        order[++n] = $1; what[$1] = $2; more[$1] = $3 == "more"
        anchor[$1] = objects < 520000 ? $4 : $5; goal[$1] = $6
    }
    next
}

{ value[$2, $3, ++runs[$2, $3]] = $4 + 0; unit[$3] = $5 }

function median(side, op,    i, j, count, x, v) {
    count = runs[side, op]
    for (i = 1; i <= count; i++) {
        x = value[side, op, i]
        for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
        v[j + 1] = x
    }
    return count == 0 ? "" : count % 2 ? v[(count + 1) / 2] : (v[count / 2] + v[count / 2 + 1]) / 2
}

function ratio(op,    i) {
    if (!runs["newt", op] || runs["newt", op] != runs["limit", op]) return ""
    runs["ratio", op] = runs["newt", op]
    for (i = 1; i <= runs["newt", op]; i++)
        value["ratio", op, i] = more[op] ? value["newt", op, i] / value["limit", op, i] \
                                         : value["limit", op, i] / value["newt", op, i]
    return median("ratio", op)
}

# The lowest (which -1) or highest (1) ratio of the runs.
function extreme(op, which,    i, x) {
    if (!runs["ratio", op]) return ""
    x = value["ratio", op, 1]
    for (i = 2; i <= runs["ratio", op]; i++)
        if ((value["ratio", op, i] - x) * which > 0) x = value["ratio", op, i]
    return x
}

function spread(op) {
    return runs["ratio", op] < 2 ? "" : sprintf("%.2f to %.2f", extreme(op, -1), extreme(op, 1))
}

# Three digits that count, with commas.
function show(x,    s, head) {
    if (x == "") return "-"
    s = x >= 100 || x == int(x) ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x)
    while (match(s, /[0-9][0-9][0-9][0-9]+($|,|\.)/) && x >= 1000) {
        head = substr(s, 1, RSTART - 1) substr(s, RSTART, RLENGTH)
        sub(/,.*/, "", head)
        s = substr(head, 1, length(head) - 3) "," substr(head, length(head) - 2) substr(s, length(head) + 1)
    }
    return s
}

# "0.65x" or "<= 5", and whether it is missed.
function goal_text(op, r,    word, x, is) {
    if (goal[op] == "") return ""
    split(goal[op], word, " ")
    x = word[2] + 0
    is = word[1] == "ratio" ? r : median("newt", op)
    goals++
    # round trips in the middle of a run can begin one more
    if (word[1] == "ratio" || more[op] ? is < x : is > x * 1.001) {
        missed = missed (missed == "" ? "" : ", ") op
        return sprintf("%-12s missed", word[1] == "ratio" ? x "x" : (more[op] ? ">= " : "<= ") show(x))
    }
    return word[1] == "ratio" ? x "x" : (more[op] ? ">= " : "<= ") show(x)
}

function json(x) { return x == "" ? "null" : sprintf("%.6g", x) }

END {
    printf "\n%-48s %12s %12s %6s %-11s  %-15s %9s  %s\n", "", "newt", "limit", "ratio", "of the runs", "unit", "Newt DB", "goal"
    for (k = 1; k <= n; k++) {
        op = order[k]
        if (!runs["newt", op]) continue
        r = ratio(op)
        printf "%-48s %12s %12s %6s %-11s  %-15s %9s  %s\n", what[op], show(median("newt", op)),
            show(median("limit", op)), r == "" ? "-" : sprintf("%.2f", r), spread(op), unit[op],
            show(anchor[op]),
            goal_text(op, r)
        line[++lines] = sprintf("  \"%s\": {\"newt\": %s, \"limit\": %s, \"ratio\": %s, \"low\": %s, \"high\": %s, \"unit\": \"%s\"}", op,
                                json(median("newt", op)), json(median("limit", op)), json(r), json(extreme(op, -1)),
                                json(extreme(op, 1)), unit[op])
    }
    if (goals) printf "\n%s\n", missed == "" ? "All goals are met." : "Goals missed: " missed "."
    printf "\n%-48s %12s %12s %12s %12s\n", "JSONB computed by", "client", "server", "the updater",
        "the default"
    for (k = 1; k <= n; k++) {
        op = order[k]
        if (!runs["client", op]) continue
        printf "%-48s", what[op] ", " unit[op]
        for (s = 1; s <= 4; s++) printf " %12s", show(median(sides[s], op))
        printf "\n"
    }
    if (out != "") {
        print "{" >out
        for (k = 1; k <= lines; k++) print line[k] (k < lines ? "," : "") >out
        print "}" >out
    }
}
