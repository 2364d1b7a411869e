from __future__ import annotations

import pytest

from ringrift_loop.config.schema import Training
from ringrift_loop.training.schedule import plan_schedule, window_rows_wanted


def test_each_fresh_row_is_drawn_samples_per_row_times() -> None:
    schedule = plan_schedule(Training(), fresh_rows=25_600, window_rows=100_000, cold=False)
    assert schedule.steps * 256 == 2 * 25_600


def test_random_weights_are_trained_on_the_whole_window_in_proportion_to_its_rows() -> None:
    steps = [plan_schedule(Training(), fresh_rows=100, window_rows=rows, cold=True).steps for rows in (1600, 16_000)]
    assert steps == [50, 500]


def test_a_borrowed_network_is_next_to_unchanged_however_many_games_there_are() -> None:
    settings = Training()
    borrowed = plan_schedule(settings, fresh_rows=100_000, window_rows=100_000, borrowed=True)
    moved = sum(borrowed.learning_rate(step) for step in range(borrowed.steps))  # AdamW's steps are about that long
    assert borrowed.steps == 10
    assert 0 < moved < settings.learning_rate / 10


def test_the_rate_rises_over_the_warm_up_then_falls_to_its_final_value() -> None:
    schedule = plan_schedule(Training(), fresh_rows=0, window_rows=256_000, cold=True)
    rates = [schedule.learning_rate(step) for step in range(schedule.steps)]
    top = rates.index(max(rates))
    assert schedule.warmup == 500
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == pytest.approx(2e-3)
    assert rates[-1] == pytest.approx(5e-4)


def test_a_short_run_warms_up_for_a_fifth_of_it() -> None:
    assert plan_schedule(Training(), fresh_rows=12_800, window_rows=50_000, cold=False).warmup == 20


def test_averaging_forgets_the_start_early_and_reaches_its_decay() -> None:
    schedule = plan_schedule(Training(ema_decay=0.999), fresh_rows=0, window_rows=1_000_000, cold=True)
    weight_of_start = 1.0
    for step in range(300):
        weight_of_start *= schedule.averaging(step)
    assert weight_of_start < 1e-6
    assert schedule.averaging(schedule.steps - 1) == pytest.approx(0.999, abs=1e-3)


def test_the_window_grows_with_a_power_of_the_rows_between_its_bounds() -> None:
    settings = Training(window_rows_min=20_000, window_rows_max=300_000, window_growth_exponent=0.75)
    assert window_rows_wanted(settings, 5_000) == 20_000
    assert window_rows_wanted(settings, 320_000) == 160_000
    assert window_rows_wanted(settings, 10_000_000) == 300_000
