"""A cluster simulated for a day: how well the controllers hold machines in their band, beside the original's law.

    python benchmarks/resources.py --machines 1 10 200 1000 --hours 24 --seed 1 --json
    python benchmarks/resources.py --plots docs/pictures        # needs matplotlib (benchmarks/requirements.txt)

The production code decides (`ringrift_loop.resources.control`); what is simulated is the machine: workers that use more
or less than they are thought to, strangers that come and go, noise in each sample, samples that are lost or a step
late, machines that are away for a while. The original's law is written here after its description: one controller for
all machines, an integral over seconds, whole jobs added and taken away.
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

from ringrift_loop.config import Pid, ResourceTargets
from ringrift_loop.resources.bands import Band, cpu_band
from ringrift_loop.resources.control import MIN_DUTY, STEP_S, Controller, step

START = 1.0e9
SETTLED_STEPS = 6  # 3 minutes


@dataclass
class Machine:
    """One simulated machine; loads are percent of it."""

    random: random.Random
    appetite: float
    daily: float
    phase: float
    noise: float = 3.0
    burst: float = 0.0
    away_steps: int = 0
    duties: list[float] = field(default_factory=lambda: [0.5, 0.5])

    def others(self, at: float) -> float:
        """Strangers' load: a daily wave, and bursts of some minutes."""
        if self.random.random() < 0.005:
            self.burst = 0.0 if self.burst else self.random.uniform(10.0, 50.0)
        wave = self.daily * max(0.0, math.sin(2 * math.pi * at / 86400.0 + self.phase))
        return min(95.0, wave + self.burst)

    def run(self, at: float) -> tuple[float, float, bool, bool]:
        """One step: used, own, whether a sample comes of it, and whether the band could be held at all."""
        others = self.others(at)
        if self.away_steps:
            self.away_steps -= 1
        elif self.random.random() < 1 / 2000:
            self.away_steps = self.random.randint(2, 40)
        # A new duty reaches a worker within its step.
        duty = 0.2 * self.duties[-2] + 0.8 * self.duties[-1]
        own = max(0.0, self.appetite * duty + self.random.gauss(0.0, self.noise))
        own = min(own, 100.0 - others)
        arrives = self.away_steps == 0 and self.random.random() > 0.01
        return own + others, own, arrives, others + MIN_DUTY * self.appetite <= 78.0 and others + self.appetite >= 62.0


class Ours:
    """The production code: one controller a machine."""

    def __init__(self, machines: int, band: Band, pid: Pid) -> None:
        self.states = [Controller()] * machines
        self._band, self._pid = band, pid

    def decide(self, index: int, used: float, own: float, at: float) -> float:
        """The machine's next duty."""
        self.states[index] = step(self.states[index], self._band, self._pid, used=used, own=own, at=at)
        return self.states[index].duty


class Original:
    """The original's control law (gains as configured): shared state, seconds, jobs of 100 / `JOBS` percent each."""

    JOBS = 8

    def __init__(self, machines: int, band: Band, pid: Pid) -> None:
        self._jobs = [self.JOBS // 2] * machines
        self._band, self._pid = band, pid
        self._integral = self._error = self._output = 0.0
        self._at: float | None = None

    def decide(self, index: int, used: float, own: float, at: float) -> float:
        """The machine's next number of jobs as a duty; the output is whoever's asked last."""
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
        self._jobs[index] = min(self.JOBS, max(1, self._jobs[index] + int(self._output / 3)))
        return self._jobs[index] / self.JOBS


LAWS: dict[str, Callable[[int, Band, Pid], Ours | Original]] = {"ours": Ours, "original": Original}


def day(law: str, machines: int, hours: float, seed: int) -> dict[str, float | int | str]:
    """Simulate; the figures of one row."""
    band, pid = cpu_band(ResourceTargets()), Pid()
    fleet = [_machine(random.Random(seed * 100_003 + index)) for index in range(machines)]
    control = LAWS[law](machines, band, pid)
    steps = int(hours * 3600 / STEP_S)
    inside = counted = actions = over = 0
    seconds = 0.0
    for number in range(steps):
        at = START + number * STEP_S
        for index, machine in enumerate(fleet):
            used, own, arrives, possible = machine.run(at)
            duty = machine.duties[-1]
            if arrives:
                before = time.perf_counter()
                duty = control.decide(index, used, own, at)
                seconds += time.perf_counter() - before
            actions += duty != machine.duties[-1]
            machine.duties = [machine.duties[-1], duty]
            if possible and number >= SETTLED_STEPS:
                counted += 1
                inside += band.low <= used <= band.high
                over += used > band.critical
    return {
        "law": law,
        "machines": machines,
        "in_band_percent": round(100 * inside / counted, 2),
        "critical_percent": round(100 * over / counted, 3),
        "actions_per_machine_hour": round(actions / machines / hours, 1),
        "cpu_us_per_decision": round(1e6 * seconds / (steps * machines), 2),
    }


def _machine(rng: random.Random) -> Machine:
    return Machine(rng, rng.uniform(65.0, 180.0), rng.choice([0.0, 0.0, 20.0, 40.0]), rng.uniform(0, 2 * math.pi))


def response(law: str, others: Callable[[int], float], appetite: float, steps: int = 40) -> list[tuple[float, float]]:
    """Used and duty of one machine without noise whose strangers follow a course."""
    band = cpu_band(ResourceTargets())
    control = LAWS[law](1, band, Pid())
    duties, course = [0.5, 0.5], []
    for number in range(steps):
        load = others(number)
        own = min(appetite * (0.2 * duties[-2] + 0.8 * duties[-1]), 100.0 - load)
        duties = [duties[-1], control.decide(0, own + load, own, START + number * STEP_S)]
        course.append((own + load, duties[-1]))
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
