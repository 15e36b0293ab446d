#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The example that draws U(t) from JSON: on a report whose curve is known by arithmetic. TAP.
cd "$(dirname "$0")/../.." || exit 1
[ -x /usr/bin/python3 ] && exec /usr/bin/python3 -B tests/lib/plot_check.py
exec python3 -B tests/lib/plot_check.py
