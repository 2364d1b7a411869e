"""Models that the gates have judged, for the tests of what follows from the verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from new_ledger import new_ledger
from ringrift_loop.ledger import gates, models, promotions
from ringrift_loop.ledger.database import Ledger

VARIANT = "square8_2p"
FORMER, CHAMPION, CANDIDATE = ("1" * 64, "2" * 64, "3" * 64)


@contextmanager
def with_candidate(run_home: Path) -> Iterator[Ledger]:
    """A ledger with two champions, one after the other, and a candidate that has passed the regression gate."""
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    ledger = Ledger.open(url)
    with ledger.begin() as conn:
        for digest in (FORMER, CHAMPION, CANDIDATE):
            models.add(conn, digest, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
        for digest in (FORMER, CHAMPION):
            promotions.promote(conn, VARIANT, digest, reason="", elo_gain=None, games=0, at=1.0)
        gates.add(conn, VARIANT, CANDIDATE, gates.REGRESSION, passed=True, report={"tests": []}, at=1.0)
    yield ledger
    ledger.close()


def judge(ledger: Ledger, digest: str, against: str, *, passed: bool = True, **changes: Any) -> None:
    """The champion gate's verdict on a model."""
    report = {"champion_digest": against, "gain": 45.0, "games": 400, "reasons": ["+45 ± 30 Elo"], **changes}
    with ledger.begin() as conn:
        gates.add(conn, VARIANT, digest, gates.CHAMPION, passed=passed, report=report, at=2.0)


def champion_of(ledger: Ledger) -> str | None:
    """The champion's digest."""
    with ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
    return None if champion is None else champion.model_digest
