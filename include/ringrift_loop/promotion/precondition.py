"""The regression gate's precondition: a candidate is hardly worse on the holdout than on its training games.

It has no part in the tests' time and needs no games: the figures were measured when the candidate was adopted. A model
that was not trained here, or before there were such figures, has none, and is judged by its tests alone.
"""

from __future__ import annotations

from sqlalchemy import Connection

from ringrift_loop.checked_json import convert
from ringrift_loop.ledger import models, training
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.ratings.holdout import MAX_SHARE, MIN_GAMES, Holdout

NAME = "holdout_gap"
_UNIT = "of a guess"


def judge_holdout(conn: Connection, digest: str) -> TestResult | None:
    """Whether a model has memorised its training games, as a line of the gate's report; None without figures.

    Raises:
        DataError: the report of its training is damaged.
    """
    model = models.get(conn, digest)
    run = None if model is None or model.training_run is None else training.get(conn, model.training_run)
    if run is None or run.report is None or run.report.get("holdout") is None:
        return None
    found = convert(run.report["holdout"], Holdout, f"the holdout of training run {run.id}")
    head, gap = found.worst
    if not found.decides:
        detail = f"not judged: {MIN_GAMES} games of the holdout are needed; {found.sentence()}"
    elif found.overfits:
        detail = (
            f"it has memorised its training games: the {head} loss on the holdout lies above that on them by more than "
            f"{MAX_SHARE:.0%} of what an even guess loses; {found.sentence()}. More games of the variant, fewer "
            "training.samples_per_row or a smaller network help"
        )
    else:
        detail = found.sentence()
    return TestResult(NAME, not found.overfits, gap.share, MAX_SHARE, _UNIT, detail, 0.0)
