"""A host's plan: read as it was written, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.errors import DataError
from ringrift_loop.layout import HostDirectory
from ringrift_loop.selfplay.plan import Plan, read_plan, write_plan


def test_a_host_has_the_plan_that_was_written_last(tmp_path: Path) -> None:
    host = HostDirectory(tmp_path)
    assert read_plan(host) is None
    write_plan(host, Plan({"hex8_2p": 1.0}))
    plan = Plan.by({"square8_2p": 2 / 3, "hex8_2p": 4 / 3, "hex8_3p": 1e-9})
    write_plan(host, plan)
    assert read_plan(host) == plan == Plan({"square8_2p": 0.6667, "hex8_2p": 1.3333, "hex8_3p": 0.0001})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "JSON"),
        ("[]", "object"),
        ('{"v": 2, "weights": {"hex8_2p": 1}}', "version 1 was expected"),
        ('{"v": 1, "weights": {}}', "length >= 1"),
        ('{"v": 1, "weights": {"hex8_2p": 0}}', "> 0"),
        ('{"v": 1, "weights": {"hex8_2p": 1e9}}', "<= 1000000"),
        ('{"v": 1, "weights": {"go_2p": 1}}', "variants such as square8_2p, got go_2p"),
        ('{"v": 1, "weights": {"hex8_2p": 1}, "mood": 1}', "unknown field"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, why: str) -> None:
    host = HostDirectory(tmp_path)
    host.plan.write_text(text)
    with pytest.raises(DataError, match=why) as raised:
        read_plan(host)
    assert str(host.plan) in str(raised.value)
