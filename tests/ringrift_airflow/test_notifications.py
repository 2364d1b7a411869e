"""Notifications through a notifier that the configuration names, and what is refused before one is needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import stuck_training
from ringrift_airflow.notifications import notify_failure, notify_move
from ringrift_loop.cli.entry import main

NOTIFIER = f"""{stuck_training.NOTIFIER}

class Broken(ToFile):
    def __init__(self, **arguments):
        raise ValueError("no connection")


not_a_class = 5
"""
Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """A configuration with this notifier; returns the file that it writes to."""
    (tmp_path / "told_by_test.py").write_text(NOTIFIER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = tmp_path / "told"

    def write(notifier: str = "told_by_test.ToFile", **arguments: str) -> Path:
        arguments = arguments or {"text": "loop: {{ ringrift_message }}", "file": str(told)}
        config = {"notifications": {"notifier": notifier, "arguments": arguments}}
        (tmp_path / "loop.yaml").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("RINGRIFT_CONFIG", str(tmp_path / "loop.yaml"))
        return told

    return write


def _context(record: dict[str, Any] | None = None, **more: Any) -> Any:
    instance = SimpleNamespace(
        dag_id="ringrift_training",
        task_id="train",
        map_index=3,
        xcom_pull=lambda task_ids, map_indexes: record if map_indexes == 3 else None,
    )
    return {"ti": instance, **more}


def _record(status: str) -> dict[str, Any]:
    return {
        "variant": "hex8_2p",
        "status": status,
        "model_digest": "ab" * 32,
        "generation": 3,
        "reason": "it is\nbetter",
    }


def test_a_failure_is_told_in_one_line(configure: Configure) -> None:
    told = configure()
    notify_failure(_context(exception=ValueError("no\nroom\x1b[2J")))
    assert told.read_text() == "loop: ringrift_training.train failed: no; room?[2J\n"


def test_promotions_and_rollbacks_are_told_and_a_champion_that_was_kept_is_not(configure: Configure) -> None:
    told = configure()
    for status in ("promoted", "kept"):
        notify_move(_context(_record(status)))
    shadow = {"variant": "hex8_2p", "games": 16}
    for watch in (None, {"answer": "open", "rollback": None}, {"answer": "worse", "rollback": _record("rolled_back")}):
        notify_move(_context(shadow | {"watch": watch}))
    assert told.read_text().splitlines() == [
        "loop: hex8_2p: abababababab is the champion, generation 3. it is; better",
        "loop: hex8_2p: abababababab is the champion again, generation 3. it is; better",
    ]


def test_nobody_is_told_by_default(tmp_path: Path) -> None:
    notify_failure(_context(exception=ValueError("x")))
    notify_move(_context(_record("promoted")))


def test_a_notifier_that_breaks_fails_nothing(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    configure("told_by_test.Broken")
    with caplog.at_level(logging.ERROR):
        notify_failure(_context(exception=ValueError("x")))
    assert "told_by_test.Broken could not tell: ringrift_training.train failed: x" in caplog.text


def _as_list(callbacks: Any) -> list[Any]:
    """Airflow keeps one callback as it is, several as a sequence."""
    return [callbacks] if callable(callbacks) else list(callbacks or ())


def test_every_task_tells_of_its_failure_and_the_moves_of_the_pointer_are_told() -> None:
    from ringrift_airflow.dag_pages import load_dags

    dags = load_dags(Path(__file__).resolve().parents[2] / "dags")
    tasks = [task for dag in dags.values() for task in dag.tasks]
    assert all(_as_list(task.on_failure_callback) == [notify_failure] for task in tasks)
    moves = {f"{task.dag_id}.{task.task_id}" for task in tasks if _as_list(task.on_success_callback) == [notify_move]}
    assert moves == {
        "ringrift_training.promote",
        "ringrift_promote.promote",
        "ringrift_rollback.roll_back",
        "ringrift_shadow_tournament.play_shadow_games",
    }


def test_a_notifier_that_works_is_no_mistake(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    assert main(["config", "check"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize(
    ("notifier", "arguments", "sentence"),
    [
        ("told_by_test", {}, "must be an import path, such as airflow.providers.smtp"),
        ("told_by_test.Nobody", {}, "AttributeError: module 'told_by_test' has no attribute 'Nobody'"),
        ("no_such_module.ToFile", {}, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("told_by_test.not_a_class", {}, "it is no class with a method notify"),
        ("told_by_test.ToFile", {"txt": "x"}, "it does not take notifications.arguments: TypeError"),
    ],
)
def test_a_notifier_that_cannot_work_is_refused_with_a_sentence(
    configure: Configure, capsys: pytest.CaptureFixture[str], notifier: str, arguments: dict[str, str], sentence: str
) -> None:
    configure(notifier, **arguments)
    assert main(["config", "check"]) == 2
    assert sentence in capsys.readouterr().err
