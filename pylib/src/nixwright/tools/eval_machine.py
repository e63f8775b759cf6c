"""What this machine, or the container we are in, can give to an evaluation: processors and memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nixwright.tools.processors import usable

MIB = 1 << 20
SPARE = 1 / 4  # of the memory: for us, the daemon, and the page cache that holds nixpkgs
JOB_MIB = 1024  # what one NixOS configuration may add to a worker that was just below its limit
LEAST_MIB = 1024  # a worker below that does not hold one NixOS configuration
CEILING = 1 << 60  # cgroup v1 writes a number near 2^63 for "no limit"


@dataclass(frozen=True, slots=True)
class Machine:
    """What may be used: whole processors (at least one) and free memory in MiB."""

    processors: int
    memory_mib: int

    @classmethod
    def here(cls, root: Path = Path("/")) -> Machine:
        """Look at this machine: the processors and the memory left, each under the cgroup's limit too (v1 and v2)."""
        groups = _cgroups(root)
        processors = float(usable())
        memory = _available(root)
        for group in groups:
            processors = min(processors, _processors(group))
            memory = min(memory, _left(group))
        return cls(max(1, int(processors)), memory // MIB)

    def share(self, jobs: int | None = None) -> tuple[int, int]:
        """Return the workers and the MiB of each, for that many jobs (None: not known, taken as many).

        Up to 2.34 a worker is only measured between jobs, so it may hold its limit and one job more; from 2.35 on the
        product of both is one budget, and a job over it ends. The numbers are right for either.
        """
        budget = int(self.memory_mib * (1 - SPARE))
        workers = max(1, min(self.processors, budget // (2 * LEAST_MIB), jobs or self.processors))
        each = budget // workers
        return workers, max(LEAST_MIB, each // 2, each - JOB_MIB)


def oom_kills(root: Path = Path("/")) -> int | None:
    """Return how many processes the kernel has ended for want of memory since it started; None: it does not say."""
    for line in _text(root / "proc/vmstat").splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return None


def _text(path: Path) -> str:
    """Return a file's text, empty where it cannot be read (another kernel, a container that hides it)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _available(root: Path) -> int:
    """Return the bytes of memory that are free or can be made free."""
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # no Linux: all of it, of which the share leaves a part
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 2 * LEAST_MIB * MIB


def _cgroups(root: Path) -> list[Path]:
    """Return the directories of our control groups and of all above them: the tightest of them limits us."""
    top = root / "sys/fs/cgroup"
    found: list[Path] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        bases = [top / c for c in controllers.split(",")] if controllers else [top, top / "unified"]
        for base in bases:
            group = base / path.lstrip("/")
            # In a container the path may be the host's, and the directory's top is our own group.
            found += [d for d in (group, *group.parents) if d == base or base in d.parents]
    return [d for d in dict.fromkeys(found) if d.is_dir()]


def _processors(group: Path) -> float:
    """Return the processors that a control group may keep busy."""
    quota, _, period = _text(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    if not quota.isdigit() or not period.isdigit():  # "max", "-1", or not there
        return float("inf")
    return int(quota) / int(period)


def _left(group: Path) -> int:
    """Return the bytes that a control group may still take; what its files cache can be taken back."""
    for limit_name, used_name in (
        ("memory.high", "memory.current"),
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit = _text(group / limit_name).strip()
        if limit.isdigit() and int(limit) < CEILING:
            used = _text(group / used_name).strip()
            cached = sum(
                int(line.split()[1])
                for line in _text(group / "memory.stat").splitlines()
                if line.startswith(("inactive_file ", "total_inactive_file "))
            )
            return max(0, int(limit) - max(0, int(used or 0) - cached))
    return CEILING
