"""What happens between `go` and `bestmove`: the limits, the search, and the lines about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.state import TO_PLAY
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import ConfigError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.search.leaves import LeafEvaluator
from ringrift_loop.search.pool import SearchPool
from ringrift_loop.search.settings import MAX_SIMULATIONS, SearchSettings
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.tournament.players import Guide, Player, make_player, open_guide, playout_search
from ringrift_loop.ugi.named import named_player
from ringrift_loop.ugi.options import UgiOptions

_NO_SEARCH = ("random", "heuristic")
_SHOWN_MOVES = 5
_INFO_SECONDS = 1.0
_MOVES_TO_GO = 40
"""With a clock, this share of the time left goes into one move."""
_CLOCK_KEYS = ("p1time", "p2time", "p3time", "p4time", "p1inc", "p2inc", "p3inc", "p4inc")


@dataclass(frozen=True)
class Limits:
    """When a search ends: whichever comes first."""

    simulations: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, words: list[str], seat: int) -> Limits:
        """The limits in the words after `go`.

        Args:
            words: `simulations N`, `nodes N`, `movetime MS`, `infinite`, or clocks such as `p1time MS p1inc MS`.
            seat: seat to move, from 1, whose clock counts.

        Raises:
            ConfigError: unknown words, a missing number, or one out of range.
        """
        numbers: dict[str, int] = {}
        rest = list(words)
        while rest:
            key = rest.pop(0)
            if key == "infinite":
                numbers["infinite"] = 1
            elif key in ("simulations", "nodes", "movetime", *_CLOCK_KEYS):
                value = rest.pop(0) if rest else ""
                if not (
                    value.isascii() and value.isdigit() and len(value) <= 10 and (int(value) > 0 or key.endswith("inc"))
                ):
                    raise ConfigError(f"go {key} needs a whole number above 0, got {value!r}")
                numbers[key] = int(value)
            else:
                raise ConfigError(f"go takes simulations, nodes, movetime, infinite or p<seat>time, got {key!r}")
        simulations = numbers.get("simulations", numbers.get("nodes"))
        if simulations is not None and simulations > MAX_SIMULATIONS:
            raise ConfigError(f"at most {MAX_SIMULATIONS} simulations, got {simulations}")
        if "movetime" in numbers:
            return cls(simulations, numbers["movetime"] / 1000)
        if f"p{seat}time" in numbers:
            left, increment = numbers[f"p{seat}time"], numbers.get(f"p{seat}inc", 0)
            return cls(simulations, min(left / 2, left / _MOVES_TO_GO + increment) / 1000)
        return cls(simulations, float("inf") if "infinite" in numbers else None)


class Thinker:
    """The player behind the interface, opened when it is first asked."""

    def __init__(self, options: UgiOptions, directory: RunDirectory) -> None:
        """Open nothing yet."""
        self._options, self._directory = options, directory
        self._game = Game(options.variant, pie_rule=options.pie_rule)
        self._random = np.random.default_rng(options.seed)
        self._player: Player | None = None
        self._guide: Guide | None = None
        self._compiled = False

    def open_player(self) -> None:
        """Open the player; does nothing the second time.

        Raises:
            ConfigError, LedgerError: no such player.
            ModelError: the model does not load.
        """
        if self._player is not None or self._guide is not None:
            return
        options = self._options
        if options.player in _NO_SEARCH:
            self._player = make_player(options.player, options.variant, seed=options.seed, pie_rule=options.pie_rule)
            return
        named = named_player(options.player, options.variant, self._directory)
        if named.variant not in (None, options.variant):
            raise ConfigError(f"{options.player} is a model for {named.variant}, the games are {options.variant}")
        self._guide = open_guide(
            named.spec, self._game.rules, options.variant, directory=self._directory, threads=options.threads
        )

    def prepare(self) -> None:
        """Have everything ready for a search, as `isready` asks; raises what `open_player` does."""
        self.open_player()
        if not self._compiled:
            compile_kernels()
            compile_selfplay_kernels()
            self._compiled = True

    def think(self, game: Game, limits: Limits, stopped: Callable[[], bool]) -> Iterator[str]:
        """Yield `info` lines, then `bestmove`.

        Args:
            game: the position.
            limits: when to end.
            stopped: asked after every simulation; True ends the search.

        Raises:
            ConfigError: the position has no legal move, as a text can describe one that no game reaches.
        """
        self.prepare()
        legal = game.legal()
        if not legal:
            raise ConfigError(f"the position has no legal move, so no game reaches it: {game.text()}")
        if len(legal) == 1:
            yield "info string the only legal move"
            yield f"bestmove {legal[0]}"
        elif self._player is not None:
            move = int(self._player.choose(game.rules, game.row[None, :])[0])
            yield f"info string {self._options.player} does not search"
            yield f"bestmove {move_text(game.rules, game.row, move)}"
        elif self._guide is not None:
            yield from self._search(game, limits, stopped, self._guide.leaves)

    def _search(
        self, game: Game, limits: Limits, stopped: Callable[[], bool], evaluator: LeafEvaluator
    ) -> Iterator[str]:
        settings = self._settings(limits)
        pool = SearchPool(game.rules, 1, settings)
        slot = np.zeros(1, np.int32)
        seeds = self._random.integers(0, 1 << 64, 1, dtype=np.uint64)
        halving = np.array([settings.kind == "gumbel"])
        pool.start(slot, game.row[None, :], np.full(1, settings.simulations, np.int32), halving, seeds)
        began = time.monotonic()
        told = began
        while (leaves := pool.advance()).size:
            pool.receive(leaves, *evaluator.evaluate(leaves))
            now = time.monotonic()
            if stopped() or (limits.seconds is not None and now - began >= limits.seconds):
                break
            if now - told >= _INFO_SECONDS:
                told = now
                yield _summary(game, pool, now - began)
        yield from _ranking(game, pool)
        yield _summary(game, pool, time.monotonic() - began)
        move = int(pool.trees.moves[0, pool.choose(0, 0.0)])
        yield f"bestmove {move_text(game.rules, game.row, move)}"

    def _settings(self, limits: Limits) -> SearchSettings:
        """The search of this `go`: sequential halving needs its length beforehand, so a search by time is PUCT."""
        base = playout_search(self._options.player) or SearchSettings.from_identity(self._options.search)
        if limits.seconds is not None:
            return replace(base, kind="puct", simulations=limits.simulations or self._options.max_simulations)
        if limits.simulations is not None:
            kind = "puct" if base.kind == "none" else base.kind
            return replace(base, kind=kind, simulations=limits.simulations)
        return base


def _summary(game: Game, pool: SearchPool, seconds: float) -> str:
    root = pool.root(0)
    nodes = int(pool.trees.simulations_done[0])
    line = pool.best_line(0)
    values = " ".join(f"{value:.4f}" for value in root.value)
    texts = " ".join(move_text(game.rules, state, move) for state, move in line)
    rate = round(nodes / seconds) if seconds > 0 else 0
    return f"info depth {len(line)} nodes {nodes} time {round(1000 * seconds)} nps {rate} values {values} pv {texts}"


def _ranking(game: Game, pool: SearchPool) -> Iterator[str]:
    """The most visited moves with their visits, the mover's value and the search's policy."""
    root = pool.root(0)
    order = np.lexsort((-root.policy, -root.visits))[:_SHOWN_MOVES]
    seat = int(game.row[TO_PLAY]) + 1
    for rank, place in enumerate(order.tolist(), 1):
        value = "-" if np.isnan(root.values[place]) else f"{root.values[place]:.4f}"
        text = move_text(game.rules, game.row, int(root.moves[place]))
        yield (
            f"info multipv {rank} visits {root.visits[place]} value {value} policy {root.policy[place]:.4f} "
            f"seat {seat} pv {text}"
        )
