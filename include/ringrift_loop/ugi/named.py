"""Whom a person means: a baseline, `champion`, a model's digest or its first digits, or a model's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import ConfigError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.network.artifact import load_manifest
from ringrift_loop.tournament.players import BASELINES

_DIGITS = re.compile(r"[0-9a-f]{4,64}")
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class NamedPlayer:
    """Whom a text names."""

    spec: str
    """As `make_player` takes it."""
    variant: str | None = None
    """What the model plays; None for a baseline, which plays all."""


def named_player(text: str, variant: str, directory: RunDirectory) -> NamedPlayer:
    """The player that a person's text names.

    Args:
        text: what a person wrote.
        variant: whose champion `champion` is.
        directory: the run directory where models and champions are looked up.

    Raises:
        ConfigError, LedgerError: there is no such player.
        ModelError: what is named is no model that this program can use.
    """
    name, colon, other = text.partition(":")
    if name == "champion":
        wanted = other if colon else variant
        return NamedPlayer(_champion(wanted, directory), wanted)
    if text.partition("@")[0] in BASELINES or text.startswith("mcts-"):
        return NamedPlayer(text)
    if Path(text).is_dir():
        return NamedPlayer(text, load_manifest(Path(text)).variant)
    if _DIGITS.fullmatch(text):
        digest = _model(text, directory)
        return NamedPlayer(digest, load_manifest(directory.model(digest)).variant)
    raise ConfigError(
        f"a player is one of {', '.join(BASELINES)}, champion, champion:VARIANT, a model's digest or the first digits "
        f"of it (4 or more), or a model's folder, got {text!r}"
    )


def _champion(variant: str, directory: RunDirectory) -> str:
    if variant not in VARIANTS:
        raise ConfigError(f"no variant named {variant!r}; the variants are {', '.join(VARIANTS)}")
    # SQLAlchemy takes a fifth of the start, and only this needs it.
    from sqlalchemy.engine import make_url

    from ringrift_loop.ledger import promotions
    from ringrift_loop.ledger.database import Ledger
    from ringrift_loop.ledger.migrate import check_current

    url = make_url(directory.ledger_url)
    # Opening SQLite makes the file; a wrong folder stays as it is.
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise ConfigError(f"no ledger at {url.database}: {directory.root} is not the run directory of a loop")
    ledger = Ledger.open(directory.ledger_url)
    try:
        check_current(ledger)
        with ledger.read() as conn:
            champions = promotions.all_champions(conn)
    finally:
        ledger.close()
    if variant not in champions:
        raise ConfigError(f"{variant} has no champion; the variants with one are {', '.join(champions) or 'none yet'}")
    return champions[variant].model_digest


def _model(digits: str, directory: RunDirectory) -> str:
    folder = directory.model("0" * 64).parent
    found = sorted(path.name for path in folder.glob(f"{digits}*") if path.is_dir())
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(f"no model in {folder} has a digest that begins with {digits}")
    shown = ", ".join(name[: max(_SHOWN_DIGITS, len(digits) + 4)] for name in found[:5])
    raise ConfigError(f"{len(found)} models in {folder} have a digest that begins with {digits}: {shown}")
