# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Looks at a page of dirtyprof report --html as a browser and a reader of its data would."""
import html.parser
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import zlib

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
VOID = {"meta", "br", "img", "link", "input", "hr"}


def browser():
    return next((b for b in map(shutil.which, BROWSERS) if b), None)


class Page(html.parser.HTMLParser):
    """What stands in a page: sections, numbers with their paths, data, and whatever refers to something outside."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.values, self.outside, self.tags = {}, [], [], {}
        self.data, self.section, self.run, self.compare, self.number, self.text, self.html = "", None, None, None, None, "", {}
        self.in_data, self.open = False, []
        self.feed(text)
        self.close()
        self.data = json.loads(self.data)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)
        if tag == "html":
            self.html = a
        if tag == "section":
            self.section = a["id"]
            self.sections[self.section] = ""
            self.compare = None
        if tag == "article":
            self.run = int(a["data-run"])
        if "data-compare" in a:
            self.compare = int(a["data-compare"])
        self.in_data |= a.get("id") == "data"
        if tag == "data":
            self.number, self.text = a, ""
        for k in ("src", "href", "srcset", "action", "data", "poster"):
            if a.get(k) and not a[k].startswith("#"):
                self.outside.append(f"<{tag} {k}={a[k]}>")
        self.outside += [f"{tag} {k}" for k in a if k.startswith("on")]
        self.outside += re.findall(r"url\((?!#)[^)]*\)", a.get("style") or "")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass
        if tag == "script":
            self.in_data = False
        if tag == "data":
            where = ("compare", self.compare) if self.section == "compare" else ("runs", self.run)
            self.values.append((where, self.number.get("data-k"), self.number["value"], self.text))
            self.number = None

    def handle_data(self, text):
        if self.in_data:
            self.data += text
        if self.number is not None:
            self.text += text
        if self.section and not self.in_data:
            self.sections[self.section] += text
        if self.open and self.open[-1] == "style":
            self.outside += re.findall(r"@import[^;]*|url\((?!#)[^)]*\)", text)

    def at(self, where, path):
        """The number that a path leads to."""
        v = self.data[where[0]][where[1]]
        for step in path.split("."):
            v = v[int(step)] if isinstance(v, list) else v[step]
        return v


UNITS = {"": 1, "B": 1, "B/s": 1, "b/s": 0.125, "s": 1, "%": 0.01, "min": 60, "h": 3600, "d": 86400, "µs": 1e-6, "ms": 1e-3,
         "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
for _i, _p in enumerate("KMGTP", 1):
    UNITS[_p + "iB"] = UNITS[_p + "iB/s"] = 1024.0 ** _i
for _i, _p in enumerate("kMGTP", 1):
    UNITS[_p + "b/s"] = 1000.0 ** _i / 8


def reads_as(text, value):
    """Whether people read the number that it is, to the digits shown."""
    if value is None:
        return text in ("–", "-", "never", "none does it")
    if text == "none does it":
        return value >= 1
    m = re.fullmatch(r"([+-]?[0-9][0-9,.]*(?:e[+-]\d+)?) ?([^\d]*)", text)
    if not m or m[2].strip() not in UNITS:
        return False
    unit, shown = UNITS[m[2].strip()], float(m[1].replace(",", ""))
    digits = len(m[1].split(".")[1]) if "." in m[1] else 0
    return abs(shown - value / unit) <= 0.5001 * 10.0 ** -digits + 1e-9 * abs(shown) or (
        "e" in m[1] and abs(shown * unit - value) <= 0.006 * abs(value))


def wrong_numbers(page):
    """Numbers that do not say what the data say."""
    out = []
    for where, key, value, text in page.values:
        exact = float(value) if value else None
        if key:
            try:
                there = page.at(where, key)
            except (KeyError, IndexError, TypeError) as e:
                out.append(f"{key}: not in the data ({e})")
                continue
            if there != exact:
                out.append(f"{key}: {exact} on the page, {there} in the data")
        if not reads_as(text, exact):
            out.append(f"{key}: reads \"{text}\", is {exact}")
    return out


class Browser:
    def __init__(self, program):
        self.program = program
        self.dir = tempfile.mkdtemp(prefix="page-")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, page, *args):
        """(stdout, what the page's console said); each time as if for the first, as a page may keep its theme."""
        profile = tempfile.mkdtemp(dir=self.dir)
        cmd = [self.program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
               "--force-device-scale-factor=1", f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0", *args,
               "file://" + os.path.abspath(page)]
        r = subprocess.run(cmd, capture_output=True, timeout=300, check=False)
        shutil.rmtree(profile, ignore_errors=True)
        err = r.stderr.decode(errors="replace")
        return r.stdout.decode(errors="replace"), [s for s in err.splitlines() if "CONSOLE" in s or "Uncaught" in s]

    def dom(self, page):
        return self.run(page, "--virtual-time-budget=2000", "--dump-dom")

    def shot(self, page, png, width, height, dark):
        args = [f"--screenshot={os.path.abspath(png)}", f"--window-size={width},{height}"]
        if dark:
            args.append("--blink-settings=preferredColorScheme=0")
        return self.run(page, *args)[1]


def png_pixels(path, most):
    """The first rows of (r, g, b), of a PNG of 8 bits a channel without interlacing, as browsers write it."""
    with open(path, "rb") as f:
        raw = f.read()
    at, idat, head = 8, b"", None
    while at < len(raw):
        n, kind = struct.unpack(">I4s", raw[at:at + 8])
        body = raw[at + 8:at + 8 + n]
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            idat += body
        at += 12 + n
    width, height, depth, colour = head[:4]
    channels = {2: 3, 6: 4}[colour]
    assert depth == 8 and not head[6]
    data, stride, before, rows = zlib.decompress(idat), width * channels, bytes(width * channels), []
    for y in range(min(most, height)):
        kind, row = data[y * (stride + 1)], bytearray(data[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            a, b = row[i - channels] if i >= channels else 0, before[i]
            c = before[i - channels] if i >= channels else 0
            if kind == 1:
                row[i] = row[i] + a & 255
            elif kind == 2:
                row[i] = row[i] + b & 255
            elif kind == 3:
                row[i] = row[i] + (a + b) // 2 & 255
            elif kind == 4:
                p = a + b - c
                row[i] = row[i] + min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2] & 255
        rows.append([tuple(row[x:x + 3]) for x in range(0, stride, channels)])
        before = bytes(row)
    return rows
