#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/plot-curve.py: points lie where their numbers say, and what is no report is refused. TAP."""
import json
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"
count = failed = 0


def check(name, problem):
    global count, failed
    count += 1
    print(f"{'not ok' if problem else 'ok'} {count} - {name}")
    if problem:
        print("# " + str(problem)[:500])
        failed += 1


def plot(text):
    return subprocess.run([sys.executable, "docs/plot-curve.py"], input=text, capture_output=True, text=True, timeout=60, check=False)


def report():
    """U(t) = 64 MiB (1 - e^-t) at 4K, twice that at 64K and so on; seen up to 10 s; nothing known of 1G."""
    ts = [10.0 ** (k / 4) for k in range(-16, 9)]
    curve = {"known": True, "t_s": ts}
    for i, size in enumerate(("4K", "64K", "2M", "16M", "1G")):
        u = [2 ** i * 64 * 2.0 ** 20 * -math.expm1(-t) for t in ts]
        curve[size] = {"reach_s": 10, "lo_bytes": [0.9 * v for v in u], "mid_bytes": u, "hi_bytes": [1.1 * v for v in u]}
    for k in ("lo_bytes", "mid_bytes", "hi_bytes"):
        curve["1G"][k] = [None] * len(ts)
    return {"type": "report", "name": "<a> & b", "pid": 1, "vm": {"ram_bytes": 2 ** 32}, "curve": curve}


def main():
    r = report()
    got = plot('{"type":"interval"}\n\n' + json.dumps(r) + "\n")
    check("it draws", got.returncode or got.stderr)
    svg = ET.fromstring(got.stdout)
    check("a name stays text", "<a> & b" not in "".join(t.text or "" for t in svg.iter(SVG + "text")))
    lines = {p.get("data-size"): [tuple(map(float, q.split(","))) for q in p.get("points").split()]
             for p in svg.iter(SVG + "polyline") if p.get("data-size")}
    check("one line for each size that is known", sorted(lines) != ["16M", "2M", "4K", "64K"] and sorted(lines))
    seen = [t for t in r["curve"]["t_s"] if t <= 10]
    check("solid up to the longest lag seen", len(lines["4K"]) != len(seen) and len(lines["4K"]))
    # decades are equally far apart, and doubling moves every line by the same height
    x = [p[0] for p in lines["4K"]]
    check("time is logarithmic", max(abs((x[k + 4] - x[k]) - (x[4] - x[0])) for k in range(len(x) - 4)) > 0.21)
    height = [a[1] - b[1] for a, b in zip(lines["4K"], lines["64K"])]
    check("memory is logarithmic", max(height) - min(height) > 0.21 or height[0] < 5)
    ticks = {t.text: (float(t.get("x")), float(t.get("y"))) for t in svg.iter(SVG + "text")}
    at = lines["4K"][r["curve"]["t_s"].index(1.0)]
    want = 64 * 2.0 ** 20 * -math.expm1(-1)
    between = (ticks["16 MiB"][1] if "16 MiB" in ticks else None, ticks["2 MiB"][1], ticks["128 MiB"][1])
    y2, y128 = between[1] - 4, between[2] - 4
    there = y2 + (y128 - y2) * math.log(want / 2 ** 21) / math.log(64)
    check("U(1 s) stands at its value", (abs(at[0] - ticks["1 s"][0]) > 0.1 or abs(at[1] - there) > 0.3) and (at, there))
    r["curve"]["known"] = False
    for name, text in (("nothing", ""), ("no report", '{"type":"interval"}\n'), ("no JSON", "{\n"), ("no curve", json.dumps(r))):
        bad = plot(text)
        check(f"{name} is refused in one line", bad.returncode == 0 or bad.stdout or bad.stderr.count("\n") != 1 and bad.stderr)
    trace, tool = os.path.join(os.environ.get("BUILD", "build"), "plot.trace"), os.path.join(os.environ.get("BUILD", "build"), "dirtyprof")
    maker = os.path.join(os.environ.get("BUILD", "build"), "tests/lib/synth")
    if os.path.exists(tool) and os.path.exists(maker):
        if os.path.exists(trace):
            os.unlink(trace)
        subprocess.run([maker, "db", trace], check=True, timeout=60)
        said = subprocess.run([tool, "report", "--json", trace], capture_output=True, text=True, timeout=120, check=False).stdout
        os.unlink(trace)
        got = plot(said)
        check("it reads what dirtyprof prints", got.returncode or not got.stdout.endswith("</svg>\n"))
    else:
        print(f"ok {count + 1} - it reads what dirtyprof prints # SKIP dirtyprof is not built")
    print(f"1..{count + (not (os.path.exists(tool) and os.path.exists(maker)))}")
    return 1 if failed else 0


sys.exit(main())
