"""`ringrift-loop workers rate`: shown, set, remembered, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.cli import main
from ringrift_loop.layout import RunDirectory
from ringrift_loop.ledger import events, state
from ringrift_loop.ledger.database import Ledger

HOSTS = "standard_hosts:\n  a: {transport: local, role: selfplay, max_workers: 4}\n"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_home: Path) -> Ledger:
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    url = RunDirectory(run_home).ledger_url
    new_ledger(url)
    return Ledger.open(url)


def test_the_rate_is_shown_set_and_put_on_record(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    def rate(*share: str) -> object:
        assert main(["workers", "rate", *share]) == 0
        return json.loads(capsys.readouterr().out)

    assert rate() == {"share": 1.0, "slots": 4, "playing": 4}
    assert rate("0.5") == {"share": 0.5, "slots": 4, "playing": 2}
    assert rate("0.5") == rate()
    with ledger.read() as conn:
        assert state.selfplay_share(conn) == 0.5
        assert [event.message for event in events.latest(conn, kind="worker")] == [
            "self-play share 0.5, was 1, set by a person"
        ]


@pytest.mark.parametrize("share", ["1.5", "-0.1", "nan"])
def test_a_rate_out_of_range_is_refused_and_changes_nothing(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], share: str
) -> None:
    assert main(["workers", "rate", "--", share]) == 2
    assert "must be from 0 to 1" in capsys.readouterr().err
    with ledger.read() as conn:
        assert state.get(conn, state.SELFPLAY_SHARE) is None
