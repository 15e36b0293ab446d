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

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}
[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -w /dev/kvm ] || skip_all "no access to /dev/kvm"
for tool in qemu-system-x86_64 ip tc; do
	PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null || skip_all "$tool is not installed"
done

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# A time bound of its own: what cannot be run in it is left out, and counted.
BUILD=$build $python tests/accuracy/run --quick --bound --no-teach --seconds 240 --raw "$dir/raw" --learned "$dir/learned.json" \
	2>"$dir/err"
status=$?
sed 's/^/# /' "$dir/err"
ran=$(grep -c '^{' "$dir/raw")
failed=0
result()
{
	if [ "$1" = 0 ]; then echo "ok $2"; else echo "not ok $2"; failed=1; fi
}
[ "$status" != 2 ] && [ "$status" -le 1 ]
result $? "1 - verdicts and total times of $ran migrations: within the bounds"
# A migration that the machine is too busy for is no fault of the model.
[ "$ran" -ge 8 ]
result $? "2 - $ran of 12 migrations could be run"
echo 1..2
exit $failed
