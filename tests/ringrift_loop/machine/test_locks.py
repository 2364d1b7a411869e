from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ringrift_loop.machine.locks import locked


def test_a_second_holder_waits_and_one_that_should_not_wait_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    order = []

    def second() -> None:
        with locked(path):
            order.append("second")

    with locked(path):
        with pytest.raises(BlockingIOError, match="held by another"), locked(path, wait_s=0):
            pass
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_a_lock_file_that_was_removed_with_what_it_guards_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    entered = []

    def second() -> None:
        with locked(path, wait_s=5):
            entered.append(path.exists())

    with locked(path):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.1)
        path.unlink()
    waiting.join(5)
    assert entered == [True]
