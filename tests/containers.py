"""The services of a Compose file without a container engine: namespaces of the kernel, and this machine's programs.

Each container has a network, process, host-name, mount and IPC namespace of its own and sees a root folder of its own:
`/usr` and this environment's Python read-only, a copy of `/etc`, and nothing else of this machine but the mounts,
volumes and secrets that the file names. Commands, environment, health checks, order of the start and restart policy
are read from the Compose file; entry point, user and working folder from the Dockerfile where the file builds the
image. For an image from elsewhere `STAND_INS` has the program that stands in for it. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

import netns

T = TypeVar("T")

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::\?(?P<message>[^}]*)|:-(?P<default>[^}]*))?\})")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = {"unshare": "util-linux", "setpriv": "util-linux", "chroot": "coreutils", "tini": "tini"}
_FOLDERS = ("home", "opt", "proc", "root", "run/secrets", "srv", "sys", "tmp", "var/lib", "var/log", "var/tmp", "dev")
_UID = 50000  # of the images' users

# As the image's own entry point: on an empty volume the database is made by a server that listens on its socket alone.
_POSTGRES = r"""
set -eu
PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1):$PATH
data=/var/lib/postgresql/data
postgres_user() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
mkdir -p /run/postgresql "$data"
chown postgres:postgres /run/postgresql "$data"
chmod 700 "$data"
if [ ! -s "$data/PG_VERSION" ]; then
  printf '%s\n' "$POSTGRES_PASSWORD" > /run/password
  chmod 644 /run/password
  postgres_user initdb -D "$data" --username="$POSTGRES_USER" --pwfile=/run/password --encoding=UTF8 --locale=C.UTF-8 \
    --auth-host=scram-sha-256 --auth-local=trust >/dev/null
  rm /run/password
  echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
  postgres_user pg_ctl -D "$data" -w -o "-c listen_addresses=''" start
  [ "$POSTGRES_DB" = postgres ] || postgres_user createdb --username="$POSTGRES_USER" --no-password "$POSTGRES_DB"
  for file in /docker-entrypoint-initdb.d/*.sh; do postgres_user sh "$file"; done
  postgres_user pg_ctl -D "$data" -w stop
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$data" -c listen_addresses='*'
"""

# The exporter's own ports; the file of its one option.
_BRIDGE = r"""
exec ringrift-loop statsd-bridge --mapping "${0#--statsd.mapping-config=}" \
  --udp-host 0.0.0.0 --udp-port 9125 --http-host 0.0.0.0 --http-port 9102
"""


@dataclass(frozen=True)
class Image:
    """What an image says about the processes that start from it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = "root"
    workdir: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)


# Name of an image to the program of this machine; grafana has none.
STAND_INS = {
    "postgres": Image(entrypoint=("sh", "-c", _POSTGRES)),
    "redis": Image(workdir="/data"),
    "prom/prometheus": Image(entrypoint=("/usr/bin/prometheus",)),
    "prom/alertmanager": Image(entrypoint=("/usr/bin/prometheus-alertmanager", "--cluster.listen-address=")),
    "prom/statsd-exporter": Image(entrypoint=("sh", "-c", _BRIDGE)),
}


def missing() -> str | None:
    """Why no containers can be made here, or None."""
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian package {package})"
    return netns.missing()


def interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """A part of a Compose file with its variables replaced.

    Raises:
        ValueError: a variable that the file demands is not set; the message is the one that Compose prints.
    """
    if isinstance(value, dict):
        return {key: interpolated(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if not environment.get(match["name"]):
            if match["default"] is not None:
                return match["default"]
            raise ValueError(f"required variable {match['name']} is missing a value: {match['message'] or ''}")
        return environment[match["name"]]

    return _VARIABLE.sub(replacement, value)


def image_of(service: Mapping[str, Any], project: Path) -> Image | None:
    """What a service's processes start from; None when no program of this machine stands in for its image."""
    if "build" not in service:
        return STAND_INS.get(service["image"].rpartition(":")[0])
    text = (project / service["build"]["dockerfile"]).read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    said = dict(re.findall(r"^(ENTRYPOINT|CMD|USER|WORKDIR) (.+)$", text, flags=re.MULTILINE))
    return Image(
        entrypoint=tuple(json.loads(said.get("ENTRYPOINT", "[]"))),
        command=tuple(json.loads(said.get("CMD", "[]"))),
        user=said.get("USER", "root"),
        workdir=said.get("WORKDIR", "/"),
        environment=dict(re.findall(r"^ENV (\w+)=(\S+)$", text, flags=re.MULTILINE)),
    )


class Container:
    """One container: made once, started as often as its restart policy says."""

    def __init__(
        self, name: str, service: Mapping[str, Any], image: Image, network: netns.Namespace, stack: Stack
    ) -> None:
        self.name, self.service, self.image, self.network = name, service, image, network
        self.user = str(service.get("user", image.user)).partition(":")[0]
        self.starts = 0
        self.exit_code: int | None = None
        """Of a service that is not started again and has ended."""
        self.log = stack.folder / "logs" / f"{name}.log"
        self._root = stack.folder / "roots" / name
        self._stack = stack
        self._process: subprocess.Popen[bytes] | None = None
        self._looked_at = 0.0
        self._was_healthy = False
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=name, daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its processes."""
        given = {key: str(value) for key, value in self.service.get("environment", {}).items()}
        return {"PATH": _PATH, "HOSTNAME": self.hostname} | dict(self.image.environment) | given

    @property
    def hostname(self) -> str:
        """Its own name for itself."""
        return str(self.service.get("hostname", self.name))

    @property
    def init(self) -> psutil.Process | None:
        """Its first process, as this machine numbers it; None while it is down."""
        if self._process is None:
            return None
        with contextlib.suppress(psutil.Error, IndexError):
            return psutil.Process(self._process.pid).children()[0]
        return None

    def create(self) -> None:
        """Lay out the root folder."""
        for folder in _FOLDERS:
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        for folder in ("tmp", "var/tmp"):
            (self._root / folder).chmod(0o1777)
        (self._root / "var/run").symlink_to("/run")
        shutil.copytree("/etc", self._root / "etc", symlinks=True, ignore=shutil.ignore_patterns("shadow*", "*.pem"))
        for name in ("airflow", "ringrift"):
            home = self._root / "home" / name
            home.mkdir()
            os.chown(home, _UID, _UID)
            with (self._root / "etc/passwd").open("a") as users, (self._root / "etc/group").open("a") as groups:
                users.write(f"{name}:x:{_UID}:{_UID}::/home/{name}:/bin/sh\n")
                groups.write(f"{name}:x:{_UID}:\n")
        # An account without a password that is not locked, as the Dockerfile's `usermod --password '*'` leaves it.
        (self._root / "etc/shadow").write_text("root:*:20000:0:99999:7:::\nringrift:*:20000:0:99999:7:::\n")
        (self._root / "etc/shadow").chmod(0o600)
        (self._root / "etc/hosts").write_text(self._stack.names)
        (self._root / "etc/hostname").write_text(self.hostname + "\n")
        self._copy_of_the_dockerfile()
        for secret in self.service.get("secrets", []):
            file = self._root / "run/secrets" / secret["source"]
            file.write_text(self._stack.secret(secret["source"]))
            os.chown(file, int(secret.get("uid", 0)), int(secret.get("gid", 0)))
            file.chmod(secret.get("mode", 0o444))
        (self._root.parent / f"{self.name}.sh").write_text(self._script())

    def _copy_of_the_dockerfile(self) -> None:
        """What the Dockerfile copies from config/, makes and compiles, where the service is built from one."""
        if "build" not in self.service:
            return
        project = self._stack.project
        text = (project / self.service["build"]["dockerfile"]).read_text(encoding="utf-8").rpartition("\nFROM ")[2]
        for source, target in re.findall(
            r"^COPY (?:--chmod=\d+ )?(config/\S+) (/(?!constraints)\S+)$", text, re.MULTILINE
        ):
            to = self._root / "image" / target[1:]
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / source, to)
            to.chmod(0o755 if to.suffix == ".sh" else 0o644)
        if (self._root / "image/etc").is_dir():
            shutil.copytree(self._root / "image/etc", self._root / "etc", dirs_exist_ok=True)
        for _, folders in re.findall(r"install -d -o (\w+) -g \w+ (/[^&\n]+)", text):
            for folder in folders.split():
                path = self._root / folder[1:]
                path.mkdir(parents=True, exist_ok=True)
                os.chown(path, _UID, _UID)
        if re.search(r"engine\W+compile", text):
            name = self.image.user if self.image.user != "root" else "ringrift"
            cache = self._root / "home" / name / ".cache/ringrift-loop"
            shutil.copytree(project / "include/ringrift_loop/engine/__pycache__", cache)
            for path in (cache.parent, cache, *cache.rglob("*")):
                os.chown(path, _UID, _UID)

    def _script(self) -> str:
        """The shell script that mounts and enters the root folder; runs in the new namespaces."""
        root = shlex.quote(str(self._root))
        lines = ["set -eu", f"root={root}", "mount --make-rprivate /", 'mount --bind "$root" "$root"']

        def bind(source: Path, target: str, *, readonly: bool) -> None:
            kind = "-d" if source.is_dir() else "-f"
            to = f'"$root"{shlex.quote(target)}'
            make = f"mkdir -p {to}" if kind == "-d" else f'mkdir -p "$(dirname {to})"; [ -e {to} ] || : > {to}'
            lines.append(f"{make}; mount --bind {shlex.quote(str(source))} {to}")
            if readonly:
                lines.append(f"mount -o remount,bind,ro {to}")

        for part in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"):
            path = Path(part)
            if path.is_symlink():
                lines.append(f'ln -sfn {shlex.quote(str(path.readlink()))} "$root"{part}')
            elif path.is_dir():
                bind(path, part, readonly=True)
        # The images install into /usr/local; here that is this environment, whose packages are a source tree's.
        bind(Path(sys.prefix), "/usr/local", readonly=True)
        for source in {Path(sys.base_prefix), self._stack.project, Path(sys.prefix)}:
            if not str(source).startswith("/usr/"):
                bind(source, str(source), readonly=True)
        lines += [
            'mount -t proc proc "$root/proc"',
            'mount --rbind /sys "$root/sys"',
            'mount --rbind /dev "$root/dev"',
            'mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"',
        ]
        for mount in self.service.get("volumes", []):
            source, target, *options = mount.split(":")
            here = self._stack.project / source if source.startswith("./") else self._stack.volume(source)
            bind(here, target, readonly="ro" in options)
        entry = self._root / "image/usr/local/bin"
        if entry.is_dir():  # beside the environment's programs, which are mounted read-only
            lines.append(f'mkdir -p "$root/entry"; cp {shlex.quote(str(entry))}/* "$root/entry/"')
        lines.append(f"hostname {shlex.quote(self.hostname)}")
        words = [*self._as_user(self.user), *self._command()]
        lines.append(f'exec chroot "$root" {shlex.join(words)}')
        return "\n".join([*lines, ""])

    def _command(self) -> list[str]:
        given = self.service.get("command", list(self.image.command))
        return [*self.image.entrypoint, *map(str, [given] if isinstance(given, str) else given)]

    def _as_user(self, user: str) -> list[str]:
        path = f"PATH={_PATH}:/entry"
        if user in ("root", "0"):
            return ["env", f"--chdir={self.image.workdir}", path, "HOME=/root"]
        who = [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return ["setpriv", *who, "--", "env", f"--chdir={self.image.workdir}", path, f"HOME=/home/{user}"]

    def start(self) -> None:
        """Start it and keep it running as its restart policy says."""
        self._keeper.start()

    def _keep(self) -> None:
        """Start again what ends, after 0.1 s and twice that each time, as Docker does."""
        pause_s = 0.1
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_once()
            if self.service.get("restart", "no") == "no":
                self.exit_code = code
                return
            pause_s = 0.1 if time.monotonic() - began > 10 else min(60.0, 2 * pause_s)
            self._stopping.wait(pause_s)

    def _run_once(self) -> int:
        # The kernel ends it with the thread that waits for it, and with the first process everything in the container.
        command = ["setpriv", "--pdeathsig=KILL", *self.network.prefix]
        command += ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh"]
        command.append(str(self._root.parent / f"{self.name}.sh"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.starts += 1
        return self._process.wait()

    def run(self, *command: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as `docker compose exec`."""
        init = self.init
        if init is None:
            return subprocess.CompletedProcess(command, 125, "", f"{self.name} is down")
        inside = ["nsenter", f"--target={init.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        full = [*inside, *self._as_user(user or self.user), *command]
        return subprocess.run(full, env=self.environment, capture_output=True, text=True, check=False, timeout=300)

    @property
    def was_healthy(self) -> bool:
        """Whether its health check has ever said so; asked every other second until then."""
        if not self._was_healthy and self.starts and time.monotonic() - self._looked_at >= 2:
            self._was_healthy = self.is_healthy
            self._looked_at = time.monotonic()
        return self._was_healthy

    @property
    def is_healthy(self) -> bool:
        """Whether its health check says so now."""
        kind, *words = self.service["healthcheck"]["test"]
        command = words if kind == "CMD" else ["sh", "-c", *words]
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.run(*command).returncode == 0
        return False

    def kill(self) -> None:
        """kill -9 of its first process, and with it of every other; the policy starts it again."""
        if (init := self.init) is not None:
            init.send_signal(signal.SIGKILL)

    def stop(self, grace_s: float = 10.0) -> None:
        """End it for good: SIGTERM, and SIGKILL after the time."""
        self._stopping.set()
        if (init := self.init) is not None:
            with contextlib.suppress(psutil.Error):
                # A first process without a handler takes no signal from within its namespace, from here it does.
                init.send_signal(signal.SIGTERM)
                init.wait(grace_s)
            self.kill()
        if self._keeper.is_alive():
            self._keeper.join(10)


class Stack:
    """A Compose file brought up.

    Args:
        project: the folder of `docker-compose.yaml`.
        folder: where roots, volumes and logs are made.
        environment: what a person's `.env` holds.
        overrides: more variables for the services that are built from the project, as an override file would give.
    """

    def __init__(
        self,
        project: Path,
        folder: Path,
        environment: Mapping[str, str],
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        self.project, self.folder = project, folder
        document = yaml.safe_load((project / "docker-compose.yaml").read_text(encoding="utf-8"))
        services = interpolated(document["services"], environment)
        self._secrets = {name: environment[how["environment"]] for name, how in document["secrets"].items()}
        self.left_out: list[str] = []
        """Services whose image nothing stands in for."""
        self.containers: dict[str, Container] = {}
        self._of_service: dict[str, list[Container]] = {}
        made: list[tuple[str, str, dict[str, Any], Image]] = []
        for service_name, service in services.items():
            image = image_of(service, project)
            if image is None:
                self.left_out.append(service_name)
                continue
            if "AIRFLOW_HOME" in service.get("environment", {}):
                service["environment"] = {**service["environment"], **(overrides or {})}
            number = service.get("deploy", {}).get("replicas", 1)
            for each in range(1, number + 1):
                name = service_name if number == 1 else f"{service_name}-{each}"
                made.append((name, service_name, service, image))
        for part in ("logs", "roots", "volumes"):
            (folder / part).mkdir()
        self._network = netns.Network(hosts=len(made))
        try:
            addresses = [host.address for host in self._network.hosts]
            lines = ["127.0.0.1 localhost"]
            lines += [f"{at} {name} {of}" for at, (name, of, _, _) in zip(addresses, made, strict=True)]
            self.names = "\n".join([*lines, ""])
            for host, (name, service_name, service, image) in zip(self._network.hosts, made, strict=True):
                container = Container(name, service, image, host, self)
                container.create()
                self.containers[name] = container
                self._of_service.setdefault(service_name, []).append(container)
        except BaseException:
            self._network.close()
            raise

    def __getitem__(self, name: str) -> Container:
        return self.containers[name]

    def volume(self, name: str) -> Path:
        """The folder of a volume."""
        path = self.folder / "volumes" / name
        path.mkdir(exist_ok=True)
        return path

    def secret(self, name: str) -> str:
        """The text of a secret."""
        return self._secrets[name]

    def address(self, name: str) -> str:
        """A container's address."""
        return self.containers[name].network.address

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function on the stack's network."""
        return self._network.coordinator.call(function, *arguments)

    def up(self, *services: str, limit_s: float = 600.0) -> None:
        """Start all services, or these, in the order of their conditions; returns when the last has started.

        Raises:
            RuntimeError: a service ended that others wait for, or is not healthy in time; the message has its log.
        """
        give_up_at = time.monotonic() + limit_s
        waiting = {name: made for name, made in self._of_service.items() if not services or name in services}
        while waiting:
            for name in [name for name in waiting if self._may_start(waiting[name][0].service)]:
                for container in waiting.pop(name):
                    container.start()
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{', '.join(waiting)} could not be started within {limit_s:.0f} s")
            time.sleep(0.5)

    def _may_start(self, service: Mapping[str, Any]) -> bool:
        return all(self._holds(name, how["condition"]) for name, how in service.get("depends_on", {}).items())

    def _holds(self, name: str, condition: str) -> bool:
        containers = self._of_service[name]
        if condition == "service_completed_successfully":
            for container in containers:
                if container.exit_code:
                    said = container.log.read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"{container.name} ended with status {container.exit_code}:\n{said}")
            return all(container.exit_code == 0 for container in containers)
        if condition == "service_healthy":
            return all(container.was_healthy for container in containers)
        return all(container.starts for container in containers)

    def completed(self, service: str, limit_s: float = 600.0) -> str:
        """What a service that ends by itself has said, once it has ended well.

        Raises:
            RuntimeError: it failed, or did not end in time; the message has its log.
        """
        give_up_at = time.monotonic() + limit_s
        while not self._holds(service, "service_completed_successfully"):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{service} did not end within {limit_s:.0f} s")
            time.sleep(0.5)
        return "\n".join(container.log.read_text(errors="replace") for container in self._of_service[service])

    def close(self) -> None:
        """End everything, at once where it does not end by itself; volumes and logs stay."""
        threads = [threading.Thread(target=container.stop) for container in self.containers.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._network.close()
