"""Every path of the loop, in two roots: the coordinator's run directory and a host's root folder.

Nothing else in the package joins paths by hand.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ringrift_loop.errors import ConfigError

HOME_VARIABLE = "RINGRIFT_HOME"
LEDGER_VARIABLE = "RINGRIFT_LEDGER_URL"
LEDGER_NAME = 64
"""Characters of a name that the ledger keeps: a host's, a training run's, a job's."""
_MOST = 128  # of any other
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def checked_name(name: str, what: str, most: int = _MOST) -> str:
    """The name, when it is safe as one path component.

    Raises:
        ConfigError: it holds a separator, starts with a dot, or is longer than 128 characters.
    """
    if len(name) > most or not _NAME.fullmatch(name):
        raise ConfigError(f"{what} must match {_NAME.pattern} and have at most {most} characters, got {name[:200]!r}")
    return name


def checked_digest(digest: str) -> str:
    """The digest, when it is a lower-case sha256 in hex."""
    if not _DIGEST.fullmatch(digest):
        raise ConfigError(f"a model digest is 64 hex characters, got {digest!r}")
    return digest


def sqlite_url(file: Path) -> str:
    """The database URL of a SQLite file, whatever its path holds: `%`, `?` and `#` mean something in a URL."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


class Rooted(Protocol):
    """A folder whose parts have names."""

    @property
    def root(self) -> Path:
        """Where it lies."""


class Below:
    """A path below the root of the folder that declares it."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, folder: Rooted, _kind: type | None = None) -> Path:
        return folder.root.joinpath(*self._parts)


@dataclass(frozen=True)
class RunDirectory:
    """The coordinator's folder; `RINGRIFT_HOME`, by default `run` below the current folder."""

    root: Path

    @classmethod
    def from_environment(cls) -> RunDirectory:
        """The run directory that the environment names."""
        return cls(Path(os.environ.get(HOME_VARIABLE) or "run").resolve())

    @property
    def ledger_url(self) -> str:
        """The ledger's database URL: `RINGRIFT_LEDGER_URL`, by default SQLite in the run directory."""
        return os.environ.get(LEDGER_VARIABLE) or sqlite_url(self.root / "ledger.db")

    @property
    def fleet(self) -> str:
        """The name of the loop that runs here, on its metrics: other loops of this machine have others."""
        return hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:8]

    identity = Below("identity")
    """What a ledger remembers its run directory by; goes with the folder when it is moved."""
    airflow = Below("airflow")
    """AIRFLOW_HOME of the embedded Airflow."""
    logs = Below("logs")
    """Logs of the launcher and its children."""
    job_logs = Below("logs", "jobs")
    """What was heard of the logs of jobs on hosts, a bounded file each."""

    def job_log(self, job_id: str) -> Path:
        """What was heard of the log of one job."""
        return self.job_logs / f"{checked_name(job_id, 'job', LEDGER_NAME)}.log"

    segments = Below("segments")
    """Ingested segments, by host and epoch."""

    def segment(self, host: str, epoch: str, name: str) -> Path:
        """One ingested segment."""
        return (
            self.segments
            / checked_name(host, "host", LEDGER_NAME)
            / checked_name(epoch, "epoch")
            / checked_name(name, "segment")
        )

    incoming = Below("incoming")
    """Segments being pulled, not yet checked."""

    retired = Below(".retired")
    """Folders on their way out: moved here, then deleted."""
    models = Below("models")
    """Models, a folder each."""

    def model(self, digest: str) -> Path:
        """The folder of one model: `model.safetensors`, `model.onnx`, `manifest.json`."""
        return self.models / checked_digest(digest)

    trainings = Below("training")
    """Training runs, a folder each."""

    def training(self, run_id: str) -> Path:
        """The folder of one training run: bundle, output, report."""
        return self.trainings / checked_name(run_id, "training run", LEDGER_NAME)

    def training_bundle(self, run_id: str) -> Path:
        """What a training run is to do, self-contained."""
        return self.training(run_id) / "bundle"

    def training_output(self, run_id: str) -> Path:
        """What a training run has made: checkpoint, candidate, report; where a host's output is fetched to."""
        return self.training(run_id) / "output"

    all_matches = Below("matches")
    """Matches that are played on hosts, a folder for each job."""

    def matches(self, job_id: str) -> Path:
        """The folder of matches that are played on a host: bundle and output."""
        return self.all_matches / checked_name(job_id, "job", LEDGER_NAME)

    play = Below("play")
    """Games of persons, a folder each person; apart from everything that training or gates read."""

    def play_of(self, login: str) -> Path:
        """The games of one person, whatever letters the login has."""
        return self.play / hashlib.sha256(login.encode()).hexdigest()[:32]

    experiments = Below("experiments")
    """Experiments, a folder each."""

    def experiment(self, name: str) -> Path:
        """The folder of one experiment: record, page, games, a run directory for each run."""
        return self.experiments / checked_name(name, "experiment", LEDGER_NAME)

    def embedded_host(self, name: str) -> Path:
        """The root folder of a host with transport `local` and no path of its own."""
        return self.root / "hosts" / checked_name(name, "host", LEDGER_NAME)


@dataclass(frozen=True)
class HostDirectory:
    """A host's root folder, as the worker on it sees it."""

    root: Path

    open_segments = Below("games", "open")
    """Journals being written, one per worker slot."""
    sealed_segments = Below("games", "sealed")
    """Sealed segments that wait to be taken."""

    def model(self, digest: str) -> Path:
        """The folder of one model on this host."""
        return self.root / "models" / checked_digest(digest)

    def model_staging(self, digest: str) -> Path:
        """What has arrived of a model so far."""
        return self.root / "models" / f".incoming-{checked_digest(digest)}"

    worker_settings = Below("worker_settings.json")
    """The settings that the coordinator sent for this host's workers."""
    settings = Below("host_settings.json")
    """What this host's workers do differently, whoever starts them."""

    @property
    def pace(self) -> Path:
        """How much of their time the workers of this host may compute."""
        return self.root / "pace.json"

    plan = Below("plan.json")
    """Which variants the workers of this host play, and by what weights."""

    @property
    def cpu_counters(self) -> Path:
        """The kernel's counters at the last report, to tell the use since then."""
        return self.root / "cpu_counters.json"

    def current_model(self, variant: str) -> Path:
        """The pointer file: which model to play a variant with."""
        return self.root / "models" / f"current-{checked_name(variant, 'variant')}.json"

    def heartbeat(self, slot: int) -> Path:
        """The heartbeat file of a worker slot."""
        return self.root / "workers" / f"{slot}.json"

    def worker_process(self, slot: int) -> Path:
        """Pid and start time of the process in a worker slot."""
        return self.root / "workers" / f"{slot}.pid.json"

    def worker_log(self, slot: int) -> Path:
        """The log of a worker slot."""
        return self.root / "logs" / "selfplay" / f"{slot}.log"

    jobs = Below("jobs")
    """Detached jobs, a folder each."""

    def job(self, job_id: str) -> JobFolder:
        """The folder of one job."""
        return JobFolder(self.jobs / checked_name(job_id, "job"))

    def job_lock(self, job_id: str) -> Path:
        """Locked by whoever starts or ends a job; beside the folder, which may be moved."""
        return self.jobs / f".{checked_name(job_id, 'job')}.lock"

    def earlier_attempts(self, job_id: str) -> Path:
        """The folders of a job's last attempts."""
        return self.root / "jobs-earlier" / checked_name(job_id, "job")


@dataclass(frozen=True)
class JobFolder:
    """One detached job on a host; the job's own working directory."""

    root: Path

    spec = Below("spec.json")
    """What to run."""
    process = Below("process.json")
    """Pid and start time of the supervisor."""
    supervisor_log = Below("supervisor.log")
    """What the supervisor says; empty unless it fails."""
    renewed = Below("renewed")
    """When the coordinator last asked."""
    cancelled = Below("cancelled")
    """There when the coordinator wants the job to end."""
    log = Below("log")
    """The job's standard error."""
    stdout = Below("stdout")
    """The job's standard output; its last line is the result."""
    failure = Below("failure.json")
    """The class and message of the error that ended the job, written by the job itself."""
    exit = Below("exit.json")
    """How it ended."""
    collected = Below("collected")
    """There when the coordinator has the result."""
    input = Below("input")
    """What the coordinator sent along."""
    output = Below("output")
    """What the job leaves for the coordinator."""
