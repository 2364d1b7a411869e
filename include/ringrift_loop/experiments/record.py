"""What is kept of an experiment: arms, what each run cost and reached, the verdict; the format is in docs/4-data.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ringrift_loop.checked_json import Count, Digest, Document, File, Number, Seconds, VariantName, clean_fields, parse
from ringrift_loop.machine.files import read_plain, write_whole

RECORD: Final = "experiment.json"
_MAX_BYTES = 16 << 20
_TEXT = 1000
_MOST = 1000
_ARMS = 2

Share = Annotated[float, Meta(ge=0, le=1)]


class Budget(Document, frozen=True):
    """What each run may use."""

    kind: Literal["core_seconds", "games"]
    amount: Number


class Arm(Document, frozen=True):
    """One of the two that are compared."""

    name: str
    settings: dict[str, str]
    """Keys of the configuration in which it differs, with the values as YAML."""

    def __post_init__(self) -> None:
        clean_fields(self, "name", limit=_TEXT)


class Point(Document, frozen=True, kw_only=True):
    """A run after one of its cycles."""

    core_seconds: Seconds
    games: Count
    generation: Count
    """Of the champion; 0 before the first."""
    elo: Number | None = None
    """Of the champion by the run's own matches, random at 0."""
    stderr: Number | None = None


class Run(Document, frozen=True, kw_only=True):
    """One arm with one seed."""

    arm: Annotated[int, Meta(ge=0, lt=_ARMS)]
    seed: Count
    core_seconds: Seconds = 0.0
    games: Count = 0
    generation: Count = 0
    model: Digest | None = None
    """Its champion, or its last candidate while it has made no champion; None before the first."""
    finished: bool = False
    points: Annotated[tuple[Point, ...], Meta(max_length=_MOST)] = ()


class Match(Document, frozen=True, kw_only=True):
    """The two models of one seed against each other."""

    seed: Count
    games: Count
    share: Share
    """Of the wins, of the first arm's model."""
    low: Share
    high: Share


class Verdict(Document, frozen=True, kw_only=True):
    """What came of it."""

    winner: Annotated[int, Meta(ge=0, lt=_ARMS)] | None
    """The arm that is stronger; None: neither, or not decided."""
    decided: bool
    games: Count
    elo: Number
    """Of the first arm over the second."""
    low: Number
    high: Number
    llr: tuple[Number, Number]
    """Log-likelihood ratios: that the first is stronger, that the second is."""
    bound: Number
    """A ratio above it decides for, one below its negative against."""
    sentence: str

    def __post_init__(self) -> None:
        clean_fields(self, "sentence", limit=_TEXT)


class Experiment(File, frozen=True, kw_only=True):
    """The whole experiment."""

    name: str
    question: str
    variant: VariantName
    created_at: Number
    updated_at: Number
    state: Literal["running", "finished"]
    version: str
    engine_version: str
    budget: Budget
    arms: tuple[Arm, Arm]
    seeds: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=_MOST)]
    runs: Annotated[tuple[Run, ...], Meta(max_length=_MOST)] = ()
    matches: Annotated[tuple[Match, ...], Meta(max_length=_MOST)] = ()
    verdict: Verdict | None = None
    start: Literal["nothing", "shipped"] = "nothing"
    """What each run began with: nothing, or the shipped champion."""
    common: dict[str, str] = msgspec.field(default_factory=dict)
    """Settings that both arms have, over the default configuration's."""
    look_games: Count = 40
    """Games of each seed between two looks at the verdict."""
    most_games: Count = 400
    """Games of each seed after which it stays undecided."""
    match_core_seconds: Seconds = 0.0
    """What the matches have cost."""
    core_seconds: Seconds = 0.0
    """All that it has cost."""

    def __post_init__(self) -> None:
        clean_fields(self, "name", "question", "version", "engine_version", limit=_TEXT)


def read_experiment(folder: Path) -> Experiment:
    """Read the record in an experiment's folder.

    Raises:
        DataError: it is missing or not what the program writes.
    """
    path = folder / RECORD
    return parse(read_plain(path, _MAX_BYTES), Experiment, f"the experiment {path}")


def write_experiment(folder: Path, experiment: Experiment) -> None:
    """Replace the record, readable by everyone as the pages of docs are."""
    write_whole(folder / RECORD, msgspec.json.format(msgspec.json.encode(experiment), indent=1) + b"\n")
    (folder / RECORD).chmod(0o644)
