#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Text, JSON and Prometheus of one run carry the same numbers; promtool, node_exporter and the schema agree.

TAP on stdout. Needs root and /dev/kvm. BUILD is the build directory.
"""
# timeout: 150

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from live import DIRTYPROF, LabError, Prof, TOP, Vmm, main, wait_until  # noqa: E402

P = 5003
EXPORTERS = ("prometheus-node-exporter", "node_exporter")


def metrics(text):
    """{name{labels}: value} of an exposition."""
    found = {}
    for line in text.splitlines():
        m = re.match(r"^(dirtyprof_\w+)\{(.*)\} (\S+)$", line)
        if m:
            labels = ",".join(sorted(re.findall(r'\w+="[^"]*"', m.group(2))))  # exporters order them as they like
            found[f"{m.group(1)}{{{labels}}}"] = float(m.group(3))
    return found


def read(path):
    """The file's text, or None while there is none."""
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return None


def schema(tap, path):
    """Every record against docs/schema.json."""
    try:
        import jsonschema  # pylint: disable=import-outside-toplevel
    except ImportError:
        tap.skip("records validate", "python3-jsonschema is not installed")
        return
    with open(os.path.join(TOP, "docs", "schema.json"), encoding="utf-8") as f:
        rules = json.load(f)
    check = jsonschema.validators.validator_for(rules)(rules)
    wrong, kinds = [], set()
    with open(path, encoding="utf-8") as f:
        for line in f:
            record = json.loads(line)
            kinds.add(record["type"])
            wrong += [f"{record['type']}: {e.json_path}: {e.message}" for e in check.iter_errors(record)]
    tap.ok(not wrong and {"start", "interval", "report"} <= kinds, "records of every kind validate", wrong[:5], kinds)


def promtool(tap, text):
    """promtool's linter has nothing to say."""
    tool = shutil.which("promtool")
    if not tool:
        tap.skip("promtool check metrics", "promtool is not installed")
        return
    r = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=20, check=False)
    tap.ok(r.returncode == 0 and not r.stdout.strip() and not r.stderr.strip(), "promtool check metrics", r.stdout, r.stderr)


def free_port():
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def scrape(port):
    """What node_exporter shows, or None while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as r:
            return r.read().decode()
    except OSError:
        return None


def exporter(lab, tap, folder):
    """node_exporter reads the file as it is, while it is being rewritten."""
    tool = next(filter(None, map(shutil.which, EXPORTERS)), None)
    if not tool:
        for name in ("node_exporter scrapes the file", "the values are those of the file"):
            tap.skip(name, "node_exporter is not installed")
        return
    port = free_port()
    with open(lab.path("exporter.err"), "wb") as err:
        lab.start([tool, "--collector.disable-defaults", "--collector.textfile",
                   f"--collector.textfile.directory={folder}", f"--web.listen-address=127.0.0.1:{port}"],
                  stdout=err, stderr=err)
    text = wait_until("node_exporter", lambda: scrape(port), 15)
    tap.ok("node_textfile_scrape_error 0" in text, "node_exporter scrapes the file",
           [ln for ln in text.splitlines() if "textfile" in ln])

    def same():
        before, text, after = read(f"{folder}/vm.prom"), scrape(port), read(f"{folder}/vm.prom")
        return before == after and metrics(text or "") == metrics(before) and metrics(before)
    try:
        got = wait_until("equal values", same, 10)
    except LabError as e:
        got = None
        tap.note(e)
    tap.ok(got, "the values are those of the file")


def whole(tap, path, seconds=3.0):
    """Whenever it is looked at, the file is complete: it begins and ends as a whole one does."""
    first = last = None
    broken, looks, seen = [], 0, set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = read(path)
        looks += 1
        if not text:
            broken.append("missing or empty")
            continue
        lines = text.splitlines()
        first, last = first or lines[0], last or lines[-1].split(" ")[0].split("{")[0]
        if lines[0] != first or not lines[-1].startswith(last) or not text.endswith("\n"):
            broken.append(lines[-1])
        seen.add(text)
        time.sleep(0.0005)
    tap.ok(not broken and len(seen) > 3 and looks > 100, "the file is whole at every instant",
           broken[:3], f"{looks} looks, {len(seen)} versions")


def near(a, b, digits):
    """Equal as far as text shows it."""
    return a is not None and b is not None and abs(a - b) <= 10 ** -digits * max(abs(a), abs(b), 1e-9)


UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "ms": 1e-3, "s": 1, "us": 1e-6}


def quantity(text):
    """A friendly number of the report in base units."""
    m = re.match(r"([\d.,]+) ?(\w+)", text.strip())
    return float(m.group(1).replace(",", "")) * UNITS[m.group(2)] if m and m.group(2) in UNITS else None


def three_forms(lab, tap, vm, folder):
    """One run's JSON report and last textfile against each other; a run's text against a JSON run of the same stretch."""
    text_out = lab.path("text.out")
    with open(text_out, "wb") as out, open(lab.path("text.err"), "wb") as err:
        text_run = lab.start([DIRTYPROF, "-p", str(vm.pid), "--bandwidth", "1G", "1", "4"], stdout=out, stderr=err)
    prof = Prof(lab, vm.pid, "--bandwidth", "1G", "--prometheus", f"{folder}/vm.prom", positional=("0.25",))
    prof.wait_for("interval", 8)
    promtool(tap, read(f"{folder}/vm.prom"))
    exporter(lab, tap, folder)
    whole(tap, f"{folder}/vm.prom")

    def pair():
        """A textfile together with the interval record it was written with."""
        n = len(prof.records("interval"))
        text = read(f"{folder}/vm.prom")
        records = prof.records("interval")
        return (metrics(text), records[-1]) if len(records) == n else None
    got, rec = wait_until("a textfile and its record", pair)

    def prom(name, **want):
        for key, value in got.items():
            if key.startswith(name + "{") and all(f'{k}="{v}"' in key for k, v in want.items()):
                return value
        return None
    pred = rec["prediction"]
    pairs = [
        ("dirty rate", rec["dirty_rate_bytes_per_s"]["4K"]["mid"], prom("dirtyprof_dirty_rate_bytes_per_second", size="4K")),
        ("floor", pred["floor_s"]["mid"], prom("dirtyprof_downtime_floor_seconds")),
        ("total", pred["total_s"]["mid"], prom("dirtyprof_predicted_duration_seconds")),
        ("stop now", pred["stop_now_s"]["mid"], prom("dirtyprof_down_if_stopped_now_seconds")),
        ("seen", rec["seen_bytes"], prom("dirtyprof_distinct_dirty_bytes")),
    ]
    tap.ok(all(near(a, b, 6) for _, a, b in pairs), "JSON and Prometheus carry the same numbers",
           pairs, sorted(got)[:60])
    report = prof.finish()
    schema(tap, prof.out)
    after = metrics(read(f"{folder}/vm.prom"))
    tap.ok(any(k.startswith("dirtyprof_up") and v == 0 for k, v in after.items())
           and not any(k.startswith("dirtyprof_dirty_rate") for k in after),
           "after a clean exit the file says that nobody measures any more", after)
    text_run.wait(30)
    text = read(text_out)
    tap.ok(all(len(line) < 80 for line in text.splitlines()), "text is under 80 columns",
           [ln for ln in text.splitlines() if len(ln) >= 80])
    seen = re.search(r"Seen: (\S+ \S+) of distinct pages", text)
    tap.ok(seen and near(quantity(seen.group(1)), P * 4096, 2) and report["seen_bytes"] == P * 4096,
           "text and JSON name the same distinct pages", seen and seen.group(1), report["seen_bytes"])
    word = re.search(r"^Verdict: (\w+)", text, re.M)
    tap.ok(word and word.group(1).lower() == report["prediction"]["verdict"], "text and JSON give the same verdict",
           word and word.group(0), report["prediction"]["verdict"])


def body(lab, tap):
    """All of it on one guest."""
    folder = lab.path("textfiles")
    os.mkdir(folder)
    os.chmod(os.path.dirname(folder), 0o755)
    vm = Vmm(lab, "--mem", "128M", "--log", "ring:4096", "--pattern", f"rounds:{P}:60000", "--sync-ms", "200", seconds=60)
    vm.go()
    vm.wait_syncs(2)
    three_forms(lab, tap, vm, folder)
    vm.end()


if __name__ == "__main__":
    sys.exit(main(body))
