"""One configuration value: its default, its meaning and the range it may have. Open `schema.py` next."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

T = TypeVar("T")
_KEY = "ringrift"


@dataclass(frozen=True)
class Rule:
    """What is known of a value besides its type.

    The bounds hold for a number itself, and for every element of a list or a mapping.
    """

    help: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()

    def complaint(self, value: float | str) -> str | None:
        """What is wrong with the value, as the middle of a sentence, or None."""
        if isinstance(value, str):
            return f"must be one of {', '.join(self.choices)}" if self.choices and value not in self.choices else None
        if self.at_least is not None and value < self.at_least:
            return f"must be {_bound('at least', self.at_least)}"
        if self.above is not None and value <= self.above:
            return f"must be {_bound('above', self.above)}"
        if self.at_most is not None and value > self.at_most:
            return f"must be {_bound('at most', self.at_most)}"
        if self.below is not None and value >= self.below:
            return f"must be {_bound('below', self.below)}"
        return None

    def range_text(self) -> str:
        """The allowed range for a table: `at least 1, at most 100`, `a or b`; empty without a bound."""
        if self.choices:
            return " or ".join(f"`{choice}`" for choice in self.choices)
        low = _bound("at least", self.at_least) or _bound("above", self.above)
        high = _bound("at most", self.at_most) or _bound("below", self.below)
        return f"{low}, {high}" if low and high else low or high


def setting(
    default: T,
    help: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """A dataclass field with its default, its meaning (with unit) and its range."""
    rule = Rule(help, at_least, above, at_most, below, choices)
    if isinstance(default, Mapping):  # dataclasses take no unhashable value as a plain default
        return cast(T, dataclasses.field(default_factory=lambda: cast(object, default), metadata={_KEY: rule}))
    return dataclasses.field(default=default, metadata={_KEY: rule})


def section(kind: type[T]) -> T:
    """A dataclass field with a section of settings; its meaning is the docstring's first sentence."""
    help = (kind.__doc__ or "").partition(".")[0]
    return dataclasses.field(default_factory=kind, metadata={_KEY: Rule(help)})


def rule_of(field: dataclasses.Field[object]) -> Rule:
    """The rule that `setting` or `section` left on the field."""
    return cast(Rule, field.metadata[_KEY])


def _bound(word: str, limit: float | None) -> str:
    return "" if limit is None else f"{word} {limit:.10g}"
