#!/usr/bin/env python3
"""Makes scale.json from the figures of bench/scale/run.

    figures.py OPERATIONS FIGURES [NAME=VALUE]... >scale.json

A figure is the median of its runs, a ratio the median of the ratios within each run, with the lowest and
the highest of them: 1 is as good as the limit, and more is better.
"""
import json
import statistics
import sys


def operations_of(path):
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return [dict(zip(("dimension", "operation", "what", "unit", "better"), row)) for row in rows]


def values_of(path):
    """{(dimension, operation, side): {at: {run: value}}}"""
    values = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            dimension, at, run, side, operation, value, _ = line.rstrip("\n").split("\t")
            by_at = values.setdefault((dimension, operation, side), {})
            by_at.setdefault(int(at), {})[int(run)] = float(value)
    return values


def rounded(x):
    return float(f"{x:.5g}")


def figure(operation, newt, limit):
    """What is known of one operation at one place: newt, and where there is one, limit and ratio."""
    known = {"newt": rounded(statistics.median(newt.values()))}
    both = [run for run in newt if run in limit]
    if both:
        ratios = [newt[run] / limit[run] for run in both]
        if operation["better"] == "less":
            ratios = [1 / ratio for ratio in ratios]
        known["limit"] = rounded(statistics.median(limit.values()))
        known["ratio"] = rounded(statistics.median(ratios))
        if len(ratios) > 1:
            known["lowest"], known["highest"] = rounded(min(ratios)), rounded(max(ratios))
    return known


def main():
    values = values_of(sys.argv[2])
    result = dict(word.split("=", 1) for word in sys.argv[3:])
    result["figures"] = []
    for operation in operations_of(sys.argv[1]):
        key = operation["dimension"], operation["operation"]
        newt, limit = values.get((*key, "newt")), values.get((*key, "limit"), {})
        if newt:
            at = {str(n): figure(operation, newt[n], limit.get(n, {})) for n in sorted(newt)}
            result["figures"].append({**operation, "at": at})
    # a line for each operation, so that a difference can be read
    figures = ",\n".join("  " + json.dumps(f, ensure_ascii=False) for f in result.pop("figures"))
    print(json.dumps(result, ensure_ascii=False, indent=1)[:-2] + ',\n "figures": [\n' + figures + "\n ]\n}")


main()
