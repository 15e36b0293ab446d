#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A recording, played: the same bytes as the live output, in text, JSON and Prometheus; and what else a trace is good for.
# TAP on stdout. Needs root and /dev/kvm. BUILD is the build directory.
# timeout: 120
set -u
build=${BUILD:-build}
dirtyprof=${DIRTYPROF:-$build/dirtyprof}
dpvmm=${DPVMM:-$build/tests/dpvmm}

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
needs root kvm
built "$dirtyprof" "$dpvmm"

dir=$(mktemp -d) || exit 1
pids=()
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup()
{
	for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

explain()
{
	head -5 "$dir/live.err" "$dir/replay.err" 2>/dev/null | sed 's/^/# /'
}

# start_vm OPTIONS...: a dpvmm in the background; its pid in $vm
start_vm()
{
	"$dpvmm" --mem 64M --seconds 100 "$@" >"$dir/vmm" 2>&1 &
	vm=$!
	pids+=("$vm")
	for _ in $(seq 100); do
		grep -q ready "$dir/vmm" && return
		sleep 0.05
	done
	echo "# dpvmm did not start: $(cat "$dir/vmm")"
}

# same NAME OPTIONS...: recorded beside the output, and played
same()
{
	local name=$1 bad=0 live played
	shift
	rm -f "$dir"/trace "$dir"/*.prom
	timeout 30 "$dirtyprof" -p "$vm" --record "$dir/trace" --prometheus "$dir/live.prom" "$@" 0.2 6 >"$dir/live" 2>"$dir/live.err"
	live=$?
	timeout 30 "$dirtyprof" report "$dir/trace" --prometheus "$dir/replay.prom" \
		"${format[@]}" >"$dir/replay" 2>"$dir/replay.err"
	played=$?
	[ "$live" = "$played" ] && [ "$live" != 1 ] || bad=1
	[ "$(wc -l <"$dir/live")" -ge 7 ] || bad=1
	result $bad "$name: recorded and played, exit status $live"
	cmp "$dir/live" "$dir/replay" >>"$dir/replay.err" 2>&1
	result $? "$name: the same output"
	cmp "$dir/live.prom" "$dir/replay.prom" >>"$dir/replay.err" 2>&1
	result $? "$name: the same Prometheus file"
}

for log in ring:4096 bitmap manual-init; do
	start_vm --log "$log" --pattern tiers:211:4000:5003:3000
	format=()
	same "$log, text" --bandwidth 1G
	format=(--json)
	same "$log, JSON" --json --bandwidth 1G --downtime-limit 50ms
	kill "$vm"
	wait "$vm" 2>/dev/null
done

start_vm --log ring:4096 --pattern sweep:5003:3000
timeout 30 "$dirtyprof" record -p "$vm" -o "$dir/kept" 0.2 10 >"$dir/live" 2>"$dir/live.err" && [ ! -s "$dir/live" ] && grep -q recorded "$dir/live.err"
result $? "record prints nothing and says what it kept"

timeout 30 "$dirtyprof" record -p "$vm" -o "$dir/kept" 0.2 1 >"$dir/live" 2>"$dir/live.err"
[ $? = 1 ] && grep -q 'exists already' "$dir/live.err"
result $? "a trace is not overwritten"

"$dirtyprof" report --json --bandwidth 300M "$dir/kept" >"$dir/one" 2>"$dir/replay.err"
"$dirtyprof" report --json --bandwidth 40G "$dir/kept" >"$dir/two" 2>>"$dir/replay.err"
grep -q '"bandwidth' "$dir/one" && ! cmp -s "$dir/one" "$dir/two"
result $? "played for another bandwidth, it predicts something else"

"$dirtyprof" report --json --bandwidth 300M "$dir/kept" | "$dirtyprof" predict --bandwidth 1G,10G - >"$dir/one" 2>"$dir/replay.err"
"$dirtyprof" predict --bandwidth 1G,10G "$dir/kept" >"$dir/two" 2>>"$dir/replay.err"
[ -s "$dir/one" ] && cmp "$dir/one" "$dir/two" >>"$dir/replay.err"
result $? "predict makes the same table from the trace as from its JSON"

lines=$("$dirtyprof" report --json --merge 5 "$dir/kept" 2>"$dir/replay.err" | grep -c '"type":"interval"')
[ "$lines" = 2 ]
result $? "10 intervals merged by 5 are two lines"

lines=$("$dirtyprof" report --json --from 0.9s --to 1.7s "$dir/kept" 2>"$dir/replay.err" | grep -c '"type":"interval"')
[ "$lines" -ge 3 ] && [ "$lines" -le 4 ]
result $? "four fifths of a second are three or four intervals of a fifth ($lines)"

timeout 30 "$dirtyprof" record -p "$vm" -o "$dir/kept" --append 0.2 3 >"$dir/live" 2>"$dir/live.err"
lines=$("$dirtyprof" report --json "$dir/kept" 2>"$dir/replay.err" | grep -c '"type":"report"')
[ "$lines" = 2 ]
result $? "a recording added to a trace is shown after the first"

"$dirtyprof" record -p "$vm" -o "$dir/killed" 0.1 200 >"$dir/live" 2>"$dir/live.err" &
recorder=$!
pids+=("$recorder")
sleep 7
kill -9 "$recorder"
wait "$recorder" 2>/dev/null
"$dirtyprof" report --json "$dir/killed" >"$dir/replay" 2>"$dir/replay.err"
[ $? != 1 ] && [ "$(grep -c '"type":"interval"' "$dir/replay")" -ge 20 ] && grep -q '"type":"report"' "$dir/replay"
result $? "a trace whose recorder was killed is played to its last whole block"
timeout 30 "$dirtyprof" record -p "$vm" -o "$dir/killed" --append 0.2 3 >"$dir/live" 2>"$dir/live.err"
lines=$("$dirtyprof" report --json "$dir/killed" 2>"$dir/replay.err" | grep -c '"type":"report"')
[ "$lines" = 2 ]
result $? "and can be added to"

finish
