from __future__ import annotations

from collections.abc import Callable

import pytest

from latent import LatentArena
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import ratings
from ringrift_loop.ledger.matches import Participant
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.refit import parents_of, refit
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.store import LedgerShelf, keep_all

OLD, MIDDLE, NEW = ("1" * 64, "2" * 64, "3" * 64)


def _play(loop: Loop, one: str, other: str, blocks: int) -> None:
    arena = LatentArena({"random": 0.0, "heuristic": 250.0, "mcts-64": 300.0}, seed=1)
    plans = [paired_block("hex8_2p", "shadow", one, other, 2, seed) for seed in range(blocks)]
    keep_all(LedgerShelf(loop), arena.play(plans))


def test_the_table_is_replaced_as_a_whole_and_a_second_fit_is_the_same(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _play(loop, "heuristic", "random", 50)
    _play(loop, "mcts-64", "heuristic", 50)
    tables = []
    for _ in range(2):
        refit(loop, "hex8_2p")
        with loop.ledger.read() as conn:
            tables.append(ratings.table(conn, "hex8_2p"))
    assert tables[0] == tables[1]
    assert [row.participant for row in tables[0]] == ["mcts-64", "heuristic", "random"]
    heuristic = tables[0][1]
    assert abs(heuristic.elo - 250.0) < 4 * heuristic.stderr
    assert heuristic.games == 200


def test_without_matches_there_is_nothing_to_rate(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(LedgerError, match="no match of hex8_2p"):
        refit(open_loop(), "hex8_2p")


def test_ratings_exist_before_the_anchor_has_played(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _play(loop, "mcts-64", "heuristic", 2)
    table = refit(loop, "hex8_2p")
    assert min(table.stderr(name) for name in table.participants) > 500.0
    assert table.difference(*table.participants).stderr < 500.0


def test_the_parent_is_the_nearest_ancestor_that_plays_with_the_same_search() -> None:
    players = [
        Participant(f"{digest}|{search}", "hex8_2p", digest, {})
        for digest, search in ((OLD, "gumbel32"), (NEW, "gumbel32"), (NEW, "puct16"), (MIDDLE, "puct8"))
    ]
    lineage = {NEW: MIDDLE, MIDDLE: OLD, OLD: None}
    assert parents_of(players, lineage) == {f"{NEW}|gumbel32": f"{OLD}|gumbel32"}


def test_a_model_that_names_itself_as_its_ancestor_has_no_parent() -> None:
    player = Participant(f"{OLD}|gumbel32", "hex8_2p", OLD, {})
    assert parents_of([player], {OLD: OLD}) == {}
