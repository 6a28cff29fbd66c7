#!/usr/bin/env bash
# The benchmark of growth in its smallest form: both sides do the same, and what it writes is whole.
. "$(dirname "$0")/tap.sh"

small() {
    SCALE_SERVER=1 SCALE_SIZES=10000 SCALE_OBJECTS=1000 SCALE_REFERENCES=10 SCALE_CLASSES=3 SCALE_CLIENTS=2 SCALE_POOLED=20 \
        SCALE_RUNS=1 SCALE_TX=50 SCALE_ITEMS=1000 SCALE_TASKS=1000 SCALE_OUT=$work dev/private-server --no-fsync -- bench/scale/run
}
ok 'it runs' small
has 'a table' "$(cat "$work/scale.md")" '^\| a transaction changes 1 Task, tx/s \| Newt \| [0-9,]+ \|$'
is 'all that it measures has a figure, of both sides or of one' \
    "$(python3 -c '
import json, sys
for f in json.load(open(sys.argv[1]))["figures"]:
    assert all(v["newt"] > 0 and v.get("limit", 1) > 0 for v in f["at"].values()), f
    print(f["dimension"], f["operation"], sep="\t")' "$work/scale.json")" \
    "$(grep -v '^#' bench/scale/operations | cut -f1,2)"
ok 'the plot is XML' python3 -c 'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' "$work/scale.svg"

# The page, and the plot, as they are made of the figures that are kept.
if [ -e bench/scale.json ]; then
    is 'the page has the figures that are kept' "$(python3 bench/scale/table.py --markdown bench/scale.json)" \
        "$(sed -n '/made by bench\/scale\/run: begin/,/<!-- end -->/p' docs/benchmark.md | sed '1,2d; $d' | sed '$d')"
    is 'so has the plot' "$(python3 bench/scale/plot.py bench/scale.json)" "$(cat docs/scale.svg)"
fi
done_testing
