"""An experiment from its first game to its verdict, cut off on the way; and what makes a verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ringrift_loop.champions.shipped import begin
from ringrift_loop.errors import ConfigError
from ringrift_loop.experiments import experiment as module
from ringrift_loop.experiments import in_process as in_process_module
from ringrift_loop.experiments.experiment import Plan, run_experiment, verdict_of
from ringrift_loop.experiments.in_process import InProcess, core_seconds, in_process
from ringrift_loop.experiments.match_file import MATCHES, read_matches
from ringrift_loop.experiments.page import PAGE, command
from ringrift_loop.experiments.record import Arm, Budget, read_experiment
from ringrift_loop.ratings.blocks import block_scores, win_share
from ringrift_loop.ratings.two_sided import TwoSidedSprt
from ringrift_loop.status.verify import verify
from tiny_loop import SETTINGS

VARIANT = "square8_2p"
GAMES = 16
PLAN = Plan(
    name="few-moves",
    question="Are two moves better than sixteen?",
    variant=VARIANT,
    budget=Budget("games", GAMES),
    arms=(
        Arm("considered_moves=2", {"selfplay.considered_moves": "2"}),
        Arm("considered_moves=16", {"selfplay.considered_moves": "16"}),
    ),
    seeds=(1,),
    common=SETTINGS,
    look_games=4,
    most_games=8,
)


class Killed(BaseException):
    """As a kill -9 would: nothing after it runs but what the interpreter has to do."""


def test_no_run_pays_for_the_compiling_of_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(in_process_module, "compile_kernels", lambda: compiled.append("rules"))
    monkeypatch.setattr(in_process_module, "compile_selfplay_kernels", lambda: compiled.append("search"))
    with in_process(tmp_path, (VARIANT,), SETTINGS, seed="cold") as driven:
        assert compiled == ["rules", "search"]
        assert driven.of(VARIANT).total == 0


@pytest.mark.parametrize(
    ("fresh", "stages"), [(False, ["selfplay", "selfplay", None]), (True, ["selfplay", "training"])]
)
def test_a_run_that_begins_with_a_champion_plays_its_core_seconds_before_the_first_training(
    tmp_path: Path, fresh: bool, stages: list[str | None]
) -> None:
    paced = SETTINGS | {"training.min_interval_core_seconds": "1000"}
    with in_process(tmp_path, (VARIANT,), paced, seed="paced") as driven:
        begin(driven.loop, fresh=fresh)
        assert [driven.step(VARIANT, most_games=GAMES + 1) for _ in stages] == stages


def test_what_was_done_before_ctrl_c_is_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        until = core_seconds() + 0.2
        while core_seconds() < until:
            pass
        raise KeyboardInterrupt

    with in_process(tmp_path, (VARIANT,), SETTINGS, seed="stopped") as driven:
        monkeypatch.setattr(InProcess, "_play", interrupted)
        with pytest.raises(KeyboardInterrupt):
            driven.step(VARIANT)
        assert driven.of(VARIANT).core_seconds["selfplay"] > 0.19


def test_a_decision_that_is_put_off_ends_the_run_with_the_settings_that_do_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deferred = SimpleNamespace(status="deferred", reason="auto_promote is off")
    with in_process(tmp_path, (VARIANT,), SETTINGS, seed="waits") as driven:
        monkeypatch.setattr(in_process_module, "_waiting_candidate", lambda *_: "d" * 64)
        monkeypatch.setattr(in_process_module, "run_gate", lambda *_, **__: SimpleNamespace(require=lambda: None))
        monkeypatch.setattr(in_process_module, "champion_gate", lambda *_: None)
        monkeypatch.setattr(in_process_module, "promote", lambda *_: deferred)
        with pytest.raises(ConfigError, match="waits for a decision that nobody makes here: auto_promote is off"):
            driven.step(VARIANT)


@pytest.mark.timeout(300)
def test_an_experiment_that_is_killed_goes_on_and_ends_with_a_verdict_that_can_be_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stages = tmp_path / "few-moves", []
    step = InProcess.step

    def killed_before_the_gates(driven: InProcess, variant: str, *, most_games: int | None = None) -> str | None:
        if stages == ["selfplay", "training"]:
            raise Killed
        done = step(driven, variant, most_games=most_games)
        stages.append(done)
        return done

    monkeypatch.setattr(InProcess, "step", killed_before_the_gates)
    with pytest.raises(Killed):
        run_experiment(PLAN, folder)
    halfway = read_experiment(folder)
    assert (halfway.state, halfway.verdict, len(halfway.runs)) == ("running", None, 1)
    assert (halfway.runs[0].finished, halfway.runs[0].games) == (False, GAMES)
    with pytest.raises(ConfigError, match="another budget"):
        run_experiment(replace(PLAN, budget=Budget("games", 5)), folder)

    stages.append("killed")
    found = run_experiment(PLAN, folder)

    own = ["selfplay", "training", "gates", None]  # and then there is nothing left to do
    assert stages == ["selfplay", "training", "killed", "gates", None, *own]
    assert [(run.arm, run.seed, run.games, run.finished) for run in found.runs] == [
        (0, 1, GAMES, True),
        (1, 1, GAMES, True),
    ]
    assert all(len(run.points) == 1 and run.points[0].games == GAMES for run in found.runs)
    assert all(0 < run.core_seconds < 200 for run in found.runs)
    assert found.core_seconds == pytest.approx(
        sum(run.core_seconds for run in found.runs) + found.match_core_seconds, abs=0.2
    )
    assert found.state == "finished" and found.verdict is not None
    for arm in (0, 1):  # what the runs leave behind is a whole loop
        root = folder / "runs" / f"{arm}-1"
        with in_process(root, (VARIANT,), {**SETTINGS, **PLAN.arms[arm].settings}, seed="audit") as driven:
            assert verify(driven.loop, files=True) == []
            moves = driven.loop.config.selfplay.considered_moves
            assert moves == (2, 16)[arm]

    rows = read_matches(folder / MATCHES)
    names = [next(name for row in rows for name in row.seats if str(run.model) in name) for run in found.runs]
    assert len(rows) == found.verdict.games == found.matches[0].games
    share = win_share(rows, *names, 2)
    assert found.matches[0].share == pytest.approx(share.share, abs=1e-4)
    again = verdict_of([block_scores(rows, *names)], PLAN.sprt, 2, names=(PLAN.arms[0].name, PLAN.arms[1].name))
    assert again == found.verdict

    page = (folder / PAGE).read_text()
    assert found.verdict.sentence in page and PLAN.question in page and command(found) in page
    monkeypatch.setattr(module, "in_process", None)  # a finished one is only read
    assert run_experiment(PLAN, folder) == found


def scores(mean: float, blocks: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Blocks of two games that the first wins both of, or loses both of."""
    won = round(mean * blocks)
    return np.array([1.0] * won + [0.0] * (blocks - won))


@pytest.mark.parametrize(
    ("mean", "blocks", "winner", "said"),
    [
        (0.60, 400, 0, "a is stronger than b"),
        (0.40, 400, 1, "b is stronger than a"),
        (0.50, 4000, None, "Neither a nor b is stronger by 25 Elo"),
        (0.55, 20, None, "It is not decided whether a or b is stronger"),
    ],
)
def test_a_verdict_says_who_is_stronger_and_how_sure_that_is(
    mean: float, blocks: int, winner: int | None, said: str
) -> None:
    half = blocks // 2
    found = verdict_of([scores(mean, half), scores(mean, blocks - half)], TwoSidedSprt(), 2, names=("a", "b"))
    assert found.winner == winner
    assert found.decided == ("decided" not in said)
    assert found.sentence.startswith(said)
    assert found.games == 2 * blocks
    assert found.low < found.elo < found.high
    ahead = 2 if mean > 0.5 else 0
    assert f"ahead with {ahead} of 2 seeds" in found.sentence


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": Budget("games", 0)}, "budget must be above 0"),
        ({"seeds": ()}, "seeds must be different"),
        ({"seeds": (1, 1)}, "seeds must be different"),
        ({"look_games": 10, "most_games": 4}, "from 2 to the most games"),
        ({"variant": "hexagonal_4p", "start": "shipped"}, "no champion of hexagonal_4p comes with the package"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_is_made(
    changes: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shipped_folder", {}.get)
    with pytest.raises(ConfigError, match=said):
        run_experiment(replace(PLAN, **changes), tmp_path / "new")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_a_budget_that_makes_no_model_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="made no model within 2 games: 2 games were played"):
        run_experiment(replace(PLAN, budget=Budget("games", 2)), tmp_path / "small")


def test_a_setting_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    wrong = (Arm("a", {"selfplay.considered_movs": "2"}), PLAN.arms[1])
    with pytest.raises(ConfigError, match="considered_moves"):
        run_experiment(replace(PLAN, arms=wrong), tmp_path / "wrong")
