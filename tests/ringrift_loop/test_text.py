from __future__ import annotations

import pytest

from ringrift_loop.text import clean, clean_lines, counted, one_line, without_secrets


def test_nothing_that_a_terminal_or_a_database_acts_on_gets_through() -> None:
    assert clean("a\x1b[2Jb\nc\x00d\u202ee") == "a?[2Jb?c?d?e"
    assert clean_lines("one\ttwo\nthree\x1b]0;title\x07", 100) == "one\ttwo\nthree?]0;title?"
    assert clean("x" * 900) == "x" * 500
    assert clean_lines("abcdef", 3) == "def"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://user:s3cret@db/ringrift", "postgresql://user:***@db/ringrift"),
        ("postgresql+psycopg2://db/ringrift?user=a&password=s3cret&sslmode=on", "password=***&sslmode=on"),
        ("connect failed (password=s3cret)", "(password=***)"),
    ],
)
def test_passwords_are_masked_wherever_a_url_has_them(text: str, shown: str) -> None:
    assert "s3cret" not in without_secrets(text)
    assert shown in without_secrets(text)


def test_one_line_is_made_of_several_and_cut() -> None:
    assert one_line("  a\n\n b\x1b\r\nc ") == "a; b?; c"
    assert one_line("x" * 1000, 10) == "x" * 10


def test_one_of_something_is_not_several() -> None:
    assert [counted(number, "new game") for number in (0, 1, 2)] == ["0 new games", "1 new game", "2 new games"]
