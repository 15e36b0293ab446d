#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The demo after the build: profile, predict, migrate, compare. Everything it starts ends with it."""

import json
import os
import shutil
import signal
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
# pylint: disable=wrong-import-position
from lab import Migration, Pair, migrate  # noqa: E402
from netlab import Lab, LabError, exit_on_signals, stop  # noqa: E402

BINARY = os.path.join(TOP, os.environ.get("BUILD", "build"), "dirtyprof")
# A hot set that is always dirty and a larger one that is written slowly: QEMU's one rate cannot tell them apart.
HOT, HOT_RATE, WARM, WARM_RATE = 2003, 20000, 30011, 15000
RAM, FILL = 512, 200  # MiB; the rest is zero pages
LINK, LIMIT_MS = "1gbit", 200
BANDWIDTH = "956M"  # what TCP gets through: 1448 of each 1514 bytes
SECONDS = 8
DEADLINE = 55  # s, for all that follows the build
# Where traces of it are to be kept, the beginning of their names: what `make demo` plays where there is no KVM.
RECORD = os.environ.get("DEMO_RECORD")


def say(text=""):
    """A line of the story."""
    print(text, flush=True)


def title(number, text):
    """A heading."""
    say(f"\n=== {number}. {text}")


def recorded(lab, phase):
    """Options that keep a trace in the laboratory's folder."""
    return ["--record", f"{phase}.trace"] if RECORD else []


def shown_as(argv, vm):
    """A command line without this run's names."""
    return "$ dirtyprof " + " ".join(argv).replace(os.path.basename(vm.qmp_path), "QMP-SOCKET") + "\n"


def profile(lab, vm):
    """Runs dirtyprof for people to see, and another one for its JSON. Returns the last JSON record."""
    common = ["-p", str(vm.pid), "--bandwidth", BANDWIDTH, "--downtime-limit", f"{LIMIT_MS}ms"]
    shown = [*common, f"--start={os.path.basename(vm.qmp_path)}", "1", str(SECONDS)]
    say(shown_as(shown, vm))
    out = lab.path("before.jsonl")
    with open(out, "wb") as f:
        quiet = lab.start([BINARY, *common, "--json", "1", str(SECONDS)], stdout=f)
    loud = lab.start([BINARY, *shown, *recorded(lab, "before")], stdout=sys.stdout, cwd=lab.path(""))
    for name, p in (("dirtyprof", loud), ("dirtyprof --json", quiet)):
        status = p.wait(SECONDS + 20)
        if status not in (0, 2):
            raise LabError(f"{name} ended with status {status}")
    return last_report(out)


def last_report(path):
    """The final record of a JSON Lines file."""
    with open(path, encoding="utf-8") as f:
        records = [json.loads(line) for line in f]
    for r in reversed(records):
        if r.get("type") == "report":
            return r
    raise LabError("dirtyprof wrote no report")


class Watcher:
    """dirtyprof beside the migration, on the terminal."""

    def __init__(self, lab):
        self.lab, self.proc = lab, None

    def __call__(self, pair):
        argv = ["-p", str(pair.src.pid), "--bandwidth", BANDWIDTH, "--downtime-limit", f"{LIMIT_MS}ms", "--qmp", os.path.basename(pair.src.qmp_path), "1"]
        say(shown_as(argv, pair.src))
        self.proc = self.lab.start([BINARY, *argv, *recorded(self.lab, "during")], stdout=sys.stdout, cwd=self.lab.path(""))
        time.sleep(1.5)

    def finish(self):
        """It ends by itself once the migration is done."""
        try:
            self.proc.wait(5)
        finally:
            stop(self.proc)


def number(v, unit="", scale=1, digits=0):
    """For the table; a number that is not there, or never comes true, is a dash."""
    return "-" if v is None else f"{v * scale:.{digits}f}{unit}"


def estimate(e, scale, unit, digits=0):
    """A value with its 10-90 % interval."""
    if not e or e.get("mid") is None:
        return "-"
    lo, hi = e.get("lo"), e.get("hi")
    band = "" if lo is None or hi is None or lo == hi else \
        f" ({number(lo, '', scale, digits)} to {number(hi, '', scale, digits)})"
    return number(e["mid"], unit, scale, digits) + band


def table(report, result):
    """Prediction and truth, side by side."""
    p = report["prediction"]
    # what QEMU showed just before the guest was stopped
    seen = [s["expected_downtime"] for s in result["samples"] if s["status"] == "active" and "expected_downtime" in s]
    rows = [
        ("", "predicted before", "happened", "QEMU expected"),
        ("total time", estimate(p["total_s"], 1e3, " ms"), number(result["total_ms"], " ms"), "-"),
        ("downtime", estimate(p["downtime_s"], 1e3, " ms"), number(result["downtime_ms"], " ms"),
         f"{seen[0]} ms at first, {seen[-1]} ms at the end" if seen else "-"),
        # the first sync is at the start, the last one when the guest is stopped
        ("rounds", estimate(p["rounds"], 1, ""), number(result["syncs"] - 1), "-"),
        ("verdict", p["verdict"], result["status"], "-"),
    ]
    for row in rows:
        say(f"  {row[0]:<11} {row[1]:<27} {row[2]:<12} {row[3]}".rstrip())


def run(lab):
    """The story."""
    began = time.monotonic()
    say(f"Two QEMUs of {RAM} MiB, each in a network namespace, with a link of 1 Gb/s between them.\n"
        f"The guest writes {HOT} pages all the time ({HOT_RATE} writes/s in all) and {WARM} pages\n"
        f"now and then ({WARM_RATE} writes/s in all). Of the 1 Gb/s TCP gets {BANDWIDTH}b/s: the rest is headers.")
    how = Migration(rate=LINK, downtime_limit=LIMIT_MS, timeout=20)
    pair = Pair(lab, f"tiers:{HOT}:{HOT_RATE}:{WARM}:{WARM_RATE},fill={FILL}", RAM, how)
    # before the profile, as dirtyprof reads them
    pair.src.qmp.execute("migrate-set-parameters", {"max-bandwidth": how.max_bandwidth, "downtime-limit": LIMIT_MS})
    title(1, f"Before: what would its migration do at 1 Gb/s and a downtime limit of {LIMIT_MS} ms?")
    report = profile(lab, pair.src)
    title(2, "The migration, watched")
    watcher = Watcher(lab)
    result = migrate(pair, watcher)
    watcher.finish()
    title(3, "Prediction and truth")
    table(report, result)
    if RECORD:
        for phase in ("before", "during"):
            shutil.copyfile(lab.path(f"{phase}.trace"), f"{RECORD}-{phase}.trace")
    say(f"\nThat took {time.monotonic() - began:.0f} s.")
    return 0 if result["status"] == "completed" else 1


def too_late(_number, _frame):
    """For the alarm."""
    raise LabError(f"not done after {DEADLINE} s; given up")


def main():
    """Entry."""
    exit_on_signals()
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(DEADLINE)
    try:
        with Lab() as lab:
            return run(lab)
    except (LabError, OSError) as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
