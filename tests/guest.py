"""A small QEMU guest for tests: Debian's own kernel over this machine's programs, with disks of its own.

    with Guest(disks=[Drive(tmp_path / "disk", "vm")], modules=["dm-verity"]) as guest:
        out = guest.succeed("sgdisk -n1:0:+8M /dev/disk/by-id/virtio-vm && lsblk --json")
        answer = guest.run("mount /dev/disk/by-id/virtio-vm-part1 /mnt", timeout=20)  # .status, .output
        guest.kill()  # the power goes; what was on the disk stays

- Root is this machine's file system, read-only by 9p, under an overlay in memory: every program, library and file of
  this machine is there under its own path (`sys.executable -m nixwright` too) as it was when the guest started. What
  the guest writes is gone with it, but for its disks and `guest.shared` (`/shared` there), which both sides write to.
- The kernel is Debian's newest of the machine's own suite, fetched once by `apt-get download` into the user's cache and
  never installed. All its modules can be loaded (`modprobe`, or `modules=[...]`); the drivers of the disks are.
- Devices have the names that real udev gives them: `/dev/disk/by-id/virtio-SERIAL`, `usb-...`, by-partlabel, by-uuid.
- No systemd runs, no network is configured (`qemu=["-nic", "user"]` adds a card), `/data`, `/mnt` are free to use.
- Up in about ten seconds without KVM. A test that has no kernel, no QEMU or no apt is skipped with the reason.
"""

from __future__ import annotations

import base64
import fcntl
import os
import platform
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STARTS_IN = 1200.0  # seconds, on a machine that has much else to do
# What stage 1 needs to see this machine's files.
_STAGE_1_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_STAGE_1_PROGRAMS = ("bash", "mount", "mkdir", "modprobe", "switch_root")
_DRIVERS = {
    "virtio": ("virtio_blk",),
    "usb": ("xhci_pci", "usb_storage", "sd_mod"),
    "sd": ("sdhci_pci", "mmc_block"),
}
_STAGE_1 = """#!/bin/bash
export PATH=/bin
mkdir -p /proc /sys /dev /host /memory /new
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in MODULES; do modprobe "$module"; done
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,msize=512000,ro host /host
mount -t tmpfs -o mode=755,size=75% memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /new
mount --move /dev /new/dev
mount --move /sys /new/sys
mount --move /proc /new/proc
mkdir -p /new/run /new/tmp
mount -t tmpfs -o mode=755 run /new/run
exec switch_root /new /bin/bash -c "$(<stage-2)"
"""
# Runs scripts one after another: base64 on a line, and back the exit status; output goes straight to the log.
_STAGE_2 = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb
shopt -s nullglob
mkdir -p /run/lock /run/udev /dev/shm /dev/pts /shared /mnt /data
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
rm -rf /lib/modules/VERSION
mkdir -p /lib/modules
ln -s MODULES /lib/modules/VERSION
# This is a machine: what says of its files that they are a container's makes udev blind to the kernel's command line.
rm -f /.dockerenv /run/.containerenv
/usr/lib/systemd/systemd-udevd --daemon
for module in WANTED; do modprobe "$module"; done
modprobe virtio_console
for _ in {1..300}; do
  disks=(/sys/block/{vd,sd,mmcblk}*)
  if [ "${#disks[@]}" -ge COUNT ]; then break; fi
  sleep 0.1
done
udevadm trigger --action=add --subsystem-match=block --subsystem-match=virtio-ports
udevadm settle
mount -t 9p -o trans=virtio,version=9p2000.L,cache=none,msize=512000 shared /shared
exec 3<>/dev/virtio-ports/control 4>/dev/virtio-ports/output
hostname guest
cd /root || cd /
echo ready >&3
while read -r line <&3; do
  base64 -d <<<"$line" >/run/script
  bash -eu -o pipefail /run/script </dev/null >&4 2>&1
  echo "$?" >&3
done
"""


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk of the guest: a file that exists, its serial number, and how it is plugged in (virtio, usb, sd)."""

    path: Path
    serial: str
    plug: str = "virtio"
    image: str = "raw"  # or qcow2; nbd: `path` is the socket of a server (`components/cached_disk.py`)

    def arguments(self, number: int) -> list[str]:
        """Return QEMU's arguments for it."""
        file, image = str(self.path).replace(",", ",,"), self.image
        if image == "nbd":
            file, image = f"nbd:unix:{file}", "raw"
        drive = f"file={file},format={image},if=none,id=disk{number},discard=unmap"
        devices = {
            "virtio": ["-device", f"virtio-blk-pci,drive=disk{number},serial={self.serial}"],
            "usb": ["-device", f"usb-storage,drive=disk{number},serial={self.serial},removable=on"],
            "sd": ["-device", "sdhci-pci", "-device", f"sd-card,drive=disk{number}"],
        }
        return ["-drive", drive, *devices[self.plug]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script came to: its exit status, and its output with its errors in between."""

    status: int
    output: str


class GuestError(AssertionError):
    """The guest did not start, did not answer in time, or a script failed that should not."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that was unpacked: its image, its modules' directory, its version."""

    image: Path
    modules: Path
    version: str


@dataclass(slots=True)
class Guest:
    """A guest; `with` starts it and takes it away. `kernel` adds to the kernel's command line, memory is in MiB."""

    disks: Sequence[Drive] = ()
    modules: Sequence[str] = ()
    memory: int = 768
    kernel: str = ""
    qemu: Sequence[str] = ()
    _directory: Path = field(init=False)
    _process: subprocess.Popen[bytes] = field(init=False)
    _control: socket.socket = field(init=False)
    _read: int = field(init=False, default=0)
    _pending: bytes = field(init=False, default=b"")

    def __enter__(self) -> Self:
        """Start it and wait until it takes scripts."""
        need("qemu-system-x86_64", "modprobe", "udevadm")
        found = debian_kernel()
        self._directory = Path(tempfile.mkdtemp(prefix="nixwright-guest-"))
        self.shared.mkdir()
        try:
            self._start(found)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        if hasattr(self, "_process"):
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def shared(self) -> Path:
        """The directory that is `/shared` in the guest."""
        return self._directory / "shared"

    @property
    def _said(self) -> str:
        return (self._directory / "qemu").read_text(encoding="utf-8", errors="replace")

    @property
    def console(self) -> str:
        """What the kernel said, and stage 1."""
        path = self._directory / "console"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def run(self, script: str, timeout: float = 900.0) -> Answer:
        """Run a script of bash (-eu, pipefail) as root. Raises GuestError where it takes longer than `timeout` s."""
        self._control.sendall(base64.b64encode(script.encode()) + b"\n")
        status = self._line(timeout, f"no end of: {script}")
        return Answer(int(status), self._output())

    def succeed(self, script: str, timeout: float = 900.0) -> str:
        """Run a script that must succeed, and return what it says. Raises GuestError."""
        answer = self.run(script, timeout)
        if answer.status:
            raise GuestError(f"exit status {answer.status} of: {script}\n{answer.output}")
        return answer.output

    def fail(self, script: str, timeout: float = 900.0) -> str:
        """Run a script that must fail, and return what it says. Raises GuestError."""
        answer = self.run(script, timeout)
        if not answer.status:
            raise GuestError(f"should have failed: {script}\n{answer.output}")
        return answer.output

    def send(self, script: str) -> None:
        """Begin a script and do not wait for its end: for what a `kill` breaks off."""
        self._control.sendall(base64.b64encode(script.encode()) + b"\n")

    def end(self, timeout: float = 240.0) -> Answer:
        """Wait for the end of a script that was begun by `send`. Raises GuestError where it takes longer."""
        return Answer(int(self._line(timeout, "no end of what was begun")), self._output())

    def said(self, text: str) -> bool:
        """Tell whether a script that was begun by `send` has said something."""
        return text.encode() in (self._directory / "output").read_bytes()[self._read :]

    def wait_for(self, text: str, timeout: float = 900.0) -> None:
        """Wait until a script that was begun by `send` has said something. Raises GuestError."""
        end = time.monotonic() + timeout
        while not self.said(text):
            if time.monotonic() > end or self._process.poll() is not None:
                raise GuestError(f"never said {text!r}: {self._output()}{self.console[-3000:]}")
            time.sleep(0.05)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold it in the middle of what it does: its disks' files are what a power cut would leave now.

        Raises GuestError where it is gone.
        """
        if self._process.poll() is not None:
            raise GuestError(f"the guest is gone: {self._said}{self.console[-3000:]}")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Cut the power. What the guest had given to its disks is in their files."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if hasattr(self, "_control"):
            self._control.close()

    def _start(self, found: Kernel) -> None:
        at = self._directory
        (at / "initrd").write_bytes(_initrd(found, (*self._drivers(), *self.modules), len(self.disks)))
        here = socket.socket(socket.AF_UNIX)
        here.bind(str(at / "control"))
        here.listen()
        with here, (at / "qemu").open("wb") as said:
            self._process = subprocess.Popen(self._arguments(found), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            here.settimeout(0.2)
            while not hasattr(self, "_control"):
                with suppress(TimeoutError):
                    self._control, _ = here.accept()
                if self._process.poll() is not None:
                    raise GuestError(self._said)
        if self._line(_STARTS_IN, "the guest did not start") != "ready":
            raise GuestError(f"the guest did not start\n{self.console}")

    def _drivers(self) -> Iterator[str]:
        for plug in dict.fromkeys(disk.plug for disk in self.disks):
            yield from _DRIVERS[plug]

    def _arguments(self, found: Kernel) -> list[str]:
        at = self._directory
        line = "console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on net.ifnames=0 tsc=reliable"
        port = "virtserialport,chardev"
        share = "security_model=none,multidevs=remap"
        return [
            *("setpriv", "--pdeathsig", "KILL"),  # nothing stays when the tests are killed
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-machine", "q35,accel=tcg,vmport=off,sata=off,smbus=off", "-cpu", "max", "-m", str(self.memory)),
            *("-kernel", str(found.image), "-initrd", f"{at}/initrd", "-append", f"{line} {self.kernel}".strip()),
            *("-chardev", f"file,id=console,path={at}/console", "-serial", "chardev:console"),
            *("-chardev", f"socket,id=control,path={at}/control", "-chardev", f"file,id=output,path={at}/output"),
            *("-device", "virtio-serial-pci", "-device", f"{port}=control,name=control"),
            *("-device", f"{port}=output,name=output", "-device", "virtio-rng-pci", "-device", "qemu-xhci"),
            *("-virtfs", f"local,path=/,mount_tag=host,readonly=on,{share}"),
            *("-virtfs", f"local,path={self.shared},mount_tag=shared,{share}"),
            *(part for number, disk in enumerate(self.disks) for part in disk.arguments(number)),
            *self.qemu,
        ]

    def _line(self, timeout: float, why: str) -> str:
        end = time.monotonic() + timeout
        while b"\n" not in self._pending:
            self._control.settimeout(max(0.01, end - time.monotonic()))
            try:
                more = self._control.recv(4096)
            except TimeoutError:
                more = b""
            if not more:
                raise GuestError(f"{why}\n{self._output()}\n{self.console[-3000:]}{self._said}")
            self._pending += more
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def _output(self) -> str:
        whole = (self._directory / "output").read_bytes()
        new, self._read = whole[self._read :], len(whole)
        return new.decode(errors="replace")


def debian_kernel() -> Kernel:
    """Return Debian's kernel, unpacked in the user's cache; skip the running test where it cannot be had."""
    if platform.machine() != "x86_64" or not shutil.which("apt-get"):
        pytest.skip("needs a Debian kernel (apt-get, x86_64)")
    said = os.environ.get("XDG_CACHE_HOME", "")
    cache = (Path(said) if said.startswith("/") else Path.home() / ".cache") / "nixwright-tests"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        package = _package()
        root = cache / package
        if not root.is_dir():
            _unpack(cache, package)
    modules = next(m for pattern in ("usr/lib/modules/*", "lib/modules/*") for m in root.glob(pattern))
    return Kernel(next((root / "boot").glob("vmlinuz-*")), modules, modules.name)


def _package() -> str:
    for ask in (_apt, _fresh):
        if found := re.search(r"Depends: (linux-image-\S+)", ask("apt-cache", "depends", "linux-image-amd64").stdout):
            return found[1]
    pytest.skip("needs a Debian kernel (no linux-image-amd64 in apt's lists)")


def _unpack(cache: Path, package: str) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        at = Path(temporary)
        fetch = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package)
        got = _apt(*fetch, directory=at)
        if got.returncode:  # the lists may be older than what the mirror has
            got = _fresh(*fetch, directory=at)
        if got.returncode:
            pytest.skip(f"needs a Debian kernel (apt-get download {package}: {got.stderr.strip()[-200:]})")
        subprocess.run(["dpkg-deb", "-x", next(at.glob("*.deb")), at / "root"], check=True)
        root = at / "root"
        version = next((root / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        if (root / "usr/lib/modules").is_dir():
            (root / "lib").symlink_to("usr/lib")
        subprocess.run(["depmod", "-b", root, version], check=True)
        root.rename(cache / package)


def _apt(*argv: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=directory, check=False, capture_output=True, text=True, env=_environment())


def _fresh(*argv: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    _apt("apt-get", "-qq", "update")
    return _apt(*argv, directory=directory)


def _environment() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}


def _initrd(kernel: Kernel, wanted: Sequence[str], disks: int) -> bytes:
    """Return a cpio archive: the few programs that mount this machine's files, and the modules for that."""
    files: dict[str, bytes] = {}
    for name in _STAGE_1_PROGRAMS:
        path = shutil.which(name)
        assert path, name
        files[f"bin/{name}"] = Path(path).read_bytes()
        for library in _libraries(path):
            files[library.lstrip("/")] = Path(library).read_bytes()
    below = f"lib/modules/{kernel.version}"
    for module in _with_needed(kernel):
        files[f"{below}/{module}"] = (kernel.modules / module).read_bytes()
    for name in ("modules.dep.bin", "modules.alias.bin", "modules.softdep", "modules.builtin.bin"):
        files[f"{below}/{name}"] = (kernel.modules / name).read_bytes()
    files["init"] = _STAGE_1.replace("MODULES", " ".join(_STAGE_1_MODULES)).encode()
    stage_2 = _STAGE_2.replace("MODULES", str(kernel.modules)).replace("VERSION", kernel.version)
    files["stage-2"] = stage_2.replace("WANTED", " ".join(wanted)).replace("COUNT", str(disks)).encode()
    return _cpio(files)


def _libraries(program: str) -> Iterator[str]:
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for found in re.finditer(r"(?:=> )?(/\S+) \(0x", listed):
        yield found[1]


def _with_needed(kernel: Kernel) -> Iterator[str]:
    rows = dict(line.split(":", 1) for line in (kernel.modules / "modules.dep").read_text().splitlines())
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in rows}
    for name in _STAGE_1_MODULES:
        if name in by_name:  # else it is part of the kernel's image
            yield from (by_name[name], *rows[by_name[name]].split())


def _cpio(files: dict[str, bytes]) -> bytes:
    """Return an archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    entries: dict[str, tuple[int, bytes]] = {}
    for name, content in files.items():
        for parent in list(Path(name).parents)[-2::-1]:
            entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
        entries[name] = (stat.S_IFREG | 0o755, content)
    entries["TRAILER!!!"] = (0, b"")
    archive = bytearray()
    for number, (name, (mode, content)) in enumerate(entries.items(), 1):
        path = name.encode() + b"\0"
        numbers = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        archive += b"070701" + b"".join(b"%08x" % n for n in numbers) + path
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
