"""Detached jobs on a host: one copy whatever happens, and an ending that is always written down."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ringrift_loop.cluster.agent import host_jobs, job_failure, job_supervisor
from ringrift_loop.cluster.agent.host_jobs import finish_job, job_status, start_job, stop_job
from ringrift_loop.cluster.agent.job_record import JobSpec, JobStatus
from ringrift_loop.cluster.agent.job_supervisor import Supervisor
from ringrift_loop.layout import HostDirectory, JobFolder
from ringrift_loop.machine.processes import marked_processes
from ringrift_loop.selfplay.pace import Allowance, write_allowance

ID = "ab12"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HostDirectory]:
    made = HostDirectory(tmp_path / "host")
    yield made
    if made.jobs.exists():
        for folder in made.jobs.iterdir():
            if folder.is_dir():
                stop_job(made, folder.name)


def python(code: str, *words: str, limit_s: float = 60.0, fence_s: float = 60.0) -> JobSpec:
    return JobSpec((sys.executable, "-S", "-c", code, *words), limit_s, fence_s)


def shell(line: str, **limits: float) -> JobSpec:
    return JobSpec(("sh", "-c", line), limits.get("limit_s", 60.0), limits.get("fence_s", 60.0))


def wait(found: Callable[[], bool], within_s: float = 20.0) -> None:
    over = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < over, "it did not happen in time"
        time.sleep(0.02)


def ended(host: HostDirectory) -> JobStatus:
    wait(lambda: job_status(host, ID).ended)
    return job_status(host, ID, 0)


def family(host: HostDirectory) -> list[int]:
    """Every live process that belongs to the job, by the token in its environment."""
    supervisor = Supervisor.read(host.job(ID).process)
    assert supervisor is not None
    return [process.pid for process in marked_processes("RINGRIFT_JOB_TOKEN", supervisor.token)]


def test_a_job_runs_in_its_folder_and_gives_its_last_line(host: HostDirectory) -> None:
    line = 'echo "$PWD $CUDA_VISIBLE_DEVICES" >&2; echo talk; echo "{\\"path\\": \\"$1\\"}"; cat {input}/x > {output}/y'
    spec = JobSpec(("sh", "-c", line, "sh", "{root}/models"), 60.0, 60.0, gpus=(1, 3))
    host.job(ID).input.mkdir(parents=True)
    (host.job(ID).input / "x").write_text("hello")

    assert start_job(host, ID, spec).state in ("running", "succeeded")

    status = ended(host)
    assert (status.state, status.digest, status.collected) == ("succeeded", spec.digest, False)
    assert json.loads(status.result or "") == {"path": f"{host.root}/models"}
    assert status.log == f"{host.job(ID).root} 1,3\n"
    assert (host.job(ID).output / "y").read_text() == "hello"


@pytest.mark.parametrize(("allowance", "room"), [(None, 100.0), (Allowance(duty=0.5, room=64.0), 64.0)])
def test_a_job_is_told_how_much_of_the_machine_it_leaves_to_strangers(
    host: HostDirectory, allowance: Allowance | None, room: float
) -> None:
    if allowance is not None:
        write_allowance(host, allowance)
    start_job(host, ID, shell('echo "{\\"room\\": $RINGRIFT_CPU_ROOM}"'))
    assert json.loads(ended(host).result or "") == {"room": room}


def test_two_starts_at_once_make_one_process(host: HostDirectory, tmp_path: Path) -> None:
    spec = shell(f"echo $$ >> {tmp_path}/started; sleep 60")
    threads = [threading.Thread(target=start_job, args=(host, ID, spec)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert start_job(host, ID, spec).state == "running"
    wait(lambda: (tmp_path / "started").exists())
    assert len((tmp_path / "started").read_text().split()) == 1


def test_a_starter_that_is_killed_after_the_spawn_leaves_no_chance_for_a_second_copy(
    host: HostDirectory, tmp_path: Path
) -> None:
    spec = shell(f"echo $$ >> {tmp_path}/started; sleep 60")
    starter = (
        "import os, sys; from pathlib import Path\n"
        "from ringrift_loop.cluster.agent import host_jobs\n"
        "from ringrift_loop.cluster.agent.job_record import JobSpec\n"
        "from ringrift_loop.layout import HostDirectory\n"
        "spawn = host_jobs.spawn_detached\n"
        "def spawn_and_die(*words, **more): spawn(*words, **more); os._exit(9)\n"
        "host_jobs.spawn_detached = spawn_and_die\n"
        "host_jobs.start_job(HostDirectory(Path(sys.argv[1])), sys.argv[2], JobSpec(tuple(sys.argv[3:]), 60.0, 60.0))"
    )
    command = [sys.executable, "-c", starter, str(host.root), ID, *spec.command]
    assert subprocess.run(command, check=False).returncode == 9

    assert start_job(host, ID, spec).state == "running"

    wait(lambda: (tmp_path / "started").exists())
    assert len((tmp_path / "started").read_text().split()) == 1


def test_ten_megabytes_of_output_block_nothing_and_come_in_parts(host: HostDirectory) -> None:
    code = (
        "import sys\nfor _ in range(10): sys.stderr.write('x' * 999_999 + '\\n'); print('y' * 1_000_000)\nprint('{}')"
    )
    start_job(host, ID, python(code))
    status = ended(host)
    assert (status.state, status.result, status.log_size) == ("succeeded", "{}", 10_000_000)
    assert 0 < status.log_next < 1_000_000
    later = job_status(host, ID, 9_999_999)
    assert (later.log, later.log_next) == ("\n", 10_000_000)


def test_a_killed_job_is_retryable_and_says_what_it_said(host: HostDirectory) -> None:
    start_job(host, ID, shell("echo soon over >&2; kill -9 $$"))
    failure = ended(host).failure
    assert failure is not None
    assert (failure.failure_class, failure.stage, failure.signal) == ("retryable", "run", 9)
    assert failure.stderr == "soon over\n"
    assert "ended from outside by SIGKILL" in failure.message


@pytest.mark.parametrize(
    ("line", "kind", "said"),
    [
        ("exit 75", "retryable", "another try"),
        ("kill -15 $$", "retryable", "SIGTERM"),
        ("exit 143", "retryable", "SIGTERM"),
        ("echo oops >&2; exit 3", "code", "exit status 3: oops"),
        ("kill -11 $$", "code", "signal 11"),
        ("echo 'torch.OutOfMemoryError: CUDA out of memory. Tried' >&2; exit 1", "out_of_memory", "memory"),
        (f"{sys.executable} -S -c 'raise MemoryError'", "out_of_memory", "memory"),
        ("ringrift-loop host run-job --root . --id a/b", "data", "ConfigError: "),
        ("echo '{}' | ringrift-loop host report --root .", "data", "DataError: a request of version 2"),
        ("no-such-program", "code", "exit status 127"),
    ],
)
def test_failures_have_a_class(host: HostDirectory, line: str, kind: str, said: str) -> None:
    start_job(host, ID, shell(line))
    failure = ended(host).failure
    assert failure is not None
    assert (failure.failure_class, said in failure.message) == (kind, True), failure


def test_a_kill_is_for_memory_when_the_kernels_count_has_grown(host: HostDirectory) -> None:
    folder = host.job(ID)
    folder.root.mkdir(parents=True)
    for ending in (job_failure.Ending(signal=9, killed_for_memory=True), job_failure.Ending(137, None, True)):
        failure = job_failure.classify(folder, ending)
        assert failure is not None
        assert failure.failure_class == "out_of_memory"


def test_a_program_that_does_not_exist_is_a_failure_of_the_start(host: HostDirectory) -> None:
    start_job(host, ID, JobSpec(("no-such-program",), 60.0))
    failure = ended(host).failure
    assert failure is not None
    assert (failure.stage, failure.failure_class) == ("start", "code")


# A grandchild that leaves the session and ignores SIGTERM; its parent waits for it.
STUBBORN = (
    "import os, signal, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    open(sys.argv[1], 'w').close(); time.sleep(600)\n"
    "os.wait()"
)


def test_a_cancel_ends_grandchildren_too(host: HostDirectory, tmp_path: Path) -> None:
    start_job(host, ID, python(STUBBORN, f"{tmp_path}/up"))
    wait((tmp_path / "up").exists)
    assert len(family(host)) == 2

    status = stop_job(host, ID)

    assert status.state == "cancelled"
    assert family(host) == []
    assert stop_job(host, ID).state == "cancelled"


def test_a_job_that_hangs_is_ended_at_its_limit(
    host: HostDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_job(host, ID, python(STUBBORN, f"{tmp_path}/up", limit_s=0.5))
    failure = ended(host).failure
    assert failure is not None
    assert (failure.failure_class, failure.message) == ("code", "it did not end within its limit of 0.5 s")
    assert family(host) == []


# Takes 20 MiB at a time, 600 at most, in a child of its own session.
GROWING = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid(); kept = []\n"
    "    for _ in range(30): kept.append(b'x' * (20 << 20)); time.sleep(0.1)\n"
    "    time.sleep(600)\n"
    "os.wait()"
)


def test_a_job_that_grows_is_ended_with_its_figures_and_its_neighbour_goes_on(host: HostDirectory) -> None:
    start_job(host, "neighbour", structs.replace(python(GROWING.replace("30", "2")), memory_gb=0.2))
    start_job(host, ID, structs.replace(python(GROWING), memory_gb=0.2))

    failure = ended(host).failure

    assert failure is not None
    said = re.match(r"it used (\d\.\d+) GiB of its 0\.2\d* GiB; ", failure.message)
    assert said is not None and 0.2 < float(said[1]) <= 0.6, failure.message
    assert (failure.failure_class, failure.stage) == ("out_of_memory", "run")
    assert "raise resource_targets.job_memory_gb" in failure.message
    assert family(host) == []
    assert job_status(host, "neighbour").state == "running"


def test_a_job_that_nobody_asks_for_ends_by_itself_and_one_that_is_asked_for_goes_on(host: HostDirectory) -> None:
    start_job(host, ID, shell("sleep 600", fence_s=1.5))
    for _ in range(10):
        time.sleep(0.25)
        assert job_status(host, ID).state == "running"
    wait(host.job(ID).exit.exists)
    status = job_status(host, ID)
    assert status.failure is not None
    assert status.failure.failure_class == "retryable"
    assert "the coordinator did not ask for" in status.failure.message
    assert family(host) == []


def test_a_supervisor_that_is_killed_takes_its_job_along_and_the_next_start_runs_anew(
    host: HostDirectory, tmp_path: Path
) -> None:
    spec = python(STUBBORN, f"{tmp_path}/up")
    start_job(host, ID, spec)
    wait((tmp_path / "up").exists)
    supervisor = Supervisor.read(host.job(ID).process)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    # The kernel ends the job's own process at once, the grandchild goes when somebody asks.
    wait(lambda: len(family(host)) == 1)

    status = job_status(host, ID)
    assert status.failure is not None
    assert status.failure.failure_class == "retryable"
    assert family(host) == []

    assert start_job(host, ID, spec).state == "running"
    again = Supervisor.read(host.job(ID).process)
    assert again is not None
    assert again.token != supervisor.token


def test_what_a_job_leaves_running_ends_with_it(host: HostDirectory) -> None:
    start_job(host, ID, shell("setsid sleep 600 & echo '{}'"))
    assert ended(host).state == "succeeded"
    assert family(host) == []


@pytest.mark.parametrize("stream", [1, 2])
def test_a_job_that_prints_without_end_is_ended_and_its_log_is_cut(host: HostDirectory, stream: int) -> None:
    start_job(host, ID, shell(f"yes 'all work and no play' >&{stream}"))
    status = ended(host)
    assert status.failure is not None
    assert (status.failure.failure_class, status.failure.message[:31]) == ("code", "it printed more than 64 MiB; re")
    folder = host.job(ID)
    assert folder.log.stat().st_size + folder.stdout.stat().st_size == job_supervisor.OUTPUT_LIMIT_BYTES
    assert family(host) == []


def test_a_result_is_kept_until_it_is_taken_and_then_the_job_runs_anew(host: HostDirectory, tmp_path: Path) -> None:
    spec = shell(f"echo run >> {tmp_path}/runs; echo '{{}}'")
    start_job(host, ID, spec)
    ended(host)
    assert start_job(host, ID, spec).state == "succeeded"
    assert finish_job(host, ID).collected
    start_job(host, ID, spec)
    wait(lambda: job_status(host, ID).state == "succeeded")
    assert not job_status(host, ID).collected
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_a_running_job_is_left_alone_by_another_command_and_a_failed_one_is_not(host: HostDirectory) -> None:
    first, other = shell("sleep 600"), shell("echo '{}'")
    start_job(host, ID, first)
    assert start_job(host, ID, other).digest == first.digest
    stop_job(host, ID)
    start_job(host, ID, other)
    assert ended(host).digest == other.digest


def test_the_last_three_attempts_are_kept(host: HostDirectory) -> None:
    for number in range(6):
        start_job(host, ID, shell(f"echo {number} >&2; exit 1"))
        ended(host)
    kept = sorted(host.earlier_attempts(ID).iterdir())
    assert [(folder / "log").read_text() for folder in kept] == ["2\n", "3\n", "4\n"]


@pytest.fixture
def put(host: HostDirectory) -> Callable[..., JobFolder]:
    """Let a job end, and then let time go by."""

    def put(job_id: str, line: str, *, hours: float, taken: bool = False) -> JobFolder:
        start_job(host, job_id, shell(line))
        wait(lambda: job_status(host, job_id).ended)
        if taken:
            finish_job(host, job_id)
        folder = host.job(job_id)
        (folder.output / "weights").write_text("x")
        for path in (folder.root, *folder.root.iterdir()):
            os.utime(path, (time.time() - hours * 3600,) * 2)
        return folder

    return put


def test_what_nobody_needs_any_more_is_pruned_when_another_job_starts(
    host: HostDirectory, put: Callable[..., JobFolder]
) -> None:
    just_taken = put("just-taken", "exit 0", hours=0.5, taken=True)
    taken = put("taken", "echo the end >&2", hours=2, taken=True)
    long_taken = put("long-taken", "exit 0", hours=200, taken=True)
    not_taken = put("not-taken", "exit 0", hours=2000)
    failed = put("failed", "exit 1", hours=100)
    long_failed = put("long-failed", "exit 1", hours=200)
    only_sent = host.job("only-sent").input
    only_sent.mkdir(parents=True)
    start_job(host, "running", shell("sleep 600"))
    asked = host.job("running").renewed.stat().st_mtime_ns
    odd = host.jobs / "not a job"
    odd.mkdir()

    host_jobs.prune_jobs(host)

    assert [(one.output / "weights").exists() for one in (just_taken, not_taken, failed)] == [True, True, True]
    assert not taken.output.exists() and not taken.input.exists()
    assert taken.log.read_text() == "the end\n" and job_status(host, "taken").collected
    assert not long_taken.root.exists() and not long_failed.root.exists()
    assert not host.job_lock("long-failed").exists() and host.job_lock("failed").exists()
    assert only_sent.exists() and odd.exists()
    assert host.job("running").renewed.stat().st_mtime_ns == asked
    assert job_status(host, "running").state == "running"
    odd.rmdir()


def test_a_start_prunes_other_jobs(host: HostDirectory, put: Callable[..., JobFolder]) -> None:
    old = put("old", "exit 1", hours=200)
    start_job(host, ID, shell("sleep 600"))
    assert not old.root.exists()


def test_a_lock_that_was_removed_by_its_holder_counts_for_nobody(
    host: HostDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    opened, flock = threading.Event(), fcntl.flock

    def tell(file: int, operation: int) -> None:
        opened.set()
        flock(file, operation)

    with host_jobs._lock(host, ID):
        monkeypatch.setattr(fcntl, "flock", tell)
        waiting = threading.Thread(target=lambda: _take(host, order))
        waiting.start()
        assert opened.wait(10)
        host.job_lock(ID).unlink()
        order.append("removed")
    waiting.join(10)
    assert order == ["removed", "taken"]


def _take(host: HostDirectory, order: list[str]) -> None:
    with host_jobs._lock(host, ID):
        with pytest.raises(BlockingIOError), host_jobs._lock(host, ID, wait=False):
            pass
        order.append("taken")


def test_a_job_nobody_started_is_absent(host: HostDirectory) -> None:
    for ask in (job_status, stop_job, finish_job):
        assert ask(host, ID).state == "absent"
