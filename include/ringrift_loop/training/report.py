"""What a training run reports at its end; stored in the ledger and printed as JSON."""

from __future__ import annotations

import msgspec

from ringrift_loop.checked_json import Count, Document, Number, Seconds, Sentence, convert
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ratings.holdout import Holdout
from ringrift_loop.training.fit import LossFigures
from ringrift_loop.training.targets import TargetStatistics

OVERFIT_ALARM = 0.05
"""Validation less training value loss from which the report warns (KataGomo)."""


class WindowFigures(Document, frozen=True):
    """The replay window."""

    digest: Sentence
    """sha256 over its games and the split."""
    games: Count
    rows: Count
    training_rows: Count
    validation_rows: Count
    fresh_games: Count
    """Not seen by the weights that training started from."""
    fresh_rows: Count
    """Training rows of the fresh games."""
    lost_games: Count
    """Games that could not be read and were left out."""


class TrainingReport(Document, frozen=True, kw_only=True):
    """The result of a training run; 0, None and float32 stand for figures from before they were told."""

    run_id: Sentence
    variant: Sentence
    model_digest: Sentence
    generation: Count
    parent: Sentence | None
    """The model that training started from; None for random weights."""
    start: Sentence
    """Why that one, in words."""
    architecture: Sentence
    window: WindowFigures
    targets: TargetStatistics
    value_outcome_share: Number
    train: LossFigures
    """Losses of the exported weights on training rows, drawn as in training, nats above the targets' own entropy."""
    validation: LossFigures
    """The same on validation rows."""
    overfit_gap: Number
    """Validation less training value loss."""
    overfit_alarm: bool
    """Whether the gap exceeds OVERFIT_ALARM."""
    holdout: Holdout | None = None
    """The candidate on training games and on the holdout, as this machine found it; what the regression gate judges."""
    steps: Count
    best_step: Count
    """Step at which the exported weights were taken."""
    samples: Count
    seconds: Seconds
    """Time in the training loop, over all processes of the run."""
    samples_per_s: Number
    resumed: Count
    """How often the run was resumed after its process had died."""
    rows_at_once: Count = 0
    """Of each process's part of a batch; fewer than all where a GPU had too little free memory."""
    precision: Sentence = "float32"
    """What the candidate plays with in ONNX Runtime, float32 or int8, and why."""

    def as_json(self) -> dict[str, JsonValue]:
        """The report as the ledger gives it back: with lists for tuples."""
        document: dict[str, JsonValue] = msgspec.json.decode(msgspec.json.encode(self))
        return document

    @classmethod
    def from_json(cls, document: dict[str, JsonValue]) -> TrainingReport:
        """The report that `as_json` made."""
        return convert(document, cls, "a training's report")
