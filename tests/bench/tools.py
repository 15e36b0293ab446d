# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the bench runs: guests, watchers of a guest, and the measures it takes of them."""

import dataclasses
import json
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
DPVMM = os.path.join(BUILD, "tests", "dpvmm")
DIRTYPROF = os.path.join(BUILD, "dirtyprof")
EMPTY = os.path.join(BUILD, "tests", "bench", "empty.bpf.o")
HOOK = os.path.join(BUILD, "tests", "bench", "hook")
LOOPS = os.path.join(BUILD, "tests", "bench", "loops")
MAKE_TRACE = os.path.join(BUILD, "tests", "lib", "make_trace")
EVENT = "kvm:kvm_dirty_ring_push"
TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that was needed did not work."""


def cpu_seconds(pid):
    """User and system time of a process so far, from the scheduler's exact count where there is one."""
    total = 0
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9
    except FileNotFoundError:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def user_seconds(pid):
    """User time of a process so far: by clock ticks, so it needs some seconds to mean much."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return int(f.read().rsplit(")", 1)[1].split()[11]) / TICK


def map_bytes(pid):
    """What the kernel charges for the BPF maps that a process holds."""
    total, seen = 0, set()
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
                text = f.read()
        except FileNotFoundError:
            continue
        found = dict(re.findall(r"^(map_id|memlock|map_type):\s+(\d+)", text, re.M))
        if "map_type" in found and found.get("map_id") not in seen:
            seen.add(found.get("map_id"))
            total += int(found["memlock"])
    return total


def own_bytes(pid):
    """Resident bytes of a process, BPF maps that it has mapped left out."""
    total = mapped = 0
    is_map = False
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                is_map = "bpf-map" in line or "bpf_ringbuf" in line
            elif line.startswith("Rss:"):
                kib = int(line.split()[1])
                total += kib
                mapped += kib if is_map else 0
    return (total - mapped) * 1024


@dataclasses.dataclass
class Watch:
    """A watcher's costs during one run of a guest."""

    cpu: float = 0        # seconds of CPU
    user: float = 0       # of it in user space
    wall: float = 0       # over this time
    own: int = 0          # resident bytes, most that was seen
    maps: int = 0         # bytes of BPF maps
    said: int = 0         # resident bytes as dirtyprof reports them
    lines: list = dataclasses.field(default_factory=list)


class Watcher:
    """A process that watches a guest, started before the guest runs and stopped after it."""

    def __init__(self, argv, out):
        self.out = out
        self.watch = Watch()
        self.proc = subprocess.Popen(argv, stdout=open(out, "wb"), stderr=subprocess.DEVNULL,
                                     stdin=subprocess.DEVNULL)
        self.at = self.cpu0 = self.user0 = 0

    def ready(self):
        """Blocks until it is attached."""
        raise NotImplementedError

    def sample(self):
        """Looks at its memory and time; called while it runs."""
        pid, w = self.proc.pid, self.watch
        if self.proc.poll() is not None:
            return
        if not self.at:
            self.at, self.cpu0, self.user0 = time.monotonic(), cpu_seconds(pid), user_seconds(pid)
        w.own = max(w.own, own_bytes(pid))
        w.maps = max(w.maps, map_bytes(pid))
        w.cpu = cpu_seconds(pid) - self.cpu0
        w.user = user_seconds(pid) - self.user0
        w.wall = time.monotonic() - self.at

    def stop(self):
        """Ends it; never leaves it behind."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait(10)
        return self.watch


class Dirtyprof(Watcher):
    """dirtyprof as an operator runs it: one line a second."""

    def __init__(self, pid, folder, *options):
        super().__init__([DIRTYPROF, "-p", str(pid), "--json", *options, "1"], os.path.join(folder, "dp.jsonl"))

    def ready(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if os.path.getsize(self.out):
                return
            if self.proc.poll() is not None:
                break
            time.sleep(0.01)
        raise BenchError("dirtyprof did not attach; try it by hand: " + " ".join(self.proc.args))

    def stop(self):
        super().stop()
        with open(self.out, encoding="utf-8") as f:
            self.watch.lines = [json.loads(line) for line in f]
        return self.watch


class Perf(Watcher):
    """perf record of the same tracepoint; tracefs in a mount namespace of its own, where it is not mounted."""

    def __init__(self, pid, folder):
        self.data = os.path.join(folder, "perf.data")
        self.pipes = [os.path.join(folder, n) for n in ("perf.ctl", "perf.ack")]
        for p in self.pipes:
            if not os.path.exists(p):
                os.mkfifo(p)
        self.fds = [os.open(p, os.O_RDWR | os.O_NONBLOCK) for p in self.pipes]
        script = ('[ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing || exit 1; '
                  f'exec perf record -q -D -1 --control "fifo:$1,$2" -e {EVENT} -p "$3" -o "$4"')
        super().__init__(["unshare", "-m", "sh", "-c", script, "sh", *self.pipes, str(pid), self.data],
                         os.path.join(folder, "perf.out"))

    def ready(self):
        os.write(self.fds[0], b"enable\n")
        if not select.select([self.fds[1]], [], [], 10)[0] or self.proc.poll() is not None:
            self.stop()
            raise BenchError(f"perf record -e {EVENT} does not work here")

    def stop(self):
        super().stop()
        while self.fds:
            os.close(self.fds.pop())
        if os.path.exists(self.data):
            self.watch.said = os.path.getsize(self.data)
            os.unlink(self.data)
        return self.watch


class Empty(Watcher):
    """A BPF program that does nothing, on the same hook."""

    def __init__(self, _pid, folder):
        super().__init__([HOOK, EMPTY], os.path.join(folder, "empty.out"))

    def ready(self):
        deadline = time.monotonic() + 10
        while not os.path.getsize(self.out):
            if self.proc.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise BenchError("it cannot be loaded")
            time.sleep(0.01)


class Nothing:
    """No watcher."""

    def __init__(self, *_):
        self.watch = Watch()

    def ready(self):
        """At once."""

    def sample(self):
        """Nothing to see."""

    def stop(self):
        """Nothing to end."""
        return self.watch


@dataclasses.dataclass
class Run:
    """One run of a guest."""

    end: dict             # dpvmm's last event
    syncs: list
    cpu: float            # seconds of CPU that the VMM used
    watch: Watch

    def rate(self):
        """Writes a second."""
        return self.end["pages_per_s"]

    def cpu_rate(self):
        """Writes a second of the VMM's CPU time: what other load on the machine leaves alone."""
        return self.end["writes"] / self.cpu


def run_guest(folder, watcher, seconds, *options, settle=0.0):
    """Runs dpvmm while watcher(pid) is attached. settle: seconds attached before the guest begins."""
    go = os.path.join(folder, "go")
    log = os.path.join(folder, "vmm.jsonl")
    if os.path.exists(go):
        os.unlink(go)
    with open(log, "wb") as out:
        vmm = subprocess.Popen([DPVMM, "--seconds", str(seconds), "--wait-file", go, *options], stdout=out)
    w = None
    try:
        wait_for_ready(vmm, log)
        w = watcher(vmm.pid)
        w.ready()
        time.sleep(settle)
        with open(go, "wb"):
            pass
        status, usage = follow(vmm, w, seconds)
        watch = w.stop()
    finally:
        if vmm.returncode is None:
            vmm.kill()
            vmm.wait(10)
        if w:
            w.stop()
    if status:
        raise BenchError(f"dpvmm {' '.join(options)}: status {status}")
    with open(log, encoding="utf-8") as f:
        events = [json.loads(line) for line in f]
    return Run(events[-1], [e for e in events if e["event"] == "sync"], usage, watch)


def wait_for_ready(vmm, log):
    """Until dpvmm has made its VM."""
    deadline = time.monotonic() + 10
    while not os.path.getsize(log):
        if vmm.poll() is not None or time.monotonic() > deadline:
            raise BenchError("dpvmm does not start: is /dev/kvm there?")
        time.sleep(0.005)


def follow(vmm, watcher, seconds):
    """Waits for the guest's end, looking at the watcher in its middle and shortly before. Status and CPU seconds."""
    start = time.monotonic()
    for at in (0.5, 0.95):
        time.sleep(max(0, start + seconds * at - time.monotonic()))
        watcher.sample()
    deadline = start + seconds + 30
    while time.monotonic() < deadline:
        pid, status, usage = os.wait4(vmm.pid, os.WNOHANG)
        if pid:
            vmm.returncode = os.waitstatus_to_exitcode(status)
            return vmm.returncode, usage.ru_utime + usage.ru_stime
        time.sleep(0.01)
    raise BenchError("dpvmm does not end")


def loops(*args, limit=60):
    """One of the plain loops' numbers."""
    r = subprocess.run([LOOPS, *map(str, args)], stdout=subprocess.PIPE, timeout=limit, check=False)
    if r.returncode:
        raise BenchError("loops failed")
    return float(r.stdout)


def spread(values):
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)


def big_trace(folder, source, active, seconds):
    """A trace of a VM of 1 TiB that there never was: its path, and bytes."""
    path = os.path.join(folder, "big.trace")
    done = subprocess.run([MAKE_TRACE, path, "--source", source, "--regions", "1024", "--active", str(active),
                           "--seconds", str(seconds)], check=False)
    if done.returncode:
        raise BenchError("make_trace failed")
    return path, os.path.getsize(path)


def timed_report(path, *options):
    """Seconds that `dirtyprof report` takes, and bytes of memory at most."""
    start, peak = time.monotonic(), 0
    with subprocess.Popen([DIRTYPROF, "report", path, *options], stdout=subprocess.DEVNULL) as proc:
        # not what wait4() says, which is never less than this process has
        while proc.poll() is None:
            with open(f"/proc/{proc.pid}/status", encoding="ascii", errors="replace") as f:
                found = re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M)
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.01)
    if proc.returncode not in (0, 2):  # 2: it would not converge
        raise BenchError("dirtyprof report failed")
    return time.monotonic() - start, peak * 1024


class Folder:
    """A temporary folder; perf's data goes to memory, not to a disk."""

    def __enter__(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.path = tempfile.mkdtemp(prefix="dirtyprof-bench-", dir=base)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)
