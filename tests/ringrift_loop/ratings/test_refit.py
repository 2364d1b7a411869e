from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from latent import LatentArena
from ringrift_loop.errors import LedgerError
from ringrift_loop.ledger import matches, ratings
from ringrift_loop.ledger.matches import MatchRow, Participant
from ringrift_loop.ledger.migrate import MIGRATIONS
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


def test_wins_draws_and_losses_are_counted_and_an_older_ledger_gets_the_same_by_its_migration(
    open_loop: Callable[..., Loop],
) -> None:
    loop = open_loop()
    winners = [1, 1, 2, None, 3]
    seats = ["random", "heuristic", "heuristic"]  # one of them sits twice: a game counts once for it
    with loop.ledger.begin() as conn:
        for name in ("random", "heuristic"):
            matches.ensure_participant(conn, Participant(name, "hex8_3p", None, {}, 0.0 if name == "random" else None))
        rows = [
            MatchRow(f"m{n}", "b", "hex8_3p", "shadow", seats, "", "x", winner, _places(winner), "r", 9, "a", "1", 1.0)
            for n, winner in enumerate(winners)
        ]
        matches.add(conn, rows)
    refit(loop, "hex8_3p")
    counted = {"random": (5, 2, 1, 2), "heuristic": (5, 2, 1, 2)}
    assert _counts(loop) == counted

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    before = ScriptDirectory.from_config(config).get_revision("0006").down_revision
    assert isinstance(before, str)
    with loop.ledger.begin() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, before)
        command.upgrade(config, "0006")
    assert _counts(loop) == counted


def _places(winner: int | None) -> list[int]:
    return [1, 1, 1] if winner is None else [1 if seat == winner else 2 for seat in (1, 2, 3)]


def _counts(loop: Loop) -> dict[str, tuple[int, int, int, int]]:
    with loop.ledger.read() as conn:
        table = ratings.table(conn, "hex8_3p")
    return {row.participant: (row.games, row.wins, row.draws, row.losses) for row in table}
