"""What hosts said of their machines: one sample a visit, kept for a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select

from ringrift_loop.ledger.schema import utilization_samples
from ringrift_loop.machine.utilization import GpuUse

KEEP_S = 86_400.0


@dataclass(frozen=True)
class SampleRow:
    """One host's sample; percentages are of its machine."""

    host: str
    at: float  # UTC seconds
    machine: str
    seconds: float
    cpu: float
    workers: float
    jobs: float
    memory: float
    control: float = 0.0
    duty: float = 1.0  # that the workers had
    gpus: tuple[GpuUse, ...] = ()
    gpu_problem: str | None = None
    disk: float | None = None  # of the root folder's file system
    unsynced: int | None = None  # segments that were due and are still on the host after the visit
    unsynced_s: float | None = None  # age of the oldest of them when the host told, s
    allowance: dict[str, object] | None = None  # what the host's workers were told, as they have it


def add(conn: Connection, *samples: SampleRow) -> None:
    """Keep samples; a host's second one of the same moment replaces the first. What is older than a day goes."""
    for sample in samples:
        own = utilization_samples.c
        conn.execute(delete(utilization_samples).where(own.host == sample.host, own.at == sample.at))
        conn.execute(insert(utilization_samples).values(asdict(sample)))
    if samples:
        oldest = max(sample.at for sample in samples) - KEEP_S
        conn.execute(delete(utilization_samples).where(utilization_samples.c.at < oldest))


def forget_later(conn: Connection, host: str, at: float) -> None:
    """Forget what a host told after a time, before the clock was set back: it would be the newest for as long."""
    own = utilization_samples.c
    conn.execute(delete(utilization_samples).where(own.host == host, own.at > at))


def since(conn: Connection, at: float) -> list[SampleRow]:
    """The samples of all hosts from a time on, oldest first."""
    query = select(utilization_samples).where(utilization_samples.c.at >= at).order_by(utilization_samples.c.at)
    rows = (dict(row._mapping) for row in conn.execute(query))
    return [SampleRow(**{**row, "gpus": tuple(GpuUse(**gpu) for gpu in row["gpus"])}) for row in rows]


def newest(samples: Sequence[SampleRow]) -> dict[str, SampleRow]:
    """The last sample of each host."""
    return {sample.host: sample for sample in samples}
