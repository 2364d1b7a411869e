"""One host's turn in a pass over all of them: what goes wrong there is that host's failure and ends no other turn."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable

from sqlalchemy.exc import OperationalError

from ringrift_loop.errors import HostError, HostUnreachable, LoopError
from ringrift_loop.text import clean_lines, one_line, without_secrets

_log = logging.getLogger(__name__)

_MAX_TEXT = 2000
_MAX_TRACEBACK = 8000


async def failure_in(host: str, turn: Awaitable[object], *, limit_s: float) -> LoopError | OSError | None:
    """Take a host's turn, for at most `limit_s` seconds; what went wrong in it, or None.

    Raises:
        OperationalError: the ledger does not work, which is no host's fault.
    """
    try:
        async with asyncio.timeout(limit_s):
            await turn
    except TimeoutError:
        return HostUnreachable(f"{host} did not finish within {limit_s:g} s")
    except OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - an answer that nobody foresaw must not end the turns of the others
        return host_failure(host, error)
    return None


def host_failure(host: str, error: Exception) -> LoopError | OSError:
    """An exception that a host caused, as one that the loop knows; the traceback of any other goes to the log."""
    if isinstance(error, (LoopError, OSError)):
        return error
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s: unexpected %s\n%s", host, described(error), clean_lines(frames, _MAX_TRACEBACK))
    return HostError(f"unexpected {described(error)}; the log has the traceback")


def described(error: Exception) -> str:
    """The class and the message of an error as one printable line, without passwords."""
    name, text = type(error).__name__, sentence(error)
    return name if text == name else f"{name}: {text}"


def sentence(error: Exception) -> str:
    """The message of an error as one printable line, without passwords; its class where it has none."""
    return without_secrets(one_line(str(error), _MAX_TEXT)) or type(error).__name__
