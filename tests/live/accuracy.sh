#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Predictions against a dozen real migrations (make accuracy-quick), within bounds that are far looser than what is aimed at:
# they tell a model that is broken, not one that is poor. docs/accuracy.md has the figures.
# TAP on stdout. Needs root, /dev/kvm, QEMU, network namespaces. BUILD is the build directory.
# timeout: 400
set -u
build=${BUILD:-build}
python=/usr/bin/python3
[ -x "$python" ] || python=python3

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
needs root kvm qemu-system-x86_64 ip tc

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# A time bound of its own: what cannot be run in it is left out, and counted.
BUILD=$build $python tests/accuracy/run --quick --bound --no-teach --seconds 240 --raw "$dir/raw" --learned "$dir/learned.json" \
	2>"$dir/err"
status=$?
sed 's/^/# /' "$dir/err"
ran=$(grep -c '^{' "$dir/raw")
[ "$status" != 2 ] && [ "$status" -le 1 ]
result $? "verdicts and total times of $ran migrations: within the bounds"
# A migration that the machine is too busy for is no fault of the model.
[ "$ran" -ge 8 ]
result $? "$ran of 12 migrations could be run"
finish
