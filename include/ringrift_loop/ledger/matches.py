"""The immutable match log and the participants in it; ratings are computed from here and from nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, RowMapping, func, insert, select

from ringrift_loop.errors import LedgerError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger.schema import match_players, matches, participants

_PART = 500


@dataclass(frozen=True)
class Participant:
    """A player under one variant: weights and search settings together, or a baseline."""

    id: str  # "<model digest>|<search identity>" or the baseline's name
    variant: str
    model_digest: str | None  # None for a baseline
    search: dict[str, JsonValue]
    anchor_elo: float | None = None  # fixed rating, for anchors

    @property
    def kind(self) -> str:
        """`model` or `baseline`."""
        return "baseline" if self.model_digest is None else "model"


@dataclass(frozen=True)
class MatchRow:
    """One finished game between participants."""

    id: str  # hash of block, rotation and seats
    block: str  # same opening, every seat rotation
    variant: str
    purpose: str  # shadow, gate, champion, tournament, manual
    seats: list[str]  # participant id per seat
    opening: str
    moves: str
    winner: int | None  # seat 1..4
    places: list[int]  # finishing place per seat, 1 = first
    result: str
    plies: int
    host: str
    engine_version: str
    played_at: float


@dataclass(frozen=True)
class MatchResult:
    """What ratings and gates need of a match."""

    block: str
    purpose: str
    seats: list[str]  # participant id per seat
    places: list[int]
    winner: int | None  # seat 1..4
    result: str
    opening: str


def ensure_participant(conn: Connection, participant: Participant) -> None:
    """Write the participant unless it is there.

    Raises:
        LedgerError: it is there with other weights, search settings or anchor.
    """
    query = select(participants).where(
        participants.c.id == participant.id, participants.c.variant == participant.variant
    )
    row = conn.execute(query).first()
    if row is None:
        conn.execute(insert(participants).values(kind=participant.kind, **asdict(participant)))
        return
    found = _participant(row._mapping)
    if found != participant:
        raise LedgerError(f"participant {participant.id} of {participant.variant} is {found}, not {participant}")


def get_participants(conn: Connection, variant: str) -> dict[str, Participant]:
    """Every participant of a variant, by id."""
    rows = conn.execute(select(participants).where(participants.c.variant == variant).order_by(participants.c.id))
    return {row.id: _participant(row._mapping) for row in rows}


def add(conn: Connection, rows: Sequence[MatchRow]) -> int:
    """Write the matches that are new; their participants must exist under the match's variant.

    Returns:
        The number written; the others were there.

    Raises:
        LedgerError: a match has no players, or one it names is no participant of its variant.
    """
    fresh = {row.id: row for row in rows}
    for part in _parts(sorted(fresh)):
        for known in conn.execute(select(matches.c.id).where(matches.c.id.in_(part))).scalars():
            del fresh[known]
    allowed = {variant: set(get_participants(conn, variant)) for variant in {row.variant for row in fresh.values()}}
    for row in fresh.values():
        strangers = [seat for seat in row.seats if seat not in allowed[row.variant]]
        if strangers or not row.seats:
            raise LedgerError(f"match {row.id} of {row.variant} names {strangers}, no participants of that variant")
    if fresh:
        conn.execute(insert(matches), [asdict(row) for row in fresh.values()])
        conn.execute(insert(match_players), [player for row in fresh.values() for player in _players(row)])
    return len(fresh)


def results(conn: Connection, variant: str, *, purpose: str | None = None) -> list[MatchResult]:
    """The results of the variant's matches, of one purpose or of all, by match id."""
    columns = [matches.c[field] for field in MatchResult.__dataclass_fields__]
    query = select(*columns).where(matches.c.variant == variant).order_by(matches.c.id)
    if purpose is not None:
        query = query.where(matches.c.purpose == purpose)
    return [MatchResult(**row._mapping) for row in conn.execute(query)]


def last_played_at(conn: Connection, variant: str, *, purpose: str) -> float | None:
    """When the variant's newest match of one purpose ended; None without any."""
    query = select(func.max(matches.c.played_at)).where(matches.c.variant == variant, matches.c.purpose == purpose)
    at: float | None = conn.execute(query).scalar()
    return at


def of_blocks(conn: Connection, blocks: Sequence[str]) -> dict[str, list[MatchRow]]:
    """The matches of each of these blocks that has any, by match id within the block."""
    found: dict[str, list[MatchRow]] = {}
    for part in _parts(blocks):
        for row in conn.execute(select(matches).where(matches.c.block.in_(part)).order_by(matches.c.id)):
            found.setdefault(row.block, []).append(MatchRow(**row._mapping))
    return found


def blocks_by_pairing(conn: Connection, variant: str, purpose: str) -> dict[tuple[str, str], set[str]]:
    """The ids of the blocks of one purpose that each pair of participants has had; a pair is sorted."""
    blocks: dict[str, set[str]] = defaultdict(set)
    for result in results(conn, variant, purpose=purpose):
        blocks[result.block].update(result.seats)
    pairs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for block, names in blocks.items():
        if len(names) <= 2:
            pairs[min(names), max(names)].add(block)
    return dict(pairs)


def _participant(row: RowMapping) -> Participant:
    return Participant(**{column: value for column, value in row.items() if column != "kind"})


def _players(row: MatchRow) -> list[dict[str, object]]:
    return [
        {"match_id": row.id, "seat": seat, "variant": row.variant, "participant": participant}
        for seat, participant in enumerate(row.seats, start=1)
    ]


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[first : first + _PART] for first in range(0, len(ids), _PART))
