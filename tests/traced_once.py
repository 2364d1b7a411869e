"""The exporter to ONNX takes seconds to find a network's graph, which is the same whatever its weights are.

Within a process each architecture is therefore traced once, and its graph filled with the weights of each network that
is exported: byte for byte what the exporter makes, as network/test_artifact.py compares, unless two tensors of the
network are alike, which the exporter would keep once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

EXPORT: Callable[..., Any] = torch.onnx.export


@dataclass(frozen=True)
class Traced:
    """A graph, and which of its tensors are a weight or, where the exporter has turned one round, its transpose."""

    graph: onnx.ModelProto
    weights: dict[str, tuple[str, bool]]

    def filled(self, state: dict[str, Tensor]) -> bytes:
        """The ONNX file of a network with these weights."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self.graph)
        for tensor in graph.graph.initializer:
            if tensor.name in self.weights:
                name, turned = self.weights[tensor.name]
                tensor.raw_data = _data(state[name].T if turned else state[name])
        return graph.SerializeToString()


@dataclass(frozen=True)
class Program:
    """What the exporter's answer is asked for."""

    onnx: bytes

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(self.onnx)


def _data(tensor: Tensor) -> bytes:
    data: bytes = tensor.detach().contiguous().numpy().tobytes()
    return data


def _traced(model: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> Traced:
    """Have a copy of a network exported in which no two tensors are alike."""
    model = copy.deepcopy(model)
    numbers = torch.Generator().manual_seed(1)
    for weight in model.state_dict().values():
        weight.copy_(torch.rand(weight.shape, generator=numbers))
    program = EXPORT(model, *arguments, **options)
    graph = program.model_proto
    names: dict[bytes, tuple[str, bool]] = {}
    for name, weight in model.state_dict().items():
        if weight.ndim == 2:
            names[_data(weight.T)] = name, True
        names[_data(weight)] = name, False
    weights = {each.name: names[each.raw_data] for each in graph.graph.initializer if each.raw_data in names}
    return Traced(graph, weights)


@contextmanager
def traced_once() -> Iterator[None]:
    """Put it in the exporter's place."""
    known: dict[str, Traced] = {}

    def export_traced(model: nn.Module, *arguments: Any, **options: Any) -> Program:
        state = model.state_dict()
        # Whatever decides the graph: modules with their settings, the shapes of tensors, and what is asked for.
        modules = [(name, type(each).__name__, _settings(each)) for name, each in model.named_modules()]
        shapes = [tuple(each.shape) for each in (*state.values(), *arguments[0])]
        key = repr((modules, shapes, options))
        if key not in known:
            known[key] = _traced(model, arguments, options)
        return Program(known[key].filled(state))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.onnx, "export", export_traced)
        yield


def _settings(module: nn.Module) -> list[tuple[str, object]]:
    plain = (bool, int, str, tuple)
    return [
        (name, value) for name, value in sorted(vars(module).items()) if isinstance(value, plain) or is_dataclass(value)
    ]
