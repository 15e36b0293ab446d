#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The scorer, the other methods and the grid, on numbers worked out by hand. TAP."""

import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
# pylint: disable=wrong-import-position
import score as S  # noqa: E402
from grid import KINDS, edge, grid  # noqa: E402
from live import Tap  # noqa: E402
from one import blackout  # noqa: E402
from methods import remaining_over_bandwidth, sampled, sampled_curve  # noqa: E402
from report import command_of, markdown, picture, stood  # noqa: E402


def row(kind="a", verdict="converges", total=10.0, down=0.2, closest=None, **predictions):
    """A raw result with predictions of dirtyprof: before=..., middle=..."""
    return {"id": "x", "case": {"kind": kind}, "truth": {"verdict": verdict, "total_s": total, "downtime_s": down, "closest": closest},
            "predictions": {"dirtyprof": predictions}}


def said(verdict, total=None, down=None, width=0.0):
    """A prediction with an interval of +- width."""
    def est(v):
        return {"lo": None if v is None else v * (1 - width), "mid": v, "hi": None if v is None else v * (1 + width)}
    return {"verdict": verdict, "total_s": est(total), "downtime_s": est(down)}


def percentiles(tap):
    """By counting."""
    ten = list(range(1, 11))
    for share, want in ((0.5, 5), (0.9, 9), (1.0, 10), (0.01, 1)):
        tap.ok(S.percentile(ten, share) == want, f"percentile {share} of 1 to 10 is {want}", S.percentile(ten, share))
    tap.ok(S.percentile([], 0.5) is None, "no percentile of nothing")
    tap.ok(S.percentile([3], 0.9) == 3, "of one")


def errors(tap):
    """Relative errors and coverage."""
    rows = [row(before=said("converges", 11.0, 0.21, 0.15)), row(before=said("converges", 8.0, 0.2, 0.1)),
            row(before={"verdict": "never", "total_s": None, "downtime_s": None})]
    s = S.score(rows, "dirtyprof", "before")
    tap.ok(s["total"]["n"] == 2 and math.isclose(s["total"]["worst"], 0.2) and math.isclose(s["total"]["median"], 0.1),
           "errors of total time: 10 %, 20 %", s)
    tap.ok(math.isclose(s["downtime"]["worst"], 0.05, rel_tol=1e-9), "of downtime: 5 %, 0 %", s)
    # total: [9.35, 12.65] holds 10, [7.2, 8.8] does not; downtime: both hold 0.2
    tap.ok(s["covered"] == 0.75 and s["intervals"] == 4, "three of four intervals hold the truth", s)
    tap.ok(s["made"] == 3 and s["judged"] == 3 and s["wrong"] == 1, "one wrong verdict", s)
    tap.ok(S.score(rows, "dirtyprof", "middle")["made"] == 0, "no prediction, no score")
    tap.ok(S.covered({"lo": 1, "mid": 2, "hi": None}, 9) is True, "an interval without an upper end has no upper bound")
    tap.ok(S.covered({"lo": 1, "mid": None, "hi": None}, 9) is None, "no middle: no interval")


def hits(tap):
    """10 %, or 15 ms where that is more."""
    for said_s, was, good in ((0.02, 0.006, True), (0.02, 0.004, False), (1.09, 1.0, True), (1.11, 1.0, False), (None, 1.0, None)):
        tap.ok(S.hit({"mid": said_s}, was) is good, f"a downtime of {was} s predicted as {said_s}: {good}")


def standstills(tap):
    """Two measures of one thing."""
    rows = [row(), row(), row(), row()]
    rows[0]["truth"].update(blackout_s=0.2504, events_blackout_s=0.25)
    rows[1]["truth"].update(blackout_s=0.1, events_blackout_s=0.102)
    rows[2]["truth"].update(blackout_s=0.3)  # before there was the other
    rows[3]["truth"].update(blackout_s=None, events_blackout_s=0.1)
    apart = S.witnessed(rows)
    tap.ok(len(apart) == 2 and math.isclose(apart[0], 0.0004) and math.isclose(apart[1], 0.002), "0.4 ms and 2 ms apart", apart)
    text = stood(rows)
    tap.ok("of 2 migrations" in text and "0.40 ms" in text and "worst by 2.00 ms" in text and "In 1 older" in text,
           "the page says so", text)
    tap.ok("dirtyprof" not in stood(rows[2:]), "and does not where nothing was measured", stood(rows[2:]))
    tap.ok(blackout({"migration": {"last_ran": {"monotonic_s": 7.5}}}, {"first_ran": {"monotonic_s": 7.75}}) == 0.25, "7.5 s to 7.75 s")
    for report, arrival in (({"migration": {"last_ran": {"monotonic_s": None}}}, {"first_ran": {"monotonic_s": 7.75}}),
                            ({"migration": {"last_ran": {"monotonic_s": 7.5}}}, {"first_ran": {"monotonic_s": None}}),
                            ({"migration": {"outcome": "none"}}, None)):
        tap.ok(blackout(report, arrival) is None, "one end alone is no blackout")


def edges(tap):
    """A guest that rewrites 10000 pages without a rest needs 10000 x 4104 bytes over the bandwidth, whatever the rounds."""
    for limit_ms, total, near in ((410, None, True), (455, None, False), (365, None, False), (373, None, True),
                                  (500, None, False), (500, 5.0, True), (410, 5.0, False)):
        r = row(kind="rewrite", verdict="converges" if total else "never", total=total)
        r["case"].update(guest="rounds:10000,fill=100", ram=256, max_bandwidth=100000000, link_mbit=10000, limit_ms=limit_ms)
        # a second is lost on the way: 82 MB/s instead of 100
        r["truth"]["ram"] = {"transferred": 410000000}
        tap.ok(S.near_edge(r) is near, f"{limit_ms} ms, {'82' if total else '100'} MB/s: {'near the edge' if near else 'away from it'}",
               S.by_arithmetic(r))
    tap.ok(S.by_arithmetic(row()) is None, "no guest, no arithmetic")


def verdicts(tap):
    """Right, wrong, and near the edge."""
    cases = ((None, "never", "converges", True), (None, "converges", "never", True), (None, "never", "never", False),
             (None, "never", "borderline", False), (None, "never", "unknown", False), (0.95, "converges", "never", False),
             (1.09, "never", "converges", False), (1.11, "never", "converges", True), (0.89, "converges", "never", True))
    for closest, truth, verdict, wrong in cases:
        r = row(verdict=truth, closest=closest, before=said(verdict))
        tap.ok(S.wrong_verdict(r, said(verdict)) is wrong, f"{verdict} of what {truth}, closest {closest}: {'wrong' if wrong else 'not wrong'}")


def others(tap):
    """The other methods, by arithmetic."""
    p = remaining_over_bandwidth(50e6, 100e6, 3.0, 0.4)
    tap.ok(p == {"verdict": "never", "total_s": 3.5, "downtime_s": 0.5}, "remaining / bandwidth", p)
    u = sampled_curve([(1, 10e6), (3, 8e6)], 100e6)
    tap.ok([u(0.5), u(1), u(2), u(3), u(4)] == [5e6, 10e6, 17e6, 24e6, 31e6], "the sampled curve is straight between its points")
    tap.ok(u(1e6) == 100e6, "and ends at RAM")
    # 100 MB at 50 MB/s: 2 s, then U(2) = 17 MB: 0.34 s, then 3.4 MB, under 50 MB/s x 0.1 s; down 3.4 MB at 100 MB/s
    p = sampled([(1, 10e6), (3, 8e6)], 100e6, 50e6, 100e6, 0.1)
    tap.ok(p["verdict"] == "converges" and math.isclose(p["total_s"], 2.374) and math.isclose(p["downtime_s"], 0.034),
           "rounds over it", p)
    p = sampled([(1, 60e6)], 1e9, 50e6, 50e6, 0.1)
    tap.ok(p["verdict"] == "never" and math.isinf(p["total_s"]), "faster than the link: never", p)


def grids(tap):
    """Seeded, whole, and a spread."""
    full, quick = grid(1), grid(1, True)
    tap.ok(full == grid(1) and quick == grid(1, True), "a grid is its seed's")
    tap.ok(full != grid(2), "and another seed's is another")
    tap.ok(len(full) >= 150 and len({c["id"] for c in full}) == len(full), "at least 150 migrations, each with an id of its own")
    tap.ok({c["kind"] for c in full} == set(KINDS) and {c["kind"] for c in quick} == set(KINDS), "of every kind")
    tap.ok(len(quick) == 12, "the quick one has 12")
    for key in ("ring", "multifd", "auto_converge", "max_bandwidth"):
        tap.ok(len({bool(c[key]) for c in full}) == 2, f"with and without {key}")
    # 25343 pages over 119.5 MB/s, written without a rest
    t = edge("rounds:25343,fill=200", 119.5e6, 512)
    tap.ok(math.isclose(t, 25343 * 4104 / 119.5e6, rel_tol=1e-3), "the edge of a guest that rewrites is a pass over it", t)


def reports(tap):
    """What is written holds what was scored."""
    rows = [row("a", before=said("converges", 11.0, 0.21, 0.2)), row("b", verdict="never", total=None, down=None, before=said("never"))]
    text = markdown(rows, "make accuracy")
    tap.ok("10.0 %" in text and "make accuracy" in text and "| a |" in text and "| b |" in text, "the page has the figures", text)
    tap.ok(command_of(rows) == "make accuracy accuracy-doc" and "--seed 3" in command_of([dict(rows[0], seed=3)]), "and the seed")
    svg = picture(rows)
    tap.ok(svg.startswith("<svg") and svg.rstrip().endswith("</svg>") and svg.count("<circle") == 2, "the picture has a point for each", svg)


def main():
    """All."""
    tap = Tap()
    for test in (percentiles, errors, hits, standstills, edges, verdicts, others, grids, reports):
        test(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
