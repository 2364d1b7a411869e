from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from latent import LatentArena
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import matches, models
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.refit import refit, table_of
from ringrift_loop.tournament.blocks import BlockPlan, paired_block
from ringrift_loop.tournament.store import LedgerShelf, completed, keep_all

MODEL = "a" * 64
NAME = f"{MODEL}|gumbel32"


def _plans(variant: str, count: int, one: str = "heuristic") -> list[BlockPlan]:
    return [paired_block(variant, "shadow", one, "random", 2, seed) for seed in range(count)]


def _arena(seed: int = 0) -> LatentArena:
    return LatentArena({"random": 0.0, "heuristic": 200.0, NAME: 300.0}, seed=seed)


def _dump(loop: Loop) -> list[object]:
    with loop.ledger.read() as conn:
        tables = ("matches", "match_players", "participants")
        return [conn.execute(text(f"select * from {table} order by 1, 2")).all() for table in tables]


def test_storing_the_same_games_twice_changes_nothing(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    rows = [list(block) for block in _arena().play(_plans("square8_2p", 5))]
    assert keep_all(LedgerShelf(loop), rows) == 10
    before = _dump(loop)
    assert keep_all(LedgerShelf(loop), rows) == 0
    assert _dump(loop) == before


def test_only_the_blocks_that_the_log_lacks_are_played(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    shelf = LedgerShelf(loop)
    first = completed(shelf, _arena(seed=1), _plans("square8_2p", 3))
    more = completed(shelf, _arena(seed=2), _plans("square8_2p", 5))
    assert sorted(more[:6], key=lambda row: row.id) == sorted(first, key=lambda row: row.id)
    assert len(more) == 10


def test_a_model_that_the_ledger_does_not_know_cannot_enter_the_match_log(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with pytest.raises(LedgerError, match="not registered"):
        keep_all(LedgerShelf(loop), _arena().play(_plans("square8_2p", 1, NAME)))
    with loop.ledger.begin() as conn:
        models.add(conn, MODEL, "hex8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
    with pytest.raises(LedgerError, match="registered for hex8_2p"):
        keep_all(LedgerShelf(loop), _arena().play(_plans("square8_2p", 1, NAME)))
    with loop.ledger.read() as conn:
        assert matches.results(conn, "square8_2p") == []


def test_a_match_cannot_name_a_participant_of_another_variant(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    keep_all(LedgerShelf(loop), _arena().play(_plans("hex8_2p", 1)))
    (row,) = (rows[0] for rows in _arena().play(_plans("hex8_2p", 1)))
    with pytest.raises(LedgerError, match="no participants of that variant"), loop.ledger.begin() as conn:
        matches.add(conn, [replace(row, id="f" * 32, variant="square8_4p")])


def test_matches_of_one_variant_leave_the_ratings_of_another_alone(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    keep_all(LedgerShelf(loop), _arena(1).play(_plans("square8_2p", 20)))
    before = refit(loop, "square8_2p")
    upside_down = LatentArena({"random": 900.0, "heuristic": 0.0}, seed=1)
    keep_all(LedgerShelf(loop), upside_down.play(_plans("hex8_2p", 50)))
    refit(loop, "hex8_2p")
    with loop.ledger.read() as conn:
        after = table_of(conn, "square8_2p")
    assert after is not None
    assert after.elo("heuristic") == before.elo("heuristic")


def test_a_name_is_no_identity_other_weights_start_without_games(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        models.add(conn, MODEL, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
    keep_all(LedgerShelf(loop), _arena().play(_plans("square8_2p", 3, NAME)))
    with loop.ledger.read() as conn:
        played = [name for result in matches.results(conn, "square8_2p") for name in result.seats]
    assert played.count(NAME) == 6
    assert played.count(f"{'b' * 64}|gumbel32") == played.count(f"{MODEL}|gumbel64") == 0
