"""How busy this host's machine was since the last report, and with whose work. Runs on the host."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, TypeAlias

import psutil
from msgspec import Meta

from ringrift_loop.checked_json import Document, Seconds, clean_fields
from ringrift_loop.cluster.agent.job_supervisor import Supervisor
from ringrift_loop.cluster.agent.workers import read_record
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import open_plain, write_json
from ringrift_loop.machine.utilization import (
    LEAST_S,
    CpuCounters,
    GpuUse,
    cpu_use,
    disk_percent,
    memory_percent,
    read_cpu,
    read_gpus,
)
from ringrift_loop.selfplay.pace import Allowance, read_allowance

_LAUNCH = "RINGRIFT_LAUNCH"
_MAX_BYTES = 65536
_WORKERS, _JOBS, _CONTROL = "workers", "jobs", "control"


Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100)]


class Utilization(Document, frozen=True):
    """What a machine did between two reports, percent of it."""

    machine: Annotated[str, Meta(pattern=r"^[0-9A-Za-z._-]{1,128}\Z")]
    seconds: Seconds
    cpu: Percent
    workers: Percent
    jobs: Percent
    control: Percent  # the launch that the host belongs to: Airflow and what it runs
    memory: Percent
    duty: Annotated[float, Meta(gt=0, le=1)]  # that the workers were told
    gpus: Annotated[tuple[GpuUse, ...], Meta(max_length=64)] = ()
    gpu_problem: str | None = None
    disk: Percent | None = None  # of the root folder's file system
    allowance: Allowance | None = None  # all that they were told; None: a file that cannot be read

    def __post_init__(self) -> None:
        """The problem is for people."""
        clean_fields(self, "gpu_problem")


def utilization(host_dir: HostDirectory, slots: Iterable[int]) -> Utilization | None:
    """The use since the counters were last written down, and the counters anew; None where there were none.

    Args:
        host_dir: the host's root folder.
        slots: worker slots that were ever used.
    """
    before = _last_counters(host_dir)
    now = read_cpu({_WORKERS: _workers(host_dir, slots), _JOBS: _jobs(host_dir), _CONTROL: _launcher()})
    if before is not None and before.machine == now.machine and 0 < now.at - before.at < LEAST_S:
        return None  # too soon: the longer interval tells more
    use = None if before is None else cpu_use(before, now)
    try:
        write_json(host_dir.cpu_counters, asdict(now))
    except OSError:
        return None  # a full disk keeps nothing else from being reported
    if use is None:
        return None
    gpus, problem = read_gpus()
    allowance = None
    with contextlib.suppress(DataError):  # the worker says what is wrong with the file
        allowance = read_allowance(host_dir)
    return Utilization(
        machine=now.machine,
        seconds=use.seconds,
        cpu=use.cpu_percent,
        workers=use.groups[_WORKERS],
        jobs=use.groups[_JOBS],
        control=use.groups[_CONTROL],
        memory=memory_percent(),
        duty=1.0 if allowance is None else allowance.duty,
        gpus=gpus,
        gpu_problem=problem,
        disk=_disk(host_dir),
        allowance=allowance,
    )


def _disk(host_dir: HostDirectory) -> float | None:
    try:
        return disk_percent(host_dir.root)
    except OSError:
        return None


def _last_counters(host_dir: HostDirectory) -> CpuCounters | None:
    try:
        with open_plain(host_dir.cpu_counters) as file:
            return CpuCounters(**json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None  # the first report, or another version's: the next one tells


def _workers(host_dir: HostDirectory, slots: Iterable[int]) -> list[int]:
    pids = []
    for slot in slots:
        with contextlib.suppress(DataError):
            record = read_record(host_dir, slot)
            if record is not None and record.alive:
                pids.append(record.pid)
    return pids


def _jobs(host_dir: HostDirectory) -> list[int]:
    pids = []
    for path in host_dir.jobs.iterdir() if host_dir.jobs.is_dir() else ():
        if not path.name.startswith("."):
            with contextlib.suppress(DataError):
                supervisor = Supervisor.read(host_dir.job(path.name).process)
                if supervisor is not None and supervisor.alive:
                    pids.append(supervisor.pid)
    return pids


def _launcher() -> list[int]:
    """The launcher that this process descends from, if any: the outermost process with the launch's mark."""
    mark = os.environ.get(_LAUNCH)
    outermost: list[int] = []
    if mark is None:
        return outermost
    for process in (psutil.Process(), *psutil.Process().parents()):
        try:
            if process.environ().get(_LAUNCH) != mark:
                break
        except psutil.Error:
            break
        outermost = [process.pid]
    return outermost
