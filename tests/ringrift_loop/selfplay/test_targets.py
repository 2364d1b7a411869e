from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.errors import DataError
from ringrift_loop.search.pool import Harvest
from ringrift_loop.selfplay.entries import LEAST_WEIGHT, WEIGHT_SUM, policy_entries, systematic_sample
from ringrift_loop.selfplay.targets import (
    SearchTarget,
    TargetNotes,
    least_bytes,
    pack_targets,
    unpack_targets,
    within,
)


def target(
    ply: int,
    policy: list[float] | None = None,
    value: tuple[float, ...] = (0.75, 0.25),
    surprise: tuple[float | None, float | None] = (None, None),
) -> SearchTarget:
    index, weight = policy_entries(np.array(policy or [1.0], np.float32))
    if policy is None:
        index, weight = index[:0], weight[:0]
    return SearchTarget(ply, policy is not None, index, weight, np.array(value, np.float16), *surprise)


def test_targets_survive_packing() -> None:
    given = [
        target(3, [0.5, 0.0, 0.25, 0.25], surprise=(0.75, 0.5)),
        target(4),
        target(90, [1.0]),
        target(91, surprise=(None, 2.0)),
    ]
    read = unpack_targets(pack_targets(given), 2, 92)
    assert [(t.ply, t.full) for t in read] == [(3, True), (4, False), (90, True), (91, False)]
    assert read[0].index.tolist() == [0, 2, 3]
    assert read[0].weight.tolist() == given[0].weight.tolist()
    assert read[1].value.tolist() == [0.75, 0.25]
    assert [(t.policy_surprise, t.value_surprise) for t in read] == [
        (0.75, 0.5),
        (None, None),
        (None, None),
        (None, 2.0),
    ]


@pytest.mark.parametrize("wrong", [-0.5, math.nan, math.inf, 33.0])
@pytest.mark.parametrize("policy", [True, False])
def test_a_surprise_that_is_no_divergence_is_refused(wrong: float, policy: bool) -> None:
    packed = pack_targets([target(7, [0.5, 0.5], surprise=(wrong, 0.5) if policy else (0.5, wrong))])
    with pytest.raises(DataError, match="the surprise of ply 7 must be 0 to 32 nats, got"):
        unpack_targets(packed, 2, 10)


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=40), st.integers(1, 200), st.floats(0.0, 0.999))
def test_a_sample_has_each_place_as_often_as_its_share_says(weights: list[float], count: int, lot: float) -> None:
    shares = np.array(weights) + 1e-3
    expected = shares / shares.sum() * count
    found = np.bincount(systematic_sample(shares, count, lot), minlength=len(shares))
    assert found.sum() == count
    assert (np.abs(found - expected) < 1 + 1e-6).all()


def test_over_all_lots_a_sample_is_exactly_the_shares() -> None:
    shares, lots = np.array([0.3, 1.2, 0.5]), 1000
    found = sum(np.bincount(systematic_sample(shares, 2, (lot + 0.5) / lots), minlength=3) for lot in range(lots))
    np.testing.assert_allclose(found / lots, shares, atol=0.002)


def test_rounded_weights_keep_their_sum_and_order() -> None:
    policy = np.random.default_rng(3).dirichlet(np.full(190, 0.3)).astype(np.float32)
    index, weight = policy_entries(policy, 0.0)
    assert int(weight.sum(dtype=np.int64)) == WEIGHT_SUM
    assert np.abs(weight / WEIGHT_SUM - policy[index]).max() < 1 / WEIGHT_SUM + 1e-6
    assert (policy[np.setdiff1d(np.arange(190), index)] < 1 / WEIGHT_SUM).all()


@st.composite
def policies(draw: st.DrawFn) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """From nearly one-hot to flat, as large as a hexagonal board's."""
    concentration = 10.0 ** draw(st.floats(-2, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = rng.gamma(concentration, size=draw(st.integers(2, 1407))) + 1e-30
    return (weights / weights.sum()).astype(np.float32)


@given(policies())
def test_heavy_moves_keep_their_share_and_light_ones_their_weight_together(policy: Any) -> None:
    index, weight = policy_entries(policy)
    assert len(index) <= 1 / LEAST_WEIGHT
    assert (np.diff(index.astype(int)) > 0).all()
    assert int(weight.sum(dtype=np.int64)) == WEIGHT_SUM
    shares = policy / policy.sum(dtype=np.float64)
    found = np.zeros(len(policy))
    found[index] = weight / WEIGHT_SUM
    heavy = shares >= LEAST_WEIGHT
    rest = float(shares[~heavy].sum())
    if rest < LEAST_WEIGHT / 2:  # not worth a move
        np.testing.assert_allclose(found, np.where(heavy, shares, 0.0) / (1 - rest), atol=1.1 / WEIGHT_SUM)
        return
    np.testing.assert_allclose(found[heavy], shares[heavy], atol=1.1 / WEIGHT_SUM)
    assert abs(found[~heavy].sum() - rest) <= (heavy.sum() + 1.1) / WEIGHT_SUM
    assert found[~heavy].max() < 3 * LEAST_WEIGHT  # a lot that falls on one move twice


def test_on_average_over_the_lots_every_move_keeps_its_share() -> None:
    weights = np.random.default_rng(5).gamma(0.3, size=700)
    mean, lots = np.zeros(700), 600
    for number in range(lots):
        # The same shares in other bytes, so with another lot.
        index, weight = policy_entries((weights * (1 + number / 1000)).astype(np.float32))
        mean[index] += weight / WEIGHT_SUM / lots
    # A light move of weight w is named with probability w / step: its mean has an error below step / 2 / sqrt(lots).
    np.testing.assert_allclose(mean, weights / weights.sum(), atol=5 * 1.5 * LEAST_WEIGHT / 2 / lots**0.5)


@given(st.lists(policies() | st.none(), min_size=1, max_size=8), st.data())
def test_targets_are_shortened_to_any_room_that_leaves_each_a_move(policies: Any, data: st.DataObject) -> None:
    nothing, value = np.empty(0, np.uint16), np.array([0.25, 0.75], np.float16)
    targets = [
        SearchTarget(ply, False, nothing, nothing, value)
        if policy is None
        else SearchTarget(ply, True, *policy_entries(policy), value)
        for ply, policy in enumerate(policies)
    ]
    whole = pack_targets(targets)
    least = least_bytes(len(targets), 2)
    room = data.draw(st.integers(least, max(least, len(whole))))
    packed = within(whole, 2, len(targets), room)
    assert len(packed) <= room
    assert within(whole, 2, len(targets), len(whole)) == whole
    for short, target in zip(unpack_targets(packed, 2, len(targets)), targets, strict=True):
        assert (short.ply, short.full) == (target.ply, target.full)
        assert set(short.index) <= set(target.index)
        np.testing.assert_array_equal(short.value, target.value)


def test_targets_that_cannot_fit_are_an_error() -> None:
    packed = pack_targets(target(ply, [0.5, 0.5], surprise=(1.0, 1.0)) for ply in (1, 2))
    with pytest.raises(ValueError, match="2 targets do not fit into 33 bytes"):
        within(packed, 2, 3, least_bytes(2, 2) - 1)


def test_notes_of_many_games_are_what_packing_each_of_them_makes() -> None:
    rng = np.random.default_rng(3)
    notes, given = TargetNotes(5), {slot: list[SearchTarget]() for slot in range(5)}
    for ply in range(80):  # flat policies of so many moves outgrow the room that a game starts with
        slots = np.sort(rng.permutation(5)[: rng.integers(1, 5)]).astype(np.int32)
        if ply == 7:
            notes.clear(slots[:1])
            given[int(slots[0])].clear()
        full = rng.random(len(slots)) < 0.7
        bounds = np.concatenate(([0], np.cumsum(rng.integers(2, 700, len(slots)))))
        policy = rng.gamma(1.0, size=bounds[-1]).astype(np.float32)
        values, surprises = rng.dirichlet((1, 1, 1), len(slots)).astype(np.float32), rng.random((len(slots), 2))
        harvest = Harvest(np.zeros(len(slots), np.int64), values, bounds, policy, surprises.astype(np.float32))
        notes.add(slots, np.full(len(slots), ply), full, harvest)
        for place, slot in enumerate(slots.tolist()):
            index, weight = policy_entries(policy[bounds[place] : bounds[place + 1]] if full[place] else policy[:0])
            of_value, of_policy = surprises[place].tolist()
            told = (of_policy if full[place] else None, of_value)
            value = values[place].astype(np.float16)
            given[slot].append(SearchTarget(ply, bool(full[place]), index, weight, value, *told))
    for slot, targets in given.items():
        assert notes.packed(slot) == pack_targets(targets)
    assert max(len(notes.packed(slot)) for slot in given) > 1 << 14


def test_plies_out_of_order_or_beyond_the_game_are_refused() -> None:
    packed = pack_targets([target(5), target(4)])
    with pytest.raises(DataError, match="ply 4"):
        unpack_targets(packed, 2, 10)
    with pytest.raises(DataError, match="ply 5"):
        unpack_targets(pack_targets([target(5)]), 2, 5)


@pytest.mark.parametrize("cut", [1, 4, 6, 9])
def test_bytes_that_end_in_the_middle_are_refused(cut: int) -> None:
    with pytest.raises(DataError):
        unpack_targets(pack_targets([target(5, [0.5, 0.5])])[:-cut], 2, 10)


@pytest.mark.parametrize("value", [(0.9, 0.9), (1.5, -0.5), (float("nan"), 1.0), (float("inf"), float("-inf"))])
def test_root_values_that_are_no_shares_are_refused(value: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="root value"):
        unpack_targets(pack_targets([target(1, value=value)]), 2, 10)


def test_a_policy_that_does_not_sum_to_one_is_refused() -> None:
    short = target(1, [0.5, 0.5])
    wrong = SearchTarget(1, True, short.index, short.weight // 2, short.value)
    with pytest.raises(DataError, match="must sum to 65535"):
        unpack_targets(pack_targets([wrong]), 2, 10)


def test_a_move_named_twice_or_out_of_order_is_refused_in_whichever_target_it_stands() -> None:
    # A policy may begin at a lower place than the one before it ended at.
    good, later = target(1, [0.5, 0.25, 0.25]), target(7, [0.2, 0.2, 0.6])
    assert [one.ply for one in unpack_targets(pack_targets([good, target(4), later]), 2, 10)] == [1, 4, 7]
    for index in ([0, 2, 1], [0, 1, 1]):
        wrong = SearchTarget(7, True, np.array(index, np.uint16), later.weight, later.value)
        with pytest.raises(DataError, match="policy of ply 7 must name each move once"):
            unpack_targets(pack_targets([good, target(4), wrong]), 2, 10)


def test_a_policy_on_a_fast_search_is_refused() -> None:
    full = target(1, [0.5, 0.5])
    with pytest.raises(DataError, match="flags 0"):
        unpack_targets(pack_targets([SearchTarget(1, False, full.index, full.weight, full.value)]), 2, 10)
