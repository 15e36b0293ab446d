#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The laboratory: real QEMU guests with a known dirtying pattern, and real migrations between them.

As a program (JSON on stdout, messages on stderr):
  lab.py run --guest rounds:25343 --ring 4096 --seconds 60
  lab.py migrate --ram 512 --guest rounds:25343 --rate 1gbit --downtime-limit 1200
  lab.py migrate ... --with 'dirtyprof -p {pid} 1' --with-output out.txt
As a module: Lab, Qemu, Migration, migrate().
"""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from netlab import DST_ADDR, Lab, LabError, exit_on_signals, stop  # noqa: E402
from qemu import Qemu  # noqa: E402

PORT = 4444  # in a network namespace of the run's own
UNLIMITED = 1 << 40
DONE = ("completed", "failed", "cancelled")
SAMPLED = ("transferred", "remaining", "normal-bytes", "dirty-sync-count", "dirty-pages-rate", "mbps",
           "precopy-bytes", "multifd-bytes", "downtime-bytes")


@dataclasses.dataclass
class Migration:
    """How to migrate. Bandwidths in bytes/s, times in ms unless said otherwise."""

    transport: str = "tcp"          # tcp: over the link; loopback: tcp in one namespace; unix
    rate: str = None                # of the link, as tc writes it; None: unlimited
    downtime_limit: int = 300
    max_bandwidth: int = UNLIMITED
    switchover_bandwidth: int = 0   # QEMU 8.2 and later
    multifd: int = 0                # channels, 0: off
    auto_converge: bool = False
    capabilities: tuple = ()        # further ones to switch on
    parameters: dict = dataclasses.field(default_factory=dict)
    poll: float = 0.05              # s between two query-migrate
    timeout: float = 60             # s; then the migration is cancelled


class Pair:
    """A source that runs and a destination that waits, connected as `how` says."""

    def __init__(self, lab, guest, ram, how, pin=False, **qemu_options):
        src_ns = dst_ns = None
        if how.transport == "tcp":
            src_ns, dst_ns = lab.link(how.rate)
            self.uri = f"tcp:{DST_ADDR}:{PORT}"
        elif how.transport == "loopback":
            src_ns = dst_ns = lab.netns()
            self.uri = f"tcp:127.0.0.1:{PORT}"
        elif how.transport == "unix":
            self.uri = f"unix:{lab.path('mig')}"
        else:
            raise LabError(f"no such transport: {how.transport}")
        self.how = how
        self.dst = Qemu(lab, guest, ram, name="dst", netns=dst_ns, incoming=True, **qemu_options)
        self.src = Qemu(lab, guest, ram, name="src", netns=src_ns, **qemu_options)
        if pin:
            self.src.pin()
        self.started = self.src.wait_running()

    def configure(self):
        """Capabilities and parameters on both sides; the destination listens."""
        how = self.how
        caps = ["events"] + list(how.capabilities)
        caps += ["multifd"] * bool(how.multifd) + ["auto-converge"] * how.auto_converge
        params = {"max-bandwidth": how.max_bandwidth, "downtime-limit": how.downtime_limit}
        if how.multifd:
            params["multifd-channels"] = how.multifd
        if how.switchover_bandwidth:
            params["avail-switchover-bandwidth"] = how.switchover_bandwidth
        params.update(how.parameters)
        for vm in (self.src, self.dst):
            vm.qmp.execute("migrate-set-capabilities",
                           {"capabilities": [{"capability": c, "state": True} for c in caps]})
            vm.qmp.execute("migrate-set-parameters", params)
        self.dst.qmp.execute("migrate-incoming", {"uri": self.uri})


def _sample(info, t):
    ram = info.get("ram", {})
    s = {"t": round(t, 4), "status": info["status"]}
    s.update({k.replace("-", "_"): ram[k] for k in SAMPLED if k in ram})
    for k in ("expected-downtime", "setup-time", "cpu-throttle-percentage"):
        if k in info:
            s[k.replace("-", "_")] = info[k]
    return s


def _follow(pair, samples):
    """Polls until the migration ends. Returns the last query-migrate."""
    how, t0, cancelled = pair.how, time.monotonic(), False
    while True:
        t = time.monotonic() - t0
        info = pair.src.qmp.execute("query-migrate")
        if "status" in info:
            samples.append(_sample(info, t))
            if info["status"] in DONE:
                return _settled(pair.src)
        if t > how.timeout + 20:
            raise LabError("the migration neither ends nor can be cancelled")
        if t > how.timeout and not cancelled:
            cancelled = True
            pair.src.qmp.execute("migrate_cancel")
        time.sleep(how.poll)


def _settled(vm, timeout=2):
    """QEMU says "completed" a moment before it has worked out its times."""
    deadline = time.monotonic() + timeout
    while True:
        info = vm.qmp.execute("query-migrate")
        if info["status"] != "completed" or info.get("total-time") or time.monotonic() > deadline:
            return info
        time.sleep(0.01)


def _resumed(vm, timeout=10):
    deadline = time.monotonic() + timeout
    while vm.qmp.execute("query-status")["status"] != "running":
        if time.monotonic() > deadline:
            raise LabError("the destination does not run")
        time.sleep(0.01)


def migrate(pair, before=None):
    """Migrates a Pair and returns what happened, ready for JSON. `before(pair)` is called just before."""
    pair.configure()
    if before:
        before(pair)
    src, dst, samples = pair.src, pair.dst, []
    at_start = src.state()
    wall = time.time()
    src.qmp.execute("migrate", {"uri": pair.uri})
    info = _follow(pair, samples)
    at_end = src.state()
    ran = at_end["tsc"] - at_start["tsc"]
    result = {
        "status": info["status"], "qemu_version": src.version(), "src_pid": src.pid, "dst_pid": dst.pid,
        "wall_start": wall, "mono_start": at_start["t"],
        "total_ms": info.get("total-time"), "downtime_ms": info.get("downtime"), "setup_ms": info.get("setup-time"),
        "error": info.get("error-desc"), "ram": info.get("ram"), "samples": samples,
        "syncs": info.get("ram", {}).get("dirty-sync-count"),
        "guest": {"writes": at_end["writes"] - at_start["writes"], "backlog": at_end["backlog"],
                  "writes_per_s": (at_end["writes"] - at_start["writes"]) / (ran / at_end["tsc_khz"] / 1000)
                  if ran else 0.0},
        "blackout_ms": None,
    }
    if info["status"] == "completed":
        _resumed(dst)
        src.qmp.execute("query-status")  # so that the events before it have been read
        left, came = src.qmp.event_time("STOP", wall), dst.qmp.event_time("RESUME", wall)
        if left and came:
            result["blackout_ms"] = round((came - left) * 1000, 3)
        result["guest"]["dst_writes_per_s"] = dst.true_rate(0.3)
    return result


class Companion:
    """A program that watches the source while it migrates. {pid}, {qmp} and {dst_pid} are filled in."""

    def __init__(self, lab, line, output, settle):
        self.lab, self.line, self.output, self.settle = lab, line, output, settle
        self.proc = None

    def __call__(self, pair):
        argv = [a.format(pid=pair.src.pid, qmp=pair.src.qmp_path, dst_pid=pair.dst.pid)
                for a in shlex.split(self.line)]
        with open(self.output, "wb") if self.output else open(os.devnull, "wb") as out:
            self.proc = self.lab.start(argv, stdout=out)
        time.sleep(self.settle)

    def finish(self):
        """It may end by itself (the VM is gone from here), else it is interrupted. Returns its status."""
        try:
            return self.proc.wait(5)
        except subprocess.TimeoutExpired:
            return stop(self.proc, signal.SIGINT, 10)


def cmd_migrate(lab, o):
    """lab.py migrate"""
    how = Migration(transport=o.transport, rate=o.rate, downtime_limit=o.downtime_limit, multifd=o.multifd,
                    max_bandwidth=o.max_bandwidth or UNLIMITED, switchover_bandwidth=o.switchover_bandwidth,
                    auto_converge=o.auto_converge, timeout=o.timeout, capabilities=tuple(o.capability))
    pair = Pair(lab, o.guest, o.ram, how, **qemu_options(o))
    companion = Companion(lab, o.with_command, o.with_output, o.settle) if o.with_command else None
    rate = pair.src.true_rate(0.5)
    result = migrate(pair, companion or (lambda _: time.sleep(o.settle)))
    result["guest"]["before_writes_per_s"] = rate
    if companion:
        result["with_status"] = companion.finish()
    if not o.samples:
        del result["samples"]
    json.dump(result, sys.stdout, indent=None if o.json else 2)
    print()
    return 0 if result["status"] == "completed" else 2


def cmd_run(lab, o):
    """lab.py run"""
    vm = Qemu(lab, o.guest, o.ram, **qemu_options(o))
    vm.wait_running()
    print(json.dumps({"event": "ready", "pid": vm.pid, "qmp": vm.qmp_path, "qemu_version": vm.version()}), flush=True)
    first, end = vm.state(), time.monotonic() + o.seconds
    try:
        while time.monotonic() < end and vm.proc.poll() is None:
            time.sleep(0.05)
    finally:
        if vm.proc.poll() is None:
            last = vm.state()
            print(json.dumps({"event": "end", "seconds": last["t"] - first["t"], "backlog": last["backlog"],
                              "writes": last["writes"] - first["writes"],
                              "writes_per_s": (last["writes"] - first["writes"]) / (last["t"] - first["t"])}),
                  flush=True)
    return 0


def qemu_options(o):
    """Those of Qemu that the command line gives."""
    return {"ring": o.ring, "smp": o.smp, "backing": o.backing, "machine": o.machine, "qemu": o.qemu,
            "debug_threads": not o.no_debug_threads, "accel": o.accel, "extra": shlex.split(o.qemu_args)}


def parser():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="command", required=True)
    vm = argparse.ArgumentParser(add_help=False)
    vm.add_argument("--guest", default="rounds:25343", help="pattern[,option...]: see tests/guest/guest.c")
    vm.add_argument("--ram", type=int, default=512, help="MiB")
    vm.add_argument("--ring", type=int, default=0, help="entries of the dirty ring, 0: bitmaps")
    vm.add_argument("--smp", type=int, default=1)
    vm.add_argument("--accel", default="kvm")
    vm.add_argument("--backing", choices=("anon", "hugetlb"), default="anon")
    vm.add_argument("--machine", default="pc")
    vm.add_argument("--qemu", help="the QEMU binary (or $QEMU)")
    vm.add_argument("--qemu-args", default="", help="further arguments, as the shell quotes them")
    vm.add_argument("--no-debug-threads", action="store_true")

    r = sub.add_parser("run", parents=[vm], help="boot a guest and let it run")
    r.add_argument("--seconds", type=float, default=30)
    r.set_defaults(func=cmd_run)

    m = sub.add_parser("migrate", parents=[vm], help="migrate a guest and say how it went; exit 2: did not complete")
    m.add_argument("--transport", choices=("tcp", "loopback", "unix"), default="tcp")
    m.add_argument("--rate", help="of the link, as tc writes it: 1gbit")
    m.add_argument("--downtime-limit", type=int, default=300, help="ms")
    m.add_argument("--max-bandwidth", type=int, default=0, help="bytes/s, 0: none")
    m.add_argument("--switchover-bandwidth", type=int, default=0, help="bytes/s")
    m.add_argument("--multifd", type=int, default=0, help="channels")
    m.add_argument("--auto-converge", action="store_true")
    m.add_argument("--capability", action="append", default=[])
    m.add_argument("--timeout", type=float, default=60, help="s; then it is cancelled")
    m.add_argument("--settle", type=float, default=0.5, help="s between the guest's start and the migration")
    m.add_argument("--with", dest="with_command", help="a program to run meanwhile; {pid} {qmp} {dst_pid}")
    m.add_argument("--with-output", help="file for its stdout")
    m.add_argument("--samples", action="store_true", help="also every query-migrate")
    m.add_argument("--json", action="store_true", help="on one line")
    m.set_defaults(func=cmd_migrate)
    return p


def main():
    """Entry."""
    options = parser().parse_args()
    exit_on_signals()
    try:
        with Lab() as lab:
            return options.func(lab, options)
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
