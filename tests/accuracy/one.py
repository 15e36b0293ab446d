# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One scored migration: measured before it, predicted before and during it, and what happened."""

import json
import math
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from grid import MBIT, PAGE, PAYLOAD, UNCAPPED_MBIT, WIRE_PAGE  # noqa: E402
from lab import Migration, Pair, migrate  # noqa: E402
from live import Prof  # noqa: E402
from methods import remaining_over_bandwidth, sampled  # noqa: E402
from netlab import Lab, LabError, stop  # noqa: E402
from qemu import step_aside  # noqa: E402

LONGEST = 18  # s to measure before a migration
SAMPLE_WINDOWS = (1, 3)  # s, whole seconds: all that QEMU before 8.2 takes
NEW_QEMU = os.environ.get("DIRTYPROF_NEW_QEMU")  # another, newer QEMU to score with


def qemu_of(case):
    """The binary that a case wants. None: the default one; LabError: there is none."""
    if case["qemu"] == "default":
        return None
    if not NEW_QEMU or not os.access(NEW_QEMU, os.X_OK):
        raise LabError("no newer QEMU: DIRTYPROF_NEW_QEMU names one")
    return NEW_QEMU


def bandwidths(case):
    """Of the rounds and at switchover, bytes/s: the link's payload, and the cap where there is one."""
    path = case["link_mbit"] * MBIT * PAYLOAD
    return min(path, case["max_bandwidth"] or path), path


def dirty_rates(qmp, windows):
    """QEMU's own page-sampling dirty-rate calculations. Returns [(seconds, bytes/s)]."""
    out = []
    for seconds in windows:
        qmp.execute("calc-dirty-rate", {"calc-time": seconds, "mode": "page-sampling", "sample-pages": 512})
        deadline = time.monotonic() + seconds + 10
        while True:
            time.sleep(0.05)
            info = qmp.execute("query-dirty-rate")
            if info["status"] == "measured":
                break
            if time.monotonic() > deadline:
                raise LabError("calc-dirty-rate does not end")
        out.append((seconds, info["dirty-rate"] * (1 << 20)))
    return out


def brief(prediction):
    """What is scored of a prediction record of dirtyprof."""
    return {k: prediction[k] for k in ("verdict", "total_s", "downtime_s", "blackout_s", "rounds") if k in prediction}


def trace_of(folder, case, phase):
    """The file of a trace: phase "before" the migration, or "during" it."""
    return os.path.join(folder, f"{case['id']}.{phase}.trace")


class Before:
    """What is done between the migration's set-up and its start."""

    def __init__(self, lab, case, seconds, windows, learned, traces):
        self.lab, self.case, self.seconds, self.windows, self.learned = lab, case, seconds, windows, learned
        self.traces = traces
        self.report = self.output = self.prof = self.arrival = self.rates = None

    def record(self, phase):
        """Options to keep a trace."""
        if not self.traces:
            return []
        path = trace_of(self.traces, self.case, phase)
        if os.path.exists(path):
            os.unlink(path)
        return ["--record", path]

    def __call__(self, pair):
        case = self.case
        limit = f"{case['limit_ms']}ms"
        _, path = bandwidths(case)
        bits = f"{path * 8:.0f}"
        # --start also learns max-bandwidth, multifd and the version.
        learned = ["--learned", self.learned] if self.learned else ["--no-learned"]
        prof = Prof(self.lab, pair.src.pid, "--start", "--bandwidth", bits, "--downtime-limit", limit, *learned,
                    *self.record("before"), positional=("1", str(self.seconds)))
        self.report = prof.end(timeout=self.seconds + 90)
        self.output = prof.out
        self.rates = dirty_rates(pair.src.qmp, self.windows) if self.windows else []
        self.arrival = Prof(self.lab, pair.dst.pid, positional=("60",))
        self.prof = Prof(self.lab, pair.src.pid, "--bandwidth", bits, "--downtime-limit", limit, *learned,
                         *self.record("during"))


def blackout(report, arrival):
    """Seconds from the guest's last run, which the source's report tells, to its first on the destination. None: not seen."""
    left = report["migration"].get("last_ran", {}).get("monotonic_s")
    came = arrival["first_ran"]["monotonic_s"] if arrival else None
    return came - left if left is not None and came is not None else None


def closest_approach(syncs, bandwidth, limit):
    """The least that a sync found left, over what would have passed QEMU's test. None: no such sync."""
    left = [s["remaining_bytes"] for s in syncs if s["by_migration"] and s["round"] and s["remaining_bytes"] is not None]
    # The test is on pages of memory, the record on bytes of the wire.
    return min(left) * PAGE / WIRE_PAGE / (bandwidth * limit) if left else None


def at_edge(syncs, bandwidth, limit, done, zone=0.1):
    """Whether it hung in the balance: it never passed QEMU's test and came within 10 % of it; or it passed by less than 10 %
    when the sync before had failed by less than 10 %, which is not progress but luck."""
    ratios = [s["remaining_bytes"] * PAGE / WIRE_PAGE / (bandwidth * limit) for s in syncs
              if s["by_migration"] and s["round"] and s["remaining_bytes"] is not None]
    if not done:
        return bool(ratios) and min(ratios) <= 1 + zone
    # QEMU syncs once more when the guest has stopped.
    ratios = ratios[:-1]
    return len(ratios) >= 2 and ratios[-1] >= 1 - zone and ratios[-2] <= 1 + zone


def expected(samples, fraction, limit):
    """QEMU's expected-downtime as it stood after that share of the rounds."""
    told = [s for s in samples if "expected_downtime" in s and s.get("dirty_sync_count", 0) > 1]
    if not told:
        return None
    last = told[-1]["dirty_sync_count"]
    at = next(s for s in told if s["dirty_sync_count"] >= min(last, max(2, round(last * fraction))))
    down = at["expected_downtime"] / 1000
    return {"verdict": "converges" if down <= limit else "never", "total_s": None, "downtime_s": down}


def middle_sync(syncs):
    """The middle one of a migration's syncs that have a prediction; None: there is none."""
    own = [s for s in syncs if s["by_migration"] and s["round"] and s["verdict"] != "unknown"]
    return own[len(own) // 2] if own else None


def brief_syncs(syncs):
    """What is kept of them."""
    return [{k: s[k] for k in ("round", "at_s", "remaining_bytes", "verdict", "total_s", "downtime_s")} for s in syncs]


def predictions(case, before, result, syncs):
    """Of all methods, before the migration and at the middle one of its syncs."""
    limit = case["limit_ms"] / 1000
    rounds, path = bandwidths(case)
    ram = case["ram"] << 20
    out = {
        "dirtyprof": {"before": brief(before.report["prediction"])},
        "expected-downtime": {"middle": expected(result["samples"], 0.5, limit)},
        "remaining/bandwidth": {"before": remaining_over_bandwidth(ram, rounds, 0.0, limit)},
        "sampled curve": {"before": sampled(before.rates, ram, rounds, path, limit)},
    }
    at = middle_sync(syncs)
    if at:
        out["dirtyprof"]["middle"] = brief(at)
    info = [s for s in result["samples"] if s.get("remaining") and s.get("dirty_sync_count", 0) > 1]
    if info:
        last = info[-1]["dirty_sync_count"]
        at = next(s for s in info if s["dirty_sync_count"] >= max(2, round(last * 0.5)))
        speed = at.get("mbps", 0) * MBIT or rounds
        out["remaining/bandwidth"]["middle"] = remaining_over_bandwidth(at["remaining"], speed, at["t"], limit)
    return out


def keep_outputs(folder, case, before, samples):
    """All that dirtyprof said, for whoever wants to know why."""
    if folder:
        os.makedirs(folder, exist_ok=True)
        shutil.copy(before.output, os.path.join(folder, f"{case['id']}.before.json"))
        with open(os.path.join(folder, f"{case['id']}.qemu.json"), "w", encoding="utf-8") as f:
            json.dump(samples, f)
        shutil.copy(before.prof.out, os.path.join(folder, f"{case['id']}.during.json"))
        shutil.copy(before.arrival.out, os.path.join(folder, f"{case['id']}.arrival.json"))


def given(result):
    """What a path gave, bytes/s, seen from its migration as a whole."""
    sent = (result["ram"] or {}).get("transferred") or 0
    seconds = (result["total_ms"] or 0) / 1000 or result["samples"][-1]["t"]
    return sent / seconds if sent else math.inf


def long_enough(case, least):
    """Seconds to measure before it: as long as the first round will take, which the curve has to reach, and a bit."""
    rounds, _ = bandwidths(case)
    return max(least, min(LONGEST, math.ceil(1.1 * case["ram"] * (1 << 20) / rounds) + 2))


def run(case, seconds=6, windows=SAMPLE_WINDOWS, image=None, keep=None, learned=None, traces=None):
    """Runs a case. Returns the raw result; LabError if the laboratory fails. learned: dirtyprof's file of what past migrations
    took, which this one adds to. traces: a folder for recordings, from which tests/accuracy/rescore predicts again."""
    with Lab() as lab:
        rounds, _ = bandwidths(case)
        # passes through all of memory before it counts as never; auto-converge needs a second a step
        patience = 4 * case["ram"] * (1 << 20) / rounds + (30 if case["auto_converge"] else 8)
        capped = case["link_mbit"] < UNCAPPED_MBIT
        how = Migration(transport="tcp" if capped else "loopback", rate=f"{case['link_mbit']}mbit" if capped else None,
                        downtime_limit=case["limit_ms"], multifd=case["multifd"], auto_converge=case["auto_converge"],
                        timeout=patience)
        if case["max_bandwidth"]:
            how.max_bandwidth = case["max_bandwidth"]
        pin = not os.environ.get("ACCURACY_NO_PIN")
        if pin:
            step_aside()
        pair = Pair(lab, case["guest"], case["ram"], how, ring=case["ring"], smp=case["smp"], qemu=qemu_of(case), image=image,
                    pin=pin)
        before = Before(lab, case, long_enough(case, seconds), windows, learned, traces)
        result = migrate(pair, before)
        report, arrival = before.prof.finish(20), before.arrival.finish()
        stop(pair.src.proc)
        keep_outputs(keep, case, before, result["samples"])
        if not report or not before.report:
            raise LabError(f"dirtyprof gave no report: {before.prof.messages().strip()}")
        syncs = report["migration"].get("syncs", [])
        done = result["status"] == "completed"
        if not capped:
            rounds = min(rounds, given(result))
        if not done and result["status"] != "cancelled":
            raise LabError(f"the migration failed: {result['error']}")
        return {
            "id": case["id"], "case": case, "qemu_version": result["qemu_version"],
            "truth": {
                "verdict": "converges" if done else "never",
                "edge": at_edge(syncs, rounds, case["limit_ms"] / 1000, done), "closest": closest_approach(syncs, rounds, case["limit_ms"] / 1000),
                "total_s": result["total_ms"] / 1000 if done else None, "rounds": result["syncs"] - 1 if result["syncs"] else None,
                "downtime_s": result["downtime_ms"] / 1000 if done else None,
                "blackout_s": blackout(report, arrival),
                "events_blackout_s": result["blackout_ms"] / 1000 if result["blackout_ms"] else None,
                "waited_s": patience, "setup_s": (result["setup_ms"] or 0) / 1000,
                "ram": {k: (result["ram"] or {}).get(k) for k in ("transferred", "normal", "duplicate", "dirty-sync-count")},
            },
            "predictions": predictions(case, before, result, syncs), "rates": before.rates,
            "syncs": brief_syncs(syncs),
            "guest": result["guest"],
        }


def host():
    """What the results were measured on, without names."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.partition(":")[2].strip() for line in f if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": os.uname().release, "python": sys.version.split()[0],
            "dirtyprof": subprocess.run([os.environ.get("DIRTYPROF") or os.path.join(os.environ.get("BUILD", "build"), "dirtyprof"),
                                         "--version"], capture_output=True, text=True, check=False).stdout.strip()}
