"""How a search is run, and the short name under which its results are filed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from ringrift_loop.errors import ConfigError

Kind = Literal["puct", "gumbel", "none"]
KINDS: tuple[Kind, ...] = ("puct", "gumbel", "none")
MAX_SIMULATIONS = 100_000
MAX_CONSIDERED = 100_000


@dataclass(frozen=True)
class SearchSettings:
    """One way to search; choice.py has the formulas that the constants stand in."""

    kind: Kind = "gumbel"
    """puct; gumbel: sequential halving at the root, PUCT below; none: the evaluator's best move, no tree."""
    simulations: int = 32
    """Descents from the root; the root's own evaluation is not counted."""
    c_puct: float = 1.1
    fpu: float = 0.2
    """First-play urgency: an unvisited move counts the node's value less `fpu` x sqrt(prior of the visited moves)."""
    considered: int = 16
    """gumbel: root moves that sequential halving starts from (m)."""
    c_visit: float = 50.0
    c_scale: float = 1.0
    noise: float = 0.0
    """gumbel: scale of the Gumbel noise at the root; 1 for training games, 0 to play the best known move."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"search.kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        lowest = 0 if self.kind == "none" else 1
        if not lowest <= self.simulations <= MAX_SIMULATIONS:
            raise ConfigError(
                f"search.simulations must be in {lowest}..{MAX_SIMULATIONS} for {self.kind}, got {self.simulations}"
            )
        if not 1 <= self.considered <= MAX_CONSIDERED:
            raise ConfigError(f"search.considered must be in 1..{MAX_CONSIDERED}, got {self.considered}")
        for name in ("c_puct", "fpu", "c_visit", "c_scale", "noise"):
            value = getattr(self, name)
            if not 0.0 <= value < 1e6:
                raise ConfigError(f"search.{name} must be a number from 0 below 1e6, got {value!r}")

    def identity(self) -> str:
        """The name in participant ids: kind and simulations, then every constant that is not the default.

        For example `gumbel32`, `puct16`, `none`, `gumbel16,c_scale=0.1`. The root noise belongs to it too: it changes
        play.
        """
        name = self.kind if self.kind == "none" else f"{self.kind}{self.simulations}"
        extras = [
            f"{field}={float(getattr(self, field))!r}".removesuffix(".0")  # all digits: one name is one search
            for field in _CONSTANTS
            if getattr(self, field) != SearchSettings.__dataclass_fields__[field].default
        ]
        return ",".join([name, *extras])

    @classmethod
    def from_identity(cls, text: str) -> SearchSettings:
        """The settings that `identity` wrote.

        Raises:
            ConfigError: the text is not such a name.
        """
        head, *extras = text.split(",")
        match = re.fullmatch(r"(none)|(puct|gumbel)([1-9][0-9]{0,5})", head)
        if match is None:
            raise ConfigError(f"a search is named none, puct<N> or gumbel<N> (such as gumbel32), got {text!r}")
        values: dict[str, Any] = {"kind": match[1] or match[2], "simulations": int(match[3] or 0)}
        for extra in extras:
            field, _, value = extra.partition("=")
            if field not in _CONSTANTS:
                raise ConfigError(f"unknown search constant {field!r} in {text!r}; known are {', '.join(_CONSTANTS)}")
            try:
                values[field] = int(value) if field == "considered" else float(value)
            except ValueError:
                raise ConfigError(f"the search constant {field} must be a number, got {value!r} in {text!r}") from None
        return cls(**values)


_CONSTANTS = ("c_puct", "fpu", "considered", "c_visit", "c_scale", "noise")
