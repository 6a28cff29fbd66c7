#!/usr/bin/env python3
"""The table of scale.json.

    table.py scale.json                     as text
    table.py --markdown scale.json          as the page has it
    table.py --into PAGE scale.json         puts it into the page, between its marks
"""
import json
import sys

DIMENSIONS = {
    "sizes": "Tasks in the store",
    "objects": "bytes of an object",
    "references": "references of an object",
    "classes": "classes of the program",
    "clients": "clients, directly",
    "pooled": "clients, through PgBouncer",
}
BEGIN, END = "<!-- made by bench/scale/run: begin -->\n", "<!-- end -->\n"


def show(x):
    """Three digits that count, with commas."""
    if x is None:
        return ""
    if x >= 100 or x == int(x):
        return f"{x:,.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def show_ratio(known):
    """With the lowest and the highest of the runs."""
    if "ratio" not in known:
        return ""
    spread = f" ({known['lowest']:.2f}–{known['highest']:.2f})" if "lowest" in known else ""
    return f"{known['ratio']:.2f}{spread}"


def rows_of(figure, places):
    for side in ("newt", "limit", "ratio"):
        all_known = [figure["at"].get(place, {}) for place in places]
        if any(side in known for known in all_known):
            yield side, [show_ratio(k) if side == "ratio" else show(k.get(side)) for k in all_known]


def tables(result):
    """(heading, places, [(figure, rows)]) for each dimension."""
    for dimension, heading in DIMENSIONS.items():
        figures = [f for f in result["figures"] if f["dimension"] == dimension]
        places = sorted({place for f in figures for place in f["at"]}, key=int)
        if figures:
            yield heading, places, [(f, list(rows_of(f, places))) for f in figures]


def text(result):
    lines = []
    for heading, places, figures in tables(result):
        lines.append("\n%-64s %s" % (heading, "".join(f"{int(p):>18,}" for p in places)))
        for figure, rows in figures:
            name = f"{figure['what']}, {figure['unit']}"
            for side, cells in rows:
                lines.append("%-56s %-7s %s" % (name, side, "".join(f"{c:>18}" for c in cells)))
                name = ""
    return "\n".join(lines) + "\n"


def markdown(result):
    runs = "one run" if result["runs"] == "1" else f"medians of {result['runs']} runs"
    if result["large_runs"] != result["runs"]:
        runs += f" (of more than 1,000,000 Tasks, {result['large_runs']})"
    lines = [
        f"`make bench-scale`, {result['date']}: {result['server']}; {result['machine']}; {runs}, "
        f"{round(int(result['seconds']) / 60)} minutes in all, load {result['load']}."
    ]
    if float(result["load"].split()[0]) > 0.5:
        lines.append("**The machine did other work as well: what depends on time is preliminary.**")
    for heading, places, figures in tables(result):
        lines += ["", f"| {heading} | | " + " | ".join(f"{int(p):,}" for p in places) + " |"]
        lines.append("|---|---|" + "---:|" * len(places))
        for figure, rows in figures:
            name = f"{figure['what']}, {figure['unit']}"
            for side, cells in rows:
                side = "Newt" if side == "newt" else side
                lines.append(f"| {name} | {side} | " + " | ".join(cells) + " |")
                name = ""
    return "\n".join(lines) + "\n"


def into(page, made):
    with open(page, encoding="utf-8") as f:
        whole = f.read()
    before, rest = whole.split(BEGIN)
    _, after = rest.split(END, 1)
    with open(page, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + "\n" + made + "\n" + END + after)


def main():
    with open(sys.argv[-1], encoding="utf-8") as f:
        result = json.load(f)
    if sys.argv[1] == "--into":
        into(sys.argv[2], markdown(result))
    else:
        print(markdown(result) if sys.argv[1] == "--markdown" else text(result), end="")


main()
