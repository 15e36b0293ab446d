# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the live tests share: TAP, dirtyprof under test, dpvmm guests."""

import json
import os
import signal
import subprocess
import sys
import time

from netlab import Lab, LabError, exit_on_signals, stop
from qemu import TOP

BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
DIRTYPROF = os.environ.get("DIRTYPROF") or os.path.join(BUILD, "dirtyprof")
DPVMM = os.environ.get("DPVMM") or os.path.join(BUILD, "tests", "dpvmm")
PAGE = 4096
SIZES = ("4K", "64K", "2M", "16M", "1G")


class Tap:
    """Counts and prints results."""

    def __init__(self):
        self.n = self.failed = 0

    def ok(self, good, name, *facts):
        """One result; the facts are shown if it failed."""
        self.n += 1
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}", flush=True)
        if not good:
            self.failed += 1
            for fact in facts:
                self.note(fact)
        return bool(good)

    def skip(self, name, reason):
        """A test that cannot be run here."""
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {reason}", flush=True)

    @staticmethod
    def note(text):
        """A comment."""
        for line in str(text).splitlines():
            print(f"# {line}", flush=True)

    def end(self):
        """The plan. Returns the exit status."""
        print(f"1..{self.n}", flush=True)
        return 1 if self.failed else 0


def missing(*tools):
    """Why live tests cannot be run here, or None."""
    if os.geteuid():
        return "needs root"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no access to /dev/kvm"
    for tool in tools:
        if not any(os.access(os.path.join(d, tool), os.X_OK) for d in (os.environ["PATH"] + ":/usr/sbin:/sbin").split(":")):
            return f"{tool} is not installed"
    return None


def main(body, *tools):
    """Runs body(lab, tap) with what every live test needs."""
    reason = missing(*tools)
    if reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    for built in (DIRTYPROF, DPVMM):
        if not os.access(built, os.X_OK):
            print("1..0")
            print(f"{built} is not built", file=sys.stderr)
            return 1
    exit_on_signals()
    tap = Tap()
    try:
        with Lab() as lab:
            body(lab, tap)
    except LabError as e:
        tap.ok(False, "the laboratory works", e)
    return tap.end()


def json_lines(path):
    """The whole lines of a JSON Lines file."""
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


def wait_until(what, condition, timeout=10.0):
    """Polls; LabError after the timeout. Returns what the condition gave."""
    deadline = time.monotonic() + timeout
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {timeout} s")
        time.sleep(0.01)


class Prof:
    """dirtyprof --json on a process; attached once the constructor returns."""

    def __init__(self, lab, pid, *args, positional=("1",), attached=True):
        self.out = lab.path(lab.unique("prof"))
        self.err = self.out + ".err"
        self.argv = [DIRTYPROF, "-p", str(pid), "--json", *args, *positional]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.proc = lab.start(self.argv, stdout=out, stderr=err)
        if attached:
            self.wait_for("start")

    def messages(self):
        """Its stderr."""
        with open(self.err, encoding="utf-8", errors="replace") as f:
            return f.read()

    def records(self, kind=None):
        """Records so far, of one type or all."""
        return [r for r in json_lines(self.out) if kind in (None, r["type"])]

    def wait_for(self, kind, count=1, timeout=10):
        """Until there are so many records of a type."""
        def there():
            if self.proc.poll() is not None and len(self.records(kind)) < count:
                raise LabError(f"dirtyprof ended with {self.proc.returncode}: {self.messages().strip()}")
            return len(self.records(kind)) >= count
        wait_until(f"{count} {kind} records", there, timeout)

    def finish(self, timeout=10):
        """Interrupts it if it runs. Returns the report record (None: there is none)."""
        if self.proc.poll() is None:
            stop(self.proc, signal.SIGINT, timeout)
        report = self.records("report")
        return report[-1] if report else None

    def end(self, timeout=30):
        """Waits until it ends by itself. Returns the report record."""
        try:
            self.proc.wait(timeout)
        except subprocess.TimeoutExpired as e:
            raise LabError(f"dirtyprof does not end: {self.messages().strip()}") from e
        return self.finish()


class Vmm:
    """dpvmm with its guest; it waits for go()."""

    def __init__(self, lab, *args, seconds=30):
        name = lab.path(lab.unique("vmm"))
        self.out, self.go_file = name, name + ".go"
        self.argv = [DPVMM, "--seconds", str(seconds), "--wait-file", self.go_file, *args]
        with open(self.out, "wb") as out:
            self.proc = lab.start(self.argv, stdout=out)
        self.pid = self.proc.pid
        wait_until("dpvmm", lambda: self.events("ready") or self.proc.poll() is not None)
        if self.proc.poll() is not None:
            raise LabError(f"{' '.join(self.argv)}: ended with {self.proc.returncode}")

    def go(self):
        """The guest begins."""
        with open(self.go_file, "wb"):
            pass

    def events(self, kind):
        """Its events of a kind so far."""
        return [e for e in json_lines(self.out) if e["event"] == kind]

    def wait_syncs(self, count, timeout=20):
        """Until it has harvested its log so many times."""
        wait_until(f"{count} syncs of dpvmm", lambda: len(self.events("sync")) >= count, timeout)

    def end(self):
        """Stops it. Returns its end event (None: it did not get that far)."""
        stop(self.proc)
        last = self.events("end")
        return last[-1] if last else None


def pages_at(report, t, size="4K"):
    """The curve of a report record at t seconds: (lo, mid, hi) in blocks, straight between its points."""
    c = report["curve"]
    ts, unit = c["t_s"], {"4K": 12, "64K": 16, "2M": 21, "16M": 24, "1G": 30}[size]
    for i, at in enumerate(ts):
        if abs(at - t) < 1e-6 * t:
            return tuple(c[size][k][i] / (1 << unit) for k in ("lo_bytes", "mid_bytes", "hi_bytes"))
    raise LabError(f"the report has no point at {t} s")
