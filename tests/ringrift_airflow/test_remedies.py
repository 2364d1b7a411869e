"""One meaning per error: each class at every border that decides whether something is tried again."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk import RetryAction
from sqlalchemy.exc import OperationalError

from ringrift_airflow.commands import run_process
from ringrift_airflow.dag_defaults import RETRY_POLICY
from ringrift_loop import errors
from ringrift_loop.cluster.agent.job_failure import Ending, classify, error_of
from ringrift_loop.errors import ConfigError, LedgerAway, LoopError, Remedy, as_loop_error
from ringrift_loop.layout import HostDirectory, JobFolder
from ringrift_loop.ledger.database import Ledger

EXIT_STATUS = {Remedy.FAIL: 1, Remedy.TRY_AGAIN: 75, Remedy.WAIT: 75}
COMMAND = """
import sys
from ringrift_loop import errors
from ringrift_loop.cli.entry import run
def fails(): raise getattr(errors, sys.argv[1])("what it said")
sys.exit(run("train", fails))
"""


def _kinds(kind: type[LoopError] = LoopError) -> Iterator[type[LoopError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _kinds(below)


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = HostDirectory(tmp_path).job("ab12")
    folder.root.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("kind", [*_kinds()], ids=lambda kind: kind.__name__)
def test_every_border_reads_the_remedy_of_the_class(kind: type[LoopError], job: JobFolder) -> None:
    command = (sys.executable, "-c", COMMAND, kind.__name__)
    again = kind.remedy is not Remedy.FAIL

    ended = subprocess.run(command, env=os.environ | {"RINGRIFT_FAILURE_FILE": str(job.failure)}, check=False)
    assert ended.returncode == (2 if kind is ConfigError else EXIT_STATUS[kind.remedy])

    on_host = classify(job, Ending(ended.returncode))
    assert on_host is not None
    assert (error_of(on_host.failure_class, "").remedy is not Remedy.FAIL) == again

    with pytest.raises(kind, match="what it said") as caught:
        run_process(command, env=os.environ)
    assert type(caught.value) is kind

    decision = RETRY_POLICY.evaluate(caught.value, try_number=1, max_tries=3)
    assert (decision.action, bool(decision.retry_delay)) == (RetryAction.RETRY if again else RetryAction.FAIL, again)


def test_the_tree_at_the_top_is_that_of_the_classes() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "  " in line]
    drawn = [(line[:35].lstrip("│├└─ ").split(" ")[0], line[35:46].strip()) for line in lines]
    assert drawn and sorted(drawn) == sorted((kind.__name__, str(kind.remedy)) for kind in _kinds())


@pytest.mark.parametrize(
    ("name", "remedy"),
    {
        **dict.fromkeys(("ConfigError", "DataError", "GateError", "IllegalMoveError", "LedgerError"), Remedy.FAIL),
        **dict.fromkeys(("ModelError", "HostKeyRefused", "LoginRefused", "JobFaulty", "JobOutOfMemory"), Remedy.FAIL),
        **dict.fromkeys(("HostUnreachable", "RemoteJobFailed", "JobInterrupted", "LedgerAway"), Remedy.TRY_AGAIN),
        **dict.fromkeys(("NoCapacity", "JobOutOfSight"), Remedy.WAIT),
        "TrainingStopped": Remedy.TRY_AGAIN,
    }.items(),
)
def test_what_a_person_must_mend_fails_and_what_passes_by_itself_is_tried_again(name: str, remedy: Remedy) -> None:
    assert getattr(errors, name).remedy is remedy


def test_a_locked_ledger_is_tried_again_and_a_missing_table_is_not_ours_to_judge(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode=WAL")
    holder.execute("BEGIN IMMEDIATE")
    ledger = Ledger.open(f"sqlite:///{path}")
    with pytest.raises(OperationalError) as missing, ledger.read() as conn:
        conn.exec_driver_sql("SELECT * FROM gone")
    assert as_loop_error(missing.value) is None
    with pytest.raises(OperationalError) as locked, ledger.read() as conn:
        conn.exec_driver_sql("PRAGMA busy_timeout=1")
        conn.exec_driver_sql("CREATE TABLE x (y)")
    assert isinstance(as_loop_error(locked.value), LedgerAway)
    assert RETRY_POLICY.evaluate(locked.value, 1, 3).action is RetryAction.RETRY
    holder.close()
    ledger.close()


def test_a_kind_of_error_that_only_the_child_knows_is_raised_as_what_it_is_a_kind_of() -> None:
    code = (
        "from ringrift_loop.cli.entry import run; from ringrift_loop.promotion.rules import ContestOutdated\n"
        "def fails(): raise ContestOutdated('judged', 'square8_2p')\n"
        "raise SystemExit(run('promote', fails))"
    )
    with pytest.raises(errors.GateError, match="judged"):
        run_process((sys.executable, "-c", code), env=os.environ)


def test_a_bug_in_a_child_fails_at_once() -> None:
    code = "from ringrift_loop.cli.entry import run; raise SystemExit(run('train', lambda: 1 // 0))"
    with pytest.raises(errors.JobFaulty, match="ZeroDivisionError"):
        run_process((sys.executable, "-c", code), env=os.environ)


def test_a_library_that_says_in_words_that_memory_ran_out_is_believed(job: JobFolder) -> None:
    job.failure.write_text('{"error": "RuntimeError", "message": "CUDA error", "remedy": "fail"}')
    job.log.write_bytes(b"RuntimeError: CUDA error: out of memory")
    found = classify(job, Ending(1))
    assert found is not None
    assert found.failure_class == "out_of_memory"


def test_the_failure_of_an_earlier_version_has_the_remedy_of_its_class(job: JobFolder) -> None:
    job.failure.write_text('{"error": "NoCapacity", "message": "lease held"}')
    found = classify(job, Ending(75))
    assert found is not None
    assert found.failure_class == "retryable"
