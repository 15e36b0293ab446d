#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What the commands say of files that are no traces, or no longer: one line on stderr, an exit status, nothing half-written, and
# no more than a second or so and half a GiB of address space. test_hostile_trace.c goes through the bytes.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
dirtyprof=${BUILD:-build}/dirtyprof make_trace=${BUILD:-build}/tests/lib/make_trace
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

explain()
{
	echo "# $bad"
}

# says STATUS WORDS LINES COMMAND...: its exit status, what its one line on stderr must have, lines of stdout at least (0: none)
says()
{
	local want=$1 words=$2 lines=$3 got
	bad=
	shift 3
	(ulimit -v 524288; timeout 20 "$dirtyprof" "$@") >"$dir/out" 2>"$dir/err" </dev/null
	got=$?
	[ "$got" = "$want" ] || bad="exit status $got, not $want"
	[ "$(wc -l <"$dir/err")" = 1 ] && grep -q "^dirtyprof: .*$words" "$dir/err" || bad="$bad; stderr: $(head -c 300 "$dir/err")"
	if [ "$lines" = 0 ]; then
		[ ! -s "$dir/out" ] || bad="$bad; something on stdout"
	else
		[ "$(wc -l <"$dir/out")" -ge "$lines" ] || bad="$bad; only $(wc -l <"$dir/out") lines on stdout"
	fi
	[ -z "$bad" ]
	result $? "$1 $(basename "${*: -1}"): $words"
}

"$make_trace" "$dir/whole" --seconds 20 --source harvest || exit 1
size=$(stat -c %s "$dir/whole")
: >"$dir/empty"
mkdir "$dir/folder"
mkfifo "$dir/fifo"
ln -s /dev/zero "$dir/zero"
head -c 20 "$dir/whole" >"$dir/header"
head -c $((size - 20)) "$dir/whole" >"$dir/cut"
head -c 60 "$dir/whole" >"$dir/stub"
{ head -c $((size / 2)) "$dir/whole"; head -c $((size - size / 2)) /dev/zero; } >"$dir/damaged"
head -c 100000 /dev/zero | tr '\0' 'x' >"$dir/text"
# version 2, its checksum right
{ printf '\x89DPT\r\n\x1a\n\002\0\0\0\0\0\0\0\0\0\0\0\xa0\x01\x6d\x99'; tail -c +25 "$dir/whole"; } >"$dir/later"

for command in report predict "report --html $dir/page"; do
	# shellcheck disable=SC2086 # several words
	{
		[ "$command" = predict ] || says 1 'empty' 0 $command "$dir/empty"
		[ "$command" = predict ] || says 1 'no regular file' 0 $command "$dir/folder"
		[ "$command" = predict ] || says 1 'no regular file' 0 $command "$dir/fifo"
		[ "$command" = predict ] || says 1 'no regular file' 0 $command "$dir/zero"
		[ "$command" = predict ] || says 1 'no trace' 0 $command "$dir/text"
		says 1 'header' 0 $command "$dir/header"
		says 1 'version 2; this dirtyprof reads version 1' 0 $command "$dir/later"
		says 1 'in the middle of a block, at byte 60; nothing before it' 0 $command "$dir/stub"
	}
done
says 0 "in the middle of a block, at byte $((size - 20)); what comes before is shown" 20 report --json "$dir/cut"
says 1 'damaged from byte [0-9]* on; what comes before is shown' 5 report --json "$dir/damaged"
says 1 'No such file' 0 report "$dir/nowhere"
bad=$(ls "$dir/page" 2>/dev/null)
[ -z "$bad" ]
result $? "no page of what cannot be read"
finish
