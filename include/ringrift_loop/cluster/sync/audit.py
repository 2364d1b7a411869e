"""The audit of the hosts: is every sealed segment in the ledger, and everything in the ledger what the hosts hold?"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from ringrift_loop.cluster.agent.actions import REPORT
from ringrift_loop.cluster.agent.report import HostReport, ReportRequest
from ringrift_loop.cluster.sync.budget import BUDGET
from ringrift_loop.cluster.transport.opening import HOSTS_AT_ONCE, Transports, open_transport
from ringrift_loop.cluster.transport.turns import failure_in, sentence
from ringrift_loop.hosts.inventory import Host
from ringrift_loop.ledger import hosts, promotions, segments
from ringrift_loop.loop import Loop
from ringrift_loop.status.verify import Finding
from ringrift_loop.text import counted


def audit_hosts(loop: Loop, *, transports: Transports = open_transport) -> list[Finding]:
    """Findings from comparing each enabled host's sealed segments and pointers with the ledger.

    A segment younger than `data_ingestion.max_age_seconds` may still be on its way; an older one that the ledger does
    not have is a finding, and so are a host that does not answer and one whose games are held back from training.
    """
    with loop.ledger.read() as conn:
        suspected = hosts.suspected(conn)
    held_back = [Finding("suspicion", host, f"held back from training: {why}") for host, why in suspected.items()]
    return held_back + asyncio.run(_audit(loop, transports))


async def _audit(loop: Loop, transports: Transports) -> list[Finding]:
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def one(host: Host) -> list[Finding]:
        found: list[Finding] = []

        async def turn() -> None:
            async with aclosing(transports(host, loop.directory)) as transport:
                report = await transport.call(REPORT, ReportRequest(list_all=True))
            found.extend(_compare(loop, host.name, report))

        async with gate:
            error = await failure_in(host.name, turn(), limit_s=BUDGET.visit_s)
        return found if error is None else [Finding("host", host.name, f"cannot be audited: {sentence(error)}")]

    return [finding for part in await asyncio.gather(*map(one, loop.inventory.enabled)) for finding in part]


def _compare(loop: Loop, host: str, report: HostReport) -> list[Finding]:
    with loop.ledger.read() as conn:
        known = segments.known_names(conn, host, [str(file.name) for file in report.sealed])
        champions = promotions.all_champions(conn)
    findings = [Finding("host", f"{host}/{name}", "is not a segment, but lies among them") for name in report.refused]
    limit_s = loop.config.data_ingestion.max_age_seconds
    for file in report.sealed:
        if str(file.name) not in known and file.age_s > limit_s:
            message = f"{counted(file.name.records, 'game')}, sealed {file.age_s:.0f} s ago, not in the ledger"
            findings.append(Finding("waiting", f"{host}/{file.name}", message))
    for variant, digest in report.pointers.items():
        champion = champions.get(variant)
        if champion is None:
            findings.append(Finding("pointer", f"{host}/{variant}", f"names {digest}, but there is no champion"))
    return findings
