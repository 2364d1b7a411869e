"""The overview and the gauges, from a real ledger with a champion, games and a training run."""

from __future__ import annotations

import json
import math
import shutil
import socket
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import delete

from new_ledger import new_ledger
from ringrift_loop.cli.entry import main
from ringrift_loop.cli.status import text
from ringrift_loop.config import LoopConfig
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import (
    curriculum,
    events,
    games,
    hosts,
    models,
    promotions,
    ratings,
    segments,
    state,
    utilization,
    workers,
)
from ringrift_loop.ledger import training as runs
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.schema import rating_history
from ringrift_loop.loop import Loop
from ringrift_loop.machine.locks import locked
from ringrift_loop.machine.utilization import disk_percent
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.metrics.names import REGISTRY, Kind
from ringrift_loop.status.gauges import publish_gauges, samples
from ringrift_loop.status.overview import Overview, read_overview

NOW = 1_800_000_000.0
DIGEST = "ab" * 32
HOST_NAMES = ["local_a", "local_b"]
INVENTORY = """
standard_hosts:
  local_a: {transport: local, role: "selfplay,training"}
  local_b: {transport: local, role: selfplay}
"""


@pytest.fixture(scope="module")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    new_ledger(f"sqlite:///{path}")
    return path


@pytest.fixture
def ledger(tmp_path: Path, empty_ledger: Path) -> Ledger:
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


def _game(number: int, *, ingested_at: float) -> games.GameRow:
    return games.GameRow(
        id=f"{number:032x}",
        move_hash=f"{number:064x}",
        variant="square8_2p",
        host="local_a",
        segment="s",
        position=number,
        plies=40,
        rows=20,
        winner=1,
        result="territory",
        player="heuristic-search",
        search={},
        engine_version="1",
        played_at=ingested_at - 10,
        ingested_at=ingested_at,
    )


def _fill(ledger: Ledger) -> None:
    """Two hosts, one of them failing; 6 games of which a run consumed 2; a champion; a slot that plays, one silent."""
    with ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, NOW - 7200.0, at=NOW)
        state.put(conn, state.ALIVE_AT, NOW - 13.0, at=NOW)
        for _ in range(5):
            state.count_cycle(conn, at=NOW - 12.0)
        hosts.ensure(conn, [*HOST_NAMES, "retired"])
        hosts.succeeded(conn, "local_a", at=NOW - 12.0)
        for _ in range(3):
            hosts.failed(conn, "local_b", "no answer", at=NOW, poll_s=30, max_backoff_s=600)
        hosts.succeeded(conn, "retired", at=NOW)
        segments.add(conn, segments.SegmentRow("local_a", "s", "0" * 64, "e", 1, 6, 6, 0, 0, 100, NOW - 12.0))
        games.add(conn, [_game(number, ingested_at=NOW - 5000.0) for number in range(2)])
        runs.claim(conn, "run-1", "square8_2p", at=NOW - 4000.0)
        models.add(conn, DIGEST, "square8_2p", parent_digest=None, training_run="run-1", manifest={}, at=NOW - 3000.0)
        runs.mark_running(conn, "run-1", window_games=2, window_rows=40, parent_digest=None)
        runs.succeed(conn, "run-1", model_digest=DIGEST, report={}, at=NOW - 3000.0)
        games.add(conn, [_game(number, ingested_at=NOW - 100.0) for number in range(2, 6)])
        promotions.promote(conn, "square8_2p", DIGEST, reason="first", elo_gain=None, games=0, at=NOW - 2900.0)
        events.record(conn, "tournament", "15 games", at=NOW - 100.0, variant="square8_2p")
        for hour, elo in ((3, 400.0), (2, 410.0), (1, 420.0)):
            row = ratings.RatingRow("square8_2p", f"{DIGEST}|gumbel16,considered=4", elo, 30.0, 60, NOW - 3600.0 * hour)
            anchor = ratings.RatingRow("square8_2p", "random", 0.0, 0.0, 60, NOW - 3600.0 * hour)
            ratings.replace(conn, "square8_2p", [row, anchor], keep_history_of=[row.participant, "random"])
        curriculum.replace(conn, {"square8_2p": 0.9, "hex8_2p": 1.1}, at=NOW - 50.0)
        plays = {"square8_2p": {"generation": 1, "games_per_hour": 120.5, "computed_s": 30.0}}
        beat = {"state": "playing", "variant": "square8_2p", "variants": plays}
        for slot, at in ((0, NOW - 20.0), (1, NOW - 500.0)):
            workers.assign(conn, "local_a", slot, at=NOW - 600.0)
            workers.report(conn, "local_a", slot, beat, at=at)


def _overview(ledger: Ledger) -> Overview:
    with ledger.read() as conn:
        return read_overview(conn, LoopConfig(), HOST_NAMES, now=NOW)


def test_the_overview_tells_what_the_ledger_holds(ledger: Ledger) -> None:
    _fill(ledger)

    overview = _overview(ledger)
    square, hexagon = overview.variants

    assert (overview.data_syncs, overview.training_runs, overview.evaluations, overview.promotions) == (5, 1, 1, 1)
    assert (overview.hosts_active, overview.hosts_failed) == (1, 1)
    assert (square.champion, square.generation, square.elo, square.elo_stderr) == (DIGEST, 1, 420.0, 30.0)
    assert (square.games, square.games_last_hour, square.games_pending, square.threshold) == (6, 4, 4, 300)
    assert (square.workers_assigned, square.workers_playing) == (2, 1)
    assert (square.last_training_at, square.last_promotion_at) == (NOW - 3000.0, NOW - 2900.0)
    assert square.training_started_at is None
    assert (hexagon.champion, hexagon.elo, hexagon.games, hexagon.weight) == (None, None, 0, 1.1)
    assert [slot.state for slot in overview.workers] == ["playing", "silent"]


def test_a_worker_with_another_model_than_the_champion_is_behind(ledger: Ledger) -> None:
    _fill(ledger)
    with ledger.begin() as conn:
        state.set_selfplay_share(conn, 0.5, at=NOW)
        workers.assign(conn, "local_a", 2, at=NOW)
        plays = {"square8_2p": {"model": DIGEST, "generation": 1}, "hex8_2p": {"model": "e" * 64}}
        workers.report(conn, "local_a", 2, {"state": "playing", "variants": plays}, at=NOW - 20.0)

    overview = _overview(ledger)

    # The first plays with no model, the second is silent, the third plays the champion, and with a borrowed
    # model a variant that has none.
    assert [[play.behind for play in slot.plays] for slot in overview.workers] == [[True], [True], [False, False]]
    sent = {(name, labels.get("config")): value for name, value, labels in samples(overview)}
    assert sent["ringrift_workers_behind", "square8_2p"] == 1
    assert sent["ringrift_workers_behind", "hex8_2p"] == 0
    assert [sent["ringrift_workers_playing", name] for name in ("square8_2p", "hex8_2p")] == [2, 1]
    assert [sent["ringrift_workers_assigned", name] for name in ("square8_2p", "hex8_2p")] == [3, 3]
    assert sent["ringrift_selfplay_share", None] == 0.5
    assert "Self-play is limited to 50% of its slots" in text(overview)


def test_the_trend_is_elo_per_hour_of_the_champions_and_not_of_anchors(ledger: Ledger) -> None:
    _fill(ledger)

    assert _overview(ledger).variants[0].elo_trend == pytest.approx(10.0)


def test_a_trend_needs_two_hours_and_says_how_sure_it_is(ledger: Ledger) -> None:
    _fill(ledger)
    (square, _) = _overview(ledger).variants
    # Ratings of +-30 each at both ends of two hours.
    assert square.elo_trend_stderr == pytest.approx(math.hypot(30.0, 30.0) / 2.0)

    with ledger.begin() as conn:
        conn.execute(delete(rating_history))
        for second in (60, 30, 0):
            row = ratings.RatingRow(
                "square8_2p", f"{DIGEST}|gumbel16,considered=4", 400.0 - second, 30.0, 60, NOW - second
            )
            ratings.replace(conn, "square8_2p", [row], keep_history_of=[row.participant])
    sent = {name for name, _, _ in samples(_overview(ledger))}
    assert {"ringrift_elo_trend", "ringrift_elo_trend_stderr"}.isdisjoint(sent)


def test_candidates_count_from_the_last_promotion(ledger: Ledger) -> None:
    _fill(ledger)

    def sent() -> dict[str, float]:
        return {name: value for name, value, labels in samples(_overview(ledger)) if "square8_2p" in labels.values()}

    first = "ringrift_first_candidate_since_promotion_timestamp_seconds"
    assert (sent()["ringrift_candidates_since_promotion"], sent()[first]) == (0, 0.0)
    with ledger.begin() as conn:
        for number, at in ((1, NOW - 500.0), (2, NOW - 200.0)):
            models.add(conn, f"{number}" * 64, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=at)
    assert (sent()["ringrift_candidates_since_promotion"], sent()[first]) == (2, NOW - 500.0)
    with ledger.begin() as conn:
        promotions.promote(conn, "square8_2p", "2" * 64, reason="better", elo_gain=25.0, games=100, at=NOW - 100.0)
    assert (sent()["ringrift_candidates_since_promotion"], sent()[first]) == (0, 0.0)


def test_a_loop_that_does_not_run_is_not_up_and_its_machines_are_not_known(ledger: Ledger) -> None:
    _fill(ledger)
    with ledger.begin() as conn:
        state.note_verification(conn, 2, at=NOW - 50.0)
        for host, at, memory in (("local_a", NOW - 20.0, 61.0), ("retired", NOW - 20.0, 99.0)):
            row = utilization.SampleRow(host, at, host, 30.0, 70.0, 60.0, 0.0, memory, disk=83.0)
            utilization.add(conn, row)

    def sent(now: float) -> dict[tuple[str, str | None], float]:
        with ledger.read() as conn:
            overview = read_overview(conn, LoopConfig(), HOST_NAMES, now=now)
        return {(name, labels.get("host")): value for name, value, labels in samples(overview)}

    running, away = sent(NOW), sent(NOW + 4000.0)
    assert running["ringrift_uptime_seconds", None] == 7200.0
    assert running["ringrift_host_memory_utilization_percent", "local_a"] == 61.0
    assert running["ringrift_host_cpu_utilization_percent", "local_a"] == 70.0
    assert running["ringrift_disk_used_percent", "local_a"] == 83.0
    assert ("ringrift_host_memory_utilization_percent", "retired") not in running
    assert (
        away.keys()
        & {
            ("ringrift_uptime_seconds", None),
            ("ringrift_host_memory_utilization_percent", "local_a"),
        }
        == set()
    )
    for told in (running, away):
        assert told["ringrift_alive_timestamp_seconds", None] == NOW - 13.0
        assert told["ringrift_hosts_enabled", None] == 2
        assert told["ringrift_ledger_verification_findings", None] == 2
        assert told["ringrift_ledger_verification_timestamp_seconds", None] == NOW - 50.0


def test_an_open_training_run_shows_its_start(ledger: Ledger) -> None:
    _fill(ledger)
    with ledger.begin() as conn:
        runs.claim(conn, "run-2", "square8_2p", at=NOW - 60.0)

    assert _overview(ledger).variants[0].training_started_at == NOW - 60.0
    assert _overview(ledger).variants[0].games_pending == 0


def test_nothing_is_made_up_for_an_empty_ledger(ledger: Ledger) -> None:
    sent = {name for name, _, _ in samples(_overview(ledger))}

    assert "ringrift_current_elo" not in sent
    assert "ringrift_elo_trend" not in sent
    assert "ringrift_uptime_seconds" not in sent
    assert "ringrift_games_pending_training" in sent


def test_every_sample_is_a_gauge_of_the_registry_with_its_labels(ledger: Ledger) -> None:
    _fill(ledger)

    for name, _, labels in samples(_overview(ledger)):
        assert REGISTRY[name].kind is Kind.GAUGE
        assert set(labels) == set(REGISTRY[name].labels)


def test_publishing_sends_the_gauges_and_the_zeros(ledger: Ledger, tmp_path: Path) -> None:
    _fill(ledger)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(10)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        loop = Loop(
            config=LoopConfig(),
            inventory=parse_inventory(INVENTORY, "hosts.yaml"),
            directory=RunDirectory(tmp_path),
            ledger=ledger,
            metrics=Metrics("127.0.0.1", udp.getsockname()[1], strict=True),
            clock=lambda: NOW,
        )

        sent = publish_gauges(loop)
        received = {udp.recv(2048).decode() for _ in range(sent)}

    assert "ringrift_current_elo,config=square8_2p:420.0|g" in received
    assert "ringrift_games_pending_training,config=square8_2p:4|g" in received
    assert "ringrift_games_pending_training,config=hex8_2p:0|g" in received
    assert "ringrift_uptime_seconds:7200.0|g" in received
    assert f"ringrift_last_success_timestamp_seconds,stage=data_sync:{NOW - 12.0}|g" in received
    assert "ringrift_worker_model_generation,host=local_a,slot=0,config=square8_2p:1|g" in received
    assert not [line for line in received if "slot=1" in line]
    assert "ringrift_games_synced_total,host=local_b:0|c" in received
    (disk,) = [line for line in received if line.startswith("ringrift_disk_used_percent,host=coordinator:")]
    assert float(disk.split(":")[1].split("|")[0]) == pytest.approx(disk_percent(tmp_path), abs=5.0)


def test_status_prints_the_guides_lines_and_a_row_for_each_variant(ledger: Ledger) -> None:
    _fill(ledger)

    lines = text(_overview(ledger)).splitlines()

    assert lines[0] == "Unified AI Loop Status:"
    assert lines[1] == "  Running"
    assert [line.split(":")[0].strip() for line in lines[2:8]] == [
        "Started",
        "Last cycle",
        "Data syncs",
        "Training runs",
        "Evaluations",
        "Promotions",
    ]
    assert lines[4:8] == ["  Data syncs: 5", "  Training runs: 1", "  Evaluations: 1", "  Promotions: 1"]
    assert lines[8] == "  Last full tournament: never"
    row = next(line for line in lines if line.startswith("square8_2p"))
    assert row.split()[:8] == ["square8_2p", "1", "abababab", "420", "±", "59", "4/300", "6"]
    assert row.endswith("1/2")
    assert next(line for line in lines if line.startswith("hex8_2p")).split()[:4] == ["hex8_2p", "-", "-", "0/300"]


@pytest.mark.parametrize(
    ("silent_s", "said"),
    [
        (299.0, "Running"),
        (301.0, "NOT RUNNING: last heard from 5 min ago"),
        (11_520.0, "NOT RUNNING: last heard from 3 h 12 min ago"),
        (1e6, "NOT RUNNING: last heard from 11 d 13 h ago"),
    ],
)
def test_status_says_first_whether_the_loop_runs(ledger: Ledger, silent_s: float, said: str) -> None:
    with ledger.begin() as conn:
        state.put(conn, state.STARTED_AT, NOW - 1e7, at=NOW)
        state.put(conn, state.ALIVE_AT, NOW - silent_s, at=NOW)

    assert text(_overview(ledger)).splitlines()[1] == f"  {said}"


def test_a_loop_that_was_never_started_does_not_run(ledger: Ledger) -> None:
    assert text(_overview(ledger)).splitlines()[1] == "  NOT RUNNING: it was never started"


def test_a_stopped_loop_shows_no_worker_that_plays_and_no_training_that_runs(ledger: Ledger) -> None:
    _fill(ledger)
    with ledger.begin() as conn:
        runs.claim(conn, "run-2", "square8_2p", at=NOW - 60.0)

    with ledger.read() as conn:
        stopped = read_overview(conn, LoopConfig(), HOST_NAMES, now=NOW, stopped=True)

    rows = [
        next(line for line in text(one).splitlines() if "square8_2p" in line) for one in (stopped, _overview(ledger))
    ]
    assert "interrupted" in rows[0] and rows[0].endswith("0/2")
    assert "running" in rows[1] and rows[1].endswith("1/2")


def test_the_command_knows_by_the_launchers_lock_that_the_loop_was_stopped_just_now(
    run_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_ledger(f"sqlite:///{run_home / 'ledger.db'}")
    with Ledger.open(f"sqlite:///{run_home / 'ledger.db'}").begin() as conn:
        state.note_alive(conn, at=time.time(), silence_s=300.0)
    lock = RunDirectory(run_home).airflow / "launch.lock"
    with locked(lock):
        assert main(["status"]) == 0
    assert main(["status"]) == 0

    said = [line for line in capsys.readouterr().out.splitlines() if "Running" in line or "RUNNING:" in line]
    assert said[0] == "  Running"
    assert said[1].startswith("  NOT RUNNING: last heard from ")  # some seconds ago, on a busy machine


def test_the_time_of_being_up_begins_again_after_the_loop_was_away(ledger: Ledger) -> None:
    def up_s(at: float) -> float:
        with ledger.begin() as conn:
            state.note_alive(conn, at=at, silence_s=300.0)
            overview = read_overview(conn, LoopConfig(), HOST_NAMES, now=at)
        return next(value for name, value, _ in samples(overview) if name == "ringrift_uptime_seconds")

    assert [up_s(NOW + later) for later in (0, 30, 60, 5000, 5030, 4000, 4030)] == [0, 30, 60, 0, 30, 0, 30]


def test_a_halt_and_failing_hosts_are_said(ledger: Ledger) -> None:
    _fill(ledger)
    with ledger.begin() as conn:
        state.set_halt(conn, True, at=NOW)

    said = text(_overview(ledger))

    assert "HALTED" in said
    assert "Failing hosts: 1" in said


def test_the_overview_is_json(ledger: Ledger) -> None:
    _fill(ledger)

    document = json.loads(json.dumps(asdict(_overview(ledger))))

    assert document["variants"][0]["games_pending"] == 4
