"""Makes the golden games: `python tests/golden.py DIRECTORY [VARIANT ...]`, a trace file a variant.

The games follow the rules of this project exactly ("rules": "recommended"), so they are compared without the allowances
that games of the reference engine need. Both engines make the same games. Format: docs/3-rules.md 19.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.conformance.trace_file import LPS_ROUNDS, RECOMMENDED, VERSION, text_digest
from ringrift_loop.engine.conformance.traces import Engine, GameLike, engine_class, result_of
from ringrift_loop.engine.rules import VARIANTS
from scenarios import random_state

SCENARIO_KINDS = frozenset({"RL1", "RL2", "RF", "RS", "TB"})
"""What the scenario games of a variant are chosen for: together they play each of these."""

_LISTED = 10
"""Longest legal list written out; of a longer one only count and digest, which decide just as well and are small."""
_STATE_EVERY = 50
_SCENARIO_PLIES = 30
_SCENARIO_SEEDS = 1000
_SMALL_BOARD_CELLS = 100
_WHOLE_GAMES = (("uniform", 0), ("typed", 0), ("typed", 1))
"""Policy and seed of the games from start to end; with two players the odd seed has the pie rule."""
_WHOLE_GAMES_LARGE = (("typed", 1),)
"""The same for boards with more cells than _SMALL_BOARD_CELLS, whose games have some 600 to 1500 plies each."""


def write_golden(directory: Path, engine: Engine, variants: Sequence[str] = tuple(VARIANTS)) -> list[Path]:
    """Write `<variant>.jsonl.gz` for each variant and return the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for variant in variants:
        path = directory / f"{variant}.jsonl.gz"
        path.write_bytes(_packed(golden_games(variant, engine)))
        paths.append(path)
    return paths


def _packed(games: list[dict[str, Any]]) -> bytes:
    """A gzipped trace file, without a time stamp in it."""
    lines = "".join(json.dumps(game, separators=(",", ":")) + "\n" for game in games)
    return gzip.compress(lines.encode(), mtime=0)


def golden_games(variant: str, engine: Engine) -> list[dict[str, Any]]:
    """The golden games of one variant: whole games, then scenarios that play SCENARIO_KINDS."""
    games = []
    is_small = board_for(VARIANTS[variant].board).num_cells <= _SMALL_BOARD_CELLS
    for policy, seed in _WHOLE_GAMES if is_small else _WHOLE_GAMES_LARGE:
        pie_rule = VARIANTS[variant].players == 2 and seed % 2 == 1
        game = engine(variant, pie_rule=pie_rule)
        games.append(_record(game, variant, policy, seed, {"swap": pie_rule}))
    return games + _scenarios(variant, engine)


def _scenarios(variant: str, engine: Engine) -> list[dict[str, Any]]:
    """The first seeds that each play a kind of move that the earlier ones did not."""
    games: list[dict[str, Any]] = []
    missing = set(SCENARIO_KINDS)
    for seed in range(_SCENARIO_SEEDS):
        if not missing:
            break
        init = random_state(variant, random.Random(f"{variant}-init-{seed}"))
        game = engine.from_text(variant, init)
        record = _record(game, variant, "scenario", seed, {"swap": False, "init": init})
        played = {_kind(ply["m"]) for ply in record["plies"]}
        if played & missing:
            games.append(record)
            missing -= played
    if missing:
        raise RuntimeError(f"{_SCENARIO_SEEDS} scenarios of {variant} never played {' '.join(sorted(missing))}")
    return games


def _record(game: GameLike, variant: str, policy: str, seed: int, start: dict[str, Any]) -> dict[str, Any]:
    """Play a game by the policy and return it as a trace object."""
    numbers = VARIANTS[variant]
    rng = random.Random(f"{numbers.board}-{numbers.players}-{policy}-{seed}")
    plies: list[dict[str, Any]] = []
    while not game.is_over and (policy != "scenario" or len(plies) < _SCENARIO_PLIES):
        legal = game.legal()
        move = _choose(legal, policy, rng)
        plies.append(_ply(game, legal, move, with_state=len(plies) % _STATE_EVERY == 0))
        game.play(move)
    return {
        "v": VERSION,
        "rules": RECOMMENDED,
        "board": numbers.board,
        "players": numbers.players,
        "rings": numbers.rings_per_seat,
        "line": numbers.line_length,
        "elim": numbers.elimination_target,
        "terr": numbers.territory_target,
        "lpsr": LPS_ROUNDS,
        "policy": policy,
        "seed": seed,
        **start,
        "plies": plies,
        "result": _result(game, len(plies)),
    }


def _choose(legal: list[str], policy: str, rng: random.Random) -> str:
    """uniform: any move; typed and scenario: first a kind of move, then one of that kind."""
    if policy == "uniform":
        return rng.choice(legal)
    kind = rng.choice(sorted({_kind(text) for text in legal}))
    return rng.choice([text for text in legal if _kind(text) == kind])


def _ply(game: GameLike, legal: list[str], move: str, *, with_state: bool) -> dict[str, Any]:
    state = game.text()
    phase, seat = (part.partition("=")[2] for part in state.split(";")[:2])
    listed = " ".join(legal)
    ply: dict[str, Any] = {
        "ph": phase,
        "p": int(seat),
        "d": text_digest(state),
        "n": len(legal),
        "ld": text_digest(listed),
        "m": move,
    }
    if len(legal) <= _LISTED:
        ply["l"] = listed
    if with_state:
        ply["s"] = state
    if phase == "RP":
        ply["lps"] = game.lps_text()
    return ply


def _result(game: GameLike, plies: int) -> dict[str, Any]:
    state = game.text()
    return {**result_of(game, plies), "d": text_digest(state), "s": state}


def _kind(text: str) -> str:
    return text.partition(":")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: write the golden games of all variants, or of those that are named, into a directory."""
    parser = argparse.ArgumentParser(prog="python tests/golden.py", description=main.__doc__)
    parser.add_argument("directory", type=Path, help="where the files <variant>.jsonl.gz go")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="whose games (default: all)")
    parser.add_argument("--engine", choices=("kernel", "plain"), default="plain", help="which engine plays the games")
    chosen = parser.parse_args(arguments)
    for path in write_golden(chosen.directory, engine_class(chosen.engine), chosen.variants or tuple(VARIANTS)):
        sys.stdout.write(f"{path} {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
