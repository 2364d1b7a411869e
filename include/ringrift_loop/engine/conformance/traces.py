"""Compares an engine with recorded games, ply by ply: legal moves, state, tracker, result.

`check_file` stops at a file's first difference; `run` is the command `ringrift-loop engine check-traces`. The rules of
comparison are those of docs/3-rules.md 19. The files themselves are read by trace_file.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TextIO

from ringrift_loop.engine.conformance.trace_file import (
    RECOMMENDED,
    TraceGame,
    TracePly,
    TraceResult,
    read_games,
    text_digest,
)
from ringrift_loop.errors import DataError, IllegalMoveError

_SHOWN = 12
"""Moves of a difference that the report lists; the rest is counted."""

_RECOVERY = ("RL1:", "RL2:", "RF:", "RS:")

_FIELDS = {
    "ph": "phase",
    "cp": "seat to move",
    "w": "winner",
    "pe": "line ring owed",
    "mm": "must move",
    "at": "attacker",
    "H": "hands",
    "E": "eliminated",
    "T": "territory",
    "S": "stacks",
    "M": "markers",
    "C": "collapsed",
}


class GameLike(Protocol):
    """What a game must offer to be compared: `engine.game.Game` and `engine.plain.PlainGame` do."""

    @property
    def is_over(self) -> bool:
        """Whether the game has been decided."""

    @property
    def winner(self) -> int | None:
        """The winning seat, from 1, once there is one."""

    @property
    def result(self) -> str | None:
        """How the game was won, once it is."""

    def legal(self) -> list[str]:
        """The legal moves, sorted as text."""

    def play(self, text: str) -> None:
        """Play one move; IllegalMoveError if it is not legal."""

    def text(self) -> str:
        """The state text."""

    def digest(self) -> str:
        """The state text's digest."""

    def lps_text(self) -> str:
        """The last-player-standing tracker's text."""


class Engine(Protocol):
    """A class of games: called for a new game, `from_text` for one that starts elsewhere."""

    def __call__(self, variant: str, *, pie_rule: bool = ...) -> GameLike:
        """A game from the start."""

    def from_text(self, variant: str, text: str) -> GameLike:
        """A game from a state text."""


@dataclass(frozen=True)
class Difference:
    """The first thing in which engine and trace disagree.

    Attributes:
        where: game and ply, for a person.
        what: one line that names the kind of difference.
        details: further lines: what was expected and what the engine says.
    """

    where: str
    what: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n  ".join((f"{self.where}: {self.what}", *self.details))


@dataclass(frozen=True)
class TraceReport:
    """What was compared in one file: games and plies that agree, up to the difference if there is one.

    Attributes:
        cut: games that were compared only up to a move that the rules used here do not allow.
    """

    path: Path
    games: int
    plies: int
    cut: int
    difference: Difference | None

    def __str__(self) -> str:
        counts = f"{self.games} games, {self.plies} plies agree"
        cut = f" ({self.cut} cut at a quirk move)" if self.cut else ""
        if self.difference is None:
            return f"{self.path.name}: {counts}{cut}"
        return f"{self.path.name}: DIFFERENT after {counts}{cut}\n  {self.difference}".replace("\n", "\n  ")


def run(paths: Sequence[Path], out: TextIO, *, engine: str = "kernel") -> int:
    """Check trace files and write a line a file, or the first difference in it.

    Args:
        paths: trace files, plain or gzipped.
        out: where the report goes.
        engine: "kernel" or "plain".

    Returns:
        0 if all agree, 1 if a file differs or cannot be read.
    """
    game_class = engine_class(engine)
    failed = games = plies = cut = 0
    for path in paths:
        try:
            report = check_file(path, game_class)
        except DataError as error:
            out.write(f"{path.name}: UNREADABLE: {error}\n")
            failed += 1
            continue
        out.write(f"{report}\n")
        out.flush()
        failed += report.difference is not None
        games, plies, cut = games + report.games, plies + report.plies, cut + report.cut
    verdict = f"{failed} of {len(paths)} files differ" if failed else "all agree"
    out.write(f"{len(paths)} files, {games} games, {plies} plies, {cut} games cut: {verdict} ({engine} engine)\n")
    return 1 if failed else 0


def engine_class(name: str) -> Engine:
    """The game class of the engine "kernel" or "plain"."""
    if name == "plain":
        from ringrift_loop.engine.conformance.plain import PlainGame

        return PlainGame
    if name == "kernel":
        from ringrift_loop.engine.game import Game

        return Game
    raise ValueError(f"no engine named {name!r}, there are 'kernel' and 'plain'")


def check_file(path: Path, engine: Engine, *, games_at_most: int | None = None) -> TraceReport:
    """Replay the games of one file through an engine, up to the first difference.

    Args:
        path: the file.
        engine: the class of games to check.
        games_at_most: how many games to check, from the first on; None for all.

    Raises:
        DataError: the file is not a trace file.
    """
    games = plies = cut = 0
    for line, trace in islice(read_games(path), games_at_most):
        compared, difference = _check_game(f"{path}, line {line}", trace, engine)
        plies += compared
        if difference is not None:
            return TraceReport(path, games, plies, cut, difference)
        games += 1
        cut += compared < len(trace.plies)
    return TraceReport(path, games, plies, cut, None)


def _check_game(place: str, trace: TraceGame, engine: Engine) -> tuple[int, Difference | None]:
    """Number of plies that agree, and the difference that ended the comparison, if one did."""
    game_name = f"{place.rpartition(', ')[2]} ({trace.variant.name} {trace.policy}, seed {trace.seed})"
    game = _begin(place, trace, engine)
    previous = "the start"
    for number, ply in enumerate(trace.plies):
        where = f"{game_name}, ply {number} (after {previous})"
        difference = _compare_state(where, ply, game)
        if difference is None and "FEX" not in ply.notes:
            difference = _compare_legal(where, ply, game, exact=trace.rules == RECOMMENDED)
        if difference is not None:
            return number, difference
        if trace.rules != RECOMMENDED and _is_quirk(ply, ply.move):
            return number, None
        try:
            game.play(ply.move)
        except IllegalMoveError as error:
            return number, Difference(where, f"the engine refuses the move {ply.move}", (str(error),))
        previous = ply.move
    where = f"{game_name}, end (after {previous})"
    return len(trace.plies), _compare_result(where, trace.result, len(trace.plies), game)


def _begin(place: str, trace: TraceGame, engine: Engine) -> GameLike:
    if trace.init is None:
        return engine(trace.variant.name, pie_rule=trace.swap)
    try:
        return engine.from_text(trace.variant.name, trace.init)
    except ValueError as error:
        raise DataError(f"{place}: init is not a state of {trace.variant.name}: {error}") from error


def _compare_state(where: str, ply: TracePly, game: GameLike) -> Difference | None:
    if game.digest() != ply.digest:
        return _state_difference(where, ply.digest, ply.state, game)
    fields = _fields_of(game.text())
    if (fields["ph"], fields["cp"]) != (ply.phase, str(ply.seat)):
        got = f"got {fields['ph']}, seat {fields['cp']}"
        return Difference(where, "phase or seat to move", (f"expected {ply.phase}, seat {ply.seat}", got))
    if ply.lps is not None and game.lps_text() != ply.lps:
        details = (f"expected {ply.lps}", f"got      {game.lps_text()}", f"state    {game.text()}")
        return Difference(where, "last-player-standing tracker (first/mask/lead/count)", details)
    return None


def _state_difference(where: str, digest: str, state: str | None, game: GameLike) -> Difference:
    details = [f"expected digest {digest}", f"got digest      {game.digest()}"]
    if state is None:
        return Difference(where, "the state", (*details, f"got state       {game.text()}"))
    expected, got = _fields_of(state), _fields_of(game.text())
    for name, value in expected.items():
        if got.get(name) != value:
            details.append(f"{_FIELDS.get(name, name)} ({name}): {_field_difference(value, got.get(name, ''))}")
    return Difference(where, "the state", (*details, f"expected state  {state}", f"got state       {game.text()}"))


def _field_difference(expected: str, got: str) -> str:
    """Both values, or for the cell lists only the entries in which they differ."""
    if ":" not in expected + got:
        return f"expected {expected}, got {got}"
    wanted, found = set(expected.split("|")) - {""}, set(got.split("|")) - {""}
    return f"missing {' '.join(sorted(wanted - found)) or 'none'}, extra {' '.join(sorted(found - wanted)) or 'none'}"


def _compare_legal(where: str, ply: TracePly, game: GameLike, *, exact: bool) -> Difference | None:
    own = game.legal()
    if ply.legal is None:
        if not exact and any(text.startswith(_RECOVERY) for text in own):
            return _compare_recovery_count(where, ply, own, game)
        # Only count and digest were recorded: add what the reference lists besides.
        full = sorted(own if exact else {*own, *_whole_line_options(own), *_quirk_moves(ply)})
        if (len(full), text_digest(" ".join(full))) == (ply.legal_count, ply.legal_digest):
            return None
        counts = (
            f"expected {ply.legal_count} moves, digest {ply.legal_digest}",
            f"got      {len(full)} moves, digest {text_digest(' '.join(full))}",
        )
        return Difference(where, "the legal moves (the trace has no list here)", (*counts, f"state    {game.text()}"))
    expected = set(ply.legal) if exact else {_normal(text) for text in ply.legal if not _is_quirk(ply, text)}
    got = set(own) if exact else {_normal(text) for text in own}
    if not exact:
        got = {text for text in got if text in expected or not text.startswith("RL2:")}
    if expected == got:
        return None
    moves = (f"missing {_some(expected - got)}", f"extra   {_some(got - expected)}")
    details = (*moves, f"state   {game.text()}")
    return Difference(where, f"the legal moves ({len(expected)} expected, {len(got)} got)", details)


def _compare_recovery_count(where: str, ply: TracePly, own: list[str], game: GameLike) -> Difference | None:
    """Without a list, and with payments that differ (D4): only the number of slides can be compared.

    Not even that where there are free windows (D6).
    """
    slides = {_normal(text) for text in own}
    if len(slides) == ply.legal_count or any(text.startswith("RL2:") for text in own):
        return None
    counts = f"expected {ply.legal_count} slides and other moves, got {len(slides)}"
    return Difference(where, "the number of recovery moves", (counts, f"state {game.text()}"))


def result_of(game: GameLike, plies: int) -> dict[str, Any]:
    """What a trace file says of a game's end, but for the state's text and digest."""
    fields = _fields_of(game.text())
    return {
        "truncated": not game.is_over,
        "winner": game.winner,
        "type": game.result if game.is_over else "truncated",
        "elim": [int(value) for value in fields["E"].split(",")],
        "terr": [int(value) for value in fields["T"].split(",")],
        "hand": [int(value) for value in fields["H"].split(",")],
        "plies": plies,
    }


def _compare_result(where: str, expected: TraceResult, plies: int, game: GameLike) -> Difference | None:
    if game.digest() != expected.d:
        return _state_difference(where, expected.d, expected.s, game)
    got = result_of(game, plies)
    wrong = [key for key, value in got.items() if getattr(expected, key) != value]
    if not wrong:
        return None
    details = tuple(f"{key}: expected {getattr(expected, key)!r}, got {got[key]!r}" for key in wrong)
    return Difference(where, "the result", details)


def _is_quirk(ply: TracePly, text: str) -> bool:
    """Whether the move is one that only the reference allows (docs/3-rules.md 17: D1, D2, D3, D6)."""
    if text in _quirk_moves(ply) or (text.startswith("FE:") and "FEX" in ply.notes):
        return True
    if text.startswith("RL2:"):
        slide, _, window = text.removeprefix("RL2:").partition("#")
        return not _lies_between(slide.partition(">")[2], *window.split(".."))
    return False


def _quirk_moves(ply: TracePly) -> set[str]:
    moves = {f"PL:{note.removeprefix('PLX:')}" for note in ply.notes if note.startswith("PLX:")}
    return moves | ({"SP"} if "SPX" in ply.notes else set())


def _lies_between(cell: str, first: str, last: str) -> bool:
    """Whether the cell is on the straight stretch from first to last."""
    (x, y), (x1, y1), (x2, y2) = ([int(part) for part in text.split(",")] for text in (cell, first, last))
    in_line = (x - x1) * (y2 - y1) == (y - y1) * (x2 - x1)
    return in_line and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2)


def _normal(text: str) -> str:
    """The move without the choice of payment in a recovery, and LO over a whole line as LP."""
    if text.startswith(("RL1:", "RF:", "RS:")):
        return text.partition("@")[0]
    if text.startswith("LO:"):
        line, _, window = text.removeprefix("LO:").partition("#")
        if line == window:
            return f"LP:{line}"
    return text


def _whole_line_options(legal: list[str]) -> list[str]:
    return [f"LO:{text[3:]}#{text[3:]}" for text in legal if text.startswith("LP:")]


def _fields_of(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in text.split(";"))}


def _some(moves: set[str]) -> str:
    listed = sorted(moves)
    rest = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return " ".join(listed[:_SHOWN]) + rest if listed else "none"
