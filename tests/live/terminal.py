#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""--heatmap and --curve on terminals of many widths, in pipes, and while the size changes."""
# timeout: 300

import math
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import DIRTYPROF, Vmm, main, missing  # noqa: E402
from qemu import Qemu  # noqa: E402
from screen import Terminal  # noqa: E402

ROW = re.compile(r"^ *(\d+\.\d) (.*)$")
BLOCKS, SHADES = " ▁▂▃▄▅▆▇█", " .:-=+*#%@"


def guest(lab):
    """It writes all of its pages in the upper half of its 64 MiB, round and round."""
    vmm = Vmm(lab, "--log", "ring:4096", "--pattern", "rounds:8192:80000", "--offset", "32M", "--mem", "64M", "--sync-ms", "100",
              seconds=300)
    vmm.go()
    return vmm


def argv(vmm, *more):
    """dirtyprof on it."""
    return [DIRTYPROF, "-p", str(vmm.pid), "--bandwidth", "1G", *more]


def rows_of(lines):
    """The heatmap's rows: (time, what follows)."""
    return [(float(m.group(1)), m.group(2)) for m in map(ROW.match, lines) if m]


def cells_of(n, glyphs):
    """The cells of an interval in which the guest went round, by arithmetic: its 16384 pages, then 16 private ones (code, TSS, a
    mailbox, page tables: tests/vmm/arch_x86.c); it writes pages 8192 to 16383."""
    out = ""
    for c in range(n):
        lo, hi = 16400 * c // n, 16400 * (c + 1) // n
        dirty = max(0, min(hi, 16384) - max(lo, 8192))
        # the last glyph from a half on, the one before from a quarter on, and so on
        level = len(glyphs) + math.floor(math.log2(dirty / (hi - lo))) if dirty else 0
        out += glyphs[min(level, len(glyphs) - 1)]
    return out


def cell_count(width):
    """64 cells where 128 do not fit beside the time and the pages, and so on."""
    n = 128
    while n > width - 1 - 7 - 8:
        n //= 2
    return n


def widths(lab, tap, vmm):
    """One row an interval that fits, in both charsets."""
    for width, env in ((40, {}), (79, {}), (80, {}), (132, {"LC_ALL": "C"}), (160, {"LC_ALL": "C", "TERM": "xterm"})):
        t = Terminal(lab, argv(vmm, "--heatmap", "0.5", "4"), width, 24, env)
        status = t.end()
        lines = t.screen.past + t.screen.shown()
        n, glyphs = cell_count(width), SHADES if env else BLOCKS
        rows = [(at, text[:n]) for at, text in rows_of(lines)][:4]
        # it began within the first interval, and ends after the last
        tap.ok(status in (0, 2) and len(rows) == 4 and cells_of(n, glyphs) in [c for _, c in rows[1:]],
               f"{width} columns, {'ASCII' if env else 'Unicode'}: {n} cells", cells_of(n, glyphs), *lines)
        want = r"(0|3\d)m" if "TERM" in env else r"(0|38;5;\d+)m"
        tap.ok(len(set(t.screen.codes)) >= 2 and all(re.fullmatch(want, c) for c in t.screen.codes),
               f"{width} columns: colours, and nothing else", t.screen.codes[:9])


def plain(lab, tap, vmm):
    """No escape codes where they are not wanted or not known."""
    for name, env in (("NO_COLOR", {"NO_COLOR": "1"}), ("TERM=dumb", {"TERM": "dumb"}), ("no TERM", {"TERM": None})):
        t = Terminal(lab, argv(vmm, "--heatmap", "0.5", "3"), 80, 24, env)
        t.end()
        tap.ok(b"\x1b" not in t.raw and len(rows_of(t.screen.past + t.screen.shown())) >= 3, f"{name}: no escape code",
               t.screen.codes[:9])
    for env in ({"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}):
        r = subprocess.run(argv(vmm, "--heatmap", "--curve", "0.5", "3"), env={**os.environ, "TERM": "xterm-256color", **env},
                           capture_output=True, timeout=30, check=False)
        out = r.stdout.decode()
        cells = [text[:64] for _, text in rows_of(out.splitlines())][:3]
        want = cells_of(64, BLOCKS if "UTF" in env["LC_ALL"] else SHADES)
        tap.ok("\x1b" not in out and "\r" not in out and len(cells) == 3 and want in cells[1:],
               f"a pipe, {env['LC_ALL']}: plain lines of 80 columns", out[:2000])
        tap.ok(out.count("Dirtied within t, pages of 4K") == 1 and out.rstrip().splitlines()[-1].strip().startswith("100 us"),
               f"a pipe, {env['LC_ALL']}: the curve, once, at the end", out[-2000:])
        tap.ok(all(len(line) <= 79 for line in out.splitlines()), f"a pipe, {env['LC_ALL']}: no line is too long",
               [line for line in out.splitlines() if len(line) > 79])


def one_curve(lines):
    """Whether the screen ends with a curve, and has no other; rows above it."""
    heads = [i for i, line in enumerate(lines) if line.startswith("Dirtied within t")]
    axes = [i for i, line in enumerate(lines) if line.strip().startswith("100 us")]
    return len(heads) == 1 and axes == [len(lines) - 1] and heads[0]


def ascending(lines):
    """Whether these rows are there, each once, in order."""
    times = [at for at, _ in rows_of(lines)]
    return len(times) >= 3 and all(b - a > 0.1 for a, b in zip(times, times[1:])) and \
        all(b - a < 1.2 for a, b in zip(times, times[1:]))


def below_the_lines(lab, tap):
    """The curve stays at the bottom, through messages and changes of size, and is gone before the report."""
    vmm = guest(lab)
    t = Terminal(lab, argv(vmm, "-v", "--heatmap", "--curve", "0.5"), 100, 40)

    def good(width, cells):
        def look(lines):
            top = one_curve(lines)
            return top and ascending(lines[:top]) and all(len(line) < width for line in lines[1:]) and \
                all(len(text) >= cells for _, text in rows_of(lines))
        return look
    tap.ok(t.wait("a curve below three lines", good(100, 64)), "100 columns: lines, and the curve below")
    for cols, rows in ((60, 30), (130, 50), (24, 30), (80, 16)):
        t.resize(cols, rows)
        seen = t.wait(f"{cols} columns", lambda ls, c=cols: good(c, cell_count(c))(ls) and ls)
        tap.ok(seen[0].startswith("TIME s") and len(seen[0]) < cols, f"{cols} x {rows}: drawn anew, the columns on top", seen)
        # and on: the next line, too
        last = rows_of(seen)[-1][0]
        tap.ok(t.wait("the next line", lambda ls, c=cols, at=last: good(c, 4)(ls) and rows_of(ls)[-1][0] > at),
               f"{cols} x {rows}: it goes on", t.screen.shown())
    t.resize(80, 15)
    tap.ok(t.wait("lines alone", lambda ls: ascending(ls) and not any("Dirtied" in line for line in ls)),
           "15 rows: no room for a curve", t.screen.shown())
    t.resize(100, 45)
    t.wait("a curve again", good(100, 4))
    # a guest that stands still is worth a word
    vmm.proc.send_signal(signal.SIGSTOP)
    said = "dirtyprof: the guest stopped"
    t.wait("the message", lambda ls: any(line.startswith(said) for line in ls))
    at = rows_of(t.screen.shown())[-1][0]
    t.wait("a line after it", lambda ls: one_curve(ls) and rows_of(ls)[-1][0] > at)
    vmm.proc.send_signal(signal.SIGCONT)
    tap.ok(sum(line.startswith(said) for line in t.screen.past + t.screen.shown()) == 1,
           "a message that comes while it is drawn stays, and the curve goes below", *t.screen.shown())
    t.proc.send_signal(signal.SIGINT)
    t.end()
    whole = "\n".join(t.screen.past + t.screen.shown())
    report = whole[whole.rindex("Watched for"):]
    tap.ok("Dirtied within t" not in whole[whole.rindex(said):whole.rindex("Watched for")] and
           report.count("Dirtied within t, pages") == 1 and t.screen.shown()[-1].strip().startswith("100 us"),
           "at the end it makes way for the report, and comes behind it", whole)
    vmm.end()


LEFT = re.compile(r"^(.*) \[([#.]{20})\] (\d+) s left$")


def countdown(t, what, stop=None):
    """Watches the status line until the program ends, or `stop` says so. Returns the seconds that it showed, in order; None: it was not alone."""
    seen = []
    while t.proc.poll() is None:
        t.read()
        lines = t.screen.shown()
        found = [m for m in map(LEFT.match, lines) if m]
        if len(found) > 1 or (found and not LEFT.match(lines[-1])):
            return None
        if found and found[0].group(1) == what and (not seen or seen[-1] != int(found[0].group(3))):
            seen.append(int(found[0].group(3)))
        if stop and stop(seen):
            return seen
        time.sleep(0.02)
    t.end()
    return seen


def gone(t):
    """No trace of it on the screen."""
    return not any("left" in line and "[" in line for line in t.screen.past + t.screen.shown())


def falling(seen, first):
    """Every second at most once, from `first` on or a little later, to 1; a busy machine may leave some out."""
    return seen and len(seen) >= 2 and first - 1 <= seen[0] <= first and seen[-1] <= 2 and seen == sorted(set(seen), reverse=True)


def progress(lab, tap, vmm):
    """What takes more than two seconds says how long, on stderr alone, and leaves nothing behind."""
    t = Terminal(lab, [DIRTYPROF, "predict", "-p", str(vmm.pid), "0.5", "9"])
    seen = countdown(t, "measuring")
    tap.ok(falling(seen, 5) and gone(t), "predict: the time left, and then the table alone", seen, *t.screen.shown())
    t = Terminal(lab, argv(vmm, "--curve", "1", "5"), 100, 50)
    seen = countdown(t, "measuring")
    tap.ok(falling(seen, 5) and gone(t), "a run of known length: below the lines and the curve", seen, *t.screen.shown())
    t = Terminal(lab, argv(vmm, "4s", "1"), 30, 24)
    seen = countdown(t, "measuring")
    tap.ok(not seen and gone(t), "where it does not fit it is cut, and taken back", seen, *t.screen.shown())
    out = lab.path("table")
    with open(out, "wb") as f:
        t = Terminal(lab, [DIRTYPROF, "predict", "-p", str(vmm.pid), "1", "3"], outputs=("stderr",), stdout=f)
        seen = countdown(t, "measuring")
    with open(out, "rb") as f:
        table = f.read()
    tap.ok(seen and gone(t) and b"\x1b" not in table and b"left" not in table and table.count(b"\n") > 5,
           "stdout elsewhere: it is on the terminal, and the table is clean", seen, table)
    r = subprocess.run([DIRTYPROF, "predict", "-p", str(vmm.pid), "1", "3"], capture_output=True, timeout=30, check=False)
    tap.ok(b"left" not in r.stderr and b"\x1b" not in r.stderr and r.stdout, "no terminal: nothing", r.stderr)


def calculation(lab, tap):
    """QEMU's calculations cannot be cut short."""
    name = "--start: until QEMU's last calculation has ended"
    if missing("qemu-system-x86_64"):
        tap.skip(name, missing("qemu-system-x86_64"))
        return
    vm = Qemu(lab, "rounds:5003", 64, name="progress")
    vm.wait_running()
    t = Terminal(lab, [DIRTYPROF, "-p", str(vm.pid), "--start", "--window", "6s", "1"], 100, 50)
    first = countdown(t, "the first calculation of QEMU", lambda seen: seen and seen[-1] <= 4)
    t.proc.send_signal(signal.SIGINT)
    seen = countdown(t, "waiting for QEMU to end its calculation")
    tap.ok(first and first[0] in (5, 6) and falling(seen, 4) and gone(t), name, first, seen, *t.screen.shown())
    vm.proc.kill()


def body(lab, tap):
    """All of it."""
    vmm = guest(lab)
    widths(lab, tap, vmm)
    plain(lab, tap, vmm)
    progress(lab, tap, vmm)
    vmm.end()
    calculation(lab, tap)
    below_the_lines(lab, tap)


if __name__ == "__main__":
    sys.exit(main(body, "setsid"))
