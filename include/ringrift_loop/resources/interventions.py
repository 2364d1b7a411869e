"""What a person does to the whole loop: halt it, let it go on, limit its self-play. Each change is in the history."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.ledger import events, state
from ringrift_loop.text import one_line

_WHO_LETTERS = 64
_WHY_LETTERS = 500


@dataclass(frozen=True)
class Asked:
    """Who wants it and why; what is not known stays empty."""

    user: str = ""
    why: str = ""

    def note(self, done: str) -> str:
        """A sentence for the history: `halted by ann: new kernel`."""
        who = one_line(self.user, _WHO_LETTERS) or "a person"
        return f"{done} by {who}: {one_line(self.why, _WHY_LETTERS)}" if self.why else f"{done} by {who}"

    def data(self) -> dict[str, str]:
        """The same for programs."""
        found = {"user": one_line(self.user, _WHO_LETTERS), "why": one_line(self.why, _WHY_LETTERS)}
        return {name: text for name, text in found.items() if text}


def set_halt(conn: Connection, halt: bool, asked: Asked, *, at: float) -> bool:
    """Halt the loop or let it go on; returns whether that was news."""
    if state.halted(conn) == halt:
        return False
    state.set_halt(conn, halt, at=at)
    message = asked.note("halted" if halt else "the halt was lifted")
    events.record(conn, "halt", message, at=at, data={"halted": halt, **asked.data()})
    return True


def set_selfplay_share(conn: Connection, share: float, asked: Asked, *, at: float) -> bool:
    """Let that share of the self-play slots play; returns whether that was news.

    Raises:
        ConfigError: it is not within 0..1.
    """
    before = state.selfplay_share(conn)
    if share == before:
        return False
    state.set_selfplay_share(conn, share, at=at)
    message = asked.note(f"self-play share {share:g}, was {before:g}, set")
    events.record(conn, "worker", message, at=at, data={"share": share, "before": before, **asked.data()})
    return True
