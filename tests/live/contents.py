#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Silent rewrites: what of the dirty pages really changed, by sampled contents, against guests that write a known part of
their pages with what these hold already."""
# timeout: 150

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import PAGE, Prof, Vmm, main  # noqa: E402
from netlab import LabError  # noqa: E402
from qemu import Qemu  # noqa: E402

P = 20011  # prime; more than is read at a sync
MIB = 1 << 20


def share_by_hand(pages, same):
    """Of pages 0 .. pages - 1 those i change for which i mod 100 is not below same."""
    return sum(i % 100 >= same for i in range(pages)) / pages


def estimate(report):
    """The report's estimate and what it rests on."""
    c = report["really_changed"]
    return c["share"]["lo"], c["share"]["mid"], c["share"]["hi"], c


def within(truth, lo, mid, hi, width):
    """An 80 % interval holds the truth four times out of five; two and a half times as wide it does so 99.9 %. Its upper
    end also has what the reading came too late for, which on a busy machine is much."""
    return mid - lo <= width and mid - 2.5 * (mid - lo) - 1e-9 <= truth <= max(hi, mid + 2.5 * (mid - lo)) + 1e-9


def run_all(lab, cases, syncs=7):
    """Guests of dpvmm's at once, each [guest's options, dirtyprof's options]. Returns [(dpvmm's syncs, report)]."""
    vmms = [Vmm(lab, *guest) for guest, _ in cases]
    profs = [Prof(lab, v.pid, *args, positional=("1",)) for v, (_, args) in zip(vmms, cases)]
    for v in vmms:
        v.go()
    for v in vmms:
        v.wait_syncs(syncs, 30)
    reports = [p.finish() for p in profs]
    for v in vmms:
        v.end()
    return [(v.events("sync"), r) for v, r in zip(vmms, reports)]


def run(lab, guest, *args, syncs=7):
    """One such guest."""
    return run_all(lab, [(guest, args)], syncs)[0]


def sampled(lab, tap):
    """More pages than are read at a sync, a part of which changes."""
    for mode, same in (("bitmap", 90), ("ring:4096", 35), ("manual-init", 5)):
        truth = share_by_hand(P, same)
        syncs, report = run(lab, ["--log", mode, "--pattern", f"rounds:{P}", "--same", str(same), "--sync-ms", "400"],
                            "--compare")
        lo, mid, hi, c = estimate(report)
        # dpvmm's own count says the same of each sync at which the guest had come round
        own = {s["changed"] / s["written"] for s in syncs[1:-1] if s["written"] == P}
        tap.ok(own <= {truth} and mid is not None and within(truth, lo, mid, hi, 0.02),
               f"{mode}: {truth:.3f} of {P} pages changed", f"{lo} {mid} {hi}, dpvmm {own}", c)
        tap.ok(c["granule_bytes"] == PAGE and c["windows"] >= 3 and c["read_limit_bytes_per_s"] == 64 * MIB and
               c["read_bytes"] <= 64 * MIB * report["t_s"], f"{mode}: read no more than it may", c, report["t_s"])


def census(lab, tap):
    """Few pages: all are compared, and the answer is exact. A page changes if it is told another value, so none is missed
    where each is written many times between two syncs."""
    cases = ((0, 3), (50, 997))
    runs = run_all(lab, [(["--log", "bitmap", "--pattern", f"rounds:{pages}", "--same", str(same), "--stride", "64K",
                           "--sync-ms", "300"], ["--compare"]) for same, pages in cases])
    for (same, pages), (_, report) in zip(cases, runs):
        truth = share_by_hand(pages, same)
        lo, mid, _, c = estimate(report)
        tap.ok(mid is not None and abs(mid - truth) < 1e-9 and abs(lo - mid) < 1e-9,
               f"{pages} pages, {truth:.3f} of them changed: exact", c)


def bounded(lab, tap):
    """A low rate is kept, and what is found is still right."""
    rate = 2 * MIB
    _, report = run(lab, ["--log", "manual", "--pattern", f"rounds:{P}", "--same", "35", "--sync-ms", "300"],
                    "--compare=2MiB/s", syncs=16)
    lo, mid, hi, c = estimate(report)
    tap.ok(c["read_limit_bytes_per_s"] == rate and 0 < c["read_bytes"] <= rate * report["t_s"],
           "2 MiB/s are kept", c, report["t_s"])
    truth = share_by_hand(P, 35)
    tap.ok(mid is not None and within(truth, lo, mid, hi, 0.06), "and hold the truth", f"{lo} {mid} {hi}, truth {truth}", c)


def off(lab, tap):
    """On x86 nothing is read unless asked for; nor with --no-compare."""
    cases = ([], ["--compare", "--no-compare"])
    guest = ["--log", "bitmap", "--pattern", "rounds:997", "--sync-ms", "200"]
    for args, (_, report) in zip(cases, run_all(lab, [(guest, args) for args in cases], syncs=3)):
        c = report["really_changed"]
        tap.ok(not c["compared"] and not c["read_bytes"] and c["share"]["mid"] is None, f"off: {args}", c)


def in_qemu(lab, tap):
    """QEMU's guests: all pages written with what they hold but one (the guest's counters), and all changed."""
    cases = (("silent", f"silent:{P}", 1 / P), ("loud", f"rounds:{P}", 1.0))
    vms = [Qemu(lab, pattern, 128, name=name) for name, pattern, _ in cases]
    for vm in vms:
        vm.wait_running()
    profs = [Prof(lab, vm.pid, "--start", "--window", "1s", "--compare", positional=("1", "4")) for vm in vms]
    for vm, prof, (_, pattern, truth) in zip(vms, profs, cases):
        report = prof.end()
        vm.proc.kill()
        lo, mid, hi, c = estimate(report)
        tap.ok(mid is not None and within(truth, lo, mid, hi, 0.02),
               f"QEMU, {pattern}: {truth:.5f} of the pages changed", f"{lo} {mid} {hi}", c)


def body(lab, tap):
    """All of it."""
    sampled(lab, tap)
    census(lab, tap)
    bounded(lab, tap)
    off(lab, tap)
    try:
        in_qemu(lab, tap)
    except LabError as e:
        tap.ok(False, "QEMU", e)


if __name__ == "__main__":
    sys.exit(main(body, "qemu-system-x86_64"))
