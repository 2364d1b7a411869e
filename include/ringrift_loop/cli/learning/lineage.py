"""`ringrift-loop lineage`: how a model came about and what became of it, or what learned from a game."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.text import counted

if TYPE_CHECKING:
    from ringrift_loop.views.family import ModelLine, PointerStep
    from ringrift_loop.views.lineage import GameLineage, GamesShare, GameWindow, Lineage, Origin, TrainingStep, Verdict

_SHORT = 12
# A normal interval of 95 %.
_Z95 = 1.96
_VERBS = {
    "promoted": "promoted",
    "rejected": "rejected",
    "rolled_back": "champion again by a rollback",
    "replaced": "replaced",
    "taken_back": "taken back by a rollback",
}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "lineage",
        help="what made a model, or what a game helped to make",
        description="Prints a model's game window, training run, parents, gates, promotions and rollbacks; with --game "
        "the host and segment of a game, the model that played it, and the training runs whose window held it. From "
        "the ledger alone. Times are local.",
    )
    named = parser.add_mutually_exclusive_group(required=True)
    named.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="the beginning of its digest, variant@generation as square8_2p@7, or champion:VARIANT",
    )
    named.add_argument("--game", metavar="ID", help="a game instead, by its id")
    parser.add_argument("--json", action="store_true", help="print one JSON object, times in UTC seconds")
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the lineage."""
    from ringrift_loop.loop import Loop
    from ringrift_loop.views.lineage import game_lineage, lineage
    from ringrift_loop.views.models import find_model

    loop = Loop.open(config_path=args.config_file)
    with loop.ledger.read() as conn:
        if args.game is not None:
            game = game_lineage(conn, args.game)
            print(json.dumps(asdict(game), indent=2) if args.json else "\n".join(_game_lines(game)))
            return 0
        _, digest = find_model(conn, args.model)
        found = lineage(conn, digest)
    print(json.dumps(asdict(found), indent=2) if args.json else "\n".join(_model_lines(found)))
    return 0


def _model_lines(found: Lineage) -> Iterator[str]:
    model = found.model
    yield f"{_name(model)} of {model.variant}, {model.digest}"
    rating = "" if model.elo is None or model.stderr is None else f", Elo {model.elo:.0f} ± {_Z95 * model.stderr:.0f}"
    yield f"  state      {model.state}{rating}, made {_time(model.created_at)}"
    parents = " <- ".join(_name(each) for each in found.ancestors)
    if not parents and found.start is not None:
        parents = f"{found.start[:_SHORT]} of {found.start_variant or 'a variant that is not known'}"
    yield f"  parents    {parents or 'none: random weights'}"
    if found.children:
        yield f"  children   {', '.join(_name(each) for each in found.children)}"
    if found.origin is not None:
        yield from _origin_lines(found.origin)
    if found.window is not None and found.training is not None:
        yield from _window_lines(found.window)
        yield from _training_lines(found.training)
    else:
        yield "  training   none in this ledger"
    for verdict in found.verdicts:
        yield from _verdict_lines(verdict)
    for step in found.decisions:
        yield _step_line(step)
    if not found.decisions:
        yield "  decision   none yet"


def _origin_lines(origin: Origin) -> Iterator[str]:
    trainings = counted(origin.trainings, "training")
    yield f"  origin     imported from {origin.source}, made {_time(origin.made_at)} by {trainings}, {origin.licence}"
    yield f"             {origin.digest[:_SHORT]} on its card"
    for sentence in origin.measured:
        yield f"             {sentence}"


def _window_lines(window: GameWindow) -> Iterator[str]:
    yield f"  games      {window.new_games} new, {window.games} in the window with {window.rows} rows"
    if window.first_at is not None:
        yield f"             taken in {_time(window.first_at)} to {_time(window.last_at)}"
    yield f"             played by {_shares(window.players)}"
    yield f"             on {_shares(window.hosts)}"


def _shares(shares: tuple[GamesShare, ...]) -> str:
    return (
        ", ".join(
            f"{each.name[:_SHORT] if each.generation is None else f'gen {each.generation}'} ({each.games})"
            for each in shares
        )
        or "nobody knows"
    )


def _training_lines(training: TrainingStep) -> Iterator[str]:
    steps = "" if training.steps is None else f", {training.steps} steps, {training.samples} samples"
    yield f"  training   {training.run} {training.state}, begun {_time(training.started_at)}{steps}"
    if training.start is not None:
        yield f"             from {training.start}"
    if training.train is not None and training.validation is not None:
        alarm = ", OVERFITTED" if training.overfit_alarm else ""
        yield (
            f"             losses, training and validation: policy {training.train.policy:.3f} and "
            f"{training.validation.policy:.3f}, value {training.train.value:.3f} and "
            f"{training.validation.value:.3f}{alarm}"
        )
    if training.data is not None:
        yield f"             {training.data}"
    if training.holdout is not None:
        yield f"             {training.holdout}"
    if training.error is not None:
        yield f"             {training.error}"


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    word = "passed" if verdict.passed else "undecided" if verdict.undecided else "failed"
    yield f"  gate       {verdict.gate} {word}, {_time(verdict.at)}"
    if verdict.against is not None:
        gain = "" if verdict.gain is None else f"{verdict.gain:+.1f} ± {_Z95 * (verdict.stderr or 0.0):.1f} Elo "
        yield f"             {gain}against {verdict.against[:_SHORT]} in {verdict.games} games"
    for test in verdict.tests:
        if not test.passed:
            yield f"             {test.name}: {test.detail}"
    for reason in () if verdict.against is not None and verdict.passed else verdict.reasons:
        yield f"             {reason}"


def _step_line(step: PointerStep) -> str:
    other = ""
    if step.other is not None:
        words = {"promoted": "over", "rejected": "against", "rolled_back": "after"}
        other = f" {words.get(step.status, 'by')} {step.other[:_SHORT]}"
    reign = "" if step.reign is None else f" as champion {step.reign}"
    return f"  decision   {_VERBS[step.status]}{reign}{other}, {_time(step.at)}: {step.reason}"


def _game_lines(game: GameLineage) -> Iterator[str]:
    yield f"game {game.id} of {game.variant}"
    winner = "nobody won" if game.winner is None else f"seat {game.winner} won"
    yield f"  result     {winner} ({game.result}) after {game.plies} plies"
    player = game.player[:_SHORT] if game.player_model is None else _name(game.player_model)
    yield f"  played     by {player} on {game.host}, {_time(game.played_at)}"
    yield f"  segment    {game.segment}, record {game.position}, taken in {_time(game.ingested_at)}"
    for each in game.windows:
        became = "no model" if each.model is None else f"gen {each.generation} ({each.model[:_SHORT]})"
        first = ", the first to use it" if each.is_first else ""
        yield f"  training   {each.run} {each.state}, {_time(each.started_at)}, which made {became}{first}"
    if not game.windows:
        yield "  training   none yet: it waits"


def _name(model: ModelLine) -> str:
    return f"gen {model.generation} ({model.digest[:_SHORT]})"


def _time(at: float | None) -> str:
    return "never" if at is None else datetime.fromtimestamp(at).isoformat(sep=" ", timespec="seconds")
