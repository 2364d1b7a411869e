"""Which ONNX file a candidate gets, and that a loop adopts, tells and plays that one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from ringrift_loop.config import Inference
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.ledger import events
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import ONNX, WEIGHTS, named_graph
from ringrift_loop.network.comparison import compare_backends
from ringrift_loop.network.encoding import plane_shape
from ringrift_loop.network.export import architecture_for, export_onnx
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.move_features import MOVE_COLUMNS, SIZE, TYPE
from ringrift_loop.network.quantize import Change
from ringrift_loop.selfplay.records import ReplayedGame
from ringrift_loop.training import adopt, precision
from ringrift_loop.training.batches import BatchMaker
from ringrift_loop.training.claim import claim_for_run
from ringrift_loop.training.precision import LEAST_GAIN, Precision, choose_precision, compared, window_batches
from ringrift_loop.training.train import train
from ringrift_loop.training.window import WindowWriter, open_window

VARIANT = "square8_2p"
NOTHING = Change(0.0, 0.0, 0.0)


def _has_eight_bits(graph: bytes) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(graph).graph.node)


@pytest.fixture
def choose(tmp_path: Path, replayed: Callable[..., ReplayedGame]) -> Callable[[str], Precision]:
    """Decides for a small network with random weights, on the positions of six games."""
    torch.manual_seed(2)
    net = RingRiftNet(architecture_for(VARIANT, blocks=1, channels=8))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    writer = WindowWriter(tmp_path / "window", rules_for(VARIANT), rows=10_000, games=6)
    for seed in range(6):
        writer.add(replayed(VARIANT, seed), validation=seed % 3 == 0)
    writer.finish("digest")
    window = open_window(tmp_path / "window", "digest")
    assert window is not None
    maker = BatchMaker(rules_for(VARIANT), VARIANT, window, value_outcome_share=1.0)
    return lambda wish: choose_precision(export_onnx(net), *window_batches(maker, window), wish)


def test_a_candidate_gets_eight_bits_where_they_are_wanted_faster_and_harmless(
    choose: Callable[[str], Precision], monkeypatch: pytest.MonkeyPatch
) -> None:
    never, always = choose("never"), choose("always")
    assert (never.graph.precision, never.refused, _has_eight_bits(never.graph.onnx)) == ("float32", False, False)
    assert (always.graph.precision, always.refused, _has_eight_bits(always.graph.onnx)) == ("int8", False, True)
    for gain, expected in ((LEAST_GAIN, "int8"), (LEAST_GAIN - 0.01, "float32")):
        with monkeypatch.context() as patched:
            patched.setattr(precision, "_gain", lambda *models, gain=gain: gain)
            chosen = choose("auto")
        assert (chosen.graph.precision, chosen.refused) == (expected, False)
        assert chosen.why.startswith(f"{expected}, ")
        assert f"{gain:.2f} times as fast here" in chosen.why
    monkeypatch.setattr(precision, "MOST", NOTHING)
    for wish in ("auto", "always"):
        refused = choose(wish)
        assert (refused.graph.precision, refused.refused, _has_eight_bits(refused.graph.onnx)) == (
            "float32",
            True,
            False,
        )
        assert refused.why.startswith("float32, since int8 would change too much: policy 0.")


def test_calibration_and_check_are_on_different_games(
    choose: Callable[[str], Precision], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[bytes]] = []
    batches = precision._batches

    def watched(maker: BatchMaker, rows: Any) -> Any:
        made = batches(maker, rows)
        seen.append([planes.tobytes() for batch in made for planes in batch["planes"]])
        return made

    monkeypatch.setattr(precision, "_batches", watched)
    choose("always")
    calibrated, checked = seen
    assert len(calibrated) > 50 and len(checked) > 50
    assert len(set(calibrated) & set(checked)) < 5  # the start position comes up in both


class Clock:
    """CPU time that passes only while a model evaluates."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, 0

    def thread_time(self) -> float:
        return self.now

    def session(self, seconds: Callable[[float], float]) -> Any:
        """A model whose evaluation takes so long; `seconds` is told when it begins."""
        return SimpleNamespace(run=lambda outputs, inputs: self._pass(seconds(self.now), inputs))

    def _pass(self, seconds: float, inputs: dict[str, Any]) -> None:
        assert len(inputs["planes"]) == 16 and len(inputs["move_row"]) == len(inputs["move_features"]) == 16
        self.now += seconds
        self.calls += 1


@pytest.mark.parametrize(
    ("plain", "small", "gain"),
    [
        pytest.param(lambda at: 0.003, lambda at: 0.002, 1.5, id="as long as it takes"),
        pytest.param(lambda at: 0.002, lambda at: 0.003, 2 / 3, id="eight bits may be slower"),
        pytest.param(lambda at: 0.009 if at < 0.05 else 0.003, lambda at: 0.002, 1.5, id="one is slow for a moment"),
        pytest.param(lambda at: 0.003 * (1 + 2 * at), lambda at: 0.002 * (1 + 2 * at), 1.5, id="all gets slower"),
    ],
)
def test_the_gain_is_the_ratio_of_the_speeds(
    plain: Callable[[float], float], small: Callable[[float], float], gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    sessions = {b"plain": clock.session(plain), b"small": clock.session(small)}
    monkeypatch.setattr(precision, "time", clock)
    monkeypatch.setattr(precision, "open_session", lambda onnx, what: sessions[onnx])
    batch = {"planes": np.zeros((20, 3)), "move_row": np.arange(20), "move_features": np.zeros((20, 4))}
    assert precision._gain(b"plain", b"small", batch) == pytest.approx(gain, rel=0.15)
    assert clock.calls > 50


def test_the_gain_of_real_models_is_measured(choose: Callable[[str], Precision]) -> None:
    plain, small = choose("never").graph.onnx, choose("always").graph.onnx
    planes = np.zeros((16, *plane_shape(rules_for(VARIANT))), np.float32)
    features = np.full((16, MOVE_COLUMNS), 64, np.int32)
    features[:, [TYPE, SIZE]] = 0
    assert precision._gain(plain, small, {"planes": planes, "move_row": np.arange(16), "move_features": features}) > 0.0


def test_what_was_adopted_is_what_plays_and_its_digest_covers_it(
    loop: Loop, take_games: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decided_on: list[Any] = []
    compared_on: list[Any] = []

    def decides(reference: bytes, other: bytes, batches: list[Any]) -> Change:
        decided_on.extend(planes for batch in batches for planes in batch["planes"])
        return compared(reference, other, batches)

    def compares(net: RingRiftNet, folder: Path, planes: Any, *moves: Any) -> None:
        compared_on.extend(planes)
        compare_backends(net, folder, planes, *moves)

    monkeypatch.setattr(precision, "compared", decides)
    monkeypatch.setattr(adopt, "compare_backends", compares)
    take_games(loop, VARIANT, range(10))
    loop = replace(loop, config=replace(loop.config, inference=Inference("always")))
    report = train(loop, claim_for_run(loop, [VARIANT], key="test").run_id)
    # The limits are for means over these positions: over a few of one game a sound model may exceed them.
    assert np.array_equal(decided_on, compared_on)
    assert report.precision.startswith("int8 by inference.int8, which changes policy 0.")
    folder = loop.directory.model(report.model_digest)
    evaluator = open_evaluator(folder, backend="onnxruntime", expected_digest=report.model_digest)
    assert evaluator.manifest.precision == "int8"
    assert _has_eight_bits((folder / ONNX).read_bytes())
    assert named_graph((folder / WEIGHTS).read_bytes()) == evaluator.manifest.onnx_sha256

    # The next training starts from it. Eight bits would change its candidate, which plays in float32, and is told of.
    take_games(loop, VARIANT, range(100, 110))
    monkeypatch.setattr(precision, "MOST", NOTHING)
    with caplog.at_level(logging.WARNING, "ringrift_loop.training.adopt"):
        second = train(loop, claim_for_run(loop, [VARIANT], key="next").run_id)
    assert (second.parent, second.start) == (report.model_digest, "the last candidate, generation 1")
    assert second.precision.startswith("float32, since int8 would change too much")
    assert f"the candidate plays in {second.precision}" in caplog.messages
    with loop.ledger.read() as conn:
        told = [event.message for event in events.latest(conn, kind="training", limit=2)]
    assert f"{VARIANT} generation 2 plays in {second.precision}" in told
    folder = loop.directory.model(second.model_digest)
    assert open_evaluator(folder, backend="onnxruntime").manifest.precision == "float32"
    assert not _has_eight_bits((folder / ONNX).read_bytes())
