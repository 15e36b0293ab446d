#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The short run of each fuzz target: its seeds, and two seconds of inputs made from them. `make fuzz` is the long one.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
. tests/fuzz/options.sh
. tests/lib/tap.sh
dir=${BUILD:-build}/fuzz
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
name=

# shellcheck disable=SC2317,SC2329 # result calls it
explain()
{
	[ -n "$name" ] || return
	tail -n 40 "$tmp/log" | sed 's/^/# /'
	for f in "$tmp/$name"-*; do
		[ ! -e "$f" ] || printf '# %s\n' "input, for base64 -d | gunzip: $(gzip -c "$f" | base64 -w 0)"
	done
}

tests/fuzz/make_seeds "${BUILD:-build}/tests/lib/make_trace" "$tmp/seeds"
for bin in "$dir"/fuzz_*; do
	[ -x "$bin" ] || continue
	name=${bin##*/fuzz_}
	mkdir "$tmp/$name"
	# shellcheck disable=SC2046 # several words
	timeout -k 5 60 "$bin" $(fuzz_options "$name") -seed=1 -runs=100000 -max_total_time=2 \
		-artifact_prefix="$tmp/$name-" "$tmp/$name" $(fuzz_seeds "$name" "$tmp/seeds") >"$tmp/log" 2>&1
	result $? "$name, $(cat "$dir/engine"): $(sed -n 's/^Done \(.*\)/\1/p' "$tmp/log")"
done
[ "$n" != 0 ] || result 1 "no fuzz target is built"
finish
