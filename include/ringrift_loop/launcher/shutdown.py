"""Ending everything a launch started, in order and within a time limit; the same code for every way a launch ends.

`ringrift-loop up` calls it when it is asked to stop. The guardian (`guardian.py`) calls it when the launcher was
killed, and the next start calls it for what a power cut or a kill of both left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import psutil

from ringrift_loop.errors import DataError
from ringrift_loop.launcher.environment import LAUNCH_VARIABLE
from ringrift_loop.machine.files import write_json
from ringrift_loop.machine.processes import ProcessRecord, group_members, kill_marked, signal_group

STOP_LIMIT_S = 18.0
# The parts that start new work end first; the API server ends last, because ending tasks report to it.
_FIRST = ("scheduler", "triggerer", "dag-processor")
_LAST = ("api-server", "statsd-bridge")
# Between the signal to a component and the one to its children, so that no new task is started in between.
_HEAD_START_S = 0.5


@dataclass
class LaunchRecord:
    """What a launch has started, kept in a file so that somebody else can end it."""

    launch_id: str
    components: dict[str, ProcessRecord] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write the record, whole or not at all."""
        write_json(file, asdict(self))

    @classmethod
    def load(cls, file: Path) -> LaunchRecord | None:
        """The record of an earlier launch; None when there is none.

        Raises:
            DataError: the file is not such a record.
        """
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(raw, type=cls)
        except msgspec.DecodeError as error:
            with contextlib.suppress(msgspec.DecodeError):
                return cls(msgspec.json.decode(raw, type=_EarlierRecord).launch_id)
            raise DataError(
                f"{file} is not a launch record ({error}); end what is left of Airflow by hand, then delete the file"
            ) from error


class _EarlierRecord(msgspec.Struct):
    """As an earlier version wrote it; what that launch has started is found by its mark alone."""

    launch_id: str
    components: list[dict[str, str | int | float]]


def stop_everything(
    launch: LaunchRecord,
    *,
    stop_workers: Callable[[], None],
    spare: tuple[int, ...] = (),
    limit_s: float = STOP_LIMIT_S,
) -> list[str]:
    """End every process of a launch within the limit; gives the names of those that had to be killed.

    The self-play workers seal their segments while Airflow ends, so both waits run side by side.

    Args:
        stop_workers: ends the workers of the embedded hosts by their recorded pid and start time.
        spare: pids that carry the launch's mark and are left alone: the caller and its parent.
    """
    deadline = time.monotonic() + limit_s
    workers = threading.Thread(target=stop_workers, name="stop-workers", daemon=True)
    workers.start()
    killed = _end_components(launch, _FIRST, deadline - 0.35 * limit_s)
    killed += _end_components(launch, _LAST, deadline - 0.15 * limit_s)
    workers.join(max(0.0, deadline - time.monotonic()))
    return killed + kill_marked(LAUNCH_VARIABLE, launch.launch_id, spare=spare)


def _end_components(launch: LaunchRecord, names: tuple[str, ...], deadline: float) -> list[str]:
    """SIGTERM to these components and then to their children, SIGKILL to the groups that live on at the deadline."""
    groups = {name: launch.components[name] for name in names if name in launch.components}
    for each in groups.values():
        if each.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGTERM)
    time.sleep(_HEAD_START_S)
    for each in groups.values():
        # A scheduler waits for its running tasks, which the signal above did not reach: they are told here. It does
        # not wait any more when it is signalled itself a second time, so its children only.
        for process in _members(launch, each):
            if process.pid != each.pid:
                with contextlib.suppress(psutil.Error):
                    process.terminate()
    while any(_members(launch, each) for each in groups.values()):
        if time.monotonic() >= deadline:
            left = [name for name, each in groups.items() if _members(launch, each)]
            for name in left:
                signal_group(groups[name].pid, signal.SIGKILL)
            return left
        time.sleep(0.2)
    return []


def _members(launch: LaunchRecord, component: ProcessRecord) -> list[psutil.Process]:
    """Who is left of a component's group; the mark in the environment tells it from a group that has its number now."""
    members = []
    for process in group_members(component.pid):
        with contextlib.suppress(psutil.Error):
            if process.environ().get(LAUNCH_VARIABLE) == launch.launch_id:
                members.append(process)
    return members
