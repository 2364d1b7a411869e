"""Numbers as operators get them: a value, or the text that a template rendered to."""

from __future__ import annotations

from ringrift_loop.errors import ConfigError


def number(name: str, value: float | str | None) -> float:
    """The number.

    Raises:
        ConfigError: it is none; `name` is the argument's.
    """
    try:
        return float(value)  # type: ignore[arg-type] # None is refused below
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be a number, got {value!r}") from error
