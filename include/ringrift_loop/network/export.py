"""Networks to model folders and back; the part of artifact.py that needs torch."""

from __future__ import annotations

import copy
import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as fn

from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.rules import variant as variant_named
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import ModelError
from ringrift_loop.network import planes as pl
from ringrift_loop.network.artifact import (
    NAMES_GRAPH,
    WEIGHTS,
    ArchitectureRecord,
    Manifest,
    Precision,
    read_checked,
    verify,
    write_model,
)
from ringrift_loop.network.encoding import ENCODING_VERSION
from ringrift_loop.network.model import Architecture, BoardConv, RingRiftNet
from ringrift_loop.network.move_features import FIRST, MOVE_COLUMNS, SIZE

_CHANNELS_AT_ONCE = 16
ONNX_INPUTS = ("planes", "move_row", "move_features")
ONNX_OUTPUTS = ("logits", "values")


@dataclass(frozen=True)
class Graph:
    """An ONNX model of a network."""

    onnx: bytes
    precision: Precision = "float32"
    """Of its convolutions; `int8` was made by quantize.py."""

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.onnx).hexdigest()


class Inference(nn.Module):
    """What play needs of a network: policy logits [T] and the seats' shares of the win [B, 4]."""

    def __init__(self, net: RingRiftNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, planes: Tensor, move_row: Tensor, move_features: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate; arguments as in RingRiftNet.forward."""
        predictions = self.net(planes, move_row, move_features)
        return predictions.policy, torch.softmax(predictions.value, 1)


def architecture_for(variant: str, *, blocks: int, channels: int) -> Architecture:
    """The architecture of a variant's networks."""
    return Architecture(blocks, channels, board_for(variant_named(variant).board).is_hex)


def save_model(
    net: RingRiftNet,
    folder_of: Callable[[str], Path],
    *,
    variant: str,
    created_at: float,
    engine_version: str = ENGINE_VERSION,
    parent: str | None = None,
    training_run: str | None = None,
    graph: Graph | None = None,
) -> Manifest:
    """Write a network to its folder and return the manifest that stands there.

    Args:
        net: the network.
        folder_of: the folder of the model with a digest, such as `RunDirectory.model`.
        variant: what it plays.
        created_at: UTC seconds.
        engine_version: whose games it was trained on.
        parent: digest of the model that training started from.
        training_run: the run that made it.
        graph: what plays in ONNX Runtime; by default the network itself, in float32.

    Raises:
        ModelError: a weight is not a finite number.
    """
    architecture = net.architecture
    graph = graph or Graph(export_onnx(net))
    weights = weights_file(net, graph)
    manifest = Manifest(
        digest=hashlib.sha256(weights).hexdigest(),
        onnx_sha256=graph.sha256,
        variant=variant,
        architecture=ArchitectureRecord(
            architecture.name, architecture.blocks, architecture.channels, architecture.is_hex
        ),
        encoding_version=architecture.encoding,
        engine_version=engine_version,
        parent=parent,
        training_run=training_run,
        created_at=created_at,
        precision=graph.precision,
    )
    return write_model(folder_of(manifest.digest).parent, manifest, weights, graph.onnx)


def weights_file(net: RingRiftNet, graph: Graph | None = None) -> bytes:
    """The bytes of a network's safetensors file: the same for the same weights and, in int8, the same graph.

    Raises:
        ModelError: a weight is not a finite number.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    _check_finite(state, "the network to be saved")
    if graph is None or graph.precision == "float32":
        return save(state)
    return save(state, {NAMES_GRAPH: graph.sha256})


def load_network(folder: Path, expected_digest: str | None = None) -> tuple[RingRiftNet, Manifest]:
    """Load a model's weights, strictly, in evaluation mode on the CPU.

    Raises:
        ModelError: the folder does not verify, or its tensors are not exactly those of the manifest's architecture.
    """
    manifest = verify(folder, expected_digest)
    record = manifest.architecture
    try:
        architecture = Architecture(record.blocks, record.channels, record.is_hex, manifest.encoding_version)
    except ValueError as error:
        raise ModelError(f"{folder} does not load: {error}") from error
    return network_from(read_checked(folder / WEIGHTS), architecture, str(folder)), manifest


def network_from(weights: bytes, architecture: Architecture, where: str) -> RingRiftNet:
    """The network of a safetensors file, strictly, in evaluation mode on the CPU.

    Nothing of the architecture's size is allocated before the file is known to hold it.

    Raises:
        ModelError: the bytes are no such file; names, shapes or types differ; or a number is not finite.
    """
    try:
        state = load(weights)
    except SafetensorError as error:
        raise ModelError(f"{where} does not load: {error}") from error
    except KeyError as error:  # a type of numbers that the format has and PyTorch has not
        raise ModelError(f"{where} does not load: it has numbers of the unknown type {error}") from error
    expected = tensors_of(architecture)
    if expected.keys() != state.keys():
        wrong = sorted(expected.keys() ^ state.keys())
        raise ModelError(f"{where}: missing or unknown tensors {', '.join(wrong)[:300]}")
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise ModelError(
                f"{where}: {name} is {tensor.dtype} {tuple(tensor.shape)}, "
                f"{architecture.name} has {expected[name].dtype} {tuple(expected[name].shape)}"
            )
    _check_finite(state, where)
    net = RingRiftNet(architecture)
    net.load_state_dict(state)
    return net.eval()


def with_all_inputs(net: RingRiftNet) -> RingRiftNet:
    """The network with the inputs of the present encoding; what it lacked counts for nothing until it is trained."""
    architecture = replace(net.architecture, encoding=ENCODING_VERSION)
    if net.architecture == architecture:
        return net
    whole = RingRiftNet(architecture)
    state = net.state_dict()
    for name in ("stem_globals.weight", "value.hidden.weight"):  # the numbers are the last of their inputs
        lacked = whole.state_dict()[name].shape[1] - state[name].shape[1]
        state[name] = fn.pad(state[name], (0, lacked))
    whole.load_state_dict(state)
    return whole.eval()


def tensors_of(architecture: Architecture) -> dict[str, Tensor]:
    """The tensors that a network has, by name, without their numbers: they take no memory."""
    with torch.device("meta"):
        return RingRiftNet(architecture).state_dict()


def export_onnx(net: RingRiftNet) -> bytes:
    """The network as an ONNX model, for any number of states and of moves on every board that its weights fit."""
    model = Inference(_with_fixed_kernels(net)).eval()
    states, moves, side = 2, 3, 8  # any sizes but 0 and 1, which the exporter would take for constants
    planes = torch.zeros(states, pl.NUM_PLANES, side, side)
    planes[:, pl.MASK] = 1.0
    features = torch.zeros(moves, MOVE_COLUMNS, dtype=torch.int32)
    features[:, FIRST:SIZE] = side * side
    row = torch.tensor([0, 0, 1])
    rows, total, sides = Dim("B", min=1), Dim("T", min=1), Dim("side", min=side)
    with _quiet_exporter():
        program = torch.onnx.export(
            model,
            (planes, row, features),
            input_names=list(ONNX_INPUTS),
            output_names=list(ONNX_OUTPUTS),
            dynamic_shapes={
                "planes": {0: rows, 2: sides, 3: sides},
                "move_row": {0: total},
                "move_features": {0: total},
            },
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(path)
        return path.read_bytes()


class _WideStem(nn.Module):
    """The stem over a multiple of the planes that ONNX Runtime's kernels take at once; the added ones are empty.

    A network of two blocks is evaluated in 15 % less time in float32, 3 % less in int8 (docs/log.md, 2026-11-30).
    """

    def __init__(self, stem: BoardConv) -> None:
        super().__init__()
        self.added = -stem.in_channels % _CHANNELS_AT_ONCE
        self.weight = nn.Parameter(fn.pad(stem.weight.detach(), (0, 0, 0, 0, 0, self.added)))
        self.bias = stem.bias

    def forward(self, planes: Tensor) -> Tensor:
        """Convolve [B, C, side, side] to [B, C', side, side]."""
        return fn.conv2d(fn.pad(planes, (0, 0, 0, 0, 0, self.added)), self.weight, self.bias, padding=1)


def _with_fixed_kernels(net: RingRiftNet) -> RingRiftNet:
    """A copy with a wide stem, whose hex kernels have lost their corners for good instead of at every evaluation."""
    fixed = copy.deepcopy(net)
    for module in fixed.modules():
        if isinstance(module, BoardConv) and module.is_hex:
            module.weight.data *= module.neighbours
            module.is_hex = False
    assert isinstance(fixed.stem, BoardConv)
    fixed.stem = _WideStem(fixed.stem)
    return fixed


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's notes on its own work, and deprecations inside it, out of the log and out of the tests."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_finite(state: dict[str, Tensor], where: str) -> None:
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{where}: {name} holds numbers that are not finite")
