"""Every alert: its condition in PromQL, how long it must hold, what a person reads. Limits come from the configuration.

A condition on something that may be missing says what missing means: `absent_over_time` where silence is the fault,
nothing where another alert has it. Ages are measured from times in the ledger, because a counter that nobody sends any
more looks like one to which nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringrift_loop.config import LoopConfig

JOB = "ringrift-loop"
"""The name of the scrape job in `config/prometheus/prometheus.yml`."""
LOOP_DOWN = "AILoopDown"
CRITICAL, HIGH, WARNING = "critical", "high", "warning"
_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400
_SYNCS = 3  # as many polls without a sign of life are no accident


@dataclass(frozen=True)
class Alert:
    """One alert rule."""

    name: str
    expr: str
    """PromQL; each series that it gives is one alert."""
    for_s: int
    severity: str
    """`critical`: the loop stands still or data are in danger. `high`: it will. `warning`: worth a look today."""
    summary: str
    description: str
    """With the value; a template of Prometheus."""
    group: str = "loop"
    """`loop` or `utilization`."""
    follows: str | None = LOOP_DOWN
    """The alert that causes this one too; while that fires, Alertmanager holds this one back."""


def alerts(config: LoopConfig) -> tuple[Alert, ...]:
    """All alerts, the deployment guide's first."""
    return (*_guide(config), *_utilization(config), *_beyond_the_guide(config))


def _age(gauge: str, limit_s: int) -> str:
    """True when a time is longer ago than the limit, or nobody has told it for as long; its value is the age, s."""
    return f"time() - {gauge} > {limit_s} or absent_over_time({gauge}[{limit_s}s]) * {limit_s}"


def _guide(config: LoopConfig) -> tuple[Alert, ...]:
    limits = config.alerts
    poll_s = _SYNCS * config.data_ingestion.poll_interval_seconds
    games_s = max(limits.no_games_seconds, poll_s)
    last_game = 'ringrift_last_success_timestamp_seconds{stage="selfplay"}'
    started = "ringrift_training_started_timestamp_seconds"
    # Where nobody tells the variant's limit, the least that any has: too early is better than never.
    train_s = f"(ringrift_training_limit_seconds or 0 * {started} + {config.training.stuck_after_seconds})"
    return (
        Alert(
            LOOP_DOWN,
            _age("ringrift_alive_timestamp_seconds", max(limits.loop_down_seconds, poll_s)),
            _MINUTE_S,
            CRITICAL,
            "The loop does not run",
            "No data sync has begun for {{ $value | humanizeDuration }}, or nobody tells.",
            follows=None,
        ),
        Alert(
            "NoGamesSynced",
            # The age of the newest game counts from the loop's start at the earliest.
            f"min without (stage) (ringrift_uptime_seconds or time() - {last_game}) > {games_s}"
            f" or absent_over_time({last_game}[{games_s}s]) * {games_s}",
            _MINUTE_S,
            CRITICAL,
            "No games come in",
            "The last game was taken in {{ $value | humanizeDuration }} ago.",
        ),
        Alert(
            "AllHostsFailed",
            "ringrift_hosts_enabled > 0 and ringrift_hosts_active == 0",
            10 * _MINUTE_S,
            CRITICAL,
            "No host can be reached",
            "None of the {{ $value }} enabled hosts answered its last visit.",
        ),
        Alert(
            "TrainingStuck",
            f"time() - ({started} > 0) > {train_s}"
            # The time in which the loop was off does not count.
            f" unless {train_s} >= ignoring (config) group_left () ringrift_uptime_seconds",
            5 * _MINUTE_S,
            HIGH,
            "A training run of {{ $labels.config }} does not end",
            "It started {{ $value | humanizeDuration }} ago; its limit (training.stuck_after_seconds, more on a larger "
            "board) should have ended it.",
        ),
        Alert(
            "HighSyncErrorRate",
            "sum(increase(ringrift_sync_errors_total[30m])) / sum(increase(ringrift_sync_duration_seconds_count[30m]))"
            f" > {limits.sync_error_share:g}",
            10 * _MINUTE_S,
            HIGH,
            "Many visits to hosts fail",
            "Of the visits of the last half hour, {{ $value | humanizePercentage }} failed.",
        ),
        Alert(
            "GamesPendingThresholdExceeded",
            f"sum without (config) (ringrift_games_pending_training) > {limits.pending_games}",
            15 * _MINUTE_S,
            HIGH,
            "Games wait for a training that does not come",
            "{{ $value }} games wait for training.",
        ),
        Alert(
            "NoPromotionsIn24h",
            f"time() - (ringrift_first_candidate_since_promotion_timestamp_seconds > 0) > {limits.no_promotion_seconds}"
            f" unless ignoring (config) ringrift_uptime_seconds <= {limits.no_promotion_seconds}",
            5 * _MINUTE_S,
            WARNING,
            "{{ $labels.config }} is trained, and nothing is promoted",
            "The first candidate since the last promotion is {{ $value | humanizeDuration }} old.",
        ),
        Alert(
            "EloDecline",
            # Two standard errors: a trend that noise explains is none.
            f"ringrift_elo_trend < -{limits.elo_decline_per_hour:g}"
            " and ringrift_elo_trend + 2 * ringrift_elo_trend_stderr < 0",
            2 * _HOUR_S,
            WARNING,
            "The champion of {{ $labels.config }} loses rating",
            'Its Elo changes by {{ $value | printf "%.1f" }} an hour, over the last day of ratings.',
        ),
        Alert(
            "LowActiveHosts",
            f"ringrift_hosts_active > 0 and ringrift_hosts_active < {limits.min_active_hosts}"
            " and ringrift_hosts_active < ringrift_hosts_enabled",
            30 * _MINUTE_S,
            WARNING,
            "Few hosts answer",
            f"Only {{{{ $value }}}} hosts answer; alerts.min_active_hosts is {limits.min_active_hosts}.",
        ),
    )


def _utilization(config: LoopConfig) -> tuple[Alert, ...]:
    """The guide's utilization alerts; machines that tell nothing have no series, so they are not under-used."""
    targets = config.resource_targets
    cpu, gpu = "ringrift_cluster_cpu_utilization_percent", "ringrift_cluster_gpu_utilization_percent"
    half_hour = 30 * _MINUTE_S

    def one(name: str, expr: str, for_s: int, severity: str, summary: str, description: str) -> Alert:
        return Alert(name, expr, for_s, severity, summary, description, group="utilization")

    def band(name: str, gauge: str, sign: str, limit: float, what: str) -> Alert:
        said = f'On average {{{{ $value | printf "%.0f" }}}} % are in use, the limit is {limit:g} %.'
        return one(name, f"{gauge} {sign} {limit:g}", half_hour, WARNING, what, said)

    return (
        band("CPUUnderutilized", cpu, "<", targets.cpu_min, "The CPUs are under-used"),
        band("CPUOverutilized", cpu, ">", targets.cpu_max, "The CPUs are over-used"),
        band("GPUUnderutilized", gpu, "<", targets.gpu_min, "The GPUs are under-used"),
        band("GPUOverutilized", gpu, ">", targets.gpu_max, "The GPUs are over-used"),
        one(
            "GPUCriticallyOverloaded",
            f"{gpu} > {targets.gpu_critical:g}",
            10 * _MINUTE_S,
            CRITICAL,
            "The GPUs are overloaded",
            'On average {{ $value | printf "%.0f" }} % are in use.',
        ),
        one(
            "HighMemoryUtilization",
            f"ringrift_host_memory_utilization_percent > {config.alerts.memory_percent:g}",
            half_hour,
            WARNING,
            "The memory of {{ $labels.host }} is nearly full",
            '{{ $value | printf "%.0f" }} % of it are in use.',
        ),
        one(
            "ProlongedBackpressure",
            "ringrift_cluster_backpressure_factor < 0.8",
            _HOUR_S,
            WARNING,
            "New work has been held back for an hour",
            'The factor on new work is {{ $value | printf "%.2f" }}; 1 holds nothing back.',
        ),
    )


def _beyond_the_guide(config: LoopConfig) -> tuple[Alert, ...]:
    limits = config.alerts
    tasks_s = max(limits.no_task_seconds, _SYNCS * config.data_ingestion.poll_interval_seconds)
    candidates = limits.candidates_without_promotion
    quarantined, synced = (
        f"sum by (host) (increase(ringrift_games_{what}_total[1h]))" for what in ("quarantined", "synced")
    )
    packets = "statsd_exporter_udp_packets_total"
    taken_back = 'ringrift_ledger_promotions{status="rolled_back"}'
    return (
        Alert(
            "NoTaskStarted",
            _age("ringrift_last_task_start_timestamp_seconds", tasks_s),
            _MINUTE_S,
            CRITICAL,
            "Airflow starts no tasks",
            "The last task of the loop started {{ $value | humanizeDuration }} ago.",
        ),
        Alert(
            "LedgerVerificationFailed",
            "ringrift_ledger_verification_findings > 0",
            _MINUTE_S,
            CRITICAL,
            "The ledger's audit found something",
            "The last audit had {{ $value }} findings.",
            follows=None,
        ),
        Alert(
            "HighQuarantineRate",
            f"{quarantined} / ({quarantined} + ({synced} or 0 * {quarantined})) > {limits.quarantine_share:g}",
            5 * _MINUTE_S,
            HIGH,
            "Games of {{ $labels.host }} are refused",
            "Of its games of the last hour, {{ $value | humanizePercentage }} did not replay.",
            follows=None,
        ),
        Alert(
            "GateNeverPasses",
            f"ringrift_candidates_since_promotion >= {candidates}",
            5 * _MINUTE_S,
            WARNING,
            "No candidate of {{ $labels.config }} passes",
            "{{ $value }} candidates in a row were not promoted.",
        ),
        Alert(
            "ChampionRolledBack",
            f"{taken_back} - min_over_time({taken_back}[1h]) > 0",
            _MINUTE_S,
            WARNING,
            "A champion of {{ $labels.config }} was taken back",
            "Within the last hour a person, or the watch over shadow games, has rolled back {{ $value }} champions.",
        ),
        Alert(
            "LoopDoesNotLearn",
            # Why is worked out from the ledger, once for all who tell it (`views/learning.py`).
            "ringrift_learning_check_failed > 0",
            _HOUR_S,
            WARNING,
            "{{ $labels.config }} does not learn",
            "The check of its {{ $labels.check }} fails; `ringrift-loop status` has the sentence.",
        ),
        Alert(
            "GenerationSkew",
            "max by (config) (ringrift_worker_model_generation) - min by (config) (ringrift_worker_model_generation)"
            " > 1",
            30 * _MINUTE_S,
            WARNING,
            "Workers play {{ $labels.config }} with old models",
            "Between the newest and the oldest model in play lie {{ $value }} generations.",
        ),
        Alert(
            "HostFailing",
            "ringrift_hosts_failed > 0",
            15 * _MINUTE_S,
            WARNING,
            "A host does not answer",
            "{{ $value }} hosts have failed at least three times in a row.",
        ),
        Alert(
            "HostSuspected",
            "ringrift_hosts_suspected > 0",
            _MINUTE_S,
            WARNING,
            "A host's games are held back from training",
            "The self-play of {{ $value }} hosts does not look like that of the others with the same model.",
        ),
        Alert(
            "BridgeSilent",
            f'rate({packets}[5m]) == 0 or up{{job="{JOB}"}} == 0 or absent(up{{job="{JOB}"}})',
            5 * _MINUTE_S,
            HIGH,
            "No metrics come in",
            "The collector of the loop's metrics is away, or no packet reaches it.",
        ),
        Alert(
            "DiskNearlyFull",
            f"ringrift_disk_used_percent > {limits.disk_percent:g}",
            5 * _MINUTE_S,
            HIGH,
            "The disk of {{ $labels.host }} is nearly full",
            '{{ $value | printf "%.0f" }} % of it are taken; of a large disk the last 200 GiB count as the whole.',
            follows=None,
        ),
    )
