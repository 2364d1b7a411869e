from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.ratings.holdout import MAX_SHARE, MIN_GAMES, Gap, Holdout

SOUND = Gap(train=0.30, holdout=0.33, guess=0.69, error=0.02)
MEMORISED = Gap(train=0.05, holdout=0.70, guess=0.69, error=0.05)


@pytest.mark.parametrize(
    ("policy", "value", "games", "overfits"),
    [
        (SOUND, SOUND, 500, False),
        (SOUND, MEMORISED, 500, True),
        (MEMORISED, SOUND, 500, True),
        (SOUND, MEMORISED, MIN_GAMES - 1, False),
        # A large gap that few games leave uncertain.
        (SOUND, Gap(0.2, 0.5, 0.69, 0.1), 500, False),
        (SOUND, Gap(0.2, 0.5, 0.69, 0.01), 500, True),
        # Targets that are an even choice themselves.
        (Gap(0.0, 0.1, 0.0, 0.01), SOUND, 500, False),
    ],
)
def test_a_candidate_has_memorised_its_games_if_the_gap_lies_above_the_limit_for_certain(
    policy: Gap, value: Gap, games: int, overfits: bool
) -> None:
    assert Holdout(5000, games, policy, value).overfits is overfits


def test_a_candidate_at_half_the_limit_is_refused_by_chance_hardly_ever() -> None:
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(10_000):
        # Thirty games of the holdout, whose mean losses spread as those of a first window do.
        losses = rng.gamma(1.0, 0.3 + 0.5 * MAX_SHARE * 0.69, 30)
        gap = Gap(0.3, float(losses.mean()), 0.69, float(losses.std(ddof=1)) / 30**0.5)
        refused += Holdout(270, 30, SOUND, gap).overfits
    assert refused < 100


def test_the_sentence_has_both_heads_with_their_intervals() -> None:
    assert Holdout(5000, 500, SOUND, MEMORISED).sentence() == (
        "losses of policy 0.300 on its training games and 0.330 on the holdout, +4.3% ± 5.7% of the 0.690 that an even "
        "guess loses and value 0.050 on its training games and 0.700 on the holdout, +94.2% ± 14.2% of the 0.690 that "
        "an even guess loses; 500 games of the holdout"
    )
