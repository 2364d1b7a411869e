from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine.kernels import new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import TO_PLAY
from ringrift_loop.errors import ModelError
from ringrift_loop.network.encoding import plane_shape
from ringrift_loop.search.leaves import NetworkLeaves, PlayoutLeaves, values_by_seat
from ringrift_loop.search.pool import LeafBatch, SearchPool
from ringrift_loop.search.settings import SearchSettings


class MoverWins:
    """A network that gives the seat to move .7 and the seats after it .2, .1 and nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def evaluate(
        self, planes: NDArray[np.float32], move_row: NDArray[np.int64], move_features: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.seen.append((*planes.shape, len(move_row), len(move_features)))
        values = np.tile(np.array([0.7, 0.2, 0.1, 0.0], np.float32), (len(planes), 1))
        return np.arange(len(move_row), dtype=np.float32), values


def batch_of(variant: str, movers: list[int]) -> LeafBatch:
    rules = rules_for(variant)
    states = new_states(rules, len(movers))
    states[:, TO_PLAY] = movers
    pool = SearchPool(rules, len(movers), SearchSettings("puct", 1))
    slots = np.arange(len(movers), dtype=np.int32)
    pool.start(slots, states, np.ones(len(movers), np.int32), np.zeros(len(movers), np.bool_), slots.astype(np.uint64))
    return pool.advance()


def test_values_come_back_keyed_by_seat_whoever_moves() -> None:
    by_mover = np.array([[0.7, 0.2, 0.1, 0.0]] * 3, np.float32)
    by_seat = values_by_seat(by_mover, np.array([0, 1, 2], np.int16), 3)
    assert (
        by_seat.round(1).tolist()
        == np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.2, 0.1, 0.7]], np.float32).round(1).tolist()
    )


def test_a_network_sees_every_state_and_move_once_and_its_work_is_counted() -> None:
    rules = rules_for("hex8_3p")
    batch = batch_of("hex8_3p", [0, 2])
    network = MoverWins()
    leaves = NetworkLeaves(rules, network)  # type: ignore[arg-type]
    logits, values = leaves.evaluate(batch)
    assert network.seen == [(2, *plane_shape(rules), len(batch.moves), len(batch.moves))]
    assert len(logits) == 2 * 183  # every placement on an empty board
    assert values.argmax(axis=1).tolist() == [0, 2]
    assert leaves.evaluations == 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place, name", [(0, "a logit"), (1, "a value")])
def test_a_network_that_gives_no_number_is_refused(place: int, name: str, wrong: float) -> None:
    class Broken(MoverWins):
        manifest = SimpleNamespace(digest="ab12")

        def evaluate(
            self, planes: NDArray[np.float32], move_row: NDArray[np.int64], move_features: NDArray[np.int32]
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            outputs = super().evaluate(planes, move_row, move_features)
            outputs[place][-1] = wrong
            return outputs

    leaves = NetworkLeaves(rules_for("hex8_3p"), Broken())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=f"model ab12 gives {name} of {wrong}"):
        leaves.evaluate(batch_of("hex8_3p", [0, 2]))


def test_playouts_give_one_win_to_one_seat_and_depend_on_the_trees_random_state_only() -> None:
    rules = rules_for("square8_2p")
    first = PlayoutLeaves(rules).evaluate(batch_of("square8_2p", [0] * 8))[1]
    again = PlayoutLeaves(rules).evaluate(batch_of("square8_2p", [0] * 8))[1]
    assert first.sum(axis=1).tolist() == [1.0] * 8
    assert first.tolist() == again.tolist()
    assert len({tuple(row) for row in first.tolist()}) == 2
