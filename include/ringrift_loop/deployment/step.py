"""One step of a deployment on one machine: a command with a time limit, and what it said when it failed."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from ringrift_loop import __version__
from ringrift_loop.cluster.agent import wire
from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.fan_out import LocalShell, Runner
from ringrift_loop.deployment import units
from ringrift_loop.deployment.plan import HostPlan, Wish, parse_found
from ringrift_loop.errors import ConfigError, RemoteJobFailed
from ringrift_loop.hosts.inventory import LOCAL, Host

STEP_LIMIT_S = 60.0
UNITS_LIMIT_S = 180.0
THIS_MACHINE = "this machine"
_NOT_FOUND, _TIMED_OUT, _KILLED = 127, 124, 137
# One line without anything that a login shell would act on within quotes.
# A Python before 3.7 cannot even read the script, which says itself when one is too old.
_READ_AND_RUN = (
    "import json,sys;r=sys.stdin.buffer;a=json.loads(r.readline());sys.version_info<(3,7)and sys.exit(a[0]);"
    "sys.argv[1:]=a[1:];exec(r.read({}))"
)
_TOO_OLD = "Python 3.11 or newer is needed as python3, there it is older than 3.7"


async def run_step(
    runner: Runner, name: str, command: Sequence[str], stdin: bytes = b"", *, limit_s: float = STEP_LIMIT_S
) -> bytes:
    """Run a command; returns what its login and it printed.

    Raises:
        HostUnreachable: no connection.
        RemoteJobFailed: it failed; the message has what it said.
    """
    done = await runner.run(commands.bounded(command, limit_s - commands.LEAD_S), stdin=stdin, limit_s=limit_s)
    if done.exit_status == 0:
        return done.stdout
    said = done.said
    if done.exit_status in (_TIMED_OUT, _KILLED):
        said = f"ended after {limit_s - commands.LEAD_S:g} s{f': {said}' if said else ''}"
    elif done.exit_status == _NOT_FOUND:
        said = f"{command[0]} is not there ({said})"
    raise RemoteJobFailed(f"{name}: {said or f'{command[0]} ended with exit status {done.exit_status}'}")


async def install(
    runner: Runner,
    host: Host,
    action: str,
    *options: str,
    content: bytes = b"",
    limit_s: float = STEP_LIMIT_S,
    python: str = "python3",
) -> bytes:
    """Run an action of `host_script.py`, which goes along: the host needs nothing but a Python. Returns its answer.

    Arguments, script and content come on stdin, so that no login shell has to pass them on.

    Raises:
        HostUnreachable: no connection.
        RemoteJobFailed: it failed; the message has what it said.
        DataError: it did not answer.
    """
    token, script = wire.new_token(), _host_script()
    arguments = [action, "--token", token, "--path", installation(host), "--root", host.remote_root, *options]
    stdin = json.dumps([_TOO_OLD, *arguments]).encode() + b"\n" + script + content
    command = [python, "-I", "-c", _READ_AND_RUN.format(len(script))]
    return wire.between_marks(await run_step(runner, host.name, command, stdin, limit_s=limit_s), token)


def installation(host: Host) -> str:
    """The folder that the program is installed into.

    Raises:
        ConfigError: the inventory does not say.
    """
    if host.remote_path is None:
        raise ConfigError(f"host {host.name} has no remote_path: name the folder to install into in the inventory")
    return host.remote_path.rstrip("/")


@cache
def _host_script() -> bytes:
    return files("ringrift_loop.deployment").joinpath("host_script.py").read_bytes()


async def change_units(runner: Runner, host: Host, plan: HostPlan, unit_dir: str, python: str = "python3") -> None:
    """Install, enable and restart the units that a plan names, if any.

    Raises:
        RemoteJobFailed: no root rights, or a unit is not active afterwards.
    """
    if not (plan.unit_files or plan.enable or plan.restart_units):
        return
    wish = {"files": dict(plan.unit_files), "enable": plan.enable, "restart": plan.restart_units}
    content = json.dumps(wish).encode()
    options = ("--unit-dir", unit_dir)
    await install(runner, host, "units", *options, content=content, limit_s=UNITS_LIMIT_S, python=python)


class Coordinator:
    """This machine's own unit, which starts the loop at boot: `ringrift-ai-loop.service`.

    Args:
        project: the folder with dags/, plugins/ and config/.
        run: the run directory.
        unit_dir: where units lie.
    """

    def __init__(self, project: Path, run: Path, unit_dir: str = units.UNIT_DIR) -> None:
        self.host = Host(THIS_MACHINE, LOCAL, frozenset(), remote_path=str(run), root=str(run))
        self._project, self._run = project, run
        self._shell, self._unit_dir = LocalShell(THIS_MACHINE), unit_dir

    async def plan(self, wish: Wish) -> HostPlan:
        """Compare the unit with what is there."""
        options = ["--unit-dir", self._unit_dir, "--unit", units.COORDINATOR, "--instance", units.COORDINATOR]
        found = parse_found(await install(self._shell, self.host, "probe", *options, python=sys.executable), self.host)
        active = found.unit_states.get(units.COORDINATOR) == "active"
        files = {}
        if wish.install_systemd:
            user = os.environ.get("SUDO_USER") or getpass.getuser()
            place = units.coordinator_place(Path(sys.prefix), self._project, self._run, user, os.environ)
            text = units.render(units.read_unit(self._project, units.COORDINATOR), place)
            if found.unit_digests.get(units.COORDINATOR) != sha256(text.encode()).hexdigest():
                files[units.COORDINATOR] = text
        return HostPlan(
            host=THIS_MACHINE,
            key="",
            version=__version__,
            unit_files=files,
            enable=(units.COORDINATOR,) if wish.install_systemd and not active else (),
            restart_units=(units.COORDINATOR,) if active and (files or wish.restart) else (),
        )

    async def carry_out(self, plan: HostPlan) -> None:
        """Do what was planned."""
        await change_units(self._shell, self.host, plan, self._unit_dir, python=sys.executable)
