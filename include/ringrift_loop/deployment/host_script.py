"""Installing the program on a host: sent there as text and run by the host's own python3, before ours is there.

Therefore the standard library only, and nothing that an old Python cannot read: it has to say itself that it is too
old. Below the installation's folder, `venvs/<key>/` holds one installation whole (wheel, constraints, `venv/`, and
`complete` when it is), and the link `venv` names the one in use; it is moved by a rename, so it always names a whole
one.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

NEEDED = (3, 11)
_MAX_TEXT = 4096
_CHUNK = 1 << 20
_SAID = 2000  # characters of a failed command's output
_ACTIVE_WAIT_S = 10.0
_KEY = re.compile(r"[0-9a-f]{16}")
_UNIT = re.compile(r"ringrift-[a-z-]+(@[a-z0-9_]*)?\.service")


def main(arguments: list[str]) -> int:
    """Run one action; what it found or did is JSON on stdout, marked as `cluster/agent/wire.py` does."""
    if sys.version_info < NEEDED:
        found = "{} is {} {}".format(sys.executable or "python3", "Python", platform.python_version())
        return _fail("Python {}.{} or newer is needed as python3, {}".format(*NEEDED, found))
    parser = argparse.ArgumentParser(prog="install")
    parser.add_argument("action", choices=sorted(_ACTIONS))
    parser.add_argument("--token", required=True)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--key")
    parser.add_argument("--name")
    parser.add_argument("--sha256")
    parser.add_argument("--size", type=int)
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--pip-argument", action="append", default=[])
    parser.add_argument("--unit", action="append", default=[])
    parser.add_argument("--instance", action="append", default=[])
    parser.add_argument("--unit-dir", type=Path)
    args = parser.parse_args(arguments)
    args.path = args.path.resolve()
    if args.key is not None and _KEY.fullmatch(args.key) is None:
        return _fail(f"a key is 16 hex characters, got {args.key!r}")
    try:
        answer = _ACTIONS[args.action](args)
    except OSError as error:
        return _fail(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    except _Problem as problem:
        return _fail(str(problem))
    sys.stdout.write(f"\n<{args.token}>{json.dumps(answer)}</{args.token}>\n")
    return 0


class _Problem(Exception):  # noqa: N818 - it never leaves this file
    """Said on stderr, with exit status 1."""


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 1


def probe(args: argparse.Namespace) -> dict[str, object]:
    """What is here; changes nothing."""
    link = args.path / "venv"
    root = args.root.resolve()
    kept = {"installed": args.path / "installed.json", "settings": root / "host_settings.json"}
    return {
        "python": platform.python_version(),
        "path": str(args.path),
        "root": str(root),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "link": str(link.readlink()) if link.is_symlink() else "folder" if link.exists() else None,
        **{name: _text(path) for name, path in kept.items()},
        "units": {name: _digest(args.unit_dir / name) for name in args.unit},
        "states": _states(args.instance),
    }


def receive(args: argparse.Namespace) -> dict[str, object]:
    """Take a file of an installation from stdin; one that is here already is kept."""
    folder = _folder(args)
    target = folder / Path(args.name).name
    if _digest(target) != args.sha256:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{target.name}.{os.getpid()}.tmp"
        try:
            with temporary.open("wb") as file:
                left = args.size
                while left:
                    chunk = sys.stdin.buffer.read(min(left, _CHUNK))
                    if not chunk:
                        break
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                os.fsync(file.fileno())
            if _digest(temporary) != args.sha256:
                raise _Problem(f"{target.name} arrived damaged or cut, {args.size - left} of {args.size} bytes")
            temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)
    return {"received": target.name}


def build(args: argparse.Namespace) -> dict[str, object]:
    """Make the virtual environment of an installation, unless it is complete; the one in use is not touched."""
    folder = _folder(args)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete, venv = folder / "complete", folder / "venv"
        if complete.exists():
            return {"built": False}
        shutil.rmtree(venv, ignore_errors=True)
        hint = "on Debian, apt-get install python3-venv"
        _run([sys.executable, "-m", "venv", str(venv)], f"no virtual environment could be made ({hint})")
        extras = f"[{','.join(args.extra)}]" if args.extra else ""
        pip = [
            str(venv / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--no-user",
        ]
        pip += ["--constraint", str(folder / "constraints.txt"), *args.pip_argument]
        _run([*pip, str(folder / Path(args.name).name) + extras], "pip could not install the wheel")
        os.sync()  # the mark must not reach the disk before what it stands for
        complete.touch()
    return {"built": True}


def switch(args: argparse.Namespace) -> dict[str, object]:
    """Put an installation in use, write down which; drop those that are neither in use nor the one before."""
    link = args.path / "venv"
    if link.exists() and not link.is_symlink():
        raise _Problem(f"{link} is a folder that no deployment made; move it away")
    if not (_folder(args) / "complete").exists():
        raise _Problem(f"the installation {args.key} is not complete")
    before = link.readlink().parent.name if link.is_symlink() else None
    temporary = args.path / f".venv.{os.getpid()}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(f"venvs/{args.key}/venv")
    temporary.rename(link)
    record = args.path / f".installed.json.{os.getpid()}.tmp"
    with record.open("wb") as file:
        file.write(sys.stdin.buffer.read(_MAX_TEXT))
        file.flush()
        os.fsync(file.fileno())
    record.rename(args.path / "installed.json")
    dropped = []
    for folder in sorted((args.path / "venvs").iterdir()):
        if folder.name not in (args.key, before) and not _used(folder):
            shutil.rmtree(folder)
            dropped.append(folder.name)
    return {"before": before, "dropped": dropped}


def units(args: argparse.Namespace) -> dict[str, object]:
    """Install, enable, start and restart units as stdin says; done when systemd calls them active."""
    wish = json.loads(sys.stdin.buffer.read(1 << 20))
    names = [*wish["files"], *wish["enable"], *wish["restart"]]
    wrong = next((name for name in names if _UNIT.fullmatch(name) is None), None)
    if wrong is not None:
        raise _Problem(f"not one of our units: {wrong!r}")
    if shutil.which("systemctl") is None:
        raise _Problem("there is no systemctl here: units need systemd")
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    if sudo and (shutil.which("sudo") is None or subprocess.run([*sudo, "true"], capture_output=True).returncode):
        user = pwd.getpwuid(os.getuid()).pw_name
        raise _Problem(f"units need root: log in as root, or give {user} sudo without a password")
    args.path.mkdir(parents=True, exist_ok=True)
    Path(args.root).mkdir(parents=True, exist_ok=True)  # a unit may only write to what exists
    for name, text in wish["files"].items():
        temporary = args.path / f".{name}.{os.getpid()}.tmp"
        temporary.write_text(text)
        try:
            command = [*sudo, "install", "-m", "0644", str(temporary), str(args.unit_dir / name)]
            _run(command, f"{name} could not be installed")
        finally:
            temporary.unlink()
    if wish["files"]:
        _run([*sudo, "systemctl", "daemon-reload"], "systemd did not reload its units")
    for name in wish["enable"]:
        _run([*sudo, "systemctl", "enable", "--now", name], f"{name} was not enabled")
    for name in wish["restart"]:
        _run([*sudo, "systemctl", "restart", name], f"{name} was not restarted")
    wanted = [*wish["enable"], *wish["restart"]]
    give_up = time.monotonic() + _ACTIVE_WAIT_S
    while wanted:
        states = _states(wanted)
        name = next((name for name in wanted if states.get(name) != "active"), None)
        if name is None:
            break
        if time.monotonic() > give_up:
            raise _Problem(f"{name} is {states.get(name, 'unknown')}, not active: journalctl -u {name}")
        time.sleep(0.5)
    return {"active": wanted}


_ACTIONS = {"probe": probe, "receive": receive, "build": build, "switch": switch, "units": units}


def _folder(args: argparse.Namespace) -> Path:
    folder: Path = args.path / "venvs" / args.key
    return folder


def _run(command: list[str], problem: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip()[-_SAID:]
        raise _Problem(f"{problem}: {said or f'exit status {done.returncode}'}")


def _states(names: list[str]) -> dict[str, str]:
    """What systemd says of each unit; nothing where there is no systemd."""
    if not names or shutil.which("systemctl") is None:
        return {}
    done = subprocess.run(["systemctl", "is-active", *names], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = done.stdout.decode("utf-8", "replace").split()
    return dict(zip(names, lines)) if len(lines) == len(names) else {}  # noqa: B905 - strict is not in every Python


def _used(folder: Path) -> bool:
    """Whether a process that was started from this folder runs."""
    mark = os.fsencode(folder) + b"/"
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in entry.read_bytes():
                return True
        except OSError:
            continue  # it has ended, or is another user's and was not started from here
    return False


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _digest(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
