"""Totals and states as gauges, from the ledger: what is true now, whichever packets were lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ringrift_loop.ledger import promotions, state
from ringrift_loop.machine.utilization import disk_percent
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.status.overview import Overview, VariantOverview, read_overview, silence_s

if TYPE_CHECKING:
    from ringrift_loop.loop import Loop

COORDINATOR = "coordinator"
"""The label `host` of the machine that the loop runs on."""
Sample = tuple[str, float, dict[str, str]]


def note_alive(loop: Loop) -> None:
    """Note in the ledger that the loop runs, as each of its data syncs does at its beginning."""
    with loop.ledger.begin() as conn:
        state.note_alive(conn, at=loop.clock(), silence_s=silence_s(loop.config))


def publish_gauges(loop: Loop) -> int:
    """Send every gauge that the ledger can tell, and 0 to every counter that is due; returns the number of series.

    Zeros keep the counters alive: the first event of a series that did not exist is invisible to `increase()`, and a
    collector that was restarted has forgotten them all.
    """
    host_names = [host.name for host in loop.inventory.enabled]
    with loop.ledger.read() as conn:
        overview = read_overview(conn, loop.config, host_names, now=loop.clock())
    zeros = loop.metrics.zero_counters({"config": loop.config.variants, "host": host_names})
    loop.metrics.gauge("ringrift_disk_used_percent", disk_percent(loop.directory.root), host=COORDINATOR)
    return zeros + 1 + send(loop.metrics, overview)


def send(metrics: Metrics, overview: Overview) -> int:
    """Send the gauges of an overview; returns the number of series."""
    sent = 0
    for name, value, labels in samples(overview):
        metrics.gauge(name, value, **labels)
        sent += 1
    return sent


def samples(overview: Overview) -> Iterator[Sample]:
    """Name, value and labels of every gauge; what is not known yet is left out, never made up."""
    yield "ringrift_hosts_enabled", overview.hosts_enabled, {}
    yield "ringrift_hosts_active", overview.hosts_active, {}
    yield "ringrift_hosts_failed", overview.hosts_failed, {}
    yield "ringrift_hosts_suspected", overview.hosts_suspected, {}
    yield "ringrift_selfplay_share", overview.selfplay_share, {}
    yield "ringrift_ledger_segments", overview.segments, {}
    yield "ringrift_ledger_games_quarantined", overview.quarantined, {}
    if overview.verified is not None:
        yield "ringrift_ledger_verification_timestamp_seconds", overview.verified[0], {}
        yield "ringrift_ledger_verification_findings", overview.verified[1], {}
    if overview.alive_at is not None:
        yield "ringrift_alive_timestamp_seconds", overview.alive_at, {}
    for sample in overview.samples:
        yield "ringrift_host_cpu_utilization_percent", sample.cpu, {"host": sample.host}
        yield "ringrift_host_memory_utilization_percent", sample.memory, {"host": sample.host}
        if sample.disk is not None:
            yield "ringrift_disk_used_percent", sample.disk, {"host": sample.host}
    if overview.runs and overview.started_at is not None:
        yield "ringrift_uptime_seconds", overview.at - overview.started_at, {}
    for stage, at in _last_success(overview).items():
        yield "ringrift_last_success_timestamp_seconds", at or 0.0, {"stage": stage}
    for variant in overview.variants:
        yield from _variant_samples(variant)
    for worker in overview.workers:
        for play in worker.plays if worker.state == "playing" else ():
            labels = {"host": worker.host, "slot": str(worker.slot), "config": play.variant}
            yield "ringrift_worker_model_generation", play.champion_number, labels
            yield "ringrift_worker_games_per_hour", play.games_per_hour, labels


def _last_success(overview: Overview) -> dict[str, float | None]:
    def latest(times: list[float | None]) -> float | None:
        return max((time for time in times if time is not None), default=None)

    return {
        "data_sync": overview.last_sync_at,
        "selfplay": overview.last_game_at,
        "training": latest([variant.last_training_at for variant in overview.variants]),
        "evaluation": latest([variant.last_evaluation_at for variant in overview.variants]),
        "promotion": latest([variant.last_promotion_at for variant in overview.variants]),
        "curriculum": overview.last_rebalance_at,
    }


def _variant_samples(variant: VariantOverview) -> Iterator[Sample]:
    config = {"config": variant.variant}
    yield "ringrift_games_pending_training", variant.games_pending, config
    yield "ringrift_games_per_hour", variant.games_last_hour, config
    yield "ringrift_ledger_games", variant.games, config
    yield "ringrift_ledger_matches", variant.matches, config
    yield "ringrift_total_models", variant.models, config
    yield "ringrift_champion_generation", variant.generation, config
    yield "ringrift_curriculum_weight", variant.weight, config
    yield "ringrift_workers_assigned", variant.workers_assigned, config
    yield "ringrift_workers_playing", variant.workers_playing, config
    yield "ringrift_workers_behind", variant.workers_behind, config
    yield "ringrift_training_in_progress", float(variant.training_started_at is not None), config
    yield "ringrift_training_started_timestamp_seconds", variant.training_started_at or 0.0, config
    yield "ringrift_candidates_since_promotion", variant.candidates, config
    yield "ringrift_first_candidate_since_promotion_timestamp_seconds", variant.first_candidate_at or 0.0, config
    for status in ("succeeded", "failed"):
        yield "ringrift_ledger_training_runs", variant.training_runs.get(status, 0), {**config, "status": status}
    for status in (promotions.PROMOTED, promotions.REJECTED, promotions.ROLLED_BACK):
        yield "ringrift_ledger_promotions", variant.promotions.get(status, 0), {**config, "status": status}
    if variant.elo is not None and variant.elo_stderr is not None:
        yield "ringrift_current_elo", variant.elo, config
        yield "ringrift_current_elo_stderr", variant.elo_stderr, config
    if variant.elo_trend is not None and variant.elo_trend_stderr is not None:
        yield "ringrift_elo_trend", variant.elo_trend, config
        yield "ringrift_elo_trend_stderr", variant.elo_trend_stderr, config
