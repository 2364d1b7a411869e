"""Models out of one loop and into another, and folders that nobody should take in."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from ledger_rows import rows
from ringrift_loop.champions import exchange
from ringrift_loop.champions.card import CARD, read_card
from ringrift_loop.champions.exchange import export_model, import_model, imported_card
from ringrift_loop.engine.version import ENGINE_VERSION
from ringrift_loop.errors import ConfigError, DataError, LedgerError, LoopError, ModelError
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import events, models, promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.ledger.matches import MatchRow
from ringrift_loop.ledger.promotions import Promotion
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import WEIGHTS, verify
from ringrift_loop.network.export import Graph, architecture_for, save_model, weights_file
from ringrift_loop.network.model import RingRiftNet
from ringrift_loop.network.quantize import Change, Inputs
from ringrift_loop.promotion.subject import subject_of
from ringrift_loop.status.verify import verify as audit
from ringrift_loop.tournament.blocks import paired_block
from ringrift_loop.tournament.participants import RANDOM
from ringrift_loop.tournament.store import LedgerShelf
from ringrift_loop.training import precision
from ringrift_loop.training.precision import Precision

VARIANT = "square8_2p"


def network(seed: int, variant: str = VARIANT) -> RingRiftNet:
    torch.manual_seed(seed)
    return RingRiftNet(architecture_for(variant, blocks=1, channels=8)).eval()


@pytest.fixture
def loop(open_loop: Callable[..., Loop]) -> Loop:
    return open_loop()


@pytest.fixture
def other(loop: Loop, tmp_path: Path, empty_ledger: Path) -> Iterator[Loop]:
    """Another loop, as on another machine, where models play in float32, so that their digests are their cards'."""
    directory = RunDirectory(tmp_path / "other")
    directory.root.mkdir()
    shutil.copy(empty_ledger, directory.root / "ledger.db")
    ledger = Ledger.open(f"sqlite:///{directory.root / 'ledger.db'}")
    yield with_int8(replace(loop, directory=directory, ledger=ledger), "never")
    ledger.close()


def with_int8(loop: Loop, wish: str) -> Loop:
    return replace(loop, config=replace(loop.config, inference=replace(loop.config.inference, int8=wish)))


def own_model(loop: Loop, seed: int, *, parent: str | None = None) -> str:
    manifest = save_model(network(seed), loop.directory.model, variant=VARIANT, created_at=loop.clock(), parent=parent)
    with loop.ledger.begin() as conn:
        models.add(
            conn,
            manifest.digest,
            VARIANT,
            parent_digest=parent,
            training_run=None,
            manifest=manifest.as_json(),
            at=loop.clock(),
        )
    return manifest.digest


def exported(loop: Loop, digest: str, folder: Path) -> Path:
    export_model(loop, subject_of(loop, digest, VARIANT), folder)
    return folder


@pytest.fixture
def folder(loop: Loop, tmp_path: Path) -> Path:
    """A model that was exported elsewhere."""
    return exported(loop, own_model(loop, 1), tmp_path / "exported")


def test_a_model_goes_from_one_loop_into_another_and_becomes_its_first_champion(
    loop: Loop, other: Loop, tmp_path: Path
) -> None:
    first = own_model(loop, 1)
    second = own_model(loop, 2, parent=first)
    folder = exported(loop, second, tmp_path / "exported")
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]
    assert [step.digest for step in read_card(folder).lineage] == [second, first]

    imported = import_model(other, folder, "a friend")

    assert (imported.digest, imported.is_champion, imported.was_known) == (second, True, False)
    assert verify(other.directory.model(second), second).parent == first
    with other.ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
        (decision,) = rows(conn, Promotion)
        (event,) = events.latest(conn, kind="imported")
        row = models.get(conn, second)
    assert champion is not None
    assert (champion.model_digest, champion.generation) == (second, 1)
    assert "imported from a friend" in decision.reason and decision.games == 0
    assert event.data["model"] == second and "a friend" in event.message
    assert row is not None and row.training_run is None
    card = imported_card(row)
    assert card is not None and card.lineage[1].digest == first
    assert audit(other, files=True) == []

    # And on: what the card tells of the ancestors is not lost at the second border.
    third = exported(other, second, tmp_path / "again")
    assert [step.digest for step in read_card(third).lineage] == [second, first]


def test_a_model_that_plays_in_eight_bits_travels_in_float32(loop: Loop, other: Loop, tmp_path: Path) -> None:
    net, graph = network(1), Graph(b"eight bits", "int8")
    manifest = save_model(net, loop.directory.model, variant=VARIANT, created_at=1.0, graph=graph)
    folder = exported(loop, str(loop.directory.model(manifest.digest)), tmp_path / "exported")
    card = read_card(folder)
    assert card.digest == card.lineage[0].digest == hashlib.sha256(weights_file(net)).hexdigest() != manifest.digest
    import_model(other, folder, "a friend")
    assert verify(other.directory.model(card.digest), card.digest).precision == "float32"


def test_an_imported_model_gets_eight_bits_where_it_will_play(
    other: Loop, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = read_card(folder)
    caplog.set_level("INFO", "ringrift_loop.champions.exchange")
    first = import_model(with_int8(other, "always"), folder, "a friend")
    assert verify(other.directory.model(first.digest), first.digest).precision == "int8"
    assert first.digest != card.digest and first.is_champion
    assert f"{VARIANT} {first.digest[:12]} plays in int8 by inference.int8, which changes policy 0.0" in caplog.text
    with other.ledger.read() as conn:
        (row,) = models.all_models(conn, VARIANT)
        (event,) = events.latest(conn, kind="imported")
    assert imported_card(row) == card and row.digest == event.data["model"] == first.digest
    assert audit(other, files=True) == []

    # Once more: the same model, also where another precision is wanted by now.
    again = import_model(other, folder, "somebody else")
    assert (again.digest, again.is_champion, again.was_known) == (first.digest, False, True)
    # It travels on as it came.
    assert read_card(exported(other, first.digest, tmp_path / "on")).digest == card.digest


def test_an_imported_model_that_eight_bits_would_change_too_much_keeps_float32_and_that_is_warned_of(
    other: Loop, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "MOST", Change(0.0, 0.0, 0.0))
    imported = import_model(with_int8(other, "always"), folder, "a friend")
    assert imported.digest == read_card(folder).digest
    assert verify(other.directory.model(imported.digest), imported.digest).precision == "float32"
    (warned,) = (each for each in caplog.records if each.name == exchange.__name__)
    told = f"{VARIANT} {imported.digest[:12]} plays in float32, since int8 would change too much: policy 0."
    assert warned.levelname == "WARNING" and told in warned.getMessage()


def test_calibration_and_check_of_an_imported_model_are_on_different_games(
    other: Loop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[bytes]] = []
    real = exchange.choose_precision

    def watched(plain: bytes, calibration: Sequence[Inputs], checked: Sequence[Inputs], wish: str) -> Precision:
        seen.extend({plane.tobytes() for batch in each for plane in batch["planes"]} for each in (calibration, checked))
        return real(plain, calibration, checked, wish)

    monkeypatch.setattr(exchange, "choose_precision", watched)
    import_model(other, folder, "a friend")
    calibrated, checked = seen
    assert len(calibrated) > 100 and len(checked) > 100
    assert len(calibrated & checked) < 10  # a few of the first positions come up in both


def test_an_imported_model_whose_files_are_gone_is_made_again(other: Loop, folder: Path) -> None:
    eight = with_int8(other, "always")
    first = import_model(eight, folder, "a friend")
    shutil.rmtree(other.directory.model(first.digest))
    assert import_model(eight, folder, "a friend") == replace(first, is_champion=False, was_known=True)
    assert verify(other.directory.model(first.digest), first.digest).precision == "int8"


def test_where_there_is_a_champion_an_imported_model_is_a_candidate(loop: Loop, other: Loop, tmp_path: Path) -> None:
    folder = exported(loop, own_model(loop, 1), tmp_path / "exported")
    champion = own_model(other, 2)
    with other.ledger.begin() as conn:
        promotions.promote(conn, VARIANT, champion, reason="first", elo_gain=None, games=0, at=1.0)

    for is_known in (False, True):
        imported = import_model(other, folder, "a friend")
        assert (imported.is_champion, imported.generation, imported.was_known) == (False, 2, is_known)

    with other.ledger.read() as conn:
        kept = promotions.champion(conn, VARIANT)
        assert kept is not None and kept.model_digest == champion
        assert len(rows(conn, Promotion)) == 1
        assert len(events.latest(conn, kind="imported")) == 1


def test_a_digest_of_another_variant_is_refused(other: Loop, folder: Path) -> None:
    digest = read_card(folder).digest
    with other.ledger.begin() as conn:
        models.add(conn, digest, "square8_3p", parent_digest=None, training_run=None, manifest={}, at=1.0)
    with pytest.raises(LedgerError, match="is registered for square8_3p"):
        import_model(other, folder, "a friend")
    with other.ledger.read() as conn:
        assert promotions.champion(conn, VARIANT) is None


def test_an_export_replaces_only_what_it_is_told_to(loop: Loop, folder: Path) -> None:
    digest = own_model(loop, 2)
    subject = subject_of(loop, digest, VARIANT)
    with pytest.raises(ConfigError, match="is there already"):
        export_model(loop, subject, folder)
    export_model(loop, subject, folder, replace=True)
    assert read_card(folder).digest == digest
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(ConfigError, match="is of square8_2p, not of square8_3p"):
        export_model(loop, subject_of(loop, str(loop.directory.model(digest)), "square8_3p"), folder.parent / "new")


def test_an_export_that_fails_at_the_end_leaves_what_was_there(
    loop: Loop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, digest = read_card(folder).digest, own_model(loop, 2)

    def fails(_source: Path, _target: Path) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(exchange, "rename_durably", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        export_model(loop, subject_of(loop, digest, VARIANT), folder, replace=True)
    assert read_card(folder).digest == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_the_card_tells_of_the_games_against_baselines(loop: Loop, tmp_path: Path) -> None:
    digest = own_model(loop, 1)
    subject = subject_of(loop, digest, VARIANT)
    played = []
    for seed, places in enumerate(([1, 2], [1, 2], [2, 1])):  # the first seat wins a block, and so on
        plan = paired_block(VARIANT, "manual", subject.participant, RANDOM, 2, seed)
        for game, seats in enumerate(plan.seatings):
            played.append(
                MatchRow(
                    plan.match_id(game), plan.id, VARIANT, "manual", list(seats), f"o{seed}", "", 1, places[:],
                    "territory", 9, "here", ENGINE_VERSION, 1.0,
                )
            )  # fmt: skip
    played[1] = replace(played[1], places=[2, 1])  # the model won both games of the first block
    LedgerShelf(loop).keep(played)

    (measured,) = read_card(exported(loop, digest, tmp_path / "exported")).measured

    assert (measured.opponent, measured.games) == (RANDOM, 6)
    assert measured.share == pytest.approx((1.0 + 0.5 + 0.5) / 3)
    assert 0.0 < measured.low < measured.share < measured.high < 1.0
    assert measured.search == subject.search.identity()


def _card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / CARD).read_bytes())
    (folder / CARD).write_text(json.dumps({**card, **changes}))


def _weights(folder: Path, data: bytes, *, told: bool = True) -> None:
    (folder / WEIGHTS).write_bytes(data)
    if told:
        digest = hashlib.sha256(data).hexdigest()
        _card(folder, digest=digest, lineage=[{"digest": digest, "variant": VARIANT}])


def _linked(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / f"real-{name}")
    (folder / name).symlink_to(folder.parent / f"real-{name}")


def _with_nan(folder: Path) -> None:
    tensors = load((folder / WEIGHTS).read_bytes())
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    _weights(folder, save(tensors))


def _architecture(**changes: object) -> dict[str, Any]:
    return {"architecture": {"name": "b1c8", "blocks": 1, "channels": 8, "is_hex": False, **changes}}


HOSTILE: dict[str, tuple[Callable[[Path], None], type[LoopError], str]] = {
    "no card": (lambda folder: (folder / CARD).unlink(), DataError, "cannot be read"),
    "a card that is no JSON": (lambda folder: (folder / CARD).write_text("{") and None, DataError, "is not JSON"),
    "a huge card": (lambda folder: (folder / CARD).write_bytes(b" " * (1 << 19)) and None, DataError, "is larger than"),
    "an unknown field": (lambda folder: _card(folder, run="rm -rf"), DataError, "unknown field"),
    "another version": (lambda folder: _card(folder, v=2), DataError, "version 1 was expected"),
    "another encoding": (lambda folder: _card(folder, encoding_version=99), ModelError, "encoding 99"),
    "no variant": (lambda folder: _card(folder, variant="chess_2p"), ModelError, "no variant named"),
    "a square net for hex": (lambda folder: _card(folder, variant="hex8_2p"), ModelError, "is no network for hex8_2p"),
    "another's lineage": (lambda folder: _card(folder, digest="0" * 64), DataError, "must begin with the model itself"),
    "a digest that is a path": (lambda folder: _card(folder, digest="../../etc"), DataError, "digest"),
    "too deep a network": (
        lambda folder: _card(folder, **_architecture(blocks=10**9)), ModelError, "blocks must be 1..64"
    ),
    "another name": (lambda folder: _card(folder, **_architecture(name="b9c9")), ModelError, "is b1c8, not"),
    "other shapes": (
        lambda folder: _card(folder, **_architecture(name="b2c8", blocks=2)), ModelError, "missing or unknown tensors"
    ),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), DataError, "cannot be read"),
    "damaged weights": (lambda folder: _weights(folder, b"x" * 100, told=False), DataError, "its card says"),
    "weights that are none": (lambda folder: _weights(folder, b"x" * 100), ModelError, "does not load"),
    "huge weights": (lambda folder: _weights(folder, b"\0" * (4 << 20)), DataError, "is larger than"),
    "weights that are not finite": (_with_nan, ModelError, "not finite"),
    "weights that name a graph": (
        lambda folder: _weights(folder, save(load((folder / WEIGHTS).read_bytes()), {"onnx_sha256": "0" * 64})),
        DataError, "more in it than weights",
    ),
    "a link for weights": (lambda folder: _linked(folder, WEIGHTS), DataError, "not a plain file"),
    "a link for a card": (lambda folder: _linked(folder, CARD), DataError, "not a plain file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_changes_nothing(kind: str, other: Loop, folder: Path) -> None:
    damage, error, said = HOSTILE[kind]
    damage(folder)
    with pytest.raises(error, match=said):
        import_model(other, folder, "a stranger")
    with other.ledger.read() as conn:
        assert models.all_models(conn) == []
        assert promotions.all_champions(conn) == {}
    assert not other.directory.models.exists()


def test_a_folder_that_is_a_link_is_refused(other: Loop, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(DataError, match="is a symbolic link"):
        import_model(other, tmp_path / "link", "a stranger")


def test_a_graph_that_does_not_compute_what_the_weights_do_is_refused(
    other: Loop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exchange.export_onnx
    monkeypatch.setattr(exchange, "export_onnx", lambda net: real(network(2)))
    with pytest.raises(ModelError, match="does not compute what the weights beside it do"):
        import_model(other, folder, "a friend")
    with other.ledger.read() as conn:
        assert models.all_models(conn) == []
