"""A whole game for replaying: from a record as it came, or from what a person loads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.moves import KIND_NAMES, SW
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, RESULT, WINNER
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, LoopError
from ringrift_loop.selfplay.records import MAX_BYTES, MAX_PLIES, GameRecord, check_end, play_through
from ringrift_loop.selfplay.targets import unpack_targets
from ringrift_loop.text import one_line
from ringrift_loop.views.positions import shape_of, steps_of
from ringrift_loop.views.records import Found, Replay, Step

MAX_REPLAY_BYTES = MAX_BYTES


def replay_record(raw: bytes) -> Replay:
    """The game of a self-play record, one line of JSON.

    Raises:
        DataError: it is no record, or its game is not what it says.
        IllegalMoveError: a move is not legal; the message names the ply.
    """
    record = GameRecord.from_json(raw)
    game = _play(
        record.variant,
        record.moves,
        pie_rule=record.pie_rule,
        name=f"game {record.id}",
        end=(record.winner, record.result),
    )
    return Replay(
        name=record.id,
        shape=shape_of(record.variant),
        pie_rule=record.pie_rule,
        moves=record.moves,
        steps=game.steps,
        winner=record.winner,
        result=record.result,
        player=record.player,
        searched=_searched(record, game),
    )


def load_record(text: str) -> Replay:
    """The game of a text that a person loads: a record, or a JSON object with `variant` and `moves`.

    Raises:
        DataError: it is neither; the message says what is wrong and what would be right.
        IllegalMoveError: a move is not legal; the message names the ply.
    """
    if len(text.encode()) > MAX_REPLAY_BYTES:
        raise DataError(f"a record has at most {MAX_REPLAY_BYTES} bytes, got {len(text.encode())}")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError('nothing to load: a record is a JSON object such as {"variant": "square8_2p", "moves": "..."}')
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if len(lines) > 1 and lines[0].lstrip().startswith("{") and lines[-1].rstrip().endswith("}"):
            raise DataError(f"one record at a time: the text has {len(lines)} lines, load one of them") from error
        raise DataError(f"not JSON: {one_line(str(error))}") from error
    if not isinstance(document, dict):
        raise DataError(f"a record is a JSON object, got {type(document).__name__}")
    if "v" in document:
        return replay_record(text.encode())
    return _plain_game(document)


def _plain_game(document: dict[str, Any]) -> Replay:
    allowed = {"variant", "moves", "pie_rule", "name"}
    if unknown := sorted(set(document) - allowed):
        raise DataError(f"a game has {', '.join(sorted(allowed))}, or is a record with v; got {one_line(str(unknown))}")
    name, moves = document.get("variant"), document.get("moves")
    if not isinstance(name, str) or name not in VARIANTS:
        raise DataError(f"variant must be one of {', '.join(VARIANTS)}, got {one_line(repr(name), 80)}")
    if not isinstance(moves, str):
        raise DataError(
            f"moves must be one text such as 'PL:3,4x2 MV:3,4>3,6 NL NT', got {one_line(type(moves).__name__, 80)}"
        )
    pie_rule = document.get("pie_rule", KIND_NAMES[SW] in moves.split())
    if not isinstance(pie_rule, bool):
        raise DataError(f"pie_rule must be true or false, got {one_line(repr(pie_rule), 80)}")
    moves = " ".join(moves.split())
    game = _play(name, moves, pie_rule=pie_rule, name="the game", end=None)
    row = game.states[-1]
    over = bool(row[PHASE] == GAME_OVER)
    return Replay(
        name=one_line(str(document.get("name") or "a game of your own"), 80),
        shape=shape_of(name),
        pie_rule=pie_rule,
        moves=moves,
        steps=game.steps,
        winner=int(row[WINNER]) + 1 if row[WINNER] >= 0 else None,
        result=RESULT_NAMES[int(row[RESULT])] if over else None,
        player=None,
        searched=[],
    )


@dataclass(frozen=True)
class Played:
    """A game that was played through the engine."""

    states: NDArray[np.int16]
    """[N + 1, W]."""
    moves: NDArray[np.int64]
    choices: NDArray[np.int32]
    steps: list[Step]


def states_of(variant: str, moves: str, *, pie_rule: bool) -> NDArray[np.int16]:
    """The states int16 [N + 1, W] of a game given by the texts of its moves; raises what `load_record` does."""
    return _through(variant, moves, pie_rule=pie_rule, name="the game")[1]


def _through(
    variant: str, moves: str, *, pie_rule: bool, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.int32]]:
    texts = moves.split(" ") if moves else []
    if len(texts) > MAX_PLIES:
        raise DataError(f"{name} has {len(texts)} plies, at most {MAX_PLIES} are taken")
    rules = rules_for(variant, pie_rule=pie_rule)
    return play_through(rules, texts, make_work(rules), name)


def _play(variant: str, moves: str, *, pie_rule: bool, name: str, end: tuple[int | None, str] | None) -> Played:
    rules = rules_for(variant, pie_rule=pie_rule)
    packed, states, choices = _through(variant, moves, pie_rule=pie_rule, name=name)
    if end is not None:
        check_end(rules, states, *end, name)
    return Played(states, packed, choices, steps_of(rules, states, packed.tolist(), make_work(rules)))


def _searched(record: GameRecord, game: Played) -> list[Found]:
    if record.engine != ENGINE_VERSION:
        return []
    import base64
    import binascii

    try:
        packed = base64.b64decode(record.targets, validate=True)
        targets = unpack_targets(packed, VARIANTS[record.variant].players, len(game.moves))
    except (binascii.Error, LoopError) as error:
        raise DataError(f"game {record.id}: its targets cannot be read: {error}") from error
    return [Found(target.ply, [round(float(share), 4) for share in target.value]) for target in targets]
