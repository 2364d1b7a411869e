from __future__ import annotations

import gc
import logging
import socket
import warnings
from collections.abc import Iterator

import pytest
import statsd

from ringrift_loop.metrics.emit import Metrics, UnknownMetricError, safe_label
from ringrift_loop.metrics.names import REGISTRY, Kind, label_sets


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10)
        yield udp


def _metrics(collector: socket.socket, *, strict: bool = True) -> Metrics:
    return Metrics("127.0.0.1", collector.getsockname()[1], strict=strict)


def test_each_kind_arrives_in_statsds_words(collector: socket.socket) -> None:
    metrics = _metrics(collector)

    metrics.incr("ringrift_games_synced_total", 7, host="local_a")
    metrics.gauge("ringrift_hosts_active", 2)
    metrics.observe("ringrift_sync_duration_seconds", 1.5, host="local_a")
    metrics.observe("ringrift_elo_gain_on_promotion", 33.0, config="hex8_2p")

    assert collector.recv(512) == b"ringrift_games_synced_total,host=local_a:7|c"
    assert collector.recv(512) == b"ringrift_hosts_active:2|g"
    assert collector.recv(512) == b"ringrift_sync_duration_seconds,host=local_a:1500.000000|ms"
    assert collector.recv(512) == b"ringrift_elo_gain_on_promotion,config=hex8_2p:33000.000000|ms"


def test_the_socket_goes_with_an_emitter_that_is_forgotten_even_in_a_circle(
    collector: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of a circle the garbage collector ends the oldest object first, here the socket.
    older = [statsd.StatsClient("127.0.0.1", collector.getsockname()[1])]
    monkeypatch.setattr(statsd, "StatsClient", lambda host, port: older.pop())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        metrics = _metrics(collector)
        metrics.gauge("ringrift_hosts_active", 2)
        metrics.itself = metrics  # type: ignore[attr-defined]
        del metrics
        gc.collect()

    assert collector.recv(512) == b"ringrift_hosts_active:2|g"
    assert [str(warning.message) for warning in seen] == []


def test_a_negative_gauge_is_set_and_not_subtracted(collector: socket.socket) -> None:
    _metrics(collector).gauge("ringrift_current_elo", -12.5, config="hex8_2p")

    assert collector.recv(512) == (
        b"ringrift_current_elo,config=hex8_2p:0|g\nringrift_current_elo,config=hex8_2p:-12.5|g"
    )


@pytest.mark.parametrize("value", ["a:b", "a,b", "a=b", "a|b", "a#b", "a b", "a\nb", "añb", "a@b", "a;b"])
def test_no_separator_survives_in_a_label(value: str) -> None:
    assert safe_label(value) == "a_b"


def test_labels_are_never_empty_and_never_long() -> None:
    assert safe_label("") == "none"
    assert len(safe_label("x" * 1000)) == 128
    assert safe_label("gumbel32/square8_2p-1.0") == "gumbel32/square8_2p-1.0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.incr("ringrift_nothing_total"), "ringrift_nothing_total is not in metrics/names.py"),
        (lambda m: m.gauge("ringrift_games_synced_total", 1, host="a"), "is a counter, it was used as a gauge"),
        (lambda m: m.incr("ringrift_games_synced_total"), r"has the labels \['host'\], got \[\]"),
        (lambda m: m.gauge("ringrift_hosts_active", float("nan")), "must be a finite number"),
        (lambda m: m.incr("ringrift_games_synced_total", -1, host="a"), "must be a finite number, and not negative"),
    ],
)
def test_a_metric_that_the_registry_does_not_list_is_an_error(collector: socket.socket, call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownMetricError, match=message):
        call(_metrics(collector))


def test_outside_of_tests_the_mistake_is_logged_once_and_the_stage_goes_on(
    collector: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = _metrics(collector, strict=False)

    with caplog.at_level(logging.ERROR):
        metrics.incr("ringrift_nothing_total")
        metrics.incr("ringrift_nothing_total")
    metrics.gauge("ringrift_hosts_active", 1)

    assert caplog.messages == ["metric not sent: ringrift_nothing_total is not in metrics/names.py"]
    assert collector.recv(512) == b"ringrift_hosts_active:1|g"


def test_nobody_listening_is_no_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    metrics = Metrics("127.0.0.1", port, strict=True)

    for _ in range(3):
        metrics.gauge("ringrift_hosts_active", 1)


def test_a_name_that_does_not_resolve_is_tried_again_a_minute_later(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    metrics = Metrics("collector.invalid", 8125, strict=True, clock=lambda: now[0])

    with caplog.at_level(logging.WARNING):
        for now[0] in (0.0, 1.0, 59.0, 60.0, 61.0):
            metrics.gauge("ringrift_hosts_active", 1)

    assert len(caplog.messages) == 2
    assert "collector.invalid:8125" in caplog.messages[0]


def test_every_counter_of_the_set_up_starts_at_nought(collector: socket.socket) -> None:
    known = {"config": ["hex8_2p"], "host": ["a"]}
    expected = {
        metric.name + "".join(f",{label}={value}" for label, value in labels.items()) + ":0|c"
        for metric in REGISTRY.values()
        if metric.kind is Kind.COUNTER
        for labels in label_sets(metric, known)
    }

    sent = _metrics(collector).zero_counters(known)

    assert {collector.recv(512).decode() for _ in range(sent)} == expected
    assert "ringrift_promotions_total,config=hex8_2p,status=promoted:0|c" in expected
