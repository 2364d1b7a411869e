"""Many self-play games at once, all seats played by one player, each finished game handed out as a record.

Playout-cap randomisation (KataGo, Wu 2019, section 3.1): a share of the searches is full, with sequential halving and
root noise, and gives a policy target; the others are fast PUCT searches that only move the game on and give a value
target.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import make_work, new_states
from ringrift_loop.engine.moves import TR
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.state import RESULT, WINNER
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.search.leaves import LeafEvaluator
from ringrift_loop.search.pool import SearchPool
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.game_kernels import draw_searches, open_games, play_moves, play_on
from ringrift_loop.selfplay.records import GameRecord, with_targets
from ringrift_loop.selfplay.targets import TargetNotes

_ROOM_FOR_FORCED_PLIES = 256
"""Single-choice plies that may follow the last choice within the ply budget."""


@dataclass(frozen=True)
class PlaySettings:
    """How self-play games are played."""

    full: SearchSettings
    """Searches that give policy targets; also the constants of the fast ones."""
    fast_simulations: int
    full_share: float = 0.5
    """Share of searches that are full, 0..1."""
    games_in_parallel: int = 64
    opening_plies: int = 8
    """A game opens with 0 to this many random choices."""
    temperature: float = 1.0
    """Of the fast searches' moves in the first plies."""
    temperature_plies: int = 30
    temperature_final: float = 0.2
    simulations_per_choice: int = 4
    """A search has at most so many simulations for each legal move: two moves need no sixteen."""

    def described(self) -> dict[str, Any]:
        """The settings as a record carries them."""
        return {
            "full": self.full.identity(),
            "fast": f"puct{self.fast_simulations}",
            "full_share": self.full_share,
            "per_choice": self.simulations_per_choice,
            "opening_plies": self.opening_plies,
            "temperature": [self.temperature, self.temperature_plies, self.temperature_final],
        }


@dataclass(frozen=True)
class Origin:
    """Where games are played and how their seeds and ids come about."""

    host: str
    worker: str
    run: str
    """Random id of this worker process: with `slot` and a game's number it makes the game's seed, its own."""
    slot: int

    def digest(self, number: int) -> bytes:
        """32 bytes of which a game's id and seed are taken."""
        return hashlib.sha256(f"{self.run} {self.slot} {number}".encode()).digest()


@dataclass
class _OpenGame:
    id: str
    seed: int
    started_at: float


class SelfplayGames:
    """Up to G games of one player; `round` moves all of them on by one batched evaluation."""

    def __init__(
        self,
        variant: str,
        player: str,
        leaves: LeafEvaluator,
        settings: PlaySettings,
        origin: Origin,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Allocate; no game is started yet."""
        games = settings.games_in_parallel
        self.player = player
        self._variant, self.leaves, self._settings, self._origin, self._clock = variant, leaves, settings, origin, clock
        self._described = settings.described()
        self._rules = rules_for(variant)
        self._pool = SearchPool(self._rules, games, settings.full, keeps=True)
        self._work: Any = make_work(self._rules)
        self._moves = np.empty(self._rules.max_moves, np.int64)
        self._states = new_states(self._rules, games)
        self._random = np.zeros(games, np.uint64)
        self._history = np.empty((games, self._rules.ply_budget + _ROOM_FOR_FORCED_PLIES), np.int64)
        self._lengths = np.zeros(games, np.int64)
        self._choices = np.zeros(games, np.int32)
        self._full = np.zeros(games, np.bool_)
        self._open: dict[int, _OpenGame] = {}
        self._ended: list[GameRecord] = []  # over within their opening; handed out by the next round
        self._notes = TargetNotes(games)
        self._texts = MoveTexts(self._rules)

    @property
    def active(self) -> int:
        """Games being played."""
        return len(self._open)

    @property
    def room(self) -> int:
        """Games that could be started."""
        return self._settings.games_in_parallel - len(self._open)

    def start(self, numbers: Sequence[int]) -> None:
        """Start one game for each number; a number decides the game's id and seed."""
        free = [slot for slot in range(self._settings.games_in_parallel) if slot not in self._open][: len(numbers)]
        if len(free) < len(numbers):
            raise ValueError(f"there is room for {len(free)} games, not for {len(numbers)}")
        for slot, number in zip(free, numbers, strict=True):
            digest = self._origin.digest(number)
            seed = int.from_bytes(digest[:8], "little")
            self._open[slot] = _OpenGame(digest[16:].hex(), seed, self._clock())
            self._random[slot] = seed
        slots = np.array(free, np.int32)
        self._notes.clear(slots)
        opening = self._settings.opening_plies
        scratch = (self._history, self._lengths, self._choices, self._work, self._moves)
        open_games(self._rules, self._states, slots, self._random, opening, *scratch)
        self._ended += self._search(slots)

    def round(self) -> list[GameRecord]:
        """Evaluate every waiting state once and play the moves of the searches that are done; returns ended games."""
        batch = self._pool.advance()
        if batch.size:
            self._pool.receive(batch, *self.leaves.evaluate(batch))
        ended, self._ended = self._ended, []
        done = self._pool.finished()
        if not len(done):
            return ended
        settings = self._settings
        early = self._lengths[done] < settings.temperature_plies
        temperatures = np.where(early, settings.temperature, settings.temperature_final)
        harvest = self._pool.harvest(done, temperatures)
        self._notes.add(done, self._lengths[done], self._full[done], harvest)
        scratch = (self._history, self._lengths, self._choices, self._work, self._moves)
        play_moves(self._rules, self._states, done, harvest.moves, *scratch)
        return ended + self._search(done)

    def _search(self, slots: NDArray[np.int32]) -> list[GameRecord]:
        """Begin the next search of each game, or end the game; returns the records of those that ended."""
        settings, size = self._settings, len(slots)
        going, ended, simulations = np.empty((3, size), np.int32)
        full, seeds = np.empty(size, np.bool_), np.empty(size, np.uint64)
        most = (settings.full.simulations, settings.fast_simulations, settings.simulations_per_choice)
        games = (self._states, slots, self._choices, self._random)
        n = draw_searches(*games, settings.full_share, most, going, ended, full, simulations, seeds)
        going, full = going[:n], full[:n]
        self._full[going] = full
        self._pool.start(going, self._states[going], simulations[:n], full, seeds[:n])
        return [self._record(slot) for slot in ended[: size - n].tolist()]

    def _record(self, slot: int) -> GameRecord:
        game = self._open.pop(slot)
        moves = self._history[slot, : self._lengths[slot]].tolist()
        winner = int(self._states[slot, WINNER])
        record = GameRecord(
            id=game.id,
            variant=self._variant,
            pie_rule=False,
            seed=game.seed,
            moves=" ".join(self._texts.of_game(moves)),
            plies=len(moves),
            winner=None if winner < 0 else winner + 1,
            result=RESULT_NAMES[self._states[slot, RESULT]],
            player=self.player,
            search=self._described,
            engine=ENGINE_VERSION,
            started_at=round(game.started_at, 3),
            finished_at=round(self._clock(), 3),
            host=self._origin.host,
            worker=self._origin.worker,
            targets="",
        )
        return with_targets(record, self._notes.packed(slot))


class MoveTexts:
    """Texts of the moves of whole games; remembers them, since most moves recur from game to game."""

    def __init__(self, rules: Rules) -> None:
        """Allocate scratch memory."""
        self._rules = rules
        self._work: Any = make_work(rules)
        self._known: dict[int, str] = {}

    def of_game(self, moves: list[int]) -> list[str]:
        """The texts of a game's moves from the start position."""
        texts = []
        state, reached = new_states(self._rules, 1)[0], 0
        for ply, move in enumerate(moves):
            if move & 0xFF == TR:  # the text of a region depends on the board
                play_on(self._rules, state, np.array(moves[reached:ply], np.int64), self._work)
                reached = ply
                texts.append(move_text(self._rules, state, move, self._work))
                continue
            if move not in self._known:
                self._known[move] = move_text(self._rules, state, move, self._work)
            texts.append(self._known[move])
        return texts
