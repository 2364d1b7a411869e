from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from ledger_rows import rows
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, LedgerError, ModelError, NoCapacity
from ringrift_loop.ledger import events, games, leases, models, promotions, training
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.leases import LeaseRow
from ringrift_loop.ledger.schema import training_runs
from ringrift_loop.loop import Loop
from ringrift_loop.network.export import load_network
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import segment_path
from ringrift_loop.training import prepare, window
from ringrift_loop.training.claim import claim_for_run, lease_name
from ringrift_loop.training.gather import WindowPlan, gather, is_validation
from ringrift_loop.training.start import REWIND_AFTER, Start, choose_start, start_weights
from ringrift_loop.training.train import train
from samples import byte_model

TakeGames = Callable[..., list[GameRecord]]
VARIANT = "square8_2p"


def _claimed(loop: Loop, key: str = "test") -> str:
    return claim_for_run(loop, [VARIANT], key=key).run_id


def test_a_run_makes_a_candidate_and_says_how(loop: Loop, take_games: TakeGames) -> None:
    taken = take_games(loop, VARIANT, range(10))
    run_id = _claimed(loop)

    report = train(loop, run_id)

    net, manifest = load_network(loop.directory.model(report.model_digest), report.model_digest)
    assert net.architecture.name == "b1c8" == report.architecture
    assert manifest.training_run == run_id
    with loop.ledger.read() as conn:
        run = training.require(conn, run_id)
        model = models.get(conn, report.model_digest)
        last = events.latest(conn, kind="training", limit=1)[0]
    assert (run.state, run.model_digest, run.games) == ("succeeded", report.model_digest, 10)
    assert run.window_games == report.window.games == 10
    assert model is not None
    assert model.generation == report.generation == 1
    assert report.model_digest[:12] in last.message
    held_out = sum(is_validation(game.id, loop.config.training.validation_fraction) for game in taken)
    assert 0 < report.targets.validation_games == held_out < 10
    assert report.window.training_rows + report.window.validation_rows == report.window.rows
    assert report.targets.soft_share > 0.9
    assert report.value_outcome_share == 0.6
    assert report.overfit_gap == pytest.approx(report.validation.value - report.train.value)
    assert report.holdout is not None
    assert (report.holdout.games, report.holdout.train_games) == (held_out, 10 - held_out)
    assert report.holdout.value.holdout == pytest.approx(report.validation.value, rel=1e-3)
    assert report.holdout.policy.train == pytest.approx(report.train.policy, rel=1e-3)
    folder = loop.directory.training(run_id)
    assert [path.name for path in folder.iterdir()] == ["report.json"]
    assert json.loads((folder / "report.json").read_text()) == report.as_json()
    # Asked again, the run has its result already.
    assert train(loop, run_id) == report

    # A second try waits for the first and takes its result.
    with loop.ledger.begin() as conn:  # as it was while the first try was at work
        conn.execute(update(training_runs).values(state="running", report=None, model_digest=None))
        leases.acquire(conn, lease_name(VARIANT), "the first try", ttl_s=100.0, at=1000.0)

    def first_try_ends() -> float:
        with loop.ledger.begin() as conn:
            training.succeed(conn, run_id, model_digest=report.model_digest, report=report.as_json(), at=1001.0)
        return 1060.0  # as long as the second one may wait, so that it sleeps no longer

    readings = iter([lambda: 1000.0] * 4 + [first_try_ends])
    waiting = replace(loop, clock=lambda: next(readings, lambda: 1200.0)())
    assert train(waiting, run_id, wait_s=60.0) == report
    with loop.ledger.read() as conn:
        assert len(models.all_models(conn, VARIANT)) == 1
        assert [lease for lease in rows(conn, LeaseRow) if lease.expires_at > 1200.0] == []


def test_a_bundle_of_a_program_with_other_windows_is_made_anew(
    loop: Loop, take_games: TakeGames, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_games(loop, VARIANT, range(10))
    run_id = _claimed(loop)
    with monkeypatch.context() as earlier:
        earlier.setattr(prepare, "WINDOW_FORMAT", window.FORMAT_VERSION - 1)
        earlier.setattr(window, "FORMAT_VERSION", window.FORMAT_VERSION - 1)
        with loop.ledger.read() as conn:
            run = training.require(conn, run_id)
        prepare.prepare(loop, run)
    assert train(loop, run_id).generation == 1


def test_a_window_knows_the_hosts_of_its_games_and_which_no_model_played(loop: Loop, take_games: TakeGames) -> None:
    take_games(loop, VARIANT, range(2), player="heuristic-search")
    take_games(loop, VARIANT, range(2, 5), player="a" * 64, host="b")
    run_id = _claimed(loop)
    with loop.ledger.read() as conn:
        run = training.require(conn, run_id)
        found = training.window(
            conn, run, rows=10**6, rows_max=10**6, seen_until=float("-inf"), engine_version=ENGINE_VERSION
        )
    plan = WindowPlan(VARIANT, found, 0.3)
    filled = gather(plan, loop.directory, loop.directory.training(run_id) / "window").window
    numbers = [int(game.id, 16) for game in plan.in_reading_order()]
    assert dict(zip(numbers, filled.bootstrap.tolist(), strict=True)) == {0: 1, 1: 1, 2: 0, 3: 0, 4: 0}
    assert dict(zip(numbers, filled.host.tolist(), strict=True)) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 1}


def test_a_window_that_teaches_nothing_fails_the_run_and_frees_its_games(loop: Loop, take_games: TakeGames) -> None:
    take_games(loop, VARIANT, range(10), soft=False)
    run_id = _claimed(loop)
    with pytest.raises(DataError, match="name more than one move"):
        train(loop, run_id)
    with loop.ledger.read() as conn:
        run = training.require(conn, run_id)
        assert run.state == "failed"
        assert "name more than one move" in str(run.error)
        assert games.pending(conn, VARIANT) == 10
    with pytest.raises(LedgerError, match="is failed"):
        train(loop, run_id)


def test_a_second_process_is_turned_away(loop: Loop, take_games: TakeGames) -> None:
    take_games(loop, VARIANT, range(4))
    run_id = _claimed(loop)
    with leases.hold(loop.ledger, lease_name(VARIANT)), pytest.raises(NoCapacity, match="lease held"):
        train(loop, run_id)
    with loop.ledger.read() as conn:
        assert training.require(conn, run_id).state == "claimed"


def test_the_window_takes_older_games_until_it_has_its_rows(loop: Loop, take_games: TakeGames) -> None:
    take_games(loop, VARIANT, range(8))
    old = _claimed(loop, "old")
    with loop.ledger.begin() as conn:
        # The first run ends with a model; its games are used again, but are not fresh.
        models.add(conn, "a" * 64, VARIANT, parent_digest=None, training_run=old, manifest={}, at=1.0)
        training.mark_running(conn, old, window_games=8, window_rows=1, parent_digest=None)
        training.succeed(conn, old, model_digest="a" * 64, report={}, at=2.0)
        seen_until = training.require(conn, old).started_at
    take_games(loop, VARIANT, range(100, 104))
    new = _claimed(loop, "new")
    with loop.ledger.read() as conn:
        run = training.require(conn, new)

        def window(rows: int) -> list[training.WindowGameRow]:
            return training.window(conn, run, rows=rows, rows_max=10**6, seen_until=seen_until, engine_version="1")

        own = window(1)
        wide = window(10**6)
        assert {game.id for game in own} == {game.id for game in rows(conn, GameRow, training_run=new)}
        assert all(game.fresh for game in own)
        assert len(wide) == 12
        assert sum(game.fresh for game in wide) == 4
        some = window(sum(game.rows for game in own) + 1)
        assert len(some) == 5
        assert training.window(conn, run, rows=10**6, rows_max=10**6, seen_until=seen_until, engine_version="2") == []


def test_a_game_that_cannot_be_read_is_left_out_and_named(loop: Loop, take_games: TakeGames) -> None:
    take_games(loop, VARIANT, range(30))
    take_games(loop, VARIANT, range(100, 101))
    run_id = _claimed(loop)
    with loop.ledger.read() as conn:
        rows = training.window(
            conn, training.require(conn, run_id), rows=10**6, rows_max=10**6, seen_until=0.0, engine_version="1"
        )
    alone = next(game for game in rows if game.id == f"{100:032x}")
    segment_path(loop.directory, alone.host, alone.segment).unlink()
    plan = WindowPlan(VARIANT, rows, 0.3)
    gathered = gather(plan, loop.directory, loop.directory.training(run_id) / "window")
    assert gathered.window.num_games == 30
    assert len(gathered.lost) == 1
    assert gathered.lost[0].startswith(f"{alone.id}: segment")
    # Opened again it is the same, without reading a segment.
    again = gather(plan, loop.directory, loop.directory.training(run_id) / "window")
    assert again.lost == gathered.lost
    assert again.fresh == gathered.fresh == frozenset(range(30))


def test_a_window_that_lost_many_games_is_an_error(loop: Loop, take_games: TakeGames) -> None:
    take_games(loop, VARIANT, range(4))
    take_games(loop, VARIANT, range(100, 104))
    run_id = _claimed(loop)
    with loop.ledger.read() as conn:
        rows = training.window(
            conn, training.require(conn, run_id), rows=10**6, rows_max=10**6, seen_until=0.0, engine_version="1"
        )
    segment_path(loop.directory, rows[0].host, rows[0].segment).unlink()
    with pytest.raises(DataError, match="4 of the 8 games of the window cannot be read"):
        gather(WindowPlan(VARIANT, rows, 0.3), loop.directory, loop.directory.training(run_id) / "window")


def test_a_window_without_games_is_an_error_that_says_what_was_left_out(loop: Loop) -> None:
    with pytest.raises(DataError, match=f"no game of {VARIANT} is left to train on: all were played with another"):
        gather(WindowPlan(VARIANT, [], 0.3), loop.directory, loop.directory.training("none") / "window")


def test_the_split_depends_on_the_game_alone_and_has_its_share() -> None:
    ids = [f"{number:032x}" for number in range(20_000)]
    held_out = [game for game in ids if is_validation(game, 0.1)]
    # Four standard deviations of a binomial share.
    assert len(held_out) / len(ids) == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / len(ids)) ** 0.5)
    assert [game for game in reversed(ids) if is_validation(game, 0.1)] == held_out[::-1]


def _add_model(loop: Loop, number: int, variant: str = VARIANT, architecture: str = "b1c8") -> str:
    digest = f"{number:064x}"
    manifest: dict[str, Any] = {"architecture": {"name": architecture}}
    with loop.ledger.begin() as conn:
        models.add(conn, digest, variant, parent_digest=None, training_run=None, manifest=manifest, at=float(number))
    return digest


def _promote(loop: Loop, digest: str, variant: str = VARIANT) -> None:
    with loop.ledger.begin() as conn:
        promotions.promote(conn, variant, digest, reason="test", elo_gain=None, games=0, at=1.0)


def _start(loop: Loop) -> tuple[str | None, str]:
    with loop.ledger.read() as conn:
        start = choose_start(conn, VARIANT, loop.config.training, loop.config.selfplay.lenders)
    return start.digest, start.why


def test_without_any_model_training_starts_from_random_weights(loop: Loop) -> None:
    assert _start(loop) == (None, "random weights: the configuration asks for b1c8, no model to start from")


def test_the_champion_is_the_start_once_it_is_the_newest_model(loop: Loop) -> None:
    champion = _add_model(loop, 1)
    _promote(loop, champion)
    assert _start(loop) == (champion, "the champion")


def test_training_goes_on_from_rejected_candidates_and_rewinds_after_three(loop: Loop) -> None:
    champion = _add_model(loop, 1)
    _promote(loop, champion)
    starts = []
    for number in range(2, 2 + REWIND_AFTER):
        candidate = _add_model(loop, number)
        starts.append(_start(loop)[0] == candidate)
    assert starts == [True, True, False]
    assert _start(loop)[0] == champion


def test_a_variant_without_a_model_starts_from_its_nearest_relative(loop: Loop) -> None:
    for number, variant in enumerate(("hex8_2p", "square8_4p", "square8_3p", "square19_2p"), start=1):
        digest = _add_model(loop, number, variant)
        _promote(loop, digest, variant)
    assert _start(loop) == (f"{4:064x}", "the champion of square19_2p, next to unchanged")


def test_a_champion_of_another_architecture_is_not_started_from(loop: Loop) -> None:
    _promote(loop, _add_model(loop, 1, architecture="b2c32"))
    digest, why = _start(loop)
    assert digest is None
    assert why == "random weights: the configuration asks for b1c8, the champion is b2c32"


def test_a_model_to_start_from_of_another_architecture_is_refused_by_its_manifest(loop: Loop) -> None:
    digest = byte_model(loop.directory.model("0" * 64).parent, b"not even weights", VARIANT)
    start = Start(digest, VARIANT, 0.0, "the champion")
    with pytest.raises(ModelError, match="is test, the run needs b1c8"):
        start_weights(start, loop.directory, VARIANT, loop.config.training)
