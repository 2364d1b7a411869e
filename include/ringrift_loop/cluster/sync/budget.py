"""What one host may use of this machine, in one cycle and in all: the one place for these limits.

What is over waits for the next cycle, on the host or in its incoming folder, and delays no other host. A segment that
alone needs more than a whole budget would wait for ever: it is quarantined. Of refused games a host may leave so much
here in all; beyond that each segment leaves one line.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ringrift_loop.cluster.agent.report import SealedFile


@dataclass(frozen=True)
class Budget:
    """Of one host in one cycle, but for the last one."""

    visit_s: float = 60.0  # wall clock: round trip, pulls and pushes
    files: int = 200  # segments fetched
    incoming_bytes: int = 256 << 20  # of these; no more ever lies in the host's incoming folder
    records: int = 20_000  # in these, by their names
    cpu_s: float = 20.0  # for checking and replaying them
    refused: int = 1000  # records that go into quarantine
    quarantine_bytes: int = 16 << 20  # of refused records' texts and of segments refused as a whole
    quarantine_total_bytes: int = 64 << 20  # the same, and reasons, over all cycles


BUDGET = Budget()


class OverBudgetError(Exception):
    """A host has used up a part of its budget; the message is the sentence for people."""


@dataclass
class Account:
    """What a host has used in this cycle; `over` says what it ran out of."""

    host: str
    budget: Budget = BUDGET
    cpu_s: float = 0.0
    refused: int = 0
    quarantine_bytes: int = 0
    over: str | None = None
    over_while_checking: bool = False  # its other segments wait as well
    _since: float = 0.0

    def fetched(self, new: Sequence[SealedFile]) -> list[SealedFile]:
        """The first of the new segments, as many as may be fetched; at least one."""
        size_bytes = records = 0
        for place, file in enumerate(new):
            size_bytes += file.size_bytes
            records += file.name.records
            for value, most, unit in (
                (place + 1, self.budget.files, "segments"),
                (size_bytes, self.budget.incoming_bytes, "bytes"),
                (records, self.budget.records, "records"),
            ):
                if place and value > most:
                    self.over = f"{len(new) - place} segments wait there: {most} {unit} are fetched in a cycle"
                    return list(new[:place])
        return list(new)

    @property
    def fresh(self) -> bool:
        """Nothing of the host was checked yet."""
        return self.cpu_s == 0.0

    def begin(self) -> None:
        """Count the CPU time of this thread from here on."""
        self._since = time.thread_time()

    def check(self) -> None:
        """Count what was used since `begin` or the last check.

        Raises:
            OverBudgetError: something is used up.
        """
        now = time.thread_time()
        self.cpu_s, self._since = self.cpu_s + now - self._since, now
        if self.cpu_s > self.budget.cpu_s:
            raise OverBudgetError(f"checking its games took more than {self.budget.cpu_s:g} s of CPU time")
        if self.refused > self.budget.refused:
            raise OverBudgetError(f"more than {self.budget.refused} of its records were refused")
        if self.quarantine_bytes > self.budget.quarantine_bytes:
            raise OverBudgetError(f"more than {self.budget.quarantine_bytes} bytes of it went into quarantine")
