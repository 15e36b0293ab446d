# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Scores of the raw results; pure. A raw result is what tests/accuracy/run writes, one JSON object a line.

A prediction is {"verdict", "total_s", "downtime_s"}; the two times are numbers, or {"lo", "mid", "hi"}, or null.
"""

import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from grid import MBIT, PAYLOAD, UNCAPPED_MBIT, edge  # noqa: E402

METHODS = ("dirtyprof", "expected-downtime", "remaining/bandwidth", "sampled curve")
PHASES = ("before", "middle")
ZONE = 0.1  # around the edge, where no verdict is wrong
WHOLE = 0.001  # s, in which QEMU tells times
SHARE, SLACK = 0.1, 0.015  # a downtime is hit within 10 %, or 15 ms where that is more


def middle(estimate):
    """The number that stands for an estimate; None: none was made."""
    v = estimate.get("mid") if isinstance(estimate, dict) else estimate
    return v if v is not None and math.isfinite(v) else None


def relative(estimate, truth, least=0.0):
    """The error as a share of the truth, or of `least` where that is more; None where there is nothing to compare."""
    v = middle(estimate)
    return abs(v - truth) / max(truth, least) if v is not None and truth else None


def covered(estimate, truth):
    """Whether an interval holds the truth; None: no interval, or no truth. An end that is null has no bound there. QEMU tells whole
    milliseconds: what it calls 1 ms may be nearly 2."""
    if not isinstance(estimate, dict) or estimate.get("mid") is None or truth is None:
        return None
    lo, hi = estimate.get("lo"), estimate.get("hi")
    return (lo is None or lo <= truth + WHOLE) and (hi is None or truth <= hi)


def by_arithmetic(row):
    """The downtime limit over the one at which the rounds of the guest's arithmetical curve stop shrinking, at the bandwidth that
    the migration really had; None: the guest has no such curve, or no such limit."""
    case, truth = row["case"], row["truth"]
    if not case.get("guest") or case["kind"] == "own":
        return None
    bandwidth = case["max_bandwidth"] or case["link_mbit"] * MBIT * PAYLOAD
    sent = (truth.get("ram") or {}).get("transferred")
    # Looking for zero pages leaves the wire idle: then this is not what the rounds had.
    if truth["total_s"] and sent and case["kind"] != "zero":
        bandwidth = min(bandwidth, sent / truth["total_s"])
    limit = edge(case["guest"], bandwidth, case["ram"])
    return case["limit_ms"] / 1000 / limit if limit > 0.002 else None


def near_edge(row):
    """Within a tenth of the edge: by arithmetic; or as the run says of itself ("edge"), else by the least that was left at a sync
    over what would have passed QEMU's test ("closest")."""
    seen, closest, ratio = row["truth"].get("edge"), row["truth"].get("closest"), by_arithmetic(row)
    if ratio is not None and abs(ratio - 1) <= ZONE:
        return True
    return seen if seen is not None else closest is not None and abs(closest - 1) <= ZONE


def standstill(prediction):
    """How long the guest stands still; a method that knows of downtime alone takes it for that."""
    v = prediction.get("blackout_s")
    return v if v is not None else prediction.get("downtime_s")


def witnessed(rows):
    """Seconds by which dirtyprof's measurement of a standstill and QEMU's events differ, where there are both."""
    both = [(r["truth"].get("blackout_s"), r["truth"].get("events_blackout_s")) for r in rows]
    return [abs(own - events) for own, events in both if own is not None and events is not None]


def hit(estimate, truth):
    """Whether a downtime was predicted well enough; None: nothing to compare."""
    v = middle(estimate)
    return abs(v - truth) <= max(SHARE * truth, SLACK) if v is not None and truth is not None else None


def wrong_verdict(row, prediction):
    """Said "converges" of what did not end, or "never" of what did, away from the edge."""
    said = prediction.get("verdict")
    if near_edge(row) or said not in ("converges", "never"):
        return False
    return said != row["truth"]["verdict"]


def percentile(values, share):
    """The smallest value that this share of them does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values):
    """Median, P90, worst."""
    return {"n": len(values), "median": percentile(values, 0.5), "p90": percentile(values, 0.9),
            "worst": max(values, default=None)}


def prediction_of(row, method, phase):
    """A method's prediction, or None."""
    return row["predictions"].get(method, {}).get(phase)


def score(rows, method, phase):
    """All figures of a method over some rows."""
    total, down, still, inside, hits, still_hits, wrong, made, judged = [], [], [], [], [], [], 0, 0, 0
    for row in rows:
        p = prediction_of(row, method, phase)
        if not p:
            continue
        made += 1
        judged += p.get("verdict") in ("converges", "never")
        wrong += wrong_verdict(row, p)
        if row["truth"]["verdict"] != "converges" or near_edge(row):
            continue
        for out, key, least in ((total, "total_s", 0.0), (down, "downtime_s", SLACK / SHARE)):
            e = relative(p.get(key), row["truth"][key], least)
            if e is not None:
                out.append(e)
            holds = covered(p.get(key), row["truth"][key])
            if holds is not None:
                inside.append(holds)
        stood = row["truth"].get("blackout_s")
        e = relative(standstill(p), stood, SLACK / SHARE)
        if e is not None:
            still.append(e)
        for out, near in ((hits, hit(p.get("downtime_s"), row["truth"]["downtime_s"])), (still_hits, hit(standstill(p), stood))):
            if near is not None:
                out.append(near)
    return {"made": made, "judged": judged, "wrong": wrong, "total": spread(total), "downtime": spread(down),
            "hit": sum(hits) / len(hits) if hits else None, "still": spread(still),
            "still_hit": sum(still_hits) / len(still_hits) if still_hits else None,
            "covered": sum(inside) / len(inside) if inside else None, "intervals": len(inside)}


def ways(rows):
    """By how they were sent: (name, rows)."""
    def some(key, want, of=rows):
        return [r for r in of if want(r["case"].get(key))]
    one = some("multifd", lambda v: not v)
    return [("one connection", one), ("one connection, uncapped", some("max_bandwidth", lambda v: not v, one)),
            ("one connection, under max-bandwidth", some("max_bandwidth", bool, one)), ("multifd", some("multifd", bool)),
            ("auto-converge", some("auto_converge", bool)), ("dirty ring", some("ring", bool)), ("bitmap", some("ring", lambda v: not v)),
            ("the newer QEMU", some("qemu", lambda v: v == "new")),
            ("a path with a limit", some("link_mbit", lambda v: (v or 0) < UNCAPPED_MBIT)),
            ("a path without one", some("link_mbit", lambda v: (v or 0) >= UNCAPPED_MBIT))]


def kinds(rows):
    """The guests' kinds, in the order in which they come."""
    return list(dict.fromkeys(r["case"]["kind"] for r in rows))
