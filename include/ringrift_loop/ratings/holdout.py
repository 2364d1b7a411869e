"""How much better a candidate knows the games that it was trained on than the holdout: games that no training sees.

Which games those are depends on a hash of their ids alone (`training/gather.py`), so a game of the holdout is in it for
every generation. A candidate that has memorised its window instead of learning the game shows it here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_SHARE = 0.25
"""Largest gap, as a share of what an even guess loses on the holdout. The original loop blocked at .15 nats of value
loss, which is .22 of the .69 that an even guess between two seats loses; sound trainings have a few hundredths
(docs/log.md)."""
MIN_GAMES = 20
"""Of a smaller holdout the gap's error is not known well enough to judge anybody by it."""
_Z = 1.959964


@dataclass(frozen=True)
class Gap:
    """Mean losses of one head, nats above the targets' own entropy."""

    train: float
    holdout: float
    guess: float
    """Of an even guess, on the same rows of the holdout."""
    error: float
    """Standard error of `holdout - train`; a game counts as one observation."""

    @property
    def share(self) -> float:
        """By how much of an even guess's loss the candidate does worse on the holdout."""
        return (self.holdout - self.train) / self.guess if self.guess > 0.0 else 0.0

    @property
    def margin(self) -> float:
        """Half the width of the share's 95 % interval."""
        return _Z * self.error / self.guess if self.guess > 0.0 else 0.0


@dataclass(frozen=True)
class Holdout:
    """A candidate on rows of both sides of the split."""

    train_games: int
    games: int
    """Of the holdout."""
    policy: Gap
    value: Gap

    @property
    def decides(self) -> bool:
        """Whether the holdout is large enough to judge by it."""
        return self.games >= MIN_GAMES

    @property
    def worst(self) -> tuple[str, Gap]:
        """The head that lies furthest above the limit, or least below it, for certain."""
        heads = {"policy": self.policy, "value": self.value}
        return max(heads.items(), key=lambda head: head[1].share - head[1].margin)

    @property
    def overfits(self) -> bool:
        """Whether a head's whole interval lies above the limit."""
        return self.decides and self.worst[1].share - self.worst[1].margin > MAX_SHARE

    def sentence(self) -> str:
        """The figures, for people."""
        heads = " and ".join(
            f"{name} {gap.train:.3f} on its training games and {gap.holdout:.3f} on the holdout, {gap.share:+.1%} ± "
            f"{gap.margin:.1%} of the {gap.guess:.3f} that an even guess loses"
            for name, gap in (("policy", self.policy), ("value", self.value))
        )
        return f"losses of {heads}; {self.games} games of the holdout"
