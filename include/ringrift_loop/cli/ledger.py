"""`ringrift-loop ledger`: bring the ledger's schema up to date, audit it, show the history."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict

from ringrift_loop.cli.options import add_config_file


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser("ledger", help="migrate and verify the ledger", description="The loop's database.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    step = actions.add_parser(
        "migrate",
        help="create the ledger, or bring it to this version's schema",
        description="Runs all missing migrations in one transaction; does nothing when there are none. With --to, the "
        "way back: the ledger gets the schema of an earlier program and keeps every game, model and match. Without "
        "--url, the ledger then belongs to the run directory ($RINGRIFT_HOME), and a loop with another one is refused.",
    )
    step.add_argument("--url", help="database URL (default: $RINGRIFT_LEDGER_URL, else SQLite in the run directory)")
    step.add_argument("--to", metavar="SCHEMA", help="an earlier schema, such as 0002 (default: this version's)")
    step.set_defaults(func=migrate)

    audit = actions.add_parser(
        "verify",
        help="audit the ledger: one line per finding, exit 1 if there are any",
        description="Checks that every game is counted once, that segments have no gaps, that training claims, "
        "champions, matches and ratings refer to what exists, and that the files are there. The loop may be running.",
    )
    audit.add_argument(
        "--hosts", action="store_true", help="also compare with the sealed segments on every enabled host"
    )
    audit.add_argument("--files", action="store_true", help="also compute the sha256 of every ingested segment (slow)")
    audit.add_argument("--json", action="store_true", help="print one JSON object")
    add_config_file(audit)
    audit.set_defaults(func=verify)

    history = actions.add_parser(
        "events",
        help="the newest lines of the history",
        description="Prints events as JSON, one per line, oldest first.",
    )
    history.add_argument("--kind", help="only this kind, such as sync, host, worker, training, gate, promotion")
    history.add_argument("--limit", type=int, default=50, help="how many (default 50)")
    history.set_defaults(func=events)


def migrate(args: argparse.Namespace) -> int:
    """Bring the schema up to date, and have the ledger belong to this run directory."""
    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.ledger import run_directory
    from ringrift_loop.ledger.database import Ledger
    from ringrift_loop.ledger.migrate import migrate as run_migrations
    from ringrift_loop.ledger.schema import SCHEMA_REVISION

    directory = RunDirectory.from_environment()
    revision = run_migrations(args.url or directory.ledger_url, args.to or SCHEMA_REVISION)
    if args.url is None and args.to is None:
        run_directory.claim(Ledger.open(directory.ledger_url), directory, at=time.time())
    print(json.dumps({"schema": revision}))
    return 0


def verify(args: argparse.Namespace) -> int:
    """Audit the ledger."""
    from ringrift_loop.cluster.sync.audit import audit_hosts
    from ringrift_loop.ledger.state import note_verification
    from ringrift_loop.loop import Loop
    from ringrift_loop.status.verify import verify as run_checks

    loop = Loop.open(config_path=args.config_file)
    findings = run_checks(loop, files=args.files)
    if args.hosts:
        findings += audit_hosts(loop)
    if args.json:
        print(json.dumps({"ok": not findings, "findings": [asdict(finding) for finding in findings]}, indent=2))
    elif findings:
        print("\n".join(map(str, findings)))
    else:
        print("nothing to complain about")
    with loop.ledger.begin() as conn:
        note_verification(conn, len(findings), at=loop.clock())
    return 1 if findings else 0


def events(args: argparse.Namespace) -> int:
    """Print the history."""
    from ringrift_loop.layout import RunDirectory
    from ringrift_loop.ledger import events as history
    from ringrift_loop.ledger.database import Ledger
    from ringrift_loop.ledger.migrate import check_current

    ledger = Ledger.open(RunDirectory.from_environment().ledger_url)
    check_current(ledger)
    with ledger.read() as conn:
        found = history.latest(conn, kind=args.kind, limit=args.limit)
    for event in reversed(found):
        print(json.dumps(vars(event)))
    return 0
