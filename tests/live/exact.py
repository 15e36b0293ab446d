#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Exactness: each sync's distinct pages and blocks equal what the guest wrote, in every way to log, at any speed."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import DIRTYPROF, SIZES, Prof, Vmm, main  # noqa: E402
from netlab import LabError  # noqa: E402
from qemu import Qemu  # noqa: E402

P = 10007  # prime


def run_pair(lab, guests, syncs, *options):
    """Runs the guests at once, each with a dirtyprof. Returns [(vmm's syncs, records, report, end event)]."""
    vmms = [Vmm(lab, *g) for g in guests]
    profs = [Prof(lab, v.pid, *options, positional=("0.1",)) for v in vmms]
    for v in vmms:
        v.go()
    for v in vmms:
        v.wait_syncs(syncs)
    out = []
    for v, p in zip(vmms, profs):
        report = p.finish()
        end = v.end()
        out.append((v.events("sync"), p.records("sync"), report, end))
    return out


def run_steady(lab, guests, syncs, *options):
    """As run_pair, of guests that wrote something before each sync: on a busy machine one may get no CPU for so long, and a
    sync of a ring that finds nothing to reset is invisible."""
    for _ in range(3):
        out = run_pair(lab, guests, syncs, *options)
        if all(t["written"] > 500 for truth, seen, _, _ in out for t in truth[1:max(syncs, len(seen))]):
            break
    return out


def show(truth, seen, report):
    """Both lists, for a failure."""
    return ([f"lost: {report['self'] if report else 'no report'}",
             f"dpvmm: {[(round(t['t'], 3), t['dirty'], t['written'], t['blocks']) for t in truth]}",
             f"dirtyprof: {[(round(s['at_s'], 3), s['since_s'], s['new_blocks'], s['reported_pages']) for s in seen]}"])


def same(truth, seen, syncs, field):
    """Whether the syncs agree, page for page and block for block."""
    if len(seen) < syncs:
        return False
    for t, s in zip(truth, seen):
        if t["initial"] != s["initial"]:
            return False
        if t["initial"]:
            continue
        if s["new_blocks"]["4K"] != t[field] or s["reported_pages"] != t["dirty"]:
            return False
        if any(s["new_blocks"][size] != t["blocks"][size] for size in SIZES[1:]):
            return False
    return True


def lost(report):
    """Whether a report admits a loss."""
    return report is None or report["self"]["lost"] or report["self"]["unknown_slot"]


# P pages from address 0 on: ceil(P / pages of a block)
FULL = {size: -(-P // pages) for size, pages in (("64K", 16), ("2M", 512), ("16M", 4096), ("1G", 1 << 18))}
MODES = ("ring:4096", "bitmap", "manual", "manual-init")


def full_speed(lab, tap):
    """P pages, over and over, as fast as the guest can. On a busy machine it may not come round between two syncs; such a
    sync says nothing of P. With a ring, a sync that finds nothing to reset (a vCPU just did) is invisible."""
    best = 0
    for mode in MODES:
        guests = [["--cpu", cpu, "--log", mode, "--pattern", f"rounds:{P}", "--sync-ms", "250"]
                  for cpu in ("native", "emulated")]
        for g, (truth, seen, report, end) in zip(guests, run_pair(lab, guests, 4)):
            ring = mode.startswith("ring")
            whole = [s for s in seen if s["new_blocks"] == {"4K": P, **FULL}]
            steady = all(t["dirty"] == P or t["initial"] for t in truth[:len(seen)])
            good = len(whole) >= 2 and not lost(report) and all(s["new_blocks"]["4K"] <= P for s in seen)
            good = good and (len(whole) == len([s for s in seen if not s["initial"]]) or not steady)
            tap.ok(good and (ring or same(truth, seen, 4, "dirty")),
                   f"{g[1]}, {mode}: {P} pages at each sync, full speed", *show(truth, seen, report))
            best = max(best, end["pages_per_s"] if end and g[1] == "emulated" else 0)
    tap.note(f"fastest emulated guest: {best:.0f} writes/s")


def lockstep(lab, tap):
    """Two vCPUs and three slots, written at random: dirtyprof against what the guests were told to write."""
    for mode in MODES:
        guests = [["--cpu", cpu, "--log", mode, "--pattern", "uniform:50021:20000", "--sync-ms", "150", "--slots", "3",
                   "--vcpus", "2", "--lockstep"] for cpu in ("native", "emulated")]
        for g, (truth, seen, report, _) in zip(guests, run_steady(lab, guests, 4)):
            good = same(truth, seen, 4, "written") and not lost(report) and \
                all(t["written"] > 500 for t in truth[1:len(seen)])
            tap.ok(good, f"{g[1]}, {mode}: what was written, at each sync; 2 vCPUs, 3 slots", *show(truth, seen, report))


def each_hook(lab, tap):
    """The same by each hook that this kernel gives, not only by the one that is taken."""
    out = subprocess.run([DIRTYPROF, "features", "--json"], capture_output=True, text=True, timeout=30, check=False).stdout
    for f in map(json.loads, out.splitlines()):
        mode = {"ring": "ring:4096", "harvest": "manual"}.get(f["what"])
        if not mode or not f["works"] or f["chosen"]:
            continue
        guest = ["--log", mode, "--pattern", "uniform:50021:20000", "--sync-ms", "150", "--slots", "3", "--vcpus", "2",
                 "--lockstep"]
        (truth, seen, report, _), = run_steady(lab, [guest], 4, "--hook", f"{f['what']}={f['how']}")
        tap.ok(same(truth, seen, 4, "written") and not lost(report), f"{f['what']} by {f['hook']}: what was written",
               *show(truth, seen, report))


# pages, distance, first address, memory -> blocks of 64K, 2M, 16M, 1G that hold one, by arithmetic
STRIDES = (
    (61, "2M", "1M", "256M", {"64K": 61, "2M": 61, "16M": 8, "1G": 1}),
    (1021, "64K", "0", "256M", {"64K": 1021, "2M": 32, "16M": 4, "1G": 1}),
    (127, "16M", "4K", "2G", {"64K": 127, "2M": 127, "16M": 127, "1G": 2}),
    (17, "1G", "0", "17G", {"64K": 17, "2M": 17, "16M": 17, "1G": 17}),
)


def blocks(lab, tap):
    """Pages at known distances."""
    for pages, stride, offset, mem, want in STRIDES:
        guests = [["--log", mode, "--pattern", f"rounds:{pages}:20000", "--stride", stride, "--offset", offset,
                   "--sync-ms", "150", "--mem", mem] for mode in ("ring:4096", "manual")]
        for g, (truth, seen, report, _) in zip(guests, run_pair(lab, guests, 3)):
            good = same(truth, seen, 3, "dirty") and all(
                s["new_blocks"] == {"4K": pages, **want} for s in seen[:3])
            tap.ok(good, f"{g[1]}: {pages} pages {stride} apart are {want}", *show(truth, seen, report))


def churn(lab, tap):
    """A slot that goes and comes back under another id. Each page is written once, so the sum over all syncs is exact
    however they fall."""
    guests = [["--log", mode, "--pattern", "sweep:60013:30000", "--sync-ms", "200", "--slots", "4", "--churn-ms", "170",
               "--lockstep"] for mode in ("ring:4096", "manual", "bitmap")]
    for g, (truth, seen, report, end) in zip(guests, run_pair(lab, guests, 6)):
        wrote = sum(t["written"] for t in truth[:6])
        got = report["seen_bytes"] // 4096 if report else -1
        tap.ok(end and got >= wrote > 20000 and got <= end["distinct"] and not lost(report),
               f"{g[1]}: a slot that comes and goes loses nothing",
               f"written {wrote}, seen {got}, lost {report['self'] if report else '-'}", *show(truth, seen, report))


def went_round(vm, until):
    """Whether the guest wrote all its pages several times a second until then. On a busy machine it may get no CPU for a good
    while, and KVM's ring makes emulated guests stop now and then, with or without dirtyprof."""
    steady, last = True, vm.state()
    while not until():
        time.sleep(0.15)
        now = vm.state()
        steady = steady and now["writes"] - last["writes"] >= P
        last = now
    return steady


def qemu_syncs(lab, name, options):
    """A QEMU guest's syncs, its dirty-rate calculations asked for by --start. None: the guest did not run all the time."""
    vm = Qemu(lab, f"rounds:{P}", 64, name=name, **options)
    vm.wait_running()
    prof = Prof(lab, vm.pid, "--start", "--window", "1s", positional=("1", "4"))
    ran = went_round(vm, lambda: prof.proc.poll() is not None)
    last = prof.end()
    vm.proc.kill()
    return (prof, last) if ran else None


def whole_syncs(prof):
    """Those long enough for a round of the guest: a window begins when logging does, or when the reaper comes."""
    return [s for s in prof.records("sync") if s["since_s"] and s["since_s"] > 0.15 and not s["initial"]]


def in_qemu(lab, tap):
    """The same through QEMU."""
    for kind, options in (("bitmap", {}), ("ring", {"ring": 65536})):
        name = f"QEMU, {kind}: {P} pages at each sync"
        got = next(filter(None, (qemu_syncs(lab, f"{kind}{i}", options) for i in range(3))), None)
        if not got:
            tap.skip(name, "the guest stood still for a while, three times: a busy machine, or its KVM")
            continue
        prof, last = got
        seen = whole_syncs(prof)
        tap.ok(len(seen) >= 2 and all(s["new_blocks"]["4K"] == P for s in seen) and not lost(last), name,
               [(s["at_s"], s["since_s"], s["new_blocks"]["4K"], s["reported_pages"]) for s in prof.records("sync")],
               prof.messages())


def plug_one(lab, name):
    """A VM that gets a vCPU while it is watched: its dirtyprof and last record. None: the guest did not run all the time."""
    vm = Qemu(lab, f"rounds:{P}", 64, name=name, ring=65536, smp="1,maxcpus=2")
    vm.wait_running()
    prof = Prof(lab, vm.pid)
    free = next(c for c in vm.qmp.execute("query-hotpluggable-cpus") if "qom-path" not in c)
    vm.qmp.execute("device_add", {"driver": free["type"], "id": "cpu1", **free["props"]})
    ran = True
    for _ in range(3):
        # not while one runs: QEMU 7.2 aborts when a vCPU is plugged in then
        vm.qmp.execute("calc-dirty-rate", {"calc-time": 1, "mode": "dirty-ring"})
        ran = went_round(vm, lambda: vm.qmp.execute("query-dirty-rate")["status"] == "measured") and ran
    last = prof.finish()
    vm.proc.kill()
    return (prof, last) if ran else None


def plugged(lab, tap):
    """The plugged vCPU has a ring of its own, and each sync resets both."""
    name = f"QEMU, ring: {P} pages at each sync, also after a vCPU was plugged in"
    got = next(filter(None, (plug_one(lab, f"plug{i}") for i in range(3))), None)
    if not got:
        tap.skip(name, "the guest stood still for a while, three times: a busy machine, or its KVM")
        return
    prof, last = got
    seen = whole_syncs(prof)
    tap.ok("starting over" in prof.messages() and len(seen) >= 2 and not lost(last) and
           all(s["new_blocks"]["4K"] == P for s in seen), name,
           [(s["at_s"], s["since_s"], s["new_blocks"]["4K"]) for s in prof.records("sync")], prof.messages())


def body(lab, tap):
    """All of it."""
    full_speed(lab, tap)
    lockstep(lab, tap)
    each_hook(lab, tap)
    blocks(lab, tap)
    churn(lab, tap)
    try:
        in_qemu(lab, tap)
        plugged(lab, tap)
    except LabError as e:
        tap.ok(False, "QEMU", e)


if __name__ == "__main__":
    sys.exit(main(body, "qemu-system-x86_64"))
