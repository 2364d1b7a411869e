"""The page Play: games of a person against models and baselines, one file a game, apart from all training data.

A file of `RUN/play` holds who sits where and the moves so far; everything else is what the rules engine makes of them.
So the server keeps nothing between two requests, and any process can go on with any game. Nothing here reads or writes
segments, the match log or ratings: what a person plays never reaches training or a gate.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ringrift_loop.checked_json import Count, File, VariantName, parse
from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, places, truncate
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY, RESULT, SWAP, TO_PLAY, WINNER
from ringrift_loop.engine.text.notation import move_text, parse_move
from ringrift_loop.errors import ConfigError, DataError, NoCapacity
from ringrift_loop.layout import RunDirectory
from ringrift_loop.machine.files import read_plain, write_whole
from ringrift_loop.machine.locks import locked
from ringrift_loop.network.artifact import load_manifest
from ringrift_loop.selfplay.records import play_through
from ringrift_loop.tournament.participants import DIGEST
from ringrift_loop.tournament.players import make_player
from ringrift_loop.views.choices import question
from ringrift_loop.views.evaluation import CONSIDERED, Thinker
from ringrift_loop.views.positions import SWAPPED, shape_of, steps_of
from ringrift_loop.views.records import (
    MAX_SIMULATIONS,
    PERSON,
    GameOfPerson,
    Judgement,
    NewGame,
    OutOfStep,
    Table,
    Unknown,
)
from ringrift_loop.views.sentences import BOOKKEEPING
from ringrift_loop.views.thinking import ROOM

RESIGNED = "resigned"
MAX_GAMES = 500
"""Games that are kept of one person."""
_MAX_BYTES = 1 << 20
_LOCK_S = 5.0
_REPLY_S = 1.0
_LEAST_HINT = 32
_ID = re.compile(r"[0-9a-f]{24}")
WITHOUT_SEARCH = ("random", "heuristic")
"""Baselines that choose at sight, whatever the strength that is asked for."""
OPPONENTS = (*WITHOUT_SEARCH, "heuristic-search")
"""Baselines that a person can play against."""


class PlayFile(File, frozen=True):
    """One game, as its file has it."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{24}\Z")]
    login: Annotated[str, Meta(min_length=1, max_length=200)]
    variant: VariantName
    pie_rule: bool
    players: Annotated[list[Annotated[str, Meta(max_length=160)]], Meta(min_length=2, max_length=4)]
    """Who began in each seat: `person` once, else a model's digest or a baseline. The pie rule may exchange them."""
    simulations: Annotated[int, Meta(ge=1, le=MAX_SIMULATIONS)]
    """Of each opponent's search."""
    moves: Annotated[list[Annotated[str, Meta(max_length=48)]], Meta(max_length=8192)]
    hints: Count
    taken_back: Count
    resigned: bool
    started_at: float
    changed_at: float
    winner: int | None = None
    """Seat, once the game has ended; None if it was cut off."""
    result: str | None = None
    """How it ended: one of `engine.game.RESULT_NAMES`, or `resigned`."""
    places: list[int] | None = None
    """Finishing place of each player, in the order of `players`, once the game has ended."""
    considered: Annotated[int, Meta(ge=1)] = CONSIDERED
    """Root moves of each opponent's search."""


@dataclass(frozen=True)
class _State:
    file: PlayFile
    rules: Rules
    work: Any
    packed: NDArray[np.int64]
    states: NDArray[np.int16]

    @property
    def row(self) -> NDArray[np.int16]:
        row: NDArray[np.int16] = self.states[-1]
        return row

    @property
    def seated(self) -> list[str]:
        """Who sits in each seat now."""
        players = list(self.file.players)
        return players[::-1] if int(self.row[SWAP]) == SWAPPED else players

    @property
    def mover(self) -> str:
        return self.seated[int(self.row[TO_PLAY])]

    @property
    def is_over(self) -> bool:
        return self.file.result is not None


@dataclass(frozen=True)
class PlayRoom:
    """The games of persons in a run directory."""

    directory: RunDirectory
    login: str
    """Whose games."""
    now: float
    rated: tuple[int, int] = (0, CONSIDERED)
    """Simulations and root moves with which opponents are rated, as `evaluation` says; at any other strength they
    compare CONSIDERED moves: few are better with few simulations only."""

    def begin(self, wanted: NewGame) -> str:
        """Begin a game; its id.

        Raises:
            ConfigError: the variant, a seat, an opponent or the strength is not possible, or the person has as many
                games as are kept.
        """
        rules = _rules(wanted.variant, wanted.pie_rule)
        if not 1 <= wanted.seat <= rules.players:
            raise ConfigError(f"the seat must be in 1..{rules.players}, got {wanted.seat}")
        if len(wanted.opponents) != rules.players - 1:
            raise ConfigError(
                f"{wanted.variant} has {rules.players} seats: name {rules.players - 1} opponents, "
                f"got {len(wanted.opponents)}"
            )
        if wanted.pie_rule and rules.players != 2:
            raise ConfigError("the pie rule is for two players")
        if not 1 <= wanted.simulations <= MAX_SIMULATIONS:
            raise ConfigError(f"simulations must be in 1..{MAX_SIMULATIONS}, got {wanted.simulations}")
        for opponent in wanted.opponents:
            self._check_opponent(opponent, wanted.variant)
        if len(list(self._folder.glob("*.json"))) >= MAX_GAMES:
            raise ConfigError(f"you have {MAX_GAMES} games, and no more are kept: open one that is over and remove it")
        players = list(wanted.opponents)
        players.insert(wanted.seat - 1, PERSON)
        game = PlayFile(
            id=secrets.token_hex(12),
            login=self.login,
            variant=wanted.variant,
            pie_rule=wanted.pie_rule,
            players=players,
            simulations=wanted.simulations,
            considered=self.rated[1] if wanted.simulations == self.rated[0] else CONSIDERED,
            moves=[],
            hints=0,
            taken_back=0,
            resigned=False,
            started_at=self.now,
            changed_at=self.now,
        )
        self._write(game)
        return game.id

    def _check_opponent(self, spec: str, variant: str) -> None:
        if spec in OPPONENTS:
            return
        if not DIGEST.fullmatch(spec):
            raise ConfigError(f"an opponent is one of {', '.join(OPPONENTS)} or a model's digest, got {spec[:80]!r}")
        folder = self.directory.model(spec)
        if not folder.is_dir():
            raise ConfigError(f"the files of the model {spec[:12]} are not on this machine (given up by retention?)")
        found = load_manifest(folder).variant
        if found != variant:
            raise ConfigError(f"the model {spec[:12]} is for {found}, the game is {variant}")

    def games(self) -> list[GameOfPerson]:
        """The person's games, the one that was changed last first."""
        return sorted(map(_listed, self._files(self._folder)), key=lambda game: -game.changed_at)

    def everyones(self) -> list[GameOfPerson]:
        """The games of all persons, for whoever may see them."""
        root = self.directory.play
        files = [file for folder in root.iterdir() for file in self._files(folder)] if root.is_dir() else []
        return sorted(map(_listed, files), key=lambda game: -game.changed_at)

    def look(self, game_id: str, *, known: int = 0) -> Table:
        """The game as it stands, with the positions from `known` plies on.

        Raises:
            Unknown: there is no such game of the person's.
            DataError: its file is damaged.
        """
        return self._table(self._state(self._read(game_id)), known)

    def play(self, game_id: str, ply: int, move: str, *, known: int = 0) -> Table:
        """Play the person's move, and what follows without a choice.

        Args:
            game_id: the game.
            ply: plies that were played when the person chose.
            move: its text.
            known: plies that the page knows already.

        Raises:
            Unknown: there is no such game of the person's.
            OutOfStep: it is not at that ply any more, or it is not the person's turn.
            IllegalMoveError: the move is not legal; the message says what is.
            ValueError: the text is no move.
        """
        with self._changing(game_id) as state:
            self._check_turn(state, ply)
            chosen = parse_move(state.rules, state.row, move, state.work)
            return self._table(self._after(state, chosen), known)

    def reply(self, game_id: str, ply: int, *, known: int = 0) -> Table:
        """Let the opponent whose turn it is play, for about a second: ask again while it is not the person's turn.

        Raises:
            Unknown: there is no such game of the person's.
            NotReadyYet: it still thinks; ask again.
            ModelError: the opponent's model does not load.
        """
        state = self._state(self._read(game_id))
        if len(state.file.moves) != ply:
            return self._table(state, known)
        until = time.monotonic() + _REPLY_S
        while not state.is_over and state.mover != PERSON:
            # Thinking takes no lock: whoever comes first with a move of this ply has it.
            move = self._choose(state)
            with self._changing(game_id) as now:
                if now.file.moves != state.file.moves or now.is_over:
                    return self._table(now, known)
                state = self._after(now, move)
            if time.monotonic() > until:
                break
        return self._table(state, known)

    def hint(self, game_id: str, ply: int) -> Judgement:
        """What an opponent at the table would do in the person's place; the game is unrated from then on.

        Raises:
            Unknown: there is no such game of the person's.
            OutOfStep: it is not at that ply any more, or it is not the person's turn.
            NotReadyYet: it still thinks; ask again.
        """
        state = self._state(self._read(game_id))
        self._check_turn(state, ply)
        thinker = Thinker(adviser(state.file), state.file.variant, bool(state.rules.pie_rule))
        simulations = max(_LEAST_HINT, state.file.simulations)
        judged = thinker.judge(self.directory, state.row[None, :], simulations)[0]
        with self._changing(game_id) as now:
            self._write(msgspec.structs.replace(now.file, hints=now.file.hints + 1))
        return judged

    def take_back(self, game_id: str, ply: int) -> Table:
        """Return to the person's last choice; the game is unrated from then on."""
        with self._changing(game_id) as state:
            if len(state.file.moves) != ply:
                raise OutOfStep(f"the game is at ply {len(state.file.moves)}, not at {ply}: look again")
            if state.is_over and state.file.resigned:
                raise OutOfStep("the game was given up: it cannot go on")
            back = _last_choice(state)
            if back is None:
                raise OutOfStep("there is no move of yours to take back")
            file = msgspec.structs.replace(
                state.file,
                moves=state.file.moves[:back],
                taken_back=state.file.taken_back + 1,
                changed_at=self.now,
                winner=None,
                result=None,
                places=None,
            )
            self._write(file)
            return self._table(self._state(file), 0)

    def resign(self, game_id: str) -> Table:
        """Give the game up: the person is last, the opponents share the first place."""
        with self._changing(game_id) as state:
            if state.is_over:
                raise OutOfStep("the game is over")
            person = state.file.players.index(PERSON)
            others = len(state.file.players) - 1
            standing = [1 + others if place == person else 1 for place in range(others + 1)]
            seated = state.seated
            winner = 1 + next(seat for seat, who in enumerate(seated) if who != PERSON) if others == 1 else None
            file = msgspec.structs.replace(
                state.file, resigned=True, result=RESIGNED, winner=winner, places=standing, changed_at=self.now
            )
            self._write(file)
            return self._table(self._state(file), 0)

    def remove(self, game_id: str) -> None:
        """Remove a game for good."""
        path = self._path(game_id)
        with self._held(path):
            self._read(game_id)
            path.unlink()
            path.with_suffix(".lock").unlink()

    def finished(self) -> list[PlayFile]:
        """The person's games that have ended, oldest first."""
        ended = [file for file in self._files(self._folder) if file.result is not None]
        return sorted(ended, key=lambda file: file.started_at)

    def record(self, game_id: str) -> str:
        """A game as JSON that the page Games loads again."""
        file = self._read(game_id)
        names = ", ".join(who if who == PERSON else who[:12] for who in file.players)
        document = {
            "variant": file.variant,
            "pie_rule": file.pie_rule,
            "name": f"{names}",
            "moves": " ".join(file.moves),
        }
        return json.dumps(document)

    @property
    def _folder(self) -> Path:
        return self.directory.play_of(self.login)

    def _path(self, game_id: str) -> Path:
        if not _ID.fullmatch(game_id):
            raise Unknown(f"no game of yours is named {game_id[:40]!r}")
        return self._folder / f"{game_id}.json"

    def _read(self, game_id: str) -> PlayFile:
        path = self._path(game_id)
        if not path.exists():
            raise Unknown(f"no game of yours is named {game_id}")
        file = _read_file(path)
        if file.login != self.login:
            raise Unknown(f"no game of yours is named {game_id}")
        return file

    def _files(self, folder: Path) -> Iterator[PlayFile]:
        for path in folder.glob("*.json"):
            try:
                yield _read_file(path)
            except DataError:  # removed meanwhile; damaged: opening it says so
                continue

    def _write(self, file: PlayFile) -> None:
        write_whole(self._path(file.id), msgspec.json.encode(file) + b"\n")

    @contextmanager
    def _changing(self, game_id: str) -> Iterator[_State]:
        """The game, while nobody else changes it."""
        with self._held(self._path(game_id)):
            yield self._state(self._read(game_id))

    @contextmanager
    def _held(self, path: Path) -> Iterator[None]:
        """While no other request changes the file."""
        if not path.is_file():
            raise Unknown(f"no game of yours is named {path.stem}")
        try:
            with locked(path.with_suffix(".lock"), wait_s=_LOCK_S):
                yield
        except BlockingIOError:
            raise NoCapacity("another request changes this game; try again in a moment") from None

    def _state(self, file: PlayFile) -> _State:
        ROOM.prepare()
        rules = _rules(file.variant, file.pie_rule)
        work = make_work(rules)
        packed, states, _ = play_through(rules, file.moves, work, f"game {file.id}")
        if file.players.count(PERSON) != 1 or len(file.players) != rules.players:
            raise DataError(f"game {file.id} has the players {file.players}, not {rules.players} with one person")
        return _State(file, rules, work, packed, states)

    def _check_turn(self, state: _State, ply: int) -> None:
        if state.is_over:
            raise OutOfStep("the game is over")
        if len(state.file.moves) != ply:
            raise OutOfStep(f"the game is at ply {len(state.file.moves)}, not at {ply}: look again")
        if state.mover != PERSON:
            raise OutOfStep(f"it is the turn of seat {int(state.row[TO_PLAY]) + 1}, not yours")

    def _after(self, state: _State, move: int) -> _State:
        """The game after a legal move and the bookkeeping that follows it, written to its file."""
        rules, work, row = state.rules, state.work, state.row.copy()
        scratch = np.empty(rules.max_moves, np.int64)
        played = list(state.file.moves)
        while True:
            played.append(move_text(rules, row, move, work))
            apply_move(rules, row, work, move)
            count = legal_moves(rules, row, work, scratch)
            move = int(scratch[0])
            if count != 1 or move & 0xFF not in BOOKKEEPING:
                break
        file = msgspec.structs.replace(state.file, moves=played, changed_at=self.now)
        if row[PHASE] != GAME_OVER and row[PLY] >= rules.ply_budget:
            truncate(row)
        if row[PHASE] == GAME_OVER:
            file = _ended(file, rules, row)
        self._write(file)
        return self._state(file)

    def _choose(self, state: _State) -> int:
        """The move of the opponent whose turn it is."""
        rules, row = state.rules, state.row
        scratch = np.empty(rules.max_moves, np.int64)
        if legal_moves(rules, row, state.work, scratch) == 1:
            return int(scratch[0])
        spec = state.mover
        if spec not in WITHOUT_SEARCH:
            thinker = Thinker(spec, state.file.variant, bool(rules.pie_rule), state.file.considered)
            return thinker.best_move(self.directory, row, state.file.simulations)
        lot = hashlib.sha256(f"{state.file.id} {len(state.file.moves)}".encode()).digest()
        player = make_player(spec, state.file.variant, seed=int.from_bytes(lot[:8]), pie_rule=bool(rules.pie_rule))
        key = (state.file.id, len(state.file.moves), spec, row.tobytes())
        return ROOM.ask(key, lambda: int(player.choose(rules, row[None, :])[0]), wait_s=_LOCK_S)

    def _table(self, state: _State, known: int) -> Table:
        file, seated = state.file, state.seated
        known = max(0, min(known, len(file.moves)))
        asked = None
        if not state.is_over and state.mover == PERSON:
            asked = question(state.rules, state.row, state.work)
        return Table(
            id=file.id,
            login=file.login,
            shape=shape_of(file.variant),
            pie_rule=file.pie_rule,
            players=seated,
            person=seated.index(PERSON) + 1,
            simulations=file.simulations,
            ply=len(file.moves),
            moves=" ".join(file.moves),
            steps=steps_of(state.rules, state.states, state.packed.tolist(), state.work, first=known),
            known=known,
            question=asked,
            winner=file.winner,
            result=file.result,
            places=file.places,
            hints=file.hints,
            taken_back=file.taken_back,
            can_take_back=not file.resigned and _last_choice(state) is not None,
        )


def adviser(file: PlayFile) -> str:
    """Who gives hints: a model among the opponents, else the heuristic's search."""
    models = [who for who in file.players if DIGEST.fullmatch(who)]
    return models[0] if models else "heuristic-search"


def _rules(variant: str, pie_rule: bool) -> Rules:
    try:
        return rules_for(variant, pie_rule=pie_rule)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _read_file(path: Path) -> PlayFile:
    return parse(read_plain(path, _MAX_BYTES), PlayFile, f"the game {path.name}")


def _ended(file: PlayFile, rules: Rules, row: NDArray[np.int16]) -> PlayFile:
    winner = int(row[WINNER]) + 1 if row[WINNER] >= 0 else None
    standing = np.ones(rules.players, np.int64)
    if winner is not None:  # a game that was cut off is a tie of all
        places(rules, row, standing)
    by_player = standing.tolist()
    if int(row[SWAP]) == SWAPPED:
        by_player = by_player[::-1]
    return msgspec.structs.replace(file, winner=winner, result=RESULT_NAMES[int(row[RESULT])], places=by_player)


def _last_choice(state: _State) -> int | None:
    """The ply of the person's last move that was a choice."""
    for ply in range(len(state.file.moves) - 1, -1, -1):
        row = state.states[ply]
        players = state.file.players[::-1] if int(row[SWAP]) == SWAPPED else state.file.players
        if players[int(row[TO_PLAY])] == PERSON and int(state.packed[ply]) & 0xFF not in BOOKKEEPING:
            return ply
    return None


def _listed(file: PlayFile) -> GameOfPerson:
    won = None
    if file.result is not None and file.places is not None:
        won = file.winner is not None and file.places[file.players.index(PERSON)] == 1
    return GameOfPerson(
        id=file.id,
        login=file.login,
        variant=file.variant,
        players=list(file.players),
        simulations=file.simulations,
        plies=len(file.moves),
        hints=file.hints,
        taken_back=file.taken_back,
        started_at=file.started_at,
        changed_at=file.changed_at,
        winner=file.winner,
        result=file.result,
        won=won,
    )
