"""The audit: does the ledger agree with itself and with the files of the run directory?

Each check is a function from a connection to findings; most are one query that returns nothing when all is well. What
hosts hold is compared in `cluster.audit`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select, text

from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import jobs, schema
from ringrift_loop.ledger.promotions import PROMOTED, ROLLED_BACK
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.segments import segment_path
from ringrift_loop.text import counted, one_line

_MAX_LINE = 2000


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be."""

    check: str
    subject: str
    message: str

    def __str__(self) -> str:
        return one_line(f"{self.check}: {self.subject}: {self.message}", _MAX_LINE)


def verify(loop: Loop, *, files: bool = False) -> list[Finding]:
    """Every finding of the audit; empty when all is well.

    Args:
        loop: the loop; it may be running, each check sees one consistent state.
        files: also compute the sha256 of every ingested segment.
    """
    with loop.ledger.read() as conn:
        return [
            *_database(conn),
            *_segment_counts(conn),
            *_sequence_gaps(conn),
            *_duplicates(conn),
            *_training_claims(conn),
            *_champions(conn),
            *_matches(conn),
            *_jobs(conn, loop.clock()),
            *_segment_files(conn, loop.directory, files),
            *_model_files(conn, loop.directory),
        ]


def _database(conn: Connection) -> Iterator[Finding]:
    """SQLite's own checks, and rows that refer to nothing; PostgreSQL never lets the latter in."""
    if conn.dialect.name != "sqlite":
        return
    for (message,) in conn.execute(text("PRAGMA integrity_check")):
        if message != "ok":
            yield Finding("database", "integrity", str(message))
    for table, row, parent, _ in conn.execute(text("PRAGMA foreign_key_check")):
        yield Finding("orphan", f"{table} row {row}", f"refers to a row of {parent} that does not exist")


def _segment_counts(conn: Connection) -> Iterator[Finding]:
    """A segment's row counts its games, and no game is counted in none."""
    segments, games, quarantine = schema.segments, schema.games, schema.quarantine
    in_games = {
        (host, name): number
        for host, name, number in conn.execute(
            select(games.c.host, games.c.segment, func.count()).group_by(games.c.host, games.c.segment)
        )
    }
    refused: dict[tuple[str, str], int] = defaultdict(int)
    whole = set()
    query = select(quarantine.c.host, quarantine.c.segment, quarantine.c.position)
    for host, name, position in conn.execute(query):
        if position is None:
            whole.add((host, name))
        else:
            refused[host, name] += 1
    for row in conn.execute(select(segments)):
        place = (row.host, row.name)
        subject = f"{row.host}/{row.name}"
        if row.records != row.games_new + row.games_known + row.games_quarantined:
            yield Finding("counts", subject, f"{row.records} records are not new + known + quarantined")
        if in_games.get(place, 0) != row.games_new:
            yield Finding("counts", subject, f"says {row.games_new} new games, the ledger has {in_games.get(place, 0)}")
        expected = row.games_quarantined if place not in whole else 0
        if refused.get(place, 0) != expected:
            yield Finding(
                "counts", subject, f"says {expected} records in quarantine, there are {refused.get(place, 0)}"
            )


def _sequence_gaps(conn: Connection) -> Iterator[Finding]:
    """Within a host's epoch segments are numbered 1, 2, 3, ...; a missing number is a lost segment."""
    segments = schema.segments
    by_epoch: dict[tuple[str, str], set[int]] = defaultdict(set)
    for host, epoch, seq in conn.execute(select(segments.c.host, segments.c.epoch, segments.c.seq)):
        by_epoch[host, epoch].add(seq)
    for (host, epoch), seqs in sorted(by_epoch.items()):
        missing = sorted(set(range(1, max(seqs) + 1)) - seqs)
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            yield Finding("gap", f"{host}/{epoch}", f"{counted(len(missing), 'segment')} never came in: {shown}")


def _duplicates(conn: Connection) -> Iterator[Finding]:
    """The constraints forbid these; a database that was repaired or copied by hand may hold them."""
    games = schema.games
    for column in (games.c.id, games.c.move_hash):
        query = select(column, func.count()).group_by(column).having(func.count() > 1)
        for value, number in conn.execute(query):
            yield Finding("duplicate", f"game {column.name} {value}", f"is there {number} times")


def _training_claims(conn: Connection) -> Iterator[Finding]:
    """A game is consumed by an existing run that did not fail; a run consumed what it says."""
    games, runs, models = schema.games, schema.training_runs, schema.models
    query = select(games.c.training_run, func.count()).where(games.c.training_run.is_not(None))
    claimed: dict[str | None, int] = dict(conn.execute(query.group_by(games.c.training_run)).all())
    known = set(conn.execute(select(models.c.digest)).scalars())
    for run in conn.execute(select(runs)):
        number = claimed.pop(run.id, 0)
        if run.state == "failed" and number:
            yield Finding("claim", run.id, f"the run failed but still holds {counted(number, 'game')}")
        elif run.state != "failed" and number != run.games:
            yield Finding("claim", run.id, f"says that it consumed {run.games} games, {number} are marked so")
        if run.state == "succeeded" and run.model_digest not in known:
            yield Finding("claim", run.id, f"succeeded, but its model {run.model_digest} is not in the ledger")
    for missing, number in claimed.items():
        yield Finding("claim", str(missing), f"consumed {counted(number, 'game')} and does not exist")


def _champions(conn: Connection) -> Iterator[Finding]:
    """The pointer is what the promotions say, and points to a model of its variant."""
    promotions, models = schema.promotions, schema.models
    variant_of = dict(conn.execute(select(models.c.digest, models.c.variant)).all())
    moves: dict[str, list[str]] = defaultdict(list)
    query = select(promotions).where(promotions.c.status.in_((PROMOTED, ROLLED_BACK))).order_by(promotions.c.id)
    for row in conn.execute(query):
        before = moves[row.variant][-1] if moves[row.variant] else None
        if row.previous_digest != before:
            yield Finding("champion", row.variant, f"promotion {row.id} follows {row.previous_digest}, not {before}")
        moves[row.variant].append(row.model_digest)
    for champion in conn.execute(select(schema.champions)):
        history = moves.pop(champion.variant, [])
        if variant_of.get(champion.model_digest) != champion.variant:
            yield Finding("champion", champion.variant, f"{champion.model_digest} is not a model of this variant")
        if not history or history[-1] != champion.model_digest or len(history) != champion.generation:
            said = f"{champion.model_digest} of generation {champion.generation}"
            yield Finding(
                "champion", champion.variant, f"is {said}, the promotions say {history[-1:]} of {len(history)}"
            )
    for variant, history in moves.items():
        if history:
            yield Finding("champion", variant, f"{history[-1]} was promoted, but there is no champion")


def _matches(conn: Connection) -> Iterator[Finding]:
    """Every seat of a match is a participant of its variant; every rating belongs to one."""
    matches, players, participants = schema.matches, schema.match_players, schema.participants
    sat: dict[str, dict[int, str]] = defaultdict(dict)
    for row in conn.execute(select(players)):
        sat[row.match_id][row.seat] = row.participant
    for match_id, seats in conn.execute(select(matches.c.id, matches.c.seats)):
        if sat.pop(match_id, {}) != dict(enumerate(seats, start=1)):
            yield Finding("match", match_id, "its seats and its players differ")
    same = and_(participants.c.id == players.c.participant, participants.c.variant == players.c.variant)
    other = and_(matches.c.id == players.c.match_id, matches.c.variant != players.c.variant)
    strangers = (
        select(players.c.match_id, players.c.participant)
        .outerjoin(participants, same)
        .outerjoin(matches, other)
        .where(or_(participants.c.id.is_(None), matches.c.id.is_not(None)))
    )
    for match_id, participant in conn.execute(strangers):
        yield Finding("match", match_id, f"{participant} is not a participant of the match's variant")
    ratings = schema.ratings
    rated = and_(participants.c.id == ratings.c.participant, participants.c.variant == ratings.c.variant)
    unknown = select(ratings.c.variant, ratings.c.participant).outerjoin(participants, rated)
    for variant, participant in conn.execute(unknown.where(participants.c.id.is_(None))):
        yield Finding("rating", variant, f"{participant} has a rating but is not a participant")


def _jobs(conn: Connection, now: float) -> Iterator[Finding]:
    """A job that counts as running was heard of before it would have ended by itself."""
    for row in jobs.active(conn):
        silent = now - row.last_contact_at
        if row.state != jobs.UNREACHABLE and silent > row.fence_s:
            yield Finding("job", row.id, f"is {row.state} on {row.host}, not asked about for {silent:.0f} s")


def _segment_files(conn: Connection, directory: RunDirectory, hashed: bool) -> Iterator[Finding]:
    """The file of every segment is there, has its size and, when asked for, its digest.

    It may be gone when none of its games counts: a host's refused games are kept up to a limit. Or when retention gave
    it up.
    """
    for row in conn.execute(select(schema.segments).where(schema.segments.c.pruned_at.is_(None))):
        subject = f"{row.host}/{row.name}"
        try:
            path = segment_path(directory, row.host, row.name)
            size = path.stat().st_size
        except FileNotFoundError:
            if row.games_new == 0 and row.games_quarantined:
                continue
            yield Finding("file", subject, "the segment's file is missing from the run directory")
            continue
        except DataError as error:
            yield Finding("file", subject, str(error))
            continue
        if size != row.size_bytes:
            yield Finding("file", subject, f"the file has {size} bytes, the ledger says {row.size_bytes}")
        elif hashed and hashlib.sha256(path.read_bytes()).hexdigest() != row.sha256:
            yield Finding("file", subject, "the file's sha256 is not the ledger's")


def _model_files(conn: Connection, directory: RunDirectory) -> Iterator[Finding]:
    """Every champion's files are there and are what its digest says."""
    from ringrift_loop.network.artifact import verify as verify_model

    for champion in conn.execute(select(schema.champions)):
        try:
            manifest = verify_model(directory.model(champion.model_digest), champion.model_digest)
        except ModelError as error:
            yield Finding("model", champion.variant, str(error))
            continue
        if manifest.variant != champion.variant:
            yield Finding("model", champion.variant, f"the champion's manifest is for {manifest.variant}")
