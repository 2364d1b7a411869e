"""Detached jobs from the coordinator's side, on hosts of both kinds of SSH server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ssh_servers
from ringrift_loop.cluster.agent.gpus import Gpu
from ringrift_loop.cluster.agent.host_jobs import job_status, stop_job
from ringrift_loop.cluster.agent.job_record import JobStatus
from ringrift_loop.cluster.jobs import lifecycle as jobs
from ringrift_loop.cluster.jobs.placement import JobRequest, Offer, choose
from ringrift_loop.cluster.ssh import connection
from ringrift_loop.cluster.transport.local import LocalTransport
from ringrift_loop.cluster.transport.opening import open_transport
from ringrift_loop.errors import (
    ConfigError,
    DataError,
    JobFaulty,
    JobInterrupted,
    JobOutOfMemory,
    JobOutOfSight,
    LedgerError,
    NoCapacity,
)
from ringrift_loop.hosts.inventory import Inventory, parse_inventory
from ringrift_loop.layout import HostDirectory
from ringrift_loop.ledger import jobs as rows
from ringrift_loop.ledger.jobs import MARGIN_S, JobRow, Placement
from ringrift_loop.loop import Loop
from ringrift_loop.status.verify import verify

ID = "ab12"
# What does not depend on the kind of server is looked at with one of them.
one_kind = pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)


@pytest.fixture
def servers(ssh_server: Any) -> dict[str, Any]:
    return {"a": ssh_server("a")}


@pytest.fixture
def inventory(servers: dict[str, Any], ssh_entry: Callable[..., str]) -> Inventory:
    """Hosts reached by SSH; this replaces the fixture of the folders."""
    entries = [ssh_entry(name, server, "role: training, gpu_count: 2") for name, server in servers.items()]
    return parse_inventory("standard_hosts:\n" + "".join(entries), "hosts.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Callable[[str], HostDirectory]]:
    """A host's root folder; its jobs are ended afterwards."""
    yield lambda name: HostDirectory(tmp_path / "hosts" / name)
    for host in (tmp_path / "hosts").iterdir():
        for job in (host / "jobs").glob("[!.]*"):
            stop_job(HostDirectory(host), job.name)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def request(line: str, **changes: Any) -> JobRequest:
    return replace(JobRequest(ID, ("sh", "-c", line), "training", 60.0), **changes)


def outcome(loop: Loop, wanted: JobRequest, said: list[str] | None = None) -> dict[str, Any]:
    """Begin, follow and collect."""

    async def all_of_it() -> dict[str, Any]:
        await jobs.begin(loop, wanted, patience_s=5.0)
        await jobs.follow(loop, wanted.id, ([] if said is None else said).append, poll_s=0.1, patience_s=5.0)
        return await jobs.collect(
            loop, wanted.id, outputs=wanted.outputs, max_output_bytes=wanted.max_output_bytes, patience_s=5.0
        )

    return dict(run(all_of_it()))


def row_of(loop: Loop, job_id: str = ID) -> JobRow:
    with loop.ledger.read() as conn:
        row = rows.get(conn, job_id)
    assert row is not None
    return row


def test_inputs_go_out_outputs_come_in_and_the_log_is_passed_on(
    loop: Loop, folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "x.bin").write_bytes(os.urandom(300_000))
    (tmp_path / "in" / "empty").touch()
    line = "echo one >&2; cp -r {input}/. {output}; echo two >&2; echo '{\"rows\": 7}'"
    wanted = request(line, inputs=tmp_path / "in", outputs=tmp_path / "out")
    said: list[str] = []

    record = outcome(loop, wanted, said)

    assert record == {"host": "a", "job_id": ID, "attempt": 1, "last_line": '{"rows": 7}', "result": {"rows": 7}}
    assert said == ["one", "two"]
    assert loop.directory.job_log(ID).read_text() == "--- attempt 1 on a ---\none\ntwo\n"
    for name in ("deep/x.bin", "empty"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    assert row_of(loop).state == "succeeded"
    assert verify(loop) == []


@one_kind
def test_a_host_that_is_a_folder_of_this_machine_works_the_same(loop: Loop, tmp_path: Path) -> None:
    text = f"standard_hosts:\n  c: {{transport: local, role: training, root: {tmp_path}/c}}\n"
    local = replace(loop, inventory=parse_inventory(text, "hosts.yaml"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").write_bytes(b"1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    wanted = request("cat {input}/x > {output}/y; echo '{}'", inputs=tmp_path / "in", outputs=tmp_path / "out")

    assert outcome(local, wanted)["result"] == {}

    # What lay in the folder for outputs before is none of the job's business.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine", "y"]
    with pytest.raises(DataError, match="holds 1 bytes, allowed are 0"):
        outcome(local, replace(wanted, max_output_bytes=0))


def test_a_file_that_is_there_is_not_sent_again_and_one_that_is_not_wanted_goes(
    loop: Loop, folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringrift_loop.cluster.ssh.connection import SSHHost

    sent: list[str] = []
    write = SSHHost.write_file

    async def counted(self: SSHHost, source: Any, path: str, temporary: str) -> None:
        sent.append(Path(path).name)
        await write(self, source, path, temporary)

    monkeypatch.setattr(SSHHost, "write_file", counted)
    local, remote = tmp_path / "in", folder("a").job(ID).input
    local.mkdir()
    (local / "same").write_bytes(b"1" * 1000)
    (local / "damaged").write_bytes(b"2" * 1000)
    remote.mkdir(parents=True)
    (remote / "same").write_bytes(b"1" * 1000)
    (remote / "damaged").write_bytes(b"3" * 1000)
    (remote / "stale").touch()

    async def push() -> None:
        transport = open_transport(loop.inventory.hosts["a"], loop.directory)
        await transport.push_folder(local, f"jobs/{ID}/input")
        await transport.aclose()

    run(push())
    assert sent == ["damaged"]
    assert sorted(path.name for path in remote.iterdir()) == ["damaged", "same"]
    assert (remote / "damaged").read_bytes() == b"2" * 1000


@one_kind
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("head -c 3000 /dev/zero > {output}/big", "holds 3000 bytes, allowed are 2000"),
        ("ln -s /etc/passwd {output}/link", "is not a plain file"),
        ("touch {output}/-rf", "a file that travels must match"),
    ],
)
def test_outputs_that_are_not_what_was_agreed_are_refused(
    loop: Loop, folder: Any, tmp_path: Path, line: str, said: str
) -> None:
    wanted = request(line, outputs=tmp_path / "out", max_output_bytes=2000)
    with pytest.raises(DataError, match=said):
        outcome(loop, wanted)
    assert row_of(loop).state == "failed"
    assert not (tmp_path / "out").exists()


@one_kind
def test_the_result_of_a_job_whose_output_was_refused_is_taken_later_without_a_second_run(
    loop: Loop, folder: Any, tmp_path: Path
) -> None:
    wanted = request(f"echo run >> {tmp_path}/runs; head -c 3000 /dev/zero > {{output}}/big", outputs=tmp_path / "out")
    with pytest.raises(DataError):
        outcome(loop, replace(wanted, max_output_bytes=2000))
    assert row_of(loop).state == "failed"
    outcome(loop, wanted)
    assert (tmp_path / "runs").read_text() == "run\n"
    assert (tmp_path / "out" / "big").stat().st_size == 3000


@one_kind
def test_a_host_whose_files_stand_still_is_lost_sight_of_while_it_still_answers_commands(
    loop: Loop, folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stand_still(_self: object, file: Any, *_: object) -> bytes:
        with file:
            await asyncio.sleep(600)
        return b""

    monkeypatch.setattr(ssh_servers._ConfinedFiles, "read", stand_still)
    monkeypatch.setattr(connection, "_SILENCE_S", 0.5)
    wanted = request("echo x > {output}/y; exec sleep 600")
    outputs = jobs.Outputs(tmp_path / "out", 1000, every_s=0.0)

    async def follow() -> None:
        await jobs.begin(loop, wanted)
        following = asyncio.create_task(jobs.follow(loop, ID, print, poll_s=0.1, outputs=outputs, patience_s=1.0))
        ended, _ = await asyncio.wait({following}, timeout=30)
        assert ended
        await following

    with pytest.raises(JobOutOfSight, match=r"answered nothing for 0\.5 s"):
        run(follow())


@one_kind
def test_two_coordinators_at_once_start_one_copy_and_a_cleared_task_runs_anew(
    loop: Loop, folder: Any, tmp_path: Path
) -> None:
    wanted = request(f"echo run >> {tmp_path}/runs; sleep 1; echo '{{}}'")

    async def both() -> list[Any]:
        return await asyncio.gather(*(jobs.begin(loop, wanted) for _ in range(3)), return_exceptions=True)

    found = run(both())
    # Those that lose the placement are told so, and attach when they are tried again.
    assert any(isinstance(one, JobRow) for one in found)
    assert all(isinstance(one, (JobRow, LedgerError)) for one in found)
    assert outcome(loop, wanted)["attempt"] == 1
    assert (tmp_path / "runs").read_text() == "run\n"
    assert outcome(loop, wanted)["attempt"] == 2
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


_COORDINATOR = """
import asyncio, os, signal, sys
from pathlib import Path
from ringrift_loop.cluster.jobs import lifecycle as jobs
from ringrift_loop.hosts.inventory import load_inventory
from ringrift_loop.cluster.jobs.placement import JobRequest
from ringrift_loop.config import LoopConfig
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics

url, root, hosts, line = sys.argv[1:]
metrics = Metrics("127.0.0.1", 9)
loop = Loop(LoopConfig(), load_inventory(hosts), RunDirectory(Path(root)), Ledger.open(url), metrics)

async def main():
    await jobs.begin(loop, JobRequest("ab12", ("sh", "-c", line), "training", 60.0))
    def say(text):
        if text == "first":
            os.kill(os.getpid(), signal.SIGKILL)
    await jobs.follow(loop, "ab12", say, poll_s=0.1)

asyncio.run(main())
"""


def test_a_coordinator_that_was_killed_finds_its_job_again(
    loop: Loop, folder: Any, tmp_path: Path, servers: dict[str, Any], ssh_entry: Callable[..., str]
) -> None:
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n" + ssh_entry("a", servers["a"], "role: training"))
    line = (
        f"echo run >> {tmp_path}/runs; echo first >&2; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo '{{}}'"
    )
    words = [str(loop.ledger.engine.url), str(loop.directory.root), str(tmp_path / "hosts.yaml"), line]
    done = subprocess.run([sys.executable, "-c", _COORDINATOR, *words], check=False, timeout=60)
    assert done.returncode == -9
    (tmp_path / "go").touch()

    said: list[str] = []
    assert outcome(loop, request(line), said)["attempt"] == 1
    assert (tmp_path / "runs").read_text() == "run\n"
    assert said == ["first"]


@one_kind
def test_another_command_under_a_running_jobs_id_is_an_error(loop: Loop, folder: Any) -> None:
    run(jobs.begin(loop, request("sleep 600")))
    with pytest.raises(ConfigError, match=f"job {ID} runs on a with another command; let it end"):
        run(jobs.begin(loop, request("sleep 601")))


@one_kind
@pytest.mark.parametrize(
    ("line", "error", "kind"),
    [
        ("exit 75", JobInterrupted, "retryable"),
        ("echo 'CUDA out of memory' >&2; exit 1", JobOutOfMemory, "out_of_memory"),
        ("echo it broke >&2; exit 1", JobFaulty, "code"),
    ],
)
def test_a_failure_is_an_error_of_its_class_and_on_record(
    loop: Loop, folder: Any, line: str, error: type[Exception], kind: str
) -> None:
    with pytest.raises(error, match=f"job {ID} on a: "):
        outcome(loop, request(line))
    row = row_of(loop)
    assert row.state == "failed"
    assert row.failure is not None
    assert row.failure["failure_class"] == kind


def test_a_cancel_ends_the_job_and_its_follower(loop: Loop, folder: Any) -> None:
    async def cancelled_while_followed() -> Any:
        await jobs.begin(loop, request("sleep 600 & sleep 600"))
        following = asyncio.create_task(jobs.follow(loop, ID, lambda _: None, poll_s=0.1))
        assert await jobs.cancel(loop, ID)
        return await following

    assert run(cancelled_while_followed()).state == "cancelled"
    assert row_of(loop).state == "cancelled"
    with pytest.raises(JobFaulty, match="it was cancelled"):
        run(jobs.collect(loop, ID))
    assert not run(jobs.cancel(loop, ID))


def test_a_host_that_vanishes_is_noticed_and_its_job_is_found_when_it_returns(
    loop: Loop, folder: Any, servers: dict[str, Any], tmp_path: Path
) -> None:
    wanted = request(f"echo run >> {tmp_path}/runs; sleep 600")
    run(jobs.begin(loop, wanted))
    servers["a"].stop()
    started = time.monotonic()
    with pytest.raises(JobOutOfSight, match="may still run on a, which does not answer"):
        run(jobs.follow(loop, ID, lambda _: None, poll_s=0.1, patience_s=3.0))
    assert time.monotonic() - started < 15
    assert row_of(loop).state == "unreachable"
    assert verify(loop) == []

    servers["a"].start()
    assert run(jobs.begin(loop, wanted)).attempt == 1
    assert row_of(loop).state == "running"
    assert (tmp_path / "runs").read_text() == "run\n"


@one_kind
class TestTwoHosts:
    """Where a job goes when there is a choice."""

    @pytest.fixture
    def servers(self, ssh_server: Any) -> dict[str, Any]:
        return {name: ssh_server(name) for name in "ab"}

    def test_a_job_moves_on_only_when_it_must_have_ended_on_the_host_that_is_away(
        self, loop: Loop, clock: Any, folder: Any, servers: dict[str, Any]
    ) -> None:
        wanted = request("sleep 600", fence_s=30.0)
        assert run(jobs.begin(loop, wanted)).host == "a"
        servers["a"].stop()
        with pytest.raises(JobOutOfSight):
            run(jobs.begin(loop, wanted, patience_s=0.1))
        clock.now += 30.0 + MARGIN_S - 1
        with pytest.raises(JobOutOfSight):
            run(jobs.begin(loop, wanted, patience_s=0.1))
        clock.now += 2
        row = run(jobs.begin(loop, wanted, patience_s=0.1))
        assert (row.host, row.attempt) == ("b", 2)
        assert job_status(folder("b"), ID).state == "running"

    def test_gpus_are_shared_by_what_is_free_and_what_is_held(
        self, loop: Loop, folder: Any, tmp_path: Path, servers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ringrift_loop.cluster.ssh import commands

        # A host's PATH is its server's: the stand-in comes first on it.
        driver = tmp_path / "bin" / "nvidia-smi"
        driver.parent.mkdir()
        driver.write_text("#!/bin/sh\nprintf '0, A10, 24000, 23000\\n1, A10, 24000, 9000\\n2, A10, 24000, 24000\\n'\n")
        driver.chmod(0o755)
        action = commands.action
        path = f"PATH={driver.parent}:{ssh_servers.PATH}"
        monkeypatch.setattr(commands, "action", lambda host, name: ["env", path, *action(host, name)])

        def placed(job_id: str, gpus: int, memory: float) -> tuple[str, list[int]]:
            wanted = request("sleep 600", id=job_id, gpus=gpus, gpu_memory_gb=memory)
            row = run(jobs.begin(loop, wanted))
            return row.host, row.gpus

        assert placed("one", 1, 16.0) == ("a", [0])
        assert placed("two", 1, 16.0) == ("b", [0])
        assert placed("three", 1, 8.0) == ("a", [1])
        # GPU 2 is free, but the inventory gives the loop two.
        with pytest.raises(NoCapacity, match=r"a: 0 of 1 GPUs fit with 16 GiB each \(GPU 0 23000 of 24000 MiB free"):
            placed("four", 1, 16.0)
        run(jobs.cancel(loop, "one"))
        assert placed("four", 1, 16.0) == ("a", [0])


def test_a_host_that_may_have_heard_a_question_has_its_job_for_the_whole_fence_again(
    loop: Loop, clock: Any, folder: Any, ssh_host: Any, servers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringrift_loop.cluster.ssh.connection import SSHHost

    run(jobs.begin(loop, request("sleep 600")))
    clock.now += 500
    run_command = SSHHost.run

    async def cut_in_the_middle(self: SSHHost, line: str, **options: Any) -> Any:
        asking = asyncio.create_task(run_command(self, f"sleep 5; {line}", **options))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(servers["a"].cut)
        return await asking

    monkeypatch.setattr(SSHHost, "run", cut_in_the_middle)
    with pytest.raises(JobOutOfSight):
        run(jobs.follow(loop, ID, lambda _: None, patience_s=0.1))
    assert row_of(loop).last_contact_at == clock.now


class Liar(LocalTransport):
    """A host that answers what it likes about a job's log and state."""

    def __init__(self, host: HostDirectory, **lies: Any) -> None:
        super().__init__(host)
        self._lies, self.asked = lies, 0

    async def job_status(self, job_id: str, log_offset: int | None = None) -> JobStatus:
        self.asked += 1
        assert self.asked < 5000, "it is asked for ever"
        return replace(await super().job_status(job_id, None), **self._lies)


@pytest.fixture
def lying(loop: Loop, tmp_path: Path) -> Callable[..., tuple[Loop, list[str], Callable[[], JobStatus]]]:
    """A job on a host that lies; the loop, what its follower said, and the follower."""

    def begun(line: str, until: float, **lies: Any) -> tuple[Loop, list[str], Callable[[], JobStatus]]:
        text = f"standard_hosts:\n  c: {{transport: local, role: training, root: {tmp_path}/hosts/c}}\n"
        local = replace(loop, inventory=parse_inventory(text, "hosts.yaml"))
        run(jobs.begin(local, request(line)))
        host, said = Liar(HostDirectory(tmp_path / "hosts" / "c"), **lies), list[str]()

        def follow() -> JobStatus:
            following = jobs.follow(
                local, ID, said.append, until=until, poll_s=0.01, transports=lambda *_: host, patience_s=1.0
            )
            status: JobStatus = run(following)
            return status

        return local, said, follow

    return begun


@one_kind
@pytest.mark.parametrize(
    "lies",
    [
        {"log": "", "log_next": 0, "log_size": 1 << 40},
        {"log": "x", "log_next": 1, "log_size": 1 << 52},
        {"log": "x" * 100_000, "log_next": 5, "log_size": 1 << 52},
        {"log": "\x1b[2J\n" * 20_000, "log_next": 1, "log_size": 1 << 20},
    ],
    ids=["nothing", "one letter", "no line", "escapes"],
)
def test_a_log_without_end_is_cut_off_and_the_job_s_end_is_seen(lying: Any, folder: Any, lies: dict[str, Any]) -> None:
    _, said, follow = lying("true", float("inf"), state="succeeded", **lies)
    assert follow().state == "succeeded"
    assert sum(map(len, said)) < 18 << 20
    assert not any("\x1b" in line for line in said)


@one_kind
def test_a_job_that_its_host_calls_running_for_ever_is_ended_at_the_deadline(
    lying: Any, folder: Any, clock: Any
) -> None:
    local, _, follow = lying("sleep 600", clock.now, state="running")
    assert follow().state == "failed"
    assert job_status(folder("c"), ID).state == "cancelled"
    with pytest.raises(JobFaulty, match="still running long past its time limit"):
        run(jobs.collect(local, ID))
    assert row_of(local).state == "failed"


@one_kind
def test_a_host_that_does_not_answer_gets_no_job_and_the_reason_is_told(loop: Loop, servers: dict[str, Any]) -> None:
    servers["a"].stop()
    with pytest.raises(NoCapacity, match=r"has room for the job now: a: .*listens"):
        run(jobs.begin(loop, request("true")))


@one_kind
def test_requests_that_make_no_sense_are_refused(loop: Loop) -> None:
    for changes, said in (
        ({"role": "cooking"}, "a job's role must be one of"),
        ({"role": "selfplay"}, "no enabled host of the inventory has the role selfplay"),
        ({"gpu_memory_gb": 4.0}, "gpu_memory_gb only with gpus"),
        ({"id": "../x"}, "job's id must match"),
        ({"limit_s": 0.0}, "limit_s and fence_s must be above 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            run(jobs.begin(loop, request("true", **changes)))


@one_kind
def test_one_gpu_is_never_given_to_two_jobs(loop: Loop) -> None:
    place = Placement("0" * 64, "training", "a", [0, 1], 900.0)
    with loop.ledger.begin() as conn:
        rows.place(conn, "one", place, at=1.0)
        with pytest.raises(LedgerError, match="GPU 1 of a was given to job one meanwhile"):
            rows.place(conn, "two", replace(place, gpus=[1]), at=2.0)
        with pytest.raises(LedgerError, match="job one was placed on a and may run there"):
            rows.place(conn, "one", place, at=2.0)


@one_kind
def test_the_inventory_bounds_what_a_host_may_offer(loop: Loop) -> None:
    host = replace(loop.inventory.hosts["a"], gpu_count=1, gpu_memory_gb=16.0)
    offer = Offer(host, (Gpu(0, 24000, 24000),))
    assert choose([offer], request("true", gpus=1, gpu_memory_gb=16.0), []) == (host, [0])
    for gpus, memory in ((1, 20.0), (2, 1.0)):
        with pytest.raises(NoCapacity):
            choose([offer], request("true", gpus=gpus, gpu_memory_gb=memory), [])


@one_kind
def test_a_running_job_that_nobody_asks_for_is_found_by_the_audit(loop: Loop, clock: Any) -> None:
    with loop.ledger.begin() as conn:
        rows.place(conn, "one", Placement("0" * 64, "training", "a", [], 900.0), at=clock.now)
    assert verify(loop) == []
    clock.now += 901
    assert [str(finding) for finding in verify(loop)] == ["job: one: is placed on a, not asked about for 901 s"]
