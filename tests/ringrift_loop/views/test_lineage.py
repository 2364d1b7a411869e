from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest
from sqlalchemy import update

from model_history import DIGESTS, GAMES, VARIANT, History, fill_history
from ringrift_loop.champions.exchange import ORIGIN
from ringrift_loop.champions.shipped import shipped_cards
from ringrift_loop.config.schema import Training
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import models, training
from ringrift_loop.ledger.schema import training_runs
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.holdout import Gap, Holdout
from ringrift_loop.views.lineage import Lineage, game_lineage, lineage

ONE, TWO, THREE, FOUR, FIVE, SIX = DIGESTS


@pytest.fixture
def history(loop: Loop) -> History:
    with loop.ledger.begin() as conn:
        return fill_history(conn, loop.clock())


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    return open_loop()


def _lineage(loop: Loop, digest: str) -> Lineage:
    with loop.ledger.read() as conn:
        return lineage(conn, digest)


@pytest.mark.usefixtures("history")
def test_a_model_has_its_window_training_parent_gates_and_promotions(loop: Loop) -> None:
    found = _lineage(loop, FOUR)
    assert found.window is not None and found.training is not None
    assert (found.window.new_games, found.window.games, found.window.rows) == (GAMES, 2 * GAMES, 80 * GAMES)
    assert [(share.name, share.generation, share.games) for share in found.window.players] == [(THREE, 3, GAMES)]
    assert [(share.name, share.games) for share in found.window.hosts] == [("local_a", 8), ("local_b", 4)]
    assert (found.training.run, found.training.start, found.training.steps) == ("run-4", "the champion's weights", 2000)
    assert found.start == THREE
    assert [line.digest for line in found.ancestors] == [THREE, ONE]
    assert [(verdict.gate, verdict.passed) for verdict in found.verdicts] == [("regression", True), ("champion", True)]
    assert found.verdicts[1].against == THREE


@pytest.mark.usefixtures("history")
def test_a_training_tells_of_its_data_and_its_holdout_once_its_report_has_them(loop: Loop) -> None:
    before = _lineage(loop, FOUR).training
    assert before is not None and (before.data, before.holdout) == (None, None)
    targets = {"policy_entropy": 2.14, "soft_share": 0.99, "plies": 114.0, "plies_low": 70.0, "plies_high": 170.0}
    targets |= {"unfinished_share": 0.01, "distinct_share": 1.0, "seat_wins": [0.44, 0.56, 0.0, 0.0], "players": 2}
    targets |= {"policy_surprise": 0.31}
    gap = Gap(train=0.30, holdout=0.33, guess=0.69, error=0.02)
    report = {"targets": targets, "holdout": asdict(Holdout(3600, 400, gap, gap))}
    with loop.ledger.begin() as conn:
        conn.execute(update(training_runs).where(training_runs.c.id == "run-4").values(report=report))
    told = _lineage(loop, FOUR).training
    assert told is not None
    assert told.data == (
        "policy targets of 2.14 nats, 0.31 nats from what their players expected, 99% of them soft; 114 plies, nine of "
        "ten games 70 to 170; 1.0% cut off, 100% different openings; seats won 44%, 56%"
    )
    assert told.holdout == Holdout(3600, 400, gap, gap).sentence()
    with loop.ledger.begin() as conn:
        damaged = {"targets": {"policy_entropy": "much"}, "holdout": {"games": -1}}
        conn.execute(update(training_runs).where(training_runs.c.id == "run-4").values(report=damaged))
    told = _lineage(loop, FOUR).training
    assert told is not None and told.data is None and "a training's holdout" in str(told.holdout)


@pytest.mark.usefixtures("history")
def test_a_reign_ends_by_the_next_champion_or_by_a_rollback(loop: Loop) -> None:
    steps = {digest: [(s.status, s.other, s.reign) for s in _lineage(loop, digest).decisions] for digest in DIGESTS}
    assert steps[ONE] == [("promoted", None, 1), ("replaced", THREE, None)]
    assert steps[TWO] == [("rejected", ONE, None)]
    assert steps[THREE] == [("promoted", ONE, 2), ("replaced", FOUR, None), ("rolled_back", FOUR, 4)]
    assert steps[FOUR] == [("promoted", THREE, 3), ("taken_back", THREE, None)]
    assert steps[SIX] == []


@pytest.mark.usefixtures("history")
def test_children_are_the_models_whose_training_started_from_it(loop: Loop) -> None:
    assert [line.digest for line in _lineage(loop, THREE).children] == [FOUR, FIVE, SIX]
    assert [line.digest for line in _lineage(loop, ONE).children] == [TWO, THREE]


def test_a_model_that_was_not_trained_here_has_no_window(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        models.add(conn, ONE, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
    found = _lineage(loop, ONE)
    assert (found.window, found.training, found.ancestors, found.verdicts) == (None, None, (), ())


def test_an_imported_model_says_where_it_came_from_and_what_it_won_there(loop: Loop) -> None:
    card = shipped_cards()[VARIANT]
    record = {ORIGIN: {"from": "the package", "card": card.as_json()}}
    with loop.ledger.begin() as conn:
        models.add(conn, ONE, VARIANT, parent_digest=TWO, training_run=None, manifest=record, at=1.0)
        models.add(conn, TWO, VARIANT, parent_digest=None, training_run=None, manifest={ORIGIN: "torn"}, at=1.0)
    origin = _lineage(loop, ONE).origin
    assert origin is not None
    assert (origin.source, origin.digest, origin.made_at) == ("the package", card.digest, card.created_at)
    assert (origin.trainings, origin.licence) == (len(card.lineage), "Apache-2.0")
    first = card.measured[0]
    assert origin.measured[0].startswith(f"{first.share:.1%} [{first.low:.1%}, ")
    assert origin.measured[0].endswith(f"] of {first.games} games against {first.opponent}")
    assert len(origin.measured) == len(card.measured)
    assert _lineage(loop, TWO).origin is None


def test_a_row_that_names_itself_as_its_ancestor_ends_the_line(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        models.add(conn, ONE, VARIANT, parent_digest=TWO, training_run=None, manifest={}, at=1.0)
        models.add(conn, TWO, VARIANT, parent_digest=ONE, training_run=None, manifest={}, at=1.0)
    assert [line.digest for line in _lineage(loop, ONE).ancestors] == [TWO]


def test_an_unknown_model_or_game_is_said_to_be_unknown(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        with pytest.raises(LedgerError, match="no model 9999"):
            lineage(conn, "9" * 64)
        with pytest.raises(LedgerError, match="no game"):
            game_lineage(conn, "nothing")


def test_a_game_names_its_host_segment_player_and_the_runs_whose_window_held_it(loop: Loop, history: History) -> None:
    with loop.ledger.read() as conn:
        found = game_lineage(conn, history.games[3][2])
    assert (found.host, found.segment, found.position) == ("local_a", "e-4", 2)
    assert found.player_model is not None and found.player_model.generation == 3
    assert [(each.run, each.is_first, each.generation) for each in found.windows] == [
        ("run-4", True, 4),
        ("run-5", False, 5),
    ]


def test_a_game_that_waits_for_training_is_in_no_window(loop: Loop, history: History) -> None:
    from ringrift_loop.ledger.schema import games

    with loop.ledger.begin() as conn:
        conn.execute(games.update().where(games.c.id == history.games[5][0]).values(training_run=None))
    with loop.ledger.read() as conn:
        assert game_lineage(conn, history.games[5][0]).windows == ()


def test_the_windows_of_every_game_are_those_that_training_took(loop: Loop, history: History) -> None:
    """Against the query by which a training gets its window, asked for every run as it stood then."""
    held: dict[str, list[str]] = {game: [] for games in history.games for game in games}
    with loop.ledger.read() as conn:
        for number, run_id in enumerate(history.runs):
            run = training.require(conn, run_id)
            wanted = Training().window_rows_max
            asked = {"rows": wanted, "rows_max": wanted, "seen_until": 0.0, "engine_version": "1"}
            later = {game for games in history.games[number + 1 :] for game in games}
            window = [row.id for row in training.window(conn, run, **asked) if row.id not in later]  # type: ignore[arg-type]
            for game in window[: run.window_games]:
                held[game].append(run_id)
        for game, runs in held.items():
            assert [each.run for each in game_lineage(conn, game).windows] == runs, game
