"""The deployment guide's functions, by its names and shapes, over the ledger of the loop that the environment names.

Each opens the ledger, answers and closes it. What is not known is None and never a zero; a ledger that cannot be opened
is an error and never a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

from sqlalchemy import Connection

from ringrift_loop.config import LoopConfig
from ringrift_loop.ledger import curriculum, resources, utilization, workers
from ringrift_loop.ledger.resources import NegotiationRow
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources.backpressure import Backpressure
from ringrift_loop.resources.bands import Band, Zone, cpu_band, gpu_band
from ringrift_loop.resources.config_weights import combined, config_weights
from ringrift_loop.resources.control import STALE_S, STEP_S
from ringrift_loop.resources.decision import MachineSample, machine_samples
from ringrift_loop.resources.prediction import WINDOW_S, Forecast, forecast
from ringrift_loop.resources.rate import memory_status, negotiate
from ringrift_loop.resources.rebalance import rates

START_RATE = 1000
"""Games an hour that are asked for while nobody has and nothing is played: the guide's example."""


def negotiate_selfplay_rate(requested_rate: float, reason: str, requestor: str) -> int:
    """Ask for a rate of self-play, games an hour; returns the approved one, which holds from now on.

    The same request in the same state gets the same answer. No reason opens a way around a GPU's memory.
    """
    with _opened() as loop:
        return _negotiate(loop, requested_rate, reason, requestor)


def get_current_selfplay_rate() -> int:
    """The approved rate, games an hour; before the first negotiation what the workers play now."""
    with _opened() as loop:
        return _current_rate(loop)


def apply_feedback_adjustment(requestor: str) -> int:
    """Answer the last request again, by what the machines say now; returns the approved rate."""
    with _opened() as loop:
        return _negotiate(loop, _requested(loop), "feedback", requestor)


def get_utilization_status() -> dict[str, Any]:
    """Utilization of the cluster, percent, where it stands in its band, the rate, and a sentence."""
    with _opened() as loop:
        return utilization_status(loop)


def get_optimization_recommendation() -> dict[str, Any]:
    """What each machine should do: the decisions that hold, and the cluster's action as one word."""
    with _opened() as loop, loop.ledger.read() as conn:
        held = resources.decisions(conn)
    actions = [row.action for row in held.values()]
    action = max(sorted(set(actions)), key=actions.count) if actions else resources.NO_DATA
    return {
        "action": action,
        "reason": "; ".join(row.reason for row in held.values()) or "no machine has told its utilization",
        "machines": {row.machine: {"action": row.action, "duty": row.duty} for row in held.values()},
    }


def update_config_weights(game_counts: Mapping[str, int], throughput: Mapping[str, float]) -> dict[str, float]:
    """Compute and store the weights by games and games an hour of each variant; returns them."""
    new = config_weights(game_counts, throughput)
    with _opened() as loop, loop.ledger.begin() as conn:
        resources.replace_weights(conn, new, at=loop.clock())
    return new


def get_config_weights() -> dict[str, float]:
    """The weights that workers are given: by games and rates, times the curriculum's, 1 on average."""
    with _opened() as loop, loop.ledger.read() as conn:
        return selfplay_weights(conn, loop.config)


def get_prediction() -> dict[str, Any] | None:
    """Utilization in two minutes, percent; None with fewer than ten samples."""
    with _opened() as loop:
        return _prediction(loop)


def get_proactive_adjustment() -> dict[str, Any] | None:
    """What the prediction calls for before it happens; None where it does not, or cannot be trusted."""
    with _opened() as loop:
        return _proactive(loop)


def apply_proactive_adjustment(requestor: str = "predictive") -> int | None:
    """Ask for the rate that the prediction calls for; None when it calls for none."""
    with _opened() as loop:
        wanted = _proactive(loop)
        if wanted is None:
            return None
        base = _requested(loop)
        return _negotiate(loop, base * wanted["rate_multiplier"], wanted["reason"], requestor, keep=base)


def utilization_status(loop: Loop) -> dict[str, Any]:
    """What `get_utilization_status` answers, of an opened loop."""
    machines, targets, rate = _machines(loop), loop.config.resource_targets, _current_rate(loop)
    cpu, gpu, memory = _mean(machines, "cpu"), _mean(machines, "gpu"), _most(machines, "gpu_memory")
    memory_word = memory_status(memory, warning=targets.gpu_memory_warning, critical=targets.gpu_memory_critical)
    bands = {"cpu": cpu_band(targets), "gpu": gpu_band(targets)}
    limiting = "gpu" if gpu is not None else "cpu"
    zone = bands[limiting].zone(gpu if gpu is not None else cpu)
    status = zone.value if memory_word == "ok" else f"gpu_memory_{memory_word}"
    return {
        "cpu_util": cpu,
        "gpu_util": gpu,
        "gpu_memory_util": memory,
        "status": status,
        "current_rate": rate,
        "recommendation": _sentence(gpu if gpu is not None else cpu, bands[limiting], memory, memory_word),
        "cpu": {"util": cpu, "status": bands["cpu"].zone(cpu).value, "target": bands["cpu"].target},
        "gpu": {"util": gpu, "status": bands["gpu"].zone(gpu).value, "target": bands["gpu"].target},
        "gpu_memory": {"util": memory, "status": memory_word},
        "machines": len(machines),
    }


def selfplay_weights(conn: Connection, config: LoopConfig) -> dict[str, float]:
    """What `get_config_weights` answers; the workers divide their time by these.

    A variant whose training is far behind leaves a part of its share to the others (`backpressure.py`).
    """
    stored, pressure = resources.weights(conn), Backpressure.parse(resources.backpressure(conn))
    wanted = {name: stored.get(name, 1.0) * pressure.on_variant(name) for name in config.variants}
    return combined(wanted, curriculum.weights(conn))


@contextmanager
def _opened() -> Iterator[Loop]:
    loop = Loop.open()
    try:
        yield loop
    finally:
        loop.ledger.close()


def _negotiate(loop: Loop, requested: float, reason: str, requestor: str, *, keep: float | None = None) -> int:
    """Answer and write down; `keep` is the request that later feedback starts from."""
    targets = loop.config.resource_targets
    machines = _machines(loop)
    gpu = _mean(machines, "gpu")
    used, band = (gpu, gpu_band(targets)) if gpu is not None else (_mean(machines, "cpu"), cpu_band(targets))
    memory = memory_status(
        _most(machines, "gpu_memory"), warning=targets.gpu_memory_warning, critical=targets.gpu_memory_critical
    )
    answer = negotiate(requested, band, used=used, memory=memory)
    row = NegotiationRow(
        loop.clock(), requestor[:64], reason[:500], requested if keep is None else keep, answer.rate, answer.reason
    )
    with loop.ledger.begin() as conn:
        resources.negotiate(conn, row)
    return answer.rate


def _requested(loop: Loop) -> float:
    """The request in force, games an hour; before the first one what is played: nobody asked for less."""
    with loop.ledger.read() as conn:
        row = resources.negotiated(conn)
        return (_played(conn, loop) or START_RATE) if row is None else row.requested


def _current_rate(loop: Loop) -> int:
    with loop.ledger.read() as conn:
        row = resources.negotiated(conn)
        return _played(conn, loop) if row is None else row.approved


def _played(conn: Connection, loop: Loop) -> int:
    """Games an hour that the workers play now."""
    return round(sum(sum(own) for own in rates(workers.all_workers(conn), loop.clock()).values()))


def _machines(loop: Loop) -> list[MachineSample]:
    with loop.ledger.read() as conn:
        return machine_samples(utilization.newest(utilization.since(conn, loop.clock() - STALE_S)).values())


def _mean(machines: Sequence[MachineSample], name: str) -> float | None:
    """Over the machines that tell; one that idles at 0 % tells."""
    told = [getattr(machine, name) for machine in machines if getattr(machine, name) is not None]
    return round(fmean(told), 1) if told else None


def _most(machines: Sequence[MachineSample], name: str) -> float | None:
    told = [getattr(machine, name) for machine in machines if getattr(machine, name) is not None]
    return round(max(told), 1) if told else None


def _sentence(used: float | None, band: Band, memory: float | None, memory_word: str) -> str:
    place = f"{band.low:.0f}-{band.high:.0f}% target range"
    if used is None:
        return "NO DATA: no machine has told its utilization, nothing is changed"
    if memory_word != "ok":
        return f"GPU MEMORY {memory_word.upper()}: {memory:.0f}% in use, new work on GPUs is cut"
    word, where = {
        Zone.BELOW: ("SCALE UP", f"below {place}"),
        Zone.OPTIMAL: ("OPTIMAL", f"within {place}"),
        Zone.ABOVE: ("SCALE DOWN", f"above {place}"),
        Zone.CRITICAL: ("SCALE DOWN", f"above {place}, critical from {band.critical:.0f}%"),
    }[band.zone(used)]
    return f"{word}: Utilization {used:.0f}% {where}"


def _series(rows: Sequence[SampleRow], name: str) -> list[tuple[float, float]]:
    """The cluster's mean for each step of time in which a machine told something."""
    steps: dict[int, list[MachineSample]] = {}
    by_step: dict[int, list[SampleRow]] = {}
    for row in rows:
        by_step.setdefault(int(row.at // STEP_S), []).append(row)
    for number, own in by_step.items():
        steps[number] = machine_samples(own)
    series = [(number * STEP_S, _mean(machines, name)) for number, machines in sorted(steps.items())]
    return [(at, value) for at, value in series if value is not None]


def _forecasts(loop: Loop) -> tuple[Forecast | None, Forecast | None]:
    with loop.ledger.read() as conn:
        rows = utilization.since(conn, loop.clock() - WINDOW_S)
    return forecast(_series(rows, "cpu")), forecast(_series(rows, "gpu"))


def _prediction(loop: Loop) -> dict[str, Any] | None:
    cpu, gpu = _forecasts(loop)
    leading = gpu if gpu is not None else cpu
    if leading is None:
        return None
    return {
        "predicted_cpu": None if cpu is None else round(cpu.percent, 1),
        "predicted_gpu": None if gpu is None else round(gpu.percent, 1),
        "cpu_trend": None if cpu is None else cpu.trend,
        "gpu_trend": None if gpu is None else gpu.trend,
        "cpu_slope": None if cpu is None else round(cpu.slope_per_min, 3),
        "gpu_slope": None if gpu is None else round(gpu.slope_per_min, 3),
        "confidence": round(leading.confidence, 3),
        "samples_used": leading.samples,
        "error": round(leading.error, 2),
        "error_of_last_value": round(leading.error_of_last, 2),
        "horizon_seconds": 120.0,
        "timestamp": loop.clock(),
    }


def _proactive(loop: Loop) -> dict[str, Any] | None:
    cpu, gpu = _forecasts(loop)
    leading = gpu if gpu is not None else cpu
    if leading is None or not leading.useful:
        return None
    targets = loop.config.resource_targets
    band = gpu_band(targets) if gpu is not None else cpu_band(targets)
    zone = band.zone(leading.percent)
    if zone is Zone.OPTIMAL:
        return None
    gap = band.target - leading.percent
    multiplier = min(1.3, 1.0 + gap / 50.0) if gap > 0 else max(0.7, 1.0 + gap / 50.0)
    return {
        "action": "scale_up" if gap > 0 else "scale_down",
        "reason": f"utilization {leading.trend}, {leading.percent:.0f}% expected in two minutes",
        "rate_multiplier": round(multiplier, 3),
        "confidence": round(leading.confidence, 3),
        "prediction": _prediction(loop),
    }
