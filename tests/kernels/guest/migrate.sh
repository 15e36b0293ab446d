#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=dash disable=SC2034 # lib.sh reads some
# A whole QEMU migrates to another one over the loopback, and from there to a third over a unix socket; dirtyprof watches
# the source, by each hook for sockets at once.
# /etc/dp.conf: QEMU (its command line without what differs), START_S (a guest needs so long to run), LIMIT_MS,
# BANDWIDTH (bytes/s), END_S, SETTLE_S, HOPS (words of tcp, unix). QEMU runs under chroot /qemu.
# shellcheck source=/dev/null
. /lib.sh
# shellcheck source=/dev/null
. /etc/dp.conf

# qmp PORT COMMAND...: each a JSON object; prints the answers
qmp()
{
	q_port=$1
	shift
	{
		echo '{"execute":"qmp_capabilities"}'
		for q_c in "$@"; do
			echo "$q_c"
		done
		sleep 1
	} | timeout 30 nc 127.0.0.1 "$q_port"
}

qmp_up()
{
	qmp "$1" | grep -q '"return"'
}

# start_qemu NAME QMP-PORT ARGS...
start_qemu()
{
	sq_name=$1 sq_port=$2
	shift 2
	# shellcheck disable=SC2086 # several words
	chroot /qemu $QEMU -name "$sq_name,debug-threads=on" -qmp "tcp:127.0.0.1:$sq_port,server=on,wait=off" "$@" \
		>"$C/$sq_name.log" 2>&1 &
}

# guest_runs PORT PID: it does, or never will
guest_runs()
{
	dead "$2" && return
	qmp "$1" '{"execute":"human-monitor-command","arguments":{"command-line":"xp /2wx 0x400000"}}' |
		grep -q '0x31475044 0x00000002'
}

# over QMP-PORT: the migration has ended
over()
{
	qmp "$1" '{"execute":"query-migrate"}' >"$C/last"
	grep -qE '"status": "(completed|failed|cancelled)"' "$C/last"
}

# hop NAME PID QMP-PORT URI: the VM migrates away
hop()
{
	CASE=$1 PROFS='' C=/tmp/$1 t0=$(uptime_s)
	mkdir -p "$C"
	start_prof auto "$2" --downtime-limit "${LIMIT_MS}ms"
	n=0
	while [ $n -lt "$ROWS" ]; do
		if [ "$(cat /tmp/rows/$n.what)" = wire ] && [ "$(cat /tmp/rows/$n.works)" = true ]; then
			start_prof $n "$2" --downtime-limit "${LIMIT_MS}ms" --hook "wire=$(member how "$(cat /tmp/rows/$n)")"
		fi
		n=$((n + 1))
	done
	profs_settle "$SETTLE_S"
	qmp "$3" "{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":$BANDWIDTH,\"downtime-limit\":$LIMIT_MS}}" \
		"{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"$4\"}}" >"$C/start"
	wait_for "$END_S" over "$3" || say "$CASE" trouble "no end after $END_S s"
	# QEMU says "completed" a moment before it has worked out its times
	sleep 1
	qmp "$3" '{"execute":"query-migrate"}' | grep '"status"' >"$C/last"
	say_lines "$CASE" qemu "$C/last"
	sleep 1
	for p in $(pidof dirtyprof); do
		kill -INT "$p" 2>/dev/null
	done
	profs_end 30
	say "$CASE" took "$t0 $(uptime_s)"
}

C=/tmp/start
mkdir -p $C
for d in dev proc sys tmp; do
	mount -o bind /$d /qemu/$d
done
say kernel release "$(uname -r)"
read_features
t0=$(uptime_s) port=5000
start_qemu 1st $port
PIDS=$!
for h in $HOPS; do
	case $h in
	tcp) uri=tcp:127.0.0.1:4444 ;;
	*) uri=unix:/tmp/next ;;
	esac
	port=$((port + 1))
	start_qemu "$h" $port -incoming "$uri"
	PIDS="$PIDS $!"
done
wait_for "$START_S" guest_runs 5000 "${PIDS%% *}" || say start trouble "the guest does not run after $START_S s"
for p in $PIDS; do
	alive "$p" || say start trouble "a QEMU ended at once: $(tail -n 1 -q /tmp/start/*.log | tr '\n' ' ')"
done
say start took "$t0 $(uptime_s)"
port=5000
for h in $HOPS; do
	wait_for 20 qmp_up $((port + 1)) || say "$h" trouble "the destination does not answer"
	case $h in
	tcp) uri=tcp:127.0.0.1:4444 ;;
	*) uri=unix:/tmp/next ;;
	esac
	hop "$h" "${PIDS%% *}" $port "$uri"
	PIDS=${PIDS#* }
	port=$((port + 1))
done
for f in /tmp/start/*.log; do
	say_lines start qemu-said "$f"
done
