"""The loop on a full machine: a discrete-event simulation of Airflow's scheduler over the DAGs as they are.

From the project come tasks, their order, pools and priorities, schedules, `max_active_runs`, the pools' slots, the
executor's processes, and `in_turn`, which says who is trained next. At random come the seconds that tasks take, between
the bounds in `SECONDS`. As in Airflow 3.3, the tasks of a pool go by their weight, equal ones in no certain order.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ringrift_airflow.dag_defaults import RUNS_PER_VARIANT, oldest_first
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.training.due import TrainingWait, in_turn

# Least and most seconds of a task on two busy cores: docs/log.md, 2026-11-23 to 2026-11-29.
SECONDS: Mapping[str, tuple[float, float]] = {
    "train": (120.0, 900.0),
    "model_file": (3.0, 20.0),
    "inference_latency": (3.0, 20.0),
    "no_illegal_moves": (5.0, 60.0),
    "games_finish": (5.0, 60.0),
    "beats_random": (10.0, 90.0),
    "beats_heuristic": (10.0, 120.0),
    "champion_gate": (60.0, 720.0),
    "play_shadow_games": (10.0, 90.0),
    "sync_hosts": (3.0, 20.0),
    "reconcile_workers": (3.0, 20.0),
    "rebalance_resources": (3.0, 15.0),
    "distribute": (3.0, 30.0),
}
OTHERS_S = (2.0, 5.0)
HERE_S = (20.0, 120.0)  # of a training on a host: what is done here before it, and after it
LATENCY_S = 1.5  # until the scheduler has seen the end of a task
LOOK_S = 15.0  # between two looks at the ledger for due variants
GAMES_S = 60.0  # self-play is so fast that a variant has its games after this
PAUSE_S = 120.0  # training.min_interval_seconds
TRAINING, WAIT = "ringrift_training", "ringrift_training_wait"
_BEGIN = datetime(2026, 11, 29, tzinfo=UTC)


def most_s(*names: str) -> float:
    """The most seconds that tasks take one after the other."""
    return sum(SECONDS.get(name, OTHERS_S)[1] + LATENCY_S for name in names)


def training_s(places: int) -> float:
    """The most seconds that a training has its place."""
    return most_s("claim_games", "train") + (2 * (HERE_S[1] + LATENCY_S) if places > 1 else 0.0)


def gates_s() -> float:
    """The most seconds that a candidate's gates take."""
    return most_s(*TEST_NAMES, "decide", "champion_gate")


@dataclass
class Variant:
    """What the ledger knows of a variant."""

    claimed_at: float = 0.0
    pause_until: float = 0.0
    judged_at: float = 0.0  # since when it has no candidate at the gates
    has_run: bool = False  # a training asked for or under way
    has_candidate: bool = False

    @property
    def due_at(self) -> float:
        """From when on it waits for others alone."""
        return max(self.claimed_at + GAMES_S, self.pause_until, self.judged_at)


@dataclass
class Run:
    """A DAG run, and what of it is still to be done."""

    dag_id: str
    at: float
    variant: str | None = None
    open: list[Step] = field(default_factory=list)
    due_at: float = 0.0
    trained_at: float = 0.0
    tests_s: float = 0.0  # how long its own tests have run


@dataclass(eq=False)
class Step:
    """A task of a run, in parts: seconds in a slot, then seconds deferred."""

    run: Run
    task: Any
    parts: list[tuple[float, float]]
    weight: int
    is_seen: bool = False
    has_begun: bool = False
    ready_at: float = 0.0

    @property
    def name(self) -> str:
        """The task's id without its group."""
        return str(self.task.task_id).rpartition(".")[2]


class Simulation:
    """One loop from second 0; `waits` has how long things waited, in seconds, by what they waited for.

    Args:
        dags: the project's.
        pools: slots by name.
        processes: of the executor.
        variants: how many there are; all have their games again after a minute.
        places: trainings at once; more than one means on hosts.
        runs: `max_active_runs` of the training, where it shall not be the project's.
        judged_first: whether a variant trains again only after the verdict on its candidate, as it does in the project.
        by_age: whether the age of a run counts among equals, as it does in the project.
        seed: of the seconds, the verdicts and the order of equals.
    """

    def __init__(
        self,
        dags: Mapping[str, Any],
        pools: Mapping[str, int],
        processes: int,
        *,
        variants: int,
        places: int = 1,
        runs: int | None = None,
        judged_first: bool = True,
        by_age: bool = True,
        seed: int = 1,
    ) -> None:
        self.dags, self.pools, self.processes, self.places = dags, pools, processes, places
        self.judged_first, self.by_age = judged_first, by_age
        self.variants = {f"v{number}": Variant() for number in range(variants)}
        self.runs = {dag_id: dag.max_active_runs for dag_id, dag in dags.items()}
        self.runs[TRAINING] = RUNS_PER_VARIANT * variants if runs is None else runs
        self.random = random.Random(seed)
        self.now = 0.0
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.done: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ready: list[Step] = []
        self._busy: Counter[str] = Counter()
        self._active: dict[str, list[Run]] = defaultdict(list)
        self._woken: list[str] = []
        self._last: dict[str, float] = {}

    def run(self, seconds: float) -> Simulation:
        """Let that much time pass; who still waits at its end counts as well."""
        for dag_id, dag in self.dags.items():
            if hasattr(dag.timetable, "interval_s"):
                self._later(dag.timetable.offset_s, lambda dag_id=dag_id: self._tick(dag_id))
        self._look()
        while self._events and self._events[0][0] <= seconds:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
            self._fill_slots()
        for variant in self.variants.values():
            if not variant.has_candidate:
                self.waits["training"].append(self.now - variant.due_at)
        for run in self._active[TRAINING]:
            if run.trained_at and any(step.name == "champion_gate" and not step.has_begun for step in run.open):
                self.waits["gate"].append(self.now - run.trained_at - run.tests_s)
        return self

    def longest(self, what: str) -> float:
        """The longest wait for something, s."""
        return max(self.waits[what])

    def _later(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), happen))

    def _tick(self, dag_id: str) -> None:
        """A time of a periodic DAG: a run, unless there are as many as there may be."""
        self._later(self.dags[dag_id].timetable.interval_s, lambda: self._tick(dag_id))
        if len(self._active[dag_id]) < self.runs[dag_id]:
            self._begin(Run(dag_id, self.now))

    def _look(self) -> None:
        """What the waiting DAG does: look, and when a variant is due, ask for a training and look again."""
        due = next((wait.variant for wait in in_turn(self._survey()) if wait.is_due), None)
        if due is None:
            self._later(LOOK_S, self._look)
        else:
            self.variants[due].has_run = True
            self._begin(Run(WAIT, self.now, variant=due))

    def _survey(self) -> list[TrainingWait]:
        full = "all taken" if sum(one.has_run for one in self.variants.values()) >= self.places else None
        weights = itertools.cycle((0.7, 1.5, 1.0))
        return [
            TrainingWait(
                variant=name,
                pending_games=int(300 * (self.now - one.claimed_at) / GAMES_S),
                threshold=300,
                pause_until=one.pause_until,
                weight=next(weights),
                busy="its own run" if one.has_run or (one.has_candidate and self.judged_first) else None,
                no_place=full,
                games_since=one.claimed_at + GAMES_S,
                last_started_at=one.claimed_at or -1.0,
                at=self.now,
            )
            for name, one in self.variants.items()
        ]

    def _begin(self, run: Run) -> None:
        self._active[run.dag_id].append(run)
        for task in self.dags[run.dag_id].tasks:
            at = _BEGIN + timedelta(seconds=run.at)
            weight = oldest_first(task.priority_weight, at) if self.by_age else task.priority_weight
            for _ in self.variants if task.is_mapped else (None,):
                run.open.append(Step(run, task, self._parts(task), weight))
        self._advance(run)

    def _parts(self, task: Any) -> list[tuple[float, float]]:
        name = str(task.task_id).rpartition(".")[2]
        seconds = self.random.uniform(*SECONDS.get(name, OTHERS_S))
        if name == "train" and self.places > 1:
            return [(self.random.uniform(*HERE_S), seconds), (self.random.uniform(*HERE_S), 0.0)]
        if name == "confirm_reload":
            return [(seconds, self.random.uniform(5.0, 60.0)), (OTHERS_S[0], 0.0)]
        return [(seconds, 0.0)]

    def _advance(self, run: Run) -> None:
        """Tasks with nothing open before them are ready; a run without tasks is over."""
        there = {step.task.task_id for step in run.open}
        for step in run.open:
            if not step.is_seen and not step.task.upstream_task_ids & there:
                step.is_seen, step.ready_at = True, self.now
                self._ready.append(step)
        if not run.open:
            self._active[run.dag_id].remove(run)
            self._wake()

    def _wake(self) -> None:
        while self._woken and len(self._active[TRAINING]) < self.runs[TRAINING]:
            self._begin(Run(TRAINING, self.now, variant=self._woken.pop(0)))

    def _fill_slots(self) -> None:
        """The heaviest tasks start, while there are slots and processes."""
        for step in sorted(self._ready, key=lambda step: (-step.weight, self.random.random())):
            pool = step.task.pool
            if self._busy[pool] < self.pools[pool] and self._busy.total() < self.processes:
                self._ready.remove(step)
                self._busy[pool] += 1
                self.most_at_once[pool] = max(self.most_at_once[pool], self._busy[pool])
                if not step.has_begun:
                    step.has_begun = True
                    self._note_begin(step)
                seconds, deferred_s = step.parts.pop(0)
                if pool == "gate" and step.name != "champion_gate":
                    step.run.tests_s += seconds + LATENCY_S
                self._later(seconds + LATENCY_S, lambda step=step, rest=deferred_s: self._leave_slot(step, rest))

    def _leave_slot(self, step: Step, deferred_s: float) -> None:
        self._busy[step.task.pool] -= 1
        if step.parts:
            self._later(deferred_s, lambda: self._ready.append(step))
            return
        step.run.open.remove(step)
        self.done[step.name] += 1
        self._note_end(step)
        self._advance(step.run)

    def _note_begin(self, step: Step) -> None:
        run, name = step.run, step.name
        if name == "train":
            self.waits["training"].append(self.now - run.due_at)
        elif name == "champion_gate":
            self.waits["gate"].append(self.now - run.trained_at - run.tests_s)
        elif name == "play_shadow_games":
            self.waits["shadow tournament"].append(self.now - run.at)
        elif name in ("sync_hosts", "reconcile_workers"):
            self.waits[name].append(self.now - self._last.get(name, self.now))  # since the last one
            self._last[name] = self.now
        elif name in ("promote", "distribute"):
            self.waits["champion"].append(self.now - step.ready_at)

    def _note_end(self, step: Step) -> None:
        run, name = step.run, step.name
        if name == "wait_for_games":
            assert run.variant is not None
            self._woken.append(run.variant)
            self._wake()
            self._later(LATENCY_S, self._look)
        if run.dag_id != TRAINING:
            return
        one = self.variants[str(run.variant)]
        if name == "claim_games":
            run.due_at = one.due_at
            one.claimed_at, one.has_candidate = self.now, True
        elif name == "train":
            run.trained_at, one.pause_until, one.has_run = self.now, self.now + PAUSE_S, False
        elif name == "settle_claim":
            one.judged_at, one.has_candidate = self.now, False
        elif name == "promote" and self.random.random() < 0.5:  # rejected
            run.open = [other for other in run.open if other.name not in ("distribute", "confirm_reload")]
