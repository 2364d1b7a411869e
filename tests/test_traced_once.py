from __future__ import annotations

import pytest
import torch

from ringrift_loop.network.export import architecture_for, export_onnx
from ringrift_loop.network.model import RingRiftNet
from traced_once import EXPORT, traced_once


def test_a_graph_filled_with_weights_is_what_the_exporter_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [RingRiftNet(architecture_for("hex8_2p", blocks=1, channels=8)) for _ in range(2)]
    for net in nets:
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    with traced_once():
        _, filled = map(export_onnx, nets)
    monkeypatch.setattr(torch.onnx, "export", EXPORT)
    assert filled == export_onnx(nets[1])
