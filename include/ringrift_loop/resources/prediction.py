"""What a utilization will be: a robust line through recent samples, trusted as far as it has been right before.

The slope is the median of the slopes of all pairs (Theil and Sen), on times counted from the newest sample, so that
neither gaps nor single wild samples nor the size of epoch seconds matter. The same forecast is made from earlier
samples for those that came later; only when it was closer than "as it is now" is it used at all.

`forecast` is the guide's, of the cluster's utilization in two minutes. `Outlook` is what each machine's controller acts
on: the load of everything but the workers, in the minute that a new duty takes to have its effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

WINDOW_S = 600.0
HORIZON_S = 120.0
MIN_SAMPLES = 10
_TREND_POINTS = 2.0  # a change over the horizon that is worth a word
_FULL_SCORE = 12  # backtests after which confidence rests on enough of them

RISING, STABLE, FALLING = "rising", "stable", "falling"

LOOK_AHEAD_S = 60.0
"""From the middle of a sample to when a duty decided on it has its effect."""
STRONG = 0.5
"""Confidence from which a falling load lets workers compute more before it has fallen."""
_LOOK_SAMPLES = 10
_EARLY_S = 5.0  # a sample may come so much before its time
_LEAST_WEIGHT = 0.05  # of the newest forecast in the mean errors: those of the last ten minutes count
_LEAST_TRIES = 10
_LEAST_ERROR = 1.0  # points; where "as it is now" is closer than that, there is nothing to foretell


@dataclass(frozen=True)
class Forecast:
    """The utilization at the horizon."""

    percent: float  # 0..100
    slope_per_min: float  # points a minute
    trend: str  # RISING, STABLE or FALLING
    confidence: float  # 0..1: by how much it beat the last value before; 0: it did not
    samples: int
    error: float  # mean absolute error of forecasts that could be checked, points
    error_of_last: float  # that of "as it is now"

    @property
    def useful(self) -> bool:
        """Whether it beats the last value."""
        return self.confidence > 0.0


def forecast(samples: Sequence[tuple[float, float]]) -> Forecast | None:
    """The forecast from samples of (UTC seconds, percent), oldest first; None with fewer than ten in ten minutes."""
    recent = [sample for sample in samples if sample[0] > samples[-1][0] - WINDOW_S] if samples else []
    if len(recent) < MIN_SAMPLES:
        return None
    percent, slope = _extrapolate(recent, HORIZON_S)
    error, error_of_last, tries = _backtest(recent)
    skill = 0.0 if tries == 0 or error_of_last <= 0.0 else max(0.0, 1.0 - error / error_of_last)
    change = slope * HORIZON_S
    trend = RISING if change > _TREND_POINTS else FALLING if change < -_TREND_POINTS else STABLE
    confidence = skill * min(1.0, tries / _FULL_SCORE)
    return Forecast(percent, slope * 60.0, trend, confidence, len(recent), error, error_of_last)


def _extrapolate(samples: Sequence[Sequence[float]], horizon_s: float) -> tuple[float, float]:
    """The value at the horizon after the last sample, and the slope in points a second."""
    now = samples[-1][0]
    centred = [(sample[0] - now, sample[1]) for sample in samples]
    slopes = [(b - a) / (late - early) for (early, a), (late, b) in combinations(centred, 2) if late > early]
    slope = median(slopes) if slopes else 0.0
    level = median(value - slope * at for at, value in centred)
    return min(100.0, max(0.0, level + slope * horizon_s)), slope


def _backtest(samples: Sequence[tuple[float, float]]) -> tuple[float, float, int]:
    """Mean absolute errors of the forecast and of the last value, over samples that lie a horizon after others."""
    errors, errors_of_last = [], []
    for index in range(MIN_SAMPLES // 2, len(samples)):
        past = samples[:index]
        due = past[-1][0] + HORIZON_S
        later = next((sample for sample in samples[index:] if sample[0] >= due), None)
        if later is None:
            break
        guess, _ = _extrapolate(past, later[0] - past[-1][0])
        errors.append(abs(guess - later[1]))
        errors_of_last.append(abs(past[-1][1] - later[1]))
    if not errors:
        return 0.0, 0.0, 0
    return fmean(errors), fmean(errors_of_last), len(errors)


@dataclass(frozen=True)
class Outlook:
    """A forecast that is made with every sample, and held against the sample that comes when it is due."""

    seen: Sequence[Sequence[float]] = ()  # the last samples: UTC seconds, percent
    made: Sequence[Sequence[float]] = ()  # forecasts that are not due: UTC seconds, percent then, points a second
    slope: float = 0.0  # of the newest forecast, points a second
    error: float = 0.0  # mean absolute error of the forecasts, points
    error_of_last: float = 0.0  # that of "as it is now"
    tries: int = 0  # forecasts that were due

    @property
    def confidence(self) -> float:
        """0..1: by how much the forecasts beat the last value; 0: they did not, or too few were due."""
        if self.tries < _LEAST_TRIES or self.error_of_last < _LEAST_ERROR:
            return 0.0
        return max(0.0, 1.0 - self.error / self.error_of_last)

    @property
    def change(self) -> float:
        """Points by which the load will change until a duty has its effect, as far as that may be acted on.

        A rise is acted on where forecasts have beaten the last value, which takes load away early; a fall, which adds
        load, only where they have done so by far.
        """
        change = self.slope * LOOK_AHEAD_S
        if change > _TREND_POINTS and self.confidence > 0.0:
            return change
        return change if change < -_TREND_POINTS and self.confidence >= STRONG else 0.0


def look(before: Outlook, at: float, value: float) -> Outlook:
    """The outlook after a sample; one that is not newer than the last changes nothing."""
    if before.seen and at <= before.seen[-1][0]:
        return before
    error, error_of_last, tries = before.error, before.error_of_last, before.tries
    waiting = []
    for made_at, then, slope in before.made:
        passed = at - made_at
        if passed < LOOK_AHEAD_S - _EARLY_S:
            waiting.append((made_at, then, slope))
        elif passed <= 2 * LOOK_AHEAD_S:  # later, it says nothing about this horizon
            tries += 1
            weight = max(_LEAST_WEIGHT, 1.0 / tries)
            error += weight * (abs(min(100.0, max(0.0, then + slope * passed)) - value) - error)
            error_of_last += weight * (abs(then - value) - error_of_last)
    kept = [(time, seen) for time, seen in before.seen if time > at - WINDOW_S]
    seen = (*kept[-(_LOOK_SAMPLES - 1) :], (at, value))
    slope = _extrapolate(seen, 0.0)[1] if len(seen) == _LOOK_SAMPLES else 0.0
    made = (*waiting, (at, value, slope)) if len(seen) == _LOOK_SAMPLES else tuple(waiting)
    return Outlook(seen, made, slope, error, error_of_last, tries)
