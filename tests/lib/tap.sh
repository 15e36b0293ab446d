# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=sh
# TAP for tests in shell, which source this: what a test needs, what it found, how it ends. See tests/run.

# shellcheck disable=SC2034 # failed: for those who want to know at the end
n=0 failed=0

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# needs WHAT...: root, kvm, or a program; the whole test is skipped where it is not there
needs()
{
	for what in "$@"; do
		case $what in
		root) [ "$(id -u)" = 0 ] || skip_all "needs root" ;;
		kvm) [ -w /dev/kvm ] || skip_all "no access to /dev/kvm" ;;
		*) PATH=$PATH:/usr/sbin:/sbin command -v "$what" >/dev/null || skip_all "$what is not installed" ;;
		esac
	done
}

# built FILE...: what make has to have built
built()
{
	for what in "$@"; do
		[ -x "$what" ] && continue
		echo "1..0"
		echo "${0##*/}: $what is not built" >&2
		exit 1
	done
}

# What a test says more of a failure, as comments; those that have something to say define their own.
explain()
{
	:
}

# result STATUS NAME
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		failed=$((failed + 1))
		echo "not ok $n - $2"
		explain
	fi
}

# skip NAME REASON: this one
skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# The last line of a test.
finish()
{
	echo "1..$n"
	exit $((failed > 0))
}
