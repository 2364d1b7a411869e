from __future__ import annotations

from collections.abc import Callable

import pytest

from ringrift_loop.errors import ConfigError
from ringrift_loop.ledger import events, state
from ringrift_loop.loop import Loop
from ringrift_loop.resources.interventions import Asked, set_halt, set_selfplay_share


def test_a_halt_says_who_and_why_once(open_loop: Callable[..., Loop]) -> None:
    asked = Asked("ann\x1b[31m", "new\nkernel")
    with open_loop().ledger.begin() as conn:
        assert set_halt(conn, True, asked, at=5.0)
        assert not set_halt(conn, True, asked, at=6.0)
        assert state.halted(conn)
        (event,) = events.latest(conn, kind="halt")
    assert event.message == "halted by ann?[31m: new; kernel"
    assert event.data == {"halted": True, "user": "ann?[31m", "why": "new; kernel"}


def test_a_share_says_what_it_was(open_loop: Callable[..., Loop]) -> None:
    with open_loop().ledger.begin() as conn:
        assert set_selfplay_share(conn, 0.25, Asked("ann", "noise"), at=5.0)
        assert not set_selfplay_share(conn, 0.25, Asked("bob", "again"), at=6.0)
        (event,) = events.latest(conn, kind="worker")
    assert event.message == "self-play share 0.25, was 1, set by ann: noise"
    assert event.data == {"share": 0.25, "before": 1.0, "user": "ann", "why": "noise"}


def test_a_share_out_of_range_changes_nothing(open_loop: Callable[..., Loop]) -> None:
    with open_loop().ledger.begin() as conn:
        with pytest.raises(ConfigError, match="must be from 0 to 1, got 2"):
            set_selfplay_share(conn, 2, Asked(), at=5.0)
        assert (state.selfplay_share(conn), events.latest(conn)) == (1.0, [])
