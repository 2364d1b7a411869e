from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop.cli import main
from ringrift_loop.layout import HOME_VARIABLE, LEDGER_VARIABLE, RunDirectory
from ringrift_loop.ledger import utilization
from ringrift_loop.ledger.utilization import SampleRow
from ringrift_loop.loop import Loop
from ringrift_loop.resources import negotiate_selfplay_rate
from ringrift_loop.resources.rebalance import rebalance


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(LEDGER_VARIABLE, raising=False)
    new_ledger(RunDirectory(tmp_path).ledger_url)


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


def test_what_holds_the_workers_back_is_told_below_the_machines(capsys: pytest.CaptureFixture[str]) -> None:
    loop = Loop.open()
    [name] = [host.name for host in loop.inventory.hosts.values()][:1]
    loop.ledger.close()
    negotiate_selfplay_rate(1000, "startup", "unified_loop")
    decided(sample(name, "m", 70.0, disk=96.0))
    slots = loop.inventory.hosts[name].slots
    assert main(["resources"]) == 0
    head, row, rate, pressure = capsys.readouterr().out.splitlines()
    assert [row[head.index(column) :].split()[0] for column in ("disk", "playing", "forecast")] == [
        "96%",
        f"0/{slots}",
        "-",
    ]
    assert rate == "rate: at most 1000 games/h, asked for by unified_loop (startup)"
    assert pressure.startswith(f"backpressure 0%: the disk of {name} is 96% full")
    assert main(["resources", "--why", name]) == 0
    assert f"the disk of {name} is 96% full" in capsys.readouterr().out
    assert main(["resources", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["machines"][0]["playing"] == {name: 0}
    assert told["backpressure"]["causes"][0]["factor"] == 0.0
    assert told["rate"]["approved"] == 1000


def test_how_good_the_forecasts_were_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    loop = Loop.open()
    for number in range(14):
        others, at = 20.0 + number, time.time() - 30.0 * (14 - number)
        with loop.ledger.begin() as conn:
            utilization.add(conn, SampleRow("a", at, "m", 30.0, 30.0 + others, 30.0, 0.0, 40.0))
        rebalance(replace(loop, clock=lambda now=at: now + 1.0), disk=lambda folder: 50.0)
    loop.ledger.close()
    assert main(["resources"]) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert row[head.index("forecast") :].startswith("0.0 (2.0)")
