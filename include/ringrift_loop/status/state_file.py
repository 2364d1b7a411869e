"""The deployment guide's state file, `unified_loop_state.json`, made from the ledger: the same keys, for its commands.

The ledger is the state; this is a copy for programs that read the file. Times named `..._at` are ISO 8601 in UTC, times
named `..._time` UTC seconds, 0 for never, as in the original.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.hosts.inventory import Host, Inventory
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import events, hosts, segments
from ringrift_loop.status.overview import VariantOverview, read_overview
from ringrift_loop.text import clean

FORMAT = 1


def state_document(
    conn: Connection, config: LoopConfig, inventory: Inventory, *, now: float, stopped: bool = False
) -> dict[str, JsonValue]:
    """The document; arguments as for `read_overview`."""
    names = [host.name for host in inventory.enabled]
    overview = read_overview(conn, config, names, now=now, stopped=stopped)
    rows = {row.name: row for row in hosts.all_hosts(conn)}
    known = [rows[name] for name in names if name in rows]
    taken = segments.games_by_host(conn)
    training = [variant for variant in overview.variants if variant.training_started_at is not None]
    failed = events.latest(conn, kind="task_failed", limit=1)
    return {
        "format": FORMAT,
        "exported_at": _iso(now),
        "running": overview.runs,
        "halted": overview.halted,
        "started_at": _iso(overview.started_at),
        "last_cycle_at": _iso(overview.last_cycle_at),
        "total_data_syncs": overview.data_syncs,
        "total_training_runs": overview.training_runs,
        "total_evaluations": overview.evaluations,
        "total_promotions": overview.promotions,
        "hosts": {
            host.name: _host(host, rows.get(host.name), taken.get(host.name, 0)) for host in inventory.hosts.values()
        },
        "configs": {variant.variant: _config(variant) for variant in overview.variants},
        "training_in_progress": bool(training),
        "training_config": training[0].variant if training else "",
        "training_started_at": training[0].training_started_at if training else 0.0,
        "total_games_pending": sum(variant.games_pending for variant in overview.variants),
        "curriculum_weights": {variant.variant: variant.weight for variant in overview.variants},
        "last_curriculum_rebalance": overview.last_rebalance_at or 0.0,
        "consecutive_failures": max((row.consecutive_failures for row in known), default=0),
        "last_error": clean(failed[0].message) if failed else "",
    }


def _host(host: Host, row: hosts.HostRow | None, games: int) -> JsonValue:
    return {
        "name": host.name,
        "ssh_host": host.ssh_host or "",
        "ssh_user": host.ssh_user or "",
        "ssh_port": host.ssh_port or 22,
        "role": ",".join(sorted(host.roles)),
        "enabled": host.enabled,
        "last_sync_time": 0.0 if row is None else row.last_seen_at or 0.0,
        "last_game_count": games,
        "consecutive_failures": 0 if row is None else row.consecutive_failures,
        "last_error": clean(row.last_error) if row is not None and row.last_error else "",
    }


def _config(variant: VariantOverview) -> JsonValue:
    return {
        "game_count": variant.games,
        "games_since_training": variant.games_pending,
        "last_training_time": variant.last_training_at or 0.0,
        "last_evaluation_time": variant.last_evaluation_at or 0.0,
        "last_promotion_time": variant.last_promotion_at or 0.0,
        "current_elo": variant.elo,
        "elo_trend": variant.elo_trend,
        "training_weight": variant.weight,
        "champion": variant.champion,
        "generation": variant.generation,
        "total_models": variant.models,
    }


def _iso(at: float | None) -> str:
    """Empty for never, as in the original."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
