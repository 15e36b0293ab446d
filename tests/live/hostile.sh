#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Bad input, bad luck and bad company: one clear line on stderr, a non-zero exit, nothing left behind.
# TAP on stdout. Needs root, /dev/kvm, bpftool. BUILD is the build directory.
# timeout: 200
set -u
build=${BUILD:-build}
dirtyprof=${DIRTYPROF:-$build/dirtyprof}
dpvmm=${DPVMM:-$build/tests/dpvmm}
fake_qmp=${FAKE_QMP:-$build/tests/lib/fake_qmp}
PATH=$PATH:/usr/sbin:/sbin

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
needs root kvm bpftool
built "$dirtyprof" "$dpvmm" "$fake_qmp"

dir=$(mktemp -d) || exit 1
chmod 755 "$dir"
pids=()
mounted=
# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup()
{
	for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
	wait 2>/dev/null
	[ -z "$mounted" ] || umount "$mounted"
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

explain()
{
	sed 's/^/# /' "$dir/err" 2>/dev/null | head -5
}

# refused NAME PATTERN COMMAND...: exit status 1, exactly one line on stderr that matches, nothing on stdout.
refused()
{
	local name=$1 want=$2 st bad=0
	shift 2
	timeout 30 "$@" >"$dir/out" 2>"$dir/err"
	st=$?
	[ $st = 1 ] || { bad=1; echo "exit status $st" >>"$dir/err"; }
	[ "$(grep -c '' <"$dir/err")" = 1 ] || bad=1
	grep -qE "$want" "$dir/err" || bad=1
	[ -s "$dir/out" ] && bad=1
	result $bad "$name"
}

# A dpvmm in the background; its pid in $vm
start_vm()
{
	"$dpvmm" --mem 64M --log ring:4096 --pattern rounds:1009:20000 --seconds 90 >"$dir/vmm" 2>&1 &
	vm=$!
	pids+=("$vm")
	for _ in $(seq 100); do
		grep -q ready "$dir/vmm" && return
		sleep 0.05
	done
	echo "# dpvmm did not start: $(cat "$dir/vmm")"
}

# wait_line FILE PATTERN: until the file has it
wait_line()
{
	for _ in $(seq 200); do
		grep -q "$2" "$1" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}

# Ids of the BPF programs that a process holds. Other dirtyprofs may run on this host: only its own count.
held_by()
{
	cat /proc/"$1"/fdinfo/* 2>/dev/null | awk '$1 == "prog_id:" { print $2 ":" }' | sort -u
}

# gone IDS: waits until none of them exists; the kernel frees them a moment after their last descriptor
gone()
{
	for _ in $(seq 50); do
		bpftool prog show | grep -oE '^[0-9]+:' | grep -qFx "$1" || return 0
		sleep 0.1
	done
	return 1
}

start_vm
refused "-p 0" "process id" "$dirtyprof" -p 0
refused "-p -1" "process id" "$dirtyprof" -p -1
refused "-p 1e9" "process id" "$dirtyprof" -p 1e9
refused "no pid" "no VM given" "$dirtyprof"
refused "no such pid" "no process" "$dirtyprof" -p 4194303
refused "a process without KVM" "no KVM guest" "$dirtyprof" -p $$
refused "unknown option" "unknown option" "$dirtyprof" -p "$vm" --frobnicate
refused "unknown short option" "unknown option" "$dirtyprof" -p "$vm" -Z
refused "option without its value" "needs a value" "$dirtyprof" --bandwidth
refused "bandwidth that is none" "not a bandwidth" "$dirtyprof" -p "$vm" --bandwidth fast
refused "negative limit" "not a time" "$dirtyprof" -p "$vm" --downtime-limit -5ms
refused "interval that is none" "interval" "$dirtyprof" -p "$vm" 0
refused "textfile of another name" "\.prom" "$dirtyprof" -p "$vm" --prometheus "$dir/x.txt"
refused "--start without QMP" "no QMP socket" "$dirtyprof" -p "$vm" --start 1 1
refused "QMP socket that is not there" "No such file" "$dirtyprof" -p "$vm" --start="$dir/none" 1 1
refused "harvest of a VM with a ring" "dirty ring" "$dirtyprof" -p "$vm" --source harvest 1 1
refused "not root" "root" setpriv --reuid 65534 --regid 65534 --clear-groups "$dirtyprof" -p "$vm" 1 1

# A target that cannot be written is known before anything is measured, and the old file stays whole.
# (stdout has the header by then: only stderr and the exit status count.)
unwritable()
{
	local bad=0 st
	timeout 30 "$dirtyprof" -p "$vm" --prometheus "$2" 0.2 3 >"$dir/out" 2>"$dir/err"
	st=$?
	[ $st = 1 ] || bad=1
	[ "$(grep -c '' <"$dir/err")" = 1 ] && grep -q "cannot write" "$dir/err" || bad=1
	result $bad "$1"
}
unwritable "textfile in a folder that is not there" "$dir/none/x.prom"
mkdir "$dir/small"
if mount -t tmpfs -o size=8k tmpfs "$dir/small" 2>/dev/null; then
	mounted=$dir/small
	echo "old 1" >"$dir/small/x.prom"
	dd if=/dev/zero of="$dir/small/fill" bs=4k count=1 2>/dev/null
	unwritable "textfile on a full file system" "$dir/small/x.prom"
	[ "$(cat "$dir/small/x.prom")" = "old 1" ] && [ "$(ls "$dir/small")" = "$(printf 'fill\nx.prom')" ]
	result $? "the old textfile is whole and nothing lies beside it"
	mount -o remount,ro "$dir/small"
	unwritable "textfile on a read-only file system" "$dir/small/x.prom"
	umount "$dir/small" && mounted=
else
	for what in "full" "left behind" "read-only"; do
		skip "textfile: $what" "cannot mount a tmpfs"
	done
fi
timeout 30 "$dirtyprof" -p "$vm" 0.2 3 >/dev/full 2>"$dir/err"
[ $? = 1 ] && grep -q "cannot write the output" "$dir/err" && [ "$(grep -c '' <"$dir/err")" = 1 ]
result $? "stdout on a full device"

# QMP that misbehaves: no hang, no crash.
for mode in silent mute close rubbish half long nest types nul error greet2; do
	sock=$dir/q.$mode
	"$fake_qmp" "$mode" "$sock" >"$dir/fake.$mode" 2>/dev/null &
	fake=$!
	pids+=("$fake")
	wait_line "$dir/fake.$mode" ready
	begun=$SECONDS
	timeout 30 "$dirtyprof" -p "$vm" --start="$sock" 0.2 2 >"$dir/out" 2>"$dir/err"
	st=$?
	# A QMP by another process than the VM's earns a warning first.
	grep -v "was opened by process" "$dir/err" | grep -vE "asking QEMU" >"$dir/err1"
	[ $st = 1 ] && [ "$(grep -c '' <"$dir/err1")" = 1 ] && [ $((SECONDS - begun)) -lt 20 ]
	result $? "QMP: $mode"
	kill "$fake" 2>/dev/null
done

# SIGINT: the report, and nothing left attached.
"$dirtyprof" -p "$vm" --json 0.2 >"$dir/int" 2>"$dir/err" &
dp=$!
pids+=("$dp")
wait_line "$dir/int" '"interval"'
ids=$(held_by "$dp")
[ "$(echo "$ids" | grep -c .)" -ge 4 ]
result $? "while it runs its programs are there"
kill -INT "$dp"
wait "$dp"
st=$?
{ [ $st = 0 ] || [ $st = 2 ]; } && tail -n 1 "$dir/int" | grep -q '"type":"report"'
result $? "SIGINT gives the report"
gone "$ids"
result $? "after SIGINT nothing is attached"

# kill -9: the kernel detaches with the last descriptor, a moment later.
"$dirtyprof" -p "$vm" --json 0.2 >"$dir/kill" 2>"$dir/err" &
dp=$!
pids+=("$dp")
wait_line "$dir/kill" '"interval"'
ids=$(held_by "$dp")
disown "$dp"
kill -9 "$dp"
[ -n "$ids" ] && gone "$ids"
result $? "after kill -9 nothing is attached"

# Two at once: the same numbers.
timeout 30 "$dirtyprof" -p "$vm" --json 0.5 4 >"$dir/a" 2>"$dir/err" &
pa=$!
timeout 30 "$dirtyprof" -p "$vm" --json 0.5 4 >"$dir/b" 2>>"$dir/err" &
pb=$!
wait "$pa" "$pb"
a=$(tail -n 1 "$dir/a" | grep -o '"seen_bytes":[0-9]*')
b=$(tail -n 1 "$dir/b" | grep -o '"seen_bytes":[0-9]*')
[ "$a" = "\"seen_bytes\":$((1009 * 4096))" ] && [ "$a" = "$b" ]
result $? "two at once see the same pages"

# The VM goes away while it is watched.
"$dirtyprof" -p "$vm" --json 0.2 >"$dir/gone" 2>"$dir/err" &
dp=$!
pids+=("$dp")
wait_line "$dir/gone" '"interval"'
kill -9 "$vm"
wait "$vm" 2>/dev/null
wait "$dp"
st=$?
[ $st = 1 ] && [ "$(grep -c '' <"$dir/err")" = 1 ] && grep -q "ended while it was watched" "$dir/err"
result $? "a VM that exits while it is watched"
refused "the pid of a VM that is gone" "no process|exited" "$dirtyprof" -p "$vm" 1 1

# A QEMU without KVM.
qemu=$(command -v qemu-system-x86_64)
if [ -n "$qemu" ]; then
	"$qemu" -accel tcg -nodefaults -display none -m 16 -S >/dev/null 2>&1 &
	tcg=$!
	pids+=("$tcg")
	sleep 1
	refused "a QEMU under TCG" "TCG" "$dirtyprof" -p "$tcg" 1 1
	kill "$tcg" 2>/dev/null
else
	skip "a QEMU under TCG" "qemu-system-x86_64 is not installed"
fi

finish
