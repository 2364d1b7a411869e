"""A file of games: read back as it was, and refused where a game did not go as it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ringrift_loop.errors import DataError
from ringrift_loop.experiments.match_file import MatchFile, read_matches, write_matches
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import HEURISTIC, RANDOM, baseline_id
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import make_player

VARIANT = "square8_3p"


@pytest.fixture(scope="module")
def rows() -> list[MatchRow]:
    """Two blocks of real games."""
    heuristic = baseline_id(HEURISTIC, VARIANT)
    plans = [paired_block(VARIANT, "manual", heuristic, RANDOM, 3, seed) for seed in range(2)]
    players = {name: make_player(name, VARIANT, seed=3) for name in (heuristic, RANDOM)}
    return [row for block in play_blocks(plans, players, MatchSettings(4), clock=lambda: 1.0) for row in block]


def test_games_are_read_back_as_they_were_and_a_shelf_knows_its_blocks(rows: list[MatchRow], tmp_path: Path) -> None:
    shelf = MatchFile(tmp_path / "games.zst")
    plan = paired_block(VARIANT, "manual", baseline_id(HEURISTIC, VARIANT), RANDOM, 3, 0)
    assert shelf.load([plan]) == {}
    shelf.keep([row for row in rows if row.block == plan.id])
    shelf.keep([row for row in rows if row.block != plan.id])

    again = MatchFile(tmp_path / "games.zst")
    assert sorted(again.rows, key=lambda row: row.id) == sorted(rows, key=lambda row: row.id)
    assert again.load([plan]) == {plan.id: [row for row in rows if row.block == plan.id]}
    assert len(read_matches(tmp_path / "games.zst")) == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: replace(row, winner=(row.winner or 0) % 3 + 1), "replayed, it is"),
        (lambda row: replace(row, places=[1, 1, 1]), "ended with the places"),
        (lambda row: replace(row, moves=row.moves.rpartition(" ")[0]), "before its end"),
        (lambda row: replace(row, opening="x"), "does not begin with its opening"),
        (lambda row: replace(row, variant="chess"), "no variant named"),
        (lambda row: replace(row, seats=row.seats[:2]), "has 3 seats, got 2"),
    ],
)
def test_a_game_that_did_not_go_as_it_says_is_refused(
    change: Callable[[MatchRow], MatchRow], said: str, rows: list[MatchRow], tmp_path: Path
) -> None:
    write_matches(tmp_path / "games.zst", [rows[0], change(rows[1])])
    with pytest.raises(DataError, match=said) as refused:
        read_matches(tmp_path / "games.zst")
    assert "game 2" in str(refused.value)


def test_a_damaged_file_is_refused(rows: list[MatchRow], tmp_path: Path) -> None:
    path = tmp_path / "games.zst"
    with pytest.raises(DataError, match="cannot be read"):
        read_matches(path)
    write_matches(path, rows)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged"):
        read_matches(path)
    path.write_bytes(b"no zstd at all")
    with pytest.raises(DataError, match="damaged"):
        read_matches(path)
    write_matches(path, [rows[0], rows[0]])
    with pytest.raises(DataError, match="twice"):
        read_matches(path)
