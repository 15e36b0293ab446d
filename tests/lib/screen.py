# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A terminal for tests: a pty, and a screen that does what the escape codes that dirtyprof uses ask for."""

import codecs
import fcntl
import os
import pty
import re
import struct
import termios
import time

from netlab import LabError

CODE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


class Screen:
    """Rows of characters, as a terminal of this size shows them; `past` is what scrolled off."""

    def __init__(self, cols, rows):
        self.cols, self.rows = cols, rows
        self.lines, self.past = [""] * rows, []
        self.row = self.col = 0
        self.codes = []  # all that were seen

    def resize(self, cols, rows):
        """Without reflow, as xterm: lines are cut, and scroll off above if there are too many."""
        while rows < self.rows and self.row >= rows:
            self.past.append(self.lines.pop(0))
            self.row -= 1
            self.rows -= 1
        self.lines = ([line[:cols] for line in self.lines] + [""] * rows)[:rows]
        self.cols, self.rows, self.col = cols, rows, min(self.col, cols)

    def newline(self):
        """Down one row, scrolling at the bottom."""
        if self.row + 1 < self.rows:
            self.row += 1
            return
        self.past.append(self.lines.pop(0))
        self.lines.append("")

    def put(self, char):
        """One character at the cursor; the line breaks when it is full."""
        if self.col == self.cols:
            self.newline()
            self.col = 0
        line = self.lines[self.row].ljust(self.col)
        self.lines[self.row] = line[:self.col] + char + line[self.col + 1:]
        self.col += 1

    def code(self, args, what):
        """An escape code."""
        self.codes.append(args + what)
        n = int(args) if args.isdigit() else 0
        if what == "m":
            return
        if what == "A":
            self.row = max(0, self.row - max(n, 1))
        elif what == "H" and not args:
            self.row = self.col = 0
        elif what == "K" and not n:
            self.lines[self.row] = self.lines[self.row][:self.col]
        elif what == "J" and n == 0:
            self.lines[self.row] = self.lines[self.row][:self.col]
            self.lines[self.row + 1:] = [""] * (self.rows - self.row - 1)
        elif what == "J" and n == 2:
            self.lines = [""] * self.rows
        else:
            raise LabError(f"a code that this terminal does not know: {args}{what}")

    def feed(self, text):
        """Output; returns what is left of an incomplete code."""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                m = CODE.match(text, at)
                if not m:
                    return text[at:]
                self.code(*m.groups())
                at = m.end()
                continue
            if text[at] == "\r":
                self.col = 0
            elif text[at] == "\n":
                self.newline()
            else:
                self.put(text[at])
            at += 1
        return ""

    def shown(self):
        """Lines up to the last that is not empty."""
        lines = [line.rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines


class Terminal:
    """A program on a pty of its own. env: over the environment; None takes a variable away."""

    def __init__(self, lab, argv, cols=80, rows=24, env=None, outputs=("stdout", "stderr"), **files):
        self.screen, self.left, self.raw = Screen(cols, rows), "", b""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.master, slave = pty.openpty()
        lab.callback(os.close, self.master)
        self.size(cols, rows)
        whole = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}
        whole = {k: v for k, v in whole.items() if v is not None and (k != "COLORTERM" or (env or {}).get(k))}
        streams = {name: slave for name in outputs}
        self.proc = lab.start(["setsid", "--ctty", *argv], stdin=slave, env=whole, **streams, **files)
        os.close(slave)
        os.set_blocking(self.master, False)

    def size(self, cols, rows):
        """Sets it; the kernel sends SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, cols, rows):
        """Of the terminal and what is seen of it. What was under way comes first."""
        self.read()
        self.screen.resize(cols, rows)
        self.size(cols, rows)

    def read(self):
        """Takes what there is. False: the program has closed the terminal."""
        while True:
            try:
                data = os.read(self.master, 65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self.raw += data
            self.left = self.screen.feed(self.left + self.decoder.decode(data))

    def wait(self, what, condition, timeout=20):
        """Until the condition holds for the screen's lines; LabError after the timeout."""
        deadline = time.monotonic() + timeout
        while True:
            there = self.read()
            got = condition(self.screen.shown())
            if got:
                return got
            if not there or time.monotonic() > deadline:
                raise LabError(f"{what}: not seen on\n" + "\n".join(self.screen.shown()))
            time.sleep(0.02)

    def end(self, timeout=20):
        """Until the program has ended. Returns its exit status."""
        deadline = time.monotonic() + timeout
        while self.proc.poll() is None:
            self.read()
            if time.monotonic() > deadline:
                raise LabError("it does not end")
            time.sleep(0.02)
        self.read()
        return self.proc.returncode
