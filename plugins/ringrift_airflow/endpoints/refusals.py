"""What the library refuses, as answers: what was wrong with the question, what is not there, what is not ready yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException

from ringrift_loop.errors import ConfigError, DataError, IllegalMoveError, ModelError, NoCapacity
from ringrift_loop.text import one_line, without_secrets
from ringrift_loop.views.records import OutOfStep, Unknown

Responses = dict[int | str, dict[str, Any]]
"""As FastAPI takes the answers of a route besides the usual one."""

REFUSALS: Responses = {
    422: {"description": "What was asked is not possible; `detail` says why."},
    503: {"description": "Not ready yet; ask again after `Retry-After` seconds."},
}
_MAX_LETTERS = 1000


@contextmanager
def refusing() -> Iterator[None]:
    """Errors of the library, raised within, as answers with their sentence."""
    try:
        yield
    except Unknown as error:
        raise HTTPException(404, _said(error)) from error
    except OutOfStep as error:
        raise HTTPException(409, _said(error)) from error
    except NoCapacity as error:
        raise HTTPException(503, _said(error), headers={"Retry-After": str(round(error.pause_s))}) from error
    except (ConfigError, IllegalMoveError, DataError, ModelError, ValueError) as error:
        raise HTTPException(422, _said(error)) from error


def _said(error: Exception) -> str:
    return without_secrets(one_line(str(error), _MAX_LETTERS))
