#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The blackout as dirtyprof sees it, from the guest's last run on the source to its first on the destination, by each of its
hooks, against QEMU's own events and against the guest.

The guest counts its writes in a page of its own, which is read here from both QEMUs' memory every few milliseconds: what was
written after a count that is not the last one is written by a guest that runs, and so is a count beyond the source's last one.

TAP on stdout. Needs root and /dev/kvm. BUILD is the build directory.
"""
# timeout: 120

import json
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from lab import Migration, Pair, migrate  # noqa: E402
from live import DIRTYPROF, Prof, main  # noqa: E402
from netlab import Lab, LabError, stop  # noqa: E402
from qemu import STATE_GPA, STATE_MAGIC, Qemu  # noqa: E402

RAM = 256  # MiB
GUEST = "rounds:5003,fill=60"
LOOSE = 0.05  # s: what two cores with all of this on them can put between a thing and the word of it
CASES = (
    ("a link", {"rate": "1gbit"}, {}),
    ("a ring, unix, two vCPUs", {"transport": "unix", "max_bandwidth": 128 << 20}, {"ring": 4096, "smp": 2}),
)


def hooks():
    """{use: the ways that work here}, of those that see a guest run."""
    said = subprocess.run([DIRTYPROF, "features", "--json"], capture_output=True, text=True, timeout=60, check=False).stdout
    out = {"runs": [], "entry": []}
    for row in map(json.loads, said.splitlines()):
        if row["works"] and row["what"] in out:
            out[row["what"]].append(row["how"])
    return out


class Counter(threading.Thread):
    """Reads how many writes a QEMU's guest has counted, and when: [(before the reading, after it, writes)], CLOCK_MONOTONIC."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.seen, self.over = [], threading.Event()
        self.mem = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self.at = self.find(pid)
        self.start()

    def find(self, pid):
        """Where page 0 of the pattern is: a mapping as large as the RAM has it, or will have."""
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            for line in f:
                lo, hi = (int(x, 16) for x in re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line).groups()) if " rw" in line else (0, 0)
                if hi - lo == RAM << 20:
                    return lo + STATE_GPA
        raise LabError("the guest's memory is not found")

    def run(self):
        while not self.over.is_set():
            before = time.monotonic()
            page = os.pread(self.mem, 16, self.at)
            if int.from_bytes(page[:4], "little") == STATE_MAGIC:
                self.seen.append((before, time.monotonic(), int.from_bytes(page[8:16], "little")))
            time.sleep(0.002)

    def end(self):
        """What was seen."""
        self.over.set()
        self.join()
        os.close(self.mem)
        return self.seen


def last_run(seen):
    """Between when the guest ran last, by its counts: [surely still, no more]."""
    final = seen[-1][2]
    first = next(i for i, s in enumerate(seen) if s[2] == final)
    return seen[first - 1][0], seen[first][1]


def first_run(seen, final):
    """Between when it ran first: [not yet, surely]. None: it was not seen to."""
    came = next((i for i, s in enumerate(seen) if s[2] > final), None)
    return (seen[came - 1][0], seen[came][1]) if came else None


def judge(tap, name, ran, bounds, sure):
    """A moment against the bounds that the guest sets: the sure one holds whatever the load."""
    lo, hi = bounds[0] - (0 if sure == "lo" else LOOSE), bounds[1] + (0 if sure == "hi" else LOOSE)
    tap.ok(ran is not None and lo <= ran <= hi, f"{name}, by the guest's counts", f"dirtyprof {ran}, {lo} to {hi}")


def one(lab, tap, name, how, qemu, ways):
    """One migration, watched through every hook at once."""
    pair = Pair(lab, GUEST, RAM, Migration(downtime_limit=300, timeout=30, **how), **qemu)
    left, came, counters = [], [], []

    def before(_):
        left.extend(Prof(lab, pair.src.pid, "--hook", f"runs={w}") for w in ways["runs"])
        left.append(Prof(lab, pair.src.pid, "--qmp", pair.src.qmp_path, positional=("0.2",)))
        came.extend(Prof(lab, pair.dst.pid, "--record", lab.path(f"{w}.trace"), "--hook", f"entry={w}") for w in ways["entry"])
        counters.extend(Counter(vm.pid) for vm in (pair.src, pair.dst))
        time.sleep(0.5)
    started = time.time()
    result = migrate(pair, before)
    if not tap.ok(result["status"] == "completed", f"{name}: migrated", result["status"], result["error"]):
        return
    on_src, on_dst = (c.end() for c in counters)
    stopped, runs = last_run(on_src), first_run(on_dst, on_src[-1][2])
    events = result["blackout_ms"] / 1000
    event = pair.src.qmp.event_time("STOP", started), pair.dst.qmp.event_time("RESUME", started)
    lasts, firsts = [], []
    for what, prof in zip([f"runs={w}" for w in ways["runs"]] + ["QMP"], left):
        report = prof.end()
        last = report["migration"]["last_ran"]
        judge(tap, f"{name}: it last ran on the source ({what})", last["monotonic_s"], stopped, "lo")
        tap.ok(last["time_s"] and abs(last["time_s"] - event[0]) < LOOSE, f"{name}: and by QEMU's STOP ({what})", last, event[0])
        tap.ok(report["first_ran"]["t_s"] is None, f"{name}: it was no arrival there ({what})", report["first_ran"])
        lasts.append(last["monotonic_s"])
    for way, prof in zip(ways["entry"], came):
        prof.wait_for("arrival")
        report, told = prof.finish(), prof.records("arrival")
        first = told[0]["first_ran"]
        judge(tap, f"{name}: it first ran on the destination ({way})", first["monotonic_s"], runs, "hi")
        tap.ok(abs(first["time_s"] - event[1]) < LOOSE, f"{name}: and by QEMU's RESUME ({way})", first, event[1])
        tap.ok(len(told) == 1 and report["first_ran"] == first, f"{name}: told once, and in the report ({way})", told, report["first_ran"])
        played = subprocess.run([DIRTYPROF, "report", "--json", lab.path(f"{way}.trace")], capture_output=True, timeout=60, check=False)
        with open(prof.out, "rb") as f:
            tap.ok(played.stdout == f.read(), f"{name}: its trace shows the same ({way})", played.stderr)
        firsts.append(first["monotonic_s"])
    own = [b - a for a in lasts for b in firsts]
    tap.ok(all(abs(v - events) < LOOSE for v in own), f"{name}: the blackout, {own[0] * 1000:.1f} ms, is that of QEMU's events", own, events)
    tap.note(f"{name}: dirtyprof {min(own) * 1000:.3f} to {max(own) * 1000:.3f} ms, QEMU's events {events * 1000:.3f} ms, by the guest "
             f"{(runs[0] - stopped[1]) * 1000:.1f} to {(runs[1] - stopped[0]) * 1000:.1f} ms")


def paused(lab, tap):
    """A guest that is started without running, and one that runs."""
    vm = Qemu(lab, GUEST, RAM, name="paused", extra=("-S",))
    prof = Prof(lab, vm.pid, positional=("0.2",))
    prof.wait_for("interval", 3)
    tap.ok(not prof.records("arrival"), "a guest that waits has not arrived")
    before = time.monotonic()
    vm.qmp.execute("cont")
    after = time.monotonic()
    prof.wait_for("arrival")
    t = prof.finish()["first_ran"]["monotonic_s"]
    tap.ok(before <= t <= after + LOOSE, "and first runs when it is told to", before, t, after)
    prof = Prof(lab, vm.pid, positional=("0.2", "3"))
    report = prof.end()
    tap.ok(not prof.records("arrival") and report["first_ran"]["t_s"] is None, "who comes later sees no arrival", report["first_ran"])
    tap.ok("last_ran" not in report["migration"], "and without a migration nothing has left")
    stop(vm.proc)


def body(_, tap):
    """All cases, each in a laboratory of its own."""
    ways = hooks()
    tap.ok(ways["runs"] and ways["entry"], "this kernel shows when a guest runs", ways)
    for case in CASES:
        with Lab() as lab:
            one(lab, tap, *case, ways)
    with Lab() as lab:
        paused(lab, tap)


if __name__ == "__main__":
    sys.exit(main(body, "qemu-system-x86_64", "ip", "tc"))
