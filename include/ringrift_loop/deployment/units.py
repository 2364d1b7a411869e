"""The systemd units of `config/systemd`, filled in for a machine: where the program lies, where it writes, who runs it.

The files as they are hold for /opt/ringrift, /var/lib/ringrift and the user ringrift.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ringrift_loop.config import CONFIG_VARIABLE
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import HOSTS_VARIABLE
from ringrift_loop.layout import LEDGER_VARIABLE

COORDINATOR = "ringrift-ai-loop.service"
SELFPLAY_TEMPLATE = "ringrift-selfplay@.service"
UNIT_DIR = "/etc/systemd/system"

_PROGRAM, _DATA = "/opt/ringrift", "/var/lib/ringrift"
_VENV, _PROJECT, _RUN = f"{_PROGRAM}/venv", f"{_PROGRAM}/project", f"{_DATA}/run"
_TOKEN = re.compile("|".join(sorted((_PROGRAM, _DATA, _VENV, _PROJECT, _RUN), key=len, reverse=True)))
# Neither spaces nor what systemd reads as a specifier or a variable.
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9_.+,@:-]+)+")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")
_HOMES = ("/home", "/root", "/run/user")
_FILES = (CONFIG_VARIABLE, HOSTS_VARIABLE)
_SETTING = "RINGRIFT__"  # RINGRIFT__SECTION__KEY is a setting


@dataclass(frozen=True)
class Place:
    """Where a unit finds things on its machine."""

    user: str
    paths: Mapping[str, str]  # a path of the files -> the one to put there
    environment: Mapping[str, str] = field(default_factory=dict)  # variables of the unit beside those of the file


def host_place(path: str, root: str, user: str) -> Place:
    """A host's: its `remote_path` and `root`, and the user who logs in."""
    return Place(user, {_PROGRAM: path, _DATA: root})


def coordinator_place(venv: Path, project: Path, run: Path, user: str, environment: Mapping[str, str]) -> Place:
    """This machine's: the environment that runs, the project's folder, the run directory and a shell's variables.

    Of the variables go along those that say which settings, hosts and ledger the loop uses.

    Raises:
        ConfigError: the ledger's URL holds a password.
    """
    given = {
        name: str(Path(value).absolute()) if name in _FILES else value
        for name, value in sorted(environment.items())
        if value and (name in (*_FILES, LEDGER_VARIABLE) or name.startswith(_SETTING))
    }
    if _has_password(given.get(LEDGER_VARIABLE)):
        raise ConfigError(
            f"{LEDGER_VARIABLE} holds a password, and every user of this machine can read a unit: write it into a "
            f"password file of PostgreSQL that {user} alone can read, and put ?passfile=FILE at the end of the URL"
        )
    return Place(user, {_VENV: str(venv), _PROJECT: str(project), _RUN: str(run), _DATA: str(run)}, given)


def _has_password(url: str | None) -> bool:
    try:
        parsed = make_url(url) if url else None
    except ArgumentError:
        return False  # no URL: the loop refuses it when it starts
    return parsed is not None and (parsed.password is not None or "password" in parsed.query)


def instance(variant: str) -> str:
    """The unit of a variant's worker."""
    return f"ringrift-selfplay@{variant}.service"


NAMES = frozenset({COORDINATOR, SELFPLAY_TEMPLATE, *map(instance, VARIANT_NAMES)})


def render(text: str, place: Place) -> str:
    """A unit's file for a place.

    Raises:
        ConfigError: a path, the user's name or a variable cannot stand in a unit.
    """
    for path in place.paths.values():
        if _PLAIN_PATH.fullmatch(path) is None:
            raise ConfigError(f"a unit needs absolute paths of plain letters, without spaces, got {path!r}")
    if _USER.fullmatch(place.user) is None:
        raise ConfigError(f"a unit needs a plain user name, got {place.user!r}")
    lines = ["# Filled in by `ringrift-loop deploy` from config/systemd; the next deployment replaces it."]
    at_home = any(PurePosixPath(path).is_relative_to(home) for path in place.paths.values() for home in _HOMES)
    at_home |= any(f"{home}/" in value for value in place.environment.values() for home in _HOMES)
    for line in text.splitlines():
        if line.startswith("#"):
            continue  # they speak of the file as it is
        if line.startswith("User="):
            line = f"User={place.user}"
        elif line == "ProtectHome=yes" and at_home:
            line = "ProtectHome=read-only"  # hidden, the program itself could not be read
        elif line.startswith("StateDirectory=") and place.paths.get(_DATA) != _DATA:
            continue  # the folder is elsewhere, and made by the deployment
        elif line.startswith("ExecStart="):
            lines += [_environment_line(name, value) for name, value in place.environment.items()]
        lines.append(_TOKEN.sub(lambda found: _replaced(found[0], place.paths), line))
    return "\n".join(lines) + "\n"


def _environment_line(name: str, value: str) -> str:
    if not value.isprintable():
        raise ConfigError(f"a unit needs variables of one printable line, got {name}={value!r}")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'Environment="{name}={quoted}"'


def read_unit(project: Path, name: str) -> str:
    """A file of the project's `config/systemd`."""
    path = project / "config" / "systemd" / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the unit {path} cannot be read: {error}") from error


def _replaced(token: str, paths: Mapping[str, str]) -> str:
    """The place's path, also for a folder below one that it names."""
    if token in paths:
        return paths[token]
    base = next(base for base in paths if token.startswith(base))
    return paths[base] + token.removeprefix(base)
