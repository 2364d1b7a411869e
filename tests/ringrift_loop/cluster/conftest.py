"""A loop in a temporary folder with hosts a and b, a clock that is set by hand, and games to put on the hosts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from clocks import Clock
from new_ledger import new_ledger
from ringrift_loop.cluster.agent.actions import Action, Asked, Told
from ringrift_loop.cluster.agent.report import SealedFile
from ringrift_loop.cluster.agent.requests import StartWorker
from ringrift_loop.cluster.agent.workers import WorkerCommand, WorkerSpec, start_worker, worker_command
from ringrift_loop.cluster.sync.cycle import SyncReport, sync_once
from ringrift_loop.cluster.sync.ingest import Replayed
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.cluster.transport.opening import local_directory
from ringrift_loop.cluster.transport.protocol import Transport
from ringrift_loop.config import LoopConfig
from ringrift_loop.hosts.inventory import Host, Inventory, parse_inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import SegmentWriter

HOSTS = """
standard_hosts:
  a: {transport: local, role: 'selfplay,training', max_workers: 1}
  b: {transport: local, role: selfplay, max_workers: 1}
"""


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def inventory() -> Inventory:
    return parse_inventory(HOSTS, "hosts.yaml")


@pytest.fixture
def loop(tmp_path: Path, inventory: Inventory, clock: Clock) -> Iterator[Loop]:
    directory = RunDirectory(tmp_path / "run")
    url = f"sqlite:///{directory.root / 'ledger.db'}"
    new_ledger(url)
    ledger = Ledger.open(url)
    # Strict: a metric that the registry does not list fails the test.
    yield Loop(LoopConfig(), inventory, directory, ledger, Metrics("127.0.0.1", 9, strict=True), clock)
    ledger.close()


@pytest.fixture
def host_dir(loop: Loop) -> Callable[[str], HostDirectory]:
    """The root folder of a host."""
    return lambda name: local_directory(loop.inventory.hosts[name], loop.directory)


@pytest.fixture
def make_record() -> Callable[..., GameRecord]:
    """A well-formed record; its moves are words, so only a replayer that looks no closer takes it."""

    def make(number: int, **changes: object) -> GameRecord:
        record = GameRecord(
            id=f"{number:032x}",
            variant="square8_2p",
            pie_rule=False,
            seed=number,
            moves=f"move{number}",
            plies=1,
            winner=1,
            result="territory",
            player="heuristic-search",
            search={"full": {"simulations": 16}},
            engine="1",
            started_at=999_000.0,
            finished_at=999_990.0,
            host="elsewhere",
            worker="0-1",
            targets=base64.b64encode(b"").decode(),
        )
        return replace(record, **changes)

    return make


@pytest.fixture
def put_games(
    host_dir: Callable[[str], HostDirectory], make_record: Callable[..., GameRecord]
) -> Callable[..., list[str]]:
    """Seal segments on a host, one for each list of game numbers (or raw lines); returns their names."""

    def put(host: str, *segments: list[int | bytes], slot: int = 0) -> list[str]:
        writer = SegmentWriter(host_dir(host), slot, max_games=1000, max_age_s=15)
        names = []
        for segment in segments:
            for game in segment:
                writer.append(game if isinstance(game, bytes) else make_record(game).to_json())
            name = writer.seal()
            assert name is not None
            names.append(name)
        writer.close()
        return names

    return put


@pytest.fixture
def trusting() -> Callable[[GameRecord], Replayed]:
    """A replayer that takes every well-formed record."""
    return lambda record: Replayed(1)


class FaultyTransport(LocalTransport):
    """A local host on which the named actions and transfers fail; those asked for are kept."""

    def __init__(self, host_dir: HostDirectory, faults: dict[str, Exception], calls: list[str]) -> None:
        super().__init__(host_dir)
        self._faults, self._calls = faults, calls

    async def call(self, action: Action[Asked, Told], request: Asked) -> Told:
        self._note(action.name)
        return await super().call(action, request)

    async def pull(self, files: Sequence[SealedFile], into: Path) -> None:
        self._note("pull")
        await super().pull(files, into)

    async def push_model(self, folder: Path, digest: str) -> None:
        self._note("push_model")
        await super().push_model(folder, digest)

    def _note(self, name: str) -> None:
        self._calls.append(name)
        if name in self._faults:
            raise self._faults[name]


class Fleet:
    """Ways to the hosts, with the faults and calls of each."""

    def __init__(self) -> None:
        self.faults: dict[str, dict[str, Exception]] = {}
        self.calls: dict[str, list[str]] = {}

    def __call__(self, host: Host, directory: RunDirectory) -> Transport:
        folder = local_directory(host, directory)
        return FaultyTransport(folder, self.faults.get(host.name, {}), self.calls.setdefault(host.name, []))


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def sync(loop: Loop, trusting: Callable[[GameRecord], Replayed], fleet: Fleet) -> Callable[[], SyncReport]:
    """A cycle over the fleet."""
    return lambda: sync_once(loop, replayer=trusting, transports=fleet)


@pytest.fixture
def write_heartbeat(host_dir: Callable[[str], HostDirectory]) -> Callable[..., None]:
    """A worker's heartbeat file."""

    def write(host: str, slot: int = 0, **changes: object) -> None:
        document = {
            "v": 1,
            "pid": 4_000_000,
            "start_time": 1.0,
            "host": host,
            "slot": slot,
            "variant": "square8_2p",
            "state": "playing",
            "model": None,
            "generation": 0,
            "games": 10,
            "games_per_hour": 100.0,
            "evals_per_s": 5.0,
            "net_share": 0.5,
            "last_error": None,
            "at": 1.0,
            "version": "0.1.0",
        }
        path = host_dir(host).heartbeat(slot)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document | changes))

    return write


_WORKER = """
import json, os, pathlib, signal, sys

pipe, manner, *command = sys.argv[1:]
option = {name: value for name, value in zip(command, command[1:]) if name.startswith("--")}
folder = pathlib.Path(option["--root"]) / "workers"
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
beat = {"v": 1, "pid": os.getpid(), "slot": int(option["--slot"])}
(folder / (option["--slot"] + ".json")).write_text(json.dumps(beat))
with open(pipe, "w") as ready:
    ready.write(f"{os.getpid()} {option['--host']}/{option['--slot']}\\n")
while True:
    signal.pause()
"""


class StandInTransport(LocalTransport):
    """A local host whose workers are started with another command line."""

    def __init__(self, host_dir: HostDirectory, command: WorkerCommand) -> None:
        super().__init__(host_dir)
        self._command = command

    async def call(self, action: Action[Asked, Told], request: Asked) -> Told:
        if not isinstance(request, StartWorker):
            return await super().call(action, request)
        spec = WorkerSpec(request.host, request.slot, nice=request.nice)
        start_worker(self.host_dir, spec, self._command)
        return action.answer()


class Stage:
    """Hosts whose workers are a few lines of Python: real processes that play nothing."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self.pipe, self.manner = pipe, "good"
        self.pids: list[int] = []
        # Open for reading and writing: a worker that says it is ready never waits for us.
        self._handle = os.fdopen(os.open(pipe, os.O_RDWR), "rb", buffering=0)

    def command(self, host_dir: HostDirectory, spec: WorkerSpec) -> list[str]:
        """The stand-in's command line; its tail is the real one's."""
        return [sys.executable, "-c", _WORKER, str(self.pipe), self.manner, *worker_command(host_dir, spec)[3:]]

    def __call__(self, host: Host, directory: RunDirectory) -> Transport:
        return StandInTransport(local_directory(host, directory), self.command)

    def wait_for(self, number: int) -> list[str]:
        """Wait until so many workers have started; returns their slots, sorted."""
        started = []
        for _ in range(number):
            line = b""
            while not line.endswith(b"\n"):
                line += self._handle.read(1)
            pid, slot = line.decode().split()
            self.pids.append(int(pid))
            started.append(slot)
        return sorted(started)

    def close(self) -> None:
        """Nothing is left behind, whatever the test did."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._handle.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "ready")
    yield made
    made.close()
