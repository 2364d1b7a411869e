"""Dataclasses from JSON that is not trusted: every field present, of its type, finite and of bounded length.

For what travels between the coordinator and a training host: bundle.py one way, outcome.py the other.
"""

from __future__ import annotations

import json
import types
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ringrift_loop.errors import DataError
from ringrift_loop.machine.files import read_plain

_MAX_TEXT = 2000
_MAX_ITEMS = 64
_MAX_FLOAT = 1e300
_MAX_INT = 1 << 53  # beyond it JSON's numbers differ from reader to reader

Record = TypeVar("Record")


def read_document(path: Path, *, max_bytes: int) -> object:
    """The JSON in a plain file; see `read_plain`.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_plain(path, max_bytes))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error


def from_document(kind: type[Record], document: object, where: str) -> Record:
    """The dataclass that a JSON object describes.

    Args:
        kind: a dataclass of int, float, bool, str, `str | None`, tuples of one kind, and such dataclasses.
        document: what the file holds.
        where: names the place in messages.

    Raises:
        DataError: a field is missing, unknown, of another type, not finite or too long.
    """
    hints = get_type_hints(kind)
    if not isinstance(document, dict):
        raise DataError(f"{where} must be an object, got {_shown(document)}")
    if document.keys() != hints.keys():
        wrong = sorted(document.keys() ^ hints.keys())
        raise DataError(f"{where}: missing or unknown fields {', '.join(wrong)[:300]}")
    return kind(**{name: _value(hint, document[name], f"{where}: {name}") for name, hint in hints.items()})


def _value(hint: Any, value: object, where: str) -> object:
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return from_document(hint, value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or len(value) > _MAX_ITEMS:
            raise DataError(f"{where} must be a list of at most {_MAX_ITEMS}, got {_shown(value)}")
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if isinstance(hint, types.UnionType):
        return None if value is None else _value(get_args(hint)[0], value, where)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_FLOAT:
        return float(value)  # the comparison is false for NaN
    if hint is not float and type(value) is hint and _bounded(value):
        return value
    kind = "a finite number" if hint is float else f"{hint.__name__} of bounded size"
    raise DataError(f"{where} must be {kind}, got {_shown(value)}")


def _bounded(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    return not isinstance(value, int) or abs(value) < _MAX_INT


def _shown(value: object) -> str:
    return repr(value)[:80]
