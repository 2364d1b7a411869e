from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.machine.bounded_log import append_lines, read_tail


def test_lines_are_read_back_and_only_by_their_owner(tmp_path: Path) -> None:
    log = tmp_path / "jobs" / "one.log"
    append_lines(log, ["first", "second"])
    append_lines(log, ["third"])
    assert read_tail(log).text == "first\nsecond\nthird\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_nothing_is_sent_twice_and_whatever_is_added_is_sent(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    append_lines(log, ["first"])
    seen = read_tail(log)
    assert read_tail(log, after=seen.token).text is None
    append_lines(log, ["second"])
    assert read_tail(log, after=seen.token).text == "first\nsecond\n"


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    tail = read_tail(tmp_path / "none.log")
    assert (tail.text, tail.token, tail.changed_at) == ("", "", None)


def test_a_line_longer_than_the_tail_is_shown_by_its_end(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    append_lines(log, ["x" * 50 + "end"])
    assert read_tail(log, max_bytes=10).text == "xxxxxxend\n"


@given(lines=st.lists(st.text("ab", max_size=30), max_size=40), size=st.integers(16, 200))
def test_the_file_keeps_its_limit_and_its_newest_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], size: int
) -> None:
    log = tmp_path_factory.mktemp("log") / "one.log"
    for line in lines:
        append_lines(log, [line], max_bytes=size)
    whole = "".join(f"{line}\n" for line in lines)
    kept = read_tail(log, max_bytes=1000).text or ""
    assert whole.endswith(kept)
    assert len(kept) <= size
    assert len(kept) >= min(len(whole), size // 2 - 31)
    assert read_tail(log, max_bytes=40).text in (kept[-40:], kept[-40:].partition("\n")[2])
