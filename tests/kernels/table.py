# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The results: as a table, as JSON, and as docs/kernels.md, which must agree with them."""

import dataclasses
import json
import os
import re

from entries import FAIL, NONE, OK, SKIP, Row

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
WORDS = {OK: "ok", FAIL: "FAIL", NONE: "not on this kernel", SKIP: "skip"}


def tap_line(number, row):
    """A row as TAP."""
    name = f"{row.kernel} {row.arch} {row.mmu}: {row.mode}, {row.hook}"
    if row.result == FAIL:
        return f"not ok {number} - {name}"
    if row.result == SKIP:
        return f"ok {number} - {name} # SKIP {row.note}"
    if row.result == NONE:
        return f"ok {number} - {name}: not on this kernel: {row.note}"
    return f"ok {number} - {name}"


def _order(row):
    return row.arch != "x86_64", row.arch, [int(n) if n.isdigit() else 0 for n in row.kernel.split(".")], row.mmu


def text(rows):
    """The table: kernel x architecture x what ran x hook -> result, seconds, and what is to be said."""
    head = ("kernel", "arch", "mmu", "what ran", "hook", "result", "s", "")
    lines = [head]
    for r in sorted(rows, key=_order):
        note = (f"retried {r.retries}: " if r.retries else "") + r.note
        lines.append((r.kernel, r.arch, r.mmu, r.mode, r.hook, WORDS[r.result], f"{r.seconds:.0f}", note[:110]))
    width = [max(len(line[i]) for line in lines) for i in range(7)]
    out = ["  ".join(f"{cell:<{w}}" for cell, w in zip(line, width)) + "  " + line[7] for line in lines]
    return "\n".join(line.rstrip() for line in out)


def save(rows, path):
    """Machine-readable: a JSON object a row."""
    with open(path, "w", encoding="utf-8") as f:
        for r in rows:
            f.write(json.dumps(dataclasses.asdict(r)) + "\n")


def load(path):
    """What save() wrote; nothing if it never did."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [Row(**json.loads(line)) for line in f]


# ---- docs/kernels.md ----

def _column(row):
    return f"{row.arch} {row.kernel}" + ("" if row.mmu == "npt" else f" {row.mmu}")


def _works(rows):
    """{hook: {column: True, False or None (could not be tried)}}: it works if it is exact in every way that it was tried."""
    out, columns = {}, []
    for r in sorted(rows, key=_order):
        if not re.match(r"\w+: ", r.hook) and r.hook != "migration":
            continue
        column = _column(r)
        if column not in columns:
            columns.append(column)
        was = out.setdefault(r.hook, {}).get(column)
        now = {OK: True, FAIL: False, NONE: False, SKIP: None}[r.result]
        if now is not None:
            out[r.hook][column] = now if was is None else was and now
    return out, columns


def doc_table(rows):
    """The table of docs/kernels.md: a line a hook, a column a kernel."""
    works, columns = _works(rows)
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for hook in sorted(works):
        cells = [{True: "yes", False: "-", None: ""}[works[hook].get(c)] for c in columns]
        lines.append(f"| {hook} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parse(table):
    """{(hook, column): "yes" or "-"} of a Markdown table."""
    lines = [[c.strip() for c in line.strip().strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]
    if len(lines) < 2:
        return {}
    return {(line[0], column): cell for line in lines[2:] for column, cell in zip(lines[0][1:], line[1:]) if cell}


def _between(doc):
    found = re.search(re.escape(BEGIN) + r"\n(.*?)" + re.escape(END), doc, re.S)
    return found[1] if found else None


def doc_check(rows, path):
    """(differences, what the document does not know) between docs/kernels.md and the results."""
    if not os.path.exists(path):
        return [f"{path} is not there"], []
    with open(path, encoding="utf-8") as f:
        there = _between(f.read())
    if there is None:
        return [f"{path} has no table"], []
    said, found = _parse(there), _parse(doc_table(rows))
    wrong = [f"{hook} on {column}: the document says {said[hook, column]}, the result is {cell}"
             for (hook, column), cell in found.items() if said.get((hook, column), cell) != cell]
    new = sorted({f"{hook} on {column}" for hook, column in found if (hook, column) not in said})
    return wrong, new


def doc_write(rows, path):
    """Puts the table into the document. What failed is left open: a failure says nothing of the kernel. Columns of kernels that
    were not run are lost: run them all."""
    rows = [r for r in rows if r.result != FAIL]
    with open(path, encoding="utf-8") as f:
        doc = f.read()
    if _between(doc) is None:
        raise ValueError(f"{path} has no place for the table ({BEGIN})")
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(re.escape(BEGIN) + r"\n.*?" + re.escape(END),
                       lambda _: f"{BEGIN}\n{doc_table(rows)}\n{END}", doc, flags=re.S))
