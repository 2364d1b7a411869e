"""The page of an experiment: what was asked, what came out, and how to do it again, for people."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ringrift_loop.experiments.record import Arm, Experiment, Run
from ringrift_loop.machine.files import write_whole

PAGE: Final = "README.md"
_START = {"nothing": "from nothing", "shipped": "with the champion that comes with the package"}


def write_page(folder: Path, experiment: Experiment) -> None:
    """Replace the page."""
    write_whole(folder / PAGE, page(experiment).encode())
    (folder / PAGE).chmod(0o644)


def page(experiment: Experiment) -> str:
    """The page as Markdown."""
    day = datetime.fromtimestamp(experiment.updated_at, UTC).strftime("%Y-%m-%d")
    budget = experiment.budget
    unit = "core-seconds" if budget.kind == "core_seconds" else "self-play games"
    verdict, hours = experiment.verdict, experiment.core_seconds / 3600
    lines = [
        f"# {experiment.name}",
        "",
        experiment.question,
        "",
        f"**{verdict.sentence if verdict else 'No verdict yet.'}**",
        "",
        f"{experiment.variant}, {day}, {experiment.state}; ringrift-loop {experiment.version}. Each run began "
        f"{_START[experiment.start]} and had {budget.amount:g} {unit}; all together cost {hours:.2f} core-hours.",
        "",
        "| arm | settings |",
        "|---|---|",
        *(f"| {arm.name} | {_settings(arm)} |" for arm in experiment.arms),
    ]
    if experiment.common:
        shared = ", ".join(f"`{key}={value}`" for key, value in sorted(experiment.common.items()))
        lines += [f"| both | {shared} |"]
    lines += ["", "## Runs", "", "| arm | seed | core-seconds | games | promotions | Elo over random | model |"]
    lines += ["|---|---|---|---|---|---|---|", *(_run_line(experiment, run) for run in experiment.runs)]
    if experiment.matches:
        lines += [
            "",
            "## Matches",
            "",
            f"The models of each seed against each other. A share of the wins of {experiment.arms[0].name}, with its "
            "95 % interval from blocks: games of one opening with the seats changed.",
            "",
            "| seed | games | share | 95 % |",
            "|---|---|---|---|",
            *(
                f"| {one.seed} | {one.games} | {one.share:.1%} | {one.low:.1%} to {one.high:.1%} |"
                for one in experiment.matches
            ),
        ]
    if verdict is not None:
        lines += [
            "",
            f"Log-likelihood ratios: {verdict.llr[0]:+.2f} that {experiment.arms[0].name} is stronger, "
            f"{verdict.llr[1]:+.2f} that {experiment.arms[1].name} is; a test decides at {verdict.bound:.2f} for and "
            f"at {-verdict.bound:.2f} against. The verdict is about these models; how far it holds for others, the "
            "seeds show.",
        ]
    lines += ["", "## Again", "", "```bash", command(experiment), "```", ""]
    return "\n".join(lines)


def command(experiment: Experiment) -> str:
    """The command line that makes the experiment."""
    words = ["ringrift-loop", "experiment", "--name", experiment.name, "--variant", experiment.variant]
    words += ["--question", experiment.question]
    for option, settings in (
        ("--first", experiment.arms[0].settings),
        ("--second", experiment.arms[1].settings),
        ("--set", experiment.common),
    ):
        for key, value in settings.items():
            words += [option, f"{key}={value}"]
    budget = "--games" if experiment.budget.kind == "games" else "--core-seconds"
    words += [budget, f"{experiment.budget.amount:g}", "--seeds", str(len(experiment.seeds))]
    words += ["--match-games", str(experiment.look_games), "--most-match-games", str(experiment.most_games)]
    return shlex.join([*words, *(["--from-shipped"] if experiment.start == "shipped" else [])])


def _settings(arm: Arm) -> str:
    return ", ".join(f"`{key}={value}`" for key, value in arm.settings.items()) or "as configured"


def _run_line(experiment: Experiment, run: Run) -> str:
    last = run.points[-1] if run.points else None
    elo = "-" if last is None or last.elo is None else f"{last.elo:.0f} ± {1.96 * (last.stderr or 0.0):.0f}"
    model = "-" if run.model is None else run.model[:12]
    name = experiment.arms[run.arm].name
    return f"| {name} | {run.seed} | {run.core_seconds:.0f} | {run.games} | {run.generation} | {elo} | {model} |"
