"""What a deployment will do on each host, decided before anything is done. Pure functions.

A host's answer to `host_script.probe` is checked here, compared with what is wished for, and told in one line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from ringrift_loop.checked_json import Digest, Document, ProgramVersion, parse
from ringrift_loop.cluster.agent.report import WorkerReport
from ringrift_loop.deployment import units
from ringrift_loop.deployment.release import Release
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.hosts.inventory import SELFPLAY, Host, Inventory
from ringrift_loop.selfplay.host_settings import DEFAULTS, HostSettings, parse_settings
from ringrift_loop.text import counted

ALL, PRIMARY, SELFPLAY_HOSTS = SCOPES = ("all", "primary", "selfplay")
PRIMARY_ROLES = frozenset({"training", "hp_tuning", "tournament"})
FOLDER = "folder"  # the probe's word for a `venv` that is no link
_MAX_EXTRAS = 8
_State = Annotated[str, Meta(pattern=r"^[a-z-]{1,20}\Z")]
_Text = Annotated[str, Meta(max_length=4096)]


@dataclass(frozen=True)
class Wish:
    """What a person asked for."""

    install_systemd: bool = False
    restart: bool = False
    hot_reload: bool = True


class Installed(Document, frozen=True):
    """A host's `installed.json`, written when everything else is there."""

    version: ProgramVersion
    wheel_sha256: Digest
    constraints_sha256: Digest
    extras: Annotated[tuple[str, ...], Meta(max_length=_MAX_EXTRAS)]


class _Answer(Document, frozen=True, kw_only=True):
    """What `host_script.probe` answers."""

    python: _Text = ""
    path: _Text
    root: _Text
    user: _Text
    link: _Text | None
    installed: _Text | None  # the files there, as they are
    settings: _Text | None
    units: dict[str, Digest | None]
    states: dict[str, _State]

    def __post_init__(self) -> None:
        """Paths and names are on one line, and units are ours."""
        for text in (self.path, self.root, self.user, self.link or ""):
            if not text.isprintable():
                raise ValueError(f"paths and names must be on one line, got {text[:80]!r}")
        strange = (self.units.keys() | self.states.keys()) - units.NAMES
        if strange:
            raise ValueError(f"not one of our units: {min(strange)[:80]!r}")


@dataclass(frozen=True)
class Found:
    """What is on a host."""

    path: str
    root: str
    user: str
    link: str | None  # what `venv` points to; FOLDER when it is a folder
    installed: Installed | None  # None as well when the record cannot be read
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
    def steps(self) -> list[str]:
        """What will be done, in words."""
        steps = []
        if self.install:
            steps.append(f"install {self.version}{_with(self.extras)} over {self.over or 'nothing'}")
        if self.drain:
            again = " and start them again" if self.restart else ""
            steps.append(f"drain {counted(len(self.drain), 'worker')}{again}")
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
        raise ConfigError(f"scope must be one of {', '.join(SCOPES)}, got {scope!r}")
    wanted = {ALL: None, PRIMARY: PRIMARY_ROLES, SELFPLAY_HOSTS: frozenset({SELFPLAY})}[scope]
    hosts = {host.name: host for host in inventory.enabled if wanted is None or host.roles & wanted}
    missing = [name for name in names if name not in hosts]
    if missing or not hosts:
        among = "" if wanted is None else f" with a role of {', '.join(sorted(wanted))}"
        what = f"named {', '.join(missing)}" if missing else "to deploy to"
        raise ConfigError(f"there is no enabled host{among} {what}; the hosts are {', '.join(hosts) or 'none'}")
    return [hosts[name] for name in dict.fromkeys(names)] if names else list(hosts.values())


def extras_of(host: Host) -> tuple[str, ...]:
    """The extras that a host's roles need."""
    return ("train",) if "training" in host.roles else ()


def installed_record(release: Release, extras: tuple[str, ...]) -> Installed:
    """What is written down of an installation."""
    return Installed(release.version, release.wheel_sha256, release.constraints_sha256, extras)


def parse_found(raw: bytes, host: Host) -> Found:
    """Read a probe's answer; nothing in it is trusted.

    Raises:
        DataError: it is not what a probe answers.
    """
    answer = parse(raw, _Answer, f"what a probe of {host.name} answers")
    settings = answer.settings
    return Found(
        path=answer.path,
        root=answer.root,
        user=answer.user,
        link=answer.link,
        installed=_installed(answer.installed),
        settings=DEFAULTS if settings is None else parse_settings(settings, f"{host.name}: host_settings.json"),
        unit_digests=answer.units,
        unit_states=answer.states,
    )


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
    install = found.link != f"venvs/{key}/venv" or found.installed != installed_record(release, extras)
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
    return f"{found.installed.version} ({found.installed.wheel_sha256[:8]})"


def _with(extras: tuple[str, ...]) -> str:
    return f" with {', '.join(extras)}" if extras else ""


def _installed(text: str | None) -> Installed | None:
    """What is said to be installed; what cannot be read counts as nothing, so that it is installed anew."""
    with contextlib.suppress(DataError):
        return None if text is None else parse(text, Installed, "installed.json")
    return None
