#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 900
# The HTML page and the comparison of runs, read and opened in a browser. TAP.
cd "$(dirname "$0")/../.." || exit 1
[ -x /usr/bin/python3 ] && exec /usr/bin/python3 -B tests/lib/page_check.py
exec python3 -B tests/lib/page_check.py
