from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from latent import LatentArena
from ledger_rows import rows
from ringrift_loop.errors import GateError, NoCapacity
from ringrift_loop.ledger import events, gates, leases, matches, models, promotions
from ringrift_loop.ledger.gates import GateRow
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.promotion.champion import champion_gate
from ringrift_loop.promotion.regression import run_gate
from ringrift_loop.tournament.arena import Arena
from ringrift_loop.tournament.blocks import BlockPlan, paired_block
from ringrift_loop.tournament.participants import baseline_id
from ringrift_loop.tournament.store import LedgerShelf, keep_all

VARIANT = "square8_2p"
HEURISTIC = baseline_id("heuristic", VARIANT)
ANCESTOR, OLD, NEW = ("1" * 64, "2" * 64, "3" * 64)
QUICK = {"looks": (60, 120, 240), "min_games": 40}


def _name(digest: str) -> str:
    return f"{digest}|gumbel16,considered=4"


def _arena(new: float, seed: int = 1) -> LatentArena:
    elos = {"random": 0.0, HEURISTIC: 200.0, _name(ANCESTOR): 260.0, _name(OLD): 300.0, _name(NEW): new}
    return LatentArena(elos, seed=seed, seats=(0.0, 60.0))


def _prepared(open_loop: Callable[..., Loop], arena: LatentArena, champions: tuple[str, ...] = (ANCESTOR, OLD)) -> Loop:
    loop = open_loop(promotion=QUICK)
    with loop.ledger.begin() as conn:
        for digest in (ANCESTOR, OLD, NEW):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        for digest in champions:
            promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=1.0)
    plans = [paired_block(VARIANT, "shadow", HEURISTIC, "random", 2, seed) for seed in range(20)]
    plans += [paired_block(VARIANT, "shadow", _name(OLD), HEURISTIC, 2, seed) for seed in range(20)]
    keep_all(LedgerShelf(loop), arena.play(plans))
    return loop


def test_a_much_stronger_candidate_passes_at_an_early_look(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    report = champion_gate(loop, NEW, arena=arena)
    assert report.passed
    assert report.games < 240
    assert report.posterior is not None and report.posterior >= 0.975
    assert "an equal model passes" in report.error_rates
    assert {seen.opponent for seen in report.comparisons} >= {_name(OLD), "random", HEURISTIC}
    with loop.ledger.read() as conn:
        row = gates.latest(conn, model_digest=NEW, gate=gates.CHAMPION)
    assert row is not None and row.passed
    assert row.report["games"] == report.games


def test_every_game_of_the_match_log_is_counted_also_those_of_a_gate(
    open_loop: Callable[..., Loop],
) -> None:
    arena = _arena(600.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.2)
        loop = replace(open_loop(promotion=QUICK), metrics=Metrics("127.0.0.1", udp.getsockname()[1], strict=True))
        loop = _prepared(lambda **_: loop, arena)
        for _ in range(2):  # the second time every game is there
            champion_gate(loop, NEW, arena=arena)
        lines = []
        with contextlib.suppress(TimeoutError):
            while True:
                lines.append(udp.recv(512).decode())

    counted: Counter[str] = Counter()
    for line in lines:
        name, _, value = line.removesuffix("|c").rpartition(":")
        if name.startswith("ringrift_match_games_total,"):
            counted[name.rpartition("purpose=")[2]] += int(value)
    with loop.ledger.read() as conn:
        known = {
            purpose: len(matches.results(conn, VARIANT, purpose=purpose)) for purpose in ("shadow", "gate", "champion")
        }
    assert counted == Counter(known)
    assert known["champion"] > 0 and known["shadow"] > 0


def test_a_weaker_candidate_is_rejected_with_its_reason(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(150.0)
    loop = _prepared(open_loop, arena)
    report = champion_gate(loop, NEW, arena=arena)
    assert not report.passed
    assert "the probability must reach 0.975" in report.reasons[0]


class Endings:
    """An arena of three: the candidate wins so many games of a block, and has always the same place in the others."""

    def __init__(self, wins: Sequence[int], otherwise: int) -> None:
        self._wins, self._otherwise = wins, otherwise

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        for plan, games in zip(plans, LatentArena({_name(OLD): 0.0, _name(NEW): 0.0}, seed=1).play(plans), strict=True):
            yield [
                self._ended(game, won=number < self._wins[plan.seed % len(self._wins)])
                for number, game in enumerate(games)
            ]

    def _ended(self, game: MatchRow, *, won: bool) -> MatchRow:
        own = game.seats.index(_name(NEW))
        place = 1 if won else self._otherwise
        places = [place] * 3
        places[own - 1], places[own - 2] = (other for other in (1, 2, 3) if other != place)
        return replace(game, places=places, winner=places.index(1) + 1)


@pytest.mark.parametrize(
    ("wins", "otherwise", "passes"),
    [
        pytest.param((2, 1), 3, True, id="wins half of the games and is last in the others"),
        pytest.param((1,), 2, False, id="wins a third and is second in the others"),
    ],
)
def test_of_three_players_a_candidate_is_judged_by_its_wins_alone(
    open_loop: Callable[..., Loop], wins: Sequence[int], otherwise: int, passes: bool
) -> None:
    loop, variant = open_loop(promotion=QUICK), "square8_3p"
    with loop.ledger.begin() as conn:
        for digest in (OLD, NEW):
            models.add(conn, digest, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, variant, OLD, reason="", elo_gain=None, games=0, at=1.0)
    report = champion_gate(loop, NEW, arena=Endings(wins, otherwise))
    assert report.passed == passes
    (seen,) = report.comparisons
    assert report.gain is not None
    if passes:
        assert report.gain > 80.0 and seen.gain > 80.0
    else:
        assert (report.gain, seen.gain) == pytest.approx((0.0, 0.0), abs=1e-6)
    with loop.ledger.read() as conn:  # a third of the wins is what an equal has: it makes no worse games
        assert promotions.generators(conn)[variant].model_digest == NEW


def test_an_interrupted_gate_goes_on_where_it_was(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(320.0)
    loop = _prepared(open_loop, arena)
    first = champion_gate(loop, NEW, arena=arena)
    with loop.ledger.read() as conn:
        played = matches.results(conn, VARIANT)
    again = champion_gate(loop, NEW, arena=_arena(-1000.0, seed=9))
    with loop.ledger.read() as conn:
        assert matches.results(conn, VARIANT) == played
    assert (again.passed, again.gain, again.games) == (first.passed, first.gain, first.games)


def test_a_verdict_that_is_found_again_is_recorded_once_and_outlives_the_promotion(
    open_loop: Callable[..., Loop],
) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    first = champion_gate(loop, NEW, arena=arena)
    assert champion_gate(loop, NEW, arena=arena).passed
    with loop.ledger.begin() as conn:
        assert len(rows(conn, GateRow, variant=VARIANT)) == 1
        promotions.promote(conn, VARIANT, NEW, reason="", elo_gain=None, games=0, at=2.0)
    assert champion_gate(loop, NEW, arena=arena) == first


def test_a_candidate_that_loses_to_an_ancestor_does_not_ratchet_down(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    beaten = LatentArena({_name(NEW): 0.0, _name(ANCESTOR): 2000.0}, seed=3)
    plans = [paired_block(VARIANT, "shadow", _name(NEW), _name(ANCESTOR), 2, seed) for seed in range(150)]
    keep_all(LedgerShelf(loop), beaten.play(plans))
    report = champion_gate(loop, NEW, arena=arena)
    assert not report.passed
    assert any("significantly weaker than 1111" in reason for reason in report.reasons)


def test_a_few_games_lost_to_an_ancestor_are_no_proof_against_a_candidate(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    beaten = LatentArena({_name(NEW): 0.0, _name(ANCESTOR): 2000.0}, seed=3)
    keep_all(
        LedgerShelf(loop),
        beaten.play([paired_block(VARIANT, "shadow", _name(NEW), _name(ANCESTOR), 2, seed) for seed in range(2)]),
    )
    report = champion_gate(loop, NEW, arena=arena)
    (seen,) = (each for each in report.comparisons if each.opponent == _name(ANCESTOR))
    assert seen.gain < 0
    assert not seen.worse
    assert report.passed


def test_the_least_games_are_played_however_clear_the_result(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    promotion = replace(loop.config.promotion, min_games=121)
    report = champion_gate(replace(loop, config=replace(loop.config, promotion=promotion)), NEW, arena=arena)
    assert (report.passed, report.games) == (True, 240), report.reasons


class Stopped:
    """An arena in a process that stands still for so long that another takes its lease."""

    def __init__(self, loop: Loop, lease: str, arena: Arena) -> None:
        self._loop, self._lease, self._arena = loop, lease, arena

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        with self._loop.ledger.begin() as conn:
            held = leases.holder(conn, self._lease, at=self._loop.clock())
            assert held is not None
            assert leases.acquire(conn, self._lease, "another", ttl_s=60.0, at=held.expires_at)
        return self._arena.play(plans)


def test_no_verdict_is_written_once_the_lease_is_another_s(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    with pytest.raises(NoCapacity, match="lost to another; nothing is written"):
        champion_gate(loop, NEW, arena=Stopped(loop, f"champion-gate:{VARIANT}", arena))
    with pytest.raises(NoCapacity, match="lost to another; nothing is written"):
        run_gate(loop, NEW, VARIANT, arena=Stopped(loop, f"regression-gate:{NEW[:16]}", arena), candidate=True)
    with loop.ledger.read() as conn:
        assert rows(conn, GateRow, variant=VARIANT) == []
        assert promotions.of_model(conn, NEW) == []


def test_without_a_champion_nothing_is_played_and_the_report_says_so(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    report = champion_gate(_prepared(open_loop, arena, champions=()), NEW, arena=arena)
    assert (report.passed, report.games, report.champion_digest) == (True, 0, None)
    assert "regression gate decides alone" in report.reasons[0]


def test_a_champion_is_not_judged_against_itself(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    with pytest.raises(GateError, match="against itself"):
        champion_gate(_prepared(open_loop, arena), OLD, arena=arena)


def _generator(loop: Loop) -> str:
    with loop.ledger.read() as conn:
        return promotions.generators(conn)[VARIANT].model_digest


class Watched:
    """An arena that notes who generates when a look's games are asked for."""

    def __init__(self, loop: Loop, arena: Arena) -> None:
        self._loop, self._arena = loop, arena
        self.seen: list[str] = []

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        self.seen.append(_generator(self._loop))
        return self._arena.play(plans)


def test_a_candidate_that_is_not_worse_makes_the_games_long_before_it_is_champion(
    open_loop: Callable[..., Loop],
) -> None:
    arena = _arena(320.0, seed=4)
    loop = _prepared(open_loop, arena)
    watched = Watched(loop, arena)
    report = champion_gate(loop, NEW, arena=watched)
    assert watched.seen == [OLD, NEW]
    assert report.games == 120
    with loop.ledger.read() as conn:
        assert promotions.champion(conn, VARIANT).model_digest == OLD  # type: ignore[union-attr]
        assert [event.kind for event in events.latest(conn, limit=2)] == ["gate", "generator"]
    with loop.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, ANCESTOR, reason="", elo_gain=None, games=0, at=2.0, status="rolled_back")
    assert _generator(loop) == ANCESTOR  # whoever becomes champion makes the games


def test_a_candidate_that_loses_makes_no_games(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(150.0)
    loop = _prepared(open_loop, arena)
    champion_gate(loop, NEW, arena=arena)
    assert _generator(loop) == OLD


def test_a_candidate_that_falls_behind_at_a_later_look_makes_no_more_games(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(300.0)
    loop = _prepared(open_loop, arena)
    with loop.ledger.begin() as conn:
        promotions.choose_generator(conn, VARIANT, NEW, at=1.0)
    champion_gate(loop, NEW, arena=_arena(150.0))
    assert _generator(loop) == OLD


@pytest.mark.parametrize("why", ["an older model", "switched off"])
def test_only_the_newest_model_makes_games_and_only_if_that_is_wanted(open_loop: Callable[..., Loop], why: str) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    if why == "an older model":
        with loop.ledger.begin() as conn:
            models.add(conn, "4" * 64, VARIANT, parent_digest=None, training_run=None, manifest={}, at=2.0)
    else:
        with loop.ledger.begin() as conn:  # from the time before
            promotions.choose_generator(conn, VARIANT, NEW, at=1.0)
        promotion = replace(loop.config.promotion, early_generator=False)
        loop = replace(loop, config=replace(loop.config, promotion=promotion))
    assert champion_gate(loop, NEW, arena=arena).passed
    assert _generator(loop) == OLD


def test_a_candidate_that_is_weaker_than_an_ancestor_makes_no_games(open_loop: Callable[..., Loop]) -> None:
    arena = _arena(600.0)
    loop = _prepared(open_loop, arena)
    beaten = LatentArena({_name(NEW): 0.0, _name(ANCESTOR): 2000.0}, seed=3)
    plans = [paired_block(VARIANT, "shadow", _name(NEW), _name(ANCESTOR), 2, seed) for seed in range(150)]
    keep_all(LedgerShelf(loop), beaten.play(plans))
    assert not champion_gate(loop, NEW, arena=arena).passed
    assert _generator(loop) == OLD
