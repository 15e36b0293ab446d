#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Draws U(t), the memory dirtied within t, from what `dirtyprof --json` printed. An example of a reader: it needs nothing else.

  dirtyprof -p PID --start --json 1 30 | docs/plot-curve.py > curve.svg
  docs/plot-curve.py FILE > curve.svg

The last record of type "report" counts: its "curve" has the times (t_s) and, for each size of block, lo, mid and hi in bytes.
What lies beyond the longest lag seen (reach_s) is dashed. docs/schema.json describes every field.
"""
import json
import math
import sys
from html import escape

WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 90, 60, 50, 60
SIZES = {"4K": "#0072b2", "64K": "#56b4e9", "2M": "#009e73", "16M": "#e69f00", "1G": "#d55e00"}


def last_report(lines):
    report = None
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as e:
            sys.exit(f"line {n}: {e}")
        if isinstance(record, dict) and record.get("type") == "report":
            report = record
    if not report:
        sys.exit("no report among these records: dirtyprof prints it at the end")
    if not report["curve"]["known"]:
        sys.exit("the report has no curve: no dirty page's age was seen")
    return report


class Axis:
    """A logarithmic axis: values from lo to hi at pixels p0 to p1."""

    def __init__(self, lo, hi, p0, p1):
        self.lo, self.hi, self.p0, self.p1 = lo, hi, p0, p1

    def at(self, v):
        v = min(self.hi, max(self.lo, v))
        return self.p0 + (self.p1 - self.p0) * math.log(v / self.lo) / math.log(self.hi / self.lo)


def bytes_text(v):
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if v < 1024 or unit == "TiB":
            return f"{v:g} {unit}"
        v /= 1024


def time_text(v):
    return f"{v:g} s" if v >= 1 else f"{v * 1e3:g} ms" if v >= 1e-3 else f"{v * 1e6:g} us"


def points(x, y, ts, values):
    return " ".join(f"{x.at(t):.1f},{y.at(v):.1f}" for t, v in zip(ts, values))


def grid(x, y):
    out = []
    t = x.lo
    while t <= x.hi * 1.0001:
        out.append(f'<path d="M{x.at(t):.1f} {y.p0}V{y.p1}" stroke="#ddd"/>'
                   f'<text x="{x.at(t):.1f}" y="{y.p0 + 20}" text-anchor="middle">{time_text(float(f"{t:.3g}"))}</text>')
        t *= 10
    v = y.lo
    while v <= y.hi:
        out.append(f'<path d="M{x.p0} {y.at(v):.1f}H{x.p1}" stroke="#ddd"/>'
                   f'<text x="{x.p0 - 8}" y="{y.at(v) + 4:.1f}" text-anchor="end">{bytes_text(v)}</text>')
        v *= 8
    return out


def line(x, y, ts, curve, size, colour):
    known = [i for i, v in enumerate(curve["mid_bytes"]) if v is not None]
    ts, lo, mid, hi = ([s[i] for i in known] for s in (ts, curve["lo_bytes"], curve["mid_bytes"], curve["hi_bytes"]))
    hi = [y.hi if v is None else v for v in hi]
    seen = sum(t <= curve["reach_s"] * 1.000001 for t in ts)
    band = points(x, y, ts, hi) + " " + points(x, y, ts[::-1], lo[::-1])
    out = [f'<polygon points="{band}" fill="{colour}" opacity=".18"/>']
    if seen:
        out.append(f'<polyline class="u" data-size="{size}" points="{points(x, y, ts[:seen], mid[:seen])}" stroke="{colour}"/>')
    out.append(f'<polyline points="{points(x, y, ts[max(0, seen - 1):], mid[max(0, seen - 1):])}" stroke="{colour}" '
               'stroke-dasharray="2 5"/>')
    return out


def draw(report):
    curve = report["curve"]
    ts = curve["t_s"]
    top = max([v for s in SIZES for v in curve[s]["mid_bytes"] if v is not None] + [report["vm"]["ram_bytes"], 65536])
    x = Axis(ts[0], ts[-1], LEFT, WIDTH - RIGHT)
    y = Axis(4096, top * 1.2, HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="28" font-size="16">Memory dirtied within t: {escape(report["name"] or "process " + str(report["pid"]))}</text>']
    out += grid(x, y)
    for size, colour in reversed(SIZES.items()):
        out.append(f'<g fill="none" stroke-width="2.2">{"".join(line(x, y, ts, curve[size], size, colour))}</g>')
    for i, (size, colour) in enumerate(SIZES.items()):
        out.append(f'<path d="M{LEFT + 12 + 70 * i} {TOP + 14}h16" stroke="{colour}" stroke-width="3"/>'
                   f'<text x="{LEFT + 33 + 70 * i}" y="{TOP + 18}">{size}</text>')
    out += [f'<text x="{x.p1}" y="{HEIGHT - 16}" text-anchor="end">t</text>', "</svg>"]
    return "\n".join(out)


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") if len(sys.argv) == 2 else sys.stdin as f:
        print(draw(last_report(f)))
