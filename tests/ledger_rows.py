"""Whole rows of the ledger's tables, as tests look at them; the loop itself never reads a table like that."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Connection, select

from ringrift_loop.ledger import schema
from ringrift_loop.ledger.games import GameRow
from ringrift_loop.ledger.gates import GateRow
from ringrift_loop.ledger.leases import LeaseRow
from ringrift_loop.ledger.promotions import Promotion
from ringrift_loop.ledger.segments import SegmentRow
from ringrift_loop.ledger.training import TrainingRunRow

_TABLES = {
    GameRow: schema.games,
    GateRow: schema.gate_reports,
    LeaseRow: schema.leases,
    Promotion: schema.promotions,
    SegmentRow: schema.segments,
    TrainingRunRow: schema.training_runs,
}

Row = TypeVar("Row")


def rows(conn: Connection, kind: type[Row], **equal: object) -> list[Row]:
    """The rows whose columns have these values, by primary key."""
    table = _TABLES[kind]
    query = select(table).filter_by(**equal).order_by(*table.primary_key)
    return [kind(**row._mapping) for row in conn.execute(query)]
