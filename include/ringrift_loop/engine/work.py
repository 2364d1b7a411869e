"""The kernels' scratch memory: one record a thread, never shared, never part of a state."""

from __future__ import annotations

from typing import Any

import numpy as np

from ringrift_loop.engine.rules import MAX_CELLS, MAX_SIDE, Rules

MAX_RUNS = MAX_SIDE * (MAX_SIDE // 2 + 1)
"""Runs of set bits in a mask of rows: at most every other cell of each row."""

MAX_REGIONS = 5 * (MAX_CELLS // 2 + 1)
"""Regions of one state: components touch each other nowhere, four border colours and the rule without one."""

_ROWS = (np.int32, (MAX_SIDE,))

WORK_DTYPE = np.dtype(
    [
        ("payers", np.int16, (MAX_CELLS,)),
        # Masks: one integer a row of the board's grid, bit = column.
        ("markers", np.int32, (4, MAX_SIDE)),
        ("stacks", np.int32, (4, MAX_SIDE)),
        ("ground", *_ROWS),
        ("payable", *_ROWS),
        ("open", *_ROWS),
        ("mask", *_ROWS),
        # The runs of the last mask that was split, and sums over each component, kept at its first run.
        ("run_bits", np.int32, (MAX_RUNS,)),
        ("run_row", np.int16, (MAX_RUNS,)),
        ("run_root", np.int16, (MAX_RUNS,)),
        ("size", np.int16, (MAX_RUNS,)),
        ("owners", np.int16, (MAX_RUNS,)),
        ("inside", np.int16, (MAX_RUNS,)),
        # The regions found.
        ("region_cell", np.int16, (MAX_REGIONS,)),
        ("region_size", np.int16, (MAX_REGIONS,)),
        ("region_colour", np.int16, (MAX_REGIONS,)),
        ("region_rows", np.int32, (MAX_REGIONS, MAX_SIDE)),
    ],
    align=True,
)
"""`ground` holds the collapsed cells, `payable` the stacks that can pay for a region, `open` the cells being split;
`inside` counts the payable stacks of a component, `owners` has a bit for every seat that controls one of its stacks."""


def make_work(rules: Rules) -> Any:
    """Return scratch memory for one thread, good for any variant."""
    del rules  # one size serves all; the argument keeps the call alike for every kernel
    return np.zeros(1, WORK_DTYPE)[0]
