"""The small file in which a worker says every few seconds that it is alive and what it is doing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from ringrift_loop.checked_json import (
    Count,
    Digest,
    Document,
    File,
    Number,
    ProgramVersion,
    Seconds,
    VariantName,
    clean_fields,
    convert,
    line,
    parse,
)
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import DataError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.files import write_whole

HEARTBEAT_SECONDS = 5.0
RATE_SECONDS = 300.0
"""Rates are means over the last so many seconds."""
MAX_BYTES = 16384
_MAX_ERROR_LETTERS = 200  # of each variant: twelve of them stay within the file's limit

WorkerState: TypeAlias = Literal["starting", "playing", "draining", "failed"]


class VariantPlay(Document, frozen=True, kw_only=True):
    """What a worker has of one variant of its plan."""

    model: Digest | None = None
    """Digest that new games are played with, perhaps another variant's; None with the heuristic search."""
    generation: Count = 0
    """Of that model; 0 before the variant's first."""
    games: Count = 0
    """Finished since the variant came into the plan."""
    games_per_hour: Number = 0.0
    computed_s: Seconds = 0.0
    """Seconds computed for it since then; without rests."""
    last_error: str | None = None
    """Why it plays an old model, or not at all."""

    def __post_init__(self) -> None:
        """The error is for people."""
        clean_fields(self, "last_error", limit=_MAX_ERROR_LETTERS)


class Heartbeat(File, frozen=True, kw_only=True):
    """One worker at one moment, as it is written on its host, read here and kept in the ledger."""

    pid: Count
    start_time: Number
    """When the process started, UTC seconds."""
    host: str
    slot: Count
    variant: VariantName | None
    """At play now; None before the first plan."""
    state: WorkerState
    model: Digest | None
    """Digest that its new games are played with; None with the heuristic search."""
    generation: Count
    """Of that model; 0 before the variant's first."""
    games: Count
    """Finished since the start, of all variants."""
    games_per_hour: Number
    evals_per_s: Number
    net_share: Number
    """Share of the time spent inside the network, 0..1."""
    last_error: str | None
    at: Number
    """UTC seconds, by the host's clock."""
    version: ProgramVersion
    """Of this package."""
    hot_reload: bool = True
    """Whether a new model is taken without a restart."""
    duty: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of its time in which it computes."""
    variants: Annotated[dict[VariantName, VariantPlay], Meta(max_length=len(VARIANT_NAMES))] = field(
        default_factory=dict
    )
    """All that it plays in turns; a worker of a version before plans tells none."""

    def __post_init__(self) -> None:
        """Texts for people are cut, and hold nothing that a terminal would act on."""
        clean_fields(self, "host", "last_error")

    @classmethod
    def parse(cls, raw: bytes | str) -> Heartbeat:
        """Read a heartbeat file.

        Raises:
            DataError: it is too large, no JSON, of another version, or a field is not what it should be.
        """
        if len(raw) > MAX_BYTES:
            raise DataError(f"a heartbeat has at most {MAX_BYTES} bytes, got {len(raw)}")
        return parse(raw, cls, "a heartbeat")

    def write(self, host_dir: HostDirectory) -> None:
        """Put the file in place of the last one."""
        write_whole(host_dir.heartbeat(self.slot), line(self))


def variant_plays(heartbeat: Mapping[str, JsonValue] | None) -> dict[str, VariantPlay]:
    """What a heartbeat from the ledger says of each variant that its worker plays.

    Raises:
        DataError: it is no heartbeat of this version.
    """
    return convert((heartbeat or {}).get("variants", {}), dict[str, VariantPlay], "a heartbeat's variants")


@dataclass(frozen=True)
class Rates:
    """How fast a worker has been of late."""

    games_per_hour: float
    evals_per_s: float
    net_share: float


class RateMeter:
    """Rates over the last RATE_SECONDS from counters that only grow."""

    def __init__(self) -> None:
        """Start without samples."""
        self._samples: deque[tuple[float, int, int, float]] = deque()

    def add(self, at: float, games: int, evaluations: int, network_seconds: float) -> Rates:
        """Note the counters at a time in seconds, and return the rates since the oldest sample kept."""
        while len(self._samples) > 1 and self._samples[1][0] <= at - RATE_SECONDS:
            self._samples.popleft()
        self._samples.append((at, games, evaluations, network_seconds))
        began, *before = self._samples[0]
        elapsed = at - began
        if elapsed <= 0:
            return Rates(0.0, 0.0, 0.0)
        share = (network_seconds - before[2]) / elapsed
        return Rates(
            games_per_hour=round((games - before[0]) / elapsed * 3600, 1),
            evals_per_s=round((evaluations - before[1]) / elapsed, 1),
            net_share=round(min(1.0, share), 4),
        )
