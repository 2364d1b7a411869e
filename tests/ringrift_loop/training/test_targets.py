from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from ringrift_loop.engine.moves import SW
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training.targets import MIN_GAMES, TargetStatistics, by_game, check_targets, target_statistics
from ringrift_loop.training.window import WindowWriter

SOUND = TargetStatistics(
    games=300,
    rows=17_400,
    validation_games=30,
    policy_rows=8700,
    soft_share=0.99,
    policy_entropy=2.1,
    policy_information=1.4,
    legal_moves=66.0,
    seat_wins=(0.43, 0.57, 0.0, 0.0),
    players=2,
    unfinished_share=0.01,
    plies=114.0,
    plies_low=70.0,
    plies_high=170.0,
    distinct_share=0.99,
    value_agreement=0.4,
    value_agreement_error=0.02,
)


def _statistics(folder: Path, games: list[ReplayedGame]) -> TargetStatistics:
    writer = WindowWriter(folder, rules_for("square8_2p"), rows=10_000, games=len(games))
    for number, game in enumerate(games):
        writer.add(game, validation=number == 0)
    return target_statistics(writer.finish("digest"), 2)


def test_soft_targets_pass_and_their_entropy_is_told(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    games = [replayed("square8_2p", seed) for seed in (1, 2)]
    statistics = _statistics(tmp_path, games)
    check_targets(statistics)
    entropies = []
    for game in games:
        for target in game.targets:
            if target.full:
                p = target.weight / 65_535
                entropies.append(-(p * np.log(p)).sum())
    assert statistics.policy_entropy == pytest.approx(np.mean(entropies), rel=1e-4)
    assert statistics.policy_rows == len(entropies)
    assert statistics.policy_surprise == 0.0, "no game tells it"
    assert statistics.soft_share == 1.0
    assert statistics.validation_games == 1


def test_the_mean_surprise_is_that_of_the_searches_that_tell_it(
    tmp_path: Path, replayed: Callable[..., ReplayedGame]
) -> None:
    games = [replayed("square8_2p", seed) for seed in (1, 2)]
    full = [target for target in games[0].targets if target.full]
    told = [
        replace(target, policy_surprise=0.25 + place % 2 if target.full else None) for place, target in enumerate(full)
    ]
    statistics = _statistics(tmp_path, [replace(games[0], targets=told), games[1]])
    assert statistics.policy_surprise == pytest.approx(0.75, abs=1 / len(told))


def test_one_hot_targets_are_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    statistics = _statistics(tmp_path, [replayed("square8_2p", seed, soft=False) for seed in (1, 2)])
    assert statistics.policy_entropy == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(DataError, match=r"only 0\.0% of the policy targets name more than one move"):
        check_targets(statistics)


def test_missing_targets_are_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    games = [replace(replayed("square8_2p", seed), targets=[]) for seed in (1, 2)]
    with pytest.raises(DataError, match=r"only 0\.0% of the window's rows have a policy target"):
        check_targets(_statistics(tmp_path, games))


def test_a_window_without_validation_games_is_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    statistics = structs.replace(_statistics(tmp_path, [replayed("square8_2p", 1)]), validation_games=0)
    with pytest.raises(DataError, match="1 training games and 0 validation games"):
        check_targets(statistics)


BROKEN = {
    "one-hot in all but name": {"policy_entropy": 0.02},
    "preferred no move": {"policy_information": 0.002},
    "seat 1 won 0.0% of 300 games": {"seat_wins": (0.0, 1.0, 0.0, 0.0)},
    "seat 3 won 0.0% of 900 games": {"seat_wins": (0.4, 0.3, 0.0, 0.3), "players": 4, "games": 900},
    "80.0% of 300 games were cut off": {"unfinished_share": 0.8},
    "speak against the outcomes": {"value_agreement": -0.2},
    "are 80 plies long": {"plies": 80.0, "plies_low": 80.0, "plies_high": 80.0},
    "22.0% as many different positions": {"distinct_share": 0.22},
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_what_only_a_broken_pipeline_makes_is_an_error_with_its_own_sentence(sentence: str) -> None:
    check_targets(SOUND)
    with pytest.raises(DataError, match=sentence) as refused:
        check_targets(structs.replace(SOUND, **BROKEN[sentence]))  # type: ignore[arg-type]
    assert ";" not in str(refused.value).partition("their outcomes say nothing")[0]


def test_every_failing_limit_is_told() -> None:
    with pytest.raises(DataError) as refused:
        check_targets(structs.replace(SOUND, policy_entropy=0.0, policy_information=0.0, value_agreement=-0.9))
    assert len(str(refused.value).split("; ")) == 3


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_few_games_accuse_nobody(sentence: str) -> None:
    broken = {name: value for name, value in BROKEN[sentence].items() if not name.startswith("policy_")}
    check_targets(structs.replace(SOUND, **{**broken, "games": 5, "validation_games": 1}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("players", "wins"), [(2, (0.3, 0.7)), (3, (0.15, 0.3, 0.55)), (4, (0.1, 0.2, 0.2, 0.5))])
def test_no_window_of_games_with_a_strong_advantage_of_a_seat_is_refused(players: int, wins: tuple[float, ...]) -> None:
    rng = np.random.default_rng(5)
    for games in (30, 100, 300, 3000):
        for _ in range(500):
            counts = rng.multinomial(games, wins)
            drawn = rng.binomial(games, 0.2) / games
            share = tuple(counts / games) + (0.0,) * (4 - players)
            figures = {"games": games, "validation_games": 3, "unfinished_share": drawn}
            check_targets(structs.replace(SOUND, players=players, seat_wins=share, **figures))


def _told(game: ReplayedGame, winner_gets: float) -> ReplayedGame:
    """The game with searches that give its winner, wherever that person sat then, this share of the win."""
    swaps = [ply for ply, move in enumerate(game.moves) if move & 0xFF == SW]
    assert game.winner is not None
    targets = []
    for target in game.targets:
        seat = game.winner - 1
        if swaps and target.ply <= swaps[-1]:
            seat = 1 - seat
        value = np.full(2, 1.0 - winner_gets, np.float16)
        value[seat] = winner_gets
        targets.append(replace(target, value=value))
    return replace(game, targets=targets)


def test_the_searches_agree_with_the_outcomes_or_the_window_is_refused(
    tmp_path: Path, replayed: Callable[..., ReplayedGame]
) -> None:
    games = [replayed("square8_2p", seed, pie_rule=True) for seed in range(50)]
    games = [game for game in games if game.winner is not None]
    assert len(games) >= MIN_GAMES
    assert any((game.moves & 0xFF == SW).any() for game in games)
    right = _statistics(tmp_path / "right", [_told(game, 0.75) for game in games])
    assert right.value_agreement == pytest.approx(1.0, abs=1e-3)
    check_targets(right)
    # The seats of the values, or the winners, are the wrong ones in six games of seven.
    wrong = _statistics(tmp_path / "wrong", [_told(game, 0.25 + 0.5 * (n % 7 == 0)) for n, game in enumerate(games)])
    assert -1.0 < wrong.value_agreement < -0.5
    with pytest.raises(DataError, match=r"speak against the outcomes, with a correlation of -0\.\d+ ± 0\.\d+"):
        check_targets(wrong)


def test_a_young_network_that_overrates_one_seat_is_no_mix_up(
    tmp_path: Path, replayed: Callable[..., ReplayedGame]
) -> None:
    games = [replayed("square8_2p", seed) for seed in range(40)]
    seats = [sum(game.winner == seat for game in games) for seat in (1, 2)]
    worse = seats.index(min(seats))
    rng = np.random.default_rng(2)

    def overrated(game: ReplayedGame) -> ReplayedGame:
        shares = [np.eye(2)[worse] * 0.2 + 0.4 + rng.normal(0.0, 0.02) * np.array([1, -1]) for _ in game.targets]
        told = [replace(target, value=v.astype(np.float16)) for target, v in zip(game.targets, shares, strict=True)]
        return replace(game, targets=told)

    statistics = _statistics(tmp_path, [overrated(game) for game in games])
    assert abs(statistics.value_agreement) < 5 * statistics.value_agreement_error
    check_targets(statistics)


def test_one_game_over_and_over_is_an_error(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> None:
    statistics = _statistics(tmp_path, [replayed("square8_2p", 1)] * MIN_GAMES)
    assert statistics.distinct_share == pytest.approx(1 / MIN_GAMES)
    with pytest.raises(DataError, match=r"plies long.*; after 16 choices the 30 games have reached 3\.3%"):
        check_targets(statistics)


def test_rows_of_one_game_are_one_observation() -> None:
    rng = np.random.default_rng(3)
    figures = rng.normal(size=200)
    alone = by_game(figures, np.arange(200), 200)
    assert alone.error(float(figures.mean())) == pytest.approx(figures.std(ddof=1) / 200**0.5)
    # Told nine times each, they say no more than before.
    again = by_game(np.repeat(figures, 9), np.repeat(np.arange(200), 9), 200)
    assert again.error(float(figures.mean())) == pytest.approx(alone.error(float(figures.mean())))
    assert by_game(figures, np.zeros(200, np.int64), 3).error(0.0) == 0.0
