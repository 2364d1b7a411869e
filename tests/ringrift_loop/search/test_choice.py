"""A tree worked out by hand: a root with the moves A (prior .5, two visits), B (.3, one visit) and C (.2, none)."""

from __future__ import annotations

import numpy as np
import pytest

from ringrift_loop.engine.moves import MV, SW, pack
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.state import TO_PLAY
from ringrift_loop.search.choice import (
    edge_value,
    edge_visits,
    enter_visited,
    halving_edge,
    mixed_value,
    puct_edge,
    write_improved_policy,
    write_schedule,
)
from ringrift_loop.search.descent import back_up
from ringrift_loop.search.pool_kernels import read_root
from ringrift_loop.search.trees import NO_NODE, NOT_SOUGHT, UNPROVEN, Trees, make_trees

A, B, C = 0, 1, 2


@pytest.fixture
def tree() -> Trees:
    """Root: own value .6, four evaluations of .6 on average. A: Q = .8. B: Q = .2. Seat 1 (index 0) is to move."""
    trees = make_trees(rules_for("square8_2p"), 1, 8)
    trees.num_nodes[0], trees.num_edges[0], trees.num_simulations[0], trees.simulations_done[0] = 3, 3, 8, 3
    trees.states[0, :, TO_PLAY] = [0] + [1] * 8
    trees.first_edge[0, 0], trees.num_actions[0, 0] = 0, 3
    trees.node_visits[0, :3] = [4, 2, 1]
    trees.raw_values[0, 0] = [0.6, 0.4]
    trees.node_value_sums[0, :3] = [[2.4, 1.6], [1.6, 0.4], [0.2, 0.8]]
    trees.winner[0, :3] = UNPROVEN
    trees.parents[0, :3] = [NO_NODE, 0, 0]
    trees.edge_from_parent[0, :3] = [NO_NODE, A, B]
    trees.moves[0, :3] = [pack(MV, 1, 2, 0, 0), pack(MV, 1, 3, 0, 0), pack(MV, 1, 4, 0, 0)]
    trees.children_priors[0, :3] = [0.5, 0.3, 0.2]
    trees.children_index[0, :3] = [1, 2, NO_NODE]
    enter_visited(trees, 0, 2)
    enter_visited(trees, 0, 1)
    trees.root_logits[0, :3] = np.log(trees.children_priors[0, :3])
    return trees


def test_puct_takes_the_best_value_when_exploration_is_weak(tree: Trees) -> None:
    # A .8 + 2.2 x .5 / 3 = 1.167; B .2 + 2.2 x .3 / 2 = .53; C (.6 - .2 x sqrt(.8)) + 2.2 x .2 = .861
    assert puct_edge(tree, 0, 0, 1.1, 0.2) == A


def test_puct_takes_the_unvisited_move_when_exploration_is_strong(tree: Trees) -> None:
    # A .8 + 20 x .5 / 3 = 4.13; B .2 + 20 x .3 / 2 = 3.2; C .421 + 20 x .2 = 4.42
    assert puct_edge(tree, 0, 0, 10.0, 0.2) == C


def test_first_play_urgency_decides_between_a_seen_and_an_unseen_move(tree: Trees) -> None:
    tree.node_value_sums[0, 1] = [1.0, 1.0]  # A: Q = .5; the node's value stays .6
    assert puct_edge(tree, 0, 0, 0.0, 0.0) == C
    assert puct_edge(tree, 0, 0, 0.0, 0.2) == A


def test_an_inner_node_maximises_the_share_of_its_own_mover(tree: Trees) -> None:
    # Below A seat 2 moves: D is worth .9 to seat 1 and .1 to seat 2, E the other way round.
    d, e = 3, 4
    tree.first_edge[0, 1], tree.num_actions[0, 1] = d, 2
    tree.moves[0, d : e + 1] = [pack(MV, 1, 5, 0, 0), pack(MV, 1, 6, 0, 0)]
    tree.children_priors[0, d : e + 1] = 0.5
    tree.children_index[0, d : e + 1] = [3, 4]
    tree.parents[0, 3:5], tree.edge_from_parent[0, 3:5] = 1, [d, e]
    enter_visited(tree, 0, 3)
    enter_visited(tree, 0, 4)
    tree.node_visits[0, 3:5] = 1
    tree.node_value_sums[0, 3:5] = [[0.9, 0.1], [0.1, 0.9]]
    tree.winner[0, 3:5] = UNPROVEN
    assert puct_edge(tree, 0, 1, 1.1, 0.2) == e


def test_a_model_that_gives_no_numbers_is_still_answered_with_a_move(tree: Trees) -> None:
    tree.children_priors[0, :3], tree.root_logits[0, :3] = np.nan, np.nan
    tree.children_index[0, :3], tree.first_child[0, 0], tree.best_unvisited[0, 0] = NO_NODE, NO_NODE, NOT_SOUGHT
    assert puct_edge(tree, 0, 0, 1.1, 0.2) == A
    tree.halving[0], tree.best_unvisited[0, 0] = 1, NOT_SOUGHT
    assert halving_edge(tree, 0, 0, 50.0, 1.0) == A


def plain_puct_edge(tree: Trees, node: int, c_puct: float, fpu: float) -> int:
    """The rule over all moves of the node, as `puct_edge` would be without lists of visited nodes."""
    seat, visits = tree.states[0, node, TO_PLAY], tree.node_visits[0, node]
    first = tree.first_edge[0, node]
    edges = range(first, first + tree.num_actions[0, node])
    seen = [edge for edge in edges if edge_visits(tree, 0, edge) > 0]
    urgency = tree.node_value_sums[0, node, seat] / visits - fpu * np.sqrt(sum(tree.children_priors[0, seen].tolist()))

    def score(edge: int) -> float:
        value = edge_value(tree, 0, edge, seat) if edge in seen else urgency
        prior = float(tree.children_priors[0, edge])
        return float(value + c_puct * np.sqrt(visits) * prior / (1 + edge_visits(tree, 0, edge)))

    return max(edges, key=score)


@pytest.mark.parametrize("seed", range(5))
def test_lists_of_visited_nodes_choose_what_all_moves_would(seed: int) -> None:
    """A root of 40 moves visited one after the other, half of them kept from an earlier search, equal priors among."""
    random, moves, visits = np.random.default_rng(seed), 40, 120
    tree = make_trees(rules_for("square8_2p"), 1, moves)
    tree.num_nodes[0], tree.first_edge[0, 0], tree.num_actions[0, 0] = 1, 0, moves
    tree.states[0, 0, TO_PLAY], tree.winner[0, 0], tree.node_visits[0, 0] = 0, UNPROVEN, 1
    tree.parents[0, 0], tree.node_value_sums[0] = NO_NODE, 0.0
    tree.node_value_sums[0, 0] = 0.5
    tree.moves[0, :moves] = pack(MV, 1, 2, 0, 0)
    priors = np.round(random.dirichlet(np.full(moves, 0.3)), 3).astype(np.float32)
    tree.children_priors[0, :moves], tree.children_index[0, :moves] = priors, NO_NODE

    def open_node(edge: int) -> int:
        node = tree.num_nodes[0]
        tree.num_nodes[0] += 1
        tree.parents[0, node], tree.edge_from_parent[0, node], tree.winner[0, node] = 0, edge, UNPROVEN
        tree.children_index[0, edge] = node
        return int(node)

    for kept in random.permutation(moves)[: moves // 2]:
        open_node(int(kept))
    taken = set()
    for _ in range(visits):
        edge = puct_edge(tree, 0, 0, 1.1, 0.2)
        assert edge == plain_puct_edge(tree, 0, 1.1, 0.2)
        taken.add(edge)
        node = int(tree.children_index[0, edge])
        share = random.uniform(0.3, 0.7)
        back_up(tree, 0, open_node(edge) if node == NO_NODE else node, np.array([share, 1.0 - share]))
    assert len(taken) > 7


def test_a_proven_child_counts_its_result_whatever_its_mean(tree: Trees) -> None:
    tree.winner[0, 1] = 1
    assert edge_value(tree, 0, A, 0) == 0.0
    assert edge_value(tree, 0, A, 1) == 1.0


def test_after_a_swap_of_sides_the_mover_owns_the_other_seat(tree: Trees) -> None:
    tree.states[0, 0, TO_PLAY] = 1
    tree.moves[0, A] = pack(SW, 0, 0, 0, 0)
    assert edge_value(tree, 0, A, 1) == pytest.approx(0.8)  # seat 1's share, which is the swapper's now
    tree.winner[0, 1] = 0
    assert edge_value(tree, 0, A, 1) == 1.0


def test_unvisited_moves_get_the_mixed_value(tree: Trees) -> None:
    # (.6 + 3 x (.5 x .8 + .3 x .2) / .8) / 4
    assert mixed_value(tree, 0, 0) == pytest.approx(0.58125)


def test_improved_policy_is_the_softmax_of_prior_and_completed_value(tree: Trees) -> None:
    policy = np.empty(3, np.float32)
    write_improved_policy(tree, 0, 50.0, 1 / 52, policy)  # sigma(q) = (50 + 2) x q / 52 = q
    # .5 e^.8 = 1.11277, .3 e^.2 = .36642, .2 e^.58125 = .35765
    assert policy == pytest.approx([0.60581, 0.19948, 0.19471], abs=1e-4)


def test_the_roots_value_is_that_of_the_improved_policy(tree: Trees) -> None:
    visits, values, policy, value = np.zeros(3, np.int32), np.zeros(3), np.zeros(3, np.float32), np.zeros(2)
    read_root(tree, 0, 50.0, 1 / 52, visits, values, policy, value)
    # .60581 x .8 + .19948 x .2 + .19471 x .58125, not the mean .6
    assert value == pytest.approx([0.63772, 0.36228], abs=1e-4)


def test_halving_takes_the_best_move_with_the_wanted_visits(tree: Trees) -> None:
    assert halving_edge(tree, 0, 0, 50.0, 1.0) == C
    assert halving_edge(tree, 0, 1, 50.0, 1.0) == B
    assert halving_edge(tree, 0, 2, 50.0, 1.0) == A
    assert halving_edge(tree, 0, 7, 50.0, 1.0) == A  # nobody has 7 visits: the nearest lower number


def test_luck_decides_among_moves_with_equal_visits(tree: Trees) -> None:
    tree.halving[0] = 1
    tree.children_index[0, :3], tree.first_child[0, 0] = NO_NODE, NO_NODE
    assert halving_edge(tree, 0, 0, 50.0, 1.0) == A
    tree.best_unvisited[0, 0] = NOT_SOUGHT
    tree.root_logits[0, C] += 1.0  # ln .2 + 1 = -.61 against ln .5 = -.69
    assert halving_edge(tree, 0, 0, 50.0, 1.0) == C


@pytest.mark.parametrize(
    ("considered", "expected"),
    [
        (4, [0, 0, 0, 0, 1, 1, 2, 2]),  # four moves once, the better two twice more
        (3, [0, 0, 0, 1, 1, 2, 2, 3]),
        (2, [0, 0, 1, 1, 2, 2, 3, 3]),
        (16, [0] * 8),  # fewer simulations than moves: the eight best by prior, once each
        (1, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_schedule_gives_each_round_the_same_number_of_simulations(considered: int, expected: list[int]) -> None:
    schedule = np.full(8, -1, np.int32)
    write_schedule(schedule, considered, 8)
    assert schedule.tolist() == expected


def test_backing_up_adds_the_value_to_every_node_above(tree: Trees) -> None:
    back_up(tree, 0, 2, np.array([0.3, 0.7]))
    assert tree.node_visits[0, :3].tolist() == [5, 2, 2]
    assert tree.node_value_sums[0, 2].tolist() == pytest.approx([0.5, 1.5])
    assert tree.node_value_sums[0, 0].tolist() == pytest.approx([2.7, 2.3])
    assert tree.simulations_done[0] == 4


def test_a_win_for_the_mover_proves_the_node_above_and_replaces_the_value(tree: Trees) -> None:
    tree.winner[0, 2] = 0
    back_up(tree, 0, 2, np.array([1.0, 0.0]))
    assert tree.winner[0, 0] == 0
    assert tree.node_value_sums[0, 0].tolist() == pytest.approx([3.4, 1.6])


def test_a_loss_of_the_mover_proves_nothing_above(tree: Trees) -> None:
    tree.winner[0, 2] = 1
    back_up(tree, 0, 2, np.array([0.0, 1.0]))
    assert tree.winner[0, 0] == UNPROVEN


def test_a_swap_on_the_way_up_exchanges_the_seats(tree: Trees) -> None:
    tree.states[0, 0, TO_PLAY] = 1
    tree.moves[0, B] = pack(SW, 0, 0, 0, 0)
    back_up(tree, 0, 2, np.array([0.9, 0.1]))
    assert tree.node_value_sums[0, 0].tolist() == pytest.approx([2.5, 2.5])
    tree.winner[0, 2] = 0
    back_up(tree, 0, 2, np.array([1.0, 0.0]))
    assert tree.winner[0, 0] == 1  # seat 2 swaps into the winning seat 1
