"""The checks of hosts: what a probe found, beside the inventory and the loop's limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ringrift_loop import __version__
from ringrift_loop.cluster.agent.probe import HostFacts
from ringrift_loop.cluster.agent.wire import TalkingLoginError
from ringrift_loop.cluster.transport.probing import Probe
from ringrift_loop.config.schema import DataIngestion
from ringrift_loop.doctor.findings import FAILED, OK, SKIPPED, WARNING, Finding, graded
from ringrift_loop.errors import ConfigError, DataError, HostKeyRefused, HostUnreachable, LoginRefused
from ringrift_loop.hosts.inventory import LOCAL, Host
from ringrift_loop.launcher.checks import OLDEST_PYTHON, TOO_NEW_PYTHON
from ringrift_loop.text import one_line

GIB = 1024**3
LITTLE_DISK_BYTES, ENOUGH_DISK_BYTES = 1 * GIB, 4 * GIB
LITTLE_INODES = 10_000
ENOUGH_MEMORY_BYTES = 512 * 1024**2  # a worker takes about that
# Of what the inventory says: sellers count in other units, and a system keeps a part for itself.
_PROMISED = 0.9
SKEW_WARNING_S, SKEW_FAILED_S = 5.0, 60.0


def check_host(probe: Probe, config: DataIngestion, known: Collection[str] = ()) -> Iterator[Finding]:
    """Every check of one host; what cannot be known is left out, and an earlier one gives the reason.

    Args:
        probe: what came of asking it.
        config: how long games may wait.
        known: names of the host's segments that the ledger has.
    """
    name, facts, ssh_words = probe.host.name, probe.facts, _ssh(probe.host)
    if facts is None and not isinstance(probe.error, DataError):
        yield _unreachable(probe, ssh_words)
        return
    if probe.host.transport == LOCAL:
        yield Finding("ssh", name, SKIPPED, "a folder of this machine")
    else:
        yield _ssh_works(probe)
    yield _program(probe, ssh_words)
    if facts is None:
        return
    yield _python(name, facts)
    yield _root(probe.host, facts, ssh_words)
    yield from _disk(name, facts, ssh_words)
    yield from _memory(probe.host, facts, ssh_words)
    yield from _cpus(probe.host, facts)
    yield from _gpus(probe.host, facts, ssh_words)
    yield from _clock(probe, ssh_words)
    yield _rsync(name, facts, ssh_words)
    yield from _sync(probe, config, known)


def _ssh_works(probe: Probe) -> Finding:
    key = probe.host.ssh_key
    file = None if key is None else Path(key).expanduser()
    open_to_others = file is not None and file.is_file() and bool(file.stat().st_mode & 0o077)
    return graded(
        "ssh",
        probe.host.name,
        f"answered in {probe.seconds:.2f} s"
        + (f", but others can read the private key {key}" if open_to_others else ""),
        failed=False,
        warning=open_to_others,
        right="an SSH server lets us in, with a key that is ours alone",
        remedy=f"chmod 600 {key}",
    )


def _ssh(host: Host) -> str:
    """How a person logs in to a host."""
    words = ["ssh", "-o ConnectTimeout=5"]
    words += [f"-p {host.ssh_port}"] if host.ssh_port else []
    words += [f"-i {host.ssh_key}"] if host.ssh_key else []
    return " ".join([*words, f"{host.ssh_user}@{host.ssh_host}" if host.ssh_user else str(host.ssh_host)])


def _unreachable(probe: Probe, ssh_words: str) -> Finding:
    error = probe.error
    met = one_line(str(error) or type(error).__name__)
    if isinstance(error, HostKeyRefused):
        remedy = (
            "compare on the host itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; "
            "then correct host_key or known_hosts"
        )
        return Finding("ssh", probe.host.name, FAILED, met, "the host shows the key that is known for it", remedy)
    if isinstance(error, LoginRefused):
        remedy = f"ssh-copy-id, or correct ssh_user and ssh_key in the inventory; then {ssh_words} true"
        return Finding("ssh", probe.host.name, FAILED, met, "the host lets this user and key in", remedy)
    if isinstance(error, HostUnreachable):
        remedy = f"{ssh_words} true" + (f"; {error.advice}" if error.advice else "")
        return Finding("ssh", probe.host.name, FAILED, met, "an SSH server answers at the address", remedy)
    if isinstance(error, ConfigError):
        remedy = "correct the host's entry in config/remote_hosts.yaml; a connection is read only within Airflow"
        return Finding("ssh", probe.host.name, FAILED, met, "the entry says how the host is reached", remedy)
    return Finding("ssh", probe.host.name, FAILED, met, "a command runs there within its time", f"{ssh_words} true")


def _program(probe: Probe, ssh_words: str) -> Finding:
    name, facts = probe.host.name, probe.facts
    right, remedy = f"ringrift-loop {__version__}", f"ringrift-loop deploy --host {name}"
    if isinstance(probe.error, TalkingLoginError):
        silence = "make the start-up files of its login shell print only to a terminal"
        return Finding("program", name, FAILED, one_line(str(probe.error)), "its answer and nothing else", silence)
    if facts is None:  # it answered in a form that this version does not read
        return Finding("program", name, FAILED, one_line(str(probe.error)), right, remedy)
    if facts.version is None:
        met = f"not installed, or not on the PATH of a login without a terminal ({one_line(probe.said)[-160:]})"
        return Finding("program", name, FAILED, met, right, f"{remedy}; or set remote_path to its folder")
    if facts.version != __version__:
        return Finding("program", name, FAILED, f"ringrift-loop {facts.version}", right, remedy)
    if not facts.whole:
        met = f"ringrift-loop {facts.version}, but it fails there: {one_line(probe.said)[-200:]}"
        return Finding("program", name, FAILED, met, "it answers a probe", remedy)
    return Finding("program", name, OK, f"ringrift-loop {facts.version}", right)


def _python(name: str, facts: HostFacts) -> Finding:
    right = "Python 3.11, 3.12 or 3.13"
    parts = (facts.python or "").split(".")
    known = len(parts) >= 2 and parts[0].isdecimal() and parts[1].isdecimal()
    fits = known and OLDEST_PYTHON <= (int(parts[0]), int(parts[1])) < TOO_NEW_PYTHON
    remedy = f"install python3.11 or newer there, with its venv module; then ringrift-loop deploy --host {name}"
    return graded(
        "host-python", name, f"Python {facts.python or 'not found'}", failed=not fits, right=right, remedy=remedy
    )


def _root(host: Host, facts: HostFacts, ssh_words: str) -> Finding:
    problem = facts.write_problem
    where = host.remote_root if host.transport != LOCAL else host.root or f"hosts/{host.name} of the run directory"
    fix = f"chown or remount {where}" + ("" if host.transport == LOCAL else f" on the host ({ssh_words})")
    return graded(
        "root",
        host.name,
        f"a file was made in {where}" if problem is None else one_line(problem),
        failed=problem is not None,
        right="files can be made in the root folder",
        remedy=f"{fix}, or set another root in the inventory",
    )


def _disk(name: str, facts: HostFacts, ssh_words: str) -> Iterator[Finding]:
    free, inodes = facts.disk_free_bytes, facts.disk_free_inodes
    if free is None:
        return
    no_inodes = inodes is not None and inodes < LITTLE_INODES
    yield graded(
        "host-disk",
        name,
        f"{free / GIB:.1f} GiB free" + (f", only {inodes} files more" if no_inodes else ""),
        failed=free < LITTLE_DISK_BYTES,
        warning=free < ENOUGH_DISK_BYTES or no_inodes,
        right=f"{ENOUGH_DISK_BYTES // GIB} GiB free; below {LITTLE_DISK_BYTES // GIB} games may be lost",
        remedy=f"free some space: {ssh_words} df -h; then ringrift-loop sync --host {name}, which frees segments",
    )


def _memory(host: Host, facts: HostFacts, ssh_words: str) -> Iterator[Finding]:
    total, available = facts.memory_total_bytes, facts.memory_available_bytes
    if total is None or available is None:
        return
    promised = host.memory_gb is not None and total < host.memory_gb * GIB * _PROMISED
    right = f"{host.memory_gb:g} GiB in the inventory" if host.memory_gb is not None else "some memory free"
    load = "" if facts.load is None else f", load {facts.load:g}"
    yield graded(
        "host-memory",
        host.name,
        f"{available / GIB:.1f} of {total / GIB:.1f} GiB available{load}",
        failed=False,
        warning=promised or available < ENOUGH_MEMORY_BYTES,
        right=right,
        remedy="correct memory_gb in the inventory" if promised else f"{ssh_words} top; lower max_workers",
    )


def _cpus(host: Host, facts: HostFacts) -> Iterator[Finding]:
    if facts.cpus is None:
        return
    wanted = host.cpus if host.cpus is not None else host.slots
    yield graded(
        "host-cpus",
        host.name,
        f"{facts.cpus} cores",
        failed=False,
        warning=facts.cpus < wanted,
        right=f"{wanted} cores for the loop, {host.slots} workers",
        remedy="correct cpus and max_workers in the inventory",
    )


def _gpus(host: Host, facts: HostFacts, ssh_words: str) -> Iterator[Finding]:
    if facts.gpus is None:
        return
    wanted = host.gpu_count if host.has_gpu else 0
    right = f"{wanted} GPUs" if wanted != 1 else "1 GPU"
    if host.gpu_memory_gb is not None:
        right += f" of {host.gpu_memory_gb:g} GiB"
    look = f"{ssh_words} nvidia-smi"
    if facts.gpu_problem is not None:
        status = FAILED if wanted else WARNING
        yield Finding("host-gpu", host.name, status, one_line(facts.gpu_problem), right, f"{look}; fix the driver")
        return
    least = None if host.gpu_memory_gb is None else host.gpu_memory_gb * 1024 * _PROMISED
    small = [gpu for gpu in facts.gpus if least is not None and gpu.total_mib is not None and gpu.total_mib < least]
    shown = ", ".join(
        f"{gpu.name}" + ("" if gpu.free_mib is None else f" {gpu.free_mib} of {gpu.total_mib} MiB free")
        for gpu in facts.gpus
    )
    yield graded(
        "host-gpu",
        host.name,
        f"{len(facts.gpus)}: {shown}" if facts.gpus else "none",
        failed=len(facts.gpus) < wanted,
        warning=bool(small),
        right=right if wanted else "the inventory expects none",
        remedy=f"{look}; or correct has_gpu, gpu_count and gpu_memory_gb in the inventory",
    )


def _clock(probe: Probe, ssh_words: str) -> Iterator[Finding]:
    """Ages are measured by each machine's own clock, so a skew loses no game; it spoils only times that are compared.

    Only what is beyond the uncertainty counts: a slow host's clock is not wrong because its answer took long.
    """
    if probe.facts is None or probe.facts.clock is None or probe.host.transport == LOCAL:
        return
    sure = abs(probe.skew_s) - probe.uncertainty_s
    yield graded(
        "clock",
        probe.host.name,
        f"{probe.skew_s:+.1f} s, give or take {probe.uncertainty_s:.1f}",
        failed=sure > SKEW_FAILED_S,
        warning=sure > SKEW_WARNING_S,
        right=f"within {SKEW_WARNING_S:g} s: times of games, latencies and logs of the host are off by the skew",
        remedy=f"{ssh_words} timedatectl set-ntp true",
    )


def _rsync(name: str, facts: HostFacts, ssh_words: str) -> Finding:
    return graded(
        "rsync",
        name,
        {True: "installed", False: "not installed", None: "not known"}[facts.rsync],
        failed=False,
        warning=facts.rsync is False,
        right="installed; the loop does without, transfers by hand do not",
        remedy=f"{ssh_words} sudo apt-get install rsync",
    )


def _sync(probe: Probe, config: DataIngestion, known: Collection[str]) -> Iterator[Finding]:
    name, report = probe.host.name, probe.report
    right, remedy = f"sealed games leave within {config.max_age_seconds} s", f"ringrift-loop sync --host {name}"
    if probe.report_error is not None:
        yield Finding("sync", name, FAILED, one_line(str(probe.report_error)), right, remedy)
    if report is None:
        return
    waiting = [file for file in report.sealed if str(file.name) not in known]
    oldest_s = max((file.age_s for file in waiting), default=0.0)
    met = f"{sum(file.name.records for file in waiting)} sealed games wait"
    met += f", the oldest for {oldest_s:.0f} s" if waiting else ""
    met += f"; not segments: {', '.join(report.refused)[:120]}" if report.refused else ""
    late = oldest_s > config.max_age_seconds + 2 * config.poll_interval_seconds
    if report.refused:
        remedy = f"move what is not ours out of {probe.host.remote_root}/games/sealed there; then {remedy}"
    yield graded("sync", name, met, failed=False, warning=late or bool(report.refused), right=right, remedy=remedy)
