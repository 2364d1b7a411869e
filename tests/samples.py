"""Models and games for tests that care for the way of a file or a record, not for what it is worth."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from ringrift_loop.engine.game import Game
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.network.artifact import ArchitectureRecord, Manifest, write_model
from ringrift_loop.network.encoding import ENCODING_VERSION


def byte_model(
    models: Path,
    weights: bytes,
    variant: str = "square8_2p",
    *,
    onnx: bytes = b"onnx",
    architecture: ArchitectureRecord | None = None,
) -> str:
    """A model of arbitrary bytes, whole by its digests, below the folder `models`; returns its digest."""
    digest = hashlib.sha256(weights).hexdigest()
    manifest = Manifest(
        digest=digest,
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
        variant=variant,
        architecture=architecture or ArchitectureRecord("test", 1, 1, variant.startswith("hex")),
        encoding_version=ENCODING_VERSION,
        engine_version=ENGINE_VERSION,
        parent=None,
        training_run=None,
        created_at=1.0,
    )
    write_model(models, manifest, weights, onnx)
    return digest


def random_game(seed: int, variant: str = "square8_2p") -> Game:
    """A game to its end, by moves chosen at random."""
    rng = random.Random(seed)
    game = Game(variant)
    while not game.is_over:
        game.play(rng.choice(game.legal()))
    return game
