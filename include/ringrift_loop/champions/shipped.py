"""The champions that come with the package, a folder for each variant, and a run that begins with them or from nothing.

What a run begins with is decided once, at its first start, and kept in its ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ringrift_loop.champions.card import CARD, Card, read_card
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import ConfigError
from ringrift_loop.ledger import models, promotions, state
from ringrift_loop.loop import Loop

if TYPE_CHECKING:
    from ringrift_loop.champions.exchange import Imported

ORIGIN = "the package"
FIRST_MODELS = "first_models"
"""Key of what a run begins with: `shipped` or `none`."""
SHIPPED, NONE = "shipped", "none"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Beginning:
    """What a run began with."""

    choice: str
    """SHIPPED or NONE."""
    imported: tuple[Imported, ...]
    """By this call."""


def shipped_folder(variant: str, folder: Path = _FOLDER) -> Path | None:
    """Where the variant's shipped champion lies; None if it has none."""
    own = folder / variant
    return own if (own / CARD).is_file() else None


def shipped_cards() -> dict[str, Card]:
    """The cards of all shipped champions, by variant.

    Raises:
        DataError, ModelError: a card is damaged.
    """
    found = {name: shipped_folder(name) for name in VARIANT_NAMES}
    return {name: read_card(own) for name, own in found.items() if own is not None}


def begin(loop: Loop, *, fresh: bool = False, folder: Path = _FOLDER) -> Beginning:
    """Let a run begin with the shipped champions, or from nothing; what was decided before stays.

    A variant that has a model already, or no shipped champion, is left as it is. Variants that the configuration gets
    later begin as the run did.

    Args:
        loop: the loop.
        fresh: begin from nothing.
        folder: where the champions lie.

    Raises:
        ConfigError: `fresh`, and the run has begun with shipped champions.
        DataError, ModelError: a shipped champion is damaged.
    """
    with loop.ledger.begin() as conn:
        choice = state.get(conn, FIRST_MODELS)
        if choice == SHIPPED and fresh:
            raise ConfigError(
                f"{loop.directory.root} began with the shipped champions, FRESH=1 begins from nothing: give it a run "
                "directory of its own, such as make run FRESH=1 RINGRIFT_HOME=$PWD/run-fresh"
            )
        if choice not in (SHIPPED, NONE):
            choice = NONE if fresh else SHIPPED
            state.put(conn, FIRST_MODELS, choice, at=loop.clock())
    if choice == NONE:
        return Beginning(NONE, ())
    return Beginning(SHIPPED, tuple(_import_missing(loop, loop.config.variants, folder)))


def _import_missing(loop: Loop, variants: Sequence[str], folder: Path) -> list[Imported]:
    imported: list[Imported] = []
    for variant in variants:
        own = shipped_folder(variant, folder)
        with loop.ledger.read() as conn:
            has_own = promotions.champion(conn, variant) is not None or models.latest(conn, variant) is not None
        if own is not None and not has_own:
            # With torch, which neither the doctor nor a run that has begun needs.
            from ringrift_loop.champions.exchange import import_model

            imported.append(import_model(loop, own, ORIGIN))
    return imported
