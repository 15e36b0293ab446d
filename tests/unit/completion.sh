#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The bash completion, asked as bash asks it. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
# shellcheck source=/dev/null
. packaging/completion/dirtyprof.bash

# shellcheck disable=SC2317,SC2329 # the completion calls it
dirtyprof()
{
	echo "PID      NAME  VCPUS"
	echo "4711     web       2"
	echo "4800     db        4"
}
export -f dirtyprof
# The completion runs it under timeout, which cannot see a function.
# shellcheck disable=SC2317,SC2329
timeout()
{
	shift
	"$@"
}

# want NAME EXPECTED WORD...: what the completion offers for the last word
want()
{
	local name=$1 expected=$2 got
	shift 2
	COMP_WORDS=(dirtyprof "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_dirtyprof 2>/dev/null
	got=${COMPREPLY[*]-}
	explain()
	{
		echo "# offered \"$got\", not \"$expected\""
	}
	[ "$got" = "$expected" ]
	result $? "$name"
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
touch "$dir/a.prom" "$dir/a.txt"

want "sub-commands" "list" l
want "options of a sub-command" "--json --btf" list -
want "no options of the profile after a sub-command" "" features --ban
want "predict takes options" "--bandwidth" predict --ban
want "predict takes files" "$dir/a.txt" predict "$dir/a.t"
want "options by prefix" "--bandwidth" -p 1 --ban
want "-p offers the VMs" "4711 4800" -p ""
want "--pid by prefix" "4711" --pid 47
want "--source" "ring" --source r
want "--source=" "harvest" --source = h
want "--source= with nothing yet" "auto ring mark harvest" --source =
want "--prometheus offers .prom files" "$dir/a.prom" --prometheus "$dir/a"
want "--start= offers files" "$dir/a.txt" --start = "$dir/a.t"
want "report takes a page" "--html" report --ht
want "--start alone takes no value" "--json" --start --js

finish
