from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ringrift_loop.engine import state as st
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.network import planes as pl
from ringrift_loop.network.encoding import encode_states, symmetry_images
from ringrift_loop.network.move_features import FIRST
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.batches import IGNORED, BatchMaker, DrawnRows, draw, training_batches
from ringrift_loop.training.window import Window, WindowWriter

Replay = Callable[..., ReplayedGame]


def _maker(
    folder: Path, variant: str, replayed: Replay, *, seeds: range = range(3), share: float = 1.0, **options: bool
) -> tuple[BatchMaker, Window]:
    games = [replayed(variant, seed, **options) for seed in seeds]
    rules = rules_for(variant)
    writer = WindowWriter(folder, rules, rows=sum(map(len, (g.choices for g in games))), games=len(games))
    for game in games:
        writer.add(game, validation=False)
    window = writer.finish("digest")
    return BatchMaker(rules, variant, window, value_outcome_share=share), window


@pytest.mark.parametrize("variant", ["square8_3p", "hex8_2p"])
def test_a_batch_holds_the_encoded_states_and_all_their_moves(variant: str, tmp_path: Path, replayed: Replay) -> None:
    maker, window = _maker(tmp_path, variant, replayed)
    rows = np.arange(0, window.num_rows, 7)
    batch = maker.make(rows, np.zeros(len(rows), np.int64))
    expected = np.empty_like(batch.planes)
    encode_states(rules_for(variant), np.ascontiguousarray(window.states[rows]), expected)
    np.testing.assert_array_equal(batch.planes, expected)
    np.testing.assert_array_equal(np.bincount(batch.move_row), window.choices[rows])
    sums = np.bincount(batch.move_row, batch.policy)
    np.testing.assert_allclose(sums, batch.searched, rtol=1e-5)


def test_the_policy_target_turns_with_the_board(tmp_path: Path, replayed: Replay) -> None:
    maker, window = _maker(tmp_path, "square8_2p", replayed)
    rows = np.flatnonzero(window.searched == 1)
    images = symmetry_images("square8")
    still = maker.make(rows, np.zeros(len(rows), np.int64))
    for number in range(1, maker.num_symmetries):
        turned = maker.make(rows, np.full(len(rows), number))
        np.testing.assert_array_equal(turned.policy, still.policy)
        image_of = np.append(images[number], 64)  # 64 is "no cell"; on square8 a cell's number is its place
        placements = still.move_features[:, 0] < 3
        np.testing.assert_array_equal(
            turned.move_features[placements, FIRST], image_of[still.move_features[placements, FIRST]]
        )
        np.testing.assert_array_equal(turned.owner[:, images[number]], still.owner)
        flat, flat_still = (b.planes.reshape(len(rows), pl.NUM_PLANES, -1) for b in (turned, still))
        np.testing.assert_array_equal(flat[:, : pl.GLOBALS, images[number]], flat_still[:, : pl.GLOBALS])


def test_batches_that_two_threads_make_at_once_are_what_each_makes_alone(tmp_path: Path, replayed: Replay) -> None:
    maker, window = _maker(tmp_path, "hex8_2p", replayed)
    parts = [np.arange(first, window.num_rows, 2) for first in range(2)]
    alone = [maker.make(rows, np.zeros(len(rows), np.int64)) for rows in parts]

    def again(number: int) -> bool:
        rows, expected = parts[number % 2], alone[number % 2]
        return all(map(np.array_equal, maker.make(rows, np.zeros(len(rows), np.int64)), expected))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(again, range(400)))


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_values_are_counted_from_the_mover(share: float, tmp_path: Path, replayed: Replay) -> None:
    maker, window = _maker(tmp_path, "square8_3p", replayed, share=share)
    rows = np.arange(window.num_rows)
    batch = maker.make(rows, rows % maker.num_symmetries)
    for row in range(0, window.num_rows, 5):
        mover = int(window.states[row, st.TO_PLAY])
        outcome, root = window.outcome[window.game[row]], window.root_value[row]
        assert root.sum() == pytest.approx(1.0, abs=1e-5)
        expected = [share * outcome[(mover + k) % 3] + (1 - share) * root[(mover + k) % 3] for k in range(3)]
        np.testing.assert_allclose(batch.value[row], [*expected, 0.0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch.value.sum(1), 1.0, rtol=1e-5)
    assert len(np.unique(window.states[:, st.TO_PLAY])) == 3


def test_games_that_no_model_played_have_a_share_of_the_outcome_of_their_own(tmp_path: Path, replayed: Replay) -> None:
    rules, games = rules_for("square8_2p"), [replayed("square8_2p", seed) for seed in (1, 2)]
    writer = WindowWriter(tmp_path, rules, rows=sum(len(game.targets) for game in games), games=2)
    for number, game in enumerate(games):
        writer.add(game, validation=False, bootstrap=number == 0)
    window = writer.finish("digest")
    maker = BatchMaker(rules, "square8_2p", window, value_outcome_share=0.0, bootstrap_outcome_share=1.0)
    values = maker.make(np.arange(window.num_rows), np.zeros(window.num_rows, np.int64)).value[:, :2]
    first = window.game == 0
    mover = window.states[:, st.TO_PLAY].astype(np.int64)
    assert set(np.unique(values[first])) == {0.0, 1.0}
    np.testing.assert_array_equal(values[first].argmax(1), (window.outcome[0].argmax() - mover[first]) % 2)
    seats = (mover[:, None] + np.arange(2)) % 2
    np.testing.assert_allclose(values[~first], np.take_along_axis(window.root_value, seats, 1)[~first], atol=1e-6)


def test_final_owners_are_counted_from_the_mover_and_unknown_off_the_board(tmp_path: Path, replayed: Replay) -> None:
    maker, window = _maker(tmp_path, "hex8_3p", replayed)
    rules = rules_for("hex8_3p")
    rows = np.arange(0, window.num_rows, 9)
    batch = maker.make(rows, np.zeros(len(rows), np.int64))
    grid = rules.board.grid
    off_board = np.setdiff1d(np.arange(81), grid)
    assert (batch.owner[:, off_board] == IGNORED).all()
    for place, row in enumerate(rows):
        mover = int(window.states[row, st.TO_PLAY])
        owner = window.owner[window.game[row]].astype(np.int64)
        np.testing.assert_array_equal(batch.owner[place, grid], np.where(owner < 0, 4, (owner - mover) % 3))
    assert set(np.unique(batch.owner[:, grid])) == {0, 1, 2, 4}


@pytest.fixture
def swapped_seed(replayed: Replay) -> int:
    """Of a game whose second seat swaps sides."""
    return next(seed for seed in range(50) if (replayed("square8_2p", seed, pie_rule=True).moves & 0xFF == 3).any())


def test_after_a_swap_of_sides_earlier_rows_learn_from_the_other_seats_result(
    swapped_seed: int, tmp_path: Path, replayed: Replay
) -> None:
    seeds = range(swapped_seed, swapped_seed + 1)
    maker, window = _maker(tmp_path, "square8_2p", replayed, seeds=seeds, pie_rule=True)
    batch = maker.make(np.arange(window.num_rows), np.zeros(window.num_rows, np.int64))
    winner = int(window.outcome[0].argmax())
    grid = rules_for("square8_2p").board.grid
    score, owner = window.score[0], window.owner[0].astype(np.int64)
    assert not np.array_equal(score[0], score[1])
    assert {0, 1} <= set(owner)
    for row in range(window.num_rows):
        mover = int(window.states[row, st.TO_PLAY])
        # Where the person who moves sits at the end of the game.
        seat = 1 - mover if window.swapped[row] else mover
        assert batch.value[row].argmax() == (winner - seat) % 2
        np.testing.assert_allclose(batch.score[row, :2], score[[seat, 1 - seat]])
        np.testing.assert_array_equal(batch.owner[row, grid], np.where(owner < 0, 4, (owner - seat) % 2))
    assert 0 < window.swapped.sum() < window.num_rows


def test_a_swap_of_sides_leaves_the_searchs_root_value_with_the_seats_of_its_own_row(
    swapped_seed: int, tmp_path: Path, replayed: Replay
) -> None:
    seeds = range(swapped_seed, swapped_seed + 1)
    maker, window = _maker(tmp_path, "square8_2p", replayed, seeds=seeds, share=0.0, pie_rule=True)
    batch = maker.make(np.arange(window.num_rows), np.zeros(window.num_rows, np.int64))
    for row in range(window.num_rows):
        mover = int(window.states[row, st.TO_PLAY])
        np.testing.assert_allclose(batch.value[row, :2], window.root_value[row, [mover, 1 - mover]], atol=1e-6)
    assert window.swapped.any()


def test_each_pass_draws_every_row_once() -> None:
    rows = np.arange(1000, 1037)
    drawn = np.concatenate([draw(DrawnRows(rows), seed=3, step=step, size=10, symmetries=8)[0] for step in range(37)])
    for number in range(10):
        np.testing.assert_array_equal(np.sort(drawn[37 * number : 37 * (number + 1)]), rows)
    assert not np.array_equal(drawn[:37], drawn[37:74])


def test_each_pass_draws_rows_as_often_as_they_shall_be_and_rounds_by_another_lot() -> None:
    rows, draws = np.arange(1000, 1040), np.tile([0.5, 0.75, 0.25, 2.5], 10)
    of = DrawnRows(rows, draws)
    drawn = np.concatenate([draw(of, seed=3, step=step, size=40, symmetries=8)[0] for step in range(400)])
    found = np.array([np.bincount(one - 1000, minlength=40) for one in drawn.reshape(400, 40)])
    assert (np.abs(found - draws) < 1).all()
    # Of 400 lots, five standard deviations of a mean whose single values differ by one.
    np.testing.assert_allclose(found.mean(0), draws, atol=5 * 0.5 / 400**0.5)
    np.testing.assert_allclose(np.bincount(of.drawn(4000) - 1000), 100 * draws, atol=1)


def test_batches_of_a_resumed_run_are_those_of_an_uninterrupted_one(tmp_path: Path, replayed: Replay) -> None:
    maker, window = _maker(tmp_path, "square8_2p", replayed)
    rows = DrawnRows(window.row_numbers(validation=False))
    whole = list(training_batches(maker, rows, seed=9, first=0, end=6, size=8))
    rest = list(training_batches(maker, rows, seed=9, first=4, end=6, size=8))
    for one, other in zip(whole[4:], rest, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_an_error_while_making_a_batch_reaches_the_training_thread(tmp_path: Path, replayed: Replay) -> None:
    maker, _ = _maker(tmp_path, "square8_2p", replayed)
    with pytest.raises(IndexError):
        list(training_batches(maker, DrawnRows(np.array([10**9])), seed=1, first=0, end=1, size=4))
