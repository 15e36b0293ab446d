#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The curve that a pattern of dpvmm or of the QEMU guest has, by arithmetic alone.

truth.py PATTERN T...  prints U(t) in pages for each t in seconds: the distinct pages that are written
within t of a moment at which all of them were clean.
"""

import math
import sys


def _in_turn(pages, rate, t):
    """Each page once every pages/rate seconds, evenly spread."""
    return float(min(pages, rate * t))


def _at_random(pages, rate, t):
    """rate * t writes, each to a uniformly random page."""
    return -pages * math.expm1(rate * t * math.log1p(-1 / pages)) if pages > 1 else float(rate * t >= 1)


def curve(pattern, t, cyclic=False):
    """U(t) in pages. Full speed (no rate) is taken as: all pages within any t > 0."""
    kind, *numbers = pattern.split(",")[0].split(":")
    n = [int(x) for x in numbers]
    if kind == "idle":
        return 0.0
    if kind in ("rounds", "silent", "sweep"):
        rate = n[1] if len(n) > 1 else 0
        return _in_turn(n[0], rate, t) if rate else float(n[0] if t > 0 else 0)
    one = _in_turn if cyclic else _at_random
    if kind == "uniform":
        return one(n[0], n[1], t)
    if kind == "tiers":
        return one(n[0], n[1], t) + one(n[2], n[3], t)
    if kind == "zipf":
        sizes, first = [], 0
        while first < n[0]:
            sizes.append(min(max(first, 1), n[0] - first))
            first = 2 * first or 1
        return sum(_at_random(m, n[1] // len(sizes), t) for m in sizes)
    raise ValueError(f"unknown pattern: {pattern}")


def main():
    """Entry."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 1
    for t in sys.argv[2:]:
        print(t, round(curve(sys.argv[1], float(t)), 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
