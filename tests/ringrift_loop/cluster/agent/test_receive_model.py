"""A model arrives whole or not at all, and goes on where it was cut."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from ringrift_loop.checked_json import parse
from ringrift_loop.cluster.agent.receive_model import model_status, receive_model
from ringrift_loop.cluster.agent.requests import FILES, FilePart, ModelStream
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


def push(host: HostDirectory, files: dict[str, bytes], offsets: dict[str, int], cut: int | None = None) -> int:
    """Send what comes after the offsets, all of it or so many bytes; returns how many those were."""
    parts = {name: FilePart(offsets.get(name, 0), len(files[name])) for name in FILES}
    content = b"".join(files[name][parts[name].offset :] for name in FILES)[:cut]
    receive_model(host, ModelStream(DIGEST, parts), io.BytesIO(content))
    return len(content)


def test_a_model_is_put_into_place_and_a_second_push_changes_nothing(
    host: HostDirectory, files: dict[str, bytes]
) -> None:
    push(host, files, {})
    assert verify(host.model(DIGEST), DIGEST).variant == "hex8_2p"
    assert model_status(host, DIGEST).present
    push(host, files, {}, cut=0)


@pytest.mark.parametrize("cut", [0, 10, 200, 500_000, 2_048_300])
def test_a_stream_that_ends_early_is_resumed_from_what_arrived(
    host: HostDirectory, files: dict[str, bytes], cut: int
) -> None:
    with pytest.raises(DataError):
        push(host, files, {}, cut)
    status = model_status(host, DIGEST)
    assert not status.present
    assert not host.model(DIGEST).exists()
    rest = push(host, files, dict(status.staged))
    assert verify(host.model(DIGEST), DIGEST).digest == DIGEST
    assert rest == sum(map(len, files.values())) - cut


def test_wrong_bytes_are_refused_and_the_next_push_begins_anew(host: HostDirectory, files: dict[str, bytes]) -> None:
    wrong = files | {"model.onnx": b"0nnx"}
    with pytest.raises(ModelError, match="its manifest says"):
        push(host, wrong, {})
    assert not host.model(DIGEST).exists()
    assert model_status(host, DIGEST).staged == {}


def test_a_damaged_model_is_replaced(host: HostDirectory, files: dict[str, bytes]) -> None:
    push(host, files, {})
    (host.model(DIGEST) / "model.onnx").write_bytes(b"torn")
    assert not model_status(host, DIGEST).present
    push(host, files, {})
    assert model_status(host, DIGEST).present


@pytest.mark.parametrize(
    "files",
    [
        "{}",
        '{"model.onnx": [0, 1]}',
        '{"manifest.json": [0, 1], "model.safetensors": [2, 1], "model.onnx": [0, 1]}',
        '{"manifest.json": [0, 1], "../x": [0, 1], "model.onnx": [0, 1]}',
        '{"manifest.json": [0, 2000000000], "model.safetensors": [0, 1], "model.onnx": [0, 1]}',
    ],
)
def test_a_stream_of_other_files_is_refused(files: str) -> None:
    with pytest.raises(DataError, match="a stream"):
        parse(f'{{"digest": "{DIGEST}", "files": {files}}}', ModelStream, "a stream")


def test_a_gap_is_never_written(host: HostDirectory, files: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match="but only 0 are here"):
        push(host, files, {"model.safetensors": 1000})
