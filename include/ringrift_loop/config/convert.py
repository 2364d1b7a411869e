"""A value from YAML to the type that the schema wants, or a sentence that says why not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ringrift_loop.config.leaves import Leaf
from ringrift_loop.config.source import Located
from ringrift_loop.errors import ConfigError


def convert(leaf: Leaf, found: Located) -> object:
    """The value in the setting's type, checked against its range.

    Raises:
        ConfigError: wrong type or out of range; the message names key, value, what would be right, and the place.
    """
    try:
        value = _READERS[leaf.kind](found)
        for item in _scalars(value):
            complaint = leaf.rule.complaint(item)
            if complaint is not None:
                raise ValueError(complaint)
    except ValueError as error:
        raise ConfigError(f"{leaf.name} {error}, got {found.value!r} ({found.place})") from None
    return value


def _scalars(value: object) -> list[float | str]:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [item for part in value for item in _scalars(part)]
    return [value] if isinstance(value, int | float | str) and not isinstance(value, bool) else []


def _bool(found: Located) -> bool:
    if not isinstance(found.value, bool):
        raise ValueError("must be true or false")
    return found.value


def _int(found: Located) -> int:
    if isinstance(found.value, bool) or not isinstance(found.value, int):
        raise ValueError("must be a whole number")
    return found.value


def _float(found: Located) -> float:
    value = found.value
    if isinstance(value, str) and not found.quoted:
        # YAML 1.1 reads 2e-3 as text: it wants a point. People mean the number.
        try:
            value = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("must be a number")
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return float(value)


def _text(found: Located) -> str:
    if not isinstance(found.value, str):
        raise ValueError("must be text")
    return found.value


def _texts(found: Located) -> tuple[str, ...]:
    return tuple(_text(item) for item in _items(found, "a list of names, such as [square8_2p, hex8_2p]"))


def _ints(found: Located) -> tuple[int, ...]:
    return tuple(_int(item) for item in _items(found, "a list of whole numbers, such as [100, 200]"))


def _items(found: Located, wanted: str) -> list[Located]:
    if not isinstance(found.value, list):
        raise ValueError(f"must be {wanted}")
    return [Located(item, found.place) for item in found.value]


def _by_players(found: Located) -> Mapping[int, float]:
    if not isinstance(found.value, dict):
        raise ValueError("must give a number per number of players, such as {2: 0.9, 3: 0.55, 4: 0.45}")
    return MappingProxyType(
        {_int(Located(key, found.place)): _float(Located(item, found.place)) for key, item in found.value.items()}
    )


def _texts_by_name(found: Located) -> Mapping[str, str]:
    if not isinstance(found.value, dict):
        raise ValueError("must give a text by name, such as {to: team@example.org}")
    return MappingProxyType(
        {_text(Located(key, found.place)): _text(Located(item, found.place)) for key, item in found.value.items()}
    )


def _names_by_name(found: Located) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(found.value, dict):
        raise ValueError("must give a list of names by name, such as {square8_3p: [square8_2p]}")
    return MappingProxyType(
        {_text(Located(key, found.place)): _texts(Located(item, found.place)) for key, item in found.value.items()}
    )


_READERS: Mapping[object, Callable[[Located], object]] = MappingProxyType(
    {
        bool: _bool,
        int: _int,
        float: _float,
        str: _text,
        tuple[str, ...]: _texts,
        tuple[int, ...]: _ints,
        Mapping[int, float]: _by_players,
        Mapping[str, str]: _texts_by_name,
        Mapping[str, tuple[str, ...]]: _names_by_name,
    }
)
