"""Models to the hosts: pushed under their digest, checked there, the pointer file renamed last.

Level-triggered: `sync` compares each host's pointers with the champions at every cycle and sends what is missing, so a
host that was away gets the champion when it returns. `distribute` does the same for one model at once, after its
promotion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from ringrift_loop.cluster.agent.actions import POINT
from ringrift_loop.cluster.agent.report import HostReport
from ringrift_loop.cluster.agent.requests import Point
from ringrift_loop.cluster.transport.opening import Transports, open_transport
from ringrift_loop.cluster.transport.protocol import Transport
from ringrift_loop.cluster.transport.turns import failure_in, sentence
from ringrift_loop.errors import HostError, LedgerError, LoopError, ModelError
from ringrift_loop.hosts.inventory import SELFPLAY, Host
from ringrift_loop.json_value import JsonValue
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import events, models, promotions, workers
from ringrift_loop.ledger.promotions import Champion
from ringrift_loop.loop import Loop
from ringrift_loop.selfplay.heartbeat import variant_plays
from ringrift_loop.selfplay.pointer import Pointer
from ringrift_loop.text import one_line

PUSH_LIMIT_S = 120.0  # wall clock for one host
_PUSHES_AT_ONCE = 8  # more do not help: the coordinator's link is the limit
# A heartbeat older than this, and than three looks at the hosts, says nothing about what the worker plays now.
FRESH_S = 120.0
_FRESH_POLLS = 3


@dataclass(frozen=True)
class DistributeReport:
    """Which hosts have the model now."""

    variant: str
    digest: str
    reached: tuple[str, ...]
    failed: Mapping[str, str]  # host -> what was wrong; the next sync cycles try again

    def as_json(self) -> dict[str, JsonValue]:
        """The report for logs and XCom."""
        return {
            "variant": self.variant,
            "digest": self.digest,
            "reached": list(self.reached),
            "failed": dict(self.failed),
        }


@dataclass(frozen=True)
class ReloadStatus:
    """How far the workers of a variant have changed over to a model."""

    variant: str
    digest: str
    loaded: tuple[str, ...]  # "host/slot" of workers that play it
    waiting: Mapping[str, str]  # "host/slot" of live ones that do not yet -> what they play, or their error
    silent: tuple[str, ...]  # "host/slot" without a fresh heartbeat, whatever they play
    keeping: tuple[str, ...] = ()  # "host/slot" that keep theirs until they are restarted (hot_reload: false)

    @property
    def done(self) -> bool:
        """Every live worker of the variant plays the model; a variant without one has nothing to wait for."""
        return not self.waiting

    def describe(self) -> str:
        """One line for people."""
        text = f"{len(self.loaded)} of {len(self.loaded) + len(self.waiting)} workers play {self.digest[:12]}"
        if self.waiting:
            text += "; waiting for " + ", ".join(f"{name} ({why})" for name, why in self.waiting.items())
        if self.keeping:
            text += f"; kept from reloading: {', '.join(self.keeping)}"
        return text + (f"; silent: {', '.join(self.silent)}" if self.silent else "")

    def as_json(self) -> dict[str, JsonValue]:
        """The status for logs and XCom."""
        return {
            "variant": self.variant,
            "digest": self.digest,
            "loaded": list(self.loaded),
            "waiting": dict(self.waiting),
            "silent": list(self.silent),
            "keeping": list(self.keeping),
            "done": self.done,
        }


def distribute(loop: Loop, digest: str, *, transports: Transports = open_transport) -> DistributeReport:
    """Send a champion to every self-play host; hosts that cannot be reached get it when they are back.

    Raises:
        LedgerError: the model is not the champion of its variant.
        ModelError: its files here are not what its manifest says.
        HostError: not one host took it.
    """
    with loop.ledger.read() as conn:
        model = models.get(conn, digest)
        champion = None if model is None else promotions.champion(conn, model.variant)
    if model is None or champion is None or champion.model_digest != digest:
        raise LedgerError(f"{digest} is not a champion; only champions are distributed")
    _check_files(loop.directory, digest)
    failed = asyncio.run(_distribute(loop, champion, transports))
    hosts = [host.name for host in loop.inventory.with_role(SELFPLAY)]
    report = DistributeReport(model.variant, digest, tuple(name for name in hosts if name not in failed), failed)
    for name in hosts:
        status = "failed" if name in failed else "succeeded"
        loop.metrics.incr("ringrift_distributions_total", host=name, status=status)
    with loop.ledger.begin() as conn:
        message = f"model {digest[:12]} is on {len(report.reached)} of {len(hosts)} hosts"
        events.record(conn, "distribution", message, at=loop.clock(), variant=model.variant, data=report.as_json())
    if hosts and not report.reached:
        why = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        raise HostError(f"no host took model {digest[:12]}; the sync tries again with each cycle. {why}")
    return report


def reload_status(loop: Loop, digest: str) -> ReloadStatus:
    """Which of the workers that play the model's variant play it with the model, by their last heartbeats.

    Raises:
        LedgerError: the ledger knows no such model.
    """
    with loop.ledger.read() as conn:
        model = models.get(conn, digest)
        rows = workers.all_workers(conn)
        players = promotions.generators(conn)
    if model is None:
        raise LedgerError(f"the ledger knows no model {digest}")
    # A candidate that generates in the champion's place came after it.
    wanted = {digest, players[model.variant].model_digest} if model.variant in players else {digest}
    loaded, waiting, silent, keeping = [], {}, [], []
    fresh_s = max(FRESH_S, _FRESH_POLLS * loop.config.data_ingestion.poll_interval_seconds)
    for row in rows:
        name, beat = f"{row.host}/{row.slot}", row.heartbeat
        if beat is None or row.heartbeat_at is None or loop.clock() - row.heartbeat_at > fresh_s:
            silent.append(name)
            continue
        play = variant_plays(beat).get(model.variant)
        if play is None:
            continue  # the variant is not in its plan yet, and will begin with the newest model
        if play.model in wanted:
            loaded.append(name)
        elif beat.get("hot_reload") is False:
            keeping.append(name)
        else:
            plays = f"plays {(play.model or 'the heuristic')[:12]}"
            waiting[name] = one_line(play.last_error or plays)
    return ReloadStatus(model.variant, digest, tuple(loaded), waiting, tuple(silent), tuple(keeping))


async def bring_models(
    transport: Transport, report: HostReport, champions: Mapping[str, Champion], directory: RunDirectory
) -> list[str]:
    """Send each variant's model that a host's pointers do not name yet; returns the variants sent.

    Args:
        transport: the way to the host.
        report: what it has.
        champions: by variant, or the candidates that generate in their place.
        directory: where the models lie.

    Raises:
        HostError: the host did not take it.
        ModelError: the files here are damaged.
        OSError: a disk is full, here or there.
    """
    sent = []
    for variant, champion in champions.items():
        if report.pointers.get(variant) == champion.model_digest and champion.model_digest in report.models:
            continue
        await _bring(transport, champion, directory)
        sent.append(variant)
    return sent


async def _bring(transport: Transport, champion: Champion, directory: RunDirectory) -> None:
    await transport.push_model(directory.model(champion.model_digest), champion.model_digest)
    await transport.call(POINT, Point(champion.variant, pointer(champion)))


def pointer(champion: Champion) -> Pointer:
    """The content of a host's `current-<variant>.json`."""
    return Pointer(champion.model_digest, champion.generation, champion.promoted_at)


async def _distribute(loop: Loop, champion: Champion, transports: Transports) -> dict[str, str]:
    gate = asyncio.Semaphore(_PUSHES_AT_ONCE)
    hosts = loop.inventory.with_role(SELFPLAY)

    async def turn(host: Host) -> None:
        async with aclosing(transports(host, loop.directory)) as transport:
            # Also where the host names it already: it verifies what it has, and takes the place of what is damaged.
            await _bring(transport, champion, loop.directory)

    async def push(host: Host) -> LoopError | OSError | None:
        async with gate:
            return await failure_in(host.name, turn(host), limit_s=PUSH_LIMIT_S)

    results = await asyncio.gather(*(push(host) for host in hosts))
    return {host.name: sentence(error) for host, error in zip(hosts, results, strict=True) if error is not None}


def _check_files(directory: RunDirectory, digest: str) -> None:
    from ringrift_loop.network.artifact import verify

    if not directory.model(digest).is_dir():
        raise ModelError(f"the files of model {digest} are missing: {directory.model(digest)}")
    verify(directory.model(digest), digest)
