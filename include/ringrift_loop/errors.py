"""The exceptions of the loop, and what is to be done about each: fail, try again, or wait.

LoopError                          fail       base of all
├── ConfigError (ValueError)       fail       a configuration value is wrong
├── IllegalMoveError (ValueError)  fail       a well-formed move is not legal in its state
├── DataError                      fail       a file or a record from outside is not what it claims to be
├── LedgerError                    fail       the ledger refuses a write that would break an invariant
│   └── LedgerAway                 try again  its database is locked, full or does not answer
├── ModelError                     fail       a model does not load, or does not fit its manifest
├── GateError                      fail       a gate could not be evaluated, or said no
│   └── GateUndecided              try again  it ran out of time before it could say yes or no
├── HostError                      try again  a host did not do what it was asked
│   ├── HostUnreachable            try again  no connection
│   │   ├── HostKeyRefused         fail       the host's key is not the one that is known
│   │   ├── LoginRefused           fail       the host does not let us in
│   │   └── JobOutOfSight          wait       the host of a running job does not answer
│   └── RemoteJobFailed            try again  connected, but the command failed
│       ├── JobInterrupted         try again  the job was cut off from outside
│       ├── JobOutOfMemory         fail       the job needs more memory than there was
│       └── JobFaulty              fail       the job fails by its own data, code or limit, or was cancelled
├── TrainingStopped                try again  a training was asked to stop; run again, it goes on
└── NoCapacity                     wait       nothing is free for this work now

The class alone decides: the command line's exit status, the file that a failed command leaves (machine/failure.py), the
outcome of a job on a host and Airflow's retries all follow `remedy`. A class inherits it from the one above.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import ClassVar


class Remedy(StrEnum):
    """What to do about an error."""

    FAIL = "fail"
    """The same input would fail the same way: a person has to look."""
    TRY_AGAIN = "try again"
    """Something was away or cut off: soon, and a few times."""
    WAIT = "wait"
    """Somebody else has what is needed: after a while."""


_DISK_FULL = ("SQLITE_FULL", "53100")  # SQLite's, and PostgreSQL's SQLSTATE


class LoopError(Exception):
    """Base of every error that the loop raises on purpose."""

    remedy: ClassVar[Remedy] = Remedy.FAIL
    pause_s: ClassVar[float] = 15.0
    """Seconds until another attempt is worth while."""


class ConfigError(LoopError, ValueError):
    """A configuration value is wrong; the message names the file, the line and what would be right."""


class IllegalMoveError(LoopError, ValueError):
    """A well-formed move is not legal in the state it was played in."""


class DataError(LoopError):
    """A file or a record from outside is not what it claims to be."""


class LedgerError(LoopError):
    """The ledger refuses a write that would break one of its invariants."""


class LedgerAway(LedgerError):  # noqa: N818 - the name says what happened
    """The ledger's database is locked, full or does not answer."""

    remedy = Remedy.TRY_AGAIN


class ModelError(LoopError):
    """A model file does not load, or does not fit its manifest."""


class GateError(LoopError):
    """A gate could not be evaluated, or its verdict blocks the promotion."""


class GateUndecided(GateError):  # noqa: N818 - the name says what happened
    """A gate ran out of time, or a machine out of something, before it could say yes or no: nobody is to blame."""

    remedy = Remedy.TRY_AGAIN
    pause_s = 60.0


class HostError(LoopError):
    """A host did not do what it was asked."""

    remedy = Remedy.TRY_AGAIN


class HostUnreachable(HostError):  # noqa: N818 - the name says what happened
    """No connection to the host; `sent` is False when it certainly was not told anything."""

    sent: bool = True
    advice: str | None = None  # where the error says for sure what to do


class HostKeyRefused(HostUnreachable):
    """The host's key is not the one that is known for it: another machine, or one set up anew."""

    remedy = Remedy.FAIL


class LoginRefused(HostUnreachable):
    """The host does not accept the user or the key."""

    remedy = Remedy.FAIL


class JobOutOfSight(HostUnreachable):
    """The host of a running job does not answer; the job may still run there."""

    remedy = Remedy.WAIT
    pause_s = 240.0  # it ends there by itself, and may be placed elsewhere then


class RemoteJobFailed(HostError):  # noqa: N818 - the name says what happened
    """The host was reached, but the command failed."""


class JobInterrupted(RemoteJobFailed):
    """A job was cut off from outside or asked to be tried again; another attempt may succeed."""


class JobOutOfMemory(RemoteJobFailed):
    """A job needs more memory, of the host or of its GPU, than there was."""

    remedy = Remedy.FAIL


class JobFaulty(RemoteJobFailed):
    """A job failed by its data, its code or its time limit, or a person cancelled it: the same would happen again."""

    remedy = Remedy.FAIL


class TrainingStopped(LoopError):  # noqa: N818 - the name says what happened
    """A training stopped because it was asked to; its checkpoint is written, and run again it goes on from there."""

    remedy = Remedy.TRY_AGAIN


class NoCapacity(LoopError):  # noqa: N818 - the name says what happened
    """Nothing is free for this work now: another process or job has it."""

    remedy = Remedy.WAIT
    pause_s = 60.0  # a dead process's lease ends within two minutes


def as_loop_error(error: BaseException) -> LoopError | None:
    """The error as one of the loop's own, by which its remedy is known.

    Returns:
        The error itself, or what it means when a database or the memory was the cause; None for everything else, which
        may be a bug.
    """
    if isinstance(error, LoopError):
        return error
    if isinstance(error, MemoryError) or _is_of("torch", "OutOfMemoryError", error):
        return JobOutOfMemory(f"memory ran out: {error}" if str(error) else "memory ran out")
    if _is_of("sqlalchemy.exc", "OperationalError", error):
        return _ledger_away(getattr(error, "orig", error))
    return None


def _is_of(module: str, name: str, error: BaseException) -> bool:
    loaded = sys.modules.get(module)  # a process that did not import it cannot have failed by it
    return loaded is not None and isinstance(error, getattr(loaded, name))


def _ledger_away(said: BaseException) -> LedgerAway | None:
    # SQLite counts a missing table or wrong SQL among these, with its plainest code; PostgreSQL does not.
    names = ("sqlite_errorname", "pgcode", "sqlstate")  # of sqlite3, psycopg2 and psycopg
    code = next((found for name in names if (found := getattr(said, name, None)) is not None), None)
    if code == "SQLITE_ERROR":
        return None
    remedy = "; free some space on its disk" if code in _DISK_FULL else ""
    return LedgerAway(f"the ledger is not available now: {said}{remedy}")
