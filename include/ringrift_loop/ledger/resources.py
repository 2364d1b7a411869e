"""What was decided on machines, rates and weights; the last row of each is what holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import state
from ringrift_loop.ledger.schema import config_weights, rate_negotiations, resource_decisions

SCALE_UP, SCALE_DOWN, HOLD, NO_DATA = "scale_up", "scale_down", "hold", "no_data"
KEEP_S = 7 * 86_400.0
_BACKPRESSURE = "backpressure"


@dataclass(frozen=True)
class DecisionRow:
    """One decision on a machine."""

    machine: str
    at: float  # UTC seconds
    action: str  # SCALE_UP, SCALE_DOWN, HOLD or NO_DATA
    duty: float  # 0..1
    inputs: dict[str, JsonValue]
    state: dict[str, JsonValue]
    reason: str


@dataclass(frozen=True)
class NegotiationRow:
    """One request for a rate and its answer, games an hour."""

    at: float
    requestor: str
    reason: str
    requested: float
    approved: int
    answer: str


def decide(conn: Connection, *rows: DecisionRow) -> None:
    """Write decisions on different machines down.

    One that holds takes the place of its machine's last one when that held too, or a quiet fleet would write a million
    rows a day. Those older than a week go, but never a machine's last.
    """
    if not rows:
        return
    table = resource_decisions.c
    last = select(func.max(table.id)).group_by(table.machine)
    holding = select(table.machine, table.id).where(table.id.in_(last), table.action == HOLD)
    held: dict[str, int] = dict(conn.execute(holding).all())
    new = []
    for row in rows:
        if row.action == HOLD and row.machine in held:
            conn.execute(update(resource_decisions).where(table.id == held[row.machine]).values(asdict(row)))
        else:
            new.append(asdict(row))
    if new:
        conn.execute(insert(resource_decisions), new)
    oldest = max(row.at for row in rows) - KEEP_S
    conn.execute(delete(resource_decisions).where(table.at < oldest, table.id.not_in(last)))


def decisions(conn: Connection) -> dict[str, DecisionRow]:
    """What holds on each machine."""
    table = resource_decisions.c
    last = select(func.max(table.id)).group_by(table.machine)
    rows = conn.execute(select(resource_decisions).where(table.id.in_(last)))
    return {row.machine: _decision(row) for row in rows}


def history(conn: Connection, machine: str, *, most: int) -> list[DecisionRow]:
    """A machine's last decisions, the newest first; of those that held one after another only the last is kept."""
    table = resource_decisions.c
    query = select(resource_decisions).where(table.machine == machine).order_by(table.id.desc()).limit(most)
    return [_decision(row) for row in conn.execute(query)]


def negotiate(conn: Connection, row: NegotiationRow) -> None:
    """Write a negotiation down."""
    conn.execute(insert(rate_negotiations).values(asdict(row)))


def negotiated(conn: Connection) -> NegotiationRow | None:
    """The rate that holds; None before the first negotiation."""
    row = conn.execute(select(rate_negotiations).order_by(rate_negotiations.c.id.desc()).limit(1)).first()
    return None if row is None else NegotiationRow(*(getattr(row, name) for name in NegotiationRow.__annotations__))


def backpressure(conn: Connection) -> JsonValue:
    """What pressed at the last look, as it was written; None before the first."""
    return state.get(conn, _BACKPRESSURE)


def note_backpressure(conn: Connection, value: JsonValue, *, at: float) -> None:
    """Write down what presses now."""
    state.put(conn, _BACKPRESSURE, value, at=at)


def weights(conn: Connection) -> dict[str, float]:
    """The stored weights by variant."""
    return dict(conn.execute(select(config_weights.c.variant, config_weights.c.weight)).all())


def replace_weights(conn: Connection, new: Mapping[str, float], *, at: float) -> None:
    """Put new weights in the place of all old ones."""
    conn.execute(delete(config_weights))
    if new:
        conn.execute(insert(config_weights), [{"variant": v, "weight": w, "updated_at": at} for v, w in new.items()])


def _decision(row: Row[Any]) -> DecisionRow:
    return DecisionRow(*(getattr(row, name) for name in DecisionRow.__annotations__))
