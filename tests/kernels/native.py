#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""make check-native-ppc64le: builds natively in Debian's ppc64el, whose compiler and tools run under QEMU's user emulation.

Everything is as on a POWER machine: compiler, clang, bpftool and libraries are Debian's for ppc64el, and make takes no
variables. The packages are fetched and unpacked in the cache of check-kernels; all of it happens in namespaces of its own,
needs no root and leaves nothing behind but BUILD/native-ppc64le. What cannot be had or run is said, and skipped.
The last line is alone: N passed, N failed, N skipped
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import entries
import fetch

# What scripts/install-deps installs for a build, what the unit tests link, and what every Debian has (it is a dependency of
# nothing).
PACKAGES = ["make", "gcc", "libc6-dev", "linux-libc-dev", "clang", "llvm", "bpftool", "pkg-config", "libbpf-dev",
            "libjson-c-dev", "libelf-dev", "zlib1g-dev", "libcmocka-dev",
            "bash", "dash", "coreutils", "findutils", "grep", "mawk", "sed"]
QEMU = ("bookworm", "amd64", ["qemu-user-static"])
TIMEOUT = 3600  # s
SKIPPED = 77
NO_SHADOW = "the sanitizers find no room for their shadow memory under the emulation"
# Unit tests that the emulation is no ground for.
LEFT_OUT = {"test_content": "the emulation has no process_vm_readv",
            "test_proc": "it becomes another user, and the namespace has but one",
            "test_qmp_fuzz": NO_SHADOW, "test_table_input": NO_SHADOW}


def unit_tests():
    """Names of the unit tests to run."""
    folder = os.path.join(entries.TOP, "tests", "unit")
    names = sorted(n[:-2] for n in os.listdir(folder) if n.startswith("test_") and n.endswith(".c"))
    return [n for n in names if n not in LEFT_OUT]


class Results:
    """TAP, and the counts."""

    def __init__(self):
        self.counts = {entries.OK: 0, entries.FAIL: 0, entries.SKIP: 0}

    def add(self, result, name, note=""):
        """A line."""
        self.counts[result] += 1
        word = "not ok" if result == entries.FAIL else "ok"
        skip = f" # SKIP {note}" if result == entries.SKIP else ""
        print(f"{word} {sum(self.counts.values())} - {name}{skip}", flush=True)
        if note and not skip:
            print(f"# {note}", flush=True)

    def check(self, good, name, note=""):
        """A line that passes or fails."""
        self.add(entries.OK if good else entries.FAIL, name, note)

    def end(self):
        """The last lines; the exit status."""
        ok, failed, skipped = (self.counts[r] for r in (entries.OK, entries.FAIL, entries.SKIP))
        print(f"1..{ok + failed + skipped}\n\n{ok} passed, {failed} failed, {skipped} skipped")
        return 1 if failed else 0


def judge(results, line, since):
    """A line of native.sh."""
    word, _, rest = line.partition(" ")
    if word == "machine":
        results.check(rest == "ppc64le powerpc64le-linux-gnu", "the machine and its compiler are ppc64le", rest)
    elif word == "missing":
        results.check(not rest.strip(), "scripts/install-deps build finds all that it looks for", rest)
    elif word == "make":
        results.check(rest == "0", "make", f"{time.monotonic() - since:.0f} s")
    elif word == "version":
        results.check(rest.startswith("dirtyprof "), "dirtyprof --version", rest)
    elif word == "vmm":
        results.check(rest.startswith("usage: dpvmm"), "dpvmm --help", rest)
    elif word == "unit":
        name, status = rest.split()
        results.check(status == "0", f"unit {name}", "" if status == "0" else f"status {status}, see {name}.log")


def run(results, tree, qemu, out, work):
    """Runs native.sh and judges it line by line. Returns why it cannot be run here, or ""."""
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh",
            os.path.join(entries.HERE, "native.sh"), tree, qemu, entries.TOP, out, work]
    units, since, seen = unit_tests(), time.monotonic(), 0
    # A make that runs us has options and variables of its own in the environment.
    env = {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C", "JOBS": str(os.cpu_count() or 1),
           "UNITS": " ".join(units)}
    log = os.path.join(out, "log")
    with open(log, "w", encoding="utf-8") as err, \
            subprocess.Popen(["timeout", str(TIMEOUT), *argv], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=err, text=True) as proc:
        for line in proc.stdout:
            judge(results, line.strip(), since)
            seen += 1
        status = proc.wait()
    with open(log, encoding="utf-8") as f:
        last = (f.read().strip().splitlines() or [""])[-1]
    if not seen and (status == SKIPPED or last.startswith("unshare:")):
        return last
    if seen != len(units) + 5:
        results.check(False, "native.sh came to its end", f"status {status}: {last[:200]}")
    return ""


def main():
    """Entry."""
    results, why = Results(), ""
    out = os.path.join(entries.TOP, os.environ.get("BUILD", "build"), "native-ppc64le")
    work = tempfile.mkdtemp(prefix="native")
    try:
        if platform.machine() == "ppc64le":
            raise fetch.FetchError("this machine is a ppc64le one: make check is the test")
        store = fetch.Store()
        tree = store.tree("bookworm", "ppc64el", PACKAGES, closure=True)
        qemu = os.path.join(store.tree(*QEMU), "usr/bin/qemu-ppc64le-static")
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        why = run(results, tree, qemu, out, work)
    except (fetch.FetchError, OSError) as e:
        why = str(e)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if why:
        results.add(entries.SKIP, "a native build for ppc64le", why)
    else:
        for name, reason in LEFT_OUT.items():
            results.add(entries.SKIP, f"unit {name}", reason)
    return results.end()


if __name__ == "__main__":
    sys.exit(main())
