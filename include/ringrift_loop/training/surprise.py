"""Which rows a training draws more often: those whose search found something else than its player expected.

Policy surprise weighting (KataGo, Wu 2019): most searches find what the network says anyway, and
a step spent on them teaches next to nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringrift_loop.training.window import Window


def draws_by_surprise(window: Window, share: float) -> NDArray[np.float64]:
    """How often a pass over a window's rows draws each of them on average, float64 [R]; the mean is 1.

    The full searches share out `share` of their draws among themselves by their surprise, KL(target || prior); each has
    the rest for itself. Rows without a policy target are drawn once, as are those whose surprise nobody told, and the
    games of no model: what their player expected is not what a network would.
    """
    draws = np.ones(window.num_rows)
    told = np.isfinite(window.surprise) & (window.bootstrap[window.game] == 0)
    surprise = window.surprise[told].astype(np.float64)
    if surprise.any():
        draws[told] += share * (surprise / surprise.mean() - 1.0)
    return draws
