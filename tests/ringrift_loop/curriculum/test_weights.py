from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.config import Curriculum
from ringrift_loop.curriculum.weights import Standing, rebalance, weight_of
from ringrift_loop.ledger import curriculum, events, models, promotions, ratings
from ringrift_loop.ledger.ratings import RatingRow
from ringrift_loop.loop import Loop
from ringrift_loop.tournament.participants import baseline_id

DAY_S = 86_400.0
HEURISTICS = {"square8_2p": 0.0, "hex8_2p": 1100.0}
standings = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.builds(Standing, st.floats(0.0, 1.0), st.floats(0.0, 1e7))
)


@given(standings, st.sampled_from(["a", "b", "z"]), st.floats(0.1, 5))
def test_a_weight_stays_within_its_limits(known: dict[str, Standing], variant: str, old: float) -> None:
    assert 0.7 <= weight_of(Curriculum(), known, variant, old) <= 1.5


@given(standings, st.floats(0.7, 1.5))
def test_a_weight_settles_at_the_clamped_target(known: dict[str, Standing], old: float) -> None:
    settings = Curriculum()
    weight = old
    for _ in range(60):
        weight = weight_of(settings, known, "a", weight)
    assert weight == pytest.approx(weight_of(Curriculum(ema_alpha=1.0), known, "a", 1.0), abs=1e-6)


def test_a_win_share_below_the_median_adds_weight_smoothed_by_the_average() -> None:
    known = {"a": Standing(0.75, DAY_S), "b": Standing(0.9, DAY_S), "c": Standing(1.0, DAY_S)}
    assert weight_of(Curriculum(ema_alpha=1.0), known, "a", 1.0) == pytest.approx(1.5)
    assert weight_of(Curriculum(), known, "a", 1.0) == pytest.approx(0.3 * 1.5 + 0.7 * 1.0)
    assert weight_of(Curriculum(), known, "c", 1.0) == pytest.approx(0.3 * 0.7 + 0.7 * 1.0)


def test_half_a_day_longer_without_a_gain_adds_half() -> None:
    known = {"a": Standing(0.9, 1.5 * DAY_S), "b": Standing(0.9, DAY_S), "c": Standing(0.9, 0.9 * DAY_S)}
    assert weight_of(Curriculum(ema_alpha=1.0), known, "a", 1.0) == pytest.approx(1.5)
    assert weight_of(Curriculum(ema_alpha=1.0), known, "c", 1.0) == pytest.approx(0.9)


def test_adaptive_off_makes_all_weights_one() -> None:
    assert weight_of(Curriculum(adaptive=False), {"a": Standing(0.1, 0.0), "b": Standing(0.9, 0.0)}, "a", 1.4) == 1.0


def test_weights_follow_the_win_shares_over_the_heuristic_whatever_the_scale_of_a_variants_elo(
    open_loop: Callable[..., Loop],
) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        for digit, variant, elo, games in (("1", "square8_2p", 300.0, 100), ("2", "hex8_2p", 1100.0, 100)):
            models.add(conn, digit * 64, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
            promotions.promote(conn, variant, digit * 64, reason="", elo_gain=None, games=0, at=1.0)
            row = RatingRow(variant, f"{digit * 64}|gumbel16,considered=4", elo, 20.0, games, 1.0)
            heuristic = RatingRow(variant, baseline_id("heuristic", variant), HEURISTICS[variant], 20.0, games, 1.0)
            ratings.replace(conn, variant, [row, heuristic], keep_history_of=())
    weights = rebalance(loop)
    assert weights == pytest.approx({"square8_2p": 0.3 * 0.7 + 0.7, "hex8_2p": 0.3 * 1.5 + 0.7})
    with loop.ledger.read() as conn:
        assert curriculum.weights(conn) == weights
        (event,) = events.latest(conn, kind="curriculum")
    assert event.data is not None
    assert event.data["weights"] == weights


def test_a_rollback_is_no_gain(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop(curriculum={"ema_alpha": 1.0})
    now = loop.clock()
    with loop.ledger.begin() as conn:
        for digits, variant in (("13", "square8_2p"), ("2", "hex8_2p")):
            for digit in digits:
                models.add(conn, digit * 64, variant, parent_digest=None, training_run=None, manifest={}, at=1.0)
                at = now - (0.4 if digit == "1" else 0.0) * DAY_S
                promotions.promote(conn, variant, digit * 64, reason="", elo_gain=None, games=0, at=at)
            row = RatingRow(variant, f"{digits[0] * 64}|gumbel16,considered=4", 100.0, 20.0, 100, 1.0)
            heuristic = RatingRow(variant, baseline_id("heuristic", variant), 0.0, 20.0, 100, 1.0)
            ratings.replace(conn, variant, [row, heuristic], keep_history_of=())
        promotions.promote(
            conn, "square8_2p", "1" * 64, reason="", elo_gain=None, games=0, at=now, status=promotions.ROLLED_BACK
        )
    assert rebalance(loop) == pytest.approx({"square8_2p": 1.2, "hex8_2p": 0.8})


def test_the_same_asker_moves_the_weights_once(open_loop: Callable[..., Loop]) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        curriculum.replace(conn, {"square8_2p": 1.5, "hex8_2p": 0.7}, at=1.0)
    first = rebalance(loop, key="run 1")
    assert rebalance(loop, key="run 1") == first
    assert rebalance(loop, key="run 2") != first


@pytest.mark.parametrize(("own", "other"), [(99, 500), (500, 99)])
def test_a_rating_of_few_games_moves_nothing(open_loop: Callable[..., Loop], own: int, other: int) -> None:
    loop = open_loop()
    with loop.ledger.begin() as conn:
        models.add(conn, "1" * 64, "square8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, "square8_2p", "1" * 64, reason="", elo_gain=None, games=0, at=1.0)
        row = RatingRow("square8_2p", f"{'1' * 64}|gumbel16,considered=4", -900.0, 90.0, own, 1.0)
        heuristic = RatingRow("square8_2p", baseline_id("heuristic", "square8_2p"), 0.0, 20.0, other, 1.0)
        ratings.replace(conn, "square8_2p", [row, heuristic], keep_history_of=())
        models.add(conn, "2" * 64, "hex8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, "hex8_2p", "2" * 64, reason="", elo_gain=None, games=0, at=1.0)
        row = RatingRow("hex8_2p", f"{'2' * 64}|gumbel16,considered=4", 900.0, 20.0, 100, 1.0)
        heuristic = RatingRow("hex8_2p", baseline_id("heuristic", "hex8_2p"), 0.0, 20.0, 500, 1.0)
        ratings.replace(conn, "hex8_2p", [row, heuristic], keep_history_of=())
    assert rebalance(loop) == {"square8_2p": 1.0, "hex8_2p": 1.0}
