#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Cross-builds for ppc64le, statically, against Debian's own ppc64el libraries, fetched and unpacked in the cache.

    folder = build(store)        # BUILD/ppc64le: dirtyprof, tests/dpvmm

Needs the cross compiler and its C library (scripts/install-deps kernels). From the command line it prints the folder:
tests/kernels/cross.py
"""

import os
import shutil
import subprocess
import sys

import entries
import fetch


class BuildError(Exception):
    """It does not build; the text says why."""


TRIPLET = "powerpc64le-linux-gnu"
LIBRARIES = ["libbpf-dev", "libelf-dev", "zlib1g-dev", "libjson-c-dev"]
TARGETS = ("all", "dpvmm")


def variables(sysroot, build):
    """The variables of make for a compiler whose libraries lie in sysroot."""
    lib = os.path.join(sysroot, "usr/lib", TRIPLET)
    include = os.path.join(sysroot, "usr/include")
    return {
        "CC": f"{TRIPLET}-gcc", "AR": f"{TRIPLET}-ar", "BUILD": build,
        "CFLAGS": f"-O2 -g -isystem {include} -isystem {include}/{TRIPLET}",
        "LDFLAGS": f"-static -L{lib}",
        # --static: a library's own libraries are not found by the linker then
        "PKG_CONFIG": f"env PKG_CONFIG_LIBDIR={lib}/pkgconfig PKG_CONFIG_SYSROOT_DIR={sysroot} pkg-config --static",
    }


def build(store):
    """Builds, if need be, and returns the folder. Raises FetchError where the compiler or the libraries cannot be had."""
    if not shutil.which(f"{TRIPLET}-gcc"):
        raise fetch.FetchError(f"{TRIPLET}-gcc is not installed (Debian: gcc-{TRIPLET}, libc6-dev-ppc64el-cross)")
    sysroot = store.tree("bookworm", "ppc64el", LIBRARIES)
    folder = os.path.join(os.environ.get("BUILD", "build"), "ppc64le")
    argv = ["make", "-s", "--no-print-directory", f"-j{os.cpu_count() or 1}"]
    argv += [f"{k}={v}" for k, v in variables(sysroot, folder).items()] + list(TARGETS)
    # A make that runs us has options and variables of its own in the environment.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "BUILD")}
    done = subprocess.run(argv, cwd=entries.TOP, env=env, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise BuildError(f"cross-building: {done.stderr.strip()[-600:]}")
    return os.path.join(entries.TOP, folder)


if __name__ == "__main__":
    try:
        print(build(fetch.Store()))
    except (fetch.FetchError, BuildError) as error:
        print(f"cross: {error}", file=sys.stderr)
        sys.exit(1)
