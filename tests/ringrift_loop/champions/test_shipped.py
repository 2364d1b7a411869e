"""The champions that come with the package, and what a run begins with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ringrift_loop.champions import exchange, shipped
from ringrift_loop.champions.card import LICENCE, Card
from ringrift_loop.champions.exchange import Imported
from ringrift_loop.champions.shipped import begin, shipped_cards, shipped_folder
from ringrift_loop.config.schema import VARIANT_NAMES
from ringrift_loop.errors import ConfigError
from ringrift_loop.ledger import models, promotions
from ringrift_loop.loop import Loop
from ringrift_loop.network.artifact import WEIGHTS
from ringrift_loop.network.export import network_from
from ringrift_loop.network.model import Architecture
from ringrift_loop.promotion.promote import promote_imported

CARDS = shipped_cards()
MOST_BYTES = 1 << 20


def test_the_variants_of_the_default_configuration_have_shipped_champions() -> None:
    assert {"square8_2p", "hex8_2p"} <= set(CARDS) <= set(VARIANT_NAMES)
    folders = {path.name for path in Path(shipped.__file__).parent.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(CARDS)


@pytest.mark.parametrize("variant", CARDS)
def test_a_shipped_champion_is_what_its_card_says_and_small(variant: str) -> None:
    card, folder = CARDS[variant], shipped_folder(variant)
    assert folder is not None
    weights = (folder / WEIGHTS).read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card.digest
    assert (card.variant, card.licence) == (variant, LICENCE)
    record = card.architecture
    architecture = Architecture(record.blocks, record.channels, record.is_hex, card.encoding_version)
    network_from(weights, architecture, variant)
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES


@pytest.fixture
def loop(open_loop: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop whose imports register the model without its files: test_exchange.py is about those."""

    def registered(loop: Loop, folder: Path, origin: str) -> Imported:
        card: Card = CARDS[folder.name]
        with loop.ledger.begin() as conn:
            models.add(
                conn, card.digest, card.variant, parent_digest=None, training_run=None, manifest={}, at=loop.clock()
            )
            champion = promote_imported(conn, loop, card.variant, card.digest, origin)
        return Imported(card.variant, card.digest, 1, champion, False)

    monkeypatch.setattr(exchange, "import_model", registered)
    return open_loop()


def champions(loop: Loop) -> set[str]:
    with loop.ledger.read() as conn:
        return set(promotions.all_champions(conn))


def test_a_new_run_begins_with_the_shipped_champions_once(loop: Loop) -> None:
    began = begin(loop)
    assert (began.choice, {one.variant for one in began.imported}) == ("shipped", {"square8_2p", "hex8_2p"})
    assert champions(loop) == {"square8_2p", "hex8_2p"}
    assert begin(loop).imported == ()
    with pytest.raises(ConfigError, match=r"began with the shipped champions.*RINGRIFT_HOME"):
        begin(loop, fresh=True)


def test_a_run_from_nothing_stays_one(loop: Loop) -> None:
    for fresh in (True, False, True):
        assert begin(loop, fresh=fresh).choice == "none"
    assert champions(loop) == set()


def test_a_variant_that_has_a_model_is_left_as_it_is(loop: Loop) -> None:
    with loop.ledger.begin() as conn:
        models.add(conn, "a" * 64, "hex8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
    begin(loop)
    assert champions(loop) == {"square8_2p"}


def test_a_variant_that_is_added_later_begins_as_the_run_did(loop: Loop) -> None:
    one = replace(loop, config=replace(loop.config, variants=("hex8_2p",)))
    begin(one)
    assert champions(loop) == {"hex8_2p"}
    begin(loop)
    assert champions(loop) == {"square8_2p", "hex8_2p"}


def test_a_variant_without_a_shipped_champion_begins_from_nothing(loop: Loop, tmp_path: Path) -> None:
    assert begin(loop, folder=tmp_path).imported == ()
    assert champions(loop) == set()


def test_the_readme_says_what_the_champions_won() -> None:
    project = Path(__file__).parents[3]
    rows = {row["variant"]: row for row in json.loads((project / "docs/champions/report.json").read_text("utf-8"))}
    assert set(rows) == set(VARIANT_NAMES)
    assert all(row["heuristic"]["low"] > row["fair_share"] for row in rows.values())
    text = " ".join((project / "README.md").read_text("utf-8").split())
    first = rows["square8_2p"]
    assert f"all twelve in {sum(row['core_hours'] for row in rows.values()):.1f} core-hours" in text
    assert (
        f"`square8_2p` wins {first['heuristic']['share']:.1%} of {first['heuristic']['games']} games against it "
        f"and {first['playouts']['share']:.1%} of {first['playouts']['games']} against"
    ).replace("%", " %") in text
