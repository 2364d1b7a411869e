"""Which rows a training draws more often: those whose search found something else than its player expected.

Surprise weighting (KataGo, Wu 2019): most searches find what the network says anyway, and a step spent on them teaches
next to nothing. The surprises are a host's word: what it tells moves draws between its own rows, never to them from
those of other hosts. Only hosts of a few games share out their draws with others of that kind: between few games there
is little to share out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.training.window import Window

LEAST_GAMES = 32
"""Of a window that a host has to share out draws by itself; shared out by game they lost 35 Elo (docs/log.md)."""


def draws_by_surprise(window: Window, share: float) -> NDArray[np.float64]:
    """How often a pass over a window's rows draws each of them on average, float64 [R]; the mean of a pool's is 1.

    A pool is a host with its games, or some hosts of few. The full searches of a pool share out `share` of their draws
    among themselves, half of it by the surprise of their policy, KL(target || prior), half by that of their value; its
    others by that of their value alone. Each row has the rest for itself. Rows that tell no surprise are drawn once, as
    are the games of no model: what their player expected is not what a network would.
    """
    draws = np.ones(window.num_rows)
    played, pool = window.bootstrap[window.game] == 0, pools_of(window.host)[window.host[window.game]]
    full = window.searched == 1
    for kind, surprises in (
        (full, (window.policy_surprise, window.value_surprise)),
        (~full, (window.value_surprise,)),
    ):
        for surprise in surprises:
            told = played & kind & np.isfinite(surprise)
            own, of = surprise[told].astype(np.float64), pool[told]
            mean = (np.bincount(of, own) / np.maximum(np.bincount(of), 1))[of]
            ratio = np.divide(own, mean, out=np.ones_like(own), where=mean > 0.0)
            draws[told] += share / len(surprises) * (ratio - 1.0)
    return draws


def pools_of(hosts: NDArray[np.integer]) -> NDArray[np.int64]:
    """The pool of each host, int64 [H], named after one host of it.

    A host of LEAST_GAMES games has its own. The others are taken together in their order, until a pool has as many; the
    last ones, if they have fewer, belong to the pool before.

    Args:
        hosts: [G] the host of each game, counted from 0.
    """
    games = np.bincount(hosts)
    pools = np.arange(len(games))
    full: int | None = None
    begun: int | None = None
    held = 0
    for host in np.flatnonzero(games < LEAST_GAMES).tolist():
        begun = host if begun is None else begun
        pools[host] = begun
        held += int(games[host])
        if held >= LEAST_GAMES:
            full, begun, held = begun, None, 0
    if full is not None and begun is not None:
        pools[pools == begun] = full
    return pools
