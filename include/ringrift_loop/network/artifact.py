"""A model on disk: one folder named after its digest, checked before anything in it is used.

    <digest>/model.safetensors   the weights; the digest is this file's sha256
    <digest>/model.onnx          the same for ONNX Runtime (export.py), its convolutions perhaps in int8 (quantize.py)
    <digest>/manifest.json       what it is, and the sha256 of both

An ONNX file in float32 follows from the weights. One in int8 does not, so the header of the weights file names its
sha256: the digest covers what plays.

Nothing here needs torch, so that self-play hosts can check and play a model without it. No file is ever unpickled. A
model that does not fit its manifest is an error; there is no fallback.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from ringrift_loop.checked_json import Digest, Document, File, Number, parse
from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.rules import VARIANTS, variant
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.machine.files import open_plain, rename_durably, write_whole
from ringrift_loop.network.encoding import ENCODING_VERSION

WEIGHTS: Final = "model.safetensors"
ONNX: Final = "model.onnx"
MANIFEST: Final = "manifest.json"
NAMES_GRAPH: Final = "onnx_sha256"
"""Key of the weights file's metadata."""
MAX_FILE_BYTES: Final = 1 << 30
_MAX_MANIFEST_BYTES = 1 << 16


Precision = Literal["float32", "int8"]


class ArchitectureRecord(Document, frozen=True):
    """The architecture as the manifest states it; model.py makes a network of it."""

    name: str
    blocks: int
    channels: int
    is_hex: bool


class Manifest(File, frozen=True, kw_only=True):
    """What a model is and where it came from."""

    digest: Digest
    """sha256 of the weights file."""
    onnx_sha256: Digest
    variant: str
    architecture: ArchitectureRecord
    encoding_version: int
    engine_version: str
    parent: Digest | None
    """Digest of the model that training started from."""
    training_run: str | None
    created_at: Number
    """UTC seconds since the epoch."""
    precision: Precision = "float32"
    """Of the ONNX file's convolutions."""

    def side_of(self, plays: str | None) -> int:
        """Side of the planes of the variant that the model is to play, by default its own.

        Raises:
            ModelError: the model is for the other family of boards: a kernel sees other neighbours there.
        """
        board = board_for(variant(plays or self.variant).board)
        if board.is_hex != self.architecture.is_hex:
            kinds = {False: "square boards", True: "hex boards"}
            raise ModelError(
                f"model {self.digest} of {self.variant} is for {kinds[self.architecture.is_hex]}, "
                f"{plays or self.variant} is on {kinds[board.is_hex]}"
            )
        return board.side


class _WeightsHeader(msgspec.Struct):
    """What matters here of a safetensors file's header."""

    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def load_manifest(folder: Path) -> Manifest:
    """Read a model's manifest.

    Raises:
        ModelError: it is missing, malformed, of an unknown version, or for an encoding that this program does not know.
    """
    path = folder / MANIFEST
    try:
        with open_plain(path) as file:
            raw = file.read(_MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"no model manifest at {path}: {error.strerror or error}") from error
    if len(raw) > _MAX_MANIFEST_BYTES:
        raise ModelError(f"{path} is larger than {_MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = parse(raw, Manifest, f"the manifest {path}")
    except DataError as error:
        raise ModelError(str(error)) from error
    if manifest.variant not in VARIANTS:
        raise ModelError(f"{path}: no variant named {manifest.variant[:40]!r}")
    if not 1 <= manifest.encoding_version <= ENCODING_VERSION:
        raise ModelError(
            f"{path}: the model was trained with encoding {manifest.encoding_version}, "
            f"this program knows 1 to {ENCODING_VERSION}: bring it up to date, or train a new model"
        )
    return manifest


def verify(folder: Path, expected_digest: str | None = None) -> Manifest:
    """Read a model's manifest and check both files against it.

    Args:
        folder: the model's folder.
        expected_digest: the digest that the caller asked for, if it did.

    Raises:
        ModelError: a file is missing, too large, or not what the manifest says; or it is another model.
    """
    manifest = load_manifest(folder)
    if expected_digest is not None and manifest.digest != expected_digest:
        raise ModelError(f"{folder} holds model {manifest.digest}, expected {expected_digest}")
    weights = read_checked(folder / WEIGHTS)
    for name, data, expected in (
        (WEIGHTS, weights, manifest.digest),
        (ONNX, read_checked(folder / ONNX), manifest.onnx_sha256),
    ):
        found = hashlib.sha256(data).hexdigest()
        if found != expected:
            raise ModelError(f"{folder / name} has sha256 {found}, its manifest says {expected}")
    covered = manifest.onnx_sha256 if manifest.precision == "int8" else None
    if (named := named_graph(weights)) != covered:
        raise ModelError(
            f"{folder / WEIGHTS} goes with an ONNX file {named or 'in float32'}, the manifest's is "
            f"{covered or 'in float32'}: they are not one model"
        )
    return manifest


def named_graph(weights: bytes) -> str | None:
    """The sha256 of the one ONNX file that a weights file goes with; None when it is made of the weights alone."""
    size = int.from_bytes(weights[:8], "little")
    try:
        header = msgspec.json.decode(weights[8 : 8 + size], type=_WeightsHeader)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # no weights: loading them says so
    return header.metadata.get(NAMES_GRAPH)


def read_checked(path: Path) -> bytes:
    """Return the bytes of a model's file, at most MAX_FILE_BYTES; raises ModelError if missing or larger."""
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise ModelError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
            return file.read()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def write_model(models_folder: Path, manifest: Manifest, weights: bytes, onnx: bytes) -> Manifest:
    """Write a model's folder, all or nothing; return its manifest, the old one if the same weights stand there already.

    Args:
        models_folder: where models lie; made if missing.
        manifest: with the digests of both files.
        weights: bytes of the safetensors file.
        onnx: bytes of the ONNX file.
    """
    for data, expected in ((weights, manifest.digest), (onnx, manifest.onnx_sha256)):
        assert hashlib.sha256(data).hexdigest() == expected, "the manifest is not of these files"
    folder = models_folder / manifest.digest
    if folder.exists():
        return verify(folder, manifest.digest)
    with _temporary_folder(models_folder) as temporary:
        write_whole(temporary / WEIGHTS, weights)
        write_whole(temporary / ONNX, onnx)
        write_whole(temporary / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        rename_durably(temporary, folder)
    return manifest


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder that is gone afterwards, unless it was renamed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
