"""One variant as a worker plays it: the present player's games, those begun with earlier players, and what came of it.

Between two turns all of it stays in memory as it is, so no game is lost when a worker changes over. Each game keeps the
player that it began with. When the coordinator points to a new model, new games use it and the others are played to
their end with the old one, so a record's player is always the one that chose its moves.

Until the variant has a champion, the nearest variant's plays its games (`selfplay.transfer`); the heuristic search does
when the host has none of the family, or one that does not load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ringrift_loop.config import Selfplay
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.current_model import (
    HostModel,
    SelfplayPlayer,
    bootstrap_player,
    borrowed_model,
    model_player,
    own_model,
)
from ringrift_loop.selfplay.heartbeat import RateMeter, VariantPlay
from ringrift_loop.selfplay.play_games import Origin, PlaySettings, SelfplayGames
from ringrift_loop.selfplay.records import GameRecord

_log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""Before a model that did not load is tried again."""


def play_settings(selfplay: Selfplay, *, bootstrap: bool) -> PlaySettings:
    """How games are played: with the bootstrap's simulations, or with a model's, be it borrowed."""
    if bootstrap:
        simulations = selfplay.bootstrap_simulations
        full = SearchSettings(kind="gumbel", simulations=simulations, noise=1.0)
    else:
        simulations = selfplay.simulations_full
        considered = selfplay.considered_moves
        full = SearchSettings(kind="gumbel", simulations=simulations, considered=considered, noise=1.0)
    return PlaySettings(
        full=full,
        fast_simulations=min(simulations, selfplay.simulations_fast),
        full_share=selfplay.full_search_probability,
        simulations_per_choice=selfplay.simulations_per_choice,
        games_in_parallel=selfplay.games_in_parallel,
        opening_plies=selfplay.opening_random_plies,
        temperature=selfplay.temperature,
        temperature_plies=selfplay.temperature_plies,
        temperature_final=selfplay.temperature_final,
    )


class PlayedVariant:
    """The open games of one variant, and who plays them."""

    def __init__(
        self, variant: str, host_dir: HostDirectory, selfplay: Selfplay, origin: Origin, clock: Callable[[], float]
    ) -> None:
        """Prepare; `follow_pointer` brings the first player."""
        self.player: SelfplayPlayer | None = None
        self.computed_s = 0.0
        """Seconds computed for it; whoever takes the time adds it."""
        self.error: str | None = None
        self._variant, self._host_dir, self._selfplay, self._origin = variant, host_dir, selfplay, origin
        self._clock = clock
        self._rules = rules_for(variant)
        self._tables: list[SelfplayGames] = []
        self._finished = 0
        self._retired = (0, 0.0)  # evaluations and network seconds of players that are gone
        self._refused: tuple[str, float] | None = None  # digest that failed, and when to try again
        self._meter = RateMeter()

    @property
    def active(self) -> int:
        """Games being played."""
        return sum(table.active for table in self._tables)

    @property
    def room(self) -> int:
        """Games that could be started."""
        return 0 if self.player is None else max(0, self._selfplay.games_in_parallel - self.active)

    @property
    def evaluations(self) -> int:
        """States evaluated so far."""
        return self._retired[0] + sum(table.leaves.evaluations for table in self._tables)

    @property
    def network_seconds(self) -> float:
        """Time spent inside networks so far."""
        return self._retired[1] + sum(table.leaves.network_seconds for table in self._tables)

    def start(self, numbers: Sequence[int]) -> None:
        """Start games of the present player, one for each number; see `SelfplayGames.start`."""
        self._tables[-1].start(numbers)

    def round(self) -> list[GameRecord]:
        """Move all games on by one evaluation; returns those that ended.

        A model that gives what is no number loses its games, and is tried again later as one that did not load.
        """
        records: list[GameRecord] = []
        for table in tuple(self._tables):
            try:
                records += table.round()
            except ModelError as error:
                self._drop(table, error)
        self._finished += len(records)
        self._retire()
        return records

    def follow_pointer(self, now: float) -> None:
        """Change to the model that the pointers name; keep the present player, and say so, when that fails.

        A borrowed model that fails is no reason not to play: the heuristic search does until it loads. Without
        `hot_reload` the pointers choose the first player only.

        Raises:
            DataError: there is no player to keep, and the variant's own pointer cannot be read.
            ModelError: there is no player to keep, and the variant's own model does not load.
        """
        if self.player is not None and not self._selfplay.hot_reload:
            return
        model: HostModel | None = None
        borrows = False
        try:
            model = own_model(self._host_dir, self._variant)
            borrows = model is None and self._may_borrow()
            if borrows:
                model = borrowed_model(self._host_dir, self._variant, self._selfplay.lenders)
            self._play_with(model, now)
        except (DataError, ModelError) as error:
            if borrows and self.player is None:
                self._change_player(bootstrap_player(self._rules))
            digest = None if model is None else model.pointer.digest
            self._note_failure(f"no model to borrow: {error}" if borrows else str(error), digest, now)
            if self.player is None:
                raise

    def told(self, now: float) -> VariantPlay:
        """What the heartbeat says of it."""
        rates = self._meter.add(now, self._finished, self.evaluations, self.network_seconds)
        return VariantPlay(
            model=None if self.player is None else self.player.digest,
            generation=0 if self.player is None else self.player.generation,
            games=self._finished,
            games_per_hour=rates.games_per_hour,
            computed_s=round(self.computed_s, 3),
            last_error=self.error,
        )

    def _may_borrow(self) -> bool:
        """Whether another variant's model may play: never after one of the variant's own."""
        return self._selfplay.transfer and (self.player is None or self.player.generation == 0)

    def _play_with(self, model: HostModel | None, now: float) -> None:
        """Change to the model, or to the bootstrap's player where there is none; without one, any player is kept."""
        wanted = None if model is None else model.pointer.digest
        if self.player is None or wanted != self.player.digest:
            if model is None and self.player is not None:
                return
            if self._refused is not None and self._refused[0] == wanted and now < self._refused[1]:
                return
            self._change_player(self._player_of(model))
        self.error, self._refused = None, None

    def _drop(self, table: SelfplayGames, error: ModelError) -> None:
        """Let go of a player that fails in play; in the place of a borrowed one the heuristic search goes on."""
        at_play = table is self._tables[-1]
        self._tables.remove(table)
        self._forget(table)
        if self.player is None or not at_play:  # one of an earlier player's last games
            _log.error("%d open games of an earlier model of %s are dropped: %s", table.active, self._variant, error)
            return
        failed, self.player = self.player, None
        if failed.generation == 0:
            self._change_player(bootstrap_player(self._rules))
        self._note_failure(f"{table.active} open games are dropped: {error}", failed.digest, self._clock())

    def _note_failure(self, problem: str, digest: str | None, now: float) -> None:
        text = problem[:500]
        if text != self.error:
            kept = f"{self._variant} is left out" if self.player is None else f"keeping {self.player.name}"
            _log.error("%s: %s", kept, text)
        self.error = text
        if digest is not None:
            self._refused = (digest, now + RETRY_SECONDS)

    def _player_of(self, model: HostModel | None) -> SelfplayPlayer:
        if model is None:
            return bootstrap_player(self._rules)
        threads = self._selfplay.network_threads
        player = model_player(self._host_dir, self._variant, model, self._rules, threads)
        if model.variant != self._variant:
            _log.info("%s has no model yet: it borrows the champion of %s", self._variant, model.variant)
        return player

    def _change_player(self, player: SelfplayPlayer) -> None:
        if self.player is not None:
            _log.info("Reloading model %s", player.name)
        else:
            _log.info("playing %s with %s", self._variant, player.name)
        self.player = player
        settings = play_settings(self._selfplay, bootstrap=player.digest is None)
        table = SelfplayGames(self._variant, player.name, player.leaves, settings, self._origin, clock=self._clock)
        self._tables.append(table)
        self._retire()

    def _retire(self) -> None:
        """Let go of earlier players whose games have ended."""
        for table in self._tables[:-1]:
            if not table.active:
                self._tables.remove(table)
                self._forget(table)

    def _forget(self, table: SelfplayGames) -> None:
        """Keep the counts of a player that is gone."""
        evaluations, seconds = self._retired
        self._retired = (evaluations + table.leaves.evaluations, seconds + table.leaves.network_seconds)
