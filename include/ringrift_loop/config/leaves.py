"""The schema as a flat list: one entry per setting, under its dotted name, in the order of the file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_type_hints

from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.config.setting import Rule, rule_of


@dataclass(frozen=True)
class Leaf:
    """One setting."""

    name: str
    """Dotted, such as `training.loss.policy`."""
    kind: object
    """The annotation: bool, int, float, str, tuple of str or int, or a mapping of one of the readers in convert.py."""
    default: object
    rule: Rule


@dataclass(frozen=True)
class Section:
    """One section: the dataclass behind it and what it is about."""

    name: str
    kind: type
    rule: Rule


@functools.cache
def leaves() -> Mapping[str, Leaf]:
    """Every setting by its dotted name."""
    found = {entry.name: entry for entry in _walk(LoopConfig, "") if isinstance(entry, Leaf)}
    return MappingProxyType(found)


@functools.cache
def sections() -> Mapping[str, Section]:
    """Every section by its dotted name; a section within a section follows it."""
    found = {entry.name: entry for entry in _walk(LoopConfig, "") if isinstance(entry, Section)}
    return MappingProxyType(found)


def values_of(config: LoopConfig) -> dict[str, object]:
    """The values of a configuration by dotted name."""
    return {name: _value(config, name) for name in leaves()}


def plain(value: object) -> object:
    """The value as JSON and YAML know it: lists for tuples, dicts with string keys for mappings."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def plain_section(section: object) -> dict[str, object]:
    """The values of a section that has no sections of its own, by key, as JSON and YAML know them."""
    assert dataclasses.is_dataclass(section)
    return {field.name: plain(getattr(section, field.name)) for field in dataclasses.fields(section)}


def _value(config: object, name: str) -> object:
    return functools.reduce(getattr, name.split("."), config)


def _walk(kind: type, prefix: str) -> Iterator[Leaf | Section]:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        rule, name, hint = rule_of(field), prefix + field.name, hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield Section(name, hint, rule)
            yield from _walk(hint, f"{name}.")
        else:
            default = field.default if field.default is not dataclasses.MISSING else _made(field)
            yield Leaf(name, hint, default, rule)


def _made(field: dataclasses.Field[object]) -> object:
    assert field.default_factory is not dataclasses.MISSING, field.name
    return field.default_factory()
