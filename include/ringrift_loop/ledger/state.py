"""Single values of the loop: when it started, its last cycle, whether it is halted, how much self-play may run."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update

from ringrift_loop.errors import ConfigError, LedgerError
from ringrift_loop.json_value import JsonValue, number
from ringrift_loop.ledger.schema import loop_state

STARTED_AT = "started_at"
LAST_CYCLE_AT = "last_cycle_at"
ALIVE_AT = "alive_at"
CYCLES = "cycles"
HALT = "halt"
SELFPLAY_SHARE = "selfplay_share"
WAITING_GAMES = "waiting_games"
_VERIFICATION = "verification"


def get(conn: Connection, key: str) -> JsonValue:
    """The value of a key, or None when it was never set."""
    value: JsonValue = conn.execute(select(loop_state.c.value).where(loop_state.c.key == key)).scalar_one_or_none()
    return value


def put(conn: Connection, key: str, value: JsonValue, *, at: float) -> None:
    """Set a key, replacing what was there."""
    row = {"value": value, "updated_at": at}
    if conn.execute(update(loop_state).where(loop_state.c.key == key).values(row)).rowcount == 0:
        conn.execute(insert(loop_state).values(key=key, **row))


def get_time(conn: Connection, key: str) -> float | None:
    """The value of a key that holds UTC seconds, or None when it was never set."""
    return number(get(conn, key))


def last_alive_at(conn: Connection) -> float | None:
    """When the loop was last known to run: it started then, or a data sync of its own began."""
    times = (get_time(conn, key) for key in (STARTED_AT, ALIVE_AT))
    return max((at for at in times if at is not None), default=None)


def note_alive(conn: Connection, *, at: float, silence_s: float) -> None:
    """Note that the loop runs; it has started now when nothing was heard of it for longer than `silence_s`."""
    before = last_alive_at(conn)
    if before is None or not 0 <= at - before <= silence_s:
        put(conn, STARTED_AT, at, at=at)
    put(conn, ALIVE_AT, at, at=at)


def count_cycle(conn: Connection, *, at: float) -> None:
    """Note that a sync cycle over all hosts ended."""
    put(conn, LAST_CYCLE_AT, at, at=at)
    put(conn, CYCLES, cycles(conn) + 1, at=at)


def cycles(conn: Connection) -> int:
    """The sync cycles that ended."""
    value = get(conn, CYCLES)
    return value if isinstance(value, int) else 0


def halted(conn: Connection) -> bool:
    """Whether a person has told the loop to start nothing by itself."""
    return get(conn, HALT) is True


def set_halt(conn: Connection, halt: bool, *, at: float) -> None:
    """Let the loop start nothing by itself any more, or let it go on; workers are drained at the next reconcile."""
    put(conn, HALT, halt, at=at)


def free_since(conn: Connection) -> float | None:
    """Since when the loop starts things by itself: it started then, or a person let it go on after a halt.

    None before its first start. While it is halted, when it started.
    """
    query = select(loop_state.c.updated_at).where(loop_state.c.key == HALT)
    resumed_at = None if halted(conn) else conn.execute(query).scalar()
    return max((at for at in (get_time(conn, STARTED_AT), resumed_at) if at is not None), default=None)


def selfplay_share(conn: Connection) -> float:
    """The share of the self-play slots that may play, 0..1; 1 until somebody sets it.

    Raises:
        LedgerError: the ledger holds something else.
    """
    value = get(conn, SELFPLAY_SHARE)
    if value is None:
        return 1.0
    share = number(value)
    if share is None or not 0 <= share <= 1:
        raise LedgerError(f"the self-play share is a number from 0 to 1, the ledger holds {value!r:.40}")
    return share


def set_selfplay_share(conn: Connection, share: float, *, at: float) -> None:
    """Let a share of the self-play slots play from the next reconcile on.

    Raises:
        ConfigError: it is not within 0..1.
    """
    if not 0 <= share <= 1:  # NaN is not either
        raise ConfigError(f"the self-play share must be from 0 to 1, got {share}")
    put(conn, SELFPLAY_SHARE, float(share), at=at)


def waiting_games(conn: Connection) -> dict[str, int]:
    """Sealed games that each host was left with at its last visit; a host that was never visited is not there."""
    value = get(conn, WAITING_GAMES)
    return {} if not isinstance(value, dict) else {host: n for host, n in value.items() if isinstance(n, int)}


def note_waiting_games(conn: Connection, waiting: Mapping[str, int], *, at: float) -> None:
    """Keep what the visits of one cycle found; other hosts' figures stay."""
    if waiting:
        put(conn, WAITING_GAMES, {**waiting_games(conn), **waiting}, at=at)


def verification(conn: Connection) -> tuple[float, int] | None:
    """When the last audit ended, and how much it found; None before the first."""
    value = get(conn, _VERIFICATION)
    at, findings = (value.get("at"), value.get("findings")) if isinstance(value, dict) else (None, None)
    if not isinstance(at, (int, float)) or not isinstance(findings, int):
        return None
    return float(at), findings


def note_verification(conn: Connection, findings: int, *, at: float) -> None:
    """Keep how much an audit found."""
    put(conn, _VERIFICATION, {"at": at, "findings": findings}, at=at)
