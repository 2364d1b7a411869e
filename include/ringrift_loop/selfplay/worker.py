"""The self-play worker: plays until it is told to stop, one process for one slot and one variant.

Each game keeps the player that it began with. When the coordinator points to a new model, new games use it and the
others are played to their end with the old one, so a record's player is always the one that chose its moves. The
segment writer keeps what was finished: SIGTERM drops the open games only, kill -9 as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import psutil

from ringrift_loop import __version__
from ringrift_loop.config import Selfplay
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import DataError, LoopError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.current_model import SelfplayPlayer, bootstrap_player, model_player
from ringrift_loop.selfplay.heartbeat import HEARTBEAT_SECONDS, Heartbeat, RateMeter, WorkerState
from ringrift_loop.selfplay.pace import Pace, read_duty
from ringrift_loop.selfplay.play_games import Origin, PlaySettings, SelfplayGames
from ringrift_loop.selfplay.pointer import read_pointer
from ringrift_loop.selfplay.segments import SegmentWriter
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the pointer file."""
STARTING_LIMIT_S = 1800.0
"""A worker that has been compiling for so long hangs: it reports no longer, so that it is replaced."""
RETRY_SECONDS = 30.0
"""Before a model that did not load is tried again."""
REPORT_SECONDS = 60.0
"""Between two lines in the log."""


@dataclass(frozen=True)
class WorkerOptions:
    """What one worker does."""

    host_dir: HostDirectory
    variant: str
    slot: int
    games: int | None = None
    """Games to play in all; None plays until stopped."""
    host: str = ""
    """Name in the records; by default the machine's."""
    run: str = ""
    """Makes the seeds; by default drawn anew by each process, so that a restarted worker never repeats a game."""

    def origin(self) -> Origin:
        """The origin that the records name."""
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", self.host or platform.node()).lstrip("_.-")[:64] or "host"
        return Origin(host, f"{self.slot}-{os.getpid()}", self.run or secrets.token_hex(16), self.slot)


def play_settings(selfplay: Selfplay, *, bootstrap: bool) -> PlaySettings:
    """How games are played: with the bootstrap's simulations, or with a model's."""
    simulations = selfplay.bootstrap_simulations if bootstrap else selfplay.simulations_full
    return PlaySettings(
        full=SearchSettings(kind="gumbel", simulations=simulations, noise=1.0),
        fast_simulations=min(simulations, selfplay.simulations_fast),
        full_share=selfplay.full_search_probability,
        games_in_parallel=selfplay.games_in_parallel,
        opening_plies=selfplay.opening_random_plies,
        temperature=selfplay.temperature,
        temperature_plies=selfplay.temperature_plies,
        temperature_final=selfplay.temperature_final,
    )


class Worker:
    """Plays games of one variant into the host's segments."""

    def __init__(self, options: WorkerOptions, selfplay: Selfplay, *, clock: Callable[[], float] = time.time) -> None:
        """Prepare; nothing is written before `run`."""
        self._options, self._selfplay, self._clock = options, selfplay, clock
        self._rules = rules_for(options.variant)
        self._origin = options.origin()
        self._tables: list[SelfplayGames] = []
        self._player: SelfplayPlayer | None = None
        self._retired = (0, 0.0)  # evaluations and network seconds of players that are gone
        self._begun = self._finished = 0
        self._stopping = self._compiled = False
        self._error: str | None = None
        self._refused: tuple[str, float] | None = None  # digest that did not load, and when to try again
        self._meter = RateMeter()
        self._look_at = self._beat_at = self._report_at = self._seen_at = 0.0
        self._pace, self._pace_problem = Pace(), ""
        self._process = (os.getpid(), psutil.Process().create_time())

    def stop(self) -> None:
        """Ask the worker to finish; for signal handlers in its own thread.

        Raises:
            SystemExit: it still compiles, which would take minutes; `run` ends by it.
        """
        self._stopping = True
        if not self._compiled:
            raise SystemExit

    def run(self) -> int:
        """Play until stopped or until the wanted number of games is finished; returns the games finished.

        Raises:
            NoCapacity: another process writes this slot.
            OSError: the disk is full, or the root folder cannot be written.
        """
        selfplay, options = self._selfplay, self._options
        writer = SegmentWriter(
            options.host_dir, options.slot, selfplay.segment_games, selfplay.segment_seconds, self._clock
        )
        _log.info("worker %s starts: %s, run %s", self._origin.worker, options.variant, self._origin.run)
        try:
            with contextlib.suppress(SystemExit), self._beating("starting"):
                compile_kernels()
                compile_selfplay_kernels()
                self._compiled = True
            while not self._stopping and not self._is_done():
                self._step(writer)
            self._beat("draining")
        except BaseException as error:
            self._error = f"{type(error).__name__}: {error}"[:500]
            self._beat("failed")
            raise
        finally:
            writer.close()
        _log.info("worker %s ends: %d games finished, %d dropped", self._origin.worker, self._finished, self._active())
        return self._finished

    def _step(self, writer: SegmentWriter) -> None:
        now = self._clock()
        if now < self._seen_at:  # the clock was set back: nothing waits until it has caught up
            self._look_at = self._beat_at = self._report_at = now
        self._seen_at = now
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._follow_pointer(now)
            self._follow_duty()
        began = time.monotonic()
        self._start_games()
        for table in self._tables:
            for record in table.round():
                writer.append(record.to_json())
                self._finished += 1
        for table in self._tables[:-1]:
            if not table.active:
                self._retire(table)
        writer.maybe_seal()
        if now >= self._beat_at:
            self._beat("playing")
        self._pace.rest(time.monotonic() - began, until=self._is_wanted)

    def _is_wanted(self) -> bool:
        """Whether a rest must end: the worker is told to stop. Beats where one is due."""
        if self._clock() >= self._beat_at:
            self._beat("playing")
        return self._stopping

    def _follow_duty(self) -> None:
        """Keep to the duty that the coordinator wrote; what cannot be read changes nothing, and is said."""
        try:
            self._pace.duty, self._pace_problem = read_duty(self._options.host_dir), ""
        except DataError as error:
            if str(error) != self._pace_problem:
                _log.error("keeping a duty of %.0f %%: %s", 100 * self._pace.duty, error)
            self._pace_problem = str(error)

    def _is_done(self) -> bool:
        return self._options.games is not None and self._finished >= self._options.games

    def _active(self) -> int:
        return sum(table.active for table in self._tables)

    def _start_games(self) -> None:
        """Fill the free places with games of the present player."""
        room = self._selfplay.games_in_parallel - self._active()
        if self._options.games is not None:
            room = min(room, self._options.games - self._begun)
        if room > 0:
            self._tables[-1].start(range(self._begun, self._begun + room))
            self._begun += room

    def _follow_pointer(self, now: float) -> None:
        """Change to the model that the pointer names; keep the present player, and say so, when that fails.

        Without `hot_reload` the pointer chooses the first player only.
        """
        options = self._options
        if self._player is not None and not self._selfplay.hot_reload:
            return
        try:
            pointer = read_pointer(options.host_dir, options.variant)
            wanted = None if pointer is None else pointer.digest
            if self._player is not None and wanted == self._player.digest:
                self._error, self._refused = None, None
                return
            if pointer is None:
                if self._player is None:
                    self._change_player(bootstrap_player(self._rules))
                return
            if self._refused is not None and self._refused[0] == pointer.digest and now < self._refused[1]:
                return
            threads = self._selfplay.network_threads
            self._change_player(model_player(options.host_dir, options.variant, pointer, self._rules, threads))
            self._error, self._refused = None, None
        except (DataError, ModelError) as error:
            self._keep_player(error, now)

    def _keep_player(self, error: LoopError, now: float) -> None:
        if self._player is None:  # there is nothing to keep: the supervisor sees a worker that failed, with its reason
            raise error
        text = str(error)[:500]
        if text != self._error:
            _log.error("keeping %s: %s", self._player.name, text)
        self._error = text
        try:
            pointer = read_pointer(self._options.host_dir, self._options.variant)
        except DataError:
            return
        if pointer is not None:
            self._refused = (pointer.digest, now + RETRY_SECONDS)

    def _change_player(self, player: SelfplayPlayer) -> None:
        if self._player is not None:
            _log.info("Reloading model %s", player.name)
        else:
            _log.info("playing with %s", player.name)
        self._player = player
        settings = play_settings(self._selfplay, bootstrap=player.digest is None)
        options = self._options
        table = SelfplayGames(options.variant, player.name, player.leaves, settings, self._origin, clock=self._clock)
        self._tables.append(table)

    def _retire(self, table: SelfplayGames) -> None:
        evaluations, seconds = self._retired
        self._retired = (evaluations + table.leaves.evaluations, seconds + table.leaves.network_seconds)
        self._tables.remove(table)

    @contextmanager
    def _beating(self, state: WorkerState) -> Iterator[None]:
        """Beat in a thread of its own while this one is busy: compiling takes minutes where the cores are crowded."""
        over = threading.Event()

        def beat() -> None:
            give_up = time.monotonic() + STARTING_LIMIT_S
            while not over.wait(HEARTBEAT_SECONDS) and time.monotonic() < give_up:
                self._beat(state)

        self._beat(state)
        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, state: WorkerState) -> None:
        now = self._clock()
        self._beat_at = now + HEARTBEAT_SECONDS
        evaluations = self._retired[0] + sum(table.leaves.evaluations for table in self._tables)
        seconds = self._retired[1] + sum(table.leaves.network_seconds for table in self._tables)
        rates = self._meter.add(now, self._finished, evaluations, seconds)
        options = self._options
        Heartbeat(
            pid=self._process[0],
            start_time=self._process[1],
            host=self._origin.host,
            slot=options.slot,
            variant=options.variant,
            state=state,
            model=None if self._player is None else self._player.digest,
            generation=0 if self._player is None else self._player.generation,
            games=self._finished,
            games_per_hour=rates.games_per_hour,
            evals_per_s=rates.evals_per_s,
            net_share=rates.net_share,
            last_error=self._error,
            at=now,
            version=__version__,
            hot_reload=self._selfplay.hot_reload,
        ).write(options.host_dir)
        if state == "playing" and now >= self._report_at:
            self._report_at = now + REPORT_SECONDS
            _log.info(
                "%d games, %.0f games/h, %.0f evaluations/s, %.0f %% of the time in the network",
                self._finished,
                rates.games_per_hour,
                rates.evals_per_s,
                100 * rates.net_share,
            )


def run_until_signalled(worker: Worker) -> int:
    """Run the worker with SIGTERM and SIGINT bound to a clean end; returns the games finished."""

    def finish(number: int, frame: FrameType | None) -> None:
        del frame
        _log.info("%s: sealing the segment", signal.Signals(number).name)
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, finish)
    return worker.run()
