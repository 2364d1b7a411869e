"""`ringrift-loop workers`: the self-play workers of all hosts, by hand."""

from __future__ import annotations

import argparse
import json

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "workers", help="start and stop workers to match the plan", description="The self-play workers of all hosts."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, func, line, text in (
        (
            "reconcile",
            reconcile,
            "start missing workers, drain surplus ones, replace those that hang",
            "Prints the report as JSON; exit 1 if a host failed or has another version.",
        ),
        (
            "stop",
            stop,
            "end the workers of this machine's hosts now",
            "They seal their games and exit; the rest are killed after 8 seconds. A running loop that is not halted "
            "starts them again within a minute.",
        ),
        (
            "rate",
            rate,
            "show or set the share of the self-play slots that may play",
            "The others are drained at the next reconcile and start again when the share grows. The same slots "
            "always rest, and every host keeps about the same share.",
        ),
        (
            "halt",
            halt,
            "start nothing more until `resume`",
            "Workers of all hosts are drained at the next reconcile; the DAGs' tasks that would start something are "
            "skipped. What is under way finishes, its games still come in, and what a person starts by hand runs.",
        ),
        ("resume", resume, "end a halt", "Workers start again at the next reconcile."),
    ):
        action = actions.add_parser(name, help=line, description=text)
        add_config_file(action)
        action.set_defaults(func=func)
    for name in ("rate", "halt", "resume"):
        actions.choices[name].add_argument("--why", default="", metavar="TEXT", help="why, for the history")
    actions.choices["rate"].add_argument(
        "share",
        nargs="?",
        type=float,
        metavar="SHARE",
        help="0 to 1; above 0 at least one slot plays; without it, show the share",
    )


def reconcile(args: argparse.Namespace) -> int:
    """One pass over all hosts."""
    from ringrift_loop.cluster.selfplay.supervise import reconcile as run_pass
    from ringrift_loop.loop import Loop

    report = run_pass(Loop.open(config_path=args.config_file))
    print(json.dumps(report.as_json(), indent=2))
    return 1 if report.failed or report.refused else 0


def stop(args: argparse.Namespace) -> int:
    """End local workers."""
    from ringrift_loop.cluster.selfplay.supervise import stop_all
    from ringrift_loop.loop import Loop

    print(json.dumps({"killed": stop_all(Loop.open(config_path=args.config_file))}))
    return 0


def rate(args: argparse.Namespace) -> int:
    """Show or set how much self-play runs."""
    from ringrift_loop.cluster.selfplay.assignment import playing
    from ringrift_loop.cluster.selfplay.supervise import all_slots
    from ringrift_loop.ledger import state
    from ringrift_loop.loop import Loop
    from ringrift_loop.resources.interventions import Asked, set_selfplay_share

    loop = Loop.open(config_path=args.config_file)
    with loop.ledger.begin() as conn:
        if args.share is not None:
            set_selfplay_share(conn, args.share, Asked(why=args.why), at=loop.clock())
        share = state.selfplay_share(conn)
    slots = all_slots(loop)
    print(json.dumps({"share": share, "slots": len(slots), "playing": len(playing(slots, share))}))
    return 0


def halt(args: argparse.Namespace) -> int:
    """Make the loop stand still."""
    return _set_halt(args, True)


def resume(args: argparse.Namespace) -> int:
    """Lift the halt."""
    return _set_halt(args, False)


def _set_halt(args: argparse.Namespace, halted: bool) -> int:
    from ringrift_loop.loop import Loop
    from ringrift_loop.resources.interventions import Asked, set_halt

    loop = Loop.open(config_path=args.config_file)
    with loop.ledger.begin() as conn:
        set_halt(conn, halted, Asked(why=args.why), at=loop.clock())
    print(json.dumps({"halted": halted}))
    return 0
