"""The deployment guide's snippets, as they stand there but for the module's name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.layout import HOME_VARIABLE, LEDGER_VARIABLE, RunDirectory
from ringrift_loop.ledger import utilization
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.machine.utilization import GpuUse
from ringrift_loop.resources import (
    apply_feedback_adjustment,
    apply_proactive_adjustment,
    get_config_weights,
    get_current_selfplay_rate,
    get_optimization_recommendation,
    get_prediction,
    get_proactive_adjustment,
    get_utilization_status,
    negotiate_selfplay_rate,
    update_config_weights,
)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(LEDGER_VARIABLE, raising=False)
    url = RunDirectory(tmp_path).ledger_url
    new_ledger(url)
    return Ledger.open(url)


def tell(ledger: Ledger, *cpu: float, gpus: tuple[GpuUse, ...] = ()) -> None:
    """Samples of one machine, 30 s apart, the last one now."""
    now = time.time()
    with ledger.begin() as conn:
        for number, value in enumerate(cpu):
            at = now - 30.0 * (len(cpu) - 1 - number)
            utilization.add(conn, SampleRow("a", at, "m", 30.0, value, value, 0.0, 50.0, 0.0, 0.7, gpus))


def test_a_rate_is_negotiated_and_fed_back(ledger: Ledger) -> None:
    tell(ledger, 85.0)
    approved_rate = negotiate_selfplay_rate(requested_rate=1000, reason="startup", requestor="unified_loop")
    assert approved_rate == 900 == get_current_selfplay_rate()
    tell(ledger, 85.0, 40.0)
    new_rate = apply_feedback_adjustment(requestor="unified_loop")
    assert new_rate == 1400 == apply_feedback_adjustment(requestor="unified_loop")


def test_without_data_asking_again_and_again_raises_nothing() -> None:
    assert {negotiate_selfplay_rate(1000, "emergency", "somebody") for _ in range(5)} == {1000}
    assert get_utilization_status()["status"] == "unknown"
    assert get_prediction() is None
    assert get_proactive_adjustment() is None
    assert apply_proactive_adjustment() is None
    assert get_optimization_recommendation()["action"] == "no_data"


def test_the_status_has_the_documented_keys_and_a_sentence_that_agrees_with_them(ledger: Ledger) -> None:
    tell(ledger, 70.2)
    status = get_utilization_status()
    assert {"cpu_util", "gpu_util", "gpu_memory_util", "status", "current_rate", "recommendation"} <= status.keys()
    assert (status["cpu_util"], status["gpu_util"], status["status"]) == (70.2, None, "optimal")
    assert status["recommendation"] == "OPTIMAL: Utilization 70% within 60-80% target range"
    assert status["gpu_memory"]["status"] == "ok"


def test_no_reason_bypasses_the_memory_of_a_gpu(ledger: Ledger) -> None:
    tell(ledger, 30.0, gpus=(GpuUse(0, 20.0, 95_000, 100_000),))
    assert negotiate_selfplay_rate(1000, "critical emergency", "somebody") == 300
    assert get_utilization_status()["gpu_memory"]["status"] == "critical"
    assert get_utilization_status()["status"] == "gpu_memory_critical"


def test_a_ramp_is_foretold_and_acted_on_before_it_arrives(ledger: Ledger) -> None:
    tell(ledger, *(42.0 + 2.0 * number for number in range(19)))
    prediction = get_prediction()
    assert prediction is not None
    assert prediction["cpu_trend"] == "rising"
    assert abs(prediction["predicted_cpu"] - 86.0) <= 2.0
    assert prediction["confidence"] >= 0.5
    wanted = get_proactive_adjustment()
    assert wanted is not None
    assert wanted["action"] == "scale_down"
    assert apply_proactive_adjustment() == 700


def test_weights_are_stored_and_met_with_the_curriculum() -> None:
    stored = update_config_weights({"square8_2p": 100, "hex8_2p": 900}, {"square8_2p": 100.0, "hex8_2p": 100.0})
    weights = get_config_weights()
    assert stored["square8_2p"] == 2.0
    assert weights["square8_2p"] > 1.0 > weights["hex8_2p"]
    assert sum(weights.values()) == pytest.approx(2.0)
