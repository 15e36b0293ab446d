#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=dash disable=SC2034,SC2153 # lib.sh and dp.conf
# The classic case on POWER: a guest that writes one word every so often to each of a few places 16M apart, its memory full
# of what is not zero; dirtyprof predicts its migration over 1 Gb/s at 300 ms. Once on hugepages of 16M, once on base pages.
# /etc/dp.conf: CASES, PATTERN, MEM, RUN_S, SYNC_MS, SETTLE_S, and for each case VMM_ARGS_CASE
# shellcheck source=/dev/null
. /lib.sh
# shellcheck source=/dev/null
. /etc/dp.conf

vmm_ready()
{
	grep -q '"ready"' "$C/vmm" || dead "$VMM"
}

for CASE in $CASES; do
	C=/tmp/$CASE PROFS='' t0=$(uptime_s) more=''
	mkdir -p "$C"
	eval "more=\$VMM_ARGS_$CASE"
	# shellcheck disable=SC2086 # several words
	dpvmm --log bitmap --fill --mem "$MEM" --pattern "$PATTERN" --stride 16M --seconds 300 --sync-ms "$SYNC_MS" \
		--wait-file "$C/go" --wait-seconds 200 $more >"$C/vmm" 2>"$C/vmm.err" &
	VMM=$!
	wait_for 60 vmm_ready
	if alive $VMM; then
		start_prof auto $VMM --bandwidth 1G --downtime-limit 300ms
		profs_settle "$SETTLE_S"
		: >"$C/go"
		sleep "$RUN_S"
		for p in $(pidof dirtyprof); do
			kill -INT "$p"
		done
		profs_end 60
		kill $VMM
		wait $VMM
	fi
	say_lines "$CASE" vmm-err "$C/vmm.err"
	say "$CASE" took "$t0 $(uptime_s)"
done
