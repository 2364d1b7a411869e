"""Heartbeats come from hosts: typed and bounded, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringrift_loop.cluster.agent.heartbeat import Heartbeat
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay import heartbeat as written

WRITTEN = written.Heartbeat(
    pid=7,
    start_time=1.0,
    host="a",
    slot=2,
    variant="hex8_2p",
    state="playing",
    model="a" * 64,
    generation=3,
    games=40,
    games_per_hour=1200.5,
    evals_per_s=9000.0,
    net_share=0.4,
    last_error=None,
    at=123.5,
    version="0.1.0",
    hot_reload=False,
)


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    WRITTEN.write(HostDirectory(tmp_path))
    return HostDirectory(tmp_path).heartbeat(2).read_bytes()


def test_what_a_worker_writes_is_read(raw: bytes) -> None:
    read = Heartbeat.parse(raw)
    assert (read.slot, read.variant, read.model, read.generation, read.games) == (2, "hex8_2p", "a" * 64, 3, 40)
    assert not read.hot_reload
    assert json.loads(json.dumps(read.as_json(), allow_nan=False))["games_per_hour"] == 1200.5


def test_long_texts_are_cut(raw: bytes) -> None:
    read = Heartbeat.parse(json.dumps(json.loads(raw) | {"last_error": "\x00x" * 1000}).encode())
    assert read.last_error is not None
    assert len(read.last_error) <= 500
    assert "\x00" not in read.last_error


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"games": -1},
        {"games": True},
        {"games": 1e300},
        {"games_per_hour": float("nan")},
        {"net_share": "much"},
        {"state": "dreaming"},
        {"model": 5},
        {"variant": None},
        {"hot_reload": "no"},
        {"last_error": "x" * 20_000},
    ],
)
def test_strange_values_are_refused(raw: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(DataError, match="heartbeat"):
        Heartbeat.parse(json.dumps(json.loads(raw) | changes).encode())


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b"[" * 10_000, b"\xff\xfe", b"null"])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(DataError):
        Heartbeat.parse(junk)
