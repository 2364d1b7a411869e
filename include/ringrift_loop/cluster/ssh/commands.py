"""Command lines for hosts: pure, quoted by construction, so that no name or path is ever read as shell.

What runs there is our own program, `ringrift-loop host ACTION`; it reads its request on stdin and answers with one line
of JSON on stdout. Each line carries a time limit of its own, because a command outlives the connection that started it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ringrift_loop.hosts.inventory import Host

PROGRAM = "ringrift-loop"
_KILL_AFTER_S = 5  # a command that ignores SIGTERM is killed so much later
# POSIX sh; $1 is the program, $2 the root folder. What the program complained of goes to stderr.
_PROBE = """said=$("$1" host probe --root "$2") && { printf '%s\\n' "$said"; exit 0; }
echo sh-probe
echo "program $("$1" --version 2>/dev/null)"
echo "python $(python3 --version 2>/dev/null)"
echo "cpus $(nproc 2>/dev/null)"
sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/memory_total_kib \\1/p
s/^MemAvailable: *\\([0-9]*\\) kB$/memory_available_kib \\1/p' /proc/meminfo 2>/dev/null
if command -v rsync >/dev/null 2>&1; then echo rsync yes; else echo rsync no; fi
at=$2
while [ ! -e "$at" ] && [ "$at" != / ]; do at=$(dirname -- "$at"); done
echo "disk_free_kib $(df -Pk -- "$at" 2>/dev/null | awk 'NR == 2 {print $4}')"
file=$at/.ringrift-probe.$$
if wrong=$( (umask 077; echo probe | cat >"$file") 2>&1 ); then rm -f -- "$file"
else rm -f -- "$file"; printf 'write_problem %s\\n' "$(printf %s "${wrong:-$at cannot be written}" | tr '\\n' ' ')"; fi
echo "clock $(date +%s)"
"""


def report(host: Host) -> list[str]:
    """What is new on the host; the request comes on stdin."""
    return _own(host, "report")


def model_status(host: Host, digest: str) -> list[str]:
    """Whether the host has a model whole, and what it has of one that was cut off."""
    return _own(host, "model-status", "--digest", digest)


def receive_model(host: Host, digest: str) -> list[str]:
    """Take a model from stdin."""
    return _own(host, "receive-model", "--digest", digest)


def point(host: Host, variant: str) -> list[str]:
    """Replace the pointer file of a variant by what comes on stdin."""
    return _own(host, "point", "--variant", variant)


def start_worker(host: Host, slot: int, variant: str, nice: int) -> list[str]:
    """Start a slot's worker, detached; its settings come on stdin."""
    slot_options = ["--slot", str(slot), "--variant", variant, "--nice", str(nice)]
    return _own(host, "start-worker", "--name", host.name, *slot_options)


def stop_worker(host: Host, slot: int, *, kill: bool = False) -> list[str]:
    """Let a slot's worker finish, or kill it."""
    return _own(host, "stop-worker", "--slot", str(slot), *(["--kill"] if kill else []))


def gpus(host: Host) -> list[str]:
    """The host's GPUs and their free memory."""
    return _own(host, "gpus")


def start_job(host: Host, job_id: str) -> list[str]:
    """Start a job, or attach to it; its spec comes on stdin."""
    return _own(host, "start-job", "--id", job_id)


def job_status(host: Host, job_id: str, log_offset: int | None) -> list[str]:
    """How a job stands, with its log from an offset on."""
    return _own(host, "job-status", "--id", job_id, *([] if log_offset is None else ["--log-offset", str(log_offset)]))


def stop_job(host: Host, job_id: str) -> list[str]:
    """End a job with all its processes."""
    return _own(host, "stop-job", "--id", job_id)


def finish_job(host: Host, job_id: str) -> list[str]:
    """Let go of a job's result."""
    return _own(host, "finish-job", "--id", job_id)


def list_folder(host: Host, folder: str) -> list[str]:
    """The files of a job's folder."""
    return _own(host, "list-folder", "--folder", folder)


def expect_folder(host: Host, folder: str) -> list[str]:
    """Which files a job's folder lacks; the wanted ones come on stdin."""
    return _own(host, "expect-folder", "--folder", folder)


def compile_engine(host: Host) -> list[str]:
    """Compile the rules engine for the host's machine; at once done when it is."""
    return [_program(host), "engine", "compile"]


def version(host: Host) -> list[str]:
    """The version of the program on the host."""
    return [_program(host), "--version"]


def probe(host: Host) -> list[str]:
    """What the host is (`probe.py`); where our program does not answer, the shell tells what it can."""
    return ["sh", "-c", _PROBE, "sh", _program(host), host.remote_root]


def host_settings(host: Host, *, hot_reload: bool) -> list[str]:
    """Write down what the host's workers do differently."""
    return _own(host, "settings", "--hot-reload", "on" if hot_reload else "off")


def shell(text: str) -> list[str]:
    """A line of shell as a person wrote it."""
    return ["sh", "-c", text]


def rsync(limit_s: float) -> str:
    """What rsync calls on the other side, ended there too when its time is over; rsync adds its own words."""
    return bounded(["rsync"], limit_s)


def bounded(command: Sequence[str], limit_s: float) -> str:
    """The line that a host's login shell is given: the command, ended with its children after `limit_s` seconds.

    Needs `timeout` of GNU coreutils (or BusyBox) on the host. A command that it ends has exit status 124, or 137 when
    it had to be killed.
    """
    if limit_s <= 0:
        raise ValueError(f"a time limit is above 0 s, got {limit_s}")
    return shlex.join(["timeout", "-k", str(_KILL_AFTER_S), f"{limit_s:.3f}", *command])


def _own(host: Host, action: str, *options: str) -> list[str]:
    return [_program(host), "host", action, "--root", host.remote_root, *options]


def _program(host: Host) -> str:
    return PROGRAM if host.remote_path is None else f"{host.remote_path.rstrip('/')}/venv/bin/{PROGRAM}"
