from __future__ import annotations

from collections.abc import Callable

import pytest

from model_history import DIGESTS, VARIANT, fill_history
from ringrift_loop.errors import ConfigError
from ringrift_loop.ledger import gates, models, promotions
from ringrift_loop.ledger.promotions import Approval
from ringrift_loop.loop import Loop
from ringrift_loop.views.models import ModelsView, Refusal, find_model, loss_points, read_models, refusals

ONE, TWO, THREE, FOUR, FIVE, SIX = DIGESTS


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        fill_history(conn, loop.clock())
    return loop


def _view(loop: Loop, **options: object) -> ModelsView:
    with loop.ledger.read() as conn:
        return read_models(conn, VARIANT, now=loop.clock(), **options)  # type: ignore[arg-type]


def test_each_model_has_the_state_that_the_pointers_history_gives_it(loop: Loop) -> None:
    view = _view(loop)
    assert {line.digest: line.state for line in view.models} == {
        ONE: "former",
        TWO: "rejected",
        THREE: "champion",
        FOUR: "rolled back",
        FIVE: "rejected",
        SIX: "candidate",
    }
    assert {line.digest: line.reign for line in view.models} == {
        ONE: 1,
        TWO: None,
        THREE: 4,
        FOUR: 3,
        FIVE: None,
        SIX: None,
    }
    assert (view.champion, view.champion_generation, view.previous_champion) == (THREE, 4, ONE)


def test_the_model_that_self_play_uses_may_be_a_candidate(loop: Loop) -> None:
    assert _view(loop).generator == THREE
    with loop.ledger.begin() as conn:
        promotions.choose_generator(conn, VARIANT, SIX, at=loop.clock())
    assert (_view(loop).generator, _view(loop).champion) == (SIX, THREE)


def test_a_model_has_its_rating_and_both_verdicts(loop: Loop) -> None:
    line = next(line for line in _view(loop).models if line.digest == FOUR)
    assert (line.elo, line.stderr, line.rated_games) == (262.0, 18.0, 400)
    assert (line.regression_passed, line.contest_passed, line.gain, line.gain_stderr) == (True, True, 31.0, 14.0)
    failed = next(line for line in _view(loop).models if line.digest == FIVE)
    assert (failed.regression_passed, failed.contest_passed, failed.gain) == (False, None, None)


def test_the_last_verdict_of_a_gate_counts(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, SIX, gates.REGRESSION, passed=False, report={"tests": []}, at=loop.clock())
    assert next(line for line in _view(loop).models if line.digest == SIX).regression_passed is False


def test_the_newest_come_first_and_the_champion_always(loop: Loop) -> None:
    assert [line.generation for line in _view(loop, most=2).models] == [6, 5, 3]
    older = _view(loop, most=2, before=3)
    assert [line.generation for line in older.models] == [2, 1]
    assert older.count == 6


def test_a_variant_without_models_has_none(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        view = read_models(conn, "hex8_2p", now=loop.clock())
    assert (view.models, view.champion, view.champion_generation, view.baselines) == ((), None, 0, ())


def test_of_several_searches_a_model_shows_the_most_played(loop: Loop) -> None:
    from ringrift_loop.ledger.schema import ratings

    with loop.ledger.begin() as conn:
        row = {"variant": VARIANT, "elo": 500.0, "stderr": 9.0, "fitted_at": 1.0, "wins": 1, "draws": 0}
        conn.execute(ratings.insert().values(participant=f"{SIX}|gumbel800", games=399, **row))
        conn.execute(ratings.insert().values(participant=f"{FIVE}|gumbel800", games=401, **row))
    elos = {line.digest: line.elo for line in _view(loop).models}
    assert (elos[SIX], elos[FIVE]) == (259.0, 500.0)


def test_an_open_question_is_shown_until_nobody_waits_for_it(loop: Loop) -> None:
    at = loop.clock()
    asked = Approval("promotion", SIX, THREE, (9, 10), "ringrift_promote/manual", asked_at=at, until=at + 60.0)
    with loop.ledger.begin() as conn:
        promotions.set_approval(conn, VARIANT, asked, at=at)
    view = _view(loop, approval_required=True)
    assert view.question is not None and (view.question.digest, view.question.until) == (SIX, at + 60.0)
    loop.clock.now += 61.0  # type: ignore[attr-defined]
    assert _view(loop, approval_required=True).question is None


def _refusals(loop: Loop, most: int = 20) -> tuple[Refusal, ...]:
    with loop.ledger.read() as conn:
        return refusals(conn, VARIANT, most=most)


def test_a_refusal_says_who_refused_and_why_also_after_later_decisions(loop: Loop) -> None:
    five, two = _refusals(loop)
    assert (five.generation, five.by, five.reason, five.gain) == (5, "regression", "regression gate", None)
    assert (two.generation, two.by, two.reason, two.gain) == (2, "champion", "champion gate: +3.0", 3.0)
    assert (two.against, two.against_generation, two.gain_stderr, two.games) == (ONE, 1, 14.0, 400)
    with loop.ledger.begin() as conn:
        promotions.reject(conn, VARIANT, SIX, reason="refused by ann", elo_gain=27.5, games=400, at=loop.clock())
    assert [(each.generation, each.by) for each in _refusals(loop, most=2)] == [(6, "rules"), (5, "regression")]
    assert _view(loop).decided_at == loop.clock()


def test_a_gate_that_was_held_again_later_does_not_change_why_a_candidate_was_refused(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        gates.add(conn, VARIANT, FIVE, gates.REGRESSION, passed=True, report={"tests": []}, at=loop.clock() + 1.0)
    assert _refusals(loop)[0].by == "regression"


def test_a_model_is_found_by_its_digests_beginning_or_its_generation(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        assert find_model(conn, SIX[:8]) == (VARIANT, SIX)
        assert find_model(conn, f"{VARIANT}@4") == (VARIANT, FOUR)
        assert find_model(conn, f"champion:{VARIANT}") == (VARIANT, THREE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cc", "4 characters or more"),
        ("%%%%", "4 characters or more"),
        ("cccc", "the beginning of several digests"),
        ("0123", "no model is named 0123"),
        (f"{VARIANT}@99", "no model is named square8_2p@99"),
        ("champion:hex8_3p", "hex8_3p has no champion"),
    ],
)
def test_a_name_that_is_no_models_is_refused_with_a_reason(loop: Loop, text: str, said: str) -> None:
    with loop.ledger.begin() as conn:
        models.add(conn, "c" * 64, VARIANT, parent_digest=None, training_run=None, manifest={}, at=1.0)
    with loop.ledger.read() as conn, pytest.raises(ConfigError, match=said):
        find_model(conn, text)


def test_losses_come_by_generation_and_only_of_trainings_that_have_some(loop: Loop) -> None:
    with loop.ledger.read() as conn:
        points = loss_points(conn, VARIANT, most=3)
    assert [point.generation for point in points] == [4, 5, 6]
    assert points[-1].validation.policy == pytest.approx(1.6 - 0.72)
    assert points[0].train.value > points[-1].train.value
