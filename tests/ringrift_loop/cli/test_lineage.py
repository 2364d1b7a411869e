from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from model_history import DIGESTS, VARIANT, History, fill_history
from new_ledger import new_ledger
from ringrift_loop.champions.shipped import shipped_cards
from ringrift_loop.cli import main
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.database import Ledger


@pytest.fixture
def history(run_home: Path) -> History:
    run_home.mkdir()
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    ledger = Ledger.open(url)
    with ledger.begin() as conn:
        history = fill_history(conn, time.time())
    ledger.close()
    return history


@pytest.mark.usefixtures("history")
def test_a_model_is_told_from_its_games_to_the_end_of_its_reign(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", f"{VARIANT}@4"]) == 0
    told = capsys.readouterr().out
    for part in (
        f"gen 4 (dddddddddddd) of square8_2p, {DIGESTS[3]}",
        "state      rolled back, Elo 262 ± 35",
        "parents    gen 3 (cccccccccccc) <- gen 1 (aaaaaaaaaaaa)",
        "games      12 new, 24 in the window with 960 rows",
        "played by gen 3 (12)",
        "on local_a (8), local_b (4)",
        "training   run-4 succeeded",
        "gate       regression passed",
        "+31.0 ± 27.4 Elo against cccccccccccc in 400 games",
        "decision   promoted as champion 3 over cccccccccccc",
        "decision   taken back by a rollback by cccccccccccc",
        "it stalls in won games",
    ):
        assert part in told


@pytest.mark.usefixtures("history")
def test_a_test_that_failed_is_named_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", DIGESTS[4][:8]]) == 0
    told = capsys.readouterr().out
    assert "gate       regression failed" in told
    assert "beats_heuristic: 41 of 100 games won" in told


def test_a_game_is_told_with_the_runs_whose_window_held_it(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lineage", "--game", history.games[3][2]]) == 0
    told = capsys.readouterr().out
    assert "played     by gen 3 (cccccccccccc) on local_a" in told
    assert "segment    e-4, record 2" in told
    assert "run-4 succeeded" in told and "made gen 4 (dddddddddddd), the first to use it" in told
    assert "made gen 5 (eeeeeeeeeeee)\n" in told


def test_both_are_json_on_request(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", "--json", DIGESTS[2]]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["state"] == "champion"
    assert main(["lineage", "--json", "--game", history.games[0][0]]) == 0
    assert [each["run"] for each in json.loads(capsys.readouterr().out)["windows"]] == ["run-1", "run-2"]


def test_an_imported_champion_is_told_with_its_origin(
    history: History, run_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = shipped_cards()["hex8_2p"]
    ledger = Ledger.open(f"sqlite:///{run_home / 'ledger.db'}")
    with ledger.begin() as conn:
        record = {"imported": {"from": "the package", "card": card.as_json()}}
        models.add(conn, "9" * 64, "hex8_2p", parent_digest=None, training_run=None, manifest=record, at=time.time())
        promotions.promote(conn, "hex8_2p", "9" * 64, reason="imported", elo_gain=None, games=0, at=time.time())
    ledger.close()
    assert main(["lineage", "champion:hex8_2p"]) == 0
    told = capsys.readouterr().out
    assert f"gen 1 (999999999999) of hex8_2p, {'9' * 64}" in told
    assert "origin     imported from the package, made 20" in told
    assert f" by {len(card.lineage)} trainings, Apache-2.0" in told
    assert f"{card.digest[:12]} on its card" in told
    assert f" of {card.measured[0].games} games against {card.measured[0].opponent}" in told


@pytest.mark.usefixtures("history")
def test_a_model_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", "0123456789"]) == 2
    assert "no model is named 0123456789" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["lineage"])
