# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=sh
# For sourcing. What the long and the short run of a fuzz target have in common: bounds, and the words of its format.

fuzz_options()
{
	echo "-timeout=20 -rss_limit_mb=1500 -malloc_limit_mb=500 -print_final_stats=0"
	case $1 in
	opts) echo "-max_len=1024" ;;
	qmp) echo "-max_len=8192" ;;
	*) echo "-max_len=16384" ;;
	esac
	[ ! -e "tests/fuzz/$1.dict" ] || echo "-dict=tests/fuzz/$1.dict"
}
