"""The options of the UGI engine: what `setoption` may set, and what each value may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import ConfigError
from ringrift_loop.search.settings import MAX_SIMULATIONS, SearchSettings


@dataclass(frozen=True)
class UgiOptions:
    """The options in force."""

    variant: str = "square8_2p"
    pie_rule: bool = False
    player: str = "heuristic-search"
    """As `named_player` takes it."""
    search: str = "gumbel32"
    """Identity of the search, unless `go` says otherwise."""
    threads: int = 1
    seed: int = 0
    max_simulations: int = 4096
    """Bound of searches that are limited by time only; their memory."""

    def with_option(self, name: str, value: str) -> UgiOptions:
        """The options after `setoption name <name> value <value>`.

        Raises:
            ConfigError: no such option, or the value is not one of its values.
        """
        for option in OPTIONS:
            if option.name.lower() == name.lower():
                return replace(self, **{option.field: option.parse(value)})
        raise ConfigError(f"no option named {name!r}; the options are {', '.join(option.name for option in OPTIONS)}")


@dataclass(frozen=True)
class Option:
    """One option as `ugi` lists it."""

    name: str
    field: str
    kind: str
    """Type in UGI's words, with what belongs to it."""
    parse: Callable[[str], Any]

    def line(self, options: UgiOptions) -> str:
        """The line that `ugi` answers for it; `options` holds the default."""
        value = getattr(options, self.field)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        kind, _, rest = self.kind.partition(" ")
        return f"option name {self.name} type {kind} default {text} {rest}".rstrip()


def _one_of(name: str, values: tuple[str, ...]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in values:
            raise ConfigError(f"{name} must be one of {', '.join(values)}, got {value!r}")
        return value

    return parse


def _whole(name: str, low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > 20 or not low <= int(value) <= high:
            raise ConfigError(f"{name} must be a whole number in {low}..{high}, got {value!r}")
        return int(value)

    return parse


def _check(value: str) -> bool:
    if value not in ("true", "false"):
        raise ConfigError(f"PieRule must be true or false, got {value!r}")
    return value == "true"


def _search(value: str) -> str:
    return SearchSettings.from_identity(value).identity()


OPTIONS = (
    Option(
        "Variant", "variant", "combo " + " ".join(f"var {v}" for v in VARIANTS), _one_of("Variant", tuple(VARIANTS))
    ),
    Option("PieRule", "pie_rule", "check", _check),
    Option("Player", "player", "string", str),
    Option("Search", "search", "string", _search),
    Option("Threads", "threads", "spin min 1 max 64", _whole("Threads", 1, 64)),
    Option("Seed", "seed", f"spin min 0 max {2**63 - 1}", _whole("Seed", 0, 2**63 - 1)),
    Option(
        "MaxSimulations",
        "max_simulations",
        f"spin min 1 max {MAX_SIMULATIONS}",
        _whole("MaxSimulations", 1, MAX_SIMULATIONS),
    ),
)
