"""Command lines for hosts: pure, quoted by construction, so that no name or path is ever read as shell.

What runs there is our own program, `ringrift-loop host ACTION`; it reads its request on stdin and answers on stdout
(`agent/wire.py`). Each line carries a time limit of its own, because a command outlives the connection that started it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ringrift_loop.hosts.inventory import Host

PROGRAM = "ringrift-loop"
LEAD_S = 2.0  # the host ends a command before we give up on it
_KILL_AFTER_S = 5  # a command that ignores SIGTERM is killed so much later
# POSIX sh. What the program complained of goes to stderr.
_PROBE = """probe() {
printf '%s\\n' "$3" | "$1" host probe --root "$2" && exit 0
printf '\\n%s\\n' "$4"
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
printf '%s\\n' "$5"
}
"""


def action(host: Host, name: str) -> list[str]:
    """One of `agent/actions.py`; its request comes on stdin."""
    return [_program(host), "host", name, "--root", host.remote_root]


def compile_engine(host: Host) -> list[str]:
    """Compile the rules engine for the host's machine; at once done when it is."""
    return [_program(host), "engine", "compile"]


def script() -> list[str]:
    """A script of POSIX sh that comes on stdin: unlike text in quotes, it passes every login shell.

    It is read whole before it begins; what it runs finds an empty stdin.
    """
    return ["sh", "-c", 'eval "$(cat)" </dev/null']


def probe_script(host: Host, request: bytes, begin: str, end: str) -> bytes:
    """What the host is (`agent/probe.py`); where our program does not answer, the shell tells what it can.

    Args:
        host: the inventory's entry.
        request: the line for `ringrift-loop host probe`.
        begin: printed before the shell's own answer.
        end: printed after it.
    """
    words = (_program(host), host.remote_root, request.decode().strip(), begin, end)
    return (_PROBE + "probe " + shlex.join(words) + "\n").encode()


def shell(text: str) -> list[str]:
    """Shell text as a person wrote it, for a job's words; a login shell may not pass it on (`script`)."""
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


def _program(host: Host) -> str:
    return PROGRAM if host.remote_path is None else f"{host.remote_path.rstrip('/')}/venv/bin/{PROGRAM}"
