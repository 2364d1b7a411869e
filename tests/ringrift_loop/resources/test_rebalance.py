from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ringrift_loop.config import LoopConfig, ResourceTargets
from ringrift_loop.hosts.inventory import Inventory, parse_inventory
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import resources, utilization
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.utilization import GpuUse
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.resources.control import MIN_DUTY, STALE_S
from ringrift_loop.resources.rebalance import MachineSample, decide, rebalance

SAMPLE = MachineSample("m", ("a",), 1000.0, cpu=95.0, workers=50.0, jobs=10.0, memory=40.0, duty=1.0)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    directory = RunDirectory(tmp_path / "run")
    url = f"sqlite:///{directory.root / 'ledger.db'}"
    migrate(url)
    ledger = Ledger.open(url)
    config, inventory = LoopConfig(), parse_inventory("standard_hosts:\n  a: {transport: local}\n", "hosts.yaml")
    yield Loop(config, inventory, directory, ledger, Metrics.open(config, directory.fleet), Clock())
    ledger.close()


def put(loop: Loop, host: str, *, cpu: float, workers: float = 0.0, machine: str = "m", age_s: float = 1.0) -> None:
    at = loop.clock() - age_s
    with loop.ledger.begin() as conn:
        utilization.add(conn, SampleRow(host, at, machine, 30.0, cpu, workers, jobs=0.0, memory=50.0, duty=1.0))


def test_hosts_on_one_machine_are_decided_on_together_and_get_one_duty(loop: Loop) -> None:
    put(loop, "a", cpu=99.0, workers=49.0)
    put(loop, "b", cpu=99.0, workers=50.0)
    put(loop, "c", cpu=10.0, workers=10.0, machine="other")
    done = rebalance(loop)
    assert [row.machine for row in done.decisions] == ["m", "other"]
    assert done.duties["a"] == done.duties["b"] < 0.75
    assert done.duties["c"] == 1.0


@pytest.mark.parametrize(("own", "counts"), [({"cpu_max": 100.0}, True), ({"cpu_min": 90.0}, False)])
def test_the_inventorys_targets_count_on_their_machine_unless_they_contradict_the_loops(
    loop: Loop, own: dict[str, float], counts: bool
) -> None:
    host = replace(loop.inventory.hosts["a"], resource_targets=own)
    put(loop, "a", cpu=99.0, workers=99.0)
    done = rebalance(replace(loop, inventory=Inventory({"a": host})))
    assert (done.duties["a"] == 1.0) == counts


def test_one_sample_is_decided_on_once(loop: Loop) -> None:
    put(loop, "a", cpu=99.0, workers=99.0)
    first, again = rebalance(loop), rebalance(loop)
    assert len(first.decisions) == 1
    assert again.decisions == ()
    assert again.duties == first.duties


def test_a_machine_that_falls_silent_keeps_its_duty_and_that_is_said_once(loop: Loop) -> None:
    put(loop, "a", cpu=99.0, workers=99.0)
    duty = rebalance(loop).duties["a"]
    loop.clock.now += STALE_S + 5  # type: ignore[attr-defined]
    [row] = rebalance(loop).decisions
    assert (row.action, row.duty) == (resources.NO_DATA, duty)
    assert rebalance(loop).decisions == ()


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
    [decision] = rebalance(loop).decisions
    assert decision.inputs["gpu"] is None
    assert decision.reason.startswith("CPU 90%")
