from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from command_lines import parsed
from judged import CANDIDATE, CHAMPION, FORMER, VARIANT, judge, with_candidate
from ringrift_airflow.operators import promote_model
from ringrift_airflow.settings import open_loop
from ringrift_loop.errors import ConfigError
from ringrift_loop.ledger import promotions
from ringrift_loop.ledger.database import Ledger
from ringrift_loop.promotion.promote import promote_waiting
from ringrift_loop.promotion.rules import ContestOutdated


@pytest.fixture
def ledger(run_home: Path) -> Iterator[Ledger]:
    """A candidate that has beaten the champion before the present one."""
    with with_candidate(run_home) as ledger:
        judge(ledger, CANDIDATE, FORMER)
        yield ledger


class Gate:
    """In the place of the child process: a champion gate that judges the candidate against `against`."""

    def __init__(self, ledger: Ledger, against: str, *, passed: bool) -> None:
        self._ledger, self._against, self._passed = ledger, against, passed
        self.commands: list[argparse.Namespace] = []

    def __call__(self, *arguments: str, verdict: bool = False) -> dict[str, Any]:
        assert verdict  # a "no" is an answer
        self.commands.append(parsed(arguments))
        judge(self._ledger, CANDIDATE, self._against, passed=self._passed)
        return {"passed": self._passed}


def promote() -> dict[str, Any]:
    operator = promote_model.PromoteModelOperator(task_id="promote", model="{{ params.model }}")
    context: Any = {"params": {"model": CANDIDATE}}
    operator.render_template_fields(context)
    return operator.execute(context)


def test_a_verdict_against_a_former_champion_leads_to_a_new_gate_and_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(ledger, CHAMPION, passed=True)
    monkeypatch.setattr(promote_model, "run_command", gate)
    assert promote()["status"] == "promoted"
    (asked,) = gate.commands
    assert (asked.command, asked.model, asked.variant, asked.json) == ("champion-gate", CANDIDATE, VARIANT, True)
    # The task is repeated: the champion is kept, and no game is played.
    assert promote()["status"] == "kept"
    assert len(gate.commands) == 1


def test_a_candidate_that_loses_the_new_gate_is_rejected(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote_model, "run_command", Gate(ledger, CHAMPION, passed=False))
    with pytest.raises(AirflowSkipException, match=r"rejected: champion gate: \+45 ± 30 Elo"):
        promote()


def test_a_champion_that_changes_once_more_ends_the_task(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote_model, "run_command", Gate(ledger, FORMER, passed=True))
    with pytest.raises(ContestOutdated):
        promote()


def _back_to_the_former_champion(ledger: Ledger, *, status: str) -> None:
    with ledger.begin() as conn:
        promotions.promote(
            conn, VARIANT, FORMER, reason="", elo_gain=None, games=0, at=time.time() - 10.0, status=status
        )


def test_a_candidate_that_waits_for_the_cool_down_holds_up_nothing_and_is_promoted_by_a_later_sync(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    _back_to_the_former_champion(ledger, status=promotions.ROLLED_BACK)
    with pytest.raises(AirflowSkipException, match="deferred: cool-down of 900 s"):
        promote()
    with ledger.read() as conn:
        assert promotions.of_model(conn, CANDIDATE) == []
    monkeypatch.setenv("RINGRIFT__PROMOTION__COOLDOWN_SECONDS", "0")
    (record,) = promote_waiting(open_loop())
    assert (record.status, record.model_digest) == ("promoted", CANDIDATE)
    assert promote()["status"] == "kept"


def test_a_model_of_another_variant_than_the_form_says_is_refused(ledger: Ledger) -> None:
    operator = promote_model.PromoteModelOperator(task_id="promote", model=CANDIDATE, variant="hex8_2p", by_hand=True)
    with pytest.raises(ConfigError, match=f"the model {CANDIDATE} is of square8_2p, not of hex8_2p"):
        operator.execute({"dag_run": SimpleNamespace(triggering_user_name="ann")})
    with ledger.read() as conn:
        champion = promotions.champion(conn, VARIANT)
    assert champion is not None and champion.model_digest == CHAMPION


def test_a_promotion_by_hand_keeps_who_asked_and_why(ledger: Ledger) -> None:
    judge(ledger, CANDIDATE, CHAMPION)
    operator = promote_model.PromoteModelOperator(
        task_id="promote", model=CANDIDATE, by_hand=True, reason="it beats me as well"
    )
    record = operator.execute({"dag_run": SimpleNamespace(triggering_user_name="ann")})
    assert record["reason"].endswith("by hand (ann: it beats me as well)")
    with ledger.read() as conn:
        assert promotions.of_model(conn, CANDIDATE)[0].reason == record["reason"]
