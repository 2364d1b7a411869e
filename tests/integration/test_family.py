"""One net for a board's variants beside a net each: their batches, who starts from whom, a training and a match."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ringrift_loop.engine.rules import rules_for
from ringrift_loop.experiments.match_file import write_matches
from ringrift_loop.network.export import architecture_for
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.tournament.players import make_player
from ringrift_loop.training.batches import BatchMaker
from ringrift_loop.training.fit import fit, measure
from ringrift_loop.training.window import Window, WindowWriter


def loaded(name: str) -> ModuleType:
    """A script of the benchmarks."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[2] / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def family() -> ModuleType:
    return loaded("family")


@pytest.fixture(scope="module")
def training() -> ModuleType:
    return loaded("training")


def of_window(folder: Path, variant: str, games: list[ReplayedGame]) -> tuple[BatchMaker, Window]:
    rules = rules_for(variant)
    writer = WindowWriter(folder, rules, rows=sum(len(game.targets) for game in games), games=len(games))
    for game in games:
        writer.add(game, validation=False)
    window = writer.finish(variant)
    return BatchMaker(rules, variant, window, value_outcome_share=0.6), window


def test_a_row_in_a_batch_of_several_variants_is_what_it_is_in_one_of_its_own(
    family: ModuleType, training: ModuleType, tmp_path: Path
) -> None:
    parts = [
        of_window(tmp_path / name, name, list(training.random_games(name, 2))) for name in ("square8_2p", "square8_4p")
    ]
    maker = family.FamilyMaker(*zip(*parts, strict=True))
    numbers = [maker.rows_of(place, np.arange(window.num_rows)) for place, (_, window) in enumerate(parts)]
    assert sorted(np.concatenate(numbers)) == list(range(sum(window.num_rows for _, window in parts)))
    rng = np.random.default_rng(1)
    rows = rng.permutation(np.concatenate(numbers))[:24]
    turned = rng.integers(maker.num_symmetries, size=24)
    mixed = maker.make_part(rows, turned, rank=0, parts=1)
    assert {*mixed.share} == {1.0}
    at_home = [(place, list(own).index(row)) for row in rows for place, own in enumerate(numbers) if row in own]
    assert {place for place, _ in at_home} == {0, 1}
    # The batch has its rows by window; within one as they were drawn.
    order = sorted(range(24), key=lambda at: at_home[at][0])
    for at, drawn in enumerate(order):
        place, row = at_home[drawn]
        alone = parts[place][0].make(np.array([row]), turned[drawn : drawn + 1])
        own_moves = mixed.move_row == at
        np.testing.assert_array_equal(mixed.move_features[own_moves], alone.move_features)
        np.testing.assert_array_equal(mixed.policy[own_moves], alone.policy)
        for name in ("planes", "searched", "value", "owner", "score", "moves_left"):
            np.testing.assert_array_equal(getattr(mixed, name)[at], getattr(alone, name)[0])


def test_every_way_trains_a_net_once_and_only_transfer_starts_from_another(
    family: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, tuple[list[str], Any]] = {}

    def noted(self: Any, name: str, seed: int, learns: list[str], start: str | None) -> dict[str, Any]:
        assert name not in trained
        trained[name] = (list(learns), start)
        return {"digest": f"of {name}"}

    matched: list[tuple[str, list[str]]] = []

    def met(self: Any, key: str, seed: int, variant: str, digests: list[str]) -> dict[str, Any]:
        matched.append((variant, digests))
        return {"first": digests[0], "second": digests[1]}

    monkeypatch.setattr(family.Family, "_train", noted)
    monkeypatch.setattr(family.Family, "_match", met)
    monkeypatch.setattr(family.Family, "rows", lambda self: [])
    for _ in range(2):  # the second time finds everything
        family.main(["--folder", str(tmp_path), "--board", "hex8", "--seeds", "7"])
    all_three = ["hex8_2p", "hex8_3p", "hex8_4p"]
    assert trained == {
        "net/7/joint": (all_three, None),
        **{f"net/7/single/{name}": ([name], None) for name in all_three},
        "net/7/transfer/hex8_3p": (["hex8_3p"], "of net/7/single/hex8_2p"),
        "net/7/transfer/hex8_4p": (["hex8_4p"], "of net/7/transfer/hex8_3p"),
    }
    singles = [(name, ["of net/7/joint", f"of net/7/single/{name}"]) for name in all_three]
    assert matched == [
        *singles,
        *((name, ["of net/7/joint", f"of net/7/transfer/{name}"]) for name in all_three[1:]),
    ]


def test_a_tiny_net_learns_several_variants_by_the_loops_schedule(
    family: ModuleType, training: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "self_play", lambda variant, number, *_: list(training.random_games(variant, number)))
    command = ["--folder", str(tmp_path), "--games", "2", "--blocks", "1", "--channels", "8"]
    own = family.Family(family.read_options(command))
    task = own.task("net", 3, ["square8_2p", "square8_3p"])
    windows = [own.window(3, name) for name in ("square8_2p", "square8_3p")]
    assert len(task.training_rows) == sum(len(window.row_numbers(validation=False)) for window in windows)
    assert not {*task.training_rows.numbers} & {*task.validation_rows.numbers}
    net = RingRiftNet(architecture_for("square8_2p", blocks=1, channels=8))
    before = measure(net, task, task.training_rows)
    result = fit(net, task)
    assert result.steps == max(10, math.ceil(16 * len(task.training_rows) / 256))
    assert result.train.total < before.total


def test_the_gain_is_the_firsts_and_comes_from_the_games(family: ModuleType, tmp_path: Path) -> None:
    own = family.Family(family.read_options(["--folder", str(tmp_path), "--board", "hex8"]))
    players = [make_player(spec, "hex8_3p") for spec in ("heuristic", "random")]
    for seed in (1, 2):
        key = f"duel/{seed}/joint-single/hex8_3p"
        matches = family.met("hex8_3p", players, seed, 10)
        write_matches(own.match_file(key), matches)
        own.once(key, lambda: {"first": players[0].identity, "second": "random"})
    rows = own.rows()
    assert [(row["seed"], row["games"]) for row in rows] == [(1, 12), (2, 12), ("all", 24)]
    assert all(row["elo"][0] > 0 and row["elo"][1] < row["elo"][0] < row["elo"][2] for row in rows)
    gain, low, high = rows[-1]["elo"]
    line = f"| hex8_3p | joint | single | all | 24 | {gain:+d} [{low:+d}, {high:+d}] |"
    assert family.table(rows).splitlines()[-1] == line
