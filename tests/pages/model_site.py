"""What the pages Models and Hosts show beside `prepared.py`: a family of models, loads, jobs and a log."""

from __future__ import annotations

import math
import time
from pathlib import Path

from sqlalchemy import Connection

from api_server import Server
from model_history import DIGESTS, fill_history, play
from pages import prepared
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import hosts, jobs, models, resources, state, utilization, workers
from ringrift_loop.ledger.jobs import Placement
from ringrift_loop.ledger.resources import DecisionRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.machine.bounded_log import append_lines

VARIANT = "hexagonal_2p"
LOG = ["--- attempt 1 on local_a ---", "window of 1840 games, 73600 rows", "step 100 of 2000, loss 2.61"]


def add(conn: Connection, home: Path, now: float) -> None:
    """Write it into a ledger that `prepared.fill` has filled, and into the run directory below `home`."""
    fill_history(conn, now, VARIANT)
    play(conn, VARIANT, DIGESTS[3], DIGESTS[2], now, lost=4)
    play(conn, VARIANT, DIGESTS[3], DIGESTS[0], now, lost=2)
    play(conn, VARIANT, DIGESTS[5], DIGESTS[2], now, lost=3)
    play(conn, VARIANT, DIGESTS[2], DIGESTS[1], now, lost=0)
    _loads(conn, now)
    _jobs(conn, now)
    append_lines(RunDirectory(home / "run").job_log("train-hexagonal-7"), [*LOG, f"a host says {prepared.EVIL}"])


def ensure(site: Server) -> None:
    """All of it beside `prepared.py`, once for all tests."""
    with site.ledger.begin() as conn:
        if not models.all_models(conn, VARIANT):
            add(conn, site.home, time.time())


def freshen(conn: Connection, now: float) -> None:
    """Tell the loads of this moment, as the next visits would."""
    state.put(conn, state.ALIVE_AT, now, at=now)
    hosts.succeeded(conn, "local_a", at=now - 2)
    for row in workers.all_workers(conn):
        workers.report(conn, row.host, row.slot, row.heartbeat or {}, at=now)
    _loads(conn, now)


def _loads(conn: Connection, now: float) -> None:
    """An hour of two machines: one within its band, one that somebody else uses as well."""
    for step in range(120):
        at = now - 30.0 * step - 5.0
        cpu = 71.0 + 6.0 * math.sin(step / 7) + 2.0 * math.sin(step)
        busy = 88.0 + 5.0 * math.sin(step / 5)
        utilization.add(
            conn,
            SampleRow("local_a", at, "machine-a", 30.0, cpu, cpu - 14.0, 8.0, 46.0, control=4.0, duty=0.8, disk=41.0),
            SampleRow(
                "local_b", at, "machine-b", 30.0, busy, 22.0, 0.0, 63.0, disk=72.0, unsynced=6, unsynced_s=1500.0
            ),
        )
    resources.decide(
        conn,
        DecisionRow(
            "machine-a",
            now - 5,
            resources.HOLD,
            0.8,
            {},
            {},
            "CPU 72% lies in its band of 60 to 80%: the workers keep 80%",
        ),
        DecisionRow(
            "machine-b",
            now - 5,
            resources.SCALE_DOWN,
            0.2,
            {},
            {},
            "CPU 91% is above its band of 60 to 80%, of which others use 66%: the workers go from 30% to 20%",
        ),
    )


def _jobs(conn: Connection, now: float) -> None:
    wanted = {"train-hexagonal-7": "training", "matches-4be1": "tournament", "train-hexagonal-6": "training"}
    for number, (job, role) in enumerate(wanted.items()):
        row = jobs.place(conn, job, Placement("d", role, "local_a", [number], 900.0), at=now - 400.0 - 900.0 * number)
        jobs.contact(conn, row, at=now - 5.0)
        if job == "matches-4be1":
            jobs.end(conn, row, jobs.SUCCEEDED, at=now - 600.0)
        if job == "train-hexagonal-6":
            failure = {"failure_class": "out_of_memory", "message": f"it used 41 GiB, {prepared.EVIL}", "stage": "run"}
            jobs.end(conn, row, jobs.FAILED, at=now - 1500.0, failure=failure)
