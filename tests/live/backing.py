#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""VMs on hugetlb pages of 2M and on transparent hugepages: x86 logs pages of 4K all the same. Pages, the roll-up to 2M, the
rate at 4K and the backing, each against arithmetic, through dpvmm and QEMU.

Hugepages are reserved for the test and given back after it."""
# timeout: 120

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import PAGE, Prof, Vmm, main, pages_at  # noqa: E402
from netlab import LabError  # noqa: E402
from qemu import Qemu  # noqa: E402

HUGE = 2 << 20
POOL = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
NEEDED = 3 * 64  # hugepages: three VMs of 128 MiB
THP = "/sys/kernel/mm/transparent_hugepage/enabled"


def read(path):
    """A small file's text."""
    with open(path, encoding="utf-8") as f:
        return f.read().strip()


class Hugepages:
    """So many more of them than there were, while it lasts. Others may do the same at the same time, so what is given back
    is what came, not what there was."""

    def __init__(self, n):
        self.reason, self.came = None, 0
        try:
            self.came = self._add(n)
            if self.came < n:
                self.reason = f"only {self.came} of {n} hugepages of 2M could be had"
        except OSError as e:
            self.reason = f"no hugepages of 2M: {e}"

    @staticmethod
    def _add(n):
        before = int(read(POOL + "nr_hugepages"))
        with open(POOL + "nr_hugepages", "w", encoding="utf-8") as f:
            f.write(str(max(0, before + n)))
        return int(read(POOL + "nr_hugepages")) - before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.came > 0:
            self._add(-self.came)


def smaps(pid):
    """Bytes in hugetlb pages and in transparent hugepages of a process, as the kernel says."""
    text = read(f"/proc/{pid}/smaps")

    def total(*keys):
        return sum(int(kb) << 10 for k in keys for kb in re.findall(rf"^{k}: +(\d+) kB", text, re.M))
    return total("Shared_Hugetlb", "Private_Hugetlb"), total("AnonHugePages", "ShmemPmdMapped")


def backing_is(report, huge, thp):
    """Whether the report's backing is that many bytes of each, and names the hugepage's size."""
    b = report["vm"]["backing"]
    return b["known"] and b["huge_bytes"] == huge and b["thp_bytes"] == thp and \
        b["huge_page_bytes"] == (HUGE if huge else 0) and report["vm"]["granule_bytes"] == PAGE


def dpvmm_cases(lab, tap, name, backing):
    """One page in each of 61 hugepages; the VMM touches no others. In all ways to log at once."""
    running = []
    for log in ("ring:4096", "manual", "bitmap"):
        vmm = Vmm(lab, "--log", log, "--backing", backing, "--mem", "128M", "--pattern", "rounds:61:6100", "--stride", "2M",
                  "--offset", "1M", "--sync-ms", "200")
        running.append((log, vmm, smaps(vmm.pid), Prof(lab, vmm.pid)))
    for _, vmm, _, _ in running:
        vmm.go()
    for log, vmm, kernel, prof in running:
        vmm.wait_syncs(4)
        report, seen = prof.finish(), [s["new_blocks"] for s in prof.records("sync") if not s["initial"]]
        vmm.end()
        # a busy host may keep the guest from running between two syncs: dpvmm's own log says so
        idle = sum(s["dirty"] == 0 for s in vmm.events("sync"))
        whole = sum(s["4K"] == 61 and s["2M"] == 61 for s in seen)
        tap.ok(whole >= 3 and whole + idle >= len(seen), f"dpvmm, {name}, {log}: 61 pages, one in each hugepage, at each sync",
               seen, f"{idle} without a page")
        want = (61 * HUGE, 0) if backing.startswith("hugetlb") else (0, 61 * HUGE)
        if backing == "thp" and kernel[1] != want[1]:
            tap.skip(f"dpvmm, {name}, {log}: the backing", f"the kernel gave {kernel[1] // HUGE} hugepages of 61")
            continue
        tap.ok(kernel == want and backing_is(report, *want), f"dpvmm, {name}, {log}: 61 hugepages back it", kernel,
               report["vm"]["backing"])


def dpvmm_rates(lab, tap, kinds):
    """1021 pages 64K apart, written in turn, 5105 a second: U(t) at 4K is 5105 t; n pages in a row lie in (n - 1) / 32 + 1
    hugepages, as a mean."""
    rate = 5105
    vmms = [Vmm(lab, "--log", "ring:4096", "--backing", backing, "--mem", "64M", "--pattern", f"rounds:1021:{rate}",
                "--stride", "64K", "--sync-ms", "500") for _, backing, _ in kinds]
    profs = [Prof(lab, v.pid) for v in vmms]
    for v in vmms:
        v.go()
    for v, prof, (name, _, _) in zip(vmms, profs, kinds):
        v.wait_syncs(8)
        report = prof.finish()
        v.end()
        got = report["dirty_rate_bytes_per_s"]["4K"]
        tap.ok(got["hi"] and 0.97 * got["lo"] / PAGE <= rate <= 1.03 * got["hi"] / PAGE,
               f"dpvmm, {name}: the rate at 4K is {rate} pages/s", {k: x and x / PAGE for k, x in got.items()})
        n = rate * 0.1
        for size, want, slack in (("4K", n, 0.03 * n), ("2M", (n - 1) / 32 + 1, 1)):
            lo, mid, hi = pages_at(report, 0.1, size)
            tap.ok(lo - slack <= want <= hi + slack, f"dpvmm, {name}: within 100 ms {want:.1f} blocks of {size}", lo, mid, hi)


def qemu_cases(lab, tap, kinds):
    """One page in each of 29 hugepages, through QEMU and its dirty-rate calculations."""
    vms = [Qemu(lab, f"rounds:29:2900,stride={HUGE}", 64, name=name.replace(" ", ""), backing=backing)
           for name, _, backing in kinds]
    for vm in vms:
        vm.wait_running()
    kernel = [smaps(vm.pid) for vm in vms]
    profs = [Prof(lab, vm.pid, "--start", "--window", "1s", positional=("1", "4")) for vm in vms]
    for (name, _, backing), vm, (huge, thp), prof in zip(kinds, vms, kernel, profs):
        report = prof.end()
        vm.proc.kill()
        judge_qemu(tap, name, backing, report, prof, huge, thp)


def judge_qemu(tap, name, backing, report, report_of, huge, thp):
    """One of them, and the bytes of hugepages that the kernel says it has."""
    seen = [s for s in report_of.records("sync") if s["since_s"] and s["since_s"] > 0.15 and not s["initial"]]
    # page 0 is the guest's own; its timer's stack and tables are below the pattern and may add a page of 4K and one of 2M
    tap.ok(len(seen) >= 2 and all(29 <= s["new_blocks"]["4K"] <= 31 and 29 <= s["new_blocks"]["2M"] <= 30 for s in seen),
           f"QEMU, {name}: 29 pages, one in each hugepage, at each sync", [s["new_blocks"] for s in seen])
    b = report["vm"]["backing"]
    if backing == "hugetlb":
        tap.ok(b["huge_bytes"] == huge >= 29 * HUGE and b["huge_page_bytes"] == HUGE and b["thp_bytes"] == 0,
               f"QEMU, {name}: hugepages of 2M back it", b, huge)
    elif thp < 29 * HUGE:
        tap.skip(f"QEMU, {name}: the backing", f"the kernel gave {thp // HUGE} transparent hugepages")
    else:
        tap.ok(29 * HUGE <= b["thp_bytes"] <= thp and b["huge_bytes"] == 0, f"QEMU, {name}: transparent hugepages back it",
               b, thp)
    tap.ok(report["vm"]["granule_bytes"] == PAGE, f"QEMU, {name}: KVM tells 4K apart", report["vm"])


def body(lab, tap):
    """Both kinds."""
    kinds = []
    with Hugepages(NEEDED) as pool:
        if pool.reason:
            tap.skip("hugetlb pages of 2M: nothing of it was tested", pool.reason)
        else:
            kinds.append(("hugetlb 2M", "hugetlb:2M", "hugetlb"))
        if not os.path.exists(THP) or "[never]" in read(THP):
            tap.skip("transparent hugepages: nothing of it was tested", "this kernel has them off")
        else:
            kinds.append(("THP", "thp", "anon"))
        for name, backing, _ in kinds:
            dpvmm_cases(lab, tap, name, backing)
        dpvmm_rates(lab, tap, kinds)
        try:
            qemu_cases(lab, tap, kinds)
        except LabError as e:
            tap.ok(False, "QEMU", e)


if __name__ == "__main__":
    sys.exit(main(body, "qemu-system-x86_64"))
