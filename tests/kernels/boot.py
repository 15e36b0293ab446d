# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Boots a kernel with an initramfs under emulation and reads what it says on its console.

    run = boot(machine, kernel.image, "initrd", log="serial.log", append="disable_radix")
    run.why         "" if the init script came to its end (the line "@dp DONE"), else what happened
    run.records     [Record(case, stream, text)]: the lines "@dp CASE STREAM TEXT" in order
    run.seconds, run.tail

A machine is (QEMU's command line, console, timeout); X86 and the like build one. A panic also ends QEMU with status 0, so
only the DONE line counts. The emulator dies with the process that started it.
"""

import collections
import os
import re
import select
import shutil
import subprocess
import time

import initramfs

MARK = "@dp "
# A machine of one architecture. argv: QEMU's command line without kernel, initrd and append. console: for the kernel.
# retry: None, or the known fault of this emulator for which a run that hangs is repeated once, counted and shown.
Machine = collections.namedtuple("Machine", "argv console timeout env retry", defaults=({}, None))
Record = collections.namedtuple("Record", "case stream text")
Run = collections.namedtuple("Run", "why records seconds tail")
FATAL = re.compile(r"Kernel panic - not syncing[^\r]*|---\[ end Kernel panic")
PANIC_GRACE = 3  # s, for the rest of the message


def tree_program(tree, program):
    """The command that runs a program of a tree of packages with the tree's own libraries."""
    loader, paths = initramfs.tree_loader(tree)
    return [loader, "--library-path", paths, tree + program]


def x86(qemu_tree, smp=1, mem=512, timeout=120):
    """An x86 machine whose kernel can be a KVM host: emulated SVM with nested paging."""
    argv = tree_program(qemu_tree, "/usr/bin/qemu-system-x86_64") + \
        ["-L", qemu_tree + "/usr/share/qemu", "-L", qemu_tree + "/usr/share/seabios",
         "-accel", "tcg,thread=multi", "-cpu", "max,+svm,+npt", "-smp", str(smp), "-m", str(mem),
         "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
    # Two emulated CPUs in two threads were seen to hang for good in one boot of some twenty, and never one CPU.
    retry = "two CPUs under TCG, which now and then stop" if smp > 1 else None
    return Machine(argv, "ttyS0", timeout, {"QEMU_MODULE_DIR": qemu_tree + "/nowhere"}, retry)


def _lines(proc, log, deadline):
    """Yields the console's lines until QEMU ends or the time is over (then None)."""
    rest = b""
    fd = proc.stdout.fileno()
    while True:
        left = deadline[0] - time.monotonic()
        ready = left > 0 and select.select([fd], [], [], left)[0]
        if not ready:
            yield None
            return
        data = os.read(fd, 65536)
        if not data:
            if rest:
                yield rest.decode(errors="replace")
            return
        log.write(data)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")


def _read(proc, log, timeout):
    """(records, what happened, last lines)"""
    deadline = [time.monotonic() + timeout]
    records, tail, why = [], collections.deque(maxlen=40), "QEMU ended before the init script did"
    for line in _lines(proc, log, deadline):
        if line is None:
            if "panic" not in why:
                why = f"no end after {timeout} s"
            break
        at = line.find(MARK)
        if at < 0:
            tail.append(line)
            fatal = FATAL.search(line)
            if fatal and "panic" not in why:
                why = fatal[0]
                deadline[0] = min(deadline[0], time.monotonic() + PANIC_GRACE)
            continue
        words = line[at + len(MARK):].split(" ", 2)
        if words == ["DONE"]:
            return records, "", tail
        records.append(Record(*(words + ["", ""])[:3]))
    return records, why, tail


def boot(machine, image, initrd, log, append=""):
    """Runs it to its end. log: where the whole console goes."""
    leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    argv = leash + machine.argv + ["-kernel", image, "-initrd", initrd, "-append",
                           f"console={machine.console} panic=-1 quiet loglevel=2 {append}".strip()]
    start = time.monotonic()
    with open(log, "wb") as out:
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, **machine.env)) as proc:
            try:
                records, why, tail = _read(proc, out, machine.timeout)
                if not why:
                    try:
                        proc.wait(20)
                    except subprocess.TimeoutExpired:
                        pass  # all was said; that it does not power off is not dirtyprof's
            finally:
                proc.kill()
    return Run(why, records, time.monotonic() - start, list(tail))
