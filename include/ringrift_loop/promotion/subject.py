"""The model under test: named by digest, by `champion` or by its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.errors import ConfigError, GateError
from ringrift_loop.ledger import models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import load_manifest
from ringrift_loop.search.settings import SearchSettings
from ringrift_loop.tournament.participants import DIGEST, evaluation_search, model_participant

CHAMPION = "champion"


@dataclass(frozen=True)
class Subject:
    """One model in one variant."""

    variant: str
    digest: str
    folder: Path
    search: SearchSettings
    """What it plays with."""
    registered: bool
    """Whether the ledger knows it, so that its games may join the match log."""

    @property
    def participant(self) -> str:
        """Its participant id."""
        return model_participant(self.digest, self.variant, self.search).id


def subject_of(loop: Loop, model: str, variant: str) -> Subject:
    """Return the model that a person or a task named.

    Args:
        loop: the loop.
        model: `champion`, a digest or an unambiguous beginning of one (8 characters or more), or the path of a model
            folder or of a file in it.
        variant: the variant it is to be judged in.

    Raises:
        ConfigError: the text names no model, or one that is registered for another variant.
        GateError: `champion`, and the variant has none.
        ModelError: a folder without a manifest.
    """
    path = Path(model)
    if model != CHAMPION and path.exists():
        folder = (path if path.is_dir() else path.parent).resolve()
        digest = load_manifest(folder).digest
    else:
        digest = _digest_of(loop, model, variant)
        folder = loop.directory.model(digest)
    with loop.ledger.read() as conn:
        row = models.get(conn, digest)
    if row is not None and row.variant != variant:
        raise ConfigError(f"the model {digest} is of {row.variant}, not of {variant}")
    return Subject(variant, digest, folder, evaluation_search(loop.config), row is not None)


def _digest_of(loop: Loop, model: str, variant: str) -> str:
    with loop.ledger.read() as conn:
        if model == CHAMPION:
            champion = promotions.champion(conn, variant)
            if champion is None:
                raise GateError(f"{variant} has no champion yet; name a model by its digest or folder")
            return champion.model_digest
        if DIGEST.fullmatch(model):
            return model
        known = [row.digest for row in models.all_models(conn, variant) if row.digest.startswith(model)]
    if len(model) >= 8 and len(known) == 1:
        return known[0]
    found = f"{len(known)} models of {variant} begin with it" if known else f"no model of {variant} begins with it"
    raise ConfigError(f"a model is `champion`, a digest (8 characters or more) or a folder, got {model!r}; {found}")
