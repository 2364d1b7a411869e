"""Every metric of the loop: name, kind, unit, labels, meaning, buckets.

The emitter refuses what is not listed here; the StatsD mapping is generated from this list. The label
`config` is the deployment guide's word for a variant, such as `square8_2p`.

Counters and histograms come from the stages as things happen and feed rates. Totals and states are gauges read from the
ledger (`status/gauges.py`), because StatsD is lossy and a counter dies with its exporter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    help: str
    unit: str
    """`1` for counts, `seconds`, `bytes`, `elo`, `games per hour`, `bool` for 0 or 1."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds in the unit; histograms only."""
    ttl_s: int = 0
    """A gauge that was not sent for so long disappears; 0: never. For things that can vanish, such as a worker."""


_LOOPS = ("data_sync", "selfplay", "shadow_tournament", "full_tournament", "training", "regression_gate", "curriculum")
# The label values that are known beforehand, so that a counter exists at 0 before the first event. The others
# (`config`, `host`) come from the configuration and the inventory.
LABEL_VALUES: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("ringrift_sync_errors_total", "error_type"): ("unreachable", "remote", "data", "other"),
        ("ringrift_training_runs_total", "status"): ("succeeded", "failed"),
        ("ringrift_learning_check_failed", "check"): ("games", "trainings", "gates", "ratings"),
        ("ringrift_evaluations_total", "type"): ("shadow", "full"),
        ("ringrift_match_games_total", "purpose"): ("shadow", "gate", "champion", "tournament"),
        ("ringrift_gate_reports_total", "gate"): ("regression", "champion"),
        ("ringrift_gate_reports_total", "verdict"): ("passed", "failed", "undecided"),
        ("ringrift_promotions_total", "status"): ("promoted", "rejected", "rolled_back"),
        ("ringrift_distributions_total", "status"): ("succeeded", "failed"),
        ("ringrift_worker_starts_total", "reason"): ("first", "restart"),
        ("ringrift_retention_freed_bytes_total", "kind"): ("segments", "training", "models", "matches", "logs"),
        ("ringrift_loop_cycles_total", "loop"): _LOOPS,
        ("ringrift_loop_errors_total", "loop"): _LOOPS,
    }
)

_SYNC_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_LATENCY_S = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_TRAINING_S = (60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 5400.0, 7200.0)
_MATCH_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0)
_RELOAD_S = (10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0, 3600.0)
_START_S = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_ELO = (5.0, 10.0, 20.0, 25.0, 30.0, 50.0, 75.0, 100.0, 200.0, 400.0)
_VANISHES_S = 300
_ENDED_S = 3 * 3600  # three of the rarest data syncs


def _counter(name: str, help: str, *labels: str, unit: str = "1") -> Metric:
    return Metric(name, Kind.COUNTER, help, unit, labels)


def _gauge(name: str, help: str, *labels: str, unit: str = "1", ttl_s: int = 0) -> Metric:
    return Metric(name, Kind.GAUGE, help, unit, labels, ttl_s=ttl_s)


def _state(name: str, help: str, *labels: str, unit: str = "1") -> Metric:
    """A gauge that means nothing once nobody sends it any more."""
    return _gauge(name, help, *labels, unit=unit, ttl_s=_VANISHES_S)


def _standing(name: str, help: str, *labels: str, unit: str = "1") -> Metric:
    """A gauge that every data sync tells, of something that can end: a variant that is played, a trend."""
    return _gauge(name, help, *labels, unit=unit, ttl_s=_ENDED_S)


def _histogram(name: str, help: str, buckets: tuple[float, ...], *labels: str, unit: str = "seconds") -> Metric:
    return Metric(name, Kind.HISTOGRAM, help, unit, labels, buckets)


_ALL: Sequence[Metric] = (
    # Sync: games from the hosts
    _counter("ringrift_games_synced_total", "New games taken into the ledger, by host", "host"),
    _counter("ringrift_games_known_total", "Games seen again: already in the ledger, counted once", "host"),
    _counter("ringrift_games_quarantined_total", "Games that did not replay through the rules engine", "host"),
    _counter("ringrift_segments_synced_total", "Sealed segments taken in", "host"),
    _counter("ringrift_sync_bytes_total", "Bytes of segments fetched", "host", unit="bytes"),
    _counter("ringrift_sync_errors_total", "Failed round trips to a host", "host", "error_type"),
    _histogram("ringrift_sync_duration_seconds", "Round trip to a host with fetch and ingest", _SYNC_S, "host"),
    _histogram("ringrift_game_latency_seconds", "From the end of a game to its row in the ledger", _LATENCY_S, "host"),
    # Training
    _counter("ringrift_training_runs_total", "Training runs that ended, by status", "config", "status"),
    _histogram("ringrift_training_duration_seconds", "From claiming the games to the candidate", _TRAINING_S, "config"),
    _standing("ringrift_training_in_progress", "1 while a training run is open", "config", unit="bool"),
    _standing(
        "ringrift_training_started_timestamp_seconds",
        "When the open training run started, 0 when none is open",
        "config",
        unit="seconds",
    ),
    _gauge("ringrift_training_limit_seconds", "How long a training of the variant may take", "config", unit="seconds"),
    _gauge("ringrift_training_validation_loss", "Validation loss of the last candidate, by head", "config", "head"),
    _gauge(
        "ringrift_training_holdout_gap",
        "How much worse the last candidate does on games that no training sees, as a share of an even guess's loss",
        "config",
        "head",
    ),
    _gauge("ringrift_training_target_entropy", "Mean entropy of the last window's policy targets, nats", "config"),
    # Evaluation and ratings
    _counter("ringrift_evaluations_total", "Tournaments played", "config", "type"),
    _counter("ringrift_match_games_total", "Games that came into the match log, by purpose", "config", "purpose"),
    _counter("ringrift_match_blocks_refused_total", "Blocks of games from a host that do not count", "host"),
    _histogram("ringrift_evaluation_duration_seconds", "Duration of a tournament", _MATCH_S, "config", "type"),
    _standing("ringrift_current_elo", "Elo of the champion", "config", unit="elo"),
    _standing("ringrift_current_elo_stderr", "Standard error of the champion's Elo", "config", unit="elo"),
    _standing(
        "ringrift_elo_trend",
        "Slope of the champion's rating over the last 24 hours of fits, of which it needs two hours",
        "config",
        unit="elo per hour",
    ),
    _standing("ringrift_elo_trend_stderr", "Standard error of the slope", "config", unit="elo per hour"),
    _gauge(
        "ringrift_elo_per_core_hour",
        "Elo that the champions gained for each core-hour of self-play, training and gates, over the days of "
        "alerts.learning_days",
        "config",
        unit="elo per core-hour",
    ),
    _standing(
        "ringrift_learning_check_failed",
        "1 for the check that tells why a variant does not learn, 0 for the others",
        "config",
        "check",
        unit="bool",
    ),
    # Gate, promotion, distribution
    _counter("ringrift_gate_reports_total", "Verdicts of a gate", "config", "gate", "verdict"),
    _histogram("ringrift_gate_duration_seconds", "Duration of a gate", _MATCH_S, "config", "gate"),
    _counter("ringrift_promotions_total", "Decisions about candidates, by status", "config", "status"),
    _histogram("ringrift_elo_gain_on_promotion", "Elo gain measured at a promotion", _ELO, "config", unit="elo"),
    _standing("ringrift_candidates_since_promotion", "Models made since the last promotion", "config"),
    _standing(
        "ringrift_first_candidate_since_promotion_timestamp_seconds",
        "When the first model since the last promotion was made, 0 when there is none",
        "config",
        unit="seconds",
    ),
    _histogram(
        "ringrift_promotion_to_worker_seconds",
        "From a promotion to a worker's first heartbeat with the new model",
        _RELOAD_S,
        "config",
    ),
    _counter("ringrift_distributions_total", "Models sent to a host, by status", "host", "status"),
    # Curriculum
    _standing("ringrift_curriculum_weight", "Share of self-play, 1 is even", "config"),
    _counter("ringrift_curriculum_rebalances_total", "Computations of the weights"),
    # Hosts and workers
    _gauge("ringrift_hosts_enabled", "Hosts that the inventory enables"),
    _gauge("ringrift_hosts_active", "Hosts reached at the last attempt"),
    _gauge("ringrift_hosts_failed", "Hosts that failed at least three times in a row"),
    _gauge("ringrift_hosts_suspected", "Hosts whose games differ from the others' and are held back from training"),
    _standing(
        "ringrift_workers_assigned", "Worker slots that should play the variant, in turns with the others", "config"
    ),
    _standing("ringrift_workers_playing", "Workers with a fresh heartbeat that play the variant", "config"),
    _standing(
        "ringrift_workers_behind", "Workers that play the variant with a model other than the champion", "config"
    ),
    _gauge("ringrift_selfplay_share", "Share of the self-play slots that may play, 0 to 1"),
    _counter("ringrift_worker_starts_total", "Worker processes started", "host", "reason"),
    _state(
        "ringrift_worker_model_generation",
        "Moves of the champion pointer that led to what a worker plays with",
        "host",
        "slot",
        "config",
    ),
    _state(
        "ringrift_worker_games_per_hour",
        "Games per hour as a worker reports them",
        "host",
        "slot",
        "config",
        unit="games per hour",
    ),
    # Resources
    _state("ringrift_cluster_cpu_utilization_percent", "Mean CPU use of the machines", unit="percent"),
    _state("ringrift_cluster_gpu_utilization_percent", "Mean use of the machines' busiest GPUs", unit="percent"),
    _state("ringrift_cluster_gpu_memory_utilization", "Memory in use on the fullest GPU", unit="percent"),
    _state("ringrift_host_cpu_utilization_percent", "CPU use of a host's machine", "host", unit="percent"),
    _state("ringrift_host_memory_utilization_percent", "Memory in use on a host's machine", "host", unit="percent"),
    _state(
        "ringrift_disk_used_percent",
        "Taken of the disk of the run directory or of a host's root; of a large one its last 200 GiB are the whole",
        "host",
        unit="percent",
    ),
    _gauge("ringrift_gpu_memory_status", "0 ok, 1 warning, 2 critical"),
    _gauge("ringrift_optimization_action", "Sum over the machines of the last decision: 1 up, 0 hold, -1 down"),
    _state("ringrift_cpu_in_target_range", "1 if the mean CPU use is within its band", unit="bool"),
    _state("ringrift_gpu_in_target_range", "1 if the mean GPU use is within its band", unit="bool"),
    _gauge("ringrift_selfplay_rate_per_hour", "Games per hour, as negotiated or as played", unit="games per hour"),
    _gauge("ringrift_config_weight", "Weight of self-play by games, rates and curriculum, 1 on average", "config"),
    _state("ringrift_worker_duty", "Share of their time in which a host's workers may compute, 0 to 1", "host"),
    _state("ringrift_cluster_backpressure_factor", "Share of self-play that disks, sync and training let through"),
    _state("ringrift_workers_resting", "Worker slots that rest by resource control"),
    # Totals and states, from the ledger
    _standing("ringrift_games_pending_training", "Games that no training run has consumed", "config"),
    _gauge("ringrift_games_per_hour", "Games taken in within the last hour", "config", unit="games per hour"),
    _gauge("ringrift_ledger_games", "Games in the ledger", "config"),
    _gauge("ringrift_ledger_games_quarantined", "Games and segments in quarantine"),
    _gauge("ringrift_ledger_segments", "Segments in the ledger"),
    _gauge("ringrift_ledger_matches", "Games between models in the match log", "config"),
    _gauge("ringrift_ledger_training_runs", "Training runs in the ledger", "config", "status"),
    _gauge("ringrift_ledger_promotions", "Decisions about candidates in the ledger", "config", "status"),
    _gauge("ringrift_total_models", "Models in the ledger", "config"),
    _gauge(
        "ringrift_champion_generation",
        "Moves of the champion pointer, promotions and rollbacks; 0 before the first",
        "config",
    ),
    _gauge("ringrift_ledger_verification_findings", "Findings of the ledger's last audit"),
    _gauge("ringrift_ledger_verification_timestamp_seconds", "When it ended", unit="seconds"),
    _gauge("ringrift_alive_timestamp_seconds", "When the loop last gave a sign of life", unit="seconds"),
    _state("ringrift_uptime_seconds", "Since the loop was started, or came back after it was away", unit="seconds"),
    _gauge(
        "ringrift_last_success_timestamp_seconds", "When a stage last did its work, 0: never", "stage", unit="seconds"
    ),
    # The loop itself
    _gauge("ringrift_last_task_start_timestamp_seconds", "When Airflow last started a task of ours", unit="seconds"),
    _histogram(
        "ringrift_scheduling_latency_seconds",
        "From the time a scheduled run was due to the start of its first task",
        _START_S,
        "loop",
    ),
    _counter("ringrift_retention_freed_bytes_total", "Bytes of files deleted", "kind", unit="bytes"),
    _counter("ringrift_loop_cycles_total", "Passes of a stage", "loop"),
    _counter("ringrift_loop_errors_total", "Passes of a stage that failed", "loop"),
)

FLEET = "fleet"
"""The tag that names the loop that sent a metric: its own bridge takes it off, other collectors make it a label."""
REGISTRY: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})


def label_sets(metric: Metric, known: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every combination of a metric's labels whose values are known; empty when one label's are not.

    Args:
        metric: from the registry.
        known: values of the labels that depend on the set-up, such as `{"config": variants, "host": names}`.
    """
    sets: list[dict[str, str]] = [{}]
    for label in metric.labels:
        values = LABEL_VALUES.get((metric.name, label)) or known.get(label, ())
        sets = [{**chosen, label: value} for chosen in sets for value in values]
    return sets
