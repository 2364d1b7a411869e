"""For each alert what makes it fire, what does not, and what happens when nothing is there: for `promtool test rules`.

Series are in promtool's notation, by default with one sample a minute: `1x90` is 1 for an hour and a half, `0+60x90` a
rising counter. Times start at 0, so `time()` after 90 minutes is 5400.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Series = Mapping[str, str]
ALIVE = 'ringrift_last_success_timestamp_seconds{stage="selfplay"}'
UPTIME = "ringrift_uptime_seconds"
RECEIVED = "statsd_exporter_udp_packets_total"
UP = 'up{job="ringrift-loop"}'


@dataclass(frozen=True)
class Case:
    """One alert's series; each set is a test of its own."""

    fires: tuple[Series, ...]
    quiet: tuple[Series, ...]
    """Close to firing: the limit itself, another state, too short a time."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """That the alert carries besides its own, in the first firing set."""
    says: str = ""
    """In the description then."""
    when_absent: bool = False
    """Whether it fires when none of its series exists."""
    minutes: int = 100
    """When to look."""
    step: int = 1
    """Minutes between two samples, and between two evaluations."""


def _flat(name: str, value: float | str, minutes: int = 200) -> dict[str, str]:
    return {name: f"{value}x{minutes}"}


def _flat_then(name: str, first: float, then: float, *, at: int) -> dict[str, str]:
    """Two values one after the other; `at` in minutes."""
    return {name: f"{first}x{at - 1} {then}x200"}


SQUARE = '{config="square8_2p"}'
CPU = "ringrift_cluster_cpu_utilization_percent"
GPU = "ringrift_cluster_gpu_utilization_percent"
TAKEN_BACK = 'ringrift_ledger_promotions{config="square8_2p",status="rolled_back"}'
CANDIDATE = f"ringrift_first_candidate_since_promotion_timestamp_seconds{SQUARE}"
STARTED = f"ringrift_training_started_timestamp_seconds{SQUARE}"
LIMIT = f"ringrift_training_limit_seconds{SQUARE}"
ELO, STDERR, MODELS = (f"ringrift_{name}{SQUARE}" for name in ("current_elo", "current_elo_stderr", "total_models"))
LEARNING = 'ringrift_learning_check_failed{config="square8_2p",check="gates"}'
TREND, TREND_STDERR = f"ringrift_elo_trend{SQUARE}", f"ringrift_elo_trend_stderr{SQUARE}"


def _hosts(enabled: int, active: int) -> dict[str, str]:
    return {**_flat("ringrift_hosts_enabled", enabled), **_flat("ringrift_hosts_active", active)}


def _visits(errors: str, visits: str) -> dict[str, str]:
    return {
        'ringrift_sync_errors_total{host="a",error_type="remote"}': errors,
        'ringrift_sync_duration_seconds_count{host="a"}': visits,
    }


def _games(quarantined: str, synced: str) -> dict[str, str]:
    return {
        'ringrift_games_quarantined_total{host="a"}': quarantined,
        'ringrift_games_synced_total{host="a"}': synced,
    }


def _trend(value: float, stderr: float) -> dict[str, str]:
    return {**_flat(TREND, value), **_flat(TREND_STDERR, stderr)}


def _generations(*values: int) -> dict[str, str]:
    name = "ringrift_worker_model_generation"
    return {
        f'{name}{{host="a",slot="{slot}",config="square8_2p"}}': f"{value}x200" for slot, value in enumerate(values)
    }


CASES: Mapping[str, Case] = {
    "AILoopDown": Case(
        fires=(
            {"ringrift_alive_timestamp_seconds": "0+60x90 5400x200"},
            {"ringrift_alive_timestamp_seconds": "0+60x90"},
        ),
        quiet=({"ringrift_alive_timestamp_seconds": "0+60x200"},),
        when_absent=True,
        says="10m 0s",
    ),
    "NoGamesSynced": Case(
        fires=(
            {ALIVE: "0+60x60 3600x200", UPTIME: "0+60x200"},
            {ALIVE: "0x200", UPTIME: "0+60x200"},
        ),
        # A loop that has just started has had no time for a game.
        quiet=({ALIVE: "0+60x200"}, {ALIVE: "0x200", UPTIME: "0x90 0+60x200"}),
        when_absent=True,
        says="40m 0s",
    ),
    "AllHostsFailed": Case(fires=(_hosts(3, 0),), quiet=(_hosts(3, 1), _hosts(0, 0)), says="None of the 3"),
    "TrainingStuck": Case(
        # Over the plain limit, over the variant's own, over the plain one where nobody tells another.
        fires=(
            {**_flat(STARTED, 60), **_flat(LIMIT, 7200), UPTIME: "0+60x200"},
            {STARTED: "0x59 3600x200", LIMIT: "4000x200"},
            _flat(STARTED, 60),
            {**_flat(STARTED, 60), LIMIT.replace("square8", "hexagonal"): "70312.5x200"},
        ),
        # None is open; it is young; its board is large.
        quiet=(
            {**_flat(STARTED, 0), **_flat(LIMIT, 7200)},
            _flat(STARTED, 0),
            {STARTED: "0x59 3600x200", LIMIT: "7200x200"},
            {**_flat(STARTED, 60), LIMIT: "70312.5x200"},
            # The loop was off in between, so the run goes on.
            {**_flat(STARTED, 60), **_flat(LIMIT, 7200), UPTIME: "0x80 0+60x200"},
        ),
        labels={"config": "square8_2p"},
        minutes=140,
        says="2h 19m 0s",
    ),
    "HighSyncErrorRate": Case(
        fires=(_visits("0+1x200", "0+2x200"),),
        quiet=(_visits("0+1x200", "0+4x200"), _visits("0x200", "0+2x200"), _visits("0x200", "0x200")),
        says="50%",
    ),
    "GamesPendingThresholdExceeded": Case(
        fires=(
            {
                'ringrift_games_pending_training{config="square8_2p"}': "3000x200",
                'ringrift_games_pending_training{config="hex8_2p"}': "2001x200",
            },
        ),
        quiet=(_flat('ringrift_games_pending_training{config="square8_2p"}', 5000),),
        says="5001 games",
    ),
    "NoPromotionsIn24h": Case(
        fires=({**_flat(CANDIDATE, 600), UPTIME: "0+600x200"}, _flat(CANDIDATE, 600)),
        # The last one: the loop was off for a day.
        quiet=(_flat(CANDIDATE, 0), _flat(CANDIDATE, 3600), {**_flat(CANDIDATE, 600), UPTIME: "_x140 0+600x200"}),
        labels={"config": "square8_2p"},
        minutes=24 * 60 + 30,
        step=10,
        says="1d 0h 20m 0s",
    ),
    "EloDecline": Case(
        fires=(_trend(-2.5, 1.0),),
        # Noise explains it; it is too little; it has not lasted.
        quiet=(_trend(-2.5, 1.5), _trend(-0.9, 0.1), {TREND: "_x60 -2.5x200", TREND_STDERR: "_x60 0.1x200"}),
        labels={"config": "square8_2p"},
        minutes=130,
        says="-2.5 an hour",
    ),
    "LowActiveHosts": Case(
        fires=(_hosts(8, 4),), quiet=(_hosts(8, 5), _hosts(2, 2), _hosts(8, 0)), says="Only 4 hosts"
    ),
    "CPUUnderutilized": Case(fires=(_flat(CPU, 59),), quiet=(_flat(CPU, 60), {CPU: "_x80 59x200"}), says="59 %"),
    "CPUOverutilized": Case(fires=(_flat(CPU, 81),), quiet=(_flat(CPU, 80), {CPU: "_x80 81x200"}), says="81 %"),
    "GPUUnderutilized": Case(fires=(_flat(GPU, 59),), quiet=(_flat(GPU, 60), {GPU: "_x80 59x200"}), says="59 %"),
    "GPUOverutilized": Case(fires=(_flat(GPU, 86),), quiet=(_flat(GPU, 85), {GPU: "_x80 86x200"}), says="86 %"),
    "GPUCriticallyOverloaded": Case(fires=(_flat(GPU, 96),), quiet=(_flat(GPU, 95), {GPU: "_x95 96x200"}), says="96 %"),
    "HighMemoryUtilization": Case(
        fires=(_flat('ringrift_host_memory_utilization_percent{host="a"}', 90),),
        quiet=(_flat('ringrift_host_memory_utilization_percent{host="a"}', 85),),
        labels={"host": "a"},
        says="90 %",
    ),
    "ProlongedBackpressure": Case(
        fires=(_flat("ringrift_cluster_backpressure_factor", 0.75),),
        quiet=(
            _flat("ringrift_cluster_backpressure_factor", 0.8),
            {"ringrift_cluster_backpressure_factor": "1x50 0.75x200"},
        ),
        says="is 0.75",
    ),
    "NoTaskStarted": Case(
        fires=(
            {"ringrift_last_task_start_timestamp_seconds": "0+60x90 5400x200"},
            {"ringrift_last_task_start_timestamp_seconds": "0+60x90"},
        ),
        quiet=({"ringrift_last_task_start_timestamp_seconds": "0+60x200"},),
        when_absent=True,
        says="10m 0s ago",
    ),
    "LedgerVerificationFailed": Case(
        fires=(_flat("ringrift_ledger_verification_findings", 3),),
        quiet=(_flat("ringrift_ledger_verification_findings", 0),),
        says="3 findings",
    ),
    "HighQuarantineRate": Case(
        fires=(_games("0+3x200", "0+97x200"), {'ringrift_games_quarantined_total{host="a"}': "0+3x200"}),
        quiet=(_games("0+2x200", "0+98x200"), _games("0x200", "0x200")),
        labels={"host": "a"},
        says="3%",
    ),
    "GateNeverPasses": Case(
        fires=(_flat(f"ringrift_candidates_since_promotion{SQUARE}", 10),),
        quiet=(_flat(f"ringrift_candidates_since_promotion{SQUARE}", 9),),
        labels={"config": "square8_2p"},
        says="10 candidates in a row",
    ),
    "ChampionRolledBack": Case(
        # Also by a Prometheus that has not looked for an hour yet.
        fires=(_flat_then(TAKEN_BACK, 2, 3, at=80), {TAKEN_BACK: "_x60 2x20 3x60"}),
        # None was; one was, but not of late, or before Prometheus looked; decisions of another kind grow all the time.
        quiet=(
            _flat(TAKEN_BACK, 2),
            _flat_then(TAKEN_BACK, 2, 3, at=20),
            {TAKEN_BACK: "_x60 3x80"},
            _flat_then(TAKEN_BACK.replace("rolled_back", "promoted"), 2, 3, at=80),
        ),
        labels={"config": "square8_2p", "status": "rolled_back"},
        says="rolled back 1 champions",
    ),
    "LoopDoesNotLearn": Case(
        fires=({LEARNING: "0x10 1x200", LEARNING.replace("gates", "games"): "0x200"},),
        quiet=(_flat(LEARNING, 0), {LEARNING: "1x40 0x200"}),
        labels={"config": "square8_2p", "check": "gates"},
        minutes=100,
        says="The check of its gates fails",
    ),
    "GenerationSkew": Case(
        fires=(_generations(7, 5),),
        quiet=(_generations(7, 6), _generations(7)),
        labels={"config": "square8_2p"},
        says="lie 2 generations",
    ),
    "HostFailing": Case(
        fires=(_flat("ringrift_hosts_failed", 2),),
        quiet=(_flat("ringrift_hosts_failed", 0), {"ringrift_hosts_failed": "0x90 2x200"}),
        says="2 hosts",
    ),
    "HostSuspected": Case(
        fires=(_flat("ringrift_hosts_suspected", 1),),
        quiet=(_flat("ringrift_hosts_suspected", 0),),
        says="1 hosts",
    ),
    "BridgeSilent": Case(
        fires=({RECEIVED: "7x200", UP: "1x200"}, {UP: "0x200"}),
        quiet=({RECEIVED: "0+7x200", UP: "1x200"},),
        when_absent=True,
    ),
    "DiskNearlyFull": Case(
        fires=(_flat('ringrift_disk_used_percent{host="a"}', 91),),
        quiet=(_flat('ringrift_disk_used_percent{host="a"}', 90),),
        labels={"host": "a"},
        says="91 %",
    ),
}
