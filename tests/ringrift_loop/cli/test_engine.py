from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ringrift_loop.cli import main

GOLDEN = Path(__file__).parents[2] / "data" / "golden_games" / "hex8_2p.jsonl.gz"


@pytest.mark.parametrize("engine", ["kernel", "plain"])
def test_check_traces_ends_with_0_when_the_games_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        (tmp_path / "one.jsonl").write_text(next(lines), encoding="utf-8")

    assert main(["engine", "check-traces", "--engine", engine, str(tmp_path / "one.jsonl")]) == 0
    assert capsys.readouterr().out.endswith(f"0 games cut: all agree ({engine} engine)\n")


def test_check_traces_ends_with_1_at_a_difference_and_at_a_file_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        game = next(lines)
    other = game.replace('"winner":2,', '"winner":1,')
    assert other != game
    (tmp_path / "other.jsonl").write_text(other, encoding="utf-8")

    assert main(["engine", "check-traces", str(tmp_path / "other.jsonl")]) == 1
    assert "winner: expected" in capsys.readouterr().out
    assert main(["engine", "check-traces", str(GOLDEN), str(tmp_path / "absent.jsonl")]) == 1
    assert "absent.jsonl: UNREADABLE" in capsys.readouterr().out
