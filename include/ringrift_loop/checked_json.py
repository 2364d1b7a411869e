"""JSON from outside against declared models: bounded, typed, unknown fields refused, or a `DataError` that says why.

Whoever writes such a document and whoever reads it share its class.
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from ringrift_loop.errors import DataError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.text import MAX_LETTERS, clean

_MAX_SHOWN_BYTES = 1 << 20  # a longer document is not read a second time to show the value that was wrong
_SHOWN_LETTERS = 80
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")

Count = Annotated[int, Meta(ge=0, lt=1 << 53)]  # numbers in JSON are exact below
Seconds = Annotated[float, Meta(ge=0, le=1e15)]
Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
VariantName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}\Z")]
ProgramVersion = Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+!_-]{1,40}\Z")]
PlainWord = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]  # as a program's argument
Sentence = Annotated[str, Meta(max_length=2000)]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object; a subclass declares its fields, their bounds and, as its `tag`, the version of a file."""

    def as_json(self) -> dict[str, JsonValue]:
        """The fields, as the ledger keeps them."""
        document: dict[str, JsonValue] = msgspec.to_builtins(self)
        return document


class File(Document, frozen=True, tag_field="v", tag=1):
    """A document that stays: its first field is its version."""


_Kind = TypeVar("_Kind")


class _Head(msgspec.Struct):
    v: int | None = None


def parse(raw: bytes | str, kind: type[_Kind], what: str) -> _Kind:
    """Read a document.

    Args:
        raw: its text.
        kind: what it must be.
        what: names it in the errors, such as `a heartbeat`.

    Raises:
        DataError: it is not; the message has the field, what is wrong with it, and the value.
    """
    try:
        _check_version(raw, kind, what)
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        _refuse(error, raw, what)
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        raise DataError(f"{what} is not JSON: {clean(str(error))}; got {raw[:120]!r}") from error


def parse_exactly(raw: bytes | str, kind: type[_Kind], what: str) -> _Kind:
    """The same for a kind that holds dataclasses, of which msgspec would pass over what is unknown or missing."""
    document = parse(raw, kind, what)
    _check_fields(msgspec.json.decode(raw), document, what)
    return document


def convert(value: object, kind: type[_Kind], what: str) -> _Kind:
    """The same for a document that is decoded already, such as one from the ledger."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise DataError(clean(f"{what}: {error}")) from error


def line(document: msgspec.Struct) -> bytes:
    """The document as one line."""
    return msgspec.json.encode(document) + b"\n"


def clean_fields(document: msgspec.Struct, *names: str, limit: int = MAX_LETTERS) -> None:
    """In a `__post_init__`: cut texts for people, and take out what a terminal, a log or PostgreSQL would act on."""
    for name in names:
        value = getattr(document, name)
        if isinstance(value, str):
            msgspec.structs.force_setattr(document, name, clean(value, limit))
        elif isinstance(value, tuple):
            msgspec.structs.force_setattr(document, name, tuple(clean(one, limit) for one in value))


def _check_fields(given: Any, read: object, place: str) -> None:
    if is_dataclass(read):
        wrong = sorted(given.keys() ^ {field.name for field in fields(read)})
        if wrong:
            raise DataError(f"{place}: missing or unknown fields {clean(', '.join(wrong))}")
    if is_dataclass(read) or isinstance(read, msgspec.Struct):
        for name, value in given.items():
            _check_fields(value, getattr(read, name, None), f"{place}: {name}")


def _check_version(raw: bytes | str, kind: type[Any], what: str) -> None:
    wanted = kind.__struct_config__.tag if issubclass(kind, File) else None
    if wanted is None:
        return
    found = msgspec.json.decode(raw, type=_Head).v
    if found != wanted:
        raise DataError(f"{what} of version {wanted} was expected, got v={found!r}")


def _refuse(error: msgspec.ValidationError, raw: bytes | str, what: str) -> NoReturn:
    """`Expected `int` <= 255 - at `$.workers[0].slot``, with the value that is there."""
    wrong, _, path = str(error).partition(" - at ")
    place = path.removeprefix("`$").removeprefix(".").removesuffix("`")
    sentence = f"{what}: {place}: {wrong}" if place else f"{what}: {wrong}"
    shown = _shown(raw, place) if path.startswith("`$") else None
    if shown is not None:
        sentence += f": {shown}" if ", got " in wrong else f", got {shown}"
    raise DataError(clean(sentence)) from error


def _shown(raw: bytes | str, place: str) -> str | None:
    """The value at a place of a document, cut; None when it cannot be told."""
    if len(raw) > _MAX_SHOWN_BYTES:
        return None
    try:
        value: Any = msgspec.json.decode(raw)
        for step in _STEP.finditer(f".{place}" if place and not place.startswith("[") else place):
            value = value[step[1]] if step[1] is not None else value[int(step[2])]
        return reprlib.repr(value)[:_SHOWN_LETTERS]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
