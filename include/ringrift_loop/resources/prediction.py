"""What a utilization will be: a robust line through recent samples, trusted as far as it has been right before.

The slope is the median of the slopes of all pairs (Theil and Sen), on times counted from the newest sample, so that
neither gaps nor single wild samples nor the size of epoch seconds matter. The same forecast is made from earlier
samples for those that came later; only when it was closer than "as it is now" is it used at all.
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


def forecast(samples: Sequence[tuple[float, float]], horizon_s: float = HORIZON_S) -> Forecast | None:
    """The forecast from samples of (UTC seconds, percent), oldest first; None with fewer than ten in ten minutes."""
    recent = [sample for sample in samples if sample[0] > samples[-1][0] - WINDOW_S] if samples else []
    if len(recent) < MIN_SAMPLES:
        return None
    percent, slope = _extrapolate(recent, horizon_s)
    error, error_of_last, tries = _backtest(recent, horizon_s)
    skill = 0.0 if tries == 0 or error_of_last <= 0.0 else max(0.0, 1.0 - error / error_of_last)
    change = slope * horizon_s
    trend = RISING if change > _TREND_POINTS else FALLING if change < -_TREND_POINTS else STABLE
    confidence = skill * min(1.0, tries / _FULL_SCORE)
    return Forecast(percent, slope * 60.0, trend, confidence, len(recent), error, error_of_last)


def _extrapolate(samples: Sequence[tuple[float, float]], horizon_s: float) -> tuple[float, float]:
    """The value at the horizon after the last sample, and the slope in points a second."""
    now = samples[-1][0]
    centred = [(at - now, value) for at, value in samples]
    slopes = [(b - a) / (late - early) for (early, a), (late, b) in combinations(centred, 2) if late > early]
    slope = median(slopes) if slopes else 0.0
    level = median(value - slope * at for at, value in centred)
    return min(100.0, max(0.0, level + slope * horizon_s)), slope


def _backtest(samples: Sequence[tuple[float, float]], horizon_s: float) -> tuple[float, float, int]:
    """Mean absolute errors of the forecast and of the last value, over samples that lie a horizon after others."""
    errors, errors_of_last = [], []
    for index in range(MIN_SAMPLES // 2, len(samples)):
        past = samples[:index]
        due = past[-1][0] + horizon_s
        later = next((sample for sample in samples[index:] if sample[0] >= due), None)
        if later is None:
            break
        guess, _ = _extrapolate(past, later[0] - past[-1][0])
        errors.append(abs(guess - later[1]))
        errors_of_last.append(abs(past[-1][1] - later[1]))
    if not errors:
        return 0.0, 0.0, 0
    return fmean(errors), fmean(errors_of_last), len(errors)
