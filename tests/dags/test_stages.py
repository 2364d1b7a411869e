"""Under saturation every stage goes on within a bound: docs/2-architecture.md, "Fair stages"."""

from __future__ import annotations

import configparser
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stage_simulation import LATENCY_S, LOOK_S, SECONDS, Simulation, gates_s, most_s, training_s

DAY_S = 86_400.0
# From "due" to a training's first second: a look of the one who waits, its two runs' tasks, and busy slots before them.
WAKING_S = LOOK_S + most_s("wait_for_games", "claim_games", "settle_claim") + 4 * LATENCY_S + 30.0


@pytest.fixture(scope="module")
def simulate(project: Path, dags: dict[str, Any]) -> Callable[..., Simulation]:
    """A day of the project's DAGs."""
    pools = {name: pool["slots"] for name, pool in json.loads((project / "config" / "pools.json").read_text()).items()}
    config = configparser.ConfigParser()
    config.read(project / "config" / "airflow.cfg")
    processes = config.getint("core", "parallelism")

    def one(**how: Any) -> Simulation:
        return Simulation(dags, pools, processes, **how).run(DAY_S)

    return one


def training_bound(variants: int, places: int) -> float:
    """The trainings under way, then one of each other variant, `places` at a time."""
    return (1 + math.ceil((variants - 1) / places)) * (training_s(places) + WAKING_S)


def gate_bound(variants: int) -> float:
    """One candidate of each other variant, and what has the slot when one's own test or verdict comes."""
    return (variants - 1) * gates_s() + 3 * most_s("beats_heuristic")


def shadow_bound(variants: int) -> float:
    """The tournaments of the other variants in the same round."""
    return variants * most_s("play_shadow_games") + most_s("list_due_tournaments") + 30.0


@pytest.mark.parametrize(("variants", "places"), [(2, 1), (4, 1), (12, 1), (12, 4)])
def test_everything_goes_on_within_its_bound_for_a_day(
    simulate: Callable[..., Simulation], variants: int, places: int
) -> None:
    day = simulate(variants=variants, places=places)
    assert day.longest("training") <= training_bound(variants, places)
    assert day.longest("gate") <= gate_bound(variants)
    assert day.longest("shadow tournament") <= shadow_bound(variants)
    assert day.longest("champion") <= 60.0
    for name, interval_s in (("sync_hosts", 30.0), ("reconcile_workers", 60.0)):
        assert day.longest(name) <= 2 * interval_s + SECONDS[name][1] + 30.0


# That the bounds can be broken, and by what: without each of these the loop has no such bound.


def test_one_run_for_all_variants_would_break_the_bound_of_trainings(simulate: Callable[..., Simulation]) -> None:
    assert simulate(variants=4, runs=1).longest("training") > training_bound(4, 1)


def test_candidates_in_no_certain_order_would_break_the_bound_of_gates(simulate: Callable[..., Simulation]) -> None:
    assert simulate(variants=12, places=4, by_age=False).longest("gate") > gate_bound(12)


def test_training_on_before_the_verdict_would_break_the_bound_of_gates(simulate: Callable[..., Simulation]) -> None:
    assert simulate(variants=12, places=4, judged_first=False).longest("gate") > gate_bound(12)


def test_the_curriculums_weights_alone_would_break_the_bound_of_trainings(
    simulate: Callable[..., Simulation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stage_simulation.in_turn", lambda waits: sorted(waits, key=lambda wait: -wait.weight))
    assert simulate(variants=12).longest("training") > training_bound(12, 1)
