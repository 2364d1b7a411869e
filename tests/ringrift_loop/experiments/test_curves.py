"""What benchmarks/curves.py makes of arms and games: stairs, times to a rating, who meets whom."""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from latent import LatentArena
from ringrift_loop.errors import ConfigError
from ringrift_loop.tournament.participants import RANDOM, baseline_id

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
VARIANT = "square8_2p"
MODELS = [f"{letter * 64}|gumbel32" for letter in "abcd"]


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


curves = loaded("curves")


def curve(tree: str, total: float, *points: tuple[float, float], seed: int = 1) -> object:
    champions = (curves.Point(at, f"{number:064x}", number, 300, elo, 10.0) for number, (at, elo) in enumerate(points))
    return curves.Curve(tree, seed, {"selfplay": total}, total, tuple(champions))


def test_a_curve_rises_where_a_champion_was_promoted_and_goes_on_to_the_end() -> None:
    own = curve("new", 600.0, (100.0, 700.0), (300.0, 900.0))
    assert own.stairs(0.0) == ([0.0, 100.0, 300.0, 600.0], [0.0, 700.0, 900.0, 900.0])
    assert (own.last, own.hours) == (900.0, pytest.approx(1 / 6))
    assert [own.reached(elo) for elo in (700.0, 701.0, 901.0)] == [100.0, 300.0, None]


def test_an_arm_without_a_champion_stays_at_the_start() -> None:
    own = curve("old", 600.0)
    assert own.stairs(0.0) == ([0.0, 600.0], [0.0, 0.0])
    assert own.last == 0.0


def test_times_to_a_rating_are_means_over_seeds_and_say_who_did_not_get_there() -> None:
    arms = [
        curve("old", 800.0, (200.0, 710.0)),
        curve("old", 800.0, (800.0, 790.0), seed=2),
        curve("new", 400.0, (100.0, 790.0)),
        curve("new", 400.0, (100.0, 700.0), (225.0, 790.0), seed=2),
    ]
    first, second = curves.levels_of(arms, floor=551.0, step=75)  # 600 and 675 came with the same champions
    assert (first.elo, second.elo) == (675, 750)
    assert first.seconds == {"old": pytest.approx(400.0), "new": pytest.approx(100.0)}
    assert first.ratio("old", "new") == "4.0"
    assert second.missed == {"old": 1, "new": 0}
    assert second.seconds == {"old": pytest.approx(800.0), "new": pytest.approx(150.0)}
    assert second.ratio("old", "new") == "at least 5.3"
    assert second.ratio("new", "old") == "at most 0.2"


def test_no_tree_that_has_no_champion_is_called_faster() -> None:
    (level,) = curves.levels_of([curve("old", 600.0), curve("new", 600.0), curve("third", 6.0, (6.0, 60.0))], floor=0.0)
    assert level.ratio("old", "new") == "-"


def test_of_a_seed_counts_what_every_tree_has_used_and_only_if_all_have_been_through_it(tmp_path: Path) -> None:
    def arm(tree: str, seed: int, done: float, *times: float) -> None:
        folder = tmp_path / VARIANT / tree / str(seed)
        folder.mkdir(parents=True)
        points = [{"core_seconds": at, "digest": "d", "generation": 1, "games": 300} for at in times]
        state = {"core_seconds": {"selfplay": 900.0}, "steps": 9, "points": points, "done": done}
        (folder / "arm.json").write_text(json.dumps(state))

    arm("old", 1, 620.0, 150.0, 610.0)
    arm("new", 1, 600.0, 90.0, 600.0, 880.0)
    arm("old", 2, 600.0, 150.0)
    arm("new", 2, 0.0, 90.0)
    arm("old", 3, 600.0, 150.0)
    found = curves.curves_in(tmp_path, VARIANT, ["old", "new"])
    assert [(own.tree, own.seed, own.total) for own in found] == [("old", 1, 600.0), ("new", 1, 600.0)]
    assert [[point.core_seconds for point in own.points] for own in found] == [[150.0], [90.0, 600.0]]


@pytest.mark.parametrize("text", ["old", "=.", "Old=.", "../old=.", "old=/nonexistent"])
def test_a_tree_is_a_name_and_a_checkout_with_an_environment(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"NAME=PATH|\.venv"):
        curves.tree_of(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with one commit; `commit` makes more."""
    tree = tmp_path / "tree"
    (tree / "include").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    commit(tree, "one")
    return tree


def commit(tree: Path, text: str) -> None:
    (tree / "include" / "code").write_text(text)
    git = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", text], check=True)


def test_a_folder_keeps_to_the_code_that_it_was_begun_with(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begun = curves.with_trees(folder, [("old", tree)])
    assert curves.with_trees(folder, []) == begun == curves.with_trees(folder, [("old", tree)])
    (tree / "include" / "code").write_text("two")
    with pytest.raises(ConfigError, match="in no commit"):
        curves.with_trees(folder, [("old", tree)])
    commit(tree, "two")
    with pytest.raises(ConfigError, match=f"the code of old: {begun['old']['commit']} when"):
        curves.with_trees(folder, [("old", tree)])


def test_a_folder_keeps_to_the_pace_and_the_settings_that_it_was_begun_with(tree: Path, tmp_path: Path) -> None:
    folder, one_thread = tmp_path / "run", {"training.threads": "1"}
    begun = curves.with_trees(folder, [("new", tree)], {"new": "60"}, one_thread)
    assert curves.with_trees(folder, [("new", tree)], {"new": "60"}, one_thread) == begun
    with pytest.raises(ConfigError, match=r"the pace of new: 60 when .* now 120"):
        curves.with_trees(folder, [("new", tree)], {}, one_thread)
    with pytest.raises(ConfigError, match=r"the settings of new: .* now \{\}"):
        curves.with_trees(folder, [("new", tree)], {"new": "60"})
    with pytest.raises(ConfigError, match="--pace is for old"):
        curves.with_trees(folder, [("new", tree)], {"old": "60"})


def test_a_report_is_of_all_variants_that_have_arms_and_of_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no arms of any variant: drive some"):
        curves.variants_in(tmp_path, None)
    for name in ("hex8_3p", "square8_2p"):
        (tmp_path / name / "old" / "1").mkdir(parents=True)
    assert curves.variants_in(tmp_path, None) == ["square8_2p", "hex8_3p"]
    assert curves.variants_in(tmp_path, ["hex8_2p", "hex8_3p"]) == ["hex8_3p"]
    with pytest.raises(ConfigError, match="has no arms of hex8_2p: drive some"):
        curves.variants_in(tmp_path, ["hex8_2p"])


def test_neighbours_by_rating_have_met_and_the_ratings_are_the_true_ones(tmp_path: Path) -> None:
    heuristic = baseline_id("heuristic", VARIANT)
    truth = {RANDOM: 0.0, heuristic: 400.0, **dict(zip(MODELS, (700.0, 450.0, 650.0, 550.0), strict=True))}
    tournament = curves.Tournament(tmp_path, VARIANT, LatentArena(truth, seed=1), 100)
    table = tournament.play(MODELS)
    order = sorted(truth, key=table.elo)
    assert all(tournament.met(*pair) >= 100 for pair in pairwise(order))
    assert all(abs(table.elo(name) - elo) < 4 * table.stderr(name) for name, elo in truth.items() if name != RANDOM)
    again = curves.Tournament(tmp_path, VARIANT, LatentArena({}, seed=2), 100)  # who would have to play knows nobody
    assert (again.play(MODELS).ratings == table.ratings).all()
    assert again.games == tournament.games


def test_the_lead_of_the_last_champions_is_their_mean_difference_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    truth = {RANDOM: 0.0, baseline_id("heuristic", VARIANT): 400.0, **dict.fromkeys(MODELS, 500.0)}
    table = curves.Tournament(tmp_path, VARIANT, LatentArena(truth, seed=3), 40).play(MODELS)
    arms = [curve("old", 1.0, (1.0, 0.0)), curve("new", 1.0, (1.0, 0.0), (1.0, 0.0)), curve("new", 1.0, seed=2)]
    names = {f"{number:064x}": MODELS[number] for number in range(2)}
    lead, stderr = curves.ahead(table, arms, names, "old", "new")
    expected = table.difference(MODELS[1], MODELS[0])
    assert (lead, stderr) == (pytest.approx(expected.gain, abs=0.1), pytest.approx(expected.stderr, abs=0.1))
    assert curves.ahead(table, arms[1:], names, "old", "new") is None


def test_what_a_command_uses_is_booked_and_what_it_answers_comes_back(tmp_path: Path) -> None:
    """In a process of its own, as the arm forks."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from curves_arm import Arm\n"
        "def burn():\n"
        "    while time.process_time() < began + 0.2: pass\n"
        "    return 1\n"
        "began = 0.0\n"
        "status, used = Arm(Path(sys.argv[2]), 'square8_2p', 1, 120.0)._forked(burn)\n"
        "assert status == 1 and 0.2 <= used < 2.0, (status, used)\n"
        "status, used = Arm(Path(sys.argv[2]), 'square8_2p', 1, 120.0)._forked(lambda: sys.exit('no'))\n"
        "assert status == 1 and used < 0.2, (status, used)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(BENCHMARKS), str(tmp_path)], check=True, timeout=60)


def test_an_arm_is_alone_in_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "curves_arm.py"), "--folder", str(tmp_path), "--variant", "square8_2p"]
    command += ["--seed", "1", "--core-seconds", "1", "--pace", "1"]
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert f"another process drives {tmp_path}" in found.stderr
