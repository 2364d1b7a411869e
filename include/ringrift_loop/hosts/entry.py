"""One host's entry in the inventory: its keys, their types and ranges, and which of them go together."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Mapping

import yaml

from ringrift_loop.config.leaves import leaves
from ringrift_loop.config.source import entries, located, place_of
from ringrift_loop.errors import ConfigError

SELFPLAY = "selfplay"
ROLES = frozenset({SELFPLAY, "training", "tournament", "hp_tuning"})
LOCAL = "local"
SSH = "ssh"
MAX_SLOTS = 256

_SSH_ONLY = (
    "ssh_host",
    "ssh_port",
    "ssh_user",
    "ssh_key",
    "known_hosts",
    "host_key",
    "accept_new_host_key",
    "connection",
    "remote_path",
)
_FLAGS = ("has_gpu", "enabled", "accept_new_host_key")
_WHOLE = {"max_workers": (0, MAX_SLOTS), "ssh_port": (1, 65535), "cpus": (1, 4096), "gpu_count": (0, 64)}
_SIZES = {"memory_gb": 65536.0, "gpu_memory_gb": 4096.0}
_TARGETS = "resource_targets"
FOR_PEOPLE = ("gpu_type", "cpus", "memory_gb")
"""Keys that decide nothing: `hosts` shows them, `doctor` compares the last two with what the host reports."""
_KEYS = (*_SSH_ONLY, "transport", "role", "root", "gpu_type", "has_gpu", "enabled", *_WHOLE, *_SIZES, _TARGETS)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
_PUBLIC_KEY = re.compile(r"(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]+=*( .*)?")
# A name is handed to the resolver and shown in messages; nothing in it may look like an option or a second word.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}\.?")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # an interface's name or number
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?")


def plain_address(text: str) -> str | None:
    """A host name or address as the resolver takes it, an IPv6 address without its brackets; None when it is neither.

    A link-local address keeps its zone: `fe80::1%eth0`.
    """
    if ":" not in text:
        return text if _NAME.fullmatch(text) else None
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    address, marked, zone = inner.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return None
    return inner if not marked or _ZONE.fullmatch(zone) else None


def read_entry(name: str, node: yaml.MappingNode, file: str) -> dict[str, object]:
    """The fields of a `Host`, without its name.

    Raises:
        ConfigError: a key is unknown, a value wrong, or two do not go together; with file and line.
    """
    values: dict[str, object] = {}
    places: dict[str, str] = {}
    for key, value, place in entries(node, file):
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"did you mean {close[0]}?" if close else f"a host has {', '.join(dict.fromkeys(_KEYS))}"
            raise ConfigError(f"host {name}: unknown key {key}, {hint} ({place})")
        if key in values:
            raise ConfigError(f"host {name}: {key} appears twice ({place})")
        values[key], places[key] = _checked_value(name, key, located(value, file).value, place), place
    if "ssh_host" in values:
        values["ssh_host"] = plain_address(str(values["ssh_host"]))
    values["roles"] = _roles(name, str(values.pop("role", SELFPLAY)), places.get("role", place_of(node, file)))
    transport = values.setdefault("transport", SSH if "ssh_host" in values else "")
    _check_transport(name, str(transport), values, places, place_of(node, file))
    _check_gpu(name, values, places)
    return values


def _checked_value(name: str, key: str, value: object, place: str) -> object:
    if key in _FLAGS:
        right, wanted = isinstance(value, bool), "true or false"
    elif key in _WHOLE:
        low, high = _WHOLE[key]
        right = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        wanted = f"a whole number from {low} to {high}"
    elif key in _SIZES:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
        right = right and math.isfinite(float(str(value))) and 0 < float(str(value)) <= _SIZES[key]
        wanted = f"a number of GiB above 0, at most {_SIZES[key]:g}"
    elif key == _TARGETS:
        right, wanted = _checked_targets(value)
    else:
        right, wanted = _checked_text(key, value)
    if not right:
        raise ConfigError(f"host {name}: {key} must be {wanted}, got {value!r} ({place})")
    return value


def _checked_targets(value: object) -> tuple[bool, str]:
    known = {
        name.removeprefix(f"{_TARGETS}."): (leaf.rule.at_least, leaf.rule.at_most)
        for name, leaf in leaves().items()
        if name.startswith(f"{_TARGETS}.") and name.count(".") == 1
    }
    if not isinstance(value, dict) or not value:
        return False, f"some of {', '.join(known)} with their percentages"
    for name, percent in value.items():
        if name not in known:
            return False, f"some of {', '.join(known)}, without {name!r}"
        low, high = known[name]
        number = isinstance(percent, (int, float)) and not isinstance(percent, bool)
        if not number or not (low or 0) <= percent <= (high or 100):
            return False, f"percentages; {name} from {low:g} to {high:g}"
    return True, ""


def _checked_text(key: str, value: object) -> tuple[bool, str]:
    if not isinstance(value, str) or not value.strip() or any(ord(letter) < 32 for letter in value):
        return False, "text on one line"
    if key == "ssh_host":
        return plain_address(value) is not None, "a host name or an address without user, port or spaces"
    if key == "ssh_user":
        return _USER.fullmatch(value) is not None, "a user name"
    if key == "host_key":
        right = _FINGERPRINT.fullmatch(value) or _PUBLIC_KEY.fullmatch(value)
        return right is not None, "a fingerprint like SHA256:<43 letters> or a public key like ssh-ed25519 AAAA..."
    if key == "remote_path" or key == "root":
        plain = not value.startswith(("~", "-")) and ".." not in value.split("/")
        return plain, "a path without ~ and .. (a relative one lies in the home of the user who logs in)"
    return True, "text"


def _roles(name: str, text: str, place: str) -> frozenset[str]:
    roles = frozenset(part.strip() for part in text.split(","))
    if not roles <= ROLES:
        raise ConfigError(f"host {name}: role is a list of {', '.join(sorted(ROLES))}, got {sorted(roles)} ({place})")
    return roles


def _check_transport(
    name: str, transport: str, values: Mapping[str, object], places: Mapping[str, str], place: str
) -> None:
    if transport not in (LOCAL, SSH):
        raise ConfigError(
            f"host {name} needs an ssh_host, or `transport: local`, got transport {transport!r} ({place})"
        )
    if transport == SSH and "ssh_host" not in values:
        raise ConfigError(f"host {name}: transport ssh needs an ssh_host ({place})")
    foreign = next((key for key in _SSH_ONLY if key in values), None)
    if transport == LOCAL and foreign is not None:
        raise ConfigError(f"host {name}: transport local is on this machine and takes no {foreign} ({places[foreign]})")
    if "host_key" in values:
        other = next((key for key in ("known_hosts", "accept_new_host_key") if values.get(key)), None)
        if other is not None:
            raise ConfigError(f"host {name}: host_key names the one key; leave out {other} ({places[other]})")


def _check_gpu(name: str, values: dict[str, object], places: Mapping[str, str]) -> None:
    """`has_gpu` alone means one GPU; a count alone means that there are some."""
    if "gpu_count" not in values:
        values["gpu_count"] = 1 if values.get("has_gpu") else 0
    elif "has_gpu" not in values:
        values["has_gpu"] = values["gpu_count"] != 0
    elif bool(values["gpu_count"]) != values["has_gpu"]:
        wrong = f"has_gpu: {str(values['has_gpu']).lower()} and gpu_count: {values['gpu_count']}"
        raise ConfigError(f"host {name}: {wrong} contradict each other ({places['gpu_count']})")
