# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Judges a run of guest/classic.sh by arithmetic.

Each store dirties one 4K page. On hugepages of 16M under the hash MMU the log has 16M / 4K = 4096 pages for it, so dirtyprof must
say: 4096 wire pages a dirty hugepage, one page of them really changed, 4096 bytes resent a byte changed; and as PLACES
hugepages are rewritten within the time that sending them takes at 1 Gb/s, no 300 ms: never, with the hugepages named as the
cause. On the host's pages of 64K the same guest has 16 pages a store, and converges.
"""

import entries
from entries import FAIL, OK

WIRE = 4096
HUGE, BASE = 16 << 20, 64 << 10
PLACES = 11       # prime
PATTERN = f"rounds:{PLACES}:{2 * PLACES}"  # each place twice a second
CONF = {"CASES": "huge base", "PATTERN": PATTERN, "MEM": "256M", "RUN_S": 10, "SYNC_MS": 300, "SETTLE_S": 60,
        "VMM_ARGS_huge": "--backing hugetlb:16M", "VMM_ARGS_base": ""}
# What it stands on: all places, sent once, take longer than each waits for its next write, and more than the limit.
assert PLACES * HUGE / 125e6 > 0.5 > 0.3
NEAR = 0.3        # of the middle, beside its interval: a page written between a GET and the look at its contents counts a window late
ROWS = ("wire pages a store", "what really changed", "verdict and advice")


def _wire_pages(records, granule):
    """The log has whole granules, and no more than were written to."""
    syncs = [r for r in records if r["type"] == "sync"][1:]
    size = {HUGE: "16M", BASE: "64K"}[granule]
    seen = [(s["new_blocks"]["4K"], s["new_blocks"][size]) for s in syncs if s["new_blocks"]["4K"]]
    wrong = [(pages, blocks) for pages, blocks in seen if pages != blocks * (granule // WIRE) or blocks > PLACES]
    if wrong or len(seen) < entries.LEAST_SYNCS:
        return FAIL, f"pages and blocks of {size} at syncs: {wrong or seen}"
    return OK, f"{granule // WIRE} pages of 4K each, at {len(seen)} syncs"


def _truth(report, granule):
    """One page of each granule changed: within the interval, and near it."""
    units, c = granule // WIRE, report["really_changed"]
    said = f"share {c['share']['mid']} ({c['share']['lo']} to {c['share']['hi']}), resent {c['resent']['mid']}, " \
        f"amplification {report['amplification']['now']}"
    if not c["compared"] or c["share"]["mid"] is None or c["resent"]["mid"] is None or c["unreadable"]:
        return FAIL, said
    good = c["share"]["lo"] <= 1 / units <= c["share"]["hi"] and abs(c["resent"]["mid"] / units - 1) < NEAR and \
        abs(report["amplification"]["now"] / units - 1) < NEAR
    return (OK if good else FAIL), said


def _verdict(report, status, granule):
    notes = {n["note"]: n["value"] for n in report["notes"]}
    verdict, blamed = report["prediction"]["verdict"], notes.get("smaller-pages")
    want = ("never", "2", BASE) if granule == HUGE else ("converges", "0", None)
    said = f"{verdict}, exit status {status}, smaller pages: {blamed}, granule {notes.get('coarse-tracking')}"
    good = (verdict, status, blamed) == want and notes.get("coarse-tracking") == granule
    return (OK if good else FAIL), said


def judge(entry, run):
    """Rows."""
    cases, rows = entries.cases_of(run), []
    for name, granule in (("huge", HUGE), ("base", BASE)):
        case = cases.get(name, entries.Case())
        records = case.json("prof:auto")
        report = next((r for r in records if r["type"] == "report"), None)
        mode = f"classic case on {granule >> 10}K"
        if not report:
            why = case.text("err:auto") or case.text("vmm-err")
            rows += [entry.row(mode, what, FAIL, case.seconds(), f"no report: {why[:200]}") for what in ROWS]
            continue
        judged = (_wire_pages(records, granule), _truth(report, granule),
                  _verdict(report, case.text("exit:auto"), granule))
        rows += [entry.row(mode, what, result, case.seconds(), note) for what, (result, note) in zip(ROWS, judged)]
    return rows + entries.complaint_rows(entry, run)
