"""A bundle: all that a training needs, in one folder that can be sent to another machine.

    bundle.json          what is to be done, and size and sha256 of every other file (`Bundle`)
    window/              the replay window (window.py)
    start.safetensors    the weights to start from; none when training starts from random ones

prepare.py writes bundles, run_bundle.py trains from them.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from ringrift_loop.checked_json import Count, Document, Number, Sentence, parse, parse_exactly
from ringrift_loop.config.convert import convert
from ringrift_loop.config.leaves import leaves
from ringrift_loop.config.schema import Training
from ringrift_loop.config.source import Located
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import ConfigError, DataError
from ringrift_loop.machine.files import read_plain, rename_durably, write_json
from ringrift_loop.network.encoding import ENCODING_VERSION
from ringrift_loop.training.report import WindowFigures
from ringrift_loop.training.schedule import Schedule
from ringrift_loop.training.targets import TargetStatistics
from ringrift_loop.training.window import MANIFEST as WINDOW_MANIFEST
from ringrift_loop.training.window import Window

FORMAT_VERSION = 2
MANIFEST = "bundle.json"
WINDOW = "window"
START = "start.safetensors"
MAX_BUNDLE_BYTES = 64 << 30
"""Above this the window is too large to be sent about: a wrong `training.window_rows_max`."""
_MAX_MANIFEST_BYTES = 1 << 18
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BundleFile(Document, frozen=True):
    """One file of a bundle."""

    path: Sentence
    """Within the folder."""
    sha256: Sentence
    bytes: Count


class _Head(msgspec.Struct):
    v: object = None


class Bundle(Document, frozen=True):
    """What `bundle.json` says."""

    v: int
    request: Sentence
    """Digest of what was asked for: run, start, window and settings. A bundle that answers it is kept on a retry."""
    identity: Sentence
    """Digest of everything that decides the result; checkpoints and outcomes carry it."""
    run_id: Sentence
    variant: Sentence
    engine_version: Sentence
    encoding_version: Count
    parent: Sentence | None
    """Digest of the weights to start from; None for random ones."""
    parent_encoding: Count
    """Version of their encoding: a network of an earlier one gets the other inputs when training begins."""
    start: Sentence
    """Why those, in words."""
    seed: Count
    settings: Training
    schedule: Schedule
    window: WindowFigures
    targets: TargetStatistics
    created_at: Number
    files: Annotated[tuple[BundleFile, ...], Meta(max_length=64)]

    @property
    def num_bytes(self) -> int:
        """Size of all its files but the manifest."""
        return sum(file.bytes for file in self.files)


def describe_files(folder: Path) -> tuple[BundleFile, ...]:
    """Size and digest of the files of a bundle that is being made, each of them on the disk afterwards."""
    found = []
    for path in sorted((*(folder / WINDOW).iterdir(), folder / START)):
        if path.exists():
            found.append(_described(path, str(path.relative_to(folder))))
    return tuple(found)


def seal_bundle(staging: Path, bundle: Bundle, folder: Path) -> None:
    """Give a staged bundle its manifest and then its name; the folder must not exist.

    Raises:
        DataError: it is too large.
    """
    if bundle.num_bytes > MAX_BUNDLE_BYTES:
        raise DataError(
            f"the bundle of training run {bundle.run_id} has {bundle.num_bytes} bytes, at most {MAX_BUNDLE_BYTES} are "
            "allowed; lower training.window_rows_max"
        )
    write_json(staging / MANIFEST, bundle.as_json())
    rename_durably(staging, folder)


def read_bundle(folder: Path) -> Bundle:
    """What a bundle says, with its files' names and sizes checked, but not yet their digests (`verify_bundle`).

    Raises:
        DataError: it is missing, malformed, incomplete, of another version, or for another engine or encoder.
    """
    path = folder / MANIFEST
    raw = read_plain(path, _MAX_MANIFEST_BYTES)
    version = parse(raw, _Head, str(path)).v
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path} is not a bundle of version {FORMAT_VERSION} (v is {version!r:.40}); "
            "install the coordinator's version of ringrift-loop here"
        )
    bundle = parse_exactly(raw, Bundle, str(path))
    _check_settings(bundle.settings, path)
    if bundle.variant not in VARIANTS:
        raise DataError(f"{path}: no variant named {bundle.variant[:40]!r}")
    theirs, ours = (bundle.engine_version, bundle.encoding_version), (ENGINE_VERSION, ENCODING_VERSION)
    if theirs != ours:
        raise DataError(
            f"{path} is for engine {theirs[0]} and encoding {theirs[1]}, this program has {ours[0]} and {ours[1]}; "
            "install the coordinator's version of ringrift-loop here"
        )
    if not 1 <= bundle.parent_encoding <= ENCODING_VERSION:
        raise DataError(
            f"{path}: parent_encoding must be 1..{ENCODING_VERSION}, got {bundle.parent_encoding}; "
            "send the bundle again"
        )
    _check_files(folder, bundle)
    return bundle


def verify_bundle(folder: Path, bundle: Bundle) -> None:
    """Check every file's digest.

    Raises:
        DataError: a file is not what the manifest says.
    """
    for file in bundle.files:
        found = _described(folder / file.path, file.path)
        if found != file:
            raise DataError(
                f"{folder / file.path} has {found.bytes} bytes and sha256 {found.sha256}, the manifest says "
                f"{file.bytes} and {file.sha256}; send the bundle again"
            )


def _check_settings(settings: Training, path: Path) -> None:
    values = {f"training.{name}": value for name, value in asdict(settings).items() if name != "loss"}
    values |= {f"training.loss.{name}": value for name, value in asdict(settings.loss).items()}
    try:
        for name, value in values.items():
            convert(leaves()[name], Located(value, str(path)))
        settings.check()
        settings.loss.check()
    except ConfigError as error:
        raise DataError(str(error)) from error


def _check_files(folder: Path, bundle: Bundle) -> None:
    expected = {f"{WINDOW}/{field.name}.npy" for field in fields(Window)}
    expected |= {f"{WINDOW}/{WINDOW_MANIFEST}", f"{WINDOW}/lost.txt"}
    digests = {file.path: file.sha256 for file in bundle.files}
    if bundle.parent is not None:
        expected.add(START)
        if digests.get(START) != bundle.parent or not _DIGEST.fullmatch(bundle.parent):
            raise DataError(f"{folder / START} is not the model {bundle.parent[:80]!r} to start from")
    if digests.keys() != expected or len(digests) != len(bundle.files):
        wrong = ", ".join(sorted(digests.keys() ^ expected))
        raise DataError(f"{folder / MANIFEST}: missing, unknown or duplicate files {wrong[:300]}")
    for file in bundle.files:
        path = folder / file.path
        if not path.is_file() or path.is_symlink() or path.stat().st_size != file.bytes:
            raise DataError(f"{path} is missing or does not have the manifest's {file.bytes} bytes; send it again")


def _described(path: Path, name: str) -> BundleFile:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return BundleFile(name, digest, os.fstat(file.fileno()).st_size)
