"""`ringrift-loop status`: the deployment guide's six lines, and a row for each variant."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.text import aligned, span

if TYPE_CHECKING:
    from ringrift_loop.status.overview import Overview, VariantOverview
    from ringrift_loop.views.learning import Learning

_HEAD = (
    "variant",
    "champion",
    "Elo",
    "pending",
    "games",
    "per hour",
    "last training",
    "last promotion",
    "workers",
)
# A normal interval of 95 %.
_Z95 = 1.96


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "status",
        help="the loop at a glance: totals, champions, ratings, pending games, workers",
        description="Prints whether the loop runs, its totals, and a row for each variant: champion as generation and "
        "short digest, Elo with its 95 % interval, pending games against the threshold, games, last training, last "
        "promotion, workers that play of those assigned. Times are local.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, times in UTC seconds")
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print the overview."""
    from ringrift_loop.launcher.leftovers import has_ended
    from ringrift_loop.loop import Loop
    from ringrift_loop.status.overview import read_overview
    from ringrift_loop.views.learning import read_learning

    loop = Loop.open(config_path=args.config_file)
    stopped = has_ended(loop.directory)
    with loop.ledger.read() as conn:
        host_names = [host.name for host in loop.inventory.enabled]
        overview = read_overview(conn, loop.config, host_names, now=loop.clock(), stopped=stopped)
        learning = read_learning(conn, loop.config, overview)
    document = {**asdict(overview), "learning": [one.as_json() for one in learning]}
    print(json.dumps(document, indent=2) if args.json else text(overview, learning))
    return 0


def text(overview: Overview, learning: Sequence[Learning] = ()) -> str:
    """The overview for a person."""
    from ringrift_loop.status.overview import worker_errors

    lines = [
        "Unified AI Loop Status:",
        f"  {_life(overview)}",
        f"  Started: {_time(overview.started_at)}",
        f"  Last cycle: {_time(overview.last_cycle_at)}",
        f"  Data syncs: {overview.data_syncs}",
        f"  Training runs: {overview.training_runs}",
        f"  Evaluations: {overview.evaluations}",
        f"  Promotions: {overview.promotions}",
        f"  Last full tournament: {_time(overview.last_full_tournament_at)}",
    ]
    if overview.halted:
        lines.append("  HALTED by a person: it starts nothing until `workers resume`")
    if overview.selfplay_share < 1:
        lines.append(
            f"  Self-play is limited to {overview.selfplay_share:.0%} of its slots: `workers rate 1` frees them"
        )
    if overview.hosts_failed:
        lines.append(f"  Failing hosts: {overview.hosts_failed}")
    if overview.hosts_suspected:
        lines.append(f"  Hosts held back from training: {overview.hosts_suspected} (ringrift-loop hosts)")
    lines += [f"  {error}" for error in worker_errors(overview.workers)]
    rows = [_HEAD, *(_row(variant, runs=overview.runs) for variant in overview.variants)]
    told = ["", *(f"{one.sentence}." for one in learning)] if learning else []
    return "\n".join([*lines, "", *aligned(rows), *told])


def _row(variant: VariantOverview, *, runs: bool) -> tuple[str, ...]:
    champion = "-" if variant.champion is None else f"{variant.generation} {variant.champion[:8]}"
    if variant.elo is None or variant.elo_stderr is None:
        elo = "-"
    else:
        elo = f"{variant.elo:.0f} ± {_Z95 * variant.elo_stderr:.0f}"
    last_training = _time(variant.last_training_at)
    if variant.training_started_at is not None:
        last_training = "running" if runs else "interrupted"
    return (
        variant.variant,
        champion,
        elo,
        f"{variant.games_pending}/{variant.threshold}",
        str(variant.games),
        str(variant.games_last_hour),
        last_training,
        _time(variant.last_promotion_at),
        f"{variant.workers_playing}/{variant.workers_assigned}",
    )


def _life(overview: Overview) -> str:
    if overview.runs:
        return "Running"
    if overview.alive_at is None:
        return "NOT RUNNING: it was never started"
    return f"NOT RUNNING: last heard from {span(overview.at - overview.alive_at)} ago"


def _time(at: float | None) -> str:
    """Local time in seconds, as the guide prints it."""
    return "never" if at is None else datetime.fromtimestamp(at).isoformat(timespec="seconds")
