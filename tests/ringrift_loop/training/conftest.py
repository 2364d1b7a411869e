"""Recorded games of random play with made-up search results, and a loop that has taken them in."""

from __future__ import annotations

import base64
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringrift_loop.cluster.sync.ingest import EngineReplayer, check_segment, ingest_checked
from ringrift_loop.config.schema import Inference, LoopConfig
from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import RESULT, WINNER
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.hosts.inventory import Inventory
from ringrift_loop.layout import HostDirectory, RunDirectory
from ringrift_loop.ledger import hosts
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.loop import Loop
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.selfplay.entries import policy_entries
from ringrift_loop.selfplay.records import GameRecord, ReplayedGame, replay
from ringrift_loop.selfplay.segments import SegmentWriter
from ringrift_loop.selfplay.targets import SearchTarget, pack_targets

TINY = {
    "trigger_threshold_games": 4,
    "window_rows_min": 100,
    "samples_per_row": 2.0,
    "batch_size": 32,
    "warmup_steps": 15,
    "validation_fraction": 0.3,
    "blocks": 1,
    "channels": 8,
    "threads": 1,
}


@cache
def play_record(
    variant: str, seed: int, *, soft: bool = True, pie_rule: bool = False, player: str = "random"
) -> GameRecord:
    """A random game in which captures are liked; every second ply with a choice has a policy target that says so."""
    rules = rules_for(variant, pie_rule=pie_rule)
    work: Any = make_work(rules)
    scratch = np.empty(rules.max_moves, np.int64)
    rng = np.random.default_rng(seed)
    state = new_states(rules, 1)[0]
    texts: list[str] = []
    targets: list[SearchTarget] = []
    while (count := legal_moves(rules, state, work, scratch)) > 0:
        legal = scratch[:count]
        liked = np.where(np.isin(legal & 0xFF, (3, 5, 6)), 5.0, 1.0)
        policy = (liked / liked.sum()).astype(np.float32)
        chosen = int(rng.choice(count, p=policy.astype(np.float64) / policy.sum(dtype=np.float64)))
        if count > 1:
            full = len(texts) % 2 == 0
            index, weight = policy_entries(policy if soft else np.eye(count, dtype=np.float32)[chosen])
            none = np.empty(0, np.uint16)
            value = rng.dirichlet(np.ones(rules.players)).astype(np.float16)
            targets.append(SearchTarget(len(texts), full, index if full else none, weight if full else none, value))
        texts.append(move_text(rules, state, int(legal[chosen])))
        apply_move(rules, state, work, int(legal[chosen]))
    return GameRecord(
        id=f"{seed:032x}",
        variant=variant,
        pie_rule=pie_rule,
        seed=seed,
        moves=" ".join(texts),
        plies=len(texts),
        winner=None if state[WINNER] < 0 else int(state[WINNER]) + 1,
        result=RESULT_NAMES[state[RESULT]],
        player=player,
        search={"full": 16},
        engine=ENGINE_VERSION,
        started_at=1.0,
        finished_at=2.0,
        host="a",
        worker="0",
        targets=base64.b64encode(pack_targets(targets)).decode(),
    )


@pytest.fixture
def record() -> Callable[..., GameRecord]:
    """Plays a game to learn from; see play_record."""
    return play_record


@pytest.fixture
def replayed() -> Callable[..., ReplayedGame]:
    """The same, replayed."""

    def make(variant: str, seed: int, **options: Any) -> ReplayedGame:
        game = play_record(variant, seed, **options)
        rules = rules_for(variant, pie_rule=game.pie_rule)
        return replay(game, rules, make_work(rules))

    return make


@pytest.fixture
def loop(tmp_path: Path, empty_ledger: Path) -> Iterator[Loop]:
    """A loop with an empty ledger and small training settings; `take_games` fills it."""
    home = tmp_path / "run"
    home.mkdir()
    shutil.copy(empty_ledger, home / "ledger.db")
    ledger = Ledger.open(f"sqlite:///{home / 'ledger.db'}")
    with ledger.begin() as conn:
        hosts.ensure(conn, ["a", "b"])
    config = LoopConfig()
    config = dataclasses.replace(
        config,
        training=dataclasses.replace(config.training, **TINY),
        inference=Inference("never"),  # test_precision.py has its own
    )
    yield Loop(
        config=config,
        inventory=Inventory({}),
        directory=RunDirectory(home),
        ledger=ledger,
        metrics=Metrics("127.0.0.1", 9, strict=True),
    )
    ledger.close()


@pytest.fixture
def take_games(tmp_path: Path) -> Callable[..., list[GameRecord]]:
    """Takes recorded games of one variant into a loop's ledger, as a host would have sent them."""

    def take(loop: Loop, variant: str, seeds: range, host: str = "a", **options: Any) -> list[GameRecord]:
        sender = HostDirectory(tmp_path / f"host-{host}")
        writer = SegmentWriter(sender, 0, 1000, 1e9)
        games = [play_record(variant, seed, **options) for seed in seeds]
        for game in games:
            writer.append(game.to_json())
        name = writer.seal()
        assert name is not None
        path, now = sender.sealed_segments / name, loop.clock()
        checked = check_segment(host, path, at=now, replayer=EngineReplayer())
        (ingested,) = ingest_checked(loop.ledger, loop.directory, [checked], at=now)
        assert ingested.new == len(games)
        writer.close()
        return games

    return take
