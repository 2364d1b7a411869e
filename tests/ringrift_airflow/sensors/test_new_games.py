from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from new_ledger import new_ledger
from ringrift_airflow.sensors.new_games import NewGamesSensor
from ringrift_airflow.settings import open_loop
from ringrift_airflow.triggers.new_games import NewGamesTrigger
from ringrift_loop.errors import ConfigError
from ringrift_loop.loop import Loop
from ringrift_loop.training import due


@pytest.fixture
def loop(run_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """212 unconsumed games of one variant and 20 of another."""
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    counts = {"square8_2p": 212, "hex8_2p": 20}
    monkeypatch.setattr(due.games, "pending_by_variant", lambda _conn: counts)
    opened = open_loop()
    yield opened
    opened.ledger.close()


def deferred(**options: Any) -> Any:
    sensor = NewGamesSensor(task_id="wait", **options)
    context: Any = {"params": {"enough": "300"}, "run_id": "manual__1"}
    sensor.render_template_fields(context)
    with pytest.raises(TaskDeferred) as raised:
        sensor.execute(context)
    return raised.value


def test_any_variant_with_enough_games_ends_the_waiting(loop: Loop) -> None:
    trigger = deferred(games=200).trigger
    found = trigger.look(loop)
    assert found.payload == {"variant": "square8_2p", "pending_games": 212}


def test_a_chosen_variant_waits_for_its_own_games_and_tells_how_far_it_is(loop: Loop) -> None:
    few = deferred(variant="square8_2p", games="{{ params.enough }}").trigger.look(loop)
    assert (few.progress, few.payload) == ("square8_2p: 212 of 300 games", None)
    assert deferred(variant="hex8_2p", games=20).trigger.look(loop).payload == {
        "variant": "hex8_2p",
        "pending_games": 20,
    }


def test_a_run_that_is_under_way_keeps_the_training_from_being_due_but_not_a_dag_of_ones_own(loop: Loop) -> None:
    due.request(loop, "square8_2p", asker="another run")
    own = NewGamesTrigger(poll_s=1.0, variant="square8_2p", games=200, asker=None)
    training = NewGamesTrigger(poll_s=1.0, variant="square8_2p", games=200, asker="manual__1")

    assert own.look(loop).payload is not None
    assert training.look(loop).payload is None
    assert training.look(loop).progress.endswith("a training run has been asked for")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"variant": "chess_2p"}, "variant must be one of square8_2p, hex8_2p.*got 'chess_2p'"),
        ({"games": "many"}, "games must be a number, got 'many'"),
        ({"games": 0.5}, "games must be a whole number from 1, got 0.5"),
    ],
)
def test_wrong_arguments_are_refused_when_the_task_runs(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        NewGamesSensor(task_id="wait", **options).execute({"run_id": "manual__1"})  # type: ignore[typeddict-item]
