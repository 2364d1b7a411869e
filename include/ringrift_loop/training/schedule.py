"""How many steps a run takes, and the learning rate and averaging of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ringrift_loop.config.schema import Training

COLD_FACTOR = 4
"""Random weights are far from anything: they learn from a row for the fourth time what others do from its first."""

BORROWED_STEPS, BORROWED_RATE = 10, 0.01
"""A network that another variant lends is judged before it learns: a few steps at this part of the learning rate change
next to nothing but the digest, which belongs to one variant."""


@dataclass(frozen=True)
class Schedule:
    """The steps of one run."""

    steps: int
    warmup: int
    rate: float
    rate_final: float
    ema_decay: float
    validate_every: int

    def learning_rate(self, step: int) -> float:
        """AdamW's rate at step 0, 1, ...: a linear rise, then a cosine from `rate` to `rate_final`."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - 1 - self.warmup)
        return self.rate_final + (self.rate - self.rate_final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    def averaging(self, step: int) -> float:
        """Decay of the averaged weights at a step; short at first, so that a short run does not export its start."""
        return min(self.ema_decay, (1.0 + step) / (10.0 + step))


def plan_schedule(
    settings: Training, *, fresh_rows: int, window_rows: int, cold: bool = False, borrowed: bool = False
) -> Schedule:
    """The schedule of a run.

    Each fresh row is drawn `samples_per_row` times. For a network that starts from random weights every row of the
    window is fresh and drawn COLD_FACTOR times as often: the best weights by validation are exported anyway.

    Args:
        settings: the configuration.
        fresh_rows: training rows that the starting weights have not seen.
        window_rows: training rows of the window.
        cold: whether training starts from random weights.
        borrowed: whether it makes a lender's network the variant's first candidate (BORROWED_STEPS).
    """
    rows = COLD_FACTOR * window_rows if cold else fresh_rows
    steps = max(10, math.ceil(rows * settings.samples_per_row / settings.batch_size))
    part = 1.0
    if borrowed:
        steps, part = BORROWED_STEPS, BORROWED_RATE
    return Schedule(
        steps=steps,
        warmup=min(settings.warmup_steps, steps // 5),
        rate=part * settings.learning_rate,
        rate_final=part * settings.learning_rate_final,
        ema_decay=settings.ema_decay,
        validate_every=max(10, math.ceil(steps / 10)),
    )


def window_rows_wanted(settings: Training, consumed_rows: int) -> int:
    """Rows of the replay window after `consumed_rows` in all; it grows with a power below 1 of them (KataGo)."""
    smallest = settings.window_rows_min
    grown = smallest * (max(consumed_rows, smallest) / smallest) ** settings.window_growth_exponent
    return min(settings.window_rows_max, int(grown))
