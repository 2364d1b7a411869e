"""Gate reports: every verdict on a model, with each test's figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from ringrift_loop.errors import LedgerError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.schema import gate_reports

REGRESSION = "regression"
CHAMPION = "champion"


@dataclass(frozen=True)
class GateRow:
    """One verdict."""

    id: int
    variant: str
    model_digest: str
    gate: str  # REGRESSION or CHAMPION
    passed: bool
    report: dict[str, JsonValue]
    created_at: float


def add(
    conn: Connection,
    variant: str,
    model_digest: str,
    gate: str,
    *,
    passed: bool,
    report: Mapping[str, JsonValue],
    at: float,
) -> int:
    """Append a verdict; returns its id.

    Raises:
        LedgerError: the gate is not one of the two.
    """
    if gate not in (REGRESSION, CHAMPION):
        raise LedgerError(f"a gate is {REGRESSION!r} or {CHAMPION!r}, got {gate!r}")
    values = {
        "variant": variant,
        "model_digest": model_digest,
        "gate": gate,
        "passed": passed,
        "report": dict(report),
        "created_at": at,
    }
    key = conn.execute(insert(gate_reports).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def add_new(
    conn: Connection,
    variant: str,
    model_digest: str,
    gate: str,
    *,
    passed: bool,
    report: Mapping[str, JsonValue],
    at: float,
) -> bool:
    """Append a verdict unless the gate's last one on the model is the same but for `seconds`, the time it took.

    Returns:
        Whether it was appended.
    """
    last = latest(conn, model_digest=model_digest, gate=gate)
    if last is not None and last.passed == passed and _figures(last.report) == _figures(report):
        return False
    add(conn, variant, model_digest, gate, passed=passed, report=report, at=at)
    return True


def latest(conn: Connection, *, model_digest: str, gate: str) -> GateRow | None:
    """The newest verdict of a gate on a model."""
    query = (
        select(gate_reports)
        .where(gate_reports.c.model_digest == model_digest, gate_reports.c.gate == gate)
        .order_by(gate_reports.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).first()
    return None if row is None else GateRow(**row._mapping)


def verdicts(conn: Connection, model_digest: str) -> tuple[GateRow, ...]:
    """The newest verdict of each gate that has judged a model."""
    found = (latest(conn, model_digest=model_digest, gate=gate) for gate in (REGRESSION, CHAMPION))
    return tuple(row for row in found if row is not None)


def passed(conn: Connection, model_digest: str) -> bool:
    """Whether both gates say yes of a model: nothing but its promotion is left."""
    found = verdicts(conn, model_digest)
    return len(found) == 2 and all(row.passed for row in found)


def _figures(report: Mapping[str, JsonValue]) -> JsonValue:
    """The report as the ledger gives it back, without the time the gate took."""
    figures: JsonValue = json.loads(json.dumps({name: value for name, value in report.items() if name != "seconds"}))
    return figures
