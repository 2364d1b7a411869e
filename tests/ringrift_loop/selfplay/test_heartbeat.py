from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.cluster.agent.heartbeat import Heartbeat as ReadHeartbeat
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.heartbeat import RATE_SECONDS, Heartbeat, RateMeter


def test_the_coordinator_reads_what_the_worker_writes(tmp_path: Path) -> None:
    beat = Heartbeat(
        pid=12, start_time=5.0, host="h", slot=3, variant="hex8_2p", state="playing", model=None, generation=0, games=7,
        games_per_hour=90.5, evals_per_s=1000.0, net_share=0.25, last_error=None, at=100.0, version="0.1.0",
        hot_reload=True,
    )  # fmt: skip
    beat.write(HostDirectory(tmp_path))
    read = ReadHeartbeat.parse(HostDirectory(tmp_path).heartbeat(3).read_bytes())
    assert (read.pid, read.slot, read.state, read.games, read.net_share) == (12, 3, "playing", 7, 0.25)
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["3.json"]


def test_rates_are_taken_over_the_last_minutes_only() -> None:
    meter = RateMeter()
    assert meter.add(0.0, 0, 0, 0.0).games_per_hour == 0.0
    slow = meter.add(100.0, 1, 100, 50.0)
    assert (slow.games_per_hour, slow.evals_per_s, slow.net_share) == (36.0, 1.0, 0.5)
    for step in range(1, 11):
        fast = meter.add(100.0 + step * RATE_SECONDS / 5, 1 + 10 * step, 100, 50.0)
    assert fast.games_per_hour == pytest.approx(10 / (RATE_SECONDS / 5) * 3600)
    assert (fast.evals_per_s, fast.net_share) == (0.0, 0.0)
