"""How the champions that come with the package were made: all twelve variants, one after the other, with a budget each.

    python benchmarks/twelve.py --folder run-twelve --core-seconds 3600
    python benchmarks/twelve.py --folder run-twelve --core-seconds 3600 --resume      # after a kill -9, or for more
    python benchmarks/twelve.py --folder run-twelve --report                          # the table, from the games again
    python benchmarks/twelve.py --folder run-twelve --ship                            # into the package

Runs the loop's own stages in one process tree (`experiments/in_process.py`): self-play, sync, training, both gates,
promotion. Two players on small boards come first, so that larger boards and more players begin with what is known:
games of a variant without a champion are played with the nearest one's, and its first training starts from those
weights. Once a variant's budget of core-seconds is used, its champion plays against random and heuristic, then against
MCTS with random playouts and ten times its simulations, and against the first champion of this run, every seat equally
often.

The folder is a run directory. In it lie `matches/<variant>.jsonl.zst`, the games of the table, and `facts.json`, what
the ledger says of cost and gates. `--report` needs only these: it plays every game through the rules engine again and
writes `README.md` and `report.json`. What the games of the table cost is not in the budget.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ringrift_loop.champions.exchange import export_model, imported_card
from ringrift_loop.champions.shipped import begin
from ringrift_loop.cli.learning.experiment import settings as settings_of
from ringrift_loop.cli.progress import CountedArena, Standing, followed, progress
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.engine.rules import variant as variant_of
from ringrift_loop.errors import ConfigError
from ringrift_loop.experiments.in_process import PROGRESS, InProcess, in_process
from ringrift_loop.experiments.match_file import read_matches, write_matches
from ringrift_loop.ledger import games, gates, models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.machine.files import write_json, write_whole
from ringrift_loop.promotion.champion import ChampionReport
from ringrift_loop.promotion.subject import CHAMPION, subject_of
from ringrift_loop.ratings.blocks import win_share
from ringrift_loop.tournament.arena import EngineArena
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.duration import PLANE_SIDES
from ringrift_loop.tournament.participants import HEURISTIC, RANDOM, baseline_id, split_id
from ringrift_loop.tournament.store import LedgerShelf, completed

BASELINES = (RANDOM, HEURISTIC)
PLAYOUTS, FIRST = "playouts", "first"
RIVALS = (PLAYOUTS, FIRST)
ORDER = sorted(VARIANT_NAMES, key=lambda name: (variant_of(name).players, PLANE_SIDES[name.partition("_")[0]]))
"""Few players first, then small boards: everybody but the first of a family has somebody near to begin with."""
PURPOSE = "manual"
FIRST_OPENING = 1_000_000  # other openings than those of the gate that chose the champion
# A game on these boards has five to fifteen times as many choices: a match with half of the simulations says as
# much, and the first champion, whose network is borrowed from the small board, needs few games to be judged.
_LARGE = {
    "evaluation.simulations": "8",
    "evaluation.considered_moves": "4",
    "training.validation_fraction": "0.3",
    "training.min_interval_core_seconds": "400",
}
BY_BOARD: Mapping[str, Mapping[str, str]] = {
    "square19": {"training.trigger_threshold_games": "40", **_LARGE},
    "hexagonal": {"training.trigger_threshold_games": "24", **_LARGE},
}
PACKAGE = Path(__file__).resolve().parents[1] / "include" / "ringrift_loop" / "champions"
PREAMBLE = """# The champions

Made by `benchmarks/twelve.py`, which says how; `python benchmarks/twelve.py --folder FOLDER --report` with the
folder of this page plays every game of `matches/` through the rules engine again and writes the page anew. Games
and core-hours are self-play and everything (self-play, training, gates) of the variant itself, not those of the
variant whose weights it began with. Shares of the wins, with 95 % intervals: the champion is in every seat equally
often, its opponent in all others.

"""
FACTS, REPORT_JSON, REPORT = "facts.json", "report.json", "README.md"


def opened(options: argparse.Namespace, variant: str) -> AbstractContextManager[InProcess]:
    """The loop with the settings of a variant."""
    settings = {**BY_BOARD.get(variant.partition("_")[0], {}), **settings_of(options.set, "--set")}
    return in_process(
        options.folder,
        tuple(ORDER),
        settings,
        seed=f"twelve/{options.seed}",
        config_path=options.config_file,
        workers=options.workers,
    )


def make(options: argparse.Namespace, variant: str) -> None:
    """Spend what is left of a variant's budget, then play the games of its row."""
    budget = dict(options.budgets).get(variant, options.core_seconds)
    with opened(options, variant) as driven:
        if options.from_shipped or not (options.folder / PROGRESS).exists():  # what was begun goes on with its own
            first_models(driven.loop, options)
        with followed(lambda: Standing(f"{variant}, core-seconds", driven.of(variant).total, budget)):
            for _ in driven.drive(variant, seconds=budget):
                keep_facts(options.folder, variant, facts_of(driven, variant))
        facts = facts_of(driven, variant)
        keep_facts(options.folder, variant, facts)
        if facts["participant"] is not None:
            games_against = dict.fromkeys(BASELINES, options.games) | dict.fromkeys(RIVALS, options.rival_games)
            play_row(driven.loop, options.folder, variant, facts, games_against)


def first_models(loop: Loop, options: argparse.Namespace) -> None:
    """Import the package's champions that the run is to begin with and does not have yet."""
    given = options.from_shipped or options.from_lenders
    if given:
        wanted = tuple(name for name in loop.config.variants if (name in options.variants) == options.from_shipped)
        loop = replace(loop, config=replace(loop.config, variants=wanted))
    begin(loop, fresh=not given)


def play_row(
    loop: Loop, folder: Path, variant: str, facts: Mapping[str, Any], games_against: Mapping[str, int]
) -> None:
    """The champion's games against each opponent; those that the match log has are not played again."""
    players, rows = variant_of(variant).players, []
    with progress() as tell:
        arena = CountedArena(EngineArena(loop), f"{variant}, games of the row", tell)
        for name, opponent in opponents(variant, facts).items():
            blocks = range(FIRST_OPENING, FIRST_OPENING - (-games_against[name] // players))
            plans = [paired_block(variant, PURPOSE, facts["participant"], opponent, players, seed) for seed in blocks]
            rows += completed(LedgerShelf(loop), arena, plans)
            write_matches(matches_file(folder, variant), rows)


def opponents(variant: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """The participants that a variant's champion plays against, by the name of the column."""
    against = {name: baseline_id(name, variant) for name in BASELINES}
    _, search = split_id(facts["participant"])
    if search is not None:
        against[PLAYOUTS] = baseline_id(f"mcts-{10 * search.simulations}", variant)
    if facts.get("first_champion") not in (None, facts["champion"]):
        against[FIRST] = f"{facts['first_champion']}|{facts['participant'].partition('|')[2]}"
    return against


def facts_of(driven: InProcess, variant: str) -> dict[str, object]:
    """What the ledger says of a variant: its champion, what it cost, and what the gates said."""
    progress, loop = driven.of(variant), driven.loop
    with loop.ledger.read() as conn:
        champion, played = promotions.champion(conn, variant), games.count(conn, variant)
        digest = None if champion is None else champion.model_digest
        first = promotions.pointers(conn, variant)[-1:]
        contest = None if digest is None else gates.latest(conn, model_digest=digest, gate=gates.CHAMPION)
        imported = sum(imported_card(model) is not None for model in models.all_models(conn, variant))
        promoted = promotions.count(conn, variant=variant) - imported
        rejected = promotions.count(conn, variant=variant, status=promotions.REJECTED)
    said = "no candidate has passed"
    if contest is not None:
        said = "; ".join(ChampionReport.from_json(contest.report).reasons)
    elif digest is not None:
        said = "came with the package; no candidate has beaten it"
    return {
        "champion": digest,
        "first_champion": first[0] if first else None,
        "participant": None if digest is None else subject_of(loop, CHAMPION, variant).participant,
        "generation": 0 if champion is None else champion.generation,
        "selfplay_games": played,
        "core_seconds": {stage: round(seconds, 1) for stage, seconds in sorted(progress.core_seconds.items())},
        "gate": f"{promoted} promoted, {rejected} rejected; the champion: {said}",
        "points": [point.as_json() for point in progress.points],
    }


def keep_facts(folder: Path, variant: str, facts: Mapping[str, object]) -> None:
    """Put a variant's facts beside those of the others."""
    known = json.loads((folder / FACTS).read_bytes()) if (folder / FACTS).exists() else {}
    write_json(folder / FACTS, {**known, variant: facts})


def matches_file(folder: Path, variant: str) -> Path:
    """Where the games of a variant's row lie."""
    return folder / "matches" / f"{variant}.jsonl.zst"


def report(folder: Path) -> list[dict[str, object]]:
    """Make the table from the games in the folder, each played through the rules engine again."""
    rows: list[dict[str, object]] = []
    facts = json.loads((folder / FACTS).read_bytes())
    for variant in (name for name in ORDER if name in facts):
        own, players = facts[variant], variant_of(variant).players
        row = {"variant": variant, **{key: own[key] for key in ("champion", "generation", "selfplay_games", "gate")}}
        row["core_hours"] = round(sum(own["core_seconds"].values()) / 3600, 3)
        row["fair_share"] = round(1.0 / players, 3)
        row["search"] = (own["participant"] or "-").partition("|")[2] or "-"
        file = matches_file(folder, variant)
        row |= dict.fromkeys((*BASELINES, *RIVALS))
        played = read_matches(file) if own["champion"] and file.exists() else []
        for name, opponent in opponents(variant, own).items() if played else ():
            share = win_share(played, own["participant"], opponent, players)
            row[name] = {key: round(value, 4) for key, value in share._asdict().items()} if share.games else None
        rows.append(row)
    write_json(folder / REPORT_JSON, rows)
    write_whole(folder / REPORT, (PREAMBLE + table(rows)).encode())
    return rows


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| variant | games | core-hours | won against random | heuristic | MCTS, ten times the simulations "
        "| first champion | fair | champion, generation | search | gates |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = " | ".join(_share(row[name]) for name in (*BASELINES, *RIVALS))
        champion = "-" if row["champion"] is None else f"{str(row['champion'])[:12]}, {row['generation']}"
        cost = f"{row['selfplay_games']} | {row['core_hours']}"
        own = f"{row['fair_share']:.0%} | {champion} | {row['search']} | {row['gate']}"
        lines.append(f"| {row['variant']} | {cost} | {shares} | {own} |")
    return "\n".join([*lines, ""])


def _share(found: object) -> str:
    if not isinstance(found, dict):
        return "-"
    return f"{found['share']:.1%} [{found['low']:.1%}, {found['high']:.1%}] of {found['games']}"


def ship(options: argparse.Namespace) -> None:
    """Put every champion that was made here in the place of the package's."""
    for variant in options.variants:
        with opened(options, variant) as driven:
            with driven.loop.ledger.read() as conn:
                has_one = promotions.champion(conn, variant) is not None
            if has_one:
                subject = subject_of(driven.loop, CHAMPION, variant)
                card = export_model(driven.loop, subject, options.package / variant, replace=True)
                print(f"{variant}: {card.digest}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the champions, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the run directory")
    parser.add_argument("--variants", nargs="+", choices=ORDER, default=ORDER, metavar="VARIANT", help="default: all")
    parser.add_argument("--core-seconds", type=float, default=1800.0, help="of each variant (default %(default)s)")
    parser.add_argument(
        "--budget-of", action="append", default=[], metavar="VARIANT=S", help="core-seconds of one variant"
    )
    parser.add_argument("--games", type=int, default=400, help="against each baseline (default %(default)s)")
    parser.add_argument(
        "--rival-games", type=int, default=100, help="against MCTS and the first champion (default %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="self-play processes (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the games (default %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all variants")
    parser.add_argument("--config-file", type=Path, help="configuration (default: as everywhere)")
    first = parser.add_mutually_exclusive_group()
    first.add_argument("--from-shipped", action="store_true", help="begin with the variants' champions of the package")
    first.add_argument(
        "--from-lenders", action="store_true", help="with those of the other variants: these borrow from them once more"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a folder that was begun")
    parser.add_argument("--report", action="store_true", help="only the table, from the games in the folder")
    parser.add_argument("--ship", action="store_true", help="only copy the champions into the package")
    parser.add_argument("--package", type=Path, default=PACKAGE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.variants = [name for name in ORDER if name in options.variants]
    options.budgets = {name: float(text) for name, text in settings_of(options.budget_of, "--budget-of").items()}
    if unknown := sorted(set(options.budgets) - set(ORDER)):
        raise ConfigError(f"--budget-of names no variant: {', '.join(unknown)}")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    if options.ship:
        ship(options)
        return
    if not options.report:
        if (options.folder / PROGRESS).exists() and not options.resume:
            raise ConfigError(f"{options.folder} was begun already: go on with --resume, or name another folder")
        for variant in options.variants:
            make(options, variant)
    print(table(report(options.folder)))


if __name__ == "__main__":
    main()
