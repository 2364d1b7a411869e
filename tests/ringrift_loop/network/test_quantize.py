from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from ringrift_loop.network.encoding import encode_states, plane_shape
from ringrift_loop.network.export import Graph, architecture_for, export_onnx, save_model
from ringrift_loop.network.inference import OnnxEvaluator, open_session
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves
from ringrift_loop.network.quantize import MOST, Change, Inputs, change_between, quantized


def _network(variant: str) -> RingRiftNet:
    torch.manual_seed(2)
    net = RingRiftNet(architecture_for(variant, blocks=1, channels=8))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def _inputs(positions: type[Any], variant: str, count: int, seed: int) -> Inputs:
    rules, states, moves = positions.random(variant, count, seed=seed)
    planes = np.empty((count, *plane_shape(rules)), np.float32)
    encode_states(rules, states, planes)
    rows = []
    for state, own in zip(states, moves, strict=True):
        rows.append(np.empty((len(own), MOVE_COLUMNS), np.int32))
        encode_moves(rules.core, state, rules.board.grid, own, len(own), rows[-1])
    row = np.repeat(np.arange(count), [len(own) for own in moves])
    return {"planes": planes, "move_row": row, "move_features": np.concatenate(rows)}


@pytest.mark.parametrize(("variant", "plays"), [("square8_2p", "square19_3p"), ("hex8_2p", "hexagonal_2p")])
def test_convolutions_alone_have_eight_bits_and_outputs_stay_close_on_every_board(
    variant: str, plays: str, positions: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    plain = export_onnx(_network(variant))
    small = quantized(plain, [_inputs(positions, variant, 64, seed=1)])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []  # the quantizer's advice
    kinds = [node.op_type for node in onnx.load_from_string(small).graph.node]
    weights = [tensor for tensor in onnx.load_from_string(small).graph.initializer if tensor.data_type == 3]  # int8
    assert (kinds.count("Conv"), kinds.count("QuantizeLinear")) == (3, 6)  # input and output of each
    kernels = [np.abs(onnx.numpy_helper.to_array(tensor)) for tensor in weights if len(tensor.dims) == 4]
    assert len(kernels) == 3
    assert {int(kernel.max()) for kernel in kernels} == {64}  # seven bits: no CPU saturates
    for board in (variant, plays):
        batch = _inputs(positions, board, 32, seed=9)
        reference, moved = (tuple(open_session(one, "test").run(None, batch)) for one in (plain, small))
        change = change_between(reference, moved, batch["move_row"])
        assert change.value_max > 0
        assert change.within(MOST), change


def test_in_eight_bits_a_position_is_evaluated_the_same_alone_and_among_others(
    tmp_path: Path, positions: type[Any]
) -> None:
    net = _network("square8_2p")
    batch = _inputs(positions, "square8_2p", 9, seed=3)
    graph = Graph(quantized(export_onnx(net), [batch]), "int8")
    manifest = save_model(net, lambda digest: tmp_path / digest, variant="square8_2p", created_at=1.0, graph=graph)
    evaluator = OnnxEvaluator(tmp_path / manifest.digest)
    logits, values = evaluator.evaluate(batch["planes"], batch["move_row"], batch["move_features"])
    for state in range(9):
        own = batch["move_row"] == state
        alone = evaluator.evaluate(
            batch["planes"][state : state + 1], np.zeros(own.sum(), np.int64), batch["move_features"][own]
        )
        np.testing.assert_allclose(alone[0], logits[own], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(alone[1][0], values[state], atol=1e-6)


def test_the_change_between_two_evaluations_is_what_the_formulas_say() -> None:
    row = np.array([0, 0, 1])
    values = np.array([[0.5, 0.5, 0, 0], [1, 0, 0, 0]], np.float32)
    moved = np.array([[0.4, 0.6, 0, 0], [0.7, 0.3, 0, 0]], np.float32)
    reference = (np.log(np.array([1, 3, 5], np.float32)), values)
    change = change_between(reference, (np.log(np.array([2, 2, 1], np.float32)), moved), row)
    # The policy of the first position goes from 1/4 and 3/4 to two halves; the second has one move.
    assert change.policy_kl == pytest.approx((0.25 * np.log(0.5) + 0.75 * np.log(1.5)) / 2, abs=1e-6)
    assert change.value_mean == pytest.approx(0.2, abs=1e-6)
    assert change.value_max == pytest.approx(0.3, abs=1e-6)
    assert change_between(reference, reference, row) == Change(0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["policy_kl", "value_mean", "value_max"])
def test_one_figure_that_is_too_large_or_no_number_is_not_within(name: str) -> None:
    inside = {"policy_kl": 0.001, "value_mean": 0.001, "value_max": 0.01}
    assert Change(**inside).within(MOST)
    for figure in (1.0, float("nan")):
        assert not Change(**(inside | {name: figure})).within(MOST)
