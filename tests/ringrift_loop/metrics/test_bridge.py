"""The bridge over real sockets: packets in over UDP, pages out over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clocks import Clock
from ringrift_loop.config import load_config
from ringrift_loop.errors import ConfigError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.metrics import series
from ringrift_loop.metrics.bridge import Bridge, BridgeAddress
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.metrics.mapping import read_rules

ANY = BridgeAddress("127.0.0.1", 0, "127.0.0.1", 0)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bridge(clock: Clock) -> Iterator[Bridge]:
    running = Bridge(ANY, read_rules(None), clock=clock)
    yield running
    running.close()


def _send(bridge: Bridge, *packets: bytes) -> None:
    """Send and wait until the bridge has taken them in: it counts packets in their order."""
    wanted = bridge.store.packets + len(packets)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for packet in packets:
            udp.sendto(packet, ("127.0.0.1", bridge.address.udp_port))
    _until(lambda: bridge.store.packets >= wanted)


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(2_000_000):
        if holds():
            return
        os.sched_yield()
    raise AssertionError("the packets did not arrive")


def _get(bridge: Bridge, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{bridge.address.http_port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def _scraped(bridge: Bridge) -> Samples:
    families = text_string_to_metric_families(_get(bridge, "/metrics"))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_a_stage_emits_is_on_the_page(bridge: Bridge) -> None:
    metrics = Metrics("127.0.0.1", bridge.address.udp_port, strict=True)

    metrics.incr("ringrift_games_synced_total", 5, host="a")
    metrics.incr("ringrift_games_synced_total", 2, host="a")
    metrics.gauge("ringrift_current_elo", -3.5, config="hex8_2p")
    metrics.observe("ringrift_sync_duration_seconds", 2.5, host="a")
    _until(lambda: bridge.store.packets >= 4)

    page = _scraped(bridge)
    host = ("host", "a")
    assert page["ringrift_games_synced_total", (host,)] == 7.0
    assert page["ringrift_current_elo", (("config", "hex8_2p"),)] == -3.5
    assert page["ringrift_sync_duration_seconds_bucket", (host, ("le", "2.0"))] == 0.0
    assert page["ringrift_sync_duration_seconds_bucket", (host, ("le", "5.0"))] == 1.0
    assert page["ringrift_sync_duration_seconds_bucket", (host, ("le", "+Inf"))] == 1.0
    assert page["ringrift_sync_duration_seconds_count", (host,)] == 1.0
    assert page["ringrift_sync_duration_seconds_sum", (host,)] == 2.5


def test_types_and_help_come_from_the_registry(bridge: Bridge) -> None:
    _send(bridge, b"ringrift_games_synced_total,host=a:1|c\nringrift_sync_duration_seconds,host=a:10|ms")

    page = _get(bridge, "/metrics")

    assert "# HELP ringrift_games_synced_total New games taken into the ledger, by host\n" in page
    assert "# TYPE ringrift_games_synced_total counter\n" in page
    assert "# TYPE ringrift_sync_duration_seconds histogram\n" in page


def test_a_gauge_that_can_vanish_vanishes_and_the_others_stay(bridge: Bridge, clock: Clock) -> None:
    worker = b"ringrift_worker_model_generation,host=a,slot=0,config=hex8_2p"
    _send(bridge, worker + b":4|g", b"ringrift_hosts_active:2|g", b"ringrift_games_synced_total,host=a:1|c")
    clock.now += 300.0
    assert len([name for name, _ in _scraped(bridge) if name == "ringrift_worker_model_generation"]) == 1

    clock.now += 0.5
    names = {name for name, _ in _scraped(bridge)}

    assert "ringrift_worker_model_generation" not in names
    assert {"ringrift_hosts_active", "ringrift_games_synced_total"} <= names


def test_what_tells_of_a_variant_outlives_it_by_three_of_the_rarest_syncs(bridge: Bridge, clock: Clock) -> None:
    sent = {"ringrift_elo_trend", "ringrift_first_candidate_since_promotion_timestamp_seconds"}
    _send(bridge, *(f"{name},config=hex8_2p:4|g".encode() for name in sorted(sent)))
    clock.now += 3 * 3600.0
    assert {name for name, _ in _scraped(bridge)} >= sent
    clock.now += 0.5
    assert not {name for name, _ in _scraped(bridge)} & sent


def test_sending_again_keeps_a_gauge_alive(bridge: Bridge, clock: Clock) -> None:
    worker = b"ringrift_worker_games_per_hour,host=a,slot=0,config=hex8_2p"
    _send(bridge, worker + b":40|g")
    clock.now += 299.0
    _send(bridge, worker + b":50|g")
    clock.now += 299.0

    assert 50.0 in [value for (name, _), value in _scraped(bridge).items() if name == "ringrift_worker_games_per_hour"]


def test_a_wrong_type_for_a_known_name_only_moves_the_conflict_counter(bridge: Bridge) -> None:
    _send(bridge, b"ringrift_hosts_active:2|g", b"ringrift_hosts_active:9|c")

    page = _scraped(bridge)
    assert page["ringrift_hosts_active", ()] == 2.0
    labels = (("metric_name", "ringrift_hosts_active"), ("type", "counter"))
    assert page["statsd_exporter_events_conflict_total", labels] == 1.0


def test_malformed_packets_are_counted_and_the_next_one_is_read(bridge: Bridge) -> None:
    _send(bridge, b"\xff\xfe:1|c", b"nonsense", b"a:x|c\nb:1|s", b"\x00" * 1000, b"ringrift_hosts_active:2|g")

    page = _scraped(bridge)
    assert page["statsd_exporter_sample_errors_total", (("reason", "malformed_line"),)] == 3.0
    assert page["statsd_exporter_sample_errors_total", (("reason", "malformed_value"),)] == 1.0
    assert page["statsd_exporter_sample_errors_total", (("reason", "illegal_event"),)] == 1.0
    assert page["statsd_exporter_udp_packets_total", ()] == 5.0
    assert page["ringrift_hosts_active", ()] == 2.0


def test_a_counter_never_falls(bridge: Bridge) -> None:
    _send(bridge, b"ringrift_games_synced_total,host=a:3|c", b"ringrift_games_synced_total,host=a:-1|c")

    page = _scraped(bridge)
    assert page["ringrift_games_synced_total", (("host", "a"),)] == 3.0
    assert page["statsd_exporter_events_error_total", (("reason", "illegal_negative_counter"),)] == 1.0


def test_names_without_a_mapping_are_passed_on(bridge: Bridge) -> None:
    _send(bridge, b"airflow.ti.finish,dag_id=sync:2|c", b"airflow.pool.open-slots,pool=gpu:3|g", b"airflow.x:20|ms")

    page = _scraped(bridge)
    assert page["airflow_ti_finish", (("dag_id", "sync"),)] == 2.0
    assert page["airflow_pool_open_slots", (("pool", "gpu"),)] == 3.0
    assert page["airflow_x_sum", ()] == pytest.approx(0.02)


def test_a_label_that_runs_away_is_stopped(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MAX_SERIES", 10)

    _send(bridge, *(f"runaway_{number}:1|g".encode() for number in range(15)))
    _send(bridge, b"runaway_3:7|g")

    page = _scraped(bridge)
    assert bridge.store.size == 10
    assert page["statsd_exporter_events_error_total", (("reason", "too_many_series"),)] == 5.0
    assert page["runaway_3", ()] == 7.0


def test_a_packet_in_the_bridges_own_names_is_discarded(bridge: Bridge) -> None:
    _send(bridge, b"statsd_exporter_lines_total:500|g", b"t,le=9,host=a:5|ms")
    page = _scraped(bridge)
    assert page["statsd_exporter_lines_total", ()] == 2
    assert page["statsd_exporter_events_error_total", (("reason", "reserved_name"),)] == 1
    assert page["t_bucket", (("host", "a"), ("le", "0.005"))] == 1


def test_a_label_value_with_quotes_comes_out_as_it_went_in(bridge: Bridge) -> None:
    _send(bridge, b'quoted,text=a"b\\c:1|g')

    assert _scraped(bridge)["quoted", (("text", 'a"b\\c'),)] == 1.0


def test_health_says_what_has_arrived(bridge: Bridge, clock: Clock) -> None:
    assert json.loads(_get(bridge, "/health"))["seconds_since_packet"] is None
    _send(bridge, b"ringrift_hosts_active:2|g")
    clock.now += 12.5

    assert json.loads(_get(bridge, "/health")) == {
        "status": "no loop is known here",
        "packets": 1,
        "series": 1,
        "seconds_since_packet": 12.5,
    }


def test_health_is_that_of_the_loop_with_its_status(clock: Clock) -> None:
    told = [(200, {"status": "degraded", "running": True}), (503, {"status": "unhealthy"})]
    running = Bridge(ANY, {}, clock=clock, loop_health=lambda: told.pop(0))
    try:
        assert json.loads(_get(running, "/health"))["status"] == "degraded"
        with pytest.raises(urllib.error.HTTPError) as caught:
            _get(running, "/health")
        assert caught.value.code == 503
        with caught.value as answer:
            assert json.loads(answer.read()) == {
                "status": "unhealthy",
                "packets": 0,
                "series": 0,
                "seconds_since_packet": None,
            }
    finally:
        running.close()


def test_another_path_is_not_found(bridge: Bridge) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        _get(bridge, "/secrets")

    assert caught.value.code == 404
    caught.value.close()


def test_a_port_that_is_taken_is_named_with_the_setting_to_change(bridge: Bridge) -> None:
    taken = bridge.address

    with pytest.raises(ConfigError, match="set statsd_port to a free one"):
        Bridge(BridgeAddress("127.0.0.1", taken.udp_port, "127.0.0.1", 0), {})
    with pytest.raises(ConfigError, match="set metrics_port to a free one"):
        Bridge(BridgeAddress("127.0.0.1", 0, "127.0.0.1", taken.http_port), {})


def test_a_second_loop_on_the_machine_does_not_get_into_the_figures_of_the_first() -> None:
    bridge = Bridge(ANY, read_rules(None), fleet="first")
    try:
        port = bridge.address.udp_port
        for fleet, games in (("second", 100), ("first", 3), ("", 50)):
            Metrics("127.0.0.1", port, fleet=fleet).incr("ringrift_games_synced_total", games, host="local_a")
        _send(bridge, b"airflow.ti.start,dag_id=other:1|c")
        _until(lambda: bridge.store.packets >= 4)
        page = _scraped(bridge)
    finally:
        bridge.close()

    assert page["ringrift_games_synced_total", (("host", "local_a"),)] == 3
    assert page["statsd_exporter_events_error_total", (("reason", "other_fleet"),)] == 2
    assert page["airflow_ti_start", (("dag_id", "other"),)] == 1


def test_a_bridge_for_everybody_keeps_loops_apart_by_a_label(bridge: Bridge) -> None:
    for fleet, active in (("first", 3), ("second", 5)):
        Metrics("127.0.0.1", bridge.address.udp_port, fleet=fleet).gauge("ringrift_hosts_active", active)
    _until(lambda: bridge.store.packets >= 2)

    page = _scraped(bridge)
    assert {labels: value for (name, labels), value in page.items() if name == "ringrift_hosts_active"} == {
        (("fleet", "first"),): 3,
        (("fleet", "second"),): 5,
    }


def test_the_command_serves_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ringrift_loop.cli", "statsd-bridge", "--udp-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        Metrics("127.0.0.1", address["udp_port"], strict=True).gauge("ringrift_hosts_active", 2)
        with urllib.request.urlopen(f"http://127.0.0.1:{address['http_port']}/metrics", timeout=10) as answer:
            assert b"statsd_exporter_udp_packets_total" in answer.read()
        # There is no ledger here: that is unhealthy, and no path of it is told.
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{address['http_port']}/health", timeout=30)
        with caught.value as refused:
            document = refused.read().decode()
        assert (caught.value.code, json.loads(document)["status"]) == (503, "unhealthy")
        assert str(tmp_path) not in document
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=20) == 0


def test_the_command_for_its_own_loop_takes_that_of_its_run_directory_only(
    run_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(run_home)
    command = [sys.executable, "-m", "ringrift_loop.cli", "statsd-bridge", "--own-loop"]
    command += ["--udp-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        monkeypatch.setenv("RINGRIFT__STATSD_PORT", str(address["udp_port"]))
        for home, games in ((tmp_path / "elsewhere", 100), (tmp_path / "link", 3)):
            metrics = Metrics.open(load_config(), RunDirectory(home).fleet)
            metrics.incr("ringrift_games_synced_total", games, host="local_a")
        page = f"http://127.0.0.1:{address['http_port']}/metrics"

        def synced() -> list[str]:
            with urllib.request.urlopen(page, timeout=10) as answer:
                return [
                    line for line in answer.read().decode().splitlines() if line.startswith("ringrift_games_synced")
                ]

        _until(lambda: synced() != [])
        assert synced() == ['ringrift_games_synced_total{host="local_a"} 3.0']
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
