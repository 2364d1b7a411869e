"""Searches of whole positions, guided by the heuristic or by an evaluator that knows nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.kernels import apply_move, make_work
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.engine.text.notation import move_text
from ringrift_loop.search.batch import BatchSearch
from ringrift_loop.search.forward import play_to_choice
from ringrift_loop.search.leaves import Evaluation, HeuristicLeaves, LeafEvaluator, PlayoutLeaves
from ringrift_loop.search.pool import LeafBatch, SearchPool
from ringrift_loop.search.settings import SearchSettings

# Taking the large region wins at once (docs/3-rules.md, worked example 11).
WON = "ph=TE;cp=1;w=-;pe=0;mm=-;at=-;H=5,5;E=0,0;T=0,0;S=0,0:1|7,7:2;M=0,2:1|1,1:1|2,0:1;C="


class EqualLeaves:
    """Every move and every seat alike."""

    evaluations = 0
    network_seconds = 0.0

    def __init__(self, rules: Rules) -> None:
        self._seats = rules.players

    def evaluate(self, batch: LeafBatch) -> Evaluation:
        values = np.full((batch.size, self._seats), 1 / self._seats, np.float32)
        return np.zeros(len(batch.moves), np.float32), values


def some_states(variant: str, count: int) -> NDArray[np.int16]:
    """States with a choice after 0, 3, 6, ... plies of one game."""
    game, states = Game(variant), []
    random = np.random.default_rng(5)
    while len(states) < count:
        legal = game.legal()
        if len(legal) > 1 and len(game.moves) >= 3 * len(states):
            states.append(game.row.copy())
        game.play(legal[random.integers(len(legal))])
    return np.array(states)


def search_one(state: NDArray[np.int16], rules: Rules, settings: SearchSettings, leaves: LeafEvaluator) -> SearchPool:
    return BatchSearch(rules, settings, leaves).search(state[None, :], np.array([7], np.uint64))


@pytest.mark.parametrize("kind", ["puct", "gumbel"])
def test_an_immediate_win_is_found_proven_and_chosen(kind: str) -> None:
    game = Game.from_text("square8_2p", WON)
    settings = SearchSettings(kind, 8)  # type: ignore[arg-type]
    pool = search_one(game.row, game.rules, settings, EqualLeaves(game.rules))
    root = pool.root(0)
    best = int(root.moves[pool.choose(0, 1.0)])
    assert move_text(game.rules, game.row, best).startswith("TR:")
    assert root.value.tolist() == [1.0, 0.0]
    assert root.policy[pool.choose(0, 1.0)] == root.policy.max()


@pytest.mark.parametrize(("kind", "simulations"), [("puct", 20), ("gumbel", 20), ("gumbel", 3)])
def test_the_root_moves_share_exactly_the_simulations(kind: str, simulations: int) -> None:
    rules = rules_for("hex8_3p")
    state = some_states("hex8_3p", 1)[0]
    pool = search_one(state, rules, SearchSettings(kind, simulations), HeuristicLeaves(rules))  # type: ignore[arg-type]
    root = pool.root(0)
    assert int(root.visits.sum()) == simulations
    assert root.value.sum() == pytest.approx(1.0, abs=1e-5)
    assert root.policy.sum() == pytest.approx(1.0, abs=1e-5)


def test_sequential_halving_visits_at_most_the_considered_moves() -> None:
    rules = rules_for("square8_2p")
    settings = SearchSettings("gumbel", 32, considered=4)
    pool = search_one(some_states("square8_2p", 1)[0], rules, settings, HeuristicLeaves(rules))
    # Rounds of 16 simulations: 4 moves 4 times, then 2 moves 8 times more.
    assert sorted(pool.root(0).visits[pool.root(0).visits > 0].tolist()) == [4, 4, 12, 12]


@pytest.mark.parametrize("leaves", [HeuristicLeaves, PlayoutLeaves])
def test_the_same_seed_gives_the_same_search_whatever_else_is_searched(leaves: type[HeuristicLeaves]) -> None:
    rules = rules_for("square8_2p")
    states = some_states("square8_2p", 5)
    seeds = np.arange(5, dtype=np.uint64)
    settings = SearchSettings("gumbel", 16, noise=1.0)
    together = BatchSearch(rules, settings, leaves(rules)).search(states, seeds)
    alone = BatchSearch(rules, settings, leaves(rules)).search(states[3:4], seeds[3:4])
    assert together.root(3).visits.tolist() == alone.root(0).visits.tolist()
    assert together.root(3).value.tolist() == alone.root(0).value.tolist()


def test_another_seed_gives_other_noise() -> None:
    rules = rules_for("square8_2p")
    states = np.repeat(some_states("square8_2p", 1), 6, axis=0)
    search = BatchSearch(rules, SearchSettings("gumbel", 8, noise=1.0), EqualLeaves(rules))
    assert len(set(search.choose(states, np.arange(6, dtype=np.uint64)).tolist())) > 1


def test_without_noise_the_seed_changes_nothing() -> None:
    rules = rules_for("square8_2p")
    states = np.repeat(some_states("square8_2p", 2)[1:], 4, axis=0)
    search = BatchSearch(rules, SearchSettings("gumbel", 16), HeuristicLeaves(rules))
    assert len(set(search.choose(states, np.arange(4, dtype=np.uint64)).tolist())) == 1


def test_a_tree_that_outgrows_its_edges_goes_on_in_larger_arrays() -> None:
    rules = rules_for("square8_2p")
    state = some_states("square8_2p", 1)
    settings = SearchSettings("puct", 24)
    roomy = search_one(state[0], rules, settings, HeuristicLeaves(rules)).root(0)
    pool = SearchPool(rules, 1, settings)
    small = {
        name: getattr(pool.trees, name)[:, :10].copy()
        for name in ("moves", "children_priors", "children_index", "root_logits")
    }
    pool.trees = pool.trees._replace(**small)
    pool.start(np.zeros(1, np.int32), state, np.full(1, 24, np.int32), np.zeros(1, np.bool_), np.array([7], np.uint64))
    leaves = HeuristicLeaves(rules)
    while (batch := pool.advance()).size:
        pool.receive(batch, *leaves.evaluate(batch))
    assert pool.root(0).visits.tolist() == roomy.visits.tolist()
    assert pool.root(0).value.tolist() == roomy.value.tolist()


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_3p"])
def test_evaluations_of_the_search_before_are_taken_over_and_nothing_else_changes(variant: str) -> None:
    rules, work = rules_for(variant), make_work(rules_for(variant))
    settings = SearchSettings("gumbel", 16, considered=4, noise=1.0)
    pools = [SearchPool(rules, 1, settings, keeps=keeps) for keeps in (True, False)]
    leaves = [HeuristicLeaves(rules), HeuristicLeaves(rules)]
    slot, moves = np.zeros(1, np.int32), np.empty(rules.max_moves, np.int64)
    state = some_states(variant, 2)[1]
    for turn in range(40):
        full = turn % 3 > 0
        simulations = np.full(1, 16 if full else 8, np.int32)
        for pool, evaluator in zip(pools, leaves, strict=True):
            pool.start(slot, state[None, :], simulations, np.array([full]), np.array([turn], np.uint64))
            while (batch := pool.advance()).size:
                pool.receive(batch, *evaluator.evaluate(batch))
        kept, fresh = (pool.root(0) for pool in pools)
        assert kept.visits.tolist() == fresh.visits.tolist()
        assert np.array_equal(kept.values, fresh.values, equal_nan=True)
        assert kept.policy.tolist() == fresh.policy.tolist()
        assert kept.value.tolist() == fresh.value.tolist()
        place = pools[0].choose(0, 1.0)
        assert place == pools[1].choose(0, 1.0)
        apply_move(rules, state, work, int(kept.moves[place]))
        if play_to_choice(rules, state, work, moves) == 0:
            break
    assert turn > 10
    assert leaves[0].evaluations < 0.9 * leaves[1].evaluations


def test_random_games_try_equal_moves_without_regard_to_their_order() -> None:
    rules = rules_for("square8_2p")
    states = np.repeat(some_states("square8_2p", 1), 60, axis=0)
    search = BatchSearch(rules, SearchSettings("puct", 8), PlayoutLeaves(rules))
    pool = search.search(states, np.arange(60, dtype=np.uint64))
    tried = np.concatenate([np.flatnonzero(pool.root(slot).visits) for slot in range(60)])
    # Of 192 placements; the first ones of the list would lie around 2.
    assert 80 < tried.mean() < 112
    assert len(set(tried.tolist())) > 60


def test_no_search_plays_the_move_with_the_largest_prior() -> None:
    rules = rules_for("square8_2p")
    state = some_states("square8_2p", 3)[2]
    leaves = HeuristicLeaves(rules)
    pool = search_one(state, rules, SearchSettings("none", 0), leaves)
    root = pool.root(0)
    assert int(root.visits.sum()) == 0
    assert pool.choose(0, 0.0) == int(root.policy.argmax())
    assert leaves.evaluations == 1


@pytest.mark.parametrize("logit", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("value", [np.nan, 0.5])
@pytest.mark.parametrize("kind", ["none", "gumbel", "puct"])
def test_an_evaluation_that_is_no_number_still_leads_to_a_legal_move(kind: str, value: float, logit: float) -> None:
    class Broken(EqualLeaves):
        def evaluate(self, batch: LeafBatch) -> Evaluation:
            logits, values = super().evaluate(batch)
            return logits + np.float32(logit), values * np.float32(2 * value)

    # Two moves, so that the search comes back to what it has visited.
    text = "ph=MO;cp=1;w=-;pe=0;mm=-;at=-;H=0,0;E=0,0;T=0,0;S=0,0:1111111|7,7:2222222;M=;C="
    game = Game.from_text("square8_2p", text)
    settings = SearchSettings(kind, 0 if kind == "none" else 8)  # type: ignore[arg-type]
    pool = search_one(game.row, game.rules, settings, Broken(game.rules))
    root = pool.root(0)
    assert root.visits.sum() == settings.simulations
    assert 0 <= pool.choose(0, 0.0) < len(root.moves)


def test_temperature_spreads_the_choice_over_the_visits() -> None:
    rules = rules_for("square8_2p")
    pool = search_one(some_states("square8_2p", 1)[0], rules, SearchSettings("puct", 30), EqualLeaves(rules))
    assert len({pool.choose(0, 1.0) for _ in range(60)}) >= 3
    assert {pool.choose(0, 0.0) for _ in range(10)} == {pool.choose(0, 0.0)}


def test_a_pool_refuses_more_simulations_than_it_has_room_for() -> None:
    rules = rules_for("square8_2p")
    pool = SearchPool(rules, 1, SearchSettings("puct", 4))
    with pytest.raises(ValueError, match=r"searches of 0\.\.4 simulations, got 5"):
        pool.start(
            np.zeros(1, np.int32), some_states("square8_2p", 1), np.full(1, 5, np.int32), np.zeros(1, np.bool_),
            np.zeros(1, np.uint64),
        )  # fmt: skip
