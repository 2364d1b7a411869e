"""The whole of `ringrift-loop up`: check, prepare, start, watch, stop."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ringrift_loop.errors import HostUnreachable, LoopError
from ringrift_loop.launcher.airflow_api import COMPONENTS, AirflowApi
from ringrift_loop.launcher.canary import ExecutorCanary
from ringrift_loop.launcher.checks import Port, check_machine, metrics_ports
from ringrift_loop.launcher.components import Component, ComponentSpec, component_specs, loop_command
from ringrift_loop.launcher.environment import (
    ADMIN,
    Addresses,
    component_environment,
    page_password,
    password_file,
    shell_file,
    write_shell_file,
)
from ringrift_loop.launcher.leftovers import (
    check_ledger,
    end_leftovers,
    launch_lock,
    ledger_lease,
    record_file,
    stop_local_workers,
)
from ringrift_loop.launcher.narrator import Narrator, line
from ringrift_loop.launcher.shutdown import LaunchRecord, stop_everything
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import run_directory, state
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.leases import Lease
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.machine.processes import end_group, spawn
from ringrift_loop.project import Project
from ringrift_loop.text import one_line

_log = logging.getLogger(__name__)
_HEALTH_LIMIT_S = 180.0
_WATCH_PAUSE_S = 1.0
_CANARY_PAUSE_S = 15.0
_LOG_CHECK_PAUSE_S = 60.0
_MAX_ERROR = 200


@dataclass(frozen=True)
class LaunchSettings:
    """Where the loop runs and listens."""

    directory: RunDirectory
    project: Project
    addresses: Addresses
    login: bool = False  # whether the page asks for a password
    fresh: bool = False  # whether a new run begins from nothing instead of with the shipped champions

    @property
    def ports(self) -> list[Port]:
        """The ports that must be free."""
        addresses = self.addresses
        page = Port(addresses.port, "Airflow's web page", "choose another with --port")
        ports = metrics_ports(addresses.metrics_port, addresses.statsd_host, addresses.statsd_port)
        return [page, *(ports if addresses.has_bridge else [])]


class StopRequested(LoopError):  # noqa: N818 - it is a request, not an error
    """Ctrl-C or SIGTERM came while the loop was starting."""


class Launch:
    """One start of the embedded set-up, from the checks to the last process's end.

    Args:
        say: prints one line for the person who started it.
    """

    def __init__(self, settings: LaunchSettings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say_line = say
        self._stop = threading.Event()
        self._record = LaunchRecord(launch_id=secrets.token_hex(16))
        self._components: dict[str, Component] = {}
        self._env: dict[str, str] = {}
        self._api = AirflowApi(settings.addresses.url)
        self._held = ExitStack()
        self._lease: Lease
        self._troubles: set[str] = set()

    def run(self) -> int:
        """Run until Ctrl-C, SIGTERM or a component that cannot be kept alive; gives the exit status.

        Raises:
            LoopError: a check failed or the preparation did; nothing is left running.
        """
        directory = self._settings.directory
        check_machine(directory.root, [])
        with launch_lock(directory) as lock:
            return self._run(directory, lock)

    def _run(self, directory: RunDirectory, lock: int) -> int:
        guardian: subprocess.Popen[bytes] | None = None
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        reading, writing = os.pipe()
        try:
            self._clean_up_earlier_launch()
            check_machine(directory.root, self._settings.ports)
            guardian = self._start_guardian(reading, lock)
            self._prepare()
            self._start_all()
            return self._watch()
        except StopRequested:
            return 0
        finally:
            self._stop_all()
            os.write(writing, b".")  # tells the guardian that nothing is left to do
            if guardian is not None:
                guardian.wait(timeout=5)
            for descriptor in (reading, writing):
                os.close(descriptor)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self._held.close()

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stop.set()

    def _say(self, message: str) -> None:
        self._say_line(line(time.time(), message))

    def _clean_up_earlier_launch(self) -> None:
        killed = end_leftovers(self._settings.directory)
        if killed is not None:
            self._say(
                "cleaned up after an earlier start that was killed" + (f": {', '.join(killed)}" if killed else "")
            )

    def _start_guardian(self, reading: int, lock: int) -> subprocess.Popen[bytes]:
        command = (
            sys.executable,
            "-m",
            "ringrift_loop.launcher.guardian",
            str(self._settings.directory.root),
            str(reading),
        )
        log_file = self._settings.directory.logs / "guardian.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            # A session of its own and no death signal: it has to outlive the launcher.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(reading, lock),
                start_new_session=True,
            )

    def _prepare(self) -> None:
        """Ledger, Airflow's database and pools, engine kernels; the kernels compile beside the rest."""
        settings = self._settings
        migrate(settings.directory.ledger_url)
        ledger = Ledger.open(settings.directory.ledger_url)
        run_directory.claim(ledger, settings.directory, at=time.time())
        self._lease = self._held.enter_context(ledger_lease(ledger))
        with ledger.begin() as connection:
            state.put(connection, state.STARTED_AT, time.time(), at=time.time())
        self._set_login()
        self._env = component_environment(
            base=os.environ,
            project=settings.project,
            directory=settings.directory,
            addresses=settings.addresses,
            launch_id=self._record.launch_id,
            login=settings.login,
        )
        write_shell_file(self._shell_file, self._env)
        self._record.save(record_file(settings.directory))
        self._say("compiling the rules engine (a minute the first time, then a second)")
        kernels = self._begin_step("engine", loop_command("engine", "compile"))
        airflow = (sys.executable, "-m", "airflow")
        try:
            self._say("preparing Airflow's database")
            self._finish_step("db-migrate", self._begin_step("db-migrate", (*airflow, "db", "migrate")))
            pools = (*airflow, "pools", "import", str(settings.project.pools))
            self._finish_step("pools", self._begin_step("pools", pools))
            self._finish_step("engine", kernels)
            # After the kernels: it checks each model on a few states.
            fresh = ("--fresh",) if settings.fresh else ()
            self._finish_step("models", self._begin_step("models", loop_command("models", "begin", *fresh)))
        finally:
            if kernels.poll() is None:
                end_group(kernels.pid, grace_s=2.0)

    def _set_login(self) -> None:
        """Tell how people get onto the page, the password itself once."""
        if not self._settings.login:
            self._say(
                "the page has no login: anyone who can connect from this machine can do anything on it; "
                "with --login (make run ARGS=--login) it asks for a password"
            )
            return
        file = password_file(self._settings.directory)
        password, made = page_password(file)
        self._say(f"log in as {ADMIN} with the password " + (f"{password}, kept in {file}" if made else f"in {file}"))
        self._api = AirflowApi(self._settings.addresses.url, ADMIN, password)

    @property
    def _shell_file(self) -> Path:
        return shell_file(self._settings.directory)

    def _log_file(self, name: str) -> Path:
        return self._settings.directory.logs / f"{name}.log"

    def _begin_step(self, name: str, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with self._log_file(name).open("wb") as log:
            return spawn(command, env=self._env, stdout=log, cwd=str(self._settings.project.root))

    def _finish_step(self, name: str, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self._stop.wait(0.1):
                end_group(process.pid, grace_s=2.0)
                raise StopRequested("stopped while preparing")
        if process.returncode != 0:
            last_lines = self._log_file(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
            raise LoopError(
                f"the step {name!r} ended with status {process.returncode}; the end of {self._log_file(name)}:\n"
                + "\n".join(last_lines)
            )

    def _start_all(self) -> None:
        """API server and bridge first; tasks must find both when the scheduler starts them."""
        addresses = self._settings.addresses
        specs = {spec.name: spec for spec in component_specs(addresses)}
        for name in ("statsd-bridge", "api-server"):
            if name in specs:
                self._start(specs.pop(name))
        self._say("starting Airflow")
        self._wait_for(lambda health: health["metadatabase"] == "healthy", "the API server")
        for spec in specs.values():
            self._start(spec)
        self._wait_for(lambda health: all(health[name] == "healthy" for name in COMPONENTS), "Airflow")
        for file, error in self._api.import_errors().items():
            self._say(f"{file} does not load: {error}")
        paused = self._api.paused_dags()
        if paused:
            self._say(f"paused, unpause them on the web page: {', '.join(paused)}")
        metrics = f"metrics: http://127.0.0.1:{addresses.metrics_port}/metrics"
        if not addresses.has_bridge:
            metrics = (
                f"no metrics here: statsd_host {addresses.statsd_host} is not an address of this machine, "
                f"so packets go there, to UDP port {addresses.statsd_port}"
            )
        self._say(f"the loop is up: {addresses.url} ({metrics})")
        self._say(f"for the airflow command in another terminal: source {shlex.quote(str(self._shell_file))}")
        self._say("Ctrl-C stops it; the next start picks up where it left off")

    def _start(self, spec: ComponentSpec) -> None:
        component = Component(
            spec=spec,
            env=self._env,
            log_file=self._log_file(spec.name),
            clock=time.monotonic,
            cwd=self._settings.project.root,
        )
        self._components[spec.name] = component
        self._start_component(component)

    def _start_component(self, component: Component) -> None:
        component.start()
        assert component.process_record is not None
        self._record.components[component.spec.name] = component.process_record
        with self._passing("what runs cannot be written down, which a start after a crash reads"):
            self._record.save(record_file(self._settings.directory))

    def _wait_for(self, is_ready: Callable[[dict[str, str]], bool], what: str) -> None:
        """Ask for Airflow's health until it is as wanted.

        Raises:
            StopRequested: somebody pressed Ctrl-C meanwhile.
            LoopError: not ready within three minutes, or a component died too often.
        """
        give_up_at = time.monotonic() + _HEALTH_LIMIT_S
        while True:
            self._keep_alive()
            try:
                health = self._api.health()
                if is_ready(health):
                    return
            except HostUnreachable:
                health = {}
            if time.monotonic() >= give_up_at:
                raise LoopError(
                    f"{what} was not ready within {_HEALTH_LIMIT_S:.0f} s, its health is {health or 'unknown'}; "
                    f"see the logs in {self._settings.directory.logs}"
                )
            if self._stop.wait(0.5):
                raise StopRequested("stopped while starting")

    def _keep_alive(self) -> None:
        """Start dead components again.

        Raises:
            LoopError: one died too often; without it the loop stands still.
        """
        for component in self._components.values():
            if component.process is not None and not component.is_running:
                self._say(component.note_death())
            if component.is_given_up:
                raise LoopError(f"{component.spec.name} does not stay up, so the loop stops; see {component.log_file}")
            if component.is_due:
                self._start_component(component)

    def _watch(self) -> int:
        """Tell what happens and keep the components alive until a stop is asked for."""
        ledger = Ledger.open(self._settings.directory.ledger_url)
        narrator = Narrator(ledger)
        canary = ExecutorCanary(time.time)
        next_canary = time.monotonic() + _CANARY_PAUSE_S
        next_log_check = time.monotonic()
        while not self._stop.wait(_WATCH_PAUSE_S):
            with self._passing("what happens cannot be told, the ledger cannot be read"):
                for text in narrator.new_lines():
                    self._say_line(text)
            self._keep_alive()
            if time.monotonic() >= next_canary:
                next_canary = time.monotonic() + _CANARY_PAUSE_S
                self._look_at_executor(canary)
            if time.monotonic() >= next_log_check:
                next_log_check = time.monotonic() + _LOG_CHECK_PAUSE_S
                with self._passing("nobody knows whether the ledger is still ours, it cannot be read"):
                    check_ledger(ledger, self._lease)
                for component in self._components.values():
                    with self._passing(f"{component.log_file} cannot be moved aside"):
                        component.trim_log()
        return 0

    @contextmanager
    def _passing(self, trouble: str) -> Iterator[None]:
        """What fails within is told once and left to the next look: a database restarts, a full disk is emptied."""
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            if trouble not in self._troubles:
                self._say(f"{trouble}; it is tried again: {one_line(str(error), _MAX_ERROR)}")
            self._troubles.add(trouble)
        else:
            self._troubles.discard(trouble)

    def _look_at_executor(self, canary: ExecutorCanary) -> None:
        try:
            complaint = canary.complaint(self._api.queued_tasks())
        except HostUnreachable as error:
            _log.info("%s", error)  # a dead API server is seen and told by _keep_alive
            return
        scheduler = self._components["scheduler"]
        if complaint and scheduler.process is not None:
            self._say(complaint)
            end_group(scheduler.process.pid, grace_s=5.0)

    def _stop_all(self) -> None:
        if not record_file(self._settings.directory).exists():
            return
        self._say("stopping (up to 20 s)")
        directory = self._settings.directory
        killed = stop_everything(self._record, stop_workers=lambda: stop_local_workers(directory))
        record_file(directory).unlink(missing_ok=True)
        if killed:
            self._say(f"had to be killed: {', '.join(killed)}")
        self._say("stopped")
