# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A QEMU with the test guest in it, spoken to over QMP."""

import json
import os
import re
import socket
import time

from netlab import LabError

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# As tests/guest/layout.h and struct state of tests/guest/guest.c have them.
STATE_GPA = 0x400000
STATE_MAGIC = 0x31475044
STATE_WORDS = 12
PHASES = ("boot", "fill", "run", "bad parameters")
# KVM looks only on the way into the guest whether the ring is full, and keeps 64 entries in reserve; every emulated write is
# pushed, and between two runs of the pattern's writes the guest writes about 40 times to its own state and stack.
RING_EXIT_EVERY = 16
# The firmware that reaches the guest at once, where it is installed; else QEMU's default (some seconds).
QBOOT = ("/usr/share/qemu/qboot.rom", "/usr/share/qemu-kvm/qboot.rom")


def default_guest_image():
    """The image that `make guest` built (in BUILD)."""
    return os.path.join(TOP, os.environ.get("BUILD", "build"), "tests", "dpguest.elf")


CORES = sorted(os.sched_getaffinity(0))


def step_aside():
    """Keeps this process and all that it starts off the core that Qemu.pin gives a guest: a scheduler can leave them there, where
    they would not run."""
    if len(CORES) >= 2:
        os.sched_setaffinity(0, CORES[1:])


class Qmp:
    """One QMP connection. Events are kept in `events`."""

    def __init__(self, path, timeout=20):
        self.events = []
        self._buffer = b""
        deadline = time.monotonic() + timeout
        while True:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._sock.settimeout(timeout)
            try:
                self._sock.connect(path)
                break
            except OSError as e:
                self._sock.close()
                if time.monotonic() > deadline:
                    raise LabError(f"QMP socket: {e}") from e
                time.sleep(0.02)
        self._message(deadline)
        self.execute("qmp_capabilities")

    def close(self):
        """Hangs up."""
        self._sock.close()

    def _message(self, deadline):
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LabError("QMP: no answer in time")
            self._sock.settimeout(left)
            try:
                data = self._sock.recv(65536)
            except OSError as e:
                raise LabError(f"QMP: {e}") from e
            if not data:
                raise LabError("QMP: QEMU closed the connection")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def execute(self, name, arguments=None, timeout=20):
        """Runs a command and returns its answer; LabError if QEMU refuses."""
        deadline = time.monotonic() + timeout
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        try:
            self._sock.sendall(json.dumps(request).encode() + b"\n")
        except OSError as e:
            raise LabError(f"QMP {name}: {e}") from e
        while True:
            message = self._message(deadline)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise LabError(f"QMP {name}: {message['error'].get('desc')}")
            else:
                return message["return"]

    def hmp(self, line, timeout=20):
        """A command of the human monitor."""
        return self.execute("human-monitor-command", {"command-line": line}, timeout)

    def event_time(self, name, after=0.0):
        """When the first such event after a wall-clock time came (s since the epoch), or None."""
        for e in self.events:
            t = e["timestamp"]["seconds"] + e["timestamp"]["microseconds"] / 1e6
            if e["event"] == name and t >= after:
                return t
        return None


class Qemu:
    """A QEMU process. `qmp_path` is a socket that the harness leaves free for the program under test; it
    is also the first one on the command line.

    guest: as tests/guest/guest.c says, for example "rounds:25343,fill=64"; page 0 of the pattern is the
    guest's own state page. ring: entries of the dirty ring, 0 for bitmaps. backing: "anon" or "hugetlb".
    """

    def __init__(self, lab, guest="rounds:25343", ram=512, *, name="vm", netns=None, accel="kvm", ring=0,
                 smp=1, incoming=False, backing="anon", debug_threads=True, machine="pc", qemu=None, image=None,
                 extra=()):
        self.lab = lab
        self.name = lab.unique(name)
        self.qmp_path = lab.path(f"{name}.qmp")
        own = lab.path(f"{name}.lab")
        image = image or default_guest_image()
        if not os.path.exists(image):
            raise LabError(f"{image} is not there: run make guest")
        if ring:
            accel += f",dirty-ring-size={ring}"
            if "exit=" not in guest:
                guest += f",exit={RING_EXIT_EVERY}"
        argv = ["ip", "netns", "exec", netns] if netns else []
        argv += [qemu or os.environ.get("QEMU", "qemu-system-x86_64"),
                 "-name", self.name + (",debug-threads=on" if debug_threads else ""),
                 "-accel", accel, "-m", str(ram), "-smp", str(smp), "-nodefaults", "-no-reboot", "-no-user-config",
                 "-display", "none", "-vga", "none",
                 "-qmp", f"unix:{self.qmp_path},server=on,wait=off",
                 "-chardev", f"socket,id=lab,path={own},server=on,wait=off", "-mon", "chardev=lab,mode=control",
                 "-kernel", image, "-append", f"dp={guest}"]
        if backing == "hugetlb":
            argv += ["-object", f"memory-backend-memfd,id=ram,size={ram}M,hugetlb=on,hugetlbsize=2M"]
            machine += ",memory-backend=ram"
        elif backing != "anon":
            raise LabError(f"no such backing: {backing}")
        argv += ["-machine", machine]
        firmware = next((f for f in QBOOT if os.path.exists(f)), None)
        if firmware:
            argv += ["-bios", firmware]
        if incoming:
            argv += ["-incoming", "defer"]
        self.log = lab.path(f"{name}.log")
        with open(self.log, "wb") as log:
            self.proc = lab.start(argv + list(extra), stdout=log, stderr=log)
        self.pid = self.proc.pid
        try:
            self.qmp = Qmp(own)
        except LabError as e:
            raise LabError(f"{e}; QEMU said: {self.messages()}") from e
        lab.callback(self.qmp.close)

    def pin(self):
        """Gives the vCPUs the first core, before anybody else, and this QEMU's other threads the others, as on a host that has
        cores enough: without it what a migration takes would be taken from the guest. Threads that QEMU starts later stay off
        the vCPUs' core."""
        cores = CORES
        if len(cores) < 2:
            return
        vcpus = {c["thread-id"] for c in self.qmp.execute("query-cpus-fast")}
        for tid in map(int, os.listdir(f"/proc/{self.pid}/task")):
            try:
                os.sched_setaffinity(tid, cores[:1] if tid in vcpus else cores[1:])
                if tid in vcpus:
                    os.setpriority(os.PRIO_PROCESS, tid, -15)
            except ProcessLookupError:
                pass

    def messages(self):
        """What QEMU printed."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read().strip()

    def version(self):
        """QEMU's version as a string."""
        v = self.qmp.execute("query-version")["qemu"]
        return f"{v['major']}.{v['minor']}.{v['micro']}"

    def state(self):
        """The guest's counters, with the host time (CLOCK_MONOTONIC, s) at which they were read."""
        text = self.qmp.hmp(f"xp /{STATE_WORDS}wx {STATE_GPA:#x}")
        w = [int(x, 16) for line in text.splitlines() for x in re.findall(r"0x[0-9a-f]+", line.partition(":")[2])]
        if len(w) != STATE_WORDS:
            raise LabError(f"cannot read the guest's state: {text.strip()}")
        return {"t": time.monotonic(), "started": w[0] == STATE_MAGIC, "phase": PHASES[w[1] & 3],
                "writes": w[2] | w[3] << 32, "rounds": w[4] | w[5] << 32, "tsc": w[6] | w[7] << 32,
                "tsc_start": w[8] | w[9] << 32, "tsc_khz": w[10], "backlog": w[11]}

    def wait_running(self, timeout=30):
        """Until the pattern runs."""
        deadline = time.monotonic() + timeout
        while True:
            s = self.state()
            if s["started"] and s["phase"] == "bad parameters":
                raise LabError("the guest does not understand its pattern, or it does not fit into its memory")
            if s["started"] and s["phase"] == "run":
                return s
            if time.monotonic() > deadline:
                raise LabError(f"the guest did not start in {timeout} s; QEMU said: {self.messages()}")
            time.sleep(0.02)

    def true_rate(self, seconds=1.0):
        """Pattern writes a second, counted by the guest itself over about `seconds` of host time."""
        a = self.state()
        time.sleep(seconds)
        b = self.state()
        return (b["writes"] - a["writes"]) / (b["t"] - a["t"])
