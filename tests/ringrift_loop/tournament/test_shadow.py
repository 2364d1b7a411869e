from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from latent import LatentArena
from ringrift_loop.errors import GateError, NoCapacity
from ringrift_loop.ledger import leases, matches, models, promotions, ratings
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.tournament.blocks import BlockPlan, paired_block
from ringrift_loop.tournament.participants import baseline_id, baseline_ids
from ringrift_loop.tournament.shadow import run_shadow
from ringrift_loop.tournament.store import LedgerShelf, keep_all

OLD, NEW = "1" * 64, "2" * 64
HEURISTICS = {baseline_id("heuristic", variant): 250.0 for variant in ("square8_2p", "hex8_4p")}
ELOS = {
    "random": 0.0,
    **HEURISTICS,
    "mcts-64@2": 300.0,
    f"{OLD}|gumbel16,considered=4": 350.0,
    f"{NEW}|gumbel16,considered=4": 400.0,
}


class Silent:
    """An arena in which nobody plays."""

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        return iter(())


def _with_models(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        for digest, parent in ((OLD, None), (NEW, OLD)):
            models.add(conn, digest, "square8_2p", parent_digest=parent, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, "square8_2p", OLD, reason="first", elo_gain=None, games=0, at=1.0)


def test_ratings_exist_before_the_first_model(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    report = run_shadow(loop, "square8_2p", arena=LatentArena(ELOS, seed=1))
    assert (report.games_requested, report.games, report.champion) == (15, 16, None)
    with loop.ledger.read() as conn:
        assert {row.participant for row in ratings.table(conn, "square8_2p")} == set(baseline_ids("square8_2p"))
        assert ratings.get(conn, "square8_2p", "random").elo == 0.0  # type: ignore[union-attr]
        assert ratings.history(conn, "square8_2p") == []


def test_candidate_and_champion_meet_and_the_champions_rating_is_kept(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    _with_models(loop)
    for seed in range(6):
        report = run_shadow(loop, "square8_2p", arena=LatentArena(ELOS, seed=seed))
    assert report.champion == f"{OLD}|gumbel16,considered=4"
    with loop.ledger.read() as conn:
        met = matches.blocks_by_pairing(conn, "square8_2p", "shadow")
        history = ratings.history(conn, "square8_2p")
    assert sum(map(len, met.values())) == 48
    assert len(met[f"{OLD}|gumbel16,considered=4", f"{NEW}|gumbel16,considered=4"]) >= 24
    assert [row.participant for row in history] == [f"{OLD}|gumbel16,considered=4"] * 6


@pytest.mark.parametrize("stored", [False, True])
def test_the_anchor_plays_first_where_two_models_are_there_before_any_tournament(
    open_loop: Callable[..., Loop], stored: bool
) -> None:
    loop, arena = open_loop(promotion={"regression_test": False}), LatentArena(ELOS, seed=1)
    _with_models(loop)
    if stored:  # by a tournament that had no game with the anchor
        plan = paired_block(
            "square8_2p", "shadow", f"{OLD}|gumbel16,considered=4", f"{NEW}|gumbel16,considered=4", 2, seed=0
        )
        keep_all(LedgerShelf(loop), arena.play([plan]))
    report = run_shadow(loop, "square8_2p", games=2, arena=arena)
    assert report.pairings == {f"{OLD}|gumbel16,considered=4 - random": 1}
    with loop.ledger.read() as conn:
        assert ratings.get(conn, "square8_2p", "random").elo == 0.0  # type: ignore[union-attr]
    assert run_shadow(loop, "square8_2p", games=2, arena=arena).pairings != report.pairings


def test_a_candidate_can_be_judged_before_the_anchor_has_played(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(promotion={"regression_test": False})
    _with_models(loop)
    weak = LatentArena(ELOS | {f"{NEW}|gumbel16,considered=4": -500.0}, seed=1)
    assert not champion_gate(loop, NEW, arena=weak).passed


def test_blocks_hold_every_rotation_with_four_players(open_loop: Callable[..., Loop]) -> None:
    report = run_shadow(open_loop(), "hex8_4p", arena=LatentArena(ELOS, seed=1))
    assert report.games == 16


def test_no_games_are_a_failure(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(GateError, match="no new game"):
        run_shadow(open_loop(), "square8_2p", arena=Silent())


def test_a_second_tournament_of_the_variant_at_the_same_time_is_refused(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with leases.hold(loop.ledger, "shadow:square8_2p", clock=loop.clock), pytest.raises(NoCapacity, match="lease held"):
        run_shadow(loop, "square8_2p", arena=LatentArena(ELOS, seed=1))
