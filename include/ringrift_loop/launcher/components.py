"""The processes of the embedded set-up, how each is started, and when a dead one is started again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ringrift_loop.launcher.environment import Addresses
from ringrift_loop.machine.processes import ProcessRecord, end_group, spawn

MAX_LOG_BYTES = 32 * 1024**2
# A component that dies more often than this within the time below is not started again.
MAX_RESTARTS = 5
RESTART_WINDOW_S = 600.0
# For the running tasks of a scheduler that died: they end their jobs, which go on from a checkpoint later.
_GROUP_GRACE_S = 8.0


@dataclass(frozen=True)
class ComponentSpec:
    """What a component is called and the command that runs it."""

    name: str
    command: tuple[str, ...]


def _airflow(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "airflow", *arguments)


def loop_command(*arguments: str) -> tuple[str, ...]:
    """A `ringrift-loop` command line that runs in this very environment."""
    return (sys.executable, "-m", "ringrift_loop.cli", *arguments)


def component_specs(addresses: Addresses) -> tuple[ComponentSpec, ...]:
    """All components in the order of their start: bridge and API server come first because tasks report to them.

    The log servers are left out: they bind every network interface, and on one machine the API server reads the
    task logs from the disk.
    """
    bridge = ComponentSpec("statsd-bridge", loop_command("statsd-bridge", "--own-loop"))
    return (
        *([bridge] if addresses.has_bridge else []),
        ComponentSpec("api-server", _airflow("api-server", "--port", str(addresses.port), "--workers", "1")),
        ComponentSpec("scheduler", _airflow("scheduler", "--skip-serve-logs")),
        ComponentSpec("dag-processor", _airflow("dag-processor")),
        ComponentSpec("triggerer", _airflow("triggerer", "--skip-serve-logs")),
    )


@dataclass
class Component:
    """One running component."""

    spec: ComponentSpec
    env: Mapping[str, str]
    log_file: Path
    clock: Callable[[], float]
    cwd: Path
    process: subprocess.Popen[bytes] | None = None
    process_record: ProcessRecord | None = None
    _deaths: list[float] = field(default_factory=list)
    _start_again_at: float = 0.0

    def start(self) -> None:
        """Start the process; its output goes to its own log file."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = spawn(self.spec.command, env=self.env, stdout=log, cwd=str(self.cwd))
        self.process_record = ProcessRecord.of(self.process.pid)

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def note_death(self) -> str:
        """End what the process left of its group, plan the next start, and give the sentence to print.

        The wait doubles with each death in the last ten minutes: 1, 2, 4, 8, 16 s. The group goes because the workers
        of a killed scheduler live on: their tasks would run beside the ones that the next scheduler starts again.
        """
        assert self.process is not None
        end_group(self.process.pid, grace_s=_GROUP_GRACE_S)
        now = self.clock()
        self._deaths = [at for at in self._deaths if now - at < RESTART_WINDOW_S] + [now]
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        self.process = None
        self.process_record = None
        if len(self._deaths) > MAX_RESTARTS:
            return f"{self.spec.name} {how} for the {len(self._deaths)}th time in ten minutes; see {self.log_file}"
        wait_s = 2.0 ** (len(self._deaths) - 1)
        self._start_again_at = now + wait_s
        return f"{self.spec.name} {how}; starting it again in {wait_s:.0f} s (its log: {self.log_file})"

    @property
    def is_given_up(self) -> bool:
        """Whether it died too often to be started again."""
        return len(self._deaths) > MAX_RESTARTS

    @property
    def is_due(self) -> bool:
        """Whether it is down and its waiting time is over."""
        return self.process is None and not self.is_given_up and self.clock() >= self._start_again_at

    def trim_log(self, max_bytes: int = MAX_LOG_BYTES) -> None:
        """Move a long log aside and empty it in place; the process has it open for appending and goes on."""
        if self.log_file.exists() and self.log_file.stat().st_size > max_bytes:
            shutil.copyfile(self.log_file, self.log_file.with_suffix(".log.1"))
            with self.log_file.open("r+b") as log:
                log.truncate(0)
