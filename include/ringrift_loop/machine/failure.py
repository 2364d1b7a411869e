"""What a command that fails leaves for the process that supervises it: the error's class, its message, its remedy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop import errors
from ringrift_loop.errors import LoopError, Remedy, as_loop_error
from ringrift_loop.machine.files import open_plain, write_json
from ringrift_loop.text import clean, clean_lines

# Names the file in which a supervisor wants to find the failure; our own commands write it.
FAILURE_VARIABLE = "RINGRIFT_FAILURE_FILE"
_MAX_LETTERS = 4000
_MAX_BYTES = 64 << 10
_KNOWN = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LoopError)}


@dataclass(frozen=True)
class Failure:
    """The error that ended a command."""

    error: str
    """Name of its class."""
    message: str
    remedy: Remedy

    @property
    def is_own(self) -> bool:
        """Whether it is an error of the loop, not a bug or the machine's."""
        return self.error in _KNOWN

    def as_error(self, said: str) -> LoopError:
        """The same error of the loop again, with `said` as its text."""
        return _KNOWN[self.error](said)


def write_failure(path: Path, error: Exception) -> None:
    """Leave an error for the supervisor."""
    own = as_loop_error(error)
    known = (kind.__name__ for kind in type(own).__mro__ if kind.__name__ in _KNOWN)  # itself, or what it is a kind of
    document = {
        "error": next(known, type(error).__name__),
        "message": clean_lines(str(own or error)[:_MAX_LETTERS], _MAX_LETTERS),
        "remedy": Remedy.FAIL if own is None else own.remedy,
    }
    write_json(path, document)


def read_failure(path: Path) -> Failure | None:
    """The failure that a command left; None when it left none, or nothing that can be read."""
    try:
        with open_plain(path) as file:
            document = json.loads(file.read(_MAX_BYTES))
        error = clean(str(document["error"]), 80)
        # Commands of earlier versions did not write the remedy.
        remedy = document.get("remedy") or _KNOWN.get(error, LoopError).remedy
        return Failure(error, clean_lines(str(document["message"])[:_MAX_LETTERS], _MAX_LETTERS), Remedy(remedy))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # another program's, or of one that was killed before it wrote
