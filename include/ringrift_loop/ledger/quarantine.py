"""Games and segments that were refused, each with its reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func, insert, select

from ringrift_loop.ledger.schema import quarantine, segments
from ringrift_loop.text import one_line

PAYLOAD_LIMIT = 65536
_REASON_LIMIT = 4000


@dataclass(frozen=True)
class QuarantineRow:
    """One refused record, or a whole segment when `position` is None."""

    host: str
    segment: str  # name of the segment
    position: int | None
    game_id: str | None
    reason: str
    payload: str | None
    quarantined_at: float

    @property
    def size(self) -> int:
        """Letters that it keeps, about."""
        return len(self.reason) + len(self.payload or "")


def add(conn: Connection, row: QuarantineRow) -> bool:
    """Write the row; False when this place of the segment is there already. The payload is cut at 64 KiB."""
    place = quarantine.c.position.is_(None) if row.position is None else quarantine.c.position == row.position
    query = select(quarantine.c.id).where(quarantine.c.host == row.host, quarantine.c.segment == row.segment, place)
    if conn.execute(query).first() is not None:
        return False
    values = asdict(row)
    values["payload"] = None if row.payload is None else _storable(row.payload)[:PAYLOAD_LIMIT]
    values["reason"] = one_line(row.reason, _REASON_LIMIT)
    conn.execute(insert(quarantine).values(values))
    return True


def kept(conn: Connection, host: str) -> int:
    """Letters that the quarantine keeps of a host, and bytes of its segment files without a game that counts."""
    letters = func.length(quarantine.c.reason) + func.coalesce(func.length(quarantine.c.payload), 0)
    useless = (segments.c.host == host) & (segments.c.games_new == 0) & (segments.c.games_quarantined > 0)
    return sum(
        int(conn.execute(select(func.coalesce(func.sum(size), 0)).where(where)).scalar_one())
        for size, where in ((letters, quarantine.c.host == host), (segments.c.size_bytes, useless))
    )


def count(conn: Connection) -> int:
    """The number of refused records and segments."""
    return conn.execute(select(func.count()).select_from(quarantine)).scalar_one()


def latest(conn: Connection, *, limit: int = 50) -> list[QuarantineRow]:
    """The newest refusals, newest first."""
    columns = [column for column in quarantine.c if column.name != "id"]
    rows = conn.execute(select(*columns).order_by(quarantine.c.id.desc()).limit(limit))
    return [QuarantineRow(**row._mapping) for row in rows]


def _storable(text: str) -> str:
    """The text without what PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\x00", "\\0").encode("utf-8", "replace").decode()
