#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=dash disable=SC2034 # lib.sh reads some
# The test VMM in each mode, watched through every hook that this kernel has, all at once.
# /etc/dp.conf: MODES (words MODE[@CPU][+VARIANT]), P (pages), RUN_S, SYNC_MS, SETTLE_S, VMM_ARGS and, for a variant,
# VMM_ARGS_VARIANT behind them and PROF_ARGS_VARIANT for dirtyprof; PLAIN: variants that are watched once, through what dirtyprof
# takes by itself or as PROF_ARGS_VARIANT says; FREE: variants whose guest does not stop for syncs; REFUSED: sources
# that are asked for as well, to be refused
# shellcheck source=/dev/null
. /lib.sh
# shellcheck source=/dev/null
. /etc/dp.conf

# Whether a source can watch a VM that logs in this way. What sees a guest run first is tried in the one mode that every kernel has.
suits()
{
	case $1:$2 in
	entry:*) [ "$CASE" = bitmap ] ;;
	ring:ring*) true ;;
	harvest:ring*) false ;;
	harvest:* | mark:*) true ;;
	*) false ;;
	esac
}

vmm_ready()
{
	grep -q '"ready"' "$C/vmm" || dead "$VMM"
}

# is_in WORD WORDS
is_in()
{
	case " $2 " in *" $1 "*) ;; *) false ;; esac
}

run_mode()
{
	word=${CASE%+*} variant=${CASE#*+} more='' args='' lock=--lockstep
	mode=${word%@*} cpu=${word#*@}
	C=/tmp/case PROFS='' t0=$(uptime_s)
	rm -rf $C
	mkdir -p $C
	[ "$variant" = "$CASE" ] || eval "more=\$VMM_ARGS_$variant args=\$PROF_ARGS_$variant"
	is_in "$variant" "$FREE" && lock=''
	[ "$cpu" = "$word" ] && cpu='' || cpu="--cpu $cpu"
	# shellcheck disable=SC2086 # several words
	dpvmm --log "$mode" $cpu --pattern "rounds:$P" $lock --seconds "$RUN_S" --sync-ms "$SYNC_MS" \
		--wait-file $C/go --wait-seconds 200 $VMM_ARGS $more >$C/vmm 2>$C/vmm.err &
	VMM=$!
	wait_for 30 vmm_ready
	if alive $VMM; then
		# shellcheck disable=SC2086 # several words
		start_prof auto $VMM $args
		n=0
		is_in "$variant" "$PLAIN" && n=$ROWS
		while [ "$n" -lt "$ROWS" ]; do
			if suits "$(cat /tmp/rows/"$n".what)" "$mode" && [ "$(cat /tmp/rows/"$n".works)" = true ]; then
				# shellcheck disable=SC2046 # several words
				start_prof "$n" $VMM $(row_args "$n")
			fi
			n=$((n + 1))
		done
		for source in $REFUSED; do
			start_prof "refused-$source" $VMM --source "$source"
		done
		profs_settle "$SETTLE_S"
		: >$C/go
		wait $VMM
		say "$CASE" vmm-exit $?
		profs_end 20
	fi
	say_lines "$CASE" vmm $C/vmm
	say_lines "$CASE" vmm-err $C/vmm.err
	say "$CASE" took "$t0 $(uptime_s)"
}

# small machines have it switched off
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null
say kernel release "$(uname -r)"
t0=$(uptime_s)
read_features
say features took "$t0 $(uptime_s)"
for CASE in $MODES; do
	run_mode
done
