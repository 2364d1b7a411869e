"""`ringrift-loop promote` and `rollback`: moving the champion pointer."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from dataclasses import asdict

from ringrift_loop.cli.options import add_config_file, add_variant

_EXIT = {"promoted": 0, "kept": 0, "rolled_back": 0, "rejected": 1, "deferred": 75}


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    promote = sub.add_parser(
        "promote",
        help="make a model the champion",
        description="Decides on a candidate from the gates' reports in the ledger: promotes it, records a "
        "rejection with its reason, or defers it (cool-down, daily maximum, promotion.auto_promote off). Prints the "
        "record as JSON. Exits 0 if it is the champion, 1 if it was rejected, 75 if it was deferred.",
    )
    promote.add_argument(
        "--model", required=True, help="a digest (or at least its first 8 characters), or the path of a model folder"
    )
    promote.add_argument(
        "--by-hand",
        action="store_true",
        help="a person asks: cool-down, daily maximum and auto_promote do not apply; the gates do. Where "
        "promotion.require_approval is on, this is the approval, under the name of the user",
    )
    _add_common(promote)
    promote.set_defaults(func=run_promote)
    rollback = sub.add_parser(
        "rollback",
        help="return to an earlier champion",
        description="Makes the previous champion the champion again. Prints the record as JSON.",
    )
    rollback.add_argument("--reason", required=True, help="why; kept in the promotion history")
    rollback.add_argument("--dry-run", action="store_true", help="show what would be done, do nothing")
    _add_common(rollback)
    rollback.set_defaults(func=run_rollback)


def run_promote(args: argparse.Namespace) -> int:
    """Decide about a candidate."""
    from ringrift_loop.loop import Loop
    from ringrift_loop.promotion.approval import approve_promotion_by_hand
    from ringrift_loop.promotion.promote import promote
    from ringrift_loop.promotion.subject import subject_of

    loop = Loop.open(config_path=args.config_file)
    digest = subject_of(loop, args.model, args.variant).digest
    if args.by_hand:
        approve_promotion_by_hand(loop, digest, variant=args.variant, by=getpass.getuser())
    record = promote(loop, digest, variant=args.variant, by_hand=args.by_hand)
    print(f"{record.status}: {record.reason}", file=sys.stderr)
    print(json.dumps(asdict(record)))
    return _EXIT[record.status]


def run_rollback(args: argparse.Namespace) -> int:
    """Go back to the champion before."""
    from ringrift_loop.ledger import promotions
    from ringrift_loop.loop import Loop
    from ringrift_loop.promotion.approval import approve_rollback_by_hand
    from ringrift_loop.promotion.promote import rollback

    loop = Loop.open(config_path=args.config_file)
    if args.dry_run:
        with loop.ledger.read() as conn:
            pointers = promotions.pointers(conn, args.variant)
        target = pointers[1] if len(pointers) > 1 else None
        print(json.dumps({"variant": args.variant, "champion": pointers[0] if pointers else None, "would_be": target}))
        return 0 if target else 1
    approve_rollback_by_hand(loop, args.variant, by=getpass.getuser())
    record = rollback(loop, args.variant, args.reason)
    print(json.dumps(asdict(record)))
    return _EXIT[record.status]


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_variant(parser)
    add_config_file(parser, "--config-file")
