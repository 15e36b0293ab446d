# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An initramfs, written without root and without cpio.

    image = Image()
    image.copy("/bin/busybox", "tree/bin/busybox")       # a file of the host's, with its mode
    image.text("/etc/dp.conf", "P=1009\n")               # one of ours
    image.program("/bin/dirtyprof", "build/dirtyprof")   # with the libraries that the host links it with
    image.chroot("/qemu", tree, ["/usr/bin/qemu-system-x86_64"], ["/usr/share/qemu/bios-256k.bin"])
    image.modules(kernel.modules, ["kvm_amd"])           # unpacked, and /modules/order for the init script
    image.write("initrd")

Folders come by themselves. Raises ImageError.
"""

import contextlib
import glob
import lzma
import os
import re
import stat
import subprocess

S_DIR, S_FILE, S_LINK, S_CHAR = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR


class ImageError(Exception):
    """What is to go into the image is not there or not as it should be."""


def _module_bytes(path):
    with open(path, "rb") as f:
        data = f.read()
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True, timeout=60).stdout
    return data


def _plain(name):
    """Module names are written with - and _ alike."""
    return name.replace("-", "_")


def modules_for(folder, names):
    """[(name, bytes)] of the modules and all that they depend on, in the order in which they load. Those that are built
    into the kernel are left out. folder: lib/modules/RELEASE."""
    there = {}
    for path in glob.glob(os.path.join(folder, "kernel", "**", "*.ko*"), recursive=True):
        there[_plain(os.path.basename(path).split(".ko")[0])] = path
    builtin = set()
    with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, "modules.builtin"), encoding="ascii") as f:
        builtin = {_plain(os.path.basename(line.strip()).split(".ko")[0]) for line in f}
    out = {}

    def add(name):
        name = _plain(name)
        if name in out or name in builtin:
            return
        if name not in there:
            raise ImageError(f"{os.path.basename(folder)} has no module {name}")
        data = _module_bytes(there[name])
        needs = re.search(rb"\0depends=([^\0]*)\0", data)
        for need in needs[1].decode().split(",") if needs else ():
            if need:
                add(need)
        out[name] = data

    for name in names:
        add(name)
    return list(out.items())


def libraries(program, root=None):
    """{name that the program asks for: path} of the shared libraries of a program, its loader among them. root: the program
    is of the tree there and linked with that tree's libraries."""
    if root:
        loader, paths = tree_loader(root)
        argv = [loader, "--library-path", paths, "--list", program]
    else:
        argv = ["ldd", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        if "not a dynamic executable" in done.stderr + done.stdout or "statically linked" in done.stdout:
            return {}
        raise ImageError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
    if "not found" in done.stdout:
        raise ImageError(f"{program}: {'; '.join(line.strip() for line in done.stdout.splitlines() if 'not found' in line)}")
    libs = {}
    for line in done.stdout.splitlines():
        found = re.match(r"\s*(\S+)(?: => (\S+))? \(0x", line)
        if found and (found[2] or found[1].startswith("/")):
            libs[found[1]] = found[2] or found[1]
    return libs


def tree_loader(root):
    """(loader, library path) of a tree of Debian packages, for running its programs without a chroot."""
    loaders = glob.glob(os.path.join(root, "lib", "*-linux-gnu*", "ld-linux*.so*")) + \
        glob.glob(os.path.join(root, "usr", "lib", "*-linux-gnu*", "ld-linux*.so*"))
    if not loaders:
        raise ImageError(f"{root}: no loader")
    folders = [d for d in (glob.glob(os.path.join(root, "lib", "*-linux-gnu*")) +
                           glob.glob(os.path.join(root, "usr", "lib", "*-linux-gnu*"))) if os.path.isdir(d)]
    return loaders[0], ":".join(folders + glob.glob(os.path.join(folders[-1], "pulseaudio")))


class Image:
    """Files by their path in the image."""

    def __init__(self):
        self._items = {}  # path -> (mode with type, bytes or host path, (major, minor))
        for path in ("/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/var/tmp", "/etc"):
            self.dir(path)
        self._items["/dev/console"] = (S_CHAR | 0o600, b"", (5, 1))

    def dir(self, path):
        """A folder, and those above it."""
        while path != "/":
            self._items.setdefault(path, (S_DIR | 0o755, b"", (0, 0)))
            path = os.path.dirname(path)

    def _put(self, path, mode, data, dev=(0, 0)):
        self.dir(os.path.dirname(path))
        self._items[path] = (mode, data, dev)

    def data(self, path, data, mode=0o644):
        """A file with these bytes."""
        self._put(path, S_FILE | mode, data)

    def text(self, path, text, mode=0o644):
        """A file with this text."""
        self.data(path, text.encode(), mode)

    def copy(self, path, host, mode=None):
        """A file of the host's."""
        if not os.path.isfile(host):
            raise ImageError(f"{host} is not there")
        self._put(path, S_FILE | (mode or stat.S_IMODE(os.stat(host).st_mode)), host)

    def link(self, path, to):
        """A symbolic link."""
        self._put(path, S_LINK | 0o777, to.encode())

    def program(self, path, host):
        """A program of the host's with its libraries, where its loader looks for them."""
        self.copy(path, host, 0o755)
        for name, lib in libraries(host).items():
            self.copy(name if name.startswith("/") else f"/lib/{name}", lib, 0o755)

    def chroot(self, at, root, programs, files=()):
        """Programs of a tree of packages, with their libraries, to be run under chroot; files and folders of the tree too."""
        loader, _ = tree_loader(root)
        for program in programs:
            self.copy(at + program, root + program, 0o755)
            for name, lib in libraries(root + program, root).items():
                self.copy(f"{at}/lib/{os.path.basename(name)}", lib, 0o755)
        for where in ("lib", "lib64"):
            self.copy(f"{at}/{where}/{os.path.basename(loader)}", loader, 0o755)
        for path in files:
            host = root + path
            found = [host] if not os.path.isdir(host) else [f for f in glob.glob(host + "/**", recursive=True)
                                                             if os.path.isfile(f)]
            for f in found:
                self.copy(at + f[len(root):], os.path.realpath(f))
        for path in ("dev", "proc", "sys", "tmp", "run", "var/tmp"):
            self.dir(f"{at}/{path}")

    def modules(self, folder, names):
        """Kernel modules, to be loaded in the order of the lines of /modules/order."""
        order = []
        for name, data in modules_for(folder, names):
            self.data(f"/modules/{name}.ko", data)
            order.append(name)
        self.text("/modules/order", "".join(f"{name}\n" for name in order))

    def write(self, path):
        """The cpio archive ("newc"), uncompressed."""
        with open(path, "wb") as out:
            for ino, (name, (mode, data, dev)) in enumerate(sorted(self._items.items()), 1):
                if isinstance(data, str):
                    with open(data, "rb") as f:
                        data = f.read()
                _record(out, name.lstrip("/"), ino, mode, data, dev)
            _record(out, "TRAILER!!!", 0, 0, b"", (0, 0))


def _record(out, name, ino, mode, data, dev):
    encoded = name.encode() + b"\0"
    fields = (ino, mode, 0, 0, 1, 0, len(data), 0, 0, dev[0], dev[1], len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + encoded
    out.write(head + b"\0" * (-len(head) % 4))
    out.write(data + b"\0" * (-len(data) % 4))
