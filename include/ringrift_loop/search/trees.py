"""The memory of many searches at once: one tree per game, in flat arrays that are allocated once.

A node is a state in which the seat to move has a choice, or a finished game; single-choice states are played through
on the way. A node's edges are its legal moves, in the engine's order, contiguous from `first_edge`. An edge leads to
one node, so visits and values stand in the child. Values are the share of the win per *seat* (max^n: each node
maximises its own mover's component); only a swap of sides changes who sits where (`descent.back_up`). An array that
mctx has too goes by its name there. Open descent.py next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.rules import Rules

NO_NODE = -1
"""No child yet; nothing waits for its evaluation."""
NOT_USED = -1
NOT_SOUGHT = -2
UNPROVEN = -1
"""In `winner`: nobody has been shown to win from here."""

TYPICAL_MOVES = 3
"""Edges per node and cell that the arrays start with: a placement's three counts. Untouched memory costs nothing."""


class Trees(NamedTuple):
    """G trees of at most M nodes and E edges; S simulations, P seats, W numbers a state."""

    num_nodes: NDArray[np.int32]
    """[G] nodes in use."""
    num_edges: NDArray[np.int32]
    """[G] edges in use."""
    num_simulations: NDArray[np.int32]
    """[G] simulations wanted; NOT_USED for a tree without a search."""
    simulations_done: NDArray[np.int32]
    """[G] simulations finished."""
    status: NDArray[np.int8]
    """[G] what descending has said of the search: `descent.WAITS`, also before it has begun, or `descent.FINISHED`."""
    waiting: NDArray[np.int32]
    """[G] the node that waits for its evaluation, or NO_NODE."""
    halving: NDArray[np.int8]
    """[G] 1 for sequential halving at the root, 0 for PUCT."""
    gumbel_scale: NDArray[np.float32]
    """[G] scale of the Gumbel noise at the root."""
    random: NDArray[np.uint64]
    """[G] state of the tree's own random numbers."""
    considered_visits: NDArray[np.int32]
    """[G, S] sequential halving: how many visits the root move of each simulation must have had."""
    states: NDArray[np.int16]
    """[G, M, W]."""
    first_edge: NDArray[np.int32]
    """[G, M] the edge of the first legal move; the others follow it."""
    num_actions: NDArray[np.int32]
    """[G, M] legal moves; 0 once the game is over."""
    node_visits: NDArray[np.int32]
    """[G, M] evaluations at or below the node; 0 until its own has arrived, or is used if the search before made it."""
    node_value_sums: NDArray[np.float64]
    """[G, M, P] sum of those evaluations."""
    raw_values: NDArray[np.float32]
    """[G, M, P] the node's own evaluation."""
    winner: NDArray[np.int8]
    """[G, M] the seat that is proven to win, or UNPROVEN."""
    parents: NDArray[np.int32]
    """[G, M] the node above; NO_NODE for the root."""
    edge_from_parent: NDArray[np.int32]
    """[G, M] the edge that leads here; NO_NODE for the root."""
    first_child: NDArray[np.int32]
    """[G, M] the visited node at the end of the first edge that leads to one; NO_NODE if none does."""
    next_sibling: NDArray[np.int32]
    """[G, M] the next visited node below the same parent, in the order of edges, or NO_NODE."""
    best_unvisited: NDArray[np.int32]
    """[G, M] what `choice.first_unvisited` returns, or NOT_SOUGHT."""
    moves: NDArray[np.int64]
    """[G, E] the move that each edge plays."""
    children_priors: NDArray[np.float32]
    """[G, E] probabilities that sum to 1 over a node."""
    children_index: NDArray[np.int32]
    """[G, E] the node that each edge leads to, or NO_NODE."""
    root_logits: NDArray[np.float32]
    """[G, E] sequential halving: log priors of the root's edges with their Gumbel noise."""


def make_trees(rules: Rules, games: int, simulations: int, *, kept: int = 0) -> Trees:
    """Return memory for `games` trees of at most `simulations` descents each, and `kept` nodes of searches before."""
    nodes = simulations + 1 + kept
    edges = nodes * TYPICAL_MOVES * rules.board.num_cells
    seats = rules.players
    return Trees(
        num_nodes=np.zeros(games, np.int32),
        num_edges=np.zeros(games, np.int32),
        num_simulations=np.full(games, NOT_USED, np.int32),
        simulations_done=np.zeros(games, np.int32),
        status=np.zeros(games, np.int8),
        waiting=np.full(games, NO_NODE, np.int32),
        halving=np.zeros(games, np.int8),
        gumbel_scale=np.zeros(games, np.float32),
        random=np.zeros(games, np.uint64),
        considered_visits=np.zeros((games, simulations), np.int32),
        states=np.empty((games, nodes, rules.width), np.int16),
        first_edge=np.empty((games, nodes), np.int32),
        num_actions=np.zeros((games, nodes), np.int32),
        node_visits=np.zeros((games, nodes), np.int32),
        node_value_sums=np.empty((games, nodes, seats), np.float64),
        raw_values=np.empty((games, nodes, seats), np.float32),
        winner=np.empty((games, nodes), np.int8),
        parents=np.empty((games, nodes), np.int32),
        edge_from_parent=np.empty((games, nodes), np.int32),
        first_child=np.full((games, nodes), NO_NODE, np.int32),
        next_sibling=np.full((games, nodes), NO_NODE, np.int32),
        best_unvisited=np.full((games, nodes), NOT_SOUGHT, np.int32),
        moves=np.empty((games, edges), np.int64),
        children_priors=np.empty((games, edges), np.float32),
        children_index=np.empty((games, edges), np.int32),
        root_logits=np.empty((games, edges), np.float32),
    )


def with_more_edges(trees: Trees, needed: int) -> Trees:
    """Return the same trees with room for at least `needed` edges each; the arrays of edges are copied."""
    games, present = trees.moves.shape
    edges = max(needed, 2 * present)
    grown = {}
    for name in ("moves", "children_priors", "children_index", "root_logits"):
        old = getattr(trees, name)
        new = np.empty((games, edges), old.dtype)
        new[:, :present] = old
        grown[name] = new
    return trees._replace(**grown)
