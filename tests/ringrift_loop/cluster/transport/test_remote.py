"""Sync, supervision and distribution over SSH, against both kinds of server: the same as on local hosts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import ssh_servers
from ringrift_loop import __version__
from ringrift_loop.cluster.agent.actions import REPORT, START_WORKER, STOP_WORKER
from ringrift_loop.cluster.agent.report import ReportRequest
from ringrift_loop.cluster.agent.requests import StartWorker, StopWorker
from ringrift_loop.cluster.agent.workers import read_record, stop_worker
from ringrift_loop.cluster.selfplay.supervise import reconcile
from ringrift_loop.cluster.ssh.connection import SSHHost
from ringrift_loop.cluster.sync.audit import audit_hosts
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.sync.distribute import distribute
from ringrift_loop.cluster.transport import remote as ssh_transport
from ringrift_loop.cluster.transport.opening import open_transport
from ringrift_loop.cluster.transport.remote import SSHTransport
from ringrift_loop.config.leaves import plain_section
from ringrift_loop.errors import HostUnreachable, RemoteJobFailed
from ringrift_loop.hosts.inventory import Inventory, parse_inventory
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import games, models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import verify as verify_model
from ringrift_loop.selfplay.pointer import read_pointer
from ringrift_loop.status.verify import verify
from samples import byte_model


@pytest.fixture
def server(ssh_server: Any) -> Any:
    return ssh_server("a")


@pytest.fixture
def inventory(server: Any, ssh_entry: Callable[..., str]) -> Inventory:
    """The loop's one host is reached by SSH; this replaces the fixture of the folder."""
    return parse_inventory("standard_hosts:\n" + ssh_entry("a", server, "role: selfplay"), "hosts.yaml")


@pytest.fixture
def champion(loop: Loop) -> str:
    """A model of 3 MB."""
    weights = os.urandom(3_000_000)
    digest = byte_model(loop.directory.root / "models", weights)
    with loop.ledger.begin() as conn:
        models.add(conn, digest, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, "square8_2p", digest, reason="test", elo_gain=None, games=0, at=loop.clock())
    return digest


def test_games_come_in_once_and_a_quiet_host_costs_one_command(
    loop: Loop, put_games: Any, trusting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    run = SSHHost.run

    async def counted(self: SSHHost, line: str, **options: Any) -> Any:
        lines.append(line)
        return await run(self, line, **options)

    monkeypatch.setattr(SSHHost, "run", counted)
    put_games("a", [1, 2, 3], [4, 5, 6])
    assert sync_once(loop, replayer=trusting).new_by_variant == {"square8_2p": 6}
    lines.clear()
    assert sync_once(loop, replayer=trusting).games_new == 0
    assert len(lines) == 1
    assert " host report --root " in lines[0]
    assert verify(loop, files=True) + audit_hosts(loop) == []


def test_a_champion_is_pushed_whole_and_once(loop: Loop, champion: str, host_dir: Any) -> None:
    assert distribute(loop, champion).reached == ("a",)
    folder: HostDirectory = host_dir("a")
    pointer = read_pointer(folder, "square8_2p")
    assert pointer is not None
    assert verify_model(folder.model(pointer.digest), champion).digest == champion
    assert not folder.model_staging(champion).exists()
    before = folder.model(champion).stat().st_ino
    assert distribute(loop, champion).failed == {}
    assert folder.model(champion).stat().st_ino == before


def test_a_push_that_is_cut_leaves_nothing_visible_and_goes_on_where_it_was(
    loop: Loop, champion: str, host_dir: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: HostDirectory = host_dir("a")
    sent: list[int] = []

    async def push(cut: bool) -> None:
        transport = open_transport(loop.inventory.hosts["a"], loop.directory)
        real = ssh_transport._stream

        async def stream(parts: Any) -> Any:
            sent.append(0)
            async for chunk in real(parts):
                sent[-1] += len(chunk)
                yield chunk
                if cut and sent[-1] > 1_500_000:
                    while not (folder.model_staging(champion) / "model.safetensors").exists():
                        await asyncio.sleep(0.01)
                    await asyncio.to_thread(server.cut)

        with monkeypatch.context() as patch:
            patch.setattr(ssh_transport, "_stream", stream)
            try:
                await transport.push_model(loop.directory.model(champion), champion)
            finally:
                await transport.aclose()

    with pytest.raises(HostUnreachable):
        asyncio.run(push(cut=True))
    assert not folder.model(champion).exists()
    asyncio.run(push(cut=False))
    assert verify_model(folder.model(champion), champion).digest == champion
    assert sent[1] < 3_000_000


def test_a_pull_that_is_cut_goes_on_where_it_was_and_loses_and_doubles_nothing(
    loop: Loop,
    clock: Any,
    put_games: Any,
    make_record: Any,
    trusting: Any,
    server: Any,
    ssh_thread: ssh_servers.LoopThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offsets: list[int] = []
    copy_file = SSHHost.copy_file

    async def copied(self: SSHHost, path: str, size_bytes: int, into: Any, offset: int = 0) -> None:
        offsets.append(offset)
        await copy_file(self, path, size_bytes, into, offset)

    monkeypatch.setattr(SSHHost, "copy_file", copied)
    # Moves that do not compress: the segment is larger than what passes the proxy before it cuts.
    put_games("a", [make_record(number, moves=os.urandom(60_000).hex()).to_json() for number in range(1, 9)])
    proxy = ssh_servers.CuttingProxy(server, ssh_thread, cut_after=200_000)
    host = replace(loop.inventory.hosts["a"], ssh_host=proxy.address, ssh_port=proxy.port)
    behind = replace(loop, inventory=Inventory({"a": host}))
    assert "HostUnreachable" in str(sync_once(behind, replayer=trusting).failed[0].error)
    assert [path for path in (loop.directory.incoming / "a").iterdir() if not path.name.startswith(".")] == []
    proxy.cut_after = None
    clock.now += 600
    assert sync_once(behind, replayer=trusting).games_new == 8
    with loop.ledger.read() as conn:
        assert games.count(conn) == 8
    assert verify(loop, files=True) == []
    assert offsets[0] == 0 < offsets[1]
    proxy.close()


def test_a_refused_host_is_a_failure_of_its_own_with_a_sentence(loop: Loop, server: Any, trusting: Any) -> None:
    server.deny()
    (failed,) = sync_once(loop, replayer=trusting).failed
    assert str(failed.error).startswith("LoginRefused: a (")


def test_a_worker_outlives_the_connection_that_started_it_and_is_ended_by_its_record(
    loop: Loop, host_dir: Any, server: Any
) -> None:
    async def start() -> None:
        transport = open_transport(loop.inventory.hosts["a"], loop.directory)
        for _ in range(2):  # the second time it runs: nothing to do
            await transport.call(START_WORKER, StartWorker("a", 0, plain_section(loop.config.selfplay)))
        await asyncio.to_thread(server.cut)
        await transport.aclose()

    async def stop() -> list[bool]:
        transport = open_transport(loop.inventory.hosts["a"], loop.directory)
        report = await transport.call(REPORT, ReportRequest())
        stopped = [worker.alive for worker in report.workers]
        stopped += [(await transport.call(STOP_WORKER, StopWorker(0, kill=kill))).alive for kill in (True, False)]
        await transport.aclose()
        return stopped

    asyncio.run(start())
    record = read_record(host_dir("a"), 0)
    assert record is not None
    process = psutil.Process(record.pid)
    assert os.getsid(record.pid) == record.pid
    settings = json.loads(host_dir("a").worker_settings.read_text())
    assert settings["selfplay"]["segment_seconds"] == loop.config.selfplay.segment_seconds
    assert asyncio.run(stop())[-2:] == [True, False]
    process.wait(10)


def test_supervision_starts_a_missing_worker_and_leaves_a_running_one_alone(loop: Loop, host_dir: Any) -> None:
    try:
        first, second = reconcile(loop), reconcile(loop)
    finally:
        stop_worker(host_dir("a"), 0, kill=True)
    assert (first.desired, first.told, first.started, first.failed) == (1, ["a"], ["a/0"], {})
    assert (second.playing, second.told, second.started, second.killed, second.failed) == (1, [], [], [], {})


def install_version(folder: Path, version: str) -> None:
    """Our own program, which says that it is of another version."""
    program = folder / "venv" / "bin" / "ringrift-loop"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        f"#!{sys.executable}\nimport sys, ringrift_loop\nringrift_loop.__version__ = {version!r}\n"
        "from ringrift_loop.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)


def test_a_host_of_another_version_gets_no_work_until_it_is_updated_and_no_game_of_it_is_lost(
    loop: Loop,
    server: Any,
    ssh_entry: Callable[..., str],
    put_games: Any,
    trusting: Any,
    host_dir: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install_version(tmp_path / "program", "0.0.9")
    entry = ssh_entry("a", server, f"role: selfplay, remote_path: {tmp_path}/program")
    loop = replace(loop, inventory=parse_inventory("standard_hosts:\n" + entry, "hosts.yaml"))
    put_games("a", [1, 2, 3, 4, 5])

    async def start() -> None:  # as the loop did before this machine was updated
        async with aclosing(open_transport(loop.inventory.hosts["a"], loop.directory)) as transport:
            await transport.call(START_WORKER, StartWorker("a", 0, plain_section(loop.config.selfplay)))

    asyncio.run(start())
    record = read_record(host_dir("a"), 0)
    assert record is not None
    try:
        report = reconcile(loop)
        assert report.refused == {
            "a": f"ringrift-loop 0.0.9 runs there, this is {__version__}: ringrift-loop deploy --host a"
        }
        assert (report.started, report.draining, report.playing, report.failed) == ([], ["a/0"], 0, {})
        assert "gets no work: ringrift-loop 0.0.9 runs there" in caplog.text
        assert sync_once(loop, replayer=trusting).games_new == 5
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(record.pid).wait(20)  # drained, not killed
        assert reconcile(loop).started == []
        install_version(tmp_path / "program", __version__)
        report = reconcile(loop)
        assert (report.started, report.refused) == (["a/0"], {})
    finally:
        stop_worker(host_dir("a"), 0, kill=True)


def test_a_host_without_the_program_is_told_apart_and_what_it_said_is_kept(
    loop: Loop, ssh_thread: ssh_servers.LoopThread
) -> None:
    async def report(path: str) -> None:
        host = replace(loop.inventory.hosts["a"], remote_path=path)
        transport = SSHTransport(SSHHost(host))
        try:
            await transport.call(REPORT, ReportRequest())
        finally:
            await transport.aclose()

    with pytest.raises(RemoteJobFailed, match="/opt/none/venv/bin/ringrift-loop is not installed there"):
        asyncio.run(report("/opt/none"))
