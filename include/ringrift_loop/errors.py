"""The exceptions of the loop.

LoopError
├── ConfigError (ValueError)       a configuration value is wrong
├── IllegalMoveError (ValueError)  a well-formed move is not legal in its state
├── DataError                      a file or a record from outside is not what it claims to be
├── LedgerError                    the ledger refuses a write that would break an invariant
├── ModelError                     a model does not load, or does not fit its manifest
├── GateError                      a gate could not be evaluated, or said no
├── HostError                      a host did not do what it was asked; worth a retry
│   ├── HostUnreachable            no connection
│   │   ├── HostKeyRefused         the host's key is not the one that is known
│   │   ├── LoginRefused           the host does not let us in
│   │   └── JobOutOfSight          the host of a running job does not answer
│   └── RemoteJobFailed            connected, but the command failed
│       ├── JobInterrupted         the job was cut off from outside; another attempt may succeed
│       ├── JobOutOfMemory         the job needs more memory than there was
│       └── JobFaulty              the job fails by its own data, code or limit, or was cancelled
├── TrainingStopped                a training was asked to stop; run again, it goes on
└── NoCapacity                     nothing is free for this work now; try again later
"""

from __future__ import annotations


class LoopError(Exception):
    """Base of every error that the loop raises on purpose."""


class ConfigError(LoopError, ValueError):
    """A configuration value is wrong; the message names the file, the line and what would be right."""


class IllegalMoveError(LoopError, ValueError):
    """A well-formed move is not legal in the state it was played in."""


class DataError(LoopError):
    """A file or a record from outside is not what it claims to be."""


class LedgerError(LoopError):
    """The ledger refuses a write that would break one of its invariants."""


class ModelError(LoopError):
    """A model file does not load, or does not fit its manifest."""


class GateError(LoopError):
    """A gate could not be evaluated, or its verdict blocks the promotion."""


class HostError(LoopError):
    """A host did not do what it was asked; worth a retry."""


class HostUnreachable(HostError):  # noqa: N818 - the name says what happened
    """No connection to the host; `sent` is False when it certainly was not told anything."""

    sent: bool = True
    advice: str | None = None  # where the error says for sure what to do


class HostKeyRefused(HostUnreachable):
    """The host's key is not the one that is known for it: another machine, or one set up anew."""


class LoginRefused(HostUnreachable):
    """The host does not accept the user or the key."""


class JobOutOfSight(HostUnreachable):
    """The host of a running job does not answer; the job may still run there."""


class RemoteJobFailed(HostError):  # noqa: N818 - the name says what happened
    """The host was reached, but the command failed."""


class JobInterrupted(RemoteJobFailed):
    """A job was cut off from outside or asked to be tried again; another attempt may succeed."""


class JobOutOfMemory(RemoteJobFailed):
    """A job needs more memory, of the host or of its GPU, than there was."""


class JobFaulty(RemoteJobFailed):
    """A job failed by its data, its code or its time limit, or a person cancelled it: the same would happen again."""


class TrainingStopped(LoopError):  # noqa: N818 - the name says what happened
    """A training stopped because it was asked to; its checkpoint is written, and run again it goes on from there."""


class NoCapacity(LoopError):  # noqa: N818 - the name says what happened
    """Nothing is free for this work now; try again later."""
