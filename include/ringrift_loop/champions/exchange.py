"""Models out of a loop and into another: what comes from elsewhere is checked as if it were hostile.

An imported model becomes the champion of a variant that has none, and is a candidate like any other where there is one:
the gates decide. Nothing that is there is overwritten.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from ringrift_loop import __version__
from ringrift_loop.champions.card import CARD, LICENCE, Card, Measured, Step, card_bytes, read_card, read_weights
from ringrift_loop.champions.own_games import batches_of, evenly, own_games
from ringrift_loop.checked_json import convert
from ringrift_loop.engine.rules import rules_for
from ringrift_loop.engine.warmup import compile_kernels
from ringrift_loop.errors import ConfigError, DataError, ModelError
from ringrift_loop.json_value import JsonValue
from ringrift_loop.ledger import matches, models, training
from ringrift_loop.loop import Loop
from ringrift_loop.machine.files import rename_durably
from ringrift_loop.network.artifact import WEIGHTS, Manifest, load_manifest, verify
from ringrift_loop.network.comparison import compare_backends
from ringrift_loop.network.export import export_onnx, load_network, network_from, save_model, tensors_of, weights_file
from ringrift_loop.network.inference import open_session
from ringrift_loop.network.model import Architecture, RingRiftNet
from ringrift_loop.promotion.games import PURPOSE as GATE
from ringrift_loop.promotion.promote import IMPORTED, promote_imported
from ringrift_loop.promotion.subject import Subject
from ringrift_loop.ratings.blocks import win_share
from ringrift_loop.selfplay.warmup import compile_selfplay_kernels
from ringrift_loop.tournament.participants import HEURISTIC, RANDOM, baseline_id
from ringrift_loop.training.precision import BATCH, CALIBRATED, CHECKED, choose_precision

_log = logging.getLogger(__name__)

ORIGIN = "imported"
"""Key of the ledger's record of a model that came from elsewhere: its card, and where it came from."""
_HEADER_BYTES = 1 << 20
"""Allowed to a weights file beside its numbers."""
_MOST_ANCESTORS = 256


@dataclass(frozen=True)
class Imported:
    """What became of a model from elsewhere."""

    variant: str
    digest: str
    """Here: a model that plays in eight bits has another one than its card."""
    generation: int
    """Of the variant's models here."""
    is_champion: bool
    was_known: bool
    """It was registered before, and nothing was changed but the champion of a variant without one."""


def import_model(loop: Loop, folder: Path, origin: str) -> Imported:
    """Take in a model from a folder that `export_model` has written, anywhere.

    Of the folder only the card and the weights are read; manifest and ONNX file are made here, the latter in eight bits
    as a candidate's: a model that was imported before is not made again.

    Args:
        loop: the loop; it may be running.
        folder: may be anybody's.
        origin: where it came from, for people.

    Raises:
        DataError: files are missing, malformed, too large, links, or not what the card says.
        ModelError: the weights are no network of the card's architecture, or this program cannot play it.
        LedgerError: the digest is registered for another variant.
    """
    card = read_card(folder)
    net = _network(folder, card)
    manifest = _known(loop, card) or _made(loop, net, card)
    digest = manifest.digest
    record: dict[str, JsonValue] = {**manifest.as_json(), ORIGIN: {"from": origin, "card": card.as_json()}}
    with loop.ledger.begin() as conn:
        at = loop.clock()
        was_known = models.get(conn, digest) is not None
        model = models.add(
            conn,
            digest,
            card.variant,
            parent_digest=card.parent,
            training_run=None,
            manifest=record,
            at=at,
        )
        is_champion = promote_imported(conn, loop, card.variant, digest, origin)
        if not is_champion and not was_known:
            message = f"{card.variant}: {digest[:12]} imported from {origin} as generation {model.generation}"
            loop.record(conn, IMPORTED, message, variant=card.variant, model=digest)
    return Imported(card.variant, digest, model.generation, is_champion, was_known)


def export_model(loop: Loop, subject: Subject, folder: Path, *, replace: bool = False) -> Card:
    """Write a model to a folder that `import_model` reads on any machine.

    A model that plays in int8 travels in float32, under a digest of its own: eight bits do not follow from the weights.
    The card has its lineage and trainings, and its games against the baselines, as far as the ledger knows them; of a
    model folder outside the loop, as far as its manifest and its ancestors' beside it do.

    Args:
        loop: the loop.
        subject: the model.
        folder: to be made.
        replace: put it in the place of what is there.

    Raises:
        ConfigError: the folder is there, and `replace` is not set; or the model is of another variant.
        ModelError: the model's files are not what its manifest says.
    """
    if folder.exists() and not replace:
        raise ConfigError(f"{folder} is there already; name a new folder, or replace it with --replace")
    net, manifest = load_network(subject.folder, subject.digest)
    if manifest.variant != subject.variant:
        raise ConfigError(f"the model {subject.digest} is of {manifest.variant}, not of {subject.variant}")
    weights = weights_file(net)
    digest = hashlib.sha256(weights).hexdigest()
    own, *ancestors = _lineage(loop, subject)
    card = Card(
        digest=digest,
        variant=manifest.variant,
        architecture=manifest.architecture,
        encoding_version=manifest.encoding_version,
        engine_version=manifest.engine_version,
        created_at=manifest.created_at,
        licence=LICENCE,
        source=f"ringrift-loop {__version__}",
        lineage=(structs.replace(own, digest=digest), *ancestors),
        measured=_measured(loop, subject),
    )
    _replace_folder(folder, {WEIGHTS: weights, CARD: card_bytes(card)})
    return card


def imported_card(model: models.ModelRow) -> Card | None:
    """The card that a model came with; None for one that was trained here."""
    record = model.manifest.get(ORIGIN)
    return convert(record.get("card"), Card, f"the record of {model.digest}") if isinstance(record, dict) else None


def _network(folder: Path, card: Card) -> RingRiftNet:
    record = card.architecture
    try:
        architecture = Architecture(record.blocks, record.channels, record.is_hex, card.encoding_version)
    except ValueError as error:
        raise ModelError(f"{folder / CARD}: {error}") from error
    if architecture.name != record.name:
        raise ModelError(f"{folder / CARD}: the architecture is {architecture.name}, not {record.name[:40]!r}")
    size = sum(tensor.nbytes for tensor in tensors_of(architecture).values())
    weights = read_weights(folder, card, size + _HEADER_BYTES)
    net = network_from(weights, architecture, str(folder / WEIGHTS))
    if weights_file(net) != weights:
        raise DataError(f"{folder / WEIGHTS} is not written as `models export` does: there is more in it than weights")
    return net


def _known(loop: Loop, card: Card) -> Manifest | None:
    """The model that was made of this card before, if its files are there."""
    with loop.ledger.read() as conn:
        rows = models.all_models(conn, card.variant)
    for row in rows:
        own = imported_card(row)
        if own is not None and own.digest == card.digest and loop.directory.model(row.digest).is_dir():
            return verify(loop.directory.model(row.digest), row.digest)
    return None


def _made(loop: Loop, net: RingRiftNet, card: Card) -> Manifest:
    """Write the model's folder: in eight bits as a candidate's, by positions of games that it plays against itself."""
    compile_kernels()
    compile_selfplay_kernels()
    rules, plain = rules_for(card.variant), export_onnx(net)
    games = own_games(open_session(plain, "the model"), rules)
    calibrating, checked = evenly(games[0::2], CALIBRATED), evenly(games[1::2], CHECKED)
    precision = choose_precision(
        plain,
        batches_of(rules, calibrating, BATCH),
        batches_of(rules, checked, BATCH),
        loop.config.inference.int8,
    )
    manifest = save_model(
        net,
        loop.directory.model,
        variant=card.variant,
        engine_version=card.engine_version,
        parent=card.parent,
        training_run=card.lineage[0].training_run,
        created_at=card.created_at,
        graph=precision.graph,
    )
    (own,) = batches_of(rules, checked, len(checked))
    compare_backends(net, loop.directory.model(manifest.digest), own["planes"], own["move_row"], own["move_features"])
    level = logging.WARNING if precision.refused else logging.INFO
    _log.log(level, "%s %s plays in %s", card.variant, manifest.digest[:12], precision.why)
    return manifest


def _lineage(loop: Loop, subject: Subject) -> Iterator[Step]:
    """The model's training and those before it, as far as they are known; a card's own account goes on from there."""
    digest: str | None = subject.digest
    seen: set[str] = set()
    while digest is not None and digest not in seen and len(seen) < _MOST_ANCESTORS:
        seen.add(digest)
        with loop.ledger.read() as conn:
            row = models.get(conn, digest)
            run = None if row is None or row.training_run is None else training.require(conn, row.training_run)
        card = None if row is None else imported_card(row)
        if card is not None:
            yield from card.lineage[: _MOST_ANCESTORS - len(seen) + 1]
            return
        if row is not None:
            yield _step(row, run)
            digest = row.parent_digest
            continue
        folder = subject.folder.parent / digest
        if not folder.is_dir():
            yield Step(digest=digest, variant=subject.variant)
            return
        manifest = load_manifest(folder)
        yield Step(
            digest=digest,
            variant=manifest.variant,
            training_run=manifest.training_run,
            created_at=manifest.created_at,
        )
        digest = manifest.parent


def _step(row: models.ModelRow, run: training.TrainingRunRow | None) -> Step:
    known = {} if run is None or run.report is None else run.report
    window, validation = _object(known, "window"), _object(known, "validation")
    return convert(
        {
            "digest": row.digest,
            "variant": row.variant,
            "training_run": row.training_run,
            "created_at": row.created_at,
            "games": None if run is None else run.games,
            "window_games": window.get("games"),
            "rows": window.get("rows"),
            "steps": known.get("steps"),
            "samples": known.get("samples"),
            "seconds": known.get("seconds"),
            "policy_loss": validation.get("policy"),
            "value_loss": validation.get("value"),
        },
        Step,
        f"the report of {row.training_run}",
    )


def _object(document: Mapping[str, JsonValue], key: str) -> Mapping[str, JsonValue]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _measured(loop: Loop, subject: Subject) -> tuple[Measured, ...]:
    """The model's games against the baselines, from the match log; not those of the gate that chose it by them."""
    variant, participant = subject.variant, subject.participant
    players = rules_for(variant).players
    with loop.ledger.read() as conn:
        games = [game for game in matches.results(conn, variant) if game.purpose != GATE]
    found = []
    for opponent in (baseline_id(name, variant) for name in (RANDOM, HEURISTIC)):
        games_won = win_share(games, participant, opponent, players)
        if games_won.games:
            found.append(Measured(opponent=opponent, search=subject.search.identity(), **games_won._asdict()))
    return tuple(found)


def _replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder whole, in the place of an older one; readable by everyone, as what is shipped must be."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    new, old = (folder.parent / f".{folder.name}.{word}-{mark}" for word in ("new", "old"))
    new.mkdir(mode=0o755)
    try:
        for name, data in files.items():
            (new / name).write_bytes(data)
            (new / name).chmod(0o644)
        new.chmod(0o755)
        if folder.exists():
            folder.rename(old)
        rename_durably(new, folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
