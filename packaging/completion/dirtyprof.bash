# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bash completion for dirtyprof

# The host's VMs by PID. `dirtyprof list` loads BPF programs to read memory sizes; bounded in time all the same.
_dirtyprof_pids()
{
	timeout 2 dirtyprof list 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 }'
}

_dirtyprof()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]:-} w
	local options='-p --pid --bandwidth --switchover-bandwidth --downtime-limit --fixed-downtime --throttle
		--start --start= --window --qmp --source --compare --compare= --no-compare --no-peek --btf --hook
		--no-cap -o --output --append --record --from --to --merge --html --learned --no-learned --json --heatmap --curve --prometheus -v --verbose -h --help --version'
	COMPREPLY=()

	# bash splits an option and its value at the =
	if [ "$cur" = "=" ]; then
		cur=
	elif [ "$prev" = "=" ] && [ "$COMP_CWORD" -ge 2 ]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	[[ "$prev" = --start || "$prev" = --compare ]] && [ "${COMP_WORDS[COMP_CWORD]}" != "=" ] && [ "${COMP_WORDS[COMP_CWORD - 1]}" != "=" ] && prev=

	case $prev in
	-p | --pid)
		mapfile -t COMPREPLY < <(compgen -W "$(_dirtyprof_pids)" -- "$cur")
		return ;;
	--hook)
		[[ $cur == *=* ]] && return
		mapfile -t COMPREPLY < <(compgen -W "vm= ring= mark= harvest= wire= runs= entry=" -- "$cur")
		compopt -o nospace 2>/dev/null
		return ;;
	--source)
		mapfile -t COMPREPLY < <(compgen -W "auto ring mark harvest" -- "$cur")
		return ;;
	--compare)
		mapfile -t COMPREPLY < <(compgen -W "16MiB/s 64MiB/s 256MiB/s" -- "$cur")
		return ;;
	--bandwidth | --switchover-bandwidth)
		mapfile -t COMPREPLY < <(compgen -W "1G 10G 25G 100G 128MiB/s" -- "$cur")
		return ;;
	--downtime-limit | --fixed-downtime | --window)
		mapfile -t COMPREPLY < <(compgen -W "50ms 100ms 300ms 1s 5s" -- "$cur")
		return ;;
	--throttle)
		mapfile -t COMPREPLY < <(compgen -W "20 50 80 99" -- "$cur")
		return ;;
	--prometheus)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -X '!*.prom' -- "$cur"; compgen -d -- "$cur")
		return ;;
	--qmp | --start | --btf | --learned | -o | --output | --record | --html)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	esac

	for w in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $w in
		list | features)
			mapfile -t COMPREPLY < <(compgen -W "--json --btf" -- "$cur")
			return ;;
		predict | report)
			[[ $cur == -?* ]] && break
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return ;;
		esac
	done
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "list features predict record report $options" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
	fi
	[[ "${COMPREPLY[*]:-}" = --*= ]] && compopt -o nospace 2>/dev/null
	return 0
}

complete -F _dirtyprof dirtyprof
