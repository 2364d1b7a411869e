"""The self-play worker: plays until it is told to stop, one process for one slot.

It plays one variant, or those of the host's plan in turns (`plan.py`, `turns.py`): a turn takes some seconds, then the
games of that variant wait in memory for the next one. A changed plan holds from the next look on, a second later; what
a variant that left it had open is dropped. The segment writer keeps what was finished: SIGTERM drops the open games
only, kill -9 as well.
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
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import DataError, JobOutOfMemory, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.machine.memory import over_text, used_bytes, worker_limit
from ringrift_loop.selfplay.heartbeat import HEARTBEAT_SECONDS, Heartbeat, RateMeter, VariantPlay, WorkerState
from ringrift_loop.selfplay.pace import Pace, read_allowance
from ringrift_loop.selfplay.plan import read_plan
from ringrift_loop.selfplay.play_games import Origin
from ringrift_loop.selfplay.played_variant import PlayedVariant
from ringrift_loop.selfplay.segments import SegmentWriter
from ringrift_loop.selfplay.turns import TURN_S, Turns
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the files that the coordinator writes: plan, pointers, duty."""
STARTING_LIMIT_S = 1800.0
"""A worker that has been compiling for so long hangs: it reports no longer, so that it is replaced."""
REPORT_SECONDS = 60.0
"""Between two lines in the log."""
_NAP_S = 0.25  # while there is nothing to play
_NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class WorkerOptions:
    """What one worker does."""

    host_dir: HostDirectory
    variant: str | None
    """The one to play; None follows the host's plan."""
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


class Worker:
    """Plays games into the host's segments."""

    def __init__(
        self,
        options: WorkerOptions,
        selfplay: Selfplay,
        *,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is written before `run`.

        Args:
            options: what to do.
            selfplay: how to play.
            clock: UTC seconds.
            stopwatch: seconds of a clock that nobody sets.
        """
        self._options, self._selfplay, self._clock, self._stopwatch = options, selfplay, clock, stopwatch
        self._origin = options.origin()
        self._weights = {} if options.variant is None else {options.variant: 1.0}
        self._variants: dict[str, PlayedVariant] = {}
        self._turns = Turns(TURN_S, first=options.slot)
        self._released = (0, 0.0)  # evaluations and network seconds of variants that left the plan
        self._begun = self._finished = 0
        self._stopping = self._compiled = False
        self._error: str | None = None
        self._meter = RateMeter()
        self._look_at = self._beat_at = self._report_at = self._seen_at = 0.0
        self._pace, self._pace_problem = Pace(), ""
        self._process = (os.getpid(), psutil.Process().create_time())
        self._memory_limit = worker_limit(selfplay.worker_memory_gb)

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
            JobOutOfMemory: the worker uses more than `worker_memory_gb`; its finished games are kept.
            OSError: the disk is full, or the root folder cannot be written.
        """
        selfplay, options = self._selfplay, self._options
        writer = SegmentWriter(
            options.host_dir, options.slot, selfplay.segment_games, selfplay.segment_seconds, self._clock
        )
        plays = options.variant or "by the host's plan"
        _log.info("worker %s starts: %s, run %s", self._origin.worker, plays, self._origin.run)
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
            self._check_memory()
            self._follow_plan()
            self._follow_pointers(now)
            self._follow_allowance()
        began = self._stopwatch()
        self._turns.share_by({name: weight for name, weight in self._weights.items() if self._can_play(name)})
        at_play = self._turns.choose()
        if at_play is not None:
            played = self._variants[at_play]
            self._start_games(played)
            for record in played.round():
                writer.append(record.to_json())
                self._finished += 1
            if played.player is None and self._options.variant is not None:  # as where its first model does not load
                raise ModelError(played.error)
        writer.maybe_seal()
        if now >= self._beat_at:
            self._beat("starting" if at_play is None else "playing")
        if at_play is None:
            time.sleep(_NAP_S)
            return
        busy_s = self._stopwatch() - began
        self._variants[at_play].computed_s += busy_s
        self._turns.played(busy_s)
        self._pace.rest(busy_s, until=self._is_wanted)

    def _is_wanted(self) -> bool:
        """Whether a rest must end: the worker is told to stop. Beats where one is due."""
        if self._clock() >= self._beat_at:
            self._beat("playing")
        return self._stopping

    def _follow_plan(self) -> None:
        """Keep to the plan that the coordinator wrote; what cannot be read changes nothing, and is said."""
        if self._options.variant is None:
            try:
                plan = read_plan(self._options.host_dir)
            except DataError as error:
                self._say(f"keeping the present plan: {error}")
                return
            self._error = None
            if plan is None or plan.weights == self._weights:
                return
            _log.info("plays by weight: %s", ", ".join(f"{name} {weight:g}" for name, weight in plan.weights.items()))
            self._weights = dict(plan.weights)
        for name in [name for name in self._variants if name not in self._weights]:
            gone = self._variants.pop(name)
            _log.info("%s is no longer played: %d open games are dropped", name, gone.active)
            self._released = (self._released[0] + gone.evaluations, self._released[1] + gone.network_seconds)
        for name in [name for name in self._weights if name not in self._variants]:
            host_dir = self._options.host_dir
            self._variants[name] = PlayedVariant(name, host_dir, self._selfplay, self._origin, self._clock)

    def _follow_pointers(self, now: float) -> None:
        """Play every variant with its present model; one of the plan that has no player yet waits for its turn."""
        for played in self._variants.values():
            try:
                played.follow_pointer(now)
            except (DataError, ModelError):
                if self._options.variant is not None:  # the supervisor sees a worker that failed, with its reason
                    raise

    def _check_memory(self) -> None:
        """Return while the worker keeps to its limit: one that grows ends itself, before the machine has to choose."""
        used = used_bytes([self._process[0]])
        if used > self._memory_limit:
            raise JobOutOfMemory(
                f"the worker {over_text(used, self._memory_limit)} (selfplay.worker_memory_gb); it is started anew"
            )

    def _follow_allowance(self) -> None:
        """Keep to what the coordinator allowed; what cannot be read changes nothing, and is said."""
        try:
            self._pace.allowance, self._pace_problem = read_allowance(self._options.host_dir), ""
        except DataError as error:
            if str(error) != self._pace_problem:
                _log.error("keeping a duty of %.0f %%: %s", 100 * self._pace.duty, error)
            self._pace_problem = str(error)

    def _say(self, problem: str) -> None:
        if problem != self._error:
            _log.error("%s", problem)
        self._error = problem

    def _is_done(self) -> bool:
        return self._options.games is not None and self._finished >= self._options.games

    def _active(self) -> int:
        return sum(played.active for played in self._variants.values())

    def _may_begin(self) -> int:
        """Games that the worker may still begin; a large number where there is no limit."""
        games = self._options.games
        return _NO_LIMIT if games is None else games - self._finished - self._active()

    def _can_play(self, name: str) -> bool:
        played = self._variants[name]
        return played.active > 0 or min(played.room, self._may_begin()) > 0

    def _start_games(self, played: PlayedVariant) -> None:
        """Fill a variant's free places with games of its present player; no number is ever used twice."""
        room = min(played.room, self._may_begin())
        if room > 0:
            played.start(range(self._begun, self._begun + room))
            self._begun += room

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
        now, options = self._clock(), self._options
        self._beat_at = now + HEARTBEAT_SECONDS
        evaluations = self._released[0] + sum(played.evaluations for played in self._variants.values())
        seconds = self._released[1] + sum(played.network_seconds for played in self._variants.values())
        rates = self._meter.add(now, self._finished, evaluations, seconds)
        plays = {name: played.told(now) for name, played in self._variants.items()}
        at_play = options.variant or self._turns.at_play
        present = plays.get(at_play or "", VariantPlay())
        errors = [self._error, *(play.last_error for play in plays.values())]
        Heartbeat(
            pid=self._process[0],
            start_time=self._process[1],
            host=self._origin.host,
            slot=options.slot,
            variant=at_play,
            state=state,
            model=present.model,
            generation=present.generation,
            games=self._finished,
            games_per_hour=rates.games_per_hour,
            evals_per_s=rates.evals_per_s,
            net_share=rates.net_share,
            last_error=next((error for error in errors if error is not None), None),
            at=now,
            version=__version__,
            hot_reload=self._selfplay.hot_reload,
            duty=self._pace.kept,
            variants=plays,
        ).write(options.host_dir)
        if state == "playing" and now >= self._report_at:
            self._report_at = now + REPORT_SECONDS
            _log.info(
                "%d games, %.0f games/h, %.0f evaluations/s, %.0f %% of the time in the network; computed %s",
                self._finished,
                rates.games_per_hour,
                rates.evals_per_s,
                100 * rates.net_share,
                ", ".join(f"{name} {play.computed_s:.0f} s" for name, play in plays.items()),
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
