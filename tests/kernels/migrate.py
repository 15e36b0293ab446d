# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Judges a run of guest/migrate.sh: a whole QEMU migrates, dirtyprof says how much it sent and when it would be done."""

import entries
from entries import FAIL, NONE, OK

BYTES = 0.01      # of QEMU's own count
# A prediction's interval is widened: the emulated host's two cores are anybody's, and it stalls where a real one does not.
TIMES, TIMES_PLUS, STALLS = 1.5, 0.5, 0.2  # factor, s, share of the time that the migration really took


def _bytes(report, qemu, devices):
    """(result, note)"""
    said, true = report["migration"].get("sent_bytes"), qemu["ram"]["transferred"] + devices
    note = f"{said} bytes, QEMU {true}"
    return (OK if said and abs(said - true) <= BYTES * true else FAIL), note


def _within(span, real, took):
    lo, hi = span["lo"], span["hi"]
    slack = TIMES_PLUS + STALLS * took
    return lo is not None and hi is not None and lo / TIMES - slack <= real <= hi * TIMES + slack


def _prediction(report, qemu, devices):
    """What was predicted at the first sync of the migration, against what QEMU says of it afterwards. (result, note)
    Where the state of devices is large, sending it is most of the downtime, and no log shows it: then that is not compared."""
    if report["migration"]["outcome"] != "done":
        return FAIL, f"outcome: {report['migration']['outcome']}"
    syncs = [s for s in report["migration"]["syncs"] if s["by_migration"] and s["verdict"] != "unknown"]
    if not syncs:
        return FAIL, "no prediction at any sync"
    first = syncs[0]
    total, down = qemu["total-time"] / 1000, qemu["downtime"] / 1000
    words = [f"{what} {span['lo']:.2f} to {span['hi']:.2f} s, was {real:.2f}"
             for what, span, real in (("total", first["total_s"], total), ("down", first["downtime_s"], down))
             if span["lo"] is not None and span["hi"] is not None]
    good = first["verdict"] == "converges" and _within(first["total_s"], total, total) and \
        (devices or _within(first["downtime_s"], down, total))
    return (OK if good else FAIL), f"{first['verdict']}: " + ", ".join(words)


def _qemu(case):
    for answer in case.json("qemu"):
        if answer.get("return", {}).get("status") == "completed" and answer["return"].get("ram"):
            return answer["return"]
    return None


def _report(case, n):
    return next((r for r in case.json(f"prof:{n}") if r["type"] == "report"), None)


def judge(entry, run, hops, devices=0):
    """Rows: for each hop each hook for sockets, and the migration as a whole by what dirtyprof takes by itself.
    devices: bytes of device state, which QEMU's count of RAM lacks, where they matter."""
    cases = entries.cases_of(run)
    features = cases.get("features", entries.Case()).json("row")
    rows = []
    for hop in hops:
        case = cases.get(hop, entries.Case())
        qemu, took = _qemu(case), case.seconds()
        trouble = case.text("trouble") or cases.get("start", entries.Case()).text("trouble") or case.text("qemu")[:200]
        for n, feature in [("auto", None)] + list(enumerate(features)):
            if feature and feature["what"] != "wire":
                continue
            name = entries.hook_name(feature) if feature else "taken by itself"
            report = _report(case, n)
            if feature and not feature["works"]:
                rows.append(entry.row(f"QEMU, {hop}", name, NONE, 0, feature["why"]))
            elif not qemu:
                rows.append(entry.row(f"QEMU, {hop}", name, FAIL, took, f"no migration: {trouble}"))
            elif not report:
                rows.append(entry.row(f"QEMU, {hop}", name, FAIL, took, f"no report: {case.text(f'err:{n}')[:200]}"))
            else:
                result, note = _bytes(report, qemu, devices)
                rows.append(entry.row(f"QEMU, {hop}", name, result, took, note))
                if not feature:
                    result, note = _prediction(report, qemu, devices)
                    rows.append(entry.row(f"QEMU, {hop}", "migration", result, took, note))
    return rows
