"""Text from outside, made safe for terminals, logs and databases; and how tables and spans of time look there."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_LETTERS = 500
# user:password@ in front of a host, and words such as password=... in a query string.
_LOGIN = re.compile(r"(?P<user>//[^/@:\s]*):[^/@\s]*@")
_SECRET = re.compile(r"(?i)\b(password|passwd|passfile|sslpassword|secret|token|api_key)=[^&\s'\")]+")


def clean(text: str, limit: int = MAX_LETTERS) -> str:
    """One printable line: cut at `limit` letters, everything a terminal, a log or PostgreSQL would act on a `?`."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:limit])


def clean_lines(text: str, limit: int) -> str:
    """Several printable lines: like `clean`, but newlines and tabs stay. `limit` letters from the end are kept."""
    kept = text[-limit:] if limit else ""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in kept)


def without_secrets(text: str) -> str:
    """The text with passwords of URLs and of `password=...` replaced by `***`."""
    return _SECRET.sub(r"\1=***", _LOGIN.sub(r"\g<user>:***@", text))


def one_line(text: str, limit: int = MAX_LETTERS) -> str:
    """All lines of a text as one printable line."""
    return clean("; ".join(line for part in text[: 2 * limit].splitlines() if (line := part.strip())), limit)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: each column is as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def counted(number: int, what: str) -> str:
    """`1 game`, `2 games`; `what` in the singular."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """`2 d 3 h`, `3 h 12 min`, `12 min`, `40 s`."""
    days, rest = divmod(max(0, round(seconds)), 86_400)
    hours, rest = divmod(rest, 3600)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{rest // 60} min" if rest >= 60 else ""]
    return " ".join([part for part in parts if part][:2]) or f"{rest} s"
