# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=sh
# For sourcing. What the long and the short run of a fuzz target have in common: bounds, and the words of its format.

fuzz_options()
{
	echo "-timeout=20 -rss_limit_mb=1500 -malloc_limit_mb=500 -print_final_stats=0"
	case $1 in
	opts) echo "-max_len=1024" ;;
	qmp) echo "-max_len=8192" ;;
	*) echo "-max_len=24576" ;;
	esac
	[ ! -e "tests/fuzz/$1.dict" ] || echo "-dict=tests/fuzz/$1.dict"
}

# fuzz_seeds TARGET DIR: folders of seeds, those in DIR made beforehand (make_seeds)
fuzz_seeds()
{
	[ ! -d "tests/fuzz/seeds/$1" ] || echo "tests/fuzz/seeds/$1"
	[ ! -d "$2/$1" ] || echo "$2/$1"
}
