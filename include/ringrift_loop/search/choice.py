"""Which move a descent takes: PUCT inside the tree, sequential halving at a Gumbel root.

PUCT: Rosin 2011 in the form of AlphaZero, with a first-play urgency below the node's value (as in Leela Chess Zero).
Gumbel: Danihelka, Guez, Schrittwieser, Silver, "Policy improvement by planning with Gumbel", ICLR 2022; equation
numbers are theirs. All kernels take the trees and a game's place `g` in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.moves import SW, kind_of
from ringrift_loop.engine.state import TO_PLAY
from ringrift_loop.search.trees import NO_NODE, NOT_SOUGHT, UNPROVEN, Trees

kernel = kernel_decorator(Path(__file__).parent)

SMALLEST_PRIOR = 1e-9


@kernel
def edge_value(trees: Trees, g: int, edge: int, seat: int) -> float:
    """Return the mean value of a visited edge for the seat that moves: exact where the child is proven."""
    node = trees.children_index[g, edge]
    if kind_of(trees.moves[g, edge]) == SW:
        seat = 1 - seat  # after the swap this person sits in the other seat
    if trees.winner[g, node] != UNPROVEN:
        return 1.0 if trees.winner[g, node] == seat else 0.0
    return float(trees.node_value_sums[g, node, seat] / trees.node_visits[g, node])


@kernel
def edge_visits(trees: Trees, g: int, edge: int) -> int:
    """Return how often the edge has been taken."""
    node = trees.children_index[g, edge]
    return 0 if node == NO_NODE else int(trees.node_visits[g, node])


@kernel
def puct_edge(trees: Trees, g: int, node: int, c_puct: float, fpu: float) -> int:
    """Return the edge with the largest Q + c_puct * prior * sqrt(N) / (1 + n); the first of equals.

    Of the unvisited edges, most of them, only the one with the largest prior can be it.
    """
    seat = trees.states[g, node, TO_PLAY]
    seen = 0.0
    child = trees.first_child[g, node]
    while child != NO_NODE:
        seen += trees.children_priors[g, trees.edge_from_parent[g, child]]
        child = trees.next_sibling[g, child]
    reach = c_puct * np.sqrt(float(trees.node_visits[g, node]))
    best, best_score = first_unvisited(trees, g, node), -np.inf
    if best != NO_NODE:
        urgency = trees.node_value_sums[g, node, seat] / trees.node_visits[g, node] - fpu * np.sqrt(seen)
        best_score = urgency + reach * trees.children_priors[g, best]
    child = trees.first_child[g, node]
    if best == NO_NODE:
        best = trees.edge_from_parent[g, child]  # a move even where no score is a number
    while child != NO_NODE:
        edge = trees.edge_from_parent[g, child]
        score = edge_value(trees, g, edge, seat)
        score += reach * trees.children_priors[g, edge] / (1 + trees.node_visits[g, child])
        if score > best_score or (score == best_score and edge < best):
            best, best_score = edge, score
        child = trees.next_sibling[g, child]
    return int(best)


@kernel
def first_unvisited(trees: Trees, g: int, node: int) -> int:
    """Return the unvisited edge with the largest prior, at a root that halves with the largest `root_logits`.

    The first of equals; NO_NODE if every edge has been visited.
    """
    if trees.best_unvisited[g, node] == NOT_SOUGHT:
        weights = trees.root_logits if node == 0 and trees.halving[g] == 1 else trees.children_priors
        best, most = NO_NODE, -np.inf
        for edge in range(trees.first_edge[g, node], trees.first_edge[g, node] + trees.num_actions[g, node]):
            if (best == NO_NODE or weights[g, edge] > most) and edge_visits(trees, g, edge) == 0:
                best, most = edge, weights[g, edge]
        trees.best_unvisited[g, node] = best
    return int(trees.best_unvisited[g, node])


@kernel
def enter_visited(trees: Trees, g: int, node: int) -> None:
    """Put a node that is about to get its first visit among the visited ones of its parent."""
    parent, edge = trees.parents[g, node], trees.edge_from_parent[g, node]
    trees.best_unvisited[g, parent] = NOT_SOUGHT
    before, after = NO_NODE, trees.first_child[g, parent]
    while after != NO_NODE and trees.edge_from_parent[g, after] < edge:
        before, after = after, trees.next_sibling[g, after]
    trees.next_sibling[g, node] = after
    if before == NO_NODE:
        trees.first_child[g, parent] = node
    else:
        trees.next_sibling[g, before] = node


@kernel
def write_schedule(out: NDArray[np.int32], considered: int, simulations: int) -> None:
    """Write the visits that the root move of each simulation must have had before it, so that the field halves.

    Rounds of equal length: in each, every remaining move gets the same number of visits; then the better half goes on
    (algorithm 2). Asking for a number of visits instead of keeping a list of survivors leaves the choice to the scores.
    """
    rounds = 1
    while 1 << rounds < considered:
        rounds += 1
    field, base, written = considered, 0, 0
    while written < simulations:
        each = max(1, simulations // (rounds * field))
        for visit in range(base, base + each):
            for _ in range(field):
                if written < simulations:
                    out[written] = visit
                    written += 1
        base += each
        field = max(2, field // 2) if considered > 1 else 1


@kernel
def mixed_value(trees: Trees, g: int, seat: int) -> float:
    """Return the value of the root's unvisited moves: its own evaluation mixed with the visited ones' (eq. 33)."""
    visits, weight, value = 0, 0.0, 0.0
    child = trees.first_child[g, 0]
    while child != NO_NODE:
        edge = trees.edge_from_parent[g, child]
        prior = max(float(trees.children_priors[g, edge]), SMALLEST_PRIOR)
        visits += trees.node_visits[g, child]
        weight += prior
        value += prior * edge_value(trees, g, edge, seat)
        child = trees.next_sibling[g, child]
    own = float(trees.raw_values[g, 0, seat])
    return own if visits == 0 else (own + visits * value / weight) / (1 + visits)


@kernel
def most_visits(trees: Trees, g: int) -> int:
    """Return the number of visits of the root's most visited move."""
    most = 0
    child = trees.first_child[g, 0]
    while child != NO_NODE:
        most = max(most, int(trees.node_visits[g, child]))
        child = trees.next_sibling[g, child]
    return most


@kernel
def halving_edge(trees: Trees, g: int, wanted: int, c_visit: float, c_scale: float) -> int:
    """Return the root edge with `wanted` visits that has the largest Gumbel noise + log prior + sigma(Q) (eq. 8).

    If no edge has that many visits (fewer moves than the schedule has places for), the nearest lower number counts.
    """
    seat = trees.states[g, 0, TO_PLAY]
    sigma = (c_visit + most_visits(trees, g)) * c_scale
    best, best_visits, best_score = first_unvisited(trees, g, 0), 0, -np.inf
    child = trees.first_child[g, 0]
    while child != NO_NODE:
        edge, visits = trees.edge_from_parent[g, child], trees.node_visits[g, child]
        child = trees.next_sibling[g, child]
        if visits > wanted or visits < best_visits:
            continue
        score = float(trees.root_logits[g, edge]) + sigma * edge_value(trees, g, edge, seat)
        if visits > best_visits or score > best_score:
            best, best_visits, best_score = edge, visits, score
    return int(best)


@kernel
def write_improved_policy(trees: Trees, g: int, c_visit: float, c_scale: float, out: NDArray[np.float32]) -> None:
    """Write the policy target, softmax(log prior + sigma(completed Q)) of the root's moves (eq. 11)."""
    seat = trees.states[g, 0, TO_PLAY]
    first, count = trees.first_edge[g, 0], trees.num_actions[g, 0]
    sigma = (c_visit + most_visits(trees, g)) * c_scale
    unseen = mixed_value(trees, g, seat)
    top = -np.inf
    for place in range(count):
        edge = first + place
        value = edge_value(trees, g, edge, seat) if edge_visits(trees, g, edge) > 0 else unseen
        out[place] = np.log(max(float(trees.children_priors[g, edge]), SMALLEST_PRIOR)) + sigma * value
        top = max(top, float(out[place]))
    total = 0.0
    for place in range(count):
        out[place] = np.exp(out[place] - top)
        total += out[place]
    for place in range(count):
        out[place] /= total
