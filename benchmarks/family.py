"""One net for the variants of a board, or a net each: trained at equal cost on the same games, then matched.

    python benchmarks/family.py --folder run-family --board square8
    python benchmarks/family.py --folder run-family --board square8 --report      # the table again, of what is there

For each seed the shipped champions (of a variant without one: the nearest variant's) play games of two, three and four
players, and three ways of learning take the loop's own steps of a first training on them (`training/schedule.py`):

    single    a net for each variant, from random weights
    joint     one net for all three, from random weights: every batch mixes their rows
    transfer  as single, but three players start from the net of two, four from that of three, as the loop does

Each way takes as many steps as the others, and every row is drawn as often. The nets then meet in paired blocks,
searching as in self-play; Elo and its 95 % interval come from the blocks, as in the champion gate. Whatever is done
is found in the folder when the command is repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As `ringrift-loop train` does: before torch starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from ringrift_loop.champions.shipped import begin, shipped_cards
from ringrift_loop.config.schema import Selfplay, Training
from ringrift_loop.engine.kernels import make_work
from ringrift_loop.engine.rules import VARIANTS, rules_for
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.experiments.in_process import in_process
from ringrift_loop.experiments.match_file import read_matches, write_matches
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.machine.files import write_json
from ringrift_loop.network.export import architecture_for, load_network, save_model
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.nearest import nearest_variants
from ringrift_loop.promotion.subject import CHAMPION, subject_of
from ringrift_loop.ratings.blocks import block_scores, evidence_of, gain_of
from ringrift_loop.search.leaves import NetworkLeaves
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.selfplay.play_games import Origin, SelfplayGames
from ringrift_loop.selfplay.played_variant import play_settings
from ringrift_loop.selfplay.records import ReplayedGame, replay
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import Player, SearchPlayer
from ringrift_loop.training.batches import Batch, BatchMaker, DrawnRows
from ringrift_loop.training.fit import FitTask, fit, measure
from ringrift_loop.training.schedule import plan_schedule
from ringrift_loop.training.team import alone
from ringrift_loop.training.window import Window, WindowWriter, open_window

FACTS = "facts.json"
WAYS = ("single", "joint", "transfer")
DUELS = (("joint", "single"), ("joint", "transfer"))
_VALIDATION = 10  # every so many games one is kept for validation
_OPENING_PLIES = 4
_log = logging.getLogger("family")


class FamilyMaker(BatchMaker):
    """Makes batches of the rows of several windows, numbered one window after the other.

    The windows are of one board: their planes have one size, so a batch may hold rows of all of them.
    """

    def __init__(self, makers: Sequence[BatchMaker], windows: Sequence[Window]) -> None:
        """Join the windows, in their order."""
        self._makers = makers
        self._starts = np.cumsum([0, *(window.num_rows for window in windows)])

    @property
    def num_symmetries(self) -> int:
        """Of the board."""
        return self._makers[0].num_symmetries

    def rows_of(self, place: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers here of a window's rows."""
        return rows + self._starts[place]

    def make(self, rows: NDArray[np.int64], symmetries: NDArray[np.int64]) -> Batch:
        """The batch of those rows, each turned by its symmetry, sorted by their windows."""
        window = np.searchsorted(self._starts, rows, side="right") - 1
        parts: list[Batch] = []
        done = 0
        for place in np.unique(window):
            mine = window == place
            made = self._makers[place].make(rows[mine] - self._starts[place], symmetries[mine])
            parts.append(made._replace(move_row=made.move_row + done))
            done += int(mine.sum())
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Batch._fields}
        return Batch(**{**joined, "share": np.ones(2, np.float32)})

    def make_part(self, rows: NDArray[np.int64], symmetries: NDArray[np.int64], *, rank: int, parts: int) -> Batch:
        """The whole batch: nobody shares it."""
        assert (rank, parts) == (0, 1)
        return self.make(rows, symmetries)


class Family:
    """The folder of one board: windows, nets, matches, and what they cost."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Go on with what is there."""
        self.options = options
        self.folder: Path = options.folder / options.board
        self.folder.mkdir(parents=True, exist_ok=True)
        self.variants = [name for name, own in VARIANTS.items() if own.board == options.board]
        self.variants.sort(key=lambda name: VARIANTS[name].players)
        self.settings = Training(blocks=options.blocks, channels=options.channels, threads=1)
        path = self.folder / FACTS
        self.facts: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def once(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was noted under the key; or what is made now, noted with its seconds of processor time."""
        if key not in self.facts:
            began = time.process_time()
            found = make()
            self.facts[key] = {**found, "core_seconds": round(time.process_time() - began, 1)}
            write_json(self.folder / FACTS, self.facts)
            _log.info("%s: %s", key, json.dumps(self.facts[key]))
        made: dict[str, Any] = self.facts[key]
        return made

    def window(self, seed: int, variant: str) -> Window:
        """The window of a seed's games."""
        folder = self.folder / "windows" / f"{variant}-{seed}"
        digest = f"{variant}/{seed}/{self.options.games}"
        self.once(f"games/{seed}/{variant}", lambda: self._play(folder, digest, seed, variant))
        window = open_window(folder, digest)
        if window is None:
            raise SystemExit(f"{folder} was made with another --games than {self.options.games}: name a new folder")
        return window

    def _play(self, folder: Path, digest: str, seed: int, variant: str) -> dict[str, Any]:
        games = self_play(variant, self.options.games, seed, self.folder / "champions")
        rules = rules_for(variant)
        writer = WindowWriter(folder, rules, rows=sum(len(game.targets) for game in games), games=len(games))
        for number, game in enumerate(games):
            writer.add(game, validation=number % _VALIDATION == 0)
        window = writer.finish(digest)
        return {"games": window.num_games, "rows": window.num_rows}

    def net(self, seed: int, way: str, variant: str) -> str:
        """Digest of the net that a way of learning has for a variant; trained first where it is missing."""
        first = self.variants[0]
        if way == "joint":
            learns, start = self.variants, None
        elif way == "transfer" and variant != first:
            learns, start = [variant], self.net(seed, way, self.variants[self.variants.index(variant) - 1])
        else:
            learns, start, way = [variant], None, "single"  # a family's first net has nobody to start from
        name = f"net/{seed}/{way}" + ("" if way == "joint" else f"/{variant}")
        return str(self.once(name, lambda: self._train(name, seed, learns, start))["digest"])

    def task(self, name: str, seed: int, learns: Sequence[str]) -> FitTask:
        """The training of a net on the windows of the variants that it learns."""
        windows = [self.window(seed, variant) for variant in learns]
        share = self.settings.value_outcome_share
        makers = [
            BatchMaker(rules_for(variant), variant, window, value_outcome_share=share)
            for variant, window in zip(learns, windows, strict=True)
        ]
        maker = FamilyMaker(makers, windows)
        training, validation = (
            DrawnRows(
                np.concatenate([maker.rows_of(at, own.row_numbers(validation=kept)) for at, own in enumerate(windows)])
            )
            for kept in (False, True)
        )
        folder = self.folder / "checkpoints" / name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return FitTask(
            maker=maker,
            training_rows=training,
            validation_rows=validation,
            settings=self.settings,
            # A start from another net is given a first training's steps as well, so that each way costs the same.
            schedule=plan_schedule(self.settings, fresh_rows=0, window_rows=len(training), cold=True),
            seed=seed,
            identity=name,
            folder=folder,
            team=alone(torch.device("cpu")),
        )

    def _train(self, name: str, seed: int, learns: Sequence[str], start: str | None) -> dict[str, Any]:
        task = self.task(name, seed, learns)
        net = self._start(seed, learns[0], start)
        result = fit(net, task)
        manifest = save_model(net, self._model, variant=learns[0], created_at=time.time(), parent=start)
        losses = {}
        for variant in learns:
            own = self.task(name, seed, [variant])
            figures = measure(net, own, own.validation_rows)
            losses[variant] = {"policy": round(figures.policy, 4), "value": round(figures.value, 4)}
        return {
            "digest": manifest.digest,
            "rows": len(task.training_rows),
            "steps": result.steps,
            "best_step": result.best_step,
            "samples": result.samples,
            "validation": losses,
        }

    def _start(self, seed: int, variant: str, start: str | None) -> RingRiftNet:
        if start is not None:
            return load_network(self._model(start), start)[0]
        torch.manual_seed(seed)
        return RingRiftNet(architecture_for(variant, blocks=self.settings.blocks, channels=self.settings.channels))

    def _model(self, digest: str) -> Path:
        return self.folder / "models" / digest

    def duel(self, seed: int, variant: str, ways: tuple[str, str]) -> None:
        """Let the nets that two ways have for a variant meet."""
        digests = [self.net(seed, way, variant) for way in ways]
        key = f"duel/{seed}/{ways[0]}-{ways[1]}/{variant}"
        self.once(key, lambda: self._match(key, seed, variant, digests))

    def _match(self, key: str, seed: int, variant: str, digests: Sequence[str]) -> dict[str, Any]:
        rules = rules_for(variant)
        settings = SearchSettings.from_identity(self.options.search)
        players = []
        for place, digest in enumerate(digests):
            evaluator = open_evaluator(self._model(digest), plays=variant)
            name = f"{digest}|{settings.identity()}"
            players.append(SearchPlayer(name, rules, settings, NetworkLeaves(rules, evaluator), 2 * seed + place))
        matches = met(variant, players, seed, self.options.duel_games)
        write_matches(self.match_file(key), matches)
        return {"first": players[0].identity, "second": players[1].identity, "games": len(matches)}

    def match_file(self, key: str) -> Path:
        """Where the games of a duel lie."""
        file = self.folder / "matches" / f"{key.replace('/', '-')}.jsonl.zst"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def rows(self) -> list[dict[str, Any]]:
        """What the duels say, computed from their games: one row for each seed, and one for all seeds together."""
        found = []
        seeds = sorted({int(key.split("/")[1]) for key in self.facts if key.startswith("duel/")})
        for ways in DUELS:
            for variant in self.variants:
                scores = {}
                for seed in seeds:
                    key = f"duel/{seed}/{ways[0]}-{ways[1]}/{variant}"
                    if key in self.facts:
                        duel = self.facts[key]
                        scores[seed] = block_scores(read_matches(self.match_file(key)), duel["first"], duel["second"])
                if not scores:
                    continue
                both = [("all", np.concatenate(list(scores.values())))] if len(scores) > 1 else []
                for label, some in [*scores.items(), *both]:
                    gain = gain_of(evidence_of(some, VARIANTS[variant].players))
                    low, high = gain.interval()
                    found.append(
                        {
                            "variant": variant,
                            "first": ways[0],
                            "second": ways[1],
                            "seed": label,
                            "games": len(some) * VARIANTS[variant].players,
                            "elo": [round(float(figure)) for figure in (gain.gain, low, high)],
                        }
                    )
        return found

    def costs(self) -> dict[str, float]:
        """Seconds of processor time by stage."""
        sums: Counter[str] = Counter()
        for key, fact in self.facts.items():
            sums[key.split("/")[0]] += fact["core_seconds"]
        return {stage: round(seconds, 1) for stage, seconds in sums.items()}


def self_play(variant: str, number: int, seed: int, folder: Path) -> list[ReplayedGame]:
    """Games by the shipped champion of the variant or of its nearest neighbour, in the order of their beginning."""
    cards = shipped_cards()
    lender = next(name for name in (variant, *nearest_variants(variant, {})) if name in cards)
    rules = rules_for(variant)
    with in_process(folder, (lender,), {}, seed="family") as driven:
        begin(driven.loop)
        champion = subject_of(driven.loop, CHAMPION, lender)
        leaves = NetworkLeaves(rules, open_evaluator(champion.folder, plays=variant))
    origin = Origin("bench", "0", f"family/{variant}/{seed}", 0)
    games = SelfplayGames(variant, champion.digest, leaves, play_settings(Selfplay(), bootstrap=False), origin)
    order = {origin.digest(place)[16:].hex(): place for place in range(number)}
    begun, records = 0, []
    while len(records) < number:
        room = min(games.room, number - begun)
        if room:
            games.start(range(begun, begun + room))
            begun += room
        records += games.round()
    work: Any = make_work(rules)
    return [replay(record, rules, work) for record in sorted(records, key=lambda record: order[record.id])]


def met(variant: str, players: Sequence[Player], seed: int, games: int) -> list[MatchRow]:
    """Games of the first player against the second in paired blocks, rounded up to whole ones."""
    one, other = (player.identity for player in players)
    seats = rules_for(variant).players
    plans = [
        paired_block(variant, "manual", one, other, seats, seed * 1_000_000 + block)
        for block in range(math.ceil(games / seats))
    ]
    by_name = {player.identity: player for player in players}
    played = play_blocks(plans, by_name, MatchSettings(_OPENING_PLIES), clock=time.time)
    return [row for rows in played for row in rows]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| variant | first | second | seed | games | Elo of the first, 95 % |", "|---|---|---|---|---|---|"]
    for row in rows:
        gain, low, high = row["elo"]
        place = f"{row['variant']} | {row['first']} | {row['second']} | {row['seed']} | {row['games']}"
        lines.append(f"| {place} | {gain:+d} [{low:+d}, {high:+d}] |")
    return "\n".join(lines)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where everything lies; a command goes on there")
    parser.add_argument("--board", default="square8", choices=sorted({own.board for own in VARIANTS.values()}))
    parser.add_argument("--games", type=int, default=200, help="of self-play, a variant and seed (default %(default)s)")
    parser.add_argument("--duel-games", type=int, default=400, help="rounded up to whole blocks (default %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--search", default="gumbel16,considered=4", help="of the duels (default %(default)s)")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks (default %(default)s)")
    parser.add_argument("--channels", type=int, default=32, help="channels (default %(default)s)")
    parser.add_argument("--report", action="store_true", help="only the table, of what is there")
    options = parser.parse_args(arguments)
    if options.games < 2:
        parser.error(f"--games is at least 2, of which one is kept for validation, got {options.games}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, train, match, and print the table."""
    options = read_options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(1)
    compile_kernels()
    family = Family(options)
    if not options.report:
        compile_selfplay_kernels()
        for ways in DUELS:
            # The first net of transfer is that of single.
            variants = family.variants[ways == ("joint", "transfer") :]
            for seed, variant in itertools.product(options.seeds, variants):
                family.duel(seed, variant, ways)
    rows = family.rows()
    write_json(family.folder / "report.json", {"rows": rows, "core_seconds": family.costs(), "facts": family.facts})
    print(table(rows))
    print("core-seconds: " + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in family.costs().items()))


if __name__ == "__main__":
    main()
