"""`ringrift-loop models`: which models there are, models out and in, and what a run begins with."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.cli.options import add_config_file, add_variant
from ringrift_loop.text import aligned

if TYPE_CHECKING:
    from ringrift_loop.champions.card import Card
    from ringrift_loop.json_value import JsonValue
    from ringrift_loop.loop import Loop


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands."""
    parser = sub.add_parser(
        "models",
        help="list, export and import models; begin with the shipped champions",
        description="A champion of every variant comes with the package, as far as it has been trained; a new run "
        "begins with them. An exported model is a folder with its weights and a card that tells where it comes from.",
    )
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    listing = what.add_parser(
        "list",
        help="the models of the ledger and those that come with the package",
        description="Prints every registered model with its origin, then the champions that come with the package.",
    )
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    add_config_file(listing)
    listing.set_defaults(func=run_list)

    export = what.add_parser(
        "export",
        help="write a model to a folder that import reads on another machine",
        description="Writes weights and card: digest, lineage, trainings, games against the baselines, licence.",
    )
    export.add_argument(
        "--model",
        default="champion",
        help="champion (the default), a digest or at least its first 8 characters, or the path of a model folder",
    )
    export.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the folder to make")
    export.add_argument("--replace", action="store_true", help="put it in the place of what is there")
    add_variant(export)
    add_config_file(export, "--config-file")
    export.set_defaults(func=run_export)

    importing = what.add_parser(
        "import",
        help="take in a model that was exported anywhere",
        description="Checks the folder as if it were hostile, registers the model, and makes it the champion of a "
        "variant that has none. Where there is a champion it is a candidate: regression-gate, champion-gate and "
        "promote decide. Prints the result as JSON.",
    )
    importing.add_argument("folder", type=Path, metavar="FOLDER", help="what export has written")
    add_config_file(importing)
    importing.set_defaults(func=run_import)

    begin = what.add_parser(
        "begin",
        help="import the shipped champions into a run that has no models yet; part of `ringrift-loop up`",
        description="Decides once what a run begins with, and imports what is missing. Prints the result as JSON.",
    )
    begin.add_argument("--fresh", action="store_true", help="begin from nothing")
    add_config_file(begin)
    begin.set_defaults(func=run_begin)


def run_list(args: argparse.Namespace) -> int:
    """Print the models."""
    from ringrift_loop.champions.shipped import shipped_cards
    from ringrift_loop.loop import Loop

    loop, shipped = Loop.open(config_path=args.config_file), shipped_cards()
    rows = _rows(loop)
    if args.json:
        print(json.dumps({"models": rows, "shipped": {name: card.as_json() for name, card in shipped.items()}}))
        return 0
    head = ("variant", "generation", "model", "made", "origin", "")
    print("\n".join(aligned([head, *(_line(row) for row in rows)])))
    print()
    head = ("shipped", "model", "architecture", "made", "trainings", "won against")
    print("\n".join(aligned([head, *(_shipped_line(card) for card in shipped.values())])))
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write a model's folder."""
    from ringrift_loop.champions.exchange import export_model
    from ringrift_loop.loop import Loop
    from ringrift_loop.promotion.subject import subject_of

    loop = Loop.open(config_path=args.config_file)
    card = export_model(loop, subject_of(loop, args.model, args.variant), args.output, replace=args.replace)
    print(json.dumps({"folder": str(args.output), "digest": card.digest, "lineage": len(card.lineage)}))
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Take a model in."""
    from ringrift_loop.champions.exchange import import_model
    from ringrift_loop.cli.learning.train import require_torch
    from ringrift_loop.loop import Loop

    require_torch()
    loop = Loop.open(config_path=args.config_file)
    print(json.dumps(asdict(import_model(loop, args.folder, str(args.folder.resolve())))))
    return 0


def run_begin(args: argparse.Namespace) -> int:
    """Import the shipped champions, or decide not to."""
    from ringrift_loop.champions.shipped import begin
    from ringrift_loop.cli.learning.train import require_torch
    from ringrift_loop.loop import Loop

    if not args.fresh:
        require_torch()
    print(json.dumps(asdict(begin(Loop.open(config_path=args.config_file), fresh=args.fresh))))
    return 0


def _rows(loop: Loop) -> list[dict[str, JsonValue]]:
    from ringrift_loop.champions.exchange import ORIGIN
    from ringrift_loop.ledger import models, promotions

    with loop.ledger.read() as conn:
        known, champions = models.all_models(conn), promotions.all_champions(conn)
    rows: list[dict[str, JsonValue]] = []
    for model in known:
        champion = champions.get(model.variant)
        imported = model.manifest.get(ORIGIN)
        rows.append(
            {
                "variant": model.variant,
                "generation": model.generation,
                "digest": model.digest,
                "created_at": model.created_at,
                "parent": model.parent_digest,
                "training_run": model.training_run,
                "imported_from": imported.get("from") if isinstance(imported, dict) else None,
                "champion": champion is not None and champion.model_digest == model.digest,
            }
        )
    return rows


def _line(row: dict[str, JsonValue]) -> tuple[str, ...]:
    origin = row["training_run"] or (f"imported from {row['imported_from']}" if row["imported_from"] else "-")
    made = _date(row["created_at"])
    return (
        str(row["variant"]),
        str(row["generation"]),
        str(row["digest"])[:12],
        made,
        str(origin),
        "champion" if row["champion"] else "",
    )


def _shipped_line(card: Card) -> tuple[str, ...]:
    won = ", ".join(f"{one.opponent} {one.share:.0%} of {one.games}" for one in card.measured) or "not measured"
    trainings = str(len(card.lineage))
    return card.variant, card.digest[:12], card.architecture.name, _date(card.created_at), trainings, won


def _date(at: JsonValue) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") if isinstance(at, (int, float)) else "-"
