"""Which of two is stronger, asked after every few blocks: two sequential probability ratio tests side by side.

One asks whether the first is stronger by `elo1` or not at all, the other the same of the second (Sobel and Wald). Both
look at blocks with their own spread, as fishtest's generalised test does, so that games of one opening are not counted
as if they knew nothing of each other. Looking after every block is what the test is made for; it errs with the
probability `error` in either direction, whenever it stops.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ringrift_loop.ratings.blocks import Evidence
from ringrift_loop.ratings.looks import REFERENCE_GAIN
from ringrift_loop.ratings.sprt import Sprt


@dataclass(frozen=True)
class TwoSidedSprt:
    """The two tests."""

    test: Sprt = field(default_factory=lambda: Sprt(elo0=0.0, elo1=REFERENCE_GAIN))
    """That of an advantage against none, the same for either side."""

    @property
    def bound(self) -> float:
        """A ratio above it decides for an advantage, one below its negative against."""
        return self.test.limits[1]

    def judge(self, evidence: Evidence) -> TwoSidedState:
        """Return both ratios, and what they say."""
        first = float(self.test.llr(evidence))
        second = float(replace(self.test, elo0=-self.test.elo0, elo1=-self.test.elo1).llr(evidence))
        verdict: Literal["first", "second", "neither", "continue"] = "continue"
        if first >= self.bound:
            verdict = "first"
        elif second >= self.bound:
            verdict = "second"
        elif max(first, second) <= -self.bound:
            verdict = "neither"
        return TwoSidedState(first, second, verdict)


@dataclass(frozen=True)
class TwoSidedState:
    """Where the tests stand."""

    first: float
    """Log-likelihood ratio of an advantage of the first."""
    second: float
    verdict: Literal["first", "second", "neither", "continue"]
