#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The curve against arithmetic: guests whose U(t) is known, in each way to log.

The true U(t) lies in the band at every t; where first writes are seen as they come (ring) or KVM's bitmap is looked at
between syncs (peeks), the band is narrow as well. With the syncs alone it may be wide, but holds the truth.
"""
# timeout: 120

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import PAGE, Prof, Vmm, main, pages_at  # noqa: E402
from truth import curve  # noqa: E402

TIMES = (0.01, 0.03, 0.1, 0.3, 1.0, 5.0)
NARROW = 1.5         # hi / lo, from NARROW_FROM on: a bin is 1/8 wide, and the noise of four to ten start points is added
NARROW_FROM = 0.1
TICK = 0.001         # a paced guest writes what is due once in this time, and what it was held up for at once afterwards (by
                     # a sync, say, which makes it come in step with it): so U(t) is known to within both of t
SECONDS = 10.5       # long enough for a few starts of a 5 s stretch

HELD_UP_MS = 15.0    # a guest catches up with its plan: after a pause it writes in a burst

UNIFORM = "uniform:50021:20000"
TIERS = "tiers:1009:5000:100003:20000"
SWEEP = "sweep:150001:20000"
ROUNDS = "rounds:20011:40000"


class Case:
    """One guest and the dirtyprof that watches it."""

    def __init__(self, name, pattern, log, *prof, cpu="native", sync_ms=500, narrow=True, late=0.0, slots=1):
        self.name, self.pattern, self.log, self.prof_args = name, pattern, log, prof
        self.cpu, self.sync_ms, self.narrow, self.late, self.slots = cpu, sync_ms, narrow, late, slots
        self.vmm = self.prof = self.report = None
        self.late_ms, self.wrong, self.wide, self.rows = 0.0, [], [], []

    def start(self, lab):
        """Starts the guest; its dirtyprof too, unless that is to come in the middle."""
        self.vmm = Vmm(lab, "--cpu", self.cpu, "--log", self.log, "--pattern", self.pattern, "--mem", "1G",
                       "--slots", str(self.slots), "--sync-ms", str(self.sync_ms), seconds=60)
        if not self.late:
            self.attach(lab)

    def attach(self, lab):
        """dirtyprof, from now on."""
        self.prof = Prof(lab, self.vmm.pid, *self.prof_args)

    def look(self):
        """Ends both. Finds the times at which the truth is outside the band, and at which the band is wide."""
        self.report = self.prof.finish()
        end = self.vmm.end()
        self.late_ms = end["late_ms"] if end else float("inf")
        reach = self.report["curve"]["4K"]["reach_s"]
        self.wrong, self.wide, self.rows = [], [], [f"late by up to {self.late_ms} ms", f"reach {reach:.2f} s"]
        off = TICK + min(self.late_ms, HELD_UP_MS) / 1000
        for t in TIMES:
            lo, mid, hi = pages_at(self.report, t)
            least, most = curve(self.pattern, max(0.0, t - off)), curve(self.pattern, t + off)
            self.rows.append(f"U({t:g} s): {least:.0f} to {most:.0f}, band {lo:.0f} {mid:.0f} {hi:.0f}"
                             f" ({hi / lo if lo else 0:.2f})")
            if most < lo or least > hi:
                self.wrong.append(t)
            if self.narrow and NARROW_FROM <= t <= reach and not hi <= lo * NARROW:
                self.wide.append(t)

    def judge(self, tap):
        """The verdicts on what was found."""
        tap.ok(not self.wrong, f"{self.name}: the truth is in the band", f"not at {self.wrong}", *self.rows)
        if self.narrow:
            tap.ok(not self.wide, f"{self.name}: the band is narrow", f"not at {self.wide}", *self.rows)


def run_once(lab, cases):
    """Runs them at once."""
    for c in cases:
        c.start(lab)
    for c in cases:
        c.vmm.go()
    began = time.monotonic()
    for c in sorted(cases, key=lambda c: c.late):
        if c.late:
            time.sleep(max(0, began + c.late - time.monotonic()))
            c.attach(lab)
    time.sleep(max(0, began + SECONDS + max(c.late for c in cases) - time.monotonic()))
    for c in cases:
        c.look()


def run(lab, tap, cases):
    """Runs them at once; those whose guest the machine held up, so that its truth is another, once more if they failed.
    Returns their reports."""
    run_once(lab, cases)
    again = [c for c in cases if (c.wrong or c.wide) and c.late_ms > HELD_UP_MS]
    if again:
        tap.note(f"once more, guests were held up by up to {max(c.late_ms for c in again):.0f} ms: "
                 f"{', '.join(c.name for c in again)}")
        run_once(lab, again)
    for c in cases:
        c.judge(tap)
    return [c.report for c in cases]


def overlap(tap, name, a, b):
    """Two observations of one pattern: at each t the bands meet."""
    apart = [t for t in TIMES if pages_at(a, t)[0] > pages_at(b, t)[2] or pages_at(b, t)[0] > pages_at(a, t)[2]]
    tap.ok(not apart, name, f"apart at {apart}")


def from_the_start(lab, tap):
    """All patterns with a ring, then with manual protect and with bitmaps that GET clears."""
    ring = [Case(f"ring, {p}", p, "ring:16384", slots=s) for p, s in ((UNIFORM, 1), (TIERS, 3), (SWEEP, 1), (ROUNDS, 2))]
    bitmap = [Case(f"{m}, {p}, a sync each {ms} ms", p, m, slots=s, sync_ms=ms) for m, p, s, ms in (
        ("manual", UNIFORM, 1, 500), ("manual", TIERS, 3, 2600), ("bitmap", SWEEP, 1, 2600), ("manual", ROUNDS, 2, 5200))]
    first = run(lab, tap, ring)
    second = run(lab, tap, bitmap)
    return first[0], second[0]


def others(lab, tap, ring, manual):
    """Syncs alone; attached in the middle; pages that come again without having been re-armed."""
    cases = [
        Case("syncs alone, manual, uniform", UNIFORM, "manual", "--no-peek", narrow=False, sync_ms=300),
        Case("syncs alone, bitmap, tiers", TIERS, "bitmap", "--no-peek", narrow=False, sync_ms=1000),
        Case("attached in the middle, ring", UNIFORM, "ring:16384", late=1.3),
        Case("attached in the middle, manual", UNIFORM, "manual", late=1.3, sync_ms=2600),
        # every write of an emulated guest is pushed; the ring is emptied once a second
        Case("pushed again, ring", "uniform:5003:40000", "ring:65536", cpu="emulated", sync_ms=1000),
    ]
    reports = run(lab, tap, cases)
    overlap(tap, "ring: attached in the middle agrees with attached from the start", reports[2], ring)
    overlap(tap, "manual: attached in the middle agrees with attached from the start", reports[3], manual)
    again = reports[4]["self"]
    tap.ok(again["repeated"] > again["events"] / 2 and reports[4]["new_blocks"]["4K"] <= again["events"] - again["repeated"],
           "most pushes came again and were not counted", again, reports[4]["new_blocks"])
    tap.ok(reports[4]["seen_bytes"] <= 5003 * PAGE, "no page counts twice among those seen", reports[4]["seen_bytes"])


def body(lab, tap):
    """All of it."""
    ring, manual = from_the_start(lab, tap)
    others(lab, tap, ring, manual)


if __name__ == "__main__":
    sys.exit(main(body))
