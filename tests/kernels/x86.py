# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The x86 half: Debian's kernels as KVM hosts under emulated SVM with nested paging."""

import os

import boot
import curves
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
# A VM on huge pages: pages 2 MiB apart, so that each dirties a block of 2 MiB of its own.
HUGE_PAGES, HUGE_OF = 61, 2 << 20
HUGE = f"--pattern rounds:{HUGE_PAGES} --stride 2M --offset 1M --mem 128M --backing"
BACKED_ON = "6.12"
BACKED = ("bitmap+hugetlb", "manual+thp")
CONF = {"P": PAGES, "RUN_S": 5, "SYNC_MS": 600, "SETTLE_S": 200, "VMM_ARGS": "", "PLAIN": "hugetlb thp",
        "VMM_ARGS_hugetlb": f"{HUGE} hugetlb:2M", "VMM_ARGS_thp": f"{HUGE} thp"}
# The curve of marks: on the oldest kernel that has them and on the newest.
CURVED_ON = ("6.1", "7.2")

HOPS = ("tcp", "unix")
OLDEST = "5.10"
# Firmware that reaches the guest at once; a guest that rewrites some of the 32 MiB that it filled.
SHARE = "/usr/share/qemu"
FIRMWARE = [f"{SHARE}/{f}" for f in ("qboot.rom", "kvmvapic.bin", "multiboot.bin", "multiboot_dma.bin", "linuxboot_dma.bin")]
MIGRATE = {"QEMU": f"/usr/bin/qemu-system-x86_64 -L {SHARE} -bios {SHARE}/qboot.rom -accel kvm -m 96 -nodefaults "
                   "-no-user-config -display none -vga none -kernel /dpguest.elf "
                   f"-append dp=rounds:{PAGES}:5000,fill=32",
           "START_S": 90, "LIMIT_MS": 800, "BANDWIDTH": 16 << 20, "END_S": 90, "SETTLE_S": 100}
# A whole migration takes a minute or two: over both kinds of sockets on the oldest kernel and the newest that Debian supports.
HOPS_ON = {"6.1": HOPS, "6.12": HOPS[:1], "7.2": HOPS}


def built(name):
    """A file that make built."""
    return os.path.join(entries.TOP, os.environ.get("BUILD", "build"), name)


def _fill(image):
    image.program("/bin/dirtyprof", built("dirtyprof"))
    image.program("/bin/dpvmm", built("tests/dpvmm"))


def _backing(case, mode):
    """What dirtyprof says of the pages behind the VM's memory, and of the blocks of 2 MiB, against arithmetic. "" if right."""
    records = case.json("prof:auto")
    report = next((r for r in records if r["type"] == "report"), None)
    if not report:
        return "no report"
    backing = report["vm"]["backing"]
    # only what was touched is there
    got = (backing["huge_bytes"], backing["huge_page_bytes"]) if mode.endswith("hugetlb") else (backing["thp_bytes"], HUGE_OF)
    if got != (HUGE_PAGES * HUGE_OF, HUGE_OF):
        return f"{HUGE_PAGES} pages of {HUGE_OF} bytes, dirtyprof says {got[0]} bytes in pages of {got[1]}"
    blocks = [(s["new_blocks"]["4K"], s["new_blocks"]["2M"]) for s in records if s["type"] == "sync"][1:]
    if len(blocks) < entries.LEAST_SYNCS or any(b != (HUGE_PAGES, HUGE_PAGES) for b in blocks):
        return f"{HUGE_PAGES} pages in as many blocks of 2M, dirtyprof says {blocks}"
    return ""


def _judge(entry, run):
    rows = entries.judge_modes(entry, run, MODES, PAGES) + entries.judge_entry(entry, run) + entries.judge_rest(entry, run)
    cases = entries.cases_of(run)
    for mode in BACKED if entry.series == BACKED_ON else ():
        rows += entries.judge_modes(entry, run, [mode], HUGE_PAGES, features=[])
        case = cases.get(mode, entries.Case())
        wrong = _backing(case, mode)
        rows.append(entry.row(mode, "backing", entries.FAIL if wrong else entries.OK, case.seconds(), wrong))
    if entry.series in CURVED_ON:
        rows += curves.rows(entry, run, curves.MODES)
    return rows + entries.complaint_rows(entry, run)


def _modes(store, tree, kernel, series):
    def image():
        modes = MODES + (BACKED if series == BACKED_ON else ()) + (curves.MODES if series in CURVED_ON else ())
        conf = dict(CONF, MODES=" ".join(modes), **curves.CONF)
        conf["PLAIN"] += " " + curves.CONF["FREE"]
        i = entries.base_image(store, "amd64", kernel, ["kvm_amd"], "modes.sh", conf)
        _fill(i)
        return i
    append = "mitigations=off" + (" hugepages=70" if series == BACKED_ON else "")
    machine = boot.x86(tree, mem=1024 if series == BACKED_ON else 512, timeout=600)
    return entries.Entry(f"x86-{series}-modes", kernel, series, ARCH, MMU, machine, image, _judge, append,
                         promises=tuple((m, "taken by itself") for m in MODES),
                         cost=130 if series in CURVED_ON else 100)


def _judge_nothing(entry, run):
    """One clear line that names what is in the way, and status 1, from both commands."""
    rows, cases = [], entries.cases_of(run)
    for what, command in (("watch", "dirtyprof -p PID"), ("features", "dirtyprof features")):
        case = cases.get(what, entries.Case())
        said, status = case.streams["err"], case.text("exit")
        good = status == "1" and len(said) == 1 and "lockdown" in said[0] and "libbpf" not in said[0]
        rows.append(entry.row("lockdown=confidentiality", f"{command}: one clear line", entries.OK if good else entries.FAIL,
                              case.seconds(), f"status {status}: {' | '.join(said)[:200]}"))
    return rows + entries.complaint_rows(entry, run)


def _nothing(store, tree, kernel, series):
    def image():
        i = entries.base_image(store, "amd64", kernel, ["kvm_amd"], "nothing.sh", {})
        _fill(i)
        return i
    return entries.Entry(f"x86-{series}-nothing", kernel, series, ARCH, MMU, boot.x86(tree, timeout=200), image, _judge_nothing,
                         "mitigations=off lockdown=confidentiality", cost=20)


def _migrate(store, tree, kernel, series, hops):
    def image():
        conf = dict(MIGRATE, HOPS=" ".join(hops))
        i = entries.base_image(store, "amd64", kernel, ["kvm_amd"], "migrate.sh", conf)
        _fill(i)
        i.chroot("/qemu", tree, ["/usr/bin/qemu-system-x86_64"], FIRMWARE)
        i.copy("/qemu/dpguest.elf", built("tests/dpguest.elf"))
        return i

    def judge(entry, run):
        return migrate.judge(entry, run, hops) + entries.complaint_rows(entry, run)
    return entries.Entry(f"x86-{series}-qemu", kernel, series, ARCH, MMU, boot.x86(tree, smp=2, mem=1536, timeout=400), image,
                         judge, "mitigations=off", promises=tuple((f"QEMU, {h}", "migration") for h in hops), cost=40 * len(hops))


def plan(store):
    """(entries, rows for what cannot be had)"""
    out, rows, seen = [], [], set()
    try:
        tree = store.tree(*QEMU)
    except entries.FetchError as e:
        return [], [entries.unavailable("all", ARCH, MMU, e)]
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
        out.append(_modes(store, tree, kernel, series))
        if series != OLDEST:
            out.append(_migrate(store, tree, kernel, series, HOPS_ON.get(series, HOPS)))
        if series == BACKED_ON:
            out.append(_nothing(store, tree, kernel, series))
    return out, rows
