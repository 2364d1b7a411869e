"""`ringrift-loop distribute`: a champion to the hosts, by hand."""

from __future__ import annotations

import argparse
import json

from ringrift_loop.cli.options import add_config_file, variant_name


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "distribute",
        help="send a model to the hosts",
        description="Sends a variant's champion to every self-play host and points its workers to it. Prints the "
        "report as JSON; exit 1 if a host failed. Sync does the same for hosts that were away.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--variant", type=variant_name, help="whose champion, such as square8_2p")
    which.add_argument("--model", help="digest of a champion")
    add_config_file(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Send it."""
    from ringrift_loop.cluster.sync.distribute import distribute
    from ringrift_loop.errors import LedgerError
    from ringrift_loop.ledger import promotions
    from ringrift_loop.loop import Loop

    loop = Loop.open(config_path=args.config_file)
    digest = args.model
    if digest is None:
        with loop.ledger.read() as conn:
            champion = promotions.champion(conn, args.variant)
        if champion is None:
            raise LedgerError(f"{args.variant} has no champion yet")
        digest = champion.model_digest
    report = distribute(loop, digest)
    print(json.dumps(report.as_json(), indent=2))
    return 1 if report.failed else 0
