#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# timeout: 200
# Static checks, as TAP: format, shell, Python, cppcheck, man page, licences, options, links, and that the pure part is pure.
# Needs no root and changes nothing. Missing tools are skipped, each by name.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}

n=0 failed=0
# result NAME OUTPUT: what a check found; nothing is good.
result()
{
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
		return
	fi
	echo "not ok $n - $1"
	printf '%s\n' "$2" | head -n 40 | sed 's/^/# /'
	failed=1
}

skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# All files that are the project's own: builds and caches are not.
files()
{
	find . \( -name .git -o -name build -o -name 'build-*' -o -name __pycache__ -o -name '.cache' \) -prune -o \
		-type f "$@" -print | sed 's|^\./||' | sort
}

# Scripts by their first line.
scripts_of()
{
	files | while read -r f; do
		head -c 40 "$f" | head -n 1 | grep -qaE "^#!.*\b($1)\b" && echo "$f"
	done
}

python=/usr/bin/python3
[ -x "$python" ] || python=python3

licences()
{
	# Test data is compared byte by byte, and traces are no text; dot files configure other tools; LICENSES are the texts themselves.
	files | grep -vE '^LICENSES/|^tests/.*/(golden|seeds)/|^tests/data/.*\.trace$|(^|/)\.[^/]*$' | while read -r f; do
		head -n 12 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause' ||
			echo "$f: no SPDX line among its first"
	done
}

format()
{
	local cf=${CLANG_FORMAT:-} v
	[ -n "$cf" ] || cf=$(command -v clang-format-14 || command -v clang-format)
	if [ -z "$cf" ]; then
		skip "clang-format" "clang-format is not installed"
		return
	fi
	v=$("$cf" --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
	if [ "$v" != 14 ]; then
		skip "clang-format" "it formats differently in each release: 14 is wanted, this is ${v:-unknown}"
		return
	fi
	result "clang-format" "$(files -name '*.[ch]' | xargs -d '\n' "$cf" --dry-run 2>&1 |
		sed -n 's/^\([^:]*\):[0-9]*:.*/\1: make format/p' | sort -u)"
}

shell()
{
	if ! command -v shellcheck >/dev/null; then
		skip "shellcheck" "shellcheck is not installed"
		return
	fi
	# SC2319: the status of a [ ] is what the tests hand on
	result "shellcheck" "$(
		scripts_of 'sh|bash' | xargs -d '\n' shellcheck -x -e SC2319 -f gcc 2>&1
		shellcheck -s bash -f gcc packaging/completion/dirtyprof.bash 2>&1
	)"
}

python_files()
{
	{ files -name '*.py'; scripts_of python3; } | sort -u
}

# As py_compile does, without leaving its files about.
compile_python()
{
	python_files | while read -r f; do
		"$python" -c 'import sys; compile(open(sys.argv[1], "rb").read(), sys.argv[1], "exec")' "$f" 2>&1 | tail -n 3
	done
}

check_c()
{
	if ! command -v cppcheck >/dev/null; then
		skip "cppcheck" "cppcheck is not installed"
		return
	fi
	result "cppcheck" "$(cppcheck -q -j 2 --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches \
		--suppress='nullPointerOutOfMemory:tests/*' --template='{file}:{line}: {id}: {message}' \
		-D_GNU_SOURCE -DDIRTYPROF_VERSION='""' -Iinclude -I. -Iuser -Itests user tests 2>&1)"
}

manual()
{
	if ! command -v mandoc >/dev/null; then
		skip "mandoc -Tlint" "mandoc is not installed"
		return
	fi
	result "mandoc -Tlint" "$(mandoc -Tlint -W warning man/dirtyprof.8 2>&1)"
}

# Every option of the program is in its help, the man page and the completion, and no other.
options()
{
	local o known
	known=$(sed -n 's/^[[:space:]]*{ "\([a-z-]*\)", [a-z]*_argument.*/\1/p' user/cli/opts.c | sort -u)
	[ -n "$known" ] || echo "user/cli/opts.c: no options found"
	for o in $known; do
		grep -q -- "--$o\b" user/cli/main.c || echo "--$o: not in dirtyprof --help"
		grep -q -- "Fl -$o\b" man/dirtyprof.8 || echo "--$o: not in man/dirtyprof.8"
		grep -qE -- "--$o([^a-z-]|$)" packaging/completion/dirtyprof.bash || echo "--$o: not in the completion"
	done
	grep -oE -- 'Fl -[a-z-]+' man/dirtyprof.8 | sed 's/Fl -//' | sort -u | while read -r o; do
		grep -qx -- "$o" <<<"$known" || echo "man/dirtyprof.8: --$o is no option"
	done
	grep -oE -- '--[a-z][a-z-]+' packaging/completion/dirtyprof.bash | sed 's/^--//' | sort -u | while read -r o; do
		grep -qx -- "$o" <<<"$known" || echo "packaging/completion/dirtyprof.bash: --$o is no option"
	done
}

# Every metric is in the documentation, and no other.
metrics()
{
	local m code doc
	# percentiles are documented with what they belong to
	code=$(grep -ohE '"dirtyprof_[a-z0-9_]+"' user/report/prom.c | tr -d '"' | sed 's/_p[19]0_/_/' | sort -u)
	doc=$(grep -ohE 'dirtyprof_[a-z0-9_]+' docs/prometheus.md docs/dirtyprof.rules.yml | sed 's/_p[19]0_/_/' | sort -u)
	[ -n "$code" ] || echo "user/report/prom.c: no metrics found"
	for m in $code; do
		grep -qx "$m" <<<"$doc" || echo "$m: not in docs/prometheus.md"
	done
	for m in $doc; do
		grep -qx "$m" <<<"$code" || echo "$m: documented, but no such metric"
	done
}

links()
{
	files -name '*.md' | while read -r f; do
		grep -oE '\]\([^)# ]+' "$f" | sed 's/^](//' | grep -vE '^[a-z]+:' | while read -r to; do
			[ -e "$(dirname "$f")/$to" ] || echo "$f: broken link to $to"
		done
	done
}

rules()
{
	if ! command -v promtool >/dev/null; then
		skip "promtool check rules" "promtool is not installed"
		return
	fi
	result "promtool check rules" "$(promtool check rules docs/dirtyprof.rules.yml 2>&1 >/dev/null)"
}

# The pure part: no libbpf, no files, no sockets, no clock, no environment, no output, no threads. json-c may build strings.
impure='bpf_|libbpf_|btf_|json_object_(from|to)_(file|fd)'
impure+='|(f|fd|re|f64re)?open(64|at|at64)?$|close$|p?read(v|64)?$|p?write(v|64)?$|fread$|fwrite$|f?gets$|f?puts$|f?putc$|putchar$'
impure+='|v?(f|d)?printf$|(__)?(v?f|v?d|v)?printf_chk$|perror$|stdout$|stderr$|stdin$|(f|fd)stat|stat(64|x)?$|access$|unlink'
impure+='|rename|mkdir|opendir|readdir|mmap|ioctl$|poll$|select$|epoll|socket|connect$|bind$|listen$|accept|send|recv|pipe'
impure+='|fork$|exec|system$|popen$|kill$|signal|sigaction|getpid$|gettid$|time(64)?$|clock|gettimeofday|localtime|gmtime'
impure+='|nanosleep|usleep|sleep$|s?rand(om|_r|48)?$|getrandom|getenv|secure_getenv|setlocale|sysconf|uname$|syscall$|exit$|abort$|pthread'

purity()
{
	local lib=$BUILD/libdirtyprof-pure.a
	if ! command -v nm >/dev/null || [ ! -e "$lib" ]; then
		skip "pure: symbols" "$lib is not built"
		skip "pure: no state" "$lib is not built"
		return
	fi
	result "pure: symbols" "$(nm -A -u "$lib" 2>/dev/null | sed 's/.*pure\.a://; s/:[[:space:]]*U / /' |
		awk -v deny="^($impure)" '{ s = $2; sub(/@.*/, "", s); if (s ~ deny) print $1 " uses " s }')"
	# constant tables of pointers are in .data.rel.ro, which is read-only
	result "pure: no state" "$(size -A "$lib" | awk '
		/^[^ ]+\.o / { o = $1 }
		/^\.(data|bss|tdata|tbss)([ .]|$)/ && $1 !~ /^\.data\.rel\.ro/ && $2 > 0 { print o " has " $2 " bytes of " $1 }')"
}

# Sources of the pure part include only the C library and each other.
includes()
{
	grep -nE '^#[[:space:]]*include' user/model/*.[ch] user/report/*.[ch] |
		grep -vE '"(dirtyprof/|model/|report/)?[a-z_]+\.h"|<(math|stdint|stdbool|stddef|stdlib|string|stdio|stdarg|ctype|float|limits|errno|inttypes|assert)\.h>|<json-c/json\.h>'
}

result "SPDX lines" "$(licences)"
format
shell
result "Python compiles" "$(compile_python)"
check_c
manual
result "options: program, help, man page and completion agree" "$(options)"
result "metrics: program and documentation agree" "$(metrics)"
result "links in the documentation" "$(links)"
rules
purity
result "pure: includes" "$(includes)"

echo "1..$n"
exit $failed
