"""What would make the loop faster: each thing that holds it back now, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from ringrift_loop.ledger import gates, models, promotions, resources, utilization
from ringrift_loop.loop import Loop
from ringrift_loop.resources.backpressure import DISK, SYNC, TRAINING, Backpressure
from ringrift_loop.resources.control import STALE_S
from ringrift_loop.resources.decision import MachineSample, machine_samples
from ringrift_loop.resources.rebalance import targets_of
from ringrift_loop.status.fleet import HostView, read_fleet
from ringrift_loop.status.overview import HOST_FAILED_AFTER, Overview, VariantOverview, read_overview
from ringrift_loop.text import clean, counted, span

_NEAR_RATE = 0.9  # of a negotiated rate: workers that make less are held back by something else
_FULL_DUTY = 0.995  # from here on a worker computes all the time
_CAUSES = {
    DISK: "Free space there: `ringrift-loop retention` says what can be deleted.",
    SYNC: "`ringrift-loop sync` fetches them at once and says what stands in the way.",
    TRAINING: "More hosts with `role: training`, or `training.max_concurrent_jobs`.",
}


@dataclass(frozen=True)
class Bottleneck:
    """One thing that holds the loop back."""

    limit: str
    """What it is, a sentence."""
    remedy: str
    """What can be done about it, a sentence; what is between backticks is to be typed or set."""


def read_bottlenecks(conn: Connection, loop: Loop, *, now: float, stopped: bool = False) -> list[Bottleneck]:
    """What holds the loop back at `now`, what a person decided first; never empty.

    Args:
        conn: a reading transaction.
        loop: names variants, hosts and limits.
        now: UTC seconds.
        stopped: it is known that the loop does not run.
    """
    hosts = [host.name for host in loop.inventory.enabled]
    overview = read_overview(conn, loop.config, hosts, now=now, stopped=stopped)
    if not overview.runs:
        return [Bottleneck("The loop does not run.", "`make run` starts it.")]
    if overview.halted:
        return [
            Bottleneck("A person halted the loop.", "Resume it on this page, or with `ringrift-loop workers resume`.")
        ]
    found = [
        *_by_people(conn, overview),
        *_by_hosts(read_fleet(conn, loop.config, loop.inventory, now=now, stopped=stopped)),
        *_by_pressure(conn),
        *_by_machines(conn, loop, now),
        *_by_training(conn, loop, overview),
    ]
    return found or [
        Bottleneck(
            "Nothing holds it back: the workers compute all the time, and no training or gate waits.",
            "More cores play more games: `ringrift-loop hosts` lists those there are.",
        )
    ]


def _by_people(conn: Connection, overview: Overview) -> Iterator[Bottleneck]:
    if overview.selfplay_share < 1:
        yield Bottleneck(
            f"Only {overview.selfplay_share:.0%} of the self-play slots may play.",
            "Choose All slots on this page, or `ringrift-loop workers rate 1`.",
        )
    rate = resources.negotiated(conn)
    played = sum(play.games_per_hour for slot in overview.workers for play in slot.plays if slot.state == "playing")
    if rate is not None and played >= _NEAR_RATE * rate.approved:
        yield Bottleneck(
            f"Self-play is held to {rate.approved} games an hour, as negotiated by {clean(rate.requestor)}.",
            "Ask for more with `ringrift_loop.resources.negotiate_selfplay_rate`.",
        )


def _by_hosts(fleet: list[HostView]) -> Iterator[Bottleneck]:
    """Hosts that are to play and do not."""
    players = [host for host in fleet if host.enabled and "selfplay" in host.roles]
    away = [clean(host.name) for host in players if host.consecutive_failures >= HOST_FAILED_AFTER]
    if away:
        yield Bottleneck(
            f"{len(away)} of {len(players)} self-play hosts {'does' if len(away) == 1 else 'do'} not answer: "
            f"{_listed(away)}.",
            f"`ringrift-loop doctor --host {away[0]}` finds the reason.",
        )
    idle = [
        clean(host.name)
        for host in players
        if host.last_seen_at is not None and not host.consecutive_failures and not host.workers_playing
    ]
    if idle:
        yield Bottleneck(
            f"No worker plays on {_listed(idle)}.",
            f"The page Hosts says what they do, `ringrift-loop doctor --host {idle[0]}` what they lack.",
        )


def _by_pressure(conn: Connection) -> Iterator[Bottleneck]:
    for cause in Backpressure.parse(resources.backpressure(conn)).causes:
        reason = clean(cause.reason)
        yield Bottleneck(f"{reason[:1].upper()}{reason[1:]}.", _CAUSES[cause.kind])


def _by_machines(conn: Connection, loop: Loop, now: float) -> Iterator[Bottleneck]:
    """Machines whose workers may compute for a part of the time only."""
    decided = resources.decisions(conn)
    for sample in machine_samples(utilization.newest(utilization.since(conn, now - STALE_S)).values()):
        decision = decided.get(sample.machine)
        if decision is None or decision.duty >= _FULL_DUTY or not set(sample.hosts) <= set(loop.inventory.hosts):
            continue
        yield Bottleneck(
            f"The workers of {_listed(list(sample.hosts))} rest for {1 - decision.duty:.0%} of their time: "
            f"{clean(decision.reason)}.",
            _more_room(loop, sample),
        )


def _more_room(loop: Loop, sample: MachineSample) -> str:
    """What gives a machine's workers more of it."""
    targets = targets_of(loop.config, loop.inventory, sample.hosts)
    if sample.memory >= targets.memory_max:
        return f"Its memory is {sample.memory:.0f}% full: fewer workers, or more memory."
    if sample.strangers > sample.workers:
        return (
            f"Programs that are not the loop's use {sample.strangers:.0f}% of its CPUs, the workers "
            f"{sample.workers:.0f}%: move them elsewhere."
        )
    if sample.cpu >= targets.cpu_min and targets.cpu_max < 100:
        return (
            f"`resource_targets.cpu_max: 100` uses it whole; now it is to stay below {targets.cpu_max:.0f}% and is "
            f"at {sample.cpu:.0f}%."
        )
    return "Nothing: the share grows by itself as long as there is room."


def _by_training(conn: Connection, loop: Loop, overview: Overview) -> Iterator[Bottleneck]:
    """Variants that have their games and wait for a training, and candidates that wait for a gate."""
    waits = [view for view in overview.variants if view.games_pending >= view.threshold]
    if waits:
        trains = any(view.training_started_at is not None for view in overview.variants)
        yield Bottleneck(
            f"Training is behind self-play: {_listed([_pending(view) for view in waits])}.",
            "Another host with `role: training`, with a GPU best of all, trains beside the first."
            if trains
            else f"`training.min_interval_seconds: {loop.config.training.min_interval_seconds}` parts two trainings of "
            "a variant: smaller trains more often.",
        )
    late = [(view.variant, at) for view in overview.variants if (at := _candidate_since(conn, view)) is not None]
    if late:
        named = _listed([f"{variant} for {span(overview.at - at)}" for variant, at in late])
        yield Bottleneck(
            f"A candidate waits for its gate: {named}.",
            "A host with `role: tournament` plays the gates' games."
            if not loop.inventory.with_role("tournament")
            else "More hosts with `role: tournament` play more of the gates' games at once.",
        )


def _pending(view: VariantOverview) -> str:
    return f"{view.variant} has {counted(view.games_pending, 'new game')}, {view.threshold} are enough"


def _candidate_since(conn: Connection, view: VariantOverview) -> float | None:
    """When the variant's newest model was made, if a gate has yet to judge it."""
    newest = models.latest(conn, view.variant)
    if newest is None or promotions.of_model(conn, newest.digest) or gates.passed(conn, newest.digest):
        return None
    return newest.created_at


def _listed(names: list[str]) -> str:
    """The first three names, and how many others there are."""
    others = len(names) - 3
    return ", ".join(names[:3]) + (f" and {others} more" if others > 0 else "")
