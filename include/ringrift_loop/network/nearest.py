"""Whose network a variant may begin with: the one table that training and self-play go by.

Weights fit every board of a family, whatever its size and the number of players (`model.py`). How well a network plays
a variant that it was not trained on is in docs/log.md.
"""

from __future__ import annotations

from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.rules import VARIANTS, variant


def nearest_variants(name: str) -> tuple[str, ...]:
    """The other variants whose networks a variant may begin with, the nearest first.

    The same board comes before one of another size, then the nearest number of players, then the name's order. Square
    and hex boards lend each other nothing: a kernel sees other neighbours there.

    Raises:
        ValueError: no such variant.
    """
    own = variant(name)
    is_hex = board_for(own.board).is_hex
    others = [other for other in VARIANTS.values() if other != own and board_for(other.board).is_hex == is_hex]
    others.sort(key=lambda other: (other.board != own.board, abs(other.players - own.players), other.name))
    return tuple(other.name for other in others)


def lenders(name: str) -> tuple[str, ...]:
    """The variants whose models can play a variant as they are, the nearest first: those of the same board.

    A model's ONNX file takes planes of one size (`export.py`), though its weights would fit another.
    """
    board = variant(name).board
    return tuple(other for other in nearest_variants(name) if VARIANTS[other].board == board)
