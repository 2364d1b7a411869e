"""The rules once more, slow and plain: the twin that the kernels of the engine are compared with.

Nothing here is shared with the kernels but the numbers of `engine/rules.py`. Cells are (x, y) tuples, the board is
three dictionaries, moves are texts. Read `board.py` and `position.py`, then `turn.py` for the course of a turn; the
numbers in the docstrings are sections of docs/3-rules.md.
"""

from __future__ import annotations

from ringrift_loop.engine.conformance.plain.game import PlainGame

__all__ = ["PlainGame"]
