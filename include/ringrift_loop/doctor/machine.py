"""The checks of this machine: Python, packages, files, ledger, disk, ports, launcher."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from ringrift_loop.config import EffectiveConfig, LoopConfig, load_effective
from ringrift_loop.config.notifier import check_notifier
from ringrift_loop.doctor.findings import FAILED, HERE, OK, SKIPPED, WARNING, Finding, graded
from ringrift_loop.errors import ConfigError, LedgerError
from ringrift_loop.hosts.inventory import Inventory, load_inventory
from ringrift_loop.launcher.checks import (
    MIN_FREE_BYTES,
    OLDEST_PYTHON,
    TOO_NEW_PYTHON,
    Port,
    check_port,
    is_of_this_machine,
    metrics_ports,
)
from ringrift_loop.launcher.environment import LAUNCH_VARIABLE, read_shell_file, shell_file
from ringrift_loop.launcher.leftovers import is_running, lock_file, record_file
from ringrift_loop.launcher.shutdown import LaunchRecord
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import run_directory
from ringrift_loop.ledger.database import Ledger, sqlite_file
from ringrift_loop.ledger.migrate import check_current, current
from ringrift_loop.loop import Loop
from ringrift_loop.machine.processes import marked_processes
from ringrift_loop.metrics.emit import Metrics
from ringrift_loop.text import one_line

_DISTRIBUTION = "ringrift-loop"
_EXTRAS = ("train", "airflow", "postgres")
_IMPORT_LIMIT_S = 60.0
_IMPORTS = (
    "import importlib, sys\n"
    "for name in sys.argv[1:]:\n"
    "    try: importlib.import_module(name)\n"
    "    except Exception as error: print(f'{name}: {type(error).__name__}: {error}')\n"
)
_MODULES = {"pyyaml": "yaml", "nvidia-ml-py": "pynvml"}  # the others are imported by their own names
PAGE_PORT = 8080  # of a first `ringrift-loop up`; later ones are written down
_INSTALL = "make run, or pip install -c constraints.txt -e '.[airflow,train]'"


@dataclass(frozen=True)
class Setup:
    """What could be opened; None for what could not, whose finding says why."""

    directory: RunDirectory
    effective: EffectiveConfig | None
    inventory: Inventory | None
    ledger: Ledger | None
    findings: tuple[Finding, ...]  # one each for configuration, inventory and ledger

    @property
    def config(self) -> LoopConfig:
        """The configuration in force, or the defaults while the file is wrong."""
        return LoopConfig() if self.effective is None else self.effective.config

    @property
    def loop(self) -> Loop | None:
        """The loop, when all of its parts could be opened."""
        if self.effective is None or self.inventory is None or self.ledger is None:
            return None
        metrics = Metrics.open(self.effective.config, self.directory.fleet)
        return Loop(self.effective.config, self.inventory, self.directory, self.ledger, metrics)


def open_setup(config_path: Path | None = None) -> Setup:
    """Open configuration, inventory and ledger, each for itself."""
    directory, findings = RunDirectory.from_environment(), []
    effective: EffectiveConfig | None = None
    inventory: Inventory | None = None
    ledger: Ledger | None = None
    right = "every key is known and every value in its range"
    try:
        effective = load_effective(config_path)
        check_notifier(effective.config.notifications)
        findings.append(Finding("configuration", HERE, OK, str(effective.path or "no file: the defaults apply"), right))
    except ConfigError as error:
        remedy = "correct the line that is named; ringrift-loop config check"
        findings.append(Finding("configuration", HERE, FAILED, one_line(str(error)), right, remedy))
    right = "every host's entry is complete"
    try:
        inventory = load_inventory()
        named = f"{len(inventory.enabled)} of {len(inventory.hosts)} hosts enabled"
        findings.append(Finding("inventory", HERE, OK, named, right))
    except ConfigError as error:
        remedy = "correct the line that is named in config/remote_hosts.yaml, or set RINGRIFT_HOSTS to another file"
        findings.append(Finding("inventory", HERE, FAILED, one_line(str(error)), right, remedy))
    right = "it answers, at this version's schema"
    try:
        ledger = _open_ledger(directory)
        with ledger.read() as conn:
            findings.append(Finding("ledger", HERE, OK, f"schema {current(conn)}", right))
    except (ConfigError, LedgerError, OSError) as error:
        remedy = "ringrift-loop ledger migrate; another database in RINGRIFT_LEDGER_URL"
        findings.append(Finding("ledger", HERE, FAILED, one_line(str(error)), right, remedy))
    return Setup(directory, effective, inventory, ledger, tuple(findings))


def _open_ledger(directory: RunDirectory) -> Ledger:
    url = directory.ledger_url
    file = sqlite_file(url)
    if file is not None and not file.exists():  # opening would make an empty one
        raise LedgerError(f"there is no ledger at {file} yet")
    ledger = Ledger.open(url)
    check_current(ledger)
    run_directory.check(ledger, directory)
    return ledger


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Finding]:
    """This process's Python."""
    yield graded(
        "python",
        HERE,
        f"Python {'.'.join(map(str, version))} at {sys.executable}",
        failed=not OLDEST_PYTHON <= version[:2] < TOO_NEW_PYTHON,
        right="3.11, 3.12 or 3.13",
        remedy="make clean, then make run with one of them first on the PATH",
    )


def check_packages(requirements: Sequence[str] | None = None) -> Iterator[Finding]:
    """The distribution's own requirements: versions of all that are wanted, imports of the ones that every host needs.

    An extra is wanted when any of its packages is installed.
    """
    texts = metadata.requires(_DISTRIBUTION) if requirements is None else requirements
    asked = [Requirement(text) for text in texts or ()]
    base = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [complaint for one in base if (complaint := _misfit(one)) is not None]
    extras = []
    for extra in _EXTRAS:
        own = [
            one for one in asked if one not in base and one.marker is not None and one.marker.evaluate({"extra": extra})
        ]
        if any(_installed(one.name) for one in own):
            extras.append(extra)
            wrong += [complaint for one in own if (complaint := _misfit(one)) is not None]
    modules = [_MODULES.get(one.name.lower(), one.name.replace("-", "_")) for one in base if _installed(one.name)]
    wrong += _unimportable(modules)
    with_extras = f" and the extras {', '.join(extras)}" if extras else ""
    yield graded(
        "packages",
        HERE,
        "; ".join(wrong) if wrong else f"{len(base)} packages{with_extras} fit",
        failed=bool(wrong),
        right="as the project's metadata says",
        remedy=_INSTALL,
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _misfit(wanted: Requirement) -> str | None:
    version = _installed(wanted.name)
    if version is None:
        return f"{wanted.name} is missing ({wanted.name}{wanted.specifier})"
    fits = wanted.specifier.contains(version, prereleases=True)
    return None if fits else f"{wanted.name} is {version}, wanted is {wanted.specifier}"


def _unimportable(modules: Sequence[str]) -> list[str]:
    """What an import of each module complains of, in a process of its own."""
    command = [sys.executable, "-c", _IMPORTS, *modules]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return [f"importing them took more than {_IMPORT_LIMIT_S:.0f} s"]
    complaints = [line[:200] for line in done.stdout.splitlines() if line.strip()]
    return complaints if done.returncode == 0 else [*complaints, f"an import ended Python with {done.returncode}"]


def check_run_directory(directory: RunDirectory) -> Iterator[Finding]:
    """Rights and room, without making anything."""
    folder = next(path for path in (directory.root, *directory.root.parents) if path.exists())
    problem = None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is not ours to write"
    yield graded(
        "run-directory",
        HERE,
        str(directory.root) if problem is None else problem,
        failed=problem is not None,
        right="files can be made there",
        remedy=f"chown -R {os.getuid()} {shlex.quote(str(folder))}, or another folder in RINGRIFT_HOME",
    )
    free = shutil.disk_usage(folder).free
    yield graded(
        "disk",
        HERE,
        f"{free / 1024**3:.1f} GiB free at {folder}",
        failed=free < MIN_FREE_BYTES,
        warning=free < 2 * MIN_FREE_BYTES,
        right=f"{2 * MIN_FREE_BYTES / 1024**3:.0f} GiB; below {MIN_FREE_BYTES / 1024**3:.0f} the loop does not start",
        remedy=f"free some space: du -xh -d 2 {shlex.quote(str(folder))} | sort -h | tail; or another RINGRIFT_HOME",
    )


def check_ports(directory: RunDirectory, config: LoopConfig) -> Iterator[Finding]:
    """Page, metrics and StatsD: free, or held by a process that this run directory's launcher started."""
    page = read_shell_file(shell_file(directory)).get("AIRFLOW__API__PORT", "")
    ports = [Port(int(page) if page.isdecimal() else PAGE_PORT, "the page", "make run ARGS='--port 8090'")]
    if is_of_this_machine(config.statsd_host):
        ports += metrics_ports(config.metrics_port, config.statsd_host, config.statsd_port)
    ours = _own_ports(directory)
    for port in ports:
        label = f"{'UDP' if port.datagram else 'TCP'} {port.number} for {port.purpose}"
        try:
            check_port(port)
            yield Finding("ports", HERE, OK, f"{label}: free", "free, or ours")
        except ConfigError:
            mine = port.number in ours
            met = f"{label}: {'ours' if mine else 'taken by another program'}"
            # Without a launcher it may be a loop that others started, such as systemd: nothing fails because of it.
            yield graded("ports", HERE, met, failed=False, warning=not mine, right="free, or ours", remedy=port.remedy)


def _own_ports(directory: RunDirectory) -> set[int]:
    launch = LaunchRecord.load(record_file(directory))
    found: set[int] = set()
    for process in () if launch is None else marked_processes(LAUNCH_VARIABLE, launch.launch_id):
        try:
            found |= {one.laddr.port for one in process.net_connections(kind="inet") if one.laddr}
        except psutil.Error:
            continue  # it ended, or is not ours to look into
    return found


def check_launcher(directory: RunDirectory) -> Iterator[Finding]:
    """Whether `ringrift-loop up` holds the lock of the run directory, by whose pid."""
    file = lock_file(directory)
    right, remedy = "`ringrift-loop up` is running, or its equivalent", "make run; the log is run/logs/"
    if not is_running(directory):
        met = "not running" if file.exists() else f"never started in {directory.root}"
        yield Finding("launcher", HERE, WARNING, met, right, remedy)
    else:
        pid = file.read_text(errors="replace").strip()
        yield Finding("launcher", HERE, OK, f"runs as process {pid[:20]}", right)


def skipped(checks: Sequence[str], why: str) -> Iterator[Finding]:
    """The checks that need what could not be opened."""
    for check in checks:
        yield Finding(check, HERE, SKIPPED, why)
