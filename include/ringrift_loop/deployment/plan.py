"""What a deployment will do on each host, decided before anything is done. Pure functions.

A host's answer to `host_install.probe` is checked here, compared with what is wished for, and told in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ringrift_loop.cluster.agent.report import WorkerReport
from ringrift_loop.deployment import units
from ringrift_loop.deployment.release import Release
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.hosts.inventory import SELFPLAY, Host, Inventory
from ringrift_loop.selfplay.host_settings import HostSettings, parse_settings

ALL, PRIMARY, SELFPLAY_HOSTS = SCOPES = ("all", "primary", "selfplay")
PRIMARY_ROLES = frozenset({"training", "hp_tuning", "tournament"})
FOLDER = "folder"  # the probe's word for a `venv` that is no link
_STATE = re.compile(r"[a-z-]{1,20}")
_TEXT_LENGTH = 4096


@dataclass(frozen=True)
class Wish:
    """What a person asked for."""

    install_systemd: bool = False
    restart: bool = False
    hot_reload: bool = True


@dataclass(frozen=True)
class Found:
    """What is on a host."""

    path: str
    root: str
    user: str
    link: str | None  # what `venv` points to; FOLDER when it is a folder
    installed: Mapping[str, object] | None  # as `installed_record` wrote it
    settings: HostSettings
    unit_digests: Mapping[str, str | None] = field(default_factory=dict)
    unit_states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostPlan:
    """What will be done on one host; nothing when it is up to date."""

    host: str
    key: str  # of the installation that is wished for
    extras: tuple[str, ...] = ()
    version: str = ""
    install: bool = False
    over: str | None = None  # what the new installation replaces
    restart: bool = False
    drain: tuple[WorkerReport, ...] = ()  # live workers that the loop started
    hot_reload: bool | None = None  # the setting to write; None: it is right
    unit_files: Mapping[str, str] = field(default_factory=dict)  # to write
    enable: tuple[str, ...] = ()  # units to enable and start
    restart_units: tuple[str, ...] = ()
    left_units: tuple[str, ...] = ()  # active ones that go on with the old program

    @property
    def nothing(self) -> bool:
        """Whether the host is up to date."""
        return not self.steps

    @property
    def steps(self) -> list[str]:
        """What will be done, in words."""
        steps = []
        if self.install:
            steps.append(f"install {self.version}{_with(self.extras)} over {self.over or 'nothing'}")
        if self.drain:
            again = " and start them again" if self.restart else ""
            steps.append(f"drain {len(self.drain)} {'worker' if len(self.drain) == 1 else 'workers'}{again}")
        if self.hot_reload is not None:
            steps.append(f"switch hot reload {'on' if self.hot_reload else 'off'} for workers started from now on")
        if self.unit_files:
            steps.append(f"install units {', '.join(self.unit_files)}")
        if self.enable:
            steps.append(f"enable and start {', '.join(self.enable)}")
        if self.restart_units:
            steps.append(f"restart {', '.join(self.restart_units)}")
        return steps

    def line(self) -> str:
        """The plan for people."""
        text = "; ".join(self.steps) or f"up to date ({self.version}{_with(self.extras)})"
        if self.left_units:
            text += f" (until --restart, {', '.join(self.left_units)} run the old program)"
        return f"{self.host}: {text}"


def chosen_hosts(inventory: Inventory, scope: str, names: Sequence[str] = ()) -> list[Host]:
    """The enabled hosts of a scope, or of those the named ones.

    Raises:
        ConfigError: a name is not among them, or there is none.
    """
    if scope not in SCOPES:
        raise ConfigError(f"scope is one of {', '.join(SCOPES)}, got {scope!r}")
    wanted = {ALL: None, PRIMARY: PRIMARY_ROLES, SELFPLAY_HOSTS: frozenset({SELFPLAY})}[scope]
    hosts = {host.name: host for host in inventory.enabled if wanted is None or host.roles & wanted}
    missing = [name for name in names if name not in hosts]
    if missing or not hosts:
        among = "" if wanted is None else f" with a role of {', '.join(sorted(wanted))}"
        what = f"named {', '.join(missing)}" if missing else "to deploy to"
        raise ConfigError(f"there is no enabled host{among} {what}; there are {', '.join(hosts) or 'none'}")
    return [hosts[name] for name in dict.fromkeys(names)] if names else list(hosts.values())


def extras_of(host: Host) -> tuple[str, ...]:
    """The extras that a host's roles need."""
    return ("train",) if "training" in host.roles else ()


def installed_record(release: Release, extras: tuple[str, ...]) -> bytes:
    """The content of a host's `installed.json`, written when everything else is there."""
    document = {
        "version": release.version,
        "wheel_sha256": release.wheel_sha256,
        "constraints_sha256": release.constraints_sha256,
        "extras": list(extras),
    }
    return json.dumps(document).encode() + b"\n"


def parse_found(raw: bytes, host: Host) -> Found:
    """Read a probe's answer; nothing in it is trusted.

    Raises:
        DataError: it is not what a probe answers.
    """
    try:
        document = json.loads(raw)
        installed, settings = document["installed"], document["settings"]
        found = Found(
            path=_text(document, "path"),
            root=_text(document, "root"),
            user=_text(document, "user"),
            link=None if document["link"] is None else _text(document, "link"),
            installed=None if installed is None else _record(installed),
            settings=HostSettings() if settings is None else parse_settings(settings.encode(), "host_settings.json"),
            unit_digests={_unit(name): digest for name, digest in dict(document["units"]).items()},
            unit_states={_unit(name): _state(state) for name, state in dict(document["states"]).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{host.name} does not answer as a probe does: {error!r}; got {raw[:200]!r}") from error
    return found


def make_plan(
    host: Host,
    found: Found,
    workers: Sequence[WorkerReport],
    release: Release,
    wish: Wish,
    *,
    template: str,
    variants: Sequence[str],
) -> HostPlan:
    """Compare.

    Args:
        host: the inventory's entry.
        found: what is there.
        workers: the loop's workers there.
        release: what should be installed.
        wish: what was asked for.
        template: the text of the self-play unit.
        variants: those that the loop plays.

    Raises:
        ConfigError: the host cannot be deployed to as it is.
    """
    if found.link == FOLDER:
        raise ConfigError(f"{found.path}/venv is a folder that no deployment made; move it away")
    extras = extras_of(host)
    key = release.key(extras)
    install = found.link != f"venvs/{key}/venv" or found.installed != json.loads(installed_record(release, extras))
    selfplay = SELFPLAY in host.roles
    files, enable = _units(host, found, template, variants) if wish.install_systemd and selfplay else ({}, ())
    active = tuple(unit for unit, state in found.unit_states.items() if state == "active")
    restart = tuple(unit for unit in active if wish.restart or files)
    return HostPlan(
        host=host.name,
        key=key,
        extras=extras,
        version=release.version,
        install=install,
        over=_described(found),
        restart=wish.restart,
        drain=tuple(worker for worker in workers if worker.alive) if install or wish.restart else (),
        hot_reload=wish.hot_reload if selfplay and found.settings.hot_reload != wish.hot_reload else None,
        unit_files=files,
        enable=enable,
        restart_units=restart,
        left_units=active if install and not restart else (),
    )


def _units(host: Host, found: Found, template: str, variants: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The files to write, and the instances to enable: only where the loop runs no workers of its own."""
    text = units.render(template, units.host_place(found.path, found.root, found.user))
    digest = sha256(text.encode()).hexdigest()
    right = found.unit_digests.get(units.SELFPLAY_TEMPLATE) == digest
    wanted = [] if host.slots else [units.instance(variant) for variant in variants]
    enable = tuple(unit for unit in wanted if found.unit_states.get(unit) != "active")
    return ({} if right else {units.SELFPLAY_TEMPLATE: text}), enable


def _described(found: Found) -> str | None:
    if found.installed is None:
        return None
    return f"{found.installed['version']} ({str(found.installed['wheel_sha256'])[:8]})"


def _with(extras: tuple[str, ...]) -> str:
    return f" with {', '.join(extras)}" if extras else ""


def _record(text: object) -> Mapping[str, object] | None:
    """What is said to be installed; what cannot be read counts as nothing, so that it is installed anew."""
    try:
        document: Any = json.loads(str(text))
        version, digest = document["version"], document["wheel_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    plain = isinstance(version, str) and isinstance(digest, str) and (version + digest).isprintable()
    return document if plain and len(version) < 40 else None


def _unit(name: object) -> str:
    if name not in units.NAMES:
        raise ValueError(f"no unit of ours: {name!r:.80}")
    return str(name)


def _state(value: object) -> str:
    if not isinstance(value, str) or _STATE.fullmatch(value) is None:
        raise ValueError(f"a unit's state is a word, got {value!r:.40}")
    return value


def _text(document: Mapping[str, object], key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or len(value) > _TEXT_LENGTH or not value.isprintable():
        raise ValueError(f"{key} is text on one line, got {value!r:.80}")
    return value
