"""A worker's heartbeat: read as it was written, typed and bounded, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.heartbeat import MAX_BYTES, RATE_SECONDS, Heartbeat, RateMeter, VariantPlay, variant_plays

BEAT = Heartbeat(
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
# With what it plays in turns.
IN_TURNS = structs.replace(
    BEAT,
    duty=0.5,
    variants={
        "hex8_2p": VariantPlay(model="a" * 64, generation=3, games=30, games_per_hour=900.5, computed_s=75.25),
        "square8_2p": VariantPlay(games=10, computed_s=25.0, last_error="torn"),
    },
)
# As commit 6931780 wrote it.
OLD = (
    '{"v": 1, "pid": 7, "start_time": 1.0, "host": "a", "slot": 2, "variant": "hex8_2p", "state": "playing", '
    f'"model": "{"a" * 64}", "generation": 3, "games": 40, "games_per_hour": 1200.5, "evals_per_s": 9000.0, '
    '"net_share": 0.4, "last_error": null, "at": 123.5, "version": "0.1.0", "hot_reload": false}'
)


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    IN_TURNS.write(HostDirectory(tmp_path))
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["2.json"]
    return HostDirectory(tmp_path).heartbeat(2).read_bytes()


def test_what_a_worker_writes_is_read(raw: bytes) -> None:
    assert Heartbeat.parse(raw) == IN_TURNS
    assert Heartbeat.parse(raw.decode()) == IN_TURNS
    assert json.loads(json.dumps(IN_TURNS.as_json(), allow_nan=False)) == json.loads(raw)
    assert variant_plays(IN_TURNS.as_json()) == IN_TURNS.variants


def test_a_file_of_an_earlier_version_is_read() -> None:
    assert Heartbeat.parse(OLD) == BEAT
    assert variant_plays(json.loads(OLD)) == variant_plays(None) == {}


def test_the_longest_heartbeat_can_be_read(tmp_path: Path) -> None:
    long = VariantPlay(model="a" * 64, generation=2**52, games=2**52, games_per_hour=1e-15, last_error="é" * 500)
    plays = dict.fromkeys(VARIANT_NAMES, structs.replace(long, computed_s=123456789012.123))
    structs.replace(BEAT, variants=plays, last_error="é" * 500).write(HostDirectory(tmp_path))
    assert list(Heartbeat.parse(HostDirectory(tmp_path).heartbeat(2).read_bytes()).variants) == list(VARIANT_NAMES)


def test_texts_for_people_are_cut_and_hold_nothing_that_a_terminal_would_obey(raw: bytes) -> None:
    read = Heartbeat.parse(json.dumps(json.loads(raw) | {"last_error": "\x1b\x00x\n" * 1000, "host": "\x07"}).encode())
    assert read.last_error is not None
    assert (len(read.last_error), read.last_error[:4], read.host) == (500, "??x?", "?")


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": None},
        {"games": -1},
        {"games": True},
        {"games": 1e300},
        {"games": 10**400},
        {"at": 10**400},
        {"at": 1e16},
        {"games_per_hour": float("nan")},
        {"net_share": "much"},
        {"state": "dreaming"},
        {"model": 5},
        {"model": "../../etc"},
        {"variant": 5},
        {"variant": "hex8_2p\n"},
        {"version": "x" * 41},
        {"hot_reload": "no"},
        {"mood": "good"},
        {"duty": 1.5},
        {"variants": {"../x": {}}},
        {"variants": {"hex8_2p": {"model": "x"}}},
        {"variants": {"hex8_2p": {"computed_s": -1.0}}},
        {"variants": {f"v{number}": {} for number in range(13)}},
        {"last_error": "x" * MAX_BYTES},
    ],
)
def test_strange_values_are_refused(raw: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(DataError, match="heartbeat"):
        Heartbeat.parse(json.dumps(json.loads(raw) | changes).encode())


@pytest.mark.parametrize(
    "junk", [b"", b"[]", b"{}", b"[" * 10_000, b'{"v": 1, "pid": ' + b"[" * 10_000, b"\xff\xfe", b"null"]
)
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(DataError):
        Heartbeat.parse(junk)


def test_rates_are_taken_over_the_last_minutes_only() -> None:
    meter = RateMeter()
    assert meter.add(0.0, 0, 0, 0.0).games_per_hour == 0.0
    slow = meter.add(100.0, 1, 100, 50.0)
    assert (slow.games_per_hour, slow.evals_per_s, slow.net_share) == (36.0, 1.0, 0.5)
    for step in range(1, 11):
        fast = meter.add(100.0 + step * RATE_SECONDS / 5, 1 + 10 * step, 100, 50.0)
    assert fast.games_per_hour == pytest.approx(10 / (RATE_SECONDS / 5) * 3600)
    assert (fast.evals_per_s, fast.net_share) == (0.0, 0.0)
