"""Single values of the loop: when it started, its last cycle, whether it is halted."""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy import Connection, insert, select, update

from ringrift_loop.ledger.schema import loop_state

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

STARTED_AT = "started_at"
LAST_CYCLE_AT = "last_cycle_at"
HALT = "halt"


def get(conn: Connection, key: str) -> JsonValue:
    """The value of a key, or None when it was never set."""
    value: JsonValue = conn.execute(select(loop_state.c.value).where(loop_state.c.key == key)).scalar_one_or_none()
    return value


def put(conn: Connection, key: str, value: JsonValue, *, at: float) -> None:
    """Set a key, replacing what was there."""
    row = {"value": value, "updated_at": at}
    if conn.execute(update(loop_state).where(loop_state.c.key == key).values(row)).rowcount == 0:
        conn.execute(insert(loop_state).values(key=key, **row))


def halted(conn: Connection) -> bool:
    """Whether a person has told the loop to stand still."""
    return get(conn, HALT) is True


def set_halt(conn: Connection, halt: bool, *, at: float) -> None:
    """Make the loop stand still, or go on; self-play workers are stopped at the next reconcile."""
    put(conn, HALT, halt, at=at)
