# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is run (entries) and what came out of it (rows).

An Entry is one boot: a kernel on a machine with an image, and judge(run) -> rows. The runner boots it; where the boot itself
fails, each of the entry's `promises` becomes a failed row, so that nothing goes missing.

A Row says: kernel (6.12), arch (x86_64), mmu (npt, radix 64K), what was run (mode), by which hook, the result, seconds and
a note. Results: ok; fail; none (this kernel does not have it: the note says why, as dirtyprof features does); skip (it
could not be tried: the note says why). Rows with a `hook` of dirtyprof features make docs/kernels.md.

judge_modes() compares a run of guest/modes.sh.
"""

import collections
import dataclasses
import json
import os
import re

import fetch
import initramfs

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SIZES = ("64K", "2M", "16M", "1G")
LEAST_SYNCS = 3  # that must agree

OK, FAIL, NONE, SKIP = "ok", "fail", "none", "skip"


@dataclasses.dataclass
class Row:
    """One line of the table."""

    kernel: str
    arch: str
    mmu: str
    mode: str        # what ran: ring:4096, migration, ...
    hook: str        # "harvest: raw_tp sys_exit (ioctl)", or what the row is about
    result: str
    seconds: float = 0.0
    note: str = ""
    retries: int = 0
    entry: str = ""  # the boot that it comes from


@dataclasses.dataclass
class Entry:
    """One boot."""

    name: str
    kernel: object       # fetch.Kernel
    series: str          # 6.12
    arch: str
    mmu: str
    machine: object      # boot.Machine
    image: object        # image(): an initramfs.Image with what its script needs
    judge: object        # judge(entry, run): rows
    append: str = ""
    promises: tuple = ()  # (mode, hook) pairs that must appear
    cost: int = 60        # s, a guess, to start long ones first
    memory: int = 512     # MiB

    def row(self, mode, hook, result, seconds=0.0, note=""):
        """A row of this entry."""
        return Row(self.series, self.arch, self.mmu, mode, hook, result, seconds, note)


def series_of(release):
    """6.12.107+deb13-cloud-amd64 -> 6.12"""
    return ".".join(release.split("-")[0].split("+")[0].split(".")[:2])


def base_image(store, deb_arch, kernel, modules, script, conf):
    """What every image has: busybox, init, the scripts, the modules. conf: variables of /etc/dp.conf."""
    image = initramfs.Image()
    busybox = store.tree("bookworm", deb_arch, ["busybox-static"])
    for path in ("bin/busybox", "usr/bin/busybox"):
        if os.path.exists(os.path.join(busybox, path)):
            image.copy("/bin/busybox", os.path.join(busybox, path), 0o755)
            break
    guest = os.path.join(HERE, "guest")
    image.copy("/init", os.path.join(guest, "init"), 0o755)
    image.copy("/lib.sh", os.path.join(guest, "lib.sh"))
    image.copy("/run.sh", os.path.join(guest, script))
    image.modules(kernel.modules, modules)
    image.text("/etc/dp.conf", "".join(f"{k}='{v}'\n" for k, v in conf.items()))
    return image


# ---- reading a run ----

class Case:
    """What one case of a run said."""

    def __init__(self):
        self.streams = collections.defaultdict(list)
        self.broken = []

    def add(self, stream, text):
        """A record."""
        self.streams[stream].append(text)

    def json(self, stream):
        """A stream of JSON objects. A line that the console garbled is noted in `broken`."""
        out = []
        for text in self.streams[stream]:
            try:
                out.append(json.loads(text))
            except ValueError:
                self.broken.append(f"{stream}: not JSON: {text[:60]}")
        return out

    def text(self, stream):
        """A stream's text, in one line."""
        return "; ".join(t.strip() for t in self.streams[stream] if t.strip())

    def seconds(self):
        """How long it took, by the clock inside."""
        words = self.text("took").split()
        return float(words[1]) - float(words[0]) if len(words) == 2 else 0.0


def cases_of(run):
    """{case: Case}, in order."""
    cases = {}
    for r in run.records:
        cases.setdefault(r.case, Case()).add(r.stream, r.text)
    return cases


def hook_name(feature):
    """How a row of dirtyprof features is called in the table."""
    return f"{feature['what']}: {feature['hook']}"


# ---- the test VMM's modes ----

def suits(what, mode):
    """Whether a source can watch a VM that logs in this way (as guest/modes.sh has it)."""
    if what == "ring":
        return mode.startswith("ring")
    if what == "harvest":
        return not mode.startswith("ring")
    return what == "mark"


def compare(vmm, prof, page=4096, granule=0, peeks=True, ring=False, lost=0):
    """Each sync of the test VMM against dirtyprof's, page for page and block for block. Returns what differs, "" if nothing.
    vmm, prof: their sync events. page: the host's, in bytes, the unit of the VMM's `dirty`; granule: what KVM tells apart
    (0: the same), of which each page of the VMM's pattern dirties one. Blocks smaller than a host page do not exist there.
    peeks: dirtyprof sees the log when it begins; else the first sync may hold what was dirty before, and none of it is new.
    ring: a sync that finds nothing (a guest that was held up) resets nothing, so that nobody can see it. lost: pages that any of
    them may be short of."""
    truth = [t for t in vmm if not t["last"] and not (ring and not t["dirty"])]
    sizes = [s for s in SIZES if {"64K": 1 << 16}.get(s, 1 << 30) >= page]
    units, each = page // 4096, (granule or page) // 4096
    same = 0
    for i, t in enumerate(truth):
        if i >= len(prof):
            return f"sync {i + 1} of {len(truth)} was not seen"
        s = prof[i]
        if bool(t["initial"]) != bool(s["initial"]):
            return f"sync {i + 1}: all ones: {t['initial']}, dirtyprof says {s['initial']}"
        if t["initial"]:
            continue
        if not i and not peeks:
            if s["reported_pages"] != t["dirty"] * units:
                return f"sync 1: log {t['dirty'] * units}, dirtyprof says {s['reported_pages']}"
            continue
        short = t["written"] * each - s["new_blocks"]["4K"], t["dirty"] * units - s["reported_pages"]
        if not all(0 <= n <= lost for n in short):
            return (f"sync {i + 1}: written {t['written'] * each}, log {t['dirty'] * units}; dirtyprof: new "
                    f"{s['new_blocks']['4K']}, log {s['reported_pages']}")
        for size in sizes if not any(short) else ():
            if s["new_blocks"][size] != t["blocks"][size]:
                return f"sync {i + 1}: {t['blocks'][size]} blocks of {size}, dirtyprof says {s['new_blocks'][size]}"
        same += 1
    return "" if same >= LEAST_SYNCS else f"only {same} syncs to compare"


def _judge_prof(case, stream, feature, page, granule=0, peeks=True):
    """(result, note) of one dirtyprof of a case."""
    records = case.json(f"prof:{stream}")
    said = case.text(f"err:{stream}")
    start = next((r for r in records if r["type"] == "start"), None)
    report = next((r for r in records if r["type"] == "report"), None)
    if not start or not report:
        return FAIL, f"did not {'end' if start else 'start'}: {said[:160] or case.broken[:1] or 'no word'}"
    # mark on a VM with bitmaps names harvest's hook as well
    if feature and (start["source"] != feature["what"] or feature["hook"] not in start["hook"]):
        return FAIL, f"took {start['source']} by {start['hook']} instead"
    lost = report["self"]["lost"]
    # a kernel that can preempt programs (7.2) skips some of those on system calls and kprobes: what counts is that it is said
    said_so = f"lost up to {lost}, and said so" if lost and re.search("sys_exit|kprobe|kretprobe", start["hook"]) else ""
    ring = start["vm"]["log_mode"] == "ring"
    if said_so and not ring:
        return OK, said_so  # perhaps a whole sync
    if lost and not said_so or report["self"]["unknown_slot"]:
        return FAIL, f"lost {lost}, unknown slot {report['self']['unknown_slot']}"
    wrong = compare([e for e in case.json("vmm") if e["event"] == "sync"], [r for r in records if r["type"] == "sync"], page,
                    granule, peeks, ring, lost)
    return (FAIL, wrong) if wrong else (OK, said_so or ("" if feature else f"took {start['source']} by {start['hook']}"))


def _full_rounds(case, pages):
    """Whether the guest really wrote all its pages between syncs: else the comparison would say little."""
    syncs = [e for e in case.json("vmm") if e["event"] == "sync" and not e["last"]]
    return sum(e["written"] == pages for e in syncs) >= LEAST_SYNCS


def judge_modes(entry, run, modes, pages, page=4096, features=None, granule=0, peeks=True):
    """Rows of a run of guest/modes.sh: for each mode and each hook of dirtyprof features that suits it, and for what
    dirtyprof takes by itself."""
    cases = cases_of(run)
    features = cases.get("features", Case()).json("row") if features is None else features
    rows = []
    for mode in modes:
        case = cases.get(mode, Case())
        took = case.seconds()
        bad = _vmm_trouble(case, pages)
        for n, feature in [("auto", None)] + list(enumerate(features)):
            if feature and not suits(feature["what"], mode):
                continue
            name = hook_name(feature) if feature else "taken by itself"
            if feature and not feature["works"]:
                rows.append(entry.row(mode, name, NONE, 0, feature["why"]))
            elif bad:
                rows.append(entry.row(mode, name, bad[0], took, bad[1]))
            else:
                rows.append(entry.row(mode, name, *_swap(_judge_prof(case, n, feature, page, granule, peeks), took)))
    return rows


def _first_run(case, stream):
    """When a dirtyprof of a case saw the guest run first, on the host's clock; None: it did not."""
    report = next((r for r in case.json(f"prof:{stream}") if r["type"] == "report"), None)
    return report["first_ran"]["monotonic_s"] if report else None


def judge_entry(entry, run, mode="bitmap"):
    """Rows: each hook that sees a guest run first, in a mode in which all of them waited for it at once."""
    cases = cases_of(run)
    case, rows = cases.get(mode, Case()), []
    auto = _first_run(case, "auto")
    for n, feature in enumerate(cases.get("features", Case()).json("row")):
        if feature["what"] != "entry":
            continue
        if not feature["works"]:
            rows.append(entry.row(mode, hook_name(feature), NONE, 0, feature["why"]))
            continue
        t = _first_run(case, n)
        good = t and auto and abs(t - auto) < 1
        rows.append(entry.row(mode, hook_name(feature), OK if good else FAIL, case.seconds(),
                              "" if good else f"first run at {t}, by what is taken by itself {auto}; {case.text(f'err:{n}')[:100]}"))
    return rows


def judge_rest(entry, run, done=("ring", "harvest", "mark", "wire", "entry")):
    """Rows of dirtyprof features for what no case of its own exercises: that it loads and attaches is the result."""
    case = cases_of(run).get("features", Case())
    rows = [entry.row("features", hook_name(f), OK if f["works"] else NONE, case.seconds(), "" if f["works"] else f["why"])
            for f in case.json("row") if f["what"] not in done]
    return rows or [entry.row("features", "dirtyprof features", FAIL, case.seconds(), case.text("err")[:200] or "said nothing")]


def _swap(judged, seconds):
    return judged[0], seconds, judged[1]


def _vmm_trouble(case, pages):
    """(result, note) if the test VMM could not do its part, else None."""
    said = case.text("vmm-err")
    if "not on this kernel" in said:
        return NONE, said
    if case.text("vmm-exit") != "0":
        return FAIL, f"the test VMM: {said or 'did not run'}"
    if not _full_rounds(case, pages):
        return FAIL, f"the guest did not write all its {pages} pages between syncs"
    return None


def complaint_rows(entry, run):
    """What the kernel complained about while dirtyprof was at work: it must not."""
    boot = cases_of(run).get("boot", Case())
    said = boot.streams["complaint"] + boot.streams["insmod"]
    return [entry.row("all", "kernel log", FAIL if said else OK, run.seconds, "; ".join(said)[:200])]


def boot_failure(entry, run):
    """Rows for a boot that did not come to its end."""
    last = next((t for t in reversed(run.tail) if t.strip()), "")
    note = f"{run.why}; last: {last[:100]}" if last else run.why
    return [entry.row(mode, hook, FAIL, run.seconds, note) for mode, hook in entry.promises or (("all", "boot"),)]


def unavailable(series, arch, mmu, error):
    """A row for what could not be fetched."""
    return Row(series, arch, mmu, "all", "boot", SKIP, 0, str(error))


FetchError, ImageError = fetch.FetchError, initramfs.ImageError
