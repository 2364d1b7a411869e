"""How far a long command is: a bar on stderr where that is a terminal, and nothing anywhere else.

A command tells it by a callback (`progress`), goes through a list under it (`counted`), has it look at what its work
writes down anyway (`followed`), or counts the games of an arena (`CountedArena`). The library below knows nothing of
it.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeVar

from ringrift_loop.errors import LoopError

if TYPE_CHECKING:
    from ringrift_loop.ledger.matches import MatchRow
    from ringrift_loop.tournament.arena import Arena
    from ringrift_loop.tournament.blocks import BlockPlan

_LOOK_S = 1.0
_Item = TypeVar("_Item")


class Standing(NamedTuple):
    """How far something is."""

    what: str
    """For people, with the unit: `Training of square8_2p, steps`."""
    done: float
    total: float


Report = Callable[[Standing], None]


@contextmanager
def progress() -> Iterator[Report]:
    """Give a callback that shows what it is told; the bar comes with the first call, log lines pass above it."""
    if not _is_shown():
        yield lambda standing: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    stderr = sys.stderr
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stderr, markup=False, highlight=False),
        expand=True,
        redirect_stdout=False,  # results may go to a file
    )
    with ExitStack() as shown:

        def report(standing: Standing) -> None:
            if not bar.tasks:
                bar.add_task("")
                shown.callback(bar.stop)  # also when the start is interrupted, for the cursor
                bar.start()
                shown.enter_context(_log_above(stderr))
            bar.update(bar.tasks[0].id, description=standing.what, completed=standing.done, total=standing.total)

        yield report


def counted(items: Sequence[_Item], what: str) -> Iterator[_Item]:
    """Yield the items, and show how many of them are done.

    Args:
        items: to go through.
        what: they are, for people: `Candidates`.
    """
    with progress() as report:
        for done, item in enumerate(items):
            report(Standing(what, done, len(items)))
            yield item
        report(Standing(what, len(items), len(items)))


@contextmanager
def followed(look: Callable[[], Standing | None]) -> Iterator[None]:
    """Show what `look` finds every second, from a thread of its own, and once more at the end.

    Args:
        look: how far it is; None or a LoopError while there is nothing to see.
    """
    if not _is_shown():
        yield
        return
    ended = threading.Event()
    with progress() as report:

        def show() -> None:
            try:
                standing = look()
            except LoopError:
                return  # the work itself says what is wrong
            if standing is not None:
                report(standing)

        def keep_looking() -> None:
            while not ended.wait(_LOOK_S):
                show()

        thread = threading.Thread(target=keep_looking, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            show()


class CountedArena:
    """An arena that tells how many of the games that were asked for so far are played."""

    def __init__(self, arena: Arena, what: str, report: Report) -> None:
        """Count nothing yet.

        Args:
            arena: plays the games.
            what: they are for, such as `Champion gate`.
            report: is told.
        """
        self._arena, self._what, self._report = arena, what, report
        self._played = self._asked = 0

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        """Yield the games of each block as it ends; see `play_match.play_blocks`."""
        self._asked += sum(len(plan.seatings) for plan in plans)
        self._tell()
        for rows in self._arena.play(plans, deadline=deadline, taken=taken):
            self._played += len(rows)
            self._tell()
            yield rows

    def _tell(self) -> None:
        self._report(Standing(f"{self._what}, games", self._played, self._asked))


def _is_shown() -> bool:
    return sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


@contextmanager
def _log_above(direct: TextIO) -> Iterator[None]:
    """What is logged to stderr goes to what rich has put in its place, which prints it above the bar."""
    moved = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is direct
    ]
    for handler in moved:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in moved:
            handler.setStream(direct)
