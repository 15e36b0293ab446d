#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make install and make uninstall, into a folder of their own with blanks in its name. TAP.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh
BUILD=${BUILD:-build}
# make's own settings belong to the build that runs this
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PREFIX

[ -x "$BUILD/dirtyprof" ] || skip_all "$BUILD/dirtyprof is not built"

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
result $? "install"
"$dest/usr/sbin/dirtyprof" --version | grep -q '^dirtyprof [0-9]'
result $? "the program runs"
for f in share/man/man8/dirtyprof.8 share/bash-completion/completions/dirtyprof lib/systemd/system/dirtyprof@.service \
	share/doc/dirtyprof/README.md share/doc/dirtyprof/docs/operators.md share/doc/dirtyprof/docs/schema.json; do
	[ "$(stat -c %a "$dest/usr/$f")" = 644 ]
	result $? "$f is there, for all to read"
done
grep -q '^ExecStart=/usr/sbin/dirtyprof ' "$dest/usr/lib/systemd/system/dirtyprof@.service"
result $? "the unit starts what was installed"
! grep -rqIF "$dest" "$dest"
result $? "DESTDIR is in no file"
! installed | grep -qv '^\./usr/'
result $? "nothing outside the prefix"

before=$(installed)
run_make install PREFIX=/usr
[ "$before" = "$(installed)" ]
result $? "a second install changes nothing"

# Others' files: one in every folder that install uses
while read -r d; do
	touch "$d/somebody else's"
done < <(find "$dest" -type d)
foreign=$(installed | grep "somebody else's")
run_make uninstall PREFIX=/usr
result $? "uninstall"
[ "$(installed)" = "$foreign" ]
result $? "it removes what install put there, and nothing else"
run_make uninstall PREFIX=/usr
result $? "uninstall where nothing is installed"

rm -rf "$dest"
run_make install
[ -x "$dest/usr/local/sbin/dirtyprof" ]
result $? "the default prefix is /usr/local"
run_make uninstall
[ -z "$(installed)" ] && [ ! -e "$dest/usr/local/share/doc/dirtyprof" ]
result $? "and its folder of documents goes too"

finish
