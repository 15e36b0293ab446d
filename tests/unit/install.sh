#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make install and make uninstall, into a folder of their own with blanks in its name. TAP.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
# make's own settings belong to the build that runs this
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PREFIX

if [ ! -x "$BUILD/dirtyprof" ]; then
	echo "1..0 # SKIP $BUILD/dirtyprof is not built"
	exit 0
fi

n=0 failed=0
ok()
{
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		failed=1
	fi
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
dest="$tmp/dest dir"

# Rebuilding is not what is tested: -o keeps the binary as it is.
run_make()
{
	make --no-print-directory BUILD="$BUILD" DESTDIR="$dest" -o "$BUILD/dirtyprof" "$@" >"$tmp/log" 2>&1
	local status=$?
	[ $status = 0 ] || sed 's/^/# /' "$tmp/log"
	return $status
}

installed()
{
	(cd "$dest" && find . -type f | sort)
}

run_make install PREFIX=/usr
ok "install" $?
ok "the program runs" "$("$dest/usr/sbin/dirtyprof" --version | grep -q '^dirtyprof [0-9]'; echo $?)"
for f in share/man/man8/dirtyprof.8 share/bash-completion/completions/dirtyprof lib/systemd/system/dirtyprof@.service \
	share/doc/dirtyprof/README.md share/doc/dirtyprof/docs/operators.md share/doc/dirtyprof/docs/schema.json; do
	ok "$f is there, for all to read" "$([ "$(stat -c %a "$dest/usr/$f")" = 644 ]; echo $?)"
done
ok "the unit starts what was installed" \
	"$(grep -q '^ExecStart=/usr/sbin/dirtyprof ' "$dest/usr/lib/systemd/system/dirtyprof@.service"; echo $?)"
ok "DESTDIR is in no file" "$(! grep -rqIF "$dest" "$dest"; echo $?)"
ok "nothing outside the prefix" "$(! installed | grep -qv '^\./usr/'; echo $?)"

before=$(installed)
run_make install PREFIX=/usr
ok "a second install changes nothing" "$([ "$before" = "$(installed)" ]; echo $?)"

# Others' files: one in every folder that install uses
while read -r d; do
	touch "$d/somebody else's"
done < <(find "$dest" -type d)
foreign=$(installed | grep "somebody else's")
run_make uninstall PREFIX=/usr
ok "uninstall" $?
ok "it removes what install put there, and nothing else" "$([ "$(installed)" = "$foreign" ]; echo $?)"
run_make uninstall PREFIX=/usr
ok "uninstall where nothing is installed" $?

rm -rf "$dest"
run_make install
ok "the default prefix is /usr/local" "$([ -x "$dest/usr/local/sbin/dirtyprof" ]; echo $?)"
run_make uninstall
ok "and its folder of documents goes too" "$([ -z "$(installed)" ] && [ ! -e "$dest/usr/local/share/doc/dirtyprof" ]; echo $?)"

echo "1..$n"
exit $failed
