from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from time import perf_counter, process_time

import pytest

from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import ConfigError, GateError, GateUndecided, IllegalMoveError, LedgerAway
from ringrift_loop.ledger import events, gates, matches, models, promotions
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import WEIGHTS, Manifest
from ringrift_loop.promotion import model_tests, regression
from ringrift_loop.promotion.gate_tests import TEST_NAMES
from ringrift_loop.promotion.regression import conclude, run_gate, run_test
from ringrift_loop.promotion.report import TestResult, gate_table
from ringrift_loop.tournament.blocks import BlockPlan
from ringrift_loop.tournament.duration import games_limit
from ringrift_loop.tournament.play_match import MatchSettings, play_blocks
from ringrift_loop.tournament.players import HeuristicPlayer, Player, RandomPlayer

VARIANT = "square8_2p"
SMALL = {
    "games": 8,
    "min_win_rate_random": {2: 0.6, 3: 0.4, 4: 0.3},
    "min_win_rate_heuristic": {2: 0.6, 3: 0.4, 4: 0.3},
}


class Hall:
    """The engine's board, with these players instead of the model and the baselines."""

    def __init__(self, subject: Player, opponent: Player, clock: Callable[[], float] = lambda: 1.0) -> None:
        self._subject, self._opponent, self._clock = subject, opponent, clock

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        names = {name for plan in plans for name in plan.participants}
        players = {name: self._subject if "|" in name else self._opponent for name in names}
        return play_blocks(plans, players, MatchSettings(3), clock=self._clock, deadline=deadline, taken=taken)


class Broken:
    """An arena in which the model plays an illegal move."""

    def play(
        self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
    ) -> Iterator[list[MatchRow]]:
        raise IllegalMoveError("the model chose MV:0,0>7,7 where it is not legal")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """The folder of a very small network with random weights, and its manifest."""
    import torch

    from ringrift_loop.network.export import architecture_for, save_model
    from ringrift_loop.network.model import RingRiftNet

    torch.manual_seed(1)
    net = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8)).eval()
    folder = tmp_path_factory.mktemp("models")
    facts = {"engine_version": ENGINE_VERSION, "parent": None, "training_run": None, "created_at": 1.0}
    manifest = save_model(net, folder.joinpath, variant=VARIANT, **facts)  # type: ignore[arg-type]
    return folder / manifest.digest, manifest


def _registered(loop: Loop, model: tuple[Path, Manifest]) -> str:
    folder, manifest = model
    shutil.copytree(folder, loop.directory.model(manifest.digest))
    with loop.ledger.begin() as conn:
        models.add(
            conn, manifest.digest, VARIANT, parent_digest=None, training_run=None, manifest=manifest.as_json(), at=1.0
        )
    return manifest.digest


@pytest.fixture
def strong() -> Hall:
    """The model plays as the heuristic, the baselines play at random."""
    return Hall(HeuristicPlayer("heuristic", 1), RandomPlayer(2))


def _failed(results: Iterable[TestResult]) -> list[str]:
    return [result.name for result in results if not result.passed]


def test_a_good_model_passes_six_tests_and_the_verdict_is_recorded(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression=SMALL)
    digest = _registered(loop, model)
    report = run_gate(loop, digest, VARIANT, arena=strong)
    assert (report.passed, [test.name for test in report.tests]) == (True, list(TEST_NAMES))
    report.require()
    with loop.ledger.read() as conn:
        row = gates.latest(conn, model_digest=digest, gate=gates.REGRESSION)
        games = matches.results(conn, VARIANT, purpose="gate")
    assert row is not None and row.passed
    assert len(row.report["tests"]) == len(TEST_NAMES)  # type: ignore[arg-type]
    assert len(games) == 8  # four against each baseline leave no doubt
    table = gate_table(report, verbose=True)
    assert all(name in table for name in TEST_NAMES)
    assert "95 %" in table and "gate passed" in table


def test_a_weak_model_fails_and_blocks_its_promotion(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop(regression=SMALL)
    digest = _registered(loop, model)
    report = run_gate(
        loop, digest, VARIANT, arena=Hall(RandomPlayer(1), HeuristicPlayer("heuristic", 2)), candidate=True
    )
    with loop.ledger.read() as conn:
        assert [entry.status for entry in promotions.of_model(conn, digest)] == ["rejected"]
    assert _failed(report.tests) == ["beats_random", "beats_heuristic"]
    with pytest.raises(GateError, match=r"blocks .* beats_random: 1 of 6 games won .* decided at look 3 of 4"):
        report.require()


def test_without_hard_block_the_failure_is_recorded_only(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop(regression={**SMALL, "hard_block": False})
    report = run_gate(
        loop, _registered(loop, model), VARIANT, arena=Hall(RandomPlayer(1), HeuristicPlayer("heuristic", 2))
    )
    assert not report.passed
    report.require()
    assert "recorded only" in gate_table(report)


def test_an_illegal_move_fails_every_test_that_needs_the_games(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop(regression=SMALL)
    report = run_gate(loop, _registered(loop, model), VARIANT, arena=Broken())
    assert _failed(report.tests) == ["no_illegal_moves", "games_finish", "beats_random", "beats_heuristic"]
    assert "IllegalMoveError: the model chose MV:0,0>7,7" in report.reason


def test_an_illegal_move_in_the_log_is_found_by_the_replay(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression=SMALL)
    digest = _registered(loop, model)

    class Forged:
        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            for rows in strong.play(plans):
                for row in rows:
                    object.__setattr__(row, "moves", row.moves + " NM")
                yield rows

    result = run_test("no_illegal_moves", loop, digest, VARIANT, 60.0, arena=Forged())
    assert (result.passed, result.figure) == (False, 8.0)
    assert "NM is not legal: the game is over" in result.detail


@pytest.mark.parametrize("name", TEST_NAMES)
def test_each_test_runs_alone(
    name: str, open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression=SMALL)
    result = run_test(name, loop, _registered(loop, model), VARIANT, 60.0, arena=strong)
    assert (result.name, result.passed) == (name, True)
    assert result.figure is not None


def test_a_flipped_bit_in_the_weights_fails_the_file_test(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop()
    digest = _registered(loop, model)
    path = loop.directory.model(digest) / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    result = run_test("model_file", loop, digest, VARIANT)
    assert not result.passed
    assert "has sha256" in result.detail


def test_a_missing_file_fails_and_is_never_skipped(open_loop: Callable[..., Loop]) -> None:
    report = run_gate(open_loop(), "d" * 64, VARIANT, arena=Broken())
    assert _failed(report.tests) == list(TEST_NAMES)
    assert "no model manifest" in report.tests[0].detail


def test_a_model_of_another_variant_fails_the_file_test(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    result = run_test("model_file", open_loop(), str(model[0]), "square8_3p")
    assert "the model is for square8_2p" in result.detail
    assert not result.passed


def test_an_evaluation_slower_than_the_limit_fails(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop(regression={"max_inference_ms": 1e-6})
    result = run_test("inference_latency", loop, str(model[0]), VARIANT)
    assert not result.passed
    assert result.figure is not None and result.figure > result.limit == 1e-6  # type: ignore[operator]


def test_a_deadline_that_has_passed_decides_nothing(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression=SMALL)
    digest = _registered(loop, model)
    report = run_gate(loop, digest, VARIANT, arena=strong, timeout_s=-60.0, candidate=True)
    assert (report.verdict, _failed(report.tests)) == ("undecided", list(TEST_NAMES))
    assert "gate UNDECIDED" in gate_table(report)
    with pytest.raises(GateUndecided, match=r"no verdict on .* yet, so it blocks it: .*no time left"):
        report.require()
    with loop.ledger.read() as conn:
        assert gates.latest(conn, model_digest=digest, gate=gates.REGRESSION) is None
        assert promotions.of_model(conn, digest) == []
        assert "undecided. model_file: not decided in time" in events.latest(conn, kind="gate")[0].message
    late = Hall(HeuristicPlayer("heuristic", 1), RandomPlayer(2), clock=lambda: loop.clock() + 1e6)
    result = run_test("beats_random", loop, digest, VARIANT, 5.0, arena=late)
    assert (result.passed, result.undecided) == (False, True)
    assert result.detail.startswith("not decided in time (5 s): 2 games unfinished")


def test_a_sound_model_that_ran_out_of_time_passes_when_it_is_tried_again(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression=SMALL)
    digest = _registered(loop, model)
    assert run_gate(loop, digest, VARIANT, arena=strong, timeout_s=-60.0, candidate=True).undecided
    run_gate(loop, digest, VARIANT, arena=strong, candidate=True).require()
    with loop.ledger.read() as conn:
        row = gates.latest(conn, model_digest=digest, gate=gates.REGRESSION)
    assert row is not None and row.passed


def test_a_failed_test_is_a_verdict_whatever_else_ran_out_of_time(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop()
    digest = _registered(loop, model)
    results = [TestResult(name, True, 1.0, 0.0, "", "fine", 0.1) for name in TEST_NAMES[:4]]
    results += [TestResult(TEST_NAMES[4], False, 0.1, 0.9, "", "10 of 100 won", 0.1)]
    results += [TestResult(TEST_NAMES[5], False, None, None, "", "late", 0.1, undecided=True)]
    report = conclude(loop, digest, VARIANT, results, candidate=True)
    assert report.verdict == "failed"
    with loop.ledger.read() as conn:
        assert [row.status for row in promotions.of_model(conn, digest)] == ["rejected"]


def test_a_ledger_that_was_away_is_nothing_against_the_model(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    class Away(Broken):
        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            raise LedgerAway("the ledger is not available now")

    loop = open_loop(regression=SMALL)
    report = run_gate(loop, _registered(loop, model), VARIANT, arena=Away(), candidate=True)
    assert report.verdict == "undecided"
    assert "not evaluated: LedgerAway" in report.reason


def test_without_hard_block_a_gate_without_verdict_holds_nothing_up(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression={**SMALL, "hard_block": False})
    digest = _registered(loop, model)
    report = run_gate(loop, digest, VARIANT, arena=strong, timeout_s=-60.0)
    report.require()
    with loop.ledger.read() as conn:
        row = gates.latest(conn, model_digest=digest, gate=gates.REGRESSION)
    assert row is not None and (row.passed, row.report["undecided"]) == (False, True)


def test_a_test_of_a_large_board_has_the_time_that_its_games_need(
    open_loop: Callable[..., Loop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = open_loop(evaluation={"simulations": 32})
    seen: dict[str, float] = {}

    class Patient(Broken):
        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            assert deadline is not None
            seen[plans[0].variant] = deadline - started
            raise TimeoutError

    for variant in (VARIANT, "hexagonal_2p"):
        started = loop.clock()
        run_test("no_illegal_moves", loop, "d" * 64, variant, arena=Patient())
    assert seen[VARIANT] == pytest.approx(600 * 18 / 38, abs=5.0)
    assert seen["hexagonal_2p"] >= 1583 * 2  # core-seconds that the games of a gate were measured to take


def test_a_model_that_is_evaluated_slowly_has_more_time_for_its_games(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_tests, "process_time", lambda: process_time() * 1e4)
    loop = open_loop(regression={"games": 10_000, "timeout_seconds": 10})
    seen: list[float] = []

    class Patient(Broken):
        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            assert deadline is not None
            seen.append(deadline - loop.clock())
            raise TimeoutError

    result = run_test("no_illegal_moves", loop, str(model[0]), VARIANT, arena=Patient())
    assert result.undecided
    assert seen[0] >= 4 * games_limit(loop.config, VARIANT, 20_000, floor_s=1.0, searched=0.5)


def test_time_in_which_others_had_the_processor_counts_against_no_test(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = open_loop(regression=SMALL)
    digest = _registered(loop, model)
    began = loop.clock()

    class Crowded:
        """Every portion of games takes an hour, in which others had the processor."""

        def play(
            self, plans: Sequence[BlockPlan], *, deadline: float | None = None, taken: Iterable[str] = ()
        ) -> Iterator[list[MatchRow]]:
            assert deadline is not None and deadline > loop.clock()
            loop.clock.now += 3600.0  # type: ignore[attr-defined]
            return strong.play(plans)

    monkeypatch.setattr(regression, "queued_s", lambda: loop.clock() - began)
    report = run_gate(loop, digest, VARIANT, arena=Crowded())
    assert report.verdict == "passed", report.reason
    assert loop.clock() - began > 4 * loop.config.regression.timeout_seconds


def test_an_evaluation_that_waits_for_a_busy_machine_is_undecided(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_tests, "perf_counter", lambda: perf_counter() * 1e5)
    result = run_test("inference_latency", open_loop(), str(model[0]), VARIANT)
    assert (result.passed, result.undecided) == (False, True)
    assert "the machine was busy: of that it computed" in result.detail


def test_a_verdict_without_all_tests_is_a_failure(open_loop: Callable[..., Loop], model: tuple[Path, Manifest]) -> None:
    loop = open_loop()
    digest = _registered(loop, model)
    report = conclude(loop, digest, VARIANT, [TestResult(TEST_NAMES[0], True, 1.0, None, "MB", "fine", 0.1)])
    assert not report.passed
    assert report.reason == "not every test was run"


def test_a_blocked_candidate_is_recorded_as_rejected_with_the_reason(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest]
) -> None:
    loop = open_loop()
    digest = _registered(loop, model)
    results = [TestResult(name, name != "games_finish", 1.0, 0.0, "", "3 unfinished", 0.1) for name in TEST_NAMES]
    conclude(loop, digest, VARIANT, results, candidate=True)
    with loop.ledger.read() as conn:
        (row,) = promotions.of_model(conn, digest)
    assert (row.status, row.reason) == ("rejected", "regression gate: games_finish: 3 unfinished")


def test_the_games_of_an_unregistered_model_stay_out_of_the_match_log(
    open_loop: Callable[..., Loop], model: tuple[Path, Manifest], strong: Hall
) -> None:
    loop = open_loop(regression=SMALL)
    assert run_gate(loop, str(model[0]), VARIANT, arena=strong).passed
    with loop.ledger.read() as conn:
        assert matches.results(conn, VARIANT) == []


def test_champion_names_nothing_before_the_first(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(GateError, match="no champion yet"):
        run_gate(open_loop(), "champion", VARIANT)


def test_an_unknown_test_or_model_is_wrong_usage(open_loop: Callable[..., Loop]) -> None:
    with pytest.raises(ConfigError, match="one of model_file"):
        run_test("speed", open_loop(), "champion", VARIANT)
    with pytest.raises(ConfigError, match="no model of square8_2p begins with it"):
        run_test("model_file", open_loop(), "12345678", VARIANT)
