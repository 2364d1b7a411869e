"""A cluster simulated for a day: how well the controllers hold machines in their band, beside the original's law.

    python benchmarks/resources.py --machines 1 10 200 1000 --hours 24 --seed 1 --json
    python benchmarks/resources.py --plots docs/pictures        # needs matplotlib (benchmarks/requirements.txt)

The production code decides (`ringrift_loop.resources`: decision, crew, backpressure); what is simulated is the machine:
workers that use more or less than they are thought to, strangers that come and go and take memory with them, noise in
each sample, samples that are lost or a step late, machines that are away for a while, and with one machine in ten a way
to the coordinator that is blocked for hours, while its games pile up on its disk. The original's law is written here
after its description: one controller for all machines, an integral over seconds, whole jobs added and taken away.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ringrift_loop.cli.progress import counted
from ringrift_loop.config import DataIngestion, Pid, ResourceTargets, Training
from ringrift_loop.ledger.resources import DecisionRow
from ringrift_loop.resources.backpressure import Backpressure, Limits, Seen, press
from ringrift_loop.resources.bands import Band, cpu_band
from ringrift_loop.resources.control import STEP_S
from ringrift_loop.resources.decision import MachineSample, Outside, allowance_of, decide, resting
from ringrift_loop.selfplay.pace import MIN_DUTY, Allowance

START = 1.0e9
MEMORY_STEP = 5.0  # points of a machine's memory that strangers take in a step
SETTLED_STEPS = 6  # 3 minutes
BLIND = 0.2  # of a step: until what was decided, or what the workers see of their neighbours, has its effect
GLANCE = 3.0  # points by which a worker misjudges its neighbours


@dataclass
class Blocked:
    """Hours in which a machine's games do not come through, and the disk that they lie on."""

    since: float = math.inf
    until: float = math.inf
    disk: float = 60.0  # percent

    def run(self, at: float, own: float) -> tuple[int, float]:
        """One step of workers that use `own` percent; returns segments that wait, and the age of the oldest, s."""
        hours = STEP_S / 3600.0
        now = self.since <= at < self.until
        self.disk += 8.0 * hours * own / 70.0 if now else -20.0 * hours
        self.disk = min(100.0, max(60.0, self.disk))
        return (int((at - self.since) / 60.0), at - self.since) if now else (0, 0.0)


@dataclass
class Machine:
    """One simulated machine; loads are percent of it."""

    random: random.Random
    appetite: float  # of all its workers at full duty
    daily: float
    phase: float
    slots: int
    memory_each: float  # of one worker
    blocked: Blocked
    noise: float = 3.0
    burst: float = 0.0
    claimed: float = 0.0  # memory of strangers
    away_steps: int = 0
    duty: float = 0.5  # at the end of the last step
    kept: float = 0.5  # on average in it
    since_change: int = SETTLED_STEPS  # steps since strangers came or left
    peak: float = 0.0  # largest use since then
    ruling: Ruling = field(default_factory=lambda: Ruling(0.5, 8))

    def others(self, at: float) -> float:
        """Strangers' load: a daily wave, and bursts of some minutes."""
        if self.random.random() < 0.005:
            self.burst = 0.0 if self.burst else self.random.uniform(10.0, 50.0)
            self.since_change, self.peak = 0, 0.0
        wave = self.daily * max(0.0, math.sin(2 * math.pi * at / 86400.0 + self.phase))
        return min(95.0, wave + self.burst)

    def run(self, at: float) -> tuple[float, float, bool, bool]:
        """One step: used, own, whether a sample comes of it, and whether the band could be held at all."""
        others = self.others(at)
        # They take it in minutes and give it back at once; what is taken at once is beyond any law with samples.
        self.claimed = min(0.8 * self.burst, self.claimed + MEMORY_STEP)
        if self.away_steps:
            self.away_steps -= 1
        elif self.random.random() < 1 / 2000:
            self.away_steps = self.random.randint(2, 40)
        own = min(max(0.0, self.own(others) + self.random.gauss(0.0, self.noise)), 100.0 - others)
        arrives = self.away_steps == 0 and self.random.random() > 0.01
        return own + others, own, arrives, others + MIN_DUTY * self.appetite <= 78.0 and others + self.appetite >= 62.0

    def own(self, others: float) -> float:
        """What the workers use beside others in a step, who came at its beginning."""
        duty = self.ruling.duty
        if self.ruling.allowance is not None:
            duty = self.ruling.allowance.beside(max(0.0, others + self.random.gauss(0.0, GLANCE)))
        self.kept = BLIND * self.duty + (1.0 - BLIND) * duty
        self.duty = duty
        return self.appetite * self.kept * self.ruling.playing / self.slots

    @property
    def memory(self) -> float:
        """In use, percent: workers, strangers' bursts, the system."""
        return 5.0 + self.ruling.playing * self.memory_each + self.claimed


@dataclass(frozen=True)
class Ruling:
    """What a law wants of a machine from now on."""

    duty: float
    playing: int
    allowance: Allowance | None = None  # what the workers go by between two samples; None: the duty alone


class Ours:
    """The production code: a decision a machine, backpressure for all."""

    def __init__(self, fleet: list[Machine], band: Band, pid: Pid) -> None:
        del band
        self._fleet = fleet
        self._targets = ResourceTargets(pid=pid)
        self._limits = Limits(self._targets, {}, DataIngestion(), Training())
        self._rows: list[DecisionRow | None] = [None] * len(fleet)
        self._pressure = Backpressure()

    def look(self, waiting: list[tuple[int, float]]) -> None:
        """One pass' look at disks and sync."""
        seen = Seen(
            disks={str(index): machine.blocked.disk for index, machine in enumerate(self._fleet)},
            waiting={str(index): told for index, told in enumerate(waiting)},
        )
        self._pressure = press(self._pressure, seen, self._limits)

    def decide(self, index: int, used: float, own: float, at: float) -> Ruling:
        """What the machine's workers should do from now on."""
        machine, before = self._fleet[index], self._rows[index]
        factor, reason = self._pressure.on(str(index))
        outside = Outside(machine.slots if factor else 0, factor, reason)
        sample = MachineSample(str(index), (str(index),), at, used, own, 0.0, machine.memory, machine.kept)
        row = decide(self._targets, before, sample, outside)
        assert row is not None
        self._rows[index] = row
        return Ruling(row.duty, max(0, outside.slots - resting(row)[1]), allowance_of(row))


class Original:
    """The original's control law (gains as configured): shared state, seconds, whole jobs."""

    def __init__(self, fleet: list[Machine], band: Band, pid: Pid) -> None:
        self._fleet = fleet
        self._jobs = [max(1, machine.slots // 2) for machine in fleet]
        self._band, self._pid = band, pid
        self._integral = self._error = self._output = 0.0
        self._at: float | None = None

    def look(self, waiting: list[tuple[int, float]]) -> None:
        """It looks at neither."""

    def decide(self, index: int, used: float, own: float, at: float) -> Ruling:
        """The machine's next number of jobs; the output is whoever's asked last."""
        del own
        if self._at is None or at - self._at >= 30.0:
            error = self._band.target - used
            dt = 1.0 if self._at is None else at - self._at
            gain = 1.5 if abs(error) > 15 else 0.7 if abs(error) < 5 else 1.0
            self._integral = min(100.0, max(-100.0, self._integral + error * dt))
            raw = gain * (
                self._pid.kp * error + self._pid.ki * self._integral + self._pid.kd * (error - self._error) / dt
            )
            self._output = 0.3 * self._output + 0.7 * raw
            self._error, self._at = error, at
        self._jobs[index] = min(self._fleet[index].slots, max(1, self._jobs[index] + int(self._output / 3)))
        return Ruling(1.0, self._jobs[index])


LAWS: dict[str, Callable[[list[Machine], Band, Pid], Ours | Original]] = {"ours": Ours, "original": Original}


@dataclass
class Tally:
    """What is counted over a day."""

    steps: int = 0  # in which the band could be held
    inside: int = 0
    critical: int = 0
    excess: list[float] = field(default_factory=list)  # over the target, at most, after each change of strangers, %
    back_s: list[float] = field(default_factory=list)  # each excursion's length
    actions: int = 0
    workers: int = 0  # added or drained
    out_of_memory: int = 0
    disk_full: int = 0  # steps
    decisions: int = 0
    seconds: float = 0.0


def day(law: str, machines: int, hours: float, seed: int) -> dict[str, float | int | str]:
    """Simulate; the figures of one row."""
    band, pid = cpu_band(ResourceTargets()), Pid()
    fleet = [_machine(random.Random(seed * 100_003 + index), hours) for index in range(machines)]
    control, tally = LAWS[law](fleet, band, pid), Tally()
    for machine in fleet:
        machine.ruling = Ruling(0.5, machine.slots)
    out = [0] * machines  # steps out of the band
    full = [False] * machines
    steps = range(int(hours * 3600 / STEP_S))
    for number in counted(steps, f"{machines} machines by the {law} law, steps"):
        at = START + number * STEP_S
        runs = [machine.run(at) for machine in fleet]
        waiting = [machine.blocked.run(at, own) for machine, (_, own, _, _) in zip(fleet, runs, strict=True)]
        before = time.thread_time()  # a bar is drawn by another thread
        control.look(waiting)
        tally.seconds += time.thread_time() - before
        for index, machine in enumerate(fleet):
            used, own, arrives, possible = runs[index]
            if arrives:
                before = time.thread_time()
                ruling = control.decide(index, used, own, at)
                tally.seconds += time.thread_time() - before
                tally.decisions += 1
                tally.actions += (ruling.duty, ruling.playing) != (machine.ruling.duty, machine.ruling.playing)
                tally.workers += abs(ruling.playing - machine.ruling.playing) if number else 0
                machine.ruling = ruling
            tally.out_of_memory += machine.memory > 100.0 and not full[index]
            full[index] = machine.memory > 100.0
            tally.disk_full += machine.blocked.disk >= 99.5
            if possible and number >= SETTLED_STEPS and not waiting[index][0]:
                out[index] = _count(tally, band, used, out[index])
                _watch(tally, band, used, machine)
            else:
                out[index], machine.since_change = 0, SETTLED_STEPS
    machine_hours = machines * hours
    return {
        "law": law,
        "machines": machines,
        "hours": hours,
        "in_band_percent": round(100 * tally.inside / tally.steps, 2),
        "critical_percent": round(100 * tally.critical / tally.steps, 3),
        "overshoot_percent": round(statistics.median(tally.excess), 1) if tally.excess else 0.0,
        "settling_s": round(statistics.fmean(tally.back_s), 0) if tally.back_s else 0.0,
        "actions_per_machine_hour": round(tally.actions / machine_hours, 1),
        "workers_changed_per_machine_hour": round(tally.workers / machine_hours, 2),
        "out_of_memory_per_machine_day": round(24 * tally.out_of_memory / machine_hours, 2),
        "disk_full_percent": round(100 * tally.disk_full * STEP_S / 3600 / machine_hours, 2),
        "cpu_ms_per_decision": round(1e3 * tally.seconds / tally.decisions, 3),
    }


def _count(tally: Tally, band: Band, used: float, out: int) -> int:
    """Count a step; returns for how many the machine has been out of its band now."""
    tally.steps += 1
    tally.critical += used > band.critical
    if not band.low <= used <= band.high:
        return out + 1
    tally.inside += 1
    if out:
        tally.back_s.append(out * STEP_S)
    return 0


def _watch(tally: Tally, band: Band, used: float, machine: Machine) -> None:
    """Take down the overshoot of the three minutes after strangers came or left; the first step counts."""
    if machine.since_change < SETTLED_STEPS:
        machine.peak = max(machine.peak, used)
        machine.since_change += 1
        if machine.since_change == SETTLED_STEPS:
            tally.excess.append(max(0.0, 100 * (machine.peak - band.target) / band.target))


def _machine(rng: random.Random, hours: float) -> Machine:
    appetite, daily, phase = rng.uniform(65.0, 180.0), rng.choice([0.0, 0.0, 20.0, 40.0]), rng.uniform(0, 2 * math.pi)
    memory_each = rng.uniform(3.0, 14.0)
    slots = min(8, int(75.0 / memory_each))  # as a person would set them: those that fit beside the system
    blocked = Blocked()
    if rng.random() < 0.1:
        since = START + 3600.0 * rng.uniform(0.0, 0.5 * hours)
        blocked = Blocked(since, since + 3600.0 * rng.uniform(4.0, 10.0))
    return Machine(rng, appetite, daily, phase, slots, memory_each, blocked)


def response(law: str, others: Callable[[int], float], appetite: float, steps: int = 40) -> list[tuple[float, float]]:
    """Used and duty of one machine without noise whose strangers follow a course."""
    band = cpu_band(ResourceTargets())
    machine = Machine(random.Random(0), appetite, 0.0, 0.0, 8, 5.0, Blocked())
    control = LAWS[law]([machine], band, Pid())
    course = []
    for number in range(steps):
        load = others(number)
        own = min(machine.own(load), 100.0 - load)
        course.append((own + load, machine.kept * machine.ruling.playing / machine.slots))
        machine.ruling = control.decide(0, own + load, own, START + number * STEP_S)
    return course


def settling(course: list[tuple[float, float]], since: int, band: Band) -> tuple[float | None, float]:
    """Seconds until the course stays in the band, and the largest overshoot over the target after its first step, %."""
    used = [value for value, _ in course[since:]]
    first = next((i for i in range(len(used)) if all(band.low <= value <= band.high for value in used[i:])), None)
    peak = max(used[2:], default=0.0)
    return None if first is None else first * STEP_S, max(0.0, 100 * (peak - band.target) / band.target)


RESPONSES: dict[str, tuple[Callable[[int], float], float, int]] = {
    "start of workers that use 100 %": (lambda number: 0.0, 100.0, 0),
    "start of workers that use 160 %": (lambda number: 0.0, 160.0, 0),
    "strangers come with 40 %": (lambda number: 40.0 if number >= 15 else 0.0, 120.0, 15),
    "strangers with 40 % leave": (lambda number: 40.0 if number < 15 else 0.0, 120.0, 15),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 10, 200, 1000], help="sizes of the cluster")
    parser.add_argument("--hours", type=float, default=24.0, help="simulated time, h")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument("--laws", nargs="+", choices=sorted(LAWS), default=sorted(LAWS), help="who decides")
    parser.add_argument("--plots", type=Path, help="folder for the pictures of the responses (SVG)")
    parser.add_argument("--json", action="store_true", help="results as JSON")
    args = parser.parse_args()
    band = cpu_band(ResourceTargets())
    responses = []
    for name, (others, appetite, since) in RESPONSES.items():
        for law in args.laws:
            settled, overshoot = settling(response(law, others, appetite), since, band)
            responses.append({"response": name, "law": law, "settled_s": settled, "overshoot_percent": overshoot})
    rows = [day(law, machines, args.hours, args.seed) for machines in args.machines for law in args.laws]
    if args.plots is not None:
        plot(args.plots)
    if args.json:
        print(json.dumps({"responses": responses, "day": rows}, indent=1))
        return
    for row in (*responses, *rows):
        print(
            "  ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
    mean = (
        statistics.fmean(float(row["in_band_percent"]) for row in rows if row["law"] == "ours")
        if "ours" in args.laws
        else 0
    )
    print(f"ours, mean share of time in band: {mean:.2f} %")


def plot(folder: Path) -> None:
    """Draw the responses of both laws."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
    for axis, (name, (others, appetite, _)) in zip(axes.flat, RESPONSES.items(), strict=True):
        axis.axhspan(60, 80, color="tab:green", alpha=0.15)
        for law in LAWS:
            course = response(law, others, appetite)
            axis.plot([number * STEP_S / 60 for number in range(len(course))], [used for used, _ in course], label=law)
        axis.set_title(name, fontsize=10)
    axes[1][0].set_xlabel("minutes")
    axes[0][0].set_ylabel("CPU of the machine, %")
    axes[0][0].legend()
    figure.savefig(folder / "resource_responses.svg")


if __name__ == "__main__":
    main()
