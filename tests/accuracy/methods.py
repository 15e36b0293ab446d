# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The methods that dirtyprof is held against, as plain arithmetic. Bytes, seconds, bytes/s."""

import math

MAX_ROUNDS = 1000


def remaining_over_bandwidth(remaining, bandwidth, elapsed, limit):
    """What is left, over the bandwidth: both the downtime if stopped now and the time to the end."""
    down = remaining / bandwidth
    return {"verdict": "converges" if down <= limit else "never", "total_s": elapsed + down, "downtime_s": down}


def sampled_curve(points, ram):
    """U(t) in bytes from sampled dirty rates, [(window, bytes/s)]: straight through the origin and the points, on at the last
    slope, never more than RAM, never falling."""
    known = [(0.0, 0.0)]
    for t, rate in sorted(points):
        known.append((t, max(known[-1][1], min(ram, rate * t))))

    def dirtied(t):
        for (t0, u0), (t1, u1) in zip(known, known[1:]):
            if t <= t1:
                return u0 + (u1 - u0) * (t - t0) / (t1 - t0)
        if len(known) < 2:
            return 0.0
        (t0, u0), (t1, u1) = known[-2:]
        return min(ram, u1 + (u1 - u0) / (t1 - t0) * (t - t1))

    return dirtied


def sampled(points, ram, bandwidth, switchover, limit):
    """Rounds over a sampled curve: each sends what was dirtied while the last one was sent."""
    dirtied, total, left = sampled_curve(points, ram), 0.0, float(ram)
    for _ in range(MAX_ROUNDS):
        if left <= bandwidth * limit:
            down = left / switchover
            return {"verdict": "converges", "total_s": total + down, "downtime_s": down}
        t = left / bandwidth
        total += t
        after = dirtied(t)
        # The curve is a line of its own length: once a round is no shorter than the last, none will be.
        if after >= left * (1 - 1e-6):
            break
        left = after
    return {"verdict": "never", "total_s": math.inf, "downtime_s": math.inf}
