"""The deadline of a training: as Airflow stores it, and its callback on a ledger."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.exc import OperationalError

from new_ledger import new_ledger
from ringrift_airflow import deadlines
from ringrift_airflow.dag_defaults import CLAIM_PATIENCE, CLAIM_RETRIES
from ringrift_airflow.deadlines import RunMade, tell_stuck_training, training_deadline
from ringrift_loop.config import LoopConfig
from ringrift_loop.errors import NoCapacity
from ringrift_loop.ledger import events, state
from ringrift_loop.loop import Loop
from ringrift_loop.training.claim import Standing, run_name
from stuck_training import NOTIFIER, VARIANT, claim_long_ago

RUN = "asset_triggered__1"


@pytest.fixture
def told(tmp_path: Path, run_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A loop with an empty ledger and a notifier that writes to this file."""
    (tmp_path / "stuck_told_by_test.py").write_text(NOTIFIER)
    monkeypatch.syspath_prepend(str(tmp_path))
    told = tmp_path / "told"
    arguments = {"text": "{{ dag_run.dag_run_id }}: {{ ringrift_message }}", "file": str(told)}
    config = {"notifications": {"notifier": "stuck_told_by_test.ToFile", "arguments": arguments}}
    (tmp_path / "loop.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("RINGRIFT_CONFIG", str(tmp_path / "loop.yaml"))
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    return told


def _context(run_after: datetime | None = None, run_state: str = "running") -> dict[str, Any]:
    """What Airflow hands to the callback: the run as its REST API shows it."""
    at = run_after or datetime.now(UTC)
    return {"dag_run": {"dag_run_id": RUN, "state": run_state, "run_after": at.isoformat().replace("+00:00", "Z")}}


def test_airflow_stores_the_deadline_and_reads_it_again() -> None:
    from airflow.serialization.decoders import decode_deadline_alert
    from airflow.serialization.encoders import encode_deadline_alert

    deadline = training_deadline(LoopConfig())
    stored = json.loads(json.dumps(encode_deadline_alert(deadline)))
    read = decode_deadline_alert(stored)
    assert read.interval == timedelta(seconds=LoopConfig().training.stuck_after_seconds)
    assert read.callback.path == "ringrift_airflow.deadlines.tell_stuck_training"
    before = datetime.now(UTC)
    at = read.reference.evaluate_with(session=None, interval=read.interval, dag_id="ringrift_training", run_id=RUN)
    assert before + read.interval <= at <= datetime.now(UTC) + read.interval
    assert encode_deadline_alert(training_deadline(LoopConfig())) == encode_deadline_alert(deadline)  # no new version


def test_the_reference_is_not_one_that_airflow_trips_over_when_a_task_is_cleared() -> None:
    from airflow.models.deadline import ReferenceModels

    assert RunMade().reference_name != ReferenceModels.DagRunQueuedAtDeadline.__name__


def test_a_run_by_hand_is_watched_for_as_long_as_it_asks() -> None:
    assert timedelta(seconds=CLAIM_RETRIES * NoCapacity.pause_s) == CLAIM_PATIENCE


def test_a_stuck_training_is_told_by_the_notifier_and_in_the_history(told: Path) -> None:
    loop = Loop.open()
    run = claim_long_ago(loop, RUN)
    asyncio.run(tell_stuck_training(_context()))
    sentence = f"training run {run} did not end within its limit of 120 min: "
    assert told.read_text().startswith(f"{RUN}: {sentence}it has been open for ")
    with loop.ledger.read() as conn:
        (line,) = [event for event in events.latest(conn, kind="training") if event.data.get("overdue")]
    assert line.variant == VARIANT and line.data["run_id"] == run == run_name(VARIANT, RUN)

    asyncio.run(tell_stuck_training(_context()))  # again, as after a restart of the triggerer
    assert len(told.read_text().splitlines()) == 1
    loop.ledger.close()


def test_without_a_notifier_it_is_in_the_history_alone(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RINGRIFT_CONFIG")
    loop = Loop.open()
    claim_long_ago(loop, RUN)
    asyncio.run(tell_stuck_training(_context()))
    assert not told.exists()
    with loop.ledger.read() as conn:
        assert [event.data.get("overdue") for event in events.latest(conn, kind="training")] == [True]
    loop.ledger.close()


@pytest.mark.parametrize(
    "context",
    [_context(run_state="failed"), _context(run_after=datetime.now(UTC) - CLAIM_PATIENCE - timedelta(minutes=1))],
    ids=["the run has ended", "it asks no more"],
)
def test_a_run_that_gets_no_training_any_more_is_let_go(told: Path, context: dict[str, Any]) -> None:
    asyncio.run(asyncio.wait_for(tell_stuck_training(context), timeout=30))
    assert not told.exists()


def test_a_training_that_is_not_over_its_limit_yet_is_waited_for(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop.open()
    run = claim_long_ago(loop, RUN)
    with loop.ledger.begin() as conn:  # the loop has been up for a little less than the limit
        limit_s = loop.config.training.stuck_after_seconds
        state.put(conn, state.STARTED_AT, time.time() - limit_s + 0.5, at=time.time())
    waited: list[float] = []

    async def sleep(seconds: float, real: Callable[[float], Any] = asyncio.sleep) -> None:
        waited.append(seconds)
        await real(seconds)

    monkeypatch.setattr(deadlines.asyncio, "sleep", sleep)
    asyncio.run(tell_stuck_training(_context()))
    assert run in told.read_text()
    assert len(waited) >= 1 and all(0 < seconds <= 0.5 for seconds in waited)
    loop.ledger.close()


def test_a_ledger_that_is_away_is_asked_again(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [
        OperationalError("select", {}, Exception("database is locked")),
        Standing(None, "it is stuck"),
    ]

    def look(*_: object, **__: object) -> Standing:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    monkeypatch.setattr("ringrift_loop.training.claim.look", look)
    monkeypatch.setattr(deadlines, "_AWAY_S", 0.01)
    asyncio.run(tell_stuck_training(_context()))
    assert told.read_text() == f"{RUN}: it is stuck\n"
