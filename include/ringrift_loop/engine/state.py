"""The layout of a state: one int16 row that is copied with `dst[:] = src`.

A row has a header (below), then seven fields of one number a cell, then one field of one number a ring. The header and
the place of the first cell field are the same for every variant; the other offsets stand in `Rules` (`rules.owner +
cell`, ...), because they depend on the number of cells. Seats count from 0 here and from 1 in every text.
"""

from __future__ import annotations

from typing import Final

PHASE: Final = 0
"""One of the phases below."""
TO_PLAY: Final = 1
"""Seat to move; the winner once the game is over."""
WINNER: Final = 2
"""Winning seat, -1 while there is none."""
RESULT: Final = 3
"""How the game ended, one of the results below."""
MUST_MOVE: Final = 4
"""Cell of the stack that got a ring this turn, the only one that may move; else -1."""
ATTACKER: Final = 5
"""Landing cell of the stack that just moved or captured, in the capture phases; else -1."""
OWES_LINE: Final = 6
"""1 while a ring is owed for a collapsed line."""
OWES_REGION: Final = 7
"""1 while the price of a collapsed region is owed; the region's cells are marked in the `region` field."""
ACTED: Final = 8
"""1 once the seat has changed the board this turn."""
RECOVERED: Final = 9
"""1 once the seat has played a recovery slide this turn."""
LPS_FIRST: Final = 10
"""Last player standing: seat at whose turn a round begins, -1 before the first tracked turn."""
LPS_MASK: Final = 11
"""Bit per seat: it had a real action when its turn began."""
LPS_SEEN: Final = 12
"""Bit per seat: its turn began in this round."""
LPS_LEAD: Final = 13
"""The seat that alone had real actions in the last full rounds, -1 if there is none."""
LPS_COUNT: Final = 14
"""How many rounds in a row it did."""
PLY: Final = 15
"""Moves played."""
SWAP: Final = 16
"""Pie rule: 0 not available, 1 may still come, 2 done (the two people have exchanged seats)."""
TURN: Final = 17
"""The turn that is being played, from 1; each seat's turn counts."""

# One number a seat, four places each.
HAND: Final = 20
"""Rings in hand."""
ELIM: Final = 24
"""Eliminated rings credited to the seat, whoever owned them."""
TERR: Final = 28
"""Collapsed cells of the seat."""
STACKS: Final = 32
"""Stacks it controls."""
MARKERS: Final = 36
"""Its markers on the board."""
ON_BOARD: Final = 40
"""Its own rings in any stack."""
LOST_AT: Final = 44
"""Turn in which its last ring left hand and board, -1 while it has one (rules, section 15.1)."""

CELLS: Final = 48
"""Where the cell fields begin: kind, owner, height, cap, top, bottom, region; then the ring field `below`."""

LPS_ROUNDS: Final = 3
"""Rounds that a last standing seat needs (rules, section 14)."""

# Phases, in the order of a turn.
RING_PLACEMENT: Final = 0
MOVEMENT: Final = 1
CAPTURE: Final = 2
CHAIN_CAPTURE: Final = 3
LINE_PROCESSING: Final = 4
TERRITORY_PROCESSING: Final = 5
FORCED_ELIMINATION: Final = 6
GAME_OVER: Final = 7

# Results; 0 before the end.
BY_ELIMINATION: Final = 1
BY_TERRITORY: Final = 2
BY_SOLE_SURVIVOR: Final = 3
BY_STALEMATE: Final = 4
BY_LPS: Final = 5
TRUNCATED: Final = 6

# Kinds of cell.
EMPTY: Final = 0
MARKER: Final = 1
STACK: Final = 2
COLLAPSED: Final = 3
