"""The heuristic's counts told cell by cell and ray by ray, in plain Python: what search/tally.py is compared with."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ringrift_loop.engine.rules import Rules
from ringrift_loop.engine.state import CELLS, COLLAPSED, MARKER, STACK
from ringrift_loop.search.tally import COUNTS


def plain_counts(rules: Rules, row: Any) -> list[list[int]]:
    """The counts of every seat in the order of COUNTS."""
    s, board = row.tolist(), rules.board
    counts: list[Counter[str]] = [Counter() for _ in range(rules.players)]
    step = board.step[: board.num_dirs].tolist()
    for cell in range(board.num_cells):
        if s[CELLS + cell] == STACK:
            _add_stack(rules, s, step, cell, counts)
    for axis in board.axis_fwd[: board.num_axes].tolist():
        for start in range(board.num_cells):
            _add_window(rules, s, step[axis], start, counts)
    return [[count[name] for name in COUNTS] for count in counts]


def _add_stack(rules: Rules, s: list[int], step: list[list[int]], cell: int, counts: list[Counter[str]]) -> None:
    seat, height, cap = s[rules.owner + cell], s[rules.height + cell], s[rules.cap + cell]
    counts[seat]["caps"] += cap
    counts[seat]["held"] += height - cap
    ring = s[rules.top + cell]
    for depth in range(height):
        owner = ring // rules.rings_per_seat
        if depth >= cap and owner != seat:
            counts[owner]["buried"] += 1
        ring = s[rules.below + ring]
    for ray in step:
        distance, there = 1, ray[cell]
        while there >= 0 and s[CELLS + there] not in (STACK, COLLAPSED):
            distance, there = distance + 1, ray[there]
        counts[seat]["mobility"] += distance > height
        if there < 0 or s[CELLS + there] != STACK or s[rules.cap + there] > cap or s[rules.owner + there] == seat:
            continue
        landing = ray[there]
        while landing >= 0 and s[CELLS + landing] not in (STACK, COLLAPSED):
            distance += 1
            if distance >= height:
                counts[seat]["captures"] += 1
                counts[s[rules.owner + there]]["threatened"] += 1
                break
            landing = ray[landing]


def _add_window(rules: Rules, s: list[int], step: list[int], start: int, counts: list[Counter[str]]) -> None:
    window = [start]
    while len(window) < rules.line_length and step[window[-1]] >= 0:
        window.append(step[window[-1]])
    if len(window) < rules.line_length or any(s[CELLS + cell] in (STACK, COLLAPSED) for cell in window):
        return
    for seat, count in enumerate(counts):
        own = sum(s[CELLS + cell] == MARKER and s[rules.owner + cell] == seat for cell in window)
        lacking = rules.line_length - own
        if lacking < 3:
            count[("lines_ready", "lines_near", "lines_far")[lacking]] += 1
