from __future__ import annotations

from pathlib import Path

from new_ledger import new_ledger
from ringrift_loop.launcher.narrator import Narrator, line
from ringrift_loop.ledger import events
from ringrift_loop.ledger.database import Ledger


def a_ledger(tmp_path: Path) -> Ledger:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    new_ledger(url)
    return Ledger.open(url)


def write(ledger: Ledger, *messages: str) -> None:
    with ledger.begin() as connection:
        for message in messages:
            events.record(connection, "sync", message, at=0.0)


def test_only_what_happens_after_the_start_is_told_and_each_thing_once(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    write(ledger, "before")
    narrator = Narrator(ledger)
    write(ledger, "12 new games", "training starts")
    assert [text.split("  ")[1] for text in narrator.new_lines()] == ["12 new games", "training starts"]
    assert narrator.new_lines() == []
    write(ledger, "promoted")
    assert [text.split("  ")[1] for text in narrator.new_lines()] == ["promoted"]


def test_variant_is_named_unless_the_message_does() -> None:
    assert line(0.0, "promoted", "hex8_2p").endswith("  hex8_2p: promoted")
    assert line(0.0, "training of hex8_2p starts", "hex8_2p").endswith("  training of hex8_2p starts")
