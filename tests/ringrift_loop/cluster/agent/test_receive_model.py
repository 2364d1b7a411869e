"""A model arrives whole or not at all, and goes on where it was cut."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from ringrift_loop.cluster.agent.receive_model import FILES, header, model_status, receive_model
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.network.artifact import verify
from samples import byte_model

WEIGHTS = bytes(range(256)) * 8_000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """The model as it lies on the coordinator."""
    byte_model(tmp_path / "models", WEIGHTS, "hex8_2p")
    return {name: (tmp_path / "models" / DIGEST / name).read_bytes() for name in FILES}


@pytest.fixture
def host(tmp_path: Path) -> HostDirectory:
    return HostDirectory(tmp_path / "host")


def stream(files: dict[str, bytes], offsets: dict[str, int] | None = None) -> bytes:
    offsets = {name: (offsets or {}).get(name, 0) for name in FILES}
    head = header(offsets, {name: len(data) for name, data in files.items()})
    return head + b"".join(files[name][offsets[name] :] for name in FILES)


def test_a_model_is_put_into_place_and_a_second_push_changes_nothing(
    host: HostDirectory, files: dict[str, bytes]
) -> None:
    receive_model(host, DIGEST, io.BytesIO(stream(files)))
    assert verify(host.model(DIGEST), DIGEST).variant == "hex8_2p"
    assert model_status(host, DIGEST).present
    receive_model(host, DIGEST, io.BytesIO(b"never read"))


@pytest.mark.parametrize("cut", [0, 10, 200, 500_000, 2_048_300])
def test_a_stream_that_ends_early_is_resumed_from_what_arrived(
    host: HostDirectory, files: dict[str, bytes], cut: int
) -> None:
    whole = stream(files)
    with pytest.raises(DataError):
        receive_model(host, DIGEST, io.BytesIO(whole[:cut]))
    status = model_status(host, DIGEST)
    assert not status.present
    assert not host.model(DIGEST).exists()
    rest = stream(files, dict(status.staged))
    receive_model(host, DIGEST, io.BytesIO(rest))
    assert verify(host.model(DIGEST), DIGEST).digest == DIGEST
    assert len(rest) <= len(whole) - sum(status.staged.values()) + 40


def test_wrong_bytes_are_refused_and_the_next_push_begins_anew(host: HostDirectory, files: dict[str, bytes]) -> None:
    wrong = files | {"model.onnx": b"0nnx"}
    with pytest.raises(ModelError, match="its manifest says"):
        receive_model(host, DIGEST, io.BytesIO(stream(wrong)))
    assert not host.model(DIGEST).exists()
    assert model_status(host, DIGEST).staged == {}


def test_a_damaged_model_is_replaced(host: HostDirectory, files: dict[str, bytes]) -> None:
    receive_model(host, DIGEST, io.BytesIO(stream(files)))
    (host.model(DIGEST) / "model.onnx").write_bytes(b"torn")
    assert not model_status(host, DIGEST).present
    receive_model(host, DIGEST, io.BytesIO(stream(files)))
    assert model_status(host, DIGEST).present


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json\n",
        b'{"model.onnx": [0, 1]}\n',
        b'{"manifest.json": [0, 1], "model.safetensors": [2, 1], "model.onnx": [0, 1]}\n',
        b'{"manifest.json": [0, 1], "../x": [0, 1], "model.onnx": [0, 1]}\n',
        b'{"manifest.json": [0, 2000000000], "model.safetensors": [0, 1], "model.onnx": [0, 1]}\n',
    ],
)
def test_a_malformed_header_is_refused(host: HostDirectory, line: bytes) -> None:
    with pytest.raises(DataError, match="the stream starts with the files"):
        receive_model(host, DIGEST, io.BytesIO(line))


def test_a_gap_is_never_written(host: HostDirectory, files: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match="but only 0 are here"):
        receive_model(host, DIGEST, io.BytesIO(stream(files, {"model.safetensors": 1000})))
