"""A model that travels: its weights, and a card with all that is known of it.

    model.safetensors   the weights; their sha256 is the model's digest
    card.json           `Card`

The ONNX file is not among them: whoever takes the model in makes it from the weights (`exchange.py`), so that nobody
runs a graph from elsewhere, and the folder is no larger than it has to be.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ringrift_loop.checked_json import Count, Digest, Document, File, Number, VariantName, clean_fields, parse
from ringrift_loop.engine.board import board_for
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import DataError, ModelError
from ringrift_loop.machine.files import read_plain
from ringrift_loop.network.artifact import WEIGHTS, ArchitectureRecord
from ringrift_loop.network.encoding import ENCODING_VERSION

CARD: Final = "card.json"
LICENCE: Final = "Apache-2.0"
MOST_WEIGHTS_BYTES: Final = 1 << 28
_MAX_CARD_BYTES = 1 << 18
_MAX_ANCESTORS = 256
_MAX_MEASURED = 64
_TEXT = 200

Share = Annotated[float, Meta(ge=0, le=1)]


class Step(Document, frozen=True, kw_only=True):
    """One training of a lineage, as far as it is known."""

    digest: Digest
    """What came of it."""
    variant: VariantName
    training_run: str | None = None
    created_at: Number | None = None
    """UTC seconds."""
    games: Count | None = None
    """Games that it was the first to learn from."""
    window_games: Count | None = None
    """Games of its replay window."""
    rows: Count | None = None
    steps: Count | None = None
    samples: Count | None = None
    seconds: Number | None = None
    """In the training loop."""
    policy_loss: Number | None = None
    """On validation rows, nats above the targets' entropy."""
    value_loss: Number | None = None

    def __post_init__(self) -> None:
        clean_fields(self, "training_run", limit=_TEXT)


class Measured(Document, frozen=True, kw_only=True):
    """Games against a baseline, the model in every seat equally often, the baseline in all others."""

    opponent: str
    search: str
    """Identity of the search that the model played with."""
    games: Count
    share: Share
    """Of the wins."""
    low: Share
    """95 % interval, from blocks of games with the same opening."""
    high: Share

    def __post_init__(self) -> None:
        clean_fields(self, "opponent", "search", limit=_TEXT)


class Card(File, frozen=True, kw_only=True):
    """What is known of a model that travels."""

    digest: Digest
    variant: VariantName
    architecture: ArchitectureRecord
    encoding_version: int
    engine_version: str
    created_at: Number
    """UTC seconds."""
    licence: str
    source: str
    """The program that exported it."""
    lineage: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=_MAX_ANCESTORS)]
    """The model's own training, then that of the model it started from, and so on."""
    measured: Annotated[tuple[Measured, ...], Meta(max_length=_MAX_MEASURED)] = ()

    def __post_init__(self) -> None:
        clean_fields(self, "engine_version", "licence", "source", limit=_TEXT)

    @property
    def parent(self) -> str | None:
        """Digest of the model that training started from; None if that was random weights, or is not known."""
        return self.lineage[1].digest if len(self.lineage) > 1 else None


def card_bytes(card: Card) -> bytes:
    """The card as its file holds it."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"


def read_card(folder: Path) -> Card:
    """Read the card of a folder that may be anybody's.

    Raises:
        DataError: it is missing, malformed, or of an unknown version.
        ModelError: it describes a model that this program cannot play.
    """
    path = folder / CARD
    card = parse(_read(path, _MAX_CARD_BYTES), Card, f"the model card {path}")
    known = VARIANTS.get(card.variant)
    if known is None:
        raise ModelError(f"{path}: no variant named {card.variant!r}; the variants are {', '.join(VARIANTS)}")
    if card.architecture.is_hex != board_for(known.board).is_hex:
        raise ModelError(f"{path}: {card.architecture.name[:40]!r} is no network for {card.variant}")
    if not 1 <= card.encoding_version <= ENCODING_VERSION:
        raise ModelError(
            f"{path}: the model was trained with encoding {card.encoding_version}, this program knows 1 to "
            f"{ENCODING_VERSION}: bring it up to date"
        )
    if card.lineage[0].digest != card.digest:
        raise DataError(f"{path}: the lineage must begin with the model itself, got {card.lineage[0].digest}")
    return card


def read_weights(folder: Path, card: Card, max_bytes: int) -> bytes:
    """Read the weights of a folder that may be anybody's.

    Raises:
        DataError: they are missing, larger than a network of the card's architecture, or not what the card says.
    """
    path = folder / WEIGHTS
    weights = _read(path, max_bytes)
    found = hashlib.sha256(weights).hexdigest()
    if found != card.digest:
        raise DataError(f"{path} has sha256 {found}, its card says {card.digest}")
    return weights


def _read(path: Path, max_bytes: int) -> bytes:
    """A plain file in a folder that is no link."""
    if path.parent.is_symlink():
        raise DataError(f"{path.parent} is a symbolic link; name the folder itself")
    return read_plain(path, max_bytes)
