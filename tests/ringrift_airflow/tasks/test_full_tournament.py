from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from new_ledger import new_ledger
from ringrift_airflow.dag_defaults import MATCHES_POOL
from ringrift_airflow.dag_pages import load_dags
from ringrift_airflow.tasks import full_tournament
from ringrift_airflow.tasks.full_tournament import list_variants_with_champions
from ringrift_airflow.tasks.tournament import shadow_limit
from ringrift_loop.cli.entry import build_parser
from ringrift_loop.ledger import models, promotions
from ringrift_loop.ledger.database import Ledger

PROJECT = Path(__file__).resolve().parents[3]
DIGEST = "1" * 64


def test_variants_without_a_champion_are_left_out(run_home: Path) -> None:
    url = f"sqlite:///{run_home / 'ledger.db'}"
    new_ledger(url)
    assert list_variants_with_champions.function() == []
    with Ledger.open(url).begin() as conn:
        models.add(conn, DIGEST, "hex8_2p", parent_digest=None, training_run=None, manifest={}, at=1.0)
        promotions.promote(conn, "hex8_2p", DIGEST, reason="made", elo_gain=None, games=0, at=1.0)
    assert list_variants_with_champions.function() == ["hex8_2p"]


@pytest.mark.parametrize(("budget_s", "budget"), [(None, None), (0, 0.0), (1.5, 1.5)])
def test_the_budget_of_the_form_is_the_commands(
    monkeypatch: pytest.MonkeyPatch, budget_s: float | None, budget: float | None
) -> None:
    asked: list[tuple[str, ...]] = []

    def note(*arguments: str) -> dict[str, Any]:
        asked.append(arguments)
        return {}

    monkeypatch.setattr(full_tournament, "run_command", note)
    full_tournament.play_full_tournament.function("hex8_2p", budget_s)
    found = build_parser("full-tournament").parse_args(asked[0])
    assert (found.variant, found.budget) == ("hex8_2p", budget)


def test_the_longest_budget_of_the_form_fits_into_the_limit_of_the_task() -> None:
    dag = load_dags(PROJECT / "dags")["ringrift_full_tournament"]
    schema = dag.params.get_param("budget_s").schema
    limit = dag.get_task("play_full_tournament").partial_kwargs["execution_timeout"]
    assert limit >= shadow_limit() + timedelta(seconds=schema["maximum"])


def test_one_variant_plays_at_a_time_and_a_shadow_tournament_that_waits_goes_first() -> None:
    dags: dict[str, Any] = load_dags(PROJECT / "dags")
    full = dags["ringrift_full_tournament"].get_task("play_full_tournament")
    shadow = dags["ringrift_shadow_tournament"].get_task("play_shadow_games")
    assert full.pool == shadow.pool == MATCHES_POOL
    assert full.partial_kwargs["max_active_tis_per_dag"] == 1
    assert full.partial_kwargs["priority_weight"] < shadow.priority_weight
