#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Recordings of a QEMU, measured by QMP and migrated, played: the same bytes as live, in text, JSON and Prometheus.

TAP on stdout. Needs root and /dev/kvm. BUILD is the build directory.
"""
# timeout: 120

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from lab import Migration, Pair, migrate  # noqa: E402
from live import DIRTYPROF, Prof, main, wait_until  # noqa: E402


class Text:
    """dirtyprof without --json beside a migration, recorded."""

    def __init__(self, lab, pid, *args):
        self.out, self.trace, self.prom = (lab.path(lab.unique(n)) for n in ("text", "trace", "prom"))
        self.prom += ".prom"
        with open(self.out, "wb") as out:
            self.proc = lab.start([DIRTYPROF, "-p", str(pid), "--record", self.trace, "--prometheus", self.prom, *args, "0.5"],
                                  stdout=out)
        wait_until("its header", lambda: os.path.getsize(self.out) > 0)


def contents(path):
    """Of a file."""
    with open(path, "rb") as f:
        return f.read()


def play(trace, *args):
    """What a trace shows. Returns (exit status, stdout, stderr)."""
    done = subprocess.run([DIRTYPROF, "report", trace, *args], capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def same(tap, name, live, trace, args, status):
    """Whether the trace shows what was printed live."""
    got = play(trace, *args)
    if tap.ok(got[1] == live and got[0] == status, f"{name}: the same {len(live)} bytes", f"status {status}, played {got[0]}", got[2]):
        return
    for a, b in zip(live.splitlines(), got[1].splitlines()):
        if a != b:
            tap.note(f"live   {a[:300]!r}")
            tap.note(f"played {b[:300]!r}")
            return


def body(lab, tap):
    """Measured with --start, then watched by two at once while it migrates, with QMP and without."""
    pair = Pair(lab, "tiers:503:5000:20011:9000,fill=100", 256, Migration(rate="1gbit", downtime_limit=200, timeout=30))
    trace = lab.path("before.trace")
    prof = Prof(lab, pair.src.pid, f"--start={pair.src.qmp_path}", "--bandwidth", "956M", "--record", trace,
                positional=("0.5", "6"))
    prof.end()
    same(tap, "measured by QMP's dirty-rate calculation", contents(prof.out), trace, ("--json",), prof.proc.returncode)
    trace = lab.path("during.trace")
    watchers = []

    def attach(pair):
        watchers.append(Prof(lab, pair.src.pid, "--qmp", pair.src.qmp_path, "--bandwidth", "956M", "--record", trace,
                             positional=("0.5",)))
        watchers.append(Text(lab, pair.src.pid, "--bandwidth", "956M", "--downtime-limit", "200ms"))

    result = migrate(pair, attach)
    with_qmp, text = watchers
    report = with_qmp.finish()
    text.proc.wait(20)
    tap.ok(result["status"] == "completed" and report and report["migration"]["outcome"] == "done",
           "a migration was recorded to its end", result["status"])
    same(tap, "a migration, with QMP, JSON", contents(with_qmp.out), trace, ("--json",), with_qmp.proc.returncode)
    same(tap, "a migration, text", contents(text.out), text.trace, (), text.proc.returncode)
    prom = lab.path("played.prom")
    play(text.trace, "--prometheus", prom)
    tap.ok(contents(prom) == contents(text.prom), "its Prometheus file is the same")


if __name__ == "__main__":
    sys.exit(main(body, "qemu-system-x86_64", "ip", "tc"))
