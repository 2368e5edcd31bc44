"""
What this process takes of its machine: memory, the limit on it, and CPU time, as Linux's files and Python tell them.

Asked once a flush. What a system does not tell is None: resident memory and control groups are Linux's; the memory of
the machine is known on most, CPU time on all. Deliberately not here: when it is asked, and what becomes of it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from querygauge.values import ProcessUsage, ProcessWindow

__all__ = ["ProcessWatch", "memory_limit_bytes", "process_usage"]

_PROCESS: Final = Path("/proc/self")
_CGROUPS: Final = Path("/sys/fs/cgroup")


class ProcessWatch:
    """What this process takes from now on."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forgets what was seen before; for a forked child, whose CPU time begins anew."""
        self._cpu_began_s = time.process_time()
        self._most_bytes: int | None = None

    def look(self) -> ProcessUsage:
        """This process now, its CPU time from the beginning on; the next window takes it into account."""
        usage = process_usage()
        if usage.cpu_s is not None:
            usage = replace(usage, cpu_s=usage.cpu_s - self._cpu_began_s)
        if usage.memory_bytes is not None:
            self._most_bytes = max(usage.memory_bytes, self._most_bytes or 0)
        return usage

    def window(self, service: str, process: str, started: datetime, ended: datetime) -> ProcessWindow:
        """What was seen since the beginning, under these names and for this span."""
        usage = self.look()
        return ProcessWindow(service, process, started, ended, self._most_bytes, usage.memory_limit_bytes, usage.cpu_s)


def process_usage() -> ProcessUsage:
    """This process now."""
    return ProcessUsage(_memory_bytes(), memory_limit_bytes(), time.process_time())


def _memory_bytes() -> int | None:
    try:
        return int(_text(_PROCESS / "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, IndexError):  # no Linux, or no /proc
        return None


def memory_limit_bytes(process: Path = _PROCESS, cgroups: Path = _CGROUPS) -> int | None:
    """
    The lowest of the limits on this process's memory; None if there is none that can be told.

    Args:
        process: Its folder in `/proc`.
        cgroups: Where the control groups are mounted.
    """
    limits = list(_cgroup_limits(process, cgroups))
    with suppress(AttributeError, OSError, ValueError):  # no POSIX, or not this name
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def _cgroup_limits(process: Path, cgroups: Path) -> Iterator[int]:
    for line in _text(process / "cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2, where all controllers are in one tree
            yield from _limits_up_to(cgroups, group, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_up_to(cgroups / "memory", group, "memory.limit_in_bytes")


def _limits_up_to(root: Path, group: str, name: str) -> Iterator[int]:
    """The limits of a group and of those it lies in; in a container its own is the root, and the path leads nowhere."""
    parts = [part for part in group.split("/") if part]
    for depth in range(len(parts), -1, -1):
        limit = _text(root.joinpath(*parts[:depth], name)).strip()
        if limit.isdecimal():  # else `max`, or no such file
            yield int(limit)


def _text(path: Path) -> str:
    # UTF-8 is built in; a codec that must be imported first cannot be by a process that gave up its rights.
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
