"""A move is one int64: a kind and up to four numbers of ten bits (cells, counts).

    kind | a << 8 | b << 18 | c << 28 | d << 38

What the numbers mean stands beside each kind. The text form of moves is in notation.py.
"""

from __future__ import annotations

from typing import Final

from ringrift_loop.engine.jit import kernel

PL: Final = 0
"""Place b rings (1..3) on cell a."""
SP: Final = 1
"""Skip the placement."""
NP: Final = 2
"""No placement is possible."""
SW: Final = 3
"""Swap sides (pie rule)."""
MV: Final = 4
"""Move the stack on a to b."""
CP: Final = 5
"""Capture: from a, landing on b, over target c."""
CC: Final = 6
"""The next segment of a capture chain: a, b, c as in CP."""
SC: Final = 7
"""Skip the capture."""
NM: Final = 8
"""No movement is possible."""
SR: Final = 9
"""Skip the recovery."""
RL1: Final = 10
"""Recovery line: slide the marker a to b, collapse the whole run, pay a ring from stack c."""
RL2: Final = 11
"""Recovery line: slide a to b, collapse the window with ends c, d (c before d by cell number) and pay nothing."""
RF: Final = 12
"""Recovery slide from a to b, pay a ring from stack c."""
RS: Final = 13
"""Recovery strike from a onto the stack on b, pay a ring from stack c."""
LP: Final = 14
"""Collapse the whole line with ends a < b."""
LO: Final = 15
"""Collapse the window c..d (c < d) of the line a..b (a < b); always a proper part of the line."""
LE: Final = 16
"""Pay the top ring of the stack on a for a line."""
NL: Final = 17
"""No line to process."""
TR: Final = 18
"""Take the region whose smallest cell is a and whose size is c; b is the border colour that makes it one (seat + 1), 0
if collapsed cells alone do."""
TE: Final = 19
"""Pay the cap of the stack on a for a region."""
TB: Final = 20
"""Pay the lowest own ring buried in the stack on a for a region (after a recovery)."""
ST: Final = 21
"""Skip the remaining regions."""
NT: Final = 22
"""No region to take."""
FE: Final = 23
"""Forced elimination of the cap on a."""

NUM_KINDS: Final = 24

KIND_NAMES: Final = (
    "PL", "SP", "NP", "SW", "MV", "CP", "CC", "SC", "NM", "SR", "RL1", "RL2",
    "RF", "RS", "LP", "LO", "LE", "NL", "TR", "TE", "TB", "ST", "NT", "FE",
)  # fmt: skip
"""The text code of each kind."""


@kernel
def pack(kind: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    """Return the move of that kind with the numbers a to d (each 0..1023)."""
    return kind | (a << 8) | (b << 18) | (c << 28) | (d << 38)


@kernel
def kind_of(move: int) -> int:
    """Return the move's kind, 0..NUM_KINDS - 1."""
    return move & 0xFF


@kernel
def field_a(move: int) -> int:
    """Return the move's first number."""
    return (move >> 8) & 0x3FF


@kernel
def field_b(move: int) -> int:
    """Return the move's second number."""
    return (move >> 18) & 0x3FF


@kernel
def field_c(move: int) -> int:
    """Return the move's third number."""
    return (move >> 28) & 0x3FF


@kernel
def field_d(move: int) -> int:
    """Return the move's fourth number."""
    return (move >> 38) & 0x3FF
