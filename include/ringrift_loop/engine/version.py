"""The version of the rules engine as records, models and matches carry it."""

from __future__ import annotations

from typing import Final

ENGINE_VERSION: Final = "1"
"""Changes with the rules, the order of legal moves or the text of moves: records of another version are refused."""
