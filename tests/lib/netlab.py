# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a test leaves no trace of: processes, a temporary directory, network namespaces."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile

PREFIX = "dplab"
SRC_ADDR, DST_ADDR = "10.77.0.1", "10.77.0.2"


class LabError(Exception):
    """Something in the laboratory did not work; the text says what."""


def command(*argv, timeout=20):
    """Runs a helper program; LabError with its own words if it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise LabError(f"{argv[0]}: {e}") from e
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _alive(pid):
    return os.path.exists(f"/proc/{pid}")


class Lab(contextlib.ExitStack):
    """Owns all that a run creates and takes it down again, last thing first, on every way out.

    Names carry the pid, so that two runs do not collide; what a run that was killed with SIGKILL left
    behind is removed by the next one (its processes die with it by themselves).
    """

    def __init__(self):
        super().__init__()
        self._count = 0

    def __enter__(self):
        super().__enter__()
        _remove_leftovers()
        self.dir = tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-")
        self.callback(shutil.rmtree, self.dir, ignore_errors=True)
        return self

    def path(self, name):
        """A path in the run's own directory; short enough for a socket."""
        return os.path.join(self.dir, name)

    def unique(self, what):
        """A name that no other run has."""
        self._count += 1
        return f"{PREFIX}-{os.getpid()}-{what}{self._count}"

    def start(self, argv, grace=5, **kwargs):
        """Starts a process that is stopped at the end: SIGTERM, and SIGKILL after `grace` seconds."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        try:
            # preexec_fn is safe here: the harness has one thread
            proc = subprocess.Popen(argv, preexec_fn=_die_with_parent, **kwargs)
        except OSError as e:
            raise LabError(f"{argv[0]}: {e}") from e
        self.callback(stop, proc, grace=grace)
        return proc

    def netns(self):
        """A network namespace with its loopback up. Returns its name."""
        name = self.unique("ns")
        command("ip", "netns", "add", name)
        self.callback(_delete_netns, name)
        command("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def link(self, rate=None, burst="256kb", latency="20ms"):
        """Two namespaces joined by a veth pair, each side limited to `rate` (as tc writes it; None: no
        limit). Returns the names: source (SRC_ADDR) and destination (DST_ADDR)."""
        src, dst = self.netns(), self.netns()
        command("ip", "-n", src, "link", "add", "dp0", "type", "veth", "peer", "name", "dp0", "netns", dst)
        for ns, addr in ((src, SRC_ADDR), (dst, DST_ADDR)):
            command("ip", "-n", ns, "addr", "add", f"{addr}/24", "dev", "dp0")
            command("ip", "-n", ns, "link", "set", "dp0", "up")
            if rate:
                command("tc", "-n", ns, "qdisc", "add", "dev", "dp0", "root", "tbf", "rate", rate, "burst", burst,
                        "latency", latency)
        return src, dst


def stop(proc, sig=signal.SIGTERM, grace=5):
    """Ends a process, gently first. Returns its status."""
    if proc.poll() is None:
        proc.send_signal(sig)
        try:
            proc.wait(grace)
        except subprocess.TimeoutExpired:
            proc.kill()
    return proc.wait(10)


def _delete_netns(name):
    with contextlib.suppress(LabError):
        command("ip", "netns", "del", name)


def _remove_leftovers():
    ours = re.compile(rf"{PREFIX}-(\d+)-")
    for where, remove in (("/run/netns", _delete_netns),
                          (tempfile.gettempdir(), lambda n: shutil.rmtree(
                              os.path.join(tempfile.gettempdir(), n), ignore_errors=True))):
        with contextlib.suppress(OSError):
            for name in os.listdir(where):
                found = ours.match(name)
                if found and not _alive(found[1]):
                    remove(name)


def exit_on_signals():
    """SIGTERM, SIGINT and SIGHUP end the program through its clean-up."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
