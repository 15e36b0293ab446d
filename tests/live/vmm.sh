#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The test VMM against itself: what KVM's log gave equals what the guest was told to write, in each mode.
# TAP on stdout. Needs /dev/kvm and jq. BUILD is the build directory.
set -u
dpvmm=${DPVMM:-${BUILD:-build}/tests/dpvmm}

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
needs kvm jq
built "$dpvmm"

out=$(mktemp) || exit 1
pid=
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup()
{
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	rm -f "$out" "$out".*
}
trap cleanup EXIT
trap 'exit 1' INT TERM

explain()
{
	sed 's/^/# /' "$out"
}

# check NAME JQ-EXPRESSION: the expression sees the array of events
check()
{
	[ -s "$out" ] && jq -es "$2" "$out" >/dev/null
	result $? "$1"
}
run()
{
	if ! timeout 60 "$dpvmm" "$@" >"$out"; then
		echo "# dpvmm $* failed"
		: >"$out"
	fi
}

syncs='[.[] | select(.event == "sync")]'
P=10007 # prime

# Both kinds of guest at once, each with what it said in a file of its own.
both()
{
	local cpu pids=()
	for cpu in native emulated; do
		timeout 60 "$dpvmm" --cpu "$cpu" "$@" >"$out.$cpu" &
		pids+=($!)
	done
	for cpu in native emulated; do
		wait "${pids[0]}" || { echo "# dpvmm --cpu $cpu $* failed"; : >"$out.$cpu"; }
		pids=("${pids[@]:1}")
	done
}
check_both()
{
	local cpu
	for cpu in native emulated; do
		mv "$out.$cpu" "$out"
		check "$cpu, $1" "$2"
	done
}

for mode in ring:4096 ring:512 bitmap manual manual-init; do
	both --log $mode --pattern rounds:$P --seconds 1 --sync-ms 300
	check_both "$mode, full speed: $P pages at each sync" \
		"${syncs} | map(select(.initial | not)) | length >= 3 and all(.[:-1][]; .dirty == $P)"
	both --log $mode --pattern uniform:50021:20000 --vcpus 2 --slots 3 --mem 512M --lockstep --seconds 0.6 --sync-ms 150
	check_both "$mode, lockstep, 2 vCPUs, 3 slots: dirty is written, page for page" \
		"${syncs} | map(select(.initial | not)) | length >= 3 and
		 all(.[]; .dirty == .written and .written > 500 and (.by_slot | add) == .dirty)"
done

run --cpu native --log ring:8192 --pattern rounds:1009:20000 --lockstep --seconds 0.6 --sync-ms 150
check "native: a page comes once each time it was re-armed" "${syncs} | length >= 3 and all(.[1:][]; .entries == 1009)"
run --cpu emulated --log ring:8192 --pattern rounds:1009:20000 --lockstep --seconds 0.6 --sync-ms 150
check "a full ring is emptied, or a page comes again: no less" "${syncs} | length >= 3 and all(.[1:][]; .entries >= 1009)"

run --log manual-init --pattern rounds:$P --seconds 0.5 --sync-ms 200 --mem 64M --slots 2
check "manual-init: the first answer is all ones, and said so" "${syncs}[0] | .initial and .dirty == 16384"

# 61 pages, one in every 2 MiB, from 1 MiB on: 61 blocks of 64K and of 2M; 61/8 -> 8 of 16M; 1 of 1G
run --log ring:4096 --pattern rounds:61 --stride 2M --offset 1M --seconds 0.5 --sync-ms 200
check "blocks: 61 pages 2 MiB apart" \
	"${syncs}[1] | .dirty == 61 and .blocks == {\"64K\": 61, \"2M\": 61, \"16M\": 8, \"1G\": 1}"

run --log manual --pattern silent:$P --seconds 0.5 --sync-ms 200
check "silent: rewriting the same value is dirty too" "${syncs}[1].dirty == $P"

run --log bitmap --pattern idle --seconds 0.5 --sync-ms 200
check "idle: nothing" "all(${syncs}[]; .dirty == 0 and .written == 0)"

# 20,000 writes/s for 1 s, each page once: the sweep is arithmetic
run --log manual --pattern sweep:50021:20000 --seconds 1 --sync-ms 250 --lockstep
check "sweep at 20,000 pages/s: 20,000 in 1 s" \
	"(.[-1].writes >= 19900 and .[-1].writes <= 20100 and .[-1].writes == .[-1].distinct) and
	 all(${syncs}[]; .dirty == .written)"

for mode in ring:4096 manual; do
	run --log $mode --pattern tiers:1009:5000:100003:20000 --slots 4 --mem 1G --lockstep --churn-ms 150 \
		--seconds 1 --sync-ms 250
	check "$mode: a slot that comes and goes loses nothing" \
		"([.[] | select(.event == \"churn\")] | length >= 3) and all(${syncs}[]; .dirty == .written)"
done

run --log bitmap --pattern rounds:$P --log-after-ms 450 --log-off-after-ms 1050 --sync-ms 300 --seconds 1.4
check "logging on and off in the middle" \
	"[.[] | select(.event == \"log\") | .on] == [true, false] and
	 ${syncs}[0].dirty == 0 and ${syncs}[2].dirty == $P and ${syncs}[-1].dirty == 0"

run --log manual --mem 1T --stride 512M --pattern rounds:2039 --seconds 1.2 --sync-ms 500 --lockstep
check "1 TiB slot, sparse writer" "${syncs}[1] | .dirty == 2039 and .written == 2039 and
	.blocks[\"2M\"] == 2039 and .blocks[\"1G\"] == 1020"

"$dpvmm" --log ring:4096 --pattern rounds:$P --seconds 50 >"$out" &
pid=$!
sleep 1
kill "$pid"
wait "$pid"
status=$?
pid=
check "SIGTERM ends it, with its totals (status $status)" "$status == 0 and .[-1].event == \"end\" and .[-1].seconds < 5"

finish
