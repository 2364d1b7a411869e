"""The columns are as wide as the names that get into them; SQLite would not notice, PostgreSQL refuses the row."""

from __future__ import annotations

from typing import get_type_hints

import pytest
from msgspec import ValidationError, convert
from sqlalchemy import String

from ringrift_loop.engine.game import RESULT_NAMES
from ringrift_loop.engine.rules import VARIANTS
from ringrift_loop.errors import ConfigError
from ringrift_loop.hosts.inventory import parse_inventory
from ringrift_loop.layout import LEDGER_NAME
from ringrift_loop.ledger import schema
from ringrift_loop.selfplay.records import GameRecord
from ringrift_loop.selfplay.segments import MAX_SEGMENT_RECORDS, SegmentName


def widths(column: str) -> set[int]:
    """The widths of a column in all tables that have it."""
    found = (table.c[column].type for table in schema.metadata.tables.values() if column in table.c)
    return {kind.length or 0 for kind in found if isinstance(kind, String)}


def test_a_hosts_name_fits_the_ledger_and_a_longer_one_is_refused() -> None:
    assert widths("host") == widths("name") - {128, 160} == widths("training_run") == {LEDGER_NAME}
    name = "h" * LEDGER_NAME
    assert list(parse_inventory(f"standard_hosts:\n  {name}: {{transport: local}}", "x").hosts) == [name]
    with pytest.raises(ConfigError, match="at most 64 characters"):
        parse_inventory(f"standard_hosts:\n  {name}h: {{transport: local}}", "x")


@pytest.mark.parametrize(("field", "column"), [("player", "player"), ("engine", "engine_version"), ("id", "id")])
def test_a_record_brings_no_text_that_is_longer_than_its_column(field: str, column: str) -> None:
    kind = schema.games.c[column].type
    assert isinstance(kind, String)
    with pytest.raises(ValidationError):
        convert("a" * ((kind.length or 0) + 1), get_type_hints(GameRecord, include_extras=True)[field])


def test_the_engines_words_and_a_segments_name_fit() -> None:
    longest = SegmentName("f" * 16, 99_999_999, MAX_SEGMENT_RECORDS, "f" * 16)
    assert len(str(longest)) <= min(widths("segment"))
    assert max(map(len, RESULT_NAMES)) <= min(widths("result"))
    assert max(map(len, VARIANTS)) <= min(widths("variant"))
