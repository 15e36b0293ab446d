#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The scorer of make accuracy and what it is held against. TAP.
cd "$(dirname "$0")/../.." || exit 1
[ -x /usr/bin/python3 ] && exec /usr/bin/python3 -B tests/accuracy/test_score.py
exec python3 -B tests/accuracy/test_score.py
