# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Debian packages of other suites and architectures, by name, without installing anything.

    store = Store()                                             # one cache, shared by all runs
    tree = store.tree("bookworm", "amd64", ["busybox-static"])  # a folder with these packages unpacked
    root = store.tree("bookworm-backports", "amd64", ["qemu-system-x86"], closure=True)  # and all they depend on
    k = store.kernel("sid", "ppc64el", "powerpc64le-64k")       # Kernel: release, image, modules

apt-get does the work with a configuration of its own: the machine's Debian source with another suite, an empty package
database, and apt's own checks of signatures and sums. What is in the cache is used again. The cache is
$DIRTYPROF_KERNELS, else $XDG_CACHE_HOME/dirtyprof, else ~/.cache/dirtyprof; two runs at once are safe. An index is
fetched again when it is older than a week, or when a package that it names is gone. A machine whose sources are not
Debian's may name a mirror: DIRTYPROF_DEBIAN_MIRROR=URI (and DIRTYPROF_DEBIAN_KEYRING=FILE).

What cannot be had raises FetchError, whose text says why.
"""

import collections
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

INDEX_AGE = 7 * 86400  # s
UPDATE_TIMEOUT, DOWNLOAD_TIMEOUT = 300, 600  # s
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = {"bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldstable", "stable", "testing", "unstable"}

# release: as uname -r has it; image: what QEMU boots; modules: lib/modules/RELEASE; package: its name and version
Kernel = collections.namedtuple("Kernel", "release image modules package")


class FetchError(Exception):
    """A package cannot be had; the text says why."""


def default_cache():
    """The cache's folder."""
    own = os.environ.get("DIRTYPROF_KERNELS")
    if own:
        return os.path.abspath(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "dirtyprof")


def _run(argv, timeout, **kwargs):
    env = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    env.update(kwargs.pop("env", {}))
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL, env=env, **kwargs)
    except FileNotFoundError as e:
        raise FetchError(f"{argv[0]} is not installed") from e
    except subprocess.TimeoutExpired as e:
        raise FetchError(f"{argv[0]}: no end after {timeout} s") from e


def _complaint(done):
    lines = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
    return "; ".join(lines[:2]) or f"status {done.returncode}"


# ---- the machine's own source ----

def _one_line(text):
    """Entries of a sources.list: (URI, suites, keyring)."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s", line + " ")
        if found:
            options = dict(o.split("=", 1) for o in (found[1] or "").split() if "=" in o)
            yield found[2], [found[3]], options.get("signed-by")


def _deb822(text):
    """Entries of a .sources file."""
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza))
        fields = {k.lower(): v for k, v in fields.items()}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").strip().lower() in ("no", "false"):
            continue
        key = fields.get("signed-by", "").strip()
        for uri in fields.get("uris", "").split():
            yield uri, fields.get("suites", "").split(), key if key.startswith("/") else None


def _entries():
    folder = "/etc/apt/sources.list.d"
    files = ["/etc/apt/sources.list"]
    with contextlib.suppress(OSError):
        files += sorted(os.path.join(folder, n) for n in os.listdir(folder))
    for path in files:
        with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="utf-8") as f:
            yield from (_deb822 if path.endswith(".sources") else _one_line)(f.read())


def machine_source():
    """(URI, keyring or None) of the Debian archive that this machine uses."""
    mirror = os.environ.get("DIRTYPROF_DEBIAN_MIRROR")
    if mirror:
        return mirror, os.environ.get("DIRTYPROF_DEBIAN_KEYRING") or (KEYRING if os.path.exists(KEYRING) else None)
    for uri, suites, key in _entries():
        if SUITES & set(suites) and "security" not in uri:
            return uri, key or (KEYRING if os.path.exists(KEYRING) else None)
    raise FetchError("no Debian archive among apt's sources (DIRTYPROF_DEBIAN_MIRROR may name one)")


# ---- an index: one suite of one architecture ----

class Index:
    """Private apt state for a suite; backports come with the suite that they build on."""

    def __init__(self, cache, suite, arch):
        self.suite, self.arch = suite, arch
        self.dir = os.path.join(cache, "apt", f"{suite}-{arch}")
        self.conf = os.path.join(self.dir, "apt.conf")
        for folder in ("lists/partial", "archives/partial", "empty"):
            os.makedirs(os.path.join(self.dir, folder), exist_ok=True)
        self.fresh = False  # fetched by this run

    @contextlib.contextmanager
    def lock(self):
        """One run at a time works on an index."""
        with open(os.path.join(self.dir, "lock"), "w", encoding="ascii") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def _write_conf(self):
        uri, key = machine_source()
        options = ["check-valid-until=no"] + ([f"signed-by={key}"] if key else [])
        suites = [self.suite.removesuffix("-backports")] + [self.suite] * self.suite.endswith("-backports")
        with open(os.path.join(self.dir, "sources.list"), "w", encoding="utf-8") as f:
            for suite in suites:
                f.write(f"deb [{' '.join(options)}] {uri} {suite} main\n")
        with open(os.path.join(self.dir, "status"), "a", encoding="utf-8"):
            pass
        # How this machine reaches archives (proxies and the like) holds here too; its hooks do not.
        own = _run(["apt-config", "dump"], 60).stdout
        keep = [line for line in own.splitlines()
                if re.match(r"Acquire::(https?|ftp|Retries|ForceIPv|Proxy)", line, re.I)]
        settings = {
            "APT::Architecture": self.arch, "APT::Architectures": self.arch, "APT::Default-Release": self.suite,
            "APT::Sandbox::User": "root", "APT::Get::AllowUnauthenticated": "false",
            "APT::Install-Recommends": "false", "Acquire::Languages": "none", "Acquire::Retries": "2",
            "Acquire::GzipIndexes": "true", "Dir::Cache::srcpkgcache": "",
            "Dir::State": self.dir, "Dir::State::lists": f"{self.dir}/lists", "Dir::State::status": f"{self.dir}/status",
            "Dir::Cache": self.dir, "Dir::Cache::archives": f"{self.dir}/archives",
            "Dir::Etc::sourcelist": f"{self.dir}/sources.list", "Dir::Etc::sourceparts": f"{self.dir}/empty",
            "Dir::Etc::parts": f"{self.dir}/empty", "Dir::Etc::main": f"{self.dir}/empty/none",
            "Dir::Etc::preferences": f"{self.dir}/empty/none", "Dir::Etc::preferencesparts": f"{self.dir}/empty",
        }
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("\n".join(keep + [f'{k} "{v}";' for k, v in settings.items()]) + "\n")

    def _apt(self, *args, timeout=120, cwd=None):
        return _run(["apt-get", "-q", "-y", *args], timeout, cwd=cwd, env={"APT_CONFIG": self.conf})

    def update(self, force=False):
        """Fetches the index where it is missing or old. An old one that cannot be renewed is good enough."""
        stamp = os.path.join(self.dir, "updated")
        with contextlib.suppress(OSError):
            if not force and time.time() - os.path.getmtime(stamp) < INDEX_AGE:
                return
        self._write_conf()
        done = self._apt("update", "-o", "APT::Update::Error-Mode=any", timeout=UPDATE_TIMEOUT)
        if not done.returncode:
            with open(stamp, "w", encoding="ascii"):
                self.fresh = True
        elif os.path.exists(stamp):
            print(f"fetch: {self.suite} {self.arch}: going on with the old index: {_complaint(done)}", file=sys.stderr)
        else:
            raise FetchError(f"no index of {self.suite} {self.arch}: {_complaint(done)}")

    def resolve(self, names, closure):
        """File names of the packages (and of all that they depend on)."""
        if closure:
            done = self._apt("install", "--print-uris", "-t", self.suite, *names)
        else:
            done = self._apt("download", "--print-uris", *names)
        files = re.findall(r"(?m)^'[^']*' (\S+\.deb) ", done.stdout)
        if done.returncode or not files:
            raise FetchError(f"{self.suite} {self.arch}: {' '.join(names)}: {_complaint(done)}")
        return sorted(files)

    def download(self, files, into):
        """Fetches the .deb files into a folder. Returns what went wrong, "" if nothing did."""
        # name_version_arch.deb, as apt writes it
        which = [urllib.parse.unquote("=".join(f.split("_")[:2])) for f in files]
        done = self._apt("download", *which, timeout=DOWNLOAD_TIMEOUT, cwd=into)
        if done.returncode:
            return _complaint(done)
        gone = set(files) - set(os.listdir(into))
        return f"not there after the download: {' '.join(sorted(gone))}" if gone else ""


def _unpack(folder, debs, into):
    for deb in debs:
        done = _run(["dpkg-deb", "-x", os.path.join(folder, deb), into], 300)
        if done.returncode:
            raise FetchError(f"{deb}: {_complaint(done)}")


# ---- unpacked ----

class Store:
    """The cache."""

    def __init__(self, cache=None):
        self.dir = cache or default_cache()
        self.trees = os.path.join(self.dir, "trees")
        self._indexes = {}
        try:
            os.makedirs(self.trees, exist_ok=True)
        except OSError as e:
            raise FetchError(f"the cache {self.dir}: {e.strerror}") from e

    def index(self, suite, arch):
        """The index of a suite for a Debian architecture (amd64, ppc64el)."""
        key = (suite, arch)
        if key not in self._indexes:
            self._indexes[key] = Index(self.dir, suite, arch)
        return self._indexes[key]

    def _build(self, index, files, where):
        """Downloads and unpacks; the folder appears at once and whole. Returns what went wrong with the download."""
        tmp = tempfile.mkdtemp(dir=self.trees)
        try:
            debs, root = os.path.join(tmp, "debs"), os.path.join(tmp, "root")
            os.mkdir(debs)
            os.mkdir(root)
            why = index.download(files, debs)
            if why:
                return why
            _unpack(debs, files, root)
            with contextlib.suppress(OSError):  # another run was quicker
                os.rename(root, where)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
        return ""

    def _tree(self, suite, arch, names, closure):
        """(folder, file names of the packages in it)"""
        index = self.index(suite, arch)
        with index.lock():
            index.update()
            for last in (False, True):
                files = index.resolve(names, closure)
                sign = hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]
                where = os.path.join(self.trees, f"{names[0]}-{sign}")
                why = "" if os.path.isdir(where) else self._build(index, files, where)
                if not why:
                    return where, files
                if last or index.fresh:
                    break
                index.update(force=True)
        raise FetchError(f"{suite} {arch}: {' '.join(names)}: {why}")

    def tree(self, suite, arch, names, closure=False):
        """A folder in which the named packages are unpacked, with closure also all that they depend on."""
        return self._tree(suite, arch, names, closure)[0]

    def kernel(self, suite, arch, flavour):
        """The kernel that linux-image-FLAVOUR stands for in a suite."""
        index = self.index(suite, arch)
        with index.lock():
            index.update()
            files = index.resolve([f"linux-image-{flavour}"], True)
        # sid has the image and the modules in packages of their own
        names = [f.split("_")[0] for f in files]
        wanted = [n for n in names if re.match(r"linux-(image|binary|modules|main-modules|modules-[a-z]+)-\d", n)]
        if not wanted:
            raise FetchError(f"{suite} {arch}: linux-image-{flavour} depends on no kernel")
        where, debs = self._tree(suite, arch, wanted, False)
        return _kernel_in(where, ", ".join(debs))


def _kernel_in(tree, package):
    for lib in ("usr/lib/modules", "lib/modules"):
        top = os.path.join(tree, lib)
        for release in sorted(os.listdir(top)) if os.path.isdir(top) else ():
            for image in (f"boot/vmlinuz-{release}", f"boot/vmlinux-{release}", f"{lib}/{release}/vmlinuz",
                          f"{lib}/{release}/vmlinux"):
                if os.path.exists(os.path.join(tree, image)):
                    return Kernel(release, os.path.join(tree, image), os.path.join(top, release), package)
    raise FetchError(f"{package}: no kernel image with its modules in it")


def main(argv):
    """fetch.py SUITE ARCH [--closure] PACKAGE... | SUITE ARCH kernel FLAVOUR: prints where it is unpacked."""
    if len(argv) < 4:
        print(main.__doc__, file=sys.stderr)
        return 1
    store, (suite, arch, *rest) = Store(), argv[1:]
    try:
        if rest[0] == "kernel":
            print(*store.kernel(suite, arch, rest[1]), sep="\n")
        else:
            names = [a for a in rest if a != "--closure"]
            print(store.tree(suite, arch, names, "--closure" in rest))
    except FetchError as e:
        print(f"fetch: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
