"""Requests and answers as they travel between coordinator and host: one line of JSON each, checked on arrival.

A login may print what it likes before and after: the answer stands between marks with a token that came with the
request. Both sides refuse another version.
"""

from __future__ import annotations

import secrets
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from ringrift_loop import __version__
from ringrift_loop.checked_json import Document, ProgramVersion, line, parse
from ringrift_loop.errors import DataError
from ringrift_loop.text import clean

VERSION = 2
MAX_REQUEST_BYTES = 4 << 20
_SAID_LETTERS = 300

_Kind = TypeVar("_Kind", bound=msgspec.Struct)


class TalkingLoginError(DataError):
    """A login printed things of its own, and no whole answer."""


class _Call(Document, frozen=True):
    v: int
    version: ProgramVersion
    token: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    request: msgspec.Raw


class _Answer(Document, frozen=True):
    v: int
    version: ProgramVersion
    answer: msgspec.Raw


class _Head(msgspec.Struct):
    """What says whether the rest can be read."""

    v: int | None = None
    version: str = "another version"


def new_token() -> str:
    """What marks the answer to one request."""
    return secrets.token_hex(16)


def request_line(request: msgspec.Struct, token: str) -> bytes:
    """The request as the first line of the host's stdin."""
    return line(_Call(VERSION, __version__, token, msgspec.Raw(msgspec.json.encode(request))))


def read_request(raw: bytes, kind: type[_Kind]) -> tuple[_Kind, str]:
    """Read a request on the host, and the token for its answer.

    Raises:
        DataError: it is malformed, or of another version.
    """
    _check_version(raw, "a request")
    call = parse(raw, _Call, "a request")
    return parse(bytes(call.request), kind, "a request"), call.token


def answer_text(answer: msgspec.Struct, token: str) -> str:
    """The answer as the host's stdout."""
    document = _Answer(VERSION, __version__, msgspec.Raw(msgspec.json.encode(answer)))
    begin, end = marks(token)
    return f"\n{begin}{msgspec.json.encode(document).decode()}{end}\n"


def marks(token: str) -> tuple[str, str]:
    """What stands before and after an answer; `deployment/host_script.py` writes the same."""
    return f"<{token}>", f"</{token}>"


def read_answer(output: bytes, token: str, kind: type[_Kind]) -> _Kind:
    """Read what a host's command printed; nothing in it is trusted.

    Raises:
        DataError: there is no answer to this request in it, it is malformed, or of another version.
    """
    raw = between_marks(output, token)
    _check_version(raw, "an answer")
    return parse(bytes(parse(raw, _Answer, "an answer").answer), kind, "an answer")


def between_marks(output: bytes, token: str) -> bytes:
    """What a command of ours said, out of all that its login printed.

    Raises:
        TalkingLoginError: the marks are not there, or not whole, but other words.
        DataError: there is nothing at all, or an answer of an earlier version.
    """
    begin, end = (mark.encode() for mark in marks(token))
    before, begun, rest = output.partition(begin)
    said, ended, _ = rest.partition(end)
    if begun and ended:
        return said
    words = (before + rest).decode("utf-8", "replace").strip()
    if not words:
        raise DataError("the command succeeded but answered nothing")
    if not begun and '{"v":' in words.replace(" ", ""):
        raise DataError("an answer without marks is one of an earlier ringrift-loop; install the same version there")
    raise TalkingLoginError(
        f"this login prints text of its own, and there is no complete answer in it: {clean(words, _SAID_LETTERS)!r}"
    )


def _check_version(raw: bytes, what: str) -> None:
    head = parse(raw, _Head, what)
    if head.v != VERSION:
        raise DataError(
            f"{what} of version {VERSION} was expected, got v={head.v} by ringrift-loop {clean(head.version, 40)!r}, "
            f"this is {__version__}; install the same version on both sides"
        )
