"""Sync and distribution while the network, a host or a disk misbehaves: nothing lost, nothing doubled, no one delayed.

Three hosts in network namespaces, each with an OpenSSH server: `sick` has the fault, `well0` and `well1` go on sealing
games meanwhile. After each fault is over, the real `ringrift-loop ledger verify --hosts --files` must be content and
the ledger must hold what the writers sealed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import netns
import ssh_servers
from new_ledger import new_ledger
from ringrift_loop.cluster.ssh import connection as ssh
from ringrift_loop.cluster.sync.budget import BUDGET, Budget
from ringrift_loop.cluster.sync.cycle import SyncReport, sync_once
from ringrift_loop.config import load_config
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.hosts.inventory import load_inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import games, hosts, models, promotions, schema
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.hosts import HostRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.network.artifact import verify as verify_model
from ringrift_loop.search.leaves import HeuristicLeaves
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.play_games import Origin, PlaySettings, SelfplayGames
from ringrift_loop.selfplay.segments import SegmentWriter
from samples import byte_model

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not ssh_servers.SSHD.exists(), reason="the Debian package openssh-server is missing"),
]

VARIANT = "square8_2p"
POLL_S = 30  # one cycle of the loop as it is shipped
WELL = ("well0", "well1")
# One game a segment is worth a pull at once, so that what delays it is the fault alone.
CONFIG = f"""
variants: [{VARIANT}]
statsd_port: 9
data_ingestion: {{poll_interval_seconds: {POLL_S}, min_games_per_sync: 1}}
"""
FAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"


@pytest.fixture(scope="session")
def played() -> list[bytes]:
    """Real games, played with next to no search; each is handed to one host only."""
    settings = PlaySettings(SearchSettings(simulations=2, noise=1.0), fast_simulations=1, games_in_parallel=32)
    leaves, origin = HeuristicLeaves(rules_for(VARIANT)), Origin("h", "0-1", "faults", 0)
    table = SelfplayGames(VARIANT, "heuristic-search", leaves, settings, origin, clock=lambda: 1.7e9)
    begun, records = 0, []
    while len(records) < 240:
        room = table.room
        table.start(range(begun, begun + room))
        begun += room
        records += [record.to_json() for record in table.round()]
    return records


class Cluster:
    """A coordinator and three hosts, with everything that a test does to them."""

    def __init__(self, folder: Path, network: netns.Network, played: list[bytes]) -> None:
        self.folder, self.network = folder, network
        self._games = iter(played)
        self.sealed: dict[str, tuple[str, float]] = {}  # segment -> its host and when
        self.emitted = 0
        self._keys = ssh_servers.Keys(folder / "keys")
        self.at = dict(zip(("sick", *WELL), network.hosts, strict=True))
        self.servers = {name: self._server(name, where) for name, where in self.at.items()}
        for server in self.servers.values():
            server.begin()
        for server in self.servers.values():
            server.wait()
        self.writers = {name: SegmentWriter(self.host_dir(name), 0, 1000, 1e9) for name in self.at}
        self._ahead = self.slowest = 0.0
        (folder / "loop.yaml").write_text(CONFIG)
        self._environment = {
            "RINGRIFT_HOME": str(folder / "run"),
            "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
            "RINGRIFT_CONFIG": str(folder / "loop.yaml"),
        }
        self.directory = RunDirectory(folder / "run")
        self._ledger: Ledger | None = None
        self.budget = BUDGET
        self.known_keys = {name: server.fingerprint for name, server in self.servers.items()}
        self.way: dict[str, Any] = dict(self.servers)  # what the inventory names: a server, or a proxy before it

    def _server(self, name: str, where: netns.Namespace) -> ssh_servers.OpenSSHServer:
        return ssh_servers.OpenSSHServer(self.folder / "sshd" / name, self._keys, where.address, inside=where.prefix)

    def close(self) -> None:
        for server in self.servers.values():
            server.stop()
        for writer in self.writers.values():
            writer.close()
        if self._ledger is not None:
            self._ledger.close()

    @property
    def loop(self) -> Loop:
        """The loop as its files say now."""
        if self._ledger is None:
            url = f"sqlite:///{self.directory.root / 'ledger.db'}"
            new_ledger(url)
            self._ledger = Ledger.open(url)
        lines = [
            f"  {name}: {{ssh_host: {way.address}, ssh_port: {way.port}, ssh_user: {ssh_servers.user()}, ssh_key: "
            f"{self._keys.private}, root: {self.host_dir(name).root}, host_key: '{self.known_keys[name]}'}}\n"
            for name, way in self.way.items()
        ]
        (self.folder / "hosts.yaml").write_text("standard_hosts:\n" + "".join(lines))
        return Loop(
            load_config(self.folder / "loop.yaml"),
            load_inventory(self.folder / "hosts.yaml"),
            self.directory,
            self._ledger,
            Metrics("127.0.0.1", 9, strict=True),
            lambda: time.time() + self._ahead,
        )

    def host_dir(self, name: str) -> HostDirectory:
        return HostDirectory(self.folder / "hosts" / name)

    def seal(self, name: str, count: int = 1) -> str:
        """Seal the next games on a host; returns the segment's name."""
        for _ in range(count):
            self.writers[name].append(next(self._games))
        segment = self.writers[name].seal()
        assert segment is not None
        self.sealed[segment] = (name, time.time())
        self.emitted += count
        return segment

    def sync(self) -> SyncReport:
        """One cycle, in the coordinator's namespace."""
        return self.network.coordinator.call(sync_once, self.loop, budget=self.budget)

    def program(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ringrift-loop` in the coordinator's namespace."""
        command = [*self.network.coordinator.prefix, sys.executable, "-m", "ringrift_loop.cli", *arguments]
        environment = os.environ | self._environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def cycles(self, number: int) -> list[SyncReport]:
        """Some cycles, a second apart, while the healthy hosts seal a game every second."""
        over = threading.Event()

        def emit() -> None:
            while not over.wait(1):
                for name in WELL:
                    self.seal(name)

        feeder = threading.Thread(target=emit)
        feeder.start()
        reports = []
        try:
            for _ in range(number):
                reports.append(self.sync())
                time.sleep(1)
        finally:
            over.set()
            feeder.join()
        return reports

    def wait_is_over(self) -> None:
        """Let the pause of a failing host pass."""
        self._ahead += 700

    def row(self, name: str = "sick") -> HostRow:
        with self.loop.ledger.read() as conn:
            return hosts.get(conn, name)

    def taken(self) -> dict[str, float]:
        """When each segment came in, by the real clock."""
        with self.loop.ledger.read() as conn:
            rows = conn.execute(schema.segments.select()).all()
        return {row.name: row.ingested_at for row in rows}

    def check(self) -> None:
        """Let everything in: each game is in the ledger once; the healthy hosts' came within one cycle more."""
        self.wait_is_over()
        while self.sync().games_new:
            pass
        done = self.program("ledger", "verify", "--hosts", "--files")
        assert (done.returncode, done.stdout) == (0, "nothing to complain about\n"), done.stdout + done.stderr
        with self.loop.ledger.read() as conn:
            assert games.count(conn) == self.emitted
        assert self.taken().keys() == self.sealed.keys()
        assert self.row().consecutive_failures == 0
        assert [path for path in self.directory.incoming.rglob("*") if path.is_file()] == []
        # Cycles follow each other here within a second, so this is what the fault adds to the wait for the next one.
        assert self.slowest < POLL_S

    def measure(self) -> None:
        """Remember how long the healthy hosts' games took while the fault lasted; before the clock is moved."""
        assert self._ahead == 0
        taken = self.taken()
        waits = [taken[name] - at for name, (host, at) in self.sealed.items() if name in taken and host in WELL]
        assert waits, "no game came in while the fault lasted"
        self.slowest = max(waits)

    def promote(self, size_bytes: int) -> str:
        """A champion of random bytes that every host is to have."""
        weights = os.urandom(size_bytes)
        digest = byte_model(self.directory.root / "models", weights)
        loop = self.loop
        with loop.ledger.begin() as conn:
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, VARIANT, digest, reason="test", elo_gain=None, games=0, at=loop.clock())
        return digest

    def has(self, name: str, digest: str) -> bool:
        """Whether a host has a model whole and points to it."""
        folder = self.host_dir(name)
        if not folder.model(digest).exists():
            return False
        verify_model(folder.model(digest), digest)
        return bool(json.loads(folder.current_model(VARIANT).read_bytes())["digest"] == digest)


@pytest.fixture
def network() -> Iterator[netns.Network]:
    if (reason := netns.missing()) is not None:
        pytest.skip(reason)
    made = netns.Network(3)
    yield made
    made.close()


@pytest.fixture
def cluster(tmp_path: Path, network: netns.Network, played: list[bytes]) -> Iterator[Cluster]:
    made = Cluster(tmp_path, network, played)
    yield made
    made.close()


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], Callable[[], None]]]:
    """Make a folder a file system of its own with so many bytes; what is returned undoes it."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> Callable[[], None]:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", str(folder)], check=True)
        mounted.append(folder)
        return lambda: unmount(folder)

    def unmount(folder: Path) -> None:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        mounted.remove(folder)

    yield mount
    for folder in reversed(mounted[:]):
        unmount(folder)


def fill(folder: Path) -> Path:
    """Use up a disk; delete the file to free it."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(holds: Callable[[], bool], limit_s: float = 15.0) -> None:
    give_up = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)


def test_answers_that_take_200_ms_delay_nobody_else(cluster: Cluster) -> None:
    thread = cluster.network.coordinator.call(ssh_servers.LoopThread)
    proxy = ssh_servers.CuttingProxy(cluster.servers["sick"], thread, delay_s=0.2)
    cluster.way["sick"] = proxy
    try:
        cluster.seal("sick", 10)
        report, _ = cluster.cycles(2)
        assert report.failed == []
        assert next(one.seconds for one in report.hosts if one.host == "sick") > 1
        cluster.measure()
        cluster.check()
    finally:
        proxy.close()
        thread.close()


def test_every_twentieth_packet_lost_costs_time_and_no_game(cluster: Cluster) -> None:
    cluster.at["sick"].lose(5)
    cluster.seal("sick", 20)
    cluster.seal("sick", 20)
    digest = cluster.promote(300_000)
    cluster.cycles(2)
    cluster.measure()
    cluster.check()
    assert all(cluster.has(name, digest) for name in cluster.at)


def test_a_partition_while_segments_are_pulled(cluster: Cluster) -> None:
    cluster.network.limit(cluster.at["sick"], "100kbit")
    cluster.seal("sick", 60)
    reports: list[SyncReport] = []
    cycle = in_background(lambda: reports.extend(cluster.cycles(2)))
    until(lambda: any((cluster.directory.incoming / "sick").glob(".*.part")))
    time.sleep(1)
    cluster.network.link(cluster.at["sick"], up=False)
    cycle.join()
    assert [one.host for one in reports[0].failed] == ["sick"]
    assert "HostUnreachable" in str(reports[0].failed[0].error)
    assert reports[1].resting == ("sick",)
    cluster.measure()
    cluster.network.link(cluster.at["sick"], up=True)
    cluster.network.unlimited(cluster.at["sick"])
    cluster.check()


def test_a_partition_while_a_model_is_sent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_KEEPALIVE_S", 0.5)  # in the test above it has its real length
    digest = cluster.promote(200_000)
    cluster.network.limit(cluster.at["sick"], "200kbit")
    cluster.seal("sick", 1)
    reports: list[SyncReport] = []
    cycle = in_background(lambda: reports.extend(cluster.cycles(2)))
    staged = cluster.host_dir("sick").model_staging(digest)
    until(lambda: (staged / "model.safetensors").exists())
    cluster.network.link(cluster.at["sick"], up=False)
    cycle.join()
    assert [one.host for one in reports[0].failed] == ["sick"]
    cluster.measure()
    assert not cluster.host_dir("sick").model(digest).exists()
    cluster.network.link(cluster.at["sick"], up=True)
    cluster.network.unlimited(cluster.at["sick"])
    cluster.check()
    assert all(cluster.has(name, digest) for name in cluster.at)


def test_a_host_that_dies_and_comes_back(cluster: Cluster) -> None:
    cluster.cycles(1)
    server, place = cluster.servers["sick"], cluster.at["sick"]
    cluster.seal("sick", 3)
    cluster.network.link(place, up=False)
    place.kill()
    server.stop()
    digest = cluster.promote(1000)
    (failed, resting) = cluster.cycles(2)
    assert [one.host for one in failed.failed] == ["sick"]
    assert resting.resting == ("sick",)
    assert cluster.row().consecutive_failures == 1
    cluster.measure()
    first = cluster.row().next_attempt_at - time.time()
    cluster.network.link(place, up=True)  # the machine starts, but nobody listens yet
    cluster.wait_is_over()
    assert [one.host for one in cluster.sync().failed] == ["sick"]
    row = cluster.row()
    assert row.consecutive_failures == 2
    assert not row.active
    assert row.next_attempt_at - cluster.loop.clock() > first + POLL_S  # the pause grows
    server.start()
    cluster.check()
    assert cluster.has("sick", digest)


def test_a_host_with_another_key_is_refused_until_a_person_has_looked(cluster: Cluster) -> None:
    cluster.cycles(1)
    server = cluster.servers["sick"]
    server.stop()
    server.new_host_key()
    server.start()
    cluster.seal("sick", 2)
    (report, _) = cluster.cycles(2)
    assert str(report.failed[0].error).startswith("HostKeyRefused: sick (")
    cluster.measure()
    cluster.known_keys["sick"] = server.fingerprint
    cluster.check()


def test_a_host_that_denies_the_login(cluster: Cluster) -> None:
    cluster.servers["sick"].deny()
    cluster.seal("sick", 2)
    (report, _) = cluster.cycles(2)
    assert str(report.failed[0].error).startswith("LoginRefused: sick (")
    cluster.measure()
    cluster.servers["sick"].allow()
    cluster.check()


def test_a_full_disk_on_a_host_keeps_its_games_and_gets_the_champion_later(
    cluster: Cluster, small_disk: Callable[[Path, str], Callable[[], None]]
) -> None:
    cluster.writers["sick"].close()
    folder = cluster.host_dir("sick")
    small_disk(folder.root, "1m")
    cluster.writers["sick"] = SegmentWriter(folder, 0, 1000, 1e9)
    cluster.seal("sick", 5)
    digest = cluster.promote(300_000)
    filler = fill(folder.root)
    with pytest.raises(OSError, match="No space left"):
        for _ in range(5):  # what is left of the journal's last page takes one or two
            cluster.writers["sick"].append(next(cluster._games))
            cluster.emitted += 1
    (report, _) = cluster.cycles(2)
    assert [(one.host, one.games_new) for one in report.failed] == [("sick", 5)]
    assert "No space left" in str(report.failed[0].error)
    cluster.measure()
    filler.unlink()
    kept = cluster.writers["sick"].pending
    segment = cluster.writers["sick"].seal()
    if segment is not None:
        cluster.sealed[segment] = ("sick", time.time())
        assert f"-{kept}-" in segment
    cluster.check()
    assert cluster.has("sick", digest)


def test_a_full_disk_of_the_coordinator_is_no_fault_of_the_hosts(
    cluster: Cluster, small_disk: Callable[[Path, str], Callable[[], None]]
) -> None:
    small_disk(cluster.directory.root, "4m")
    cluster.seal("sick", 150)
    free = small_disk(cluster.directory.incoming, "64k")
    report = cluster.sync()
    assert report.failed == []
    assert any("No space left" in problem for problem in report.problems)
    assert list((cluster.directory.incoming / "sick").iterdir()) == []  # the ledger may need the room
    assert cluster.row().consecutive_failures == 0
    free()
    filler = fill(cluster.directory.root)
    done = cluster.program("sync")
    assert done.returncode == 75, done.stdout + done.stderr  # try again, once there is room
    assert done.stderr.startswith("ringrift-loop sync: the ledger sqlite:///")
    filler.unlink()
    cluster.check()


def test_a_host_too_slow_for_one_visit_gets_further_with_each(cluster: Cluster) -> None:
    cluster.budget = Budget(visit_s=4.0)
    segment = cluster.seal("sick", 150)
    size = (cluster.host_dir("sick").sealed_segments / segment).stat().st_size
    cluster.network.limit(cluster.at["sick"], f"{size * 8 // 4000}kbit")  # four seconds for its bytes alone
    part = cluster.directory.incoming / "sick" / f".{segment}.part"
    report, _ = cluster.cycles(2)
    assert [one.host for one in report.failed] == ["sick"]
    cluster.measure()
    arrived = part.stat().st_size
    assert arrived > 0
    cluster.wait_is_over()
    cluster.sync()
    assert segment in cluster.taken() or part.stat().st_size > arrived
    cluster.network.unlimited(cluster.at["sick"])
    cluster.check()


def test_hosts_whose_clocks_are_an_hour_off_or_were_set_back(cluster: Cluster) -> None:
    if not FAKETIME.exists():
        pytest.skip("the Debian package libfaketime is missing")
    (cluster.folder / "loop.yaml").write_text(CONFIG.replace("min_games_per_sync: 1", "min_games_per_sync: 5"))
    offsets = {"sick": 3600, "well0": -3600}
    for name, offset in offsets.items():
        server = cluster.servers[name]
        server.stop()
        # Its files get the kernel's times, so they are set below to what a host with this clock writes.
        server.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{offset:+d}", "NO_FAKE_STAT": "1"}
        server.start()

    def sealed(name: str, ago: float, by: float) -> str:
        segment = cluster.seal(name)
        at = time.time() + by - ago
        os.utime(cluster.host_dir(name).sealed_segments / segment, (at, at))
        return segment

    young = {sealed(name, 1, offset) for name, offset in offsets.items()}
    ahead = sealed("well1", 1, 3600)  # its clock was right again after this
    assert cluster.sync().failed == []
    # By its host's own clock a game is a second old, and so few wait for more; the third would wait for an hour.
    assert cluster.taken().keys() == {ahead}
    young |= {sealed(name, 100, offset) for name, offset in offsets.items()}
    cluster.sync()
    assert cluster.taken().keys() == young | {ahead}
    cluster.check()
