"""The small file in which a worker says every few seconds that it lives and what it does."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass
from typing import Literal

from ringrift_loop.layout import HostDirectory

HEARTBEAT_VERSION = 1
HEARTBEAT_SECONDS = 5.0
RATE_SECONDS = 300.0
"""Rates are means over the last so many seconds."""

WorkerState = Literal["starting", "playing", "draining", "failed"]


@dataclass(frozen=True)
class Heartbeat:
    """One worker at one moment; read by `ringrift_loop.cluster.agent.heartbeat`."""

    pid: int
    start_time: float
    """When the process started, UTC seconds."""
    host: str
    slot: int
    variant: str
    state: WorkerState
    model: str | None
    """Digest that new games are played with; None before the first model."""
    generation: int
    """Of that model; 0 without one."""
    games: int
    """Finished since the start."""
    games_per_hour: float
    evals_per_s: float
    net_share: float
    """Share of the time spent inside the network, 0..1."""
    last_error: str | None
    at: float
    """UTC seconds."""
    version: str
    """Of this package."""
    hot_reload: bool
    """Whether a new model is taken without a restart."""

    def write(self, host_dir: HostDirectory) -> None:
        """Put the file in place of the last one."""
        path = host_dir.heartbeat(self.slot)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"v": HEARTBEAT_VERSION, **asdict(self)}), encoding="utf-8")
        temporary.replace(path)


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
