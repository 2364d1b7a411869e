from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift_loop.config import ResourceTargets
from ringrift_loop.resources.bands import cpu_band
from ringrift_loop.resources.rate import (
    CRITICAL,
    MIN_RATE,
    OK,
    WARNING,
    Output,
    Producer,
    duty_cap,
    learned,
    memory_status,
    negotiate,
    workers_within,
)

BAND = cpu_band(ResourceTargets())


def approved(used: float | None, memory: str = OK, requested: float = 1000) -> int:
    return negotiate(requested, BAND, used=used, memory=memory).rate


def test_no_data_never_means_more() -> None:
    assert approved(None) == 1000
    assert "no machine" in negotiate(1000, BAND, used=None, memory=OK).reason


@pytest.mark.parametrize(
    ("used", "rate"), [(0, 1500), (40, 1400), (59.9, 1002), (60, 1000), (80, 1000), (85, 900), (90, 800), (95, 300)]
)
def test_the_rate_follows_the_utilization(used: float, rate: int) -> None:
    assert approved(used) == rate


def test_memory_of_a_gpu_cuts_new_work_and_low_utilization_does_not_undo_it() -> None:
    assert approved(70, WARNING) == 700
    assert approved(70, CRITICAL) == 300
    assert approved(10, CRITICAL) == 300
    assert approved(70, CRITICAL, requested=50) == MIN_RATE


def test_the_limits_of_memory_are_those_of_the_configuration() -> None:
    assert [memory_status(p, warning=80, critical=90) for p in (None, 79.9, 80, 89.9, 90)] == [
        OK,
        OK,
        WARNING,
        WARNING,
        CRITICAL,
    ]


def test_the_sentence_agrees_with_its_own_figures() -> None:
    answer = negotiate(1000, BAND, used=95.0, memory=WARNING)
    assert answer.rate == 210
    assert answer.reason == (
        "utilization 95% is above 80%, and critical from 90%; GPU memory: warning, new work is cut to 70%: "
        "1000 games/h asked for, 210 approved"
    )


def fleet(*each: tuple[int, float | None, float]) -> dict[str, Producer]:
    """Machines with so many workers, games an hour of one, and duty without a rate."""
    return {f"m{number}": Producer(slots, slots, own, duty) for number, (slots, own, duty) in enumerate(each)}


def made(machines: dict[str, Producer], cap: float) -> float:
    return sum(one.playing * (one.per_worker or 0.0) * min(one.duty, cap) for one in machines.values())


@given(
    st.lists(st.tuples(st.integers(1, 8), st.floats(1.0, 1e4), st.floats(0.1, 1.0)), min_size=1, max_size=6),
    st.floats(1.0, 1e5),
)
def test_the_cap_lets_the_machines_make_the_rate_and_no_more(
    machines: list[tuple[int, float, float]], rate: float
) -> None:
    known = fleet(*machines)
    cap = duty_cap(known, rate)
    assert made(known, cap) <= rate * 1.000001
    if cap < 1.0:
        assert made(known, cap) == pytest.approx(rate)


def test_a_machine_that_wants_less_leaves_its_share_to_the_others() -> None:
    assert duty_cap(fleet((1, 1000.0, 0.1), (1, 1000.0, 1.0)), 600.0) == pytest.approx(0.5)


def test_a_machine_of_which_nothing_is_known_is_taken_for_a_middling_one_and_none_known_holds_nobody() -> None:
    assert duty_cap(fleet((1, 1000.0, 1.0), (1, None, 1.0)), 1000.0) == pytest.approx(0.5)
    assert duty_cap(fleet((1, None, 1.0)), 1.0) == 1.0
    assert workers_within(fleet((1, None, 1.0)), 1.0, 0.1) == {}


def test_every_machine_keeps_a_worker_before_another_gets_its_second_and_one_plays_in_any_case() -> None:
    machines = fleet((3, 1000.0, 1.0), (1, 1000.0, 1.0))
    assert workers_within(machines, 250.0, 0.1) == {"m0": 1, "m1": 1}
    assert workers_within(machines, 300.0, 0.1) == {"m0": 2, "m1": 1}
    assert workers_within(machines, 1.0, 0.1) == {"m0": 1, "m1": 0}


def test_what_a_worker_makes_at_full_duty_is_learned_under_the_duty_of_the_same_five_minutes() -> None:
    output = Output()
    for _ in range(10):
        output = learned(output, [400.0, 600.0], 0.5)
    assert output.per_worker == pytest.approx(1000.0)
    assert learned(output, [], 0.5).per_worker == learned(output, [0.0], 0.5).per_worker == output.per_worker
    # The rate that a heartbeat tells is a mean: a duty that has just changed explains only a part of it.
    assert learned(output, [500.0], 0.1).per_worker == pytest.approx(1000.0, rel=0.03)
