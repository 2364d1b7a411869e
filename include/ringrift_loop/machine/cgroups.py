"""The limits that a container or a service has on its CPUs and its memory, from control groups of version 1 and 2.

A machine may use either version, or both side by side (hybrid), and a container may see its own group as the root. So
every folder from this process's group up to the mount's root is looked at, and the narrowest limit counts.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

# Version 1 writes a number of pages just below 2^63 where there is no limit.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True)
class CpuLimit:
    """A limit on CPUs, and where the use within it is counted."""

    cores: float
    folder: Path

    def usage_s(self) -> float:
        """CPU seconds used within the limit."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "cpuacct.usage").read_text()) / 1e9
        return _figure(self.folder / "cpu.stat", "usage_usec", math.nan) / 1e6


@dataclass(frozen=True)
class MemoryLimit:
    """A limit on memory, and the use of it that cannot be had back at once, bytes."""

    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class Cgroups:
    """Where the kernel shows its control groups."""

    mount: Path = Path("/sys/fs/cgroup")
    own: Path = Path("/proc/self/cgroup")

    def cpu_limit(self) -> CpuLimit | None:
        """The narrowest limit on CPUs above this process; None without one."""
        found: list[CpuLimit] = []
        for folder in self._folders(""):
            with contextlib.suppress(OSError, ValueError):
                quota, period = (folder / "cpu.max").read_text().split()
                if quota != "max":
                    found.append(CpuLimit(int(quota) / int(period), folder))
        # In version 1 another controller counts the use; a limit whose group it does not know tells nothing.
        counted = set(self._folders("cpuacct"))
        for folder in self._folders("cpu"):
            with contextlib.suppress(OSError, ValueError):
                quota_us = int((folder / "cpu.cfs_quota_us").read_text())
                period_us = int((folder / "cpu.cfs_period_us").read_text())
                same = self._root("cpuacct") / folder.relative_to(self._root("cpu"))
                if quota_us > 0 and period_us > 0 and same in counted:
                    found.append(CpuLimit(quota_us / period_us, same))
        return min(found, key=lambda limit: limit.cores, default=None)

    def memory_limit(self) -> MemoryLimit | None:
        """The narrowest limit on memory above this process; None without one."""
        found: list[MemoryLimit] = []
        files = ("memory.max", "memory.current", "inactive_file")
        files_v1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        for controller, (limit, current, dropped) in (("", files), ("memory", files_v1)):
            for folder in self._folders(controller):
                with contextlib.suppress(OSError, ValueError):
                    most = int((folder / limit).read_text())  # "max" is no number
                    used = int((folder / current).read_text())
                    # Pages of files that the kernel drops at once when memory is wanted.
                    used -= int(_figure(folder / "memory.stat", dropped, 0))
                    if most < _NO_LIMIT_BYTES:
                        found.append(MemoryLimit(max(0, used), most))
        return min(found, key=lambda limit: limit.limit_bytes, default=None)

    def memory_kills(self) -> int:
        """How many processes the kernel has killed for memory in this process's own group."""
        own = [(folder / "memory.events") for folder in self._folders("")[:1]]
        own += [(folder / "memory.oom_control") for folder in self._folders("memory")[:1]]
        return int(sum(_figure(file, "oom_kill", 0) for file in own))

    def _folders(self, controller: str) -> list[Path]:
        """This process's group and those above it, the root last; "" is version 2."""
        try:
            lines = self.own.read_text().splitlines()
        except OSError:
            return []
        for line in lines:
            _, _, rest = line.partition(":")
            names, _, path = rest.partition(":")
            if controller in names.split(","):
                return _upwards(self._root(controller), path)
        return []

    def _root(self, controller: str) -> Path:
        """Where a controller of version 1, or "" for version 2, is mounted."""
        hybrid = self.mount / "unified"
        return self.mount / controller if controller or not hybrid.is_dir() else hybrid


CGROUPS = Cgroups()  # of this machine


def _upwards(root: Path, path: str) -> list[Path]:
    """The folder of a group below a mount's root, and those above it; in a container some of them are not there."""
    folder = Path(os.path.normpath(f"{root}/{path}"))
    folders = [folder, *folder.parents]
    return folders[: folders.index(root) + 1] if root in folders else [root]


def _figure(file: Path, name: str, otherwise: float) -> float:
    """A figure of a file with lines `name value`."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return otherwise
    for line in lines:
        word, _, value = line.partition(" ")
        if word == name:
            with contextlib.suppress(ValueError):
                return float(int(value))
    return otherwise
