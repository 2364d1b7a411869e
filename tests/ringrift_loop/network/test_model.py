from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift_loop.engine.rules import Rules
from ringrift_loop.network import planes as pl
from ringrift_loop.network.encoding import encode_states, plane_shape, symmetry_images
from ringrift_loop.network.export import architecture_for, with_all_inputs
from ringrift_loop.network.model import Architecture, Predictions, RingRiftNet
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves


def _net(variant: str) -> RingRiftNet:
    """A small network with random numbers everywhere: some layers start at zero."""
    torch.manual_seed(5)
    net = RingRiftNet(architecture_for(variant, blocks=2, channels=16))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def _inputs(rules: Rules, states: NDArray[np.int16], moves: list[NDArray[np.int64]]) -> tuple[Tensor, Tensor, Tensor]:
    planes = np.empty((len(states), *plane_shape(rules)), np.float32)
    encode_states(rules, states, planes)
    features = []
    for state, own in zip(states, moves, strict=True):
        rows = np.empty((len(own), MOVE_COLUMNS), np.int32)
        encode_moves(rules.core, state, rules.board.grid, own, len(own), rows)
        features.append(rows)
    row = np.repeat(np.arange(len(states)), [len(own) for own in moves])
    return torch.from_numpy(planes), torch.from_numpy(row), torch.from_numpy(np.concatenate(features))


def _predict(net: RingRiftNet, inputs: tuple[Tensor, Tensor, Tensor]) -> Predictions:
    with torch.inference_mode():
        prediction: Predictions = net(*inputs)
    return prediction


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_3p", "square19_4p", "hexagonal_2p"])
def test_one_architecture_serves_every_variant(variant: str, positions: type[Any]) -> None:
    rules, states, moves = positions.random(variant, 3)
    prediction = _predict(_net(variant), _inputs(rules, states, moves))
    shares = torch.softmax(prediction.value, 1)
    assert prediction.policy.shape == (sum(map(len, moves)),)
    assert prediction.owner.shape == (3, 5, rules.board.side**2)
    assert bool(torch.isfinite(prediction.policy).all())
    assert bool((shares[:, : rules.players] > 0).all())
    assert bool((shares[:, rules.players :] == 0).all())


def test_weights_of_all_square_variants_have_the_same_shapes() -> None:
    shapes = [
        {name: tensor.shape for name, tensor in _net(variant).state_dict().items()}
        for variant in ("square8_2p", "square8_4p", "square19_3p", "hex8_2p")
    ]
    assert all(shape == shapes[0] for shape in shapes)


@pytest.mark.parametrize("variant", ["square8_3p", "hex8_2p"])
def test_a_state_is_judged_the_same_alone_and_in_company(variant: str, positions: type[Any]) -> None:
    rules, states, moves = positions.random(variant, 6)
    net = _net(variant)
    together = _predict(net, _inputs(rules, states, moves))
    first = 0
    for index in range(len(states)):
        alone = _predict(net, _inputs(rules, states[index : index + 1], moves[index : index + 1]))
        end = first + len(moves[index])
        torch.testing.assert_close(alone.policy, together.policy[first:end], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.value[0], together.value[index], rtol=1e-4, atol=1e-5)
        first = end


@pytest.mark.parametrize("variant", ["square8_2p", "hex8_2p"])
def test_every_legal_move_has_a_logit_of_its_own(variant: str, positions: type[Any]) -> None:
    rules, states, moves = positions.random(variant, 40)
    prediction = _predict(_net(variant), _inputs(rules, states, moves))
    first = 0
    for own in moves:
        logits = prediction.policy[first : first + len(own)]
        assert len(torch.unique(logits)) == len(own)
        first += len(own)


def test_cells_off_a_hex_board_have_no_influence(positions: type[Any]) -> None:
    rules, states, moves = positions.random("hex8_2p", 4)
    planes, row, features = _inputs(rules, states, moves)
    net = _net("hex8_2p")
    off_board = planes[:, pl.MASK] == 0
    assert int(off_board[0].sum()) == 20
    before = _predict(net, (planes, row, features))
    hidden: dict[str, Tensor] = {}
    net.blocks[-1].register_forward_hook(lambda _module, _inputs, output: hidden.update(trunk=output))
    after = _predict(net, (planes, row, features))
    assert not bool(hidden["trunk"].permute(0, 2, 3, 1)[off_board].any())
    torch.testing.assert_close(before.policy, after.policy)


def test_a_hex_kernel_sees_six_neighbours_and_a_square_kernel_eight() -> None:
    for is_hex, neighbours in ((True, 7), (False, 9)):
        net = RingRiftNet(Architecture(1, 8, is_hex))
        planes = torch.zeros(1, pl.GLOBALS, 9, 9)
        planes[0, 1, 4, 4] = 1.0
        torch.nn.init.ones_(net.stem.weight)
        torch.nn.init.zeros_(net.stem.bias)  # type: ignore[arg-type]
        seen = torch.nonzero(net.stem(planes)[0, 0]).tolist()
        assert len(seen) == neighbours
        # (x, y) = (+1, +1) and (-1, -1) are no hex neighbours.
        assert ([5, 5] in seen) != is_hex
        assert [5, 3] in seen


def test_kernels_made_symmetric_judge_turned_positions_alike(positions: type[Any]) -> None:
    rules, states, moves = positions.random("square8_2p", 8)
    net = _net("square8_2p")
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            weight = module.weight.data
            turns = [torch.rot90(weight, k, (2, 3)) for k in range(4)]
            turns += [turn.transpose(2, 3) for turn in turns]
            module.weight.data = torch.stack(turns).mean(0)
    before = _predict(net, _inputs(rules, states, moves))
    for images in symmetry_images("square8")[1:]:
        cells = np.searchsorted(rules.board.grid, images).astype(np.int16)
        turned = np.array([positions.turned(rules, state, cells) for state in states])
        after = _predict(net, _inputs(rules, turned, [positions.legal(rules, state) for state in turned]))
        torch.testing.assert_close(after.value, before.value, rtol=1e-4, atol=1e-5)
        here, there = rules.board.grid.tolist(), images.tolist()
        torch.testing.assert_close(after.owner[:, :, there], before.owner[:, :, here], rtol=1e-4, atol=1e-5)


def test_an_impossible_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"blocks must be 1\.\.64 and channels 8\.\.1024, got 0 and 32"):
        Architecture(0, 32, False)


def test_a_network_of_the_first_encoding_judges_as_before_with_all_inputs_until_they_have_weights(
    positions: type[Any],
) -> None:
    rules, states, moves = positions.random("hex8_2p", 60)
    inputs = _inputs(rules, states, moves)
    torch.manual_seed(5)
    net = RingRiftNet(replace(architecture_for("hex8_2p", blocks=2, channels=16), encoding=1))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    whole = with_all_inputs(net)
    assert (net.architecture.num_globals, whole.architecture) == (
        62,
        architecture_for("hex8_2p", blocks=2, channels=16),
    )
    before, after = _predict(net, inputs), _predict(whole, inputs)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    told = inputs[0][:, pl.GLOBALS].flatten(1)[:, pl.G_BALANCE]
    assert bool((told != 0).any()) and bool((told == 0).any())
    whole.value.hidden.weight.data[:, -2] = 1.0
    changed = (_predict(whole, inputs).value - after.value).abs().amax(1) > 1e-3
    assert changed.tolist() == (told != 0).tolist()
