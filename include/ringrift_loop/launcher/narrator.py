"""One line for a person whenever something happens in the loop: the tail of the ledger's `events` table."""

from __future__ import annotations

from datetime import datetime

from ringrift_loop.ledger import events
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.text import one_line

_MAX_MESSAGE = 2000


class Narrator:
    """Reads events that were written after it was made."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        with ledger.read() as connection:
            self._last_id = events.last_id(connection)

    def new_lines(self) -> list[str]:
        """The lines of the events since the last call, oldest first, 200 at most."""
        with self._ledger.read() as connection:
            found = events.after(connection, self._last_id)
        if found:
            self._last_id = found[-1].id
        return [line(event.at, event.message, event.variant) for event in found]


def line(at: float, message: str, variant: str | None = None) -> str:
    """One printed line: local time, the variant unless the message names it, the message."""
    clock = datetime.fromtimestamp(at).strftime("%H:%M:%S")
    prefix = f"{variant}: " if variant and variant not in message else ""
    return f"{clock}  {prefix}{one_line(message, _MAX_MESSAGE)}"
