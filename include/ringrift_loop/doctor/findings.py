"""The checks by name, and what a check says: status, value found, what would be right, a remedy to type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ringrift_loop.text import aligned, one_line, without_secrets

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
HERE = "this machine"
_MAX_SHOWN = 2000

# Every check and its question. `docs/5-operations.md` has a row for each, with the guide's recipe that it stands for.
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        # This machine
        "python": "is this a Python that the loop supports?",
        "packages": "is every package there, at a version that fits, and can it be imported?",
        "configuration": "does the configuration parse?",
        "inventory": "does the inventory of hosts parse?",
        "ledger": "does the ledger answer, at this version's schema?",
        "run-directory": "can the run directory be written?",
        "disk": "is there room on the run directory's disk?",
        "ports": "are the page's and the metrics' ports free, or ours?",
        "launcher": "does the loop run here?",
        "dags": "does every DAG file load in Airflow?",
        "pools": "are the pools of the DAGs' tasks there?",
        "connections": "does every Airflow connection that the inventory names resolve?",
        "next-runs": "does every periodic DAG start again soon?",
        # The loop
        "halt": "is the loop halted, or self-play held back?",
        "training": "how far is each variant from its next training?",
        "training-run": "is a training run stuck?",
        "failing-hosts": "which hosts failed, how often, and when are they retried?",
        "suspected-hosts": "whose games are held back from training, because they differ from the other hosts'?",
        "metrics": "does the metrics endpoint answer, and do packets arrive?",
        "quarantine": "were games refused?",
        "reload": "do the workers play with the champion?",
        "champions": "what did the run begin with, and are the champions that come with the package whole?",
        # Hosts
        "ssh": "can the host be reached, and does it let us in?",
        "program": "is our program there, at this version?",
        "host-python": "is the host's Python one that the loop supports?",
        "root": "can the host's root folder be written?",
        "host-disk": "is there room on the host's disk?",
        "host-memory": "does the host have the memory that the inventory says, and some of it free?",
        "host-cpus": "does the host have the cores that the inventory says?",
        "host-gpu": "does the host have the GPUs that the inventory says?",
        "clock": "does the host's clock agree with ours?",
        "rsync": "is rsync on the host?",
        "sync": "what would a sync of this host find?",
    }
)


@dataclass(frozen=True)
class Finding:
    """What one check says of one subject."""

    check: str  # a key of CHECKS
    subject: str  # this machine, a host or a variant
    status: str  # OK, WARNING, FAILED or SKIPPED
    met: str  # the value, or why nothing was looked at
    right: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        assert self.check in CHECKS, self.check
        assert self.remedy or self.status in (OK, SKIPPED), f"{self.check} complains without a remedy"


def graded(
    check: str, subject: str, met: str, *, failed: bool, warning: bool = False, right: str, remedy: str
) -> Finding:
    """A finding whose status follows from two comparisons; a remedy is shown only where there is something to fix."""
    if failed or warning:
        return Finding(check, subject, FAILED if failed else WARNING, met, right, remedy)
    return Finding(check, subject, OK, met, right)


def looked_at(check: str, subject: str, look: Callable[[], Iterable[Finding]], remedy: str) -> Iterator[Finding]:
    """What a look finds; one that breaks off is a finding as well, never the end of the others."""
    try:
        yield from list(look())
    except Exception as error:  # noqa: BLE001 - whatever a check meets is its own finding
        met = without_secrets(one_line(str(error))) or type(error).__name__
        yield Finding(check, subject, FAILED, met, CHECKS[check], remedy)


def table(findings: Sequence[Finding]) -> str:
    """One line per finding; below each complaint, what would be right and what to type."""
    rows = [(one.status, one.check, one.subject, _shown(one.met)) for one in findings]
    head, *told = aligned([("status", "check", "of", "found"), *rows])
    lines = [head]
    for line, finding in zip(told, findings, strict=True):
        lines.append(line)
        if finding.status in (WARNING, FAILED):
            lines += [f"    wanted: {_shown(finding.right)}"] if finding.right else []
            lines.append(f"    remedy: {_shown(finding.remedy)}")
    counts = {status: sum(one.status == status for one in findings) for status in (OK, WARNING, FAILED, SKIPPED)}
    return "\n".join([*lines, "", ", ".join(f"{number} {status}" for status, number in counts.items())])


def _shown(text: str) -> str:
    return without_secrets(one_line(text, _MAX_SHOWN))
