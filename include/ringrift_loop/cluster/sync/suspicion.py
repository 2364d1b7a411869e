"""Hosts whose games do not look like those of the model they name: found in the ledger, and held back from training.

The comparison is `residuals.py`. Games count that began within the last day, and early enough to have ended by now
whatever their length: the first games of a model that a host sends are its shortest ones. A host under suspicion goes
on playing and its games go on coming in; no training takes them, until a person says so (`ringrift-loop hosts trust`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, Text, case, cast, func, select

from ringrift_loop.cluster.sync.residuals import MIN_GAMES, Deviation, Sums, deviations
from ringrift_loop.hosts.inventory import LOCAL
from ringrift_loop.ledger import hosts, state
from ringrift_loop.ledger.schema import games
from ringrift_loop.ledger.schema import hosts as host_rows
from ringrift_loop.loop import Loop

EVENT = "suspicion"
LOOK_S = 600.0
"""Pause between two looks."""
_WINDOW_S = 86_400.0
_SETTLED_S = 900.0
"""A game that ended so long ago has come in, whatever its segment waited for."""
_LONGEST_S = 6 * 3600.0
"""A game that took longer, by its host's clock, is no reason to wait longer for the host's others."""
_LOOKED = "suspicion:looked_at"
_DISPUTES = "suspicion:disputes"


def watch_hosts(loop: Loop, *, at_once: bool = False) -> list[Deviation]:
    """Compare the hosts, hold back the games of those that deviate, and tell the history.

    Args:
        loop: the loop.
        at_once: look although the last look was less than LOOK_S ago.

    Returns:
        What was found in this look; hosts that are under suspicion already are not compared.
    """
    now = loop.clock()
    with loop.ledger.read() as conn:
        looked = state.get_time(conn, _LOOKED)
        if not at_once and looked is not None and 0.0 <= now - looked < LOOK_S:
            return []
        samples = read_samples(conn, now=now)
    trusted = {host.name for host in loop.inventory.hosts.values() if host.transport == LOCAL}
    found = [
        (variant, player, deviation)
        for (variant, player, _search), by_host in samples.items()
        for deviation in deviations(by_host, trusted)
    ]
    with loop.ledger.begin() as conn:
        state.put(conn, _LOOKED, now, at=now)
        known = hosts.suspected(conn)
        told = state.get(conn, _DISPUTES)
        disputes = []
        for variant, player, deviation in found:
            text = f"{variant} by {player[:12]}: {deviation.sentence()}"
            if deviation.decided and deviation.host not in known:
                known[deviation.host] = text
                hosts.suspect(conn, deviation.host, text, at=now)
                message = (
                    f"the games of {deviation.host} are held back from training: {text}. See what it runs, then: "
                    f"ringrift-loop hosts trust {deviation.host}"
                )
                loop.record(conn, EVENT, message, variant=variant, host=deviation.host)
            elif not deviation.decided:
                pair = f"{variant} {player} {deviation.figure} {' '.join(sorted((deviation.host, *deviation.others)))}"
                disputes.append(pair)
                if not isinstance(told, list) or pair not in told:
                    loop.record(conn, EVENT, f"two hosts differ, nothing is held back: {text}", variant=variant)
        if disputes != (told or []):
            state.put(conn, _DISPUTES, list(disputes), at=now)
    return [deviation for _, _, deviation in found]


def read_samples(conn: Connection, *, now: float) -> Mapping[tuple[str, str, str], Mapping[str, Sums]]:
    """Sums by variant, player and search, and then by host, of hosts that are under no suspicion."""
    from ringrift_loop.engine.rules import VARIANTS  # not needed by a cycle that has nothing to compare

    own, search, since = games.c, cast(games.c.search, Text), now - _WINDOW_S
    # Whatever a host's clock says: a game began before it came in, and no longer before than games may take.
    begun = case(
        (own.started_at > own.ingested_at, own.ingested_at),
        (own.started_at < own.ingested_at - _LONGEST_S, own.ingested_at - _LONGEST_S),
        else_=own.started_at,
    )
    trusted_at = func.coalesce(host_rows.c.trusted_at, 0.0)
    counts = (
        (own.ingested_at > since)
        & own.started_at.is_not(None)
        & (begun > since)
        & (begun > trusted_at)
        & host_rows.c.suspected_at.is_(None)
    )
    joined = games.join(host_rows, host_rows.c.name == own.host)
    longest = func.max(own.played_at - own.started_at)
    waits = case((longest < 0.0, 0.0), (longest < _LONGEST_S, longest), else_=_LONGEST_S)
    ends = (
        select(own.variant, own.host, (func.max(own.ingested_at) - _SETTLED_S - waits).label("until"))
        .select_from(joined)
        .where(counts)
        .group_by(own.variant, own.host)
        .subquery()
    )
    query = (
        select(
            own.variant,
            own.player,
            search,
            own.host,
            func.count(),
            func.sum(own.plies),
            func.sum(own.plies * own.plies),
            func.coalesce(func.sum(own.value_error), 0.0),
            func.coalesce(func.sum(own.value_error * own.value_error), 0.0),
            func.coalesce(func.sum(own.value_spread), 0.0),
            func.coalesce(func.sum(own.value_spread * own.value_spread), 0.0),
            func.count(own.value_spread),
            *(func.sum(case((own.winner == seat, 1), else_=0)) for seat in range(1, 5)),
        )
        .select_from(joined.join(ends, (ends.c.variant == own.variant) & (ends.c.host == own.host)))
        .where(counts, begun <= ends.c.until)
        .group_by(own.variant, own.player, search, own.host)
        .having(func.count() >= MIN_GAMES)
    )
    samples: dict[tuple[str, str, str], dict[str, Sums]] = defaultdict(dict)
    for variant, player, settings, host, *sums in conn.execute(query):
        number, plies, plies_squared, errors, errors_squared, spreads, spreads_squared, value_games, *won = sums
        samples[variant, player, settings][host] = Sums(
            games=number,
            wins=tuple(map(int, won[: VARIANTS[variant].players])),
            plies=float(plies),
            plies_squared=float(plies_squared),
            errors=errors,
            errors_squared=errors_squared,
            spreads=spreads,
            spreads_squared=spreads_squared,
            value_games=value_games,
        )
    return samples
