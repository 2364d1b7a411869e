from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save

from ringrift_loop.engine.kernels import legal_moves, make_work, new_states
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.errors import ModelError
from ringrift_loop.network.artifact import MANIFEST, ONNX, WEIGHTS, Manifest, load_manifest, verify, write_model
from ringrift_loop.network.encoding import encode_states, plane_shape
from ringrift_loop.network.export import Graph, architecture_for, export_onnx, load_network, network_from, save_model
from ringrift_loop.network.inference import open_evaluator
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.move_features import MOVE_COLUMNS, encode_moves
from traced_once import EXPORT


def _network(variant: str, *, seed: int = 3) -> RingRiftNet:
    torch.manual_seed(seed)
    net = RingRiftNet(architecture_for(variant, blocks=2, channels=16))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return net


def _save(net: RingRiftNet, folder: Path, variant: str) -> Manifest:
    return save_model(
        net,
        lambda digest: folder / digest,
        variant=variant,
        engine_version="1",
        parent=None,
        training_run="run-1",
        created_at=1.5e9,
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A folder of models with one in it; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("models")
    return folder, _save(_network("square8_3p"), folder, "square8_3p")


@pytest.fixture
def copy(saved: tuple[Path, Manifest], tmp_path: Path) -> Path:
    """A copy of the saved model's folder."""
    folder, manifest = saved
    target = tmp_path / manifest.digest
    target.mkdir()
    for name in (WEIGHTS, ONNX, MANIFEST):
        (target / name).write_bytes((folder / manifest.digest / name).read_bytes())
    return target


def test_a_model_of_the_first_encoding_is_loaded_and_plays(tmp_path: Path) -> None:
    architecture = replace(architecture_for("square8_3p", blocks=1, channels=8), encoding=1)
    net = RingRiftNet(architecture)
    manifest = _save(net, tmp_path, "square8_3p")
    assert (manifest.encoding_version, load_manifest(tmp_path / manifest.digest)) == (1, manifest)
    loaded, _ = load_network(tmp_path / manifest.digest)
    assert loaded.architecture == architecture
    planes = np.random.default_rng(2).random((2, *plane_shape(rules_for("square8_3p"))), np.float32)
    row, features = np.array([0, 1, 1]), np.zeros((3, MOVE_COLUMNS), np.int32)
    _, values = open_evaluator(tmp_path / manifest.digest).evaluate(planes, row, features)
    with torch.inference_mode():
        expected = torch.softmax(loaded(*map(torch.from_numpy, (planes, row, features))).value, 1)
    np.testing.assert_allclose(values, expected.numpy(), atol=1e-5)


def test_the_digest_of_a_model_in_eight_bits_covers_its_onnx_file(tmp_path: Path) -> None:
    net = _network("square8_3p")
    made = []
    for onnx_file in (b"one graph", b"another"):
        graph = Graph(onnx_file, "int8")
        made.append(
            save_model(net, lambda digest: tmp_path / digest, variant="square8_3p", created_at=1.0, graph=graph)
        )
    assert made[0].digest != made[1].digest
    folder = tmp_path / made[0].digest
    assert verify(folder, made[0].digest) == made[0]
    loaded, _ = load_network(folder)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), net.parameters(), strict=True))
    # Neither another file nor a manifest that calls it float32 passes under the digest.
    for name, change in (
        ("another file", {"onnx_sha256": hashlib.sha256(b"x").hexdigest()}),
        ("float32", {"precision": "float32"}),
    ):
        copied = tmp_path / name
        shutil.copytree(folder, copied)
        document = json.loads((copied / MANIFEST).read_text())
        (copied / MANIFEST).write_text(json.dumps(document | change))
        if name == "another file":
            (copied / ONNX).write_bytes(b"x")
        with pytest.raises(ModelError, match="they are not one model"):
            verify(copied)


def test_an_onnx_file_in_float32_is_not_passed_off_as_one_in_eight_bits(copy: Path) -> None:
    document = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(document | {"precision": "int8"}))
    with pytest.raises(ModelError, match="goes with an ONNX file in float32, the manifest's is"):
        verify(copy)


def test_a_manifest_of_a_program_before_eight_bits_is_read(copy: Path) -> None:
    document = json.loads((copy / MANIFEST).read_text())
    del document["precision"]
    (copy / MANIFEST).write_text(json.dumps(document))
    assert verify(copy).precision == "float32"


def test_a_saved_model_loads_with_the_same_weights(saved: tuple[Path, Manifest]) -> None:
    folder, manifest = saved
    net, loaded = load_network(folder / manifest.digest, manifest.digest)
    assert loaded == manifest
    for name, tensor in _network("square8_3p").state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)


def test_saving_the_same_weights_again_keeps_the_model_that_is_there(saved: tuple[Path, Manifest]) -> None:
    folder, manifest = saved
    names = sorted(path.name for path in folder.iterdir())
    weights = (folder / manifest.digest / WEIGHTS).read_bytes()
    graph = (folder / manifest.digest / ONNX).read_bytes()
    assert write_model(folder, manifest, weights, graph) == manifest
    assert sorted(path.name for path in folder.iterdir()) == names == [manifest.digest]


def test_a_model_that_finds_no_room_leaves_nothing_under_its_name(
    saved: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder, manifest = saved
    weights, graph = ((folder / manifest.digest / name).read_bytes() for name in (WEIGHTS, ONNX))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_model(tmp_path, manifest, weights, graph)
    assert list(tmp_path.iterdir()) == []
    write_model(tmp_path, manifest, weights, graph)  # there is room again
    assert verify(tmp_path / manifest.digest) == manifest


@pytest.fixture(scope="module")
def family(saved: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each family of boards, by how the names of its variants begin."""
    folder = tmp_path_factory.mktemp("hex")
    return {"s": saved[0] / saved[1].digest, "h": folder / _save(_network("hex8_4p"), folder, "hex8_4p").digest}


@pytest.mark.parametrize("plays", ["square8_3p", "square19_2p", "hex8_4p", "hexagonal_2p"])
def test_onnx_runtime_and_torch_agree_for_any_number_of_states_and_moves_on_every_board_of_the_family(
    plays: str, family: dict[str, Path], positions: type[Any]
) -> None:
    rules, states, moves = positions.random(plays, 9)
    backends = [open_evaluator(family[plays[0]], backend=name, plays=plays) for name in ("onnxruntime", "torch")]
    for count in (1, 2, 9):
        planes = np.empty((count, *plane_shape(rules)), np.float32)
        encode_states(rules, states[:count], planes)
        row = np.repeat(np.arange(count), [len(own) for own in moves[:count]])
        features = np.empty((len(row), MOVE_COLUMNS), np.int32)
        first = 0
        for state, own in zip(states[:count], moves[:count], strict=True):
            encode_moves(rules.core, state, rules.board.grid, own, len(own), features[first : first + len(own)])
            first += len(own)
        (logits, values), (torch_logits, torch_values) = (b.evaluate(planes, row, features) for b in backends)
        assert logits.std() > 0.01
        np.testing.assert_allclose(logits, torch_logits, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(values, torch_values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(values.sum(1), 1.0, rtol=1e-5)
        assert not values[:, rules.players :].any()


def test_the_graph_that_tests_fill_with_weights_is_what_the_exporter_makes_of_them(
    family: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _network("hex8_4p", seed=4)
    assert torch.onnx.export is not EXPORT  # conftest.py has seen to it
    filled = export_onnx(other)
    assert filled != (family["h"] / ONNX).read_bytes()
    monkeypatch.setattr(torch.onnx, "export", EXPORT)
    assert filled == export_onnx(other)


def _with_fixed_sides(folder: Path, side: int) -> None:
    """Make of the model's ONNX file what earlier programs wrote: it takes planes of one size."""
    graph = onnx.load(folder / ONNX)
    for dimension in graph.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = side
    onnx.save(graph, folder / ONNX)
    digest = hashlib.sha256((folder / ONNX).read_bytes()).hexdigest()
    document = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(document | {"onnx_sha256": digest}))


def _start_position(variant: str) -> tuple[np.ndarray[Any, Any], ...]:
    rules = rules_for(variant)
    planes = np.empty((1, *plane_shape(rules)), np.float32)
    encode_states(rules, new_states(rules, 1), planes)
    scratch = np.empty(rules.max_moves, np.int64)
    count = legal_moves(rules, new_states(rules, 1)[0], make_work(rules), scratch)
    features = np.empty((count, MOVE_COLUMNS), np.int32)
    encode_moves(rules.core, new_states(rules, 1)[0], rules.board.grid, scratch, count, features)
    return planes, np.zeros(count, np.int64), features


def test_a_file_of_fixed_sides_plays_its_own_board_and_is_exported_again_for_another(copy: Path) -> None:
    _with_fixed_sides(copy, 8)
    for plays in ("square8_3p", "square8_2p", "square19_2p"):
        batch = _start_position(plays)
        found, expected = (
            open_evaluator(copy, backend=name, plays=plays).evaluate(*batch) for name in ("onnxruntime", "torch")
        )
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)


def test_without_torch_a_file_of_fixed_sides_plays_its_own_board_alone(copy: Path) -> None:
    _with_fixed_sides(copy, 8)
    program = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path; "
        "from ringrift_loop.network.inference import open_evaluator; "
        "open_evaluator(Path(sys.argv[1]), backend='onnxruntime', plays='square8_2p'); print('opened'); "
        "open_evaluator(Path(sys.argv[1]), backend='onnxruntime', plays='square19_2p')"
    )
    said = subprocess.run([sys.executable, "-c", program, str(copy)], capture_output=True, text=True, check=False)
    assert said.stdout == "opened\n"
    last = said.stderr.splitlines()[-1]
    assert "takes planes of 8 x 8, not 19 x 19; exporting it again needs torch on this machine" in last


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_a_model_for_square_boards_is_not_opened_for_a_hex_board(backend: str, copy: Path) -> None:
    with pytest.raises(ModelError, match="of square8_3p is for square boards, hexagonal_2p is on hex boards"):
        open_evaluator(copy, backend=backend, plays="hexagonal_2p")


def test_a_state_with_a_single_move_is_evaluated(saved: tuple[Path, Manifest], positions: type[Any]) -> None:
    folder, manifest = saved
    rules, states, moves = positions.random("square8_3p", 1)
    planes = np.empty((1, *plane_shape(rules)), np.float32)
    encode_states(rules, states, planes)
    features = np.empty((1, MOVE_COLUMNS), np.int32)
    encode_moves(rules.core, states[0], rules.board.grid, moves[0], 1, features)
    logits, values = open_evaluator(folder / manifest.digest).evaluate(planes, np.zeros(1, np.int64), features)
    assert logits.shape == (1,)
    assert values.shape == (1, 4)


def test_auto_is_onnx_runtime_on_a_machine_without_a_gpu(saved: tuple[Path, Manifest]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    folder, manifest = saved
    assert open_evaluator(folder / manifest.digest).backend == "onnxruntime"
    program = (
        "import sys; from pathlib import Path; from ringrift_loop.network.inference import open_evaluator; "
        "open_evaluator(Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(folder / manifest.digest)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"  # each worker would hold its 185 MB


@pytest.mark.parametrize("name", [WEIGHTS, ONNX])
def test_one_changed_bit_is_found(name: str, copy: Path) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(ModelError, match=f"{name} has sha256"):
        open_evaluator(copy)


def test_another_model_than_the_expected_one_is_refused(copy: Path) -> None:
    with pytest.raises(ModelError, match=f"holds model .*, expected {'0' * 64}"):
        verify(copy, "0" * 64)


def _edit(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(changes)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_edit(v=2), "of version 1 was expected, got v=2"),
        (_edit(encoding_version=99), "trained with encoding 99, this program knows 1 to 2: bring it up to date"),
        (_edit(encoding_version=0), "trained with encoding 0"),
        (_edit(variant="chess"), "no variant named 'chess'"),
        (_edit(digest="../../etc"), "digest: Expected `str` matching .* got '../../etc'"),
        (_edit(parent="0" * 63 + "\n"), "parent: Expected `str` matching"),
        (_edit(created_at=10**400), "created_at: Number out of range"),
        (_edit(surprise=1), "unknown field `surprise`"),
        (_edit(created_at=True), "created_at: Expected `float`, got `bool`: True"),
        (lambda document: document.pop("parent"), "missing required field `parent`"),
        (lambda document: document["architecture"].update(blocks="2"), "blocks: Expected `int`, got `str`: '2'"),
    ],
)
def test_a_manifest_that_is_not_as_it_should_be_is_refused(
    change: Callable[[dict[str, Any]], None], complaint: str, copy: Path
) -> None:
    document = json.loads((copy / MANIFEST).read_text())
    change(document)
    (copy / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(ModelError, match=complaint):
        load_manifest(copy)


def test_a_missing_manifest_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model manifest"):
        load_manifest(tmp_path)


def test_weights_of_another_architecture_are_refused(saved: tuple[Path, Manifest]) -> None:
    folder, manifest = saved
    weights = (folder / manifest.digest / WEIGHTS).read_bytes()
    wider = architecture_for("square8_3p", blocks=2, channels=24)
    with pytest.raises(ModelError, match="b2c24 has"):
        network_from(weights, wider, "the file")
    deeper = architecture_for("square8_3p", blocks=3, channels=16)
    with pytest.raises(ModelError, match=r"missing or unknown tensors blocks\.2"):
        network_from(weights, deeper, "the file")


def test_a_manifest_that_claims_a_huge_network_is_refused_before_the_network_is_built(copy: Path) -> None:
    document = json.loads((copy / MANIFEST).read_text())
    document["architecture"] |= {"blocks": 64, "channels": 1024}  # 4.8 GB
    (copy / MANIFEST).write_text(json.dumps(document))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=r"missing or unknown tensors blocks\.10"):
        load_network(copy)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_a_network_with_a_weight_that_is_not_a_number_is_not_saved(tmp_path: Path) -> None:
    net = _network("square8_3p")
    with torch.no_grad():
        net.value.value.bias[0] = float("nan")
    with pytest.raises(ModelError, match=r"value\.value\.bias holds numbers that are not finite"):
        _save(net, tmp_path, "square8_3p")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_numbers_are_not_loaded(saved: tuple[Path, Manifest]) -> None:
    net = _network("square8_3p")
    state = net.state_dict()
    state["owner.bias"][1] = float("inf")
    with pytest.raises(ModelError, match=r"owner\.bias holds numbers that are not finite"):
        network_from(save(state), net.architecture, "the file")


@pytest.mark.parametrize("dtype", ["F4", "F8_E8M0"])
def test_weights_of_a_type_that_torch_does_not_know_are_not_loaded(dtype: str) -> None:
    net = _network("square8_3p")
    header = json.dumps({"owner.bias": {"dtype": dtype, "shape": [2], "data_offsets": [0, 1 if dtype == "F4" else 2]}})
    weights = len(header).to_bytes(8, "little") + header.encode() + bytes(1 if dtype == "F4" else 2)
    with pytest.raises(ModelError, match=f"the file does not load: it has numbers of the unknown type '{dtype}'"):
        network_from(weights, net.architecture, "the file")


def test_an_unknown_backend_is_refused(saved: tuple[Path, Manifest]) -> None:
    with pytest.raises(ValueError, match="backend must be one of auto, onnxruntime, torch, got 'tensorrt'"):
        open_evaluator(saved[0], backend="tensorrt")
