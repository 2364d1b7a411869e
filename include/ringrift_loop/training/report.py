"""What a training run reports at its end; stored in the ledger and printed as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ringrift_loop.json_value import JsonValue
from ringrift_loop.ratings.holdout import Holdout
from ringrift_loop.training.documents import from_document
from ringrift_loop.training.fit import LossFigures
from ringrift_loop.training.targets import BEFORE, TargetStatistics

OVERFIT_ALARM = 0.05
"""Validation less training value loss from which the report warns (KataGomo)."""


@dataclass(frozen=True)
class WindowFigures:
    """The replay window."""

    digest: str
    """sha256 over its games and the split."""
    games: int
    rows: int
    training_rows: int
    validation_rows: int
    fresh_games: int
    """Not seen by the weights that training started from."""
    fresh_rows: int
    """Training rows of the fresh games."""
    lost_games: int
    """Games that could not be read and were left out."""


@dataclass(frozen=True)
class TrainingReport:
    """The result of a training run."""

    run_id: str
    variant: str
    model_digest: str
    generation: int
    parent: str | None
    """The model that training started from; None for random weights."""
    start: str
    """Why that one, in words."""
    architecture: str
    window: WindowFigures
    targets: TargetStatistics
    value_outcome_share: float
    train: LossFigures
    """Losses of the exported weights on training rows, nats above the targets' own entropy."""
    validation: LossFigures
    """The same on validation rows."""
    overfit_gap: float
    """Validation less training value loss."""
    overfit_alarm: bool
    """Whether the gap exceeds OVERFIT_ALARM."""
    holdout: Holdout | None
    """The candidate on training games and on the holdout, as this machine found it; what the regression gate judges."""
    steps: int
    best_step: int
    """Step at which the exported weights were taken."""
    samples: int
    seconds: float
    """Time in the training loop, over all processes of the run."""
    samples_per_s: float
    resumed: int
    """How often the run was resumed after its process had died."""
    rows_at_once: int
    """Of each process's part of a batch; fewer than all where a GPU had too little free memory."""
    precision: str
    """What the candidate plays with in ONNX Runtime, float32 or int8, and why."""

    def as_json(self) -> dict[str, JsonValue]:
        """The report as a JSON object."""
        document = asdict(self)
        document["targets"]["seat_wins"] = list(self.targets.seat_wins)
        return document

    @classmethod
    def from_json(cls, document: dict[str, JsonValue]) -> TrainingReport:
        """The report that `as_json` made; 0, None and float32 stand for figures from before they were told."""
        before: dict[str, JsonValue] = {"rows_at_once": 0, "precision": "float32", "holdout": None}
        targets = document.get("targets")
        told = {**BEFORE, **targets} if isinstance(targets, dict) else targets
        return from_document(cls, {**before, **document, "targets": told}, "a training's report")
