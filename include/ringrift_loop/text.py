"""Text from outside, made safe for terminals, logs and databases: the one border for what hosts and people send."""

from __future__ import annotations

import re

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
