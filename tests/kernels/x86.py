# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The x86 half: Debian's kernels as KVM hosts under emulated SVM with nested paging."""

import os

import boot
import entries
import migrate

ARCH, MMU = "x86_64", "npt"
FLAVOUR = "cloud-amd64"  # the smallest
# The oldest is there for its layout of memslots; one of each series is enough.
SUITES = ("bullseye", "bookworm", "trixie", "sid")
QEMU = ("bookworm-backports", "amd64", ["qemu-system-x86"], True)
PAGES = 1009  # prime
# How the VM logs, and whether the test VMM's guest is a 64-bit or a 32-bit one
MODES = ("ring:4096", "bitmap", "manual@emulated", "manual-init")
CONF = {"MODES": " ".join(MODES), "P": PAGES, "RUN_S": 2, "SYNC_MS": 400, "SETTLE_S": 100, "VMM_ARGS": ""}

HOPS = ("tcp", "unix")
# Firmware that reaches the guest at once; a guest that rewrites some of the 48 MiB that it filled.
SHARE = "/usr/share/qemu"
FIRMWARE = [f"{SHARE}/{f}" for f in ("qboot.rom", "kvmvapic.bin", "multiboot.bin", "multiboot_dma.bin", "linuxboot_dma.bin")]
MIGRATE = {"QEMU": f"/usr/bin/qemu-system-x86_64 -L {SHARE} -bios {SHARE}/qboot.rom -accel kvm -m 96 -nodefaults "
                   "-no-user-config -display none -vga none -kernel /dpguest.elf "
                   f"-append dp=rounds:{PAGES}:5000,fill=48",
           "START_S": 90, "LIMIT_MS": 800, "BANDWIDTH": 16 << 20, "END_S": 90, "SETTLE_S": 100, "HOPS": " ".join(HOPS)}


def built(name):
    """A file that make built."""
    return os.path.join(entries.TOP, os.environ.get("BUILD", "build"), name)


def _fill(image):
    image.program("/bin/dirtyprof", built("dirtyprof"))
    image.program("/bin/dpvmm", built("tests/dpvmm"))


def _judge(entry, run):
    return entries.judge_modes(entry, run, MODES, PAGES) + entries.complaint_rows(entry, run)


def _modes(store, machine, kernel, series):
    def image():
        i = entries.base_image(store, "amd64", kernel, ["kvm_amd"], "modes.sh", CONF)
        _fill(i)
        return i
    return entries.Entry(f"x86-{series}-modes", kernel, series, ARCH, MMU, machine, image, _judge, "mitigations=off",
                         promises=tuple((m, "taken by itself") for m in MODES), cost=100)


def _migrate(store, tree, kernel, series):
    def image():
        i = entries.base_image(store, "amd64", kernel, ["kvm_amd"], "migrate.sh", MIGRATE)
        _fill(i)
        i.chroot("/qemu", tree, ["/usr/bin/qemu-system-x86_64"], FIRMWARE)
        i.copy("/qemu/dpguest.elf", built("tests/dpguest.elf"))
        return i

    def judge(entry, run):
        return migrate.judge(entry, run, HOPS) + entries.complaint_rows(entry, run)
    return entries.Entry(f"x86-{series}-qemu", kernel, series, ARCH, MMU, boot.x86(tree, smp=2, mem=1536, timeout=400), image,
                         judge, "mitigations=off", promises=tuple((f"QEMU, {h}", "migration") for h in HOPS), cost=80)


def plan(store):
    """(entries, rows for what cannot be had)"""
    out, rows, seen = [], [], set()
    try:
        tree = store.tree(*QEMU)
    except entries.FetchError as e:
        return [], [entries.unavailable("all", ARCH, MMU, e)]
    machine = boot.x86(tree, smp=1, mem=512, timeout=400)
    for suite in SUITES:
        try:
            kernel = store.kernel(suite, "amd64", FLAVOUR)
        except entries.FetchError as e:
            rows.append(entries.unavailable(f"of {suite}", ARCH, MMU, e))
            continue
        series = entries.series_of(kernel.release)
        if series in seen:
            continue
        seen.add(series)
        out.append(_modes(store, machine, kernel, series))
        out.append(_migrate(store, tree, kernel, series))
    return out, rows
