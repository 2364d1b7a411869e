"""Choosing a host for a job: by role, by free GPU memory as the host reports it now, and by what other jobs hold.

Only a host that answers is chosen. The inventory bounds what a host may offer; the placement itself is one transaction,
so two jobs never get one GPU.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from ringrift_loop.cluster.agent.actions import GPUS
from ringrift_loop.cluster.agent.gpus import Gpu
from ringrift_loop.cluster.agent.job_record import FENCE_S, JobSpec
from ringrift_loop.cluster.agent.requests import Nothing
from ringrift_loop.cluster.transport.opening import Transports
from ringrift_loop.config.schema import ResourceTargets
from ringrift_loop.errors import ConfigError, LoopError, NoCapacity
from ringrift_loop.hosts.inventory import ROLES, Host
from ringrift_loop.layout import LEDGER_NAME, checked_name
from ringrift_loop.ledger import jobs
from ringrift_loop.ledger.jobs import JobRow, Placement
from ringrift_loop.loop import Loop

_ASK_LIMIT_S = 20.0
_MIB_PER_GIB = 1024
MAX_OUTPUT_BYTES = 16 << 30


@dataclass(frozen=True)
class JobRequest:
    """A job that somebody wants to run on some host."""

    id: str  # the same for every attempt, and of no other work
    command: tuple[str, ...]  # words; `{input}`, `{output}` and `{root}` are replaced on the host
    role: str
    limit_s: float
    gpus: int = 0
    gpu_memory_gb: float = 0.0  # that each of them must have free, GiB
    memory_gb: float = 0.0  # that it may use of the host's, GiB; 0: resource_targets.job_memory_gb
    inputs: Path | None = None  # a folder that is sent along
    outputs: Path | None = None  # where the job's output folder is copied to
    max_output_bytes: int = MAX_OUTPUT_BYTES
    fence_s: float = FENCE_S
    among: Sequence[str] | None = None  # the hosts that come into question; None for all of the role
    models: Mapping[str, Path] = field(default_factory=dict)  # digest -> folder; the host has them before the job runs

    def spec(self, gpus: Sequence[int]) -> JobSpec:
        """What the host is told."""
        return JobSpec(self.command, self.limit_s, self.fence_s, tuple(gpus), self.memory_gb)

    def check(self) -> None:
        """Return when the request makes sense.

        Raises:
            ConfigError: it does not; the message says what would be right.
        """
        checked_name(self.id, "a job's id", LEDGER_NAME)
        if not self.command or not all(self.command):
            raise ConfigError(f"a job's command must be a list of words, got {self.command!r}")
        if self.role not in ROLES:
            raise ConfigError(f"a job's role must be one of {', '.join(sorted(ROLES))}, got {self.role!r}")
        if self.gpus < 0 or self.gpu_memory_gb < 0 or (self.gpu_memory_gb and not self.gpus):
            wanted = f"gpus={self.gpus}, gpu_memory_gb={self.gpu_memory_gb:g}"
            raise ConfigError(f"a job asks for gpus from 0, and for gpu_memory_gb only with gpus, got {wanted}")
        if self.memory_gb < 0:
            raise ConfigError(f"memory_gb is what a job may use, from 0, got {self.memory_gb:g}")
        if self.limit_s <= 0 or self.fence_s <= 0:
            raise ConfigError(f"limit_s and fence_s must be above 0, got {self.limit_s:g} and {self.fence_s:g}")
        if self.inputs is not None and not self.inputs.is_dir():
            raise ConfigError(f"a job's inputs must be a folder, got {self.inputs}")


def known(loop: Loop, job_id: str) -> JobRow | None:
    """The ledger's row of a job, if it was ever placed."""
    with loop.ledger.read() as conn:
        return jobs.get(conn, job_id)


@dataclass(frozen=True)
class Offer:
    """What a host has."""

    host: Host
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None  # why it is out of the question


async def place(loop: Loop, request: JobRequest, transports: Transports) -> JobRow:
    """Find a host for a job, or the one that it was placed on before.

    A job that may still run stays where it is, whatever its host says at the moment.

    Raises:
        ConfigError: the request is wrong, or no enabled host has the role.
        NoCapacity: no host has room now; the message says why for each.
    """
    request.check()
    before = await asyncio.to_thread(known, loop, request.id)
    if before is not None and before.active and not before.surely_over(loop.clock()):
        return before
    hosts = loop.inventory.with_role(request.role)
    if request.among is not None:
        hosts = [host for host in hosts if host.name in request.among]
    if not hosts:
        among = "" if request.among is None else f" and is one of {', '.join(request.among) or 'none'}"
        raise ConfigError(f"no enabled host of the inventory has the role {request.role}{among}")
    offers = await asyncio.gather(*(_ask(loop, host, transports) for host in hosts))

    def write() -> JobRow:
        at = loop.clock()
        with loop.ledger.begin() as conn:
            taken = [row for row in jobs.active(conn) if row.id != request.id and not row.surely_over(at)]
            host, gpus = choose(offers, request, taken, _preferred(before), loop.config.resource_targets)
            wanted = Placement(request.spec(gpus).digest, request.role, host.name, gpus, request.fence_s)
            return jobs.place(conn, request.id, wanted, at=at)

    return await asyncio.to_thread(write)


def choose(
    offers: Sequence[Offer],
    request: JobRequest,
    taken: Sequence[JobRow],
    preferred: str | None = None,
    targets: ResourceTargets | None = None,
) -> tuple[Host, list[int]]:
    """The host with the fewest jobs, then the most free GPU memory; and the indexes of the GPUs.

    A GPU whose memory is used to `gpu_memory_critical` gets no job, one at `gpu_memory_warning` only a job that says
    how much it needs, and that must be free.

    Raises:
        NoCapacity: nobody fits.
    """
    targets = targets or ResourceTargets()
    fitting: list[tuple[tuple[bool, int, int, str], Host, list[int]]] = []
    refusals = []
    for offer in offers:
        name = offer.host.name
        here = [row for row in taken if row.host == name]
        if offer.problem is not None:
            refusals.append(f"{name}: {offer.problem}")
            continue
        held = {index for row in here for index in row.gpus}
        fit = _fitting(offer, request, held, targets)
        free = sorted(fit, key=lambda gpu: (-gpu.known_free_mib, gpu.index))[: request.gpus]
        if len(free) < request.gpus:
            refusals.append(f"{name}: {_lacking(offer, request, held, len(free), targets)}")
            continue
        order = (name != preferred, len(here), -sum(gpu.known_free_mib for gpu in free), name)
        fitting.append((order, offer.host, sorted(gpu.index for gpu in free)))
    if not fitting:
        raise NoCapacity(f"no host with the role {request.role} has room for the job now: {'; '.join(refusals)}")
    _, host, gpus = min(fitting, key=lambda one: one[0])
    return host, gpus


def _fitting(offer: Offer, request: JobRequest, held: set[int], targets: ResourceTargets) -> list[Gpu]:
    """The GPUs with enough free memory that no job of ours holds; the inventory is the upper bound."""
    needed = request.gpu_memory_gb * _MIB_PER_GIB
    if offer.host.gpu_memory_gb is not None and request.gpu_memory_gb > offer.host.gpu_memory_gb:
        return []
    return [
        gpu
        for gpu in offer.gpus
        if gpu.index < offer.host.gpu_count
        and gpu.index not in held
        and gpu.known_free_mib >= needed
        and _used_percent(gpu) < (targets.gpu_memory_critical if needed else targets.gpu_memory_warning)
    ]


def _used_percent(gpu: Gpu) -> float:
    """Of its memory; 0 where the driver does not tell, and then nothing is known to fit either."""
    return 100.0 * (1.0 - gpu.known_free_mib / gpu.total_mib) if gpu.total_mib else 0.0


def _lacking(offer: Offer, request: JobRequest, held: set[int], free: int, targets: ResourceTargets) -> str:
    reported = ", ".join(f"GPU {gpu.index} {gpu.known_free_mib} of {gpu.total_mib} MiB free" for gpu in offer.gpus)
    taken = f", {len(held)} held by other jobs" if held else ""
    key = "gpu_memory_critical" if request.gpu_memory_gb else "gpu_memory_warning"
    full = [gpu.index for gpu in offer.gpus if _used_percent(gpu) >= getattr(targets, key)]
    if full:
        which = ", ".join(map(str, full))
        taken += f"; memory of GPU {which} is used to {getattr(targets, key):g} % or more (resource_targets.{key})"
    return (
        f"{free} of {request.gpus} GPUs fit with {request.gpu_memory_gb:g} GiB each "
        f"({reported or 'no GPU'}{taken}; the inventory allows {offer.host.gpu_count})"
    )


def _preferred(before: JobRow | None) -> str | None:
    """Where a result still lies that could not be fetched."""
    if before is not None and before.failure is not None and before.failure.get("stage") == "collect":
        return before.host
    return None


async def _ask(loop: Loop, host: Host, transports: Transports) -> Offer:
    try:
        async with asyncio.timeout(_ASK_LIMIT_S), aclosing(transports(host, loop.directory)) as transport:
            return Offer(host, (await transport.call(GPUS, Nothing())).gpus)
    except TimeoutError:
        return Offer(host, problem=f"no answer within {_ASK_LIMIT_S:g} s")
    except (LoopError, OSError) as error:
        return Offer(host, problem=str(error))
