from __future__ import annotations

import pytest

from ringrift_loop.config import ResourceTargets
from ringrift_loop.resources.bands import cpu_band
from ringrift_loop.resources.rate import CRITICAL, MIN_RATE, OK, WARNING, memory_status, negotiate

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
