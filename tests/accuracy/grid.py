# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The migrations that are scored: a seeded draw, the same on every machine."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
# pylint: disable=wrong-import-position
from truth import curve  # noqa: E402

PAGE = 4096
WIRE_PAGE = PAGE + 8
MBIT = 125000.0
# What TCP over IPv4 with the usual options gets through Ethernet: 1448 bytes of a frame of 1514.
PAYLOAD = 1448 / 1514
KINDS = ("idle", "rewrite", "sweep", "tiers", "zipf", "stream", "huge", "phase", "zero", "vcpus")
RATES = (200, 500, 1000, 2000)  # Mb/s
RAMS = (256, 512, 1024, 2048, 4096)  # MiB
# Limits, as multiples of the downtime at which a curve's rounds stop shrinking: well below, near, and well above.
EDGES = (0.5, 0.8, 1.0, 1.25, 2.0, 4.0)
FULL, QUICK = 154, 12
UNCAPPED, UNCAPPED_MBIT = 10, 10000  # cases over a path that nothing limits; what its interface says of itself
LOW_RAM = 3072  # MiB that a 32-bit guest reaches below the hole for devices
RING = 4096
FASTEST = 100000  # pages/s: a guest under emulation keeps up with that
LEAST_LIMITS = (30, 100, 300)  # ms, where the arithmetic has no edge


def _guest(rng, kind, ram, bandwidth):
    """Pattern and options. The pattern fits, and RAM is mostly filled except where zero pages are the point."""
    ram = min(ram, LOW_RAM)
    pages = ram * 256
    fill = int(ram * 0.9) - 8

    def some(lo, hi):
        return int(pages * rng.uniform(lo, hi))

    # Pages a second, against what the rounds can carry: from a guest that is easily followed to one that cannot be.
    rate = int(min(FASTEST, bandwidth / WIRE_PAGE * rng.uniform(0.4, 2.5)))
    text = {
        "idle": lambda: "idle",
        "rewrite": lambda: f"rounds:{some(0.05, 0.3)}",
        "sweep": lambda: f"sweep:{some(0.3, 0.8)}:{rate}",
        "tiers": lambda: f"tiers:{some(0.01, 0.05)}:{rate * 2}:{some(0.3, 0.7)}:{rate // 4}",
        "zipf": lambda: f"zipf:{some(0.4, 0.8)}:{rate}",
        # longer than a round: in the time that a round takes it does not come round
        "stream": lambda: f"sweep:{some(0.8, 0.85)}:{rate // 3}",
        "huge": lambda: f"rounds:{ram // 2 - 8},stride={2 << 20}",
        "phase": lambda: f"phase:{some(0.02, 0.1)}:{rate}:{some(0.2, 0.5)}:{rate // 2}:4",
        "zero": lambda: f"uniform:{some(0.05, 0.15)}:{rate}",
        "vcpus": lambda: f"uniform:{some(0.2, 0.6)}:{rate}",
    }[kind]()
    if kind == "zero":
        fill = ram // 5
    return f"{text},fill={fill}"


def edge(guest, bandwidth, ram):
    """The downtime, s, at which the rounds of a guest's arithmetical curve stop shrinking: t = U(t) w / B from above."""
    pattern = guest.split(",")[0]
    if pattern.startswith("phase"):
        pattern = "tiers" + pattern[len("phase"):].rsplit(":", 1)[0]
    t = ram * 256 * WIRE_PAGE / bandwidth
    for _ in range(1000):
        shorter = curve(pattern, t) * WIRE_PAGE / bandwidth
        if shorter >= t * 0.9999 or t < 1e-3:
            break
        t = shorter
    return t


def _case(rng, number, kind, quick):
    ram = 256 if quick else rng.choices(RAMS, weights=(14, 6, 2.5, 0.8, 0.4))[0]
    # The largest guests over the slowest links take minutes and say nothing that smaller ones do not.
    rates = [r for r in RATES if ram / r <= 2.1 and (not quick or r >= 500)]
    link = rng.choice(rates) if quick else rng.choices(rates, weights=[max(1, min(3, r // 250)) for r in rates])[0]
    capped = not quick and rng.random() < 0.15
    cap = int(link * MBIT * rng.uniform(0.3, 0.7)) if capped else 0
    bandwidth = cap or link * MBIT * PAYLOAD
    guest = _guest(rng, kind, ram, bandwidth)
    limit, least = edge(guest, bandwidth, ram) * rng.choice((0.5, 2.0, 4.0) if quick else EDGES), rng.choice(LEAST_LIMITS)
    return {
        "id": f"{'q' if quick else 'f'}{number:03d}-{kind}", "kind": kind, "guest": guest, "ram": ram,
        "link_mbit": link, "max_bandwidth": cap, "limit_ms": max(least, min(20000, round(limit * 1000))),
        "ring": RING if rng.random() < 0.4 else 0, "smp": 2 if kind == "vcpus" else 1,
        "qemu": "new" if not quick and rng.random() < 0.35 else "default",
        "multifd": 4 if rng.random() < 0.2 else 0, "auto_converge": not quick and rng.random() < 0.12,
    }


def _uncapped(rng, number, kind):
    """Over loopback, as fast as QEMU's own threads are."""
    ram, guess = rng.choice((1024, 2048, 4096)), 3000 * MBIT  # for the guest's pace alone
    guest = _guest(rng, kind, ram, guess)
    return {
        "id": f"u{number:03d}-{kind}", "kind": kind, "guest": guest, "ram": ram, "link_mbit": UNCAPPED_MBIT, "max_bandwidth": 0,
        "limit_ms": max(rng.choice(LEAST_LIMITS), round(edge(guest, guess, ram) * rng.choice((2.0, 4.0)) * 1000)),
        "ring": RING if rng.random() < 0.4 else 0, "smp": 2 if kind == "vcpus" else 1, "qemu": "default", "multifd": 0,
        "auto_converge": False,
    }


def grid(seed=1, quick=False):
    """The cases, kinds in turn, so that any beginning of the list is a spread."""
    rng = random.Random(f"dirtyprof accuracy {seed} {quick}")
    if quick:
        return [_case(rng, i, KINDS[i % len(KINDS)], quick) for i in range(QUICK)]
    return [_case(rng, i, KINDS[i % len(KINDS)], quick) for i in range(FULL)] + \
        [_uncapped(rng, i, KINDS[i % len(KINDS)]) for i in range(UNCAPPED)]
