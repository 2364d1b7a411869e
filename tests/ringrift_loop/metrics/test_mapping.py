from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.metrics.mapping import read_rules, rules_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mappings: [", "not valid YAML"),
        ("- a", "needs a list under `mappings`"),
        ("mappings: [{match: a}]", "a mapping has match and name"),
        ("mappings: [{match: a, name: b, match_type: regex}]", "of the rest only"),
        ("mappings: [{match: 'a.*', name: b}]", "whole names, no patterns, got 'a.*'"),
        ("mappings: [{match: a, name: b, ttl: 5m}]", "ttl is seconds"),
        ("mappings: [{match: a, name: b, histogram_options: {buckets: [2, 1]}}]", "buckets must rise"),
    ],
)
def test_what_the_bridge_does_not_know_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"some\.yaml") as caught:
        rules_of(text, "some.yaml")

    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml cannot be read"):
        read_rules(tmp_path / "gone.yaml")
