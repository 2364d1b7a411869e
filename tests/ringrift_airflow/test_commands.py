from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from ringrift_airflow import commands
from ringrift_airflow.commands import run_process
from ringrift_loop.errors import DataError, GateError, JobFaulty, JobInterrupted, JobOutOfMemory

ENV = dict(os.environ)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def wait_for_file(path: Path) -> str:
    for _ in range(200):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} was not written")


def is_running(pid: int) -> bool:
    """A zombie whose new parent has not taken note of it is not running."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_last_json_line_is_the_result_whatever_is_said_before_it() -> None:
    code = "import sys; print('step 1'); print('talk', file=sys.stderr); print('{\"games\": 3}')"
    assert run_process(python(code), env=ENV) == {"games": 3}


def test_ten_megabytes_of_output_do_not_block_the_command() -> None:
    code = "import sys; sys.stderr.write(('y' * 1023 + '\\n') * 10240); print('{}')"
    assert run_process(python(code), env=ENV) == {}


def test_talk_goes_to_the_log_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="ringrift_airflow.commands")
    run_process(python("import sys; print('first\\nsecond', file=sys.stderr); print('{}')"), env=ENV)
    assert [line for line in caplog.messages if line in ("first", "second")] == ["first", "second"]


def test_failure_carries_the_status_and_the_end_of_what_was_said() -> None:
    with pytest.raises(JobFaulty, match=r"status 3(.|\n)*it broke"):
        run_process(python("import sys; print('it broke', file=sys.stderr); sys.exit(3)"), env=ENV)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; print('busy', file=sys.stderr); sys.exit(75)", JobInterrupted),
        ("import os; os.kill(os.getpid(), 9)", JobInterrupted),
        ("import os; os.kill(os.getpid(), 11)", JobFaulty),
        ("raise MemoryError", JobOutOfMemory),
        ("raise SystemExit(2)", JobFaulty),
    ],
)
def test_a_command_that_leaves_no_failure_is_judged_as_a_job_on_a_host_is(code: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        run_process(python(code), env=ENV)
    assert type(caught.value) is error


def test_a_command_that_grows_is_ended_as_out_of_memory_with_its_figures() -> None:
    growing = (
        "import time; kept = []\nfor _ in range(30): kept.append(b'x' * (20 << 20)); time.sleep(0.05)\ntime.sleep(600)"
    )
    with pytest.raises(JobOutOfMemory, match=r"used 0\.\d+ GiB of its 0\.2\d* GiB; .*job_memory_gb"):
        run_process(python(growing), env=ENV, memory_gb=0.2)


def test_a_verdict_counts_only_when_the_command_left_no_failure() -> None:
    code = (
        "from ringrift_loop.cli.entry import run; from ringrift_loop.errors import GateError\n"
        "print('{}', flush=True)\n"
        "def fails(): raise GateError('no game was played')\n"
        "raise SystemExit(run('gate', fails))"
    )
    with pytest.raises(GateError, match="no game was played"):
        run_process(python(code), env=ENV, verdict=True)


def test_success_without_a_result_is_an_error() -> None:
    with pytest.raises(DataError, match="no JSON object"):
        run_process(python("print('done')"), env=ENV)


def test_status_1_with_a_result_is_the_answer_of_a_gate_and_a_failure_of_anything_else() -> None:
    code = python("import sys; print('{\"passed\": false}'); sys.exit(1)")
    assert run_process(code, env=ENV, verdict=True) == {"passed": False}
    with pytest.raises(JobFaulty, match="status 1"):
        run_process(code, env=ENV)


def test_a_gate_that_crashes_has_no_verdict() -> None:
    with pytest.raises(JobFaulty, match="status 1"):
        run_process(python("raise SystemExit('crashed')"), env=ENV, verdict=True)


def test_a_command_runs_at_lower_priority_in_a_session_of_its_own() -> None:
    code = "import os, json; print(json.dumps({'nice': os.nice(0), 'session': os.getsid(0) == os.getpid()}))"
    assert run_process(python(code), env=ENV) == {"nice": min(19, os.nice(0) + 5), "session": True}


def test_sigterm_to_the_task_ends_the_command_and_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    seen = []
    previous = signal.signal(signal.SIGTERM, lambda *_: seen.append("airflow's handler"))

    def cancel() -> None:
        wait_for_file(pid_file)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=cancel)
    killer.start()
    try:
        with pytest.raises(JobInterrupted, match="asked to stop"):
            run_process(python(parent), env=ENV)
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, previous)
    assert seen == ["airflow's handler"]
    assert not is_running(int(pid_file.read_text()))


def test_time_limit_of_the_task_ends_the_command(tmp_path: Path) -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout
    from airflow.sdk.execution_time.timeout import timeout

    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(AirflowTaskTimeout), timeout(2):
        run_process(python(code), env=ENV)
    assert not is_running(int(pid_file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_a_command_ends_when_its_task_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    task = (
        "import os, sys; from ringrift_airflow.commands import run_process; "
        f"run_process((sys.executable, '-c', {child!r}), env=dict(os.environ))"
    )
    process = subprocess.Popen([sys.executable, "-c", task])
    command = psutil.Process(int(wait_for_file(pid_file)))
    process.kill()
    process.wait()
    command.wait(10)  # raises TimeoutExpired when it lives on


@pytest.mark.parametrize("role", ["tournament", "training"])
def test_a_command_that_plays_gets_the_logins_of_connections_and_no_file_holds_them(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"standard_hosts: {{a: {{ssh_host: 192.0.2.1, role: {role}, connection: fleet_a}}, b: {{transport: local}}}}"
    (tmp_path / "hosts.yaml").write_text(text)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    connection = {"conn_type": "ssh", "host": "198.51.100.7", "login": "me", "password": "hush"}
    monkeypatch.setenv("AIRFLOW_CONN_FLEET_A", json.dumps(connection))
    code = "import json, sys; given = sys.argv[2:]; print(json.dumps({'given': [open(p).read() for p in given[1:]]}))"
    monkeypatch.setattr(commands, "loop_command", lambda *_: (*python(code), "shadow"))

    given = commands.run_command("shadow")["given"]

    if role == "training":
        assert given == []
        return
    (login,) = json.loads(given[0])["hosts"].values()
    assert (login["ssh_host"], login["ssh_user"], login["password"]) == ("198.51.100.7", "me", "hush")
    monkeypatch.setattr(commands, "loop_command", lambda *_: (*python(code), "ledger"))
    assert commands.run_command("ledger")["given"] == []
