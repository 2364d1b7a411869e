"""Which rows a training draws more often: those whose search found something else than its player expected.

Surprise weighting (KataGo, Wu 2019): most searches find what the network says anyway, and a step spent on them teaches
next to nothing. The surprises are a host's word: what it tells moves draws between its own rows, never to them from
those of other hosts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.training.window import Window


def draws_by_surprise(window: Window, share: float) -> NDArray[np.float64]:
    """How often a pass over a window's rows draws each of them on average, float64 [R]; the mean of a host's is 1.

    The full searches of a host share out `share` of their draws among themselves, half of it by the surprise of their
    policy, KL(target || prior), half by that of their value; its others by that of their value alone. Each row has the
    rest for itself. Rows that tell no surprise are drawn once, as are the games of no model: what their player expected
    is not what a network would.
    """
    draws = np.ones(window.num_rows)
    played, host = window.bootstrap[window.game] == 0, window.host[window.game]
    full = window.searched == 1
    for kind, surprises in (
        (full, (window.policy_surprise, window.value_surprise)),
        (~full, (window.value_surprise,)),
    ):
        for surprise in surprises:
            told = played & kind & np.isfinite(surprise)
            own, of = surprise[told].astype(np.float64), host[told]
            mean = (np.bincount(of, own) / np.maximum(np.bincount(of), 1))[of]
            ratio = np.divide(own, mean, out=np.ones_like(own), where=mean > 0.0)
            draws[told] += share / len(surprises) * (ratio - 1.0)
    return draws
