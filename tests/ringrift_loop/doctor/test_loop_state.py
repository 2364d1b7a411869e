"""The checks of the loop, from a real ledger and a real metrics bridge."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clocks import Clock
from ringrift_loop.champions import shipped
from ringrift_loop.config import LoopConfig
from ringrift_loop.doctor import loop_state
from ringrift_loop.doctor.findings import Finding
from ringrift_loop.ledger import games, hosts, models, promotions, quarantine, segments, state, training, workers
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.bridge import Bridge, BridgeAddress
from ringrift_loop.metrics.mapping import read_rules

OLD, NEW = "ab" * 32, "cd" * 32


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    return open_loop(training={"trigger_threshold_games": 2, "min_interval_seconds": 600, "stuck_after_seconds": 1000})


def add_games(loop: Loop, variant: str, number: int) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, ["local_a"])
        row = segments.SegmentRow("local_a", "s", "0" * 64, "e", 1, number, number, 0, 0, 100, loop.clock())
        segments.add(conn, row)
        for position in range(number):
            game = games.GameRow(
                id=f"{position:032x}", move_hash=f"{position:064x}", variant=variant, host="local_a", segment="s",
                position=position, plies=60, rows=40, winner=1, result="territory", player="heuristic-search",
                search={}, engine_version="1", played_at=loop.clock(), ingested_at=loop.clock(),
            )  # fmt: skip
            games.add(conn, [game])


def of(findings: list[Finding], check: str, subject: str) -> Finding:
    [finding] = [one for one in findings if (one.check, one.subject) == (check, subject)]
    return finding


def test_a_halt_and_a_share_of_nought_are_warnings_with_the_command_that_lifts_them(loop: Loop) -> None:
    [finding] = loop_state.check_halt(loop)
    assert finding.status == "ok"
    with loop.ledger.begin() as conn:
        state.set_selfplay_share(conn, 0.0, at=1.0)
    [finding] = loop_state.check_halt(loop)
    assert (finding.status, finding.remedy) == ("warning", "ringrift-loop workers rate 1")
    with loop.ledger.begin() as conn:
        state.set_halt(conn, True, at=1.0)
    [finding] = loop_state.check_halt(loop)
    assert (finding.status, finding.remedy) == ("warning", "ringrift-loop workers resume")


def test_pending_games_stand_beside_the_threshold_and_a_due_variant_nobody_trains_is_a_warning(loop: Loop) -> None:
    add_games(loop, "square8_2p", 2)
    found = list(loop_state.check_training(loop))
    square, hexagon = of(found, "training", "square8_2p"), of(found, "training", "hex8_2p")
    assert (hexagon.status, hexagon.met) == ("ok", "hex8_2p: 0 of 2 games")
    assert (square.status, square.met) == ("warning", "square8_2p: 2 of 2 games")
    assert "airflow dags trigger ringrift_training" in square.remedy


@pytest.mark.parametrize(("age_s", "status"), [(999, "ok"), (1001, "failed")])
def test_a_run_that_takes_longer_than_its_limit_is_stuck(loop: Loop, age_s: float, status: str) -> None:
    add_games(loop, "square8_2p", 2)
    with loop.ledger.begin() as conn:
        training.claim(conn, "run-1", "square8_2p", at=loop.clock() - age_s)
    found = list(loop_state.check_training(loop))
    run = of(found, "training-run", "square8_2p")
    assert (run.status, run.met) == (status, f"run-1 is claimed for {age_s} s")
    assert of(found, "training", "square8_2p").status == "ok"


def test_failing_hosts_say_how_often_why_and_when_they_are_asked_again(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, loop.inventory.hosts)
        hosts.succeeded(conn, "local_a", at=loop.clock() - 12)
        hosts.succeeded(conn, "local_b", at=loop.clock() - 100)
        hosts.failed(conn, "local_b", "HostUnreachable: no", at=loop.clock(), poll_s=30, max_backoff_s=600)
    good, bad = loop_state.check_failing_hosts(loop)
    assert (good.status, good.met) == ("ok", "reached 12 s ago")
    assert (bad.status, bad.met) == (
        "warning",
        "1 failures in a row, reached 100 s ago, retried in 60 s: HostUnreachable: no",
    )
    assert bad.remedy.endswith("ringrift-loop hosts reset local_b")
    with loop.ledger.begin() as conn:
        for _ in range(2):
            hosts.failed(conn, "local_b", "HostUnreachable: no", at=loop.clock(), poll_s=30, max_backoff_s=600)
    _, bad = loop_state.check_failing_hosts(loop)
    assert (bad.status, bad.met.startswith("3 failures")) == ("failed", True)


def test_a_host_whose_games_are_held_back_has_a_remedy(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, loop.inventory.hosts)
    [finding] = loop_state.check_suspected_hosts(loop)
    assert (finding.status, finding.met) == ("ok", "none")
    with loop.ledger.begin() as conn:
        hosts.suspect(conn, "local_b", "its games are longer", at=1.0)
    [finding] = loop_state.check_suspected_hosts(loop)
    assert (finding.subject, finding.status) == ("local_b", "failed")
    assert finding.met == "held back from training: its games are longer"
    assert finding.remedy.endswith("ringrift-loop hosts trust local_b")


def test_the_newest_refusal_is_shown(loop: Loop) -> None:
    [finding] = loop_state.check_quarantine(loop)
    assert finding.status == "ok"
    with loop.ledger.begin() as conn:
        quarantine.add(conn, quarantine.QuarantineRow("local_a", "s", 3, None, "move 7 is illegal", None, 1.0))
    [finding] = loop_state.check_quarantine(loop)
    assert (finding.status, finding.met) == ("warning", "1, the newest from local_a: move 7 is illegal")


def test_workers_behind_the_champion_are_named(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, loop.inventory.hosts)
        for digest in (OLD, NEW):
            models.add(conn, digest, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, "square8_2p", digest, reason="test", elo_gain=None, games=0, at=loop.clock())
        for host, digest in (("local_a", NEW), ("local_b", OLD)):
            workers.assign(conn, host, 0, at=loop.clock())
            plays = {"square8_2p": {"model": digest}}
            workers.report(conn, host, 0, {"state": "playing", "variants": plays}, at=loop.clock())
    found = list(loop_state.check_reload(loop))
    behind = of(found, "reload", "square8_2p")
    assert behind.status == "warning"
    assert behind.met.startswith("generation 2: 1 of 2 workers play cdcdcdcdcdcd; waiting for local_b/0 (plays abab")
    assert "ringrift-loop distribute --variant square8_2p" in behind.remedy
    assert of(found, "reload", "hex8_2p").status == "ok"


@pytest.mark.parametrize(("transfer", "plays"), [(True, "the champion of hex8_3p"), (False, "the heuristic search")])
def test_who_plays_a_variant_without_a_champion_is_named(loop: Loop, transfer: bool, plays: str) -> None:
    with loop.ledger.begin() as conn:
        models.add(conn, OLD, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        models.add(conn, NEW, "hex8_3p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        for variant, digest in (("square8_2p", OLD), ("hex8_3p", NEW)):
            promotions.promote(conn, variant, digest, reason="test", elo_gain=None, games=0, at=loop.clock())
    config = replace(loop.config, selfplay=replace(loop.config.selfplay, transfer=transfer))
    found = list(loop_state.check_reload(replace(loop, config=config)))
    assert of(found, "reload", "hex8_2p").met == f"no champion yet: {plays} plays"


def test_the_metrics_endpoint_answers_and_tells_how_long_ago_a_packet_came() -> None:
    clock = Clock()
    address = BridgeAddress("127.0.0.1", 0, "127.0.0.1", 0)
    # The page has status 503 while the loop is unhealthy, which the other checks tell of.
    bridge = Bridge(address, read_rules(None), clock=clock, loop_health=lambda: (503, {"status": "unhealthy"}))
    try:
        config = LoopConfig(metrics_port=bridge.address.http_port)
        [silent] = loop_state.check_metrics(config)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"ringrift_uptime_seconds:1|g", ("127.0.0.1", bridge.address.udp_port))
            while bridge.store.packets == 0:
                pass
        clock.now += 30
        [fresh] = loop_state.check_metrics(config)
        clock.now += 300
        [late] = loop_state.check_metrics(config)
    finally:
        bridge.close()
    assert (silent.status, silent.met) == ("warning", "answers, but no packet ever came")
    assert (fresh.status, fresh.met) == ("ok", "answers, the last packet came 30 s ago")
    assert (late.status, late.met) == ("warning", "answers, the last packet came 330 s ago")
    [gone] = loop_state.check_metrics(config)
    assert (gone.status, "statsd-bridge" in gone.remedy) == ("failed", True)


def test_a_collector_elsewhere_is_not_asked() -> None:
    [finding] = loop_state.check_metrics(replace(LoopConfig(), statsd_host="statsd-exporter"))
    assert finding.status == "skipped"


def test_a_shipped_champion_that_a_run_has_not_imported_is_a_warning_unless_it_was_asked_to_begin_from_nothing(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def found(variant: str = "square8_2p") -> Finding:
        return of(list(loop_state.check_champions(loop)), "champions", variant)

    waiting = found()
    assert (waiting.status, waiting.remedy) == ("warning", "make run does it, or: ringrift-loop models begin")
    with loop.ledger.begin() as conn:
        state.put(conn, shipped.FIRST_MODELS, shipped.NONE, at=1.0)
    assert found().status == "ok" and "from nothing, as asked for (FRESH=1)" in found().met
    with loop.ledger.begin() as conn:
        models.add(conn, NEW, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
    assert found().status == "ok" and "models of its own" in found().met

    folder = shutil.copytree(Path(shipped.__file__).parent / "square8_2p", tmp_path / "square8_2p")
    (folder / "model.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(shipped, "shipped_folder", {"square8_2p": folder}.get)
    assert found().status == "failed" and "its card says" in found().met
    assert "begins from nothing" in found("hex8_2p").met
