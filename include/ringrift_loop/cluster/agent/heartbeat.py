"""A worker's heartbeat as the coordinator takes it: bounded, typed, nothing else let through."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ringrift_loop.errors import DataError

if TYPE_CHECKING:  # hosts answer once a cycle, and the ledger's package brings SQLAlchemy: 0.3 s CPU
    from ringrift_loop.json_value import JsonValue

VERSION = 1
MAX_BYTES = 16384
STATES = ("starting", "playing", "draining", "failed")
_TEXT_LENGTH = 500


@dataclass(frozen=True)
class Heartbeat:
    """What a worker says of itself every few seconds."""

    pid: int
    slot: int
    variant: str
    state: str  # one of STATES
    model: str | None  # digest that it plays with; None: the heuristic of the first games
    generation: int  # of that model, 0 without one
    games: int  # finished since its start
    games_per_hour: float
    evals_per_s: float
    net_share: float  # of its time spent in the network, 0..1
    last_error: str | None
    at: float  # by the host's clock, UTC seconds
    version: str  # of ringrift-loop on the host
    hot_reload: bool = True  # false: it keeps its model until it is restarted

    @classmethod
    def parse(cls, raw: bytes) -> Heartbeat:
        """Read a heartbeat file.

        Raises:
            DataError: it is too large, no JSON, of another version, or a field is missing, mistyped or not finite.
        """
        if len(raw) > MAX_BYTES:
            raise DataError(f"a heartbeat has at most {MAX_BYTES} bytes, got {len(raw)}")
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise DataError(f"a heartbeat is JSON: {error}") from error
        if not isinstance(document, dict) or document.get("v") != VERSION:
            raise DataError(f"a heartbeat of version {VERSION} was expected, got {raw[:80]!r}")
        state = _text(document, "state")
        if state not in STATES:
            raise DataError(f"a heartbeat's state is one of {', '.join(STATES)}, got {state!r}")
        return cls(
            pid=_whole(document, "pid"),
            slot=_whole(document, "slot"),
            variant=_text(document, "variant"),
            state=state,
            model=_optional_text(document, "model"),
            generation=_whole(document, "generation"),
            games=_whole(document, "games"),
            games_per_hour=_number(document, "games_per_hour"),
            evals_per_s=_number(document, "evals_per_s"),
            net_share=_number(document, "net_share"),
            last_error=_optional_text(document, "last_error"),
            at=_number(document, "at"),
            version=_text(document, "version"),
            hot_reload=_flag(document, "hot_reload", default=True),
        )

    def as_json(self) -> dict[str, JsonValue]:
        """The fields, as the ledger keeps them."""
        return {"v": VERSION, **asdict(self)}


def _whole(document: dict[str, object], key: str) -> int:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise DataError(f"a heartbeat's {key} is a whole number from 0, got {value!r:.80}")
    return value


def _number(document: dict[str, object], key: str) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 1e15:
        raise DataError(f"a heartbeat's {key} is a finite number, got {value!r:.80}")
    return float(value)


def _flag(document: dict[str, object], key: str, *, default: bool) -> bool:
    value = document.get(key, default)
    if not isinstance(value, bool):
        raise DataError(f"a heartbeat's {key} is true or false, got {value!r:.80}")
    return value


def _text(document: dict[str, object], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise DataError(f"a heartbeat's {key} is text, got {value!r:.80}")
    # Cut, and without what PostgreSQL cannot store.
    return value[:_TEXT_LENGTH].replace("\x00", "").encode("utf-8", "replace").decode()


def _optional_text(document: dict[str, object], key: str) -> str | None:
    return None if document.get(key) is None else _text(document, key)
