#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""dirtyprof predict against the verdict of the profile itself, live and from its JSON.

TAP on stdout. Needs root and /dev/kvm. BUILD is the build directory.
"""
# timeout: 90

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import DIRTYPROF, Prof, main  # noqa: E402
from qemu import Qemu  # noqa: E402

P = 25343
PATH = "956M"


def predict(*args, stdin=None):
    """Runs it. Returns (status, table record or None, stderr)."""
    done = subprocess.run([DIRTYPROF, "predict", "--json", *args], capture_output=True, text=True, timeout=60, check=False,
                          input=stdin)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def same(a, b, share):
    """Two estimates, null for null."""
    return all((a[k] is None) == (b[k] is None) and (a[k] is None or abs(a[k] - b[k]) <= share * abs(b[k])) for k in a)


def against_report(tap, prof, report, limit):
    """The cell of the report's own bandwidth and limit."""
    status, table, err = predict("--bandwidth", PATH, "--downtime-limit", f"{limit}s", prof.out)
    if not tap.ok(table and len(table["cells"]) == 1, f"limit {limit} s: a table of one cell", err):
        return
    cell, pred = table["cells"][0], report["prediction"]
    tap.ok(cell["verdict"] == pred["verdict"] and status == prof.proc.returncode,
           f"limit {limit} s: verdict and exit status of the profile", cell, pred["verdict"], status)
    tap.ok(same(cell["total_s"], pred["total_s"], 0.002) and same(cell["downtime_s"], pred["downtime_s"], 0.002),
           f"limit {limit} s: its total time and downtime", cell, pred)


def body(lab, tap):
    """A guest that rewrites 99 MiB: never at 0.3 s, converges at 2 s."""
    vm = Qemu(lab, f"rounds:{P}", 512)
    vm.wait_running()
    for limit in (0.3, 2):
        prof = Prof(lab, vm.pid, "--start", "--window", "2s", "--bandwidth", PATH, "--downtime-limit", f"{limit}s",
                    positional=("1", "4"))
        report = prof.end()
        tap.ok(report["prediction"]["verdict"] == ("never" if limit < 1 else "converges"), f"limit {limit} s: the profile's verdict",
               report["prediction"]["verdict"])
        against_report(tap, prof, report, limit)
    lists = ("--bandwidth", f"{PATH},10G", "--downtime-limit", "300ms,2s")
    with open(prof.out, encoding="utf-8") as f:
        whole = f.read()
    _, from_file, _ = predict(*lists, prof.out)
    _, from_stdin, _ = predict(*lists, "-", stdin=whole)
    tap.ok(from_file and from_file == from_stdin, "a file and stdin give the same", from_stdin)
    status, table, err = predict("-p", str(vm.pid), "--start", *lists, "1", "4")
    verdicts = [c["verdict"] for c in table["cells"]] if table else []
    tap.ok(status == 0 and len(verdicts) == 4 and verdicts[:2] == ["never", "converges"], "live: measured, and a table",
           status, verdicts, err)
    cut = whole[:-200]
    status, table, err = predict("-", stdin=cut)
    tap.ok(status == 1 and table is None and err.count("\n") == 1 and "line" in err, "a file that was cut: one clear line", err)
    status, table, err = predict("-p", str(vm.pid), *lists, "50ms", "4")
    tap.ok(status == 1 and table is None and "--start" in err, "a VM that does not log: one clear line", status, err)


if __name__ == "__main__":
    sys.exit(main(body))
