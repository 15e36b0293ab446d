#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Where dirty pages come from: pages at known places, each written once and in order, by part of RAM, slot and vCPU."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import Prof, Vmm, main  # noqa: E402

PARTS = 128
GIB = 1 << 18  # pages
BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def pages_of(text):
    """4K pages of a size."""
    return int(text[:-1]) * BYTES[text[-1]] // 4096


class Guest:
    """What dpvmm lays out (tests/vmm/arch_x86.c), by arithmetic."""

    def __init__(self, mem, stride, slots, vcpus):
        self.mem, self.stride, self.vcpus = pages_of(mem), pages_of(stride), vcpus
        # code and TSS, a mailbox a vCPU, page tables
        dirs = -(-self.mem // GIB)
        private = 2 + 9 * vcpus + 3 + -(-dirs // 512) + dirs
        # above 3 GiB RAM begins at 1 GiB and the private pages lie at 0; else they lie at 0xd0000000
        large = self.mem > 3 * GIB
        self.base = GIB if large else 0
        self.ram = sorted([(self.base, self.mem), (0 if large else 0xd0000, private)])
        self.slots = [(self.base + self.mem * i // slots, self.base + self.mem * (i + 1) // slots) for i in range(slots)]
        self.total = self.mem + private
        self.pattern = self.mem // self.stride

    def page(self, i):
        """Where page i of the pattern is."""
        return self.base + i * self.stride

    def gfn(self, k):
        """The k-th page of RAM."""
        for at, n in self.ram:
            if k < n:
                return at + k
            k -= n
        raise ValueError(k)

    def parts(self):
        """[(first, behind the last, pages)]"""
        cut = [self.total * b // PARTS for b in range(PARTS + 1)]
        return [(self.gfn(a), self.gfn(b - 1) + 1, b - a) for a, b in zip(cut, cut[1:])]

    def frames(self):
        """The same by frame of 1 GiB that has RAM."""
        out = {}
        for at, n in self.ram:
            for f in range(at // GIB, (at + n - 1) // GIB + 1):
                lo, hi = max(at, f * GIB), min(at + n, (f + 1) * GIB)
                was = out.get(f, (lo, hi, 0))
                out[f] = (was[0], hi, was[2] + hi - lo)
        return [out[f] for f in sorted(out)]

    def written(self, per_vcpu):
        """Pages after so many writes of each vCPU: each goes through its part of the pattern."""
        out = []
        for v, n in enumerate(per_vcpu):
            first = self.pattern * v // self.vcpus
            out += [self.page(first + i) for i in range(n)]
        return out


def count_in(ranges, pages):
    """How many of the pages lie in each range."""
    return [sum(lo <= p < hi for p in pages) for lo, hi, *_ in ranges]


def hottest(ranges, counts):
    """Rows as a report has them: (lo, hi, count), hottest first, of equals the lower."""
    rows = [(-n, r[0], r[1]) for r, n in zip(ranges, counts) if n]
    return [(lo, hi, -n) for n, lo, hi in sorted(rows)][:32]


def rows(items):
    """The same of the report."""
    return [(r["gfn_lo"], r["gfn_hi"], r["pages"]) for r in items]


def run(lab, mode, *args):
    """The report after about half of the pattern was written, and the intervals."""
    vmm = Vmm(lab, "--log", mode, "--sync-ms", "150", "--lockstep", *args)
    prof = Prof(lab, vmm.pid, positional=("0.1",))
    vmm.go()
    vmm.wait_syncs(4)
    report = prof.finish()
    vmm.end()
    return report, prof.records("interval")


def one(lab, tap, mode, mem, stride, slots, vcpus):  # pylint: disable=too-many-arguments,too-many-positional-arguments
    """One guest in one way to log."""
    name = f"{mode}, {mem}, a page each {stride}, {slots} slots, {vcpus} vCPUs"
    g = Guest(mem, stride, slots, vcpus)
    report, intervals = run(lab, mode, "--pattern", f"sweep:{g.pattern}:3000", "--stride", stride, "--mem", mem,
                            "--slots", str(slots), "--vcpus", str(vcpus))
    if not tap.ok(report and not report["self"]["lost"], f"{name}: measured", report and report["self"]):
        return
    hot, heat = report["hot"], report["heat"]
    total = hot["pages"]
    per_vcpu = [total]
    if mode.startswith("ring"):
        by = {r["vcpu"]: r["events"] for r in hot["by_vcpu"]}
        per_vcpu = [by.get(v, 0) for v in range(vcpus)]
        tap.ok(sum(per_vcpu) == total and min(per_vcpu) > 0, f"{name}: by vCPU", per_vcpu, total)
    else:
        tap.ok(not hot["by_vcpu"], f"{name}: no vCPUs where none are known", hot["by_vcpu"])
    pages = g.written(per_vcpu)
    parts = g.parts()
    want = count_in(parts, pages)
    tap.ok([heat[k] for k in ("gfn_lo", "gfn_hi", "ram_pages")] == [list(c) for c in zip(*parts)], f"{name}: the parts")
    tap.ok(heat["pages"] == want and total == len(pages) > 500, f"{name}: {total} pages by part of RAM",
           [(i, a, b) for i, (a, b) in enumerate(zip(heat["pages"], want)) if a != b])
    tap.ok(all(sum(i["new_by_part"]) == i["new_blocks"]["4K"] for i in intervals), f"{name}: intervals add up")
    frames = g.frames()
    ranges = frames if len(frames) > PARTS else parts
    tap.ok(rows(hot["by_region"]) == hottest(ranges, count_in(ranges, pages)), f"{name}: regions, hottest first",
           rows(hot["by_region"]))
    tap.ok(rows(hot["by_slot"]) == hottest(g.slots, count_in(g.slots, pages)), f"{name}: slots", hot["by_slot"])


def body(lab, tap):
    """All of it."""
    for mode in ("ring:4096", "bitmap", "manual"):
        one(lab, tap, mode, "256M", "64K", 3, 1)
        one(lab, tap, mode, "17G", "4M", 2, 1)
    one(lab, tap, "ring:4096", "256M", "64K", 1, 2)
    one(lab, tap, "manual", "160G", "64M", 3, 1)


if __name__ == "__main__":
    sys.exit(main(body))
