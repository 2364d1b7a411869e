"""YAML text to values that know their line: what `yaml.safe_load` would give, and where each of them stood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from ringrift_loop.errors import ConfigError


@dataclass(frozen=True)
class Located:
    """A value of a YAML text and where it stands."""

    value: object
    """A scalar, or a list or dict of plain values."""
    place: str
    """`config/unified_loop.yaml:12`, or the name of an environment variable."""
    quoted: bool = False
    """A scalar in quotes: text, whatever it looks like."""


def read_mapping(text: str, name: str) -> yaml.MappingNode | None:
    """The mapping that a YAML text is, or None when the text is empty.

    Raises:
        ConfigError: it is no YAML, holds several documents, or is no mapping; with file and line.
    """
    node = _compose(text, name)
    if node is None:
        return None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"the file must be a mapping of sections, got something else ({place_of(node, name)})")
    return node


def read_value(text: str, name: str) -> Located:
    """A single value written as YAML, as an environment variable holds it."""
    node = _compose(text, name)
    return Located("", name) if node is None else Located(_construct(node, name), name, _quoted(node))


def entries(node: yaml.MappingNode, name: str) -> Iterator[tuple[str, yaml.Node, str]]:
    """Key, value node and place of each entry of a mapping.

    Raises:
        ConfigError: a key is no plain text.
    """
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"a key must be a word, got a structure ({place_of(key, name)})")
        yield key.value, value, place_of(key, name)


def located(node: yaml.Node, name: str) -> Located:
    """The node's value and its place."""
    return Located(_construct(node, name), place_of(node, name), _quoted(node))


def place_of(node: yaml.Node, name: str) -> str:
    """File and line, counted from 1."""
    return f"{name}:{node.start_mark.line + 1}"


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"this is not valid YAML: {error.problem or error.context} ({name}{line})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not valid YAML: {error} ({name})") from error
    return node


def _construct(node: yaml.Node, name: str) -> object:
    """The value as the safe loader builds it; a key met twice in a mapping is an error there and here."""
    if isinstance(node, yaml.MappingNode):
        built: dict[object, object] = {}
        for key_node, value_node in node.value:
            key = _construct(key_node, name)
            if isinstance(key, (list, Mapping)) or key in built:
                raise ConfigError(f"the key {key} appears twice or is not a scalar ({place_of(key_node, name)})")
            built[key] = _construct(value_node, name)
        return built
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, name) for item in node.value]
    loader = yaml.SafeLoader("")
    try:
        value: object = loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"this value cannot be read: {error} ({place_of(node, name)})") from error
    finally:
        loader.dispose()
    return value


def _quoted(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
