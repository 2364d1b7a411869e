from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.ledger import hosts as host_rows
from ringrift_loop.ledger import jobs, resources, state, utilization, workers
from ringrift_loop.ledger.jobs import Placement
from ringrift_loop.ledger.resources import DecisionRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.bounded_log import append_lines
from ringrift_loop.machine.utilization import GpuUse
from ringrift_loop.views.hosts import HostsView, read_hosts, read_job_log, read_load, read_workers

EVIL = "no route\x1b[2J <script>alert(1)</script>"
INVENTORY = """
standard_hosts:
  near_a: {transport: local, role: selfplay, max_workers: 2}
  near_b: {transport: local, role: selfplay, resource_targets: {cpu_target: 72}}
  far: {ssh_host: 192.0.2.7, role: "selfplay,training"}
  away: {ssh_host: 192.0.2.8, role: selfplay, enabled: false}
  fresh: {ssh_host: 192.0.2.9, role: selfplay}
"""
SAMPLE = SampleRow("near_a", 0.0, "m1", 30.0, cpu=75.0, workers=40.0, jobs=5.0, memory=50.0, control=10.0, duty=0.8)


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    """Two hosts of one machine that work, one that fails, one that is switched off and one that was never met."""
    loop = replace(open_loop(), inventory=parse_inventory(INVENTORY, "test"))
    at = loop.clock()
    with loop.ledger.begin() as conn:
        state.note_alive(conn, at=at, silence_s=300)
        host_rows.ensure(conn, list(loop.inventory.hosts))
        for name in ("near_a", "near_b"):
            host_rows.succeeded(conn, name, at=at - 5.0)
        for _ in range(3):
            host_rows.failed(conn, "far", EVIL, at=at - 5.0, poll_s=30, max_backoff_s=600)
        workers.assign(conn, "near_a", 0, at=at)
        workers.assign(conn, "near_a", 1, at=at)
        play = {"generation": 3, "games_per_hour": 45.0, "games": 9, "computed_s": 1.0}
        beat: dict[str, Any] = {
            "state": "playing",
            "variant": "square8_2p",
            "variants": {"square8_2p": play, "hex8_2p": play},
        }
        workers.report(conn, "near_a", 0, beat, at=at)
        workers.report(conn, "near_a", 1, {"state": "failed", "last_error": EVIL}, at=at)
        gpu = GpuUse(0, 33.0, 4000, 16000)
        utilization.add(
            conn,
            replace(SAMPLE, at=at - 70.0, cpu=60.0),
            replace(SAMPLE, at=at - 10.0, unsynced=4, unsynced_s=900.0, gpus=(gpu,)),
            replace(SAMPLE, at=at - 10.0, host="near_b", workers=15.0, disk=41.0),
        )
        resources.decide(conn, DecisionRow("m1", at - 10.0, resources.SCALE_DOWN, 0.7, {}, {}, "CPU 75% is above"))
    return loop


def _read(loop: Loop) -> HostsView:
    with loop.ledger.read() as conn:
        return read_hosts(conn, loop.config, loop.inventory, now=loop.clock())


def test_hosts_of_one_machine_are_one_with_its_load_and_its_band(loop: Loop) -> None:
    (machine,) = _read(loop).machines
    assert machine.hosts == ("near_a", "near_b")
    # Each host sees the same launch (10 %), and its own workers and jobs.
    assert (machine.cpu, machine.workers, machine.jobs, machine.strangers) == (75.0, 55.0, 20.0, 0.0)
    assert (machine.low, machine.target, machine.high, machine.critical) == (60.0, 72.0, 80.0, 90.0)
    assert (machine.zone, machine.duty, machine.action, machine.reason) == (
        "optimal",
        0.7,
        "scale_down",
        "CPU 75% is above",
    )
    assert (machine.gpu, machine.gpu_memory, machine.disk) == (33.0, 25.0, 41.0)


def test_each_host_has_a_status_and_those_with_trouble_a_remedy(loop: Loop) -> None:
    hosts = {host.name: host for host in _read(loop).hosts}
    assert {name: host.status for name, host in hosts.items()} == {
        "near_a": "online",
        "near_b": "online",
        "far": "failing",
        "away": "disabled",
        "fresh": "new",
    }
    assert hosts["far"].remedy == "ringrift-loop doctor --host far; once fixed: ringrift-loop hosts reset far"
    assert hosts["fresh"].remedy == hosts["fresh"].remedy == "ringrift-loop sync --host fresh"
    assert (hosts["near_b"].remedy, hosts["away"].remedy) == (None, None)


def test_what_a_host_said_is_one_printable_line(loop: Loop) -> None:
    hosts = {host.name: host for host in _read(loop).hosts}
    assert hosts["far"].error is not None and hosts["far"].error.isprintable()
    assert all(error.isprintable() for error in hosts["near_a"].worker_errors) and hosts["near_a"].worker_errors


def test_games_that_stay_on_a_host_too_long_make_it_late(loop: Loop) -> None:
    hosts = {host.name: host for host in _read(loop).hosts}
    assert (hosts["near_a"].late, hosts["near_a"].lag_s, hosts["near_a"].unsynced) == (True, 900.0, 4)
    assert hosts["near_a"].remedy == "ringrift-loop sync --host near_a"
    assert (hosts["near_b"].late, hosts["far"].lag_s) == (False, None)


def test_rates_are_those_of_workers_that_play(loop: Loop) -> None:
    view = _read(loop)
    assert {host.name: host.games_per_hour for host in view.hosts if host.games_per_hour} == {"near_a": 90.0}
    assert view.games_per_hour == 90.0
    with loop.ledger.read() as conn:
        slots = read_workers(conn, loop.config, "near_a", now=loop.clock())
    assert [(slot.slot, slot.state, len(slot.plays)) for slot in slots] == [(0, "playing", 2), (1, "failed", 0)]
    assert slots[1].error is not None and slots[1].error.isprintable()


def test_old_samples_say_nothing_about_now(loop: Loop) -> None:
    loop.clock.now += 400.0  # type: ignore[attr-defined]
    view = _read(loop)
    assert view.machines == ()
    assert all(host.lag_s is None for host in view.hosts)


def test_the_last_hour_has_a_point_a_minute(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        (load,) = read_load(conn, now=loop.clock())
        assert read_load(conn, now=loop.clock() + 7200.0) == ()
    assert [(point.cpu, point.own) for point in load.points] == [(60.0, 55.0), (75.0, 75.0)]


def test_jobs_that_may_run_come_first_and_failures_say_what_to_do(loop: Loop) -> None:
    at = loop.clock()
    with loop.ledger.begin() as conn:
        for number, job in enumerate(("lost", "broken", "runs", "done")):
            row = jobs.place(conn, job, Placement("d", "training", "far", [], 900.0), at=at + number)
            jobs.contact(conn, row, at=at + number)
            if job == "lost":
                jobs.lose_sight(conn, row, contact_at=None)
            if job == "broken":
                failure = {"failure_class": "out_of_memory", "message": EVIL, "stage": "run"}
                jobs.end(conn, row, jobs.FAILED, at=at, failure=failure)
            if job == "done":
                jobs.end(conn, row, jobs.SUCCEEDED, at=at)
    found = _read(loop).jobs
    assert [(job.id, job.state) for job in found] == [
        ("runs", "running"),
        ("lost", "unreachable"),
        ("done", "succeeded"),
        ("broken", "failed"),
    ]
    remedies = {job.id: job.remedy for job in found}
    assert "raise resource_targets.job_memory_gb" in (remedies["broken"] or "")
    assert (remedies["lost"] or "").startswith("ringrift-loop doctor --host far")
    assert (remedies["runs"], remedies["done"]) == (None, None)
    assert found[-1].error is not None and found[-1].error.isprintable()


def test_every_job_that_may_run_is_shown(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        for number in range(30):
            jobs.place(conn, f"j{number}", Placement("d", "selfplay", "far", [], 900.0), at=loop.clock() + number)
    assert len(_read(loop).jobs) == 30


def test_the_end_of_a_jobs_log_is_read_and_nothing_beside_it(loop: Loop) -> None:
    append_lines(loop.directory.job_log("one"), ["step 1", "step\x1b[2J 2"])
    tail = read_job_log(loop.directory, "one")
    assert tail.text == "step 1\nstep?[2J 2\n"
    assert read_job_log(loop.directory, "one", after=tail.token).text is None
    for name in ("../../ledger", "", "a/b", ".hidden"):
        with pytest.raises(ConfigError, match="a job's id must match"):
            read_job_log(loop.directory, name)
