"""A running loop watched while a stranger's load comes and goes: CPU of the machine, whose it was, games.

    python benchmarks/resources_live.py --minutes 30 --strangers 5:10:40,15:17:80,22:27:25 --plot cpu.svg --json

Start the loop first (`make run`). The CPU is read from the kernel once a second and averaged over half minutes, apart
from what the loop itself measures; whose it was comes from the loop's samples. A stranger is a process of this script
that computes a share of the whole machine, given as FROM:TO:PERCENT in minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from pathlib import Path

import psutil
from sqlalchemy import func, select

from ringrift_loop.ledger import resources, utilization
from ringrift_loop.ledger.schema import games
from ringrift_loop.loop import Loop

MEAN_S = 30.0
LEAST_WORKERS = 5.0  # percent of the machine that workers at the least duty use, and Airflow's own ups and downs


def burn(percent: float) -> None:
    """Compute for this share of one core, in slices of 50 ms."""
    while True:
        began = time.monotonic()
        while time.monotonic() - began < 0.05 * percent / 100.0:
            pass
        time.sleep(max(0.0, 0.05 - (time.monotonic() - began)))


class Stranger:
    """Load that is not the loop's, on and off by a plan."""

    def __init__(self, plan: list[tuple[float, float, float]]) -> None:
        self._plan = plan
        self._now = 0.0
        self._processes: list[multiprocessing.Process] = []

    def follow(self, minute: float) -> float:
        """Start and end processes as the plan has it; returns the percent of the machine that is wanted."""
        wanted = sum(percent for begin, end, percent in self._plan if begin <= minute < end)
        if wanted != self._now:
            self.end()
            left = wanted * (psutil.cpu_count() or 1)
            while left > 0:
                process = multiprocessing.Process(target=burn, args=(min(100.0, left),), daemon=True)
                process.start()
                self._processes.append(process)
                left -= 100.0
            self._now = wanted
        return wanted

    def end(self) -> None:
        """Leave."""
        for process in self._processes:
            process.terminate()
            process.join()
        self._processes = []


def watch(loop: Loop, minutes: float, plan: list[tuple[float, float, float]]) -> list[dict[str, float]]:
    """A row for each half minute."""
    stranger, rows = Stranger(plan), []
    try:
        begin = time.time()
        while (elapsed := time.time() - begin) < 60.0 * minutes:
            wanted = stranger.follow(elapsed / 60.0)
            seen: list[float] = []
            while len(seen) < MEAN_S:
                seen.append(psutil.cpu_percent(1.0))
            with loop.ledger.read() as conn:
                samples = [row for row in utilization.since(conn, time.time() - 60.0) if row.at > time.time() - MEAN_S]
                duties = [row.duty for row in resources.decisions(conn).values()]
            rows.append(
                {
                    "minute": round(elapsed / 60.0, 2),
                    "cpu": round(statistics.fmean(seen), 1),
                    "stranger": wanted,
                    "workers": round(sum(row.workers for row in samples), 1),
                    "jobs": round(
                        sum(row.jobs for row in samples) + max((row.control for row in samples), default=0.0), 1
                    ),
                    "duty": round(statistics.fmean(duties), 3) if duties else 1.0,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    finally:
        stranger.end()
    return rows


def played(loop: Loop, since: float) -> int:
    """Games in the ledger that were taken in since."""
    with loop.ledger.read() as conn:
        return int(conn.execute(select(func.count()).where(games.c.ingested_at >= since)).scalar_one())


def main() -> None:
    """Watch, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--strangers", default="", help="FROM:TO:PERCENT,... in minutes and percent of the machine")
    parser.add_argument("--plot", type=Path, help="SVG file (needs matplotlib)")
    args = parser.parse_args()
    plan = [tuple(float(part) for part in each.split(":")) for each in args.strangers.split(",") if each]
    if any(len(each) != 3 for each in plan):
        parser.error(f"--strangers is FROM:TO:PERCENT,..., got {args.strangers!r}")
    loop = Loop.open()
    targets = loop.config.resource_targets
    began = time.time()
    rows = watch(loop, args.minutes, [(begin, end, percent) for begin, end, percent in plan])
    inside = [targets.cpu_min <= row["cpu"] <= targets.cpu_max for row in rows]
    # Where the others alone fill the machine, workers have nothing to give way with.
    possible = [targets.cpu_max > row["stranger"] + row["jobs"] + LEAST_WORKERS for row in rows]
    held = [yes for yes, could in zip(inside, possible, strict=True) if could]
    number = played(loop, began)
    print(
        json.dumps(
            {
                "minutes": args.minutes,
                "in_band_percent": round(100.0 * statistics.fmean(inside), 1),
                "held_percent": round(100.0 * statistics.fmean(held), 1) if held else None,
                "could_be_held_percent": round(100.0 * statistics.fmean(possible), 1),
                "above_critical_percent": round(
                    100.0 * statistics.fmean(row["cpu"] > targets.cpu_critical for row in rows), 1
                ),
                "cpu_mean": round(statistics.fmean(row["cpu"] for row in rows), 1),
                "cpu_stdev": round(statistics.pstdev([row["cpu"] for row in rows]), 1),
                "games_per_hour": round(number * 60.0 / args.minutes),
            }
        )
    )
    if args.plot is not None:
        plot(rows, args.plot, targets.cpu_min, targets.cpu_max)


def plot(rows: list[dict[str, float]], path: Path, low: float, high: float) -> None:
    """Draw the machine's CPU and whose it was."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(10, 4), layout="constrained")
    minutes = [row["minute"] for row in rows]
    axis.axhspan(low, high, color="tab:green", alpha=0.15)
    for name, label in (("cpu", "machine"), ("stranger", "stranger"), ("workers", "workers"), ("jobs", "our jobs")):
        axis.plot(minutes, [row[name] for row in rows], label=label, linewidth=2.0 if name == "cpu" else 1.0)
    axis.set(xlabel="minutes", ylabel="CPU, %", ylim=(0, 100))
    axis.legend(ncols=4)
    figure.savefig(path)


if __name__ == "__main__":
    main()
