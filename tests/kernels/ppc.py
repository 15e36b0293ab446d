# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The ppc64le half: Debian's kernels as KVM HV hosts on an emulated bare-metal POWER9, with the radix MMU and with hash.

What is compared exactly. KVM HV keeps the log of what the guest stored to in its page tables, and GET collects it. On hash the
C bit of an HPTE says "written" and nothing else. On radix a page that was only read can be reported as well: the test VMM's
guest only writes to its RAM (code and work list lie in a slot that does not log), so that there, too, each bit is a store. The
unit is the host's page of 4K or 64K; a hash guest on hugepages of 16M gets 256 bits of 64K for one store.
"""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import tempfile

import boot
import classic
import cross
import entries
import fetch
import migrate

ARCH = "ppc64le"
# suite, flavour; of the newest Debian each flavour is run, with both MMUs
KERNELS = (("bookworm", "powerpc64le"), ("trixie", "powerpc64le"), ("trixie", "powerpc64le-64k"),
           ("sid", "powerpc64le"), ("sid", "powerpc64le-64k"))
NEWEST = "sid"
QEMU = ("bookworm", "amd64", ["qemu-system-ppc"], True)
PAHOLE = ("bookworm", "amd64", ["pahole"], True)
KB, MB = 1 << 10, 1 << 20
PAGES = 211       # prime
HUGE_PAGES = 11   # prime, of 16M
APART = 37 * MB   # of base pages, beside the hugepages
# The guest's pages lie 64K apart: each is a host page of its own on every kernel.
CONF = {"P": PAGES, "RUN_S": 2, "SYNC_MS": 400, "SETTLE_S": 60, "REFUSED": "mark", "PLAIN": "mixed",
        "VMM_ARGS": "--stride 64K --mem 256M --seed 7",
        "VMM_ARGS_hash": "--mmu hash",
        "VMM_ARGS_huge16M": f"--backing hugetlb:16M --stride 16M --pattern rounds:{HUGE_PAGES}",
        "VMM_ARGS_mixed": f"--backing hugetlb:16M --stride 16M --pattern rounds:{HUGE_PAGES} --apart {APART >> 20}M",
        "VMM_ARGS_huge2M": "--backing hugetlb:2M --stride 1M", "VMM_ARGS_huge1G": "--backing hugetlb:1G --stride 4M --mem 1G",
        "VMM_ARGS_thp": "--backing thp --stride 1M"}
HASH_BOOT = "disable_radix hugepagesz=16M hugepages=20"
RADIX_HUGE_BOOT = "hugepagesz=2M hugepages=130 hugepagesz=1G hugepages=1"
ATTACHES, NO_MARKS = "it attaches", "KVM HV marks no page"
BACKING = {"huge16M": 16 * MB, "mixed": 16 * MB, "huge2M": 2 * MB, "huge1G": 1 << 30}


def powernv(tree, mem=2048, timeout=200):
    """A POWER9 without a hypervisor of its own, whose kernel can be a KVM HV host. Without the BMC it would not power off."""
    argv = boot.tree_program(tree, "/usr/bin/qemu-system-ppc64") + \
        ["-L", tree + "/usr/share/qemu", "-M", "powernv9", "-cpu", "POWER9", "-m", str(mem), "-smp", "1", "-accel", "tcg",
         "-net", "none", "-device", "ipmi-bmc-sim,id=bmc0", "-device", "isa-ipmi-bt,bmc=bmc0,irq=10", "-nodefaults",
         "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
    return boot.Machine(argv, "hvc0", timeout, {"QEMU_MODULE_DIR": tree + "/nowhere"})


def pseries(tree, mem=3072, timeout=200):
    """A POWER9 LPAR that may nest another: radix only, but with hugepages of 2M and 1G, which powernv9 lacks."""
    argv = boot.tree_program(tree, "/usr/bin/qemu-system-ppc64") + \
        ["-L", tree + "/usr/share/qemu", "-M", "pseries,cap-nested-hv=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,"
         "cap-ccf-assist=off", "-cpu", "POWER9", "-m", str(mem), "-smp", "1", "-accel", "tcg", "-net", "none", "-nodefaults",
         "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
    return boot.Machine(argv, "hvc0", timeout, {"QEMU_MODULE_DIR": tree + "/nowhere"})


# ---- a whole QEMU inside ----

# Its guest is firmware of ours (guest/power.S). What the emulated CPU does not offer to guests must not be asked for.
GUEST_QEMU = ("bookworm", "ppc64el", ["qemu-system-ppc"], True)
HOPS = ("tcp",)
# A pseries machine's PCI bridge has a window of 1 GiB for DMA, whose table of 8 bytes for each 4K is device state.
TCE_TABLE = (1 << 30) // 4096 * 8
MIGRATE = {"QEMU": "/usr/bin/qemu-system-ppc64 -L /usr/share/qemu -M pseries,cap-cfpc=broken,"
                   "cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off -accel kvm -m 256M -nodefaults -no-user-config "
                   "-display none -vga none -bios /power.bin",
           "START_S": 90, "LIMIT_MS": 3000, "BANDWIDTH": 6 << 20, "END_S": 90, "SETTLE_S": 100, "HOPS": " ".join(HOPS)}


def _needed(path):
    """(loader, libraries) that a program of any architecture asks for."""
    done = subprocess.run(["readelf", "-ld", path], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise entries.ImageError(f"{path}: {done.stderr.strip()[:200]}")
    loader = re.search(r"interpreter: (\S+?)\]", done.stdout)
    return loader and loader[1], re.findall(r"\(NEEDED\)\s+Shared library: \[(\S+?)\]", done.stdout)


def foreign_chroot(image, at, root, program):
    """As Image.chroot, for a program that cannot be run here."""
    there = {os.path.basename(p): p for p in glob.glob(f"{root}/**/*.so*", recursive=True) if os.path.isfile(p)}
    image.copy(at + program, root + program, 0o755)
    loader, todo = _needed(root + program)
    image.copy(at + loader, there[os.path.basename(loader)], 0o755)
    done = set()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        if name not in there:
            raise entries.ImageError(f"{program}: no {name} in {root}")
        image.copy(f"{at}/lib/{name}", os.path.realpath(there[name]), 0o755)
        todo += _needed(there[name])[1]
    for path in ("dev", "proc", "sys", "tmp", "run", "var/tmp"):
        image.dir(f"{at}/{path}")


def _power_guest(folder):
    """guest/power.S as raw firmware."""
    source, out = os.path.join(entries.HERE, "guest", "power.S"), os.path.join(folder, "tests", "power")
    for argv in ([f"{cross.TRIPLET}-gcc", "-mbig", "-c", "-o", out + ".o", source],
                 [f"{cross.TRIPLET}-objcopy", "-O", "binary", "-j", ".text", out + ".o", out + ".bin"]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise entries.ImageError(f"{source}: {done.stderr.strip()[:200]}")
    return out + ".bin"


# ---- a kernel without BTF ----

def has_btf(kernel):
    """Whether a kernel image (ELF) carries BTF."""
    with open(kernel.image, "rb") as f:
        return b"\0.BTF\0" in f.read()


def _debug_image(store, kernel, into):
    """The kernel with its debugging symbols: one file of a package of several gigabytes."""
    index = store.index("bookworm", "ppc64el")
    with index.lock():
        index.update()
        files = index.resolve([f"linux-image-{kernel.release}-dbg"], False)
        why = index.download(files, into)
    if why:
        raise entries.FetchError(f"debugging symbols of {kernel.release}: {why}")
    deb, path = os.path.join(into, files[0]), f"./usr/lib/debug/boot/vmlinux-{kernel.release}"
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpack:
        done = subprocess.run(["tar", "-x", "-C", into, path], stdin=unpack.stdout, capture_output=True, text=True,
                              timeout=600, check=False)
    if done.returncode:
        raise entries.FetchError(f"{files[0]}: {done.stderr.strip()[:200]}")
    return os.path.join(into, path)


def make_btf(store, kernel):
    """A file of the kernel's types, made once as the manual says, from its debugging symbols. Kept in the cache."""
    where = os.path.join(store.dir, "btf", kernel.release)
    os.makedirs(os.path.dirname(where), exist_ok=True)
    with open(where + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one makes it, the others wait
        if not os.path.exists(where):
            _make_btf(store, kernel, where)
    return where


def _make_btf(store, kernel, where):
    pahole = boot.tree_program(store.tree(*PAHOLE), "/usr/bin/pahole")
    tmp = tempfile.mkdtemp(dir=store.dir)
    try:
        image = _debug_image(store, kernel, tmp)
        out = os.path.join(tmp, "btf")
        done = subprocess.run(pahole + [f"--btf_encode_detached={out}", image], capture_output=True, text=True, timeout=300,
                              check=False)
        if done.returncode or not os.path.exists(out):
            raise entries.FetchError(f"pahole {os.path.basename(image)}: {done.stderr.strip()[:200]}")
        os.rename(out, where)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def _judge_no_btf(entry, run):
    """Without the file, each command ends with one line that names what is missing and what to do, and nothing else."""
    cases, rows = entries.cases_of(run), []
    for command in ("watch", "features"):
        case = cases.get(command, entries.Case())
        said, status = case.streams["err"], case.text("exit")
        good = status == "1" and len(said) == 1 and "no BTF" in said[0] and "--btf FILE" in said[0]
        rows.append(entry.row("no BTF and no --btf", f"{command}, one clear line", entries.OK if good else entries.FAIL,
                              case.seconds(), f"exit status {status}: {case.text('err')[:200]}"))
    return rows + entries.complaint_rows(entry, run)


# ---- the entries ----

def _image(store, kernel, folder, conf, script="modes.sh", btf=False):
    image = entries.base_image(store, "ppc64el", kernel, ["kvm_hv"], script, conf)
    image.copy("/bin/dpvmm", os.path.join(folder, "tests/dpvmm"), 0o755)
    image.copy("/bin/dirtyprof.real" if btf else "/bin/dirtyprof", os.path.join(folder, "dirtyprof"), 0o755)
    if btf:
        image.copy("/kernel.btf", make_btf(store, kernel), 0o644)
        image.text("/bin/dirtyprof", '#!/bin/sh\nexec dirtyprof.real "$@" --btf /kernel.btf\n', 0o755)
    return image


def _facts(case, page, mmu, granule, variant):
    """What dirtyprof says of the VM itself, against what it is. "" if it agrees."""
    report = next((r for r in case.json("prof:auto") if r["type"] == "report"), None)
    if not report:
        return "no report"
    vm = report["vm"]
    want = {"granule_bytes": granule, "mmu": mmu, "granule_mixed": variant == "mixed"}
    wrong = [f"{k} is {vm[k]}, not {v}" for k, v in want.items() if vm[k] != v]
    if vm["backing"]["base_page_bytes"] != page:
        wrong.append(f"base_page_bytes is {vm['backing']['base_page_bytes']}, not {page}")
    huge = BACKING.get(variant, 0)
    if vm["backing"]["huge_page_bytes"] != huge:
        wrong.append(f"huge_page_bytes is {vm['backing']['huge_page_bytes']}, not {huge}")
    if variant == "mixed" and vm["backing"]["base_bytes"] != APART:
        wrong.append(f"base_bytes is {vm['backing']['base_bytes']}, not {APART}")
    if bool(vm["backing"]["thp_bytes"]) != (variant == "thp"):
        wrong.append(f"thp_bytes is {vm['backing']['thp_bytes']}")
    return "; ".join(wrong)


def _marks(entry, cases):
    """What dirtyprof features says of mark: one hook attaches at least, and none is of use, in these words."""
    marks = [f for f in cases.get("features", entries.Case()).json("row") if f["what"] == "mark"]
    good = not any(f["works"] or f["chosen"] for f in marks) and any(ATTACHES in f["why"] and NO_MARKS in f["why"] for f in marks)
    return entry.row("features", "mark attaches, and is of no use", entries.OK if good else entries.FAIL, 0,
                     "; ".join(f"{f['how']}: {f['why']}" for f in marks)[:200])


def _judge(page, host_mmu):
    """A judge for a boot with this page size and MMU."""
    def judge(entry, run):
        cases, rows = entries.cases_of(run), []
        for mode in entry.modes:
            variant = mode.partition("+")[2]
            huge = variant in ("huge16M", "mixed")
            granule = 16 * MB if huge else page
            mmu = "hash" if variant == "hash" else host_mmu
            rows += entries.judge_modes(entry, run, [mode], HUGE_PAGES if huge else PAGES, page,
                                         granule=granule, peeks=False, features=[] if variant == "mixed" else None)
            said = cases.get(mode, entries.Case()).text("err:refused-mark")
            rows.append(entry.row(mode, "--source mark is refused", entries.OK if NO_MARKS in said else entries.FAIL, 0, said[:200]))
            wrong = _facts(cases.get(mode, entries.Case()), page, mmu, granule, variant)
            rows.append(entry.row(mode, "granule, MMU and backing", entries.FAIL if wrong else entries.OK, 0, wrong))
        if "bitmap" in entry.modes:
            rows += entries.judge_entry(entry, run)
        return rows + [_marks(entry, cases)] + entries.judge_rest(entry, run) + entries.complaint_rows(entry, run)
    return judge


def _modes(page, hash_boot):
    """What the test VMM does on this bare-metal host."""
    if not hash_boot:
        return ("bitmap", "bitmap+hash")
    # A host with pages of 4K does not map a guest's real mode with 16M.
    return ("bitmap", "bitmap+huge16M", "bitmap+mixed") if page == 64 * KB else ("bitmap",)


class _Host:  # pylint: disable=too-few-public-methods
    """What entries are made of: a kernel, and what it is booted with."""

    def __init__(self, store, folder, kernel):
        self.store, self.folder, self.kernel = store, folder, kernel
        self.series, self.page = entries.series_of(kernel.release), 4 * KB if _pages_4k(kernel) else 64 * KB
        self.btf = has_btf(kernel) or kernel.image.endswith("vmlinuz")

    def _entry(self, name, mmu, machine, image, judge, append, promises):
        return entries.Entry(f"ppc-{self.series}-{self.page // KB}k-{name}", self.kernel, self.series, ARCH,
                             f"{mmu} {self.page // KB}K", machine, image, judge, append, promises, 60, 2048)

    def modes(self, machine, name, mmu, modes, append=""):
        """The test VMM in these modes."""
        conf = dict(CONF, MODES=" ".join(modes))
        entry = self._entry(name, mmu, machine, lambda: _image(self.store, self.kernel, self.folder, conf, btf=not self.btf),
                            _judge(self.page, mmu), append, tuple((m, "taken by itself") for m in modes))
        entry.modes = modes
        return entry

    def no_btf(self, machine):
        """What is said where --btf was not given."""
        return self._entry("nobtf", "radix", machine, lambda: _image(self.store, self.kernel, self.folder, {}, "nothing.sh"),
                           _judge_no_btf, "", tuple(("no BTF and no --btf", c) for c in ("watch", "features")))

    def qemu(self, machine):
        """A QEMU that migrates."""
        def image():
            i = _image(self.store, self.kernel, self.folder, MIGRATE, "migrate.sh")
            foreign_chroot(i, "/qemu", self.store.tree(*GUEST_QEMU), "/usr/bin/qemu-system-ppc64")
            i.copy("/qemu/power.bin", _power_guest(self.folder))
            return i

        def judge(entry, run):
            return migrate.judge(entry, run, HOPS, TCE_TABLE) + entries.complaint_rows(entry, run)
        return self._entry("qemu", "radix", machine, image, judge, "", tuple((f"QEMU, {h}", "migration") for h in HOPS))

    def classic(self, machine):
        """The classic case."""
        return self._entry("classic", "hash", machine,
                           lambda: _image(self.store, self.kernel, self.folder, classic.CONF, "classic.sh"),
                           classic.judge, HASH_BOOT, tuple(("classic case", what) for what in classic.ROWS))


def _pages_4k(kernel):
    """Debian's -64k flavour says so; its only ppc64el kernel before had 64K without a name for it."""
    config = os.path.join(os.path.dirname(kernel.image), f"config-{kernel.release}")
    if os.path.exists(config):
        with open(config, encoding="ascii") as f:
            return "CONFIG_PPC_4K_PAGES=y" in f.read()
    return not kernel.release.endswith("-64k")


def plan(store):
    """(entries, rows for what cannot be had)"""
    out, rows = [], []
    try:
        tree, folder = store.tree(*QEMU), cross.build(store)
    except (fetch.FetchError, cross.BuildError) as e:
        return [], [entries.unavailable("all", ARCH, "all", e)]
    for suite, flavour in KERNELS:
        try:
            kernel = store.kernel(suite, "ppc64el", flavour)
        except fetch.FetchError as e:
            rows.append(entries.unavailable(f"of {suite}", ARCH, flavour, e))
            continue
        host = _Host(store, folder, kernel)
        out.append(host.modes(powernv(tree), "radix", "radix", _modes(host.page, False)))
        # A hash guest on pages of 4K is seen above; the hash MMU has to be the host's for 16M.
        if host.page == 64 * KB or suite == NEWEST:
            out.append(host.modes(powernv(tree), "hash", "hash", _modes(host.page, True), HASH_BOOT))
        if suite == NEWEST:
            hugepages = ("bitmap+huge2M", "bitmap+huge1G") if host.page == 64 * KB else ("bitmap+huge1G", "bitmap+thp")
            out.append(host.modes(pseries(tree), "nested", "radix", hugepages, RADIX_HUGE_BOOT))
        if not host.btf:
            out.append(host.no_btf(powernv(tree)))
        if (suite, host.page) == ("trixie", 64 * KB):
            out.append(host.classic(powernv(tree)))
            out.append(host.qemu(powernv(tree, 3072, 300)))
    return out, rows
