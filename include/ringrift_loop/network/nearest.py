"""Whose network a variant may begin with: the one table that training and self-play go by.

Weights fit every board of a family, whatever its size and the number of players (`model.py`). How well a network plays
a variant that it was not trained on is in docs/log.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.rules import VARIANTS, variant


def nearest_variants(name: str, lenders: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The other variants whose networks a variant may begin with, the nearest first.

    Without a row of its own: the nearest number of players comes first, then the same board, then the name's order. A
    net of two players plays a larger board as well as its own, but three players far worse (docs/log.md). Square and
    hex boards lend each other nothing: a kernel sees other neighbours there.

    Args:
        name: the variant.
        lenders: the configuration's `selfplay.lenders`.

    Raises:
        ValueError: no such variant.
    """
    own = variant(name)
    if name in lenders:
        return lenders[name]
    is_hex = board_for(own.board).is_hex
    others = [other for other in VARIANTS.values() if other != own and board_for(other.board).is_hex == is_hex]
    others.sort(key=lambda other: (abs(other.players - own.players), other.board != own.board, other.name))
    return tuple(other.name for other in others)
