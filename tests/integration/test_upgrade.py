"""A run directory that an earlier program has made, taken over by this one, and given back.

tests/data/run_of_6931780.md says how it was made.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ledger_rows import rows
from ringrift_airflow.tasks.data_sync import sync_hosts
from ringrift_loop.cli import main
from ringrift_loop.cluster.sync.cycle import sync_once
from ringrift_loop.cluster.transport.opening import local_directory
from ringrift_loop.errors import LedgerError, Remedy
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import ratings, run_directory, state, training
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.ledger.schema import SCHEMA_REVISION
from ringrift_loop.ledger.training import TrainingRunRow
from ringrift_loop.loop import Loop
from ringrift_loop.ratings.refit import refit
from ringrift_loop.retention.retain import retain
from ringrift_loop.selfplay.worker import Worker, WorkerOptions
from ringrift_loop.status.health import read_health
from ringrift_loop.status.overview import read_overview
from ringrift_loop.status.tables import elo_table, node_table
from ringrift_loop.status.verify import verify
from ringrift_loop.training.remote.outcome import REPORT
from ringrift_loop.training.report import TrainingReport
from ringrift_loop.training.train import train

pytestmark = pytest.mark.timeout(600)
PROJECT = Path(__file__).resolve().parents[2]
ARCHIVE = PROJECT / "tests" / "data" / "run_of_6931780.tar.xz"
SCHEMA = "0002"
VARIANT = "square8_2p"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """The run directory as the earlier program left it, with the configuration that it had."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("RINGRIFT_HOME", str(tmp_path / "run"))
    monkeypatch.setenv("RINGRIFT_CONFIG", str(tmp_path / "loop.yaml"))
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def loop(old: RunDirectory) -> Loop:
    """The loop on it, after what `ringrift-loop up` does with the ledger at its start."""
    migrate(old.ledger_url)
    run_directory.claim(Ledger.open(old.ledger_url), old, at=time.time())
    return Loop.open()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def contents(directory: RunDirectory) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that the earlier program knows, whatever the order of columns and rows."""
    with sqlite3.connect(directory.root / "ledger.db") as conn:
        conn.row_factory = sqlite3.Row
        names = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: sorted(map(dict, conn.execute(f"SELECT * FROM {name}")), key=repr) for name in names}


def test_the_commands_refuse_the_old_ledger_migrate_it_and_find_nothing_wrong(
    old: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 1
    assert f"is at schema {SCHEMA}, this version works with {SCHEMA_REVISION}: run `ringrift-loop ledger migrate`" in (
        capsys.readouterr().err
    )
    assert main(["ledger", "migrate"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": SCHEMA_REVISION}
    assert main(["ledger", "verify", "--files"]) == 0
    assert main(["status", "--json"]) == 0
    (variant,) = json.loads(capsys.readouterr().out.partition("\n")[2])["variants"]
    assert (variant["variant"], variant["generation"], variant["models"]) == (VARIANT, 1, 1)
    assert main(["config", "check"]) == 0


def test_workers_play_on_with_the_old_champion_and_games_that_waited_come_in(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        before = rows(conn, GameRow)
        (champion,) = read_overview(conn, loop.config, ["a"], now=loop.clock()).variants
    host = local_directory(loop.inventory.hosts["a"], loop.directory)
    assert sync_once(loop).games_new == 4
    Worker(WorkerOptions(host, VARIANT, 0, games=8, host="a", run="after"), loop.config.selfplay).run()
    assert sync_once(loop).games_new == 8
    with loop.ledger.read() as conn:
        played = [game for game in rows(conn, GameRow) if game.id not in {one.id for one in before}]
    assert [game.player for game in played] == [champion.champion] * 12
    assert verify(loop, files=True) == []


def test_a_training_that_was_under_way_goes_on_and_an_outcome_of_before_is_not_taken_for_its_own(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        done, open_run = sorted(rows(conn, TrainingRunRow), key=lambda run: run.started_at)
    assert (done.state, open_run.state) == ("succeeded", "running")
    assert done.report is not None
    told = TrainingReport.from_json(done.report)
    assert (told.rows_at_once, told.holdout, told.targets.distinct_share) == (0, None, 0)  # that version did not tell
    assert (loop.directory.training_output(open_run.id) / REPORT).exists()
    report = train(loop, open_run.id)
    assert (report.generation, report.parent) == (2, done.model_digest)
    with loop.ledger.read() as conn:
        assert training.require(conn, open_run.id).state == "succeeded"
    assert verify(loop, files=True) == []


def test_every_view_of_the_loop_shows_the_old_run(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        ended = max(game.ingested_at for game in rows(conn, GameRow))
    loop = replace(loop, clock=lambda: ended + 60.0)
    with loop.ledger.read() as conn:
        names = [host.name for host in loop.inventory.enabled]
        overview = read_overview(conn, loop.config, names, now=loop.clock())
        elo = elo_table(conn, loop.config)
        (node,) = node_table(conn, loop.config, loop.inventory, now=loop.clock())
        health = read_health(conn, loop.config, now=loop.clock())
        rated = ratings.table(conn, VARIANT)
    (variant,) = overview.variants
    assert (variant.promotions, variant.training_runs) == ({"promoted": 1}, {"running": 1, "succeeded": 1})
    assert len(elo) == len(rated) > 2
    assert elo[0].Elo == pytest.approx(rated[0].elo, abs=0.1)
    assert (node.Node, node.Failures) == ("a", 0)
    assert not health.halted
    assert retain(loop, apply=False).freed_bytes == 0
    # The migration has counted what the next fit counts.
    assert any(row.wins for row in rated)
    table = refit(loop, VARIANT)
    with loop.ledger.read() as conn:
        again = {row.participant: row for row in ratings.table(conn, VARIANT)}
    for row in rated:
        assert table.elo(row.participant) == pytest.approx(row.elo, abs=1e-6)
        assert (again[row.participant].wins, again[row.participant].draws) == (row.wins, row.draws)


def test_the_way_back_keeps_every_row(old: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(old)
    assert main(["ledger", "migrate"]) == 0
    assert main(["ledger", "migrate", "--to", SCHEMA]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"schema": SCHEMA}
    after = contents(old)
    assert before.pop("workers")  # assigned anew by the next pass
    assert after.pop("workers") == []
    # The newer program has taken the ledger for its run directory, which the earlier one leaves alone.
    assert [row for row in after["loop_state"] if row["key"] == "run_directory"]
    after["loop_state"] = [row for row in after["loop_state"] if row["key"] != "run_directory"]
    assert after == before
    assert main(["status"]) == 1


def test_a_ledger_of_a_newer_program_is_refused_by_commands_tasks_and_the_launcher(
    loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    with loop.ledger.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    refusal = f"is at schema 9999, written by a newer version; this one works with {SCHEMA_REVISION}: update "
    for command in (["status"], ["ledger", "verify"], ["ledger", "migrate"], ["sync"]):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert refusal in said
        assert "Traceback" not in said
    with pytest.raises(LedgerError, match=refusal) as refused:
        sync_hosts.function()
    assert refused.value.remedy is Remedy.FAIL
    up = [sys.executable, "-m", "ringrift_loop.cli", "up", "--home", str(loop.directory.root), "--port", free_port()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"RINGRIFT__METRICS_PORT": free_port(), "RINGRIFT__STATSD_PORT": free_port()}
    done = subprocess.run(up, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert refusal in done.stderr
    with loop.ledger.read() as conn:
        assert state.get(conn, state.STARTED_AT) is None
