#!/usr/bin/env python3
"""Draws scale.json: plot.py scale.json >scale.svg

A small plot for each operation: what grows from left to right, on a logarithmic axis; Newt and the limit. The
vertical axis begins at 0, unless the figures are orders of magnitude apart: then it is logarithmic too.
"""
import html
import json
import math
import sys

GROUPS = (  # heading, dimensions, what the horizontal axis counts
    ("Objects in the store", ("sizes",), "Tasks"),
    ("Size of an object", ("objects",), "bytes"),
    ("References of an object", ("references",), "references"),
    ("Classes of the program", ("classes",), "classes"),
    ("Clients", ("clients", "pooled"), "clients"),
)
COLUMNS, WIDTH, HEIGHT = 4, 250, 178  # of plots; of one, with what is written around it
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 36, 36  # of a plot's own area
HEADING, MARGIN = 34, 12
SIDES = (("newt", "Newt"), ("limit", "limit"))
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #1f2328 }
  .heading { font-size: 14px; font-weight: 600 }
  .soft { fill: #59636e; font-size: 10px }
  .paper { fill: #ffffff }
  .grid { stroke: #d1d9e0; fill: none }
  .newt { stroke: #0969da; fill: none; stroke-width: 2 }
  .limit { stroke: #bc4c00; fill: none; stroke-width: 1.5; stroke-dasharray: 5 3 }
  .dot { stroke-dasharray: none }
  .newt.dot { fill: #0969da }
  .limit.dot { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .soft { fill: #9198a1 }
    .paper { fill: #0d1117 }
    .grid { stroke: #3d444d }
    .newt { stroke: #4493f8 }
    .limit { stroke: #f0883e }
    .newt.dot { fill: #4493f8 }
    .limit.dot { fill: #0d1117 }
  }
"""


def short(x):
    """At most four characters or so: 0.5, 20, 1k, 150k, 10M."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if x >= factor:
            return f"{x / factor:.3g}{letter}"
    return f"{x:.3g}"


def steps_from_zero(top):
    """Two to five round steps that reach the top."""
    size = 10 ** math.floor(math.log10(top))
    step = next(size * f for f in (0.2, 0.25, 0.5, 1, 2, 2.5) if top / (size * f) <= 4)
    return [step * k for k in range(math.ceil(top / step - 1e-9) + 1)]


def powers(low, high):
    return [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


class Scale:
    """From values to a line of pixels; log: the logarithm of the values is drawn."""

    def __init__(self, low, high, begin, end, log):
        self.log = log
        self.low, self.high, self.begin, self.end = self.of(low), self.of(high), begin, end

    def of(self, x):
        return math.log10(x) if self.log else x

    def __call__(self, x):
        if self.high == self.low:
            return (self.begin + self.end) / 2
        return self.begin + (self.of(x) - self.low) / (self.high - self.low) * (self.end - self.begin)


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{html.escape(words)}</text>'


def line(x1, y1, x2, y2):
    return f'<path class="grid" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def dot(side, x, y):
    if side == "newt":
        return f'<circle class="newt dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
    return f'<rect class="limit dot" x="{x - 2.5:.1f}" y="{y - 2.5:.1f}" width="5" height="5"/>'


def plot(figure, places, axis, left, top):
    """One small plot, as lines of SVG."""
    points = {s: [(int(p), v[s]) for p, v in figure["at"].items() if s in v] for s, _ in SIDES}
    values = [y for side in points.values() for _, y in side]
    log = max(values) > 50 * min(values) > 0
    ticks = powers(min(values), max(values)) if log else steps_from_zero(max(values))
    # no reference at all has its place a decade before the first
    least = min(p for p in places if p > 0) / 10
    right, bottom = left + WIDTH - RIGHT, top + HEIGHT - BOTTOM
    x = Scale(max(places[0], least), places[-1], left + LEFT + 6, right - 6, True)
    y = Scale(ticks[0], ticks[-1], bottom, top + TOP, log)
    drawn = [text(left + 8, top + 12, figure["what"]), text(left + 8, top + 26, figure["unit"], "soft")]
    for tick in ticks[:: 1 + len(ticks) // 6]:
        drawn.append(line(left + LEFT, y(tick), right, y(tick)))
        drawn.append(text(left + LEFT - 5, y(tick) + 3.5, short(tick), "soft", "end"))
    for place in places:
        drawn.append(line(x(max(place, least)), bottom, x(max(place, least)), bottom + 4))
        drawn.append(text(x(max(place, least)), bottom + 14, short(place), "soft", "middle"))
    drawn.append(text((left + LEFT + right) / 2, bottom + 27, axis, "soft", "middle"))
    for side, _ in reversed(SIDES):
        at = [(x(max(p, least)), y(v)) for p, v in points[side]]
        if len(at) > 1:
            drawn.append(f'<path class="{side}" d="M' + "L".join(f"{a:.1f} {b:.1f}" for a, b in at) + '"/>')
        drawn += [dot(side, a, b) for a, b in at]
    return drawn


def legend(left, top):
    drawn = []
    for side, name in SIDES:
        drawn.append(f'<path class="{side}" d="M{left} {top - 4}h28"/>')
        drawn.append(dot(side, left + 14, top - 4))
        drawn.append(text(left + 34, top, name))
        left += 90
    return drawn


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        result = json.load(f)
    drawn, top = legend(MARGIN + 8, 24), 40
    for heading, dimensions, axis in GROUPS:
        figures = [f for f in result["figures"] if f["dimension"] in dimensions]
        if not figures:
            continue
        drawn.append(text(MARGIN + 8, top + 20, heading, "heading"))
        top += HEADING
        for k, figure in enumerate(figures):
            places = sorted({int(p) for f in figures if f["dimension"] == figure["dimension"] for p in f["at"]})
            drawn += plot(figure, places, axis, MARGIN + k % COLUMNS * WIDTH, top + k // COLUMNS * HEIGHT)
        top += math.ceil(len(figures) / COLUMNS) * HEIGHT
    width, height = COLUMNS * WIDTH + 2 * MARGIN, top + MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">')
    print("<title>How cost grows</title>")
    print(f"<desc>{html.escape('Newt and a bare libpq program, ' + result['date'] + '; the table beside it has the figures')}</desc>")
    print(f'<style>{STYLE}</style>\n<rect class="paper" width="{width}" height="{height}"/>')
    print("\n".join(drawn) + "\n</svg>")


main()
