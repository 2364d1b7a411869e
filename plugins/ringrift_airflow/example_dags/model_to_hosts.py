"""# Example: a model of your own becomes the champion

1. **wait_for_games**: until its variant has 100 games that no training has used, so that the hosts do play (deferred)
2. **test_model**: the whole regression gate; the task fails when it blocks
3. **promote**: by hand, so the cool-down does not count; the gates do
4. **distribute**: to every host that plays
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, XComArg, dag

from ringrift_airflow.operators.distribute_model import DistributeModelOperator
from ringrift_airflow.operators.promote_model import PromoteModelOperator
from ringrift_airflow.operators.regression_gate import RegressionGateOperator
from ringrift_airflow.params import digest_param
from ringrift_airflow.sensors.new_games import NewGamesSensor
from ringrift_airflow.settings import loop_config


@dag(
    start_date=pendulum.datetime(2025, 1, 1, tz="UTC"),
    schedule=None,
    params={"model": digest_param(), "variant": Param(type="string", enum=list(loop_config().variants))},
    doc_md=__doc__,
    tags=["example"],
)
def example_model_to_hosts() -> None:
    """The model must be registered: it was trained by the loop."""
    games = NewGamesSensor(
        task_id="wait_for_games", variant="{{ params.variant }}", games=100, timeout=timedelta(days=1)
    )
    gate = RegressionGateOperator(
        task_id="test_model",
        model="{{ params.model }}",
        variant=XComArg(games, "variant"),
        pool="gate",
        execution_timeout=timedelta(minutes=30),
    )
    champion = PromoteModelOperator(
        task_id="promote",
        model=XComArg(gate, "model"),
        by_hand=True,
        pool="ledger",
        execution_timeout=timedelta(hours=2),
    )
    DistributeModelOperator(
        task_id="distribute",
        model=XComArg(champion, "model_digest"),
        pool="supervision",
        execution_timeout=timedelta(minutes=5),
    )


example_model_to_hosts()
