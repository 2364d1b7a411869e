"""`ringrift-loop hosts`: every host at a glance; `hosts reset` and `hosts trust` for those that have been fixed."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file
from ringrift_loop.text import aligned, span

if TYPE_CHECKING:
    from ringrift_loop.status.fleet import HostView

_HEAD = (
    "host",
    "transport",
    "address",
    "roles",
    "last contact",
    "failures",
    "next",
    "playing",
    "models",
    "waiting",
)


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "hosts",
        help="the hosts at a glance: contact, failures, workers, generations",
        description="Prints a row for each host of the inventory as the ledger last saw it: workers playing out of "
        "those assigned, the generations they play with, sealed games waiting there. Contacts no host: `doctor` does.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, times in UTC seconds")
    add_config_file(parser)
    parser.set_defaults(func=show)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    again = actions.add_parser(
        "reset",
        help="retry a failing host at the next cycle",
        description="Ends a failing host's pause. Nothing else changes: its games, segments and workers stay as is.",
    )
    again.add_argument("name", metavar="NAME", help="the host's name in the inventory")
    add_config_file(again)
    again.set_defaults(func=reset)
    trusted = actions.add_parser(
        "trust",
        help="let training use the games of a host that was under suspicion",
        description="Ends the suspicion of a host whose games differ from those of the others: all of its games count "
        "again, and only those that begin from now on can raise another one.",
    )
    trusted.add_argument("name", metavar="NAME", help="the host's name in the inventory")
    add_config_file(trusted)
    trusted.set_defaults(func=trust)


def show(args: argparse.Namespace) -> int:
    """Print the table."""
    from ringrift_loop.launcher.leftovers import has_ended
    from ringrift_loop.loop import Loop
    from ringrift_loop.status.fleet import by_variant, read_fleet

    loop = Loop.open(config_path=args.config_file)
    stopped = has_ended(loop.directory)
    with loop.ledger.read() as conn:
        views = read_fleet(conn, loop.config, loop.inventory, now=loop.clock(), stopped=stopped)
    models = by_variant(views)
    if args.json:
        print(json.dumps({"hosts": [asdict(view) for view in views], "models": models}, indent=2))
    else:
        table = aligned([_HEAD, *(_row(view, loop.clock()) for view in views)])
        errors = [error for view in views for error in view.worker_errors]
        said = [f"{view.name}: {', '.join(view.for_people)}" for view in views if view.for_people]
        if said:
            said = ["", "For people, as the inventory says; nothing is decided by it:", *said]
        held = [f"{view.name} is held back from training: {view.suspicion}" for view in views if view.suspicion]
        lines = [*table, *said, "", *(f"{variant}: {text}" for variant, text in models.items()), "", *held, *errors]
        print("\n".join(lines).rstrip())
    return 0


def reset(args: argparse.Namespace) -> int:
    """Ask a host again at the next cycle."""
    from ringrift_loop.errors import ConfigError
    from ringrift_loop.ledger import events, hosts
    from ringrift_loop.loop import Loop

    loop = Loop.open(config_path=args.config_file)
    if args.name not in loop.inventory.hosts:
        raise ConfigError(f"no host is named {args.name}; the hosts are {', '.join(loop.inventory.hosts)}")
    with loop.ledger.begin() as conn:
        hosts.ensure(conn, [args.name])
        before = hosts.get(conn, args.name)
        hosts.ask_again(conn, args.name)
        if before.consecutive_failures:
            message = f"{args.name} is retried by hand after {before.consecutive_failures} failures in a row"
            events.record(conn, "host", message, at=loop.clock())
    print(json.dumps({"host": args.name, "failures_before": before.consecutive_failures}))
    return 0


def trust(args: argparse.Namespace) -> int:
    """End a suspicion."""
    from ringrift_loop.errors import ConfigError
    from ringrift_loop.ledger import events, hosts
    from ringrift_loop.loop import Loop

    loop = Loop.open(config_path=args.config_file)
    with loop.ledger.begin() as conn:
        suspected = hosts.suspected(conn)
        if args.name not in suspected:
            raise ConfigError(f"{args.name} is not under suspicion; those that are: {', '.join(suspected) or 'none'}")
        hosts.trust(conn, args.name, at=loop.clock())
        message = f"the games of {args.name} count again, a person says; it was held back for: {suspected[args.name]}"
        events.record(conn, "suspicion", message, at=loop.clock())
    print(json.dumps({"host": args.name, "suspicion_before": suspected[args.name]}))
    return 0


def _row(view: HostView, now: float) -> tuple[str, ...]:
    from ringrift_loop.status.fleet import generations

    again = view.next_attempt_at - now
    return (
        view.name if view.enabled else f"{view.name} (disabled)",
        view.transport,
        view.address,
        ",".join(view.roles) or "-",
        "never" if view.last_seen_at is None else f"{span(now - view.last_seen_at)} ago",
        str(view.consecutive_failures),
        "-" if not view.enabled else f"in {span(again)}" if again > 0 else "next cycle",
        f"{view.workers_playing}/{view.workers_assigned}",
        generations(view.played) or "-",
        "?" if view.waiting_games is None else str(view.waiting_games),
    )
