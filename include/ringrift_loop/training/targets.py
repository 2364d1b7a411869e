"""What the window's targets look like, and the check that they are what search makes of a game.

The project that this one learns from trained for two months on policy targets that had been read as one-hot. So a
window without soft targets is an error, not a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringrift_loop.errors import DataError
from ringrift_loop.training.window import Window

MIN_SEARCHED_SHARE = 0.02
"""Least share of the rows that come from a full search."""
MIN_SOFT_SHARE = 0.10
"""Least share of the policy targets that name at least two moves: the visits of 16 simulations hardly ever fall on one.
"""


@dataclass(frozen=True)
class TargetStatistics:
    """Figures of a window."""

    games: int
    rows: int
    validation_games: int
    policy_rows: int
    """Rows with a policy target."""
    soft_share: float
    """Share of the policy targets that name at least two moves."""
    policy_entropy: float
    """Mean entropy of the policy targets, nats."""
    legal_moves: float
    """Mean number of legal moves of a row."""
    seat_wins: tuple[float, ...]
    """Share of the games that each of four seats won."""
    plies: float
    """Mean length of a game."""


def target_statistics(window: Window) -> TargetStatistics:
    """The figures of a window."""
    lengths = np.diff(window.target_start)
    policy_rows = int(window.searched.sum())
    weights = window.target_weight.astype(np.float64)
    entropy = -(weights * np.log(np.maximum(weights, 1e-12))).sum()
    return TargetStatistics(
        games=window.num_games,
        rows=window.num_rows,
        validation_games=int(window.validation.sum()),
        policy_rows=policy_rows,
        soft_share=float((lengths > 1).sum() / max(policy_rows, 1)),
        policy_entropy=float(entropy / max(policy_rows, 1)),
        legal_moves=float(window.choices.mean(dtype=np.float64)) if window.num_rows else 0.0,
        seat_wins=tuple(float(share) for share in window.outcome.mean(0, dtype=np.float64)),
        plies=float(window.plies.mean(dtype=np.float64)) if window.num_games else 0.0,
    )


def check_targets(statistics: TargetStatistics) -> None:
    """Refuse a window that nothing can be learnt from.

    Raises:
        DataError: a side of the split is empty, or policy targets are missing or one-hot.
    """
    training = statistics.games - statistics.validation_games
    if training < 1 or statistics.validation_games < 1:
        raise DataError(
            f"the window has {training} training games and {statistics.validation_games} validation games; "
            "both are needed: play more games"
        )
    share = statistics.policy_rows / max(statistics.rows, 1)
    if share < MIN_SEARCHED_SHARE:
        raise DataError(
            f"only {share:.1%} of the window's rows have a policy target, at least {MIN_SEARCHED_SHARE:.0%} are "
            "needed; a ply has one when its search was a full one (selfplay.full_search_probability)"
        )
    if statistics.soft_share < MIN_SOFT_SHARE:
        raise DataError(
            f"only {statistics.soft_share:.1%} of the policy targets name more than one move, at least "
            f"{MIN_SOFT_SHARE:.0%} are needed: the searches' distributions were lost on the way"
        )
