"""Worker slots on this machine: one process each, recorded in the host's folder, signalled only if still that one.

A pid counts only together with the start that was written with it, so one that the system gave away is left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import psutil
from msgspec import Meta

from ringrift_loop.layout import LEDGER_VARIABLE, HostDirectory
from ringrift_loop.machine.files import open_plain
from ringrift_loop.machine.locks import locked
from ringrift_loop.machine.processes import ProcessRecord, process_start, signal_group, spawn_detached

NICE = 15
_MAX_RECORD_BYTES = 16384
_GONE_WITHIN_S = 5.0  # a process of low priority on a busy machine takes its time to die
_LOG_LIMIT_BYTES = 20 << 20
# What a worker inherits; an Airflow task's environment also holds tokens that are none of its business.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)
_ENVIRONMENT_PREFIXES = ("RINGRIFT_", "PYTHON", "NUMBA_", "OMP_", "LC_", "COVERAGE_")


@dataclass(frozen=True)
class WorkerSpec:
    """What a slot should run."""

    host: str  # the inventory's name, for the records
    slot: int
    config_path: Path | None = None
    nice: int = NICE


WorkerCommand: TypeAlias = Callable[[HostDirectory, WorkerSpec], list[str]]


def worker_command(host_dir: HostDirectory, spec: WorkerSpec) -> list[str]:
    """The command line of a slot's worker."""
    command = [sys.executable, "-m", "ringrift_loop.cli", "selfplay", "--root", str(host_dir.root), "--host", spec.host]
    command += ["--plan", "--slot", str(spec.slot), "--nice", str(spec.nice)]
    return command if spec.config_path is None else [*command, "--config", str(spec.config_path)]


@dataclass(frozen=True)
class WorkerRecord(ProcessRecord):
    """A worker process as written down at its start."""

    variant: str | None = None  # of a worker that plays only that one; others follow the host's plan
    stop_requested_at: Annotated[float, Meta(ge=0, le=1e15)] | None = None  # when it was told to finish


def read_record(host_dir: HostDirectory, slot: int) -> WorkerRecord | None:
    """The process last started in a slot, dead or alive.

    Raises:
        DataError: the record is not readable, so nothing is known of the slot's process.
    """
    record = WorkerRecord.read(host_dir.worker_process(slot))
    if record is not None and record.alive:
        return record
    return _unrecorded(host_dir, slot) or record


def _unrecorded(host_dir: HostDirectory, slot: int) -> WorkerRecord | None:
    """A live worker of ours whose starter was killed before it could write the record.

    The pid is the one in the slot's own heartbeat file, and its command line must be that of this slot of this folder.
    """
    try:
        with open_plain(host_dir.heartbeat(slot)) as file:
            pid = json.loads(file.read(_MAX_RECORD_BYTES))["pid"]
        if type(pid) is not int:
            return None
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, TypeError, KeyError, RecursionError, psutil.Error):
        return None
    ours = (_option(command, "--root"), _option(command, "--slot")) == (str(host_dir.root), str(slot))
    variant = _option(command, "--variant")
    start = process_start(pid) if ours and "selfplay" in command else None
    return WorkerRecord(pid, start, variant) if start is not None else None


def _option(command: list[str], name: str) -> str | None:
    return command[command.index(name) + 1] if name in command[:-1] else None


def start_worker(host_dir: HostDirectory, spec: WorkerSpec, command: WorkerCommand = worker_command) -> WorkerRecord:
    """Start a slot's worker unless one runs there; returns the running one."""
    with _slot_lock(host_dir, spec.slot):
        record = read_record(host_dir, spec.slot)
        if record is not None and record.alive:
            return record
        log = host_dir.worker_log(spec.slot)
        _make_room(log)
        pid = spawn_detached(command(host_dir, spec), log, env=clean_environment())
        started = WorkerRecord(pid, process_start(pid) or "")
        started.write(host_dir.worker_process(spec.slot))
        return started


def stop_worker(host_dir: HostDirectory, slot: int, *, kill: bool = False, at: float | None = None) -> bool:
    """Tell a slot's worker to finish its games' segment and exit, or end it with all its children at once.

    Args:
        host_dir: the host's root folder.
        slot: the slot.
        kill: SIGKILL to the whole process group instead of SIGTERM to the worker.
        at: when it was asked, UTC seconds; now when left out.

    Returns:
        Whether there was a live worker.
    """
    with _slot_lock(host_dir, slot):
        record = read_record(host_dir, slot)
        if record is None or not record.alive:
            return False
        if kill:
            signal_group(record.pid, signal.SIGKILL)
            _wait_for_end(record)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGTERM)
        if record.stop_requested_at is None:
            asked = time.time() if at is None else at
            replace(record, stop_requested_at=asked).write(host_dir.worker_process(slot))
        return True


def _wait_for_end(record: WorkerRecord) -> None:
    """Until a killed process is gone, so that who asks next is not told that it lives."""
    over = time.monotonic() + _GONE_WITHIN_S
    while record.alive and time.monotonic() < over:
        time.sleep(0.02)


def clean_environment() -> dict[str, str]:
    """What a process on a host inherits of this one's environment."""
    return {key: value for key, value in os.environ.items() if _inherited(key)}


def _inherited(key: str) -> bool:
    if key == LEDGER_VARIABLE:
        return False  # may hold the database's password; workers never open the ledger
    return key in _ENVIRONMENT or key.startswith(_ENVIRONMENT_PREFIXES)


def _make_room(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.rename(log.with_suffix(".1.log"))


def _slot_lock(host_dir: HostDirectory, slot: int) -> AbstractContextManager[int]:
    """One supervisor at a time handles a slot, also across processes."""
    return locked(host_dir.worker_process(slot).with_suffix(".lock"))
