"""What this process may use of the machine: containers and schedulers may give it less than there is."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path

_CGROUPS = Path("/proc/self/cgroup")
_CONTROLLERS = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")


def usable_cpus(cgroups: Path = _CGROUPS, controllers: Path = _CONTROLLERS) -> int:
    """Processors that this process may keep busy, ≥ 1: its affinity, and its container's limit rounded down.

    Args:
        cgroups: which control groups the process is in.
        controllers: folder of the limits.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(affinity, cpu_limit(cgroups, controllers))))


def cpu_limit(cgroups: Path = _CGROUPS, controllers: Path = _CONTROLLERS) -> float:
    """Processors that control groups allow, a fraction perhaps; infinity where nothing limits them.

    Args:
        cgroups: which control groups the process is in, as ``/proc/self/cgroup`` says.
        controllers: folder of the limits, version 2 (``cpu.max``) or 1 (``cpu.cfs_quota_us``).
    """
    limits = [inf]
    for folder in _limiting("cpu", cgroups, controllers):
        words = _read(folder / "cpu.max").split()
        if len(words) != 2:
            words = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
        with suppress(ValueError, ZeroDivisionError):  # "max", or nothing
            limits.append(int(words[0]) / int(words[1]))
    return min(limit for limit in limits if limit > 0)  # version 1 says -1 where there is no limit


def memory_limit(cgroups: Path = _CGROUPS, controllers: Path = _CONTROLLERS) -> float:
    """Bytes that control groups allow; infinity where nothing limits them; see ``cpu_limit``."""
    limits = [inf]
    for folder in _limiting("memory", cgroups, controllers):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError):
                limits.append(int(_read(folder / name)))
    return min(limits)


def all_memory() -> int:
    """Bytes of memory that this process may have at most."""
    return int(min(_meminfo("MemTotal") or _physical(), memory_limit()))


def free_memory() -> int:
    """Bytes of memory that this process may have without anything else having to go."""
    return int(min(_meminfo("MemAvailable") or _physical(), memory_limit()))


def free_disk(path: Path) -> int:
    """Bytes that may be written at a path, which need not be there yet."""
    return shutil.disk_usage(_there(path)).free


def unwritable_place(path: Path) -> Path | None:
    """What keeps this process from writing at a path: that, or the nearest thing above it; None where nothing does."""
    there = _there(path)
    may = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return None if may else there


def _there(path: Path) -> Path:
    """A path, or the nearest above it at which there is something."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _limiting(controller: str, cgroups: Path, controllers: Path) -> Iterator[Path]:
    """Folders that may hold a limit of this process, innermost first."""
    for line in _read(cgroups).splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            tops = [controllers]
        elif controller in names.split(","):
            tops = [controllers / names, controllers / controller]
        else:
            continue
        inner = Path(path.lstrip("/"))
        yield from (top / each for top in tops for each in dict.fromkeys((inner, *inner.parents)))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _meminfo(name: str) -> int:
    """Bytes that Linux says; 0 elsewhere."""
    for line in _read(_MEMORY).splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    return 0


def _physical() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
