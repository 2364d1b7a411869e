"""Waiting on the ledger without a worker slot: a query every few seconds, in a thread, until it has an answer.

The triggerer is one event loop for all waiting tasks, so nothing here blocks it: the query runs in a thread. A query is
a few indexed reads and takes milliseconds.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from sqlalchemy.exc import OperationalError

from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import as_loop_error

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop


@dataclass(frozen=True)
class Look:
    """What one look at the ledger found."""

    progress: str  # for the task's log, written when it changes
    payload: dict[str, Any] | None = None  # the event, once there is nothing more to wait for


class LedgerWatchTrigger(BaseTrigger, abc.ABC):
    """Looks at the ledger every `poll_s` seconds until `look` has a payload."""

    def __init__(self, *, poll_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's own
        self.poll_s = poll_s

    @abc.abstractmethod
    def look(self, loop: Loop) -> Look:
        """One look, called in a thread."""

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments beyond `poll_s`: plain values, which Airflow stores."""
        return {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, from which the triggerer builds the trigger again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"poll_s": self.poll_s, **self.arguments()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, tell, sleep; one event at the end."""
        loop = await asyncio.to_thread(open_loop)
        told = ""
        while True:
            try:
                found = await asyncio.to_thread(self.look, loop)
            except OperationalError as error:
                # Locked for longer than its own 30 s of patience, or its server restarts: the next look will do.
                if (away := as_loop_error(error)) is None:
                    raise
                found = Look(progress=str(away))
            if found.progress != told:
                told = found.progress
                self.log.info(told)
            if found.payload is not None:
                yield TriggerEvent(found.payload)  # type: ignore[no-untyped-call] # Airflow's own
                return
            await asyncio.sleep(self.poll_s)
