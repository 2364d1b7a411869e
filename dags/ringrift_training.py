"""# Training

A candidate for one variant, from its new games to the hosts.

1. **claim_games**: a training run gets the variant's unconsumed games
2. **train**: a candidate from the replay window, in a child process
3. **regression_gate**: six tests with one verdict
4. **champion_gate**: games against the champion until the sequential test decides
5. **settle_claim**: the variant may train again; the games go back if no candidate came of them
6. **approve**: a person says yes on Airflow's page, where `promotion.require_approval` is on
7. **promote**: the pointer swaps, or the rejection and its reason are recorded
8. **distribute**: to every host
9. **confirm_reload**: until the workers play with it (deferred)

`ringrift_training_wait` starts it when a variant has enough new games; each variant has a run of its own, so the gates
of one do not hold up the training of another. At most `training.max_concurrent_jobs` trainings are under way at once,
and one gate. By hand, whatever the number of games:
`airflow dags trigger ringrift_training --conf '{"variant": "square8_2p"}'` (with `make run`, first
`source run/airflow/environment.sh`). Without a free place, or while the variant's last candidate is at its gates, it
waits in **claim_games** and says for what. A training that is over its limit is told to the notifier of the
configuration, by the run's deadline (`ringrift_airflow/deadlines.py`).

If it fails: docs/5-operations.md#training
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from ringrift_airflow.assets import TRAINING_DUE
from ringrift_airflow.dag_defaults import DAG_DEFAULTS, RUNS_PER_VARIANT, TAG
from ringrift_airflow.deadlines import training_deadline
from ringrift_airflow.params import variant_param
from ringrift_airflow.settings import loop_config
from ringrift_airflow.tasks.gate import champion_gate, regression_gate
from ringrift_airflow.tasks.promotion import approve, confirm_reload, distribute, promote
from ringrift_airflow.tasks.training import claim_games, settle_claim, train

CONFIG = loop_config()


@dag(
    schedule=[TRAINING_DUE],
    params={"variant": variant_param(CONFIG)},
    tags=[TAG, "models"],
    doc_md=__doc__,
    deadline=training_deadline(CONFIG),
    **DAG_DEFAULTS | {"max_active_runs": RUNS_PER_VARIANT * len(CONFIG.variants)},
)
def ringrift_training() -> None:
    claim = claim_games()
    candidate = train(claim)
    verdict = regression_gate(candidate["model_digest"], candidate["variant"], candidate=True)
    decision = champion_gate(verdict)
    decision >> settle_claim(claim).as_teardown(setups=claim)
    asked = approve(decision["model_digest"])
    champion = promote(decision["model_digest"])
    chain(asked, champion, distribute(champion), confirm_reload(champion))


ringrift_training()
