from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.config import Promotion
from ringrift_loop.errors import GateError
from ringrift_loop.promotion.rules import DAY_S, Contest, Decision, Facts, decide

NOW = 1_800_000_000.0
WINNER = Contest("old", True, "+40 Elo", 40.0, 400)
GOOD = Facts("square8_2p", "old", True, "", WINNER, NOW - 10_000.0, (NOW - 10_000.0,), NOW)

contests = st.builds(
    Contest, st.just("old"), st.booleans(), st.just("judged"), st.none() | st.floats(-200, 200), st.integers(0, 2000)
)
facts = st.builds(
    Facts,
    st.just("square8_2p"),
    st.just("old"),
    st.none() | st.booleans(),
    st.just("slow"),
    st.none() | contests,
    st.none() | st.floats(NOW - 3000, NOW),
    st.lists(st.floats(NOW - DAY_S, NOW), max_size=20).map(lambda times: tuple(sorted(times))),
    st.just(NOW),
)
settings = st.builds(
    Promotion,
    auto_promote=st.booleans(),
    elo_threshold=st.floats(0, 100),
    min_games=st.integers(1, 1000),
    regression_test=st.booleans(),
    cooldown_seconds=st.integers(0, 3000),
    max_promotions_per_day=st.integers(1, 20),
)


def test_a_good_candidate_is_promoted() -> None:
    assert decide(GOOD, Promotion(), hard_block=True) == Decision("promoted", "+40 Elo; regression gate passed")


@given(facts, settings, st.booleans())
def test_what_is_promoted_meets_every_rule(known: Facts, promotion: Promotion, hard_block: bool) -> None:
    try:
        decision = decide(known, promotion, hard_block=hard_block)
    except GateError:
        return
    if decision.status != "promoted":
        return
    assert promotion.auto_promote
    assert not promotion.regression_test or known.regression_passed or not hard_block
    assert not promotion.regression_test or known.regression_passed is not None
    assert known.contest is not None and known.contest.passed
    assert known.contest.gain is not None and known.contest.gain >= promotion.elo_threshold
    assert known.contest.games >= promotion.min_games
    assert known.moved_at is None or not 0 <= NOW - known.moved_at < promotion.cooldown_seconds
    assert len([at for at in known.promoted_at if at <= NOW]) < promotion.max_promotions_per_day


@given(facts, settings, st.booleans())
def test_a_deferred_candidate_is_promoted_once_its_time_has_come(
    known: Facts, promotion: Promotion, hard_block: bool
) -> None:
    try:
        decision = decide(known, promotion, hard_block=hard_block)
    except GateError:
        return
    for _ in range(2):  # the cool-down may end while the day is still full
        if decision.status != "deferred" or decision.retry_at is None:
            break
        assert decision.retry_at >= known.now
        later = decision.retry_at + 1.0
        recent = tuple(at for at in known.promoted_at if at > later - DAY_S)
        decision = decide(replace(known, now=later, promoted_at=recent), promotion, hard_block=hard_block)
    if decision.status == "deferred":
        assert not promotion.auto_promote


@given(facts, settings, st.booleans())
def test_a_person_can_skip_the_waiting_but_not_the_gates(known: Facts, promotion: Promotion, hard_block: bool) -> None:
    try:
        by_hand = decide(known, promotion, hard_block=hard_block, by_hand=True)
    except GateError:
        with pytest.raises(GateError):
            decide(known, promotion, hard_block=hard_block)
        return
    alone = decide(known, promotion, hard_block=hard_block)
    assert by_hand.status == {"deferred": "promoted"}.get(alone.status, alone.status)


@pytest.mark.parametrize(
    ("contest", "reason"),
    [
        (replace(WINNER, games=49), "49 games against the champion, promotion.min_games asks for 50"),
        (replace(WINNER, gain=19.9), "Elo gain +19.9, promotion.elo_threshold asks for 20"),
        (replace(WINNER, gain=None), "Elo gain unknown, promotion.elo_threshold asks for 20"),
        (replace(WINNER, passed=False, reason="not significant"), "champion gate: not significant"),
    ],
)
def test_a_contest_that_lacks_anything_rejects_and_says_what(contest: Contest, reason: str) -> None:
    rules = Promotion(min_games=50, elo_threshold=20.0)
    assert decide(replace(GOOD, contest=contest), rules, hard_block=True) == Decision("rejected", reason)


def test_a_contest_at_its_limits_is_enough() -> None:
    least = replace(WINNER, games=50, gain=20.0)
    rules = Promotion(min_games=50, elo_threshold=20.0)
    assert decide(replace(GOOD, contest=least), rules, hard_block=True).status == "promoted"


def test_a_failed_regression_gate_rejects_unless_it_is_only_recorded() -> None:
    failed = replace(GOOD, regression_passed=False, regression_reason="beats_random: 40 %")
    assert decide(failed, Promotion(), hard_block=True).status == "rejected"
    assert "beats_random: 40 %" in decide(failed, Promotion(), hard_block=True).reason
    recorded = decide(failed, Promotion(), hard_block=False)
    assert recorded.status == "promoted"
    assert "beats_random: 40 %" in recorded.reason


def test_a_gate_that_has_not_spoken_is_an_error_and_no_pass() -> None:
    with pytest.raises(GateError, match="regression-gate first"):
        decide(replace(GOOD, regression_passed=None), Promotion(), hard_block=True)
    with pytest.raises(GateError, match="champion-gate first"):
        decide(replace(GOOD, contest=None), Promotion(), hard_block=True)


def test_a_verdict_against_a_former_champion_does_not_count() -> None:
    with pytest.raises(GateError, match="the champion is now newer"):
        decide(replace(GOOD, champion="newer"), Promotion(), hard_block=True)


def test_the_first_champion_needs_the_regression_gate_alone() -> None:
    first = replace(GOOD, champion=None, contest=None, moved_at=None, promoted_at=())
    assert decide(first, Promotion(), hard_block=True).status == "promoted"
    assert decide(replace(first, regression_passed=False), Promotion(), hard_block=True).status == "rejected"


def test_the_regression_gate_can_be_switched_off_and_the_record_says_so() -> None:
    decision = decide(replace(GOOD, regression_passed=None), Promotion(regression_test=False), hard_block=True)
    assert decision.status == "promoted"
    assert "skipped" in decision.reason


def test_a_clock_that_was_set_back_holds_nobody_up() -> None:
    year = 365 * 86_400.0
    ahead = replace(GOOD, moved_at=NOW + year, promoted_at=tuple(NOW + year + n for n in range(50)))
    assert decide(ahead, Promotion(), hard_block=True).status == "promoted"


def test_the_cool_down_ends_on_the_second() -> None:
    recent = replace(GOOD, moved_at=NOW - 899.0)
    assert decide(recent, Promotion(), hard_block=True).retry_at == NOW + 1.0
    assert decide(replace(GOOD, moved_at=NOW - 900.0), Promotion(), hard_block=True).status == "promoted"


def test_the_daily_maximum_frees_a_place_when_the_oldest_is_a_day_old() -> None:
    times = tuple(NOW - 80_000.0 + 1000.0 * i for i in range(15))
    full = decide(replace(GOOD, promoted_at=times), Promotion(), hard_block=True)
    assert (full.status, full.retry_at) == ("deferred", times[0] + DAY_S)
    assert decide(replace(GOOD, promoted_at=times[1:]), Promotion(), hard_block=True).status == "promoted"
