"""What a host is: program, Python, disk, memory, GPUs, clock, rights; looked up there, bounded and typed on arrival.

`host_facts` runs on the host. Where our program does not answer, a few lines of `sh` (`commands.probe`) tell what they
can in the same round trip.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from ringrift_loop import __version__
from ringrift_loop.cluster.agent.wire import MAX_COUNT, read_document, wrong
from ringrift_loop.text import clean

VERSION = 1
MAX_BYTES = 65536
MAX_GPUS = 64
FALLBACK = "sh-probe"  # first word of the first line that the shell's answer has
_NVIDIA_SMI_S = 10.0
_KIB = 1024


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi lists it; None where it does not tell."""

    index: int
    name: str
    total_mib: int | None
    free_mib: int | None


@dataclass(frozen=True)
class HostFacts:
    """What a host says of itself; None for what could not be told there."""

    version: str | None  # of ringrift-loop; None: it does not run there
    python: str | None
    clock: float | None  # UTC seconds by the host's clock, when it answered
    disk_free_bytes: int | None  # of the file system of the root folder
    disk_free_inodes: int | None  # None where the file system counts none
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    load: float | None  # of the last minute
    cpus: int | None  # that a process there may use
    gpus: tuple[Gpu, ...] | None
    gpu_problem: str | None  # nvidia-smi is there and fails
    rsync: bool | None
    write_problem: str | None  # why no file can be made in the root folder; None: one was made and deleted
    whole: bool = True  # our own program answered; False: the shell did


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


def facts_to_bytes(facts: HostFacts) -> bytes:
    """The facts as the host's stdout: one line."""
    return json.dumps({"v": VERSION, **asdict(facts)}, separators=(",", ":")).encode() + b"\n"


def facts_from_bytes(raw: bytes) -> HostFacts:
    """Read a host's answer, of our program or of the shell; nothing in it is trusted.

    Raises:
        DataError: it is malformed, or of another version of the program.
    """
    text = raw.decode("utf-8", "replace")
    start = next((line for line in text.splitlines() if line.strip() == FALLBACK), None)
    if start is not None:
        return _from_shell(text.partition(start)[2])
    # Only the last line: a login shell's start-up file may have talked before.
    document = read_document(raw.rstrip(b"\n").rsplit(b"\n", 1)[-1], "a probe", VERSION)
    return HostFacts(
        version=_text(document, "version"),
        python=_text(document, "python"),
        clock=_number(document, "clock"),
        disk_free_bytes=_whole(document, "disk_free_bytes"),
        disk_free_inodes=_whole(document, "disk_free_inodes"),
        memory_total_bytes=_whole(document, "memory_total_bytes"),
        memory_available_bytes=_whole(document, "memory_available_bytes"),
        load=_number(document, "load"),
        cpus=_whole(document, "cpus"),
        gpus=_read_gpus(document.get("gpus")),
        gpu_problem=_text(document, "gpu_problem"),
        rsync=_flag(document, "rsync"),
        write_problem=_text(document, "write_problem"),
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
    """The GPUs, and what is wrong with nvidia-smi; a machine without it has none, and that is no fault."""
    command = ["nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_SMI_S, check=False)
    except FileNotFoundError:
        return (), None
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        return (), f"nvidia-smi: {error}"
    if done.returncode != 0:
        return (), f"nvidia-smi ended with {done.returncode}: {(done.stdout + done.stderr).strip()[:300]}"
    try:
        return tuple(_gpu(line) for line in done.stdout.splitlines() if line.strip())[:MAX_GPUS], None
    except ValueError:
        return (), f"nvidia-smi said {done.stdout.strip()[:300]!r}"


def _gpu(line: str) -> Gpu:
    """`0, NVIDIA A10, 23028, 22510`; a card that shares the machine's memory says `[N/A]`."""
    index, rest = line.split(",", 1)
    name, total, free = rest.rsplit(",", 2)
    numbers = [int(text) if text.strip().isdecimal() else None for text in (total, free)]
    return Gpu(int(index), name.strip(), *numbers)


def _from_shell(text: str) -> HostFacts:
    """The shell's lines, `key value`; a line that does not fit says nothing."""
    said = dict(line.strip().partition(" ")[::2] for line in text.splitlines()[:100])

    def number(key: str, unit: int = 1) -> int | None:
        word = said.get(key, "").strip()
        return int(word) * unit if re.fullmatch(r"[0-9]{1,15}", word) and int(word) * unit < MAX_COUNT else None

    version = re.fullmatch(r"ringrift-loop (\S{1,40})", said.get("program", "").strip())
    python = re.fullmatch(r"Python (\S{1,40})", said.get("python", "").strip())
    clock = number("clock")
    problem = said.get("write_problem", "").strip()
    return HostFacts(
        version=None if version is None else clean(version[1]),
        python=None if python is None else clean(python[1]),
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
        write_problem=clean(problem) or None,
        whole=False,
    )


def _read_gpus(value: object) -> tuple[Gpu, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_GPUS or not all(isinstance(one, dict) for one in value):
        wrong("gpus", f"a list of at most {MAX_GPUS} objects", value)
    found = []
    for one in value:
        index, name = _whole(one, "index"), _text(one, "name")
        if index is None or name is None:
            wrong("gpus", "GPUs with index and name", one)
        found.append(Gpu(index, name, _whole(one, "total_mib"), _whole(one, "free_mib")))
    return tuple(found)


def _text(document: dict[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        wrong(key, "text", value)
    return None if value is None else clean(value)


def _whole(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is not None and (type(value) is not int or not 0 <= value < MAX_COUNT):
        wrong(key, "a whole number from 0", value)
    return value


def _number(document: dict[str, Any], key: str) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        wrong(key, "a number from 0", value)
    return float(value)


def _flag(document: dict[str, Any], key: str) -> bool | None:
    value = document.get(key)
    if value is not None and not isinstance(value, bool):
        wrong(key, "true or false", value)
    return value
