"""Does a host's self-play look like the other hosts' self-play with the same model? Pure functions of sums over games.

Every game was replayed, so its moves are legal and its winner is right. Whether the model that a host names has played
them cannot be seen in one game, but in a few hundred: who wins from which seat, how long games are, how far the
searches' values lie from the outcomes, and how sure they are. A host deviates when a figure differs from that of the
other hosts by more than Z standard errors and by enough to matter. Z is 5 and a host has at most seven figures of a
model and variant, so an honest one deviates in one look of 250,000 (Bonferroni); docs/log.md has a simulation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from math import inf, sqrt
from operator import add

Z = 5.0
_Z_EACH = 3.0
"""Besides, it has to differ by so much from most of the other hosts one by one."""
MIN_GAMES = 200
"""Of a host with fewer the sums are not near enough to normal ones."""
_LEAST_SHARE = 0.05
"""Of the wins of a seat."""
_LEAST_LENGTH = 0.05
"""As a part of the other hosts' mean length."""
_LEAST_ERROR = 0.03
_LEAST_SPREAD = 0.1
"""As a part of the other hosts' mean; float32 and int8 differ by two hundredths."""


@dataclass(frozen=True)
class Sums:
    """Sums over games of one model, variant and search."""

    games: int
    wins: tuple[int, ...]
    """By seat; a game that was cut off is nobody's."""
    plies: float
    plies_squared: float
    errors: float
    """Of the values' error, over the games that have one."""
    errors_squared: float
    spreads: float
    """Of the values' spread, over the same games."""
    spreads_squared: float
    value_games: int
    """That have both."""

    def __add__(self, other: Sums) -> Sums:
        wins = tuple(mine + theirs for mine, theirs in zip(self.wins, other.wins, strict=True))
        parts = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Sums(**{**parts, "wins": wins})


@dataclass(frozen=True)
class Deviation:
    """A figure in which one host differs from the others."""

    host: str
    others: tuple[str, ...]
    figure: str
    """What it is, in words."""
    value: float
    theirs: float
    z: float
    games: int
    their_games: int
    decided: bool
    """Whether it is clear who deviates from whom: of two hosts, neither of them here, it is not."""

    def sentence(self) -> str:
        """For people."""
        text = (
            f"{self.figure} is {self.value:.3g} in {self.games} games of {self.host} and {self.theirs:.3g} in "
            f"{self.their_games} of {', '.join(self.others)}: {self.z:.0f} standard errors, at most {Z:.0f} are chance"
        )
        return text if self.decided else f"{text}; of two hosts it cannot be told which one is wrong"


def deviations(samples: Mapping[str, Sums], trusted: Collection[str] = ()) -> list[Deviation]:
    """The hosts that deviate from the others, the one that deviates most first; each is compared without those before.

    Args:
        samples: by host; all of one model, variant and search.
        trusted: hosts that are believed where one stands against one: folders of this machine.
    """
    left = {host: sums for host, sums in samples.items() if sums.games >= MIN_GAMES}
    found: list[Deviation] = []
    decided = True
    while worst := max(
        (one for host in left for one in _against_others(host, left)), key=lambda one: one.z, default=None
    ):
        if len(left) == 2:
            accused = [one for one in _against_others(worst.others[0], left) if one.figure == worst.figure]
            if worst.host in trusted and accused:
                worst = accused[0]
            decided = worst.host not in trusted and worst.others[0] in trusted
        found.append(worst)
        del left[worst.host]
    # Somebody has to be left whom the others are measured by: two that agree, or this machine.
    return [replace(one, decided=decided) for one in found]


def _against_others(host: str, samples: Mapping[str, Sums]) -> Iterator[Deviation]:
    own = samples[host]
    others = [name for name in samples if name != host]
    if not others:
        return
    theirs = reduce(add, (samples[name] for name in others))
    for figure, value, reference, z, least in _figures(own, theirs):
        if z > Z and abs(value - reference) > least and _from_most(own, value > reference, figure, samples, others):
            yield Deviation(host, tuple(others), figure, value, reference, z, own.games, theirs.games, decided=False)


def _from_most(own: Sums, above: bool, figure: str, samples: Mapping[str, Sums], others: Sequence[str]) -> bool:
    """Whether it lies on that side of most of the others one by one; one of them may be most of their sum."""
    agreeing = 0
    for other in others:
        for name, value, reference, z, _ in _figures(own, samples[other]):
            agreeing += name == figure and z > _Z_EACH and (value > reference) is above
    return 2 * agreeing > len(others)


def _figures(own: Sums, theirs: Sums) -> Iterator[tuple[str, float, float, float, float]]:
    """Words, own value, theirs, distance in standard errors, and the least distance that matters."""
    for seat, (mine, other) in enumerate(zip(own.wins, theirs.wins, strict=True), 1):
        shares = mine / own.games, other / theirs.games
        pooled = (mine + other) / (own.games + theirs.games)
        error = sqrt(pooled * (1 - pooled) * (1 / own.games + 1 / theirs.games))
        yield f"the share of wins of seat {seat}", *shares, _distance(*shares, error), _LEAST_SHARE
    means = [_mean(sums.plies, sums.plies_squared, sums.games) for sums in (own, theirs)]
    yield "the mean length in plies", *_compared(*means), _LEAST_LENGTH * means[1][0]
    if min(own.value_games, theirs.value_games) >= MIN_GAMES:
        means = [_mean(sums.errors, sums.errors_squared, sums.value_games) for sums in (own, theirs)]
        yield "the squared error of the searches' values", *_compared(*means), _LEAST_ERROR
        means = [_mean(sums.spreads, sums.spreads_squared, sums.value_games) for sums in (own, theirs)]
        yield "the spread of the searches' values", *_compared(*means), _LEAST_SPREAD * means[1][0]


def _mean(total: float, squares: float, number: int) -> tuple[float, float]:
    """Mean and its squared standard error."""
    mean = total / number
    return mean, max(0.0, squares / number - mean * mean) / (number - 1)


def _compared(own: tuple[float, float], theirs: tuple[float, float]) -> tuple[float, float, float]:
    return own[0], theirs[0], _distance(own[0], theirs[0], sqrt(own[1] + theirs[1]))


def _distance(value: float, reference: float, error: float) -> float:
    if value == reference:
        return 0.0
    return abs(value - reference) / error if error > 0.0 else inf
