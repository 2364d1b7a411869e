from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pages import prepared
from ringrift_loop.config import load_effective
from ringrift_loop.ledger import ratings, resources
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources.interventions import Asked, set_halt, set_selfplay_share
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.views.control import ControlState, read_control, settings


def read(loop: Loop) -> ControlState:
    with loop.ledger.read() as conn:
        return read_control(conn, loop, now=loop.clock())


def test_an_empty_ledger_has_no_data_and_no_zeros(open_loop: Callable[..., Loop]) -> None:
    told = read(open_loop())
    assert (told.utilization.cpu, told.utilization.state) == (None, "unknown")
    assert (told.machines, told.negotiations, told.changes, told.pressing) == ([], [], [], [])
    assert [(weight.share, weight.why) for weight in told.weights] == [(0.5, "an equal share")] * 2


def test_machines_weights_and_rates_come_with_their_reasons(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        prepared.fill(conn, loop.clock())
        resources.note_backpressure(
            conn,
            [{"kind": "training", "subject": "hex8_2p", "factor": 0.5, "reason": "900 games wait"}],
            at=loop.clock(),
        )
    told = read(loop)
    assert (told.utilization.cpu, told.utilization.state) == (71.0, "optimal")
    assert told.utilization.why.startswith("OPTIMAL: Utilization 71% within")
    (machine,) = told.machines
    assert (machine.duty, machine.action, machine.why) == (0.9, "hold", "cpu 74% within 60-80%")
    assert machine.strangers == pytest.approx(2.5)  # what runs Airflow here is no stranger
    square, hexagon = told.weights
    assert square.why == (
        "stronger against the heuristic than the others, or promoted later (× 0.80), many games (× 0.90)"
    )
    assert hexagon.why == (
        "weaker against the heuristic than the others, or longer without a promotion (× 1.20), "
        "few games or a slow stream of them (× 1.30), its games wait for training (× 0.50)"
    )
    assert square.share == pytest.approx(0.72 / (0.72 + 0.78))
    assert told.pressing == ["900 games wait"]
    assert [(row.requestor, row.approved) for row in told.negotiations] == [("operator", 360)]
    assert (told.utilization.played, told.utilization.approved, told.utilization.machines) == (360, 360, 1)


def test_a_rate_that_was_approved_is_not_told_as_played(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        prepared.fill(conn, loop.clock())
        resources.negotiate(conn, resources.NegotiationRow(loop.clock(), "ann", "night", 900.0, 900, "granted"))
    assert (read(loop).utilization.played, read(loop).utilization.approved) == (360, 900)


def test_the_curriculum_is_told_by_what_it_looks_at(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        prepared.fill(conn, loop.clock())
        digest = prepared.digest("square8_2p", 11)
        rows = [
            RatingRow("square8_2p", f"{digest}|gumbel16,considered=4", 400.0, 20.0, 400, loop.clock()),
            RatingRow("square8_2p", baseline_id("heuristic", "square8_2p"), 0.0, 20.0, 400, loop.clock()),
        ]
        ratings.replace(conn, "square8_2p", rows, keep_history_of=[])
    square, hexagon = read(loop).weights
    assert square.win_share == pytest.approx(10 / 11)
    assert square.champion_s == pytest.approx(1480.0)
    assert (hexagon.win_share, hexagon.champion_s) == (None, None)


def test_what_a_person_changed_is_told_newest_first(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        set_selfplay_share(conn, 0.5, Asked("bob", "noise"), at=10.0)
        set_halt(conn, True, Asked("ann", "new kernel"), at=20.0)
    told = read(loop)
    assert (told.halted, told.share) == (True, 0.5)
    assert [(change.at, change.user, change.why) for change in told.changes] == [
        (20.0, "ann", "new kernel"),
        (10.0, "bob", "noise"),
    ]


def test_settings_have_their_origin_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "loop.yaml"
    file.write_text(
        "training: {batch_size: 128}\n"
        "notifications:\n"
        "  notifier: a.b.C\n"
        "  arguments: {smtp_password: hunter2, to: me, url: 'https://me:hunter3@host'}\n"
    )
    found = {each.name: each for each in settings(load_effective(file, {"RINGRIFT__TRAINING__WARMUP_STEPS": "9"}))}
    assert (found["training.batch_size"].value, found["training.batch_size"].default) == ("128", "256")
    assert found["training.batch_size"].origin == f"{file}:1"
    assert found["training.warmup_steps"].origin == "environment RINGRIFT__TRAINING__WARMUP_STEPS"
    assert found["training.learning_rate"].origin == "default"
    assert found["training.learning_rate"].help
    arguments = found["notifications.arguments"].value
    assert "hunter" not in arguments
    assert '"to": "me"' in arguments
