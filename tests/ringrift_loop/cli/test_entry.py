from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ringrift_loop import __version__
from ringrift_loop.cli import COMMANDS, build_parser, main
from ringrift_loop.cli import config as config_command
from ringrift_loop.cli.entry import subparsers_of
from ringrift_loop.errors import ConfigError, DataError, HostUnreachable, NoCapacity
from ringrift_loop.ledger.database import Ledger

PROJECT = Path(__file__).parents[3]


def _parsers(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action, below in subparsers_of(parser).items():
        yield from _parsers(f"{name} {action}", below)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_every_option_has_help(command: str) -> None:
    parser = subparsers_of(build_parser(command))[command]

    for name, below in _parsers(command, parser):
        assert below.description, f"{name} has no description"
        for action in below._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), f"{name} {action.dest} has no help"
        for action in below._actions:
            if isinstance(action, argparse._SubParsersAction):
                assert {choice.dest for choice in action._choices_actions if choice.help} == set(action.choices), name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_documents(command: str) -> None:
    pages = [*(PROJECT / "docs").glob("*.md"), PROJECT / "README.md"]

    assert any(f"ringrift-loop {command}" in page.read_text(encoding="utf-8") for page in pages)


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])

    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(command in shown for command in COMMANDS)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"ringrift-loop {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["statsu"], ["status", "--no-such-option"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2


def test_a_wrong_configuration_ends_with_2_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("training:\n  triger_threshold_games: 3\n", encoding="utf-8")

    status = main(["config", "check", "--config", str(wrong)])

    assert status == 2
    assert capsys.readouterr().err.startswith(
        "ringrift-loop config: unknown key training.triger_threshold_games, did you"
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("c"), 2),
        (NoCapacity("lease held"), 75),
        (HostUnreachable("h"), 75),
        (DataError("d"), 1),
        (FileNotFoundError(2, "No such file", "x"), 1),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a bug"), 1),
    ],
)
def test_the_exit_status_follows_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int
) -> None:
    def fails(args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(config_command, "run_check", fails)

    assert main(["config", "check"]) == status
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, ZeroDivisionError)


@pytest.mark.parametrize("slot", ["-1", "10000"])
def test_a_slot_that_no_file_name_has_room_for_is_refused_before_anything_is_written(
    slot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root = tmp_path / "host"
    assert main(["selfplay", "--root", str(root), "--variant", "square8_2p", "--slot", slot]) == 2
    assert capsys.readouterr().err == f"ringrift-loop selfplay: --slot must be in 0..9999, got {slot}\n"
    assert not root.exists()


def test_a_full_disk_under_the_ledger_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("this user cannot mount a small disk")
    try:
        monkeypatch.setenv("RINGRIFT_HOME", str(disk / "run"))
        assert main(["ledger", "migrate"]) == 0
        held = sqlite3.connect(disk / "run" / "ledger.db")  # so that the write-ahead log is there already
        held.execute("SELECT count(*) FROM events").fetchall()
        with pytest.raises(OSError, match="No space left"):
            (disk / "fill").write_bytes(b"x" * (4 << 20))
        assert main(["workers", "rate", "0.5"]) == 75
        held.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    said = capsys.readouterr().err
    assert "the ledger is not available now: database or disk is full; free some space on its disk" in said


def test_a_ledger_that_does_not_answer_is_told_without_a_guess_at_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: pip install psycopg2-binary")
    monkeypatch.setenv("RINGRIFT_LEDGER_URL", f"postgresql://ringrift@/postgres?host={tmp_path}")
    assert main(["ledger", "verify"]) == 75
    said = capsys.readouterr().err
    assert "does not open: connection to server" in said
    assert "disk" not in said


def test_a_missing_table_is_a_bug_and_no_trouble_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(args: argparse.Namespace) -> int:
        with Ledger.open(f"sqlite:///{tmp_path}/empty.db").read() as conn:
            conn.execute(text("SELECT * FROM gone"))
        return 0

    monkeypatch.setattr(config_command, "run_check", fails)
    assert main(["config", "check"]) == 1
    assert "no such table: gone" in (said := capsys.readouterr().err)
    assert "this is a bug" in said


@pytest.mark.parametrize("arguments", [["--debug", "config", "check"], ["config", "check", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def fails(args: argparse.Namespace) -> int:
        raise DataError("broken")

    monkeypatch.setattr(config_command, "run_check", fails)

    assert main(arguments) == 1
    assert "Traceback" in capsys.readouterr().err


def test_config_show_prints_values_with_their_origins_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("training:\n  batch_size: 64\n", encoding="utf-8")
    monkeypatch.setenv("RINGRIFT__PRESET", "conservative")

    assert main(["config", "show", "--json", "--config", str(path)]) == 0

    values = json.loads(capsys.readouterr().out)["values"]
    assert values["training.batch_size"] == {"value": 64, "origin": f"{path}:2"}
    assert values["promotion.elo_threshold"]["origin"] == "preset conservative"
    assert values["preset"]["origin"] == "environment RINGRIFT__PRESET"


def test_status_and_config_import_nothing_heavy() -> None:
    code = (
        "import sys; from ringrift_loop.cli import main; main(['config', 'check']);"
        "from ringrift_loop.cli import status; import ringrift_loop.loop, ringrift_loop.status.overview;"
        "print(sorted({'torch', 'numba', 'numpy', 'onnxruntime', 'airflow'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m ringrift_loop.cli config show --json | head -c 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)

    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
