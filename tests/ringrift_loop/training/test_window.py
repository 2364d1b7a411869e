from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringrift_loop.engine import state as st
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.window import Window, WindowWriter, open_window

Replay = Callable[..., ReplayedGame]


def _window(folder: Path, variant: str, games: list[ReplayedGame]) -> Window:
    rows = sum(int((game.choices > 1).sum()) for game in games)
    writer = WindowWriter(folder, rules_for(variant), rows=rows + 3, games=len(games) + 1)
    for number, game in enumerate(games):
        writer.add(game, validation=number % 2 == 1)
    return writer.finish("digest")


def test_rows_are_the_plies_with_a_choice(tmp_path: Path, replayed: Replay) -> None:
    games = [replayed("square8_3p", seed) for seed in (1, 2)]
    window = _window(tmp_path, "square8_3p", games)
    first = 0
    for number, game in enumerate(games):
        plies = np.flatnonzero(game.choices > 1)
        part = slice(first, first + len(plies))
        np.testing.assert_array_equal(window.ply[part], plies)
        np.testing.assert_array_equal(window.states[part], game.states[plies])
        np.testing.assert_array_equal(window.states[part][:, st.PLY], plies)
        np.testing.assert_array_equal(window.choices[part], game.choices[plies])
        assert (window.game[part] == number).all()
        first = part.stop
    assert window.num_rows == first
    assert window.num_games == 2


def test_plies_that_were_not_searched_are_no_rows(tmp_path: Path, replayed: Replay) -> None:
    game = replayed("square8_2p", 4)
    opening = replace(game, targets=game.targets[3:])
    window = _window(tmp_path, "square8_2p", [opening])
    assert window.ply[0] == game.targets[3].ply
    assert window.num_rows == int((game.choices > 1).sum()) - 3
    np.testing.assert_array_equal(window.states, game.states[[target.ply for target in opening.targets]])


def test_policy_targets_are_the_searches_own_distributions(tmp_path: Path, replayed: Replay) -> None:
    game = replayed("square8_2p", 4)
    window = _window(tmp_path, "square8_2p", [game])
    targets = {target.ply: target for target in game.targets}
    full = 0
    for row in range(window.num_rows):
        target = targets[int(window.ply[row])]
        part = slice(window.target_start[row], window.target_start[row + 1])
        assert bool(window.searched[row]) == target.full
        np.testing.assert_array_equal(window.target_move[part], target.index)
        np.testing.assert_allclose(window.target_weight[part], target.weight / 65_535, rtol=1e-6)
        np.testing.assert_allclose(window.root_value[row, :2], target.value, atol=1e-3)
        full += target.full
    assert full > 5
    sums = np.add.reduceat(window.target_weight, window.target_start[:-1][window.searched == 1])
    np.testing.assert_allclose(sums, 1.0, rtol=1e-5)


def test_results_are_those_of_the_final_state(tmp_path: Path, replayed: Replay) -> None:
    games = [replayed("hex8_4p", seed) for seed in (1, 2, 3)]
    rules = rules_for("hex8_4p")
    window = _window(tmp_path, "hex8_4p", games)
    for number, game in enumerate(games):
        end = game.states[-1]
        expected = np.zeros(4)
        assert game.winner is not None
        expected[game.winner - 1] = 1.0
        np.testing.assert_array_equal(window.outcome[number], expected)
        np.testing.assert_allclose(window.score[number, :, 0], end[st.TERR : st.TERR + 4] / rules.territory_target)
        np.testing.assert_allclose(window.score[number, :, 1], end[st.ELIM : st.ELIM + 4] / rules.elimination_target)
        np.testing.assert_array_equal(window.owner[number], end[rules.owner : rules.owner + 61])
        assert window.plies[number] == len(game.moves)
    assert window.validation.tolist() == [0, 1, 0]
    both = np.concatenate([window.row_numbers(validation=False), window.row_numbers(validation=True)])
    np.testing.assert_array_equal(np.sort(both), np.arange(window.num_rows))


def test_all_rows_of_a_validation_game_are_kept_for_validation(tmp_path: Path, replayed: Replay) -> None:
    window = _window(tmp_path, "square8_2p", [replayed("square8_2p", seed) for seed in (1, 2, 3, 4)])
    assert set(window.game[window.row_numbers(validation=True)]) == {1, 3}
    assert set(window.game[window.row_numbers(validation=False)]) == {0, 2}


def test_rows_before_a_swap_of_sides_are_marked(tmp_path: Path, replayed: Replay) -> None:
    game = next(
        game
        for game in (replayed("square8_2p", seed, pie_rule=True) for seed in range(50))
        if (game.moves & 0xFF == 3).any()
    )
    window = _window(tmp_path, "square8_2p", [game])
    swap = int(np.flatnonzero(game.moves & 0xFF == 3)[0])
    np.testing.assert_array_equal(window.swapped, window.ply <= swap)
    assert 0 < window.swapped.sum() < window.num_rows


def test_a_window_is_opened_only_for_the_plan_that_made_it(tmp_path: Path, replayed: Replay) -> None:
    made = _window(tmp_path, "square8_2p", [replayed("square8_2p", 1)])
    opened = open_window(tmp_path, "digest")
    assert opened is not None
    np.testing.assert_array_equal(opened.states, made.states)
    assert open_window(tmp_path, "another") is None


def test_an_unfinished_window_is_none(tmp_path: Path, replayed: Replay) -> None:
    _window(tmp_path, "square8_2p", [replayed("square8_2p", 1)])
    WindowWriter(tmp_path, rules_for("square8_2p"), rows=5, games=1)
    assert open_window(tmp_path, "digest") is None


def test_a_game_with_more_rows_than_announced_is_refused(tmp_path: Path, replayed: Replay) -> None:
    writer = WindowWriter(tmp_path, rules_for("square8_2p"), rows=10, games=1)
    with pytest.raises(DataError, match="more than the ledger says"):
        writer.add(replayed("square8_2p", 1), validation=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("choices.npy", b"no array"),
        ("choices.npy", b""),
        ("states.npy", b""),
        ("window.json", b""),
        ("window.json", b"\xff\xfe"),
        ("window.json", b"[]"),
        ("window.json", b"{}"),
        ("window.json", b'{"v":4,"digest":"digest"}'),
    ],
)
def test_a_damaged_window_is_an_error(tmp_path: Path, replayed: Any, name: str, content: bytes) -> None:
    _window(tmp_path, "square8_2p", [replayed("square8_2p", 1)])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged: .*; delete the folder"):
        open_window(tmp_path, "digest")


def test_the_disk_has_the_arrays_before_the_manifest_that_makes_them_valid(
    tmp_path: Path, replayed: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    _window(tmp_path, "square8_2p", [replayed("square8_2p", 1)])
    before = synced[: next(place for place, name in enumerate(synced) if name.startswith(".window.json."))]
    arrays = {path.name for path in tmp_path.glob("*.npy")} - {"states.npy"}  # that one is mapped, and flushed
    assert arrays == {f"{field.name}.npy" for field in fields(Window)} - {"states.npy"}
    assert all(any(name.startswith(f".{array}.") for name in before) for array in arrays)
