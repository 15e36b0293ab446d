#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The migration laboratory: real migrations whose numbers agree with arithmetic, and nothing left behind.
# TAP on stdout, the numbers as comments. Needs root, /dev/kvm, QEMU, ip and tc, jq.
set -u
here=$(dirname "$0")
python=${PYTHON:-/usr/bin/python3}
export BUILD="${BUILD:-build}"

# shellcheck source=tests/lib/tap.sh
. "$here/../lib/tap.sh"
needs root kvm "${QEMU:-qemu-system-x86_64}" ip tc jq

dir=$(mktemp -d) || exit 1
pid=
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup()
{
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# check FILE NAME JQ-EXPRESSION
check()
{
	[ -s "$1" ] && jq -e "$3" "$1" >/dev/null
	status=$?
	result "$status" "$2"
	if [ "$status" != 0 ]; then
		sed 's/^/# /' "$1"
	fi
}
lab()
{
	timeout 100 "$python" "$here/../lib/lab.py" "$@"
}
numbers()
{
	jq -r '"# \(.status): total \(.total_ms) ms, downtime \(.downtime_ms) ms, blackout \(.blackout_ms) ms, " +
		"\(.syncs) syncs, \(.ram.transferred) bytes, \(.guest.writes_per_s | floor) writes/s"' "$1"
}
# A process that has ended may stay a zombie until its new parent looks.
gone()
{
	state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
	case $state in
	"" | Z*) return 0 ;;
	esac
	return 1
}
left_behind()
{
	ip netns list | grep "dplab-$1-"
	find "${TMPDIR:-/tmp}" -maxdepth 1 -name "dplab-$1-*"
	pgrep -f "dplab-$1-"
}

P=25343 # prime; a page is 8 + 4096 bytes on the wire
wire=$((P * 4104))

lab migrate --guest rounds:$P --rate 1gbit --downtime-limit 1200 --json >"$dir/tcp" || echo "# lab failed"
numbers "$dir/tcp"
check "$dir/tcp" "1 Gb/s: the last round is the P pages and nothing else" \
	'.status == "completed" and
	 (.ram."downtime-bytes" - '$wire') >= 0 and (.ram."downtime-bytes" - '$wire') < 4096'
# 104,007,672 bytes take 832 ms at 1 Gb/s; the first burst is free, frames have headers
check "$dir/tcp" "1 Gb/s: downtime is what the wire takes" \
	'.downtime_ms > 780 and .downtime_ms < 1000 and .blackout_ms > 780 and .blackout_ms < 1050'
check "$dir/tcp" "the guest runs on at the destination" '.guest.dst_writes_per_s > 50000'

lab migrate --guest rounds:$P --transport unix --downtime-limit 1200 --multifd 4 --json >"$dir/unix" || echo "# lab failed"
numbers "$dir/unix"
check "$dir/unix" "unix sockets, 4 channels" '.status == "completed" and .ram."multifd-bytes" > '$wire

lab migrate --guest uniform:20011:5000,fill=64 --ring 4096 --rate 1gbit --downtime-limit 300 --json >"$dir/ring" ||
	echo "# lab failed"
numbers "$dir/ring"
check "$dir/ring" "dirty ring: a paced guest keeps its pace and converges" \
	'.status == "completed" and .guest.writes_per_s > 4900 and .guest.writes_per_s < 5100'

lab migrate --guest rounds:$P --rate 1gbit --downtime-limit 100 --timeout 3 --json >"$dir/never"
status=$?
[ "$(jq -r .status "$dir/never")" = cancelled ]
result $? "a guest that cannot converge is given up (status $status)"

lab run --guest rounds:$P --seconds 60 >"$dir/run" &
pid=$!
i=0
while ! grep -qs ready "$dir/run" && [ $i -lt 150 ]; do
	sleep 0.1
	i=$((i + 1))
done
vm=$(jq -r 'select(.event == "ready").pid' "$dir/run")
lab_pid=$(jq -r 'select(.event == "ready").qmp | capture("dplab-(?<p>[0-9]+)-").p' "$dir/run")
kill -9 "$lab_pid"
wait "$pid" 2>/dev/null
pid=
sleep 0.5
[ -n "$vm" ] && gone "$vm"
result $? "a laboratory that is killed takes its QEMU with it"
lab run --guest idle --seconds 0.1 >/dev/null
[ -z "$(left_behind "$lab_pid")" ]
result $? "and the next one removes the rest"

finish
