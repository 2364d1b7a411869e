"""The experiments as the page shows them: arms, cost, curves and the verdict, from their records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.errors import DataError
from ringrift_loop.experiments.page import command
from ringrift_loop.experiments.record import RECORD, Experiment, Run, read_experiment
from ringrift_loop.text import clean

_MOST = 100
_MAX_POINTS = 100
_Z95 = 1.959964


@dataclass(frozen=True)
class CurvePoint:
    """A run after one of its cycles."""

    core_hours: float
    games: int
    elo: float | None
    """Of its champion, random at 0; None before the first."""
    interval: float | None
    """Half the width of the 95 % interval."""


@dataclass(frozen=True)
class ShownRun:
    """One arm with one seed."""

    arm: int
    seed: int
    core_hours: float
    games: int
    generation: int
    """Of its champion; 0 before the first."""
    finished: bool
    points: list[CurvePoint]


@dataclass(frozen=True)
class ShownArm:
    """One of the two that are compared."""

    name: str
    settings: dict[str, str]
    """The keys of the configuration in which it differs."""
    core_hours: float
    """Of all its runs."""


@dataclass(frozen=True)
class ShownMatch:
    """The models of a seed against each other: the share of the wins of the first arm's, with its 95 % interval."""

    seed: int
    games: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ShownVerdict:
    """What came of it; Elo of the first arm over the second, with its 95 % interval."""

    winner: str | None
    """The stronger arm's name; None: neither, or not decided."""
    decided: bool
    games: int
    elo: float
    low: float
    high: float
    sentence: str


@dataclass(frozen=True)
class ShownExperiment:
    """One experiment. Times are UTC seconds."""

    name: str
    question: str
    variant: str
    state: str
    """`running` or `finished`."""
    shipped: bool
    """It came with the program; others were made here."""
    created_at: float
    updated_at: float
    budget: str
    """What each run has, for people."""
    core_hours: float
    """All that it has cost."""
    arms: list[ShownArm]
    common: dict[str, str]
    """Settings of both arms."""
    runs: list[ShownRun]
    matches: list[ShownMatch]
    verdict: ShownVerdict | None
    command: str
    """Makes it again."""


@dataclass(frozen=True)
class ShownExperiments:
    """All of them, the newest first."""

    experiments: list[ShownExperiment]
    problems: list[str]
    """A sentence for each record that cannot be read."""


def read_all(own: Path, shipped: Path | None) -> ShownExperiments:
    """The experiments of two folders.

    Args:
        own: those made in this run directory.
        shipped: those that came with the program; None where the program lies without its documents.
    """
    found: list[ShownExperiment] = []
    problems: list[str] = []
    for folder, came_along in [
        *((each, False) for each in _folders(own)),
        *((each, True) for each in _folders(shipped)),
    ]:
        try:
            found.append(_shown(read_experiment(folder), shipped=came_along))
        except DataError as error:
            problems.append(clean(str(error)))
    found.sort(key=lambda one: one.updated_at, reverse=True)
    return ShownExperiments(found[:_MOST], problems)


def _folders(place: Path | None) -> Iterator[Path]:
    if place is None or not place.is_dir():
        return
    yield from sorted(folder for folder in place.iterdir() if (folder / RECORD).is_file())


def _shown(record: Experiment, *, shipped: bool) -> ShownExperiment:
    unit = "core-seconds" if record.budget.kind == "core_seconds" else "self-play games"
    verdict = record.verdict
    return ShownExperiment(
        name=record.name,
        question=record.question,
        variant=record.variant,
        state=record.state,
        shipped=shipped,
        created_at=record.created_at,
        updated_at=record.updated_at,
        budget=f"{record.budget.amount:g} {unit}",
        core_hours=record.core_seconds / 3600.0,
        arms=[
            ShownArm(
                name=arm.name,
                settings={clean(key): clean(value) for key, value in arm.settings.items()},
                core_hours=sum(run.core_seconds for run in record.runs if run.arm == number) / 3600.0,
            )
            for number, arm in enumerate(record.arms)
        ],
        common={clean(key): clean(value) for key, value in record.common.items()},
        runs=[_run(run) for run in record.runs],
        matches=[ShownMatch(one.seed, one.games, one.share, one.low, one.high) for one in record.matches],
        verdict=None
        if verdict is None
        else ShownVerdict(
            winner=None if verdict.winner is None else record.arms[verdict.winner].name,
            decided=verdict.decided,
            games=verdict.games,
            elo=verdict.elo,
            low=verdict.low,
            high=verdict.high,
            sentence=verdict.sentence,
        ),
        command=clean(command(record)),
    )


def _run(run: Run) -> ShownRun:
    step = -(-len(run.points) // _MAX_POINTS) or 1
    return ShownRun(
        arm=run.arm,
        seed=run.seed,
        core_hours=run.core_seconds / 3600.0,
        games=run.games,
        generation=run.generation,
        finished=run.finished,
        points=[
            CurvePoint(
                core_hours=point.core_seconds / 3600.0,
                games=point.games,
                elo=point.elo,
                interval=None if point.stderr is None else _Z95 * point.stderr,
            )
            for point in run.points[::-1][::step][::-1]
        ],
    )
