"""What a network meets when it plays against itself without a search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ringrift_loop.champions.own_games import Position, batches_of, evenly, own_games
from ringrift_loop.engine.kernels import legal_moves, make_work
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import GAME_OVER, PHASE, PLY
from ringrift_loop.errors import ModelError
from ringrift_loop.network.encoding import plane_shape


class Session:
    """In the place of ONNX Runtime's: every policy is the same, but for the move at one place."""

    def __init__(self, prefers: int | None = None, says: float = 0.0) -> None:
        self.prefers, self.says = prefers, says

    def run(self, _names: None, inputs: Any) -> list[np.ndarray[Any, Any]]:
        rows = inputs["move_row"]
        logits = np.full(len(rows), self.says, np.float32)
        if self.prefers is not None:
            first = np.searchsorted(rows, np.arange(rows[-1] + 1))
            logits[first + self.prefers] = 100.0
        return [logits, np.full((rows[-1] + 1, 4), 0.25, np.float32)]


def played(variant: str, **options: Any) -> list[list[Position]]:
    session: Any = Session(**options)
    return own_games(session, rules_for(variant))


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_3p"])
def test_every_position_is_one_with_a_choice(variant: str) -> None:
    rules = rules_for(variant)
    work, moves = make_work(rules), np.empty(rules.max_moves, np.int64)
    games = played(variant)
    assert len({game[-1].state.tobytes() for game in games}) == len(games) > 1
    for game in games:
        assert len(game) > 20
        plies = [int(position.state[PLY]) for position in game]
        assert plies == sorted(set(plies)) and plies[-1] < rules.ply_budget
        for position in game:
            assert position.state[PHASE] != GAME_OVER
            count = legal_moves(rules, position.state.copy(), work, moves)
            assert count > 1 and position.moves.tolist() == moves[:count].tolist()
    again = played(variant)
    assert [position.state.tobytes() for position in games[3]] == [position.state.tobytes() for position in again[3]]


def test_the_policy_is_what_is_played() -> None:
    first, second = played("square8_2p", prefers=0), played("square8_2p", prefers=1)
    assert first[0][0].state.tolist() == second[0][0].state.tolist()
    assert first[0][1].state.tolist() != second[0][1].state.tolist()
    # Two games without random moves at their beginning are one game where the policy leaves nothing to the lot.
    openings = [game[0].state.tobytes() for game in first]
    twins = [place for place, opening in enumerate(openings) if opening == openings[0]]
    assert len(twins) > 1
    assert len({tuple(position.state.tobytes() for position in first[place]) for place in twins}) == 1


def test_a_policy_that_is_no_number_is_refused() -> None:
    with pytest.raises(ModelError, match="not a finite number"):
        played("square8_2p", says=float("nan"))


def test_positions_are_chosen_evenly_and_go_in_batches() -> None:
    rules = rules_for("square8_2p")
    games = played("square8_2p")[:2]
    every = [*games[0], *games[1]]
    chosen = evenly(games, 11)
    assert len(chosen) == 11 and chosen[0] is every[0] and chosen[-1] is every[-1]
    assert len(evenly(games, 10_000)) == len(every)
    batches = batches_of(rules, chosen, 4)
    assert [len(batch["planes"]) for batch in batches] == [4, 4, 3]
    (whole,) = batches_of(rules, chosen, 11)
    assert whole["planes"].shape == (11, *plane_shape(rules))
    assert np.bincount(whole["move_row"]).tolist() == [len(position.moves) for position in chosen]
    assert np.concatenate([batch["planes"] for batch in batches]).tolist() == whole["planes"].tolist()
    features = np.concatenate([batch["move_features"] for batch in batches])
    assert features.tolist() == whole["move_features"].tolist()
