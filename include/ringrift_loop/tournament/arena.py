"""Where blocks are played: participants' names in, finished games out."""

from __future__ import annotations

import platform
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import ConfigError
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.participants import split_id
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import ModelFolders, Player, make_player


class Arena(Protocol):
    """Plays blocks; tests bring one whose players have a known strength."""

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        """Yield the games of each block as it ends; see `play_match.play_blocks`."""


class EngineArena:
    """The arena of the rules engine. Players are opened when they are first needed and kept."""

    def __init__(self, loop: Loop, *, folders: Mapping[str, str] | None = None) -> None:
        """Make an arena without players.

        Args:
            loop: settings, model folders and clock.
            folders: model digest -> folder, for models outside the run directory.
        """
        self._loop = loop
        self._bench = Bench(loop.directory, folders=folders)

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        """Yield the games of each block as it ends; see `play_match.play_blocks`."""
        settings = MatchSettings(self._loop.config.evaluation.opening_random_plies, host=platform.node())
        players = self._bench.players(plans)
        return play_blocks(plans, players, settings, clock=self._loop.clock, deadline=deadline, taken=taken)

    def player(self, name: str, variant: str) -> Player:
        """See `Bench.player`."""
        return self._bench.player(name, variant)


class Bench:
    """The players of blocks, by participant id; needs neither ledger nor configuration."""

    def __init__(self, directory: ModelFolders, *, folders: Mapping[str, str] | None = None) -> None:
        """Seat nobody yet.

        Args:
            directory: where models are looked up by digest.
            folders: model digest -> folder, for those that lie elsewhere.
        """
        compile_kernels()
        compile_selfplay_kernels()
        self._directory = directory
        self._folders = dict(folders or {})
        self._players: dict[tuple[str, str], Player] = {}

    def players(self, plans: Iterable[BlockPlan]) -> dict[str, Player]:
        """Everyone who plays in blocks of one variant."""
        return {name: self.player(name, plan.variant) for plan in plans for name in plan.participants}

    def player(self, name: str, variant: str) -> Player:
        """The player of a participant id.

        Raises:
            ConfigError: there is no such player, or it has another id.
            ModelError: its model does not load.
        """
        key = (name, variant)
        if key not in self._players:
            spec, search = split_id(name)
            player = make_player(
                self._folders.get(spec, spec),
                variant,
                directory=self._directory,
                search=search,
                # Each participant draws numbers of its own: two copies of one model must not play in step.
                seed=zlib.crc32(name.encode()),
            )
            if player.identity != name:
                raise ConfigError(f"no participant of {variant} has the id {name}; it is {player.identity}")
            self._players[key] = player
        return self._players[key]
