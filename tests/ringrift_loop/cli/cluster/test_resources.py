from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ringrift_loop.cli import main
from ringrift_loop.layout import HOME_VARIABLE, LEDGER_VARIABLE, RunDirectory
from ringrift_loop.ledger import utilization
from ringrift_loop.ledger.migrate import migrate
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources.rebalance import rebalance


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(LEDGER_VARIABLE, raising=False)
    migrate(RunDirectory(tmp_path).ledger_url)


def decided(*rows: SampleRow) -> None:
    loop = Loop.open()
    with loop.ledger.begin() as conn:
        utilization.add(conn, *rows)
    rebalance(loop, disk=lambda folder: 50.0)
    loop.ledger.close()


def sample(host: str, machine: str, cpu: float, **more: float) -> SampleRow:
    return SampleRow(host, time.time() - more.pop("age_s", 1.0), machine, 30.0, cpu, cpu / 2, 5.0, 40.0, **more)


def test_a_machine_is_a_row_with_its_hosts_and_whose_load_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    decided(sample("a", "m", 99.0), sample("b", "m", 99.0), sample("c", "n", 99.0, age_s=400.0))
    assert main(["resources"]) == 0
    head, row, silent = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["hosts", "cpu"]
    assert row.split()[:5] == ["a,b", "99%", "99%", "10%", "0%"]
    assert "scale_down" in row
    assert silent == "no sample for more than 150 s: c; their workers keep what they have"


def test_why_tells_the_last_decisions_in_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    decided(sample("a", "m", 98.0))
    assert main(["resources", "--why", "a"]) == 0
    assert "CPU 98% is critical, above 90% (strangers 44%, our jobs 5%, workers 49%)" in capsys.readouterr().out
    assert main(["resources", "--why", "a", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["inputs"]["cpu"] == 98.0
    assert row["action"] == "scale_down"


def test_a_host_that_told_nothing_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    decided(sample("a", "m", 50.0))
    assert main(["resources", "--why", "z"]) == 2
    assert "no host named z has told its utilization; those that have: a" in capsys.readouterr().err


def test_before_the_first_sample_it_says_when_one_comes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resources"]) == 0
    assert "second sync cycle" in capsys.readouterr().out
