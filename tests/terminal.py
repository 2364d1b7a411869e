"""A pseudo-terminal: a program writes to it, and a test reads what came."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import pytest


class Terminal:
    """Both ends; `inner` is the descriptor that a program gets. A thread reads, so that no writer waits."""

    def __init__(self, *, columns: int = 80, lines: int = 60) -> None:
        self._outer, self.inner = pty.openpty()
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._said, self._told = b"", 0
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.inner)  # ends the reader, when the program has ended too
        self._reader.join(timeout=20)
        os.close(self._outer)

    def read_until(self, text: str, *, limit_s: float = 30.0) -> str:
        """Wait until the text has come; returns all that came since what the last call returned."""
        with self._more:
            came = self._more.wait_for(lambda: text in self._new(), timeout=limit_s)
            new = self._new()
            assert came, f"{text!r} did not come: {new!r}"
            self._told = len(self._said)
            return new

    def _new(self) -> str:
        return self._said[self._told :].decode(errors="replace")

    def _read(self) -> None:
        while True:
            try:
                came = os.read(self._outer, 65536)
            except OSError as error:
                assert error.errno == errno.EIO, error  # nobody has the inner end open any more
                return
            with self._more:
                self._said += came
                self._more.notify_all()


@contextmanager
def terminal_as_stderr() -> Iterator[Terminal]:
    """This process's stderr is a terminal of 80 columns."""
    with (
        Terminal() as terminal,
        open(terminal.inner, "w", closefd=False, encoding="utf-8") as stderr,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TERM", "xterm")
        for name in ("COLUMNS", "LINES"):
            patch.delenv(name, raising=False)
        patch.setattr(sys, "stderr", stderr)
        yield terminal
