"""The two tests of the regression gate that need no games: is the file what it claims to be, and is it quick enough?

And how quick it is, from which follows how long its games may take (`tournament/duration.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from ringrift_loop.engine.kernels import apply_move, legal_moves, make_work, new_states, play_forced
from ringrift_loop.engine.rules import Rules, rules_for
from ringrift_loop.errors import ModelError
from ringrift_loop.network.artifact import WEIGHTS, verify
from ringrift_loop.network.encoding import encode_states, move_features, plane_shape
from ringrift_loop.network.inference import Evaluator, open_evaluator
from ringrift_loop.network.move_features import MOVE_COLUMNS
from ringrift_loop.promotion.report import TestResult
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.tournament.players import make_player

_POSITIONS = 60
_WARM_UP = 10
_MOVES = 9
_SEED = 7
_BATCH = 16
_RATE_S = 0.2


def validate_file(subject: Subject) -> TestResult:
    """Check digest, manifest, variant and weights, load the model and evaluate the start position.

    Raises:
        ModelError: any of it is wrong.
    """
    manifest = verify(subject.folder, subject.digest)
    if manifest.variant != subject.variant:
        raise ModelError(f"the model is for {manifest.variant}, the gate is for {subject.variant}")
    path = subject.folder / WEIGHTS
    tensors = load_file(path)
    broken = sorted(name for name, values in tensors.items() if not np.isfinite(values).all())
    if broken or not tensors:
        raise ModelError(f"{path} holds no tensors, or NaN or infinite weights in {', '.join(broken) or 'none'}")
    rules = rules_for(subject.variant)
    evaluator = open_evaluator(subject.folder, expected_digest=subject.digest)
    logits, values = _evaluate(evaluator, rules, new_states(rules, 1))
    if not (np.isfinite(logits).all() and abs(float(values.sum()) - 1.0) < 1e-3):
        raise ModelError(f"the start position evaluates to unsound logits or shares, shares {values.tolist()}")
    size = path.stat().st_size
    detail = (
        f"sha256 matches its name, {len(tensors)} tensors, {manifest.architecture.blocks} blocks x "
        f"{manifest.architecture.channels} channels, {evaluator.backend}, {manifest.precision}"
    )
    return TestResult("model_file", True, size / 1e6, None, "MB", detail, 0.0)


def measure_latency(subject: Subject, limit_ms: float) -> TestResult:
    """Time the encoding and evaluation of single positions, and whole moves, on this machine while it does what else
    it does.

    The median decides; a p95 would judge the other processes of a busy machine. Where these slow the median down too,
    the CPU time of the evaluation tells: the model is quick enough by it, so the test is undecided.
    """
    rules = rules_for(subject.variant)
    states = _positions(rules, _POSITIONS + _WARM_UP)
    evaluator = open_evaluator(subject.folder, expected_digest=subject.digest)
    both = _milliseconds(lambda state: _evaluate(evaluator, rules, state), states)[_WARM_UP:]
    times, used = [wall for wall, _ in both], median(cpu for _, cpu in both)
    player = make_player(str(subject.folder), subject.variant, search=subject.search)
    moves = [wall for wall, _ in _milliseconds(lambda state: player.choose(rules, state), states[: 1 + _MOVES])[1:]]
    figure = median(times)
    busy = figure >= limit_ms > used
    detail = (
        f"one evaluation: median {figure:.2f} ms, p95 {float(np.percentile(times, 95)):.2f} ms of {len(times)} "
        f"({evaluator.backend}); one move with {subject.search.identity()}: median {median(moves):.1f} ms"
    )
    if busy:
        detail += f"; the machine was busy: of that it computed {used:.2f} ms"
    return TestResult("inference_latency", figure < limit_ms, figure, limit_ms, "ms", detail, 0.0, undecided=busy)


def _milliseconds(
    work: Callable[[npt.NDArray[np.int16]], object], states: npt.NDArray[np.int16]
) -> list[tuple[float, float]]:
    """Time the work on each state, given as [1, W]: by the clock, and the CPU time of all threads."""
    times = []
    for state in states:
        start, cpu = perf_counter(), process_time()
        work(state[None])
        times.append(((perf_counter() - start) * 1000.0, (process_time() - cpu) * 1000.0))
    return times


def evaluations_per_core_second(subject: Subject) -> float:
    """How many positions the model evaluates on this machine in a second of a core, in batches as matches have them.

    CPU time is counted, so other processes change little.

    Raises:
        ModelError: the model does not load, or is of another variant.
    """
    evaluator = open_evaluator(subject.folder, expected_digest=subject.digest)
    if evaluator.manifest.variant != subject.variant:
        raise ModelError(f"the model is for {evaluator.manifest.variant}, the gate is for {subject.variant}")
    rules = rules_for(subject.variant)
    states = _positions(rules, _BATCH)
    _evaluate(evaluator, rules, states)
    began, used, batches = process_time(), 0.0, 0
    while used < _RATE_S:
        _evaluate(evaluator, rules, states)
        used, batches = process_time() - began, batches + 1
    return batches * _BATCH / used


def _evaluate(
    evaluator: Evaluator, rules: Rules, states: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Policy logits [T] and shares [B, 4] of states [B, W]."""
    work, scratch = make_work(rules), np.empty((len(states), rules.max_moves), np.int64)
    moves = [legal_moves(rules, state, work, row) for state, row in zip(states, scratch, strict=True)]
    planes = np.empty((len(states), *plane_shape(rules)), np.float32)
    features = np.empty((sum(moves), MOVE_COLUMNS), np.int32)
    encode_states(rules, states, planes)
    ends = np.cumsum(moves)
    for state, row, n, end in zip(states, scratch, moves, ends.tolist(), strict=True):
        move_features(rules, state, row[:n], features[end - n : end])
    return evaluator.evaluate(planes, np.repeat(np.arange(len(states)), moves), features)


def _positions(rules: Rules, count: int) -> npt.NDArray[np.int16]:
    """Positions with a choice, from random games: int16 [count, W]."""
    rng = np.random.default_rng(_SEED)
    work, scratch, trail = make_work(rules), np.empty(rules.max_moves, np.int64), np.empty(8192, np.int64)
    state = new_states(rules, 1)[0]
    found: list[npt.NDArray[np.int16]] = []
    while len(found) < count:
        n, _ = play_forced(rules, state, work, scratch, trail, 0)
        if n == 0:
            state = new_states(rules, 1)[0]
            continue
        found.append(state.copy())
        apply_move(rules, state, work, int(scratch[rng.integers(n)]))
    return np.stack(found)
