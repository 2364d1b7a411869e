"""What the window's targets and games look like, and the check that they can teach something.

The project that this one learns from trained for two months on policy targets that had been read as one-hot. So a
window without soft targets is an error, not a warning; so is one whose searches, winners or openings cannot be those of
games that were played. A limit is one that only a broken pipeline reaches (docs/log.md has figures of sound windows),
and of a share only its interval counts: a small or odd window passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ringrift_loop.checked_json import Count, Document, Number
from ringrift_loop.errors import DataError
from ringrift_loop.training.window import Window

MIN_SEARCHED_SHARE = 0.02
"""Least share of the rows that come from a full search."""
MIN_SOFT_SHARE = 0.10
"""Least share of the policy targets that name at least two moves: the visits of 16 simulations hardly ever fall on one.
"""
MIN_ENTROPY = 0.05
"""Least mean entropy of the policy targets, nats: a target with 99 % on one move has .056."""
MIN_INFORMATION = 0.01
"""Least distance of the policy targets from an even choice, mean, nats: a target that prefers nothing teaches nothing.
"""
MIN_SEAT_PART = 0.1
"""Least part of its fair share of the wins that a seat may have: who moves when matters far less (docs/log.md)."""
MAX_UNFINISHED_SHARE = 0.5
"""Largest share of games that were cut off: most of them would say nothing about who wins."""
MIN_DISTINCT_SHARE = 0.5
"""Least share of games that reach a position of their own within OPENING_ROWS choices."""
OPENING_ROWS = 16
MIN_GAMES = 30
"""Of fewer games lengths, openings and the searches' agreement with the outcomes say nothing."""
_Z_SHARE = 3.0
"""Standard errors by which a share has to miss its limit."""
_Z_AGREEMENT = 5.0
"""The searches' values speak for the winner in every sound window; against it, by chance, in one of three million."""


class TargetStatistics(Document, frozen=True, kw_only=True):
    """Figures of a window; 0 stands for one from before it was told."""

    games: Count
    rows: Count
    validation_games: Count
    policy_rows: Count
    """Rows with a policy target."""
    soft_share: Number
    """Share of the policy targets that name at least two moves."""
    policy_entropy: Number
    """Mean entropy of the policy targets, nats."""
    policy_information: Number = 0.0
    """How far the policy targets lie below the entropy of an even choice, mean, nats."""
    policy_surprise: Number = 0.0
    """How far the policy targets lie from what their players expected, KL(target || prior), mean, nats."""
    legal_moves: Number
    """Mean number of legal moves of a row."""
    seat_wins: Annotated[tuple[Number, ...], Meta(max_length=4)]
    """Share of the games that each of four seats won; a game that was cut off counts for all alike."""
    players: Count = 0
    unfinished_share: Number = 0.0
    """Share of the games that were cut off."""
    plies: Number
    """Mean length of a game."""
    plies_low: Number = 0.0
    """Length below which one game of twenty lies."""
    plies_high: Number = 0.0
    """Length above which one game of twenty lies."""
    distinct_share: Number = 0.0
    """Share of different positions among those that the games reach after OPENING_ROWS choices."""
    value_agreement: Number = 0.0
    """Correlation of the searches' shares of the win with the outcome."""
    value_agreement_error: Number = 0.0
    """Its standard error; a game counts as one observation."""


def target_statistics(window: Window, players: int) -> TargetStatistics:
    """The figures of a window of games between so many players."""
    lengths = np.diff(window.target_start)
    policy_rows = int(window.searched.sum())
    weights = window.target_weight.astype(np.float64)
    entropy = float(-(weights * np.log(np.maximum(weights, 1e-12))).sum()) / max(policy_rows, 1)
    choices = window.choices[window.searched == 1].astype(np.float64)
    even = float(np.log(choices).sum()) / max(policy_rows, 1)
    plies = window.plies if window.num_games else np.zeros(1)
    surprise = window.policy_surprise[np.isfinite(window.policy_surprise)]
    agreement = _agreement(window, players)
    return TargetStatistics(
        games=window.num_games,
        rows=window.num_rows,
        validation_games=int(window.validation.sum()),
        policy_rows=policy_rows,
        soft_share=float((lengths > 1).sum() / max(policy_rows, 1)),
        policy_entropy=entropy,
        policy_information=even - entropy,
        policy_surprise=float(surprise.mean(dtype=np.float64)) if len(surprise) else 0.0,
        legal_moves=float(window.choices.mean(dtype=np.float64)) if window.num_rows else 0.0,
        seat_wins=tuple(float(share) for share in window.outcome.mean(0, dtype=np.float64)),
        players=players,
        unfinished_share=float((window.outcome.max(1) < 1.0).mean()),
        plies=float(plies.mean(dtype=np.float64)),
        plies_low=float(np.percentile(plies, 5)),
        plies_high=float(np.percentile(plies, 95)),
        distinct_share=_distinct_share(window),
        value_agreement=agreement.correlation,
        value_agreement_error=agreement.error,
    )


def check_targets(statistics: TargetStatistics) -> None:
    """Refuse a window that nothing can be learnt from.

    Raises:
        DataError: a side of the split is empty, or figures lie where only something broken can have brought them; the
            message has a sentence for each.
    """
    training = statistics.games - statistics.validation_games
    if training < 1 or statistics.validation_games < 1:
        raise DataError(
            f"the window has {training} training games and {statistics.validation_games} validation games; "
            "both are needed: play more games"
        )
    complaints = [*_about_policies(statistics), *_about_outcomes(statistics), *_about_games(statistics)]
    if complaints:
        raise DataError("; ".join(complaints))


def _about_policies(found: TargetStatistics) -> Iterator[str]:
    share = found.policy_rows / max(found.rows, 1)
    if share < MIN_SEARCHED_SHARE:
        yield (
            f"only {share:.1%} of the window's rows have a policy target, at least {MIN_SEARCHED_SHARE:.0%} are "
            "needed; a ply has one when its search was a full one (selfplay.full_search_probability)"
        )
        return
    if found.soft_share < MIN_SOFT_SHARE:
        yield (
            f"only {found.soft_share:.1%} of the policy targets name more than one move, at least "
            f"{MIN_SOFT_SHARE:.0%} are needed: the searches' distributions were lost on the way"
        )
    elif found.policy_entropy < MIN_ENTROPY:
        yield (
            f"the policy targets have a mean entropy of {found.policy_entropy:.4f} nats, at least {MIN_ENTROPY:g} are "
            "needed: they are one-hot in all but name, so a temperature or a rounding has eaten the distributions"
        )
    if found.policy_information < MIN_INFORMATION:
        yield (
            f"the policy targets differ from an even choice by {found.policy_information:.4f} nats, at least "
            f"{MIN_INFORMATION:g} are needed: the searches preferred no move to another"
        )


def _about_outcomes(found: TargetStatistics) -> Iterator[str]:
    least = MIN_SEAT_PART / found.players
    for seat, share in enumerate(found.seat_wins[: found.players], 1):
        if _highest(share, found.games) < least:
            yield (
                f"seat {seat} won {share:.1%} of {found.games} games, less than {least:.1%} in all likelihood, while "
                f"{1 / found.players:.0%} are fair: winners or seats are recorded wrongly"
            )
    cut_off = 1.0 - _highest(1.0 - found.unfinished_share, found.games)
    if cut_off > MAX_UNFINISHED_SHARE:
        yield (
            f"{found.unfinished_share:.1%} of {found.games} games were cut off at their ply budget, at most "
            f"{MAX_UNFINISHED_SHARE:.0%} may be: their outcomes say nothing; see how the players fail to end a game"
        )
    error = found.value_agreement_error
    if found.games >= MIN_GAMES and error > 0.0 and found.value_agreement + _Z_AGREEMENT * error < 0.0:
        yield (
            f"the searches' values speak against the outcomes, with a correlation of {found.value_agreement:.3f} ± "
            f"{error:.3f}, which is above 0 where players know anything: seats or winners are mixed up"
        )


def _about_games(found: TargetStatistics) -> Iterator[str]:
    if found.games < MIN_GAMES:
        return
    if found.plies_low == found.plies_high:
        yield (
            f"nine of ten of {found.games} games are {found.plies:.0f} plies long, as games that were played never "
            "are: they are the same game, or were cut off"
        )
    if _highest(found.distinct_share, found.games) < MIN_DISTINCT_SHARE:
        yield (
            f"after {OPENING_ROWS} choices the {found.games} games have reached {found.distinct_share:.1%} as many "
            f"different positions, at least {MIN_DISTINCT_SHARE:.0%} are needed: workers play with the same seed, or "
            "without random openings"
        )


def _highest(share: float, trials: int) -> float:
    """Upper end of Wilson's interval of a share of so many trials."""
    z = _Z_SHARE
    centre = share + z * z / (2 * trials)
    return (centre + z * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)) / (1 + z * z / trials)


def _distinct_share(window: Window) -> float:
    games, first, rows = np.unique(window.game, return_index=True, return_counts=True)
    reached = window.states[first + np.minimum(rows, OPENING_ROWS) - 1]
    return len({state.tobytes() for state in reached}) / max(len(games), 1)


class _Agreement(NamedTuple):
    correlation: float
    error: float


def _agreement(window: Window, players: int) -> _Agreement:
    """Correlation of the rows' root values with their outcomes.

    About the means of each seat: a young network that overrates the seat that loses more often is no mix-up.
    """
    rows = np.flatnonzero(window.root_value.any(1))
    game = window.game[rows]
    outcome = window.outcome[game].astype(np.float64)
    swapped = window.swapped[rows] == 1
    outcome[swapped, :2] = outcome[swapped, 1::-1]
    if len(rows) == 0:
        return _Agreement(0.0, 0.0)
    value, outcome = window.root_value[rows, :players].astype(np.float64), outcome[:, :players]
    value, outcome = value - value.mean(0), outcome - outcome.mean(0)
    scale = sqrt(float((value**2).sum() * (outcome**2).sum()))
    if scale == 0.0:
        return _Agreement(0.0, 0.0)
    together = by_game((value * outcome).sum(1), game, window.num_games)
    mean = float(together.sums.sum()) / len(rows)
    return _Agreement(mean * len(rows) / scale, together.error(mean) * len(rows) / scale)


class ByGame(NamedTuple):
    """Figures of rows, summed by game: rows of one game are no independent observations."""

    sums: NDArray[np.float64]
    """[G]."""
    rows: NDArray[np.float64]
    """[G]."""

    def error(self, mean: float) -> float:
        """Standard error of the rows' mean, with a game as the sampling unit; 0 for fewer than two games."""
        games = int((self.rows > 0).sum())
        if games < 2:
            return 0.0
        spread = float(((self.sums - self.rows * mean) ** 2).sum())
        return sqrt(spread * games / (games - 1)) / float(self.rows.sum())


def by_game(figures: NDArray[np.floating], game: NDArray[np.integer], games: int) -> ByGame:
    """Sums and numbers of the rows of each game; `figures` and `game` are [R]."""
    rows = np.bincount(game, minlength=games).astype(np.float64)
    return ByGame(np.bincount(game, figures, games).astype(np.float64), rows)
