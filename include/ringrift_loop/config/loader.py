"""From `config/unified_loop.yaml` and the environment to a `LoopConfig` that knows where each value came from.

A later source wins: default, preset, file, environment (`RINGRIFT__TRAINING__BATCH_SIZE=128`: two underscores between
the parts, the value written as YAML). Everything wrong with the file is reported at once.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

from ringrift_loop.config.convert import convert
from ringrift_loop.config.leaves import leaves, plain, sections, values_of
from ringrift_loop.config.presets import PRESETS
from ringrift_loop.config.schema import LoopConfig
from ringrift_loop.config.source import Located, entries, located, read_mapping, read_value
from ringrift_loop.errors import ConfigError

CONFIG_VARIABLE = "RINGRIFT_CONFIG"
DEFAULT_PATH = Path("config/unified_loop.yaml")
_OVERRIDE = "RINGRIFT__"
_REFERENCE = "docs/6-configuration.md"


@dataclass(frozen=True)
class EffectiveConfig:
    """The configuration in force and the origin of every value."""

    config: LoopConfig
    origins: Mapping[str, str]
    """By dotted name: `default`, `preset conservative`, `config/unified_loop.yaml:12`, `environment RINGRIFT__..`."""
    path: Path | None
    """The file read, or None when there is none and the defaults hold."""


def load_config(path: Path | str | None = None, environment: Mapping[str, str] | None = None) -> LoopConfig:
    """The configuration in force; arguments and errors as for `load_effective`."""
    return load_effective(path, environment).config


def load_effective(path: Path | str | None = None, environment: Mapping[str, str] | None = None) -> EffectiveConfig:
    """The configuration in force, with origins.

    Args:
        path: the YAML file; by default the one `RINGRIFT_CONFIG` names, else `config/unified_loop.yaml` of the current
            folder. A file that was named must exist; without any the defaults hold, which is what a worker host needs.
        environment: variables to read; by default the process's own.

    Raises:
        ConfigError: the file is missing or wrong; one line for each complaint.
    """
    environment = os.environ if environment is None else environment
    named = path or environment.get(CONFIG_VARIABLE) or None
    file = Path(named) if named else DEFAULT_PATH if DEFAULT_PATH.is_file() else None
    complaints: list[str] = []
    given = _file_values(file, complaints) if file is not None else {}
    given |= _environment_values(environment, complaints)
    return _assemble(given, file, complaints)


def as_dict(config: LoopConfig) -> dict[str, object]:
    """The values by dotted name, as JSON knows them."""
    return {name: plain(value) for name, value in values_of(config).items()}


def config_hash(config: LoopConfig) -> str:
    """The sha256 (hex) of the effective values: equal values, equal hash, wherever they came from."""
    text = json.dumps(as_dict(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _assemble(given: Mapping[str, Located], file: Path | None, complaints: list[str]) -> EffectiveConfig:
    values: dict[str, object] = {name: leaf.default for name, leaf in leaves().items()}
    origins = dict.fromkeys(values, "default")
    converted: dict[str, object] = {}
    for name, found in given.items():
        try:
            converted[name] = convert(leaves()[name], found)
        except ConfigError as error:
            complaints.append(str(error))
    preset = str(converted.get("preset", values["preset"]))
    for name, value in PRESETS[preset].items():
        values[name], origins[name] = value, f"preset {preset}"
    for name, value in converted.items():
        values[name], origins[name] = value, given[name].place
    if complaints:
        raise ConfigError("\n".join(complaints))
    return EffectiveConfig(_build(values, origins), MappingProxyType(origins), file)


def _build(values: Mapping[str, object], origins: Mapping[str, str]) -> LoopConfig:
    """The dataclasses, innermost first, each with its own check."""
    parts: dict[str, dict[str, object]] = {name: {} for name in ("", *sections())}
    for name, value in values.items():
        parent, _, key = name.rpartition(".")
        parts[parent][key] = value
    complaints: list[str] = []
    for name in reversed(tuple(sections())):
        parent, _, key = name.rpartition(".")
        parts[parent][key] = _checked(sections()[name].kind, parts[name], origins, complaints)
    config = _checked(LoopConfig, parts[""], origins, complaints)
    if complaints:
        raise ConfigError("\n".join(complaints))
    assert isinstance(config, LoopConfig)
    return config


def _checked(kind: type, values: Mapping[str, object], origins: Mapping[str, str], complaints: list[str]) -> object:
    built = kind(**values)
    check = getattr(built, "check", None)
    if check is None:
        return built
    try:
        check()
    except ConfigError as error:
        places = sorted({place for name, place in origins.items() if name in str(error) and place != "default"})
        complaints.append(f"{error} ({', '.join(places)})" if places else str(error))
    return built


def _file_values(file: Path, complaints: list[str]) -> dict[str, Located]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {file} cannot be read: {error}") from error
    root = read_mapping(text, str(file))
    found: dict[str, Located] = {}
    if root is not None:
        _collect(root, "", str(file), found, complaints)
    return found


def _collect(node: yaml.MappingNode, prefix: str, file: str, found: dict[str, Located], complaints: list[str]) -> None:
    """Gather the settings of a mapping under their dotted names; a wrong key is a complaint, the rest goes on."""
    seen: dict[str, str] = {}
    for key, value, place in entries(node, file):
        name = prefix + key
        if key in seen:
            complaints.append(f"{name} appears twice, first at {seen[key]} ({place})")
        elif name in leaves():
            try:
                found[name] = located(value, file)
            except ConfigError as error:
                complaints.append(f"{name}: {error}")
        elif name not in sections():
            complaints.append(f"unknown key {name}{_suggestion(name)} ({place})")
        elif isinstance(value, yaml.MappingNode):
            _collect(value, f"{name}.", file, found, complaints)
        elif value.value != "":
            complaints.append(f"{name} must be a section with keys of its own, got {value.value!r} ({place})")
        seen[key] = place


def _environment_values(environment: Mapping[str, str], complaints: list[str]) -> dict[str, Located]:
    found: dict[str, Located] = {}
    for variable in sorted(environment):
        if not variable.startswith(_OVERRIDE):
            continue
        name = variable.removeprefix(_OVERRIDE).lower().replace("__", ".")
        if name not in leaves():
            complaints.append(f"unknown key {name}{_suggestion(name)} (environment {variable})")
            continue
        try:
            found[name] = read_value(environment[variable], f"environment {variable}")
        except ConfigError as error:
            complaints.append(str(error))
    return found


def _suggestion(name: str) -> str:
    """`, did you mean ...?`: the same key in another section first, then the closest spelling."""
    known = [*leaves(), *sections()]
    last = name.rpartition(".")[2]
    moved = [other for other in known if other.rpartition(".")[2] == last]
    same_section = [other for other in known if other.rpartition(".")[0] == name.rpartition(".")[0]]
    close = moved or difflib.get_close_matches(name, same_section, 1) or difflib.get_close_matches(name, known, 1)
    return f", did you mean {close[0]}?" if close else f"; the keys are listed in {_REFERENCE}"
