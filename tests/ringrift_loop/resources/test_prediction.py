from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

from ringrift_loop.resources.prediction import FALLING, RISING, STABLE, STRONG, Outlook, forecast, look

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


def outlook(values: list[float], step_s: float = 30.0) -> Outlook:
    now = Outlook()
    for number, value in enumerate(values):
        now = look(now, NOW + step_s * number, value)
    return now


def test_a_course_that_keeps_its_direction_is_foretold_and_acted_on() -> None:
    up, down = (outlook([50.0 + way * 1.5 * number for number in range(30)]) for way in (1, -1))
    assert up.change == -down.change == 3.0
    assert up.error < 0.1 < up.error_of_last == 3.0
    assert up.confidence > 0.9


def test_nothing_is_acted_on_before_enough_forecasts_were_due() -> None:
    early = outlook([2.0 * number for number in range(15)])
    assert early.slope > 0
    assert (early.confidence, early.change) == (0.0, 0.0)


def test_a_weak_forecast_takes_load_away_but_never_adds_any() -> None:
    weak = Outlook(error=3.0, error_of_last=4.0, tries=30)
    assert 0 < weak.confidence < STRONG
    assert replace(weak, slope=0.1).change == 6.0
    assert replace(weak, slope=-0.1).change == 0.0
    assert replace(weak, slope=-0.1, error=1.0).change == -6.0
    assert replace(weak, slope=0.1, error=5.0).change == 0.0


def test_where_the_load_jumps_to_and_fro_forecasts_prove_worse_and_are_left_alone() -> None:
    rng = random.Random(11)
    jumps = outlook([rng.choice([10.0, 60.0]) for _ in range(200)])
    assert jumps.error > jumps.error_of_last
    assert jumps.change == 0.0


def test_a_sample_that_was_seen_already_changes_nothing_and_a_gap_proves_nothing() -> None:
    now = outlook([50.0 + number for number in range(20)])
    assert look(now, NOW + 30.0 * 19, 99.0) == now
    assert look(now, NOW + 30.0 * 19 + 3600.0, 99.0).tries == now.tries


def test_a_state_that_went_through_json_goes_on_as_if_it_had_not() -> None:
    now = outlook([50.0 + number for number in range(20)])
    read = Outlook(**json.loads(json.dumps(asdict(now))))
    a, b = (look(one, NOW + 600.0, 70.0) for one in (now, read))
    assert (a.error, a.tries, a.slope, a.change) == (b.error, b.tries, b.slope, b.change)
