"""A self-play game as one JSON object, and the replay that every game goes through before it counts.

Records come from hosts and are not trusted: sizes and types are checked before anything is built from them, and the
game is what the rules engine makes of its moves, not what the record says about itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, structs
from numpy.typing import NDArray

from ringrift_loop.checked_json import File, parse
from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import follow, new_states, truncate
from ringrift_loop.engine.moves import KIND_NAMES, SW
from ringrift_loop.engine.rules import VARIANTS, Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY, RESULT, WINNER
from ringrift_loop.engine.text.notation import canonical_text, move_named, parse_move
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import DataError, IllegalMoveError
from ringrift_loop.selfplay.targets import SearchTarget, unpack_targets, within

MAX_BYTES = 1 << 20
"""No record is longer, see `with_targets`."""
MAX_PLIES = 8192
BOOTSTRAP = "heuristic-search"
"""Name of the player before there is any model: the same search, guided by the heuristic evaluation."""

_MAX_SEARCH_BYTES = 4096
_SWAP = KIND_NAMES[SW]
_Player = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.|,=-]{0,79}\Z")]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
_Ascii = Annotated[str, Meta(pattern=r"^[\x00-\x7f]*\Z")]
_Time = Annotated[float, Meta(ge=0, lt=1e11)]


class GameRecord(File, frozen=True, kw_only=True):
    """One finished game."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    """32 hex digits."""
    variant: str
    pie_rule: bool
    seed: Annotated[int, Meta(ge=0)]
    """Seed of the game's own random numbers, 64 bits."""
    moves: _Ascii
    """Texts of all plies, single-choice plies too, joined by one space."""
    plies: Annotated[int, Meta(ge=1, le=MAX_PLIES)]
    winner: Annotated[int, Meta(ge=1, le=4)] | None
    """Seat from 1; None when the game was cut off."""
    result: str
    """One of `engine.game.RESULT_NAMES` but the first."""
    player: _Player
    """Who played all seats: a model's digest or a baseline's name."""
    search: dict[str, Any]
    """Settings of the full and the fast searches and the share of full ones."""
    engine: Annotated[str, Meta(min_length=1, max_length=32)]
    """ENGINE_VERSION that the indices of the targets refer to."""
    started_at: _Time
    """UTC seconds."""
    finished_at: _Time
    host: _Name
    worker: _Name
    """Slot and process of the worker."""
    targets: _Ascii
    """Base64 of targets.pack_targets; see `with_targets`."""

    def __post_init__(self) -> None:
        """Check what no bound says; msgspec makes a `DataError` of it.

        Raises:
            ValueError: variant, seed, result or search is none.
        """
        if self.variant not in VARIANTS:
            raise ValueError(f"no variant named {self.variant[:40]!r}")
        if self.seed >= 1 << 64:
            raise ValueError("the seed has more than 64 bits")
        if self.result not in RESULT_NAMES[1:]:
            raise ValueError(f"no result named {self.result[:40]!r}")
        if len(msgspec.json.encode(self.search)) > _MAX_SEARCH_BYTES:
            raise ValueError(f"the search's settings have more than {_MAX_SEARCH_BYTES} bytes")

    def to_json(self) -> bytes:
        """The record as one line of JSON without its line break."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> GameRecord:
        """The record in a line of JSON; checks the form, not the game (see `replay`).

        Raises:
            DataError: it is too long, not JSON, of another version, or a field is missing, unknown or out of range.
        """
        if len(data) > MAX_BYTES:
            raise DataError(f"a game record has at most {MAX_BYTES} bytes, got {len(data)}")
        return parse(data, cls, "a game record")


def with_targets(record: GameRecord, packed: bytes) -> GameRecord:
    """The record with its game's packed targets, as far as they have room: it is never longer than MAX_BYTES.

    There is always room for some moves of each policy. The longest game, one of hexagonal_4p, has 4,800 plies with a
    choice and at most 256 forced ones after them (`play_games.py`). Its moves take up at most 49 bytes each, all other
    fields 8 KiB. That leaves 123 bytes for each target: one with a single move needs 21, one with 26 moves 121.
    """
    room = MAX_BYTES - len(structs.replace(record, targets="").to_json())
    players = VARIANTS[record.variant].players
    fitting = within(packed, players, record.plies, room // 4 * 3)  # base64 makes four bytes of three
    return structs.replace(record, targets=base64.b64encode(fitting).decode())


@dataclass(frozen=True)
class ReplayedGame:
    """A game as the rules engine played it again; N plies."""

    moves: NDArray[np.int64]
    """[N]."""
    states: NDArray[np.int16]
    """[N + 1, W] the state before each ply, then the final one."""
    choices: NDArray[np.int32]
    """[N] legal moves before each ply."""
    winner: int | None
    """Seat from 1."""
    result: str
    targets: list[SearchTarget]


def replay(record: GameRecord, rules: Rules, work: Any) -> ReplayedGame:
    """Play the record's moves through the engine and check all that it says about the game.

    Args:
        record: of the variant and pie rule that `rules` are of.
        rules: the variant.
        work: the engine's scratch memory.

    Raises:
        IllegalMoveError: a move is not legal; the message names the ply.
        DataError: a text is no move, the game is not over or ends early, the result is another one, a target does not
            fit its state, or the record is of another engine version.
    """
    if record.engine != ENGINE_VERSION:
        raise DataError(f"game {record.id} is of engine {record.engine!r}; this program reads {ENGINE_VERSION!r}")
    texts = record.moves.split(" ")
    if len(texts) != record.plies:
        raise DataError(f"game {record.id} says {record.plies} plies and holds {len(texts)}")
    name = f"game {record.id}"
    moves, states, choices = play_through(rules, texts, work, name)
    check_end(rules, states, record.winner, record.result, name)
    return ReplayedGame(moves, states, choices, record.winner, record.result, _targets_of(record, rules, choices))


def play_through(
    rules: Rules, texts: Sequence[str], work: Any, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.int32]]:
    """Play texts of moves, N of them, from the start: moves, states and choices as in `ReplayedGame`.

    Args:
        rules: the variant.
        texts: all plies.
        work: the engine's scratch memory.
        name: of the game, for errors.

    Raises:
        IllegalMoveError: a move is not legal; the message names the ply.
        DataError: a text is no move, or the game goes on after its end.
    """
    moves = np.array([move_named(rules, text) for text in texts], np.int64)
    choices = np.empty(len(texts), np.int32)
    states = np.empty((len(texts) + 1, rules.width), np.int16)
    states[0] = new_states(rules, 1)[0]
    scratch = np.empty(rules.max_moves, np.int64)
    # One call for the whole game, but for a move that its text alone does not name: that one is looked up in its state.
    ply = 0
    while (ply := follow(rules, states, work, scratch, moves, choices, ply)) < len(texts):
        try:
            moves[ply] = parse_move(rules, states[ply], texts[ply], work, scratch)
        except IllegalMoveError as error:
            raise IllegalMoveError(f"{name}, ply {ply}: {error}") from error
        except ValueError as error:
            raise DataError(f"{name}, ply {ply}: {error}") from error
    return moves, states, choices


def check_end(rules: Rules, states: NDArray[np.int16], winner: int | None, result: str, name: str) -> None:
    """Check that a game which was played through ended, and as it is said; one at its ply budget is cut off here.

    Raises:
        DataError: it did not.
    """
    state = states[-1]
    if state[PHASE] != GAME_OVER:
        if state[PLY] < rules.ply_budget:
            raise DataError(f"{name} stops at ply {len(states) - 1} before its end")
        truncate(state)
    found = None if state[WINNER] < 0 else int(state[WINNER]) + 1, RESULT_NAMES[state[RESULT]]
    if found != (winner, result):
        raise DataError(f"{name} says {winner} by {result}; replayed, it is {found[0]} by {found[1]}")


def _targets_of(record: GameRecord, rules: Rules, choices: NDArray[np.int32]) -> list[SearchTarget]:
    try:
        packed = base64.b64decode(record.targets, validate=True)
    except binascii.Error as error:
        raise DataError(f"game {record.id}: targets are not base64: {error}") from error
    targets = unpack_targets(packed, rules.players, len(choices))
    for target in targets:
        count = int(choices[target.ply])
        if count < 2 or (target.full and int(target.index[-1]) >= count):
            raise DataError(f"game {record.id}: the target of ply {target.ply} does not fit its {count} legal moves")
    return targets


class ValueFigures(NamedTuple):
    """What a game's searches said of the win, over all of them."""

    error: float
    """Mean squared distance of their shares from the outcome: 0 for searches that always knew, 2 for ones that were
    always sure and wrong."""
    spread: float
    """Mean squared distance of their shares from an even one: how sure they were."""


def value_figures(replayed: ReplayedGame, players: int) -> ValueFigures | None:
    """The figures of a game of so many players; None for one without a search."""
    if not replayed.targets:
        return None
    said = np.stack([target.value for target in replayed.targets]).astype(np.float64)
    said /= np.maximum(said.sum(1, keepdims=True), 1e-9)
    winner = replayed.winner
    outcome = np.full(players, 1.0 / players) if winner is None else np.eye(players)[winner - 1]
    true = np.tile(outcome, (len(said), 1))
    swaps = np.flatnonzero((replayed.moves & 0xFF) == SW)
    if len(swaps):  # until then seats 1 and 2 were those of the people who end up in 2 and 1
        before = np.array([target.ply for target in replayed.targets]) <= swaps[-1]
        true[before, :2] = true[before, 1::-1]
    error, spread = (float(((said - other) ** 2).sum(1).mean()) for other in (true, 1.0 / players))
    return ValueFigures(error, spread)


def move_hash(record: GameRecord) -> str:
    """What makes two records the same game: sha256 of variant and moves, in hex; of a record that replays.

    Each move has one text here, whatever way the record writes it. The pie rule counts where its move was played: else
    the same moves lead through the same positions without it.
    """
    rules = rules_for(record.variant)
    moves = [canonical_text(rules, text) for text in record.moves.split(" ")]
    return hashlib.sha256(f"{record.variant} {int(_SWAP in moves)} {' '.join(moves)}".encode()).hexdigest()
