"""An experiment: two arms with one budget and several seeds, then their models against each other until it is clear.

Everything is kept in the experiment's folder as it is found out, so that an experiment that was killed goes on where it
was: run after run, then match after match.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec import structs

from ringrift_loop import __version__
from ringrift_loop.champions.shipped import begin, shipped_folder
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.experiments.in_process import InProcess, core_seconds, in_process
from ringrift_loop.experiments.match_file import MATCHES, MatchFile
from ringrift_loop.experiments.page import write_page
from ringrift_loop.experiments.record import (
    RECORD,
    Arm,
    Budget,
    Experiment,
    Match,
    Run,
    Verdict,
    read_experiment,
    write_experiment,
)
from ringrift_loop.ledger import games, models, promotions
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.machine.locks import locked
from ringrift_loop.ratings.blocks import FloatArray, block_scores, evidence_of, gain_of, win_share
from ringrift_loop.ratings.two_sided import TwoSidedSprt
from ringrift_loop.tournament.arena import EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import evaluation_search, model_participant
from ringrift_loop.tournament.store import completed

_log = logging.getLogger(__name__)

PURPOSE = "manual"
_Z95 = 1.96
_OPENINGS = 1_000_000  # of each seed: other ones than the other seeds' and the gates'


@dataclass(frozen=True)
class Plan:
    """What is to be found out, and how."""

    name: str
    question: str
    variant: str
    budget: Budget
    arms: tuple[Arm, Arm]
    seeds: tuple[int, ...]
    start: Literal["nothing", "shipped"] = "nothing"
    """What each run begins with: games of the heuristic-guided search, or the variant's shipped champion."""
    common: Mapping[str, str] = field(default_factory=dict)
    """Settings that both arms have, over those of the configuration."""
    look_games: int = 40
    """Games of each seed between two looks at the verdict, rounded up to whole blocks."""
    most_games: int = 400
    """Games of each seed after which it stays undecided."""
    sprt: TwoSidedSprt = field(default_factory=TwoSidedSprt)


def run_experiment(plan: Plan, folder: Path, *, config_path: Path | None = None, workers: int = 1) -> Experiment:
    """Make an experiment, or go on with one that was begun; a finished one is returned as it is.

    Args:
        plan: what to compare.
        folder: the experiment's own, made where it is missing.
        config_path: the configuration that the arms differ from; by default as everywhere.
        workers: self-play processes of a run.

    Raises:
        ConfigError: a setting is wrong, the two arms' settings are the folder's other ones, or a run's budget was too
            small for a single model.
        BlockingIOError: another process works on it.
    """
    _check(plan)
    with locked(folder / ".lock", wait_s=0):
        record = _begin(plan, folder)
        if record.state == "finished":
            return record
        for seed in plan.seeds:
            for arm in range(len(plan.arms)):
                record = _run(plan, record, folder, arm, seed, config_path, workers)
        return _compare(plan, record, folder, config_path)


def _check(plan: Plan) -> None:
    if plan.budget.amount <= 0:
        raise ConfigError(f"the budget must be above 0, got {plan.budget.amount:g}")
    if plan.start == "shipped" and shipped_folder(plan.variant) is None:
        raise ConfigError(f"no champion of {plan.variant} comes with the package to begin with")
    if not plan.seeds or len(set(plan.seeds)) != len(plan.seeds):
        raise ConfigError(f"seeds must be different whole numbers, at least one, got {list(plan.seeds)}")
    if not 2 <= plan.look_games <= plan.most_games:
        raise ConfigError(
            f"games between two looks must be from 2 to the most games, got {plan.look_games} and {plan.most_games}"
        )


def _begin(plan: Plan, folder: Path) -> Experiment:
    now = _now()
    fresh = Experiment(
        name=plan.name,
        question=plan.question,
        variant=plan.variant,
        created_at=now,
        updated_at=now,
        state="running",
        version=__version__,
        engine_version=ENGINE_VERSION,
        budget=plan.budget,
        arms=plan.arms,
        seeds=plan.seeds,
        start=plan.start,
        common=dict(plan.common),
        look_games=plan.look_games,
        most_games=plan.most_games,
    )
    if not (folder / RECORD).exists():
        _keep(fresh, folder)
        return fresh
    known = read_experiment(folder)
    for name in ("variant", "budget", "arms", "seeds", "start", "common", "look_games", "most_games", "engine_version"):
        ours, theirs = getattr(fresh, name), getattr(known, name)
        if ours != theirs:
            raise ConfigError(f"{folder} holds an experiment with another {name}: {theirs}, not {ours}; name a new one")
    return known


def _run(
    plan: Plan, record: Experiment, folder: Path, arm: int, seed: int, config_path: Path | None, workers: int
) -> Experiment:
    """One arm with one seed, up to its budget."""
    run = next((one for one in record.runs if (one.arm, one.seed) == (arm, seed)), Run(arm=arm, seed=seed))
    if run.finished:
        return record
    amount = plan.budget.amount
    most, seconds = (int(amount), math.inf) if plan.budget.kind == "games" else (None, amount)
    with _opened(plan, folder, arm, seed, config_path, workers) as driven:
        begin(driven.loop, fresh=plan.start == "nothing")
        for stage in driven.drive(plan.variant, seconds=seconds, most_games=most):
            record = _with_run(record, _state(plan, driven, arm, seed, finished=False), folder)
            _log.info("%s, seed %d: %s done", plan.arms[arm].name, seed, stage)
        done = _state(plan, driven, arm, seed, finished=True)
    if done.model is None:
        raise ConfigError(
            f"{plan.arms[arm].name}, seed {seed}, made no model within {plan.budget.amount:g} {plan.budget.kind}: "
            f"{done.games} games were played; give it a larger budget, or a lower training.trigger_threshold_games"
        )
    return _with_run(record, done, folder)


def _opened(
    plan: Plan, folder: Path, arm: int, seed: int, config_path: Path | None, workers: int
) -> AbstractContextManager[InProcess]:
    settings = {**plan.common, **plan.arms[arm].settings}
    root = _root(folder, arm, seed)
    # The arm belongs to the seed: two arms that are alike make different games.
    name = f"{plan.name}/{arm}/{seed}"
    return in_process(root, (plan.variant,), settings, seed=name, config_path=config_path, workers=workers)


def _root(folder: Path, arm: int, seed: int) -> Path:
    return folder / "runs" / f"{arm}-{seed}"


def _state(plan: Plan, driven: InProcess, arm: int, seed: int, *, finished: bool) -> Run:
    progress, variant = driven.of(plan.variant), plan.variant
    with driven.loop.ledger.read() as conn:
        champion = promotions.champion(conn, variant)
        made = [model.digest for model in models.all_models(conn, variant) if model.training_run is not None]
        is_own = champion is not None and champion.model_digest in made
        return Run(
            arm=arm,
            seed=seed,
            core_seconds=round(progress.total, 1),
            games=games.count(conn, variant),
            generation=0 if champion is None else champion.generation,
            model=champion.model_digest if champion and is_own else made[-1] if made else None,
            finished=finished,
            points=progress.points,
        )


def _with_run(record: Experiment, run: Run, folder: Path) -> Experiment:
    others = [one for one in record.runs if (one.arm, one.seed) != (run.arm, run.seed)]
    runs = tuple(sorted([*others, run], key=lambda one: (one.seed, one.arm)))
    cost = round(sum(one.core_seconds for one in runs) + record.match_core_seconds, 1)
    record = structs.replace(record, runs=runs, core_seconds=cost)
    return _keep(record, folder)


def _compare(plan: Plan, record: Experiment, folder: Path, config_path: Path | None) -> Experiment:
    """The models of each seed against each other, look after look, until the tests decide or the games are used up."""
    shelf = MatchFile(folder / MATCHES)
    players = variant_of(plan.variant).players
    look = -(-plan.look_games // players)
    most = -(-plan.most_games // players)
    with ExitStack() as stack:
        sides = {
            seed: _Sides(
                [stack.enter_context(_opened(plan, folder, arm, seed, config_path, 1)).loop for arm in (0, 1)],
                _models(record, seed),
                plan.variant,
                seed * _OPENINGS,
            )
            for seed in plan.seeds
        }
        blocks = 0
        while record.state == "running":
            blocks = min(blocks + look, most)
            began = core_seconds()
            rows = {seed: side.play(shelf, range(blocks)) for seed, side in sides.items()}
            names = {seed: (side.first, side.second) for seed, side in sides.items()}
            spent = record.match_core_seconds + core_seconds() - began
            record = structs.replace(
                _judged(plan, record, rows, names, players, last=blocks == most),
                match_core_seconds=round(spent, 1),
                core_seconds=round(sum(run.core_seconds for run in record.runs) + spent, 1),
            )
            record = _keep(record, folder)
    return record


class _Sides:
    """The two models of a seed."""

    def __init__(self, loops: Sequence[Loop], digests: tuple[str, str], variant: str, opening: int) -> None:
        if digests[0] == digests[1]:
            raise DataError(f"both arms have made the same model, {digests[0]}: they do not differ in anything")
        self._variant, self._opening = variant, opening
        self.first, self.second = (
            model_participant(digest, variant, evaluation_search(loop.config)).id
            for digest, loop in zip(digests, loops, strict=True)
        )
        folders = {digest: str(loop.directory.model(digest)) for digest, loop in zip(digests, loops, strict=True)}
        self._arena = EngineArena(loops[0], folders=folders)

    def play(self, shelf: MatchFile, blocks: range) -> list[MatchRow]:
        """The games of these blocks, those that are not there yet played now."""
        players = variant_of(self._variant).players
        plans = [
            paired_block(self._variant, PURPOSE, self.first, self.second, players, seed=self._opening + number)
            for number in blocks
        ]
        return completed(shelf, self._arena, plans)


def _models(record: Experiment, seed: int) -> tuple[str, str]:
    found = {run.arm: run.model for run in record.runs if run.seed == seed}
    first, second = found[0], found[1]
    assert first is not None and second is not None
    return first, second


def _judged(
    plan: Plan,
    record: Experiment,
    rows: Mapping[int, Sequence[MatchRow]],
    names: Mapping[int, tuple[str, str]],
    players: int,
    *,
    last: bool,
) -> Experiment:
    """The record with the matches as they stand, and with a verdict when the tests have one or no game is left."""
    matches, scores = [], []
    for seed, games_of in rows.items():
        first, second = names[seed]
        shown = win_share(games_of, first, second, players)
        matches.append(Match(seed=seed, **{key: round(value, 4) for key, value in shown._asdict().items()}))
        scores.append(block_scores(games_of, first, second))
    verdict = verdict_of(scores, plan.sprt, players, names=(plan.arms[0].name, plan.arms[1].name))
    state = "finished" if verdict.decided or last else "running"
    return structs.replace(record, matches=tuple(matches), verdict=verdict, state=state)


def verdict_of(scores: Sequence[FloatArray], sprt: TwoSidedSprt, players: int, *, names: tuple[str, str]) -> Verdict:
    """What the block scores of the first arm's models say, those of each seed in an array of its own."""
    pooled = np.concatenate(scores)
    evidence = evidence_of(pooled, players)
    gain, state = gain_of(evidence), sprt.judge(evidence)
    half = _Z95 * float(gain.stderr)
    ahead = sum(float(own.mean()) > 1.0 / players for own in scores)
    number = len(pooled) * players
    shown = f"{float(gain.gain):+.0f} Elo [{gain.gain - half:+.0f}, {gain.gain + half:+.0f}] after {number} games"
    seeds = f"the first was ahead with {ahead} of {len(scores)} seeds"
    said = {
        "first": f"{names[0]} is stronger than {names[1]}",
        "second": f"{names[1]} is stronger than {names[0]}",
        "neither": f"Neither {names[0]} nor {names[1]} is stronger by {sprt.test.elo1:g} Elo",
        "continue": f"It is not decided whether {names[0]} or {names[1]} is stronger",
    }[state.verdict]
    return Verdict(
        winner={"first": 0, "second": 1}.get(state.verdict),
        decided=state.verdict != "continue",
        games=number,
        elo=round(float(gain.gain), 1),
        low=round(float(gain.gain) - half, 1),
        high=round(float(gain.gain) + half, 1),
        llr=(round(state.first, 2), round(state.second, 2)),
        bound=round(sprt.bound, 2),
        sentence=f"{said}: {shown}; {seeds}.",
    )


def _keep(record: Experiment, folder: Path) -> Experiment:
    record = structs.replace(record, updated_at=_now())
    write_experiment(folder, record)
    write_page(folder, record)
    return record


def _now() -> float:
    return round(time.time(), 1)
