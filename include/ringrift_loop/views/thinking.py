"""Thinking about positions on behalf of a page: one search at a time in a process, on a thread of its own.

The API server answers many people, so nothing here blocks it: kernels release the interpreter, networks run in ONNX
Runtime (torch is never imported), the thread is nicer than the others, and what waits for it is bounded. Who asks for
the same again joins the search that is under way, or gets its result.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar, cast

from ringrift_loop.errors import NoCapacity

MAX_WAITING = 8
"""Searches that may wait for the one that runs; more are refused."""
_NICER = 5
_KEPT = 4096
"""Results that are kept."""
_PREPARING_S = 1.5

Result = TypeVar("Result")


class NotReadyYet(NoCapacity):
    """The rules engine is being made ready, or other searches come first: ask again in a moment."""

    pause_s = 2.0


class ThinkingRoom:
    """The one thread of a process that searches."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._thread = ThreadPoolExecutor(1, "ringrift-thinking", initializer=_be_nice)
        self._lock = threading.Lock()
        self._prepared: Future[None] | None = None
        self._under_way: dict[Hashable, Future[Any]] = {}
        self._known: OrderedDict[Hashable, Any] = OrderedDict()

    def prepare(self, wait_s: float = _PREPARING_S) -> None:
        """Have the kernels ready, or raise.

        The first call begins with it; machine code that is on disk is loaded within a second or two, but in a fresh
        installation compiling takes a few minutes.

        Raises:
            NotReadyYet: it is not done yet; it goes on by itself.
        """
        with self._lock:
            if self._prepared is None or (self._prepared.done() and self._prepared.exception() is not None):
                self._prepared = self._thread.submit(_compile)
            prepared = self._prepared
        try:
            prepared.result(wait_s)
        except NotYet:
            raise NotReadyYet(
                "the rules engine is being made ready on this machine; after an installation that takes a few minutes"
            ) from None

    def ask(self, key: Hashable, work: Callable[[], Result], *, wait_s: float) -> Result:
        """The result of `work`, run on the room's thread unless it is known or under way under the same key.

        Args:
            key: names the work; equal keys mean the same result.
            work: run once; what it raises is raised here, and not kept.
            wait_s: how long the result is waited for.

        Raises:
            NotReadyYet: it is not there yet, or too many others wait. Work that was begun goes on.
        """
        self.prepare()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return cast(Result, self._known[key])
            future = self._under_way.get(key)
            begins = future is None
            if future is None:
                if len(self._under_way) >= MAX_WAITING:
                    raise NotReadyYet(f"{MAX_WAITING} other searches come first; try again in a moment")
                future = self._thread.submit(work)
                self._under_way[key] = future
        if begins:
            # Without the lock, which the callback takes: work that is done already is kept at once, here.
            future.add_done_callback(lambda done: self._keep(key, done))
        try:
            return cast(Result, future.result(wait_s))
        except NotYet:
            raise NotReadyYet("still thinking") from None

    def _keep(self, key: Hashable, done: Future[Any]) -> None:
        with self._lock:
            self._under_way.pop(key, None)
            if not done.cancelled() and done.exception() is None:
                self._known[key] = done.result()
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)


def _be_nice() -> None:
    # On Linux a thread has a priority of its own.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICER)


def _compile() -> None:
    from ringrift_loop.engine.warmup import compile_kernels
    from ringrift_loop.selfplay.warmup import compile_selfplay_kernels

    said = io.StringIO()
    compile_kernels(said)
    compile_selfplay_kernels(said)


ROOM = ThinkingRoom()
"""This process's."""
