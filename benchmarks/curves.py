"""How fast the loops of several checkouts learn, side by side: Elo over core-seconds, from nothing.

    python benchmarks/curves.py --folder run-curves --tree old=../old --tree new=. --variants square8_2p --seeds 1 2 3
    python benchmarks/curves.py --folder run-curves --report --games 100 --pictures docs/pictures

A tree is a checkout of any commit with a virtual environment of its own in `.venv`; the first one is what the others
are compared with. For every variant, seed and tree the first command drives that checkout's own commands, with its own
default configuration, from nothing until the core-seconds are used (`curves_arm.py`); pauses by the clock are off, and
every tree has the same seeds of self-play. Between two trainings an arm plays for 120 core-seconds, or for as many as
`--pace NAME=S` says of its tree: without any pause trainings of 300 games each and their gates take nine tenths of the
time. `--set KEY=VALUE` is a setting of all arms. One process tree at a time. A folder that was begun goes on where it
was, also with more seeds, variants or core-seconds; SIGTERM ends it in order, and what was under way then is counted.

`--report` lets all champions of a variant, of every tree and seed, play one tournament with this checkout's arena under
one search: everybody against the heuristic player, then neighbours by rating against each other until every two of them
have `--games` games. The ratings are the project's own fit, random at 0. It can be asked for at any time, and plays
only what is missing. It writes `curves.json` and `README.md`, and with `--pictures` (which needs matplotlib, see
benchmarks/requirements.txt) `curves_<variant>.svg`.

What counts is the CPU time of the stages: self-play, sync, training, gates and promotion. Imports and process starts
are in no tree's account. Elo per core-hour is the rating of an arm's last champion above random, or above the heuristic
player, divided by the core-hours that every tree has used with the seed. It says little where both come near the top:
so there is a table of the core-seconds in which each tree had a champion of a given rating.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, geometric_mean

import numpy as np

from ringrift_loop.cli.learning.experiment import settings as settings_of
from ringrift_loop.cli.progress import CountedArena, progress
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import ConfigError
from ringrift_loop.experiments.in_process import HOST, PACE, in_process
from ringrift_loop.experiments.match_file import MatchFile
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.machine.files import write_json, write_whole
from ringrift_loop.machine.processes import end_group, spawn
from ringrift_loop.ratings.elo import RatingTable, fit
from ringrift_loop.ratings.likelihood import RatedGame
from ringrift_loop.tournament.arena import Arena, EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import (
    HEURISTIC,
    RANDOM,
    baseline_id,
    evaluation_search,
    model_participant,
)
from ringrift_loop.tournament.store import completed

ARM = Path(__file__).with_name("curves_arm.py")
TREES, STATE, JSON, PAGE = "trees.json", "arm.json", "curves.json", "README.md"
# An older commit may not know them; curves_arm.py keeps to the pause itself, and no default asks a person.
_YOUNGER = ("training.min_interval_core_seconds", "promotion.require_approval")
# Pauses by the clock mean nothing where every step follows the last one; keys that the oldest commits have, too.
UNPACED: Mapping[str, str] = {key: value for key, value in PACE.items() if key not in _YOUNGER}
PACE_S = "120"
FIRST_OPENING = 2_000_000  # other openings than those of any gate
STEP_ELO = 50
_MOST_ROUNDS = 8
_ANCHOR_FACTOR = 4  # games without a network cost little, and the error of these two is in every rating
_GRACE_S = 60.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,30}")


@dataclass(frozen=True)
class Point:
    """A champion."""

    core_seconds: float
    """That the arm had used when it was promoted."""
    digest: str
    generation: int
    games: int
    """Of self-play until then."""
    elo: float = 0.0
    stderr: float = 0.0


@dataclass(frozen=True)
class Curve:
    """What one tree made of one seed."""

    tree: str
    seed: int
    core_seconds: Mapping[str, float]
    """By stage, all that the arm has used."""
    total: float
    """Core-seconds that count: what every tree has used with this seed."""
    points: tuple[Point, ...]

    @property
    def hours(self) -> float:
        """Core-hours that count."""
        return self.total / 3600.0

    @property
    def last(self) -> float:
        """Elo of the last champion; of a player that knows nothing, where there is none."""
        return self.points[-1].elo if self.points else 0.0

    def reached(self, elo: float) -> float | None:
        """Core-seconds after which there was a champion of at least this rating; None: there was none."""
        return next((point.core_seconds for point in self.points if point.elo >= elo), None)

    def stairs(self, start: float) -> tuple[list[float], list[float]]:
        """Core-seconds and the rating from there on, up to the end."""
        steps = [(0.0, start), *((point.core_seconds, point.elo) for point in self.points)]
        return [at for at, _ in steps] + [self.total], [elo for _, elo in steps] + [steps[-1][1]]


def by_tree(curves: Iterable[Curve]) -> dict[str, list[Curve]]:
    """The curves of each tree."""
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.tree, []).append(curve)
    return found


@dataclass(frozen=True)
class Level:
    """How long two trees took to a rating."""

    elo: int
    seconds: Mapping[str, float]
    """By tree, the geometric mean over its seeds; a seed that did not get there counts with all that it has used."""
    missed: Mapping[str, int]
    """Seeds that did not get there."""

    def ratio(self, base: str, other: str) -> str:
        """How many times faster the other is; `at least` or `at most` where a seed of one did not get there."""
        value = f"{self.seconds[base] / self.seconds[other]:.1f}"
        if self.missed[base] and self.missed[other]:
            return "-"
        return f"at least {value}" if self.missed[base] else f"at most {value}" if self.missed[other] else value


def levels_of(curves: Sequence[Curve], floor: float, step: int = STEP_ELO) -> list[Level]:
    """Whole steps of Elo above `floor`, up to the highest that any arm has reached.

    Of several that all trees reached with the same champions only the highest is there.
    """
    highest = max((point.elo for curve in curves for point in curve.points), default=-math.inf)
    found: list[Level] = []
    elo = math.floor(floor / step) * step + step
    while elo <= highest:
        times = {tree: [(curve.reached(elo), curve.total) for curve in own] for tree, own in by_tree(curves).items()}
        level = Level(
            elo,
            {tree: geometric_mean(total if at is None else at for at, total in own) for tree, own in times.items()},
            {tree: sum(at is None for at, _ in own) for tree, own in times.items()},
        )
        if found and replace(level, elo=found[-1].elo) == found[-1]:
            found.pop()
        found.append(level)
        elo += step
    return found


@dataclass(frozen=True)
class Figures:
    """What came out for a variant."""

    variant: str
    search: str
    """Of all models in the tournament."""
    games: int
    """Of the tournament."""
    heuristic: tuple[float, float]
    """Its rating and standard error."""
    trees: Mapping[str, str]
    """Commit by name; the first is what the others are compared with."""
    curves: tuple[Curve, ...]
    ahead: Mapping[str, tuple[float, float] | None]
    """By how many Elo the last champions of another tree are ahead, and the standard error."""


def tree_of(text: str) -> tuple[str, Path]:
    """Name and checkout of an argument NAME=PATH.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    name, sign, path = text.partition("=")
    if not sign or not _NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"a tree is NAME=PATH, the name in lower case, got {text!r}")
    folder = Path(path).resolve()
    if not (folder / ".venv" / "bin" / "python").exists():
        raise argparse.ArgumentTypeError(f"{folder} has no .venv/bin/python: make its virtual environment first")
    return name, folder


def with_trees(
    folder: Path, trees: Sequence[tuple[str, Path]], pace: Mapping[str, str] = {}, given: Mapping[str, str] = {}
) -> dict[str, dict[str, str]]:
    """What the folder knows of its trees, after the given ones were added.

    Args:
        folder: of the curves.
        trees: names and checkouts to be added.
        pace: core-seconds of self-play between two trainings, by tree.
        given: settings of the added trees' arms.

    Raises:
        ConfigError: a tree of that name has other code, pace or settings now than when the folder was begun.
    """
    file = folder / TREES
    known: dict[str, dict[str, str]] = json.loads(file.read_bytes()) if file.exists() else {}
    for name, tree in known.items():
        if not {"pace", "settings"} <= tree.keys():
            raise ConfigError(f"{file} does not say at what pace {name} was driven: begin another folder")
    if not pace.keys() <= {name for name, _ in trees}:
        raise ConfigError(f"--pace is for {', '.join(pace)}; give it together with --tree of the same name")
    for name, path in trees:
        found = {"path": str(path), "commit": _git(path, "rev-parse", "--short=7", "HEAD")}
        found["code"] = _git(path, "rev-parse", "HEAD:include")
        found["pace"] = pace.get(name, PACE_S)
        found["settings"] = json.dumps(dict(sorted(given.items())))
        if _git(path, "status", "--porcelain", "--", "include", "config/unified_loop.yaml"):
            raise ConfigError(f"{path} has changes that are in no commit; a curve belongs to a commit")
        for what in ("code", "pace", "settings"):
            if name in known and known[name][what] != found[what]:
                was, now = ((tree["commit"] if what == "code" else tree[what]) for tree in (known[name], found))
                raise ConfigError(f"the {what} of {name}: {was} when {folder} was begun, now {now}")
        known.setdefault(name, found)["path"] = found["path"]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(file, known)
    return known


def run_arm(folder: Path, tree: Mapping[str, str], variant: str, seed: int, core_seconds: float) -> None:
    """Drive one arm until it has used its core-seconds.

    Raises:
        ConfigError: it ended with an error.
    """
    (folder / "run").mkdir(parents=True, exist_ok=True)
    write_whole(
        folder / "hosts.yaml",
        f"standard_hosts:\n  {HOST}: {{transport: local, role: selfplay, max_workers: 1}}\n".encode(),
    )
    path = Path(tree["path"])
    given = {**UNPACED, "variants": f"[{variant}]", **json.loads(tree["settings"])}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGRIFT_")}
    environment |= {f"RINGRIFT__{key.upper().replace('.', '__')}": value for key, value in given.items()}
    environment |= {
        "RINGRIFT_HOME": str(folder / "run"),
        "RINGRIFT_HOSTS": str(folder / "hosts.yaml"),
        "RINGRIFT_CONFIG": str(path / "config" / "unified_loop.yaml"),
        "OMP_WAIT_POLICY": "passive",
    }
    command = [str(path / ".venv" / "bin" / "python"), str(ARM), "--folder", str(folder), "--variant", variant]
    command += ["--seed", str(seed), "--core-seconds", str(core_seconds), "--pace", tree["pace"]]
    with (folder / "arm.log").open("ab") as log:
        child = spawn(command, env=environment, stdout=log)
    try:
        status = child.wait()
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                end_group(child.pid, grace_s=0.0)
    if status != 0:
        raise ConfigError(f"the arm ended with status {status}; see {folder / 'arm.log'} and commands.log beside it")


def curves_in(folder: Path, variant: str, trees: Sequence[str]) -> list[Curve]:
    """What the arms of a variant have made, without ratings; seeds that every tree has been through with some budget.

    Of a seed counts what every tree has used: an arm ends with a whole step, or has had a larger budget.
    """
    seeds = sorted({int(path.parent.name) for path in (folder / variant).glob(f"*/*/{STATE}")})
    found = []
    for seed in seeds:
        files = [folder / variant / tree / str(seed) / STATE for tree in trees]
        states = [json.loads(file.read_bytes()) if file.exists() else {"done": 0.0} for file in files]
        total = min(state["done"] for state in states)
        for tree, state in zip(trees, states, strict=True) if total > 0 else ():
            points = (Point(**point) for point in state["points"])
            counted = tuple(point for point in points if point.core_seconds <= total)
            found.append(Curve(tree, seed, state["core_seconds"], total, counted))
    return found


def variants_in(folder: Path, wanted: Sequence[str] | None) -> list[str]:
    """The variants, of the wanted ones or of all, that have arms.

    Raises:
        ConfigError: there is none.
    """
    found = [name for name in wanted or VARIANT_NAMES if (folder / name).is_dir()]
    if not found:
        of = ", ".join(wanted or ["any variant"])
        raise ConfigError(f"{folder} has no arms of {of}: drive some without --report, or name another folder")
    return found


def model_folders(folder: Path, variant: str, curves: Iterable[Curve]) -> dict[str, str]:
    """Where the champions of all arms lie, by digest."""
    return {
        point.digest: str(folder / variant / curve.tree / str(curve.seed) / "run" / "models" / point.digest)
        for curve in curves
        for point in curve.points
    }


class Tournament:
    """All champions of a variant against each other, as far as it takes."""

    def __init__(self, folder: Path, variant: str, arena: Arena, games: int) -> None:
        self._folder, self._variant, self._arena, self._games = folder, variant, arena, games
        self._rows: dict[tuple[str, str], list[MatchRow]] = {}

    @property
    def games(self) -> int:
        """Played in all."""
        return sum(map(len, self._rows.values()))

    def play(self, models: Sequence[str]) -> RatingTable:
        """Play until all neighbours by rating have met in enough games; returns the ratings."""
        heuristic = baseline_id(HEURISTIC, self._variant)
        self._remember({RANDOM, heuristic, *models})
        self._meet(RANDOM, heuristic, _ANCHOR_FACTOR * self._games)
        for name in models:
            self._meet(name, heuristic, self._games // 4)
        table = self._rated()
        for _ in range(_MOST_ROUNDS):
            order = sorted(table.participants, key=table.elo)
            pairs = [pair for pair in pairwise(order) if self.met(*pair) < self._games]
            for one, other in pairs:
                self._meet(one, other, self._games)
            table = self._rated()
            if not pairs:
                break
        return table

    def met(self, one: str, other: str) -> int:
        """Games of these two."""
        return len(self._rows.get((min(one, other), max(one, other)), ()))

    def _remember(self, names: set[str]) -> None:
        """Take the games of earlier tournaments that these have played."""
        for file in sorted(self._folder.glob("*.jsonl.zst")):
            rows = MatchFile(file).rows
            seats = sorted({name for row in rows for name in row.seats})
            if names.issuperset(seats):
                self._rows[seats[0], seats[1]] = rows

    def _meet(self, one: str, other: str, games: int) -> None:
        if self.met(one, other) >= games:
            return
        first, second = min(one, other), max(one, other)
        players = rules_for(self._variant).players
        plans = [
            paired_block(self._variant, "manual", first, second, players, FIRST_OPENING + number)
            for number in range(-(-games // players))
        ]
        name = f"{_short(first)}-{_short(second)}.jsonl.zst"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rows[first, second] = completed(MatchFile(self._folder / name), self._arena, plans)

    def _rated(self) -> RatingTable:
        games = [RatedGame(tuple(row.seats), tuple(row.places)) for rows in self._rows.values() for row in rows]
        return fit(games, anchors={RANDOM: 0.0})


def report(folder: Path, variant: str, trees: Mapping[str, Mapping[str, str]], games: int) -> Figures:
    """Play what is missing of a variant's tournament; returns all figures."""
    curves = curves_in(folder, variant, list(trees))
    if not curves:
        raise ConfigError(f"{folder} has no seed of {variant} that all of {', '.join(trees)} have been through")
    folders = model_folders(folder, variant, curves)
    home = folder / "tournament"
    with in_process(home, (variant,), {}, seed="curves") as driven, progress() as tell:
        search = evaluation_search(driven.loop.config)
        names = {digest: model_participant(digest, variant, search).id for digest in folders}
        arena = CountedArena(EngineArena(driven.loop, folders=folders), f"{variant}, tournament", tell)
        tournament = Tournament(home / variant, variant, arena, games)
        table = tournament.play(sorted(names.values()))

    def rating(name: str) -> tuple[float, float]:
        return round(table.elo(name), 1), round(table.stderr(name), 1)

    def rated(point: Point) -> Point:
        elo, stderr = rating(names[point.digest])
        return replace(point, elo=elo, stderr=stderr)

    curves = [replace(curve, points=tuple(map(rated, curve.points))) for curve in curves]
    base, *others = trees
    return Figures(
        variant,
        search.identity(),
        tournament.games,
        rating(baseline_id(HEURISTIC, variant)),
        {name: f"{trees[name]['commit']}, pace {trees[name]['pace']}" for name in (base, *others)},
        tuple(curves),
        {other: ahead(table, curves, names, base, other) for other in others},
    )


def ahead(
    table: RatingTable, curves: Sequence[Curve], names: Mapping[str, str], base: str, other: str
) -> tuple[float, float] | None:
    """By how many Elo the other tree's last champions are ahead on average, and its standard error from the games.

    Only seeds count in which both have a champion; None without any.
    """
    last = {(curve.tree, curve.seed): names[curve.points[-1].digest] for curve in curves if curve.points}
    seeds = [seed for tree, seed in last if tree == base and (other, seed) in last]
    if not seeds:
        return None
    weights = np.zeros(len(table.participants))
    for seed in seeds:
        weights[table.index(last[other, seed])] += 1.0 / len(seeds)
        weights[table.index(last[base, seed])] -= 1.0 / len(seeds)
    variance = float(weights @ table.covariance @ weights)
    return round(float(weights @ table.ratings), 1), round(math.sqrt(max(0.0, variance)), 1)


def page(figures: Figures) -> str:
    """The figures of a variant as Markdown."""
    level, error = figures.heuristic
    trees = ", ".join(f"{name} is {commit}" for name, commit in figures.trees.items())
    lines = [
        f"## {figures.variant}",
        "",
        f"{trees}. Tournament of {figures.games} games, models with {figures.search}; random is 0 Elo, heuristic "
        f"{level:.0f} ± {error:.0f} (one standard error). Compared up to "
        f"{', '.join(f'{total:.0f}' for total in {curve.seed: curve.total for curve in figures.curves}.values())} "
        "core-seconds, what every tree has used with a seed.",
        "",
        "| tree | seed | core-seconds used (self-play, training, gates) | games | champions: Elo after core-seconds |",
        "|---|---|---|---|---|",
        *map(_arm_line, figures.curves),
        "",
        "| tree | last champion, mean Elo | Elo per core-hour over random | over heuristic |",
        "|---|---|---|---|",
    ]
    for tree, own in by_tree(figures.curves).items():
        mean, over_random, over_heuristic = (
            fmean(values)
            for values in zip(
                *((curve.last, curve.last / curve.hours, (curve.last - level) / curve.hours) for curve in own),
                strict=True,
            )
        )
        lines.append(f"| {tree} | {mean:.0f} | {over_random:.0f} | {over_heuristic:.0f} |")
    base, *others = figures.trees
    lines += [
        "",
        f"| Elo reached | {' | '.join(f'{tree}, core-seconds' for tree in figures.trees)} | times faster than {base} |",
    ]
    lines += ["|---" * (len(figures.trees) + 2) + "|"]
    for each in levels_of(figures.curves, level):
        seconds = " | ".join(f"{'>' * bool(each.missed[tree])}{each.seconds[tree]:.0f}" for tree in figures.trees)
        ratios = ", ".join(each.ratio(base, other) for other in others) or "-"
        lines.append(f"| {each.elo} | {seconds} | {ratios} |")
    for other, found in figures.ahead.items():
        if found is not None:
            lines += ["", f"Last champions of {other}: {found[0]:+.0f} ± {found[1]:.0f} Elo beside those of {base}."]
    return "\n".join([*lines, ""])


def _arm_line(curve: Curve) -> str:
    parts = ", ".join(f"{curve.core_seconds.get(stage, 0.0):.0f}" for stage in ("selfplay", "training", "gates"))
    steps = ", ".join(f"{p.elo:.0f} ± {p.stderr:.0f} after {p.core_seconds:.0f}" for p in curve.points) or "none"
    games = curve.points[-1].games if curve.points else 0
    used = sum(curve.core_seconds.values())
    return f"| {curve.tree} | {curve.seed} | {used:.0f} ({parts}) | {games} | {steps} |"


def draw(figures: Figures, folder: Path) -> Path:
    """The curves as a picture: a stair for each arm, and the error of each champion's rating."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "curves"
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 5), layout="constrained")
    axis.axhline(figures.heuristic[0], color="tab:gray", linewidth=1.0, linestyle=":", label="heuristic")
    for number, (tree, own) in enumerate(by_tree(figures.curves).items()):
        color = f"C{number}"
        for curve in own:
            label = f"{tree} ({figures.trees[tree]})" if curve is own[0] else None
            axis.step(*curve.stairs(0.0), where="post", color=color, linewidth=1.5, label=label)
            for point in curve.points:
                at = point.core_seconds
                axis.errorbar(at, point.elo, point.stderr, fmt="o", color=color, markersize=3, linewidth=0.8)
    axis.set(xlabel="core-seconds of all stages", ylabel="Elo, random at 0", title=figures.variant)
    axis.legend()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"curves_{figures.variant}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path


def _short(name: str) -> str:
    return name.partition("|")[0].partition("@")[0][:16]


def _git(path: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(path), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigError(f"{path} is no git checkout: {done.stderr.strip()}")
    return done.stdout.strip()


def _interrupted(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> None:
    """Drive the arms, or report on those that there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for all that comes of it; it may be begun")
    parser.add_argument("--tree", type=tree_of, action="append", default=[], metavar="NAME=PATH", help="a checkout")
    parser.add_argument("--pace", action="append", default=[], metavar="NAME=S", help="of a tree")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of all arms")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANT_NAMES, metavar="VARIANT", help="default square8_2p; of a report, all"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default 1 2 3")
    parser.add_argument("--core-seconds", type=float, default=600.0, help="of each arm (default %(default)s)")
    parser.add_argument("--report", action="store_true", help="no loops, only the tournament and the figures")
    parser.add_argument("--games", type=int, default=100, help="of neighbours in the tournament (default %(default)s)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="with --report: draw the curves into this folder")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupted)
    folder = options.folder.resolve()
    trees = with_trees(folder, options.tree, settings_of(options.pace, "--pace"), settings_of(options.set, "--set"))
    if not trees:
        parser.error("name at least one checkout with --tree NAME=PATH")
    if not options.report:
        for variant in options.variants or ["square8_2p"]:
            for seed in options.seeds:
                for name in trees:
                    print(f"{variant}, seed {seed}, {name}", file=sys.stderr, flush=True)
                    run_arm(folder / variant / name / str(seed), trees[name], variant, seed, options.core_seconds)
        return
    found = [report(folder, name, trees, options.games) for name in variants_in(folder, options.variants)]
    write_json(folder / JSON, [asdict(figures) for figures in found])
    text = "\n".join(page(figures) for figures in found)
    write_whole(folder / PAGE, text.encode())
    print(text)
    for figures in found if options.pictures else ():
        print(draw(figures, options.pictures), file=sys.stderr)


if __name__ == "__main__":
    main()
