# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The curve that marks give, against arithmetic: guests of the test VMM that write random pages at a known rate."""

import os
import sys

import entries

sys.path.insert(0, os.path.join(entries.TOP, "tests", "lib"))
# pylint: disable=wrong-import-position
from live import pages_at  # noqa: E402
from truth import curve  # noqa: E402

PATTERN = "uniform:1009:700"
TIMES = (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
# A paced guest writes what is due once in this time. An emulated one is also held up, and catches up then. The VMM says by
# how much at most; a span from a start point on in which that happened shows the U of a time so much earlier or later. That is so
# for two of the five or more start points that a span of each length has, not for all: half of it is allowed for.
TICK, HELD_UP = 0.001, 0.5
LATEST_MS = 60.0     # held up for longer, its U(t) is not known well enough: the row is skipped
NARROW, NARROW_AT = 3.0, 0.3  # hi / lo: some ten start points, and what cannot have been seen
FINEST = 1e-3        # s: without PML each write faults, so that its mark comes with it

FREE = f"--pattern {PATTERN} --seconds 6"
# As QEMU does: what was taken is cleared later, piece by piece (here slot by slot), with marks in between.
PIECES = f"{FREE} --stride 192K --slots 3 --clear-delay-ms 20"
CONF = {"FREE": "curve pieces", "VMM_ARGS_curve": FREE, "VMM_ARGS_pieces": PIECES,
        "PROF_ARGS_curve": "--source mark", "PROF_ARGS_pieces": "--source mark"}
MODES = ("bitmap+curve", "manual+pieces", "manual-init+pieces")


def _outside(report, late):
    """Times at which the truth is not in the band, and all as text."""
    wrong, said = [], []
    for t in TIMES:
        lo, _, hi = pages_at(report, t)
        least, most = (curve(PATTERN, max(0.0, t + by)) for by in (-late, late))
        said.append(f"{t:g} s: {least:.0f}-{most:.0f} in {lo:.0f}-{hi:.0f}")
        if most < lo or least > hi:
            wrong.append(t)
    return wrong, ", ".join(said)


def _judge(case):
    """(result, note)"""
    report = next((r for r in case.json("prof:auto") if r["type"] == "report"), None)
    end = next((e for e in case.json("vmm") if e["event"] == "end"), None)
    if not report or not end:
        return entries.FAIL, f"no report: {case.text('err:auto')[:160] or case.text('vmm-err')[:160]}"
    if report["source"] != "mark":
        return entries.FAIL, f"took {report['source']}"
    late_ms, resolution = end["late_ms"], report["curve"]["resolution_s"]
    wrong, said = _outside(report, TICK + HELD_UP * late_ms / 1000)
    note = f"late {late_ms:.0f} ms; resolution {resolution} s; {said}"
    if late_ms > LATEST_MS:
        return entries.SKIP, f"the guest was held up: {note}"
    if wrong:
        return entries.FAIL, f"outside at {wrong}: {note}"
    lo, _, hi = pages_at(report, NARROW_AT)
    if hi > NARROW * lo:
        return entries.FAIL, f"the band is wide: {note}"
    if resolution is None or not 0 < resolution < FINEST:
        return entries.FAIL, f"resolution: {note}"
    if any(n["note"] == "few-starts" for n in report["notes"]):
        return entries.FAIL, f"few start points: {report['notes']}"
    return entries.OK, note


def rows(entry, run, modes):
    """A row a mode."""
    cases = entries.cases_of(run)
    out = []
    for mode in modes:
        case = cases.get(mode, entries.Case())
        result, note = _judge(case)
        out.append(entry.row(mode, "curve of marks", result, case.seconds(), note))
    return out
