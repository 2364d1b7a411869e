"""`ringrift-loop ratings`: refit a variant's ratings from its match log and show them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ringrift_loop.cli.options import add_config_file, add_variant

if TYPE_CHECKING:
    from ringrift_loop.ratings.elo import RatingTable


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = sub.add_parser(
        "ratings",
        help="refit and show the ratings of a variant",
        description="Fits the whole match log of a variant, stores the ratings and prints them, strongest first, with "
        "95 % intervals against the fixed player `random` and against the player above.",
    )
    add_variant(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the fit, store nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_config_file(parser, "--config-file")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Fit and print."""
    from ringrift_loop.errors import LedgerError
    from ringrift_loop.loop import Loop
    from ringrift_loop.ratings.refit import refit, table_of

    loop = Loop.open(config_path=args.config_file)
    if args.dry_run:
        with loop.ledger.read() as conn:
            table = table_of(conn, args.variant)
        if table is None:
            raise LedgerError(f"there is no match of {args.variant} to rate")
    else:
        table = refit(loop, args.variant)
    rows = ranking(table)
    if args.json:
        seats = list(table.seat_advantages)
        print(json.dumps({"variant": args.variant, "seat_advantages": seats, "ratings": rows}))
    else:
        print(_text(args.variant, table, rows))
    return 0


def ranking(table: RatingTable) -> list[dict[str, Any]]:
    """The participants, strongest first, each with its lead over the next one above (negative)."""
    names = sorted(table.participants, key=lambda name: (-table.elo(name), name))
    rows = []
    for place, name in enumerate(names):
        behind = table.difference(name, names[place - 1]) if place else None
        rows.append(
            {
                "participant": name,
                "elo": table.elo(name),
                "stderr": table.stderr(name),
                "games": table.games[name],
                "to_next": None if behind is None else behind.gain,
                "to_next_stderr": None if behind is None else behind.stderr,
            }
        )
    return rows


def _text(variant: str, table: RatingTable, rows: list[dict[str, Any]]) -> str:
    seats = ", ".join(f"seat {seat} {elo:+.0f}" for seat, elo in enumerate(table.seat_advantages, start=1))
    lines = [f"{variant}: Elo with 95 % intervals; seat advantages: {seats}"]
    lines.append(f"{'participant':28}  {'Elo':>12}  {'to the next above':>18}  games")
    for row in rows:
        digest, bar, search = row["participant"].partition("|")
        name = f"{digest[:12]}|{search}" if bar else digest
        elo = f"{row['elo']:.0f} ± {1.96 * row['stderr']:.0f}"
        gap = "" if row["to_next"] is None else f"{row['to_next']:.0f} ± {1.96 * row['to_next_stderr']:.0f}"
        lines.append(f"{name:28}  {elo:>12}  {gap:>18}  {row['games']:5}")
    return "\n".join(lines)
