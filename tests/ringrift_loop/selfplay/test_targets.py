from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.errors import DataError
from ringrift_loop.selfplay.targets import (
    WEIGHT_SUM,
    SearchTarget,
    pack_targets,
    policy_entries,
    unpack_targets,
)


def target(ply: int, policy: list[float] | None = None, value: tuple[float, ...] = (0.75, 0.25)) -> SearchTarget:
    index, weight = policy_entries(np.array(policy or [1.0], np.float32))
    if policy is None:
        index, weight = index[:0], weight[:0]
    return SearchTarget(ply, policy is not None, index, weight, np.array(value, np.float16))


def test_targets_survive_packing() -> None:
    given = [target(3, [0.5, 0.0, 0.25, 0.25]), target(4), target(90, [1.0])]
    read = unpack_targets(pack_targets(given), 2, 91)
    assert [(t.ply, t.full) for t in read] == [(3, True), (4, False), (90, True)]
    assert read[0].index.tolist() == [0, 2, 3]
    assert read[0].weight.tolist() == given[0].weight.tolist()
    assert read[1].value.tolist() == [0.75, 0.25]


def test_rounded_weights_keep_their_sum_and_order() -> None:
    policy = np.random.default_rng(3).dirichlet(np.full(190, 0.3)).astype(np.float32)
    index, weight = policy_entries(policy)
    assert int(weight.sum(dtype=np.int64)) == WEIGHT_SUM
    assert np.abs(weight / WEIGHT_SUM - policy[index]).max() < 1 / WEIGHT_SUM + 1e-6
    assert (policy[np.setdiff1d(np.arange(190), index)] < 1 / WEIGHT_SUM).all()


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
