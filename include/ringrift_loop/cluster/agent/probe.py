"""What a host is: program, Python, disk, memory, GPUs, clock, rights; looked up there, bounded and typed on arrival.

`host_facts` runs on the host. Where our program does not answer, a few lines of `sh` (`commands.probe`) tell what they
can in the same round trip.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
from msgspec import Meta

from ringrift_loop import __version__
from ringrift_loop.checked_json import Count, Document, ProgramVersion, Seconds, clean_fields
from ringrift_loop.cluster.agent.gpus import MAX_GPUS, Gpu, gpus_of_host
from ringrift_loop.errors import DataError

MAX_BYTES = 65536
_KIB = 1024


class HostFacts(Document, frozen=True, kw_only=True):
    """What a host says of itself; None for what could not be told there."""

    version: ProgramVersion | None  # of ringrift-loop; None: it does not run there
    python: str | None
    clock: Seconds | None  # UTC seconds by the host's clock, when it answered
    disk_free_bytes: Count | None  # of the file system of the root folder
    disk_free_inodes: Count | None  # None where the file system counts none
    memory_total_bytes: Count | None
    memory_available_bytes: Count | None
    load: Seconds | None  # of the last minute
    cpus: Count | None  # that a process there may use
    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=MAX_GPUS)] | None
    gpu_problem: str | None  # nvidia-smi is there and fails
    rsync: bool | None
    write_problem: str | None  # why no file can be made in the root folder; None: one was made and deleted
    whole: bool = True  # our own program answered; False: the shell did

    def __post_init__(self) -> None:
        """Texts for people are cut, and hold nothing that a terminal would act on."""
        clean_fields(self, "python", "gpu_problem", "write_problem")


def host_facts(root: Path) -> HostFacts:
    """Look at this machine; nothing is changed but a temporary file, made and deleted.

    Args:
        root: the host's root folder; where it does not exist yet, the folder that it would be made in counts.
    """
    folder = next(path for path in (root, *root.absolute().parents) if path.exists())
    gpus, gpu_problem = _gpus()
    memory = psutil.virtual_memory()
    disk = os.statvfs(folder)
    return HostFacts(
        version=__version__,
        python=platform.python_version(),
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
        disk_free_inodes=disk.f_favail if disk.f_files else None,
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        load=round(os.getloadavg()[0], 2),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        gpus=gpus,
        gpu_problem=gpu_problem,
        rsync=shutil.which("rsync") is not None,
        write_problem=write_problem(folder),
        clock=time.time(),  # last: what comes before takes time
    )


def facts_from_shell(text: str) -> HostFacts:
    """Read the shell's lines, `key value`; a line that does not fit says nothing."""
    said = dict(line.strip().partition(" ")[::2] for line in text.splitlines()[:100])

    def number(key: str, unit: int = 1) -> int | None:
        word = said.get(key, "").strip()
        return int(word) * unit if re.fullmatch(r"[0-9]{1,15}", word) and int(word) * unit < 1 << 53 else None

    version = re.fullmatch(r"ringrift-loop ([0-9A-Za-z.+!_-]{1,40})", said.get("program", "").strip())
    python = re.fullmatch(r"Python (\S{1,40})", said.get("python", "").strip())
    clock = number("clock")
    problem = said.get("write_problem", "").strip()
    return HostFacts(
        version=None if version is None else version[1],
        python=None if python is None else python[1],
        clock=None if clock is None else clock + 0.5,  # whole seconds, cut
        disk_free_bytes=number("disk_free_kib", _KIB),
        disk_free_inodes=None,
        memory_total_bytes=number("memory_total_kib", _KIB),
        memory_available_bytes=number("memory_available_kib", _KIB),
        load=None,
        cpus=number("cpus"),
        gpus=None,
        gpu_problem=None,
        rsync=said["rsync"] == "yes" if said.get("rsync") in ("yes", "no") else None,
        write_problem=problem or None,
        whole=False,
    )


def write_problem(folder: Path) -> str | None:
    """Why no file can be made in a folder; None when one was made, written and deleted."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    return None


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """The GPUs, and what is wrong with nvidia-smi."""
    try:
        return gpus_of_host(), None
    except DataError as error:
        return (), str(error)
