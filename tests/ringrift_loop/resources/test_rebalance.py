from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest

from clocks import Clock
from new_ledger import new_ledger
from ringrift_loop.config import LoopConfig, ResourceTargets
from ringrift_loop.hosts.inventory import Inventory, parse_inventory
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import hosts, resources, utilization, workers
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.resources import DecisionRow, NegotiationRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.utilization import GpuUse
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.resources.api import selfplay_weights
from ringrift_loop.resources.backpressure import Cause
from ringrift_loop.resources.control import MIN_DUTY, STALE_S
from ringrift_loop.resources.crew import Crew
from ringrift_loop.resources.decision import MachineSample, decide
from ringrift_loop.resources.rebalance import rebalance, workers_allowed

SAMPLE = MachineSample("m", ("a",), 1000.0, cpu=95.0, workers=50.0, jobs=10.0, memory=40.0, duty=1.0)


def half_full(folder: Path) -> float:
    return 50.0


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    directory = RunDirectory(tmp_path / "run")
    url = f"sqlite:///{directory.root / 'ledger.db'}"
    new_ledger(url)
    ledger = Ledger.open(url)
    config, inventory = LoopConfig(), parse_inventory("standard_hosts:\n  a: {transport: local}\n", "hosts.yaml")
    yield Loop(config, inventory, directory, ledger, Metrics.open(config, directory.fleet), Clock(1_000_000.0))
    ledger.close()


def put(loop: Loop, host: str, *, cpu: float, workers: float = 0.0, machine: str = "m", age_s: float = 1.0) -> None:
    at = loop.clock() - age_s
    with loop.ledger.begin() as conn:
        utilization.add(conn, SampleRow(host, at, machine, 30.0, cpu, workers, jobs=0.0, memory=50.0, duty=1.0))


def test_hosts_on_one_machine_are_decided_on_together_and_get_one_duty(loop: Loop) -> None:
    put(loop, "a", cpu=99.0, workers=49.0)
    put(loop, "b", cpu=99.0, workers=50.0)
    put(loop, "c", cpu=10.0, workers=10.0, machine="other")
    done = rebalance(loop, disk=half_full)
    assert [row.machine for row in done.decisions] == ["m", "other"]
    assert done.duties["a"] == done.duties["b"] < 0.75
    assert done.duties["c"] == 1.0


@pytest.mark.parametrize(("own", "counts"), [({"cpu_max": 100.0}, True), ({"cpu_min": 90.0}, False)])
def test_the_inventorys_targets_count_on_their_machine_unless_they_contradict_the_loops(
    loop: Loop, own: dict[str, float], counts: bool
) -> None:
    host = replace(loop.inventory.hosts["a"], resource_targets=own)
    put(loop, "a", cpu=99.0, workers=99.0)
    done = rebalance(replace(loop, inventory=Inventory({"a": host})), disk=half_full)
    assert (done.duties["a"] == 1.0) == counts


def test_one_sample_is_decided_on_once(loop: Loop) -> None:
    put(loop, "a", cpu=99.0, workers=99.0)
    first, again = (rebalance(loop, disk=half_full) for _ in range(2))
    assert len(first.decisions) == 1
    assert again.decisions == ()
    assert again.duties == first.duties


def test_a_machine_that_falls_silent_keeps_its_duty_and_that_is_said_once(loop: Loop) -> None:
    put(loop, "a", cpu=99.0, workers=99.0)
    duty = rebalance(loop, disk=half_full).duties["a"]
    loop.clock.now += STALE_S + 5  # type: ignore[attr-defined]
    [row] = rebalance(loop, disk=half_full).decisions
    assert (row.action, row.duty) == (resources.NO_DATA, duty)
    assert rebalance(loop, disk=half_full).decisions == ()


def test_the_reason_tells_strangers_from_our_own_jobs() -> None:
    row = decide(ResourceTargets(), None, SAMPLE)
    assert row is not None
    assert row.action == resources.SCALE_DOWN
    assert "CPU 95% is critical, above 90% (strangers 35%, our jobs 10%, workers 50%)" in row.reason
    assert f"to {row.duty:.0%} of their time" in row.reason


def test_cpu_max_100_uses_the_machine_whole() -> None:
    row = decide(ResourceTargets(cpu_max=100.0), None, SAMPLE)
    assert row is not None
    assert row.duty == 1.0


def test_the_memory_of_a_gpu_cuts_the_workers_at_the_configured_limits() -> None:
    idle = replace(SAMPLE, cpu=70.0, workers=70.0, duty=0.7, gpu=75.0, gpu_memory=85.0)
    warned = decide(ResourceTargets(), None, idle)
    later = decide(ResourceTargets(gpu_memory_warning=86.0, gpu_memory_critical=90.0), None, idle)
    critical = decide(ResourceTargets(), None, replace(idle, gpu_memory=95.0))
    assert warned is not None
    assert later is not None
    assert critical is not None
    assert warned.duty == pytest.approx(later.duty * 0.7, abs=0.01)
    assert critical.duty == pytest.approx(later.duty * 0.3, abs=0.01)
    assert "GPU memory 95% is critical" in critical.reason


def test_the_busier_of_cpu_and_gpu_decides() -> None:
    row = decide(ResourceTargets(), None, replace(SAMPLE, cpu=50.0, workers=40.0, gpu=99.0, gpu_memory=20.0))
    assert row is not None
    assert row.reason.startswith("GPU 99%")
    assert row.duty < 0.9


def test_what_cannot_be_had_still_leaves_the_workers_their_least() -> None:
    row = decide(ResourceTargets(), None, replace(SAMPLE, cpu=100.0, workers=1.0, jobs=0.0))
    assert row is not None
    assert row.duty == MIN_DUTY


def test_a_split_card_without_a_figure_is_not_taken_for_an_idle_one(loop: Loop) -> None:
    gpu = GpuUse(0, None, 1000, 80_000, mig=True)
    with loop.ledger.begin() as conn:
        utilization.add(conn, SampleRow("a", loop.clock(), "m", 30.0, 90.0, 80.0, 0.0, 50.0, gpus=(gpu,)))
        [row] = utilization.since(conn, 0.0)
    assert row.gpus == (gpu,)
    [decision] = rebalance(loop, disk=half_full).decisions
    assert decision.inputs["gpu"] is None
    assert decision.reason.startswith("CPU 90%")


TWO = "standard_hosts:\n  a: {transport: local, max_workers: 2}\n  b: {transport: local, max_workers: 2}\n"


@pytest.fixture
def two(loop: Loop) -> Loop:
    """Two hosts on machines of their own, with two workers each."""
    return replace(loop, inventory=parse_inventory(TWO, "hosts.yaml"))


class Fleet:
    """Hosts on machines of their own whose workers obey, and make 2,000 games an hour at full duty."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.duties = loop, dict.fromkeys(loop.inventory.hosts, 1.0)
        self._past: dict[str, list[float]] = {host: [] for host in self.duties}

    def play(self, **more: float) -> float:
        """Half a minute; returns the games an hour of all."""
        self.loop.clock.now += 30.0  # type: ignore[attr-defined]
        at, made = self.loop.clock(), 0.0
        with self.loop.ledger.begin() as conn:
            hosts.ensure(conn, self.duties)
            allowed = workers_allowed(conn, self.loop.inventory)
            for host, duty in self.duties.items():
                past = self._past[host] = [*self._past[host][-9:], duty]
                for slot in range(allowed[host]):
                    beat = {"games_per_hour": 2000.0 * sum(past) / len(past)}  # the mean of five minutes
                    workers.assign(conn, host, slot, at=at)
                    workers.report(conn, host, slot, beat, at=at)
                    made += 2000.0 * duty
                used = 45.0 * duty * allowed[host]
                row = SampleRow(host, at, f"m{host}", 30.0, used, used, 0.0, 50.0, duty=duty)
                utilization.add(conn, replace(row, **more))  # type: ignore[arg-type]
        return made

    def run(self, steps: int, **more: float) -> list[float]:
        """What the fleet makes, step by step, under the decisions."""
        made = []
        for _ in range(steps):
            made.append(self.play(**more))
            self.duties = dict(rebalance(self.loop, disk=half_full).duties)
        return made

    @property
    def allowed(self) -> dict[str, int]:
        with self.loop.ledger.read() as conn:
            return workers_allowed(conn, self.loop.inventory)


@pytest.fixture
def fleet(two: Loop) -> Fleet:
    return Fleet(two)


def negotiated(loop: Loop, rate: int) -> None:
    with loop.ledger.begin() as conn:
        row = NegotiationRow(loop.clock(), "unified_loop", "startup", float(rate), rate, "approved")
        resources.negotiate(conn, row)


def test_the_negotiated_rate_is_not_exceeded_and_without_one_nothing_is_held(fleet: Fleet) -> None:
    free = fleet.run(12)
    assert free[-1] > 5000.0
    negotiated(fleet.loop, 3000)
    held = fleet.run(12)
    assert max(held[2:]) <= 3000.0
    assert min(held[2:]) >= 2500.0
    with fleet.loop.ledger.read() as conn:
        reasons = {row.reason for row in resources.decisions(conn).values()}
    assert all("held to 3000 games/h as negotiated by unified_loop" in reason for reason in reasons)
    negotiated(fleet.loop, 100_000)
    assert fleet.run(6)[-1] > 5000.0


def test_a_rate_below_what_the_least_duty_makes_lets_workers_rest_and_a_higher_one_wakes_them(fleet: Fleet) -> None:
    fleet.run(6)
    negotiated(fleet.loop, 500)
    assert fleet.run(14)[-1] <= 500.0
    assert sum(fleet.allowed.values()) == 2
    negotiated(fleet.loop, 100_000)
    fleet.run(14)
    assert fleet.allowed == {"a": 2, "b": 2}


def test_a_full_disk_lets_its_hosts_workers_rest_and_room_brings_them_back(fleet: Fleet) -> None:
    assert fleet.allowed == {"a": 2, "b": 2}  # nothing is known: nothing rests
    fleet.play(disk=50.0)
    with fleet.loop.ledger.begin() as conn:
        at = fleet.loop.clock() + 1.0
        utilization.add(conn, SampleRow("a", at, "ma", 30.0, 50.0, 50.0, 0.0, 50.0, disk=96.0))
    fleet.loop.clock.now += 2.0  # type: ignore[attr-defined]
    done = rebalance(fleet.loop, disk=half_full)
    assert fleet.allowed == {"a": 0, "b": 2}
    with fleet.loop.ledger.read() as conn:
        why = resources.decisions(conn)["ma"].reason
    assert "the disk of a is 96% full (critical from 95%)" in why
    assert why.endswith("and all of them rest")
    assert (done.resting, done.pressure.factor("ab")) == (2, 0.5)
    fleet.run(1, disk=50.0)
    assert fleet.allowed == {"a": 2, "b": 2}


def test_the_coordinators_full_disk_stops_everyone_and_silent_hosts_stay_stopped(fleet: Fleet) -> None:
    fleet.play()
    rebalance(fleet.loop, disk=lambda folder: 99.0)
    fleet.loop.clock.now += STALE_S + 5  # type: ignore[attr-defined]
    rebalance(fleet.loop, disk=lambda folder: 90.0)
    assert fleet.allowed == {"a": 0, "b": 0}
    rebalance(fleet.loop, disk=half_full)
    assert fleet.allowed == {"a": 2, "b": 2}


def test_a_host_whose_disk_is_full_rests_alone_on_its_machine_and_is_named(two: Loop) -> None:
    with two.ledger.begin() as conn:
        for host, disk in (("a", 96.0), ("b", 50.0)):
            row = SampleRow(host, two.clock(), "m", 30.0, 70.0, 35.0, 0.0, 50.0, duty=0.7, disk=disk)
            utilization.add(conn, row)
    [row] = rebalance(two, disk=half_full).decisions
    with two.ledger.read() as conn:
        assert workers_allowed(conn, two.inventory) == {"a": 0, "b": 2}
    assert "the disk of a is 96% full" in row.reason
    assert row.duty > 0.5


def test_segments_that_a_sync_leaves_behind_slow_their_host_alone(fleet: Fleet) -> None:
    fleet.run(8, unsynced=0, unsynced_s=0.0)
    before = fleet.duties["a"]
    fleet.run(1, unsynced=3, unsynced_s=2400.0)
    assert fleet.duties["a"] < 0.5 * before


def test_a_variant_whose_training_is_behind_leaves_its_share_to_the_other(two: Loop) -> None:
    with two.ledger.begin() as conn:
        cause = Cause("training", "square8_2p", 0.25, "many games wait")
        resources.note_backpressure(conn, [asdict(cause)], at=1.0)
        weights = selfplay_weights(conn, two.config)
    assert weights["hex8_2p"] == pytest.approx(4 * weights["square8_2p"])
    assert sum(weights.values()) == pytest.approx(2.0)


def test_a_machine_that_was_restarted_is_the_one_that_counts(fleet: Fleet) -> None:
    with fleet.loop.ledger.begin() as conn:
        for machine, at, rest in (("old", 1.0, 2), ("new", 2.0, 1)):
            state = {"hosts": ["a"], "crew": asdict(Crew(resting=rest))}
            resources.decide(conn, DecisionRow(machine, at, "hold", 0.5, {}, state, "so"))
    assert fleet.allowed == {"a": 1, "b": 2}


def test_a_machine_that_holds_for_hours_leaves_one_row_and_what_changed_stays(fleet: Fleet) -> None:
    fleet.run(16)
    with fleet.loop.ledger.read() as conn:
        rows = resources.history(conn, "ma", most=100)
    actions = [row.action for row in rows]
    assert actions[0] == resources.HOLD
    assert rows[0].at == fleet.loop.clock()
    assert len(actions) < 16
    assert not any(pair == (resources.HOLD, resources.HOLD) for pair in pairwise(actions))
    assert resources.SCALE_UP in actions or resources.SCALE_DOWN in actions
