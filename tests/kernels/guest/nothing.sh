#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=dash
# A kernel that lets nothing be attached: dirtyprof must say so in one clear line, and end.
# shellcheck source=/dev/null
. /lib.sh

# try NAME ARGS...
try()
{
	t_name=$1 t0=$(uptime_s)
	shift
	timeout 60 dirtyprof "$@" >/tmp/out 2>/tmp/err
	say "$t_name" exit $?
	say_lines "$t_name" err /tmp/err
	say_lines "$t_name" out /tmp/out
	say "$t_name" took "$t0 $(uptime_s)"
}

vmm_ready()
{
	grep -q '"ready"' /tmp/vmm
}

dpvmm --log bitmap --pattern rounds:1009 --seconds 40 --wait-file /tmp/go --wait-seconds 200 >/tmp/vmm 2>&1 &
VMM=$!
wait_for 30 vmm_ready || say watch trouble "the test VMM does not start"
say kernel release "$(uname -r)"
say kernel lockdown "$(cat /sys/kernel/security/lockdown 2>/dev/null)"
try watch -p $VMM 1 2
try features features
kill $VMM
