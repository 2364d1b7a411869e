"""A file or folder to many hosts by rsync over OpenSSH, with the inventory's logins and host keys.

Who the host is, is decided once and in one place: asyncssh logs in first, as everywhere else (`host_keys.py`), and
OpenSSH is then given that one key in a file of its own and accepts no other. Nothing is ever deleted on a host. What
came of it is a `fan_out.FanOutReport`.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from ringrift_loop.cluster.ssh import commands
from ringrift_loop.cluster.ssh.commands import LEAD_S
from ringrift_loop.cluster.ssh.connection import KEY_EXCHANGE, Completed, SSHHost
from ringrift_loop.cluster.ssh.fan_out import (
    FAILED,
    HOSTS_AT_ONCE,
    LIMIT_S,
    OK,
    TIMED_OUT,
    UNREACHABLE,
    FanOutReport,
    HostResult,
    on_each,
    result_of,
    run_here,
)
from ringrift_loop.cluster.ssh.login import given_key
from ringrift_loop.errors import ConfigError, RemoteJobFailed
from ringrift_loop.hosts.inventory import LOCAL, Host
from ringrift_loop.text import clean

_ALIAS = "ringrift-verified"  # the name under which OpenSSH looks the key up; no host name, so no other line fits
_STALL_S = 30  # no byte for so long: rsync gives up by itself, with status 30
# Runs ssh and writes down how it ended, before rsync can know that it did.
_SSH = 'at=$1; shift; "$@"; status=$?; echo $status >"$at"; exit $status'
_NO_STATUS_OF_OURS = frozenset({124, 126, 127, 137, 255})  # of ssh, or of the shell and `timeout` on the host
_BROKEN = 12  # how it ends here, whatever ended the other side
# rsync's own exit statuses, in its manual's order; those of ssh and of the shell behind them.
_MEANING = {
    1: (FAILED, "rsync was called wrongly; the two sides may be too far apart in version (3.2.3 is needed)"),
    2: (FAILED, "the two rsyncs do not speak the same protocol"),
    3: (FAILED, "source or target cannot be selected"),
    10: (FAILED, "error in a socket"),
    11: (FAILED, "files cannot be written or read"),
    12: (FAILED, "the stream broke: the connection or the rsync on the other side ended"),
    13: (FAILED, "rsync's own messages broke off"),
    14: (FAILED, "the processes of rsync lost each other"),
    20: (FAILED, "rsync was ended by a signal"),
    22: (FAILED, "out of memory"),
    23: (FAILED, "partial: some files were not transferred"),
    24: (FAILED, "partial: files of the source vanished on the way"),
    25: (FAILED, "partial: the limit of deletions was reached"),
    30: (TIMED_OUT, f"no byte moved for {_STALL_S} s"),
    35: (TIMED_OUT, "the other side did not answer"),
    126: (FAILED, "rsync may not be run there"),
    127: (FAILED, "rsync is not installed there"),
    255: (UNREACHABLE, "ssh had no connection, or lost it"),
}
_CUT = frozenset({12, 20, 124, 137, 255})  # how it looks from here when the host's `timeout` ends its rsync
_NO_CAUSE = re.compile(r"rsync error: |rsync: .*connection unexpectedly closed")  # what it always says at its end


@dataclass(frozen=True)
class RsyncTo:
    """What goes where."""

    source: Path
    """A file or folder of this machine."""
    target: str
    """Its name on the host: a folder gets the source folder's content, a file the source file's. Relative to the home
    of the user who logs in; folders above it are made."""

    def check(self) -> None:
        """Raises `ConfigError` unless this can be sent."""
        if not self.source.exists():
            raise ConfigError(f"rsync: the source {self.source} does not exist on this machine")
        if not self.target or self.target.startswith("~") or any(ord(letter) < 32 for letter in self.target):
            raise ConfigError(
                f"rsync: the target is a path on the host, without ~ (a relative one lies in the login's home), got "
                f"{self.target!r}"
            )


def push(
    hosts: Sequence[Host],
    what: RsyncTo,
    *,
    limit_s: float = LIMIT_S,
    at_once: int = HOSTS_AT_ONCE,
    min_success: int | float | None = None,
) -> FanOutReport:
    """Bring a file or folder to every host; running it again moves only what differs.

    Args:
        hosts: where to.
        what: source and target.
        limit_s: wall clock for one host, the login included; rsync and ssh are killed then, also on the host.
        at_once: hosts at a time.
        min_success: as `Fleet.run` takes it.

    Raises:
        ConfigError: there is no such source, rsync or ssh is not installed here, or a limit is out of its range.
    """
    what.check()
    for program in ("rsync", "ssh"):
        if shutil.which(program) is None:
            raise ConfigError(f"the program {program} is not installed on this machine: install the package")

    async def one(host: Host) -> HostResult:
        return await result_of(host.name, _send(host, what, limit_s), limit_s, _judge)

    return asyncio.run(on_each(hosts, one, limit_s=limit_s, at_once=at_once, min_success=min_success))


async def _send(host: Host, what: RsyncTo, limit_s: float) -> Completed:
    if host.transport == LOCAL:
        return await run_here(host.name, _local_words(what), limit_s=limit_s)
    if host.ssh_key is None and given_key(host) is None and host.credentials is not None and host.credentials.password:
        raise ConfigError(f"host {host.name}: rsync logs in by a key, but connection {host.connection} has a password")
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(limit_s), aclosing(SSHHost(host)) as login:
            key = await login.verified_key()
    except TimeoutError:
        raise RemoteJobFailed(f"{host.name}: no login within {limit_s:g} s") from None
    left_s = limit_s - (asyncio.get_running_loop().time() - started)
    if left_s <= LEAD_S:
        raise RemoteJobFailed(f"{host.name}: the login left {left_s:.1f} s of {limit_s:g} for the transfer")
    # Mode 700, removed with all that is in it; a file of 600 for the key within.
    with tempfile.TemporaryDirectory(prefix="ringrift-rsync-") as folder:
        ended = Path(folder) / "ssh-ended"
        ssh = ["sh", "-c", _SSH, "sh", str(ended), *ssh_words(host, key, Path(folder))]
        done = await run_here(host.name, remote_words(host, what, ssh, left_s - LEAD_S), limit_s=left_s)
        return replace(done, exit_status=_first_cause(done.exit_status, ended))


def _first_cause(status: int, ended: Path) -> int:
    """The exit status that says what happened: rsync's is often that of a broken stream only, by chance of timing."""
    written = ended.read_text() if ended.exists() else ""  # nothing when both were killed
    by_ssh = int(written or 0)
    if by_ssh in _NO_STATUS_OF_OURS:
        return by_ssh
    return by_ssh if status == _BROKEN and by_ssh != 0 else status


def ssh_words(host: Host, key: str, folder: Path) -> list[str]:
    """OpenSSH's command line for a host; writes the key files that it names.

    Args:
        host: where to.
        key: the only host key that is accepted.
        folder: a private one, for the files.
    """
    known = folder / "known_hosts"
    known.write_text(f"{_ALIAS} {key}\n", encoding="ascii")
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _file(known),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": _ALIAS,
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "VerifyHostKeyDNS": "no",
        "KexAlgorithms": KEY_EXCHANGE,
        "ConnectTimeout": f"{max(1, host.connect_limit_s):.0f}",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
        "Compression": "no",
        "ControlPath": "none",  # a shared connection would be one whose key nobody looked at here
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no",
    }
    identity = _identity(host, folder)
    if identity is not None:
        options |= {"IdentityFile": _file(identity), "IdentitiesOnly": "yes"}
    words = ["ssh", *(f"-o{name}={value}" for name, value in options.items())]
    if host.ssh_port is not None:
        words += ["-p", str(host.ssh_port)]
    if host.ssh_user is not None:
        words += [f"-l{host.ssh_user}"]
    return words


def remote_words(host: Host, what: RsyncTo, ssh: Sequence[str], limit_s: float) -> list[str]:
    """rsync's command line for a host reached by SSH; `limit_s` is the time that the host's rsync has."""
    address = f"[{host.ssh_host}]" if ":" in (host.ssh_host or "") else host.ssh_host
    return [
        *_rsync(what),
        "--secluded-args",  # names travel within the stream: no shell of the host ever reads them
        f"--timeout={_STALL_S}",
        f"--rsync-path={commands.rsync(limit_s)}",
        f"--rsh={shlex.join(ssh)}",  # rsync reads quotes as a shell does
        "--",
        _source(what),
        f"{address}:{what.target}",
    ]


def _local_words(what: RsyncTo) -> list[str]:
    return [*_rsync(what), "--", _source(what), str(Path.home() / what.target)]


def _rsync(what: RsyncTo) -> list[str]:
    # A cut transfer goes on where it was; neither owners nor device files are taken over, and nothing is deleted.
    words = ["rsync", "--recursive", "--links", "--perms", "--times", "--mkpath", "--stats"]
    return [*words, "--partial-dir=.rsync-partial"]


def _source(what: RsyncTo) -> str:
    # Absolute, so that a colon in a name is not taken for a host's; the slash: the folder's content, not the folder.
    return f"{what.source.absolute()}{'/' if what.source.is_dir() else ''}"


def _identity(host: Host, folder: Path) -> Path | None:
    text = given_key(host)
    if text is not None:
        path = folder / "id"
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")
        return path
    return None if host.ssh_key is None else Path(host.ssh_key).expanduser()


def _file(path: Path) -> str:
    """A file's name as a value of OpenSSH's options, where %, quotes and spaces have a meaning."""
    text = str(path)
    if '"' in text or "\\" in text:
        raise ConfigError(f"ssh cannot be given a file whose name has quotes or backslashes: {text}")
    return '"{}"'.format(text.replace("%", "%%"))


def _judge(done: Completed, seconds: float, limit_s: float) -> tuple[str, str | None]:
    if done.exit_status == 0:
        return OK, None
    if done.exit_status in _CUT and seconds >= limit_s - LEAD_S:
        return TIMED_OUT, f"ended on the host after {limit_s - LEAD_S:g} s (exit status {done.exit_status})"
    status, meaning = _MEANING.get(done.exit_status, (FAILED, "rsync failed"))
    said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if not _NO_CAUSE.match(line)]
    return status, f"{meaning} (exit status {done.exit_status})" + (f": {clean(said[-1])}" if said else "")
