"""One simulation: down the tree to a new state, up again with its value.

`descend` stops at a state that needs an evaluation; `take_evaluation` continues when it has come. Between the two the
caller evaluates the waiting states of all games in one batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.engine.jit import kernel_decorator
from ringrift_loop.engine.kernels import apply_move
from ringrift_loop.engine.moves import SW, kind_of
from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import TO_PLAY, WINNER
from ringrift_loop.search.choice import SMALLEST_PRIOR, enter_visited, halving_edge, puct_edge, write_schedule
from ringrift_loop.search.forward import copy_state, play_to_choice, write_share
from ringrift_loop.search.randomness import gumbel
from ringrift_loop.search.trees import NO_NODE, NOT_SOUGHT, UNPROVEN, Trees

kernel = kernel_decorator(Path(__file__).parent)
allocating = kernel_decorator(Path(__file__).parent, allocates=True)

WAITS = 0
"""A state waits for its evaluation."""
FINISHED = 1
"""All simulations are done, or the root is proven."""
NO_ROOM = 2
"""The arrays of edges are too short; nothing was changed."""


@kernel
def plant(rules: Rules, trees: Trees, g: int, state: NDArray[np.int16], work: Any, moves: NDArray[np.int64]) -> int:
    """Make `state` [W] the root of tree g, waiting for its evaluation. Returns WAITS or NO_ROOM.

    The state must offer a choice: at least two legal moves.
    """
    trees.num_nodes[g] = 0
    trees.num_edges[g] = 0
    trees.simulations_done[g] = 0
    copy_state(state, trees.states[g, 0])
    count = play_to_choice(rules, trees.states[g, 0], work, moves)
    return _open_node(trees, g, NO_NODE, NO_NODE, count, moves)


@kernel
def replant(
    rules: Rules,
    trees: Trees,
    g: int,
    state: NDArray[np.int16],
    work: Any,
    moves: NDArray[np.int64],
    value: NDArray[np.float64],
    considered: int,
) -> int:
    """Do as `plant`, but keep the evaluations of what tree g holds below `state` if that is one move from its root.

    The search goes as it would from a new tree; where it comes to a kept state it need not wait. A root that is kept
    waits for nothing.
    """
    child = _child_with_state(trees, g, state)
    if child == NO_NODE:
        return plant(rules, trees, g, state, work, moves)
    _keep_below(trees, g, child)
    trees.waiting[g] = NO_NODE
    _begin(trees, g, considered)
    for seat in range(len(value)):
        value[seat] = trees.raw_values[g, 0, seat]
    back_up(trees, g, 0, value)
    trees.simulations_done[g] = 0
    return WAITS


@kernel
def _child_with_state(trees: Trees, g: int, state: NDArray[np.int16]) -> int:
    """Return the evaluated child of the root that has this state [W], or NO_NODE."""
    first, count = trees.first_edge[g, 0], trees.num_actions[g, 0]
    for edge in range(first, first + count):
        child = trees.children_index[g, edge]
        if child == NO_NODE or trees.node_visits[g, child] == 0 or trees.num_actions[g, child] == 0:
            continue
        place = 0
        while place < len(state) and trees.states[g, child, place] == state[place]:
            place += 1
        if place == len(state):
            return int(child)
    return NO_NODE


@allocating
def _keep_below(trees: Trees, g: int, root: int) -> None:
    """Make a node the root and keep what is below it, without visits and proofs, while there is room for a search."""
    first_edges = trees.first_edge[g, : trees.num_nodes[g]].copy()
    _move_to_front(trees, g, root, first_edges, np.full(trees.num_nodes[g], NO_NODE, np.int32))


@kernel
def _move_to_front(trees: Trees, g: int, root: int, first_edges: NDArray[np.int32], places: NDArray[np.int32]) -> None:
    """Move what is kept; `first_edges` [M] as they are, `places` [M] NO_NODE, scratch.

    Parents stand before their children, and edges in the order of their nodes: one pass moves everything to the front.
    """
    room = trees.states.shape[1] - trees.num_simulations[g]
    nodes, edges = 0, 0
    for node in range(root, trees.num_nodes[g]):
        parent, via = NO_NODE, NO_NODE
        if node != root:
            old = trees.parents[g, node]
            parent = places[old]
            if parent == NO_NODE or nodes == room or node == trees.waiting[g]:
                continue
            via = trees.first_edge[g, parent] + trees.edge_from_parent[g, node] - first_edges[old]
            trees.children_index[g, via] = nodes
        places[node] = nodes
        first, count = first_edges[node], trees.num_actions[g, node]
        for edge in range(count):
            trees.moves[g, edges + edge] = trees.moves[g, first + edge]
            trees.children_priors[g, edges + edge] = trees.children_priors[g, first + edge]
            trees.children_index[g, edges + edge] = NO_NODE
        copy_state(trees.states[g, node], trees.states[g, nodes])
        trees.parents[g, nodes] = parent
        trees.edge_from_parent[g, nodes] = via
        trees.first_edge[g, nodes] = edges
        trees.num_actions[g, nodes] = count
        for seat in range(trees.raw_values.shape[2]):
            trees.raw_values[g, nodes, seat] = trees.raw_values[g, node, seat]
        _clear_node(trees, g, nodes)
        nodes += 1
        edges += count
    trees.num_nodes[g] = nodes
    trees.num_edges[g] = edges


@kernel
def _clear_node(trees: Trees, g: int, node: int) -> None:
    """Take away what searches have found out about a node."""
    trees.node_visits[g, node] = 0
    for seat in range(trees.node_value_sums.shape[2]):
        trees.node_value_sums[g, node, seat] = 0.0
    trees.winner[g, node] = trees.states[g, node, WINNER]
    trees.first_child[g, node] = NO_NODE
    trees.best_unvisited[g, node] = NOT_SOUGHT


@kernel
def _open_node(trees: Trees, g: int, parent: int, via: int, count: int, moves: NDArray[np.int64]) -> int:
    """Enter the state that stands ready in the next free place as a node with `count` moves."""
    first = trees.num_edges[g]
    if first + count > trees.moves.shape[1]:
        return NO_ROOM
    node = trees.num_nodes[g]
    trees.num_nodes[g] += 1
    trees.num_edges[g] += count
    trees.first_edge[g, node] = first
    trees.num_actions[g, node] = count
    _clear_node(trees, g, node)
    trees.parents[g, node] = parent
    trees.edge_from_parent[g, node] = via
    for place in range(count):
        trees.moves[g, first + place] = moves[place]
        trees.children_index[g, first + place] = NO_NODE
    trees.waiting[g] = node
    if via != NO_NODE:
        trees.children_index[g, via] = node
    return WAITS


@kernel
def descend(
    rules: Rules,
    trees: Trees,
    g: int,
    work: Any,
    moves: NDArray[np.int64],
    value: NDArray[np.float64],
    c_puct: float,
    fpu: float,
    c_visit: float,
    c_scale: float,
) -> int:
    """Run simulations of tree g until a state waits for its evaluation or all are done; `value` [P] is scratch memory.

    Simulations that end in a finished or proven game need no evaluation and are backed up at once.
    """
    if trees.waiting[g] != NO_NODE:
        return WAITS
    while trees.simulations_done[g] < trees.num_simulations[g] and trees.winner[g, 0] == UNPROVEN:
        node = 0
        while True:
            if trees.winner[g, node] != UNPROVEN or trees.num_actions[g, node] == 0:
                write_share(trees.winner[g, node], value)
                back_up(trees, g, node, value)
                break
            if trees.node_visits[g, node] == 0:  # kept from the search before
                for seat in range(len(value)):
                    value[seat] = trees.raw_values[g, node, seat]
                back_up(trees, g, node, value)
                break
            if node == 0 and trees.halving[g] == 1:
                edge = halving_edge(trees, g, trees.considered_visits[g, trees.simulations_done[g]], c_visit, c_scale)
            else:
                edge = puct_edge(trees, g, node, c_puct, fpu)
            child = trees.children_index[g, edge]
            if child == NO_NODE:
                child = trees.num_nodes[g]
                copy_state(trees.states[g, node], trees.states[g, child])
                count = _step(rules, trees.states[g, child], work, trees.moves[g, edge], moves)
                if _open_node(trees, g, node, edge, count, moves) == NO_ROOM:
                    return NO_ROOM
                if count > 0:
                    return WAITS
                trees.waiting[g] = NO_NODE
            node = child
    return FINISHED


@kernel
def _step(rules: Rules, state: NDArray[np.int16], work: Any, move: int, moves: NDArray[np.int64]) -> int:
    apply_move(rules, state, work, move)
    return play_to_choice(rules, state, work, moves)


@kernel
def back_up(trees: Trees, g: int, node: int, value: NDArray[np.float64]) -> None:
    """Add a value [P] (consumed) to the node and all above it, and finish the simulation.

    A node whose mover has a move to a state proven for that mover is itself proven; from there on the proof is the
    value.
    """
    if trees.node_visits[g, node] == 0 and trees.parents[g, node] != NO_NODE:
        enter_visited(trees, g, node)
    while True:
        trees.node_visits[g, node] += 1
        for seat in range(trees.node_value_sums.shape[2]):
            trees.node_value_sums[g, node, seat] += value[seat]
        parent = trees.parents[g, node]
        if parent == NO_NODE:
            break
        swapped = kind_of(trees.moves[g, trees.edge_from_parent[g, node]]) == SW
        if swapped:
            value[0], value[1] = value[1], value[0]
        winner = trees.winner[g, node]
        if winner != UNPROVEN:
            if swapped:
                winner = 1 - winner
            if winner == trees.states[g, parent, TO_PLAY]:
                trees.winner[g, parent] = winner
        if trees.winner[g, parent] != UNPROVEN:
            write_share(trees.winner[g, parent], value)
        node = parent
    trees.simulations_done[g] += 1


@kernel
def take_evaluation(
    trees: Trees,
    g: int,
    logits: NDArray[np.float32],
    value: NDArray[np.float64],
    considered: int,
) -> None:
    """Give the waiting node of tree g its priors from logits [count] and its value [P] (consumed), and back it up.

    The root's evaluation is no simulation; with it the search begins.
    """
    node = trees.waiting[g]
    trees.waiting[g] = NO_NODE
    first, count = trees.first_edge[g, node], trees.num_actions[g, node]
    top = -np.inf
    for place in range(count):
        top = max(top, float(logits[place]))
    total = 0.0
    for place in range(count):
        trees.children_priors[g, first + place] = np.exp(float(logits[place]) - top)
        total += trees.children_priors[g, first + place]
    for place in range(count):
        trees.children_priors[g, first + place] /= total
    for seat in range(trees.node_value_sums.shape[2]):
        trees.raw_values[g, node, seat] = value[seat]
    if node == 0:
        _begin(trees, g, considered)
    back_up(trees, g, node, value)
    if node == 0:
        trees.simulations_done[g] = 0


@kernel
def _begin(trees: Trees, g: int, considered: int) -> None:
    """Draw the noise of the root's moves and lay out the halving."""
    if trees.halving[g] == 1:
        count = trees.num_actions[g, 0]
        for place in range(count):
            noise = trees.gumbel_scale[g] * gumbel(trees.random[g : g + 1]) if trees.gumbel_scale[g] > 0 else 0.0
            trees.root_logits[g, place] = noise + np.log(max(float(trees.children_priors[g, place]), SMALLEST_PRIOR))
        write_schedule(trees.considered_visits[g], min(considered, count), trees.num_simulations[g])
