from __future__ import annotations

import random

from ringrift_loop.resources.prediction import FALLING, RISING, STABLE, forecast

NOW = 1.8e9


def ramp(per_min: float, count: int = 20, step_s: float = 30.0, noise: float = 0.0) -> list[tuple[float, float]]:
    rng = random.Random(3)
    times = [NOW + (number - count + 1) * step_s for number in range(count)]
    return [(at, 40.0 + per_min * (at - times[0]) / 60.0 + rng.gauss(0.0, noise)) for at in times]


def test_four_percent_a_minute_is_rising_and_foretold_within_two_points() -> None:
    told = forecast(ramp(4.0, noise=0.5))
    assert told is not None
    assert told.trend == RISING
    assert abs(told.percent - (40.0 + 4.0 * 9.5 + 8.0)) <= 2.0
    assert told.useful
    assert told.confidence >= 0.5


def test_a_falling_load_with_gaps_and_one_wild_sample_is_seen_through() -> None:
    samples = ramp(-3.0)
    del samples[5:9]
    samples[8] = (samples[8][0], 99.0)
    told = forecast(samples)
    assert told is not None
    assert told.trend == FALLING
    assert abs(told.slope_per_min + 3.0) < 0.3


def test_noise_around_a_level_is_stable_and_the_last_value_is_not_beaten_by_much() -> None:
    told = forecast(ramp(0.0, noise=3.0))
    assert told is not None
    assert told.trend == STABLE
    assert abs(told.percent - 40.0) < 4.0


def test_a_walk_without_a_direction_earns_little_trust() -> None:
    confidences = []
    for seed in range(40):
        rng, level, samples = random.Random(seed), 50.0, []
        for number in range(20):
            level += rng.gauss(0.0, 4.0)
            samples.append((NOW + 30.0 * number, level))
        told = forecast(samples)
        assert told is not None
        assert told.useful == (told.error < told.error_of_last)
        confidences.append(told.confidence)
    assert sum(confidences) / len(confidences) < 0.2


def test_fewer_than_ten_samples_in_ten_minutes_say_nothing() -> None:
    assert forecast([]) is None
    assert forecast(ramp(1.0, count=9)) is None
    assert forecast(ramp(1.0, count=20, step_s=120.0)) is None
