"""The four dashboards: what stands on each. `after` names the event that a panel waits for."""

from __future__ import annotations

from ringrift_loop.monitoring.grafana import Annotation, Dashboard, Panel, Query, Row, Step, Table

# The guide's band: 60 to 80 % is what the loop aims for.
_BAND = (Step(None, "yellow"), Step(60, "green"), Step(80, "yellow"), Step(90, "red"))
_FULL = (Step(None, "green"), Step(80, "yellow"), Step(90, "red"))
_NONE_IS_GOOD = (Step(None, "green"), Step(1, "red"))
_SOME_IS_GOOD = (Step(None, "red"), Step(1, "green"))
_TRAINING, _PROMOTION, _SAMPLE = "the first training", "the first promotion", "the first utilization sample"
_RATING = "the first rating of a champion"


def _stat(title: str, expr: str, unit: str = "short", steps: tuple[Step, ...] = (), **more: str) -> Panel:
    return Panel(
        title, (Query(expr),), "stat", unit, 4, 4, steps=steps or (Step(None, "green"),), after=more.get("after", "")
    )


def _quantiles(title: str, histogram: str, over: str, by: str = "", after: str = "") -> Panel:
    """p50 and p95 of a histogram in seconds, for each value of a label."""
    labels = f"le, {by}" if by else "le"
    series = f"sum by ({labels}) (rate({histogram}_bucket[{over}]))"
    name = f" {{{{{by}}}}}" if by else ""
    queries = [Query(f"histogram_quantile({share}, {series})", f"p{share * 100:.0f}{name}") for share in (0.5, 0.95)]
    return Panel(
        title, queries, unit="s", after=after, about="Of the first event alone Prometheus cannot tell anything."
    )


def _graph(title: str, *queries: Query, unit: str = "short", after: str = "") -> Panel:
    return Panel(title, queries, unit=unit, after=after)


def _in_use(title: str, gauge: str, steps: tuple[Step, ...], after: str) -> Panel:
    return Panel(title, (Query(gauge),), "gauge", "percent", 6, 7, 0, 100, steps, after=after)


LOOP = Dashboard(
    "ringrift-loop",
    "RingRift: loop",
    "Is the loop up, do games come in, does it train?",
    (
        Row("Now"),
        _stat(
            "Uptime", "ringrift_uptime_seconds", "s", (Step(None, "red"), Step(3600, "yellow"), Step(86_400, "green"))
        ),
        _stat("Active hosts", "ringrift_hosts_active", steps=_SOME_IS_GOOD),
        _stat("Failing hosts", "ringrift_hosts_failed", steps=_NONE_IS_GOOD),
        _stat("Games synced, last hour", "sum(increase(ringrift_games_synced_total[1h]))", steps=_SOME_IS_GOOD),
        _stat("Games pending", "sum(ringrift_games_pending_training)"),
        _stat("Trainings under way", "sum(ringrift_training_in_progress)"),
        _stat("Trainings, 24 h", 'sum(increase(ringrift_training_runs_total{status="succeeded"}[24h]))'),
        _stat("Promotions, 24 h", 'sum(increase(ringrift_promotions_total{status="promoted"}[24h]))'),
        _stat("Workers playing", "max(ringrift_workers_playing)", steps=_SOME_IS_GOOD),
        _stat("Share of self-play", "ringrift_selfplay_share", "percentunit"),
        _stat(
            "Findings of the last audit",
            "ringrift_ledger_verification_findings",
            "short",
            _NONE_IS_GOOD,
            after="the ledger's first audit, which `ringrift_retention` makes each day",
        ),
        _stat(
            "Last audit",
            "time() - ringrift_ledger_verification_timestamp_seconds",
            "s",
            after="the ledger's first audit, which `ringrift_retention` makes each day",
        ),
        Row("Games"),
        _graph("Games per hour", Query("ringrift_games_per_hour", "{{config}}")),
        _graph(
            "Games synced per minute",
            Query("60 * sum by (host) (rate(ringrift_games_synced_total[5m]))", "{{host}}"),
        ),
        _graph("Games pending", Query("ringrift_games_pending_training", "{{config}}")),
        _quantiles("From a game's end to the ledger", "ringrift_game_latency_seconds", "15m", after="the first game"),
        _quantiles("Visit to a host", "ringrift_sync_duration_seconds", "15m", after="the first visit"),
        _graph(
            "Sync errors per minute",
            Query("60 * sum by (host, error_type) (rate(ringrift_sync_errors_total[5m]))", "{{host}} {{error_type}}"),
        ),
        _graph(
            "Games refused per hour",
            Query("sum by (host) (increase(ringrift_games_quarantined_total[1h]))", "{{host}}"),
        ),
        _graph(
            "Bytes of segments per second",
            Query("sum by (host) (rate(ringrift_sync_bytes_total[5m]))", "{{host}}"),
            unit="Bps",
        ),
        _graph("Games in the ledger", Query("ringrift_ledger_games", "{{config}}")),
        Row("Training"),
        _graph(
            "Age of the open run",
            Query("time() - (ringrift_training_started_timestamp_seconds > 0)", "{{config}}"),
            unit="s",
            after="a training is under way",
        ),
        _quantiles("Duration of a training", "ringrift_training_duration_seconds", "6h", "config", after=_TRAINING),
        _graph("Validation loss", Query("ringrift_training_validation_loss", "{{config}} {{head}}"), after=_TRAINING),
        Row("The loop itself"),
        _graph("Passes per minute", Query("60 * sum by (loop) (rate(ringrift_loop_cycles_total[15m]))", "{{loop}}")),
        _graph("Failed passes per hour", Query("sum by (loop) (increase(ringrift_loop_errors_total[1h]))", "{{loop}}")),
        _quantiles(
            "Start of a scheduled run after its time",
            "ringrift_scheduling_latency_seconds",
            "15m",
            "loop",
            after="the first task of Airflow",
        ),
        _graph(
            "Since a stage last did its work",
            Query("time() - (ringrift_last_success_timestamp_seconds > 0)", "{{stage}}"),
            unit="s",
        ),
        _graph(
            "Since a task last started",
            Query("time() - ringrift_last_task_start_timestamp_seconds", "any task"),
            unit="s",
            after="the first task of Airflow",
        ),
        _graph("Disks", Query("ringrift_disk_used_percent", "{{host}}"), unit="percent"),
    ),
)

UTILIZATION = Dashboard(
    "ringrift-utilization",
    "RingRift: cluster utilization",
    "Do the machines do what they can, and no more?",
    (
        Row("Now"),
        _in_use("CPU", "ringrift_cluster_cpu_utilization_percent", _BAND, _SAMPLE),
        _in_use("GPU", "ringrift_cluster_gpu_utilization_percent", _BAND, "a GPU is there"),
        _in_use("GPU memory", "ringrift_cluster_gpu_memory_utilization", _FULL, "a GPU is there"),
        _in_use("Memory of the fullest host", "max(ringrift_host_memory_utilization_percent)", _FULL, _SAMPLE),
        Panel(
            "Self-play rate",
            (Query("ringrift_selfplay_rate_per_hour"),),
            "stat",
            "short",
            6,
            4,
            steps=(Step(None, "red"), Step(500, "yellow"), Step(1000, "green")),
            about="Games an hour, as negotiated or as played.",
            after=_SAMPLE,
        ),
        Panel(
            "CPU in its band",
            (Query("ringrift_cpu_in_target_range"),),
            "stat",
            "short",
            6,
            4,
            steps=_SOME_IS_GOOD,
            names=("no", "yes"),
            after=_SAMPLE,
        ),
        Panel(
            "GPU in its band",
            (Query("ringrift_gpu_in_target_range"),),
            "stat",
            "short",
            6,
            4,
            steps=_SOME_IS_GOOD,
            names=("no", "yes"),
            after="a GPU is there",
        ),
        Panel(
            "GPU memory",
            (Query("ringrift_gpu_memory_status"),),
            "stat",
            "short",
            6,
            4,
            steps=(Step(None, "green"), Step(1, "yellow"), Step(2, "red")),
            names=("ok", "warning", "critical"),
            after=_SAMPLE,
        ),
        Row("Over time"),
        _graph(
            "Utilization",
            Query("ringrift_cluster_cpu_utilization_percent", "CPU"),
            Query("ringrift_cluster_gpu_utilization_percent", "GPU"),
            Query("ringrift_cluster_gpu_memory_utilization", "GPU memory"),
            unit="percent",
            after=_SAMPLE,
        ),
        _graph("CPU", Query("ringrift_host_cpu_utilization_percent", "{{host}}"), unit="percent", after=_SAMPLE),
        _graph("Memory", Query("ringrift_host_memory_utilization_percent", "{{host}}"), unit="percent", after=_SAMPLE),
        _graph("Duty of the workers", Query("ringrift_worker_duty", "{{host}}"), unit="percentunit", after=_SAMPLE),
        _graph(
            "Decisions",
            Query("ringrift_optimization_action", "1 up, 0 hold, -1 down, summed"),
            after=_SAMPLE,
        ),
        _graph("Self-play rate", Query("ringrift_selfplay_rate_per_hour", "games an hour"), after=_SAMPLE),
        Row("Workers"),
        Panel("Config weights", (Query("ringrift_config_weight", "{{config}}"),), "bargauge", minimum=0, after=_SAMPLE),
        _graph(
            "Workers",
            Query("ringrift_workers_playing", "{{config}} playing"),
            Query("ringrift_workers_assigned", "{{config}} assigned"),
        ),
        _graph(
            "Games per hour of the workers",
            Query("sum by (host) (ringrift_worker_games_per_hour)", "{{host}}"),
            after="the first heartbeat of a worker",
        ),
        _graph("Disks", Query("ringrift_disk_used_percent", "{{host}}"), unit="percent"),
        _graph(
            "Worker starts per hour",
            Query("sum by (host, reason) (increase(ringrift_worker_starts_total[1h]))", "{{host}} {{reason}}"),
        ),
    ),
)

RATINGS = Dashboard(
    "ringrift-ratings",
    "RingRift: ratings and promotions",
    "Do the champions become stronger, and what becomes of the candidates?",
    (
        Row("Strength"),
        _graph("Elo of the champion", Query("ringrift_current_elo", "{{config}}"), after=_RATING),
        _graph(
            "Elo with two standard errors",
            Query("ringrift_current_elo + 2 * ringrift_current_elo_stderr", "{{config}} upper"),
            Query("ringrift_current_elo - 2 * ringrift_current_elo_stderr", "{{config}} lower"),
            after=_RATING,
        ),
        _graph(
            "Trend, Elo per hour",
            Query("ringrift_elo_trend", "{{config}}"),
            Query("ringrift_elo_trend + 2 * ringrift_elo_trend_stderr", "{{config}} upper"),
            Query("ringrift_elo_trend - 2 * ringrift_elo_trend_stderr", "{{config}} lower"),
            after="two hours of ratings",
        ),
        _graph("Elo per core-hour", Query("ringrift_elo_per_core_hour", "{{config}}"), after="two rated champions"),
        _graph("Why it does not learn", Query("ringrift_learning_check_failed", "{{config}} {{check}}")),
        Row("Candidates"),
        _graph("Generation of the champion", Query("ringrift_champion_generation", "{{config}}")),
        _graph("Candidates since the last promotion", Query("ringrift_candidates_since_promotion", "{{config}}")),
        _graph("Models", Query("ringrift_total_models", "{{config}}")),
        _graph(
            "Decisions, 24 h",
            Query("sum by (config, status) (increase(ringrift_promotions_total[24h]))", "{{config}} {{status}}"),
        ),
        _graph(
            "Verdicts of the gates, 24 h",
            Query("sum by (gate, verdict) (increase(ringrift_gate_reports_total[24h]))", "{{gate}} {{verdict}}"),
        ),
        _quantiles("Duration of a gate", "ringrift_gate_duration_seconds", "6h", "gate", after="the first gate"),
        _graph(
            "Elo gain of a promotion, mean of 24 h",
            Query(
                "sum by (config) (increase(ringrift_elo_gain_on_promotion_sum[24h]))"
                " / sum by (config) (increase(ringrift_elo_gain_on_promotion_count[24h]))",
                "{{config}}",
            ),
            after="the first promotion over a champion",
        ),
        _quantiles(
            "From a promotion to the workers",
            "ringrift_promotion_to_worker_seconds",
            "24h",
            "config",
            after=_PROMOTION,
        ),
        _graph(
            "Generations in play",
            Query("max by (config) (ringrift_worker_model_generation)", "{{config}} newest"),
            Query("min by (config) (ringrift_worker_model_generation)", "{{config}} oldest"),
            after="the first heartbeat of a worker",
        ),
        Row("Evaluation and curriculum"),
        _graph(
            "Tournaments per hour",
            Query("sum by (config, type) (increase(ringrift_evaluations_total[1h]))", "{{config}} {{type}}"),
        ),
        _quantiles(
            "Duration of a tournament",
            "ringrift_evaluation_duration_seconds",
            "1h",
            "config",
            after="the first tournament",
        ),
        _graph("Curriculum weights", Query("ringrift_curriculum_weight", "{{config}}")),
    ),
    (
        # One step wide: each change is marked once.
        Annotation(
            "Promotion",
            'ringrift_ledger_promotions{status="promoted"}'
            ' - ringrift_ledger_promotions{status="promoted"} offset 1m > 0',
            "{{config}}",
            "green",
        ),
        Annotation(
            "Rollback",
            'ringrift_ledger_promotions{status="rolled_back"}'
            ' - ringrift_ledger_promotions{status="rolled_back"} offset 1m > 0',
            "{{config}}",
            "red",
        ),
        Annotation(
            "Training",
            'ringrift_ledger_training_runs{status="succeeded"}'
            ' - ringrift_ledger_training_runs{status="succeeded"} offset 1m > 0',
            "{{config}}",
            "blue",
        ),
    ),
)

CLUSTER = Dashboard(
    "ringrift-cluster",
    "RingRift: cluster",
    "Hosts and ratings as tables, from the loop's own endpoints; needs Grafana's Infinity data source.",
    (
        Table(
            "Node status",
            "/ringrift/nodes/table",
            (
                ("Node", "string"),
                ("Status", "string"),
                ("Role", "string"),
                ("CPU", "number"),
                ("GPU", "number"),
                ("GPUMemory", "number"),
                ("Memory", "number"),
                ("GamesPerHour", "number"),
                ("WorkersPlaying", "number"),
                ("WorkersAssigned", "number"),
                ("Models", "string"),
                ("WaitingGames", "number"),
                ("Failures", "number"),
                ("LastSeenSeconds", "number"),
                ("LastError", "string"),
            ),
        ),
        Table(
            "Elo leaderboard",
            "/ringrift/elo/table",
            (
                ("Config", "string"),
                ("Rank", "number"),
                ("Model", "string"),
                ("Elo", "number"),
                ("StdErr", "number"),
                ("WinRate", "number"),
                ("Games", "number"),
                ("Wins", "number"),
                ("Losses", "number"),
                ("Draws", "number"),
                ("Champion", "boolean"),
            ),
        ),
    ),
)

DASHBOARDS = (LOOP, UTILIZATION, RATINGS, CLUSTER)
