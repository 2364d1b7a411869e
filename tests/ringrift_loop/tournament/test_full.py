from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from latent import LatentArena
from ringrift_loop.config import LoopConfig
from ringrift_loop.errors import ConfigError, GateError, NoCapacity
from ringrift_loop.ledger import leases, matches, models, promotions, ratings
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.ledger.schema import events
from ringrift_loop.loop import Loop
from ringrift_loop.status.overview import read_overview
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.full import PURPOSE, FullReport, budget_s, run_full
from ringrift_loop.tournament.participants import baseline_id, baseline_ids

OLD, NEW = "1" * 64, "2" * 64
NAMES = {OLD: f"{OLD}|gumbel16,considered=4", NEW: f"{NEW}|gumbel16,considered=4"}
VARIANT = "square8_2p"
ELOS = {
    "random": 0.0,
    "mcts-64@2": 300.0,
    NAMES[OLD]: 350.0,
    NAMES[NEW]: 400.0,
    **{baseline_id("heuristic", variant): 250.0 for variant in (VARIANT, "hex8_3p")},
}
PAIRS = {
    (min(pair), max(pair))
    for pair in [
        (NAMES[NEW], NAMES[OLD]),
        *((name, other) for name in NAMES.values() for other in baseline_ids(VARIANT)),
    ]
}


class Timed:
    """An arena whose portions each take so many seconds of the loop's clock."""

    def __init__(self, loop: Loop, seconds: float) -> None:
        self.portions: list[list[BlockPlan]] = []
        self._loop, self._seconds, self._inner = loop, seconds, LatentArena(ELOS, seed=1)

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        self.portions.append(list(plans))
        yield from self._inner.play(plans)
        self._loop.clock.now += self._seconds  # type: ignore[attr-defined]


class Silent:
    """An arena in which nobody plays."""

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        return iter(())


def _with_champions(loop: Loop, variant: str = VARIANT) -> Loop:
    with loop.ledger.begin() as conn:
        for digest, parent in ((OLD, None), (NEW, OLD)):
            models.add(conn, digest, variant, parent_digest=parent, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, variant, digest, reason="made", elo_gain=None, games=0, at=1.0)
    return loop


def _met(loop: Loop) -> dict[tuple[str, str], int]:
    with loop.ledger.read() as conn:
        return {pair: len(ids) for pair, ids in matches.blocks_by_pairing(conn, VARIANT, PURPOSE).items()}


def test_with_time_enough_every_pairing_gets_its_fifty_games_and_the_ratings_are_refitted(
    open_loop: Callable[..., Loop],
) -> None:
    loop = _with_champions(open_loop())
    report = run_full(loop, VARIANT, arena=LatentArena(ELOS, seed=1, at=7.0))
    assert _met(loop) == dict.fromkeys(PAIRS, 25)
    assert (report.round, report.games, report.pairings, report.blocks_missing) == (1, 7 * 50, 7, 0)
    with loop.ledger.read() as conn:
        rating = ratings.get(conn, VARIANT, NAMES[NEW])
        (told,) = conn.execute(select(events.c.message).where(events.c.kind == "tournament")).scalars()
        told_of = read_overview(conn, loop.config, (), now=loop.clock())
    assert told_of.last_full_tournament_at == 7.0
    assert rating is not None and (report.champion, report.champion_elo) == (NAMES[NEW], rating.elo)
    assert told.startswith("350 games of the full tournament of square8_2p, round 1: 0 blocks left; champion at ")


def test_a_run_out_of_time_stops_after_its_portion_and_the_next_one_goes_on_with_what_is_missing(
    open_loop: Callable[..., Loop],
) -> None:
    loop = _with_champions(open_loop())
    arena = Timed(loop, seconds=100.0)
    first = run_full(loop, VARIANT, 10, budget=150.0, arena=arena)
    assert [len(portion) for portion in arena.portions] == [8, 8]  # as many as in a shadow tournament
    assert (first.games, first.blocks_missing) == (32, 35 - 16)
    second = run_full(loop, VARIANT, 10, budget=150.0, arena=arena)
    assert (second.round, second.games, second.blocks_missing) == (1, 32, 3)
    third = run_full(loop, VARIANT, 10, budget=150.0, arena=arena)
    assert (third.games, third.blocks_missing) == (6, 0)
    assert _met(loop) == dict.fromkeys(PAIRS, 5)
    plans = [plan for portion in arena.portions for plan in portion]
    assert len({plan.id for plan in plans}) == len(plans) == 35
    assert run_full(loop, VARIANT, 10, budget=0.0, arena=arena).round == 2  # there is always something to play


def test_a_block_that_was_stored_by_a_killed_run_is_not_played_again(open_loop: Callable[..., Loop]) -> None:
    class Killed(LatentArena):
        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            yield from super().play(plans[:3])
            raise KeyboardInterrupt

    loop = _with_champions(open_loop())
    with pytest.raises(KeyboardInterrupt):
        run_full(loop, VARIANT, 10, arena=Killed(ELOS, seed=1))
    assert sum(_met(loop).values()) == 3
    report = run_full(loop, VARIANT, 10, arena=LatentArena(ELOS, seed=2))
    assert (report.games, _met(loop)) == (2 * 32, dict.fromkeys(PAIRS, 5))


def test_blocks_that_ended_before_earlier_ones_when_a_run_was_killed_leave_no_gap(
    open_loop: Callable[..., Loop],
) -> None:
    class Killed(LatentArena):
        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            yield from super().play(plans[:-4:-1])
            raise KeyboardInterrupt

    loop = _with_champions(open_loop())
    for seed in range(3):
        with pytest.raises(KeyboardInterrupt):
            run_full(loop, VARIANT, 10, arena=Killed(ELOS, seed=seed))
    assert sum(_met(loop).values()) == 9
    report = run_full(loop, VARIANT, 10, arena=LatentArena(ELOS, seed=4))
    assert (report.games, report.blocks_missing, _met(loop)) == (2 * 26, 0, dict.fromkeys(PAIRS, 5))
    assert run_full(loop, VARIANT, 10, budget=0.0, arena=LatentArena(ELOS, seed=5)).round == 2


def test_with_three_players_a_pairing_has_whole_blocks_of_three_games(open_loop: Callable[..., Loop]) -> None:
    loop = _with_champions(open_loop(), "hex8_3p")
    report: FullReport = run_full(loop, "hex8_3p", arena=LatentArena(ELOS, seed=1))
    assert report.games == 7 * 51


def test_no_game_no_champion_or_no_number_is_a_failure_with_a_sentence(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with pytest.raises(GateError, match="square8_2p has no champion yet"):
        run_full(loop, VARIANT, arena=LatentArena(ELOS, seed=1))
    _with_champions(loop)
    with pytest.raises(GateError, match="stored no new game, 175 blocks of 2 games are missing in round 1"):
        run_full(loop, VARIANT, arena=Silent())
    with pytest.raises(ConfigError, match="at least 1 game, got 0"):
        run_full(loop, VARIANT, 0)
    with loop.ledger.read() as conn:
        assert ratings.table(conn, VARIANT) == []


def test_a_second_full_tournament_of_the_variant_at_the_same_time_is_refused(open_loop: Callable[..., Loop]) -> None:
    loop = _with_champions(open_loop())
    with leases.hold(loop.ledger, f"full:{VARIANT}", clock=loop.clock), pytest.raises(NoCapacity, match="lease held"):
        run_full(loop, VARIANT, arena=LatentArena(ELOS, seed=1))


@pytest.mark.parametrize(
    ("full", "shadow", "variants", "seconds"),
    [(3600, 300, 2, 300.0), (600, 300, 2, 150.0), (3600, 900, 12, 150.0), (86_400, 86_400, 1, 300.0)],
)
def test_all_variants_together_leave_half_of_the_pools_time_to_the_shadow_tournaments(
    full: int, shadow: int, variants: int, seconds: float
) -> None:
    config = LoopConfig()
    evaluation = replace(config.evaluation, full_tournament_interval_seconds=full, shadow_interval_seconds=shadow)
    assert budget_s(replace(config, evaluation=evaluation, variants=("x",) * variants)) == seconds
