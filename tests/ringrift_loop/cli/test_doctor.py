"""`ringrift-loop doctor` and its table in the operations page: the same checks, no more and no fewer."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from new_ledger import new_ledger
from ringrift_loop import project
from ringrift_loop.cli import main
from ringrift_loop.doctor.findings import CHECKS
from ringrift_loop.launcher.environment import shell_file, write_shell_file
from ringrift_loop.launcher.leftovers import launch_lock
from ringrift_loop.layout import RunDirectory

PAGE = Path(__file__).parents[3] / "docs" / "5-operations.md"
ROW = re.compile(r"^\| [^|]+ \| `([a-z-]+)` \| [^|]+ \|$", re.MULTILINE)


@pytest.fixture
def loop(tmp_path: Path, run_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts.yaml").write_text("standard_hosts:\n  a: {transport: local}\n  b: {transport: local}\n")
    monkeypatch.setenv("RINGRIFT_HOSTS", str(tmp_path / "hosts.yaml"))
    monkeypatch.delenv("AIRFLOW_HOME")  # Airflow's own checks are slow and have a test of their own
    new_ledger(RunDirectory(run_home).ledger_url)


def test_the_page_has_a_row_for_every_check_and_for_no_other() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Doctor\n")[1].split("\n## ")[0]
    rows = ROW.findall(section)
    assert sorted(rows) == sorted(CHECKS)


@pytest.mark.usefixtures("loop")
def test_every_check_is_made_and_a_failed_one_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGRIFT__METRICS_PORT", "9")  # nobody answers there
    assert main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    # A host on this machine has this machine's clock.
    assert {finding["check"] for finding in answer["findings"]} == set(CHECKS) - {"clock"}
    assert [one["check"] for one in answer["findings"] if one["status"] == "failed"] == ["metrics"]


@pytest.mark.usefixtures("loop")
def test_one_host_alone_is_asked_and_the_table_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--host", "b"]) == 0
    shown = capsys.readouterr().out
    assert "  b  " in shown
    assert "this machine  " not in shown
    assert re.search(r"^\d+ ok, \d+ warning, 0 failed, 1 skipped$", shown, re.MULTILINE)


@pytest.mark.usefixtures("loop")
def test_it_looks_with_the_environment_of_the_loop_that_runs(
    run_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(run_home)
    (tmp_path / "other.yaml").write_text("standard_hosts:\n  theirs: {transport: local}\n")
    variables = {"RINGRIFT_HOME": str(run_home), "RINGRIFT_HOSTS": str(tmp_path / "other.yaml")}
    write_shell_file(shell_file(directory), variables)
    monkeypatch.setenv("RINGRIFT__METRICS_PORT", "no number")  # of this shell, not of the loop
    with launch_lock(directory):
        main(["doctor", "--host", "theirs"])
    assert "  theirs  " in capsys.readouterr().out
    assert os.environ["RINGRIFT__METRICS_PORT"] == "no number"
    monkeypatch.delenv("RINGRIFT__METRICS_PORT")
    assert main(["doctor", "--host", "theirs"]) == 2  # the next start would take this shell's inventory


@pytest.mark.usefixtures("loop")
def test_a_host_without_the_project_is_looked_at_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "__file__", str(tmp_path / "site-packages" / "ringrift_loop" / "project.py"))
    assert main(["doctor", "--host", "a"]) == 0
    assert "  a  " in capsys.readouterr().out


def files(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("url", [None, "sqlite:///{}/elsewhere/other.db"])
def test_it_writes_nothing(
    url: str | None, run_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_HOME")
    if url is None:
        new_ledger(RunDirectory(run_home).ledger_url)
    else:
        monkeypatch.setenv("RINGRIFT_LEDGER_URL", url.format(tmp_path))
    before = files(tmp_path)
    main(["doctor", "--local"])
    assert "this machine" in capsys.readouterr().out
    assert files(tmp_path) == before


@pytest.mark.usefixtures("loop")
def test_a_host_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--host", "c"]) == 2
    assert "no host is named c; the hosts are a, b" in capsys.readouterr().err
