#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Builds in a ppc64le Debian whose programs QEMU's user emulation runs. Started by native.py inside namespaces of its own:
#   native.sh TREE QEMU SOURCE OUT WORK
# TREE: unpacked packages; QEMU: qemu-ppc64le-static; OUT: make's BUILD; WORK: an empty folder. Neither TREE nor SOURCE is
# written to. JOBS: of make; UNITS: unit tests (test_units ...).
# Exit status 77: it cannot be run here, for the reason that is the last line of stderr.
set -eu
tree=$1 qemu=$2 source=$3 out=$4 work=$5 root=$5/root

skip()
{
	echo "$*" >&2
	exit 77
}

mount -t tmpfs none "$work" || skip "no tmpfs in a user namespace"
mkdir "$work/upper" "$work/inner" "$root"
mount -t overlay none -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/inner" "$root" ||
	skip "no overlayfs in a user namespace (Linux 5.11)"
for dir in src out proc dev tmp usr/local/bin; do
	mkdir -p "$root/$dir"
done
# What the packages' own scripts would have linked.
ln -s /usr/bin/gcc "$root/usr/local/bin/cc"
ln -s /usr/bin/mawk "$root/usr/local/bin/awk"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
# A copy: somebody may go on working on it.
(cd "$source" && tar -c --exclude=./build --exclude='./build-*' --exclude=./.git .) | tar -x --no-same-owner -C "$root/src"
mount --bind "$out" "$root/out"

# A namespace's own (Linux 6.7), so that nothing of it is seen outside. Else what the machine has registered may do.
if mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null; then
	# ELF, 64-bit, little-endian, EM_PPC64; F: opened now, as it is not there after chroot
	magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x15\x00'
	mask='\xff\xff\xff\xff\xff\xff\xff\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\x00'
	printf '%s' ":dirtyprof-ppc64le:M::$magic:$mask:$qemu:F" >/proc/sys/fs/binfmt_misc/register
fi
chroot "$root" /bin/true 2>/dev/null ||
	skip "this machine cannot run programs of ppc64le (a binfmt_misc in a user namespace needs Linux 6.7)"

# shellcheck disable=SC2016 # expands inside
exec chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/tmp JOBS="$JOBS" \
	UNITS="$UNITS" /bin/bash -c '
cd /src || exit 1
echo "machine $(uname -m) $(cc -dumpmachine)"
echo "missing $(scripts/install-deps --missing build | tr "\n" " ")"
make -s "-j$JOBS" BUILD=/out all dpvmm >&2
echo "make $?"
echo "version $(/out/dirtyprof --version)"
echo "vmm $(/out/tests/dpvmm --help | head -n 1)"
unit()
{
	make -s BUILD=/out "/out/tests/unit/$1" >&2 && timeout 600 "/out/tests/unit/$1" >"/out/$1.log" 2>&1
	echo "unit $1 $?"
}
export -f unit
printf "%s\n" $UNITS | xargs -P "$JOBS" -I {} bash -c "unit {}"
'
