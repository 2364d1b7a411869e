"""Sequential probability ratio test on blocks: accept or reject as soon as the games allow.

The test of Wald (1945) between "the gain is elo0" and "the gain is elo1" on block scores, whose mean is close to
normal; the variance is measured (generalised SPRT in the form of fishtest: M. Van den Bergh, "A practical
introduction to the GSPRT").
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np
import numpy.typing as npt

from ringrift_loop.errors import ConfigError
from ringrift_loop.ratings.blocks import evidence_of, expected_score


@dataclass(frozen=True)
class Sprt:
    """One test: hypotheses and the error rates it keeps."""

    elo0: float = 0.0
    elo1: float = 25.0
    alpha: float = 0.05
    """Probability to accept when the gain is elo0."""
    beta: float = 0.05
    """Probability to reject when the gain is elo1."""

    def __post_init__(self) -> None:
        if self.elo1 <= self.elo0:
            raise ConfigError(f"sprt.elo1 must be above sprt.elo0, got elo0={self.elo0}, elo1={self.elo1}")
        for name in ("alpha", "beta"):
            if not 0.0 < getattr(self, name) < 0.5:
                raise ConfigError(f"sprt.{name} must be between 0 and 0.5, got {getattr(self, name)}")

    @property
    def bounds(self) -> tuple[float, float]:
        """The llr at which to reject, and that at which to accept (Wald's approximation)."""
        return log(self.beta / (1.0 - self.alpha)), log((1.0 - self.beta) / self.alpha)

    def llr(self, scores: npt.NDArray[np.float64]) -> float:
        """Return the logarithm of the likelihood ratio of elo1 to elo0, given block scores [B]; 0 without any."""
        if len(scores) == 0:
            return 0.0
        seen = evidence_of(scores)
        s0, s1 = expected_score(self.elo0), expected_score(self.elo1)
        return float(len(scores) * (s1 - s0) * (2.0 * seen.mean - s0 - s1) / (2.0 * seen.variance))

    def verdict(self, scores: npt.NDArray[np.float64]) -> Literal["accept", "reject", "continue"]:
        """Return whether the test has ended, and how."""
        lower, upper = self.bounds
        llr = self.llr(scores)
        if llr >= upper:
            return "accept"
        return "reject" if llr <= lower else "continue"
