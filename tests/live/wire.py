#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Bytes on the wire against QEMU's own count, over whole migrations of every kind.

TAP on stdout. Needs root and /dev/kvm. BUILD is the build directory.
"""
# timeout: 150

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from lab import Migration, Pair, migrate  # noqa: E402
from live import Prof, main  # noqa: E402
from netlab import Lab  # noqa: E402

P = 10007
GUEST = f"rounds:{P}:30000,fill=64"
CAP = 128 << 20
# name, how to migrate, further arguments of QEMU's, attach when: before, or in the middle
CASES = (
    ("tcp over a link", {"rate": "1gbit"}, {}, "before"),
    ("tcp, attached in its middle", {"rate": "400mbit"}, {}, "middle"),
    ("tcp, multifd 4", {"transport": "loopback", "multifd": 4, "max_bandwidth": CAP}, {}, "before"),
    ("tcp, multifd 4, threads without names", {"transport": "loopback", "multifd": 4, "max_bandwidth": CAP},
     {"debug_threads": False}, "before"),
    ("unix", {"transport": "unix", "max_bandwidth": CAP}, {}, "before"),
    ("unix, threads without names", {"transport": "unix", "max_bandwidth": CAP}, {"debug_threads": False}, "before"),
    ("unix, multifd 4", {"transport": "unix", "multifd": 4, "max_bandwidth": CAP}, {}, "before"),
    ("tcp, dirty ring", {"rate": "1gbit"}, {"ring": 4096}, "before"),
)


def one(lab, tap, name, how, qemu, when):
    """One migration."""
    guest = GUEST + (",exit=16" if qemu.get("ring") else "")
    pair = Pair(lab, guest, 256, Migration(downtime_limit=700, timeout=30, poll=0.02, **how), **qemu)
    started = []

    over = threading.Event()

    def attach(delay=0.0):
        time.sleep(delay)
        started.append(Prof(lab, pair.src.pid, attached=False))

    def attach_later():
        attach(0.7)
        over.wait(60)  # what a thread started is killed when the thread ends

    def before(_):
        if when == "middle":
            threading.Thread(target=attach_later, daemon=True).start()
            return
        attach()
        started[0].wait_for("start")
    result = migrate(pair, before)
    report = started[0].end() if started else None
    over.set()
    said = report["migration"]["sent_bytes"] if report else None
    true = result["ram"]["transferred"] if result["ram"] else None
    tap.ok(said and true and abs(said - true) <= 0.01 * true, f"{name}: bytes within 1 % of QEMU's",
           f"dirtyprof {said}, QEMU {true}", result["status"], result.get("error"),
           started[0].messages() if started else "never attached")
    if not report:
        return
    tap.ok(report["migration"]["outcome"] == "done", f"{name}: its end was seen", report["migration"]["outcome"])
    want = 1 + how.get("multifd", 0)
    tap.ok(report["migration"]["channels"] == want, f"{name}: {want} channels", report["migration"]["channels"])


def body(_, tap):
    """All cases, each in a laboratory of its own."""
    for case in CASES:
        with Lab() as lab:
            one(lab, tap, *case)


if __name__ == "__main__":
    sys.exit(main(body))
