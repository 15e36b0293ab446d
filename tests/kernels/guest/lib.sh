# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=dash
# For the scripts that run inside. Results go to the console: say CASE STREAM TEXT

say()
{
	echo "@dp $*"
}

# say_lines CASE STREAM FILE: each line of a file
say_lines()
{
	[ ! -f "$3" ] || sed "s/^/@dp $1 $2 /" "$3"
}

uptime_s()
{
	cut -d ' ' -f 1 /proc/uptime
}

# wait_for SECONDS COMMAND...: until the command succeeds; 1 if it does not. Seconds of the clock: a command may take long.
wait_for()
{
	wf_end=$(($(cut -d . -f 1 /proc/uptime) + $1))
	shift
	until "$@"; do
		[ "$(cut -d . -f 1 /proc/uptime)" -lt $wf_end ] || return 1
		sleep 0.1
	done
}

alive()
{
	kill -0 "$1" 2>/dev/null
}

dead()
{
	! alive "$1"
}

# A text or true/false member of a flat JSON object: member NAME LINE
member()
{
	echo "$2" | sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p"
}

# The rows of dirtyprof features, one a file: /tmp/rows/N (as it came), and N.what, N.works
read_features()
{
	rm -rf /tmp/rows
	mkdir -p /tmp/rows
	dirtyprof features --json >/tmp/features 2>/tmp/features.err
	rf_n=0
	while read -r rf_line; do
		echo "$rf_line" >/tmp/rows/$rf_n
		member what "$rf_line" >/tmp/rows/$rf_n.what
		member works "$rf_line" >/tmp/rows/$rf_n.works
		rf_n=$((rf_n + 1))
	done </tmp/features
	say_lines features row /tmp/features
	say_lines features err /tmp/features.err
	# shellcheck disable=SC2034 # the scripts read it
	ROWS=$rf_n
}

# The options that make dirtyprof take a row's hook: row_args N
row_args()
{
	ra_what=$(cat /tmp/rows/"$1".what)
	case $ra_what in ring | harvest | mark) printf '%s' "--source $ra_what " ;; esac
	printf '%s' "--hook $ra_what=$(member how "$(cat /tmp/rows/"$1")")"
}

# start_prof N PID ARGS...: dirtyprof under the name N in the case's folder $C
start_prof()
{
	sp_n=$1 sp_pid=$2
	shift 2
	(
		dirtyprof -p "$sp_pid" --json "$@" 1 >"$C/prof.$sp_n" 2>"$C/err.$sp_n"
		echo $? >"$C/exit.$sp_n"
	) &
	PROFS="$PROFS $sp_n"
}

# It watches, or will never do.
prof_settled()
{
	grep -q '"type":"start"' "$C/prof.$1" 2>/dev/null || [ -f "$C/exit.$1" ]
}

prof_ended()
{
	[ -f "$C/exit.$1" ]
}

# Everybody watches: profs_settle SECONDS
profs_settle()
{
	for ps_n in $PROFS; do
		wait_for "$1" prof_settled "$ps_n" || say "$CASE" err:"$ps_n" "does not watch after $1 s"
	done
}

# Their ends, and what they said: profs_end SECONDS
profs_end()
{
	for pe_n in $PROFS; do
		wait_for "$1" prof_ended "$pe_n" || {
			say "$CASE" err:"$pe_n" "does not end by itself"
			for pe_p in $(pidof dirtyprof); do
				kill -9 "$pe_p"
			done
		}
	done
	for pe_n in $PROFS; do
		grep -E '"type":"(start|sync|report)"' "$C/prof.$pe_n" >"$C/short.$pe_n"
		say_lines "$CASE" prof:"$pe_n" "$C/short.$pe_n"
		say_lines "$CASE" err:"$pe_n" "$C/err.$pe_n"
		say_lines "$CASE" exit:"$pe_n" "$C/exit.$pe_n"
	done
}
